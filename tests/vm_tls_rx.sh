#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# TLS receive offload: streams from the far end are opened by the near NIC and read through kTLS, every byte compared.
# What is proved: both key sizes, IPv4 and IPv6, records and packets of many sizes; the place in the stream regained after
# loss, reordering, duplication, a late beginning, a reset; features, rings and channels changed under way; connections
# that come and go by the hundred; the interface taken down, the device unplugged and killed in mid-stream.
#
# Under the distribution's tls.ko, which offloads TLS 1.2; KTLS=ours takes the one of this repository, and TLS 1.3 too.
#
# timeout: 600
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"

versions=1.2
if [ "${KTLS:-}" = ours ]; then
	. "$(dirname "$0")/guest-ktls.sh"
	load_ktls
	versions='1.2 1.3'
fi
load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
head -c 1M /dev/urandom >/tmp/file

more_than() { [ "$(stat "$1")" -gt "$2" ]; }
opened_since() { more_than hw_tls_rx_bytes $(($1 + 300000)); }
has_link() { has_carrier '' sn0 && has_carrier far sn1; }
rx_contexts_gone() { [ "$(stat hw_tls_rx_ctx)" = 0 ]; }

# opening NAME HOST OPTIONS...: a stream for the NIC to open, from its beginning to its end
opening() {
	local name=$1
	shift
	opening_start "$@" || give_up "no stream: $(stream_said)"
	stream_ok "$name"
}

# opened NAME SHARE-IN-PERCENT: of the stream's bytes since counters_mark, at least so many were opened by the NIC
opened() {
	local by_nic skipped share lost
	counters_read near
	by_nic=$(grown near hw_tls_rx_bytes) skipped=$(grown near hw_tls_rx_skip_bytes)
	share=$((by_nic * 1000 / (by_nic + skipped > 0 ? by_nic + skipped : 1)))
	diag "$1: the NIC opened $by_nic bytes and passed on $skipped: $((share / 10)).$((share % 10)) %;" \
		"went on behind $(grown near hw_tls_rx_gap) gaps, was lost $(grown near hw_tls_rx_lost) times," \
		"found back $(grown near hw_tls_rx_found) times, asked $(grown near hw_tls_rx_resync_ask) times," \
		"was told $(grown near hw_tls_rx_resync_ok) times"
	between $share $(($2 * 10)) 1000 "$1: the NIC opened $2 % at least"
	# A reset takes what is in the rings
	lost=$(($(grown near hw_tls_rx_packets) - $(grown near rx_tls_decrypted_packets)))
	between $lost 0 $(($(grown near resets) * 8 * 1024)) "$1: the driver has seen each opened packet"
	between $((by_nic - $(grown near rx_tls_decrypted_bytes))) 0 $((lost * 9000)) "$1: and each byte of them"
	is "$(grown near rx_tls_err)" 0 "$1: no contradiction"
}

# perfect NAME: nothing was lost, and all but what TCP sends twice on a slow machine was opened
perfect() {
	opened "$1" "${2:-99}"
	is "$(grown near hw_tls_rx_auth_bad)" 0 "$1: all records were authentic"
	is "$(grown near rx_tls_ctx)" "$(grown near rx_tls_del)" "$1: contexts come and go"
}

is "$(ethtool -k sn0 | sed -n 's/^tls-hw-rx-offload: //p')" on "the offload is on by default"

# The property is in a software node, which comes and goes with the driver
software_nodes() { find -L /sys/bus/pci/devices -mindepth 2 -maxdepth 2 -name software_node 2>/dev/null | wc -l; }
pci=$(basename "$(readlink /sys/class/net/sn0/device)")
for i in 1 2 3; do
	check "TLS 1.3, round $i: the device has a software node" test -d "/sys/bus/pci/devices/$pci/software_node"
	is "$(software_nodes)" 2 "TLS 1.3, round $i: and the other port its own"
	unload_driver
	is "$(software_nodes)" 0 "TLS 1.3, round $i: without the driver there is none"
	check "TLS 1.3, round $i: nor has the device" test ! -e "/sys/bus/pci/devices/$pci/software_node"
	load_driver
done
two_ns || give_up "no two ports"

# --- nothing happens: everything is opened by the NIC ---

watch_pattern
for version in $versions; do
	for cipher in aes128 aes256; do
		for host in 10.0.0.1 fd00::1; do
			device=$(tls_stat TlsRxDevice)
			counters_mark near
			for chunk in 1000 1433 16384; do
				opening "$version $cipher to $host in records of $chunk" $host --tls "$version" --cipher $cipher \
					--bytes 2M -- --tls-user --chunk $chunk
			done
			perfect "$version $cipher to $host"
			is $(($(tls_stat TlsRxDevice) - device)) 3 "$version $cipher to $host: the core counts them as offloaded"
		done
	done
	counters_mark near
	opening "$version, records of 1 byte" 10.0.0.1 --tls "$version" --bytes 2000 -- --tls-user --chunk 1
	perfect "$version, records of 1 byte" 90
	counters_mark near
	counters_mark far
	opening "$version, sealed by the far NIC" 10.0.0.1 --tls "$version" --bytes 4M -- --chunk 65536
	perfect "$version, sealed by the far NIC"
	counters_read far
	between "$(grown far hw_tls_tx_bytes)" $((4 << 20)) $((5 << 20)) "$version, sealed by the far NIC: it was"
	counters_mark near
	opening "$version, 8 connections" 10.0.0.1 --tls "$version" --bytes 1M --connections 8 --port-base 20000 -- --tls-user
	perfect "$version, 8 connections"
done
ip link set sn0 mtu 9000 && far ip link set sn1 mtu 9000
counters_mark near
opening "MTU 9000" 10.0.0.1 --tls 1.2 --bytes 4M -- --tls-user
perfect "MTU 9000"
ip link set sn0 mtu 1500 && far ip link set sn1 mtu 1500

nothing_clear "nothing in the clear"

# --- what must not be touched ---

counters_mark near
transfer "plain TCP" far 10.0.0.1 --bytes 1M
transfer "records for user space" far 10.0.0.1 --tls 1.2 --bytes 1M -- --tls-user
counters_read near
is "$(grown near rx_tls_decrypted_packets)$(grown near hw_tls_rx_skip)" 00 "connections without a context are nobody's business"

watch_pattern

# --- a wire that is not perfect ---

# rough NAME SHARE WIRE-SETTINGS...
rough() {
	local name=$1 share=$2 version
	shift 2
	for version in $versions; do
		model wire clear >/dev/null
		model "wire $* seed=${SEED:-1}" >/dev/null || { not_ok "$name" "the model takes no '$*'"; continue; }
		counters_mark near
		opening "$name, TLS $version" 10.0.0.1 --tls "$version" --bytes 4M -- --tls-user
		model wire clear >/dev/null
		opened "$name, TLS $version" "$share"
	done
}
rough "0.1 % loss" 80 loss=0.1
rough "1 % loss" 70 loss=1
rough "5 % loss" 5 loss=5
rough "3 % reordering" 30 reorder=3
rough "2 % duplicates" 70 dup=2
rough "1 % corruption" 50 corrupt=1
rough "everything" 5 loss=1 reorder=1 dup=1 corrupt=0.1

# --- the device has to ask: its first record is far behind when the keys arrive ---

for version in $versions; do
	counters_mark near
	stream_port=$((stream_port + 1))
	(at_exec near "$tcp_tool" recv $stream_port --ktls --tls "$version" --bytes 8M) >"/tmp/recv.$stream_port" 2>&1 &
	stream_rx=$!
	wait_for 10 port_taken near $stream_port
	kill -STOP $stream_rx
	(at_exec far "$tcp_tool" send 10.0.0.1 $stream_port --tls "$version" --tls-user --bytes 8M) >"/tmp/send.$stream_port" 2>&1 &
	stream_tx=$!
	# The window is full before anybody reads
	sleep 1
	kill -CONT $stream_rx
	stream_ok "late keys, TLS $version"
	opened "late keys, TLS $version" 20
	between "$(grown near rx_tls_resync_req_pkt)" 1 1000 "late keys, TLS $version: the device asks"
	between "$(grown near rx_tls_resync_res_ok)" 1 1000 "late keys, TLS $version: the core's answer helps"
	is "$(grown near rx_tls_resync_res_ok)" "$(grown near hw_tls_rx_resync_ok)" "late keys, TLS $version: driver and device agree"
done

# --- in mid-stream ---

# opening_under_way BYTES: a slow stream of which the NIC has opened something by now
opening_under_way() {
	local nic
	far tc qdisc replace dev sn1 root fq maxrate $((8 * 2000000 / ${slowness:-1}))
	counters_mark near
	nic=$(stat hw_tls_rx_bytes)
	opening_start 10.0.0.1 --tls "${versions##* }" --bytes "$1" -- --tls-user || give_up "no stream: $(stream_said)"
	wait_for 30 opened_since "$nic" || give_up "the NIC does not open: $(stream_said)"
}
goes_on() { # goes_on NAME
	ended "$stream_tx" && not_ok "$1: the stream was over before it happened"
	far tc qdisc del dev sn1 root
	stream_ok "$1: the same connection goes on, and all content is right"
	check "$1: no context is left" wait_for 20 rx_contexts_gone
}
modprobe -q sch_fq

opening_under_way 12M
for i in 1 2 3; do
	counters_read near
	readd=$(grown near rx_tls_readd) synced=$(grown near rx_tls_resync_res_ok)
	ethtool -t sn0 offline >/dev/null
	check "reset $i: the device has the context again" wait_for 10 more_than rx_tls_readd $((${counters_was[near.rx_tls_readd]} + readd))
	check "reset $i: it finds its place" wait_for 20 more_than rx_tls_resync_res_ok $((${counters_was[near.rx_tls_resync_res_ok]} + synced))
	check "reset $i: and opens again" wait_for 20 opened_since "$(stat hw_tls_rx_bytes)"
done
goes_on "reset"
opened "reset" 30
is "$(grown near rx_tls_readd)" 3 "reset: the context was given back three times"

opening_under_way 5M
resets=$(stat resets)
model fault 0
check "fault: the device is reset" wait_for 20 more_than resets "$resets"
check "fault: it opens again" wait_for 20 opened_since "$(stat hw_tls_rx_bytes)"
goes_on "fault"

opening_under_way 8M
ethtool -K sn0 tls-hw-rx-offload off
nic=$(stat hw_tls_rx_bytes)
check "switched off: a connection that began offloaded stays so" wait_for 20 opened_since "$nic"
goes_on "switched off"
nic=$(stat hw_tls_rx_bytes) ctx=$(stat rx_tls_ctx)
opening "switched off: a new connection" 10.0.0.1 --tls 1.2 --bytes 1M -- --tls-user
is "$(stat hw_tls_rx_bytes)$(stat rx_tls_ctx)" "$nic$ctx" "switched off: a new connection is software's"
ethtool -K sn0 tls-hw-rx-offload on

opening_under_way 8M
ethtool -K sn0 rx off >/dev/null
is "$(ethtool -k sn0 | sed -n 's/^tls-hw-rx-offload: //p')" "off [requested on]" "rx off: takes the offload with it"
sleep 1
ethtool -K sn0 rx on >/dev/null
is "$(ethtool -k sn0 | sed -n 's/^tls-hw-rx-offload: //p')" on "rx on: the offload is back"
check "rx on: it opens again" wait_for 20 opened_since "$(stat hw_tls_rx_bytes)"
goes_on "rx off and on"
counters_read near
is "$(grown near rx_csum_bad)" 0 "rx off and on: no bad checksum"

opening_under_way 10M
for what in '-G sn0 rx 256' '-L sn0 combined 1' '-L sn0 combined 2' '-G sn0 rx 1024' '-K sn0 gro off' '-K sn0 gro on' \
	'-K sn0 rxhash off' '-K sn0 rxhash on'; do
	# shellcheck disable=SC2086
	ethtool $what
	sleep 0.2
done
ip link set sn0 mtu 2000 && ip link set sn0 mtu 1500
check "rings, channels, features: it opens again" wait_for 20 opened_since "$(stat hw_tls_rx_bytes)"
goes_on "rings, channels, features"

opening_under_way 6M
ip link set sn0 down
is "$(stat hw_tls_rx_ctx)" 0 "down: the contexts are gone"
ip link set sn0 up
wait_for 20 has_link
goes_on "down and up"

# --- connections that come and go ---

sysctl -qw net.ipv4.tcp_tw_reuse=1 net.ipv4.tcp_max_tw_buckets=16
at far sysctl -qw net.ipv4.tcp_max_tw_buckets=16
counters_mark near
for i in 1 2 3; do
	model wire clear >/dev/null
	[ $i != 3 ] || model "wire loss=2 reorder=2 seed=$i" >/dev/null
	opening "200 connections, round $i" 10.0.0.1 --tls 1.2 --bytes 20K --connections 200 --port-base 10000 --seed $i -- --tls-user
done
model wire clear >/dev/null
check "many connections: no context is left in the device" wait_for 20 rx_contexts_gone
counters_read near
is "$(grown near rx_tls_ctx)" 600 "many connections: all were offloaded"
is "$(grown near rx_tls_del)" 600 "many connections: and all let go"

# Killed while the device asks
for i in {1..8}; do
	model "wire loss=10 seed=$i" >/dev/null
	opening_start 10.0.0.1 --tls 1.2 --bytes 1M --connections 10 --port-base $((30000 + 10 * i)) -- --tls-user || give_up "no streams"
	sleep 0.$((i % 5 + 1))
	stream_kill
done
model wire clear >/dev/null
check "killed connections: no context is left in the device" wait_for 20 rx_contexts_gone
is "$(stat rx_tls_ctx)" "$(stat rx_tls_del)" "killed connections: nor in the driver"

# --- the device goes ---

opening_under_way 8M
check "unplug under traffic" operator unplug 0
check "replug" operator replug 0
one_nic() { [ "$(nics | wc -l)" = 1 ]; }
check "replug: the interface is back" wait_for 20 one_nic
ip link set "$(nics)" name sn0
ip addr add 10.0.0.1/24 dev sn0 && ip link set sn0 up
wait_for 20 has_link
far tc qdisc del dev sn1 root 2>/dev/null
stream_ok "unplug: the same connection goes on, and all content is right"
ip addr add fd00::1/64 dev sn0 nodad
counters_mark near
opening "after replug" 10.0.0.1 --tls 1.2 --bytes 1M -- --tls-user
perfect "after replug"

opening_under_way 6M
check "rmmod under traffic" rmmod sealnic
check "insmod" load_driver
check "insmod: both ends are back" two_ns
stream_ok "rmmod: the same connection goes on, and all content is right"

opening_under_way 1G
dmesg_mark
nothing_clear "nothing in the clear, until the model goes"
check "the model is killed" operator model-kill
given_up() { [ "$(dmesg_since | grep -c 'device does not answer any more')" = 2 ]; }
check "dead: the driver gives both up" wait_for 20 given_up
stream_kill
check "dead: the receiver can be killed" ended "$stream_rx"
check "dead: the model starts again" operator model-start
for port in 0 1; do operator unplug $port && operator replug $port; done
check "dead: both ends are back" two_ns
counters_mark near
opening "with the new model" 10.0.0.1 --tls 1.2 --bytes 1M -- --tls-user
perfect "with the new model"

is "$(stat cmd_failed)$(stat cmd_timeouts)$(stat hw_err_command)" 000 "no command failed"
is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
finish
