# Kuryr: what there is to do. The work is done by Go and by the scripts in
# test/; this file only gives it names.

SHELL := /bin/bash

.PHONY: help build test test-openstack test-openstack-all chaos chaos-openstack demo bench bench-check lint fuzz clean packages
.PHONY: openstack-packages openstack-up openstack-status openstack-down
.DEFAULT_GOAL := help

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

build: ## build the one static binary, bin/kuryr
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o bin/ ./cmd/kuryr

packages: ## install the Debian packages that tests and the demo need (root)
	test/packages.sh

test: packages ## run everything: linters, units, fuzz targets, namespaces, end to end with Docker, chaos (root)
	go run ./test/layers lint unit fuzz namespaces e2e

chaos: packages ## kill and break everything, ROUNDS=20 SEED=... FROM=1 (root)
	go run ./test/layers chaos

demo: packages ## show Kuryr at work with Docker, from nothing to nothing (root)
	go run ./test/demo

bench: packages ## measure it all, on the OpenStack lab too if it is up: SECTIONS=docker,run,... chooses (docs/benchmarks.md) (root)
	go run ./test/bench $(if $(wildcard $(LAB)/lab.json),-lab $(LAB)) $(if $(SECTIONS),-only $(SECTIONS))

bench-check: packages ## measure a little, and fail if a ratio is worse than the committed one (root)
	go run ./test/bench -short -check test/bench/figures.json

lint: ## check format and code, without running it
	go run ./test/layers lint

fuzz: ## try every decoder of outside input with what nobody sends, 10 seconds each
	go run ./test/layers -fuzztime 10s fuzz

clean: ## remove what was built
	rm -rf bin dist

# The lab: a real Keystone and Neutron (test/openstack/README.md).
MECHANISM ?= ovn
LAB := /var/lib/kuryr-lab
HOSTS ?= h1,h2

openstack-packages: ## install the Debian packages that the OpenStack lab needs (root)
	test/openstack/packages.sh

openstack-up: openstack-packages ## bring up a Keystone and Neutron: MECHANISM=ovn|ovs|ovs-hybrid|linuxbridge (root)
	go run ./test/openstack/lab up --mechanism $(MECHANISM) --hosts $(HOSTS)

openstack-status: ## what of the lab runs, and its memory
	go run ./test/openstack/lab status

openstack-down: ## take the lab down, with all that runs on it
	go run ./test/openstack/lab down

test-openstack: packages openstack-up ## bring the lab up, test on it, take it down (root)
	go run ./test/layers openstack; code=$$?; go run ./test/openstack/lab down && exit $$code

test-openstack-all: ## the same on every mechanism (root)
	for m in ovn ovs ovs-hybrid linuxbridge; do $(MAKE) test-openstack MECHANISM=$$m || exit; done

chaos-openstack: packages openstack-up ## bring the lab up, kill Kuryr at its crash points on it, take it down (root)
	go run ./test/layers chaos-openstack; code=$$?; go run ./test/openstack/lab down && exit $$code
