# make parity VECTORS=DIR: replay TFRS's reference cases under DIR.

PARITY_CFLAGS = -std=gnu11 -O2 -g -Wall -Wextra -Werror \
	-Wno-unused-parameter -Wno-sign-compare

build/parity: test/parity/parity.c $(CORE_OBJS)
	@mkdir -p build
	$(CC) $(PARITY_CFLAGS) -I$(srcdir)/src -o $@ $^ \
		-ljansson -lpthread -ldl -lm

.PHONY: parity
parity: build/parity
	@test -n "$(VECTORS)" || { \
		echo 'usage: make parity VECTORS=DIR' >&2; exit 2; }
	build/parity "$(VECTORS)"
