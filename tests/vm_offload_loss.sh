#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Inline offload through our own core, on a wire that loses, reorders, doubles, spoils and delays frames, from a seed
# (SEED): all content arrives, nothing crosses in the clear, retransmissions included, and software's share stays within
# bounds. What the NIC finds bad, software judges again, and only its word counts; a place in the stream that was lost is
# found again soon. Of what happens to frames each sort meets one version of TLS, and 1 % loss both; with FULL=1 each meets
# both.
#
# timeout: 900
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-streams.sh"
seed=${SEED:-1}

# percent PART WHOLE, in tenths; and how to print that
percent() { echo $(($1 * 1000 / ($2 > 0 ? $2 : 1))); }
show() { echo "$(($1 / 10)).$(($1 % 10)) %"; }

# acks_late near|far TIME: what that end sends is so much later; 0: no more
acks_late() {
	local dev=sn0
	[ "$1" = near ] || dev=sn1
	if [ "$2" != 0 ]; then
		at "$1" tc qdisc replace dev $dev root netem delay "$2" limit 10000 || give_up "no netem"
		return
	fi
	between "$(at "$1" tc -s qdisc show dev $dev | sed -n 's/.* bytes \([0-9]*\) pkt .*/\1/p')" 10 100000 "so many packets were late"
	at "$1" tc qdisc del dev $dev root
}

# rough NAME BYTES OPENED WIRE-SETTINGS...: both ways; the versions in turn, or both if it is 1 % loss. OPENED: percent of
# the bytes that the NIC opens, at least; whole records, without software's help, may be less by ten. acks=TIME: only what
# the receiver sends is late, by so much
rough() {
	local name=$1 bytes=$2 opened=$3 version versions share whole n acks=
	shift 3
	[[ $1 != acks=* ]] || { acks=${1#acks=} && shift; }
	n=$(records $((bytes)) 16384)
	turn=$([ "$turn" = 1.2 ] && echo 1.3 || echo 1.2)
	versions=$turn
	[ -z "${FULL:-}" ] && [ "$name" != "1 % loss" ] || versions='1.2 1.3'
	for version in $versions; do
		wire_watch /tmp/file
		model wire clear >/dev/null
		model "wire $* seed=$seed" >/dev/null || { not_ok "$name" "the model takes no '$*'"; continue; }

		[ -z "$acks" ] || acks_late far "$acks"
		counters_mark near
		offload_stream tx 4 --tls $version --bytes $bytes -- || give_up "no stream: $(stream_said)"
		stream_ok "$name, $version: sent"
		[ -z "$acks" ] || acks_late far 0
		counters_read near
		is "$(records_received) $(grown near TlsTxDeviceRecords)" "$n $n" "$name, $version: $n records are the NIC's to seal"
		share=$(percent "$(grown near tx_tls_sw_fallback_bytes)" "$(grown near tx_tls_encrypted_bytes)")
		diag "$name, $version: software sealed $(show "$share") of the bytes;" \
			"the driver repaired $(grown near tx_tls_ooo) packets by $(grown near tx_tls_replay_bytes) bytes"
		between "$share" 0 20 "$name, $version: software sealed 2 % at most"
		is "$(grown near TlsTxFallbackDrop)$(grown near tx_tls_drop_bypass_req)" 00 "$name, $version: nothing had to be dropped"
		repaired=$((repaired + $(grown near tx_tls_ooo)))

		[ -z "$acks" ] || acks_late near "$acks"
		counters_mark near
		offload_stream rx 4 --tls $version --bytes $bytes -- || give_up "no stream: $(stream_said)"
		stream_ok "$name, $version: received"
		[ -z "$acks" ] || acks_late near 0
		counters_read near
		share=$(grown near hw_tls_rx_bytes)
		share=$(percent "$share" $((share + $(grown near hw_tls_rx_skip_bytes))))
		whole=$(percent "$(grown near TlsRxDeviceRecords)" "$n")
		diag "$name, $version: the NIC opened $(show "$share") of the bytes, $(show "$whole") of the records whole," \
			"$(show "$(percent "$(grown near TlsRxPartialRecords)" "$n")") in part;" \
			"it went on behind $(grown near hw_tls_rx_gap) gaps, was lost $(grown near hw_tls_rx_lost) times," \
			"found back $(grown near hw_tls_rx_found) times, asked $(grown near TlsRxDeviceResync) times"
		between "$share" $((opened * 10)) 1000 "$name, $version: the NIC opened $opened % of the bytes at least"
		between "$whole" $((opened > 10 ? opened * 10 - 100 : 0)) 1000 "$name, $version: and not much less of the records whole"
		is "$(grown near TlsDecryptError)" 0 "$name, $version: all were authentic"
		model wire clear >/dev/null
		nothing_clear "$name, $version: nothing in the clear"
	done
}

offload_start
modprobe -q sch_netem
repaired=0 turn=1.2
M=1048576

rough "0.01 % loss" $((2 * M)) 90 loss=0.01
rough "0.1 % loss" $((2 * M)) 80 loss=0.1
rough "1 % loss" $((4 * M)) 78 loss=1
rough "5 % loss" $((2 * M)) 30 loss=5
rough "10 % loss" $((M / 2)) 0 loss=10
rough "3 % reordering" $((2 * M)) 40 reorder=3
rough "2 % duplicates" $((2 * M)) 90 dup=2
rough "1 % corruption" $((2 * M)) 65 corrupt=1
rough "late" $((2 * M)) 99 delay=3000
rough "late acknowledgments" $((2 * M)) 99 acks=40ms
rough "late acknowledgments, 1 % loss" $((2 * M)) 60 acks=40ms loss=1
rough "all of it" $((2 * M)) 40 loss=1 reorder=1 dup=1 corrupt=0.1
sysctl -qw net.ipv4.tcp_sack=0
at far sysctl -qw net.ipv4.tcp_sack=0
rough "without SACK, 1 % loss" $((2 * M)) 60 loss=1
rough "without SACK, 5 % loss" $((M / 2)) 0 loss=5
sysctl -qw net.ipv4.tcp_sack=1
at far sysctl -qw net.ipv4.tcp_sack=1
features tso off
features gro off
rough "without TSO and GRO, 1 % loss" $((2 * M)) 50 loss=1
features tso on
features gro on
between "$repaired" 30 1000000 "the driver had something to repair"

# What was sent before the keys is retransmitted as it was
for version in 1.2 1.3; do
	model "wire loss=5 seed=$seed" >/dev/null
	counters_mark near
	offload_stream tx 4 --tls $version --bytes 300K --before 100000 -- --chunk 50000 --sendfile /tmp/file --zerocopy ||
		give_up "no stream: $(stream_said)"
	stream_ok "behind 100 KB in the clear, 5 % loss, $version"
	counters_read near
	model wire clear >/dev/null
	is "$(records_received) $(grown near TlsTxDeviceRecords)" "25 25" "behind 100 KB in the clear, 5 % loss, $version: 25 records"
	is "$(grown near tx_tls_drop_bypass_req)" 0 "behind 100 KB in the clear, 5 % loss, $version: no packet is half of it"
done

# Without TLS_TX_ZEROCOPY_RO a file may change as soon as sendfile() is over: what is sent again is what it was
stopped() { [ "$(sed 's/.*) //; s/ .*//' "/proc/$stream_tx/stat")" = T ]; }
stopped_with() { # stopped_with LOW HIGH: bytes that are not acknowledged
	local left
	left=$(ss -tnH "dport = :$stream_port" | awk '{ print $3 }')
	stopped && [ "$left" -ge "$1" ] && [ "$left" -le "$2" ]
}
for version in 1.2 1.3; do
	name="a file that changes, $version"
	cp /tmp/file /tmp/changing
	counters_mark near
	offload_stream tx 4 --tls $version --bytes 32K -- --sendfile /tmp/changing --stop-every 16K || give_up "no stream: $(stream_said)"
	check "$name: a record arrives" wait_for 20 stopped_with 0 0
	model "wire loss=100 seed=$seed" >/dev/null
	kill -CONT "$stream_tx"
	check "$name: the next one does not" wait_for 20 stopped_with 16384 20000
	dd if=/dev/zero of=/tmp/changing bs=32K count=1 conv=notrunc status=none
	model wire clear >/dev/null
	kill -CONT "$stream_tx"
	stream_ok "$name: it does when it is sent again"
	counters_read near
	is "$(records_received) $(grown near TlsTxDeviceRecords)" "2 2" "$name: both are the NIC's to seal"
done

# What the NIC cannot take, software seals: retransmissions, too, in whatever pieces they come
for version in 1.2 1.3; do
	wire_watch /tmp/file
	model "wire loss=3 reorder=1 seed=$seed" >/dev/null
	counters_mark near
	offload_stream tx 4 --tls $version --bytes 1M -- --ip-options --sendfile /tmp/file --zerocopy || give_up "no stream: $(stream_said)"
	stream_ok "IP options, 3 % loss, $version"
	counters_read near
	model wire clear >/dev/null
	is "$(records_received) $(grown near hw_tls_tx_records)" "64 0" "IP options, 3 % loss, $version: the NIC sealed nothing"
	between "$(grown near TlsTxFallback)" 20 100000 "IP options, 3 % loss, $version: software all of it"
	nothing_clear "IP options, 3 % loss, $version: nothing in the clear"
done

# --- record by record ---

for version in 1.2 1.3; do
	for size in 16384 500; do
		name="$version, records of $size"
		counters_mark near
		stepping $version $size 12
		step 3
		model tls-lose 0 >/dev/null
		step 9
		step_end "$name, place lost"
		is "$(grown near hw_tls_rx_lost)" 1 "$name, place lost: the NIC noticed"
		between "$(grown near TlsRxDeviceResync)" 1 3 "$name, place lost: it asked and was told"
		between "$(grown near TlsRxDeviceRecords)" 9 12 "$name, place lost: software opened 3 records at most"
		diag "$name, place lost: software opened $((12 - $(grown near TlsRxDeviceRecords)))"
		is "$(grown near TlsDecryptError)" 0 "$name, place lost: all was authentic"

		# The key may be another one by now: of the next record the device passes on what does not also hold its
		# end, and believes in its place again if that is good
		counters_mark near
		stepping $version $size 10
		step 3
		model tls-spoil 0 1 >/dev/null
		step 6
		step_end "$name, one found bad"
		is "$(grown near hw_tls_rx_auth_bad) $(grown near hw_tls_rx_lost)" "1 0" "$name, one found bad: by the NIC"
		is "$(grown near TlsRxDeviceRecords) $(grown near TlsRxDeviceResync)" "$((size > 1000 ? 8 : 9)) 0" \
			"$name, one found bad: it opened the others"
		# What is in one packet alone comes as it was
		is "$(grown near TlsRxPartialRecords)" $((size > 1000)) "$name, one found bad: software made ciphertext of that"
		is "$(grown near TlsDecryptError)" 0 "$name, one found bad: and found it good"

		counters_mark near
		stepping $version $size 12
		step 3
		model tls-spoil 0 2 >/dev/null
		step 9
		step_end "$name, two found bad"
		is "$(grown near hw_tls_rx_auth_bad) $(grown near hw_tls_rx_lost)" "2 1" "$name, two found bad: the NIC doubts its place"
		between "$(grown near TlsRxDeviceRecords)" 7 10 "$name, two found bad: software opened 3 records more at most"
		diag "$name, two found bad: software opened $((12 - $(grown near TlsRxDeviceRecords)))"
		is "$(grown near TlsDecryptError)" 0 "$name, two found bad: software found them good"
	done
	# Into memory of the kernel, and byte by byte from there
	opening_reader=(--read 999)
	counters_mark near
	stepping $version 16384 6
	step 2
	model tls-spoil 0 1 >/dev/null
	step_end "$version, found bad, read in pieces"
	opening_reader=()
	is "$(grown near TlsRxDeviceRecords) $(grown near TlsRxPartialRecords)" "4 1" \
		"$version, found bad, read in pieces: that and the next are software's"
done

# A record that is larger than the receive buffer is taken from it piece by piece, be the pieces opened or not
rmem=$(sysctl -n net.ipv4.tcp_rmem)
sysctl -qw net.ipv4.tcp_rmem='4096 8192 8192'
for version in 1.2 1.3; do
	counters_mark near
	opening_reader=(--read 5000)
	offload_stream rx 4 --tls $version --bytes 256K -- || give_up "no stream: $(stream_said)"
	opening_reader=()
	stream_ok "small buffer, $version"
	counters_read near
	is "$(grown near TlsRxDeviceRecords) $(grown near TlsRxPartialRecords)" "16 0" "small buffer, $version: the NIC opened all"
	model tls-spoil 0 1 >/dev/null
	counters_mark near
	offload_stream rx 4 --tls $version --bytes 256K -- || give_up "no stream: $(stream_said)"
	stream_ok "small buffer, found bad, $version"
	counters_read near
	is "$(grown near TlsRxDeviceRecords)" 14 "small buffer, found bad, $version: that and the next are software's"
	between "$(grown near TlsRxPartialRecords)" 1 2 "small buffer, found bad, $version: some of it was opened"
done
sysctl -qw net.ipv4.tcp_rmem="$rmem"

# Whatever comes, the NIC finds it bad, and its place wrong: software has the last word for all of it. Then the NIC works again
for version in 1.2 1.3; do
	name="$version, all found bad"
	stepping $version 16384 36 6
	counters_mark near
	model tls-spoil 0 1000000 >/dev/null
	step 3
	counters_read near
	is "$(grown near TlsRxDeviceRecords) $(grown near TlsDecryptError)" "0 0" "$name: software opened them, and found them good"
	between "$(grown near hw_tls_rx_auth_bad)" 3 12 "$name: the NIC did not give up"
	model tls-spoil 0 0 >/dev/null
	# Those of one step may be over before it has asked and was told
	step 5
	step_end "$name, then no more"
	between "$(grown near TlsRxDeviceRecords)" 1 18 "$name: then it opens again"
	is "$(grown near TlsDecryptError)" 0 "$name: all was authentic"
done

# --- what is not authentic ---

# Of a large record the NIC had opened many packets when it found it bad; of a small one, none or one
for version in 1.2 1.3; do
	for size in 16384 1400; do
		name="forged, $version, records of $size"
		counters_mark near
		model "wire forge=2 seed=$seed" >/dev/null
		offload_stream rx 4 --tls $version --bytes 2M -- --chunk $size || give_up "no stream: $(stream_said)"
		wait_for 60 ended "$stream_rx"
		check "$name: the receiver is told, again and again" grep -q 'Bad message, for good' "/tmp/recv.$stream_port"
		check "$name: and got no wrong byte" sh -c "! grep -q 'is wrong' /tmp/recv.$stream_port"
		is $(($(sed -n 's/.*after \([0-9]*\) bytes: .*/\1/p' "/tmp/recv.$stream_port") % size)) 0 "$name: nor a part of a record"
		model wire clear >/dev/null
		stream_kill
		counters_read near
		is "$(grown near TlsDecryptError)" 1 "$name: it is software that says so"
		between "$(grown near hw_tls_rx_auth_bad)" 1 1000 "$name: the NIC had seen it"
	done
done

offload_end
