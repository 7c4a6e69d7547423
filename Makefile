# make demo: set up and run the main job end to end.  make test: set up and run the tests.
# make unit: the quick ones (under 40 s): nothing is timed, nothing simulated a thousand times.  make coverage: all but the timed ones, with the floor of pyproject.toml.
# make thorough: make test with every variant of its longest tests (three hours on two cores).
# make check: formatting, lint, types, import rules.   All are safe to run again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONSTRAINTS := recipes/envs/constraints.txt
# Test processes at a time: one more than cores, since tests wait for servers half of their time; 3 to 6.
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -lt 2 ] && n=2; [ $$n -gt 5 ] && n=5; echo $$((n + 1)))
PARALLEL := -m 'not quiet' -n $(JOBS) --dist loadgroup --durations=25

.PHONY: demo ready test thorough quiet unit coverage check format setup benchmarks bench-self bench-serve bench-hostile soak clean help

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

# What many tests need and takes minutes to make the first time, all at once: a test's own time would run out.
# What could not be made is told here, and tried again by the first test that needs it.
ready: $(STAMP)
	@for name in vllm quantize ctranslate2; do \
	  { $(BIN)/llmops env create $$name >/dev/null || echo "not ready: environment $$name" >&2; } & \
	done; \
	$(BIN)/llmops models get demo >/dev/null || echo "not ready: model demo" >&2; \
	wait

# What does not mind company runs in several processes; what measures time then runs alone. Both run, whatever fails.
test: ready
	@status=0; \
	$(BIN)/python -m pytest $(PARALLEL) || status=$$?; \
	$(BIN)/python -m pytest -m quiet || status=$$?; \
	exit $$status

quiet: ready
	$(BIN)/python -m pytest -m quiet

thorough: $(STAMP)
	THOROUGH=1 $(MAKE) test

unit: $(STAMP)
	$(BIN)/python -m pytest tests/unit tests/contract -m 'not quiet and not slow' -n 2

# Branches, worker programs included (those that run in $(VENV)).
coverage: ready
	$(BIN)/coverage erase
	@status=0; \
	$(BIN)/coverage run -m pytest $(PARALLEL) || status=$$?; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report || status=$$?; \
	exit $$status

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file mypy-workers.ini
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

bench-hostile: $(STAMP)
	$(BIN)/python benchmarks/hostile.py

bench-serve: $(STAMP)
	$(BIN)/python benchmarks/serve.py

soak: $(STAMP)
	$(BIN)/python benchmarks/soak.py

bench-self: $(STAMP)
	$(BIN)/python benchmarks/bench_self.py

clean:
	rm -rf $(VENV) build dist *.egg-info
