# The new library under SQL of another version: each function of the extension
# declared without arguments, with one too few and one too many, and with a
# column too few and too many, is called.  None may crash; missing arguments and
# unknown columns are errors that name both versions, with a hint.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($version) = slurp_file("$FindBin::Bin/../../lbrec.control") =~ /^default_version = '(.*)'/m;
my $node = new_cluster('declared');
make_listens($node, 20, 50, 10);
$node->safe_psql('postgres', q{SELECT lbrec_train('a', epochs => 1, settings => '{"embedding_dim": 8}', layers => '{8}');
	CREATE SCHEMA stale});

# name, arguments, columns, symbol, result of each function callable from SQL
my @functions = map { [ split /\|/, $_, -1 ] } split /\n/, $node->safe_psql('postgres', q{
	SELECT proname, (SELECT string_agg(quote_ident(n) || ' ' || format_type(t, NULL), ', ' ORDER BY i)
			FROM unnest(p.proargtypes::oid[], p.proargnames[1:pronargs]) WITH ORDINALITY AS u (t, n, i)),
		(SELECT string_agg('OUT ' || quote_ident(n) || ' ' || format_type(t, NULL), ', ' ORDER BY i)
			FROM unnest(proallargtypes, proargnames, proargmodes) WITH ORDINALITY AS u (t, n, m, i) WHERE m IN ('o', 't')),
		prosrc, CASE WHEN proretset THEN 'SETOF ' ELSE '' END || format_type(prorettype, NULL)
	FROM pg_proc AS p JOIN pg_depend AS d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
	JOIN pg_language AS l ON l.oid = prolang AND lanname = 'c'
	WHERE NOT 'internal'::regtype = ANY (p.proargtypes::oid[] || p.prorettype) AND probin ~ 'lbrec' ORDER BY 1});
cmp_ok(scalar @functions, '>', 12, scalar(@functions) . ' functions');

my $lost = qr/server closed|terminated|connection to server was lost/;

# Declares the function this way and calls it; returns the result.
sub call
{
	my ($f, $arguments, $columns) = @_;
	my ($name, undef, undef, $symbol, $result) = @$f;
	my @all = (@$arguments, @$columns);
	my $values = join ', ', map {
		my ($n, $t) = /^("[^"]+"|\S+) (.*)/;
		$n =~ /^(model|name)$/ ? "'a'" : $n eq 'user_id' ? '1' : $n eq 'recording' ? q{md5('recording 3')::uuid} :
		  $n eq 'epochs' ? '1' : $n eq 'listens' ? q{'listen'} : $n eq 'preset' ? q{'default'} : "NULL::$t"
	} @$arguments;
	my ($out, $err) = ('', '');
	$node->psql('postgres', "SET client_min_messages = warning; DROP SCHEMA stale CASCADE; CREATE SCHEMA stale;
		CREATE FUNCTION stale.$name(" . join(', ', @all) . ") RETURNS " . (@$columns == 1 ? $result =~ s/record$/($columns->[0] =~ m{^OUT \S+ (.*)})[0]/er : $result) . " LANGUAGE c AS '\$libdir/lbrec', '$symbol';
		SELECT count(*) FROM stale.$name($values)", stdout => \$out, stderr => \$err, on_error_stop => 1);
	return $err || $out;
}

for my $as ($version, '0.0.1')
{
	# as after a new package, before ALTER EXTENSION
	$node->safe_psql('postgres', "UPDATE pg_extension SET extversion = '$as' WHERE extname = 'lbrec'");
	my $like = $as eq $version ?
	  qr/is not declared as lbrec \Q$version\E declares it/ :
	  qr/the library is of lbrec \Q$version\E but the extension's SQL is of 0\.0\.1.*HINT:  Run ALTER EXTENSION lbrec UPDATE/s;
	for my $f (@functions)
	{
		my ($name, $arguments, $columns) = @$f;
		my @arguments = split /, /, $arguments;
		my @columns = split /, /, $columns;
		like(call($f, [], \@columns), $like, "$as: $name without arguments") if @arguments;
		unlike(call($f, [ @arguments[0 .. $#arguments - 1] ], \@columns), $lost, "$as: $name with an argument less") if @arguments;
		like(call($f, [ @arguments, 'one_more text' ], \@columns), $like, "$as: $name with an argument more");
		next if @columns < 2;
		unlike(call($f, \@arguments, [ @columns[0 .. $#columns - 1] ]), $lost, "$as: $name with a column less");
		like(call($f, \@arguments, [ @columns, 'OUT one_more text' ]), $like, "$as: $name with a column more");
	}
}
# Other libraries in the server's processes see nothing else of this one.
SKIP:
{
	my $library = $node->safe_psql('postgres', q{SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR'}) . '/lbrec.so';
	my @seen = split /\n/, `nm -D --defined-only $library 2>/dev/null`;
	skip 'no nm', 1 unless @seen;
	my %called = map { $_->[3] => 1 } @functions;
	is(join(' ', grep { !$called{$_} } map { /(\w+)$/ } @seen) =~ s/\bpg_finfo_(\w+)/$called{$1} ? '' : "pg_finfo_$1"/ger =~ s/ +/ /gr =~ s/ $//r, 'Pg_magic_func _PG_init lbrec_planner_support pg_finfo_lbrec_planner_support',
		'the library shows what SQL calls and no more');
}
is_well($node, 'at the end');
$node->stop;
done_testing();
