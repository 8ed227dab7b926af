--
-- Every error that a user can cause, with its SQLSTATE, and nothing written
--
\i test/sql/listens.inc
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text; message text; detail text; hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN state || ': ' || message || E'\n  detail: ' || detail || E'\n  hint: ' || hint;
END $$;
-- errors name the argument
CREATE FUNCTION pg_temp.context(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text; context text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, context = PG_EXCEPTION_CONTEXT;
	RETURN message || ' | ' || split_part(context, E'\n', 1);
END $$;
\pset format unaligned
\pset tuples_only on

SELECT count(*) FROM lbrec_train('m', epochs => 1);

-- mistakes of newcomers
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', epoch => 3)$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', settings => '{"epoch": 3}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', settings => '{"temperature": [0.1, 0.2]}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', settings => '{"temperature": {"from": 0.1}}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_tune('x', metric => 'map')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'base b')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_recommend(1, filter => 'base b')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_recommend(1, filter => ' ')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_recommend(1, listens => 'a.b.', exclude_listened => true)$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_evaluate('m', 'base b')$$);
SELECT pg_temp.try($$SELECT lbrec_import('base b')$$);
SELECT pg_temp.context($$SELECT * FROM lbrec_recommend(1, filter => 'nowhere')$$);
SELECT pg_temp.context($$SELECT * FROM lbrec_recommend(1, filter => 'SELECT user_id FROM listen')$$);
SELECT pg_temp.context($$SELECT * FROM lbrec_recommend(1, filter => 'SELECT FROM')$$);
SELECT pg_temp.context($$SELECT * FROM lbrec_recommend(1, listens => 'nowhere', exclude_listened => true)$$);
SELECT pg_temp.context($$SELECT * FROM lbrec_train('x', 'SELECT nothing FROM listen')$$);

-- the query of listens
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT user_id, recording_msid FROM listen')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT user_id::text, listened_at, recording_msid FROM listen')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT user_id, listened_at::text, recording_msid FROM listen')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT user_id, listened_at, recording_msid::text FROM listen')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT NULL::bigint AS user_id, listened_at, recording_msid FROM listen')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT user_id, NULLIF(listened_at, listened_at) AS listened_at, recording_msid FROM listen')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT user_id, listened_at, NULL::uuid AS recording_msid FROM listen')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT user_id, timestamptz ''infinity'' AS listened_at, recording_msid FROM listen')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT *, float8 ''infinity'' AS tempo FROM listen')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT * FROM listen WHERE false')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT user_id, listened_at, ''00000000-0000-0000-0000-000000000000''::uuid AS recording_msid FROM listen')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT * FROM listen; SELECT 1')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', '  ')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'no_such_table')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', preset => NULL)$$);
-- no table "listen", which is the default of all calls
ALTER TABLE listen RENAME TO scrobble;
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_recommend(1, exclude_listened => true)$$);
ALTER TABLE scrobble RENAME TO listen;
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'WITH gone AS (DELETE FROM listen RETURNING *) SELECT * FROM gone')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', user_features => '{nothing}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', preset => 'paper')$$);

-- settings
SELECT pg_temp.try($$SELECT * FROM lbrec_train('')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train(NULL)$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', preset => 'best')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', epochs => 0)$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', settings => '{"batch_size": 1}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', settings => '{"learning_rate": 0}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', settings => '{"learning_rate": "NaN"}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', layers => '{}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', layers => '{32,-1}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', layers => '{1000000}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', layers => '{8,8,8,8,8,8,8,8,8}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', layers => '{32,NULL}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', layers => '{2048}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', split => 'half')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', settings => '{"loss_reduction": "max"}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', settings => '{"temperature": 0}')$$);

-- a loss that is not finite: training stops, the older version answers on
SELECT regexp_replace(pg_temp.try($$SELECT * FROM lbrec_train('m', preset => 'paper', settings => '{"learning_rate": 1e25}',
	listens => 'SELECT l.*, artist_name FROM listen AS l JOIN recording USING (recording_msid)')$$),
	'step \d+ of epoch \d+', 'step N of epoch N');
SELECT count(*) FROM lbrec_recommend(1, 3, 'm');

-- finite, but worse than at first: a warning tells (terse: no trained number)
\set VERBOSITY terse
SELECT count(*) FROM lbrec_train('worse', preset => 'paper', settings => '{"learning_rate": 100}', epochs => 5,
	listens => 'SELECT l.*, artist_name FROM listen AS l JOIN recording USING (recording_msid)') WHERE epoch = 99;
\set VERBOSITY default
SELECT lbrec_drop_model('worse');

-- recommending
SELECT pg_temp.try($$SELECT * FROM lbrec_recommend(1, 0)$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_recommend(1, -5)$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_recommend(1, 3, 'nobody')$$);

-- as many columns as there may be, and one more
SELECT pg_temp.try(format($$SELECT count(*) FROM lbrec_train('many', 'SELECT *, %s FROM listen', epochs => 1, settings => '{"embedding_dim": 2, "ensemble": 1}', split => 'none')$$,
	string_agg('1 AS c' || i, ', ')))
FROM (SELECT m, i FROM generate_series(23, 24) AS m, generate_series(1, m) AS i) AS columns GROUP BY m ORDER BY m;
SELECT lbrec_drop_model('many');

-- columns with arrays that would be taken for others
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT *, user_id AS recording FROM listen')$$);
SELECT pg_temp.try(format($$SELECT * FROM lbrec_train('x', 'SELECT *, user_id %% 2 AS %I FROM listen')$$, name))
FROM unnest('{user,time,history,neighbour}'::text[]) AS name;
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT *, 1 AS twice, user_id AS twice FROM listen')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_train('x', 'SELECT *, ''a''::text AS genre, ARRAY[1, 2] AS genre_key FROM listen')$$);

-- evaluating, drawing, managing
SELECT pg_temp.try($$SELECT * FROM lbrec_evaluate('nobody')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_evaluate('m', ks => '{}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_evaluate('m', ks => '{0}')$$);
SELECT pg_temp.try($$SELECT * FROM lbrec_evaluate('m', ks => NULL)$$);
SELECT pg_temp.try($$SELECT lbrec_curves_svg('{nobody}')$$);
SELECT pg_temp.try($$SELECT lbrec_curves_svg('{m}', 'beauty')$$);
SELECT pg_temp.try($$SELECT lbrec_curves_svg('{}')$$);
SELECT pg_temp.try($$SELECT lbrec_activate('nobody')$$);
SELECT pg_temp.try($$SELECT lbrec_activate('m', 9)$$);
SELECT pg_temp.try($$SELECT lbrec_drop_model('nobody')$$);
SELECT pg_temp.try($$SELECT lbrec_drop_model(NULL)$$);

-- a read-only transaction is told at once
BEGIN READ ONLY;
SELECT * FROM lbrec_train('x');
ROLLBACK;

-- nothing was left by any of them
SELECT name, version FROM lbrec.model;
SELECT count(*) FROM lbrec.tensor AS t WHERE NOT EXISTS (SELECT FROM lbrec.model AS m WHERE m.id = t.model);
SELECT count(*) FROM listen;
SELECT lbrec_drop_model('m');
SELECT pg_temp.try($$SELECT * FROM lbrec_recommend(1, 3)$$);
