# Needs python3.11 or newer, make and git; everything else goes into .venv.
# pip's own variables (PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS ...) are honoured, for instance to choose a CPU build of torch.

# Containers often keep Python from keeping what it compiled. Tests begin many programs, and each would compile the house
# again; rewriting the assertions of all tests takes 10 s of a core at every collecting.
unexport PYTHONDONTWRITEBYTECODE

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# 3.11 first: constraints.txt was tested with it. Asked by running it, since a name on PATH may be an empty shim.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	"$$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: help venv demo test test-long coverage lint format types imports shots figures weights clean

help:  ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */make \1\t/' | expand -t 16

venv: $(INSTALLED)  ## the environment with all releases of constraints.txt

# The stamp is written last, so a broken install is tried again.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed; name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,notebooks]'
	@touch $@

demo: $(INSTALLED)  ## imports, indexes and matches the demo world
	$(BIN)/gloria demo

# The model hub is switched off: tests must pass without a network.
test test-long coverage: export HF_HUB_OFFLINE := 1
# Files stay whole, so that what a file's tests share is made once, and begin in the order of tests/conftest.py. One
# thread of arithmetic for each worker: with more than there are cores they spend their time waiting for each other.
ON_ALL_CORES := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 GLORIA_THREADS=1 $(BIN)/python -m pytest \
	-n auto --dist loadfile --no-loadscope-reorder

# Only the files of those tests, since importing all of them takes longer than the tests.
ALONE := $(BIN)/python -m pytest -m "alone and not long" $$(grep -l "mark\.alone" tests/test_*.py)

test: $(INSTALLED)  ## all tests and notebooks
	$(ON_ALL_CORES) -m "not alone and not long" tests
	$(ALONE)
# The notebooks take the vectors that the tests left behind, so that they do not encode the demo world again.
	GLORIA_CACHE=$(CURDIR)/.test-home $(ON_ALL_CORES) --nbmake --nbmake-timeout=600 notebooks

test-long: $(INSTALLED)  ## the whole of what is tested in part each time: crash, damage, power cut, chance, PostgreSQL; figures
	rm -f .test-home/figures.jsonl
	$(ON_ALL_CORES) -m long tests
	GLORIA_LOOK_OVER=whole $(ON_ALL_CORES) -m "not alone and not long" $$(grep -l "look_over(" tests/test_*.py)
	$(BIN)/python -m tests.rig.figures

# Apart from the tests, since watching every line makes a test in Python take 1.6 to 1.9 times as long, and a command
# 1.3 times.
coverage: $(INSTALLED)  ## all tests, and which lines and branches they reach
	$(ON_ALL_CORES) -m "not alone and not long" --cov --cov-report= tests
	$(ALONE) --cov --cov-append --cov-report=term

lint: $(INSTALLED)  ## style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(INSTALLED)  ## puts style right where a program can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(INSTALLED)  ## types
	$(BIN)/mypy

imports: $(INSTALLED)  ## who may import whom
	$(BIN)/lint-imports --no-logo

shots: $(INSTALLED)  ## the README's pictures again, and every role's pages on sheets in .test-home/sheets; needs chromium
	GLORIA_HOME=.test-home/shots $(BIN)/gloria demo > .test-home/shots.log
	$(BIN)/python -m tests.rig.screenshots .test-home/shots fixtures/screenshots .test-home/sheets

figures: $(INSTALLED)  ## measures ranking and speed, and writes api/FIGURES.md
	$(BIN)/python -m tests.rig.figures api/FIGURES.md

weights: $(INSTALLED)  ## fits the ranker's default weights again
	$(BIN)/python -m matcher.judging.learning

clean:  ## removes the environment and all caches, not your data
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
