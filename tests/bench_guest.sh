#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guest's part of make bench.  "insns": each transfer between two markers,
# named in /out/runs in the order that they are run.  "rate": transfers and
# context adds by the clock, in /out/rates.  "ktls": what system calls on TLS
# sockets take with the kernel's own tls module, in /out/stock, and with ours, in
# /out/ours; neither NIC nor driver.
set -euo pipefail
# shellcheck source=tests/guest-lib.sh
. "$SEALNIC_REPO/tests/guest-lib.sh"
tool=$SEALNIC_REPO/build/tests/tcp_tool
mb=${BENCH_MB:-64}

die() { echo "bench: $*"; exit 1; }

if [ "$1" = ktls ]; then
	ip link set lo up
	modprobe aesni-intel || die "there is no aesni-intel"
	modprobe tls || die "the kernel has no tls module"
	"$SEALNIC_REPO/build/tests/ktls_cost" >/out/stock || die "ktls_cost fails with the kernel's own module"
	rmmod tls && insmod "$SEALNIC_MODULES/net/tls/tls.ko" || die "tls.ko does not load"
	"$SEALNIC_REPO/build/tests/ktls_cost" >/out/ours || die "ktls_cost fails with our module"
	exit
fi

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
	hw*) ethtool -K sn0 tls-hw-tx-offload on ;;
	sw*) ethtool -K sn0 tls-hw-tx-offload off ;;
	esac
	taskset -c 0 "$tool" send 10.0.0.2 5000 --bytes ${mb}M "$@" >/srv/result || die "$name: $(cat /srv/result)"
}

tls=(--tls 1.2 --cipher aes128)
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
			sw_send ${tls[*]}
			tcp_sendfile --sendfile /srv/file
			hw_sendfile ${tls[*]} --sendfile /srv/file --zerocopy
			hw_sendfile_copy ${tls[*]} --sendfile /srv/file
			sw_sendfile ${tls[*]} --sendfile /srv/file
		RUNS
		echo "round $round of 3"
	done
	;;
rate)
	for round in 1 2 3; do
		for name in tcp hw sw; do
			options=("${tls[@]}")
			[ $name != tcp ] || options=()
			transfer $name "${options[@]}"
			sed -n "s/.*\"mb_per_s\": *\([0-9.]*\).*/$name \1/p" /srv/result >>/out/rates
		done
		echo "round $round of 3"
	done
	ethtool -K sn0 tls-hw-tx-offload on
	# The first round of all pays for the kernel's first look at its AES-GCM.
	"$SEALNIC_REPO/build/tests/tls_adds" 10.0.0.2 5000 200 >/dev/null
	for round in 1 2 3; do
		"$SEALNIC_REPO/build/tests/tls_adds" 10.0.0.2 5000 500 | sed -n 's/.*"adds_per_s": *\([0-9.]*\).*/adds \1/p' >>/out/rates
	done

	;;
esac
ethtool -S sn0 >/out/sn0.stats
cat /proc/kallsyms >/out/kallsyms
kill $sink
[ -z "$(dmesg | grep -E "$dmesg_reports" | grep -vE "$dmesg_harmless")" ] || die "the kernel complained: $(dmesg | tail -n 40)"
