#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make demo: a file is served by nginx over TLS through the sealnic, sealed by
# the NIC and by nobody else, and received through it, opened by the NIC; then
# again, by software; and once while its keys change.  All but what curl received
# is judged from outside of the guest: by what crossed the wire.
set -euo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd)
dir=$repo/build/demo
out=$dir/out
mb=64

die() { echo "demo: $*" >&2; exit 1; }
# field FILE NAME: a number or word of a flat JSON object or of name=value lines
field() { sed -n "s/.*\"$2\": *\"\{0,1\}\([^,\"}]*\).*/\1/p; s/^$2=//p" "$1" | head -n 1; }

mkdir -p "$dir"
if [ ! -e "$dir/file" ] || [ "$(stat -c %s "$dir/file")" != $((mb << 20)) ]; then
	# Random, so that a block found on the wire is that block and no accident.
	head -c $((mb << 20)) /dev/urandom >"$dir/file.new"
	mv "$dir/file.new" "$dir/file"
fi
# A part of it as text, for a program that talks by lines
[ "$dir/file.hex" -nt "$dir/file" ] && [ "$dir/file.hex" -nt "$0" ] || head -c 4M "$dir/file" | od -An -v -tx1 | tr -d ' ' | tr c x >"$dir/file.hex"
[ -e "$dir/cert.pem" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
	-subj /CN=sealnic -addext subjectAltName=IP:10.0.0.1 -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/openssl.log" ||
	die "openssl could not make a certificate: see $dir/openssl.log"

"$repo/tests/vm.sh" --out "$out" --timeout 500 -- "$repo/tests/demo_guest.sh" "$dir" ||
	die "the run in the VM failed: see $out"

# search RUN: who sealed what is on the wire, and is the file there in the clear?
search() {
	local file=$dir/file port=443
	[[ $1 != rekey* ]] || file=$dir/file.hex port=445
	"$repo/build/tests/wiregrep" "$file" "$dir/$1.pcap" >"$dir/$1.grep" || die "no search in $dir/$1.pcap"
	case $1 in
	tx-* | rekey-*) "$repo/build/tests/wiretls" "$dir/$1.pcap" $port >"$dir/$1.tls" || die "no records in $dir/$1.pcap" ;;
	esac
}

echo "searching the captures"
runs=(plain {tx-1.2-128,tx-1.2-256,tx-1.3-128}-{on,off} tx-1.3-256-on rx-1.2-128-on rx-1.3-128-{on,off} rekey-1.3-128-on)
for run in "${runs[@]}"; do
	[ -e "$out/$run.run" ] || die "run $run left no result"
	[ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
	search "$run" &
done
for job in $(jobs -p); do wait "$job"; done
sum=$(sha256sum <"$dir/file") sum_hex=$(sha256sum <"$dir/file.hex")

fail=''
rows=''
json=''
for run in "${runs[@]}"; do
	r=$out/$run.run
	IFS=- read -r way version bits offload <<<"$run"
	file=$dir/file
	[ "$way" != rekey ] || file=$dir/file.hex
	hits=$(field "$dir/$run.grep" hits)
	if [ "$run" = plain ]; then
		# The search has to find what is there: all but the blocks that two frames share.
		blocks=$(field "$dir/$run.grep" file_blocks)
		[ "$hits" -ge $((blocks * 9 / 10)) ] || fail+="the search found only $hits of $blocks blocks of the plain download. "
		plain_hits=$hits
		continue
	fi
	cipher=AES$bits-GCM
	nic=$(field "$r" nic_bytes) nic_records=$(field "$r" nic_records)
	bytes=$(field "$r" bytes) rate=$(field "$r" mb_per_s) cpu=$(field "$r" cpu_s)
	match=false
	[ "$way" != rekey ] || sum=$sum_hex
	[ "$(field "$r" sha256)  -" != "$sum" ] || match=true
	[ $match = true ] || fail+="$run: the file that arrived is another one. "
	[ "$hits" = 0 ] || fail+="$run: $hits blocks of the file crossed the wire in the clear. "
	rekeys=''
	if [ "$way" = rekey ]; then
		rekeys=$(field "$r" rekeys) sw_records=$(field "$r" sw_records)
		before=$(field "$r" nic_records_before) after=$(($(field "$r" nic_records_all) - $(field "$r" nic_records_before)))
		[ "$rekeys" -ge 4 ] || fail+="$run: only $rekeys keys. "
		[ "$before" -gt 0 ] && [ "$after" -gt 0 ] || fail+="$run: the NIC sealed $before records before and $after after the first rekey. "
	fi
	if [ "$way" != rx ]; then
		wire=$(field "$dir/$run.tls" protected_bytes)
		# Who sealed it, if not the NIC?  Software.  What TCP sent twice was sealed twice.
		sw=$((wire + $(field "$dir/$run.tls" repeated_bytes) - nic))
		[ "$(field "$dir/$run.tls" bad_bytes)$(field "$dir/$run.tls" missing_bytes)" = 00 ] || fail+="$run: not all on the wire is TLS. "
		[ "$wire" -gt "$(stat -c %s "$file")" ] || fail+="$run: only $wire bytes of protected records crossed the wire. "
		if [ "$way$offload" = txon ]; then
			[ "$version" = 1.3 ] || [ $sw = 0 ] || fail+="$run: software sealed $sw bytes. "
			# In TLS 1.3 the handshake and its tickets are protected records, too, and user space's
			[ "$version" = 1.2 ] || [ $sw -lt 8192 ] || fail+="$run: software sealed $sw bytes. "
		fi
	else
		# What the NIC did not open of the file, software did
		sw=$((bytes - nic < 0 ? 0 : bytes - nic))
		[ "$offload" = off ] || [ $sw = 0 ] || fail+="$run: the NIC opened only $nic bytes. "
	fi
	[ "$offload" = on ] || [ "$nic" = 0 ] || fail+="$run: the NIC had $nic bytes with the offload off. "
	json+="${json:+,}{\"direction\":\"$way\",\"version\":\"$version\",\"cipher\":\"$cipher\","
	json+="\"offload\":$([ "$offload" = on ] && echo true || echo false),\"bytes\":$bytes,"
	json+="\"sha256_match\":$match,\"nic_sealed_bytes\":$nic,\"nic_sealed_records\":$nic_records,\"sw_sealed_bytes\":$sw,"
	json+="\"wire_plaintext_hits\":$hits,\"mb_per_s\":$rate,\"guest_cpu_s\":$cpu"
	json+="${rekeys:+,\"rekeys\":$rekeys,\"nic_records_before\":$before,\"nic_records_after\":$after,\"sw_records\":$sw_records}}"
	case $way in tx) what=send ;; rx) what=receive ;; *) what=rekey ;; esac
	rows+=$(printf '%-8s %-4s %-11s %-8s %10d %7s %14d %9d %12d %9d %7s %8s' $what "$version" "$cipher" "$offload" "$bytes" $match \
		"$nic" "$nic_records" "$sw" "$hits" "$rate" "$cpu")$'\n'
done
echo "{\"runs\":[$json]}" >"$repo/build/demo.json"

echo
printf '%-8s %-4s %-11s %-8s %10s %7s %14s %9s %12s %9s %7s %8s\n' '' TLS cipher offload bytes sha256 'by the NIC' records \
	software 'in clear' 'MB/s' 'guest s'
printf '%s' "$rows"
echo
echo "'in clear': blocks of the file that the search found in the capture; in the plain-HTTP one it found $plain_hits."
echo "'rekey': the receiver asked for $rekeys new keys in mid-file. The NIC sealed $before records before the first and $after after it,"
echo "software the $sw_records that came between a key and its arrival in the NIC."
echo "Captures for Wireshark: $dir/*.pcap; figures: $repo/build/demo.json"
[ -z "$fail" ] || die "$fail"
