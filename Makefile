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

test: setup ## Pass the whole test suite
	@$(BIN)/python -m pytest

prove: setup ## Long proofs: 30 running nights killed, 20 faults planted; goes on where it was stopped
	@$(BIN)/python tests/chaos/prove_kills.py
	@$(BIN)/python benchmarks/planted_faults.py .prove/planted_faults

docs: setup ## Render the reference pages that are made from code and cases
	@$(BIN)/python -m rapport.validate.reference
	@cd tests && ../$(BIN)/python -m lib.door_cases
	@cd tests && ../$(BIN)/python -m spec.render
	@$(BIN)/python -m rapport.mapping.schema > docs/reference/mapping.schema.json
	@$(BIN)/python -m rapport.extracts.request > docs/reference/extract_request.schema.json
	@cd tests && ../$(BIN)/python -m lib.command_page
	@cd tests && ../$(BIN)/python -m lib.schema_page
	@cd tests && ../$(BIN)/python -m lib.settings_page

model-docs: setup ## Write dbt's own pages of the models: .model-docs/index.html (no network)
	@lint=$$(mktemp -d) && trap 'rm -rf '$$lint EXIT && \
		DBT_RAPPORT_WORK=$$lint/work.duckdb DBT_RAPPORT_CANDIDATE=$$lint/candidate.duckdb \
		DBT_RAPPORT_TMP=$$lint DBT_TARGET_PATH=$$lint/target DBT_LOG_PATH=$$lint \
		$(BIN)/dbt --quiet docs generate --static --empty-catalog \
			--project-dir dbt_project --profiles-dir dbt_project && \
		mkdir -p .model-docs && cp $$lint/target/static_index.html .model-docs/index.html && \
		echo "written: .model-docs/index.html"

check: setup ## Format, lint and type checks, SQL too
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@lint=$$(mktemp -d) && trap 'rm -rf '$$lint EXIT && \
		DBT_RAPPORT_WORK=$$lint/work.duckdb DBT_RAPPORT_CANDIDATE=$$lint/candidate.duckdb \
		DBT_RAPPORT_TMP=$$lint DBT_TARGET_PATH=$$lint/target DBT_LOG_PATH=$$lint \
		$(BIN)/sqlfluff lint --processes 1 --disable-progress-bar dbt_project/models

lock: ## Resolve requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --group dev pyproject.toml -o requirements.lock

.PHONY: help setup night test prove docs model-docs check lock
