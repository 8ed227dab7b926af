--
-- Measures that are kept: lbrec.evaluation, lbrec_record_evaluation,
-- lbrec_weeks, and what lbrec_models shows of them
--

\i test/sql/listens.inc
SET client_min_messages = warning;	-- versions.sql tells of the default
CREATE TABLE early AS SELECT * FROM listen WHERE listened_at < '2005-03-20';
CREATE TABLE late AS SELECT * FROM listen WHERE listened_at >= '2005-03-20';

-- a training keeps the measures of the epoch that is saved, and baselines
SELECT count(*) > 0 AS trained FROM lbrec_train('m', 'early', settings => '{"ensemble": 1, "embedding_dim": 8, "temperature": 0.2}');
SELECT recommender, array_agg(k ORDER BY k) AS ks, min(kind) AS kind, min(split) AS split, count(DISTINCT measured) AS times, min(measured) BETWEEN now() - interval '1 hour' AND clock_timestamp() AS lately,
	min(listens) AS listens, bool_and(top_k_accuracy BETWEEN 0 AND 1 AND new_ndcg BETWEEN 0 AND 1 AND mrr <= top_k_accuracy) AS in_range,
	count(DISTINCT listens_evaluated) AS sizes, min(first_listen) >= '2005-02-01' AND max(last_listen) < '2005-03-20' AND min(first_listen) < max(last_listen) AS span
FROM lbrec.evaluation WHERE name = 'm' AND version = 1 GROUP BY recommender ORDER BY recommender COLLATE "C";
SELECT v.top_k_accuracy = e.top_10 AND w.new_ndcg = e.ndcg_20 AND w.new_recall = e.recall_20 AND x.new_ndcg = e.ndcg_100 AS of_that_epoch,
	m.ndcg_100 = lbrec.figure(x.new_ndcg) AS ndcg_100, m.age BETWEEN '0 s' AND '1 hour' AS age
FROM lbrec.model AS l JOIN lbrec.epoch AS e ON e.model = l.id AND e.epoch = (l.config ->> 'best_epoch')::integer
	JOIN lbrec.evaluation AS v ON v.model = l.id AND v.recommender = 'model' AND v.k = 10
	JOIN lbrec.evaluation AS w ON w.model = l.id AND w.recommender = 'model' AND w.k = 20
	JOIN lbrec.evaluation AS x ON x.model = l.id AND x.recommender = 'model' AND x.k = 100
	JOIN lbrec_models AS m ON m.name = l.name AND m.version = l.version
WHERE l.name = 'm';
-- without anything held out there are none
SELECT count(*) FROM lbrec_train('none', 'early', split => 'none', epochs => 1, settings => '{"ensemble": 1, "embedding_dim": 4}');
SELECT (SELECT count(*) FROM lbrec.evaluation WHERE name = 'none') AS rows, ndcg_100 FROM lbrec_models WHERE name = 'none';

-- an evaluation is what lbrec_evaluate returns, and is kept
CREATE TEMP TABLE recorded AS SELECT * FROM lbrec_record_evaluation('m', 'late');
SELECT count(*) AS rows, bool_and(r = e) AS as_evaluated FROM recorded AS r JOIN lbrec_evaluate('m', 'late', '{1,5,10,20,50,100}') AS e USING (recommender, k);
SELECT count(*) AS kept, bool_and((lbrec.figure(v.top_k_accuracy), lbrec.figure(v.ndcg), lbrec.figure(v.mrr), lbrec.figure(v.coverage), lbrec.figure(v.mean_popularity), v.listens_evaluated, v.unknown_recordings, v.users_evaluated)
		= (r.top_k_accuracy, r.ndcg, r.mrr, r.coverage, r.mean_popularity, r.listens_evaluated, r.unknown_recordings, r.users_evaluated)
	AND (lbrec.figure(v.new_recall), lbrec.figure(v.new_ndcg)) IS NOT DISTINCT FROM (r.new_recall, r.new_ndcg)) AS the_same,
	min(v.first_listen) = (SELECT min(listened_at) FROM late) AND max(v.last_listen) = (SELECT max(listened_at) FROM late) AS span, count(v.split) AS splits, min(v.listens) AS listens
FROM lbrec.evaluation AS v JOIN recorded AS r USING (recommender, k) WHERE v.kind = 'evaluation' AND v.name = 'm' AND v.version = 1;
BEGIN READ ONLY; SELECT lbrec_record_evaluation('m', 'late'); ROLLBACK;

-- baselines of a training are those of an evaluation on the same listens, and so is a model that has no history
SELECT count(*) > 0 AS trained FROM lbrec_train('paper', 'SELECT *, ''a'' AS artist_name FROM early', preset => 'paper', epochs => 2, test_listens => 'late');
SELECT count(*) AS kept FROM lbrec_record_evaluation('paper', 'late');
SELECT t.recommender, count(*), bool_and(abs(t.top_k_accuracy - e.top_k_accuracy) < 1e-6 AND abs(t.ndcg - e.ndcg) < 1e-6 AND abs(t.mrr - e.mrr) < 1e-6 AND abs(t.new_ndcg - e.new_ndcg) < 1e-6
	AND (t.listens_evaluated, t.unknown_recordings, t.users_evaluated, t.first_listen, t.last_listen) = (e.listens_evaluated, e.unknown_recordings, e.users_evaluated, e.first_listen, e.last_listen)) AS the_same
FROM lbrec.evaluation AS t JOIN lbrec.evaluation AS e USING (name, recommender, k) WHERE t.name = 'paper' AND t.kind = 'training' AND e.kind = 'evaluation'
GROUP BY t.recommender ORDER BY t.recommender COLLATE "C";

-- this week and the last
UPDATE lbrec.evaluation SET measured = measured - interval '8 days', new_ndcg = 0.5 WHERE kind = 'evaluation' AND name = 'm';
SELECT lbrec_record_evaluation('m', 'late', '{20}') IS NOT NULL AS kept FROM generate_series(1, 2) AS n ORDER BY n LIMIT 1;
UPDATE lbrec.evaluation SET new_ndcg = 0.25 WHERE kind = 'evaluation' AND name = 'm' AND k = 20 AND measured > now() - interval '1 day';
SELECT recommender, k, evaluations, evaluations_before, new_ndcg, new_ndcg_before FROM lbrec_weeks WHERE name = 'm' AND kind = 'evaluation' AND k IN (10, 20) ORDER BY recommender COLLATE "C", k;
UPDATE lbrec.evaluation SET measured = measured - interval '8 days' WHERE name = 'm';
SELECT count(*) AS rows, max(evaluations) AS evaluations FROM lbrec_weeks WHERE name = 'm';

-- how many listens came since
SELECT listens_since FROM lbrec_models WHERE name = 'm';
SELECT abs(listens_since - (SELECT avg((listened_at >= '2005-03-20')::int) FROM listen)) < 0.001 AS late FROM lbrec_models WHERE name = 'm';
ALTER TABLE listen RENAME TO other;
SELECT listens_since FROM lbrec_models WHERE name = 'm';
CREATE VIEW listen AS SELECT * FROM other;
SELECT listens_since FROM lbrec_models WHERE name = 'm';
DROP VIEW listen;
CREATE TABLE listen (user_id bigint, listened_at bigint, recording_msid uuid) PARTITION BY RANGE (listened_at);
CREATE TABLE listen_a PARTITION OF listen FOR VALUES FROM (0) TO (1111276800);
CREATE TABLE listen_b PARTITION OF listen FOR VALUES FROM (1111276800) TO (9000000000);
SELECT listens_since FROM lbrec_models WHERE name = 'm';
INSERT INTO listen SELECT user_id, extract(epoch FROM listened_at), recording_msid FROM other;
SELECT abs(listens_since - (SELECT avg((listened_at >= '2005-03-20')::int) FROM other)) < 0.001 AS late FROM lbrec_models WHERE name = 'm';
DROP TABLE listen;
ALTER TABLE other RENAME TO listen;

-- measures travel with a version, outlive it, and go with its name
CREATE TEMP TABLE rows AS SELECT * FROM lbrec_export('m');
SELECT lbrec_import('rows', 'moved');
SELECT (SELECT count(*) FROM lbrec.evaluation AS v WHERE v.name = 'm'), count(*), count(DISTINCT v.model) AS versions, bool_and(v.model = m.id AND v.version = m.version) AS its_own
FROM lbrec.evaluation AS v JOIN lbrec.model AS m ON m.name = v.name WHERE v.name = 'moved';
SELECT count(*) AS lost FROM (SELECT kind, measured, listens, split, first_listen, last_listen, recommender, k, top_k_accuracy, ndcg, mrr, new_recall, new_ndcg, coverage, mean_popularity,
	listens_evaluated, unknown_recordings, users_evaluated FROM lbrec.evaluation WHERE name = 'm' EXCEPT ALL
	SELECT kind, measured, listens, split, first_listen, last_listen, recommender, k, top_k_accuracy, ndcg, mrr, new_recall, new_ndcg, coverage, mean_popularity,
	listens_evaluated, unknown_recordings, users_evaluated FROM lbrec.evaluation WHERE name = 'moved') AS x;
SELECT count(*) FROM lbrec_train('m', 'early', epochs => 1, split => 'none', settings => '{"ensemble": 1, "embedding_dim": 4}');
SELECT lbrec_drop_model('m', 1);
SELECT count(*) > 18 AS kept, count(model) AS ids FROM lbrec.evaluation WHERE name = 'm';
SELECT lbrec_drop_model('m');
SELECT count(*) FROM lbrec.evaluation WHERE name = 'm';
DELETE FROM lbrec.model;
DELETE FROM lbrec.evaluation;
DROP TABLE early, late;
