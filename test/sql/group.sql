--
-- lbrec_recommend_group: the mean of the users' scores, exactly
--
\set VERBOSITY terse
\i test/sql/listens.inc
SELECT count(*) FROM lbrec_train('m', 'SELECT user_id, listened_at, recording_msid, artist_name
	FROM listen JOIN recording USING (recording_msid)', epochs => 3);
-- users 7 and 9 are known; 1000 has listens that were not trained on; of 2000
-- nothing is known
CREATE TEMP TABLE later AS SELECT * FROM listen UNION ALL SELECT 1000, listened_at, recording_msid FROM listen WHERE user_id = 8;
CREATE TEMP TABLE expected AS
SELECT users, recording_msid, avg(score::float8)::real AS score
FROM (VALUES ('{7,9}'::bigint[]), ('{7}'), ('{7,9,1000}')) AS g (users), unnest(users) AS u,
	(SELECT array_agg(DISTINCT recording_msid) AS keys FROM listen) AS k,
	unnest(k.keys, lbrec_score(u, k.keys, 'm', listens => 'later')) AS s (recording_msid, score) GROUP BY 1, 2;
-- all recordings have the mean, in its order
SELECT g.users, count(*) = (SELECT n_recordings FROM lbrec_models) AS all, bool_and(r.score = e.score) AS mean,
	bool_and(r.score <= before) IS NOT FALSE AS in_order, min(r.basis) AS basis, max(r.basis) = min(r.basis) AS one_basis
FROM (SELECT DISTINCT users FROM expected) AS g,
	LATERAL (SELECT *, lag(score) OVER (ORDER BY rank) AS before FROM lbrec_recommend_group(g.users, 1000, 'm', listens => 'later')) AS r
	JOIN expected AS e USING (recording_msid) WHERE e.users = g.users GROUP BY 1 ORDER BY 1;
-- one user's list is the user's
SELECT count(*), bool_and(g.recording_msid = r.recording_msid AND g.score = r.score)
FROM lbrec_recommend_group('{7}', 20, 'm') AS g JOIN lbrec_recommend(7, 20, 'm') AS r USING (rank);
-- each user counts once, in any order; nulls and unknown users without listens do not
SELECT count(*), bool_and(a.recording_msid = b.recording_msid AND a.score = b.score), min(b.basis)
FROM lbrec_recommend_group('{7,9}', 20, 'm') AS a JOIN lbrec_recommend_group('{NULL,9,2000,7,9}', 20, 'm') AS b USING (rank);
-- no user has listens: popular recordings
SELECT count(*), bool_and(g.recording_msid = r.recording_msid AND g.score = r.score), min(g.basis)
FROM lbrec_recommend_group('{2000,2001}', 20, 'm') AS g JOIN lbrec_recommend(2000, 20, 'm') AS r USING (rank);
-- conditions: the list is what is left of that of all
CREATE TEMP TABLE everything AS SELECT *, row_number() OVER (ORDER BY recording_msid) AS n FROM lbrec_recommend_group('{7,9}', 1000, 'm');
CREATE FUNCTION pg_temp.same(wishes text, left_over text, OUT any_left boolean, OUT same boolean) LANGUAGE plpgsql AS
$$
DECLARE
	list text;
	wanted text;
BEGIN
	EXECUTE format('SELECT string_agg(recording_msid || '' '' || score, '','' ORDER BY rank) FROM lbrec_recommend_group(''{7,9}'', 10, ''m'', %s)', wishes) INTO list;
	EXECUTE format('SELECT string_agg(recording_msid || '' '' || score, '','' ORDER BY rank) FROM (SELECT * FROM everything WHERE %s ORDER BY rank LIMIT 10) AS e', left_over) INTO wanted;
	any_left := list IS NOT NULL;
	same := list IS NOT DISTINCT FROM wanted;
END $$;
SELECT name, s.* FROM (VALUES
	('candidates', 'candidates => (SELECT array_agg(recording_msid) FROM everything WHERE n % 5 = 0)', 'n % 5 = 0'),
	('exclude', 'exclude => (SELECT array_agg(recording_msid) FROM everything WHERE n % 5 > 0)', 'n % 5 = 0'),
	('exclude_listened', 'exclude_listened => true', 'recording_msid NOT IN (SELECT recording_msid FROM listen WHERE user_id IN (7, 9))'),
	('filter', 'filter => ''SELECT recording_msid FROM recording WHERE taste = 0''', 'recording_msid IN (SELECT recording_msid FROM recording WHERE taste = 0)'),
	('max_listens', 'max_listens => 20', 'recording_msid IN (SELECT recording_msid FROM listen GROUP BY 1 HAVING count(*) <= 20)'),
	('per_artist', 'per_artist => 1', 'recording_msid IN (SELECT DISTINCT ON (artist_name) recording_msid FROM everything JOIN recording USING (recording_msid) ORDER BY artist_name, rank)'),
	('nothing', 'candidates => ''{}''', 'false')) AS c (name, wishes, left_over), LATERAL pg_temp.same(wishes, left_over) AS s ORDER BY 1;
SELECT count(*), bool_and(r.recording_msid = e.recording_msid) AS undiverse FROM lbrec_recommend_group('{7,9}', 10, 'm', diversity => 0.9) AS r JOIN everything AS e USING (rank);
-- no users
SELECT count(*) FROM lbrec_recommend_group(NULL, 10, 'm');
SELECT count(*) FROM lbrec_recommend_group('{}', 10, 'm');
SELECT count(*) FROM lbrec_recommend_group('{NULL}', 10, 'm');
SELECT * FROM lbrec_recommend_group('{7}', 0, 'm');
SELECT * FROM lbrec_recommend_group('{7}', 10, 'm', exclude => ARRAY[NULL::uuid]);
SELECT lbrec_drop_model('m');
