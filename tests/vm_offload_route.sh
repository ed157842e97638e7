#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Routes that change under connections that the NIC seals and opens for our core: away from the NIC that has the contexts
# to another sealnic, which has none of them, and back, and away again while the first one goes down. What leaves by the
# other NIC is sealed by the fallback, what comes by it is opened by software, on both wires nothing is in the clear, and
# the first NIC goes on as soon as it sees the connections again. One stream in each direction, under way all the time.
#
# vm: --ports 4 --model-arg --wire --model-arg pair=0:1 --model-arg --wire --model-arg pair=2:3
# timeout: 300
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-offload.sh"

load_ktls
drops_mark
load_driver || give_up "sealnic.ko does not load"
four_ns || give_up "no four ports"
head -c 1M /dev/urandom >/tmp/file
other="$(stat_of sn2 hw_tls_tx_bytes) $(stat_of sn2 hw_tls_rx_bytes)"

# by N: both ends send over the wire of sn0, or of sn2
by() {
	ip route replace 10.9.0.2 via 10.0."$1".2 dev sn"$1" src 10.9.0.1
	ip -6 route replace fd09::2 via fd00:"$1"::2 dev sn"$1" src fd09::1
	at far ip route replace 10.9.0.1 via 10.0."$1".1 src 10.9.0.2
	at far ip -6 route replace fd09::1 via fd00:"$1"::1 src fd09::2
}
far_pace() {
	local dev
	for dev in sn1 sn3; do far tc qdisc replace dev $dev root fq maxrate $(($1 * 8)); done
}

# more NAME COMMAND...: what the command prints grows by 15000, or by as much as $enough says
more() {
	local name=$1
	shift
	check "$name" wait_for 30 grew "$("$@")" "$@"
}
grew() { [ "$("${@:2}")" -gt $(($1 + ${enough:-15000})) ]; }
# bytes DEV COUNTER: of the interface; sealed or opened
bytes() { cat /sys/class/net/"$1"/statistics/"$2"_bytes; }
nic_bytes() { echo "$(stat_of sn0 hw_tls_tx_bytes) $(stat_of sn0 hw_tls_rx_bytes)"; }
nic_still() { nic=$(nic_bytes) && nap 0.7 && [ "$(nic_bytes)" = "$nic" ]; }
is_current() { [ "$(current)" = "$1" ]; }
none_left() { [ "$(stat_of sn0 hw_tls_ctx) $(stat_of sn2 hw_tls_ctx) $(current)" = "0 0 0 0 0 0" ]; }

for version in "1.2 10.9.0.1 10.9.0.2" "1.3 fd09::1 fd09::2"; do
	# shellcheck disable=SC2086
	set -- $version
	name="TLS $1"
	by 0
	pace $((40000 / ${slowness:-1})) sn0 sn2
	far_pace $((40000 / ${slowness:-1}))
	wire_watch /tmp/file
	why_mark
	stream_start near "$3" --tls "$1" --file /tmp/file --bytes 3M || give_up "$name: no stream"
	sending=("$stream_port" "$stream_rx" "$stream_tx")
	opening_start "$2" --tls "$1" --file /tmp/file --bytes 3M -- --tls-user || give_up "$name: no stream"
	check "$name: both are the device's" wait_for 30 is_current "1 0 1 0"
	more "$name: the NIC seals" stat_of sn0 hw_tls_tx_bytes
	more "$name: and opens" stat_of sn0 hw_tls_rx_bytes

	routed=$(tls_stat TlsTxSwRoute)
	engines_mark
	by 2
	more "$name: they leave by the other NIC" bytes sn2 tx
	more "$name: and come by it" bytes sn2 rx
	# What was on its way is there
	wait_for 20 nic_still
	enough=10 more "$name: the fallback seals" tls_stat TlsTxFallback
	more "$name: software opens" bytes sn2 rx
	is "$(nic_bytes)" "$nic" "$name: the first NIC does nothing meanwhile"
	between $(($(tls_stat TlsTxSwRoute) - routed)) 1 20 "$name: the core says why"
	is "$(engines | grep -c 'tx other device')" 1 "$name: the tracepoint too"
	engines_mark

	by 0
	more "$name: back again, the NIC seals" stat_of sn0 hw_tls_tx_bytes
	more "$name: and opens" stat_of sn0 hw_tls_rx_bytes
	fallback=$(tls_stat TlsTxFallback)
	more "$name: and goes on" stat_of sn0 hw_tls_tx_bytes
	is "$(tls_stat TlsTxFallback)" "$fallback" "$name: the fallback has nothing to do"
	is "$(engines | grep -c 'tx device')" 1 "$name: the tracepoint has that"
	is "$(current) $(why)" "1 0 1 0 " "$name: both were the device's all the time"

	by 2
	enough=10 more "$name: away again, the fallback seals" tls_stat TlsTxFallback
	ip link set sn0 down
	is "$(current) $(why)" "0 1 0 1 TxSwDown 1 RxSwDown 1" "$name: the first NIC goes down: they are software's"
	is "$(stat_of sn0 hw_tls_ctx)" 0 "$name: it has no context any more"
	more "$name: they go on by the other NIC" bytes sn2 tx
	more "$name: in both directions" bytes sn2 rx
	ip link set sn0 up
	wait_for 20 has_carrier '' sn0
	ip -6 addr replace fd00:0::1/64 dev sn0 nodad

	ended "${sending[2]}" && not_ok "$name: the sending one was over before all that"
	ended "$stream_tx" && not_ok "$name: the receiving one was over before all that"
	pace off sn0 sn2
	for dev in sn1 sn3; do far tc qdisc del dev $dev root; done
	stream_ok "$name: all content that comes is right"
	stream_port=${sending[0]} stream_rx=${sending[1]} stream_tx=${sending[2]}
	stream_ok "$name: all content that goes is right"
	nothing_clear "$name: nothing in the clear, on either wire"
	check "$name: nothing is left" wait_for 20 none_left
done

is "$(drops)" "" "no packet was dropped"
is "$(tls_stat TlsDecryptError)" 0 "no record was"
is "$(stat_of sn2 hw_tls_tx_bytes) $(stat_of sn2 hw_tls_rx_bytes)" "$other" "the other NIC never sealed or opened"
for dev in sn0 sn2; do
	is "$(stat_of $dev hw_tls_tx_unexpected)$(stat_of $dev hw_tls_tx_malformed)$(stat_of $dev hw_tls_tx_no_ctx)" 000 \
		"$dev: the device had to drop nothing"
done
ip netns del far
unload_driver
unload_ktls
finish
