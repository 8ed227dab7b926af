# Models that nobody trained: mutations of the structure of a model (members of
# its configuration, names, types and shapes of its arrays, codes, offsets,
# keys) with valid checksums.  Each is imported, and also written into the
# tables past lbrec_import.  If lbrec_import accepts one, it serves, and a
# training can continue it.  If not, lbrec_check finds the fault in the tables,
# and no call with it ends the server.
#
#	LBREC_FUZZ=5000 LBREC_SEED=7	so many, from there on
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use Digest::MD5 qw(md5);
use JSON::PP;
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = defined $ENV{LBREC_FUZZ} ? $ENV{LBREC_FUZZ} : 400;
my $seed = defined $ENV{LBREC_SEED} ? $ENV{LBREC_SEED} : time % 100000;
srand $seed;
diag("seed: LBREC_SEED=$seed, mutations: LBREC_FUZZ=$rounds");

my $node = new_cluster('forged');
my $dir = PostgreSQL::Test::Utils::tempdir();
my %query = (
	inputs => q{SELECT *, 'artist ' || ascii(recording_msid::text) % 5 AS artist_name, ARRAY['a' || ascii(substr(recording_msid::text, 2)) % 3, 'b'] AS tags,
		ascii(substr(recording_msid::text, 3))::float8 AS len, user_id % 3 AS "group", ascii(substr(recording_msid::text, 4))::real AS year FROM listen},
	parts => 'SELECT * FROM listen',
	rare => q{SELECT *, 'artist ' || ascii(recording_msid::text) % 5 AS artist_name FROM listen});
make_listens($node, 20, 30, 15);
$node->safe_psql('postgres', qq{
	SELECT lbrec_train('inputs', \$\$$query{inputs}\$\$, epochs => 1, layers => '{6,4}', user_features => '{group}', split => 'none',
		settings => '{"embedding_dim": 4, "time_buckets": 5, "hour_of_day": true, "bucketize": ["year"], "number_buckets": 4, "history_length": 6, "optimizer": "adam"}');
	SELECT lbrec_train('parts', \$\$$query{parts}\$\$, epochs => 1, split => 'none', settings => '{"embedding_dim": 3, "ensemble": 2, "user_embedding": true}');
	SELECT lbrec_train('rare', \$\$$query{rare}\$\$, epochs => 1, split => 'none', settings => '{"embedding_dim": 4, "ensemble": 1, "min_listens": 12, "hash_buckets": 3}')});
is($node->safe_psql('postgres', 'SELECT count(*) FROM lbrec_check() WHERE NOT ok'), '0', 'the models as trained are well');

# --- records, written anew -------------------------------------------------

my %size = (float4 => 4, int4 => 4, int8 => 8, uuid => 16, bytes => 1);
my %code = (float4 => 0, int4 => 1, int8 => 2, uuid => 3, bytes => 4);
my %pack = (float4 => 'f<', int4 => 'l<', int8 => 'q<');
my @table = map { my $c = $_; $c = $c & 1 ? ($c >> 1) ^ 0x82F63B78 : $c >> 1 for 1 .. 8; $c } 0 .. 255;
my %known;

sub crc32c
{
	my ($bytes) = @_;
	my $key = md5($bytes);
	return $known{$key} if exists $known{$key};
	my $c = 0xffffffff;
	$c = $table[($c ^ $_) & 255] ^ ($c >> 8) for unpack 'C*', $bytes;
	return $known{$key} = $c ^ 0xffffffff;
}

my $json = JSON::PP->new->canonical->allow_nonref->allow_bignum->utf8;
my %model;
for my $name (keys %query)
{
	my %m = (tensors => {}, name => $name);
	my @data;
	for my $r (map { pack 'H*', $_ } split /\n/, $node->safe_psql('postgres', "SELECT encode(chunk, 'hex') FROM lbrec_export('$name') ORDER BY seq"))
	{
		my $kind = unpack 'V', substr $r, 24, 4;
		$m{manifest} = $json->decode(substr $r, 32) if $kind == 1;
		$data[unpack 'V', substr $r, 32, 4] .= substr $r, 40 if $kind == 2;
	}
	$m{tensors}{ $_->{name} } = { %$_, data => shift @data } for @{ $m{manifest}{tensors} };
	$model{$name} = \%m;
}

sub copy
{
	my ($m) = @_;
	my %c = (%$m, manifest => $json->decode($json->encode($m->{manifest})), tensors => {});
	$c{tensors}{$_} = { %{ $m->{tensors}{$_} } } for keys %{ $m->{tensors} };
	return \%c;
}

# The records of a model whose configuration reads as $config.
sub records
{
	my ($m) = @_;
	my @names = sort keys %{ $m->{tensors} };
	my @r;
	my $crcs = '';
	my $put = sub {
		my ($kind, $body) = @_;
		my $head = pack 'a8VVq<V', 'lbrecmod', 0x01020304, 1, scalar @r, $kind;
		my $crc = pack 'V', crc32c($head . $body);
		push @r, $head . $crc . $body;
		$crcs .= $crc;
	};
	$m->{manifest}{tensors} = [ map { my $t = $m->{tensors}{$_}; { name => $_, type => $t->{type}, rows => $t->{rows} + 0, cols => $t->{cols} + 0 } } @names ];
	$put->(1, $json->encode($m->{manifest}));
	$put->(2, pack('VV', $_, 0) . $m->{tensors}{ $names[$_] }{data}) for 0 .. $#names;
	$put->(3, pack 'q<VV', @r + 1, crc32c($crcs), 0);
	return @r;
}

# --- mutations -------------------------------------------------------------

sub any { return $_[ rand @_ ] }

# Every place in a configuration, as a function that sets it.
sub places
{
	my ($node, $path) = @_;
	my @p;
	if (ref $node eq 'HASH')
	{
		for my $k (sort keys %$node)
		{
			push @p, [ "$path.$k", $node, $k ];
			push @p, places($node->{$k}, "$path.$k");
		}
	}
	elsif (ref $node eq 'ARRAY')
	{
		for my $i (0 .. $#$node)
		{
			push @p, [ "$path.$i", $node, $i ];
			push @p, places($node->[$i], "$path.$i");
		}
	}
	return @p;
}

my @values = (undef, 0, 1, -1, 2, 3, 4, 5, 0.5, 1000, 32767, 2147483647, -2147483648, 4294967296, 9223372036854775807, 1e9, 1e30, -1e30, 1e-320,
	'', 'x', 'nan', 'inf', '-inf', '1', 'x' x 300, JSON::PP::true, JSON::PP::false, [], {}, [ 1, 2 ], [undef], { a => 1 },
	qw(user_id time recording feature history time_bucket hour_sin category bag number mean sqrt adagrad adam sgd rowwise_adagrad
	user_embedding recording_embedding history_embedding artist_name_embedding artist_name tags len group year user recording tags_key));

sub mutate_config
{
	my ($m) = @_;
	my ($path, $in, $at) = @{ any(places($m->{manifest}{config}, 'config')) };
	my $what = int rand 8;
	if ($what == 0 && ref $in eq 'HASH') { delete $in->{$at}; return "$path deleted" }
	if ($what == 0) { splice @$in, $at, 1; return "$path deleted" }
	if ($what == 1 && ref $in eq 'ARRAY') { push @$in, $in->[$at] for 1 .. any(1, 1, 1, 30); return "$path again" }
	my $value = any(@values);
	my $old = ref $in eq 'HASH' ? $in->{$at} : $in->[$at];
	# near what it was
	$value = $old + any(-1, 1, 0.25, 7) if $what > 4 && defined $old && !ref $old && $old =~ /^-?\d+(\.\d+)?$/;
	$value = $json->decode($json->encode($value));
	if (ref $in eq 'HASH') { $in->{$at} = $value } else { $in->[$at] = $value }
	return "$path = " . $json->encode($value);
}

sub resize
{
	my ($t, $rows, $cols) = @_;
	my $bytes = $rows * $cols * $size{ $t->{type} };
	my $data = $t->{data};
	# the same values go on
	$data = $data x (1 + $bytes / length $data) if length $data && length $data < $bytes && rand() < 0.5;
	$data = substr($data . "\0" x $bytes, 0, $bytes);
	@$t{qw(rows cols data)} = ($rows, $cols, $data);
}

sub mutate_tensor
{
	my ($m) = @_;
	my $name = any(grep { $_ ne 'config' } sort keys %{ $m->{tensors} });
	my $other = any(grep { $_ ne 'config' } sort keys %{ $m->{tensors} });
	my $t = $m->{tensors}{$name};
	my $what = int rand 7;
	if ($what == 0) { delete $m->{tensors}{$name}; return "$name deleted" }
	if ($what == 1) { @{ $m->{tensors} }{ $name, $other } = @{ $m->{tensors} }{ $other, $name }; return "$name and $other swapped" }
	if ($what == 2)
	{
		my $new = any(map({ "$name$_" } qw(s _ .state0 .state1 _codes _offsets)), 'x', 'y' x 90, 'ü', 'history_recency', 'neighbour_sums');
		$m->{tensors}{$new} = rand() < 0.5 ? { %$t } : delete $m->{tensors}{$name};
		return "$name is also, or only, $new";
	}
	if ($what == 3)
	{
		$t->{type} = any(sort keys %size);
		resize($t, $t->{rows}, $t->{cols});
		return "$name of type $t->{type}";
	}
	if ($what == 4) { @$t{qw(rows cols)} = @$t{qw(cols rows)}; return "$name turned" if $t->{rows} >= 0 && $t->{cols} >= 1 && $t->{cols} <= 4096; @$t{qw(rows cols)} = @$t{qw(cols rows)} }
	my $rows = any(0, 1, 2, $t->{rows} + 1, $t->{rows} + 1, $t->{rows} - 1, $t->{rows} - 1, $t->{rows} * 2, 5000);
	my $cols = rand() < 0.8 ? $t->{cols} : any(1, 2, 3, $t->{cols} + 1, $t->{cols} * 2, 64);
	resize($t, $rows < 0 ? 0 : $rows, $cols);
	return "$name $rows x $cols";
}

sub mutate_values
{
	my ($m) = @_;
	my $name = any(grep { $_ ne 'config' && length $m->{tensors}{$_}{data} } sort keys %{ $m->{tensors} });
	my $t = $m->{tensors}{$name};
	my $size = $size{ $t->{type} };
	my $n = length($t->{data}) / $size;
	my $times = any(1, 1, 1, 2, 5, $n);
	my $done;
	for (1 .. $times)
	{
		my $at = int rand $n;
		my $value;
		if (!$pack{ $t->{type} })
		{
			$value = rand() < 0.7 ? substr($t->{data}, $size * int rand $n, $size) : join '', map { chr rand 256 } 1 .. $size;
			$done = 'another one';
		}
		else
		{
			my ($old) = unpack $pack{ $t->{type} }, substr $t->{data}, $at * $size, $size;
			my ($near) = unpack $pack{ $t->{type} }, substr $t->{data}, $size * int rand $n, $size;
			$done = $t->{type} eq 'float4' ? any('nan', 'inf', '-inf', -1, 0, 1e30, -1e30, 1e-40, 0.5, $near, -$old) :
				any($old + 1, $old - 1, $near, $near, -1, 0, 1, 2, 31, 32, 1000000, 2147483647, -2147483648, $t->{type} eq 'int8' ? (9223372036854775807, -9223372036854775808, 10000000000) : ());
			$value = pack $pack{ $t->{type} }, $done;
		}
		substr($t->{data}, $at * $size, $size) = $value;
	}
	return "$name, $times times, as $done";
}

# Users or recordings more or less than there are, in all arrays or in some.
sub mutate_counts
{
	my ($m) = @_;
	my $which = any(qw(n_users n_recordings));
	my $n = $m->{manifest}{$which};
	my $new = any($n - 1, $n + 1, 1, 2 * $n, 0);
	$m->{manifest}{$which} = $new;
	for my $t (values %{ $m->{tensors} })
	{
		next if $t->{name} eq 'config' || rand() < 0.05;
		resize($t, $t->{rows} - $n + $new, $t->{cols}) if $t->{rows} >= $n && $t->{rows} <= $n + 2;
	}
	return "$which = $new";
}

my @mutations = (\&mutate_config, \&mutate_config, \&mutate_config, \&mutate_tensor, \&mutate_tensor, \&mutate_values, \&mutate_values, \&mutate_counts);
my @forged;
for my $round (1 .. $rounds)
{
	my $name = any(sort keys %model);
	my $m = copy($model{$name});
	# the first ones are the models as they are
	my @what = $round <= 3 ? () : map { any(@mutations)->($m) } 1 .. any(1, 1, 1, 2, 3);
	$name = $m->{name} = (sort keys %model)[ $round - 1 ] if $round <= 3;
	$m = copy($model{$name}) if $round <= 3;
	push @forged, [ $round, join('; ', @what), $name, $m ];
}

# a configuration is compared with what jsonb makes of it
open my $f, '>', "$dir/configs" or die;
print $f "$_->[0]\t" . ($json->encode($_->[3]{manifest}{config}) =~ s/\\/\\\\/gr) . "\n" for @forged;
close $f;
$node->safe_psql('postgres', "CREATE TABLE configs (round int, config jsonb); COPY configs FROM '$dir/configs'");
my %config = map { split /\t/, $_, 2 } split /\n/, $node->safe_psql('postgres', q{SELECT round || E'\t' || config::text FROM configs});

open $f, '>', "$dir/records" or die;
open my $p, '>', "$dir/planted" or die;
for my $one (@forged)
{
	my ($round, $what, $name, $m) = @$one;
	my $text = $config{$round};
	utf8::encode($text) if utf8::is_utf8($text);
	$m->{tensors}{config} = { type => 'bytes', rows => length $text, cols => 1, data => $text, name => 'config' } if $m->{tensors}{config};
	my @r = records($m);
	print $f join("\t", $round, $name, $what =~ s/\\/\\\\/gr, $m->{manifest}{n_users}, $m->{manifest}{n_recordings}, $_, '\\\\x' . unpack 'H*', $r[$_]), "\n" for 0 .. $#r;
	for my $t (sort keys %{ $m->{tensors} })
	{
		my ($type, $rows, $cols, $data) = @{ $m->{tensors}{$t} }{qw(type rows cols data)};
		print $p join("\t", $round, $t, $type, $rows, $cols, crc32c(pack('q<5', 1000000 + $round, 0, $code{$type}, $rows, $cols) . $t . $data), '\\\\x' . unpack 'H*', $data), "\n";
	}
}
close $f;
close $p;

# --- what becomes of them --------------------------------------------------

$node->safe_psql('postgres', qq{
	CREATE TABLE record (round int, base text, what text, n_users int8, n_recordings int8, seq bigint, chunk bytea);
	COPY record FROM '$dir/records';
	CREATE INDEX ON record (round);
	CREATE TABLE planted (round int, name text, type text, rows bigint, cols int, crc bigint, data bytea);
	COPY planted FROM '$dir/planted';
	CREATE INDEX ON planted (round);
	CREATE TABLE base (name text, query text)} . q{;
	-- what lbrec.model.checksum is to be
	CREATE FUNCTION model_checksum(target bigint) RETURNS bigint LANGUAGE sql AS $$
		SELECT (CASE WHEN s >= 9223372036854775808 THEN s - 18446744073709551616 ELSE s END)::bigint
		FROM (SELECT mod(mod(sum(hashint8extended(crc32c, chunk)), 18446744073709551616) + 18446744073709551616, 18446744073709551616) AS s
			FROM lbrec.tensor WHERE model = target) AS t $$;
	CREATE TABLE outcome (round int, base text, what text, import text, message text, planted bool, used text, verdict text);
	-- everything that reads a model
	CREATE FUNCTION use_model(model text, query text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM lbrec_recommend(u, 5, model), lbrec_recommend(u, 5, model, exclude_listened => true) FROM unnest('{1,7,20,77}'::bigint[]) AS u;
		PERFORM lbrec_user_embedding(7, model);
		IF query !~ 'artist_name' THEN PERFORM lbrec_similar_users(7, 3, model); END IF;
		PERFORM * FROM lbrec_recommend_all(3, model);
		PERFORM lbrec_score(7, (SELECT array_agg(DISTINCT recording_msid) FROM listen), model);
		PERFORM lbrec_explain(7, recording_msid, model) FROM (SELECT DISTINCT recording_msid FROM listen LIMIT 3) AS l;
		PERFORM lbrec_similar(ARRAY[recording_msid], 3, model) FROM (SELECT DISTINCT recording_msid FROM listen LIMIT 3) AS l;
		PERFORM * FROM lbrec_recording_embeddings(model);
		PERFORM * FROM lbrec_evaluate(model, 'SELECT * FROM listen LIMIT 50');
		IF query ~ 'artist_name' AND EXISTS (SELECT FROM lbrec.model AS m, jsonb_array_elements(m.config -> 'candidate') AS c
			WHERE m.name = use_model.model AND c ->> 'column' = 'artist_name' AND c ->> 'kind' = 'category') THEN PERFORM * FROM lbrec_recommend(7, 5, model, per_artist => 1); END IF;
		PERFORM * FROM lbrec_export(model);
		PERFORM * FROM lbrec_train('continued', query, epochs => 1, split => 'none', start_from => model,
			user_features => CASE WHEN query ~ '"group"' THEN '{group}'::text[] END);
		RETURN 'works';
	-- sums of large numbers; users and recordings whose keys are now others
	EXCEPTION WHEN numeric_value_out_of_range OR no_data_found THEN RETURN 'works';
	WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
	END $$;
	CREATE PROCEDURE try(lo int, hi int) LANGUAGE plpgsql AS $$
	DECLARE o outcome; n bigint; r record;
	BEGIN
		FOR i IN lo .. hi LOOP
			SELECT d.round, d.base, d.what, d.n_users, d.n_recordings INTO r FROM record AS d WHERE d.round = i LIMIT 1;
			o := ROW(i, r.base, r.what, NULL, NULL, NULL, NULL, NULL);
			BEGIN
				o.import := 'refused';
				PERFORM lbrec_import(format('SELECT seq, chunk FROM record WHERE round = %s', i), 'forged', true);
				o.import := 'taken';
				SELECT string_agg(c.what || ': ' || c.problem, '; ') INTO o.message FROM lbrec_check('forged') AS c WHERE NOT ok;
				o.used := use_model('forged', (SELECT query FROM base WHERE name = r.base));
				RAISE 'undo' USING errcode = 'UT000';
			EXCEPTION WHEN OTHERS THEN
				IF SQLSTATE <> 'UT000' THEN o.message := SQLSTATE || ' ' || SQLERRM; END IF;
			END;
			-- the same past lbrec_import
			BEGIN
				INSERT INTO lbrec.model (id, name, version, activation, query, config, n_listens, n_users, n_recordings, checksum) OVERRIDING SYSTEM VALUE
				SELECT 1000000 + i, 'planted', 1, 1, '', c.config, 1, r.n_users, r.n_recordings, i FROM configs AS c WHERE c.round = i;
				INSERT INTO lbrec.tensor (model, name, chunk, type, rows, cols, crc32c, data)
				SELECT 1000000 + i, p.name, 0, p.type, p.rows, p.cols, p.crc, p.data FROM planted AS p WHERE p.round = i;
				UPDATE lbrec.model SET checksum = model_checksum(id) WHERE id = 1000000 + i;
				SELECT count(*) = 0 INTO o.planted FROM lbrec_check('planted') AS c WHERE NOT ok AND c.problem <> 'The model has no such tensor.';
				IF o.import = 'refused' THEN o.used := use_model('planted', (SELECT query FROM base WHERE name = r.base)); END IF;
				RAISE 'undo' USING errcode = 'UT000';
			EXCEPTION WHEN OTHERS THEN
				IF SQLSTATE <> 'UT000' THEN o.planted := false; END IF;
			END;
			o.verdict := CASE
				WHEN o.import = 'taken' AND o.message IS NOT NULL THEN 'TAKEN, NOT WELL'
				WHEN o.import = 'taken' AND o.used <> 'works' THEN 'TAKEN, NOT WORKING'
				WHEN (o.import = 'taken') <> o.planted THEN 'CHECK DISAGREES'
				WHEN o.import = 'refused' AND o.message !~ '^(XX001|0A000|22...|42602|54000) ' THEN 'UNCLEAR ERROR'
				ELSE o.import END;
			INSERT INTO outcome SELECT o.*;
			COMMIT;
		END LOOP;
	END $$});
$node->safe_psql('postgres', "INSERT INTO base VALUES ('$_', \$\$$query{$_}\$\$)") for keys %query;
my $err = '';
my $code = $node->psql('postgres', "SET client_min_messages = error; CALL try(1, $rounds)", stderr => \$err);
is($code, 0, 'the backend lived through all of it') or diag(substr($err, 0, 500), $node->safe_psql('postgres', 'SELECT 1 + max(round) FROM outcome'));
is($node->safe_psql('postgres', "SELECT DISTINCT verdict FROM outcome WHERE what = ''"), 'taken', 'a model as it was is taken');
is($node->safe_psql('postgres', q{SELECT verdict, what, base, import, left(message, 160), planted, left(used, 160), round FROM outcome WHERE verdict ~ '[A-Z]{3}' ORDER BY 1, 2 LIMIT 30}),
	'', 'each works, or is refused and found by lbrec_check');
is($node->safe_psql('postgres', 'SELECT count(*) FROM outcome'), $rounds, "$rounds mutations");
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM outcome WHERE verdict = 'refused'}), '>', $rounds / 2, 'most are refused');
diag($node->safe_psql('postgres', 'SELECT verdict, count(*) FROM outcome GROUP BY 1'));
done_testing();
