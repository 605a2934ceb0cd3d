# One line each: what is done stands in the script or crate that is named here.

.DEFAULT_GOAL := help
.PHONY: help run build plugins test soak check bench fuzz clean setup

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

# The dev profile: dependencies are optimised in it too, and it links in seconds where `make build` takes minutes.
run: plugins ## build all, serve an example on 8080 and 8443, print commands to try
	cargo build --package portcullis
	examples/quickstart/run target/debug/portcullis

build: plugins ## the release binary, at target/release/portcullis
	cargo build --release --package portcullis

plugins: setup ## the shipped filters and the test guests, compiled to Wasm
	plugins/build

test: plugins ## every test
	.ci/test --no-run
	examples/check target/debug/portcullis
	cd sdk/rust && cargo test --workspace --all-features
	cd plugins && cargo test --workspace
	.ci/test
	benches/instructions

check: plugins ## format, lints, dependencies: what a change has to pass besides the tests
	.ci/check

soak: plugins ## what takes minutes: rollouts with the defaults, idle connections, faults over time
	.ci/soak

bench: plugins ## micro-benchmarks
	cargo bench --package portcullis-benches
	benches/instructions

fuzz: ## fuzzing, a minute for each target; needs cargo-fuzz and a nightly compiler. make test replays the seeds
	.ci/fuzz

clean: ## remove everything that was built
	rm -rf target

setup:
	@.ci/require cargo cc python3 curl
