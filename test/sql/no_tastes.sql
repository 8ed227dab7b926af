--
-- Listens that tell nothing of tastes: lists are those of popularity
--

-- 400 users with a listen each, of 60 recordings, the first ones most; and a
-- second draw by the same users
SET client_min_messages = warning;
DROP TABLE IF EXISTS listen CASCADE;
CREATE FUNCTION pg_temp.draw(text) RETURNS integer LANGUAGE sql AS
$$ SELECT (('x' || substr(md5($1), 1, 6))::bit(24))::integer $$;
CREATE TABLE listen AS
SELECT u::bigint AS user_id, timestamptz '2024-01-01' + n * interval '10 days' + u * interval '1 minute' AS listened_at,
	lbrec_key(pg_temp.draw(u || ' ' || n) % 60 * (pg_temp.draw(n || ' ' || u) % 60) / 60) AS recording_msid, n
FROM generate_series(1, 400) AS u, generate_series(1, 2) AS n;
RESET client_min_messages;
SELECT count(*) > 0 AS trained FROM lbrec_train('m', 'SELECT user_id, listened_at, recording_msid FROM listen WHERE n = 1');
-- a known user's list is a stranger's, in every call
SELECT bool_and(k.recording_msid = s.recording_msid AND k.score = s.score) AS same, min(k.basis) AS basis, max(k.basis) AS basis
FROM lbrec_recommend(7, 20, 'm') AS k JOIN lbrec_recommend(-7, 20, 'm', listens => 'SELECT * FROM listen WHERE false') AS s USING (rank);
SELECT bool_and(a.recording_msid = r.recording_msid) AS same, min(a.basis) AS basis
FROM lbrec_recommend_all(5, 'm', users => '{7,8}') AS a JOIN lbrec_recommend(7, 5, 'm') AS r USING (rank);
SELECT bool_and(n.recording_msid = r.recording_msid) AS same
FROM lbrec_next(5, user_id => 7, model => 'm') AS n JOIN lbrec_recommend(7, 5, 'm') AS r USING (rank);
SELECT basis FROM lbrec_recommend_group('{7,8}', 1, 'm');
-- most listens first
SELECT (SELECT array_agg(recording_msid ORDER BY rank) FROM lbrec_recommend(7, 1, 'm')) =
	(SELECT array_agg(recording_msid) FROM (SELECT recording_msid FROM listen WHERE n = 1 GROUP BY 1 ORDER BY count(*) DESC LIMIT 1) AS x) AS popular;
-- a fresh draw
SELECT m.k, abs(m.top_k_accuracy - p.top_k_accuracy) < 0.02 AS as_popular
FROM lbrec_evaluate('m', 'SELECT * FROM listen WHERE n = 2', '{5,20}') AS m JOIN lbrec_evaluate('m', 'SELECT * FROM listen WHERE n = 2', '{5,20}') AS p USING (k)
WHERE m.recommender = 'model' AND p.recommender = 'popular' ORDER BY 1;
-- with both draws there is something to learn
SELECT count(*) > 0 AS trained FROM lbrec_train('m', 'SELECT user_id, listened_at, recording_msid FROM listen');
SELECT basis FROM lbrec_recommend(7, 1, 'm');

-- a known user whose recordings were left out is a stranger
SELECT count(*) > 0 AS trained FROM lbrec_train('m', $$SELECT user_id, listened_at, recording_msid FROM listen
	UNION ALL SELECT 401, timestamptz '2024-02-01', lbrec_key(1000)$$, epochs => 2, settings => '{"min_listens": 2}');
SELECT bool_and(k.recording_msid = s.recording_msid AND k.score = s.score AND k.basis = 'popular') AS same
FROM lbrec_recommend(401, 20, 'm', listens => 'SELECT * FROM listen WHERE false') AS k
JOIN lbrec_recommend(-7, 20, 'm', listens => 'SELECT * FROM listen WHERE false') AS s USING (rank);
SELECT bool_and(k.recording_msid = s.recording_msid) AS same
FROM lbrec_next(20, user_id => 401, model => 'm', listens => 'SELECT * FROM listen WHERE false') AS k
JOIN lbrec_next(20, user_id => -7, model => 'm', listens => 'SELECT * FROM listen WHERE false') AS s USING (rank);
DROP TABLE listen;
SELECT lbrec_drop_model('m') AS dropped;
