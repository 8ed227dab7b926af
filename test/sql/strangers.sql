--
-- Users whom the model does not know, in every call that takes a user; what
-- is popular when; what a role may see
--
\i test/sql/listens.inc
SELECT count(*) FROM lbrec_train('m', epochs => 5);
SELECT count(*) FROM lbrec_train('dense', 'SELECT user_id, listened_at, recording_msid, artist_name
	FROM listen JOIN recording USING (recording_msid)', epochs => 30, preset => 'paper', split => 'none', settings => '{"batch_size": 64}');
-- what a call answers, as one text
CREATE FUNCTION pg_temp.one(user_id bigint, model text, at timestamptz DEFAULT NULL, listens text DEFAULT 'listen') RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(concat_ws(' ', rank, recording_msid, score, basis), ', ' ORDER BY rank) FROM lbrec_recommend($1, 10, $2, at => $3, listens => $4) $$;

BEGIN;
INSERT INTO listen SELECT 1001, '2005-03-20'::timestamptz + i * interval '1 hour', md5('recording ' || 60 + i)::uuid FROM generate_series(1, 8) AS i;
INSERT INTO listen SELECT 1002, '2005-03-20'::timestamptz + i * interval '1 hour', md5('recording ' || i)::uuid FROM generate_series(1, 8) AS i;
-- scores are those of lbrec_recommend, whoever asks
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
SELECT m, bool_and(a.user_id = w.user_id AND pg_temp.one(a.user_id, m) = list) AS same, count(*)
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
SELECT m, t, pg_temp.one(1001, m, '2005-03-20 04:00', q) = pg_temp.one(-1, m, '2005-03-20 04:00', 'SELECT -1 AS user_id, listened_at, recording_msid FROM listen WHERE user_id = 1001 AND listened_at <= ''2005-03-20 04:00''') AS until,
	pg_temp.one(1001, m, '2005-03-20 04:00', q) = pg_temp.one(1001, m, '2005-03-20 03:59', q) AS a_minute_before,
	pg_temp.one(1001, m, NULL, q) = pg_temp.one(1001, m, 'infinity', q) AS now, left(pg_temp.one(1001, m, '2005-03-19', q), -1) ~ 'popular' AS before
FROM unnest('{m,dense}'::text[]) AS m, unnest('{timestamptz,timestamp,int8,int4}'::text[]) AS t,
	format('SELECT user_id, recording_msid, %s AS listened_at FROM listen',
		CASE WHEN t LIKE 'int%' THEN 'extract(epoch FROM listened_at)::' || t WHEN t = 'timestamp' THEN 'listened_at AT TIME ZONE ''UTC''' ELSE 'listened_at' END) AS q
ORDER BY m, t;
SELECT basis, count(*) FROM lbrec_recommend(1001, 5, 'm', at => '-infinity') GROUP BY basis;
SELECT * FROM lbrec_recommend(1001, 3, at => '2005-03-20', listens => 'SELECT 1001 AS user_id, true AS listened_at, md5(''?'')::uuid AS recording_msid');
ROLLBACK;

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
SELECT count(*), bool_and(abs(r.score - p.score) < 1e-4) AS same FROM lbrec_recommend(1000, 85, 'clock') AS r
JOIN (SELECT recording_msid, count(*) / 1024.0 AS score FROM listen GROUP BY 1) AS p USING (recording_msid);
SELECT recording_msid = md5('recording 1')::uuid AS latest, score > 1 AND score < 2 AS with_the_others FROM lbrec_recommend(1000, 1, 'clock', at => '2105-01-01');
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
-- users without embeddings of their own
SELECT * FROM lbrec_similar_users(7, 3, 'm');
-- weeks that are damaged are found out
BEGIN;
UPDATE lbrec.tensor SET rows = 7 WHERE name = 'recording_week_starts' AND model = (SELECT id FROM lbrec.model WHERE name = 'm');
UPDATE lbrec.model SET checksum = checksum + 2 WHERE name = 'm';
\set VERBOSITY terse
SELECT * FROM lbrec_recommend(1000, 10, 'm');
\set VERBOSITY default
ROLLBACK;

-- row security: what a role may not see does not count, in any call
CREATE ROLE regress_lbrec_reader;
GRANT USAGE ON SCHEMA lbrec TO regress_lbrec_reader;
GRANT SELECT ON lbrec.model, lbrec.tensor TO regress_lbrec_reader;
CREATE TABLE secret (user_id bigint, recording_msid uuid, listened_at timestamptz, visible boolean);
INSERT INTO secret SELECT u, md5('recording ' || 60 + i)::uuid, '2005-03-20', i > 5 FROM generate_series(1, 8) AS i, unnest('{7,1001}'::int[]) AS u;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY part ON secret USING (visible);
GRANT SELECT ON secret TO regress_lbrec_reader;
GRANT SELECT ON recording TO regress_lbrec_reader;
CREATE FUNCTION pg_temp.calls(listens text) RETURNS TABLE (what text, answer text) LANGUAGE sql AS
$$
SELECT 'recommend', string_agg(r::text, ',') FROM lbrec_recommend(1001, 10, 'm', listens => $1) AS r
UNION ALL SELECT 'recommend_all', string_agg(r::text, ',') FROM lbrec_recommend_all(10, 'm', '{1001}', listens => $1) AS r
UNION ALL SELECT 'score', lbrec_score(1001, (SELECT array_agg(recording_msid) FROM recording), 'm', listens => $1)::text
UNION ALL SELECT 'embedding', lbrec_user_embedding(1001, 'm', listens => $1)::text
UNION ALL SELECT 'exclude', string_agg(r::text, ',') FROM lbrec_recommend(7, 85, 'm', exclude_listened => true, listens => $1) AS r
UNION ALL SELECT 'filter', string_agg(r::text, ',') FROM lbrec_recommend(7, 85, 'm', filter => $1) AS r
$$;
CREATE TEMP TABLE seen AS SELECT a.what, a.answer AS everything, p.answer AS part
FROM pg_temp.calls('secret') AS a JOIN pg_temp.calls('SELECT * FROM secret WHERE visible') AS p USING (what);
GRANT SELECT ON seen TO regress_lbrec_reader;
SET ROLE regress_lbrec_reader;
SELECT what, s.part <> s.everything AS matters, c.answer = s.part AS own_rights FROM pg_temp.calls('secret') AS c JOIN seen AS s USING (what) ORDER BY what;
RESET ROLE;
DROP TABLE secret;
DROP OWNED BY regress_lbrec_reader;
DROP ROLE regress_lbrec_reader;
SELECT m, lbrec_drop_model(m) FROM unnest('{m,dense,clock,first,second,roomy,short}'::text[]) AS m;
