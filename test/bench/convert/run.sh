#!/bin/sh
# Measure lbrec-convert beside other ways of reading the same dump, in one run.
#
#   sh test/bench/convert/run.sh [LISTENS [REPEATS]]
#
# Makes a synthetic dump (build/make_dump) of LISTENS (default 1,000,000),
# runs every way REPEATS times (default 3) in turn, and prints the least wall
# time and the processor seconds of that run: a loaded machine only adds.
# Each peer writes the columns user, time, MSID, artist, track and release of
# every listen as text; a peer that is not installed is left out.  Slow peers
# read a share of the listens; their times are scaled up, and marked in the
# table.
#
# load.sh measures loads into a server.
set -eu
cd "$(dirname "$0")/../../.."
listens=${1:-1000000}
repeats=${2:-3}
here=$PWD/test/bench/convert
program=${LBREC_CONVERT:-$PWD/lbrec-convert}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make -s make-dump >/dev/null
build/make_dump --listens "$listens" --recordings $((listens / 12)) \
	--start 2024-01 --months 3 -o "$work/dump.tar.zst" >/dev/null
bytes=$(zstd -dc "$work/dump.tar.zst" | wc -c)
printf '%s listens, %s MB of lines in %s MB of .tar.zst, %s processors, load %s\n\n' \
	"$listens" $((bytes / 1000000)) \
	$(($(wc -c <"$work/dump.tar.zst") / 1000000)) "$(nproc)" \
	"$(cut -d' ' -f1 /proc/loadavg)"

# lines SHARE: the first listens/SHARE lines, for the slow ones
lines()
{
	zstd -dc "$work/dump.tar.zst" | tar -xOf - --wildcards '*.listens' |
		head -n $((listens / $1))
}

# measure NAME SHARE COMMAND: appends seconds to $work/NAME
measure()
{
	/usr/bin/time -o "$work/time" -f '%e %U %S' sh -c "$3" >/dev/null \
		2>"$work/err" || { cat "$work/err" >&2; return; }
	awk -v share="$2" -v name="$1" -v OFS='\t' \
		'{ print name, share, $1 * share, ($2 + $3) * share }' \
		"$work/time" >>"$work/times"
}

lines 1 >"$work/all.jsonl"
lines 20 >"$work/part.jsonl"
python3 - <<'PY' >"$work/python" || true
import importlib.util as u
print(' '.join(m for m in ('orjson', 'duckdb') if u.find_spec(m)))
PY
filter='[.user_id, .timestamp, .recording_msid, .track_metadata.artist_name, .track_metadata.track_name, .track_metadata.release_name] | @csv'

i=0
while [ "$i" -lt "$repeats" ]
do
	measure 'zstd -dc alone' 1 "zstd -dc '$work/dump.tar.zst'"
	measure 'lbrec-convert, script, .tar.zst' 1 "'$program' -q '$work/dump.tar.zst'"
	measure 'lbrec-convert --table listen, .tar.zst' 1 "'$program' -q --table listen '$work/dump.tar.zst'"
	measure 'lbrec-convert, script, plain lines' 1 "'$program' -q '$work/all.jsonl'"
	if command -v jq >/dev/null
	then
		measure 'jq to CSV, plain lines' 20 "jq -r '$filter' '$work/part.jsonl'"
	fi
	measure 'Python json (the preprint), plain lines' 20 "python3 '$here/peers.py' json '$work/part.jsonl'"
	for m in $(cat "$work/python")
	do
		case $m in
			orjson) measure 'Python orjson, plain lines' 1 "python3 '$here/peers.py' orjson '$work/all.jsonl'";;
			duckdb) measure 'DuckDB read_ndjson, 2 threads, plain lines' 1 "python3 '$here/peers.py' duckdb '$work/all.jsonl' '$work/duck.csv'";;
		esac
	done
	i=$((i + 1))
done

printf '%-46s %9s %9s %14s\n' '' 'wall s' 'CPU s' 'listens/s'
awk -F'\t' -v n="$listens" '
	!($1 in wall) { order[++k] = $1 }
	!($1 in wall) || $3 < wall[$1] { wall[$1] = $3; cpu[$1] = $4; share[$1] = $2 }
	END { for (i = 1; i <= k; i++) { m = order[i]
		printf("%-46s %9.2f %9.2f %14d%s\n", m, wall[m], cpu[m], n / wall[m],
			(share[m] > 1) ? "  (1/" share[m] " read)" : "") } }' "$work/times"
