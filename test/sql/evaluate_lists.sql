--
-- lbrec_evaluate_users and lbrec_evaluate_lists: the measures of
-- lbrec_evaluate by user, and of lists that were made elsewhere
--

\i test/sql/listens.inc
CREATE TABLE later AS SELECT * FROM listen WHERE listened_at >= '2005-03-25';
SELECT count(*) > 0 AS trained FROM lbrec_train('m', $$SELECT * FROM listen WHERE listened_at < '2005-03-25'$$,
	epochs => 4, settings => '{"embedding_dim": 16, "ensemble": 2}');
-- strangers and unknown recordings are measured, too
INSERT INTO later SELECT 1000, now(), recording_msid FROM recording LIMIT 3;
INSERT INTO later VALUES (1, now(), '00000000-0000-0000-0000-000000000000');

-- users' measures, weighted by their listens, are those of all; of new
-- recordings users count alike
CREATE TABLE by_user AS SELECT * FROM lbrec_evaluate_users('m', 'later', '{5,20}',
	rankings => 'SELECT * FROM lbrec_recommend_all(40, ''m'')');
SELECT u.recommender, u.k,
	abs(sum(u.top_k_accuracy * u.listens_evaluated) / sum(u.listens_evaluated) - max(e.top_k_accuracy)) < 1e-4 AS accuracy,
	abs(sum(u.ndcg * u.listens_evaluated) / sum(u.listens_evaluated) - max(e.ndcg)) < 1e-4 AS ndcg,
	abs(sum(u.mrr * u.listens_evaluated) / sum(u.listens_evaluated) - max(e.mrr)) < 1e-4 AS mrr,
	abs(avg(u.new_recall) - max(e.new_recall)) < 1e-4 AS new_recall,
	abs(avg(u.new_ndcg) - max(e.new_ndcg)) < 1e-4 AS new_ndcg,
	sum(u.listens_evaluated) = max(e.listens_evaluated) AS listens, count(u.new_recall) = max(e.users_evaluated) AS users
FROM by_user AS u JOIN (
	SELECT * FROM lbrec_evaluate('m', 'later', '{5,20}') UNION ALL
	SELECT * FROM lbrec_evaluate_lists('SELECT * FROM lbrec_recommend_all(40, ''m'')', 'later', 'm', '{5,20}')) AS e USING (recommender, k)
GROUP BY 1, 2 ORDER BY 1, 2;
-- a row for each user, recommender and K; the stranger has nothing new
SELECT count(*) = 8 * (SELECT count(DISTINCT user_id) FROM later) AS rows, count(*) FILTER (WHERE user_id = 1000 AND new_recall IS NULL AND new_recordings = 0) AS stranger
FROM by_user;
SELECT bool_and(u.new_recordings = n.n) AS counted
FROM by_user AS u JOIN LATERAL (SELECT count(DISTINCT l.recording_msid) AS n FROM later AS l
	WHERE l.user_id = u.user_id AND l.recording_msid IN (SELECT recording_msid FROM recording)
	AND NOT EXISTS (SELECT FROM listen AS o WHERE o.user_id = l.user_id AND o.recording_msid = l.recording_msid AND o.listened_at < '2005-03-25')) AS n ON true
WHERE u.user_id < 1000;
-- the model's own lists are worth what the model is, to those that it knows
SELECT k, m.top_k_accuracy = r.top_k_accuracy AS accuracy, m.mrr = r.mrr AS mrr, m.new_recall = r.new_recall AS new_recall, m.new_ndcg = r.new_ndcg AS new_ndcg
FROM lbrec_evaluate('m', 'SELECT * FROM later WHERE user_id < 1000', '{1,5,40}') AS m
JOIN lbrec_evaluate_lists('SELECT * FROM lbrec_recommend_all(90, ''m'', fresh => false)', 'SELECT * FROM later WHERE user_id < 1000', 'm', '{1,5,40}') AS r USING (k)
WHERE m.recommender = 'model' ORDER BY k;
-- and so are popular ones, made by SQL; recordings of a tie have its middle there, and a place of their own here
SELECT k, abs(p.top_k_accuracy - r.top_k_accuracy) < 0.02 AS accuracy, abs(p.ndcg - r.ndcg) < 0.02 AS ndcg, abs(p.new_recall - r.new_recall) < 0.02 AS new_recall, abs(p.new_ndcg - r.new_ndcg) < 0.02 AS new_ndcg
FROM lbrec_evaluate('m', 'later', '{1,5,40}') AS p
JOIN lbrec_evaluate_lists($$SELECT user_id, recording_msid, rank
	FROM (SELECT recording_msid, rank() OVER (ORDER BY count(*) DESC) FROM listen WHERE listened_at < '2005-03-25' GROUP BY 1) AS p,
		(SELECT DISTINCT user_id FROM later) AS u$$, 'later', 'm', '{1,5,40}') AS r USING (k)
WHERE p.recommender = 'popular' ORDER BY k;

-- a list as it comes: numbers order it, gaps and what is listed twice make no
-- place, unknown recordings and users of no listens do no harm
CREATE TABLE one AS SELECT 1::int AS user_id, now() AS listened_at, (SELECT recording_msid FROM recording LIMIT 1) AS recording_msid;
SELECT r AS list, e.k, e.top_k_accuracy, round(e.mrr::numeric, 3) AS mrr, round(e.coverage::numeric * 90) AS shown
FROM unnest(ARRAY[
	'SELECT 1 AS user_id, recording_msid, -7 AS rank FROM one',
	'SELECT 1 AS user_id, recording_msid, 4::smallint AS rank FROM one UNION ALL SELECT 1, md5(''nobody knows it'')::uuid, 2',
	'SELECT 1 AS user_id, recording_msid, 9::bigint AS rank FROM one UNION ALL SELECT 1, ''00000000-0000-0000-0000-000000000001'', generate_series(1, 8)',
	'SELECT 1 AS user_id, recording_msid, 3 AS rank FROM one, generate_series(1, 3) UNION ALL SELECT 1, recording_msid, 3 FROM recording',
	'SELECT 2 AS user_id, recording_msid, 1 AS rank FROM one',
	'SELECT 1 AS user_id, recording_msid, NULL::int AS rank FROM one UNION ALL SELECT NULL, recording_msid, 1 FROM one UNION ALL SELECT 1, NULL, 1',
	'SELECT 1 AS user_id, recording_msid, 1 AS rank FROM one WHERE false']) WITH ORDINALITY AS q (r, n),
	lbrec_evaluate_lists(r, 'one', 'm', '{1,2}') AS e ORDER BY n, k;
-- refused arguments
SELECT * FROM lbrec_evaluate_lists(NULL);
SELECT * FROM lbrec_evaluate_lists('', 'one', 'm');
SELECT * FROM lbrec_evaluate_lists('SELECT 1 AS user_id', 'one', 'm');
SELECT * FROM lbrec_evaluate_lists('SELECT 1 AS user_id, ''a''::text AS recording_msid, 1 AS rank', 'one', 'm');
SELECT * FROM lbrec_evaluate_lists('SELECT 1 AS user_id, recording_msid, 0.5 AS rank FROM one', 'one', 'm');
SELECT * FROM lbrec_evaluate_lists('SELECT ''1'' AS user_id, recording_msid, 1 AS rank FROM one', 'one', 'm');
SELECT * FROM lbrec_evaluate_lists('DELETE FROM one RETURNING user_id, recording_msid, 1 AS rank', 'one', 'm');
SELECT * FROM lbrec_evaluate_lists('no_such_table', 'one', 'm');
SELECT * FROM lbrec_evaluate_lists('SELECT 1 AS user_id, recording_msid, 1 AS rank FROM one', 'one', 'm', '{NULL}');
SELECT * FROM lbrec_evaluate_lists('SELECT 1 AS user_id, recording_msid, 1 AS rank FROM one', 'one', 'm', version => 9);
SELECT * FROM lbrec_evaluate_users('m', 'one', NULL);
SELECT * FROM lbrec_evaluate_users('m', 'one', '{}');
SELECT * FROM lbrec_evaluate_users('nobody', 'one');
SELECT count(*) FROM one;

DROP TABLE later, by_user, one;
DELETE FROM lbrec.model;
