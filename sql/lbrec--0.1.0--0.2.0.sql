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
ALTER FUNCTION lbrec_recommend_all PARALLEL RESTRICTED SUPPORT lbrec.planner_support;
ALTER FUNCTION lbrec_score SUPPORT lbrec.planner_support;
ALTER FUNCTION lbrec_recording_embeddings SUPPORT lbrec.planner_support;
ALTER FUNCTION lbrec_similar SUPPORT lbrec.planner_support;
ALTER FUNCTION lbrec_similar_users SUPPORT lbrec.planner_support;
