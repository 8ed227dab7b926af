#!/bin/sh
#
# next.sh
#		Measures how well lbrec_next predicts listens, beside peers.
#
#	sh test/bench/quality/next.sh [--keep] LISTENS...
#
# Each file LISTENS has lines of user, recording (numbers) and seconds, by
# tabs, in the order of time: data/jodie-lastfm/listens.tsv, for example.  The
# first four fifths are for training, by SELECT lbrec_train('m', ...) without
# further arguments; each later listen is ranked just before it happens, given
# all earlier ones of its user and the model as trained.
#
# Printed are the rows of lbrec_evaluate_next, whose baselines are own plays by
# age, last to next (a Markov chain) with back-off to popularity, and the blend
# of these with the user's own transitions, then the session neighbours of
# next_peers.py.  SASRec is not among them: it needs PyTorch.
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
[ $# -ge 1 ] || die "which file has listens? try --help"
for file in "$@"; do
	[ -r "$file" ] || die "cannot read $file"
done
here=$top/test/bench/quality

make_place
must build make -s -j"$jobs" all PG_CONFIG="$PG_CONFIG"
must install make -s install PG_CONFIG="$PG_CONFIG"
as mkdir -m 700 "$work/run"
must initdb initdb -D "$work/data" -A trust -U postgres
must start pg_ctl -w -D "$work/data" -l "$work/log/server" \
	-o "-c listen_addresses= -k $work/run" start

psql_as() { as psql -X -q -v ON_ERROR_STOP=1 -h "$work/run" -U postgres "$@"; }

say "$("$PG_CONFIG" --version), $jobs processors, load $(cut -d' ' -f1 /proc/loadavg)"
n=0
for file in "$@"; do
	n=$((n + 1))
	psql_as -d postgres -c "CREATE DATABASE next_$n"
	psql_as -d next_$n -c 'CREATE EXTENSION lbrec' -c 'CREATE TABLE line (
		n bigint GENERATED ALWAYS AS IDENTITY, user_id bigint, recording bigint, seconds bigint)'
	cut -f 1-3 "$file" | psql_as -d next_$n -c 'COPY line (user_id, recording, seconds) FROM STDIN'
	# the lines' order stays where times are equal
	psql_as -d next_$n -c "CREATE TABLE listen AS SELECT user_id,
			to_timestamp(seconds) + n * interval '1 microsecond' AS listened_at,
			lbrec_key(recording) AS recording_msid, n <= trunc(count(*) OVER () * 0.8) AS early
		FROM line"
	start=$(now)
	psql_as -d next_$n -c "SELECT count(*) FROM lbrec_train('m', 'SELECT user_id, listened_at,
		recording_msid FROM listen WHERE early')" >"$work/log/train.$n" || die "could not train on $file"
	trained=$(since "$start")
	start=$(now)
	say "$file:"
	printf '\trecall@10\tMRR\tnew recall@10\tnew MRR\tlistens\n'
	psql_as -d next_$n -At -F '	' -c "SELECT recommender, recall, mrr, new_recall, new_mrr, listens_evaluated
		FROM lbrec_evaluate_next((SELECT min(listened_at) FROM listen WHERE NOT early),
			listens => 'SELECT user_id, listened_at, recording_msid FROM listen', ks => '{10}')"
	measured=$(since "$start")
	python3 "$here/next_peers.py" "$file"
	say "training took $trained s, ranking by lbrec and its baselines $measured s"
done
