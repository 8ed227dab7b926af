--
-- as_of, since and lbrec_backtest: nothing that is later is read
--

\i test/sql/listens.inc
SET client_min_messages = warning;	-- versions.sql tells of the default

-- a time with two thirds of the listens before it
CREATE TABLE moment AS SELECT percentile_disc(0.67) WITHIN GROUP (ORDER BY listened_at) AS t FROM listen;
CREATE TABLE before AS SELECT * FROM listen WHERE listened_at < (SELECT t FROM moment);
-- recordings and users that only later listens have
INSERT INTO listen SELECT 1000 + i, (SELECT t FROM moment) + i * interval '1 minute', md5('later ' || i)::uuid FROM generate_series(0, 9) AS i;
SELECT count(*) > 0 AS trained FROM lbrec_train('a', epochs => 2, as_of => (SELECT t FROM moment));
SELECT count(*) > 0 AS trained FROM lbrec_train('b', 'before', epochs => 2);
-- the same bits as of the listens before it alone
SELECT count(*) AS tensors_that_differ FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id, lbrec.model AS o JOIN lbrec.tensor AS u ON u.model = o.id
WHERE m.name = 'a' AND o.name = 'b' AND u.name = t.name AND u.chunk = t.chunk AND u.data <> t.data;
SELECT a.n_listens = b.n_listens AND a.n_users = b.n_users AND a.n_recordings = b.n_recordings AS the_same,
	a.n_listens = (SELECT count(*) FROM listen WHERE listened_at < (SELECT t FROM moment)) AS exclusive
FROM lbrec.model AS a, lbrec.model AS b WHERE a.name = 'a' AND b.name = 'b';

-- the evaluation of a period: from since on, before as_of
SELECT min(listens_evaluated) = (SELECT count(*) FROM listen WHERE listened_at >= (SELECT t FROM moment)) AS since,
	min(unknown_recordings) AS unknown FROM lbrec_evaluate('a', since => (SELECT t FROM moment), ks => '{10}');
SELECT min(listens_evaluated) = (SELECT count(*) FROM before) AS as_of FROM lbrec_evaluate('a', as_of => (SELECT t FROM moment), ks => '{10}');
SELECT (SELECT array_agg(e ORDER BY e) FROM lbrec_evaluate('a', since => (SELECT t FROM moment), as_of => (SELECT t + interval '10 days' FROM moment)) AS e)
	= (SELECT array_agg(e ORDER BY e) FROM lbrec_evaluate('a', 'SELECT * FROM listen WHERE listened_at >= (SELECT t FROM moment) AND listened_at < (SELECT t + interval ''10 days'' FROM moment)') AS e) AS a_period;
SELECT count(*) > 0 AS recorded FROM lbrec_record_evaluation('a', since => (SELECT t FROM moment));
SELECT first_listen >= (SELECT t FROM moment) AS recorded_since FROM lbrec.evaluation WHERE kind = 'evaluation' LIMIT 1;

-- a row for each step; the first one is what training and evaluating give
CREATE TABLE result AS SELECT * FROM lbrec_backtest('{"epochs": 2}', start => (SELECT t FROM moment), step => '1 week');
SELECT count(*) > 1 AS steps, bool_and(until = as_of + interval '1 week') AS weeks, min(as_of) = (SELECT t FROM moment) AS begins,
	max(until) > (SELECT max(listened_at) FROM listen) AS to_the_end,
	bool_and(listens_trained = (SELECT count(*) FROM listen WHERE listened_at < as_of)) AS trained_before,
	bool_and(listens_evaluated <= (SELECT count(*) FROM listen WHERE listened_at >= as_of AND listened_at < until)) AS evaluated_within
FROM result;
SELECT r.top_20 = e.top_k_accuracy AS top, r.recall_20 = e.new_recall AS recall
FROM (SELECT * FROM result ORDER BY as_of LIMIT 1) AS r,
	lbrec_evaluate('a', 'SELECT * FROM listen WHERE user_id < 1000', '{20}', since => r.as_of, as_of => r.until) AS e WHERE e.recommender = 'model';
-- the model knows the three tastes, popularity does not
SELECT avg(recall_20) > avg(popular_recall_20) AS better, avg(top_20) > avg(popular_top_20) AS better_too FROM result;
SELECT count(*) AS steps FROM lbrec_backtest('{"epochs": 1}', start => (SELECT t FROM moment), step => '1 day', steps => 2);
-- nothing is played in a step
SELECT listens_evaluated, top_20 IS NULL AS no_measure FROM lbrec_backtest('{"epochs": 1}', start => '2006-01-01 00:00+00', step => '1 day', listens => 'SELECT * FROM listen UNION ALL SELECT 1, ''2007-01-01 00:00+00'', md5(''recording 1'')::uuid', steps => 1);
SELECT count(*) AS models FROM lbrec.model WHERE name = 'backtest';

-- errors
SELECT lbrec_train('x', as_of => '1990-01-01 00:00+00');
SELECT lbrec_train('x', as_of => '2005-02-20 00:00+00', test_listens => 'listen');
SELECT lbrec_train('x', as_of => '2005-02-02 00:00+00', start_from => 'a');
SELECT lbrec_train('x', as_of => '10001-01-01 00:00+00');
SELECT lbrec_evaluate('a', since => '2100-01-01 00:00+00');
SELECT lbrec_evaluate('a', since => '2005-02-20 00:00+00', as_of => '2005-02-20 00:00+00');
SELECT lbrec_backtest();
SELECT lbrec_backtest(start => 'infinity');
SELECT lbrec_backtest(start => '2005-02-20 00:00+00', step => '-1 day');
SELECT lbrec_backtest(start => '2005-02-20 00:00+00', step => NULL);
SELECT lbrec_backtest(start => '2005-02-20 00:00+00', steps => 0);
SELECT lbrec_backtest(start => '1990-01-01 00:00+00');
SELECT lbrec_backtest('{"split": "query"}', start => '2005-02-20 00:00+00');

DELETE FROM lbrec.model;
DROP TABLE moment, before, result;
