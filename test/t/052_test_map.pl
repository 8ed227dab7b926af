# docs/contributing.md maps each function and view to its tests: the catalogue,
# the map and the files agree, and each TAP test has a number of its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my @regress = map { m{([^/]+)\.sql$} } glob "$top/test/sql/*.sql";
my @tap = map { m{([^/]+)$} } glob "$top/test/t/*";

# Functions and views of the map, each with the files of its row.
sub read_map
{
	my ($page) = @_;
	my %map;
	my ($table) = $page =~ /^(\| function or view .*?)\n\n/ms or die "contributing.md has no map";
	for my $row (split /\n/, $table)
	{
		my (undef, $names, $sql, $tap) = split /\|/, $row;
		for my $name ($names =~ /`(lbrec_\w+)`/g)
		{
			push @{ $map{$name} }, (map { "sql/$_.sql" } $sql =~ /`(\w+)`/g), (map { "t/$_.pl" } $tap =~ /`(\w+)`/g);
		}
	}
	return \%map;
}

# The complaints about a map of these objects; $text gives a file's text.
sub complaints
{
	my ($map, $objects, $text) = @_;
	my @told;
	for my $name (sort keys %$objects)
	{
		push @told, "$name has no test" unless $map->{$name} && @{ $map->{$name} };
	}
	for my $name (sort keys %$map)
	{
		push @told, "$name is no object of the extension" unless $objects->{$name};
		for my $file (@{ $map->{$name} })
		{
			my $s = $text->($file);
			push @told, !defined $s ? "there is no test/$file, the test of $name" : "test/$file does not use $name"
			  unless defined $s && $s =~ /\b$name\b/;
		}
	}
	return @told;
}

# The complaints about names of TAP files.
sub misnamed
{
	my (%of, @told);
	for my $file (@_)
	{
		if ($file !~ /^(\d{3})_\w+\.pl$/) { push @told, "$file is not named NNN_feature.pl" }
		elsif ($of{$1}) { push @told, "$file has the number of $of{$1}" }
		else { $of{$1} = $file }
	}
	return @told;
}

sub text { my $f = "$top/test/$_[0]"; return -e $f ? slurp_file($f) : undef }

my $node = new_cluster('map');
my %objects = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', q{
	SELECT p.proname FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
	WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'lbrec') AND p.proname LIKE 'lbrec\_%'
	UNION
	SELECT c.relname FROM pg_class AS c JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
	WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'lbrec') AND c.relkind = 'v'});
cmp_ok(scalar keys %objects, '>', 20, scalar(keys %objects) . ' functions and views');
my $page = slurp_file("$top/docs/contributing.md");
my $map = read_map($page);
is(join("\n", complaints($map, \%objects, \&text)), '', 'the map, the catalogue and the tests agree');
is(join("\n", misnamed(@tap)), '', 'each TAP test has a number of its own');
my %mapped = map { $_ => 1 } map { @$_ } values %$map;
is(join(' ', grep { !$mapped{"sql/$_.sql"} && $page !~ /T=$_`/ } @regress), '', 'each regress test is in the map or beside it');

# It can fail.
my ($head) = $page =~ /^(\| function or view .*?\n)/m;
my %one = (lbrec_explain => 1);
for my $case (
	[ '| `lbrec_explain` | `explain` | |', '', 'a row that is right' ],
	[ '| `lbrec_explain` | | |', 'lbrec_explain has no test', 'a function without a test' ],
	[ '| `lbrec_tune` | `tune` | |', "lbrec_explain has no test\nlbrec_tune is no object of the extension", 'a row that is missing, and one too many' ],
	[ '| `lbrec_explain` | `explains` | |', 'there is no test/sql/explains.sql, the test of lbrec_explain', 'a file that is missing' ],
	[ '| `lbrec_explain` | `tune` | |', 'test/sql/tune.sql does not use lbrec_explain', 'a file that tests something else' ])
{
	my ($row, $told, $name) = @$case;
	is(join("\n", complaints(read_map("$head$row\n\n"), \%one, \&text)), $told, "told: $name");
}
is(join("\n", misnamed('001_a.pl', '001_b.pl', '002_c.t')), "001_b.pl has the number of 001_a.pl\n002_c.t is not named NNN_feature.pl", 'told: names of files');
$node->stop;
done_testing();
