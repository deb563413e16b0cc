# What a developer types. Needs Python >= 3.11 and make; everything else goes into .venv.
#   make demo     the main job, about a minute        make test    the whole suite
#   make check    format, lint, types, contracts, tests: what CI runs

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
SEEDS ?= 1 2 3 4 5
PYTEST_ARGS ?=
PIP_ARGS ?= --quiet
STORE ?= sqlite
TYPED := hivefeedback plugins integrations tests examples .ci/import_everything.py

.DEFAULT_GOAL := help
.PHONY: help demo demo-seeds test coverage check bench crash clean

help:
	@echo "make demo        install what the demo needs into $(VENV), then close the loop on real input (about 60 s)"
	@echo "make demo-seeds  the demo with the seeds $(SEEDS)"
	@echo "make test        install the development tools as well, then run the whole suite"
	@echo "make check       format, lint, types, import contracts, then make test: what CI runs"
	@echo "make coverage    the suite, and which branches no test takes"
	@echo "make bench       the speed table: floor, ours, ratio"
	@echo "make crash       kill a thousand processes that share a store, and look at what is left (STORE=json for the other one)"
	@echo "make clean       remove $(VENV), caches and build results"
	@echo "PYTHON=/path/to/python chooses the interpreter; PYTEST_ARGS='-k name' is handed to pytest; PIP_ARGS= lets pip talk"

# The version that the pins were tested with comes first. A command of that name may be a shim that fails, so
# each candidate is run before it is believed;
# ensurepip is asked for as well, since Debian ships Python without what a venv needs.
$(BIN)/python:
	@found=""; bare=""; \
	for p in $(or $(PYTHON),python3.11 python3.12 python3.13 python3 python); do \
	  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  if "$$p" -c 'import ensurepip, venv' >/dev/null 2>&1; then found="$$p"; break; fi; \
	  bare="$${bare:-$$p}"; \
	done; \
	if [ -z "$$found" ] && [ -n "$$bare" ]; then \
	  echo "$$bare cannot make a virtual environment; on Debian and Ubuntu install it with: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	if [ -z "$$found" ]; then \
	  echo "No Python 3.11 or newer was found among: $(or $(PYTHON),python3.11 python3.12 python3.13 python3 python); install one, or name it: make PYTHON=/path/to/python demo" >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version 2>&1) ($$found) ..."; \
	"$$found" -m venv --clear $(VENV)

# The stamps say what is installed; a new pyproject.toml or constraints.txt makes them stale.
INSTALL = $(BIN)/python -m pip --disable-pip-version-check install $(PIP_ARGS) --progress-bar off -c constraints.txt
FAILED := { echo "The installation failed; pip says above why. Its whole story: make PIP_ARGS= $(or $(MAKECMDGOALS),demo)" >&2; exit 1; }

$(VENV)/.installed-demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing hivefeedback and what the demo needs into $(VENV): one to three minutes the first time, in silence ..."
	@$(INSTALL) -e '.[demo]' || $(FAILED)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing hivefeedback and its development tools into $(VENV): one to four minutes the first time, in silence ..."
	@$(INSTALL) -e '.[dev]' || $(FAILED)
	@touch $(VENV)/.installed-demo $@

demo: $(VENV)/.installed-demo
	@echo "Running the demo: about 60 seconds ..."
	@$(BIN)/python -m hivefeedback demo

demo-seeds: $(VENV)/.installed-demo
	@for seed in $(SEEDS); do \
	  echo "Running the demo with seed $$seed: about 60 seconds ..."; \
	  $(BIN)/python -m hivefeedback demo --seed $$seed || exit 1; \
	done

test: $(VENV)/.installed-dev
	@echo "Running the whole suite: a few minutes on two cores ..."
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

coverage: $(VENV)/.installed-dev
	@echo "Running the whole suite and watching the branches: about twice as long as make test ..."
	@$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	@echo "Format ..."
	@$(BIN)/ruff format --check .
	@echo "Lint ..."
	@$(BIN)/ruff check .
	@echo "Types (about a minute without a cache) ..."
	@$(BIN)/mypy --strict $(TYPED)
	@echo "Import contracts ..."
	@$(BIN)/lint-imports --no-logo
	@$(MAKE) --no-print-directory test

bench: $(VENV)/.installed-dev
	@echo "Running the benchmarks: several minutes; close what else is busy on this machine ..."
	@$(BIN)/python -m tests.bench

crash: $(VENV)/.installed-dev
	@echo "Killing processes: half an hour with sqlite, longer with json ..."
	@$(BIN)/python -m tests.crash --trials 1000 --store $(STORE)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find hivefeedback plugins integrations tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
