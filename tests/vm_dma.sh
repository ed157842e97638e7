#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# DMA mappings that fail: every mapping goes through a bounce buffer of 4 MB, which a large receive ring takes for itself.
# Packets are dropped and counted, and connections go on when there is room again. It also shows that the driver
# synchronises for the device and for the CPU what it maps, for without that a bounce buffer holds something else.
#
# The device has more vectors than the driver has queue pairs, too: eight are the most.
#
# vm: --append swiotlb=2048,force --vectors 17
# reports: swiotlb buffer is full
# timeout: 240
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"

load_driver || give_up "sealnic.ko does not load"
# With 1,024 buffers for each queue the first port takes everything
for dev in $(nics); do
	channels_are "$dev" 8 "17 vectors, $dev"
	ethtool -L "$dev" combined 1
	ethtool -G "$dev" rx 64
done
two_ns || give_up "no two ports"
pool=/sys/kernel/debug/swiotlb
diag "the bounce buffer has $(cat $pool/io_tlb_nslabs) slots, of which $(cat $pool/io_tlb_used) are in use"
between "$(cat $pool/io_tlb_used)" 200 512 "buffers are bounced"

transfer "TCP" near 10.0.0.2 --connections 4 --bytes 512K
transfer "TCP over IPv6, the other way" far fd00::1 --connections 4 --bytes 512K
transfer "sealed" near 10.0.0.2 --tls 1.2 --connections 4 --bytes 1M

# starved NAME OPTIONS...: a stream from which the bounce buffer is taken for a while
map_failed() { [ "$(stat tx_map_failed)" -gt $((failed + 20)) ]; }
starved() {
	local name=$1 failed dropped alloc
	shift
	pace 200000
	failed=$(stat tx_map_failed) dropped=$(stat tx_dropped) alloc=$(stat rx_alloc_failed)
	stream_start near 10.0.0.2 --connections 8 --port-base $((stream_port * 2)) --bytes 1M "$@"
	sleep 1
	ethtool -G sn0 rx 4096
	between $(($(stat rx_alloc_failed) - alloc)) 1 1000000 "$name: receive buffers that cannot be mapped are counted"
	check "$name: packets that cannot be mapped are counted" wait_for 20 map_failed
	ended "$stream_tx" && not_ok "$name: the stream was over before it happened"
	ethtool -G sn0 rx 64
	pace off
	stream_ok "$name: the same connections go on, and all content is right"
	is $(($(stat tx_dropped) - dropped)) $(($(stat tx_map_failed) - failed)) "$name: each was dropped, and nothing else was"
}
starved "plain"
nic=$(stat hw_tls_tx_bytes)
starved "sealed" --tls 1.2
between $(($(stat hw_tls_tx_bytes) - nic)) $((8 << 20)) 100000000 "sealed: by the NIC"
transfer "afterwards" far 10.0.0.1 --connections 8 --bytes 512K
check "no context is left" wait_for 20 contexts_gone
is "$(stat hw_err_addr)$(stat hw_err_desc)" 00 "the device took all addresses"
finish
