# Everything a contributor runs; `make` alone lists it.
#
# The tools are pinned, each in a module of its own under tools/, so that no tool chooses a version
# for another or for the gateway. `go tool` builds them from source once and keeps them in Go's
# build cache; buf and golangci-lint take a minute or two each the first time. The two protobuf
# generators are pinned in go.mod: they belong to the libraries that the generated code needs anyway.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules --no-print-directory

GO ?= go
FUZZTIME ?= 60s
BENCH ?= .
ARGS ?=

BUF := $(GO) tool -modfile=tools/buf/go.mod buf
GOFUMPT := $(GO) tool -modfile=tools/gofumpt/go.mod gofumpt
GOLANGCI_LINT := $(GO) tool -modfile=tools/golangci-lint/go.mod golangci-lint
GOVULNCHECK := $(GO) tool -modfile=tools/govulncheck/go.mod govulncheck

# Git names the files, new ones included: nothing installed or ignored is taken for ours. Generated
# ones keep their generators' format.
GREP := git grep --untracked -E
GO_FILES := $(GREP) -l '^package ' -- '*.go' ':!gen'

# Comments are left out of the image: they may change at any time.
CONTRACT := proto/contract.binpb
CONTRACT_IMAGE := $(BUF) build --exclude-source-info -o

# The race detector needs a C compiler.
RACE := $(if $(shell set -- $$($(GO) env CC) && command -v "$$1"),-race)
ifndef RACE
NO_RACE := ; echo 'no C compiler here: the race detector is off' >&2
else
NO_RACE :=
endif

# GNU make sets MAKE_TERMOUT when it writes to a terminal.
ifdef MAKE_TERMOUT
BOLD := \033[1m
PLAIN := \033[0m
else
BOLD :=
PLAIN :=
endif
say = @printf '$(BOLD)==> %s$(PLAIN)\n' '$(1)'

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "$(BOLD)%-18s$(PLAIN) %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: generate
generate: ## Generate gen/ from proto/
	$(call say,generate gen/)
	@$(BUF) generate

.PHONY: build
build: ## Build the binary, ./paystream
	$(call say,build ./paystream)
	@$(GO) build -trimpath -o paystream .

# --- web/

# npm's scripts find the Node that a dev dependency brings along: the machine's may be older.
NPM := npm --prefix web run --silent
NEED_NPM = command -v npm >/dev/null || { echo 'npm is missing: web/ needs it (any version of Node.js that brings npm 10 or later); make test-go runs without' >&2; exit 1; }

web/node_modules: web/package-lock.json
	@$(NEED_NPM)
	$(call say,npm ci)
	@npm --prefix web ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: generate-web
generate-web: web/node_modules ## Generate the client library's messages from proto/
	$(call say,generate web/client/src/gen/)
	@$(NPM) generate

.PHONY: build-web
build-web: web/node_modules ## Build web/dist, the dashboard that the binary embeds
	$(call say,build web/dist)
	@$(NPM) build

# --- tests

.PHONY: test
test: test-go test-web ## Run all tests but those that need a real Kafka

.PHONY: test-web
test-web: web/node_modules ## Run the tests of web/: the client library, and the dashboard in a browser
	$(call say,vitest)
	@$(NPM) test

.PHONY: test-go
test-go: ## Run the Go tests, with the race detector
	$(call say,go test $(strip $(RACE) ./...))
	@$(GO) test $(RACE) ./...$(NO_RACE)
	$(call say,go test $(strip $(RACE) ./...) in bench/)
	@$(GO) -C bench test $(RACE) ./...$(NO_RACE)
	$(call say,go test $(strip $(RACE) ./...) in chaos/)
	@$(GO) -C chaos test $(RACE) ./...$(NO_RACE)

# Only packages that have tests for a real Kafka, two at a time: each starts brokers of its own, and waits for them a lot.
.PHONY: test-kafka
test-kafka: web/node_modules ## Run the tests against a real Kafka, downloaded once into .kafka/
	$(call say,fetch Kafka and the proxies)
	@internal/kafkatest/fetch.sh
	@internal/proxytest/fetch.sh
	$(call say,go test $(RACE) -tags kafka)
	@packages=$$($(GREP) -l '^//go:build .*\bkafka\b' -- '*_test.go' ':!chaos' | xargs -r -n1 dirname | sort -u | sed 's|^|./|' || true); \
	[[ -n $$packages ]] || { echo 'no test has the build tag kafka' >&2; exit 1; }; \
	$(GO) test $(RACE) -tags kafka -count=1 -timeout 15m -p 2 $$packages$(NO_RACE)

# The gateway is built from this tree; ARGS="-only=saturated,paced -rounds=5" and the like go to the
# program, whose -help says what there is.
.PHONY: bench
bench: ## Measure the gateway, and what it is compared with, on this machine (ARGS=-help for more)
	$(call say,go build bench/)
	@[[ '$(ARGS)' =~ -(embedded|quick|h(elp)?|scaling|kafka) ]] || internal/kafkatest/fetch.sh || { echo 'without Java: make bench ARGS=-embedded' >&2; exit 1; }
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	$(GO) -C bench build -trimpath -o "$$dir/bench" .; \
	"$$dir/bench" -root . $(ARGS)

# The gateway is built from this tree; ARGS="-only=gateway-kill,leader-kill" and the like go to the
# program, whose -help says what there is.
.PHONY: chaos
chaos: ## Break brokers, gateways and networks for 15 minutes, and judge what subscribers saw (ARGS=-help for more)
	$(call say,go build chaos/)
	@$(CHAOS) $(if $(findstring -only,$(ARGS)),,-markdown chaos/RESULTS.md) $(ARGS)

.PHONY: chaos-quick
chaos-quick: ## The same in 3 minutes, with a selection of faults
	$(call say,go build chaos/)
	@$(CHAOS) -quick $(ARGS)

.PHONY: chaos-soak
chaos-soak: ## Have 500 subscribers come and go for 30 minutes, and judge whether the gateways grow
	$(call say,go build chaos/)
	@$(CHAOS) -soak 30m -rate 1000 -markdown chaos/RESULTS.md $(ARGS)

.PHONY: chaos-judge
chaos-judge: ## Try chaos' judge with gateways that do wrong with one payment in 100,000
	$(call say,go test -tags kafka in chaos/)
	@internal/kafkatest/fetch.sh
	@$(GO) -C chaos test -tags kafka -count=1 -timeout 15m ./faulty

CHAOS = internal/kafkatest/fetch.sh; \
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	$(GO) -C chaos build -trimpath -o "$$dir/chaos" .; \
	"$$dir/chaos" -root .

.PHONY: bench-go
bench-go: ## Run the Go benchmarks (BENCH=<pattern> for some)
	@packages=$$($(GREP) -l '^func Benchmark' -- '*_test.go' ':!bench' | xargs -r -n1 dirname | sort -u | sed 's|^|./|' || true); \
	[[ -n $$packages ]] || { echo 'no package has a benchmark' >&2; exit 1; }; \
	printf '$(BOLD)==> go test -bench %s$(PLAIN)\n' "$$(tr '\n' ' ' <<<"$$packages")"; \
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $$packages

.PHONY: fuzz
fuzz: ## Run every fuzz test for 60 s (FUZZTIME=<duration> for another time)
	@tests=$$($(GREP) -o '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | sed 's/:func /:/' || true); \
	[[ -n $$tests ]] || { echo 'no package has a fuzz test' >&2; exit 1; }; \
	while IFS=: read -r file name; do \
		printf '$(BOLD)==> fuzz %s %s$(PLAIN)\n' "$$(dirname "$$file")" "$$name"; \
		$(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")" </dev/null; \
	done <<<"$$tests"

# --- checks

.PHONY: check
check: check-generated check-contract check-format check-tidy check-vet check-lint check-vuln check-web ## Run every check that is not a test
	$(call say,all checks passed)

.PHONY: check-generated
check-generated: ## Check that gen/ is what buf generates
	$(call say,check gen/)
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	$(BUF) generate -o "$$dir"; \
	diff -r "$$dir/gen" gen || { echo 'gen/ is not what proto/ says: run make generate' >&2; exit 1; }

# The last comparison sees what was added, which breaks no client: once the image lacks a field,
# nothing would notice that the field was taken away again.
.PHONY: check-contract
check-contract: ## Lint proto/ and compare it with the contract's image
	$(call say,check the contract)
	@$(BUF) lint
	@$(BUF) breaking --against $(CONTRACT) || { echo 'this breaks clients out there: the contract may only be added to' >&2; exit 1; }
	@$(CONTRACT_IMAGE) - | cmp -s - $(CONTRACT) || \
		{ echo 'the contract was added to: if on purpose, run make contract-image and commit $(CONTRACT)' >&2; exit 1; }

# Only when the contract was added to on purpose: what is in the image is promised to clients for
# good. It refuses what breaks the promises made so far.
.PHONY: contract-image
contract-image: ## Renew the contract's image, after an addition made on purpose
	$(call say,renew $(CONTRACT))
	@$(BUF) lint
	@$(BUF) breaking --against $(CONTRACT)
	@$(CONTRACT_IMAGE) $(CONTRACT)

.PHONY: check-format
check-format: ## Check that gofumpt would change nothing
	$(call say,gofumpt)
	@diff=$$($(GO_FILES) | xargs $(GOFUMPT) -d) && [[ -z $$diff ]] || \
		{ echo "$$diff"; echo 'not formatted: run make format' >&2; exit 1; }

.PHONY: format
format: ## Format the Go files with gofumpt
	$(call say,gofumpt -w)
	@$(GO_FILES) | xargs $(GOFUMPT) -l -w

.PHONY: check-tidy
check-tidy: ## Check that go mod tidy would change nothing
	$(call say,go mod tidy)
	@$(GO) mod tidy -diff || { echo 'go.mod is not tidy: run go mod tidy' >&2; exit 1; }
	@$(GO) -C bench mod tidy -diff || { echo 'bench/go.mod is not tidy: run go -C bench mod tidy' >&2; exit 1; }
	@$(GO) -C chaos mod tidy -diff || { echo 'chaos/go.mod is not tidy: run go -C chaos mod tidy' >&2; exit 1; }

.PHONY: check-vet
check-vet: ## Run go vet
	$(call say,go vet)
	@$(GO) vet ./...
	@$(GO) vet -tags kafka ./...
	@$(GO) -C bench vet ./...
	@$(GO) -C chaos vet -tags kafka ./...

.PHONY: check-lint
check-lint: ## Run golangci-lint
	$(call say,golangci-lint (its first build takes a minute or more))
	@$(GOLANGCI_LINT) config verify
	@$(GOLANGCI_LINT) run --allow-serial-runners ./...
	@$(GOLANGCI_LINT) run --allow-serial-runners --build-tags kafka ./...
	@cd bench && $(subst -modfile=,-modfile=../,$(GOLANGCI_LINT)) run --allow-serial-runners ./...
	@cd chaos && $(subst -modfile=,-modfile=../,$(GOLANGCI_LINT)) run --allow-serial-runners --build-tags kafka ./...

.PHONY: check-vuln
check-vuln: ## Look for known vulnerabilities, where their database can be reached
	$(call say,govulncheck)
	@tools/govulncheck/check $(GOVULNCHECK) ./...

.PHONY: check-web
check-web: check-web-generated check-web-code check-web-audit ## Run the checks of web/

# The build is compared byte for byte: the versions of all that makes it are in the lock file.
.PHONY: check-web-generated
check-web-generated: web/node_modules ## Check that web/'s messages and dist are what their sources make
	$(call say,check web/client/src/gen/ and web/dist/)
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	$(BUF) generate --template web/buf.gen.yaml -o "$$dir"; \
	diff -r "$$dir/web/client/src/gen" web/client/src/gen || { echo 'web/client/src/gen/ is not what proto/ says: run make generate-web' >&2; exit 1; }; \
	$(NPM) build -w dashboard -- --outDir "$$dir/dist" --logLevel warn; \
	diff -rq "$$dir/dist" web/dist || { echo 'web/dist/ is not what web/dashboard makes: run make build-web' >&2; exit 1; }

.PHONY: check-web-code
check-web-code: web/node_modules ## Check types, lint and format of web/
	$(call say,npm run check)
	@$(NPM) check

.PHONY: check-web-audit
check-web-audit: web/node_modules ## Look for known vulnerabilities in what web/ ships, where the registry can be asked
	$(call say,npm audit --omit=dev)
	@tools/npm-audit/check

# --- the rest

.PHONY: clean
clean: ## Remove what build, test and bench leave behind (.kafka/ and .proxies/ stay)
	$(call say,clean)
	@rm -f paystream
	@git ls-files --others --ignored --exclude-standard -- '*.test' '*.prof' '*.out' ':!**/node_modules/**' | xargs -r rm -f
