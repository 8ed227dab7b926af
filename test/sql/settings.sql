--
-- The settings of lbrec_train, by name
--
\i test/sql/listens.inc

-- each setting is described, and has values of its type in both presets
SELECT count(*) > 40 AS many, bool_and(meaning <> '' AND meaning !~ E'\n' AND allowed <> '') AS described,
	bool_and(jsonb_typeof(default_value) = jsonb_typeof(paper_value)) AS alike,
	bool_and(jsonb_typeof(default_value) = CASE WHEN type ~ '\[\]' THEN 'array' WHEN type = 'boolean' THEN 'boolean' WHEN type = 'text' THEN 'string' ELSE 'number' END) AS typed
FROM lbrec_settings;

-- what a preset has may be given, and changes nothing
SELECT count(*) FROM lbrec_train('plain', epochs => 1);
SELECT count(*) FROM lbrec_train('told', settings => (SELECT jsonb_object_agg(name, default_value) FROM lbrec_settings
	WHERE name NOT IN ('layers', 'logq_estimate', 'epochs', 'early_stopping', 'evaluate_every', 'temperature')) || '{"epochs": 1, "temperature": null}');
SELECT count(DISTINCT s) FROM (SELECT string_agg(md5(t.data), '' ORDER BY t.name, t.chunk) AS s
	FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id WHERE t.name <> 'manifest' AND t.name <> 'config' GROUP BY m.id) AS x;

-- arguments and settings: either, not both
SELECT count(*) FROM lbrec_train('either', settings => '{"epochs": 2, "layers": [8, 4]}');
SELECT m.config #> '{options,epochs}' AS epochs, m.config #> '{options,layers}' AS layers FROM lbrec.model AS m WHERE name = 'either';
SELECT lbrec_train('never', epochs => 2, settings => '{"epochs": 2}');
SELECT lbrec_train('never', seed => 2, settings => '{"seed": null}', epochs => 0);

-- names that do not exist: the nearest, or where to look
SELECT lbrec_train('never', settings => '{"epoch": 3}');
SELECT lbrec_train('never', settings => '{"temprature": 3}');
SELECT lbrec_train('never', settings => '{"listens": "listen"}');
SELECT lbrec_train('never', settings => '{"": 1}');
SELECT lbrec_train('never', settings => jsonb_build_object(repeat('epochs', 100), 1));

-- values of another type, and numbers that are none
SELECT lbrec_train('never', settings => '[]');
SELECT lbrec_train('never', settings => 'null');
SELECT lbrec_train('never', settings => '{"epochs": "3"}');
SELECT lbrec_train('never', settings => '{"epochs": 1.5}');
SELECT lbrec_train('never', settings => '{"epochs": 1e300}');
SELECT lbrec_train('never', settings => '{"seed": 9223372036854775808}');
SELECT lbrec_train('never', settings => '{"temperature": {"min": 0.1, "max": 0.2}}');
SELECT lbrec_train('never', settings => '{"logq": 1}');
SELECT lbrec_train('never', settings => '{"history_pooling": ["mean"]}');
SELECT lbrec_train('never', settings => '{"history_pooling": "maen"}');
SELECT lbrec_train('never', settings => '{"layers": 32}');
SELECT lbrec_train('never', settings => '{"layers": [32, null]}');
SELECT lbrec_train('never', settings => '{"layers": [32.5]}');
SELECT lbrec_train('never', settings => '{"layers": []}');
SELECT lbrec_train('never', settings => '{"layers": [99999999999]}');
SELECT lbrec_train('never', settings => '{"bucketize": ["taste"]}');
SELECT count(*) FROM lbrec.model WHERE name = 'never';

-- columns in buckets are remembered by a model that continues
SELECT count(*) FROM lbrec_train('cut', 'SELECT l.*, taste * 1.5 AS tempo FROM listen AS l JOIN recording USING (recording_msid)',
	epochs => 1, settings => '{"bucketize": ["tempo"], "number_buckets": 3, "ensemble": 1}');
SELECT config #> '{options,bucketize}' AS bucketize FROM lbrec.model WHERE name = 'cut';
SELECT count(*) > 0 AS trained FROM lbrec_train('cut', 'SELECT l.*, taste * 1.5 AS tempo FROM listen AS l JOIN recording USING (recording_msid)', start_from => 'cut', epochs => 1);
SELECT version, config #> '{options,bucketize}' AS bucketize FROM lbrec.model WHERE name = 'cut' ORDER BY version;
DELETE FROM lbrec.model;
