# Transactions and sessions: ROLLBACK, two trainings of one name, objects that
# are dropped or altered while they serve, prepared statements, and sessions
# that a pooler reuses.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_cluster('transactions');
make_listens($node, 50, 100, 20);
my $count = q{SELECT (SELECT count(*) FROM lbrec.model) || ' ' || (SELECT count(*) FROM lbrec.epoch) || ' ' || (SELECT count(*) FROM lbrec.tensor)};

sub sql
{
	my ($text) = @_;
	return $node->safe_psql('postgres', $text);
}

# ROLLBACK leaves nothing; within the transaction the model answers.
like(sql(qq{BEGIN; SELECT count(*) FROM lbrec_train('a', epochs => 2); SELECT count(*) FROM lbrec_recommend(1, 5); ROLLBACK; $count}),
	qr/^2\n5\n0 0 0$/, 'rollback leaves nothing');
fails($node, 'SELECT lbrec_recommend(1)', '42704', 'there is no active model', 'after the rollback');

# Savepoints: the outer model stays, the inner goes, and the same session
# serves the right one each time.
my $out = sql(q{
	SELECT count(*) FROM lbrec_train('a', epochs => 1);
	SELECT string_agg(r::text, ' ') AS a1 FROM lbrec_recommend(1, 5, at => '2005-01-01') AS r \gset
	BEGIN;
	SAVEPOINT s;
	SELECT count(*) FROM lbrec_train('a', epochs => 20, seed => 7);
	SELECT string_agg(r::text, ' ') AS a2 FROM lbrec_recommend(1, 5, at => '2005-01-01') AS r \gset
	ROLLBACK TO s;
	SELECT string_agg(r::text, ' ') AS a3 FROM lbrec_recommend(1, 5, at => '2005-01-01') AS r \gset
	SAVEPOINT s;
	SELECT lbrec_drop_model('a');
	ROLLBACK TO s;
	SELECT string_agg(r::text, ' ') AS a4 FROM lbrec_recommend(1, 5, at => '2005-01-01') AS r \gset
	COMMIT;
	SELECT string_agg(r::text, ' ') AS a5 FROM lbrec_recommend(1, 5, at => '2005-01-01') AS r \gset
	SELECT n, a = :'a1' FROM (VALUES (2, :'a2'), (3, :'a3'), (4, :'a4'), (5, :'a5')) AS v (n, a)});
like($out, qr/2\|f\n3\|t\n4\|t\n5\|t$/, 'savepoints: each answer is of the model in force');
is(sql('SELECT version FROM lbrec.model'), '1', 'the savepoint\'s model is gone');
is(leftovers($node), '', 'nothing left');

# A caught error within a function is a savepoint too.
sql(q{DO $$ BEGIN
	BEGIN PERFORM lbrec_train('b', epochs => 1); RAISE EXCEPTION 'stop'; EXCEPTION WHEN raise_exception THEN END;
	END $$});
is(sql(q{SELECT count(*) FROM lbrec.model WHERE name = 'b'}), '0', 'a caught error takes the model back');
# ... and so is one while the query of listens runs: what follows may write
sql(q{DO $$ BEGIN
	BEGIN PERFORM lbrec_train('b', 'SELECT user_id / 0 AS user_id, listened_at, recording_msid FROM listen', epochs => 1);
	EXCEPTION WHEN division_by_zero THEN END;
	CREATE TABLE written (); END $$});
is(sql(q{SELECT count(*) FROM written}), '0', 'after a failed reading the transaction writes again');

# A query of listens may not write, however it tries.
sql(q{CREATE SEQUENCE seq; CREATE TABLE victim (a int);
	CREATE FUNCTION writes() RETURNS bigint LANGUAGE plpgsql VOLATILE AS
	$$ BEGIN INSERT INTO victim VALUES (1); RETURN 1; END $$});
for my $try (
	[ 'a function that writes', q{SELECT user_id + writes() AS user_id, listened_at, recording_msid FROM listen}, '25006' ],
	[ 'nextval', q{SELECT user_id + nextval('seq') AS user_id, listened_at, recording_msid FROM listen}, '25006' ],
	[ 'WITH INSERT', q{WITH w AS (INSERT INTO victim VALUES (1) RETURNING a) SELECT l.* FROM listen AS l, w}, '(25006|0A000|42P11)' ],
	[ 'set_config', q{SELECT l.* FROM listen AS l, set_config('transaction_read_only', 'off', true)}, '25001' ],
	[ 'FOR UPDATE', q{SELECT * FROM listen FOR UPDATE}, '(25006|0A000)' ],
	[ 'two statements', q{SELECT * FROM listen; DROP TABLE victim}, '(42P11|42601)' ],
	[ 'two statements, closed by a comment', q{SELECT * FROM listen; DELETE FROM victim; --}, '(42P11|42601)' ],
	[ 'SELECT INTO', q{SELECT * INTO stolen FROM listen}, '(25006|42P11|0A000)' ],
	[ 'a table name with a statement', q{listen; DROP TABLE victim}, '42602' ])
{
	my ($name, $query, $state) = @$try;
	for my $call ("lbrec_train('w', \$q\$$query\$q\$, epochs => 1)", "lbrec_evaluate('a', \$q\$$query\$q\$)")
	{
		fails($node, "SELECT $call", $state, '', "$name, " . substr($call, 0, 12));
	}
	# the same in what a recommendation excludes
	my ($o, $e) = ('', '');
	$node->psql('postgres', "SELECT lbrec_recommend(1, 5, 'a', exclude_listened => true, listens => \$q\$$query\$q\$)", stdout => \$o, stderr => \$e);
	is(sql(q{SELECT count(*) FROM victim}), '0', "$name: nothing was written");
}
is(sql(q{SELECT last_value || ' ' || is_called FROM seq}), '1 false', 'the sequence did not move') ;
is(sql(q{SELECT count(*) FROM pg_class WHERE relname = 'stolen'}), '0', 'no table was made');

# Two trainings of one name at once: both finish, as versions that follow.
{
	my @runs = map { start_psql($node, "SELECT count(*) FROM lbrec_train('twice', epochs => 30, seed => $_);\n") } 1 .. 3;
	finish_psql($_) for @runs;
	is($_->{out}, "30\n", 'a training of three at once') || diag($_->{err}) for @runs;
	is(sql(q{SELECT string_agg(version::text, ' ' ORDER BY version) FROM lbrec.model WHERE name = 'twice'}), '1 2 3', 'three versions');
	is(sql(q{SELECT count(*) FROM lbrec_models WHERE name = 'twice' AND active}), '1', 'one of them is active');
}
# the second waits for the first one's transaction, and is alone if that is rolled back
{
	my $first = $node->background_psql('postgres');
	$first->query_safe(q{SET client_min_messages = warning; BEGIN; SELECT count(*) FROM lbrec_train('waits', epochs => 1)});
	my $second = start_psql($node, "SELECT count(*) FROM lbrec_train('waits', epochs => 1);\n", name => 'second');
	ok(wait_until(sub { sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'second' AND wait_event = 'advisory'}) eq '1' }),
		'the second waits at its end');
	$first->query_safe('ROLLBACK');
	$first->quit;
	finish_psql($second);
	is(sql(q{SELECT string_agg(version::text, ' ') FROM lbrec.model WHERE name = 'waits'}), '1', 'and is version 1');
}

# verbose: progress lines of each run, trials and the last training
{
	my ($out, $err);
	$node->psql('postgres', q{SELECT lbrec_train('told', verbose => true)}, stdout => \$out, stderr => \$err);
	like($err, qr/INFO:  trial 1 of at most 5, epoch 1 of 20: loss .*INFO:  trial at temperature 0\.12: \d.* after epoch \d+, the best of \d+\n.*INFO:  trial 2 of at most 5, epoch 1 of 20: .*INFO:  trial at.*INFO:  now on all listens: (\d+) epochs of 4 models side by side\n.*INFO:  last training, epoch 1 of \1: loss /s,
		'verbose tells of trials and of what follows');
	$node->psql('postgres', q{SELECT lbrec_train('told')}, stdout => \$out, stderr => \$err);
	$err =~ s/\A\S+ NOTICE:  the default model is still "a"\nHINT:  [^\n]*\n?//;
	is($err, '', 'without verbose nothing is told but which model is the default');
	sql(q{SELECT lbrec_drop_model('told', 1), lbrec_drop_model('told', 2)});
}

# lbrec_progress, from another session: each phase of a training, and its percentage
{
	my $run = start_psql($node, "SELECT count(*) FROM lbrec_train('never', epochs => 5000, settings => '{\"evaluate_every\": 2}', split => 'last');\n", name => 'shown');
	ok(wait_until(sub { sql(q{SELECT count(*) FROM lbrec_progress WHERE model = 'never' AND command = 'lbrec_train' AND phase ~ '^trial, epoch \d+ of 5000$|^trial, measuring$' AND percent BETWEEN 0 AND 99.9
		AND elapsed > '0' AND elapsed <= clock_timestamp() - started AND estimated_end > now() AND memory > 1048576 AND listens_per_second > 0}) eq '1' }), 'a trial is shown');
	my $percent = sql(q{SELECT percent FROM lbrec_progress});
	ok(wait_until(sub { sql("SELECT count(*) FROM lbrec_progress WHERE percent > $percent") eq '1' }), 'it goes on');
	sql(q{SELECT pg_cancel_backend(pid) FROM lbrec_progress});
	finish_psql($run);
	is(sql('SELECT count(*) FROM lbrec_progress'), '0', 'nothing is shown after a cancel');
	$run = start_psql($node, "SELECT count(*) FROM lbrec_train('never', \$\$SELECT l.* FROM listen AS l, generate_series(1, 1000000)\$\$);\n", name => 'shown');
	ok(wait_until(sub { sql(q{SELECT count(*) FROM lbrec_progress WHERE phase = 'reading' AND percent = 0 AND estimated_end IS NULL AND listens_per_second > 0}) eq '1' }), 'reading is shown');
	sql(q{SELECT pg_cancel_backend(pid) FROM lbrec_progress});
	finish_psql($run);
	$run = start_psql($node, "SELECT count(*) FROM lbrec_tune('never', search => '{\"targets\": [10, 20, 30]}', epochs => 100000);\n", name => 'shown');
	ok(wait_until(sub { sql(q{SELECT count(*) FROM lbrec_progress WHERE command = 'lbrec_tune' AND phase ~ '^trial' AND percent > 0 AND percent < 100}) eq '1' }), 'trials of a search are shown');
	sql(q{SELECT pg_cancel_backend(pid) FROM lbrec_progress});
	finish_psql($run);
}

# Dropped and altered while a session serves.
{
	my $s = $node->background_psql('postgres', on_error_stop => 0);
	my $before = $s->query(q{SELECT string_agg(r::text, ' ') FROM lbrec_recommend(1, 5, 'twice', at => '2005-01-01') AS r});
	like($before, qr/\(1,/, 'a session serves');
	sql(q{SELECT lbrec_drop_model('twice', 3)});
	my $after = $s->query(q{SELECT string_agg(r::text, ' ') FROM lbrec_recommend(1, 5, 'twice', at => '2005-01-01') AS r});
	like($after, qr/\(1,/, 'its active version dropped: another version serves');
	isnt($after, $before, '... and answers otherwise');
	sql(q{SELECT lbrec_drop_model('twice')});
	$s->query(q{SELECT lbrec_recommend(1, 5, 'twice')});
	like($s->{stderr}, qr/model "twice" does not exist/, 'the model dropped: an error');
	$s->{stderr} = '';
	# a reader in a repeatable-read transaction keeps what it saw
	$before = $s->query(q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT string_agg(r::text, ' ') FROM lbrec_recommend(1, 5, 'a', at => '2005-01-01') AS r});
	sql(q{SELECT lbrec_train('a', epochs => 5, seed => 99)});
	is($s->query(q{SELECT string_agg(r::text, ' ') FROM lbrec_recommend(1, 5, 'a', at => '2005-01-01') AS r}), $before,
		'a repeatable-read reader keeps its version');
	isnt($s->query(q{COMMIT; SELECT string_agg(r::text, ' ') FROM lbrec_recommend(1, 5, 'a', at => '2005-01-01') AS r}), $before, 'and has the new one after COMMIT');
	# the tables themselves
	sql(q{ALTER TABLE lbrec.model ADD COLUMN note text; ALTER TABLE lbrec.tensor ADD COLUMN note text DEFAULT 'x'; CREATE INDEX ON lbrec.model (owner)});
	like($s->query(q{SELECT count(*) FROM lbrec_recommend(1, 5, 'a')}), qr/^5$/, 'columns added: it serves on');
	$s->query(q{SELECT count(*) FROM lbrec_train('a', epochs => 1)});
	is($s->{stderr}, '', 'columns added: it trains');
	sql(q{VACUUM FULL lbrec.tensor; VACUUM FULL lbrec.model; CLUSTER lbrec.epoch USING epoch_pkey; REINDEX TABLE lbrec.tensor});
	like($s->query(q{SELECT count(*) FROM lbrec_recommend(1, 5, 'a')}), qr/^5$/, 'tables rewritten: it serves on');
	sql(q{DROP EXTENSION lbrec});
	$s->query(q{SELECT lbrec_recommend(1, 5, 'a')});
	like($s->{stderr}, qr/function lbrec_recommend.* does not exist/, 'extension dropped: an error');
	$s->{stderr} = '';
	is(sql(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'lbrec'}), '0', 'the extension leaves no schema');
	sql(q{CREATE EXTENSION lbrec; SELECT lbrec_train('a', epochs => 1)});
	like($s->query(q{SELECT count(*) FROM lbrec_recommend(1, 5, 'a')}), qr/^5$/, 'extension created again: the old session serves');
	is($s->{stderr}, '', 'without an error') ;
	$s->quit;
}

# Prepared statements, generic plans, and what a pooler does between clients.
$out = sql(q{
	SET plan_cache_mode = force_generic_plan;
	PREPARE p (bigint, int) AS SELECT count(*) FROM lbrec_recommend($1, $2, 'a');
	EXECUTE p (1, 5); EXECUTE p (2, 7);
	SELECT count(*) FROM lbrec_train('a', epochs => 2, seed => 3);
	EXECUTE p (1, 5);
	DISCARD ALL;
	SELECT count(*) FROM lbrec_recommend(1, 5, 'a');
	DISCARD PLANS; DISCARD SEQUENCES; DISCARD TEMP;
	SELECT count(*) FROM lbrec_recommend(1, 5, 'a');
	SET ROLE pg_monitor; RESET ROLE;
	SELECT count(*) FROM lbrec_recommend(1, 5, 'a')});
is($out, "5\n7\n2\n5\n5\n5\n5", 'prepared statements and DISCARD ALL');

# Cursors, closed early and read backwards; LIMIT.
$out = sql(q{BEGIN;
	DECLARE c SCROLL CURSOR FOR SELECT rank FROM lbrec_recommend(1, 10, 'a');
	FETCH 2 FROM c; FETCH BACKWARD 1 FROM c; CLOSE c;
	DECLARE t CURSOR FOR SELECT epoch FROM lbrec_train('cursor', epochs => 5);
	FETCH 1 FROM t; CLOSE t; COMMIT;
	SELECT count(*) FROM lbrec.epoch AS e JOIN lbrec.model AS m ON m.id = e.model WHERE m.name = 'cursor';
	SELECT epoch FROM lbrec_train('limit', epochs => 4) LIMIT 1;
	SELECT count(*) FROM lbrec.epoch AS e JOIN lbrec.model AS m ON m.id = e.model WHERE m.name = 'limit'});
is($out, "1\n2\n1\n1\n5\n1\n4", 'cursors and LIMIT leave whole models');

# Read-only transactions, and two-phase commit is not set up here.
fails($node, q{BEGIN READ ONLY; SELECT lbrec_train('ro', epochs => 1)}, '25006', 'lbrec_train', 'training in a read-only transaction');
is(sql(q{BEGIN READ ONLY; SELECT count(*) FROM lbrec_recommend(1, 5, 'a'); COMMIT}), '5', 'recommending in a read-only transaction');
is(sql(q{SET default_transaction_isolation = serializable; SELECT count(*) FROM lbrec_train('ser', epochs => 1); SELECT count(*) FROM lbrec_recommend(1, 5, 'ser')}), "1\n5", 'serializable');

is(leftovers($node), '', 'nothing left');
is_well($node, 'at the end');
$node->stop;
done_testing();
