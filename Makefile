# Skerry's build. `make help` lists what a person uses; everything is built under build/, and what is
# expensive (third-party packages, the kernel) is cached by the hash of its inputs outside the checkout.

MAKEFLAGS += --no-builtin-rules --no-print-directory
# As many jobs as processors, unless -j says otherwise.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

B := build
HOST_ROOT := $(B)/host-root
TARGET_ROOT := $(B)/target-root
IMAGE := $(B)/image
PKI := $(B)/pki

# The version that clients see, and the time the machine's clock is never behind: that of the commit.
VERSION := $(shell sed -n 's/^VERSION_ID=//p' rootfs/tree/etc/os-release)
export SOURCE_DATE_EPOCH ?= $(shell image-tools/epoch)

WARN := -Wall -Wextra -Werror -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wformat=2 -Wno-format-nonliteral -Wno-missing-field-initializers -Wno-format-truncation -Wimplicit-fallthrough
COMMON := -std=gnu11 -D_GNU_SOURCE -I. -fno-strict-aliasing -fno-common $(WARN) -DSKERRY_VERSION='"$(VERSION)"'

# Linked in this order; what the host's C library wants on top comes behind.
LIBS := -larchive -lcurl -lmbedtls -lmbedx509 -lmbedcrypto -lseccomp -lyyjson -lyaml -lzstd -llzma -lz

BASE_SRC := $(wildcard init/base/*.c)
INIT_SRC := $(filter-out init/main.c init/stage1.c init/reaper.c,$(wildcard init/*.c init/boot/*.c init/super/*.c init/net/*.c))
ENGINE_SRC := $(filter-out engine/main.c,$(wildcard engine/*.c engine/*/*.c))

# --- what a person uses ---------------------------------------------------------------------------------
.PHONY: help run all image test check bench deps deps-test pki sbom reproducible clean

help:
	@echo "make run           install what is missing, build everything, boot in QEMU (Ctrl-A X leaves)"
	@echo "make test          everything that CI runs, machines included"
	@echo "make check         what needs no machine: style, unit tests, fuzz corpora, tools"
	@echo "make bench         the numbers, as a table"
	@echo "make image         build/image/{bzImage,initramfs}; OVERLAY=DIR bakes a directory into the root,"
	@echo "                   and OUTPUT=DIR (build/image-overlay) is where the result goes"
	@echo "make reproducible  builds the image twice and compares"
	@echo "make unit T=DIR    unit tests of tests/unit/DIR; make kernel, target, host-libs, pki, sbom: parts"
	@echo "make deps          installs the Debian packages that the build needs (deps-test: the tests too)"
	@echo "make clean         removes build/; the cache is ~/.cache/skerry (or SKERRY_CACHE)"

# A machine named `run`, its disk kept below build/ from one run to the next.
run:
	@image-tools/deps build run
	@$(MAKE) image pki
	@exec qemu/vm up run --foreground --disk $(B)/run.img --publish '8080?:8080' $(RUN)

all: image

image: target
	@image-tools/mkimage $(if $(OVERLAY),--overlay '$(OVERLAY)' --output '$(or $(OUTPUT),$(B)/image-overlay)',--output $(IMAGE))

pki:
	@image-tools/mkpki $(PKI)

deps:
	@image-tools/deps build run

deps-test:
	@image-tools/deps build run test

check:
	@image-tools/deps build test
	@$(MAKE) unit-build fuzz-build target kernel
	@tests/run check

test:
	@image-tools/deps build run test
	@$(MAKE) unit-build fuzz-build kernel image pki
	@tests/run all

bench:
	@image-tools/deps build run test
	@$(MAKE) image pki
	@tests/bench/run

sbom:
	@image-tools/sbom $(VERSION)

reproducible: target
	@image-tools/reproducible

clean:
	rm -rf $(B)

# --- host: every module as an archive, unit tests with sanitizers ---------------------------------------
HOST_CC := gcc
HOST_CFLAGS := $(COMMON) -isystem $(HOST_ROOT)/include -g -O1 -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=undefined
HOST_LIBS := -L$(HOST_ROOT)/lib $(LIBS) -lpthread -ldl -lm

HOST_BASE_OBJ := $(BASE_SRC:%.c=$(B)/host/%.o)
HOST_INIT_OBJ := $(INIT_SRC:%.c=$(B)/host/%.o)
HOST_ENGINE_OBJ := $(ENGINE_SRC:%.c=$(B)/host/%.o)

# tests of T= (a folder below tests/unit), default all
T ?=
TEST_SRC := $(shell find tests/unit/$(T) -name '*_test.c' 2>/dev/null | sort)
TEST_BIN := $(TEST_SRC:%.c=$(B)/host/%)
FUZZ_SRC := $(wildcard tests/fuzz/*_fuzz.c)
FUZZ_BIN := $(FUZZ_SRC:%_fuzz.c=$(B)/host/%_replay)

$(B)/host/%.o: %.c | host-libs
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(HOST_CC) $(HOST_CFLAGS) -MMD -MP -c -o $@ $<

# One archive per program, so that a test links what its program links.
$(B)/host/base.a: $(HOST_BASE_OBJ)
$(B)/host/init.a: $(HOST_INIT_OBJ)
$(B)/host/engine.a: $(HOST_ENGINE_OBJ)
$(B)/host/base.a $(B)/host/init.a $(B)/host/engine.a:
	@rm -f $@
	@ar rcs $@ $^

$(filter $(B)/host/tests/unit/init/base/%,$(TEST_BIN)): $(B)/host/base.a
$(filter-out $(B)/host/tests/unit/init/base/%,$(filter $(B)/host/tests/unit/init/%,$(TEST_BIN))): $(B)/host/init.a $(B)/host/base.a
$(filter $(B)/host/tests/unit/engine/%,$(TEST_BIN)) $(FUZZ_BIN): $(B)/host/engine.a $(B)/host/base.a

$(B)/host/%_test: $(B)/host/%_test.o $(B)/host/tests/unit/main.o
	@echo "  LINK  $@"
	@$(HOST_CC) $(HOST_CFLAGS) -o $@ $^ $(HOST_LIBS)

$(B)/host/tests/fuzz/%_replay: $(B)/host/tests/fuzz/%_fuzz.o $(B)/host/tests/fuzz/replay.o
	@echo "  LINK  $@"
	@$(HOST_CC) $(HOST_CFLAGS) -o $@ $^ $(HOST_LIBS)

# Runtime and shim without the engine, for tests/host/test_runtime.
DRIVER := $(B)/host/tests/runtime/driver
$(DRIVER): $(DRIVER).o $(B)/host/engine.a $(B)/host/base.a
	@echo "  LINK  $@"
	@$(HOST_CC) $(HOST_CFLAGS) -o $@ $^ $(HOST_LIBS)

.PRECIOUS: $(B)/host/%.o
.PHONY: unit unit-build fuzz-build print-flags host-libs
unit-build: $(TEST_BIN) $(DRIVER)
fuzz-build: $(FUZZ_BIN)
-include tests/fuzz/fuzz.mk
unit: unit-build
	@fail=0; for t in $(TEST_BIN); do echo "# $$t"; "$$t" || fail=1; done; exit $$fail

print-flags:
	@echo "$(HOST_CC) $(HOST_CFLAGS) ... $(HOST_LIBS)"

host-libs:
	@image-tools/package merge host $(HOST_ROOT)

# --- target: the programs of the image, static and position independent ---------------------------------
# Two warnings guess from what the optimizer happens to inline; the host's build has them as errors, -Os guesses worse.
TARGET_CC := $(TARGET_ROOT)/bin/skerry-cc
TARGET_CFLAGS := $(COMMON) -isystem $(TARGET_ROOT)/include -Os -fPIE -ffunction-sections -fdata-sections \
	-fstack-protector-strong -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero \
	-ffile-prefix-map=$(CURDIR)=. -Wno-maybe-uninitialized
TARGET_LDFLAGS := -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=none
INIT_OBJ := $(patsubst %.c,$(B)/target/obj/%.o,$(BASE_SRC) $(INIT_SRC) $(wildcard init/main.c))
SKERRYD_OBJ := $(patsubst %.c,$(B)/target/obj/%.o,$(BASE_SRC) $(ENGINE_SRC) $(wildcard engine/main.c))

.PHONY: target target-libs stage1 kernel
target: $(B)/target/init $(B)/target/skerryd $(B)/target/docker-init

kernel:
	@kernel-config/build --output $(B)/kernel >/dev/null

target-libs:
	@image-tools/package merge target $(TARGET_ROOT)

# A new toolchain or library makes a new list, which is older than nothing that was built with it.
$(TARGET_ROOT)/.packages: target-libs ;

$(B)/target/obj/%.o: %.c Makefile $(TARGET_ROOT)/.packages
	@mkdir -p $(@D)
	@echo "  CC    $< (target)"
	@$(TARGET_CC) $(TARGET_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/target/init: $(INIT_OBJ)
$(B)/target/skerryd: $(SKERRYD_OBJ)
$(B)/target/docker-init: $(B)/target/obj/init/reaper.o
$(B)/target/init $(B)/target/skerryd $(B)/target/docker-init:
	@echo "  LINK  $@"
	@$(TARGET_CC) $(TARGET_CFLAGS) $(TARGET_LDFLAGS) -o $@.full $^ -L$(TARGET_ROOT)/lib $(if $(filter %skerryd,$@),$(LIBS))
	@strip -s -o $@ $@.full

# Called by image-tools/mkimage for each image: stage 1 knows the one root that belongs to it.
# It hashes the whole root at every boot: for speed, not for size.
stage1: target-libs
	@$(TARGET_CC) $(TARGET_CFLAGS) $(TARGET_LDFLAGS) -O2 -s -DSKERRY_ROOT_SHA256='"$(ROOT_SHA256)"' \
		-DSKERRY_BUILD_TIME=$(SOURCE_DATE_EPOCH) -o $(OUT) init/stage1.c init/base/sha256.c

-include $(shell find $(B)/host $(B)/target -name '*.d' 2>/dev/null)
