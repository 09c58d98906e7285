# `make demo` and `make test` set up by themselves: a virtual environment in .venv, made once.
# They need Python 3.11 or 3.12 and nothing else. Another interpreter: make demo PYTHON=/path/to/python3.12

PYTHONS := $(or $(PYTHON),python3.12 python3.11 python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\): .*## \(.*\)/make \1\t\2/p' Makefile

demo: $(INSTALLED)  ## speak a corpus, train on it, quantize, evaluate, transcribe (about 6 minutes on 2 cores)
	@$(BIN)/python scripts/demo.py

test: $(INSTALLED)  ## lint, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile

clean:  ## remove .venv, caches and what the demo made
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache *.egg-info data/demo models/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The candidates are run, not only found: a pyenv shim can stand for a Python that is not installed.
$(INSTALLED): requirements.txt requirements-onnx.txt pyproject.toml
	@$(BIN)/python -c 'import pip' 2>/dev/null && exit; \
	for python in $(PYTHONS); do \
	    $$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	        && echo "making $(VENV) with $$python" && exec $$python -m venv --clear $(VENV); \
	done; \
	echo "error: expected Python 3.11 or 3.12 with venv among $(PYTHONS), found none; install one" \
	    "(Debian: python3 and python3-venv) or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1
	@echo "installing requirements.txt and requirements-onnx.txt into $(VENV), about a minute and 3 GB of disk"
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt -r requirements-onnx.txt
	@touch $@
