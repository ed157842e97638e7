#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The other machine type, where the RAM above 4 GiB begins elsewhere and there are no slots of PCI Express.
#
# And a device that does not know TLS 1.3, for which our own tls.ko has no key of it.
#
# timeout: 240
# vm: --machine pc --model-arg --without --model-arg 0x80000
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-offload.sh"

load_ktls
load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
check "there is RAM above 4 GiB" grep -q '^100000000-.*System RAM' /proc/iomem
nic=$(stat hw_tls_tx_bytes)
transfer "plain" near 10.0.0.2 --connections 8 --bytes 512K
transfer "plain, the other way, over IPv6" far fd00::1 --connections 8 --bytes 512K
transfer "sealed" near 10.0.0.2 --tls 1.2 --bytes 2M
between $(($(stat hw_tls_tx_bytes) - nic)) $((2 << 20)) 10000000 "the NIC sealed it"

why_mark
failed=$(stat tx_tls_add_failed) nic=$(stat hw_tls_tx_records)
transfer "TLS 1.3" near 10.0.0.2 --tls 1.3 --bytes 1M
is "$(why)" "TxSwVersion 1" "TLS 1.3: software has it, as the device does not know the version"
is "$(stat tx_tls_add_failed) $(stat hw_tls_tx_records)" "$failed $nic" "and was not asked"
transfer "TLS 1.2" near 10.0.0.2 --tls 1.2 --bytes 1M
is $(($(stat hw_tls_tx_records) - nic)) 64 "TLS 1.2: the NIC sealed it"

check "unplug" operator unplug 0
check "replug" operator replug 0
one_nic() { [ "$(nics | wc -l)" = 1 ]; }
check "the port is back" wait_for 20 one_nic
is "$(stat hw_err_addr far)$(stat hw_err_desc far)" 00 "the device took all addresses"
check "the driver goes" unload_driver
unload_ktls
finish
