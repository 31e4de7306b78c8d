# hubfs: how to build, run, test and measure. `make help` lists the targets.

GO      ?= go
BIN     := bin/hubfs
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

# The linter has a module of its own, so that its many dependencies stay out of ours.
LINT := $(GO) tool -modfile=scripts/tools/go.mod golangci-lint

.DEFAULT_GOAL := help
.PHONY: help run build test check lint-quick fmt docs bench soak conformance clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## the main job in one command: an embedded Hub, a sample repo, a mount, a tour
	$(BIN) demo

build: ## build bin/hubfs, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/hubfs

test: ## all Go tests, under the race detector
	$(GO) test -race -timeout 20m ./...

check: ## format, vet, linters, build
	@test -z "$$(gofmt -l .)" || { echo "not formatted (run make fmt):"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(LINT) run ./...
	GOOS=darwin $(GO) vet ./hub ./blobcache
	$(MAKE) build

lint-quick: ## lint one package: make lint-quick PKG=./hub/...
	$(LINT) run $(PKG)

fmt: ## format the code
	gofmt -w .

docs: ## write docs/api.md from the table of methods
	$(GO) run ./cmd/hubfs api --markdown > docs/api.md

bench: build ## measure against what a user would pick instead
	$(GO) test -tags bench -count=1 -timeout 60m -v -run TestBench ./scripts/e2e

soak: build ## the long checks: many gigabytes, many processes, a bad network (minutes)
	$(GO) test -tags soak -count=1 -timeout 60m -v ./scripts/e2e
	$(GO) test -tags soak -count=1 -timeout 60m -race -v -run "TestModel|TestKill|TestNoCommitIsDoubled" ./writeback
	$(GO) test -tags soak -count=1 -timeout 90m -v -run "TestModel" ./fs
	$(GO) test -tags soak -count=1 -timeout 60m -race -v -run "TestLostAnswers|TestKill" ./syncer
	$(GO) test -tags soak -count=1 -timeout 60m -v -run TestLargeUploadKilled ./hub

conformance: build ## what the official clients see, against what hubfs sees (needs PyPI and npm)
	scripts/conformance/run.sh

clean: ## remove what the other targets made
	rm -rf bin dist .venv* .npm-conformance bench-results conformance-results
