#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# 1,000 offloaded connections at once: each one's content is checked, none is in software, and afterwards neither the
# device nor the kernel holds on to anything.
#
# timeout: 240
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
conns=1000

load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"

# thousand NAME: the receiver tells connections apart by their ports
thousand() {
	local device sw sealed peak now
	watch_pattern
	device=$(tls_stat TlsTxDevice) sw=$(tls_stat TlsTxSw) sealed=$(stat hw_tls_tx_bytes) peak=0
	stream_start near 10.0.0.2 --tls 1.2 --connections $conns --port-base 10000 --bytes 10K || give_up "no receiver"
	while ! ended "$stream_tx"; do
		now=$(stat hw_tls_ctx)
		[ "$now" -le $peak ] || peak=$now
		sleep 0.1
	done
	stream_ok "$1: all content of $conns connections is right" 60
	nothing_clear "$1: nothing in the clear"
	is $(($(tls_stat TlsTxDevice) - device)) $conns "$1: the core counts all as offloaded"
	is $(($(tls_stat TlsTxSw) - sw)) 0 "$1: the core counts none as software"
	# a look takes a while, and the first may end meanwhile
	between "$peak" $((conns * 95 / 100)) $conns "$1: the device held them all at once"
	between $(($(stat hw_tls_tx_bytes) - sealed)) $((conns * 10240)) $((conns * 10240 * 2)) "$1: the device sealed everything"
	check "$1: no context is left in the device" wait_for 30 contexts_gone
	is "$(stat tx_tls_ctx)" "$(stat tx_tls_del)" "$1: no context is left in the driver"
}

ports_free_at_once
thousand "first"
objects=$(objects_held) slab=$(meminfo SUnreclaim)
thousand "second"
if [ -d /sys/kernel/slab ] && ! grep -q kasan /proc/kallsyms; then
	between $(($(objects_held) - objects)) -100000 $((conns * 9 / 10)) "no objects are left behind"
	between $(($(meminfo SUnreclaim) - slab)) -100000 2048 "no slabs are left behind (KB)"
else
	skip "no objects are left behind" "KASAN keeps what was freed; kmemleak looks for leaks"
fi
is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
is "$(stat tx_tls_sw_fallback_bytes)" 0 "software sealed nothing"
finish
