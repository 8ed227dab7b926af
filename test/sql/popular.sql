--
-- Popular recordings by time, for users without listens
--

\i test/sql/listens.inc
SET client_min_messages = warning;	-- versions.sql tells of the default
SELECT count(*) FROM lbrec_train('m', epochs => 5);
SELECT count(*) FROM lbrec_train('dense', 'SELECT user_id, listened_at, recording_msid, artist_name
	FROM listen JOIN recording USING (recording_msid)', epochs => 30, preset => 'paper', split => 'none', settings => '{"batch_size": 64}');

-- the answer of a call, as one text
CREATE FUNCTION pg_temp.one(user_id bigint, model text, at timestamptz DEFAULT NULL, listens text DEFAULT 'listen') RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(concat_ws(' ', rank, recording_msid, score, basis), ', ' ORDER BY rank) FROM lbrec_recommend($1, 10, $2, at => $3, listens => $4) $$;

-- popular: listens by weeks, halved for every four weeks before the time, ten
-- times at most
CREATE FUNCTION pg_temp.popular(at timestamptz) RETURNS TABLE (recording_msid uuid, score float8) LANGUAGE sql AS
$$
WITH weeks AS (SELECT recording_msid, floor(extract(epoch FROM listened_at) / 604800)::int AS week, count(*) AS n FROM listen GROUP BY 1, 2),
asked AS (SELECT least(greatest(floor(extract(epoch FROM at) / 604800), min(week)), max(week)) AS week FROM weeks)
SELECT recording_msid, COALESCE(sum(n * 2 ^ greatest((w.week - a.week) / 4.0, -10)::float8) FILTER (WHERE w.week <= a.week), 0)
FROM weeks AS w, asked AS a GROUP BY 1
$$;
CREATE FUNCTION pg_temp.agrees(at timestamptz, model text, OUT n bigint, OUT same boolean, OUT best boolean) LANGUAGE sql AS
$$
SELECT count(*), bool_and(abs(r.score - p.score) < 1e-4), min(r.score) + 1e-4 >= (SELECT max(score) FROM pg_temp.popular(COALESCE($1, now()))
	WHERE recording_msid NOT IN (SELECT recording_msid FROM lbrec_recommend(1000, 20, $2, at => $1)))
FROM lbrec_recommend(1000, 20, $2, at => $1) AS r JOIN pg_temp.popular(COALESCE($1, now())) AS p USING (recording_msid)
$$;
SELECT at, a.* FROM unnest('{NULL,infinity,2005-04-30,2005-03-10,2005-02-10,2005-02-01,1999-01-01,-infinity}'::timestamptz[]) AS at,
	LATERAL pg_temp.agrees(at, 'm') AS a ORDER BY at;
SELECT count(DISTINCT pg_temp.one(1000, 'm', at)) > 2 AS time_matters FROM unnest('{2005-04-10,2005-03-10,2005-02-10}'::timestamptz[]) AS at;
SELECT bool_and(pg_temp.one(1000, 'm', at) = pg_temp.one(1000, 'dense', at)) AS whatever_the_model FROM unnest('{2005-04-10,2005-02-10}'::timestamptz[]) AS at;
-- a listen of next century, of a wrong clock, does not make now forgotten
SELECT count(*) FROM lbrec_train('clock', 'SELECT user_id, listened_at, recording_msid FROM listen UNION ALL SELECT 1, ''2105-01-01'', md5(''recording 1'')::uuid', epochs => 1);
SELECT a.recording_msid = b.recording_msid AS same, a.score > 0 AS counts FROM lbrec_recommend(1000, 1, 'm', at => '2005-03-10') AS a, lbrec_recommend(1000, 1, 'clock', at => '2005-03-10') AS b;
SELECT at, pg_temp.one(1000, 'm', at) = pg_temp.one(1000, 'clock', at) AS as_without FROM unnest('{NULL,2005-04-30,2105-01-01,infinity}'::timestamptz[]) AS at;
-- a model that is continued keeps the weeks of before
SELECT count(*) FROM lbrec_train('first', 'SELECT * FROM listen WHERE listened_at < ''2005-03-02''', epochs => 1, preset => 'default');
SELECT count(*) FROM lbrec_train('second', 'SELECT * FROM listen WHERE listened_at >= ''2005-03-02''', epochs => 1, start_from => 'first');
SELECT at, a.* FROM unnest('{NULL,2005-03-10,2005-02-10}'::timestamptz[]) AS at, LATERAL pg_temp.agrees(at, 'second') AS a ORDER BY at;
-- weeks are counted part by part when memory is short: the same
SELECT count(*) FROM lbrec_train('roomy', 'SELECT l.*, ''a'' AS artist_name FROM listen AS l, generate_series(1, 20)', epochs => 1, preset => 'paper', settings => '{"batch_size": 64}', split => 'none') AS t;
SET lbrec.spool_mem = '64kB';
SELECT count(*) FROM lbrec_train('short', 'SELECT l.*, ''a'' AS artist_name FROM listen AS l, generate_series(1, 20)', epochs => 1, preset => 'paper', settings => '{"batch_size": 64}', split => 'none') AS t;
RESET lbrec.spool_mem;
SELECT t.name, count(*), bool_and(t.data = o.data) AS same FROM lbrec.tensor AS t JOIN lbrec.tensor AS o USING (name, chunk)
WHERE name LIKE 'recording\_week%' AND t.model = (SELECT id FROM lbrec.model WHERE name = 'roomy') AND o.model = (SELECT id FROM lbrec.model WHERE name = 'short') GROUP BY t.name ORDER BY t.name;

-- the leaderboard: totals of whole weeks, most first
CREATE FUNCTION pg_temp.leaders(since timestamptz, until timestamptz) RETURNS TABLE (recording_msid uuid, listens bigint) LANGUAGE sql AS
$$
SELECT recording_msid, count(*) FROM listen
WHERE floor(extract(epoch FROM listened_at) / 604800) BETWEEN coalesce(floor(extract(epoch FROM since) / 604800), -1e6) AND coalesce(ceil(extract(epoch FROM until) / 604800) - 1, 1e6) GROUP BY 1
$$;
SELECT since, until, (SELECT count(*) FROM lbrec_popular(100, since, until, model => 'm')) AS listed, count(*) AS played, bool_and(p.listens = l.listens) AS same,
	(SELECT array_agg(x.listens ORDER BY x.rank) = array_agg(x.listens ORDER BY x.listens DESC) AND max(x.rank) = count(*) FROM lbrec_popular(100, since, until, model => 'm') AS x) AS most_first
FROM (VALUES (NULL, NULL), ('2005-03-01'::timestamptz, NULL), (NULL, '2005-02-20'::timestamptz), ('2005-02-24 00:00+00', '2005-03-03 00:00+00'), ('2005-02-23 23:59+00', '2005-03-03 00:00:00.000001+00'), ('-infinity', 'infinity'), ('2010-01-01', NULL)) AS v (since, until),
	LATERAL pg_temp.leaders(CASE WHEN isfinite(since) THEN since END, CASE WHEN isfinite(until) THEN until END) AS l LEFT JOIN LATERAL (SELECT * FROM lbrec_popular(100, since, until, model => 'm') AS x WHERE x.recording_msid = l.recording_msid) AS p ON true
GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS never FROM lbrec_popular(10, '2010-01-01', model => 'm');
SELECT count(*) AS ten, max(listens) = (SELECT max(listens) FROM pg_temp.leaders(NULL, NULL)) AS best FROM lbrec_popular(model => 'm');
SELECT count(*) AS allowed, bool_and(recording_msid IN (SELECT recording_msid FROM recording WHERE taste = 1)) AS only_these
FROM lbrec_popular(100, filter => 'SELECT recording_msid FROM recording WHERE taste = 1', model => 'm');
SELECT count(*), max(n) AS of_one_artist FROM (SELECT count(*) AS n FROM lbrec_popular(10, per_artist => 2, model => 'dense') JOIN recording USING (recording_msid) GROUP BY artist_name) AS x;
SELECT (SELECT array_agg(p ORDER BY p.rank) FROM lbrec_popular(5, model => 'm', version => 1) AS p) = (SELECT array_agg(p ORDER BY p.rank) FROM lbrec_popular(5, model => 'm') AS p) AS by_version;
SELECT lbrec_popular(0, model => 'm');
SELECT lbrec_popular(model => 'm', since => '2005-03-01', until => '2005-03-01');
SELECT lbrec_popular(model => 'm', per_artist => 2);
SELECT lbrec_popular(model => 'm', filter => 'DELETE FROM listen RETURNING recording_msid');
SELECT lbrec_popular(model => 'nobody');

-- damaged weeks are found
BEGIN;
UPDATE lbrec.tensor SET rows = 7 WHERE name = 'recording_week_starts' AND model = (SELECT id FROM lbrec.model WHERE name = 'm');
UPDATE lbrec.model SET checksum = checksum + 2 WHERE name = 'm';
\set VERBOSITY terse
SELECT * FROM lbrec_recommend(1000, 10, 'm');
\set VERBOSITY default
ROLLBACK;

SELECT m, lbrec_drop_model(m) FROM unnest('{m,dense,clock,first,second,roomy,short}'::text[]) AS m;
