# One word for each thing a contributor does; each installs what it lacks, and stops what it started.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Python comes from this machine or from the package index, never from anywhere else.
export UV_PYTHON_DOWNLOADS := never

# Programs that start often must not compile themselves anew each time.
unexport PYTHONDONTWRITEBYTECODE

# What mypy found out outlives the checkout: a fresh clone is checked in seconds where only a few files differ.
export MYPY_CACHE_DIR := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/workspace-runtime/mypy

BIN := .venv/bin
export SUITE_SECONDS := $(CURDIR)/build/suite-seconds
export BEGAN := $(shell date +%s)
TIMED := tools/timed.sh $(SUITE_SECONDS)

# What does not wait for each other, side by side; each tells what it said when it ends.
SIDE_BY_SIDE := $(MAKE) --jobs --output-sync=target

.PHONY: help install demo demo-clean demo-kubernetes demo-kubernetes-clean images test test-long bench lint generate verify
.PHONY: timed-lint timed-workspace timed-workspace-wheel lint-style lint-types lint-workspace lint-imports

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-22s %s\n", $$1, $$2}' Makefile

install: .venv/synced ## .venv with wsr and all that is needed to work on it

demo: .venv/synced ## a version bump reaches eight running workspaces; REPORT=FILE writes JSON, KEEP=1 leaves them running
	@$(BIN)/python -m tests.demo $(if $(REPORT),--report '$(REPORT)') $(if $(filter-out 0,$(KEEP)),--keep)

demo-clean: .venv/synced ## end what `make demo KEEP=1` left running
	@$(BIN)/python -m tests.demo --clean

demo-kubernetes: .venv/synced ## the same in a Kubernetes of one real node, with kubectl and helm; REPORT=FILE and KEEP=1 as above
	@$(BIN)/python -m tests.demo.kubernetes $(if $(REPORT),--report '$(REPORT)') $(if $(filter-out 0,$(KEEP)),--keep)

demo-kubernetes-clean: .venv/synced ## end what `make demo-kubernetes KEEP=1` left running
	@$(BIN)/python -m tests.demo.kubernetes --clean

images: .venv/synced ## make the images of operator and builders and push them: TO=REGISTRY/FOLDER TAG=TAG, DEBIAN=URL for a snapshot
	@$(BIN)/python -m tools.images --to '$(TO)' --tag '$(TAG)' $(if $(DEBIAN),--debian '$(DEBIAN)')

test: .venv/synced ## lint and every suite, with the seconds of each
	@rm -f $(SUITE_SECONDS)
	@mkdir -p build && $(BIN)/python -m tests.cluster.build --helm >build/cluster.log 2>&1 & # tests of it wait for its end
	@$(SIDE_BY_SIDE) timed-lint timed-workspace timed-workspace-wheel
	@$(BIN)/pytest -n auto -m "not long" tests

timed-lint:
	@$(TIMED) lint $(MAKE) lint

timed-workspace:
	@$(TIMED) workspace $(BIN)/pytest -q -n auto workspace/tests

timed-workspace-wheel:
	@export WORKSPACE_RUNTIME_PYTHON=$$(tools/setup/installed-runtime.sh) && $(TIMED) workspace-wheel $(BIN)/pytest -q -n auto workspace/tests

test-long: .venv/synced ## what test leaves out: soaks, outages of minutes, whole matrices
	@$(BIN)/pytest -m long tests

bench: .venv/synced ## measure this machine against honest baselines; ONLY=chain, replace, gate, cascade, hook, rewrite, planner, kubernetes or fleet; BENCH=FILE writes JSON
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only '$(ONLY)') $(if $(BENCH),--report '$(BENCH)')

lint: .venv/synced ## style, types and who imports whom
	@$(SIDE_BY_SIDE) lint-style lint-types lint-workspace lint-imports

lint-style:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

lint-types:
	@$(BIN)/mypy controller builder tests tools/images

lint-workspace:
	@cd workspace && MYPY_CACHE_DIR=$(MYPY_CACHE_DIR)/workspace ../$(BIN)/mypy .

lint-imports:
	@$(BIN)/lint-imports

generate: .venv/synced ## render what is derived from the code: the document's schema and fields, the words of the status, the rules of wsr verify, the manual of wsr, schemas and tables of the charts
	@$(BIN)/python tools/generate.py

verify: .venv/synced ## check that what `make generate` renders is committed as it is
	@$(BIN)/python tools/generate.py --check

.venv/synced: pyproject.toml uv.lock
	@uv=$$(tools/setup/uv.sh) && "$$uv" sync --quiet --frozen --compile-bytecode
	@touch $@
