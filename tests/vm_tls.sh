#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# TLS transmit offload under the distribution's tls.ko: the far end opens every
# record in user space and compares every byte.
#
# timeout: 240
. "$(dirname "$0")/guest-lib.sh"
tool=$SEALNIC_REPO/build/tests/tcp_tool
# The opener is faster without AVX where AVX is emulated
export OPENSSL_ia32cap='~0x1000000000000000'

load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"

stat() { ethtool -S sn0 | sed -n "s/^ *$1: //p"; }
tls_stat() { sed -n "s/^$1[[:space:]]\+//p" /proc/net/tls_stat; }

# transfer NAME HOST RECV-OPTIONS -- SEND-OPTIONS: ok when all arrived as sent
transfer() {
	local name=$1 host=$2 recv=() keys=() receiver
	shift 2
	while [ "$1" != -- ]; do
		recv+=("$1" "$2")
		[ "$1" = --file ] || keys+=("$1" "$2")
		shift 2
	done
	shift
	far "$tool" recv 5001 "${recv[@]}" >/tmp/recv.out 2>&1 &
	receiver=$!
	wait_for 5 listening || { not_ok "$name" "the receiver does not listen: $(cat /tmp/recv.out)"; return; }
	if ! "$tool" send "$host" 5001 "${keys[@]}" "$@" >/tmp/send.out 2>&1; then
		kill $receiver 2>/dev/null
		wait $receiver
		not_ok "$name" "send: $(cat /tmp/send.out); recv: $(cat /tmp/recv.out)"
	elif ! wait $receiver; then
		not_ok "$name" "recv: $(cat /tmp/recv.out)"
	else
		ok "$name"
	fi
}
moved() { [ "$(stat hw_tls_tx_bytes)" -gt $(($1 + 100000)) ]; }
no_contexts() { [ "$(stat hw_tls_ctx)" = 0 ]; }
listening() { far ss -ltnH 'sport = :5001' | grep -q .; }

# offloaded NAME COMMAND...: runs it; the bytes have to be sealed by the device
offloaded() {
	local name=$1 nic device fallback
	shift
	# One look at all counters: each costs more than a small transfer
	read -r nic fallback < <(sealed)
	device=$(tls_stat TlsTxDevice)
	"$@"
	read -r nic fallback < <(sealed "$nic" "$fallback")
	is "$fallback" 0 "$name: software sealed nothing"
	between "$nic" 1 100000000000 "$name: the NIC sealed it"
	between "$(($(tls_stat TlsTxDevice) - device))" 1 10000 "$name: the core counts it as offloaded"
}
# sealed [NIC FALLBACK]: bytes sealed by the NIC and by software since then
sealed() {
	ethtool -S sn0 | awk -v nic="${1:-0}" -v fallback="${2:-0}" '
		$1 == "hw_tls_tx_bytes:" { n = $2 - nic }
		$1 == "tx_tls_sw_fallback_bytes:" { f = $2 - fallback }
		END { printf "%.0f %.0f\n", n, f }'
}

is "$(ethtool -k sn0 | sed -n 's/^tls-hw-tx-offload: //p')" on "the offload is on by default"
is "$(ethtool -k sn0 | sed -n 's/^tls-hw-rx-offload: //p')" on "so is that of the other direction"

# More channels than CPUs can be used
channels_are sn0 8 "9 vectors"
check "-L combined 9 is refused" bash -c '! ethtool -L sn0 combined 9 2>/dev/null'
check "-L combined 8" ethtool -L sn0 combined 8
offloaded "8 channels" transfer "16 connections over 8 channels" 10.0.0.2 --tls 1.2 --connections 16 -- --bytes 64K
between "$(ethtool -S sn0 | awk '/^ *tx[2-7]_packets:/ && $2 { n++ } END { print n }')" 3 6 "8 channels: those that no CPU has sent, too"
# What the other channels leave in the device's words is not for a driver that does not use them: see the end
unload_driver
{ load_driver && two_ns; } || give_up "no second time"
loaded=$SECONDS

for cipher in aes128 aes256; do
	for host in 10.0.0.2 fd00::2; do
		for chunk in 1000 16384 65536; do
			offloaded "$cipher to $host in $chunk" transfer "$cipher to $host in chunks of $chunk" $host \
				--tls 1.2 --cipher $cipher --seed $chunk -- --bytes 3M --chunk $chunk
		done
	done
	offloaded "$cipher tiny" transfer "$cipher in chunks of 1 byte" 10.0.0.2 --tls 1.2 --cipher $cipher --seed 1 -- \
		--bytes 2000 --chunk 1
done

head -c 5000001 /dev/urandom >/tmp/file
wire_watch /tmp/file
offloaded "sendfile" transfer "sendfile" 10.0.0.2 --tls 1.2 --cipher aes128 --file /tmp/file -- --sendfile /tmp/file
offloaded "zero-copy sendfile" transfer "zero-copy sendfile" 10.0.0.2 --tls 1.2 --cipher aes256 --file /tmp/file -- \
	--sendfile /tmp/file --zerocopy
nothing_clear "sendfile: nothing in the clear"
offloaded "8 connections" transfer "8 connections at once" 10.0.0.2 --tls 1.2 --connections 8 -- --bytes 1M

ethtool -K sn0 tso off
offloaded "without TSO" transfer "without TSO" 10.0.0.2 --tls 1.2 -- --bytes 2M
offloaded "without TSO, IPv6" transfer "without TSO, IPv6" fd00::2 --tls 1.2 -- --bytes 2M
ethtool -K sn0 tso on
ip link set sn0 mtu 9000 && far ip link set sn1 mtu 9000
offloaded "MTU 9000" transfer "MTU 9000" 10.0.0.2 --tls 1.2 -- --bytes 4M
ip link set sn0 mtu 1280 && far ip link set sn1 mtu 1280
offloaded "MTU 1280" transfer "MTU 1280" fd00::2 --tls 1.2 -- --bytes 2M
ip link set sn0 mtu 1500 && far ip link set sn1 mtu 1500

# What was sent before TLS_TX must pass as it is: nginx's handshake in make demo; here the raw bytes of a plain socket
before=$(stat tx_tls_encrypted_bytes)
transfer "plain TCP beside it" 10.0.0.2 -- --bytes 2M
is "$(stat tx_tls_encrypted_bytes)" "$before" "plain TCP is not sealed"

# The toggle concerns connections to come
ethtool -K sn0 tls-hw-tx-offload off
nic=$(stat hw_tls_tx_bytes) sw=$(tls_stat TlsTxSw)
transfer "with the offload off" 10.0.0.2 --tls 1.2 -- --bytes 2M
is "$(stat hw_tls_tx_bytes)" "$nic" "with the offload off the NIC seals nothing"
between "$(($(tls_stat TlsTxSw) - sw))" 1 10 "with the offload off the core counts software"
ethtool -K sn0 tls-hw-tx-offload on

nic=$(stat hw_tls_tx_bytes)
{ wait_for 20 moved "$nic" && ethtool -K sn0 tls-hw-tx-offload off; } &
toggler=$!
transfer "switched off under way" 10.0.0.2 --tls 1.2 -- --bytes 32M
check "the switch came under way" wait $toggler
between "$(($(stat hw_tls_tx_bytes) - nic))" $((32 << 20)) 100000000000 "a connection that began offloaded stays so"
ethtool -K sn0 tls-hw-tx-offload on

# Reconfiguration under traffic
nic=$(stat hw_tls_tx_bytes)
{ wait_for 20 moved "$nic"; ethtool -G sn0 tx 512 rx 512; ethtool -L sn0 combined 1; ethtool -L sn0 combined 2; ip link set sn0 mtu 2000; ip link set sn0 mtu 1500; } &
reconf=$!
offloaded "rings and channels changed under way" transfer "rings and channels changed under way" 10.0.0.2 --tls 1.2 -- --bytes 48M
wait $reconf

# What the kernel's module cannot give the device must stay in software
transfer "user-space TLS is nobody's business" 10.0.0.2 --tls 1.2 -- --tls-user --bytes 1M

# A cipher that the NIC does not know
nic=$(stat hw_tls_tx_bytes) sw=$(tls_stat TlsTxSw) device=$(tls_stat TlsTxDevice) failed=$(stat tx_tls_add_failed)
for host in 10.0.0.2 fd00::2; do
	transfer "ChaCha20-Poly1305 to $host" $host --tls 1.2 --cipher chacha20 -- --bytes 1M --chunk 30000
done
is "$(($(tls_stat TlsTxSw) - sw)) $(($(tls_stat TlsTxDevice) - device))" "2 0" "ChaCha20-Poly1305: the core has it in software"
is "$(($(stat hw_tls_tx_bytes) - nic)) $(($(stat tx_tls_add_failed) - failed))" "0 0" "ChaCha20-Poly1305: the NIC was not asked, and sealed nothing"

wait_for 10 no_contexts
is "$(stat tx_tls_ctx)" "$(stat tx_tls_del)" "no context is left"
is "$(stat hw_tls_ctx)" 0 "no context is left in the device"
is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
# By now the driver would have taken an idle queue for one that hangs
while [ $((SECONDS - loaded)) -lt 8 ]; do nap 1; done
is "$(stat tx_timeouts) $(stat resets)" "0 0" "no queue hung, the device was not reset"
finish
