# Straight into a server: the ledger, kills, incremental dumps, replacement.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../convert";
use Converter;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
my $dir = scratch();

sub database
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	return $node->connstr($name);
}

sub listens { return $node->safe_psql($_[0], 'SELECT * FROM listen ORDER BY 1, 2, 3'); }

# A dump: name's number, its TIMESTAMP or [START, END], then month => lines.
sub dump_file
{
	my ($number, $time, @months) = @_;
	my $kind = ref $time ? 'incremental' : 'full';
	my $top = "listenbrainz-listens-dump-$number-20260901-000003-$kind";
	my @members = ("$top/SCHEMA_SEQUENCE" => "1\n");
	push @members, ref $time
	  ? ("$top/START_TIMESTAMP" => "$time->[0]\n", "$top/END_TIMESTAMP" => "$time->[1]\n")
	  : ("$top/TIMESTAMP" => "$time\n");
	while (my ($month, $data) = splice(@months, 0, 2))
	{
		push @members, "$top/listens/$month.listens" => $data;
	}
	return write_tar("$dir/$top.tar.zst", @members);
}

sub some_lines
{
	my ($from, $n) = @_;
	return join '', map { line(user_id => 1 + $_ % 7, timestamp => 1100000000 + $_, recording_msid => msid($_ % 97)) } $from .. $from + $n - 1;
}

# The same tables as by psql; again: nothing new.
my $full = dump_file(100, '2026-09-01T00:00:03.5+00:00',
	'2004/11' => some_lines(0, 500), '2004/12' => some_lines(500, 500) . "{\n", '2005/1' => '');
{
	my $c = database('plain');
	my ($code, $out, $summary, $err) = converted([ '-d', $c, $full ]);
	is($code, 1, 'exit code 1 with a reject');
	is($out, '', 'nothing on standard output');
	is(join(' ', @$summary{qw(listens written duplicates members known_members)}), '1000 1000 0 3 0', 'summary');
	is($node->safe_psql('plain', "SELECT member, lines, listens, written, rejected FROM lbrec_dump_member ORDER BY 1"),
		join("\n", map { "listenbrainz-listens-dump-100-20260901-000003-full/listens/$_" }
			'2004/11.listens|500|500|500|0', '2004/12.listens|501|500|500|1', '2005/1.listens|0|0|0|0'), 'the ledger of members');
	is($node->safe_psql('plain', "SELECT kind, changes_to = '2026-09-01 00:00:03.5+00', finished_at IS NOT NULL FROM lbrec_dump"), 'full|t|t', 'the ledger of dumps');
	my $script_db = database('script');
	system_or_bail('sh', '-c', "'$program' -q '$full' | psql -Xq -d '$script_db'; true");
	is(listens('plain'), listens('script'), 'the same listens as by psql');
	($code, $out, $summary) = converted([ '-d', $c, $full ]);
	is(join(' ', $code, @$summary{qw(listens written members known_members)}), '0 0 0 0 3', 'again: the ledger knows all members');
	# The same name and size, but another time: another dump.
	rename $full, "$full.kept" or die;
	dump_file(100, '2026-09-02T00:00:03.5+00:00',
		'2004/11' => some_lines(7000, 500), '2004/12' => some_lines(500, 500) . "{\n", '2005/1' => '');
	($code, $out, $summary) = converted([ '-d', $c, $full ]);
	is("$code $summary->{known_members} $summary->{written}", '1 0 500', 'a dump that only has the name of one that is loaded');
	rename "$full.kept", $full or die;
	# A file that names itself by nothing is read again, and changes nothing.
	my $file = write_file("$dir/1.listens", some_lines(0, 100) . some_lines(2000, 5) x 2);
	for my $time (1, 2)
	{
		($code, $out, $summary) = converted([ '-d', $c, $file ]);
		is(join(' ', @$summary{qw(listens written duplicates)}), $time == 1 ? '110 5 105' : '110 0 110', "a file, time $time");
	}
	# Dropping the table is a fresh start, whatever the ledger says.
	$node->safe_psql('plain', 'DROP TABLE listen');
	($code, $out, $summary) = converted([ '-d', $c, $full ]);
	is($summary->{written}, 1000, 'after DROP TABLE listen everything is loaded again');
}

# kill -9 at any moment, again and again, until a run comes through.
sub kill_until_done
{
	my ($name, @args) = @_;
	my ($kills, $known, $delay) = (0, 0, 0.05);
	while (1)
	{
		my $err = '';
		my $h = IPC::Run::start([ $program, '--summary', 'json', '-q', @args ], '>', \my $out, '2>', \$err);
		sleep($delay);
		$delay *= 1.15;
		if ($h->pumpable)
		{
			$h->signal('KILL');
		}
		$h->finish;
		last if $? == 0;
		die "exit code " . ($? >> 8) . ": $err" unless ($? & 127) == 9;
		$kills++;
		die 'it never comes through' if $kills > 60;
	}
	cmp_ok($kills, '>', 2, "$name: was killed several times ($kills)");
}
{
	my $c = database('killed');
	my @months = map { ("2005/$_" => some_lines($_ * 20000, 20000)) } 1 .. 12;
	my $big = dump_file(101, '2026-09-01T00:00:03+00:00', @months);
	kill_until_done('load', '-d', $c, $big);
	is($node->safe_psql('killed', 'SELECT count(*), count(DISTINCT (user_id, listened_at, recording_msid)) FROM listen'),
		'240000|240000', 'nothing is lost, nothing is there twice');
	is($node->safe_psql('killed', 'SELECT count(*), sum(written) FROM lbrec_dump_member'), '12|240000', 'each member was loaded once');
	is($node->safe_psql('killed', 'SELECT count(*) FROM recording'), 97, 'recordings');

	is($node->safe_psql('killed', "SELECT count(*), max(obj_description('listen'::regclass)) FROM pg_constraint WHERE conname = 'listen_pkey'"), '1|', 'the key is back');

	# The server goes away in the middle.
	my $d = database('gone');
	my $err = '';
	my $h = IPC::Run::start([ $program, '-q', '-d', $d, $big ], '2>', \$err);
	$node->poll_query_until('gone', "SELECT to_regclass('lbrec_dump_member') IS NOT NULL") or die;
	$node->poll_query_until('gone', 'SELECT count(*) > 2 FROM lbrec_dump_member') or die;
	$node->stop('immediate');
	$h->finish;
	is($? >> 8, 2, 'server gone: exit code 2');
	like($err, qr/lost the connection to the server.*hint: Run the same command again/s, 'server gone: message');
	$node->start;
	my ($code, $out, $summary) = converted([ '-d', $d, $big ]);
	is($code, 0, 'and again');
	cmp_ok($summary->{known_members}, '>', 2, 'members that were committed are skipped');
	is(listens('gone'), listens('killed'), 'the same listens');
}

# A first load goes without the key; its duplicates go at the end.
for my $option ('--summary=json', '--by-month')
{
	my $db = $option eq '--by-month' ? 'first_monthly' : 'first';
	my $c = database($db);
	my $twice = dump_file(150, '2026-09-01T00:00:00+00:00', '2004/11' => some_lines(0, 300) . some_lines(0, 40), '2004/12' => some_lines(10, 5));
	my ($code, $out, $summary) = converted([ '-d', $c, $option, $twice ]);
	is(join(' ', $code, @$summary{qw(listens written duplicates)}), '0 345 300 45', "$db: duplicates in a first load");
	is($node->safe_psql($db, "SELECT count(*), obj_description('listen'::regclass) FROM pg_constraint WHERE conrelid = 'listen'::regclass AND contype = 'p'"), '1|', "$db: the key is there");
	# Killed between: the next run, whatever it loads, brings the key back.
	$node->safe_psql($db, "TRUNCATE listen; DELETE FROM lbrec_dump; ALTER TABLE listen DROP CONSTRAINT listen_pkey; COMMENT ON TABLE listen IS 'lbrec-convert is loading; its primary key comes back at the end'; INSERT INTO listen VALUES (1, to_timestamp(1100000000), '" . msid(0) . "'), (1, to_timestamp(1100000000), '" . msid(0) . "')");
	is((converted([ '-q', '-d', $c, $twice ]))[0], 0, "$db: a load after one that was killed");
	is($node->safe_psql($db, "SELECT count(*), count(DISTINCT (user_id, listened_at, recording_msid)), (SELECT count(*) FROM pg_constraint WHERE conrelid = 'listen'::regclass AND contype = 'p') FROM listen"), '300|300|1', "$db: the key is back, duplicates gone");
	# A table whose key something depends on keeps it.
	$node->safe_psql($db, 'TRUNCATE listen; DELETE FROM lbrec_dump; CREATE TABLE note (user_id bigint, listened_at timestamptz, recording_msid uuid, FOREIGN KEY (user_id, recording_msid, listened_at) REFERENCES listen (user_id, recording_msid, listened_at))');
	($code, $out, $summary) = converted([ '-d', $c, $option, $twice ]);
	is(join(' ', $code, @$summary{qw(listens written duplicates)}), '0 345 300 45', "$db: a key that something depends on stays");
}

# Incremental dumps: twice, out of order, with a gap.
{
	my $c = database('chain');
	my @day = map { "2026-09-0$_" . 'T00:00:00+00:00' } 1 .. 6;
	my $start = dump_file(200, $day[0], '2004/11' => some_lines(0, 100));
	my $first = dump_file(201, [ @day[ 0, 1 ] ], '2026/9' => some_lines(100, 50) . some_lines(0, 3));
	my $second = dump_file(202, [ @day[ 1, 2 ] ], '2026/9' => some_lines(150, 50));
	my $late = dump_file(204, [ @day[ 3, 4 ] ], '2026/9' => some_lines(300, 50));
	my ($code, $out, $summary, $err) = converted([ '-d', $c, $first ]);
	like($err, qr/no full dump is loaded before/, 'an incremental dump alone: a warning');
	$node->safe_psql('chain', 'DROP TABLE listen');
	($code, $out, $summary, $err) = converted([ '-d', $c, $start, $first, $second ]);
	is("$summary->{written} $summary->{duplicates}", '200 3', 'full and two incremental dumps');
	unlike($err, qr/warning/, 'a whole chain: no warning');
	my $before = listens('chain');
	($code, $out, $summary, $err) = converted([ '-d', $c, $first ]);
	is("$summary->{written} $summary->{known_members}", '0 1', 'an incremental dump twice');
	is(listens('chain'), $before, 'changes nothing');
	($code, $out, $summary, $err) = converted([ '-d', $c, $late ]);
	like($err, qr/dumps are missing before ".*-204-.*reaches to 2026-09-03 .* begins at 2026-09-04/s, 'a gap: a warning');
	is($summary->{written}, 50, 'and it is loaded');
	($code, $out, $summary, $err) = converted([ $start, $late ]);
	like($err, qr/dumps are missing/, 'a script: the gap is told, too');
	($code, $out, $summary, $err) = converted([ $start, $first, $second ]);
	unlike($err, qr/missing/, 'a script of a whole chain: no warning');
}

# A newer full dump takes the old one's place.
for my $by_month (0, 1)
{
	my $db = $by_month ? 'monthly' : 'replaced';
	my $c = database($db);
	my @option = $by_month ? ('--by-month') : ();
	my $old = dump_file(300, '2026-09-01T00:00:00+00:00', '2004/11' => some_lines(0, 1000));
	my $new = dump_file(301, '2026-09-15T00:00:00+00:00',
		'2004/11' => some_lines(200, 800) . some_lines(5000000, 50),
		'1970/1' => line(timestamp => 5, recording_msid => msid(7)));
	is((converted([ '-q', '-d', $c, @option, $old ]))[0], 0, "$db: the old dump");
	$node->safe_psql($db, 'CREATE VIEW mine AS SELECT count(*) FROM listen; GRANT SELECT ON listen TO PUBLIC');
	my $stays = $node->safe_psql($db, "SELECT sum(hashtext(ctid::text)) FROM listen WHERE listened_at >= to_timestamp(1100000200)");

	my ($code, $out, $summary, $err) = converted([ '-d', $c, '--replace', $new ]);
	is($code, 0, "$db: --replace") or diag $err;
	is(join(' ', map { $_ // '-' } @$summary{qw(listens written removed duplicates)}), '851 51 200 -', "$db: summary");
	is($node->safe_psql($db, 'SELECT count(*), min(listened_at) = to_timestamp(5) FROM listen'), '851|t', "$db: listens");
	is($node->safe_psql($db, 'SELECT count(*) FROM recording WHERE recording_msid NOT IN (SELECT recording_msid FROM listen)'), 0, "$db: no recording without a listen");
	is($node->safe_psql($db, 'SELECT * FROM mine'), 851, "$db: a view stays");
	is($node->safe_psql($db, "SELECT sum(hashtext(ctid::text)) FROM listen WHERE listened_at BETWEEN to_timestamp(1100000200) AND to_timestamp(1100000999)"), $stays, "$db: what stays is not touched");
	is($node->safe_psql($db, "SELECT to_regclass('lbrec_next_listen') IS NULL"), 't', "$db: nothing is left over");
	is($node->safe_psql($db, "SELECT dump FROM lbrec_dump"), 'listenbrainz-listens-dump-301-20260901-000003-full', "$db: the ledger has the new dump");
	($code, $out, $summary, $err) = converted([ '-d', $c, '--replace', $new ]);
	is("$code $summary->{members}", '0 0', "$db: again: nothing to do");
	($code, $out, $summary, $err) = converted([ '-d', $c, '--replace', $old ]);
	is($code, 2, "$db: an older dump is refused");
	like($err, qr/it is older than what is loaded.*2026-09-01.*2026-09-15/s, "$db: and why");
	is($node->safe_psql($db, 'SELECT count(*) FROM listen'), 851, "$db: nothing happened");
	is((converted([ '-d', $c, '--replace', '--force', $old ]))[0], 0, "$db: --force");
	is($node->safe_psql($db, 'SELECT count(*) FROM listen'), 1000, "$db: the old dump is back");
	if ($by_month)
	{
		is($node->safe_psql($db, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'listen'::regclass"), 3, 'a partition a month, and the early one');
		is($node->safe_psql($db, "SELECT tableoid::regclass FROM listen WHERE listened_at = to_timestamp(1100000000)"), 'listen_2004_11', 'by its month');
		is((converted([ '-q', '-d', $c, dump_file(302, [ '2026-09-15T00:00:00+00:00', '2026-09-16T00:00:00+00:00' ], '2026/9' => line(timestamp => 1789000000)) ]))[0], 0,
			'a partitioned listen is recognised without --by-month');
	}
	my ($refused) = convert([ '-d', $c, '--replace', write_file("$dir/x.listens", line()) ]);
	is($refused, 2, "$db: a file that is no full dump is refused");
}

# Killed while replacing: readers see the old listens to the end.
{
	my $c = database('rekilled');
	my $old = dump_file(400, '2026-09-01T00:00:00+00:00', map { ("2005/$_" => some_lines($_ * 10000, 10000)) } 1 .. 12);
	my $new = dump_file(401, '2026-09-15T00:00:00+00:00', map { ("2005/$_" => some_lines($_ * 10000 + 5000, 10000)) } 1 .. 12);
	is((converted([ '-q', '-d', $c, $old ]))[0], 0, 'the old dump');
	my $h = IPC::Run::start([ $program, '-q', '-d', $c, '--replace', $new ], '2>', \my $err);
	$node->poll_query_until('rekilled', "SELECT count(*) > 3 FROM lbrec_dump_member WHERE dump LIKE '%(replacing)'") or die;
	$h->signal('KILL');
	$h->finish;
	is($node->safe_psql('rekilled', 'SELECT count(*), max(listened_at) = to_timestamp(1100129999) FROM listen'), '120000|t', 'killed: the old listens are there');
	kill_until_done('replacement', '-d', $c, '--replace', $new);
	is($node->safe_psql('rekilled', 'SELECT count(*), max(listened_at) = to_timestamp(1100134999), min(listened_at) = to_timestamp(1100015000) FROM listen'),
		'120000|t|t', 'and at the end the new ones');
}

# by month in a script
{
	my $c = database('scripted');
	my $lines = write_file("$dir/months.listens", join '', map { line(timestamp => $_) } 0, 1033430399, 1033430400, 1036108799, 1036108800, 4102444799, 4102444800, 1709164800);
	system_or_bail('sh', '-c', "'$program' -q --by-month '$lines' | psql -1 -Xq -v ON_ERROR_STOP=1 -d '$c'") for 1, 2;
	is($node->safe_psql('scripted', "SELECT string_agg(tableoid::regclass || ' ' || extract(epoch FROM listened_at)::bigint, ',' ORDER BY listened_at) FROM listen"),
		'listen_early 0,listen_early 1033430399,listen_2002_10 1033430400,listen_2002_10 1036108799,listen_2002_11 1036108800,listen_2024_02 1709164800,listen_2099_12 4102444799,listen_late 4102444800',
		'--by-month in a script: the months\' borders');
}

# What cannot be.
for (
	[ [ '-d', 'host=/nowhere dbname=x', $full ], qr/could not connect/ ],
	[ [ '-d', $node->connstr('nobody'), $full ], qr/could not connect: .*database "nobody" does not exist\n.*gave up after \d\.\d s/s ],
	[ [ '-d', 'x', '--table', 'listen', $full ], qr/goes neither with --ddl nor with --table/ ],
	[ [ '--replace', $full ], qr/--replace needs --dbname/ ],
	[ [ '-d', 'x', '--replace', $full, $full ], qr/one full dump/ ])
{
	my ($args, $message) = @$_;
	my ($code, $out, $err) = convert($args);
	is($code, 2, "@$args[0 .. 2]: exit code");
	like($err, $message, "@$args[0 .. 2]: message");
}
{
	# ListenBrainz's own table of that name, and a disk that is full.
	my $c = database('other');
	$node->safe_psql('other', 'CREATE TABLE listen (listened_at timestamptz, data jsonb)');
	my ($code, $out, $err) = convert([ '-q', '-d', $c, $full ]);
	is($code, 2, 'a table listen of another shape: exit code');
	like($err, qr/the server refused .*: column "user_id" of relation "listen" does not exist/, 'a table listen of another shape: message');
	is($node->safe_psql('other', 'SELECT count(*) FROM listen'), 0, 'and nothing in it');
}

done_testing();
