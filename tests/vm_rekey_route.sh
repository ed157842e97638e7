#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The next key of a connection whose packets leave by another NIC than the one that has its context: see ktls_rekey.c. Four
# ports on two wires: sn0 and sn2 here, sn1 and sn3 in the namespace far. The checker sees both wires.
#
# vm: --ports 4 --model-arg --wire --model-arg pair=0:1 --model-arg --wire --model-arg pair=2:3
# timeout: 60
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-offload.sh"
test=$SEALNIC_REPO/build/tests/ktls_rekey

load_ktls
drops_mark
load_driver || give_up "sealnic.ko does not load"
four_ns || give_up "no four ports"
ip route replace 10.9.0.2 via 10.0.0.2 dev sn0 src 10.9.0.1
sysctl -qw net.ipv4.tcp_early_retrans=0
"$test" content >/tmp/content

wire_watch /tmp/content
tap "rekey" "$test" route
nothing_clear "nothing in the clear"
is "$(drops)" "" "no packet was dropped"
for dev in sn0 sn2; do
	is "$(stat_of $dev hw_tls_tx_unexpected)$(stat_of $dev hw_tls_tx_malformed)$(stat_of $dev hw_tls_tx_no_ctx)" 000 \
		"$dev: the device had to drop nothing"
	is "$(stat_of $dev tx_tls_ctx)" "$(stat_of $dev tx_tls_del)" "$dev: nothing is left"
done
ip netns del far
unload_driver
unload_ktls
finish
