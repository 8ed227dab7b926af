-- calls.sql
--		Cost of the serving calls, beside one another: many users at once and
--		one by one, filters of every width, a limit.
--
--	psql -X -d DATABASE -f test/bench/serve/calls.sql
--
-- On a database with an active model, as a superuser of a Linux server on the
-- same machine: what is measured is the backend's CPU time, on one thread, so
-- that other work on the machine matters little.  A model of the preprint's
-- size, where there is none:
--
--	CREATE TABLE listen AS SELECT (hashint8(n) & 2147483647) % 4000 + 1 AS user_id,
--		to_timestamp(1100000000 + (hashint8(n + 777777777) & 2147483647) % (86400 * 60)) AS listened_at,
--		md5(r::text)::uuid AS recording_msid, 'artist ' || r / 10 AS artist_name
--	FROM (SELECT n, CASE WHEN n <= 518540 THEN n ELSE ((hashint8(n * 31) & 2147483647)::float8 / 2147483647) ^ 3 * 518539 + 1 END::bigint AS r
--		FROM generate_series(1::bigint, 2000000) AS n) AS x;
--	SELECT * FROM lbrec_train('paper', preset => 'paper', epochs => 1, split => 'none');
\set QUIET on
\pset footer off
SET client_min_messages = warning;
SET jit = off;
SET lbrec.threads = 1;
SET max_parallel_workers_per_gather = 0;
CREATE FUNCTION pg_temp.cpu() RETURNS float8 LANGUAGE sql VOLATILE AS
$$ SELECT (split_part(s, ' ', 14)::float8 + split_part(s, ' ', 15)::float8) * 10 FROM pg_read_file('/proc/self/stat') AS s $$;
CREATE TEMP TABLE known AS SELECT recording_msid, row_number() OVER (ORDER BY md5(recording_msid::text)) AS n FROM lbrec_recording_embeddings();
CREATE TEMP TABLE many AS SELECT array_agg(u::bigint) AS users FROM generate_series(1, 2000) AS u;
CREATE TEMP TABLE cost (n serial, what text, calls int, ms float8);
-- the milliseconds of CPU that one of so many calls takes; a first is not counted
CREATE PROCEDURE pg_temp.measure(what text, calls int, query text) LANGUAGE plpgsql AS
$$
DECLARE
	began float8;
BEGIN
	EXECUTE query;
	began := pg_temp.cpu();
	FOR i IN 1 .. calls LOOP
		EXECUTE query;
	END LOOP;
	INSERT INTO cost (what, calls, ms) VALUES (what, calls, (pg_temp.cpu() - began) / calls);
END $$;
SELECT name, n_users, n_recordings FROM lbrec_models WHERE is_default;

CALL pg_temp.measure('2,000 users one by one', 1, 'SELECT count(*) FROM generate_series(1, 2000) AS u, LATERAL lbrec_recommend(u, 100)');
CALL pg_temp.measure('2,000 users at once, in FROM', 3, 'SELECT count(*) FROM lbrec_recommend_all(100, users => (SELECT users FROM many))');
CALL pg_temp.measure('2,000 users at once, in the select list', 3, 'SELECT count(*) FROM (SELECT lbrec_recommend_all(100, users => (SELECT users FROM many)) OFFSET 0) AS l');
CALL pg_temp.measure('the same, the first row', 20, 'SELECT FROM (SELECT lbrec_recommend_all(100, users => (SELECT users FROM many)) OFFSET 0) AS l LIMIT 1');
CALL pg_temp.measure('one user, all candidates', 200, 'SELECT count(*) FROM lbrec_recommend(1, 100)');
CALL pg_temp.measure('one user of whom nothing is known', 200, 'SELECT count(*) FROM lbrec_recommend(-1, 100)');
CALL pg_temp.measure('one user whose listens are read', 20, 'SELECT count(*) FROM lbrec_recommend(-1, 100, listens => ''SELECT -1::bigint AS user_id, listened_at, recording_msid FROM listen WHERE user_id = 1'')');
CALL pg_temp.measure('one user, exclude_listened', 100, 'SELECT count(*) FROM lbrec_recommend(1, 100, exclude_listened => true)');
CALL pg_temp.measure('one user, 200 candidates', 200, 'SELECT count(*) FROM lbrec_recommend(1, 100, candidates => ARRAY(SELECT recording_msid FROM known LIMIT 200))');
CALL pg_temp.measure('one user, min_listens', 50, 'SELECT count(*) FROM lbrec_recommend(1, 100, min_listens => 5)');
CALL pg_temp.measure('one user, per_artist', 100, 'SELECT count(*) FROM lbrec_recommend(1, 100, per_artist => 1)');
CALL pg_temp.measure('one user, diversity', 50, 'SELECT count(*) FROM lbrec_recommend(1, 100, diversity => 0.3)');
CALL pg_temp.measure('lbrec_score, 200 recordings', 200, 'SELECT lbrec_score(1, ARRAY(SELECT recording_msid FROM known LIMIT 200))');
CALL pg_temp.measure('lbrec_user_embedding', 500, 'SELECT lbrec_user_embedding(1)');
CALL pg_temp.measure('lbrec_similar', 20, 'SELECT count(*) FROM lbrec_similar((SELECT ARRAY[recording_msid] FROM known LIMIT 1), 100)');
DO $$
DECLARE
	w int;
BEGIN
	FOREACH w IN ARRAY '{100,1000,10000,100000,400000}'::int[] LOOP
		CALL pg_temp.measure(format('the query of a filter of %s alone', w), 2000000 / (w + 20000), format('SELECT count(recording_msid) FROM (SELECT recording_msid FROM known LIMIT %s) AS f', w));
		CALL pg_temp.measure(format('one user, a filter of %s', w), 2000000 / (w + 20000), format('SELECT count(*) FROM lbrec_recommend(1, 100, filter => ''SELECT recording_msid FROM known LIMIT %s'')', w));
	END LOOP;
END $$;
SELECT what, calls, round(ms::numeric, 2) AS cpu_ms, round((ms / first_value(ms) OVER (ORDER BY what <> 'one user, all candidates'))::numeric, 2) AS times_one_user
FROM cost ORDER BY n;
SELECT round(2000000 / ms) AS users_a_cpu_second, what FROM cost WHERE what LIKE '2,000%' ORDER BY n;
