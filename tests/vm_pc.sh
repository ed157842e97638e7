#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The other machine type, where the RAM above 4 GiB begins elsewhere and there are no slots of PCI Express.
#
# vm: --machine pc
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"

load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
check "there is RAM above 4 GiB" grep -q '^100000000-.*System RAM' /proc/iomem
nic=$(stat hw_tls_tx_bytes)
transfer "plain" near 10.0.0.2 --connections 8 --bytes 512K
transfer "plain, the other way, over IPv6" far fd00::1 --connections 8 --bytes 512K
transfer "sealed" near 10.0.0.2 --tls 1.2 --bytes 2M
between $(($(stat hw_tls_tx_bytes) - nic)) $((2 << 20)) 10000000 "the NIC sealed it"
check "unplug" operator unplug 0
check "replug" operator replug 0
one_nic() { [ "$(nics | wc -l)" = 1 ]; }
check "the port is back" wait_for 20 one_nic
is "$(stat hw_err_addr far)$(stat hw_err_desc far)" 00 "the device took all addresses"
finish
