# A backend that trains and fails 1,000 times, in ten different ways, does not
# grow: neither its memory contexts nor what the system counts as its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = 100;
my $node = new_cluster('growth');
make_listens($node, 20, 50, 10);
$node->safe_psql('postgres', q{SELECT lbrec_train('a', epochs => 1, settings => '{"embedding_dim": 8}', layers => '{8}');
	CREATE TABLE failed (state text);
	CREATE FUNCTION late_failure() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'late'; END $$;
	CREATE TRIGGER late BEFORE INSERT ON lbrec.tensor FOR EACH ROW WHEN (NEW.name = 'candidate' AND current_setting('test.late', true) = 'on') EXECUTE FUNCTION late_failure();
	CREATE PROCEDURE fail(call text) LANGUAGE plpgsql AS $$
	BEGIN
		BEGIN
			EXECUTE call;
		EXCEPTION WHEN OTHERS THEN
			INSERT INTO failed VALUES (SQLSTATE);
		END;
	END $$});
my @ways = (
	q{SELECT lbrec_train('a', settings => '{"learning_rate": 1e6, "l2_normalize": false}', epochs => 20, layers => '{8,8,8,8}')},
	q{SELECT lbrec_train('a', 'SELECT 1 / (user_id - 20) AS user_id, listened_at, recording_msid FROM listen ORDER BY user_id')},
	q{SELECT lbrec_train('a', 'SELECT user_id, listened_at, NULL::uuid AS recording_msid FROM listen')},
	q{SELECT lbrec_train('a', 'SELECT * FROM nothing')},
	# fails when all but the last tensor is written
	q{SELECT lbrec_train('a', epochs => 1) FROM set_config('test.late', 'on', true)},
	q{SELECT 1 / (count(*) - 1) FROM lbrec_train('a', epochs => 1)},
	q{SELECT lbrec_evaluate('a', 'SELECT * FROM listen WHERE 1 / (user_id - 1) > 0')},
	q{SELECT lbrec_user_embedding(12345678, 'a')},
	q{SELECT lbrec_recommend(1, 5, 'a', exclude_listened => true, listens => 'SELECT 1/0 AS user_id, NULL::uuid AS recording_msid')},
	q{SELECT lbrec_curves_svg('{nobody}')});
my $measure = q{SELECT 'size ' || sum(total_bytes) || ' ' || (SELECT regexp_replace(pg_read_file('/proc/' || pg_backend_pid() || '/status'), '.*VmData:\s*(\d+) kB.*Threads:\s*(\d+).*', '\1 \2')) FROM pg_backend_memory_contexts;};
my $turn = join "\n", map { "CALL fail(\$way\$$_\$way\$);" } @ways;
# two measures after warming up, one at the end
my $script = join "\n", ($turn) x 10, $measure, ($turn) x ($rounds - 10), $measure, 'SELECT state, count(*) FROM failed GROUP BY 1 ORDER BY 1;';
my $run = finish_psql(start_psql($node, "SET lbrec.threads = 4;\n$script"));
is($run->{err}, '', 'no error but those expected');
my @size = map { [ split / / ] } $run->{out} =~ /^size (.*)$/mg;
is(scalar @size, 2, 'measured');
diag(sprintf '%d failures; memory contexts %d, then %d bytes; data segment %d, then %d kB; threads %d, then %d',
	$node->safe_psql('postgres', 'SELECT count(*) FROM failed'), map { ($size[0][$_], $size[1][$_]) } 0 .. 2);
is($node->safe_psql('postgres', 'SELECT count(*) FROM failed'), $rounds * @ways, 'each of them failed') or diag($run->{out});
cmp_ok($size[1][0], '<', $size[0][0] + 262144, 'memory contexts have not grown');
cmp_ok($size[1][1], '<', $size[0][1] + 4096, 'the data segment has not grown');
is($size[1][2], $size[0][2], 'no thread is left');
is($size[1][2], 1, 'but its own');

# An evaluation at a K as large as the catalogue takes no more users at a time
# than 16 M entries of lists have room for, 55 of these 120: 128 MB of ids, and
# what goes with them, 345 MB in all; without the bound it is 495 MB and more.
$node->safe_psql('postgres', q{CREATE TABLE broad AS SELECT i % 120 AS user_id, to_timestamp(1100000000 + i) AS listened_at, md5(i::text)::uuid AS recording_msid FROM generate_series(1, 300000) AS i;
	SELECT lbrec_train('broad', 'broad', epochs => 1, settings => '{"embedding_dim": 4, "ensemble": 1, "targets": 5000, "history_length": 1, "temperature": 0.1, "refit": false}', split => 'none')});
my ($base, $peak) = split /\n/, $node->safe_psql('postgres', q{SET lbrec.threads = 1; SELECT count(*) FROM lbrec_recommend(1, 5, 'broad') \g /dev/null
	CREATE TEMP TABLE one AS SELECT user_id, listened_at, recording_msid FROM broad LIMIT 120;
	SELECT substring(pg_read_file('/proc/self/status') FROM 'VmSize:\s*(\d+) kB');
	SELECT count(*) FROM lbrec_evaluate('broad', 'one', '{300000}') \g /dev/null
	SELECT substring(pg_read_file('/proc/self/status') FROM 'VmPeak:\s*(\d+) kB')});
diag(sprintf 'an evaluation took %d MB', ($peak - $base) / 1024);
cmp_ok($peak - $base, '<', 420 * 1024, 'an evaluation at a large K is held to its bound');
cmp_ok($peak - $base, '>', 128 * 1024, 'which it reaches');

is(leftovers($node), '', 'nothing left');
is_well($node, 'at the end');
$node->stop;
done_testing();
