#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs tests and counts them:
#
#   tests/check.sh modules|host|riscv|fuzz|vm|debug...
#
# TESTS="vm_boot vm_tls" restricts vm and debug to these scripts; FUZZ_SECONDS is the time for all fuzz targets (60);
# JOBS is how many VMs run at once (one for each CPU; 1 in debug). A guest script says in its head, "# vm: OPTIONS", with
# which options of vm.sh it wants its VM; scripts with the same options share a boot, as many as their time limits allow.
# The whole output of everything is kept in build/check; here appear one line per program or script, and the failures,
# which are repeated at the end. The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit
export LC_ALL=C

results=$PWD/build/check
rm -rf "$results"
mkdir -p "$results"
: >"$results/counts"
: >"$results/failures"
: >"$results/lost"

# What was started ends with this shell
trap 'kill $(jobs -p) 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# collect LOG: reads what `framed` and guest-run.sh print, keeps it in LOG, and adds it to the counts and the failures.
# In the shell, because an awk on a pipe keeps what it reads to itself until a buffer is full. What it shows of a script
# it shows at the script's end, for others may run at the same time.
collect() {
	local line name='' n passed failed skipped plan start in_failure failures rest
	: >"$1"
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line%$'\r'}
		printf '%s\n' "$line" >>"$1"
		case $line in
		'# begin '*)
			name=${line#\# begin } n=0 passed=0 failed=0 skipped=0 plan='' start=$SECONDS in_failure='' failures=''
			;;
		'# end '*)
			rest=${line#\# end }
			[ "${rest% *}" != "$name" ] || collect_end "${rest##* }"
			;;
		'not ok'*)
			[ -n "$name" ] || continue
			n=$((n + 1)) in_failure=y
			collect_failure "$line"
			;;
		'ok'*)
			[ -n "$name" ] || continue
			n=$((n + 1)) passed=$((passed + 1)) in_failure=''
			[[ $line != *'# SKIP'* ]] || skipped=$((skipped + 1))
			;;
		'1..'*) plan=${line#1..} in_failure='' ;;
		'Bail out!'*) [ -z "$name" ] || { in_failure=y && collect_failure "$line"; } ;;
		'#'*) [ -z "$in_failure" ] || failures+=$line$'\n' ;;
		esac
	done
	# Nobody closed the frame: the guest died in it, and the last lines say of what.
	[ -n "$name" ] || return 0
	if [ -z "$debug" ] && emulator_erred "$1" && [ -e "tests/$name.sh" ] && ! grep -qx "$name" "$results/lost"; then
		echo "$name" >>"$results/lost"
		echo "$name: the emulator ran a breakpoint that was gone, and the guest died; once more"
		sed -i "s/^# begin $name\$/# lost $name/" "$1"
		return
	fi
	collect_failure "never ended"
	failures+=$(sed -n "/^# begin $name\$/,\$p" "$1" | tail -n 45 | sed 's/^/# /')$'\n'
	collect_end unknown
}

# Kernels patch their code by way of a breakpoint. QEMU with several threads now and then runs one from its own cache when
# it is a breakpoint no more (seen in 7.2), and the kernel, which then knows of none, dies in any place. It shows: the byte
# in front of where it stopped is not int3. Once for each script such a death does not count.
emulator_erred() {
	grep -q 'Oops: int3' "$1" && grep -m 1 'Code: ' "$1" | grep -qv ' cc <'
}

collect_failure() {
	failed=$((failed + 1))
	failures+="$name: $1"$'\n'
}

collect_end() { # collect_end STATUS
	if [ -z "$plan" ]; then
		[ "$1" = unknown ] || collect_failure "ended without a plan, with status $1"
	elif [ "$plan" != $n ]; then
		collect_failure "planned $plan tests and ran $n"
	elif [ "$1" != 0 ] && [ $failed = 0 ]; then
		collect_failure "all is ok, but its status is $1"
	fi
	(
		flock 9
		printf '%s' "$failures" | tee -a "$results/failures"
		printf '%-36s %4d passed%s%s, %d s\n' "$name" $passed "$([ $failed = 0 ] || echo ", $failed FAILED")" \
			"$([ $skipped = 0 ] || echo " ($skipped skipped)")" $((SECONDS - start))
		echo "$passed $failed" >>"$results/counts"
	) 9>"$results/lock"
	name='' in_failure=''
}

# framed NAME COMMAND...: runs a program that prints TAP; $results/NAME.log has all that it said
framed() {
	local name=$1
	shift
	{
		echo "# begin $name"
		"$@" </dev/null 2>&1
		echo "# end $name $?"
	} | collect "$results/$name.log"
}

# one NAME COMMAND...: a command that prints no TAP is one test: it succeeds
one() {
	local name=$1 status=0
	shift
	"$@" >"$results/$name.out" 2>&1 </dev/null || status=$?
	framed "$name" one_result "$name" $status
}

one_result() {
	if [ "$2" = 0 ]; then
		echo "ok 1 - $1"
	else
		echo "not ok 1 - $1"
		tail -n 60 "$results/$1.out" | sed 's/^/# /'
	fi
	echo "1..1"
}

# build_modules DIR KDIR [MAKE ARGUMENTS...]: builds copies of the modules, so that those in the tree stay as they are
build_modules() {
	local dir=$1 kdir=$2 module sources=(drivers include tests/ktls_kernel)
	shift 2
	rm -rf "$dir"
	mkdir -p "$dir"
	[ ! -d net ] || sources+=(net)
	find "${sources[@]}" \( -name '*.[chS]' -o -name Makefile -o -name Kbuild \) ! -name '*.mod.c' |
		cpio -pdm --quiet "$dir" || return 1
	for module in net/tls drivers/net/sealnic tests/ktls_kernel; do
		[ -e "$dir/$module/Makefile" ] || [ -e "$dir/$module/Kbuild" ] || continue
		make -s -C "$kdir" M="$dir/$module" -j"$(nproc)" "$@" modules || return 1
	done
}

# Warnings of the kernel's own headers are not ours to fix; those that name a file of ours fail.
modules_without_warnings() {
	local said kdir
	kdir=$(tests/setup.sh kdir) || return 1
	said=$(build_modules "$PWD/build/check-modules" "$kdir" W=1 C=2 2>&1)
	local status=$?
	printf '%s\n' "$said"
	[ $status = 0 ] && ! grep -q '^WARNING: modpost' <<<"$said" &&
		! grep -E 'warning:|error:|check-modules.*\b(warn|leaks)' <<<"$said" | grep -q check-modules
}

run_host() {
	local test
	one build-host-tests make -s -j"$(nproc)" host-tests || return
	for test in build/asan/*_test; do
		[ -x "$test" ] || continue
		framed "$(basename "$test")" timeout 900 "$test"
	done
	for test in tests/*_test.sh; do
		[ -e "$test" ] || continue
		framed "$(basename "$test" .sh)" timeout 900 bash "$test"
	done
}

run_fuzz() {
	local targets target name
	one build-fuzzers make -s -j"$(nproc)" fuzzers
	targets=$(find build/fuzz -maxdepth 1 -type f -perm /100 2>/dev/null | sort)
	[ -n "$targets" ] || return
	for target in $targets; do
		name=$(basename "$target")
		# From nothing and with a seed: the same inputs in every run, as far as the time goes.
		one "$name" setpriv --pdeathsig TERM -- "$target" -seed=1 -max_len=512 -len_control=0 -max_total_time=$((${FUZZ_SECONDS:-60} / $(wc -w <<<"$targets"))) \
			-timeout=10 -rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix="$results/$name-"
	done
}

# run_vms KIND SLOWNESS JOBS [OPTIONS OF vm.sh...]
boot_limit=1500
run_vms() {
	local kind=$1 slowness=$2 jobs=$3 scripts script options limit boot=0
	shift 3
	if [ -n "${TESTS:-}" ]; then
		scripts=$(for script in $TESTS; do echo "tests/${script%.sh}.sh"; done)
	else
		scripts=$(ls tests/vm_*.sh)
	fi
	if [[ $scripts == *_upstream* ]]; then
		one build-upstream-tests tests/upstream_tls.sh build/tests/upstream_tls
	fi
	# The boots: the scripts of each, their options, and the sum of their limits
	local boots=() of=() sums=() vms=() order i
	for script in $scripts; do
		options=$(header vm "$script")
		limit=$(header timeout "$script")
		limit=${limit:-120}
		for ((i = 0; i < ${#boots[@]}; i++)); do
			[ "${of[i]}" = "$options" ] && [ $((sums[i] + limit)) -le $boot_limit ] && break
		done
		boots[i]+=" $script" of[i]=$options sums[i]=$((${sums[i]:-0} + limit))
	done
	# The long ones first, so that none is left alone at the end
	mapfile -t order < <(for i in "${!sums[@]}"; do echo "${sums[i]} $i"; done | sort -k 1,1nr -k 2,2n | cut -d ' ' -f 2)
	for i in "${order[@]}"; do
		while [ "$(running "${vms[@]}")" -ge "$jobs" ]; do wait -n; done
		boot=$((boot + 1))
		# shellcheck disable=SC2086
		run_boot "$kind-$boot" "$slowness" "${boots[i]}" "$@" ${of[i]} &
		vms+=($!)
	done
	wait
}

running() { # running PID...: how many of them are
	local pid n=0
	for pid in "$@"; do
		! kill -0 "$pid" 2>/dev/null || n=$((n + 1))
	done
	echo $n
}

header() { sed -n "s/^# $1: *//p" "$2" | head -n 1; }

# run_boot NAME SLOWNESS SCRIPTS [OPTIONS OF vm.sh...]: a guest that dies takes only one script with it: those behind it
# get another boot. So do, once, all of one that came to none: until then no test and no module of ours had a part in it.
run_boot() {
	local name=$1 slowness=$2 rest=$3 scripts script log boot='' stillborn=''
	shift 3
	while [ -n "$rest" ]; do
		log=$results/$name${boot:+.$boot}.log
		scripts=$rest
		rest=
		echo "-- $name${boot:+.$boot}${*:+ ($*)}:${scripts//tests\//}"
		# The VM ends with this shell, by itself and in order
		# shellcheck disable=SC2086
		setpriv --pdeathsig TERM -- tests/vm.sh --timeout $((boot_limit * slowness)) --out "${log%.log}" "$@" -- \
			tests/guest-run.sh "$slowness" $scripts 2>&1 | collect "$log"
		for script in $scripts; do
			grep -q "^# begin $(basename "$script" .sh)\$" "$log" || rest+=" $script"
		done
		if [ "$rest" = "$scripts" ] && ! grep -q '^# lost ' "$log"; then
			if [ -n "$stillborn" ]; then
				framed "$name-boot" never_ran "$log"
				break
			fi
			stillborn=y
			echo "$name: the VM ended before it ran any script; once more. Its last words:"
			tail -n 20 "$log"
		fi
		boot=$((${boot:-1} + 1))
	done
}

never_ran() {
	echo "not ok 1 - the VM ended before it ran any script"
	tail -n 20 "$1" | sed 's/^/# /'
	echo "1..1"
}

# The same scripts in a kernel with every checker in it, some five times slower.
run_debug() {
	one build-debug-modules build_modules "$PWD/build/debug-modules" "$PWD/build/debug-kernel/obj"
	run_vms debug 5 "${JOBS:-1}" --kernel build/debug-kernel --modules build/debug-modules
}

# What needs no VM takes the time that VMs leave over; all one after another but the fuzzers, which have one process.
run_beside() {
	local group
	renice -n 5 -p $BASHPID >/dev/null
	for group in "$@"; do
		case $group in
		modules)
			one modules-without-warnings modules_without_warnings
			one kernel-style tests/kernel_style.sh
			;;
		fuzz) run_fuzz & ;;
		host) run_host ;;
		riscv) one firmware-riscv make -s -j"$(nproc)" firmware-riscv ;;
		esac
	done
	wait
}

beside=() vm='' debug=''
for group in "$@"; do
	case $group in
	modules | host | riscv | fuzz) beside+=("$group") ;;
	vm) vm=y ;;
	debug) debug=y ;;
	*) echo "check: no such group: $group" >&2 && exit 1 ;;
	esac
done
run_beside "${beside[@]}" &
# A VM with more CPUs than this machine has left waits for itself. Races are the business of the scripts that ask for two,
# and of the debug kernel, where all have two.
[ -z "$vm" ] || run_vms vm 1 "${JOBS:-$(nproc)}" --smp 1
[ -z "$debug" ] || run_debug

wait
passed=0 failed=0
while read -r p f; do
	passed=$((passed + p)) failed=$((failed + f))
done <"$results/counts"
if [ -s "$results/failures" ]; then
	echo
	echo "Failures (all output is in build/check):"
	cat "$results/failures"
	# Once more without all that was said, for who sees only the end of this
	echo
	grep -E '^[a-z0-9_-]+: ' "$results/failures" || :
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
