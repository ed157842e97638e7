#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What the driver guards against and other tests do not come by: a queue that stands still without
# being full, a device that completes what was never posted; what is counted while software seals; and what a dead device's
# interface says.
#
# vm: --smp 2
# timeout: 180
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"

load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
sealing() { more_than hw_tls_tx_bytes "${counters_was[near.hw_tls_tx_bytes]}"; }
more_than() { [ "$(stat "$1")" -gt "$2" ]; }
has_link() { has_carrier '' sn0 && has_carrier far sn1; }

# --- the driver looks at queues that are not full ---

wait_for 20 has_link
transfer "before the stall, in the clear" near 10.0.0.2 --connections 4 --bytes 1M
counters_mark near
model stall 0 on
ping -c 1 -W 1 10.0.0.2 >/dev/null
check "one packet stuck: the device is reset" wait_for 20 more_than resets "${counters_was[near.resets]}"
is "$(dmesg_since | grep -c 'NETDEV WATCHDOG')" 0 "one packet stuck: not by the stack's watchdog"
model stall 0 off
# From here on all is sealed
watch_pattern
counters_read near
# Each queue that stands still counts, and the ping may have had company
between "$(grown near tx_timeouts)" 1 8 "one packet stuck: it is counted"
wait_for 20 has_link
check "one packet stuck: ping afterwards" ping -c 1 -W 5 10.0.0.2

# --- a device that completes what was never posted ---

counters_mark near
dmesg_mark
pace $((500000 / ${slowness:-1}))
stream_start near 10.0.0.2 --tls 1.2 --bytes 2M || give_up "no stream"
wait_for 20 sealing
# Stalled, it does not correct itself; what it receives makes the driver look
model stall 0 on
model babble 0
far ping -c 1 -W 1 10.0.0.1 >/dev/null
check "nonsense in the ring: the device is reset" wait_for 20 more_than resets "${counters_was[near.resets]}"
is "$(dmesg_since | grep -c 'device broke the rings of queue pair')" 1 "nonsense in the ring: the driver says so"
ended "$stream_tx" && not_ok "nonsense in the ring: the stream was over before it happened"
pace off
stream_ok "nonsense in the ring: the connection goes on, and all content is right"
counters_read near
is "$(grown near resets)" 1 "nonsense in the ring: one reset does it"

# --- software is counted as long as it seals ---

counters_mark near
pace $((1000000 / ${slowness:-1}))
stream_start near 10.0.0.2 --tls 1.2 --bytes 12M || give_up "no stream"
wait_for 20 sealing
ethtool -t sn0 offline >/dev/null
check "after a reset: the context is given back" wait_for 20 more_than tx_tls_readd "${counters_was[near.tx_tls_readd]}"
pace off
stream_ok "after a reset: all content is right"
counters_read near
between "$(grown near tx_tls_sw_fallback_packets)" 1 20000 "after a reset: packets that software sealed are counted"
between "$(grown near tx_tls_sw_fallback_bytes)" 1 12500000 "after a reset: and their bytes"
nothing_clear "nothing in the clear"

# --- a dead device has no interface ---

dmesg_mark
check "dead: the model is killed" operator model-kill
given_up() { [ "$(dmesg_since | grep -c 'device does not answer any more')" = 2 ]; }
check "dead: the driver gives both up" wait_for 20 given_up
says() { local said; said=$("$@" 2>&1); [[ $said == *'No such device'* ]]; }
check "dead: ethtool says that there is no such device" wait_for 10 says ethtool -g sn0
check "dead: so does ip" says ip link set sn0 mtu 1400
ip link set sn0 down
check "dead: it does not come up" says ip link set sn0 up
check "dead: the model starts again" operator model-start
for port in 0 1; do operator unplug $port && operator replug $port; done
check "dead: both ends are back" two_ns
transfer "dead: traffic with the new model" near 10.0.0.2 --tls 1.2 --bytes 200K
is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
finish
