# Vectors in pgvector: lbrec_recording_embeddings as a column of type vector
# gives the recordings and scores that lbrec_recommend and lbrec_similar give,
# by an exact scan all of them, by an HNSW index nearly all.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $share = `pg_config --sharedir`);
plan skip_all => 'this server has no extension "vector" (Debian: postgresql-NN-pgvector, from 13 on)'
  unless -e "$share/extension/vector.control";

my $node = new_cluster('vector');
make_listens($node, 200, 4000, 60);
# without a term for repeats a score is a product of two vectors
$node->safe_psql('postgres', q{SELECT lbrec_train('m', epochs => 3, settings => '{"embedding_dim": 16, "ensemble": 1, "repeat_power": 0, "neighbours": 0, "refit": false, "temperature": 0.1}');
	CREATE EXTENSION vector;
	CREATE TABLE item AS SELECT recording_msid, embedding::vector(16) FROM lbrec_recording_embeddings('m');
	ALTER TABLE item ADD PRIMARY KEY (recording_msid);
	CREATE TABLE query AS SELECT u AS user_id, lbrec_user_embedding(u, 'm')::vector(16) AS embedding FROM generate_series(1, 40) AS u;
	ANALYZE});
is($node->safe_psql('postgres', q{SELECT count(*) = (SELECT n_recordings FROM lbrec_models) FROM item}), 't', 'each recording has a vector');

# what lbrec answers: the 50 best for 40 users, the 50 nearest of 40 recordings
$node->safe_psql('postgres', q{
	CREATE TABLE recommended AS SELECT user_id, r.rank, r.recording_msid, r.score FROM query, LATERAL lbrec_recommend(user_id, 50, 'm') AS r;
	CREATE TABLE near AS SELECT i.recording_msid AS a, r.rank, r.recording_msid AS b, r.score
		FROM (SELECT * FROM item ORDER BY recording_msid LIMIT 40) AS i, LATERAL lbrec_similar(ARRAY[i.recording_msid], 50, 'm') AS r});

# pgvector(SETTING...): the same by its operators, and how it was planned
my $by_product = q{SELECT i.recording_msid, -(i.embedding <#> q.embedding) AS score FROM item AS i ORDER BY i.embedding <#> q.embedding LIMIT 50};
my $by_cosine = q{SELECT i.recording_msid, 1 - (i.embedding <=> q.embedding) AS score FROM item AS i WHERE i.recording_msid <> q.recording_msid ORDER BY i.embedding <=> q.embedding LIMIT 50};

sub compare
{
	my ($name, $settings, $plan, $share) = @_;
	for my $case (
		[ 'recommend', 'recommended', 'user_id', 'query', $by_product ],
		[ 'similar', 'near', 'a', '(SELECT * FROM item ORDER BY recording_msid LIMIT 40)', $by_cosine ])
	{
		my ($call, $ours, $key, $queries, $search) = @$case;
		my $id = $key eq 'a' ? 'q.recording_msid' : 'q.user_id';
		my $theirs = "SELECT $id AS k, v.* FROM $queries AS q, LATERAL ($search) AS v";
		like($node->safe_psql('postgres', "$settings; EXPLAIN $theirs"), $plan, "$name, $call: as planned");
		my ($rows, $found, $off) = split /\|/, $node->safe_psql('postgres', qq{$settings;
			CREATE TEMP TABLE v AS $theirs;
			SELECT (SELECT count(*) FROM v), count(v.k), max(abs(v.score - o.score))
			FROM $ours AS o LEFT JOIN v ON v.k = o.$key AND v.recording_msid = o.${\($key eq 'a' ? 'b' : 'recording_msid')}});
		my $asked = $node->safe_psql('postgres', "SELECT count(*) FROM $ours");
		is($asked, 2000, "$name, $call: fifty rows each");
		is($rows, $asked, "$name, $call: as many rows from both");
		note(sprintf '%s, %s: recall %.4f, scores differ by up to %g', $name, $call, $found / $asked, $off);
		cmp_ok($found, '>=', $share * $asked, "$name, $call: recall");
		cmp_ok($off, '<', 1e-5, "$name, $call: the same scores");
	}
	return;
}

# two sums may order scores that differ in the last bit otherwise: so not 1
compare('exact', 'SET enable_indexscan = off', qr/Seq Scan on item/, 0.998);
$node->safe_psql('postgres', q{CREATE INDEX item_product ON item USING hnsw (embedding vector_ip_ops);
	CREATE INDEX item_cosine ON item USING hnsw (embedding vector_cosine_ops)});
compare('HNSW', 'SET enable_seqscan = off; SET enable_sort = off; SET hnsw.ef_search = 200',
	qr/Index Scan using item_(product|cosine)/, 0.9);

# what compare() finds is not found in whatever vectors: those of another model
$node->safe_psql('postgres', q{SELECT lbrec_train('n', epochs => 3, settings => '{"embedding_dim": 16, "ensemble": 1, "repeat_power": 0, "neighbours": 0, "refit": false, "temperature": 0.1}', seed => 7)});
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM recommended AS o
	JOIN (SELECT q.user_id, v.recording_msid FROM query AS q, LATERAL (SELECT recording_msid FROM lbrec_recording_embeddings('n') AS e
		ORDER BY e.embedding::vector(16) <#> q.embedding LIMIT 50) AS v) AS v USING (user_id, recording_msid)}),
	'<', 1000, 'vectors of another model give other recordings');

# the other way round: vectors of pgvector are real[] again, bit for bit
is($node->safe_psql('postgres', q{SELECT count(*) FROM item AS i JOIN lbrec_recording_embeddings('m') AS e USING (recording_msid)
	WHERE i.embedding::real[] <> e.embedding}), '0', 'vector keeps every bit');

$node->stop;
done_testing();
