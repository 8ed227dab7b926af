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
ALTER FUNCTION lbrec_evaluate PARALLEL RESTRICTED;
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

--
-- Training: the terms of neighbours and of repeats, and the last training on
-- all listens, in the place of repeat_half_life and repeat_weight.
--
DROP FUNCTION lbrec_train;
CREATE FUNCTION lbrec_train(
	model text,
	listens text DEFAULT 'listen',
	preset text DEFAULT 'default',
	epochs integer DEFAULT NULL,
	batch_size integer DEFAULT NULL,
	learning_rate double precision DEFAULT NULL,
	layers integer[] DEFAULT NULL,
	embedding_dim integer DEFAULT NULL,
	seed bigint DEFAULT NULL,
	split text DEFAULT NULL,
	test_fraction double precision DEFAULT NULL,
	time_buckets integer DEFAULT NULL,
	loss_reduction text DEFAULT NULL,
	temperature double precision DEFAULT NULL,
	logq boolean DEFAULT NULL,
	l2_normalize boolean DEFAULT NULL,
	mask_accidental_hits boolean DEFAULT NULL,
	evaluate_every integer DEFAULT NULL,
	user_features text[] DEFAULT NULL,
	activate boolean DEFAULT true,
	verbose boolean DEFAULT false,
	ensemble integer DEFAULT NULL,
	test_last integer DEFAULT NULL,
	test_limit integer DEFAULT NULL,
	user_embedding boolean DEFAULT NULL,
	hour_of_day boolean DEFAULT NULL,
	day_of_week boolean DEFAULT NULL,
	history_length integer DEFAULT NULL,
	history_dropout double precision DEFAULT NULL,
	history_pooling text DEFAULT NULL,
	history_table text DEFAULT NULL,
	history_window text DEFAULT NULL,
	batch_by text DEFAULT NULL,
	targets integer DEFAULT NULL,
	hard_negatives integer DEFAULT NULL,
	extra_negatives integer DEFAULT NULL,
	negative_sampling text DEFAULT NULL,
	optimizer text DEFAULT NULL,
	initial_accumulator double precision DEFAULT NULL,
	schedule text DEFAULT NULL,
	warmup_epochs double precision DEFAULT NULL,
	decay_epochs double precision DEFAULT NULL,
	decay_factor double precision DEFAULT NULL,
	weight_decay double precision DEFAULT NULL,
	clip_norm double precision DEFAULT NULL,
	dropout double precision DEFAULT NULL,
	early_stopping text DEFAULT NULL,
	patience integer DEFAULT NULL,
	min_listens integer DEFAULT NULL,
	hash_buckets integer DEFAULT NULL,
	number_buckets integer DEFAULT NULL,
	repeat_power double precision DEFAULT NULL,
	neighbours integer DEFAULT NULL,
	refit boolean DEFAULT NULL,
	bucketize text[] DEFAULT NULL,
	test_from timestamptz DEFAULT NULL,
	test_listens text DEFAULT NULL,
	start_from text DEFAULT NULL,
	OUT epoch integer,
	OUT loss double precision,
	OUT test_loss double precision,
	OUT top_1 double precision,
	OUT top_5 double precision,
	OUT top_10 double precision,
	OUT top_50 double precision,
	OUT top_100 double precision,
	OUT recall_20 double precision,
	OUT ndcg_20 double precision,
	OUT mrr double precision,
	OUT seconds double precision,
	OUT listens_per_second double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_train'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 10;
COMMENT ON FUNCTION lbrec_train IS
'trains a two-tower model on a table or query of listens and saves it as the next version of its name; one row an epoch. Columns of listens, by name: user_id, listened_at, recording_msid; each further one is an item feature';
REVOKE EXECUTE ON FUNCTION lbrec_train FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lbrec_train TO @extowner@ WITH GRANT OPTION;

CREATE FUNCTION lbrec_explain(
	user_id bigint,
	recording_msid uuid,
	model text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	listens text DEFAULT 'listen',
	OUT part text,
	OUT because uuid,
	OUT value double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_explain'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000 ROWS 100;
COMMENT ON FUNCTION lbrec_explain IS
'what the score of a recording for a user is made of: the user''s recordings that speak for it and against it, as history and as neighbours, and having played it; the values add up to lbrec_score. No row where lbrec_score is null';

-- A view reads with its owner's rights, past the row security that its reader
-- is under, unless told otherwise, which PostgreSQL 14 cannot be.
DO $$
BEGIN
	IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 150000 THEN
		ALTER VIEW lbrec_models SET (security_invoker = true);
	END IF;
END $$;
