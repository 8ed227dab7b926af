# Users by their names, and feedback on recordings: into a database, by a script
# and directly.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../convert";
use Converter;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = scratch();
my $json = JSON::PP->new->canonical->utf8;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

sub named
{
	my ($name, $at, %more) = @_;
	return $json->encode({ user_name => $name, listened_at => 1400000000 + $at, recording_msid => msid(1), track_metadata => { artist_name => 'a', track_name => 'b' }, %more }) . "\n";
}

my $n = 0;
sub load
{
	my ($db, $how, $text, @options) = @_;
	my $file = write_file("$dir/" . $n++ . '.listens', $text);
	my $c = $node->connstr($db);
	return (convert([ '-q', @options, '-d', $c, $file ]))[0] if $how eq 'direct';
	system_or_bail('sh', '-c', "'$program' -q @options '$file' | psql -1 -Xq -v ON_ERROR_STOP=1 -d '$c'");
	return 0;
}

for my $how ('direct', 'script')
{
	$node->safe_psql('postgres', "CREATE DATABASE $how");
	is(load($how, $how, named('ada', 1) . named("b\\'o\tb", 2) . named('ada', 3), '--user-names'), 0, "$how: lines that name the user only");
	is($node->safe_psql($how, 'SELECT count(*), count(DISTINCT user_id), max(user_id) < 0 FROM listen'), '3|2|t', "$how: two users of negative numbers");
	is($node->safe_psql($how, 'SELECT user_name, user_id IN (SELECT user_id FROM listen) FROM lbrec_user ORDER BY 1'), "ada|t\nb\\'o\tb|t", "$how: and their names");
	my $ada = $node->safe_psql($how, q(SELECT user_id FROM lbrec_user WHERE user_name = 'ada'));
	is(load($how, $how, named('ada', 3) . named('ada', 4), '--user-names'), 0, "$how: again");
	is($node->safe_psql($how, "SELECT count(*) FROM listen WHERE user_id = $ada"), '3', "$how: the same name has the same number");

	# A dump tells the number, with listens that are there and a new one.
	is(load($how, $how, named('ada', 3, user_id => 5) . named('ada', 6, user_id => 5) . named('ada', 7), '--user-names'), 0, "$how: numbers and names");
	is($node->safe_psql($how, 'SELECT user_id, count(*) FROM listen WHERE user_id > 0 GROUP BY 1'), '5|5', "$how: a number takes the place of the name's, nothing twice");
	is($node->safe_psql($how, "SELECT count(*) FROM listen WHERE user_id = $ada"), '0', "$how: nothing is left of that");

	# Renamed: both names are user 5.
	is(load($how, $how, named('lovelace', 8, user_id => 5), '--user-names'), 0, "$how: renamed");
	is(load($how, $how, named('ada', 9) . named('lovelace', 10), '--user-names'), 0, "$how: by both names");
	is($node->safe_psql($how, 'SELECT user_id, count(*) FROM listen WHERE user_id > 0 GROUP BY 1'), '5|8', "$how: is the same user");
}
# --user-id is for listens that name no user, and those need no MSID.
{
	my $bare = sub { my %more = @_; return $json->encode({ listened_at => 1400000000, track_metadata => { artist_name => 'a', track_name => 'b' }, %more }) . "\n" };
	my ($code, $out) = convert([ '-q', '--user-id', 9, '--table', 'listen', write_file("$dir/bare.listens", $bare->(user_id => 5, recording_msid => msid(1)) . $bare->(recording_msid => msid(2)) . $bare->()) ]);
	is($code, 0, 'with --user-id');
	my @users = sort map { (split /\t/)[0] } grep { /^\d+\t/ } split /\n/, $out;
	is("@users", '5 9 9', 'a number in the line stays, others get that one');
	is((convert([ '-q', '--user-names', write_file("$dir/no_msid.listens", $bare->(user_name => 'ada')) ]))[0], 1, 'with --user-names a listen needs its MSID');
	is((convert([ '-q', '--table', 'listen', write_file("$dir/long.listens", $bare->(user_id => '1' x 19, recording_msid => msid(1))) ]))[0], 1, 'nineteen digits are no number of a user');
}
{
	my ($code, $out, $err) = convert([ write_file("$dir/named.listens", named('ada', 1)) ]);
	is($code, 1, 'without --user-names they are rejected');
	like($err, qr/hint: .*--user-names/, 'and it is told what to do');
	for ([ '--user-id', '3' ], [ '--table', 'listen' ], [ '--replace', '-d', 'x' ])
	{
		($code, $out, $err) = convert([ '--user-names', @$_, "$dir/named.listens" ]);
		is($code, 2, "--user-names with $_->[0]");
		like($err, qr/--user-names/, 'message');
	}
}

# Feedback, of an export and of the public dump.
my $mbid = '103e7457-e64b-43f1-a2df-94ba0286cd59';
my $feedback = join '', map { $json->encode($_) . "\n" } { recording_msid => msid(1), score => 1, created => 1400000000 }, { recording_msid => msid(1), score => -1, created => 1400000100.5 },
  { recording_msid => undef, recording_mbid => $mbid, score => 1, created => 1400000000 }, { recording_msid => msid(3), score => 2, created => 1400000000 }, { recording_msid => msid(3), score => 1, created => 'x' };
my $listens = join '', map { $json->encode({ listened_at => 1400000000, track_metadata => { artist_name => 'a', track_name => "b$_", recording_msid => msid($_), additional_info => $_ > 7 ? { recording_mbid => $mbid } : {} } }) . "\n" } 1, 8, 9;
for my $how ('direct', 'script')
{
	my $db = "feedback_$how";
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	my $c = $node->connstr($db);
	my $export = write_tar("$dir/export.tar", 'user.json' => '{"user_id":7}', 'listens/1.jsonl' => $listens, 'feedback.jsonl' => $feedback);
	for my $time (1, 2)
	{
		if ($how eq 'direct')
		{
			my ($code, $out, $summary, $err) = converted([ '-d', $c, $export ]);
			is(join(' ', $code, @$summary{qw(lines listens feedback)}, rejected_text($summary)), '1 8 3 3 json:1,time:1', "$db, time $time: counts") or diag $err;
		}
		else { system_or_bail('sh', '-c', "'$program' -q '$export' | psql -1 -Xq -v ON_ERROR_STOP=1 -d '$c'"); }
		is($node->safe_psql($db, q(SELECT user_id, recording_msid, score, created AT TIME ZONE 'UTC' FROM feedback ORDER BY 2)),
			join("\n", map { "7|$_" } msid(1) . '|-1|2014-05-13 16:55:00.5', msid(8) . '|1|2014-05-13 16:53:20', msid(9) . '|1|2014-05-13 16:53:20'), "$db, time $time: the newest of each, MBIDs too");
	}
	my $dump = write_tar("$dir/public.tar", 'listenbrainz-public-dump-1/TIMESTAMP' => "2026-09-01T00:00:00+00:00\n", 'listenbrainz-public-dump-1/lbdump/user' => "1\t2014-01-01 00:00:00+00\trob\n",
		'listenbrainz-public-dump-1/lbdump/recording_feedback' => "1\t7\t" . msid(1) . "\t\\N\t1\t2026-01-01 00:00:00+00\n2\t8\t" . msid(2) . "\t$mbid\t-1\t2020-01-01 00:00:00.25+00\n3\tx\ty\n4\t8\t\\N\t\\N\t1\t2020-01-01 00:00:00+00\n");
	if ($how eq 'direct') { is((convert([ '-q', '-d', $c, $dump ]))[0], 1, "$db: the public dump"); }
	else { system_or_bail('sh', '-c', "'$program' -q '$dump' | psql -1 -Xq -v ON_ERROR_STOP=1 -d '$c'"); }
	is($node->safe_psql($db, 'SELECT user_id, recording_msid, score FROM feedback WHERE created > \'2020-01-01\' ORDER BY 1'), '7|' . msid(1) . "|1\n8|" . msid(2) . '|-1', "$db: rows of the public dump");
}
{
	my ($code, $out, $summary) = converted([ '--table', 'listen', "$dir/export.tar" ]);
	is("$code $summary->{listens} $summary->{other_members}", '0 3 1', '--table leaves feedback alone');
	($code, $out, my $err) = convert([ '--table', 'listen', '--user-id', '7', write_file("$dir/feedback.jsonl", $feedback) ]);
	is($code, 2, 'feedback alone with --table');
}

# The queries of docs/howto-playlists.md, whatever a model recommends: the
# forms that ListenBrainz's import of JSPF and players' of M3U expect.
{
	my $page = do { local $/; open my $f, '<:raw', "$FindBin::Bin/../../docs/howto-playlists.md" or die; <$f> };
	my ($jspf, $m3u) = $page =~ /^```sql\n(.*?);\n```/msg;
	$node->safe_psql('postgres', 'CREATE DATABASE playlist');
	$node->safe_psql('playlist', <<'SQL');
CREATE TABLE recording (recording_msid uuid, artist_name text, track_name text, release_name text, recording_mbid uuid);
INSERT INTO recording SELECT md5(i::text)::uuid, 'A "x"' || i, E'T\n' || i, CASE WHEN i > 2 THEN 'R' END, CASE WHEN i <> 2 THEN md5('m' || i)::uuid END FROM generate_series(1, 3) AS i;
CREATE TABLE file AS SELECT recording_msid, 'Music/' || track_name || '.flac' AS path, 200 AS seconds FROM recording WHERE artist_name !~ '3';
UPDATE file SET path = replace(path, E'\n', ' ');
CREATE FUNCTION lbrec_recommend(bigint, int) RETURNS TABLE (rank int, recording_msid uuid) LANGUAGE sql AS $$SELECT 4 - i, md5(i::text)::uuid FROM generate_series(1, 3) AS i$$;
SQL
	my $list = $json->decode($node->safe_psql('playlist', $jspf))->{playlist};
	like($list->{title}, qr/./, 'JSPF: title');
	ok($list->{extension}{'https://musicbrainz.org/doc/jspf#playlist'}{public}, 'JSPF: public or not, which ListenBrainz asks for');
	like($list->{date}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'JSPF: date');
	is(join(' ', map { $_->{creator} } @{ $list->{track} }), 'A "x"3 A "x"1', 'JSPF: tracks with an MBID, in the order of the list');
	ok(!grep({ ref $_->{identifier} ne 'ARRAY' || $_->{identifier}[0] !~ m{^https://musicbrainz\.org/recording/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$} || grep { !defined } values %$_ } @{ $list->{track} }), 'JSPF: identifiers are lists of recordings of MusicBrainz');
	is($node->safe_psql('playlist', $m3u), "#EXTM3U\n#EXTINF:200,A \"x\"2 - T 2\nMusic/T 2.flac\n#EXTINF:200,A \"x\"1 - T 1\nMusic/T 1.flac", 'M3U: each entry is one line of text and one of the file');
}

done_testing();
