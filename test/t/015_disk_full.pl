# A full disk while a model is saved, while listens are spooled, and while an
# image is written; and refused memory.  Each gives a clear error and leaves
# nothing, and everything works again when there is room.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_cluster('full', settings => "wal_level = minimal\nmax_wal_senders = 0\n");
make_listens($node, 400, 5000, 50);
$node->safe_psql('postgres', q{SELECT lbrec_train('kept', epochs => 1, settings => '{"embedding_dim": 8}', layers => '{8}')});
my $before = answer($node, 'kept');

# A small file system needs privileges that a test lacks.  A limit of the file
# size makes write() fail, too.
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
my $err = fails($node, q{SELECT lbrec_train('large', epochs => 1, settings => '{"embedding_dim": 1024, "evaluate_every": 1}', layers => '{1024}', split => 'none')},
	'(53100|58030|54000|XX000|58P01)', 'could not (extend|write)', 'saving with a full disk');
is($node->safe_psql('postgres', q{SELECT count(*) FROM lbrec.model WHERE name = 'large'}), '0', 'saving: no model is left');
is(leftovers($node), '', 'saving: nothing is left');
is(answer($node, 'kept'), $before, 'saving: others answer as before');

# sorting in the query of listens
$err = fails($node, q{SET work_mem = '64kB'; SET max_parallel_workers_per_gather = 0; SELECT lbrec_train('large', 'SELECT l.* FROM listen AS l, generate_series(1, 60) ORDER BY md5(l.recording_msid::text)', epochs => 1)},
	'(53100|58030|54000|XX000|58P01)', 'could not (extend|write)', 'sorting with a full disk');
is(leftovers($node), '', 'sorting: nothing is left');

# what training spools itself: 32 MB of listens, of a query that needs no file
my $many = 'SELECT l.* FROM generate_series(1, 100) AS n, listen AS l';
unlike($node->safe_psql('postgres', "EXPLAIN $many"), qr/Sort|Hash/, 'a query that stores nothing');
is($node->safe_psql('postgres', "SELECT count(*) FROM ($many OFFSET 0) AS m"), '2000000', 'and that can be read');
for my $call ("lbrec_train('large', '$many', epochs => 1)", "lbrec_evaluate('kept', '$many')")
{
	my ($what) = $call =~ /^(\w+)/;
	$err = fails($node, "SET lbrec.spool_mem = '64kB'; SELECT $call", '(53100|58030|54000|XX000|58P01)', 'could not write', "$what: the spool with a full disk");
	like($err, qr/could not write to file "base\/pgsql_tmp\//, "$what: it is a temporary file");
	is(leftovers($node), '', "$what: nothing is left");
}
is(answer($node, 'kept'), $before, 'spooling: others answer as before');

# room again
$node->stop;
$node->start;
is($node->safe_psql('postgres', q{SELECT count(*) FROM lbrec_train('large', epochs => 1, settings => '{"embedding_dim": 256}', layers => '{256}', split => 'none')}), '1', 'with room it trains');
my $large = answer($node, 'large');
is(scalar(split /\n/, $large), 50, 'and answers');

# an image that does not fit on the disk: a warning tells, and the session
# serves from its own memory
$node->safe_psql('postgres', q{SELECT count(*) FROM lbrec_train('wide', epochs => 1, settings => '{"embedding_dim": 1024, "ensemble": 1, "refit": false}', layers => '{1024}', split => 'none')});
my $wide = answer($node, 'wide');
sub images { opendir my $d, $node->data_dir . '/base/pgsql_tmp' or return; return grep { /lbrec/ } readdir $d }
unlink map { $node->data_dir . "/base/pgsql_tmp/$_" } images();
$node->stop;
{
	my $pg_ctl = $node->installed_command('pg_ctl');
	system('sh', '-c', "trap '' XFSZ; ulimit -f " . ($limit * 2) . "; exec $pg_ctl -w -s -D '" . $node->data_dir . "' -l '" . $node->logfile . "' -o '--cluster-name=full' start") == 0
	  or BAIL_OUT('could not start a server with a limit');
	$node->_update_pid(1);
}
{
	my ($out, $warning) = ('', '');
	$node->psql('postgres', q{SELECT count(*) FROM lbrec_recommend(1, 5, 'wide'); SELECT count(*) FROM lbrec_recommend(2, 5, 'wide')}, stdout => \$out, stderr => \$warning);
	is($out, "5\n5", 'an image with a full disk: it answers');
	my @warnings = $warning =~ /^psql:.*WARNING: .*$/mg;
	is(scalar @warnings, 1, 'an image with a full disk: it warns once') or diag($warning);
	like($warning, qr/could not write file "base\/pgsql_tmp\/.*DETAIL:  The model is kept in this session's own memory, \d+ MB\..*HINT:  Make room in the folder/s,
		'an image with a full disk: the warning tells what that means');
	is(join(' ', images()), '', 'an image with a full disk: no file is left');
	# importing: the tensors' TOAST table cannot grow any more
	fails($node, q{SELECT lbrec_import('SELECT * FROM lbrec_export(''wide'')', 'copy')}, '(53100|58030|54000|XX000|58P01)', 'could not (extend|write)', 'importing with a full disk');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM lbrec.model WHERE name = 'copy'}), '0', 'importing: no model is left');
	is(leftovers($node), '', 'importing: nothing is left');
	is(answer($node, 'wide'), $wide, 'an image with a full disk: the same answer');
}

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
	$s->query(q{SELECT lbrec_train('memory', epochs => 1, settings => '{"embedding_dim": 1024, "batch_size": 65536}', layers => '{4096,4096,4096,1024}')});
	like($s->{stderr}, qr/out of memory|could not start helper threads/, "memory is denied, round $round");
}
like($s->{stderr}, qr/DETAIL/, 'with a detail');
$s->{stderr} = '';
is($s->query(q{SELECT count(*) FROM lbrec_train('memory', epochs => 1, settings => '{"embedding_dim": 8}', layers => '{8}')}), '1', 'the same backend trains what fits');
is($s->{stderr} =~ s/\A\S+ NOTICE:  the default model is still "kept"\nHINT:  [^\n]*\n?//r, '', 'without an error');
$s->quit;
is(answer($node, 'kept'), $before, 'others answer as before');
# arguments that ask for much, and a model that may not be brought into memory
for my $ask (
	[ '53200', 'out of memory', q{SELECT lbrec_score(1, array_fill(md5('recording 3')::uuid, ARRAY[30000000]), 'kept')}, 'an enormous array' ],
	[ '54000', 'version 1 of model "wide" needs \d+ kB to be served', q{SET lbrec.max_model_memory = '4MB'; SELECT lbrec_recommend(1, 5, 'wide')}, 'beyond lbrec.max_model_memory' ])
{
	my ($state, $like, $sql, $what) = @$ask;
	my $told = fails($node, $sql, $state, $like, $what);
	like($told, qr/DETAIL/, "$what: with a detail");
	is(answer($node, 'kept'), $before, "$what: others answer as before");
}
is(leftovers($node), '', 'nothing is left');
is_well($node, 'at the end');
$node->stop;
done_testing();
