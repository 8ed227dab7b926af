--
-- lbrec_explain: its values add up to the score
--

\i test/sql/albums.inc
SET client_min_messages = warning;	-- versions.sql tells of the default

SELECT count(*) > 0 AS trained FROM lbrec_train('m');
-- neighbours: half an album brings the other half
CREATE TEMP TABLE half AS
SELECT 2000 AS user_id, timestamptz '2005-03-01' + n * interval '4 minutes' AS listened_at, pg_temp.track(7, n) AS recording_msid
FROM generate_series(1, 3) AS n;

-- explanations add up to the score, for every user and model
CREATE TEMP VIEW explained AS
SELECT m.name, u.user_id, c.recording_msid, (lbrec_score(u.user_id, ARRAY[c.recording_msid], m.name, listens => 'half'))[1] AS score,
	e.value, e.n, e.parts
FROM lbrec.model AS m, unnest('{1,2,3,2000,3000}'::bigint[]) AS u (user_id), (SELECT * FROM catalogue ORDER BY 1 LIMIT 10) AS c,
	LATERAL (SELECT sum(value) AS value, count(*) AS n, array_agg(DISTINCT part) AS parts
		FROM lbrec_explain(u.user_id, c.recording_msid, m.name, listens => 'half')) AS e;
SELECT count(score) AS pairs, count(*) FILTER (WHERE abs(value - score) <= 1e-6 * abs(score)) AS add_up,
	(SELECT array_agg(DISTINCT p ORDER BY p) FROM explained, unnest(parts) AS p) AS parts
FROM explained;
SELECT part, count(*) FROM lbrec_explain(2000, pg_temp.track(7, 4), 'm', listens => 'half') GROUP BY part ORDER BY part;
SELECT bool_and(because IN (SELECT recording_msid FROM half)) AS by_what_was_played, bool_and(value > 0) FILTER (WHERE part = 'neighbour') AS neighbours_lift
FROM lbrec_explain(2000, pg_temp.track(7, 4), 'm', listens => 'half');
SELECT count(*) FROM lbrec_explain(1, md5('nothing')::uuid, 'm');
SELECT count(*) FROM lbrec_explain(NULL, NULL);

-- models without some parts, and of few listens
SELECT count(*) FROM lbrec_train('plain', settings => '{"neighbours": 0, "repeat_power": 0}', epochs => 2);
SELECT count(*) FROM lbrec_train('own', settings => '{"neighbours": 0}', epochs => 2);
SELECT count(*) FROM lbrec_train('near', settings => '{"repeat_power": 0}', epochs => 2);
SELECT count(*) > 0 AS trained FROM lbrec_train('none', split => 'none');
SELECT count(*) > 0 AS trained FROM lbrec_train('tiny',
	$$SELECT * FROM listen WHERE user_id < 3 AND listened_at < '2005-02-05'$$);

-- explained all the same: other inputs, layers, models without those parts
SELECT count(*) FROM lbrec_train('layers', layers => '{8}', settings => '{"time_buckets": 10}', epochs => 1);
SELECT count(*) FROM lbrec_train('inputs', settings => '{"user_embedding": true, "hour_of_day": true}', epochs => 1);
SELECT name, count(score) AS pairs, count(*) FILTER (WHERE abs(value - score) <= 1e-6 * abs(score)) AS add_up,
	(SELECT array_agg(DISTINCT p ORDER BY p) FROM explained AS e, unnest(parts) AS p WHERE e.name = o.name) AS parts
FROM explained AS o GROUP BY name ORDER BY name;

DELETE FROM lbrec.model;
