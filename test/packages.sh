#!/bin/bash
# Installs the Debian packages that Kuryr's tests and demo need, those that
# are missing. Nothing is asked, and nothing needs to be running afterwards:
# the tests start a Docker engine of their own.
set -euo pipefail

# What each package is needed for:
needed=(
	docker.io      # the engine under test, with its client
	iptables       # the engine's own, and the check of our rule in its chain
	nftables       # the look at all rules, for what is left behind
	busybox-static # the image that tests run: no registry is needed
	iproute2       # ip, for namespaces
	ethtool        # the look at what an interface offloads
	iputils-ping   # ping from a namespace
	util-linux     # nsenter, unshare
	systemd        # the units run under one that is process 1 of namespaces of its own
	openvswitch-switch # ovs-vswitchd and its database, of which tests start their own
	python3-openstackclient # a stock client of the embedded Neutron
	ca-certificates
)

missing=()
for p in "${needed[@]}"; do
	[[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$p" 2>/dev/null)" == installed ]] || missing+=("$p")
done
if ((${#missing[@]} == 0)); then
	exit 0
fi
if ((EUID != 0)); then
	echo "packages: ${missing[*]} are missing, and only root can install them" >&2
	exit 1
fi

echo "packages: installing ${missing[*]} ..."
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
trap 'rm -f "$log" ${made_policy:+"$policy"}' EXIT

# Where there is no policy on starting services yet, the installation has one
# that says no.
forbid_services() {
	[[ -e $policy ]] && return
	made_policy=yes
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
}

export DEBIAN_FRONTEND=noninteractive
install() {
	# The lists of packages may be missing, or older than the packages.
	apt-get install --yes --no-install-recommends "$@" >>"$log" 2>&1 ||
		{ apt-get update >>"$log" 2>&1 && apt-get install --yes --no-install-recommends "$@" >>"$log" 2>&1; } || {
		cat "$log" >&2
		echo "packages: could not install $*" >&2
		exit 1
	}
}

# No engine is started on this machine, nor its network touched. Without
# systemd the engine would fail to start, and fail the installation.
[[ -d /run/systemd/system ]] || forbid_services

# An Open vSwitch of the machine's own is never started, not with its next
# start either: it would make interfaces there.
switch=openvswitch-switch
others=()
for p in "${missing[@]}"; do
	[[ $p == "$switch" ]] || others+=("$p")
done
((${#others[@]} == 0)) || install "${others[@]}"
if ((${#others[@]} < ${#missing[@]})); then
	forbid_services
	install "$switch"
	[[ ! -d /run/systemd/system ]] || systemctl disable --quiet "$switch"
fi
echo "packages: done"
