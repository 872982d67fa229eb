# `make run` and `make test` need Python 3.11 or newer with venv, and nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# What touches a database or a store; the rest of the suite would only be the same again. Bodies, protocols, connections,
# conversions, documents and pages that only read are the same whatever the registry is.
ON_ONE := $(addprefix tests/e2e/test_, $(addsuffix .py, \
	bad_bodies bad_routes binary_bodies bounded_requests cli_imports cli_watching client_bytes client_conversions \
	clock_jumps completing_among_many compressed_answers conformance_sample connections_are_spread console_addresses \
	console_open console_signing_in costs_of_refusals docs_run first_run gateways_come_by_name good_requests graphs \
	http_keeps_its_rules idle_connections inputs_are_looked_at inspecting_real_models kubernetes_proxy \
	long_runs_have_threads memory_of_large_requests netron notebook open_inference openapi_documents phase_counts \
	placement_by_haproxy plans_of_logs readme real_models replaced_workers requests_share_runs rpc rpc_callers \
	runtime_troubles server_roles slow_connections snippets_run stalled_requests \
	tensorflow_requests too_many_connections traces_arrive types watching ways_to_send_a_fault))
ON_BOTH := $(filter-out $(ON_ONE), $(wildcard tests/e2e/test_*.py)) tests/properties/test_history_laws.py \
	$(addprefix tests/unit/test_, $(addsuffix .py, \
	registration promotion rollback retirement_and_editing resolution rehearsal tokens))

.DEFAULT_GOAL := help
.PHONY: help setup run test check audit sbom manifests format bench bench-peers bench-tails bench-docs bench-cold bench-codec \
	bench-cycles bench-zipf bench-replicas bench-plan bench-density bench-shadow bench-inputs bench-client soak \
	hostile chaos replicas-faults notebook screenshots conformance schemathesis fuzz clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.run: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sardonyx needs Python 3.11 or newer; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run tests/requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps -r tests/requirements.lock
	@touch $@

setup: $(VENV)/.dev ## everything that running, testing and checking need, into .venv

run: $(VENV)/.run ## the gateway with the example models, at 127.0.0.1:8000
	@$(BIN)/python examples/first_run.py

test: $(VENV)/.dev ## the whole suite, on SQLite and a folder, then what differs on PostgreSQL and S3
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)
	@TESTS_ON=production $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS) $(ON_BOTH)

check: $(VENV)/.dev ## format, lint, types, import contracts, known vulnerabilities of what is pinned
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.supply_chain.audit

audit: $(VENV)/.dev ## whether a vulnerability is known in anything that is pinned; `make check` does it too
	@$(BIN)/python -m tests.supply_chain.audit

manifests: $(VENV)/.dev ## what lies in deploy/ and the program prints, printed anew
	@$(BIN)/python deploy/write_manifests.py

sbom: $(VENV)/.dev ## what the gateway runs with, as CycloneDX 1.6 JSON, into dist/
	@$(BIN)/python -m tests.supply_chain.sbom

format: $(VENV)/.dev ## rewrite the sources as `make check` wants them
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## the gateway beside the usual hand-written app; and with 100 and with 100,000 versions
	@$(BIN)/python -m bench $(ARGS)
	@$(BIN)/python -m bench.scale

bench-peers: $(VENV)/.dev ## the gateway beside MLServer, BentoML, LitServe, Ray Serve, KServe and Triton; 2.5 GB into .bench
	@$(BIN)/python -m bench.against_peers $(ARGS)

bench-tails: $(VENV)/.dev ## latencies at given rates, counted from when each request was due
	@$(BIN)/python -m bench.tails $(ARGS)

bench-docs: $(VENV)/.run ## docs/benchmarks.md and its plots, drawn again from bench/results
	@$(BIN)/python -m bench.pages

bench-cold: $(VENV)/.dev ## how long real models take to their first answer, prepared and plain
	@$(BIN)/python -m bench.cold $(ARGS)

bench-codec: $(VENV)/.dev ## JSON tensors beside orjson and numpy in process, and a whole gateway beside the same
	@$(BIN)/python -m bench.codec $(ARGS)

bench-cycles: $(VENV)/.dev ## whether a thousand loads and evictions leave the memory as it was
	@$(BIN)/python -m bench.cycles $(ARGS)

bench-zipf: $(VENV)/.dev ## five minutes of requests for 2,000 models, with room for a tenth of them
	@$(BIN)/python -m bench.zipf $(ARGS)

bench-replicas: $(VENV)/.dev ## the hit rate of three gateways behind a hash; root, HAProxy; 20 minutes
	@$(BIN)/python -m bench.replicas $(ARGS)

bench-plan: $(VENV)/.dev ## whether a gateway has the hits that `sardonyx plan` predicts from its log; eight minutes
	@$(BIN)/python -m bench.plan_validation $(ARGS)

bench-density: $(VENV)/.dev ## what four workers take beside one, and a thousand tiny models
	@$(BIN)/python -m bench.density $(ARGS)

bench-shadow: $(VENV)/.dev ## live latencies with a shadow on all requests beside those without
	@$(BIN)/python -m bench.shadow $(ARGS)

bench-inputs: $(VENV)/.dev ## live latencies where inputs are looked at beside those where they are not
	@$(BIN)/python -m bench.input_statistics $(ARGS)

soak: $(VENV)/.dev ## half an hour of everything at once; the gateway has to end where it began
	@$(BIN)/python -m bench.soak $(ARGS)

hostile: $(VENV)/.dev ## every hostile file and request against a live gateway under good traffic; some 8 minutes
	@$(BIN)/python -m bench.hostile $(ARGS)

chaos: $(VENV)/.dev ## deaths while writing, then a thousand moves under load while everything fails; 15 minutes
	@$(BIN)/python -m bench.chaos $(ARGS)

replicas-faults: $(VENV)/.dev ## gateways on hosts of their own that die, drain and are cut off, under load; root, HAProxy; 5 minutes
	@$(BIN)/python -m bench.replicas_faults $(ARGS)

schemathesis: $(VENV)/.dev ## ten minutes of requests made up from the OpenAPI document, and every answer held against it
	@$(BIN)/python -m tests.schemathesis $(ARGS)

fuzz: $(VENV)/.dev ## ten minutes of bytes that strangers might send, at everything that reads them
	@$(BIN)/python -m tests.fuzz $(ARGS)

notebook: $(VENV)/.dev ## docs/from-training-to-promotion.ipynb, executed anew against a gateway of its own
	@$(BIN)/python -m tests.notebook

bench-client: $(VENV)/.dev ## what the Python client's requests cost, as JSON and as bytes
	@$(BIN)/python -m bench.client_wires $(ARGS)

conformance: $(VENV)/.dev ## all of ONNX's conformance set through a live gateway, bit for bit, over every wire
	@$(BIN)/python -m tests.conformance $(ARGS)

screenshots: $(VENV)/.dev ## docs/console/*.png, taken anew of a live gateway; needs chromium, and 6 minutes
	@$(BIN)/python -m tests.browser.screenshots $(ARGS)

clean: ## forget the environments and the example data
	rm -rf $(VENV) .bench .clients sardonyx-data build *.egg-info
