--
-- items: recordings that nobody has played
--

\i test/sql/listens.inc
SET client_min_messages = warning;	-- versions.sql tells of the default

-- thirty recordings of three tastes, with features and without a listen; a
-- row of the catalogue twice, and a recording with listens that it lacks
CREATE TABLE catalogue AS
SELECT recording_msid, ARRAY['taste ' || taste, 'music'] AS tags, taste * 10.0::real AS tempo, NULL::int AS new_taste FROM recording
WHERE recording_msid <> md5('recording 0')::uuid
UNION ALL
SELECT md5('new ' || i)::uuid, ARRAY['taste ' || i % 3, 'music'], i % 3 * 10, i % 3 FROM generate_series(1, 30) AS i;
INSERT INTO catalogue SELECT * FROM catalogue WHERE new_taste = 1;
SELECT count(*) > 0 AS trained FROM lbrec_train('i', items => 'SELECT recording_msid, tags, tempo FROM catalogue');
SELECT n_recordings = (SELECT count(DISTINCT recording_msid) FROM listen) + (SELECT count(DISTINCT recording_msid) FROM catalogue WHERE recording_msid NOT IN (SELECT recording_msid FROM listen)) AS all_of_them,
	config->'options'->>'id_dropout' AS id_dropout
FROM lbrec.model WHERE name = 'i';
SELECT count(*) AS problems FROM lbrec_check('i') WHERE NOT ok;

-- the new ones of a user's taste come first, and say why
SELECT avg((c.new_taste = u.user_id % 3)::int) > 0.9 AS own_taste, count(DISTINCT r.basis) AS bases, min(r.basis) AS basis
FROM (SELECT DISTINCT user_id FROM listen) AS u,
	LATERAL lbrec_recommend(u.user_id, 10, 'i', candidates => (SELECT array_agg(recording_msid) FROM catalogue WHERE new_taste IS NOT NULL)) AS r
	JOIN (SELECT DISTINCT recording_msid, new_taste FROM catalogue) AS c USING (recording_msid);
-- they reach the head of the whole list
SELECT count(*) > 0 AS some, avg((c.new_taste = r.user_id % 3)::int) > 0.9 AS own_taste, min(r.basis) AS basis
FROM lbrec_recommend_all(30, 'i') AS r JOIN (SELECT DISTINCT recording_msid, new_taste FROM catalogue) AS c USING (recording_msid)
WHERE c.new_taste IS NOT NULL;
SELECT count(*) > 0 AS in_group FROM lbrec_recommend_group('{3,6}', 40, 'i') WHERE basis = 'features';
-- in every other call
SELECT count(*) AS similar, bool_and(c.new_taste = 2 OR c.tags @> '{taste 2}') AS alike
FROM lbrec_similar(ARRAY[md5('new 2')::uuid], 5, 'i') JOIN (SELECT DISTINCT recording_msid, new_taste, tags FROM catalogue) AS c USING (recording_msid);
SELECT array_length(lbrec_score(3, ARRAY[md5('new 3')::uuid, md5('new 4')::uuid], 'i'), 1) AS scores,
	(lbrec_score(3, ARRAY[md5('new 3')::uuid], 'i'))[1] > (lbrec_score(3, ARRAY[md5('new 4')::uuid], 'i'))[1] AS own_taste_above;
SELECT count(*) = 5 AS next FROM lbrec_next(5, recent => ARRAY[md5('new 3')::uuid], model => 'i');
SELECT count(*) AS new_and_popular FROM lbrec_popular(90, model => 'i') JOIN catalogue USING (recording_msid) WHERE new_taste IS NOT NULL;
SELECT round(sum(e.value)::numeric, 2) = round((lbrec_score(3, ARRAY[md5('new 3')::uuid], 'i'))[1]::numeric, 2) AS adds_up FROM lbrec_explain(3, md5('new 3')::uuid, 'i') AS e;
SELECT unknown_recordings FROM lbrec_evaluate('i', $$SELECT 3::bigint AS user_id, timestamptz '2006-01-01 00:00+00' AS listened_at, md5('new 3')::uuid AS recording_msid$$, '{10}') WHERE recommender = 'model';

-- the order of rows makes no difference
SELECT count(*) > 0 AS trained FROM lbrec_train('o', epochs => 2, items => 'SELECT recording_msid, tags, tempo FROM catalogue ORDER BY md5(recording_msid::text || new_taste)');
SELECT count(*) > 0 AS trained FROM lbrec_train('o', epochs => 2, items => 'SELECT recording_msid, tags, tempo FROM catalogue ORDER BY recording_msid DESC');
SELECT count(*) AS differ FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id, lbrec.model AS o JOIN lbrec.tensor AS u ON u.model = o.id
WHERE m.name = 'o' AND m.version = 1 AND o.name = 'o' AND o.version = 2 AND u.name = t.name AND u.chunk = t.chunk AND u.data <> t.data;

-- played, they become their own: other users' plays of new 1 make it theirs
CREATE TABLE later AS SELECT (3 * u + 3)::bigint AS user_id, timestamptz '2006-01-01 00:00+00' + n * interval '1 hour' AS listened_at, CASE WHEN n % 2 = 0 THEN md5('new 1') ELSE md5('recording ' || n) END::uuid AS recording_msid
FROM generate_series(0, 18) AS u, generate_series(1, 8) AS n;
SELECT count(*) > 0 AS trained FROM lbrec_train('later', 'later', start_from => 'i', items => 'SELECT recording_msid, tags, tempo FROM catalogue', split => 'none', epochs => 6, settings => '{"refit": false}');
SELECT n_recordings = (SELECT n_recordings FROM lbrec.model WHERE name = 'i') AS the_same FROM lbrec.model WHERE name = 'later';
SELECT (lbrec_score(57, ARRAY[md5('new 1')::uuid], 'later', fresh => false))[1] > (lbrec_score(57, ARRAY[md5('new 4')::uuid], 'later', fresh => false))[1] AS own_now;
SELECT count(*) = 1 AS recommended FROM lbrec_recommend(57, 90, 'later', fresh => false) WHERE recording_msid = md5('new 1')::uuid AND basis = 'model';
SELECT count(*) AS problems FROM lbrec_check('later') WHERE NOT ok;

-- without training: a new version with more recordings
SELECT version, added, recordings - added AS before FROM lbrec_add_items('i', $$SELECT md5('newer ' || i)::uuid AS recording_msid, ARRAY['taste ' || i % 3, 'music', 'unheard of'] AS tags, (i % 3 * 10)::real AS tempo FROM generate_series(1, 30) AS i$$);
SELECT count(*) AS problems FROM lbrec_check('i') WHERE NOT ok;
SELECT avg((substring(n.name FROM 7)::int % 3 = u.user_id % 3)::int) > 0.9 AS own_taste
FROM (SELECT DISTINCT user_id FROM listen) AS u,
	LATERAL lbrec_recommend(u.user_id, 10, 'i', filter => $$SELECT md5('newer ' || i)::uuid AS recording_msid FROM generate_series(1, 30) AS i$$) AS r
	JOIN (SELECT 'newer ' || i AS name, md5('newer ' || i)::uuid AS recording_msid FROM generate_series(1, 30) AS i) AS n USING (recording_msid);
-- what was known answers as before
SELECT lbrec_score(3, ARRAY[md5('recording 3')::uuid, md5('recording 4')::uuid], 'i', version => 1) = lbrec_score(3, ARRAY[md5('recording 3')::uuid, md5('recording 4')::uuid], 'i', version => 2) AS the_same;
SELECT a.n_listens = b.n_listens AND a.n_users = b.n_users AS the_same_listens FROM lbrec.model AS a, lbrec.model AS b WHERE a.name = 'i' AND b.name = 'i' AND a.version = 1 AND b.version = 2;
SELECT count(*) > 0 AS continued FROM lbrec_train('again', 'later', start_from => 'i', items => 'SELECT recording_msid, tags, tempo FROM catalogue', split => 'none', epochs => 1, settings => '{"refit": false}');
-- inactive
SELECT version, added FROM lbrec_add_items('i', 'SELECT recording_msid, tags FROM catalogue', activate => false);
SELECT max(version) FILTER (WHERE active) AS active FROM lbrec_models WHERE name = 'i';

-- layers, hash buckets, batches of listens, rare recordings
SELECT count(*) > 0 AS trained FROM lbrec_train('l', items => 'SELECT recording_msid, tags FROM catalogue', layers => '{16}', epochs => 1);
SELECT count(*) > 0 AS trained FROM lbrec_train('b', items => 'SELECT recording_msid, tags, tempo FROM catalogue', epochs => 1, settings => '{"hash_buckets": 5, "min_listens": 20, "bucketize": ["tempo"], "number_buckets": 3}');
SELECT added FROM lbrec_add_items('b', $$SELECT md5('newer ' || i)::uuid AS recording_msid, 12.5::real AS tempo FROM generate_series(1, 3) AS i$$);
SELECT count(*) > 0 AS trained FROM lbrec_train('r', items => 'SELECT recording_msid, tags FROM catalogue', epochs => 1, settings => '{"min_listens": 30}');
SELECT n_recordings = (SELECT count(*) FROM (SELECT recording_msid FROM catalogue UNION SELECT recording_msid FROM listen GROUP BY 1 HAVING count(*) >= 30) AS x) AS listed_stay FROM lbrec.model WHERE name = 'r';
SELECT count(*) AS problems FROM lbrec_check() WHERE NOT ok;
SELECT reason FROM lbrec_retrain('i', 'SELECT user_id, listened_at, recording_msid FROM listen', items => 'SELECT recording_msid, tags FROM catalogue');

-- unknown candidates
RESET client_min_messages;
SELECT count(*) FROM lbrec_recommend(3, 5, 'i', candidates => ARRAY[md5('new 1')::uuid, md5('nowhere')::uuid]);

-- errors
\set VERBOSITY default
SELECT lbrec_train('x', items => 'SELECT tags FROM catalogue');
SELECT lbrec_train('x', items => 'SELECT recording_msid FROM catalogue');
SELECT lbrec_train('x', items => 'SELECT recording_msid::text, tags FROM catalogue');
SELECT lbrec_train('x', items => 'SELECT NULL::uuid AS recording_msid, tags FROM catalogue');
SELECT lbrec_train('x', items => 'SELECT recording_msid, tags FROM catalogue WHERE false');
SELECT lbrec_train('x', items => '');
SELECT lbrec_train('x', items => 'DELETE FROM catalogue RETURNING recording_msid, tags');
SELECT lbrec_train('x', items => 'WITH d AS (DELETE FROM catalogue RETURNING recording_msid, tags) SELECT * FROM d');
SELECT lbrec_train('x', items => 'nowhere');
SELECT lbrec_train('x', 'SELECT l.*, 1 AS tags FROM listen AS l', items => 'SELECT recording_msid, tags FROM catalogue');
SELECT lbrec_train('x', items => 'SELECT recording_msid, tags FROM catalogue', user_features => '{tags}');
SELECT lbrec_train('x', items => $$SELECT recording_msid, float8 'infinity' AS tempo FROM catalogue$$);
SELECT lbrec_add_items('nobody', 'SELECT recording_msid, tags FROM catalogue');
SELECT lbrec_add_items('i', NULL);
-- an error of a query's rows names the argument
SELECT count(*) FROM lbrec_train('x', 'SELECT user_id, listened_at, recording_msid FROM listen WHERE 1 / (hashint8(user_id) & 0) > 0');
SELECT count(*) FROM lbrec_train('x', items => 'SELECT recording_msid, tags FROM catalogue WHERE 1 / (length(recording_msid::text) & 0) > 0');
SELECT count(*) FROM lbrec_recommend(3, 5, 'i', filter => 'SELECT recording_msid FROM catalogue WHERE 1 / (length(recording_msid::text) & 0) > 0');
SELECT lbrec_add_items('i', 'SELECT recording_msid, new_taste FROM catalogue');
SELECT lbrec_add_items('i', 'SELECT recording_msid, 1 AS tags FROM catalogue');

DELETE FROM lbrec.model;
DROP TABLE catalogue, later;
