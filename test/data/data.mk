# The generator of synthetic dumps: build/make_dump --help.

MAKE_DUMP = build/make_dump
MAKE_DUMP_SRCS = $(sort $(wildcard test/data/*.c))

make-dump: $(MAKE_DUMP)

$(MAKE_DUMP): $(MAKE_DUMP_SRCS) test/data/md.h test/data/data.mk
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE \
		-o $@ $(MAKE_DUMP_SRCS) -larchive -lm

.PHONY: make-dump
