# Logical replication of lbrec's tables, which a publication must name: the
# subscriber has the models, serves them as the publisher does, and follows what
# is trained, activated and dropped there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = new_cluster('publisher', init => { allows_streaming => 'logical' });
my $subscriber = new_cluster('subscriber');
make_listens($publisher, 50, 100, 20);
$publisher->safe_psql('postgres', q{SELECT lbrec_train('a', epochs => 1);
	CREATE PUBLICATION models FOR TABLE lbrec.model, lbrec.epoch, lbrec.tensor});
my $connstr = $publisher->connstr('postgres') =~ s/'/''/gr;
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION models CONNECTION '$connstr' PUBLICATION models");
$subscriber->wait_for_subscription_sync($publisher, 'models');

sub follow { return $publisher->wait_for_catchup('models') }

is(answer($subscriber, 'a'), answer($publisher, 'a'), 'the subscriber answers as the publisher');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM lbrec_check() WHERE NOT ok'), '0', 'what came over is well');
my $s = $subscriber->background_psql('postgres', on_error_stop => 0);
my $ask = q{SELECT string_agg(r::text, ' ') FROM lbrec_recommend(1, 5, 'a', at => '2005-01-01') AS r};
my $old = $s->query($ask);
$publisher->safe_psql('postgres', q{SELECT lbrec_train('a', epochs => 20, seed => 5)});
follow();
my $new = $s->query($ask);
isnt($new, $old, 'an open session of the subscriber has the new version');
is(answer($subscriber, 'a'), answer($publisher, 'a'), 'the same as the publisher');
$publisher->safe_psql('postgres', q{SELECT lbrec_activate('a', 1)});
follow();
is($s->query($ask), $old, 'and the old one when that is activated again');
$publisher->safe_psql('postgres', q{SELECT lbrec_train('b', epochs => 1); SELECT lbrec_drop_model('a')});
follow();
is($subscriber->safe_psql('postgres', q{SELECT string_agg(name, ' ') FROM lbrec.model}), 'b', 'what is dropped goes');
is($s->query(q{SELECT count(*) FROM lbrec_recommend(1, 5)}), '5', 'and the default follows');
is($s->{stderr}, '', 'no error in the session');
$s->quit;
# a transaction that is rolled back does not come over
$publisher->safe_psql('postgres', q{BEGIN; SELECT lbrec_train('c', epochs => 1); ROLLBACK});
follow();
is($subscriber->safe_psql('postgres', q{SELECT string_agg(name, ' ') FROM lbrec.model}), 'b', 'what is rolled back does not come');
is(leftovers($subscriber), '', 'nothing left');
is_well($subscriber, 'the subscriber, at the end');
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION models');
$subscriber->stop;
is_well($publisher, 'the publisher, at the end');
$publisher->stop;
done_testing();
