#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guest's part of make demo: nginx at 10.0.0.1 behind the sealnic, curl at
# the far end, which downloads and uploads.  The NIC opens an upload of TLS 1.2
# for nginx; its OpenSSL 3.0 leaves receiving TLS 1.3 to no kernel, so what the
# far end sends there goes to Debian 13's OpenSSL.  That also sends a file
# whose receiver asks for new keys in the middle of it.  Leaves one file of
# name=value lines a transfer in /out.
set -euo pipefail
# shellcheck source=tests/guest-lib.sh
. "$SEALNIC_REPO/tests/guest-lib.sh"
dir=$1

die() { echo "demo: $*"; exit 1; }

modprobe -q -a aesni-intel ghash-clmulni-intel gcm
insmod "$SEALNIC_MODULES/net/tls/tls.ko" || die "tls.ko does not load"
load_driver || die "sealnic.ko does not load"
two_ns || die "the two NICs do not come up"
cpu_per_side
for way in tx rx; do
	ethtool -k sn0 | grep -q "^tls-hw-$way-offload: on" || die "the NIC does not offer TLS offload ($way)"
done

# Without KVM, AES-GCM by AVX is twice as slow as without: spare curl that.
export OPENSSL_ia32cap='~0x1000000000000000'

mkdir -p /srv/www/up /var/log/nginx /var/lib/nginx
chmod 777 /srv/www/up
cp "$dir/file" /srv/www/file
cat >/srv/nginx.conf <<CONF
worker_processes 1;
pid /srv/nginx.pid;
error_log /srv/nginx.log;
events { worker_connections 64; }
http {
	access_log off;
	sendfile on;
	ssl_certificate $dir/cert.pem;
	ssl_certificate_key $dir/key.pem;
	ssl_protocols TLSv1.2 TLSv1.3;
	ssl_conf_command Options KTLS;
	client_max_body_size 0;
	server {
		listen 10.0.0.1:80; listen 10.0.0.1:443 ssl; root /srv/www;
		location /up/ { dav_methods PUT; client_body_temp_path /srv/www/up; }
	}
}
CONF
taskset -c 0 nginx -c /srv/nginx.conf || die "nginx does not start: $(cat /srv/nginx.log)"

stat() { ethtool -S sn0 | sed -n "s/^ *$1: //p"; }
tls_stat() { sed -n "s/^$1[[:space:]]\+//p" /proc/net/tls_stat; }
# Seconds that both CPUs were busy: user, nice, system, irq, softirq
busy() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 }' /proc/stat; }

openssl3=(openssl)
tree=$SEALNIC_REPO/build/guest-trixie
[ ! -x "$tree/usr/bin/openssl" ] ||
	openssl3=("$tree/usr/lib64/ld-linux-x86-64.so.2" --library-path "$tree/usr/lib/x86_64-linux-gnu" "$tree/usr/bin/openssl")
printf 'openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nOptions = KTLS\n' >/srv/ktls.cnf

# run NAME WAY COMMAND...: the command prints bytes and seconds, and leaves in /srv/got what arrived
run() {
	local name=$1 way=$2 bytes records cpu size time
	shift 2
	model "pcap start $dir/$name.pcap"
	bytes=$(stat hw_tls_${way}_bytes) records=$(stat hw_tls_${way}_records) cpu=$(busy)
	"$@" >/srv/time || die "$name: failed"
	cpu=$(($(busy) - cpu))
	model "pcap stop"
	read -r size time </srv/time
	{
		echo "bytes=$size"
		# What arrived; to copy it to the host takes three times as long
		echo "sha256=$(sha256sum </srv/got | cut -d ' ' -f 1)"
		echo "nic_bytes=$(($(stat hw_tls_${way}_bytes) - bytes))"
		echo "nic_records=$(($(stat hw_tls_${way}_records) - records))"
		awk -v n="$size" -v t="$time" -v c="$cpu" -v hz="$(getconf CLK_TCK)" \
			'BEGIN { printf "mb_per_s=%.1f\ncpu_s=%.2f\n", n / t / 1e6, c / hz }'
	} >"/out/$name.run"
}

far_curl() { far taskset -c 1 curl -sS --cacert "$dir/cert.pem" "$@"; }
download() { # download URL CURL-OPTIONS...
	local url=$1
	shift
	far_curl "$@" -o /srv/got -w '%{size_download} %{time_total}\n' "$url"
}

upload() { # upload CURL-OPTIONS...
	rm -f /srv/www/up/file
	far_curl "$@" -T /srv/www/file -w '%{size_upload} %{time_total}\n' -o /dev/null https://10.0.0.1/up/file &&
		mv /srv/www/up/file /srv/got
}

# To OpenSSL 3.5 behind the NIC, from one at the far end that seals by itself
fetched() { # fetched CIPHERSUITE
	local begin server
	(cd /srv/www && exec ip netns exec far taskset -c 1 openssl s_server -accept 444 -naccept 1 -WWW -quiet -tls1_3 -ciphersuites "$1" \
		-cert "$dir/cert.pem" -key "$dir/key.pem") >/srv/s_server.log 2>&1 </dev/null &
	server=$!
	wait_for 10 listens_444 || return 1
	begin=$(date +%s.%N)
	printf 'GET /file HTTP/1.0\r\n\r\n' | OPENSSL_CONF=/srv/ktls.cnf taskset -c 0 "${openssl3[@]}" s_client -connect 10.0.0.2:444 \
		-quiet -tls1_3 2>/srv/s_client.log | tail -c "$(stat_size /srv/www/file)" >/srv/got
	wait $server || :
	awk -v n="$(stat_size /srv/got)" -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { print n, b - a }'
}
listens_444() { far ss -ltnH 'sport = :444' | grep -q .; }
stat_size() { command stat -c %s "$1"; }

# OpenSSL 3.5 at both ends, with kTLS and the NIC here, and in user space there.  The far end asks for a new key each time
# that a part of the file is there: K is s_client's word for it.  s_server has words of its own, a c at the end of a line
# among them, so the file comes in hexadecimal with x for c.
rekeys=4
rekeyed() {
	local begin server client part size parts=$((rekeys + 1)) nic sw ok
	size=$(stat_size "$dir/file.hex")
	rm -f /srv/in.server /srv/in.client && mkfifo /srv/in.server /srv/in.client && exec 5<>/srv/in.server 6<>/srv/in.client
	OPENSSL_CONF=/srv/ktls.cnf taskset -c 0 "${openssl3[@]}" s_server -accept 10.0.0.1:445 -naccept 1 -tls1_3 -ciphersuites "$1" \
		-cert "$dir/cert.pem" -key "$dir/key.pem" <&5 >/srv/s_server.log 2>&1 &
	server=$!
	wait_for 20 listens_445 || return 1
	OPENSSL_CONF=/dev/null far taskset -c 1 "${openssl3[@]}" s_client -connect 10.0.0.1:445 -tls1_3 <&6 >/srv/out.client 2>/srv/s_client.log &
	client=$!
	wait_for 20 grep -q 'Verify return code' /srv/out.client || return 1
	begin=$(date +%s.%N) nic=$(stat hw_tls_tx_records) sw=$(tls_stat TlsTxSwRecords) ok=$(tls_stat TlsTxRekeyOk)
	echo '<file>' >&5
	for ((part = 0; part < parts; part++)); do
		if [ $part -gt 0 ]; then
			[ $part -gt 1 ] || echo "nic_records_before=$(($(stat hw_tls_tx_records) - nic))" >/srv/rekeys
			echo K >&6
		fi
		# Whole lines
		tail -c +$((part * (size / 33 / parts) * 33 + 1)) "$dir/file.hex" |
			if [ $((part + 1)) = $parts ]; then cat; else head -c $((size / 33 / parts * 33)); fi >&5
		wait_for 20 keys_changed $((ok + part)) || return 1
	done
	echo '</file>' >&5
	wait_for 60 grep -q '^</file>' /srv/out.client || return 1
	awk -v n="$size" -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { print n, b - a }'
	{
		echo "rekeys=$(($(tls_stat TlsTxRekeyOk) - ok))"
		echo "nic_records_all=$(($(stat hw_tls_tx_records) - nic))"
		echo "sw_records=$(($(tls_stat TlsTxSwRecords) - sw))"
	} >>/srv/rekeys
	echo Q >&6
	wait $client && wait $server || return 1
	exec 5>&- 6>&-
	sed -n '/^<file>/,/^<\/file>/{//!p}' /srv/out.client >/srv/got
}
listens_445() { ss -ltnH 'sport = :445' | grep -q .; }
keys_changed() { [ "$(tls_stat TlsTxRekeyOk)" -ge "$1" ]; }

# The first connections of each kind wait for the kernel to load its AES-GCM.
for offload in off on; do
	ethtool -K sn0 tls-hw-tx-offload $offload tls-hw-rx-offload $offload
	far_curl -r 0-99 -o /dev/null https://10.0.0.1/file || die "no TLS at all"
done

declare -A v12=([128]=ECDHE-ECDSA-AES128-GCM-SHA256 [256]=ECDHE-ECDSA-AES256-GCM-SHA384)
declare -A v13=([128]=TLS_AES_128_GCM_SHA256 [256]=TLS_AES_256_GCM_SHA384)
echo "plain HTTP"
run plain tx download http://10.0.0.1/file
for offload in on off; do
	ethtool -K sn0 tls-hw-tx-offload $offload tls-hw-rx-offload $offload
	for bits in 128 256; do
		echo "sending, AES$bits-GCM, offload $offload"
		run tx-1.2-$bits-$offload tx download https://10.0.0.1/file --tls-max 1.2 --ciphers "${v12[$bits]}"
		[ $bits-$offload = 256-off ] ||
			run tx-1.3-$bits-$offload tx download https://10.0.0.1/file --tlsv1.3 --tls13-ciphers "${v13[$bits]}"
	done
	echo "receiving, offload $offload"
	[ $offload = off ] || run rx-1.2-128-$offload rx upload --tls-max 1.2 --ciphers "${v12[128]}"
	run rx-1.3-128-$offload rx fetched "${v13[128]}"
	[ $offload = off ] || { echo "rekeys" && run rekey-1.3-128-on tx rekeyed "${v13[128]}" && cat /srv/rekeys >>/out/rekey-1.3-128-on.run; }
done
[ -z "$(dmesg | grep -E "$dmesg_reports" | grep -vE "$dmesg_harmless")" ] || die "the kernel complained: $(dmesg | tail -n 40)"
