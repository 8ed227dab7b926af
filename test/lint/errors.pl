# errors.pl
#		docs/errors.md has every message of src/pg, and no others.
#
#	perl test/lint/errors.pl [--list] [SRCDIR DOC]
#	perl test/lint/errors.pl --self-test
#
# A message is the errmsg() of an ereport(), with an ellipsis for each
# conversion; on the page it is a heading of third level, followed by the
# source's name of its SQLSTATE.  --list prints the source's messages.  elog()
# is for what cannot happen and is not documented.
use strict;
use warnings;

sub messages
{
	my ($dir) = @_;
	my %found;
	for my $file (sort glob "$dir/*.c $dir/*/*.c")
	{
		open my $f, '<', $file or die "$file: $!";
		local $/;
		my $text = <$f>;
		$text =~ s{/\*.*?\*/}{}gs;
		# an ereport ends at its own closing parenthesis and semicolon
		while ($text =~ /\bereport\s*\((ERROR|WARNING|NOTICE|FATAL)\s*,(.*?)\)\s*\)\s*;/gs)
		{
			my ($level, $body) = ($1, $2);
			my ($code) = $body =~ /errcode\s*\(\s*ERRCODE_(\w+)/;
			my @format = $body =~ /errmsg(?:_plural)?\s*\(((?:\s*"(?:[^"\\]|\\.)*")+)/g;
			for my $format (@format)
			{
				my $message = join '', $format =~ /"((?:[^"\\]|\\.)*)"/g;
				$message =~ s/\\"/"/g;
				$message =~ s/%%/\0/g;
				$message =~ s/%[-+0 #.*\d]*(?:ll|l|z|h)?[a-zA-Z]/…/g;
				$message =~ s/\0/%/g;
				my $state = lc($code || ($level eq 'ERROR' ? 'internal_error' : 'none'));
				$found{$message} = join '` or `',
				  sort keys %{ { map { $_ => 1 } $state, split /` or `/, $found{$message} || $state } };
			}
		}
	}
	return \%found;
}

sub documented
{
	my ($doc) = @_;
	my (%found, $last);
	open my $f, '<', $doc or die "$doc: $!";
	while (<$f>)
	{
		if (/^### (.*)$/)
		{
			$last = $1;
			warn "twice: $last\n" if exists $found{$last};
			$found{$last} = '';
		}
		elsif (/^#/)
		{
			undef $last;
		}
		elsif (defined $last && /^`([\w` ]+)`\./ && $found{$last} eq '')
		{
			$found{$last} = $1;
		}
	}
	return \%found;
}

sub check
{
	my ($dir, $doc) = @_;
	my ($source, $page) = (messages($dir), documented($doc));
	my $bad = 0;
	for (sort keys %$source)
	{
		if (!exists $page->{$_})
		{
			print "$doc lacks: ### $_\n`$source->{$_}`.\n";
			$bad++;
		}
		elsif ($page->{$_} ne $source->{$_})
		{
			print "$doc: \"$_\" has `$page->{$_}`, the source $source->{$_}\n";
			$bad++;
		}
	}
	for (sort keys %$page)
	{
		next if exists $source->{$_};
		print "$doc: not in the source: $_\n";
		$bad++;
	}
	print "errors: none of " . keys(%$source) . " messages is missing\n" unless $bad;
	return $bad;
}

sub self_test
{
	my $dir = `mktemp -d`;
	chomp $dir;
	my $put = sub { open my $f, '>', "$dir/$_[0]" or die; print $f $_[1]; close $f };
	my $source = qq{ereport(ERROR,\n(errcode(ERRCODE_A_B),\n errmsg("k is %d, "\n"of \\"%s\\"", k, f(x)),\n errhint("Do.")));\n};
	my $page = qq{### k is …, of "…"\n\n`a_b`. Why.\n};
	my @wrong;
	my $run = sub {
		my ($what, $want, $c, $md) = @_;
		$put->('a.c', $c);
		$put->('a.md', $md);
		my $out;
		{
			open my $keep, '>&', \*STDOUT or die;
			close STDOUT;
			open STDOUT, '>', \$out or die;
			push @wrong, $what if !!check($dir, "$dir/a.md") != $want;
			close STDOUT;
			open STDOUT, '>&', $keep or die;
		}
	};
	$run->('what is right', 0, $source, $page);
	$run->('a message without a heading', 1, $source, '');
	$run->('a heading without a message', 1, '', $page);
	$run->('another SQLSTATE', 1, $source, $page =~ s/a_b/a_c/r);
	$run->('another text', 1, $source =~ s/k is/l is/r, $page);
	system 'rm', '-r', $dir;
	print @wrong ? "errors: the check was wrong on $_\n" : () for @wrong;
	print "errors: each difference was told\n" unless @wrong;
	return scalar @wrong;
}

binmode STDOUT;
if (@ARGV && $ARGV[0] eq '--self-test')
{
	exit !!self_test();
}
my $list = @ARGV && $ARGV[0] eq '--list' && shift @ARGV;
my ($dir, $doc) = (@ARGV, 'src/pg', 'docs/errors.md')[0, 1];
($dir, $doc) = @ARGV == 2 ? @ARGV : @ARGV == 1 ? ($ARGV[0], 'docs/errors.md') : ('src/pg', 'docs/errors.md');
if ($list)
{
	my $m = messages($dir);
	print "$_\t$m->{$_}\n" for sort keys %$m;
	exit 0;
}
exit !!check($dir, $doc);
