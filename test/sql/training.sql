--
-- Settings of lbrec_train: what each changes, and what must not change
--
\i test/sql/listens.inc
CREATE TEMP VIEW weights AS
SELECT m.name, m.version, md5(string_agg(t.name || md5(t.data), '' ORDER BY t.name, t.chunk)) AS sum
FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id GROUP BY 1, 2;

-- same seed, same threads: the same bits of every tensor; threads: two
SET lbrec.threads = 2;
SELECT count(*) FROM lbrec_train('same', epochs => 2, seed => 7);
SELECT count(*) FROM lbrec_train('same', epochs => 2, seed => 7);
SELECT count(*) FROM lbrec_train('same', epochs => 2, seed => 8);
SELECT count(DISTINCT sum) FROM weights WHERE name = 'same' AND version <= 2;
SELECT count(DISTINCT sum) FROM weights WHERE name = 'same';
RESET lbrec.threads;

-- listens in a temporary file make the same model as listens in memory, where
-- rows are users
SELECT count(*) FROM lbrec_train('memory', 'SELECT l.* FROM listen AS l, generate_series(1, 4)', epochs => 1);
SET lbrec.spool_mem = '64kB';
SELECT count(*) FROM lbrec_train('file', 'SELECT l.* FROM listen AS l, generate_series(1, 4)', epochs => 1);
SELECT count(DISTINCT sum) FROM weights WHERE name IN ('memory', 'file');
-- and feed every listen once where rows are listens
SELECT epoch, loss > 0 AS loss, top_100 > 0 AS measured
FROM lbrec_train('blocks', 'SELECT l.* FROM listen AS l, generate_series(1, 4)',
	settings => '{"batch_by": "listens", "batch_size": 256, "embedding_dim": 8, "ensemble": 1, "history_length": 20, "evaluate_every": 1}', epochs => 1);
SET temp_file_limit = '64kB';
-- in the words of each version
\set VERBOSITY sqlstate
SELECT count(*) FROM lbrec_train('limited', 'SELECT l.* FROM listen AS l, generate_series(1, 4)', epochs => 1);
\set VERBOSITY default
RESET temp_file_limit;
RESET lbrec.spool_mem;
SELECT count(*) FROM lbrec.model WHERE name = 'limited';

-- every optimiser, schedule and loss option trains: the loss falls
SELECT o, (array_agg(loss ORDER BY epoch DESC))[1] < (array_agg(loss ORDER BY epoch))[1] AS falls
FROM unnest('{adagrad,rowwise_adagrad,adam,sgd}'::text[], '{0.1,0.1,0.01,1}'::float8[]) AS v (o, rate),
	LATERAL lbrec_train('o', settings => jsonb_build_object('optimizer', o, 'learning_rate', rate, 'ensemble', 1), epochs => 4, split => 'none')
GROUP BY o ORDER BY o;
SELECT s, count(*) AS epochs
FROM unnest('{constant,linear,cosine,step}'::text[]) AS s,
	LATERAL lbrec_train('s', settings => jsonb_build_object('schedule', s, 'warmup_epochs', 0.5, 'weight_decay', 0.01, 'clip_norm', 1), epochs => 3)
GROUP BY s ORDER BY s;
SELECT (array_agg(loss ORDER BY epoch DESC))[1] < (array_agg(loss ORDER BY epoch))[1] AS falls
FROM lbrec_train('l', settings => '{"batch_by": "listens", "ensemble": 1, "embedding_dim": 8, "user_embedding": true, "hard_negatives": 5, "extra_negatives": 20, "negative_sampling": "popularity", "dropout": 0.2, "loss_reduction": "mean", "batch_size": 256}', layers => '{16,8}', epochs => 8);

-- log q from counts or from the batches: either finds
SELECT e, (array_agg(loss ORDER BY epoch DESC))[1] < (array_agg(loss ORDER BY epoch))[1] AS falls, max(recall_20) > 0.2 AS finds
FROM unnest('{counts,streaming}'::text[]) AS e,
	LATERAL lbrec_train('q', settings => jsonb_build_object('logq_estimate', e, 'ensemble', 1, 'refit', false), epochs => 8, split => 'last')
GROUP BY e ORDER BY e;
SELECT count(DISTINCT loss) AS losses
FROM unnest('{counts,streaming}'::text[]) AS e,
	LATERAL lbrec_train('q', settings => jsonb_build_object('logq_estimate', e, 'batch_by', 'listens', 'batch_size', 256, 'extra_negatives', 20, 'ensemble', 1), epochs => 1, split => 'none');
SELECT config #>> '{options,logq}' AS logq, config #>> '{options,logq_estimate}' AS estimate FROM lbrec.model
WHERE id = (SELECT id FROM lbrec.model WHERE name = 'q' ORDER BY version DESC LIMIT 1);
SELECT count(*) FROM lbrec_train('q', settings => '{"logq_estimate": "guessed"}');

-- the history: own or shared table, all or before, mean or root; served too
SELECT count(*) FROM lbrec_train('h', settings => '{"batch_by": "listens", "history_table": "own", "history_window": "others", "history_pooling": "mean", "ensemble": 1}', layers => '{8}', epochs => 1);
SELECT count(*) AS rows, count(DISTINCT score) > 1 AS differ FROM lbrec_recommend(3, 5, 'h');
SELECT count(*) FROM lbrec_train('h', settings => '{"batch_by": "listens", "history_table": "shared", "history_window": "others", "history_pooling": "sqrt", "ensemble": 1}', layers => '{8}', epochs => 1);
SELECT count(*) AS rows, count(DISTINCT score) > 1 AS differ FROM lbrec_recommend(3, 5, 'h');
SELECT count(*) FROM lbrec_train('h', settings => '{"batch_by": "listens", "history_table": "own", "history_window": "before", "history_pooling": "sqrt", "ensemble": 1}', layers => '{8}', epochs => 1);
SELECT count(*) AS rows, count(DISTINCT score) > 1 AS differ FROM lbrec_recommend(3, 5, 'h');
SELECT t.name, t.rows, t.cols FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model
WHERE m.name = 'h' AND m.version = 3 AND t.name ~ '^(history|user)_(offsets|embedding)$' ORDER BY 1;

-- the clock: a cyclic input tells the hours apart, and a day later is alike
SELECT count(*) FROM lbrec_train('clock', settings => '{"hour_of_day": true, "batch_size": 256, "embedding_dim": 16}', epochs => 2);
SELECT (SELECT score FROM lbrec_recommend(1, 1, 'clock', at => '2005-03-01 03:00+00')) =
	(SELECT score FROM lbrec_recommend(1, 1, 'clock', at => '2005-03-02 03:00+00')) AS a_day_later,
	(SELECT score FROM lbrec_recommend(1, 1, 'clock', at => '2005-03-01 03:00+00')) =
	(SELECT score FROM lbrec_recommend(1, 1, 'clock', at => '2005-03-01 15:00+00')) AS half_a_day_later;
SELECT count(*) FROM lbrec_train('clock', settings => '{"day_of_week": true, "batch_by": "listens", "batch_size": 256, "ensemble": 1}', layers => '{8}', epochs => 2);

-- splits: what is held out
SELECT s, count(*) FILTER (WHERE test_loss IS NOT NULL) AS measured
FROM unnest('{time,random,last,none}'::text[]) AS s,
	LATERAL lbrec_train('split', split => s, epochs => 2, settings => '{"test_fraction": 0.2, "evaluate_every": 1, "ensemble": 1}')
GROUP BY s ORDER BY s;
SELECT recall_20 IS NOT NULL AS measured FROM lbrec_train('split', split => 'last', settings => '{"test_last": 1}', epochs => 1);
SELECT top_10 IS NOT NULL AS measured FROM lbrec_train('split', test_from => '2005-03-25', epochs => 1);
SELECT top_10 IS NOT NULL AS measured FROM lbrec_train('split', test_listens => 'SELECT * FROM listen WHERE user_id < 9', epochs => 1);

-- early stopping: the metric does not rise for ever, and the best is kept
SELECT count(*) < 200 AS stopped
FROM lbrec_train('early', settings => '{"early_stopping": "test_loss", "patience": 2, "evaluate_every": 1, "ensemble": 1}', epochs => 200);
SELECT (config ->> 'best_epoch')::int = (SELECT epoch FROM lbrec.epoch AS e WHERE e.model = m.id ORDER BY test_loss LIMIT 1) AS best
FROM lbrec.model AS m WHERE name = 'early';

SELECT count(*) > 0 AS trained FROM unnest('{top_1,top_5,top_50}'::text[]) AS m,
	LATERAL lbrec_train('early_' || m, settings => jsonb_build_object('early_stopping', m, 'evaluate_every', 1, 'ensemble', 1), epochs => 10);
SELECT m.name, (config ->> 'best_epoch')::int = (SELECT epoch FROM lbrec.epoch AS e WHERE e.model = m.id
	ORDER BY CASE m.name WHEN 'early_top_1' THEN top_1 WHEN 'early_top_5' THEN top_5 ELSE top_50 END DESC, epoch LIMIT 1) AS best
FROM lbrec.model AS m WHERE name LIKE 'early\_%' ORDER BY 1;

-- rare recordings: out, or into shared buckets; numbers in buckets
SELECT count(*) FROM lbrec_train('rare', settings => '{"min_listens": 30}', epochs => 1);
SELECT n_recordings = (SELECT count(*) FROM (SELECT FROM listen GROUP BY recording_msid HAVING count(*) >= 30) AS x) AS exact
FROM lbrec.model WHERE name = 'rare';
SELECT count(*) FROM lbrec_train('hashed', settings => '{"min_listens": 30, "hash_buckets": 5}', epochs => 1);
SELECT m.n_recordings, t.rows = 1 + 5 + (SELECT n_recordings FROM lbrec.model WHERE name = 'rare') AS rows
FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id
WHERE m.name = 'hashed' AND t.name = 'recording_embedding' AND t.chunk = 0;
SELECT count(*) FROM lbrec_train('shared', settings => '{"hash_buckets": 5, "history_table": "shared"}', epochs => 1);
SELECT count(*) FROM lbrec_train('buckets', 'SELECT l.*, taste * 1.5 AS tempo, taste AS genre, ARRAY[taste] AS tags
	FROM listen AS l JOIN recording USING (recording_msid)', settings => '{"bucketize": ["tempo"], "number_buckets": 4}', epochs => 1);
SELECT t.name, t.rows FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model
WHERE m.name = 'buckets' AND t.name ~ '^(tempo|genre|tags)_embedding$' ORDER BY 1;

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
	FROM unnest('{neighbour,own,recency,own_share}'::text[]) AS part) < 1e-9 AS same
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

-- evaluation: three recommenders, each metric in its range
SELECT count(*) > 0 AS trained FROM lbrec_train('train', $$SELECT * FROM listen WHERE listened_at < '2005-03-25'$$);
SELECT recommender, k, top_k_accuracy BETWEEN 0 AND 1 AS accuracy, new_recall BETWEEN 0 AND 1 AS recall,
	coverage BETWEEN 0 AND 1 AS coverage, mean_popularity > 0 AS popularity, users_evaluated > 0 AS users
FROM lbrec_evaluate('train', $$SELECT * FROM listen WHERE listened_at >= '2005-03-25'$$, '{5,20}') ORDER BY 1, 2;
-- what the model was trained on says little, and the notice says so
SELECT count(*) FROM lbrec_evaluate('train', $$SELECT * FROM listen WHERE listened_at < '2005-03-25'$$, '{5}');
-- popularity as SQL counts it
SELECT e.top_k_accuracy = (SELECT avg((recording_msid IN (SELECT recording_msid FROM listen WHERE listened_at < '2005-03-25'
	GROUP BY 1 HAVING count(*) >= (SELECT n FROM (SELECT count(*) AS n FROM listen WHERE listened_at < '2005-03-25'
		GROUP BY recording_msid ORDER BY 1 DESC LIMIT 1 OFFSET 9) AS x)))::int)::float8
	FROM listen WHERE listened_at >= '2005-03-25') AS agrees
FROM lbrec_evaluate('train', $$SELECT * FROM listen WHERE listened_at >= '2005-03-25'$$, '{10}') AS e WHERE recommender = 'popular';
-- repeats: what was played lately comes first, unless left out
SELECT count(*) > 3 AS mostly_own FROM lbrec_recommend(7, 5, 'train') AS r WHERE r.recording_msid IN (SELECT recording_msid FROM listen WHERE user_id = 7);
SELECT count(*) FROM lbrec_recommend(7, 5, 'train', exclude_listened => true) AS r WHERE r.recording_msid IN (SELECT recording_msid FROM listen WHERE user_id = 7);

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


-- the temperature that trials find is no worse than the one they begin with,
-- the model remembers it, and giving it gives the same
CREATE TEMP TABLE trials AS
SELECT 'found' AS trial, max(ndcg_20) AS ndcg FROM lbrec_train('found', settings => '{"early_stopping": "ndcg_20"}')
UNION ALL
SELECT 'preset', max(ndcg_20) FROM lbrec_train('preset', settings => '{"early_stopping": "ndcg_20", "temperature": 0.12}');
INSERT INTO trials
SELECT 'given', max(ndcg_20) FROM (SELECT (config #>> '{options,temperature}')::float8 AS t FROM lbrec.model WHERE name = 'found') AS f,
	LATERAL lbrec_train('given', settings => jsonb_build_object('early_stopping', 'ndcg_20', 'temperature', t));
SELECT t.ndcg >= p.ndcg AS no_worse, t.ndcg = g.ndcg AS same
FROM trials AS t, trials AS p, trials AS g WHERE t.trial = 'found' AND p.trial = 'preset' AND g.trial = 'given';
SELECT count(DISTINCT sum) FROM weights WHERE name IN ('found', 'given');
DELETE FROM lbrec.model;
