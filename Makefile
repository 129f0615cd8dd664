# make demo: install, run the quickstart study, draw its figures.   make test: install, check everything.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench reference format

demo: .venv/installed
	$(BIN)/bptt sweep study=quickstart
	$(BIN)/bptt plot quickstart

test: lint
	$(BIN)/pytest -n 2

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed
	$(BIN)/python -m tests.bench.recording

# Makes results/reference/ again: what the README shows.
reference: .venv/installed
	$(BIN)/bptt sweep study=quickstart --fresh
	$(BIN)/bptt plot quickstart
	$(BIN)/bptt probe study=prediction --fresh
	$(BIN)/bptt sweep study=prediction --fresh
	$(BIN)/bptt plot prediction --figure prediction
	mkdir -p results/reference/quickstart results/reference/prediction
	cp results/quickstart/summary.csv results/quickstart/figures/*.png results/reference/quickstart/
	cp results/prediction/summary.csv results/prediction/figures/prediction.png results/reference/prediction/

format: .venv/installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.venv/installed: pyproject.toml constraints.txt
	@echo "Installing into .venv: a minute or two"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
