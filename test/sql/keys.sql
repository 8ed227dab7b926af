-- Keys of recordings from an application's numbers and texts.
SELECT n, lbrec_key(n), lbrec_key_bigint(lbrec_key(n)) = n AS back
FROM unnest('{0,1,-1,4711,9223372036854775807,-9223372036854775808}'::bigint[]) AS n;
SELECT count(DISTINCT lbrec_key(n)), bool_and(lbrec_key_bigint(lbrec_key(n)) = n)
FROM generate_series(-70000::bigint, 70000) AS n;
SELECT lbrec_key('Ágætis byrjun') = md5('Ágætis byrjun')::uuid AS text_key, lbrec_key('') = md5('')::uuid AS empty;
-- a key that no number made has none
SELECT lbrec_key_bigint(lbrec_key('1')), lbrec_key_bigint('00000000-0000-0000-0000-000000000000'),
	lbrec_key_bigint('6c62726b-0000-8000-8001-000000000001');
SELECT lbrec_key(NULL::bigint), lbrec_key(NULL::text), lbrec_key_bigint(NULL);
-- they fit a generated column
CREATE TEMPORARY TABLE track (id bigint, name text,
	recording_msid uuid GENERATED ALWAYS AS (lbrec_key(id)) STORED,
	by_name uuid GENERATED ALWAYS AS (lbrec_key(name)) STORED);
INSERT INTO track VALUES (7, 'seven');
SELECT id, lbrec_key_bigint(recording_msid), by_name = md5('seven')::uuid AS named FROM track;
