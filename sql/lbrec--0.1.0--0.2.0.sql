/* sql/lbrec--0.1.0--0.2.0.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION lbrec UPDATE TO '0.2.0'" to load this file. \quit

--
-- Serving: what the planner should expect; functions that run a query of the
-- caller's stay in the leader of a parallel plan.
--
CREATE FUNCTION lbrec.planner_support(internal)
RETURNS internal
AS 'MODULE_PATHNAME', 'lbrec_planner_support'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lbrec.planner_support(internal) IS
'planner support: rows and costs of the serving calls, from their arguments and the sizes of the model';
ALTER FUNCTION lbrec_recommend PARALLEL RESTRICTED SUPPORT lbrec.planner_support;
ALTER FUNCTION lbrec_recording_embeddings SUPPORT lbrec.planner_support;
ALTER FUNCTION lbrec_similar SUPPORT lbrec.planner_support;
ALTER FUNCTION lbrec_similar_users SUPPORT lbrec.planner_support;

-- Users whom the model does not know, in every call that takes a user.
DROP FUNCTION lbrec_recommend_all;
CREATE FUNCTION lbrec_recommend_all(
	k integer DEFAULT 10,
	model text DEFAULT NULL,
	users bigint[] DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	listens text DEFAULT 'listen',
	OUT user_id bigint,
	OUT rank integer,
	OUT recording_msid uuid,
	OUT score real,
	OUT basis text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_recommend_all'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000 ROWS 10000
	SUPPORT lbrec.planner_support;
COMMENT ON FUNCTION lbrec_recommend_all IS
'lbrec_recommend for every user of the model, or for those of an array, many at once; in the select list it returns rows as they are asked for. Users of the array whom the model does not know are answered as lbrec_recommend does; nulls are passed over';

DROP FUNCTION lbrec_score;
CREATE FUNCTION lbrec_score(
	user_id bigint,
	recordings uuid[],
	model text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	listens text DEFAULT 'listen')
RETURNS real[]
AS 'MODULE_PATHNAME', 'lbrec_score'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000
	SUPPORT lbrec.planner_support;
COMMENT ON FUNCTION lbrec_score IS
'scores of given recordings for a user, in the order of the array, as lbrec_recommend has them, also for a user whom the model does not know; null where it does not know the recording';

DROP FUNCTION lbrec_user_embedding;
CREATE FUNCTION lbrec_user_embedding(
	user_id bigint,
	model text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	listens text DEFAULT 'listen')
RETURNS real[]
AS 'MODULE_PATHNAME', 'lbrec_user_embedding'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION lbrec_user_embedding IS
'the query tower''s vector for a user at a time (default: now); for a user whom the model does not know one made of their listens, or an error when there are none';
