# The habits of the house. `make` alone says what there is.
PREFIX ?= /usr/local
PRESET ?= release
BUILD := build/$(PRESET)
FUZZ_SECONDS ?= 20

.DEFAULT_GOAL := help
.PHONY: help demo test build bench fuzz format tidy install clean setup configure

help: ## Say what there is
	@echo "Warren: machines that find each other and share folders. First use: README.md"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18
	@echo
	@echo "  PRESET=debug|asan|tsan chooses another build (build/<preset>); default: release."

setup: ## Install what a bare Debian 12 lacks
	@scripts/setup

configure: setup
	@cmake --preset $(PRESET) >$(BUILD)-configure.log 2>&1 || { cat $(BUILD)-configure.log; exit 1; }

$(shell mkdir -p build)

build: configure ## Build the program: build/release/warren
	@cmake --build $(BUILD) --target warren

demo: build ## Two nodes on this machine find each other, share, are killed, resume
	@scripts/demo

test: ## Build everything and run every test; ends with "N passed, N failed"
	@scripts/run-tests $(PRESET)

bench: build ## Compare with js-libp2p, iperf3, rsync, libtorrent, Syncthing, sha256sum (one table)
	@scripts/setup --bench --tests || echo "bench: something to compare with is missing" >&2
	@cmake --build $(BUILD) --target interop_peer bench_library_scan
	@bench/run

fuzz: setup ## Run every fuzz target for FUZZ_SECONDS (20) each
	@scripts/run-fuzz $(FUZZ_SECONDS)

format: ## Format every C++ source
	@git ls-files -co --exclude-standard '*.cpp' '*.hpp' | xargs -r clang-format-19 -i

tidy: configure ## Run clang-tidy and the style checks
	@python3 tools/style.py
	@cmake --build $(BUILD) >/dev/null
	@git ls-files 'src/*.cpp' 'sim/*.cpp' | xargs -r -P $$(nproc) -n 4 clang-tidy-19 --quiet -p $(BUILD)

install: configure ## Install program, library and headers under PREFIX (/usr/local)
	@cmake --build $(BUILD) --target warren warren_shared
	@cmake --install $(BUILD) --prefix $(PREFIX) >$(BUILD)-install.log || { cat $(BUILD)-install.log; exit 1; }
	@echo "installed $(DESTDIR)$(PREFIX)/bin/warren, libwarren.so and its headers"

clean: ## Remove the build folder
	@rm -rf build
