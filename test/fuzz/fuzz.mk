# The converter under a coverage-guided fuzzer, and its corpus again in CI.
#
#   make fuzz             both fuzzers, with libFuzzer; needs clang
#   build/fuzz/lines -dict=test/fuzz/lines.dict build/fuzz/corpus-lines \
#       test/data/corpus/lines
#   build/fuzz/archive build/fuzz/corpus-archive test/data/corpus/archive
#   make fuzz-replay      the checked-in corpus, by any compiler, in seconds
#
# Needs libjansson as well: the second opinion on what is JSON.

FUZZ_DIR = build/fuzz
FUZZ_CC ?= clang
FUZZ_CXX ?= clang++
FUZZ_SAN = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
FUZZ_BLOCK = -DCV_BLOCK_BYTES='((size_t) 4096)'
FUZZ_FLAGS = $(FUZZ_BLOCK) $(FUZZ_SAN) -fsanitize=fuzzer-no-link
FUZZ_WRAP = -Wl,--wrap=cv_load_listen,--wrap=cv_load_create
FUZZ_WRAP_LINES = $(FUZZ_WRAP) \
	-Wl,--wrap=cv_format_of,--wrap=cv_json_listen

# All of the converter but main(); and for the lines not what is faked there.
FUZZ_ALL = fuzz_check fuzz_seen cv_json \
	$(filter-out cv_main cv_seen,$(CONVERT_C:src/convert/%.c=%))
FUZZ_LINES = fuzz_lines $(filter-out cv_archive cv_reader cv_ring,$(FUZZ_ALL))
FUZZ_ARCHIVE = fuzz_archive $(FUZZ_ALL)
FUZZ_H = $(CONVERT_H) test/fuzz/fuzz.h

fuzz: $(FUZZ_DIR)/lines $(FUZZ_DIR)/archive

fuzz-replay: $(FUZZ_DIR)/replay-lines $(FUZZ_DIR)/replay-archive
	$(FUZZ_DIR)/replay-lines test/data/corpus/lines
	$(FUZZ_DIR)/replay-archive test/data/corpus/archive

$(FUZZ_DIR)/lines: $(FUZZ_LINES:%=$(FUZZ_DIR)/libfuzzer/%.o)
	$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer $(FUZZ_WRAP_LINES) -o $@ $^ \
		$(CONVERT_LIBS) -ljansson

$(FUZZ_DIR)/archive: $(FUZZ_ARCHIVE:%=$(FUZZ_DIR)/libfuzzer/%.o)
	$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer $(FUZZ_WRAP) -o $@ $^ \
		$(CONVERT_LIBS)

$(FUZZ_DIR)/replay-lines: $(FUZZ_DIR)/plain/fuzz_main.o \
		$(FUZZ_LINES:%=$(FUZZ_DIR)/plain/%.o)
	$(CXX) $(CONVERT_ASAN) $(FUZZ_WRAP_LINES) -o $@ $^ $(CONVERT_LIBS) -ljansson

$(FUZZ_DIR)/replay-archive: $(FUZZ_DIR)/plain/fuzz_main.o \
		$(FUZZ_ARCHIVE:%=$(FUZZ_DIR)/plain/%.o)
	$(CXX) $(CONVERT_ASAN) $(FUZZ_WRAP) -o $@ $^ $(CONVERT_LIBS)

$(FUZZ_DIR)/libfuzzer/%.o: src/convert/%.c $(FUZZ_H) $(CONVERT_DEPS)
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=gnu11 $(CONVERT_WARN) $(CONVERT_CPPFLAGS) $(FUZZ_FLAGS) \
		-c -o $@ $<

$(FUZZ_DIR)/libfuzzer/%.o: src/convert/%.cpp $(FUZZ_H) $(CONVERT_DEPS)
	@mkdir -p $(@D)
	$(FUZZ_CXX) -std=c++17 -fno-exceptions -fno-rtti $(CONVERT_WARN) \
		$(CONVERT_CPPFLAGS) $(FUZZ_FLAGS) -c -o $@ $<

$(FUZZ_DIR)/libfuzzer/%.o: test/fuzz/%.c $(FUZZ_H)
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=gnu11 $(CONVERT_WARN) $(CONVERT_CPPFLAGS) $(FUZZ_FLAGS) \
		-Isrc/convert -c -o $@ $<

$(FUZZ_DIR)/plain/%.o: test/fuzz/%.c $(FUZZ_H)
	@mkdir -p $(@D)
	$(CONVERT_CC) $(CONVERT_ASAN) $(FUZZ_BLOCK) -Isrc/convert -c -o $@ $<

$(FUZZ_DIR)/plain/%.o: src/convert/%.c $(FUZZ_H) $(CONVERT_DEPS)
	@mkdir -p $(@D)
	$(CONVERT_CC) $(CONVERT_ASAN) $(FUZZ_BLOCK) -c -o $@ $<

$(FUZZ_DIR)/plain/%.o: src/convert/%.cpp $(FUZZ_H) $(CONVERT_DEPS)
	@mkdir -p $(@D)
	$(CONVERT_CXX) $(CONVERT_ASAN) $(FUZZ_BLOCK) -c -o $@ $<

.PHONY: fuzz fuzz-replay
