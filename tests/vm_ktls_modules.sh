#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Our tls.ko in the place of the kernel's own: found in updates/ by modprobe and by TCP_ULP, linked to by the drivers that
# link to the kernel's own, held by its sockets, and gone when nobody needs it.
#
# vm: --no-nic
# timeout: 300
set -u
. "$(dirname "$0")/guest-lib.sh"
slow=${slowness:-1}
release=$(uname -r)
ours=$SEALNIC_MODULES/net/tls
dir=/run/ktls-modules
rm -rf $dir
mkdir -p $dir/modules
exports='tls_device_sk_destruct tls_offload_tx_resync_request tls_get_record tls_validate_xmit_skb tls_encrypt_skb'

gone() { [ ! -d "/sys/module/$1" ] || rmmod "$1"; }
# crc FILE SYMBOL: of an export, in a Module.symvers
crc() { awk -v s="$2" '$2 == s { print $1, $4 }' "$1"; }

dmesg_mark
check "no tls.ko is loaded" wait_for $((10 * slow)) gone tls

# --- what others link to ---

# The kernel's: in its headers, or in the tree that it was built in
symvers=
for tree in "/lib/modules/$release/build" "/usr/src/linux-headers-$release" "$SEALNIC_REPO/build/debug-kernel/obj"; do
	[ "$(cat "$tree/include/config/kernel.release" 2>/dev/null)" = "$release" ] && [ -r "$tree/Module.symvers" ] || continue
	symvers=$tree/Module.symvers
	break
done
for symbol in $exports; do
	name="$symbol has the kernel's CRC and licence"
	if [ -z "$symvers" ]; then
		skip "$name" "no Module.symvers of $release"
	elif [ -z "$(crc "$symvers" "$symbol")" ]; then
		skip "$name" "this kernel does not have it"
	else
		is "$(crc "$ours/Module.symvers" "$symbol")" "$(crc "$symvers" "$symbol")" "$name"
	fi
done
is "$(awk '{ print $2 }' "$ours/Module.symvers" | sort | xargs)" "$(tr ' ' '\n' <<<"$exports" | sort | xargs)" "and there are no other exports"

# --- modprobe ---

# A modules' directory with just what is needed here: depmod reads every module, and the whole kernel's take minutes
copy_modules() {
	local path
	cp /lib/modules/"$release"/modules.{order,builtin*} $dir/modules/
	for path in $(modprobe -a --show-depends tls bonding nfp cxgb4 tcp_diag aesni-intel gcm ctr ghash-generic 2>/dev/null |
		sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u); do
		[[ $path != */updates/* ]] || continue
		mkdir -p "$dir/modules/$(dirname "${path#*"/$release/"}")"
		cp "$path" "$dir/modules/${path#*"/$release/"}" || return 1
	done
	mount --bind $dir/modules "/lib/modules/$release" && depmod "$release"
}
check "there is a modules' directory to write to" copy_modules
is "$(modinfo -n tls | grep -c "^/lib/modules/$release/kernel/net/tls/tls.ko")" 1 "without ours, modinfo finds the kernel's own"
mkdir -p "/lib/modules/$release/updates"
check "our module is copied to updates/" cp "$ours/tls.ko" "/lib/modules/$release/updates/"
check "depmod" depmod "$release"
is "$(modinfo -n tls)" "/lib/modules/$release/updates/tls.ko" "modinfo finds it first"

# The running module is the one in the file: by the hash that the linker leaves in both
is_ours() { cmp /sys/module/tls/notes/.note.gnu.build-id $dir/build-id; }
check "it has a build id" objcopy -O binary --only-section=.note.gnu.build-id --set-section-flags .note.gnu.build-id=alloc \
	"$ours/tls.ko" $dir/build-id
check "modprobe tls" modprobe tls
check "what runs is ours" is_ours
is "$(tr -cd O </sys/module/tls/taint)" O "and the kernel knows that it is out of tree"
is "$(grep -cE '^Tls[RT]xRekey' /proc/net/tls_stat)" 9 "its counters are there"
is "$(grep -ow tls /proc/sys/net/ipv4/tcp_available_ulp)" tls "TCP lists it"
check "rmmod tls" rmmod tls
is "$(grep -cw tls /proc/sys/net/ipv4/tcp_available_ulp)" 0 "TCP does not list it any more"
is "$(ls /proc/net/tls_stat 2>/dev/null)" "" "nor are its counters there"

# --- drivers that link to it ---

for module in bonding nfp cxgb4; do
	if ! modinfo -n $module >/dev/null 2>&1; then
		skip "$module loads on top of ours" "this kernel does not have it"
		continue
	fi
	check "$module loads on top of ours" modprobe $module
	check "$module: tls came with it, and is ours" is_ours
	between "$(cat /sys/module/tls/refcnt)" 1 100 "$module holds it"
	check "$module unloads" modprobe -r $module
	check "tls.ko unloads after $module" wait_for $((10 * slow)) gone tls
done
# In the other order: loaded before
check "ours by its path" insmod "$ours/tls.ko"
if modinfo -n bonding >/dev/null 2>&1; then
	check "bonding finds it loaded" modprobe bonding max_bonds=0
	ip link add bond9 type bond mode active-backup
	ip link set bond9 up
	is "$(cat /sys/class/net/bond9/bonding/mode)" "active-backup 1" "a bond works on top of it"
	ip link del bond9
	is "$(rmmod tls 2>&1 | grep -c 'in use')" 1 "tls.ko cannot go before bonding"
	check "bonding unloads" rmmod bonding
fi
check "and then it can" rmmod tls

# --- sockets ---

tool=$SEALNIC_REPO/build/tests/tcp_tool
listening() { ss -ltnH 'sport = :5001' | grep -q .; }
connected() { ss -tnH state established 'dport = :5001' | grep -q .; }
has_ulp() { ss -tieH state established 2>/dev/null | grep -q 'tcp-ulp-tls'; }

# The receiver is stopped before it accepts the connection: the sender waits with full buffers
"$tool" recv 5001 --tls 1.2 >$dir/recv 2>&1 &
receiver=$!
wait_for $((10 * slow)) listening
kill -STOP $receiver
"$tool" send 127.0.0.1 5001 --tls 1.2 --bytes 32M >$dir/send 2>&1 &
sender=$!
check "TCP_ULP loads the module by itself" wait_for $((20 * slow)) test -d /sys/module/tls
check "and it is ours, not the kernel's own" is_ours
check "ss shows the connection's TLS" wait_for $((20 * slow)) has_ulp
between "$(cat /sys/module/tls/refcnt)" 1 2 "a socket holds the module"
is "$(rmmod tls 2>&1 | grep -c 'in use')" 1 "rmmod is refused while it is open"
check "the refused rmmod did no harm" connected
kill -CONT $receiver
# Not in check's subshell, whose children they are not
wait $sender && wait $receiver
is $? 0 "the transfer ends well"
check "without sockets it unloads" wait_for $((20 * slow)) gone tls

# --- back to how it was ---

check "the modules' directory is the kernel's again" umount -l "/lib/modules/$release"
if [ -e "/lib/modules/$release/updates/tls.ko" ]; then
	skip "modinfo finds the kernel's own" "somebody has installed ours here"
else
	is "$(modinfo -n tls | grep -c "^/lib/modules/$release/kernel/net/tls/tls.ko")" 1 "modinfo finds the kernel's own"
fi
dmesg_clean "no report in dmesg"
finish
