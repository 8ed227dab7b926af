--
-- lbrec_train: what it returns, writes and leaves alone
--
\i test/sql/listens.inc
SET client_min_messages = warning;	-- versions.sql tells of the default

-- one row an epoch; evaluated where asked for; metrics only grow with K
SELECT epoch, loss > 0 AS loss, test_loss > 0 AS test_loss,
	top_1 <= top_5 AND top_5 <= top_10 AND top_10 <= top_50
		AND top_50 <= top_100 AND top_100 <= 1 AS ordered,
	seconds >= 0 AS seconds, listens_per_second > 0 AS rate
FROM lbrec_train('plain', settings => '{"evaluate_every": 2}', epochs => 5);

-- figures have four digits, and the table has all
SELECT pg_typeof(ndcg_100), ndcg_100 > 0 AS measured, length(translate(ltrim(loss::text, '0.'), '.', '')) <= 4 AS short FROM lbrec_train('figures', epochs => 1);
SELECT bool_and(length(loss::text) > 8) AS exact FROM lbrec.epoch;
SELECT v, lbrec.figure(v) FROM unnest('{0,0.123456,-0.00123456,15542.3,1e300,1e-300,NaN,Infinity,NULL}'::float8[]) AS v;
DELETE FROM lbrec.model WHERE name = 'figures';
-- the rows written
SELECT name, version, n_listens, n_users, n_recordings, query,
	checksum <> 0 AS checksum, activation > 0 AS active
FROM lbrec.model WHERE name = 'plain';
SELECT e.epoch, e.top_10 IS NULL AS not_evaluated
FROM lbrec.epoch AS e JOIN lbrec.model AS m ON m.id = e.model
WHERE m.name = 'plain' ORDER BY e.epoch;
SELECT t.name, t.type, t.rows, octet_length(t.data) > 0 AS data
FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model
WHERE m.name = 'plain' AND t.name IN ('user_key', 'recording_key', 'recording_listens', 'candidate')
ORDER BY t.name, t.chunk;

-- it learns: the loss falls, and a user's own group is found
SELECT (array_agg(loss ORDER BY epoch DESC))[1] < (array_agg(loss ORDER BY epoch))[1] AS falls
FROM lbrec_train('learns', 'SELECT user_id, listened_at, recording_msid, artist_name
	FROM listen JOIN recording USING (recording_msid)', epochs => 15);
SELECT user_id, count(*) FILTER (WHERE r.taste = user_id % 3) >= 8 AS own_taste
FROM (VALUES (1), (2), (3)) AS u (user_id),
	LATERAL lbrec_recommend(user_id, 10, 'learns') AS x
	JOIN recording AS r USING (recording_msid)
GROUP BY user_id ORDER BY user_id;

-- the preprint's protocol: three shapes
SELECT shape, count(*) AS epochs, count(top_1) AS evaluated
FROM (VALUES ('{32}'::int[]), ('{64,32}'), ('{128,64,32}')) AS v (shape),
	LATERAL lbrec_train('paper', 'SELECT user_id, listened_at, recording_msid, artist_name
		FROM listen JOIN recording USING (recording_msid)',
		preset => 'paper', layers => shape, settings => '{"batch_size": 256}', epochs => 10)
GROUP BY shape ORDER BY shape;
SELECT name, version, active FROM lbrec_models WHERE name = 'paper' ORDER BY version;
SELECT DISTINCT m.version, t.name, t.rows, t.cols
FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model
WHERE m.name = 'paper' AND m.version = 3 AND t.name ~ '^(query|candidate|time|user|recording|artist_name)_(kernel_\d|bias_\d|embedding)$'
ORDER BY t.name;

-- the same seed gives the same bits, another seed does not
SELECT count(*) FROM lbrec_train('same', epochs => 2, seed => 7);
SELECT count(*) FROM lbrec_train('same', epochs => 2, seed => 7);
SELECT count(*) FROM lbrec_train('same', epochs => 2, seed => 8);
SELECT a.version, b.version, bool_and(x.data = y.data) AS same_bits
FROM lbrec.model AS a JOIN lbrec.model AS b ON a.name = b.name AND a.version < b.version
JOIN lbrec.tensor AS x ON x.model = a.id
JOIN lbrec.tensor AS y ON y.model = b.id AND (x.name, x.chunk) = (y.name, y.chunk)
WHERE a.name = 'same' AND x.name = 'candidate'
GROUP BY 1, 2 ORDER BY 1, 2;

-- types of columns: integers, timestamps, features of every kind
SELECT count(*) FROM lbrec_train('types',
	'SELECT user_id::int, extract(epoch FROM listened_at)::bigint AS listened_at,
		recording_msid, artist_name, taste, taste * 1.5 AS tempo,
		ARRAY[artist_name, track_name] AS tags, user_id % 2 = 0 AS even,
		NULLIF(taste, 1)::real AS sometimes
	FROM listen JOIN recording USING (recording_msid)',
	user_features => '{even}', epochs => 1);
SELECT source, kind, "column" FROM lbrec.model,
	LATERAL jsonb_to_recordset(config -> 'candidate') AS i (source text, kind text, "column" text)
WHERE name = 'types' ORDER BY "column" NULLS FIRST;
SELECT source, kind, "column" FROM lbrec.model,
	LATERAL jsonb_to_recordset(config -> 'query') AS i (source text, kind text, "column" text)
WHERE name = 'types' AND source = 'feature';
SELECT count(*) FROM lbrec_recommend(1, 5, 'types');

-- where nothing held out is new to its user, measures of what is new are NULL, and a notice says so; early stopping looks at mrr
SELECT count(*) > 3 AS epochs, count(top_10) = count(*) AS measured, count(recall_20) AS recall, count(ndcg_20) AS ndcg
FROM lbrec_train('heard', 'SELECT user_id, listened_at + n * interval ''1 year'' AS listened_at, recording_msid FROM listen, generate_series(0, 4) AS n', split => 'time',
	settings => '{"refit": false, "neighbours": 0, "repeat_power": 0, "evaluate_every": 1}', epochs => 4);
SELECT count(*) > 3 AS epochs, count(recall_20) AS recall, count(ndcg_20) AS ndcg FROM lbrec.epoch AS e JOIN lbrec.model AS m ON m.id = e.model WHERE m.name = 'heard';
SELECT count(*) > 3 AS epochs FROM lbrec_train('heard', 'SELECT user_id, listened_at + n * interval ''1 year'' AS listened_at, recording_msid FROM listen, generate_series(0, 4) AS n',
	split => 'time', settings => '{"refit": false, "evaluate_every": 1, "patience": 4}');
SELECT e.epoch = (m.config ->> 'best_epoch')::int AS best FROM lbrec.model AS m JOIN lbrec.epoch AS e ON e.model = m.id
WHERE m.name = 'heard' AND m.version = 2 ORDER BY e.mrr DESC, e.epoch LIMIT 1;

-- a LIMIT does not leave half a model
SELECT epoch FROM lbrec_train('limited', epochs => 3) LIMIT 1;
SELECT count(*) FROM lbrec.epoch AS e JOIN lbrec.model AS m ON m.id = e.model
WHERE m.name = 'limited';

-- nor does ROLLBACK leave anything
BEGIN;
SELECT count(*) FROM lbrec_train('undone', epochs => 1);
SELECT count(*) FROM lbrec_recommend(1, 3, 'undone');
ROLLBACK;
SELECT count(*) FROM lbrec.model WHERE name = 'undone';
SELECT count(*) FROM lbrec_recommend(1, 3, 'undone');

-- it may be asked not to answer yet
SELECT count(*) FROM lbrec_train('waits', epochs => 1, activate => false);
SELECT count(*) FROM lbrec_recommend(1, 3, 'waits');
SELECT lbrec_activate('waits');
SELECT count(*) FROM lbrec_recommend(1, 3, 'waits');

DELETE FROM lbrec.model;
SELECT count(*) FROM lbrec.tensor;
