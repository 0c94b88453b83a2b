# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
VENV_DOCS := .venv-docs
BIN := $(CURDIR)/$(VENV)/bin
BED := $(BIN)/python tests/testbed/bed.py
PIP_OPTIONS := --quiet --quiet --disable-pip-version-check --timeout 60 --retries 10
PIP_INSTALL := $(BIN)/pip install $(PIP_OPTIONS)
# The newest Python that the pinned tools run on.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
# Many programs on a developer's machine forbid .pyc files; here each start of a tool would then cost seconds more.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(BIN):$(PATH)

.PHONY: help env env-dev programs bed demo test test-all check gates lint lint-python lint-ansible lint-docs lint-shell unit coverage sanity real \
  real-gateway real-engines load mutations test-clients compat docs docs-site docs-site-check versions build stop clean

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No usable Python: 3.11 to 3.13 with venv is needed. On Debian and Ubuntu: sudo apt-get install -y python3 python3-venv" >&2; exit 1; fi
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements.txt
	@echo "Installing Ansible into $(VENV) (a minute)"
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	@echo "Installing the tools for tests into $(VENV) (a minute)"
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

# The documentation's tools are large and few need them.
$(VENV_DOCS)/.%: requirements-%.txt requirements-docs.txt | $(VENV)/.python
	@[ -x $(VENV_DOCS)/bin/pip ] || $(VENV)/bin/python -m venv $(VENV_DOCS)
	@echo "Installing $< into $(VENV_DOCS) (a minute)"
	@$(VENV_DOCS)/bin/pip install $(PIP_OPTIONS) -r $<
	@touch $@

env: $(VENV)/.run ## A virtual environment with Ansible
env-dev: $(VENV)/.dev ## The same with the tools for tests

demo: env ## Deploy real vLLM and LiteLLM on a node in a container, and talk to them
	@$(BED) demo

check: env-dev programs ## Lint and the quick unit tests, without Docker
	@$(MAKE) --no-print-directory -j2 --output-sync=target lint-ansible unit lint-python lint-docs lint-shell

lint: lint-python lint-ansible lint-docs lint-shell ## Lint only

lint-python: env-dev
	ruff check .
	ruff format --check .
	mypy

lint-ansible: env-dev
	yamllint --strict .
	# A copy of the collection in the user's home would be asked for modules instead of this checkout.
	ANSIBLE_HOME=$(CURDIR)/.cache/ansible ansible-lint --offline
	ansible-playbook -i inventories/demo/hosts.yml site.yml playbooks/*.yml --syntax-check

lint-docs: env-dev
	antsibull-docs lint-collection-docs . --plugin-docs
	antsibull-changelog lint

lint-shell: env-dev
	git ls-files -z --cached --others --exclude-standard -- '*.sh' .ci/run | xargs -0 shellcheck

programs: env
	@$(BED) programs

unit: env-dev programs ## The quick unit tests only
	python -m pytest -m "not slow"

coverage: env-dev programs ## All unit tests; the quick ones alone have to cover plugins/, and its logic with a stricter bound
	python -m pytest -m "not slow" --cov --cov-report=term-missing:skip-covered
	coverage report --include='plugins/module_utils/*,plugins/plugin_utils/*' --fail-under=97 --format=total
	python -m pytest -m slow

sanity: env-dev ## ansible-test sanity
	tests/sanity.sh

gates: env-dev # what `make test` wants besides the scenarios
	@$(MAKE) --no-print-directory -j2 --output-sync=target real-gateway real-engines coverage sanity docs-site lint-ansible lint-python lint-docs lint-shell

# Two parts that take as long, since most of both is one process that starts.
REAL_GATEWAY := $(wildcard tests/real/test_gateway*.py tests/real/test_*rotation.py tests/real/test_handover.py tests/real/test_sticky_sessions.py)

real: real-gateway real-engines ## What is rendered, read by the real vLLM and LiteLLM of the test bed

real-gateway: bed
	python -m pytest $(REAL_GATEWAY) -m "not load"

real-engines: bed
	python -m pytest $(filter-out $(REAL_GATEWAY),$(wildcard tests/real/test_*.py)) -m "not load"

bed: env-dev programs
	$(BED) up

load: bed ## The whole load on a real gateway: large bodies, a thousand streams, slow clients
	python -m pytest tests/real/test_gateway_under_load.py -m load

build/clients/.libraries: tests/clients/requirements.txt | $(VENV)/.python
	@mkdir -p $(@D)
	$(BIN)/python -m venv $(@D)/venv
	$(@D)/venv/bin/pip install $(PIP_OPTIONS) -r tests/clients/requirements.txt
	@touch $@

build/clients/.open-webui: tests/clients/requirements-open-webui.txt | $(VENV)/.python
	@mkdir -p $(@D)
	$(BIN)/python -m venv $(@D)/open-webui
	@# Only torch is asked of PyTorch's own index, which has it without CUDA.
	$(@D)/open-webui/bin/pip install --quiet --disable-pip-version-check --no-deps --index-url https://download.pytorch.org/whl/cpu \
		$$(grep ^torch tests/clients/requirements-open-webui.txt)
	$(@D)/open-webui/bin/pip install $(PIP_OPTIONS) -r tests/clients/requirements-open-webui.txt
	@touch $@

test-clients: env-dev $(VENV_DOCS)/.docs-check build/clients/.libraries build/clients/.open-webui ## The pinned client programs from npm and PyPI, each with its file, at a scripted gateway
	$(BED) agents
	python -m pytest tests/clients

mutations: env-dev ## Take one feature after the other out, and see its test fail (docs/proven.md)
	$(BED) up
	python -m pytest tests/mutations

test: gates ## Lint, all unit tests and the scenarios on real nodes that a build server runs today (tests/scenarios.yml)
	python tests/scenarios.py --ci

test-all: export GATEWAY_MUTATIONS := 10000
test-all: export LLMOPS_ALL_CHANGES := 1
test-all: export LLMOPS_ALL_FAULTS := 1
test-all: gates load mutations compat docs-site-check ## The same with every scenario, and with other versions of ansible-core
	python tests/scenarios.py

compat: env-dev programs ## Syntax, unit tests and an offline plan with other versions of ansible-core
	tests/compat.sh

docs: env-dev ## The tables of variables on the roles' pages, from their argument specs, those of docs/proven.md, support.md and advisories.md, and schemas/
	python tests/support/role_pages.py
	python tests/support/scenario_list.py
	PYTHONPATH=collections:tests python tests/support/inventory_schema.py
	PYTHONPATH=collections python tests/support/versions.py --page
	python tests/mutations/features.py

docs-site: $(VENV_DOCS)/.docs ## The documentation as a site in build/docs-site, every link and anchor checked
	# Not with --quiet: MkDocs then counts no warning, and "strict" means nothing.
	@NO_MKDOCS_2_WARNING=1 $(VENV_DOCS)/bin/mkdocs build --strict --config-file website/mkdocs.yml
	@echo "To read it: python3 -m http.server --bind 127.0.0.1 --directory build/docs-site"

docs-site-check: docs-site env-dev $(VENV_DOCS)/.docs-check ## The site in Chromium: width, contrast and axe-core, on a telephone and a desk, light and dark
	$(VENV_DOCS)/bin/python website/check.py build/docs-site
	PYTHONPATH=collections:tests python tests/support/report_pages.py build/pages
	$(VENV_DOCS)/bin/python website/check.py --alone build/pages

versions: env-dev ## The pinned versions beside the newest that can be had, and the known advisories of both
	@PYTHONPATH=collections python tests/support/versions.py

build: env ## The collection's archive in dist/
	ansible-galaxy collection build --force --output-path dist

stop: ## Remove nodes, networks and processes of the test bed; keep what was built
	@$(if $(wildcard $(VENV)/.python),$(BED),python3 tests/testbed/bed.py) clean

clean: ## Remove every trace of demo and tests: containers, volumes, networks, images, processes, keys of the demo
	@$(if $(wildcard $(VENV)/.python),$(BED),python3 tests/testbed/bed.py) clean --images
	@rm -rf build dist .ansible .mypy_cache .pytest_cache .ruff_cache inventories/demo/.secrets
