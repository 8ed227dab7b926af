# The generator of synthetic dumps: its report is true, the same options give
# the same bytes, and the listens have structure to learn.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../convert";
use Converter;
use Cwd qw(abs_path);
use Digest::MD5;
use IPC::Run;
use Test::More;

my $top = abs_path("$FindBin::Bin/../..");
my $generator = "$top/build/make_dump";
die "$generator is not there: make make-dump\n" unless -x $generator;
my $dir = scratch();

# Returns the report as a hash.
sub make_dump
{
	my ($path, @options) = @_;
	my ($out, $err);
	IPC::Run::run([ $generator, @options, '-o', $path ], '<', '/dev/null', '>', \$out, '2>', \$err)
	  or die "make_dump @options: $err";
	return { map { split /\t/ } split /\n/, $out };
}

sub digest
{
	open my $f, '<:raw', $_[0] or die "$_[0]: $!";
	return Digest::MD5->new->addfile($f)->hexdigest;
}

# The converter's counts are the generator's.
sub check
{
	my ($name, $end, @options) = @_;
	my $path = "$dir/$name.$end";
	my $report = make_dump($path, @options);
	my ($code, undef, $summary) = converted([ '--table', 'listen', $path ]);
	my %rejected = map { /^rejected: (\w+)/ && $report->{$_} > 0 ? ($1 => $report->{$_}) : () } keys %$report;
	my %found = map { $summary->{rejected}{$_} ? ($_ => $summary->{rejected}{$_}) : () } keys %{ $summary->{rejected} };
	is_deeply(\%found, \%rejected, "$name: rejects by reason");
	is($summary->{lines}, $report->{lines}, "$name: lines");
	is($summary->{blank}, $report->{blank}, "$name: blank lines");
	is($summary->{listens}, $report->{'listens read'}, "$name: listens");
	is($summary->{before_2002_10_01}, $report->{early} + earlier($path, $report), "$name: listens of bad clocks");
	is($code, %rejected ? 1 : 0, "$name: exit code");
	my (%same, %recordings);
	for (listens($path)) { $same{"@$_"} = 1; $recordings{ $_->[2] } = 1 }
	is(keys %same, $report->{listens}, "$name: distinct listens");
	is(keys %recordings, $report->{recordings}, "$name: each recording is listened to");
	return $report;
}

# user, time, recording of each listen, in the dump's order.
sub listens
{
	my ($path) = @_;
	my (undef, $out) = convert([ '-q', '--table', 'listen', $path ]);
	return map { [ split /\t/ ] } split /\n/, $out;
}

# Lines that are given twice count twice as early ones.
sub earlier
{
	my ($path, $report) = @_;
	my (%seen, $twice);
	$twice += $seen{"@$_"}++ && $_->[1] lt '2002-10-01' for listens($path);
	return $twice;
}

my $report = check('seed', 'tar.zst', '--listens', 40000);
is($report->{early}, 19730, 'half of the clocks are wrong by default');
ok($report->{'rejected: user'} > 0 && $report->{'malformed: line given twice'} > 0, 'lines are damaged by default');
check('xz', 'tar.xz', '--listens', 5000);
check('gz', 'tar.gz', '--listens', 5000);
check('plain', 'tar', '--listens', 5000, '--malformed', 300);
$report = check('today', 'tar.zst', '--listens', 20000, '--start', '2024-11', '--months', 3);
is_deeply([ sort grep { /listens$/ && m!/! } keys %$report ],
	[ map { "listens/$_.listens" } '2024/11', '2024/12', '2025/1' ], 'a file for each month');
is($report->{lines}, 20000, "today's dumps have no damaged lines");
check('each once', 'tar', '--listens', 2000, '--recordings', 2000);
check('one artist', 'tar', '--listens', 3000, '--artists', 1, '--users', 2);

my $seed = digest("$dir/seed.tar.zst");
# The folder in it is named after the archive: so compare under one name.
rename "$dir/seed.tar.zst", "$dir/first.tar.zst" or die;
make_dump("$dir/seed.tar.zst", '--listens', 40000);
is(digest("$dir/seed.tar.zst"), $seed, 'the same options, the same bytes');
make_dump("$dir/seed.tar.zst", '--listens', 40000, '--seed', 43);
isnt(digest("$dir/seed.tar.zst"), $seed, 'another seed, other listens');

# Something to learn: of every second listen, guess the recording from the
# others.  A user's own hundred most played must beat everybody's.
{
	my (%all, %of, $n, $own, $popular);
	my @listens = listens("$dir/first.tar.zst");
	for my $i (grep { $_ % 2 } 0 .. $#listens)
	{
		$all{ $listens[$i][2] }++;
		$of{ $listens[$i][0] }{ $listens[$i][2] }++;
	}
	my $best = sub { my ($h) = @_; my @k = (sort { $h->{$b} <=> $h->{$a} || $a cmp $b } keys %$h); return { map { $_ => 1 } @k[ 0 .. ($#k < 99 ? $#k : 99) ] } };
	my $favourites = $best->(\%all);
	my %mine = map { $_ => $best->($of{$_}) } keys %of;
	for my $l (map { $listens[ 2 * $_ ] } 0 .. $#listens / 2)
	{
		$n++;
		$popular += exists $favourites->{ $l->[2] };
		$own += exists $mine{ $l->[0] }{ $l->[2] };
	}
	cmp_ok($own / $n, '>', 2 * $popular / $n, sprintf 'taste (%.2f) tells more than popularity (%.2f)', $own / $n, $popular / $n);
	cmp_ok($popular / $n, '>', 5 * 100 / keys %all, 'popularity tells more than chance');
}

# Bad options are refused.
for (
	[ [ '-o', 'dump' ], qr/should be named like an archive/ ],
	[ [ '-o', "$dir/x.tar.rar" ], qr/the compressions are/ ],
	[ [ '-o', "$dir/x.tar", '--listens', 'many' ], qr/--listens must be a number/ ],
	[ [ '-o', "$dir/x.tar", '--listens', 100, '--recordings', 101 ], qr/cannot be more than --listens/ ],
	[ [ '-o', "$dir/x.tar", '--start', '2005-13' ], qr/must be a month/ ],
	[ [ '-o', "$dir/nowhere/x.tar" ], qr/could not write the archive/ ],
	[ ['--seed'], qr/requires an argument/ ])
{
	my ($options, $message) = @$_;
	my ($out, $err);
	IPC::Run::run([ $generator, @$options ], '<', '/dev/null', '>', \$out, '2>', \$err);
	is($? >> 8, 2, "refused: @$options");
	like($err, $message, 'and told why');
}

done_testing();
