# Everything a newcomer needs, in one place: `make` lists it. Works with GNU make 3.81 and newer.
# Machines without make: README.md gives the same steps as plain Python commands.

VENV   := .venv
PY     := $(VENV)/bin/python
ARGS   ?=

# A stamp is named after the content it was made from, so a changed lock installs again and an unchanged one costs
# nothing.
RUNTIME_STAMP := $(VENV)/.runtime-$(shell cat requirements.txt pyproject.toml | cksum | tr -d ' ')
DEV_STAMP     := $(VENV)/.dev-$(shell cat requirements.txt requirements-dev.txt pyproject.toml | cksum | tr -d ' ')

WARM_STAMP    := .numba_cache/warm-$(shell cat risk_core/kernels/*.py risk_core/kernels/*/*.py requirements.txt | cksum | tr -d ' ')

# Everything a run leaves behind stays inside the project, and no tool reports home.
export PREFECT_HOME := $(CURDIR)/.prefect
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 90
export DO_NOT_TRACK := 1
export NUMBA_CACHE_DIR := $(CURDIR)/.numba_cache
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help run environment kernels test coverage lint bench notebooks lock server clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  First time here? make run. Before a commit: make lint test."

run: $(RUNTIME_STAMP) $(WARM_STAMP) ## install, fill the warehouse from the built-in sample, compute, serve http://127.0.0.1:8050
	@$(PY) -m data.sample --if-empty
	@$(PY) -m flows risk-scenarios --skip-if-stored
	@$(PY) -m flows health-factor-bands
	@$(PY) -m flows volatility-fits
	@$(PY) -m flows liquidation-clusters --skip-if-stored --or-nothing
	@$(PY) -m flows wallet-features --skip-if-stored
	@$(PY) -m flows forecast-ledger
	@$(PY) -m flows protocol-scores --skip-if-stored
	@$(PY) -m flows peg-health
	@$(PY) -m flows brief
	@exec $(PY) -m dashboard

environment: $(DEV_STAMP) ## install what tests and checks need; the others do it themselves

kernels: $(DEV_STAMP) ## compile the whole engine once, so that no process that needs it does so for itself
	@$(PY) -m risk_core.warmup

test: $(DEV_STAMP) ## install, run every test on all cores; ARGS="-m browser" or ARGS=tests/unit runs a part
	@$(PY) -m pytest --timeout 600 --numprocesses auto --dist loadfile $(ARGS)

coverage: $(DEV_STAMP) ## lines of the engine that no test runs, kernels as plain Python (hours); ARGS=tests/unit/laws runs a part
	@NUMBA_DISABLE_JIT=1 COVERAGE_FILE=build/.coverage $(PY) -m pytest --timeout 3600 --numprocesses auto --dist loadfile \
	  -W ignore::RuntimeWarning -m "not statistical and not slow" --cov risk_core --cov-report term-missing:skip-covered \
	  --cov-report html:build/coverage $(or $(ARGS),tests/unit tests/property)

lint: $(DEV_STAMP) ## style, formatting, the import rules and the types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(VENV)/bin/lint-imports --no-logo
	@$(PY) -m mypy --no-error-summary

bench: $(DEV_STAMP) ## print the table of speeds and write build/bench.json
	@$(PY) -m tests.benchmarks $(ARGS)

notebooks: $(DEV_STAMP) ## run the notebooks and renew the .ipynb beside them; ARGS=--measure measures the speeds anew
	@$(PY) -m tests.notebooks $(ARGS)

lock: | $(PY) ## write requirements*.txt anew from requirements*.in, with digests; needs uv
	@$(PY) -m tests.lock

server: $(RUNTIME_STAMP) ## local Prefect server on 127.0.0.1:4200, the work pool "local" and a process worker
	@exec $(PY) -m flows.server

clean: ## remove caches and built files; keeps the warehouse (data/db) and the environment (.venv)
	@rm -rf build .numba_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment -------------------------------------------------------------------------------------------

$(PY):
	@set -e; \
	for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "This project needs Python 3.11 or newer; found: $$(python3 --version 2>&1 || true)." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! $$found -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "$$found cannot make virtual environments: its venv module is missing." >&2; \
	  echo "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	fi; \
	rm -rf $(VENV); $$found -m venv $(VENV)

# A lock that changed leaves the stamp of the old one behind; both go before the new one is written.
$(RUNTIME_STAMP): | $(PY)
	@echo "Installing packages, about a minute, once."
	@$(PY) -m pip install -qq -r requirements.txt
	@$(PY) -m pip install -qq --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.runtime-* $(VENV)/.dev-* && touch $@

$(DEV_STAMP): | $(PY)
	@echo "Installing packages for tests and checks, about a minute and a half, once."
	@$(PY) -m pip install -qq -r requirements-dev.txt
	@$(PY) -m pip install -qq --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.runtime-* $(VENV)/.dev-* && touch $@ $(RUNTIME_STAMP)

# What the workbench calls, before it is called: elsewhere each first call would wait for the compiler.
$(WARM_STAMP): | $(RUNTIME_STAMP)
	@$(PY) -m risk_core.warmup health what-if sweep simulate
	@mkdir -p .numba_cache && rm -f .numba_cache/warm-* && touch $@
