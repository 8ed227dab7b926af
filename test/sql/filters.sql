--
-- Which recordings may be recommended: narrow and wide, against a plain
-- computation; k rows whenever k qualify
--
\i test/sql/listens.inc
SET client_min_messages = warning;	-- versions.sql tells of the default
SELECT count(*) FROM lbrec_train('m', 'SELECT user_id, listened_at, recording_msid, artist_name
	FROM listen JOIN recording USING (recording_msid)', epochs => 5);
-- many recordings, so that there are lists, narrow and wide bitmaps
SELECT count(*) FROM lbrec_train('wide', 'SELECT hashint8(i) & 63 AS user_id, timestamptz ''2005-02-01'' + i * interval ''1 minute'' AS listened_at,
	md5(''wide '' || i % 40000)::uuid AS recording_msid, ''artist '' || i % 40000 / 7 AS artist_name FROM generate_series(1::bigint, 60000) AS i',
	epochs => 1, preset => 'paper', settings => '{"batch_size": 64}', split => 'none');
-- all candidates as they rank without a condition, with what conditions ask
CREATE TEMP TABLE ranked AS
SELECT m, u, r.*, c.listens, 'artist ' || c.artist AS artist, row_number() OVER (PARTITION BY m, u ORDER BY md5(r.recording_msid::text)) AS n,
	EXISTS (SELECT FROM listen AS l WHERE l.user_id = u AND l.recording_msid = r.recording_msid) AS own
FROM (VALUES ('m', 7, 85), ('m', 1000, 85), ('wide', 9, 40000), ('wide', 1000, 40000)) AS v (m, u, k), LATERAL lbrec_recommend(u, k, m) AS r
JOIN (SELECT recording_msid, count(*) AS listens, min(recording.artist_name) AS artist FROM listen JOIN recording USING (recording_msid) GROUP BY 1
	UNION ALL SELECT md5('wide ' || i)::uuid, CASE WHEN i BETWEEN 1 AND 20000 THEN 2 ELSE 1 END, (i / 7)::text FROM generate_series(0, 39999) AS i) AS c USING (recording_msid);
CREATE INDEX ON ranked (m, u, n);
ANALYZE ranked;
SELECT m, u, count(*) FROM ranked GROUP BY m, u ORDER BY m, u;
-- a list of rows as one text
CREATE FUNCTION pg_temp.said(m text, u bigint, k int, keys uuid[], filter text, lowest bigint, highest bigint, exclude boolean) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(recording_msid || ' ' || score, ',' ORDER BY rank) FROM lbrec_recommend($2, $3, $1, candidates => $4, filter => $5,
	min_listens => $6, max_listens => $7, exclude_listened => $8) $$;
CREATE FUNCTION pg_temp.expected(m text, u bigint, k int, keys uuid[], others uuid[], lowest bigint, highest bigint, exclude boolean) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(recording_msid || ' ' || score, ',' ORDER BY rank) FROM (SELECT * FROM ranked AS r WHERE r.m = $1 AND r.u = $2
	AND ($4 IS NULL OR recording_msid IN (SELECT unnest($4))) AND ($5 IS NULL OR recording_msid IN (SELECT unnest($5)))
	AND listens >= COALESCE($6, 0) AND listens <= COALESCE($7, 1000000) AND NOT ($8 AND own) ORDER BY rank LIMIT $3) AS r $$;
CREATE FUNCTION pg_temp.some(m text, many bigint, beyond bigint DEFAULT 0) RETURNS uuid[] LANGUAGE sql AS
$$ SELECT array_agg(DISTINCT recording_msid) FROM ranked AS r WHERE r.m = $1 AND u = 1000 AND n > $3 AND n <= $2 $$;
-- candidates of every size, at the sizes where another way is taken (64 for
-- small models, one in 512, one in 10 of all, a quarter of k) and around them
SELECT m, u, many, k, pg_temp.said(m, u, k, a, NULL, NULL, NULL, false) = pg_temp.expected(m, u, k, a, NULL, NULL, NULL, false) AS same
FROM (VALUES ('m', 7, '{1,2,63,64,65,84,85}'::int[]), ('m', 1000, '{63,64,65}'), ('wide', 9, '{1,64,77,78,79,3999,4000,4001,39999}'),
	('wide', 1000, '{78,79,39999}')) AS v (m, u, sizes), unnest(sizes) AS many, unnest(CASE WHEN many < 100 THEN '{1,20}' ELSE '{20}'::int[] END) AS k, pg_temp.some(m, many) AS a
ORDER BY m, u, many, k;
-- k beyond what qualifies: all that do, in the same order
SELECT m, u, many, length(pg_temp.said(m, u, 80, a, NULL, NULL, NULL, false)) > 0 AND
	pg_temp.said(m, u, 80, a, NULL, NULL, NULL, false) = pg_temp.expected(m, u, 80, a, NULL, NULL, NULL, false) AS same
FROM (VALUES ('m', 7), ('wide', 9)) AS v (m, u), unnest('{1,64,65,78,79}'::int[]) AS many, pg_temp.some(m, many) AS a ORDER BY m, u, many;
-- conditions narrow together, whichever of them is the narrow one
SELECT m, u, first, second, lowest, exclude, pg_temp.said(m, u, 10, a, 'SELECT unnest(' || quote_literal(b) || '::uuid[]) AS recording_msid', lowest, NULL, exclude)
	IS NOT DISTINCT FROM pg_temp.expected(m, u, 10, a, b, lowest, NULL, exclude) AS same
FROM (VALUES ('m', 7, 85, 60), ('m', 7, 30, 69), ('m', 7, 70, 30), ('wide', 9, 60, 5000), ('wide', 9, 5000, 60), ('wide', 9, 5000, 7000)) AS v (m, u, first, second),
	pg_temp.some(m, first) AS a, pg_temp.some(m, second + 10, 10) AS b, (VALUES (NULL::bigint, false), (2, false), (2, true)) AS w (lowest, exclude)
ORDER BY m, u, first, second, lowest NULLS FIRST, exclude;
-- popularity alone, and bounds that no recording meets
SELECT m, u, lowest, highest, pg_temp.said(m, u, 10, NULL, NULL, lowest, highest, true) IS NOT DISTINCT FROM pg_temp.expected(m, u, 10, NULL, NULL, lowest, highest, true) AS same
FROM (VALUES ('m', 7), ('m', 1000), ('wide', 9)) AS v (m, u), (VALUES (2, NULL), (NULL, 1), (30, 40), (5, 4)) AS w (lowest, highest) ORDER BY m, u, lowest, highest;

-- a recording twice is one recording, as a list and as a bitmap
SELECT count(*), count(DISTINCT recording_msid) FROM lbrec_recommend(7, 10, 'm', candidates => (SELECT a || a || a FROM pg_temp.some('m', 5) AS a));
SELECT count(*), count(DISTINCT recording_msid) FROM lbrec_recommend(7, 85, 'm', candidates => (SELECT a || a FROM pg_temp.some('m', 70) AS a));
SELECT count(*), count(DISTINCT recording_msid) FROM lbrec_recommend(7, 85, 'm', filter => 'SELECT recording_msid FROM listen');
-- unknown ones among them, and nulls: of an array an error, of a query nothing
SELECT count(*) FROM lbrec_recommend(7, 10, 'm', candidates => (SELECT a || md5('nothing')::uuid FROM pg_temp.some('m', 5) AS a));
SELECT count(*) FROM lbrec_recommend(7, 10, 'm', candidates => (SELECT a || NULL::uuid FROM pg_temp.some('m', 5) AS a));
SELECT count(*) FROM lbrec_recommend(7, 10, 'm', filter => 'SELECT recording_msid FROM (SELECT * FROM recording LIMIT 5) AS r UNION ALL SELECT NULL');
-- an array of two dimensions is its elements
SELECT count(*) FROM lbrec_recommend(7, 10, 'm', candidates => (SELECT ARRAY[a, a] FROM pg_temp.some('m', 5) AS a));
-- everything that may be recommended is left out: no row
SELECT count(*) FROM lbrec_recommend(7, 10, 'm', exclude_listened => true, candidates => (SELECT array_agg(recording_msid) FROM listen WHERE user_id = 7));
SELECT count(*) FROM lbrec_recommend(7, 10, 'm', exclude_listened => true, listens => 'SELECT 7 AS user_id, recording_msid FROM recording');
SELECT count(*) FROM lbrec_recommend(1000, 10, 'm', candidates => '{}', per_artist => 1, diversity => 0.5);
-- bounds of k
SELECT * FROM lbrec_recommend(7, 0, 'm', candidates => '{}');
-- k beyond the catalogue: every call returns all of it
SELECT count(*) AS all, (SELECT count(*) FROM lbrec_recommend_all(2147483647, 'm', '{7,1000}')) AS of_two_users,
	(SELECT count(*) FROM lbrec_similar((SELECT array_agg(recording_msid) FROM lbrec_recommend(7, 1, 'm')), 1000, 'm')) AS others
FROM lbrec_recommend(7, 86, 'm');
-- a column that is not there is told with the argument that needs it, and
-- columns of domains are what they are made of
SELECT * FROM lbrec_recommend(7, 3, 'm', filter => 'SELECT recording_msid AS id FROM recording');
SELECT * FROM lbrec_recommend(7, 3, 'm', exclude_listened => true, listens => 'SELECT user_id AS account, recording_msid FROM listen');
SELECT * FROM lbrec_recommend(7, 3, 'm', filter => 'SELECT recording_msid::text FROM recording');
CREATE DOMAIN pg_temp.track AS uuid;
CREATE DOMAIN pg_temp.heard AS timestamptz;
CREATE TEMP TABLE domains AS SELECT 1000::bigint AS user_id, recording_msid::pg_temp.track, listened_at::pg_temp.heard FROM listen WHERE user_id = 7;
SELECT basis, count(*) FROM lbrec_recommend(1000, 3, 'm', filter => 'domains', listens => 'domains', at => '2005-03-20') GROUP BY 1;
SELECT count(*) FROM lbrec_recommend(1000, 85, 'm', exclude_listened => true, listens => 'domains') AS r JOIN domains USING (recording_msid);
DROP TABLE domains;

-- recordings are found whatever their keys are like: many that begin alike,
-- in the order of time, at both ends; and those between them are not
CREATE TEMP TABLE key AS SELECT i, CASE i % 3 WHEN 0 THEN '00000000-0000-0000-0000-' || lpad(to_hex(i * 2), 12, '0')
	WHEN 1 THEN 'ffffffff-ffff-ffff-ffff-' || lpad(to_hex(281474976710655 - i * 2), 12, '0')
	ELSE lpad(to_hex(25000000 + i), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(i * 2), 12, '0') END::uuid AS recording_msid
FROM generate_series(0, 2999) AS i;
SELECT count(*) FROM lbrec_train('keys', 'SELECT i & 15 AS user_id, timestamptz ''2005-02-01'' + i * interval ''1 minute'' AS listened_at, recording_msid, ''a'' AS artist_name FROM key',
	epochs => 1, preset => 'paper', settings => '{"batch_size": 64}', split => 'none');
SELECT count(*), count(s.score) AS found, count(*) FILTER (WHERE s.score = r.score) AS same
FROM (SELECT array_agg(recording_msid) AS keys FROM key) AS k, LATERAL unnest(k.keys, lbrec_score(1, k.keys, 'keys')) AS s (recording_msid, score)
JOIN lbrec_recommend(1, 3000, 'keys') AS r USING (recording_msid);
SELECT count(*), count(score) AS found FROM (SELECT array_agg((left(recording_msid::text, 35) || translate(right(recording_msid::text, 1), '02468ace', '13579bdf'))::uuid) AS keys FROM key WHERE i % 3 <> 1
	UNION ALL SELECT '{00000000-0000-0001-0000-000000000000,fffffffe-ffff-ffff-ffff-ffffffffffff,ffffffff-ffff-ffff-ffff-fffffffffffe,80000000-0000-0000-0000-000000000000}') AS k,
	LATERAL unnest(lbrec_score(1, keys, 'keys')) AS s (score);
SELECT lbrec_drop_model('keys');

-- k rows when k qualify, whatever is wished beside
CREATE TEMP TABLE wish AS SELECT m, u, k, many, per, diversity, exclude, a.a AS keys,
	(SELECT count(*) FROM (SELECT least(count(*), COALESCE(per, 1000000)) AS n FROM ranked AS r WHERE r.m = v.m AND r.u = v.u AND r.n <= many AND NOT (exclude AND own) GROUP BY artist) AS g, generate_series(1, n)) AS qualify
FROM (VALUES ('m', 7), ('m', 1000), ('wide', 9)) AS v (m, u), unnest('{5,40}'::int[]) AS k, unnest('{20,65}'::int[]) AS many,
	unnest('{NULL,1,3}'::int[]) AS per, unnest('{NULL,0.3}'::float8[]) AS diversity, unnest('{f,t}'::boolean[]) AS exclude, pg_temp.some(m, many) AS a (a);
SELECT count(*), count(*) FILTER (WHERE n = least(k, qualify) AND n = d) AS as_many_as_qualify, count(*) FILTER (WHERE qualify < k) AS short
FROM wish AS w, LATERAL (SELECT count(*) AS n, count(DISTINCT recording_msid) AS d FROM lbrec_recommend(u, k, m, candidates => keys, per_artist => per, diversity => w.diversity,
	exclude_listened => exclude)) AS r;
-- and no artist has more
SELECT count(*), bool_and(n <= per) AS within FROM wish AS w, LATERAL (SELECT max(n) AS n FROM (SELECT count(*) AS n FROM lbrec_recommend(u, k, m, candidates => keys, per_artist => per,
	diversity => w.diversity) JOIN ranked AS r USING (recording_msid) WHERE r.m = w.m AND r.u = w.u AND r.n <= many GROUP BY artist) AS g) AS g WHERE per IS NOT NULL AND NOT exclude;
-- of thousands too: going down the ranking, far below the first k
SELECT count(*), max(n) FROM (SELECT count(*) AS n FROM lbrec_recommend(9, 3000, 'wide', per_artist => 1) JOIN ranked AS r USING (recording_msid) WHERE r.m = 'wide' AND r.u = 9 GROUP BY artist) AS g;

-- a prepared statement answers from the model that is active when it runs,
-- with a plan of its own or a kept one
PREPARE best (bigint, int, uuid[]) AS SELECT count(*), bool_and(score > 0) IS NOT NULL AS answered FROM lbrec_recommend($1, $2, candidates => $3);
SET plan_cache_mode = force_generic_plan;
EXECUTE best (7, 3, NULL);
EXECUTE best (7, 30, NULL);
EXECUTE best (7, 30, '{}');
SELECT lbrec_activate('m', make_default => true);
EXECUTE best (7, 86, NULL);
EXECUTE best (7, 85, NULL);
SELECT lbrec_activate('wide', make_default => true);
EXECUTE best (7, 86, NULL);
RESET plan_cache_mode;
DEALLOCATE best;
SELECT lbrec_drop_model('m');
EXPLAIN (COSTS OFF) SELECT * FROM lbrec_recommend(7, 5, 'm');
SELECT lbrec_drop_model('wide');
