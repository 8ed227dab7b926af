# lbrec_report: one page, whole, safe with any name, and quiet in a browser.
#
# The names of recordings, the model, its comment and its query of listens are
# markup and scripts that would ask a server of this test's for a picture.
# In headless Chromium, where there is one, nothing arrives and the console
# stays empty; a page of the same names without escapes shows that both would
# be seen.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use IO::Socket::INET;
use IPC::Run;
use POSIX ();
use LbrecCluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_cluster('report');
make_listens($node, 30, 40, 30);
sub sql { return $node->safe_psql('postgres', @_) }

my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50) or die "no socket: $!";
my $asked = PostgreSQL::Test::Utils::tempdir() . '/asked';
my $answering = fork // die "no fork: $!";
if (!$answering)
{
	$SIG{TERM} = 'DEFAULT';
	# Writes a byte for each request, and has nothing for anybody.
	while (my $client = $server->accept)
	{
		open my $f, '>>', $asked or die $!;
		print $f 'x';
		close $f;
		print $client "HTTP/1.0 404 none\r\n\r\n";
		close $client;
	}
	POSIX::_exit(0);
}
END { my $rc = $?; kill 'TERM', $answering if $answering; $? = $rc }
my $url = 'http://127.0.0.1:' . $server->sockport;
my @hostile = (
	"<img src=$url/img>", "<script>new Image().src='$url/script'</script>", "\"><svg onload=\"fetch('$url/svg')\">", "'><link rel=stylesheet href=$url/css>",
	"</title></style></svg></pre><iframe src=$url/frame></iframe>", "<meta http-equiv=refresh content='0;url=$url/refresh'>", "&lt;b&gt; & \\ \x{1}", "javascript:alert(1)");
sub quoted { return "'" . ($_[0] =~ s/'/''/gr) . "'" }
my $names = 'ARRAY[' . join(', ', map { quoted($_ =~ s/\x01/\t/r) } @hostile) . ']';
sql(qq{CREATE TABLE recording (recording_msid uuid PRIMARY KEY, artist_name text, track_name text);
	INSERT INTO recording SELECT md5('recording ' || r)::uuid, ($names)[r % 8 + 1], ($names)[(r + 3) % 8 + 1] || ' \x{e2}\x{80}\x{ae}track' || r FROM generate_series(0, 40) AS r});
my $model = $hostile[0] . $hostile[1];
my $m = quoted($model);
sql("SELECT lbrec_train($m, " . quoted("SELECT user_id, listened_at, recording_msid FROM listen -- $hostile[4]") . "); SELECT lbrec_comment($m, " . quoted($hostile[2]) . ')');
sql("SELECT lbrec_train($m, epochs => 4, settings => '{\"temperature\": 0.3}', activate => false)");

# --- the text --------------------------------------------------------------

my $page = sql("SELECT lbrec_report($m)");
my $newest = sql("SELECT lbrec_report($m, 2)");
for ([ 1, $page ], [ 2, $newest ])
{
	my ($version, $text) = @$_;
	like($text, qr{^<!DOCTYPE html>\n<html lang="en">.*</html>$}s, "version $version: a page");
	like($text, qr{, version $version</h1>}, 'its version');
	like($text, qr{<h2>$_}, $_) for 'How good it is', 'What it recommends', 'What 6 users get', 'A map of the catalogue', 'How it was trained', 'Settings';
	unlike($text, qr{<(?:img|script|iframe|object|link(?! rel="icon" href="data:,"/>))}i, 'no markup of a name');
	is(join(' ', grep { /\s(?:src|href|on\w+)\s*=(?!"data:,")/i } $text =~ /<[^>]*>/g), '', 'nothing from elsewhere');
	unlike($text, qr{[^\x00-\x7f]}, 'nothing but ASCII');
	my @svg = $text =~ m{<svg [^>]*role="img" aria-label="[^"]+">\n<title>[^<]+</title>\n<desc>[^<]+</desc>}g;
	is(scalar @svg, scalar(() = $text =~ /<svg /g), 'every figure has a title and says in words what it shows');
	cmp_ok(scalar @svg, '>=', 6, 'figures');
	unlike($text, qr{\b(?:nan|inf)\b}i, 'no NaN');
}
like($page, qr{default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='}, 'a policy');
like($page, qr{The default: it answers calls that name no model}, 'that it is the default');
like($newest, qr{Not active: it answers only where its version is named}, 'that it is not active');
like($newest, qr{version 1, on its own listens}, 'the version before');
like($newest, qr{<td>temperature</td><td>0\.3</td>}, 'a setting');
like($page, qr{<small>(?:like <bdi>|played next to <bdi>|played before)}, 'reasons');
like($page, qr{New to this user:</small><ol start="4">}, 'what is new');
is(sql(qq{SELECT xml_is_well_formed_document(substr(lbrec_report($m), 17))}), 't', 'well-formed') if sql(q{SELECT count(*) FROM pg_config WHERE name = 'CONFIGURE' AND setting ~ '--with-libxml'});

# Titles that are not there, are elsewhere, or may not be read.
like(sql("SELECT lbrec_report($m, recordings => 'SELECT recording_msid, NULL::text AS artist_name, ''only this'' AS track_name FROM recording')"), qr{<bdi>only this</bdi>}, 'titles of a query');
fails($node, "SELECT lbrec_report($m, recordings => 'SELECT 1 AS x')", '42703', 'does not exist', 'a query without the columns');
fails($node, "SELECT lbrec_report('nobody')", '42704', 'does not exist', 'no such model');
fails($node, "SELECT lbrec_report($m, 9)", '42704', 'no version 9', 'no such version');
sql('ALTER TABLE recording RENAME TO elsewhere');
like(sql("SELECT lbrec_report($m)"), qr{recording [0-9a-f]{8}\.\.\.}, 'keys without titles');
like(sql("SELECT lbrec_report($m, recordings => 'elsewhere')"), qr{&lt;img src=}, 'titles of a table');
sql('ALTER TABLE elsewhere RENAME TO recording');

# A reader of models, who may not read recordings, in a transaction that only
# reads; and nobody else.
sql('CREATE ROLE reader; GRANT USAGE ON SCHEMA lbrec TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA lbrec TO reader; CREATE ROLE stranger');
like(sql("BEGIN READ ONLY; SET LOCAL ROLE reader; SELECT lbrec_report($m); COMMIT"), qr{recording [0-9a-f]{8}\.\.\.}, 'a reader');
fails($node, "SET ROLE stranger; SELECT lbrec_report($m)", '42501', 'permission denied', 'a stranger');
fails($node, "SELECT lbrec_report($m, recordings => 'SELECT recording_msid, artist_name, nextval(''lbrec.activation_seq'')::text AS track_name FROM recording')", '25006', 'read-only', 'a query of titles that writes');

# The preprint's preset, which has no history, no parts and other measures.
sql(q{SELECT lbrec_train('paper', 'SELECT user_id, listened_at, recording_msid, artist AS artist_name FROM listen', preset => 'paper', epochs => 3); SELECT lbrec_train('all', split => 'none', epochs => 1)});
like(sql(q{SELECT lbrec_report('paper')}), qr{</html>$}, 'the preset paper');
like(sql(q{SELECT lbrec_report('all')}), qr{Nothing was measured}, 'a model that nothing was held out of');

# --- in a browser ----------------------------------------------------------

my ($chromium) = grep { -x } map { my $d = $_; map { "$d/$_" } qw(chromium chromium-browser google-chrome) } split /:/, $ENV{PATH};
SKIP:
{
	skip 'no Chromium here', 4 unless $chromium;
	my $dir = PostgreSQL::Test::Utils::tempdir();

	# Whether the browser ran; lines of its console; requests that arrived.
	my $look = sub {
		my ($name, $text) = @_;
		open my $f, '>', "$dir/$name.html" or die $!;
		print $f $text;
		close $f;
		my ($out, $err) = ('', '');
		my $ran = eval {
			IPC::Run::run([ $chromium, qw(--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking --no-first-run
				--enable-logging=stderr --virtual-time-budget=3000 --window-size=400,900), "--user-data-dir=$dir/$name", "--screenshot=$dir/$name.png", "file://$dir/$name.html" ],
				'<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(120));
		};
		my $arrived = -s $asked || 0;
		unlink $asked;
		return ($ran && -s "$dir/$name.png", [ grep { /CONSOLE/ } split /\n/, $err ], $arrived);
	};
	my ($ran, $console, $arrived) = $look->('bad', "<!DOCTYPE html><title>x</title><body>$hostile[0]<script>console.log('seen')</script>");
	skip 'Chromium does not run here', 4 unless $ran;
	ok(@$console > 0 && $arrived > 0, 'a page that is not safe is seen to be so');
	($ran, $console, $arrived) = $look->('report', $newest);
	ok($ran, 'the report is shown');
	is(join("\n", @$console), '', 'nothing in the console');
	is($arrived, 0, 'no request');
}

is_well($node, 'at the end');
done_testing();
