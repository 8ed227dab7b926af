-- Which kernels run; the sets differ from machine to machine.
SELECT count(*) > 1 AS sets, count(*) FILTER (WHERE in_use) AS in_use,
	bool_and(usable) FILTER (WHERE in_use) AS usable_if_used,
	bool_and(usable = (problem IS NULL)) AS problem_if_not,
	count(*) FILTER (WHERE kernels = 'portable' AND usable) AS portable
FROM lbrec_cpu();
-- the suite runs with the set that its caller names, if any
\set wanted `echo $LBREC_CPU`
SELECT count(*) AS asked_for_another FROM lbrec_cpu() WHERE in_use AND :'wanted' NOT IN ('', kernels);
-- the set with a library names it
SELECT bool_and(library IS NULL AND version IS NULL AND core IS NULL) AS none
FROM lbrec_cpu() WHERE kernels <> 'blas';
SELECT bool_and(library ~ '/libopenblasp' AND version ~ '^\d+\.\d+' AND core <> '') IS NOT FALSE AS told
FROM lbrec_cpu() WHERE kernels = 'blas' AND usable;
-- a set is chosen by its name
SET lbrec.cpu = 'portable';
SELECT kernels FROM lbrec_cpu() WHERE in_use;
SET lbrec.cpu = 'auto';
SELECT kernels = (SELECT kernels FROM lbrec_cpu() WHERE usable LIMIT 1) AS best FROM lbrec_cpu() WHERE in_use;
\set VERBOSITY terse
SET lbrec.cpu = 'amiga';
\set VERBOSITY default
-- each set that is usable can be set, and no other
DO $$
DECLARE
	s record;
	refused boolean;
BEGIN
	FOR s IN SELECT kernels, usable FROM lbrec_cpu() LOOP
		refused := false;
		BEGIN
			PERFORM set_config('lbrec.cpu', s.kernels, false);
		EXCEPTION WHEN invalid_parameter_value THEN
			refused := true;
		END;
		IF refused = s.usable THEN
			RAISE EXCEPTION '% is usable: %, refused: %', s.kernels, s.usable, refused;
		END IF;
		IF NOT refused AND (SELECT kernels FROM lbrec_cpu() WHERE in_use) <> s.kernels THEN
			RAISE EXCEPTION '% is not in use', s.kernels;
		END IF;
	END LOOP;
END $$;
RESET lbrec.cpu;
-- and all give the same recommendations, to the last bit of each score
SET client_min_messages = warning;
DROP TABLE IF EXISTS listen, recording, catalogue CASCADE;
RESET client_min_messages;
CREATE TABLE listen (user_id bigint, listened_at timestamptz, recording_msid uuid);
INSERT INTO listen
SELECT u, timestamptz '2020-01-01' + make_interval(hours => i * 5 + u),
	lbrec_key((u * 7 + i * i * 3 + i * (u % 5)) % 700)
FROM generate_series(1, 60) AS u, generate_series(1, 60) AS i;
SELECT count(*) > 0 AS trained FROM lbrec_train('m', epochs => 1, seed => 1);
SET client_min_messages = warning;
CREATE TEMP TABLE given (kernels text, users bigint, lists text, one text, unknown text, scores text, ranks text);
DO $$
DECLARE
	s record;
BEGIN
	FOR s IN SELECT kernels FROM lbrec_cpu() WHERE usable LOOP
		PERFORM set_config('lbrec.cpu', s.kernels, false);
		INSERT INTO given SELECT s.kernels,
			(SELECT count(DISTINCT user_id) FROM lbrec_recommend_all(20, model => 'm')),
			(SELECT string_agg(r::text, ' ' ORDER BY user_id, rank) FROM lbrec_recommend_all(20, model => 'm') AS r),
			(SELECT string_agg(r::text, ' ' ORDER BY rank) FROM lbrec_recommend(7, 300, model => 'm') AS r),
			(SELECT string_agg(r::text, ' ' ORDER BY rank) FROM lbrec_recommend(7777, 20, model => 'm',
				listens => 'SELECT 7777 AS user_id, listened_at, recording_msid FROM listen WHERE user_id IN (3, 4)') AS r),
			(SELECT string_agg(lbrec_user_embedding(u, model => 'm')::text, ' ' ORDER BY u) FROM generate_series(1, 60) AS u),
			(SELECT string_agg(e::text, ' ' ORDER BY e::text) FROM lbrec_evaluate(model => 'm', listens => 'SELECT * FROM listen WHERE user_id < 9') AS e);
	END LOOP;
END $$;
SELECT count(*) > 1 AS several, min(users) AS users, count(DISTINCT lists) AS lists, count(DISTINCT one) AS one,
	count(DISTINCT unknown) AS unknown, count(DISTINCT scores) AS scores, count(DISTINCT ranks) AS ranks,
	bool_and(length(unknown) > 100) AS known
FROM given;
RESET lbrec.cpu;
DROP TABLE listen;
SELECT lbrec_drop_model('m');
