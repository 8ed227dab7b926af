# lbrec: music recommendations from listening data, inside PostgreSQL.
#
#   make                  the extension and lbrec-convert
#   make install          both, for the server that PG_CONFIG names
#   make check            the regress suite, on a server of its own; nothing is
#                         installed (one test: make check T=train)
#   make prove T=cancel   the TAP tests with such a name (all: make prove)
#   make installcheck     the regress suite on your running server
#   make unit             the unit tests of src/core; no server needed
#   make lint             layers, versions and the look of the C files
#   make layers           the include rule between src/core, src/pg, src/convert
#   make format           PostgreSQL's look for all C files
#   make bench-kernels    the kernels beside OpenBLAS and plain C
#   make dist             lbrec-VERSION.zip of HEAD, as PGXN takes it
#   make parity VECTORS=D replay the TFRS reference cases under D
#
# sh test/check.sh does all of it, from nothing, on Debian.

EXTENSION = lbrec
# PGXS has a VERSION of its own, the server's.
LBREC_VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" \
	lbrec.control)
MODULE_big = lbrec
DATA = $(wildcard sql/lbrec--*.sql)

CORE_SRCS = $(sort $(wildcard src/core/*.c src/core/*/*.c))
PG_SRCS = $(sort $(wildcard src/pg/*/*.c))
CORE_OBJS = $(CORE_SRCS:.c=.o)
OBJS = $(CORE_OBJS) $(PG_SRCS:.c=.o)

PG_CPPFLAGS = -I$(srcdir)/src -DLBREC_VERSION='"$(LBREC_VERSION)"'
PG_CFLAGS = -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter \
	-Wno-sign-compare -Wno-missing-field-initializers \
	-Wno-declaration-after-statement
# A sum of products has the same bits also on CPUs that could fuse them.
PG_CFLAGS += -ffp-contract=off
# The server's flags are those of the compiler that built it, mostly gcc.
PG_CFLAGS += $(if $(findstring clang,$(CC)),-Wno-unknown-warning-option \
	-Wno-ignored-optimization-argument -Wno-ignored-attributes)
# Scores are sums in float and double; the 387 would round them otherwise.
I386_CFLAGS = -msse2 -mfpmath=sse -mstackrealign
PG_CFLAGS += $(if $(filter i386-% i486-% i586-% i686-%,\
	$(shell $(CC) -dumpmachine)),$(I386_CFLAGS))
SHLIB_LINK = -lpthread -ldl -lm

# As Debian builds PostgreSQL, also where the server is built otherwise.
HARDEN = -fstack-protector-strong $(if \
	$(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS))$(filter -O0,$(CFLAGS)),,\
	-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
PG_CFLAGS += $(HARDEN)

# Other libraries in the server's processes see what SQL calls, and no more.
EXPORTS = build/lbrec.map
LINK_linux = -Wl,--version-script=$(EXPORTS) -Wl,-z,relro -Wl,-z,now
SHLIB_LINK += $(LINK_$(PORTNAME))

# pg_regress reads test/sql and compares with expected/
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --load-extension=lbrec

EXTRA_CLEAN = build

# Inlining our code into queries as LLVM bitcode would gain nothing.
override with_llvm := no

PG_CONFIG ?= pg_config

# PGXS has a "check" of its own, which refuses: so it is not read for ours.
ifneq ($(filter check prove,$(MAKECMDGOALS)),)
.PHONY: $(MAKECMDGOALS)
check prove:
	$(MAKE) -s all make-dump
	@PG_CONFIG="$(PG_CONFIG)" sh test/run.sh $@ $(T)
$(filter-out check prove,$(MAKECMDGOALS)):
	$(MAKE) $@
else

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# The safe parts of -ffast-math, for the numeric files only.  The flag itself
# would break isnan() and, at link time, flush denormals in the whole server.
# No -fassociative-math either: a score is one sequential chain of fused
# multiply-adds, the same bits in every kernel and on every CPU.
CORE_CFLAGS = -O3 -fno-math-errno -fno-trapping-math
$(CORE_OBJS): CFLAGS += $(CORE_CFLAGS)

# Debian's PGXS does not track headers; an object of older structs crashes.
$(OBJS): $(wildcard src/core/*.h src/core/*/*.h src/pg/*/*.h)

$(MODULE_big)$(DLSUFFIX): $(EXPORTS)
$(EXPORTS): $(PG_SRCS)
	@mkdir -p $(@D)
	@{ echo '{ global: Pg_magic_func; _PG_init;'; \
	sed -n 's/^PG_FUNCTION_INFO_V1(\(.*\));/\1; pg_finfo_\1;/p' $^; \
	echo 'local: *; };'; } >$@

# The same bytes each time: git takes the times from the commit.
DISTDIR = .
.PHONY: dist
dist:
	git archive --format=zip --prefix=$(EXTENSION)-$(LBREC_VERSION)/ \
		-o $(DISTDIR)/$(EXTENSION)-$(LBREC_VERSION).zip HEAD

include test/unit/unit.mk
include test/unit/cross.mk
include test/bench/kernels/kernels.mk
include src/convert/convert.mk
include test/parity/parity.mk
include test/fuzz/fuzz.mk
include test/data/data.mk
include test/lint/lint.mk

endif
