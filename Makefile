# What a person types here: `make demo` shows the main job, `make test` runs every test.
# Both install what they need where they may (Debian, Ubuntu, as root or with passwordless sudo)
# and otherwise say exactly what to install.

CARGO ?= cargo
DEMO_ARGS ?=
BENCH_ARGS ?=
TEST_ARGS ?=

# The folders with the server programs of other versions: PG_BINS="/opt/pg16/bin /opt/pg18/bin" make test-matrix
PG_BINS ?= $(wildcard /usr/lib/postgresql/*/bin)

.PHONY: help demo test test-matrix check lint bench docs-check postgres toolchain optional

help:
	@echo "make demo    carry a rename through under live traffic on a private PostgreSQL"
	@echo "make test    run every test (unit, property, integration)"
	@echo "make test-matrix   the tests that use PostgreSQL, on every version in PG_BINS (default: all that Debian installed)"
	@echo "make lint    formatting and clippy, as CI runs them"
	@echo "make check   lint and test"
	@echo "make bench   measure the backfill against its alternatives (BENCH_ARGS=--full: at length)"

demo: toolchain postgres
	$(CARGO) run --quiet --locked -- demo $(DEMO_ARGS)

test: toolchain postgres optional
	$(CARGO) test --locked

test-matrix: toolchain optional
	@[ -n "$(strip $(PG_BINS))" ] || { echo "no server programs: PG_BINS=\"/folder/bin ...\" names them" >&2; exit 1; }
	@failed=; for bin in $(PG_BINS); do \
		echo "== $$("$$bin/postgres" --version)"; \
		SHIPCTL_PG_BIN="$$bin" $(CARGO) test --locked --test integration -- $(TEST_ARGS) || failed="$$failed $$bin"; \
	done; [ -z "$$failed" ] || { echo "failed on:$$failed" >&2; exit 1; }

bench: toolchain postgres
	$(CARGO) bench --locked --bench backfill -- $(BENCH_ARGS)

lint: toolchain
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

check: lint test

toolchain:
	@command -v $(CARGO) >/dev/null || { \
		echo "cargo is missing: install Rust 1.94 or newer, see https://rustup.rs" >&2; exit 1; }
	@if ! command -v cc >/dev/null || ! command -v git >/dev/null; then \
		echo "a C compiler and git are needed; installing gcc, libc6-dev and git"; \
		$(call install,gcc libc6-dev git); \
	fi

postgres:
	@if ! $(has_postgres); then \
		echo "PostgreSQL's server programs (initdb, postgres) are missing; installing them"; \
		$(call install,postgresql); \
		$(has_postgres) || { echo "initdb is still not to be found; set SHIPCTL_PG_BIN to its folder" >&2; exit 1; }; \
	fi

# What single tests need; without them these tests say so and are skipped.
optional:
	@if [ -z "$$SHIPCTL_KUBECTL" ] && ! command -v kubectl >/dev/null; then \
		echo "kubectl is missing, so the kubernetes source is not tested; on Debian: apt-get install kubernetes-client" >&2; \
		echo "(or see https://kubernetes.io/docs/tasks/tools/, and set SHIPCTL_KUBECTL if it is not in PATH)" >&2; \
	fi
	@if ! command -v pgbouncer >/dev/null && ! [ -x /usr/sbin/pgbouncer ]; then \
		{ [ -n "$$CI" ] && ( $(call install,pgbouncer) ); } || \
		echo "pgbouncer is missing, so the census behind it is not tested; on Debian: apt-get install pgbouncer" >&2; \
	fi

# PostgreSQL need not be in PATH: the program looks in the same places.
has_postgres = { [ -x "$${SHIPCTL_PG_BIN:-/nowhere}/initdb" ] || command -v initdb >/dev/null \
	|| ls /usr/lib/postgresql/*/bin/initdb /usr/local/pgsql/bin/initdb >/dev/null 2>&1 \
	|| [ -x "$$(pg_config --bindir 2>/dev/null)/initdb" ]; }

# Installs Debian packages, or says which ones to install and fails.
define install
if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1); \
elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then \
	sudo -n apt-get update -qq && sudo -n DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1); \
else \
	echo "please install: $(1)" >&2; \
	echo "on Debian or Ubuntu: sudo apt-get install $(1)" >&2; \
	exit 1; \
fi
endef
