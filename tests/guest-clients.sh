# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Programs as they are, for the guest's kTLS tests: two OpenSSLs that talk, nginx and curl. Source guest-lib.sh and
# guest-ktls.sh first. This goes to a directory of its own.

# In front of which command the servers and the clients run: nothing, or one that takes them to a network namespace. And
# where the servers are reached.
server_in=() client_in=() server_host=127.0.0.1

dir=/tmp/tls-clients
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

# How to call which OpenSSL, and who seals and opens
# shellcheck disable=SC2034 # by name
old_ktls=("${ktls[@]}" "${installed[@]}") old_user=("${user[@]}" "${installed[@]}")
# shellcheck disable=SC2034
new_ktls=("${ktls[@]}" "${newer[@]}") new_user=("${user[@]}" "${newer[@]}")

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
	-days 9999 -keyout key.pem -out cert.pem 2>/dev/null || give_up "no certificate"

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
	"${server_in[@]}" "${server[@]}" s_server -accept $server_host:$port -naccept 1 -state -cert cert.pem -key key.pem "$@" \
		<in.server >out.server 2>err.server 5>&- 6>&- &
	server_pid=$!
	rm -f out.client err.client
	wait_for $((20 * slow)) listening || return 1
	"${client_in[@]}" "${client[@]}" s_client -connect $server_host:$port "$@" <in.client >out.client 2>err.client 5>&- 6>&- &
	client_pid=$!
	wait_for $((20 * slow)) arrives '^ *Verify return code' out.client
}
listening() { "${server_in[@]}" ss -ltnH "sport = :$port" | grep -q .; }
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

# --- nginx and curl ---

# nginx_start: with kTLS, at $server_host, port 4443; nginx_stop
nginx_start() {
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
	server { listen $server_host:4443 ssl; root $dir/www; }
}
CONF
	nginx -c $dir/nginx.conf
}
nginx_stop() { nginx -c $dir/nginx.conf -s stop; }

# download NAME Sw|Device AS-SS-SAYS VERSION CURL-OPTIONS...: of the 3,000,001 bytes of www/file
download() {
	# Older ss know no name for some ciphers, and are silent about them
	local name=$1 engine=$2 conf=sw want curl
	[ "$engine" = Sw ] || conf=hw
	want="version: $4( cipher: $3)? rxconf: [a-z]* txconf: $conf"
	shift 4
	mark
	rm -f got pipe
	mkfifo pipe
	# Nobody reads the pipe yet, so the connection stays for as long as it takes to look at it
	"${client_in[@]}" curl -sS --cacert cert.pem --resolve "localhost:4443:$server_host" "$@" -o pipe https://localhost:4443/file 2>curl.err &
	curl=$!
	if wait_for $((30 * slow)) socket_says "$want"; then
		ok "$name: ss says who seals"
	else
		not_ok "$name: ss says who seals" "no '$want' in: $(ss -tien 'sport = :4443' 2>&1)"
	fi
	is "$(tls_stat TlsCurrTx"$engine")" 1 "$name: TlsCurrTx$engine counts the connection"
	timeout $((30 * slow)) cat pipe >got
	if wait $curl && cmp got www/file 2>>curl.err; then
		ok "$name: the file arrives as it is"
	else
		not_ok "$name: the file arrives as it is" "$(cat curl.err); $(wc -c <got) bytes"
	fi
	is "$(since TlsTx"$engine")" 1 "$name: TlsTx$engine counts it"
	wait_for $((10 * slow)) no_tls_sockets
}
socket_says() { ss -tieH state established 'sport = :4443' 2>/dev/null | grep -qE "$1"; }
