#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What can happen to a NIC with sealed traffic on it: taken down, reset, stopped, stuck, unplugged, its driver unloaded,
# the device dead. Connections that can go on do so, with all content right and none of it in the clear; nothing hangs.
#
# vm: --smp 2
# timeout: 400
# reports: NETDEV WATCHDOG
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"

load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
head -c 1M /dev/urandom >/tmp/file

pci() { basename "$(readlink /sys/class/net/sn0/device)"; }
reporter() { devlink health show "pci/$(pci)" reporter "$1"; }
reporter_errors() { reporter "$1" | sed -n 's/.* error \([0-9]*\) .*/\1/p'; }
reporter_recoveries() { reporter "$1" | sed -n 's/.* recover \([0-9]*\).*/\1/p'; }
is_healthy() { reporter "$1" | grep -q 'state healthy'; }
resets_were() { [ "$(stat resets)" -gt "$1" ]; }
has_link() { has_carrier '' sn0 && has_carrier far sn1; }
given_up() { dmesg_since | grep -c 'device does not answer any more'; }
both_given_up() { [ "$(given_up)" = 2 ]; }
one_given_up() { [ "$(given_up)" -ge 1 ]; }

# sealed_stream BYTES: a stream of the file over and over, of which the NIC has sealed something by now, under the eyes of the checker
sealed_stream() {
	local nic
	# Where everything takes longer, so does the stream
	pace $((1000000 / ${slowness:-1}))
	wire_watch /tmp/file
	nic=$(stat hw_tls_tx_bytes) fallback=$(stat tx_tls_sw_fallback_bytes) readd=$(stat tx_tls_readd)
	stream_start near 10.0.0.2 --tls 1.2 --file /tmp/file --bytes "$1" || give_up "no stream"
	wait_for 30 sealed_since "$nic" || give_up "the NIC does not seal: $(stream_said)"
}

# survives NAME: the stream that was under way comes to its end
survives() {
	ended "$stream_tx" && not_ok "$1: the stream was over before it happened"
	pace off
	stream_ok "$1: the same connection goes on, and all content is right"
	nothing_clear "$1: nothing in the clear"
	check "$1: no context is left" wait_for 20 contexts_gone
}

# sealed_again NAME: by the device, on the same connection
sealed_again() {
	diag "$1: $(($(stat tx_tls_sw_fallback_bytes) - fallback)) bytes sealed by software meanwhile"
	between $(($(stat tx_tls_readd) - readd)) 1 100 "$1: the device was given the context again"
}

# fresh_traffic NAME: new connections are offloaded as ever
fresh_traffic() {
	local nic
	wait_for 20 has_link
	nic=$(stat hw_tls_tx_bytes)
	transfer "$1: new connections" near 10.0.0.2 --tls 1.2 --bytes 1M
	between $(($(stat hw_tls_tx_bytes) - nic)) 1000000 100000000 "$1: the NIC seals for them"
}

# within SECONDS NAME COMMAND...: returns by then, no matter what
within() {
	local seconds=$1 name=$2 status=0
	shift 2
	timeout -k 1 "$seconds" "$@" >/tmp/within 2>&1 || status=$?
	if [ $status -lt 124 ]; then ok "$name"; else not_ok "$name" "'$*' took more than $seconds s"; fi
}

# --- up and down ---

# Small rings come and go faster where every allocation is watched
ethtool -G sn0 rx 128
sealed_stream 8M
for i in {1..20}; do
	ip link set sn0 down && ip link set sn0 up || not_ok "open/close, round $i"
done
check "open/close: the link is back" wait_for 20 has_link
survives "open/close 20 times"
ip addr add fd00::1/64 dev sn0 nodad
fresh_traffic "after open/close"
ethtool -G sn0 rx 1024

# --- reset by hand, in spite of perfect health ---

sealed_stream 10M
before=$(stat resets)
for i in {1..3}; do
	ethtool -t sn0 offline >/dev/null
	nic=$(stat hw_tls_tx_bytes)
	wait_for 10 sealed_since "$nic"
done
is $(($(stat resets) - before)) 3 "reset by hand: 3 resets"
survives "reset by hand"
sealed_again "reset by hand"

# --- the device stops by itself ---

before=$(stat resets) errors=$(reporter_errors fw)
sealed_stream 5M
model fault 0
check "fault: the reporter resets the device" wait_for 20 resets_were "$before"
survives "fault"
sealed_again "fault"
is $(($(reporter_errors fw) - errors)) 1 "fault: devlink counts it"
check "fault: the reporter is content" bash -c "devlink health show pci/$(pci) reporter fw | grep -q 'state healthy'"

# --- again while it is being reset: the reset fails ---

# faults SECONDS: as fast as the model takes them
faults() {
	local end=$((SECONDS + $1)) line
	{
		flock 9
		while [ $SECONDS -lt $end ]; do
			echo "fault 0" >&9
			IFS= read -r -t 5 line <&9
		done
	} 9<>/dev/ttyS1
}
before=$(stat resets) errors=$(reporter_errors fw) recoveries=$(reporter_recoveries fw)
# More queue pairs, longer resets
ethtool -L sn0 combined 8
sealed_stream 10M
dmesg_mark
faults 4
is "$(given_up)" 0 "faults without end: the device is not given up"
check "faults without end: when they end, the device is reset" wait_for 20 resets_were "$before"
check "faults without end: the reporter is content" wait_for 20 is_healthy fw
check "faults without end: and so is the other one" wait_for 20 is_healthy tx
survives "faults without end"
sealed_again "faults without end"
# devlink counts each error, and recoveries of its own that succeeded
between $(($(reporter_errors fw) - errors - $(reporter_recoveries fw) + recoveries)) 1 1000 \
	"faults without end: resets failed"
ethtool -L sn0 combined 2
before=$(stat resets)
model fault 0
check "faults without end: the next fault is recovered as ever" wait_for 20 resets_were "$before"
check "faults without end: and the reporter is content" wait_for 20 is_healthy fw
fresh_traffic "after faults without end"

# --- and waits for a person ---

devlink health set "pci/$(pci)" reporter fw auto_recover false
before=$(stat resets)
sealed_stream 6M
model fault 0
unhealthy() { reporter fw | grep -q 'state error'; }
check "fault without auto_recover: the reporter says so" wait_for 20 unhealthy
is "$(stat resets)" "$before" "fault without auto_recover: nobody resets"
within 10 "fault without auto_recover: ethtool -S returns" ethtool -S sn0
within 10 "fault without auto_recover: ethtool -t returns" ethtool -t sn0 online
check "fault without auto_recover: devlink health recover" devlink health recover "pci/$(pci)" reporter fw
survives "fault, recovered by hand"
sealed_again "fault, recovered by hand"
devlink health set "pci/$(pci)" reporter fw auto_recover true

# --- the device gets stuck ---

before=$(stat resets) timeouts=$(stat tx_timeouts) errors=$(reporter_errors tx)
sealed_stream 6M
model stall 0 on
# What the watchdog watches is a queue that is full
pace off
check "stall: the watchdog has the device reset" wait_for 40 resets_were "$before"
model stall 0 off
survives "stall"
sealed_again "stall"
between $(($(stat tx_timeouts) - timeouts)) 1 10 "stall: the timeout is counted"
between $(($(reporter_errors tx) - errors)) 1 10 "stall: devlink counts it"
fresh_traffic "after stall"

# --- unplugged ---

sealed_stream 12M
check "unplug under traffic" operator unplug 0
is "$(nics)" "" "unplug: the interface is gone"
check "replug" operator replug 0
one_nic() { [ "$(nics | wc -l)" = 1 ]; }
check "replug: the interface is back" wait_for 20 one_nic
ip link set "$(nics)" name sn0
ip addr add 10.0.0.1/24 dev sn0 && ip link set sn0 up
survives "unplug"
fresh_traffic "after replug"

# --- the driver unloaded ---

sealed_stream 5M
check "rmmod under traffic" rmmod sealnic
check "the driver is gone" [ ! -d /sys/bus/pci/drivers/sealnic ]
check "insmod" load_driver
check "insmod: both ends are back" two_ns
survives "rmmod"
fresh_traffic "after insmod"
for i in {1..10}; do unload_driver && load_driver || not_ok "reload, round $i"; done
check "10 times reloaded: both ends are back" two_ns
fresh_traffic "10 times reloaded"

# --- the device dead ---

# dies NAME: kills the model under traffic
dies() {
	dmesg_mark
	stream_start near 10.0.0.2 --tls 1.2 --file /tmp/file --bytes 1G
	wait_for 30 sealed_since "$(stat hw_tls_tx_bytes)" || not_ok "$1: traffic before"
	check "$1" operator model-kill
	check "$1: the driver gives the device up" wait_for 20 one_given_up
	check "$1: and the other one" wait_for 20 both_given_up
	is "$(reporter fw | grep -o 'state error')" 'state error' "$1: devlink health says so"
	is "$(cat /sys/class/net/sn0/carrier)" 0 "$1: no carrier"
}

dies "model killed"
within 5 "dead: ethtool -S returns" ethtool -S sn0
within 5 "dead: ethtool -t returns" ethtool -t sn0 offline
within 5 "dead: ethtool -L returns" ethtool -L sn0 combined 1
within 5 "dead: devlink health recover returns" devlink health recover "pci/$(pci)" reporter fw
within 5 "dead: devlink health diagnose returns" devlink health diagnose "pci/$(pci)" reporter fw
within 5 "dead: ping returns" ping -c 1 -W 1 10.0.0.2
within 5 "dead: ip link set down returns" ip link set sn0 down
within 5 "dead: ip link set up returns" ip link set sn0 up
stream_kill
check "dead: the sender can be killed" ended "$stream_tx"
check "dead: unplug" operator unplug 0
check "dead: unplug the other" operator unplug 1
is "$(ls -d /sys/bus/pci/drivers/sealnic/0000:* 2>/dev/null)" "" "dead: both are gone"
check "the model starts again" operator model-start
check "replug" operator replug 0
check "replug the other" operator replug 1
check "replugged: both ends are back" two_ns
fresh_traffic "with the new model"

dies "model killed again"
start=$SECONDS
check "dead: rmmod under traffic" timeout -k 1 15 rmmod sealnic
diag "rmmod took $((SECONDS - start)) s"
stream_kill
check "dead: the sender can be killed" ended "$stream_tx"
operator model-start && operator unplug 0 && operator unplug 1 && operator replug 0 && operator replug 1
load_driver
check "replugged without the driver: both ends are back" two_ns
fresh_traffic "with the third model"
check "no context is left" wait_for 20 contexts_gone
is "$(stat tx_tls_ctx)" "$(stat tx_tls_del)" "the driver thinks so too"
finish
