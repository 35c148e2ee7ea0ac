# `make run` and `make test` do everything on a fresh machine; see README.md.
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

.PHONY: run test check bench vm setup clean

run: setup
	@$(BIN)/bunraku live

test: setup
	@$(BIN)/python -m stage.models fetch --tests
	@$(BIN)/python -m pytest

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_floors.py tests/test_docs.py

bench: setup
	@$(BIN)/bunraku bench

# The virtual camera on a real kernel: a virtual machine, minutes (docs/camera.md).
vm: setup
	@$(BIN)/python -m pytest -m vm -s -rs tests/vm

setup: $(VENV)/.installed
	@$(BIN)/python -m stage.models fetch --default

$(VENV)/.installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON); install Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing bunraku into $(VENV) (once; a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/python -c 'from render import matte, mix, raster; raster.ready(); mix.ready(); matte.ready()'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
