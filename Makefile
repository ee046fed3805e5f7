# SPDX-License-Identifier: Apache-2.0
# Every target makes .venv by itself, and installs only what it needs. A second call is instant.
#
#   make demo        name sounds, enrol a few, train a detector in a minute, and show what each finds
#   make test        the tests that need no GPU, cluster or browser
#   make test-all    those too, where the machine can
#   make lint        ruff and mypy
#   make wheel       build sdist and wheel into dist/ and look into them
#   make bench       measure speed; writes JSON
#   make docs        write the generated pages of docs/
#   make site        build the documentation site into build/site
#
#   TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu make demo     takes the small CPU build of torch
#   PYTHON=/path/to/python3.12 make test                               takes another Python (3.11 or newer)
#   AURICLE_SHARED=/path/to/data make test                             also runs the tests on real recordings

PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(if $(shell $(p) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(p))))
TORCH_INDEX_URL ?=
VENV := .venv
# The tests start many processes: without compiled modules each would compile the sources again.
export PYTHONDONTWRITEBYTECODE :=
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check --no-input -c constraints.txt $(if $(TORCH_INDEX_URL),--extra-index-url $(TORCH_INDEX_URL))
# Wind over a field (Muges/ambientsounds, CC0), which the built-in model was not made of.
BEHIND := audio/q00043.opus
PINS := pyproject.toml constraints.txt
# Files of tests side by side: tests of one file share what they have built. One process more than cores, since many
# tests wait for a process or a time limit.
PYTEST = $(RUN) -m pytest -n $(shell $(RUN) -c "import os; print(min(4, (os.cpu_count() or 1) + 1))") --dist loadfile

.PHONY: demo test test-all lint wheel bench docs site clean
.DEFAULT_GOAL := test

demo: $(VENV)/.installed-demo
	@data="$${AURICLE_SHARED:-../shared}/data"; if [ -d "$$data/esc10" ]; then set -- --data "$$data/esc10"; fi; \
	if [ -f "$$data/pool2/$(BEHIND)" ]; then set -- "$$@" --background "$$data/pool2/$(BEHIND)"; fi; \
	$(VENV)/bin/auricle demo "$$@"

test: $(VENV)/.installed-dev
	$(PYTEST) < /dev/null

test-all: $(VENV)/.installed-dev
	$(PYTEST) -m "" < /dev/null

lint: $(VENV)/.installed-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

wheel: $(VENV)/.made
	rm -rf dist
	$(PIP) build
	$(RUN) -m build --outdir dist
	$(RUN) scripts/check_wheel.py dist/*.whl dist/*.tar.gz

bench: $(VENV)/.installed-dev
	$(RUN) -m benchmarks

docs: $(VENV)/.installed-dev
	$(RUN) scripts/make_docs.py

site: $(VENV)/.installed-docs
	$(RUN) scripts/make_site.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-out

# A half-made environment has no stamp, so that an interrupted install is taken up again by the next call.
$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "auricle needs Python 3.11 or newer; none found. Install it, or name it: PYTHON=/path/to/python3 make ..." >&2; exit 2; }
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { echo "python -m venv failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	@touch $@

$(VENV)/.installed-demo: $(PINS) | $(VENV)/.made
	@echo "installing auricle with what the demo needs (torch is the large part; the first time takes minutes)"
	$(PIP) -e ".[train,reports]"
	@touch $@

# Dependency groups need pip 25.1; the venv of an older Python brings an older one.
$(VENV)/.installed-dev: $(PINS) | $(VENV)/.made
	@echo "installing auricle with the tools for tests (torch is the large part; the first time takes minutes)"
	$(PIP) --upgrade pip
	$(PIP) -e ".[train,reports,serve,teachers]" --group dev
	@touch $@ $(VENV)/.installed-demo

# Sphinx imports auricle for the reference; examples of it are run by the tests.
$(VENV)/.installed-docs: $(VENV)/.installed-dev
	$(PIP) --group docs
	@touch $@
