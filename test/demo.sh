#!/bin/sh
#
# demo.sh
#		From a ListenBrainz dump to recommendations, on a server of its own.
#
#	sh test/demo.sh [--keep] [--output DIR] [DUMP]
#
# DUMP is a listens dump: an archive, a folder or a .listens file.  Without
# one, a dump of invented listens is made, of the shape of the preprint's data.
# Three models are trained as the preprint trained them, its Table 1 and its two
# figures are made anew, and three users get recommendations.
#
# The figures go to DIR (default: build/demo).  --keep leaves the server
# running and tells how to connect.  PG_CONFIG chooses the server's version.
# Packages that are missing are installed; all else happens in one folder
# under /tmp that is gone at the end.

. "$(dirname "$0")/lib.sh"

output=$top/build/demo
dump=
while [ $# -gt 0 ]; do
	case $1 in
	--keep) keep=yes ;;
	--output)
		[ $# -ge 2 ] || die "--output needs a folder"
		shift
		output=$1
		;;
	--output=*) output=${1#*=} ;;
	-h | --help) show_help ;;
	-*) die "unknown option $1; try --help" ;;
	*)
		[ -z "$dump" ] || die "one dump only, please"
		dump=$1
		;;
	esac
	shift
done
if [ -n "$dump" ]; then
	[ -r "$dump" ] || die "cannot read $dump"
	dump=$(cd "$(dirname "$dump")" && pwd)/$(basename "$dump")
fi
mkdir -p "$output" || die "cannot make the folder $output"

times=
begin()
{
	start=$(now)
	part=$1
	say
	say "== $1"
}

finish()
{
	times="$times$(since "$start")	$part
"
}

# sql NAME TEXT [OPTION...]: prints what psql prints.
sql()
{
	name=$1
	text=$2
	shift 2
	printf '%s\n' "$text" | as tee "$work/$name.sql" >/dev/null
	must "$name.out" psql "$@" -X -q -v ON_ERROR_STOP=1 -P pager=off -h "$work/run" -d music -f "$work/$name.sql"
	cat "$work/log/$name.out"
}

value() { sql "$1" "$2" -At; }

say "lbrec: the main job, in a folder of its own${PG_CONFIG:+, with $PG_CONFIG}"

# shellcheck disable=SC2046,SC2086
install_packages $build_packages $(packages_for_server) || exit 2

begun=$(now)
make_work
begin 'copying sources and server'
copy_server
copy_tree
say "$("$PG_CONFIG" --version), $jobs processors"
finish

begin 'building and installing (in the copy)'
must build make -s -j"$jobs" all make-dump PG_CONFIG="$PG_CONFIG"
must install make -s install PG_CONFIG="$PG_CONFIG"
finish

if [ -z "$dump" ]; then
	begin 'making a dump of invented listens'
	dump=$work/listenbrainz-listens-dump-789-20220315-040002-full.tar.zst
	must report build/make_dump -o "$dump"
	awk -F '\t' '/^(listens|recordings|artists|users)\t/ { printf "%s %s; ", $2, $1 }
		/^bytes\t/ { printf "%.2f GB of lines\n", $2 / 1e9 }
		/^malformed/ { n += $2 } END { print n " lines are damaged, as some of 2022 were" }' "$work/log/report"
	invented=yes
	finish
else
	invented=
fi

begin 'starting a server'
as mkdir -m 700 "$work/run"
must initdb initdb -D "$work/data" -A trust -E UTF8 --locale=C.UTF-8 --no-sync
# A cluster to throw away: nothing of it needs to survive a crash.
as tee -a "$work/data/postgresql.conf" >/dev/null <<-EOT
	listen_addresses = ''
	unix_socket_directories = '$work/run'
	unix_socket_permissions = 0700
	shared_buffers = 256MB
	work_mem = 128MB
	fsync = off
	full_page_writes = off
	synchronous_commit = off
	wal_level = minimal
	max_wal_senders = 0
	max_wal_size = 4GB
	autovacuum = off
EOT
must start pg_ctl -D "$work/data" -l "$work/log/server" -w start
must createdb createdb -h "$work/run" music
finish

begin 'loading: lbrec-convert DUMP | psql music'
# A dump that the unprivileged user may not open comes through standard input.
from=$dump
if ! as test -r "$dump" || { [ -d "$dump" ] && ! as test -x "$dump"; }; then
	[ -f "$dump" ] || die "the folder $dump must be readable for the user $user"
	from=-
	exec 3<"$dump"
else
	exec 3</dev/null
fi
# Rejected lines are no failure: exit code 1.  The two programs' codes both count.
must load sh -c 'exec 2>&1
	{ ./lbrec-convert "$1" <&3 2>"$2/log/convert"; echo $? >"$2/converted"; } |
	psql -X -q -v ON_ERROR_STOP=1 -h "$2/run" -d music || { tail -n 20 "$2/log/convert"; exit 1; }
	test "$(cat "$2/converted")" -le 1 || { cat "$2/log/convert"; exit 1; }' load "$from" "$work"
exec 3<&-
grep -vE 'warning|hint|left:' "$work/log/convert"
sql analyze 'ANALYZE; CREATE EXTENSION lbrec;'
sql counts "SELECT count(*) AS listens, count(DISTINCT user_id) AS users,
	(SELECT count(*) FROM recording) AS recordings,
	pg_size_pretty(pg_database_size('music')) AS database FROM listen;"
finish

# The paper's protocol takes the first 90,000 lines of the dump, which is in
# the order of time.  Many have the same time, 0: then the order of the file is
# that of the rows in the table, just loaded.  A sort costs 4 s; without it the
# join would be free to change the order.
listens='SELECT user_id, listened_at, recording_msid, artist_name
  FROM listen JOIN recording USING (recording_msid)
  ORDER BY listened_at, listen.ctid'

for layers in 32 64,32 128,64,32; do
	model=paper-$(echo $layers | tr , -)
	begin "training $model"
	text="SELECT * FROM lbrec_train('$model', listens => '$listens',
  preset => 'paper', layers => '{$layers}', epochs => 30, seed => 42)"
	say "$text;"
	sql "$model" "SELECT epoch, round(loss::numeric, 1) AS loss, round(test_loss::numeric, 1) AS test_loss,
		round(top_1::numeric, 4) AS top_1, round(top_10::numeric, 4) AS top_10, round(top_100::numeric, 4) AS top_100
		FROM ($text) AS t WHERE epoch = 1 OR top_100 IS NOT NULL;"
	finish
done

begin 'results'
say "Top-K accuracy after 30 epochs: how often, of 10,000 test listens, the recording"
say "is among the K that score highest of all."
[ -z "$invented" ] ||
	say "The preprint's figures are for other, real data: nearness to them proves nothing."
sql table "SELECT k AS \"K\", t.preprint AS \"preprint {32}\",
	max(round(v::numeric, 3)) FILTER (WHERE name = 'paper-32') AS \"here {32}\",
	max(round(v::numeric, 3)) FILTER (WHERE name = 'paper-64-32') AS \"here {64,32}\",
	max(round(v::numeric, 3)) FILTER (WHERE name = 'paper-128-64-32') AS \"here {128,64,32}\"
FROM (SELECT DISTINCT ON (m.name) m.name, top_1, top_5, top_10, top_50, top_100
		FROM lbrec.model AS m JOIN lbrec.epoch AS e ON e.model = m.id
		WHERE e.top_100 IS NOT NULL ORDER BY m.name, m.version DESC, e.epoch DESC) AS m,
	LATERAL (VALUES (1, 0.004, top_1), (5, 0.037, top_5), (10, 0.098, top_10),
		(50, 0.376, top_50), (100, 0.505, top_100)) AS t (k, preprint, v)
GROUP BY 1, 2 ORDER BY 1;"
say "The preprint's other shapes, from its Figure 3: K = 100, {64,32} 0.434, {128,64,32} 0.257."
for figure in loss top_100; do
	value "$figure" "SELECT lbrec_curves_svg('{paper-32,paper-64-32,paper-128-64-32}', '$figure');" >"$output/$figure.svg"
	say "written: $output/$figure.svg"
done
finish

begin 'recommendations'
# For the time of the listens that the models know, not for today.
at=$(value at "SELECT listened_at FROM (SELECT listened_at FROM listen ORDER BY 1 LIMIT 90000) AS l ORDER BY 1 DESC LIMIT 1;")
users=$(value users "SELECT user_id FROM (SELECT user_id FROM listen ORDER BY listened_at, ctid LIMIT 40000) AS l
	GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 3;")
for u in $users; do
	say
	say "User $u has listened most to $(value played "SELECT string_agg(artist_name, ', ' ORDER BY n DESC, artist_name)
		FROM (SELECT artist_name, count(*) AS n FROM listen JOIN recording USING (recording_msid)
			WHERE user_id = $u GROUP BY 1 ORDER BY n DESC, 1 LIMIT 5) AS l;").  The model says:"
	sql recommend "SELECT r.rank, t.artist_name, t.track_name, round(r.score::numeric, 2) AS score
	FROM lbrec_recommend($u, 10, model => 'paper-32', at => '$at') AS r
	JOIN recording AS t USING (recording_msid) ORDER BY r.rank;"
done
finish

say
say '== where the time went'
printf '%s' "$times" | awk -F '\t' '{ printf "%8.1f s  %s\n", $1, $2; sum += $1 } END { printf "%8.1f s  all\n", sum }'
if [ -n "$keep" ]; then
	say
	say "The server runs on.  Connect:  $bin/psql -h $work/run -U $(as id -un) music"
	say "Stop and remove it:            kill -INT $(head -n 1 "$work/data/postmaster.pid"); rm -r $work"
fi
