# Every kind of line: the number of listens, and the reasons of rejects.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../convert";
use Converter;
use Test::More;

my $dir = scratch();
my $n = 0;

sub check
{
	my ($name, $file, $listens, $rejected) = @_;
	my ($code, $out, $summary) = converted([$file]);
	is(join(' ', $summary->{listens}, rejected_text($summary), $code),
		join(' ', $listens, $rejected, $rejected eq '-' ? 0 : 1), $name);
	my $sum = $summary->{listens} + $summary->{blank};
	$sum += $_ for values %{ $summary->{rejected} };
	is($summary->{lines}, $sum, "$name: every line is accounted for");
}

for my $vector (vectors())
{
	my ($name, $data, $listens, $rejected) = @$vector;
	check($name, write_file("$dir/" . $n++ . '.listens', $data), $listens, $rejected);
}

# Line ends and blocks: lines of many lengths, so that some cross the
# reader's blocks at every place.
{
	my $data = join '', map { line(timestamp => 1400000000 + $_, x => 'y' x ($_ % 977)) } 1 .. 6000;
	my ($code, $out, $summary) =
	  converted([ '--table', 'listen', write_file("$dir/many.listens", $data) ]);
	is($summary->{listens}, 6000, 'lines that cross blocks');
	my @times = $out =~ /^1\t([^\t]+)\t/mg;
	is(scalar @times, 6000, 'a row each');
	is_deeply([ @times[ 0, 5999 ] ], [ '2014-05-13 16:53:21+00', '2014-05-13 18:33:20+00' ], 'in their order');
}

# Names as they are loaded.
sub rows
{
	my ($table, $data) = @_;
	my ($code, $out) = convert([ '-q', '--table', $table, '-' ], $data);
	return $out;
}
my $m = msid(1);
is(rows('recording', line(metadata => { artist_name => '\\.', track_name => '\\N', release_name => "a\tb\nc" })),
	"$m\t\\\\.\t\\\\N\ta\\tb\\nc\t\\N\t\\N\t\\N\n", "COPY's own marks are escaped");
is(rows('recording', line(metadata => { track_name => "\0Fa\0de\0", release_name => '' })),
	"$m\tLed Zeppelin\tFade\t\\N\t\\N\t\\N\t\\N\n", 'NULs are taken out; an empty release is none');

# The client's MBIDs or the mapping's, never some of each.
my @mbid = map { "0000000$_-e64b-43f1-a2df-94ba0286cd59" } 0 .. 9;
my $mapping = { recording_mbid => $mbid[0], release_mbid => $mbid[1], artist_mbids => [ @mbid[ 2, 3 ] ] };
is(rows('recording', line(metadata => { mbid_mapping => $mapping })),
	"$m\tLed Zeppelin\tImmigrant Song\t\\N\t$mbid[0]\t$mbid[1]\t{$mbid[2],$mbid[3]}\n", 'mapping');
is(rows('recording', line(metadata => { mbid_mapping => $mapping, additional_info => { recording_mbid => $mbid[4] } })),
	"$m\tLed Zeppelin\tImmigrant Song\t\\N\t$mbid[4]\t\\N\t\\N\n", 'the client comes first, and alone');
is(rows('recording', line(metadata => { mbid_mapping => $mapping, additional_info => { release_mbid => $mbid[4] } })),
	"$m\tLed Zeppelin\tImmigrant Song\t\\N\t$mbid[0]\t$mbid[1]\t{$mbid[2],$mbid[3]}\n", "a client without a recording's: the mapping");
is(rows('recording', line(metadata => { additional_info => { recording_mbid => uc $mbid[4], artist_mbids => [ $mbid[5], 'x', undef, 7 ] } })),
	"$m\tLed Zeppelin\tImmigrant Song\t\\N\t$mbid[4]\t\\N\t{$mbid[5]}\n", 'what is no MBID is left out');

# Times.
for (
	[ 0, '1970-01-01 00:00:00+00' ], [ -1, '1969-12-31 23:59:59+00' ],
	[ -62135596800, '0001-01-01 00:00:00+00' ], [ 253402300799, '9999-12-31 23:59:59+00' ],
	[ 951782400, '2000-02-29 00:00:00+00' ], [ '1400000000.123456', '2014-05-13 16:53:20.123456+00' ],
	[ '1704067200.000000', '2024-01-01 00:00:00+00' ], [ '-0.5', '1969-12-31 23:59:59.500000+00' ])
{
	my ($given, $expected) = @$_;
	my $text = line();
	$text =~ s/1400000000/$given/;
	is(rows('listen', $text), "1\t$expected\t$m\n", "time $given");
}

# Early listens are kept, and counted; or left out, and counted.
{
	my $data = line(timestamp => 0) . line(timestamp => 1033430399) . line(timestamp => 1033430400);
	my ($code, $out, $summary) = converted([ '--table', 'listen', '-' ], $data);
	is(($out =~ tr/\n//), 3, 'early listens are written');
	is($summary->{before_2002_10_01}, 2, 'and counted');
	($code, $out, $summary) = converted([ '--table', 'listen', '--skip-early', '-' ], $data);
	is(($out =~ tr/\n//), 1, '--skip-early leaves them out');
	is_deeply([ @$summary{qw(listens left_out before_2002_10_01)} ], [ 3, 2, 2 ], 'and still counts them');
	is($code, 0, 'that is no reject');
}

# Rejected lines say where they were.
{
	my ($code, $out, $err) =
	  convert([ '--rejects', "$dir/rejects", write_file("$dir/r.listens", line() . "\nno\\pe\n") ]);
	my $at = length(line()) + 1;
	like($err, qr/r\.listens: line 3, offset $at: rejected \(json\)/, 'message names the place');
	open my $f, '<', "$dir/rejects" or die;
	my @rows = map { chomp; [ split /\t/ ] } <$f>;
	is_deeply([ @{ $rows[1] }[ 0 .. 3, 5 ] ], [ 'r.listens', 3, $at, 'json', 'no\\\\pe' ], '--rejects keeps place, reason and text');
	is(scalar @rows, 2, 'and nothing else');
}
{
	# Bytes that no text of PostgreSQL can hold, or the file cannot be loaded.
	my $bad = "{\xff\xc3\xa9\xed\xa0\x80\0\xf0\x9d\x84";
	convert([ '-q', '--rejects', "$dir/rejects", write_file("$dir/r.listens", "$bad\n") ]);
	open my $f, '<:raw', "$dir/rejects" or die;
	my @rows = map { chomp; [ split /\t/ ] } <$f>;
	is($rows[1][5], "{\\\\xff\xc3\xa9\\\\xed\\\\xa0\\\\x80\\\\x00\\\\xf0\\\\x9d\\\\x84", '--rejects: bytes that are no text are told as \xHH');
}
{
	my ($code, $out, $err) = convert([ write_file("$dir/r.listens", line() . "x\n" x 30) ]);
	is(scalar(() = $err =~ /rejected \(json\)/g), 10, 'only the first rejects are told');
	like($err, qr/rejected\s+30  json 30/, 'all are counted');
	($code, $out, $err) = convert([ '-q', "$dir/r.listens" ]);
	is($err, '', '--quiet: nothing of it');
	is($code, 1, 'but the exit code');
}

# The project's sister checkout has a list of its own.
my $make = "$FindBin::Bin/../../../shared/tools/make_vectors.py";
SKIP:
{
	skip 'no ../shared/tools/make_vectors.py beside the checkout', 1 unless -e $make;
	skip 'make_vectors.py needs python3', 1 if system('python3 -c 1 >/dev/null 2>&1') != 0;
	mkdir "$dir/v";
	system('python3', $make, "$dir/v") == 0 or die;
	open my $f, '<', "$dir/v/expected.tsv" or die;
	<$f>;
	while (<$f>)
	{
		chomp;
		my ($name, $listens, $rejected, $code) = split /\t/;
		check("make_vectors.py: $name", "$dir/v/$name.listens", $listens, $rejected);
	}
}

done_testing();
