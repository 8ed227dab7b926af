--
-- Which version answers after a training: lbrec_retrain, the warning of a
-- training that is worse than popular recordings, require_better
--

\i test/sql/listens.inc
-- the latest listens come later
CREATE TABLE late AS SELECT * FROM listen WHERE listened_at >= '2005-03-20';
DELETE FROM listen WHERE listened_at >= '2005-03-20';

-- the first version is made active
SELECT activated, reason, version, old_version, value, old_value, standard_error, popular_value, listens_judged, users_judged, pruned, seconds > 0 AS seconds
FROM lbrec_retrain('m', settings => '{"ensemble": 1, "embedding_dim": 16}');
-- without new listens there is nothing to do
SELECT activated, reason, version, old_version, listens_judged FROM lbrec_retrain('m');
SELECT activated, reason, version FROM lbrec_retrain('m', rule => 'always');

INSERT INTO listen SELECT * FROM late;
-- of the same settings and the same listens comes the same model: what both are judged on neither has seen
SELECT activated, version, value = old_value AS equal, standard_error, popular_value < value AS better_than_popular, listens_judged = (SELECT count(*) FROM late) AS judged, users_judged BETWEEN 30 AND 60 AS users
FROM lbrec_retrain('m', rule => 'better', settings => '{"ensemble": 1, "embedding_dim": 16}');
-- much worse settings do not pass, and leave nothing
CREATE TEMP TABLE worse AS SELECT * FROM lbrec_retrain('m', settings => '{"ensemble": 1, "embedding_dim": 8, "repeat_power": 0, "neighbours": 0, "epochs": 1, "learning_rate": 1e-9}');
SELECT activated, version, old_version, pruned, value < old_value AS worse, reason ~ '^the new settings are worse: ndcg_100 is 0\.\d{4}, of version 1 0\.\d{4}, and the standard error of the difference 0\.\d{4}$' AS reason FROM worse;
SELECT name, version, active FROM lbrec_models;
-- the judgement is stored
SELECT version, recommender, count(*), bool_and(k IN (1, 5, 10, 20, 50, 100)) AS ks, min(first_listen) = (SELECT min(listened_at) FROM late) AND max(last_listen) = (SELECT max(listened_at) FROM late) AS span, count(DISTINCT measured) AS times
FROM lbrec.evaluation WHERE kind = 'retraining' GROUP BY version, recommender ORDER BY recommender COLLATE "C";
-- that of the old version is what lbrec_evaluate says of it
SELECT count(*), bool_and(abs(v.new_ndcg - e.new_ndcg) < 1e-3 AND abs(v.new_recall - e.new_recall) < 1e-3 AND abs(v.top_k_accuracy - e.top_k_accuracy) < 1e-3 AND abs(v.mrr - e.mrr) < 1e-3 AND v.users_evaluated = e.users_evaluated) AS the_same
FROM lbrec.evaluation AS v JOIN lbrec_evaluate('m', 'late', '{1,5,10,20,50,100}') AS e USING (recommender, k) WHERE v.kind = 'retraining' AND v.measured = (SELECT max(measured) FROM lbrec.evaluation);
-- not worse is enough, unless the rule asks for more; old versions go
SELECT activated, version, pruned FROM lbrec_retrain('m', keep => 1, settings => '{"ensemble": 1, "embedding_dim": 16}');
SELECT name, version, active, (SELECT count(*) FROM lbrec.evaluation AS v WHERE v.name = m.name AND v.version = 1 AND v.model IS NULL) > 0 AS measures_stay FROM lbrec_models AS m;
SELECT activated, reason FROM lbrec_retrain('m');
-- listens in the future, from a wrong clock, may have been in the training
SET client_min_messages = warning;
SELECT count(*) > 0 AS trained FROM lbrec_train('clock', 'SELECT * FROM listen UNION ALL SELECT 1, ''2105-01-01'', md5(''recording 1'')::uuid', settings => '{"ensemble": 1, "embedding_dim": 4, "temperature": 0.2}');
CREATE TABLE today AS SELECT user_id, clock_timestamp() AS listened_at, md5('recording ' || user_id % 3 * 30 + 29)::uuid AS recording_msid FROM generate_series(1::bigint, 60) AS user_id;
SELECT activated, version, listens_judged FROM lbrec_retrain('clock', 'SELECT * FROM listen UNION ALL SELECT 1, ''2105-01-01'', md5(''recording 1'')::uuid UNION ALL SELECT * FROM today', metric => 'top_10', rule => 'always',
	settings => '{"ensemble": 1, "embedding_dim": 4, "temperature": 0.2}');
-- where none of the old listens is there any more, only force helps
SELECT activated, version, reason FROM lbrec_retrain('clock', 'SELECT user_id, ''2090-01-01''::timestamptz AS listened_at, recording_msid FROM listen', settings => '{"ensemble": 1, "embedding_dim": 4, "temperature": 0.2}');
SELECT activated, version, reason FROM lbrec_retrain('clock', 'SELECT user_id, ''2090-01-01''::timestamptz AS listened_at, recording_msid FROM listen', rule => 'always', settings => '{"ensemble": 1, "embedding_dim": 4, "temperature": 0.2}');
-- new users alone say nothing of what is new to them
SELECT activated, version, listens_judged, users_judged, value, reason FROM lbrec_retrain('m', 'SELECT * FROM listen UNION ALL SELECT user_id + 1000, listened_at + interval ''1 year'', recording_msid FROM listen', settings => '{"ensemble": 1, "embedding_dim": 4, "temperature": 0.2}');
RESET client_min_messages;
SELECT * FROM lbrec_retrain('m', rule => 'maybe');
SELECT * FROM lbrec_retrain('m', rule => NULL);
SELECT * FROM lbrec_retrain('m', metric => 'test_loss');
SELECT * FROM lbrec_retrain('m', metric => 'beauty');
SELECT * FROM lbrec_retrain('m', keep => 0);
SELECT * FROM lbrec_retrain('m', settings => '{"split": "query"}');
SELECT * FROM lbrec_retrain('m', settings => '{"colour": "red"}');
SELECT * FROM lbrec_retrain('');
SELECT * FROM lbrec_retrain(NULL);
BEGIN READ ONLY; SELECT * FROM lbrec_retrain('m'); ROLLBACK;
DELETE FROM lbrec.model;
DELETE FROM lbrec.evaluation;

-- a training that is worse than popular recordings says so.  At last everybody plays one of the two that are most popular, with vectors of chance alone
CREATE TABLE dull AS
SELECT u::bigint AS user_id, timestamptz '2020-01-01' + n * interval '1 day' AS listened_at, md5('dull ' || CASE n WHEN 10 THEN u % 2 WHEN 9 THEN 1 - u % 2 ELSE 2 + u % 10 * 20 + n * u % 20 END)::uuid AS recording_msid
FROM generate_series(1, 400) AS u, generate_series(1, 10) AS n;
\set VERBOSITY terse
SELECT count(*) FROM lbrec_train('dull', 'dull', epochs => 1, settings => '{"ensemble": 1, "embedding_dim": 8, "learning_rate": 1e-9, "neighbours": 0, "repeat_power": 0, "test_last": 1, "refit": false}');
SELECT count(*) FROM lbrec_train('dull', 'dull', epochs => 1, settings => '{"ensemble": 1, "embedding_dim": 8, "learning_rate": 1e-9, "neighbours": 0, "repeat_power": 0, "test_last": 1, "refit": false, "require_better": true}');
-- and so does one that nothing was held out of
SELECT count(*) FROM lbrec_train('dull', 'dull', epochs => 1, split => 'none', settings => '{"ensemble": 1, "embedding_dim": 1, "require_better": true}');
\set VERBOSITY default
SELECT version, active, ndcg_100 < popular_ndcg_100 AS worse, ndcg_100 IS NULL AS unknown FROM lbrec_models JOIN lbrec_model_details USING (name, version) ORDER BY version;
-- one that is better is active
SELECT count(*) > 0 AS trained FROM lbrec_train('keen', settings => '{"ensemble": 1, "embedding_dim": 16, "require_better": true}', make_default => true);
SELECT active, is_default, ndcg_100 > popular_ndcg_100 AS better FROM lbrec_models JOIN lbrec_model_details USING (name, version) WHERE name = 'keen';
SELECT activated, version, reason FROM lbrec_retrain('dull', 'dull', rule => 'always', settings => '{"split": "none", "epochs": 1, "ensemble": 1, "embedding_dim": 1, "require_better": true}');
SELECT activated, version, reason FROM lbrec_retrain('other', 'dull', settings => '{"split": "none", "epochs": 1, "ensemble": 1, "embedding_dim": 1, "require_better": true}');
DELETE FROM lbrec.model;
DELETE FROM lbrec.evaluation;
DROP TABLE late, today, dull;
