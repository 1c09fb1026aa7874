# `make help` lists what there is. Each target gets for itself what it is missing.

BIN := .venv/bin
# A test whose Docker has locked itself out is run again, and named: see tests/support/lockout.py.
RERUN := --reruns 1 --only-rerun ^EngineLockedOutError --rerun-show-tracebacks
ARGS :=
INPUTS := 100000
# The proxy lets through no folder of the host.
FOLDERS := folder_that_is_no_longer_allowed
# Compiled tests are kept, also where the environment has Python keep none: a fifth of the time.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo worker test test-fast test-long test-swarm test-engines test-proxy test-debian coverage simulate simulate-mutants chaos fuzz soak bench check fix generate dashboards docs pictures screens sbom lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv, with the command area-supervisor in it (PYTHON=... names another Python)
	@scripts/setup

demo: setup ## Show it at work: the supervisor in its container launches a worker that calls back
	@$(BIN)/python -m scripts.demo

worker: setup ## Build the image of the example workers, supervisor-demo-worker, with or without a registry
	@$(BIN)/python -m examples.images.worker

test: setup ## Run every test, on a Docker Engine of its own (ARGS="-k name" picks some)
	@$(BIN)/python -m scripts.prepare
	$(PYTEST) --numprocesses 4 --dist loadfile --no-loadscope-reorder $(RERUN) -m "not swarm and not proxy and not long" $(ARGS)

test-fast: setup ## Run the tests that need neither Docker nor root, without the slow ones
	$(PYTEST) --numprocesses 3 -m "not root and not slow" $(ARGS)

coverage: setup ## Say how much of the code is run by the tests that need neither Docker nor root
	$(PYTEST) --numprocesses 2 -m "not root" --cov --cov-report=term --cov-report=html $(ARGS)

test-long: setup ## Run the larger cases of what `make test` shows with smaller ones
	@$(BIN)/python -m scripts.prepare
	$(PYTEST) -m long tests/chaos tests/console tests/e2e/test_limits.py tests/simulation $(ARGS)

test-swarm: setup ## Run the tests of several machines in a Swarm, and of supervisors that share it
	@$(BIN)/python -m scripts.prepare
	$(PYTEST) -m swarm tests/swarm $(ARGS)

test-engines: setup ## Run what any Engine should pass on Docker 20.10, 26.1 and Podman 5.4, an hour and more
	@$(BIN)/python -m scripts.try_engines $(ARGS)

test-proxy: setup ## Run the contract of the adapter through the proxy of examples/socket-proxy, and Compose with it
	@$(BIN)/python -m scripts.prepare
	TEST_PROXY=1 $(PYTEST) tests/engine -k "(docker or secret_files) and not $(FOLDERS)" $(ARGS)
	$(PYTEST) -m proxy tests/proxy $(ARGS)

test-debian: setup ## Run .ci/run of the last commit on Debian 13, in a folder
	@scripts/ci-on-debian trixie

chaos: setup ## Faults at random, for DURATION=90 seconds, from SEED=...: the same plan again
	@$(BIN)/python -m tests.chaos

fuzz: setup ## Odd access files, metadata and HTTP requests at the ports, INPUTS=100000 of them
	FUZZ_INPUTS=$(INPUTS) $(PYTEST) --timeout 7200 tests/access/test_fuzz.py $(ARGS)

simulate: setup ## The core in virtual time, STEPS=50000 drawn from SEED=1 (REPLAY=... a failure again)
	@$(BIN)/python -m tests.simulation

simulate-mutants: setup ## Break the core on purpose, and see that the simulation notices each time
	@$(BIN)/python -m tests.simulation.mutants

soak: setup ## Launches and ends, CYCLES=4000 or DURATION=... seconds of them: does anything grow?
	@$(BIN)/python -m tests.soak

bench: setup ## Measure it beside the bare Engine and bare gRPC (ARGS="--only dedup --quick")
	@$(BIN)/python -m benchmarks $(ARGS)

check: setup ## Lint, format, types, layers, and whether what is generated matches its source
	@$(BIN)/python -m scripts.check

fix: setup ## Correct format and simple lint, and write everything anew that is generated
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format
	scripts/generate
	$(BIN)/python -m dashboards.generate
	$(BIN)/python -m scripts.reference

generate: setup ## Generate the stubs anew from proto/
	scripts/generate

dashboards: setup ## Generate the dashboards anew from dashboards/
	$(BIN)/python -m dashboards.generate

docs: setup ## Write the tables of settings, catalogue keys, modules and Engines anew
	$(BIN)/python -m scripts.reference

pictures: setup ## Draw the dashboards for docs/ from three minutes of real work
	$(BIN)/python -m scripts.pictures

screens: setup ## Write the screens of docs/command-line.md anew, from a terminal with a real supervisor
	@$(BIN)/python -m scripts.prepare
	KEEP_SCREENS=1 $(PYTEST) tests/e2e/test_terminal.py

sbom: setup ## List the image's Python packages and their licences in requirements/sbom.cdx.json
	@$(BIN)/python -m scripts.sbom
	$(BIN)/python -m scripts.reference

lock: setup ## Write the locks in requirements/ anew from pyproject.toml
	scripts/lock

clean: ## Remove everything that the targets above have made here
	rm -rf .venv .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
