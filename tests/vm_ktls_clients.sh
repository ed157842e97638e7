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
dir=/tmp/ktls-clients
mkdir -p $dir
cd $dir || exit 1
slow=${slowness:-1}
# The programs' own cryptography is faster without AVX where AVX is emulated
export OPENSSL_ia32cap='~0x1000000000000000'
# As it is said for all programs that use OpenSSL's configuration
cat >ktls.cnf <<CONF
openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
Options = KTLS
CONF
ktls=(env "OPENSSL_CONF=$dir/ktls.cnf")
user=(env OPENSSL_CONF=/dev/null)

installed=(openssl)
# OpenSSL 3.5: the installed one, or Debian 13's with the loader and the libraries that it came with
newer=(openssl)
tree=$SEALNIC_REPO/build/guest-trixie
[ ! -x "$tree/usr/bin/openssl" ] ||
	newer=("$tree/usr/lib64/ld-linux-x86-64.so.2" --library-path "$tree/usr/lib/x86_64-linux-gnu" "$tree/usr/bin/openssl")
version() { "$@" version | sed -n 's/^OpenSSL \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | { read -r a b && echo $((a * 100 + b)); }; }
old_version=$(version "${installed[@]}") new_version=$(version "${newer[@]}")
[ "$new_version" -ge 305 ] || give_up "no OpenSSL 3.5: neither installed nor in build/guest-trixie (run 'make setup')"

load_stock() { # the kernel's own, whatever modprobe would prefer
	insmod "$(find "/lib/modules/$(uname -r)/kernel/net/tls/" -name 'tls.ko*' | head -n 1)"
}
unload() { [ ! -d /sys/module/tls ] || rmmod tls; }

# mark / since NAME: how much a counter grew
declare -A marked
mark() {
	local name value
	while read -r name value; do marked[$name]=$value; done </proc/net/tls_stat
}
since() { echo $(($(tls_stat "$1") - ${marked[$1]:-0})); }

# try NAME COMMAND...: check(), but in this shell, for what starts processes, opens files or waits
try() {
	local name=$1
	shift
	if "$@" 2>err.try; then
		ok "$name"
	else
		not_ok "$name" "$(tail -n 5 err.try err.client err.server 2>/dev/null)"
		return 1
	fi
}

# --- two OpenSSLs that talk ---
#
# What is said to them comes from here by a pipe, line by line; K and k at the beginning are their words for a key update
# with and without asking the other side for one, too.

port=7000
# session SERVER CLIENT OPTIONS...: names of arrays: how to call OpenSSL
session() {
	local -n server=$1 client=$2
	shift 2
	port=$((port + 1)) step=0 client_pid=
	rm -f in.server in.client
	mkfifo in.server in.client
	exec 5<>in.server 6<>in.client
	"${server[@]}" s_server -accept 127.0.0.1:$port -naccept 1 -state -cert cert.pem -key key.pem "$@" \
		<in.server >out.server 2>err.server 5>&- 6>&- &
	server_pid=$!
	rm -f out.client err.client
	wait_for $((20 * slow)) listening || return 1
	"${client[@]}" s_client -connect 127.0.0.1:$port "$@" <in.client >out.client 2>err.client 5>&- 6>&- &
	client_pid=$!
	wait_for $((20 * slow)) arrives '^ *Verify return code' out.client
}
listening() { ss -ltnH "sport = :$port" | grep -q .; }
arrives() { grep -qE "$1" "$2"; }

# told WHO: says to server or client what comes on stdin; not for ever to one that does not listen any more
told() {
	if [ "$1" = client ]; then timeout $((20 * slow)) cat >&6; else timeout $((20 * slow)) cat >&5; fi
}

other() { if [ "$1" = client ]; then echo server; else echo client; fi; }

# passes WHO N [STEP]: N lines of digits, from WHO to the other, and none is missing, double or changed. Their own remarks
# between the lines are removed; but for one they have no digits.
passes() {
	local to
	to=out.$(other "$1")
	step=${3:-$((step + 1))}
	[ -e "text.$2" ] || seq 1000001 $((1000000 + $2)) >"text.$2"
	{ echo "<$step>" && cat "text.$2" && echo "</$step>"; } | told "$1"
	wait_for $((30 * slow)) arrives "^</$step>" "$to" || return 1
	cmp <(sed -n "s/SSL_do_handshake -> 1//; /^<$step>/,/^<\/$step>/{//!p}" "$to" | tr -cd 0-9) <(tr -cd 0-9 <"text.$2")
}
both_ways() { passes client "$1" && passes server "$1"; }

# update WHO K|k: and both sides know
update() {
	local word=KEYUPDATE out=err.client n
	[ "$1" = client ] || word='write server key update' out=err.server
	n=$(grep -c "$word" $out)
	told "$1" <<<"$2"
	wait_for $((10 * slow)) updated "$word" $out "$n"
}
updated() { [ "$(grep -c "$1" "$2")" -gt "$3" ]; }

# ends: the client says goodbye, and both end without complaint
ends() {
	local status=0
	told client <<<Q
	wait_for $((10 * slow)) gone "$client_pid" && wait_for $((10 * slow)) gone "$server_pid" || status=1
	wait "$client_pid" || status=1
	wait "$server_pid" || status=1
	exec 5>&- 6>&-
	return $status
}
gone() { ! kill -0 "$1"; }
abandon() {
	# shellcheck disable=SC2086 # there may be no client yet
	kill $client_pid $server_pid 2>/dev/null
	# shellcheck disable=SC2086
	wait $client_pid $server_pid 2>/dev/null
	exec 5>&- 6>&-
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
	-days 9999 -keyout key.pem -out cert.pem 2>/dev/null || give_up "no certificate"
# shellcheck disable=SC2034 # by name
old_ktls=("${ktls[@]}" "${installed[@]}") new_ktls=("${ktls[@]}" "${newer[@]}") new_user=("${user[@]}" "${newer[@]}")

dmesg_mark

# --- the kernel's own module: the same steps, and they fail ---

check "no other tls.ko is in use" unload
check "the kernel's own module loads" load_stock
mark
try "stock: OpenSSL 3.5 connects" session new_ktls new_ktls -tls1_3
is "$(since TlsTxSw) $(since TlsRxSw)" "2 2" "stock: both directions of both ends are the kernel's"
try "stock: data both ways" both_ways 10
update client k 2>/dev/null
if passes client 1; then
	not_ok "stock: no data after a key update" "the connection lives on: this test proves nothing about ours"
else
	ok "stock: no data after a key update"
fi
check "stock: the connection is dead" wait_for $((10 * slow)) gone "$client_pid"
diag "$(grep -hE 'errno|:error:' err.client out.client | head -n 3)"
abandon
check "the kernel's own module goes" wait_for $((10 * slow)) unload

# --- nginx and curl ---

load_ktls
grep -q '^TlsTxRekeyOk' /proc/net/tls_stat || give_up "this tls.ko is not ours"

mkdir -p www /var/log/nginx /var/lib/nginx
chmod 755 $dir www
head -c 3000001 /dev/urandom >www/file
cat >nginx.conf <<CONF
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/nginx.log;
events { worker_connections 64; }
http {
	access_log off;
	sendfile on;
	ssl_certificate $dir/cert.pem;
	ssl_certificate_key $dir/key.pem;
	ssl_protocols TLSv1.2 TLSv1.3;
	ssl_ciphers ALL;
	ssl_conf_command Options KTLS;
	ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256;
	server { listen 127.0.0.1:4443 ssl; root $dir/www; }
}
CONF
check "nginx starts" nginx -c $dir/nginx.conf

# download NAME AS-SS-SAYS VERSION CURL-OPTIONS...
download() {
	# Older ss know no name for some ciphers, and are silent about them
	local name=$1 want="version: $3( cipher: $2)? rxconf: [a-z]* txconf: sw" curl
	shift 3
	mark
	rm -f got pipe
	mkfifo pipe
	# Nobody reads the pipe yet, so the connection stays for as long as it takes to look at it
	curl -sS --cacert cert.pem "$@" -o pipe https://localhost:4443/file 2>curl.err &
	curl=$!
	if wait_for $((30 * slow)) socket_says "$want"; then
		ok "$name: ss says that the kernel seals"
	else
		not_ok "$name: ss says that the kernel seals" "no '$want' in: $(ss -tien 'sport = :4443' 2>&1)"
	fi
	is "$(tls_stat TlsCurrTxSw)" 1 "$name: TlsCurrTxSw counts the connection"
	timeout $((30 * slow)) cat pipe >got
	if wait $curl && cmp got www/file 2>>curl.err; then
		ok "$name: the file arrives as it is"
	else
		not_ok "$name: the file arrives as it is" "$(cat curl.err); $(stat -c %s got) bytes"
	fi
	is "$(since TlsTxSw)" 1 "$name: TlsTxSw counts it"
	wait_for $((10 * slow)) no_tls_sockets
}
socket_says() { ss -tieH state established 'sport = :4443' 2>/dev/null | grep -qE "$1"; }

download "nginx TLS 1.2 AES128-GCM" aes-gcm-128 1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256
download "nginx TLS 1.2 AES256-GCM" aes-gcm-256 1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES256-GCM-SHA384
download "nginx TLS 1.2 ChaCha20" chacha20-poly1305 1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-CHACHA20-POLY1305
download "nginx TLS 1.2 AES128-CCM" aes-ccm-128 1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-CCM
download "nginx TLS 1.3 AES128-GCM" aes-gcm-128 1.3 --tlsv1.3 --tls13-ciphers TLS_AES_128_GCM_SHA256
download "nginx TLS 1.3 AES256-GCM" aes-gcm-256 1.3 --tlsv1.3 --tls13-ciphers TLS_AES_256_GCM_SHA384
download "nginx TLS 1.3 ChaCha20" chacha20-poly1305 1.3 --tlsv1.3 --tls13-ciphers TLS_CHACHA20_POLY1305_SHA256

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
nginx -c $dir/nginx.conf -s stop
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
