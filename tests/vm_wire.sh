#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Wires to another NIC than ours: each of the two ports leads to a virtio NIC, one by QEMU's stream, one by its datagrams.
# Packets of all sizes and TCP both ways, TLS sealed and opened by our NIC or by software, and what the port sees when the
# other end of the stream goes and comes.
#
# vm: --model-arg --wire --model-arg port=0,stream=@run@/w --model-arg --wire --model-arg port=1,dgram=@run@/a:@run@/b --qemu-arg -netdev --qemu-arg stream,id=w0,server=off,addr.type=unix,addr.path=@run@/w --qemu-arg -device --qemu-arg virtio-net-pci,netdev=w0,romfile= --qemu-arg -netdev --qemu-arg dgram,id=w1,local.type=unix,local.path=@run@/b,remote.type=unix,remote.path=@run@/a --qemu-arg -device --qemu-arg virtio-net-pci,netdev=w1,romfile=
# timeout: 120
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-ktls.sh"

# The virtio NICs, in the order of their slots
others() {
	local dev
	for dev in /sys/class/net/*/device/driver; do
		[ "$(basename "$(readlink "$dev")")" = virtio_net ] || continue
		dev=${dev%/device/driver}
		echo "$(readlink -f "$dev/device") ${dev##*/}"
	done | sort | cut -d ' ' -f 2
}
all_nics() { [ "$(nics | wc -l)/$(others | wc -l)" = 2/2 ]; }

load_ktls
load_driver || give_up "sealnic.ko does not load"
modprobe -q virtio_net
wait_for 10 all_nics || give_up "$(nics | wc -l) ports and $(others | wc -l) virtio NICs"

# sn0 and sn2 are ours, and here; sn1 and sn3 are the others, in far
mapfile -t names < <(nics; others)
ip netns add far
far ip link set lo up
n=0
for i in 0 2 1 3; do
	ip link set "${names[n]}" down
	ip link set "${names[n]}" name sn$i || give_up "${names[n]} does not become sn$i"
	n=$((n + 1))
done
for i in 0 2; do
	ip link set sn$((i + 1)) netns far || give_up "sn$((i + 1)) does not go to far"
	ip addr add 10.0.$i.1/24 dev sn$i && ip addr add fd00:$i::1/64 dev sn$i nodad
	far ip addr add 10.0.$i.2/24 dev sn$((i + 1)) && far ip addr add fd00:$i::2/64 dev sn$((i + 1)) nodad
	ip link set sn$i up && far ip link set sn$((i + 1)) up
	wait_for 10 has_carrier '' sn$i && wait_for 10 has_carrier far sn$((i + 1)) || give_up "no carrier at sn$i"
done
head -c 256K /dev/urandom >/tmp/file
udp_echo far && udp_echo near || give_up "no UDP"

# of_lane NAME COUNTER
of_lane() { model wire | sed -n "s/^lane=$1 .* $2=\([0-9]*\).*/\1/p"; }
tls_hw() { ethtool -K "$1" tls-hw-tx-offload "$2" tls-hw-rx-offload "$2"; }

# records COUNTER WAS WANT NAME
records() { is $(($(stat_of "$dev" "$1") - $2)) "$3" "$4"; }

for wire in 0:stream 2:dgram; do
	i=${wire%:*} kind=${wire#*:} dev=sn${wire%:*} port=port$((${wire%:*} / 2))
	check "$kind: ping" ping -c 2 -i 0.1 -W 5 10.0.$i.2
	check "$kind: ping, IPv6" at far ping -c 2 -i 0.1 -W 5 fd00:$i::1
	check "$kind: UDP to virtio" udp near 10.0.$i.2 --flows 8 --count 10 --size 1400
	check "$kind: UDP from virtio, in fragments" udp far fd00:$i::1 --count 5 --size 60000
	transfer "$kind: TCP to virtio" near fd00:$i::2 --connections 2 --bytes 300K
	transfer "$kind: TCP from virtio" far 10.0.$i.1 --connections 2 --bytes 300K

	check "$kind: MTU 9000" bash -c "ip link set sn$i mtu 9000 && ip -n far link set sn$((i + 1)) mtu 9000"
	check "$kind: MTU 9000: UDP to virtio" udp near 10.0.$i.2 --df --count 5 --size 8972
	transfer "$kind: MTU 9000: TCP to virtio" near 10.0.$i.2 --bytes 1M
	transfer "$kind: MTU 9000: TCP from virtio" far 10.0.$i.1 --bytes 1M
	ip link set sn$i mtu 1500 && at far ip link set sn$((i + 1)) mtu 1500

	for offload in on off; do
		# What software does is the same on either wire
		[ $kind/$offload != dgram/off ] || continue
		tls_hw "$dev" $offload
		want=32
		[ $offload = on ] || want=0
		was=$(stat_of "$dev" hw_tls_tx_records)
		transfer "$kind: TLS to virtio, offload $offload" near 10.0.$i.2 --tls 1.3 --file /tmp/file --bytes 512K
		records hw_tls_tx_records "$was" $want "$kind: offload $offload: the NIC sealed $want records"
		was=$(stat_of "$dev" hw_tls_rx_records)
		opening_start 10.0.$i.1 --tls 1.3 --file /tmp/file --bytes 512K -- --tls-user
		stream_ok "$kind: TLS from virtio, offload $offload"
		records hw_tls_rx_records "$was" $want "$kind: offload $offload: the NIC opened $want records"
	done

	for lane in "$port>$kind" "$kind>$port"; do
		between "$(of_lane "$lane" frames)" 1000 1000000 "$lane: frames are counted"
		# One that held the wire for too long is possible where the machine is busy: TCP lives with it
		diag "$lane: dropped_stuck $(of_lane "$lane" dropped_stuck), held $(of_lane "$lane" held)"
		is "$(of_lane "$lane" dropped_full)" 0 "$lane: the flow was controlled"
	done
done

# --- the other end goes ---

carrier_is() { [ "$(cat /sys/class/net/"$1"/carrier)" = "$2" ]; }
path=$(operator hmp info network | sed -n 's/.*type=stream.*unix:\(\/[^ ]*\).*/\1/p')
check "the stream ends" operator hmp netdev_del w0
check "the port has no link" wait_for 10 carrier_is sn0 0
check "the other port has" carrier_is sn2 1
# The monitor for humans makes no netdev of this kind, but something that connects
is "$(operator hmp "chardev-add socket,id=w2,path=$path" 2>&1)" "" "another stream comes"
check "the port has a link" wait_for 10 carrier_is sn0 1
check "the stream ends again" operator hmp chardev-remove w2
check "the port has no link again" wait_for 10 carrier_is sn0 0
check "ping by datagrams" ping -c 1 -W 5 10.0.2.2

# Nobody receives datagrams: they are lost, and the port does not wait
operator hmp netdev_del w1
was=$(of_lane "port1>dgram" held)
ip neigh replace 10.0.2.2 lladdr 02:00:00:00:00:99 dev sn2 nud permanent
check "nobody answers" bash -c "! ping -c 3 -i 0.1 -W 1 10.0.2.2"
is "$(of_lane "port1>dgram" held)" "$was" "what nobody receives holds nothing up"
check "the port of the datagrams has a link" carrier_is sn2 1
finish
