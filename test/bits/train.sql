-- Models whose answers test/bits/answers.sql asks for: of each preset, and with
-- every kind of input that a tower takes.
\set ON_ERROR_STOP on
\set QUIET on
CREATE EXTENSION lbrec;
\ir ../sql/albums.inc
\set ECHO none
SET client_min_messages = warning;
CREATE VIEW featured AS
SELECT l.*, substr(l.recording_msid::text, 1, 2) AS artist_name, ('x' || substr(l.recording_msid::text, 1, 2))::bit(8)::integer * 0.7 AS tempo,
	substr(l.recording_msid::text, 1, 1) AS genre, ARRAY[substr(l.recording_msid::text, 2, 1), substr(l.recording_msid::text, 3, 1)] AS tags
FROM listen AS l;
SELECT count(*) > 0 AS trained FROM lbrec_train('mixed', epochs => 2, seed => 1);
SELECT count(*) > 0 AS trained FROM lbrec_train('clock', epochs => 2, seed => 2,
	settings => '{"hour_of_day": true, "day_of_week": true, "embedding_dim": 24}');
SELECT count(*) > 0 AS trained FROM lbrec_train('paper', 'SELECT * FROM featured', preset => 'paper', epochs => 2, seed => 3, layers => '{32,16}');
SELECT count(*) > 0 AS trained FROM lbrec_train('features', 'SELECT * FROM featured', epochs => 1, seed => 4, layers => '{24}',
	settings => '{"batch_by": "listens", "ensemble": 1}');
