# make demo: install, run the quickstart study, draw its figures, write its report.
# make test: install, run all checks and tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench cuda reference register reproduce format docs

demo: .venv/installed
	$(BIN)/bptt sweep study=quickstart
	$(BIN)/bptt plot quickstart
	$(BIN)/bptt report quickstart

test: lint
	$(BIN)/pytest -n 2

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed
	$(BIN)/python -m tests.bench.recording
	$(BIN)/python -m tests.bench.watching
	$(BIN)/python -m tests.bench.denormals
	$(BIN)/python -m tests.bench.sweeping
	$(BIN)/python -m tests.bench.many_runs

# Holds a GPU to the CPU, and times training steps there; says so if there is no GPU.
cuda: .venv/installed
	$(BIN)/pytest tests/cuda -rs
	$(BIN)/python -m tests.bench.recording --device cuda --rounds 3 --lengths 100 400

# Makes the figures and summaries in results/reference/ again.
reference: .venv/installed
	$(BIN)/bptt sweep study=quickstart --fresh --yes
	$(BIN)/bptt plot quickstart --output results/reference/quickstart
	$(BIN)/bptt probe study=prediction --fresh --yes
	$(BIN)/bptt sweep study=prediction --fresh --yes
	$(BIN)/bptt plot prediction --figure prediction --figure spectrum --output results/reference/prediction
	$(BIN)/bptt sweep study=lengths --fresh --yes
	$(BIN)/bptt plot lengths --figure success --figure horizon --output results/reference/lengths
	$(BIN)/bptt probe study=forget --fresh --yes
	$(BIN)/bptt plot forget --figure phase --output results/reference/forget
	for study in quickstart prediction lengths forget; do cp results/$$study/summary.csv results/reference/$$study/; done

# Registers the claims: which commit fixed their bounds, before the verdict seeds are run.
register: .venv/installed
	$(BIN)/python -m experiments.claims.registration

# Tests all claims again, on the verdict seeds and on five others, and writes their table.
reproduce: .venv/installed
	$(BIN)/bptt sweep study=any_length -j 1 --yes                   # timed alone
	$(BIN)/bptt sweep study=any_length 'seed=range(200,205)' results_dir=results/other_seeds -j 1 --yes
	$(BIN)/bptt reproduce --all 'seed=range(200,205)' results_dir=results/other_seeds
	cp results/other_seeds/claims/claims.csv results/reference/claims/other_seeds.csv
	$(BIN)/bptt reproduce --all --output results/reference/claims --markdown results/reference/claims/README.md \
	  --against results/reference/claims/other_seeds.csv
	for study in bptt_terms any_length vanishing exploding lstm_memory gates gru; do \
	  mkdir -p results/reference/$$study && cp results/$$study/summary.csv results/$$study/states.csv results/reference/$$study/; done
	$(BIN)/bptt plot any_length --figure cost --figure size --output results/reference/any_length
	$(BIN)/bptt plot gates --figure gate_means --figure marked_timesteps --where init=default --output results/reference/gates

# Writes conf/README.md from the comments in the YAML files.
docs: .venv/installed
	$(BIN)/python -m experiments.catalogue.readme

format: .venv/installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.venv/installed: pyproject.toml constraints.txt
	@echo "Installing into .venv: a minute or two"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
