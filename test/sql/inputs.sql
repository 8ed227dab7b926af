--
-- Inputs of the towers: history, clock, rare recordings, numbers in buckets
--

\i test/sql/listens.inc
SET client_min_messages = warning;	-- versions.sql tells of the default

-- the history: own or shared table, all or before, mean or root; served too
SELECT count(*) FROM lbrec_train('h', settings => '{"batch_by": "listens", "history_table": "own", "history_window": "others", "history_pooling": "mean", "ensemble": 1}', layers => '{8}', epochs => 1);
SELECT count(*) AS rows, count(DISTINCT score) > 1 AS differ FROM lbrec_recommend(3, 5, 'h');
SELECT count(*) FROM lbrec_train('h', settings => '{"batch_by": "listens", "history_table": "shared", "history_window": "others", "history_pooling": "sqrt", "ensemble": 1}', layers => '{8}', epochs => 1);
SELECT count(*) AS rows, count(DISTINCT score) > 1 AS differ FROM lbrec_recommend(3, 5, 'h');
SELECT count(*) FROM lbrec_train('h', settings => '{"batch_by": "listens", "history_table": "own", "history_window": "before", "history_pooling": "sqrt", "ensemble": 1}', layers => '{8}', epochs => 1);
SELECT count(*) AS rows, count(DISTINCT score) > 1 AS differ FROM lbrec_recommend(3, 5, 'h');
SELECT t.name, t.rows, t.cols FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model
WHERE m.name = 'h' AND m.version = 3 AND t.name ~ '^(history|user)_(offsets|embedding)$' ORDER BY 1;

-- the clock: a cyclic input tells the hours apart, and a day later is alike
SELECT count(*) FROM lbrec_train('clock', settings => '{"hour_of_day": true, "batch_size": 256, "embedding_dim": 16}', epochs => 2);
SELECT (SELECT score FROM lbrec_recommend(1, 1, 'clock', at => '2005-03-01 03:00+00', fresh => false)) =
	(SELECT score FROM lbrec_recommend(1, 1, 'clock', at => '2005-03-02 03:00+00', fresh => false)) AS a_day_later,
	(SELECT score FROM lbrec_recommend(1, 1, 'clock', at => '2005-03-01 03:00+00', fresh => false)) =
	(SELECT score FROM lbrec_recommend(1, 1, 'clock', at => '2005-03-01 15:00+00', fresh => false)) AS half_a_day_later;
SELECT count(*) FROM lbrec_train('clock', settings => '{"day_of_week": true, "batch_by": "listens", "batch_size": 256, "ensemble": 1}', layers => '{8}', epochs => 2);

-- rare recordings: out, or into shared buckets; numbers in buckets
SELECT count(*) FROM lbrec_train('rare', settings => '{"min_listens": 30}', epochs => 1);
SELECT n_recordings = (SELECT count(*) FROM (SELECT FROM listen GROUP BY recording_msid HAVING count(*) >= 30) AS x) AS exact
FROM lbrec.model WHERE name = 'rare';
SELECT count(*) FROM lbrec_train('hashed', settings => '{"min_listens": 30, "hash_buckets": 5}', epochs => 1);
SELECT m.n_recordings, t.rows = 1 + 5 + (SELECT n_recordings FROM lbrec.model WHERE name = 'rare') AS rows
FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id
WHERE m.name = 'hashed' AND t.name = 'recording_embedding' AND t.chunk = 0;
SELECT count(*) FROM lbrec_train('shared', settings => '{"hash_buckets": 5, "history_table": "shared"}', epochs => 1);
SELECT count(*) FROM lbrec_train('buckets', 'SELECT l.*, taste * 1.5 AS tempo, taste AS genre, ARRAY[taste] AS tags
	FROM listen AS l JOIN recording USING (recording_msid)', settings => '{"bucketize": ["tempo"], "number_buckets": 4}', epochs => 1);
SELECT t.name, t.rows FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model
WHERE m.name = 'buckets' AND t.name ~ '^(tempo|genre|tags)_embedding$' ORDER BY 1;

DELETE FROM lbrec.model;
