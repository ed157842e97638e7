#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make bench: what the sealnic costs and what it gives.  Prints a table and
# writes build/bench.json, one flat object.
#
# Instructions are those of one virtual CPU that has the sender, its NIC's
# interrupts and nothing else to do, counted by a QEMU plugin: they hardly
# depend on how fast this machine is today.  Times appear only as ratios of two
# things done in the same run.
set -euo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd)
dir=$repo/build/bench
rm -rf "$dir"
mkdir -p "$dir"

die() { echo "bench: $*" >&2; exit 1; }

echo "native: the device's seal path against OpenSSL"
"$repo/build/tests/seal_bench" --json >"$dir/seal.json" || die "seal_bench failed"

# A plugin speaks one version of QEMU's plugin interface.
read -r major minor < <(qemu-system-x86_64 --version | sed -n 's/.*version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
version=1
[ $((major * 100 + minor)) -lt 802 ] || version=2
gcc -O2 -Wall -Wextra -shared -fPIC -DPLUGIN_VERSION=$version -o "$dir/insn_count.so" "$repo/tests/insn_count.c"

echo "in a VM: guest instructions"
# A string move counts as one instruction a word, not one a byte.
"$repo/tests/vm.sh" --accel tcg,thread=multi --cpu max,-erms,-fsrm --timeout 900 --out "$dir/out-insns" \
	--qemu-arg -plugin --qemu-arg "$dir/insn_count.so,out=$dir/insns,pc=10000" \
	-- "$repo/tests/bench_guest.sh" insns || die "the run in the VM failed: see $dir/out-insns"
echo "in a VM: throughput and contexts"
"$repo/tests/vm.sh" --timeout 900 --out "$dir/out-rate" -- "$repo/tests/bench_guest.sh" rate ||
	die "the run in the VM failed: see $dir/out-rate"

echo "in a VM: kTLS, this project's module beside the kernel's own"
# One CPU whose time-stamp counter counts instructions, so that a program in the guest can tell what a system call took
"$repo/tests/vm.sh" --no-nic --smp 1 --accel tcg,thread=single --cpu max,-erms,-fsrm --qemu-arg -icount --qemu-arg shift=0 \
	--timeout 900 --out "$dir/out-ktls" -- "$repo/tests/bench_guest.sh" ktls ||
	die "the run in the VM failed: see $dir/out-ktls"

# The guest says what each pair of markers was; the plugin what it counted.
grep -v '^pc' "$dir/insns" | paste -d ' ' "$dir/out-insns/runs" - >"$dir/insns.txt"

awk -v seal="$(tr -d '{}\n' <"$dir/seal.json")" -v q='"' '
function median(list, n,   v, i, j, t) {
	n = split(list, v, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	return v[int((n + 1) / 2)]
}
# What TLS adds to plain TCP, beside what the module of the kernel adds: of the two versions the worse
function extra(op,   a, b) {
	a = (ours[op "_tls12"] - ours[op "_tcp"]) / (stock[op "_tls12"] - stock[op "_tcp"])
	b = (ours[op "_tls13"] - ours[op "_tcp"]) / (stock[op "_tls13"] - stock[op "_tcp"])
	return a > b ? a : b
}
function over(a, b) { return median(insns[a]) / median(insns[b]) }
function put(name, value, format, target) {
	json = json sprintf("%s\n  \"%s\": " format, json == "" ? "" : ",", name, value)
	printf "%-32s " format "%s\n", name, value, target == "" ? "" : "   (" target ")"
}
# runs: NAME BYTES CPU COUNT0 COUNT1
FILENAME ~ /insns.txt$/ { insns[$1] = insns[$1] " " $(4 + $3) / ($2 / 16384) }
FILENAME ~ /rates$/ { rate[$1] = rate[$1] " " $2 }
FILENAME ~ /stock$/ { stock[$1] = $2 }
FILENAME ~ /ours$/ { ours[$1] = $2 }
END {
	n = split(seal, kv, ",")
	for (i = 1; i <= n; i++) {
		split(kv[i], p, ":"); gsub(/[" ]/, "", p[1])
		put(p[1], p[2] + 0, p[1] ~ /over/ ? "%.2f" : "%.0f",
		    p[1] == "model_seal_over_openssl" ? "at least 0.8" : p[1] == "context_bytes" ? "at most 1024" : "")
	}
	split("tcp_send tcp_sendfile tcp_recv hw_send hw12_send hw_sendfile hw_zc_sendfile hw_recv sw_send sw_sendfile sw_recv", names, " ")
	for (i = 1; i in names; i++)
		put("instr_16k_" names[i], median(insns[names[i]]), "%.0f", "")
	put("instr_send_hw_over_tcp", over("hw_send", "tcp_send"), "%.3f", "at most 1.10")
	put("instr_sendfile_hw_over_tcp", over("hw_sendfile", "tcp_sendfile"), "%.3f", "at most 1.10")
	put("instr_zc_sendfile_hw_over_tcp", over("hw_zc_sendfile", "tcp_sendfile"), "%.3f", "at most 1.05")
	put("instr_recv_hw_over_tcp", over("hw_recv", "tcp_recv"), "%.3f", "at most 1.15")
	put("instr_send_sw_over_tcp", over("sw_send", "tcp_send"), "%.3f", "")
	put("instr_sendfile_sw_over_tcp", over("sw_sendfile", "tcp_sendfile"), "%.3f", "")
	put("instr_recv_sw_over_tcp", over("sw_recv", "tcp_recv"), "%.3f", "")
	put("mbps_tx_hw_over_sw", median(rate["hw_tx"]) / median(rate["sw_tx"]), "%.2f", "at least 3")
	put("mbps_rx_hw_over_sw", median(rate["hw_rx"]) / median(rate["sw_rx"]), "%.2f", "at least 3")
	put("mbps_hw_over_sw", median(rate["hw_tx"]) / median(rate["sw_tx"]), "%.2f", "the same")
	put("mbps_tx_hw_over_tcp", median(rate["hw_tx"]) / median(rate["tcp_tx"]), "%.2f", "")
	put("loss1_tx_sw_share", median(rate["loss_tx_sw_share"]), "%.4f", "at most 0.02")
	put("loss1_rx_hw_share", median(rate["loss_rx_hw_share"]), "%.3f", "at least 0.70")
	put("loss1_goodput_over_tcp", median(rate["loss_hw"]) / median(rate["loss_tcp"]), "%.2f", "at least 0.9")
	put("rekey_rtts_to_hw", median(rate["rekey_rtts"]), "%.2f", "at most 1 plus one record")
	put("rekey_sw_bytes_over_inflight", median(rate["rekey_sw_over_inflight"]), "%.2f", "at most 1.1")
	put("rekey100_mbps_over_none", median(rate["rekey100"]), "%.2f", "")
	put("rekey100_hw_share", median(rate["rekey100_hw"]), "%.3f", "")
	put("rekey100_lowat_mbps_over_none", median(rate["rekey100_lowat"]), "%.2f", "with TCP_NOTSENT_LOWAT of 16 KB")
	put("rekey100_lowat_hw_share", median(rate["rekey100_lowat_hw"]), "%.3f", "the same")
	put("context_adds_per_s", median(rate["adds"]), "%.0f", "")
	put("context_dels_per_s", median(rate["dels"]), "%.0f", "")
	put("bytes_per_offloaded_connection", rate["conn_bytes"] + 0, "%.0f", "both directions; the host\47s memory")
	for (i = split("send16k_tls12 send16k_tls13 sendfile16k_tls13 recv16k_tls12 recv16k_tls13 send1k_tls12 send1k_tls13 " \
		       "recv1k_tls12 recv1k_tls13", names, " "); i; i--) {
		put("instr_" names[i], ours[names[i]], "%.0f", "the kernel\47s own module: " stock[names[i]])
	}
	put("instr_send16k_tls12_over_stock", ours["send16k_tls12"] / stock["send16k_tls12"], "%.3f", "at most 1.00")
	put("instr_send16k_tls13_over_stock", ours["send16k_tls13"] / stock["send16k_tls13"], "%.3f", "at most 1.00")
	put("instr_sendfile16k_tls13_over_stock", ours["sendfile16k_tls13"] / stock["sendfile16k_tls13"], "%.3f", "at most 1.00")
	put("instr_recv16k_tls13_over_stock", ours["recv16k_tls13"] / stock["recv16k_tls13"], "%.3f", "at most 0.90")
	put("extra_send1k_over_stock", extra("send1k"), "%.3f", "at most 0.85")
	put("extra_recv1k_over_stock", extra("recv1k"), "%.3f", "at most 0.85")
	put("setup_tx_over_stock", ours["setup_tx"] / stock["setup_tx"], "%.3f", "at most 1.00")
	put("setup_rx_over_stock", ours["setup_rx"] / stock["setup_rx"], "%.3f", "at most 1.00")
	put("slab_bytes_per_socket", ours["slab_bytes_per_socket"], "%.0f", "at most 3277; the kernel\47s own: " \
	    stock["slab_bytes_per_socket"])
	print "{" json "\n}" >JSON
}' JSON="$repo/build/bench.json" "$dir/insns.txt" "$dir/out-rate/rates" "$dir/out-ktls/stock" \
	"$dir/out-ktls/ours"
echo "written to $repo/build/bench.json"

# Where the instructions go: code addresses and symbols, sorted together, so
# that each address follows the symbol that it belongs to.
export LC_ALL=C
awk -v runs="$dir/out-insns/runs" '
/^pc/ { print $2, "b", name, $3 / kb16; next }
{ getline line <runs; split(line, r, " "); name = r[1]; kb16 = 3 * r[2] / 16384 }' "$dir/insns" >"$dir/pcs"
awk '$2 ~ /[tTwW]/ { print $1, "a", $3 $4 }' "$dir/out-insns/kallsyms" | sort -m - <(sort "$dir/pcs") 2>/dev/null | sort -s -k 1,2 |
	awk '
	$2 == "a" { symbol = $3; next }
	{ s = $1 < "ffff800000000000" ? "(user space)" : symbol; n[s, $3] += $4; seen[s] }
	END {
		for (s in seen) {
			printf "send %s %d %d\n", s, n[s, "tcp_send"], n[s, "hw_send"]
			printf "sendfile %s %d %d\n", s, n[s, "tcp_sendfile"], n[s, "hw_sendfile"]
			printf "zc_sendfile %s %d %d\n", s, n[s, "tcp_sendfile"], n[s, "hw_zc_sendfile"]
			printf "recv %s %d %d\n", s, n[s, "tcp_recv"], n[s, "hw_recv"]
		}
	}' >"$dir/profile.txt"
for job in send sendfile zc_sendfile recv; do
	printf '\ninstructions per 16 KB by function: %-20s %8s %8s %8s\n' $job tcp offload more
	awk -v job=$job '$1 == job { print $4 - $3, $2, $3, $4 }' "$dir/profile.txt" | sort -rn |
		awk 'NR <= 12 { printf "  %-54s %8d %8d %+8d\n", $2, $3, $4, $1 }'
	awk -v job=$job '$1 == job {
		m = $2 ~ /\[tls\]/ ? "tls.ko" : $2 ~ /\[sealnic\]/ ? "sealnic.ko" : $2 ~ /^\(/ ? "user space" : "the rest of the kernel"
		tcp[m] += $3; hw[m] += $4
	} END { for (m in tcp) printf "  all of %-47s %8d %8d %+8d\n", m, tcp[m], hw[m], hw[m] - tcp[m] }' "$dir/profile.txt"
done
