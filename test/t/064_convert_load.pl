# The script for psql, loaded into a server of its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../convert";
use Converter;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
my $dir = scratch();

# Run a script through psql; its exit code and messages.
sub psql
{
	my ($db, $script, @options) = @_;
	my ($out, $err);
	IPC::Run::run([ 'psql', '-X', @options, '-d', $node->connstr($db) ], '<', \$script, '>', \$out, '2>', \$err);
	return ($? >> 8, $err);
}

sub state_of
{
	my ($db) = @_;
	return $node->safe_psql($db,
		'SELECT * FROM listen ORDER BY 1, 2, 3; SELECT * FROM recording ORDER BY 1');
}

my $mbid = '103e7457-e64b-43f1-a2df-94ba0286cd59';
my $lines = join '',
  (map { line(user_id => 1 + $_ % 7, timestamp => 1100000000 + $_ % 900, recording_msid => msid($_ % 50)) } 1 .. 3000),
  # the identifiers come late, with another client's line
  line(recording_msid => msid(3), metadata => { track_name => 'another name', additional_info => { recording_mbid => $mbid } }),
  line(recording_msid => msid(60), metadata => { artist_name => "\\.", track_name => "\\N\t\n", release_name => '' }),
  line(timestamp => 0, recording_msid => msid(60));
my $dump = write_tar("$dir/dump.tar.zst", 'd/SCHEMA_SEQUENCE' => "1\n", 'd/listens/2004/11.listens' => $lines);
my ($code, $script) = convert([ '-q', $dump ]);
is($code, 0, 'converted');

$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(plain single piped);
my ($status, $err) = psql('plain', $script);
is("$status $err", '0 ', 'psql takes the script without a word');
my %distinct;
$distinct{ join ' ', 1 + $_ % 7, $_ % 900, $_ % 50 } = 1 for 1 .. 3000;
is($node->safe_psql('plain', 'SELECT count(*) FROM listen'), keys(%distinct) + 3, 'each listen once');
is($node->safe_psql('plain', 'SELECT count(*) FROM recording'), 51, 'each recording once');
is($node->safe_psql('plain', "SELECT track_name, recording_mbid FROM recording WHERE recording_msid = '" . msid(3) . "'"),
	"Immigrant Song|$mbid", 'the first name stays, a later identifier is added');
is($node->safe_psql('plain', "SELECT artist_name = E'\\\\.', track_name = E'\\\\N\\t\\n', release_name IS NULL FROM recording WHERE recording_msid = '" . msid(60) . "'"),
	't|t|t', "COPY's own marks came through");
is($node->safe_psql('plain', "SELECT min(listened_at) AT TIME ZONE 'UTC' FROM listen"), '1970-01-01 00:00:00', 'a time');
is($node->safe_psql('plain', 'SELECT count(*) FROM (SELECT user_id, listened_at, recording_msid, artist_name FROM listen JOIN recording USING (recording_msid)) AS q'),
	keys(%distinct) + 3, 'what the trainer asks for');
is($node->safe_psql('plain', "SELECT string_agg(format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'listen'::regclass AND attnum > 0"),
	'bigint,timestamp with time zone,uuid', 'the columns of listen');

# Again: nothing changes, not even where a row lies.
my $before = $node->safe_psql('plain', 'SELECT sum(hashtext(ctid::text || xmin::text)) FROM listen') .
  $node->safe_psql('plain', 'SELECT sum(hashtext(ctid::text || xmin::text)) FROM recording');
($status, $err) = psql('plain', $script);
is("$status $err", '0 ', 'loaded twice');
is($node->safe_psql('plain', 'SELECT sum(hashtext(ctid::text || xmin::text)) FROM listen') .
	  $node->safe_psql('plain', 'SELECT sum(hashtext(ctid::text || xmin::text)) FROM recording'),
	$before, 'the second load changes nothing');

# One transaction, and the way without files.
($status, $err) = psql('single', $script, '-1');
is("$status $err", '0 ', 'psql -1');
is(state_of('single'), state_of('plain'), 'psql -1: the same tables');
system_or_bail('sh', '-c', "'$program' -q '$dump' | psql -Xq -d '" . $node->connstr('piped') . "'");
is(state_of('piped'), state_of('plain'), 'a pipe: the same tables');

# --ddl and --table: the same tables by COPY alone.
{
	$node->safe_psql('postgres', 'CREATE DATABASE bare');
	my (undef, $ddl) = convert(['--ddl']);
	is((psql('bare', $ddl, '-v', 'ON_ERROR_STOP=1'))[0], 0, '--ddl');
	my $one = write_file("$dir/one.listens", join '', map { line(timestamp => 1100000000 + $_, recording_msid => msid($_ % 50)) } 1 .. 300);
	for my $table (qw(listen recording))
	{
		system_or_bail('sh', '-c', "'$program' -q --table $table '$one' | psql -Xq -d '" . $node->connstr('bare') . "' -c 'COPY $table FROM STDIN'");
	}
	is($node->safe_psql('bare', 'SELECT count(*) FROM listen JOIN recording USING (recording_msid)'), 300, '--table: rows for COPY');
}

# A load that could not finish: psql fails, one transaction leaves nothing,
# and a script that just ends merges nothing of its last batch.
{
	$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(broken cut);
	open my $f, '<:raw', $dump or die;
	my $half = do { local $/; <$f> };
	my (undef, $bad) = convert([ '-q', $dump, write_file("$dir/half.tar.zst", substr($half, 0, length($half) / 2)) ]);
	($status, $err) = psql('broken', $bad, '-1');
	is($status, 3, 'psql fails where the converter failed');
	like($err, qr/lbrec-convert could not finish/, 'and says so');
	is($node->safe_psql('broken', "SELECT to_regclass('listen') IS NULL"), 't', 'psql -1 leaves nothing');
	($status, $err) = psql('broken', $bad);
	is($status, 3, 'without -1, too');
	($status, $err) = psql('broken', $script);
	is(state_of('broken'), state_of('plain'), 'loading the whole dump then puts it right');

	my $copy = index($script, 'COPY pg_temp.lbrec_new_listen');
	psql('cut', substr($script, 0, $copy + 5000));
	is($node->safe_psql('cut', 'SELECT count(*) FROM listen'), 0, 'a script cut inside a COPY merges nothing');
}

# More listens than a batch holds.
{
	$node->safe_psql('postgres', 'CREATE DATABASE large');
	open my $f, '>:raw', "$dir/large.listens" or die;
	for my $i (1 .. 1_200_000)
	{
		printf $f '{"user_id":%d,"timestamp":%d,"track_metadata":{"artist_name":"a%d","track_name":"t%d"},"recording_msid":"%s"}' . "\n",
		  $i % 1000, 1300000000 + $i, $i % 977, $i % 977, msid($i % 977);
	}
	close $f;
	system_or_bail('sh', '-c', "'$program' -q '$dir/large.listens' | psql -Xq -d '" . $node->connstr('large') . "'");
	is($node->safe_psql('large', 'SELECT count(*), count(DISTINCT recording_msid) FROM listen'), '1200000|977', 'several batches');
	is($node->safe_psql('large', 'SELECT count(*) FROM recording'), 977, 'their recordings');
	unlink "$dir/large.listens";
}

done_testing();
