# Every function of the extension, called with hostile values of every type, in
# hostile places: relations of all kinds, arrays of a million, megabytes of
# text, queries that call lbrec again, drop the table being read or never end; in
# cursors, loops, prepared plans, subtransactions, read-only and parallel
# queries.  031_arguments.pl tests the extremes of each argument; this tests
# combinations.
#
# Each gives an answer or a user error: never XX000, never a restart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = defined $ENV{LBREC_FUZZ} ? $ENV{LBREC_FUZZ} : 1200;
my $seed = defined $ENV{LBREC_SEED} ? $ENV{LBREC_SEED} : 32;
srand $seed;

# UTF8: some names and texts are not of ASCII
my $node = new_cluster('fuzz_sql', init => { extra => [ '--encoding=UTF8', '--no-locale' ] },
	settings => "max_parallel_workers = 2\n");
make_listens($node, 20, 50, 10);
$node->safe_psql('postgres', q{
	SELECT lbrec_train('a', epochs => 1, settings => '{"embedding_dim": 8}', layers => '{8}', split => 'none');
	SELECT lbrec_train('Ä "q" ''x'' \\ %s', epochs => 1, settings => '{"ensemble": 2, "embedding_dim": 8}', split => 'none', activate => false);
	CREATE VIEW v AS SELECT * FROM listen;
	CREATE VIEW v_self AS SELECT l.* FROM listen AS l, LATERAL lbrec_recommend(l.user_id, 1, 'a') AS r WHERE r.recording_msid IS NOT NULL;
	CREATE MATERIALIZED VIEW mv AS SELECT * FROM listen;
	CREATE MATERIALIZED VIEW mv_unscannable AS SELECT * FROM listen WITH NO DATA;
	CREATE TABLE part (LIKE listen) PARTITION BY RANGE (user_id);
	CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (10);
	INSERT INTO part SELECT * FROM listen WHERE user_id < 10;
	CREATE TABLE part_none (LIKE listen) PARTITION BY LIST (user_id);
	CREATE FOREIGN DATA WRAPPER nowhere;
	CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
	CREATE FOREIGN TABLE far (user_id bigint, listened_at timestamptz, recording_msid uuid) SERVER nowhere;
	CREATE UNLOGGED TABLE unlogged AS SELECT * FROM listen;
	CREATE TABLE dropped_columns AS SELECT 1 AS x, * FROM listen;
	ALTER TABLE dropped_columns DROP COLUMN x;
	ALTER TABLE dropped_columns ADD COLUMN y int DEFAULT 7;
	CREATE TABLE generated (user_id bigint, listened_at timestamptz, recording_msid uuid, twice bigint GENERATED ALWAYS AS (user_id * 2) STORED);
	INSERT INTO generated SELECT user_id, listened_at, recording_msid FROM listen;
	CREATE TABLE child () INHERITS (listen);
	CREATE TABLE no_columns ();
	CREATE TABLE many_columns AS SELECT * FROM listen LIMIT 40;
	DO $$ BEGIN FOR i IN 1 .. 300 LOOP EXECUTE format('ALTER TABLE many_columns ADD COLUMN c%s int DEFAULT 1', i); END LOOP; END $$;
	CREATE TABLE twice (user_id bigint, "USER_ID" bigint, listened_at timestamptz, recording_msid uuid);
	CREATE TABLE nulls AS SELECT NULLIF(user_id, 3) AS user_id, NULLIF(listened_at, listened_at) AS listened_at, NULLIF(recording_msid, recording_msid) AS recording_msid FROM listen;
	CREATE TABLE far_times AS SELECT user_id, CASE user_id % 3 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' ELSE '294276-12-31 23:59:59.999999+00' END::timestamptz AS listened_at, recording_msid FROM listen;
	CREATE TABLE locked_rows AS SELECT * FROM listen;
	ALTER TABLE locked_rows ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	CREATE TABLE "listen; DROP TABLE listen; --" AS SELECT * FROM listen;
	CREATE SEQUENCE a_sequence;
	CREATE TYPE a_type AS (user_id bigint, listened_at timestamptz, recording_msid uuid);
	CREATE TABLE recording AS SELECT DISTINCT recording_msid, artist AS artist_name, NULL::text AS tags FROM listen;
	CREATE FUNCTION raises(i bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN IF i > 7 THEN RAISE EXCEPTION USING errcode = 'UT001'; END IF; RETURN i; END $$;
	CREATE FUNCTION catches(i bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM 1 / (i - i); EXCEPTION WHEN division_by_zero THEN RETURN i; END $$;
	CREATE FUNCTION drops_model(i bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM lbrec_drop_model('a'); RETURN i; EXCEPTION WHEN undefined_object THEN RETURN i; END $$;
	CREATE FUNCTION drops_model_stable(i bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM lbrec_drop_model('a'); RETURN i; END $$;
	CREATE FUNCTION drops_table(i bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP TABLE IF EXISTS listen CASCADE'; RETURN i; END $$;
	CREATE FUNCTION changes_model(i bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN UPDATE lbrec.model SET version = version + 1; UPDATE lbrec.tensor SET data = data; RETURN i; END $$;
	CREATE FUNCTION asks(i bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN i + 0 * (SELECT count(*) FROM lbrec_recommend(i, 3, 'a')); END $$;
	CREATE FUNCTION trains(i bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM lbrec_train('inner', epochs => 1, settings => '{"embedding_dim": 4, "ensemble": 1}', layers => '{}', split => 'none'); RETURN i; END $$;
	CREATE FUNCTION commits(i bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN COMMIT; RETURN i; END $$;
	CREATE FUNCTION settings(i bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('lbrec.max_model_memory', '1kB', true), set_config('search_path', '', true); RETURN i; END $$;
	CREATE TABLE big AS SELECT (SELECT array_agg(i::bigint) FROM generate_series(1, 1000000) AS i) AS users, array_fill(7::int, ARRAY[1000000]) AS ints,
		array_fill('00000000-0000-0000-0000-000000000007'::uuid, ARRAY[1000000]) AS uuids, array_fill(0.5::float8, ARRAY[1000000]) AS floats,
		array_fill('x'::text, ARRAY[1000000]) AS texts, repeat('x', 1048576) AS line, repeat(E'\u00fc''"\\;', 200000) AS odd;
	CREATE TABLE victim ();
	ANALYZE});

my $cols = 'listened_at, recording_msid FROM listen';
my @relations = map { "'$_'" } qw(listen v v_self mv mv_unscannable part part_1 part_none far unlogged dropped_columns generated child no_columns many_columns twice nulls far_times locked_rows
  a_sequence a_type big victim listen_user_id_idx pg_toast.pg_toast_1255 lbrec.tensor lbrec.model information_schema.tables pg_temp.listen LISTEN "LISTEN" listen.listen);
push @relations, q{'"listen; DROP TABLE listen; --"'}, q{'listen; DROP TABLE victim'}, q{'listen'' UNION SELECT 1'}, "(SELECT line FROM big)", "(SELECT odd FROM big)", "''", "' '", q{E'\t\n'}, q{'"'}, q{'""'},
  map({ "'SELECT $_(user_id) AS user_id, $cols'" } qw(raises catches drops_model drops_model_stable drops_table changes_model asks trains commits settings pg_sleep)),
  "'SELECT user_id, $cols FOR UPDATE'", "'DELETE FROM listen RETURNING user_id, listened_at, recording_msid'", "'WITH d AS (DELETE FROM victim RETURNING 1) SELECT user_id, $cols'", "'COPY victim TO STDOUT'", "'EXPLAIN SELECT 1'", "'CALL x()'", "'DO \$\$ BEGIN END \$\$'",
  "'SELECT user_id, $cols; DROP TABLE victim'", "'SELECT \$1 AS user_id, $cols'", "'SELECT (SELECT 1 UNION SELECT 2) AS user_id, $cols'", "'SELECT user_id, $cols, generate_series(1, 1000000)'", "'SELECT user_id, user_id, $cols'",
  "'SELECT ROW(1) AS user_id, $cols'", "'SELECT user_id, listened_at::text, recording_msid::text FROM listen'", "'SELECT user_id::numeric * 1e30 AS user_id, $cols'", "'SELECT ARRAY[user_id] AS user_id, $cols'", "'SELECT user_id, $cols LIMIT 0'",
  "'SELECT user_id, $cols, ''NaN''::float8 AS f'", "'SELECT user_id, $cols, NULL AS f'", "'SELECT user_id, $cols, ''{{1,2},{3,NULL}}''::int[] AS f'", "'SELECT user_id, $cols, ''[2:3]={a,b}''::text[] AS f'", "'SHOW work_mem'", "'VALUES (1, now(), NULL::uuid)'", "'FETCH ALL FROM c'";

my %values = (
	integer => [ qw(0 1 -1 5 2147483647 -2147483648 NULL), "(SELECT 1 / (random() * 0)::int)" ],
	bigint => [ qw(0 1 -1 3 9223372036854775807 (-9223372036854775808) NULL), 'raises(9)', 'asks(1)' ],
	'double precision' => [ qw(0 1 -1 0.5 1e-308 1.7e308 NULL), "'NaN'", "'Infinity'", "'-Infinity'" ],
	boolean => [ qw(true false NULL) ],
	text => \@relations,
	'timestamp with time zone' => [ "now()", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-12-31 23:59:59.999999+00'", "'2002-10-01'", 'NULL' ],
	uuid => [ "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "md5('recording 3')::uuid", 'NULL' ],
	'integer[]' => [ "'{}'", "'{8}'", "'{NULL,8}'", "'{{8,8},{8,NULL}}'", "'[-2147483648:-2147483647]={1,2}'", '(SELECT ints FROM big)', 'NULL' ],
	'bigint[]' => [ "'{}'", "'{1}'", "'{NULL,1}'", "'{{1,2},{3,NULL}}'", "'[2147483646:2147483646]={5}'", '(SELECT users FROM big)', 'NULL' ],
	'text[]' => [ "'{}'", "'{a}'", "'{NULL}'", "'{{a,b},{c,NULL}}'", "'{user_id,listened_at}'", "'{artist,artist}'", '(SELECT texts FROM big)', '(SELECT ARRAY[line] FROM big)', 'NULL' ],
	'uuid[]' => [ "'{}'", "ARRAY[md5('recording 3')::uuid]", "ARRAY[NULL, md5('recording 3')::uuid]", "ARRAY[[md5('recording 3')::uuid, NULL], [md5('recording 3')::uuid, md5('recording 4')::uuid]]", '(SELECT uuids FROM big)', 'NULL' ],
	'double precision[]' => [ "'{}'", "'{NaN,Infinity,NULL}'", '(SELECT floats FROM big)', 'NULL' ],
	'real[]' => [ "'{}'", "'{NaN,Infinity,NULL}'", "'{1,2,3,4,5,6,7,8}'", '(SELECT floats::real[] FROM big)', 'NULL' ],
	interval => [ "'0'", "'-1 second'", "'178000000 years'", "'1 second'", 'NULL' ],
	jsonb => [ "'{}'", "'null'", q{'{"epochs": [1, "x", null, [], 1e300]}'}, q{'{"layers": [[8], [8, 8]], "": 1}'}, "(SELECT jsonb_build_object(line, 1) FROM big)", "(SELECT to_jsonb(texts) FROM big)", q{'{"model": ["x"], "listens": ["victim"]}'}, 'NULL' ],
	regclass => [ "'listen'", "'v'", "'part'", '0', '4294967295', 'NULL' ],
	internal => [ 'NULL' ]);

# sensible values, so that the other arguments reach their checks
my %sensible = (model => "'a'", models => "'{a}'", listens => "'listen'", user_id => '1', recording => "md5('recording 3')::uuid", recording_msid => "md5('recording 3')::uuid",
	recordings => "ARRAY[md5('recording 3')::uuid]", k => '3');
my %quick = (epochs => '1', settings => q{'{"embedding_dim": 4, "ensemble": 1}'}, activate => 'false', trials => '2');
# meanings of texts, so that some values pass the checks of names
my %texts = (model => [ "'a'", q{'Ä "q" ''x'' \\ %s'}, "'nobody'" ], listens => \@relations, test_listens => \@relations,
	filter => [ @relations, "'SELECT recording_msid FROM listen'", "'SELECT recording_msid FROM lbrec_recommend(1, 5, ''a'', filter => ''SELECT recording_msid FROM listen'')'", "'TRUE'", "'artist = ''artist 1'''", "'raises(9) = 1'", "'SELECT NULL::uuid'" ],
	figure => [ "'loss'", "'top_1'" ], start_from => [ "'a'" ], preset => [ "'paper'", "'default'" ]);

my @functions = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', q{
	SELECT p.oid::regproc || '|' || p.prokind::text || coalesce((SELECT string_agg('|' || coalesce(p.proargnames[n], '') || ':' || format_type(p.proargtypes[n - 1], NULL), '' ORDER BY n) FROM generate_series(1, p.pronargs) AS n), '')
	FROM pg_proc AS p
	JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'lbrec')
	ORDER BY p.proname, p.oid});
cmp_ok(scalar @functions, '>=', 15, scalar(@functions) . ' functions');

sub pick { return $_[ rand @_ ]; }

# A call with some of its arguments, one or two of them hostile.
my %unknown;
sub call
{
	my ($f) = @_;
	my ($name, $kind, @args) = @$f;
	my (%v, %type);
	for (@args)
	{
		my ($arg, $t) = /^(.*?):(.*)$/;
		$type{$arg} = $t;
		$v{$arg} = $sensible{$arg} if exists $sensible{$arg};
		$v{$arg} = $quick{$arg} if exists $quick{$arg};
		$unknown{$t} = 1 unless $values{$t};
	}
	my @names = sort keys %type;
	for (1 .. 1 + int rand 3)
	{
		my $arg = pick(@names) // last;
		my $of = $texts{$arg} && rand() < 0.7 ? $texts{$arg} : $values{ $type{$arg} } || next;
		$v{$arg} = pick(@$of);
	}
	# internal functions have no names
	return "$name(" . join(', ', map { my ($t) = /:(.*)$/; 'NULL::' . ($t || 'text') } @args) . ')' if grep { /^:/ } @args;
	return "$name(" . join(', ', map { qq{"$_" => ($v{$_})::$type{$_}} } sort keys %v) . ')';
}

my @places = (
	sub { "SELECT count(*) FROM (SELECT * FROM $_[0] LIMIT 50) AS x" },
	sub { "SELECT $_[0] LIMIT 2" },
	sub { "SET TRANSACTION READ ONLY; SELECT count(*) FROM $_[0] AS x" },
	sub { "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT * FROM $_[0] AS x WHERE false" },
	sub { "SELECT count(*) FROM generate_series(1, 3) AS i LEFT JOIN LATERAL (SELECT * FROM $_[0] AS x LIMIT i) AS y ON true" },
	sub { "DECLARE c CURSOR FOR SELECT * FROM $_[0] AS x; FETCH 1 FROM c; FETCH 1 FROM c; MOVE ALL FROM c" },
	sub { "DECLARE c CURSOR WITH HOLD FOR SELECT $_[0]; FETCH 1 FROM c; SAVEPOINT s; DROP TABLE listen CASCADE; FETCH 1 FROM c; ROLLBACK TO s; FETCH 1 FROM c; CLOSE c" },
	sub { "SET LOCAL plan_cache_mode = force_generic_plan; DEALLOCATE ALL; PREPARE p AS SELECT * FROM $_[0] AS x; EXECUTE p; EXECUTE p" },
	sub { "DO \$do\$ BEGIN FOR i IN 1 .. 2 LOOP BEGIN PERFORM * FROM $_[0] AS x; EXCEPTION WHEN others THEN IF SQLSTATE ~ '^(XX|58)' THEN RAISE; END IF; END; END LOOP; END \$do\$" },
	sub { "SET LOCAL force_parallel_mode = on; SET LOCAL parallel_setup_cost = 0; SELECT count(*) FROM listen WHERE user_id < (SELECT count(*) FROM $_[0] AS x)" },
	sub { "SET LOCAL work_mem = '64kB'; SET LOCAL lbrec.spool_mem = '64kB'; SELECT count(*) FROM $_[0] AS x" },
	sub { "SET LOCAL lbrec.shared_images = off; SELECT count(*) FROM $_[0] AS x, $_[0] AS y" },
	sub { "EXPLAIN (COSTS OFF) SELECT * FROM $_[0] AS x WHERE x IS NOT NULL ORDER BY 1" },
	sub { "SELECT CASE WHEN count(*) = 0 THEN (SELECT count(*) FROM $_[0] AS x) END FROM victim" },
	sub { "CREATE TEMP TABLE out AS SELECT count(*) FROM $_[0] AS x LIMIT 3" });

my @calls;
for my $i (0 .. $rounds - 1)
{
	my $f = $functions[ $i % @functions ];
	push @calls, pick(@places)->(call($f));
}
is(join(' ', sort keys %unknown), '', 'every type of an argument has values');

# One session at a time, so that what a failed call leaves is met by the next;
# each call in a transaction and a line of its own.
my $run = finish_psql(start_psql($node, "SET statement_timeout = '2s';\\set VERBOSITY verbose\n\\o /dev/null\n" . join '', map { "BEGIN; $_; ROLLBACK;\n" } @calls));
my (%state, %failed, @bad);
while ($run->{err} =~ /^psql:[^:]*:(\d+): (ERROR|FATAL|PANIC):  (\w{5}): (.*)$/mg)
{
	my ($line, $code, $message) = ($1, $3, $4);
	# what follows in the same transaction is of no interest
	next if $failed{$line}++;
	$state{$code}++;
	push @bad, "$code: $message\n  $calls[$line - 3]" if $code =~ /^(XX|58|57P|P0001)/ && @bad < 20;
}
my $errors = 0;
$errors += $_ for values %state;
diag(sprintf 'LBREC_SEED=%d LBREC_FUZZ=%d: %d errors: %s', $seed, $rounds, $errors, join ', ', map { "$_ $state{$_}" } sort keys %state);
is(join("\n", @bad), '', 'every error is a user\'s');
my ($died) = $run->{err} =~ /^psql:[^:]*:(\d+): .*(server closed the connection|connection to server was lost)/m;
is(defined $died ? $calls[ $died - 3 ] : '', '', 'the session lived on');
cmp_ok($errors, '<', 0.9 * $rounds, 'not all is refused');
cmp_ok($errors, '>', 0.2 * $rounds, 'and not all is taken');
is($node->safe_psql('postgres', q{SELECT count(*), string_agg(name, ',' ORDER BY id) FROM lbrec.model}), q{2|a,Ä "q" 'x' \\ %s}, 'no model was made or dropped');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname IN ('victim', 'listen') AND relkind = 'r'}), '2', 'no table was dropped');
is(leftovers($node), '', 'nothing left');
is_well($node, 'at the end');
$node->stop;
done_testing();
