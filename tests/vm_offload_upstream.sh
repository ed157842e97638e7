#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Upstream's tests of kernel TLS over the NIC. They connect to the machine they run on, and so they do here, but by way of
# the wire: connect-elsewhere.c takes them to an address of this machine that the route leads to over sn0, and far sends
# everything back. So the NIC seals and opens for both ends of each connection.
#
# Of the variants, one of each version of TLS; all of them, with those whose ciphers run in software, if UPSTREAM=all
# (vm.sh --append UPSTREAM=all), which takes 10 minutes.
#
# timeout: 400
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-offload.sh"
program=$SEALNIC_REPO/build/tests/upstream_tls

load_ktls
load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
if ! ip rule add pref 100 lookup local 2>/dev/null; then
	skip "upstream" "this kernel has one routing table only"
	unload_driver
	unload_ktls
	finish
fi

# What goes out to this address, or comes from it, goes to far; what comes in is for here
elsewhere=10.9.9.9
ip rule del pref 0
ip rule add pref 10 iif lo to $elsewhere lookup 99
ip rule add pref 11 iif lo from $elsewhere lookup 99
# Who sends waits for the acknowledgment
ip route add default via 10.0.0.2 dev sn0 table 99 quickack 1
ip addr add $elsewhere/32 dev lo
sysctl -qw net.ipv4.conf.sn0.accept_local=1 net.ipv4.conf.{all,sn0}.rp_filter=0
at far sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.{all,sn1}.rp_filter=0 net.ipv4.conf.{all,sn1}.send_redirects=0
far ip route add $elsewhere via 10.0.0.1
# They send half a megabyte before they read: loopback, with its large segments, has room for it
wmem=$(sysctl -n net.ipv4.tcp_wmem) rmem=$(sysctl -n net.ipv4.tcp_rmem)
sysctl -qw net.ipv4.tcp_wmem='4096 2097152 4194304' net.ipv4.tcp_rmem='4096 4194304 6291456'

options=()
if [ "${UPSTREAM:-}" != all ]; then
	for variant in 13_aes_gcm 12_aes_gcm_256 13_nopad 12_chacha 13_chacha 13_sm4_gcm 13_sm4_ccm 12_aes_ccm 13_aes_ccm 12_aria_gcm 12_aria_gcm_256; do
		options+=(-V "$variant")
	done
else
	modprobe -q sm4_generic && grep -q sm4 /proc/crypto || options+=(-V 13_sm4_gcm -V 13_sm4_ccm)
	modprobe -q aria_generic && grep -q aria /proc/crypto || options+=(-V 12_aria_gcm -V 12_aria_gcm_256)
fi

counters_mark near
why_mark
start=$SECONDS
said=
while IFS= read -r line; do
	case $line in
	ok*SKIP*) not_ok "upstream ${line#ok * }" "it was skipped" ;;
	ok*) ok "upstream ${line#ok * }" ;;
	'not ok'*) not_ok "upstream ${line#not ok * }" "$said" ;;
	'#  RUN'*) said= ;;
	'#'*) said+="${said:+$'\n'}$line" ;;
	esac
done < <(LD_PRELOAD=$SEALNIC_REPO/build/tests/connect-elsewhere.so CONNECT_ELSEWHERE=$elsewhere "$program" "${options[@]}" 2>&1)
between "$tap_count" 100 2000 "upstream: so many tests ran"
diag "upstream: $tap_count tests in $((SECONDS - start)) s"

counters_read near
diag "software: $(why)"
diag "the NIC sealed $(grown near hw_tls_tx_bytes) bytes for $(grown near tx_tls_ctx) connections, opened $(grown near hw_tls_rx_bytes)" \
	"for $(grown near rx_tls_ctx), and passed on $(grown near hw_tls_rx_skip_bytes)"
between "$(grown near tx_tls_ctx)" 100 4000 "the NIC sealed for most of the connections"
between "$(grown near rx_tls_ctx)" 100 4000 "the NIC opened for most of the connections"
between "$(grown near hw_tls_tx_bytes)" 50000000 2000000000 "the NIC sealed much"
between "$(grown near hw_tls_rx_bytes)" $(($(grown near hw_tls_tx_bytes) * 8 / 10)) 2000000000 "the NIC opened nearly as much"
is "$(why | grep -oE '[TR]xSw(Feature|Version|TableFull|Refused|Down)')" "" "only for other ciphers, other routes and new keys it did not"
is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
check "no context is left" wait_for 20 contexts_gone
is "$(stat tx_tls_ctx) $(stat rx_tls_ctx)" "$(stat tx_tls_del) $(stat rx_tls_del)" "the driver has let go of all contexts"

sysctl -qw net.ipv4.tcp_wmem="$wmem" net.ipv4.tcp_rmem="$rmem"
ip rule add pref 0 lookup local
for pref in 10 11 100; do ip rule del pref $pref; done
ip addr del $elsewhere/32 dev lo
unload_driver
unload_ktls
finish
