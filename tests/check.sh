#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs tests and counts them:
#
#   tests/check.sh modules|host|riscv|fuzz|vm|debug...
#
# TESTS="vm_boot vm_tls" restricts vm and debug to these scripts; FUZZ_SECONDS is the time for all fuzz targets (60).
# A guest script says in its head, "# vm: OPTIONS", with which options of vm.sh it wants its VM; scripts with the same
# options share a boot. The whole output of everything is kept in build/check; here appear one line per program or
# script, and the failures, which are repeated at the end. The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit
export LC_ALL=C

results=$PWD/build/check
rm -rf "$results"
mkdir -p "$results"
: >"$results/counts"
: >"$results/failures"

# collect LOG: reads what `framed` and guest-run.sh print, keeps it in LOG, and adds it to the counts and the failures.
# In the shell, because an awk on a pipe keeps what it reads to itself until a buffer is full.
collect() {
	local line name='' n passed failed skipped plan start in_failure rest
	: >"$1"
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line%$'\r'}
		printf '%s\n' "$line" >>"$1"
		case $line in
		'# begin '*)
			name=${line#\# begin } n=0 passed=0 failed=0 skipped=0 plan='' start=$SECONDS in_failure=''
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
		'#'*) [ -z "$in_failure" ] || printf '%s\n' "$line" | tee -a "$results/failures" ;;
		esac
	done
	# Nobody closed the frame: the guest died in it, and the last lines say of what.
	[ -n "$name" ] || return 0
	rest=$name
	collect_end unknown
	sed -n "/^# begin $rest\$/,\$p" "$1" | tail -n 45 | sed 's/^/# /' | tee -a "$results/failures"
}

collect_failure() {
	failed=$((failed + 1))
	printf '%s: %s\n' "$name" "$1" | tee -a "$results/failures"
}

collect_end() { # collect_end STATUS
	if [ -z "$plan" ]; then
		collect_failure "ended without a plan, with status $1"
	elif [ "$plan" != $n ]; then
		collect_failure "planned $plan tests and ran $n"
	elif [ "$1" != 0 ] && [ $failed = 0 ]; then
		collect_failure "all is ok, but its status is $1"
	fi
	printf '%-36s %4d passed%s%s, %d s\n' "$name" $passed "$([ $failed = 0 ] || echo ", $failed FAILED")" \
		"$([ $skipped = 0 ] || echo " ($skipped skipped)")" $((SECONDS - start))
	echo "$passed $failed" >>"$results/counts"
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
	local dir=$1 kdir=$2 module sources=(drivers include)
	shift 2
	rm -rf "$dir"
	mkdir -p "$dir"
	[ ! -d net ] || sources+=(net)
	find "${sources[@]}" \( -name '*.[chS]' -o -name Makefile -o -name Kbuild \) ! -name '*.mod.c' |
		cpio -pdm --quiet "$dir" || return 1
	for module in net/tls drivers/net/sealnic; do
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
	[ $status = 0 ] && ! grep -E 'warning:|error:|check-modules.*\b(warn|leaks)' <<<"$said" | grep -q check-modules
}

run_host() {
	local test
	one build-host-tests make -s -j"$(nproc)" host-tests || return
	for test in build/asan/*_test; do
		[ -x "$test" ] || continue
		framed "$(basename "$test")" timeout 300 "$test"
	done
	for test in tests/*_test.sh; do
		[ -e "$test" ] || continue
		framed "$(basename "$test" .sh)" timeout 300 bash "$test"
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
		one "$name" "$target" -seed=1 -max_len=512 -len_control=0 -max_total_time=$((${FUZZ_SECONDS:-60} / $(wc -w <<<"$targets"))) \
			-timeout=10 -rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix="$results/$name-"
	done
}

# run_vms KIND SLOWNESS [OPTIONS OF vm.sh...]
run_vms() {
	local kind=$1 slowness=$2 scripts script options rest log boot=0
	shift 2
	if [ -n "${TESTS:-}" ]; then
		scripts=$(for script in $TESTS; do echo "tests/${script%.sh}.sh"; done)
	else
		scripts=$(ls tests/vm_*.sh)
	fi
	if [[ $scripts == *vm_ktls_upstream* ]]; then
		one build-upstream-tests tests/upstream_tls.sh build/tests/upstream_tls
	fi
	declare -A groups=()
	local order=()
	for script in $scripts; do
		options=$(sed -n 's/^# vm: *//p' "$script" | head -n 1)
		[ -n "${groups[x$options]:-}" ] || order+=("$options")
		groups[x$options]+=" $script"
	done
	for options in "${order[@]}"; do
		rest=${groups[x$options]}
		# A guest that dies takes only one script with it: those behind it get another boot.
		while [ -n "$rest" ]; do
			boot=$((boot + 1))
			log=$results/$kind-$boot.log
			scripts=$rest
			rest=
			echo "-- $kind boot $boot${options:+ ($options)}:${scripts//tests\//}"
			# shellcheck disable=SC2086
			tests/vm.sh --timeout $((900 * slowness)) --out "$results/$kind-$boot" "$@" $options -- \
				tests/guest-run.sh "$slowness" $scripts 2>&1 | collect "$log"
			for script in $scripts; do
				grep -q "^# begin $(basename "$script" .sh)\$" "$log" || rest+=" $script"
			done
			[ "$rest" = "$scripts" ] || continue
			framed "$kind-boot-$boot" never_ran "$log"
			break
		done
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
	run_vms debug 5 --kernel build/debug-kernel --modules build/debug-modules
}

for group in "$@"; do
	case $group in
	modules) one modules-without-warnings modules_without_warnings ;;
	host) run_host ;;
	riscv) one firmware-riscv make -s -j"$(nproc)" firmware-riscv ;;
	fuzz) run_fuzz ;;
	vm) run_vms vm 1 ;;
	debug) run_debug ;;
	*) echo "check: no such group: $group" >&2 && exit 1 ;;
	esac
done

passed=0 failed=0
while read -r p f; do
	passed=$((passed + p)) failed=$((failed + f))
done <"$results/counts"
if [ -s "$results/failures" ]; then
	echo
	echo "Failures (all output is in build/check):"
	cat "$results/failures"
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
