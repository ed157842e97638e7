#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The three forms in which the kernel's interface lets a driver find out where in the stream a record begins: it asks and is
# answered, it is given hints, it announces its questions (enum tls_offload_sync_type). The sealnic's driver asks; its
# parameter rx_resync makes it use the other ones. In each form, in both versions of TLS, what our core says is true and
# comes when it must, record by record and on a wire that loses and reorders, from a seed (SEED). With FULL=1, the figures of
# Documentation/offload.rst besides.
#
# timeout: 300
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-streams.sh"

form_is() { echo "$1" >/sys/module/sealnic/parameters/rx_resync || give_up "no form '$1'"; }
told() { [ "$(stat hw_tls_rx_resync_ok)" -ge $((${counters_was[near.hw_tls_rx_resync_ok]} + ${1:-1})) ]; }

# true_said NAME: the core made no mistake. A wrong number shows by a record that the NIC finds bad; what is true of a place
# that the NIC has passed does not help it, and is stale.
true_said() {
	is "$(grown near hw_tls_rx_auth_bad) $(grown near TlsDecryptError)" "0 0" "$1: the core told nothing wrong"
}

offload_start
is "$(cat /sys/module/sealnic/parameters/rx_resync)" request "the driver asks unless told otherwise"
echo asinc 2>/dev/null >/sys/module/sealnic/parameters/rx_resync
is "$(cat /sys/module/sealnic/parameters/rx_resync)" request "it takes only what it knows"

# Small records, each in one packet; the place is lost behind the third. Nobody reads until seven are there. By which one is
# the NIC told again, so that it opens the next?
# request: 4, with its packet, as nobody needs to read for that
# hint:    7, the first behind which nothing has come when it is read, and not the first that came unopened
# async:   8, for the question comes with the fourth packet behind that of 4; what was read before is in the log
for form in "request 4" "hint 7" "async 8"; do
	at=${form#* }
	form_is "${form% *}"
	name="${form% *}, record by record"
	stepping 1.3 500 9
	reader_stops
	step 3
	counters_mark near
	model tls-lose 0 >/dev/null
	for n in 4 7 8; do
		step $n
		[ $n != 7 ] || reader_goes_on
		[ $n != "$at" ] || check "$name: the NIC is told" wait_for 10 told
	done
	step_end "$name"
	# Two of them from before the mark
	is "$(grown near TlsRxDeviceRecords) $(grown near TlsRxDeviceResync)" "$((2 + 9 - at)) 1" "$name: by record $at, and only once"
	is "$(grown near hw_tls_rx_resync_stale)" 0 "$name: and not too late"
	true_said "$name"
done

# Hints that do not help become rare: after two records, then after four more
form_is hint
name="hints in vain"
stepping 1.3 500 8
counters_mark near
for n in 3 7; do
	model tls-lose 0 >/dev/null
	step $n
	check "$name: by record $n" wait_for 10 told $((n / 3))
done
step_end "$name"
is "$(grown near TlsRxDeviceRecords) $(grown near TlsRxDeviceResync)" "1 2" "$name: none in between"

# More records than the log has room for between the packet and the question: 20 in each step, and the question comes with
# the fourth packet behind it. An answer may be in vain, but not wrong, and one of them helps.
form_is async
name="async, more records than places"
stepping 1.3 50 400 20
reader_stops
step 3
counters_mark near
model tls-lose 0 >/dev/null
step 9
reader_goes_on
step_end "$name"
diag "$name: the NIC opened $(grown near TlsRxDeviceRecords) of 400; asked and told $(grown near TlsRxDeviceResync) times," \
	"$(grown near hw_tls_rx_resync_ok) of them helped, $(grown near hw_tls_rx_resync_stale) came too late;" \
	"the NIC asked $(grown near hw_tls_rx_resync_ask) times"
between "$(grown near hw_tls_rx_resync_ok)" 1 10 "$name: the NIC finds back"
true_said "$name"

# The log is the driver's memory, and the driver has let go of the connection
form_is async
name="async, the device goes down"
stepping 1.3 16384 5
reader_stops
step 3
counters_mark near
ip link set sn0 down
is "$(stat hw_tls_rx_ctx)" 0 "$name: the context is gone"
reader_goes_on
ip link set sn0 up
step_end "$name"
is "$(grown near TlsRxDeviceRecords) $(grown near TlsRxDeviceResync)" "2 0" "$name: what the NIC had opened is read"

# 40 records, 8 of them at a time, then the reader has read all: that is when a hint may come, at the latest. The place is
# lost once for certain, and from there on everything counts. (Requests: vm_offload_loss.sh.)
for version in 1.2 1.3; do
	for form in hint async; do
		form_is $form
		name="$form, $version, 1 % loss, 1 % reordering"
		wire_watch /tmp/file
		model "wire loss=1 reorder=1 seed=${SEED:-1}" >/dev/null
		stepping $version 16384 40 8
		model tls-lose 0 >/dev/null
		counters_mark near
		step 5
		step_end "$name"
		model wire clear >/dev/null
		share=$(grown near hw_tls_rx_bytes)
		share=$((share * 100 / (share + $(grown near hw_tls_rx_skip_bytes))))
		diag "$name: the NIC opened $share % of the bytes, $(grown near TlsRxDeviceRecords) records whole;" \
			"was lost $(grown near hw_tls_rx_lost) times, found back $(grown near hw_tls_rx_found) times;" \
			"told $(grown near TlsRxDeviceResync) times, $(grown near hw_tls_rx_resync_ok) of them helped"
		between $share 10 99 "$name: the NIC goes on each time"
		between "$(grown near hw_tls_rx_resync_ok)" 1 1000 "$name: because it is told"
		true_said "$name"
		nothing_clear "$name: nothing in the clear"
	done
done

# The figures of offload.rst: 256 records, and the place is lost five times
lose_five_times() {
	local version=$1 form=$2 i
	form_is "$form"
	far tc qdisc replace dev sn1 root fq maxrate 8000000
	counters_mark near
	offload_stream rx 4 --tls "$version" --bytes 4M -- || give_up "no stream: $(stream_said)"
	for i in 1 2 3 4 5; do
		nap 0.4
		model tls-lose 0 >/dev/null
	done
	ended "$stream_tx" && not_ok "five times, $form, $version" "it was over before"
	stream_ok "five times, $form, $version"
	counters_read near
	far tc qdisc del dev sn1 root
	diag "five times, $form, $version: the NIC was lost $(grown near hw_tls_rx_lost) times, and opened" \
		"$(grown near TlsRxDeviceRecords) of 256"
	true_said "five times, $form, $version"
}
if [ -n "${FULL:-}" ]; then
	for version in 1.2 1.3; do
		for form in request async hint; do lose_five_times $version $form; done
	done
fi
form_is request

offload_end
