-- listens.sql
--		Invented listens of any size, from a seed.
--
--	psql -v table=big -v listens=20000000 -v users=100000 -v recordings=1000000 -f listens.sql
--
-- Users and recordings are drawn by power laws, each recording occurs if
-- there are listens enough, and an artist has some eight recordings.  Nobody
-- has a taste: good for measuring time and memory, not for quality.
-- Recordings and artists are there as numbers too, for the peers.
\set ON_ERROR_STOP 1
SELECT setseed(0.42);

CREATE TABLE :"table" (user_id bigint, listened_at timestamptz,
	recording_msid uuid, artist_name text, recording int, artist int);

INSERT INTO :"table"
SELECT u, to_timestamp(1600000000 + i * 5), md5(r::text)::uuid,
	'artist ' || a, r, a
FROM (SELECT i, u, r,
		1 + (r::bigint * 7919 % greatest(:recordings / 8, 1))::int AS a
	FROM (SELECT i,
			1 + floor(:users * power(random(), 2))::bigint AS u,
			CASE WHEN i * :recordings / :listens <>
				(i - 1) * :recordings / :listens
				THEN (i * :recordings / :listens)::int
				ELSE 1 + floor(:recordings * power(random(), 3))::int
			END AS r
		FROM generate_series(1, :listens::bigint) AS i
		OFFSET 0) AS x
	OFFSET 0) AS y;

VACUUM ANALYZE :"table";
