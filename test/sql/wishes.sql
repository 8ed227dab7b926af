--
-- Which recordings a list may have: the same in every call that makes lists
--

\i test/sql/listens.inc
SET client_min_messages = warning;	-- versions.sql tells of the default
SELECT count(*) > 0 AS trained FROM lbrec_train('m', 'SELECT l.*, artist_name FROM listen AS l JOIN recording USING (recording_msid)', epochs => 2);
CREATE TABLE named AS SELECT array_agg(md5('recording ' || i)::uuid) FILTER (WHERE i % 2 = 0) AS even, array_agg(md5('recording ' || i)::uuid) FILTER (WHERE i % 30 < 10) AS first_ten FROM generate_series(0, 89) AS i;

-- exclude: the list without them, and no other difference
SELECT count(*) = 10 AS full_list, bool_and(recording_msid <> ALL (even)) AS excluded FROM named, lbrec_recommend(3, 10, 'm', exclude => even);
SELECT (SELECT array_agg(recording_msid ORDER BY rank) FROM lbrec_recommend(3, 10, 'm', exclude => even)) =
	(SELECT (array_agg(recording_msid ORDER BY rank) FILTER (WHERE recording_msid <> ALL (even)))[:10] FROM lbrec_recommend(3, 90, 'm')) AS the_rest FROM named;
SELECT count(*) = 10 AS full_list, bool_and(recording_msid <> ALL (even)) AS excluded FROM named, lbrec_next(10, recent => ARRAY[md5('recording 3')::uuid], model => 'm', exclude => even);
SELECT count(*) AS nothing_left FROM named, lbrec_recommend(3, 10, 'm', exclude => even, candidates => even);
SELECT count(*) = 10 AS of_a_stranger, bool_and(recording_msid <> ALL (even)) AS excluded FROM named, lbrec_recommend(777, 10, 'm', exclude => even);
SELECT count(*) AS unknown_are_no_error FROM lbrec_recommend(3, 5, 'm', exclude => ARRAY[md5('nowhere')::uuid]);

-- lbrec_recommend_all has the lists of lbrec_recommend, strangers' too
CREATE FUNCTION pg_temp.alike(wishes text) RETURNS TABLE (alike boolean, rows boolean) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
	WITH every AS (SELECT * FROM lbrec_recommend_all(7, 'm', users => (SELECT array_agg(i) FROM generate_series(55, 65) AS i), %1$s)),
		one AS (SELECT u.i::bigint AS user_id, r.rank, r.recording_msid, r.score, r.basis FROM generate_series(55, 65) AS u (i), LATERAL lbrec_recommend(u.i, 7, 'm', %1$s) AS r)
	SELECT NOT EXISTS (TABLE every EXCEPT TABLE one) AND NOT EXISTS (TABLE one EXCEPT TABLE every), (SELECT count(*) > 0 FROM every)$q$, wishes);
END $$;
SELECT * FROM pg_temp.alike('exclude => (SELECT even FROM named)');
SELECT * FROM pg_temp.alike('candidates => (SELECT first_ten FROM named)');
SELECT * FROM pg_temp.alike($$filter => 'SELECT recording_msid FROM recording WHERE taste > 0'$$);
SELECT * FROM pg_temp.alike('min_listens => 20, max_listens => 60');
SELECT * FROM pg_temp.alike('per_artist => 1');
SELECT * FROM pg_temp.alike('diversity => 0.4');
SELECT * FROM pg_temp.alike('per_artist => 2, diversity => 0.2, exclude => (SELECT first_ten FROM named), min_listens => 2');
SELECT max(n) AS most_of_an_artist FROM (SELECT count(*) AS n FROM lbrec_recommend_all(7, 'm', per_artist => 2) JOIN recording USING (recording_msid) GROUP BY user_id, artist_name) AS x;
SELECT count(DISTINCT user_id) AS users FROM lbrec_recommend_all(7, 'm', candidates => (SELECT first_ten FROM named));
SELECT count(*) AS no_candidate FROM lbrec_recommend_all(7, 'm', candidates => '{}');

-- errors
SELECT lbrec_recommend_all(7, 'm', exclude => '{NULL}');
SELECT lbrec_recommend_all(7, 'm', diversity => 2);
SELECT lbrec_recommend_all(7, 'm', per_artist => 0);
SELECT lbrec_recommend_all(7, 'm', per_artist => 1, artist_column => 'label');
SELECT lbrec_recommend_all(7, 'm', filter => 'SELECT user_id FROM listen');

DELETE FROM lbrec.model;
DROP TABLE named;
