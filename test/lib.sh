# lib.sh
#		Functions that the scripts under test/ share; sourced by them, not run.
#
# Everything happens in one folder under /tmp, removed at the end and owned by
# an unprivileged user: no server ever runs as root.  The server is a copy, too:
# PostgreSQL finds its files relative to its programs, so our installation goes
# into a copy of its folders, and the system's is not touched.
#
# A command runs in a process group of its own, in the background, and the
# script waits, so that Ctrl-C ends the whole group at once.  Servers that are
# still running are found by their data folders and stopped.

LC_ALL=C.UTF-8
export LC_ALL
unset PGDATABASE PGHOST PGPORT PGUSER PGDATA PGOPTIONS PGSERVICE MAKEFLAGS

top=$(cd "$(dirname "$0")" && pwd)
while [ ! -e "$top/lbrec.control" ]; do top=$(dirname "$top"); done
work=
keep=
child=
builder=
jobs=$(nproc 2>/dev/null || echo 2)

say() { printf '%s\n' "$*"; }

die()
{
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 2
}

# Prints the script's own head, up to the first empty line.
show_help()
{
	sed -n '3,/^$/s/^#\( \{0,1\}\|\t*\)//p' "$0"
	exit 0
}

# wanted PART: true if the script's $parts has it.
wanted() { case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

now() { date +%s%N; }

# since START: seconds with one digit.
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", (b - a) / 1e9 }'; }

# --- Debian packages ------------------------------------------------------

# Packages for building; README.md lists those of an installation.
build_packages='gcc g++ make libc6-dev libarchive-dev libsimdjson-dev libpq-dev uuid-dev'

# Packages for make cross-unit: other CPUs' compilers and their emulator.
cross_packages='qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-i686-linux-gnu libc6-dev-i386-cross
gcc-arm-linux-gnueabihf libc6-dev-armhf-cross gcc-s390x-linux-gnu'

missing_packages()
{
	for p in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || printf ' %s' "$p"
	done
}

# Installs missing packages.  Debian's package would start a server of its own;
# a setting prevents that during the installation.
install_packages()
{
	if ! command -v dpkg-query >/dev/null; then
		say "not Debian: I trust that the programs and libraries are there"
		return 0
	fi
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || die "packages are missing; as root: apt-get install$missing"
	say "installing$missing"
	no_cluster=/etc/postgresql-common/createcluster.d/lbrec-no-cluster.conf
	mkdir -p "${no_cluster%/*}"
	echo 'create_main_cluster = false' >"$no_cluster"
	DEBIAN_FRONTEND=noninteractive
	export DEBIAN_FRONTEND
	status=0
	{
		# another may be at it: a fresh machine updates itself
		apt-get -o DPkg::Lock::Timeout=300 update -q &&
		# shellcheck disable=SC2086
		apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends $missing
	} >/tmp/lbrec-apt.$$ 2>&1 </dev/null || status=$?
	rm -f "$no_cluster"
	rmdir "${no_cluster%/*}" 2>/dev/null || :
	if [ $status != 0 ]; then
		tail -n 20 /tmp/lbrec-apt.$$
		rm -f /tmp/lbrec-apt.$$
		die "could not install the packages"
	fi
	rm -f /tmp/lbrec-apt.$$
}

# packages_for_server: the server's, unless PG_CONFIG names another one.
packages_for_server()
{
	[ -z "${PG_CONFIG:-}" ] || return 0
	command -v dpkg-query >/dev/null || return 0
	major=$(ls -d /usr/lib/postgresql/*/lib/pgxs 2>/dev/null | sort -V | sed -n '$s|.*postgresql/\([0-9]*\)/.*|\1|p')
	if [ -z "$major" ]; then
		command -v apt-cache >/dev/null || return 0
		[ -n "$(apt-cache depends postgresql 2>/dev/null)" ] || apt-get update -q >/dev/null 2>&1
		major=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
	fi
	[ -n "$major" ] || die "no PostgreSQL package is known to apt; set PG_CONFIG"
	echo "postgresql-$major postgresql-server-dev-$major"
}

# --- the folder, the user, the server's copy ------------------------------

# Runs a command as the unprivileged user; for short ones.
as() { $builder "$@"; }

make_work()
{
	work=$(mktemp -d "${TMPDIR:-/tmp}/lbrec.XXXXXX") || die "could not make a folder under ${TMPDIR:-/tmp}"
	chmod 755 "$work"
	trap 'cleanup' EXIT
	trap 'say "interrupted"; exit 130' INT TERM HUP
	if [ "$(id -u)" = 0 ]; then
		user=postgres
		id "$user" >/dev/null 2>&1 || user=nobody
		# HOME: nothing of the user's own settings takes part.
		builder="setpriv --reuid=$user --regid=$(id -g "$user") --init-groups env HOME=$work TMPDIR=$work/tmp"
		mkdir "$work/tmp" "$work/log"
		chown -R "$user" "$work"
		as test -w "$work/tmp" || die "$user cannot reach $work: set TMPDIR to a folder that all can enter"
	else
		builder="env HOME=$work TMPDIR=$work/tmp"
		mkdir "$work/tmp" "$work/log"
	fi
}

# The tree without what a build leaves in it, and without git's.
copy_tree()
{
	as mkdir "$work/src"
	tar -C "$top" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.bc' \
		--exclude='*.so' --exclude=./lbrec-convert --exclude=./results \
		--exclude=./tmp_check -cf - . |
		as tar -C "$work/src" --no-same-owner -xf -
}

# Copies the server's folders with the same way from one to the other.
copy_server()
{
	original=${PG_CONFIG:-}
	if [ -z "$original" ]; then
		original=$(ls /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -V | tail -n 1)
		[ -n "$original" ] || original=$(command -v pg_config) || die "there is no pg_config; set PG_CONFIG"
	fi
	"$original" --version >/dev/null || die "PG_CONFIG=$original does not run"
	# Debian's /usr/bin/pg_config only points to the real one.
	bin=$("$original" --bindir)
	[ -x "$bin/postgres" ] || die "there is no server in $bin"
	[ -e "$("$original" --pgxs)" ] || die "the headers for extensions (PGXS) are missing beside $original"

	list=$work/folders
	for what in bindir pkglibdir sharedir includedir includedir-server; do
		"$original" "--$what"
	done | grep -vx -e /usr/include -e /usr/local/include | sort -u >"$list"
	prefix=$(awk -F/ 'NR == 1 { n = split($0, p, "/"); next }
		{ m = split($0, q, "/"); for (i = 1; i <= n && i <= m && p[i] == q[i]; i++); n = i - 1 }
		END { for (i = 2; i <= n; i++) printf "/%s", p[i] }' "$list")
	while read -r dir; do
		as mkdir -p "$work/server${dir#"$prefix"}"
		as cp -a "$dir/." "$work/server${dir#"$prefix"}/"
	done <"$list"
	rm "$list"
	bin=$work/server${bin#"$prefix"}
	PG_CONFIG=$bin/pg_config
	[ "$("$PG_CONFIG" --bindir)" = "$bin" ] || die "this PostgreSQL cannot be moved: $original"
	# A copy of a server that had lbrec must not hide what we forget.
	as rm -f "$("$PG_CONFIG" --pkglibdir)/lbrec.so" "$("$PG_CONFIG" --sharedir)"/extension/lbrec*
	pgxs=$(dirname "$("$PG_CONFIG" --pgxs)")/../..
	PATH=$bin:$PATH
	export PATH PG_CONFIG
}

# The folder, the server's copy and the tree's.
make_place()
{
	make_work
	copy_server
	copy_tree
}

# run LOG COMMAND...: as the unprivileged user, in the source's copy, with
# its output in a file, or where the script's own goes for "-".  SIGINT is made
# ordinary again: a shell's background commands ignore it, and tests send it.
# With $limit set, the command fails after that many seconds.
run()
{
	log=$1
	shift
	(
		[ "$log" = - ] || exec >"$log" 2>&1
		cd "$work/src" || exit 1
		# shellcheck disable=SC2086
		exec env --default-signal=INT,QUIT setsid ${limit:+timeout -k 10 "$limit"} $builder "$@" </dev/null
	) &
	child=$!
	status=0
	wait "$child" || status=$?
	child=
	return $status
}

# must NAME COMMAND...: run() with the log NAME; if the command fails, prints
# the end of the log and gives up.
must()
{
	log=$work/log/$1
	shift
	if ! run "$log" "$@"; then
		tail -n 40 "$log"
		die "failed: $*"
	fi
}

# --- tests ----------------------------------------------------------------

passed=0
failed=0

# count PASSED FAILED: adds what a step says at its end.
count()
{
	passed=$((passed + $1))
	failed=$((failed + $2))
}

# step NAME LOG COMMAND...: one that must succeed; counts as one.
step()
{
	name=$1
	log=$work/log/$2
	shift 2
	start=$(now)
	if run "$log" "$@"; then
		count 1 0
		printf '  %-34s ok      %6s s\n' "$name" "$(since "$start")"
	else
		count 0 1
		printf '  %-34s FAILED  %6s s\n' "$name" "$(since "$start")"
		tail -n 40 "$log" | sed 's/^/    /'
		return 1
	fi
}

# regress LOG [TEST...]: regress tests, by default all, on a server that
# pg_regress makes.  Differences are in $work/src/regression.diffs.  With
# $kernels set, that set of kernels computes; test/sql/cpu.sql sees that it does.
regress()
{
	log=$1
	shift
	config=
	if [ -n "${kernels:-}" ]; then
		config="--temp-config=$work/$kernels.conf"
		echo "lbrec.cpu = '$kernels'" | as tee "$work/$kernels.conf" >/dev/null
	fi
	set -- "$log" env LBREC_CPU="${kernels:-}" make -s installcheck PG_CONFIG="$PG_CONFIG" \
		EXTRA_REGRESS_OPTS="--temp-instance=$work/regress $config --encoding=UTF8 --no-locale" \
		${1:+"REGRESS=$*"}
	run "$@"
}

# tap LOG FILE [SETTING...]: one file of TAP tests.  Its servers and logs are in
# $work/tap, in a folder of its name.
tap()
{
	log=$1
	file=$2
	dir=$work/tap/$(basename "$file")
	shift 2
	as mkdir -p "$dir"
	run "$log" env \
		TESTDIR="$dir" TESTDATADIR="$dir/data" TESTLOGDIR="$dir/log" \
		PG_REGRESS="$pgxs/src/test/regress/pg_regress" top_builddir="$pgxs" \
		share_contrib_dir="$("$PG_CONFIG" --sharedir)/extension" PGPORT=65432 \
		ASAN_OPTIONS=abort_on_error=1:detect_leaks=0 "$@" \
		prove $prove_options -I "$pgxs/src/test/perl" "$file"
}

# Copies the vectors that convert_lines takes from beside the checkout.
copy_vectors()
{
	[ -e "$top/../shared/tools/make_vectors.py" ] || return 0
	as mkdir -p "$work/shared/tools"
	as sh -c "cat >'$work/shared/tools/make_vectors.py'" <"$top/../shared/tools/make_vectors.py"
}

stop_servers()
{
	find "$work" -name postmaster.pid 2>/dev/null | while read -r pid; do
		as "$bin/pg_ctl" -D "${pid%/*}" -m immediate -s stop >/dev/null 2>&1
	done
}

cleanup()
{
	trap '' INT TERM HUP
	if [ -n "$child" ]; then
		kill -TERM -- "-$child" 2>/dev/null
		wait "$child" 2>/dev/null
	fi
	if [ -n "$keep" ]; then
		say "kept: $work"
	else
		stop_servers
		rm -rf "$work"
	fi
}
