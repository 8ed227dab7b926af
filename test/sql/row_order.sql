--
-- The order of rows does not matter: the same rows make the same model
--
\i test/sql/listens.inc
CREATE TEMP VIEW weights AS
SELECT m.name, md5(string_agg(t.name || md5(t.data), '' ORDER BY t.name COLLATE "C", t.chunk)) AS sum
FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id WHERE t.name NOT IN ('config', 'manifest') GROUP BY m.id;
CREATE TEMP TABLE rich AS
SELECT l.*, 'artist ' || taste AS artist_name, taste * 1.5 AS tempo, ARRAY['b' || taste, 'a' || l.user_id % 3] AS tags, date '2001-01-01' + taste AS released,
	CASE WHEN l.user_id % 5 = 0 THEN NULL ELSE l.user_id % 7 + row_number() OVER () % 2 END AS age
FROM listen AS l JOIN recording USING (recording_msid);
CREATE TEMP VIEW fivefold AS SELECT l.* FROM listen AS l, generate_series(1, 5);
-- and with all times the same
CREATE TEMP TABLE tied AS SELECT user_id, 0 AS listened_at, recording_msid, artist_name, tempo, tags, age FROM rich;

SET lbrec.threads = 1;
-- orders: by time, backwards, by chance; every split, batches of either kind, further columns whose values differ from row to row
CREATE FUNCTION pg_temp.sums(source text, rest text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	DELETE FROM lbrec.model;
	FOR n IN 1 .. 3 LOOP
		EXECUTE format('SELECT count(*) FROM lbrec_train(%L, %L%s)', 'order ' || n,
			format('SELECT * FROM %s ORDER BY %s', source, (ARRAY['listened_at, user_id, recording_msid, md5(' || source || '::text)', 'listened_at DESC, recording_msid DESC, user_id DESC, md5(' || source || '::text) DESC', 'md5(' || source || '::text)'])[n]), rest);
	END LOOP;
	SELECT count(DISTINCT sum) INTO n FROM weights;
	RETURN n;
END $$;
SELECT pg_temp.sums('listen', ', epochs => 2') AS models;
SELECT pg_temp.sums('listen', $$, epochs => 2, split => 'random', settings => '{"refit": false, "early_stopping": "ndcg_20", "evaluate_every": 1, "ensemble": 1, "test_limit": 100}'$$) AS models;
SELECT pg_temp.sums('listen', $$, epochs => 1, split => 'time', settings => '{"batch_by": "listens", "ensemble": 1, "history_window": "before", "test_limit": 50}'$$) AS models;
SELECT pg_temp.sums('listen', $$, epochs => 1, settings => '{"min_listens": 20, "hash_buckets": 3, "ensemble": 1}'$$) AS models;
SELECT pg_temp.sums('listen', $$, epochs => 1, settings => '{"min_listens": 20, "ensemble": 1}'$$) AS models;
SELECT pg_temp.sums('rich', $$, epochs => 1, user_features => '{age}', settings => '{"ensemble": 1, "bucketize": ["tempo"], "embedding_dim": 8}'$$) AS models;
SELECT pg_temp.sums('rich', $$, preset => 'paper', epochs => 1$$) AS models;
SELECT pg_temp.sums('tied', $$, epochs => 2, user_features => '{age}', settings => '{"ensemble": 1, "embedding_dim": 8}'$$) AS models;
SELECT pg_temp.sums('tied', $$, preset => 'paper', epochs => 1, split => 'random'$$) AS models;
-- listens in a temporary file are sorted there
SET lbrec.spool_mem = '64kB';
SELECT pg_temp.sums('fivefold', $$, epochs => 1, settings => '{"ensemble": 1, "embedding_dim": 8}'$$) AS models;
RESET lbrec.spool_mem;
-- what is continued keeps its codes, what is new is in order
SELECT count(*) FROM lbrec_train('older', 'SELECT * FROM rich WHERE listened_at < ''2005-03-01'' AND user_id < 40', epochs => 1, user_features => '{age}',
	split => 'none', settings => '{"ensemble": 1, "embedding_dim": 8}');
SELECT count(*) FROM lbrec_train('newer 1', 'SELECT * FROM rich ORDER BY listened_at', start_from => 'older', user_features => '{age}', epochs => 1);
SELECT count(*) FROM lbrec_train('newer 2', 'SELECT * FROM rich ORDER BY md5(rich::text)', start_from => 'older', user_features => '{age}', epochs => 1);
SELECT count(DISTINCT sum) AS models FROM weights WHERE name LIKE 'newer%';
SELECT substring(a.data FOR octet_length(b.data)) = b.data AS same_codes
FROM lbrec.tensor AS a JOIN lbrec.model AS m ON m.id = a.model AND m.name = 'newer 1', lbrec.tensor AS b JOIN lbrec.model AS n ON n.id = b.model AND n.name = 'older'
WHERE a.name = 'recording_key' AND b.name = 'recording_key';
-- codes are in the order of plays, then of keys
SELECT bool_and((plays, key) > (before, before_key)) AS in_order
FROM (SELECT -plays AS plays, key, lag(-plays) OVER w AS before, lag(key) OVER w AS before_key
	FROM (SELECT i, uuid_send(l.recording_msid) AS key, count(*) AS plays
		FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model, generate_series(0, t.rows - 1) AS i, rich AS l
		WHERE m.name = 'older' AND t.name = 'recording_key' AND l.listened_at < '2005-03-01' AND l.user_id < 40
		AND uuid_send(l.recording_msid) = substring(t.data FROM (i * 16 + 1)::integer FOR 16) GROUP BY 1, 2) AS k WINDOW w AS (ORDER BY i)) AS x
WHERE before IS NOT NULL;

-- held-out listens do not affect training: without them the towers are the same
CREATE TEMP TABLE known AS SELECT l.* FROM listen AS l
WHERE EXISTS (SELECT FROM listen AS e WHERE e.user_id = l.user_id AND e.listened_at < '2005-03-20')
	AND EXISTS (SELECT FROM listen AS e WHERE e.recording_msid = l.recording_msid AND e.listened_at < '2005-03-20');
CREATE FUNCTION pg_temp.leaks(settings jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM lbrec.model;
	PERFORM lbrec_train('whole', 'SELECT * FROM known', epochs => 2, test_from => '2005-03-20', settings => settings || '{"refit": false, "ensemble": 1, "embedding_dim": 8}');
	PERFORM lbrec_train('part', 'SELECT * FROM known WHERE listened_at < ''2005-03-20''', epochs => 2, split => 'none', settings => settings || '{"refit": false, "ensemble": 1, "embedding_dim": 8}');
	RETURN (SELECT count(*) FROM (SELECT t.name, t.data FROM lbrec.tensor AS t WHERE t.name ~ '_embedding$' GROUP BY 1, 2 HAVING count(*) <> 2) AS x);
END $$;
SELECT pg_temp.leaks('{}') AS differ;
SELECT pg_temp.leaks('{"batch_by": "listens"}') AS differ;
SELECT pg_temp.leaks('{"min_listens": 40, "hash_buckets": 3}') AS differ;
SELECT pg_temp.leaks('{"min_listens": 40}') AS differ;
DELETE FROM lbrec.model;
