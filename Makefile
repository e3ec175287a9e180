# The few commands that people and CI use. `make` alone lists them.

PYTHON ?= python3
# What `make run` ingests: a file or a URL. Empty: a sample that is made on the spot.
SOURCE ?=
# When the local stack ingests again: six fields of an EventBridge cron expression, UTC. Empty: daily at six.
SCHEDULE ?=

TARGET := $(or $(CARGO_TARGET_DIR),target)
STACK := $(PYTHON) localstack/stack.py
# The template takes the function's code from here.
BOOTSTRAP := target/deploy/etl/bootstrap
ZIP := target/deploy/etl.zip

# $(call lay,BINARY): make BINARY the code that is deployed.
lay = @mkdir -p $(dir $(BOOTSTRAP)) && cp '$(1)' $(BOOTSTRAP)

.DEFAULT_GOAL := help
.PHONY: help run test build bench lint clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Run everything on this machine [SOURCE=FILE-OR-URL] [SCHEDULE='0 6 * * ? *']
	cargo build --release --locked -p etl
	$(call lay,$(TARGET)/release/etl-function)
	@$(STACK) run --etl '$(TARGET)/release/etl' \
		$(if $(SOURCE),--source '$(SOURCE)') $(if $(SCHEDULE),--schedule '$(SCHEDULE)')

test: ## Run all tests, beside the emulator that they need
	# It builds the binaries too, for the tests that run them; `cargo build` would build the SDK a second time.
	$(STACK) exec -- cargo test --workspace --locked
	ETL_BIN='$(TARGET)/debug/etl' ETL_FUNCTION_BIN='$(TARGET)/debug/etl-function' \
		.venv/bin/python -m unittest discover -s tests

build: ## Build the function as it is deployed, and tell its size
	cargo build --profile lambda --locked -p etl --bin etl-function
	$(call lay,$(TARGET)/lambda/etl-function)
	@$(PYTHON) -m zipfile -c $(ZIP) $(BOOTSTRAP)
	@wc -c $(ZIP) | awk '{ printf "%s: %.2f MB\n", $$2, $$1 / 1e6 }'

bench: ## Measure speed, memory and cost of an ingest [SOURCE=FILE]
	cargo bench --locked -p catalog
	cargo build --release --locked -p etl
	cargo build --release --locked -p catalog --example pack
	cargo build --profile lambda --locked -p etl --bin etl-function
	cargo build --profile lambda --locked -p etl --example empty_function
	$(STACK) exec -- .venv/bin/python tests/bench_source.py --target '$(TARGET)' $(if $(SOURCE),--source '$(SOURCE)')

lint: ## Check the format, clippy and the template
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@$(STACK) install
	.venv/bin/cfn-lint infra/template.yaml

clean: ## Remove what the other targets made
	cargo clean
	rm -rf .run .venv
