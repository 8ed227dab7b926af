# The HTTP API of docs/howto-api.md: what each of its roles can and cannot do,
# and the example service.  Both are taken from the page.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use LbrecCluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_cluster('api');
make_listens($node, 50, 100, 40);
$node->safe_psql('postgres', q{
	CREATE TABLE recording AS
	SELECT DISTINCT ON (recording_msid) recording_msid, artist AS artist_name, 'track of ' || artist AS track_name FROM listen;
	CREATE UNIQUE INDEX ON recording (recording_msid)});
$node->safe_psql('postgres', "SELECT lbrec_train('weekly', 'SELECT user_id, listened_at, recording_msid, artist_name FROM listen JOIN recording USING (recording_msid)')");

my $page = do { local $/; open my $f, '<', "$FindBin::Bin/../../docs/howto-api.md" or die; <$f> };
my ($script) = $page =~ /```sql\n(CREATE ROLE.*?)```/s or die 'no script in docs/howto-api.md';
my ($service) = $page =~ /```python\n(.*?)```/s or die 'no service in docs/howto-api.md';
$node->safe_psql('postgres', $script);

# As the HTTP server runs a request: rows, or the error.
sub as
{
	my ($role, $claims, $sql) = @_;
	my ($out, $err);
	my $set = $claims ? "SELECT set_config('request.jwt.claims', '$claims', true) \\gset\n" : '';
	$node->psql('postgres', "BEGIN READ ONLY; SET LOCAL ROLE $role;\n$set$sql;\nCOMMIT;",
		connstr => $node->connstr('postgres') . ' user=api_server', stdout => \$out, stderr => \$err);
	return $err =~ /ERROR:  (.*)/ ? $1 : $out;
}

my $some = $node->safe_psql('postgres', 'SELECT min(recording_msid::text) FROM listen');
my $call = 'SELECT count(*) FROM lbrec_api.';
my $list = '(?:[1-9]|10)';		# a small catalogue: rows may be fewer than asked for
my %may = (
	"similar('$some', 10)" => [ 1, 1, 1 ],
	"from_recordings('{$some}', 10)" => [ 1, 1, 1 ],
	'model()' => [ 1, 1, 1 ],
	'recommend(3, 10)' => [ 0, 0, 1 ],
	'my_recommendations(10)' => [ 0, 1, 0 ]);
my @roles = ('api_anonymous', 'api_user', 'api_service');
for my $what (sort keys %may)
{
	for my $i (0 .. 2)
	{
		my $got = as($roles[$i], '{"user_id": 3}', $call . $what);
		if ($may{$what}[$i]) { like($got, qr/^$list$/, "$roles[$i]: $what"); }
		else { like($got, qr/^permission denied for function/, "$roles[$i]: $what is refused"); }
	}
}
# Nothing but those: no table, no view, no function that reads a model, no object.
for my $role (@roles)
{
	for my $sql ('SELECT * FROM listen', 'SELECT * FROM recording', 'SELECT * FROM lbrec.model', 'SELECT * FROM lbrec.tensor',
		'SELECT * FROM lbrec_models', "SELECT lbrec_user_embedding(3, 'weekly')", "SELECT * FROM lbrec_recommend(3, 1, 'weekly')",
		"SELECT lbrec_train('x')", 'CREATE TABLE lbrec_api.t ()', 'SET ROLE api_owner',
		"SELECT * FROM lbrec_evaluate('weekly', listens => 'SELECT * FROM listen')")
	{
		like(as($role, '', $sql), qr/permission denied|cannot execute CREATE TABLE/, "$role: $sql");
	}
}
is($node->safe_psql('postgres', "SELECT string_agg(p.proname, ',' ORDER BY 1) FROM pg_proc AS p JOIN pg_namespace AS s ON s.oid = pronamespace WHERE nspname = 'lbrec_api' AND (pg_get_userbyid(proowner) <> 'api_owner' OR NOT prosecdef OR proconfig[1] <> 'search_path=pg_catalog, pg_temp' OR has_function_privilege('public', p.oid, 'EXECUTE'))"),
	'', 'every function is the owner\'s, fixes its path and is not for everybody');
is($node->safe_psql('postgres', "SELECT rolsuper OR rolcanlogin OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = 'api_owner'"), 'f', 'whose owner is nobody');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'S') AND (has_table_privilege('api_owner', oid, 'INSERT') OR has_table_privilege('api_owner', oid, 'UPDATE') OR has_table_privilege('api_owner', oid, 'DELETE')) AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"), 0, '... and can write nothing');

# The list belongs to the right user.
my $of = sub { $node->safe_psql('postgres', "SELECT string_agg(recording_msid::text, ',' ORDER BY rank) FROM lbrec_recommend($_[0], 10, 'weekly', exclude_listened => true)") };
my $mine = 'SELECT string_agg(recording_msid::text, $$,$$ ORDER BY rank) FROM lbrec_api.my_recommendations(10)';
isnt($of->(3), $of->(4), 'two users have two lists');
is(as('api_user', qq({"user_id": $_}), $mine), $of->($_), "user $_ gets their own") for 3, 4;
is(as('api_user', '', $mine), '', 'no claims: no rows');
is(as('api_user', '{"role": "api_user"}', $mine), '', 'claims without a user: no rows');
like(as('api_user', '{"user_id": "3 OR true"}', $mine), qr/^invalid input syntax for type bigint/, 'no number: an error');
is(as('api_service', '', 'SELECT count(*) FROM lbrec_api.recommend(3, 1000000, new_only => false)'), 100, 'k ends at 100');
like(as('api_anonymous', '', "SELECT count(*) FROM lbrec_api.from_recordings(array_fill('$some'::uuid, ARRAY[100000]), 10)"), qr/^$list$/, 'an array of 100,000');
# A caller with objects of their own changes nothing.
my ($out, $err);
$node->psql('postgres', "CREATE TEMP TABLE listen AS SELECT 3::bigint AS user_id, now() AS listened_at, recording_msid FROM lbrec_api.from_recordings('{$some}', 10); CREATE TEMP TABLE recording (recording_msid uuid); SET search_path = pg_temp; SELECT string_agg(recording_msid::text, ',' ORDER BY rank) FROM lbrec_api.recommend(3, 10)",
	connstr => $node->connstr('postgres') . ' user=api_service', stdout => \$out, stderr => \$err);
is($out, $of->(3), 'temporary tables of the caller change nothing') or diag $err;

# The service.
SKIP:
{
	my $python = $ENV{PYTHON} || 'python3';
	my $found = '';
	eval { IPC::Run::run([ $python, '-c', 'import psycopg_pool; print("yes")' ], '>', \$found, '2>', \my $why); };
	skip 'no Python with psycopg_pool', 1 if $found !~ /yes/;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/service.py';
	open my $f, '>', $file or die;
	print $f $service;
	close $f;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	local %ENV = (%ENV, DSN => $node->connstr('postgres') . ' user=api_service', PORT => $port, CONNECTIONS => 2);
	my $log = '';
	my $h = IPC::Run::start([ $python, '-u', $file ], '>', \my $none, '2>', \$log);
	my $http = HTTP::Tiny->new(timeout => 60);
	my $get = sub { my $r = $http->get("http://127.0.0.1:$port$_[0]"); return ($r->{status}, eval { decode_json($r->{content}) }) };
	wait_until(sub { ($get->('/nothing'))[0] == 404 }) or diag $log;
	my ($status, $rows) = $get->('/recommend?user_id=3&k=10&new_only=true');
	is($status, 200, 'a list');
	is(join(',', map { $_->{recording_msid} } @$rows), $of->(3), 'the same as by SQL');
	is(join(',', sort keys %{ $rows->[0] }), 'artist_name,basis,rank,recording_msid,score,track_name', 'its columns');
	is(scalar @{ ($get->('/recommend?user_id=3&k=10&artists_once=true&diversity=0.3'))[1] } > 0, 1, 'with wishes');
	is(($get->("/similar?recording=$some&k=5"))[0], 200, 'similar');
	is(($get->("/similar?recording=00000000-0000-0000-0000-000000000000"))[0], 404, 'a recording that the model does not know');
	is(($get->($_))[0], 400, $_) for '/recommend?user_id=three', '/recommend', '/recommend?user_id=3&x=1', '/recommend?user_id=3&new_only=maybe', '/similar?recording=x', '/recommend?user_id=99999999999999999999', '/recommend?user_id=3&k=-1';
	is(($get->('/nothing'))[0], 404, 'no such call');
	is(($get->('/recommend?user_id=3&k=10'))[0], 200, 'and it still answers');
	# More at once than it has connections.
	my @status = ('') x 8;
	my @askers = map { IPC::Run::start([ 'perl', '-MHTTP::Tiny', '-e', 'my $u = shift; print HTTP::Tiny->new->get($u)->{status}, " " for 1 .. 5', "http://127.0.0.1:$port/recommend?user_id=$_&k=10" ], '>', \$status[ $_ - 1 ]) } 1 .. 8;
	$_->finish for @askers;
	is(join('', @status), '200 ' x 40, 'eight clients at once');
	is($node->safe_psql('postgres', "SELECT count(*) <= 2 FROM pg_stat_activity WHERE usename = 'api_service'"), 't', 'over two connections');
	$h->kill_kill;
}

is_well($node, 'at the end');
done_testing();
