#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Upstream's tests of kernel TLS, with our module in the kernel. None may be skipped but those of ciphers that the kernel
# does not have.
#
# vm: --no-nic
# timeout: 900
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-ktls.sh"
program=$SEALNIC_REPO/build/tests/upstream_tls

load_ktls || give_up "tls.ko does not load"
options=()
has_algorithm() { modprobe -q "crypto-$1"; modprobe -q "$2"; grep -q "$1" /proc/crypto; }
has_algorithm sm4 sm4_generic || options+=(-V 13_sm4_gcm -V 13_sm4_ccm)
has_algorithm aria aria_generic || options+=(-V 12_aria_gcm -V 12_aria_gcm_256)

said=
while IFS= read -r line; do
	case $line in
	ok*SKIP*) not_ok "upstream ${line#ok * }" "it was skipped" ;;
	ok*) ok "upstream ${line#ok * }" ;;
	'not ok'*) not_ok "upstream ${line#not ok * }" "$said" ;;
	'#  RUN'*) said= ;;
	'#'*) said+="${said:+$'\n'}$line" ;;
	esac
done < <("$program" "${options[@]}" 2>&1)
between $tap_count 300 2000 "upstream: so many tests ran"
unload_ktls
finish
