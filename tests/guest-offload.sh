# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# For the tests of offloaded connections over our own tls.ko: streams in both directions at once, under way and idle, and
# what the core says about who has them. Source guest-traffic.sh and guest-ktls.sh first.

# duplex_start VERSION HOST-FAR HOST-NEAR: four streams of /tmp/file, over and over: two that the near end sends, two that
# it receives; of each, one is under way and one is idle, half of it said. Returns when their keys are in the kernel and
# the NIC has sealed and opened some of those under way. They are paced: see duplex_ok, which also lets them go.
duplex_streams=() duplex_rate=350000 duplex_bytes=8M
duplex_start() {
	local tls=(--tls "$1" --file /tmp/file) idle=(--bytes 448K) sealed opened
	duplex_streams=()
	duplex_pace $((duplex_rate / ${slowness:-1}))
	sealed=$(stat hw_tls_tx_bytes) opened=$(stat hw_tls_rx_bytes)
	stream_start near "$2" "${tls[@]}" "${idle[@]}" -- --stop-every 256K && duplex_add "idle, sending" || return 1
	opening_start "$3" "${tls[@]}" "${idle[@]}" -- --tls-user --stop-every 256K && duplex_add "idle, receiving" || return 1
	wait_for 30 duplex_idle || { echo "the idle ones do not become idle" >&2; return 1; }
	stream_start near "$2" "${tls[@]}" --bytes $duplex_bytes && duplex_add "under way, sending" || return 1
	opening_start "$3" "${tls[@]}" --bytes $duplex_bytes -- --tls-user && duplex_add "under way, receiving" || return 1
	if [ "${duplex_software:-}" = '' ] && ! wait_for 30 duplex_by_nic "$sealed" "$opened"; then
		echo "the NIC does not seal and open" >&2
		return 1
	fi
}
duplex_add() { duplex_streams+=("$stream_port $stream_rx $stream_tx $1"); }
# Those that were idle have sent 256 KB each, too
duplex_by_nic() {
	[ "$(stat hw_tls_tx_bytes)" -gt $(($1 + 700000)) ] && [ "$(stat hw_tls_rx_bytes)" -gt $(($2 + 700000)) ]
}
# Stopped by themselves, and all that they said has been taken
duplex_idle() {
	local stream
	for stream in "${duplex_streams[@]:0:2}"; do
		# shellcheck disable=SC2086
		set -- $stream
		stopped "$3" || return 1
		[ -z "$(ss -tnH "sport = :$1 or dport = :$1" | awk '$2 || $3')" ] || return 1
		[ -z "$(at far ss -tnH "sport = :$1 or dport = :$1" | awk '$2 || $3')" ] || return 1
	done
}
duplex_pace() { # duplex_pace BYTES-A-SECOND|off
	pace "$1"
	if [ "$1" = off ]; then
		far tc qdisc del dev sn1 root 2>/dev/null
	else
		far tc qdisc replace dev sn1 root fq maxrate $(($1 * 8))
	fi
	return 0
}

# duplex_ok NAME [SECONDS]: those that were under way still are; then all come to their ends, with all content right
duplex_ok() {
	local stream
	for stream in "${duplex_streams[@]}"; do
		# shellcheck disable=SC2086
		set -- "$1" "${2:-}" $stream
		! ended "$5" || not_ok "$1: ${*:6}: the stream was over before it happened"
		kill -CONT "$5"
	done
	duplex_pace off
	for stream in "${duplex_streams[@]}"; do
		# shellcheck disable=SC2086
		set -- "$1" "${2:-}" $stream
		stream_port=$3 stream_rx=$4 stream_tx=$5
		stream_ok "$1: ${*:6}: all content is right" "${2:-120}"
	done
}
duplex_kill() {
	local stream
	for stream in "${duplex_streams[@]}"; do
		# shellcheck disable=SC2086
		set -- $stream
		stream_rx=$2 stream_tx=$3
		stream_kill
	done
}

# --- what the core says ---

# why_mark, then why: how often a connection went to software since, and why, as "TxSwDown 2 RxSwDown 2". Without the times
# that packets took another way (TlsTxSwRoute): while some are still queued for the first, that may be more than one.
whys() { grep -E '^Tls[TR]xSw[A-Z]' /proc/net/tls_stat | grep -vE 'Records|Route'; }
why_mark() { whys >/tmp/why; }
why() {
	whys | awk 'NR == FNR { was[$1] = $2; next }
		$2 != was[$1] { printf "%s%s %d", sep, substr($1, 4), $2 - was[$1]; sep = " " }' /tmp/why -
}

# engines_mark, then engines: what the tracepoint said since, how often each: "2 rx device,1 tx device down"
engines_mark() {
	echo 1 >$tracing/events/ktls/tls_engine/enable
	echo >$tracing/trace
}
engines() {
	sed -n 's/.*tls_engine: .* \([rt]x\) engine: /\1 /p' $tracing/trace | sort | uniq -c | awk '{ $1 = $1 } 1' | paste -sd ,
}

# confs: what ss says of near's connections: "rx hw 2,rx sw 1,tx sw 3"
confs() {
	ss -tieH 2>/dev/null | grep -o '[rt]xconf: [a-z]*' | grep -v 'none$' | sed 's/conf://' | sort | uniq -c |
		awk '{ print $2, $3, $1 }' | paste -sd ,
}

# current: "TX-DEVICE TX-SW RX-DEVICE RX-SW"
current() { echo "$(tls_stat TlsCurrTxDevice) $(tls_stat TlsCurrTxSw) $(tls_stat TlsCurrRxDevice) $(tls_stat TlsCurrRxSw)"; }

# drops_mark, then drops: packets that the fallback could not seal since, but for those whose record is gone, because all
# of it was acknowledged meanwhile
drops_mark() {
	mkdir -p $tracing/instances/drops
	echo 'err != 0 && err != -2' >$tracing/instances/drops/events/ktls/tls_fallback/filter
	echo 1 >$tracing/instances/drops/events/ktls/tls_fallback/enable
}
drops() {
	grep tls_fallback: $tracing/instances/drops/trace
	rmdir $tracing/instances/drops
}
