#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Two minutes (SOAK: seconds) of everything at once, from a seed (SEED): connections in all directions, of all kinds and
# sizes, on a wire that is good for a while and then is not, while features, rings and channels change, the device is reset
# and down, loses its place and finds good records bad. All content is right, nothing crosses in the clear, and in the end
# nothing is left.
#
# What happens in a round depends on SEED and its number alone. By hand, half an hour:
#
#   SOAK=1800 tests/vm.sh --timeout 3000 -- tests/vm_offload_soak.sh
#
# vm: --smp 2
# timeout: 400
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-streams.sh"
seed=${SEED:-1}

# pick VALUES...: one of them is $picked
pick() {
	shift $((RANDOM % $#))
	picked=$1
}

running=()
# begin: a stream, or several connections of it
begin() {
	local dir ip version cipher bytes conns chunk more=() both
	pick tx tx rx rx both && dir=$picked
	pick 4 4 6 && ip=$picked
	pick 1.2 1.3 && version=$picked
	pick aes128 aes256 && cipher=$picked
	pick 1 1 1 1 5 20 && conns=$picked
	pick 1 700 20K 100K 500K 1M 3M && bytes=$picked
	[ "$conns" = 1 ] || { pick 1 3000 30K 100K && bytes=$picked; }
	pick 100 1000 4096 16384 && chunk=$picked
	if [ $dir != rx ]; then
		pick "$chunk" 40000 1M && chunk=$picked
		pick '' '' '--sendfile /tmp/file' '--sendfile /tmp/file --zerocopy' '--ip-options'
		# shellcheck disable=SC2206
		more=($picked)
	fi
	pick 999 5000 32K && opening_reader=(--read "$picked")
	# Small messages take their time
	[ "$chunk" -gt 100 ] 2>/dev/null || case $bytes in *M | 500K) bytes=100K ;; esac
	both=(--tls "$version" --cipher "$cipher" --bytes "$bytes" --connections "$conns" --port-base $((10000 + stream_port % 1000 * 20)) --alert)
	offload_stream $dir "$ip" "${both[@]}" -- --chunk "$chunk" "${more[@]}" || give_up "no stream: $(stream_said)"
	running+=("$stream_port $stream_rx $stream_tx $conns $dir IPv$ip ${both[*]:0:8} in $chunk ${more[*]}")
	opening_reader=()
}

# Do the connections exist, or are they over already?
connected() {
	local stream n
	for stream in "${running[@]}"; do
		# shellcheck disable=SC2086
		set -- $stream
		ended "$3" && continue
		n=$(ss -tnH state established state close-wait state fin-wait-1 state fin-wait-2 "( sport = :$1 or dport = :$1 )" | wc -l)
		[ "$n" -ge "$4" ] || ended "$3" || return 1
	done
}

wire() {
	pick '' '' loss=0.1 loss=1 loss=5 reorder=3 dup=3 corrupt=1 'loss=1 reorder=2 dup=1 corrupt=0.2' delay=1000
	model wire clear >/dev/null
	[ -z "$picked" ] || model "wire $picked seed=$((seed + round))" >/dev/null
	events+=" wire:$picked"
}

event() {
	pick wire wire feature feature rings channels lose lose spoil reset fault down mtu
	case $picked in
	wire) wire && return ;;
	feature)
		pick 'tso off' 'tso on' 'sg off' 'sg on tso on' 'gro off' 'gro on' 'rxhash off' 'rxhash on' 'rx off' 'rx on' 'tls-hw-tx-offload off' \
			'tls-hw-tx-offload on' 'tls-hw-rx-offload off' 'tls-hw-rx-offload on'
		# shellcheck disable=SC2086
		ethtool -K sn0 $picked >/dev/null
		;;
	rings) pick 256 512 1024 && ethtool -G sn0 rx "$picked" tx "$picked" ;;
	channels) pick 1 2 && ethtool -L sn0 combined "$picked" 2>/dev/null ;;
	lose) pick 0 1 && model "tls-lose $picked" >/dev/null ;;
	spoil) pick 1 5 && model "tls-spoil 0 $picked" >/dev/null ;;
	reset) connected && ethtool -t sn0 offline >/dev/null ;;
	fault) connected && model fault 0 >/dev/null ;;
	down)
		wait_for 20 connected || return
		ip link set sn0 down
		ip link set sn0 up
		;;
	mtu) pick 1500 2000 9000 && wire_mtu "$picked" ;;
	esac
	events+=" $picked"
}

offload_start
# What IPv6 is to survive the interface's being down, and ports that come back at once
for end in near far; do
	at $end sysctl -qw net.ipv6.conf.all.keep_addr_on_down=1 net.ipv4.tcp_tw_reuse=1 net.ipv4.tcp_max_tw_buckets=16
done
ip addr replace fd00::1/64 dev sn0 nodad

end=$((SECONDS + ${SOAK:-120})) round=0 streams=0
while [ $SECONDS -lt $end ]; do
	round=$((round + 1)) running=() events='' failed=$tap_failed
	# Seeds that are close to each other give close values
	RANDOM=$(((seed * 7919 + round) * 40503 % 32768))
	wire
	for ((i = RANDOM % 4; i >= 0; i--)); do begin; done
	for ((i = RANDOM % 4; i > 0; i--)); do
		sleep 0.$((RANDOM % 9))
		event
	done
	for stream in "${running[@]}"; do
		read -r stream_port stream_rx stream_tx conns name <<<"$stream"
		streams=$((streams + conns))
		stream_done $((180 * ${slowness:-1})) >/tmp/stream.said 2>&1 || not_ok "round $round: $name" "$(cat /tmp/stream.said)"
	done
	hits=$(clear_hits)
	[ "$hits" = 0 ] || not_ok "round $round: nothing in the clear" "$hits blocks are"
	[ $tap_failed = "$failed" ] || diag "round $round:$events"
done
is $tap_failed 0 "$round rounds with $streams connections: all content was right"
between $streams 20 1000000 "there were some connections"
diag "$(grep -E 'Records|Fallback|Resync|DecryptError|TlsTxDevice|TlsRxDevice' /proc/net/tls_stat | tr -s '[:space:]' ' ')"
model wire clear >/dev/null
is "$(tls_stat TlsDecryptError)$(at far cat /proc/net/tls_stat | sed -n 's/^TlsDecryptError[[:space:]]*//p')" 00 "all records were authentic"
offload_end
