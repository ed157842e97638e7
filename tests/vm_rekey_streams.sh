#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Key updates on offloaded connections, once, often and all the time, while the wire is good and while it loses frames, from
# a seed (SEED): all content is right, every record is counted once, as the NIC's or as software's, an independent peer finds
# all of them authentic, nothing crosses in the clear, and nothing is left of any key. The NIC seals and opens most of it.
#
# Every number of rekeys with every loss, five seeds of each, takes an hour or so:
#
#   FULL=1 tests/vm.sh --timeout 14400 -- tests/vm_rekey_streams.sh
#
# timeout: 600
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-streams.sh"
seed=${SEED:-1}

# buffers BYTES: of TCP, at most. What is on its way at a rekey is software's.
buffers() {
	sysctl -qw net.ipv4.tcp_wmem="4096 16384 $1" net.ipv4.tcp_rmem="4096 131072 $1"
	at far sysctl -qw net.ipv4.tcp_wmem="4096 16384 $1" net.ipv4.tcp_rmem="4096 131072 $1"
}
all_over() {
	! grep Curr /proc/net/tls_stat | grep -qv '[[:space:]]0$' && ! at far grep Curr /proc/net/tls_stat | grep -qv '[[:space:]]0$'
}
# What the ends in user space counted
said() { sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" "/tmp/$1.$stream_port"; }
# all_records END Tx|Rx
all_records() { echo $(($(grown "$1" "Tls$2DeviceRecords") + $(grown "$1" "Tls$2SwRecords"))); }

# keyed NAME DIRECTION IP REKEYS WIRE BYTES SENDER'S OPTIONS...
keyed() {
	local name="$2, $1" dir=$2 ip=$3 rekeys=$4 wire=$5 bytes=$6 sent='' cipher=aes128
	shift 6
	[ $((rekeys % 2)) = 0 ] || cipher=aes256 # 1 and 99
	model "wire clear" >/dev/null
	[ -z "$wire" ] || model "wire $wire seed=$seed" >/dev/null || { not_ok "$name" "the model takes no '$wire'"; return; }
	counters_mark near
	counters_mark far
	offload_stream "$dir" "$ip" --tls 1.3 --cipher $cipher --bytes "$bytes" --seed "$seed" --alert -- "$@" ||
		give_up "no stream: $(stream_said)"
	stream_ok "$name" 300
	model "wire clear" >/dev/null
	check "$name: nothing is current" wait_for $((20 * ${slowness:-1})) all_over
	counters_read near
	counters_read far

	[ -n "$rekeys" ] || rekeys=$(said send rekeys)
	is "$(said send rekeys) $(said recv rekeys)" "$rekeys $rekeys" "$name: $rekeys keys, sent and received"
	case $dir in
	tx)
		sent=$(all_records near Tx)
		is "$sent" "$(said recv records)" "$name: each record is sealed once, by NIC or software"
		keyed_tx near
		;;
	rx)
		sent=$(said send records)
		is "$(all_records near Rx)" "$sent" "$name: each record is opened once, by NIC or software"
		keyed_rx
		;;
	both)
		sent=$(all_records far Tx)
		is "$(all_records near Rx)" "$sent" "$name: each record is sealed once and opened once"
		keyed_tx far
		keyed_rx
		;;
	esac
}

# The core counts what it gave to the NIC. On a good wire the NIC has sealed all of it, what TCP sent twice once more, and
# nobody else did.
sealed_by_nic() { # sealed_by_nic NAME END
	is "$(grown "$2" TlsTxFallback) $(grown "$2" TlsTxFallbackDrop)" "0 0" "$1: the fallback seals nothing and drops nothing"
	between "$(grown "$2" hw_tls_tx_records)" "$(grown "$2" TlsTxDeviceRecords)" 1000000000 "$1: the NIC has sealed what it was given"
}

keyed_tx() { # keyed_tx END
	is "$(grown "$1" TlsTxRekeyOk) $(grown "$1" TlsTxRekeyError) $(grown "$1" TlsTxRekeyFallback)" "$rekeys 0 0" \
		"$name: $rekeys keys to send with"
	# Where the next key comes before all under the last one is acknowledged, it may never get one
	between "$(grown "$1" tx_tls_ctx)" $((rekeys > 2 ? 1 : 2)) $((rekeys + 1)) "$name: the NIC got one again to seal with"
	[ -n "$wire" ] || sealed_by_nic "$name" "$1"
	diag "$name: of $sent records the NIC sealed $(grown "$1" TlsTxDeviceRecords), with $(grown "$1" tx_tls_ctx) keys," \
		"software $(grown "$1" TlsTxSwRecords); in the fallback $(grown "$1" TlsTxFallback) packets," \
		"$(grown "$1" TlsTxFallbackDrop) dropped; $(said send seconds)"
}

keyed_rx() {
	is "$(grown near TlsRxRekeyOk) $(grown near TlsRxRekeyReceived) $(grown near TlsRxRekeyError) $(grown near TlsRxRekeyFallback)" \
		"$rekeys $rekeys 0 0" "$name: $rekeys keys to receive with"
	between "$(grown near rx_tls_ctx)" 2 $((rekeys + 1)) "$name: the NIC got one again to open with"
	is "$(grown near TlsDecryptError)" 0 "$name: all were authentic"
	diag "$name: of $sent records the NIC opened $(grown near TlsRxDeviceRecords), with $(grown near rx_tls_ctx) keys," \
		"software $(grown near TlsRxSwRecords), $(grown near TlsRxPartialRecords) of them in part; $(said send seconds)"
}

# each DIRECTION IP WIRE NAME REKEYS...
each() {
	local dir=$1 ip=$2 wire=$3 when=$4 n
	shift 4
	for n; do
		case $n in
		# 20,000 records, and 20,000
		1) keyed "1 rekey$when" "$dir" "$ip" 1 "$wire" 4000000 --chunk 100 --rekey 2000000 ;;
		# 5 each
		99) keyed "99 rekeys$when" "$dir" "$ip" 99 "$wire" $((100 * 80 * 1024)) --rekey 80K ;;
		# 2 each
		few) keyed "20 rekeys$when" "$dir" "$ip" 20 "$wire" $((21 * 32 * 1024)) --chunk 32K --rekey 32K ;;
		# From 1 byte to 2 MB at once; as often as it comes to it
		random) keyed "random sizes$when" "$dir" "$ip" '' "$wire" 12M --chunk 2M --random --rekey 200K ;;
		# Before each record
		10000) keyed "10000 rekeys$when" "$dir" "$ip" 10000 "$wire" $((10001 * 300)) --chunk 300 --rekey 300 ;;
		esac
	done
}

# share DIRECTION BUFFERS: with one rekey in 1,000 records of 16 KB, what part of them is the NIC's, in tenths of a percent?
share() {
	local dir=$1 name="$1, a rekey in 1000 records, buffers of $2" sender=near
	[ "$dir" = tx ] || sender=far
	buffers "$2"
	keyed "a rekey in 1000 records, buffers of $2" "$dir" 4 2 '' $((3000 * 16384)) --rekey $((1000 * 16384))
	nic_share=1000
	[ "$dir" = rx ] || nic_share=$(percent "$(grown "$sender" TlsTxDeviceRecords)" "$(all_records "$sender" Tx)")
	[ "$dir" = tx ] || nic_share=$(percent "$(grown near TlsRxDeviceRecords)" "$(all_records near Rx)")
	diag "$name: the NIC has $(show "$nic_share")"
}
percent() { echo $(($1 * 1000 / ($2 > 0 ? $2 : 1))); }
show() { echo "$(($1 / 10)).$(($1 % 10)) %"; }

offload_start

# --- how often, how long, how bad the wire is ---

buffers 500000
wire_watch /tmp/file
if [ -n "${FULL:-}" ]; then
	for ((seed = 1; seed <= 5; seed++)); do
		for wire in '' loss=0.1 loss=1 loss=5; do
			for dir in tx rx both; do
				for ip in 4 6; do
					each $dir $ip "$wire" "${wire:+, $wire}, IPv$ip, seed $seed" 1 99 10000 random
				done
			done
		done
	done
	seed=${SEED:-1}
else
	each tx 4 '' '' 1 99 10000 random
	each rx 6 '' '' 99 10000 random
	each both 4 '' '' 1 99
	each tx 6 loss=1 ', 1 % loss' 99 random
	each rx 4 loss=1 ', 1 % loss' 99 random
	each both 6 loss=1 ', 1 % loss' 99
	each tx 4 loss=5 ', 5 % loss' few
	each rx 4 loss=5 ', 5 % loss' few
fi
nothing_clear "nothing in the clear"

# --- what is left for software ---

# Sent: what was queued at the rekey, once more. Received: what the window held. So it takes buffers that are small beside
# what one key seals.
for dir in tx rx ${FULL:+both}; do
	share $dir 500000
	# 98 to 99 % on a machine that does nothing else; on another, TCP sends again what is late
	between "$nic_share" 950 1000 "$dir, a rekey in 1000 records, buffers of 500000: the NIC has most of it"
	[ -z "${FULL:-}" ] || share $dir 2000000
	[ -z "${FULL:-}" ] || share $dir 6000000
done

offload_end
