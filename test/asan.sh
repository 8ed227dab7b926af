#!/bin/sh
#
# asan.sh
#		Runs the regress suite on a server whose lbrec.so is built with the
#		address and undefined-behaviour sanitizers.
#
#	sh test/asan.sh [--keep] [TEST...]
#
# A copy of the server, as in check.sh.  Its `postgres` is started with the
# sanitizers' runtimes before anything else, and ends at the first finding.
# To them the memory of a palloc context is one block: valgrind.sh and core's
# unit tests find other errors.  Takes twice as long as the suite itself, after
# a build of some minutes.
#
# The runtime calls bindtextdomain() before the C library has its locks, and
# PostgreSQL's first call would wait for ever: messages stay untranslated.

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
install_packages $build_packages $(packages_for_server) || exit 2
make_place
export CONVERT=no

flags='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
# -O1: the kernels at -O3 under sanitizers take minutes each
run "$work/log/build" make -j"$jobs" PG_CONFIG="$PG_CONFIG" COPT="$flags" \
	SHLIB_LINK="$flags -lpthread -lm" \
	CORE_CFLAGS='-O1 -fno-math-errno -fno-trapping-math -ffp-contract=off' install || {
	tail -n 20 "$work/log/build"
	die "could not build"
}
cat >"$work/untranslated.c" <<-'EOT'
	char *bindtextdomain(const char *d, const char *p) { (void) d; return (char *) p; }
	char *textdomain(const char *d) { return (char *) d; }
	char *dcgettext(const char *d, const char *m, int c) { (void) d; (void) c; return (char *) m; }
	char *dgettext(const char *d, const char *m) { (void) d; return (char *) m; }
	char *gettext(const char *m) { return (char *) m; }
EOT
run "$work/log/untranslated" gcc -shared -fPIC -o "$work/tmp/untranslated.so" "$work/untranslated.c" ||
	die "could not build: $(tail -n 3 "$work/log/untranslated")"

# The server's programs start `postgres` by this name.
as mv "$bin/postgres" "$bin/postgres.real"
cat >"$work/wrapper" <<-EOT
	#!/bin/bash
	export LD_PRELOAD=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so):$work/tmp/untranslated.so
	export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1
	exec -a "\$0" "$bin/postgres.real" "\$@"
EOT
as cp "$work/wrapper" "$bin/postgres"
as chmod 755 "$bin/postgres"

status=0
start=$(now)
# shellcheck disable=SC2086
regress "$work/log/regress" $tests || status=1
grep -E '^(test|ok|not ok) |^ok ' "$work/log/regress"
[ $status = 0 ] || tail -n 40 "$work/src/regression.diffs" 2>/dev/null
grep -ahE -A 20 'runtime error:|ERROR: AddressSanitizer' "$work/src/log/postmaster.log" "$work/regress/log/postmaster.log" 2>/dev/null && status=1
say "$(gcc --version | head -n 1), $("$PG_CONFIG" --version): $([ $status = 0 ] && echo nothing found || echo 'see above'), in $(since "$start") s"
trap 'cleanup >/dev/null' EXIT
[ $status = 0 ]
