# lbrec-convert: a program of its own, so PGXS's one-module rule does not do.
#
#   make lbrec-convert    the program
#   make convert-unit     unit tests of its pieces, under sanitizers
#   make convert-asan     the same under address and undefined-behaviour
#                         sanitizers, as build/convert-asan/lbrec-convert
#
# It needs libarchive, simdjson, libpq, libuuid and their headers.  simdjson is C++:
# cv_json.cpp is the one C++ file, behind the C header cv_json.h.

CONVERT_C = $(sort $(wildcard src/convert/*.c))
CONVERT_CPP = src/convert/cv_json.cpp
CONVERT_H = $(wildcard src/convert/*.h)
CONVERT_DIR = build/convert
CONVERT_OBJS = $(CONVERT_C:src/convert/%.c=$(CONVERT_DIR)/%.o) \
	$(CONVERT_DIR)/cv_json.o
CONVERT_ASAN_DIR = build/convert-asan
CONVERT_ASAN_OBJS = $(CONVERT_OBJS:$(CONVERT_DIR)/%=$(CONVERT_ASAN_DIR)/%)

# Not PGXS's CFLAGS: they are the server's, and this is no server code.
CONVERT_DEPS = lbrec.control src/convert/convert.mk
CONVERT_WARN = -Wall -Wextra -Werror
CONVERT_OPT ?= -O2 -g
CONVERT_HARDEN = -fstack-protector-strong -fPIE $(if \
	$(filter -O0,$(CONVERT_OPT)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
CONVERT_HARDEN_LINK = -pie -Wl,-z,relro -Wl,-z,now
# PGXS has a VERSION of its own, the server's: ours is read again.
CONVERT_VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" \
	lbrec.control)
CONVERT_CPPFLAGS = -D_GNU_SOURCE -DLBREC_VERSION='"$(CONVERT_VERSION)"' \
	-I$(shell $(PG_CONFIG) --includedir)
CONVERT_CC = $(CC) -std=gnu11 $(CONVERT_WARN) $(CONVERT_CPPFLAGS)
CONVERT_CXX = $(CXX) -std=c++17 -fno-exceptions -fno-rtti $(CONVERT_WARN) \
	$(CONVERT_CPPFLAGS)
CONVERT_LIBS = -L$(shell $(PG_CONFIG) --libdir) -larchive -lsimdjson -lpq -luuid -lm -lpthread
CONVERT_ASAN = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer

# CONVERT=no: the extension alone, as for a package of its own
ifneq ($(CONVERT),no)
all: lbrec-convert
install: install-convert
uninstall: uninstall-convert
endif

lbrec-convert: $(CONVERT_OBJS)
	$(CXX) $(CONVERT_OPT) $(CONVERT_HARDEN_LINK) -o $@ $^ $(CONVERT_LIBS)

$(CONVERT_DIR)/%.o: src/convert/%.c $(CONVERT_H) $(CONVERT_DEPS)
	@mkdir -p $(@D)
	$(CONVERT_CC) $(CONVERT_OPT) $(CONVERT_HARDEN) -c -o $@ $<

$(CONVERT_DIR)/%.o: src/convert/%.cpp $(CONVERT_H) $(CONVERT_DEPS)
	@mkdir -p $(@D)
	$(CONVERT_CXX) $(CONVERT_OPT) $(CONVERT_HARDEN) -c -o $@ $<

convert-asan: $(CONVERT_ASAN_DIR)/lbrec-convert

$(CONVERT_ASAN_DIR)/lbrec-convert: $(CONVERT_ASAN_OBJS)
	$(CXX) $(CONVERT_ASAN) -o $@ $^ $(CONVERT_LIBS)

$(CONVERT_ASAN_DIR)/%.o: src/convert/%.c $(CONVERT_H) $(CONVERT_DEPS)
	@mkdir -p $(@D)
	$(CONVERT_CC) $(CONVERT_ASAN) -c -o $@ $<

$(CONVERT_ASAN_DIR)/%.o: src/convert/%.cpp $(CONVERT_H) $(CONVERT_DEPS)
	@mkdir -p $(@D)
	$(CONVERT_CXX) $(CONVERT_ASAN) -c -o $@ $<

convert-unit: $(CONVERT_ASAN_DIR)/test_cv
	$(CONVERT_ASAN_DIR)/test_cv

$(CONVERT_ASAN_DIR)/test_cv: test/convert/test_cv.c \
		$(filter-out %/cv_main.o,$(CONVERT_ASAN_OBJS))
	$(CONVERT_CC) $(CONVERT_ASAN) -Isrc/convert -c -o $@.o $<
	$(CXX) $(CONVERT_ASAN) -o $@ $@.o $(filter %.o,$^) $(CONVERT_LIBS)

# Where the server's programs are; but Debian's are in a folder that is on
# nobody's PATH, and the converter is not a server's: there, /usr/local.
CONVERT_PREFIX ?= $(if $(filter /usr/lib/postgresql/%,$(bindir)),/usr/local,$\
	$(patsubst %/bin,%,$(bindir)))
CONVERT_BINDIR = $(DESTDIR)$(CONVERT_PREFIX)/bin
CONVERT_MANDIR = $(DESTDIR)$(CONVERT_PREFIX)/share/man/man1
CONVERT_COMPDIR = $(DESTDIR)$(CONVERT_PREFIX)/share/bash-completion/completions

install-convert: lbrec-convert
	$(MKDIR_P) '$(CONVERT_BINDIR)' '$(CONVERT_MANDIR)' '$(CONVERT_COMPDIR)'
	$(INSTALL_PROGRAM) lbrec-convert '$(CONVERT_BINDIR)'
	$(INSTALL_DATA) docs/lbrec-convert.1 '$(CONVERT_MANDIR)'
	$(INSTALL_DATA) src/convert/lbrec-convert.bash \
		'$(CONVERT_COMPDIR)/lbrec-convert'

uninstall-convert:
	rm -f '$(CONVERT_BINDIR)/lbrec-convert' \
		'$(CONVERT_MANDIR)/lbrec-convert.1' '$(CONVERT_COMPDIR)/lbrec-convert'

.PHONY: convert-asan convert-unit install-convert uninstall-convert
