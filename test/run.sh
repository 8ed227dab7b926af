#!/bin/sh
#
# run.sh
#		Runs some tests of the work tree, as it is built.
#
#	make check [T='NAME...']	regress tests, by default all
#	make prove [T='NAME...']	TAP tests with NAME in their file's name, by default all
#
# The Makefile calls this after the build.  It installs into a copy of the server
# that PG_CONFIG names, and the tests run there on servers of their own: see
# lib.sh.  As root, it does everything but the installation as an unprivileged
# user.  If a test fails, results/, regression.diffs and tmp_check/
# have what it wrote.

. "$(dirname "$0")/lib.sh"

prove_options='--merge --failures --comments'
what=${1:-}
case $what in
check | prove) shift ;;
*) show_help ;;
esac

# The files that are meant, or all.
names=
for t in "$@"; do
	if [ $what = check ]; then
		found=$(cd "$top/test/sql" && ls "$t.sql" 2>/dev/null)
		all=$(cd "$top/test/sql" && echo *.sql)
	else
		found=$(cd "$top/test/t" && ls ./*"$t"*.pl 2>/dev/null | sed 's|^\./||')
		all=$(cd "$top/test/t" && echo *.pl)
	fi
	[ -n "$found" ] || die "there is no test \"$t\"; there are: $(echo "$all" | sed 's/\.\(sql\|pl\)//g')"
	names="$names $found"
done

make_place
for file in lbrec-convert build/make_dump; do
	[ ! -e "$top/$file" ] || as mkdir -p "$work/src/$(dirname $file)"
	[ ! -e "$top/$file" ] || as sh -c "cat >'$work/src/$file' && chmod 755 '$work/src/$file'" <"$top/$file"
done
env -u MAKELEVEL make -s -C "$top" install PG_CONFIG="$PG_CONFIG" >"$work/log/install" 2>&1 || {
	tail -n 20 "$work/log/install"
	die "could not install into the server's copy"
}

status=0
case $what in
check)
	# shellcheck disable=SC2046,SC2086
	regress - $(printf ' %s' $names | sed 's/\.sql//g') || status=1
	if [ $status != 0 ]; then
		head -n 150 "$work/src/regression.diffs" 2>/dev/null
		rm -rf "$top/results"
		cp -r "$work/src/results" "$work/src/regression.diffs" "$top/" 2>/dev/null &&
			say "results/ has what came, regression.diffs all differences"
	fi
	;;
prove)
	copy_vectors
	[ -n "$names" ] || names=$(cd "$top/test/t" && echo *.pl)
	for name in $names; do
		tap - "test/t/$name" || status=1
	done
	if [ $status != 0 ]; then
		mkdir -p "$top/tmp_check" && find "$work/tap" -name '*log*' -type f -exec cp {} "$top/tmp_check/" \; &&
			say "tmp_check/ has the logs"
	fi
	;;
esac
exit $status
