PYTHON ?= python3
BIN := .venv/bin

# the guide film first: others follow it
FILMS := guide $(filter-out guide,$(basename $(notdir $(wildcard examples/*.toml))))

# training nano: how many processes share the work (1 where there is a GPU), and the settings of its stages
PROCESSES ?= $(shell nproc)
CONFIG ?= training/nano/nano.toml
# one thread each, so that none waits at barriers, and an allocator that does not return memory between steps
TRAINING := OMP_NUM_THREADS=1 MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000

.PHONY: setup demo examples test lint bench nano clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,plot]'
	touch $@

demo: setup
	$(BIN)/koshi render examples/demo.toml --new

# what is whole is only named, what was interrupted goes on; remove runs/NAME to have it drawn anew
examples: setup
	@for film in $(FILMS); do \
	  drawn=$$(ls runs/$$film/frames 2>/dev/null | wc -l); \
	  if [ ! -d runs/$$film ]; then $(BIN)/koshi render examples/$$film.toml; \
	  elif [ -f runs/$$film/film.mp4 ] && grep -qx "frames = $$drawn" runs/$$film/film.toml; then echo runs/$$film/film.mp4; \
	  else $(BIN)/koshi render runs/$$film --resume; \
	  fi || exit 1; \
	done

test: setup
	$(BIN)/pytest -q -n 2

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m benchmarks

nano: setup
	for process in $$(seq $(PROCESSES)); do OMP_NUM_THREADS=1 $(BIN)/python -m training.nano.dataset --config $(CONFIG) & done; wait
	$(TRAINING) $(BIN)/torchrun --nproc-per-node $(PROCESSES) -m training.nano.autoencoder --config $(CONFIG)
	$(BIN)/python -m training.nano.latents --config $(CONFIG)
	$(TRAINING) $(BIN)/torchrun --nproc-per-node $(PROCESSES) -m training.nano.polish --config $(CONFIG)
	$(TRAINING) $(BIN)/torchrun --nproc-per-node $(PROCESSES) -m training.nano.transformer --config $(CONFIG)
	$(TRAINING) $(BIN)/torchrun --nproc-per-node $(PROCESSES) -m training.nano.distil --config $(CONFIG)
	$(BIN)/python -m training.nano.export --config $(CONFIG)
	$(BIN)/python -m training.nano.depth --config $(CONFIG)
	$(BIN)/python -m training.nano.classifier --config $(CONFIG)
	$(BIN)/python -m training.nano.evaluate --config $(CONFIG)

clean:
	rm -rf .venv runs build dist
