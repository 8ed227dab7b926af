--
-- Listens after the training: they count at once, for users that the model
-- knows, in every call that takes a user
--

\i test/sql/listens.inc
CREATE VIEW pg_temp.early AS SELECT * FROM listen WHERE listened_at < '2005-03-25';
SELECT count(*) > 0 AS trained FROM lbrec_train('m', 'SELECT * FROM pg_temp.early', seed => 1);
SELECT count(*) > 0 AS trained FROM lbrec_train('paper', 'SELECT *, 1 AS artist_name FROM pg_temp.early', preset => 'paper', epochs => 2, split => 'none');
-- the answer of a call, as one text
CREATE FUNCTION pg_temp.list(user_id bigint, fresh boolean DEFAULT true, listens text DEFAULT NULL, at timestamptz DEFAULT NULL, k int DEFAULT 20) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(concat_ws(' ', rank, recording_msid, score, basis), ', ' ORDER BY rank) FROM lbrec_recommend($1, $5, 'm', at => $4, listens => $3, fresh => $2) $$;

-- all users have listened since
SELECT basis, count(*) FROM lbrec_recommend_all(1, 'm') GROUP BY 1;
SELECT basis, count(*) FROM lbrec_recommend_all(1, 'm', fresh => false) GROUP BY 1;
SELECT basis, count(*) FROM lbrec_recommend_all(1, 'paper') GROUP BY 1;
-- the vector is that of all listens: as if they were a stranger's
SELECT count(*), bool_and((SELECT max(abs(a - b)) < 1e-5 FROM unnest(lbrec_user_embedding(u, 'm'),
	lbrec_user_embedding(-u, 'm', listens => 'SELECT -user_id AS user_id, listened_at, recording_msid FROM listen')) AS p (a, b))) AS same
FROM generate_series(1, 60) AS u;
-- and so are the parts of the scores; the ages of earlier plays are kept
-- together only
WITH parts AS (
	SELECT u, sign(x) AS known, t.recording_msid, CASE e.part WHEN 'repeat' THEN 'repeat' ELSE 'found' END AS part, sum(e.value) AS value
	FROM generate_series(1, 60, 7) AS u, unnest(ARRAY[u, -u]) AS x, recording AS t,
		lbrec_explain(x, t.recording_msid, 'm', listens => 'SELECT v.user_id, listened_at, recording_msid FROM listen AS l, unnest(ARRAY[l.user_id, -l.user_id]) AS v (user_id)') AS e
	GROUP BY 1, 2, 3, 4)
SELECT part, max(abs(a.value - b.value)) < CASE part WHEN 'repeat' THEN 0.5 ELSE 1e-3 END AS same
FROM parts AS a JOIN parts AS b USING (u, recording_msid, part) WHERE a.known = 1 AND b.known = -1 GROUP BY 1 ORDER BY 1;
-- the calls agree
SELECT count(*), bool_and(r.score = s.score) AS score, bool_and(abs(r.score - e.value) < 1e-3) AS explain, bool_and(r.score = g.score) AS of_group, bool_and(r.score = a.score) AS of_all
FROM generate_series(1, 60, 9) AS u, LATERAL lbrec_recommend(u, 85, 'm') AS r
JOIN LATERAL (SELECT array_agg(recording_msid ORDER BY recording_msid) AS keys FROM recording) AS l ON true
JOIN LATERAL unnest(l.keys, lbrec_score(u, l.keys, 'm')) AS s (recording_msid, score) USING (recording_msid)
JOIN LATERAL (SELECT sum(value) AS value FROM lbrec_explain(u, r.recording_msid, 'm')) AS e ON true
JOIN LATERAL lbrec_recommend_group(ARRAY[u]::bigint[], 85, 'm') AS g USING (recording_msid)
JOIN LATERAL lbrec_recommend_all(85, 'm', ARRAY[u]::bigint[]) AS a USING (recording_msid);
SELECT bool_and(r.basis = 'fresh') AS fresh FROM lbrec_recommend_group('{1,2,3}', 5, 'm') AS r;

-- a listen counts in its transaction, once, and no longer after a rollback
CREATE TEMP TABLE before AS SELECT u, pg_temp.list(u) AS list, pg_temp.list(u, false) AS frozen FROM generate_series(1, 60) AS u;
BEGIN;
INSERT INTO listen SELECT 7, max(listened_at) + interval '1 minute', md5('recording 5')::uuid FROM listen WHERE user_id = 7;
SELECT pg_temp.list(7) <> list AS changed, pg_temp.list(7, false) = frozen AS frozen,
	pg_temp.list(8) = (SELECT list FROM before WHERE u = 8) AS others FROM before WHERE u = 7;
SELECT value > 0 AS repeats FROM lbrec_explain(7, md5('recording 5')::uuid, 'm') WHERE part = 'repeat';
SELECT count(*) FROM lbrec_explain(7, md5('recording 5')::uuid, 'm', fresh => false) WHERE part = 'repeat';
ROLLBACK;
SELECT count(*), bool_and(pg_temp.list(u) = list) AS as_before FROM before;
-- one that is not later than the last of the training waits for the next
BEGIN;
INSERT INTO listen SELECT user_id, max(listened_at), md5('recording 5')::uuid FROM pg_temp.early WHERE user_id = 7 GROUP BY 1;
SELECT pg_temp.list(7) = list AS same FROM before WHERE u = 7;
-- nor does one of a recording that the model does not know count, or one that
-- is deleted
INSERT INTO listen VALUES (7, '2005-05-01', md5('?')::uuid);
SELECT pg_temp.list(7) = list AS same FROM before WHERE u = 7;
DELETE FROM listen AS l WHERE listened_at > (SELECT max(listened_at) FROM pg_temp.early AS e WHERE e.user_id = l.user_id);
SELECT count(*), bool_and(pg_temp.list(u) = frozen) AS frozen FROM before;
ROLLBACK;
-- without later listens nothing is read twice
SELECT count(*), bool_and(pg_temp.list(u, true, 'SELECT * FROM pg_temp.early') = frozen) AS frozen FROM before;
SELECT count(*), bool_and(pg_temp.list(u, true, NULL, 'infinity') = list) AS infinity FROM before;

-- a time in the past: later listens do not count, the model's training does
SELECT count(*), bool_and(pg_temp.list(u, true, 'listen', t) =
	pg_temp.list(u, true, format('SELECT * FROM listen WHERE listened_at <= %L', t), t)) AS same,
	bool_and(pg_temp.list(u, true, 'listen', t) ~ 'listens') AS rebuilt
FROM generate_series(1, 60, 7) AS u, unnest('{2005-03-01 12:00+00,2005-03-10 00:00+00}'::timestamptz[]) AS t;
SELECT count(*), bool_and(pg_temp.list(u, true, NULL, '2005-03-10 00:00+00') =
	pg_temp.list(-u, true, 'SELECT -user_id AS user_id, listened_at, recording_msid FROM listen', '2005-03-10 00:00+00')) AS same
FROM generate_series(1, 60, 7) AS u;
SELECT DISTINCT basis FROM lbrec_recommend(7, 5, 'm', at => '2004-01-01');
SELECT basis, count(*) FROM lbrec_recommend_all(1, 'm', at => '2004-01-01') GROUP BY 1;
-- a later one: listens after it do not count
CREATE TEMP TABLE dated AS SELECT u, pg_temp.list(u, true, NULL, '2005-03-28 00:00+00') AS list FROM generate_series(1, 60) AS u;
BEGIN;
INSERT INTO listen SELECT u, '2005-03-28 00:00:01+00', md5('recording 5')::uuid FROM generate_series(1, 60) AS u;
SELECT count(*), bool_and(pg_temp.list(u, true, NULL, '2005-03-28 00:00+00') = list) AS same,
	bool_or(pg_temp.list(u, true, NULL, '2005-03-28 00:00:01+00') = list) AS a_second_later FROM dated;
ROLLBACK;
-- the age of plays is measured from it
SELECT count(*), bool_and(lbrec_score(7, ARRAY[recording_msid], 'm', at => '2006-01-01') <> lbrec_score(7, ARRAY[recording_msid], 'm', at => '2005-06-01')) AS ages
FROM (SELECT DISTINCT recording_msid FROM pg_temp.early WHERE user_id = 7) AS l;
-- whatever the type of the time
SELECT t, count(*), bool_and(pg_temp.list(u, true, q) = (SELECT list FROM before AS b WHERE b.u = a.u)) AS same
FROM generate_series(1, 60, 13) AS a (u), unnest('{timestamptz,timestamp,int8,int4}'::text[]) AS t,
	format('SELECT user_id, recording_msid, %s AS listened_at FROM listen',
		CASE WHEN t LIKE 'int%' THEN 'extract(epoch FROM listened_at)::' || t WHEN t = 'timestamp' THEN 'listened_at AT TIME ZONE ''UTC''' ELSE 'listened_at' END) AS q
GROUP BY 1 ORDER BY 1;

-- the default: missing, temporary, of other columns, or not to be read
SET search_path = pg_catalog, public_without_listen;
SELECT public.lbrec_score(7, ARRAY[md5('recording 5')::uuid], 'm') = public.lbrec_score(7, ARRAY[md5('recording 5')::uuid], 'm', fresh => false) AS frozen;
SELECT public.lbrec_score(7, ARRAY[md5('recording 5')::uuid], 'm', at => '2005-03-01');
SELECT public.lbrec_score(7, ARRAY[md5('recording 5')::uuid], 'm', at => '2005-03-01', fresh => false) IS NULL AS missing;
RESET search_path;
CREATE TEMP TABLE listen AS SELECT 7::bigint AS user_id, timestamptz '2005-05-01' AS listened_at, md5('recording 5')::uuid AS recording_msid;
SELECT pg_temp.list(7) = list AS not_temporary, pg_temp.list(7, true, 'listen') = list AS named FROM before WHERE u = 7;
DROP TABLE pg_temp.listen;
CREATE SCHEMA other CREATE TABLE listen (user_id text, listened_at timestamptz, recording_msid uuid);
SET search_path = other, public;
SELECT pg_temp.list(7) = frozen AS frozen FROM before WHERE u = 7;
SELECT pg_temp.list(7, true, 'listen');
SELECT pg_temp.list(7, true, 'SELECT 7 AS user_id');
SELECT pg_temp.list(7, true, 'missing');
RESET search_path;
DROP SCHEMA other CASCADE;
-- recordings to leave out need no times
SELECT DISTINCT basis FROM lbrec_recommend(7, 3, 'm', exclude_listened => true, listens => 'SELECT 7 AS user_id, recording_msid FROM recording WHERE taste = 1');
BEGIN READ ONLY;
SELECT pg_temp.list(7) = list AS read_only FROM before WHERE u = 7;
ROLLBACK;

-- a large table is read only by an index that leads with the user and the time
CREATE TABLE play AS SELECT user_id AS who, listened_at AS at, recording_msid AS what FROM listen
	UNION ALL SELECT 1000 + i, '2005-01-01', md5('recording 1')::uuid FROM generate_series(1, 30000) AS i;
CREATE INDEX ON play (who);
ANALYZE play;
CREATE SCHEMA own;
CREATE VIEW own.listen AS SELECT DISTINCT who AS user_id, at AS listened_at, what AS recording_msid FROM play WHERE what IS NOT NULL;
SET search_path = own, public;
SELECT pg_temp.list(7) = frozen AS frozen FROM before WHERE u = 7;
SELECT pg_temp.list(8) = frozen AS told_once FROM before WHERE u = 8;
SELECT pg_temp.list(7, true, NULL, '2005-03-10');
SELECT count(*), bool_and(pg_temp.list(u, true, 'own.listen') = list) AS named FROM before WHERE u < 4;
CREATE INDEX ON play (who, at) WHERE at > '2005-03-01';
SELECT pg_temp.list(7) = frozen AS frozen FROM before WHERE u = 7;
CREATE INDEX ON play (who, at);
SELECT count(*), bool_and(pg_temp.list(u) = list) AS fresh FROM before;
-- through a UNION, too, if both have one; and a table of partitions
CREATE OR REPLACE VIEW own.listen AS SELECT who AS user_id, at AS listened_at, what AS recording_msid FROM play
	UNION ALL SELECT who, at, what FROM play WHERE who < 0;
SELECT pg_temp.list(7) = list AS fresh FROM before WHERE u = 7;
CREATE OR REPLACE VIEW own.listen AS SELECT * FROM (SELECT who AS user_id, at AS listened_at, what AS recording_msid FROM play LIMIT 1000000) AS l;
SELECT pg_temp.list(7) = frozen AS limited FROM before WHERE u = 7;
DROP VIEW own.listen;
CREATE TABLE own.listen (LIKE public.listen) PARTITION BY RANGE (listened_at);
CREATE TABLE own.before PARTITION OF own.listen FOR VALUES FROM (MINVALUE) TO ('2005-03-25');
CREATE TABLE own.after PARTITION OF own.listen FOR VALUES FROM ('2005-03-25') TO (MAXVALUE);
INSERT INTO own.listen SELECT * FROM play;
SELECT pg_temp.list(7) = frozen AS frozen FROM before WHERE u = 7;
CREATE INDEX ON own.listen (user_id, listened_at, recording_msid);
SELECT count(*), bool_and(pg_temp.list(u) = list) AS fresh FROM before;
-- and the column may become another type, or the table another one
DROP TABLE own.listen;
CREATE TABLE own.listen AS SELECT user_id::integer, extract(epoch FROM listened_at)::integer AS listened_at, recording_msid FROM public.listen;
SELECT count(*), bool_and(pg_temp.list(u) = list) AS fresh FROM before;
ALTER TABLE own.listen ALTER listened_at TYPE timestamptz USING to_timestamp(listened_at);
SELECT count(*), bool_and(pg_temp.list(u) = list) AS fresh FROM before;
RESET search_path;
DROP SCHEMA own CASCADE;
DROP TABLE play;

-- a listen in the future neither hides those that come now nor counts twice
INSERT INTO listen SELECT 7, now() + interval '100 years', recording_msid FROM listen WHERE user_id = 7 LIMIT 1;
SELECT count(*) > 0 AS trained FROM lbrec_train('future', 'listen', epochs => 2, seed => 1);
DELETE FROM listen WHERE listened_at > now();
SELECT count(*) > 0 AS trained FROM lbrec_train('without', 'listen', epochs => 2, seed => 1);
SELECT t.name, count(DISTINCT md5(t.data)) = 1 AS same FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model
WHERE m.name IN ('future', 'without') AND t.name ~ '^history_(offsets|plays|last)$' GROUP BY 1 ORDER BY 1;
BEGIN;
INSERT INTO listen SELECT 7, now(), md5('recording 5')::uuid;
SELECT m, basis, count(*) FROM unnest('{future,without}'::text[]) AS m, LATERAL lbrec_recommend(7, 5, m) AS r GROUP BY 1, 2 ORDER BY 1;
ROLLBACK;

-- a query of listens may ask for recommendations, whose listens are one that does
CREATE FUNCTION nested(n int) RETURNS SETOF listen LANGUAGE plpgsql AS
$$
BEGIN
	IF n > 0 THEN
		PERFORM lbrec_recommend(7, 1, 'm', listens => format('SELECT * FROM nested(%s)', n - 1));
	END IF;
	RETURN QUERY SELECT * FROM listen;
END
$$;
SELECT pg_temp.list(7, true, format('SELECT * FROM nested(%s)', n)) = list AS nested FROM before, unnest('{3,30}'::int[]) AS n WHERE u = 7;
SELECT pg_temp.list(7) = list AS afterwards FROM before WHERE u = 7;
DROP FUNCTION nested;

-- row security: hidden listens do not count
CREATE ROLE regress_lbrec_reader;
GRANT USAGE ON SCHEMA lbrec TO regress_lbrec_reader;
GRANT SELECT ON lbrec.model, lbrec.tensor, before TO regress_lbrec_reader;
SET ROLE regress_lbrec_reader;
SELECT bool_and(pg_temp.list(u) = frozen) AS no_rights FROM before;
RESET ROLE;
GRANT SELECT ON listen TO regress_lbrec_reader;
ALTER TABLE listen ENABLE ROW LEVEL SECURITY;
CREATE POLICY part ON listen USING (user_id < 30);
SELECT count(*), bool_and(pg_temp.list(u) = list) AS owner FROM before;
SET ROLE regress_lbrec_reader;
SELECT u < 30 AS visible, bool_and(pg_temp.list(u) = list) AS fresh, bool_and(pg_temp.list(u) = frozen) AS frozen FROM before GROUP BY 1 ORDER BY 1;
RESET ROLE;
SELECT count(*), bool_and(pg_temp.list(u) = list) AS owner FROM before;
DROP OWNED BY regress_lbrec_reader;
DROP ROLE regress_lbrec_reader;

SELECT lbrec_drop_model(name, version) FROM lbrec_models;
