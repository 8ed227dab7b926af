# Clusters with lbrec and listens in them, for the tests of faults.
#
# A test of a fault checks the same things each time: the model's answers
# (answer), leftovers of the failed statement (leftovers), and the health of the
# server (is_well).
package LbrecCluster;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $n_scripts = 0;

our @EXPORT = qw(new_cluster make_listens answer leftovers is_well fails
  wait_until start_psql finish_psql log_since);

# A started cluster with the extension.  settings: lines of postgresql.conf.
sub new_cluster
{
	my ($name, %arg) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(%{ $arg{init} || {} });
	$node->append_conf('postgresql.conf',
		"fsync = off\nautovacuum = off\n" . ($arg{settings} || ''));
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION lbrec')
	  unless $arg{bare};
	return $node;
}

# Table listen: each user plays recordings of a group of their own, so that
# there is something to learn.  Made of hashes: the same in every cluster.
sub make_listens
{
	my ($node, $users, $recordings, $per_user, $db) = @_;
	$node->safe_psql($db || 'postgres', qq{
		CREATE TABLE listen (user_id bigint NOT NULL,
			listened_at timestamptz NOT NULL, recording_msid uuid NOT NULL,
			artist text);
		INSERT INTO listen
		SELECT u, to_timestamp(1100000000 + (hashint8(u::bigint * 7919 + n) & 1048575)),
			md5('recording ' || r)::uuid, 'artist ' || r / 5
		FROM generate_series(1, $users) AS u, generate_series(1, $per_user) AS n,
			LATERAL (SELECT (u % 5 * ($recordings / 5)
				+ (hashint8(u::bigint * 1000003 + n) & 1048575) % ($recordings / 5)) AS r) AS x;
		CREATE INDEX ON listen (user_id);
		ANALYZE listen});
	return;
}

# All that a model answers for some users, as one text.
sub answer
{
	my ($node, $model, %arg) = @_;
	my $name = defined $model ? "'$model'" : 'NULL';
	return $node->safe_psql($arg{db} || 'postgres', qq{
		SELECT u, rank, recording_msid, float4send(score)
		FROM generate_series(1, 5) AS u,
			LATERAL lbrec_recommend(u, 10, $name, at => '2005-01-01 00:00+00')
		ORDER BY u, rank});
}

# Lists what a failed training must not leave: files, rows, locks.
sub leftovers
{
	my ($node, $db) = @_;
	my @left;
	my $tmp = $node->data_dir . '/base/pgsql_tmp';
	if (opendir my $d, $tmp)
	{
		# images of models are derived and shared: they stay by design
		push @left, map { "file $_" } grep { !/^\.\.?$/ && !/lbrec/ } readdir $d;
	}
	push @left, map { "row of $_" } grep { length } split /\n/, $node->safe_psql($db || 'postgres', q{
		SELECT 'lbrec.epoch ' || e.model FROM lbrec.epoch AS e
		WHERE NOT EXISTS (SELECT FROM lbrec.model AS m WHERE m.id = e.model)
		UNION ALL
		SELECT DISTINCT 'lbrec.tensor ' || t.model FROM lbrec.tensor AS t
		WHERE NOT EXISTS (SELECT FROM lbrec.model AS m WHERE m.id = t.model)
		UNION ALL
		SELECT 'lbrec.model ' || m.name || ' without tensors' FROM lbrec.model AS m
		WHERE NOT EXISTS (SELECT FROM lbrec.tensor AS t WHERE t.model = m.id)
		UNION ALL
		SELECT 'pg_locks: ' || locktype FROM pg_locks
		WHERE locktype = 'advisory'
		UNION ALL
		SELECT 'a prepared transaction' FROM pg_prepared_xacts});
	return join ', ', @left;
}

# The server answers, and nothing in its log says that a process died, unless
# it is one that the test killed.
sub is_well
{
	my ($node, $name) = @_;
	is($node->safe_psql('postgres', 'SELECT 1'), '1', "$name: the server answers");
	unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|signal 11|signal 6|stuck/,
		"$name: nothing in its log");
	return;
}

# The statement fails with that SQLSTATE and a message like that.
sub fails
{
	my ($node, $sql, $state, $like, $name, %arg) = @_;
	my ($out, $err) = ('', '');
	my $code = $node->psql($arg{db} || 'postgres', "\\set VERBOSITY verbose\n$sql",
		stdout => \$out, stderr => \$err, on_error_stop => 1,
		($arg{user} ? (extra_params => [ '-U', $arg{user} ]) : ()));
	isnt($code, 0, "$name: fails");
	like($err, qr/(ERROR|FATAL):  $state: .*$like/s, "$name: tells why");
	return $err;
}

# Polls until the code is true; false after some seconds.
sub wait_until
{
	my ($code) = @_;
	for (1 .. 400)
	{
		return 1 if $code->();
		Time::HiRes::usleep(20000);
	}
	return 0;
}

# A psql of its own, working in the background on a script.
sub start_psql
{
	my ($node, $script, %arg) = @_;
	my $run = { out => '', err => '' };
	# from a file: nobody feeds its standard input while it works
	my $file = $node->basedir . '/script_' . ++$n_scripts;
	append_to_file($file, $script);
	local $ENV{PGAPPNAME} = $arg{name} || 'background';
	$run->{h} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-d',
			$node->connstr($arg{db} || 'postgres'), '-f', $file,
			($arg{user} ? ('-U', $arg{user}) : ()) ],
		'<', \undef, '>', \$run->{out}, '2>', \$run->{err},
		IPC::Run::timeout(600));
	return $run;
}

sub finish_psql
{
	my ($run) = @_;
	eval { $run->{h}->finish };
	return $run;
}

# The log from an offset on.
sub log_since
{
	my ($node, $offset) = @_;
	return substr slurp_file($node->logfile), $offset;
}

1;
