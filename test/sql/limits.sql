--
-- lbrec_recommend: limits per artist, variety, limits of popularity
--

\i test/sql/listens.inc
CREATE VIEW pg_temp.named AS SELECT user_id, listened_at, recording_msid, artist_name
	FROM listen JOIN recording USING (recording_msid);
SELECT count(*) FROM lbrec_train('m', 'SELECT * FROM pg_temp.named', epochs => 10);
CREATE TEMP TABLE popular AS SELECT recording_msid, count(*) AS n FROM listen GROUP BY 1;

-- a limit for each artist, down the ranking
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
