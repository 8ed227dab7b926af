#!/bin/sh
# Measure a first load beside the server's own COPY, over sizes, in one run.
#
#	sh test/bench/convert/load.sh [LISTENS...]		1000000 3000000 12000000
#
# Needs a scratch database (PGDATABASE and so on).  For each size: a synthetic
# dump (build/make_dump) of LISTENS listens and LISTENS / 6 recordings, then
# in turn, REPEATS times (default 2):
#
#	copy	COPY of ready rows of listen alone into a table without an index:
#			the server's time for the bytes, without recordings, keys or a
#			dump to read
#	load	lbrec-convert --dbname: the dump to both tables with their keys
#
# The least wall time of each is printed, with listens a second, load's time
# as a multiple of copy's, and microseconds a listen: these must not grow.
set -eu
cd "$(dirname "$0")/../../.."
[ $# -gt 0 ] || set -- 1000000 3000000 12000000
program=${LBREC_CONVERT:-$PWD/lbrec-convert}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make -s make-dump >/dev/null

query() { psql -XAtqv ON_ERROR_STOP=1 -c "$1"; }
clean() { query 'SET client_min_messages = warning; DROP TABLE IF EXISTS bare, listen, recording, lbrec_dump_member, lbrec_dump'; }

# least NAME COMMAND: the least seconds so far of a command, in $work/NAME
least()
{
	/usr/bin/time -o "$work/time" -f %e sh -c "$2" >/dev/null
	cat "$work/time" >>"$work/$1"
	sort -n "$work/$1" | head -n 1 >"$work/$1.least"
}

printf '%s processors, load %s\n\n' "$(nproc)" "$(cut -d' ' -f1-3 /proc/loadavg)"
printf '%12s %8s %12s %8s %12s %8s %12s\n' listens 'copy s' listens/s 'load s' listens/s 'of copy' 'us a listen'
for n in "$@"
do
	build/make_dump --listens "$n" --users $((n / 200)) --recordings $((n / 6)) \
		--start 2023-01 --months 12 -o "$work/dump.tar.zst" >/dev/null
	"$program" -q --table listen "$work/dump.tar.zst" >"$work/listen.copy"
	rm -f "$work/copy" "$work/load"
	i=0
	while [ "$i" -lt "${REPEATS:-2}" ]
	do
		clean
		query 'CREATE TABLE bare (user_id bigint NOT NULL, listened_at timestamptz NOT NULL, recording_msid uuid NOT NULL)'
		query CHECKPOINT
		least copy "psql -Xqc 'COPY bare FROM STDIN' <'$work/listen.copy'"
		clean
		query CHECKPOINT
		least load "'$program' -q --dbname '' '$work/dump.tar.zst'"
		i=$((i + 1))
	done
	loaded=$(query 'SELECT count(*) FROM listen')
	[ "$loaded" = "$n" ] || { echo "$loaded listens are there, not $n" >&2; exit 1; }
	awk -v n="$n" -v copy="$(cat "$work/copy.least")" -v load="$(cat "$work/load.least")" \
		'BEGIN { printf("%12d %8.1f %12d %8.1f %12d %8.2f %12.2f\n", n, copy, n / copy, load, n / load, load / copy, load / n * 1e6) }'
done
clean
