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

# Runs the converter's script in psql; exit code and messages of psql.
sub run_script
{
	my ($db, $file, @args) = @_;
	my (undef, $script) = convert([ '-q', @args, $file ]);
	my ($out, $err);
	IPC::Run::run([ 'psql', '-Xq', '-d', $node->connstr($db) ], '<', \$script, '>', \$out, '2>', \$err);
	return ($? >> 8, $err);
}

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
	# Killed before the recordings are where they belong.
	my $recordings = $node->safe_psql($db, 'SELECT * FROM recording ORDER BY 1');
	$node->safe_psql($db, 'CREATE TABLE lbrec_first_recording AS SELECT * FROM recording; INSERT INTO lbrec_first_recording SELECT * FROM recording; TRUNCATE recording');
	my (undef, undef, undef, $quiet) = converted([ '-d', $c, $twice ]);
	unlike($quiet, qr/warning/, "$db: what is collected is not gone");
	is($node->safe_psql($db, "SELECT to_regclass('lbrec_first_recording') IS NULL, (SELECT count(*) FROM pg_constraint WHERE conname = 'recording_pkey')") . $node->safe_psql($db, 'SELECT * FROM recording ORDER BY 1'), "t|1$recordings", "$db: the recordings are back, with their key");
	# ... and while somebody has put rows where they belong.
	$node->safe_psql($db, "CREATE TABLE lbrec_first_recording AS SELECT * FROM recording; DELETE FROM recording WHERE recording_msid > '" . msid(40) . "'");
	is((converted([ '-q', '-d', $c, $twice ]))[0], 0, "$db: both tables have some");
	is($node->safe_psql($db, 'SELECT * FROM recording ORDER BY 1'), $recordings, "$db: all are there once");
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
	like($err, qr/listens of ".*-201-.*" are gone from the tables/, 'the dropped table is noticed');
	unlike($err, qr/missing|no full dump/, 'a whole chain: no other warning');
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

# Loads that must fail.
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
	like($err, qr/error: table "public.listen" has no column "user_id".*hint: Rename what is there/s, 'a table listen of another shape: message');
	is($node->safe_psql('other', 'SELECT count(*) FROM listen'), 0, 'and nothing in it');
}

# The ledger is corrected if the tables lack its listens.
{
	my $c = database('truth');
	my $dump = dump_file(500, '2026-09-01T00:00:00+00:00',
		'1970/1' => line(timestamp => 5, recording_msid => msid(7)),
		'2004/11' => some_lines(0, 900), '2004/12' => some_lines(900, 600));
	my @load = ('-q', '-d', $c);
	is((converted([ @load, '--skip-early', $dump ]))[2]->{written}, 1500, '--skip-early first');
	is((converted([ @load, $dump ]))[2]->{written}, 1, 'then without: the early listen comes');
	is((converted([ @load, $dump ]))[2]->{known_members}, 3, 'and all is known');
	is((converted([ @load, '--user-id', 9, $dump ]))[2]->{known_members}, 0, 'another --user-id is another load');
	is((converted([ @load, $dump ]))[2]->{known_members}, 0, 'and back');
	my $all = listens('truth') . $node->safe_psql('truth', 'SELECT * FROM recording ORDER BY 1');
	my $december = "listened_at >= to_timestamp(1100000900)";
	for my $loss (
		[ 'TRUNCATE listen', 3 ], [ 'DELETE FROM listen', 3 ], [ 'DROP TABLE listen', 3 ],
		[ "DELETE FROM listen WHERE $december", 1 ], [ "DELETE FROM listen WHERE $december AND user_id < 4", 1 ],
		[ 'TRUNCATE recording', 3 ], [ 'DROP TABLE recording', 3 ], [ 'DELETE FROM recording', 3 ],
		[ 'DROP TABLE listen, recording', 3 ],
		# Only the converter's other tables are restored.
		[ 'DROP TABLE listen; CREATE TABLE listen (user_id bigint, listened_at timestamptz, recording_msid uuid, PRIMARY KEY (recording_msid, user_id, listened_at))', 3 ],
		# Nothing is lost by these.
		[ 'VACUUM FULL listen', 0 ], [ 'CLUSTER recording USING recording_pkey', 0 ], [ 'DELETE FROM lbrec_dump_member WHERE listens = 1', 1 ])
	{
		my ($sql, $members) = @$loss;
		$node->safe_psql('truth', $sql);
		my ($code, undef, $summary, $err) = converted([ '-d', $c, $dump ]);
		is("$code $summary->{members}", "0 $members", "$sql: members loaded again") or diag $err;
		like($err, qr/warning: listens of ".*-500-.*" are gone/, "$sql: a warning") if $members && $sql !~ /lbrec_dump/;
		is(listens('truth') . $node->safe_psql('truth', 'SELECT * FROM recording ORDER BY 1'), $all, "$sql: all is there again");
		is($node->safe_psql('truth', 'SELECT count(*), count(finished_at) FROM lbrec_dump'), '1|1', "$sql: the ledger");
	}
	$node->safe_psql('truth', 'TRUNCATE listen');
	is((converted([ @load, '--replace', $dump ]))[2]->{written}, 1501, 'TRUNCATE listen, --replace');
	is(listens('truth') . $node->safe_psql('truth', 'SELECT * FROM recording ORDER BY 1'), $all, 'all is there again');
	# One listen is no loss that a sample must show: --reload.
	$node->safe_psql('truth', 'DELETE FROM listen WHERE listened_at = (SELECT max(listened_at) FROM listen)');
	my ($code, undef, $summary) = converted([ @load, '--reload', $dump ]);
	is("$code $summary->{members} $summary->{written}", '0 3 1', '--reload');
	is((converted([ @load, '--replace', $dump ]))[2]->{members}, 0, '--replace knows the dump');
	is((converted([ @load, '--replace', '--reload', $dump ]))[2]->{members}, 3, '--replace --reload');
	is((converted([ @load, '--replace', '--skip-early', $dump ]))[2]->{removed}, 1, '--replace --skip-early');
	# A dump is not thought to reach further than what is there.
	my $next = dump_file(501, [ '2026-09-01T00:00:00+00:00', '2026-09-02T00:00:00+00:00' ], '2026/9' => some_lines(5000, 50));
	$node->safe_psql('truth', 'TRUNCATE listen');
	my (undef, undef, undef, $err) = converted([ '-d', $c, $next ]);
	like($err, qr/no full dump is loaded before/, 'an incremental dump where the full one is gone');
}

# Folders as they are published: archives whose names are always the same,
# beside checksums and the spark dump.
{
	my $c = database('folders');
	my @make = (
		[ 'listenbrainz-dump-2045-20260915-000003-full', '2026-09-15T00:00:03+00:00', some_lines(0, 40) ],
		[ 'listenbrainz-dump-2046-20260916-000003-incremental', [ '2026-09-15T00:00:03+00:00', '2026-09-16T00:00:03+00:00' ], some_lines(40, 30) ],
		[ 'listenbrainz-dump-2047-20260917-000003-incremental', [ '2026-09-16T00:00:03+00:00', '2026-09-17T00:00:03+00:00' ], some_lines(70, 20) ]);
	my @folders;
	for (@make)
	{
		my ($folder, $time, $lines) = @$_;
		my $top = 'listenbrainz-listens-dump';
		mkdir "$dir/$folder";
		write_tar("$dir/$folder/$top.tar.zst", "$top/SCHEMA_SEQUENCE" => "1\n",
			(ref $time ? ("$top/START_TIMESTAMP" => "$time->[0]\n", "$top/END_TIMESTAMP" => "$time->[1]\n") : ("$top/TIMESTAMP" => "$time\n")),
			"$top/listens/2026/9.listens" => $lines);
		write_file("$dir/$folder/$top.tar.zst.$_", "0123456789abcdef  $top.tar.zst\n") for 'md5', 'sha256';
		write_tar("$dir/$folder/listenbrainz-spark-dump.tar", 'listenbrainz-spark-dump/1.parquet' => 'PAR1' . "\0" x 100);
		push @folders, "$dir/$folder";
	}
	for my $again (0, 1)
	{
		my ($code, undef, $summary, $err) = converted([ '-d', $c, $again ? map { "$_/listenbrainz-listens-dump.tar.zst" } @folders : @folders ]);
		is("$code $summary->{written} $summary->{known_members} $summary->{other_members}", $again ? '0 0 3 0' : '0 90 0 9', 'published folders, then their archives alone') or diag $err;
		unlike($err, qr/warning/, 'no warning');
	}
	is($node->safe_psql('folders', 'SELECT dump FROM lbrec_dump ORDER BY changes_to'),
		join("\n", map { "listenbrainz-listens-dump $_ 00:00:03+00" } 'full 2026-09-15', 'incremental 2026-09-16', 'incremental 2026-09-17'),
		'dumps of one name are told apart');
	is((converted([ '-q', '-d', $c, '--replace', $folders[0] ]))[0], 2, 'the full dump is older than the incremental ones');
	my ($code, undef, $err) = convert([ '-d', $c, "$folders[0]/listenbrainz-spark-dump.tar" ]);
	like("$code $err", qr/^2 .*it is Parquet/s, 'the spark dump alone is refused');
}

# A listen that is not the converter's.
{
	my $c = database('theirs');
	my @load = ('-d', $c, my $two = write_file("$dir/two.listens", line(timestamp => 1700000000) . line(timestamp => 1700000001, user_id => 2)));
	for my $try (
		[ '(user_id bigint NOT NULL, listened_at timestamptz NOT NULL, recording_msid uuid NOT NULL)', 'table "public.listen" has no unique index on \(user_id, listened_at, recording_msid\)' ],
		[ '(user_id bigint, listened_at timestamptz, recording_msid uuid, UNIQUE (user_id, listened_at))', 'no unique index' ],
		[ '(user_id bigint, listened_at timestamptz, recording_msid uuid, UNIQUE (user_id, listened_at, recording_msid) DEFERRABLE)', 'no unique index' ],
		[ '(user_id bigint, listened_at timestamptz, recording_msid uuid); CREATE UNIQUE INDEX ON listen (user_id, listened_at, recording_msid) WHERE user_id > 1', 'no unique index' ],
		[ '(user_id bigint, listened_at timestamptz(0), recording_msid uuid, PRIMARY KEY (user_id, listened_at, recording_msid))', 'column "listened_at" of table "public.listen" is of type timestamp\(0\) with time zone' ],
		[ '(user_id bigint, listened_at bigint, recording_msid uuid, PRIMARY KEY (user_id, listened_at, recording_msid))', 'is of type bigint' ],
		[ '(user_id text, listened_at timestamptz, recording_msid uuid, PRIMARY KEY (user_id, listened_at, recording_msid))', 'column "user_id" .* is of type text' ],
		[ '(user_id bigint, listened_at timestamptz, PRIMARY KEY (user_id, listened_at))', 'has no column "recording_msid"' ],
		[ '(user_id bigint GENERATED ALWAYS AS (1) STORED, listened_at timestamptz, recording_msid uuid)', 'column "user_id" .* is generated' ])
	{
		my ($table, $message) = @$try;
		$node->safe_psql('theirs', "DROP TABLE IF EXISTS listen; CREATE TABLE listen $table");
		my ($code, $out, $err) = convert([@load]);
		is($code, 2, "$table: refused");
		like($err, qr/error: .*$message.*hint: /s, "$table: message");
		($code, $err) = run_script('theirs', $two);
		is($code, 3, "$table: refused in a script");
		like($err, qr/ERROR:  .*$message.*HINT: /s, "$table: message of a script");
		is($node->safe_psql('theirs', 'SELECT count(*) FROM listen'), 0, "$table: nothing in it");
	}
	for my $view ('VIEW', 'MATERIALIZED VIEW')
	{
		$node->safe_psql('theirs', "DROP TABLE IF EXISTS listen; CREATE $view listen AS SELECT 1::bigint AS user_id, now() AS listened_at, '" . msid(1) . "'::uuid AS recording_msid");
		like((convert([@load]))[2], qr/"public.listen" is not a table/, "a $view listen");
		$node->safe_psql('theirs', "DROP $view listen");
	}
	# Right, though not as the converter makes it.
	for my $table (
		'(user_id bigint, listened_at timestamp, recording_msid uuid, PRIMARY KEY (user_id, recording_msid, listened_at))',
		'(recording_msid uuid, note text, user_id integer, listened_at timestamptz); CREATE UNIQUE INDEX ON listen (listened_at, user_id, recording_msid) INCLUDE (note)',
		'(user_id integer, listened_at timestamptz, recording_msid uuid, PRIMARY KEY (user_id, listened_at, recording_msid)) PARTITION BY HASH (user_id); CREATE TABLE h0 PARTITION OF listen FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE h1 PARTITION OF listen FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
		"(user_id bigint, listened_at timestamptz, recording_msid uuid, PRIMARY KEY (user_id, listened_at, recording_msid)) PARTITION BY RANGE (listened_at); CREATE TABLE y2023 PARTITION OF listen FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')",
		'(user_id bigint, listened_at timestamptz, recording_msid uuid, PRIMARY KEY (user_id, listened_at, recording_msid)) PARTITION BY RANGE (listened_at); CREATE TABLE rest PARTITION OF listen DEFAULT')
	{
		$node->safe_psql('theirs', "DROP TABLE IF EXISTS listen; CREATE TABLE listen $table");
		for my $zone ('Asia/Tokyo', 'America/New_York')
		{
			local $ENV{PGTZ} = $zone;
			is((convert([ '-q', @load ]))[0], 0, "$table: taken") or diag((convert([@load]))[2]);
			is((run_script('theirs', $two, $table =~ /RANGE/ ? '--by-month' : ()))[0], 0, "$table: by a script");
		}
		is($node->safe_psql('theirs', "SET TimeZone = 'UTC'; SELECT user_id, listened_at::timestamp FROM listen ORDER BY 1"), "1|2023-11-14 22:13:20\n2|2023-11-14 22:13:21", "$table: the listens, once, in UTC");
	}
	like((convert([ '-d', $c, '-q', '--by-month', $two ]))[2], qr/^$/, '--by-month where it is so');
	$node->safe_psql('theirs', 'DROP TABLE listen; CREATE TABLE listen (user_id bigint, listened_at timestamptz, recording_msid uuid, PRIMARY KEY (user_id, listened_at, recording_msid))');
	like((convert([ '--by-month', @load ]))[2], qr/cannot load by month: listen is there/, '--by-month where it is not');
	# A unique index of another kind refuses; it must not swallow.
	$node->safe_psql('theirs', 'CREATE UNIQUE INDEX ON listen (listened_at)');
	my $clash = write_file("$dir/clash.listens", line() . line(user_id => 2));
	like((convert([ '-d', $c, $clash ]))[2], qr/duplicate key value violates unique constraint/, 'a narrower unique index refuses');
	$node->safe_psql('theirs', 'DROP TABLE recording; CREATE TABLE recording (recording_msid uuid PRIMARY KEY, artist_name varchar(3), track_name text, release_name text, recording_mbid uuid, release_mbid uuid, artist_mbids uuid[])');
	like((convert([@load]))[2], qr/column "artist_name" of table "public.recording" is of type character varying\(3\)/, 'a recording of another shape');
}

# Code planted by others does not run as the loader.
{
	my $c = database('planted');
	my $file = write_file("$dir/planted.listens", line(user_id => 3) . line(user_id => 4, recording_msid => msid(4)));
	my $evil = $node->connstr('planted') . ' user=evil';
	$node->safe_psql('planted', 'CREATE ROLE evil LOGIN; CREATE ROLE other; CREATE TABLE victim (whose name)');
	my $as_evil = sub { system_or_bail('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $evil, '-c', $_[0]) };
	my $function = 'CREATE OR REPLACE FUNCTION public.plant() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.victim VALUES (current_user); RETURN new; END $$';
	my $spy = 'CREATE OR REPLACE FUNCTION public.spy(%s) RETURNS %s LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.victim VALUES (current_user); RETURN %s; END $$';
	my $columns = 'recording_msid uuid PRIMARY KEY, artist_name text NOT NULL, track_name text NOT NULL, release_name text, recording_mbid uuid, release_mbid uuid, artist_mbids uuid[]';
	my $ledger = 'dump text PRIMARY KEY, kind text, options text, changes_from timestamptz, changes_to timestamptz, started_at timestamptz, finished_at timestamptz';
	my $clean = 'SET client_min_messages = warning; DROP OWNED BY evil CASCADE; GRANT CREATE ON SCHEMA public TO evil; DROP TABLE IF EXISTS listen, recording, lbrec_dump_member, lbrec_dump, lbrec_first_recording CASCADE';
	my $own = sub { "CREATE TABLE listen (user_id bigint, listened_at timestamptz, recording_msid uuid, PRIMARY KEY (user_id, listened_at, recording_msid)$_[0]); " };
	# Each: the attack, the loader's preparation, the message.
	for my $plant (
		[ 'a table with a trigger', "CREATE TABLE public.recording ($columns); $function; CREATE TRIGGER t BEFORE INSERT ON public.recording FOR EACH ROW EXECUTE FUNCTION public.plant()", '', qr/table "public.recording" belongs to role "evil"/ ],
		[ 'a ledger', "CREATE TABLE public.lbrec_dump ($ledger)", '', qr/table "public.lbrec_dump" belongs to role "evil"/ ],
		[ 'a table beside', 'CREATE TABLE public.lbrec_first_recording (recording_msid uuid)', '', qr/table "public.lbrec_first_recording" belongs to role "evil"/ ],
		[ 'a view', 'CREATE VIEW public.recording AS SELECT 1', '', qr/table "public.recording" belongs to role "evil"/ ],
		[ 'a trigger', "$function; CREATE TRIGGER t BEFORE INSERT ON public.listen FOR EACH ROW EXECUTE FUNCTION public.plant()", $own->('') . 'GRANT TRIGGER ON listen TO evil', qr/a row of table "public.listen" would call function public.plant\(\), which belongs to role "evil"/ ],
		[ 'a trigger on a partition', "$function; CREATE TRIGGER t BEFORE INSERT ON public.part FOR EACH ROW EXECUTE FUNCTION public.plant()", 'CREATE TABLE listen (user_id bigint, listened_at timestamptz, recording_msid uuid, PRIMARY KEY (user_id, listened_at, recording_msid)) PARTITION BY HASH (user_id); CREATE TABLE part PARTITION OF listen FOR VALUES WITH (MODULUS 1, REMAINDER 0); GRANT TRIGGER ON part TO evil', qr/a row of table "public.part" would call/ ],
		[ 'a table that refers', 'CREATE TABLE public.evils (user_id bigint, listened_at timestamptz, recording_msid uuid, FOREIGN KEY (user_id, listened_at, recording_msid) REFERENCES listen ON DELETE CASCADE)', $own->('') . 'GRANT REFERENCES ON listen TO evil', qr/table "public.evils" belongs to role "evil"/ ])
	{
		my ($name, $theirs, $before, $message) = @$plant;
		$node->safe_psql('planted', "$clean; $before");
		$as_evil->($theirs);
		my ($code, $out, $err) = convert([ '-d', $c, $file ]);
		is($code, 2, "$name: refused");
		like($err, qr/error: $message/, "$name: message");
		($code, $err) = run_script('planted', $file);
		is($code, 3, "$name: refused in a script");
		like($err, $message, "$name: message of a script");
		is($node->safe_psql('planted', 'SELECT count(*) FROM victim'), 0, "$name: nothing ran");
	}
	# The loader's own table with somebody else's function, wherever that stands.
	for my $use (
		[ 'a check', 'bigint', 'boolean', 'true', $own->(', CHECK (public.spy(user_id))') ],
		[ 'a default', '', 'text', '1', $own->(', note text DEFAULT public.spy()') ],
		[ 'an index', 'bigint', 'bigint', '$1', $own->('') . 'CREATE INDEX ON listen (public.spy(user_id))' ],
		[ 'a partial index', 'bigint', 'boolean', 'true', $own->('') . 'CREATE INDEX ON listen (user_id) WHERE public.spy(user_id)' ],
		[ 'a policy', 'bigint', 'boolean', 'true', $own->('') . 'CREATE POLICY p ON listen USING (public.spy(user_id))' ],
		[ 'a rule', 'bigint', 'boolean', 'true', $own->('') . 'CREATE RULE r AS ON INSERT TO listen DO ALSO SELECT public.spy(new.user_id)' ],
		[ 'a domain', 'text', 'boolean', 'true', 'CREATE DOMAIN uid AS text CHECK (public.spy(value)); ' . $own->(', note uid') ],
		[ 'an operator', 'bigint', 'boolean', 'true', 'CREATE OPERATOR public.#! (RIGHTARG = bigint, FUNCTION = public.spy); ' . $own->(', CHECK (OPERATOR(public.#!) user_id)') ])
	{
		my ($name, $takes, $gives, $value, $table) = @$use;
		$node->safe_psql('planted', $clean);
		$as_evil->(sprintf($spy, $takes, $gives, $value) =~ s/LANGUAGE/IMMUTABLE LANGUAGE/r);
		$node->safe_psql('planted', $table);
		like((convert([ '-d', $c, $file ]))[2], qr/error: a row of table "public.listen" would call function spy\(.*?\), which belongs to role "evil"|error: a row of table "public.listen" would call function public.spy\(.*?\), which belongs to role "evil"/, "$name: refused");
		is($node->safe_psql('planted', 'SELECT count(*) FROM victim'), 0, "$name: nothing ran");
	}
	# An operator that fits better, and a schema.
	$node->safe_psql('planted', $clean);
	for my $type ('oid,regclass', 'oid,oid', 'name,text', 'uuid,uuid', 'bigint,bigint', 'text,text', 'boolean,boolean', 'timestamptz,timestamptz')
	{
		my ($left, $right) = split /,/, $type;
		$as_evil->(sprintf($spy, "$left, $right", 'boolean', 'true') . "; CREATE OPERATOR public.= (LEFTARG = $left, RIGHTARG = $right, FUNCTION = public.spy); CREATE OPERATOR public.<> (LEFTARG = $left, RIGHTARG = $right, FUNCTION = public.spy)");
	}
	$as_evil->("CREATE FUNCTION public.$_ RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO public.victim VALUES (current_user); RETURN ''; END \$\$") for 'format(text, text)', 'max(timestamptz)', 'now()', 'unnest(bigint[])', 'to_regclass(text)', 'obj_description(oid, text)', 'current_schema()';
	my $dump = dump_file(600, '2026-09-01T00:00:00+00:00', '2004/11' => some_lines(0, 50));
	for my $args ([$file], [$dump], [$dump], [ '--by-month', $dump ], [ '--replace', $dump ])
	{
		$node->safe_psql('planted', 'DROP TABLE listen') if $args->[0] eq '--by-month';
		is((convert([ '-q', '-d', $c, @$args ]))[0], 0, "@$args with planted operators and functions");
		is((run_script('planted', $args->[-1]))[0], 0, 'a script') unless @$args > 1;
	}
	is($node->safe_psql('planted', 'SELECT count(*) FROM victim'), 0, 'none of them ran');
	$node->safe_psql('planted', 'CREATE SCHEMA theirs AUTHORIZATION evil');
	{
		local $ENV{PGOPTIONS} = '-c search_path=theirs';
		like((convert([ '-d', $c, $file ]))[2], qr/error: schema "theirs" belongs to role "evil"/, 'a schema of another role');
		is((convert([ '-q', '-d', $c, '--trust', 'theirs', $file ]))[0], 0, '--trust with its name');
		is($node->safe_psql('planted', 'SELECT count(*) FROM theirs.listen'), 2, 'and it is loaded');
		local $ENV{PGOPTIONS} = '-c search_path=nowhere';
		like((convert([ '-d', $c, $file ]))[2], qr/no schema to load into/, 'no schema');
		like((run_script('planted', $file))[1], qr/no schema to load into/, 'no schema, a script');
	}
	# By name on the command line.
	$node->safe_psql('planted', $clean);
	$as_evil->("CREATE TABLE public.recording ($columns); $function; CREATE TRIGGER t BEFORE INSERT ON public.recording FOR EACH ROW EXECUTE FUNCTION public.plant()");
	is((convert([ '-q', '-d', $c, '--trust', 'recording', $file ]))[0], 0, '--trust with the name of the table');
	is((run_script('planted', $file, '--trust', 'recording'))[0], 0, 'a script, too');
	is((convert([ '-q', '-d', $c, '--trust', 'listen', $file ]))[0], 2, '--trust with another name');
	is($node->safe_psql('planted', 'SELECT DISTINCT whose = current_user FROM victim'), 't', 'then its trigger runs');
	is((convert([ '-d', $c, '--trust', 'a@b', $file ]))[0], 2, '--trust with what is no name');
	# Its owner is the database's: no question.
	$node->safe_psql('planted', "$clean; ALTER DATABASE planted OWNER TO other; CREATE TABLE recording ($columns); ALTER TABLE recording OWNER TO other");
	is((convert([ '-q', '-d', $c, $file ]))[0], 0, 'a table of the owner of the database');

	# Others cannot hold the converter up, and a second converter waits.
	my $out = '';
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $evil ], '<', \"BEGIN; SELECT pg_advisory_lock(465508132195); SELECT 'held'; SELECT pg_sleep(600);\n", '>', \$out);
	$session->pump until $out =~ /held/;
	is((convert([ '-q', '-d', $c, $file ]))[0], 0, 'an advisory lock of somebody else');
	$session->kill_kill;
	my ($in, $err) = ('', '');
	my $first = IPC::Run::start([ $program, '-q', '-d', $c, '-' ], '<', \$in, '2>', \my $first_err);
	$node->poll_query_until('planted', "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'lbrec_dump'::regclass AND mode = 'ShareUpdateExclusiveLock' AND granted") or die;
	my $second = IPC::Run::start([ $program, '-d', $c, $file ], '2>', \$err);
	$second->pump until $err =~ /another lbrec-convert loads into this database: waiting/;
	pass('a second converter waits');
	$first->kill_kill;
	$second->finish;
	is($?, 0, 'and goes on when the first is gone');
}

done_testing();
