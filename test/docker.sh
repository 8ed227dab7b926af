#!/bin/sh
#
# docker.sh
#		Runs the steps of the Dockerfile without Docker, and trains with what
#		they made.
#
#	sh test/docker.sh ROOT1 ROOT2
#
# As root.  ROOT1 and ROOT2 are fresh roots of Debian with a server as the
# official image has one; the first becomes the image that builds, the second
# the one that is used.  test/matrix.sh docker makes both and calls this.

set -eu
build=$1
used=$2
top=$(cd "$(dirname "$0")/.." && pwd)

inside()
{
	root=$1
	shift
	chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PG_MAJOR=15 "$@"
}

root=
n=0
while read -r word rest; do
	case $word in
	FROM) [ -z "$root" ] && root=$build || root=$used ;;
	RUN)
		inside "$root" sh -e -c "$rest" >"$root/tmp/log" 2>&1 </dev/null || {
			tail -n 20 "$root/tmp/log"
			echo "docker.sh: failed: $rest"
			exit 1
		}
		;;
	COPY)
		case $rest in
		'. /lbrec')
			mkdir -p "$root/lbrec"
			tar -C "$top" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.so' -cf - . |
				tar -C "$root/lbrec" --no-same-owner -xf -
			;;
		'--from=build /installed /') tar -C "$build/installed" -cf - . | tar -C "$root" -xf - ;;
		*)
			echo "docker.sh: cannot do COPY $rest"
			exit 1
			;;
		esac
		;;
	*) continue ;;
	esac
	n=$((n + 1))
	echo "  $word $rest" | cut -c 1-70
done <"$top/Dockerfile"

# what a container's first start does, and a first session
inside "$used" sh -e -c '
	bin=/usr/lib/postgresql/$PG_MAJOR/bin
	mkdir -p /tmp/data && chown postgres /tmp/data
	as="setpriv --reuid=postgres --regid=postgres --init-groups"
	$as $bin/initdb -D /tmp/data >/dev/null
	$as $bin/pg_ctl -D /tmp/data -o "-k /tmp" -l /tmp/data/log -w start >/dev/null
	$as $bin/psql -h /tmp -XAtq -v ON_ERROR_STOP=1 postgres -c "CREATE EXTENSION lbrec" \
		-c "CREATE TABLE listen AS SELECT u::bigint AS user_id, now() - make_interval(hours => i) AS listened_at, lbrec_key((u * 7 + i * i) % 200) AS recording_msid FROM generate_series(1, 50) AS u, generate_series(1, 50) AS i" \
		-c "SELECT count(*) FROM lbrec_train('"'m'"', epochs => 1)" -c "SELECT count(*) FROM lbrec_recommend(7, 5)" \
		-c "SELECT kernels FROM lbrec_cpu() WHERE in_use"
	$as $bin/pg_ctl -D /tmp/data -m immediate stop >/dev/null
	lbrec-convert --version'
echo "$n steps of the Dockerfile held"
