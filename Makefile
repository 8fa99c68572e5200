# make run          install the device package into .venv and run the daemon on config.yaml until Ctrl-C
# make run FOR=20   the same, for 20 s of serving
# make test-device  install what the tests of edge/ need (no torch; mosquitto through apt where missing), run them
# make test         install what all tests need (torch) and run them
# make help         everything else

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STEP := .ci/step
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-input
FOR ?=
FAULTS ?= short
VENV_ARGS ?=
PYTEST_ARGS ?=
DEMO := build/train-demo
# The tests that need nothing of the training stack; a test of the repository holds this list to it.
DEVICE_TESTS := tests/edge tests/integration tests/documentation tests/test_repository.py tests/test_systemd.py \
  tests/test_broker_rules.py tests/test_containers.py \
  --ignore=tests/integration/test_joint.py --ignore=tests/integration/test_precisions.py \
  --ignore=tests/integration/test_review_loop.py

.DEFAULT_GOAL := help
.PHONY: help run test test-device test-slow test-gpu test-faults coverage check wheels format page schema train-demo clean system

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
	@echo
	@echo 'Variables: FOR=seconds (run), PYTEST_ARGS="-k layout" (test), PYTHON=python3.12 and VENV_ARGS=--system-site-packages (first use)'

run: $(VENV)/.device ## run the daemon on config.yaml; FOR=20 stops it after 20 s
	@$(BIN)/edge run --config config.yaml $(if $(FOR),--for $(FOR))

test: $(VENV)/.dev system ## run the tests, but for long ones; PYTEST_ARGS for pytest's own arguments
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not gpu and not faults" $(PYTEST_ARGS)

test-device: $(VENV)/.test system ## the tests of the device package alone, without torch
	$(BIN)/python -m pytest -m "not slow and not gpu and not faults" $(DEVICE_TESTS) $(PYTEST_ARGS)

test-slow: $(VENV)/.dev system ## run the tests that take more than ten seconds each
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "slow and not faults" $(PYTEST_ARGS)

test-faults: $(VENV)/.test system ## break what can break, and count what is lost; FAULTS=long for outages as in docs/reliability.md
	@mkdir -p build/faults && rm -f build/faults/figures.jsonl
	FAULTS=$(FAULTS) $(BIN)/python -m pytest -m faults -n 4 -o timeout_method=signal tests/faults $(PYTEST_ARGS)

test-gpu: $(VENV)/.device ## the tests that need an NVIDIA GPU (docs/gpu.md says what to install for it)
	@$(BIN)/python -c 'import sys, edge.inference.trt.gpu as g; g.has_nvidia_gpu() or sys.exit("no NVIDIA GPU here (no /dev/nvidia* or /dev/nvhost*): nothing to test")'
	@$(STEP) "installing pytest" $(PIP) 'pytest>=8.2' 'pytest-timeout>=2.3'
	$(BIN)/python -m pytest -m gpu tests/gpu $(PYTEST_ARGS)

coverage: $(VENV)/.dev system ## which lines no test runs: a figure, and pages in build/coverage/html
	rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/coverage run -m pytest -m "not slow and not gpu and not faults" $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report

check: $(VENV)/.dev ## format, lint, types, import rules, repository rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_repository.py

wheels: $(VENV)/.dev ## does the device package install on JetPack 6 and 7 from wheels alone? asks the registry
	@.ci/aarch64 $(BIN)/python

page: ## build the live page's bundle anew, after a change in edge/viewer/page; needs npm
	cd edge/viewer/page && npm ci --ignore-scripts --no-audit --no-fund && npm run build

format: $(VENV)/.dev ## put the code into the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(VENV)/.dev ## write edge/config/config.schema.json anew, after a change of edge/config/sections.py
	$(BIN)/python -c 'import json, edge.config.sections as c; print(json.dumps(c.config_schema(), indent=2))' > edge/config/config.schema.json

.PHONY: fuzz soak
INPUTS ?= 1000000
MINUTES ?= 30
fuzz: $(VENV)/.test ## feed all that reads what others wrote with nonsense; INPUTS=1000000 in all, half an hour
	$(BIN)/python -m tests.fuzz --inputs $(INPUTS)

soak: $(VENV)/.test system ## serve for MINUTES=30 through small faults; how memory, descriptors and threads grow
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES)

.PHONY: mutate
mutate: $(VENV)/.dev ## change the code and see whether tests notice; MODULES=edge/geometry SAMPLE=20 for less (docs/mutation.md)
	@$(STEP) "installing cosmic-ray" $(PIP) --editable '.[mutate]'
	$(BIN)/python .ci/mutate.py $(MODULES) $(if $(SAMPLE),--sample $(SAMPLE))

train-demo: $(VENV)/.dev ## every stage of training on a tiny scale, into build/train-demo (minutes)
	$(BIN)/python -m training synthesize --out $(DEMO)/rooms --rooms 30 --size 256x128 --samples 4 --views 0
	$(BIN)/python -m training fit training/recipes/demo.yaml --out $(DEMO)/run --rooms $(DEMO)/rooms --threads 1
	$(BIN)/python -m training evaluate $(DEMO)/run/final.ckpt --rooms $(DEMO)/rooms --json $(DEMO)/metrics.json
	$(BIN)/python -m training export $(DEMO)/run/final.ckpt --out $(DEMO)/engines/layout --rooms $(DEMO)/rooms \
	  --metrics $(DEMO)/metrics.json \
	  --notes "A demonstration of the tools, trained for a minute on a few small pictures. It is no model to use."
	@echo
	@echo '$(DEMO)/engines/layout holds a demonstration, not a model: it was trained for a minute on a few small'
	@echo 'pictures. The shipped models are made by the commands at the top of training/recipes/*_edge.yaml.'

clean: ## remove the virtual environment, caches and build output
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

system:
	@.ci/system

$(VENV)/.python:
	@$(PYTHON) .ci/python_is_fit.py
	@$(STEP) "making a virtual environment ($(VENV))" $(PYTHON) -m venv --clear $(VENV_ARGS) $(VENV)
	@touch $@

$(VENV)/.device: $(VENV)/.python pyproject.toml
	@$(STEP) "installing the device package (no torch; about a minute)" $(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.device
	@$(STEP) "installing test packages (no torch; about a minute)" $(PIP) --editable '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.device
	@$(STEP) "installing training and test packages (torch; several minutes)" $(PIP) --editable '.[train,ray,dev]'
	@touch $(VENV)/.test $@

.PHONY: deb deb-test container-test
deb: ## make a Debian package for this system and processor, in build/deb
	@.ci/deb

container-test: ## build the x86 image, run it, and see that it serves and stops; Docker, or Podman as root (minutes)
	@.ci/container-test

deb-test: ## as root: install it in a bare Debian with its own systemd, update, break, remove it (minutes)
	@.ci/deb-test
