#!/bin/sh
#
# package.sh
#		Builds the Debian packages and the source archive, and tests them.
#
#	sh test/package.sh [--keep] [--quick] [--out DIR]
#
# As an unprivileged user, in a folder of its own: `make dist`, and
# dpkg-buildpackage twice, of the checkout and of what the archive holds, in
# folders of different names, which must give the same bytes (of the checkout
# twice while it has changes that no commit has); lintian, where it is
# installed; what apt would install with them; then the regress suite on a copy
# of the server with the package's files, and the converter's tests with the
# program of its package.  META.json must be what PGXN takes.
#
# --quick, for check.sh: one test of the regress suite, one archive for the
# converter.  --out DIR leaves the packages there.  The last line is "N passed,
# N failed".

. "$(dirname "$0")/lib.sh"

out=
quick=
while [ $# -gt 0 ]; do
	case $1 in
	--keep) keep=yes ;;
	--quick) quick=yes ;;
	--out)
		[ $# -ge 2 ] || die "--out needs a folder"
		out=$2
		shift
		;;
	-h | --help) show_help ;;
	*) die "unknown option $1" ;;
	esac
	shift
done

# shellcheck disable=SC2046,SC2086
install_packages $build_packages build-essential dpkg-dev debhelper fakeroot postgresql-server-dev-all libipc-run-perl \
	zstd xz-utils unzip $(packages_for_server) || exit 2
make_place
# The packages are Debian's own server's, found by its own pg_config.
path=$(printf '%s' "$PATH" | sed "s|^$bin:||")

version=$(sed -n "s/^default_version = '\(.*\)'/\1/p" "$top/lbrec.control")

# The source archive.  It holds the last commit, so it is the checkout only
# when nothing is changed.
archive=
if [ -e "$top/.git" ] && command -v git >/dev/null; then
	start=$(now)
	# as the user that runs this, not as the owner of the checkout
	if env GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0="$top" \
		make -s -C "$top" dist PG_CONFIG="$PG_CONFIG" DISTDIR="$work" >"$work/log/dist" 2>&1; then
		archive=$work/lbrec-$version.zip
		chmod 644 "$archive"
		count 1 0
		printf '  %-34s ok      %6s s\n' 'make dist' "$(since "$start")"
	else
		count 0 1
		say '  make dist                          FAILED'
		tail -n 10 "$work/log/dist"
	fi
	step 'make dist: no rest of a build in it' rest sh -c "! unzip -l '$archive' | grep -E '\\.(o|so|bc|deb)\$'"
	[ -z "$(git -c safe.directory="$top" -C "$top" status --porcelain)" ] || {
		say "  the checkout has changes that no commit has: the second build is not the archive's"
		archive=
	}
fi

# Dates come from debian/changelog; both at once, for a machine with two
# processors or more.
as mkdir -p "$work/1" "$work/a_longer_name_2"
as cp -a "$work/src" "$work/1/lbrec"
if [ -n "$archive" ]; then
	again='of the archive'
	as unzip -q -d "$work/a_longer_name_2" "$archive"
	as mv "$work/a_longer_name_2/lbrec-$version" "$work/a_longer_name_2/lbrec"
else
	again=again
	as cp -a "$work/src" "$work/a_longer_name_2/lbrec"
fi
# $0 is the folder
build='cd "$0/lbrec" && unset PG_CONFIG MAKEFLAGS && dpkg-buildpackage -us -uc -F -j'$jobs
# shellcheck disable=SC2086
(cd "$work" && PATH=$path exec $builder sh -c "$build" "$work/a_longer_name_2") >"$work/log/build.2" 2>&1 </dev/null &
second=$!
step 'dpkg-buildpackage' build.1 env PATH="$path" sh -c "$build" "$work/1" || {
	say "$passed passed, $((failed + 1)) failed"
	exit 1
}
status=0
wait "$second" || status=$?
step "dpkg-buildpackage $again" build.again sh -c "tail -n 30 '$work/log/build.2'; exit $status"
step 'the same bytes' same sh -c "cd '$work/1' && sha256sum *.deb *.dsc *.tar.* >../sums && cd ../a_longer_name_2 && sha256sum -c ../sums"
if command -v lintian >/dev/null; then
	step lintian lintian lintian --fail-on error "$work"/1/lbrec_*.changes
fi
step 'control follows control.in' control sh -c "for v in \$(cd '$work/1/lbrec' && pg_buildext supported-versions); do sed s/PGVERSION/\$v/g debian/control.in; done | diff - debian/control"

# The packages that a machine would get.
if [ "$(id -u)" = 0 ]; then
	start=$(now)
	if apt-get install -q -s "$work"/1/postgresql-*-lbrec_*.deb "$work"/1/lbrec-convert_*.deb >"$work/log/apt" 2>&1; then
		count 1 0
		say '  apt would install them             ok'
	else
		count 0 1
		say '  apt would install them             FAILED'
		tail -n 10 "$work/log/apt"
	fi
fi

# The package's files where the server's copy has them.
as mkdir "$work/root"
for deb in "$work"/1/*.deb; do
	case $deb in
	*dbgsym*) ;;
	*) as dpkg-deb -x "$deb" "$work/root" ;;
	esac
done
major=$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
as sh -c "cp -a '$work/root/usr/lib/postgresql/$major/lib/.' '$("$PG_CONFIG" --pkglibdir)/' &&
	cp -a '$work/root/usr/share/postgresql/$major/extension/.' '$("$PG_CONFIG" --sharedir)/extension/'"
step 'regress suite with the package' regress make installcheck CONVERT=no PG_CONFIG="$PG_CONFIG" ${quick:+REGRESS=recommend} \
	EXTRA_REGRESS_OPTS="--temp-instance=$work/regress --encoding=UTF8 --no-locale"
step 'the program tells its version' version sh -c "'$work/root/usr/bin/lbrec-convert' --version | grep -F ' $version'"
if [ -n "$quick" ]; then
	# one listen through the package's program, into text for psql
	step 'the program converts' converts sh -c "cd '$work/root' && echo '{\"user_id\":7,\"timestamp\":1400000000,\"recording_msid\":\"4269ddbc-9241-46da-935d-4fa9e0f7f371\",\"track_metadata\":{\"artist_name\":\"a\",\"track_name\":\"t\"}}' |
		usr/bin/lbrec-convert -q --table listen - | grep '^7	2014-05-13 16:53:20+00	4269ddbc-'"
else
	for test in 063_convert_lines 060_convert_archives; do
		step "$test with the package" $test env LBREC_CONVERT="$work/root/usr/bin/lbrec-convert" \
			TESTDIR="$work/tap" prove -I "$pgxs/src/test/perl" test/t/$test.pl
	done
fi
# The required keys of PGXN's META.json 1.0.0 and the form of each.
step 'META.json for PGXN' meta perl -MJSON::PP -e '
	local $/; open my $f, "<", "META.json" or die; my $m = decode_json(<$f>);
	my $semver = qr/^\d+\.\d+\.\d+(-[A-Za-z][0-9A-Za-z-]*)?$/;
	for my $key (qw(name version abstract maintainer license provides meta-spec)) { die "no $key" unless exists $m->{$key} }
	die "version" unless $m->{version} =~ $semver;
	die "name" unless $m->{name} =~ m{^[^/\\\s\pC]{2,}$};
	die "meta-spec" unless $m->{"meta-spec"}{version} eq "1.0.0";
	die "license" unless grep { $m->{license} eq $_ } qw(postgresql bsd mit apache_2_0);
	for my $e (values %{ $m->{provides} }) { die "provides" unless $e->{version} =~ $semver && -e $e->{file} && (!$e->{docfile} || -e $e->{docfile}) }
	for my $phase (values %{ $m->{prereqs} }) { for my $kind (values %$phase) { for my $v (values %$kind) { die "prereqs" unless $v eq "0" || $v =~ $semver } } }
	die "release_status" if exists $m->{release_status} && $m->{release_status} !~ /^(stable|testing|unstable)$/;
	die "tags" if grep { !length || length > 255 || m{[/\\\pC]} } @{ $m->{tags} || [] }'

if [ -n "$out" ]; then
	mkdir -p "$out"
	cp "$work"/1/lbrec_* "$work"/1/*.deb "$out/"
fi
trap 'cleanup >/dev/null' EXIT
[ -z "$keep" ] || say "kept: $work"
say "$passed passed, $failed failed"
[ "$failed" = 0 ]
