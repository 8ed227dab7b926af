--
-- How lbrec_train descends: seeds, temporary files, optimisers, schedules, losses,
-- log q and the temperature
--

\i test/sql/listens.inc
SET client_min_messages = warning;	-- versions.sql tells of the default
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
