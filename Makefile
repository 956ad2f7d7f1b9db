# Duly. `make` lists what there is to do.
GO      ?= go
BIN     := bin/duly
TOOLS   := $(CURDIR)/.cache/tools
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.0
FUZZTIME ?= 10s
SEEDS   ?= 200
START   ?= 1

export CGO_ENABLED = 0

.PHONY: help build demo sim worlds test unit lint bench bench-compare bench-report crash crash-nodes crash-stream stop-latency verify soak soak-serve smpp-flood fuzz fmt clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

build: ## build bin/duly, one static binary
	$(GO) build -trimpath -ldflags '-s -w' -o $(BIN) ./cmd/duly

demo: build ## the main job in one command: make a book, import it, run 30 days, check every promise
	$(BIN) demo --dir demo

test: lint unit worlds ## everything: lint, unit, property and conformance tests on SQLite and PostgreSQL, SEEDS worlds of 90 days, a crash test
	$(GO) run ./internal/sim/crashtest -contacts 2000 -kills 2

unit: ## the tests alone; installs PostgreSQL and builds a mail server where they are absent
	scripts/setup-test
	DULY_TEST_POSTGRES_REQUIRED=$$(scripts/setup-test required) DULY_TEST_SMPP_REQUIRED=$$(scripts/setup-test required smpp) \
		DULY_TEST_KANNEL_REQUIRED=$$(scripts/setup-test required kannel) $(GO) test ./...
	cd bench && $(GO) test .

lint: ## go vet, staticcheck, gofmt and the floors
	@test -z "$$(gofmt -l .)" || { echo "not gofmt'd:"; gofmt -l .; exit 1; }
	$(GO) vet ./... && cd bench && $(GO) vet .
	GOBIN=$(TOOLS) $(GO) install $(STATICCHECK)
	$(TOOLS)/staticcheck ./...

bench: ## figures beside the targets of docs/benchmarks.md: gate, import, plan, dispatch, memory
	$(GO) test ./internal/gate ./internal/plan ./internal/message ./internal/arrange ./internal/reply -run '^$$' -bench . -benchmem
	$(GO) run ./internal/sim/bench
	$(GO) run ./internal/sim/bench -postgres
	$(GO) run ./internal/sim/bench -cells -instalments 400000

bench-compare: ## dispatch beside River's, and growth from 100,000 to 1,000,000 instalments; half an hour, on a quiet machine
	cd bench && $(GO) vet . && $(GO) run . compare && $(GO) run . growth

bench-report: bench-compare ## the same, and write docs/performance.md
	cd bench && $(GO) run . report ../docs/performance.md

crash: build ## die at every named point and at 100 random ones, in every outage, on SQLite and PostgreSQL: lost, twice, in doubt
	$(GO) run ./internal/sim/crashtest -contacts 80000 -matrix 100
	$(GO) run ./internal/sim/crashtest -contacts 80000 -matrix 100 -postgres

stop-latency: ## payments at random while 100,000 contacts stream out, on SQLite and PostgreSQL: how soon they stop what is on its way
	$(GO) run ./internal/sim/stoplatency -contacts 100000
	$(GO) run ./internal/sim/stoplatency -contacts 100000 -postgres

verify: ## what takes too long for every run: all windows in all zones over three years, 1,000 races for the last slot of a limit
	ROUNDS=1000 $(GO) test ./internal/engine -run TestLastSlotGoesToOne -v -timeout 30m
	VERIFY=1 $(GO) test ./internal/gate -run TestWindowOracle -v -timeout 90m

crash-nodes: ## three servers over one PostgreSQL, 300,000 contacts, a kill -9 or a pause every 10 s for 5 minutes
	$(GO) run ./internal/sim/crashtest -contacts 300000 -nodes 3 -kill-every 10s -for 5m

crash-stream: ## three servers over two PostgreSQL behind a log of three, 30,000 contacts; each kind is killed in turn for 2 minutes
	$(GO) run ./internal/sim/crashtest -contacts 30000 -nodes 3 -stream -for 2m

worlds: build ## SEEDS worlds of 90 days and 200 borrowers from seed START on, in which everything goes wrong
	$(BIN) sim --seed $(START) --seeds $(SEEDS) --days 90 --borrowers 200

sim: worlds ## the same; then every guard is switched off and must be missed
	MUTANTS=all $(GO) test ./internal/sim -run TestMutants -timeout 30m

soak: ## 20,000 lives of persons by seeds that no run had before: what fails prints its SEED
	SEED=$$(date +%s%N) LIVES=20000 $(GO) test ./internal/plan -run TestLives -timeout 60m

smpp-flood: ## 100,000 messages through a message centre that throttles, drops connections and loses answers: lost, twice, in doubt, messages/s
	scripts/setup-test
	FLOOD=100000 FLOOD_TPS=2500 $(GO) test ./internal/channel/smpp -run TestFlood -v -timeout 30m

soak-serve: ## an hour at 500 new people a second, with a carrier that fails in many ways: memory, goroutines and queue must stay flat
	$(GO) run ./internal/sim/crashtest -soak 1h -rate 500

fuzz: ## every fuzz target for FUZZTIME each
	scripts/fuzz $(FUZZTIME)

fmt: ## gofmt
	gofmt -w .

clean: ## remove what was built
	rm -rf bin demo .cache
