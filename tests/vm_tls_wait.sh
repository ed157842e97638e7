#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Packets of offloaded connections that wait in a queueing discipline before the driver sees them: until the offload has
# begun behind them, and until their record is gone.
#
# timeout: 180
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"

load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
modprobe -q -a sch_tbf sch_plug
head -c 1M /dev/urandom >/tmp/file
more_than() { [ "$(stat "$1")" -gt "$2" ]; }

# Slow enough for a packet to wait seconds. (netem will not do: it takes the socket from packets, and the core drops such
# that are still to be sealed.)
slow() {
	tc qdisc replace dev sn0 root tbf rate 8kbit burst 1600 limit 200000
}

# --- what was sent in front of the offload arrives in the clear, as it was, though the NIC sees it later ---

counters_mark near
began() { [ "$(tls_stat TlsTxDevice)" -gt "$device" ]; }
for host in 10.0.0.2 fd00::2; do
	device=$(tls_stat TlsTxDevice)
	slow
	stream_start near $host --tls 1.2 --bytes 100K --before 10000 || give_up "no stream"
	check "before the offload, to $host: it begins" wait_for 20 began
	# Those that wait are lost with it, and sent again
	tc qdisc del dev sn0 root
	stream_ok "before the offload, to $host: all content is right" 60
done
counters_read near
between "$(grown near tx_tls_skip_no_sync_data)" 2 60 "before the offload: packets passed as they were"
is "$(grown near tx_tls_sw_fallback_packets)$(grown near tx_dropped)" 00 "before the offload: nothing for software, nothing dropped"
between "$(grown near hw_tls_tx_bytes)" $((200 << 10)) 1000000 "before the offload: the NIC sealed what came behind"

# --- a retransmission that waited until its record was acknowledged ---

# A plug in front of the far port holds the acknowledgements of what is on the wire already, until a second one, in
# front of the near port, has caught a retransmission. Then the acknowledgements go, and last the retransmission. The
# sender has stopped meanwhile, so nothing else is on its way: no record at all is left, or those alone that it has sent
# after the acknowledgements.
plugged() { at "$1" tc qdisc replace dev "$(dev_of "$1")" root plug limit 1000000; }
released() { at "$1" tc qdisc change dev "$(dev_of "$1")" root plug release_indefinite; }
unplugged() { at "$1" tc qdisc del dev "$(dev_of "$1")" root; }
waiting() { [ "$(tc -s -j qdisc show dev sn0 root | sed -n 's/.*"backlog":\([0-9]*\).*/\1/p')" -gt "$1" ]; }
all_acked() { [ "$(ss -tnH "dport = :$stream_port" | awk '{ print $3 }')" = 0 ]; }
goes_on() { stopped "$stream_tx" && kill -CONT "$stream_tx"; ended "$stream_tx"; }
stopped_and_acked() { stopped "$stream_tx" && all_acked; }
all_sealed() { stopped "$stream_tx" && more_than hw_tls_tx_bytes $(($1 + 7999)); }
dropped() { more_than tx_tls_drop_no_sync_data "${counters_was[near.tx_tls_drop_no_sync_data]}"; }

# Their packets would wait too
near_mac=$(cat /sys/class/net/sn0/address) far_mac=$(far cat /sys/class/net/sn1/address)
ip neigh replace 10.0.0.2 lladdr "$far_mac" dev sn0 nud permanent
far ip neigh replace 10.0.0.1 lladdr "$near_mac" dev sn1 nud permanent

for left in "no record" "a later record"; do
	name="record gone, $left is left"
	counters_mark near
	wire_watch /tmp/file
	stream_start near 10.0.0.2 --tls 1.2 --file /tmp/file --bytes 32000 -- --chunk 1000 --stop-every 8000 ||
		give_up "no stream"
	check "$name: eight records have come over" wait_for 20 stopped_and_acked
	check "$name: acknowledgements wait" plugged far
	before=$(stat hw_tls_tx_bytes)
	kill -CONT "$stream_tx"
	check "$name: eight more are sent" wait_for 20 all_sealed "$before"
	check "$name: a plug for the near side" plugged near
	# Of a record's size: neighbour discovery is smaller
	check "$name: a retransmission waits" wait_for 60 waiting 1000
	check "$name: it is not acknowledged before" eval '! all_acked'
	released far
	check "$name: what it repeats is acknowledged" wait_for 20 stopped_and_acked
	if [ "$left" != "no record" ]; then
		kill -CONT "$stream_tx"
		check "$name: later records wait behind it" wait_for 20 waiting 2000
	fi
	is "$(stat tx_tls_drop_no_sync_data)" "${counters_was[near.tx_tls_drop_no_sync_data]}" "$name: nothing is dropped yet"
	released near
	check "$name: the packet is dropped" wait_for 20 dropped
	unplugged near
	unplugged far
	wait_for 60 goes_on
	stream_ok "$name: the connection goes on, and all content is right" 60
	nothing_clear "$name: nothing in the clear"
	counters_read near
	is "$(grown near tx_dropped)" "$(grown near tx_tls_drop_no_sync_data)" "$name: nothing else is dropped"
	is "$(grown near tx_tls_drop_bypass_req)$(grown near tx_tls_sw_fallback_packets)" 00 "$name: software sealed nothing"
	is "$(grown near tx_tls_lost)" 0 "$name: the device was never lost"
done

is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
finish
