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
	util-linux     # nsenter
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

# No engine is started on this machine, nor its network touched: where there
# is no policy on starting services yet, the installation has one that says no.
# Without systemd the engine would fail to start, and fail the installation.
if [[ ! -e $policy && ! -d /run/systemd/system ]]; then
	made_policy=yes
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
install() {
	apt-get install --yes --no-install-recommends "${missing[@]}" >>"$log" 2>&1
}
# The lists of packages may be missing, or older than the packages.
install || { apt-get update >>"$log" 2>&1 && install; } || {
	cat "$log" >&2
	echo "packages: could not install ${missing[*]}" >&2
	exit 1
}
echo "packages: done"
