# pg_dump and pg_restore of a database with models, in every format: answers,
# models' numbers and rights are the same afterwards, and sequences continue.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_cluster('dump');
make_listens($node, 50, 100, 20);
$node->safe_psql('postgres', q{
	CREATE ROLE reader;
	GRANT USAGE ON SCHEMA lbrec TO reader;
	GRANT SELECT ON ALL TABLES IN SCHEMA lbrec TO reader;
	GRANT SELECT ON lbrec_models TO reader;
	SELECT lbrec_train('a', epochs => 1);
	SELECT lbrec_train('a', epochs => 2);
	SELECT lbrec_train('"quoted" \\ name''s', 'SELECT user_id, listened_at, recording_msid, artist FROM listen', epochs => 1);
	SELECT lbrec_train('a', epochs => 3);
	SELECT lbrec_record_evaluation('a', version => 2);
	SELECT lbrec_drop_model('a', 2);
	SELECT lbrec_activate('a', 1)});
my $rows = q{SELECT m::text FROM lbrec.model AS m ORDER BY id;
	SELECT e::text FROM lbrec.epoch AS e ORDER BY model, epoch;
	SELECT v::text FROM lbrec.evaluation AS v ORDER BY id;
	SELECT md5(string_agg(t::text, ' ' ORDER BY model, name COLLATE "C", chunk)) FROM lbrec.tensor AS t};
my $before = $node->safe_psql('postgres', $rows);
my $answer = answer($node, undef);
my $dir = $node->basedir;

for my $format ('plain', 'custom', 'directory', 'plain --inserts', 'plain --clean --if-exists')
{
	(my $db = "to_$format") =~ tr/a-z_/_/cs;
	my @format = split / /, $format;
	my $file = "$dir/$db.dump";
	$node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', $file, '-F', @format ], "$format: dumped");
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	if ($format[0] eq 'plain')
	{
		$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $db, '-f', $file ], "$format: restored");
	}
	else
	{
		$node->command_ok([ 'pg_restore', '-e', '-d', $db, $file ], "$format: restored");
	}
	is($node->safe_psql($db, $rows), $before, "$format: the same rows");
	is(answer($node, undef, db => $db), $answer, "$format: the same answers");
	is($node->safe_psql($db, q{SET ROLE reader; SELECT count(*) FROM lbrec_recommend(1, 5)}), '5', "$format: who could read can");
	is($node->safe_psql($db, q{SELECT lbrec_train('a', epochs => 1);
			SELECT version || ' ' || (id > (SELECT max(id) FROM lbrec.model WHERE version < 4)) || ' ' || (SELECT active FROM lbrec_models WHERE name = 'a' AND version = 4)
			FROM lbrec.model WHERE name = 'a' ORDER BY version DESC LIMIT 1}) =~ s/.*\n//sr,
		'4 true true', "$format: numbers go on");
}

# data only, into a database that has the extension; schema only, without models
$node->command_ok([ 'pg_dump', '-d', 'postgres', '-s', '-f', "$dir/schema.sql" ], 'schema only: dumped');
$node->safe_psql('postgres', 'CREATE DATABASE schema_only');
$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', 'schema_only', '-f', "$dir/schema.sql" ], 'schema only: restored');
is($node->safe_psql('schema_only', 'SELECT count(*) FROM lbrec_models'), '0', 'schema only: no models');
$node->command_ok([ 'pg_dump', '-d', 'postgres', '-a', '-t', 'lbrec.*', '-t', 'listen', '-f', "$dir/data.sql" ], 'data only: dumped');

# a cluster's dump
$node->command_ok([ 'pg_dumpall', '-f', "$dir/all.sql" ], 'pg_dumpall');
my $other = new_cluster('other', bare => 1);
$other->command_ok([ 'psql', '-XqAt', '-d', 'postgres', '-f', "$dir/all.sql" ], 'pg_dumpall: restored');
is($other->safe_psql('postgres', $rows), $before, 'pg_dumpall: the same rows');
is(answer($other, undef), $answer, 'pg_dumpall: the same answers');
$other->stop;

# extension in a schema of its own, and a database whose name needs quotes
$node->safe_psql('postgres', 'CREATE DATABASE "a ""b"" \'c\'"');
$node->safe_psql('a "b" \'c\'', q{CREATE SCHEMA "My Schema"; CREATE EXTENSION lbrec SCHEMA "My Schema"});
is($node->safe_psql('a "b" \'c\'', q{CREATE TABLE listen AS SELECT i % 9 AS user_id, now() AS listened_at, md5((i % 20)::text)::uuid AS recording_msid FROM generate_series(1, 200) AS i;
	SELECT count(*) FROM "My Schema".lbrec_train('x', epochs => 1); SELECT count(*) FROM "My Schema".lbrec_recommend(1, 5); SELECT count(*) FROM "My Schema".lbrec_models}), "1\n5\n1", 'in a schema of its own');

# a template database gives copies with models
$node->safe_psql('postgres', 'CREATE DATABASE clone TEMPLATE to_custom');
is($node->safe_psql('clone', q{SELECT count(*) FROM lbrec_recommend(1, 5)}), '5', 'a copied database serves');

is_well($node, 'at the end');
$node->stop;
done_testing();
