# The rights of each role, as docs/rights.md has them: every cell of its table
# is tried here.  Then attacks: objects planted in public and pg_temp, row
# security, and the role that runs a query of listens.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_cluster('rights', bare => 1);

sub sql
{
	my ($sql, %arg) = @_;
	return $node->safe_psql($arg{db} || 'music', $sql);
}

# what a role gets: 'yes' or the SQLSTATE
sub may
{
	my ($role, $sql) = @_;
	my ($out, $err) = ('', '');
	my $code = $node->psql('music', "\\set VERBOSITY verbose\nSET ROLE $role;\nBEGIN;\n$sql;\nROLLBACK", stdout => \$out, stderr => \$err);
	return 'yes' if $code == 0;
	return $err =~ /(?:ERROR|FATAL):  (\w{5}):/ ? $1 : $err;
}

# owner: owns the database and installs, no superuser.  trainer, reader and
# analyst have what docs/rights.md grants; stranger has nothing.
sql(q{
	CREATE ROLE dbowner; CREATE ROLE trainer; CREATE ROLE reader; CREATE ROLE stranger; CREATE ROLE other;
	CREATE DATABASE music OWNER dbowner}, db => 'postgres');
is(may('stranger', 'CREATE EXTENSION lbrec'), '42501', 'a stranger may not install');
sql(q{SET ROLE dbowner; CREATE EXTENSION lbrec;
	CREATE TABLE listen (user_id bigint, listened_at timestamptz, recording_msid uuid);
	INSERT INTO listen SELECT i % 20, to_timestamp(1100000000 + i), md5((i % 30)::text)::uuid FROM generate_series(1, 600) AS i;
	SELECT lbrec_train('a', epochs => 1)});
pass('the owner of a database installs and trains: the extension is trusted');
sql(q{SET ROLE dbowner;
	-- docs/rights.md: a reader
	GRANT USAGE ON SCHEMA lbrec TO reader, trainer;
	GRANT SELECT ON ALL TABLES IN SCHEMA lbrec TO reader, trainer;
	GRANT SELECT ON lbrec_models, lbrec_model_details, lbrec_weeks, lbrec_progress TO reader, trainer;
	-- docs/rights.md: a trainer
	GRANT EXECUTE ON FUNCTION lbrec_train, lbrec_tune, lbrec_retrain, lbrec_add_items, lbrec_backtest, lbrec_activate, lbrec_drop_model, lbrec_prune, lbrec_comment, lbrec_import, lbrec_forget_user, lbrec_record_evaluation TO trainer;
	GRANT INSERT, UPDATE, DELETE ON lbrec.model, lbrec.epoch, lbrec.tensor, lbrec.evaluation TO trainer;
	GRANT USAGE ON ALL SEQUENCES IN SCHEMA lbrec TO trainer;
	GRANT SELECT ON listen TO trainer});

my @table = (
	# what, SQL, owner, trainer, reader, stranger
	[ 'drop the extension', 'DROP EXTENSION lbrec', 'yes', '42501', '42501', '42501' ],
	[ 'train', q{SELECT lbrec_train('b', epochs => 1)}, 'yes', 'yes', '42501', '42501' ],
	[ 'tune', q{SELECT lbrec_tune('b', search => '{"temperature": [1]}', epochs => 1)}, 'yes', 'yes', '42501', '42501' ],
	[ 'retrain', q{SELECT lbrec_retrain('b')}, 'yes', 'yes', '42501', '42501' ],
	[ 'add items', q{SELECT lbrec_add_items('a', 'SELECT recording_msid, 1 AS untrained FROM listen')}, '42703', '42703', '42501', '42501' ],
	[ 'backtest', q{SELECT lbrec_backtest('{"epochs": 1}', start => '2100-01-01', steps => 1)}, 'yes', 'yes', '42501', '42501' ],
	[ 'activate', q{SELECT lbrec_activate('a')}, 'yes', 'yes', '42501', '42501' ],
	[ 'drop a model', q{SELECT lbrec_drop_model('a')}, 'yes', 'yes', '42501', '42501' ],
	[ 'prune', q{SELECT lbrec_prune('a', 1)}, 'yes', 'yes', '42501', '42501' ],
	[ 'forget a user', q{SELECT lbrec_forget_user(1)}, 'yes', 'yes', '42501', '42501' ],
	[ 'comment', q{SELECT lbrec_comment('a', 'x')}, 'yes', 'yes', '42501', '42501' ],
	[ 'import', q{SELECT lbrec_import('SELECT * FROM lbrec_export(''a'')', 'c')}, 'yes', 'yes', '42501', '42501' ],
	[ 'check', q{SELECT lbrec_check('a')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'export', q{SELECT lbrec_export('a')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'recommend', q{SELECT lbrec_recommend(1, 5, 'a')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'recommend, without listens', q{SELECT lbrec_recommend(1, 5, 'a', exclude_listened => true)}, 'yes', 'yes', '42501', '42501' ],
	[ 'evaluate', q{SELECT lbrec_evaluate('a')}, 'yes', 'yes', '42501', '42501' ],
	[ 'evaluate users', q{SELECT lbrec_evaluate_users('a')}, 'yes', 'yes', '42501', '42501' ],
	[ 'evaluate lists', q{SELECT lbrec_evaluate_lists('SELECT user_id, recording_msid, 1 AS rank FROM listen', 'listen', 'a')}, 'yes', 'yes', '42501', '42501' ],
	[ 'evaluate on own listens', q{CREATE TEMP TABLE mine AS SELECT 1::bigint AS user_id, now() AS listened_at, md5('1')::uuid AS recording_msid; SELECT lbrec_evaluate('a', 'mine')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'record an evaluation', q{SELECT lbrec_record_evaluation('a')}, 'yes', 'yes', '42501', '42501' ],
	[ 'score', q{SELECT lbrec_score(1, ARRAY[md5('1')::uuid], 'a')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'similar recordings', q{SELECT lbrec_similar(ARRAY[md5('1')::uuid], 5, 'a')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'recommend to a group', q{SELECT lbrec_recommend_group('{1,2}', 5, 'a')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'embeddings', q{SELECT lbrec_user_embedding(1, 'a'), lbrec_recording_embedding(md5('1')::uuid, 'a'); SELECT lbrec_recording_embeddings('a')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'recommend to all', q{SELECT lbrec_recommend_all(5, 'a')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'list what is popular', q{SELECT lbrec_popular(model => 'a')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'plan a call', q{EXPLAIN SELECT * FROM lbrec_recommend(1, 5, 'a')}, 'yes', 'yes', 'yes', 'yes' ],
	[ 'draw', q{SELECT lbrec_curves_svg('{a}')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'report', q{SELECT lbrec_report('a')}, 'yes', 'yes', 'yes', '42501' ],
	[ 'list models', 'SELECT * FROM lbrec_models', 'yes', 'yes', 'yes', '42501' ],
	[ 'compare weeks', 'SELECT * FROM lbrec_weeks', 'yes', 'yes', 'yes', '42501' ],
	[ 'see progress', 'SELECT * FROM lbrec_progress', 'yes', 'yes', 'yes', '42501' ],
	[ 'read tensors', 'SELECT * FROM lbrec.tensor', 'yes', 'yes', 'yes', '42501' ],
	[ 'write tensors', 'DELETE FROM lbrec.tensor', 'yes', 'yes', '42501', '42501' ]);
for my $row (@table)
{
	my ($what, $sql, @want) = @$row;
	for my $role (qw(dbowner trainer reader stranger))
	{
		is(may($role, $sql), shift @want, "$role: $what");
	}
}

# PUBLIC gets nothing that writes, and reading needs the tables
is(sql(q{SELECT string_agg(p.proname, ' ' ORDER BY 1) FROM pg_proc AS p, pg_depend AS d
	WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'lbrec')
	AND p.provolatile = 'v' AND has_function_privilege('stranger', p.oid, 'EXECUTE')}), '', 'PUBLIC may execute nothing volatile');
is(sql(q{SELECT string_agg(c.oid::regclass::text, ' ') FROM pg_class AS c, pg_depend AS d
	WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'lbrec')
	AND c.relkind IN ('r', 'v', 'S') AND (CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('stranger', c.oid, 'USAGE, SELECT, UPDATE')
		ELSE has_table_privilege('stranger', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') END)}), 'lbrec_settings', 'PUBLIC has no right on a table, view or sequence but the list of settings');
is(sql(q{SELECT count(*) FROM pg_proc AS p, pg_depend AS d
	WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'lbrec') AND p.prosecdef}), '0', 'nothing is SECURITY DEFINER');
# A stranger gets nothing from all other functions that PUBLIC may execute,
# except keys, which are computed, and the names of kernels.
{
	my %value = (bigint => '1', 'bigint[]' => q{'{1}'}, integer => '1', 'double precision' => '1', uuid => q{md5('1')::uuid}, 'uuid[]' => q{ARRAY[md5('1')::uuid]}, 'text[]' => q{'{a}'}, regclass => q{'pg_class'}, bytea => q{'\x00'}, jsonb => q{'{}'}, 'timestamp with time zone' => q{'2020-01-01'});
	my @functions = split /\n/, sql(q{SELECT p.oid::regproc || '|' || coalesce((SELECT string_agg(quote_ident(p.proargnames[n]) || ':' || format_type(p.proargtypes[n - 1], NULL), '|' ORDER BY n)
			FROM generate_series(1, p.pronargs - p.pronargdefaults) AS n), '')
		FROM pg_proc AS p, pg_depend AS d
		WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'lbrec')
		AND NOT 'internal'::regtype = ANY (p.proargtypes) AND p.prorettype <> 'trigger'::regtype
		AND p.proname NOT IN ('lbrec_key', 'lbrec_key_bigint', 'lbrec_cpu', 'lbrec_next', 'lbrec_explain_next') ORDER BY 1});
	is(may('stranger', q{SELECT * FROM lbrec_next(1, ARRAY[md5('1')::uuid])}), '42501', q{a stranger's lbrec_next()});
	is(may('stranger', q{SELECT * FROM lbrec_explain_next(md5('1')::uuid, ARRAY[md5('1')::uuid])}), '42501', q{a stranger's lbrec_explain_next()});
	for (@functions)
	{
		my ($name, @args) = split /\|/;
		my $call = "$name(" . join(', ', map { /^(.*):(.*)$/; "$1 => " . ($value{$2} || q{'a'}) . "::$2" } @args) . ')';
		is(may('stranger', "SELECT * FROM $call"), '42501', "a stranger's $call");
	}
}
# the image at hand does not outlive the right
my $s = $node->background_psql('music', on_error_stop => 0);
$s->query(q{SELECT lbrec_recommend(1, 5, 'a')});
$s->query(q{SET ROLE stranger});
$s->query(q{SELECT lbrec_recommend(1, 5, 'a')});
like($s->{stderr}, qr/permission denied for (schema lbrec|table model)/, 'SET ROLE in a session that has the model at hand');
$s->quit;

# Attack: a search path whose first schema has operators, functions, casts and
# tables named like those that our SQL could mean.  Each would raise.
sql(q{
	CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO other;
	SET ROLE other; SET search_path = evil;
	CREATE FUNCTION boom() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted code ran as %', current_user USING errcode = 'EV111'; END $$;
	DO $do$
	DECLARE t text; op text;
	BEGIN
		FOREACH t IN ARRAY ARRAY['integer', 'bigint', 'text', 'uuid', 'real', 'double precision', 'jsonb', 'boolean', 'timestamptz', 'name'] LOOP
			EXECUTE format('CREATE FUNCTION evil.opb(%1$s, %1$s) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); RETURN true; END $$', t);
			EXECUTE format('CREATE FUNCTION evil.opt(%1$s, %1$s) RETURNS %1$s LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); RETURN $1; END $$', t);
			FOREACH op IN ARRAY ARRAY['=', '<', '>', '<=', '>=', '<>'] LOOP
				EXECUTE format('CREATE OPERATOR evil.%s (FUNCTION = evil.opb, LEFTARG = %s, RIGHTARG = %s)', op, t, t);
			END LOOP;
			FOREACH op IN ARRAY ARRAY['+', '-', '*', '/', '||'] LOOP
				EXECUTE format('CREATE OPERATOR evil.%s (FUNCTION = evil.opt, LEFTARG = %s, RIGHTARG = %s)', op, t, t);
			END LOOP;
		END LOOP;
	END $do$;
	CREATE FUNCTION opj(jsonb, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); RETURN $2; END $$;
	CREATE OPERATOR evil.-> (FUNCTION = evil.opj, LEFTARG = jsonb, RIGHTARG = text);
	CREATE OPERATOR evil.->> (FUNCTION = evil.opj, LEFTARG = jsonb, RIGHTARG = text)});
sql(q{SET ROLE other; SET search_path = evil;
	CREATE FUNCTION max(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE FUNCTION count() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE FUNCTION nextval(text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE FUNCTION now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE FUNCTION jsonb_array_elements(jsonb) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE FUNCTION pg_advisory_xact_lock(int, int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE TABLE model (id int); CREATE TABLE tensor (id int); CREATE TABLE epoch (id int);
	CREATE TYPE float4 AS ENUM ('x'); CREATE TYPE uuid AS ENUM ('x'); CREATE TYPE jsonb AS ENUM ('x'); CREATE TYPE bytea AS ENUM ('x'); CREATE TYPE regclass AS ENUM ('x'); CREATE TYPE timestamptz AS ENUM ('x');
	CREATE FUNCTION jsonb_each(pg_catalog.jsonb, OUT key text, OUT value pg_catalog.jsonb) RETURNS SETOF record LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE FUNCTION jsonb_array_elements_text(pg_catalog.jsonb) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE FUNCTION regexp_match(text, text) RETURNS text[] LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE FUNCTION pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE FUNCTION current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE FUNCTION max(integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	CREATE FUNCTION lbrec_recommend(integer, integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.boom(); END $$;
	RESET ROLE;
	GRANT USAGE ON SCHEMA evil TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA evil TO PUBLIC});
my $planted = sql(q{SELECT count(*) FROM pg_operator WHERE oprnamespace = 'evil'::regnamespace});
cmp_ok($planted, '>', 100, "$planted operators are planted");
is(may('dbowner', 'SET search_path = evil, pg_catalog; SELECT 1 = 1'), 'EV111', 'they do run where an operator is not qualified');
for my $path ('evil, pg_catalog, public', 'pg_temp, evil, pg_catalog, public')
{
	for my $call (
		q{SELECT public.lbrec_train('attacked', 'public.listen', epochs => 2)},
		q{SELECT public.lbrec_train('attacked', 'public.listen', epochs => 2, split => 'random', settings => '{"time_buckets": 5}')},
		q{SELECT public.lbrec_recommend(1, 5)}, q{SELECT public.lbrec_recommend(1, 5, 'a')},
		q{SELECT public.lbrec_recommend(1, 5, 'a', exclude_listened => true, listens => 'public.listen')},
		q{SELECT public.lbrec_evaluate('a', 'public.listen')},
		q{SELECT public.lbrec_recommend(1, 5, 'a', filter => 'SELECT recording_msid FROM public.listen', diversity => 0.5)},
		q{SELECT public.lbrec_recommend(-7, 5, 'a', listens => 'public.listen')},
		q{SELECT public.lbrec_recommend_all(2, 'a')}, q{SELECT public.lbrec_score(1, ARRAY[pg_catalog.md5('1')::pg_catalog.uuid], 'a')},
		q{SELECT public.lbrec_recommend_group('{1,2}', 2, 'a', exclude_listened => true, listens => 'public.listen')}, q{SELECT public.lbrec_similar(ARRAY[pg_catalog.md5('1')::pg_catalog.uuid], 2, 'a')}, q{SELECT public.lbrec_user_embedding(1, 'a')}, q{SELECT public.lbrec_recording_embeddings('a')},
		q{SELECT public.lbrec_train('a', 'public.listen', epochs => 1, start_from => 'a')},
		q{SELECT public.lbrec_tune('attacked', 'public.listen', search => '{"temperature": [1, 2]}', epochs => 1)},
		q{SELECT public.lbrec_curves_svg('{a}')}, q{SELECT public.lbrec_report('a')}, q{SELECT public.lbrec_activate('a')}, q{SELECT public.lbrec_activate('a', 1)},
		q{SELECT * FROM public.lbrec_models}, q{SELECT * FROM public.lbrec_model_details}, q{SELECT * FROM public.lbrec_progress},
		q{SELECT public.lbrec_drop_model('a')}, q{SELECT public.lbrec_drop_model('a', 1)})
	{
		# in a new session, so that no plan is at hand
		is(may('dbowner', "SET search_path = $path; $call"), 'yes', "$call with search_path $path");
	}
}
# pg_temp: tables named like ours
is(may('dbowner', q{CREATE TEMP TABLE model (id int); CREATE TEMP TABLE tensor (id int); SELECT lbrec_train('temp', epochs => 1); SELECT lbrec_recommend(1, 5, 'temp')}), 'yes', 'tables planted in pg_temp');
# CREATE EXTENSION with planted objects in the path
sql(q{CREATE DATABASE planted OWNER dbowner}, db => 'postgres');
sql(q{CREATE SCHEMA evil; CREATE FUNCTION evil.opb(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT (1/0)::text IS NULL'; CREATE OPERATOR evil.= (FUNCTION = evil.opb, LEFTARG = bigint, RIGHTARG = bigint);
	CREATE FUNCTION public.pg_extension_config_dump(regclass, text) RETURNS void LANGUAGE sql AS 'SELECT 1/0';
	SET search_path = evil, public; SET ROLE dbowner; CREATE EXTENSION lbrec SCHEMA public}, db => 'planted');
pass('CREATE EXTENSION among planted objects');
# a function of our name that is there already is not taken over
sql(q{CREATE DATABASE taken OWNER dbowner}, db => 'postgres');
sql(q{CREATE FUNCTION public.lbrec_drop_model(text, integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'}, db => 'taken');
my ($o, $e) = ('', '');
isnt($node->psql('taken', 'CREATE EXTENSION lbrec', stdout => \$o, stderr => \$e), 0, 'an object of our name that is there already: refused');

# A stranger's listens.  Rights to the three columns suffice; a default that is
# missing, out of reach or of another kind is none, what is named is an error.
sql(q{ALTER TABLE listen ADD secret text; INSERT INTO listen SELECT 78, listened_at, recording_msid FROM listen WHERE user_id = 1;
	CREATE ROLE columns; GRANT reader TO columns; CREATE ROLE fewer; GRANT reader TO fewer;
	GRANT SELECT (user_id, listened_at, recording_msid) ON listen TO columns; GRANT SELECT (user_id, recording_msid) ON listen TO fewer});
for my $ask (q{(SELECT basis FROM lbrec_recommend(78, 1, 'a'%s))}, q{(SELECT basis FROM lbrec_recommend_all(1, 'a', '{78}'%s))})
{
	my ($default, $named, $missing) = map { 'SELECT ' . sprintf($ask, $_) } '', q{, listens => 'listen'}, q{, listens => 'nowhere'};
	is(sql("SET ROLE columns; $_"), 'listens', 'rights to the columns suffice') for $default, $named;
	is(sql("SET ROLE $_; $default"), 'popular', "$_: a default out of reach is none") for 'fewer', 'reader';
	is(may($_, $named), '42501', "$_: but an error if it is named") for 'fewer', 'reader';
	is(may('columns', $missing), '42P01', 'what is named must be there');
	is(sql("SET search_path = pg_catalog; " . ($default =~ s/lbrec_rec/public.lbrec_rec/r)), 'popular', 'no default in the path');
	is(sql("CREATE SCHEMA sheets; CREATE TABLE sheets.listen (user_id bigint, what text); SET search_path = sheets, public; $default; DROP SCHEMA sheets CASCADE"), 'popular', 'a default of another kind is none');
	is(sql("CREATE TEMP TABLE listen AS SELECT 79::bigint AS user_id, listened_at, recording_msid FROM public.listen WHERE user_id = 78; " . ($default =~ s/78/79/r)), 'popular', 'a temporary table is no default');
	is(sql("CREATE TEMP TABLE listen AS SELECT 79::bigint AS user_id, listened_at, recording_msid FROM public.listen WHERE user_id = 78; SET search_path = pg_temp, public; $default; RESET search_path; " . ($named =~ s/78/79/r)), "listens\nlistens", '... and is read where it is named');
}
# docs/rights.md: the wrapper that is SECURITY DEFINER, of an owner with a
# reader's rights, against what its caller can plant.
sql(q{CREATE ROLE app; GRANT reader TO app; GRANT SELECT ON listen TO app; CREATE TABLE account (name name, user_id bigint); INSERT INTO account VALUES ('asker', 1);
	GRANT SELECT ON account TO app; CREATE ROLE asker LOGIN; CREATE SCHEMA own AUTHORIZATION asker});
{
	open my $doc, '<', "$FindBin::Bin/../../docs/rights.md" or die;
	my ($wrapper) = do { local $/; <$doc> } =~ /(CREATE FUNCTION my_recommendations.*?\n\$\$;)\n/s;
	like($wrapper, qr/SECURITY DEFINER SET search_path/, 'docs/rights.md has the wrapper');
	sql("$wrapper ALTER FUNCTION my_recommendations OWNER TO app; REVOKE EXECUTE ON FUNCTION my_recommendations FROM PUBLIC; GRANT EXECUTE ON FUNCTION my_recommendations TO asker");
}
my $right = sql(q{SELECT string_agg(recording_msid::text, ',' ORDER BY rank) FROM lbrec_recommend(1, 3, exclude_listened => true)});
for my $schema (qw(pg_temp own))
{
	my $planted = qq{SET search_path = $schema, pg_catalog, public; CREATE FUNCTION $schema.boom() RETURNS bigint LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION 'planted code ran as %', current_user USING errcode = 'EV111'; END \$\$;}
		. join('', map { "CREATE VIEW $schema.$_ AS SELECT $schema.boom() AS user_id, now() AS listened_at, NULL::pg_catalog.uuid AS recording_msid, 'asker'::pg_catalog.name AS name;" } qw(listen account recording model tensor))
		. "CREATE FUNCTION $schema.lbrec_recommend(bigint, integer, exclude_listened boolean DEFAULT true, listens text DEFAULT '') RETURNS TABLE (rank integer, recording_msid pg_catalog.uuid) LANGUAGE sql AS 'SELECT $schema.boom()::int, NULL::pg_catalog.uuid';"
		. "CREATE FUNCTION $schema.lbrec_recommend(bigint, integer) RETURNS TABLE (rank integer, recording_msid pg_catalog.uuid) LANGUAGE sql AS 'SELECT $schema.boom()::int, NULL::pg_catalog.uuid';"
		. "CREATE FUNCTION $schema.same(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT $schema.boom() > 0'; CREATE OPERATOR $schema.= (FUNCTION = $schema.same, LEFTARG = name, RIGHTARG = name);"
		. "CREATE TYPE $schema.uuid AS ENUM ('x'); CREATE TYPE $schema.bigint AS ENUM ('x');";
	is($node->safe_psql('music', qq{$planted SELECT string_agg(recording_msid::text, ',' ORDER BY rank) FROM public.my_recommendations(3)}, extra_params => [ '-U', 'asker' ]),
		$right, "a wrapper that is SECURITY DEFINER, as docs/rights.md has it: planted in $schema");
	is($node->psql('music', qq{$planted SELECT * FROM account}, extra_params => [ '-U', 'asker' ], stderr => \(my $e)), 3, "... where the plants do run for their maker");
}
is(may('stranger', 'SELECT my_recommendations(3)'), '42501', 'nobody else may call it');
sql(q{DROP FUNCTION my_recommendations; DROP SCHEMA own CASCADE; DROP TABLE account; DROP OWNED BY app, asker; DROP ROLE app, asker});

# A temporary table, or a view of one that calls a function of the caller's, is
# the default of nothing, also where its schema is in the path by its own name.
{
	my $planted = q{SET ROLE dbowner; CREATE FUNCTION pg_temp.boom() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted' USING errcode = 'EV111'; END $$;
		CREATE TEMP VIEW listen AS SELECT user_id, listened_at, recording_msid FROM public.listen WHERE user_id <> pg_temp.boom();};
	my $own = q{SELECT set_config('search_path', (SELECT n.nspname FROM pg_namespace AS n WHERE n.oid = pg_my_temp_schema()) || ', public', false);};
	for my $call (q{lbrec_train('t', epochs => 1)}, q{lbrec_tune('t', search => '{"temperature": [1]}', epochs => 1)}, q{lbrec_evaluate('a')}, q{lbrec_evaluate_next('2004-11-09 12:00+00', model => 'a')},
		q{lbrec_recommend(78, 1, 'a')}, q{lbrec_recommend(1, 1, 'a', exclude_listened => true)}, q{lbrec_recommend_all(1, 'a', '{78}')}, q{lbrec_next(1, model => 'a', user_id => 1)},
		q{lbrec_recommend_group('{78}', 1, 'a')}, q{lbrec_score(78, ARRAY[md5('1')::uuid], 'a')}, q{lbrec_explain(78, md5('1')::uuid, 'a')}, q{lbrec_user_embedding(78, 'a')})
	{
		is(may('dbowner', "$planted SELECT * FROM $call"), 'yes', "a temporary listen is not read by $call");
		is(may('dbowner', "$planted $own SELECT * FROM $call"), 'yes', "... nor by the name of its schema");
	}
	is(may('dbowner', "$planted SELECT * FROM lbrec_evaluate('a', 'listen')"), 'EV111', '... but where it is named');
}
is(sql(q{SET ROLE columns; SELECT DISTINCT listens_evaluated > 0 FROM lbrec_evaluate('a')}), 't', 'they suffice to evaluate');
is(may('columns', q{SELECT lbrec_recommend(1, 5, 'a', exclude_listened => true, filter => 'listen')}), 'yes', '... and to exclude and filter');
is(may('fewer', q{SELECT lbrec_evaluate('a')}), '42501', 'fewer do not');
is(may('fewer', q{SELECT lbrec_recommend(1, 5, 'a', exclude_listened => true, filter => 'listen')}), 'yes', '... but exclude and filter');
is(may('reader', q{SELECT lbrec_recommend(1, 5, 'a', exclude_listened => true)}), '42501', 'none do not exclude');
sql(q{DELETE FROM listen WHERE user_id = 78; ALTER TABLE listen DROP secret; DROP OWNED BY columns, fewer; DROP ROLE columns, fewer});

# Row security of listens: a trainer sees their own rows only.
sql(q{ALTER TABLE listen ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON listen TO trainer USING (user_id < 5);
	GRANT CREATE ON SCHEMA public TO trainer;
	SET ROLE trainer; SELECT lbrec_train('few', epochs => 1)});
is(sql(q{SELECT n_users || ' ' || owner FROM lbrec.model WHERE name = 'few'}), '5 trainer', 'row security holds while training');
is(sql(q{SET ROLE trainer; SELECT DISTINCT listens_evaluated FROM lbrec_evaluate('a')}), '150', 'and while evaluating');
is(sql(q{SET ROLE trainer; SELECT count(*) FROM lbrec_recommend(10, 30, 'a', exclude_listened => true)}), '30', 'and in what is excluded');
is(sql(q{SELECT count(*) < 30 FROM lbrec_recommend(10, 30, 'a', exclude_listened => true)}), 't', '... while the owner sees all');

# ... and in a filter, and for an unknown user
sql(q{CREATE TABLE allowed AS SELECT DISTINCT recording_msid, user_id FROM listen; ALTER TABLE allowed ENABLE ROW LEVEL SECURITY;
	CREATE POLICY few ON allowed TO trainer USING (user_id = 1); GRANT SELECT ON allowed TO trainer});
my $of_1 = sql(q{SELECT count(DISTINCT recording_msid) FROM allowed WHERE user_id = 1});
cmp_ok($of_1, '<', 30, 'user 1 has not all recordings');
is(sql(q{SELECT count(*) FROM lbrec_recommend(1, 30, 'a', filter => 'allowed')}), '30', 'a filter by a table with row security: all for its owner');
is(sql(qq{SET ROLE trainer; SELECT count(*) FROM lbrec_recommend(1, $of_1, 'a', filter => 'allowed')}), $of_1, '... what the policy shows for others');
is(sql(q{INSERT INTO listen SELECT 77, now(), recording_msid FROM listen WHERE user_id = 1; SET ROLE trainer; SELECT DISTINCT basis FROM lbrec_recommend(77, 5, 'a')}), 'popular', 'listens that the policy hides describe no stranger');
is(sql(q{SELECT DISTINCT basis FROM lbrec_recommend(77, 5, 'a')}), 'listens', '... and do for who sees them');
# Trainers trust each other; the owner of the extension, no superuser, cannot
# make code of theirs run as a trainer.
is(may('dbowner', 'CREATE FUNCTION public.spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; CREATE TRIGGER spy BEFORE INSERT ON lbrec.model FOR EACH ROW EXECUTE FUNCTION public.spy()'), '42501', 'no trigger on the tables');
is(may('dbowner', "CREATE TABLE lbrec.planted (i int)"), '42501', 'nor a table beside them');
is(may('dbowner', 'GRANT SELECT ON lbrec.model TO other'), 'yes', 'grants, the owner can give');
# rows that a slip makes
for my $slip (q{version = 2147483647}, q{version = 0}, q{activation = 9223372036854775807}, q{activation = -1}, q{name = ''}, q{name = repeat('x', 256)}, q{n_users = -1})
{
	is(may('trainer', "UPDATE lbrec.model SET $slip"), '23514', "refused: $slip");
}
# one beyond the sequence does not hide what is activated after it
is(may('trainer', q{UPDATE lbrec.model SET activation = 1000000 WHERE name = 'few'; SELECT lbrec_activate('a'); SELECT 1 / ((SELECT name FROM lbrec.model ORDER BY activation DESC LIMIT 1) = 'a')::int}), 'yes', 'an activation is above all others');
is(may('trainer', q{UPDATE lbrec.model SET activation = 1000000 WHERE name = 'few'; SELECT lbrec_train('a', epochs => 1); SELECT 1 / ((SELECT name FROM lbrec.model ORDER BY activation DESC LIMIT 1) = 'a')::int}), 'yes', 'that of a training, too');
# a policy on models hides them
{
	sql(q{ALTER TABLE listen DISABLE ROW LEVEL SECURITY; ALTER TABLE lbrec.model ENABLE ROW LEVEL SECURITY; CREATE POLICY read ON lbrec.model FOR SELECT TO reader USING (name <> 'few')});
	is(may('reader', q{SELECT lbrec_recommend(1, 5, 'few')}), '42704', 'a model that a policy hides does not answer');
	is(may('reader', q{SELECT lbrec_recommend(1, 5, 'a')}), 'yes', 'others do');
	sql(q{DROP POLICY read ON lbrec.model; ALTER TABLE lbrec.model DISABLE ROW LEVEL SECURITY; ALTER TABLE listen ENABLE ROW LEVEL SECURITY});
}
# A function that answers for its caller only, as docs/rights.md has it.
{
	my $page = slurp_file("$FindBin::Bin/../../docs/rights.md");
	my ($function) = $page =~ /^```sql\n(CREATE FUNCTION my_recommendations.*?)^```/sm;
	ok(defined $function, 'docs/rights.md has a function');
	sql("SET ROLE dbowner; CREATE TABLE account (name name, user_id bigint); INSERT INTO account VALUES ('stranger', 3)");
	sql("$function; ALTER FUNCTION my_recommendations OWNER TO dbowner; GRANT EXECUTE ON FUNCTION my_recommendations TO stranger");
	is(sql(q{SET SESSION AUTHORIZATION stranger; SELECT count(*) FROM my_recommendations(5)}), '5', 'a function of the owner answers a stranger');
	is(may('stranger', q{CREATE TEMP TABLE account (name name, user_id bigint); SELECT * FROM my_recommendations(5)}), 'yes', '... whatever they plant');
}

# A query of listens runs as the caller, with the caller's rights.
sql(q{SET ROLE other; CREATE VIEW evil.trojan AS SELECT user_id, listened_at, recording_msid FROM public.listen});
is(may('trainer', q{SELECT lbrec_train('t', 'evil.trojan', epochs => 1)}), '42501', 'a view runs with its owner\'s rights');
# nothing runs a stored query again
sql(q{CREATE TABLE trace (who text); GRANT INSERT ON trace TO PUBLIC;
	SET ROLE trainer; CREATE FUNCTION public.noted(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN IF current_setting('test.armed', true) = 'on' THEN RAISE 'stored query ran'; END IF; RETURN $1; END $$;
	SELECT lbrec_train('trojan', 'SELECT noted(user_id) AS user_id, listened_at, recording_msid FROM listen', epochs => 1)});
is(may('dbowner', q{SET test.armed = on; SELECT * FROM lbrec_models; SELECT lbrec_recommend(1, 5, 'trojan'); SELECT lbrec_recommend(1, 5, 'trojan', exclude_listened => true);
	SELECT lbrec_activate('trojan'); SELECT lbrec_evaluate('trojan'); SELECT lbrec_curves_svg('{trojan}'); SELECT lbrec_drop_model('trojan')}), 'yes', 'the query that a model was trained on is never run again');

# Any text that a role shows as its query leaves the view of progress whole.
is(may('dbowner', q{SELECT * FROM lbrec_progress}), 'yes', 'the view of progress holds');
for my $line ([ 'lbrec_train "x": training, epoch 3 of 9; 99999999999999 s left at 5; 6 listens/s; 7 MB', 0 ], [ 'lbrec_train "a": b"; DROP; ": reading; ? s left at 1796094242; 500000000000 listens/s; 7 MB', 1 ])
{
	is(sql("SELECT count(*) FROM regexp_match('$line->[0]', (regexp_match(pg_get_viewdef('lbrec_progress'), '(\\^\\(lbrec_[^'']*)'))[1]) AS m WHERE m IS NOT NULL"), $line->[1],
		$line->[1] ? 'lines of lbrec are taken apart' : 'numbers that are too large for the view do not match');
}
# A long name is cut between two characters.
{
	my $name = 'x' . "\xc3\xa4" x 60;
	my $run = start_psql($node, qq{SELECT lbrec_train('$name', epochs => 100000, settings => '{"evaluate_every": 100000}')}, db => 'music');
	my $shown = '';
	ok(wait_until(sub { ($shown = sql(q{SELECT encode(convert_to(model, 'UTF8'), 'hex') FROM lbrec_progress})) ne '' }), 'a training with a long name is seen');
	is($shown, unpack('H*', 'x' . "\xc3\xa4" x 49), 'its name cut between two characters');
	sql(q{SELECT pg_cancel_backend(pid) FROM lbrec_progress});
	finish_psql($run);
}
# Settings: a bound that users cannot pass, also not before the library is
# loaded, when any name can be set.
sql(q{ALTER DATABASE music SET lbrec.max_threads = 1});
is(may('stranger', q{SET lbrec.max_threads = 0}), 'yes', 'before the library is loaded a setting is only a name');
{
	# threads of the backend, while it trains with what its user asked for
	my $run = start_psql($node, q{SET SESSION AUTHORIZATION trainer; SET application_name = 'greedy'; SET lbrec.max_threads = 0; SET lbrec.threads = 8;
		SELECT lbrec_train('never', epochs => 100000, settings => '{"evaluate_every": 100000}'); }, db => 'music');
	my $threads = '';
	ok(wait_until(sub {
		my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'greedy' AND query ~ 'epoch [0-9]+ of'});
		return 0 if $pid eq '';
		($threads) = slurp_file("/proc/$pid/status") =~ /^Threads:\s*(\d+)/m;
		sql("SELECT pg_cancel_backend($pid)");
		return 1;
	}), 'a training of a greedy user');
	finish_psql($run);
	is($threads, '1', 'has the threads that the administrator allows');
	like($run->{err}, qr/permission denied to set parameter "lbrec.max_threads"/, 'and its user is told');
}
is(may('reader', q{SELECT lbrec_curves_svg('{a}'); SET lbrec.max_threads = 0}), '42501', 'loaded, it is a superuser\'s');
is(may('reader', q{SELECT lbrec_curves_svg('{a}'); SET lbrec.cpu = 'portable'}), '42501', 'so is the instruction set');
is(may('reader', qq{SELECT lbrec_curves_svg('{a}'); SET $_ = 0}), '42501', "so is $_") for qw(lbrec.max_spool_mem lbrec.max_model_memory lbrec.shared_images);
# the administrator's bound holds whatever the user asks for: a temporary file
# of 16 bytes a listen, and a sorted one, are made although lbrec.spool_mem has room for all
sql(q{CREATE TABLE played AS SELECT i % 50 AS user_id, to_timestamp(1100000000 + i) AS listened_at, md5((i % 90)::text)::uuid AS recording_msid FROM generate_series(1, 20000) AS i; GRANT SELECT ON played TO trainer});
my $spooled = sub {
	sql(q{ALTER DATABASE music SET lbrec.max_spool_mem = '} . $_[0] . q{'});
	my $offset = -s $node->logfile;
	sql(q{SET log_temp_files = 0; SET SESSION AUTHORIZATION trainer; SET lbrec.spool_mem = '1GB'; SELECT lbrec_train('spooled', 'played', epochs => 1, settings => '{"embedding_dim": 4}', split => 'none')});
	return scalar(() = log_since($node, $offset) =~ /LOG:  temporary file: path .* size 3\d{5}$/mg);
};
is($spooled->('0'), '0', 'without lbrec.max_spool_mem listens stay in memory');
isnt($spooled->('100kB'), '0', 'with it they do not');
sql(q{ALTER DATABASE music RESET lbrec.max_spool_mem});
is(may('other', q{SET lbrec.spool_mem = '1GB'}), 'yes', 'anybody sets their own lbrec.spool_mem');
is(may('stranger', q{SET lbrec.threads = 1}), 'yes', 'anybody sets their own threads');
is_well($node, 'at the end');
$node->stop;
done_testing();
