# OpenBLAS in all forms: other builds, builds with faults, none, and sessions
# that have threads already.  An unusable build is reported and replaced; a
# usable one gives the answers of the other sets.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @cc = split ' ', $ENV{CC} || 'cc';
plan skip_all => 'needs Linux and a C compiler' unless $^O eq 'linux' && !system("@cc --version >/dev/null 2>&1");

my $dir = PostgreSQL::Test::Utils::tempdir();
my $named = "$dir/named";
my $ends = "$dir/ends";

sub build
{
	my ($name, $source, @flags) = @_;
	system(@cc, '-O1', '-shared', '-fPIC', '-o', "$dir/$name", @flags, "$FindBin::Bin/../openblas/$source.c", '-lpthread', '-ldl') == 0
	  or BAIL_OUT("$source.c does not compile");
	return "$dir/$name";
}
my $shim = build('shim.so', 'shim');

# The library that sessions from now on find.
sub use_library
{
	my ($path) = @_;
	open my $f, '>', $named or die;
	print $f "$path\n";
	close $f;
	return;
}

sub restart
{
	my ($node) = @_;
	local $ENV{LD_PRELOAD} = $shim;
	local $ENV{LBREC_TEST_OPENBLAS} = $named;
	local $ENV{LBREC_TEST_THREAD_ENDS} = $ends;
	local $ENV{OPENBLAS_NUM_THREADS} = '8';
	local $ENV{OPENBLAS_CORETYPE} = 'Prescott';
	$node->restart;
	return;
}

# Sessions from now on are told to use that set.
sub configure
{
	my ($node, $kernels) = @_;
	$node->append_conf('postgresql.conf', "lbrec.cpu = '$kernels'\n");
	$node->reload;
	ok(wait_until(sub { $node->safe_psql('postgres', 'SHOW lbrec.cpu') eq $kernels }), "told to use $kernels");
	return;
}

my $node = new_cluster('openblas');
make_listens($node, 60, 400, 20);
$node->safe_psql('postgres', q{SELECT lbrec_train('a', epochs => 1, seed => 1)});
my $answer = answer($node, 'a');
restart($node);

my $told = q{SELECT usable, in_use, problem FROM lbrec_cpu() WHERE kernels = 'blas'};
for (
	[ 'libopenblas-serial.so', 'SERIAL', 'the library found is not its build for pthreads' ],
	[ 'libopenblas-renamed.so', undef, 'the library found is not its build for pthreads' ],
	[ 'libopenblasp-serial.so', 'SERIAL', 'the library found is not its build for pthreads' ],
	[ 'libopenblasp-lacks.so', 'NO_SGEMV', 'the library found is not its build for pthreads' ],
	[ 'libopenblasp-many.so', 'MANY', 'it runs threads of its own' ],
	[ 'libopenblasp-starts.so', 'STARTS', 'it runs threads of its own' ],
	[ 'libopenblasp-wrong.so', 'WRONG', 'its products are wrong' ])
{
	my ($file, $fault, $problem) = @$_;
	use_library(build($file, 'stub', $fault ? "-D$fault" : ()));
	is($node->safe_psql('postgres', $told), "f|f|$problem", "$file: told in lbrec_cpu()");
	my $err = fails($node, q{LOAD 'lbrec'; SET lbrec.cpu = 'blas'}, '22023', 'invalid value', $file);
	like($err, qr/DETAIL:  OpenBLAS cannot be used: \Q$problem\E\.\s+HINT:  Install OpenBLAS/, "$file: the reason");
	my ($out, $warnings);
	$node->psql('postgres', 'SELECT count(*) FROM lbrec_recommend(1, 5)', stdout => \$out, stderr => \$warnings,
		extra_params => [ '-d', 'dbname=postgres options=-clbrec.cpu=blas' ]);
	is($out, '5', "$file: a session that was told to use it goes on with another");
}

use_library("$dir/none.so");
is($node->safe_psql('postgres', $told), 'f|f|it is not installed', 'none: told');
use_library("$FindBin::Bin/../openblas/stub.c");
is($node->safe_psql('postgres', $told), 'f|f|it is not installed', 'a file that is no library: told');

# one that tells of itself what fits no column
use_library(build('libopenblasp-strange.so', 'stub', '-DSTRANGE'));
is($node->safe_psql('postgres', q{SELECT length(version) < 200, length(core) < 200 FROM lbrec_cpu() WHERE kernels = 'blas'}), 't|t', 'strange words are cut');

# a good one: the environment is as before, in spite of what loading it takes
use_library(build('libopenblasp-good.so', 'stub'));
is($node->safe_psql('postgres', q{SELECT usable, version, core, library ~ 'libopenblasp-good.so$' FROM lbrec_cpu() WHERE kernels = 'blas'}),
	't|9.8.7|Prescott|t', 'a good one is told of, and OPENBLAS_CORETYPE is left as it was set');
configure($node, 'blas');
is(answer($node, 'a'), $answer, 'its answers are those of the other sets');
is($node->safe_psql('postgres', q{CREATE TEMP TABLE said (line text);
	LOAD 'lbrec'; COPY said FROM PROGRAM 'echo $OPENBLAS_NUM_THREADS'; SELECT line FROM said}),
	'8', 'OPENBLAS_NUM_THREADS is restored');
is($node->safe_psql('postgres', q{LOAD 'lbrec'; SET lbrec.cpu = 'portable'; SELECT kernels FROM lbrec_cpu() WHERE in_use;
	SET lbrec.cpu = 'blas'; SELECT kernels FROM lbrec_cpu() WHERE in_use; BEGIN; SET LOCAL lbrec.cpu = 'portable'; ROLLBACK;
	SELECT kernels FROM lbrec_cpu() WHERE in_use}), "portable\nblas\nblas", 'the set changes within a session, and back with its transaction');

# parallel workers load it for themselves
my $forced = $node->safe_psql('postgres', q{SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')});
is($node->safe_psql('postgres', qq{SET $forced = on; SELECT lbrec_key(1) IS NOT NULL; SELECT count(*) FROM lbrec_recommend(1, 5)}), "t\n5", 'parallel workers');

# a session with a thread of somebody else's: not now, but later
my $thread = build('thread.so', 'thread', '-Wl,-z,nodelete');
configure($node, 'auto');
my ($out, $err);
$node->psql('postgres', qq{LOAD '$thread';
	$told;
	SET lbrec.cpu = 'blas';
	SELECT count(*) FROM lbrec_recommend(1, 5);
	\\! touch $ends
	DO \$\$ BEGIN
		FOR i IN 1 .. 3000 LOOP
			EXIT WHEN (SELECT usable FROM lbrec_cpu() WHERE kernels = 'blas');
			PERFORM pg_sleep(0.02);
		END LOOP;
	END \$\$;
	SET lbrec.cpu = 'blas';
	SELECT kernels FROM lbrec_cpu() WHERE in_use}, stdout => \$out, stderr => \$err, on_error_stop => 0);
is($out, "f|f|other threads are running in this session\n5\nblas", 'beside a thread: not now, but when it has ended');

# loaded by the postmaster: its children have it from before the fork
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'lbrec'\nlbrec.cpu = 'blas'\n");
restart($node);
is($node->safe_psql('postgres', q{SELECT kernels, version FROM lbrec_cpu() WHERE in_use}), 'blas|9.8.7', 'loaded before the fork');
is(answer($node, 'a'), $answer, 'the same answers');
# the real one, if this machine has it
unlink $named;
restart($node);
SKIP:
{
	skip 'no OpenBLAS here', 2 unless $node->safe_psql('postgres', q{SELECT usable FROM lbrec_cpu() WHERE kernels = 'blas'}) eq 't';
	is(answer($node, 'a'), $answer, 'the real one, loaded before the fork');
	is($node->safe_psql('postgres', q{SET lbrec.threads = 2; SELECT kernels FROM lbrec_train('b', epochs => 1, seed => 1), lbrec_cpu() WHERE in_use LIMIT 1}), 'blas', 'trains');
}

# a CPU without AVX2, emulated: it is chosen by nobody's asking
my $qemu = (grep { -x } map { "$_/qemu-x86_64" } split /:/, $ENV{PATH})[0];
SKIP:
{
	skip 'needs qemu-x86_64 on x86-64', 3 unless $qemu && `uname -m` =~ /x86_64/;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\nlbrec.cpu = 'auto'\n");
	$node->stop;
	use_library("$dir/libopenblasp-good.so");
	chomp(my $bin = `pg_config --bindir`);
	my $postgres = "$bin/postgres";
	my $old = sub {
		my (@env) = @_;
		my ($said, $warned);
		my @command = ($qemu, '-cpu', 'Nehalem', map({ ('-E', $_) } "LD_PRELOAD=$shim", "LBREC_TEST_OPENBLAS=$named", @env),
			$postgres, '--single', '-D', $node->data_dir, 'postgres');
		my $sql = "SELECT string_agg(kernels, ' ') AS used FROM lbrec_cpu() WHERE in_use\nSELECT string_agg(kernels, ' ') AS usable FROM lbrec_cpu() WHERE usable\n";
		IPC::Run::run(\@command, '<', \$sql, '>', \$said, '2>', \$warned);
		return join(' / ', $said =~ /(?:used|usable) = "([^"]*)"/g) . ($warned =~ /lbrec computes in portable C/ ? ' and a warning' : '');
	};
	is($old->('LBREC_TEST_EMULATED=1'), 'blas / blas portable', 'an old CPU takes OpenBLAS by itself');
	use_library("$dir/none.so");
	is($old->('LBREC_TEST_EMULATED=1'), 'portable / portable and a warning', 'without it portable C, and says so');
	use_library("$dir/libopenblasp-good.so");
	is($old->(), 'portable / portable and a warning', 'the same where other threads run');
	$node->start;
}
is_well($node, 'at the end');
done_testing();
