--
-- lbrec_recommend: exact answers
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

-- recordings played until now are left out
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
SELECT count(*) FROM lbrec_recommend(7, 10, 'timed', at => '2005-04-30', fresh => false) AS a
	JOIN lbrec_recommend(7, 10, 'timed', at => '2026-01-01', fresh => false) AS b USING (rank, recording_msid, score);

-- NULL as a user: no rows
SELECT count(*) FROM lbrec_recommend(NULL);

-- versions: the newest answers, an older one can be put back
SELECT count(*) FROM lbrec_train('m', epochs => 1);
SELECT name, version, active, is_default, epochs FROM lbrec_models JOIN lbrec_model_details USING (name, version) ORDER BY name, version;
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
