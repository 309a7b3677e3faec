# What one does with this project, all day long. `make` lists it.

# Further arguments of the program or of go test: make dev ARGS=--fresh, make test ARGS='-run Append'
ARGS ?=
# The packages that test and lint look at.
PKG ?= ./...

# Only the race detector needs cgo, and a C compiler with it. All else goes without, so that each package is compiled once,
# also for the peers of recount bench compare, which then need not compile SQLite.
race := $(if $(filter 1,$(shell env -u CGO_ENABLED go env CGO_ENABLED)),-race)
export CGO_ENABLED := 0

with_postgres := go run ./internal/pgtest/cmd/with-postgres

# Tests hold the product at the points of internal/failpoint. Without the tag those that do skip.
tags = -tags failpoints
# Tests wait for PostgreSQL, leases and processes more than they compute.
parallel = -parallel 4

gofmt = $(shell go env GOROOT)/bin/gofmt

.PHONY: help dev test test-all test-settings test-peers hostile fuzz postgres import-check bench bench-compare chaos chaos-long mutants lint fmt build programs

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

# Not by go run: it ends with an error on Ctrl-C, whatever the program says.
dev: programs build ## run everything in one process, with a PostgreSQL of its own
	@exec bin/recount dev $(ARGS)

test: programs ## test all but what takes long, on one throw-away PostgreSQL
	$(with_postgres) go test $(tags) $(parallel) -short $(ARGS) $(PKG)

test-all: programs ## test with the race detector, what takes long too, and under other settings
	@[ -n "$(race)" ] || echo "no C compiler (see go env CC): testing without the race detector" >&2
	$(with_postgres) $(if $(race),env CGO_ENABLED=1) go test $(tags) $(race) $(parallel) -vet=off -timeout 15m $(ARGS) $(PKG)
ifeq ($(PKG),./...)
	@$(MAKE) test-settings
endif

test-settings: programs ## test under unkind settings of sessions, in other execution modes and behind poolers
	$(with_postgres) sh scripts/test-settings.sh $(parallel) $(ARGS)

# Which requests are sent: make hostile SEED=42
SEED ?= $(shell date +%j%H%M)

hostile: programs ## attack two servers with 50,000 requests, and check every answer
	$(with_postgres) go test $(tags) ./cmd/recount -run TestHostileClient -v -timeout 10m -args -hostile.requests 50000 -hostile.seed $(SEED)

test-peers: programs ## test the stores that recount bench compare measures beside Recount; downloads them
	$(with_postgres) go test -C tests/bench/peers $(tags) $(ARGS) ./...

# How long each target is fuzzed, or with how many inputs, and which packages: make fuzz FUZZTIME=1m FUZZ=httpapi,
# FUZZTIME=10000x
FUZZTIME ?= 10s
FUZZ ?= .

fuzz: ## run every fuzz target for a while
	sh scripts/fuzz.sh $(FUZZTIME) $(FUZZ)

postgres: programs ## run a PostgreSQL for tests; keeps the databases of failed ones
	$(with_postgres)

import-check: programs ## send the real orders through a server that is killed on the way
	sh scripts/import-check.sh $(ARGS)

bench: programs ## measure how fast it is, for a quarter of an hour; writes docs/benchmarks.md
	sh scripts/bench.sh

chaos: programs ## break everything for a while and check that nothing was lost (ARGS=-h)
	go run $(tags) ./tests/chaos/cmd/chaos --duration 90s --faults 380 --min-faults 300 --events 500000 -q $(ARGS)

chaos-long: programs ## the same for half an hour; writes its report into docs/reliability.md
	go run ./tests/chaos/cmd/chaos --duration 30m --faults 6000 --min-faults 4700 --events 4000000 --write docs/reliability.md -q $(ARGS)

bench-compare: programs ## measure it beside other event stores, for some minutes; writes their part of docs/benchmarks.md
	sh scripts/bench.sh compare

mutants: programs ## put bugs into the product and see each caught; writes docs/reliability.md (ARGS=blind-retry: only that)
	go run ./tests/trials/cmd/mutants $(or $(ARGS),-o docs/reliability.md)
ifeq ($(ARGS),)
	go run ./tests/trials/cmd/mutants -o docs/reliability.md -random 10s
endif

lint: ## check format, go vet, staticcheck
	@unformatted=$$($(gofmt) -l .) && if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	go vet $(tags) $(PKG)
	go tool staticcheck $(tags) $(PKG)
ifeq ($(PKG),./...)
	go vet ./internal/failpoint
	go tool staticcheck ./internal/failpoint
	cd tests/bench/peers && "$$(go -C ../../.. tool -n staticcheck)" $(tags) ./...
endif

fmt: ## format the code
	$(gofmt) -w .

build: ## build bin/recount
	go build -trimpath -o bin/recount ./cmd/recount

# The programs of a PostgreSQL server: there already, or installed.
programs:
	@sh scripts/postgres.sh
