MAKEFLAGS += --no-print-directory
export PYTHON
# Without bytecode each of the processes that these start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

bin := .venv/bin
ready := .venv/.ready

.PHONY: help demo stack test nightly differential gate-proof lint render bench setup servers clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

demo: $(ready) ## an API, its agent, a fault, a page, healed; ARGS=--once ends when the story is told
	@$(bin)/paciolus-monitor demo $(ARGS)

stack: $(ready) servers ## API, agent, PostgreSQL, Prometheus and Alertmanager without Docker; ARGS=--help
	@scripts/stack $(ARGS)

test: $(ready) servers ## all tests; ARGS="-k pool -x" goes to pytest
	@scripts/test $(bin)/python $(ARGS)

nightly: $(ready) servers ## what takes minutes: servers killed in mid-alert, and ten times as many histories as in `test`
	@$(bin)/python -m pytest -m nightly $(ARGS)
	@$(bin)/python -m tests.gate.proof --healthy 10
	@N=20000 $(bin)/python -m pytest tests/differential $(ARGS)

differential: $(ready) servers ## rules against the agent, as many histories of each kind of SLI as N says: N=20000
	@N=$${N:-2000} $(bin)/python -m pytest tests/differential $(ARGS)

gate-proof: $(ready) servers ## each seeded defect against the whole gate, and 50 runs of the healthy API, an hour; ARGS="--only slow_route"
	@$(bin)/python -m tests.gate.proof $(ARGS)

lint: $(ready) ## ruff, its formatter, mypy --strict
	@$(bin)/ruff check
	@$(bin)/ruff format --check
	@$(bin)/mypy

render: $(ready) ## write everything that follows from alerts/objectives.yml
	@$(bin)/paciolus-monitor render $(ARGS)

bench: $(ready) servers ## cost per request, per probe and per scheduled target, beside the usual choices; how often the gate errs
	@$(bin)/python -m benchmarks.instrumentation
	@$(bin)/python -m benchmarks.probe
	@$(bin)/python -m benchmarks.schedule
	@$(bin)/python -m benchmarks.analysis
	@$(bin)/python -m benchmarks.paging
	@$(bin)/python -m benchmarks.year
	@$(bin)/python -m benchmarks.gate

setup: $(ready) servers ## .venv, and the servers that the tests use

clean: ## remove .venv and all caches
	@rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +

servers:
	@scripts/setup-servers

$(ready): pyproject.toml constraints.txt
	@scripts/setup-venv
