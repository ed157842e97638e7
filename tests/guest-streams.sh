# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Streams that the NICs seal and open for our own core, on a good wire and on a bad one. Source guest-lib.sh,
# guest-traffic.sh and guest-ktls.sh first.
#
# Three directions: `tx`, sent through kTLS here, and opened in user space at the far end; `rx`, sealed in user space at the
# far end, and read through kTLS here; `both`, from kTLS at the far end to kTLS here, sealed by one NIC and opened by the
# other. What is sent is /tmp/file, again and again: no block of it may be seen on the wire.

offload_start() {
	load_ktls
	load_driver || give_up "sealnic.ko does not load"
	modprobe -q sch_fq
	two_ns || give_up "no two ports"
	# In whole records, as often as it is repeated
	head -c 1M /dev/urandom >/tmp/file
	wire_watch /tmp/file
	counters_mark near
	counters_mark far
	mkdir $tracing/instances/records && echo 1 >$tracing/instances/records/events/ktls/tls_records/enable
}

# What connections counted by themselves, when they were closed, of the module's life: "tx DEVICE SOFTWARE RESYNCS rx ..."
by_connection() {
	tr '=' ' ' <$tracing/instances/records/trace | awk '/ tls_records:/ { dir = / tx engine/ ? "tx" : "rx"
		for (i = 1; i < NF; i++) if ($i ~ /^(device|software|resyncs|fallback)$/) n[dir, $i] += $(i + 1) }
		END { print "tx", n["tx", "device"] + 0, n["tx", "software"] + 0, n["tx", "resyncs"] + 0,
			"rx", n["rx", "device"] + 0, n["rx", "software"] + 0, n["rx", "resyncs"] + 0, n["rx", "fallback"] + 0 }'
}
by_namespace() {
	{ cat /proc/net/tls_stat && at far cat /proc/net/tls_stat; } | awk '{ n[$1] += $2 }
		END { print "tx", n["TlsTxDeviceRecords"], n["TlsTxSwRecords"], n["TlsTxDeviceResync"],
			"rx", n["TlsRxDeviceRecords"], n["TlsRxSwRecords"], n["TlsRxDeviceResync"], n["TlsRxPartialRecords"] }'
}

offload_end() {
	check "no context is left in the devices" wait_for $((20 * ${slowness:-1})) no_contexts
	is "$(stat tx_tls_ctx)/$(stat rx_tls_ctx)" "$(stat tx_tls_del)/$(stat rx_tls_del)" "nor in the driver"
	is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)$(stat rx_tls_err)" 0000 \
		"the device had to drop nothing, and driver and device agree"
	hits=$(clear_hits)
	is "${hits:-0}" 0 "nothing in the clear, to the end"
	is "$(by_connection)" "$(by_namespace)" "connections have counted what their namespaces have"
	rmdir $tracing/instances/records
	# The driver needs the module
	check "the driver goes" unload_driver
	unload_ktls
	finish
}
no_contexts() { [ "$(stat hw_tls_ctx)$(stat hw_tls_ctx far)" = 00 ]; }

# wire_mtu MTU; features FEATURE on|off...: at both ends
wire_mtu() { ip link set sn0 mtu "$1" && at far ip link set sn1 mtu "$1"; }
features() { ethtool -K sn0 "$@" >/dev/null && at far ethtool -K sn1 "$@" >/dev/null; }

# offload_stream tx|rx|both 4|6 OPTIONS... -- SENDER'S OPTIONS...: begins it
offload_stream() {
	local dir=$1 ip=$2
	shift 2
	case $dir$ip in
	tx4) stream_start near 10.0.0.2 --file /tmp/file "$@" ;;
	tx6) stream_start near fd00::2 --file /tmp/file "$@" ;;
	rx4) opening_start 10.0.0.1 --file /tmp/file "$@" --tls-user ;;
	rx6) opening_start fd00::1 --file /tmp/file "$@" --tls-user ;;
	both4) opening_start 10.0.0.1 --file /tmp/file "$@" ;;
	both6) opening_start fd00::1 --file /tmp/file "$@" ;;
	esac
}

# records BYTES MESSAGE: of how many records are so many bytes in such messages?
records() {
	local bytes=$1 size=$2
	echo $((bytes / size * ((size + 16383) / 16384) + (bytes % size + 16383) / 16384))
}

# records_received: what the user-space receiver counted
records_received() { sed -n 's/.*"records":\([0-9]*\).*/\1/p' "/tmp/recv.$stream_port"; }

# --- record by record ---

# stepping VERSION SIZE RECORDS [OF-A-STEP]: a stream to here that stops after each record, or after so many
stepping() {
	step_at=1 step_wire=$((${4:-1} * ($2 + 5 + ($([ "$1" = 1.2 ] && echo 8 || echo 1)) + 16))) step_unread=
	offload_stream rx 4 --tls "$1" --bytes $(($2 * $3)) -- --chunk "$2" --stop-every $(($2 * ${4:-1})) ||
		give_up "no stream: $(stream_said)"
	check "stepping, $1, $2: begun" wait_for 20 step_arrived 1
}

# step N: until N steps have arrived and are read; reader_stops: nothing is read until reader_goes_on
step() {
	local n
	for ((n = step_at + 1; n <= $1; n++)); do
		kill -CONT "$stream_tx"
		wait_for 20 step_arrived $n || { not_ok "step $n arrives" "$(stream_said)"; return; }
	done
	step_at=$1
}
step_arrived() {
	local n=$1 state="T"
	# shellcheck disable=SC2046
	set -- $(ss -tniH "sport = :$stream_port" | sed -n 's/^[A-Z][A-Z0-9-]* *\([0-9]*\) .*/\1/p; s/.* bytes_received:\([0-9]*\).*/\1/p')
	[ "${2:-0}" -ge $((n * step_wire)) ] && { [ -n "$step_unread" ] || [ "$1" = 0 ]; } || return 1
	ended "$stream_tx" || read -r state <"/proc/$stream_tx/stat"
	[[ ${state##*) } = T* ]]
}
reader_stops() {
	kill -STOP "$stream_rx"
	step_unread=y
}
reader_goes_on() {
	kill -CONT "$stream_rx"
	step_unread=
	wait_for 20 step_arrived "$step_at" || not_ok "all that has arrived is read" "$(stream_said)"
}

# step_end NAME: the rest of it
step_end() {
	until ended "$stream_tx"; do
		kill -CONT "$stream_tx" 2>/dev/null
		sleep 0.1
	done
	stream_ok "$1"
	counters_read near
}
