#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kTLS core in software: every operation with every version and cipher against a record layer in user space, races,
# and the same once more over asynchronous implementations of the ciphers.
#
# vm: --smp 2 --no-nic
# timeout: 330
set -u
here=$(dirname "$0")
. "$here/guest-lib.sh"
. "$here/guest-ktls.sh"
test=$SEALNIC_REPO/build/tests/ktls_test

# Of the ciphers that are made of synchronous parts. Their names are the drivers'; without AES-NI there are others.
aes='aes-aesni' ghash='ghash-generic'
grep -q '^driver *: aes-aesni$' /proc/crypto || aes='aes-generic'

add() { # add DRIVER: instantiates it, and prefers it to all others
	check "$1 can be had" "$test" add "$1" 9000
}

async_ciphers() {
	modprobe -q crypto_user
	modprobe -q cryptd
	add "cryptd(gcm_base(ctr($aes),$ghash))"
	add "cryptd(ccm_base(ctr($aes),cbcmac($aes)))"
	add "cryptd(rfc7539(chacha20-generic,poly1305-generic))"
	is "$(preferred 'gcm(aes)')" "cryptd(gcm_base(ctr($aes),$ghash))" "it is what gcm(aes) is now"
}

drop_async_ciphers() {
	"$test" del "cryptd(gcm_base(ctr($aes),$ghash))"
	"$test" del "cryptd(ccm_base(ctr($aes),cbcmac($aes)))"
	"$test" del "cryptd(rfc7539(chacha20-generic,poly1305-generic))"
}

# The driver of the highest priority
preferred() {
	awk -v name="$1" '$1 == "name" { n = substr($0, index($0, ":") + 2) } $1 == "driver" { d = $3 }
		$1 == "priority" && n == name && $3 > best { best = $3; found = d } END { print found }' /proc/crypto
}

dmesg_mark
load_ktls
tap sync "$test" all
tap sync "$test" many 32
tap sync "$test" races "${SEED:-1}"
dmesg_clean "no report in dmesg"

dmesg_mark
async_ciphers
tap async "$test" data
tap async "$test" many 64
tap async "$test" races "${SEED:-1}"
dmesg_clean "asynchronous: no report in dmesg"
drop_async_ciphers

# cryptd with room for one request: all others go through its backlog
unload_ktls
rmmod ghash_clmulni_intel aesni_intel crypto_simd cryptd
if [ -d /sys/module/cryptd ]; then
	skip "cryptd with a queue of one" "cryptd does not go, held by: $(ls /sys/module/cryptd/holders)"
else
	dmesg_mark
	modprobe cryptd cryptd_max_cpu_qlen=1
	load_ktls
	async_ciphers
	tap backlog "$test" many 128
	dmesg_clean "backlog: no report in dmesg"
	drop_async_ciphers
	unload_ktls
fi
finish
