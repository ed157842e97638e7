#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocation failures in the kTLS core: in each operation the first allocation fails, then the second, and so on to the
# last; then all of them; and under traffic, some all the time. Either it works or it says so; nothing is lost, and the
# same again works. See ktls_test.c.
#
# Only allocations count that were made on behalf of tls.ko: its code is on the stack. Those of TCP and of the crypto
# layer are among them, and those of the kernel's checkers.
#
# vm: --smp 2 --no-nic
# timeout: 900
# reports: kmemleak: Cannot allocate
set -u
here=$(dirname "$0")
. "$here/guest-lib.sh"
. "$here/guest-ktls.sh"
test=$SEALNIC_REPO/build/tests/ktls_test
failslab=/sys/kernel/debug/failslab fail_page_alloc=/sys/kernel/debug/fail_page_alloc

if [ ! -d $failslab ]; then
	skip "allocation failures in tls.ko" "no fault injection in this kernel"
	finish
fi

inject() { # inject FILE VALUE: into both of them
	echo "$2" >"$failslab/$1" && echo "$2" >"$fail_page_alloc/$1"
}
many=1000000
injected() { echo $((2 * many - $(cat $failslab/times) - $(cat $fail_page_alloc/times))); }

# only_within MODULE|'' FIRST [LAST]: from a function to the end of another
only_within() {
	local range
	range=$(awk -v m="${1:+[$1]}" '$2 ~ /^[tT]$/ && $4 == m { print $1, $3 }' /proc/kallsyms | sort |
		awk -v first="$2" -v last="${3:-$2}" 'end { print start, $1; exit } $2 == first { start = $1 } $2 == last { end = 1 }
			{ at = $1 } END { if (!end) print "no" }')
	[ "$range" != no ] || give_up "no functions $2 to ${3:-$2}"
	inject require-start "0x${range% *}"
	inject require-end "0x${range#* }"
}

# only_module: all of tls.ko
only_module() {
	local addresses
	addresses=$(awk '$2 ~ /^[tT]$/ && $4 == "[tls]" { print $1 }' /proc/kallsyms | sort)
	inject require-start "0x$(head -n 1 <<<"$addresses")"
	inject require-end "$(printf '0x%x' $((0x$(tail -n 1 <<<"$addresses") + 256)))"
}

dmesg_mark
load_ktls
inject stacktrace-depth 32
inject ignore-gfp-wait N
echo N >$fail_page_alloc/ignore-gfp-highmem
echo 0 >$fail_page_alloc/min-order
inject verbose 0
inject times $many
only_module

# --- one by one ---

was=$(injected)
tap "one" "$test" alloc nth
between $(($(injected) - was)) 100 1000000 "one: allocations failed"

# --- all, and all pages ---

inject task-filter Y
echo 100 >$fail_page_alloc/probability
was=$(injected)
tap "no page" "$test" alloc all
between $(($(injected) - was)) 100 1000000 "no page: allocations failed"
echo 100 >$failslab/probability
was=$(injected)
tap "nothing" "$test" alloc all
between $(($(injected) - was)) 100 1000000 "nothing: allocations failed"
inject probability 0
inject task-filter N

# --- some, under traffic ---

was=$(injected)
echo 2 >$failslab/probability
echo 5 >$fail_page_alloc/probability
for i in 1 2 3; do tap "some" "$test" starved "${SEED:-1}$i"; done
inject probability 0
between $(($(injected) - was)) 100 1000000 "some: allocations failed"

# --- in softirq: a record larger than the receive buffer is for its reader to deal with ---

only_within tls tls_data_ready
was=$(injected)
inject probability 100
ONLY="larger than the receive buffer" tap "no stage" "$test" data
inject probability 0
between $(($(injected) - was)) 1 1000000 "no stage: allocations failed"
# TCP sends a FIN once. Whoever closed without memory for one waits for ever.
ss -K state all >/dev/null 2>&1
unload_ktls

# --- loading the module ---

only_within '' do_one_initcall
insert() {
	echo "$1" >/proc/self/fail-nth
	exec insmod "$SEALNIC_MODULES/net/tls/tls.ko"
}
failed=0 refused=0 wrong=''
for ((n = 1; n < 500; n++)); do
	was=$(injected)
	status=0
	(insert $n) >/tmp/insmod.out 2>&1 || status=$?
	# Whoever says that it is loaded has done it; whoever says that it is not has undone it
	if [ $status = 0 ]; then
		[ -n "$(tls_stat TlsRxRekeyReceived)" ] && rmmod tls || wrong+=" $n:not there"
	else
		refused=$((refused + 1))
		{ [ ! -d /sys/module/tls ] && [ ! -e /proc/net/tls_stat ]; } || wrong+=" $n:still there"
		grep -q 'annot allocate memory' /tmp/insmod.out || wrong+=" $n:$(cat /tmp/insmod.out)"
	fi
	[ "$(injected)" != "$was" ] || break
	failed=$((failed + 1))
done
diag "loading: $failed allocations failed, and $refused times it was refused"
between $refused 3 500 "loading: not without memory"
is "$wrong" "" "loading: every time, all or nothing"
is $status 0 "loading: without failures it works"

# What looks for leaks may itself have run out of memory, and then finds none
[ ! -w /sys/kernel/debug/kmemleak ] || check "kmemleak is still at work" eval 'echo scan >/sys/kernel/debug/kmemleak'
dmesg_clean "no report in dmesg" "kmemleak: Cannot allocate"
finish
