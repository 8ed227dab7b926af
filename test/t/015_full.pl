# A full disk while a model is saved, while listens are spooled, and while an
# image is written; and memory that is denied.  Each gives a clear error,
# leaves nothing, and all works again when there is room.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_cluster('full', settings => "wal_level = minimal\nmax_wal_senders = 0\n");
make_listens($node, 400, 5000, 50);
$node->safe_psql('postgres', q{SELECT lbrec_train('kept', epochs => 1, embedding_dim => 8, layers => '{8}')});
my $before = answer($node, 'kept');

# A small file system needs privileges that a test has not.  The limit of a
# file's size fails in write() too.
my $limit = 24 * 1024;		# kB
$node->stop;
{
	# every process of this server may write files of 24 MB at most
	my $pg_ctl = $node->installed_command('pg_ctl');
	system('sh', '-c', "trap '' XFSZ; ulimit -f " . ($limit * 2) . "; exec $pg_ctl -w -s -D '" . $node->data_dir . "' -l '" . $node->logfile . "' -o '--cluster-name=full' start") == 0
	  or BAIL_OUT('could not start a server with a limit');
	$node->_update_pid(1);
}

# saving: the tensors' TOAST table grows beyond the limit
my $err = fails($node, q{SELECT lbrec_train('large', epochs => 1, embedding_dim => 1024, layers => '{1024}', evaluate_every => 1, split => 'none')},
	'(53100|58030|54000|XX000|58P01)', 'could not (extend|write)', 'saving with a full disk');
is($node->safe_psql('postgres', q{SELECT count(*) FROM lbrec.model WHERE name = 'large'}), '0', 'saving: no model is left');
is(leftovers($node), '', 'saving: nothing is left');
is(answer($node, 'kept'), $before, 'saving: others answer as before');

# sorting in the query of listens, and whatever training spools itself
$err = fails($node, q{SET work_mem = '64kB'; SET max_parallel_workers_per_gather = 0; SELECT lbrec_train('large', 'SELECT l.* FROM listen AS l, generate_series(1, 60) ORDER BY md5(l.recording_msid::text)', epochs => 1)},
	'(53100|58030|54000|XX000|58P01)', 'could not (extend|write)', 'spooling with a full disk');
is(leftovers($node), '', 'spooling: nothing is left');
is(answer($node, 'kept'), $before, 'spooling: others answer as before');

# room again
$node->stop;
$node->start;
is($node->safe_psql('postgres', q{SELECT count(*) FROM lbrec_train('large', epochs => 1, embedding_dim => 256, layers => '{256}', split => 'none')}), '1', 'with room it trains');
is($node->safe_psql('postgres', q{SELECT count(*) FROM lbrec_recommend(1, 5, 'large')}), '5', 'and answers');

# memory: a limit of the address space of the server's processes
$node->stop;
{
	my $pg_ctl = $node->installed_command('pg_ctl');
	system('sh', '-c', "ulimit -v 900000; exec $pg_ctl -w -s -D '" . $node->data_dir . "' -l '" . $node->logfile . "' -o '--cluster-name=full' start") == 0
	  or BAIL_OUT('could not start a server with a limit');
	$node->_update_pid(1);
}
my $s = $node->background_psql('postgres', on_error_stop => 0);
for my $round (1 .. 3)
{
	$s->{stderr} = '';
	$s->query(q{SELECT lbrec_train('memory', epochs => 1, embedding_dim => 1024, layers => '{4096,4096,4096,1024}', batch_size => 65536)});
	like($s->{stderr}, qr/out of memory|could not start helper threads/, "memory is denied, round $round");
}
like($s->{stderr}, qr/DETAIL/, 'with a detail');
$s->{stderr} = '';
is($s->query(q{SELECT count(*) FROM lbrec_train('memory', epochs => 1, embedding_dim => 8, layers => '{8}')}), '1', 'the same backend trains what fits');
is($s->{stderr}, '', 'without an error');
$s->quit;
is(answer($node, 'kept'), $before, 'others answer as before');
is(leftovers($node), '', 'nothing is left');
is_well($node, 'at the end');
$node->stop;
done_testing();
