#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kTLS sockets in the hands of the kernel: read_sock, recvmsg and sendmsg as storage and RPC over TLS call them,
# callbacks taken over, sockmap, and a network block device over TLS.
#
# vm: --no-nic
# timeout: 240
set -u
here=$(dirname "$0")
. "$here/guest-lib.sh"
. "$here/guest-ktls.sh"
test=$SEALNIC_REPO/build/tests/ktls_kernel_test

dmesg_mark
# Before load_ktls, which takes modprobe away
modprobe -q nbd nbds_max=1 max_part=0
load_ktls
insmod "$SEALNIC_MODULES/tests/ktls_kernel/ktls_kernel.ko" || give_up "ktls_kernel.ko does not load"
tap kernel "$test" all
tap sockmap "$test" sockmap
if [ -b /dev/nbd0 ]; then
	tap nbd "$test" nbd /dev/nbd0
	check "nbd goes" rmmod nbd
else
	skip "nbd" "this kernel does not have it"
fi
check "the consumer goes" rmmod ktls_kernel
dmesg_clean "no report in dmesg"
unload_ktls
finish
