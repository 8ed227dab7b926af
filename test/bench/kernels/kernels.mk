# make bench-kernels: what each kernel takes, beside peers in the same run.
# The peers alone get -march=native and -ffast-math: they are to be at their
# best, and only lbrec has to run on any machine.

BENCH_KERNELS_FLAGS = $(UNIT_CC_FLAGS) -Itest/bench/kernels

build/bench/kernels: test/bench/kernels/kernels.c test/bench/kernels/peers.c \
		test/bench/kernels/peers.h $(UNIT_CORE_PLAIN)
	@mkdir -p $(@D)
	$(CC) $(BENCH_KERNELS_FLAGS) -march=native -ffast-math \
		-ffp-contract=fast -c -o build/bench/peers.o test/bench/kernels/peers.c
	$(CC) $(BENCH_KERNELS_FLAGS) -o $@ test/bench/kernels/kernels.c \
		build/bench/peers.o $(UNIT_CORE_PLAIN) -lopenblas $(UNIT_LIBS)

.PHONY: bench-kernels
bench-kernels: build/bench/kernels
	build/bench/kernels
