--
-- Row security: what a role may not see does not count, in any call
--

\i test/sql/listens.inc
SELECT count(*) FROM lbrec_train('m', epochs => 5);

-- listens of an unknown user
CREATE ROLE regress_lbrec_reader;
GRANT USAGE ON SCHEMA lbrec TO regress_lbrec_reader;
GRANT SELECT ON lbrec.model, lbrec.tensor TO regress_lbrec_reader;
CREATE TABLE secret (user_id bigint, recording_msid uuid, listened_at timestamptz, visible boolean);
INSERT INTO secret SELECT 1001, md5('recording ' || 60 + i)::uuid, '2005-03-20', i > 5 FROM generate_series(1, 8) AS i;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY part ON secret USING (visible);
GRANT SELECT ON secret TO regress_lbrec_reader;
CREATE FUNCTION pg_temp.one(text) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(basis || recording_msid || score, ' ' ORDER BY rank) FROM lbrec_recommend(1001, 10, 'm', listens => $1) $$;
CREATE TEMP TABLE seen_of_one AS SELECT pg_temp.one('secret') AS everything, pg_temp.one('SELECT * FROM secret WHERE visible') AS part,
	(SELECT count(*) FROM lbrec_recommend(1001, 10, 'm', exclude_listened => true, listens => 'secret') JOIN secret USING (recording_msid)) AS repeats;
GRANT SELECT ON seen_of_one TO regress_lbrec_reader;
SET ROLE regress_lbrec_reader;
SELECT pg_temp.one('secret') = part AS own_rights, pg_temp.one('secret') = everything AS others FROM seen_of_one;
SELECT basis, count(*) FROM lbrec_recommend(1001, 3, 'm') GROUP BY basis;
RESET ROLE;
SELECT repeats FROM seen_of_one;
DROP TABLE secret;
DROP OWNED BY regress_lbrec_reader;
DROP ROLE regress_lbrec_reader;

-- every call
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

SELECT lbrec_drop_model('m');
