# Two commands do everything: `make demo` and `make test`, each with all set-up, on a fresh machine.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := $(VENV)/.peers
DOCS := $(VENV)/.docs
AUDIT := $(VENV)/.audit
# Where every core has a process, threads of the numeric libraries only get in each other's way.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
SOURCES := pcedge export banks camera benchmarks
CODE := $(SOURCES) tests

.PHONY: help demo test check format lint types audit docs bench gpu wheel clean

help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY) ## Take a made-up production line through fit, export, evaluate and watch, offline
	$(BIN)/pcedge demo

test: $(READY) $(PEERS) ## Run all tests, on every core; those on real images say so when they skip
	$(BIN)/python -m compileall -q $(SOURCES) # once, not in each of the hundreds of processes that tests start
	$(ONE_THREAD) $(BIN)/python -m pytest --numprocesses auto --dist worksteal

check: format lint types test audit ## Everything a change must pass

format: $(READY) ## Check the formatting (ruff format . puts it right)
	$(BIN)/ruff format --check $(CODE)

lint: $(READY) ## Check the rules of pyproject.toml
	$(BIN)/ruff check $(CODE)

types: $(READY) ## Check the types, strictly
	$(BIN)/mypy

audit: $(AUDIT) ## Look for known holes in the installed packages; says so where nobody can be asked
	$(BIN)/python -m benchmarks.audit

docs: $(DOCS) ## Build the documentation into site/, with search; a link that leads nowhere ends it
	$(BIN)/zensical build --strict --clean
	@echo "To read it: $(BIN)/python -m http.server --directory site"

bench: $(READY) ## Measure the coreset and the patch embedding against plain and reference versions
	$(BIN)/python -m benchmarks.coreset
	$(BIN)/python -m benchmarks.embedding

gpu: $(READY) ## On a machine with an NVIDIA GPU: measure all that needs one into gpu/; says what it skips
	$(BIN)/python -m benchmarks.gpu

wheel: $(AUDIT) ## Build the wheel, the source distribution and the list of components (CycloneDX) into dist/
	$(BIN)/python -m build
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o dist/components.cdx.json constraints.txt

clean: ## Remove the environment and everything built
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache

# The stubs of TensorRT depend on its libraries, which only a machine with a GPU can install; of Triton's
# client only the schema of its model configurations is used.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[fit,cpu,report,dev]'
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt tensorrt-stubs tritonclient
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[trt-rtx]' \
	|| echo "NVIDIA's TensorRT for RTX could not be installed; tests that parse and build with it are skipped"
	touch $(READY)

# The tools of a release, which tests do not need.
$(AUDIT): $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[release]'
	touch $(AUDIT)

# The documentation needs neither PyTorch nor the tools of a developer.
$(DOCS): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	touch $(DOCS)

# The remote endpoints of some tests: a stream server and a broker. Without them these tests are skipped, and say so.
$(PEERS): $(READY)
	@if command -v ffmpeg && command -v mosquitto; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get; then apt-get update -qq && apt-get install -y -qq ffmpeg mosquitto; \
	else false; fi >/dev/null 2>&1 || echo "Tests on real streams and brokers need: apt-get install ffmpeg mosquitto"
	touch $(PEERS)
