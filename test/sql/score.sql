--
-- The parts of a score beside the dot product, neighbours and repeats: with them
-- every call gives the same, exact answer
--

\i test/sql/albums.inc
SET client_min_messages = warning;	-- versions.sql tells of the default

SELECT count(*) > 0 AS trained FROM lbrec_train('m');
SELECT config ? 'mix' AS mixed, (config #>> '{mix,neighbour}')::float8 >= 0 AS not_lowered,
	(config #>> '{best_epoch}')::int > 0 AS stopped
FROM lbrec.model WHERE name = 'm';
SELECT t.name, t.type FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model
WHERE m.name = 'm' AND t.name ~ '^(neighbour|history)_[^.]*$' AND t.name <> 'history_embedding' GROUP BY 1, 2 ORDER BY 1;

-- the best k are the first of all by lbrec_score, for any k
CREATE TEMP VIEW ranked AS
SELECT u.user_id, s.recording_msid, s.score, row_number() OVER (PARTITION BY u.user_id ORDER BY s.score DESC) AS place
FROM generate_series(1, 40) AS u (user_id),
	LATERAL (SELECT array_agg(recording_msid) AS keys FROM catalogue) AS c,
	LATERAL unnest(c.keys, lbrec_score(u.user_id, c.keys, 'm')) AS s (recording_msid, score);
SELECT k, count(*) AS rows, count(*) FILTER (WHERE r.score = s.score) AS same_place, count(*) FILTER (WHERE r.score = t.score) AS same_score
FROM unnest('{1,5,40}'::int[]) AS k, generate_series(1, 40) AS u (user_id),
	LATERAL lbrec_recommend(u.user_id, k, 'm') AS r
LEFT JOIN ranked AS s ON s.place = r.rank LEFT JOIN ranked AS t ON t.recording_msid = r.recording_msid
WHERE s.user_id = u.user_id AND t.user_id = u.user_id
GROUP BY k ORDER BY k;
SELECT count(*) AS rows, count(*) FILTER (WHERE a.score = s.score) AS same
FROM lbrec_recommend_all(7, 'm') AS a JOIN ranked AS s ON s.user_id = a.user_id AND s.place = a.rank;
-- among candidates, and without those that were listened to
SELECT count(*) AS rows, count(*) FILTER (WHERE r.score = s.score) AS same
FROM generate_series(1, 40) AS u (user_id),
	LATERAL lbrec_recommend(u.user_id, 5, 'm', candidates => ARRAY(SELECT recording_msid FROM catalogue ORDER BY 1 LIMIT 30)) AS r
JOIN LATERAL (SELECT s.score, row_number() OVER (ORDER BY s.score DESC) AS place FROM ranked AS s
	WHERE s.user_id = u.user_id AND s.recording_msid IN (SELECT recording_msid FROM catalogue ORDER BY 1 LIMIT 30)) AS s ON s.place = r.rank;
SELECT count(*) AS rows, count(*) FILTER (WHERE r.score = s.score) AS same
FROM generate_series(1, 40) AS u (user_id),
	LATERAL lbrec_recommend(u.user_id, 5, 'm', exclude_listened => true) AS r
JOIN LATERAL (SELECT s.score, row_number() OVER (ORDER BY s.score DESC) AS place FROM ranked AS s
	WHERE s.user_id = u.user_id AND s.recording_msid NOT IN (SELECT recording_msid FROM listen AS l WHERE l.user_id = u.user_id)) AS s ON s.place = r.rank;
-- somebody with the listens of a user, but unknown to the model, gets the user's list
CREATE TEMP TABLE other AS SELECT user_id + 1000 AS user_id, listened_at, recording_msid FROM listen;
SELECT count(*) AS rows, count(*) FILTER (WHERE a.recording_msid = b.recording_msid AND abs(a.score - b.score) < 1e-4) AS same,
	min(b.basis) AS basis
FROM generate_series(1, 40) AS u (user_id), LATERAL lbrec_recommend(u.user_id, 5, 'm') AS a
JOIN LATERAL lbrec_recommend(u.user_id + 1000, 5, 'm', listens => 'other') AS b USING (rank);

-- neighbours: half an album brings the other half
CREATE TEMP TABLE half AS
SELECT 2000 AS user_id, timestamptz '2005-03-01' + n * interval '4 minutes' AS listened_at, pg_temp.track(7, n) AS recording_msid
FROM generate_series(1, 3) AS n;
SELECT count(*) FILTER (WHERE recording_msid IN (SELECT pg_temp.track(7, n) FROM generate_series(4, 6) AS n)) AS of_album
FROM lbrec_recommend(2000, 3, 'm', listens => 'half', exclude_listened => true);

-- either part can be left out
SELECT count(*) FROM lbrec_train('plain', settings => '{"neighbours": 0, "repeat_power": 0}', epochs => 2);
SELECT count(*) FROM lbrec_train('own', settings => '{"neighbours": 0}', epochs => 2);
SELECT count(*) FROM lbrec_train('near', settings => '{"repeat_power": 0}', epochs => 2);
SELECT m.name, m.config ? 'mix' AS mixed, count(*) FILTER (WHERE t.name ~ '^neighbour_') AS neighbours,
	count(*) FILTER (WHERE t.name = 'history_recency') AS recency, (SELECT count(*) FROM lbrec_recommend(3, 5, m.name)) AS recommended
FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id WHERE m.name <> 'm' GROUP BY m.id ORDER BY 1;
-- without anything held out, and with hardly anything to hold out
SELECT count(*) > 0 AS trained FROM lbrec_train('none', split => 'none');
SELECT count(*) > 0 AS trained FROM lbrec_train('tiny',
	$$SELECT * FROM listen WHERE user_id < 3 AND listened_at < '2005-02-05'$$);
SELECT count(*) FROM lbrec_recommend(1, 3, 'tiny');
SELECT count(*) AS epochs, count(ndcg_20) AS measured FROM lbrec_train('first', 'SELECT DISTINCT ON (user_id) * FROM listen ORDER BY user_id');
SELECT config -> 'best_epoch' AS best_epoch, (SELECT count(*) FROM lbrec_recommend(1, 3, 'first')) AS recommended FROM lbrec.model WHERE name = 'first';
-- a later training adds to what is counted
SELECT count(*) FROM lbrec_train('monday', $$SELECT * FROM listen WHERE listened_at < '2005-02-08'$$, epochs => 2);
SELECT count(*) FROM lbrec_train('tuesday', $$SELECT * FROM listen WHERE listened_at >= '2005-02-08'$$, start_from => 'monday', epochs => 2);
SELECT count(*) FROM lbrec_train('at once', epochs => 2);
SELECT a.rows > b.rows AS more_than_before, abs(a.rows - c.rows) < 0.02 * c.rows AS as_at_once
FROM (SELECT m.name, t.rows FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id
	WHERE t.name = 'neighbour_codes' AND t.chunk = 0) AS a, LATERAL (SELECT t.rows FROM lbrec.model AS m
	JOIN lbrec.tensor AS t ON t.model = m.id WHERE m.name = 'monday' AND t.name = 'neighbour_codes' AND t.chunk = 0) AS b,
	LATERAL (SELECT t.rows FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id
	WHERE m.name = 'at once' AND t.name = 'neighbour_codes' AND t.chunk = 0) AS c
WHERE a.name = 'tuesday';

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
SELECT k, count(*) AS rows, count(*) FILTER (WHERE r.score = s.score) AS same
FROM unnest('{1,10,300,1400}'::int[]) AS k, LATERAL lbrec_recommend(1, k, 'singles') AS r
JOIN ranked_singles AS s ON s.user_id = 1 AND s.place = r.rank
GROUP BY k ORDER BY k;
SELECT count(*) AS rows, count(*) FILTER (WHERE r.score = s.score) AS same
FROM lbrec_recommend_all(30, 'singles') AS r JOIN ranked_singles AS s ON s.user_id = r.user_id AND s.place = r.rank;

DELETE FROM lbrec.model;
