#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Sealed downloads over a wire that loses and reorders frames, from a seed: all
# content arrives, the device seals all of it, nothing crosses in the clear.
#
# timeout: 300
. "$(dirname "$0")/guest-lib.sh"
tool=$SEALNIC_REPO/build/tests/tcp_tool
# The opener is faster without AVX where AVX is emulated
export OPENSSL_ia32cap='~0x1000000000000000'
RANDOM_SEED=${SEED:-1}

load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"

stat() { ethtool -S sn0 | sed -n "s/^ *$1: //p"; }
listening() { far ss -ltnH 'sport = :5001' | grep -q .; }
head -c 4M /dev/urandom >/tmp/file

# lossy NAME WIRE-SETTINGS -- SEND-OPTIONS
lossy() {
	local name=$1 wire=() nic replay fallback ooo receiver total pcap
	shift
	while [ "$1" != -- ]; do wire+=("$1"); shift; done
	shift
	pcap=/out/loss.pcap
	model "wire clear" >/dev/null
	model "wire ${wire[*]}" >/dev/null || { not_ok "$name" "the model takes no '${wire[*]}'"; return; }
	model "pcap start $(model_path $pcap)" || { not_ok "$name" "no capture"; return; }
	nic=$(stat hw_tls_tx_bytes) replay=$(stat tx_tls_replay_bytes) fallback=$(stat tx_tls_sw_fallback_bytes) ooo=$(stat tx_tls_ooo)
	far "$tool" recv 5001 --tls 1.2 --file /tmp/file >/tmp/recv.out 2>&1 &
	receiver=$!
	wait_for 5 listening
	if ! "$tool" send 10.0.0.2 5001 --tls 1.2 "$@" >/tmp/send.out 2>&1; then
		kill $receiver
		wait $receiver
		not_ok "$name" "send: $(cat /tmp/send.out); recv: $(cat /tmp/recv.out)"
	elif ! wait $receiver; then
		not_ok "$name" "recv: $(cat /tmp/recv.out)"
	else
		ok "$name"
	fi
	model "pcap stop"
	model "wire clear" >/dev/null
	total=$(($(stat hw_tls_tx_bytes) - nic))
	replay=$(($(stat tx_tls_replay_bytes) - replay)) fallback=$(($(stat tx_tls_sw_fallback_bytes) - fallback)) ooo=$(($(stat tx_tls_ooo) - ooo))
	diag "$name: NIC sealed $total bytes, software $fallback; $ooo packets repaired with $replay bytes replayed"
	is $fallback 0 "$name: software sealed nothing"
	between "$total" $((4 << 20)) 100000000000 "$name: the NIC sealed all of it"
	is "$("$SEALNIC_REPO/build/tests/wiregrep" /tmp/file $pcap | sed -n 's/.*"hits": *\([0-9]*\).*/\1/p')" 0 "$name: nothing in the clear"
	last_ooo=$ooo
	rm -f $pcap
}

# /out of the guest is a directory of the host's, where the model writes
model_path() { echo "$SEALNIC_OUT/${1#/out/}"; }

for loss in 0.1 1 5; do
	lossy "loss $loss %, send" loss=$loss seed=$RANDOM_SEED -- --file /tmp/file
	lossy "loss $loss %, zero-copy sendfile" loss=$loss seed=$RANDOM_SEED -- --sendfile /tmp/file --zerocopy
done
between "$last_ooo" 1 1000000 "5 % of loss made the driver repair packets"
lossy "reordering 5 %" reorder=5 seed=$RANDOM_SEED -- --file /tmp/file
lossy "loss and reordering" loss=1 reorder=5 dup=1 seed=$RANDOM_SEED -- --file /tmp/file
ethtool -K sn0 tso off
lossy "loss without TSO" loss=1 seed=$RANDOM_SEED -- --file /tmp/file
ethtool -K sn0 tso on
is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
finish
