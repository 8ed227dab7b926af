# Unit tests of src/core: no server, no PostgreSQL header.
#
#	make unit						all, plain and under sanitizers
#	make build/unit/test_scan && build/unit/test_scan		one, plain
#	make build/unit/test_scan.san && build/unit/test_scan.san
#
# Every test/unit/test_*.c becomes two programs, linked with all of src/core.
# Objects are built here again, outside PGXS: its flags are the server's.

UNIT_SRCS = $(sort $(wildcard test/unit/test_*.c))
UNIT_NAMES = $(patsubst test/unit/%.c,%,$(UNIT_SRCS))
UNIT_PLAIN = $(UNIT_NAMES:%=build/unit/%)
UNIT_SAN = $(UNIT_NAMES:%=build/unit/%.san)
UNIT_CORE_PLAIN = $(CORE_SRCS:src/core/%.c=build/unit/core/%.o)
UNIT_CORE_SAN = $(CORE_SRCS:src/core/%.c=build/unit/core/%.san.o)

UNIT_CC_FLAGS = $(PG_CFLAGS) -Isrc -g -MMD -MP $(CORE_CFLAGS)
# -O2 stands after CORE_CFLAGS: compiling at -O3 under ASan takes minutes
UNIT_SAN_FLAGS = -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
UNIT_LIBS = -lpthread -ldl -lm

build/unit/core/%.san.o: src/core/%.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CC_FLAGS) -O2 $(UNIT_SAN_FLAGS) -c -o $@ $<

build/unit/core/%.o: src/core/%.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CC_FLAGS) -c -o $@ $<

build/unit/%.san: test/unit/%.c $(UNIT_CORE_SAN)
	$(CC) $(UNIT_CC_FLAGS) -O2 -MF $@.d $(UNIT_SAN_FLAGS) -o $@ $< $(filter %.o,$^) $(UNIT_LIBS)

build/unit/%: test/unit/%.c $(UNIT_CORE_PLAIN)
	$(CC) $(UNIT_CC_FLAGS) -MF $@.d -o $@ $< $(filter %.o,$^) $(UNIT_LIBS)

-include $(wildcard build/unit/*.d build/unit/core/*.d build/unit/core/*/*.d)

# Each program prints "name: N passed, N failed"; all run, then the verdict.
.PHONY: unit
unit: $(UNIT_PLAIN) $(UNIT_SAN)
	@failed=0; \
	for t in $^; do ./$$t || failed=1; done; \
	exit $$failed
