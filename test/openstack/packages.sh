#!/bin/bash
# Installs the Debian packages that the OpenStack lab needs, those that are
# missing: about 210 with all that they depend on, 100 MB. Nothing is asked,
# and no service is started: the lab starts its own.
set -euo pipefail

# What each package is needed for:
needed=(
	keystone                  # the Identity API
	uwsgi-core                # serves it
	uwsgi-plugin-python3      #
	mariadb-server            # the database of Keystone and Neutron
	neutron-server            # the Networking API
	ovn-central               # ML2/OVN: northd and its two databases
	ovn-host                  # ML2/OVN: the controller of a compute host
	openvswitch-switch        # the layer 2 of ML2/OVN and ML2/OVS
	rabbitmq-server           # ML2/OVS and linuxbridge: between server and agents
	neutron-openvswitch-agent # ML2/OVS
	neutron-linuxbridge-agent # linuxbridge
	python3-openstackclient   # openstack, for whoever looks at the lab
	iproute2                  # ip, for namespaces
	util-linux                # nsenter
	ethtool                   # checksum offload off, which the userspace datapath needs
	iputils-ping              # ping, from a namespace
	iperf3                    # throughput, from a namespace
)

installed() {
	dpkg-query --show --showformat='${Package} ${db:Status-Status}\n' "${needed[@]}" 2>/dev/null |
		sed -n 's/ installed$//p'
}
mapfile -t missing < <(printf '%s\n' "${needed[@]}" | grep -vxF -f <(installed) || true)
if ((${#missing[@]} == 0)); then
	exit 0
fi
if ((EUID != 0)); then
	echo "openstack packages: ${missing[*]} are missing, and only root can install them" >&2
	exit 1
fi

began=$SECONDS
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
trap 'rm -f "$log" ${made_policy:+"$policy"}' EXIT

# No service is started, with systemd or without.
if [[ ! -e $policy ]]; then
	made_policy=yes
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
# The packages would make databases, and tell Keystone of themselves.
for answer in keystone/configure_db keystone/create-admin-tenant keystone/register-endpoint \
	neutron-common/configure_db neutron/configure_db neutron/register-endpoint; do
	echo "${answer%%/*} $answer boolean false"
done | debconf-set-selections

# install shows how far it has come, by the lines that dpkg writes for each package.
install() {
	apt-get --option Dpkg::Options::=--force-unsafe-io --option DPkg::Lock::Timeout=600 \
		install --yes --no-install-recommends "${missing[@]}" >>"$log" 2>&1 &
	local apt=$! shown=0
	while kill -0 "$apt" 2>/dev/null; do
		sleep 1
		if ((++shown % 20 == 0)); then
			echo "openstack packages: $(grep -c '^Unpacking' "$log") unpacked, $(grep -c '^Setting up' "$log") set up, $((SECONDS - began)) s"
		fi
	done
	wait "$apt"
}

echo "openstack packages: installing ${missing[*]} ..."
# The lists of packages may be missing, or older than the packages.
install || { apt-get update >>"$log" 2>&1 && install; } || {
	tail -n 100 "$log" >&2
	echo "openstack packages: could not install ${missing[*]}" >&2
	exit 1
}
echo "openstack packages: done in $((SECONDS - began)) s"
