-- What the models of train.sql answer, every digit of it: two machines, or two
-- sets of kernels, agree in every bit if this prints the same.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET timezone = 'UTC';
SET extra_float_digits = 1;	-- the shortest text that is the number
CREATE TEMP TABLE moment AS SELECT m.name AS model, t AS at
FROM (VALUES ('mixed'), ('clock'), ('paper'), ('features')) AS m (name),
	unnest('{2005-02-20 07:13:11, 2005-03-01 23:59:59}'::timestamptz[]) AS t;
-- one user after another, all at once, and strangers: fold-in, or the history
SELECT m.*, u, r.* FROM moment AS m, generate_series(1, 40, 3) AS u, lbrec_recommend(u, 20, model => m.model, at => m.at) AS r
ORDER BY m.model, m.at, u, r.rank;
SELECT m.*, r.* FROM moment AS m, lbrec_recommend_all(7, model => m.model, at => m.at) AS r ORDER BY m.model, m.at, r.user_id, r.rank;
SELECT m.*, u, r.* FROM moment AS m, generate_series(1, 40, 3) AS u, lbrec_recommend(9999, 20, model => m.model, at => m.at,
	listens => format('SELECT 9999 AS user_id, listened_at, recording_msid FROM listen WHERE user_id IN (%s, %s)', u, u + 1)) AS r
ORDER BY m.model, m.at, u, r.rank;
SELECT m.*, r.* FROM moment AS m, lbrec_recommend(9998, 50, model => m.model, at => m.at) AS r ORDER BY m.model, m.at, r.rank;
SELECT m.*, u, lbrec_user_embedding(u, model => m.model, at => m.at) FROM moment AS m, generate_series(1, 40) AS u ORDER BY m.model, m.at, u;
SELECT m.model, e.* FROM (SELECT DISTINCT model FROM moment) AS m, lbrec_recording_embeddings(model => m.model) AS e ORDER BY 1, 2;
-- what comes next, what is near, why, and how well
SELECT u, n.* FROM generate_series(1, 40, 2) AS u, lbrec_next(20, user_id => u, model => 'mixed', at => '2005-02-14 12:00+00') AS n ORDER BY u, n.rank;
SELECT c.recording_msid AS of, s.* FROM (SELECT * FROM catalogue ORDER BY 1 LIMIT 20) AS c,
	lbrec_similar(ARRAY[c.recording_msid], 9, model => 'mixed') AS s ORDER BY 1, s.rank;
SELECT u, e.* FROM generate_series(1, 40, 5) AS u, lbrec_recommend(u, 1, model => 'mixed', at => '2005-02-20') AS r,
	lbrec_explain(u, r.recording_msid, model => 'mixed', at => '2005-02-20') AS e ORDER BY u, e.part, e.because, e.value;
SELECT m.model, e.recommender, e.k, e.top_k_accuracy, e.mrr FROM (SELECT DISTINCT model FROM moment) AS m,
	lbrec_evaluate(model => m.model, listens => 'SELECT * FROM featured WHERE user_id < 9') AS e ORDER BY 1, 2, 3;
SELECT recommender, k, recall, mrr FROM lbrec_evaluate_next('2005-02-09', model => 'mixed') ORDER BY 1, 2;
