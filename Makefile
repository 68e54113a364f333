PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types check bench notebooks clean

demo: .venv/ready ## run real applications against a local model and show their traces
	$(BIN)/otel-callbacks demo

test: .venv/ready ## run the whole test suite
	$(BIN)/pytest

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

check: lint types test ## run everything that must pass before a change is merged

bench: .venv/ready ## measure what tracing costs, compared with an empty handler and the bare SDK
	$(BIN)/python benchmarks/overhead.py

notebooks: .venv/ready ## run the notebooks and save those whose outputs have changed
	$(BIN)/python notebooks/execute.py

GOLDEN := tests/cost/golden

.venv/ready: pyproject.toml $(GOLDEN)/requirements.txt $(GOLDEN)/requirements-no-deps.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev --requirement $(GOLDEN)/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --requirement $(GOLDEN)/requirements-no-deps.txt
	@touch $@

clean:
	rm -rf .venv .otel_callbacks .pytest_cache .mypy_cache .ruff_cache .hypothesis
