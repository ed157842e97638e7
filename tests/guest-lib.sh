# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What the guest's test scripts share. A script sources this, makes its TAP lines with the functions below, and calls
# `finish` last: without the plan that prints, its whole run counts as a failure.

tap_count=0 tap_failed=0
tracing=/sys/kernel/tracing

# ok NAME / not_ok NAME [WHY] / skip NAME WHY
ok() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1"
}

not_ok() {
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $1"
	[ -z "${2:-}" ] || diag "$2"
}

skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }

# is GOT WANT NAME
is() {
	if [ "$1" = "$2" ]; then ok "$3"; else not_ok "$3" "got '$1', want '$2'"; fi
}

# between GOT LOW HIGH NAME: integers, bounds included
between() {
	if [[ $1 =~ ^-?[0-9]+$ ]] && [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; then
		ok "$4"
	else
		not_ok "$4" "got '$1', want $2 to $3"
	fi
}

# check NAME COMMAND...: ok when the command succeeds; what it said is shown when it does not
check() {
	local name=$1 said status=0
	shift
	said=$("$@" 2>&1) || status=$?
	if [ $status = 0 ]; then ok "$name"; else not_ok "$name" "'$*' returned $status${said:+: $said}"; fi
}

# finish: prints the plan and ends the script
finish() {
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ]
	exit
}

# give_up WHY: for a script that cannot go on; TAP's own word for it
give_up() {
	echo "Bail out! $*"
	exit 1
}

# nap SECONDS: sleep without a process, which is dear where programs are slow to start
exec {nap_fd}<> <(:)
nap() { read -rt "$1" -u $nap_fd || :; }

# wait_for SECONDS COMMAND...: until the command succeeds. Most do so soon, if not at once.
wait_for() {
	local end=$((SECONDS + $1)) pause=025
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		nap 0.$pause
		case $pause in 025) pause=05 ;; 05) pause=1 ;; *) pause=2 ;; esac
	done
}

# Talk to the outside over a serial line: one line out; lines back, the last of which is ok or "error: WHY". Prints the
# lines before the last, and the error to stderr. Returns 1 for an error, 2 when nobody answered.
ask() { # ask TTY SECONDS LINE
	local tty=$1 seconds=$2 line status=2
	{
		flock 9
		# What is left of an earlier answer that nobody waited for.
		while IFS= read -r -t 0.05 line <&9; do :; done
		printf '%s\n' "$3" >&9
		while IFS= read -r -t "$seconds" line <&9; do
			case $line in
			ok) status=0 && break ;;
			error:*) status=1 && echo "$line" >&2 && break ;;
			*) printf '%s\n' "$line" ;;
			esac
		done
		[ $status != 2 ] || echo "$tty: no answer to '$3'" >&2
	} 9<>"$tty"
	return $status
}

# model COMMAND...: the model's control socket
model() { ask /dev/ttyS1 10 "$*"; }

# operator COMMAND...: vm.sh, for model-kill, model-start, unplug N, replug N, hmp LINE
operator() { ask /dev/ttyS2 60 "$*"; }

# Reports by which a kernel says that something is wrong. Not among them: what fault injection prints for each failure
# it makes, and the allocation failures that follow ("page allocation failure" comes with __GFP_NOWARN left out).
dmesg_reports='WARNING:|BUG:|BUG |Oops|KASAN|KCSAN|KFENCE|UBSAN|kernel BUG|general protection|unable to handle'
dmesg_reports+='|possible (recursive|circular|irq)|possible deadlock|inconsistent lock state|suspicious RCU|lockdep|held lock freed'
dmesg_reports+='|sleeping function|scheduling while atomic|INFO: task|rcu:.*detected|rcu_.*detected|soft lockup|hard LOCKUP'
dmesg_reports+='|DMA-API|ODEBUG|refcount_t|kmemleak|list_(add|del) corruption|NETDEV WATCHDOG|unregister_netdevice: waiting'
dmesg_reports+='|Bad page|bad page|slab-|Call Trace.*illegal|Kernel panic|nobody cared|hung_task|leaked reference'

# What kernels say in any VM, without anything being wrong.
dmesg_harmless='DMA-API: preallocated|DMA-API: debugging (enabled|disabled)|kmemleak: (Kernel memory leak detector|Automatic memory)'
dmesg_harmless+='|Lock dependency validator|lockdep.*(cross|entries|MAX_|memory)|KernelAddressSanitizer initialized|NMI watchdog'
dmesg_harmless+='|Spectre|sealnic-test:'
# Functions of a stack trace; what it is the trace of is in its head.
dmesg_harmless+='|\]  (\? )?[A-Za-z0-9_.]+\+0x'

dmesg_marks=0
dmesg_mark() {
	dmesg_marks=$((dmesg_marks + 1))
	echo "sealnic-test: mark $$.$dmesg_marks" >/dev/kmsg
}

# dmesg_since: the kernel's log since the last dmesg_mark, or since the script began
dmesg_since() {
	local mark=${dmesg_begin:-}
	[ "$dmesg_marks" = 0 ] || mark=$$.$dmesg_marks
	# Where the mark is gone from the log, all that is there came later
	if [ -z "$mark" ] || ! dmesg | grep -c "sealnic-test: mark $mark\$" >/dev/null; then
		dmesg
	else
		dmesg | sed "1,/sealnic-test: mark $mark\$/d"
	fi
}

# dmesg_clean NAME [HARMLESS]: ok when no report came since the last dmesg_mark; HARMLESS is an extended regular
# expression for reports that the test provokes
dmesg_clean() {
	local reports
	reports=$(dmesg_since | grep -E "$dmesg_reports" | grep -vE "$dmesg_harmless${2:+|$2}") || :
	if [ -z "$reports" ]; then
		ok "$1"
	else
		not_ok "$1" "$(dmesg_since | grep -E -A 30 "$dmesg_reports" | head -n 80)"
	fi
}

# leaks_clean NAME: ok when kmemleak finds nothing; skipped in kernels without it. Two scans, because an object counts as
# leaked only when it is older than five seconds. 6.12 itself loses the name of a slab cache that finds no memory for its
# place in sysfs.
leaks_clean() {
	local leak=/sys/kernel/debug/kmemleak found
	[ -w $leak ] || { skip "$1" "no kmemleak in this kernel"; return; }
	sleep 6
	echo scan >$leak
	echo scan >$leak
	found=$(awk 'BEGIN { RS = "unreferenced object" } NR > 1 && !/sysfs_slab_add/ { printf "unreferenced object%s", $0 }' $leak)
	if [ -z "$found" ]; then ok "$1"; else not_ok "$1" "$(head -n 60 <<<"$found")"; fi
	echo clear >$leak
}

# load_driver [PARAMETERS...] / unload_driver
# shellcheck disable=SC2120
load_driver() {
	[ ! -d /sys/module/sealnic ] || return 0
	modprobe -q tls || :
	insmod "$SEALNIC_MODULES/drivers/net/sealnic/sealnic.ko" "$@"
}

unload_driver() {
	[ ! -d /sys/module/sealnic ] || rmmod sealnic
}

# nics: the sealnic netdevs of this network namespace, in the order of their ports
nics() {
	local dev
	for dev in /sys/class/net/*/device/driver; do
		[ "$(basename "$(readlink "$dev")")" = sealnic ] || continue
		dev=${dev%/device/driver}
		echo "$(basename "$(readlink "$dev/device")") ${dev##*/}"
	done | sort | cut -d ' ' -f 2
}

# channels_are DEV N NAME: it can have N channels, of which as many are in use as there are CPUs
channels_are() {
	local used
	used=$(nproc)
	[ "$used" -le "$2" ] || used=$2
	is "$(ethtool -l "$1" | sed -n 's/^Combined:[[:space:]]*//p' | tr '\n' ' ')" "$2 $used " \
		"$3: $2 channels, of which $used are in use at first"
}

far() { ip netns exec far "$@"; }

has_carrier() { # has_carrier NETNS|'' DEV
	[ "$(${1:+ip netns exec "$1"} cat "/sys/class/net/$2/carrier" 2>/dev/null)" = 1 ]
}

both_nics() { [ "$(nics | wc -l)" = 2 ]; }

# two_ns: the first port becomes sn0 here, with 10.0.0.1 and fd00::1; the second becomes sn1 in the network namespace
# far, with 10.0.0.2 and fd00::2. Returns when both have carrier.
two_ns() {
	local near other
	wait_for 10 both_nics || { echo "there are $(nics | wc -l) sealnic netdevs, not 2" >&2; return 1; }
	{ read -r near && read -r other; } < <(nics)
	[ -e /run/netns/far ] || ip netns add far || return 1
	ip link set "$near" down
	ip link set "$other" down
	[ "$near" = sn0 ] || ip link set "$near" name sn0 || return 1
	ip link set "$other" netns far name sn1 || return 1
	ip addr add 10.0.0.1/24 dev sn0
	ip addr add fd00::1/64 dev sn0 nodad
	far ip addr add 10.0.0.2/24 dev sn1
	far ip addr add fd00::2/64 dev sn1 nodad
	ip link set lo up
	far ip link set lo up
	ip link set sn0 up && far ip link set sn1 up || return 1
	if ! wait_for 10 has_carrier '' sn0 || ! wait_for 10 has_carrier far sn1; then
		echo "no carrier" >&2
		return 1
	fi
}

four_nics() { [ "$(nics | wc -l)" = 4 ]; }

# four_ns: of four ports on two wires (vm.sh --ports 4, wires 0:1 and 2:3) the first and third become sn0 and sn2 here, with
# 10.0.0.1 and 10.0.2.1, the others sn1 and sn3 in far, with 10.0.0.2 and 10.0.2.2, and likewise fd00:N::. One address of
# each end is behind both wires: what goes from 10.9.0.1 to 10.9.0.2, or fd09::1 to fd09::2, goes as the route says that
# the script makes; what comes back comes by the first wire.
four_ns() {
	local names i
	wait_for 10 four_nics || { echo "there are $(nics | wc -l) sealnic netdevs, not 4" >&2; return 1; }
	mapfile -t names < <(nics)
	ip netns add far || return 1
	for i in 0 1 2 3; do
		ip link set "${names[i]}" down
		ip link set "${names[i]}" name sn$i || return 1
		[ $((i % 2)) = 0 ] || ip link set sn$i netns far || return 1
	done
	ip link set lo up && far ip link set lo up
	ip addr add 10.9.0.1/32 dev lo && ip addr add fd09::1/128 dev lo
	far ip addr add 10.9.0.2/32 dev lo && far ip addr add fd09::2/128 dev lo
	for i in 0 2; do
		ip addr add 10.0.$i.1/24 dev sn$i && ip addr add fd00:$i::1/64 dev sn$i nodad
		far ip addr add 10.0.$i.2/24 dev sn$((i + 1)) && far ip addr add fd00:$i::2/64 dev sn$((i + 1)) nodad
		ip link set sn$i up && far ip link set sn$((i + 1)) up || return 1
	done
	far ip route add 10.9.0.1 via 10.0.0.1 src 10.9.0.2
	far ip -6 route add fd09::1 via fd00:0::1 src fd09::2
	for i in 0 2; do
		if ! wait_for 10 has_carrier '' sn$i || ! wait_for 10 has_carrier far sn$((i + 1)); then
			echo "no carrier" >&2
			return 1
		fi
	done
}

# cpu_per_side: port 0's interrupts go to CPU 0, port 1's to CPU 1, as if they were two machines. The processes are for
# the caller to place (taskset).
cpu_per_side() {
	local port irq cpu=0
	for port in /sys/bus/pci/drivers/sealnic/0000:*; do
		for irq in $(sed -n "s/^ *\([0-9]*\):.*sealnic-${port##*/}-.*/\1/p" /proc/interrupts); do
			echo $cpu >"/proc/irq/$irq/smp_affinity_list"
		done
		cpu=$((cpu + 1))
	done
}
