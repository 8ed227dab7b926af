--
-- lbrec_train with start_from: a model goes on with new listens
--

\i test/sql/listens.inc
SET client_min_messages = warning;	-- versions.sql tells of the default

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

DELETE FROM lbrec.model;
