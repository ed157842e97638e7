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

# lossy NAME WIRE-SETTINGS -- SEND-OPTIONS: of $file, of which blocks of $block bytes could be seen; the capture stays, for
# who wants to look into it
file=/tmp/file block=32
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
	far "$tool" recv 5001 --tls 1.2 --file $file >/tmp/recv.out 2>&1 &
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
	between "$total" "$(wc -c <$file)" 100000000000 "$name: the NIC sealed all of it"
	is "$("$SEALNIC_REPO/build/tests/wiregrep" $file $pcap --block $block | sed -n 's/.*"hits": *\([0-9]*\).*/\1/p')" 0 "$name: nothing in the clear"
	last_ooo=$ooo
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

# Records of 45 bytes, of which 13 are in front of the ciphertext and 16 behind it: what is sent again begins in any of them
file=/tmp/small block=16
head -c 300K /tmp/file >$file
lossy "small records" loss=5 seed="$RANDOM_SEED" -- --file $file --chunk 16 --port-base 7001
said=$("$SEALNIC_REPO/build/tests/wiretls" /out/loss.pcap 7001 13)
diag "small records: $said"
field() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" <<<"$said"; }
is "$(field bad_bytes) $(field missing_bytes)" "0 0" "small records: all of them were on the wire"
between "$(field repeats_in_header)" 1 10000 "small records: something sent again began within a header"
between "$(field repeats_in_tag)" 1 10000 "small records: something sent again began within a tag"
between "$last_ooo" 1 1000000 "small records: the driver repaired packets"
rm -f /out/loss.pcap
is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
finish
