# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Traffic between the two ports, for the guest's test scripts: checked transfers, streams that go on while a script does
# something to the NIC, captures of the wire, and the NIC's counters. To be sourced after guest-lib.sh, used after two_ns.

tcp_tool=$SEALNIC_REPO/build/tests/tcp_tool
udp_tool=$SEALNIC_REPO/build/tests/udp_tool
# The opener is faster without AVX where AVX is emulated
export OPENSSL_ia32cap='~0x1000000000000000'

# at near|far COMMAND...: runs it at that end of the wire, with this end's /sys (far in guest-lib.sh has that of the other,
# and takes four times as long)
at() {
	local where=$1
	shift
	if [ "$where" = far ]; then nsenter --net=/run/netns/far "$@"; else "$@"; fi
}

# For background jobs, whose pid is to be the command's
at_exec() {
	local where=$1
	shift
	if [ "$where" = far ]; then exec nsenter --net=/run/netns/far "$@"; else exec "$@"; fi
}

# dev_of near|far, other_end near|far
dev_of() { if [ "$1" = far ]; then echo sn1; else echo sn0; fi; }
other_end() { if [ "$1" = far ]; then echo near; else echo far; fi; }

# stat COUNTER [near|far]: of ethtool -S
stat() { at "${2:-near}" ethtool -S "$(dev_of "${2:-near}")" | sed -n "s/^ *$1: //p"; }
tls_stat() { sed -n "s/^$1[[:space:]]\+//p" /proc/net/tls_stat; }

# stat_of DEV COUNTER: of a device here
stat_of() { ethtool -S "$1" | sed -n "s/^ *$2: //p"; }

# counters_mark near|far, then grown near|far COUNTER: by how much since, of the NIC or of the kTLS core. All of one end are
# read at once: counters_read. Who has just done that need not do it again for the next mark: counters_keep.
declare -A counters_was=() counters_now=()
counters_read() {
	local where=$1 name value
	while read -r name value; do
		counters_now[$where.${name%:}]=$value
	done < <(at "$where" ethtool -S "$(dev_of "$where")"; at "$where" cat /proc/net/tls_stat)
}

counters_mark() {
	counters_read "$1"
	counters_keep "$1"
}

counters_keep() {
	local key
	for key in "${!counters_now[@]}"; do
		case $key in "$1".*) counters_was[$key]=${counters_now[$key]} ;; esac
	done
}

grown() { echo $((${counters_now[$1.$2]:-0} - ${counters_was[$1.$2]:-0})); }

# Streams: one sender and one receiver, every byte compared by the receiver.

port_taken() { at "$1" ss -ltnH "sport = :$2" | grep -q .; }

stream_port=5000 stream_rx='' stream_tx=''

# stream_start near|far HOST OPTIONS...: from that end to HOST, which is at the other one; OPTIONS are for both ends, and
# for the sender alone those behind --
stream_start() {
	local from=$1 host=$2 both=() to
	to=$(other_end "$from")
	shift 2
	while [ $# -gt 0 ] && [ "$1" != -- ]; do both+=("$1") && shift; done
	[ $# = 0 ] || shift
	# Another port each time: a former stream may have died in any state
	stream_port=$((stream_port + 1))
	(at_exec "$to" "$tcp_tool" recv $stream_port "${both[@]}") >"/tmp/recv.$stream_port" 2>&1 &
	stream_rx=$!
	wait_for 10 port_taken "$to" $stream_port || return 1
	(at_exec "$from" "$tcp_tool" send "$host" $stream_port "${both[@]}" "$@") >"/tmp/send.$stream_port" 2>&1 &
	stream_tx=$!
}

# opening_start HOST OPTIONS...: a stream from far to HOST here, read through kTLS. OPTIONS are for both ends, and for the
# sender alone those behind --, where --tls-user makes it seal in user space, for the receiver those of opening_reader
# besides. It begins when the receiver's keys are in the kernel, so that the NIC can open all its records; or at once, if
# opening_ready is empty.
opening_reader=() opening_ready=--ready
opening_start() {
	local host=$1 both=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do both+=("$1") && shift; done
	[ $# = 0 ] || shift
	stream_port=$((stream_port + 1))
	(at_exec near "$tcp_tool" recv $stream_port --ktls ${opening_ready:+"$opening_ready"} "${opening_reader[@]}" "${both[@]}") >"/tmp/recv.$stream_port" 2>&1 &
	stream_rx=$!
	wait_for 10 port_taken near $stream_port || return 1
	(at_exec far "$tcp_tool" send "$host" $stream_port ${opening_ready:+"$opening_ready"} "${both[@]}" "$@") >"/tmp/send.$stream_port" 2>&1 &
	stream_tx=$!
}

ended() { ! kill -0 "$1" 2>/dev/null; }
stopped() { [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat")" = T ]; }
# For wait_for: a sender that stops now and then goes on to its end
driven() { ended "$stream_tx" || { ! stopped "$stream_tx" || kill -CONT "$stream_tx"; false; }; }
stream_said() { echo "send: $(cat "/tmp/send.$stream_port"); recv: $(cat "/tmp/recv.$stream_port")"; }

# stream_done [SECONDS]: true when it came to its end by itself and all content was right; says what was wrong
stream_done() {
	local status=0
	if ! wait_for "${1:-120}" ended "$stream_tx" || ! wait_for 20 ended "$stream_rx"; then
		echo "no end in sight; $(stream_said)"
		at near ss -tnimH "sport = :$stream_port or dport = :$stream_port" | head -n 6
		stream_kill
		return 1
	fi
	wait "$stream_tx" || status=1
	wait "$stream_rx" || status=1
	[ $status = 0 ] || stream_said
	return $status
}

# stream_ok NAME [SECONDS]
stream_ok() {
	local said
	# Not in a subshell: only their parent can wait for them
	if stream_done "${2:-120}" >/tmp/stream.said 2>&1; then
		ok "$1"
	else
		said=$(cat /tmp/stream.said)
		not_ok "$1" "$said"
	fi
}

stream_kill() {
	kill -KILL "$stream_tx" "$stream_rx"
	wait "$stream_tx" "$stream_rx"
	return 0
} 2>/dev/null

# transfer NAME near|far HOST OPTIONS...: a stream with nothing happening to it
transfer() {
	local name=$1
	shift
	if stream_start "$@"; then
		stream_ok "$name"
	else
		not_ok "$name" "the receiver does not listen: $(cat "/tmp/recv.$stream_port")"
		stream_kill
	fi
}

# pace BYTES-A-SECOND|off [DEV...]: what near's sockets may send, so that something can happen in mid-stream on a fast
# machine too
pace() {
	local rate=$1 dev
	shift
	[ $# -gt 0 ] || set -- sn0
	for dev; do
		if [ "$rate" = off ]; then
			tc qdisc del dev "$dev" root 2>/dev/null
		else
			modprobe -q sch_fq
			tc qdisc replace dev "$dev" root fq maxrate $((rate * 8))
		fi
	done
}

# sealed_since BYTES: has the NIC sealed 300 KB more than that?
sealed_since() { [ "$(stat hw_tls_tx_bytes)" -gt $(($1 + 300000)) ]; }

# UDP: udp_echo near|far, once for a script, then udp near|far HOST OPTIONS... to the other end
udp_echo() {
	(at_exec "$1" "$udp_tool" echo 6000) >/dev/null 2>&1 &
	wait_for 5 udp_bound "$1"
}
udp_bound() { at "$1" ss -lunH 'sport = :6000' | grep -q .; }
udp() {
	local from=$1 host=$2
	shift 2
	at "$from" "$udp_tool" ask "$host" 6000 "$@"
}

# The checker on the wire: the model looks for blocks of a file in every frame that anybody sends. wire_watch FILE begins it,
# or begins to count anew.
wire_watch() {
	# The way to /out is long
	cmp -s "$1" /tmp/watched || { cp "$1" /tmp/watched && cp "$1" /out/watched; }
	model "clear $SEALNIC_OUT/watched" || give_up "the model does not watch the wire"
}

# watch_pattern [SEED]: for what tcp_tool carries where it is not given a file
watch_pattern() {
	"$tcp_tool" pattern --seed "${1:-1}" >/tmp/pattern || give_up "no pattern"
	wire_watch /tmp/pattern
}

# clear_hits: how often it found one since the last time; empty if there was no frame
clear_hits() { model clear | sed -n '/frames=0 /d; s/.* hits=//p'; }

# nothing_clear NAME: ok when there were frames since, and none of them had a block of the file
nothing_clear() { is "$(clear_hits)" 0 "$1"; }

contexts_gone() { [ "$(stat hw_tls_ctx)" = 0 ]; }

# What the kernel holds in general caches, in objects: one too many of a connection shows as a thousand in a thousand
objects_held() {
	# Closed connections go after their FINs, their memory after a grace period
	at near ss -K state all >/dev/null 2>&1
	echo 3 >/proc/sys/vm/drop_caches
	sleep 2
	awk '/^kmalloc/ && $1 !~ /^kmalloc-(8|16|rcl)/ { n += $2 } END { print n }' /proc/slabinfo
}
meminfo() { awk -v want="$1:" '$1 == want { print $2 }' /proc/meminfo; }

# ports_free_at_once: of connections that are over, for scripts that need the same ones again
ports_free_at_once() {
	sysctl -qw net.ipv4.tcp_tw_reuse=1 net.ipv4.tcp_max_tw_buckets=16
	at far sysctl -qw net.ipv4.tcp_max_tw_buckets=16
}
