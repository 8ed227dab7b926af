--
-- lbrec_train with start_from: a model goes on with new listens
--

\i test/sql/listens.inc
\set ECHO none
SET client_min_messages = warning;	-- versions.sql tells of the default
-- the numbers of a stored array of one chunk, in order
CREATE FUNCTION pg_temp.numbers(name text, tensor text, OUT i int, OUT x float8) RETURNS SETOF record LANGUAGE sql AS $$
SELECT n, CASE t.type WHEN 'float4' THEN (CASE WHEN bits < 0 THEN -1 ELSE 1 END) * CASE (bits >> 23) & 255 WHEN 0 THEN 0
	ELSE (1 + (bits & 8388607) / 8388608.0) * 2.0 ^ (((bits >> 23) & 255) - 127) END
	WHEN 'int4' THEN bits ELSE bits8 END
FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id AND t.name = tensor,
	generate_series(0, octet_length(t.data) / CASE t.type WHEN 'int8' THEN 8 ELSE 4 END - 1) AS n,
	LATERAL (SELECT ('x' || string_agg(lpad(to_hex(get_byte(t.data, n * w + b)), 2, '0'), '' ORDER BY b DESC)) AS hex
		FROM (SELECT CASE t.type WHEN 'int8' THEN 8 ELSE 4 END AS w) AS width, generate_series(0, w - 1) AS b) AS h,
	LATERAL (SELECT CASE WHEN t.type <> 'int8' THEN hex::bit(32)::int END AS bits, CASE WHEN t.type = 'int8' THEN hex::bit(64)::bigint END AS bits8) AS v
WHERE m.name = numbers.name $$;
-- the lists of all users: place from 0, plays, and what these count at the user's last listen
CREATE FUNCTION pg_temp.lists(name text, OUT user_id bigint, OUT place int, OUT recording_msid uuid, OUT plays float8, OUT weight float8, OUT last timestamptz)
RETURNS SETOF record LANGUAGE sql AS $$
WITH key AS MATERIALIZED (SELECT i + 1 AS code, x::bigint AS user_id FROM pg_temp.numbers(name, 'user_key')),
	recording AS MATERIALIZED (SELECT n AS code, encode(substring(t.data FROM (16 * n - 15)::int FOR 16), 'hex')::uuid AS recording_msid
		FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id AND t.name = 'recording_key', generate_series(1, m.n_recordings) AS n WHERE m.name = lists.name),
	start AS MATERIALIZED (SELECT * FROM pg_temp.numbers(name, 'history_offsets'))
SELECT k.user_id, (c.i - a.x)::int, r.recording_msid, p.x, exp(w.x), 'epoch'::timestamptz + l.x * interval '1 us'
FROM key AS k JOIN start AS a ON a.i = k.code JOIN start AS b ON b.i = k.code + 1
	JOIN pg_temp.numbers(name, 'history_last') AS l ON l.i = k.code
	JOIN pg_temp.numbers(name, 'history_codes') AS c ON c.i >= a.x AND c.i < b.x
	JOIN recording AS r ON r.code = c.x
	JOIN pg_temp.numbers(name, 'history_plays') AS p ON p.i = c.i
	JOIN pg_temp.numbers(name, 'history_recency') AS w ON w.i = c.i $$;
\set ECHO all

-- warm start: vocabularies grow, what was learnt stays, lists are merged
SELECT count(*) FROM lbrec_train('monday', $$SELECT * FROM listen WHERE listened_at < '2005-03-15' AND user_id < 50$$, epochs => 8);
SELECT (array_agg(loss ORDER BY epoch))[1] < (SELECT loss FROM lbrec.epoch AS e JOIN lbrec.model AS m ON m.id = e.model
	WHERE m.name = 'monday' AND e.epoch = 1) AS starts_lower
FROM lbrec_train('tuesday', $$SELECT * FROM listen WHERE listened_at >= '2005-03-15'$$, start_from => 'monday', epochs => 2);
SELECT a.n_users < b.n_users AS users_grew, a.n_recordings <= b.n_recordings AS recordings_grew,
	b.config #>> '{options,embedding_dim}' = a.config #>> '{options,embedding_dim}' AS same_shape
FROM lbrec.model AS a, lbrec.model AS b WHERE a.name = 'monday' AND b.name = 'tuesday';
SELECT substring(a.data FOR octet_length(a.data)) = substring(b.data FOR octet_length(a.data)) AS users_keep_codes
FROM lbrec.tensor AS a JOIN lbrec.model AS m ON m.id = a.model AND m.name = 'monday',
	lbrec.tensor AS b JOIN lbrec.model AS n ON n.id = b.model AND n.name = 'tuesday'
WHERE a.name = 'user_key' AND b.name = 'user_key';
-- where nothing is held out, the older model's weights of the scores' parts stay
SELECT count(*) FROM lbrec_train('unmeasured', $$SELECT * FROM listen WHERE listened_at >= '2005-03-15'$$, start_from => 'monday', epochs => 1,
	split => 'none', settings => '{"early_stopping": "none", "refit": false}');
SELECT (SELECT sum(abs((b.config #>> ARRAY['mix', part])::float8 - (a.config #>> ARRAY['mix', part])::float8))
	FROM unnest('{neighbour,own,recency,plays,own_share}'::text[]) AS part) < 1e-9 AS same
FROM lbrec.model AS a, lbrec.model AS b WHERE a.name = 'monday' AND b.name = 'unmeasured';
SELECT count(*) FROM lbrec_train('wednesday', start_from => 'monday', settings => '{"embedding_dim": 32}', epochs => 1);
-- without training, rows are where the older model's recordings find them: the bucket of those that are no longer rare
SELECT count(*) FROM lbrec_train('rare_monday', $$SELECT * FROM listen WHERE listened_at < '2005-03-15'$$, settings => '{"min_listens": 30, "hash_buckets": 5, "ensemble": 2, "neighbours": 0, "repeat_power": 0, "refit": false}',
	epochs => 1, split => 'none');
SELECT count(*) FROM lbrec_train('rare_tuesday', $$SELECT * FROM listen WHERE listened_at >= '2005-03-15'$$, start_from => 'rare_monday', settings => '{"learning_rate": 1e-30}');
SELECT count(*) FILTER (WHERE a.e = b.e) > 50 AS many, bool_and(a.e = b.e) AS same, (SELECT max(rows) FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model
	WHERE m.name = 'rare_tuesday' AND t.name = 'recording_embedding') > (SELECT max(rows) FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model
	WHERE m.name = 'rare_monday' AND t.name = 'recording_embedding') AS grew
FROM lbrec_recording_embeddings('rare_monday') AS a (r, e) JOIN lbrec_recording_embeddings('rare_tuesday') AS b (r, e) USING (r);

-- users whose new listens are all held out are measured as the users that they are: as lbrec_evaluate measures the saved model
SELECT count(*) FROM lbrec_train('known', $$SELECT * FROM listen WHERE listened_at < '2005-03-15'$$, epochs => 8, settings => '{"ensemble": 1}');
CREATE TABLE later AS SELECT * FROM listen WHERE listened_at >= '2005-03-15' AND user_id % 2 = 1;
CREATE TEMP TABLE rows AS SELECT * FROM lbrec_train('continued', $$SELECT * FROM listen WHERE listened_at >= '2005-03-15' AND user_id % 2 = 0$$,
	start_from => 'known', epochs => 1, test_listens => 'later');
SELECT k, abs(top_k_accuracy - CASE k WHEN 5 THEN r.top_5 ELSE r.top_10 END) < 1e-9 AS same, top_k_accuracy > 0.2 AS found
FROM lbrec_evaluate('continued', 'later', ks => '{5,10}') AS e, rows AS r WHERE recommender = 'model';
DROP TABLE rows;
SELECT max(top_10) > 0.2 AS found FROM lbrec_train('continued', 'later', start_from => 'known', epochs => 1, split => 'random', settings => '{"test_fraction": 0.9, "refit": false}');
-- what a user is not trained on has no part in the steps: without new listens of theirs, users' own vectors stay
SELECT count(*) FROM lbrec_train('own', $$SELECT * FROM listen WHERE listened_at < '2005-03-15'$$, epochs => 2, split => 'none', settings => '{"ensemble": 1, "user_embedding": true, "embedding_dim": 4}');
SELECT count(*) FROM lbrec_train('own_later', $$SELECT * FROM listen WHERE listened_at >= '2005-03-15' AND user_id % 2 = 0$$, epochs => 1, split => 'none', start_from => 'own');
SELECT k.x::int % 2 AS new_listens_if_0, bool_and(a.x = b.x) AS stayed
FROM pg_temp.numbers('own', 'user_embedding') AS a JOIN pg_temp.numbers('own_later', 'user_embedding') AS b USING (i) JOIN pg_temp.numbers('own', 'user_key') AS k ON k.i = a.i / 4 - 1
GROUP BY 1 ORDER BY 1;

-- a dump that comes late has listens before those that the older model knows: plays, their weights, the order of lists and the last listen are
-- those of a training on all
SELECT count(*) FROM lbrec_train('late_first', $$SELECT * FROM listen WHERE listened_at >= '2005-03-01'$$, epochs => 1, split => 'none', settings => '{"ensemble": 1}');
SELECT count(*) FROM lbrec_train('late', $$SELECT * FROM listen WHERE listened_at < '2005-03-01'$$, start_from => 'late_first');
SELECT count(*) FROM lbrec_train('anew', epochs => 1, split => 'none', settings => '{"ensemble": 1}');
SELECT count(*) > 500 AS many, bool_and(a.plays = b.plays) AS plays, max(abs(a.weight - b.weight)) < 1e-5 AS weights, bool_and(a.last = b.last) AS last,
	bool_and(a.place = b.place) FILTER (WHERE b.place = 0) AS first
FROM pg_temp.lists('late') AS a FULL JOIN pg_temp.lists('anew') AS b USING (user_id, recording_msid);
-- listens in between: a list begins with what was played last, whoever brought it
SELECT count(*) FROM lbrec_train('mixed_first', $$SELECT * FROM listen WHERE extract(day FROM listened_at)::int % 3 = 0$$, epochs => 1, split => 'none', settings => '{"ensemble": 1}');
SELECT count(*) FROM lbrec_train('mixed', $$SELECT * FROM listen WHERE extract(day FROM listened_at)::int % 3 > 0$$, start_from => 'mixed_first');
SELECT count(*) > 500 AS many, bool_and(a.plays = b.plays) AS plays, bool_and(a.last = b.last) AS last, bool_and(a.place = b.place) FILTER (WHERE b.place = 0) AS first,
	avg(abs(a.weight / b.weight - 1)) < 0.25 AS weights
FROM pg_temp.lists('mixed') AS a FULL JOIN pg_temp.lists('anew') AS b USING (user_id, recording_msid);

-- numbers keep the scale that the weights were trained on, with every kind of tower
SELECT count(*) FROM lbrec_train('scale', $$SELECT *, (ascii(recording_msid::text) - 40)::real AS length, user_id::float8 AS age FROM listen WHERE listened_at < '2005-03-15'$$,
	epochs => 1, user_features => '{age}', settings => '{"ensemble": 1}');
SELECT count(*) FROM lbrec_train('scale_later', $$SELECT *, (1000 + ascii(recording_msid::text))::real AS length, 9 * user_id::float8 AS age FROM listen WHERE listened_at >= '2005-03-15'$$,
	epochs => 1, user_features => '{age}', start_from => 'scale');
SELECT a.config -> 'candidate' = b.config -> 'candidate' AND a.config -> 'query' = b.config -> 'query' AS same, (a.config -> 'time') - 'last' = (b.config -> 'time') - 'last' AS same_time
FROM lbrec.model AS a, lbrec.model AS b WHERE a.name = 'scale' AND b.name = 'scale_later';

-- settings are the older model's but for those that are given, and what follows from these
SELECT count(*) FROM lbrec_train('small_steps', preset => 'paper', listens => 'SELECT * FROM listen JOIN recording USING (recording_msid)', epochs => 2,
	settings => '{"batch_size": 64, "time_buckets": 10, "early_stopping": "ndcg_20", "evaluate_every": 1, "embedding_dim": 8, "optimizer": "adam", "learning_rate": 0.01}');
CREATE FUNCTION pg_temp.other_settings(a text, b text) RETURNS text LANGUAGE sql AS $$
SELECT string_agg(x.key || ': ' || x.value || ' to ' || y.value, ', ' ORDER BY x.key) FROM lbrec.model AS m, lbrec.model AS n,
	jsonb_each_text(m.config -> 'options') AS x, jsonb_each_text(n.config -> 'options') AS y
WHERE m.name = a AND n.name = b AND x.key = y.key AND x.value <> y.value $$;
SELECT count(*) FROM lbrec_train('small_steps_2', 'SELECT * FROM listen JOIN recording USING (recording_msid)', start_from => 'small_steps');
SELECT pg_temp.other_settings('small_steps', 'small_steps_2');
SELECT count(*) FROM lbrec_train('small_steps_3', 'SELECT * FROM listen JOIN recording USING (recording_msid)', start_from => 'small_steps', split => 'none');
SELECT pg_temp.other_settings('small_steps', 'small_steps_3');
SELECT count(*) FROM lbrec_train('small_steps_4', 'SELECT * FROM listen JOIN recording USING (recording_msid)', start_from => 'small_steps', epochs => 1);
SELECT pg_temp.other_settings('small_steps', 'small_steps_4');
-- Adam counts the steps of both trainings: 2 epochs, then 1, of 1,920 of the 2,400 listens in batches of 64
SELECT name, (config ->> 'steps')::int AS steps FROM lbrec.model WHERE name IN ('small_steps', 'small_steps_4') ORDER BY 1;

DROP TABLE later;
DELETE FROM lbrec.model;
