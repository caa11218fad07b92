PYTHON ?= python3
# `make test PYTHON=python3.13`: another Python has an environment of its own, beside the one of every day.
VENV := $(if $(filter command,$(origin PYTHON)),.venv-$(notdir $(PYTHON)),.venv)
BIN := $(VENV)/bin

.PHONY: run test test-pythons test-hypercorn lint setup bench bench-peers clean autobahn audit soak

## run: set everything up and serve the site on an embedded Postgres and Redis
run: setup
	@$(BIN)/quartet run

## test: set everything up and pass the tests
test: setup
	@$(BIN)/python -m pytest

## test-pythons: the tests on every Python that is supported, each in an environment of its own
test-pythons:
	@for version in 3.11 3.12 3.13; do $(MAKE) --no-print-directory test PYTHON=python$$version || exit 1; done

## test-hypercorn: the same tests, with every host on the engine that serves TLS and HTTP/2
test-hypercorn: setup
	@QUARTET_TEST_ENGINE=hypercorn $(BIN)/python -m pytest

## lint: format, lint, types and import rules
lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@if command -v npm >/dev/null; then \
	  { test -x node_modules/.bin/tsc || npm install --silent --no-audit --no-fund; } && node_modules/.bin/tsc -p tsconfig.json; \
	else echo "NOT RUN: the types of the pages' scripts are not checked, for there is no npm here"; fi

## audit: whether pins fit, licences are allowed and nothing installed has a known vulnerability
audit: setup
	@$(BIN)/python -m tests.audit

## soak: ten minutes of load on all plugins while things are broken at random; writes docs/soak.md
soak: setup
	@$(BIN)/python -m tests.soak --minutes 10 --report docs/soak.md

## autobahn: Autobahn's WebSocket test suite against the native engine, summary in docs/autobahn.md (needs CPython 2.7)
autobahn: setup
	@$(BIN)/python -m tests.autobahn.run

## bench: run every benchmark (some ten minutes on an idle machine), report in docs/benchmarks.md and on /benchmarks
bench: setup
	@$(BIN)/python -m benchmarks

## bench-peers: install the other gateways under .cache/peers and measure beside them; a later `make bench` does so too
bench-peers: setup
	@$(BIN)/python -m benchmarks.gateway_rivals
	@$(BIN)/python -m benchmarks --only gateway

## setup: build .venv with everything that the other targets need
setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Quartet needs Python 3.11 or later, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@echo "Setting up $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

clean:
	@rm -rf .venv .venv-* .cache dist
