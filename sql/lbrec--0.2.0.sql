/* sql/lbrec--0.2.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION lbrec" to load this file. \quit

--
-- Models.  Tables are ordinary: pg_dump, replication, crash recovery and
-- MVCC apply.  Only they hold the truth about a model.
--
CREATE SCHEMA lbrec;
COMMENT ON SCHEMA lbrec IS 'models of the extension lbrec';

CREATE TABLE lbrec.model (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 255),
	-- below the types' limits, so that a next number always exists
	version integer NOT NULL CHECK (version BETWEEN 1 AND 1000000000),
	activation bigint NOT NULL DEFAULT 0 CHECK (activation BETWEEN 0 AND 1000000000000000),
	precedence bigint,
	owner name NOT NULL DEFAULT current_user,
	created timestamptz NOT NULL DEFAULT now(),
	query text NOT NULL,
	config jsonb NOT NULL,
	n_listens bigint NOT NULL CHECK (n_listens >= 0),
	n_users bigint NOT NULL CHECK (n_users >= 0),
	n_recordings bigint NOT NULL CHECK (n_recordings >= 0),
	checksum bigint NOT NULL,
	comment text,
	UNIQUE (name, version)
);
COMMENT ON TABLE lbrec.model IS 'one row per version of a model';
COMMENT ON COLUMN lbrec.model.id IS 'number of the version, which other tables refer to';
COMMENT ON COLUMN lbrec.model.name IS 'name of the model';
COMMENT ON COLUMN lbrec.model.version IS 'number of the version, from 1 for each name';
COMMENT ON COLUMN lbrec.model.activation IS 'the version of a name with the highest number is the active one; 0: never activated';
COMMENT ON COLUMN lbrec.model.precedence IS 'the active name with the highest number is the default: above 0 if chosen with make_default, below 0 if set automatically; null: not the default, unless it is the only active name';
COMMENT ON COLUMN lbrec.model.owner IS 'role that trained or imported it';
COMMENT ON COLUMN lbrec.model.created IS 'when the transaction of its training began';
COMMENT ON COLUMN lbrec.model.query IS 'query of the listens that the version was trained on';
COMMENT ON COLUMN lbrec.model.config IS 'settings of the training run (options), inputs of the towers (query, candidate), scale of time (time)';
COMMENT ON COLUMN lbrec.model.n_listens IS 'listens that it was trained on';
COMMENT ON COLUMN lbrec.model.n_users IS 'users that it knows';
COMMENT ON COLUMN lbrec.model.n_recordings IS 'recordings that it knows';
COMMENT ON COLUMN lbrec.model.checksum IS 'sum of hashint8extended(crc32c, chunk) over all chunks of the version, modulo 2^64';
COMMENT ON COLUMN lbrec.model.comment IS 'note on the version, set by lbrec_comment';

CREATE TABLE lbrec.epoch (
	model bigint NOT NULL REFERENCES lbrec.model ON DELETE CASCADE,
	epoch integer NOT NULL,
	loss double precision NOT NULL,
	test_loss double precision,
	top_1 double precision,
	top_5 double precision,
	top_10 double precision,
	top_50 double precision,
	top_100 double precision,
	recall_20 double precision,
	ndcg_20 double precision,
	ndcg_100 double precision,
	mrr double precision,
	seconds double precision NOT NULL,
	listens_per_second double precision NOT NULL,
	PRIMARY KEY (model, epoch)
);
COMMENT ON TABLE lbrec.epoch IS 'the figures that lbrec_train returned for each epoch';
COMMENT ON COLUMN lbrec.epoch.model IS 'id of the version';
COMMENT ON COLUMN lbrec.epoch.epoch IS 'number of the epoch, from 1';
COMMENT ON COLUMN lbrec.epoch.loss IS 'mean loss of a batch in nats';
COMMENT ON COLUMN lbrec.epoch.test_loss IS 'loss of a batch of held-out listens; null if not measured, like all later columns of measures';
COMMENT ON COLUMN lbrec.epoch.top_1 IS 'share of held-out listens whose recording has the highest score';
COMMENT ON COLUMN lbrec.epoch.top_5 IS 'share of held-out listens whose recording is among the first 5';
COMMENT ON COLUMN lbrec.epoch.top_10 IS 'share of held-out listens whose recording is among the first 10';
COMMENT ON COLUMN lbrec.epoch.top_50 IS 'share of held-out listens whose recording is among the first 50';
COMMENT ON COLUMN lbrec.epoch.top_100 IS 'share of held-out listens whose recording is among the first 100';
COMMENT ON COLUMN lbrec.epoch.recall_20 IS 'recall@20 of recordings new to their users, a mean over users';
COMMENT ON COLUMN lbrec.epoch.ndcg_20 IS 'NDCG@20 of recordings new to their users, a mean over users';
COMMENT ON COLUMN lbrec.epoch.ndcg_100 IS 'NDCG@100 of recordings new to their users, a mean over users';
COMMENT ON COLUMN lbrec.epoch.mrr IS 'mean of 1 / rank over held-out listens, 0 beyond 100';
COMMENT ON COLUMN lbrec.epoch.seconds IS 'seconds of training, without measuring';
COMMENT ON COLUMN lbrec.epoch.listens_per_second IS 'listens trained per second';

CREATE TABLE lbrec.tensor (
	model bigint NOT NULL REFERENCES lbrec.model ON DELETE CASCADE,
	name text NOT NULL,
	chunk integer NOT NULL,
	type text NOT NULL,
	rows bigint NOT NULL,
	cols integer NOT NULL,
	crc32c bigint NOT NULL,
	data bytea NOT NULL,
	PRIMARY KEY (model, name, chunk)
);
ALTER TABLE lbrec.tensor ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE lbrec.tensor IS 'the arrays of a model, row-major, little-endian, in chunks of 1 MB';
COMMENT ON COLUMN lbrec.tensor.model IS 'id of the version';
COMMENT ON COLUMN lbrec.tensor.name IS 'name of the array';
COMMENT ON COLUMN lbrec.tensor.chunk IS 'number of the chunk in the array, from 0';
COMMENT ON COLUMN lbrec.tensor.type IS 'type of the elements: float4, int4, int8, uuid or bytes';
COMMENT ON COLUMN lbrec.tensor.rows IS 'rows of the array';
COMMENT ON COLUMN lbrec.tensor.cols IS 'columns of the array';
COMMENT ON COLUMN lbrec.tensor.data IS 'elements of the chunk';
COMMENT ON COLUMN lbrec.tensor.crc32c IS 'CRC-32C over model, name, chunk, type, rows, cols and data';

-- Rows outlive their version: model then becomes null.
CREATE TABLE lbrec.evaluation (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL,
	version integer NOT NULL,
	model bigint REFERENCES lbrec.model ON DELETE SET NULL,
	kind text NOT NULL CHECK (kind IN ('training', 'evaluation', 'retraining')),
	measured timestamptz NOT NULL,
	listens text NOT NULL,
	split text,
	first_listen timestamptz NOT NULL,
	last_listen timestamptz NOT NULL,
	recommender text NOT NULL,
	k integer NOT NULL,
	top_k_accuracy double precision,
	ndcg double precision,
	mrr double precision,
	new_recall double precision,
	new_ndcg double precision,
	coverage double precision,
	mean_popularity double precision,
	listens_evaluated bigint NOT NULL,
	unknown_recordings bigint NOT NULL,
	users_evaluated bigint NOT NULL
);
CREATE INDEX ON lbrec.evaluation (model);
COMMENT ON TABLE lbrec.evaluation IS 'measures of versions, from their training and from lbrec_record_evaluation: a row for each recommender and k';
COMMENT ON COLUMN lbrec.evaluation.id IS 'number of the row';
COMMENT ON COLUMN lbrec.evaluation.name IS 'name of the model';
COMMENT ON COLUMN lbrec.evaluation.version IS 'version of the model';
COMMENT ON COLUMN lbrec.evaluation.model IS 'id of the version; null after it was dropped';
COMMENT ON COLUMN lbrec.evaluation.kind IS 'training: on what the training held out; evaluation: by lbrec_record_evaluation; retraining: by lbrec_retrain, before the last training';
COMMENT ON COLUMN lbrec.evaluation.measured IS 'time of the evaluation, the same in all its rows';
COMMENT ON COLUMN lbrec.evaluation.listens IS 'query of the listens, for the record';
COMMENT ON COLUMN lbrec.evaluation.split IS 'how the training held out the listens; null for other kinds';
COMMENT ON COLUMN lbrec.evaluation.first_listen IS 'time of the first evaluated listen';
COMMENT ON COLUMN lbrec.evaluation.last_listen IS 'time of the last evaluated listen';
COMMENT ON COLUMN lbrec.evaluation.recommender IS 'model, or a baseline on the same listens: popular, most_played; in a retraining also candidate, the new settings trained on the listens before those';
COMMENT ON COLUMN lbrec.evaluation.k IS 'length of the list that counts';
COMMENT ON COLUMN lbrec.evaluation.top_k_accuracy IS 'share of listens whose recording is among the first k';
COMMENT ON COLUMN lbrec.evaluation.ndcg IS 'NDCG of listens';
COMMENT ON COLUMN lbrec.evaluation.mrr IS 'mean of 1 / rank over listens, 0 beyond k';
COMMENT ON COLUMN lbrec.evaluation.new_recall IS 'recall of recordings new to their users, a mean over users; null if there were none';
COMMENT ON COLUMN lbrec.evaluation.new_ndcg IS 'NDCG of recordings new to their users, a mean over users; null if there were none';
COMMENT ON COLUMN lbrec.evaluation.coverage IS 'share of recordings that appear in at least one list; null for trainings';
COMMENT ON COLUMN lbrec.evaluation.mean_popularity IS 'mean number of listens of listed recordings; null for trainings';
COMMENT ON COLUMN lbrec.evaluation.listens_evaluated IS 'number of evaluated listens';
COMMENT ON COLUMN lbrec.evaluation.unknown_recordings IS 'evaluated listens of recordings that the model does not know';
COMMENT ON COLUMN lbrec.evaluation.users_evaluated IS 'users with a listen of a recording that is new to them';

CREATE SEQUENCE lbrec.activation_seq;
COMMENT ON SEQUENCE lbrec.activation_seq IS 'numbers the activations of models';

SELECT pg_catalog.pg_extension_config_dump('lbrec.model', '');
SELECT pg_catalog.pg_extension_config_dump('lbrec.epoch', '');
SELECT pg_catalog.pg_extension_config_dump('lbrec.tensor', '');
SELECT pg_catalog.pg_extension_config_dump('lbrec.evaluation', '');
SELECT pg_catalog.pg_extension_config_dump('lbrec.model_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('lbrec.evaluation_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('lbrec.activation_seq', '');

-- The role that ran CREATE EXTENSION may use it, even if the extension is
-- trusted and its objects belong to the bootstrap superuser.  It does not get
-- TRIGGER: a trigger would run with the rights of the next role that trains.
-- PUBLIC gets nothing here.
GRANT USAGE ON SCHEMA lbrec TO @extowner@ WITH GRANT OPTION;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA lbrec TO @extowner@ WITH GRANT OPTION;
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA lbrec TO @extowner@ WITH GRANT OPTION;

--
-- Training
--
CREATE FUNCTION lbrec.settings(
	OUT name text,
	OUT type text,
	OUT default_value jsonb,
	OUT paper_value jsonb,
	OUT allowed text,
	OUT meaning text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_list_settings'
LANGUAGE C IMMUTABLE PARALLEL SAFE ROWS 50;
COMMENT ON FUNCTION lbrec.settings IS 'the rows of lbrec_settings';

CREATE FUNCTION lbrec.figure(value double precision)
RETURNS real
AS 'MODULE_PATHNAME', 'lbrec_figure'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lbrec.figure IS 'a measured figure, rounded to four significant digits';

CREATE VIEW lbrec_settings AS SELECT * FROM lbrec.settings();
COMMENT ON VIEW lbrec_settings IS 'the settings of lbrec_train, with their values in both presets';
COMMENT ON COLUMN lbrec_settings.name IS 'key in the argument settings';
COMMENT ON COLUMN lbrec_settings.type IS 'type of the value';
COMMENT ON COLUMN lbrec_settings.default_value IS 'value in preset default';
COMMENT ON COLUMN lbrec_settings.paper_value IS 'value in preset paper';
COMMENT ON COLUMN lbrec_settings.allowed IS 'range, or the possible values';
COMMENT ON COLUMN lbrec_settings.meaning IS 'effect of the setting';
GRANT SELECT ON lbrec_settings TO PUBLIC;

CREATE FUNCTION lbrec_train(
	model text,
	listens text DEFAULT NULL,
	items text DEFAULT NULL,
	preset text DEFAULT 'default',
	epochs integer DEFAULT NULL,
	layers integer[] DEFAULT NULL,
	seed bigint DEFAULT NULL,
	split text DEFAULT NULL,
	test_from timestamptz DEFAULT NULL,
	test_listens text DEFAULT NULL,
	as_of timestamptz DEFAULT NULL,
	start_from text DEFAULT NULL,
	user_features text[] DEFAULT NULL,
	settings jsonb DEFAULT NULL,
	activate boolean DEFAULT true,
	make_default boolean DEFAULT false,
	verbose boolean DEFAULT false,
	OUT epoch integer,
	OUT loss real,
	OUT test_loss real,
	OUT top_1 real,
	OUT top_5 real,
	OUT top_10 real,
	OUT top_50 real,
	OUT top_100 real,
	OUT recall_20 real,
	OUT ndcg_20 real,
	OUT ndcg_100 real,
	OUT mrr real,
	OUT seconds real,
	OUT listens_per_second bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_train'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 10;
COMMENT ON FUNCTION lbrec_train IS
'trains a two-tower model on a table or query of listens and saves it as the next version of its name; returns a row for each epoch. Columns of listens, by name: user_id, listened_at, recording_msid; each further one is an item feature. items, a table or query of recording_msid and features, names the catalogue: recordings without listens are known by their features. With as_of, nothing at that time or later is read. settings is a JSON object, see lbrec_settings';

CREATE FUNCTION lbrec_tune(
	model text,
	listens text DEFAULT NULL,
	search jsonb DEFAULT '{"temperature": [0.07, 0.1, 0.15, 0.2], "history_dropout": [0.4, 0.6, 0.8], "learning_rate": [0.05, 0.1, 0.2]}',
	trials integer DEFAULT 16,
	metric text DEFAULT 'ndcg_20',
	epochs integer DEFAULT 10,
	time_limit interval DEFAULT NULL,
	preset text DEFAULT 'default',
	settings jsonb DEFAULT NULL,
	activate boolean DEFAULT false,
	OUT place integer,
	OUT trial integer,
	OUT trial_settings jsonb,
	OUT epochs_trained integer,
	OUT value real,
	OUT seconds real,
	OUT saved boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_tune'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000000 ROWS 16;
COMMENT ON FUNCTION lbrec_tune IS
'tries settings of lbrec_train by successive halving: all trials for a few epochs, the better half for twice as many, and so on; trial 0 has the settings without search. The winner is trained as lbrec_train does and saved as the next version of the model, active only if activate is true. Returns a row for each trial, best first';

CREATE FUNCTION lbrec_retrain(
	model text,
	listens text DEFAULT 'listen',
	items text DEFAULT NULL,
	rule text DEFAULT 'not_worse',
	metric text DEFAULT 'ndcg_100',
	keep integer DEFAULT 3,
	preset text DEFAULT 'default',
	user_features text[] DEFAULT NULL,
	settings jsonb DEFAULT NULL,
	OUT activated boolean,
	OUT reason text,
	OUT version integer,
	OUT old_version integer,
	OUT value real,
	OUT old_value real,
	OUT standard_error real,
	OUT popular_value real,
	OUT listens_judged bigint,
	OUT users_judged bigint,
	OUT pruned integer,
	OUT seconds real)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_retrain'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000000 ROWS 1;
COMMENT ON FUNCTION lbrec_retrain IS
'retrains a model unless the result is worse: a candidate with the settings is trained on the listens that the active version knows, and both are judged on later ones. If the candidate passes the rule, the settings are trained on all listens as the next version, which becomes active, and old versions are pruned. Returns one row with the result and the reason';

CREATE FUNCTION lbrec_backtest(
	settings jsonb DEFAULT NULL,
	start timestamptz DEFAULT NULL,
	step interval DEFAULT '7 days',
	steps integer DEFAULT NULL,
	listens text DEFAULT NULL,
	items text DEFAULT NULL,
	preset text DEFAULT 'default',
	user_features text[] DEFAULT NULL,
	OUT as_of timestamptz,
	OUT until timestamptz,
	OUT listens_trained bigint,
	OUT listens_evaluated bigint,
	OUT unknown_recordings bigint,
	OUT users_evaluated bigint,
	OUT top_20 real,
	OUT popular_top_20 real,
	OUT most_played_top_20 real,
	OUT recall_20 real,
	OUT popular_recall_20 real,
	OUT ndcg_100 real,
	OUT popular_ndcg_100 real,
	OUT seconds real)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_backtest'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000000 ROWS 10;
COMMENT ON FUNCTION lbrec_backtest IS
'measures settings in the past: for each step from start on, trains them on the listens before the step and measures them on the listens of the step, beside popular recordings and each user''s most played. Nothing is saved. Returns one row for each step, up to the last listen or the number of steps';

CREATE FUNCTION lbrec_add_items(
	model text,
	items text,
	activate boolean DEFAULT true,
	OUT version integer,
	OUT added bigint,
	OUT recordings bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_add_items'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 1;
COMMENT ON FUNCTION lbrec_add_items IS
'saves the active version of a model, with the recordings of a table or query of recording_msid and features, as its next version, without training: those that nobody has played are known by their features. Returns one row: the version, the number of recordings that are new in it, and of all its recordings';

--
-- Serving
--
-- Estimates rows and costs of the calls below for the planner; in schema lbrec,
-- because users do not call it.
CREATE FUNCTION lbrec.planner_support(internal)
RETURNS internal
AS 'MODULE_PATHNAME', 'lbrec_planner_support'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lbrec.planner_support(internal) IS
'planner support: estimates rows and costs of the serving calls from their arguments and the sizes of the model';

CREATE FUNCTION lbrec_recommend(
	user_id bigint,
	k integer DEFAULT 10,
	model text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	exclude_listened boolean DEFAULT false,
	listens text DEFAULT NULL,
	candidates uuid[] DEFAULT NULL,
	filter text DEFAULT NULL,
	min_listens bigint DEFAULT NULL,
	max_listens bigint DEFAULT NULL,
	per_artist integer DEFAULT NULL,
	artist_column text DEFAULT 'artist_name',
	diversity double precision DEFAULT NULL,
	version integer DEFAULT NULL,
	fresh boolean DEFAULT true,
	exclude uuid[] DEFAULT NULL,
	OUT rank integer,
	OUT recording_msid uuid,
	OUT score real,
	OUT basis text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_recommend'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000 ROWS 10
	SUPPORT lbrec.planner_support;
COMMENT ON FUNCTION lbrec_recommend IS
'the k recordings with the highest scores for a user at a time (default: now), best first, exactly. exclude_listened leaves out the user''s recordings in listens, exclude the recordings of an array; candidates and filter (a query that returns recording_msid) name the recordings that qualify, min_listens and max_listens bound their popularity; per_artist limits the recordings of one artist, diversity (0 to 1) makes the list varied. fresh: a known user''s listens after the training count, up to at. basis: model, from the training alone; fresh, with later listens; listens, from listens alone (an unknown user, or a time before the user''s last listen in the training); popular, for a user without listens; features, for a recording without listens';

CREATE FUNCTION lbrec_next(
	k integer DEFAULT 10,
	recent uuid[] DEFAULT NULL,
	user_id bigint DEFAULT NULL,
	listens text DEFAULT NULL,
	model text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	exclude_listened boolean DEFAULT false,
	candidates uuid[] DEFAULT NULL,
	filter text DEFAULT NULL,
	min_listens bigint DEFAULT NULL,
	max_listens bigint DEFAULT NULL,
	per_artist integer DEFAULT NULL,
	artist_column text DEFAULT 'artist_name',
	diversity double precision DEFAULT NULL,
	version integer DEFAULT NULL,
	exclude uuid[] DEFAULT NULL,
	OUT rank integer,
	OUT recording_msid uuid,
	OUT score real)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_next'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000 ROWS 10
	SUPPORT lbrec.planner_support;
COMMENT ON FUNCTION lbrec_next IS
'the k recordings most likely to be played next, best first, exactly: after those in recent (the latest last), after the listens of user_id up to at (default: now), or after both; the other arguments are those of lbrec_recommend';

CREATE FUNCTION lbrec_popular(
	k integer DEFAULT 10,
	since timestamptz DEFAULT NULL,
	until timestamptz DEFAULT NULL,
	filter text DEFAULT NULL,
	per_artist integer DEFAULT NULL,
	artist_column text DEFAULT 'artist_name',
	model text DEFAULT NULL,
	version integer DEFAULT NULL,
	OUT rank integer,
	OUT recording_msid uuid,
	OUT listens bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_popular'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 10000 ROWS 10
	SUPPORT lbrec.planner_support;
COMMENT ON FUNCTION lbrec_popular IS
'the k recordings played most in the model''s training listens, most played first, in the weeks from that of since to that of until. filter, per_artist and artist_column are as in lbrec_recommend';

CREATE FUNCTION lbrec_recommend_all(
	k integer DEFAULT 10,
	model text DEFAULT NULL,
	users bigint[] DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	listens text DEFAULT NULL,
	version integer DEFAULT NULL,
	fresh boolean DEFAULT true,
	exclude uuid[] DEFAULT NULL,
	candidates uuid[] DEFAULT NULL,
	filter text DEFAULT NULL,
	min_listens bigint DEFAULT NULL,
	max_listens bigint DEFAULT NULL,
	per_artist integer DEFAULT NULL,
	artist_column text DEFAULT 'artist_name',
	diversity double precision DEFAULT NULL,
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
'lbrec_recommend for every user of the model, or for those of an array, many at once; in the select list it returns rows as they are fetched. Unknown users of the array get what lbrec_recommend returns; nulls are skipped. exclude, candidates, filter, min_listens, max_listens, per_artist, artist_column and diversity are as for lbrec_recommend; with any of them, lists are made one by one';

CREATE FUNCTION lbrec_recommend_group(
	user_ids bigint[],
	k integer DEFAULT 10,
	model text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	exclude_listened boolean DEFAULT false,
	listens text DEFAULT NULL,
	exclude uuid[] DEFAULT NULL,
	candidates uuid[] DEFAULT NULL,
	filter text DEFAULT NULL,
	min_listens bigint DEFAULT NULL,
	max_listens bigint DEFAULT NULL,
	per_artist integer DEFAULT NULL,
	artist_column text DEFAULT 'artist_name',
	diversity double precision DEFAULT NULL,
	version integer DEFAULT NULL,
	fresh boolean DEFAULT true,
	OUT rank integer,
	OUT recording_msid uuid,
	OUT score real,
	OUT basis text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_recommend_group'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 100000 ROWS 10
	SUPPORT lbrec.planner_support;
COMMENT ON FUNCTION lbrec_recommend_group IS
'the k recordings with the highest mean of several users'' scores, best first, exactly. Each user of user_ids counts once; nulls and users without listens do not count. If no user has listens, the list has popular recordings. exclude_listened leaves out each user''s recordings in listens, exclude the recordings of an array; the other arguments are as for lbrec_recommend. basis: the weakest one of these users (model, fresh, listens), or popular';

CREATE FUNCTION lbrec_score(
	user_id bigint,
	recordings uuid[],
	model text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	listens text DEFAULT NULL,
	version integer DEFAULT NULL,
	fresh boolean DEFAULT true)
RETURNS real[]
AS 'MODULE_PATHNAME', 'lbrec_score'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000
	SUPPORT lbrec.planner_support;
COMMENT ON FUNCTION lbrec_score IS
'scores of given recordings for a user, in the order of the array, the same as those of lbrec_recommend, also with later listens and for an unknown user; null for an unknown recording';

CREATE FUNCTION lbrec_explain(
	user_id bigint,
	recording_msid uuid,
	model text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	listens text DEFAULT NULL,
	version integer DEFAULT NULL,
	fresh boolean DEFAULT true,
	OUT part text,
	OUT because uuid,
	OUT value double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_explain'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000 ROWS 100;
COMMENT ON FUNCTION lbrec_explain IS
'the parts of a recording''s score for a user: the contributions of the user''s recordings, as history and as neighbours, and of earlier plays; the values add up to lbrec_score. Returns no row if lbrec_score is null';

CREATE FUNCTION lbrec_explain_next(
	recording_msid uuid,
	recent uuid[] DEFAULT NULL,
	user_id bigint DEFAULT NULL,
	listens text DEFAULT NULL,
	model text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	version integer DEFAULT NULL,
	OUT part text,
	OUT because uuid,
	OUT value double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_explain_next'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000 ROWS 20;
COMMENT ON FUNCTION lbrec_explain_next IS
'the parts of the score that lbrec_next gives a recording after the same plays: the towers'' product, neighbours and transitions, and the user''s own plays of it; the values add up to the score. Returns no row for a recording that the model does not know';

CREATE FUNCTION lbrec_user_embedding(
	user_id bigint,
	model text DEFAULT NULL,
	at timestamptz DEFAULT NULL,
	listens text DEFAULT NULL,
	version integer DEFAULT NULL,
	fresh boolean DEFAULT true)
RETURNS real[]
AS 'MODULE_PATHNAME', 'lbrec_user_embedding'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION lbrec_user_embedding IS
'the query tower''s vector for a user at a time (default: now), with listens since the training; for an unknown user a vector made from their listens, or an error if there are none';

CREATE FUNCTION lbrec_key(id bigint)
RETURNS uuid
AS 'MODULE_PATHNAME', 'lbrec_key_from_bigint'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lbrec_key(bigint) IS
'a recording''s key from an application''s number; lbrec_key_bigint returns the number';

CREATE FUNCTION lbrec_key(name text)
RETURNS uuid
AS 'MODULE_PATHNAME', 'lbrec_key_from_text'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lbrec_key(text) IS
'a recording''s key from a text: the MD5 of its UTF-8 bytes';

CREATE FUNCTION lbrec_key_bigint(key uuid)
RETURNS bigint
AS 'MODULE_PATHNAME', 'lbrec_key_bigint'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lbrec_key_bigint IS
'the number that lbrec_key(bigint) made the key from; null for any other key';

CREATE FUNCTION lbrec_recording_embedding(
	recording uuid,
	model text DEFAULT NULL,
	version integer DEFAULT NULL)
RETURNS real[]
AS 'MODULE_PATHNAME', 'lbrec_recording_embedding'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION lbrec_recording_embedding IS
'the candidate tower''s vector for a recording';

CREATE FUNCTION lbrec_recording_embeddings(
	model text DEFAULT NULL,
	version integer DEFAULT NULL,
	OUT recording_msid uuid,
	OUT embedding real[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_recording_embeddings'
LANGUAGE C STABLE PARALLEL SAFE COST 100000 ROWS 100000
	SUPPORT lbrec.planner_support;
COMMENT ON FUNCTION lbrec_recording_embeddings IS
'the candidate tower''s vectors for all recordings of the model';

CREATE FUNCTION lbrec_similar(
	recordings uuid[],
	k integer DEFAULT 10,
	model text DEFAULT NULL,
	exclude uuid[] DEFAULT NULL,
	candidates uuid[] DEFAULT NULL,
	filter text DEFAULT NULL,
	min_listens bigint DEFAULT NULL,
	max_listens bigint DEFAULT NULL,
	per_artist integer DEFAULT NULL,
	artist_column text DEFAULT 'artist_name',
	diversity double precision DEFAULT NULL,
	version integer DEFAULT NULL,
	OUT rank integer,
	OUT recording_msid uuid,
	OUT score real)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_similar'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 100000 ROWS 10
	SUPPORT lbrec.planner_support;
COMMENT ON FUNCTION lbrec_similar IS
'the k recordings whose vectors are nearest by cosine, exactly, to the mean of the given recordings'' vectors at unit length; score is the cosine. The given recordings and those of exclude are left out; candidates, filter, min_listens, max_listens, per_artist, artist_column and diversity are as in lbrec_recommend';

CREATE FUNCTION lbrec_similar_users(
	user_id bigint,
	k integer DEFAULT 10,
	model text DEFAULT NULL,
	version integer DEFAULT NULL,
	OUT rank integer,
	OUT similar_user_id bigint,
	OUT score real)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_similar_users'
LANGUAGE C STABLE PARALLEL SAFE COST 100000 ROWS 10
	SUPPORT lbrec.planner_support;
COMMENT ON FUNCTION lbrec_similar_users IS
'the k users with the embeddings nearest to a user''s by cosine, exactly; score is the cosine. Needs a model with an embedding for each user, such as one of preset paper';

CREATE FUNCTION lbrec_evaluate(
	model text DEFAULT NULL,
	listens text DEFAULT NULL,
	ks integer[] DEFAULT '{1,5,10,50,100}',
	version integer DEFAULT NULL,
	since timestamptz DEFAULT NULL,
	as_of timestamptz DEFAULT NULL,
	OUT recommender text,
	OUT k integer,
	OUT top_k_accuracy real,
	OUT ndcg real,
	OUT mrr real,
	OUT new_recall real,
	OUT new_ndcg real,
	OUT coverage real,
	OUT mean_popularity real,
	OUT listens_evaluated bigint,
	OUT unknown_recordings bigint,
	OUT users_evaluated bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_evaluate'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000 ROWS 15;
COMMENT ON FUNCTION lbrec_evaluate IS
'measures how well the model and two baselines (recommender: model, popular, most_played) predict unseen listens. Over all listens: top_k_accuracy (ties count for the recording), ndcg, mrr. Over recordings new to their users: new_recall, new_ndcg. Over the lists of k: coverage, mean_popularity. Only listens from since on and before as_of are read';

CREATE FUNCTION lbrec_record_evaluation(
	model text DEFAULT NULL,
	listens text DEFAULT NULL,
	ks integer[] DEFAULT '{1,5,10,20,50,100}',
	version integer DEFAULT NULL,
	since timestamptz DEFAULT NULL,
	as_of timestamptz DEFAULT NULL,
	OUT recommender text,
	OUT k integer,
	OUT top_k_accuracy real,
	OUT ndcg real,
	OUT mrr real,
	OUT new_recall real,
	OUT new_ndcg real,
	OUT coverage real,
	OUT mean_popularity real,
	OUT listens_evaluated bigint,
	OUT unknown_recordings bigint,
	OUT users_evaluated bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_record_evaluation'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 18;
COMMENT ON FUNCTION lbrec_record_evaluation IS
'does what lbrec_evaluate does, and stores the rows in lbrec.evaluation';

CREATE FUNCTION lbrec_evaluate_users(
	model text DEFAULT NULL,
	listens text DEFAULT NULL,
	ks integer[] DEFAULT '{10}',
	rankings text DEFAULT NULL,
	version integer DEFAULT NULL,
	OUT user_id bigint,
	OUT recommender text,
	OUT k integer,
	OUT top_k_accuracy double precision,
	OUT ndcg double precision,
	OUT mrr double precision,
	OUT new_recall double precision,
	OUT new_ndcg double precision,
	OUT listens_evaluated bigint,
	OUT new_recordings bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_evaluate_users'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000 ROWS 3000;
COMMENT ON FUNCTION lbrec_evaluate_users IS
'the measures of lbrec_evaluate, a row for each user, recommender and K, for errors and paired comparisons; with rankings, as in lbrec_evaluate_lists, also those of the recommender rankings. new_recall, new_ndcg: null for a user without new recordings; new_recordings: their number';

CREATE FUNCTION lbrec_evaluate_lists(
	rankings text,
	listens text DEFAULT NULL,
	model text DEFAULT NULL,
	ks integer[] DEFAULT '{1,5,10,50,100}',
	version integer DEFAULT NULL,
	OUT recommender text,
	OUT k integer,
	OUT top_k_accuracy real,
	OUT ndcg real,
	OUT mrr real,
	OUT new_recall real,
	OUT new_ndcg real,
	OUT coverage real,
	OUT mean_popularity real,
	OUT listens_evaluated bigint,
	OUT unknown_recordings bigint,
	OUT users_evaluated bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_evaluate_lists'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000 ROWS 5;
COMMENT ON FUNCTION lbrec_evaluate_lists IS
'the measures of lbrec_evaluate for lists that were made elsewhere: rankings is a table or query with columns user_id, recording_msid and rank (1 is the best). The model decides which recordings are new to a user';

CREATE FUNCTION lbrec_evaluate_next(
	since timestamptz,
	until timestamptz DEFAULT NULL,
	model text DEFAULT NULL,
	listens text DEFAULT NULL,
	ks integer[] DEFAULT '{1,10,20}',
	version integer DEFAULT NULL,
	OUT recommender text,
	OUT k integer,
	OUT recall real,
	OUT mrr real,
	OUT new_recall real,
	OUT new_mrr real,
	OUT listens_evaluated bigint,
	OUT new_listens bigint,
	OUT unknown_recordings bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_evaluate_next'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000 ROWS 15;
COMMENT ON FUNCTION lbrec_evaluate_next IS
'measures how well lbrec_next predicts each listen from since on, before until, given all earlier listens of its user; with four baselines: popularity, own plays weighted by age, all users'' transitions from the last play, and a blend of these. recall: share of listens whose recording is among the first k; mrr: mean of 1 / rank; new_recall, new_mrr: for recordings new to their users, ranked among those new to them';

--
-- Models
--
CREATE FUNCTION lbrec_activate(
	model text,
	version integer DEFAULT NULL,
	make_default boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'lbrec_activate'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION lbrec_activate IS
'makes a version of a model (default: the newest) the one that answers for its name; with make_default it also answers calls that name no model';

CREATE FUNCTION lbrec_drop_model(
	model text,
	version integer DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'lbrec_drop_model'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION lbrec_drop_model IS
'drops a version of a model, or all its versions; returns their number';

CREATE FUNCTION lbrec_prune(
	model text,
	keep integer)
RETURNS integer
AS 'MODULE_PATHNAME', 'lbrec_prune'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION lbrec_prune IS
'drops the versions of a model, except the newest keep, the active one, and those that a training run continues; returns their number';

CREATE FUNCTION lbrec_forget_user(
	user_id bigint,
	OUT model text,
	OUT version integer,
	OUT dropped boolean,
	OUT recordings bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_forget_user'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION lbrec_forget_user IS
'takes a user out of all versions of all models; a row for each that knew them, with the number of recordings of theirs that it had, or dropped, if it was a model of nobody else';

CREATE FUNCTION lbrec_comment(
	model text,
	comment text,
	version integer DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'lbrec_comment'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION lbrec_comment IS
'sets the comment of a version of a model (default: the newest), shown by lbrec_model_details; null removes it';

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
'reads a stored version, all versions of a model, or all models, and compares them with their checksums, shapes, vocabularies and settings; a row for each tensor and one for the serving image';

CREATE FUNCTION lbrec_export(
	model text,
	version integer DEFAULT NULL,
	OUT seq bigint,
	OUT chunk bytea)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'lbrec_export'
LANGUAGE C STABLE PARALLEL UNSAFE COST 1000000 ROWS 100;
COMMENT ON FUNCTION lbrec_export IS
'returns a version of a model (default: the active one) as rows for COPY, in the format of docs/model-format.md; lbrec_import reads them';

CREATE FUNCTION lbrec_import(
	rows text,
	model text DEFAULT NULL,
	activate boolean DEFAULT false)
RETURNS integer
AS 'MODULE_PATHNAME', 'lbrec_import'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION lbrec_import IS
'imports the rows of lbrec_export, from a table or query with columns seq and chunk, as the next version of a model, by default under the exported name; returns its number. The version is active only if activate is true';

CREATE FUNCTION lbrec_curves_svg(
	models text[],
	figure text DEFAULT 'top_100',
	versions integer[] DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'lbrec_curves_svg'
LANGUAGE C STABLE PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION lbrec_curves_svg IS
'a figure as SVG text: a measure of lbrec.epoch by epoch, with a line for each model''s active version, or for the given versions';

CREATE FUNCTION lbrec.listens_since(since timestamptz)
RETURNS real
AS 'MODULE_PATHNAME', 'lbrec_listens_since'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100000;
COMMENT ON FUNCTION lbrec.listens_since IS
'share of the listens in the default table that are later than a time, from a sample of its pages where there are many; null if there is no such table, or none that the caller may read';

CREATE FUNCTION lbrec_report(
	model text DEFAULT NULL,
	version integer DEFAULT NULL,
	recordings text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'lbrec_report'
LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000;
COMMENT ON FUNCTION lbrec_report IS
'a version of a model as one HTML page: its measures, its recommendations for some users and overall, a map of its recordings, and its training. recordings is a table or query of names, by default the table recording';

CREATE VIEW lbrec_models AS
SELECT m.name, m.version, m.active,
	m.active AND COALESCE(m.precedence OPERATOR(pg_catalog.=) m.top_precedence,
		m.top_precedence IS NULL AND m.first_active OPERATOR(pg_catalog.=) m.last_active)
		AS is_default,
	pg_catalog.date_trunc('minute', pg_catalog.now() OPERATOR(pg_catalog.-) m.created) AS age,
	m.n_listens, m.n_users, m.n_recordings, lbrec.figure(v.ndcg_100) AS ndcg_100,
	CASE WHEN m.active THEN lbrec.listens_since(least(m.created, pg_catalog.to_timestamp(
		(m.config OPERATOR(pg_catalog.#>>) '{time,last}')::pg_catalog.float8))) END AS listens_since
FROM (
	SELECT x.*,
		x.activation OPERATOR(pg_catalog.>) 0 AND x.activation OPERATOR(pg_catalog.=)
			pg_catalog.max(x.activation) OVER (PARTITION BY x.name) AS active,
		pg_catalog.max(x.precedence) FILTER (WHERE x.activation OPERATOR(pg_catalog.>) 0) OVER () AS top_precedence,
		pg_catalog.min(x.name) FILTER (WHERE x.activation OPERATOR(pg_catalog.>) 0) OVER () AS first_active,
		pg_catalog.max(x.name) FILTER (WHERE x.activation OPERATOR(pg_catalog.>) 0) OVER () AS last_active
	FROM lbrec.model AS x) AS m
LEFT JOIN LATERAL (
	SELECT pg_catalog.max(x.new_ndcg) AS ndcg_100
	FROM lbrec.evaluation AS x
	WHERE x.model OPERATOR(pg_catalog.=) m.id AND x.kind OPERATOR(pg_catalog.=) 'training'
		AND x.recommender OPERATOR(pg_catalog.=) 'model' AND x.k OPERATOR(pg_catalog.=) 100) AS v ON true;
COMMENT ON VIEW lbrec_models IS
'versions of models, for one screen: whether a version is active, whether it is the default, its age and its quality; lbrec_model_details has the rest';
COMMENT ON COLUMN lbrec_models.name IS 'name of the model';
COMMENT ON COLUMN lbrec_models.version IS 'number of the version';
COMMENT ON COLUMN lbrec_models.active IS 'true if it answers for its name';
COMMENT ON COLUMN lbrec_models.is_default IS 'true if it answers calls that name no model';
COMMENT ON COLUMN lbrec_models.age IS 'time since its training began, in minutes';
COMMENT ON COLUMN lbrec_models.n_listens IS 'listens that it was trained on';
COMMENT ON COLUMN lbrec_models.n_users IS 'users that it knows';
COMMENT ON COLUMN lbrec_models.n_recordings IS 'recordings that it knows';
COMMENT ON COLUMN lbrec_models.ndcg_100 IS 'NDCG@100 of recordings new to their users, on listens that the training held out; null if none';
COMMENT ON COLUMN lbrec_models.listens_since IS 'share of the listens in the default table that are later than the training; null for versions that are not active';

CREATE VIEW lbrec_model_details AS
SELECT m.name, m.version, m.owner, m.created, e.epochs,
	lbrec.figure(e.loss) AS loss, lbrec.figure(e.top_10) AS top_10, lbrec.figure(e.top_100) AS top_100,
	lbrec.figure(v.popular_ndcg_100) AS popular_ndcg_100, m.comment, m.query,
	m.config OPERATOR(pg_catalog.->) 'options' AS options
FROM lbrec.model AS m
LEFT JOIN LATERAL (
	-- takes the saved epoch or, if no best epoch was chosen, the last measured one
	SELECT pg_catalog.count(*) AS epochs,
		(pg_catalog.array_agg(l.loss ORDER BY l.saved DESC, l.epoch DESC))[1] AS loss,
		(pg_catalog.array_agg(l.top_10 ORDER BY l.saved DESC, l.epoch DESC)
			FILTER (WHERE l.top_10 IS NOT NULL))[1] AS top_10,
		(pg_catalog.array_agg(l.top_100 ORDER BY l.saved DESC, l.epoch DESC)
			FILTER (WHERE l.top_100 IS NOT NULL))[1] AS top_100
	FROM (SELECT x.model, x.epoch, x.loss, x.top_10, x.top_100, coalesce(x.epoch::pg_catalog.text OPERATOR(pg_catalog.=)
			(m.config OPERATOR(pg_catalog.->>) 'best_epoch'), false) AS saved
		FROM lbrec.epoch AS x) AS l
	WHERE l.model OPERATOR(pg_catalog.=) m.id) AS e ON true
LEFT JOIN LATERAL (
	SELECT pg_catalog.max(x.new_ndcg) AS popular_ndcg_100
	FROM lbrec.evaluation AS x
	WHERE x.model OPERATOR(pg_catalog.=) m.id AND x.kind OPERATOR(pg_catalog.=) 'training'
		AND x.recommender OPERATOR(pg_catalog.=) 'popular' AND x.k OPERATOR(pg_catalog.=) 100) AS v ON true;
COMMENT ON VIEW lbrec_model_details IS
'versions of models, with columns that lbrec_models has no room for: the owner, measures of the saved epoch, the comment, the query of listens and the settings';
COMMENT ON COLUMN lbrec_model_details.name IS 'name of the model';
COMMENT ON COLUMN lbrec_model_details.version IS 'number of the version';
COMMENT ON COLUMN lbrec_model_details.owner IS 'role that trained it';
COMMENT ON COLUMN lbrec_model_details.created IS 'when the transaction of its training began';
COMMENT ON COLUMN lbrec_model_details.epochs IS 'epochs that were trained';
COMMENT ON COLUMN lbrec_model_details.loss IS 'loss of a batch in the epoch that is saved';
COMMENT ON COLUMN lbrec_model_details.top_10 IS 'top-10 accuracy after that epoch, or after the last one measured';
COMMENT ON COLUMN lbrec_model_details.top_100 IS 'top-100 accuracy after that epoch, or after the last one measured';
COMMENT ON COLUMN lbrec_model_details.popular_ndcg_100 IS 'the measure ndcg_100 of lbrec_models for a list of the most popular recordings';
COMMENT ON COLUMN lbrec_model_details.comment IS 'note set by lbrec_comment';
COMMENT ON COLUMN lbrec_model_details.query IS 'table or query of listens that it was trained on';
COMMENT ON COLUMN lbrec_model_details.options IS 'settings of the training';

CREATE VIEW lbrec_weeks AS
SELECT e.name, e.kind, e.recommender, e.k,
	pg_catalog.count(*) FILTER (WHERE e.latest) AS evaluations,
	pg_catalog.count(*) FILTER (WHERE NOT e.latest) AS evaluations_before,
	lbrec.figure(pg_catalog.avg(e.new_ndcg) FILTER (WHERE e.latest)) AS new_ndcg,
	lbrec.figure(pg_catalog.avg(e.new_ndcg) FILTER (WHERE NOT e.latest)) AS new_ndcg_before,
	lbrec.figure(pg_catalog.avg(e.new_recall) FILTER (WHERE e.latest)) AS new_recall,
	lbrec.figure(pg_catalog.avg(e.new_recall) FILTER (WHERE NOT e.latest)) AS new_recall_before,
	lbrec.figure(pg_catalog.avg(e.top_k_accuracy) FILTER (WHERE e.latest)) AS top_k_accuracy,
	lbrec.figure(pg_catalog.avg(e.top_k_accuracy) FILTER (WHERE NOT e.latest)) AS top_k_accuracy_before,
	lbrec.figure(pg_catalog.avg(e.mrr) FILTER (WHERE e.latest)) AS mrr,
	lbrec.figure(pg_catalog.avg(e.mrr) FILTER (WHERE NOT e.latest)) AS mrr_before
FROM (
	SELECT x.*, x.measured OPERATOR(pg_catalog.>) (pg_catalog.now() OPERATOR(pg_catalog.-) interval '7 days') AS latest
	FROM lbrec.evaluation AS x
	WHERE x.measured OPERATOR(pg_catalog.>) (pg_catalog.now() OPERATOR(pg_catalog.-) interval '14 days')) AS e
GROUP BY e.name, e.kind, e.recommender, e.k;
COMMENT ON VIEW lbrec_weeks IS
'measures in lbrec.evaluation of the last seven days beside those of the seven days before: means over evaluations, by name, kind, recommender and k';
COMMENT ON COLUMN lbrec_weeks.name IS 'name of the model, whatever the version';
COMMENT ON COLUMN lbrec_weeks.kind IS 'as in lbrec.evaluation';
COMMENT ON COLUMN lbrec_weeks.recommender IS 'as in lbrec.evaluation';
COMMENT ON COLUMN lbrec_weeks.k IS 'length of the list that counts';
COMMENT ON COLUMN lbrec_weeks.evaluations IS 'number of evaluations in the last seven days';
COMMENT ON COLUMN lbrec_weeks.evaluations_before IS 'number of evaluations in the seven days before';
COMMENT ON COLUMN lbrec_weeks.new_ndcg IS 'NDCG of recordings new to their users, in the last seven days';
COMMENT ON COLUMN lbrec_weeks.new_ndcg_before IS 'the same in the seven days before';
COMMENT ON COLUMN lbrec_weeks.new_recall IS 'recall of recordings new to their users, in the last seven days';
COMMENT ON COLUMN lbrec_weeks.new_recall_before IS 'the same in the seven days before';
COMMENT ON COLUMN lbrec_weeks.top_k_accuracy IS 'share of listens whose recording is among the first k, in the last seven days';
COMMENT ON COLUMN lbrec_weeks.top_k_accuracy_before IS 'the same in the seven days before';
COMMENT ON COLUMN lbrec_weeks.mrr IS 'mean of 1 / rank over listens, in the last seven days';
COMMENT ON COLUMN lbrec_weeks.mrr_before IS 'the same in the seven days before';

-- A view reads with its owner's rights and so bypasses its reader's row
-- security.  security_invoker changes that, from PostgreSQL 15 on.
DO $$
BEGIN
	IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 150000 THEN
		ALTER VIEW lbrec_models SET (security_invoker = true);
		ALTER VIEW lbrec_model_details SET (security_invoker = true);
		ALTER VIEW lbrec_weeks SET (security_invoker = true);
	END IF;
END $$;

CREATE FUNCTION lbrec_cpu()
RETURNS TABLE (kernels text, usable boolean, in_use boolean, library text,
	version text, core text, problem text)
AS 'MODULE_PATHNAME', 'lbrec_cpu'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED ROWS 6;
COMMENT ON FUNCTION lbrec_cpu IS
'the sets of kernels, the best first; tells whether the CPU supports each, and which one this session uses (lbrec.cpu)';

-- The remaining time counts from the time in the line, so that the view
-- advances between two lines.
CREATE VIEW lbrec_progress AS
SELECT p.pid, p.usename, p.datname, p.command, p.model, p.phase,
	coalesce(pg_catalog.round((100.0 OPERATOR(pg_catalog.*) p.elapsed OPERATOR(pg_catalog./)
		(p.elapsed OPERATOR(pg_catalog.+) p.rest OPERATOR(pg_catalog.+) 0.001))::pg_catalog.numeric, 1), 0) AS percent,
	pg_catalog.make_interval(secs => p.elapsed) AS elapsed,
	p.asked OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => p.rest) AS estimated_end,
	p.listens_per_second, p.memory, p.started
FROM (
	SELECT a.pid, a.usename, a.datname, m.match[1] AS command, m.match[2] AS model, m.match[3] AS phase,
		t.asked, a.query_start AS started,
		pg_catalog.date_part('epoch', t.asked OPERATOR(pg_catalog.-) a.query_start) AS elapsed,
		CASE WHEN m.match[4] OPERATOR(pg_catalog.<>) '?' THEN greatest(m.match[4]::pg_catalog.float8 OPERATOR(pg_catalog.+)
			m.match[5]::pg_catalog.float8 OPERATOR(pg_catalog.-) pg_catalog.date_part('epoch', t.asked), 0) END AS rest,
		m.match[6]::pg_catalog.int8 AS listens_per_second,
		m.match[7]::pg_catalog.int8 OPERATOR(pg_catalog.*) 1048576 AS memory
	FROM pg_catalog.pg_stat_activity AS a,
		LATERAL (SELECT pg_catalog.clock_timestamp() AS asked OFFSET 0) AS t,
		LATERAL pg_catalog.regexp_match(a.query,
			'^(lbrec_[a-z]+) "(.*)": ([^;]*); (\d{1,9}|\?) s left at (\d{1,12}); (\d{1,13}) listens/s; (\d{1,12}) MB$')
			AS m (match)
	WHERE m.match IS NOT NULL AND a.state OPERATOR(pg_catalog.=) 'active') AS p;
COMMENT ON VIEW lbrec_progress IS
'trainings and searches under way, from pg_stat_activity';
COMMENT ON COLUMN lbrec_progress.pid IS 'process of the session';
COMMENT ON COLUMN lbrec_progress.usename IS 'role of the session';
COMMENT ON COLUMN lbrec_progress.datname IS 'database of the session';
COMMENT ON COLUMN lbrec_progress.command IS 'function that was called';
COMMENT ON COLUMN lbrec_progress.model IS 'name of the model that is trained';
COMMENT ON COLUMN lbrec_progress.phase IS 'the current step: reading, a trial, an epoch, measuring, the last training, saving';
COMMENT ON COLUMN lbrec_progress.percent IS 'estimated share that is done, from the time that epochs took; 0 before the first epoch';
COMMENT ON COLUMN lbrec_progress.elapsed IS 'time since the statement began';
COMMENT ON COLUMN lbrec_progress.estimated_end IS 'estimated time of the statement''s end; null before the first epoch';
COMMENT ON COLUMN lbrec_progress.listens_per_second IS 'listens read, or trained in the latest epoch, per second';
COMMENT ON COLUMN lbrec_progress.memory IS 'bytes that the session has allocated';
COMMENT ON COLUMN lbrec_progress.started IS 'when the statement began';

GRANT SELECT ON lbrec_models, lbrec_model_details, lbrec_weeks, lbrec_progress TO @extowner@ WITH GRANT OPTION;

-- By default only the extension's owner can train or change models; reading
-- needs SELECT on the tables of schema lbrec, which PUBLIC does not have.
REVOKE EXECUTE ON FUNCTION lbrec_train, lbrec_tune, lbrec_retrain, lbrec_add_items, lbrec_backtest, lbrec_activate, lbrec_drop_model,
	lbrec_prune, lbrec_comment, lbrec_import, lbrec_forget_user, lbrec_record_evaluation
	FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lbrec_train, lbrec_tune, lbrec_retrain, lbrec_add_items, lbrec_backtest, lbrec_activate, lbrec_drop_model,
	lbrec_prune, lbrec_comment, lbrec_import, lbrec_forget_user, lbrec_record_evaluation
	TO @extowner@ WITH GRANT OPTION;
