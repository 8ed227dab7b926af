# 200 cancels at random moments of training, evaluating and recommending: half
# by statement_timeout, half by pg_cancel_backend.  Each is answered soon,
# leaves nothing behind, and the session works on with the memory it had.
#
# Soon is 100 ms.  Where the system tells what processor time a process has
# used, it is 100 ms of that, from pg_cancel_backend to where the session waits
# for its next turn: a busy machine may let it wait for a processor as long as
# it likes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $bound = 100;				# ms
# A noisy machine may be late by the clock; how late it was is reported.
my $late = 5000;
my $has_proc = -r '/proc/self/stat' && $^O eq 'linux';
my $seed = defined $ENV{LBREC_SEED} ? $ENV{LBREC_SEED} : time;
srand $seed;
diag("seed: LBREC_SEED=$seed");

my $node = new_cluster('cancel', settings => "log_line_prefix = '%m [%p] '\n");
make_listens($node, 3000, 20000, 100);
$node->safe_psql('postgres', q{SELECT lbrec_train('small', 'SELECT * FROM listen WHERE user_id < 200', epochs => 1);
	SELECT lbrec_train('large', epochs => 1)});
my $before = answer($node, 'large');
my $large = 'SELECT l.* FROM listen AS l, generate_series(1, 4)';
my @work = (
	"SELECT lbrec_train('never', epochs => 100000)",
	qq{SELECT lbrec_train('never', epochs => 100000, settings => '{"evaluate_every": 100000}', layers => '{128,64}')},
	"SELECT lbrec_train('never', '$large', epochs => 100000)",
	# a step that takes seconds
	qq{SELECT lbrec_train('never', epochs => 100000, settings => '{"evaluate_every": 100000, "ensemble": 1, "batch_by": "listens", "user_embedding": true, "embedding_dim": 1024, "batch_size": 4096}', layers => '{4096,1024}')},
	"SELECT lbrec_evaluate('large', '$large')",
	# reads, trains and judges
	qq{DO \$\$ BEGIN LOOP PERFORM lbrec_retrain('small', 'SELECT * FROM listen UNION ALL SELECT user_id, listened_at + interval ''10 years'', recording_msid, artist FROM listen', rule => 'better',
		settings => '{"ensemble": 1, "embedding_dim": 4, "epochs": 1}'); END LOOP; END \$\$},
	"SELECT lbrec_evaluate_lists('SELECT user_id, recording_msid, 1 AS rank FROM listen, generate_series(1, 100)', '$large', 'large')",
	"SELECT lbrec_evaluate_next('1990-01-01', model => 'large', listens => '$large')",
	"SELECT count(*) FROM generate_series(1, 3000) AS u, generate_series(1, 1000) AS n, LATERAL lbrec_next(100, user_id => u, model => 'large') AS r",
	"SELECT count(*) FROM generate_series(1, 3000) AS u, generate_series(1, 1000) AS n, LATERAL lbrec_recommend(u, 100, 'large') AS r",
	# a tile of users, its rows, and strangers one by one
	"SELECT count(*) FROM (SELECT lbrec_recommend_all(500, 'large') FROM generate_series(1, 1000)) AS r",
	"SELECT count(*) FROM generate_series(1, 1000), LATERAL (SELECT lbrec_recommend_all(5, 'large', ARRAY(SELECT generate_series(5001::bigint, 9000)), listens => 'SELECT user_id + 5000 AS user_id, listened_at, recording_msid FROM listen')) AS r",
	"SELECT count(*) FROM generate_series(1, 3000) AS u, LATERAL lbrec_recommend(u, 15000, 'large', exclude_listened => true) AS r, generate_series(1, 10000)",
	# a group, user by user, and the nearest
	"SELECT count(*) FROM generate_series(1, 1000), LATERAL (SELECT lbrec_recommend_group(ARRAY(SELECT generate_series(1::bigint, 9000)), 100, 'large')) AS r",
	"SELECT count(*) FROM generate_series(1, 1000), LATERAL (SELECT lbrec_similar(ARRAY(SELECT recording_msid FROM lbrec_recommend(1, 100, 'large')), 10000, 'large', per_artist => NULL, diversity => 0.2)) AS r",
	# a model as rows, and back
	"SELECT count(*) FROM generate_series(1, 1000) AS n, LATERAL (SELECT lbrec_import('SELECT * FROM lbrec_export(''large'')', 'never') WHERE n > 0) AS i",
	"SELECT count(*) FROM generate_series(1, 1000) AS n, LATERAL (SELECT lbrec_check('large') WHERE n > 0) AS c",
	# builds an image at each call
	"DO \$\$ BEGIN FOR i IN 1 .. 1000 LOOP UPDATE lbrec.model SET activation = activation + 10 WHERE name = 'large'; PERFORM lbrec_recommend(1); UPDATE lbrec.model SET activation = nextval('lbrec.activation_seq') + 10000 WHERE name = 'small'; PERFORM lbrec_recommend(1); DISCARD PLANS; END LOOP; END \$\$");
my $size = q{SELECT 'bytes ' || sum(total_bytes) FROM pg_backend_memory_contexts};

sub report
{
	my ($what, @ms) = @_;
	for my $i (0 .. $#ms)
	{
		diag(sprintf '%s: %.0f ms: %s', $what, $ms[$i], $work[$i % @work]) if $ms[$i] > 100;
	}
	@ms = sort { $a <=> $b } @ms;
	diag(sprintf '%s: %d answered within %.0f ms; median %.1f, 95%% %.1f, over 100 ms: %d',
		$what, scalar @ms, $ms[-1], $ms[@ms / 2], $ms[@ms * 0.95], scalar grep { $_ > 100 } @ms);
	cmp_ok($ms[-1], '<', $late, "$what: each within $late ms of the clock");
	return;
}

sub sizes_hold
{
	my ($what, $out) = @_;
	my @size = $out =~ /bytes (\d+)/g;
	is(scalar @size, 2, "$what: memory was looked at");
	cmp_ok($size[1], '<=', $size[0] + 262144, "$what: memory contexts are back to their size");
	return;
}

# By timeout.  The first round warms up what a session keeps.
{
	my $script = join '', map { "SET statement_timeout = 400;\n$_;\n" } @work;
	$script .= "RESET statement_timeout;\n$size;\n";
	my @set;
	for my $i (0 .. 99)
	{
		my $ms = 1 + int rand 600;
		push @set, $ms;
		$script .= "SET statement_timeout = $ms;\n\\timing on\n$work[$i % @work];\n\\timing off\n";
	}
	$script .= "RESET statement_timeout;\n$size;\n";
	my $run = finish_psql(start_psql($node, $script));
	my @took = $run->{out} =~ /^Time: ([0-9.]+) ms/gm;
	is(scalar @took, 100, 'timeouts: 100 statements');
	my $cancelled = () = $run->{err} =~ /canceling statement due to statement timeout/g;
	my $errors = () = $run->{err} =~ /ERROR:/g;
	is($errors, $cancelled, 'timeouts: no other error') or diag($run->{err});
	is($cancelled, 100 + @work, 'timeouts: each ended by its timeout');
	report('timeouts', map { $took[$_] - $set[$_] } 0 .. $#took);
	sizes_hold('timeouts', $run->{out});
	is(leftovers($node), '', 'timeouts: nothing left');
}

# By another session.  Between two statements the cancelled one waits for a
# lock that the other holds: until it has looked at the processor time.
{
	my $script = join '', map { "SET statement_timeout = 400;\n$_;\n" } @work;
	$script .= "RESET statement_timeout;\nSET lbrec.threads = 1;\n$size;\nSELECT pg_advisory_lock(1);\n";
	$script .= "$work[$_ % @work];\nSELECT pg_advisory_lock(2), pg_advisory_unlock(2);\n" for 0 .. 99;
	$script .= "$size;\n";
	my $fraction = rand;
	my $hunter = start_psql($node, qq{
		SELECT setseed($fraction);
		SELECT pg_advisory_lock(1);
		CREATE TABLE latency (number int, ms float, cpu float);
		-- milliseconds of processor time, in ticks of 10; utime and stime
		CREATE FUNCTION cpu(pid int) RETURNS float LANGUAGE sql AS \$\$
			SELECT @{[ $has_proc ? q{10 * (f[12]::float + f[13]::float) FROM string_to_array(regexp_replace(pg_read_file('/proc/' || pid || '/stat'), '^.*\\) ', ''), ' ') AS f} : 'NULL' ]} \$\$;
		CREATE PROCEDURE hunt() LANGUAGE plpgsql AS \$\$
		DECLARE victim int; t timestamptz; used float; waits text;
		BEGIN
			PERFORM pg_advisory_lock(2);
			FOR i IN 1 .. 100 LOOP
				LOOP
					PERFORM pg_stat_clear_snapshot();
					SELECT pid INTO victim FROM pg_stat_activity
					WHERE application_name = 'victim' AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Lock';
					EXIT WHEN FOUND;
					-- its script has ended
					IF NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'victim') THEN RETURN; END IF;
					PERFORM pg_sleep(0.001);
				END LOOP;
				PERFORM pg_sleep(random() * 0.5);
				used := cpu(victim);
				t := clock_timestamp();
				PERFORM pg_cancel_backend(victim);
				LOOP
					PERFORM pg_stat_clear_snapshot();
					SELECT wait_event INTO waits FROM pg_stat_activity WHERE pid = victim;
					EXIT WHEN waits = 'advisory' OR clock_timestamp() > t + interval '30 s';
					IF NOT FOUND THEN RETURN; END IF;
					PERFORM pg_sleep(0.001);
				END LOOP;
				INSERT INTO latency VALUES (i, 1000 * extract(epoch FROM clock_timestamp() - t), cpu(victim) - used);
				PERFORM pg_advisory_unlock(2);
				LOOP
					PERFORM pg_stat_clear_snapshot();
					SELECT wait_event INTO waits FROM pg_stat_activity WHERE pid = victim;
					EXIT WHEN waits IS DISTINCT FROM 'advisory';
					PERFORM pg_sleep(0.001);
				END LOOP;
				PERFORM pg_advisory_lock(2);
			END LOOP;
		END \$\$;
		DO \$\$ BEGIN
			LOOP
				PERFORM pg_stat_clear_snapshot();
				EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'victim' AND wait_event = 'advisory');
				PERFORM pg_sleep(0.01);
			END LOOP;
		END \$\$;
		SELECT pg_advisory_unlock(1);
		CALL hunt()});
	ok(wait_until(sub { $node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted}) eq '1' }),
		'the hunter is ready');
	my $run = start_psql($node, $script, name => 'victim');
	finish_psql($hunter);
	finish_psql($run);
	is($hunter->{err}, '', 'cancels: the hunter found its prey');
	my $cancelled = () = $run->{err} =~ /canceling statement due to user request/g;
	# a statement that ends before its turn costs one of the hundred
	cmp_ok($cancelled, '>=', 90, "cancels: $cancelled statements") or diag($run->{err});
	report('cancels', split /\n/, $node->safe_psql('postgres', 'SELECT ms FROM latency ORDER BY number'));
	SKIP:
	{
		skip 'the system does not tell what processor time a process has used', 1 if !$has_proc;
		my @cpu = split /\n/, $node->safe_psql('postgres', 'SELECT cpu FROM latency ORDER BY number');
		my @long = grep { $cpu[$_] >= $bound } 0 .. $#cpu;
		diag(sprintf 'cancels: at most %d ms of processor time, at most 20 for %d of %d', (sort { $b <=> $a } @cpu)[0], scalar(grep { $_ <= 20 } @cpu), scalar @cpu);
		is(join("\n", map { "$cpu[$_] ms: $work[$_ % @work]" } @long), '', "cancels: each within $bound ms of processor time");
	}
	sizes_hold('cancels', $run->{out});
	is(leftovers($node), '', 'cancels: nothing left');
}

# Interrupts that are nothing to stop for come again and again: the server looks
# whether the client is still there.  Work that takes longer than that comes to
# its end all the same: a step of training, an index, a block of an evaluation.
SKIP:
{
	my ($out, $err) = ('', '');
	skip 'this server cannot look for a client that is gone', 2
		if $node->psql('postgres', q{SET client_connection_check_interval = 1}) != 0;
	$node->psql('postgres', q{SET lbrec.threads = 1; SET client_connection_check_interval = 5; SET statement_timeout = '100s';
		BEGIN;
		SELECT count(*) FROM lbrec_train('again', 'SELECT * FROM listen WHERE user_id < 400', epochs => 1, settings => '{"ensemble": 1, "embedding_dim": 512, "batch_size": 400, "targets": 100, "temperature": 0.1, "refit": false}', split => 'none');
		SELECT count(*) FROM lbrec_evaluate('again', 'SELECT * FROM listen WHERE user_id < 100', '{1000}');
		SELECT count(*) FROM (SELECT lbrec_recommend_all(1000, 'again')) AS r;
		ROLLBACK}, stdout => \$out, stderr => \$err);
	is($err =~ /ERROR:.*/ ? $& : '', '', 'interrupts that stop nothing: no error');
	is($out, "1\n3\n399000", 'interrupts that stop nothing: all is done');
}

is($node->safe_psql('postgres', q{SELECT count(*) FROM lbrec.model}), '2', 'no model was saved');
is(answer($node, 'large'), $before, 'the model answers as before');
is_well($node, 'at the end');
$node->stop;
done_testing();
