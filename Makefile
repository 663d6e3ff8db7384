# make demo, make test: both prepare the environment themselves. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= $(shell for p in /usr/bin/python3 python3; do \
	$$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-cluster lint format bench profile suite clean

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "meshproxy needs Python 3.11 or newer with the venv module (Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "preparing $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e '.[control,loadtest]' --group dev
	@touch $@

demo: $(READY)
	@$(BIN)/python -m deploy.demo

test: lint
	@$(BIN)/python -m pytest -n 2

test-cluster: $(READY)
	@$(BIN)/python -m pytest -rs tests/cluster

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group bench
	@$(BIN)/python -m tests.bench

profile: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group bench
	@$(BIN)/python -m tests.bench profile

# The table of the README: every scenario against every subject. ROUNDS=1 takes some ten minutes, for each round.
ROUNDS ?= 1
suite: $(READY)
	@$(BIN)/meshload compare suite --subjects direct,meshproxy,envoy,haproxy --rounds $(ROUNDS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
