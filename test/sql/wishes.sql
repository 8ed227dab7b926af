--
-- lbrec_recommend: who is not known, limits per artist, variety, popularity
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
-- what was listened to can be left out
SELECT m, count(*), count(l.user_id) AS repeats
FROM unnest('{m,dense}'::text[]) AS m, LATERAL lbrec_recommend(1001, 10, m, exclude_listened => true) AS r
LEFT JOIN listen AS l ON l.user_id = 1001 AND l.recording_msid = r.recording_msid GROUP BY m ORDER BY m;
-- from another table or query, whatever the type of its time
SELECT DISTINCT basis FROM lbrec_recommend(5, 3, listens => 'SELECT 5 AS user_id');
SELECT a.t, bool_and(r.recording_msid = o.recording_msid) AS same
FROM unnest('{timestamptz,timestamp,int8}'::text[]) AS a (t),
	LATERAL lbrec_recommend(77, 5, 'm', listens => format('SELECT user_id + 76 - 1000 AS user_id, recording_msid, %s AS listened_at FROM listen',
		CASE t WHEN 'int8' THEN 'extract(epoch FROM listened_at)::int8' ELSE 'listened_at::' || t END)) AS r
JOIN lbrec_recommend(1001, 5, 'm') AS o USING (rank) GROUP BY 1 ORDER BY 1;
ROLLBACK;
SELECT DISTINCT basis FROM lbrec_recommend(1001, 10);
-- recordings that the model does not know tell nothing
SELECT DISTINCT basis FROM lbrec_recommend(1001, 10, listens => 'SELECT 1001 AS user_id, now() AS listened_at, md5(''?'')::uuid AS recording_msid');
-- a user who is known, under another name: the same history, the same scores
SELECT count(*), bool_and(abs(a.score - b.score) < 1e-3) AS same FROM lbrec_recommend(7, 20, 'm') AS a
JOIN lbrec_recommend(-7, 20, 'm', listens => 'SELECT -user_id AS user_id, recording_msid, listened_at FROM listen') AS b USING (recording_msid);
SELECT * FROM lbrec_recommend(1001, 3, listens => 'SELECT 1001 AS user_id, true AS listened_at, md5(''?'')::uuid AS recording_msid');
SELECT * FROM lbrec_recommend(1001, 3, listens => 'missing');
-- row security: what a role may not see does not count
CREATE ROLE regress_lbrec_reader;
GRANT USAGE ON SCHEMA lbrec TO regress_lbrec_reader;
GRANT SELECT ON lbrec.model, lbrec.tensor TO regress_lbrec_reader;
CREATE TABLE secret (user_id bigint, recording_msid uuid, listened_at timestamptz, visible boolean);
INSERT INTO secret SELECT 1001, md5('recording ' || 60 + i)::uuid, '2005-03-20', i > 5 FROM generate_series(1, 8) AS i;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY part ON secret USING (visible);
GRANT SELECT ON secret TO regress_lbrec_reader;
CREATE FUNCTION pg_temp.one(text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(basis || recording_msid || score, ' ' ORDER BY rank) FROM lbrec_recommend(1001, 10, 'm', listens => $1) $$;
CREATE TEMP TABLE seen AS SELECT pg_temp.one('secret') AS everything, pg_temp.one('SELECT * FROM secret WHERE visible') AS part,
	(SELECT count(*) FROM lbrec_recommend(1001, 10, 'm', exclude_listened => true, listens => 'secret') JOIN secret USING (recording_msid)) AS repeats;
GRANT SELECT ON seen TO regress_lbrec_reader;
SET ROLE regress_lbrec_reader;
SELECT pg_temp.one('secret') = part AS own_rights, pg_temp.one('secret') = everything AS others FROM seen;
SELECT basis, count(*) FROM lbrec_recommend(1001, 3, 'm') GROUP BY basis;
RESET ROLE;
SELECT repeats FROM seen;
DROP TABLE secret;
DROP OWNED BY regress_lbrec_reader;
DROP ROLE regress_lbrec_reader;

-- so many of one artist: going down the ranking
CREATE TEMP TABLE ranked AS SELECT r.*, artist_name, row_number() OVER (PARTITION BY artist_name ORDER BY rank) AS of_artist
FROM lbrec_recommend(7, 85, 'm') AS r JOIN recording USING (recording_msid);
SELECT per, count(*), count(*) FILTER (WHERE r.recording_msid = e.recording_msid AND r.score = e.score) AS as_expected
FROM generate_series(1, 3) AS per, LATERAL lbrec_recommend(7, 15, 'm', per_artist => per) AS r
JOIN LATERAL (SELECT recording_msid, score, row_number() OVER (ORDER BY rank) AS rank FROM ranked WHERE of_artist <= per) AS e USING (rank)
GROUP BY per ORDER BY per;
-- fewer than k when no more qualify
SELECT count(*) = count(DISTINCT artist_name) AS one_each, count(*) = (SELECT count(DISTINCT artist_name) FROM ranked) AS all_artists
FROM lbrec_recommend(7, 85, 'm', per_artist => 1) JOIN recording USING (recording_msid);
SELECT count(*), max(n) FROM (SELECT count(*) AS n FROM lbrec_recommend(1000, 10, 'm', per_artist => 2) JOIN recording USING (recording_msid) GROUP BY artist_name) AS a;

-- variety: the same first, more artists, k rows; 0 changes nothing
SELECT count(*) FROM lbrec_recommend(7, 10, 'm', diversity => 0) AS a JOIN lbrec_recommend(7, 10, 'm') AS b USING (rank, recording_msid, score);
CREATE TEMP TABLE vector AS SELECT * FROM lbrec_recording_embeddings('m');
CREATE FUNCTION pg_temp.cosine(a real[], b real[]) RETURNS float8 LANGUAGE sql AS
$$ SELECT sum(x::float8 * y) / sqrt(sum(x::float8 * x) * sum(y::float8 * y)) FROM unnest(a, b) AS p (x, y) $$;
CREATE TEMP TABLE lists AS SELECT d, r.rank, r.recording_msid, v.embedding
FROM unnest('{0,0.5,1}'::float8[]) AS d, LATERAL lbrec_recommend(7, 8, 'm', diversity => d) AS r JOIN vector AS v USING (recording_msid);
SELECT d, count(*), count(DISTINCT recording_msid) FROM lists GROUP BY d ORDER BY d;
SELECT count(DISTINCT recording_msid) AS first_ones FROM lists WHERE rank = 1;
SELECT bool_and(alike < before) AS more_varied FROM (SELECT d, alike, lag(alike) OVER (ORDER BY d) AS before
	FROM (SELECT a.d, avg(pg_temp.cosine(a.embedding, b.embedding)) AS alike FROM lists AS a JOIN lists AS b USING (d) WHERE a.rank < b.rank GROUP BY a.d) AS x) AS y;
-- at 1 each place goes to the one that is least like those above it
SELECT bool_and(chosen <= other + 1e-5) AS least_alike FROM (
	SELECT l.rank, max(pg_temp.cosine(l.embedding, above.embedding)) AS chosen,
		(SELECT min(m) FROM (SELECT max(pg_temp.cosine(v.embedding, a.embedding)) AS m FROM vector AS v, lists AS a
			WHERE a.d = 1 AND a.rank < l.rank AND v.recording_msid NOT IN (SELECT recording_msid FROM lists WHERE d = 1 AND rank <= l.rank) GROUP BY v.recording_msid) AS o) AS other
	FROM lists AS l JOIN lists AS above ON above.d = 1 AND above.rank < l.rank WHERE l.d = 1 AND l.rank <= 4 GROUP BY l.rank, l.embedding) AS s;

-- popularity
SELECT count(*), min(n) >= 30 AS low, max(n) <= 60 AS high FROM lbrec_recommend(7, 5, 'm', min_listens => 30, max_listens => 60) JOIN popular USING (recording_msid);
SELECT (SELECT count(*) FROM popular WHERE n > 20) = count(*) AS all_that_qualify FROM lbrec_recommend(7, 85, 'm', min_listens => 21);
SELECT count(*) FROM lbrec_recommend(7, 5, 'm', min_listens => 1000000);

-- errors
SELECT * FROM lbrec_recommend(7, 5, 'm', diversity => 1.5);
SELECT * FROM lbrec_recommend(7, 5, 'm', diversity => 'NaN');
SELECT * FROM lbrec_recommend(7, 5, 'm', per_artist => 0);
SELECT * FROM lbrec_recommend(7, 5, 'm', per_artist => 1, artist_column => 'label');
SELECT lbrec_drop_model('m');
SELECT lbrec_drop_model('dense');
