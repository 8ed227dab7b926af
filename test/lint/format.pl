#!/usr/bin/perl
#
# format.pl
#		The look of PostgreSQL's C code, by PostgreSQL's own formatter.
#
#	test/lint/format.pl --check [FILE...]	tell which files differ, exit 1
#	test/lint/format.pl [FILE...]			rewrite them
#
# Without files: all C files of the checkout.  pg_bsd_indent (Debian: package
# pg-bsd-indent) does the work, with the options of PostgreSQL's pgindent and
# a few of pgindent's corrections before and after.  It needs the names of
# types: ours are found in the sources, typedefs.list has the others.  It does
# not know C++: of such files only single lines are checked.
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Find;
use File::Temp;

my $here = dirname(__FILE__);
my $indent = $ENV{PG_BSD_INDENT} || 'pg_bsd_indent';
my @options = qw(-bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 -nfc1
  -i4 -l79 -lp -lpl -nip -npro -sac -tpg -ts4);

my $check = @ARGV && $ARGV[0] eq '--check' && shift;
my @all;
chdir "$here/../.." or die "cannot enter the checkout: $!\n";
find({ no_chdir => 1, wanted => sub { push @all, $_ if /\.(c|h|cpp)$/ } }, 'src', 'test');
my @files = @ARGV ? @ARGV : sort @all;

system("command -v $indent >/dev/null") == 0
  or die "$indent is not installed (Debian: apt-get install pg-bsd-indent)\n";

my $typedefs = File::Temp->new;
print $typedefs map { "$_\n" } sort keys %{ types() };
close $typedefs;

my ($bad, $unreadable) = (0, 0);
for my $file (@files)
{
	my $source = slurp($file);
	my @notes = by_line($source);
	my $wanted = $file =~ /\.cpp$/ ? $source : formatted($file, $source);
	if ($wanted ne $source)
	{
		if ($check) { print "$file: not as make format leaves it\n", difference($file, $wanted) }
		else { spit($file, $wanted); print "$file: formatted\n"; @notes = by_line($wanted) }
	}
	print "$file:$_\n" for @notes;
	$bad++ if @notes || ($check && $wanted ne $source);
}
printf "%d files looked at, %d of them differ, %d unreadable\n", scalar @files, $bad, $unreadable;
exit($bad || $unreadable ? 1 : 0);

# Names that typedef gives in our files, and the listed ones of others.
sub types
{
	my %name = map { $_ => 1 } grep { /^\w+$/ } split /\n/, slurp('test/lint/typedefs.list');
	for my $file (@all)
	{
		my $text = slurp($file);
		$text =~ s!/\*.*?\*/!!gs;
		$name{$1} = 1 while $text =~ /^\}\s*(\w+);/mg;
		$name{$1} = 1 while $text =~ /\btypedef\b[^;{]*?\(\*\s*(\w+)\)\s*\(/g;
		$name{$1} = 1 while $text =~ /\btypedef\s+[^;{}()]*?\b(\w+)(?:\[\w*\])?(?:\s*__attribute__\s*\(\(.*?\)\))?\s*;/g;
	}
	return \%name;
}

sub formatted
{
	my ($file, $text) = @_;

	# A line of dashes in a comment's first line keeps the comment as it is.
	$text =~ s!/\* +---!/*---X_X!g;
	# The braces of extern "C" do not indent what is in them.
	$text =~ s!(^#ifdef[ \t]+__cplusplus.*\nextern[ \t]+"C"[ \t]*\n)\{[ \t]*$!$1/* Open extern "C" */!gm;
	$text =~ s!(^#ifdef[ \t]+__cplusplus.*\n)\}[ \t]*$!$1/* Close extern "C" */!gm;
	# A macro before a loop is no statement.
	$text =~ s!^[ \t]*(LB_UNROLL)$!#pragma $1!gm;
	# Nor does it know 0x1p-24.
	$text =~ s!\b0x([0-9a-f]+)p([-+])(\d+f?)\b!'HEX_' . $1 . ($2 eq '-' ? '_M_' : '_P_') . $3!ge;
	# A list of statements in parentheses it cannot read.
	my $tests = $text =~ s!^(UNIT_MAIN\(.*)\z!!ms ? $1 : '';
	# Byte 0x80 is a mark of its own to it; 0xC0 is in no UTF-8 text.
	$text =~ tr/\x80/\xc0/;

	my $in = File::Temp->new;
	print $in $text;
	close $in;
	my $out = `$indent @options -U$typedefs < $in 2>&1`;
	if ($?)
	{
		my ($why) = $out =~ m!/\*\*INDENT\*\* (.*?) ?\*/!;
		print "$file: $indent does not understand it: " . ($why // $out) . "\n";
		$unreadable++;
		return $_[1];
	}

	$out =~ tr/\xc0/\x80/;
	$out =~ s!\n*\z!\n\n$tests! if $tests ne '';
	$out =~ s!^/\* Open extern "C" \*/$!{!gm;
	$out =~ s!^/\* Close extern "C" \*/$!}!gm;
	$out =~ s!/\*---X_X!/* ---!g;
	# Comments that ran together get a tab between them.
	$out =~ s!\*/(/\*.*\*/)$!*/\t$1!gm;
	$out =~ s!\bHEX_(\w+)_([MP])_(\w+)!'0x' . $1 . 'p' . ($2 eq 'M' ? '-' : '+') . $3!ge;
	1 while $out =~ s!^#pragma (LB_UNROLL)\n(?\!#pragma LB)(\t*)!$2$1\n$2!m;
	$out =~ s!,\.(?=\w+ = )!, .!g;
	$out =~ s!^\t+(__attribute__\(\()!\t$1!gm;
	$out =~ s!^(\w[\w *]*)\n(__attribute__\(\(.*?\)\))\n!$1 $2\n!gm;
	$out =~ s!^(static .*\)\))\n(\w[\w *]*)\n(?=\w+\()!$1 $2\n!gm;
	# One space before the star of a function's type.
	$out =~ s!^([A-Za-z_]\S*)[ \t]+\*$!$1 *!gm;
	return continued($out);
}

# Version 2.1.1 does not indent what continues an initializer on the next
# line; later ones do.  So: outside parentheses, between a line that ends with
# an operator, or is followed by one that begins so, and the semicolon, a tab
# more.
sub continued
{
	my ($out) = @_;
	my @lines = split /\n/, $out, -1;
	my ($in, $depth, $last) = (0, 0, '');
	for my $i (1 .. $#lines)
	{
		my ($before, $line) = map { code($_) } @lines[ $i - 1, $i ];
		$depth += ($before =~ tr/(//) - ($before =~ tr/)//);
		$depth = 0 if $before =~ /^[{}]/ || $depth < 0;
		my $first = $last =~ /(^|[;{}:),]|\belse)$/;
		if (!$in && $first && $depth == 0 && $line ne '' && $before =~ /[^;{}\\]$/)
		{
			my ($was) = $before =~ /^(\t*)/;
			my ($is) = $line =~ /^(\t*)/;
			$in = $was eq $is
			  && $before !~ /^\s*#/ && $line !~ /^\s*[#{]/
			  && ($before =~ m!(=|= \{[^}]*,|\?|&&|\|\||[^+]\+|[^-]-|[\w)] /)$! || $before =~ m!^\t.*[\w)] \*$! || $line =~ m!^\s*(\?|: |&&|\|\||[-+/] )!);
		}
		$lines[$i] = "\t$lines[$i]" if $in && $lines[$i] ne '';
		$in = 0 if $line =~ /;$/;
		$last = $before;
	}
	return join "\n", @lines;
}

# A line without its comments and what its strings say.
sub code
{
	my ($line) = @_;
	$line =~ s!"(?:\\.|[^"\\])*"!""!g;
	$line =~ s!'(?:\\.|[^'\\])*'!''!g;
	$line =~ s!/\*.*?\*/!!g;
	$line =~ s!^\s*/?\*.*!!;
	$line =~ s!\s+$!!;
	return $line;
}

# Rules that hold for C++ too.
sub by_line
{
	my ($text) = @_;
	my ($n, @notes) = (0);
	for my $line (split /\n/, $text)
	{
		$n++;
		push @notes, "$n: blanks at the end of the line" if $line =~ /[ \t]$/;
		push @notes, "$n: carriage return" if $line =~ /\r/;
	}
	push @notes, "$n: no newline at the end of the file" if $text ne '' && $text !~ /\n\z/;
	return @notes;
}

sub difference
{
	my ($file, $wanted) = @_;
	my $new = File::Temp->new;
	print $new $wanted;
	close $new;
	my @diff = split /^/, `diff -u '$file' '$new'`;
	splice @diff, 0, 2;
	my $more = @diff > 40 ? @diff - 40 : 0;
	return join('', map { "\t$_" } @diff[ 0 .. ($more ? 39 : $#diff) ]) . ($more ? "\t... $more lines more\n" : '');
}

sub slurp
{
	my ($path) = @_;
	open my $f, '<:raw', $path or die "$path: $!\n";
	local $/;
	return scalar(<$f>) // '';
}

sub spit
{
	my ($path, $text) = @_;
	open my $f, '>:raw', $path or die "$path: $!\n";
	print $f $text or die "$path: $!\n";
	close $f or die "$path: $!\n";
}
