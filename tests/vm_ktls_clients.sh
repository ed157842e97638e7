#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Programs as they are, on top of our tls.ko: nginx and curl, the installed OpenSSL, and OpenSSL 3.5, which hands the
# kernel a new key with every KeyUpdate. The kernel's own module refuses that key, and the connection dies of it: shown
# first, so that the same test is known to be able to fail.
#
# vm: --no-nic
# timeout: 500
set -u
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-clients.sh"

load_stock() { # the kernel's own, whatever modprobe would prefer
	insmod "$(find "/lib/modules/$(uname -r)/kernel/net/tls/" -name 'tls.ko*' | head -n 1)"
}
unload() { [ ! -d /sys/module/tls ] || rmmod tls; }

dmesg_mark

# --- the kernel's own module: the same steps, and they fail ---

check "no other tls.ko is in use" unload
check "the kernel's own module loads" load_stock
mark
try "stock: OpenSSL 3.5 connects" session new_ktls new_ktls -tls1_3
is "$(since TlsTxSw) $(since TlsRxSw)" "2 2" "stock: both directions of both ends are the kernel's"
try "stock: data both ways" both_ways 10
update client k 2>/dev/null
echo "behind it" | told client 2>/dev/null
check "stock: after a key update the connection is dead" wait_for $((30 * slow)) gone "$client_pid"
if arrives '^behind it' out.server; then
	not_ok "stock: no data after a key update" "the connection lives on: this test proves nothing about ours"
else
	ok "stock: no data after a key update"
fi
diag "$(grep -hE 'errno|:error:' err.client out.client | head -n 3)"
abandon
check "the kernel's own module goes" wait_for $((10 * slow)) unload

# --- nginx and curl ---

load_ktls
grep -q '^TlsTxRekeyOk' /proc/net/tls_stat || give_up "this tls.ko is not ours"

check "nginx starts" nginx_start

download "nginx TLS 1.2 AES128-GCM" Sw aes-gcm-128 1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256
download "nginx TLS 1.2 AES256-GCM" Sw aes-gcm-256 1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES256-GCM-SHA384
download "nginx TLS 1.2 ChaCha20" Sw chacha20-poly1305 1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-CHACHA20-POLY1305
download "nginx TLS 1.2 AES128-CCM" Sw aes-ccm-128 1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-CCM
download "nginx TLS 1.3 AES128-GCM" Sw aes-gcm-128 1.3 --tlsv1.3 --tls13-ciphers TLS_AES_128_GCM_SHA256
download "nginx TLS 1.3 AES256-GCM" Sw aes-gcm-256 1.3 --tlsv1.3 --tls13-ciphers TLS_AES_256_GCM_SHA384
download "nginx TLS 1.3 ChaCha20" Sw chacha20-poly1305 1.3 --tlsv1.3 --tls13-ciphers TLS_CHACHA20_POLY1305_SHA256

# Several at once, and one connection for many requests
mark
pids=()
for i in 1 2 3 4; do
	curl -sS --cacert cert.pem --tlsv1.3 -o "got$i" https://localhost:4443/file -o "more$i" https://localhost:4443/file &
	pids+=($!)
done
try "nginx: four clients at once, two requests each" wait "${pids[@]}"
is "$(sha256sum got? more? | cut -d ' ' -f 1 | sort -u)" "$(sha256sum <www/file | cut -d ' ' -f 1)" "nginx: all eight files are right"
is "$(since TlsTxSw)" 4 "nginx: four connections"
nginx_stop
check "nginx: no connection is left" wait_for $((20 * slow)) no_tls_sockets

# --- the installed OpenSSL ---

# OpenSSL before 3.2 leaves receiving in TLS 1.3 to itself
rx13=2
[ "$old_version" -ge 302 ] || rx13=0
for suite in "1.2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256" "1.2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384" \
	"1.2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305" "1.3 -ciphersuites TLS_AES_128_GCM_SHA256" \
	"1.3 -ciphersuites TLS_AES_256_GCM_SHA384" "1.3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256"; do
	read -r tls option cipher <<<"$suite"
	name="installed OpenSSL, TLS $tls, $cipher"
	rx=2
	[ "$tls" = 1.2 ] || rx=$rx13
	mark
	try "$name: connects" session old_ktls old_ktls "-tls${tls/./_}" "$option" "$cipher" || { abandon; continue; }
	try "$name: data both ways" both_ways 5000
	try "$name: ends well" ends
	is "$(since TlsTxSw) $(since TlsRxSw)" "2 $rx" "$name: the kernel sealed and opened"
done

# --- OpenSSL 3.5: KeyUpdate ---

for cipher in TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256; do
	name="OpenSSL 3.5, $cipher"
	mark
	try "$name: connects" session new_ktls new_ktls -tls1_3 -ciphersuites $cipher || { abandon; continue; }
	is "$(since TlsTxSw) $(since TlsRxSw)" "2 2" "$name: both directions of both ends are the kernel's"
	try "$name: data both ways" both_ways 5000
	good=y
	rounds=1
	[ $cipher != TLS_AES_128_GCM_SHA256 ] || rounds=3
	for ((round = 0; round < rounds; round++)); do
		for who in client server; do
			for key in k K; do
				# K makes two epochs, one a direction; the answer comes with the other's next data
				update $who $key && both_ways 500 && continue
				good=
				not_ok "$name: key update $key by the $who, round $round" "$(tail -n 5 err.client err.server)"
				break 3
			done
		done
	done
	[ -z "$good" ] || ok "$name: $((4 * rounds)) key updates, data both ways after each"
	n=$((6 * rounds))
	is "$(since TlsTxRekeyOk) $(since TlsRxRekeyOk) $(since TlsRxRekeyReceived)" "$n $n $n" "$name: the counters know all $n epochs"
	is "$(since TlsTxRekeyError) $(since TlsRxRekeyError) $(since TlsDecryptError)" "0 0 0" "$name: no error is counted"
	try "$name: much data after them" both_ways 30000
	try "$name: ends well" ends
done

name="key updates under a transfer"
try "$name: connects" session new_ktls new_ktls -tls1_3
mark
passes server 400000 1000 &
transfer=$!
updates=0
while kill -0 $transfer 2>/dev/null && [ $updates -lt 30 ]; do
	update client K || break
	updates=$((updates + 1))
done
between $updates 3 30 "$name: the client asks for some"
try "$name: nothing is lost" wait $transfer
try "$name: data both ways after it" both_ways 500
is "$(since TlsRxRekeyOk)" "$(since TlsRxRekeyReceived)" "$name: every KeyUpdate was followed by its key"
is "$(since TlsTxRekeyOk)" "$(since TlsRxRekeyOk)" "$name: as many keys to send with as to receive with"
try "$name: ends well" ends

# Against a record layer in user space: both have to understand the same by a key update
for pair in "new_ktls new_user" "new_user new_ktls"; do
	read -r server client <<<"$pair"
	name="server ${server#new_}, client ${client#new_}"
	mark
	try "$name: connects" session "$server" "$client" -tls1_3 || { abandon; continue; }
	is "$(since TlsTxSw) $(since TlsRxSw)" "1 1" "$name: one end is the kernel's"
	try "$name: data both ways" both_ways 5000
	for key in k K; do
		for who in client server; do
			try "$name: key update $key by the $who" update $who $key
			try "$name: data both ways" both_ways 1000
		done
	done
	is "$(since TlsTxRekeyOk) $(since TlsRxRekeyOk)" "3 3" "$name: the kernel's end had three new keys each way"
	try "$name: ends well" ends
done

# --- the example in the documentation ---

# All the blocks of C in it, one after the other, are one program
name="the example of Documentation/ktls.rst"
awk '/^\.\. code-block:: / { c = $3 == "c"; next } /^[^ ]/ { c = 0 } c { sub(/^  /, ""); print }' \
	"$SEALNIC_REPO/Documentation/ktls.rst" >example.c
check "$name compiles" cc -O1 -Wall -Wextra -Werror -o example example.c -lcrypto
mark
is "$(timeout $((30 * slow)) ./example 2>&1 | tr '\n' ' ')" "epoch 0: pong epoch 1: pong epoch 2: pong " "$name runs"
is "$(since TlsTxRekeyOk) $(since TlsRxRekeyOk) $(since TlsRxRekeyReceived)" "5 4 4" "$name changes keys"

unload_ktls
dmesg_clean "no report in dmesg"
finish
