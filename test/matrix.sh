#!/bin/sh
#
# matrix.sh
#		Builds and tests lbrec on other versions of PostgreSQL, with gcc and
#		clang, each in the Debian that has it.
#
#	sh test/matrix.sh [--cache DIR] [--cc gcc|clang] [SUITE...]
#
# Suites: trixie (PostgreSQL 17), sid (18), bookworm (15).  For each, debootstrap
# makes a root of its own with the mirror that apt is configured for here, the
# tree is copied into it, and test/check.sh runs there: everything with gcc,
# then the build and the regress suite with clang.  Needs root, and takes some
# minutes and 2 GB a suite.
#
# One more: upgrade, which is trixie with the server of bookworm beside its own
# (Debian's libraries of both can be installed together), lbrec built for
# each, and test/t/019_pg_upgrade.pl from one to the other.
#
# And one: package, which is a bare bookworm where test/package.sh builds the
# Debian packages, lintian included, and apt installs them for real: a cluster
# converts a dump, trains and recommends with them, and they are removed,
# installed again and purged.  It takes the last commit.
#
# And one: arm64, which is a bare bookworm where test/arm64.sh emulates other
# CPUs: the unit tests, and a server for arm64 with its cross-built package.
#
# And one: docker, which runs the steps of the Dockerfile (test/docker.sh) in
# bare bookworms with Debian's server in the place of the official image; after
# package it runs without being asked.
#
# --cache DIR keeps the bare roots as DIR/SUITE.tar for the next time.
#
# The last lines have each suite's versions and verdict.

. "$(dirname "$0")/lib.sh"
set -u

cache=
compilers='gcc clang'
suites=
while [ $# -gt 0 ]; do
	case $1 in
	--cache)
		[ $# -ge 2 ] || die "--cache needs a folder"
		cache=$2
		shift
		;;
	--cc)
		[ $# -ge 2 ] || die "--cc needs a compiler"
		compilers=$2
		shift
		;;
	-h | --help) show_help ;;
	-*) die "unknown option $1" ;;
	package) suites="$suites package docker" ;;
	*) suites="$suites $1" ;;
	esac
	shift
done
[ -n "$suites" ] || suites='trixie sid'
[ "$(id -u)" = 0 ] || die "debootstrap needs root"
command -v debootstrap >/dev/null || apt-get install -y -q debootstrap >/dev/null || die "debootstrap is not installed"

# The mirror of this machine, wherever that is.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
[ -n "$mirror" ] || die "apt knows no mirror of Debian"

work=$(mktemp -d "${TMPDIR:-/tmp}/lbrec-matrix.XXXXXX") || exit 2
root=
unmount()
{
	[ -n "$root" ] || return 0
	umount -R "$root/proc" 2>/dev/null
	umount "$root/dev/shm" "$root/dev/pts" 2>/dev/null
	rm -rf --one-file-system "$root"
	root=
}
trap 'unmount; rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM HUP

make_root()
{
	debian=$1
	case $debian in
	upgrade) debian=trixie ;;
	package | arm64 | docker) debian=bookworm ;;
	esac
	root=$work/$debian
	if [ -n "$cache" ] && [ -s "$cache/$debian.tar" ]; then
		mkdir "$root" && tar -C "$root" -xpf "$cache/$debian.tar" || return 1
	else
		debootstrap --variant=minbase --include=ca-certificates "$debian" "$root" "$mirror" >"$work/debootstrap.$debian" 2>&1 || {
			tail -n 20 "$work/debootstrap.$debian"
			return 1
		}
		if [ -n "$cache" ]; then
			mkdir -p "$cache" && tar -C "$root" -cpf "$cache/$debian.tar.new" . &&
				mv "$cache/$debian.tar.new" "$cache/$debian.tar"
		fi
	fi
	mount -t proc proc "$root/proc" || return 1
	mkdir -p "$root/dev/shm" "$root/dev/pts"
	mount -t tmpfs tmpfs "$root/dev/shm" || return 1
	# a mirror may stand still for the sake of builds that repeat
	echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/90lbrec"
	if [ "$1" = package ]; then
		git -c safe.directory='*' clone -q "$top" "$root/lbrec"
		return
	fi
	mkdir "$root/lbrec"
	tar -C "$top" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.so' \
		--exclude=./lbrec-convert --exclude=./tmp_check -cf - . | tar -C "$root/lbrec" --no-same-owner -xf -
}

inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }

# PostgreSQL 15 of Debian 12 beside 17 of Debian 13.
upgrade_inside()
{
	echo "deb $mirror bookworm main" >"$root/etc/apt/sources.list.d/bookworm.list"
	# what both have comes from trixie
	printf 'Package: *\nPin: release n=bookworm\nPin-Priority: 100\n' >"$root/etc/apt/preferences.d/bookworm"
	mkdir -p "$root/etc/postgresql-common/createcluster.d"
	echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.d/lbrec.conf"
	inside sh -e -c 'apt-get update -q
		apt-get install -q -y --no-install-recommends gcc make libc6-dev perl libipc-run-perl postgresql-17 postgresql-server-dev-17 \
			postgresql-15 postgresql-server-dev-15' >"$work/apt.upgrade" 2>&1 || {
		tail -n 20 "$work/apt.upgrade"
		return 1
	}
	inside sh -e -c 'cd /lbrec
		for v in 15 17; do
			config=/usr/lib/postgresql/$v/bin/pg_config
			make -s clean CONVERT=no PG_CONFIG=$config >/dev/null
			make -s -j2 install CONVERT=no PG_CONFIG=$config
		done
		mkdir /tmp/up
		chown postgres /tmp/up
		pgxs=/usr/lib/postgresql/17/lib/pgxs
		setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/tmp/up TESTDIR=/tmp/up TESTDATADIR=/tmp/up/data TESTLOGDIR=/tmp/up/log \
			PATH=/usr/lib/postgresql/17/bin:$PATH PG_REGRESS=$pgxs/src/test/regress/pg_regress PGPORT=65432 \
			OLD_PG_CONFIG=/usr/lib/postgresql/15/bin/pg_config PG_CONFIG=/usr/lib/postgresql/17/bin/pg_config \
			prove -v --merge -I $pgxs/src/test/perl test/t/019_pg_upgrade.pl'
}

# Installs the packages as an administrator does, on an empty machine.
package_inside()
{
	mkdir -p "$root/etc/postgresql-common/createcluster.d"
	echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.d/lbrec.conf"
	inside sh -e -c 'apt-get update -q && apt-get install -q -y --no-install-recommends git lintian' >"$work/apt.package" 2>&1 || {
		tail -n 20 "$work/apt.package"
		return 1
	}
	inside sh /lbrec/test/package.sh --out /tmp/packages || return 1
	# Packages for building must not hide a missing dependency.
	inside sh -e -c 'apt-get purge -q -y build-essential gcc g++ make git lintian debhelper libarchive-dev libsimdjson-dev libpq-dev "postgresql-*" &&
		apt-get autoremove -q -y --purge' >"$work/apt.package" 2>&1 || {
		tail -n 20 "$work/apt.package"
		return 1
	}
	inside sh -e /lbrec/test/package_use.sh /tmp/packages
}

# The image that is used is a second root, beside the first.
docker_inside()
{
	mkdir -p "$root/etc/postgresql-common/createcluster.d"
	echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.d/lbrec.conf"
	inside sh -e -c 'apt-get update -q && apt-get install -q -y --no-install-recommends postgresql-15' >"$work/apt.docker" 2>&1 || {
		tail -n 20 "$work/apt.docker"
		return 1
	}
	mkdir "$root/used" && tar -C "$root" --one-file-system --exclude=./used --exclude=./lbrec --exclude='./proc/*' -cf - . | tar -C "$root/used" -xpf - || return 1
	mount -t tmpfs tmpfs "$root/used/dev/shm"
	sh "$top/test/docker.sh" "$root" "$root/used"
	held=$?
	umount "$root/used/dev/shm"
	return $held
}

arm64_inside()
{
	echo 'APT::Sandbox::User "root";' >"$root/etc/apt/apt.conf.d/91lbrec"
	inside sh -e -c 'apt-get update -q && apt-get install -q -y --no-install-recommends make gcc libc6-dev' >"$work/apt.arm64" 2>&1 || {
		tail -n 20 "$work/apt.arm64"
		return 1
	}
	inside sh /lbrec/test/arm64.sh
}

verdicts=
status=0
for suite in $suites; do
	echo "== $suite =="
	if ! make_root "$suite"; then
		verdicts="$verdicts
$suite: could not make its root"
		status=1
		unmount
		continue
	fi
	if [ "$suite" = upgrade ]; then
		upgrade_inside >"$work/upgrade" 2>&1 || status=1
		cat "$work/upgrade"
		verdicts="$verdicts
upgrade: $(sed -n 's/^# \(PostgreSQL .* to .*\)/\1/p' "$work/upgrade"): $(grep -c '^ok' "$work/upgrade") passed, $(grep -c '^not ok' "$work/upgrade") failed, $(tail -n 1 "$work/upgrade")"
		unmount
		continue
	fi
	if [ "$suite" = docker ]; then
		docker_inside >"$work/docker" 2>&1 || status=1
		cat "$work/docker"
		verdicts="$verdicts
docker: $(tail -n 1 "$work/docker")"
		unmount
		continue
	fi
	if [ "$suite" = arm64 ]; then
		arm64_inside >"$work/arm64" 2>&1 || status=1
		cat "$work/arm64"
		verdicts="$verdicts
arm64: $(tail -n 1 "$work/arm64")"
		unmount
		continue
	fi
	if [ "$suite" = package ]; then
		package_inside >"$work/package" 2>&1 || status=1
		cat "$work/package"
		verdicts="$verdicts
package: $(grep -E '^[0-9]+ passed' "$work/package"); $(tail -n 1 "$work/package")"
		unmount
		continue
	fi
	inside sh -c 'apt-get update -q && apt-get install -q -y --no-install-recommends clang' >"$work/apt.$suite" 2>&1 ||
		tail -n 5 "$work/apt.$suite"
	for cc in $compilers; do
		case $cc in
		gcc) steps='build unit install regress tap' set='' ;;
		clang) steps='build install regress' set='GNUMAKEFLAGS=CC=clang CXX=clang++' ;;
		esac
		log=$work/$suite.$cc
		# shellcheck disable=SC2086
		inside ${set:+"$set"} sh /lbrec/test/check.sh $steps >"$log" 2>&1 || status=1
		cat "$log"
		verdicts="$verdicts
$suite: $(sed -n 's/^  \(PostgreSQL [^,(]*\).*/\1/p' "$log"), $(inside $cc --version | head -n 1): $(tail -n 1 "$log")"
	done
	unmount
done
echo "== verdict =="
echo "$verdicts" | sed 1d
exit $status
