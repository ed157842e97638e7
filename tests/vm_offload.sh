#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Inline offload through our own core, on a wire that loses nothing: every record is the NIC's, software has none, in
# either direction and in both at once. What is sent is compared by the receiver, records and engines are counted exactly,
# and nothing crosses the wire in the clear.
#
# Version, cipher, IPv4 and IPv6, send, sendfile and zero-copy sendfile, sizes of messages, TSO, GRO and MTU meet in pairs:
# each two values of two of them are together in some stream of each direction, and half of these streams run in both at
# once. Each with each, by hand:
#
#   FULL=1 tests/vm.sh --timeout 7200 -- tests/vm_offload.sh
#
# timeout: 600
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-streams.sh"

# pairwise VALUES...: of one dimension each. Prints rows of one value of each, so that all pairs are in some row.
pairwise() {
	awk -v full="${FULL:-}" 'BEGIN {
		dims = ARGC - 1
		rows = 1
		for (d = 1; d <= dims; d++) {
			size[d] = split(ARGV[d], values)
			for (v in values) value[d, v] = values[v]
			rows *= size[d]
		}
		for (r = 0; r < rows; r++) {
			rest = r
			for (d = 1; d <= dims; d++) {
				at[r, d] = rest % size[d] + 1
				rest = int(rest / size[d])
				line[r] = line[r] value[d, at[r, d]] " "
			}
		}
		if (full) {
			for (r = 0; r < rows; r++) print line[r]
			exit
		}
		# The row with the most pairs that were not there yet, until there is none; each time they are looked at from
		# another one on, so that what does not matter varies
		for (begin = 0;; begin += 389) {
			best = 0
			for (i = 0; i < rows; i++) {
				r = (begin + 101 * i) % rows
				fresh = 0
				for (d = 1; d < dims; d++)
					for (e = d + 1; e <= dims; e++)
						fresh += !((d, at[r, d], e, at[r, e]) in seen)
				if (fresh > best) {
					best = fresh
					row = r
				}
			}
			if (!best) exit
			print line[row]
			for (d = 1; d < dims; d++)
				for (e = d + 1; e <= dims; e++) seen[d, at[row, d], e, at[row, e]] = 1
		}
	}' "$@"
}

# A few kilobytes of small messages, a few of the others
bytes_in() {
	case $1 in
	1) echo 150 ;;
	???????) echo "$1" ;;
	?????) echo $(($1 * 5 + 77)) ;;
	*) echo $(($1 * 25 + 1)) ;;
	esac
}

# sent_offloaded NAME RECORDS [near|far]: that end's NIC has sealed all of them, since the counters were kept
sent_offloaded() {
	local end=${3:-near} repaired
	# A probe by TCP, because an acknowledgment took its time, is repaired by the driver: that is no record more for the
	# core, and for the NIC at most all of them once more
	repaired=$(grown "$end" tx_tls_ooo)
	is "$(grown "$end" TlsTxDevice) $(grown "$end" TlsTxSw) $(grown "$end" TlsTxDeviceRecords)" "1 0 $2" \
		"$1: $2 records are the NIC's to seal"
	between "$(grown "$end" hw_tls_tx_records)" "$2" $(($2 + repaired * $2)) "$1: it sealed them"
	is "$(grown "$end" TlsTxFallback) $(grown "$end" TlsTxFallbackDrop) $(grown "$end" tx_tls_sw_fallback_packets)" "0 0 0" \
		"$1: software sealed nothing"
}

received_offloaded() { # received_offloaded NAME RECORDS
	is "$(grown near TlsRxDevice) $(grown near TlsRxSw) $(grown near TlsRxDeviceRecords) $(grown near hw_tls_rx_records)" \
		"1 0 $2 $2" "$1: the NIC opened $2 records"
	is "$(grown near TlsRxPartialRecords) $(grown near TlsRxDeviceResync) $(grown near TlsDecryptError)" "0 0 0" \
		"$1: software opened nothing, nobody asked for the place"
}

# stream DIRECTION VERSION CIPHER IP HOW SIZE NAME
stream() {
	local dir=$1 version=$2 cipher=$3 ip=$4 how=$5 size=$6 name=$7 bytes n both send
	bytes=$(bytes_in "$size")
	# And an alert behind them: the content type is under the seal in TLS 1.3
	n=$(($(records "$bytes" "$size") + 1))
	both=(--tls "$version" --cipher "$cipher" --bytes "$bytes" --seed "$size" --alert)
	send=(--chunk "$size")
	case $how in
	sendfile) send+=(--sendfile /tmp/file) ;;
	zerocopy) send+=(--sendfile /tmp/file --zerocopy) ;;
	pieces) opening_reader=(--read 1000) ;;
	esac
	offload_stream "$dir" "$ip" "${both[@]}" -- "${send[@]}" || give_up "no stream: $(stream_said)"
	stream_ok "$name"
	opening_reader=()
	counters_read near
	[ "$dir" != both ] || counters_read far
	case $dir in
	tx)
		is "$(records_received)" "$n" "$name: the receiver has counted $n records"
		sent_offloaded "$name" "$n"
		;;
	rx) received_offloaded "$name" "$n" ;;
	both)
		sent_offloaded "$name" "$n" far
		received_offloaded "$name" "$n"
		;;
	esac
	counters_keep near
	counters_keep far
}

tls_overhead() { [ "$1" = 1.2 ] && echo 8 + 16 || echo 1 + 16; }
rx_current() { [ "$(tls_stat TlsCurrRxDevice)" = 1 ]; }

offload_start

# --- the checker finds what it looks for ---

wire_watch /tmp/file
transfer "plain TCP" near 10.0.0.2 --file /tmp/file --bytes 100K
between "$(clear_hits)" 2500 4000 "the checker finds plain text on the wire"

# --- the matrix ---

sizes='1 100 1000 1433 16384 16385 65536 1000000'
sent=$(pairwise '1500 9000' 'on off' '1.2 1.3' 'aes128 aes256' '4 6' 'send sendfile zerocopy' "$sizes" | sort -k1,1n -k2,2r -s)
received=$(pairwise '1500 9000' 'on off' '1.2 1.3' 'aes128 aes256' '4 6' 'whole pieces' '1 100 1433 5000 16383 16384' | sort -k1,1n -k2,2r -s)
for dir in tx rx both; do
	case $dir in rx) rows=$received feature=gro ;; *) rows=$sent feature=tso ;; esac
	# Both at once once more, but not all of it
	[ $dir != both ] || [ -n "${FULL:-}" ] || rows=$(awk 'NR % 2' <<<"$rows")
	set_mtu=1500 set_feature=on
	wire_watch /tmp/file
	while read -r mtu on version cipher ip how size; do
		[ "$mtu" = $set_mtu ] || { wire_mtu "$mtu" && set_mtu=$mtu; }
		[ "$on" = $set_feature ] || { features $feature "$on" && set_feature=$on; }
		stream $dir "$version" "$cipher" "$ip" "$how" "$size" \
			"$dir, $version $cipher, IPv$ip, $how in $size, $feature $on, MTU $mtu"
	done <<<"$rows"
	wire_mtu 1500
	features $feature on
	nothing_clear "$dir: nothing in the clear"
done

# --- what begins in the clear, and many at once ---

wire_watch /tmp/file
for version in 1.2 1.3; do
	for before in 1 1448 60000; do
		counters_mark near
		offload_stream tx 4 --tls $version --bytes 100K --before $before -- --chunk 10000 || give_up "no stream"
		stream_ok "tx, $version behind $before bytes in the clear"
		counters_read near
		sent_offloaded "tx, $version behind $before bytes in the clear" 11
		counters_keep near
		offload_stream rx 4 --tls $version --bytes 100K --before $before -- --chunk 10000 || give_up "no stream"
		stream_ok "rx, $version behind $before bytes in the clear"
		counters_read near
		received_offloaded "rx, $version behind $before bytes in the clear" 11
	done
	counters_mark near
	counters_mark far
	offload_stream both 4 --tls $version --bytes 200K --connections 8 --port-base 20000 -- || give_up "no streams"
	stream_ok "both, $version, 8 connections"
	counters_read near
	counters_read far
	# A message that has no room is cut, here and there
	between "$(grown near TlsRxDeviceRecords)" $((8 * 13)) $((8 * 50)) "both, $version, 8 connections: the NIC opened them"
	is "$(grown near TlsRxDeviceRecords) $(grown near TlsRxPartialRecords) $(grown far TlsTxFallback)" \
		"$(grown far TlsTxDeviceRecords) 0 0" "both, $version, 8 connections: each record that the other one sealed"
done

# The keys come late: what waits in TCP's queue by then the NIC will not see again. It begins behind it, and need not ask.
opening_ready=''
for version in 1.2 1.3; do
	# Four whole records
	queued=$((4 * (5 + 8192 + ($(tls_overhead $version)))))
	counters_mark near
	opening_reader=(--queued $queued)
	offload_stream rx 4 --tls $version --bytes 128K -- --chunk 8K --stop-every 32K || give_up "no stream"
	check "keys behind 4 records, $version: they are set" wait_for 20 rx_current
	check "keys behind 4 records, $version: the sender goes on" wait_for 20 driven
	stream_ok "keys behind 4 records, $version"
	counters_read near
	is "$(grown near TlsRxDeviceRecords) $(grown near TlsRxPartialRecords) $(grown near TlsRxDeviceResync)" "12 0 0" \
		"keys behind 4 records, $version: the NIC opened the 12 others"
	# In the middle of one, and the sender goes on
	counters_mark near
	opening_reader=(--queued 30000)
	offload_stream rx 4 --tls $version --bytes 1M -- || give_up "no stream"
	stream_ok "keys under way, $version"
	counters_read near
	between "$(grown near TlsRxDeviceRecords)" 32 62 "keys under way, $version: the NIC opened what came later"
	between "$(grown near TlsRxPartialRecords)" 0 2 "keys under way, $version: but for where it began"
done
opening_ready=--ready opening_reader=()

# Pages of a file and copies in one record, held until all of it is there: nothing but what was sent is sealed
for version in 1.2 1.3; do
	for size in 1000 16384; do
		counters_mark near
		offload_stream tx 4 --tls $version --bytes $((size * 10)) -- --chunk $size --sendfile /tmp/file --zerocopy --mixed ||
			give_up "no stream"
		stream_ok "pages and copies in $size, $version"
		counters_read near
		is "$(records_received)" 10 "pages and copies in $size, $version: the receiver has counted 10 records"
		sent_offloaded "pages and copies in $size, $version" 10
	done
done

# What is special about a connection ss says
ss_says() { ss -tieHn "dport = :$stream_port" | grep -qE "txconf: hw$1"; }
for how in '--sendfile /tmp/file --zerocopy' '--sendfile /tmp/file'; do
	says=' zc_ro_tx' name="zero-copy"
	[[ $how = *--zerocopy ]] || says='($| [^z])' name="no zero-copy"
	# shellcheck disable=SC2086
	offload_stream tx 4 --tls 1.3 --bytes 128K -- $how --stop-every 64K || give_up "no stream"
	check "$name, ss: the NIC has it" wait_for 20 ss_says "$says"
	check "$name, ss: it goes on" wait_for 20 driven
	stream_ok "$name, ss"
done

# Without scatter-gather TCP copies all into one piece
ethtool -K sn0 sg off >/dev/null
for version in 1.2 1.3; do
	counters_mark near
	offload_stream tx 4 --tls $version --bytes 300K -- --chunk 30000 --sendfile /tmp/file --zerocopy || give_up "no stream"
	stream_ok "no scatter-gather, $version"
	counters_read near
	sent_offloaded "no scatter-gather, $version" 21
done
ethtool -K sn0 sg on tso on >/dev/null

# Packets with IP options are not for the NIC: software seals them, in whatever pieces they come
for version in 1.2 1.3; do
	for tso in on off; do
		ethtool -K sn0 tso $tso
		for ip in 4 6; do
			counters_mark near
			offload_stream tx $ip --tls $version --bytes 300K --alert -- --chunk 30000 --ip-options || give_up "no stream"
			stream_ok "IPv$ip options, $version, TSO $tso"
			counters_read near
			is "$(records_received) $(grown near TlsTxDeviceRecords) $(grown near hw_tls_tx_records)" "22 22 0" \
				"IPv$ip options, $version, TSO $tso: 22 records, none sealed by the NIC"
			between "$(grown near TlsTxFallback)" 1 1000 "IPv$ip options, $version, TSO $tso: but by software"
			is "$(grown near TlsTxFallbackDrop)" 0 "IPv$ip options, $version, TSO $tso: which could"
		done
	done
done
nothing_clear "more: nothing in the clear"

offload_end
