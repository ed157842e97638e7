#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# 10,000 offloaded connections over our tls.ko, a thousand at once: half of them sealed, half of them opened by the NIC, of
# both versions of TLS. Each one's content is checked, none is software's, and afterwards neither the device nor the driver
# nor the kernel holds on to anything.
#
# timeout: 300
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-offload.sh"
conns=1000 rounds=5
[ "${slowness:-1}" = 1 ] || conns=100

load_ktls
load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
ports_free_at_once

all_gone() { [ "$(stat hw_tls_ctx)$(stat hw_tls_rx_ctx)" = 00 ]; }
# round N: as many connections that send, then as many that receive
round() {
	local version=1.$((2 + $1 % 2)) name="round $1"
	watch_pattern "$1"
	stream_start near 10.0.0.2 --tls $version --connections $conns --port-base 10000 --bytes 1500 --seed "$1" || give_up "$name: no streams"
	stream_ok "$name: $conns connections that send, TLS $version"
	opening_start 10.0.0.1 --tls $version --connections $conns --port-base 10000 --bytes 1500 --seed "$1" -- --tls-user ||
		give_up "$name: no streams"
	stream_ok "$name: $conns connections that receive, TLS $version"
	nothing_clear "$name: nothing in the clear"
	check "$name: no context is left in the device" wait_for 30 all_gone
}

why_mark
counters_mark near
round 0
objects=$(objects_held) slab=$(meminfo SUnreclaim)
start=$SECONDS
for ((i = 1; i < rounds; i++)); do round $i; done
diag "$((2 * conns * (rounds - 1))) connections in $((SECONDS - start)) s"
if [ -d /sys/kernel/slab ] && ! grep -q kasan /proc/kallsyms; then
	between $(($(objects_held) - objects)) -100000 $((conns * (rounds - 1) / 2)) "no objects are left behind"
	between $(($(meminfo SUnreclaim) - slab)) -100000 4096 "no slabs are left behind (KB)"
else
	skip "no objects are left behind" "KASAN keeps what was freed; kmemleak looks for leaks"
fi
counters_read near
all=$((conns * rounds))
is "$(grown near tx_tls_ctx) $(grown near tx_tls_del)" "$all $all" "contexts for sending, added and deleted"
is "$(grown near rx_tls_ctx) $(grown near rx_tls_del)" "$all $all" "contexts for receiving, added and deleted"
is "$(tls_stat TlsTxDevice) $(tls_stat TlsRxDevice)" "$all $all" "the core counts all as offloaded"
is "$(why)" "" "and none as software"
between "$(grown near hw_tls_tx_bytes)" $((all * 1500)) $((all * 1600)) "the device sealed everything"
between "$(grown near hw_tls_rx_bytes)" $((all * 1500)) $((all * 1600)) "and opened everything"
is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
is "$(current)" "0 0 0 0" "the core has no connection left"
unload_driver
unload_ktls
finish
