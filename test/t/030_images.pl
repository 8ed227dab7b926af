# Images of models: one file that all sessions map, never stale, never
# damaged, gone with its model, made anew after a crash; and the same answers
# without it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_cluster('images');
my $tmp = $node->data_dir . '/base/pgsql_tmp';

sub images
{
	opendir my $d, $tmp or return ();
	my @found = sort grep { /lbrec/ && !/\.(seal|asked)$/ } readdir $d;
	return @found;
}

sub identity
{
	my @s = stat "$tmp/$_[0]";
	return "$s[1] $s[9]";
}

# Changes a file as no program of the server does, its times kept.
sub damage
{
	my ($file, $code) = @_;
	my @s = stat "$tmp/$file";
	chmod 0600, "$tmp/$file";
	my $content = slurp_file("$tmp/$file");
	$code->($content);
	open my $f, '>:raw', "$tmp/$file" or die;
	print $f $content;
	close $f;
	utime $s[8], $s[9], "$tmp/$file";
	return;
}

make_listens($node, 60, 400, 20);
$node->safe_psql('postgres', q{SELECT lbrec_train('a', epochs => 2, seed => 1)});
my @files = images();
is(scalar @files, 1, 'training leaves an image ready');
my $made = identity($files[0]);
my $first = answer($node, 'a');
is(identity($files[0]), $made, 'the first question need not make one');
unlink "$tmp/$files[0]";
is(answer($node, 'a'), $first, 'but makes one where there is none');
$made = identity($files[0]);
is(answer($node, 'a'), $first, 'another session answers the same');
is(identity($files[0]), $made, 'from the same file');

# a session that maps it has no copy of its own
my $memory = q{SELECT coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts WHERE name = 'lbrec image memory'};
my $ask = q{SELECT count(*) FROM lbrec_recommend(1, 5, 'a');};
is($node->safe_psql('postgres', "$ask $memory"), "5\n0", 'a session has no copy');
cmp_ok((split /\n/, $node->safe_psql('postgres', "SET lbrec.shared_images = off; $ask $memory"))[1], '>', 10000,
	'but with lbrec.shared_images = off it has');
is($node->safe_psql('postgres', q{SET lbrec.shared_images = off;
	SELECT u, rank, recording_msid, float4send(score) FROM generate_series(1, 5) AS u,
		LATERAL lbrec_recommend(u, 10, 'a', at => '2005-01-01 00:00+00') ORDER BY u, rank}), $first, 'with the same answers');

# damage: whatever is found in the file's place, the answer is the same
my %damages = (
	'truncated' => sub { $_[0] = substr $_[0], 0, length($_[0]) / 2 },
	'empty' => sub { $_[0] = '' },
	'longer' => sub { $_[0] .= 'x' },
	'zeros' => sub { $_[0] = "\0" x length $_[0] },
	'a bit of the header' => sub { substr($_[0], 20, 1) ^= "\x01" },
	'noise' => sub { $_[0] = join '', map { chr rand 256 } 1 .. length $_[0] });
for my $what (sort keys %damages)
{
	my $was = identity($files[0]);
	damage($files[0], $damages{$what});
	is(answer($node, 'a'), $first, "$what: the same answer");
	is(join(' ', images()), $files[0], "$what: one file");
	unlike(slurp_file("$tmp/$files[0]"), qr/^\0/, "$what: a new one");
}
# a byte in the middle, written as somebody would by mistake
chmod 0600, "$tmp/$files[0]";
my $offset = -s $node->logfile;
open my $f, '+<:raw', "$tmp/$files[0]" or die;
seek $f, 20000, 0;
print $f 'oops';
close $f;
is(answer($node, 'a'), $first, 'written to: the same answer');
like(log_since($node, $offset), qr/image .* cannot be used and is built anew/, 'written to: the log tells');

# another model's file in its place
$node->safe_psql('postgres', q{SELECT lbrec_train('b', epochs => 2, seed => 2)});
my $other = answer($node, 'b');
isnt($other, $first, 'models differ');
my ($b) = grep { $_ ne $files[0] } images();
damage($files[0], sub { $_[0] = slurp_file("$tmp/$b") });
is(answer($node, 'a'), $first, 'another model in its place: the same answer');

# as with tables, what is rolled back was never there
$node->safe_psql('postgres', q{BEGIN; SELECT lbrec_train('a', epochs => 1, seed => 7); SELECT count(*) FROM lbrec_recommend(1, 5, 'a'); ROLLBACK});
is(answer($node, 'a'), $first, 'after a rollback');
is(scalar(images()), 2, 'whose image is gone');
# a new version's image replaces the old one's
$node->safe_psql('postgres', q{SELECT lbrec_train('a', epochs => 2, seed => 3)});
my $second = answer($node, 'a');
isnt($second, $first, 'a new version answers');
is(scalar(images()), 2, 'and the old one has no image');
$node->safe_psql('postgres', q{SELECT lbrec_activate('a', 1)});
is(answer($node, 'a'), $first, 'the old one again');
is($node->safe_psql('postgres', q{BEGIN; SELECT lbrec_drop_model('b'); ROLLBACK; CREATE TABLE later (); DROP TABLE later}), '1', 'a drop that is rolled back');
is(scalar(images()), 2, 'takes no image, nor does what the session commits later');
$node->safe_psql('postgres', q{SELECT lbrec_drop_model('b')});
is(scalar(images()), 1, 'one that commits does');
$node->safe_psql('postgres', q{SELECT lbrec_train('p', epochs => 1, settings => '{"embedding_dim": 4}'); SET lbrec.shared_images = off; SELECT lbrec_train('p', epochs => 1, settings => '{"embedding_dim": 4}')});
is(scalar(images()), 2, 'an older version has an image that nobody has swept');
is($node->safe_psql('postgres', q{SELECT lbrec_prune('p', 1)}), '1', 'it is pruned');
is(scalar(images()), 1, 'with its image');
$node->safe_psql('postgres', q{SELECT lbrec_drop_model('p')});

# A version that is asked by its number keeps its image although another is
# active, for as long as somebody has asked it within a day.
{
	my $by_number = q{SELECT u, rank, recording_msid, float4send(score)
		FROM generate_series(1, 5) AS u, LATERAL lbrec_recommend(u, 10, 'a', at => '2005-01-01 00:00+00', version => 2) ORDER BY u, rank};
	is($node->safe_psql('postgres', $by_number), $second, 'a version that is not active answers');
	is(scalar(images()), 2, 'from an image of its own');
	$node->safe_psql('postgres', q{SELECT lbrec_train('p', epochs => 1, settings => '{"embedding_dim": 4}'); SELECT lbrec_drop_model('p')});
	is(scalar(images()), 2, 'which a sweep leaves');
	my ($asked) = glob("$tmp/pgsql_tmp_lbrec.*.asked");
	utime(time - 90000, time - 90000, $asked);
	$node->safe_psql('postgres', q{SELECT lbrec_train('p', epochs => 1, settings => '{"embedding_dim": 4}'); SELECT lbrec_drop_model('p')});
	is(scalar(images()), 1, 'until nobody has asked for a day');
	is(join(' ', glob("$tmp/pgsql_tmp_lbrec.*.asked")), '', 'and nothing is left of it');
}

# Made ready in a transaction: the image is there before COMMIT, other
# sessions' sweeps leave it alone, and it goes with a rollback.
for my $end ('COMMIT', 'ROLLBACK')
{
	$node->safe_psql('postgres', q{SELECT lbrec_activate('a', 1)});
	my @before = images();
	my $s = $node->background_psql('postgres');
	$s->query(q{BEGIN; SELECT lbrec_activate('a', 2)});
	my @during = images();
	is(scalar @during, @before + 1, "$end: activating makes the image");
	unlink map { "$tmp/$_" } @before;
	is(answer($node, 'a'), $first, "$end: others are answered by the version that they see, and build");
	is(join(' ', images()), join(' ', @during), "$end: without removing what is ready");
	$s->query($end);
	$s->quit;
	my @after = $end eq 'COMMIT' ? grep { my $f = $_; !grep { $f eq $_ } @before } @during : @before;
	is(join(' ', images()), join(' ', @after), "$end: the image that is needed is there, and no other");
	is(answer($node, 'a'), $end eq 'COMMIT' ? $second : $first, "$end: and answers");
}
$node->safe_psql('postgres', q{SELECT lbrec_activate('a', 2)});
my @ready = images();
$node->safe_psql('postgres', q{SET lbrec.shared_images = off; SELECT lbrec_activate('a', 1)});
is(join(' ', images()), join(' ', @ready), 'nothing is made ready with lbrec.shared_images = off');
is(answer($node, 'a'), $first, 'but by who asks');
@ready = images();
$node->safe_psql('postgres', q{SET lbrec.max_model_memory = '10kB'; SELECT lbrec_train('e', epochs => 1)});
is(join(' ', images()), join(' ', @ready), 'nor what is beyond lbrec.max_model_memory');
$node->safe_psql('postgres', q{SELECT lbrec_drop_model('e')});
# a session that has built one in a transaction does not keep others waiting
unlink map { "$tmp/$_" } images();
is($node->safe_psql('postgres', q{BEGIN; SELECT count(*) FROM lbrec_recommend(1, 5, 'a'); SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), "5\n0", 'a lock is held only while an image is built');
# a worker of a parallel query builds it, too
unlink map { "$tmp/$_" } images();
my $force = $node->safe_psql('postgres', 'SHOW server_version_num') < 160000 ? 'force_parallel_mode' : 'debug_parallel_query';
my $parallel = "SET $force = on; SET lbrec.threads = 1;";
my $vectors = q{SELECT count(*) > 0 FROM lbrec_recording_embeddings('a')};
like($node->safe_psql('postgres', "$parallel EXPLAIN $vectors"), qr/Gather.*lbrec_recording_embeddings/s, 'a question within a parallel worker');
is($node->safe_psql('postgres', "$parallel $vectors"), 't', 'is answered');
is(scalar(images()), 1, 'and leaves an image');
SKIP:
{
	skip 'this user may write everywhere', 3 if do { chmod 0500, $tmp; -w $tmp };
	my $err;
	is($node->psql('postgres', q{SELECT lbrec_train('d', epochs => 1)}, stderr => \$err), 0, 'training succeeds where no file can be written');
	like($err, qr/WARNING:  could not write file/, 'and tells');
	my $offset = -s $node->logfile;
	is($node->psql('postgres', q{SET lbrec.max_model_memory = '10kB'; SELECT lbrec_train('d', epochs => 1); SELECT lbrec_drop_model('d')}), 0, 'or where models may not be so large');
	unlike(log_since($node, $offset), qr/could not make the image/, 'silently');
}
chmod 0700, $tmp;

# The builder is cancelled, or killed: sessions that wait for its image go on, one
# of them building.  It is stopped in the midst of its work, which takes some
# tenths of a second.
$node->safe_psql('postgres', q{CREATE TABLE wide AS SELECT i % 100 AS user_id, to_timestamp(1100000000 + i) AS listened_at, md5(i::text)::uuid AS recording_msid FROM generate_series(1, 40000) AS i;
	SELECT lbrec_train('wide', 'wide', epochs => 1, settings => '{"embedding_dim": 128, "ensemble": 2, "targets": 1, "history_length": 1, "temperature": 0.1, "neighbours": 0, "refit": false}', split => 'none')});
my ($wide) = grep { -s "$tmp/$_" > 50_000_000 } images();
my $one = q{SELECT count(*) FROM lbrec_recommend(1, 5, 'wide')};
for my $how ('', 'pg_cancel_backend', 'pg_terminate_backend')
{
	my ($pid, $builder);
	for my $try (1 .. 10)
	{
		unlink "$tmp/$wide";
		$builder = start_psql($node, $one);
		wait_until(sub { eval { $builder->{h}->pump_nb }; ($pid) = map { /\.(\d+)$/ } grep { /^\Q$wide\E\./ } images(); $pid || -e "$tmp/$wide" });
		next unless $pid;
		kill 'STOP', $pid;
		last unless -e "$tmp/$wide";
		kill 'CONT', $pid;
		finish_psql($builder);
	}
	ok(!-e "$tmp/$wide", ($how || 'nothing') . ': a builder is stopped at work');
	my @waiting = map { start_psql($node, $one, name => 'waiting') } 1 .. 8;
	ok(wait_until(sub { $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waiting' AND wait_event_type = 'Lock'}) eq '8' }), 'eight wait for it');
	is(scalar(grep { /^\Q$wide\E/ } images()), 1, 'and none builds one of its own');
	if (!$how)
	{
		# a version is active even if its image cannot be made ready, but a cancel is one
		my $offset = -s $node->logfile;
		is($node->psql('postgres', q{SET lock_timeout = 200; SELECT lbrec_activate('wide')}), 0, 'a version is made active that cannot be made ready');
		like(log_since($node, $offset), qr/LOG:  could not make the image of model "wide" ready: canceling statement due to lock timeout/, 'and the log tells');
		fails($node, q{SET statement_timeout = 200; SELECT lbrec_activate('wide')}, '57014', 'statement timeout', 'a timeout while it is made ready');
	}
	$node->safe_psql('postgres', "SELECT $how($pid)") if $how;
	kill 'CONT', $pid;
	like(finish_psql($builder)->{err}, $how ? qr/canceling statement due to user request|terminating connection/ : qr/^$/, 'the builder ' . ($how ? 'is gone' : 'goes on'));
	my $built = $how ? '' : identity($wide);
	my %got = map { my $r = finish_psql($_); $r->{out} . $r->{err} => 1 } @waiting;
	is(join('', keys %got), "5\n", 'and they are answered');
	is(join(' ', grep { /^\Q$wide\E/ } images()), $wide, 'from one file, and no part of another is left');
	is(identity($wide), $built, 'which is the builder\'s') if $built;
}
# It is built where it is mapped, a chunk at a time: its tensors do not lie in
# the builder's memory as well.
SKIP:
{
	skip 'the system does not tell what memory a process has used', 1 if !-r '/proc/self/status';
	unlink "$tmp/$wide";
	my (undef, $peak, $after) = split /\n/, $node->safe_psql('postgres', qq{SET lbrec.threads = 1; $one;
		SELECT substring(pg_read_file('/proc/self/status') FROM 'VmPeak:\\s*(\\d+) kB');
		SELECT substring(pg_read_file('/proc/self/status') FROM 'VmSize:\\s*(\\d+) kB')});
	cmp_ok($peak - $after, '<', 16 * 1024, 'who builds an image needs little memory beside it');
}
is($node->safe_psql('postgres', q{SELECT lbrec_drop_model('wide'); DROP TABLE wide}), '1', 'done with it');

# the same id and name in another database is another model
$node->safe_psql('postgres', 'CREATE DATABASE two');
$node->safe_psql('two', 'CREATE EXTENSION lbrec');
make_listens($node, 60, 400, 20, 'two');
$node->safe_psql('two', q{SELECT lbrec_train('a', epochs => 2, seed => 9)});
isnt(answer($node, 'a', db => 'two'), $first, 'another database answers from its own');
is(answer($node, 'a'), $first, 'and this one too');
is(scalar(images()), 2, 'two images');
$node->safe_psql('postgres', 'DROP DATABASE two');
$node->safe_psql('postgres', q{SELECT lbrec_train('c', epochs => 1); SELECT count(*) FROM lbrec_recommend(1, 5, 'c'); });
is(scalar(images()), 2, 'images of a dropped database go when one is made');

# many at once: one file, one answer
unlink "$tmp/$_" for images();
my @runs = map { start_psql($node, q{SELECT md5(string_agg(r::text, ' ' ORDER BY rank)) FROM lbrec_recommend(1, 20, 'a', at => '2005-01-01') AS r;}) } 1 .. 12;
my %answers = map { finish_psql($_)->{out} => 1 } @runs;
is(scalar(keys %answers), 1, 'twelve sessions at once have one answer');
is(join('', map { $_->{err} } @runs), '', 'and no error');
is(scalar(images()), 1, 'and one file');
is(leftovers($node), '', 'no lock is left');

# where nothing can be written, each has its own copy, and says so once
unlink "$tmp/$_" for images();
chmod 0500, $tmp;
SKIP:
{
	skip 'this user may write everywhere', 4 if -w $tmp;
	my ($out, $err);
	$node->psql('postgres', "$ask $memory; SET lbrec.max_model_memory = 0; SELECT FROM lbrec_activate('a', 2); $ask", stdout => \$out, stderr => \$err);
	like($out, qr/^5\n\d{5,}\n\n?5$/, 'without a folder to write to it answers from memory');
	is(() = $err =~ /WARNING:  could not write file/g, 1, 'and warns once');
	$node->safe_psql('postgres', q{SELECT lbrec_activate('a', 1)});
	is(answer($node, 'a'), $first, 'correctly');
	is(scalar(images()), 0, 'without a file');
}
chmod 0700, $tmp;
is(answer($node, 'a'), $first, 'and with a folder again');
is(scalar(images()), 1, 'there is a file');

# images are temporary files, for which there is a limit
{
	unlink map { "$tmp/$_" } images();
	my ($out, $err) = ('', '');
	is($node->psql('postgres', "SET temp_file_limit = '64kB'; $ask", stdout => \$out, stderr => \$err), 0, 'beyond temp_file_limit');
	is($out, '5', 'there are answers');
	like($err, qr/WARNING:  could not write file .* quota exceeded/i, 'and a warning');
	is(scalar(images()), 0, 'but no file');
	is(answer($node, 'a'), $first, 'others have one');
}

# a limit, which names the need
fails($node, q{SET lbrec.max_model_memory = '10kB'; SELECT count(*) FROM lbrec_recommend(1, 5, 'a')}, '54000',
	'version 1 of model "a" needs \d+ kB to be served', 'beyond lbrec.max_model_memory');

# more models than a session keeps at hand, one within another's filter
$node->safe_psql('postgres', join ';', map { qq{SELECT lbrec_train('m$_', epochs => 1, settings => '{"embedding_dim": 4}', layers => '{4}')} } 1 .. 6);
is($node->safe_psql('postgres', q{SELECT count(*) FROM lbrec_recommend(1, 5, 'a', filter =>
	$$SELECT recording_msid FROM generate_series(1, 6) AS i, LATERAL lbrec_recommend(1, 100, 'm' || i)$$)}), '5', 'six models within a filter');
is($node->safe_psql('postgres', q{SET lbrec.shared_images = off; SELECT count(*) FROM generate_series(1, 60) AS i, LATERAL lbrec_recommend(1, 5, 'm' || i % 6 + 1)}), '300', 'six models in turn');
$node->safe_psql('postgres', join ';', map { "SELECT lbrec_drop_model('m$_')" } 1 .. 6);

# rights: what one role has mapped or made is not another's
$node->safe_psql('postgres', q{CREATE ROLE reader; GRANT USAGE ON SCHEMA lbrec TO reader; GRANT SELECT ON lbrec.model TO reader});
fails($node, qq{$ask SET ROLE reader; $ask}, '42501', 'permission denied for table tensor', 'a role that may not read tensors');
$node->safe_psql('postgres', q{GRANT SELECT ON lbrec.tensor TO reader});
is($node->safe_psql('postgres', "SET ROLE reader; $ask"), '5', 'one that may');
# Changes that a transaction takes back are never in an image that others find,
# although the row that they look by is as it was.
{
	my $true = answer($node, 'c');
	unlink map { "$tmp/$_" } images();
	my ($id) = $node->safe_psql('postgres', q{SELECT id FROM lbrec.model WHERE name = 'c' ORDER BY activation DESC LIMIT 1});
	# a chunk more, or one whose checksum is changed
	for my $change ("INSERT INTO lbrec.tensor VALUES ($id, 'more', 0, 'bytes', 0, 1, 7, '')",
		"DELETE FROM lbrec.tensor WHERE model = $id AND name = 'neighbour_sums'",
		"UPDATE lbrec.tensor SET crc32c = crc32c + 1 WHERE model = $id AND name = 'neighbour_sums'")
	{
		my ($out, $err) = ('', '');
		$node->psql('postgres', "BEGIN; $change; SELECT count(*) FROM lbrec_recommend(1, 5, 'c'); ROLLBACK", stdout => \$out, stderr => \$err);
		like($err, qr/version \d+ of model "c" is not what was saved/, 'changes of its own transaction make no image');
		is(answer($node, 'c'), $true, 'and others see none of them');
		unlink map { "$tmp/$_" } images();
	}
}

# Only a session that is building is waited for: not one that activated a
# version and is idle, nor a prepared transaction.
{
	my $true = answer($node, 'c');
	my $idle = $node->background_psql('postgres');
	$idle->query_safe(q{BEGIN; SELECT lbrec_activate('c')});
	unlink map { "$tmp/$_" } images();
	is($node->safe_psql('postgres', q{SET lock_timeout = '60s'; SELECT count(*) FROM lbrec_recommend(1, 5, 'c')}), '5', 'an idle transaction is not waited for');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}), '0', 'nobody waits');
	$idle->query_safe('ROLLBACK');
	$idle->quit;
	$node->append_conf('postgresql.conf', 'max_prepared_transactions = 2');
	$node->restart;
	$node->safe_psql('postgres', q{BEGIN; SELECT lbrec_activate('c'); PREPARE TRANSACTION 'later'});
	$node->restart;
	is($node->safe_psql('postgres', q{SET lock_timeout = '60s'; SELECT count(*) FROM lbrec_recommend(1, 5, 'c')}), '5', 'nor a prepared one, over a restart');
	$node->safe_psql('postgres', q{ROLLBACK PREPARED 'later'});
	is(answer($node, 'c'), $true, 'with the same answers');
}

# A file that a crashed process left behind goes, one of a living process stays.
{
	my $living = $node->background_psql('postgres');
	my $pid = $living->query_safe('SELECT pg_backend_pid()');
	my $image = (images())[0];
	append_to_file("$tmp/$image.part.$_", 'half') for $pid, $$;
	unlink "$tmp/$image";
	answer($node, 'c');
	ok(!-e "$tmp/$image.part.$$", 'a part of a process that is no backend is removed');
	ok(-e "$tmp/$image.part.$pid", 'one of a backend is not');
	$living->quit;
	unlink "$tmp/$image.part.$pid";
}

# a policy hides a model from a role; the role's sweep leaves its image alone
unlink map { "$tmp/$_" } images();
$node->safe_psql('postgres', q{SELECT count(*) FROM lbrec_recommend(1, 1, 'a');
	ALTER TABLE lbrec.model ENABLE ROW LEVEL SECURITY; CREATE POLICY one ON lbrec.model USING (name = 'c')});
my @hidden = images();
is($node->safe_psql('postgres', qq{SET ROLE reader; SELECT count(*) FROM lbrec_recommend(1, 5, 'c'); SELECT current_user}), "5\nreader", 'a role that a policy shows one model builds its image');
is(scalar(grep { $_ eq $hidden[0] } images()), 1, 'and leaves that of the other');
$node->safe_psql('postgres', q{ALTER TABLE lbrec.model DISABLE ROW LEVEL SECURITY; DROP POLICY one ON lbrec.model});
# A policy on the tensors asks another model while the first one is read: it
# takes the place that was free for that, and leaves it.
unlink map { "$tmp/$_" } images();
$node->safe_psql('postgres', q{SELECT count(*) FROM lbrec_recommend(1, 1, 'c');
	CREATE FUNCTION asks() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) = 1 FROM lbrec_recommend(1, 1, 'c')); END $$;
	ALTER TABLE lbrec.tensor ENABLE ROW LEVEL SECURITY; CREATE POLICY asking ON lbrec.tensor USING (asks())});
is($node->safe_psql('postgres', qq{SET ROLE reader; $ask RESET ROLE; SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'lbrec image'}), "5\n1",
	'a session holds no model that it does not know of');
$node->safe_psql('postgres', q{ALTER TABLE lbrec.tensor DISABLE ROW LEVEL SECURITY; DROP POLICY asking ON lbrec.tensor; DROP FUNCTION asks});

# a crash clears them
$node->stop('immediate');
$node->start;
is(scalar(images()), 0, 'after a crash there is no image');
is(answer($node, 'a'), $first, 'and the same answer');
is_well($node, 'at the end');
$node->stop;
done_testing();
