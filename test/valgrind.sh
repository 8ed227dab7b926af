#!/bin/sh
#
# valgrind.sh
#		Runs the regress suite on a server under valgrind.
#
#	sh test/valgrind.sh [--keep] [TEST...]
#
# A copy of the server, as in check.sh, whose `postgres` is run by valgrind.
# An error counts if lbrec.so is in its stack or in that of the block that it
# concerns.  The server alone causes reports that are no errors: it writes the
# padding of structs to files.  PostgreSQL's suppressions for them
# (src/tools/valgrind.supp) name static functions, which Debian's stripped
# server lacks, so they are distinguished by stack, and counted.
#
# Debian's server is built without USE_VALGRIND too: a block is what palloc
# got from malloc, so reading beyond a chunk within it is not seen.
#
# Valgrind 3.19 knows no AVX-512: the kernels are held at AVX2 by lbrec.cpu.
# Takes hours: a training takes about a hundred times as long.  Each test reports
# as it ends.

. "$(dirname "$0")/lib.sh"

tests=
for arg in "$@"; do
	case $arg in
	--keep) keep=yes ;;
	-h | --help) show_help ;;
	*) tests="$tests $arg" ;;
	esac
done

# shellcheck disable=SC2046,SC2086
install_packages $build_packages valgrind libc6-dbg $(packages_for_server) || exit 2
make_place

run "$work/log/build" make -j"$jobs" CONVERT=no PG_CONFIG="$PG_CONFIG" install || {
	tail -n 20 "$work/log/build"
	die "could not build"
}
# The server's programs start `postgres` by this name.
as mv "$bin/postgres" "$bin/postgres.real"
as mkdir "$work/vg"
# shellcheck disable=SC2016
printf '#!/bin/sh\nexec valgrind --quiet --leak-check=no --gen-suppressions=all --trace-children=yes --error-limit=no --log-file=%s/%%p.log --error-markers=BEGIN-ERROR,END-ERROR %s/postgres.real "$@"\n' \
	"$work/vg" "$bin" >"$work/wrapper"
as cp "$work/wrapper" "$bin/postgres"
as chmod 755 "$bin/postgres"

# initdb would take long under valgrind: it gets the real one, and the server
# is started here, not by pg_regress.
as mkdir "$work/sock"
as mv "$bin/postgres" "$bin/postgres.wrapped"
as cp "$bin/postgres.real" "$bin/postgres"
run "$work/log/initdb" initdb -D "$work/data" -A trust --no-locale -E UTF8 -N || die "initdb failed: $(tail -n 3 "$work/log/initdb")"
as rm "$bin/postgres"
as mv "$bin/postgres.wrapped" "$bin/postgres"
as sh -c "cat >>'$work/data/postgresql.conf'" <<-EOT
	listen_addresses = ''
	unix_socket_directories = '$work/sock'
	fsync = off
	autovacuum = off
	lbrec.cpu = 'avx2'
	lbrec.threads = 1
EOT
run "$work/log/start" pg_ctl -D "$work/data" -l "$work/log/server" -w -t 300 start || die "the server did not start: $(tail -n 3 "$work/log/server")"
# count_errors: all of them so far, and those of lbrec, whose text is kept.
count_errors()
{
	cat "$work"/vg/*.log 2>/dev/null | awk -v show="$work/ours" '
		/BEGIN-ERROR/ { block = ""; inside = 1 }
		inside { block = block $0 "\n" }
		/END-ERROR/ { inside = 0; all++; if (block ~ /lbrec\.so|src\/(core|pg)\//) { ours++; printf "%s", block >show } }
		END { print all + 0, ours + 0 }'
}

# One test at a time: if you stop this, you have the verdicts so far.  All in one
# database, as pg_regress has it: to create one takes minutes.
[ -n "$tests" ] || tests=$(cd "$top/test/sql" && ls ./*.sql | sed 's|^\./\(.*\)\.sql$|\1|')
status=0
begun=$(now)
before=0
existing=
for test in $tests; do
	start=$(now)
	word=ok
	run "$work/log/$test" env PGHOST="$work/sock" make installcheck CONVERT=no PG_CONFIG="$PG_CONFIG" REGRESS="$test" \
		EXTRA_REGRESS_OPTS="$existing" || word=FAILED
	existing=--use-existing
	# shellcheck disable=SC2046
	set -- $(count_errors)
	printf '  %-34s %-7s %6s s  %s errors of lbrec\n' "$test" $word "$(since "$start")" $(($2 - before))
	before=$2
	if [ $word = FAILED ]; then
		status=1
		tail -n 5 "$work/log/$test"
		tail -n 40 "$work/src/regression.diffs" 2>/dev/null
	fi
done
# The processes that live on tell of errors when they end too.
run "$work/log/stop" pg_ctl -D "$work/data" -w -t 300 -m fast stop || status=1
# shellcheck disable=SC2046
set -- $(count_errors)
[ ! -s "$work/ours" ] || head -n 120 "$work/ours"
say "valgrind $(valgrind --version | sed 's/valgrind-//'), $("$PG_CONFIG" --version): $2 errors of lbrec, $(($1 - $2)) of the server alone, in $(since "$begun") s"
trap 'cleanup >/dev/null' EXIT
[ "$2" = 0 ] && [ $status = 0 ]
