# The verbs of this project. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# three, on two processors: the one that waits for a vendor or the disk leaves its turn to another
XDIST := -n 3 --dist loadfile --no-loadscope-reorder

# a run and the tests are hundreds of processes: each would compile what it imports where keeping bytecode is switched off
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install install-dev run stop test lint types all-tests pytest dbt-test end-to-end lock clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, {v.major}.{v.minor} was found; give another with make PYTHON=python3.12 install.")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# in a place of its own: it is twice as fast as the newest one that agrees with dbt about pathspec
$(VENV)/.installed-types: requirements-types.lock $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade --target $(VENV)/types -r requirements-types.lock
	@touch $@

.dlt/secrets.toml:
	cp .dlt/secrets.sandbox.toml $@
	chmod 600 $@

install: $(VENV)/.installed .dlt/secrets.toml ## create .venv and install the locked, hashed dependencies

install-dev: install $(VENV)/.installed-dev $(VENV)/.installed-types ## the same plus linters and test tools

run: install ## the whole job once: sandbox up, four silos in, one customer table, governed actions out
	@$(BIN)/lifecycle run --sandbox

stop: ## stop the sandbox
	@$(BIN)/lifecycle sandbox down

test: install-dev ## everything that must hold before a change lands
	@$(MAKE) --no-print-directory -j 3 lint types all-tests

# beside lint and types, which fill the time in which the end-to-end tests wait for vendors
all-tests: install-dev
	$(BIN)/pytest $(XDIST)

lint: install-dev ## ruff and sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqlfluff lint --processes 2 --disable-progress-bar models tests

types: install-dev ## mypy, strict
	PYTHONPATH=$(VENV)/types $(BIN)/python -m mypy

pytest: install-dev ## Python tests, without the end-to-end run
	$(BIN)/pytest -m "not end_to_end" $(XDIST)

dbt-test: install-dev ## dbt build with every test, then every unit test, on a small world of its own
	$(BIN)/pytest tests/end_to_end/test_models.py

end-to-end: install-dev ## the main job against the sandbox, with faults, kills and a day's advance
	$(BIN)/pytest -m end_to_end $(XDIST)

lock: ## recompile the lock files (needs uv)
	echo 'mypy>=2.4,<3' | uv pip compile -q - --python-version 3.11 --universal --generate-hashes --no-header --no-annotate -o requirements-types.lock
	uv pip compile -q pyproject.toml --extra dev --python-version 3.11 --universal --generate-hashes --no-strip-extras --no-header --no-annotate -o requirements-dev.lock
	uv pip compile -q pyproject.toml --python-version 3.11 --universal --generate-hashes --no-strip-extras --no-header --no-annotate -c requirements-dev.lock -o requirements.lock

clean: ## remove what runs have made; keeps .venv
	@if [ -x $(BIN)/lifecycle ]; then $(BIN)/lifecycle sandbox down; fi
	rm -rf data target logs
