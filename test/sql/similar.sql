--
-- lbrec_similar among recordings enough for the index: by cosine the nearest,
-- where vectors are of unit length and where they are not
--
\set VERBOSITY terse
CREATE TEMP TABLE listen AS
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
	FROM asked AS a, LATERAL lbrec_similar(a.recording_msid, 20, a.model) AS s) AS s USING (model, a, b) GROUP BY 1 ORDER BY 1;
-- no user that is left out is nearer
SELECT model, bool_and(worst > best_left - 1e-6) AS nearest
FROM (SELECT c.model, c.a, min(c.cosine) FILTER (WHERE s.score IS NOT NULL) AS worst, max(c.cosine) FILTER (WHERE s.score IS NULL) AS best_left
	FROM cosine AS c LEFT JOIN (SELECT a.model, a.recording_msid AS a, s.recording_msid AS b, s.score
		FROM asked AS a, LATERAL lbrec_similar(a.recording_msid, 20, a.model) AS s) AS s USING (model, a, b) GROUP BY 1, 2) AS x GROUP BY 1 ORDER BY 1;
-- few by the index are the beginning of many without it
SELECT a.model, count(*), bool_and(f.score = m.score) AS same
FROM asked AS a, LATERAL lbrec_similar(a.recording_msid, 30, a.model) AS f
	JOIN LATERAL lbrec_similar(a.recording_msid, 900, a.model) AS m USING (rank, recording_msid) GROUP BY 1 ORDER BY 1;
SELECT lbrec_drop_model('unit'), lbrec_drop_model('free');
