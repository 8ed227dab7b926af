# Damage to the file of an image: hundreds of them, below a session that has
# mapped it and before a new one does.  The answer is always the model's own,
# because the damage is found and the image built again; never a crash.  Then
# faults that cannot be repaired in time: a file truncated during a call, a full
# disk, too little memory.  Each gives an error or a warning, and everything
# works afterwards.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = defined $ENV{LBREC_FUZZ} ? $ENV{LBREC_FUZZ} : 220;
my $seed = defined $ENV{LBREC_SEED} ? $ENV{LBREC_SEED} : time % 100000;
srand $seed;
diag("seed: LBREC_SEED=$seed, damages: LBREC_FUZZ=$rounds");

my $node = new_cluster('image_damage');
my $tmp = $node->data_dir . '/base/pgsql_tmp';
make_listens($node, 100, 400, 20);
$node->safe_psql('postgres', q{SELECT lbrec_train('a', epochs => 1, seed => 1, settings => '{"embedding_dim": 16, "ensemble": 2}');
	SELECT lbrec_train('b', epochs => 1, seed => 2, settings => '{"embedding_dim": 16, "ensemble": 2}')});
my $ask = q{SELECT md5(string_agg(r::text, ' ' ORDER BY u, rank)) FROM generate_series(1, 100, 7) AS u, LATERAL lbrec_recommend(u, 10, 'a', at => '2005-01-01 00:00+00') AS r};
my $right = $node->safe_psql('postgres', "SET lbrec.shared_images = off; $ask");

sub files { return map { "$tmp/$_" } grep { !/\.seal$/ } entries() }
sub entries { opendir my $d, $tmp or return (); return sort grep { /lbrec/ } readdir $d }

is($node->safe_psql('postgres', $ask), $right, 'from a file as from memory');
my ($file) = files();
my $other = do { $node->safe_psql('postgres', $ask =~ s/'a'/'b'/r); (grep { $_ ne $file } files())[0] };
isnt(slurp_file($file), slurp_file($other), 'another model has another image');
is(join(' ', map { -s "$_.seal" } $file, $other), '56 56', 'both are sealed');
my $inode = (stat "$file.seal")[1] . ' ' . (stat _)[9];
is($node->safe_psql('postgres', $ask), $right, 'the next session');
is((stat "$file.seal")[1] . ' ' . (stat _)[9], $inode, 'trusts the seal');

# --- hundreds of damages ---------------------------------------------------

sub write_in_place
{
	my ($path, $at, $bytes) = @_;
	chmod 0600, $path;
	open my $f, '+<:raw', $path or die "$path: $!";
	seek $f, $at, 0;
	print $f $bytes;
	close $f;
	return;
}

sub cut { chmod 0600, $_[0]; truncate $_[0], $_[1] or die $!; return "cut to $_[1]" }

sub flip
{
	my ($path, $at) = @_;
	my $byte = substr slurp_file($path), $at, 1;
	my $bit = 1 << int rand 8;
	write_in_place($path, $at, chr(ord($byte) ^ $bit));
	return "bit $bit of byte $at";
}

my @kinds = (
	sub { flip($file, int rand 64) },
	sub { flip($file, 4096 + int rand 1000) },
	sub { flip($file, 4096 + int rand((-s $file) - 4096)) },
	sub { flip($file, 4096 + int rand((-s $file) - 4096)) },
	sub { flip($file, (-s $file) - 1 - int rand 4096) },
	sub { my $s = -s $file; my @at = (0, 1, 8, 63, 64, 4095, 4096, 4097, 4200, 8192, $s - 1, $s - 4096); cut($file, $at[ rand @at ]) },
	sub { my $s = -s $file; cut($file, int rand $s) },
	sub { my $s = -s $file; cut($file, 4096 * int rand($s / 4096)) },
	sub { cut($file, (-s $file) + 1 + int rand 10000) =~ s/cut/longer:/r },
	sub { my $at = int rand -s $file; my $n = 1 + int rand((-s $file) - $at); write_in_place($file, $at, "\0" x $n); "$n zeros at $at" },
	sub { write_in_place($file, 0, "\0" x -s $file); 'all zeros' },
	sub { write_in_place($file, 4096, join '', map { chr rand 256 } 1 .. (-s $file) - 4096); 'noise' },
	sub { my $o = slurp_file($other); my $s = -s $file; cut($file, length $o); write_in_place($file, 0, $o); 'the other model, written over' },
	sub { unlink $file, "$file.seal"; append_to_file($file, slurp_file($other)); append_to_file("$file.seal", slurp_file("$other.seal")); 'the other model and its seal' },
	sub { my $o = slurp_file($other); write_in_place($file, 4096, substr $o, 4096, (-s $file) - 4096); 'the other model below this one\'s header' },
	sub { my $c = slurp_file($file); unlink $file; substr($c, 4096 + rand(length($c) - 4096), 1) ^= "\x10"; append_to_file($file, $c); 'a copy with another bit' },
	sub { my $c = slurp_file($file); unlink $file; append_to_file($file, $c); 'a copy' },
	sub { flip("$file.seal", int rand 56) . ' of the seal' },
	sub { cut("$file.seal", int rand 56) . ', the seal' },
	sub { unlink "$file.seal"; 'no seal' },
	sub { unlink $file; 'no file' },
	sub { chmod 0, $file; 'not to be read' });

my $long = $node->background_psql('postgres', on_error_stop => 0);
my $short = $node->background_psql('postgres', on_error_stop => 0);
is($long->query($ask), $right, 'a session that has it mapped');
# Damage below the session, which no other session has found: it must notice.
{
	my @s = stat $file;
	write_in_place($file, 4096, "\x55" x ((-s $file) - 4096));
	utime $s[8], $s[9], $file;
	is($long->query($ask), $right, 'it finds out that the file was written over');
}
my $offset = -s $node->logfile;
my (%wrong, %missing);
for my $round (1 .. $rounds)
{
	my @s = -e $file ? stat $file : ();
	my $what = $kinds[$round % @kinds]->();
	# as a disk would, and not a program
	utime $s[8], $s[9], $file if @s && -e $file;
	my @askers = $round / @kinds % 2 ? ($long, $short) : ($short, $long);
	$short->{stdin} .= "\\c\n";
	for my $s (@askers)
	{
		$s->{stderr} = '';
		my $got = eval { $s->query($ask) } || "nothing: $@ $s->{stderr}";
		$got =~ s/^You are now.*\n//;
		$wrong{"$what, " . ($s == $long ? 'mapped' : 'new')} = $got if $got ne $right;
	}
	$missing{$what} = 1 unless -e $file && -e "$file.seal";
	last if %wrong;
}
is(join('; ', map { "$_: $wrong{$_}" } sort keys %wrong), '', "$rounds damages: the same answer always");
is(join('; ', sort keys %missing), '', 'there is a good file after each');
my $told = () = log_since($node, $offset) =~ /LOG:  image .* cannot be used and is built anew/g;
cmp_ok($told, '>', $rounds / 3, "the log tells of $told");
cmp_ok($told, '<=', $rounds, 'once each');
unlike(log_since($node, $offset), qr/terminated by signal|ERROR/, 'no error, no crash');

# --- a file that is cut while it is in use ---------------------------------

for my $threads (1, 2)
{
	my $s = $node->background_psql('postgres', on_error_stop => 0);
	$s->query("SET lbrec.threads = $threads; BEGIN; DECLARE c CURSOR FOR SELECT lbrec_recommend_all(5, 'a')");
	like($s->query('FETCH 1 FROM c'), qr/^\(/, "$threads threads: rows come");
	cut($file, 4096);
	$s->{stderr} = '';
	$s->query('FETCH ALL FROM c');
	like($s->{stderr}, qr/ERROR:  the image of a model could not be read while it was in use/, "$threads threads: cut in the midst of it: an error");
	$s->query('ROLLBACK');
	$s->{stderr} = '';
	is($s->query($ask), $right, "$threads threads: and the same session answers");
	is($s->{stderr}, '', "$threads threads: without an error");
	$s->quit;
}
# removed while it is in use: its session goes on, with no copy of its own
is($long->query($ask), $right, 'mapped');
$inode = (stat $file)[1];
unlink $file, "$file.seal";
is($long->query($ask), $right, 'removed: who has it mapped goes on');
ok(!-e $file, 'without building it again');

# --- no room, no memory ----------------------------------------------------

SKIP:
{
	skip 'there is no prlimit', 10 if system('prlimit --version >/dev/null 2>&1') != 0;
	my $s = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $s->query('SELECT pg_backend_pid()');
	my $limit = sub { return system('prlimit', '--pid', $pid, @_) };
	# a file of this process may have 20,000 bytes: as on a full disk
	is($limit->('--fsize=20000:'), 0, 'a limit of a backend');
	$s->{stderr} = '';
	is($s->query($ask), $right, 'no room for the file: answered from memory');
	like($s->{stderr}, qr/WARNING:  could not write file ".*": .*\nDETAIL:  The model is kept in this session's own memory, \d+ MB/, 'and told');
	$s->{stderr} = '';
	is($s->query($ask =~ s/'a'/'b'/r) ne '', 1, 'another model');
	is($s->query($ask), $right, 'and the same');
	is($s->{stderr}, '', 'told once');
	is(join(' ', grep { $_ !~ /^\Q$other\E/ } map { "$tmp/$_" } entries()), '', 'no part of a file is left');
	$limit->('--fsize=unlimited:');
	$s->quit;
	is($node->safe_psql('postgres', $ask), $right, 'with room again');
	ok(-e $file && -e "$file.seal", 'there is a file');

	# a model of some MB, and no room for it in the address space
	$node->safe_psql('postgres', q{CREATE TABLE large AS SELECT i % 100 AS user_id, to_timestamp(1100000000 + i) AS listened_at, md5(i::text)::uuid AS recording_msid FROM generate_series(1, 20000) AS i;
		SELECT lbrec_train('large', 'large', epochs => 1, settings => '{"embedding_dim": 128, "ensemble": 2, "targets": 1, "history_length": 1}', split => 'none')});
	(my $ask_large = $ask) =~ s/'a'/'large'/;
	for my $how ('to build', 'to map')
	{
		my $s = $node->background_psql('postgres', on_error_stop => 0);
		$pid = $s->query('SELECT pg_backend_pid()');
		$s->query($ask);
		my ($size) = slurp_file("/proc/$pid/status") =~ /^VmSize:\s+(\d+)/m;
		$limit->('--as=' . ($size + 8192) * 1024 . ':');
		for my $again (1, 2)
		{
			$s->{stderr} = '';
			$s->query($ask_large);
			like($s->{stderr}, qr/ERROR:  (out of memory|could not map the image of version 1 of model "large").*DETAIL:  .*needs \d\d+ MB/s, "no memory $how: an error with the need, $again");
		}
		is($s->query($ask), $right, "no memory $how: others answer");
		$limit->('--as=unlimited:');
		$s->{stderr} = '';
		like($s->query($ask_large), qr/^\w{32}$/, "no memory $how: with memory again it answers");
		is($s->{stderr}, '', 'without an error');
		$s->quit;
	}
}
unlike(slurp_file($node->logfile), qr/terminated by signal/, 'no process of the server died');
$long->quit;
$short->quit;
is_well($node, 'at the end');
$node->stop;
done_testing();
