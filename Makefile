# `make demo` and `make test` set up all they need in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet
SNIPPET = flask_eventtrack/browser

.PHONY: demo test check bench snippet docs clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install "pip>=25.1"

$(VENV)/.%: $(BIN)/python pyproject.toml
	$(PIP) install --editable . --group $*
	touch $@

demo: $(VENV)/.demo
	$(BIN)/python -m example_app

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.check node_modules
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	PATH="$(BIN):$$PATH" $(BIN)/lint-imports
	$(MAKE) docs
	npm run --silent check-snippet

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -n -W --keep-going -q docs docs/_build/html

snippet: node_modules
	npm run --silent build

node_modules: package.json package-lock.json
	npm ci --silent --no-audit --no-fund
	touch $@

clean:
	rm -rf $(VENV) node_modules docs/_build build dist instance
