#!/bin/sh
#
# check.sh
#		Runs every test of lbrec, from a bare checkout on Debian.
#
#	sh test/check.sh [--keep] [STEP...]
#
# Steps: lint build unit cross parity install regress tap sanitize package.
# Some of them need build and install, which then run too.  Nothing is left behind, unless
# --keep: see lib.sh for where it all happens.  The server is the one that
# PG_CONFIG names, or Debian's.
#
# The last line, "N passed, N failed", counts unit programs, parity cases,
# regress tests, TAP tests, and commands that must succeed.  The exit code is 0
# if none failed.

. "$(dirname "$0")/lib.sh"

all_steps='lint build unit cross parity install regress tap sanitize package'
parts=
prove_options="-v --merge"
for arg in "$@"; do
	case $arg in
	--keep) keep=yes ;;
	-h | --help) show_help ;;
	*)
		case " $all_steps " in
		*" $arg "*) parts="$parts $arg" ;;
		*) die "unknown step \"$arg\"; there are: $all_steps" ;;
		esac
		;;
	esac
done
[ -n "$parts" ] || parts=$all_steps

skipped=0

# limit for a step, in seconds: one that hangs fails, and the others still run
limit=900

# command_step NAME COMMAND...: a step whose log has its name.
command_step()
{
	log_name=$1
	shift
	step "$log_name" "$log_name" "$@"
}

# verdict NAME PASSED FAILED [MORE]: counts and prints a step's result.
verdict()
{
	count "$2" "$3"
	word=ok
	[ "$3" = 0 ] || word=FAILED
	printf '  %-34s %-7s %6s s  %s passed, %s failed%s\n' "$1" $word "$(since "$start")" "$2" "$3" "${4:-}"
}

# One file of TAP tests; $1 its name in the log, $2 the file, then settings.
tap_file()
{
	name=$1
	file=$2
	shift 2
	start=$(now)
	status=0
	tap "$work/log/$name" "$file" "$@" || status=$?
	s=$(grep -cE '^ok .*# *(skip|SKIP)' "$log")
	p=$(grep -cE '^ok ' "$log")
	f=$(grep -E '^not ok ' "$log" | grep -cvE '# *TODO')
	p=$((p - s))
	if grep -q "skipped: " "$log" && [ $((p + f + s)) = 0 ]; then
		s=1
	else
		[ "$f" -gt 0 ] || [ "$status" = 0 ] || f=1
		[ $((p + f + s)) -gt 0 ] || f=1
	fi
	skipped=$((skipped + s))
	verdict "$name" "$p" "$f" "$([ "$s" = 0 ] || echo ", $s skipped")"
	if [ "$f" != 0 ]; then
		grep -nE -A 12 '^not ok' "$log" | head -n 60 | sed 's/^/    /'
		tail -n 30 "$log" | sed 's/^/    /'
		find "$dir" -name '*.log' -newer "$work/start" 2>/dev/null | head -n 3 | while read -r l; do
			say "    $l:"
			tail -n 10 "$l" | sed 's/^/      /'
		done
	fi
}

# The package's test must not see the server's copy.
given_path=$PATH
given_config=${PG_CONFIG:-}

begun=$(now)
say "lbrec: all tests, in a folder of their own${PG_CONFIG:+, with $PG_CONFIG}"

# optional_packages: pgvector and pg_cron for Debian's server, where Debian has
# them; 041_vector.pl compares with the one, 050_docs.pl runs examples of both
optional_packages()
{
	[ -z "${PG_CONFIG:-}" ] && wanted tap && command -v apt-cache >/dev/null || return 0
	for package in $(packages_for_server | sed -n 's/^\(postgresql-[0-9]*\) .*/\1-pgvector \1-cron/p'); do
		apt-cache show "$package" 2>/dev/null | sed -n '1s/^Package: //p'
	done
}

# shellcheck disable=SC2046,SC2086
install_packages $build_packages libjansson-dev zstd xz-utils perl libipc-run-perl \
	libopenblas0-pthread $(! wanted cross || echo "$cross_packages") \
	$(! wanted lint || echo pg-bsd-indent) $(! wanted tap || echo python3-numpy) $(packages_for_server) $(optional_packages) || exit 2
printf '  %-34s ok      %6s s\n' packages "$(since "$begun")"

start=$(now)
make_place
: >"$work/start"
printf '  %-34s ok      %6s s\n' 'copies of sources and server' "$(since "$start")"
say "  $("$PG_CONFIG" --version), $(gcc --version | head -n 1), $jobs processors"

if wanted lint; then
	command_step layers make layers PG_CONFIG="$PG_CONFIG"
	command_step version make version-check PG_CONFIG="$PG_CONFIG"
	command_step format make format-check PG_CONFIG="$PG_CONFIG"
	command_step errors make errors-check PG_CONFIG="$PG_CONFIG"
fi

# A build with warnings as errors; without it the rest would only repeat the
# same complaint.
need_build=
for s in build install regress tap parity; do
	! wanted $s || need_build=yes
done
if [ -n "$need_build" ]; then
	command_step build make -s -j"$jobs" all make-dump PG_CONFIG="$PG_CONFIG" || need_build=failed
fi

if wanted unit; then
	start=$(now)
	status=0
	run "$work/log/unit" make -s -k -j"$jobs" unit PG_CONFIG="$PG_CONFIG" || status=$?
	# Each test_*.c is two programs; one that says nothing has failed.
	p=$(grep -cE ': [1-9][0-9]* passed, 0 failed$' "$work/log/unit")
	n=$(find "$work/src/test/unit" -name 'test_*.c' | wc -l)
	f=$((2 * n - p))
	[ "$f" -gt 0 ] || [ $status = 0 ] || f=1
	verdict unit "$p" "$f" "$(awk '/ passed, [0-9]+ failed$/ { n += $2 } END { printf " (programs, of %d checks)", n }' "$work/log/unit")"
	[ "$f" = 0 ] || tail -n 60 "$work/log/unit" | sed 's/^/    /'
fi

if wanted unit; then
	command_step convert-unit make -s -j"$jobs" convert-unit PG_CONFIG="$PG_CONFIG"
fi

# Other CPUs, emulated: a short part; test/matrix.sh arm64 has all of it.
if wanted cross; then
	start=$(now)
	status=0
	run "$work/log/cross" make -s -j"$jobs" cross-short PG_CONFIG="$PG_CONFIG" || status=$?
	p=$(grep -cE ': [1-9][0-9]* passed, 0 failed$|is refused$' "$work/log/cross")
	f=$((14 - p))
	[ "$f" -gt 0 ] || [ $status = 0 ] || f=1
	verdict cross "$p" "$f"
	[ "$f" = 0 ] || tail -n 60 "$work/log/cross" | sed 's/^/    /'
fi

if wanted parity && [ "$need_build" = yes ]; then
	for set in "$top/test/parity/cases" "$top/../shared/parity"; do
		case $set in
		*/shared/*) name=parity-shared ;;
		*) name=parity ;;
		esac
		if [ ! -d "$set" ]; then
			[ $name = parity ] || say "  $name: there is no ../shared/parity beside the checkout, nothing to replay"
			continue
		fi
		as mkdir -p "$work/vectors/$name"
		(cd "$set" && tar -cf - .) | as tar -C "$work/vectors/$name" --no-same-owner -xf -
		for kernels in '' blas; do
			replay=$name${kernels:+-$kernels}
			start=$(now)
			status=0
			run "$work/log/$replay" env ${kernels:+"LBREC_CPU=$kernels"} \
				make -s parity PG_CONFIG="$PG_CONFIG" VECTORS="$work/vectors/$name" || status=$?
			p=$(grep -cE '^[^ ]+ loss .* ok$' "$work/log/$replay")
			f=$(grep -cE '^[^ ]+ .*FAILED$' "$work/log/$replay")
			[ "$f" -gt 0 ] || [ $status = 0 ] || f=1
			[ $((p + f)) -gt 0 ] || f=1
			verdict "$replay" "$p" "$f"
			sed 's/^/    /' "$work/log/$replay"
		done
	done
fi

if [ "$need_build" = yes ] && { wanted install || wanted regress || wanted tap; }; then
	command_step install make -s install PG_CONFIG="$PG_CONFIG" || need_build=failed
fi

# With the best kernels of this machine, and with OpenBLAS'.
if wanted regress && [ "$need_build" = yes ]; then
	for kernels in '' blas; do
		name=regress${kernels:+-$kernels}
		start=$(now)
		status=0
		regress "$work/log/$name" || status=$?
		# "test a ... ok" to PostgreSQL 15, "ok 1 - a" from 16.
		p=$(grep -cE '^(test .*\.\.\. ok|ok [0-9]+ )' "$work/log/$name")
		f=$(grep -cE '^(test .*\.\.\. FAILED|not ok [0-9]+ )' "$work/log/$name")
		[ "$f" -gt 0 ] || [ $status = 0 ] || f=1
		[ $((p + f)) -gt 0 ] || f=1
		verdict "$name" "$p" "$f"
		if [ "$f" != 0 ]; then
			tail -n 20 "$work/log/$name" | sed 's/^/    /'
			head -n 150 "$work/src/regression.diffs" 2>/dev/null | sed 's/^/    /'
			tail -n 20 "$work/regress/log/postmaster.log" 2>/dev/null | sed 's/^/    /'
		fi
	done
	kernels=
fi

if wanted tap && [ "$need_build" = yes ]; then
	copy_vectors
	for file in "$work"/src/test/t/*.pl; do
		[ ! -e "$file" ] || tap_file "$(basename "${file%.*}")" "$file"
	done
fi

# The converter reads untrusted files: runs its tests again under sanitizers,
# and replays what fuzzers found.
if wanted sanitize; then
	command_step fuzz-corpus make -s -j"$jobs" fuzz-replay PG_CONFIG="$PG_CONFIG"
	if command_step convert-asan make -s -j"$jobs" convert-asan PG_CONFIG="$PG_CONFIG"; then
		for file in "$work"/src/test/t/*_convert_lines.pl "$work"/src/test/t/*_convert_archives.pl; do
			[ ! -e "$file" ] || tap_file "$(basename "${file%.*}")-sanitized" "$file" \
				LBREC_CONVERT="$work/src/build/convert-asan/lbrec-convert"
		done
	fi
fi

# Debian's packages, as its own tools build them: on Debian, for its server.
if wanted package; then
	start=$(now)
	if ! command -v dpkg-query >/dev/null || [ -n "$given_config" ]; then
		skipped=$((skipped + 1))
		say '  package: skipped: it is made for the server of Debian, and PG_CONFIG names another, or this is not Debian'
	else
		log=$work/log/package
		status=0
		env -u PG_CONFIG PATH="$given_path" sh "$top/test/package.sh" --quick >"$log" 2>&1 </dev/null || status=$?
		set -- $(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log")
		[ $# = 2 ] && { [ "$2" -gt 0 ] || [ $status = 0 ]; } || set -- 0 1
		verdict package "$1" "$2"
		[ "$2" = 0 ] || sed 's/^/    /' "$log"
	fi
fi

say "all in $(since "$begun") s$([ $skipped = 0 ] || echo "; $skipped tests were skipped")"
trap 'cleanup >/dev/null' EXIT
[ -z "$keep" ] || say "kept: $work"
say "$passed passed, $failed failed"
[ "$failed" = 0 ]
