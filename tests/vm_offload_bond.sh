#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Stock bonding on top of two sealnics, over our tls.ko. In the modes in which bonding names a device for a connection
# (with the policy layer3+4; balance-xor here, 802.3ad chooses in the same way) each connection is offloaded to one of the two; when that one goes, or leaves the
# bond, or only loses its carrier, the connection goes on by the other one, sealed and opened by software, with all
# content right and none in the clear. In active-backup bonding names none, and the core says so.
#
# vm: --ports 4 --model-arg --wire --model-arg pair=0:1 --model-arg --wire --model-arg pair=2:3
# timeout: 240
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-offload.sh"

load_ktls
drops_mark
load_driver || give_up "sealnic.ko does not load"
modprobe -q bonding max_bonds=0 || give_up "there is no bonding module"
modprobe -q 8021q
four_ns || give_up "no four ports"
head -c 1M /dev/urandom >/tmp/file

# bond near|far BOND ADDRESS DEV DEV
bond() {
	local where=$1 name=$2 address=$3 dev
	shift 3
	at "$where" ip link add "$name" type bond mode $mode xmit_hash_policy layer3+4 miimon 50
	for dev; do at "$where" ip link set "$dev" down && at "$where" ip link set "$dev" master "$name" || return 1; done
	at "$where" ip addr add "$address" dev "$name"
	at "$where" ip link set "$name" up
}
bonds() { bond near bond0 10.8.0.1/24 sn0 sn2 && bond far bond1 10.8.0.2/24 sn1 sn3; }
no_bonds() { at near ip link del bond0 && at far ip link del bond1; }
slaves_up() { [ "$(grep -c '^MII Status: up' /proc/net/bonding/bond0)" = 3 ] && [ "$(at far cat /proc/net/bonding/bond1 | grep -c '^MII Status: up')" = 3 ]; }
of_both() { echo $(($(stat_of sn0 "$1") + $(stat_of sn2 "$1"))); }
none_left() { [ "$(of_both hw_tls_ctx) $(of_both hw_tls_rx_ctx) $(current)" = "0 0 0 0 0 0" ]; }

# begins NAME VERSION [SENDERS' OPTIONS...]: 6 connections each way, whose ports bonding spreads over both devices
port=20000
begins() {
	local more=("${@:3}")
	pace_bonds $((100000 / ${slowness:-1}))
	wire_watch /tmp/file
	why_mark
	engines_mark
	echo 1 >$tracing/events/ktls/tls_records/enable
	fallback=$(tls_stat TlsTxFallback) keys=$(tls_stat TlsTxRekeyOk)
	sealed=$(of_both hw_tls_tx_bytes) opened=$(of_both hw_tls_rx_bytes)
	port=$((port + 20))
	stream_start near 10.8.0.2 --tls "$2" --file /tmp/file --connections 6 --port-base $port --bytes 700K \
		-- "${more[@]}" || give_up "$1: no streams"
	sending=("$stream_port" "$stream_rx" "$stream_tx")
	opening_start 10.8.0.1 --tls "$2" --file /tmp/file --connections 6 --port-base $port --bytes 700K -- --tls-user "${more[@]}" ||
		give_up "$1: no streams"
	if [ ${#more[@]} -gt 0 ]; then
		check "$1: 12 connections change their keys" wait_for 30 keys_change
		return
	fi
	check "$1: 12 connections, all are offloaded" wait_for 30 is_current "6 0 6 0"
	check "$1: the devices seal and open" wait_for 30 both_work
	rx0=$(stat_of sn0 hw_tls_rx_ctx)
	tx0=$(($(stat_of sn0 hw_tls_ctx) - rx0))
	between $tx0 1 5 "$1: the first device has some of those that send"
	between "$rx0" 1 5 "$1: and of those that receive"
}
is_current() { [ "$(current)" = "$1" ]; }
# All have, and some wait for the device to get the next one
keys_change() { [ "$(tls_stat TlsCurrTxRekey)" -gt 0 ] && [ "$(tls_stat TlsTxRekeyOk)" -ge $((keys + 12)) ]; }
both_work() { [ "$(of_both hw_tls_tx_bytes)" -gt $((sealed + 300000)) ] && [ "$(of_both hw_tls_rx_bytes)" -gt $((opened + 300000)) ]; }
pace_bonds() {
	if [ "$1" = off ]; then
		tc qdisc del dev bond0 root 2>/dev/null
		far tc qdisc del dev bond1 root 2>/dev/null
	else
		tc qdisc replace dev bond0 root fq maxrate $(($1 * 8))
		far tc qdisc replace dev bond1 root fq maxrate $(($1 * 8))
	fi
}
modprobe -q sch_fq

# survives NAME: all twelve come to their ends
survives() {
	! ended "$stream_tx" || not_ok "$1: the streams were over before it happened"
	pace_bonds off
	stream_ok "$1: all content that comes is right"
	stream_port=${sending[0]} stream_rx=${sending[1]} stream_tx=${sending[2]}
	stream_ok "$1: all content that goes is right"
	nothing_clear "$1: nothing in the clear"
	check "$1: nothing is left" wait_for 20 none_left
}

mode=balance-xor
bonds || give_up "no bonds"
wait_for 20 slaves_up || give_up "the bonds do not come up"

for version in 1.2 1.3; do
	name="nothing happens, TLS $version"
	begins "$name" $version
	survives "$name"
	is "$(why)" "" "$name: none became software's"
	# What TCP sends anew by itself when the machine is slow may be counted
	between $(($(of_both hw_tls_tx_bytes) - sealed)) $((6 * 700 * 1024)) $((7 * 700 * 1024)) "$name: the devices sealed all of it"
	between $(($(of_both hw_tls_rx_bytes) - opened)) $((6 * 350 * 1024)) $((7 * 700 * 1024)) "$name: and opened most of it"
	is "$(tls_stat TlsTxFallback)" "$fallback" "$name: the fallback sealed nothing"
	diag "$(for c in skip gap lost found resync_ask resync_ok; do echo "$c $(of_both hw_tls_rx_$c)"; done | paste -sd ' ')"
done

# --- one of them is taken down ---

name="down"
begins "$name" 1.3
ip link set sn0 down
is "$(current)" "$((6 - tx0)) $tx0 $((6 - rx0)) $rx0" "$name: what it had is software's"
is "$(why)" "TxSwDown $tx0 RxSwDown $rx0" "$name: the core says why"
survives "$name"
ip link set sn0 up
check "$name: it comes back" wait_for 20 slaves_up

# --- it loses its carrier, and nobody takes its contexts ---

name="no carrier"
begins "$name" 1.2
model link 0 down >/dev/null
no_carrier() { [ "$(cat /sys/class/net/sn0/carrier)" = 0 ]; }
check "$name" wait_for 10 no_carrier
survives "$name"
between $(($(tls_stat TlsTxFallback) - fallback)) 20 100000 "$name: the fallback sealed for the other one"
check "$name: the core says why" grep -q 'tls_engine: .* tx engine: other device' $tracing/trace
check "$name: until they are closed" grep -q 'tls_records: .* tx engine: other device' $tracing/trace
is "$(why)" "" "$name: the contexts stay"
model link 0 up >/dev/null
check "$name: it comes back" wait_for 20 slaves_up

# --- while keys change ---

# What is between two keys is more than what TCP queues
wmem=$(sysctl -n net.ipv4.tcp_wmem)
sysctl -qw net.ipv4.tcp_wmem='4096 16384 30000'
rekeys_over() { [ "$(tls_stat TlsCurrTxRekey) $(tls_stat TlsCurrRxRekey)" = "0 0" ]; }
name="down while keys change"
begins "$name" 1.3 --rekey 60K
ip link set sn0 down
survives "$name"
check "$name: none waits for its key" wait_for 20 rekeys_over
ip link set sn0 up
check "$name: it comes back" wait_for 20 slaves_up

# A key goes to the device that has the connection's context, whichever it leaves by
name="no carrier while keys change"
begins "$name" 1.3 --rekey 60K
model link 0 down >/dev/null
check "$name" wait_for 10 no_carrier
ctx=$(stat_of sn0 tx_tls_ctx)
more_keys() { [ "$(stat_of sn0 tx_tls_ctx)" -gt $((ctx + 2)) ]; }
check "$name: its contexts get their keys all the same" wait_for 30 more_keys
survives "$name"
check "$name: none waits for its key" wait_for 20 rekeys_over
model link 0 up >/dev/null
check "$name: it comes back" wait_for 20 slaves_up
sysctl -qw net.ipv4.tcp_wmem="$wmem"

name="no carrier for a while"
begins "$name" 1.3
model link 0 down >/dev/null
check "$name" wait_for 10 no_carrier
fell_back() { [ "$(tls_stat TlsTxFallback)" -gt $((fallback + 20)) ]; }
check "$name: the fallback seals" wait_for 30 fell_back
model link 0 up >/dev/null
check "$name: it comes back" wait_for 20 slaves_up
nic=$(stat_of sn0 hw_tls_tx_bytes)
sn0_seals() { [ "$(stat_of sn0 hw_tls_tx_bytes)" -gt $((nic + 50000)) ]; }
check "$name: the device seals again" wait_for 30 sn0_seals
survives "$name"

# --- it leaves the bond ---

name="released"
begins "$name" 1.3
ip link set sn0 nomaster
is "$(current)" "$((6 - tx0)) $tx0 $((6 - rx0)) $rx0" "$name: what it had is software's"
survives "$name"

# leaves_by VIA DEVICE: a stream that sn0 seals, and then it takes another way
leaves_by() {
	wire_watch /tmp/file
	nic=$(stat_of sn0 hw_tls_tx_bytes)
	stream_start near 10.9.0.2 --tls 1.3 --file /tmp/file --bytes 2M || give_up "$name: no stream"
	check "$name: the device seals" wait_for 30 sn0_seals
	fallback=$(tls_stat TlsTxFallback)
	ip route replace 10.9.0.2 via "$1" dev "$2" src 10.9.0.1
	check "$name: then the fallback does" wait_for 30 fell_back
}

# --- from a device of its own to a bond that does not have it ---

name="route to a bond of others"
far ip link set sn1 nomaster
ip link set sn0 up && far ip link set sn1 up
ip addr add 10.0.0.1/24 dev sn0 2>/dev/null
far ip addr add 10.0.0.2/24 dev sn1 2>/dev/null
wait_for 20 has_carrier '' sn0 && wait_for 20 has_carrier far sn1
ip route replace 10.9.0.2 via 10.0.0.2 dev sn0 src 10.9.0.1
far ip route replace 10.9.0.1 via 10.8.0.1 dev bond1 src 10.9.0.2
pace 200000 sn0
tc qdisc replace dev bond0 root fq maxrate 1600000
leaves_by 10.8.0.2 bond0
ended "$stream_tx" && not_ok "$name: the stream was over before"
pace off sn0
pace_bonds off
stream_ok "$name: all content is right"
nothing_clear "$name: nothing in the clear"
check "$name: nothing is left" wait_for 20 none_left
no_bonds

# --- bonding names no device; a VLAN does not either ---

mode=active-backup
ip addr flush dev sn0 && far ip addr flush dev sn1
bonds || give_up "no bonds"
wait_for 20 slaves_up || give_up "the bonds do not come up"
# Each end chooses by itself: the same wire
ip link set bond0 type bond primary sn0 && at far ip link set bond1 type bond primary sn1
name="active-backup"
pace_bonds $((500000 / ${slowness:-1}))
why_mark
stream_start near 10.8.0.2 --tls 1.3 --file /tmp/file --bytes 1M || give_up "$name: no stream"
software() { [ "$(current)" = "0 1 0 0" ]; }
check "$name: the connection is software's" wait_for 20 software
is "$(why)" "TxSwNoDevice 1" "$name: the core says why"
active=$(cat /sys/class/net/bond0/bonding/active_slave)
ip link set "$active" down
pace_bonds off
stream_ok "$name: it goes on by the other device"
no_bonds

name="VLAN"
ip link add link sn0 name vlan0 type vlan id 7 && ip addr add 10.7.0.1/24 dev vlan0
far ip link add link sn1 name vlan1 type vlan id 7 && far ip addr add 10.7.0.2/24 dev vlan1
ip link set sn0 up && far ip link set sn1 up
ip link set vlan0 up && far ip link set vlan1 up
wait_for 20 has_carrier '' vlan0
why_mark
transfer "$name: all content is right" near 10.7.0.2 --tls 1.3 --file /tmp/file
is "$(why)" "TxSwNoDevice 1" "$name: the core says why it is software's"

# A connection of the device's whose packets leave by the VLAN above it, for a while
name="route to a VLAN above the device"
ip addr add 10.0.0.1/24 dev sn0 && far ip addr add 10.0.0.2/24 dev sn1
ip route replace 10.9.0.2 via 10.0.0.2 dev sn0 src 10.9.0.1
far ip route replace 10.9.0.1 via 10.0.0.1 dev sn1 src 10.9.0.2
pace $((200000 / ${slowness:-1})) sn0
leaves_by 10.7.0.2 vlan0
ip route replace 10.9.0.2 via 10.0.0.2 dev sn0 src 10.9.0.1
nic=$(stat_of sn0 hw_tls_tx_bytes)
check "$name: and the device again" wait_for 30 sn0_seals
ended "$stream_tx" && not_ok "$name: the stream was over before"
pace off sn0
stream_ok "$name: all content is right"
nothing_clear "$name: nothing in the clear"
ip link del vlan0 && far ip link del vlan1

is "$(drops)" "" "no packet was dropped"
is "$(tls_stat TlsDecryptError)" 0 "no record was"
for dev in sn0 sn2; do
	is "$(stat_of $dev hw_tls_tx_unexpected)$(stat_of $dev hw_tls_tx_malformed)$(stat_of $dev hw_tls_tx_no_ctx)" 000 \
		"$dev: the device had to drop nothing"
done
check "nothing is left" wait_for 20 none_left
ip netns del far
unload_driver
# It depends on tls.ko
rmmod bonding
unload_ktls
finish
