# Two commands matter: `make run` and `make test`. The rest is for those who work on it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# OpenAI where there is a key for it, the demo upstream inside the program otherwise.
CONFIG ?= $(if $(OPENAI_API_KEY),conf/openai.yaml,conf/demo.yaml)

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: ## Install what is missing to build (cmake, a C compiler) on Debian or Ubuntu
	@deploy/setup.sh

.PHONY: setup-test
setup-test: setup ## ... and to test (Python and Node for the official SDKs, Chromium for the console)
	@deploy/setup.sh test

.PHONY: run
run: setup ## Build and start a gateway, with a key and a curl line to paste
	cargo build --release --locked
	@deploy/run.sh target/release/tollgate $(CONFIG)

.PHONY: test
test: setup-test test-rust test-sdk test-web test-browser ## Run every test

# One way of building for all of them: without the tests' own dependencies some others get fewer features, and all is
# built twice.
.PHONY: build-tests
build-tests:
	cargo build --locked --tests --bins

.PHONY: test-rust
test-rust: build-tests
	@if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --locked; else cargo test --locked; fi

.PHONY: test-sdk
test-sdk: build-tests ## The official SDKs against the real binary
	tests/sdk/run.sh

.PHONY: test-browser
test-browser: build-tests ## The console in a real browser against the real binary
	tests/browser/run.sh

.PHONY: test-web
test-web: ## The console's words and pure modules, in Node
	node --test tests/web/

.PHONY: check
check: setup ## Format, lints, example configurations
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo build --locked
	@for file in conf/demo.yaml conf/minimal.yaml conf/openai.yaml conf/tollgate.yaml; do \
		OPENAI_API_KEY=unused target/debug/tollgate -c $$file check; done

.PHONY: bench
bench: setup ## Benches of the hot path, and what a request costs as keys, models and records grow in number
	cargo bench --locked --bench understand --bench meter --bench price --bench admit --bench ledger
	cargo bench --locked --bench growth

.PHONY: bench-check bench-baseline
bench-check: ## Whether the hot path needs more instructions than it did (needs valgrind, else it says so)
	cargo test --locked --bench instructions

bench-baseline: ## Take today's counts as what it may need
	cargo test --locked --bench instructions -- save

# Builds the gateway too, and measures that. Each of a thousand streams is two open files.
.PHONY: load
load: setup ## The whole gateway under load, beside a bare proxy (and nginx, if it is installed)
	ulimit -n $$(ulimit -Hn) && cargo bench --locked --bench load

# Five thousand streams are ten thousand open files, on either side.
.PHONY: soak
soak: setup ## The long form of the crash test (kill -9, 200 times) and of the soak tests: some 25 minutes
	cargo build --locked --bins --test crash --test soak --test it
	TOLLGATE_CRASH_ROUNDS=$${TOLLGATE_CRASH_ROUNDS:-200} cargo test --locked --test crash -- --nocapture
	ulimit -n $$(ulimit -Hn) && TOLLGATE_SOAK=1 cargo test --locked --test it -- heads_that_never_end
	ulimit -n $$(ulimit -Hn) && TOLLGATE_SOAK=1 cargo test --locked --test soak -- --nocapture --test-threads 1

# What reads bytes from strangers, and what counts money: each property with many more cases than `make test` takes, then
# each reader under libFuzzer. The compiler's coverage is stable; no sanitizer is needed where no code is unsafe.
.PHONY: fuzz
fuzz: ## The property tests with 20,000 cases each, then each fuzz target for FUZZ_SECONDS (60)
	@deploy/setup.sh fuzz
	PROPTEST_CASES=$${PROPTEST_CASES:-20000} cargo test --locked --lib -- core:: protocol:: edge:: config:: limits::
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	cargo fuzz build --sanitizer none
	@for target in $$(cargo fuzz list); do \
		echo "== $$target"; mkdir -p fuzz/corpus/$$target; \
		seeds=; if [ -d fuzz/seeds/$$target ]; then seeds=fuzz/seeds/$$target; fi; \
		cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target $$seeds -- \
			-dict=fuzz/words.dict -max_total_time=$${FUZZ_SECONDS:-60} -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 2>&1 \
			| grep -E '^stat::number|panicked|^==[0-9]+== ERROR|Test unit' || exit 1; \
		[ -z "$$(ls -A fuzz/artifacts/$$target 2>/dev/null)" ] || { echo "$$target failed: see fuzz/artifacts/$$target"; exit 1; }; \
	done
