# Unit tests of src/core for other CPUs, run emulated by qemu-user.
#
#	make cross-unit ARCH=arm64		also armhf, i386
#	make cross-short				in a minute: what differs most between CPUs
#	make cross-parity ARCH=arm64 VECTORS=DIR
#	make cross-old					on x86-64 without AVX2, this machine's programs
#	make cross-refused				a big-endian machine is refused at build time
#	make build/cross/arm64/test_scan && qemu-aarch64 build/cross/arm64/test_scan
#
# Needs Debian's cross compilers and qemu-user.  arm64 runs each test twice:
# on a CPU without dot products of bytes and on one with all.

CROSS_TRIPLET_arm64 = aarch64-linux-gnu
CROSS_TRIPLET_armhf = arm-linux-gnueabihf
CROSS_TRIPLET_i386 = i686-linux-gnu
CROSS_RUN_arm64 = qemu-aarch64 -cpu cortex-a53 -L /usr/aarch64-linux-gnu
CROSS_RUN2_arm64 = qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu
CROSS_RUN_armhf = qemu-arm -L /usr/arm-linux-gnueabihf
# an x86-64 machine runs these itself; qemu-i386 7.2 hangs on some of them when a thread starts
I386_LIB = /usr/i686-linux-gnu/lib
CROSS_RUN_i386 = $(if $(filter x86_64,$(shell uname -m)),$(I386_LIB)/ld-linux.so.2 --library-path \
	$(I386_LIB),qemu-i386 -cpu n270 -L /usr/i686-linux-gnu)
CROSS_FLAGS_i386 = $(I386_CFLAGS)

CROSS_DIR = build/cross/$(ARCH)
CROSS_CC = $(CROSS_TRIPLET_$(ARCH))-gcc
CROSS_CORE = $(CORE_SRCS:src/core/%.c=$(CROSS_DIR)/core/%.o)
CROSS_TESTS = $(UNIT_NAMES:%=$(CROSS_DIR)/%)

$(CROSS_DIR)/core/%.o: src/core/%.c
	@mkdir -p $(@D)
	$(CROSS_CC) $(UNIT_CC_FLAGS) $(CROSS_FLAGS_$(ARCH)) -c -o $@ $<

# gcc 12 for arm64 breaks off on a test when it vectorises it
$(CROSS_DIR)/%: test/unit/%.c $(CROSS_CORE)
	$(CROSS_CC) $(UNIT_CC_FLAGS) $(CROSS_FLAGS_$(ARCH)) -fno-tree-vectorize -MF $@.d -o $@ $< \
		$(filter %.o,$^) $(UNIT_LIBS)

-include $(wildcard build/cross/*/*.d build/cross/*/core/*.d build/cross/*/core/*/*.d)

# TESTS='test_scan test_tower': those alone
.PHONY: cross-unit cross-short cross-old cross-refused
cross-unit: $(if $(TESTS),$(TESTS:%=$(CROSS_DIR)/%),$(CROSS_TESTS))
	@failed=0; \
	for t in $^; do \
		$(CROSS_RUN_$(ARCH)) $$t || failed=1; \
		$(if $(CROSS_RUN2_$(ARCH)),$(CROSS_RUN2_$(ARCH)) $$t || failed=1;) \
	done; \
	exit $$failed

# arm64 on a CPU with all, and what tells machines apart on the others
CROSS_SHORT = test_math test_tower test_dense test_rows test_softmax test_model
cross-short:
	$(MAKE) -s cross-unit ARCH=arm64 TESTS='$(CROSS_SHORT)' \
		CROSS_RUN_arm64='$(CROSS_RUN2_arm64)' CROSS_RUN2_arm64=
	$(MAKE) -s cross-unit ARCH=arm64 TESTS=test_tower CROSS_RUN2_arm64=
	$(MAKE) -s cross-unit ARCH=i386 TESTS='test_tower test_math'
	$(MAKE) -s cross-unit ARCH=armhf TESTS='test_tower test_math'
	$(MAKE) -s cross-old TESTS='test_tower test_math'
	$(MAKE) -s cross-refused

cross-old: $(if $(TESTS),$(TESTS:%=build/unit/%),$(UNIT_PLAIN))
	@failed=0; \
	for t in $^; do qemu-x86_64 -cpu Nehalem $$t || failed=1; done; \
	exit $$failed

cross-refused:
	@mkdir -p build/cross
	@if s390x-linux-gnu-gcc -ffreestanding -Isrc -fsyntax-only -x c src/core/lb_core.h \
		2>build/cross/refused; then \
		echo 'a big-endian machine was not refused' >&2; exit 1; \
	else grep -q 'big-endian' build/cross/refused; fi
	@echo 'a big-endian machine is refused'

# TFRS's cases; jansson for that CPU must be installed beside this one's
.PHONY: cross-parity
cross-parity: $(CROSS_CORE)
	$(CROSS_CC) $(PARITY_CFLAGS) -Isrc -o $(CROSS_DIR)/parity \
		test/parity/parity.c $(CROSS_CORE) -ljansson $(UNIT_LIBS)
	qemu-aarch64 -cpu cortex-a53 -L / $(CROSS_DIR)/parity "$(VECTORS)"
	qemu-aarch64 -cpu max -L / $(CROSS_DIR)/parity "$(VECTORS)"
