# The two commands: `make run` and `make test`. Both need Python 3.11 or newer, make and pip.

PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,\
	$(shell $(p) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $(p))))
VENV := .venv
BIGQUERY_VENV := .venv-bigquery
SPARK_VENV := .venv-spark
PEERS_VENV := .venv-peers
KERNELS := connectors/postgres/_kernels.so
RUN := $(VENV)/bin/python
SUITE := -n 2 --dist loadfile --no-loadscope-reorder
PIP_FLAGS := -qq --no-deps --require-hashes --only-binary :all: --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run test coverage check bench-connectors bench-etl bench-store bench-federation env sandbox-env lock

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: env ## The main job on a fresh sandbox, then stay up until Ctrl-C (ONCE=1: exit after it; SANDBOX=all: every stand-in)
	@$(RUN) manage.py run $(if $(ONCE),--once) $(if $(SANDBOX),--sandbox $(SANDBOX))

test: env ## Every test, by two processes with a sandbox each (TESTS="files", PYTEST="options": by one)
	@$(RUN) -m pytest $(if $(TESTS)$(PYTEST),$(TESTS) $(PYTEST),$(SUITE))

coverage: env ## Every test, and which lines none of them reaches; takes a quarter longer
	@$(RUN) -m pytest $(SUITE) --cov --cov-report=term

check: env ## ruff, mypy --strict, import-linter
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy .
	@$(VENV)/bin/lint-imports --no-logo

bench-connectors: env ## query() against each vendor's client used bare (CASE=postgres: one; QUICK=1; JSON=path)
	@$(RUN) -m tests.benchmarks.connectors $(if $(CASE),--case $(CASE)) $(if $(QUICK),--quick) \
		$(if $(JSON),--json $(JSON))

bench-etl: env $(PEERS_VENV)/.installed ## Postgres to Parquet, S3 and Snowflake against peers (CASE=extract|stage|whole|memory; SF=1; QUICK=1; JSON=path)
	@$(RUN) -m tests.benchmarks.etl $(if $(CASE),--case $(CASE)) $(if $(SF),--scale $(SF)) \
		$(if $(QUICK),--quick) $(if $(JSON),--json $(JSON))

bench-store: env ## The store's engine over HTTP beside chdb in the process (CASE=select_1|insert|select_rows|sync|hybrid_hit|hybrid_hit_10k; QUICK=1; JSON=path)
	@$(RUN) -m tests.benchmarks.store $(if $(CASE),--case $(CASE)) $(if $(QUICK),--quick) $(if $(JSON),--json $(JSON))

bench-federation: env ## TPC-H over several systems against whole tables and duckdb (CASE=q05|plan; SF=0.1; QUICK=1; JSON=path)
	@$(RUN) -m tests.benchmarks.federation $(if $(CASE),--case $(CASE)) $(if $(SF),--scale $(SF)) \
		$(if $(QUICK),--quick) $(if $(JSON),--json $(JSON))

env: ## The environments, from the lock files; does nothing when they are up to date
	@$(MAKE) --silent -j2 $(KERNELS) $(VENV)/.installed $(BIGQUERY_VENV)/.installed $(SPARK_VENV)/.installed

sandbox-env: $(BIGQUERY_VENV)/.installed $(SPARK_VENV)/.installed ## Only what the BigQuery and Databricks stand-ins need

# The stand-in pins other versions of what the service uses, so it has an environment of its own.
$(VENV)/.installed: locks/all.lock
$(BIGQUERY_VENV)/.installed: locks/bigquery-standin.lock
$(PEERS_VENV)/.installed: locks/bench-peers.lock
%/.installed:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed." >&2; exit 1; }
	@echo "Installing $< into $* (once, a minute or two) …"
	@$(PYTHON) -m venv --clear --without-pip $*
	@$(PYTHON) -m pip --python $*/bin/python install $(PIP_FLAGS) -r $<
	@touch $@

# Without it, rows are read from Postgres by numpy alone: the same ones, more slowly.
$(KERNELS): connectors/postgres/kernels.c
	@$(CC) -std=c11 -D_DEFAULT_SOURCE -O2 -Wall -Wextra -fPIC -shared -o $@ $< \
		|| echo "There is no C compiler: reading from Postgres will take longer." >&2

# Spark has no wheel: it is built by the setuptools of the service's environment, whose Python then
# runs it once. It is a folder of jars and a Java, not an environment to run Python in.
$(SPARK_VENV)/.installed: locks/spark-standin.lock | $(VENV)/.installed
	@echo "Installing $< into $(SPARK_VENV) (once, a minute or two) …"
	@rm -rf $(SPARK_VENV)
	@$(PYTHON) -m pip --python $(VENV)/bin/python install $(PIP_FLAGS) --no-binary pyspark \
		--no-build-isolation --target $(SPARK_VENV) -r $<
	@$(RUN) -m sandbox.databricks.warm_up || echo "Spark will start more slowly."
	@touch $@

lock: ## Resolve the lock files anew (needs uv)
	uv pip compile pyproject.toml --all-extras $(LOCK_FLAGS) -o locks/all.lock
	uv pip compile pyproject.toml $(LOCK_FLAGS) --extra bigquery --extra databricks --extra snowflake -o locks/service.lock
	uv pip compile locks/bigquery-standin.in $(LOCK_FLAGS) -o locks/bigquery-standin.lock
	uv pip compile locks/bench-peers.in $(LOCK_FLAGS) -o locks/bench-peers.lock
	uv pip compile locks/spark-standin.in $(LOCK_FLAGS) -o locks/spark-standin.lock

LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --quiet
