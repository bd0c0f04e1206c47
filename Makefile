# Every target runs from a fresh clone with only Go installed; what needs more says so and skips loudly.
GO       ?= go
FUZZTIME ?= 60s
BENCHTIME ?= 60s
TRANSITIONS ?= 1000000
QEMU ?= qemu-aarch64
HAMMERCALLS ?= 10000000
CRASHES  ?= 300
SEEDS    ?= 500
BENCHRULES ?= $(wildcard internal/rule/builtin/*.yml internal/ruletest/testdata/rules.yml)
export CGO_ENABLED ?= 0

.PHONY: build test race lint fuzz arm64 hammer history crash simulate e2e bench ci clean

build: ## the static binary, ./tocsin
	$(GO) build -trimpath -o tocsin ./cmd/tocsin

test: ## what the README says: every test that needs only Go
	$(GO) test ./...

race: ## the same under the race detector, the binary of the end-to-end tests included (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race ./...

lint: ## vet, staticcheck, formatting
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@test -z "$$(gofmt -l .)" || { echo "gofmt needed:"; gofmt -l .; exit 1; }

fuzz: ## every fuzz target for FUZZTIME each
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

arm64: ## the tests of machine code for arm64, in an emulator
	@command -v $(QEMU) >/dev/null || { echo "LOUD SKIP: make arm64 needs $(QEMU) (package qemu-user); the arm64 tests did NOT run"; exit 0; }; \
	GOARCH=arm64 CGO_ENABLED=0 $(GO) test -count=1 -exec $(QEMU) ./internal/kernel/... ./internal/jit/arm64/... ./internal/jit/native/...

hammer: ## machine code under pressure of every kind: HAMMERCALLS calls
	TOCSIN_HAMMER_CALLS=$(HAMMERCALLS) $(GO) test -count=1 -run TestHammer -timeout 2h -v ./internal/jit/native/...

history: ## pages of a history of TRANSITIONS, each under 50 ms at p99
	TOCSIN_LEDGER_TRANSITIONS=$(TRANSITIONS) $(GO) test -count=1 -run TestHistoryOfAMillion -timeout 1h -v ./internal/ledger

crash: ## kill -9 the binary under load CRASHES times, about three seconds each; nothing of alerts may be lost or false
	TOCSIN_CRASHES=$(CRASHES) $(GO) test -count=1 -run TestAlertsSurviveKill9 -timeout 24h -v ./internal/e2e

simulate: ## half an hour of the whole chain, from sample to receiver, in fake time, for each of SEEDS seeds; about two seconds each
	TOCSIN_SIMULATE_SEEDS=$(SEEDS) $(GO) test -count=1 -run TestChain -timeout 24h -v ./internal/sim/chain

e2e: ## the built binary against real clients; those that are not installed are skipped loudly
	$(GO) test -count=1 ./internal/e2e/...

bench: build ## every measurement on this machine, into BENCHMARKS.md; latency for BENCHTIME at each background
	./tocsin bench report --duration $(BENCHTIME) $(BENCHRULES)

ci: ; bash .ci/run

clean: ; rm -rf tocsin bin
