#!/bin/sh
#
# version.sh
#		The version is written once, in lbrec.control; what must repeat it agrees.
#
#	sh test/lint/version.sh [DIR]		check the checkout at DIR (default: .)
#	sh test/lint/version.sh --self-test	change each place once, see it told
LC_ALL=C
export LC_ALL

check()
(
	cd "$1" || exit 1
	bad=0
	version=$(sed -n "s/^default_version = '\(.*\)'\$/\1/p" lbrec.control)

	differs()
	{
		echo "$1, but lbrec.control says $version"
		bad=1
	}

	case $version in
	[0-9]*.[0-9]*.[0-9]*) ;;
	*) echo "lbrec.control: default_version is \"$version\", not N.N.N"; exit 1 ;;
	esac

	# META.json: the distribution's and the extension's, not the format's own.
	found=$(sed '/"meta-spec"/,$d' META.json | sed -n 's/.*"version": *"\([^"]*\)".*/\1/p')
	[ "$(echo "$found" | wc -l)" -eq 2 ] || differs "META.json has other than two versions"
	for v in $found; do
		[ "$v" = "$version" ] || differs "META.json says $v"
	done
	for key in file docfile; do
		file=$(sed -n "s/.*\"$key\": *\"\([^\"]*\)\".*/\1/p" META.json)
		[ -e "$file" ] || differs "META.json names $file, which is not there"
	done

	[ -e "sql/lbrec--$version.sql" ] || differs "there is no sql/lbrec--$version.sql"
	grep -q "^/\* sql/lbrec--$version.sql \*/\$" "sql/lbrec--$version.sql" 2>/dev/null ||
		differs "sql/lbrec--$version.sql does not begin with its name"

	v=$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
	[ "$v" = "$version" ] || differs "CHANGELOG.md begins with $v"

	# The program and the library get it from the Makefile.
	if grep -rnF "\"$version\"" src; then
		differs "a source file repeats the version"
	fi
	exit $bad
)

self_test()
{
	tree=$tmp/tree
	failed=0
	while IFS='|' read -r file change; do
		rm -rf "$tree"
		mkdir -p "$tree/src" "$tree/docs" "$tree/sql"
		echo "default_version = '1.2.3'" >"$tree/lbrec.control"
		printf '{\n"version": "1.2.3",\n"provides": {"file": "sql/lbrec--1.2.3.sql",\n"docfile": "docs/a.md",\n"version": "1.2.3"},\n"meta-spec": {\n"version": "1.0.0"}\n}\n' >"$tree/META.json"
		echo '/* sql/lbrec--1.2.3.sql */' >"$tree/sql/lbrec--1.2.3.sql"
		printf '# Changelog\n\n## 1.2.3 (unreleased)\n\n## 1.2.2\n' >"$tree/CHANGELOG.md"
		echo 'char *v = LBREC_VERSION;' >"$tree/src/a.c"
		: >"$tree/docs/a.md"
		if [ "$file" = none ]; then
			check "$tree" || { echo "self-test: told of a fault where is none"; failed=1; }
		else
			sed -i "$change" "$tree/$file"
			if told=$(check "$tree") || [ -z "$told" ]; then
				echo "self-test: \"$change\" in $file was not found"
				failed=1
			fi
		fi
	done <<-'EOT'
		none|
		lbrec.control|s/1.2.3/1.2.4/
		lbrec.control|s/1.2.3/new/
		META.json|2s/1.2.3/1.2.2/
		META.json|5s/1.2.3/1.2.2/
		META.json|3s/1.2.3/1.2.2/
		META.json|4s/a.md/b.md/
		CHANGELOG.md|3s/1.2.3/1.3.0/
		sql/lbrec--1.2.3.sql|s/1.2.3/1.2.2/
		src/a.c|s/LBREC_VERSION/"1.2.3"/
	EOT
	return $failed
}

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
if [ "$1" = --self-test ]; then
	self_test && echo 'version: each difference was told'
else
	check "${1:-.}" && echo 'version: the same everywhere'
fi
