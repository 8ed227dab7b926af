--
-- lbrec_evaluate: what it counts is what lbrec_recommend shows
--

\i test/sql/listens.inc
SELECT count(*) FROM lbrec_train('m', 'SELECT user_id, listened_at, recording_msid, artist_name
	FROM listen JOIN recording USING (recording_msid)', epochs => 10);

-- evaluation counts what lbrec_recommend shows: a listen is a hit at k when
-- fewer than k candidates score higher
WITH listens AS (
	SELECT l.user_id, l.recording_msid FROM listen AS l WHERE l.user_id <= 5),
ranked AS (
	SELECT u AS user_id, r.recording_msid, r.score
	FROM generate_series(1, 5) AS u, LATERAL lbrec_recommend(u, 85, 'm') AS r),
hits AS (
	SELECT k, count(*) FILTER (WHERE (SELECT count(*) FROM ranked AS o
		WHERE o.user_id = l.user_id AND o.score > (SELECT score FROM ranked AS t
			WHERE t.user_id = l.user_id AND t.recording_msid = l.recording_msid)) < k) AS hits, count(*) AS n
	FROM listens AS l, unnest('{1,3,10,30,90}'::int[]) AS k GROUP BY k)
SELECT k, e.top_k_accuracy = lbrec.figure(h.hits::float8 / h.n) AS agrees, e.listens_evaluated, e.unknown_recordings
FROM lbrec_evaluate('m', 'SELECT * FROM listen WHERE user_id <= 5', '{1,3,10,30,90}') AS e
JOIN hits AS h USING (k) WHERE e.recommender = 'model' ORDER BY k;

-- NDCG and MRR are at most the accuracy, and equal to it at 1
SELECT k, ndcg <= top_k_accuracy AND mrr <= ndcg AS ordered, ndcg = top_k_accuracy AS equal
FROM lbrec_evaluate('m', ks => '{1,10}') WHERE recommender = 'model' ORDER BY k;

-- an unknown recording is a miss, not an error
SELECT recommender, k, top_k_accuracy, listens_evaluated, unknown_recordings
FROM lbrec_evaluate('m', $$SELECT 1 AS user_id, now() AS listened_at,
	'00000000-0000-0000-0000-000000000000'::uuid AS recording_msid$$, '{90}');

-- evaluation: three recommenders, each metric in its range
SELECT count(*) > 0 AS trained FROM lbrec_train('train', $$SELECT * FROM listen WHERE listened_at < '2005-03-25'$$);
SELECT recommender, k, top_k_accuracy BETWEEN 0 AND 1 AS accuracy, new_recall BETWEEN 0 AND 1 AS recall,
	coverage BETWEEN 0 AND 1 AS coverage, mean_popularity > 0 AS popularity, users_evaluated > 0 AS users
FROM lbrec_evaluate('train', $$SELECT * FROM listen WHERE listened_at >= '2005-03-25'$$, '{5,20}') ORDER BY 1, 2;
-- a notice says if the model was trained on the listens
SELECT count(*) FROM lbrec_evaluate('train', $$SELECT * FROM listen WHERE listened_at < '2005-03-25'$$, '{5}');
-- popularity as SQL counts it
SELECT e.top_k_accuracy = (SELECT lbrec.figure(avg((recording_msid IN (SELECT recording_msid FROM listen WHERE listened_at < '2005-03-25'
	GROUP BY 1 HAVING count(*) >= (SELECT n FROM (SELECT count(*) AS n FROM listen WHERE listened_at < '2005-03-25'
		GROUP BY recording_msid ORDER BY 1 DESC LIMIT 1 OFFSET 9) AS x)))::int))
	FROM listen WHERE listened_at >= '2005-03-25') AS agrees
FROM lbrec_evaluate('train', $$SELECT * FROM listen WHERE listened_at >= '2005-03-25'$$, '{10}') AS e WHERE recommender = 'popular';
-- new recordings as SQL counts them from lbrec_score, of a model whose scores
-- have parts beside the dot product and of one whose scores have none
SELECT count(*) > 0 AS trained FROM lbrec_train('towers', $$SELECT user_id, listened_at, recording_msid, artist_name FROM listen JOIN recording USING (recording_msid) WHERE listened_at < '2005-03-25'$$, preset => 'paper', epochs => 10);
WITH scored AS (
	SELECT m, u.user_id, s.recording_msid, s.score
	FROM unnest('{train,towers}'::text[]) AS m, generate_series(1, 60) AS u (user_id),
		LATERAL (SELECT array_agg(DISTINCT recording_msid) AS keys FROM listen) AS c,
		LATERAL unnest(c.keys, lbrec_score(u.user_id, c.keys, m, fresh => false)) AS s (recording_msid, score)
	WHERE s.score IS NOT NULL AND NOT EXISTS (SELECT FROM listen AS l
		WHERE l.listened_at < '2005-03-25' AND l.user_id = u.user_id AND l.recording_msid = s.recording_msid)),
ranked AS (
	SELECT *, rank() OVER (PARTITION BY m, user_id ORDER BY score DESC) AS place FROM scored),
per_user AS (
	SELECT r.m, r.user_id, k, count(*) FILTER (WHERE place <= k)::float8 / least(k, count(*)) AS recall
	FROM ranked AS r, unnest('{5,20}'::int[]) AS k
	WHERE EXISTS (SELECT FROM listen AS l WHERE l.listened_at >= '2005-03-25' AND l.user_id = r.user_id AND l.recording_msid = r.recording_msid)
	GROUP BY 1, 2, 3)
SELECT p.m, p.k, count(*) = max(e.users_evaluated) AS users, lbrec.figure(avg(p.recall)) = max(e.new_recall) AS recall
FROM per_user AS p JOIN (SELECT m, e.* FROM unnest('{train,towers}'::text[]) AS m,
	lbrec_evaluate(m, $$SELECT * FROM listen WHERE listened_at >= '2005-03-25'$$, '{5,20}') AS e WHERE recommender = 'model') AS e USING (m, k)
GROUP BY 1, 2 ORDER BY 1, 2;
-- a user that the model does not know is ranked in the list that lbrec_recommend gives at that time
CREATE TABLE stranger AS SELECT 1000 + user_id AS user_id, listened_at - interval '30 days' AS listened_at, recording_msid FROM listen WHERE user_id <= 3;
WITH ranked AS (
	SELECT m, (SELECT count(*) FROM lbrec_recommend(s.user_id, 90, m, at => s.listened_at) AS r WHERE r.score > t.score) AS rank
	FROM unnest('{train,towers}'::text[]) AS m, stranger AS s,
		LATERAL (SELECT score FROM lbrec_recommend(s.user_id, 90, m, at => s.listened_at) AS r WHERE r.recording_msid = s.recording_msid AND r.basis = 'popular') AS t)
SELECT m, e.k, abs(e.top_k_accuracy - (SELECT count(*) FILTER (WHERE rank < e.k)::float8 / 120 FROM ranked AS r WHERE r.m = n.m)) < 1e-3 AS same, e.top_k_accuracy BETWEEN 0.01 AND 0.99 AS some
FROM unnest('{train,towers}'::text[]) AS n (m), lbrec_evaluate(m, 'stranger', ks => '{5,20}') AS e WHERE recommender = 'model' ORDER BY 1, 2;
DROP TABLE stranger;
-- of several listens of a recording the first one's rank counts, where the time is an input and ranks differ
SELECT count(*) > 0 AS trained FROM lbrec_train('timed', $$SELECT user_id, listened_at, recording_msid, artist_name FROM listen JOIN recording USING (recording_msid)
	WHERE extract(minute FROM listened_at)::int % 3 > 0$$, preset => 'paper', epochs => 10, settings => '{"time_buckets": 50}');
CREATE TABLE late AS SELECT * FROM listen WHERE extract(minute FROM listened_at)::int % 3 = 0;
SELECT a.k, a.new_recall = b.new_recall AND a.new_ndcg = b.new_ndcg AS same, a.new_ndcg > 0 AS some, a.new_ndcg <> c.new_ndcg AS the_last_ones_differ
FROM lbrec_evaluate('timed', 'late', '{20}') AS a, lbrec_evaluate('timed', 'SELECT DISTINCT ON (user_id, recording_msid) * FROM late ORDER BY 1, 3, 2', '{20}') AS b,
	lbrec_evaluate('timed', 'SELECT DISTINCT ON (user_id, recording_msid) * FROM late ORDER BY 1, 3, 2 DESC', '{20}') AS c
WHERE a.recommender = 'model' AND b.recommender = 'model' AND c.recommender = 'model';
DROP TABLE late;
-- the listens of a training have no new recordings
SELECT k, new_recall, new_ndcg, users_evaluated
FROM lbrec_evaluate('towers', $$SELECT * FROM listen WHERE listened_at < '2005-03-25'$$, '{5}') WHERE recommender = 'model';
-- repeats: recent plays come first, unless left out
SELECT count(*) > 3 AS mostly_own FROM lbrec_recommend(7, 5, 'train') AS r WHERE r.recording_msid IN (SELECT recording_msid FROM listen WHERE user_id = 7);
SELECT count(*) FROM lbrec_recommend(7, 5, 'train', exclude_listened => true) AS r WHERE r.recording_msid IN (SELECT recording_msid FROM listen WHERE user_id = 7);

DELETE FROM lbrec.model;
