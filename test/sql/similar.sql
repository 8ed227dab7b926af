--
-- lbrec_similar among recordings enough for the index: by cosine the nearest,
-- where vectors are of unit length and where they are not
--
SET client_min_messages = warning;	-- versions.sql tells of the default
\set VERBOSITY terse
DROP TABLE IF EXISTS listen;
CREATE TABLE listen AS
SELECT u::bigint AS user_id, to_timestamp(1100000000 + u * 1000 + n) AS listened_at,
	md5('similar ' || u % 6 * 300 + (hashint8(u * 1000003::bigint + n) & 1048575) % 300)::uuid AS recording_msid
FROM generate_series(1, 300) AS u, generate_series(1, 30) AS n;
SELECT count(DISTINCT recording_msid) > 1700 AS enough FROM listen;
SELECT count(*) FROM lbrec_train('unit', epochs => 2, settings => '{"embedding_dim": 8, "ensemble": 2, "refit": false, "temperature": 0.1}', split => 'none');
SELECT count(*) FROM lbrec_train('free', epochs => 2, settings => '{"embedding_dim": 16, "ensemble": 1, "refit": false, "l2_normalize": false, "temperature": 1}', split => 'none');

CREATE TEMP TABLE vector AS SELECT m AS model, v.* FROM unnest('{unit,free}'::text[]) AS m, LATERAL lbrec_recording_embeddings(m) AS v;
CREATE FUNCTION pg_temp.cosine(real[], real[]) RETURNS float8 IMMUTABLE LANGUAGE sql AS
$$ SELECT sum(a::float8 * b) / sqrt(sum(a::float8 * a) * sum(b::float8 * b)) FROM unnest($1, $2) AS x (a, b) $$;
CREATE TEMP TABLE asked AS
SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY model ORDER BY recording_msid) AS n FROM vector) AS v WHERE n <= 4;
CREATE TEMP TABLE cosine AS
SELECT a.model, a.recording_msid AS a, v.recording_msid AS b, pg_temp.cosine(a.embedding, v.embedding) AS cosine
FROM asked AS a JOIN vector AS v ON v.model = a.model AND v.recording_msid <> a.recording_msid;

SELECT c.model, count(s.score) AS rows, bool_and(abs(s.score - c.cosine) < 1e-5) FILTER (WHERE s.score IS NOT NULL) AS cosines
FROM cosine AS c LEFT JOIN (SELECT a.model, a.recording_msid AS a, s.recording_msid AS b, s.score
	FROM asked AS a, LATERAL lbrec_similar(ARRAY[a.recording_msid], 20, a.model) AS s) AS s USING (model, a, b) GROUP BY 1 ORDER BY 1;
-- none that is left out is nearer
SELECT model, bool_and(worst > best_left - 1e-6) AS nearest
FROM (SELECT c.model, c.a, min(c.cosine) FILTER (WHERE s.score IS NOT NULL) AS worst, max(c.cosine) FILTER (WHERE s.score IS NULL) AS best_left
	FROM cosine AS c LEFT JOIN (SELECT a.model, a.recording_msid AS a, s.recording_msid AS b, s.score
		FROM asked AS a, LATERAL lbrec_similar(ARRAY[a.recording_msid], 20, a.model) AS s) AS s USING (model, a, b) GROUP BY 1, 2) AS x GROUP BY 1 ORDER BY 1;
-- few by the index are the beginning of many without it
SELECT a.model, count(*), bool_and(f.score = m.score) AS same
FROM asked AS a, LATERAL lbrec_similar(ARRAY[a.recording_msid], 30, a.model) AS f
	JOIN LATERAL lbrec_similar(ARRAY[a.recording_msid], 900, a.model) AS m USING (rank, recording_msid) GROUP BY 1 ORDER BY 1;
-- several: nearest to the mean of the vectors at unit length, none of the
-- given is a result, each counts once, and unknown ones do not count
CREATE TEMP TABLE mean AS
SELECT model, array_agg(x / length ORDER BY d) AS embedding
FROM (SELECT model, d, sum(x / norm) AS x, sqrt(sum(sum(x / norm) ^ 2) OVER (PARTITION BY model)) AS length
	FROM (SELECT model, d, x::float8, sqrt(sum(x::float8 * x) OVER (PARTITION BY model, recording_msid)) AS norm
		FROM asked, unnest(embedding) WITH ORDINALITY AS e (x, d)) AS e GROUP BY 1, 2) AS m GROUP BY 1;
CREATE TEMP TABLE near AS
SELECT v.model, v.recording_msid, pg_temp.cosine(m.embedding::real[], v.embedding) AS cosine
FROM vector AS v JOIN mean AS m USING (model) LEFT JOIN asked AS a USING (model, recording_msid) WHERE a.n IS NULL;
CREATE TEMP TABLE seeds AS SELECT model, array_agg(recording_msid) || array_agg(recording_msid) || md5('nothing')::uuid AS keys FROM asked GROUP BY 1;
CREATE TEMP TABLE found AS SELECT k.model, s.* FROM seeds AS k, LATERAL lbrec_similar(k.keys, 40, k.model) AS s;
SELECT n.model, count(*) AS others, count(f.rank) AS found, bool_and(abs(f.score - n.cosine) < 1e-5) AS cosines,
	min(f.score) > max(n.cosine) FILTER (WHERE f.rank IS NULL) - 1e-5 AS nearest
FROM near AS n LEFT JOIN found AS f USING (model, recording_msid) GROUP BY 1 ORDER BY 1;
-- with any condition, the list is the allowed part of the full list
CREATE TEMP TABLE everything AS
SELECT model, s.* FROM seeds, LATERAL lbrec_similar(keys, 10000, model) AS s;
CREATE FUNCTION pg_temp.listed(model text, wishes text) RETURNS SETOF everything LANGUAGE plpgsql AS
$$ BEGIN RETURN QUERY EXECUTE format('SELECT k.model, s.* FROM seeds AS k, LATERAL lbrec_similar(k.keys, 50, k.model, %s) AS s WHERE k.model = %L', wishes, model); END $$;
CREATE TEMP TABLE part AS SELECT recording_msid, row_number() OVER (ORDER BY recording_msid) AS n FROM (SELECT DISTINCT recording_msid FROM vector) AS v;
CREATE FUNCTION pg_temp.left_of(model text, allowed text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE answer text;
BEGIN
	EXECUTE format('SELECT string_agg(recording_msid || '' '' || score, '','' ORDER BY rank) FROM (SELECT e.* FROM everything AS e WHERE e.model = %L AND e.recording_msid IN (%s) ORDER BY rank LIMIT 50) AS e', model, allowed) INTO answer;
	RETURN coalesce(answer, '');
END $$;
SELECT m AS model, name, (SELECT count(*) > 0 FROM pg_temp.listed(m, wishes)) AS rows,
	(SELECT coalesce(string_agg(recording_msid || ' ' || score, ',' ORDER BY rank), '') FROM pg_temp.listed(m, wishes)) = pg_temp.left_of(m, allowed) AS same
FROM unnest('{unit,free}'::text[]) AS m, (VALUES
	('short list', 'candidates => (SELECT array_agg(recording_msid) FROM part WHERE n % 40 = 0)', 'SELECT recording_msid FROM part WHERE n % 40 = 0'),
	('few', 'filter => ''SELECT recording_msid FROM part WHERE n % 9 = 0''', 'SELECT recording_msid FROM part WHERE n % 9 = 0'),
	('many', 'filter => ''SELECT recording_msid FROM part WHERE n % 9 > 2''', 'SELECT recording_msid FROM part WHERE n % 9 > 2'),
	('both', 'candidates => (SELECT array_agg(recording_msid) FROM part WHERE n % 2 = 0), filter => ''SELECT recording_msid FROM part WHERE n % 3 = 0''', 'SELECT recording_msid FROM part WHERE n % 6 = 0'),
	('exclude', 'exclude => (SELECT array_agg(recording_msid) FROM part WHERE n % 2 = 0)', 'SELECT recording_msid FROM part WHERE n % 2 = 1'),
	('short list without some', 'candidates => (SELECT array_agg(recording_msid) FROM part WHERE n % 40 = 0), exclude => (SELECT array_agg(recording_msid) FROM part WHERE n % 80 = 0)', 'SELECT recording_msid FROM part WHERE n % 80 = 40'),
	('bounds', 'min_listens => 5, max_listens => 6', 'SELECT recording_msid FROM listen GROUP BY 1 HAVING count(*) BETWEEN 5 AND 6'),
	('nothing', 'candidates => ''{}''', 'SELECT NULL::uuid WHERE false')) AS c (name, wishes, allowed) ORDER BY 1, 2;
-- diversity begins with the nearest and then differs
SELECT model, count(*), bool_or(l.rank = 1 AND l.recording_msid = e.recording_msid) AS first,
	bool_and(l.recording_msid = e.recording_msid) AS all
FROM unnest('{unit,free}'::text[]) AS m, pg_temp.listed(m, 'diversity => 0.7') AS l JOIN everything AS e USING (model, rank) GROUP BY 1 ORDER BY 1;
-- refused arguments
SELECT count(*) FROM lbrec_similar('{}', 5, 'unit');
SELECT * FROM lbrec_similar(ARRAY[NULL::uuid], 5, 'unit');
SELECT * FROM lbrec_similar(ARRAY[md5('nothing')::uuid, md5('nothing, too')::uuid], 5, 'unit');
SELECT * FROM lbrec_similar((SELECT keys FROM seeds LIMIT 1), 5, 'unit', exclude => ARRAY[NULL::uuid]);
SELECT * FROM lbrec_similar((SELECT keys FROM seeds LIMIT 1), 5, 'unit', per_artist => 1);
SELECT * FROM lbrec_similar((SELECT keys FROM seeds LIMIT 1), 5, 'unit', diversity => 2);
SELECT lbrec_drop_model('unit'), lbrec_drop_model('free');
