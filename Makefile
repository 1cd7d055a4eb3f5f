# make demo: see it work.  make test: prove it.  Both install what they need; neither touches anything outside .venv
# and .work but the Debian packages named below.

PYTHON ?= python3
# cpu, gpu or jax: which backend of Keras to install.
BACKEND ?= cpu
BIN := .venv/bin
PACKAGES := ffmpeg mkvtoolnix python3-venv
# What the tests provoke faults with; the demo does without.
TEST_PACKAGES := librsvg2-bin strace faketime samba smbclient rsync systemd e2fsprogs bindfs
TEST_PROGRAMS := strace faketime smbd smbclient rsync systemd-analyze mkfs.ext4 bindfs
# The status page in a real browser, and axe-core to judge how accessible it is: for the slow tests.
AXE := .work/axe/node_modules/axe-core/axe.min.js
PYTEST_FLAGS ?=

.PHONY: help demo test test-all reliability locks bench docs lint install system test-system test-browser status-page clean

help:
	@echo "make demo      draw a sample picture and episode, enlarge both through the real service, show the result"
	@echo "make test      lint, types, imports and the fast tests"
	@echo "make test-all  the same with the slow tests, some on a Ray cluster on this machine"
	@echo "make reliability  provoke every fault and write docs/reliability.md from what was seen"
	@echo "make bench     measure the speed and write docs/benchmarks.md"
	@echo "make docs      write docs/cli.md and docs/configuration.md from the parser and the schema"
	@echo "make locks     the packages of a server with their hashes, in locks/ (from PyPI)"
	@echo "make install   the virtual environment in .venv only (BACKEND=cpu, gpu or jax)"
	@echo "make clean     remove .venv and caches; .work (demo results, training runs) stays"

demo: install
	@$(BIN)/python -m tests.demo

test: test-system lint
	$(BIN)/pytest $(PYTEST_FLAGS)

test-all: test-system lint test-browser .venv/installed-cluster
	$(BIN)/pytest -m "slow or not slow" $(PYTEST_FLAGS)

# What `pip install --require-hashes` takes on a server; hatchling builds Kakudai itself. Names no index.
locks: install
	$(BIN)/pip install --quiet --disable-pip-version-check 'uv>=0.13'
	for backend in cpu gpu; do \
	  echo 'hatchling>=1.27' | $(BIN)/uv pip compile pyproject.toml - --extra $$backend --extra notify --universal \
	    --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o locks/$$backend.txt \
	  || exit 1; \
	done

# What the fault tests saw, as a page. Long: an hour on 2 cores.
reliability: test-system install
	KAKUDAI_FAULTS=.work/faults $(BIN)/pytest -m "slow or not slow" tests/faults $(PYTEST_FLAGS)
	$(BIN)/python -m tests.faults.table .work/faults docs/reliability.md

# docs/benchmarks.md, measured here and now: a quarter of an hour and more, on a machine that does nothing else.
bench: install
	$(BIN)/python -m tests.bench

# docs/cli.md and docs/configuration.md, from the parser, the schema and config.yaml.
docs: install
	@$(BIN)/python -m tests.manual

# docs/status-page.webp, looked at in a browser while a drawn episode is enlarged.
status-page: test-browser
	$(BIN)/python -m tests.status_page_picture

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: .venv/installed-$(BACKEND)

.venv/installed-$(BACKEND): pyproject.toml | system
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$(BACKEND),dev]'
	touch $@

.venv/installed-cluster: .venv/installed-$(BACKEND)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$(BACKEND),dev,cluster]'
	touch $@

# Installs the Debian packages $(1) when it may; else says the one line to type.
define install_packages
if [ "$$(id -u)" = 0 ]; then as=; elif sudo -n true 2>/dev/null; then as="sudo"; else as=none; fi; \
	if [ "$$as" = none ] || ! command -v apt-get >/dev/null; then \
	  echo "Missing programs. Type: sudo apt-get update && sudo apt-get install -y $(1)" >&2; exit 1; \
	fi; \
	echo "installing $(1)"; \
	$$as apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive $$as apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends $(1) >/dev/null
endef

system:
	@if command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null && command -v mkvmerge >/dev/null && $(PYTHON) -c 'import ensurepip' 2>/dev/null; then exit 0; fi; \
	$(call install_packages,$(PACKAGES))

test-system: system
	@export PATH="$$PATH:/usr/sbin:/sbin"; \
	for program in $(TEST_PROGRAMS); do command -v "$$program" >/dev/null || missing=yes; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	( $(call install_packages,$(TEST_PACKAGES)) ) || echo "tests that need them are skipped" >&2

test-browser: .venv/installed-browser $(AXE)
	@command -v chromium >/dev/null || ( $(call install_packages,chromium) ) || echo "the test in a browser is skipped" >&2

.venv/installed-browser: pyproject.toml | install
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[browser]'
	touch $@

$(AXE):
	@command -v npm >/dev/null || ( $(call install_packages,npm) ) || true
	@npm install --silent --no-audit --no-fund --prefix .work/axe axe-core@4 || echo "accessibility is not checked" >&2

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
