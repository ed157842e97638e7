#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Connections that the NIC seals and opens for our tls.ko, and what can happen to it: taken down, reset, unplugged, its
# driver unloaded, the device dead, the features switched off, the table full. Both versions of TLS, both directions, under
# way and idle: all go on with all content right and none of it in the clear, none hangs, and the core says why those
# are software's that are.
#
# vm: --smp 2 --model-arg --contexts --model-arg 16
# timeout: 600
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-offload.sh"

load_ktls
drops_mark
load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
head -c 1M /dev/urandom >/tmp/file
versions='1.2 1.3'

has_link() { has_carrier '' sn0 && has_carrier far sn1; }
contexts_none() { [ "$(stat hw_tls_ctx)$(stat hw_tls_rx_ctx)" = 00 ]; }
no_tls() { [ "$(current)" = "0 0 0 0" ]; }

# begins NAME VERSION: four streams, offloaded, under the eyes of the checker
begins() {
	wire_watch /tmp/file
	why_mark
	engines_mark
	fallback=$(tls_stat TlsTxFallback)
	duplex_start "$2" 10.0.0.2 10.0.0.1 || give_up "$1: no streams: $(stream_said)"
	is "$(current)" "2 0 2 0" "$1: all four are the device's"
}

# software NAME REASON-OF-STATISTICS REASON-OF-TRACEPOINT: all four are software's now
software() {
	is "$(current)" "0 2 0 2" "$1: all four are software's"
	is "$(confs)" "rx sw 2,tx sw 2" "$1: ss says so"
	is "$(why)" "TxSw$2 2 RxSw$2 2" "$1: the reason is counted once for each"
	is "$(engines)" "2 rx device,2 rx $3,2 tx device,2 tx $3" "$1: and traced"
}

# hardware NAME: all four are the device's still
hardware() {
	is "$(current)" "2 0 2 0" "$1: all four are the device's still"
	is "$(confs)" "rx hw 2,tx hw 2" "$1: ss says so"
	is "$(why)" "" "$1: no reason is counted"
}

# survives NAME
survives() {
	duplex_ok "$1"
	nothing_clear "$1: nothing in the clear"
	check "$1: no context is left in the device" wait_for 20 contexts_none
	check "$1: no connection is left in the core" wait_for 20 no_tls
}

# fresh NAME: new connections are offloaded as ever
fresh() {
	local sealed opened
	wait_for 20 has_link
	sealed=$(stat hw_tls_tx_bytes) opened=$(stat hw_tls_rx_bytes)
	why_mark
	transfer "$1: a new connection sends" near 10.0.0.2 --tls 1.3 --bytes 300K
	opening_start 10.0.0.1 --tls 1.3 --bytes 300K -- --tls-user
	stream_ok "$1: a new connection receives"
	between $(($(stat hw_tls_tx_bytes) - sealed)) 300000 310000 "$1: the NIC seals for it"
	between $(($(stat hw_tls_rx_bytes) - opened)) 300000 310000 "$1: the NIC opens for it"
	is "$(why)" "" "$1: none is software's"
}

nic_again() { [ "$(stat hw_tls_tx_bytes)" -gt $(($1 + 100000)) ] && [ "$(stat hw_tls_rx_bytes)" -gt $(($2 + 100000)) ]; }

# --- taken down ---

for version in $versions; do
	name="down, TLS $version"
	begins "$name" "$version"
	ip link set sn0 down
	is "$(stat hw_tls_ctx)$(stat hw_tls_rx_ctx)" 00 "$name: the contexts are gone"
	software "$name" Down "device down"
	ip link set sn0 up
	survives "$name"
	between $(($(tls_stat TlsTxFallback) - fallback)) 1 1000000 "$name: the fallback sealed what was on its way"
done
fresh "up again"

# A program that has closed its connection is not counted any more, whatever happens before the last packet is gone
closing() { ss -tnH state fin-wait-1 | grep -q .; }
none_closing() { ! closing; }
name="down while a connection closes"
why_mark
stream_start near 10.0.0.2 --tls 1.3 --bytes 64M || give_up "$name: no stream"
wait_for 20 sealed_since "$(stat hw_tls_tx_bytes)"
kill -STOP "$stream_rx"
full() { [ "$(ss -tnH "dport = :$stream_port" | awk '{ print $3 }')" -gt 300000 ]; }
check "$name: nobody reads it" wait_for 20 full
kill -KILL "$stream_tx"
wait "$stream_tx" 2>/dev/null
check "$name: it is closing" wait_for 10 closing
is "$(current)" "0 0 0 0" "$name: it is not counted"
ip link set sn0 down
is "$(current)" "0 0 0 0" "$name: nor when the device goes down"
is "$(why)" "" "$name: and no reason is"
is "$(stat hw_tls_ctx)" 0 "$name: the device has no context of it"
ip link set sn0 up
wait_for 20 has_link
kill -CONT "$stream_rx"
check "$name: all of it leaves" wait_for 60 none_closing
is "$(current)" "0 0 0 0" "$name: and nothing is counted in the end"
wait "$stream_rx" 2>/dev/null

# --- the keys come when the device is down, or does not answer ---

# late NAME: a receiver that has a connection, but has not looked yet
late() {
	stream_port=$((stream_port + 1))
	why_mark
	(at_exec near "$tcp_tool" recv $stream_port --ktls --tls 1.3 --bytes 300K) >"/tmp/recv.$stream_port" 2>&1 &
	stream_rx=$!
	wait_for 10 port_taken near $stream_port || give_up "$1: nobody listens"
	kill -STOP $stream_rx
	(at_exec far "$tcp_tool" send 10.0.0.1 $stream_port --tls 1.3 --tls-user --bytes 300K) >"/tmp/send.$stream_port" 2>&1 &
	stream_tx=$!
	wait_for 10 arrived || give_up "$1: nobody sends"
}
arrived() { [ "$(ss -tnH state established "sport = :$stream_port" | awk '{ print $1 }')" -gt 30000 ]; }
rx_is_software() { [ "$(current)" = "0 0 0 1" ]; }

name="keys while the device is down"
late "$name"
ip link set sn0 down
kill -CONT $stream_rx
check "$name: the connection is software's" wait_for 10 rx_is_software
# TCP may have found out already that the route is gone
is "$(why | sed s/NoDevice/Down/)" "RxSwDown 1" "$name: and the core says why"
ip link set sn0 up
stream_ok "$name: all content is right"

pci=$(basename "$(readlink /sys/class/net/sn0/device)")
name="keys while the device does not answer"
devlink health set "pci/$pci" reporter fw auto_recover false
late "$name"
model fault 0
unhealthy() { devlink health show "pci/$pci" reporter fw | grep -q 'state error'; }
check "$name: it does not" wait_for 20 unhealthy
kill -CONT $stream_rx
check "$name: the connection is software's" wait_for 20 rx_is_software
is "$(why)" "RxSwRefused 1" "$name: and the core says why"
devlink health recover "pci/$pci" reporter fw
stream_ok "$name: all content is right"
devlink health set "pci/$pci" reporter fw auto_recover true

# --- reset: the driver gives the contexts to the device again ---

for version in $versions; do
	name="reset, TLS $version"
	begins "$name" "$version"
	ethtool -t sn0 offline >/dev/null
	sealed=$(stat hw_tls_tx_bytes) opened=$(stat hw_tls_rx_bytes)
	check "$name: the NIC seals and opens again" wait_for 20 nic_again "$sealed" "$opened"
	hardware "$name"
	survives "$name"
done

# --- the features are switched off and on ---

name="features off"
begins "$name" 1.3
ethtool -K sn0 tls-hw-tx-offload off tls-hw-rx-offload off
sealed=$(stat hw_tls_tx_bytes) opened=$(stat hw_tls_rx_bytes)
check "$name: the NIC seals and opens for those that it has" wait_for 20 nic_again "$sealed" "$opened"
hardware "$name"
engines_mark
stream_start near 10.0.0.2 --tls 1.2 --file /tmp/file --bytes 448K -- --stop-every 256K || give_up "$name: no stream"
more=("$stream_port $stream_rx $stream_tx")
opening_start 10.0.0.1 --tls 1.3 --file /tmp/file --bytes 448K -- --tls-user --stop-every 256K || give_up "$name: no stream"
more+=("$stream_port $stream_rx $stream_tx")
both_software() { [ "$(current)" = "2 1 2 1" ]; }
check "$name: new ones are software's" wait_for 10 both_software
is "$(confs)" "rx hw 2,rx sw 1,tx hw 2,tx sw 1" "$name: ss says so"
is "$(why)" "TxSwFeature 1 RxSwFeature 1" "$name: and the core says why"
is "$(engines)" "1 rx feature off,1 tx feature off" "$name: the tracepoint too"
ethtool -K sn0 tls-hw-tx-offload on tls-hw-rx-offload on
for stream in "${more[@]}"; do
	read -r stream_port stream_rx stream_tx <<<"$stream"
	# It may not have come that far yet
	wait_for 30 driven
	stream_ok "$name: software's connection to port $stream_port"
done
survives "$name"
fresh "features on"

# --- no device at all ---

name="loopback"
why_mark
stream_port=$((stream_port + 1))
("$tcp_tool" recv $stream_port --ktls --tls 1.3 --bytes 1M) >"/tmp/recv.$stream_port" 2>&1 &
stream_rx=$!
wait_for 10 port_taken near $stream_port
("$tcp_tool" send 127.0.0.1 $stream_port --tls 1.3 --bytes 1M) >"/tmp/send.$stream_port" 2>&1 &
stream_tx=$!
stream_ok "$name: all content is right"
is "$(why)" "TxSwNoDevice 1 RxSwNoDevice 1" "$name: the core says why it is software's"

# --- no room: 16 contexts ---

name="table full"
counters_mark near
why_mark
engines_mark
transfer "$name: 20 connections that send" near 10.0.0.2 --tls 1.3 --connections 20 --port-base 7000 --bytes 100K
is "$(why)" "TxSwTableFull 4" "$name: 4 are software's, and the core says why"
is "$(engines)" "16 tx device,4 tx table full" "$name: the tracepoint too"
check "$name: then it is empty" wait_for 20 contexts_none
why_mark
opening_start 10.0.0.1 --tls 1.3 --connections 20 --port-base 7100 --bytes 100K -- --tls-user
stream_ok "$name: 20 connections that receive"
is "$(why)" "RxSwTableFull 4" "$name: 4 are software's, and the core says why"
check "$name: then it is empty again" wait_for 20 contexts_none
counters_read near
is "$(grown near tx_tls_ctx) $(grown near tx_tls_del) $(grown near rx_tls_ctx) $(grown near rx_tls_del)" "16 16 16 16" \
	"$name: the driver has added and deleted them"

# --- unplugged, and the driver unloaded ---

one_nic() { [ "$(nics | wc -l)" = 1 ]; }
for version in $versions; do
	name="unplug, TLS $version"
	begins "$name" "$version"
	check "$name" operator unplug 0
	is "$(nics)" "" "$name: the interface is gone"
	software "$name" Down "device down"
	operator replug 0 && wait_for 20 one_nic || give_up "$name: the interface does not come back"
	ip link set "$(nics)" name sn0
	ip addr add 10.0.0.1/24 dev sn0 && ip link set sn0 up
	survives "$name"
done
fresh "replugged"

name="rmmod"
begins "$name" 1.3
check "$name" rmmod sealnic
software "$name" Down "device down"
load_driver && two_ns || give_up "$name: the driver does not come back"
survives "$name"
fresh "insmod"

# --- the device dies ---

name="model killed"
dmesg_mark
begins "$name" 1.3
check "$name" operator model-kill
given_up() { [ "$(dmesg_since | grep -c 'device does not answer any more')" = 2 ]; }
check "$name: the driver gives both up" wait_for 20 given_up
operator unplug 0 && operator unplug 1
software "$name" Down "device down"
operator model-start
operator replug 0 && operator replug 1 && two_ns || give_up "$name: the ports do not come back"
wire_watch /tmp/file
survives "$name"
fresh "new model"

duplex_pace off
is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
is "$(drops)" "" "no packet was dropped"
is "$(tls_stat TlsDecryptError)" 0 "no record was"
is "$(stat tx_tls_ctx) $(stat rx_tls_ctx)" "$(stat tx_tls_del) $(stat rx_tls_del)" "the driver has let go of all contexts"
unload_driver
unload_ktls
finish
