# Each command works on a fresh checkout: Linux, Python 3.11 to 3.13 with venv, and a package index.
# What is installed goes into $(VENV), once for each content of the requirements; pip does it, or uv where it is.

IMAGE := yurisa2/petrosa-data-manager
ifneq ($(OS),Windows_NT)
SYSTEM := $(shell uname -s)
endif
ifneq ($(SYSTEM),Linux)
$(error This service runs on Linux: elsewhere, use its container image $(IMAGE))
endif

PY   ?= python3
VENV ?= .venv
BIN  := $(VENV)/bin

# The folder counts too: a virtual environment does not survive being moved.
HASH := $(shell (cat requirements.txt requirements-dev.txt pyproject.toml; pwd) | sha256sum | cut -c1-12)
RUN  := $(VENV)/.run-$(HASH)
DEV  := $(VENV)/.dev-$(HASH)

# Asked, not looked for: a version manager may put a uv on PATH that does not start.
ifneq ($(shell uv --version 2>/dev/null),)
INSTALL := uv pip install --quiet --python $(BIN)/python
else
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

MINUTES ?= 10

PYTEST := $(BIN)/pytest $(if $(COVERAGE),--cov --cov-branch --cov-report=term)

.DEFAULT_GOAL := help
.PHONY: help demo test browser faults nightly soak bench check clean mariadb chromium promtool

help: ## this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 16

demo: $(RUN) ## everything on this machine, on simulated data (ARGS="--for 20")
	$(BIN)/data-manager demo $(ARGS)

test: mariadb promtool $(DEV) ## the tests (PYTEST_ARGS="-k gaps", COVERAGE=1)
	$(PYTEST) -m "not browser and not faults and not nightly" $(PYTEST_ARGS)

browser: chromium $(DEV) ## the dashboard, in a headless Chromium
	$(PYTEST) -m browser $(PYTEST_ARGS)

faults: mariadb $(DEV) ## kills, hangs and outages on whole process trees
	$(PYTEST) -m "faults and not nightly" $(PYTEST_ARGS)

nightly: mariadb $(DEV) ## real durations, soak and image
	$(PYTEST) -rs -m nightly $(PYTEST_ARGS)

soak: $(DEV) ## memory, files, threads and disk of a demo over time (MINUTES=10)
	SOAK_MINUTES=$(MINUTES) $(PYTEST) -s -m nightly tests/soak/test_soak.py $(PYTEST_ARGS)

bench: $(DEV) ## throughput and latency of this machine (ARGS)
	$(BIN)/python -m tests.bench $(ARGS)

check: $(DEV) ## lint, format, types, dependencies between folders, security, image and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive actors system storage http
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --quiet --offline --min-severity medium .github

# The tests start servers of their own; a MongoDB-compatible one comes with requirements-dev.txt.
mariadb:
	@command -v mariadbd >/dev/null || { echo "The tests need MariaDB: apt-get install mariadb-server" >&2; exit 1; }

chromium:
	@command -v chromium >/dev/null || { echo "The dashboard's tests need Chromium: apt-get install chromium" >&2; exit 1; }

promtool:
	@command -v promtool >/dev/null || { echo "The alert rules' tests need promtool: apt-get install prometheus" >&2; exit 1; }

clean: ## all that these commands installed or built; the data folder stays
	rm -rf $(VENV) build dist src/*.egg-info .coverage* .hypothesis .mypy_cache .ruff_cache
	find actors system storage http tests src -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PY) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PY) must be Python 3.11, 3.12 or 3.13: name another one with PY=python3.12" >&2; exit 1; }
	@$(PY) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

# The old stamps go first: they tell of other requirements, or of an installation that broke off.
$(RUN): $(BIN)/python
	@echo "Installing into $(VENV), once: one to two minutes with pip"
	@rm -f $(VENV)/.run-* $(VENV)/.dev-*
	@$(INSTALL) -r requirements.txt -e .
	@touch $@

$(DEV): $(RUN)
	@$(INSTALL) -r requirements-dev.txt
	@touch $@
