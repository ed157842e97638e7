#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Packets of offloaded connections that wait in a queueing discipline before the driver sees them: until the offload has
# begun behind them, and until their record is gone.
#
# timeout: 300
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"

load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
modprobe -q sch_tbf
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

# The acknowledgements of what was sent take six seconds from some point on. The first retransmission goes after four,
# and waits for the driver behind seventeen seconds of datagrams. Whether there is one is up to TCP, which may probe
# instead: some tries, then.
counters_mark near
sealing() { more_than hw_tls_tx_bytes "$sealed"; }
dropped() { more_than tx_tls_drop_no_sync_data "${counters_was[near.tx_tls_drop_no_sync_data]}"; }
capture_start gone.pcap
for try in 1 2 3 4; do
	sealed=$(stat hw_tls_tx_bytes)
	ip route change 10.0.0.0/24 dev sn0 proto kernel scope link src 10.0.0.1 rto_min 4s
	pace 50000
	stream_start near 10.0.0.2 --tls 1.2 --file /tmp/file -- --chunk 1000 || give_up "no stream"
	wait_for 20 sealing
	model wire delay=3000000 >/dev/null
	slow
	for i in {1..12}; do head -c 1400 /dev/zero >/dev/udp/10.0.0.2/9; done 2>/dev/null
	wait_for 25 dropped
	tc qdisc del dev sn0 root
	pace off
	model wire clear >/dev/null
	ip route change 10.0.0.0/24 dev sn0 proto kernel scope link src 10.0.0.1
	stream_ok "record gone, try $try: the connection goes on, and all content is right" 60
	! dropped || break
done
if dropped; then
	ok "record gone: the packet is dropped"
else
	skip "record gone: the packet is dropped" "TCP retransmitted nothing that waited long enough"
fi
nothing_clear "record gone: nothing in the clear" /tmp/file gone.pcap
counters_read near
is "$(grown near tx_dropped)" "$(grown near tx_tls_drop_no_sync_data)" "record gone: nothing else is dropped"
is "$(grown near tx_tls_drop_bypass_req)$(grown near tx_tls_sw_fallback_packets)" 00 "record gone: software sealed nothing"
is "$(grown near tx_tls_lost)" 0 "record gone: the device was never lost"

is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
finish
