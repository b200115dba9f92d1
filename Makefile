# What there is to do here. Each target works in a fresh clone, with python3 (3.9 or newer) and make:
# it makes the virtual environment it needs, once, and says so.
#
# `make help` prints the following lines, the headings (##@) and the sentence behind each target (##).
#
#   ARGS     more arguments: make test ARGS="-k lines -x"
#   WORKERS  how many tests run at once; 0: one after the other, as --pdb needs
#   PYTHON   the interpreter; without it, the newest on PATH or under pyenv
#   AGAIN    1: a test that fails beside others is run once more, alone, and is named
#   FUZZ     how long `make fuzz` runs, in seconds

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help demo test test-all lint format types docs matrix matrix-oldest matrix-newest coverage bench bench-quick fuzz soak same torture \
	wheel clean run-oldest run-newest

# Tests start thousands of interpreters. Without compiled files, each of them compiles this package again.
unexport PYTHONDONTWRITEBYTECODE

ARGS =
PYTHON =
COVERAGE =
AGAIN =
# Most tests wait for a process most of the time: more of them than processors.
WORKERS = 4
FUZZ = 600
OLDEST_PYTHON = 3.9
MINIMUM = 95

venv = .venv
oldest = .venv-oldest
newest = .venv-newest
pytest = pytest -n $(WORKERS) --dist worksteal
pip = bin/python -m pip --quiet --disable-pip-version-check

##@ Try it

# What it starts gets Ctrl-C from the terminal; it ends with 0 then, so that make has no error to report.
demo: $(venv)/.stamp-package ## Run examples/quickstart until Ctrl-C: web, Celery, tasks.
	@exec $(venv)/bin/python tools/demo.py $(venv)/bin/python $(or $(QUICKSTART_BIND),127.0.0.1:8000) $(ARGS)

##@ Check a change

test: $(venv)/.stamp-test ## Run the quick tests: every module, and one server and worker.
	@$(call run_tests,$(venv)/bin/python,-m quick)

test-all: $(venv)/.stamp-test ## Run all tests.
	@$(call run_tests,$(venv)/bin/python)

lint: $(venv)/.stamp-lint ## Check rules, formatting, spelling and wording.
	@$(venv)/bin/ruff check .
	@$(venv)/bin/ruff format --check .
	@git ls-files -z --cached --others --exclude-standard | xargs -0 $(venv)/bin/codespell
	@$(venv)/bin/python tools/check_words.py

format: $(venv)/.stamp-lint ## Repair what ruff can repair.
	@$(venv)/bin/ruff check --fix-only .
	@$(venv)/bin/ruff format .

types: $(venv)/.stamp-lint $(venv)/.stamp-test ## Check types: mypy, strict.
	@$(venv)/bin/mypy $(ARGS)

docs: $(venv)/.stamp-docs ## Build docs/_build/html; a warning is an error.
	@$(venv)/bin/sphinx-build -W --keep-going --quiet -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

##@ Check everything

coverage: $(venv)/.stamp-test ## Run all tests and demand 95 % of the branches.
	@$(call run_coverage,$(venv))

# The two ends of what is supported. A missing interpreter is named and left out.
matrix: matrix-oldest matrix-newest ## Run all tests with the oldest and newest of everything.

matrix-oldest: ## The same with Python 3.9, Django 4.2 and the built wheel.
	@if python=$$(tools/find-python $(OLDEST_PYTHON)); then \
		$(MAKE) --no-print-directory run-oldest PYTHON="$$python"; \
	else \
		echo "== oldest end: Python $(OLDEST_PYTHON) is missing, LEFT OUT =="; \
	fi

matrix-newest: ## The same with the newest; COVERAGE=1 as `make coverage`.
	@if python=$$(tools/find-python); then \
		$(MAKE) --no-print-directory run-newest PYTHON="$$python"; \
	else \
		echo "== newest end: no Python, LEFT OUT =="; \
	fi

run-oldest: $(oldest)/.stamp-wheel
	@$(call say_versions,oldest,$(oldest))
	@$(call run_tests,$(oldest)/bin/python)

run-newest: $(newest)/.stamp-test
	@$(call say_versions,newest,$(newest))
	@$(if $(COVERAGE),$(call run_coverage,$(newest)),$(call run_tests,$(newest)/bin/python))

same: $(venv)/.stamp-test ## Compare each server and worker with its own command; reload workers.
	@PRODSERVER_TEST_LONG=1 $(venv)/bin/python -m pytest $(ARGS) tests/backends/test_same_program.py tests/backends/test_greenlets.py \
		tests/backends/test_reload_workers.py

torture: $(venv)/.stamp-test ## Kill supervisors at random moments; nothing may be left.
	@$(venv)/bin/python -m tests.torture $(ARGS)

fuzz: $(venv)/.stamp-test ## Log and ask arbitrary bytes for ten minutes.
	@end=$$(( $$(date +%s) + $(FUZZ) )); while [ $$(date +%s) -lt $$end ]; do \
		$(venv)/bin/python -m pytest -q --hypothesis-profile=nightly $(ARGS) tests/logs/test_lines.py \
			tests/logs/test_formats.py tests/functional/test_streams.py \
			tests/functional/test_control_server.py || exit 1; \
	done

soak: $(venv)/.stamp-bench ## Log at full speed for ten minutes and verify each line.
	@$(venv)/bin/python benchmarks/soak.py $(ARGS)

##@ Measure

bench: $(venv)/.stamp-bench benchmarks/node_modules/.stamp ## Measure against every peer that is installed, 20 minutes.
	@$(venv)/bin/python benchmarks/all.py $(ARGS)

bench-quick: $(venv)/.stamp-bench benchmarks/node_modules/.stamp ## The same in two minutes: one round, few peers.
	@$(venv)/bin/python benchmarks/all.py --quick $(ARGS)

##@ Release

# In an empty dist/: what lies there is published.
wheel: $(venv)/.stamp-release ## Build dist/*.whl and the sdist, and check what they hold.
	@rm -rf dist
	@$(venv)/bin/python -m build --outdir dist . >/dev/null
	@$(venv)/bin/python tools/check_dist.py
	@$(venv)/bin/twine --no-color check --strict dist/*
	@ls dist/*

##@ Tidy up

clean: ## Remove everything that was made here.
	rm -rf $(venv) $(oldest) $(newest) build dist htmlcov .coverage .coverage.* docs/_build
	rm -rf benchmarks/node_modules benchmarks/results
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Print this.
	@echo 'Usage: make TARGET [VARIABLE=VALUE ...]'
	@sed -n -e 's/^##@ \(.*\)/\n\1:/p' -e 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
		while IFS='|' read -r name what; do \
			[ -z "$$what" ] && echo "$$name" || printf '  make %-14s %s\n' "$$name" "$$what"; \
		done
	@echo; echo 'Variables:'
	@sed -n 's/^#   \([A-Z].*\)/  \1/p' Makefile
	@echo; echo 'Documentation: CONTRIBUTING.md'

# --- how ---------------------------------------------------------------------------------------

# A failed run is reported as such before anybody looks at its coverage.
run_coverage = $(1)/bin/coverage erase && { $(call run_tests,$(1)/bin/coverage run); } && \
	$(1)/bin/coverage combine --quiet && $(1)/bin/coverage report --fail-under=$(MINIMUM)

# With what runs modules, and with more arguments. pytest exits with 1 if tests have failed.
run_tests = $(1) -m $(pytest) $(2) $(ARGS) || { \
	[ $$? = 1 ] && [ -n "$(AGAIN)" ] && echo "== what failed beside others is run again, alone ==" && \
	$(1) -m pytest -v --last-failed --last-failed-no-failures none; }

say_versions = $(2)/bin/python -c 'import platform; from importlib.metadata import distributions; \
	names = "django gunicorn uvicorn waitress celery django-tasks django-tasks-db msgspec psutil".split(); \
	found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions()}; \
	print("== $(1) end: python", platform.python_version(), *(f"· {n} {found[n]}" for n in names if n in found), "==", flush=True)'

# --clear: what an interrupted attempt has left is no virtual environment.
# pip is brought up to date because --group came with pip 25.1.
define make_venv
@python="$(PYTHON)"; [ -n "$$python" ] || python=$$(tools/find-python) || exit 1; \
	echo "making $(1) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(1) || { \
		echo "If ensurepip is what is missing: apt install python3-venv (Debian, Ubuntu)." >&2; exit 1; }
@$(1)/$(pip) install --upgrade 'pip>=25.1'
@touch $@
endef

$(venv)/.stamp-venv:
	$(call make_venv,$(venv))

$(oldest)/.stamp-venv:
	$(call make_venv,$(oldest))

$(newest)/.stamp-venv:
	$(call make_venv,$(newest))

$(venv)/.stamp-package: $(venv)/.stamp-venv pyproject.toml
	@echo "installing django-prodserver[all] into $(venv)"
	@$(venv)/$(pip) install --editable '.[all]'
	@touch $@

$(venv)/.stamp-%: $(venv)/.stamp-package
	@echo "installing the group $* into $(venv)"
	@$(venv)/$(pip) install --group $*
	@touch $@

# Peers of the benchmarks. Whoever is missing is named there and left out, so this is no error.
benchmarks/node_modules/.stamp: benchmarks/package.json
	@if ! command -v npm >/dev/null; then \
		echo "no npm on PATH: the peers from npm are MISSING"; \
	elif ! (cd benchmarks && npm install --silent --no-audit --no-fund); then \
		echo "npm install failed: the peers from npm may be MISSING"; \
	else \
		touch $@; \
	fi

$(newest)/.stamp-test: $(newest)/.stamp-venv pyproject.toml
	@echo "installing the newest of everything into $(newest)"
	@$(newest)/$(pip) install --upgrade --upgrade-strategy eager --editable '.[all]' --group test
	@touch $@

$(oldest)/.stamp-test: $(oldest)/.stamp-venv pyproject.toml tests/oldest.txt
	@echo "installing the oldest of everything into $(oldest)"
	@$(oldest)/$(pip) install --constraint tests/oldest.txt '.[all]' --group test
	@touch $@

# Not editable: one of the two ends tests what is shipped.
$(oldest)/.stamp-wheel: $(oldest)/.stamp-test README.md $(shell find src -type f ! -name '*.pyc')
	@$(oldest)/$(pip) install --no-deps --force-reinstall .
	@touch $@
