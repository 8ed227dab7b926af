#!/bin/sh
#
# arm64.sh
#		lbrec for other CPUs, on a machine that has none of them: all unit
#		tests emulated on arm64, armhf and i386, the parity cases on arm64, and
#		the Debian packages for arm64, cross-built.
#
#	sh test/arm64.sh [OUT]		the packages to the folder OUT
#
# Debian only, as root: it adds the architecture arm64 to dpkg's.  Meant for
# the root that test/matrix.sh arm64 makes, where the emulated tests take some
# ten minutes.  No server can be run emulated, and no speed be measured.

. "$(dirname "$0")/lib.sh"

out=${1:-}
[ "$(id -u)" = 0 ] || die "adding an architecture needs root"
cd "$top" || exit 2

dpkg --add-architecture arm64 && apt-get update -q >/dev/null || die "apt does not know arm64"
# shellcheck disable=SC2086
install_packages $build_packages $cross_packages g++-aarch64-linux-gnu dpkg-dev debhelper fakeroot \
	postgresql-server-dev-all || exit 2
apt-get install -q -y --no-install-recommends libjansson-dev:arm64 libarchive13:arm64 libsimdjson14:arm64 \
	libpq5:arm64 libuuid1:arm64 libc6:arm64 >/dev/null || die "the libraries for arm64 could not be installed"
arm=$(mktemp -d /tmp/lbrec-arm64.XXXXXX) || exit 2
trap 'rm -rf "$arm"' EXIT

passed=0
failed=0
step()
{
	name=$1
	shift
	if "$@" >"$arm/log" 2>&1; then
		passed=$((passed + 1))
		say "ok - $name: $(grep -E 'passed|AArch64' "$arm/log" | tail -n 1)"
	else
		failed=$((failed + 1))
		say "not ok - $name"
		tail -n 40 "$arm/log"
	fi
}

# With libc for arm64 installed, its loader must be the one beside it: that of
# the cross compiler's package would be of another build, and hang at times.
step 'unit tests, arm64' make -s -j"$jobs" cross-unit ARCH=arm64 \
	CROSS_RUN_arm64='qemu-aarch64 -cpu cortex-a53 -L /' CROSS_RUN2_arm64='qemu-aarch64 -cpu max -L /'
for arch in armhf i386; do
	step "unit tests, $arch" make -s -j"$jobs" cross-unit ARCH=$arch
done
step 'big-endian machines' make -s cross-refused
step 'parity cases, arm64' make -s -j"$jobs" cross-parity ARCH=arm64 VECTORS=test/parity/cases

# The server's headers are those of arm64; its programs cannot run here, and
# tell the same folders as this machine's.
headers()
{
	version=$(pg_buildext supported-versions | tail -n 1)
	# not installed: some of them would take the place of this machine's own
	(cd "$arm" && apt-get download -q "postgresql-server-dev-$version:arm64" libarchive-dev:arm64 libsimdjson-dev:arm64 \
		libpq-dev:arm64 uuid-dev:arm64) || return 1
	for deb in "$arm"/*_arm64.deb; do
		dpkg -x "$deb" "$arm/root" && rm "$deb" || return 1
	done
	# the libraries themselves are installed
	libraries=$arm/root/usr/lib/aarch64-linux-gnu
	rm -f "$libraries"/*.a
	find "$libraries" -maxdepth 1 -name '*.so' -type l | while read -r link; do
		ln -sf "/usr/lib/aarch64-linux-gnu/$(basename "$(readlink "$link")")" "$link"
	done
	mkdir -p "$arm/bin"
	for p in gcc g++; do
		printf '#!/bin/sh\nexec aarch64-linux-gnu-%s -I%s -I%s "$@" -L%s\n' $p \
			"$arm/root/usr/include/postgresql/$version/server" "$arm/root/usr/include" \
			"$arm/root/usr/lib/aarch64-linux-gnu" >"$arm/bin/$p"
		chmod +x "$arm/bin/$p"
	done
}
packages()
{
	mkdir -p "$arm/build"
	tar -C "$top" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.so' -cf - . | tar -C "$arm/build" -xf -
	cd "$arm/build" &&
		CC="$arm/bin/gcc" GNUMAKEFLAGS="CC=$arm/bin/gcc CXX=$arm/bin/g++" DEB_BUILD_OPTIONS=nocheck \
			dpkg-buildpackage -aarm64 -Pcross,nocheck -b -us -uc -d || return 1
	for deb in "$arm"/*_arm64.deb; do
		dpkg -x "$deb" "$arm/installed"
	done
	for f in "$arm"/installed/usr/lib/postgresql/*/lib/lbrec.so "$arm/installed/usr/bin/lbrec-convert"; do
		aarch64-linux-gnu-readelf -h "$f" | grep 'Machine: *AArch64' || return 1
	done
	# the converter needs no server, so it runs
	qemu-aarch64 -L / "$arm/installed/usr/bin/lbrec-convert" --version || return 1
	[ -z "$out" ] || { mkdir -p "$out" && cp "$arm"/*_arm64.deb "$out"; }
}
step "the server's headers, arm64" headers
step 'Debian packages, arm64' packages

say "$passed passed, $failed failed"
[ "$failed" = 0 ]
