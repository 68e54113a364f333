PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types docs check bench notebooks pictures reference dashboards versions audit clean

demo: .venv/ready ## run real applications against a local model and show their traces
	$(BIN)/otel-callbacks demo

test: .venv/ready ## run the whole test suite, in two processes
	$(BIN)/pytest --numprocesses 2 --dist loadfile

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy
	$(BIN)/mypy tests/surface/snippets.py

docs: .venv/ready ## build the documentation into site/; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

reference: .venv/ready ## write the pages of the reference again, from the code
	$(BIN)/python docs/scripts/reference.py

dashboards: .venv/ready ## write the dashboards and the rules again, from the names in the code
	$(BIN)/python dashboards/scripts/make.py

pictures: demo ## draw the pictures of the documentation again, which needs Chromium
	$(BIN)/python docs/scripts/pictures.py
	OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY $(BIN)/otel-callbacks demo --file .otel_callbacks/said.jsonl
	$(BIN)/python docs/scripts/ui_pictures.py .otel_callbacks/said.jsonl

check: lint types test docs ## run everything that must pass before a change is merged

bench: .venv/ready ## measure what tracing costs, compared with the rivals; installs them, and writes README and docs
	$(BIN)/python benchmarks/compare.py

notebooks: .venv/ready ## run the notebooks and save those whose outputs have changed
	$(BIN)/python notebooks/execute.py

GOLDEN := tests/cost/golden

versions: .venv/ready ## write down the installed versions, after all tests have passed with them
	{ head -1 tested-versions.txt; $(BIN)/pip freeze --all --exclude-editable --exclude pip | sort -f; } > .venv/versions
	mv .venv/versions tested-versions.txt

audit: ## look the tested versions up in the database of known vulnerabilities, which needs the network
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet pip-audit
	.venv/audit/bin/pip-audit --requirement tested-versions.txt --no-deps --disable-pip

.venv/ready: pyproject.toml $(GOLDEN)/requirements.txt $(GOLDEN)/requirements-no-deps.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev --group docs --requirement $(GOLDEN)/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --requirement $(GOLDEN)/requirements-no-deps.txt
	@touch $@

clean:
	rm -rf .venv site .otel_callbacks .pytest_cache .mypy_cache .ruff_cache .hypothesis
