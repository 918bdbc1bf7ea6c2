# The one door to this project, for people and for CI alike. `make` alone prints the manual.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export SIDELONG_CACHE ?= $(HOME)/.cache/sidelong

# CI builds in a fresh clone each time: what cargo built before is kept beside the tools, not in the clone.
ifdef CI
export CARGO_TARGET_DIR ?= $(SIDELONG_CACHE)/target
export CARGO_INCREMENTAL ?= 0
endif

TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
TOOLS := tests/tools

# The end-to-end tests wait for scrapes far longer than they compute.
export RUST_TEST_THREADS ?= 4
export SIDELONG_TEST_REPORT := $(CURDIR)/target/real-parts.tsv

FUZZ_SECONDS ?= 20
BENCH ?= quick
DETECTION ?=
DEMO ?=
TEST ?=

.PHONY: help
help: ## print this manual
	@sed -n 's/^#? \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

#? Sidelong stands in the path of Prometheus metrics, lets every byte through, and sends an anomaly score beside each
#? series. Rust (by rustup), Go, Python 3, gcc and make are all that has to be there; every goal sets up the rest.
#?
#? make demo      builds the core and shows it at work on synthetic metrics with labelled anomalies, scored live in the
#?                terminal. Needs no server. DEMO='--duration 30s' passes options on.
#? make test      installs the real parts (Prometheus 3 and 2, vmagent, node_exporter, nginx), builds, and runs every
#?                test, end to end among them. TEST=name runs those whose name holds it. A part that cannot be had
#?                here is a skip, counted at the end, never a pass.
#? make check     formatting, clippy with warnings denied (with default features and without), a release build of the core, rustdoc
#?                with broken links denied, shellcheck, cargo-deny.
#? make bench     release build, then the table of benches/rig against vmagent in the same run. BENCH=quick (about
#?                3 minutes, the figures that gate) or BENCH=full (about 25; wants a quiet machine).
#? make bench-train  how long fits take beside statsmodels and scikit-learn, in one run.
#? make detection  every figure of docs/detection.md and docs/forecasts.md from the labelled series in DETECTION_DATA (default
#?                ../shared/detection-dev). DETECTION=quality, ablation, family, forecast, entities, rollout or speed for one of its tables.
#? make fuzz      every fuzz target for FUZZ_SECONDS (20) each, from the kept corpus. Its first build takes ten minutes.
#? make generate  rewrites what is generated and checked in: protobuf code, the configuration reference, the built-in forests.
#? make model    writes the built-in model as a bundle into models/builtin; a test holds the two together.
#? make tools     installs the real parts alone, and lists them.
#?
#? Variables:
#?   SIDELONG_CACHE      where tools are kept, by version; ~/.cache/sidelong. Removing it costs time, nothing else.
#?   CARGO_TARGET_DIR    where cargo builds; target/ in the clone, $SIDELONG_CACHE/target when CI is set.
#?   RUST_TEST_THREADS   tests at once; 4.
#?   SIDELONG_KEEP_LOGS  any value: a test leaves its folder (logs, configurations) behind, and says where.

.PHONY: tools
tools:
	@$(TOOLS)/install
	@$(TOOLS)/install --list

.PHONY: demo
demo:
	cargo build --release --no-default-features
	@$(TARGET)/release/sidelong demo $(DEMO)

.PHONY: test
test:
	@$(TOOLS)/install
	@mkdir -p target && rm -f $(SIDELONG_TEST_REPORT)
	@status=0; cargo test --workspace --no-fail-fast $(TEST) || status=$$?; $(TOOLS)/report; exit $$status

.PHONY: check
check:
	@$(TOOLS)/install shellcheck cargo-deny
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --workspace --all-targets --no-default-features -- -D warnings
	# What only an optimising build rejects; and what `make demo` runs.
	cargo build --release --no-default-features
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --workspace --no-deps --document-private-items
	@$(TOOLS)/checks

.PHONY: bench
bench:
	@$(TOOLS)/install vmagent nginx
	cargo build --release
	CARGO_TARGET_DIR=$(abspath $(TARGET))/rig cargo build --release --manifest-path benches/rig/Cargo.toml
	@python3 benches/rig/bench.py $(BENCH) --target $(abspath $(TARGET))

.PHONY: detection
detection:
	cargo build --release --quiet
	@python3 -c 'import numpy' 2>/dev/null || { test -x $(SIDELONG_CACHE)/numpy/bin/python || python3 -m venv $(SIDELONG_CACHE)/numpy; $(SIDELONG_CACHE)/numpy/bin/python -m pip install --quiet numpy; }
	@PYTHON=$$(python3 -c 'import numpy, sys; print(sys.executable)' 2>/dev/null || echo $(SIDELONG_CACHE)/numpy/bin/python) \
		SIDELONG=$(abspath $(TARGET))/release/sidelong benches/detection/run $(DETECTION)

.PHONY: bench-train
bench-train:
	@test -x $(SIDELONG_CACHE)/bench-train/bin/python || { python3 -m venv $(SIDELONG_CACHE)/bench-train; \
		$(SIDELONG_CACHE)/bench-train/bin/python -m pip install --quiet statsmodels==0.15.0 scikit-learn==1.9.1 numpy==2.4.6; }
	cargo bench --quiet --bench train | $(SIDELONG_CACHE)/bench-train/bin/python benches/train/run.py

.PHONY: fuzz
fuzz:
	@FUZZ_SECONDS=$(FUZZ_SECONDS) $(TOOLS)/fuzz

.PHONY: model
model:
	cargo build
	@rm -rf models/builtin
	@$(TARGET)/debug/sidelong model export models/builtin

.PHONY: generate
generate:
	cargo run --quiet -p xtask -- generate
	cargo run --quiet -- config-reference docs/configuration.md
	cargo run --release --no-default-features --features train --quiet -- forest-source src/detect/hybrid/forest/builtin.rs
	cargo run --release --no-default-features --features train --quiet -- forest-source --joint src/detect/hybrid/forest/builtin_joint.rs
