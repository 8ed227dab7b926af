--
-- lbrec_tune: trials of settings
--

\i test/sql/listens.inc

-- the winner depends on trained numbers, so it is not printed
SET client_min_messages = warning;
-- every trial has a row, and trial 0 has the settings without a search; one is saved
CREATE TEMP TABLE trial AS SELECT * FROM lbrec_tune('tuned', search => '{"history_dropout": [0.3, 0.6], "embedding_dim": [4, 16]}', epochs => 4,
	settings => '{"targets": 32, "temperature": 0.2}');
SELECT count(*), count(DISTINCT trial) AS trials, count(DISTINCT trial_settings) AS combinations, bool_and(value BETWEEN 0 AND 1) AS values, count(*) FILTER (WHERE saved) AS saved,
	count(*) FILTER (WHERE trial = 0 AND trial_settings = '{}' AND epochs_trained = 4) AS without_a_search, bool_and(seconds > 0) AS seconds,
	min(place) = 1 AND max(place) <= 5 AND array_agg(place ORDER BY epochs_trained DESC, value DESC, place) = array_agg(place ORDER BY place) AS in_order
FROM trial;
-- what is saved has the settings that the row tells, is trained as lbrec_train does it, and answers only if asked
SELECT m.config -> 'options' @> (t.trial_settings || '{"targets": 32, "temperature": 0.2, "refit": true, "epochs": 20}') AS settings, m.activation > 0 AS active
FROM lbrec.model AS m, trial AS t WHERE m.name = 'tuned' AND t.saved;
SELECT count(*) > 0 AS trained FROM lbrec_train('again', settings => (SELECT trial_settings || '{"targets": 32, "temperature": 0.2}' FROM trial WHERE saved));
SELECT count(DISTINCT s) AS models FROM (SELECT string_agg(md5(t.data), '' ORDER BY t.name, t.chunk) AS s
	FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id WHERE t.name NOT IN ('manifest', 'config') GROUP BY m.id) AS x;
-- trials are distinct, and all of them where there are few; ties have one that is saved, as the row tells
SELECT count(*), count(DISTINCT trial_settings) FROM lbrec_tune('drawn', trials => 12, epochs => 1, search => '{"history_dropout": [0.1, 0.2, 0.3, 0.4], "learning_rate": [0.1, 0.2, 0.3, 0.4]}',
	settings => '{"embedding_dim": 4, "temperature": 0.2, "ensemble": 1}');
RESET client_min_messages;
SELECT count(*), count(DISTINCT value) AS values, array_agg(DISTINCT place) AS places, array_agg(trial ORDER BY place, trial) AS trials, bool_or(saved AND trial = 0) AS nothing_won
FROM lbrec_tune('ties', epochs => 1, search => '{"patience": [3, 4, 5]}', settings => '{"embedding_dim": 4, "temperature": 0.2, "ensemble": 1}');
SELECT m.activation > 0 AS active FROM lbrec.model AS m, lbrec_tune('asked', activate => true, epochs => 1, search => '{"patience": [3]}', settings => '{"embedding_dim": 4, "temperature": 0.2, "ensemble": 1}') AS t
WHERE m.name = 'ties' AND t.saved;
SELECT activation > 0 AS active FROM lbrec.model WHERE name = 'asked';
-- nothing new to be found: mrr orders the trials
SELECT count(*), count(value) AS values FROM lbrec_tune('heard', 'SELECT user_id, listened_at + n * interval ''1 year'' AS listened_at, recording_msid FROM listen, generate_series(0, 4) AS n',
	search => '{"patience": [3, 4]}', settings => '{"split": "time", "temperature": 0.12, "epochs": 2}', epochs => 2);
-- the preprint's preset can be tuned, too
SET client_min_messages = warning;
SELECT count(*) FROM lbrec_tune('paper', 'SELECT *, ''a'' AS artist_name FROM listen', preset => 'paper', search => '{"learning_rate": [0.05, 0.2]}', epochs => 2, settings => '{"split": "random"}');
RESET client_min_messages;
-- out of time: only finished trials can win
SELECT count(*), count(*) FILTER (WHERE epochs_trained > 0) AS tried, count(value) AS values FROM lbrec_tune('soon', time_limit => '0 s', trials => 5,
	search => '{"temperature": [0.1, 0.2, 0.3], "ensemble": [1, 2]}');
SELECT * FROM lbrec_tune('never', search => '{"colour": ["red"]}');
SELECT lbrec_tune('never', search => jsonb_object_agg('colour' || n, '["red"]'::jsonb)) FROM generate_series(1, 100) AS n;
SELECT * FROM lbrec_tune('never', search => '{"epochs": [1]}');
SELECT * FROM lbrec_tune('never', search => '{}');
SELECT * FROM lbrec_tune('never', search => '{"temperature": {"min": 0.1, "max": 0.2}}');
SELECT * FROM lbrec_tune('never', search => '{"temperature": [0.1, "high"]}');
SELECT * FROM lbrec_tune('never', search => '{"temperature": [0.1]}', settings => '{"temperature": 0.2}');
SELECT * FROM lbrec_tune('never', search => '{"temperature": [0.1]}', settings => '{"split": "none"}');
SELECT * FROM lbrec_tune('never', 'SELECT DISTINCT ON (user_id) * FROM listen', search => '{"temperature": [0.1]}');
SELECT * FROM lbrec_tune('never', metric => 'beauty');

DELETE FROM lbrec.model;
