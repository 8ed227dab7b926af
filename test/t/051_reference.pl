# docs/reference.md against the catalogue: every function, view, table and
# setting of the extension has its section, with the arguments, columns and
# defaults that it really has, and a COMMENT that names nothing else.
#
# How the page tells the arguments of a function, in the section of its name:
#
#	`lbrec_score(user_id bigint, model text DEFAULT NULL) → real[]`
#
# or a table whose first column is "argument" and whose second is "default".
# There code and numbers must be the default of the catalogue; words stand for
# NULL; nothing for no default.  The table of settings, in the section of
# lbrec_train, is the view lbrec_settings, row by row: what it should be is
# printed if it differs.  Columns of the result only need to be named in the
# section.
# Functions of schema lbrec are not for people: no section.
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));
use Encode ();
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = Encode::decode('UTF-8', slurp_file("$FindBin::Bin/../../docs/reference.md"));
my $node = new_cluster('reference');
make_listens($node, 30, 40, 20);

sub rows { return map { [ split /\t/, $_, -1 ] } split /\n/, $node->safe_psql('postgres', "LOAD 'lbrec'; COPY ($_[0]) TO STDOUT") =~ s/\\\\/\\/gr }

my $members = q{FROM pg_depend AS d JOIN pg_extension AS x ON d.refobjid = x.oid AND x.extname = 'lbrec' AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass};

# --- the catalogue ---------------------------------------------------------

# name => { args => [[name, type, default]], outs => [...], internal }
sub plain_default
{
	my ($text) = @_;
	return '' if $text eq '';
	1 while $text =~ s/::[\w ]+(\[\])?$//;
	return $text;
}

my %function;
for (rows(qq{SELECT p.oid, p.proname, p.pronamespace = 'lbrec'::regnamespace $members JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid ORDER BY 2, 1}))
{
	my ($oid, $name, $internal) = @$_;
	my $f = { internal => $internal eq 't', args => [], outs => [] };
	for (rows(qq{SELECT coalesce(p.proargmodes[n], 'i'), p.proargnames[n], format_type(coalesce(p.proallargtypes[n], p.proargtypes[n - 1]), NULL), coalesce(pg_get_function_arg_default(p.oid, n), '')
		FROM pg_proc AS p, generate_series(1, coalesce(array_length(p.proallargtypes, 1), p.pronargs)) AS n WHERE p.oid = $oid ORDER BY n}))
	{
		my ($mode, $arg, $type, $default) = @$_;
		$type =~ s/timestamp with time zone/timestamptz/;
		if ($mode eq 'o' || $mode eq 't') { push @{ $f->{outs} }, $arg }
		else { push @{ $f->{args} }, [ $arg, $type, plain_default($default) ] }
	}
	# of functions with one name the first is checked against a signature
	push @{ $function{$name} }, $f;
}
my %relation = map { $_->[0] => [ split /,/, $_->[1] ] } rows(qq{
	SELECT c.oid::regclass, (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
	$members JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND c.relkind IN ('r', 'v', 'm', 'p')});
my %setting = map { $_->[0] => $_->[1] } rows(q{SELECT name, current_setting(name) FROM pg_settings WHERE name LIKE 'lbrec.%'});

# Every column of a table or view says what it is, so \d+ does.
sub silent_columns
{
	return sql_list(qq{SELECT c.oid::regclass || '.' || a.attname $members JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND c.relkind IN ('r', 'v', 'm', 'p')
		JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE coalesce(col_description(c.oid, a.attnum), '') !~ '\\w' ORDER BY 1});
}
sub sql_list { return join ' ', map { $_->[0] } rows($_[0]) }
is(silent_columns(), '', 'every column has a comment');
$node->safe_psql('postgres', 'COMMENT ON COLUMN lbrec.epoch.mrr IS NULL');
is(silent_columns(), 'lbrec.epoch.mrr', 'and one without is told');

# --- the page --------------------------------------------------------------

sub sections
{
	my ($text) = @_;
	my (%section, $name);
	my $code = 0;
	for (split /^/, $text)
	{
		$code = !$code if /^\s*```/;
		if (!$code && /^#{2,3} (.*?)\s*$/)
		{
			$name = $1 =~ s/`//gr;
			$section{$name} = '';
		}
		elsif (defined $name)
		{
			$section{$name} .= $_;
		}
	}
	return %section;
}

# Rows of the tables of a section whose head begins with that word.
sub table
{
	my ($text, $head) = @_;
	my (@rows, $in);
	for (split /\n/, $text)
	{
		if (/^\|/)
		{
			my $line = s/^\|\s*|\s*\|\s*$//gr;
			my @cells = map { s/^\s+|\s+$//gr } split /(?<!\\)\|/, $line, -1;
			if (!defined $in) { $in = $cells[0] eq $head ? 1 : 0 }
			elsif ($in && $line !~ /^[-\s|]+$/) { push @rows, \@cells }
		}
		else { undef $in }
	}
	return @rows;
}

# "`a`, `b`" as names; what they have in common with "x, y" of values.
sub names { return $_[0] =~ /`([^`]+)`/g }

sub split_args
{
	my ($text) = @_;
	my (@args, $depth);
	my $now = '';
	while ($text =~ /('(?:[^']|'')*'|[\[({]|[\])}]|,|[^'\[({\])},]+)/g)
	{
		my $t = $1;
		$depth++ if $t =~ /^[\[({]$/;
		$depth-- if $t =~ /^[\])}]$/;
		if ($t eq ',' && !$depth) { push @args, $now; $now = '' }
		else { $now .= $t }
	}
	push @args, $now if $now =~ /\S/;
	return map { s/\s+/ /gr =~ s/^ | $//gr } @args;
}

# Finds the faults in the section of a function.
sub function_faults
{
	my ($name, $f, $text) = @_;
	my @wrong;
	my %arg = map { $_->[0] => $_ } @{ $f->{args} };
	my @rows = table($text, 'argument');
	if (@rows)
	{
		my %seen;
		for my $row (@rows)
		{
			for my $n (names($row->[0]))
			{
				$seen{$n}++ and push @wrong, "\"$n\" is told twice";
				my $default = $row->[1];
				if (!$arg{$n})
				{
					push @wrong, "has no argument \"$n\"";
					next;
				}
				my $told = $default =~ /^`(.*)`$/ ? $1 : $default =~ /^-?[\d.]+$/ ? $default : $default eq '' ? '' : 'NULL';
				push @wrong, "default of \"$n\" is " . ($arg{$n}[2] eq '' ? 'none' : $arg{$n}[2]) . ", told: $default" if $told ne $arg{$n}[2];
			}
		}
		push @wrong, map { "lacks its argument \"$_\"" } grep { !$seen{$_} } map { $_->[0] } @{ $f->{args} };
	}
	elsif ($text =~ /`\Q$name\E\(([^`]*)\)(?:\s*→\s*[^`]*)?`/)
	{
		my @told = split_args($1);
		my @is = map { join ' ', $_->[0], $_->[1], $_->[2] eq '' ? () : "DEFAULT $_->[2]" } @{ $f->{args} };
		push @wrong, "is\n  $name(" . join(', ', @is) . ")\ntold:\n  $name(" . join(', ', @told) . ')' if "@told" ne "@is";
	}
	else
	{
		push @wrong, 'has neither a signature nor a table of arguments';
	}
	my $all = $text =~ s/```.*?```//gsr;
	push @wrong, map { "does not name its column \"$_\"" } grep { $all !~ /(?:`|→[^`]*?\b|`[^`]*?\b)\Q$_\E\b/ } @{ $f->{outs} };
	return @wrong;
}

sub relation_faults
{
	my ($columns, $text) = @_;
	my @told = map { names($_->[0]) } table($text, 'column');
	my (%is, %told);
	@is{@$columns} = ();
	@told{@told} = ();
	return ((map { "lacks its column \"$_\"" } grep { !exists $told{$_} } @$columns), map { "has no column \"$_\"" } grep { !exists $is{$_} } @told);
}

# The rows of the table of settings, as they should be.
my @rows = map { $_->[0] } rows(q{SELECT format('| `%s` | %s | %s | %s | %s |', name, default_value, paper_value, allowed, meaning) FROM lbrec_settings});
cmp_ok(scalar @rows, '>', 40, 'rows of lbrec_settings');
sub setting_faults
{
	my ($text) = @_;
	my @told = $text =~ /^\| setting \|.*\n\| ---.*\n((?:\|.*\n)+)/m ? split(/\n/, $1) : ();
	return (join("\n", @told) eq join("\n", @rows)) ? () : join("\n", 'the table of settings should be', @rows);
}

# A training records the settings that the view tells.
for my $preset ('paper', 'default')
{
	$node->safe_psql('postgres', "SELECT lbrec_train('$preset', 'SELECT user_id, listened_at, recording_msid, artist AS artist_name FROM listen', preset => '$preset')");
	is($node->safe_psql('postgres', qq{SELECT string_agg(s.name || ': ' || (m.config #> ARRAY['options', s.name]), ', ')
		FROM lbrec.model AS m, lbrec_settings AS s WHERE m.name = '$preset' AND s.name <> 'temperature'
		AND m.config #> ARRAY['options', s.name] IS DISTINCT FROM s.${preset}_value}), '', "settings of preset $preset");
}

# lbrec_models fits a screen of 130 columns.
my $seen = $node->safe_psql('postgres', 'SELECT * FROM lbrec_models', extra_params => [ '-A', '-P', 'format=aligned', '-P', 'tuples_only=off' ]);
my ($widest) = sort { $b <=> $a } map { length } split /\n/, $seen;
like($seen, qr/^\s*name\s*\|\s*version.*\n-.*\n\s*default/, 'lbrec_models as a table');
cmp_ok($widest, '<=', 130, 'which fits a screen');

sub all_faults
{
	my ($page, $functions, $relations, $settings) = @_;
	my %section = sections($page);
	my @wrong;
	for my $name (sort keys %$functions)
	{
		my ($f) = grep { !$_->{internal} } @{ $functions->{$name} } or next;
		if (!defined $section{$name}) { push @wrong, "$name: no section" }
		else { push @wrong, map { "$name: $_" } function_faults($name, $f, $section{$name}) }
	}
	for my $name (sort keys %$relations)
	{
		if (!defined $section{$name}) { push @wrong, "$name: no section" }
		else { push @wrong, map { "$name: $_" } relation_faults($relations->{$name}, $section{$name}) }
	}
	push @wrong, setting_faults($section{lbrec_train} // '');
	push @wrong, map { "$_: it is not in the extension" } grep { /^lbrec[_.]/ && !$functions->{$_} && !$relations->{$_} } sort keys %section;
	my %told = map { my @r = @$_; map { $_ => $r[1] =~ s/`//gr } names($r[0]) } table($section{Settings} // '', 'setting');
	for my $s (sort keys %$settings)
	{
		push(@wrong, "$s: not among the settings"), next if !defined $told{$s};
		push @wrong, "$s: default is $settings->{$s}, told: $told{$s}" if $told{$s} ne $settings->{$s};
	}
	push @wrong, map { "$_: no such setting" } grep { !defined $settings->{$_} } sort keys %told;
	return @wrong;
}

cmp_ok(scalar keys %function, '>', 14, 'functions');
cmp_ok(scalar keys %relation, '>', 4, 'tables and views');
cmp_ok(scalar keys %setting, '>', 5, 'settings');
is(join("\n", all_faults($page, \%function, \%relation, \%setting)), '', 'docs/reference.md tells what is there');

# Each kind of difference is found.
{
	my $told = sub {
		my ($what, $page, $functions, $relations, $settings, $like) = @_;
		like(join("\n", all_faults($page, $functions, $relations, $settings)), $like, "told: $what");
	};
	my $change = sub {
		my ($what, $from, $to, $like) = @_;
		my $p = $page;
		$p =~ s/$from/my $one = $1; $to =~ s{\{1\}}{$one}r/e or return fail("told: $what: the page has no $from");
		$told->($what, $p, \%function, \%relation, \%setting, $like);
	};
	$change->('a function without a section', qr/^## lbrec_score$/m, '## score', qr/^lbrec_score: no section$/m);
	$change->('a view without a section', qr/^## lbrec_progress$/m, '## progress', qr/^lbrec_progress: no section$/m);
	$change->('a table without a section', qr/^### lbrec\.tensor$/m, '### tensors', qr/^lbrec\.tensor: no section$/m);
	$change->('a setting that is missing', qr/`lbrec\.spool_mem`/, '`lbrec.spool`', qr/^lbrec\.spool_mem: not among the settings\nlbrec\.spool: no such setting$/m);
	$change->('another default of a setting', qr/(`lbrec\.spool_mem` \| )1GB/, '{1}2GB', qr/^lbrec\.spool_mem: default is 1GB, told: /m);
	$change->('an argument too many', qr/(`per_artist`) \|/, '{1}, `per_album` |', qr/^lbrec_recommend: has no argument "per_album"$/m);
	$change->('an argument too few', qr/^\| `per_artist` .*\n/m, '', qr/^lbrec_recommend: lacks its argument "per_artist"$/m);
	$change->('another default', qr/(\| `k` \| )10/, '{1}11', qr/^lbrec_recommend: default of "k" is 10, told: .*11$/m);
	$change->('another signature', qr/(lbrec_score\(user_id) bigint/, '{1} integer', qr/^lbrec_score: is\n/m);
	$change->('another preset', qr/(\| `epochs` \| )20/, '{1}31', qr/^the table of settings should be\n.*^\| `epochs` \| 20 \|/ms);
	$change->('a setting too few', qr/^\| `clip_norm` .*\n/m, '', qr/^the table of settings should be$/m);
	$change->('a column of a result', qr/`mean_popularity`/, '`popularity`', qr/^lbrec_evaluate: does not name its column "mean_popularity"$/m);
	$change->('a column of a table', qr/\| `crc32c` /, '| `crc` ', qr/^lbrec\.tensor: lacks its column "crc32c"\nlbrec\.tensor: has no column "crc"$/m);
	$told->('what is gone', $page, { map { $_ => $function{$_} } grep { $_ ne 'lbrec_score' } keys %function }, \%relation, \%setting, qr/^lbrec_score: it is not in the extension$/m);
}

# --- COMMENTs --------------------------------------------------------------

# Words with an underscore in a COMMENT are names; names of what?  Beside the
# extension's own: columns of a query of listens, values, PostgreSQL's.
my %known = map { $_ => 1 } keys %function, keys %relation, keys %setting, (map { @$_ } values %relation), qw(user_id listened_at recording_msid most_played pg_stat_activity pg_dump);
sub comment_faults
{
	my ($what, $comment, @names) = @_;
	return "$what: no COMMENT" if $comment eq '';
	my %here = map { $_ => 1 } @names;
	return map { "$what: its COMMENT names \"$_\", which is nowhere" } grep { !$known{$_} && !$here{$_} } $comment =~ /\b([a-z][a-z0-9]*(?:_[a-z0-9]+)+)\b/g;
}
my @wrong;
for (rows(qq{SELECT pg_describe_object(d.classid, d.objid, 0), coalesce(replace(obj_description(d.objid, (SELECT relname FROM pg_class WHERE oid = d.classid)), E'\\n', ' '), ''),
	CASE WHEN d.classid = 'pg_proc'::regclass THEN (SELECT proname FROM pg_proc WHERE oid = d.objid) ELSE '' END
	$members WHERE NOT (d.classid = 'pg_class'::regclass AND (SELECT relkind FROM pg_class WHERE oid = d.objid) = 'S' AND EXISTS (
		SELECT FROM pg_depend AS i WHERE i.classid = 'pg_class'::regclass AND i.objid = d.objid AND i.deptype = 'i'))
	AND d.classid <> 'pg_type'::regclass AND d.classid <> 'pg_cast'::regclass ORDER BY 1}))
{
	my ($what, $comment, $name) = @$_;
	push @wrong, comment_faults($what, $comment, map { ((map { $_->[0] } @{ $_->{args} }), @{ $_->{outs} }) } @{ $function{$name} || [] });
}
is(join("\n", @wrong), '', 'every COMMENT is there and names what is there');
like(join('', comment_faults('x', '')), qr/no COMMENT/, 'told: a missing COMMENT');
like(join('', comment_faults('x', 'needs model_name', 'model')), qr/names "model_name"/, 'told: a COMMENT of an argument that is not there');
is(join('', comment_faults('x', 'exclude_listened leaves out, see lbrec_models', 'exclude_listened')), '', 'nothing is told of a COMMENT that is right');

is_well($node, 'at the end');
$node->stop;
done_testing();
