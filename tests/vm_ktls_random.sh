#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Random sequences of operations on kTLS connections against a model; see ktls_fuzz.c. SEED=N begins elsewhere.
#
# vm: --no-nic
# timeout: 150
set -u
here=$(dirname "$0")
. "$here/guest-lib.sh"
. "$here/guest-ktls.sh"

dmesg_mark
load_ktls
tap random "$SEALNIC_REPO/build/tests/ktls_fuzz" "${SEED:-1}" "${COUNT:-200}" 40
dmesg_clean "no report in dmesg"
unload_ktls
finish
