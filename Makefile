# Two commands for a newcomer: `make demo` and `make test`. Each sets up what it needs in a virtual environment here.
PYTHON ?= python3
VENV ?= .venv
DEV_VENV ?= .venv-dev
OUT ?= demo-run
WORKERS ?=
PYTEST_ARGS ?=
TORTURE_ARGS ?=
GPU_WHEELS ?= gpu-wheels
GPU_OUT ?= gpu-result
# The tests start hundreds of processes; without bytecode each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-slow test-lowest torture lock check lint types contracts format notebooks docs test-engines gpu gpu-wheels gpu-dry clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 16

demo: $(VENV)/.ready ## Transcribe the demo corpus with PocketSphinx; tables, plots and report.html in demo-run/
	$(VENV)/bin/asrfair demo --out $(OUT) $(if $(WORKERS),--workers $(WORKERS))

test: $(DEV_VENV)/.ready ## Run the tests: minutes; all that need no GPU library and no patience
	$(DEV_VENV)/bin/python -m pytest -m "not slow and not engines" -n auto --dist loadfile $(PYTEST_ARGS)

test-slow: $(DEV_VENV)/.ready ## Run the slow tests: simulations, months of nights, bundles, kills by the hundred
	$(DEV_VENV)/bin/python -m pytest -m "slow and not engines" -n auto --dist load $(PYTEST_ARGS)

torture: $(DEV_VENV)/.ready ## Kills, disk errors, power cuts, flipped bits, damaged files: minutes to hours (TORTURE_ARGS="--fuzz 10000")
	PYTHONPATH=.:benchmarks:tests $(DEV_VENV)/bin/python -m torture $(TORTURE_ARGS)

test-lowest: ## Run the tests with the lowest versions that pyproject.toml allows (requirements/lowest.txt)
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	.venv-lowest/bin/python -m pytest -m "not slow" -n auto --dist loadfile $(PYTEST_ARGS)

lock: ## Take the newest versions into requirements/ (needs uv), with hashes; review what changed
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade pyproject.toml --output-file requirements/run.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --extra dev pyproject.toml --output-file requirements/dev.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --resolution lowest-direct --extra dev pyproject.toml --output-file requirements/lowest.txt
	printf 'torch; sys_platform == "none"\ntorchaudio; sys_platform == "none"\n' > .no-torch.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --extra engines-test --constraint requirements/dev.txt --override .no-torch.txt --no-emit-package torch --no-emit-package torchaudio pyproject.toml --output-file requirements/engines.txt
	rm .no-torch.txt

test-engines: $(DEV_VENV)/.ready-engines ## Run the tests of the torch, transformers and CTranslate2 engines, and of runs on Ray, too
	$(DEV_VENV)/bin/python -m pytest -m engines $(PYTEST_ARGS)

gpu: ## On a machine with an NVIDIA GPU, torch and transformers: the device's tests and benchmarks/gpu.py, under nine minutes, no network
	$(PYTHON) scripts/gpu.py --wheels $(GPU_WHEELS) --out $(GPU_OUT)

gpu-wheels: $(DEV_VENV)/.ready ## Fetch into gpu-wheels/ what `make gpu` needs beside torch and transformers (43 MB)
	$(DEV_VENV)/bin/python scripts/gpu_wheels.py $(GPU_WHEELS)

gpu-dry: $(DEV_VENV)/.ready-engines ## The same as `make gpu` on the processor, with small shapes, in as bare an environment
	$(DEV_VENV)/bin/python scripts/gpu_bare.py scripts/gpu.py --dry --wheels $(GPU_WHEELS) --out $(GPU_OUT)

check: lint types contracts ## Lint, types, import contracts

lint: $(DEV_VENV)/.ready
	$(DEV_VENV)/bin/ruff check .
	$(DEV_VENV)/bin/ruff format --check .

types: $(DEV_VENV)/.ready
	$(DEV_VENV)/bin/mypy

contracts: $(DEV_VENV)/.ready
	$(DEV_VENV)/bin/lint-imports

format: $(DEV_VENV)/.ready ## Format and mend what ruff can mend
	$(DEV_VENV)/bin/ruff check --fix .
	$(DEV_VENV)/bin/ruff format .

notebooks: $(DEV_VENV)/.ready $(OUT)/report.html ## Execute the notebook on the demo run; its stored outputs must be what it gives
	$(DEV_VENV)/bin/python scripts/execute_notebook.py $(OUT) --check

$(OUT)/report.html:
	$(MAKE) demo

docs: $(DEV_VENV)/.ready ## Build the documentation into site/, strictly: a warning is an error
	NO_MKDOCS_2_WARNING=1 $(DEV_VENV)/bin/python -m mkdocs build --strict --quiet

clean: ## Remove the virtual environments and the demo's output
	rm -rf $(VENV) $(DEV_VENV) $(OUT) site

$(VENV)/.ready: pyproject.toml requirements/run.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "asrfair needs Python 3.11 or newer: make PYTHON=python3.12 demo")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/run.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(DEV_VENV)/.ready: pyproject.toml requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "asrfair needs Python 3.11 or newer: make PYTHON=python3.12 test")'
	$(PYTHON) -m venv $(DEV_VENV)
	$(DEV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(DEV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# Which build of torch is right (CPU, CUDA) depends on the machine, so it has no hash here; pyproject.toml bounds it.
$(DEV_VENV)/.ready-engines: $(DEV_VENV)/.ready requirements/engines.txt
	$(DEV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements/engines.txt
	$(DEV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'torch>=2.6,<2.14' 'torchaudio>=2.6'
	$(DEV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps 'pyrnnoise==0.4.5' # docs/effects.md says why
	@touch $@
