# rapport: `make night` runs the sample clinic's night, `make test` the whole suite.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONUTF8 := 1

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/rapport: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "rapport needs Python 3.11; $$($(PYTHON) --version) is $(PYTHON). Try: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo "setting up $(VENV) from requirements.lock"
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $(BIN)/rapport

setup: $(BIN)/rapport ## Set the machine up: .venv from the lock file

night: setup ## Run the nightly DAGs over the inbox (a sample clinic on a fresh checkout)
	@$(BIN)/python -m rapport.airflow_night

up: setup ## Start the live system: dropping an export starts the work by itself
	@$(BIN)/rapport up

down: setup ## Stop the live system
	@$(BIN)/rapport down

test: setup ## Pass the whole test suite, a file to each of two processes
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

prove: setup ## The long proofs, and their figures; each goes on where it was stopped (hours)
	@for what in kills vault_kills bursts readers two_at_once full_disk damage clocks \
			thirty_nights restore postgres fuzz increments oracle; do \
		$(BIN)/python tests/chaos/prove_$$what.py || failed="$$failed $$what"; done; \
		cd tests && ../$(BIN)/python -m lib.figures; \
		test -z "$$failed" || { echo "did not hold:$$failed"; exit 1; }
	@$(BIN)/python benchmarks/planted_faults.py .prove/planted_faults
	@$(BIN)/python tests/chaos/prove_approval.py

.venv-spark/bin/dbt: pyproject.toml requirements-spark.lock | setup
	@java -version 2>/dev/null || { echo "Spark needs Java 17: apt-get install openjdk-17-jre-headless"; exit 1; }
	@test -x .venv-spark/bin/python || $(PYTHON) -m venv .venv-spark
	@echo "setting up .venv-spark from requirements-spark.lock"
	@$(BIN)/uv pip sync --quiet --python .venv-spark/bin/python --require-hashes requirements-spark.lock
	@touch .venv-spark/bin/dbt

check-spark: .venv-spark/bin/dbt ## Let a real Spark analyse every model and its contract (no data; needs Java 17)
	@SPARK_TESTS=required $(BIN)/python -m pytest tests/spec/test_spark_session.py

SPARK_CLIENTS ?= 6200
prove-spark: .venv-spark/bin/dbt ## Prove that Spark builds the marts that DuckDB builds: a generated clinic of 100,000 sessions (SPARK_CLIENTS=6200) on both, a small one on a cluster of two workers
	@$(BIN)/python benchmarks/prove_spark.py --clients $(SPARK_CLIENTS)
	@$(BIN)/python benchmarks/prove_spark.py --workers 2 --work .prove/spark_cluster

docs: setup ## Render the reference pages that are made from code and cases
	@$(BIN)/python -m rapport.validate.reference
	@cd tests && ../$(BIN)/python -m lib.door_cases
	@cd tests && ../$(BIN)/python -m spec.render
	@$(BIN)/python -m rapport.mapping.schema > docs/reference/mapping.schema.json
	@$(BIN)/python -m rapport.extracts.request > docs/reference/extract_request.schema.json
	@cd tests && ../$(BIN)/python -m lib.command_page
	@cd tests && ../$(BIN)/python -m lib.schema_page
	@cd tests && ../$(BIN)/python -m lib.settings_page
	@cd tests && ../$(BIN)/python -m lib.extract_attacks

model-docs: setup ## Write dbt's own pages of the models: .model-docs/index.html (no network)
	@lint=$$(mktemp -d) && trap 'rm -rf '$$lint EXIT && \
		DBT_RAPPORT_WORK=$$lint/work.duckdb DBT_RAPPORT_CANDIDATE=$$lint/candidate.duckdb \
		DBT_RAPPORT_TMP=$$lint DBT_TARGET_PATH=$$lint/target DBT_LOG_PATH=$$lint \
		$(BIN)/dbt --quiet docs generate --static --empty-catalog \
			--project-dir dbt_project --profiles-dir dbt_project && \
		mkdir -p .model-docs && cp $$lint/target/static_index.html .model-docs/index.html && \
		echo "written: .model-docs/index.html"

sbom: setup ## Write the locked dependencies as CycloneDX: .sbom/rapport.cdx.json (no network)
	@mkdir -p .sbom
	@$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --output-file .sbom/rapport.cdx.json
	@echo "written: .sbom/rapport.cdx.json"

audit: setup ## Hold the locked dependencies against PyPI's advisories (needs the internet)
	@$(BIN)/uv tool run --quiet --python $(BIN)/python pip-audit@2.10.1 --strict --require-hashes \
		--disable-pip --progress-spinner off -r requirements.lock

check: setup ## Format, lint and type checks, SQL too
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@lint=$$(mktemp -d) && trap 'rm -rf '$$lint EXIT && \
		DBT_RAPPORT_WORK=$$lint/work.duckdb DBT_RAPPORT_CANDIDATE=$$lint/candidate.duckdb \
		DBT_RAPPORT_TMP=$$lint DBT_TARGET_PATH=$$lint/target DBT_LOG_PATH=$$lint \
		$(BIN)/sqlfluff lint --processes 1 --disable-progress-bar dbt_project/models

lock: ## Resolve requirements.lock and requirements-spark.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --group dev pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --group pyproject.toml:spark -o requirements-spark.lock

.PHONY: help setup night up down test prove check-spark prove-spark docs model-docs sbom audit check lock
