# Shared by the converter's tests: running it, its summary, lines and
# archives to feed it.  Plain Perl; no server.
package Converter;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IPC::Run;
use JSON::PP;

our @EXPORT = qw($program convert converted msid line vectors
  write_file tar_member tar_end write_tar scratch rejected_text);

my $top = abs_path(dirname(__FILE__) . '/../..');
our $program = $ENV{LBREC_CONVERT} || "$top/lbrec-convert";
die "$program is not there: make lbrec-convert\n" unless -x $program;

my $json = JSON::PP->new->canonical->utf8;

# Run the converter; returns exit code, standard output, standard error.
sub convert
{
	my ($args, $stdin) = @_;
	my ($out, $err);
	my @in = defined $stdin ? ('<', ref $stdin ? $stdin : \$stdin) : ('<', '/dev/null');
	IPC::Run::run([ $program, @$args ], @in, '>', \$out, '2>', \$err);
	die "$program died: signal " . ($? & 127) . "\n$err" if $? & 127;
	return ($? >> 8, $out, $err);
}

# The same with --summary json: exit code, output, summary, errors.
sub converted
{
	my ($args, $stdin) = @_;
	my ($code, $out, $err) = convert([ '--summary', 'json', @$args ], $stdin);
	my ($last) = $err =~ /^(\{.*\})$/m;
	die "no summary in: $err" unless defined $last;
	return ($code, $out, $json->decode($last), $err);
}

# "json:1,time:2" of a summary, "-" for none.
sub rejected_text
{
	my ($summary) = @_;
	my $r = $summary->{rejected};
	return join(',', map { "$_:$r->{$_}" } grep { $r->{$_} } sort keys %$r) || '-';
}

sub scratch { return tempdir(CLEANUP => 1); }

sub write_file
{
	my ($path, $data) = @_;
	open my $f, '>:raw', $path or die "$path: $!";
	print $f $data or die;
	close $f or die "$path: $!";
	return $path;
}

# One member of a tar file, as GNU tar writes it.
#	size => 'base256' writes the size as members over 8 GiB have it;
#	type => '2' a symbolic link; claim => N lies about the size.
sub tar_member
{
	my ($name, $data, %how) = @_;
	my $type = $how{type} // '0';
	my $size = $how{claim} // length $data;
	my $field =
	  ($how{size} // '') eq 'base256'
	  ? pack('C x3 Q>', 0x80, $size)
	  : sprintf("%011o\0", $size);
	my $header = pack('a100 a8 a8 a8 a12 a12 A8 a1 a100 a6 a2 a32 a32 x8 x8 x155 x12',
		$name, "0000644\0", "0000000\0", "0000000\0", $field,
		"00000000000\0", '', $type, $how{link} // '', "ustar ", " \0", '', '');
	my $sum = unpack('%32C*', $header);
	substr($header, 148, 8) = sprintf("%06o\0 ", $sum);
	my $pad = length($data) % 512 ? "\0" x (512 - length($data) % 512) : '';
	return $header . $data . $pad;
}

sub tar_end { return "\0" x 1024; }

# write_tar(path, name => data, ...): a whole archive, compressed as the
# path's end says.
sub write_tar
{
	my ($path, @members) = @_;
	my $tar = '';
	while (my ($name, $data) = splice(@members, 0, 2))
	{
		$tar .= tar_member($name, $data);
	}
	$tar .= tar_end();
	my %tool = (zst => [qw(zstd -q -c)], xz => [qw(xz -c)], gz => [qw(gzip -c)]);
	my ($end) = $path =~ /\.tar\.(\w+)$/;
	if ($end)
	{
		my $packed;
		IPC::Run::run($tool{$end}, '<', \$tar, '>', \$packed) or die "@{$tool{$end}} failed";
		$tar = $packed;
	}
	return write_file($path, $tar);
}

sub msid { return sprintf('%08x-9241-46da-935d-4fa9e0f7f371', $_[0]); }

# A dump's line.  Values are Perl's; undef in %change removes a key,
# \'null' writes a null.
sub line
{
	my (%change) = @_;
	my $metadata = delete $change{metadata} // {};
	my %listen = (
		user_id => 1, user_name => 'u', timestamp => 1400000000,
		recording_msid => msid(1),
		track_metadata => {
			artist_name => 'Led Zeppelin', track_name => 'Immigrant Song',
			additional_info => { recording_msid => msid(1) }, %$metadata
		});
	@listen{ keys %change } = values %change;
	for my $h (\%listen, ref $listen{track_metadata} eq 'HASH' ? $listen{track_metadata} : ())
	{
		for (keys %$h)
		{
			delete $h->{$_} if !defined $h->{$_};
			$h->{$_} = undef if ref $h->{$_} eq 'SCALAR';
		}
	}
	return $json->encode(\%listen) . "\n";
}

# A line with the content of its braces given as text, for malformed JSON.
sub raw
{
	my (%part) = @_;
	$part{user} //= '"user_id":1,';
	$part{time} //= '"timestamp":1400000000,';
	$part{metadata} //= '{"artist_name":"a","track_name":"b"}';
	$part{msid} //= ',"recording_msid":"' . msid(1) . '"';
	$part{extra} //= '';
	return "{$part{user}$part{time}$part{extra}\"track_metadata\":$part{metadata}$part{msid}}\n";
}

# Each: name, bytes, listens, rejected.  Written after the rules of the dump's
# format; the names say what is odd.
sub vectors
{
	my $ok = line();
	chomp(my $bare = $ok);
	my $mbid = '103e7457-e64b-43f1-a2df-94ba0286cd59';
	my $null = \'null';
	return (
		[ 'plain', $ok, 1, '-' ],
		[ 'no newline at the end', $bare, 1, '-' ],
		[ 'CRLF', "$bare\r\n", 1, '-' ],
		[ 'blank lines', "\n \t\r\n$ok\n", 1, '-' ],
		[ 'empty file', '', 0, '-' ],
		[ 'byte order mark', "\xef\xbb\xbf$ok", 1, '-' ],
		[ 'byte order mark alone', "\xef\xbb\xbf", 0, '-' ],
		[ 'listened_at', line(timestamp => undef, listened_at => 1400000000), 1, '-' ],
		[ 'listened_at as text', line(timestamp => undef, listened_at => '1400000000'), 1, '-' ],
		[ 'listened_at null, timestamp there', line(listened_at => $null), 1, '-' ],
		[ 'ts_since_epoch', line(timestamp => undef, ts_since_epoch => 1400000000), 1, '-' ],
		[ 'time with a fraction', raw(time => '"listened_at":1400000000.5,'), 1, '-' ],
		[ 'time with an exponent', raw(time => '"timestamp":1.4e9,'), 1, '-' ],
		[ 'time null', line(timestamp => $null), 0, 'time:1' ],
		[ 'time missing', line(timestamp => undef), 0, 'time:1' ],
		[ 'time a word', line(timestamp => 'yesterday'), 0, 'time:1' ],
		[ 'time text nan', line(timestamp => 'nan'), 0, 'time:1' ],
		[ 'time text hexadecimal', line(timestamp => '0x10'), 0, 'time:1' ],
		[ 'time a list', line(timestamp => [1]), 0, 'time:1' ],
		[ 'time true', raw(time => '"timestamp":true,'), 0, 'time:1' ],
		[ 'time zero', line(timestamp => 0), 1, '-' ],
		[ 'time before 1970', line(timestamp => -86400), 1, '-' ],
		[ 'time year 1', raw(time => '"timestamp":-62135596800,'), 1, '-' ],
		[ 'time before year 1', raw(time => '"timestamp":-62135596801,'), 0, 'time:1' ],
		[ 'time year 9999', raw(time => '"timestamp":253402300799,'), 1, '-' ],
		[ 'time after year 9999', raw(time => '"timestamp":253402300800,'), 0, 'time:1' ],
		[ 'time in milliseconds', raw(time => '"timestamp":1400000000000,'), 0, 'time:1' ],
		[ 'time of 30 digits', raw(time => '"timestamp":' . '9' x 30 . ','), 0, 'time:1' ],
		[ 'time 1e400', raw(time => '"timestamp":1e400,'), 0, 'time:1' ],
		[ 'time NaN', raw(time => '"timestamp":NaN,'), 0, 'json:1' ],
		[ 'user missing', line(user_id => undef), 0, 'user:1' ],
		[ 'user null', line(user_id => $null), 0, 'user:1' ],
		[ 'user as text', line(user_id => '12'), 1, '-' ],
		[ 'user a word', line(user_id => 'rob'), 0, 'user:1' ],
		[ 'user negative', line(user_id => -3), 0, 'user:1' ],
		[ 'user 2^63-1', raw(user => '"user_id":9223372036854775807,'), 1, '-' ],
		[ 'user 2^63', raw(user => '"user_id":9223372036854775808,'), 0, 'user:1' ],
		[ 'user 2^64', raw(user => '"user_id":18446744073709551616,'), 0, 'user:1' ],
		[ 'user with a fraction', raw(user => '"user_id":1.5,'), 0, 'user:1' ],
		[ 'user 12.0', raw(user => '"user_id":12.0,'), 1, '-' ],
		[ 'msid missing', raw(msid => ''), 0, 'msid:1' ],
		[ 'msid inside', line(recording_msid => undef), 1, '-' ],
		[ 'msid bad on top, good inside', line(recording_msid => 'xyz'), 0, 'msid:1' ],
		[ 'msid in upper case', line(recording_msid => uc msid(10)), 1, '-' ],
		[ 'msid without hyphens', line(recording_msid => msid(1) =~ s/-//gr), 1, '-' ],
		[ 'msid in braces', line(recording_msid => '{' . msid(1) . '}'), 1, '-' ],
		[ 'msid a digit short', line(recording_msid => substr(msid(1), 1)), 0, 'msid:1' ],
		[ 'msid a digit long', line(recording_msid => msid(1) . '0'), 0, 'msid:1' ],
		[ 'artist missing', line(metadata => { artist_name => undef }), 0, 'artist:1' ],
		[ 'artist null', line(metadata => { artist_name => $null }), 0, 'artist:1' ],
		[ 'artist empty', line(metadata => { artist_name => '' }), 0, 'artist:1' ],
		[ 'artist a list', line(metadata => { artist_name => [ 'a', 'b' ] }), 0, 'artist:1' ],
		[ 'artist a number', line(metadata => { artist_name => 311 }), 0, 'artist:1' ],
		[ 'artist only NUL', raw(metadata => '{"artist_name":"\u0000","track_name":"b"}'), 0, 'artist:1' ],
		[ 'track missing', line(metadata => { track_name => undef }), 0, 'track:1' ],
		[ 'track empty', line(metadata => { track_name => '' }), 0, 'track:1' ],
		[ 'metadata null', line(track_metadata => $null), 0, 'artist:1' ],
		[ 'metadata a list', line(track_metadata => []), 0, 'artist:1' ],
		[ 'names one level too deep',
			raw(metadata => '{"additional_info":{"brainzplayer_metadata":{"artist_name":"a","track_name":"b"},"artist_name":"a"},"track_name":"b"}'),
			0, 'artist:1' ],
		[ 'escaped keys', raw(metadata => '{"\u0061rtist_name":"a","track_nam\u0065":"b"}'), 1, '-' ],
		[ 'any Unicode', line(metadata => { track_name => "\x{5742}\x{672c} \x{1d11e} e\x{301}" }), 1, '-' ],
		[ 'escapes', raw(metadata => '{"artist_name":"a\tb\\\\c\"d\ne\/","track_name":"\u00e9\ud834\udd1e"}'), 1, '-' ],
		[ 'NUL in a name', raw(metadata => '{"artist_name":"a","track_name":"\u0000Fade"}'), 1, '-' ],
		[ 'lone high surrogate', raw(metadata => '{"artist_name":"a","track_name":"x\ud834y"}'), 0, 'encoding:1' ],
		[ 'lone low surrogate', raw(metadata => '{"artist_name":"a","track_name":"x\udd1ey"}'), 0, 'encoding:1' ],
		[ 'two high surrogates', raw(metadata => '{"artist_name":"a","track_name":"\ud834\ud834"}'), 0, 'encoding:1' ],
		[ 'lone surrogate elsewhere', raw(extra => '"x":"\udd1e",'), 0, 'encoding:1' ],
		[ 'escaped backslash before u', raw(metadata => '{"artist_name":"a","track_name":"\\\\ud834"}'), 1, '-' ],
		[ 'invalid UTF-8', raw(metadata => "{\"artist_name\":\"a\xff\xfe\",\"track_name\":\"b\"}"), 0, 'encoding:1' ],
		[ 'UTF-8 of a surrogate', raw(metadata => "{\"artist_name\":\"a\xed\xa0\x80\",\"track_name\":\"b\"}"), 0, 'encoding:1' ],
		[ 'mapping', line(metadata => { mbid_mapping => { recording_mbid => $mbid } }), 1, '-' ],
		[ 'mapping null', line(metadata => { mbid_mapping => $null }), 1, '-' ],
		[ 'MBIDs that are none', line(metadata => { additional_info => { recording_mbid => 'none', artist_mbids => 'x' } }), 1, '-' ],
		[ 'two MBIDs glued', line(metadata => { additional_info => { recording_mbid => "$mbid\0\x{feff}$mbid" } }), 1, '-' ],
		[ 'no additional_info', line(metadata => { additional_info => undef }), 1, '-' ],
		[ 'additional_info a word', line(metadata => { additional_info => 'x' }), 1, '-' ],
		[ 'a number of 30 digits elsewhere', raw(extra => '"x":[' . '7' x 30 . ',-' . '7' x 30 . '],'), 1, '-' ],
		[ 'a number 1e400 elsewhere', raw(extra => '"x":-1e400,'), 1, '-' ],
		[ 'a number with a leading zero', raw(extra => '"x":0123456789012345678901,'), 0, 'json:1' ],
		[ 'digits in a string beside a huge number', raw(extra => '"x":1e400,"y":"\"1e400",'), 1, '-' ],
		[ 'the same line twice', $ok . $ok, 2, '-' ],
		[ 'the same key twice', raw(user => '"user_id":1,"user_id":2,'), 1, '-' ],
		[ 'the same key twice, the last bad', raw(user => '"user_id":1,"user_id":"x",'), 0, 'user:1' ],
		[ 'line cut off', $ok . substr($ok, 0, 60), 1, 'json:1' ],
		[ 'garbage between', "${ok}not json\n$ok", 2, 'json:1' ],
		[ 'an array', "${ok}[1,2]\n", 1, 'json:1' ],
		[ 'a number', "${ok}42\n", 1, 'json:1' ],
		[ 'garbage behind', "$bare x\n", 0, 'json:1' ],
		[ 'two on a line', $bare . $ok, 0, 'json:1' ],
		[ 'deep nesting', raw(extra => '"x":' . '[' x 100000 . ']' x 100000 . ',') . $ok, 1, 'json:1' ],
		[ 'a name of a million letters', line(metadata => { track_name => 'x' x 1_000_000 }), 1, '-' ],
		[ 'a line of 10 MB', line(x => 'y' x 10_000_000), 1, '-' ],
		[ 'a line of 12 MB between', $ok . line(x => 'y' x 12_000_000) . $ok, 2, 'json:1' ],
		[ 'a control character', raw(metadata => "{\"artist_name\":\"a\x01\",\"track_name\":\"b\"}"), 0, 'json:1' ],
		[ 'a NUL byte', substr($ok, 0, 20) . "\0" . substr($ok, 20), 0, 'json:1' ],
		[ 'two faults: the first in order', line(user_id => undef, timestamp => undef), 0, 'user:1' ],
	);
}

1;
