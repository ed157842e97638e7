#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The next key of a connection that the NIC seals and opens: each line of the list of what went wrong elsewhere, by its
# number; see ktls_rekey.c, and vm_rekey_route.sh for the one that needs two ways.
#
# vm: --smp 2 --model-arg --contexts --model-arg 16
# timeout: 300
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-offload.sh"
test=$SEALNIC_REPO/build/tests/ktls_rekey
failslab=/sys/kernel/debug/failslab

load_ktls
drops_mark
load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
modprobe -q sch_plug
ports_free_at_once
# A probe of TCP's would send what a test wants to wait
sysctl -qw net.ipv4.tcp_early_retrans=0
# Their packets would wait, too, or make others wait
sysctl -qw net.ipv6.conf.sn0.disable_ipv6=1
ip neigh replace 10.0.0.2 lladdr "$(far cat /sys/class/net/sn1/address)" dev sn0 nud permanent
"$test" content >/tmp/content

# tx 7: what happens while a context is retired; "add" is there to see that something is
modules='p:rekey/retire tls:tls_hw_retire_tx
r:rekey/retired tls:tls_hw_retire_tx
p:rekey/sync synchronize_net
p:rekey/del sealnic:sealnic_tls_dev_del'
traced=
if [ -w $tracing/kprobe_events ]; then
	echo "$modules" >$tracing/kprobe_events && mkdir $tracing/instances/rekey &&
		echo 1 >$tracing/instances/rekey/events/rekey/enable && traced=y
fi

# tx 8: as in vm_ktls_alloc.sh, for the calls that ask for it
if [ -d $failslab ]; then
	for dir in $failslab /sys/kernel/debug/fail_page_alloc; do
		echo N >$dir/ignore-gfp-wait && echo 0 >$dir/verbose && echo 1000000 >$dir/times
	done
	echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
fi

mkdir $tracing/instances/engines
for event in tls_engine tls_records; do echo 1 >$tracing/instances/engines/events/ktls/$event/enable; done
wire_watch /tmp/content
tap "rekey" "$test" tests "${SEED:-1}"
# A driver that does not say how far its device opened with an older key: all that TCP's window held may be
echo hint >/sys/module/sealnic/parameters/rx_resync
WINDOW=1 ONLY=rx tap "rekey, by the window" "$test" tests "${SEED:-1}"
echo request >/sys/module/sealnic/parameters/rx_resync
tap "rekey" "$test" reset
nothing_clear "nothing in the clear"

if [ -n "$traced" ]; then
	cp $tracing/instances/rekey/trace /tmp/trace
	echo 0 >$tracing/instances/rekey/events/rekey/enable
	rmdir $tracing/instances/rekey
	echo >$tracing/kprobe_events
	# By task; PID is behind the last hyphen of the first column
	awk '{ match($0, /-[0-9]+ +\[/); pid = substr($0, RSTART, RLENGTH) }
		/ retire:/ { at[pid] = 1 } / retired:/ { at[pid] = 0 } / sync:/ && at[pid] { at[pid] = 2 }
		/ del:/ && at[pid] == 1 { early++ } / del:/ && at[pid] == 2 { late++ }
		END { print early + 0, late + 0 }' /tmp/trace >/tmp/retired
	read -r early late </tmp/retired
	between "$late" 10 1000000 "tx 7: contexts are retired after a grace period"
	is "$early" 0 "tx 7: and none before"
else
	skip "tx 7: contexts are retired after a grace period" "no kprobes in this kernel"
fi

# Every transition that rekey.rst draws is seen: who had a direction of a connection, and who has it next
awk '{ dir = / tx engine/ ? "tx" : "rx"; match($0, /sk=[^ ]* sport=[0-9]* dport=[0-9]*/); conn = dir substr($0, RSTART, RLENGTH) }
	/ tls_records:/ { delete at[conn] }
	/ tls_engine:/ { to = $0; sub(/.* engine: /, "", to); if (conn in at) print dir ": " at[conn] " > " to; at[conn] = to }' \
	$tracing/instances/engines/trace | sort -u >/tmp/transitions
rmdir $tracing/instances/engines
diag "$(paste -sd , /tmp/transitions)"
for dir in tx rx; do
	for step in "device > rekey" "rekey > device" "rekey > feature off" "feature off > rekey" "rekey > device down" "device > device down"; do
		check "the tracepoint has $dir: $step" grep -qx "$dir: $step" /tmp/transitions
	done
done
is "$(drops)" "" "no packet was dropped"
is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
no_contexts() { [ "$(stat hw_tls_ctx)$(stat hw_tls_rx_ctx)" = 00 ]; }
check "no context is left" wait_for 20 no_contexts
is "$(stat tx_tls_ctx) $(stat rx_tls_ctx)" "$(stat tx_tls_del) $(stat rx_tls_del)" "nor in the driver"

# The NIC goes, in the two ways in which it does not come back by itself
tap "rekey" "$test" rmmod
check "the driver is back" load_driver
two_ns || give_up "no two ports any more"
tap "rekey" "$test" unplug
check "the device is back" operator replug 0
is "$(grep -E 'Curr' /proc/net/tls_stat | grep -cv '[[:space:]]0$')" 0 "nothing is current"
unload_driver
unload_ktls
finish
