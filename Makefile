# make demo: set up and run the main job end to end.  make test: set up and run every test.
# make check: formatting, lint, types, import rules.   All are safe to run again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONSTRAINTS := recipes/envs/constraints.txt

.PHONY: demo test unit check format setup benchmarks bench-self bench-serve soak clean help

help:
	@grep -E '^# ' Makefile

preflight:
	@for tool in $(PYTHON) git cmake; do command -v $$tool >/dev/null 2>&1 || \
	  { echo "error: '$$tool' is missing; install it (Debian: apt-get install python3 python3-venv git cmake g++ make)" >&2; exit 3; }; done
	@command -v c++ >/dev/null 2>&1 || command -v g++ >/dev/null 2>&1 || command -v clang++ >/dev/null 2>&1 || \
	  { echo "error: a C++ compiler is missing; install one (Debian: apt-get install g++)" >&2; exit 3; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11; pass PYTHON=python3.11" >&2; exit 3; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "error: $(PYTHON) has no venv module; install it (Debian: apt-get install python3-venv)" >&2; exit 3; }
.PHONY: preflight

# One environment with everything. llama.cpp is compiled once (about 5 minutes on 2 cores); pip caches the result.
$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(MAKE) -s preflight
	@echo "setting up $(VENV) (llama.cpp is compiled the first time; this takes some minutes)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=24'
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c $(CONSTRAINTS) -e '.[all,dev]'
	@touch $(STAMP)

setup: $(STAMP)

demo: $(STAMP)
	$(BIN)/llmops run recipes/quickstart.yaml

test: $(STAMP)
	$(BIN)/python -m pytest

unit: $(STAMP)
	$(BIN)/python -m pytest tests/unit tests/contract

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmarks: $(STAMP)
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/converter.py
	$(BIN)/python benchmarks/ahead.py
	$(BIN)/python benchmarks/quantize_overhead.py
	$(BIN)/python benchmarks/guard.py
	$(BIN)/python benchmarks/redteam_speed.py

bench-serve: $(STAMP)
	$(BIN)/python benchmarks/serve.py

soak: $(STAMP)
	$(BIN)/python benchmarks/soak.py

bench-self: $(STAMP)
	$(BIN)/python benchmarks/bench_self.py

clean:
	rm -rf $(VENV) build dist *.egg-info
