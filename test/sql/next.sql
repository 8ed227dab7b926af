--
-- lbrec_next and lbrec_evaluate_next: what comes after what was played
--
\set ECHO none
-- albums of ten tracks, played in order by users with three albums each
CREATE TEMP TABLE played AS
SELECT u AS user_id, to_timestamp(1700000000 + s * 86400 + i * 200) AS listened_at,
	lbrec_key((u + s * 7) % 3 * 10 + u % 4 * 30 + i) AS recording_msid
FROM generate_series(1, 40) AS u, generate_series(0, 11) AS s, generate_series(0, 9) AS i;
SET client_min_messages = warning;
DROP TABLE IF EXISTS listen, recording, catalogue CASCADE;
RESET client_min_messages;
CREATE TABLE listen AS SELECT * FROM played;
CREATE INDEX ON listen (user_id, listened_at);
SET lbrec.threads = 2;
\set ECHO all
SELECT count(*) > 0 AS trained FROM lbrec_train('n', epochs => 6, settings => '{"embedding_dim": 16, "ensemble": 2}');
-- the next track of an album follows its last, for an anonymous session too
SELECT t, lbrec_key_bigint(recording_msid) AS next
FROM unnest('{0,4,33,61}'::bigint[]) AS t, lbrec_next(1, ARRAY[lbrec_key(t)]) ORDER BY t;
-- the order of recent plays counts
SELECT (SELECT lbrec_key_bigint(recording_msid) FROM lbrec_next(1, ARRAY[lbrec_key(3), lbrec_key(4)])) AS forwards,
	(SELECT lbrec_key_bigint(recording_msid) FROM lbrec_next(1, ARRAY[lbrec_key(4), lbrec_key(3)])) <> 5 AS backwards;
-- shorter lists are the beginnings of longer ones, scores descend
WITH long AS (SELECT * FROM lbrec_next(120, user_id => 7)),
short AS (SELECT k, r.* FROM generate_series(1, 120, 17) AS k, lbrec_next(k, user_id => 7) AS r)
SELECT (SELECT count(*) FROM long) AS recordings,
	(SELECT bool_and(s.recording_msid = l.recording_msid AND s.score = l.score) FROM short AS s JOIN long AS l USING (rank)) AS prefixes,
	(SELECT bool_and(score >= next) FROM (SELECT score, lead(score, 1, score) OVER (ORDER BY rank) AS next FROM long) AS o) AS descend;
-- a filter leaves the others' order and scores
WITH long AS (SELECT * FROM lbrec_next(120, user_id => 7)),
few AS (SELECT array_agg(recording_msid) AS a FROM long WHERE rank % 3 = 0)
SELECT bool_and(l.score = f.score) AS scores, bool_and(f.rank = (l.rank / 3)) AS ranks, count(*)
FROM few, lbrec_next(120, user_id => 7, candidates => few.a) AS f JOIN long AS l USING (recording_msid);
-- every score of a list, and of those left out of a short one, as it comes out
-- when each recording is scored by itself: the sum of what explains it
CREATE TEMP TABLE asked (what text, recent uuid[], user_id bigint, at timestamptz);
INSERT INTO asked VALUES ('user', NULL, 7, '2023-12-02'), ('user in a session', NULL, 7, (SELECT max(listened_at) FROM listen WHERE user_id = 7)),
	('session', ARRAY[lbrec_key(3), lbrec_key(4)], NULL, '2023-12-02'), ('both', ARRAY[lbrec_key(3), lbrec_key(3), lbrec_key(99999)], 11, '2023-11-20'),
	('stranger', ARRAY[lbrec_key(50)], 99999, '2023-12-02'), ('nobody', NULL, 99999, '2023-12-02');
CREATE TEMP TABLE plain AS
SELECT a.what, t.recording_msid, (SELECT sum(value) FROM lbrec_explain_next(t.recording_msid, a.recent, a.user_id, model => 'n', at => a.at)) AS score
FROM asked AS a, (SELECT DISTINCT recording_msid FROM listen) AS t;
SELECT a.what, count(*) FILTER (WHERE abs(n.score - p.score) <= 1e-5 * (1 + abs(p.score))) AS add_up,
	count(*) FILTER (WHERE n.rank <= 9 AND (SELECT count(*) FROM plain AS o WHERE o.what = p.what AND o.score > p.score + 1e-5 * (1 + abs(p.score))) < n.rank) AS places
FROM asked AS a, lbrec_next(9, a.recent, a.user_id, model => 'n', at => a.at) AS n JOIN plain AS p USING (recording_msid) WHERE p.what = a.what GROUP BY 1 ORDER BY 1;
SELECT a.what, count(*) FILTER (WHERE abs(n.score - p.score) <= 1e-5 * (1 + abs(p.score))) AS add_up
FROM asked AS a, lbrec_next(120, a.recent, a.user_id, model => 'n', at => a.at) AS n JOIN plain AS p USING (recording_msid) WHERE p.what = a.what GROUP BY 1 ORDER BY 1;
-- what explains: the next track follows the last plays; plays of one's own, and
-- their neighbours, are named
SELECT part, lbrec_key_bigint(because) AS because, value > 0 AS raises
FROM lbrec_explain_next(lbrec_key(5), ARRAY[lbrec_key(3), lbrec_key(4)], model => 'n') WHERE part LIKE 'follow%' ORDER BY part;
SELECT count(*) > 0 AS any, bool_and(because IN (SELECT recording_msid FROM listen WHERE user_id = 7)) AS own
FROM lbrec_explain_next((SELECT recording_msid FROM lbrec_next(1, user_id => 7, model => 'n')), user_id => 7, model => 'n') WHERE part IN ('near', 'beside', 'recency');
SELECT part, because FROM lbrec_explain_next(lbrec_key(5), user_id => 99999, model => 'n');
SELECT count(*) FROM lbrec_explain_next(NULL, ARRAY[lbrec_key(4)], model => 'n');
SELECT count(*) FROM lbrec_explain_next(lbrec_key(99999), ARRAY[lbrec_key(4)], model => 'n');
SELECT * FROM lbrec_explain_next(lbrec_key(5));
-- listens hidden by row security do not count
CREATE ROLE regress_lbrec_next;
GRANT USAGE ON SCHEMA lbrec TO regress_lbrec_next;
GRANT SELECT ON lbrec.model, lbrec.tensor, listen, asked TO regress_lbrec_next;
ALTER TABLE listen ENABLE ROW LEVEL SECURITY;
CREATE POLICY early ON listen USING (listened_at < '2023-11-18');
CREATE TEMP TABLE hidden AS SELECT * FROM lbrec_next(10, user_id => 7, model => 'n', at => '2023-12-02');
CREATE TEMP TABLE shown AS SELECT * FROM lbrec_next(10, user_id => 7, model => 'n', at => '2023-12-02', listens => 'SELECT * FROM listen WHERE listened_at < ''2023-11-18''');
GRANT SELECT ON hidden, shown TO regress_lbrec_next;
SET ROLE regress_lbrec_next;
SELECT count(s) AS as_shown, count(h) < 10 AS but_not_all
FROM lbrec_next(10, user_id => 7, model => 'n', at => '2023-12-02') AS n LEFT JOIN shown AS s USING (rank, recording_msid, score) LEFT JOIN hidden AS h USING (rank, recording_msid, score);
SELECT listens_evaluated FROM lbrec_evaluate_next('2023-11-17', model => 'n', ks => '{1}') WHERE recommender = 'model';
RESET ROLE;
DROP POLICY early ON listen;
ALTER TABLE listen DISABLE ROW LEVEL SECURITY;
DROP OWNED BY regress_lbrec_next;
DROP ROLE regress_lbrec_next;
-- a new play counts at once, and no longer after a rollback
CREATE TEMP TABLE before AS SELECT * FROM lbrec_next(10, user_id => 7);
BEGIN;
INSERT INTO listen SELECT 7, now(), lbrec_key(31);
SELECT lbrec_key_bigint(recording_msid) AS next FROM lbrec_next(1, user_id => 7);
ROLLBACK;
SELECT count(*) = 10 AS as_before FROM before JOIN lbrec_next(10, user_id => 7) AS n USING (rank, recording_msid, score);
-- a time in the past reproduces the past: later listens do not count
SELECT count(*) AS same
FROM lbrec_next(10, user_id => 7, at => '2023-11-20 12:00+00') AS a
JOIN lbrec_next(10, user_id => 7, at => '2023-11-20 12:00+00',
	listens => 'SELECT * FROM listen WHERE listened_at <= ''2023-11-20 12:00+00''') AS b USING (rank, recording_msid, score);
-- a recent play that the listens have already counts once
SELECT count(*) AS same FROM
	lbrec_next(10, ARRAY[(SELECT recording_msid FROM listen WHERE user_id = 7 ORDER BY listened_at DESC LIMIT 1)], 7,
		at => (SELECT max(listened_at) FROM listen WHERE user_id = 7)) AS a
JOIN lbrec_next(10, user_id => 7, at => (SELECT max(listened_at) FROM listen WHERE user_id = 7)) AS b USING (rank, recording_msid);
-- the filters of lbrec_recommend
SELECT count(*) AS not_heard FROM lbrec_next(200, user_id => 7, exclude_listened => true) AS n
WHERE n.recording_msid IN (SELECT recording_msid FROM listen WHERE user_id = 7);
SELECT * FROM lbrec_next(3);
SELECT * FROM lbrec_next(0, ARRAY[lbrec_key(1)]);
SELECT count(*) FROM lbrec_next(3, ARRAY[]::uuid[]);
SELECT count(*) FROM lbrec_next(3, ARRAY['00000000-0000-0000-0000-000000000001'::uuid]);
SELECT count(*) FROM lbrec_next(3, user_id => 99999);
-- for a user without listens, the popular recordings
SELECT count(*) AS popular FROM lbrec_next(5, user_id => 99999) AS n JOIN lbrec_recommend(99999, 5) AS r USING (rank, recording_msid, score);
-- a model without parts has its towers, and what the user repeats
SELECT count(*) > 0 AS trained FROM lbrec_train('paper', 'SELECT *, ''a'' AS artist_name FROM listen', preset => 'paper', split => 'none', epochs => 2);
SELECT count(*) FROM lbrec_next(5, user_id => 7, model => 'paper');
SELECT count(*) FILTER (WHERE abs(n.score - (SELECT sum(value) FROM lbrec_explain_next(n.recording_msid, user_id => 7, model => 'paper'))) <= 1e-5 * (1 + abs(n.score))) AS add_up
FROM lbrec_next(120, user_id => 7, model => 'paper') AS n;
-- each listen of the last days, ranked just before it: albums are foretold
SELECT recommender, k, recall >= 0.8 AS foretold, new_listens >= 0 AS counted, listens_evaluated
FROM lbrec_evaluate_next('2023-11-25 00:00+00', model => 'n', ks => '{3}') WHERE recommender IN ('model', 'last_to_next')
ORDER BY recommender;
SELECT e.k, e.recall = lbrec.figure(h.hits / e.listens_evaluated) AS agrees
FROM lbrec_evaluate_next('2023-11-25 12:00+00', model => 'n', ks => '{1,5}') AS e,
	LATERAL (SELECT count(*)::float8 AS hits FROM listen AS l WHERE l.listened_at >= '2023-11-25 12:00+00'
		AND EXISTS (SELECT FROM lbrec_next(e.k, user_id => l.user_id, model => 'n', at => l.listened_at,
			listens => format('SELECT * FROM listen WHERE listened_at < %L', l.listened_at)) AS n WHERE n.recording_msid = l.recording_msid)) AS h
WHERE e.recommender = 'model' ORDER BY k;
SELECT * FROM lbrec_evaluate_next(NULL);
SELECT * FROM lbrec_evaluate_next('2023-11-25', ks => '{0}');
SELECT recall, mrr, listens_evaluated FROM lbrec_evaluate_next('2033-11-25', ks => '{1}') WHERE recommender = 'model';
DROP TABLE listen;
SELECT lbrec_drop_model('n'), lbrec_drop_model('paper');
