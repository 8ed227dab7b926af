--
-- Which model answers: the default, and versions that are asked by number
--
\set VERBOSITY default
\i test/sql/listens.inc
PREPARE answers AS SELECT name, version, active, is_default FROM lbrec_models ORDER BY name, version;
CREATE FUNCTION pg_temp.train(name text, activate boolean DEFAULT true, make_default boolean DEFAULT false) RETURNS bigint LANGUAGE sql AS
$$ SELECT count(*) FROM lbrec_train(name, epochs => 1, split => 'none', activate => activate, make_default => make_default) $$;

-- the first model that is active is the default, and stays so
SELECT pg_temp.train('idle', activate => false);
SELECT lbrec_recommend(7, 1);
SELECT pg_temp.train('first');
SELECT pg_temp.train('second');
SELECT pg_temp.train('first');
EXECUTE answers;
SELECT count(*) FROM lbrec_tune('tuned', search => '{"temperature": [0.1, 0.3]}', epochs => 1);
SELECT lbrec_activate('second', 1);
SELECT lbrec_activate('idle');
EXECUTE answers;
-- an older version of the default's name is the default, too
SELECT lbrec_activate('first', 1);
SELECT name, version FROM lbrec_models WHERE is_default;
SELECT lbrec_drop_model('first', 1);
SELECT name, version FROM lbrec_models WHERE is_default;

-- until somebody says otherwise
SELECT lbrec_activate('second', make_default => true);
SELECT name, version FROM lbrec_models WHERE is_default;
SELECT pg_temp.train('third', make_default => true);
SELECT name, version FROM lbrec_models WHERE is_default;
SELECT pg_temp.train('second');
SELECT pg_temp.train('never', activate => false, make_default => true);

-- without it, several are no default, and the only one that is left is
SELECT lbrec_drop_model('third');
SELECT count(*) FROM lbrec_models WHERE is_default;
SELECT lbrec_recommend(7, 1);
SELECT count(*) FROM lbrec_recommend(7, 1, 'second');
SELECT pg_temp.train('fourth');
SELECT lbrec_drop_model('fourth'), lbrec_drop_model('idle'), lbrec_drop_model('second');
SELECT name, version FROM lbrec_models WHERE is_default;
SELECT count(*) FROM lbrec_recommend(7, 1);
-- and stays so when there are others again
SELECT pg_temp.train('fifth');
SELECT name, version FROM lbrec_models WHERE is_default;

-- each call asks a version, active or not; of the default if no model is named
SELECT count(*) FROM lbrec_train('first', 'SELECT user_id, listened_at, recording_msid, artist_name FROM listen JOIN recording USING (recording_msid) WHERE user_id < 10', epochs => 2, preset => 'paper', activate => false);
SELECT name, version, active, n_users FROM lbrec_models WHERE name = 'first' ORDER BY version;
SELECT count(DISTINCT user_id) FROM lbrec_recommend_all(2);
SELECT count(DISTINCT user_id) FROM lbrec_recommend_all(2, version => 3);
SELECT count(*) FROM lbrec_recommend(7, 5, version => 3);
SELECT count(*) > 10 AS known FROM lbrec_recording_embeddings('first', 3);
SELECT lbrec_score(7, ARRAY[recording_msid], version => 3) = ARRAY[score] AS same FROM lbrec_recommend(7, 1, version => 3);
SELECT lbrec_score(7, ARRAY[recording_msid], version => 2) = ARRAY[score] AS same FROM lbrec_recommend(7, 1);
SELECT abs(sum(value) - max(score)) < 1e-4 AS explained FROM lbrec_recommend(7, 1, version => 3) AS r, LATERAL lbrec_explain(7, r.recording_msid, version => 3);
SELECT count(*) FROM lbrec_similar_users(7, 3, version => 3);
SELECT lbrec_similar_users(7, 3, version => 2);
SELECT count(*) FROM lbrec_similar(ARRAY[md5('recording 1')::uuid], 1, version => 3);
SELECT count(*) FROM lbrec_recommend_group('{7,8}', 3, version => 3);
SELECT count(*) FROM lbrec_next(3, user_id => 7, version => 2);
SELECT array_length(lbrec_user_embedding(7, version => 3), 1), array_length(lbrec_user_embedding(7, version => 2), 1);
SELECT array_length(lbrec_recording_embedding(md5('recording 1')::uuid, version => 3), 1);
SELECT recommender, listens_evaluated > 0 AS evaluated FROM lbrec_evaluate('first', ks => '{10}', version => 3);
EXPLAIN SELECT * FROM lbrec_recommend_all(2, version => 3);
SELECT lbrec_recommend(7, 1, 'first', version => 9);
SELECT lbrec_recommend(7, 1, version => 9);
SELECT lbrec_recommend(7, 1, 'first', version => 0);
SELECT lbrec_recommend(7, 1, 'nobody', version => 1);

-- a model hidden by row security is no default
CREATE ROLE regress_lbrec_half;
GRANT USAGE ON SCHEMA lbrec TO regress_lbrec_half;
GRANT SELECT ON lbrec.model, lbrec.tensor TO regress_lbrec_half;
ALTER TABLE lbrec.model ENABLE ROW LEVEL SECURITY;
CREATE POLICY half ON lbrec.model FOR SELECT TO regress_lbrec_half USING (name <> 'first');
SET ROLE regress_lbrec_half;
SELECT count(*) FROM lbrec_recommend(7, 1);
RESET ROLE;
UPDATE lbrec.model SET activation = nextval('lbrec.activation_seq') WHERE name = 'tuned';
SET ROLE regress_lbrec_half;
SELECT count(*) FROM lbrec_recommend(7, 1);
RESET ROLE;
DROP POLICY half ON lbrec.model;
ALTER TABLE lbrec.model DISABLE ROW LEVEL SECURITY;
DROP OWNED BY regress_lbrec_half;
DROP ROLE regress_lbrec_half;
DELETE FROM lbrec.model;
