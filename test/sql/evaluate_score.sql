--
-- lbrec_evaluate of scores with parts beside the dot product: the same lists
--

\i test/sql/albums.inc
SELECT count(*) > 0 AS trained FROM lbrec_train('m');

-- the best k are the first of all by lbrec_score, for any k
CREATE TEMP VIEW ranked AS
SELECT u.user_id, s.recording_msid, s.score, row_number() OVER (PARTITION BY u.user_id ORDER BY s.score DESC) AS place
FROM generate_series(1, 40) AS u (user_id),
	LATERAL (SELECT array_agg(recording_msid) AS keys FROM catalogue) AS c,
	LATERAL unnest(c.keys, lbrec_score(u.user_id, c.keys, 'm')) AS s (recording_msid, score);
-- evaluation counts the same lists
SELECT e.top_k_accuracy = (SELECT lbrec.figure(avg((s.place <= 10)::int)) FROM listen AS l JOIN ranked AS s USING (user_id, recording_msid)) AS agrees
FROM lbrec_evaluate('m', 'listen', '{10}') AS e WHERE recommender = 'model';

-- somebody with more recordings than are looked at first, all played once, so
-- that what was played counts less: the list is exact, everything played is kept
CREATE TEMP TABLE singles AS
SELECT u::bigint AS user_id, timestamptz '2005-02-01 00:00+00' + i * interval '1 hour' AS listened_at, md5('single ' || r)::uuid AS recording_msid
FROM (SELECT u, r, row_number() OVER (PARTITION BY u ORDER BY md5(u || ' ' || r)) AS i
	FROM generate_series(1, 60) AS u, generate_series(1, 2400) AS r WHERE r % 4 = u % 4 OR r % 31 = 0 OR (u = 1 AND r % 4 < 3)) AS x
WHERE i <= CASE u WHEN 1 THEN 1500 ELSE 40 END;
SELECT count(*) > 0 AS trained FROM lbrec_train('singles', 'singles', epochs => 3, settings => '{"ensemble": 1, "embedding_dim": 16}');
SELECT t.rows = (SELECT count(*) FROM singles) AS all_kept, (m.config #>> '{mix,own}')::float8 < 0 AS lowered
FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id WHERE m.name = 'singles' AND t.name = 'history_codes' AND t.chunk = 0;
CREATE TEMP VIEW ranked_singles AS
SELECT u.user_id, s.recording_msid, s.score, row_number() OVER (PARTITION BY u.user_id ORDER BY s.score DESC) AS place
FROM generate_series(1, 60) AS u (user_id),
	LATERAL (SELECT array_agg(DISTINCT recording_msid) AS keys FROM singles) AS c,
	LATERAL unnest(c.keys, lbrec_score(u.user_id, c.keys, 'singles')) AS s (recording_msid, score);
SELECT e.top_k_accuracy = (SELECT lbrec.figure(avg((s.place <= e.k)::int)) FROM singles AS l JOIN ranked_singles AS s USING (user_id, recording_msid)) AS agrees,
	users_evaluated
FROM lbrec_evaluate('singles', 'singles', '{10,1000}') AS e WHERE recommender = 'model' ORDER BY e.k;
-- recordings that are as popular as each other: no two have one place
SELECT recommender, new_recall <= 1 AND new_ndcg <= 1 AS within
FROM lbrec_evaluate('singles', 'SELECT 2 AS user_id, listened_at, recording_msid FROM singles WHERE user_id = 1', '{3}') AS e ORDER BY 1;

DELETE FROM lbrec.model;
