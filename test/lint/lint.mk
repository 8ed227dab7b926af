# Checks of what a compiler does not see.
#
#	make layers			which room may include which
#	make version-check	the version is the same wherever it stands
#	make format-check	the C files look as pg_bsd_indent leaves them
#	make format			make them so
#	make lint			the first three
#
# A check first shows that it can fail.

lint: layers version-check format-check

layers:
	@sh test/lint/layers.sh --self-test
	@sh test/lint/layers.sh

version-check:
	@sh test/lint/version.sh --self-test
	@sh test/lint/version.sh

format-check:
	@perl test/lint/format.pl --check

format:
	@perl test/lint/format.pl

.PHONY: lint layers version-check format-check format
