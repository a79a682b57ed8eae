# What a person or a CI does with this checkout. Everything a target needs, it gets: Debian packages that are missing,
# and a .venv with the Python packages. Run as root: containers need it.

PYTHON := .venv/bin/python
TESTS ?= tests

.PHONY: help demo demo-down test e2e e2e-part programs programs-part lint types imports readme clean

help:
	@echo "make demo       bring up examples/stacks/quickstart and look at it"
	@echo "make demo-down  remove all that it made"
	@echo "make test       everything that CI runs: lint, types, imports, tests (TESTS=tests/stack for a part)"
	@echo "make e2e        the system's tests on Debian's kernel with cgroup v2, in a virtual machine (e2e-part: eight minutes of it)"
	@echo "make programs   PostgreSQL, Redis, nginx, Java and Node.js services from Debian's packages (programs-part: images of two, and podman and dockerd)"
	@echo "make readme     run the commands that README.md shows, and write down anew what they print"
	@echo "make clean      remove .venv and what tools left in this checkout"

demo: .make/run
	@scripts/demo up

demo-down:
	@scripts/demo down

# The tests come last, so that their summary is the last line.
test: lint types imports
	$(PYTHON) -m pytest -n auto --maxprocesses 4 $(TESTS)

e2e: .make/dev .make/vm
	$(PYTHON) -m e2e.vm

e2e-part: .make/dev .make/vm
	$(PYTHON) -m e2e.vm --part

programs: .make/dev .make/images
	$(PYTHON) -m e2e.programs.images
	$(PYTHON) -m pytest -n auto --maxprocesses 2 tests/programs

# The images whose tests `make test` then has in a minute or so.
programs-part: .make/dev .make/images
	$(PYTHON) -m e2e.programs.images redis nginx callers

lint: .make/dev
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: .make/dev
	$(PYTHON) -m mypy

imports: .make/dev
	.venv/bin/lint-imports

readme: .make/dev
	$(PYTHON) -m scripts.transcripts README.md

# What is installed, by the date of what asks for it.
.make/run .make/dev .make/vm .make/images: .make/%: pyproject.toml scripts/setup
	@scripts/setup $*
	@mkdir -p .make && touch $@

clean:
	@test ! -e .demo || { echo "the demo is still there: make demo-down first"; exit 1; }
	rm -rf .venv .make .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
