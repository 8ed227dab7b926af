# Checks for faults that a compiler does not find.
#
#	make layers			which room may include which
#	make version-check	the version is the same wherever it stands
#	make format-check	the C files look as pg_bsd_indent leaves them
#	make format			make them so
#	make errors-check	docs/errors.md has every message of src/pg
#	make lint			all but format
#
# A check first shows that it can fail.

lint: layers version-check format-check errors-check

layers:
	@sh test/lint/layers.sh --self-test
	@sh test/lint/layers.sh

version-check:
	@sh test/lint/version.sh --self-test
	@sh test/lint/version.sh

format-check:
	@perl test/lint/format.pl --check

errors-check:
	@perl test/lint/errors.pl --self-test
	@perl test/lint/errors.pl

format:
	@perl test/lint/format.pl

.PHONY: lint layers version-check format-check errors-check format
