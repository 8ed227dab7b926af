--
-- Unknown users, in every call that takes a user
--

\i test/sql/listens.inc
CREATE VIEW pg_temp.named AS SELECT user_id, listened_at, recording_msid, artist_name
	FROM listen JOIN recording USING (recording_msid);
SELECT count(*) FROM lbrec_train('m', 'SELECT * FROM pg_temp.named', epochs => 10);
SELECT count(*) FROM lbrec_train('dense', 'SELECT * FROM pg_temp.named', epochs => 30, preset => 'paper', split => 'none', settings => '{"batch_size": 64}');

-- a user of the model
SELECT DISTINCT basis FROM lbrec_recommend(7, 10);

-- nobody knows this one: the most popular, those first
SELECT DISTINCT basis FROM lbrec_recommend(1000, 10);
CREATE TEMP TABLE popular AS SELECT recording_msid, count(*) AS n FROM listen GROUP BY 1;
SELECT count(*), bool_and(r.score <= above) AS descending
FROM (SELECT *, lag(score, 1, 'infinity') OVER (ORDER BY rank) AS above FROM lbrec_recommend(1000, 10)) AS r;
-- under a filter too
SELECT count(*), bool_and(taste = 2) AS qualify FROM lbrec_recommend(1000, 10, filter => 'SELECT recording_msid FROM recording WHERE taste = 2')
JOIN recording USING (recording_msid);

-- listens that are inserted now count now, in either kind of model, and are
-- gone with the transaction
BEGIN;
INSERT INTO listen SELECT 1001, '2005-03-20'::timestamptz + i * interval '1 hour', md5('recording ' || 60 + i)::uuid FROM generate_series(1, 8) AS i;
SELECT m, basis, count(*) FILTER (WHERE taste = 2) >= 8 AS own_taste
FROM unnest('{m,dense}'::text[]) AS m, LATERAL lbrec_recommend(1001, 10, m) AS r JOIN recording USING (recording_msid)
GROUP BY m, basis ORDER BY m;
-- another taste gives another list
INSERT INTO listen SELECT 1002, '2005-03-20'::timestamptz + i * interval '1 hour', md5('recording ' || i)::uuid FROM generate_series(1, 8) AS i;
SELECT m, basis, count(*) FILTER (WHERE taste = 0) >= 8 AS own_taste
FROM unnest('{m,dense}'::text[]) AS m, LATERAL lbrec_recommend(1002, 10, m) AS r JOIN recording USING (recording_msid)
GROUP BY m, basis ORDER BY m;
-- played recordings can be left out
SELECT m, count(*), count(l.user_id) AS repeats
FROM unnest('{m,dense}'::text[]) AS m, LATERAL lbrec_recommend(1001, 10, m, exclude_listened => true) AS r
LEFT JOIN listen AS l ON l.user_id = 1001 AND l.recording_msid = r.recording_msid GROUP BY m ORDER BY m;
-- from another table or query, whatever the type of its time
SELECT DISTINCT basis FROM lbrec_recommend(5, 3, listens => 'SELECT 5 AS user_id', fresh => false);
SELECT a.t, bool_and(r.recording_msid = o.recording_msid) AS same
FROM unnest('{timestamptz,timestamp,int8}'::text[]) AS a (t),
	LATERAL lbrec_recommend(77, 5, 'm', listens => format('SELECT user_id + 76 - 1000 AS user_id, recording_msid, %s AS listened_at FROM listen',
		CASE t WHEN 'int8' THEN 'extract(epoch FROM listened_at)::int8' ELSE 'listened_at::' || t END)) AS r
JOIN lbrec_recommend(1001, 5, 'm') AS o USING (rank) GROUP BY 1 ORDER BY 1;
ROLLBACK;

SELECT DISTINCT basis FROM lbrec_recommend(1001, 10);
-- recordings that the model does not know tell nothing
SELECT DISTINCT basis FROM lbrec_recommend(1001, 10, listens => 'SELECT 1001 AS user_id, now() AS listened_at, md5(''?'')::uuid AS recording_msid');
-- a known user under another name: the same history, the same scores
SELECT count(*), bool_and(abs(a.score - b.score) < 1e-3) AS same FROM lbrec_recommend(7, 20, 'm') AS a
JOIN lbrec_recommend(-7, 20, 'm', listens => 'SELECT -user_id AS user_id, recording_msid, listened_at FROM listen') AS b USING (recording_msid);
SELECT * FROM lbrec_recommend(1001, 3, listens => 'SELECT 1001 AS user_id, true AS listened_at, md5(''?'')::uuid AS recording_msid');
SELECT * FROM lbrec_recommend(1001, 3, listens => 'missing');

-- the answer of a call, as one text
CREATE FUNCTION pg_temp.list(user_id bigint, model text, at timestamptz DEFAULT NULL, listens text DEFAULT 'listen') RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(concat_ws(' ', rank, recording_msid, score, basis), ', ' ORDER BY rank) FROM lbrec_recommend($1, 10, $2, at => $3, listens => $4) $$;

BEGIN;
INSERT INTO listen SELECT 1001, '2005-03-20'::timestamptz + i * interval '1 hour', md5('recording ' || 60 + i)::uuid FROM generate_series(1, 8) AS i;
INSERT INTO listen SELECT 1002, '2005-03-20'::timestamptz + i * interval '1 hour', md5('recording ' || i)::uuid FROM generate_series(1, 8) AS i;
-- scores are those of lbrec_recommend, for every user
SELECT m, u, r.basis, count(*), count(*) FILTER (WHERE s.score = r.score) AS same
FROM unnest('{m,dense}'::text[]) AS m, unnest('{7,1000,1001,1002}'::bigint[]) AS u,
	LATERAL (SELECT array_agg(recording_msid ORDER BY rank) AS keys FROM lbrec_recommend(u, 85, m)) AS l,
	LATERAL unnest(l.keys, lbrec_score(u, l.keys, m)) AS s (recording_msid, score)
JOIN LATERAL lbrec_recommend(u, 85, m) AS r USING (recording_msid)
GROUP BY m, u, r.basis ORDER BY m, u;
-- the vector's product with a recording's is the score (of a model without a repeat term)
SELECT u, count(*), bool_and(abs(r.score - (SELECT sum(a * b) FROM unnest(e.v, lbrec_recording_embedding(r.recording_msid, 'dense')) AS p (a, b))) < 1e-4) AS product
FROM unnest('{7,1001,1002}'::bigint[]) AS u, LATERAL lbrec_user_embedding(u, 'dense') AS e (v), LATERAL lbrec_recommend(u, 20, 'dense') AS r GROUP BY u ORDER BY u;
SELECT lbrec_user_embedding(1000, 'dense');
ROLLBACK;
BEGIN;
INSERT INTO listen SELECT 1001, '2005-03-20'::timestamptz + i * interval '1 hour', md5('recording ' || 60 + i)::uuid FROM generate_series(1, 8) AS i;
INSERT INTO listen SELECT 1002, '2005-03-20'::timestamptz + i * interval '1 hour', md5('recording ' || i)::uuid FROM generate_series(1, 8) AS i;
-- many at once: as each alone, in the order of the array, a user twice and
-- nobody included
SELECT m, bool_and(a.user_id = w.user_id AND pg_temp.list(a.user_id, m) = list) AS same, count(*)
FROM unnest('{m,dense}'::text[]) AS m,
	LATERAL (SELECT user_id, (n - 1) / 10 AS place, string_agg(concat_ws(' ', rank, recording_msid, score, basis), ', ' ORDER BY rank) AS list
		FROM ROWS FROM (lbrec_recommend_all(10, m, '{1001,7,1000,NULL,1002,8,7,1003,9,1001}')) WITH ORDINALITY AS a (user_id, rank, recording_msid, score, basis, n)
		GROUP BY 1, 2) AS a
JOIN unnest('{1001,7,1000,1002,8,7,1003,9,1001}'::bigint[]) WITH ORDINALITY AS w (user_id, n) ON w.n - 1 = a.place GROUP BY m ORDER BY m;
-- from another table or query
SELECT u, basis, count(*) FROM lbrec_recommend_all(3, 'm', '{7,77}', listens => 'SELECT 77 AS user_id, listened_at, recording_msid FROM listen WHERE user_id = 1001') AS a (u)
GROUP BY 1, 2 ORDER BY 1;
SELECT lbrec_score(77, ARRAY[md5('recording 1')::uuid], 'dense', listens => 'SELECT 77 AS user_id, listened_at, recording_msid FROM listen WHERE user_id = 1001')
	= lbrec_score(1001, ARRAY[md5('recording 1')::uuid], 'dense') AS same_score,
	lbrec_user_embedding(77, 'dense', listens => 'SELECT 77 AS user_id, listened_at, recording_msid FROM listen WHERE user_id = 1001')
	= lbrec_user_embedding(1001, 'dense') AS same_vector;
-- later listens do not count at an earlier time, whatever the type of time
SELECT m, t, pg_temp.list(1001, m, '2005-03-20 04:00', q) = pg_temp.list(-1, m, '2005-03-20 04:00', 'SELECT -1 AS user_id, listened_at, recording_msid FROM listen WHERE user_id = 1001 AND listened_at <= ''2005-03-20 04:00''') AS until,
	pg_temp.list(1001, m, '2005-03-20 04:00', q) = pg_temp.list(1001, m, '2005-03-20 03:59', q) AS a_minute_before,
	pg_temp.list(1001, m, NULL, q) = pg_temp.list(1001, m, 'infinity', q) AS now, left(pg_temp.list(1001, m, '2005-03-19', q), -1) ~ 'popular' AS before
FROM unnest('{m,dense}'::text[]) AS m, unnest('{timestamptz,timestamp,int8,int4}'::text[]) AS t,
	format('SELECT user_id, recording_msid, %s AS listened_at FROM listen',
		CASE WHEN t LIKE 'int%' THEN 'extract(epoch FROM listened_at)::' || t WHEN t = 'timestamp' THEN 'listened_at AT TIME ZONE ''UTC''' ELSE 'listened_at' END) AS q
ORDER BY m, t;
SELECT basis, count(*) FROM lbrec_recommend(1001, 5, 'm', at => '-infinity') GROUP BY basis;
SELECT * FROM lbrec_recommend(1001, 3, at => '2005-03-20', listens => 'SELECT 1001 AS user_id, true AS listened_at, md5(''?'')::uuid AS recording_msid');
ROLLBACK;

-- a user all of whose recordings were left out of the training is a stranger
CREATE TEMP TABLE rare AS SELECT user_id, listened_at, recording_msid FROM listen
	UNION ALL SELECT 31337, '2005-03-01', md5('rare ' || i)::uuid FROM generate_series(1, 2) AS i;
SELECT count(*) > 0 AS trained FROM lbrec_train('rare', 'rare', epochs => 2, settings => '{"min_listens": 3}');
SELECT bool_and(a.basis = 'popular' AND a.recording_msid = b.recording_msid AND a.score = b.score) AS popular
FROM lbrec_recommend(31337, 20, 'rare', listens => 'rare') AS a JOIN lbrec_recommend(424242, 20, 'rare', listens => 'rare') AS b USING (rank);
SELECT bool_and(a.basis = 'popular' AND a.recording_msid = b.recording_msid AND a.score = b.score) AS popular
FROM lbrec_recommend_all(20, 'rare', '{31337,7}', listens => 'rare') AS a JOIN lbrec_recommend(31337, 20, 'rare', listens => 'rare') AS b USING (rank)
WHERE a.user_id = 31337;
SELECT coverage = lbrec.figure(10.0 / (SELECT count(*) FROM lbrec_recording_embeddings('rare'))) AS popular, mean_popularity = (SELECT lbrec.figure(avg(n)) FROM popular JOIN lbrec_recommend(424242, 10, 'rare', listens => 'rare') USING (recording_msid)) AS mean
FROM unnest('{31337,424242}'::bigint[]) AS u, lbrec_evaluate('rare', format('SELECT %s AS user_id, ''2005-04-20''::timestamptz AS listened_at, recording_msid FROM recording', u), '{10}') WHERE recommender = 'model';
-- and has played well-known ones since
INSERT INTO rare SELECT u, listened_at, recording_msid FROM listen, unnest('{31337,31338}'::bigint[]) AS u WHERE user_id = 3;
SELECT bool_and(a.basis = 'listens' AND a.recording_msid = b.recording_msid AND a.score = b.score) AS listens
FROM lbrec_recommend(31337, 20, 'rare', listens => 'rare') AS a JOIN lbrec_recommend(31338, 20, 'rare', listens => 'rare') AS b USING (rank);
SELECT bool_and(a.basis = 'listens' AND a.recording_msid = b.recording_msid AND a.score = b.score) AS listens
FROM lbrec_recommend_all(20, 'rare', '{31337}', listens => 'rare') AS a JOIN lbrec_recommend(31338, 20, 'rare', listens => 'rare') AS b USING (rank);
SELECT lbrec_drop_model('rare');

-- users without embeddings of their own
SELECT * FROM lbrec_similar_users(7, 3, 'm');

SELECT lbrec_drop_model('m');
SELECT lbrec_drop_model('dense');
