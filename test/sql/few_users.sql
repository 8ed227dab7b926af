--
-- One listener and a household: sessions are learnt from
--

-- Each session plays recordings of one mood; of a user's three moods each has
-- twenty recordings, the first ones most.  A session's times are 4 minutes
-- apart, sessions a day.
SET client_min_messages = warning;
DROP TABLE IF EXISTS listen CASCADE;
CREATE FUNCTION pg_temp.draw(text) RETURNS integer LANGUAGE sql AS
$$ SELECT (('x' || substr(md5($1), 1, 6))::bit(24))::integer $$;
CREATE TABLE listen AS
SELECT u::bigint AS user_id,
	timestamptz '2024-01-01 20:00+00' + s * interval '1 day' + n * interval '4 minutes' AS listened_at,
	md5('recording ' || (u + pg_temp.draw('mood ' || u || ' ' || s) % 3) % 5 * 20 + pg_temp.draw(u || ' ' || s || ' ' || n) % 20 * (pg_temp.draw(n || ' ' || s || ' ' || u) % 20) / 20)::uuid AS recording_msid
FROM generate_series(1, 4) AS u, generate_series(1, 200) AS s, generate_series(1, 8) AS n;
CREATE TABLE mood AS
SELECT md5('recording ' || i)::uuid AS recording_msid, i / 20 AS mood FROM generate_series(0, 99) AS i;
RESET client_min_messages;

-- one listener
SELECT count(*) > 0 AS trained FROM lbrec_train('one', 'SELECT * FROM listen WHERE user_id = 1 AND listened_at < ''2024-06-01''');
SELECT config::text LIKE '%"batch_by": "auto"%' AS auto FROM lbrec.model WHERE name = 'one';
-- recordings of one session belong together
SELECT avg((o.mood = m.mood)::int) > 0.9 AS same_mood
FROM mood AS m, LATERAL lbrec_similar(ARRAY[m.recording_msid], 5, model => 'one') AS s JOIN mood AS o USING (recording_msid)
WHERE m.recording_msid IN (SELECT recording_msid FROM listen WHERE user_id = 1 AND listened_at < '2024-06-01');
-- the next play, and the rest of the library
SELECT bool_and(m.recall >= b.recall - 0.02) AS as_good_as_the_blend
FROM lbrec_evaluate_next('2024-06-01', model => 'one', listens => 'SELECT * FROM listen WHERE user_id = 1', ks => '{5,10,20}') AS m
JOIN lbrec_evaluate_next('2024-06-01', model => 'one', listens => 'SELECT * FROM listen WHERE user_id = 1', ks => '{5,10,20}') AS b USING (k)
WHERE m.recommender = 'model' AND b.recommender = 'blend';

-- a household
SELECT count(*) > 0 AS trained FROM lbrec_train('four', 'SELECT * FROM listen WHERE listened_at < ''2024-06-01''');
SELECT bool_and(m.top_k_accuracy >= b.top_k_accuracy - 0.02) AS not_worse
FROM lbrec_evaluate('four', 'SELECT * FROM listen WHERE listened_at >= ''2024-06-01''', '{10,20}') AS m
JOIN lbrec_evaluate('four', 'SELECT * FROM listen WHERE listened_at >= ''2024-06-01''', '{10,20}') AS b USING (k)
WHERE m.recommender = 'model' AND b.recommender <> 'model';

-- batch_by is obeyed, with few users and with many
SELECT count(*) FROM lbrec_train('by_users', 'SELECT * FROM listen WHERE user_id = 1', epochs => 1, settings => '{"batch_by": "users"}');
SELECT count(*) FROM lbrec_train('by_sessions', epochs => 1, settings => '{"batch_by": "sessions", "ensemble": 1}');
SELECT count(*) FROM lbrec_train('by_sessions', epochs => 1, start_from => 'by_sessions');
-- without sessions there are users
SELECT count(*) FROM lbrec_train('apart', 'SELECT user_id, timestamptz ''2016-01-01'' + (listened_at - timestamptz ''2024-01-01'') * 10 AS listened_at, recording_msid FROM listen WHERE user_id = 1', epochs => 1);
-- one user whose listens are of one time
SELECT count(*) FROM lbrec_train('at_once', 'SELECT user_id, timestamptz ''2024-01-01'' AS listened_at, recording_msid FROM listen WHERE user_id = 1 AND listened_at < ''2024-02-01''', epochs => 1);
SELECT count(*) FROM lbrec_recommend(1, 3, 'at_once');
-- two listens of two recordings
SELECT count(*) > 0 AS trained FROM lbrec_train('two', 'SELECT 1 AS user_id, timestamptz ''2024-01-01'' + n * interval ''1 minute'' AS listened_at, lbrec_key(n) AS recording_msid FROM generate_series(1, 2) AS n');
SELECT count(*) FROM lbrec_recommend(1, 3, 'two');
DROP TABLE listen, mood;
SELECT count(lbrec_drop_model(name)) AS dropped FROM (SELECT DISTINCT name FROM lbrec.model) AS m;
