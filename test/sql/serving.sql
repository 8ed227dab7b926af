--
-- Calls beside lbrec_recommend: filters, batches, scores, vectors, neighbours
--
\i test/sql/listens.inc
SELECT count(*) FROM lbrec_train('m', 'SELECT user_id, listened_at, recording_msid, artist_name
	FROM listen JOIN recording USING (recording_msid)', epochs => 10, settings => '{"user_embedding": true, "repeat_power": 0, "neighbours": 0}');

-- candidates: only these are ranked, in the order that they have among all
CREATE TEMP TABLE few AS
SELECT recording_msid FROM recording JOIN listen USING (recording_msid)
WHERE taste = 0 GROUP BY recording_msid ORDER BY recording_msid LIMIT 12;
SELECT count(*), bool_and(a.score = f.score) AS same_scores,
	bool_and(f.rank = a.among) AS same_order
FROM lbrec_recommend(7, 12, candidates => (SELECT array_agg(recording_msid) FROM few)) AS f
JOIN (SELECT recording_msid, score, row_number() OVER (ORDER BY rank) AS among
	FROM lbrec_recommend(7, 85) JOIN few USING (recording_msid)) AS a USING (recording_msid);
-- a query does the same, and both narrow
SELECT count(*), count(s.recording_msid) FROM lbrec_recommend(7, 12, filter => 'SELECT * FROM few') AS f
LEFT JOIN few AS s USING (recording_msid);
SELECT count(*) FROM lbrec_recommend(7, 10,
	candidates => (SELECT array_agg(recording_msid) FROM few),
	filter => 'SELECT recording_msid FROM few ORDER BY 1 LIMIT 5');
-- k rows as long as k qualify, however many the user has listened to
SELECT count(*) = 10 AS full_list FROM lbrec_recommend(7, 10, exclude_listened => true,
	filter => 'SELECT recording_msid FROM recording');
-- unknown recordings are no candidates; none at all: no row
SELECT count(*) FROM lbrec_recommend(7, 10, candidates => ARRAY[md5('nothing')::uuid]);
SELECT count(*) FROM lbrec_recommend(7, 10, candidates => '{}');
-- a filter may call lbrec itself
SELECT count(*) FROM lbrec_recommend(7, 3, filter => 'SELECT recording_msid FROM lbrec_recommend(8, 20)');
-- errors
SELECT * FROM lbrec_recommend(7, 3, filter => 'SELECT 1 AS recording_msid');
SELECT * FROM lbrec_recommend(7, 3, filter => 'SELECT recording_msid FROM few; SELECT 1');
SELECT * FROM lbrec_recommend(7, 3, candidates => ARRAY[NULL::uuid]);

-- all users at once: row for row what one at a time gives
SELECT count(*), count(DISTINCT user_id) FROM lbrec_recommend_all(5);
SELECT count(*) AS rows, count(*) FILTER (WHERE o.score = a.score) AS same
FROM lbrec_recommend_all(5) AS a
LEFT JOIN LATERAL lbrec_recommend(a.user_id, 5) AS o USING (rank, recording_msid);
SELECT user_id, count(*) FROM lbrec_recommend_all(3, users => '{7,9}') GROUP BY user_id ORDER BY user_id;
-- an unknown user is answered all the same; null is nobody
SELECT user_id, basis, count(*) FROM lbrec_recommend_all(3, users => '{7,1000,NULL}') GROUP BY 1, 2 ORDER BY 1;
SELECT count(*) FROM lbrec_recommend_all(3, users => '{}');
SELECT * FROM lbrec_recommend_all(0);

-- scores: the ones that lbrec_recommend shows
SELECT count(*) AS rows, count(*) FILTER (WHERE r.score = s.score) AS same
FROM (SELECT array_agg(recording_msid ORDER BY rank) AS keys, array_agg(score ORDER BY rank) AS scores
	FROM lbrec_recommend(7, 20)) AS l,
	LATERAL unnest(l.keys, l.scores, lbrec_score(7, l.keys)) AS s (key, r, score)
JOIN lbrec_recommend(7, 20) AS r ON r.recording_msid = s.key;
SELECT lbrec_score(7, ARRAY[md5('nothing')::uuid, NULL]), lbrec_score(7, '{}'), lbrec_score(NULL, '{}') IS NULL AS nobody;

-- vectors: their product is the score
SELECT count(*) AS rows, bool_and(abs(r.score - (SELECT sum(a * b) FROM unnest(u.v, e.embedding) AS p (a, b))) < 1e-4) AS product
FROM lbrec_recommend(7, 20) AS r JOIN lbrec_recording_embeddings() AS e USING (recording_msid),
	lbrec_user_embedding(7) AS u (v);
SELECT count(*), count(DISTINCT recording_msid), min(array_length(embedding, 1)) = max(array_length(embedding, 1)) AS one_width
FROM lbrec_recording_embeddings();
SELECT bool_and(lbrec_recording_embedding(recording_msid) = embedding) FROM lbrec_recording_embeddings();
SELECT lbrec_recording_embedding(md5('nothing')::uuid);
SELECT lbrec_user_embedding(1000);

-- neighbours by cosine, as SQL computes it
CREATE TEMP TABLE vector AS SELECT * FROM lbrec_recording_embeddings();
CREATE FUNCTION pg_temp.cosine(a real[], b real[]) RETURNS float8 LANGUAGE sql AS
$$ SELECT sum(x::float8 * y) / sqrt(sum(x::float8 * x) * sum(y::float8 * y)) FROM unnest(a, b) AS p (x, y) $$;
WITH one AS (SELECT * FROM vector ORDER BY recording_msid LIMIT 1),
near AS (SELECT v.recording_msid, pg_temp.cosine(one.embedding, v.embedding) AS cosine
	FROM one, vector AS v WHERE v.recording_msid <> one.recording_msid)
SELECT count(*) AS rows, count(DISTINCT s.recording_msid) AS distinct,
	bool_and(abs(s.score - n.cosine) < 1e-5) AS cosine,
	min(s.score) >= (SELECT max(cosine) FROM near WHERE recording_msid NOT IN
		(SELECT w.recording_msid FROM one, lbrec_similar(ARRAY[one.recording_msid], 9) AS w)) - 1e-5 AS nearest
FROM one, LATERAL lbrec_similar(ARRAY[one.recording_msid], 9) AS s JOIN near AS n ON n.recording_msid = s.recording_msid;
SELECT count(*), count(DISTINCT similar_user_id), bool_or(similar_user_id = 7) AS self,
	count(*) FILTER (WHERE similar_user_id % 3 = 7 % 3) >= 6 AS own_group
FROM lbrec_similar_users(7, 9);
SELECT count(*) FROM lbrec_similar((SELECT ARRAY[min(recording_msid::text)::uuid] FROM vector), 84);
SELECT count(*) FROM lbrec_similar(NULL);
SELECT * FROM lbrec_similar(ARRAY[md5('nothing')::uuid]);
SELECT count(*) FROM lbrec_similar((SELECT ARRAY[min(recording_msid::text)::uuid] FROM vector), 85);
-- of each artist one
SELECT count(*), count(DISTINCT artist_name) = count(*) AS distinct, count(*) = (SELECT count(DISTINCT artist_name) FROM recording JOIN vector USING (recording_msid)) AS all
FROM lbrec_similar((SELECT ARRAY[min(recording_msid::text)::uuid] FROM vector), 85, per_artist => 1) JOIN recording USING (recording_msid);
SELECT * FROM lbrec_similar_users(1000);
SELECT lbrec_drop_model('m');
