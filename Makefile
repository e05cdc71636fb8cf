# make compare  how far "snow leopard" is from "bengal tiger", and the figure that shows why
# make test     everything that must hold: style, types, tests, doctests, docs
#
# The first run sets up .venv from the lock; later runs start at once.
#
# On Linux, PyPI's torch brings several gigabytes of CUDA libraries. For the CPU build, name the
# index that pytorch.org lists for it ("Start locally", compute platform CPU):
#     make compare TORCH_INDEX=<that address>

PYTHON ?= python3
TORCH_INDEX ?=
A ?= snow leopard
B ?= bengal tiger
FIGURE ?= comparison.png
DEVICE ?= cpu
DATA ?=
MINILM ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help compare test lint format docs lists numbers bench trials pictures emoji recipe-check dist lock clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv/.runtime: requirements.lock pyproject.toml
	@echo "Setting up .venv, once: PyTorch, diffusers and what they need, as requirements.lock has them. This takes minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(if $(TORCH_INDEX),$(PIP) "$$(grep '^torch==' requirements.lock | cut -d' ' -f1)" --index-url $(TORCH_INDEX))
	@$(PIP) -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.development: requirements-dev.lock .venv/.runtime
	@echo "Installing what tests, docs and style checks need, as requirements-dev.lock has it."
	@$(PIP) -r requirements-dev.lock
	@touch $@

compare: .venv/.runtime  ## compare two prompts: make compare A="a cat" B="a dog" FIGURE=cat-dog.pdf
	@$(BIN)/conjure compare "$(A)" "$(B)" --figure "$(FIGURE)"

test: .venv/.development lint  ## style, types, tests, doctests, docs
	$(BIN)/python -m pytest -n auto --dist worksteal
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir .venv/site

lint: .venv/.development  ## style, the plan of the house, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/pyright

format: .venv/.development  ## put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.development  ## the documentation, served on loopback
	$(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:8000

lists: .venv/.development  ## what the docs list (samplers, models, options), written anew
	PYTHONPATH=. $(BIN)/python tests/test_docs.py

bench: .venv/.development  ## speed and memory, against the bare network calls and the naive loop
	$(BIN)/python -m benchmarks.compare
	$(BIN)/python -m benchmarks.many

trials: .venv/.development  ## command lines, damaged files, hostile models and kills, by the thousand
	$(BIN)/python -m benchmarks.trials

# DATA=, a folder of similarity tasks, and MINILM=, one with all-MiniLM-L6-v2, for the evaluation's.
numbers: .venv/.development  ## what commands print, put into the docs anew (an hour and more)
	DATA="$(DATA)" MINILM="$(MINILM)" $(BIN)/python -m benchmarks.printed

ANIMALS := docs/examples/animals.csv

pictures: .venv/.runtime  ## the pictures of the README and the docs, drawn anew
	$(BIN)/conjure scale --to src/conjure/models/emoji/scale.json
	$(BIN)/conjure compare "a red car" "a blue car" --figure docs/images/cars.png
	$(BIN)/conjure compare "a red car" "a blue car" --figure docs/images/cars-phone.png --states 4
	$(BIN)/conjure compare "snow leopard" "bengal tiger" --figure docs/images/comparison.png
	$(BIN)/conjure matrix $(ANIMALS) -T 10 -k 2 --figure docs/images/animals.png
	$(BIN)/conjure processes $(ANIMALS) --vary guidance=1,3 --vary prompt=read,ignored \
		-T 10 -k 2 --figure docs/images/processes.png
	$(BIN)/conjure drift $(ANIMALS) --change guidance=3 -T 10 -k 4 --figure docs/images/drift.png

# With DEVICE=cuda on a GPU; with DATA=, a folder of the similarity tasks, the model card is made too.
emoji: .venv/.development  ## make the embedded model again, from data to model card (hours on a CPU)
	$(PIP) -r recipes/emoji/requirements.txt
	$(BIN)/python -m recipes.emoji all --device $(DEVICE) $(if $(DATA),--data "$(DATA)")

recipe-check: .venv/.development  ## the recipe of the embedded model from end to end, at a fiftieth of its length
	$(PIP) -r recipes/emoji/requirements.txt
	$(BIN)/python -m recipes.emoji all --share 0.02 --work .emoji-work/check --folder .emoji-work/check/model

dist: .venv/.development  ## sdist and wheel: built, checked, and tried in an empty environment
	rm -rf dist .venv/dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv .venv/dist
	.venv/dist/bin/python -m pip install --quiet --constraint requirements.lock dist/*.whl
	cd .venv/dist && bin/conjure --version && bin/conjure compare "$(A)" "$(B)" -T 4 -k 2 --figure trial.png

COMPILE := pip-compile --quiet --strip-extras --no-header --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host --annotation-style=line

lock:  ## resolve the locks again (needs pip-tools)
	$(COMPILE) --all-build-deps --output-file requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --extra dev --extra docs \
		--output-file requirements-dev.lock pyproject.toml
	# The version alone: which build of torch is the installer's choice.
	sed -i.bak -E 's/^(torch==[0-9.]+)\+[a-z0-9]+/\1/; /^ *#/d; /^$$/d; /^conjure @/d' requirements*.lock
	rm requirements*.lock.bak

clean:  ## remove what was built
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis site dist
