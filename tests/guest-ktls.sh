# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the guest's kTLS tests share. Source guest-lib.sh first.

ktls_modules="cryptomgr ctr ecb aes_generic aesni-intel ghash-clmulni-intel ghash-generic chacha-x86_64 chacha20-x86_64 poly1305-x86_64 chacha_generic
	poly1305_generic gcm ccm chacha20poly1305 sm4-generic sm4-aesni-avx-x86_64 sm4-aesni-avx2-x86_64 aria_generic
	aria-aesni-avx-x86_64 aria-aesni-avx2-x86_64"

# load_ktls: our tls.ko, and the ciphers at their best. Gives up where the kernel's own module is in its place.
load_ktls() {
	local module
	for module in $ktls_modules; do modprobe -q "$module"; done
	modprobe -q tcp_diag
	# All is there. For a cipher that the kernel does not have it would ask modprobe again and again.
	ktls_modprobe=$(cat /proc/sys/kernel/modprobe)
	echo /bin/false >/proc/sys/kernel/modprobe
	ip link set lo up
	if [ -d /sys/module/tls ]; then
		# A script before may have left connections whose FIN nobody acknowledges any more
		ss -K state all >/dev/null 2>&1
		wait_for $((10 * ${slowness:-1})) tls_goes || give_up "another tls module is loaded and in use"
	fi
	insmod "$SEALNIC_MODULES/net/tls/tls.ko" || give_up "tls.ko does not load"
}

tls_goes() { rmmod tls 2>/dev/null; }

tls_stat() { sed -n "s/^$1[[:space:]]\+//p" /proc/net/tls_stat; }

no_tls_sockets() {
	[ "$(tls_stat TlsCurrTxSw)$(tls_stat TlsCurrRxSw)$(tls_stat TlsCurrTxDevice)$(tls_stat TlsCurrRxDevice)" = 0000 ]
}

tls_unused() { [ "$(cat /sys/module/tls/refcnt)" = 0 ]; }

# unload_ktls: nothing may be left of any connection, and the module goes
unload_ktls() {
	echo "$ktls_modprobe" >/proc/sys/kernel/modprobe
	wait_for $((10 * ${slowness:-1})) no_tls_sockets
	is "$(grep Curr /proc/net/tls_stat | tr -s '[:space:]' ' ')" \
		"TlsCurrTxSw 0 TlsCurrRxSw 0 TlsCurrTxDevice 0 TlsCurrRxDevice 0 TlsCurrTxRekey 0 TlsCurrRxRekey 0 " \
		"no connection is left"
	wait_for $((10 * ${slowness:-1})) tls_unused
	check "the module goes" rmmod tls
}

# tap PREFIX COMMAND...: a program's TAP becomes part of this script's
tap() {
	local prefix=$1 line n=0 plan='' status=/run/tap-status
	shift
	while IFS= read -r line; do
		case $line in
		'ok '*' # SKIP '*)
			n=$((n + 1)) line=${line#ok * - }
			skip "$prefix: ${line% # SKIP *}" "${line#* # SKIP }"
			;;
		'ok '*) n=$((n + 1)) && ok "$prefix: ${line#ok * - }" ;;
		'not ok '*) n=$((n + 1)) && not_ok "$prefix: ${line#not ok * - }" ;;
		'1..'*) plan=${line#1..} ;;
		'#'*) echo "$line" ;;
		*) diag "$line" ;;
		esac
	done < <("$@" 2>&1; echo $? >$status)
	wait $!
	if [ "$plan" != $n ]; then
		not_ok "$prefix: ran to its end" "planned '$plan', ran $n, status $(cat $status)"
	fi
}
