# stek: two commands on a fresh Debian machine with Go.
#
#   make demo    build everything, install a virtual box, wait until its node is Ready
#   make test    unit and integration tests, with the race detector
#
# Built things go to build/, what is worth keeping between builds to $(CACHE).

SHELL       := /bin/bash
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
CACHE       ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stek
GOFLAGS_BIN := -trimpath -buildvcs=false
LDFLAGS     := -s -w -X main.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
export STEK_CACHE := $(CACHE)

.PHONY: help build man image reproduce demo test lint e2e e2e-full bench powercut fuzz vuln setup clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install what building and testing need (Debian packages)
	@scripts/setup

build: ## the program, for this machine
	CGO_ENABLED=0 go build $(GOFLAGS_BIN) -ldflags '$(LDFLAGS)' -o build/stek ./cmd/stek

man: build ## manual pages of every command, in build/man
	build/stek man --dir build/man

image: setup build ## build/stek-amd64.img, with k3s built from source (not for production)
	build/stek image build --k3s module --cache $(CACHE) --keys $(CACHE)/keys \
	  --lock images/components.lock --file build/stek-amd64.img

reproduce: setup ## build the image in two clones, one with empty caches, and compare them
	WARM=$(CACHE) scripts/reproduce

demo: setup build ## a virtual box from power-on to Ready
	go run ./test/demo -cache $(CACHE) $(if $(KEEP),-keep) $(if $(TUI),-screen)

test: setup lint ## every test that needs no installed box
	go test -race -timeout 20m ./...

lint:
	@test -z "$$(gofmt -l cmd installer images firmware test)" || { gofmt -l cmd installer images firmware test; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

e2e: setup build ## the short tests on virtual boxes
	go test -tags e2e -count 1 -timeout 80m -v -skip TestFull ./test/e2e
	go test -tags e2e -count 1 -timeout 20m -v -skip TestFull ./test/bootchain

e2e-full: setup build ## what make test leaves out: virtual boxes, a node in namespaces
	go test -tags e2e -count 1 -timeout 6h -v ./test/e2e
	go test -tags e2e -count 1 -timeout 60m -v ./test/bootchain
	go test -tags e2e -count 1 -timeout 3h -v -run TestFull ./test/attack
	go test -tags e2e -count 1 -timeout 60m -v -run TestFull ./test/interop
	go test -tags e2e -count 1 -timeout 2h -v -run TestFull ./test/powercut
	go test -tags guest -count 1 -timeout 30m -v -run TestFull ./test/powercut
	go test -tags guest -count 1 -timeout 60m -v ./test/radio
	go test -tags guest -count 1 -timeout 20m -v -run TestFull ./test/network ./installer/network/probe
	go test -tags guest -count 1 -timeout 60m -v -run TestFull ./test/faults
	go test -tags k3s -count 1 -timeout 60m -v ./test/k3s -args -cache $(CACHE)

bench: image ## what stek promises to be fast at, against stock tools, in one run
	go run ./test/bench copy
	go run ./test/bench unlock
	go run ./test/bench start -runs 3
	go run ./test/bench sizes
	go test -run '^$$' -bench . ./installer/tui

powercut: setup build ## a power cut at every write, all states, of a whole box too (make test checks a part)
	STEK_POWERCUT=all go test -timeout 60m -count 1 -v ./test/powercut
	STEK_POWERCUT=all go test -tags guest -timeout 60m -count 1 -v -run TestFull ./test/powercut
	STEK_POWERCUT=all go test -tags e2e -timeout 8h -count 1 -v -run TestFullBox ./test/powercut

fuzz: ## every fuzz target for FUZZTIME (default 10m)
	scripts/fuzz $(or $(FUZZTIME),10m)

vuln: ## known vulnerabilities in what the program is built from
	scripts/vuln

clean: ## remove what was built, keep the cache
	rm -rf build
