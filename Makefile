# One entry point for people and for CI. Every target does its own set-up on a machine with Python >= 3.11 and make.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON      ?= python3
VENV        := .venv
BIN         := $(VENV)/bin
STAMP       := $(VENV)/.installed
UV          := build/uv/bin/uv
LOCK        := $(UV) pip compile -q --universal --python-version 3.11 --no-header --no-annotate --no-strip-extras --generate-hashes \
               --no-emit-index-url --no-emit-find-links pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup lock demo test test-quick test-slow test-images check format generate render released packages images bench-function bench-service bench-e2e e2e e2e-control-plane e2e-pods clean

help: ## what there is to make
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 18

setup: $(STAMP) ## a .venv with both commands in .venv/bin

# Bytecode is compiled here, so that the first command starts as fast as the second, also where writing it later is switched off.
$(STAMP): pyproject.toml requirements/dev.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@echo "installing the locked dependencies into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q function service
	@touch $@

lock: $(UV) ## requirements/*.txt from pyproject.toml, with hashes and without addresses
	@mkdir -p requirements
	@$(LOCK) --extra function -o requirements/function.txt
	@$(LOCK) --extra service -o requirements/service.txt
	@$(LOCK) --extra function --extra service --extra local --group dev -o requirements/dev.txt
	@$(LOCK) --group checkov -o requirements/checkov.txt
	@$(LOCK) --group image -o requirements/image.txt
	@$(LOCK) --group linters -o requirements/linters.txt
	@$(LOCK) --group moto -o requirements/moto.txt

$(UV):
	@$(PYTHON) -m venv build/uv
	@build/uv/bin/pip install --quiet --disable-pip-version-check uv

demo: setup ## render the example claim, then run one real job on real servers
	@$(BIN)/function-agent-executor render examples/claim.yaml
	@$(BIN)/python examples/demo.py

test: setup ## all tests but the end-to-end ones, slow parts too; the last lines say what was skipped and why
	@$(BIN)/python -m pytest -n auto --dist loadgroup --ignore=tests/e2e tests

test-quick: setup ## the part of the suite that takes under two minutes
	@$(BIN)/python -m pytest -n auto --dist loadgroup -m "not slow" --ignore=tests/e2e tests

test-slow: setup ## the rest
	@$(BIN)/python -m pytest -n auto --dist loadgroup -m slow --ignore=tests/e2e tests

e2e: ## both end-to-end parts, also if the first fails, on real clusters (root, Go, Debian packages; E2E_CLUSTER=kind: Docker)
	@$(MAKE) --no-print-directory --keep-going e2e-control-plane e2e-pods

# On one worker: what is measured is a cluster, and two at once would measure each other.
e2e-control-plane: setup ## Kubernetes, Crossplane, External Secrets and the function, without pods: for every change
	@$(BIN)/python -m pytest -n 0 -m control_plane tests/e2e

e2e-pods: setup ## the same with a node, KEDA, NATS, PostgreSQL and both images
	@$(BIN)/python -m pytest -n 0 -m pods tests/e2e

test-images: setup ## those of both images, which `test` skips where no Docker engine answers: with one of our own
	@$(BIN)/python -m tests.images

check: setup ## format, lint, strict types, import directions, generated files, package metadata
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tools.generate --check
	@rm -rf build/dist && mkdir -p build && $(BIN)/python -m build --no-isolation --outdir build/dist . >build/dist.log 2>&1 || { cat build/dist.log; exit 1; }
	@$(BIN)/twine check --strict build/dist/*

format: setup ## put the code into the format that `check` wants
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: setup ## everything that is generated: XRDs, input CRD, API reference, manifest types
	@$(BIN)/python -m tools.generate

render: setup ## the goldens in examples/rendered
	@$(BIN)/python -m tools.render_examples

released: setup ## what this version promises to those who run its claims, unless it breaks an earlier promise
	@$(BIN)/python -m tools.released

packages: setup ## the Function package and both Configuration packages, into build/
	@$(BIN)/python -m tools.packages

images: ## both images, with the Docker engine of this machine
	@scripts/ci/images.sh

bench-function: setup ## the function beside a prebuilt answer on the same SDK
	@$(BIN)/python -m benchmarks.bench_function

bench-service: setup ## the service beside bare LangGraph
	@$(BIN)/python -m benchmarks.bench_service

bench-e2e: setup ## a claim to READY, an edit to its rollout, and a hundred claims at once
	@$(BIN)/python -m benchmarks.bench_e2e

clean: ## everything that was built or installed here
	@rm -rf $(VENV) build
