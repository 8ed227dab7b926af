--
-- Keeping models: lbrec_comment, lbrec_prune, lbrec_check, and models as rows
-- with lbrec_export and lbrec_import; what each says when it cannot.
--
\i test/sql/listens.inc
SELECT n, (SELECT count(*) FROM lbrec_train('kept', epochs => 1, settings => '{"embedding_dim": 4, "ensemble": 1}', split => 'none', seed => n)) AS epochs
FROM generate_series(1, 4) AS n;

-- a comment is the newest version's, or that of the one that is named
SELECT lbrec_comment('kept', 'the newest'), lbrec_comment('kept', E'with "quotes" and\n\ttwo lines', 2);
SELECT version, comment FROM lbrec_model_details WHERE name = 'kept' ORDER BY version;
SELECT lbrec_comment('kept', NULL);
SELECT count(comment) FROM lbrec_model_details WHERE name = 'kept';
SELECT lbrec_comment('nobody', 'x');
SELECT lbrec_comment('kept', 'x', 5);
SELECT lbrec_comment(NULL, 'x');

-- pruning leaves the newest and the active one
SELECT lbrec_activate('kept', 1);
SELECT lbrec_prune('kept', 10) AS ten, lbrec_prune('kept', 2) AS two;
SELECT version, active FROM lbrec_models WHERE name = 'kept' ORDER BY version;
SELECT lbrec_prune('kept', 2) AS again;
SELECT lbrec_activate('kept', 4);
SELECT lbrec_prune('kept', 1) AS one;
SELECT version, active FROM lbrec_models WHERE name = 'kept';
SELECT lbrec_prune('kept', 0);
SELECT lbrec_prune('kept', NULL);
SELECT lbrec_prune('nobody', 1);
SELECT lbrec_prune(NULL, 1);
BEGIN READ ONLY; SELECT lbrec_prune('kept', 1); ROLLBACK;

-- a check has a row for each tensor and one for the serving image
SELECT checked_model, checked_version, bool_and(ok) AS ok, count(problem) AS problems,
	count(*) FILTER (WHERE what LIKE 'tensor %') = (SELECT count(DISTINCT t.name)
		FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model WHERE m.name = 'kept') AS each_tensor,
	count(*) FILTER (WHERE what = 'serving') AS serving, sum(bytes) =
	(SELECT sum(length(data)) FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = t.model WHERE m.name = 'kept') AS all_bytes
FROM lbrec_check('kept') GROUP BY 1, 2;
SELECT count(*) FROM lbrec_check('nobody');
SELECT count(*) FROM lbrec_check('kept', 3);
SELECT count(*) AS of_no_name FROM lbrec_check(NULL, 1000);
-- all damage is reported, and whether serving fails
BEGIN;
UPDATE lbrec.tensor AS t SET data = set_byte(data, 5, 255 - get_byte(data, 5)) FROM lbrec.model AS m WHERE m.id = t.model AND m.name = 'kept' AND t.name = 'candidate';
UPDATE lbrec.tensor AS t SET data = substr(data, 2) FROM lbrec.model AS m WHERE m.id = t.model AND m.name = 'kept' AND t.name = 'user_key';
DELETE FROM lbrec.tensor AS t USING lbrec.model AS m WHERE m.id = t.model AND m.name = 'kept' AND t.name = 'history_plays';
SELECT what, ok, problem FROM lbrec_check('kept') WHERE NOT ok ORDER BY what COLLATE "C";
SELECT count(*) FROM lbrec_export('kept');
ROLLBACK;
BEGIN;
UPDATE lbrec.model SET config = jsonb_set(config, '{options,seed}', '77') WHERE name = 'kept';
SELECT what, problem FROM lbrec_check('kept') WHERE NOT ok;
ROLLBACK;
BEGIN;
UPDATE lbrec.model SET n_users = n_users + 1 WHERE name = 'kept';
SELECT what, problem FROM lbrec_check('kept') WHERE NOT ok ORDER BY what COLLATE "C";
ROLLBACK;

-- out and in again: the same model under another name
SELECT lbrec_comment('kept', 'travels');
CREATE TEMP TABLE rows AS SELECT * FROM lbrec_export('kept');
SELECT min(seq), count(*) = max(seq) + 1 AS counted, count(*) FILTER (WHERE get_byte(chunk, 24) = 2) = (SELECT count(*) FROM lbrec.tensor AS t
	JOIN lbrec.model AS m ON m.id = t.model WHERE m.name = 'kept') AS each_chunk FROM rows;
SELECT lbrec_import('rows', 'moved') AS moved, lbrec_import('rows') AS same_name,
	lbrec_import('SELECT seq, chunk FROM rows ORDER BY seq DESC', 'moved', activate => true) AS again;
-- it answers for its name, but is not the default
SELECT m.name, m.version, m.active, m.is_default, d.comment FROM lbrec_models AS m JOIN lbrec_model_details AS d USING (name, version) WHERE m.name IN ('kept', 'moved') ORDER BY 1, 2;
SELECT count(*), bool_and(a.recording_msid = b.recording_msid AND a.score = b.score) AS same
FROM lbrec_recommend(7, 20, 'kept', at => '2005-04-01') AS a JOIN lbrec_recommend(7, 20, 'moved', at => '2005-04-01') AS b USING (rank);
SELECT bool_and(ok) AS ok FROM lbrec_check('moved');
SELECT count(*) FROM (SELECT chunk FROM lbrec_export('kept', 4) EXCEPT SELECT chunk FROM rows) AS x;

-- an export of a version that does not exist
SELECT count(*) FROM lbrec_export('nobody');
SELECT count(*) FROM lbrec_export('kept', 77);
SELECT count(*) FROM lbrec_export(NULL);

-- imports of damaged exports; nothing is left of any
SELECT lbrec_import(NULL);
SELECT lbrec_import('rows', '');
SELECT lbrec_import('rows', repeat('x', 5000));
SELECT lbrec_import('nowhere');
SELECT lbrec_import('SELECT 1 AS one');
SELECT lbrec_import('SELECT seq, seq AS chunk FROM rows');
SELECT lbrec_import('SELECT * FROM rows; SELECT 1');
SELECT lbrec_import('DELETE FROM rows RETURNING *');
SELECT lbrec_import('SELECT * FROM rows WHERE false');
SELECT lbrec_import('SELECT seq, NULL::bytea AS chunk FROM rows');
SELECT lbrec_import('SELECT seq, ''short''::bytea AS chunk FROM rows');
SELECT lbrec_import('SELECT seq, decode(repeat(''00'', 100), ''hex'') AS chunk FROM rows');
SELECT lbrec_import('SELECT seq, decode(repeat(''00'', 20000000), ''hex'') AS chunk FROM rows');
SELECT lbrec_import('SELECT * FROM rows WHERE seq > 0');
SELECT lbrec_import('SELECT * FROM rows WHERE seq <> 3');
SELECT lbrec_import('SELECT * FROM rows WHERE seq < 5');
SELECT lbrec_import('SELECT * FROM rows UNION ALL SELECT * FROM rows WHERE seq = 2');
SELECT lbrec_import('SELECT seq, CASE seq WHEN 2 THEN set_byte(chunk, 60, 255 - get_byte(chunk, 60)) ELSE chunk END AS chunk FROM rows');
\set VERBOSITY terse
SELECT lbrec_import('SELECT seq, set_byte(chunk, 12, 9) AS chunk FROM rows');
\set VERBOSITY default
SELECT lbrec_import('SELECT seq, set_byte(set_byte(set_byte(set_byte(chunk, 8, 1), 9, 2), 10, 3), 11, 4) AS chunk FROM rows');
SELECT lbrec_import('SELECT seq, set_byte(chunk, 8, 0) AS chunk FROM rows');
BEGIN READ ONLY; SELECT lbrec_import('rows'); ROLLBACK;
SELECT name, count(*) FROM lbrec.model WHERE name IN ('kept', 'moved') GROUP BY name ORDER BY name;
SELECT count(*) AS orphans FROM lbrec.tensor WHERE model NOT IN (SELECT id FROM lbrec.model);
DELETE FROM lbrec.model;

-- measures are those of the epoch whose weights were kept
SET client_min_messages = warning;
SELECT count(*) FROM lbrec_train('best', 'SELECT i % 20 AS user_id, to_timestamp(1100000000 + i * 60) AS listened_at, md5((i * i % 37)::text)::uuid AS recording_msid FROM generate_series(1::bigint, 900) AS i',
	epochs => 4, settings => '{"evaluate_every": 1, "refit": false, "temperature": 0.2, "ensemble": 1, "embedding_dim": 4}');
UPDATE lbrec.epoch SET loss = epoch, top_100 = epoch / 8.0 WHERE model = (SELECT max(id) FROM lbrec.model);
UPDATE lbrec.model SET config = jsonb_set(config, '{best_epoch}', '2') WHERE name = 'best';
SELECT epochs, loss, top_100 FROM lbrec_model_details WHERE name = 'best';
UPDATE lbrec.model SET config = jsonb_set(config, '{best_epoch}', '0') WHERE name = 'best';
SELECT epochs, loss, top_100 FROM lbrec_model_details WHERE name = 'best';
SELECT lbrec_drop_model('best');
RESET client_min_messages;
