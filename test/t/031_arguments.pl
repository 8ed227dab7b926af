# Hostile arguments: calls every function of the extension with every argument
# at its extremes, one at a time and at random, with NULL.  Each gives an answer
# or a user error; never a crash, an internal error or unexpected memory.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = defined $ENV{LBREC_FUZZ} ? $ENV{LBREC_FUZZ} : 1500;
my $seed = defined $ENV{LBREC_SEED} ? $ENV{LBREC_SEED} : time % 100000;
srand $seed;
diag("seed: LBREC_SEED=$seed, random calls: LBREC_FUZZ=$rounds");

my $node = new_cluster('arguments', settings => "statement_timeout = 4s\n");
make_listens($node, 20, 50, 10);
$node->safe_psql('postgres', q{
	SELECT lbrec_train('a', epochs => 1, settings => '{"embedding_dim": 8}', layers => '{8}');
	CREATE TABLE "a ""quoted"" 'name'" AS SELECT * FROM listen;
	CREATE TABLE empty AS SELECT * FROM listen WHERE false;
	CREATE TABLE hostile (user_id bigint, listened_at timestamptz, recording_msid uuid, "q'""%s" text, "Ünï" float8, tags text[]);
	INSERT INTO hostile SELECT CASE i % 3 WHEN 0 THEN 9223372036854775807 WHEN 1 THEN -9223372036854775808 ELSE 0 END,
		CASE i % 4 WHEN 0 THEN '4713-01-01 BC'::timestamptz WHEN 1 THEN '294276-12-31'::timestamptz ELSE now() END,
		md5((i % 5)::text)::uuid, CASE i % 3 WHEN 0 THEN '' WHEN 1 THEN NULL ELSE repeat('x', 100000) END,
		CASE i % 3 WHEN 0 THEN 'NaN' WHEN 1 THEN 1e38 ELSE -1e-300 END, CASE i % 3 WHEN 0 THEN '{}' WHEN 1 THEN NULL ELSE ARRAY[NULL, '', 'a'] END
	FROM generate_series(1, 60) AS i;
	CREATE TABLE types (user_id smallint, listened_at int, recording_msid uuid, d date, b bytea, j jsonb, c "char", e numeric, v varchar(3), r int4range, iv interval, n name, bo boolean, o oid, a2 int[]);
	INSERT INTO types SELECT i % 7, i, md5((i % 9)::text)::uuid, now(), '\x00ff', '{"a": 1}', 'x', 'NaN', 'abc', '[1,2)', '1 day', 'n', true, 1, '{{1,2},{3,4}}' FROM generate_series(1, 80) AS i});

# values by type; all are SQL
my %values = (
	integer => [ qw(0 1 -1 2 7 100 65536 65537 2147483647 -2147483648 NULL) ],
	bigint => [ qw(0 1 -1 3 9223372036854775807 (-9223372036854775808) 4294967296 NULL) ],
	'double precision' => [ qw(0 1 -1 0.5 1e-300 1e300 1e-45 NULL), "'NaN'", "'Infinity'", "'-Infinity'", "'-0'" ],
	real => [ qw(0 1 -1 NULL), "'NaN'", "'Infinity'" ],
	boolean => [ qw(true false NULL) ],
	text => [ "''", "'a'", "'nobody'", "NULL", "'%s%n%d'", q{E'a\nb'}, q{'a"b''c\\d'}, "repeat('x', 255)", "repeat('x', 256)", "repeat('ü', 1000)", "repeat('y', 1000000)",
		"'listen'", "'empty'", "'hostile'", "'types'", q{'"a ""quoted"" ''name''"'}, "'nothing'", "'pg_class'", "'a.b.c.d.e'", "'SELECT'", "'SELECT 1'", "'SELECT * FROM listen'", "'VALUES (1)'", "'TABLE listen'",
		"'SELECT 1 AS user_id, now() AS listened_at, NULL::uuid AS recording_msid'", "'(SELECT * FROM listen)'", "'WITH x AS (SELECT * FROM listen) TABLE x'", "'SELECT * FROM listen; SELECT 1'", "'BEGIN'", "'select*from listen'", "'/* c */ SELECT * FROM listen -- x'",
		"'paper'", "'default'", "'none'", "'time'", "'random'", "'query'", "'mean'", "'loss'", "'top_1'" ],
	'timestamp with time zone' => [ "now()", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-12-31'", 'NULL' ],
	uuid => [ "'00000000-0000-0000-0000-000000000000'", "md5('recording 3')::uuid", 'NULL' ],
	'integer[]' => [ "'{}'", "'{8}'", "'{0}'", "'{-1}'", "'{NULL}'", "'{1,2147483647}'", "'{{8,8},{8,8}}'", "'[5:6]={8,8}'", "array_fill(8, ARRAY[100])", "array_fill(1, ARRAY[100000])", 'NULL' ],
	'bigint[]' => [ "'{}'", "'{1}'", "'{NULL}'", "'{1,1,1}'", "'{{1,2},{3,4}}'", "ARRAY[9223372036854775807]", "(SELECT array_agg(i::bigint) FROM generate_series(1, 5000) AS i)", 'NULL' ],
	'double precision[]' => [ "'{}'", "'{1}'", "'{NULL}'", "'{NaN,Infinity}'", 'NULL' ],
	'text[]' => [ "'{}'", "'{a}'", "'{NULL}'", "'{nobody}'", "ARRAY['a', 'a']", "array_fill('a'::text, ARRAY[9])", "'{artist}'", "'{{a},{a}}'", "'{tags,Ünï}'", 'NULL' ],
	'uuid[]' => [ "'{}'", "ARRAY[md5('recording 3')::uuid]", "'{NULL}'", "array_fill(md5('recording 3')::uuid, ARRAY[1000])", "array_fill(md5('x')::uuid, ARRAY[3, 3])", 'NULL' ],
	interval => [ "'0'", "'1 day'", "'-1 year'", "'178000000 years'", "'30 days 1 microsecond'", 'NULL' ],
	jsonb => [ "'{}'", "'null'", "'[]'", "'7'", q{'{"a": 1}'}, q{'{"epochs": 1.5}'}, q{'{"batch_size": 1e400}'}, q{'{"learning_rate": 1e-400}'}, q{'{"layers": [[8], null]}'}, q{'{"seed": 9223372036854775808}'},
		q{'{"bucketize": ["nobody", ""]}'}, q{'{"logq": "true", "split": null}'}, q{'{"temperature": {"min": 1}}'}, "jsonb_build_object(repeat('x', 1000000), 1)", "jsonb_build_object('optimizer', repeat('x', 1000000))", 'NULL' ],
	regclass => [ "'listen'", 'NULL', '0' ]);

# sensible values, so that the other arguments reach their checks
my %sensible = (model => "'a'", listens => "'listen'", epochs => '1', settings => q{'{"embedding_dim": 8}'}, layers => "'{8}'", models => "'{a}'", user_id => '1', k => '5', figure => "'loss'", activate => 'false');

my @functions = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', q{
	SELECT p.proname, string_agg(a.name || ':' || format_type(a.type, NULL), '|' ORDER BY a.n) FROM pg_proc AS p
	JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'lbrec'),
	LATERAL (SELECT p.proargnames[n] AS name, p.proargtypes[n - 1] AS type, n FROM generate_series(1, p.pronargs) AS n) AS a
	WHERE p.prokind = 'f' AND p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype) GROUP BY p.oid, p.proname ORDER BY 1});
cmp_ok(scalar @functions, '>=', 6, scalar(@functions) . ' functions');

my (@calls, %unknown);
for my $f (@functions)
{
	my ($name, @args) = @$f;
	my %type = map { /^(.*?):(.*)$/ ? ($1 => $2) : () } @args;
	my %base = map { $_ => $sensible{$_} } grep { exists $type{$_} } keys %sensible;
	my $call = sub {
		my %v = @_;
		return "SELECT count(*) FROM (SELECT * FROM $name(" . join(', ', map { qq{"$_" => ($v{$_})::$type{$_}} } sort keys %v) . ') LIMIT 50) AS x';
	};
	for my $arg (sort keys %type)
	{
		my $values = $values{ $type{$arg} };
		if (!$values)
		{
			$unknown{ $type{$arg} } = 1;
			next;
		}
		push @calls, $call->(%base, $arg => $_) for @$values;
	}
	next unless %type;
	for (1 .. $rounds / @functions)
	{
		my %v = %base;
		for my $arg (keys %type)
		{
			my $values = $values{ $type{$arg} } or next;
			$v{$arg} = $values->[ rand @$values ] if rand() < 0.3;
		}
		push @calls, $call->(%v);
	}
}
is(join(' ', sort keys %unknown), '', 'every type of an argument has values');

# One session, so that what a failed call leaves is met by the next.
my $run = finish_psql(start_psql($node, "\\set VERBOSITY verbose\n" . join '', map { "BEGIN; $_; ROLLBACK;\n" } @calls));
my $answers = () = $run->{out} =~ /^\d+$/mg;
my %state;
my (@bad, $n);
while ($run->{err} =~ /^psql:[^:]*:(\d+): ERROR:  (\w{5}): (.*)$/mg)
{
	my ($line, $code, $message) = ($1, $2, $3);
	next if $message =~ /current transaction is aborted/;
	$state{$code}++;
	# internal errors, damage and system errors are not a user's
	push @bad, "$code: $message\n  $calls[$line - 2]" if $code =~ /^(XX|58|P0001|57P)/ && @bad < 20;
}
my $errors = 0;
$errors += $_ for values %state;
diag(sprintf '%d calls: %d answers; errors: %s', scalar @calls, $answers, join ', ', map { "$_ $state{$_}" } sort keys %state);
is(join("\n", @bad), '', 'every error is a user\'s');
is($answers + $errors, scalar @calls, 'each call was answered or refused');
unlike($run->{err}, qr/server closed the connection|terminating connection/, 'the session lived on');
is(leftovers($node), '', 'nothing left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM lbrec.model'), '1', 'no model was made');

# Queries with side effects, in every argument that takes a query.  A refused one
# leaves nothing, and the transaction can write again afterwards.
# LBREC_SHOW=1 tells each SQLSTATE.
$node->safe_psql('postgres', q{
	CREATE TABLE victim (i int); CREATE SEQUENCE counter; CREATE TABLE tried (what text, state text);
	CREATE FUNCTION writes(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN INSERT INTO victim VALUES (1); RETURN $1; END $$;
	CREATE FUNCTION empties(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN TRUNCATE listen; RETURN $1; END $$;
	CREATE FUNCTION creates(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN CREATE TABLE made (i int); RETURN $1; END $$;
	CREATE FUNCTION commits(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN COMMIT; RETURN $1; END $$;
	CREATE FUNCTION rolls_back(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN ROLLBACK; RETURN $1; END $$;
	CREATE FUNCTION opens_up(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); INSERT INTO victim VALUES (1); RETURN $1; END $$;
	CREATE FUNCTION copies(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'COPY victim FROM PROGRAM ''echo 1'''; RETURN $1; END $$;
	CREATE FUNCTION trains(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM lbrec_train('inner', 'listen', epochs => 1); RETURN $1; END $$;
	CREATE FUNCTION drops(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM lbrec_drop_model('a'); RETURN $1; END $$;
	CREATE FUNCTION persists(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN BEGIN INSERT INTO victim VALUES (1); EXCEPTION WHEN OTHERS THEN INSERT INTO victim VALUES (2); END; RETURN $1; END $$;
	CREATE FUNCTION refreshes(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'VACUUM'; RETURN $1; END $$;
	CREATE PROCEDURE calls(INOUT user_id bigint) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO victim VALUES (1); END $$;
	CREATE RULE r AS ON INSERT TO tried WHERE NEW.what = '' DO ALSO INSERT INTO victim VALUES (3);
	CREATE FUNCTION try(what text, call text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE s text := 'done';
	BEGIN
		BEGIN EXECUTE call; EXCEPTION WHEN OTHERS THEN s := SQLSTATE; END;
		INSERT INTO tried VALUES (what, s);
		RETURN s || ' ' || current_setting('transaction_read_only') || ' ' || (SELECT count(*) FROM victim);
	END $$});
my $columns = 'user_id, listened_at, recording_msid';
my %hostile = (
	(map { ("function that $_" => "SELECT $_(user_id) AS user_id, listened_at, recording_msid FROM listen") }
		qw(writes empties creates commits rolls_back opens_up copies trains drops persists refreshes)),
	'nextval' => "SELECT nextval('counter') AS user_id, listened_at, recording_msid FROM listen",
	'INSERT in WITH' => "WITH x AS (INSERT INTO victim VALUES (1) RETURNING i) SELECT $columns FROM listen, x",
	'UPDATE in WITH' => "WITH x AS (UPDATE listen SET user_id = 0 RETURNING *) SELECT $columns FROM x",
	'INSERT after WITH' => "WITH x AS (SELECT 1) INSERT INTO listen SELECT $columns FROM listen RETURNING $columns",
	'INSERT after a comment' => "-- x\nINSERT INTO listen SELECT $columns FROM listen RETURNING $columns",
	'DELETE after a comment' => "/* x */ DELETE FROM listen RETURNING $columns",
	'EXPLAIN ANALYZE' => "/* x */ EXPLAIN ANALYZE INSERT INTO victim VALUES (1)",
	'CALL' => "/* x */ CALL calls(1)", 'DO' => "-- x\nDO 'BEGIN END'", 'COPY' => "-- x\nCOPY victim FROM PROGRAM 'echo 1'", 'COPY TO' => "-- x\nCOPY listen TO STDOUT",
	'two statements' => "SELECT $columns FROM listen; INSERT INTO victim VALUES (1)",
	'three statements, the first empty' => "/* x */ ; INSERT INTO victim VALUES (1); SELECT $columns FROM listen",
	'parentheses that do not match' => "SELECT $columns FROM listen) AS x; INSERT INTO victim VALUES (1); SELECT * FROM (SELECT $columns FROM listen",
	'SELECT INTO' => "SELECT $columns INTO made FROM listen", 'CREATE TABLE AS' => "/* x */ CREATE TABLE made AS TABLE listen",
	'FOR UPDATE' => "SELECT $columns FROM listen FOR UPDATE",
	'DECLARE' => "-- x\nDECLARE c CURSOR FOR SELECT 1", 'FETCH' => "-- x\nFETCH ALL FROM c", 'BEGIN' => "-- x\nBEGIN", 'COMMIT' => "-- x\nCOMMIT", 'SET' => "-- x\nSET ROLE postgres", 'SHOW' => "-- x\nSHOW work_mem",
	'harmless' => "SELECT * FROM listen UNION ALL SELECT -5, now(), md5('recording 3')::uuid, ''",
	'nothing but a comment' => "-- x", 'a parameter' => "SELECT $columns FROM listen WHERE user_id = \$1 AND user_id = \$2 AND user_id = \$3 AND user_id = \$9");
my %argument = (
	'listens of lbrec_train' => q{SELECT * FROM lbrec_train('h', %L, epochs => 1, settings => '{"embedding_dim": 8}')},
	'test_listens' => q{SELECT * FROM lbrec_train('h', 'listen', epochs => 1, settings => '{"embedding_dim": 8}', split => 'query', test_listens => %L)},
	'listens of lbrec_tune' => q{SELECT * FROM lbrec_tune('h', %L, '{"temperature": [1]}', epochs => 1)},
	'listens of lbrec_evaluate' => q{SELECT * FROM lbrec_evaluate('a', %L)},
	'rankings of lbrec_evaluate_lists' => q{SELECT * FROM lbrec_evaluate_lists('SELECT user_id, recording_msid, 1 AS rank FROM (' || %L || ') AS x', 'listen', 'a')},
	'listens of lbrec_recommend' => q{SELECT * FROM lbrec_recommend(1, 2, 'a', exclude_listened => true, listens => %L)},
	'filter' => q{SELECT * FROM lbrec_recommend(1, 2, 'a', filter => %L)},
	'listens of a stranger' => q{SELECT * FROM lbrec_recommend(-5, 2, 'a', listens => %L)});
for my $argument (sort keys %argument)
{
	my @sql;
	for my $what (sort keys %hostile)
	{
		# a stranger has no rows, so the query's function is never reached
		my $query = $hostile{$what} =~ s/'/''/gr;
		my $call = $argument{$argument} =~ s/%L/"'$query'"/er;
		push @sql, "SELECT '$what: ' || try('$what', \$call\$$call\$call\$);\n";
	}
	my ($out, $err) = ('', '');
	$node->psql('postgres', join('', @sql), stdout => \$out, stderr => \$err);
	my @got = split /\n/, $out;
	is(scalar @got, scalar(keys %hostile), "$argument: each was tried");
	diag("$argument: " . join ', ', map { s/ off 0$//r } @got) if $ENV{LBREC_SHOW};
	my @wrong = grep { !(/^harmless: / ? /: done off 0$/ : /: (?!XX|58|57)\w{5} off 0$/) } @got;
	is(join("\n", @wrong), '', "$argument: every side effect is refused, and the transaction writes on");
}
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM victim) || ' ' || (SELECT count(*) FROM listen) || ' ' || (SELECT count(*) FROM pg_class WHERE relname = 'made')
	|| ' ' || (SELECT string_agg(DISTINCT name, ',') FROM lbrec.model) || ' ' || (SELECT is_called FROM counter)}), '0 200 0 a,h false', 'nothing was written');

is_well($node, 'at the end');
$node->stop;
done_testing();
