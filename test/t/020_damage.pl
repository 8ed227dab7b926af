# Damage to stored models: thousands of corruptions of lbrec.tensor and of
# lbrec.model, in one backend.  Each gives an error with SQLSTATE XX001 that
# names the model, the tensor and the chunk, or leaves the answer unchanged.
# Never another answer, never a crash.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = defined $ENV{LBREC_FUZZ} ? $ENV{LBREC_FUZZ} : 10000;
my $seed = defined $ENV{LBREC_SEED} ? $ENV{LBREC_SEED} : time % 100000;
diag("seed: LBREC_SEED=$seed, corruptions: LBREC_FUZZ=$rounds");

my $node = new_cluster('damage');
make_listens($node, 40, 100, 10);
$node->safe_psql('postgres', q{
	SELECT lbrec_train('deep', 'SELECT l.*, user_id % 7 AS age, ARRAY[user_id % 3, user_id % 5] AS tags, (user_id % 11)::float8 AS weight FROM listen AS l',
		user_features => '{age,tags,weight}', epochs => 1, layers => '{8,8,8}', settings => '{"embedding_dim": 8, "time_buckets": 20}');
	SELECT lbrec_train('deep', epochs => 2, layers => '{8}', settings => '{"embedding_dim": 8}');
	SELECT lbrec_train('flat', epochs => 1, layers => '{8}', settings => '{"embedding_dim": 8}');
	SELECT lbrec_activate('deep', 1)});

# The model's answer after every image at hand is forgotten: a tensor that
# is none of the model's changes its checksum, by which images are known, for
# the time of the question.
$node->safe_psql('postgres', q{
	CREATE SEQUENCE salt;
	-- what lbrec.model.checksum is to be
	CREATE FUNCTION model_checksum(target bigint) RETURNS bigint LANGUAGE sql AS $$
		SELECT (CASE WHEN s >= 9223372036854775808 THEN s - 18446744073709551616 ELSE s END)::bigint
		FROM (SELECT mod(mod(sum(hashint8extended(crc32c, chunk)), 18446744073709551616) + 18446744073709551616, 18446744073709551616) AS s
			FROM lbrec.tensor WHERE model = target) AS t $$;
	CREATE FUNCTION ask() RETURNS text LANGUAGE plpgsql AS $$
	DECLARE answer text;
	BEGIN
		INSERT INTO lbrec.tensor SELECT id, 'salt', 0, 'bytes', 0, 1, nextval('salt'), '' FROM lbrec.model;
		UPDATE lbrec.model SET checksum = model_checksum(id);
		SELECT string_agg(a::text, ' ') INTO answer FROM (
			SELECT u, recording_msid, float4send(score) FROM generate_series(1, 3) AS u,
				lbrec_recommend(u, 5, 'deep', at => '2005-01-01 00:00+00') ORDER BY u, rank) AS a;
		DELETE FROM lbrec.tensor WHERE name = 'salt';
		UPDATE lbrec.model SET checksum = model_checksum(id);
		RETURN answer;
	END $$;
	CREATE TABLE outcome (round int, damage text, state text, message text, verdict text, checked text);
	-- all that is stored of a model
	CREATE FUNCTION fingerprint(target bigint) RETURNS text LANGUAGE sql AS $$
		SELECT md5(string_agg(t::text, ' ' ORDER BY name, chunk)) || (SELECT concat_ws(' ', n_users, n_recordings, md5(config::text)) FROM lbrec.model WHERE id = target)
		FROM lbrec.tensor AS t WHERE model = target $$;
	-- one corruption; tells what it did
	CREATE FUNCTION corrupt(kind int, target bigint) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		t lbrec.tensor; other lbrec.tensor; n int; b int;
	BEGIN
		SELECT * INTO t FROM lbrec.tensor WHERE model = target ORDER BY random() LIMIT 1;
		n := octet_length(t.data);
		b := floor(random() * n);
		CASE kind
		WHEN 0, 1, 2 THEN
			IF n = 0 THEN RETURN 'nothing'; END IF;
			UPDATE lbrec.tensor SET data = set_byte(data, b, get_byte(data, b) # (1 << floor(random() * 8)::int))
			WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('bit of byte %s of %s/%s', b, t.name, t.chunk);
		WHEN 3 THEN
			DELETE FROM lbrec.tensor WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('%s/%s is missing', t.name, t.chunk);
		WHEN 4 THEN
			UPDATE lbrec.tensor SET data = substr(data, 1, b) WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('%s/%s has %s bytes', t.name, t.chunk, b);
		WHEN 5 THEN
			UPDATE lbrec.tensor SET data = data || decode(repeat('00', 1 + floor(random() * 100)::int), 'hex')
			WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('%s/%s is longer', t.name, t.chunk);
		WHEN 6 THEN
			UPDATE lbrec.tensor SET rows = (ARRAY[0, -1, rows + 1, rows * 2, rows - 1, 9223372036854775807, 137438953408, cols])[1 + floor(random() * 8)::int]
			WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('%s/%s: rows', t.name, t.chunk);
		WHEN 7 THEN
			UPDATE lbrec.tensor SET cols = (ARRAY[0, -1, cols + 1, cols * 2, 2147483647, -2147483648, 4096, rows])[1 + floor(random() * 8)::int]
			WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('%s/%s: cols', t.name, t.chunk);
		WHEN 8 THEN
			UPDATE lbrec.tensor SET rows = cols, cols = rows WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('%s/%s is transposed', t.name, t.chunk);
		WHEN 9 THEN
			UPDATE lbrec.tensor SET type = (ARRAY['float4', 'int4', 'int8', 'uuid', 'bytes', '', 'float8'])[1 + floor(random() * 7)::int]
			WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('%s/%s: type', t.name, t.chunk);
		WHEN 10 THEN
			UPDATE lbrec.tensor SET crc32c = crc32c # (1::bigint << floor(random() * 40)::int)
			WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('%s/%s: checksum', t.name, t.chunk);
		WHEN 11, 12 THEN
			-- another model's tensor of the name, whole with its checksum
			SELECT * INTO other FROM lbrec.tensor
			WHERE model <> target AND (name = t.name OR kind = 12) ORDER BY random() LIMIT 1;
			IF NOT FOUND THEN RETURN 'nothing'; END IF;
			UPDATE lbrec.tensor SET type = other.type, rows = other.rows, cols = other.cols, crc32c = other.crc32c, data = other.data
			WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('%s/%s is %s of model %s', t.name, t.chunk, other.name, other.model);
		WHEN 13 THEN
			-- another tensor of the same model
			SELECT * INTO other FROM lbrec.tensor WHERE model = target AND name <> t.name ORDER BY random() LIMIT 1;
			UPDATE lbrec.tensor SET type = other.type, rows = other.rows, cols = other.cols, crc32c = other.crc32c, data = other.data
			WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('%s/%s is %s', t.name, t.chunk, other.name);
		WHEN 14 THEN
			UPDATE lbrec.tensor SET chunk = chunk + 1 WHERE (model, name, chunk) = (t.model, t.name, t.chunk);
			RETURN format('%s/%s has another number', t.name, t.chunk);
		WHEN 15 THEN
			UPDATE lbrec.model SET n_users = n_users + (random() * 8)::int - 4 WHERE id = target;
			RETURN 'n_users';
		WHEN 16 THEN
			UPDATE lbrec.model SET n_recordings = (ARRAY[0, 1, n_recordings + 1, n_recordings - 1, 9223372036854775807])[1 + floor(random() * 5)::int] WHERE id = target;
			RETURN 'n_recordings';
		WHEN 17 THEN
			UPDATE lbrec.model SET config = (ARRAY['{}', 'null', '[]', '7', '{"query": 7}', '{"query": [[]]}']::jsonb[])[1 + floor(random() * 6)::int] WHERE id = target;
			RETURN 'another config';
		WHEN 18 THEN
			UPDATE lbrec.model SET config = (SELECT m.config FROM lbrec.model AS m WHERE m.id <> target ORDER BY random() LIMIT 1) WHERE id = target;
			RETURN 'config of another model';
		WHEN 19 THEN
			-- one setting somewhere in the config
			UPDATE lbrec.model SET config = (
				SELECT CASE floor(random() * 3)::int
					WHEN 0 THEN config #- path
					WHEN 1 THEN jsonb_set(config, path, to_jsonb(random() * 100))
					ELSE jsonb_set(config, path, (ARRAY['null', 'true', '"x"', '[]', '-1', '1e300', '{}']::jsonb[])[1 + floor(random() * 7)::int]) END
				FROM (VALUES ('{time,mean}'::text[]), ('{time,deviation}'), ('{time,first_edge}'), ('{time,last_edge}'), ('{time,buckets}'),
					('{options,l2_normalize}'), ('{options,layers}'), ('{options,layers,1}'), ('{query}'), ('{query,0}'), ('{query,0,source}'), ('{query,1,table}'),
					('{query,2,source}'), ('{query,3,kind}'), ('{query,4,column}'), ('{query,5,mean}'), ('{query,5,deviation}')) AS v (path)
				ORDER BY random() LIMIT 1) WHERE id = target;
			RETURN 'a setting in the config';
		END CASE;
	END $$;
	CREATE PROCEDURE fuzz(rounds int) LANGUAGE plpgsql AS $$
	DECLARE
		target bigint := (SELECT id FROM lbrec.model WHERE name = 'deep' AND version = 1);
		want text := ask();
		got text; did text; st text; msg text; v text; ch text;
		whole text := fingerprint(target);
	BEGIN
		FOR i IN 1 .. rounds LOOP
			st := NULL; msg := NULL; did := '?'; ch := NULL;
			BEGIN
				did := corrupt(i % 20, target);
				-- each kind sometimes: does lbrec_check find it?
				IF i / 20 % 5 = 0 THEN
					ch := CASE WHEN fingerprint(target) = whole THEN 'not damaged'
						ELSE coalesce((SELECT string_agg(what || ': ' || problem, ' ') FROM lbrec_check('deep', 1) WHERE NOT ok), 'MISSED') END;
				END IF;
				got := ask();
				RAISE EXCEPTION USING errcode = 'UT000', message = got;
			EXCEPTION WHEN OTHERS OR assert_failure THEN
				st := SQLSTATE; msg := SQLERRM;
			END;
			v := CASE
				WHEN st = 'UT000' AND msg = want THEN 'unchanged'
				WHEN st = 'UT000' THEN 'WRONG ANSWER'
				WHEN st <> 'XX001' THEN 'WRONG STATE'
				WHEN msg !~ '^version 1 of model "deep" is (damaged in tensor "\w+", chunk \d+|not what was saved)$' THEN 'WRONG MESSAGE'
				ELSE 'named' END;
			INSERT INTO outcome VALUES (i, did, st, msg, v, ch);
			-- what is named is what was damaged
			IF i % 100 = 0 THEN COMMIT; END IF;
		END LOOP;
	END $$});

my ($out, $err) = ('', '');
my $fraction = $seed / 100000;
my $code = $node->psql('postgres', qq{
	SELECT 'bytes ' || sum(total_bytes) FROM pg_backend_memory_contexts;
	SELECT setseed($fraction);
	CALL fuzz(200);
	SELECT 'bytes ' || sum(total_bytes) FROM pg_backend_memory_contexts;
	CALL fuzz($rounds);
	SELECT 'bytes ' || sum(total_bytes) FROM pg_backend_memory_contexts}, stdout => \$out, stderr => \$err);
is($code, 0, 'the backend lived through all of it') or diag($err);
is($node->safe_psql('postgres', 'SELECT count(*) FROM outcome'), $rounds + 200, "$rounds corruptions");
is($node->safe_psql('postgres', q{
	SELECT verdict, damage, state, left(message, 200), count(*) FROM outcome WHERE verdict ~ 'WRONG'
	GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 12}), '', 'no other answer, no other error');
my %verdict = map { split /\|/ } split /\n/,
  $node->safe_psql('postgres', 'SELECT verdict, count(*) FROM outcome GROUP BY 1');
diag(join ', ', map { "$_: $verdict{$_}" } sort keys %verdict);
cmp_ok($verdict{named} || 0, '>', $rounds / 4, 'damage is found and named');
# Arrays that do not change the answer: the candidate tower, states of the
# optimiser and times of last listens, which serving does not read.
is($node->safe_psql('postgres', q{
	SELECT DISTINCT split_part(split_part(damage, ' of ', 3), '/', 1) FROM outcome
	WHERE verdict = 'unchanged' AND damage ~ '^bit' AND damage !~ ' of (manifest|candidate_|recording_embedding|artist|\w*_keys|\w*_key_offsets|\w*\.state|history_last)'
	ORDER BY 1}), '', 'a changed bit is missed only where serving does not read');
# the chunk that is named is the one that was damaged
is($node->safe_psql('postgres', q{
	SELECT damage, message FROM outcome WHERE verdict = 'named' AND damage ~ '^bit'
	AND message <> format('version 1 of model "deep" is damaged in tensor "%s", chunk %s',
		split_part(split_part(damage, ' of ', 3), '/', 1), split_part(damage, '/', 2)) LIMIT 5}), '',
	'the tensor and chunk that are named are the damaged ones');
is($node->safe_psql('postgres', q{SELECT damage, checked FROM outcome WHERE checked = 'MISSED' ORDER BY round LIMIT 12}), '', 'lbrec_check finds every damage');
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM outcome WHERE checked <> 'not damaged'}), '>', $rounds / 10, 'of which there are many');
is($node->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE NOT ok) FROM lbrec_check()}) =~ s/^\d\d+\|/many|/r, 'many|0', 'and none where there is none');
is($node->safe_psql('postgres', q{
	SELECT damage, checked FROM outcome WHERE damage ~ '^bit' AND checked <> 'not damaged'
	AND strpos(checked, format('tensor %s: Chunk %s: Its checksum does not match', split_part(split_part(damage, ' of ', 3), '/', 1), split_part(damage, '/', 2))) = 0 LIMIT 5}), '',
	'it names the tensor and chunk');
my @size = $out =~ /bytes (\d+)/g;
cmp_ok($size[2], '<', $size[1] + 1048576, 'the backend has not grown');

# Values that no training writes, under a valid checksum: the places and sizes
# in a tensor cannot be trusted either.  Then another answer is acceptable, but
# an internal error or the end of the server is not.
my @crc_table = map { my $c = $_; $c = $c & 1 ? 0x82f63b78 ^ $c >> 1 : $c >> 1 for 1 .. 8; $c } 0 .. 255;
sub crc32c
{
	my $c = 0xffffffff;
	$c = $crc_table[ ($c ^ $_) & 255 ] ^ $c >> 8 for unpack 'C*', $_[0];
	return $c ^ 0xffffffff;
}
my %types = (float4 => 0, int4 => 1, int8 => 2, uuid => 3, bytes => 4);
my @tensors = map { my @t = split /\|/; $t[6] = pack 'H*', $t[6]; \@t } split /\n/, $node->safe_psql('postgres', q{
	SELECT model, name, chunk, type, rows, cols, replace(encode(data, 'hex'), E'\n', ''), crc32c FROM lbrec.tensor
	WHERE model = (SELECT id FROM lbrec.model WHERE name = 'deep' AND version = 1) AND data <> '' AND name !~ '\.state' ORDER BY name});
sub checksum { my @t = @_; return crc32c(pack('q<5', $t[0], $t[2], $types{ $t[3] }, $t[4], $t[5]) . $t[1] . $t[6]); }
is(scalar(grep { checksum(@$_) != $_->[7] } @tensors), 0, 'the checksum is computed here as there');
my @asked = ("SELECT count(*) FROM lbrec_recommend(1, 5, 'deep')", "SELECT count(*) FROM lbrec_recommend(99999, 5, 'deep', at => '2004-11-20')", "SELECT count(*) FROM lbrec_recommend_all(3, 'deep')",
	"SELECT count(*) FROM lbrec_similar(ARRAY[md5('recording 3')::uuid], 5, 'deep')", "SELECT count(*) FROM lbrec_similar_users(1, 5, 'deep')", "SELECT count(*) FROM lbrec_recording_embeddings('deep')",
	"SELECT lbrec_score(1, ARRAY[md5('recording 3')::uuid], 'deep')", "SELECT lbrec_user_embedding(1, 'deep')");
my %odd = (float4 => [ map { pack 'f<', $_ } 9**9**9, -sin(9**9**9), -3e38, 1e-45, 0 ], int4 => [ map { pack 'l<', $_ } -1, 2147483647, -2147483648, 1000000, 0, 100, 101 ],
	int8 => [ map { pack 'q<', $_ } -1, 9223372036854775807, -9223372036854775807 - 1, 4294967296, 1000000, 0 ], bytes => [ map { chr } 0, 255, 34 ], uuid => [ "\0" x 16, "\xff" x 16 ]);
srand $seed;
my @scripts;
sub odd_tensor
{
	my ($ask, @t) = @_;
	push @scripts, sprintf q{BEGIN; UPDATE lbrec.tensor SET data = '\x%s', crc32c = %d WHERE (model, name, chunk) = (%d, '%s', %d); UPDATE lbrec.model SET checksum = model_checksum(id); %s; ROLLBACK;},
	  unpack('H*', $t[6]), checksum(@t), @t[ 0 .. 2 ], $ask;
	return;
}
# places outside of the array that they point into, which are always found
my @sure = grep { $_->[1] =~ /^(history|neighbour)_(codes|offsets)$/ } @tensors;
is(scalar @sure, 4, 'there are tensors of places');
for my $tensor (@sure)
{
	my @t = @$tensor;
	substr($t[6], 0, $t[3] eq 'int8' ? 8 : 4) = $odd{ $t[3] }[0];
	odd_tensor($asked[0], @t);
}
for my $i (1 .. $rounds / 20)
{
	my @t = @{ $tensors[ rand @tensors ] };
	for (0 .. rand 3)
	{
		my $value = $odd{ $t[3] }[ rand @{ $odd{ $t[3] } } ];
		substr($t[6], int(rand(length($t[6]) / length $value)) * length $value, length $value) = $value;
	}
	odd_tensor($asked[ rand @asked ], @t);
}
my $hostile = finish_psql(start_psql($node, "\\set VERBOSITY verbose\n\\o /dev/null\n" . join "\n", @scripts, "\\o\n\\echo all asked\n"));
my %states;
$states{$1}++ while $hostile->{err} =~ /ERROR:  (\w{5}):/g;
diag(@scripts . ' odd tensors under a right checksum: ' . join ', ', map { "$_: $states{$_}" } sort keys %states);
like($hostile->{out}, qr/all asked/, 'odd tensors: the server lived through all of it');
unlike($hostile->{err}, qr/XX000|closed the connection/, 'odd tensors: no internal error');
cmp_ok($states{XX001} || 0, '>=', @sure, 'odd tensors: those that point outside are found out');

# A model of several chunks: the one that is named is the one.  No image of it is
# left by the training, which would answer whatever becomes of the rows.
$node->safe_psql('postgres', q{
	SET lbrec.shared_images = off;
	CREATE TABLE many AS SELECT i % 40 + 1 AS user_id, to_timestamp(1100000000 + i) AS listened_at, md5(i::text)::uuid AS recording_msid FROM generate_series(1, 200000) AS i;
	SELECT lbrec_train('chunks', 'many', epochs => 1, layers => '{8}', settings => '{"embedding_dim": 8}', split => 'none')});
is($node->safe_psql('postgres', q{SELECT count(*) > 3 FROM lbrec.tensor WHERE name = 'candidate' AND model = (SELECT id FROM lbrec.model WHERE name = 'chunks')}), 't',
	'a tensor of several chunks');
for my $chunk (0 .. 3)
{
	fails($node, qq{BEGIN; DELETE FROM lbrec.tensor WHERE name = 'candidate' AND chunk = $chunk AND model = (SELECT id FROM lbrec.model WHERE name = 'chunks');
		SELECT lbrec_recommend(1, 5, 'chunks')}, 'XX001', qq{version 1 of model "chunks" is damaged in tensor "candidate", chunk $chunk}, "chunk $chunk is missing");
}
# two chunks change places
fails($node, q{BEGIN; SET CONSTRAINTS ALL DEFERRED;
	UPDATE lbrec.tensor SET chunk = -1 WHERE name = 'candidate' AND chunk = 1 AND model = (SELECT id FROM lbrec.model WHERE name = 'chunks');
	UPDATE lbrec.tensor SET chunk = 1 WHERE name = 'candidate' AND chunk = 2 AND model = (SELECT id FROM lbrec.model WHERE name = 'chunks');
	UPDATE lbrec.tensor SET chunk = 2 WHERE name = 'candidate' AND chunk = -1 AND model = (SELECT id FROM lbrec.model WHERE name = 'chunks');
	SELECT lbrec_recommend(1, 5, 'chunks')}, 'XX001', q{tensor "candidate", chunk 1}, 'chunks in each other\'s place');

is_well($node, 'at the end');
$node->stop;
done_testing();
