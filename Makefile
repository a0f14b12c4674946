# Every target does its own set-up; a second run skips what is done. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory --no-builtin-rules

BIN := .venv/bin
# The local cluster needs root; PATH leads to Go, HOME to the cache.
ROOT := $(if $(filter-out 0,$(shell id -u)),sudo --preserve-env env "PATH=$$PATH" "HOME=$$HOME")
DEMO := $(ROOT) $(BIN)/python -m city_demo
export PYTHONPATH := deploy/demo

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9 -]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 60

.PHONY: demo
demo: setup ## Main job: local Kubernetes, operator by Helm, 26 simulated cameras, report
	$(DEMO) up

.PHONY: demo-down
demo-down: ## Remove all that `make demo` started
	@test -x $(BIN)/python || { echo "nothing to remove: there is no .venv"; exit 0; }
	$(DEMO) down

.PHONY: test
test: setup ## All tests, fastest layer first, with progress
	tests/run

.PHONY: test-static test-unit test-media test-integration test-e2e
test-static test-unit test-media test-integration test-e2e: test-%: setup ## One layer of the tests
	tests/run $*

.PHONY: test-long
test-long: setup ## The tests that take minutes each
	tests/run long

.PHONY: lint
lint: setup ## Format, style, types, import contracts, rendered files
	tests/run static

.PHONY: bench
bench: bench-operator bench-ingest bench-relay bench-isolation wire-report picture-report bench-latency ## All benchmarks; results go to tests/bench/RESULTS.md by hand

.PHONY: bench-operator bench-ingest bench-relay bench-isolation bench-latency
bench-operator: setup ## Operator on a real API server, nodes by KWOK: latency, calm, restart, memory
	$(BIN)/python tests/bench/bench_control_plane.py
bench-ingest: setup ## Ingest worker: cameras per core, memory, opening
	$(BIN)/python tests/bench/bench_ingest.py
bench-relay: setup ## Relay: 32 cameras, 64 readers, a slow one
	$(BIN)/python tests/bench/bench_relay.py
bench-isolation: setup ## Hanging and flapping neighbours: gaps between packets of the others
	$(ROOT) $(BIN)/python tests/bench/bench_isolation.py
bench-latency: setup ## From the wire to the status, on the node of the demo
	$(ROOT) $(BIN)/python tests/bench/bench_camera_latency.py

.PHONY: wire-report picture-report
wire-report: setup ## Which wire faults are named right on which servers, and when
	$(ROOT) $(BIN)/python tests/bench/bench_wire_faults.py
picture-report: setup ## Which picture faults are named right, and which nuisances are none
	$(BIN)/python tests/bench/picture/report.py

.PHONY: generate
generate: setup ## Render the CRDs and format the code
	$(BIN)/camera-crds crds/manifests
	$(BIN)/camera-crds charts/camera-operator/files/crds
	cp deploy/categories/*.yaml charts/camera-operator/files/categories/
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .

.PHONY: lock
lock: setup ## Pin the dependencies again (versions and hashes)
	deploy/requirements/lock

.PHONY: setup
setup: ## Debian packages and Python environment (the other targets call this)
	@deploy/setup
