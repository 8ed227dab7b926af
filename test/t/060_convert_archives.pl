# Archives and folders, whole, damaged and hostile; output that cannot be
# written.  No server.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../convert";
use Converter;
use IPC::Run;
use POSIX qw(mkfifo);
use Test::More;

my $dir = scratch();
my $top = 'listenbrainz-listens-dump-2000-20260901-000003-full';
my $lines = join '', map { line(timestamp => 1100000000 + $_, recording_msid => msid($_ % 50)) } 1 .. 3000;
my @dump = (
	"$top/SCHEMA_SEQUENCE" => "1\n",
	"$top/TIMESTAMP" => "2026-09-01T00:00:03.5+00:00\n",
	"$top/COPYING" => "CC0\n",
	"$top/listens/2004/11.listens" => $lines,
	"$top/listens/2004/12.listens" => '',
	"$top/listens/2005/1.listens" => line() . line(user_id => undef));

sub slurp
{
	open my $f, '<:raw', $_[0] or die "$_[0]: $!";
	local $/;
	return <$f>;
}

# Same content, every compression: same rows.
my $rows;
for my $end ('tar', 'tar.zst', 'tar.xz', 'tar.gz')
{
	my $path = write_tar("$dir/dump.$end", @dump);
	my ($code, $out, $summary) = converted([ '--table', 'listen', $path ]);
	is($code, 1, "$end: exit code");
	is(join(' ', @$summary{qw(listens members lines)}, rejected_text($summary)), '3001 3 3002 user:1', "$end: counts");
	$rows //= $out;
	is($out, $rows, "$end: the same rows");
	($code, $out, $summary) = converted([ '--table', 'listen', '-' ], slurp($path));
	is($out, $rows, "$end on standard input: the same rows");
}
is(($rows =~ tr/\n//), 3001, 'a row each');

# The name does not matter.
rename "$dir/dump.tar.zst", "$dir/x.tar.xz" or die;
is((converted([ '--table', 'listen', "$dir/x.tar.xz" ]))[1], $rows, 'a wrong name');

# A folder: months in their order, links not followed.
my $folder = "$dir/folder";
system('mkdir', '-p', "$folder/listens/2004", "$folder/listens/2005") == 0 or die;
write_file("$folder/SCHEMA_SEQUENCE", "1\n");
write_file("$folder/listens/2005/10.listens", line(timestamp => 1400000010));
write_file("$folder/listens/2005/2.listens", line(timestamp => 1400000002));
write_file("$folder/listens/2004/12.listens", line(timestamp => 1400000001));
symlink '/etc/passwd', "$folder/listens/2004/1.listens" or die;
symlink '..', "$folder/listens/loop" or die;
{
	my ($code, $out, $summary) = converted([ '--table', 'listen', $folder ]);
	is($code, 0, 'folder: exit code');
	is(join(' ', $out =~ /16:53:(\d\d)/g), '21 22 30', 'folder: months by number, not by letter');
	is($summary->{other_members}, 2, 'folder: links are not followed');
}
{
	# A single compressed file.
	my $packed;
	IPC::Run::run([ 'zstd', '-q', '-c' ], '<', \$lines, '>', \$packed) or die;
	my ($code, $out, $summary) = converted([ write_file("$dir/1.listens.zst", $packed) ]);
	is("$code $summary->{listens}", '0 3000', 'a compressed .listens file');
	# Several inputs.
	($code, $out, $summary) = converted([ "$dir/1.listens.zst", $folder, "$dir/dump.tar" ]);
	is("$code $summary->{listens}", '1 6004', 'several inputs');
}

# Damage: exit code 2, a message with the place, and psql fails, too.
sub broken
{
	my ($name, $bytes, $message, @options) = @_;
	my $path = write_file("$dir/broken", $bytes);
	my ($code, $out, $err) = convert([ '-q', @options, $path ]);
	is($code, 2, "$name: exit code 2");
	like($err, $message, "$name: message");
	like($out, qr/\n(\\\.\n)?DO \$\$ BEGIN RAISE EXCEPTION.*END \$\$;\n\z/s, "$name: the script makes psql fail");
}
for my $end ('tar', 'tar.xz', 'tar.gz')
{
	my $whole = slurp("$dir/dump.$end");
	broken("$end cut in half", substr($whole, 0, length($whole) / 2), qr/could not read ".*broken".*/);
}
{
	my $whole = slurp("$dir/x.tar.xz");		# zstd, in truth
	broken('tar.zst cut in half', substr($whole, 0, length($whole) / 2), qr/could not read ".*broken".*[Tt]runcated/);
	broken('tar.zst without its last bytes', substr($whole, 0, -3), qr/could not read ".*broken"/);
	my $bad = $whole;
	substr($bad, length($bad) / 2, 8) = "\xaa" x 8;
	broken('tar.zst damaged in the middle', $bad, qr/could not read ".*broken"/);
	broken('garbage behind the tar.zst', $whole . 'garbage' x 10, qr/could not read ".*broken"/);
}
my $tar = tar_member("$top/listens/2004/1.listens", line()) . tar_member("$top/listens/2004/2.listens", line());
broken('tar cut between two members', $tar, qr/end-of-archive blocks are missing/);
{
	my $packed;
	IPC::Run::run([ 'zstd', '-q', '-c' ], '<', \$tar, '>', \$packed) or die;
	broken('tar.zst of a tar cut between two members', $packed, qr/end-of-archive blocks are missing/);
}
broken('garbage behind a tar', $tar . tar_end() . 'garbage' x 100, qr/could not read ".*broken"/);
broken('member longer than the file', tar_member('1.listens', line(), claim => 9_000_000_000, size => 'base256'),
	qr/could not read ".*broken" in member "1.listens"/);
broken('random bytes', join('', map { chr(($_ * 7919 + 13) % 251 + 1) } 1 .. 5000), qr/neither an archive nor listens/);
broken('a text', "Dear listener,\nno.\n", qr/neither an archive nor listens/);
broken('an archive without listens', tar_member('sample/README', "no listens\n") . tar_end(), qr/holds no listens/);
broken('Parquet in an archive', tar_member('listenbrainz-spark-dump/0.parquet', "PAR1\x15\x04") . tar_end(), qr/it is Parquet/);
broken('Parquet by another name', 'PAR1' . "\x15\x04" x 500, qr/it is Parquet/);
broken('schema sequence 2', tar_member("$top/SCHEMA_SEQUENCE", "2\n") . $tar . tar_end(), qr/schema sequence is "2/);
broken('the layout of 2018',
	tar_member("d/index.json", '{}') .
	  tar_member('d/listens/0/03/03a1f3b2-3e6c-4d0b-8d3a-6d3e4d7f9a10.listens', line(user_id => undef)) . tar_end(),
	qr/its listens have no user_id/);
{
	my ($code, $out, $err) = convert([ '-q', "$dir/nowhere" ]);
	is($code, 2, 'no such file: exit code');
	like($err, qr/could not open ".*nowhere": No such file/, 'no such file: message');
}

# Odd but right.
sub right
{
	my ($name, $bytes, $listens, @options) = @_;
	my ($code, $out, $summary, $err) = converted([ @options, write_file("$dir/right", $bytes) ]);
	is("$code $summary->{listens}", "0 $listens", $name) or diag $err;
	return $summary;
}
right('an archive with --force', tar_member("$top/SCHEMA_SEQUENCE", "2\n") . $tar . tar_end(), 2, '--force');
right('a size in base 256', tar_member('1.listens', line(), size => 'base256') . tar_end(), 1);
{
	my $pax = "12 size=" . length(line()) . "\n";
	$pax = length($pax) . substr($pax, 2) if length($pax) != 12;
	right('a size as PAX', tar_member('PaxHeaders/1', $pax, type => 'x') . tar_member('1.listens', line(), claim => 0) . tar_end(), 1);
}
right('two archives after each other', $tar . tar_end() . $tar . tar_end(), 4);
right('names that climb out',
	tar_member('../../../../tmp/evil.listens', line()) . tar_member('/etc/evil.listens', line()) . tar_end(), 2);
ok(!-e '/tmp/evil.listens' && !-e '/etc/evil.listens', 'nothing is written by a member\'s name');
{
	my $links = tar_member('2.listens', '', type => '2', link => '/etc/passwd') .
	  tar_member('3.listens', '', type => '1', link => '1.listens') . tar_member('fifo', '', type => '6');
	my $summary = right('links and devices', $links . tar_member('1.listens', line()) . tar_end(), 1);
	is($summary->{other_members}, 3, 'are counted and left alone');
}
{
	my ($code, $out, $err) = convert([ write_file("$dir/esc", tar_member("\e[2Jx.listens", "{\n") . tar_end()) ]);
	is($code, 1, 'a member name with an escape sequence');
	unlike($err, qr/\e/, 'does not reach the terminal');
	like($err, qr/\?\[2Jx\.listens: line 1/, 'but is told');
}

# Memory does not grow with the input: a line of 100 MB is not kept, and the
# worst JSON of the longest line that is parsed stays below 200 MiB, with so
# many recordings that all memory for them is in use.
{
	open my $f, '>:raw', "$dir/fat.listens" or die;
	for my $i (1 .. 1_000_000)
	{
		printf $f '{"user_id":1,"timestamp":1400000000,"track_metadata":{"artist_name":"a","track_name":"b"},"recording_msid":"%s"}' . "\n",
		  sprintf('%08x-9241-46da-935d-4fa9e0f7f371', $i * 2654435761 % 4294967296);
	}
	print $f '{"x":[' . '1,' x 5_240_000 . "1]}\n" . line(x => 'y' x 10_000_000);
	print $f '{"x":"', 'y' x 10_000_000 for 1 .. 10;
	print $f "\"}\n" . line();
	close $f;
	my ($code, $out, $summary) = converted([ "$dir/fat.listens" ]);
	is(join(' ', $code, $summary->{listens}, rejected_text($summary)), '1 1000002 json:1,user:1', 'a line of 100 MB and one of 5.2 million numbers');
	cmp_ok($summary->{peak_kilobytes}, '<', 200 * 1024, 'below 200 MiB: ' . $summary->{peak_kilobytes} . ' kB') unless $program =~ /asan/;
	unlink "$dir/fat.listens";
}

# An archive bomb: a hundred thousand times larger than it looks.
{
	my $bomb;
	my $line = line();
	IPC::Run::run([ 'sh', '-c', 'yes "" | head -c 300000000 | zstd -q -c' ], '>', \$bomb) or die;
	my ($code, $out, $summary) = converted([ write_file("$dir/bomb.listens.zst", $bomb) ]);
	is("$code $summary->{lines} $summary->{blank}", '0 300000000 300000000', 'a bomb of blank lines');
	cmp_ok($summary->{peak_kilobytes}, '<', 200 * 1024, 'in constant memory') unless $program =~ /asan/;
}

# Output that goes nowhere.
{
	my $err;
	IPC::Run::run([ $program, '-q', "$dir/dump.tar" ], '>', '/dev/full', '2>', \$err);
	is($? >> 8, 2, 'disk full: exit code');
	like($err, qr/could not write to standard output: No space left/, 'disk full: message');
	IPC::Run::run([ $program, '-q', '--rejects', '/dev/full', "$dir/dump.tar" ], '>', '/dev/null', '2>', \$err);
	is($? >> 8, 2, 'disk full for the rejects: exit code');
	like($err, qr/could not write rejected lines to "\/dev\/full"/, 'disk full for the rejects: message');
	my ($code, $out, $text) = convert([ '-q', '--rejects', "$dir/no/such/rejects", "$dir/dump.tar" ]);
	is($code, 2, 'rejects that cannot be opened');
	# A reader that ends: a message, not a signal.
	IPC::Run::run([ 'sh', '-c', "{ $program -q '$dir/1.listens.zst' '$dir/1.listens.zst'; echo \$? >&2; } | true" ], '2>', \$err);
	like($err, qr/could not write to standard output: Broken pipe.*\n2\n\z/s, 'a reader that ends');
}

# The command line.
for (
	[ [], qr/no input given/ ], [ ['--table', 'listens', 'x'], qr/unknown table "listens"/ ],
	[ ['--summary', 'xml', 'x'], qr/unknown form of summary/ ], [ ['--user-id', '1x', 'x'], qr/invalid value for --user-id/ ],
	[ ['--nonsense'], qr/Try lbrec-convert --help/ ])
{
	my ($args, $message) = @$_;
	my ($code, $out, $err) = convert($args);
	is($code, 2, "@$args: exit code");
	like($err, $message, "@$args: message");
}
{
	my ($code, $out) = convert(['--help']);
	is($code, 0, '--help');
	cmp_ok(($out =~ tr/\n//), '<=', 24, '--help fits a screen');
	is((grep { length > 80 } split /\n/, $out), 0, 'of 80 columns');
	($code, $out) = convert(['--version']);
	my ($version) = slurp("$FindBin::Bin/../../lbrec.control") =~ /default_version = '(.*)'/;
	is($out, "lbrec-convert $version\n", '--version is the control file\'s');
}

# Members that are compressed, and archives in archives.
{
	my ($gz, $zst, $tar);
	my ($one, $two, $three) = map { line(user_id => $_) } 1 .. 3;
	IPC::Run::run([qw(gzip -c)], '<', \$two, '>', \$gz) or die;
	my $inner = tar_member('1.listens', $three) . tar_end();
	IPC::Run::run([qw(zstd -q -c)], '<', \$inner, '>', \$zst) or die;
	my $zip = "PK\3\4" . "\0" x 40;
	my $path = write_tar("$dir/nested.tar.zst", 'd/listens/1.listens' => $one, 'd/listens/2.listens.gz' => $gz, 'd/3.tar.zst' => $zst, 'd/4.tar' => $inner);
	my ($code, $out, $summary) = converted([ '--table', 'listen', $path ]);
	is("$code $summary->{members} " . join(' ', $out =~ /^(\d+)/gm), '0 4 1 2 3 3', 'compressed members and archives in an archive are read');
	$path = write_tar("$dir/zips.tar", 'd/listens/1.listens' => $one, 'd/x.zip' => $zip, 'd/y.7z' => "7z\xbc\xaf\x27\x1c");
	($code, $out, $summary, my $err) = converted([ '--table', 'listen', $path ]);
	is("$code $summary->{members} $summary->{unread_members}", '1 1 2', 'archives that cannot be read there are counted, exit code 1');
	like($err, qr{member "d/x.zip" is not read: it is a zip archive.*member "d/y.7z" is not read}s, 'and named');
	my $deep = $inner;
	$deep = tar_member('x.tar', $deep) . tar_end() for 1 .. 6;
	($code, $out, $err) = convert([ '--table', 'listen', write_file("$dir/deep.tar", $deep) ]);
	is($code, 2, 'archives within archives end somewhere');
	like($err, qr/too many archives/, 'and that is told');
	IPC::Run::run([qw(zstd -q --long=31 -c)], '<', \('x' x 150_000_000), '>', \my $long) or die;
	($code, $out, $err) = convert([ write_file("$dir/long.zst", $long) ]);
	is($code, 2, 'a window of 2 GiB');
	like($err, qr/too much memory.*hint: .*zstd -dc --long=31/s, 'and what to do');
}

# Rejected lines do not overwrite an input.
{
	my $input = write_file("$dir/own.listens", "x\n" . line());
	mkdir "$dir/own";
	write_file("$dir/own/1.listens", line());
	link $input, "$dir/linked";
	for ([ $input, $input ], [ "$dir/linked", $input ], [ "$dir/own/rejects", "$dir/own" ], [ "$dir/own/1.listens", "$dir/own/" ])
	{
		my ($rejects, $read) = @$_;
		my ($code, $out, $err) = convert([ '--rejects', $rejects, '--table', 'listen', $read ]);
		is($code, 2, '--rejects names an input');
		like($err, qr/will not write rejected lines to .*: it is read/, 'message');
	}
	is(-s $input, 2 + length(line()), 'and it is as it was');
	is((convert([ '-q', '--rejects', "$dir/owner", '--table', 'listen', "$dir/own" ]))[0], 0, 'a file beside the folder will do');
}

# A pipe whose writer does not go on must not keep a run that has failed.
{
	my ($out, $err);
	mkfifo("$dir/fifo", 0600) or die;
	my $h = IPC::Run::start([ $program, '-q', "$dir/fifo" ], '>', \$out, '2>', \$err, IPC::Run::timeout(180));
	open my $fifo, '>', "$dir/fifo" or die;
	local $SIG{PIPE} = 'IGNORE';
	syswrite $fifo, 'x' x 600_000;
	$h->finish;
	is($h->result(0), 2, 'a stalled pipe: the run ends');
	like($err, qr/neither an archive nor listens/, 'with its message');
	close $fifo;
}

# TIMESTAMP behind the listens.
{
	my ($code, $out, $err) = convert([ '--table', 'listen', write_tar("$dir/late.tar", 'd/listens/1.listens' => line(), 'd/TIMESTAMP' => "2026-09-01T00:00:00+00:00\n") ]);
	is($code, 0, 'TIMESTAMP behind the listens');
	like($err, qr/"d\/TIMESTAMP" comes behind listens.*hint: .*folder/s, 'is told');
}

done_testing();
