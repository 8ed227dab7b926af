-- warm.sql
--		Going on from an older model, beside training anew on all listens.
--
-- A table "listen" is cut by time: 85.5 % old, 9.5 % new, 5 % to measure on.
-- "before" knows the old ones, "anew" all but those to measure on, and
-- "going on" continues "before" with the new ones (start_from), as the default
-- preset does or in two epochs without a hold-out.  All are of the default
-- preset.  Printed are processor seconds, as a share of training
-- anew too, and what lbrec_evaluate says of each.  Needs a superuser (for the
-- processor time) and Linux.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;

CREATE FUNCTION pg_temp.processor() RETURNS float8 LANGUAGE sql VOLATILE AS
$$SELECT (split_part(s, ' ', 14)::float8 + split_part(s, ' ', 15)::float8) / 100
FROM pg_read_file('/proc/self/stat') AS s$$;

-- wrong clocks would put old listens first
CREATE TEMP TABLE play AS
SELECT user_id, listened_at, recording_msid,
	percent_rank() OVER (ORDER BY listened_at) AS place
FROM listen WHERE listened_at >= '2002-01-01';
ANALYZE play;

CREATE TEMP TABLE training (model text, seconds float8);

CREATE FUNCTION pg_temp.train(name text, places text, settings text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	began float8 := pg_temp.processor();
BEGIN
	EXECUTE format('SELECT count(*) FROM lbrec_train(%L, %L, activate => true %s)',
		name, 'SELECT user_id, listened_at, recording_msid FROM play WHERE place ' || places,
		settings);
	INSERT INTO training VALUES (name, pg_temp.processor() - began);
END $$;

SELECT count(*) AS listens, count(DISTINCT user_id) AS users,
	count(DISTINCT recording_msid) AS recordings FROM play;
SELECT pg_temp.train('before', '< 0.855', '') \g /dev/null
SELECT pg_temp.train('anew', '< 0.95', '') \g /dev/null
SELECT pg_temp.train('going on', 'BETWEEN 0.855 AND 0.95',
	$$, start_from => 'before'$$) \g /dev/null
SELECT pg_temp.train('going on, nothing held out', 'BETWEEN 0.855 AND 0.95',
	$$, start_from => 'before', split => 'none', epochs => 2,
	settings => '{"early_stopping": "none", "refit": false}'$$) \g /dev/null

SELECT t.model, round(t.seconds::numeric, 1) AS processor,
	round((100 * t.seconds / a.seconds)::numeric) AS percent_of_anew,
	round(e.top_k_accuracy::numeric, 4) AS top_20,
	round(e.ndcg::numeric, 4) AS ndcg_20,
	round(e.new_recall::numeric, 4) AS new_recall_20,
	round(f.top_k_accuracy::numeric, 4) AS top_100,
	round(f.new_recall::numeric, 4) AS new_recall_100
FROM training AS t
JOIN training AS a ON a.model = 'anew',
	lbrec_evaluate(t.model, 'SELECT user_id, listened_at, recording_msid FROM play WHERE place > 0.95', '{20}') AS e,
	lbrec_evaluate(t.model, 'SELECT user_id, listened_at, recording_msid FROM play WHERE place > 0.95', '{100}') AS f
WHERE e.recommender = 'model' AND f.recommender = 'model'
ORDER BY t.seconds;

SELECT lbrec_drop_model(model) FROM training \g /dev/null
