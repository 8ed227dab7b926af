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
CREATE TEMP TABLE listen AS
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

-- what goes on with new listens alone knows no trend, and says none
SELECT count(*) > 0 AS trained FROM lbrec_train('m', 'SELECT user_id, listened_at + interval ''1 year'' AS listened_at, recording_msid
	FROM listen WHERE user_id <= 20', start_from => 'm');
SELECT config ? 'trend' AS trend FROM lbrec.model WHERE name = 'm' ORDER BY version DESC LIMIT 1;
SELECT lbrec_drop_model('m') > 0 AS dropped;
