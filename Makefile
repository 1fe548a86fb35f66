# The commands that set everything up by themselves: `make chaos`, `make test` and `make test-all`.
# .venv/ready is newer than pyproject.toml once the environment is complete, so a second call installs nothing. It also
# compiles our packages: where PYTHONDONTWRITEBYTECODE is set, as in many containers, each command would do so again.

PYTHON ?= python3
BIN := .venv/bin
PACKAGES := api bench chaos invariants pytest_plugin raft raft_chaos/__init__.py reports
SEED ?= 2
SEEDS ?= 1..200
SIM_SEEDS ?= 1..2000

INPUTS ?= 100000
TIMES ?= 100

.PHONY: chaos test test-all check docs reference sim soak fuzz torture rabbitmq bench native clean

chaos: .venv/ready
	@$(BIN)/raft-chaos run --seed $(SEED)

# The quick suite: every check, and all tests but those that are marked slow, a file in each of two processes. Less than
# 5 minutes on two cores.
test: check
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

# Everything: the quick suite, then the tests that are marked slow. `make test test-all` runs no test twice.
test-all: test
	@$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

check: .venv/ready
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# The site, from docs/, in build/docs. A link that leads nowhere is an error, and so is any other warning.
docs: .venv/docs
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs build/docs
	@echo 'Open build/docs/index.html'

# docs/reference/, from the code. A test fails if it is out of date.
reference: .venv/ready
	@$(BIN)/python -m docs.tools.reference

# Virtual time: thousands of seeds on all cores, and the proof that one seed is one trace, with real processes too.
sim: .venv/ready
	@$(BIN)/raft-chaos run --world sim --seeds $(SIM_SEEDS) --rate 30
	@$(BIN)/raft-chaos selfcheck --seeds 1..100
	@$(BIN)/raft-chaos selfcheck --seeds 1..10 --lockstep

soak: .venv/ready
	@$(BIN)/raft-chaos run --seeds $(SEEDS) --duration 6.5 --warmup 1 --liveness 1

# Damaged inputs at every door: what peers, clients and disks hand to a node, and what files hand to the harness.
fuzz: .venv/ready
	@PYTHONPATH=tests/robustness:tests/chaos:tests/raft $(BIN)/python tests/robustness/fuzz.py $(if $(AGAIN),--again $(AGAIN),--inputs $(INPUTS) --seed $(SEED) $(if $(DOORS),--doors $(DOORS)) $(if $(TOTALS),--totals $(TOTALS)))

# The controller ended at random moments, in every way and world: nothing may be left behind.
torture: .venv/ready
	@$(BIN)/python tests/robustness/torture.py --times $(TIMES) --seed $(SEED) $(if $(TOTALS),--totals $(TOTALS))

# RabbitMQ, which must be installed (Debian: rabbitmq-server; pip install -e '.[systems]'): some minutes.
rabbitmq: .venv/ready
	@RAFT_CHAOS_RABBITMQ=1 $(BIN)/python -m pytest -m slow tests/chaos/targets/test_systems.py -k rabbitmq

bench: .venv/ready
	@$(BIN)/python -m bench --json build/bench.json

# The hot modules, compiled into .venv: six tenths of the CPU time. It needs a C compiler, and some minutes.
native: .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps ./native

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "raft-chaos needs Python 3.11 or later; set PYTHON=")'
	@test -e $@ && echo 'Updating .venv, since pyproject.toml or constraints.txt has changed ...' || \
	echo 'Once: making .venv, with raft-chaos and the tools of its tests, about 400 MB on disk; nothing outside of it changes ...'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,speed,tls]'
	@$(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

.venv/docs: .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
