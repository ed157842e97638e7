#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocation failures: in each thing that one does to the driver, the first allocation fails, then the second, and so on
# to the last; and under traffic, some all the time. Whatever fails says so, nothing is lost, all works afterwards.
#
# Only allocations count that were made on behalf of the driver: its code is on the stack. Those of the kernel's checkers
# are among them, and the DMA checker gives up for good: hence a VM of its own. /proc/irq warns when it removes what it
# could not make.
#
# vm: --smp 2
# timeout: 400
# reports: remove_proc_entry|DMA-API: cacheline tracking ENOMEM|kmemleak: Cannot allocate
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
failslab=/sys/kernel/debug/failslab fail_page_alloc=/sys/kernel/debug/fail_page_alloc

if [ ! -d $failslab ]; then
	skip "allocation failures" "no fault injection in this kernel"
	finish
fi
load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"

inject() { # inject FILE VALUE: into both of them
	echo "$2" >"$failslab/$1" && echo "$2" >"$fail_page_alloc/$1"
}
many=1000000
injected() { echo $((2 * many - $(cat $failslab/times) - $(cat $fail_page_alloc/times))); }

# The driver's code, from its first function to the end of its last
addresses=$(awk '$2 ~ /^[tT]$/ && $4 == "[sealnic]" { print $1 }' /proc/kallsyms | sort)
inject require-start "0x$(head -n 1 <<<"$addresses")"
inject require-end "$(printf '0x%x' $((0x$(tail -n 1 <<<"$addresses") + 256)))"
inject stacktrace-depth 32
inject ignore-gfp-wait N
echo N >$fail_page_alloc/ignore-gfp-highmem
echo 0 >$fail_page_alloc/min-order
inject verbose 0
inject times $many

# each NAME all|some COMMAND...: with the first allocation failing, then with the next, at growing distances for some.
# `before` runs in front of each, and `right STATUS` says whether the outcome is what it should be: those of the kernel's
# checkers, and those with a second way, may fail without consequences. refused is how often the command failed. The
# command has to run within the shell or by exec.
before() { :; }
right() { :; }
each() {
	local name=$1 which=$2 n=1 was status failed=0 last=0 wrong=''
	shift 2
	refused=0
	while [ $n -lt 2000 ]; do
		before $n
		was=$(injected)
		status=0
		(
			echo $n >/proc/self/fail-nth
			"$@"
		) >/tmp/each.out 2>&1 || status=$?
		[ "$(injected)" != "$was" ] || break
		failed=$((failed + 1))
		[ $status = 0 ] || refused=$((refused + 1))
		right $status || wrong+=" $n:$status"
		last=$n
		n=$((n + 1 + ($([ "$which" = all ] && echo 0 || echo "$n") >> 1)))
	done
	diag "$name: $failed times, the last was allocation $last; $refused times it could not be done"
	between $failed 1 2000 "$name: there are allocations to fail"
	is "$wrong" "" "$name: every time, the outcome is right"
	is $status 0 "$name: without failures it works"
}
some_refused() { between $refused 1 2000 "$1: not without memory"; }

# --- one by one ---

pci=$(basename "$(readlink /sys/class/net/sn0/device)")
bind() { echo "$pci" >/sys/bus/pci/drivers/sealnic/bind; }
before() { [ ! -e /sys/bus/pci/drivers/sealnic/"$pci" ] || echo "$pci" >/sys/bus/pci/drivers/sealnic/unbind; }
# Whoever says that it worked has done it; whoever says that it did not has undone it
right() { if [ -e /sys/bus/pci/drivers/sealnic/"$pci" ]; then [ "$1" = 0 ]; else [ "$1" != 0 ]; fi; }
each "probe" some bind
some_refused "probe"
near=$(nics)
ip link set "$near" name sn0
ip addr add 10.0.0.1/24 dev sn0

before() { ip link set sn0 down; }
right() { if ip -o link show sn0 | grep -q '[<,]UP[,>]'; then [ "$1" = 0 ]; else [ "$1" != 0 ]; fi; }
each "open" some exec ip link set sn0 up
some_refused "open"
before() { :; }
is "$(cat /sys/class/net/sn0/operstate)" up "the interface is up in the end"

# Rings of another size and number: the old ones go on if there are no new ones
size() { ethtool -g sn0 | sed -n '/Current/,$s/^TX:[[:space:]]*//p'; }
before() { now=$(size); }
right() { if [ "$(size)" = "$now" ]; then [ "$1" != 0 ]; else [ "$1" = 0 ]; fi; }
rings() { exec ethtool -G sn0 tx $((now == 256 ? 512 : 256)) rx $((now == 256 ? 128 : 64)); }
each "-G" some rings
some_refused "-G"
size() { find /sys/class/net/sn0/queues -name 'tx-*' | wc -l; }
channels() { exec ethtool -L sn0 combined $((3 - now)); }
each "-L" some channels
some_refused "-L"
before() { :; }
ethtool -G sn0 tx 1024 rx 1024
ethtool -L sn0 combined 2
wait_for 20 has_carrier '' sn0
transfer "traffic after that" near 10.0.0.2 --connections 4 --bytes 256K

# One test needs memory of its own, and says that it had none
right() {
	local bad
	bad=$(sed -n 's/^\([^\t]*\)[[:space:]]\+\([1-9][0-9]*\)$/\1 \2/p' /tmp/each.out)
	if [ "$1" = 0 ]; then [ -z "$bad" ]; else [ "$bad" = "DMA loopback 3" ]; fi
}
each "self-test" all exec ethtool -t sn0 online
some_refused "self-test"
# All of it or nothing
right() { if grep -q 'queue: 1' /tmp/each.out; then [ "$1" = 0 ]; else [ "$1" != 0 ]; fi; }
each "diagnosis" some exec devlink health diagnose "pci/$pci" reporter fw
some_refused "diagnosis"

# A connection that the device does not get is software's
(at_exec far "$tcp_tool" sink 5900) >/dev/null 2>&1 &
wait_for 10 port_taken far 5900
failed=$(stat tx_tls_add_failed)
right() { [ "$1" = 0 ]; }
each "TLS connection" all exec "$tcp_tool" send 10.0.0.2 5900 --tls 1.2 --bytes 40K
between $(($(stat tx_tls_add_failed) - failed)) 1 100 "TLS connection: the driver counts those that it could not take"

# --- all the time ---

was=$(injected)
stream_start near 10.0.0.2 --tls 1.2 --bytes 6M
wait_for 30 sealed_since "$(stat hw_tls_tx_bytes)"
echo 3 >$failslab/probability
echo 15 >$fail_page_alloc/probability
for i in {1..5}; do
	ethtool -G sn0 rx $((512 << i % 2))
	ip link set sn0 mtu $((1500 - i % 2))
	"$tcp_tool" send 10.0.0.2 5900 --tls 1.2 --bytes 100K
	udp near 10.0.0.2
	[ $i != 3 ] || model fault 0
	sleep 0.5
done >/dev/null 2>&1
inject probability 0
ip link set sn0 up
between $(($(injected) - was)) 10 100000000 "under traffic: allocations failed"
stream_ok "under traffic: the stream goes on, and all content is right" 120

# --- no page for the receive rings ---

# Pages that are there are used again and again: only a new ring needs new ones for certain
fill=$(grep -A 1 '\.sealnic_rx_fill$' < <(awk '$4 == "[sealnic]" { print $1 "." $3 }' /proc/kallsyms | sort))
ip link set sn0 down
inject require-start "0x$(sed -n '1s/\..*//p' <<<"$fill")"
inject require-end "0x$(sed -n '2s/\..*//p' <<<"$fill")"
failed=$(stat rx_alloc_failed)
echo 100 >$fail_page_alloc/probability
check "no page: the interface goes up" ip link set sn0 up
between $(($(stat rx_alloc_failed) - failed)) 2 1000 "no page: the driver counts that, for each queue pair"
inject probability 0
wait_for 20 has_carrier '' sn0

nic=$(stat hw_tls_tx_bytes)
transfer "afterwards" near 10.0.0.2 --tls 1.2 --connections 4 --bytes 256K
between $(($(stat hw_tls_tx_bytes) - nic)) $((1 << 20)) 10000000 "afterwards the NIC seals"
transfer "afterwards, the other way" far 10.0.0.1 --connections 4 --bytes 256K
check "no context is left" wait_for 20 contexts_gone
is "$(stat tx_tls_ctx)" "$(stat tx_tls_del)" "the driver thinks so too"
finish
