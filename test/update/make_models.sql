-- Models as a release writes them, small, with what they answer.
--
--		createdb made && psql -X -d made -f test/update/make_models.sql
--		pg_dump --no-owner --no-comments -d made | grep -v '^\\.*restrict ' >test/update/models-VERSION.sql
--
-- with the release installed.  test/t/017_update.pl restores the dump into
-- later versions and asks again: what is stored must be served for good, so
-- the files of old releases are never made anew.
\set ON_ERROR_STOP on
CREATE EXTENSION lbrec;

-- Thirty users in three groups, each of which plays ten recordings of its own.
CREATE TABLE listen AS
SELECT u::bigint AS user_id,
	timestamptz '2005-02-01 00:00+00'
		+ (hashint8(u * 1000 + n) & 65535) * interval '1 minute' AS listened_at,
	md5('recording ' || u % 3 * 10 + (hashint8(n * 1000 + u) & 65535) % 10)::uuid
		AS recording_msid,
	'artist ' || u % 3 * 2 + (hashint8(n * 1000 + u) & 65535) % 10 / 5 AS artist_name,
	ARRAY['tag ' || n % 3, 'tag ' || n % 4] AS tags,
	(1960 + n)::double precision AS year
FROM generate_series(1, 30) AS u, generate_series(1, 12) AS n;

SELECT count(*) FROM lbrec_train('paper', 'SELECT user_id, listened_at, recording_msid, artist_name FROM listen',
	preset => 'paper', epochs => 2, layers => '{6,4}', settings => '{"embedding_dim": 4, "time_buckets": 5}');
SELECT count(*) FROM lbrec_train('default', 'SELECT user_id, listened_at, recording_msid FROM listen',
	epochs => 2, settings => '{"embedding_dim": 4}');
SELECT count(*) FROM lbrec_train('default', 'SELECT user_id, listened_at, recording_msid FROM listen',
	epochs => 1, settings => '{"embedding_dim": 2, "ensemble": 2}', activate => false);
SELECT count(*) FROM lbrec_train('features', 'SELECT user_id, listened_at, recording_msid, artist_name, tags, year FROM listen',
	epochs => 2, layers => '{4}', user_features => '{tags}',
	settings => '{"embedding_dim": 4, "ensemble": 1, "user_embedding": true, "hour_of_day": true, "day_of_week": true, "history_length": 4,
		"hash_buckets": 3, "min_listens": 6, "bucketize": ["year"], "l2_normalize": true, "temperature": 0.2}');
SELECT lbrec_activate('default', 1);

CREATE TABLE answer AS
SELECT m.model, 'recommend' AS call, u AS user_id, r.rank, r.recording_msid, r.score
FROM unnest('{paper,default,features}'::text[]) AS m (model), generate_series(1, 4) AS u,
	LATERAL lbrec_recommend(u, 5, m.model, at => '2005-03-01 12:00+00') AS r
UNION ALL
SELECT m.model, 'similar', NULL, r.rank, r.recording_msid, r.score
FROM unnest('{paper,default,features}'::text[]) AS m (model),
	LATERAL lbrec_similar(ARRAY[md5('recording 1')::uuid], 5, m.model) AS r
UNION ALL
SELECT NULL, 'recommend', 1, r.rank, r.recording_msid, r.score
FROM lbrec_recommend(1, 5, at => '2005-03-01 12:00+00') AS r;
