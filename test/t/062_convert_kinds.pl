# Inputs of other kinds, known by their content: exports, the API, other
# services, MusicBrainz metadata.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../convert";
use Converter;
use Compress::Zlib;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = scratch();
my $json = JSON::PP->new->canonical->utf8;

# A zip file: members deflated, as Python's zipfile writes them.
sub zip_file
{
	my ($path, @members) = @_;
	my ($body, $central, $n) = ('', '', 0);
	while (my ($name, $data) = splice(@members, 0, 2))
	{
		my $packed = Compress::Zlib::memGzip($data);
		$packed = substr($packed, 10, -8);
		my $common = pack('v v v v v V V V v v', 20, 0, 8, 0, 0x21, crc32($data), length $packed, length $data, length $name, 0);
		my $offset = length $body;
		$body .= "PK\3\4" . $common . $name . $packed;
		$central .= "PK\1\2" . pack('v', 20) . $common . pack('v v v V V', 0, 0, 0, 0100644 << 16, $offset) . $name;
		$n++;
	}
	my $end = "PK\5\6" . pack('v v v v V V v', 0, 0, $n, $n, length $central, length $body, 0);
	return write_file($path, $body . $central . $end);
}

sub export_line
{
	my (%change) = @_;
	return $json->encode({
		listened_at => 1704067200.25, inserted_at => 1704067300,
		track_metadata => { artist_name => 'a', track_name => 'b', recording_msid => msid(1), mbid_mapping => undef, additional_info => {} },
		%change }) . "\n";
}

# A user's export; user.json may come before or behind the listens.
my $feedback = $json->encode({ recording_msid => msid(1), score => 1, created => 1 }) . "\n";
my $pin = $json->encode({ recording_msid => msid(1), created => 1, pinned_until => 2, track_metadata => { artist_name => 'a' } }) . "\n";
my @user = ('user.json' => "{\"user_id\":4711,\"username\":\"rob\"}\n");
my @export = ('listens/2024/1.jsonl' => export_line() . export_line(listened_at => 1704067201), 'listens/2024/2.jsonl' => '',
	'feedback.jsonl' => $feedback, 'pinned_recording.jsonl' => $pin);
for ([ 'first', @user, @export ], [ 'last', @export, @user ])
{
	my ($where, @members) = @$_;
	my ($code, $out, $summary, $err) = converted([ '--table', 'listen', zip_file("$dir/export.zip", @members) ]);
	is($code, 0, "export, user.json $where: exit code") or diag $err;
	is($out, "4711\t2024-01-01 00:00:00.250000+00\t" . msid(1) . "\n4711\t2024-01-01 00:00:01+00\t" . msid(1) . "\n", "export, user.json $where: rows");
	is($summary->{other_members}, 3, 'feedback, pins and empty months are left alone');
}
{
	my ($code, $out) = convert([ '-q', '--user-id', '5', '--table', 'listen', "$dir/export.zip" ]);
	like($out, qr/\A5\t.*\n5\t.*\n\z/, '--user-id comes before user.json');
	my $whole = do { local $/; open my $f, '<:raw', "$dir/export.zip" or die; <$f> };
	($code, $out, my $message) = convert([ '-q', '-' ], $whole);
	is($code, 2, 'an export by a pipe');
	like($message, qr/cannot read a zip archive from a pipe/, 'and its message');
	my ($status, undef, $err) = convert([ '-q', write_file("$dir/cut.zip", substr($whole, 0, length($whole) / 2)) ]);
	is($status, 2, 'an export cut in half');
	like($err, qr/could not read ".*cut.zip"/, 'and its message');
	($code, $out, $err) = convert([ write_file("$dir/1.jsonl", export_line()) ]);
	is($code, 1, 'an export\'s month alone does not say whose it is');
	like($err, qr/rejected \(user\).*hint:.*--user-id N/s, 'and a hint says what to do');
	is((convert([ '-q', '--user-id', '5', '--table', 'listen', "$dir/1.jsonl" ]))[0], 0, 'with --user-id it goes');
}

# The API's answer: one line or pretty.
my $payload = { payload => { count => 2, user_id => 'rob', listens => [
	{ listened_at => 1400000000, recording_msid => msid(1), user_name => 'rob', track_metadata => { artist_name => 'a', track_name => 'b' } },
	{ listened_at => 1400000001, recording_msid => 'x', user_name => 'rob', track_metadata => { artist_name => 'a', track_name => 'b' } } ] } };
for ([ 'one line', $json->encode($payload) ], [ 'pretty', JSON::PP->new->pretty->encode($payload) ])
{
	my ($how, $text) = @$_;
	my ($code, $out, $summary) = converted([ '--table', 'listen', '--user-id', '7', '-' ], $text);
	is($out, "7\t2014-05-13 16:53:20+00\t" . msid(1) . "\n", "API, $how: rows");
	is("$code " . rejected_text($summary), '1 msid:1', "API, $how: rejects");
	my ($status, undef, $err) = convert([ '-q', '-' ], $text);
	is($status, 2, "API, $how: without --user-id");
	like($err, qr/does not say which user_id/, 'message');
}
{
	my ($code, $out, $err) = convert([ '-q', '--user-id', '7', '-' ], '{"payload": {"listens": 5}}');
	is($code, 2, 'an answer without listens');
	like($err, qr/no array payload.listens/, 'message');
	($code, $out, $err) = convert([ '-q', '--user-id', '7', '-' ], '{"payload": {"listens": [');
	is($code, 2, 'an answer cut off');
}

# Spotify's extended history, as ListenBrainz imports it.
sub play
{
	my (%change) = @_;
	my %play = (ts => '2024-02-29T12:00:00Z', ms_played => 200000, master_metadata_track_name => 'Song', master_metadata_album_artist_name => 'Artist',
		master_metadata_album_album_name => 'Album', spotify_track_uri => 'spotify:track:x', reason_end => 'trackdone', skipped => JSON::PP::false, incognito_mode => JSON::PP::false, %change);
	return \%play;
}
my @plays = (
	play(), play(ts => '2024-02-29T12:05:00Z', master_metadata_album_album_name => undef), play(incognito_mode => JSON::PP::true), play(ms_played => 5000, reason_end => 'fwdbtn'),
	play(ms_played => 5000, skipped => JSON::PP::true), play(ms_played => 5000, ts => '2024-02-29T12:06:00Z'), play(spotify_track_uri => undef, master_metadata_track_name => undef),
	play(ts => 'never'), play(master_metadata_album_artist_name => undef));
for ([ 'compact', $json->encode(\@plays) ], [ 'pretty', "\xef\xbb\xbf" . JSON::PP->new->pretty->utf8->encode(\@plays) ])
{
	my ($how, $text) = @$_;
	my ($code, $out, $summary) = converted([ '--table', 'listen', '--user-id', '7', zip_file("$dir/spotify.zip", 'Spotify Extended Streaming History/Streaming_History_Audio_2024_1.json' => $text, 'ReadMe.pdf' => '%PDF') ]);
	is(join(' ', $code, @$summary{qw(lines listens not_listened other_members)}, rejected_text($summary)), '1 9 3 4 1 artist:1,time:1', "Spotify, $how: counts");
	my @rows = map { [ split /\t/ ] } split /\n/, $out;
	is($rows[0][1], '2024-02-29 12:00:00+00', "Spotify, $how: time");
	isnt($rows[0][2], $rows[1][2], 'another album is another recording');
	is($rows[0][2], $rows[2][2], 'the same names are the same recording');
	like($rows[0][2], qr/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab]/, 'its MSID is a UUID of version 5');
}
{
	# An array longer than a block, elements across its borders; one cut off.
	my $text = '[' . join(',', map { $json->encode(play(ts => sprintf('2024-02-%02dT12:00:00Z', 1 + $_ % 28), x => 'y' x ($_ % 991))) } 1 .. 2500) . ',{"ts":"2024';
	my ($code, $out, $summary) = converted([ '--table', 'listen', '--user-id', '7', '-' ], $text);
	is(join(' ', $code, $summary->{listens}, rejected_text($summary)), '1 2500 json:1', 'a long array, cut off at its end');
}

# .scrobbler.log
{
	my $mbid = '103e7457-e64b-43f1-a2df-94ba0286cd59';
	my $log = "#AUDIOSCROBBLER/1.1\n#TZ/UTC\n#CLIENT/Rockbox\nArtist\tAlbum\tSong\t1\t200\tL\t1400000000\t$mbid\r\nArtist\t\tSong\t\t200\tL\t1400000300\n" .
	  "Artist\tAlbum\tSong\t1\t200\tS\t1400000600\n<Untagged>\t\tx\t\t1\tL\t1400000600\nA\tB\tC\t1\t1\tL\tnever\nA\tB\n";
	my ($code, $out, $summary) = converted([ '--table', 'recording', '--user-id', '7', '-' ], $log);
	is(join(' ', $code, @$summary{qw(lines blank listens not_listened)}, rejected_text($summary)), '1 9 3 2 1 artist:1,json:1,time:1', '.scrobbler.log: counts');
	like($out, qr/\A[^\t]+\tArtist\tSong\tAlbum\t$mbid\t\\N\t\\N\n[^\t]+\tArtist\tSong\t\\N\t\\N\t\\N\t\\N\n\z/, '.scrobbler.log: rows');
}

# Libre.fm's CSV
{
	my $csv = qq{# a comment\nTime,Artist,Track,Album,userid\n1400000000,"Earth, Wind & Fire","A ""B""",,1\n1400000001,A,B,C\nx,A,B,C\n1400000002,"A,B\n};
	my ($code, $out, $summary) = converted([ '--table', 'recording', '--user-id', '7', '-' ], $csv);
	is(join(' ', $code, @$summary{qw(lines blank listens)}, rejected_text($summary)), '1 6 2 2 json:1,time:1', 'Libre.fm: counts');
	like($out, qr/\A[^\t]+\tEarth, Wind & Fire\tA "B"\t\\N\t.*\n[^\t]+\tA\tB\tC\t/, 'Libre.fm: rows');
	my ($status, undef, $err) = convert([ '-q', '-' ], $csv);
	is($status, 2, 'Libre.fm without --user-id');
}

# An Audioscrobbler log's odd lines.
{
	my $log = "#AUDIOSCROBBLER/1.1\n#TZ/UTC\n\xef\xbb\xbfArtist\tAlbum\tSong\t1\t200\tL\t1400000000\t\tAlbum Artist\nArtist\tAlbum\tSong\t1\t200\tL\t1400000300\n" .
	  "#1 Crush\tAlbum\tSong\t1\t200\tL\t1400000600\nA\xef\xbb\xbf\tB\tC\t1\t1\tL\t1400000900\nA\tB\tC\t1\t1\tL\t1400001200\n\0\0\0\nA\tB\tC\t1\t1\tL\t1\t\t\tx\n";
	for ([ 'with its header', $log, 2, 9 ], [ 'without', $log =~ s/^#.*\n#.*\n//r, 0, 7 ])
	{
		my ($how, $text, $blank, $lines) = @$_;
		my ($code, $out, $summary) = converted([ '--table', 'recording', '--user-id', '7', '-' ], $text);
		is(join(' ', $code, @$summary{qw(lines blank listens)}, rejected_text($summary)), "1 $lines $blank 5 encoding:1,json:1", "log $how: counts");
		is(join(' ', map { (split /\t/)[1] } split /\n/, $out), 'Artist #1 Crush A', "log $how: a mark in a name or before it is no part of it");
	}
}

# Tables of Libre.fm and Last.fm: columns by their names, times in several forms.
for ([ 'ghan', "\xef\xbb\xbfuts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\r\n\"1270468794\",\"05 Apr 2010, 11:59\",\"Zion\",\"\",\"\",\"\",\"Song, too\",\"103e7457-e64b-43f1-a2df-94ba0286cd59\"\r\n", 'Zion|Song, too|\N|103e7457-e64b-43f1-a2df-94ba0286cd59', '2010-04-05 11:59:54+00' ],
	[ 'dbeley', "Title\tArtist\tAlbum\tDate\tTimestamp\nSong\tArtist\tAlbum\t12 Oct 2009, 13:01\t1255352473\n", 'Artist|Song|Album|\N', '2009-10-12 13:01:13+00' ],
	[ 'benjaminbenben', "Artist,\"Album, with comma\",Song,\"05 Apr 2010 11:59\"\n", 'Artist|Song|Album, with comma|\N', '2010-04-05 11:59:00+00' ],
	[ 'Libre.fm with a newline', "# c\nArtist,Track,Album,Time\nA,\"Two\nlines\",B, 1690347960 \n", 'A|Two\nlines|B|\N', '2023-07-26 05:06:00+00' ],
	[ 'Libre.fm with ISO times', "Time,Artist,Track,Album\n2021-03-04 12:30,A,B,C\n", 'A|B|C|\N', '2021-03-04 12:30:00+00' ])
{
	my ($how, $csv, $recording, $time) = @$_;
	my ($code, $out) = convert([ '-q', '--table', 'recording', '--user-id', '7', '-' ], $csv);
	is("$code " . join('|', (split /\t/, $out)[1 .. 4]), "0 $recording", "$how: recording");
	(undef, $out) = convert([ '-q', '--table', 'listen', '--user-id', '7', '-' ], $csv);
	is((split /\t/, $out)[1], $time, "$how: time");
}
{
	# A quote that is never closed costs its own line alone.
	my $csv = "Time,Artist,Track,Album\n1,\"A,B,C\n" . join('', map { "140000000$_,A,B,C\n" } 0 .. 9);
	my ($code, $out, $summary) = converted([ '--table', 'listen', '--user-id', '7', '-' ], $csv);
	is(join(' ', $code, @$summary{qw(lines listens)}, rejected_text($summary)), '1 12 10 json:1', 'a quote that is not closed');
	(undef, undef, $summary) = converted([ '--table', 'listen', '--user-id', '7', '-' ], $csv . "1400000000,A,B,C\n" x 20000);
	is(join(' ', @$summary{qw(lines listens)}, rejected_text($summary)), '20012 20010 json:1', 'nor in a large file');
}

# Arrays of listens, pages of the API one after the other, backups.
{
	my @listens = map { { listened_at => 1400000000 + $_, recording_msid => msid(1), user_name => 'rob', track_metadata => { artist_name => 'a', track_name => 'b' } } } 0 .. 3;
	my $pretty = JSON::PP->new->pretty->canonical;
	my @pages = map { $json->encode({ payload => { count => 2, listens => [ @listens[ $_, $_ + 1 ] ] } }) } 0, 2;
	for ([ 'an array', $json->encode(\@listens) ], [ 'a pretty array', $pretty->encode(\@listens) ], [ 'an element a line', "[\n" . join(",\n", map { $json->encode($_) } @listens) . "\n]\n" ],
		[ 'two arrays', $json->encode([ @listens[ 0, 1 ] ]) . "\n" . $json->encode([ @listens[ 2, 3 ] ]) ], [ 'pretty objects', join('', map { $pretty->encode($_) } @listens) ],
		[ 'pages', join("\n", @pages) ], [ 'glued pages', join('', @pages) ], [ 'an array of pages', '[' . join(',', @pages) . ']' ], [ 'pretty pages', join('', map { $pretty->encode($json->decode($_)) } @pages) ])
	{
		my ($code, $out, $summary) = converted([ '--table', 'listen', '--user-id', '7', '-' ], $_->[1]);
		is("$code $summary->{lines} " . join(' ', $out =~ /:(\d\d)\+00/g), '0 4 20 21 22 23', "$_->[0] of listens");
	}
	my ($code, $out, $summary) = converted([ '--table', 'recording', '--user-id', '7', '-' ], $json->encode({ listened_at => 1, track_metadata => { artist_name => 'A', track_name => 'b' } }));
	like($out, qr/\A[0-9a-f]{8}-[0-9a-f]{4}-5/, 'a backup without MSIDs gets them from the names');
	($code, $out, $summary) = converted([ '--table', 'listen', '--user-id', '7', '-' ], $json->encode({ payload => { count => 1, playing_now => JSON::PP::true, listens => [ { playing_now => JSON::PP::true, track_metadata => { artist_name => 'a', track_name => 'b' } } ] } }));
	is("$code $summary->{not_listened}", '0 1', 'what plays now is no listen yet');
}
for my $nil ('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff')
{
	my ($code, $out, $summary) = converted([ '--table', 'listen', '-' ], line(recording_msid => $nil) . line());
	is("$code " . rejected_text($summary), '1 msid:1', "$nil is no recording");
}

# Maloja and Pano Scrobbler.
{
	my @scrobbles = map { { time => 1400000000 + $_, track => { artists => [ 'A', 'B' ], title => 'T', album => $_ ? { albumtitle => 'C' } : undef }, origin => 'x' } } 0, 1;
	for my $text ($json->encode({ maloja => { export_time => 1 }, scrobbles => [ @scrobbles, { time => 'x', track => {} } ] }), JSON::PP->new->pretty->canonical->encode({ maloja => { export_time => 1 }, scrobbles => [ @scrobbles, { time => 'x', track => {} } ] }))
	{
		my ($code, $out, $summary) = converted([ '--table', 'recording', '--user-id', '7', '-' ], $text);
		is(join(' ', $code, @$summary{qw(lines listens)}, rejected_text($summary)), '1 3 2 time:1', 'Maloja: counts');
		like($out, qr/\tA, B\tT\t\\N\t.*\n.*\tA, B\tT\tC\t/, 'Maloja: rows');
	}
	my $pano = join('', map { $json->encode({ timeHuman => 'x', timeMs => 1400000000250, artist => 'A', track => 'T', album => 'B', event => $_ }) . "\n" } 'scrobble', 'love') . "{\"timeMs\":\n";
	my ($code, $out, $summary) = converted([ '--table', 'listen', '--user-id', '7', '-' ], $pano);
	is(join(' ', $code, @$summary{qw(lines listens not_listened)}, rejected_text($summary)), '1 3 1 1 json:1', 'Pano Scrobbler: counts');
	like($out, qr/^7\t2014-05-13 16:53:20.250000\+00\t/, 'Pano Scrobbler: row');
}

# Spotify: numbers of any form, no videos.
{
	my $text = '[' . join(',', map { my $p = $json->encode(play(reason_end => 'fwdbtn')); $p =~ s/"ms_played":\K200000/$_/r } '140956.0', '1.5e5', '"140956"', '29999.5') . ']';
	my ($code, $out, $summary) = converted([ '--table', 'listen', '--user-id', '7', '-' ], $text);
	is("$code @$summary{qw(listens not_listened)}", '0 3 1', 'ms_played as a float, with an exponent, as text');
	my $zip = zip_file("$dir/spotify.zip", 'x/Streaming_History_Audio_2024_1.json' => $json->encode([ play() ]), 'x/Streaming_History_Video_2024.json' => $json->encode([ play() ]));
	($code, $out, $summary) = converted([ '--table', 'listen', '--user-id', '7', $zip ]);
	is("$code @$summary{qw(listens other_members)}", '0 1 1', 'videos are left out');
}

# Refused files are named, with a hint.
for ([ 'a.json', "[\n {\"endTime\": \"2024-05-06 18:43\", \"artistName\": \"A\", \"trackName\": \"T\", \"msPlayed\": 1}]", qr/Spotify's account data.*hint: .*extended streaming history/s ],
	[ 'a.json', '[{"header":"YouTube Music","title":"Watched T","titleUrl":"https://x"}]', qr/YouTube's watch history.*hint: /s ],
	[ 'playback.log', "# Rockbox playback log\n1:2:3:/x.flac\n", qr/Rockbox's playback log.*hint: .*lastfm_scrobbler/s ],
	[ 'Streaming_History_Video_2023.json', $json->encode([ play() ]), qr/history of videos.*hint: /s ],
	[ 'a.scrobbler.log', "\xff\xfe#\0A\0", qr/UTF-16.*hint: .*iconv/s ], [ 'a.7z', "7z\xbc\xaf\x27\x1c\0\4", qr/7-Zip or RAR.*hint: Unpack/s ],
	[ 'dump.tar.zst', '<!DOCTYPE html><html>', qr/web page.*hint: .*download/s ], [ 'a.parquet', 'PAR1....', qr/Parquet.*hint: Download/s ],
	[ 'dump.tar.zst', '', qr/it is empty.*hint: /s ], [ '-', '', qr/it is empty.*hint: /s ], [ 'x.txt', 'hello', qr/neither an archive nor listens.*hint: /s ])
{
	my ($name, $text, $message) = @$_;
	my ($code, $out, $err) = $name eq '-' ? convert([ '--table', 'listen', '-' ], '') : convert([ '--user-id', '7', '--table', 'listen', write_file("$dir/$name", $text) ]);
	is($code, 2, "$name is refused");
	like($err, $message, "$name: message and hint");
}

# Canonical MusicBrainz metadata.
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
my @u = map { "0000000$_-e64b-43f1-a2df-94ba0286cd59" } 0 .. 9;
my $data = "id,artist_credit_id,artist_mbids,artist_credit_name,release_mbid,release_name,recording_mbid,recording_name,combined_lookup,score,year\n" .
  qq{1,2,"$u[0],$u[1]","Simon, Garfunkel",$u[2],"Al""bum",$u[3],Song,simonsong,5,1969\n} . qq{2,3,$u[0],Simon,$u[2],Album,$u[4],"Two\nlines",simontwo,6,\n};
my $redirect = "recording_mbid,canonical_recording_mbid,canonical_release_mbid\n$u[5],$u[3],$u[2]";
my $canonical = write_tar("$dir/canonical.tar.zst", 'musicbrainz-canonical-dump-1/TIMESTAMP' => "2026-09-01T00:00:00+00:00\n", 'musicbrainz-canonical-dump-1/COPYING' => 'CC0',
	'musicbrainz-canonical-dump-1/canonical/canonical_musicbrainz_data.csv' => $data,
	'musicbrainz-canonical-dump-1/canonical/canonical_recording_redirect.csv' => $redirect,
	'musicbrainz-canonical-dump-1/canonical/canonical_release_redirect.csv' => "release_mbid,canonical_release_mbid,release_group_mbid\n");
for my $how ('script', 'direct')
{
	$node->safe_psql('postgres', "CREATE DATABASE $how");
	my $c = $node->connstr($how);
	for my $time (1, 2)
	{
		if ($how eq 'script') { system_or_bail('sh', '-c', "'$program' -q '$canonical' | psql -1 -Xq -v ON_ERROR_STOP=1 -d '$c'"); }
		else { is((convert([ '-q', '-d', $c, $time == 1 ? $canonical : write_file("$dir/c.csv", $data) ]))[0], 0, "canonical data, $how, time $time"); }
		is($node->safe_psql($how, 'SELECT * FROM canonical_recording ORDER BY 1'),
			"$u[3]|Song|{$u[0],$u[1]}|Simon, Garfunkel|$u[2]|Al\"bum|1969\n$u[4]|Two\nlines|{$u[0]}|Simon|$u[2]|Album|", "canonical data, $how, time $time: rows");
		is($node->safe_psql($how, 'SELECT * FROM canonical_recording_redirect'), "$u[5]|$u[3]", "redirects, $how, time $time");
	}
}
{
	my ($code, $out, $err) = convert([ '-q', write_file("$dir/bad.csv", "recording_mbid,artist_credit_id,recording_name,x); DROP TABLE listen; --\n") ]);
	is($code, 2, 'columns that are none');
	like($err, qr/first line is not the columns' names/, 'message');
	unlike($out, qr/DROP TABLE listen/, 'and nothing of it in the script');
}

# psql ends a COPY at a line of backslash and dot, also between quotes in CSV,
# and runs what follows: a file from a stranger must not get that far.
for ([ 'between rows', "\\.\nDROP TABLE victim;\n\\! touch '$dir/run'\n" ], [ 'with CRLF', "\\.\r\nDROP TABLE victim;\n" ],
	[ 'between quotes', qq{1,2,$u[0],S,$u[2],A,$u[3],"x\n\\.\nDROP TABLE victim;\n",x,1,\n} ], [ 'across blocks', '"' . 'x' x (524288 - length($data) - 3) . "\n\\.\nDROP TABLE victim;\n\"" ],
	[ 'at the end', "x\n\\." ], [ 'behind a NUL', "x\0\n\\.\nDROP TABLE victim;\n" ])
{
	my ($how, $text) = @$_;
	$node->safe_psql('postgres', 'CREATE TABLE IF NOT EXISTS victim ()');
	my $path = write_file("$dir/mark.csv", $data . $text);
	my ($code, $out, $err) = convert([ '-q', $path ]);
	is($code, 2, "an end mark $how: refused");
	like($err, qr/cannot load "mark.csv": it holds (a line that begins with "\\\."|a NUL byte)/, "an end mark $how: message");
	write_file("$dir/mark.sql", $out);
	isnt(system("psql -Xq -d '" . $node->connstr('postgres') . "' -f '$dir/mark.sql' >'$dir/mark.out' 2>&1"), 0, "an end mark $how: psql fails");
	is($node->safe_psql('postgres', "SELECT to_regclass('victim') IS NOT NULL, count(*) FROM canonical_recording"), 't|0', "an end mark $how: nothing of it is run or loaded");
}
ok(!-e "$dir/run", 'and no program was started');

# From ListenBrainz's own server: no conversion, a query (docs/tables.md).
{
	$node->safe_psql('postgres', 'CREATE DATABASE server');
	$node->safe_psql('server', <<'SQL');
CREATE TABLE listen (listened_at timestamptz NOT NULL, created timestamptz NOT NULL DEFAULT now(), user_id integer NOT NULL, recording_msid uuid NOT NULL, data jsonb NOT NULL);
CREATE UNIQUE INDEX ON listen (listened_at DESC, user_id, recording_msid);
SQL
	$node->safe_psql('server', "INSERT INTO listen SELECT to_timestamp(1400000000 + i), now(), i % 3, ('" . msid(1) . "')::uuid, '{\"artist_name\": \"a\", \"track_name\": \"b\", \"additional_info\": {}}' FROM generate_series(1, 10) AS i");
	my $docs = do { local $/; open my $f, '<', "$FindBin::Bin/../../docs/tables.md" or die; <$f> };
	my ($query) = $docs =~ /\$\$(SELECT user_id, listened_at, recording_msid, data->>'artist_name'[^\$]*)\$\$/ or die 'docs/tables.md shows no query';
	is($node->safe_psql('server', "SELECT count(*), min(artist_name) FROM ($query) AS q"), '10|a', 'the query of docs/tables.md on ListenBrainz\'s own schema');
}

done_testing();
