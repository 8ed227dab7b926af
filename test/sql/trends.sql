--
-- Trends: what users find changes from month to month, and training knows
--
\set ECHO none
-- 200 users, each with listens in all of two years; in a month everybody plays
-- what is of that month or the one before, so nothing but time tells what a
-- user finds next
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.draw(text) RETURNS integer LANGUAGE sql AS
$$ SELECT (('x' || substr(md5($1), 1, 6))::bit(24))::integer $$;
CREATE TEMP TABLE play AS
SELECT u::bigint AS user_id, m AS month, n,
	greatest(m - pg_temp.draw(u || ' month ' || m || ' ' || n) % 2, 0) AS found,
	pg_temp.draw(u || ' which ' || m || ' ' || n) % 12 AS which
FROM generate_series(1, 200) AS u, generate_series(0, 23) AS m, generate_series(1, 2) AS n;
DROP TABLE IF EXISTS listen CASCADE;
CREATE TABLE listen AS
SELECT user_id, timestamptz '2005-01-01 00:00+00' + (30 * month + n) * interval '1 day' AS listened_at,
	md5(found || ' ' || which)::uuid AS recording_msid
FROM play;
CREATE TEMP TABLE month AS
SELECT DISTINCT md5(found || ' ' || which)::uuid AS recording_msid, found FROM play;
RESET client_min_messages;
\set ECHO all
SELECT count(*) > 0 AS trained FROM lbrec_train('m');
SELECT (config ->> 'trend')::float8 > 0 AS trend FROM lbrec.model WHERE name = 'm';

-- of ten recordings new to a user, most are of the last five months; of what a
-- model finds that does not look at time it is one in seven
SELECT avg((found >= 19)::int) > 0.7 AS recent
FROM generate_series(1, 200) AS u (user_id),
	LATERAL lbrec_recommend(u.user_id, 10, 'm', exclude_listened => true) AS r JOIN month USING (recording_msid);

-- what goes on with new listens keeps the trend, whether it is fitted again or not
SELECT count(*) > 0 AS trained FROM lbrec_train('first', 'SELECT * FROM listen WHERE listened_at < ''2006-08-01''', seed => 3);
SELECT count(*) > 0 AS trained FROM lbrec_train('same', 'SELECT * FROM listen WHERE listened_at >= ''2006-08-01''', start_from => 'first',
	epochs => 2, split => 'none', settings => '{"refit": false}');
SELECT count(*) > 0 AS trained FROM lbrec_train('again', 'SELECT * FROM listen WHERE listened_at >= ''2006-08-01''', start_from => 'first');
SELECT name, (config ->> 'trend')::float8 > 0 AS trend, name <> 'same' OR (config ->> 'trend') = (SELECT config ->> 'trend' FROM lbrec.model WHERE name = 'first') AS kept
FROM lbrec.model WHERE name IN ('first', 'same', 'again') ORDER BY 1;
SELECT name, avg((found >= 19)::int) > 0.7 AS recent
FROM unnest('{same,again}'::text[]) AS name, generate_series(1, 200) AS u (user_id),
	LATERAL lbrec_recommend(u.user_id, 10, name, exclude_listened => true) AS r JOIN month USING (recording_msid) GROUP BY 1 ORDER BY 1;
DELETE FROM lbrec.model;
DROP TABLE listen;
