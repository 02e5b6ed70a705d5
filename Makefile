# Every target sets up what it needs: a private environment in .venv, made with Python 3.11 or later, and nothing outside this folder.
# Without a GPU, `make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu` keeps pip from fetching gigabytes of CUDA.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH_INDEX ?=
PIP_EXTRA ?=
ARGS ?=
# Threads that wait should not take the cores from those that work (see swirl/cli.py).
export GOMP_SPINCOUNT ?= 1000

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# TRL and Inspect bring much that nothing else here needs, and have an environment to themselves.
INTEROP := .venv-interop

.DEFAULT_GOAL := help
.PHONY: help demo test interop lint check bench crash-test

help: ## list the targets
	@echo "make TARGET [ARGS='...'] [PYTHON=python3.12] [TORCH_INDEX=URL] [PIP_EXTRA='...']"
	@echo
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "  %-11s %s\n", $$1, $$2 }'
	@echo
	@echo "ARGS is handed to the command, e.g. make demo ARGS='--seed 2', make test ARGS='-k protocol'."
	@echo "TORCH_INDEX is searched for PyTorch as well, e.g. https://download.pytorch.org/whl/cpu; PIP_EXTRA is handed to pip."

demo: $(READY) ## the whole method on two bundled tasks: a table, and runs/demo/report.html
	$(BIN)/swirl demo --out runs/demo $(ARGS)

test: $(READY) ## all tests, docstrings and documents included
	$(BIN)/python -m pytest $(ARGS)

interop: $(INTEROP)/.ready ## the tests that skip without TRL and Inspect, in .venv-interop
	$(INTEROP)/bin/python -m pytest -rs src/swirl/inspect_tasks tests/test_inspect_tasks.py tests/test_trl.py $(ARGS)

lint: $(READY) ## linters, formatting, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## everything that has to be green before a change goes in

bench: $(READY) ## every benchmark in benchmarks/; fails where one misses its bound
	@set -e; for file in benchmarks/bench_*.py; do echo "$$file"; $(BIN)/python $$file $(ARGS); done

crash-test: $(READY) ## kill the demo and work over HTTP at 20 moments each, and every stage; rerun, compare the bytes; write and read one run at once: takes long
	$(BIN)/python tests/crash_appenders.py $(ARGS)
	$(BIN)/python tests/crash_services.py $(ARGS)
	$(BIN)/python tests/crash_stages.py $(ARGS)
	$(BIN)/python tests/crash_demo.py $(ARGS)

# An environment, with what is installed in it.
$(READY): INSTALL := -e '.[dev]'
$(INTEROP)/.ready: INSTALL := -e '.[dev,inspect]' trl==1.16.0
$(READY) $(INTEROP)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: expected Python 3.11 or later on the PATH, found none; install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "error: expected Python 3.11 or later, found $$("$(PYTHON)" --version 2>/dev/null || echo none) at $(PYTHON); name another: make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(@D)/bin/python || "$(PYTHON)" -m venv $(@D) || { rm -rf $(@D); echo "error: $(PYTHON) could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "setting up $(@D) with $$($(@D)/bin/python --version); the first time takes some minutes"
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(PIP_EXTRA) $(INSTALL)
	@touch $@
