-- lbrec_forget_user: nothing of a user stays in a model, and nothing else changes
\i test/sql/listens.inc
CREATE TABLE person AS
SELECT u::bigint AS user_id, (ARRAY['fi', 'no', 'se'])[u % 3 + 1] AS country,
	CASE WHEN u % 4 > 0 THEN ARRAY['a' || u % 5, 'b' || u % 2] END AS tags, u % 7 + 0.5 AS years
FROM generate_series(1, 60) AS u;
CREATE FUNCTION everything(name text, number integer) RETURNS TABLE (what text, who bigint, value text) LANGUAGE sql AS $$
	SELECT 'list', user_id, string_agg(recording_msid || ' ' || score, ',' ORDER BY rank) FROM lbrec_recommend_all(20, name, version => number) GROUP BY 2
	UNION ALL
	SELECT 'vector', user_id, lbrec_user_embedding(user_id, name, version => number)::text FROM person
	UNION ALL
	SELECT 'next', user_id, string_agg(n.recording_msid || ' ' || n.score, ',' ORDER BY rank)
	FROM person, LATERAL lbrec_next(10, user_id => person.user_id, model => name, version => number, at => '2005-06-01') AS n GROUP BY 2
$$;

-- every kind of a user's rows: embedding, states, features of all types, plays
SELECT count(*) > 0 AS trained FROM lbrec_train('full', 'SELECT l.*, artist_name, country, tags, years FROM listen AS l JOIN recording USING (recording_msid) JOIN person USING (user_id)', preset => 'paper', epochs => 2, seed => 3,
	user_features => '{country,tags,years}',
	settings => '{"embedding_dim": 8, "optimizer": "adam", "neighbours": 20, "repeat_power": 0.7, "history_length": 20}');
SELECT count(*) > 0 AS trained FROM lbrec_train('plain', epochs => 2, seed => 3, settings => '{"embedding_dim": 8, "ensemble": 1, "refit": false}');
SELECT count(*) > 0 AS trained FROM lbrec_train('plain', epochs => 1, seed => 4, settings => '{"embedding_dim": 8, "ensemble": 1, "refit": false}');
CREATE TABLE before AS
SELECT name, version, e.* FROM (VALUES ('full', 1), ('plain', 1), ('plain', 2)) AS m (name, version), everything(name, version) AS e;

-- rolled back, it has not happened
BEGIN;
SELECT model, version, dropped, recordings > 0 AS played FROM lbrec_forget_user(17) ORDER BY 1, 2;
ROLLBACK;
SET client_min_messages = warning;
SELECT count(*) AS changed FROM (SELECT 'full', 1, * FROM everything('full', 1) EXCEPT TABLE before) AS c;

-- the first, one in the middle, the last; each is unknown from then on
SELECT u, f.model, f.version, f.dropped, f.recordings = (SELECT count(DISTINCT recording_msid) FROM listen WHERE user_id = u) AS all_of_theirs
FROM unnest('{1,17,60}'::bigint[]) AS u, LATERAL lbrec_forget_user(u) AS f ORDER BY u, 2, 3;
SELECT * FROM lbrec_forget_user(17);
SELECT name, version, n_users FROM lbrec_models ORDER BY 1, 2;
SELECT what, problem FROM lbrec_check() WHERE NOT ok;
SELECT count(*) AS left_over FROM lbrec.tensor WHERE name = 'user_key' AND position(int8send(17) IN data) > 0;
SELECT DISTINCT basis FROM lbrec_recommend(17, 3, 'full');

-- all others have what they had, to the bit
SELECT m.name, m.version, b.what, count(*) AS others, count(*) FILTER (WHERE b.value = a.value) AS unchanged
FROM (VALUES ('full', 1), ('plain', 1), ('plain', 2)) AS m (name, version)
JOIN before AS b USING (name, version)
LEFT JOIN LATERAL everything(m.name, m.version) AS a ON a.what = b.what AND a.who = b.who
WHERE b.who NOT IN (1, 17, 60) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- and a training goes on from it; the forgotten have no place in it
SELECT count(*) > 0 AS trained FROM lbrec_train('full', 'SELECT l.*, artist_name, country, tags, years FROM listen AS l JOIN recording USING (recording_msid) JOIN person USING (user_id) WHERE user_id BETWEEN 20 AND 30', epochs => 1, start_from => 'full',
	user_features => '{country,tags,years}');
SELECT n_users FROM lbrec_models WHERE name = 'full' AND version = 2;

-- tensors of several chunks: the rows behind move from chunk to chunk
CREATE TABLE many AS SELECT u::bigint AS user_id, to_timestamp(1100000000 + u * 50 + i) AS listened_at, md5('recording ' || (u * 7 + i * i) % 90)::uuid AS recording_msid
FROM generate_series(1, 9000) AS u, generate_series(1, 16) AS i;
SELECT count(*) > 0 AS trained FROM lbrec_train('many', 'SELECT m.*, artist_name FROM many AS m JOIN recording USING (recording_msid)', preset => 'paper', epochs => 1, split => 'none', settings => '{"embedding_dim": 64, "repeat_power": 0.7}');
SELECT sum((chunk > 0)::int) > 2 AS several FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model WHERE m.name = 'many';
CREATE TABLE vectors AS SELECT u, lbrec_user_embedding(u, 'many') AS v FROM generate_series(1, 9000, 7) AS u;
SELECT recordings > 0 AS played FROM lbrec_forget_user(4100);
SELECT count(*) AS others, count(*) FILTER (WHERE v = lbrec_user_embedding(u, 'many')) AS unchanged FROM vectors WHERE u <> 4100;
SELECT what, problem FROM lbrec_check('many') WHERE NOT ok;

-- a model of one user is dropped
SELECT count(*) > 0 AS trained FROM lbrec_train('two', 'SELECT * FROM listen WHERE user_id IN (2, 3)', epochs => 1, split => 'none');
SELECT model, dropped FROM lbrec_forget_user(2) WHERE model = 'two';
SELECT model, dropped, recordings FROM lbrec_forget_user(3) WHERE model = 'two';
SELECT count(*) AS left_over FROM lbrec_models WHERE name = 'two';

SELECT lbrec_forget_user(NULL);
BEGIN READ ONLY;
SELECT lbrec_forget_user(5);
ROLLBACK;
SELECT lbrec_drop_model(m) AS dropped FROM unnest('{full,plain,many}'::text[]) AS m;
DROP FUNCTION everything;
DROP TABLE many, person, before, vectors;
