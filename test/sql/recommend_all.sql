--
-- lbrec_recommend_all returns its rows as they are asked for, and leaves
-- nothing behind, however it ends
--
\i test/sql/listens.inc
SELECT count(*) FROM lbrec_train('m', epochs => 2);
CREATE FUNCTION pg_temp.left_over() RETURNS TABLE (context text, n bigint) LANGUAGE sql AS
$$ SELECT name, count(*) FROM pg_backend_memory_contexts WHERE name ~ 'SRF multi-call|lbrec tile|lbrec threads|lbrec new user' GROUP BY name $$;
-- as the leader of a cluster on Linux sees it
CREATE FUNCTION pg_temp.threads() RETURNS text LANGUAGE sql AS
$$ SELECT (regexp_match(pg_read_file('/proc/self/status'), 'Threads:\s+(\d+)'))[1] $$;
SET lbrec.threads = 3;

-- the same rows in a select list as in FROM, in the same order
CREATE TEMP TABLE listed AS SELECT row_number() OVER () AS n, (l.r).* FROM (SELECT lbrec_recommend_all(7) AS r OFFSET 0) AS l;
CREATE TEMP TABLE scanned AS SELECT * FROM ROWS FROM (lbrec_recommend_all(7)) WITH ORDINALITY AS r (user_id, rank, recording_msid, score, basis, n);
SELECT count(*) FROM listed JOIN scanned USING (n, user_id, rank, recording_msid, score, basis);
SELECT bool_and(rank = (n - 1) % 7 + 1) AS ranks, count(DISTINCT user_id) AS users FROM listed;

-- a few rows cost a few users: others' listens are not read
CREATE FUNCTION pg_temp.noisy() RETURNS TABLE (user_id bigint, listened_at timestamptz, recording_msid uuid) LANGUAGE plpgsql AS
$$ BEGIN RAISE NOTICE 'read'; RETURN QUERY SELECT 1001::bigint, now(), md5('recording 1')::uuid; END $$;
SELECT (r).rank FROM (SELECT lbrec_recommend_all(3, users => (SELECT array_agg(i) FROM generate_series(1001, 1500) AS i), listens => 'SELECT * FROM pg_temp.noisy()') AS r LIMIT 1) AS l;
SELECT count(*) FROM (SELECT lbrec_recommend_all(3) LIMIT 20) AS l;
SELECT count(*) FROM (SELECT lbrec_recommend_all(85) LIMIT 3000) AS l;
SELECT lbrec_recommend_all(3) IS NOT NULL AS row WHERE false;
SELECT lbrec_recommend_all(3, users => '{}');
SELECT lbrec_recommend_all(3, users => '{NULL,NULL}');
SELECT count(*) FROM (SELECT lbrec_recommend_all(3) LIMIT 0) AS l;
-- beside another set, which ends earlier
SELECT count(*), count(r) FROM (SELECT lbrec_recommend_all(3, users => '{7,8}') AS r, generate_series(1, 10)) AS l;
SELECT * FROM pg_temp.left_over();

-- begun anew before it was at its end
SELECT u, l.* FROM generate_series(1, 3) AS u, LATERAL (SELECT (r).user_id, (r).rank
	FROM (SELECT lbrec_recommend_all(3, users => ARRAY[u::bigint, 7, 8]) AS r OFFSET 0) AS l LIMIT 4) AS l;
SELECT * FROM pg_temp.left_over();

-- a cursor: no thread waits for its client, and what it began with stays
-- whatever happens to the model
BEGIN;
DECLARE c CURSOR FOR SELECT (r).user_id, (r).rank FROM (SELECT lbrec_recommend_all(7) AS r OFFSET 0) AS l;
FETCH 2 FROM c;
MOVE 100 FROM c;
SELECT pg_temp.threads() AS threads;
SELECT count(*) > 0 AS open FROM pg_temp.left_over();
SELECT lbrec_drop_model('m');
SELECT lbrec_recommend_all(3);
ROLLBACK;
BEGIN;
CREATE TEMP TABLE fetched (user_id bigint, rank int, recording_msid uuid, score real, basis text) ON COMMIT DROP;
DO $$
DECLARE
	c CURSOR FOR SELECT (l.r).* FROM (SELECT lbrec_recommend_all(7) AS r OFFSET 0) AS l;
	row record;
	n int := 0;
BEGIN
	FOR row IN c LOOP
		INSERT INTO fetched SELECT row.user_id, row.rank, row.recording_msid, row.score, row.basis;
		n := n + 1;
		IF n = 3 THEN
			PERFORM lbrec_drop_model('m');
			PERFORM lbrec_train('m', 'SELECT user_id + 500 AS user_id, listened_at, recording_msid FROM listen', epochs => 1);
			PERFORM lbrec_recommend(507);
		END IF;
	END LOOP;
END $$;
SELECT count(*) FROM fetched JOIN scanned USING (user_id, rank, recording_msid, score, basis);
ROLLBACK;
-- a cursor that scrolls, and one that outlives its transaction
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT (r).rank FROM (SELECT lbrec_recommend_all(7) AS r) AS l;
FETCH 3 FROM c;
FETCH PRIOR FROM c;
CLOSE c;
DECLARE c CURSOR WITH HOLD FOR SELECT (r).rank FROM (SELECT lbrec_recommend_all(2) AS r) AS l;
FETCH 1 FROM c;
COMMIT;
FETCH 1 FROM c;
CLOSE c;
-- an early exit in a function
DO $$ BEGIN PERFORM FROM (SELECT lbrec_recommend_all(7) AS r) AS l LIMIT 1;
	FOR i IN 1 .. 5 LOOP DECLARE r record; BEGIN FOR r IN SELECT lbrec_recommend_all(7) LOOP EXIT; END LOOP; END; END LOOP; END $$;
-- an error in the middle, at the hundredth user
BEGIN;
SAVEPOINT s;
\set VERBOSITY terse
SELECT count(*) FROM (SELECT lbrec_recommend_all(3, users => (SELECT array_agg(i) FROM generate_series(1001, 1500) AS i),
	listens => 'SELECT * FROM listen UNION ALL SELECT u, now(), md5((1 / (u - 1100))::text)::uuid FROM generate_series(1001, 1200) AS u')) AS l;
\set VERBOSITY default
ROLLBACK TO s;
SELECT count(*) FROM (SELECT lbrec_recommend_all(3)) AS l;
COMMIT;
SELECT * FROM pg_temp.left_over();
SELECT pg_temp.threads() AS threads;

-- models that were left early are let go of: a session keeps four at most
DO $$
BEGIN
	FOR i IN 1 .. 7 LOOP
		PERFORM lbrec_train('model ' || i, 'SELECT * FROM listen WHERE user_id < 9', epochs => 1, preset => 'default', settings => '{"embedding_dim": 4}');
		PERFORM FROM (SELECT lbrec_recommend_all(3, 'model ' || i) LIMIT 1) AS l;
		BEGIN
			PERFORM lbrec_recommend_all(3, 'model ' || i, users => '{1001}', listens => 'missing');
		EXCEPTION WHEN undefined_table THEN NULL;
		END;
	END LOOP;
END $$;
SELECT count(*) <= 4 AS let_go FROM pg_backend_memory_contexts WHERE name = 'lbrec image';
SELECT count(lbrec_drop_model('model ' || i)) FROM generate_series(1, 7) AS i;
SELECT lbrec_drop_model('m');
