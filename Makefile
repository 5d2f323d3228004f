# `make demo` and `make test` set up all they need, in $(VENV).
PYTHON ?= python3
VENV ?= .venv
SQLALCHEMY ?= SQLAlchemy
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test check lint built types wheel bench soak fuzz snippet openapi pictures crawlers reference docs clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install "pip>=25.1"

$(VENV)/.%: $(BIN)/python pyproject.toml
	$(PIP) install --editable . --group $* "$(SQLALCHEMY)"
	touch $@

demo: $(VENV)/.demo
	$(BIN)/python -m example_app

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

check: lint types docs built

lint: $(VENV)/.check
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

# What is made out of the source, and committed, is as the source makes it.
built: $(VENV)/.check node_modules
	npm run --silent check-snippet
	$(BIN)/python docs/_ext/openapi.py --check
	$(BIN)/python docs/_ext/pictures.py --check

# No type is left for hosts' type checkers to guess. pyright takes the packages of PATH's python;
# with --verifytypes it ignores --pythonpath.
types: $(VENV)/.check node_modules
	PATH="$(abspath $(BIN)):$$PATH" node_modules/.bin/pyright --verifytypes flask_eventtrack --ignoreexternal

# The built wheel, installed in a clean environment: what users get works without the checkout.
wheel: $(VENV)/.check
	rm -rf dist build/wheel
	$(PIP) wheel --no-deps --wheel-dir dist .
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip --disable-pip-version-check --quiet install dist/*.whl
	cd build && wheel/bin/python ../tests/wheel_check.py

# The pages of settings and the Python API, out of the source.
reference: $(VENV)/.docs
	$(BIN)/python docs/_ext/reference.py

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -n -W --keep-going -q docs docs/_build/html

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

# An hour of kills, outages and steady load; as root, for its small disks. ARGS="kill --rounds 50" is a part.
soak: $(VENV)/.test
	$(BIN)/python -m tests.faults $(ARGS)

# A million made-up requests to the collector, on the three databases. The tests run 20,000.
fuzz: $(VENV)/.test
	EVENTTRACK_TEST_EXAMPLES=5000 $(BIN)/python -m pytest -n 3 -rP tests/fuzz $(ARGS)

snippet: node_modules
	npm run --silent build

openapi: $(VENV)/.check
	$(BIN)/python docs/_ext/openapi.py

# The manual's pictures of the dashboard, with Chromium.
pictures: $(VENV)/.test
	$(BIN)/python docs/_ext/pictures.py

# The names of bots that no rule finds, out of the installed crawler-user-agents.
crawlers: $(VENV)/.test
	$(BIN)/python -m tests.clients.make_crawlers

node_modules: package.json package-lock.json
	npm ci --silent --no-audit --no-fund
	touch $@

clean:
	rm -rf .venv* node_modules docs/_build build dist instance
