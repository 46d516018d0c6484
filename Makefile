# Everything a person or CI does here. Long recipes live in scripts/; `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# Ports of `make up` and `make demo`, all on 127.0.0.1: Envoy's listener, its admin interface, metrics, the sidecar.
export TURNPIKE_PORT ?= 8801
export TURNPIKE_ADMIN_PORT ?= 9901
export TURNPIKE_METRICS_PORT ?= 9190
export TURNPIKE_SIDECAR_PORT ?= 9191
# `make up` and `make demo` also read UPSTREAM (a real server in place of the LLM stand-in) and MODEL (what to ask it
# for): make up UPSTREAM=http://127.0.0.1:11434 MODEL=qwen3:8b
# Only tests whose name contains this: make test TEST=usage_is_counted_once
TEST ?=

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
CARGO_FLAGS := --release --locked --workspace
WITH_ENV := source scripts/env.sh &&
BUILD := build $(CARGO_FLAGS) --bins

##@ Start
.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Start everything, send real requests, show what happened to each, stop everything
	$(WITH_ENV) $(TARGET_DIR)/release/turnpike-demo demo

.PHONY: up
up: build ## Start everything and keep it running (UPSTREAM=http://host:port MODEL=name for a real server)
	$(WITH_ENV) $(TARGET_DIR)/release/turnpike-demo up

.PHONY: down
down: ## Stop what `make up` started
	@if [[ -x $(TARGET_DIR)/release/turnpike-demo ]]; then $(TARGET_DIR)/release/turnpike-demo down; \
		else echo "down: nothing is built, so nothing runs" >&2; fi

##@ Build
.PHONY: setup
setup: ## Install and fetch what is needed: packages, wasm target, Envoy, ONNX Runtime, encoder, Redis, clients
	@scripts/setup.sh

.PHONY: build
build: setup wasm ## Build the native programs and the filters
	cargo $(BUILD)

.PHONY: wasm
wasm: setup ## Build the filters into dist/ and hold their sizes to limits
	@scripts/wasm.sh

.PHONY: images
images: build ## Pack the filters as OCI images for Istio: dist/oci/meter, dist/oci/router
	@for filter in meter router; do \
		$(TARGET_DIR)/release/turnpike image --filter $$filter --wasm dist/turnpike_$$filter.wasm --output dist/oci/$$filter || exit; \
	done

##@ Test
.PHONY: test
# Tests turn on more features of crates; programs built with the same ones spare a second build of most of them.
test: BUILD := test $(CARGO_FLAGS) --no-run
test: check ## Set up, build, check, and run all tests
	scripts/wasm.sh probe
	$(WITH_ENV) cargo test $(CARGO_FLAGS) $(TEST)

.PHONY: check
check: build lint ## Formatting, lints, the example configurations, Prometheus rules, generated files
	$(TARGET_DIR)/release/turnpike check envoy/config.yaml
	$(TARGET_DIR)/release/turnpike check envoy/config.maas.yaml
	scripts/prometheus.sh check
	scripts/generated.sh check $(TARGET_DIR)/release/turnpike

.PHONY: lint
lint: ## Formatting and lints only
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	scripts/lint-extra.sh

.PHONY: docs
docs: build ## Write the reference pages that are generated from the code
	scripts/generated.sh write $(TARGET_DIR)/release/turnpike

.PHONY: bench
# As for tests: with the features of the whole workspace, of which most is built already.
bench: BUILD := test $(CARGO_FLAGS) --no-run
bench: build ## Run the benchmarks against their baselines, print limits and set-up
	scripts/wasm.sh empty
	$(WITH_ENV) cargo bench --locked --workspace --bench '*'

.PHONY: clean
clean: ## Remove what was built (what was fetched stays in .cache/)
	cargo clean
	rm -rf dist
