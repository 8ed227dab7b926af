#!/bin/sh
#
# layers.sh
#		Checks which room includes which.
#
#	sh test/lint/layers.sh [DIR]		check the checkout at DIR (default: .)
#	sh test/lint/layers.sh --self-test	break each rule once, see it told
#
# src/core knows libc, libm, pthreads and the CPU, nothing else; it does not
# allocate, print or exit.  Its rooms are ordered, and no two of its files
# include each other, even through others.  src/pg knows the server and
# src/core.  src/convert knows neither.  So core can be tested without a
# server, and a longjmp out of the server cannot leak its memory.
#
# src/pg has nine rooms.  A file includes only files of its own room or of a
# lower one, and no file includes itself through others.
LC_ALL=C
export LC_ALL

# System headers that src/core may include.
core_may='assert cpuid errno float immintrin limits math pthread sched signal
stdalign stdatomic stdbool stddef stdint stdio stdlib string unistd
arm_neon sys/auxv'

# Headers that one room may include besides: it loads a library.
openblas_may='dlfcn fcntl'

# The rooms of src/core, each with the rooms that it may include besides itself
# and the files of src/core itself.
core_rooms='.:
kernels:
scan: kernels
model: kernels scan
score: scan model
openblas: kernels'

# Functions that it may not call.  snprintf into a caller's buffer is no output.
core_may_not='malloc calloc realloc free aligned_alloc posix_memalign memalign
strdup strndup mmap printf fprintf vprintf vfprintf puts fputs perror
fopen exit _exit abort longjmp setjmp siglongjmp sigsetjmp ereport elog palloc
pfree'

# The server's headers, by folder or by name.
server='postgres\.h|postgres_ext\.h|c\.h|fmgr\.h|funcapi\.h|miscadmin\.h|pgstat\.h|(access|catalog|commands|common|executor|foreign|lib|libpq|mb|nodes|optimizer|parser|port|portability|storage|tcop|utils)/[a-z_/]*\.h'

# The rooms of src/pg, the lowest first.
rooms='server listens store model image evaluate serve train sql'

# Rooms that do not see one another although one stands below.
apart='store:listens evaluate:image'

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

	set -- src/core/*.[ch] src/core/*/*.[ch]
	if [ -e "$1" ]; then
		includes "$@" | while read -r where kind what; do
			if [ "$kind" = '"' ]; then
				[ -e "src/core/${what#core/}" ] ||
					echo "$where: src/core includes \"$what\", which is not in src/core"
			else
				may=$core_may
				case $where in src/core/openblas/*) may="$may $openblas_may" ;; esac
				case " $(echo $may) " in
				*" ${what%.h} "*) ;;
				*) echo "$where: src/core includes <$what>, which is not among what it may" ;;
				esac
			fi
		done >"$tmp/told"
		while read -r line; do tell "${line%%: *}" "${line#*: }"; done <"$tmp/told"

		includes "$@" | sed -n 's/:[0-9]* " core\// /p' >"$tmp/arrows"
		while read -r file what; do
			room=${file#src/core/}
			case $room in */*) room=${room%%/*} ;; *) room=. ;; esac
			to=.
			case $what in */*) to=${what%%/*} ;; esac
			may=$(echo "$core_rooms" | sed -n "s/^$room://p")
			case " $room . $may " in
			*" $to "*) ;;
			*) tell "$file" "the room $room of src/core includes $what" ;;
			esac
		done <"$tmp/arrows"
		# a file and its header are one
		sed -E 's/^src\/core\///; s/\.[ch]( |$)/\1/g' "$tmp/arrows" |
			tsort 2>&1 >/dev/null |
			sed -n 's/^tsort: \([^-].*\)/\1/p' >"$tmp/told"
		if [ -s "$tmp/told" ]; then
			tell src/core "files include one another: $(echo $(cat "$tmp/told"))"
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

	set -- src/pg/*.[ch] src/pg/*/*.[ch]
	for file in "$@"; do
		case $file in
		src/pg/\** | src/pg/*/\**) ;;
		src/pg/*/*)
			case " $rooms " in
			*" $(basename "$(dirname "$file")") "*) ;;
			*) tell "$file" "src/pg has no such room" ;;
			esac
			;;
		*) tell "$file" "stands in no room of src/pg" ;;
		esac
	done
	includes "$@" 2>/dev/null | grep -E '(convert/|/?cv[_a-z]*\.h|cblas\.h)' >"$tmp/told"
	while read -r where kind what; do
		tell "$where" "src/pg includes $what"
	done <"$tmp/told"
	includes "$@" 2>/dev/null | awk -v rooms="$rooms" -v apart="$apart" '
		BEGIN {
			n = split(rooms, r, " ")
			for (i = 1; i <= n; i++) floor[r[i]] = i
			n = split(apart, a, " ")
			for (i = 1; i <= n; i++) blind[a[i]] = 1
		}
		$2 == "\"" && $3 !~ /^(pg|core)\// && $3 ~ /\.h$/ && $3 !~ /\// && $3 !~ /^(postgres|fmgr|funcapi|miscadmin|pgstat|plpgsql)\.h$/ {
			print $1 ": includes \"" $3 "\": name it by its room, as \"pg/ROOM/" $3 "\""
		}
		$2 == "\"" && $3 ~ /^pg\/.*\// {
			split($1, p, "/"); split($3, q, "/")
			if (!(q[2] in floor)) print $1 ": there is no room " q[2]
			else if (floor[q[2]] > floor[p[3]]) print $1 ": " p[3] " includes " $3 ", which stands above it"
			else if ((p[3] ":" q[2]) in blind) print $1 ": " p[3] " must not see " q[2]
			from = p[3] "/" p[4]; sub(/\.[ch]:.*/, "", from)
			to = q[2] "/" q[3]; sub(/\.h$/, "", to)
			if (from != to) edge[from, to] = from
			if (from != to) { out[from] = out[from] " " to; subject[from] = 1; subject[to] = 1 }
		}
		# A subject that no longer includes another can be in no circle.
		END {
			do {
				gone = 0
				for (s in subject) {
					m = split(out[s], o, " "); open = 0
					for (i = 1; i <= m; i++) if (o[i] in subject) open = 1
					if (!open) { delete subject[s]; gone = 1 }
				}
			} while (gone)
			do {
				gone = 0
				for (s in subject) used[s] = 0
				for (s in subject) { m = split(out[s], o, " "); for (i = 1; i <= m; i++) if (o[i] in subject) used[o[i]] = 1 }
				for (s in subject) if (!used[s]) { delete subject[s]; gone = 1 }
			} while (gone)
			for (s in subject) print "src/pg/" s ": is part of a circle of includes:" out[s]
		}' | sort >"$tmp/told"
	while read -r line; do tell "${line%%: *}" "${line#*: }"; done <"$tmp/told"

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
		mkdir -p "$tree/src/core/kernels" "$tree/src/core/scan" "$tree/src/pg/server" "$tree/src/pg/listens" "$tree/src/pg/store" "$tree/src/pg/model" "$tree/src/convert" "$tree/test/unit"
		printf '#include <math.h>\n#include "lb_a.h"\n/* malloc(1) */\nfloat lb_a(float x) { return lb_free(x); }\n' >"$tree/src/core/lb_a.c"
		printf '#include <stdint.h>\n' >"$tree/src/core/lb_a.h"
		printf '#include "postgres.h"\n#include "core/lb_a.h"\n' >"$tree/src/pg/server/a.h"
		printf '#include "pg/server/a.h"\n#include "pg/model/a.h"\n#include "utils/uuid.h"\n' >"$tree/src/pg/model/a.c"
		printf '#include "pg/server/a.h"\n' >"$tree/src/pg/model/a.h"
		printf '#include "pg/model/a.h"\n' >"$tree/src/pg/model/c.h"
		printf '#include "core/lb_a.h"\n' >"$tree/src/core/kernels/a.h"
		printf '#include "core/kernels/a.h"\n' >"$tree/src/core/kernels/b.h"
		printf '#include "core/kernels/b.h"\n' >"$tree/src/core/scan/a.h"
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
		src/core/lb_b.c|#include <dlfcn.h>
		src/core/lb_b.c|#include <cblas.h>
		src/core/lb_b.c|#include "core/kernels/a.h"
		src/core/kernels/b.c|#include "core/scan/a.h"
		src/core/kernels/a.h|#include "core/kernels/b.h"
		src/core/lb_b.h|  # include <utils/elog.h>
		src/core/lb_b.c|int f(void) { char *p = malloc (1); return 0; }
		src/core/lb_b.c|int f(void) { return 1; } void g(void) { exit(1); }
		src/core/lb_b.c|void f(void) { printf("a"); }
		src/pg/server/b.c|#include "convert/cv.h"
		src/pg/server/b.c|#include "../convert/cv_text.h"
		src/pg/server/b.c|#include <cblas.h>
		src/pg/b.c|#include "postgres.h"
		src/pg/server/b.c|#include "pg/model/a.h"
		src/pg/store/b.c|#include "pg/listens/a.h"
		src/pg/server/b.c|#include "pg/attic/a.h"
		src/pg/model/b.c|#include "a.h"
		src/pg/model/a.h|#include "pg/model/c.h"
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
