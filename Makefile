# Everything is installed in $(VENV), with the releases that constraints.txt names. `make` lists the targets.

VENV ?= .venv
BIN := $(VENV)/bin
SHELL := bash
.DEFAULT_GOAL := help

# Another Python: make test PYTHON=python3.12. Without one named, the environment stays with the Python that
# made it (its name is what the stamp holds).
ifeq ($(origin PYTHON),undefined)
PYTHON := $(or $(shell cat $(VENV)/.python-* 2>/dev/null),python3)
endif
RELEASE := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

# Each stamp stands for a step that went to its end. Without them, or with the mark of an installation that
# was cut short, the environment is made anew: half-written packages look whole to pip.
MADE := $(VENV)/.python-$(RELEASE)
INSTALLED := $(VENV)/.installed
INSTALLED_TEST := $(VENV)/.installed-test
UNFINISHED := $(VENV)/.unfinished
ifneq ($(wildcard $(UNFINISHED)),)
MAKE_ANEW := anew
endif

.PHONY: help quickstart test check format docs audit install clean anew

help:  ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo; echo "Another Python (3.10 to 3.13): make quickstart PYTHON=python3.12"

quickstart: $(INSTALLED)  ## Install AgentOS in .venv, run six agents for one or two minutes, write a report.
	@$(BIN)/agentos run quickstart

test: check  ## Install the test tools too; check style, types and imports; run all tests.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3

check: $(INSTALLED_TEST)  ## Check style, types and imports only.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED_TEST)  ## Fix what ruff can fix by itself.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED_TEST)  ## Build the site from docs/ and the docstrings, into build/site.
	$(BIN)/python docs/site/build.py
	@echo "site: build/site/index.html; $(BIN)/python docs/site/build.py --serve shows it with its search"

audit: $(INSTALLED_TEST)  ## Look up known vulnerabilities of the pinned releases; needs the network.
	$(PYTHON) -m venv $(VENV)-audit && $(VENV)-audit/bin/pip install -q pip-audit
	$(VENV)-audit/bin/pip-audit --path $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

install: $(INSTALLED_TEST)  ## Only install: AgentOS and its test tools in .venv.
	@echo "AgentOS is installed: $(BIN)/agentos --help"

clean:  ## Remove .venv, caches and build products; runs/ stays.
	rm -rf $(VENV) $(VENV)-audit build dist ./*.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): $(MADE) pyproject.toml constraints.txt locks/run.txt
	$(call pip_install,run)
	@touch $@

$(INSTALLED_TEST): $(MADE) pyproject.toml constraints.txt locks/test.txt
	$(call pip_install,test)
	@touch $(INSTALLED) $@

# A link to a Python that is gone counts as missing.
$(MADE): $(BIN)/python $(MAKE_ANEW)
	@$(PYTHON) -c 'pass' 2>/dev/null || { echo "There is no $(PYTHON) here. $(NAME_ANOTHER)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "$(PYTHON) is Python $(RELEASE). $(NAME_ANOTHER)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: its module venv or ensurepip is missing." >&2; \
		echo "On Debian and Ubuntu: apt install python$(RELEASE)-venv" >&2; exit 1; }
	@echo "Making $(VENV) with Python $(RELEASE)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo '$(PYTHON)' > $@

$(BIN)/python: ;

anew: ;

PIP := $(BIN)/python -m pip --disable-pip-version-check install --progress-bar off

NAME_ANOTHER = AgentOS needs Python 3.10 to 3.13; name one: make $(MAKECMDGOALS) PYTHON=python3.12

# All but torch are files of known hashes (locks/); torch is the build that pip finds for this machine. pip's own
# account of it all goes to a log; the terminal shows one line per package that comes in.
define pip_install
	@echo "Installing AgentOS and the libraries it stands on (the first time, some minutes)"
	@touch $(UNFINISHED)
	@set -o pipefail; { $(PIP) --no-deps --require-hashes -r locks/$(1).txt \
		&& $(PIP) -c constraints.txt torch \
		&& $(PIP) --no-deps --no-build-isolation -e .; } | tee $(VENV)/install.log \
		| awk '/^ *(Downloading|Using cached) .*\.whl / { sub(/-(py|cp)[0-9].*\.whl/, ""); print; fflush() } \
			/^Installing collected/ { print "  Unpacking " NF - 3 " packages"; fflush() }' \
		|| { echo "The installation failed; see above, and $(VENV)/install.log" >&2; exit 1; }
	@rm $(UNFINISHED)
endef
