# Everything runs in .venv, which a plain python3 (3.11 or newer) makes; a second run starts at once.
PYTHON ?= python3
BIN := .venv/bin
FLOORS := .venv-floors/bin
DESCRIPTORS := build/protos.binpb
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
# What the tests need besides the client.
TESTED := cli,metrics,onnx,png,postgres,rest,server,view
# What is in the image besides the client.
EXTRAS := metrics postgres rest server view
# The Pythons besides .venv's, each with these tests: what is likely to differ between them.
PYTHONS ?= 3.12 3.13 3.14
PYTHON_TESTS ?= tests/client tests/server/core tests/server/serving --ignore tests/client/importers
# For each decoder of `make fuzz`, of CPU; and how many mutants of each area `make mutants` tries.
SECONDS ?= 60
COUNT ?= 60

.PHONY: help demo serve test check check-code check-protos check-deploy proto descriptors lock sbom bench bench-peers notebooks page check-page prove reference release docs fuzz mutants test-clients test-compose test-deploy test-frameworks test-floors test-pythons

help:  ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /make \1#/p' Makefile | awk -F'#' '{ printf "%-20s %s\n", $$1, $$2 }'

demo: .venv/installed  ## see it work: a real server, real networks, in seconds
	@$(BIN)/python -m examples.demo

serve: .venv/installed  ## run a server on port 50051, networks kept in forwardpass.db
	@$(BIN)/forwardpass-server serve --listen 127.0.0.1:50051 --database sqlite:///forwardpass.db

test: .venv/installed  ## run the tests, and print what they cover on Python 3.12 and newer
	@$(BIN)/python -m tests.packaging.run -n 4 --dist loadfile --no-loadscope-reorder \
		--ignore tests/clients --ignore tests/docs/test_tutorial.py

check: check-code check-protos check-deploy check-page  ## lint, types, imports, protos, deployment files, the built page

check-code: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

check-protos: descriptors
	$(BIN)/buf lint $(DESCRIPTORS)#format=binpb --config protos/buf.yaml --path forwardpass
	$(BIN)/python protos/generate.py --check

check-deploy: .venv/installed
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/compose.*.yml
	$(BIN)/hadolint server/Dockerfile

check-page: .venv/installed
	$(BIN)/python -m tests.packaging.page --check

page: .venv/installed  ## build the page of client/page into the package; needs node
	$(BIN)/python -m tests.packaging.page

release: .venv/installed  ## build dist/ from the commit, twice in two places, compare both byte by byte, and check them
	$(BIN)/python -m pip install -qq --group release
	rm -rf dist build/release && mkdir -p build/release/one build/release/two
	for place in one two; do git archive HEAD | tar -x -C build/release/$$place || exit 1; done
	for place in one two; do \
		(cd build/release/$$place && SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) ../../../$(BIN)/python -m hatchling build) || exit 1; done
	diff --recursive build/release/one/dist build/release/two/dist
	$(BIN)/twine check --strict build/release/one/dist/*
	mv build/release/one/dist dist
	$(MAKE) sbom && mv build/sbom.cdx.json dist && cd dist && sha256sum *

sbom: .venv/installed  ## write build/sbom.cdx.json (CycloneDX): the Python packages of the image, with their hashes
	@$(BIN)/python -m pip install -qq --group sbom
	mkdir -p build && SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -W ignore -m cyclonedx_py requirements \
		--pyproject pyproject.toml --output-reproducible --output-file build/sbom.cdx.json server/requirements.lock

proto: .venv/installed  ## generate the code of protos/ again
	$(BIN)/python protos/generate.py

reference: .venv/installed  ## generate the tables and the schema of docs/reference that follow from the code
	$(BIN)/python -m tests.support.reference_tables

lock: .venv/installed  ## pin what is in the image, by hashes, to what is newest
	$(BIN)/python -m pip install -qq --group lock
	$(LOCK) --upgrade --output-file server/requirements.lock pyproject.toml $(EXTRAS:%=--extra %)
	$(LOCK) --upgrade --output-file server/build.lock --group build

docs: .venv/installed  ## build the documentation site into build/site, where a warning fails; run its tutorial
	@$(BIN)/python -m pip install -qq --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@$(BIN)/python -m pytest -q tests/docs/test_tutorial.py

descriptors: .venv/installed  ## write build/protos.binpb, by which Envoy makes gRPC of JSON
	mkdir -p build && $(BIN)/python protos/generate.py --descriptors $(DESCRIPTORS)

bench: .venv/installed  ## measure, as ratios within one run; for example BENCH="--quick --rows 1,2"
	@$(BIN)/python -m benchmarks $(BENCH)

bench-peers: .venv/installed  ## measure MLServer, Triton and FastAPI beside this server; each in a .venv-servers-* of its own
	@$(BIN)/python -m benchmarks.peer_servers $(BENCH)

notebooks: .venv/installed  ## execute the notebooks of examples/notebooks, and write them with their outputs
	@$(BIN)/python -m pip install -qq --group notebooks
	$(BIN)/python -m examples.notebooks

prove: .venv/installed  ## run the long forms of the proofs, and the whole suite on every Python here
	@$(BIN)/python -m pip install -qq --group notebooks
	$(BIN)/python -m pytest -m prove
	$(BIN)/python -m tests.packaging.pythons $(PYTHONS) -- -n 2 --dist loadfile

fuzz: .venv/installed  ## fuzz the decoders of what others send, for example SECONDS=600 TARGETS="json onnx"; atheris in a .venv-fuzzing of its own
	@$(BIN)/python -m tests.fuzzing $(TARGETS) --seconds $(SECONDS)

mutants: .venv/installed  ## change the code of validator, admission, authorization and registry, and see which changes no test notices
	@$(BIN)/python -m tests.mutants $(AREAS) --count $(COUNT)

test-clients: .venv/installed  ## run the clients of Triton and KServe against real servers, at length; each in a .venv-clients-* of its own
	$(BIN)/python -m pytest tests/clients -m "prove or not prove"

test-frameworks: .venv/installed  ## prove that imported models compute the same, for example FRAMEWORKS=keras; each framework in a .venv-frameworks-* of its own
	$(BIN)/python -m tests.frameworks $(FRAMEWORKS)

test-deploy: .venv/installed  ## run servers behind Envoy, and restart, kill and scale them, at length
	$(BIN)/python -m pytest tests/deploy -m "prove or not prove"

test-compose: .venv/installed  ## build the image and start the compose files' services by podman, as root
	@$(BIN)/python -m pip install -qq --group compose
	$(BIN)/python -m pytest tests/containers -m prove -s

test-pythons: .venv/installed  ## run a part of the tests on other Pythons, for example PYTHONS=3.13; each in a .venv-pythons-* of its own
	$(BIN)/python -m tests.packaging.pythons $(PYTHONS) -- -n 2 --dist loadfile $(PYTHON_TESTS)

test-floors: .venv-floors/installed  ## run the tests with the oldest dependencies that pyproject.toml allows
	$(FLOORS)/python -m pytest

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer: make PYTHON=python3.x ...")'
	@echo "Installing into .venv (once, about a minute)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install -qq --editable ".[$(TESTED)]" --group dev
	@touch $@

.venv-floors/installed: pyproject.toml tests/packaging/floors.py
	$(PYTHON) -m venv --clear .venv-floors
	$(FLOORS)/python -m pip install -qq --upgrade "pip>=25.1"
	$(FLOORS)/python tests/packaging/floors.py > .venv-floors/floors.txt
	$(FLOORS)/python -m pip install --constraint .venv-floors/floors.txt --editable ".[$(TESTED)]" --group test
	@touch $@
