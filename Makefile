# fleetpose: the commands a person needs. Plain `make` explains them.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready

IMAGE ?=
WEIGHTS ?= models/trained/resnet50_3.safetensors
MODEL ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench figures clean FORCE

help: ## explain the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## virtual environment, pinned dependencies, the C++ OpenCL backend; missing system packages by apt or pip

# The script itself decides in a moment whether there is anything to do.
$(READY): FORCE
	@tools/setup.sh $(VENV)
FORCE:

demo: $(READY) ## the main job on this machine, small: measured, decided, pruned, built, compared (IMAGE=, WEIGHTS=, MODEL=)
	@tools/demo.sh $(PYTHON) "$(IMAGE)" "$(WEIGHTS)" "$(MODEL)"

test: lint ## everything CI checks: lint, then all tests
	@$(PYTHON) -m pytest -q -n auto --dist loadfile --no-loadscope-reorder

lint: $(READY) ## ruff (lint and format) and mypy
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

bench: $(READY) ## whole networks against ONNX Runtime, ncnn, OpenVINO, PyTorch and stock TVM, interleaved
	@$(PYTHON) -m pip install -q -c constraints.txt -e '.[bench]' --no-build-isolation
	@$(PYTHON) -m benchmarks.networks

figures: $(READY) ## the README's pictures, its clip and its table of engines
	@$(PYTHON) tools/figures.py

clean: ## remove what was built; `rm -r $(VENV)` removes the environment too
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
