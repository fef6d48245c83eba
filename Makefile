# Everything stays in this folder: the environment and its package cache in .venv, Airflow in .airflow.
PYTHON ?= python3
BIN := .venv/bin
# What the machine trusts is trusted here too: many users sit behind a proxy with a certificate of its own.
UV := UV_SYSTEM_CERTS=1 .venv/uv/bin/uv
export UV_CACHE_DIR ?= $(CURDIR)/.venv/cache
export PIP_CACHE_DIR ?= $(CURDIR)/.venv/cache
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# A conda or virtual environment that happens to be active is not the one to install into.
unexport VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME
# Containers often keep Python from writing bytecode: each process of Airflow would compile all of it again, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo airflow test test-fast storage coverage mutants matrix docs pictures bench dist lint constraints clean
.DEFAULT_GOAL := help
# Airflow does not start while its environment is added to.
.NOTPARALLEL:

help:  ## show this list
	@sed -nE 's|^##@ (.*)|\n\1|p; s|^([a-z-]+):.*## (.*)|  make \1: \2|p' $(MAKEFILE_LIST)

##@ See it run
demo: .venv/demo/ready  ## archive expired segments of a sandbox with the example DAG on a real Airflow
	@$(BIN)/python -m demo.run

airflow: .venv/demo/ready  ## start an Airflow with the example DAGs, and a sandbox, to look around in; Ctrl-C ends them
	@exec $(BIN)/python -m demo.playground

##@ Test
test: .venv/ready  ## run all tests, and name the ten slowest; OPTIONS=tests/client
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadgroup --durations 10 $(OPTIONS)

test-fast: .venv/ready  ## run the tests that need nothing but this process, in half a minute; OPTIONS=tests/client
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup --durations 10 -m 'not slow and not hypothesis' $(OPTIONS)

storage: .venv/storage/ready  ## run the tests of the transfers with a PostgreSQL, and with what stands for S3, Google's and Azure's storage
	@.venv/storage/bin/python -m pytest tests/transfers/test_postgresql_and_s3.py \
		tests/transfers/test_google_and_azure.py $(OPTIONS)

coverage: .venv/ready  ## run the tests that need no Airflow beside them, and show which lines and branches they leave out
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest --numprocesses 2 --dist loadgroup --ignore tests/system --ignore tests/distributed
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

mutants: .venv/mutants/ready  ## break the decisions one by one, and show which breaks no test notices; OPTIONS='*.client.retry.*'
	@rm -rf mutants
	@.venv/mutants/bin/mutmut run $(if $(OPTIONS),'$(OPTIONS)')
	@.venv/mutants/bin/mutmut results | sed -n 's/: survived$$//p; s/: no tests$$//p' | xargs -rn 1 .venv/mutants/bin/mutmut show

matrix: .venv/ready  ## run the tests on every supported Airflow and Python; OPTIONS='-s "tests(2.11.2-3.10)" -- tests/client'
	@export UV_SYSTEM_CERTS=1 XDG_CACHE_HOME="$(CURDIR)/.venv/cache"; \
	if pyenv=$$(command -v pyenv); then \
		export PYENV_ROOT="$${PYENV_ROOT:-$${pyenv%/*/pyenv}}"; \
		export PYENV_VERSION="$$(pyenv versions --bare | grep -E '^3\.1[0-4]\.' | paste -sd:)"; \
	fi; \
	$(BIN)/nox $(OPTIONS)

##@ Pages
docs: .venv/ready  ## make the pages of docs/ and the reference: build/docs/index.html
	@$(BIN)/python -m sphinx --quiet --fail-on-warning docs build/docs
	@echo build/docs/index.html

pictures: .venv/ready  ## take the pictures of the pages anew, in a real browser, and draw the diagrams
	@$(BIN)/python docs/diagrams/draw.py
	@PICTURES=docs/pictures $(BIN)/python -m pytest tests/system/test_user_interface.py

##@ Measure
bench: .venv/bench/ready  ## measure, print the figures and write them to tests/benchmarks/results.json; OPTIONS=--help
	@.venv/bench/bin/python -m tests.benchmarks $(OPTIONS)

##@ Maintain
lint: .venv/ready  ## ruff (format and rules), mypy (strict), the schemas of what is in .github
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml

dist: .venv/ready  ## build the wheel and the sdist, and check them: dist/
	@rm -rf dist
	@$(BIN)/python -m hatchling build
	@$(BIN)/python -m twine check --strict dist/*

constraints: .venv/ready  ## look up newer versions of everything and pin them
	@$(UV) pip compile --universal --python-version 3.10 --upgrade --quiet --no-header --no-annotate \
		--group storage pyproject.toml --output-file constraints.txt

clean:  ## remove everything that the other commands made
	rm -rf .venv .airflow .coverage* .hypothesis .mypy_cache .nox .pytest_cache .ruff_cache build dist mutants

# What the demo takes, 240 MB. It does not wait for what tests, pages and checks take beside it, another 420 MB.
.venv/demo/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 'Python 3.10 or newer is needed: make PYTHON=python3.12 ...' >&2; exit 1; }
	@echo 'Setting up .venv, once ...'
	@$(PYTHON) -m venv --clear --without-pip .venv
	@# The pip of that Python, where it has one, installs uv: one for .venv would take longer to make than all the rest.
	@$(PYTHON) -c 'import pip' 2>/dev/null && python='$(PYTHON)' || \
		{ python=$(BIN)/python; $$python -m ensurepip >/dev/null; } || \
		{ echo 'pip is needed: on Debian and Ubuntu the package python3-pip.' >&2; exit 1; }; \
	PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore \
		$$python -m pip install --quiet --constraint constraints.txt --target .venv/uv uv
	@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --build-constraint constraints.txt \
		--group demo --editable .
	@mkdir -p $(@D)
	@touch $@

.venv/ready: .venv/demo/ready
	@echo 'Adding what tests need to .venv, once ...'
	@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --build-constraint constraints.txt \
		--group dev --editable .
	@touch $@

.venv/bench/ready: .venv/ready tests/benchmarks/requirements.txt
	@echo 'Setting up .venv/bench, once ...'
	@$(UV) venv --quiet --clear --python $(BIN)/python .venv/bench
	@$(UV) pip install --quiet --python .venv/bench/bin/python --constraint constraints.txt \
		--build-constraint constraints.txt --requirement tests/benchmarks/requirements.txt --editable .
	@touch $@

.venv/storage/ready: .venv/ready
	@echo 'Setting up .venv/storage, once ...'
	@$(UV) venv --quiet --clear --python $(BIN)/python .venv/storage
	@$(UV) pip install --quiet --python .venv/storage/bin/python --constraint constraints.txt \
		--build-constraint constraints.txt --group storage --editable .
	@# Without the gigabyte of what else Google offers.
	@$(UV) pip install --quiet --python .venv/storage/bin/python --no-deps apache-airflow-providers-google==22.8.0
	@command -v npm >/dev/null && \
		npm_config_cache=.venv/cache/npm npm install --silent --no-audit --no-fund --prefix .venv/storage azurite@3.35.0 || \
		echo 'No azurite, which needs npm: the tests with the storage of Azure are skipped.'
	@touch $@

.venv/mutants/ready: .venv/ready
	@echo 'Setting up .venv/mutants, once ...'
	@$(UV) venv --quiet --clear --python $(BIN)/python .venv/mutants
	@$(UV) pip install --quiet --python .venv/mutants/bin/python --constraint constraints.txt \
		--build-constraint constraints.txt --group mutants --editable .
	@touch $@
