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

# tx 5, 6 and 7: what happens while a context comes and goes
probes='p:rekey/retire tls:tls_hw_retire_tx
r:rekey/retired tls:tls_hw_retire_tx
p:rekey/last tls:tls_hw_retire_last_tx
r:rekey/lasted tls:tls_hw_retire_last_tx
p:rekey/reopen tls:tls_hw_reopen_tx
r:rekey/reopened tls:tls_hw_reopen_tx
p:rekey/add sealnic:sealnic_tls_dev_add
p:rekey/del sealnic:sealnic_tls_dev_del
p:rekey/open crypto_alloc_aead
p:rekey/close tls:tls_epoch_close
p:rekey/sync synchronize_net
p:rekey/lock down_read sem=%di:x64
p:rekey/unlock up_read sem=%di:x64
p:rekey/wlock down_write sem=%di:x64
p:rekey/wunlock up_write sem=%di:x64'
traced=
lock=$(sed -n 's/^\([0-9a-f]*\) [dDbB] tls_device_lock\t.*/0x\1/p' /proc/kallsyms)
if [ -w $tracing/kprobe_events ] && [ -n "$lock" ]; then
	echo "$probes" >$tracing/kprobe_events && mkdir $tracing/instances/rekey || give_up "no probes"
	# What is lost would be taken for what did not happen
	echo 16384 >$tracing/instances/rekey/buffer_size_kb
	for event in lock unlock wlock wunlock; do
		echo "sem == $lock" >$tracing/instances/rekey/events/rekey/$event/filter || give_up "no filter for $lock"
	done
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
	lost=$(cat $tracing/instances/rekey/per_cpu/cpu*/stats | awk '/^overrun|^dropped/ { n += $2 } END { print n }')
	echo 0 >$tracing/instances/rekey/events/rekey/enable
	rmdir $tracing/instances/rekey
	echo >$tracing/kprobe_events
	# By task; PID is behind the last hyphen of the first column
	awk '{ match($0, /-[0-9]+ +\[/); pid = substr($0, RSTART, RLENGTH) }
		/ retire:/ || / last:/ { gone[pid] = "early"; what[pid] = / last:/ ? "last" : "old" }
		/ retired:/ || / lasted:/ { gone[pid] = "" }
		/ reopen:/ { new[pid] = "never" }
		/ reopened:/ { new[pid] = "" }
		/ add:/ && new[pid] { new[pid] = "early" }
		/ sync:/ { if (gone[pid]) gone[pid] = "late"; if (new[pid] == "early") new[pid] = "late" }
		/ del:/ && gone[pid] { n[what[pid] gone[pid]]++ }
		/ close:/ && new[pid] ~ /early|late/ { n["new" new[pid]]++ }
		/ w?lock:/ { locked[pid] = 1 }
		/ w?unlock:/ { locked[pid] = 0 }
		/ add:/ || / del:/ { n[locked[pid] ? "locked" : "bare"]++ }
		/ open:/ { n[locked[pid] ? "under" : "outside"]++ }
		END { print n["oldlate"] + 0, n["lastlate"] + 0, n["newlate"] + 0, n["oldearly"] + n["lastearly"] + n["newearly"],
			n["locked"] + 0, n["bare"] + 0, n["outside"] + 0, n["under"] + 0 }' /tmp/trace >/tmp/retired
	read -r old last new early locked bare outside under </tmp/retired
	is "$lost" 0 "tx 6 and 7: no event was lost"
	between "$old" 10 1000000 "tx 7: contexts are retired after a grace period"
	between "$last" 1 1000000 "tx 7: so are those that make room for the next"
	between "$new" 1 1000000 "tx 7: so are new ones that the device refused"
	is "$early" 0 "tx 7: and none before"
	between "$locked" 20 1000000 "tx 5: devices get and lose contexts under tls_device_lock"
	is "$bare" 0 "tx 5: and none without"
	between "$outside" 10 1000000 "tx 6: transforms are made outside of it"
	is "$under" 0 "tx 6: and none under it"
else
	skip "tx 5, 6 and 7: contexts come under a lock and go after a grace period" "no kprobes in this kernel"
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
