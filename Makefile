# Remora's commands; `make` alone lists them.
#   make run ARGS="--exit --until 2013-04-01"     options of `remora demo`
#   make test PYTEST="-k proxy"                   options of pytest
# Needs Python 3.11 or newer and make. Everything goes into .venv; nothing else of your machine is touched, except that
# `make test` installs the Debian packages named below where it may (as root).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test lint model clean python debian

ARGS ?=
PYTEST ?=
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

# -qq leaves pip's errors and hides its warnings: about roots, mirrors and newer versions of itself.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --constraint constraints.txt
NEEDED_BY_TESTS := chromium haproxy nginx prometheus prometheus-alertmanager

help:
	@echo "make run    install into .venv and ride along on real flights (ARGS=\"--exit --until 2013-04-01\")"
	@echo "make test   install what the tests need and run every check (PYTEST=\"-k proxy\" for a few)"
	@echo "make lint   ruff, mypy and the import rules alone"
	@echo "make model  train the example's model into examples/flights/model, for docker compose"
	@echo "make clean  remove .venv, caches and what a voyage left behind"

run: $(VENV)/.remora-demo
	@$(BIN)/remora demo $(ARGS)

test: debian lint $(VENV)/.remora-spark
	@$(BIN)/pytest --numprocesses=2 --dist=loadfile $(PYTEST)

lint: $(VENV)/.remora-test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

model: $(VENV)/.remora-demo
	@cd examples/flights && $(CURDIR)/$(BIN)/python train.py --from 2013-01-01 --to 2013-02-28 --out model --version 2013-01-01..02-28

# What is installed is remembered by an empty file, older than pyproject.toml or constraints.txt once they change.
$(VENV)/.remora-demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Remora into $(VENV), a minute or two ..."
	@$(PIP) --editable '.[server,demo]'
	@touch $@

$(VENV)/.remora-test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Remora and what its tests need into $(VENV), a minute or two ..."
	@$(PIP) --editable '.[server,demo,test]'
	@touch $@ $(VENV)/.remora-demo

# 430 MB, for the tests of one engine: apart, so that `make lint` does not wait for it.
$(VENV)/.remora-spark: pyproject.toml constraints.txt $(VENV)/.remora-test
	@echo "Installing Spark into $(VENV), another minute ..."
	@$(PIP) --editable '.[server,demo,test,spark]'
	@touch $@ $(VENV)/.remora-test $(VENV)/.remora-demo

$(BIN)/python: | python
	@$(PYTHON) -m venv $(VENV)

python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Remora needs Python 3.11 or newer: install it, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@if [ ! -x $(BIN)/python ] && ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; \
		else echo "$(PYTHON) has no venv module: apt install python3-venv" >&2; exit 1; fi; fi

# Chromium opens the pages; Prometheus and Alertmanager are asked whether they understand what Remora says; nginx and
# haproxy stand beside the proxy in its benchmark; Spark runs on Java 17 or newer.
debian:
	@missing=(); \
	for package in $(NEEDED_BY_TESTS); do command -v $$package >/dev/null || missing+=("$$package"); done; \
	command -v java >/dev/null || missing+=(default-jre-headless); \
	if [ $${#missing[@]} -eq 0 ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing $${missing[*]} ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null; \
	else \
		echo "Missing: $${missing[*]}. As root: apt install $${missing[*]}. Without them, tests that need them cannot pass." >&2; \
		[ -z "$${CI:-}" ]; \
	fi

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist voyage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
