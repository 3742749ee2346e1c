# Targets for development. They use .venv if it exists, else the python3 in PATH; `make PYTHON=…` takes another one.

PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,python3)

.PHONY: help test fast lint demo pictures docs dist

help:               ## list the targets
	@sed -n 's/^\([a-z]*\): .*## /  \1\t/p' Makefile

test:               ## run all tests
	$(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

fast:               ## run the fast tests only
	$(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder -m "not slow"

lint:               ## check style, format and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

demo:               ## watch a migration on a server of its own
	$(PYTHON) -m migrator demo

pictures:           ## draw the pictures of reports in docs/pictures anew (needs Chromium)
	$(PYTHON) tests/pictures.py

docs:               ## write the generated parts of the documents anew
	MIGRATOR_WRITE_DOCS=1 $(PYTHON) -m pytest tests/test_docs.py

dist:               ## build dist/*.tar.gz and dist/*.whl, and check their metadata
	rm -rf build dist
	$(PYTHON) -m build --sdist --wheel
	$(PYTHON) -m twine check --strict dist/*
