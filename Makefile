# `make help` lists what there is. Everything works on a fresh clone of a Debian 12 machine with Go;
# missing Debian packages are installed when run as root.

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# How long `make fuzz` runs, in seconds; how often `make bench` measures; options for either.
FUZZTIME ?= 600
BENCH    ?=

ARCH  := $(shell $(GO) env GOARCH 2>/dev/null)
# The binary has no C library in it: the preamble is a program of its own, and so is what needs libseccomp.
FLAGS := -trimpath -buildvcs=false -tags urfave_cli_no_docs
BUILD := $(FLAGS) -ldflags '-s -w -E baileyentry -X main.version=$(VERSION)'
SHIM  := -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'
STATIC := -trimpath -buildvcs=false -tags netgo,osusergo -ldflags '-s -w -linkmode external -extldflags -static'
COMPILER := libruntime/seccomp/compiler

ARM64_SYSROOT := $(CURDIR)/build/sysroot-arm64
ARM64_LIB     := $(ARM64_SYSROOT)/usr/lib/aarch64-linux-gnu
ARM64_ENV     := CGO_ENABLED=1 GOARCH=arm64 CC=aarch64-linux-gnu-gcc \
	PKG_CONFIG_LIBDIR=$(ARM64_LIB)/pkgconfig PKG_CONFIG_SYSROOT_DIR=$(ARM64_SYSROOT) \
	CGO_CFLAGS='-O2 -g -I$(ARM64_SYSROOT)/usr/include' CGO_LDFLAGS='-O2 -g -L$(ARM64_LIB)'

LINT := build/tools/golangci-lint

.DEFAULT_GOAL := build
.PHONY: help deps embedded build build-arm64 test test-vm test-engines bench-engines unit conformance lint lint-go lint-c lint-sh fmt demo bench attacks fuzz manual install uninstall deb deb-arm64 clean

help: ## this list
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

deps: ## install missing Debian packages (root)
	@scripts/install-deps build test
	@scripts/criu build/criu

# What the binary embeds: the preamble, and the program with libseccomp with its version and checksum.
# $(1): GOARCH; $(2): the environment of the second; $(3): the compiler of the first, where it is another one.
define embed
	$(MAKE) -s -C nsexec/preamble ARCH=$(1) $(3)
	$(2) $(GO) build $(STATIC) -o $(COMPILER)_$(1) ./cmd/bailey-seccomp
	echo "$$($(2) pkg-config --modversion libseccomp) $$(sha256sum <$(COMPILER)_$(1) | cut -c -64)" >$(COMPILER)_$(1).version
endef

embedded: ## what the binary and its tests embed
	@$(GO) list -m >/dev/null || { echo "this takes Go 1.26 or newer on PATH: https://go.dev/dl/" >&2; exit 1; }
	@scripts/install-deps build
	$(call embed,$(ARCH),CGO_ENABLED=1)

build: embedded ## bin/bailey and containerd's shim, static
	CGO_ENABLED=0 $(GO) build $(BUILD) -o bin/bailey .
	CGO_ENABLED=0 $(GO) build $(SHIM) -o bin/ ./cmd/containerd-shim-bailey-v2

build-arm64: ## both in bin/arm64, cross-compiled
	@scripts/install-deps build arm64
	@scripts/arm64-sysroot $(ARM64_SYSROOT)
	$(call embed,arm64,$(ARM64_ENV),CC=aarch64-linux-gnu-gcc)
	CGO_ENABLED=0 GOARCH=arm64 $(GO) build $(BUILD) -o bin/arm64/bailey .
	CGO_ENABLED=0 GOARCH=arm64 $(GO) build $(SHIM) -o bin/arm64/ ./cmd/containerd-shim-bailey-v2

# The conformance programs use fixed cgroup names and time things, so they come last, alone.
TESTSUM      := $(GO) run ./scripts/testsum
UNIT         := -timeout 15m $$(echo "$$all" | grep -v /tests/runtimetools$$)
CONFORMANCE  := -timeout 20m ./tests/runtimetools

test: deps build ## everything: unit, integration, conformance (root)
	all=$$($(GO) list ./...) && $(TESTSUM) -rows docs/spec-conformance.txt $(UNIT) -- $(CONFORMANCE)

unit: embedded ## go test without conformance
	all=$$($(GO) list ./...) && $(TESTSUM) $(UNIT)

conformance: deps build ## the OCI runtime-tools programs (root); RUNTIME=… for another runtime
	$(TESTSUM) $(CONFORMANCE)

# Pure cgroup v2, systemd as PID 1, AppArmor or SELinux, CAP_SYS_RESOURCE: machines of our own, one for each module.
VM       := build/vm
VM_TESTS := lifecycle security systemd attacks guides
test-vm: build ## the tests that take systemd, AppArmor, SELinux, in virtual machines (root); VM_RUN=PATTERN for some
	@scripts/install-deps build test vm
	@scripts/criu build/criu
	scripts/vm build $(VM)
	scripts/test-vm $(VM) $(VM_TESTS)

# Daemons, in namespaces of their own: Debian's, and the newest, which are built here (some minutes, once).
ENGINES ?= $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard integration/*/*_test.go)))))
test-engines: build ## bailey under real engines (root); ENGINES=, ENGINE_VIEWS=, ENGINE_RUN=PATTERN for some, ENGINE_ALONE=1 without runc
	@scripts/install-deps engines
	@scripts/criu build/criu
	scripts/test-engines $(ENGINES)

bench-engines: ENGINES := containerd
bench-engines: export ENGINE_RUN := TestCompare
bench-engines: export ENGINE_VIEWS := v1
bench-engines: export BAILEY_COMPARE ?= 30
bench-engines: test-engines ## containerd with this shim against its own with runc and crun (root)

lint: lint-go lint-c lint-sh ## every linter

# Twice: what needs libseccomp is built with cgo, the rest of the program without.
lint-go: $(LINT) embedded
	$(LINT) config verify
	$(LINT) run ./...
	CGO_ENABLED=0 $(LINT) run --tests=false ./libruntime/seccomp ./nsexec .
	cd integration && ../$(LINT) run ./...

# Built once; compiling it takes a minute or two.
$(LINT): tools/go.mod tools/go.sum
	cd tools && $(GO) build -trimpath -o ../build/tools/ tool
	@touch $@

lint-c:
	@scripts/install-deps lint
	scripts/lint-c

lint-sh:
	@scripts/install-deps lint
	shellcheck $$(git ls-files | xargs grep -lE '^#!/bin/(ba)?sh')

fmt: $(LINT) ## lay out all Go and C
	$(LINT) fmt
	clang-format -i $$(git ls-files --cached --others --exclude-standard '*.c' '*.h')

demo: build ## a tour (root)
	@scripts/install-deps demo
	scripts/demo.sh

bench: build ## measure against runc, crun and the kernel's floor (root); BENCH='-n 50 -only run'
	@scripts/install-deps bench
	$(GO) run ./bench -runtime bailey=bin/bailey -runtime 'auto=bin/bailey --userns=auto' $(BENCH)

# Without a package's name go test prints what a test prints.
attacks: embedded ## what attacks from inside come to, beside runc and crun (root); ATTACKS=-update writes docs/attacks.md
	@scripts/install-deps build test
	cd tests/attacks && $(GO) test -count=1 -run TestTables -args -show $(ATTACKS)

fuzz: embedded ## fuzz the preamble for FUZZTIME seconds (600)
	@scripts/install-deps fuzz
	$(MAKE) -C nsexec/fuzz run FUZZTIME=$(FUZZTIME)

# What is made twice of one commit is the same to the byte.
manual deb deb-arm64: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)

manual: ## build/man, build/completion: from the command line as it is, and docs/policy.md
	CGO_ENABLED=0 $(GO) run $(FLAGS) ./scripts/manual build

# $(1): where the programs are; $(2): where everything goes.
define place
	install -D -m 755 -t $(2)/sbin $(1)/bailey
	install -D -m 755 -t $(2)/bin $(1)/containerd-shim-bailey-v2
	install -D -m 644 -t $(2)/share/man/man5 build/man/*.5
	install -D -m 644 -t $(2)/share/man/man8 build/man/*.8
	install -D -m 644 -t $(2)/share/bash-completion/completions build/completion/bailey
	install -D -m 644 -t $(2)/share/doc/bailey/examples docs/policy.example.toml
endef

install: build manual ## into DESTDIR/PREFIX: sbin, bin, share/man, share/bash-completion, share/doc
	$(call place,bin,$(DESTDIR)$(PREFIX))

uninstall: ## remove what install has put there
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,sbin/bailey bin/containerd-shim-bailey-v2 \
		share/man/man5/bailey-policy.toml.5 share/man/man8/bailey.8 share/man/man8/bailey-*.8 \
		share/man/man8/containerd-shim-bailey-v2.8 share/bash-completion/completions/bailey)
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/bailey

# $(1): where the programs are; $(2): their architecture.
define package
	rm -rf build/deb/$(2)
	$(call place,$(1),build/deb/$(2)/usr)
	scripts/deb build/deb/$(2) $(2) '$(VERSION)' build
endef

deb: build manual ## build/bailey_VERSION_ARCH.deb, a Debian package
	$(call package,bin,$(ARCH))

deb-arm64: build-arm64 manual ## the same for arm64
	$(call package,bin/arm64,arm64)

clean: ## remove bin/ and build/
	rm -rf bin build
