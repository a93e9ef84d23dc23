# fleetpose: the commands a person needs. Plain `make` explains them.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready

# Each command is a process that imports torch and TVM: 6 s of CPU, or 13 s where Python may not keep what it compiles,
# as images for containers often have it; pip leaves the compiling to the first import (tools/setup.sh).
unexport PYTHONDONTWRITEBYTECODE

IMAGE ?=
WEIGHTS ?= models/trained/resnet50_3.safetensors
MODEL ?=

# one process more than there are cores: some tests wait for servers, clocks and other processes
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
LINT := $(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy
# what it says while tests run; shown at once where it finds a fault
LINTED := $(VENV)/lint.txt
PYTEST := $(PYTHON) -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup dev demo test-quick test test-all test-arm64 lint fuzz audit bench figures clean FORCE

help: ## explain the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## virtual environment, pinned dependencies, the C++ OpenCL backend; missing system packages by apt or pip

# The script itself decides in a moment whether there is anything to do.
$(READY): FORCE
	@tools/setup.sh $(VENV)
# What tests and checks need besides; not installed for a demo.
dev: FORCE
	@tools/setup.sh $(VENV) dev
FORCE:

demo: $(READY) ## the main job on this machine, small: measured, decided, pruned, built, compared (IMAGE=, WEIGHTS=, MODEL=)
	@tools/demo.sh $(PYTHON) "$(IMAGE)" "$(WEIGHTS)" "$(MODEL)"

test-quick: dev ## tests that need no device, four cases of each, the slow ones left out; no lint: three minutes on two cores
	@FLEETPOSE_SWEEP=quick $(PYTEST) tests/pure tests/torch -m "not slow and not long"

test: dev ## what CI checks: lint and all tests side by side, of sweeps and soaks a part: 12 to 18 minutes on two cores
	@{ $(LINT); } >$(LINTED) 2>&1 || { cat $(LINTED); exit 1; } & lint=$$!; \
	$(PYTEST); tested=$$?; wait $$lint && tail -n 1 $(LINTED) && exit $$tested

test-all: lint ## everything: whole sweeps, photographs, Oclgrind, kills and resumes: over an hour
	@FLEETPOSE_SWEEP=all $(PYTEST)
	@FLEETPOSE_LIBOPENCL= $(PYTEST) tests/host

test-arm64: dev ## what Android gets, on an emulated arm64 with PoCL, of Debian's packages: a quarter of an hour (part of test-all)
	@FLEETPOSE_SWEEP=all $(PYTHON) -m pytest -q -rs tests/arm64

lint: dev ## ruff (lint and format) and mypy
	@$(LINT)

fuzz: dev ## 10,000 damaged files for every reader, counted: about an hour and a half on two cores
	@$(PYTHON) -m tests.fuzz

# --no-deps: the constraints are the whole list; pip-audit itself is no part of it
audit: $(READY) ## known vulnerabilities of the locked versions, by pip-audit, which is installed for it
	@$(PYTHON) -m pip install -q pip-audit
	@$(PYTHON) -m pip_audit --requirement constraints.txt --no-deps --disable-pip

bench: $(READY) ## whole networks against ONNX Runtime, ncnn, OpenVINO, PyTorch and stock TVM, interleaved
	@$(PYTHON) -m pip install -q -c constraints.txt -e '.[bench]' --no-build-isolation
	@$(PYTHON) -m benchmarks.networks

figures: $(READY) ## the README's pictures, its clip and its table of engines
	@$(PYTHON) tools/figures.py

clean: ## remove what was built; `rm -r $(VENV)` removes the environment too
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
