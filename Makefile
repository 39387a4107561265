# `make demo` and `make test` are all a newcomer needs. On a machine with Python 3.11+ (with pip) and make,
# every target installs what it uses into .tools and .venv (uv keeps its cache of downloads where caches live).
# It needs no root, no compiler and no other package of the system.

PY  ?= python3
UV  := .tools/bin/uv
BIN := .venv/bin
MEMBERS   := -e ./dispatch_core -e ./dispatch_http -e ./dispatch_cli
MANIFESTS := $(wildcard dispatch_*/pyproject.toml)
# What Dispatch is measured against; each has an environment of its own.
PEERS := huey pgqueuer procrastinate
# TESTS="tests/core -k lease" narrows a run; JOBS is pytest's number of processes, 0 for none but its own: four keep
# two processors busy, because many tests wait for other processes.
TESTS ?=
JOBS  ?= 4

# uv does not look at the system's certificates by itself; importing without byte code triples start-up times;
# an environment that is active in the shell is none of our business.
export UV_SYSTEM_CERTS ?= 1
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV
WITH_BIN := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: help demo test soak mutants bench bench-scheduling lint format docs reference deb coverage lock matrix clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:  ## show the commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: .venv/.run  ## a server, three engines and a few real transcodes, in half a minute
	@$(WITH_BIN) dispatch demo

test: .venv/.test  ## the tests
	@$(WITH_BIN) python -m pytest -n $(JOBS) --dist worksteal $(TESTS)

soak: .venv/.test  ## the long tests
	@$(WITH_BIN) DISPATCH_TEST_PROFILE=soak python -m pytest -m soak --timeout 3600 $(TESTS)

bench: .venv/.test $(PEERS:%=.tools/peers/%/.done)  ## how fast it is, beside its peers and the limits: half an hour (FLAGS=--quick: three minutes)
	@$(WITH_BIN) python -m benchmarks $(FLAGS)

bench-scheduling: .venv/.test  ## how good the schedules are, beside a lower bound: half an hour (FLAGS=--quick: two minutes)
	@$(WITH_BIN) python -m benchmarks scheduling $(FLAGS)

mutants: .venv/.test  ## seeded mistakes that the tests must notice: a few minutes
	@$(WITH_BIN) JOBS=$(JOBS) python tests/mutants/run.py $(NAMES)

lint: .venv/.test  ## style, types and architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(WITH_BIN) lint-imports --no-cache

format: .venv/.test  ## let the formatter and the safe fixes rewrite the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/.test  ## run every example in the documentation
	@$(WITH_BIN) python -m pytest tests/docs/test_pages.py

reference: .venv/.test  ## write docs/reference anew from the code
	@$(BIN)/python docs/generate.py

deb: | $(UV)  ## a Debian package with a systemd unit, in dist (needs dpkg-deb)
	@packaging/deb/build.sh $(UV) $(PY)

coverage: .venv/.test  ## the tests with branch coverage
	@$(BIN)/coverage erase
	@$(WITH_BIN) coverage run -m pytest $(TESTS)
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report

lock: | $(UV)  ## refresh requirements/*.lock (UPGRADE=1 takes the newest versions)
	$(COMPILE) --group bootstrap -o requirements/bootstrap.lock
	$(COMPILE) --group run -o requirements/run.lock
	$(COMPILE) --group run --group test --group bench --group lint -c requirements/run.lock -o requirements/test.lock
	for peer in $(PEERS); do $(COMPILE) --group peer-$$peer -o requirements/peer-$$peer.lock || exit 1; done

matrix: .venv/.test  ## the tests on every Python found among 3.11 to 3.14
	@for v in 3.11 3.12 3.13 3.14; do \
	  p=$$($(UV) python find --no-python-downloads $$v 2>/dev/null || ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$v*/bin/python 2>/dev/null | head -1); \
	  if [ -z "$$p" ]; then echo "python $$v: not found, not run"; continue; fi; \
	  echo "python $$v:"; \
	  $(UV) venv -q --clear --no-python-downloads --python $$p .tools/matrix/$$v && \
	  $(UV) pip sync -q --python .tools/matrix/$$v --require-hashes requirements/test.lock && \
	  $(UV) pip install -q --python .tools/matrix/$$v --no-deps $(MEMBERS) && \
	  PATH="$(CURDIR)/.tools/matrix/$$v/bin:$$PATH" python -m pytest -n $(JOBS) -p no:cacheprovider $(TESTS) || exit 1; \
	done

.tools/peers/%/.done: requirements/peer-%.lock | $(UV)
	@$(UV) venv -q --clear --python $(PY) .tools/peers/$*
	@$(UV) pip sync -q --python .tools/peers/$* --require-hashes $<
	@touch $@

clean:  ## remove everything that make installed or built
	rm -rf .venv .tools dist .coverage .coverage.* htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis

COMPILE = $(UV) pip compile -q $(if $(UPGRADE),--upgrade) --universal --python-version 3.11 --generate-hashes \
  --no-emit-package dispatch-core --no-emit-package dispatch-http --no-emit-package dispatch-cli \
  --custom-compile-command "make lock" pyproject.toml

# pip's --target works where the system's Python has neither venv nor leave to install.
$(UV): requirements/bootstrap.lock
	@$(PY) -m pip install -q --root-user-action=ignore --disable-pip-version-check --require-hashes \
	  --only-binary :all: --target .tools --upgrade -r $<
	@touch $@

# What `make demo` needs. The test environment holds it all, so .test refreshes this stamp too.
.venv/.run: requirements/run.lock $(MANIFESTS) | $(UV)
	@$(UV) venv -q --allow-existing --python $(PY) .venv
	@rm -f .venv/.test
	@$(UV) pip sync -q --python .venv --require-hashes $<
	@$(UV) pip install -q --python .venv --no-deps $(MEMBERS)
	@touch $@

.venv/.test: requirements/test.lock $(MANIFESTS) | $(UV)
	@$(UV) venv -q --allow-existing --python $(PY) .venv
	@$(UV) pip sync -q --python .venv --require-hashes $<
	@$(UV) pip install -q --python .venv --no-deps $(MEMBERS)
	@touch .venv/.run $@
