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
COMMENT ON FUNCTION lbrec_similar_users IS
'the k users whose own embeddings are nearest to a user''s by cosine, exactly; score is the cosine. For models with an embedding of each user''s own, as the preset paper has';

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
	keep_versions integer DEFAULT NULL,
	logq_estimate text DEFAULT NULL,
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


-- Management: comments, retention, checks, files.
ALTER TABLE lbrec.model ADD COLUMN comment text;
COMMENT ON COLUMN lbrec.model.comment IS 'what the user says of the version: lbrec_comment';

CREATE OR REPLACE VIEW lbrec_models AS
SELECT m.name, m.version,
	m.activation OPERATOR(pg_catalog.>) 0 AND m.activation OPERATOR(pg_catalog.=)
		pg_catalog.max(m.activation) OVER (PARTITION BY m.name) AS active,
	m.activation OPERATOR(pg_catalog.>) 0 AND m.activation OPERATOR(pg_catalog.=)
		pg_catalog.max(m.activation) OVER () AS is_default,
	m.owner, m.created, m.n_listens, m.n_users, m.n_recordings,
	m.config OPERATOR(pg_catalog.->) 'options' AS options,
	e.epochs, e.loss, e.top_10, e.top_100, m.query, m.comment
FROM lbrec.model AS m
LEFT JOIN LATERAL (
	SELECT pg_catalog.count(*) AS epochs,
		(pg_catalog.array_agg(l.loss ORDER BY l.epoch DESC))[1] AS loss,
		(pg_catalog.array_agg(l.top_10 ORDER BY l.epoch DESC)
			FILTER (WHERE l.top_10 IS NOT NULL))[1] AS top_10,
		(pg_catalog.array_agg(l.top_100 ORDER BY l.epoch DESC)
			FILTER (WHERE l.top_100 IS NOT NULL))[1] AS top_100
	FROM lbrec.epoch AS l
	WHERE l.model OPERATOR(pg_catalog.=) m.id) AS e ON true;
COMMENT ON VIEW lbrec_models IS
'versions of models: which is active of its name, which answers when none is named (is_default), settings, last metrics, the query that it was trained on and its comment';

-- A view reads with its owner's rights, past the row security that its reader
-- is under, unless told otherwise, which PostgreSQL 14 cannot be.
DO $$
BEGIN
	IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 150000 THEN
		ALTER VIEW lbrec_models SET (security_invoker = true);
	END IF;
END $$;

CREATE FUNCTION lbrec_prune(
	model text,
	keep integer)
RETURNS integer
AS 'MODULE_PATHNAME', 'lbrec_prune'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION lbrec_prune IS
'drops the versions of a model but for the newest keep, the active one, and those that a training run continues; returns how many';

CREATE FUNCTION lbrec_comment(
	model text,
	comment text,
	version integer DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'lbrec_comment'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION lbrec_comment IS
'sets the comment of a version of a model (default: the newest), which lbrec_models shows; null takes it away';

CREATE FUNCTION lbrec_check(
	model text DEFAULT NULL,
	version integer DEFAULT NULL,
	OUT checked_model text,
	OUT checked_version integer,
	OUT what text,
	OUT ok boolean,
	OUT problem text,
	OUT bytes bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_check'
LANGUAGE C STABLE PARALLEL UNSAFE COST 1000000 ROWS 50;
COMMENT ON FUNCTION lbrec_check IS
'reads all that is stored of a version, of all versions of a model, or of all models, and compares it with its checksums, shapes, vocabularies and settings; a row for each tensor and one for what serving needs';

CREATE FUNCTION lbrec_export(
	model text,
	version integer DEFAULT NULL,
	OUT seq bigint,
	OUT chunk bytea)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_export'
LANGUAGE C STABLE PARALLEL UNSAFE COST 1000000 ROWS 100;
COMMENT ON FUNCTION lbrec_export IS
'a version of a model (default: the active one) as rows for COPY, in the format of docs/model-format.md; lbrec_import takes them back';

CREATE FUNCTION lbrec_import(
	rows text,
	model text DEFAULT NULL,
	activate boolean DEFAULT false)
RETURNS integer
AS 'MODULE_PATHNAME', 'lbrec_import'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION lbrec_import IS
'makes the rows of lbrec_export, in a table or query with columns seq and chunk, the next version of a model, by default of the name that was exported; returns its number. It is not active unless activate is true';

REVOKE EXECUTE ON FUNCTION lbrec_prune, lbrec_comment, lbrec_import FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lbrec_prune, lbrec_comment, lbrec_import
	TO @extowner@ WITH GRANT OPTION;
