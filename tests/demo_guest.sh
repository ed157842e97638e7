#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The guest's part of make demo: nginx at 10.0.0.1 behind the sealnic, curl at
# the far end.  Leaves one file of name=value lines a download in /out.
set -euo pipefail
# shellcheck source=tests/guest-lib.sh
. "$SEALNIC_REPO/tests/guest-lib.sh"
dir=$1

die() { echo "demo: $*"; exit 1; }

load_driver || die "sealnic.ko does not load"
two_ns || die "the two NICs do not come up"
cpu_per_side
ethtool -k sn0 | grep -q '^tls-hw-tx-offload: on' || die "the NIC does not offer TLS offload"

# Without KVM, AES-GCM by AVX is twice as slow as without: spare curl that.
export OPENSSL_ia32cap='~0x1000000000000000'

mkdir -p /srv/www /var/log/nginx /var/lib/nginx
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
	ssl_protocols TLSv1.2;
	ssl_conf_command Options KTLS;
	server { listen 10.0.0.1:80; listen 10.0.0.1:443 ssl; root /srv/www; }
}
CONF
taskset -c 0 nginx -c /srv/nginx.conf || die "nginx does not start: $(cat /srv/nginx.log)"

stat() { ethtool -S sn0 | sed -n "s/^ *$1: //p"; }
tls_stat() { sed -n "s/^$1[[:space:]]*//p" /proc/net/tls_stat; }
# Seconds that both CPUs were busy: user, nice, system, irq, softirq
busy() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 }' /proc/stat; }

download() { # download NAME URL CURL-OPTIONS...
	local name=$1 url=$2 bytes records cpu size time device
	shift 2
	model "pcap start $dir/$name.pcap"
	bytes=$(stat hw_tls_tx_bytes) records=$(stat hw_tls_tx_records) cpu=$(busy) device=$(tls_stat TlsTxDevice)
	far taskset -c 1 curl -sS --cacert "$dir/cert.pem" "$@" -o /srv/got -w '%{size_download} %{time_total}\n' "$url" >/srv/time ||
		die "$name: curl failed"
	cpu=$(($(busy) - cpu))
	model "pcap stop"
	read -r size time </srv/time
	# The host judges what arrived.
	cp /srv/got "/out/$name.file"
	{
		echo "bytes=$size"
		echo "nic_bytes=$(($(stat hw_tls_tx_bytes) - bytes))"
		echo "nic_records=$(($(stat hw_tls_tx_records) - records))"
		echo "device_sockets=$(($(tls_stat TlsTxDevice) - device))"
		awk -v n="$size" -v t="$time" -v c="$cpu" -v hz="$(getconf CLK_TCK)" \
			'BEGIN { printf "mb_per_s=%.1f\ncpu_s=%.2f\n", n / t / 1e6, c / hz }'
	} >"/out/$name.run"
}

# The first connections of each kind wait for the kernel to load its AES-GCM.
for offload in off on; do
	ethtool -K sn0 tls-hw-tx-offload $offload
	far curl -sS --cacert "$dir/cert.pem" --tls-max 1.2 -r 0-99 -o /dev/null https://10.0.0.1/file || die "no TLS at all"
done

echo "plain HTTP"
download plain http://10.0.0.1/file
for offload in on off; do
	ethtool -K sn0 tls-hw-tx-offload $offload
	for bits in 128 256; do
		echo "AES$bits-GCM, offload $offload"
		download $bits-$offload https://10.0.0.1/file --tls-max 1.2 --ciphers "ECDHE-ECDSA-AES$bits-GCM-SHA$((bits == 128 ? 256 : 384))"
	done
done
[ -z "$(dmesg | grep -E "$dmesg_reports" | grep -vE "$dmesg_harmless")" ] || die "the kernel complained: $(dmesg | tail -n 40)"
