#!/bin/sh
#
# package_use.sh
#		Uses the Debian packages as an administrator would, on a throw-away
#		machine.
#
#	sh test/package_use.sh DIR
#
# As root, and for a chroot only: it installs DIR's packages with apt, makes a
# cluster, converts listens, trains, recommends, removes the packages beneath
# the model, installs them again and purges them.  test/matrix.sh package makes
# the chroot and calls this.  The last line counts the steps that succeeded.

set -eu
dir=$1
LC_ALL=C.UTF-8
DEBIAN_FRONTEND=noninteractive
export LC_ALL DEBIAN_FRONTEND
log=$(mktemp)
held=0

die()
{
	tail -n 20 "$log"
	echo "package_use.sh: $*"
	exit 1
}

# step NAME COMMAND...: one that must succeed.
step()
{
	name=$1
	shift
	"$@" >"$log" 2>&1 </dev/null || die "$name failed"
	held=$((held + 1))
	printf '  %-34s ok\n' "$name"
}

sql() { setpriv --reuid=postgres --regid=postgres --init-groups psql -XAtq -v ON_ERROR_STOP=1 -d music "$@"; }

install() { apt-get install -q -y --no-install-recommends "$dir"/postgresql-*-lbrec_*.deb "$dir"/lbrec-convert_*.deb; }

# same ANSWER: the recommendations are still these.
answer() { sql -c "SELECT string_agg(recording_msid || ' ' || score, ',' ORDER BY rank) FROM lbrec_recommend(7, 5)"; }

same() { [ "$(answer)" = "$1" ]; }

fails() { ! "$@"; }

# No folder named for lbrec or file of it is left, but dpkg's memory and ours.
nothing_left()
{
	! find / -xdev \( -path /lbrec -o -path /tmp -o -path /proc -o -path /var/lib/apt -o -path /var/log -o -path /etc/apt \
		-o -path /etc/postgresql-common -o -path /var/lib/postgresql \) -prune -o -name '*lbrec*' -print | grep .
}

# 200 users of eight tastes: each hears its own tenth of the recordings most.
listens()
{
	awk 'BEGIN { srand(1)
		for (u = 1; u <= 200; u++) for (n = 0; n < 40; n++) {
			r = rand() < 0.8 ? u % 8 * 25 + int(rand() * 25) : int(rand() * 250)
			printf "{\"user_id\":%d,\"timestamp\":%d,\"recording_msid\":\"%08x-9241-46da-935d-4fa9e0f7f371\",", u, 1400000000 + n * 86400 + u, r
			printf "\"track_metadata\":{\"artist_name\":\"artist %d\",\"track_name\":\"track %d\"}}\n", r / 5, r
		} }'
}

step 'apt installs' install
major=$(ls /usr/lib/postgresql)
step 'a cluster starts' pg_createcluster "$major" main --start
step 'a database' setpriv --reuid=postgres --regid=postgres --init-groups createdb music
listens >/tmp/dump.listens
# the script first, for its own exit code
step 'the converter converts' sh -c 'lbrec-convert /tmp/dump.listens >/tmp/dump.sql'
step 'psql takes its script' sql -f /tmp/dump.sql
[ "$(sql -c 'SELECT count(*) FROM listen')" = 8000 ] || die "not all listens came"
step 'CREATE EXTENSION' sql -c 'CREATE EXTENSION lbrec'
step 'lbrec_train' sql -c "SELECT * FROM lbrec_train('weekly')"
[ "$(sql -c 'SELECT count(*) FROM lbrec_recommend(7, 5)')" = 5 ] || die "no five recommendations"
# a model that recommends another taste's favourites has learnt nothing
own=$(sql -c "SELECT count(*) FROM lbrec_recommend(7, 10) WHERE ('x' || left(recording_msid::text, 8))::bit(32)::int / 25 = 7")
[ "$own" -ge 8 ] || die "only $own of ten recommendations are of the user's taste"
held=$((held + 1))
echo '  lbrec_recommend                    ok'
before=$(answer)

step 'the packages are removed' apt-get remove -q -y "postgresql-$major-lbrec" lbrec-convert
step 'calls fail, tables stay' fails sql -c 'SELECT * FROM lbrec_recommend(7, 5)'
[ "$(sql -c 'SELECT count(*) FROM lbrec.model')" = 1 ] || die "the model is gone"
step 'and are installed again' install
step 'the model answers as before' same "$before"
step 'the server starts anew' pg_ctlcluster "$major" main restart
step 'the model answers as before' same "$before"
step 'DROP EXTENSION' sql -c 'DROP EXTENSION lbrec'
step 'the packages are purged' apt-get purge -q -y "postgresql-$major-lbrec" lbrec-convert
step 'nothing of them is left' nothing_left
pg_dropcluster --stop "$major" main
rm -f "$log" /tmp/dump.listens /tmp/dump.sql
echo "$held steps held"
