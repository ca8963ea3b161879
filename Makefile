# The one front door: CI runs the same targets. `make` alone says what there is.

# `daily` is optimised and quick to link; CI builds what it ships: `make test PROFILE=release`.
PROFILE ?= daily
VENV := .venv
BIN := $(VENV)/bin
# Processes of pytest, each with servers of its own.
JOBS ?= 2
# Scripts of faults that `make test-all` generates for each property; `make test` tries a few.
CASES ?= 300
# How often `make test-all` plays each process model.
ROUNDS ?= 100
# What those scripts are generated from: another one each time, printed with the command.
SEED ?= $(shell date +%s)
PACKAGES := tests checks benchmarks python

TOOLS := $(VENV)/.tools
EXTENSION := $(VENV)/.extension-$(PROFILE)
PEERS := $(VENV)/.peers
# No package of Python has these; `go install` builds them.
GO := $(or $(shell command -v go 2>/dev/null),$(wildcard /usr/local/go/bin/go))
GO_SERVERS := $(BIN)/versitygw $(BIN)/minio $(BIN)/toxiproxy-server
ALL_SERVERS := moto,seaweedfs,rclone,versitygw,minio
ENDPOINT := target/bench-endpoint
TLS_FRONT := target/daily/examples/tls_front
FAULT_SERVER := target/debug/examples/fault_server
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find src -name '*.rs')

# Neither a shell's environment nor a notebook's may decide where maturin installs.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
unexport CONDA_PREFIX PYTHONPATH PYTHONHOME
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-portable test-loom test-python test-all test-boto3 servers audit soak bench bench-micro lint lint-rust lint-python format build wheel venv toolchain clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: build ## Move 3,000 small files and one of 200 MiB with s3bulk and with boto3, and compare
	$(BIN)/python -m benchmarks.demo

test: test-rust test-python ## Rust tests, then the package's on moto's server and on SeaweedFS

test-rust: toolchain ## cargo test: the engine, without Python
	cargo test --locked

test-python: build $(FAULT_SERVER) ## pytest without what takes minutes
	$(BIN)/python -m pytest -m "not large and not soak" -n $(JOBS)

test-portable: toolchain ## cargo test of the disk code of other systems, compiled here
	cargo test --locked --features portable-disk --lib --test engine

test-loom: toolchain ## Every order of a few steps of the flow control, by loom
	RUSTFLAGS="--cfg loom" cargo test --locked --release --manifest-path tests/loom/Cargo.toml --target-dir target/loom

test-all: test-portable test-loom build $(FAULT_SERVER) $(ENDPOINT) servers test-boto3 ## The same with gigabytes, many files, generated scripts of faults, on all servers, with other versions of boto3
	cargo test --locked --lib
	cargo test --locked --doc
	PROPTEST_RNG_SEED=$(SEED) PROPTEST_CASES=$(CASES) cargo test --locked --test engine -- --include-ignored
	S3BULK_MATRIX=$(ROUNDS) $(BIN)/python -m pytest -m "not large and not soak" --servers $(ALL_SERVERS) -n $(JOBS)
	$(BIN)/python -m pytest -m "large and not soak" --servers $(ALL_SERVERS)

servers: $(if $(GO),$(GO_SERVERS)) ## versitygw, MinIO and Toxiproxy, where there is Go, for `make test-all`
	@$(if $(GO),true,echo "WARNING: there is no Go here: nothing will be tested on versitygw and MinIO, or behind Toxiproxy" >&2)

test-boto3: build ## boto3 clients of the caller's, with four versions of boto3 (BOTO3="1.28 1.34" for some)
	$(BIN)/python -m checks.boto3_versions $(BOTO3)

audit: $(TOOLS) ## Advisories against the crates and Python packages that are used; needs the network
	cargo deny --version >/dev/null 2>&1 || cargo install --locked --root target/audit cargo-deny
	PATH="$(CURDIR)/target/audit/bin:$$PATH" cargo deny --locked check advisories sources
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/python -m pip_audit --local --skip-editable

soak: build $(FAULT_SERVER) ## Everything at once, with random faults, for five minutes or S3BULK_SOAK_SECONDS; prints what was survived
	$(BIN)/python -m pytest -m soak -s

bench: $(ENDPOINT) $(if $(findstring --tls,$(BENCH)),$(TLS_FRONT)) $(PEERS) ## Against other tools, on an endpoint in memory (release build; BENCH="--workloads small")
	$(MAKE) build PROFILE=release
	$(BIN)/python -m benchmarks $(BENCH)

bench-micro: toolchain ## Single steps of the engine (BENCH=name)
	cargo bench --locked --profile $(PROFILE) --bench steps -- $(BENCH)

lint: lint-rust lint-python ## Formatting, lints, types, stubs, who may know whom, dependencies, notices

# The second is for what is unused without the bindings. It is no second clippy: with one more feature of syn pyo3 changes
# nearly every crate, while `cargo test` needs those of the second anyway.
lint-rust: toolchain ## cargo fmt, clippy with the bindings, warnings without
	cargo fmt --check
	cargo fmt --check --manifest-path tests/loom/Cargo.toml
	cargo clippy --locked --all-targets --features python --quiet -- -D warnings
	cargo rustc --locked --lib --quiet -- -D warnings

lint-python: build ## ruff, mypy, stubtest and the checks of this project
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest s3bulk --allowlist checks/stubtest.txt
	$(BIN)/python -m checks.rooms
	$(BIN)/python -m checks.dependencies
	$(BIN)/python -m checks.notices
	$(BIN)/python -m checks.reliability

format: $(TOOLS) ## Let the tools write what they can
	cargo fmt
	cargo fmt --manifest-path tests/loom/Cargo.toml
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python -m checks.notices --write

build: $(EXTENSION) ## The extension module, into .venv (PROFILE=daily or release)

wheel: $(TOOLS) ## The wheel that is released, into dist/
	$(BIN)/maturin build --locked --release --out dist

venv: $(TOOLS) ## .venv with the servers and tools, without the extension module

clean: ## Remove what the other targets made
	rm -rf $(VENV) target dist benchmarks/results .pytest_cache .mypy_cache .ruff_cache
	rm -f python/s3bulk/_core*.so
	find $(PACKAGES) -name __pycache__ -prune -exec rm -rf {} +

toolchain:
	@checks/toolchain >/dev/null

$(TOOLS): pyproject.toml | toolchain
	"$$(checks/toolchain)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" # the first that knows dependency groups
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

$(BIN)/versitygw: | $(TOOLS)
	GOBIN=$(CURDIR)/$(BIN) $(GO) install -trimpath github.com/versity/versitygw/cmd/versitygw@v1.8.0

$(BIN)/minio: | $(TOOLS)
	GOBIN=$(CURDIR)/$(BIN) $(GO) install -trimpath github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c

# Its program is called `server`.
$(BIN)/toxiproxy-server: | $(TOOLS)
	GOBIN=$(CURDIR)/$(TOOLS).go $(GO) install -trimpath github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0
	mv $(TOOLS).go/server $@

$(PEERS): $(TOOLS)
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

$(TLS_FRONT): benchmarks/tls_front.rs | toolchain
	cargo build --locked --profile daily --example tls_front

# The standard library alone, hence without cargo: as an example it would wait for every crate of the engine.
$(ENDPOINT): $(wildcard benchmarks/endpoint/*.rs) | toolchain
	mkdir -p $(@D)
	rustc -O --edition 2024 -o $@ benchmarks/endpoint/main.rs

# `cargo test` has built it already.
$(FAULT_SERVER): Cargo.toml Cargo.lock $(wildcard tests/fault_server/*.rs) | toolchain
	cargo build --locked --quiet --example fault_server
	touch $@

# Python sources are installed by reference; only Rust and the description of the package need a build.
$(EXTENSION): $(TOOLS) $(RUST_SOURCES)
	rm -f $(VENV)/.extension-*
	$(BIN)/maturin develop --locked --quiet --profile $(PROFILE)
	touch $@
