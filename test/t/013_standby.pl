# A hot standby serves from the first query, follows what the primary trains,
# refuses to train, is promoted while a session is connected, and then trains.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_cluster('primary', init => { allows_streaming => 1 });
make_listens($primary, 50, 100, 20);
$primary->safe_psql('postgres', q{SELECT lbrec_train('a', epochs => 1)});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
my $lsn = sub { $primary->wait_for_catchup($standby, 'replay', $primary->lsn('write')) };
$lsn->();

my $first = answer($primary, 'a');
is(answer($standby, 'a'), $first, 'the standby answers as the primary');
my $s = $standby->background_psql('postgres', on_error_stop => 0);
my $ask = q{SELECT string_agg(r::text, ' ') FROM lbrec_recommend(1, 5, 'a', at => '2005-01-01') AS r};
my $old = $s->query($ask);
is($standby->safe_psql('postgres', q{SELECT count(*) > 0 FROM lbrec_evaluate('a')}), 't', 'evaluates');
my $next = q{SELECT string_agg(n::text, ' ') FROM lbrec_next(5, user_id => 1, model => 'a', at => '2030-01-01') AS n};
is($standby->safe_psql('postgres', $next), $primary->safe_psql('postgres', $next), 'tells what comes next as the primary does');
$next = q{SELECT string_agg(e::text, ' ' ORDER BY e::text) FROM lbrec_evaluate_next('2000-01-01', model => 'a') AS e};
is($standby->safe_psql('postgres', $next), $primary->safe_psql('postgres', $next), 'and measures it as that does');
like($standby->safe_psql('postgres', q{SELECT lbrec_curves_svg('{a}')}), qr/<svg/, 'draws');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM lbrec_recommend(1, 5, 'a', exclude_listened => true)}), '5', 'excludes what was listened to');
fails($standby, q{SELECT lbrec_train('b')}, '25006', 'lbrec_train', 'training on a standby');
fails($standby, q{SELECT lbrec_activate('a')}, '25006', 'cannot execute UPDATE', 'activating on a standby');
fails($standby, q{SELECT lbrec_drop_model('a')}, '25006', 'cannot execute DELETE', 'dropping on a standby');

# a new version comes over while a session is open
$primary->safe_psql('postgres', q{SELECT lbrec_train('a', epochs => 20, seed => 5)});
$lsn->();
my $new = $s->query($ask);
isnt($new, $old, 'an open session on the standby has the new version');
is(answer($standby, 'a'), answer($primary, 'a'), 'the same as the primary');
$primary->safe_psql('postgres', q{SELECT lbrec_activate('a', 1)});
$lsn->();
is($s->query($ask), $old, 'and the old one when that is activated again');

$primary->stop('immediate');
$standby->promote;
is($s->query($ask), $old, 'the open session serves on after promotion');
is(answer($standby, 'a'), $first, 'new sessions too');
is($s->query(q{SELECT count(*) FROM lbrec_train('a', epochs => 1, seed => 6)}), '1', 'the promoted server trains');
is($standby->safe_psql('postgres', q{SELECT max(version) FROM lbrec.model}), '3', 'the next version');
is($s->{stderr}, '', 'no error in the session');
$s->quit;
is(leftovers($standby), '', 'nothing left');
is_well($standby, 'at the end');
$standby->stop;
done_testing();
