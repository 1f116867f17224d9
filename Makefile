# make demo   the main job on real images, start to end
# make test   every test
# make attack  hostile models and datasets, bad inputs, kills and full disks, and a tally of what they did
# make lint   ruff: lint and format
# make same   whether another checkout gives equal results, bit by bit (BEFORE=its folder)
# make bench  speed and memory, side by side with nnU-Net (NNUNET_PYTHON=python of an environment that has it)
#
# Everything is set up in .venv by itself; nothing outside this folder changes but missing system libraries.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# The CPU build where there is no CUDA device: the others are gigabytes larger.
TORCH := $(if $(wildcard /dev/nvidia0),torch,torch==2.13.0)
DEMO_FOLDER ?= demo
ARGS ?=

.PHONY: demo test attack lint format same bench system clean

demo: $(READY) system
	$(BIN)/python -m Testing.Demo --folder "$(DEMO_FOLDER)" $(ARGS)

test: $(READY) system
	$(BIN)/python -m pytest $(ARGS)

attack: $(READY)
	$(BIN)/python -m Testing.Attack $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

same: $(READY)
	$(BIN)/python Testing/Benchmarks/same_results.py --before "$(BEFORE)" $(ARGS)

bench: $(READY)
	$(BIN)/python -m Testing.Benchmarks.preprocessing --nnunet-python "$(NNUNET_PYTHON)" $(ARGS)

system: $(READY)
	@$(BIN)/python -m Testing.Host.system_libraries

$(READY): pyproject.toml Testing/requirements.txt
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m pip install virtualenv && $(PYTHON) -m virtualenv $(VENV); }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet -r Testing/requirements.txt
# Only the images of this package are used; what it computes with would be a large download for nothing.
	$(BIN)/python -m pip install --quiet --no-deps "nilearn==0.14.1"
	touch $(READY)

clean:
	rm -rf $(VENV) demo build dist *.egg-info
