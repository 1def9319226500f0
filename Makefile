# The targets that a person runs, and CI as well. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# ---- where things go -------------------------------------------------------

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec
LIBDIR     ?= $(PREFIX)/lib
DOCDIR     ?= $(PREFIX)/share/doc/sluice
MANDIR     ?= $(PREFIX)/share/man
SYSCONFDIR ?= /etc
DESTDIR    ?=

# pkg-config knows systemd's directories; set each by hand where systemd is not installed.
systemd_dir = $(shell pkg-config --variable=$(1) systemd 2>/dev/null)
SYSTEMUNITDIR ?= $(or $(call systemd_dir,systemdsystemunitdir),/usr/lib/systemd/system)
USERUNITDIR   ?= $(or $(call systemd_dir,systemduserunitdir),/usr/lib/systemd/user)
SYSUSERSDIR   ?= $(or $(call systemd_dir,sysusersdir),/usr/lib/sysusers.d)
SYSCTLDIR     ?= $(or $(call systemd_dir,sysctldir),/usr/lib/sysctl.d)
CATALOGDIR    ?= $(or $(call systemd_dir,catalogdir),/usr/lib/systemd/catalog)
# The shells look below each of /usr and /usr/local, so these directories follow PREFIX. On Debian, zsh's directory for
# packages is vendor-completions; zsh has no pkg-config file.
completions_dir = $(shell pkg-config --define-variable=prefix=$(PREFIX) --define-variable=datadir=$(PREFIX)/share --variable=completionsdir $(1) 2>/dev/null)
BASHCOMPLETIONDIR ?= $(or $(call completions_dir,bash-completion),$(PREFIX)/share/bash-completion/completions)
FISHCOMPLETIONDIR ?= $(or $(call completions_dir,fish),$(PREFIX)/share/fish/vendor_completions.d)
ZSHCOMPLETIONDIR  ?= $(PREFIX)/share/zsh/$(if $(and $(filter /usr,$(PREFIX)),$(wildcard /etc/debian_version)),vendor-completions,site-functions)

# The build that `install` takes: release or debug.
CONFIGURATION ?= release
# The directory of the programs that are installed or measured.
BUILT ?= .build/$(CONFIGURATION)
# bundle: install the Swift runtime that the programs were built with beside them, for machines without a toolchain.
# system: leave it out.
SWIFT_RUNTIME ?= bundle

# ---- what it is built with -------------------------------------------------

SWIFT ?= swift
# Package.swift makes warnings errors. Every debug build has the same flags, so that there is only one.
SWIFT_FLAGS ?= --explicit-target-dependency-import-check error
PYTHON ?= python3
VENV := .build/venv
BENCH_VENV := .build/bench-venv
PYPI_PACKAGES := varlink==31.0.0

# The Debian packages that building, checking, testing and the demo need in addition to a Swift toolchain.
DEBIAN_BUILD := pkg-config libidn2-dev libssl-dev libsystemd-dev libcurl4 libxml2
# The packages that `make deb` and `make dist` need in addition.
DEBIAN_PACKAGE := debhelper libcurl4-openssl-dev libxml2-dev patchelf
DEBIAN_TEST := systemd systemd-sysv dbus util-linux procps nginx openssl curl gcc libc6-dev \
    python3 python3-venv varlink-go $(DEBIAN_PACKAGE) lintian debootstrap \
    mandoc man-db groff-base bash-completion zsh fish jq iproute2 \
    prometheus prometheus-node-exporter python3-prometheus-client tmux
# The programs that are measured beside Sluice, and the tools that measure; only `make bench` installs these.
DEBIAN_BENCH := nginx openssl curl wget aria2 gcc libc6-dev util-linux findutils python3 python3-venv strace ca-certificates

SOURCES := Package.swift Sources Tests
SCRIPTS := .ci/run debian/preinst debian/postinst debian/prerm debian/postrm \
    $(filter-out %.py %.known tools/check-circles tools/draw-rooms tools/tests,$(wildcard tools/*)) $(wildcard Tests/System/*.sh Tests/System/*/*.sh Tests/System/run Tests/System/*/run)

.PHONY: help build debug fmt check check-style check-tools check-circles check-picture picture check-units check-catalog check-man check-completions \
    check-install completions fuzz-head test test-unit test-responses test-heads test-closes test-kills test-system test-package test-hostile \
    test-dist build-static deb dist \
    torture install uninstall demo docs clean deps venv bench bench-short bench-check bench-deps bench-venv

help:
	@echo 'build        the programs, for use'
	@echo 'debug        the programs and the tests, for work on them'
	@echo 'fmt          format the sources'
	@echo 'check        formatter and linter, folders, units, catalog, manual, completions: all without running Sluice'
	@echo 'picture      docs/rooms.svg anew, from docs/rooms.txt and Package.swift'
	@echo 'completions  create the shells'\'' completions anew from the options of the programs'
	@echo 'test         install missing packages, check, and run every test. RERUN=2: a test that failed is run again, alone,'
	@echo '             twice at most; one that then passes is reported at the end as flaky, and the run continues'
	@echo 'test-unit    the tests that need no systemd; FILTER=name for some; RERUN='
	@echo 'test-system  the tests under a real systemd, in a container; needs root; ONLY=name for one'
	@echo 'test-responses  the table of raw responses (Tests/Responses), beside curl; the static programs too, where they were built'
	@echo 'test-kills   2,000 lane kills at full speed of jobs that end with their lanes, and 2,000 of jobs that continue; minutes'
	@echo 'fuzz-head    arbitrary lines to the collector of response heads, under sanitizers; FUZZ_RUNS=100000'
	@echo 'test-heads   100,000 odd heads through a real lane; minutes'
	@echo 'test-closes  10,000 bodies over each transport whose readers close early; minutes'
	@echo 'torture      everything at once and at random, under a real systemd: JOBS=5000 SECONDS=1200 SEED=number;'
	@echo '             NUMBERS="17 23" for these jobs alone. A short one is part of test-system'
	@echo 'test-hostile attacks of one user on the service, with the static build, and their effect on another user; needs root'
	@echo 'test-package the Debian package on a minimal Debian: installed, upgraded in mid-transfer, purged; needs root'
	@echo 'deb          a Debian package in .build/deb, for machines without Swift'
	@echo 'dist         a tarball in .build/dist, for machines without Swift, systemd or a root account: unpack it anywhere'
	@echo 'test-dist    the tarball on a minimal Debian without systemd, used by a user who is not root; needs root'
	@echo 'docs         the API documentation of the modules in .build/docs, as web pages (DocC)'
	@echo 'demo         a large download and a slow consumer, explained step by step'
	@echo 'bench        Sluice compared with curl, wget, aria2c, aiohttp and two floors in C; writes docs/benchmarks.md. BENCH=short for'
	@echo '             a quick look that writes nothing (bench-short is the same); CASES=ac for some; ROUNDS=3; BUILT= for other programs'
	@echo 'bench-check  fail if Sluice has become slower or heavier than recorded; BENCH=short for counts alone, which need no idle machine;'
	@echo '             RECORD=yes to record the present values'
	@echo 'install      DESTDIR= PREFIX=$(PREFIX) SYSCONFDIR=$(SYSCONFDIR); after build'
	@echo 'uninstall    removes the files from the same places, except the settings'
	@echo 'deps         install the Debian packages that are missing'
	@echo 'clean        remove what was built'

build:
	$(SWIFT) build -c release $(SWIFT_FLAGS)

debug:
	$(SWIFT) build --build-tests $(SWIFT_FLAGS)

# For machines without Swift. It has its own directory: in .build/release it and the other build would replace each other.
build-static:
	for program in sluiced sluicectl sluice-lane; do \
	    $(SWIFT) build -c release --static-swift-stdlib --scratch-path .build/static $(SWIFT_FLAGS) --product $$program; \
	done
	.build/static/release/sluice-lane --check-shim

fmt:
	$(SWIFT) format format --in-place --recursive --parallel $(SOURCES)

clean:
	rm -rf .build

# ---- checks ----------------------------------------------------------------

check: debug check-style check-tools check-circles check-picture check-catalog check-man check-completions check-units check-install fuzz-head

check-style:
	$(SWIFT) format lint --strict --recursive --parallel $(SOURCES)
	for script in $(SCRIPTS); do bash -n "$$script"; done

check-tools:
	$(PYTHON) -m unittest discover --quiet -s tools/tests

# What is wrong goes to stderr; the rest of what it says are the circles that are known. check-tools has tested it.
check-circles:
	$(PYTHON) tools/check-circles > /dev/null

check-picture:
	$(PYTHON) tools/draw-rooms --check

picture:
	$(PYTHON) tools/draw-rooms

check-catalog:
	tools/check-catalog

check-units: debug
	tools/check-units

check-man:
	tools/check-man

check-completions: debug
	tools/check-completions

# The completions that are installed for the shells: made from the programs' options, and kept in the repository.
completions: debug
	rm -rf completions
	tools/completions completions .build/debug/sluicectl .build/debug/sluiced
check-install: debug
	tools/check-install

# ---- the API documentation -------------------------------------------------

# Of the modules that other programs could use. A name in a comment that does not exist is an error.
DOCUMENTED := Varlink SluiceInterface SluiceCore LaneProtocol EventLoop Unix Systemd
docs:
	rm -rf .build/docs
	mkdir -p .build/docs
	for module in $(DOCUMENTED); do \
	    SLUICE_DOCC=1 $(SWIFT) package --scratch-path .build/docc --allow-writing-to-directory .build/docs \
	        generate-documentation --target $$module --warnings-as-errors --disable-indexing \
	        --transform-for-static-hosting --hosting-base-path $$module --output-path .build/docs/$$module; \
	done

# ---- tests -----------------------------------------------------------------

# How many times a test that failed is run again, alone. 0: each failure fails the run. CI sets 2, so that a test that
# races does not delay finished work: it is reported as flaky, and still has to be fixed.
RERUN ?= 0
# Reported at the very end: tests that passed only when they were run again, and bounds that could not be judged because
# the machine was busy (Tests/TestKit/Judgement.swift).
FLAKY := .build/flaky.txt
UNJUDGED := .build/unjudged.txt
REMARKS = tools/test-remarks $(FLAKY) $(UNJUDGED) >&2

# The package, and the machine that it is tested on, are made at the same time, with the processor time that the tests
# leave: they wait most of the time.
test: deps venv check
	@rm -f $(FLAKY) $(UNJUDGED); trap '$(REMARKS)' EXIT; \
	chrt --idle 0 $(MAKE) deb minimal-root > .build/deb.log 2>&1 & package=$$!; \
	$(MAKE) test-unit && $(MAKE) test-system EXCEPT=hostile || { kill $$package; exit 1; }; \
	wait $$package || { tail -n 40 .build/deb.log >&2; exit 1; }; \
	$(TEST_PACKAGE) && $(MAKE) pack-dist && $(TEST_DIST) && $(TEST_HOSTILE)

# Failures are repeated at the end, so that the reader does not have to search thousands of lines.
test-unit: debug venv
	@SLUICE_TEST_PYTHON="$$PWD/$(VENV)/bin/python" SLUICE_TEST_UNJUDGED="$$PWD/$(UNJUDGED)" \
	    $(PYTHON) tools/run_tests.py --rerun $(RERUN) --flaky $(FLAKY) --log $(UNIT_LOG) \
	    $(SWIFT) test --skip-build $(SWIFT_FLAGS) $(if $(FILTER),--filter '$(FILTER)') \
	    || { tools/failures < $(UNIT_LOG) >&2; exit 1; }
UNIT_LOG := .build/test-unit.log

test-kills: debug
	SLUICE_TEST_KILLS=2000 $(SWIFT) test --skip-build $(SWIFT_FLAGS) --filter 'IntegrationTests.*Exactness'

# The response table with the programs of the debug build, and with the static ones if those were built.
test-responses: debug
	$(TEST_RESPONSES)
	[ ! -x .build/static/release/sluice-lane ] || SLUICE_BIN_DIR="$$PWD/.build/static/release" $(TEST_RESPONSES)
TEST_RESPONSES = $(SWIFT) test --skip-build $(SWIFT_FLAGS) --filter 'IntegrationTests.*Responses'

# Parsing of heads in the lane: the collector alone, with libFuzzer of Swift's clang, and all of it with a real URLSession.
FUZZ_RUNS ?= 100000
fuzz-head:
	tools/fuzz-head $(FUZZ_RUNS)

test-heads: debug
	SLUICE_TEST_HEADS=100000 $(SWIFT) test --skip-build $(SWIFT_FLAGS) --filter 'HeadFuzzTests'

# Readers that close early, over all transports: no lane may die of the end of a transfer.
test-closes: debug
	SLUICE_TEST_CLOSES=10000 $(SWIFT) test --skip-build $(SWIFT_FLAGS) --filter 'IntegrationTests.*EarlyClose'

# For the tests of package and tarball.
.PHONY: minimal-root
minimal-root:
	tools/minimal-root .build/minimal-root .build/deb/sluice_*.deb

EXCEPT :=
run_system = RERUN=$(RERUN) FLAKY=$(FLAKY) UNJUDGED=$(UNJUDGED) EXCEPT=$(EXCEPT) Tests/System/run
test-system: debug
	$(run_system) $(ONLY)

# How long one user waits for another matters in the programs that people use: the static build.
TEST_HOSTILE = SLUICE_TEST_BUILT="$$PWD/.build/static/release" $(run_system) hostile

# Builds the programs once more, statically, and downloads a minimal Debian: some minutes.
test-package: deb
	$(TEST_PACKAGE)

test-dist: deb pack-dist
	$(TEST_DIST)
TEST_DIST = Tests/System/dist/run $(DIST)/*.tar.gz .build/deb/sluice_*.deb

test-hostile: build-static
	$(TEST_HOSTILE)
TEST_PACKAGE = Tests/System/package/run .build/deb/sluice_*.deb

# The short form is Tests/System/torture.sh, which test-system runs.
torture: JOBS ?= 5000
torture: SECONDS ?= 1200
torture: SEED ?= $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')
torture: debug
	SLUICE_TORTURE_SEED='$(SEED)' SLUICE_TORTURE_JOBS='$(JOBS)' SLUICE_TORTURE_SECONDS='$(SECONDS)' \
	    SLUICE_TORTURE_NUMBERS='$(NUMBERS)' SLUICE_SYSTEM_TEST_TIMEOUT=$$(($(SECONDS) + 600)) \
	    Tests/System/run torture

demo: deps build
	tools/demo

# ---- how fast it is --------------------------------------------------------

BENCH ?= full
BENCH_PYTHON = $(BENCH_VENV)/bin/python
bench_options = --built $(BUILT) $(if $(filter short,$(BENCH)),--short)

# The programs are those of `build`, or of BUILT=.
bench: bench-deps bench-venv $(if $(filter .build/release,$(BUILT)),build)
	$(BENCH_PYTHON) -m Benchmarks run $(bench_options) $(if $(CASES),--cases '$(CASES)') $(if $(ROUNDS),--rounds $(ROUNDS))

bench-short:
	$(MAKE) bench BENCH=short

# The short form needs nothing from PyPI.
check_python = $(if $(filter short,$(BENCH)),$(PYTHON),$(BENCH_PYTHON))
bench-check: bench-deps $(if $(filter short,$(BENCH)),,bench-venv) $(if $(filter .build/release,$(BUILT)),build)
	$(check_python) -m compileall -q Benchmarks
	$(check_python) -m unittest discover --quiet -s Benchmarks/tests -t .
	$(check_python) -m Benchmarks check $(bench_options) $(if $(RECORD),--record)

# ---- what has to be installed first ----------------------------------------

bench-deps: DEBIAN := $(DEBIAN_BENCH)
deps: DEBIAN := $(DEBIAN_BUILD) $(DEBIAN_TEST)
deps bench-deps:
	@missing=(); \
	for package in $(DEBIAN); do \
	    state=$$(dpkg-query -W -f '$${db:Status-Status}' "$$package" 2>/dev/null) || state=absent; \
	    [ "$$state" = installed ] || missing+=("$$package"); \
	done; \
	[ $${#missing[@]} -gt 0 ] || exit 0; \
	if [ "$$(id -u)" != 0 ]; then \
	    echo "missing; install with: sudo apt-get install $${missing[*]}" >&2; exit 1; \
	fi; \
	echo "installing $${missing[*]}"; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -q && apt-get install -q -y --no-install-recommends "$${missing[@]}"

venv: $(VENV)/.done
$(VENV)/.done: Makefile
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet $(PYPI_PACKAGES)
	touch $@

bench-venv: $(BENCH_VENV)/.done
$(BENCH_VENV)/.done: Benchmarks/requirements.txt
	rm -rf $(BENCH_VENV)
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_PYTHON) -m pip install --quiet --requirement $<
	touch $@

# ---- the Debian package ----------------------------------------------------

deb:
	dpkg-checkbuilddeps
	$(MAKE) build-static
	rm -rf .build/deb
	install -d .build/deb
	SLUICE_BUILT="$$PWD/.build/static/release" SLUICE_DEBS="$$PWD/.build/deb" debian/rules binary
	dh_clean
	ls -l .build/deb

# ---- the tarball -----------------------------------------------------------

DIST := .build/dist
VERSION = $(shell sed -n 's/.*current = "\(.*\)"/\1/p' Sources/SluiceInterface/SocketPaths.swift)
DIST_NAME = sluice-$(VERSION)-linux-$(shell uname -m)

dist: build-static pack-dist

# Of the static build. The settings go to the documents, as an example.
.PHONY: pack-dist
pack-dist:
	rm -rf $(DIST)
	$(MAKE) install DESTDIR="$$PWD/$(DIST)/stage" PREFIX=/$(DIST_NAME) SYSCONFDIR=/$(DIST_NAME)/share/doc SYSTEMD=no \
	    SWIFT_RUNTIME=system BUILT=.build/static/release > $(DIST).log
	install -m 644 debian/copyright $(DIST)/stage/$(DIST_NAME)/share/doc/sluice/copyright
	tools/make-dist $(DIST)/stage/$(DIST_NAME) $(DIST)/$(DIST_NAME).tar.gz
	rm -r $(DIST)/stage

# ---- install ---------------------------------------------------------------

PROGRAMS = $(BUILT)/sluiced $(BUILT)/sluicectl $(BUILT)/sluice-lane
substitute = sed -e 's,@BINDIR@,$(BINDIR),g' -e 's,@SYSCONFDIR@,$(SYSCONFDIR),g' -e 's,@DOCDIR@,$(DOCDIR),g'

# The files in man/ and completions/ are installed without being named here.
MAN_PAGES = $(wildcard man/*.[1-8])
BASH_COMPLETIONS = $(wildcard completions/*.bash completions/bash/*)
ZSH_COMPLETIONS = $(wildcard completions/_* completions/zsh/_*)
FISH_COMPLETIONS = $(wildcard completions/*.fish completions/fish/*.fish)
DOCUMENTS = README.md NEWS.md docs/administration.md docs/interface.md docs/limits.md docs/egress.md docs/foundation.md docs/design.md

# yes: install the units and what else is systemd's. no: leave them out.
SYSTEMD ?= yes

# Each file that is installed, as SOURCE:PLACE:MODE; SOURCE ends with .in where paths have to be filled in. install
# and uninstall both use this list. Not in the list are the settings, which stay, and the Swift runtime.
ALL_INSTALLED = \
    $(foreach p,sluiced sluicectl,$(BUILT)/$p:$(BINDIR)/$p:755) \
    $(BUILT)/sluice-lane:$(LIBEXECDIR)/sluice/sluice-lane:755 \
    systemd/sluiced.service.in:$(SYSTEMUNITDIR)/sluiced.service:644 \
    systemd/sluiced.socket:$(SYSTEMUNITDIR)/sluiced.socket:644 \
    systemd/user/sluiced.service.in:$(USERUNITDIR)/sluiced.service:644 \
    systemd/user/sluiced.socket:$(USERUNITDIR)/sluiced.socket:644 \
    systemd/sysusers.d/sluice.conf:$(SYSUSERSDIR)/sluice.conf:644 \
    systemd/sysctl.d/50-sluice.conf:$(SYSCTLDIR)/50-sluice.conf:644 \
    systemd/sluice.catalog:$(CATALOGDIR)/sluice.catalog:644 \
    $(foreach f,$(MAN_PAGES),$f:$(MANDIR)/man$(subst .,,$(suffix $f))/$(notdir $f):644) \
    $(foreach f,$(BASH_COMPLETIONS),$f:$(BASHCOMPLETIONDIR)/$(basename $(notdir $f)):644) \
    $(foreach f,$(ZSH_COMPLETIONS),$f:$(ZSHCOMPLETIONDIR)/$(notdir $f):644) \
    $(foreach f,$(FISH_COMPLETIONS),$f:$(FISHCOMPLETIONDIR)/$(notdir $f):644) \
    $(foreach f,$(wildcard systemd/examples/*.conf),$f:$(DOCDIR)/examples/sluiced.service.d/$(notdir $f):644) \
    systemd/examples/sluice-metrics.service.in:$(DOCDIR)/examples/sluice-metrics.service:644 \
    systemd/examples/sluice-metrics.timer:$(DOCDIR)/examples/sluice-metrics.timer:644 \
    $(foreach f,$(DOCUMENTS),$f:$(DOCDIR)/$(notdir $f):644)
INSTALLED = $(if $(filter yes,$(SYSTEMD)),$(ALL_INSTALLED),$(filter-out systemd/%,$(ALL_INSTALLED)))
places = $(foreach entry,$(INSTALLED),$(word 2,$(subst :, ,$(entry))))
# Directories that belong to Sluice alone.
OWN_DIRECTORIES = $(LIBEXECDIR)/sluice $(LIBDIR)/sluice $(DOCDIR)

# Does not build: root installs what another user has built.
install:
	@for program in $(PROGRAMS); do \
	    [ -x "$$program" ] || { echo "$$program is missing: run 'make build' first" >&2; exit 1; }; \
	done
	@for entry in $(INSTALLED); do \
	    IFS=: read -r source place mode <<< "$$entry"; \
	    echo "$(DESTDIR)$$place"; \
	    case $$source in \
	        *.in) install -d "$(DESTDIR)$${place%/*}"; $(substitute) "$$source" > "$(DESTDIR)$$place"; \
	            chmod "$$mode" "$(DESTDIR)$$place" ;; \
	        *) install -D -m "$$mode" "$$source" "$(DESTDIR)$$place" ;; \
	    esac; \
	done
ifeq ($(SWIFT_RUNTIME),bundle)
	tools/install-runtime "$(DESTDIR)$(LIBDIR)/sluice" $(PROGRAMS)
endif
	[ -e $(DESTDIR)$(SYSCONFDIR)/sluice/sluiced.toml ] \
	    || install -D -m 644 config/sluiced.toml $(DESTDIR)$(SYSCONFDIR)/sluice/sluiced.toml
ifeq ($(DESTDIR),)
	@echo "then, as root:"
	@echo "  systemd-sysusers && sysctl --system && journalctl --update-catalog && systemctl daemon-reload"
	@echo "  systemctl enable --now sluiced.socket"
endif

uninstall:
	rm -f $(addprefix $(DESTDIR),$(places))
	rm -rf $(addprefix $(DESTDIR),$(OWN_DIRECTORIES))
