--
-- Times: what is refused, and clocks that are wrong
--
\i test/sql/listens.inc

-- milliseconds in the place of seconds are refused wherever times are taken
CREATE TEMP VIEW milliseconds AS SELECT user_id, 1000 * extract(epoch FROM listened_at)::bigint AS listened_at, recording_msid FROM listen;
CREATE TEMP VIEW far AS SELECT user_id, to_timestamp(1000 * extract(epoch FROM listened_at)) AS listened_at, recording_msid FROM listen;
SELECT count(*) FROM lbrec_train('m', epochs => 1, split => 'none', settings => '{"ensemble": 1, "embedding_dim": 8}');
\set VERBOSITY terse
SELECT lbrec_train('never', 'SELECT * FROM milliseconds ORDER BY user_id');
SELECT lbrec_train('never', 'SELECT * FROM far ORDER BY user_id');
SELECT lbrec_train('never', 'SELECT 1 AS user_id, -300000000000 AS listened_at, recording_msid FROM listen');
SELECT lbrec_train('never', test_listens => 'SELECT * FROM milliseconds ORDER BY user_id');
SELECT lbrec_train('never', test_from => to_timestamp(1735689600000));
SELECT lbrec_evaluate('m', 'SELECT * FROM milliseconds ORDER BY user_id');
SELECT lbrec_evaluate('m', 'SELECT * FROM far ORDER BY user_id');
SELECT lbrec_recommend(1007, 3, 'm', listens => 'SELECT user_id + 1000 AS user_id, listened_at, recording_msid FROM milliseconds');
SELECT lbrec_recommend(1007, 3, 'm', listens => 'SELECT user_id + 1000 AS user_id, listened_at, recording_msid FROM far');
SELECT lbrec_recommend(7, 3, 'm', at => to_timestamp(1735689600000));
SELECT lbrec_score(7, ARRAY[md5('x')::uuid], 'm', at => timestamp '294276-12-31');
SELECT lbrec_user_embedding(7, 'm', at => to_timestamp(1735689600000));
\set VERBOSITY default
SELECT lbrec_train('never', 'SELECT user_id, 1735689600000 AS listened_at, recording_msid FROM listen');
SELECT lbrec_recommend(7, 3, 'm', at => to_timestamp(1735689600000));
-- the ends of what is accepted
SELECT count(*) FROM lbrec_train('ends', 'SELECT user_id, CASE WHEN user_id % 2 = 0 THEN timestamptz ''4714-11-24 00:00+00 BC'' ELSE timestamptz ''9999-12-31 23:59:59+00'' END AS listened_at, recording_msid FROM listen',
	epochs => 1, settings => '{"ensemble": 1, "embedding_dim": 8, "time_buckets": 10}');
SELECT count(*) FROM lbrec_recommend(7, 3, 'ends') UNION ALL SELECT count(*) FROM lbrec_recommend(7, 3, 'ends', at => 'infinity');

-- small integers are seconds, for a stranger, too
SELECT count(*) FROM lbrec_train('small', 'SELECT user_id, (extract(epoch FROM listened_at)::bigint % 30000)::smallint AS listened_at, recording_msid FROM listen', epochs => 1, settings => '{"ensemble": 1, "embedding_dim": 8}');
SELECT DISTINCT basis FROM lbrec_recommend(1007, 3, 'small', listens => 'SELECT user_id + 1000 AS user_id, (extract(epoch FROM listened_at)::bigint % 30000)::smallint AS listened_at, recording_msid FROM listen');
SELECT DISTINCT basis FROM lbrec_recommend(1007, 3, 'small', at => '1970-01-02', listens => 'SELECT user_id + 1000 AS user_id, (extract(epoch FROM listened_at)::bigint % 30000)::smallint AS listened_at, recording_msid FROM listen');

-- one listen of 2020 among those of 2005, or of 2099, does not rule what is popular
CREATE FUNCTION pg_temp.popular(year text) RETURNS uuid[] LANGUAGE plpgsql AS $$
BEGIN
	PERFORM lbrec_train('stray', format('SELECT * FROM listen UNION ALL SELECT 1, timestamptz ''%s-01-01'', md5(''stray'')::uuid', year), epochs => 1, split => 'none', settings => '{"ensemble": 1, "embedding_dim": 8}');
	RETURN (SELECT array_agg(recording_msid ORDER BY rank) FROM lbrec_recommend(99999, 5, 'stray'));
END $$;
SELECT y, pg_temp.popular(y) = (SELECT array_agg(recording_msid ORDER BY rank) FROM lbrec_recommend(99999, 5, 'm')) AS as_without
FROM unnest('{2007,2020,2099,9998}'::text[]) AS y;
DELETE FROM lbrec.model;
