# make demo   first answer: MobileNetV2, analysed and drawn (base install, no torch)
# make test   lint, types, and the tests of every kind (installs torch and friends: minutes and gigabytes, the first time)
# make lint   lint and types alone, as before each commit
# make slow   all tests, those that are marked slow too, with more examples of each kind: half an hour
# make docs   the documentation as a site, in site/
# make pictures   draw those of the documentation anew (minutes)
# make clean  remove what the two made, the virtual environment too
#
# Both are repeatable, and fast the second time: the stamps in .venv depend on pyproject.toml alone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
MODEL := demo/mobilenet_v2.onnx
PLOT := demo/mobilenet_v2.png

unexport PYTHONPATH PYTHONHOME
.DELETE_ON_ERROR:
.NOTPARALLEL: # two installs into one environment would race
.PHONY: help demo test lint slow docs pictures clean

help:
	@sed -n '/^# make/s/^# //p' Makefile

demo: $(MODEL)
	@$(BIN)/memprof analyze $(MODEL) -o $(PLOT)
	@echo "The plot is in $(PLOT)"

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: $(VENV)/.all
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "slow or not slow" --hypothesis-profile=thorough

docs: $(VENV)/.all
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "The site is in site/index.html"

pictures: $(MODEL) $(VENV)/.all
	@$(BIN)/memprof analyze $(MODEL) -o docs/images/mobilenet_v2.png
	@rm -rf demo/search && $(BIN)/memprof nas search --dataset digits --minutes 5 --seed 0 -o demo/search
	@$(BIN)/memprof nas report demo/search
	@cp demo/search/report/rounds.png docs/images/nas_rounds.png
	@cp demo/search/report/front.png docs/images/nas_front.png

clean:
	rm -rf site $(VENV) demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(MODEL): examples/mobilenet_v2.py $(VENV)/.base
	@$(BIN)/python examples/mobilenet_v2.py $@

$(VENV)/.base: pyproject.toml | $(VENV)/.made
	@echo "Installing memprof into $(VENV) ..."
	@$(PIP) install -e .
	@touch $@

$(VENV)/.all: pyproject.toml $(VENV)/.base
	@echo "Installing everything the tests need into $(VENV): torch alone takes gigabytes ..."
	@$(PIP) install -e '.[all,dev]'
	@touch $@

$(VENV)/.made:
	@command -v $(PYTHON) > /dev/null || { echo "error: there is no $(PYTHON); sudo apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: memprof needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "error: Python's venv is not installed; sudo apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@
