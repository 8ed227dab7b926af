-- read.sql
--		From the cursor to encoded listens: rows a second of processor time.
--
-- A training run that holds everything out stops when all is read and numbered,
-- with an error of which we make sure that it is that one.  Beside it, what the
-- executor alone takes to give the same columns of the same rows.  One core; needs a superuser (for the processor time) and Linux.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET lbrec.threads = 1;

CREATE TEMP TABLE play AS
SELECT 1 + floor(20000 * power(random(), 2))::bigint AS user_id,
	to_timestamp(1600000000 + i * 5) AS listened_at,
	md5((1 + floor(500000 * power(random(), 3))::int)::text)::uuid
		AS recording_msid
FROM generate_series(1, 2500000) AS i;
CREATE TEMP TABLE play_with_text AS
SELECT user_id, listened_at, recording_msid,
	'artist ' || (uuid_hash_extended(recording_msid, 0) & 65535) AS artist_name
FROM play;
VACUUM ANALYZE play, play_with_text;

-- Seconds of the processor that this session has taken.
CREATE FUNCTION pg_temp.processor() RETURNS float8 LANGUAGE sql VOLATILE AS
$$SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::float8 / 1e9$$;

CREATE FUNCTION pg_temp.read_listens(query text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM lbrec_train('bench', query, split => 'time',
		test_from => '1900-01-01', activate => false);
	RAISE 'a training run without listens ended well';
EXCEPTION
	WHEN data_exception THEN
		IF SQLERRM <> 'too few listens to train on' THEN
			RAISE;
		END IF;
END $$;


-- The least of three, as rows a second.
CREATE FUNCTION pg_temp.rate(call text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	began float8;
	least float8 := 'infinity';
BEGIN
	FOR i IN 1 .. 3 LOOP
		began := pg_temp.processor();
		EXECUTE call;
		least := least(least, pg_temp.processor() - began);
	END LOOP;
	RETURN round((2500000 / least)::numeric, -4);
END $$;

-- Beside each the share of the executor's rate that it keeps.
SELECT what, rate AS rows_a_second, CASE WHEN what LIKE 'lbrec%' THEN
	round(rate::numeric / lag(rate) OVER (ORDER BY n), 2) END AS of_the_executor
FROM (SELECT n, what, pg_temp.rate(call) AS rate
	FROM (VALUES
		(1, 'executor alone: count of the columns',
			$$SELECT count(user_id), count(listened_at), count(recording_msid) FROM play$$),
		(2, 'lbrec, uuid keys', $$SELECT pg_temp.read_listens('TABLE play')$$),
		(3, 'executor alone, with a text column',
			$$SELECT count(user_id), count(listened_at), count(recording_msid), count(artist_name) FROM play_with_text$$),
		(4, 'lbrec, uuid keys and a text column',
			$$SELECT pg_temp.read_listens('TABLE play_with_text')$$)) AS x (n, what, call)
	ORDER BY n OFFSET 0) AS y
ORDER BY n;
