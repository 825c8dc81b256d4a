# The two commands of the README. Each does all its set-up; see CONTRIBUTING.md for the single steps.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help demo test check unit lock format clean

VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/.runtime ## Set up and run the main job on a sample department: no server to install
	@$(BIN)/lastgate demo

test: $(VENV)/.dev ## Set up, real servers included, and run every check and the whole suite
	@bash tests/servers/install.sh
	$(MAKE) --no-print-directory check
	$(BIN)/pytest --numprocesses 2 --dist loadfile

check: $(VENV)/.dev ## Format, lint, types, import rules
	@$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

unit: $(VENV)/.dev ## Only the tests that need no server and no real data
	@$(BIN)/pytest -m "not server and not real_data"

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/.dev ## Write the lock files anew from pyproject.toml
	@bash requirements/lock.sh

clean: ## Remove what set-up made
	rm -rf $(VENV) .tools

$(VENV)/.python:
	@python=$$(bash requirements/find-python.sh)
	"$$python" -m venv $(VENV) || { echo "Python can't make virtual environments: install the package python3-venv." >&2; exit 1; }
	touch $@

$(VENV)/.runtime: $(VENV)/.python requirements/runtime.lock requirements/build.lock pyproject.toml
	@echo "Setting up (once) ..."
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements/runtime.lock
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements/build.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.lock
	@echo "Setting up the tests (once) ..."
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements/dev.lock
	touch $@
