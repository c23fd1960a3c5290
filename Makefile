# Each target makes the machine ready by itself; see .ci/setup for what that means.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test check bench deb gallery texts homeassistant fuzz lock clean

help: ## say what there is
	@sed -nE 's/^([a-z]+): ## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## run the whole of Stayby on this machine, until Ctrl-C
	@.ci/setup run
	@exec .venv/bin/stayby demo

test: ## run every test
	@.ci/setup test
	@exec .venv/bin/python -m pytest --numprocesses $$(nproc) --dist loadfile --no-loadscope-reorder

check: ## lint, types, architecture, service files, shell scripts
	@.ci/setup test
	@.ci/check

bench: ## measure what was promised, into build/bench.json and as a table
	@.ci/setup run
	@exec .venv/bin/python -m bench

deb: ## build the Debian packages, amd64 and arm64, into build
	@.ci/setup package
	@exec .ci/package

gallery: ## draw every screen in every language, size and theme, into build/gallery, and say what is wrong in them
	@.ci/setup test
	@exec .venv/bin/python -m tests.gallery

texts: ## bring the catalogues of the other languages up to date with the texts
	@.ci/setup test
	@exec .venv/bin/python -m kiosk.ui.catalogues

HOMEASSISTANT := build/homeassistant/bin/python
homeassistant: ## try the relay with a real Home Assistant core, installed into build (large; Python 3.13)
	@.ci/setup test
	@[[ -x $(HOMEASSISTANT) ]] || { python3.13 -m venv build/homeassistant && \
	    $(HOMEASSISTANT) -m pip install --quiet homeassistant==2025.4.4 paho-mqtt==2.1.0; }
	@exec .venv/bin/python -m pytest tests/test_relay_home_assistant.py

schema: ## write docs/schema and docs/asyncapi.yaml from the types that travel
	@.ci/setup run
	@exec .venv/bin/python -m kiosk.schema

FUZZ_S ?= 600
fuzz: ## feed both ends of the button's link mutated bytes, FUZZ_S seconds each (600)
	@.ci/setup fuzz
	@exec .ci/fuzz $(FUZZ_S)

COMPILE := .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --upgrade --python-version 3.11

lock: ## choose the exact versions and hashes of the lock files anew
	@.ci/setup test
	$(COMPILE) --extra demo --extra second-look --group dev --output-file requirements.lock pyproject.toml
	$(COMPILE) --group fuzz --output-file requirements-fuzz.lock

clean: ## remove what was built here, the Python environment included
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
