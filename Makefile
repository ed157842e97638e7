# SPDX-License-Identifier: GPL-2.0
#
# `make help` lists the targets. The modules are built by the kernel's own build system, in place; everything else goes
# to build/. Kernel headers: KDIR=, or the newest 6.12 ones that are installed.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:

CC = gcc
CLANG = clang
RISCV = riscv64-unknown-elf-
CFLAGS = -O2 -g -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror=implicit -std=gnu11 -Iinclude -Ifirmware -Itools/sealnic-model
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
DEPFLAGS = -MMD -MP
MODEL_LIBS = -lIPSec_MB -lpthread
TEST_LIBS = -Wl,--as-needed -lssl -lcrypto -lpthread

FIRMWARE = $(wildcard firmware/*.c)
MODEL = $(wildcard tools/sealnic-model/*.c)
# The model without its main(), for tests that drive its parts.
MODEL_PARTS = $(filter-out %/main.c,$(MODEL))

FIRMWARE_TESTS = $(wildcard tests/fw_*_test.c)
MODEL_TESTS = $(wildcard tests/model_*_test.c)
# The kTLS tests run in a guest, all over one reference record layer; ktls_fuzz is no libFuzzer target.
KTLS_TESTS = $(wildcard tests/ktls_test.c tests/ktls_fuzz.c tests/ktls_kernel_test.c tests/ktls_rekey.c)
KTLS_REF = $(wildcard tests/ktls_ref.c tests/ktls_frame.c)
FUZZERS = $(filter-out $(KTLS_TESTS),$(wildcard tests/*_fuzz.c))
# The host that the firmware finds around it in tests.
HARNESS = tests/fw_harness.c
# Shared objects to preload: into QEMU, into a guest's program. tests/bench.sh builds its plugin for the QEMU that it finds.
PRELOADS = tests/ivshmem-unplug.c tests/connect-elsewhere.c
PLUGINS = tests/insn_count.c
# The device without a VM: the firmware as it goes into the model, and the model's crypto.
BENCHES = $(wildcard tests/*_bench.c)
PROGRAMS = $(filter-out $(FIRMWARE_TESTS) $(MODEL_TESTS) $(FUZZERS) $(HARNESS) $(KTLS_REF) $(PRELOADS) $(PLUGINS),$(wildcard tests/*.c))

# objects DIR SOURCES
objects = $(patsubst %.c,build/$(1)/%.o,$(2))

.PHONY: help
help:	## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

.PHONY: setup
setup:	## install (apt) and fetch what is missing to build and to run a VM
	@tests/setup.sh build

.PHONY: modules
modules:	## drivers/net/sealnic/sealnic.ko (and net/tls/tls.ko), against KDIR=
	@tests/setup.sh need build
	@for dir in net/tls drivers/net/sealnic; do \
		[ -e $$dir/Makefile ] || [ -e $$dir/Kbuild ] || continue; \
		echo "building $$dir"; \
		$(MAKE) -s -C "$$(tests/setup.sh kdir)" M=$(CURDIR)/$$dir modules || exit 1; \
	done

.PHONY: install
install: modules	## the modules to updates/ of the kernel that they were built for, where they take precedence
	@for dir in net/tls drivers/net/sealnic; do \
		$(MAKE) -s -C "$$(tests/setup.sh kdir)" M=$(CURDIR)/$$dir INSTALL_MOD_DIR=updates modules_install || exit 1; \
	done

.PHONY: model
model:	## build/sealnic-model, the emulated NIC
	@tests/setup.sh need build
	@$(MAKE) -s build/sealnic-model

.PHONY: tests
tests:	## what the test scripts use: programs, in build/tests, and a kernel module, in tests/ktls_kernel
	@tests/setup.sh need build
	@$(MAKE) -s $(PROGRAMS:%.c=build/%) $(PRELOADS:%.c=build/%.so)
	@$(MAKE) -s -C "$$(tests/setup.sh kdir)" M=$(CURDIR)/tests/ktls_kernel modules

.PHONY: all
all: modules model tests	## modules, model and tests

.PHONY: setup-demo
setup-demo:
	@tests/setup.sh build demo

.PHONY: demo
demo: setup-demo all	## TLS sealed and opened by the NIC, in a VM
	@tests/demo.sh

.PHONY: bench
bench: setup all	## the figures, in a table and in build/bench.json
	@tests/bench.sh

.PHONY: check
check:	## every test but those of check-debug
	@tests/setup.sh build check
	@$(MAKE) all
	@tests/check.sh modules fuzz host riscv vm

.PHONY: check-host
check-host:	## the tests that need no VM
	@tests/setup.sh build check
	@$(MAKE) model tests
	@tests/check.sh modules fuzz host riscv

.PHONY: check-vm
check-vm: setup all	## the tests in a VM (TESTS="vm_boot ..." for some, JOBS=1 for one VM at a time)
	@tests/setup.sh build check
	@tests/check.sh vm

.PHONY: check-debug
check-debug: setup all	## the tests in a VM whose kernel has KASAN, lockdep, kmemleak and more
	@tests/setup.sh build check debug
	@tests/debug-kernel.sh
	@tests/check.sh debug

.PHONY: clean
clean:	## remove what was built, but neither what was fetched nor the debug kernel
	@rm -rf $(filter-out build/kernel build/guest build/guest-trixie build/busybox build/debug-kernel,$(wildcard build/*))
	@find drivers net tests/ktls_kernel \( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' -o -name '.*.d' \
		-o -name Module.symvers -o -name modules.order \) -delete 2>/dev/null; true

.PHONY: distclean
distclean: clean	## remove build/ altogether
	@rm -rf build

# --- the model ---

build/sealnic-model: $(call objects,fw,$(FIRMWARE)) $(call objects,model,$(MODEL))
	@echo "linking $@"
	@$(CC) -o $@ $(filter %.o %.a,$^) $(MODEL_LIBS)

# The firmware must not lean on the C library of the machine that emulates it.
build/fw/%.o: %.c
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(DEPFLAGS) -ffreestanding -c -o $@ $<

build/model/%.o: %.c
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(DEPFLAGS) -c -o $@ $<

# --- the firmware for bare metal: it compiles, and nothing is left undefined ---

.PHONY: firmware-riscv
firmware-riscv:	## the firmware for riscv64 bare metal, as a check
	@command -v $(RISCV)gcc >/dev/null || { echo "there is no $(RISCV)gcc: run 'tests/setup.sh check' as root" >&2; exit 1; }
	@$(MAKE) -s build/riscv/firmware.o

# Those four are what GCC wants of any freestanding target; __ctzdi2 and its like are in its own libgcc.
build/riscv/firmware.o: $(call objects,riscv,$(FIRMWARE))
	@$(RISCV)gcc -nostdlib -r -march=rv64imac -mabi=lp64 -mcmodel=medany -o $@ $(filter %.o %.a,$^) -lgcc
	@undefined=$$($(RISCV)nm -u $@); \
		[ -z "$$undefined" ] || { echo "undefined in the firmware:" $$undefined >&2; exit 1; }

build/riscv/%.o: %.c
	@mkdir -p $(@D)
	@$(RISCV)gcc $(CFLAGS) $(DEPFLAGS) -ffreestanding -nostdlib -march=rv64imac -mabi=lp64 -mcmodel=medany -c -o $@ $<

# --- tests ---

.PHONY: host-tests fuzzers
host-tests: $(FIRMWARE_TESTS:tests/%.c=build/asan/%) $(MODEL_TESTS:tests/%.c=build/asan/%)
fuzzers: $(FUZZERS:tests/%.c=build/fuzz/%)

build/tests/%: tests/%.c
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(DEPFLAGS) -o $@ $< $(TEST_LIBS)

build/tests/wiregrep: tests/wiregrep.c tools/sealnic-model/blocks.c tools/sealnic-model/blocks.h
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -o $@ $(filter %.c,$^)

$(KTLS_TESTS:%.c=build/%): build/tests/%: tests/%.c $(KTLS_REF) $(wildcard tests/ktls_*.h tests/ktls_kernel/*.h)
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -o $@ $(filter %.c,$^) $(TEST_LIBS)

$(BENCHES:%.c=build/%): build/tests/%: build/model/tests/%.o $(call objects,fw,$(FIRMWARE)) build/model/model.a
	@mkdir -p $(@D)
	@$(CC) -o $@ $(filter %.o %.a,$^) $(MODEL_LIBS) -lcrypto

build/tests/%.so: tests/%.c
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) -shared -fPIC -o $@ $< -ldl

# The model's parts come as an archive, so that a test which plays one of them itself does without it.
build/asan/model.a: $(call objects,asan,$(MODEL_PARTS))
build/fuzz/model.a: $(call objects,fuzz,$(MODEL_PARTS))
build/model/model.a: $(call objects,model,$(MODEL_PARTS))
build/%/model.a:
	@rm -f $@
	@$(AR) rcs $@ $^

build/asan/fw_%_test: build/asan/tests/fw_%_test.o $(call objects,asan,$(FIRMWARE) $(HARNESS)) build/asan/model.a
	@$(CC) $(SANITIZE) -o $@ $(filter %.o %.a,$^) $(MODEL_LIBS) -lcrypto

build/asan/model_%_test: build/asan/tests/model_%_test.o $(call objects,asan,$(FIRMWARE)) build/asan/model.a
	@$(CC) $(SANITIZE) -o $@ $(filter %.o %.a,$^) $(MODEL_LIBS) -lcrypto

build/asan/%.o: %.c
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(DEPFLAGS) $(SANITIZE) -c -o $@ $<

build/fuzz/%: build/fuzz/tests/%.o $(call objects,fuzz,$(FIRMWARE) $(HARNESS)) build/fuzz/model.a
	@$(CLANG) $(SANITIZE) -fsanitize=fuzzer -o $@ $(filter %.o %.a,$^) $(MODEL_LIBS)

build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	@$(CLANG) $(CFLAGS) $(DEPFLAGS) $(SANITIZE) -fsanitize=fuzzer-no-link -c -o $@ $<

.SECONDARY:
-include $(shell find tests/setup.sh $(wildcard build/fw build/model build/riscv build/asan build/fuzz build/tests) -name '*.d' -type f 2>/dev/null)
