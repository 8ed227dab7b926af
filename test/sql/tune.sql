--
-- lbrec_tune: trials of settings
--

\i test/sql/listens.inc

-- tuning: every trial has a row, the longest trained and best is saved
SELECT place, epochs_trained, value BETWEEN 0 AND 1 AS value, saved
FROM lbrec_tune('tuned', search => '{"temperature": [0.1, 0.3], "embedding_dim": [4, 8], "ensemble": [1]}', epochs => 4) ORDER BY place;
SELECT m.config #> '{options,epochs}' AS epochs, count(*) FROM lbrec.model AS m JOIN lbrec.epoch AS e ON e.model = m.id
WHERE name = 'tuned' GROUP BY 1;
SELECT count(epochs_trained) FILTER (WHERE epochs_trained > 0) FROM lbrec_tune('soon', time_limit => '0 s', trials => 5,
	search => '{"temperature": [0.1, 0.2, 0.3], "ensemble": [1, 2]}');
SELECT * FROM lbrec_tune('never', search => '{"colour": ["red"]}');
SELECT lbrec_tune('never', search => jsonb_object_agg('colour' || n, '["red"]'::jsonb)) FROM generate_series(1, 100) AS n;
SELECT * FROM lbrec_tune('never', search => '{"epochs": [1]}');
SELECT * FROM lbrec_tune('never', search => '{}');
SELECT * FROM lbrec_tune('never', metric => 'beauty');

DELETE FROM lbrec.model;
