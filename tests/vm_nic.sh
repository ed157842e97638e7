#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The sealnic as a plain NIC: traffic over all queues with every byte compared, and each thing that ethtool, ip and
# devlink can ask of it or set.
#
# vm: --smp 4 --vectors 5 --qemu-arg -object --qemu-arg memory-backend-ram,id=other,size=1M,share=on --qemu-arg -device --qemu-arg ivshmem-plain,memdev=other
# timeout: 400
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
queues=4

# Shared memory that is somebody else's: no magic
other=$(grep -l '^0x1110$' /sys/bus/pci/devices/*/device | xargs -n 1 dirname | while read -r dev; do
	[ "$(command stat -c %s "$dev/resource2" 2>/dev/null)" != 1048576 ] || echo "$dev"
done)
pci_command() { od -An -tx2 -j4 -N2 "$1/config" | tr -d ' '; }

[ -n "$other" ] || give_up "the other ivshmem device is not there"
# into_other FORMAT: what printf makes of it, to the beginning of its memory
into_other() {
	# shellcheck disable=SC2059
	printf "$1" | "$SEALNIC_REPO/build/tests/poke" "$other/resource2" 0
}
check "the other ivshmem device has memory" into_other 'left alone'
before=$(pci_command "$other")
load_driver || give_up "sealnic.ko does not load"
is "$([ ! -e "$other/driver" ] || readlink "$other/driver")" "" "an ivshmem device without the magic gets no driver"
is "$(pci_command "$other")" "$before" "an ivshmem device without the magic is not enabled"
check "the driver did not name it" bash -c "! dmesg | grep -q 'sealnic ${other##*/}'"

# The magic, and an interface version that is not the driver's
bind_other() { echo "${other##*/}" >/sys/bus/pci/drivers/sealnic/bind; }
for version in 2.7 0.1; do
	into_other "SEALNIC\\0\\$(printf %o "${version%.*}")\\0\\$(printf %o "${version#*.}")\\0"
	if bind_other 2>/dev/null; then
		not_ok "interface version $version: the device is refused" "it is bound"
		echo "${other##*/}" >/sys/bus/pci/drivers/sealnic/unbind
	else
		ok "interface version $version: the device is refused"
	fi
	is "$(dmesg | sed -n "s/.*sealnic ${other##*/}: \(device speaks\)/\1/p" | tail -n 1)" \
		"device speaks interface version $version, this driver $(model version | sed -n 's/^interface //p')" \
		"interface version $version: the kernel's log names both versions"
	is "$([ ! -e "$other/driver" ] || readlink "$other/driver")$(cat "$other/enable")" 0 \
		"interface version $version: it has no driver, and is not enabled"
done
into_other '\0\0\0\0\0\0\0\0'

# health_speaks NAME PCI: both reporters answer, by word and by dump, for an interface that has no queues
health_speaks() {
	local reporter said
	for reporter in fw tx; do
		devlink health dump clear "pci/$2" reporter $reporter
		for said in diagnose "dump show"; do
			# shellcheck disable=SC2086
			said=$(devlink health $said "pci/$2" reporter $reporter 2>&1)
			is "$(grep -c 'queues_up: false' <<<"$said")$(grep -c 'queue:' <<<"$said")" 10 \
				"$1: devlink health $reporter speaks, and of no queue"
		done
	done
}
for near in $(nics); do
	health_speaks "$near never opened" "$(basename "$(readlink "/sys/class/net/$near/device")")"
done

two_ns || give_up "no two ports"
udp_echo far && udp_echo near || give_up "no UDP"
pci=$(basename "$(readlink /sys/class/net/sn0/device)")

# all_grew near|far PREFIX SUFFIX NAME: the counter of each queue has moved since counters_mark
all_grew() {
	local q idle=''
	for ((q = 0; q < queues; q++)); do
		[ "$(grown "$1" "$2${q}_$3")" -gt 0 ] || idle+=" $q"
	done
	is "$idle" "" "$4"
}

# only_grew near|far QUEUES LOW NAME: those queues received at least LOW packets in all, the others next to nothing
# (broadcasts and the like are nobody's to steer)
only_grew() {
	local q n=0 others=0
	for ((q = 0; q < queues; q++)); do
		case " $2 " in
		*" $q "*) n=$((n + $(grown "$1" "rx${q}_packets"))) ;;
		*) others=$((others + $(grown "$1" "rx${q}_packets"))) ;;
		esac
	done
	diag "queues $2: $n packets, the others: $others"
	if [ $n -ge "$3" ] && [ $others -le 16 ]; then ok "$4"; else not_ok "$4" "$n packets in $2, $others elsewhere"; fi
}

# --- all queues, both directions ---

for host in 10.0.0.2 10.0.0.1 fd00::2 fd00::1; do
	from=near to=far
	[[ $host != *1 ]] || from=far to=near
	counters_mark near && counters_mark far
	transfer "64 TCP connections to $host" $from $host --connections 64 --bytes 96K
	check "64 UDP flows to $host" udp $from $host --flows 64 --count 3 --size 1400
	counters_read near && counters_read far
	all_grew $from tx packets "to $host: every queue of the sender sent"
	all_grew $to rx packets "to $host: every queue of the receiver received"
	all_grew $to tx packets "to $host: every queue of the receiver sent answers"
	all_grew $from rx packets "to $host: every queue of the sender received answers"
done
check "UDP in fragments, IPv4" udp near 10.0.0.2 --size 60000 --count 5
check "UDP in fragments, IPv6" udp near fd00::2 --size 60000 --count 5
check "ping" ping -c 3 -W 5 10.0.0.2
check "ping, IPv6" ping -c 3 -W 5 fd00::2

# --- what was counted is what was sent ---

link_stat() { if [ "$1" = far ]; then far cat /sys/class/net/sn1/statistics/"$2"; else cat /sys/class/net/sn0/statistics/"$2"; fi; }
# Neighbour discovery of its own accord goes to groups that the other end may not have joined
is "$(($(link_stat far rx_packets) + $(stat hw_rx_filtered far)))" "$(link_stat near tx_packets)" \
	"ip -s link: far received or filtered the packets that near sent"
is "$(($(link_stat near rx_packets) + $(stat hw_rx_filtered)))" "$(link_stat far tx_packets)" \
	"ip -s link: near received or filtered the packets that far sent"
is "$(stat hw_tx_packets)" "$(link_stat near tx_packets)" "the device counts the same packets"
is "$(stat hw_tx_bytes)" "$(link_stat near tx_bytes)" "the device counts the same bytes"
is "$(link_stat near tx_dropped)$(link_stat far rx_dropped)$(link_stat near rx_errors)" 000 "nothing was dropped"
was=()
for what in tx_packets rx_packets tx_bytes rx_bytes; do was+=("$(link_stat near $what)"); done
udp near 10.0.0.2 --flows 10 --count 100 --size 1000
frame=$((1000 + 8 + 20 + 14))
between $(($(link_stat near tx_packets) - was[0])) 1000 1008 "1000 datagrams are 1000 packets"
between $(($(link_stat near rx_packets) - was[1])) 1000 1008 "and so are the answers"
between $(($(link_stat near tx_bytes) - was[2])) $((1000 * frame)) $((1001 * frame)) "in bytes, with headers"
between $(($(link_stat near rx_bytes) - was[3])) $((1000 * frame)) $((1001 * frame)) "and so are the answers"

# --- the same for each queue, from the kernel's netdev family ---

# qstats_sum rx|tx COUNTER: over the queues that are in use; qstats_all of the interface
qstats_sum() { awk -v dir="$1" -v name="$2" '$1 == dir && $2 != "all" && $3 == name { n += $4 } END { printf "%.0f", n }' /tmp/qstats; }
qstats_all() { sed -n "s/^$1 all $2 //p" /tmp/qstats; }
qstats_queues() { grep -c "^$1 [0-9]* packets" /tmp/qstats; }
qstats_read() { "$SEALNIC_REPO/build/tests/qstats" sn0 >/tmp/qstats; }
# Queue by queue what ethtool says. Something may be sent between the two looks.
qstats_by_queue() {
	# ethtool has other names for some, and a wake is counted by who receives
	qstats_read && ethtool -S sn0 | awk '
		BEGIN {
			n = split("csum_unnecessary csum_ok needs_csum csum hw_gso_packets tso alloc_fail alloc_failed", names)
			for (i = 1; i < n; i += 2) other[names[i]] = names[i + 1]
		}
		NR != FNR { ethtool[$1] = $2; next }
		$2 == "all" { next }
		{
			key = $1 $2 "_" ($3 in other ? other[$3] : $3) ":"
			if ($3 == "wake") key = "rx" $2 "_tx_wake:"
			qstats[key] = $4
			seen++
		}
		END {
			for (key in qstats) {
				if (key in ethtool && ethtool[key] == qstats[key]) continue
				print "qstats " qstats[key] ", ethtool " key " " ethtool[key]
				bad = 1
			}
			exit bad || !seen
		}' /tmp/qstats - >/tmp/qstats.said
}
# The interface has what ip says, and as many queues as are in use
qstats_whole() {
	local dir what
	qstats_read || return 1
	: >/tmp/qstats.said
	for dir in rx tx; do
		for what in packets bytes; do
			echo "$dir $what: $(qstats_all $dir $what), ip -s link: $(link_stat near ${dir}_$what)" >>/tmp/qstats.said
			[ "$(qstats_all $dir $what)" = "$(link_stat near ${dir}_$what)" ] || return 1
		done
	done
}
# What the queues have is what the interface has
qstats_sums() {
	qstats_read || return 1
	: >/tmp/qstats.said
	[ "$(qstats_sum rx packets) $(qstats_sum rx bytes) $(qstats_sum tx packets) $(qstats_sum tx bytes)" = \
		"$(qstats_all rx packets) $(qstats_all rx bytes) $(qstats_all tx packets) $(qstats_all tx bytes)" ]
}
qstats() { # qstats NAME FUNCTION
	if wait_for 5 "$2"; then ok "$1"; else not_ok "$1" "$(cat /tmp/qstats.said /tmp/qstats)"; fi
}
qstats "qstats: each queue has what ethtool -S says" qstats_by_queue
qstats "qstats: the interface has what ip -s link says" qstats_whole
qstats "qstats: the queues sum up to it" qstats_sums
is "$(qstats_queues rx) $(qstats_queues tx)" "$queues $queues" "qstats: of $queues queues each way"
between "$(qstats_sum tx packets)" 2000 100000000 "qstats: there was traffic to count"
ethtool -L sn0 combined 2
qstats "qstats, 2 queues in use: each has what ethtool -S says" qstats_by_queue
qstats "qstats, 2 queues in use: the interface has still what ip -s link says" qstats_whole
is "$(qstats_queues rx) $(qstats_queues tx)" "2 2" "qstats, 2 queues in use: of 2 each way"
between $(($(qstats_all tx packets) - $(qstats_sum tx packets))) 100 100000000 "qstats, 2 queues in use: what the others had is not lost"
ethtool -L sn0 combined $queues
wait_for 10 has_carrier '' sn0

# --- the model sleeps when there is nothing to do ---

before=$(model cpu)
check "UDP" udp near 10.0.0.2 --count 200 --size 1000
busy=$(($(model cpu) - before))
between "$busy" 1 100000000 "the model takes time when there is something to do"
before=$(model cpu)
nap 2
idle=$(($(model cpu) - before))
diag "the model took $busy us for 400 packets, $idle us for two idle seconds"
between "$idle" 0 100000 "the model takes next to none when there is nothing"

# --- RSS ---

steer() { # steer: 64 flows of UDP into far, counted
	counters_mark far
	udp near 10.0.0.2 --flows 64 --count 4 --size 200 || not_ok "UDP gets through"
	counters_read far
}
for q in 0 1 2 3; do
	weights=(0 0 0 0)
	weights[q]=1
	check "all weight on queue $q" at far ethtool -X sn1 weight "${weights[@]}"
	steer
	only_grew far $q 256 "with all weight on queue $q it receives everything"
done
check "RSS over two queues" at far ethtool -X sn1 equal 2
steer
only_grew far "0 1" 256 "with 'equal 2' queues 0 and 1 receive everything"
between "$(grown far rx0_packets)" 20 240 "with 'equal 2' queue 0 has its share"
at far ethtool -X sn1 default
key=$(printf '00:%.0s' {1..39})00
check "RSS key of zeroes" at far ethtool -X sn1 hkey "$key"
is "$(at far ethtool -x sn1 | grep -c "^$key$")" 1 "the key is the one that was set"
steer
only_grew far 0 256 "with a key of zeroes every hash is 0"
key=$(printf '%02x:' {1..39})ff
check "another RSS key" at far ethtool -X sn1 hkey "$key"
is "$(at far ethtool -x sn1 | grep -c "^$key$")" 1 "the other key is the one that was set"
steer
all_grew far rx packets "with the other key all queues receive"
check "hash UDP by addresses only" at far ethtool -N sn1 rx-flow-hash udp4 sd
steer
used=0
for q in 0 1 2 3; do [ "$(grown far "rx${q}_packets")" -lt 200 ] || used=$((used + 1)); done
is $used 1 "hashed by addresses, 64 flows between two hosts are one"
check "hash UDP by ports too" at far ethtool -N sn1 rx-flow-hash udp4 sdfn
check "hash off" at far ethtool -K sn1 rxhash off
check "UDP with the hash off" udp near 10.0.0.2 --flows 64 --size 200
check "hash on" at far ethtool -K sn1 rxhash on
steer
all_grew far rx packets "then all queues receive again"

# --- MTU ---

mtu() { ip link set sn0 mtu "$1" && at far ip link set sn1 mtu "$1"; }
check "MTU 1500: 1472 bytes of UDP without fragments" udp near 10.0.0.2 --df --size 1472
check "MTU 1500: 1452 bytes over IPv6" udp near fd00::2 --df --size 1452
udp near 10.0.0.2 --df --size 1473 2>/dev/null
is $? 3 "MTU 1500: 1473 bytes do not fit"
check "MTU 9000" mtu 9000
check "MTU 9000: 8972 bytes of UDP without fragments" udp near 10.0.0.2 --df --size 8972 --flows 8 --count 20
check "MTU 9000: 8952 bytes over IPv6" udp far fd00::1 --df --size 8952 --flows 8 --count 20
udp near 10.0.0.2 --df --size 8973 2>/dev/null
is $? 3 "MTU 9000: 8973 bytes do not fit"
transfer "MTU 9000: TCP" near 10.0.0.2 --connections 8 --bytes 1M
check "MTU 9001 is refused" bash -c '! ip link set sn0 mtu 9001'
at far ip link set sn1 mtu 1500
before=$(stat hw_rx_too_long far)
ping -c 3 -s 3000 -W 1 10.0.0.2 >/dev/null
between $(($(stat hw_rx_too_long far) - before)) 3 20 "frames beyond the receiver's MTU are counted, not received"
check "MTU 1280" mtu 1280
transfer "MTU 1280: TCP" far fd00::1 --bytes 1M
mtu 1500

# --- offloads one by one; what is off does not happen ---

tcp_and_udp() {
	stream_start near fd00::2 --connections 4 --bytes 200K && stream_done 60 &&
		udp near 10.0.0.2 --flows 4 --count 4 --size 1400
}
both_ways() {
	tcp_and_udp && stream_start far 10.0.0.1 --connections 4 --bytes 200K && stream_done 60 &&
		udp far fd00::1 --flows 4 --count 4 --size 1400
}
counters_mark near && counters_mark far
check "everything on: traffic" tcp_and_udp
counters_read near && counters_read far
declare -A on=()
for key in near.tx_tso near.hw_tx_tso_packets near.tx_csum far.rx_csum_ok; do on[$key]=$(grown "${key%%.*}" "${key#*.}"); done
# without FEATURE near|far COUNTERS...: off for that end; traffic passes, and the counters that grew with it stand still
without() {
	local feature=$1 where=$2 counter
	shift 2
	for counter in "$@"; do between "${on[$where.$counter]}" 1 1000000 "$where, $feature on: $counter counts"; done
	check "$where, $feature off" at "$where" ethtool -K "$(dev_of "$where")" "$feature" off
	counters_mark "$where"
	check "$where, $feature off: traffic" tcp_and_udp
	counters_read "$where"
	for counter in "$@"; do is "$(grown "$where" "$counter")" 0 "$where, $feature off: $counter stands still"; done
	at "$where" ethtool -K "$(dev_of "$where")" "$feature" on
}
without tso near tx_tso hw_tx_tso_packets
without gso near
without tx near tx_csum
without sg near
without rx far rx_csum_ok
without gro far
ethtool -K sn0 tso on tx on sg on gso on
for end in near far; do
	at $end ethtool -K "$(dev_of $end)" tso off gso off sg off tx off rx off gro off rxhash off txvlan off rxvlan off
done
check "everything off at both ends: traffic" both_ways
for end in near far; do
	at $end ethtool -K "$(dev_of $end)" rxhash on rx on tx on sg on gso on tso on gro on txvlan on rxvlan on
done
is "$(ethtool -k sn0 | sed -n 's/^tcp-segmentation-offload: //p')" on "TSO is on again"

# --- VLAN ---

modprobe -q 8021q
ip link add link sn0 name vl0 type vlan id 7 && ip addr add 10.7.0.1/24 dev vl0 && ip addr add fd07::1/64 dev vl0 nodad &&
	ip link set vl0 up
far ip link add link sn1 name vl1 type vlan id 7 && at far ip addr add 10.7.0.2/24 dev vl1 &&
	at far ip addr add fd07::2/64 dev vl1 nodad && at far ip link set vl1 up
# Where only one end has it on, the other end's software has to find, or to have set, the tag on the wire
for offload in on off; do
	for other in on off; do
		ethtool -K sn0 txvlan $offload rxvlan $offload
		at far ethtool -K sn1 txvlan $other rxvlan $other
		transfer "VLAN, offload $offload here, $other there: TCP" near 10.7.0.2 --connections 4 --bytes 256K
		check "VLAN, offload $offload here, $other there: UDP" udp far fd07::1 --flows 4 --size 1400
	done
done
ethtool -K sn0 txvlan on rxvlan on
at far ethtool -K sn1 txvlan on rxvlan on
ip link set vl0 type vlan ingress-qos-map 0:0
ip link add link sn0 name vl9 type vlan id 9 && ip addr add 10.9.0.1/24 dev vl9 && ip link set vl9 up
check "another VLAN's traffic does not come through" bash -c '! ping -c 1 -W 1 10.9.0.2'
ip link del vl0
ip link del vl9
far ip link del vl1

# --- filters ---

# sends COUNT datagrams to an Ethernet address that nobody asked for
shout() { # shout MAC
	local i
	ip neigh replace 10.0.0.9 lladdr "$1" dev sn0 nud permanent
	counters_mark far
	for ((i = 0; i < 20; i++)); do echo there >/dev/udp/10.0.0.9/9; done
	sleep 0.2
	counters_read far
}
heard() { # heard NAME: it came in; filtered NAME: it did not
	if [ "$(grown far rx_packets)" -ge 20 ] && [ "$(grown far hw_rx_filtered)" -lt 20 ]; then ok "$1"; else
		not_ok "$1" "received $(grown far rx_packets), filtered $(grown far hw_rx_filtered)"
	fi
}
filtered() {
	if [ "$(grown far rx_packets)" -lt 20 ] && [ "$(grown far hw_rx_filtered)" -ge 20 ]; then ok "$1"; else
		not_ok "$1" "received $(grown far rx_packets), filtered $(grown far hw_rx_filtered)"
	fi
}
shout 02:aa:00:00:00:01
filtered "a foreign address is filtered"
at far ip link set sn1 promisc on
shout 02:aa:00:00:00:01
heard "promiscuous: it is heard"
at far ip link set sn1 promisc off
shout 02:aa:00:00:00:01
filtered "not promiscuous any more"
bridge -n far fdb add 02:aa:00:00:00:01 dev sn1 self permanent
shout 02:aa:00:00:00:01
heard "as an address of its own it is heard"
shout 02:aa:00:00:00:02
filtered "its neighbour is not"
addresses() { # addresses add|del FIRST LAST FLAGS
	local i
	for ((i = $2; i <= $3; i++)); do
		echo "fdb $1 $(printf 02:aa:00:00:00:%02x "$i") dev sn1 $4"
	done | bridge -n far -batch -
}
addresses add 2 32 "self permanent"
shout 02:aa:00:00:00:20
heard "the 32nd address of its own is heard"
shout 02:aa:00:00:00:77
filtered "with 32 a foreign one is not"
bridge -n far fdb add 02:aa:00:00:00:21 dev sn1 self permanent
shout 02:aa:00:00:00:21
heard "the 33rd is heard"
addresses del 1 33 self
shout 02:aa:00:00:00:01
filtered "without them all is filtered again"
shout 01:00:5e:07:07:07
filtered "a foreign multicast group is filtered"
at far ip maddress add 01:00:5e:07:07:07 dev sn1
shout 01:00:5e:07:07:07
heard "a joined multicast group is heard"
at far ip maddress del 01:00:5e:07:07:07 dev sn1
at far ip link set sn1 allmulticast on
shout 01:00:5e:07:07:08
heard "allmulticast: any group is heard"
at far ip link set sn1 allmulticast off
for i in {1..70}; do at at far ip maddress add "$(printf 01:00:5e:08:08:%02x "$i")" dev sn1; done
shout 01:00:5e:08:08:46
heard "the last of 70 groups is heard"
for i in {1..70}; do at at far ip maddress del "$(printf 01:00:5e:08:08:%02x "$i")" dev sn1; done
ip neigh del 10.0.0.9 dev sn0
if modprobe -q macvlan; then
	far ip link add mv0 link sn1 type macvlan mode private
	at far ip addr add 10.8.0.2/24 dev mv0 && at far ip link set mv0 up
	ip addr add 10.8.0.1/24 dev sn0
	check "UDP to a macvlan" udp near 10.8.0.2 --flows 8 --count 4 --size 1400
	far ip link del mv0
	ip addr del 10.8.0.1/24 dev sn0
else
	skip "UDP to a macvlan" "no macvlan in this kernel"
fi
mac=$(far cat /sys/class/net/sn1/address)
check "another station address" at far ip link set sn1 address 02:bb:00:00:00:01
ip neigh flush dev sn0
check "traffic to the new station address" udp near 10.0.0.2 --flows 4 --size 1000
ip neigh replace 10.0.0.9 lladdr "$mac" dev sn0 nud permanent
shout "$mac"
filtered "the old station address is filtered"
at far ip link set sn1 address "$mac"
ip neigh flush dev sn0
check "traffic to the old station address" udp near 10.0.0.2 --size 1000
ip neigh del 10.0.0.9 dev sn0 2>/dev/null

# --- damaged frames ---

counters_mark far
model wire corrupt=3 seed=1 >/dev/null
transfer "TCP over a wire that damages frames" near 10.0.0.2 --connections 4 --bytes 512K
model wire clear >/dev/null
counters_read far
between "$(grown far rx_csum_bad)" 1 100000 "the device told that their checksums are bad"

# --- ethtool ---

says() { # says NAME PATTERN COMMAND...: what it prints has a line that matches
	local name=$1 pattern=$2 said
	shift 2
	said=$("$@" 2>&1)
	if grep -qE "$pattern" <<<"$said"; then ok "$name"; else not_ok "$name" "$* says: $said"; fi
}
refused() { # refused NAME COMMAND...
	local name=$1
	shift
	if "$@" >/dev/null 2>&1; then not_ok "$name" "'$*' succeeded"; else ok "$name"; fi
}
says "-i names the driver" '^driver: sealnic$' ethtool -i sn0
says "-i names the bus address" "^bus-info: $pci\$" ethtool -i sn0
says "-i names the firmware" '^firmware-version: [0-9]+\.[0-9]+\.[0-9]+$' ethtool -i sn0
says "-l knows the number of channels" '^Combined:[[:space:]]*4$' ethtool -l sn0
for n in 1 3 2 4; do
	check "-L combined $n" ethtool -L sn0 combined $n
	says "-l says $n" "^Combined:[[:space:]]*$n\$" ethtool -l sn0
	is "$(ls -d /sys/class/net/sn0/queues/tx-* | wc -l)" $n "there are $n transmit queues"
	transfer "traffic over $n channels" far 10.0.0.1 --connections 8 --bytes 128K
done
refused "-L combined 5 is refused" ethtool -L sn0 combined 5
refused "-L combined 0 is refused" ethtool -L sn0 combined 0
for rings in "256 64" "4096 4096" "300 100" "1024 1024"; do
	read -r tx rx <<<"$rings"
	check "-G tx $tx rx $rx" ethtool -G sn0 tx "$tx" rx "$rx"
	transfer "traffic with rings of $tx and $rx" near 10.0.0.2 --connections 4 --bytes 512K
	check "and back" udp far 10.0.0.1 --flows 32 --count 4 --size 1400
done
ethtool -G sn0 tx 300 rx 100
is "$(ethtool -g sn0 | sed -n '/Current/,$s/^[RT]X:[[:space:]]*//p' | tr '\n' ' ')" "128 512 " "sizes are rounded up to powers of two"
ethtool -G sn0 tx 1024 rx 1024
refused "-G tx 128 is refused" ethtool -G sn0 tx 128
refused "-G rx 32 is refused" ethtool -G sn0 rx 32
refused "-G rx 8192 is refused" ethtool -G sn0 rx 8192
for coalesce in "rx-usecs 0 rx-frames 0 tx-usecs 0 tx-frames 0" "rx-usecs 10000 rx-frames 1024 tx-usecs 10000 tx-frames 1024" \
	"rx-usecs 20 rx-frames 32 tx-usecs 50 tx-frames 64"; do
	# shellcheck disable=SC2086
	check "-C $coalesce" ethtool -C sn0 $coalesce
	transfer "traffic with it" far fd00::1 --connections 4 --bytes 128K
done
says "-c says so" '^rx-usecs:[[:space:]]*20$' ethtool -c sn0
refused "-C rx-usecs 10001 is refused" ethtool -C sn0 rx-usecs 10001
check "-Q: one queue's moderation" ethtool -Q sn0 queue_mask 0x2 --coalesce rx-usecs 7
says "-Q shows it" '^rx-usecs: 7$' ethtool -Q sn0 queue_mask 0x2 --show-coalesce
says "-c still says 20 for the others" '^rx-usecs:[[:space:]]*20$' ethtool -c sn0
counters_mark near
ethtool -C sn0 rx-usecs 0 rx-frames 1 tx-usecs 0 tx-frames 1
udp far 10.0.0.1 --count 200 --size 100
counters_read near
quick=$(grown near hw_irqs)
ethtool -C sn0 rx-usecs 10000 rx-frames 1024 tx-usecs 10000 tx-frames 1024
counters_mark near
udp far 10.0.0.1 --flows 50 --count 4 --size 100
counters_read near
slow=$(grown near hw_irqs)
ethtool -C sn0 rx-usecs 20 rx-frames 32 tx-usecs 50 tx-frames 64
between $((quick - slow)) 20 100000 "moderation saves interrupts ($quick without, $slow with it)"
says "-a" '^RX:[[:space:]]*on$' ethtool -a sn0
check "-A off" ethtool -A sn0 rx off tx off
says "-a says off" '^TX:[[:space:]]*off$' ethtool -a sn0
transfer "traffic without pause" near 10.0.0.2 --connections 4 --bytes 512K
refused "-A one way is refused" ethtool -A sn0 rx on tx off
check "-A on" ethtool -A sn0 rx on tx on
is "$(ethtool -d sn0 raw on | head -c 7)" SEALNIC "-d begins with the magic"
says "-k" 'tx-checksum-ip-generic: on$' ethtool -k sn0
says "the link's speed" '^[[:space:]]*Speed: 100000Mb/s$' ethtool sn0
check "-t online passes" ethtool -t sn0 online
says "-t offline passes" '^The test result is PASS$' ethtool -t sn0 offline
wait_for 10 has_carrier '' sn0
check "traffic after the offline test" udp near 10.0.0.2 --flows 16 --size 1000
is "$(stat tx3_packets | grep -c .)" 1 "-S has each queue's counters"

# --- devlink ---

says "devlink dev info: driver" 'driver sealnic' devlink dev info "pci/$pci"
says "devlink dev info: firmware" 'fw [0-9]+\.[0-9]+\.[0-9]+' devlink dev info "pci/$pci"
for reporter in fw tx; do
	says "devlink health: $reporter is healthy" 'state healthy' devlink health show "pci/$pci" reporter $reporter
	says "devlink health: $reporter diagnoses" 'dead: false' devlink health diagnose "pci/$pci" reporter $reporter
done
says "devlink health: every queue is in the diagnosis" 'queue: 3' devlink health diagnose "pci/$pci" reporter fw
check "devlink health recover" devlink health recover "pci/$pci" reporter fw
devlink health set "pci/$pci" reporter fw auto_recover false
before=$(stat resets)
model fault 0
says_error() { devlink health show "pci/$pci" reporter fw | grep -q 'state error'; }
check "a device that stopped is reported" wait_for 10 says_error
is "$(stat resets)" "$before" "without auto_recover nobody resets it"
check "devlink health recover" devlink health recover "pci/$pci" reporter fw
is "$(stat resets)" $((before + 1)) "it resets the device"
says "the reporter is healthy again" 'state healthy' devlink health show "pci/$pci" reporter fw
devlink health set "pci/$pci" reporter fw auto_recover true
wait_for 10 has_carrier '' sn0
check "traffic after recovery" udp far fd00::1 --flows 16 --size 1000
ip link set sn0 down
health_speaks "interface down" "$pci"
ethtool -L sn0 combined 2
ethtool -G sn0 tx 512
health_speaks "interface down, other queues" "$pci"
ethtool -L sn0 combined 4
ethtool -G sn0 tx 1024
ip link set sn0 up
ip addr add fd00::1/64 dev sn0 nodad
wait_for 10 has_carrier '' sn0
says "interface up: every queue is in the diagnosis again" 'queue: 3' devlink health diagnose "pci/$pci" reporter fw
check "interface up: traffic" udp far fd00::1 --flows 16 --size 1000

# --- the link ---

no_carrier() { ! has_carrier "$@"; }
for port in 0 1; do
	model link $port down
	check "cable $port pulled: no carrier here" wait_for 10 no_carrier '' sn0
	check "cable $port pulled: no carrier there" wait_for 10 no_carrier far sn1
	says "ethtool says so" 'Link detected: no' ethtool sn0
	model link $port up
	check "cable $port back: carrier" wait_for 10 has_carrier '' sn0
	check "cable $port back: carrier there" wait_for 10 has_carrier far sn1
done
at far ip link set sn1 down
check "the other end down: no carrier" wait_for 10 no_carrier '' sn0
at far ip link set sn1 up
at far ip addr add fd00::2/64 dev sn1 nodad
check "the other end up: carrier" wait_for 10 has_carrier '' sn0
wait_for 10 has_carrier far sn1
transfer "and traffic" near 10.0.0.2 --connections 8 --bytes 256K

# --- memory above 4 GiB ---

trace=/sys/kernel/tracing/events/page_pool/page_pool_state_hold
if [ -e $trace/enable ]; then
	ip link set sn0 down
	echo 1 >$trace/enable
	ip link set sn0 up
	echo 0 >$trace/enable
	high=$(sed -n 's/.*pfn=0x\([0-9a-f]*\).*/\1/p' /sys/kernel/tracing/trace | while read -r pfn; do
		[ $((0x$pfn)) -lt $((0x100000)) ] || echo "$pfn"
	done | wc -l)
	between "$high" 100 1000000 "receive buffers lie above 4 GiB"
	ip addr add fd00::1/64 dev sn0 nodad
	wait_for 10 has_carrier '' sn0
	transfer "traffic through them" far 10.0.0.1 --connections 8 --bytes 1M
else
	skip "receive buffers lie above 4 GiB" "no tracepoints in this kernel"
fi

counters_read near && counters_read far
bad=''
for key in "${!counters_now[@]}"; do
	case $key in
	*.hw_err_* | *.cmd_timeouts | *.cmd_failed | *.events_unknown | *.tx_timeouts | *.tx_dropped | *map_failed)
		[ "${counters_now[$key]}" = 0 ] || bad+=" $key=${counters_now[$key]}" ;;
	esac
done
is "$bad" "" "the device saw no error in all of this"
finish
