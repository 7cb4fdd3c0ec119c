# `make dev` and `make test` are all a newcomer needs; each makes its own .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXPORT := --quiet --no-emit-project --format requirements-txt --no-header --no-annotate

dev: $(VENV)/ready
	@$(BIN)/zyra-receiver dev $(ARGS)

# COVERAGE=1 also measures what ran, in all processes, and fails below what was reached.
test: $(VENV)/ready
ifdef COVERAGE
	@rm -f .coverage*
	@$(BIN)/coverage run -m pytest -n 4 $(ARGS)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report
else
	@$(BIN)/python -m pytest $(ARGS)
endif

lint: $(VENV)/ready
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# Schemathesis against the sandbox: in a place of its own, since nothing else here wants what it brings along.
fuzz: $(VENV)/ready $(VENV)-fuzz/ready
	@$(BIN)/python -m pytest -m fuzz -n 0 $(ARGS)

# CONTROL=1 switches one guard off at a time: each row must fail. ROW=7,28 runs the rows of these numbers.
faults: $(VENV)/ready
	@$(BIN)/python -m tests.faults

# What unsigned senders do to a receiver, as a table. HOSTILE=100000 sends so many requests of all kinds.
hostile: $(VENV)/ready
	@$(BIN)/python -m tests.faults.hostile_loads

# MINUTES=20 SEED=1: faults at random under 110 events a second
soak: $(VENV)/ready
	@MINUTES=$(MINUTES) SEED=$(SEED) $(BIN)/python -m tests.faults.nemesis

# The same for what handlers ask of flow control
flow-soak: $(VENV)/ready
	@MINUTES=$(MINUTES) SEED=$(SEED) $(BIN)/python -m tests.faults.flow_soak

# A wheel in dist/, for those who install without a checkout.
wheel: $(VENV)/ready
	@$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

bench: $(VENV)/ready
	@$(BIN)/python -m tests.bench

$(VENV)/ready: requirements-dev.txt requirements-build.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt -r requirements-build.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)-fuzz/ready: requirements-fuzz.txt
	@$(PYTHON) -m venv $(VENV)-fuzz
	@$(VENV)-fuzz/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.txt
	@touch $@

lock:
	@uv export $(EXPORT) --no-default-groups -o requirements.txt
	@uv export $(EXPORT) --all-extras --all-groups --no-group fuzz --no-group build -o requirements-dev.txt
	@uv export $(EXPORT) --only-group fuzz -o requirements-fuzz.txt
	@uv export $(EXPORT) --only-group build -o requirements-build.txt

.PHONY: dev test lint wheel bench faults hostile fuzz soak flow-soak lock
