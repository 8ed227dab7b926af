# Every example of README.md and docs/*.md, run in the order of its page on a
# real server with a small invented dump.
#
# An example is a fenced block: ```sql; ```sh, where all its programs are the
# few that this test has at hand (%program); or a transcript, a block without a
# language whose first line has a prompt: "$ command" or "music=# SQL".  A
# table under a block of SQL, or in a transcript, is its output: the names of
# its columns must come in this order, and where it has numbers there must be
# numbers.
#
# Comments of the page say what it needs; they hold for the next block, and
# database until the next such line:
#
#	<!-- database: nothing -->	there is no database music
#	<!-- database: empty -->	music without tables
#	<!-- database: listens -->	music with a dump loaded
#	<!-- database: model -->	... and the extension, with a model 'weekly'
#	<!-- needs: pgvector -->	skipped where that is not there (%needs)
#	<!-- before: SQL -->		run first: what the page takes for granted
#	<!-- fails: REGEX -->		the block must fail with such a message
#	<!-- output: exact -->		its output is this, character for character
#
# LBREC_DOCS=howto tries only pages of such names.
#
# Shell blocks of nothing but "sh test/..." and "make ..." need the sources.
# A page begins with "model".  Each page has music, and a folder with dumps, of
# its own.  Nothing else is exempt.
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));
use Cwd qw(abs_path);
use Encode ();
use FindBin;
use lib "$FindBin::Bin/../perl", "$FindBin::Bin/../convert";
use Converter;
use IPC::Run;
use LbrecCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path("$FindBin::Bin/../..");
my $cron = -e `pg_config --pkglibdir` =~ s/\s+$//r . '/pg_cron.so';
my $node = new_cluster('docs', bare => 1,
	init => { extra => [ '--encoding=UTF8', '--no-locale' ] },
	settings => "max_wal_size = 4GB\n" . ($cron ? "shared_preload_libraries = 'pg_cron'\ncron.database_name = 'music'\n" : ''));
my $scratch = PostgreSQL::Test::Utils::tempdir();

sub sql { return $node->safe_psql(@_) }

# --- what examples may need ------------------------------------------------

sub available { return sql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = '$_[0]'") }

my %needs = (
	pgvector => sub { available('vector') },
	pg_cron => sub { $cron && available('pg_cron') },
	# For shell only: what a test of one small server cannot have.
	'another machine' => undef,
	'root' => undef,
	'the sources' => undef);

# Programs that shell examples may call.
my %program = map { $_ => 1 } qw(psql createdb dropdb pg_dump pg_restore lbrec-convert build/make_dump make set cd cat ls test export);

# --- what pages begin with -------------------------------------------------

my $full = 'listenbrainz-listens-dump-2001-20260101-000003-full';
my $incremental = 'listenbrainz-listens-dump-2002-20260102-000003-incremental';

sub make_dumps
{
	my ($dir) = @_;
	mkdir $dir;
	my $make = sub { IPC::Run::run([ "$top/build/make_dump", '-o', @_ ], '>', '/dev/null') or die 'make_dump failed' };
	$make->("$dir/$full.tar.zst", qw(--listens 20000 --users 60 --recordings 3000 --start 2025-01 --months 12));
	# as dumps of 2022 were: wrong clocks, lines that are no listens
	$make->("$dir/dump.tar.zst", qw(--listens 60000 --recordings 12000 --seed 1));
	write_tar("$dir/$incremental.tar.zst",
		"$incremental/SCHEMA_SEQUENCE" => "1\n",
		"$incremental/START_TIMESTAMP" => "2026-01-01T00:00:00+00:00\n", "$incremental/END_TIMESTAMP" => "2026-01-02T00:00:00+00:00\n",
		"$incremental/listens/2026/1.listens" => join '', map { line(user_id => 1 + $_ % 7, timestamp => 1767225610 + $_, recording_msid => msid($_ % 5)) } 1 .. 200);
	symlink "$top/build", "$dir/build";
	return;
}

# MusicBrainz data for the recordings that have an MBID.
# One person's exports of several services, some of whose plays are the same;
# and the part of the public dump with feedback.
sub make_exports
{
	my ($dir) = @_;
	my @day = map { sprintf '2025-03-%02d', $_ } 1 .. 30;
	write_file("$dir/Streaming_History_Audio_2025.json", '[' . join(',', map { qq({"ts":"${_}T12:03:50Z","ms_played":230000,"master_metadata_track_name":"Crazy in Love - Remastered 2013","master_metadata_album_artist_name":"Beyonc\xc3\xa9","master_metadata_album_album_name":"Dangerously in Love","spotify_track_uri":"spotify:track:x","reason_end":"trackdone"}) } @day) . ']');
	write_file("$dir/lastfm.csv", "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n" . join '', map { my $t = 1740830400 + 86400 * $_; qq("$t","x","Beyonce feat. JAY-Z","","","","Crazy In Love",""\n) } 0 .. 29);
	write_file("$dir/phone.scrobbler.log", "#AUDIOSCROBBLER/1.1\n#TZ/UTC\n" . join '', map { "\xe4\xb9\x85\xe7\x9f\xb3\xe8\xad\xb2\tx\tSummer\t1\t200\tL\t" . (1740870000 + 300 * $_) . "\t\n" } 1 .. 100);
	write_tar("$dir/listenbrainz-public-dump-1.tar.zst", 'listenbrainz-public-dump-1/lbdump/recording_feedback' => join '', map { "$_\t42\t" . msid($_) . "\t\\N\t" . ($_ % 2 ? 1 : -1) . "\t2026-01-01 00:00:00+00\n" } 1 .. 9);
}

sub make_canonical
{
	my ($dir) = @_;
	my $csv = sub { return sql('t_listens', "COPY ($_[0]) TO STDOUT (FORMAT csv, HEADER)") . "\n" };
	my $top = 'musicbrainz-canonical-dump-20260101-080003';
	write_tar("$dir/$top.tar.zst", "$top/TIMESTAMP" => "2026-01-01T08:00:03+00:00\n",
		"$top/canonical/canonical_musicbrainz_data.csv" => $csv->(q{
			SELECT row_number() OVER () AS id, 1 AS artist_credit_id, array_to_string(artist_mbids, ',') AS artist_mbids, artist_name AS artist_credit_name,
				release_mbid, release_name, recording_mbid, track_name AS recording_name, 'x' AS combined_lookup, 1 AS score, 1950 + get_byte(uuid_send(release_mbid), 0) % 75 AS year
			FROM (SELECT DISTINCT ON (recording_mbid) * FROM recording WHERE recording_mbid IS NOT NULL AND artist_mbids IS NOT NULL) AS r}),
		"$top/canonical/canonical_recording_redirect.csv" => $csv->(q{
			SELECT max(recording_mbid::text) AS recording_mbid, min(recording_mbid::text) AS canonical_recording_mbid, NULL AS canonical_release_mbid
			FROM recording WHERE recording_mbid IS NOT NULL HAVING count(*) > 1}));
	return;
}

# Programs of the shell: psql that stops at an error, make in the checkout.
sub make_programs
{
	mkdir "$scratch/bin";
	chomp(my $psql = `pg_config --bindir`);
	$psql .= '/psql';
	my %text = (psql => qq{exec $psql -v ON_ERROR_STOP=1 "\$@"}, make => qq{exec /usr/bin/make -s -C $top "\$@"}, 'lbrec-convert' => qq{exec $top/lbrec-convert "\$@"});
	for (keys %text)
	{
		write_file("$scratch/bin/$_", "#!/bin/sh\n$text{$_}\n");
		chmod 0755, "$scratch/bin/$_";
	}
	return;
}

my %made;

sub database
{
	my ($state) = @_;
	sql('postgres', 'DROP DATABASE IF EXISTS music WITH (FORCE)');
	return if $state eq 'nothing';
	if ($state eq 'empty')
	{
		sql('postgres', 'CREATE DATABASE music');
		return;
	}
	if (!$made{listens}++)
	{
		sql('postgres', 'CREATE DATABASE t_listens');
		system_or_bail("$top/lbrec-convert", '-q', '-d', $node->connstr('t_listens'), "$scratch/dumps/$full.tar.zst");
		sql('t_listens', 'ANALYZE');
		make_canonical("$scratch/dumps");
	}
	if ($state eq 'model' && !$made{model}++)
	{
		sql('postgres', 'CREATE DATABASE t_model TEMPLATE t_listens');
		sql('t_model', q{CREATE EXTENSION lbrec;
			SELECT lbrec_train('weekly', 'SELECT user_id, listened_at, recording_msid, artist_name FROM listen JOIN recording USING (recording_msid)')});
	}
	sql('postgres', "CREATE DATABASE music TEMPLATE t_$state");
	return;
}

# --- reading a page --------------------------------------------------------

# Blocks: { kind, text, line, output, and what comments said of it }.
sub blocks
{
	my ($text) = @_;
	my (@blocks, %said, @wrong);
	my $number = 1;
	while ($text =~ /\G(?:[ \t]*<!--\s*(\w+):\s*(.*?)\s*-->[ \t]*(?:\n|\z)|(?<i>[ \t]*)```[ \t]*(?<lang>[\w-]*)[ \t]*\n(?<body>.*?)^[ \t]*```[ \t]*(?:\n|\z)|[^\n]*(?:\n|\z))/gsm)
	{
		my $line = $number;
		$number += ($& =~ tr/\n//);
		if (defined $1)
		{
			my ($key, $value) = ($1, $2);
			push @wrong, "line $line: \"$key\" is no comment that the test knows" if $key !~ /^(?:database|needs|before|fails|output)$/;
			push @{ $said{ $key eq 'output' ? 'exact' : $key } }, $value;
		}
		elsif (defined $+{lang})
		{
			my ($lang, $body, $indent) = ($+{lang}, $+{body}, $+{i});
			$body =~ s/^$indent//mg;
			if ($lang eq 'sql' || $lang eq 'sh')
			{
				push @blocks, { kind => $lang, text => $body, line => $line, %said };
				%said = ();
			}
			elsif (($lang eq '' || $lang eq 'console') && $body =~ /^(?:\$|\w+=[#>]) /)
			{
				for my $b (transcript($body))
				{
					push @blocks, { %$b, line => $line + $b->{line}, %said };
					%said = ();
				}
			}
			elsif ($lang =~ /^(?:text)?$/ && $body =~ /\A[^\n]*\n[-+]+\n/ && @blocks && $blocks[-1]{kind} eq 'sql')
			{
				$blocks[-1]{output} = $body;
			}
		}
		last if pos($text) == length $text;
	}
	push @wrong, 'comments after the last block: ' . join ', ', keys %said if %said;
	return (\@blocks, \@wrong);
}

# A transcript: commands and what they printed.
sub transcript
{
	my ($text) = @_;
	my (@all, $open);
	my $n = 0;
	for my $line (split /\n/, $text)
	{
		$n++;
		if ($open && ($line =~ s/^\w+[-('"]# ?// || $line =~ /^\s/))
		{
			$all[-1]{text} .= "$line\n";
		}
		elsif ($line =~ s/^(\$|\w+=[#>]) //)
		{
			my $kind = $1 eq '$' ? 'sh' : 'sql';
			push @all, { kind => $kind, text => "$line\n", line => $n, output => '', transcript => 1 };
		}
		else
		{
			$all[-1]{output} .= "$line\n";
		}
		$open = $all[-1]{kind} eq 'sql' && $all[-1]{text} !~ /;\s*(--[^\n]*)?\n\z/;
	}
	delete $_->{output} for grep { $_->{output} !~ /\S/ } @all;
	return @all;
}

# --- running and comparing -------------------------------------------------

# Programs that a shell block calls, as far as a look tells.
sub programs
{
	my ($text) = @_;
	$text =~ s/\\\n/ /g;
	$text =~ s/'[^']*'|"[^"]*"/x/g;
	$text =~ s/(^|\s)#[^\n]*//g;
	my %found;
	for (split /\n|\|\|?|&&|;/, $text)
	{
		s/^\s*(?:do|then|else)\b//;
		next if /^\s*(?:for\s|done\b|fi\b|$)/;
		$found{$1} = 1 if /^\s*(?:\w+=\S*\s+)*([^\s=]+)(?!\S)/;
	}
	return sort keys %found;
}

sub run_block
{
	my ($b, $dir) = @_;
	my ($out, $err) = ('', '');
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', PATH => "$scratch/bin:$ENV{PATH}", PGTZ => 'UTC');
	my @command = $b->{kind} eq 'sh' ? ('sh', '-e') : ('psql', '-Xq', '-P', 'pager=off', '-d', 'music', '-f', '-');
	my $text = $b->{text};
	# what stands for the rest of a file's name
	$text =~ s/…/*/g if $b->{kind} eq 'sh';
	utf8::encode($text);
	IPC::Run::run(\@command, '<', \$text, '>', \$out, '2>', \$err, init => sub { chdir $dir or die }, IPC::Run::timeout(500));
	my $code = $? >> 8;
	utf8::decode($_) for $out, $err;
	# a reject is no failure of the converter
	$code = 0 if $b->{kind} eq 'sh' && $code == 1 && $err =~ /^lbrec-convert: finished/m;
	$code = 1 if !$code && $err =~ /^(?:psql:.*: )?(?:ERROR|FATAL):/m;
	return ($code, $out, $err);
}

sub cells { return map { s/^\s+|\s+$//gr } split /\|/, $_[0], -1 }

# The reason why the output is another one; nothing if it is as told.
sub differs
{
	my ($b, $out, $err) = @_;
	my $want = $b->{output};
	return if !defined $want;
	if ($b->{kind} eq 'sh')
	{
		# a summary: what it counts, not how many
		my %has = map { /^\s+(\w+) / ? ($1 => 1) : () } split /\n/, $err;
		for (split /\n/, $want)
		{
			return "there is no line \"$1\" in\n$err" if /^  (\w+) / && !$has{$1};
		}
		return;
	}
	return if $want !~ /^[-+]+$/m;
	my ($names, undef, @rows) = split /\n/, $want;
	my ($got_names, undef, @got) = split /\n/, $out;
	if ($b->{exact})
	{
		my $plain = sub { join "\n", map { join '|', cells($_) } @_ };
		my $w = $plain->($names, @rows);
		my $g = $plain->(defined $got_names ? $got_names : '', @got);
		return $w eq $g ? () : "it is\n$out";
	}
	my @got_names = cells(defined $got_names ? $got_names : '');
	my @first = cells($got[0] || '');
	my @columns;
	my $i = 0;
	for my $name (cells($names))
	{
		$i++ while $i < @got_names && $got_names[$i] ne $name;
		return "there is no column \"$name\" (in this order) in\n$out" if $i == @got_names;
		push @columns, $i++;
	}
	return "it has no rows:\n$out" if @rows && $rows[0] !~ /^\(0 rows/ && $got[0] =~ /^\(0 rows/;
	my @want = cells($rows[0] || '');
	for (0 .. $#columns)
	{
		my ($w, $g) = ($want[$_] // '', $first[ $columns[$_] ] // '');
		my $number = qr/^-?\d[\d.e+-]*$/;
		return "column \"$got_names[$columns[$_]]\" is not as shown in\n$out" if $w ne '' && $g ne '' && ($w =~ $number) != ($g =~ $number);
	}
	return;
}

my ($n_run, %skipped) = (0);

sub test_page
{
	my ($name, $text) = @_;
	my ($blocks, $wrong) = blocks($text);
	my @failures = @$wrong;
	return if !@$blocks && !@failures;
	my $dir = "$scratch/" . $name =~ tr|/.|__|r;
	system_or_bail('cp', '-a', "$scratch/dumps", $dir);
	my $state;
	for my $b (@$blocks)
	{
		my $title = "$name:$b->{line}";
		my $wanted = $b->{database} ? $b->{database}[-1] : defined $state ? undef : 'model';
		if (defined $wanted)
		{
			$wanted =~ /^(?:nothing|empty|listens|model)$/ or push @failures, "$title: there is no state \"$wanted\"";
			database($wanted);
			$state = $wanted;
		}
		my $skip;
		for my $need (@{ $b->{needs} || [] })
		{
			if (!exists $needs{$need}) { push @failures, "$title: nobody knows what \"$need\" is" }
			elsif (!$needs{$need} && $b->{kind} eq 'sql') { push @failures, "$title: SQL needs no $need" }
			elsif (!$needs{$need} || !$needs{$need}->()) { $skip = $need }
		}
		my @unknown = $b->{kind} eq 'sh' ? grep { !$program{$_} } programs($b->{text}) : ();
		# the project's own scripts and make targets: they run longer than a test
		$skip = 'the sources' if @unknown && !grep { !/^\s*(?:#|$|(?:\w+=\S+ )*(?:sh test\/|make ))/ } split /\n/, $b->{text};
		if (!defined $skip && @unknown)
		{
			push @failures, "$title: the test has no program " . join(', ', @unknown) . '; say what the block needs';
			next;
		}
		if (defined $skip)
		{
			$skipped{$skip}++;
		  SKIP: { skip "$title needs $skip", 1 }
			next;
		}
		sql('music', $_) for @{ $b->{before} || [] };
		my ($code, $out, $err) = run_block($b, $dir);
		$n_run++;
		if (my $fails = $b->{fails})
		{
			push @failures, "$title: did not fail with \"$fails->[0]\":\n$err" unless $code && $err =~ /$fails->[0]/;
			next;
		}
		if ($code)
		{
			push @failures, "$title: failed:\n$err\n$b->{text}";
			next;
		}
		my $reason = differs($b, $out, $err);
		push @failures, "$title: output: $reason" if defined $reason;
	}
	return (scalar @$blocks, @failures);
}

make_dumps("$scratch/dumps");
make_exports("$scratch/dumps");
make_programs();
database('model');
sql('postgres', 'CREATE ROLE reader; CREATE ROLE trainer; CREATE ROLE app');

# The test itself: each kind of broken example is told.
{
	my %broken = (
		'SQL that fails' => "```sql\nSELECT lbrec_train('x', epoch => 1);\n```\n",
		'a second statement that fails' => "```sql\nSELECT 1;\nSELECT no_such_column;\n```\n",
		'an indented block' => "- x\n\n  ```sql\n  SELECT 1 / 0;\n  ```\n",
		'a column that is not there' => "```sql\nSELECT 1 AS a;\n```\n```\n b\n---\n 1\n```\n",
		'text for a number' => "```sql\nSELECT 'x' AS a;\n```\n```\n a\n---\n 1\n```\n",
		'no rows' => "```sql\nSELECT 1 AS a WHERE false;\n```\n```\n a\n---\n 1\n```\n",
		'another exact output' => "<!-- output: exact -->\n```sql\nSELECT 1 AS a;\n```\n```\n a\n---\n 2\n(1 row)\n```\n",
		'no failure' => "<!-- fails: division -->\n```sql\nSELECT 1;\n```\n",
		'another failure' => "<!-- fails: no such thing -->\n```sql\nSELECT 1/0;\n```\n",
		'a transcript' => "```\n\$ lbrec-convert --table listen dump.tar.zst\nmusic=# SELECT 1\n        FROM nowhere;\n```\n",
		'a count that no summary has' => "```\n\$ lbrec-convert --table listen dump.tar.zst\n  feathers   3\n```\n",
		'shell' => "```sh\npsql music -c 'SELECT 1/0'\n```\n",
		'shell, in the middle' => "```sh\npsql music -c 'SELECT 1/0' | cat\npsql music -c 'SELECT 1'\n```\n",
		'a program that is not there' => "```sh\nfrobnicate --all\n```\n",
		'a program beside the sources' => "```sh\nsh test/check.sh\nfrobnicate\n```\n",
		'an excuse' => "<!-- needs: patience -->\n```sql\nSELECT 1;\n```\n",
		'an excuse for shell only' => "<!-- needs: root -->\n```sql\nSELECT 1;\n```\n",
		'a comment that is not known' => "<!-- skip: yes -->\n```sql\nSELECT 1;\n```\n",
		'a comment without a block' => "```sql\nSELECT 1;\n```\n<!-- database: empty -->\n");
	for (sort keys %broken)
	{
		my ($n, @failures) = test_page("broken", "<!-- database: empty -->\n" . $broken{$_});
		ok(scalar @failures, "told: $_");
	}
	my ($n, @failures) = test_page('right', <<'PAGE');
<!-- database: listens -->
<!-- before: CREATE TABLE x AS SELECT 3 AS a -->

```sql
SELECT a, a AS b, 'x' AS c FROM x;   -- text
```

```
 a | c
---+---
 1 | y
(1 row)
```
<!-- fails: division by zero -->
```sql
SELECT 1/0;
```
<!-- output: exact -->
```sql
SELECT 1 AS a;
```
```
 a
---
 1
(1 row)
```

```
$ lbrec-convert --table listen listenbrainz-listens-dump-…-full.tar.zst
lbrec-convert: finished after 6 s
  lines    7
music=# SELECT count(*) > 0 AS yes
music-# FROM listen;
 yes
-----
 t
```
PAGE
	is(join("\n", @failures), '', 'nothing is told of a page that is right');
	is($n, 5, '... all of whose blocks were seen');
	$n_run = 0;
}

for my $file ("$top/README.md", sort glob "$top/docs/*.md")
{
	my $name = substr $file, length("$top/");
	next if $ENV{LBREC_DOCS} && $name !~ /$ENV{LBREC_DOCS}/;
	my ($n, @failures) = test_page($name, Encode::decode('UTF-8', slurp_file($file)));
	next if !defined $n;
	is(join("\n", @failures), '', "$name: $n examples");
}
# --- links -----------------------------------------------------------------

# The anchors of a page, as forges make them of its headings.
sub anchors
{
	my ($text) = @_;
	$text =~ s/^```.*?^```//gsm;
	return map { my $h = lc; $h =~ s/[^\w\s-]//g; $h =~ s/\s/-/g; $h } $text =~ /^#+ (.*?)\s*$/mg;
}

sub dead_links
{
	my ($file, $text) = @_;
	my @dead;
	$text =~ s/^\s*```.*?^\s*```//gsm;
	my $dir = $file =~ s|[^/]*\z||r;
	while ($text =~ /\]\(([^)\s]+)\)/g)
	{
		my $link = $1;
		next if $link =~ /^\w+:/;
		my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
		my $target = $path eq '' ? $file : "$dir$path";
		push(@dead, $link), next if !-e $target;
		next if !defined $anchor;
		my $there = $path eq '' ? $text : Encode::decode('UTF-8', slurp_file($target));
		push @dead, $link if !grep { $_ eq $anchor } anchors($there);
	}
	return @dead;
}
{
	my @dead = map { my $f = $_; map { substr($f, length("$top/")) . ": $_" } dead_links($f, Encode::decode('UTF-8', slurp_file($f))) } "$top/README.md", "$top/CHANGELOG.md", glob("$top/docs/*.md");
	is(join("\n", @dead), '', 'every link leads somewhere');
	is(join(' ', dead_links("$top/README.md", '[a](docs/nothing.md) [b](docs/training.md#nowhere) [c](LICENSE) [d](docs/training.md#memory-and-time)')), 'docs/nothing.md docs/training.md#nowhere', 'told: links that do not');
	# the tour of the source names each file, or its kind: `lb_scan*`
	my @named = slurp_file("$top/docs/architecture.md") =~ /`(\w+)(\*)?(?:\.\w+)?`/g;
	my (%whole, @begin);
	while (my ($name, $star) = splice @named, 0, 2) { $star ? push(@begin, $name) : ($whole{$name} = 1) }
	my $toured = sub { my ($name) = @_; return $whole{$name} || grep { index($name, $_) == 0 } @begin };
	my @files = map { m|([^/]*)\.\w+$| } map { glob "$top/src/$_" } qw(core/*.c core/*/*.c pg/*/*.c convert/*.c convert/*.cpp);
	cmp_ok(scalar @files, '>', 80, 'the source has files');
	is(join(' ', grep { !$toured->($_) } @files), '', 'the tour of the source names every file');
	ok(!$toured->($_), "told: $_ is not there") for qw(lb_sca nothing);
	my $index = slurp_file("$top/docs/README.md");
	is(join(' ', grep { $_ ne 'README.md' && $index !~ /\(\Q$_\E\)/ } map { s|.*/||r } glob "$top/docs/*.md"), '', 'the index has every page');
}

cmp_ok($n_run, '>', $ENV{LBREC_DOCS} ? 0 : 60, "$n_run examples ran");
diag("examples: $n_run ran; skipped: " . (join(', ', map { "$skipped{$_} need $_" } sort keys %skipped) || 'none'));
is_well($node, 'at the end');
$node->stop;
done_testing();
