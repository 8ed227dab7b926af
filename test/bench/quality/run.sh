#!/bin/sh
#
# run.sh
#		Measures the recommendations of the default preset, beside peers.
#
#	sh test/bench/quality/run.sh [--keep] SHARED [SET...]
#
# SHARED is the folder with tools/prepare.py, tools/evaluate.py, the data sets
# and PEERS.md.  Each set (default: all that prepare.py can load) is split,
# trained on by SELECT lbrec_train('m', ...) without further arguments, and
# scored from the output of lbrec_recommend_all.  The tables of PEERS.md are
# printed with our row, and with the cost of training.
#
# A SET may also be a folder that has been split already, with train.tsv and
# test.tsv as prepare.py writes them.
#
# SEEDS, such as "1 2 3", trains once with each seed.  Our row is then the mean,
# and a row below it has the standard deviation over the seeds.
#
# Runs on a server of its own, in a folder under /tmp that is removed at the
# end.  PG_CONFIG chooses the server's version.

. "$(dirname "$0")/../../lib.sh"

while [ $# -gt 0 ]; do
	case $1 in
	--keep) keep=yes ;;
	-h | --help) show_help ;;
	-*) die "unknown option $1; try --help" ;;
	*) break ;;
	esac
	shift
done
[ $# -ge 1 ] || die "which folder has tools/prepare.py? try --help"
shared=$(cd "$1" && pwd) || die "there is no folder $1"
shift
for f in tools/prepare.py tools/evaluate.py PEERS.md; do
	[ -r "$shared/$f" ] || die "cannot read $shared/$f"
done
here=$top/test/bench/quality
seeds=${SEEDS:-default}
[ $# -gt 0 ] || set -- $(python3 "$here/table.py" sets "$shared")

make_place
must build make -s -j"$jobs" all PG_CONFIG="$PG_CONFIG"
must install make -s install PG_CONFIG="$PG_CONFIG"
as mkdir -m 700 "$work/run"
must initdb initdb -D "$work/data" -A trust -U postgres
must start pg_ctl -w -D "$work/data" -l "$work/log/server" \
	-o "-c listen_addresses= -k $work/run" start

psql_as() { as psql -X -q -v ON_ERROR_STOP=1 -h "$work/run" -U postgres "$@"; }

say "$("$PG_CONFIG" --version), $jobs processors, load $(cut -d' ' -f1 /proc/loadavg)"
for set in "$@"; do
	if [ -r "$set/train.tsv" ] && [ -r "$set/test.tsv" ]; then
		split=$(cd "$set" && pwd)
		set=$(basename "$split")
	else
		split=$work/$set
		as mkdir "$split"
		as python3 "$shared/tools/prepare.py" "$set" "$split" >"$work/log/$set.prepare" ||
			die "could not prepare $set"
	fi
	psql_as -d postgres -c "CREATE DATABASE \"$set\""
	psql_as -d "$set" -c 'CREATE EXTENSION lbrec' -c "CREATE TABLE listen (
		user_id bigint, listened_at bigint, recording_msid uuid, artist_name text)"
	psql_as -d "$set" -c "COPY listen FROM STDIN" <"$split/train.tsv"
	# the artist is the recording in these sets: no feature
	trained=
	for seed in $seeds; do
		model=m_$seed
		argument=
		[ "$seed" = default ] || argument=", seed => $seed"
		started=$(now)
		psql_as -d "$set" -c "SELECT count(*) FROM lbrec_train('$model',
			'SELECT user_id, listened_at, recording_msid FROM listen'$argument)" >"$work/log/$set.train" ||
			die "could not train on $set"
		trained="$trained${trained:+, }$(since "$started")"
		psql_as -d "$set" -At -F '	' -c "SELECT user_id, recording_msid, rank FROM lbrec_recommend_all(
			(SELECT least(n_recordings, 2000) FROM lbrec_models WHERE name = '$model')::int, '$model')" \
			>"$work/log/$set.tsv"
		python3 "$shared/tools/evaluate.py" "$split" "$work/log/$set.tsv"
	done >"$work/log/$set.score"
	python3 "$here/table.py" table "$shared" "$set" "$trained" <"$work/log/$set.score"
	psql_as -d "$set" -At -c "SELECT name || ': epochs ' || (config ->> 'best_epoch') || ', parts ' ||
		(config ->> 'mix') FROM lbrec.model ORDER BY id"
done
