# ALTER EXTENSION lbrec UPDATE, from every release to the present version, and
# from the present version to a made-up next one.
#
# A release is test/update/lbrec--VERSION.sql, its own script, and
# models-VERSION.sql, a dump of models that it trained.  The made-up next
# version keeps the test alive where nothing is released yet: its script is
# the present one with a few changes, and its update script makes the same
# changes.  For each update: a call by the old declarations does not crash the
# library, the update leaves the same catalogue as CREATE EXTENSION of the new
# version, roles keep what was granted to them, and the old models answer what
# they answered.
#
# A difference is printed as the object, the property and both values.  To fix
# it, make sql/lbrec--OLD--NEW.sql create what sql/lbrec--NEW.sql has.  Put new
# columns last there, because ALTER TABLE does.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($present) = slurp_file("$FindBin::Bin/../../lbrec.control") =~ /^default_version = '(.*)'/m;
my $next = "$present.next";
my $releases = "$FindBin::Bin/../update";
my @released = map { m{lbrec--([^/]*)\.sql$} } sort glob "$releases/lbrec--*.sql";
# Other scripts stand in the server's folder only while the test runs.
chomp(my $folder = `pg_config --sharedir`);
$folder .= '/extension';
plan skip_all => "$folder cannot be written" unless -w $folder;
my @made;
END { unlink @made; }

sub make_script
{
	my ($name, $text) = @_;
	my $file = "$folder/$name";
	return if -e $file;
	append_to_file($file, $text);
	push @made, $file;
	return;
}
make_script("lbrec--$_.sql", slurp_file("$releases/lbrec--$_.sql")) for @released;

# The next version: where its script differs from the present one, how, and the
# statement that updates to it.
my $next_function = q{CREATE FUNCTION lbrec_added() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
	REVOKE EXECUTE ON FUNCTION lbrec_added FROM PUBLIC;};
my @changes = (
	[ qr/CREATE TABLE lbrec\.epoch \(.*?\K,\n\tPRIMARY KEY/s, ",\n\tpeak double precision,\n\tPRIMARY KEY", 'ALTER TABLE lbrec.epoch ADD COLUMN peak double precision;' ],
	[ qr/CREATE FUNCTION lbrec_similar\([^;]*?COST \K\d+/s, '7', 'ALTER FUNCTION lbrec_similar COST 7;' ],
	[ qr/COMMENT ON TABLE lbrec\.epoch IS '\K[^']*/, 'epochs', q{COMMENT ON TABLE lbrec.epoch IS 'epochs';} ],
	[ qr/\z/, "\n$next_function\n", $next_function ]);
my $next_script = slurp_file("$folder/lbrec--$present.sql");
for my $change (@changes)
{
	my ($where, $new) = @$change;
	ok($next_script =~ s/$where/$new/, "the next version's script is changed at $where");
}
my @updates = map { $_->[2] } @changes;
make_script("lbrec--$next.sql", $next_script);
make_script("lbrec--$present--$next.sql", join "\n", @updates);
# Updates that forget one statement each.
for my $i (0 .. $#updates)
{
	make_script("lbrec--$present--$next$i.sql", join "\n", '', @updates[ grep { $_ != $i } 0 .. $#updates ]);
}

my $node = new_cluster('upgrade', bare => 1);
$node->safe_psql('postgres', 'CREATE ROLE installer LOGIN; CREATE ROLE trainer; CREATE ROLE reader');

# Every fact about the extension's objects: object, property, value.  Grants to
# reader do not count: an administrator made them.
my $facts = <<'SQL';
SET search_path = pg_catalog;
CREATE TEMP VIEW member AS
SELECT d.classid, d.objid, i.type, i.identity
FROM pg_depend AS d, LATERAL pg_identify_object(d.classid, d.objid, 0) AS i
WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'lbrec');
CREATE FUNCTION pg_temp.acl(aclitem[]) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(format('%s from %s: %s%s',
			CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, grantor::regrole,
			privilege_type, CASE WHEN is_grantable THEN ' with grant option' END), ', '
		ORDER BY grantee::regrole::text, grantor::regrole::text, privilege_type), 'the default')
	FROM aclexplode($1) WHERE grantee IS DISTINCT FROM to_regrole('reader')::oid $$;

SELECT object, property, regexp_replace(coalesce(value, 'none'), '\s+', ' ', 'g') FROM (
	SELECT type || ' ' || identity AS object, 'is there' AS property, 'yes' AS value FROM member
	UNION ALL
	SELECT type || ' ' || identity, 'comment', obj_description(objid, (SELECT relname FROM pg_class WHERE oid = classid)) FROM member
	UNION ALL
	SELECT m.type || ' ' || identity, 'initial privileges that pg_dump takes as given', pg_temp.acl(initprivs)
	FROM member AS m JOIN pg_init_privs AS i ON (i.classoid, i.objoid, i.objsubid) = (m.classid, m.objid, 0)
	-- the extension
	UNION ALL
	SELECT 'the extension', p, v FROM pg_extension AS e, LATERAL (VALUES
		('version', extversion), ('relocatable', extrelocatable::text), ('schema', extnamespace::regnamespace::text),
		('owner', extowner::regrole::text),
		('what pg_dump takes the rows of', (SELECT string_agg(c::regclass || ' ' || w, ', ' ORDER BY c::regclass::text) FROM unnest(extconfig, extcondition) AS u (c, w)))) AS v (p, v)
	WHERE extname = 'lbrec'
	-- functions
	UNION ALL
	SELECT m.type || ' ' || identity, p, v
	FROM member AS m JOIN pg_proc AS f ON f.oid = m.objid AND m.classid = 'pg_proc'::regclass, LATERAL (VALUES
		('arguments', pg_get_function_arguments(f.oid)), ('result', pg_get_function_result(f.oid)),
		('volatility', provolatile::text), ('parallel', proparallel::text), ('cost', procost::text), ('rows', prorows::text),
		('support', prosupport::text), ('strict', proisstrict::text), ('leakproof', proleakproof::text),
		('security definer', prosecdef::text), ('kind', prokind::text), ('settings', proconfig::text),
		('language', (SELECT lanname FROM pg_language WHERE oid = prolang)), ('body', prosrc), ('library', probin),
		('SQL body', pg_get_function_sqlbody(f.oid)), ('variadic', provariadic::regtype::text),
		('owner', proowner::regrole::text), ('rights', pg_temp.acl(proacl)),
		('aggregate', (SELECT (to_jsonb(a) - '{aggfnoid,aggtransfn,aggfinalfn,aggcombinefn,aggserialfn,aggdeserialfn,aggtranstype}'::text[])::text
			|| concat_ws(' ', aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggtranstype::regtype) FROM pg_aggregate AS a WHERE aggfnoid = f.oid))) AS v (p, v)
	-- schemas
	UNION ALL
	SELECT m.type || ' ' || identity, p, v
	FROM member AS m JOIN pg_namespace AS n ON n.oid = m.objid AND m.classid = 'pg_namespace'::regclass, LATERAL (VALUES
		('owner', nspowner::regrole::text), ('rights', pg_temp.acl(nspacl))) AS v (p, v)
	-- tables, views, sequences
	UNION ALL
	SELECT m.type || ' ' || identity, p, v
	FROM member AS m JOIN pg_class AS c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass, LATERAL (VALUES
		('kind', relkind::text), ('persistence', relpersistence::text), ('settings', reloptions::text), ('row security', relrowsecurity::text || relforcerowsecurity),
		('replica identity', relreplident::text), ('owner', relowner::regrole::text), ('rights', pg_temp.acl(relacl)),
		('query', CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END),
		('sequence', (SELECT (to_jsonb(s) - '{seqrelid,seqtypid}'::text[])::text || seqtypid::regtype FROM pg_sequence AS s WHERE seqrelid = c.oid)),
		('columns', (SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)),
		('policies', (SELECT string_agg(to_jsonb(p)::text, ' ') FROM pg_policies AS p WHERE (schemaname, tablename) = (relnamespace::regnamespace::text, relname))),
		('rules', (SELECT string_agg(pg_get_ruledef(r.oid), ' ' ORDER BY rulename) FROM pg_rewrite AS r WHERE ev_class = c.oid AND relkind NOT IN ('v', 'm')))) AS v (p, v)
	UNION ALL
	SELECT m.type || ' ' || identity || ', column ' || attname, p, v
	FROM member AS m JOIN pg_attribute AS a ON attrelid = m.objid AND m.classid = 'pg_class'::regclass AND attnum > 0 AND NOT attisdropped
		LEFT JOIN pg_attrdef AS d ON adrelid = attrelid AND adnum = attnum, LATERAL (VALUES
		('type', format_type(atttypid, atttypmod)), ('not null', attnotnull::text), ('default', pg_get_expr(adbin, adrelid)),
		('identity', attidentity::text), ('generated', attgenerated::text), ('storage', attstorage::text), ('compression', attcompression::text),
		('collation', CASE WHEN attcollation <> 0 THEN attcollation::regcollation::text END), ('rights', pg_temp.acl(attacl)),
		('comment', col_description(attrelid, attnum))) AS v (p, v)
	UNION ALL
	SELECT m.type || ' ' || identity || ', constraint ' || conname, p, v
	FROM member AS m JOIN pg_constraint AS c ON conrelid = m.objid AND m.classid = 'pg_class'::regclass, LATERAL (VALUES
		('definition', pg_get_constraintdef(c.oid)), ('comment', obj_description(c.oid, 'pg_constraint'))) AS v (p, v)
	UNION ALL
	SELECT m.type || ' ' || identity || ', index ' || indexrelid::regclass, 'definition', pg_get_indexdef(indexrelid)
	FROM member AS m JOIN pg_index AS i ON indrelid = m.objid AND m.classid = 'pg_class'::regclass
	UNION ALL
	SELECT m.type || ' ' || identity || ', trigger ' || tgname, 'definition', pg_get_triggerdef(t.oid) || tgenabled::text
	FROM member AS m JOIN pg_trigger AS t ON tgrelid = m.objid AND m.classid = 'pg_class'::regclass AND NOT tgisinternal
	-- types that are not a table's
	UNION ALL
	SELECT m.type || ' ' || identity, p, v
	FROM member AS m JOIN pg_type AS t ON t.oid = m.objid AND m.classid = 'pg_type'::regclass, LATERAL (VALUES
		('rights', pg_temp.acl(typacl)), ('owner', typowner::regrole::text),
		('type', (to_jsonb(t) - '{oid,typnamespace,typowner,typrelid,typelem,typarray,typbasetype,typacl}'::text[])::text),
		('base type', format_type(typbasetype, typtypmod)),
		('labels', (SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)),
		('domain', (SELECT string_agg(conname || pg_get_constraintdef(oid), ', ' ORDER BY conname) FROM pg_constraint WHERE contypid = t.oid)),
		('columns', (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
			WHERE attrelid = typrelid AND typtype = 'c' AND attnum > 0 AND NOT attisdropped))) AS v (p, v)
	-- casts, and what this query must learn to describe
	UNION ALL
	SELECT m.type || ' ' || identity, 'cast', concat_ws(' ', castfunc::regprocedure, castcontext, castmethod)
	FROM member AS m JOIN pg_cast AS c ON c.oid = m.objid AND m.classid = 'pg_cast'::regclass
	UNION ALL
	SELECT m.type || ' ' || identity, 'UNKNOWN', 'test/t/017_update.pl cannot describe objects of ' || classid::regclass || ' yet'
	FROM member AS m WHERE classid NOT IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_namespace'::regclass, 'pg_type'::regclass, 'pg_cast'::regclass)
) AS f (object, property, value)
ORDER BY 1, 2, 3
SQL

sub facts_of
{
	my ($db) = @_;
	my %fact;
	my $rows = $node->safe_psql($db, $facts, extra_params => [ '-F', "\t" ]);
	for my $row (split /\n/, $rows)
	{
		my ($object, $property, $value) = split /\t/, $row, 3;
		is($property, 'is there', "$db: $object: $value") if $property eq 'UNKNOWN';
		$fact{"$object\t$property"} = $value;
	}
	return \%fact;
}

# The differences of two catalogues as lines.  Of an object that only one of
# them has it is enough to say so.
sub differences
{
	my ($updated, $fresh) = @_;
	my @told;
	for my $key (sort keys %{ { %$updated, %$fresh } })
	{
		my ($object, $property) = split /\t/, $key;
		my ($u, $f) = ($updated->{$key}, $fresh->{$key});
		# "table t, column c" is within "table t"
		my $whole = ($object =~ s/, (column|constraint|index|trigger) .*//r) . "\tis there";
		next if defined $u && defined $f && $u eq $f;
		if (defined $u && defined $f)
		{
			push @told, "$object: $property after the update: \"$u\", of a new installation: \"$f\"";
		}
		elsif ($property eq 'is there')
		{
			push @told, "$object: " . (defined $u ? 'the update leaves it, a new installation has none' : 'the update does not make it');
		}
		elsif (exists $updated->{$whole} && exists $fresh->{$whole})
		{
			push @told, "$object: $property: " . (defined $u ? "\"$u\" only after the update" : "\"$f\" only of a new installation");
		}
	}
	return @told;
}

# A database of installer's, not a superuser: the extension is trusted.
sub make_database
{
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, "GRANT CREATE ON DATABASE $db TO installer; GRANT CREATE ON SCHEMA public TO installer");
	return;
}

# As installer, ends at the first error.
sub by_installer
{
	my ($db, $sql) = @_;
	my ($out, $err) = ('', '');
	$node->psql($db, $sql, stdout => \$out, stderr => \$err, on_error_stop => 1, extra_params => [ '-U', 'installer' ]);
	return $err;
}

# The models' answers when they were made, and now.  Scores are the
# same to the last bits but for the mathematical library's.
my $answers = q{
SELECT count(*), count(*) FILTER (WHERE abs(a.score - n.score) > 1e-5 OR n.score IS NULL),
	count(*) FILTER (WHERE a.recording_msid <> n.recording_msid
		AND NOT EXISTS (SELECT FROM answer AS t WHERE (t.model, t.call, t.user_id) IS NOT DISTINCT FROM (a.model, a.call, a.user_id)
			AND t.rank <> a.rank AND abs(t.score - a.score) < 1e-4))
FROM answer AS a LEFT JOIN LATERAL (
	SELECT rank, recording_msid, score FROM lbrec_recommend(a.user_id, 5, a.model, at => '2005-03-01 12:00+00') WHERE a.call = 'recommend'
	UNION ALL
	SELECT rank, recording_msid, score FROM lbrec_similar(ARRAY[md5('recording 1')::uuid], 5, a.model) WHERE a.call = 'similar') AS n USING (rank)};

make_database('fresh');
is(by_installer('fresh', 'CREATE EXTENSION lbrec'), '', "$present installed by a role that is no superuser");
my $fresh = facts_of('fresh');
cmp_ok(scalar keys %$fresh, '>', 500, 'the catalogue has ' . scalar(keys %$fresh) . ' facts');
# The test must be able to fail: it finds one change of each kind.
for my $change (
	[ 'a cost', 'ALTER FUNCTION lbrec_similar COST 7', qr/^function public\.lbrec_similar\(.*: cost after the update: "7"/m ],
	[ 'a right', 'GRANT SELECT ON lbrec.tensor TO trainer', qr/^table lbrec\.tensor: rights after the update: .*trainer/m ],
	[ 'a comment', q{COMMENT ON COLUMN lbrec.model.query IS 'x'}, qr/^table lbrec\.model, column query: comment after the update: "x"/m ],
	[ 'a column', 'ALTER TABLE lbrec.epoch ADD extra int', qr/^table lbrec\.epoch, column extra: .* only after the update/m ],
	[ 'a constraint', 'ALTER TABLE lbrec.epoch ADD CONSTRAINT c CHECK (loss > 0)', qr/constraint c: definition: .* only after the update/m ],
	[ 'a lost function', 'ALTER EXTENSION lbrec DROP FUNCTION lbrec_similar', qr/^function public\.lbrec_similar\(.*: the update does not make it/m ],
	[ 'a function too many', 'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$; ALTER EXTENSION lbrec ADD FUNCTION f()', qr/^function public\.f\(\): the update leaves it/m ],
	[ 'a view', q{CREATE OR REPLACE VIEW lbrec_progress AS SELECT a.pid, a.usename, a.datname, ''::text AS command, ''::text AS model, ''::text AS phase, 1::numeric AS percent,
			now() - now() AS elapsed, now() AS estimated_end, 3::bigint AS listens_per_second, 4::bigint AS memory, a.query_start AS started FROM pg_stat_activity AS a}, qr/^view public\.lbrec_progress: query after/m ],
	[ 'what pg_dump takes', q{UPDATE pg_extension SET extcondition[1] = 'WHERE false' WHERE extname = 'lbrec'}, qr/^the extension: what pg_dump takes/m ])
{
	my ($what, $sql, $like) = @$change;
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS changed');
	$node->safe_psql('postgres', 'CREATE DATABASE changed TEMPLATE fresh');
	$node->safe_psql('changed', $sql);
	like(join("\n", differences(facts_of('changed'), $fresh)), $like, "a difference is told: $what");
}

# Updates from a version to another; models is a dump of the old one's.
sub check_update
{
	my ($old, $new, $models) = @_;
	(my $db = "from_$old") =~ tr/a-z0-9_/_/c;
	make_database("new_$db");
	is(by_installer("new_$db", "CREATE EXTENSION lbrec VERSION '$new'"), '', "$new installed");
	my $fresh = facts_of("new_$db");

	make_database($db);
	is(by_installer($db, "CREATE EXTENSION lbrec VERSION '$old'"), '', "$old installed");
	$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), '-f', $models ], "$old: a dump of its models restored");
	$node->safe_psql($db, q{GRANT SELECT ON ALL TABLES IN SCHEMA lbrec TO reader; GRANT USAGE ON SCHEMA lbrec TO reader;
		GRANT SELECT ON lbrec_models, listen TO reader});

	# Between the new library's installation and the update, sessions call old
	# declarations: an answer or an error that says what to do.
	$node->safe_psql($db, q{SELECT lbrec_activate('features')});
	for my $f (split /\n/, $node->safe_psql($db, q{
		SELECT p.oid::regproc || '(' || coalesce((SELECT string_agg(CASE
			WHEN t = 'bigint'::regtype AND n = 'user_id' THEN '1' WHEN n = 'model' THEN '''default'''
			WHEN n IN ('recording', 'recordings', 'models') THEN (CASE t WHEN 'uuid'::regtype THEN 'md5(''recording 1'')::uuid' WHEN 'uuid[]'::regtype THEN 'ARRAY[md5(''recording 1'')::uuid]' ELSE 'ARRAY[''default'']' END)
			ELSE 'NULL' END || '::' || t::regtype, ', ' ORDER BY i)
			FROM unnest(p.proargtypes::oid[], p.proargnames[1:pronargs]) WITH ORDINALITY AS u (t, n, i) WHERE i <= pronargs - pronargdefaults), '') || ')'
		FROM pg_proc AS p JOIN pg_depend AS d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
		WHERE p.proname LIKE 'lbrec\_%' AND p.prorettype <> 'internal'::regtype AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[])
			AND (SELECT bool_and(t <> 'anyelement'::regtype) IS NOT FALSE FROM unnest(p.proargtypes::oid[]) AS t) ORDER BY 1}))
	{
		my ($out, $err) = ('', '');
		$node->psql($db, "SET client_min_messages = warning; BEGIN; SELECT count(*) FROM $f; ROLLBACK", stdout => \$out, stderr => \$err, on_error_stop => 1);
		ok($err eq '' || $err =~ /^HINT:/m, "$old: the old declaration of $f") or diag($err);
	}

	$node->safe_psql($db, q{SELECT lbrec_activate('default', 1)});

	is(by_installer($db, "ALTER EXTENSION lbrec UPDATE TO '$new'"), '', "$old: updated to $new by a role that is no superuser");
	my $updated = facts_of($db);
	my @differ = differences($updated, $fresh);
	is(join("\n", @differ), '', "$old: the same catalogue as a new installation")
	  or diag("complete sql/lbrec--$old--$new.sql: " . @differ . ' differences');

	is($node->safe_psql($db, $answers), $node->safe_psql($db, 'SELECT count(*) FROM answer') . '|0|0', "$old: its models answer as they did");
	is($node->safe_psql($db, q{SET ROLE reader; SELECT count(*) FROM lbrec_models; SELECT count(*) FROM lbrec_recommend(1, 5)}), "4\n5", "$old: a role that could read still can");
	is($node->safe_psql($db, q{SELECT count(*) FROM lbrec_train('default', epochs => 1); SELECT max(version) FROM lbrec.model WHERE name = 'default'}), "1\n3",
		"$old: the next version is trained");

	# an old dump into a database of the new version
	(my $restored = "restored_$old") =~ tr/a-z0-9_/_/c;
	make_database($restored);
	$node->safe_psql($restored, "CREATE EXTENSION lbrec VERSION '$new'");
	$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($restored), '-f', $models ], "$old: its dump restored into $new");
	is($node->safe_psql($restored, $answers), $node->safe_psql($restored, 'SELECT count(*) FROM answer') . '|0|0', "$old: ... answers as it did");

	# dumped after the update, the same again
	my $dump = $node->basedir . "/$db.sql";
	$node->command_ok([ 'pg_dump', '-d', $node->connstr($db), '-f', $dump ], "$old: dumped after the update");
	$node->safe_psql('postgres', "CREATE DATABASE again_$db");
	$node->safe_psql("again_$db", "CREATE EXTENSION lbrec VERSION '$new'");
	$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr("again_$db"), '-f', $dump ], "$old: ... and restored");
	is($node->safe_psql("again_$db", 'SET ROLE reader; SELECT count(*) FROM lbrec_recommend(1, 5)'), '5', "$old: ... with the rights that were given");
	return;
}

# Models that the present version trains, and what they answer, as a release
# leaves them.
make_database('made');
my $made = $node->basedir . '/models.sql';
$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('made'), '-o', '/dev/null', '-f', "$releases/make_models.sql" ], 'models are made');
$node->command_ok([ 'pg_dump', '--no-owner', '--no-comments', '-d', $node->connstr('made'), '-f', $made ], 'and dumped');

check_update($_, $present, "$releases/models-$_.sql") for @released;
check_update($present, $next, $made);

# An update that forgets something is found.
my $next_facts = facts_of('new_from_' . ($present =~ tr/a-z0-9_/_/cr));
for my $i (0 .. $#updates)
{
	$node->safe_psql('postgres', 'DROP DATABASE changed');
	make_database('changed');
	is(by_installer('changed', "CREATE EXTENSION lbrec VERSION '$present'; ALTER EXTENSION lbrec UPDATE TO '$next$i'"), '', "an update without: $updates[$i]");
	cmp_ok(scalar(grep { !/^the extension: version/ } differences(facts_of('changed'), $next_facts)), '>=', 1, '... is told to be incomplete');
}
is_well($node, 'at the end');
$node->stop;
done_testing();
