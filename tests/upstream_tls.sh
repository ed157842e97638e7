#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds upstream's own tests of kernel TLS, tools/testing/selftests/net/tls.c, from the distribution's kernel source:
#
#   tests/upstream_tls.sh OUTPUT
#
# As packaged it does not compile: a later test calls tls_crypto_info_init() with the generation of the key as one
# argument more. Here the function gets that parameter, and calls without it mean generation 0.
set -euo pipefail
cd "$(dirname "$0")/.."
output=$1
die() { echo "upstream_tls: $*" >&2; exit 1; }

tar=/usr/src/linux-source-6.12.tar.xz
[ -r $tar ] || die "there is no $tar: run 'tests/setup.sh check' as root"
[ ! "$output" -nt $tar ] || [ ! "$output" -nt "$0" ] || exit 0

dir=$(mktemp -d build/upstream.XXXXXX)
trap 'rm -rf "$dir"' EXIT
files=(tools/testing/selftests/{kselftest.h,kselftest_harness.h,net/tls.c} include/uapi/linux/tls.h)
{ xz -dcT0 $tar || :; } 2>/dev/null | tar -x -C "$dir" --strip-components=1 --occurrence=1 "${files[@]/#/linux-source-6.12/}" ||
	die "$tar does not have what a kernel source has"

mkdir -p "$dir/uapi/linux"
mv "$dir/include/uapi/linux/tls.h" "$dir/uapi/linux/"
tls=$dir/tools/testing/selftests/net/tls.c
awk '
/^static void tls_crypto_info_init\(/ && !done { sub("tls_crypto_info_init", "tls_crypto_info_init_gen"); inside = 1 }
inside && /struct tls_crypto_info_keys \*tls12\)$/ { sub(/\)$/, ", char generation)") }
inside && /memset\(tls12, 0, sizeof\(\*tls12\)\);/ {
	print "\tmemset(tls12, generation, sizeof(*tls12));"
	print "\tmemset(tls12, 0, sizeof(struct tls_crypto_info));"
	next
}
{ print }
inside && /^}/ {
	print "#define tls_crypto_info_init(version, cipher, keys, ...) \\"
	print "\ttls_crypto_info_init_gen(version, cipher, keys, (0, ##__VA_ARGS__))"
	inside = 0
	done = 1
}' "$tls" >"$tls.new"
mv "$tls.new" "$tls"
# Its tests have 30 seconds each, which is for kernels that are not emulated
sed -i 's/^#define TEST_TIMEOUT_DEFAULT .*/#define TEST_TIMEOUT_DEFAULT 600/' \
	"$dir/tools/testing/selftests/kselftest_harness.h"
mkdir -p "$(dirname "$output")"
gcc -O1 -w -D_GNU_SOURCE= -I"$dir/uapi" -o "$output" "$tls"
