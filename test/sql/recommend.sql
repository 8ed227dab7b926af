--
-- lbrec_recommend, lbrec_evaluate: exact answers
--
\i test/sql/listens.inc
SELECT count(*) FROM lbrec_train('m', 'SELECT user_id, listened_at, recording_msid, artist_name
	FROM listen JOIN recording USING (recording_msid)', epochs => 10);

-- k rows, ranked from 1, best first, no recording twice
SELECT count(*), count(DISTINCT recording_msid), min(rank), max(rank),
	bool_and(score <= above) AS descending
FROM (SELECT *, lag(score, 1, 'infinity') OVER (ORDER BY rank) AS above
	FROM lbrec_recommend(7, 20)) AS r;

-- every candidate is ranked when asked for
SELECT count(*), count(DISTINCT recording_msid) FROM lbrec_recommend(7, 85);
-- the first ten do not depend on k
SELECT count(*) FROM lbrec_recommend(7, 10) AS a JOIN lbrec_recommend(7, 85) AS b
	USING (rank, recording_msid, score);

-- joins with names
SELECT count(*) FROM lbrec_recommend(7, 5) AS r JOIN recording AS t USING (recording_msid)
WHERE t.artist_name LIKE 'artist %';

-- what was listened to is left out, as of now
SELECT count(*) > 0 AS repeats FROM lbrec_recommend(7, 10) AS r
WHERE EXISTS (SELECT FROM listen AS l WHERE l.user_id = 7 AND l.recording_msid = r.recording_msid);
SELECT count(*) AS rows, count(*) FILTER (WHERE EXISTS (SELECT FROM listen AS l
	WHERE l.user_id = 7 AND l.recording_msid = r.recording_msid)) AS repeats
FROM lbrec_recommend(7, 10, exclude_listened => true) AS r;
BEGIN;
CREATE TEMP TABLE best AS SELECT recording_msid FROM lbrec_recommend(7, 1, exclude_listened => true);
INSERT INTO listen SELECT 7, '2005-03-01', recording_msid FROM best;
SELECT count(*) FROM lbrec_recommend(7, 10, exclude_listened => true) JOIN best USING (recording_msid);
ROLLBACK;
-- from another table or query
SELECT count(*) FROM lbrec_recommend(7, 10, exclude_listened => true,
	listens => 'SELECT 7 AS user_id, recording_msid FROM recording WHERE taste <> 2') AS r
	JOIN recording AS t USING (recording_msid) WHERE t.taste <> 2;

-- the time of listening: beyond the trained range it counts as its end
SELECT count(*) FROM lbrec_train('timed', epochs => 2, settings => '{"time_buckets": 100}');
SELECT count(*) FROM lbrec_recommend(7, 10, 'timed', at => '2005-04-30') AS a
	JOIN lbrec_recommend(7, 10, 'timed', at => '2026-01-01') AS b USING (rank, recording_msid, score);

-- nobody: nothing
SELECT count(*) FROM lbrec_recommend(NULL);

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
SELECT k, e.top_k_accuracy = h.hits::float8 / h.n AS agrees, e.listens_evaluated, e.unknown_recordings
FROM lbrec_evaluate('m', 'SELECT * FROM listen WHERE user_id <= 5', '{1,3,10,30,90}') AS e
JOIN hits AS h USING (k) WHERE e.recommender = 'model' ORDER BY k;

-- NDCG and MRR are at most the accuracy, and equal to it at 1
SELECT k, ndcg <= top_k_accuracy AND mrr <= ndcg AS ordered, ndcg = top_k_accuracy AS equal
FROM lbrec_evaluate('m', ks => '{1,10}') WHERE recommender = 'model' ORDER BY k;

-- an unknown recording is a miss, not an error
SELECT recommender, k, top_k_accuracy, listens_evaluated, unknown_recordings
FROM lbrec_evaluate('m', $$SELECT 1 AS user_id, now() AS listened_at,
	'00000000-0000-0000-0000-000000000000'::uuid AS recording_msid$$, '{90}');

-- versions: the newest answers, an older one can be put back
SELECT count(*) FROM lbrec_train('m', epochs => 1);
SELECT name, version, active, is_default, epochs FROM lbrec_models ORDER BY name, version;
BEGIN;
SELECT lbrec_activate('m', 1);
SELECT name, version, active, is_default FROM lbrec_models ORDER BY name, version;
ROLLBACK;
SELECT name, version FROM lbrec_models WHERE is_default;
SELECT lbrec_drop_model('m', 2);
SELECT name, version, active FROM lbrec_models ORDER BY name, version;
SELECT lbrec_drop_model('m');
SELECT lbrec_drop_model('timed');

-- every object has a comment
SELECT p.oid::regprocedure AS uncommented
FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid
JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass
	AND e.extname = 'lbrec' AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.oid::regclass AS uncommented
FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid
JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass
	AND e.extname = 'lbrec' AND c.relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL;
