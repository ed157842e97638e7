#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The test bed itself: the root, its protection, the way to vm.sh, and the NIC as a bare PCI device.
set -u
. "$(dirname "$0")/guest-lib.sh"

nic_functions() { grep -l '^0x1af4$' /sys/bus/pci/devices/*/vendor | xargs -r -n 1 dirname | xargs -rI{} grep -l '^0x1110$' {}/device; }
functions_are() { [ "$(nic_functions | wc -l)" = "$1" ]; }

dmesg_mark
is "$(cd "$(dirname "$0")/.." && pwd)" "$SEALNIC_REPO" "the repository is where it is on the host"
check "the guest can write to its root" touch /usr/bin/written-by-the-guest "$SEALNIC_REPO/written-by-the-guest"
check "the guest can write to /out" touch /out/written-by-the-guest
check "modprobe finds the kernel's modules" modprobe tls
check "AES-GCM comes with AES-NI" grep -q '^driver *: generic-gcm-aesni' /proc/crypto
check "/usr/sbin/nginx is there and runs" /usr/sbin/nginx -v
check "vm.sh answers" operator hmp info status
is "$(operator hmp info status)" "VM status: running" "vm.sh passes the monitor's words on"
is "$(operator no-such-order 2>&1)" "error: no such order: no-such-order" "vm.sh refuses what it does not know"

if [ -n "$SEALNIC_PORTS" ]; then
	check "the NIC's $SEALNIC_PORTS ports are on the bus" functions_are "$SEALNIC_PORTS"
	check "unplug" operator unplug 0
	check "one port less on the bus" functions_are $((SEALNIC_PORTS - 1))
	check "unplug the second port" operator unplug 1
	check "the model dies" operator model-kill
	check "the model starts again" operator model-start
	check "replug" operator replug 0
	check "replug the second port" operator replug 1
	check "all ports are back on the bus" wait_for 10 functions_are "$SEALNIC_PORTS"
fi
dmesg_clean "no report in dmesg"
finish
