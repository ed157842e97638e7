#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The other machine type, where the RAM above 4 GiB begins elsewhere and there are no slots of PCI Express.
#
# And a device that does not know TLS 1.3, for which our own tls.ko has no key of it; that has four vectors only, so that
# there are three queue pairs, however many CPUs; and that does not say when it needs no doorbell (SEALNIC_F_KICK_IDX), so
# that the driver rings each time that it has something: the doorbells show how it batches.
#
# timeout: 240
# vm: --machine pc --vectors 4 --model-arg --without --model-arg 0x80020
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-offload.sh"

load_ktls
load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
channels_are sn0 3 "four vectors"
check "four vectors: -L combined 3, whatever the CPUs" ethtool -L sn0 combined 3
check "four vectors: -L combined 4 is refused" bash -c '! ethtool -L sn0 combined 4 2>/dev/null'
check "there is RAM above 4 GiB" grep -q '^100000000-.*System RAM' /proc/iomem
nic=$(stat hw_tls_tx_bytes)
transfer "plain" near 10.0.0.2 --connections 8 --bytes 512K
transfer "plain, the other way, over IPv6" far fd00::1 --connections 8 --bytes 512K
watch_pattern
transfer "sealed" near 10.0.0.2 --tls 1.2 --bytes 2M
between $(($(stat hw_tls_tx_bytes) - nic)) $((2 << 20)) 10000000 "the NIC sealed it"

# --- doorbells ---

# A burst that one call of the qdisc's hands down is one doorbell
kicks() { # kicks COMMAND...: how many packets it sent, and how many doorbells
	counters_mark near
	"$@"
	counters_read near
	packets=$(grown near tx_packets) kicks=$(grown near tx_kicks)
}
plugged() { # 100 datagrams wait, and go at once
	local i
	for ((i = 0; i < 100; i++)); do echo there >/dev/udp/10.0.0.2/9; done
	tc qdisc change dev sn0 parent 1:1 handle 2: plug release_indefinite
	wait_for 5 all_sent
}
all_sent() { [ $(($(stat tx_packets) - ${counters_was[near.tx_packets]})) -ge 100 ]; }
one_by_one() { ping -c 10 -i 0.1 10.0.0.2 >/dev/null; }
ethtool -L sn0 combined 1
# Bytes in flight are not what is to limit the burst
echo 100000 >/sys/class/net/sn0/queues/tx-0/byte_queue_limits/limit_min
kicks one_by_one
diag "10 packets one by one: $packets packets, $kicks doorbells"
# Of which some may be sent between the looks at the two
between "$kicks" $((packets - 2)) 1000 "packets that come one by one: a doorbell each"
modprobe -q sch_plug
tc qdisc replace dev sn0 root handle 1: mq
tc qdisc replace dev sn0 parent 1:1 handle 2: plug limit 1000000
kicks plugged
tc qdisc del dev sn0 root
diag "100 packets at once: $packets packets, $kicks doorbells"
between "$packets" 100 150 "100 packets that a qdisc held back are sent"
between "$kicks" 1 $((packets / 5)) "100 packets at once: few doorbells"
echo 0 >/sys/class/net/sn0/queues/tx-0/byte_queue_limits/limit_min

why_mark
failed=$(stat tx_tls_add_failed) nic=$(stat hw_tls_tx_records)
transfer "TLS 1.3" near 10.0.0.2 --tls 1.3 --bytes 1M
is "$(why)" "TxSwVersion 1" "TLS 1.3: software has it, as the device does not know the version"
is "$(stat tx_tls_add_failed) $(stat hw_tls_tx_records)" "$failed $nic" "and was not asked"
transfer "TLS 1.2" near 10.0.0.2 --tls 1.2 --bytes 1M
is $(($(stat hw_tls_tx_records) - nic)) 64 "TLS 1.2: the NIC sealed it"
nothing_clear "nothing in the clear"

check "unplug" operator unplug 0
check "replug" operator replug 0
one_nic() { [ "$(nics | wc -l)" = 1 ]; }
check "the port is back" wait_for 20 one_nic
is "$(stat hw_err_addr far)$(stat hw_err_desc far)" 00 "the device took all addresses"
check "the driver goes" unload_driver
unload_ktls
finish
