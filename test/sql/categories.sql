--
-- Further columns: the same value is the same key in every session
--
\i test/sql/listens.inc
CREATE TEMP VIEW rich AS SELECT l.*, date '2020-01-01' + taste AS d, timestamp '2020-01-01 12:34:56.789' + taste * interval '1 day' AS ts, timestamptz '2020-07-01 12:00+00' + taste * interval '1 day' AS tz,
	time '12:34:56' + taste * interval '1 minute' AS t, timetz '12:34:56+02' + taste * interval '1 minute' AS ttz, taste * interval '1 month 2 days 03:04:05' AS iv, decode(repeat('0' || taste, 3), 'hex') AS b,
	ARRAY[taste / 3.0::float8, 1e-7] AS f8, ARRAY[(taste / 3.0)::float4] AS f4, ARRAY[taste * 1.50, 2.00] AS n, ARRAY[date '2020-01-01' + taste] AS ds,
	(ARRAY['a', 'é']::text[])[1 + taste % 2] AS tx, (taste % 2 = 0) AS bo, ('{"b": 1, "a": ' || taste || '}')::jsonb AS j, int4range(taste, taste + 2) AS r, taste::int2 AS i
FROM listen AS l JOIN recording USING (recording_msid);
CREATE TEMP VIEW keys AS
SELECT m.name, t.name AS part, t.rows, md5(t.data) AS sum FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id WHERE t.name ~ '_(keys|key_offsets|codes|embedding)$';
SELECT count(*) FROM lbrec_train('here', 'SELECT * FROM rich', epochs => 1, split => 'none', settings => '{"ensemble": 1, "embedding_dim": 4}');
SET DateStyle = 'German';
SET TimeZone = 'America/New_York';
SET IntervalStyle = 'iso_8601';
SET bytea_output = 'escape';
SET extra_float_digits = -10;
SELECT count(*) FROM lbrec_train('there', 'SELECT * FROM rich', epochs => 1, split => 'none', settings => '{"ensemble": 1, "embedding_dim": 4}');
SELECT count(*) > 40 AS many, count(*) FILTER (WHERE a.sum <> b.sum OR a.rows <> b.rows) AS differ FROM keys AS a JOIN keys AS b USING (part) WHERE a.name = 'here' AND b.name = 'there';
-- and a model that is continued here knows them all
SELECT count(*) FROM lbrec_train('on', 'SELECT * FROM rich', epochs => 1, start_from => 'here', split => 'none');
SELECT count(*) FILTER (WHERE a.rows <> b.rows) AS grew FROM keys AS a JOIN keys AS b USING (part) WHERE a.name = 'here' AND b.name = 'on' AND part ~ '_keys$';
RESET ALL;
-- the form of keys
SELECT replace(t.name, '_keys', '') AS feature, encode(substring(t.data FOR 48), 'escape') AS begins FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id
WHERE m.name = 'here' AND t.name ~ '_keys$' AND t.name <> 'recording_keys' ORDER BY 1;

-- types whose text may change are refused by name
SELECT lbrec_train('never', 'SELECT *, tsrange(''2020-01-01'', ''2020-02-01'') AS span FROM listen');
SELECT lbrec_train('never', 'SELECT *, ''1''::money AS price FROM listen');
SELECT lbrec_train('never', 'SELECT *, ''pg_class''::regclass AS c FROM listen');
SELECT lbrec_train('never', 'SELECT *, ARRAY[ROW(1, 2)] AS rows FROM listen');
DELETE FROM lbrec.model;
