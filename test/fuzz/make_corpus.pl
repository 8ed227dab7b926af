#!/usr/bin/perl
# make_corpus.pl
#	Seeds for the fuzzers, from the converter's test vectors and make_dump.
#
#	make make-dump lbrec-convert
#	perl test/fuzz/make_corpus.pl DIR		writes DIR/lines and DIR/archive
#
# The files under test/data/corpus are these and the fuzzers' findings,
# minimised: docs/contributing.md has the lines.
use strict;
use warnings;
use Compress::Zlib;
use FindBin;
use lib "$FindBin::Bin/../convert";
use Converter;
use Digest::SHA qw(sha1_hex);
use IPC::Run;

my $top = "$FindBin::Bin/../..";
my $dir = shift or die "usage: make_corpus.pl DIR\n";
mkdir $_ for $dir, "$dir/lines", "$dir/archive";

my ($archive, $user, $listen, $recording, $month, $early, $force) = (1, 2, 4, 8, 12, 16, 32);
my %name = (listens => 'p', dump => 'q', schema => 'r', time => 's', start => 't', end => 'u', user => 'v', spotify => 'w', csv => 'x', '-' => 'y', uuid => 'z', odd => '{', feedback => '|');

# chr(64 + n): a letter whose low bits are n.
sub lines
{
	my ($flags, $portion, @members) = @_;
	my @texts;
	while (my ($name, $text) = splice(@members, 0, 2)) { push @texts, $name{$name} . $text; }
	my $input = chr(64 + $flags) . chr(64 + $portion) . join("\x1e", @texts);
	write_file("$dir/lines/" . sha1_hex($input), $input) if length $input < 4096;
}

sub archive
{
	my ($flags, $portion, $content) = @_;
	my $input = chr($flags) . chr($portion) . $content;
	write_file("$dir/archive/" . sha1_hex($input), $input) if length $input < 16384;
}

for (vectors()) { lines(0, 9, listens => $_->[1]); }
for my $flags ($listen, $recording, $month, $early, $user) { lines($flags, 20, listens => line() . line(user_id => undef) . "\n" . line(timestamp => 1000000000)); }

# Real-looking lines.
IPC::Run::run([ "$top/build/make_dump", qw(--listens 2000 --seed 3 -o), "$dir/dump.tar" ], '>', '/dev/null') or die;
my $dump = do { local $/; open my $f, '<:raw', "$dir/dump.tar" or die; <$f> };
unlink "$dir/dump.tar";
my @some = grep { /^\{.*\n\z/ } split /^/, $dump;
for (my $i = 0; $i < @some; $i += 40) { lines(0, 33, listens => $some[$i]); }

# Facts of a dump, an export.
my $ok = line();
my $mbid = '103e7457-e64b-43f1-a2df-94ba0286cd59';
lines($archive, 5, schema => "1\n", time => "2026-09-01T00:00:03.5+00:00\n", dump => $ok);
lines($archive | $force, 5, schema => "2\n", start => "2026-09-01 00:00:00Z", end => "2026-10-01T00:00:00+00", dump => $ok);
lines($archive, 5, time => 'never', start => '', listens => $ok);
my $export = '{"listened_at":1704067200.25,"inserted_at":1704067300,"track_metadata":{"artist_name":"a","track_name":"b","recording_msid":"' . msid(1) . "\",\"mbid_mapping\":{\"recording_mbid\":\"$mbid\",\"artist_mbids\":[\"$mbid\",\"x\"]},\"additional_info\":{}}}\n";
lines($archive, 5, user => '{"user_id":4711,"username":"rob"}', dump => $export x 2);
lines($archive, 5, uuid => line(user_id => undef));
lines($archive, 5, odd => "x\n" . $ok);

# Other services.
my $payload = '{"payload":{"count":2,"user_id":"rob","listens":[{"listened_at":1400000000,"recording_msid":"' . msid(1) . '","track_metadata":{"artist_name":"a","track_name":"b"}},{"listened_at":1},5]}}';
lines($user, 6, '-' => $payload);
lines($user, 6, '-' => '{"payload": {"listens": 5}}');
lines(0, 6, '-' => $payload);
my $play = '{"ts":"2024-02-29T12:00:00Z","ms_played":%d,"master_metadata_track_name":"Song","master_metadata_album_artist_name":"Artist","master_metadata_album_album_name":%s,"spotify_track_uri":"spotify:track:x","reason_end":"%s","skipped":%s,"incognito_mode":false}';
my @plays = map { sprintf $play, @$_ } [ 200000, '"Album"', 'trackdone', 'false' ], [ 5000, 'null', 'fwdbtn', 'false' ], [ 5000, '""', 'x', 'true' ];
lines($user, 7, spotify => '[' . join(',', @plays) . ']');
lines($user, 1, spotify => "\xef\xbb\xbf[\n " . join(" ,\n ", @plays) . ",{}, [1], x, {\"ts\"\n");
lines($user, 7, spotify => "[$plays[0]," . $plays[0] =~ s/2024-02-29T12:00:00/9999-12-31T23:59:60/r . ']');
lines($user, 8, '-' => "#AUDIOSCROBBLER/1.1\n#TZ/UTC\n#CLIENT/Rockbox\nArtist\tAlbum\tSong\t1\t200\tL\t1400000000\t$mbid\r\nArtist\t\tSong\t\t200\tL\t1400000300\n" .
	  "Artist\tAlbum\tSong\t1\t200\tS\t1400000600\n<Untagged>\t\tx\t\t1\tL\t1400000600\nA\tB\tC\t1\t1\tL\tnever\nA\tB\n");
lines($user, 8, '-' => qq{# a comment\nTime,Artist,Track,Album,userid\n1400000000,"Earth, Wind & Fire","A ""B""",,1\n1400000001,A,B,C\nx,A,B,C\n1400000002,"A,B\n});
# Their kind for the formats: tables, arrays, pages, backups, refused files.
for (
	"\xef\xbb\xbfuts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\r\n\"1270468794\",\"05 Apr 2010, 11:59\",\"Zion\",\"\",\"\",\"\",\"Song, \"\"too\",\"$mbid\"\r\n",
	"Title\tArtist\tAlbum\tDate\tTimestamp\nSong\tArtist\tAlbum\t12 Oct 2009, 13:01\t1255352473\n", "Artist,\"Al,bum\",Song,\"05 Apr 2010 11:59\"\nA,B,\"C\nD\",\"5 Dec 2010, 11:59\"\n",
	"Time,Artist,Track,Album\n2021-03-04 12:30,A,B,C\n1,\"A,B,C\n1400000001,A\xef\xbb\xbf,B,C\n", "Art\tAlb\tSong\t1\t200\tL\t1700000000\t\tAlbum Artist\n#1\tB\tC\t1\t1\tL\t1\n",
	'{"maloja":{"export_time":1},"scrobbles":[{"time":1400000000,"track":{"artists":["A","B"],"title":"T","album":{"albumtitle":"C"}}},{"time":"x"}]}',
	'{"timeMs":1400000000250,"artist":"A","track":"T","album":"B","event":"scrobble"}' . "\n" . '{"timeMs":1,"track":"T","event":"love"}', "[{\"endTime\":\"x\",\"msPlayed\":1}]", "\xff\xfe#\0A\0",
	"[\n" . $export =~ s/\n/,\n/r . "$export]", "$payload$payload", "[$payload,\n$payload]", '{"payload":{"listens":[{"playing_now":true,"track_metadata":{}}]}}',
	'{"recording_msid":"' . msid(1) . '","score":1,"created":1400000000}' . "\n" . "{\"recording_msid\":null,\"recording_mbid\":\"$mbid\",\"score\":-1,\"created\":1.5}\n{\"score\":2}\n")
{
	lines($user, 6, '-' => $_);
	lines($user | $archive, 3, '-' => $_, listens => $ok);
}
lines($archive, 4, feedback => "1\t7\t" . msid(1) . "\t\\N\t1\t2026-01-01 00:00:00+00\n2\t8\t\\N\t$mbid\t-1\t2020-01-01 00:00:00.25+00\n3\tx\n");
lines($user | 64, 4, listens => '{"user_name":"rob","listened_at":1,"track_metadata":{"artist_name":"a","track_name":"b"}}');
my $header = "id,artist_credit_id,artist_mbids,artist_credit_name,release_mbid,release_name,recording_mbid,recording_name,combined_lookup,score,year\n";
lines(0, 9, csv => $header . qq{1,2,"$mbid,$mbid","Simon, Garfunkel",$mbid,"Al""bum",$mbid,Song,simonsong,5,1969\n2,3,$mbid,Simon,,Album,$mbid,"Two\nlines",simontwo,6,});
lines(0, 9, csv => "$header\\.\n");
lines($archive, 9, listens => $ok, csv => "recording_mbid,canonical_recording_mbid,canonical_release_mbid\r\n$mbid,$mbid,$mbid", listens => $ok);
lines(0, 9, csv => "PAR1\x15\x04");

# Archives: each compression, tar's dialects, zip.
my $name = 'listenbrainz-listens-dump-2000-20260901-000003-full';
my $short = $ok =~ s/Led Zeppelin/L/r;
my $tar = tar_member("$name/SCHEMA_SEQUENCE", "1\n") . tar_member("$name/TIMESTAMP", "2026-09-01T00:00:03.5+00:00\n") .
  tar_member("$name/listens/2004/11.listens", $short x 3);
my $whole = $tar . tar_end();
for my $pack (0 .. 5) { archive($pack | 16, 3, $whole); archive($pack | 16, 250, $tar); archive($pack, 40, $short); }
my $pax = "12 size=" . length($short) . "\n";
$pax = length($pax) . substr($pax, 2);
my $sparse = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n";
for my $members (
	tar_member('PaxHeaders/1', $pax, type => 'x') . tar_member('1.listens', $short, claim => 0),
	tar_member('1.listens', $short, size => 'base256'),
	tar_member('././@LongLink', 'x' x 120 . ".listens\0", type => 'L') . tar_member('1', $short),
	tar_member('././@LongLink', 'x' x 120 . "\0", type => 'K') . tar_member('2.listens', '', type => '2'),
	tar_member('g', $sparse, type => 'g') . tar_member('1.listens', $short),
	tar_member('2.listens', '', type => '2', link => '/etc/passwd') . tar_member('3.listens', '', type => '1', link => '1.listens') . tar_member('fifo', '', type => '6') . tar_member('dir/', '', type => '5') . tar_member('1.listens', $short),
	tar_member('1.listens', $short, type => 'S'), tar_member('1.listens', $short, claim => 9_000_000_000, size => 'base256'))
{
	archive(16, 90, $members . tar_end());
	archive(16 | 1, 7, $members . tar_end());
	archive(16 | 128, 7, $members);
}
for my $tool ([qw(zstd -q -c)], [qw(zstd -q -19 --long=27 -c)], [qw(xz -c)], [qw(xz --format=lzma -c)], [qw(gzip -c)], [qw(bzip2 -c)], [qw(lz4 -c)])
{
	my ($packed, $plain);
	eval { IPC::Run::run($tool, '<', \$whole, '>', \$packed, '2>', '/dev/null') && IPC::Run::run($tool, '<', \$short, '>', \$plain, '2>', '/dev/null') } or next;
	archive(0, 1, $packed);
	archive(0, 0, $plain);
	archive(0, 9, substr($packed, 0, -7));
	archive(0, 9, $plain . $plain);
}
# Members that are compressed, archives in archives.
{
	my ($gz, $zst);
	IPC::Run::run([qw(gzip -c)], '<', \$short, '>', \$gz) or die;
	IPC::Run::run([qw(zstd -q -c)], '<', \$whole, '>', \$zst) or die;
	archive(16, 50, tar_member('1.listens.gz', $gz) . tar_member('a.tar.zst', $zst) . tar_member('b.tar', tar_member('x', $short) . tar_end()) . tar_member('c.zip', "PK\3\4" . 'x' x 60) . tar_end());
}
for my $deflate (0, 1)
{
	my ($body, $central, $n) = ('', '', 0);
	my @members = ('feedback.jsonl' => "{}\n", 'listens/2024/1.jsonl' => $export, 'user.json' => "{\"user_id\":4711}\n");
	while (my ($file, $data) = splice(@members, 0, 2))
	{
		my $packed = $deflate ? substr(Compress::Zlib::memGzip($data), 10, -8) : $data;
		my $common = pack('v v v v v V V V v v', 20, 0, $deflate ? 8 : 0, 0, 0x21, crc32($data), length $packed, length $data, length $file, 0);
		my $offset = length $body;
		$body .= "PK\3\4" . $common . $file . $packed;
		$central .= "PK\1\2" . pack('v', 20) . $common . pack('v v v V V', 0, 0, 0, 0100644 << 16, $offset) . $file;
		$n++;
	}
	my $zip = $body . $central . "PK\5\6" . pack('v v v v V V v', 0, 0, $n, $n, length $central, length $body, 0);
	archive(0, 11, $zip);
	archive(8, 2, $zip);
	archive(1, 2, $zip);
}
