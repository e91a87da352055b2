# Fuzzing with libFuzzer (clang). `make fuzz` builds every target as build/fuzz/NAME; run one with e.g.
#   build/fuzz/http_parser -max_total_time=60 build/fuzz/found/http_parser tests/fuzz/corpus/http_parser
# The replay of the corpora, which `make check` does, needs no clang: `make fuzz-replay`.

FUZZ_CC := clang
# clang's own warnings are no errors here: the builds with gcc are the judges
FUZZ_CFLAGS := $(COMMON) -Wno-error -Wno-unknown-warning-option \
	-isystem $(HOST_ROOT)/include -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined
FUZZ_OBJ := $(patsubst %.c,$(B)/fuzz/obj/%.o,$(BASE_SRC) $(ENGINE_SRC))

.PHONY: fuzz fuzz-replay
fuzz: $(FUZZ_SRC:tests/fuzz/%_fuzz.c=$(B)/fuzz/%)

$(B)/fuzz/obj/%.o: %.c | host-libs
	@mkdir -p $(@D)
	@echo "  CLANG $<"
	@$(FUZZ_CC) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/fuzz/skerry.a: $(FUZZ_OBJ)
	@rm -f $@
	@ar rcs $@ $(FUZZ_OBJ)

$(B)/fuzz/%: tests/fuzz/%_fuzz.c $(B)/fuzz/skerry.a
	@echo "  FUZZ  $@"
	@mkdir -p $(B)/fuzz/found/$*
	@$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(HOST_LIBS)

fuzz-replay: fuzz-build
	@fail=0; for t in $(FUZZ_BIN); do "$$t" || fail=1; done; exit $$fail
