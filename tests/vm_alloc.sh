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

# each NAME all|some WANT COMMAND...: with the first allocation failing, then with the next, at growing distances for
# some. WANT is what a failure has to do to it: fail, pass, or any. `before` runs in front of each. The command has to run within the shell or by exec.
before() { :; }
each() {
	local name=$1 which=$2 want=$3 n=1 was status failed=0 last=0 wrong=''
	shift 3
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
		case $want.$status in
		fail.0 | pass.[1-9]*) wrong+=" $n" ;;
		esac
		last=$n
		n=$((n + 1 + ($([ "$which" = all ] && echo 0 || echo "$n") >> 1)))
	done
	diag "$name: $failed times, the last was allocation $last"
	between $failed 1 2000 "$name: there are allocations to fail"
	is "$wrong" "" "$name: every time, the outcome is right"
	is $status 0 "$name: without failures it works"
}

# --- one by one ---

pci=$(basename "$(readlink /sys/class/net/sn0/device)")
bind() { echo "$pci" >/sys/bus/pci/drivers/sealnic/bind; }
before() { [ ! -e /sys/bus/pci/drivers/sealnic/"$pci" ] || echo "$pci" >/sys/bus/pci/drivers/sealnic/unbind; }
each "probe" some any bind
near=$(nics)
ip link set "$near" name sn0
ip addr add 10.0.0.1/24 dev sn0

before() { ip link set sn0 down; }
each "open" some any exec ip link set sn0 up
before() { :; }
is "$(cat /sys/class/net/sn0/operstate)" up "the interface is up in the end"

# Rings of another size and number: the old ones go on if there are no new ones
before() { now=$(ethtool -g sn0 | sed -n '/Current/,$s/^TX:[[:space:]]*//p'); }
rings() { exec ethtool -G sn0 tx $((now == 256 ? 512 : 256)) rx $((now == 256 ? 128 : 64)); }
each "-G" some any rings
before() { now=$(find /sys/class/net/sn0/queues -name 'tx-*' | wc -l); }
channels() { exec ethtool -L sn0 combined $((3 - now)); }
each "-L" some any channels
before() { :; }
ethtool -G sn0 tx 1024 rx 1024
ethtool -L sn0 combined 2
wait_for 20 has_carrier '' sn0
transfer "traffic after that" near 10.0.0.2 --connections 4 --bytes 256K

each "self-test" all any exec ethtool -t sn0 online
each "diagnosis" some any exec devlink health diagnose "pci/$pci" reporter fw

# A connection that the device does not get is software's
(at_exec far "$tcp_tool" sink 5900) >/dev/null 2>&1 &
wait_for 10 port_taken far 5900
failed=$(stat tx_tls_add_failed)
each "TLS connection" all pass exec "$tcp_tool" send 10.0.0.2 5900 --tls 1.2 --bytes 40K
diag "tx_tls_add_failed: $(($(stat tx_tls_add_failed) - failed))"

# --- all the time ---

failed=$(stat rx_alloc_failed) was=$(injected)
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
between $(($(stat rx_alloc_failed) - failed)) 1 100000000 "under traffic: the driver counts those that cost a packet"
stream_ok "under traffic: the stream goes on, and all content is right" 120

nic=$(stat hw_tls_tx_bytes)
transfer "afterwards" near 10.0.0.2 --tls 1.2 --connections 4 --bytes 256K
between $(($(stat hw_tls_tx_bytes) - nic)) $((1 << 20)) 10000000 "afterwards the NIC seals"
transfer "afterwards, the other way" far 10.0.0.1 --connections 4 --bytes 256K
check "no context is left" wait_for 20 contexts_gone
is "$(stat tx_tls_ctx)" "$(stat tx_tls_del)" "the driver thinks so too"
finish
