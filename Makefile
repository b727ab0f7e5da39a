# Kuryr: what there is to do. The work is done by Go and by the scripts in
# test/; this file only gives it names.

SHELL := /bin/bash

.PHONY: help build test demo bench lint fuzz clean packages
.DEFAULT_GOAL := help

help: ## list these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## build the one static binary, bin/kuryr
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o bin/ ./cmd/kuryr

packages: ## install the Debian packages that tests and the demo need (root)
	test/packages.sh

test: packages ## run everything: linters, units, namespaces, end to end with Docker (root)
	go run ./test/layers lint unit namespaces e2e

demo: packages ## show Kuryr at work with Docker, from nothing to nothing (root)
	go run ./test/demo

bench: packages ## measure Kuryr's share of a container's start and stop (root)
	go run ./test/bench

lint: ## check format and code, without running it
	go run ./test/layers lint

fuzz: ## try every decoder of outside input with what nobody sends, 10 seconds each
	go run ./test/fuzz -time 10s

clean: ## remove what was built
	rm -rf bin dist
