#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs test scripts one after another in the guest, each from a clean start, and frames the TAP of each for check.sh:
#
#   guest-run.sh SLOWNESS SCRIPT...
#
# SLOWNESS multiplies the scripts' time limits; they know it as $slowness. A script says in its head what is particular
# to it:
#
#   # timeout: SECONDS     how long it may take (120)
#   # reports: REGEX       reports in the kernel's log that it provokes
set -u
. "$(dirname "$0")/guest-lib.sh"

export slowness=$1
shift

header() { sed -n "s/^# $1: *//p" "$2" | head -n 1; }

# What a script may leave behind: processes, namespaces with a port in them, bonds and the like, the driver.
clean_up() {
	local dev
	pkill -KILL -s "$1" 2>/dev/null
	ip -all netns delete
	for dev in /sys/class/net/*; do
		dev=${dev##*/}
		case $dev in
		lo | sn* | eth*) ;;
		*) ip link del "$dev" 2>/dev/null ;;
		esac
	done
	tc qdisc del dev lo root 2>/dev/null
	# Looking at each frame costs
	[ -z "${SEALNIC_PORTS:-}" ] || model clear off >/dev/null
	# The last sockets and the ports' way back from a deleted namespace end a moment later.
	wait_for $((10 * slowness)) unload_driver
}

[ ! -w /sys/kernel/debug/kmemleak ] || echo clear >/sys/kernel/debug/kmemleak

for script in "$@"; do
	name=$(basename "$script" .sh)
	limit=$(header timeout "$script")
	echo "# begin $name"
	dmesg_mark
	# For scripts that set no mark of their own
	export dmesg_begin=$$.$dmesg_marks
	setsid timeout -k 10 $((${limit:-120} * slowness)) bash "$script" &
	wait $!
	status=$?
	echo "# end $name $status"

	echo "# begin $name-after"
	tap_count=0
	check "$name: the driver goes, with all that the script left" clean_up $!
	dmesg_clean "$name: the kernel reports nothing" "$(header reports "$script")"
	echo "1..$tap_count"
	echo "# end $name-after 0"
done

# Once for all of them: a scan takes its time, and a leak's backtrace says whose it is.
if [ -w /sys/kernel/debug/kmemleak ]; then
	echo "# begin leaks"
	tap_count=0
	leaks_clean "nothing leaked in $(basename -a -s .sh "$@" | tr '\n' ' ')"
	echo "1..$tap_count"
	echo "# end leaks 0"
fi
