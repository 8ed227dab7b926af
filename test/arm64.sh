#!/bin/sh
#
# arm64.sh
#		lbrec for other CPUs, on a machine that has none of them.
#
#	sh test/arm64.sh [OUT]		the packages to the folder OUT
#
# Emulated by qemu-user: all unit tests on arm64, armhf, i386 and an old x86-64,
# the parity cases on arm64, and Debian's server for arm64 with the package that
# was cross-built for it.  That server runs the regress suite, and answers for
# models that this machine's server trained, with the same bits.  Its clients
# are this machine's.  Emulation says nothing about speed.
#
# Debian only, as root: it adds the architecture arm64 to dpkg's.  Meant for
# the root that test/matrix.sh arm64 makes; takes half an hour.

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
chmod 755 "$arm"
server=
trap '[ -z "$server" ] || kill -QUIT "$server"; rm -rf "$arm"' EXIT

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

# With libc for arm64 installed, use its own loader: the cross compiler's package
# has one of another build, which hangs at times.
step 'unit tests, arm64' make -s -j"$jobs" cross-unit ARCH=arm64 \
	CROSS_RUN_arm64='qemu-aarch64 -cpu cortex-a53 -L /' CROSS_RUN2_arm64='qemu-aarch64 -cpu max -L /'
for arch in armhf i386; do
	step "unit tests, $arch" make -s -j"$jobs" cross-unit ARCH=$arch
done
step 'unit tests, x86-64 without AVX2' make -s -j"$jobs" cross-old
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

# What the server for arm64 needs is installed or unpacked beside the package;
# this machine gets the same version, for the clients and to compare with.
servers()
{
	export DEBIAN_FRONTEND=noninteractive
	libraries=$(apt-cache show "postgresql-$version:arm64" | sed -n 's/^Depends: //p' | head -n 1 | tr , '\n' |
		sed -n 's/^ *\(lib[a-z0-9.+-]*\).*/\1/p' | grep -v libllvm | sed 's/$/:arm64/')
	mkdir -p /etc/postgresql-common/createcluster.d
	echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/lbrec.conf
	# shellcheck disable=SC2086
	apt-get install -q -y --no-install-recommends "postgresql-$version" libopenblas0-pthread libopenblas0-pthread:arm64 $libraries || return 1
	(cd "$arm" && apt-get download -q "postgresql-$version:arm64" && dpkg -x postgresql-"$version"_*_arm64.deb installed) || return 1
	make -s -C "$top" clean CONVERT=no PG_CONFIG="$native/pg_config" &&
		make -s -C "$top" -j"$jobs" install CONVERT=no PG_CONFIG="$native/pg_config" || return 1
	aarch64-linux-gnu-gcc -O1 -shared -fPIC -o "$arm/shim.so" "$top/test/openblas/shim.c" -ldl &&
		mkdir "$arm/run" && chown postgres "$arm/run"
}
pg="setpriv --reuid=postgres --regid=postgres --init-groups env HOME=$arm/run TZ=UTC PGHOST=$arm/run PGUSER=postgres"
as_postgres() { $pg "$@"; }

new_cluster()
{
	as_postgres "$native/initdb" -D "$arm/run/$1" -U postgres --no-locale -E UTF8 >/dev/null &&
		printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$arm/run'" 'fsync = off' 'jit = off' \
			'dynamic_shared_memory_type = mmap' >>"$arm/run/$1/postgresql.conf"
}

# serve CPU CLUSTER: an emulated server, which does not see qemu's own thread
serve()
{
	# shellcheck disable=SC2086
	$pg qemu-aarch64 -cpu "$1" -E LD_PRELOAD="$arm/shim.so" -E LBREC_TEST_EMULATED=1 -L / \
		"$arm/installed/usr/lib/postgresql/$version/bin/postgres" -D "$arm/run/$2" >>"$arm/run/log" 2>&1 &
	server=$!
	tries=0
	until as_postgres "$native/pg_isready" -q; do
		tries=$((tries + 1))
		[ $tries -lt 120 ] || return 1
		sleep 1
	done
}

stop_server()
{
	kill -INT "$server" && wait "$server"
	held=$?
	server=
	return $held
}

in_bits()
{
	asked=$1
	shift
	as_postgres env PGOPTIONS="-c lbrec.cpu=$asked" "$native/psql" -XAtq -v ON_ERROR_STOP=1 -d bits "$@"
}

# answers ASKED SET: compares answers with lbrec.cpu set to ASKED, which must
# choose SET, with those of the first call.
answers()
{
	[ "$(in_bits "$1" -c 'SELECT kernels FROM lbrec_cpu() WHERE in_use')" = "$2" ] || return 1
	in_bits "$1" -f "$top/test/bits/answers.sql" >"$arm/answers.new" || return 1
	[ -e "$arm/answers" ] || cp "$arm/answers.new" "$arm/answers"
	same=$same,$2
	cmp "$arm/answers" "$arm/answers.new"
}

# Runs the same cluster under the server of each machine; images of models are
# removed when a server starts, and built again.
same_bits()
{
	same=
	new_cluster bits && as_postgres "$native/pg_ctl" -D "$arm/run/bits" -l "$arm/run/log" -w start >/dev/null || return 1
	as_postgres "$native/psql" -X -d postgres -c 'CREATE DATABASE bits' &&
		as_postgres "$native/psql" -X -d bits -f "$top/test/bits/train.sql" &&
		answers portable portable && answers blas blas && [ "$(wc -l <"$arm/answers")" -gt 1000 ]
	held=$?
	as_postgres "$native/pg_ctl" -D "$arm/run/bits" -w stop >/dev/null && [ $held = 0 ] || return 1
	# not OpenBLAS, which emulated servers have not been asked for since lbrec waits for joined threads
	serve cortex-a72 bits && answers auto neon && answers portable portable && stop_server &&
		serve max bits && answers auto dotprod && stop_server &&
		echo "$(wc -l <"$arm/answers") lines passed: the same of ${same#,}" && return
	[ -z "$server" ] || stop_server
	return 1
}

regress_arm64()
{
	new_cluster regress && serve cortex-a72 regress || return 1
	mkdir "$arm/run/src" && cp -a "$top/test" "$top/expected" "$arm/run/src/" && chown -R postgres "$arm/run/src" || return 1
	(cd "$arm/run/src" && LC_ALL=C.UTF-8 as_postgres "/usr/lib/postgresql/$version/lib/pgxs/src/test/regress/pg_regress" \
		--inputdir=test --outputdir=. --bindir="$native" --host="$arm/run" --user=postgres --encoding=UTF8 --no-locale \
		--load-extension=lbrec $(cd test/sql && ls ./*.sql | sed 's|./||; s|\.sql$||')) && stop_server && return
	head -n 200 "$arm/run/src/regression.diffs"
	return 1
}
native=/usr/lib/postgresql/$version/bin
step 'servers of both machines' servers
step 'the same bits' same_bits
step 'regress suite, arm64' regress_arm64

say "$passed passed, $failed failed"
[ "$failed" = 0 ]
