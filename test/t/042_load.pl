# Many sessions call lbrec_recommend, some with a connection for each call, while
# versions are trained, activated, rolled back, dropped and made again.  Each
# answer must be completely that of the version that the statement's own
# snapshot sees as active.  The only error allowed is the documented one: a name
# without an active version is undefined_object.
#
# The training session keeps what each version answers, computed without the
# shared image, in the version's own transaction; ask() compares with it in
# the same statement that asks.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_cluster('load');
make_listens($node, 40, 600, 15);

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(q{
	CREATE TABLE expected (model bigint, user_id bigint, digest bigint, PRIMARY KEY (model, user_id));
	CREATE UNLOGGED TABLE wrong (name text, user_id bigint, model bigint, digest bigint);
	CREATE SEQUENCE answered; CREATE SEQUENCE missing; CREATE SEQUENCE seed;
	CREATE FUNCTION active_model(name text) RETURNS bigint STABLE LANGUAGE sql AS
	$$SELECT id FROM lbrec.model AS m WHERE m.name = $1 AND activation > 0 ORDER BY activation DESC LIMIT 1$$;

	-- source is a call, of $1, the user, and $2, the model
	CREATE FUNCTION ask(u bigint, name text, source text DEFAULT 'lbrec_recommend($1, 20, $2)') RETURNS void VOLATILE LANGUAGE plpgsql AS
	$f$ BEGIN
		EXECUTE format('
			WITH answer AS MATERIALIZED (SELECT rank, recording_msid, score FROM %s),
			found AS (SELECT active_model($2) AS model, count(*) AS n,
				bit_xor(uuid_hash_extended(recording_msid, rank) # hashfloat4extended(score, rank)) AS digest FROM answer)
			INSERT INTO wrong SELECT $2, $1, f.model, f.digest FROM found AS f
			LEFT JOIN expected AS e ON e.model = f.model AND e.user_id = $1
			WHERE f.n <> 20 OR e.digest IS DISTINCT FROM f.digest', source) USING u, name;
		PERFORM nextval('answered');
	EXCEPTION WHEN undefined_object THEN
		PERFORM nextval('missing');
	END $f$;

	CREATE FUNCTION train(name text) RETURNS bigint VOLATILE LANGUAGE plpgsql SET lbrec.shared_images = off AS
	$f$ BEGIN
		PERFORM lbrec_train(name, epochs => 1, settings => '{"embedding_dim": 8, "ensemble": 1, "refit": false, "temperature": 0.1}', seed => nextval('seed'));
		INSERT INTO expected SELECT active_model(name), u, (
			SELECT bit_xor(uuid_hash_extended(recording_msid, rank) # hashfloat4extended(score, rank)) FROM lbrec_recommend(u, 20, name))
		FROM generate_series(1, 40) AS u;
		RETURN active_model(name);
	END $f$;

	SELECT train('a'); SELECT train('a'); SELECT train('other')});

# --- the check can fail ------------------------------------------------------

sql(q{SELECT ask(u, 'a') FROM generate_series(1, 40) AS u});
is(sql('SELECT count(*) FROM wrong'), '0', 'forty right answers');
for my $spoiled (
	[ 'half of another model', q{(SELECT * FROM lbrec_recommend($1, 20, $2) WHERE rank <= 10 UNION ALL SELECT * FROM lbrec_recommend($1, 20, 'other') WHERE rank > 10) AS x} ],
	[ 'another model', q{lbrec_recommend($1, 20, 'other' || left($2, 0))} ],
	[ 'one row of another user', q{(SELECT * FROM lbrec_recommend($1, 20, $2) WHERE rank < 20 UNION ALL SELECT * FROM lbrec_recommend($1 % 40 + 1, 20, $2) WHERE rank = 20) AS x} ],
	[ 'a row less', q{lbrec_recommend($1, 19, $2)} ])
{
	my ($name, $source) = @$spoiled;
	sql("SELECT ask(u, 'a', \$s\$$source\$s\$) FROM generate_series(1, 40) AS u");
	is(sql('SELECT count(*) FROM wrong'), '40', "$name: forty are wrong");
	sql('TRUNCATE wrong');
}

# --- activated and rolled back -----------------------------------------------

{
	my $asked = q{SELECT md5(string_agg(r::text, ' ' ORDER BY rank)) FROM lbrec_recommend(7, 20, 'a', at => '2005-01-01') AS r};
	my $held = $node->background_psql('postgres');
	my $second = sql($asked);
	is($held->query($asked), $second, 'a session answers as others');
	$held->query_safe(q{BEGIN; SELECT lbrec_activate('a', 1)});
	my $first = $held->query($asked);
	isnt($first, $second, 'in its transaction the activated version answers');
	is(sql($asked), $second, 'in another session the old one');
	is($held->query($asked), $first, 'still the activated one');
	$held->query_safe('ROLLBACK');
	is($held->query($asked), $second, 'after ROLLBACK the old one');
	is(sql($asked), $second, 'and in a new session');
	$held->query_safe(q{BEGIN; SELECT train('a')});
	my $third = $held->query($asked);
	isnt($third, $second, 'so with a version that was trained and not committed');
	is(sql($asked), $second, 'others do not see it');
	$held->query_safe('ROLLBACK');
	is(sql($asked), $second, 'and it never was');
	$held->quit;
}

# --- all at once ---------------------------------------------------------------

my $dir = $node->basedir;
append_to_file("$dir/ask.sql", "\\set u random(1, 40)\nSELECT ask(:u, 'a');\nSELECT ask(:u, 'b');\n");
append_to_file("$dir/change.sql", q{
	SELECT train('a');
	SELECT train('b');
	BEGIN; SELECT lbrec_activate('a', min(version)) FROM lbrec_models WHERE name = 'a'; SELECT ask(1, 'a'); SELECT pg_sleep(0.05); ROLLBACK;
	SELECT lbrec_activate('a', min(version)) FROM lbrec_models WHERE name = 'a';
	SELECT pg_sleep(0.05);
	BEGIN; SELECT lbrec_drop_model('b'); SELECT ask(1, 'b'); SELECT pg_sleep(0.05); ROLLBACK;
	BEGIN; SELECT train('a'); SELECT ask(2, 'a'); ROLLBACK;
	-- the active one goes: another version answers
	SELECT lbrec_drop_model('a', min(version)) FROM lbrec_models WHERE name = 'a' HAVING count(*) > 2;
	SELECT lbrec_drop_model('b');
	SELECT pg_sleep(0.05);
});

my @runs = map {
	my $run = { out => '', name => join ' ', @$_ };
	$run->{h} = IPC::Run::start([ 'pgbench', '-n', '-T', 6, @$_, '-f', "$dir/ask.sql", $node->connstr('postgres') ], '<', \undef, '>&', \$run->{out}, IPC::Run::timeout(180));
	$run
} ([ '-c', 3, '-M', 'prepared' ], [ '-c', 3, '-C' ]);
my $changer = { out => '' };
$changer->{h} = IPC::Run::start([ 'pgbench', '-n', '-T', 6, '-c', 1, '-f', "$dir/change.sql", $node->connstr('postgres') ], '<', \undef, '>&', \$changer->{out}, IPC::Run::timeout(180));
for my $run (@runs, $changer)
{
	ok($run->{h}->finish, ($run->{name} || 'training and dropping') . ': no error') || diag($run->{out});
	like($run->{out}, qr/^number of failed transactions: 0 /m, '... nor a failed transaction') if $run->{out} =~ /failed transactions/;
}
is(sql('SELECT count(*) FROM wrong'), '0', 'no answer is mixed or another version\'s')
  || diag(sql('SELECT name, count(*), count(DISTINCT model), min(model), max(model) FROM wrong GROUP BY 1'));
my ($answers, $missing, $versions) = map { sql("SELECT last_value FROM $_") } qw(answered missing seed);
note("$answers answers, $missing times no active version, $versions versions");
cmp_ok($answers, '>', 300, 'there were answers');
cmp_ok($missing, '>', 3, 'and names without an active version');
cmp_ok($versions, '>', 8, 'and versions');

# what was dropped or rolled back has no image that stays for good
sql(q{SELECT train('a'); SELECT ask(1, 'a')});
opendir my $d, $node->data_dir . '/base/pgsql_tmp';
my %id = map { $_ => 1 } split /\n/, sql('SELECT id FROM lbrec.model');
is(join(' ', grep { /lbrec\.\d+\.(\d+)\./ && !$id{$1} } readdir $d), '', 'images are those of models');
is(leftovers($node), '', 'nothing left');
is_well($node, 'at the end');
$node->stop;
done_testing();
