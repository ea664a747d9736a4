# make demo   installs what is missing, then runs the main job      ARGS="smoke --set seed=1" is handed to `fedrec run`
# make test   installs what is missing, then runs every test        ARGS="tests/unit -x" is handed to pytest
# make check  format, lint, types, import contracts
# make clean  removes .venv and what builds and checks left; runs/ and the cache of downloads stay
#
# PYTHON=python3.12 chooses the interpreter; PIP_FLAGS= shows what pip does.

VENV := .venv
BIN := $(VENV)/bin
RECENT := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13; do \
	$$python $(RECENT) 2>/dev/null && echo $$python && break; done)
PIP_FLAGS ?= --quiet
PIP := $(BIN)/python -m pip install --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt
ARGS ?=

# What an installation depends on: this folder's place and what these files say, not when they were touched.
STATE := $(shell { pwd; cat pyproject.toml constraints.txt; } | cksum | cut -d ' ' -f 1)
INSTALLED_DEV := $(VENV)/installed-dev-$(STATE)
INSTALLED_USER := $(VENV)/installed-$(STATE)
INSTALLED := $(if $(wildcard $(INSTALLED_DEV)),$(INSTALLED_DEV),$(INSTALLED_USER))

.SILENT:
.PHONY: demo test test-all check clean

demo: $(INSTALLED)
	echo "demo: the main job: MovieLens-100K, real text, real privacy; at most 5 minutes on 2 cores"
	$(BIN)/fedrec run $(ARGS)

# Two processes test at once: threads of their own would only wait for each other.
test: export OMP_NUM_THREADS = 1
test: $(INSTALLED_DEV)
	echo "test: the suite; some 10 minutes on 2 cores"
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not slow" $(ARGS)

test-all: export OMP_NUM_THREADS = 1
test-all: $(INSTALLED_DEV)
	echo "test-all: the whole suite and its slow tests; some 15 minutes on 2 cores"
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(INSTALLED_DEV)
	echo "check: format"
	$(BIN)/ruff format --check
	echo "check: lint"
	$(BIN)/ruff check
	echo "check: types"
	$(BIN)/mypy
	echo "check: import contracts"
	$(BIN)/lint-imports

$(INSTALLED_USER): EXTRAS :=
$(INSTALLED_DEV): EXTRAS := [dev]
$(INSTALLED_USER) $(INSTALLED_DEV): $(VENV)/created
	rm -f $(VENV)/installed-*
	echo "install: PyTorch, 0.2 GB as a CPU build; where pip finds none it takes the CUDA build of several GB"
	$(PIP) torch
	echo "install: Flower, Ray, Opacus, transformers and the rest: 2.5 GB on disk, a minute or two"
	$(PIP) -e '.$(EXTRAS)'
	touch $@

$(VENV)/created:
	if ! $(or $(PYTHON),false) $(RECENT); then \
		echo "fedrec needs Python 3.11 or newer; found: $$($(or $(PYTHON),python3) --version 2>&1)" >&2; \
		echo "install one and name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; \
		exit 2; \
	fi
	echo "install: a virtual environment in $(VENV), with $$($(PYTHON) --version)"
	$(PYTHON) -m venv $(VENV) || { \
		echo "no virtual environment could be made; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find fedrec clients server simulations tests -name __pycache__ -type d -prune -exec rm -rf {} +
