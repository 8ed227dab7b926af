# pg_upgrade to a later PostgreSQL, by copying and by linking: models serve the
# same answers, rights and numbers go on, and images that the old cluster left
# are not taken for the new one's.
#
# OLD_PG_CONFIG names the older server's pg_config, PG_CONFIG (or PATH) the
# newer one's; both have lbrec.  `sh test/matrix.sh upgrade` makes such a place.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use File::Copy;
use File::Path 'rmtree';
use LbrecCluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old_config = $ENV{OLD_PG_CONFIG};
plan skip_all => 'OLD_PG_CONFIG names no older server; sh test/matrix.sh upgrade has one'
  unless $old_config;
my $new_config = $ENV{PG_CONFIG} || 'pg_config';

sub config
{
	my ($program, $what) = @_;
	chomp(my $value = `$program --$what`);
	return $value;
}

for my $config ($old_config, $new_config)
{
	my $control = config($config, 'sharedir') . '/extension/lbrec.control';
	plan skip_all => "$config: lbrec is not installed" unless -e $control;
}
my $old_bin = config($old_config, 'bindir');
my $new_bin = config($new_config, 'bindir');
diag(config($old_config, 'version') . ' to ' . config($new_config, 'version'));

# The same from initdb of both, for the sake of pg_upgrade's checks.
sub cluster
{
	my ($name, $bin, $config) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, install_path => $bin =~ s{/bin$}{}r);
	# initdb of 18 makes checksums, older ones do not
	my @checksums = (config($config, 'version') =~ /(\d+)/)[0] >= 18 ? ('--no-data-checksums') : ();
	$node->init(extra => [ '--locale=C', '--encoding=UTF8', @checksums ]);
	$node->append_conf('postgresql.conf', "fsync = off\nautovacuum = off\n");
	return $node;
}

my $rows = q{SELECT m::text FROM lbrec.model AS m ORDER BY id;
	SELECT e::text FROM lbrec.epoch AS e ORDER BY model, epoch;
	SELECT md5(string_agg(t::text, ' ' ORDER BY model, name COLLATE "C", chunk)) FROM lbrec.tensor AS t};

for my $mode ('copy', 'link')
{
	my $old = cluster("old_$mode", $old_bin, $old_config);
	$old->start;
	$old->safe_psql('postgres', 'CREATE EXTENSION lbrec');
	make_listens($old, 60, 200, 20);
	$old->safe_psql('postgres', q{
		CREATE ROLE reader;
		GRANT USAGE ON SCHEMA lbrec TO reader;
		GRANT SELECT ON ALL TABLES IN SCHEMA lbrec TO reader;
		SELECT lbrec_train('a', epochs => 2);
		SELECT lbrec_train('a', epochs => 1);
		SELECT lbrec_train('layers', 'SELECT user_id, listened_at, recording_msid, artist AS artist_name FROM listen', preset => 'paper', epochs => 1);
		SELECT lbrec_activate('a', 1);
		CREATE VIEW best AS SELECT r.* FROM lbrec_recommend(1, 3, at => '2005-01-01') AS r});
	my $stored = $old->safe_psql('postgres', $rows);
	my $answer = answer($old, 'a');
	my $layers = answer($old, 'layers');
	my $best = $old->safe_psql('postgres', 'SELECT * FROM best');

	# the images as the old server left them
	my $images = $old->basedir . '/images';
	mkdir $images;
	my $tmp = $old->data_dir . '/base/pgsql_tmp';
	opendir my $d, $tmp or die "no $tmp";
	my @images = grep { /lbrec/ } readdir $d;
	is(scalar @images, 2, "$mode: the old cluster has images");
	system('cp', '-p', map({ "$tmp/$_" } @images), $images) == 0 or die;
	$old->stop;

	my $new = cluster("new_$mode", $new_bin, $new_config);
	my $work = $new->basedir . '/work';
	mkdir $work;
	# pg_upgrade writes its files where it stands
	ok(run_log([ 'sh', '-c', 'cd "$0" && exec "$@"', $work, "$new_bin/pg_upgrade", '--no-sync', "--$mode", '-b', $old_bin, '-B', $new_bin,
			'-d', $old->data_dir, '-D', $new->data_dir, '-s', $new->host, '-p', $old->port, '-P', $new->port ]), "$mode: pg_upgrade")
	  or BAIL_OUT("pg_upgrade failed; its files are under $work and " . $new->data_dir . '/pg_upgrade_output.d');
	$new->start;

	is($new->safe_psql('postgres', $rows), $stored, "$mode: the same rows");
	is(answer($new, 'a'), $answer, "$mode: the same answers");
	is(answer($new, 'layers'), $layers, "$mode: the same answers of a model with layers");
	is($new->safe_psql('postgres', 'SELECT * FROM best'), $best, "$mode: a view on them");
	is($new->safe_psql('postgres', 'SET ROLE reader; SELECT count(*) FROM lbrec_recommend(1, 5)'), '5', "$mode: who could read can");

	# Database, model and checksum are the same in both clusters, and so are
	# the names of images.  One of the old cluster with the content of another
	# model, its times kept, must not answer.
	my $new_tmp = $new->data_dir . '/base/pgsql_tmp';
	my $made = (stat "$new_tmp/$images[0]")[1];
	ok($made, "$mode: the new cluster's image has the old one's name");
	my ($one, $other) = map { "$images/$_" } @images;
	system("rm -f '$new_tmp'/*lbrec*; cp -p '$one' '$new_tmp/$images[1]'; cp -p '$other' '$new_tmp/$images[0]'");
	is(answer($new, 'a'), $answer, "$mode: old images, exchanged: the same answers");
	system("rm -f '$new_tmp'/*lbrec*; cp -p '$images'/* '$new_tmp/'");
	my @planted = map { (stat "$new_tmp/$_")[ 1, 9 ] } @images;
	is(answer($new, 'a') . answer($new, 'layers'), $answer . $layers, "$mode: old images in their places: the same answers");
	isnt(join(' ', map { (stat "$new_tmp/$_")[ 1, 9 ] } @images), join(' ', @planted), "$mode: ... from images made anew");

	is($new->safe_psql('postgres', q{SELECT count(*) FROM lbrec_train('a', epochs => 1);
			SELECT version FROM lbrec.model ORDER BY id DESC LIMIT 1; SELECT count(*) FROM lbrec_recommend(1, 5)}), "1\n3\n5", "$mode: trains on");
	is($new->safe_psql('postgres', q{SELECT lbrec_drop_model('a')}), '3', "$mode: drops");
	is(leftovers($new), '', "$mode: nothing left");
	is_well($new, $mode);
	$new->stop;
	rmtree($old->data_dir);
}
done_testing();
