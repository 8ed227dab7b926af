#!/bin/sh
#
# run.sh
#		Training: lbrec beside TensorFlow Recommenders and PyTorch, one run.
#
#	sh test/bench/train/run.sh [--keep] [PART...]
#
# Parts, all by default:
#	paper		the preprint's shape: 2,534,176 listens of 518,540 recordings,
#				40,000 of them trained on in batches of 2048 for 30 epochs, an
#				evaluation of 10,000 listens against all recordings each five
#	million		a million listens, 5,000 users, 100,000 recordings
#	read		from the cursor to encoded listens, rows a second
#	grow		1, 5 and 20 million listens of 100,000 users and a million
#				recordings: time and peak memory (minutes)
#	warm		going on from yesterday's model, beside training anew
#
# Settings, from the environment:
#	TFRS_PYTHON		a Python with tensorflow and tensorflow_recommenders
#	TORCH_PYTHON	a Python with torch and numpy
#	MAKE_VENVS		yes: make both under build/ where they are not given
#	LAYERS			variants, "32 64,32 128,64,32"
#	STEPS			steps of a round of the bare loops, 20
#	SIZES			of grow, "1000000 5000000 20000000"
#
# A missing peer is skipped with a message.  All listens are invented, from
# a seed (listens.sql; for warm, make_dump).  Times are the least of repeats,
# but for SQL calls, which are made once.  Each wall time has its processor
# time beside it, of all threads together: on a machine that others use compare
# those, wall times wait in the queue with the others.

. "$(dirname "$0")/../../lib.sh"
here=$top/test/bench/train

variants=${LAYERS:-32 64,32 128,64,32}
steps=${STEPS:-20}
sizes=${SIZES:-1000000 5000000 20000000}
parts=
for arg in "$@"; do
	case $arg in
	--keep) keep=yes ;;
	paper | million | read | grow | warm) parts="$parts $arg" ;;
	*) show_help ;;
	esac
done
[ -n "$parts" ] || parts='paper million read grow warm'

sql() { as psql -XAtq -v ON_ERROR_STOP=1 -c "$1" || die "failed: $1"; }
load() { cut -d ' ' -f 1 /proc/loadavg; }

# --- what is needed -------------------------------------------------------

# peer VARIABLE MODULE FOLDER PACKAGE...: the Python of a peer, or nothing
peer()
{
	eval "python=\${$1:-}"
	module=$2
	folder=$top/build/$3
	shift 3
	if [ -z "$python" ] && [ "${MAKE_VENVS:-}" = yes ]; then
		python=$folder/bin/python
		[ -x "$python" ] || python3 -m venv "$folder" || die "could not make $folder"
		"$python" -c "import $module" 2>/dev/null || "$folder/bin/pip" install -q "$@" || die "could not install $*"
	fi
	if [ -n "$python" ] && "$python" -c "import numpy, $module" 2>/dev/null; then
		echo "$python"
	fi
}

# OpenMP's threads spin while they wait, which costs a busy machine twice.
OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
export OMP_WAIT_POLICY

tfrs=
torch=
if wanted paper || wanted million; then
	tfrs=$(TF_USE_LEGACY_KERAS=1 peer TFRS_PYTHON tensorflow_recommenders bench-tfrs tensorflow==2.21.0 tf-keras==2.21.0 tensorflow-recommenders==0.7.7)
	torch=$(peer TORCH_PYTHON torch bench-torch torch numpy)
	[ -n "$tfrs" ] || say 'skipping TensorFlow Recommenders: set TFRS_PYTHON, or MAKE_VENVS=yes'
	[ -n "$torch" ] || say 'skipping PyTorch: set TORCH_PYTHON, or MAKE_VENVS=yes'
fi

# shellcheck disable=SC2046,SC2086
install_packages $build_packages $(packages_for_server) || exit 2
make_place
must build make -s -j"$jobs" all make-dump PG_CONFIG="$PG_CONFIG"
must install make -s install PG_CONFIG="$PG_CONFIG"
must step sh -c 'exec gcc -std=gnu11 -O2 -Isrc -o build/step test/bench/train/step.c src/core/*.o src/core/*/*.o -lpthread -ldl -lm'
step=$work/src/build/step

as mkdir -m 700 "$work/run"
must initdb initdb -D "$work/data" -A trust -E UTF8 --locale=C.UTF-8 --no-sync
as tee -a "$work/data/postgresql.conf" >/dev/null <<-EOT
	listen_addresses = ''
	unix_socket_directories = '$work/run'
	shared_buffers = 512MB
	work_mem = 128MB
	fsync = off
	wal_level = minimal
	max_wal_senders = 0
	max_wal_size = 1GB
	autovacuum = off
	max_parallel_workers_per_gather = 0
EOT
must start pg_ctl -D "$work/data" -l "$work/log/server" -w start
PGHOST=$work/run
PGDATABASE=postgres
export PGHOST PGDATABASE
sql 'CREATE EXTENSION lbrec'

say "lbrec training: $("$PG_CONFIG" --version), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $jobs processors, load $(load), $(date -u +%F)"

make_listens()
{
	must "listens-$1" psql -Xq -v table="$1" -v listens="$2" -v users="$3" -v recordings="$4" -f test/bench/train/listens.sql
}

# in_sql STATEMENT [SETTING...]: wall and processor seconds of the session's
# statement, and its peak memory in MB without the shared buffers.
in_sql()
{
	statement=$1
	shift
	{
		for set in "$@"; do echo "SET $set;"; done
		cat <<-EOT
			SELECT split_part(s, ' ', 14)::bigint + split_part(s, ' ', 15)::bigint AS cpu, clock_timestamp() AS began
			FROM pg_read_file('/proc/self/stat') AS s \\gset
			\\o /dev/null
			$statement;
			\\o
			SELECT extract(epoch FROM clock_timestamp() - :'began'),
				(split_part(s, ' ', 14)::bigint + split_part(s, ' ', 15)::bigint - :cpu)::float8 / $(getconf CLK_TCK),
				(substring(t FROM 'VmHWM:\\s*(\\d+)')::bigint - substring(t FROM 'RssShmem:\\s*(\\d+)')::bigint) / 1024
			FROM pg_read_file('/proc/self/stat') AS s, pg_read_file('/proc/self/status') AS t;
		EOT
	} >"$work/tmp/in.sql"
	as psql -XAtq -F ' ' -v ON_ERROR_STOP=1 -f "$work/tmp/in.sql" || die "failed: $statement"
}

# results: shape, what, layers, threads, wall, processor
results=$work/results
: >"$results"
record()
{
	[ $# -ge 6 ] || die "no figures for $2"
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" "$6" >>"$results"
	printf '  %-8s %-36s %-10s %s thread(s) %9.3f s, processor %9.3f s, load %s\n' "$1" "$2" "$3" "$4" "$5" "$6" "$(load)"
}

# of $steps steps, so many make an epoch of $1 listens
epoch() { awk -v listens="$1" -v steps="$steps" '{ printf "%.5f %.5f", $1 * listens / 2048 / steps, $2 * listens / 2048 / steps }'; }

# loops SHAPE LISTENS USERS RECORDINGS ARTISTS LAYERS THREADS: bare loops
loops()
{
	set -- "$1" "$2" "$work/tmp/$1.tsv" "$3" "$4" "$5" "$6" "$7"
	record "$1" 'lbrec, steps of an epoch' "$7" "$8" $("$step" "$3" "$4" "$5" "$6" 2048 "$steps" "$7" "$8" | epoch "$2")
	[ -n "$torch" ] || return 0
	for way in hand autograd; do
		record "$1" "PyTorch, $way" "$7" "$8" $("$torch" "$here/torch_peer.py" "$3" "$4" "$5" "$6" 2048 "$steps" "$7" "$8" "$way" 2>>"$work/log/torch" | epoch "$2")
	done
}

# run_tfrs SHAPE RECORDINGS LISTENS TIMES LAYERS THREADS WHAT
run_tfrs()
{
	[ -n "$tfrs" ] || return 0
	"$tfrs" "$here/tfrs_peer.py" "$work/tmp/$1.tsv" "$2" 2048 "$3" "$5" "$6" "$7" >"$work/tfrs.out" 2>"$work/tfrs.log" ||
		{ tail "$work/tfrs.log"; die 'TensorFlow Recommenders failed'; }
	while IFS='	' read -r what wall cpu; do
		# shellcheck disable=SC2046
		record "$1" "TFRS, $what" "$5" "$6" $(awk -v w="$wall" -v c="$cpu" -v t="$4" 'BEGIN { print w * t, c * t }')
	done <"$work/tfrs.out"
}

train() { echo "SELECT * FROM lbrec_train('bench', 'SELECT user_id, listened_at, recording_msid, artist_name FROM $1', preset => 'paper', layers => '{$2}', activate => false, $3)"; }

if wanted paper; then
	say 'the shape of the preprint'
	make_listens paper 2534176 1000 518540
	sql "COPY (SELECT user_id, recording, artist, extract(epoch FROM listened_at)::bigint FROM (SELECT * FROM paper LIMIT 90000) AS x ORDER BY md5(listened_at::text) LIMIT 50000) TO STDOUT" >"$work/tmp/paper.tsv"
	for threads in 1 2; do
		# shellcheck disable=SC2046
		record paper 'lbrec, one evaluation' - $threads $("$step" rank 10000 518540 $threads)
		what=evaluate
		for layers in $variants; do
			loops paper 40000 1000 518540 64817 "$layers" $threads
			record paper 'lbrec, SQL call of 30 epochs' "$layers" $threads $(in_sql "$(train paper "$layers" 'epochs => 30')" "lbrec.threads = $threads")
			run_tfrs paper 518540 40000 1 "$layers" $threads $what
			# the evaluation hardly depends on the layers
			what=train
		done
	done
fi

if wanted million; then
	say 'a million listens'
	make_listens million 1000000 5000 100000
	sql "COPY (SELECT user_id, recording, artist, extract(epoch FROM listened_at)::bigint FROM million) TO STDOUT" >"$work/tmp/million.tsv"
	for threads in 1 2; do
		loops million 1000000 5000 100000 12500 32 $threads
		record million 'lbrec, SQL call of 1 epoch' 32 $threads $(in_sql "$(train million 32 "epochs => 1, split => 'none'")" "lbrec.threads = $threads")
		record million 'lbrec, SQL call of 3 epochs' 32 $threads $(in_sql "$(train million 32 "epochs => 3, split => 'none'")" "lbrec.threads = $threads")
		# a tenth of an epoch, times ten
		run_tfrs million 100000 100000 10 32 $threads train
	done
fi

if wanted paper || wanted million; then
	say
	awk -F '\t' -f "$here/table.awk" "$results"
fi

if wanted read; then
	say
	say 'reading: rows a second of processor time'
	must read psql -Xq -f test/bench/train/read.sql
	cat "$work/log/read"
fi

if wanted grow; then
	say
	say "growth: the preprint's one layer, batch 2048, an epoch over all listens; peak memory without shared buffers"
	make_listens big 20000000 100000 1000000
	for n in $sizes; do
		# shellcheck disable=SC2046
		printf '%s listens: %s s, processor %s s, peak memory %s MB, load %s\n' "$n" $(in_sql "SELECT * FROM lbrec_train('big', 'SELECT user_id, listened_at, recording_msid, artist_name FROM big LIMIT $n', preset => 'paper', split => 'none', epochs => 1, activate => false)") "$(load)"
		sql "SELECT lbrec_drop_model('big')" >/dev/null
	done
fi

if wanted warm; then
	say
	say 'going on from an older model, beside training anew'
	must dump build/make_dump -o "$work/tmp/dump.tar.zst" --start 2024-01 --months 12 --recordings 10000 --users 1500 --listens 150000
	sql 'CREATE TABLE listen (user_id bigint, listened_at timestamptz, recording_msid uuid)'
	must load sh -c "./lbrec-convert -q --table listen '$work/tmp/dump.tar.zst' >'$work/tmp/listen.copy' || test \$? = 1
		psql -Xq -v ON_ERROR_STOP=1 -c 'COPY listen (user_id, listened_at, recording_msid) FROM STDIN' <'$work/tmp/listen.copy'"
	must warm psql -Xq -f test/bench/train/warm.sql
	cat "$work/log/warm"
fi
