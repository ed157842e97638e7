#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Programs as they are, on top of our tls.ko and the NIC: nginx, the installed OpenSSL and OpenSSL 3.5 here use kTLS, and
# curl and OpenSSL at the far end do not. The NIC seals and opens for them, with each key that a KeyUpdate brings, too; after
# the interface was down, software goes on, and nobody notices but the counters.
#
# timeout: 600
set -u
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-offload.sh"
. "$(dirname "$0")/guest-clients.sh"

load_ktls
load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"
there=(nsenter --net=/run/netns/far)

# grew COUNTER BYTES NAME: since counters_mark, by the bytes and some for what is not data
grew() {
	counters_read near
	between "$(grown near "$1")" "$2" $(($2 * 12 / 10 + 5000)) "$3"
}
engine() { # engine NAME TX RX: hw or sw
	is "$(confs)" "rx $3 1,tx $2 1" "$1: ss says so"
}

# --- nginx ---

client_in=("${there[@]}") server_host=10.0.0.1
check "nginx starts" nginx_start
# fetch NAME CIPHER-AS-SS-SAYS VERSION CURL-OPTIONS...: a download that the NIC seals
fetch() {
	counters_mark near
	wire_watch www/file
	download "$1" Device "${@:2}"
	grew hw_tls_tx_bytes 3000001 "$1: the NIC sealed all of it"
	nothing_clear "$1: nothing in the clear"
}
fetch "nginx TLS 1.2 AES128-GCM" aes-gcm-128 1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256
fetch "nginx TLS 1.2 AES256-GCM" aes-gcm-256 1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES256-GCM-SHA384
fetch "nginx TLS 1.3 AES128-GCM" aes-gcm-128 1.3 --tlsv1.3 --tls13-ciphers TLS_AES_128_GCM_SHA256
fetch "nginx TLS 1.3 AES256-GCM" aes-gcm-256 1.3 --tlsv1.3 --tls13-ciphers TLS_AES_256_GCM_SHA384
why_mark
download "nginx TLS 1.3 ChaCha20" Sw chacha20-poly1305 1.3 --tlsv1.3 --tls13-ciphers TLS_CHACHA20_POLY1305_SHA256
is "$(why | grep -o 'TxSw[A-Z][a-z]* .')" "TxSwCipher 1" "nginx TLS 1.3 ChaCha20: the core says why it is software's"
nginx_stop
check "nginx: no connection is left" wait_for $((20 * slow)) no_tls_sockets

# --- OpenSSL: kTLS here, in user space there ---

# who NAME: where each of them is, here being server or client
here_is() {
	here=$1 far=$(other "$1")
	if [ "$1" = server ]; then
		server_in=() client_in=("${there[@]}") server_host=10.0.0.1
	else
		server_in=("${there[@]}") client_in=() server_host=10.0.0.2
	fi
}
# talk OLD|NEW OPTIONS...: the one here with kTLS
talk() {
	local ktls=$1_ktls user=$1_user
	shift
	if [ "$here" = server ]; then session "$ktls" "$user" "$@"; else session "$user" "$ktls" "$@"; fi
}

for suite in "1.2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256" "1.2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384" \
	"1.3 -ciphersuites TLS_AES_128_GCM_SHA256" "1.3 -ciphersuites TLS_AES_256_GCM_SHA384"; do
	read -r tls option cipher <<<"$suite"
	for who in server client; do
		here_is $who
		which=old
		# OpenSSL before 3.2 leaves receiving in TLS 1.3 to itself
		[ "$tls" = 1.2 ] || which=new
		name="$which OpenSSL as $who, TLS $tls, $cipher"
		counters_mark near
		try "$name: connects" talk $which "-tls${tls/./_}" "$option" "$cipher" || { abandon; continue; }
		engine "$name" hw hw
		# 8 bytes each
		try "$name: data from here" passes "$here" 5000
		grew hw_tls_tx_bytes 40000 "$name: the NIC sealed it"
		try "$name: data from there" passes "$far" 5000
		counters_read near
		# It begins in a gap: the last message of the handshake had arrived before the key came
		between "$(grown near hw_tls_rx_bytes)" 5000 53000 "$name: the NIC opened some of it at least"
		try "$name: ends well" ends
	done
done

# --- KeyUpdate ---

# has_again TX RX: so it is in the end
has_again() { [ "$(confs)" = "rx $2 1,tx $1 1" ]; }
# authentic NAME: neither end found a record bad
authentic() {
	is "$(grep -hcE 'bad record mac|decryption failed' err.client err.server | paste -sd +)" 0+0 "$1: every record is authentic"
}

# What is on its way is less than what passes below
sysctl -qw net.ipv4.tcp_rmem='4096 131072 262144'
at far sysctl -qw net.ipv4.tcp_rmem='4096 131072 262144'

# A direction whose key changes is software's, until nothing of the old key is on its way
for who in server client; do
	here_is $who
	name="key update, OpenSSL 3.5 as $who"
	try "$name: connects" talk new -tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256 || { abandon; continue; }
	try "$name: data both ways" both_ways 2000
	why_mark
	mark
	engine "$name: before" hw hw
	update "$here" k || not_ok "$name: by this end"
	check "$name: the NIC gets our next key" wait_for $((20 * slow)) has_again hw hw
	is "$(since TlsTxRekeyOk) $(why)" "1 TxSwRekey 1" "$name: the core says why it was software's meanwhile"
	counters_mark near
	try "$name: data from here after ours" passes "$here" 5000
	grew hw_tls_tx_bytes 40000 "$name: the NIC seals all of it"
	update "$far" k || not_ok "$name: by the far end"
	# All that the far end may have sent by now, going by its window, has to be read
	try "$name: data from there after theirs" passes "$far" 40000
	check "$name: the NIC has their next key" has_again hw hw
	is "$(since TlsRxRekeyOk) $(why)" "1 TxSwRekey 1 RxSwRekey 1" "$name: the core says why that was software's, too"
	counters_mark near
	try "$name: more data from there" passes "$far" 5000
	counters_read near
	between "$(grown near hw_tls_rx_bytes)" 20000 53000 "$name: the NIC opens it"
	for key in K k K; do
		update "$here" $key && both_ways 500 && update "$far" $key && both_ways 500 || not_ok "$name: more of them"
	done
	is "$(since TlsTxRekeyError) $(since TlsRxRekeyError) $(since TlsDecryptError)" "0 0 0" "$name: no error is counted"
	authentic "$name"
	try "$name: ends well" ends

	# In the middle of much data: what the NIC has opened with the old key, and what is on its way sealed by it
	for way in $here $far; do
		name="key update under a transfer from the $way, OpenSSL 3.5 as $who"
		try "$name: connects" talk new -tls1_3 || { abandon; continue; }
		mark
		passes "$way" 300000 1000 &
		transfer=$!
		updates=0
		while kill -0 $transfer 2>/dev/null && [ $updates -lt 15 ]; do
			# K of the receiver has the sender change its key
			update "$(other "$way")" K || break
			updates=$((updates + 1))
		done
		between $updates 2 15 "$name: some"
		try "$name: nothing is lost" wait $transfer
		step=1001
		try "$name: data both ways after it" passes "$here" 500
		try "$name: and from there" passes "$far" 40000
		check "$name: the NIC has both directions again" wait_for $((20 * slow)) has_again hw hw
		is "$(since TlsRxRekeyOk)" "$(since TlsRxRekeyReceived)" "$name: every KeyUpdate was followed by its key"
		between "$(since TlsTxRekeyOk)" 1 $((updates + 1)) "$name: this end has changed its own, too"
		is "$(since TlsDecryptError) $(since TlsTxFallbackDrop)" "0 0" "$name: no error is counted"
		authentic "$name"
		try "$name: ends well" ends
	done
done

# kTLS at both ends, and a NIC
here_is server
name="key updates, kTLS and the NIC at both ends"
if try "$name: connects" session new_ktls new_ktls -tls1_3; then
	# Of the handshake and its tickets nothing is left then
	try "$name: data both ways" both_ways 100
	mark
	counters_mark far
	passes server 300000 1000 &
	transfer=$!
	updates=0
	while kill -0 $transfer 2>/dev/null && [ $updates -lt 15 ]; do
		# Both keys each time
		update client K || break
		updates=$((updates + 1))
	done
	between $updates 2 15 "$name: some"
	try "$name: nothing is lost" wait $transfer
	step=1001
	try "$name: data from the client" passes client 40000
	try "$name: data from the server" passes server 40000
	check "$name: the NIC has both directions again" wait_for $((20 * slow)) has_again hw hw
	counters_read far
	is "$(since TlsTxRekeyOk) $(since TlsRxRekeyOk)" "$(grown far TlsRxRekeyOk) $(grown far TlsTxRekeyOk)" \
		"$name: each key to send with is one to receive with"
	is "$(since TlsTxRekeyError) $(since TlsRxRekeyError) $(since TlsDecryptError) $(grown far TlsDecryptError)" "0 0 0 0" \
		"$name: no error is counted"
	is "$(($(since TlsTxDeviceRecords) + $(since TlsTxSwRecords)))" \
		"$(($(grown far TlsRxDeviceRecords) + $(grown far TlsRxSwRecords)))" "$name: each record is sealed once and opened once"
	diag "$name: $updates, $(since TlsTxRekeyOk) keys; the NICs sealed $(since TlsTxDeviceRecords)" \
		"and opened $(grown far TlsRxDeviceRecords) of $(($(since TlsTxDeviceRecords) + $(since TlsTxSwRecords))) records"
	try "$name: ends well" ends
else
	abandon
fi

# --- the interface goes down: one socket, both directions ---

has_link() { has_carrier '' sn0 && has_carrier far sn1; }
for who in server client; do
	here_is $who
	name="down, OpenSSL 3.5 as $who"
	try "$name: connects" talk new -tls1_3 || { abandon; continue; }
	try "$name: data both ways" both_ways 2000
	why_mark
	ip link set sn0 down
	engine "$name" sw sw
	ip link set sn0 up
	wait_for 20 has_link
	try "$name: data both ways after it" both_ways 2000
	update "$here" K && update "$far" K || not_ok "$name: key updates"
	try "$name: and after key updates" both_ways 2000
	is "$(why)" "TxSwDown 1 RxSwDown 1" "$name: the first reason counts"
	try "$name: ends well" ends
done

is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
check "no context is left" wait_for 20 contexts_gone
is "$(stat tx_tls_ctx) $(stat rx_tls_ctx)" "$(stat tx_tls_del) $(stat rx_tls_del)" "the driver has let go of all contexts"
unload_driver
unload_ktls
finish
