# One entry point for people and for CI. Every target does its own set-up on a machine with Python >= 3.11 and make.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON      ?= python3
VENV        := .venv
BIN         := $(VENV)/bin
STAMP       := $(VENV)/.installed
UV          := build/uv/bin/uv
LOCK        := $(UV) pip compile -q --universal --python-version 3.11 --no-header --no-annotate --generate-hashes \
               --no-emit-index-url --no-emit-find-links pyproject.toml

.PHONY: setup lock clean

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

$(UV):
	@$(PYTHON) -m venv build/uv
	@build/uv/bin/pip install --quiet --disable-pip-version-check uv
