--
-- The listens that lbrec_train holds out, and its early stopping
--

\i test/sql/listens.inc
SET client_min_messages = warning;	-- versions.sql tells of the default

-- splits: the held-out listens
SELECT s, count(*) FILTER (WHERE test_loss IS NOT NULL) AS measured
FROM unnest('{time,random,last,none}'::text[]) AS s,
	LATERAL lbrec_train('split', split => s, epochs => 2, settings => '{"test_fraction": 0.2, "evaluate_every": 1, "ensemble": 1}')
GROUP BY s ORDER BY s;
SELECT recall_20 IS NOT NULL AS measured FROM lbrec_train('split', split => 'last', settings => '{"test_last": 1}', epochs => 1);
SELECT top_10 IS NOT NULL AS measured FROM lbrec_train('split', test_from => '2005-03-25', epochs => 1);
SELECT top_10 IS NOT NULL AS measured FROM lbrec_train('split', test_listens => 'SELECT * FROM listen WHERE user_id < 9', epochs => 1);

-- early stopping: the metric does not rise for ever, and the best is kept
SELECT count(*) < 200 AS stopped
FROM lbrec_train('early', settings => '{"early_stopping": "test_loss", "patience": 2, "evaluate_every": 1, "ensemble": 1}', epochs => 200);
SELECT (config ->> 'best_epoch')::int = (SELECT epoch FROM lbrec.epoch AS e WHERE e.model = m.id ORDER BY test_loss LIMIT 1) AS best
FROM lbrec.model AS m WHERE name = 'early';
-- lbrec_model_details shows the measures of that epoch, not of the last
SELECT v.top_100 = lbrec.figure(e.top_100) AND v.loss = lbrec.figure(e.loss) AS of_the_saved_epoch, e.epoch < v.epochs AS not_the_last
FROM lbrec_model_details AS v JOIN lbrec.model AS m USING (name, version) JOIN lbrec.epoch AS e ON e.model = m.id AND e.epoch = (m.config ->> 'best_epoch')::int
WHERE name = 'early';

SELECT count(*) > 0 AS trained FROM unnest('{top_1,top_5,top_50,ndcg_100}'::text[]) AS m,
	LATERAL lbrec_train('early_' || m, settings => jsonb_build_object('early_stopping', m, 'evaluate_every', 1, 'ensemble', 1), epochs => 10);
SELECT m.name, (config ->> 'best_epoch')::int = (SELECT epoch FROM lbrec.epoch AS e WHERE e.model = m.id
	ORDER BY CASE m.name WHEN 'early_top_1' THEN top_1 WHEN 'early_top_5' THEN top_5 WHEN 'early_top_50' THEN top_50 ELSE ndcg_100 END DESC, epoch LIMIT 1) AS best
FROM lbrec.model AS m WHERE name LIKE 'early\_%' ORDER BY 1;

DELETE FROM lbrec.model;
