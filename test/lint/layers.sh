#!/bin/sh
#
# layers.sh
#		The include rule: which room may know which.
#
#	sh test/lint/layers.sh [DIR]		check the checkout at DIR (default: .)
#	sh test/lint/layers.sh --self-test	break each rule once, see it told
#
# src/core knows libc, libm, pthreads and the CPU, nothing else, and cblas.h
# in one file at most; it does not allocate, print or exit.  src/pg knows the
# server and src/core.  src/convert knows neither.  So core can be tested
# without a server and no longjmp out of the server can leak its memory.
LC_ALL=C
export LC_ALL

# What src/core may include besides its own files.
core_may='assert cpuid errno float immintrin limits math pthread sched signal
stdalign stdatomic stdbool stddef stdint stdio stdlib string unistd cblas
arm_neon sys/syscall asm/prctl sys/auxv'

# What it may not call.  snprintf into a caller's buffer is no output.
core_may_not='malloc calloc realloc free aligned_alloc posix_memalign memalign
strdup strndup mmap printf fprintf vprintf vfprintf puts fputs perror
fopen exit _exit abort longjmp setjmp siglongjmp sigsetjmp ereport elog palloc
pfree'

# The server's headers, by folder or by name.
server='postgres\.h|postgres_ext\.h|c\.h|fmgr\.h|funcapi\.h|miscadmin\.h|pgstat\.h|(access|catalog|commands|common|executor|foreign|lib|libpq|mb|nodes|optimizer|parser|port|portability|storage|tcop|utils)/[a-z_/]*\.h'

check()
(
	cd "$1" || exit 1
	bad=0

	tell()
	{
		echo "$1: $2"
		bad=1
	}

	# Prints "file:line:what is included" for files that match the pattern.
	includes()
	{
		grep -En '^[[:space:]]*#[[:space:]]*include' /dev/null "$@" |
			sed -E 's/^([^:]*:[0-9]+):[^<"]*([<"])([^>"]*).*/\1 \2 \3/'
	}

	set -- src/core/*.[ch]
	if [ -e "$1" ]; then
		includes "$@" | while read -r where kind what; do
			if [ "$kind" = '"' ]; then
				[ -e "src/core/${what#core/}" ] ||
					echo "$where: src/core includes \"$what\", which is not in src/core"
			else
				case " $(echo $core_may) " in
				*" ${what%.h} "*) ;;
				*) echo "$where: src/core includes <$what>, which is not among what it may" ;;
				esac
			fi
		done >"$tmp/told"
		while read -r line; do tell "${line%%: *}" "${line#*: }"; done <"$tmp/told"

		if [ "$(grep -lE 'include.*cblas\.h' "$@" | wc -l)" -gt 1 ]; then
			tell src/core "cblas.h is included by more than one file"
		fi

		calls=$(echo $core_may_not | tr ' ' '|')
		for file in "$@"; do
			# The preprocessor takes the comments out and keeps the lines.
			${CC:-cc} -fpreprocessed -dD -E -P -x c "$file" 2>/dev/null |
				sed -E 's/"([^"\\]|\\.)*"/""/g' |
				grep -E "(^|[^A-Za-z0-9_.>])($calls)[[:space:]]*\(" >"$tmp/told" &&
				tell "$file" "src/core calls $(sed -E 's/^[[:space:]]*//; s/[[:space:]]+/ /g; q' "$tmp/told")"
		done
	fi

	set -- src/pg/*.[ch]
	if [ -e "$1" ]; then
		includes "$@" | grep -E '(convert/|/?cv[_a-z]*\.h|cblas\.h)' >"$tmp/told"
		while read -r where kind what; do
			tell "$where" "src/pg includes $what"
		done <"$tmp/told"
	fi

	set -- src/convert/*.c src/convert/*.h src/convert/*.cpp
	if [ -e "$1" ]; then
		includes "$@" 2>/dev/null |
			grep -E " ((\.\./)?(core|pg)/.*|lb_.*|lbrec.*|$server)\$" >"$tmp/told"
		while read -r where kind what; do
			tell "$where" "src/convert includes $what"
		done <"$tmp/told"
	fi

	set -- test/unit/*.[ch]
	if [ -e "$1" ]; then
		includes "$@" | grep -E " ((\.\./)*(src/)?pg/.*|$server)\$" >"$tmp/told"
		while read -r where kind what; do
			tell "$where" "a unit test includes $what"
		done <"$tmp/told"
	fi
	exit $bad
)

# Each rule broken by one line in one file; and a tree that breaks none.
self_test()
{
	tree=$tmp/tree
	failed=0
	while IFS='|' read -r file line; do
		rm -rf "$tree"
		mkdir -p "$tree/src/core" "$tree/src/pg" "$tree/src/convert" "$tree/test/unit"
		printf '#include <math.h>\n#include "lb_a.h"\n/* malloc(1) */\nfloat lb_a(float x) { return lb_free(x); }\n' >"$tree/src/core/lb_a.c"
		printf '#include <cblas.h>\n' >"$tree/src/core/lb_a.h"
		printf '#include "postgres.h"\n#include "core/lb_a.h"\n' >"$tree/src/pg/a.c"
		printf '#include <libpq-fe.h>\n#include "cv.h"\n' >"$tree/src/convert/a.c"
		: >"$tree/src/convert/cv.h"
		printf '#include "core/lb_a.h"\n' >"$tree/test/unit/a.c"
		if [ "$file" = none ]; then
			check "$tree" || { echo "self-test: told of a fault where is none"; failed=1; }
		else
			printf '%s\n' "$line" >"$tree/$file"
			if told=$(check "$tree") || [ -z "$told" ]; then
				echo "self-test: \"$line\" in $file was not found"
				failed=1
			fi
		fi
	done <<-'EOT'
		none|
		src/core/lb_b.c|#include "postgres.h"
		src/core/lb_b.c|#include "../pg/lbrec.h"
		src/core/lb_b.c|#include <syslog.h>
		src/core/lb_b.c|#include <cblas.h>
		src/core/lb_b.h|  # include <utils/elog.h>
		src/core/lb_b.c|int f(void) { char *p = malloc (1); return 0; }
		src/core/lb_b.c|int f(void) { return 1; } void g(void) { exit(1); }
		src/core/lb_b.c|void f(void) { printf("a"); }
		src/pg/b.c|#include "convert/cv.h"
		src/pg/b.c|#include "../convert/cv_text.h"
		src/pg/b.c|#include <cblas.h>
		src/convert/b.c|#include "core/lb_a.h"
		src/convert/b.cpp|#include "../core/lb_a.h"
		src/convert/b.c|#include "postgres.h"
		src/convert/b.c|#include "utils/builtins.h"
		test/unit/b.c|#include "postgres.h"
	EOT
	return $failed
}

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
if [ "$1" = --self-test ]; then
	self_test && echo 'layers: each broken rule was told'
else
	check "${1:-.}" && echo 'layers: kept'
fi
