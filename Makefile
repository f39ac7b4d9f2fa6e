# The checks and what they need, on a fresh Debian 12 or any machine with Go, gcc, a Vulkan driver and Chromium.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SILENT:
.PHONY: innerloop test setup vet page race timing lint fuzz clean help

FUZZTIME ?= 30s
LINT := go tool -modfile=tools/go.mod golangci-lint

innerloop: ## build ./innerloop, the command line
	go build -o $@ ./cmd/innerloop

# Two packages at a time: one compiles or waits for its browser while another computes. The tests of the page come after
# them, two browsers at a time. No test bounds a time; the limit of go test ends what hangs.
test: setup vet page race ## install what is missing and run every check; without an adapter or a browser it fails
	echo '== go test ./...'
	export XDG_RUNTIME_DIR=$$(mktemp -d)
	trap 'rm -rf "$$XDG_RUNTIME_DIR"' EXIT
	export INNERLOOP_REQUIRE_GPU=1 INNERLOOP_REQUIRE_BROWSER=1
	failed=0
	go test -p 2 -timeout 2h $$(go list ./... | grep -v '/ui/e2e$$') 2>&1 || failed=1
	go test -parallel 2 -timeout 2h ./ui/e2e 2>&1 || failed=1
	exit $$failed

setup: ## install a C compiler, a Vulkan driver and Chromium where they are missing
	.ci/setup

vet: ## gofmt and go vet, for this machine and for the browser
	echo '== gofmt, go vet, build for the browser'
	unformatted=$$(gofmt -l .)
	[ -z "$$unformatted" ] || { echo "not formatted (gofmt -w mends it):"; echo "$$unformatted"; exit 1; }
	go vet ./...
	GOOS=js GOARCH=wasm go vet ./...
	GOOS=js GOARCH=wasm go build ./...

page: ## types and unit tests of the page's modules
	echo '== tsc, node --test'
	cd ui
	npx --no-install tsc --noEmit
	node --test --test-reporter=dot test/*.test.js

# The adapters are hidden, since a software adapter under the race detector takes hours, and so are the tests
# that drive a browser. The command line's scripts run whole processes, of which some may use little memory: the race
# detector itself needs more.
race: ## the race detector over all that runs without a GPU and a browser
	echo '== go test -race, without a GPU'
	list='{{if eq .Name "main"}}{{.ImportPath}} {{join .Deps " "}}{{end}}'
	packages=$$(go list -test -f "$$list" ./... | grep '^[^ ]*\.test ' | grep -v chromedp | sed 's/\.test .*//')
	VK_DRIVER_FILES=/nonexistent go test -race -short -skip "^TestScript$$" -p 2 -timeout 2h $$packages 2>&1

timing: setup ## the tests that measure time, one by one, as ratios or in CPU time: for a quiet machine
	export INNERLOOP_TIMING=1 INNERLOOP_REQUIRE_GPU=1 INNERLOOP_REQUIRE_BROWSER=1
	go test -count=1 -p 1 -parallel 1 -timeout 2h -v -run '^TestTiming' ./gpu ./ui/e2e 2>&1

lint: ## golangci-lint, at the version of tools/go.mod, for this machine and for the browser
	$(LINT) run
	GOOS=js GOARCH=wasm $$($(LINT:tool=tool -n)) run

fuzz: ## every fuzz target for FUZZTIME each
	grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | while IFS=: read -r file name; do
		name=$${name#func }
		echo "== $$name in $$(dirname "$$file")"
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$(dirname "$$file")" </dev/null
	done

clean: ## remove what was built
	rm -rf innerloop out

help: ## list the targets
	sed -nE 's/^([a-z]+):[^#]*## (.*)/make \1\t\2/p' Makefile | expand -t 18
