# Models as files: from one database to another, read by Python, and as an
# attacker might give them to lbrec_import: thousands of files with rows damaged,
# missing, doubled, out of order, of other versions, or with false sizes and
# valid checksums.  Each is an error that names the fault and leaves nothing, or
# a model that passes lbrec_check.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = defined $ENV{LBREC_FUZZ} ? $ENV{LBREC_FUZZ} : 1500;
my $seed = defined $ENV{LBREC_SEED} ? $ENV{LBREC_SEED} : time % 100000;
srand $seed;
diag("seed: LBREC_SEED=$seed, mutations: LBREC_FUZZ=$rounds");

my $node = new_cluster('transfer');
my $dir = PostgreSQL::Test::Utils::tempdir();
make_listens($node, 30, 40, 20);
$node->safe_psql('postgres', q{
	SELECT lbrec_train('tiny', 'SELECT *, ARRAY[user_id % 3] AS tags, user_id::float8 AS number FROM listen', epochs => 2, settings => '{"embedding_dim": 4, "ensemble": 1, "test_limit": 20}');
	SELECT lbrec_comment('tiny', E'a "comment"\n\twith ü');
	SELECT lbrec_train('deep', epochs => 1, settings => '{"embedding_dim": 8, "time_buckets": 20, "optimizer": "adam"}', layers => '{8,4}');
	CREATE TABLE many AS SELECT i % 40 + 1 AS user_id, to_timestamp(1100000000 + i) AS listened_at, md5(i::text)::uuid AS recording_msid FROM generate_series(1, 70000) AS i;
	SELECT lbrec_train('chunks', 'many', epochs => 1, layers => '{8}', settings => '{"embedding_dim": 8}', split => 'none')});

# --- there and back --------------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE two; CREATE ROLE importer');
$node->safe_psql('two', q{CREATE EXTENSION lbrec; CREATE TABLE incoming (seq bigint, chunk bytea); GRANT ALL ON incoming TO importer;
	GRANT USAGE ON SCHEMA lbrec TO importer; GRANT ALL ON ALL TABLES IN SCHEMA lbrec TO importer; GRANT USAGE ON ALL SEQUENCES IN SCHEMA lbrec TO importer;
	GRANT EXECUTE ON FUNCTION lbrec_import TO importer});
my $content = q{SELECT md5(string_agg(concat_ws('|', t.name, chunk, type, rows, cols, data), ' ' ORDER BY t.name, chunk)), m.query, m.comment, m.n_listens, m.config,
	(SELECT md5(string_agg((to_jsonb(e) - 'model')::text, ' ' ORDER BY epoch)) FROM lbrec.epoch AS e WHERE e.model = m.id)
	FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id WHERE m.name = '%s' GROUP BY m.id};
for my $name (qw(tiny deep chunks))
{
	for my $format (qw(binary text))
	{
		my $file = "$dir/$name.$format";
		$node->safe_psql('postgres', "\\copy (SELECT * FROM lbrec_export('$name')) TO '$file' (FORMAT $format)");
		is($node->safe_psql('two', "SET ROLE importer; TRUNCATE incoming;\n\\copy incoming FROM '$file' (FORMAT $format)\nSELECT lbrec_import('incoming', '$name $format')"), '1', "$name, $format: imported");
		is($node->safe_psql('two', sprintf $content, "$name $format"), $node->safe_psql('postgres', sprintf $content, $name), "$name, $format: the same");
		is($node->safe_psql('two', "SELECT owner, active FROM lbrec_models JOIN lbrec_model_details USING (name, version) WHERE name = '$name $format'"), 'importer|f', "$name, $format: whose it is, and not active");
		$node->safe_psql('two', "SELECT lbrec_activate('$name $format')");
		is(answer($node, "$name $format", db => 'two'), answer($node, $name), "$name, $format: answers the same");
	}
}
is($node->safe_psql('two', 'SELECT count(*) FROM lbrec_check() WHERE NOT ok'), '0', 'lbrec_check finds nothing');
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM lbrec_export('chunks')}), '>', $node->safe_psql('postgres', q{SELECT count(DISTINCT t.name) + 2 FROM lbrec.tensor AS t JOIN lbrec.model AS m ON m.id = model WHERE m.name = 'chunks'}),
	'a tensor of several chunks was among them');
is($node->safe_psql('two', q{SELECT lbrec_import('incoming'), lbrec_import('incoming', activate => true); SELECT version FROM lbrec_models WHERE name = 'chunks' AND active}), "1|2\n2", 'of its own name, version after version');
# what was imported is trained on
is($node->safe_psql('two', q{CREATE TABLE listen AS SELECT i % 5 + 1 AS user_id, now() AS listened_at, md5('recording ' || i)::uuid AS recording_msid FROM generate_series(1, 50) AS i;
	SELECT count(*) FROM lbrec_train('tiny binary', 'SELECT *, NULL::text AS artist, ARRAY[1::bigint] AS tags, 1::float8 AS number FROM listen', start_from => 'tiny binary', split => 'none', epochs => 1)}), '1', 'training continues it');
fails($node, q{BEGIN; UPDATE lbrec.tensor SET data = set_byte(data, 3, 77) WHERE name = 'candidate' AND chunk = 1; SELECT count(*) FROM lbrec_export('chunks')}, 'XX001',
	'version 1 of model "chunks" is damaged in tensor "candidate", chunk 1', 'a damaged model is not exported');

# --- Python, as docs/model-format.md has it --------------------------------

SKIP:
{
	my ($snippet) = slurp_file("$FindBin::Bin/../../docs/model-format.md") =~ /^```python\n(.*?)^```/ms;
	ok(length $snippet, 'there is an example');
	skip 'python3-numpy is not installed', 2 if system("python3 -c 'import numpy' 2>/dev/null") != 0;
	append_to_file("$dir/read.py", $snippet);
	for my $name (qw(tiny chunks))
	{
		my $out = `python3 $dir/read.py $dir/$name.binary 2>&1`;
		is($out, $node->safe_psql('postgres', qq{SELECT format(E'%s (%s, %s) %s', m.name, t.rows, t.cols, encode(substr(k.data, 1, 16), 'hex'))
			FROM lbrec.model AS m JOIN lbrec.tensor AS t ON t.model = m.id AND t.name = 'candidate' AND t.chunk = 0
			JOIN lbrec.tensor AS k ON k.model = m.id AND k.name = 'recording_key' AND k.chunk = 0 WHERE m.name = '$name'}) . "\n", "$name: Python reads the file");
	}
}

# --- hostile rows ----------------------------------------------------------

my @table = map { my $c = $_; $c = $c & 1 ? ($c >> 1) ^ 0x82F63B78 : $c >> 1 for 1 .. 8; $c } 0 .. 255;
sub crc32c { my $c = 0xffffffff; $c = $table[($c ^ $_) & 255] ^ ($c >> 8) for unpack 'C*', $_[0]; return $c ^ 0xffffffff }
sub sign { substr($_[0], 28, 4) = pack 'V', crc32c(substr($_[0], 0, 28) . substr $_[0], 32) if length $_[0] >= 32; return $_[0] }

my @rows = map { pack 'H*', $_ } split /\n/, $node->safe_psql('postgres', q{SELECT encode(chunk, 'hex') FROM lbrec_export('tiny') ORDER BY seq});
is(unpack('H*', sign(my $copy = $rows[0])), unpack('H*', $rows[0]), 'the test computes the same checksums');
my $last = $#rows;
# the first of a tensor, behind the manifest and the measures
my ($first) = grep { unpack('V', substr $rows[$_], 24, 4) == 2 } 0 .. $last;

# The end that belongs to the rows before it, so that their lies are believed.
sub finish
{
	my @r = @_;
	my $end = $rows[$last];
	substr($end, 32, 16) = pack 'q<VV', scalar @r, crc32c(join '', map { substr $_, 28, 4 } @r[0 .. $#r - 1]), 0;
	$r[-1] = sign($end);
	return @r;
}
is(join(' ', map { unpack 'H*', $_ } finish(@rows)), join(' ', map { unpack 'H*', $_ } @rows), 'and the same last row');

sub any { return $_[ rand @_ ] }
sub bit { my ($r, $from) = @_; my $at = $from + int rand(length($r) - $from); substr($r, $at, 1) ^= chr(1 << int rand 8); return $r }
sub manifest { my ($change) = @_; my $json = substr $rows[0], 32; $change->() for $json; return finish(sign(substr($rows[0], 0, 32) . $json), @rows[1 .. $last]) }
sub epochs { my ($json) = @_; my @r = @rows; $r[1] = sign(substr($rows[1], 0, 32) . $json); return finish(@r) }
my @numbers = (qw(0 -1 1 2 41 4096 4097 2147483647 2147483648 137438953408 9223372036854775807 9223372036854775808 1e300 1.5 null true [] {}), '"x"', '"1"');

# what, must fail, the rows
my @kinds = (
	[ 'a bit', 1, sub { my $i = int rand @rows; my @r = @rows; $r[$i] = bit($r[$i], 0); @r } ],
	[ 'bytes', 1, sub { my $i = int rand @rows; my @r = @rows; $r[$i] = join '', map { chr rand 256 } 1 .. rand 200; @r } ],
	[ 'cut', 1, sub { my $i = int rand @rows; my @r = @rows; $r[$i] = substr $r[$i], 0, int rand length $r[$i]; @r } ],
	[ 'longer', 1, sub { my $i = int rand @rows; my @r = @rows; $r[$i] .= "\0" x (1 + rand 100); @r } ],
	[ 'missing', 1, sub { my $i = int rand @rows; @rows[grep { $_ != $i } 0 .. $last] } ],
	[ 'the end is missing', 1, sub { @rows[0 .. rand $last] } ],
	[ 'doubled', 1, sub { my $i = int rand @rows; @rows[0 .. $i, $i .. $last] } ],
	[ 'swapped', 1, sub { my $i = int rand $last; my $j = $i + 1 + int rand($last - $i); my @r = @rows; @r[$i, $j] = @r[$j, $i]; @r } ],
	[ 'another version', 1, sub { my @r = @rows; my $i = int rand @r; substr($r[$i], 12, 4) = pack 'V', any(0, 2, 256, 0xffffffff); $r[$i] = sign($r[$i]); @r } ],
	[ 'other-endian', 1, sub { my @r = map { substr(my $x = $_, 8, 4) = pack('N', 0x01020304); sign($x) } @rows; @r } ],
	[ 'another kind, signed', 1, sub { my @r = @rows; my $i = any(0, $first .. $last - 1); substr($r[$i], 24, 4) = pack 'V', any(grep { $_ != ($i == 0 ? 1 : 2) } 0 .. 3, 6); $r[$i] = sign($r[$i]); finish(@r) } ],
	[ 'a part missing, signed', 1, sub { my $i = $first + int rand($last - $first); my $n = 0; finish(map { substr(my $x = $_, 16, 8) = pack 'q<', $n++; sign($x) } @rows[grep { $_ != $i } 0 .. $last]) } ],
	[ 'another place, signed', 1, sub { my @r = @rows; my $i = $first + int rand($last - $first); substr($r[$i], any(32, 36), 4) = pack 'V', any(1000, 0xffffffff, 0x80000000); $r[$i] = sign($r[$i]); finish(@r) } ],
	[ 'a part cut, signed', 1, sub { my @r = @rows; my $i = $first + int rand($last - $first); $r[$i] = sign(substr $r[$i], 0, 32 + int rand(length($r[$i]) - 32)); $r[$i] eq $rows[$i] ? @r[0 .. 1] : finish(@r) } ],
	[ 'the end, signed', 1, sub { my @r = @rows; $r[$last] = sign(bit($r[$last], 32)); @r } ],
	[ 'numbers of the model, signed', 0, sub { manifest(sub { my $v = any(@numbers); my $k = any(qw(n_users n_recordings n_listens)); s/"$k": \d+/"$k": $v/ }) } ],
	[ 'a shape, signed', 0, sub { manifest(sub { my $v = any(@numbers); my $k = any(qw(rows cols)); my @at; push @at, pos while /(?="$k": \d+)/g; my $at = any(@at); substr($_, $at) =~ s/"$k": \d+/"$k": $v/ }) } ],
	[ 'names and types, signed', 0, sub { manifest(sub { my $v = any('null', '""', '7', '"float8"', '"float4"', '"candidate"', '"' . ('x' x 300) . '"', '"\\u0000"', '"\\ud800"'); my $k = any(qw(name type)); my @at; push @at, pos while /(?="$k": ")/g; my $at = any(@at); substr($_, $at) =~ s/"$k": "[^"]*"/"$k": $v/ }) } ],
	[ 'a key of the manifest, signed', 0, sub { manifest(sub { my $v = any('null', '[]', '{}', '"x"', '7'); my $k = any(qw(tensors config query encoding name)); s/"$k": /"$k": $v, "was_$k": / }) } ],
	[ 'epochs that are none, signed', 0, sub { epochs(any('', '[', '{}', '7', 'null', '[]', '[7]', '[null]', '[{}]', '[{"epoch": "x"}]', '[{"epoch": 1, "loss": 1}, {"epoch": 1, "loss": 1}]', '[{"epoch": 1, "loss": 1}]', '"' . ('\\' x 7), '[' x 50000)) } ],
	[ 'JSON of many values, signed', 1, sub { my $json = '[' . '0,' x 200000 . '0]'; rand() < 0.5 ? epochs($json) : manifest(sub { s/"tensors": /"more": $json, "tensors": / }) } ],
	[ 'a bit of the manifest, signed', 0, sub { my @r = @rows; $r[0] = sign(bit($r[0], 32)); finish(@r) } ],
	[ 'bits of a tensor, signed', 0, sub { my @r = @rows; my $i = 1 + int rand($last - 1); $r[$i] = length $r[$i] > 40 ? sign(bit($r[$i], 40)) : $r[$i]; finish(@r) } ],
	[ 'a tensor of noise, signed', 0, sub { my @r = @rows; my $i = 1 + int rand($last - 1); substr($r[$i], 40) = join '', map { chr any(0, 1, 127, 128, 255, rand 256) } 41 .. length $r[$i]; $r[$i] = sign($r[$i]); finish(@r) } ],
	[ 'a tensor of another one, signed', 0, sub { my @r = @rows; my $i = 1 + int rand($last - 1); my $o = any(@rows[1 .. $last - 1]); my $n = length($r[$i]) - 40; substr($r[$i], 40) = substr substr($o, 40) x (1 + $n), 0, $n if length $o > 40; $r[$i] = sign($r[$i]); finish(@r) } ]);

open my $f, '>', "$dir/hostile" or die;
for my $round (1 .. $rounds)
{
	my ($what, $fails, $make) = @{ $kinds[ $round % @kinds ] };
	my @r = $make->();
	# rows that are as they were need not be told
	print $f join("\t", $round, $what, $fails, scalar(@r), $_, $_ <= $last && $r[$_] eq $rows[$_] ? '\\N' : '\\\\x' . unpack 'H*', $r[$_]), "\n" for 0 .. $#r;
}
close $f;
$node->safe_psql('postgres', qq{
	CREATE TABLE hostile (round int, what text, fails int, n int, seq bigint, chunk bytea);
	COPY hostile FROM '$dir/hostile';
	CREATE INDEX ON hostile (round);
	CREATE TABLE base AS SELECT * FROM lbrec_export('tiny');
	CREATE UNIQUE INDEX ON base (seq)} . q{;
	CREATE TABLE outcome (round int, what text, fails bool, state text, message text, verdict text);
	CREATE PROCEDURE fuzz(lo int, hi int) LANGUAGE plpgsql AS $$
	DECLARE st text; msg text; w text; must bool; served text;
	BEGIN
		FOR i IN lo .. hi LOOP
			SELECT what, fails = 1 INTO w, must FROM hostile WHERE round = i LIMIT 1;
			CONTINUE WHEN w IS NULL;
			BEGIN
				PERFORM lbrec_import(format('SELECT h.seq, coalesce(h.chunk, b.chunk) AS chunk FROM hostile AS h LEFT JOIN base AS b USING (seq) WHERE h.round = %s', i), 'fuzzed', true);
				-- what is taken is a model
				IF EXISTS (SELECT FROM lbrec_check('fuzzed') WHERE NOT ok) THEN RAISE 'a problem' USING errcode = 'UT001'; END IF;
				BEGIN
					PERFORM lbrec_recommend(u, 5, 'fuzzed') FROM generate_series(1, 4) AS u;
					PERFORM lbrec_similar(ARRAY[md5('recording 3')::uuid], 3, 'fuzzed');
				EXCEPTION WHEN data_corrupted OR no_data_found OR numeric_value_out_of_range OR invalid_parameter_value THEN NULL;
				END;
				RAISE 'taken' USING errcode = 'UT000';
			EXCEPTION WHEN OTHERS THEN st := SQLSTATE; msg := SQLERRM;
			END;
			INSERT INTO outcome VALUES (i, w, must, st, msg, CASE
				WHEN st = 'UT000' AND must THEN 'TAKEN'
				WHEN st = 'UT000' THEN 'a model'
				WHEN must AND (st NOT IN ('XX001', '0A000') OR msg !~ '^(row \d+ of the model to import cannot be used|the model to import )') THEN 'WRONG ERROR'
				WHEN st !~ '^(XX001|0A000|22...|42602|23502|23514|23505|54000|54001)$' THEN 'WRONG STATE'
				ELSE 'refused' END);
			IF i % 100 = 0 THEN COMMIT; END IF;
		END LOOP;
	END $$});
my ($out, $err) = ('', '');
my $code = $node->psql('postgres', qq{CALL fuzz(1, 200); SELECT 'bytes ' || sum(total_bytes) FROM pg_backend_memory_contexts;
	CALL fuzz(201, $rounds); SELECT 'bytes ' || sum(total_bytes) FROM pg_backend_memory_contexts}, stdout => \$out, stderr => \$err);
is($code, 0, 'the backend lived through all of it') or diag(substr $err, 0, 2000);
is($node->safe_psql('postgres', q{SELECT verdict, what, state, left(message, 160), count(*), min(round) FROM outcome WHERE verdict ~ '[A-Z]{3}' GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 12}), '', 'what must be refused is, with an error that tells');
is($node->safe_psql('postgres', 'SELECT count(*) FROM outcome'), $rounds, "$rounds mutations");
diag($node->safe_psql('postgres', 'SELECT verdict, count(*) FROM outcome GROUP BY 1'));
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM outcome WHERE verdict = 'refused'}), '>', $rounds / 2, 'most are refused');
is($node->safe_psql('postgres', q{SELECT count(*) FROM outcome WHERE what = 'another version' AND message ~ '^the model to import has format version'}),
	$node->safe_psql('postgres', q{SELECT count(*) FROM outcome WHERE what = 'another version'}), 'another version is told so');
is($node->safe_psql('postgres', q{SELECT DISTINCT message FROM outcome WHERE what = 'other-endian'}), 'the model to import was written in another byte order', 'so is another byte order');
is($node->safe_psql('postgres', q{SELECT count(*) FROM lbrec.model WHERE name = 'fuzzed'}), '0', 'nothing is left');
is(leftovers($node), '', 'nowhere');
my @size = $out =~ /bytes (\d+)/g;
cmp_ok($size[1], '<', $size[0] + 2097152, 'the backend has not grown');

# --- what a training continues is not pruned -------------------------------

$node->safe_psql('postgres', q{SELECT lbrec_train('weekly', epochs => 1, settings => '{"embedding_dim": 4, "ensemble": 1}')});
my $s = $node->background_psql('postgres');
$s->query_safe(q{SET client_min_messages = warning; BEGIN; SELECT count(*) FROM lbrec_train('daily', epochs => 1, start_from => 'weekly')});
$node->safe_psql('postgres', q{SELECT lbrec_train('weekly', epochs => 1, settings => '{"embedding_dim": 4, "ensemble": 1}')});
is($node->safe_psql('postgres', q{SELECT lbrec_prune('weekly', 1)}), '0', 'a version that a training continues stays');
$s->query_safe('COMMIT');
is($node->safe_psql('postgres', q{SELECT lbrec_prune('weekly', 1)}), '1', 'until that is done');
$s->quit;
is($node->safe_psql('postgres', q{SELECT version, active FROM lbrec_models WHERE name = 'weekly'}), '2|t', 'the active one stays');
is_well($node, 'at the end');
$node->stop;
done_testing();
