#!/bin/sh
#
# run.sh
#		Measures serving under load, beside others, on a server of its own.
#
#	sh test/bench/serve/run.sh [--keep] [PART...]
#
# Each part can be run alone.  warm (one session, and the first query of a new
# one, with and without an image at hand), calls (what
# filters and other calls cost), load (pgbench with 1 to 32 clients while a
# training run activates new versions again and again; each answer is
# checked), wishes (lbrec_recommend with every wish at once, default preset, 1,
# 8 and 32 clients, beside the same without wishes), peers.  All by default.  Settings, from the environment:
#
#	SIZES		candidates, "518540 2000000"; calls and peers for the first
#	CLIENTS		"1 2 4 8 16 32"
#	SECONDS_EACH	of a line of load, 10
#	EPOCHS		of the model that is asked, 3
#	SETS		vectors for the peers: "trained random"
#	GRAPHS		no: without HNSW indexes, which take many minutes to build
#	PGVECTOR_SOURCE	a source tree of pgvector, built into the server's copy
#				where the extension is not installed
#	FAISS_PYTHON	a Python with numpy and faiss
#	TFRS_PYTHON	a Python with numpy, tensorflow and tensorflow_recommenders
#
# A missing peer is skipped with a message.  On a machine that others use,
# compare the CPU times: wall times include waiting for the others.
#
# The right answers: the training run writes, in the transaction of each
# version, the answers of that version, computed without the shared image.
# A client's statement compares its answer with the right one of the version
# that its own snapshot sees as active.  So an answer mixed from two versions
# counts as wrong, and so does a complete one of another version.  Before the
# load, two spoiled variants of the statement show that the check can fail.

. "$(dirname "$0")/../../lib.sh"
here=$top/test/bench/serve

sizes=${SIZES:-518540 2000000}
clients=${CLIENTS:-1 2 4 8 16 32}
seconds=${SECONDS_EACH:-10}
sets=${SETS:-trained random}
graphs=yes
[ "${GRAPHS:-}" != no ] || graphs=
parts=
for arg in "$@"; do
	case $arg in
	--keep) keep=yes ;;
	warm | calls | load | wishes | peers) parts="$parts $arg" ;;
	*) show_help ;;
	esac
done
[ -n "$parts" ] || parts='warm calls load wishes peers'

# sql TEXT [OPTION...]: what psql answers, bare.
sql()
{
	text=$1
	shift
	as psql -XAtq -v ON_ERROR_STOP=1 -c 'SET client_min_messages = warning' -c "$text" "$@" || die "failed: $text"
}

load() { cut -d ' ' -f 1 /proc/loadavg; }

# --- the server and its data ----------------------------------------------

# shellcheck disable=SC2046,SC2086
install_packages $build_packages $(packages_for_server) || exit 2
make_place
must build make -s -j"$jobs" all make-dump PG_CONFIG="$PG_CONFIG"
must install make -s install PG_CONFIG="$PG_CONFIG"
has_vector=
control=$("$PG_CONFIG" --sharedir)/extension/vector.control
if wanted peers; then
	if [ ! -e "$control" ] && [ -n "${PGVECTOR_SOURCE:-}" ]; then
		as mkdir "$work/pgvector"
		tar -C "$PGVECTOR_SOURCE" --exclude=./.git --exclude='*.o' -cf - . |
			as tar -C "$work/pgvector" --no-same-owner -xf -
		must pgvector sh -c "cd '$work/pgvector' && make -s clean && make -s -j$jobs && make -s install"
	fi
	[ ! -e "$control" ] || has_vector=$(sed -n "s/default_version = '\(.*\)'/\1/p" "$control")
fi

as mkdir -m 700 "$work/run"
must initdb initdb -D "$work/data" -A trust -E UTF8 --locale=C.UTF-8 --no-sync
# fsync off: this measures reading; writes are those of the training run
as tee -a "$work/data/postgresql.conf" >/dev/null <<-EOT
	listen_addresses = ''
	unix_socket_directories = '$work/run'
	shared_buffers = 512MB
	work_mem = 128MB
	maintenance_work_mem = 2GB
	fsync = off
	synchronous_commit = off
	wal_level = minimal
	max_wal_senders = 0
	max_wal_size = 8GB
	autovacuum = off
EOT
must start pg_ctl -D "$work/data" -l "$work/log/server" -w start
PGHOST=$work/run
export PGHOST

say "lbrec serving: $("$PG_CONFIG" --version), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $jobs processors, load $(load), $(date -u +%F)"

# Scores are a plain dot product: towers without layers, no term for repeats.
model_settings='"embedding_dim": 32, "ensemble": 1, "repeat_power": 0, "neighbours": 0, "refit": false, "temperature": 0.1'
model_options="split => 'none', settings => '{$model_settings}'"

# prepare SIZE: a database with listens, and the model "trained"
prepare()
{
	n=$1
	PGDATABASE=bench_$n
	export PGDATABASE
	as createdb "$PGDATABASE"
	# as many listens a recording as the preprint's data have
	must dump build/make_dump -o "$work/dump.tar.zst" --recordings "$n" --listens $((n * 4887 / 1000))
	# without a key: a dump has some listens twice
	sql 'CREATE TABLE loaded (user_id bigint, listened_at timestamptz, recording_msid uuid)'
	must load sh -c "./lbrec-convert -q --table listen '$work/dump.tar.zst' >'$work/listen.copy' || test \$? = 1
		psql -Xq -v ON_ERROR_STOP=1 -c 'COPY loaded (user_id, listened_at, recording_msid) FROM STDIN' <'$work/listen.copy'"
	rm -f "$work/dump.tar.zst" "$work/listen.copy"
	# users 1, 2, …: pgbench draws numbers; a dozen recordings an artist
	sql "CREATE EXTENSION lbrec;
		CREATE TABLE listen AS SELECT dense_rank() OVER (ORDER BY user_id) AS user_id, listened_at, recording_msid,
			'artist ' || (uuid_hash_extended(recording_msid, 0) & 2147483647) % ($n / 12) AS artist_name FROM loaded;
		DROP TABLE loaded;
		CREATE TABLE few AS SELECT DISTINCT ON (recording_msid) * FROM listen;
		CREATE INDEX ON listen (user_id);
		ANALYZE" >/dev/null
	start=$(now)
	sql "SELECT count(*) FROM lbrec_train('trained', epochs => ${EPOCHS:-3}, seed => 1, $model_options)" >/dev/null
	say "trained on $(sql 'SELECT count(*) FROM listen') listens of $(sql 'SELECT max(user_id) FROM listen') users, $(sql "SELECT n_recordings FROM lbrec_models WHERE name = 'trained'") recordings, in $(since "$start") s"
	n_users=$(sql 'SELECT least(max(user_id), 1000) FROM listen')
}

# --- one session ----------------------------------------------------------

# quantiles: of lines of numbers, "minimum median 99%-quantile longest"
quantiles()
{
	sort -n | awk '{ a[NR] = $1 } END { if (NR == 0) print "- - - -"
		else printf "%.2f %.2f %.2f %.2f\n", a[1], a[int((NR + 1) / 2)], a[int(NR * .99 + .5)], a[NR] }'
}

# cpu_ms N SETUP STATEMENT: CPU ms of the backend for each of N statements;
# %d in the statement becomes 1 to N.
cpu_ms()
{
	clock="SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint"
	{
		printf '%s\n' '\o /dev/null' "$2;"
		awk -v s="$3;" 'BEGIN { for (i = 1; i <= 3; i++) printf s "\n", i }'
		printf '%s\n' "$clock AS begun \\gset"
		awk -v n="$1" -v s="$3;" 'BEGIN { for (i = 1; i <= n; i++) printf s "\n", i }'
		printf '%s\n' "$clock AS ended \\gset" '\o' '\echo :begun :ended'
	} | as tee "$work/cpu.sql" >/dev/null
	as psql -XAtq -v ON_ERROR_STOP=1 -f "$work/cpu.sql" | awk -v n="$1" '{ printf "%.2f", ($2 - $1) / 1e6 / n }'
}

# wall_ms N SCRIPT [OPTION...]: quantiles of N transactions of one client
wall_ms()
{
	number=$1
	script=$2
	shift 2
	must pgbench pgbench -n -c 1 -t "$number" -l --log-prefix="$work/tmp/wall" "$@" -f "$script"
	cat "$work"/tmp/wall.* | awk '{ print $3 / 1000 }' | quantiles
	rm -f "$work"/tmp/wall.*
}

# first_cpu [N]: CPU ms of the first query of a new connection, median of N
first_cpu()
{
	clock="SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint"
	for u in $(seq "${1:-11}"); do
		printf '%s\n' "$clock AS begun \\gset" '\o /dev/null' \
			"SELECT * FROM lbrec_recommend($u, 100, 'trained');" '\o' "$clock - :begun;" | as psql -XAtq
	done | awk '{ print $1 / 1e6 }' | quantiles | cut -d ' ' -f 2
}

minus() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a - b }'; }

warm()
{
	say
	say "One session, $1 x 32, k = 100, load $(load):"
	as tee "$work/plain.sql" >/dev/null <<-EOT
		\set u random(1, $n_users)
		SELECT * FROM lbrec_recommend(:u, 100, 'trained');
	EOT
	say "  the image, $(du -m "$work"/data/base/pgsql_tmp/*lbrec* | awk '{ n += $1 } END { print n }') MB, was made by the training"
	rm -f "$work"/data/base/pgsql_tmp/*lbrec*
	start=$(now)
	say "  where there is none, the first query takes $(first_cpu 1) ms of CPU on the session's own thread, $(since "$start") s"
	set -- $(wall_ms 1000 "$work/plain.sql" -M prepared)
	warm_median=$2
	warm_cpu=$(cpu_ms 500 'SELECT 1' "SELECT * FROM lbrec_recommend(%d, 100, 'trained')")
	say "  warm: median $2 ms, minimum $1, 99% $3; CPU $warm_cpu ms"
	set -- $(wall_ms 200 "$work/plain.sql" -C)
	cpu=$(first_cpu)
	say "  first query of a new connection: median $2 ms, minimum $1, 99% $3; CPU $cpu ms"
	say "  so the first costs $(minus "$2" "$warm_median") ms more than a warm one; CPU $(minus "$cpu" "$warm_cpu") ms more; load $(load)"
}

# --- filters and other calls ------------------------------------------------

calls()
{
	say
	say "Calls, $1 x 32, load $(load):"
	as psql -Xq -v ON_ERROR_STOP=1 -f "$work/src/test/bench/serve/calls.sql" || die 'calls.sql failed'
	sql "SELECT count(*) FROM lbrec_train('usual', epochs => 1, settings => '{\"refit\": false, \"temperature\": 0.1}')" >/dev/null
	say "With the default preset, $(sql "SELECT cardinality(lbrec_user_embedding(1, 'usual'))") wide, lbrec_recommend takes $(cpu_ms 20 'SELECT 1' "SELECT * FROM lbrec_recommend(%d, 100, 'usual')") ms of CPU"
	sql "SELECT lbrec_drop_model('usual')" >/dev/null
}

# --- under load -----------------------------------------------------------

# The right answers of a version, and the statements of the clients.
prepare_load()
{
	sql "CREATE TABLE expected (version integer, user_id bigint, digest bigint, PRIMARY KEY (version, user_id));
		CREATE UNLOGGED TABLE wrong (user_id bigint, version integer, digest bigint, at timestamptz DEFAULT clock_timestamp());
		CREATE SEQUENCE seed;
		CREATE FUNCTION active_version() RETURNS integer STABLE LANGUAGE sql AS
		\$\$SELECT version FROM lbrec.model WHERE name = 'serve' AND activation > 0 ORDER BY activation DESC LIMIT 1\$\$;
		CREATE FUNCTION spoiled_mixed(bigint, integer, text, OUT rank integer, OUT recording_msid uuid, OUT score real)
		RETURNS SETOF record STABLE LANGUAGE sql AS
		\$\$SELECT rank, recording_msid, score FROM lbrec_recommend(\$1, \$2, \$3) WHERE rank <= 50
		UNION ALL SELECT rank, recording_msid, score FROM lbrec_recommend(\$1, \$2, 'other') WHERE rank > 50\$\$;
		CREATE FUNCTION spoiled_other(bigint, integer, text, OUT rank integer, OUT recording_msid uuid, OUT score real)
		RETURNS SETOF record STABLE LANGUAGE sql AS
		\$\$SELECT rank, recording_msid, score FROM lbrec_recommend(\$1, \$2, 'other')\$\$"
	as tee "$work/checked.sql" >/dev/null <<-'EOT'
		\set u random(1, 64)
		WITH answer AS MATERIALIZED (SELECT rank, recording_msid, score FROM lbrec_recommend(:u, 100, 'serve')),
		found AS (SELECT active_version() AS version,
			bit_xor(uuid_hash_extended(recording_msid, rank) # hashfloat4extended(score, rank)) AS digest, count(*) AS n FROM answer),
		compared AS (INSERT INTO wrong (user_id, version, digest) SELECT :u, f.version, f.digest FROM found AS f
			LEFT JOIN expected AS e ON e.version = f.version AND e.user_id = :u
			WHERE e.digest IS DISTINCT FROM f.digest OR f.n <> 100)
		SELECT * FROM answer;
	EOT
	# a round of the training run: a new version, and the one before again
	as tee "$work/round.sql" >/dev/null <<-EOT
		SET lbrec.threads = 1;
		SELECT nextval('seed') AS seed \\gset
		BEGIN;
		SELECT count(*) FROM lbrec_train('serve', 'few', epochs => 1, seed => :seed, $model_options);
		SET LOCAL lbrec.shared_images = off;
		INSERT INTO expected SELECT active_version(), u, (SELECT
			bit_xor(uuid_hash_extended(recording_msid, rank) # hashfloat4extended(score, rank)) FROM lbrec_recommend(u, 100, 'serve'))
		FROM generate_series(1, 64) AS u;
		COMMIT;
		SELECT pg_sleep(2);
		BEGIN; SELECT lbrec_activate('serve', min(version)) FROM lbrec_models WHERE name = 'serve'; SELECT pg_sleep(0.2); ROLLBACK;
		SELECT lbrec_activate('serve', min(version)) FROM lbrec_models WHERE name = 'serve';
		SELECT pg_sleep(2);
		SELECT lbrec_activate('serve');
		SELECT pg_sleep(1);
		SELECT lbrec_drop_model('serve', version) FROM (SELECT version FROM lbrec_models WHERE name = 'serve' ORDER BY version DESC OFFSET 2) AS old;
	EOT
	sql "SELECT count(*) FROM lbrec_train('other', 'few', epochs => 1, seed => 0, $model_options)" >/dev/null
	as psql -Xq -v ON_ERROR_STOP=1 -f "$work/round.sql" >"$work/log/round" 2>&1 || die "a round of the training run failed"
	for spoiled in mixed other; do
		sed "s/lbrec_recommend(/spoiled_$spoiled(/" "$work/checked.sql" | as tee "$work/spoiled.sql" >/dev/null
		must spoiled pgbench -n -c 1 -t 20 -f "$work/spoiled.sql"
		wrong=$(sql 'SELECT count(*) FROM wrong')
		[ "$wrong" = 20 ] || die "the check found $wrong of 20 answers that were spoiled ($spoiled)"
		sql 'TRUNCATE wrong'
	done
	say "the check finds 20 of 20 mixed answers, and 20 of 20 whole ones of another version"
}

# Trains and activates until the file is gone.
training_run()
{
	while [ -e "$work/go" ]; do
		as psql -Xq -v ON_ERROR_STOP=1 -f "$work/round.sql" >>"$work/log/round" 2>&1 || { echo 'training run failed' >"$work/stopped"; break; }
	done
}

# Memory of pgbench's backends, in MB each: all mapped pages; with shared pages
# divided among their users; and private pages alone.
sample_memory()
{
	sleep $((seconds / 2))
	for pid in $(sql "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench'"); do
		awk '/^Pss:/ { pss = $2 } /^Pss_Anon:/ { own += $2 } /^Rss:/ { rss = $2 } END { if (rss) print rss / 1024, pss / 1024, own / 1024 }' \
			"/proc/$pid/smaps_rollup" 2>/dev/null
	done >"$work/memory"
}

# load_line CLIENTS [OPTION...]
load_line()
{
	number=$1
	shift
	sample_memory &
	sampler=$!
	status=0
	before=$(sql "SELECT last_value FROM lbrec.activation_seq")
	run "$work/log/pgbench" pgbench -n -c "$number" -j 2 -T "$seconds" -l --log-prefix="$work/tmp/load" "$@" -f "$work/checked.sql" || status=$?
	wait "$sampler"
	rate=$(sed -n 's/^tps = \([0-9]*\).*/\1/p' "$work/log/pgbench")
	failures=$(sed -n 's/^number of failed transactions: \([0-9]*\).*/\1/p' "$work/log/pgbench")
	aborted=$(grep -cE 'aborted|error' "$work/log/pgbench")
	[ "$status" = 0 ] || [ "$aborted" != 0 ] || aborted=1
	total=$(cat "$work"/tmp/load.* | wc -l)
	answers=$((answers + total))
	errors=$((errors + ${failures:-0} + aborted))
	cat "$work"/tmp/load.* | awk '{ print $3 / 1000 }' | quantiles >"$work/quantiles"
	rm -f "$work"/tmp/load.*
	read -r _ p50 p99 longest <"$work/quantiles"
	pss=$(awk '{ r += $1; p += $2; o += $3 } END { if (NR) printf "%.1f %.1f %.1f", r / NR, p / NR, o / NR; else print "- - -" }' "$work/memory")
	# shellcheck disable=SC2086
	printf '%7s %9s %8s %8s %8s %9s %7s %7s %7s %8s %7s %6s %s\n' "$number" "$([ "$1" = -C ] && echo yes || echo no)" "${rate:--}" "$p50" "$p99" "$longest" $pss \
		"$total" "$((${failures:-0} + aborted))" "$(sql 'SELECT count(*) FROM wrong')" \
		"$(($(sql "SELECT last_value FROM lbrec.activation_seq") - before))/$(load)"
	[ "$aborted" = 0 ] || grep -E 'aborted|error' "$work/log/pgbench" | head -n 3
}

under_load()
{
	say
	say "Under load, $1 x 32, k = 100, $seconds s a line, while versions are trained and activated; every answer is checked."
	prepare_load
	answers=0
	errors=0
	rm -f "$work/stopped"
	: >"$work/go"
	training_run &
	trainer=$!
	printf '%7s %9s %8s %8s %8s %9s %7s %7s %7s %8s %7s %6s %s\n' clients reconnect 'answ./s' 'p50 ms' 'p99 ms' 'longest' 'RSS MB' 'PSS MB' 'own MB' answers errors wrong 'activations/load'
	for number in $clients; do
		load_line "$number" -M prepared
		load_line "$number" -C
	done
	rm -f "$work/go"
	wait "$trainer"
	[ ! -e "$work/stopped" ] || { tail -n 5 "$work/log/round"; die "the training run failed under load"; }
	wrong=$(sql 'SELECT count(*) FROM wrong')
	say "$answers answers of $(sql 'SELECT count(DISTINCT version) FROM expected') versions: $wrong wrong, $errors errors"
	[ "$wrong$errors" = 00 ] || bad=yes
}

# --- with every wish ------------------------------------------------------

# wishes_line NAME CLIENTS: one line of answers to $work/wish.sql
wishes_line()
{
	must pgbench pgbench -n -M prepared -c "$2" -j 2 -T "$seconds" -l --log-prefix="$work/tmp/wish" -f "$work/wish.sql"
	rate=$(sed -n 's/^tps = \([0-9]*\).*/\1/p' "$work/log/pgbench")
	printf '  %-10s %7s %9s %9s %9s %9s %9s %6s\n' "$1" "$2" "$rate" $(cat "$work"/tmp/wish.* | awk '{ print $3 / 1000 }' | quantiles) "$(load)"
	rm -f "$work"/tmp/wish.*
}

wishes()
{
	say
	sql "SELECT count(*) FROM lbrec_train('wished', epochs => 1, settings => '{\"refit\": false, \"temperature\": 0.1}')" >/dev/null
	say "Every wish at once, $1 x $(sql "SELECT cardinality(lbrec_user_embedding(1, 'wished'))"), k = 20, $seconds s a line:"
	printf '  %-10s %7s %9s %9s %9s %9s %9s %6s\n' '' clients answ./s 'least ms' 'p50 ms' 'p99 ms' longest load
	sql "DROP TABLE IF EXISTS allowed; CREATE TABLE allowed AS SELECT DISTINCT recording_msid FROM listen
		WHERE (uuid_hash_extended(recording_msid, 1) & 3) > 0"
	for name in plain all; do
		more=
		[ "$name" = plain ] || more=", listens => 'listen', exclude_listened => true, per_artist => 1, diversity => 0.3,
			filter => 'SELECT recording_msid FROM allowed'"
		as tee "$work/wish.sql" >/dev/null <<-EOT
			\set u random(1, $n_users)
			SELECT * FROM lbrec_recommend(:u, 20, 'wished'$more);
		EOT
		for number in 1 8 32; do
			wishes_line "$name" "$number"
		done
		say "  $name: CPU ms of the backend $(cpu_ms 50 'SELECT 1' "$(sed -n '2,$p' "$work/wish.sql" | tr -d ';\n' | sed 's/:u/%d/')")"
	done
	sql "SELECT lbrec_drop_model('wished')" >/dev/null
}

# --- peers ----------------------------------------------------------------

# peer_line NAME RECALL MINIMUM MEDIAN CPU BUILD: and the ratios to lbrec's
peer_line()
{
	[ "$1" != lbrec ] || { our_median=$4; our_cpu=$5; }
	awk -v n="$1" -v r="$2" -v a="$3" -v m="$4" -v c="$5" -v b="$6" -v om="$our_median" -v oc="$our_cpu" 'BEGIN {
		printf "  %-36s %7.4f %9.2f %9.2f %7.1f %9.2f %7.1f %8s\n", n, r, a, m, m / om, c, c / oc, b }'
}

# pgvector_line NAME QUERIES SETTING...: the settings go to its sessions
pgvector_line()
{
	name=$1
	count=$2
	shift 2
	PGOPTIONS='-c max_parallel_workers_per_gather=0'
	for setting in "$@"; do
		PGOPTIONS="$PGOPTIONS -c $setting"
	done
	export PGOPTIONS
	sql "DROP TABLE IF EXISTS answered; CREATE TABLE answered AS SELECT q.id AS q, a.recording_msid
		FROM (SELECT * FROM query WHERE id <= $count OFFSET 0) AS q,
		LATERAL (SELECT recording_msid FROM item ORDER BY embedding <#> q.embedding::vector LIMIT 100) AS a"
	recall=$(sql "SELECT count(*) / 100.0 / $count FROM answered JOIN truth USING (q, recording_msid)")
	as tee "$work/vector.sql" >/dev/null <<-EOT
		\set q random(1, $count)
		SELECT recording_msid FROM item ORDER BY embedding <#> (SELECT embedding::vector FROM query WHERE id = :q) LIMIT 100;
	EOT
	# shellcheck disable=SC2046
	set -- $(wall_ms "$count" "$work/vector.sql")
	peer_line "$name" "$recall" "$1" "$2" \
		"$(cpu_ms "$count" 'SELECT 1' 'SELECT recording_msid FROM item ORDER BY embedding <#> (SELECT embedding::vector FROM query WHERE id = %d) LIMIT 100')" "$built"
	unset PGOPTIONS
}

# python_lines PEER PYTHON: lines of peers.py
python_lines()
{
	if ! "$2" -c 'import numpy' 2>/dev/null; then
		say "  $1: skipped, $3 names no Python with numpy"
		return 0
	fi
	"$2" "$here/peers.py" "$1" "$work/tmp" ${graphs:+graphs} 2>"$work/log/$1" |
		while IFS='	' read -r name recall least median cpu built; do
			peer_line "$name" "$recall" "$least" "$median" "$cpu" "$built"
		done
	[ ! -s "$work/tmp/skipped" ] || { say "  $1: skipped, $(cat "$work/tmp/skipped")"; rm -f "$work/tmp/skipped"; }
}

# peers SET: on vectors of a model that was trained, or of one that was not
peers()
{
	set=$1
	n_queries=$((n_users < 200 ? n_users : 200))
	if [ "$set" = random ]; then
		sql "SELECT count(*) FROM lbrec_train('random', 'few', epochs => 1, seed => 3, split => 'none', settings => '{$model_settings, \"learning_rate\": 1e-12}')" >/dev/null
	fi
	say
	say "Peers on $set vectors, $2 x 32, k = 100, one thread, load $(load); ratios are to lbrec's"
	printf '  %-36s %7s %9s %9s %7s %9s %7s %8s\n' '' recall 'least ms' 'median' ratio 'CPU ms' ratio 'build s'
	sql "DROP TABLE IF EXISTS query, truth;
		CREATE TABLE query AS SELECT u::integer AS id, lbrec_user_embedding(u, '$set') AS embedding FROM generate_series(1, $n_queries) AS u;
		ALTER TABLE query ADD PRIMARY KEY (id);
		CREATE TABLE truth AS SELECT u::integer AS q, recording_msid FROM generate_series(1, $n_queries) AS u, LATERAL lbrec_recommend(u, 100, '$set');
		ANALYZE query, truth"
	as tee "$work/ours.sql" >/dev/null <<-EOT
		\set u random(1, $n_queries)
		SELECT * FROM lbrec_recommend(:u, 100, '$set');
	EOT
	# shellcheck disable=SC2046
	set -- "$1" $(wall_ms 500 "$work/ours.sql")
	peer_line lbrec 1 "$2" "$3" "$(cpu_ms $n_queries 'SELECT 1' "SELECT * FROM lbrec_recommend(%d, 100, '$set')")" 0

	if [ -n "$has_vector" ]; then
		sql "CREATE EXTENSION IF NOT EXISTS vector; DROP TABLE IF EXISTS item;
			CREATE TABLE item AS SELECT recording_msid, embedding::vector(32) FROM lbrec_recording_embeddings('$set');
			ALTER TABLE item ALTER embedding SET STORAGE PLAIN" -c 'VACUUM ANALYZE item'
		built=0
		pgvector_line "pgvector $has_vector exact" 30 enable_indexscan=off
		start=$(now)
		[ -z "$graphs" ] || sql 'SET max_parallel_maintenance_workers = 1; CREATE INDEX ON item USING hnsw (embedding vector_ip_ops)'
		built=$(since "$start")
		for ef in ${graphs:+100 200 400}; do
			pgvector_line "pgvector $has_vector HNSW, ef $ef" $n_queries hnsw.ef_search=$ef enable_seqscan=off
		done
		sql 'DROP TABLE item'
	else
		say '  pgvector: skipped, the server has no extension "vector" and PGVECTOR_SOURCE names no source'
	fi
	sql "COPY (SELECT recording_msid, embedding FROM lbrec_recording_embeddings('$set')) TO '$work/tmp/item.bin' (FORMAT binary)"
	sql "COPY (SELECT q.id, q.embedding FROM query AS q ORDER BY q.id) TO '$work/tmp/query.bin' (FORMAT binary)"
	sql "COPY (SELECT q, recording_msid FROM truth ORDER BY q) TO '$work/tmp/truth.bin' (FORMAT binary)"
	python_lines faiss "${FAISS_PYTHON:-python3}" FAISS_PYTHON
	python_lines tfrs "${TFRS_PYTHON:-python3}" TFRS_PYTHON
	rm -f "$work/tmp"/*.bin
}

# --- all of it ------------------------------------------------------------

bad=
first_size=yes
for size in $sizes; do
	say
	prepare "$size"
	! wanted warm || warm "$size"
	if [ -n "$first_size" ] && wanted calls; then
		calls "$size"
	fi
	! wanted load || under_load "$size"
	! wanted wishes || wishes "$size"
	if [ -n "$first_size" ] && wanted peers; then
		for set in $sets; do
			peers "$set" "$size"
		done
	fi
	first_size=
	[ -n "$keep" ] || { PGDATABASE=postgres sql "DROP DATABASE bench_$size"; }
done
[ -z "$bad" ] || die 'there were wrong answers or errors'
