#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guest's part of make bench.  "insns": each transfer between two markers,
# named in /out/runs in the order that they are run.  "rate": transfers and
# context adds by the clock, in /out/rates, all of them with our tls.ko.  "ktls": what system calls on TLS
# sockets take with the kernel's own tls module, in /out/stock, and with ours, in
# /out/ours; neither NIC nor driver.
set -euo pipefail
# shellcheck source=tests/guest-lib.sh
. "$SEALNIC_REPO/tests/guest-lib.sh"
tool=$SEALNIC_REPO/build/tests/tcp_tool
mb=${BENCH_MB:-32}

die() { echo "bench: $*"; exit 1; }
nic_stat() { ethtool -S sn0 | sed -n "s/^ *$1: //p"; }
tls_stat() { sed -n "s/^$1[[:space:]]\+//p" /proc/net/tls_stat; }

if [ "$1" = ktls ]; then
	ip link set lo up
	modprobe aesni-intel || die "there is no aesni-intel"
	modprobe tls || die "the kernel has no tls module"
	"$SEALNIC_REPO/build/tests/ktls_cost" >/out/stock || die "ktls_cost fails with the kernel's own module"
	rmmod tls && insmod "$SEALNIC_MODULES/net/tls/tls.ko" || die "tls.ko does not load"
	"$SEALNIC_REPO/build/tests/ktls_cost" >/out/ours || die "ktls_cost fails with our module"
	exit
fi

modprobe -q -a aesni-intel ghash-clmulni-intel gcm
insmod "$SEALNIC_MODULES/net/tls/tls.ko" || die "tls.ko does not load"
load_driver || die "sealnic.ko does not load"
two_ns || die "the two NICs do not come up"

cpu_per_side
head -c $((mb << 20)) /dev/urandom >/srv/file

far taskset -c 1 "$tool" sink 5000 --discard >/out/sink.log 2>&1 &
sink=$!
sleep 1

transfer() { # transfer NAME OPTIONS...
	local name=$1
	shift
	case $name in
	hw*) ethtool -K sn0 tls-hw-tx-offload on tls-hw-rx-offload on ;;
	sw*) ethtool -K sn0 tls-hw-tx-offload off tls-hw-rx-offload off ;;
	esac
	if [[ $name == *recv ]]; then receive "$name" "$@"; return; fi
	taskset -c 0 "$tool" send 10.0.0.2 5000 --bytes ${mb}M "$@" >/srv/result || die "$name: $(cat /srv/result)"
}

# The peer sends sealed records in any case, so that it is as fast for those that take them as they come. It seals them
# itself where instructions are counted; by the clock its NIC does, as it would be what takes the time.
sealer=()
[ "$1" = rate ] || sealer=(--tls-user)
port=5100
receive() { # receive NAME [--ktls] [OPTIONS...]
	local name=$1 receiver
	shift
	port=$((port + 1))
	taskset -c 0 "$tool" recv $port --blind --ready "${tls[@]}" "$@" >/srv/result 2>&1 &
	receiver=$!
	wait_for 10 listens $port || die "$name: nobody listens"
	far taskset -c 1 "$tool" send 10.0.0.1 $port --bytes ${mb}M --ready "${tls[@]}" "${sealer[@]}" >/srv/sent ||
		die "$name: $(cat /srv/sent)"
	wait $receiver || die "$name: $(cat /srv/result)"
}
listens() { ss -ltnH "sport = :$1" | grep -q .; }
sent() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" /srv/result; }

tls=(--tls 1.3 --cipher aes128)
case $1 in
insns)
	for round in 1 2 3; do
		while read -r name options; do
			# shellcheck disable=SC2086
			transfer $name --markers $options
			echo "$name $((mb << 20))" >>/out/runs
		done <<-RUNS
			tcp_send
			hw_send ${tls[*]}
			hw12_send --tls 1.2 --cipher aes128
			sw_send ${tls[*]}
			tcp_sendfile --sendfile /srv/file
			hw_sendfile ${tls[*]} --sendfile /srv/file
			hw_zc_sendfile ${tls[*]} --sendfile /srv/file --zerocopy
			sw_sendfile ${tls[*]} --sendfile /srv/file
			tcp_recv
			hw_recv --ktls
			sw_recv --ktls
		RUNS
		echo "round $round of 3"
	done
	;;
rate)
	for round in 1 2 3; do
		for name in tcp hw sw; do
			options=("${tls[@]}")
			[ $name != tcp ] || options=()
			transfer ${name}_send "${options[@]}"
			sed -n "s/.*\"mb_per_s\": *\([0-9.]*\).*/${name}_tx \1/p" /srv/result >>/out/rates
			[ $name = tcp ] || transfer ${name}_recv --ktls
			[ $name = tcp ] || sed -n "s/.*\"bytes\":\([0-9]*\).*\"seconds\":\([0-9.]*\).*/\1 \2/p" /srv/result |
				awk -v name=${name}_rx '{ print name, $1 / $2 / 1e6 }' >>/out/rates
		done
		echo "round $round of 3"
	done
	ethtool -K sn0 tls-hw-tx-offload on tls-hw-rx-offload on
	# What a hundred rekeys in a second cost, with a send buffer as deep as TCP makes it, and with one that holds little
	# but what is in flight
	for round in 1 2 3; do
		for lowat in 4294967295 16384; do
			name=rekey100
			[ $lowat = 4294967295 ] || name=rekey100_lowat
			sysctl -qw net.ipv4.tcp_notsent_lowat=$lowat
			transfer hw_send "${tls[@]}"
			none=$(sent mb_per_s)
			was=$(tls_stat TlsTxDeviceRecords)
			transfer hw_send "${tls[@]}" --rekeys-per-s 100
			awk -v a="$(sent mb_per_s)" -v b="$none" -v n="$(sent rekeys)" -v t="$(sent seconds)" -v name=$name \
				-v hw=$(($(tls_stat TlsTxDeviceRecords) - was)) -v all=$((mb << 6)) \
				'BEGIN { print name, a / b; print name "_keys", n / t; print name "_hw", hw / all }' >>/out/rates
		done
	done
	# How long it is from one key to the next in the NIC, in round trips of 20 ms and more, and how much software seals
	# meanwhile. The window is small enough for all of it to be in flight soon.
	rmem=$(far sysctl -n net.ipv4.tcp_rmem)
	far sysctl -qw net.ipv4.tcp_rmem='4096 131072 1000000'
	model "wire delay=10000" >/dev/null
	trace=/sys/kernel/tracing
	echo mono >$trace/trace_clock
	echo 8192 >$trace/buffer_size_kb
	echo 'dport == 5000' >$trace/events/tcp/tcp_probe/filter
	for event in tcp/tcp_probe ktls/tls_epoch ktls/tls_engine; do echo 1 >$trace/events/$event/enable; done
	for round in 1 2 3; do
		echo >$trace/trace
		was=$(tls_stat TlsTxSwRecords)
		transfer hw_send "${tls[@]}" --rekey 4M
		awk -v sw=$(($(tls_stat TlsTxSwRecords) - was)) -v queued="$(sent rekey_queued)" \
			'BEGIN { print "rekey_sw_over_inflight", sw * 16406 / queued }' >>/out/rates
		cat $trace/trace >/srv/trace
		# Times in seconds are the field in front of the event's name
		awk 'function us() { for (i = 1; i < NF; i++) if ($(i + 1) ~ /^t(ls|cp)_/) return $i * 1e6 }
			/ tls_epoch: .* tx .* rekey=1/ { from = us() }
			/ tcp_probe: / { rtt = $0; sub(/.* srtt=/, "", rtt) }
			/ tls_engine: .* tx engine: device/ && from { print "rekey_rtts", (us() - from) / (rtt + 0); from = 0 }
			/ tls_engine: .* tx engine: device/ && rtt { print "rekey_rtt_us", rtt + 0 }
			' /srv/trace >>/out/rates
	done
	for event in tcp/tcp_probe ktls/tls_epoch ktls/tls_engine; do echo 0 >$trace/events/$event/enable; done
	model "wire clear" >/dev/null
	far sysctl -qw net.ipv4.tcp_rmem="$rmem"
	sysctl -qw net.ipv4.tcp_notsent_lowat=4294967295
	# What loss costs: how much of the bytes software seals, how many records the NIC opens, and how fast it is beside
	# plain TCP
	for round in 1 2 3; do
		model "wire loss=1 seed=$round" >/dev/null
		transfer tcp_send
		sed -n "s/.*\"mb_per_s\": *\([0-9.]*\).*/loss_tcp \1/p" /srv/result >>/out/rates
		was=$(nic_stat tx_tls_sw_fallback_bytes) sealed=$(nic_stat hw_tls_tx_bytes)
		transfer hw_send "${tls[@]}"
		sed -n "s/.*\"mb_per_s\": *\([0-9.]*\).*/loss_hw \1/p" /srv/result >>/out/rates
		was=$(($(nic_stat tx_tls_sw_fallback_bytes) - was)) sealed=$(($(nic_stat hw_tls_tx_bytes) - sealed))
		awk -v sw=$was -v hw=$sealed 'BEGIN { print "loss_tx_sw_share", sw / (sw + hw) }' >>/out/rates
		was=$(tls_stat TlsRxDeviceRecords)
		transfer hw_recv --ktls
		awk -v n=$(($(tls_stat TlsRxDeviceRecords) - was)) -v all=$((mb << 6)) \
			'BEGIN { print "loss_rx_hw_share", n / all }' >>/out/rates
		model "wire clear" >/dev/null
	done
	# The first round of all pays for the kernel's first look at its AES-GCM.
	"$SEALNIC_REPO/build/tests/tls_adds" 10.0.0.2 5000 200 >/dev/null
	for round in 1 2 3; do
		"$SEALNIC_REPO/build/tests/tls_adds" 10.0.0.2 5000 500 | tee -a /out/adds |
			sed -n 's/.*"adds_per_s": *\([0-9.]*\).*"dels_per_s": *\([0-9.]*\).*/adds \1\ndels \2/p' >>/out/rates
	done
	sed -n 's/.*"bytes_per_connection": *\([0-9.]*\).*/conn_bytes \1/p' /out/adds | tail -n 1 >>/out/rates

	;;
esac
ethtool -S sn0 >/out/sn0.stats
cat /proc/kallsyms >/out/kallsyms
kill $sink
[ -z "$(dmesg | grep -E "$dmesg_reports" | grep -vE "$dmesg_harmless")" ] || die "the kernel complained: $(dmesg | tail -n 40)"
