--
-- The planner's rows and costs of the serving calls, and its plans;
-- answers from parallel workers
--
-- rows and cost of a query's topmost node that calls lbrec
CREATE FUNCTION pg_temp.expected(query text, OUT rows bigint, OUT cost float8) LANGUAGE plpgsql AS
$$
DECLARE plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	rows := plan->0->'Plan'->>'Plan Rows';
	cost := plan->0->'Plan'->>'Total Cost';
END $$;

-- without a model planning goes on, with what CREATE FUNCTION says
SELECT rows FROM pg_temp.expected('SELECT * FROM lbrec_recommend(7)');
SELECT rows FROM pg_temp.expected('SELECT * FROM lbrec_recommend_all(7)');
SELECT rows FROM pg_temp.expected('SELECT * FROM lbrec_recording_embeddings()');

\i test/sql/listens.inc
SELECT count(*) FROM lbrec_train('small', 'SELECT * FROM listen WHERE user_id IN (3, 6)', epochs => 1, split => 'none');
SELECT count(*) FROM lbrec_train('m', 'SELECT user_id, listened_at, recording_msid, artist_name
	FROM listen JOIN recording USING (recording_msid)', epochs => 10, settings => '{"user_embedding": true}', make_default => true);
SELECT name, n_users, n_recordings FROM lbrec_models ORDER BY name;

-- k rows, but no more than there are candidates to choose from
SELECT call, rows FROM unnest(ARRAY[
	'lbrec_recommend(7)', 'lbrec_recommend(7, 25)', 'lbrec_recommend(k => 20 + 6, user_id => 7)', 'lbrec_recommend(7, NULL)',
	'lbrec_recommend(7, (random() * 9)::int)', 'lbrec_recommend(7, 0)',
	'lbrec_recommend(7, 5, candidates => ''{00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002}'')',
	'lbrec_recommend(7, 5, candidates => ARRAY[gen_random_uuid(), gen_random_uuid(), gen_random_uuid()])',
	'lbrec_similar(ARRAY[md5(''recording 1'')::uuid], 31)', 'lbrec_similar(ARRAY[md5(''recording 1'')::uuid], 31, candidates => ''{00000000-0000-0000-0000-000000000001}'')', 'lbrec_similar_users(7, 32)',
-- k for each user: those of an array, or all of the model
	'lbrec_recommend_all(5)', 'lbrec_recommend_all(5, ''small'')', 'lbrec_recommend_all(5, users => ''{7,8,9}'')',
	'lbrec_recommend_all(5, users => ''{}'')', 'lbrec_recommend_all(users => ARRAY[7, (random() * 9)::bigint])',
-- k for users together
	'lbrec_recommend_group(''{7,8,9}'', 5)',
-- a row for each recording
	'lbrec_recording_embeddings()', 'lbrec_recording_embeddings(''m'')',
	'lbrec_recommend_all(5, ''no such model'')', 'lbrec_recording_embeddings(''no such model'')'])
	WITH ORDINALITY AS c (call, n), LATERAL pg_temp.expected('SELECT * FROM ' || call) ORDER BY n;
-- in the select list too
SELECT rows FROM pg_temp.expected('SELECT lbrec_recommend_all(5, users => ''{7,8,9}'')');
-- a parameter counts as its value as long as the plan is made for it
PREPARE planned (bigint, int) AS SELECT * FROM lbrec_recommend($1, $2);
SET plan_cache_mode = force_custom_plan;
SELECT rows FROM pg_temp.expected('EXECUTE planned(7, 33)');
SET plan_cache_mode = force_generic_plan;
SELECT rows FROM pg_temp.expected('EXECUTE planned(7, 33)');
RESET plan_cache_mode;
DEALLOCATE planned;

-- more work costs more
SELECT a, b, (pg_temp.expected('SELECT * FROM ' || a)).cost < (pg_temp.expected('SELECT * FROM ' || b)).cost AS cheaper
FROM (VALUES ('lbrec_recommend(7, 5, ''small'')', 'lbrec_recommend(7, 5, ''m'')'),
	('lbrec_recommend(7, 5)', 'lbrec_recommend(7, 50)'),
	('lbrec_recommend(7, 5)', 'lbrec_recommend_all(5)'),
	('lbrec_recommend_all(5, users => ''{7}'')', 'lbrec_recommend_all(5, users => ''{7,8,9}'')'),
	('lbrec_recommend_group(''{7}'', 5)', 'lbrec_recommend_group(''{7,8,9}'', 5)'),
	('lbrec_recommend_all(5, ''small'')', 'lbrec_recommend_all(5, ''m'')'),
	('lbrec_recommend(7, 5)', 'lbrec_similar(ARRAY[md5(''recording 1'')::uuid], 5)'),
	('lbrec_score(7, ''{00000000-0000-0000-0000-000000000001}'')',
		'lbrec_score(7, ''{00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002}'')')) AS v (a, b);

-- a role without rights to look a model up may plan
CREATE ROLE regress_lbrec_planner;
SET ROLE regress_lbrec_planner;
EXPLAIN (COSTS OFF) SELECT * FROM lbrec_recommend_all(5);
SELECT * FROM lbrec_recommend_all(5);
RESET ROLE;
DROP ROLE regress_lbrec_planner;

-- plans: a catalogue of many recordings, some of which are the model's
CREATE TEMP TABLE catalogue AS
SELECT md5('recording ' || i)::uuid AS recording_msid, i % 10 AS kind, repeat('x', 100) AS title
FROM generate_series(0, 29999) AS i;
ALTER TABLE catalogue ADD PRIMARY KEY (recording_msid);
CREATE TEMP TABLE member AS SELECT i AS user_id, i % 5 = 0 AS wants FROM generate_series(1, 60) AS i;
ANALYZE catalogue;
ANALYZE member;
SET enable_memoize = off;
-- few rows: look each of them up
EXPLAIN (COSTS OFF) SELECT c.title FROM lbrec_recommend(7, 10) AS r JOIN catalogue AS c USING (recording_msid);
-- many: read the catalogue
EXPLAIN (COSTS OFF) SELECT c.title FROM lbrec_recommend_all(80) AS r JOIN catalogue AS c USING (recording_msid);
-- a condition on the catalogue comes after the lists, not for each of them
EXPLAIN (COSTS OFF) SELECT c.title FROM lbrec_recommend(7, 10) AS r JOIN catalogue AS c USING (recording_msid) WHERE c.kind = 3;
-- users first, then a call for each that qualifies
EXPLAIN (COSTS OFF) SELECT m.user_id, r.* FROM member AS m, LATERAL lbrec_recommend(m.user_id, 5) AS r WHERE m.wants LIMIT 12;
SELECT count(*), count(DISTINCT user_id) FROM (SELECT m.user_id, r.* FROM member AS m, LATERAL lbrec_recommend(m.user_id, 5) AS r WHERE m.wants LIMIT 12) AS l;
-- a dear condition comes after a cheap one, whatever their order
EXPLAIN (COSTS OFF) SELECT user_id FROM member
WHERE (lbrec_score(user_id, '{00000000-0000-0000-0000-000000000001}'))[1] IS NULL AND wants;
RESET enable_memoize;

-- calls that read nothing but models may run in a worker; those that run a
-- query of the caller's, which may read a temporary table, stay in the leader
SELECT proname, provolatile, proparallel FROM pg_proc
WHERE proname ~ '^lbrec_(recommend|score|user_emb|recording_emb|similar|curves|evaluate)' ORDER BY proname;
-- a worker answers as the leader does, from the shared image or its own
CREATE FUNCTION pg_temp.asked(call text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE answer text;
BEGIN
	EXECUTE 'SELECT md5(string_agg(r::text, '','' ORDER BY r::text)) FROM ' || call || ' AS r' INTO answer;
	RETURN answer;
END $$;
CREATE TEMP TABLE asked AS SELECT q, pg_temp.asked(q) AS leader FROM unnest(ARRAY[
	'lbrec_similar_users(7, 20)',
	'lbrec_recording_embeddings()', 'lbrec_recording_embedding(md5(''recording 1'')::uuid)',
	'lbrec_recording_embedding(md5(''recording 2'')::uuid)']) AS q;
SELECT count(DISTINCT leader) AS answers FROM asked;
SELECT set_config(CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'debug_parallel_query'
	ELSE 'force_parallel_mode' END, 'on', false) AS parallel;
EXPLAIN (COSTS OFF) SELECT * FROM lbrec_similar_users(7, 20);
SELECT q, pg_temp.asked(q) = leader AS same FROM asked ORDER BY q;
SET lbrec.shared_images = off;
SELECT q, pg_temp.asked(q) = leader AS same FROM asked ORDER BY q;
RESET lbrec.shared_images;
-- a worker may be the first to ask a model, and makes its image
SET lbrec.shared_images = off;
SELECT count(*) FROM lbrec_train('fresh', epochs => 1, settings => '{"user_embedding": true}');
RESET lbrec.shared_images;
SELECT pg_temp.asked('lbrec_similar_users(7, 20, ''fresh'')') AS worker \gset
-- these stay, and can read temporary tables
EXPLAIN (COSTS OFF) SELECT * FROM lbrec_recommend(7, 5);
SELECT count(*) FROM lbrec_recommend(7, 5, exclude_listened => true);
SELECT set_config(CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'debug_parallel_query'
	ELSE 'force_parallel_mode' END, 'off', false) AS parallel;
SELECT pg_temp.asked('lbrec_similar_users(7, 20, ''fresh'')') = :'worker' AS same;
-- while workers are at work on another part of the plan
SELECT count(*) FROM lbrec_train('fresh', epochs => 1);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE FUNCTION pg_temp.beside(call text, OUT parallel boolean, OUT rows bigint) LANGUAGE plpgsql AS
$$
DECLARE
	query text := 'SELECT count(*) FROM (SELECT count(prosrc) AS n FROM pg_proc) AS b, ' || call || ' AS r WHERE b.n > 0';
	line text;
BEGIN
	parallel := false;
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		parallel := parallel OR line ~ 'Gather';
	END LOOP;
	EXECUTE query INTO rows;
END $$;
SELECT call, b.* FROM unnest(ARRAY['lbrec_recommend(7, 5, ''fresh'', exclude_listened => true)', 'lbrec_recommend(1001, 5, ''m'', listens => ''SELECT 1001 AS user_id, listened_at, recording_msid FROM listen WHERE user_id = 7'')',
	'lbrec_recommend(7, 5, filter => ''SELECT * FROM recording'')', 'lbrec_recommend_all(5, ''m'')',
	'lbrec_similar(ARRAY[md5(''recording 1'')::uuid], 5, filter => ''SELECT * FROM recording'')', 'lbrec_score(7, ARRAY[md5(''recording 1'')::uuid])', 'lbrec_user_embedding(7, ''m'')', 'lbrec_evaluate(''m'', ''listen'', ''{5}'')']) WITH ORDINALITY AS c (call, n),
	LATERAL pg_temp.beside(call) AS b ORDER BY n;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SELECT lbrec_drop_model('fresh');
SELECT lbrec_drop_model('m');
SELECT lbrec_drop_model('small');
