# kill -9 and immediate shutdown in each phase of a training: reading, in an
# epoch, saving.  Crash recovery leaves the models as they were, nothing of
# the one that was being trained, and a server that trains again.  Then kill -9
# at random moments of building images, saving and importing.
#
#	LBREC_CRASHES=30 LBREC_SEED=7	so many of each
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

my $node = new_cluster('crash', settings => "restart_after_crash = on\n");
make_listens($node, 200, 500, 30);
$node->safe_psql('postgres', q{
	SELECT lbrec_train('kept', epochs => 2);
	CREATE FUNCTION slow_save() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN PERFORM pg_sleep(120); RETURN NEW; END $$;
	CREATE TRIGGER slow_save BEFORE INSERT ON lbrec.tensor FOR EACH ROW
		WHEN (NEW.name = 'candidate') EXECUTE FUNCTION slow_save();
	ALTER TABLE lbrec.tensor DISABLE TRIGGER slow_save});
my $before = answer($node, 'kept');
ok(length $before, 'a model that answers');

# name, statement, query that is true once the phase is reached
my @phases = (
	[ 'reading',
		q{SELECT lbrec_train('lost', 'SELECT l.* FROM listen AS l, LATERAL (SELECT pg_sleep(0.01) WHERE l.user_id > 0) AS s')},
		q{wait_event = 'PgSleep'} ],
	[ 'in an epoch', q{SELECT lbrec_train('lost', epochs => 100000, settings => '{"evaluate_every": 100000}')},
		q{query ~ 'epoch ([3-9]|[0-9][0-9]+) of'} ],
	[ 'evaluating', q{SELECT lbrec_evaluate('kept', 'SELECT l.* FROM listen AS l, generate_series(1, 100)')},
		q{now() - query_start > interval '300 ms'} ],
	[ 'saving', q{SELECT lbrec_train('lost', epochs => 1)}, q{wait_event = 'PgSleep'}, 'ENABLE' ]);

sub start_phase
{
	my ($what, $sql, $there, $trigger) = @_;
	$node->safe_psql('postgres', 'ALTER TABLE lbrec.tensor ' . ($trigger || 'DISABLE') . ' TRIGGER slow_save');
	my $run = start_psql($node, "$sql;\n", name => 'victim');
	my $pid;
	ok(wait_until(sub {
		$pid = $node->safe_psql('postgres',
			"SELECT pid FROM pg_stat_activity WHERE application_name = 'victim' AND state = 'active' AND $there");
		return $pid ne '';
	}), "$what: got there");
	return ($run, $pid);
}

sub after
{
	my ($what) = @_;
	is(answer($node, 'kept'), $before, "$what: the model answers as before");
	is($node->safe_psql('postgres', "SELECT count(*) FROM lbrec.model WHERE name = 'lost'"), '0',
		"$what: nothing of the lost model");
	is(leftovers($node), '', "$what: nothing left");
	return;
}

for my $phase (@phases)
{
	my ($run, $pid) = start_phase(@$phase);
	my $offset = -s $node->logfile;
	is(kill('KILL', $pid), 1, "$phase->[0]: killed");
	finish_psql($run);
	like($run->{err}, qr/server closed the connection|terminating connection/, "$phase->[0]: the client is told");
	# psql may write into a closed pipe while the server is not back
	ok(wait_until(sub { log_since($node, $offset) =~ /ready to accept connections/ }), "$phase->[0]: the server is back");
	after("killed $phase->[0]");
}
for my $phase (@phases)
{
	my ($run, $pid) = start_phase(@$phase);
	$node->stop('immediate');
	finish_psql($run);
	$node->start;
	after("immediate shutdown $phase->[0]");
}
# a fast shutdown does not wait for an epoch's end
{
	my ($run, $pid) = start_phase(@{ $phases[1] });
	my $start = time;
	$node->stop('fast');
	ok(time - $start < 20, 'fast shutdown in an epoch');
	finish_psql($run);
	like($run->{err}, qr/terminating connection due to administrator command/, 'fast shutdown: the client is told');
	$node->start;
	after('fast shutdown');
}

# at random moments, again and again
$node->safe_psql('postgres', 'ALTER TABLE lbrec.tensor DISABLE TRIGGER slow_save');
my $crashes = defined $ENV{LBREC_CRASHES} ? $ENV{LBREC_CRASHES} : 2;
my $seed = defined $ENV{LBREC_SEED} ? $ENV{LBREC_SEED} : time % 100000;
srand $seed;
diag("seed: LBREC_SEED=$seed, kills: LBREC_CRASHES=$crashes");
for my $work (
	[ 'building', q{UPDATE lbrec.model SET activation = activation + 10 WHERE name = 'kept'; PERFORM lbrec_recommend(1, 5, 'kept')} ],
	[ 'saving', q{PERFORM lbrec_train('lost', 'SELECT * FROM listen LIMIT 200', epochs => 1, split => 'none', settings => '{"embedding_dim": 64, "ensemble": 8}')} ],
	[ 'importing', q{PERFORM lbrec_import('SELECT * FROM lbrec_export(''kept'')', 'lost')} ])
{
	my ($what, $do) = @$work;
	for my $round (1 .. $crashes)
	{
		my $run = start_psql($node, "SET client_min_messages = warning; DO \$\$ BEGIN FOR i IN 1 .. 100000 LOOP $do; END LOOP; END \$\$;\n", name => 'victim');
		my $offset = -s $node->logfile;
		my $pid;
		wait_until(sub { $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'victim' AND state = 'active'}); return $pid ne '' });
		Time::HiRes::usleep(rand 1000000);
		is(kill('KILL', $pid), 1, "$what: killed, round $round");
		finish_psql($run);
		my $back = 0;
		# a loaded machine may take longer
		for (1 .. 8) { last if ($back = wait_until(sub { log_since($node, $offset) =~ /ready to accept connections/ })) }
		ok($back, "$what: the server is back");
		after("killed while $what, round $round");
		is($node->safe_psql('postgres', 'SELECT count(*) FROM lbrec_check() WHERE NOT ok'), '0', "$what: what is there is well");
	}
}

$node->safe_psql('postgres', q{
	DROP TRIGGER slow_save ON lbrec.tensor;
	SELECT lbrec_train('kept', epochs => 2)});
is($node->safe_psql('postgres', q{SELECT max(version) FROM lbrec.model WHERE name = 'kept'}), '2',
	'the next version can be trained');
is(answer($node, 'kept'), $before, 'and is the same: same listens, same seed');
is_well($node, 'at the end');
$node->stop;
done_testing();
