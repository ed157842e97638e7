#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Packets of offloaded connections that the NIC must not seal: those with IP options or an extension header, and those
# that a route takes to another NIC than the one that has the context. Four ports on two wires: sn0 and sn2 here, sn1 and
# sn3 in the namespace far. The capture has both wires.
#
# vm: --ports 4 --model-arg --wire --model-arg pair=0:1 --model-arg --wire --model-arg pair=2:3
# timeout: 300
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"

load_driver || give_up "sealnic.ko does not load"
head -c 1M /dev/urandom >/tmp/file

# by N: the route to far's address leads over sn0 or sn2
by() {
	ip route replace 10.9.0.2 via 10.0."$1".2 dev sn"$1" src 10.9.0.1
	ip -6 route replace fd09::2 via fd00:"$1"::2 dev sn"$1" src fd09::1
}
four_ns || give_up "no four ports"
by 0

# --- IP options ---

for host in 10.0.0.2 fd00::2; do
	wire_watch /tmp/file
	counters_mark near
	transfer "options to $host: all content is right" near $host --tls 1.2 --file /tmp/file -- --ip-options
	counters_read near
	nothing_clear "options to $host: nothing in the clear"
	is "$(grown near tx_tls_ctx)" 1 "options to $host: the connection was offloaded"
	between "$(grown near tx_tls_sw_fallback_bytes)" $((1 << 20)) 100000000 "options to $host: software sealed all of it"
	between "$(grown near tx_tls_sw_fallback_packets)" 700 1000000 "options to $host: packet by packet"
	is "$(grown near hw_tls_tx_bytes)" 0 "options to $host: the NIC sealed nothing"
	is "$(grown near hw_err_desc)" 0 "options to $host: and was not asked to"
done

# --- another route ---

sent_since() { [ "$(cat /sys/class/net/"$1"/statistics/tx_bytes)" -gt $(($2 + 100000)) ]; }
# sends DEV, seals DEV: wait until it has sent, or sealed, 100 KB more
sends() { wait_for 30 sent_since "$1" "$(cat /sys/class/net/"$1"/statistics/tx_bytes)"; }
seals() { wait_for 30 sealed_by "$1" "$(stat_of "$1" hw_tls_tx_bytes)"; }
sealed_by() { [ "$(stat_of "$1" hw_tls_tx_bytes)" -gt $(($2 + 100000)) ]; }

for host in 10.9.0.2 fd09::2; do
	by 0
	pace $((400000 / ${slowness:-1})) sn0 sn2
	wire_watch /tmp/file
	stream_start near $host --tls 1.2 --file /tmp/file --bytes 12M || give_up "no stream"
	check "$host: the NIC seals" seals sn0
	other=$(stat_of sn2 hw_tls_tx_bytes)
	by 2
	check "$host: after a change of routes it leaves by the other NIC" sends sn2
	nic=$(stat_of sn0 hw_tls_tx_bytes)
	check "$host: and goes on there" sends sn2
	is "$(stat_of sn0 hw_tls_tx_bytes)" "$nic" "$host: the first NIC seals nothing meanwhile"
	is "$(stat_of sn2 hw_tls_tx_bytes)" "$other" "$host: nor does the other one"
	by 0
	check "$host: back again, the first one seals" seals sn0
	ended "$stream_tx" && not_ok "$host: the stream was over before all that"
	pace off sn0 sn2
	stream_ok "$host: all content is right"
	nothing_clear "$host: nothing in the clear"
done

# Two connections, each with a context in one NIC and most likely of the same number, change places
crossed() { # crossed N M: the first one's packets by sn0 or sn2, the other one's by the other
	by "$1"
	ip route replace 10.9.0.3 via 10.0."$2".2 dev sn"$2" src 10.9.0.1
}
far ip addr add 10.9.0.3/32 dev lo
crossed 0 2
pace $((400000 / ${slowness:-1})) sn0 sn2
wire_watch /tmp/file
stream_start near 10.9.0.2 --tls 1.2 --file /tmp/file --bytes 16M || give_up "no stream"
first=("$stream_port" "$stream_rx" "$stream_tx")
stream_start near 10.9.0.3 --tls 1.2 --file /tmp/file --bytes 16M --seed 2 || give_up "no stream"
check "crossed: the first NIC seals one" seals sn0
check "crossed: the other one the other" seals sn2
for i in 1 2 3; do
	crossed 2 0
	sends sn0 && sends sn2 || not_ok "crossed: both go on, round $i"
	crossed 0 2
	seals sn0 && seals sn2 || not_ok "crossed: both are sealed again, round $i"
done
ended "$stream_tx" && not_ok "crossed: the stream was over before all that"
pace off sn0 sn2
stream_ok "crossed: all content is right"
stream_port=${first[0]} stream_rx=${first[1]} stream_tx=${first[2]}
stream_ok "crossed: in both of them"
nothing_clear "crossed: nothing in the clear"

no_context() { [ "$(stat_of sn0 hw_tls_ctx)$(stat_of sn2 hw_tls_ctx)" = 00 ]; }
check "no context is left" wait_for 20 no_context
for dev in sn0 sn2; do
	is "$(for what in unexpected malformed no_ctx; do stat_of $dev hw_tls_tx_$what; done | tr '\n' ' ')" "0 0 0 " \
		"$dev: the device had to drop nothing"
	is "$(stat_of $dev hw_err_desc)" 0 "$dev: the device understood everything"
done
finish
