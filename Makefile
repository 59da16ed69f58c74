# The commands for contributors. `make` without arguments lists them.

CARGO_TARGET_DIR ?= target
BIN := $(abspath $(CARGO_TARGET_DIR))/debug/switchboard
# cargo-deny is installed here if the system has none: inside the project, so that `cargo clean` removes it.
TOOLS := $(abspath $(CARGO_TARGET_DIR))/tools
export PATH := $(PATH):$(TOOLS)/bin

# The browser for the browser tests.
CHROMIUM ?= $(or $(shell command -v chromium || command -v chromium-browser || command -v google-chrome),/usr/bin/chromium)
export CHROMIUM

DENY_VERSION := 0.20.2

.DEFAULT_GOAL := help
# Steps share target/, and each heading must precede the output of its step. `test` runs two lists of steps at once.
.NOTPARALLEL:
.PHONY: help demo test check fmt clippy doc rust binary interop browser deny install dist schema schema-diff graphiql example-page image-test compose-test bench-growth bench-peers instructions budget soak fuzz

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## The graph on its built-in sandbox, as `cargo run --release -- demo` (ARGS="--scenario drift")
	cargo run --locked --release -- demo $(ARGS)

# Two lists of steps at once: most steps alone leave a core idle, and npm waits for the network. The output of the Node
# steps follows when the Rust steps have ended.
NODE_LOG := $(abspath $(CARGO_TARGET_DIR))/node-tests.log

test: install ## All tests; lists and installs missing tools first (NO_INSTALL=1: only lists them)
	@mkdir -p "$(dir $(NODE_LOG))"
	@$(MAKE) --no-print-directory interop browser > "$(NODE_LOG)" 2>&1 & node=$$!; trap 'kill $$node' INT TERM; \
		$(MAKE) --no-print-directory check instructions deny; rust=$$?; \
		wait $$node; node=$$?; cat "$(NODE_LOG)"; exit $$((rust || node))
	@echo "== All passed"

check: fmt clippy doc rust ## The checks that need only Rust: format, lints, documentation, Rust tests

fmt:
	@echo "== Format"
	cargo fmt --check

clippy:
	@echo "== Lints"
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features --lib --bins -- -D warnings

# Includes private items and hidden modules: their documentation is for contributors, and rustdoc only checks links that it
# renders. `cargo doc` without flags renders the public API.
doc:
	@echo "== Documentation"
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links --cfg internal_docs" cargo doc --locked --no-deps --document-private-items

# Not nextest: `cargo test` also runs the examples in the documentation, so one runner is enough.
rust:
	@echo "== Rust tests"
	cargo test --locked

binary:
	@echo "== The binary that the Node tests start"
	cargo build --locked

# Every example with a lock file. The tests run them as a reader would.
EXAMPLES := $(patsubst %/package-lock.json,%/node_modules/.installed,$(wildcard examples/*/package-lock.json))

interop: binary tests/interop/node_modules/.installed $(EXAMPLES) ## Real clients against the binary (needs Node)
	@echo "== Real clients"
	cd tests/interop && SWITCHBOARD_BIN="$(BIN)" node --test --test-reporter=spec

browser: binary tests/browser/node_modules/.installed graphiql/node_modules/.installed examples/settings-page/node_modules/.installed ## The pages in headless Chromium (needs Node and Chromium)
	@echo "== The pages in a browser"
	cd tests/browser && SWITCHBOARD_BIN="$(BIN)" node --test --test-reporter=spec

%/node_modules/.installed: %/package-lock.json
	@echo "== Installing npm packages into $(dir $(@D))"
	cd $* && npm ci --no-audit --no-fund
	@touch $@

# Fetches first: cargo-deny reads the crates of every platform in Cargo.lock, and a build only downloads those of this one.
# Advisories are in a Git repository. On a network without access to it, only the advisories are skipped.
deny: $(if $(shell PATH="$(PATH)" command -v cargo-deny),,$(TOOLS)/bin/cargo-deny) ## Licences, banned crates, sources, and known vulnerabilities
	@echo "== Dependencies"
	cargo fetch --locked --quiet
	cargo deny --locked --offline check bans licenses sources
	@if timeout 120 cargo deny --locked fetch db >/dev/null 2>&1; then \
		cargo deny --locked --offline check advisories; \
	else \
		echo "NOT CHECKED: known vulnerabilities, as the advisory database cannot be reached from here"; \
	fi

$(TOOLS)/bin/cargo-deny:
	@echo "== Installing cargo-deny $(DENY_VERSION) into $(TOOLS) (once; about three minutes)"
	cargo install --quiet --locked --root "$(TOOLS)" cargo-deny@$(DENY_VERSION)

install:
	@echo "== What the tests need of this machine"
	@NO_INSTALL="$(NO_INSTALL)" ./.ci/install

dist: ## The binary of the release archives, optimised by a profile of typical requests (needs curl, nm and llvm-profdata)
	deploy/pgo/build

schema: ## Writes schema.graphql, and the schemas for larger graphs that the tests compare with, from the code
	cargo run --locked --quiet -- schema > "$(CARGO_TARGET_DIR)/schema.graphql"
	mv "$(CARGO_TARGET_DIR)/schema.graphql" schema.graphql
	"$(BIN)" schema --format federation > tests/it/graph/sdl/federation.graphql
	"$(BIN)" schema --format stitching > tests/it/graph/sdl/stitching.graphql

schema-diff: tests/interop/node_modules/.installed ## Fails on a breaking change of schema.graphql that CHANGELOG.md does not name (needs Node)
	node tests/interop/schema-diff.mjs

graphiql: graphiql/node_modules/.installed ## Rebuilds the embedded GraphiQL from graphiql/ (needs Node)
	cd graphiql && npm run build

BASES := $(shell awk '/^FROM/ { print $$2 }' Dockerfile)
# The classic builder: BuildKit would ask a registry for base images that were made here. IMAGE=NAME tests a built image.
image-test compose-test: export DOCKER_BUILDKIT = 0

image-test: ## Builds and runs the container image (needs a container engine and Node)
	@echo "== The image"
	tests/container/bases $(BASES)
	node --test --test-reporter=spec tests/container/image.test.mjs

compose-test: ## Runs compose.yaml: rolling restart, Redis, reload, alerts (needs an engine with compose, and Node)
	@echo "== compose.yaml"
	tests/container/bases $(BASES) $(shell awk '$$1 == "image:" && $$2 ~ /haproxy|redis|prometheus/ { print $$2 }' compose.yaml)
	node --test --test-reporter=spec tests/container/compose.test.mjs

soak: ## Ten minutes of load while the upstreams fail randomly (SECONDS=60 for one minute; SEED=N repeats a run)
	SOAK_SECONDS=$(or $(SECONDS),600) $(if $(SEED),SOAK_SEED=$(SEED)) cargo bench --locked --profile dev --bench soak

fuzz: ## Fuzzes with libFuzzer, SECONDS (60) per target, or only TARGETS (the first build takes about ten minutes)
	fuzz/run $(or $(SECONDS),60) $(TARGETS)

example-page: examples/settings-page/node_modules/.installed ## Rebuilds the embedded settings page from examples/settings-page (needs Node)
	cd examples/settings-page && npm run build

instructions: ## Counts the instructions of one request with valgrind, and compares them with benches/execution/budget.json
	@echo "== Instruction budget (an optimised build first: about five minutes)"
	cargo bench --locked --profile instructions --bench execution -- --instructions

budget: ## Accepts the instruction counts of this build as the new budget
	cargo bench --locked --profile instructions --bench execution -- --update

bench-growth: ## How CPU, memory and calls grow with rows, accounts, tenants and subscribers; writes docs/benchmarks.md (ARGS=--quick tests it)
	cargo build --locked --release --bin switchboard
	benches/growth/run.py "$(CARGO_TARGET_DIR)/release/switchboard" $(ARGS)

bench-peers: ## Compares Switchboard with other GraphQL servers; writes benches/peers/RESULTS.md (ARGS=--quick tests the run)
	benches/peers/run $(ARGS)
