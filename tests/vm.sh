#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Boots one VM with the sealnic in it, runs one script in the guest, and ends with the script's exit status.
#
#   tests/vm.sh [options] -- SCRIPT [ARGS...]
#
#   --smp N            CPUs (2)
#   --mem MB           guest RAM (4096: some of it above 4 GiB)
#   --machine q35|pc   (q35)
#   --accel STR        QEMU's accelerator (KVM where the CPU has it, else tcg,thread=multi)
#   --cpu STR          QEMU's CPU model (max; under tcg without what it is slow at)
#   --append STR       more kernel parameters
#   --kernel DIR       vmlinuz and lib/modules/VERSION (build/kernel)
#   --modules DIR      the tree that holds the modules under test (this repository)
#   --timeout S        kill the VM after so many seconds and fail (600)
#   --out DIR          directory that is /out in the guest; emptied first (build/out)
#   --no-nic           neither model nor NIC
#   --model FILE       the model's program (build/sealnic-model)
#   --model-arg ARG    one more argument for the model; a --wire among them replaces the default pair
#   --ports N          NIC ports (2)
#   --vectors N        MSI-X vectors per port (9)
#   --qemu-arg ARG     one more argument for QEMU
#
# In an argument for the model or for QEMU, @run@ is a directory of this VM alone, for sockets between the two.
#
# The script runs on this machine's own root file system, which it cannot write to; what it writes lives in the guest's
# memory, except for /out. Its output appears here as it comes. In the output directory are left: dmesg, console.log
# (the kernel's warnings, also of a guest that died), model.log, qemu.log and cpu.log.
#
# The guest can order what only the outside can do ("operator" in guest-lib.sh; serve() below is the list).
set -euo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd)
export LC_ALL=C

die() { echo "vm: $*" >&2; exit 1; }

smp=2 mem=4096 machine=q35 accel='' cpu='' append='' timeout=600 nic=y ports=2 vectors=9
kernel=$repo/build/kernel modules=$repo out=$repo/build/out model=$repo/build/sealnic-model
model_args=() qemu_args=() wire=(--wire pair=0:1)
while [ $# -gt 0 ]; do
	case $1 in
	--) shift; break ;;
	--no-nic) nic=; shift; continue ;;
	--*) [ $# -ge 2 ] || die "$1 needs a value" ;;
	*) die "say -- before the script" ;;
	esac
	case $1 in
	--smp) smp=$2 ;;
	--mem) mem=$2 ;;
	--machine) machine=$2 ;;
	--accel) accel=$2 ;;
	--cpu) cpu=$2 ;;
	--append) append=$2 ;;
	--kernel) kernel=$(realpath "$2") ;;
	--modules) modules=$(realpath "$2") ;;
	--timeout) timeout=$2 ;;
	--out) out=$(realpath -m "$2") ;;
	--model) model=$(realpath "$2") ;;
	--model-arg) model_args+=("$2"); [[ $2 != --wire* ]] || wire=() ;;
	--ports) ports=$2 ;;
	--vectors) vectors=$2 ;;
	--qemu-arg) qemu_args+=("$2") ;;
	*) die "no such option: $1" ;;
	esac
	shift 2
done
[ $# -gt 0 ] || die "say which script to run"
[ -r "$1" ] || die "there is no script $1"
script=$(realpath "$1")
shift
case $machine in q35 | pc) ;; *) die "no such machine: $machine (there are q35 and pc)" ;; esac

command -v qemu-system-x86_64 >/dev/null || die "there is no qemu-system-x86_64: run 'make setup' as root"
[ -r "$kernel/vmlinuz" ] && [ -x "$repo/build/busybox" ] && [ -d "$repo/build/guest" ] ||
	die "there is no kernel in $kernel or no busybox in build/: run 'make setup' as root"
shim=$repo/build/tests/ivshmem-unplug.so
[ -z "$nic" ] || { [ -x "$model" ] && [ -e "$shim" ]; } || die "there is no $model or no $shim: run 'make model tests'"

# Sockets get short names in the private directory, whatever the length of the repository's path.
run=$(mktemp -d "${TMPDIR:-/tmp}/sealnic-vm.XXXXXX")
model_args=("${model_args[@]//@run@/$run}") qemu_args=("${qemu_args[@]//@run@/$run}")
ram_dir=
qemu_pid='' model_pid=''

# Every way out of here ends what was started here, by its pid.
cleanup() {
	trap - EXIT INT TERM HUP
	[ -z "$qemu_pid" ] || { kill -KILL "$qemu_pid" && wait "$qemu_pid"; } 2>/dev/null || :
	stop_model TERM
	rm -rf "$run" ${ram_dir:+"$ram_dir"}
}

# A model that ignores SIGTERM for two seconds is killed.
stop_model() { # stop_model SIGNAL
	local i
	[ -n "$model_pid" ] || return 0
	kill "-$1" "$model_pid" 2>/dev/null || :
	for ((i = 0; i < 20; i++)); do
		kill -0 "$model_pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$model_pid" 2>/dev/null || :
	model_pid=
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The RAM file is sparse, but a file system that cannot hold all of it would kill QEMU with SIGBUS later.
free_mb=$(df -m --output=avail /dev/shm 2>/dev/null | tail -n 1 || echo 0)
if [ "$free_mb" -gt $((mem + 64)) ] && [ -w /dev/shm ]; then
	ram_dir=$(mktemp -d /dev/shm/sealnic-vm.XXXXXX)
else
	ram_dir=$(mktemp -d "$repo/build/vm-ram.XXXXXX")
fi
ram=$ram_dir/ram
truncate -s "${mem}M" "$ram"

rm -rf "$out"
mkdir -p "$out/.vm"
cp "$repo/tests/guest-init.sh" "$out/.vm/init"
{
	printf 'cd %q\n' "$repo"
	printf 'export SEALNIC_REPO=%q SEALNIC_MODULES=%q SEALNIC_PORTS=%q SEALNIC_OUT=%q\n' "$repo" "$modules" "${nic:+$ports}" "$out"
	# What a script can be told by hand
	for name in SEED FULL SOAK KTLS; do
		[ -z "${!name:-}" ] || printf 'export %s=%q\n' "$name" "${!name}"
	done
	printf 'exec bash'
	printf ' %q' "$script" "$@"
	echo
} >"$out/.vm/run"

# What scripts call all the time, and its libraries, for guest-init.sh to copy into the guest's memory.
programs="bash sed grep awk ip ss tc ethtool devlink nsenter cat head cut sort tr wc sleep basename dirname readlink ls rm
	timeout dmesg kmod"
for program in $programs "$repo/build/tests/tcp_tool" "$repo/build/tests/udp_tool"; do
	program=$(type -P "$program") || continue
	echo "$program"
	ldd "$program" 2>/dev/null | grep -o '/[^ ]*' || :
done | xargs readlink -f /etc/ld.so.cache | sort -u >"$out/.vm/programs"

# make_initramfs FILE: busybox, guest-init.sh, and the modules that it takes to mount the root.
make_initramfs() {
	local dir version path name
	dir=$(mktemp -d "$run/initramfs.XXXXXX")
	version=$(basename "$kernel"/lib/modules/*)
	mkdir -p "$dir/bin" "$dir/modules" "$dir/dev" "$dir/mnt"
	cp "$repo/build/busybox" "$dir/bin/busybox"
	ln -s busybox "$dir/bin/sh"
	cp "$repo/tests/guest-init.sh" "$dir/init"
	chmod 755 "$dir/init"
	/sbin/modprobe -d "$kernel" -S "$version" -a --show-depends virtio_pci 9p 9pnet_virtio overlay >"$run/depends" ||
		die "$kernel lacks the modules that mount the root (9p, overlay): it is not the full amd64 kernel"
	sed -n 's/^insmod \([^ ]*\).*/\1/p' "$run/depends" | awk '!seen[$0]++' | while read -r path; do
		name=$(basename "$path")
		case $name in
		*.xz) name=${name%.xz} && xz -dc "$path" >"$dir/modules/$name" ;;
		*.zst) name=${name%.zst} && zstd -dcq "$path" >"$dir/modules/$name" ;;
		*) cp "$path" "$dir/modules/$name" ;;
		esac
		echo "$name"
	done >"$dir/modules/order"
	(cd "$dir" && find . | "$repo/build/busybox" cpio -o -H newc 2>/dev/null) >"$run/initramfs"
	# Whole or not at all: another VM may be about to boot it
	mv "$run/initramfs" "$1.$$"
	mv "$1.$$" "$1"
	rm -rf "$dir"
}

initramfs=$kernel/initramfs.cpio
if [ ! -e "$initramfs" ] || [ "$repo/tests/guest-init.sh" -nt "$initramfs" ] ||
	[ "$repo/tests/vm.sh" -nt "$initramfs" ] || [ "$kernel/vmlinuz" -nt "$initramfs" ]; then
	make_initramfs "$initramfs"
fi

# QEMU and the model die with this shell, even where it dies of SIGKILL.
tied=(setpriv --pdeathsig KILL --)

reply=
start_model() { # on failure $reply says why
	local args=() i
	[ -z "$model_pid" ] || ! kill -0 "$model_pid" 2>/dev/null || { reply="the model is running"; return 1; }
	for ((i = 0; i < ports; i++)); do
		rm -f "$run/port$i"
		args+=(--port "sock=$run/port$i,ram=$ram,size=$((mem << 20)),machine=$machine,vectors=$vectors")
	done
	rm -f "$run/ctl"
	"${tied[@]}" "$model" "${args[@]}" "${wire[@]}" --ctl "$run/ctl" "${model_args[@]}" >>"$out/model.log" 2>&1 </dev/null &
	model_pid=$!
	disown "$model_pid" # its death is often meant, and bash need not announce it
	for ((i = 0; i < 600; i++)); do
		[ ! -S "$run/port$((ports - 1))" ] || return 0
		kill -0 "$model_pid" 2>/dev/null || break
		sleep 0.1
	done
	reply="the model did not start: $(tail -n 1 "$out/model.log")"
	return 1
}

if [ -z "$accel" ]; then
	# An existing /dev/kvm proves nothing where the CPU lacks the extensions.
	accel=tcg,thread=multi
	if grep -qwE 'vmx|svm' /proc/cpuinfo && { : <>/dev/kvm; } 2>/dev/null; then accel=kvm; fi
fi

# Under tcg, copying with rep movsb goes byte by byte, and each level of page tables costs.
if [ -z "$cpu" ]; then
	cpu=max
	[[ $accel != tcg* ]] || cpu=max,-erms,-fsrm,-la57
fi

# QEMU 9.2 renamed the option.
reconnect=reconnect=1
qemu_version=$(qemu-system-x86_64 --version | sed -n 's/.*version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
read -r major minor <<<"$qemu_version"
[ $((major * 100 + minor)) -lt 902 ] || reconnect=reconnect-ms=500

mkfifo "$run/op.in" "$run/op.out" "$run/qmp.in" "$run/qmp.out"
exec {op_in}<>"$run/op.in" {op_out}<>"$run/op.out" {qmp_in}<>"$run/qmp.in" {qmp_out}<>"$run/qmp.out"

# Emulation is slow and its speed varies: hardware that is only slow must not count as stuck, and the TSC, which cannot
# drift here, must not be given up for a clock that is a device access. QEMU keeps what it translated of a program by
# address: at random ones a shell script takes twice as long.
quirks='tsc=reliable no_timer_check mitigations=off nokaslr norandmaps watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=60'
# To a guest that can never have a second CPU, QEMU gives no memory barriers: the model, which is none, needs them.
args=(-nodefaults -no-user-config -display none -no-reboot
	-machine "$machine,memory-backend=ram0" -accel "$accel" -cpu "$cpu" -smp "$smp,maxcpus=$((smp > 2 ? smp : 2))" -m "${mem}M"
	-object "memory-backend-file,id=ram0,size=${mem}M,mem-path=$ram,share=on"
	-kernel "$kernel/vmlinuz" -initrd "$initramfs"
	-append "console=ttyS3,115200 loglevel=5 panic=-1 oops=panic $quirks $append"
	-chardev "pipe,id=qmp,path=$run/qmp" -mon chardev=qmp,mode=control
	-chardev stdio,id=s0,signal=off -device isa-serial,chardev=s0,index=0
	-chardev "pipe,id=s2,path=$run/op" -device isa-serial,chardev=s2,index=2,irq=6
	-chardev "file,id=s3,path=$out/console.log" -device isa-serial,chardev=s3,index=3,irq=7
	-d cpu_reset -D "$out/cpu.log")
for share in "host:/" "guest:$repo/build/guest" "kernel:$kernel"; do
	args+=(-fsdev "local,id=${share%%:*},path=${share#*:},security_model=none,readonly=on,multidevs=remap"
		-device "virtio-9p-pci,fsdev=${share%%:*},mount_tag=${share%%:*}")
done
args+=(-fsdev "local,id=out,path=$out,security_model=none" -device virtio-9p-pci,fsdev=out,mount_tag=out)

# nic_device N: a root port of its own makes it removable on q35; on pc every slot of the root bus is.
nic_device() {
	local bus=pci.0
	[ "$machine" = pc ] || bus=rp$1
	echo "ivshmem-doorbell,id=nic$1,chardev=iv$1,vectors=$vectors,bus=$bus"
}

if [ -n "$nic" ]; then
	start_model || die "$reply"
	args+=(-chardev "socket,id=s1,path=$run/ctl,$reconnect")
	for ((i = 0; i < ports; i++)); do
		[ "$machine" = pc ] || args+=(-device "pcie-root-port,id=rp$i,bus=pcie.0,chassis=$((i + 1)),slot=$((i + 1))")
		args+=(-chardev "socket,id=iv$i,path=$run/port$i" -device "$(nic_device "$i")")
	done
else
	args+=(-chardev null,id=s1)
fi
args+=(-device isa-serial,chardev=s1,index=1 "${qemu_args[@]}")

"${tied[@]}" env ${nic:+"LD_PRELOAD=$shim"} qemu-system-x86_64 "${args[@]}" </dev/null 2>"$out/qemu.log" &
qemu_pid=$!

# qmp COMMAND [ARGUMENTS]: sets $reply to the answer; events that arrive meanwhile are kept in $events.
events=''
qmp() {
	local line
	printf '{"execute":"%s"%s}\n' "$1" "${2:+,\"arguments\":$2}" >&"$qmp_in"
	while IFS= read -r -t 60 -u "$qmp_out" line; do
		line=${line%$'\r'}
		case $line in
		*'"return": '*) reply=${line#*\"return\": }; reply=${reply%\}}; return 0 ;;
		*'"error": '*) reply=${line#*\"desc\": \"}; reply=${reply%%\"*}; return 1 ;;
		*'"event": '*) events+=$line$'\n' ;;
		esac
	done
	reply="QEMU's monitor did not answer"
	return 1
}

# hmp COMMAND...: the same for a line of the human monitor, which has chardev-add and device_add in QEMU's own syntax.
hmp() {
	local line=${*//\\/\\\\}
	qmp human-monitor-command "{\"command-line\":\"${line//\"/\\\"}\"}" || return 1
	reply=${reply#\"}
	reply=$(printf '%b' "${reply%\"}" | tr -d '\r')
}

# quiet_hmp COMMAND...: for commands that only talk when they fail.
quiet_hmp() { hmp "$@" && [ -z "$reply" ]; }

unplug() {
	local line
	events=''
	quiet_hmp "device_del nic$1" || return 1
	# It is the guest that lets go of the device; QEMU then says so.
	local end=$((SECONDS + 30))
	until [[ $events == *DEVICE_DELETED*"\"nic$1\""* ]]; do
		if [ $SECONDS -ge $end ]; then
			reply="the guest did not let go of nic$1"
			return 1
		fi
		if IFS= read -r -t 1 -u "$qmp_out" line; then events+=$line$'\n'; fi
	done
	quiet_hmp "chardev-remove iv$1"
}

# By the machine's monitor: the human one holds an id that the command line used for taken for ever.
replug() {
	local address="{\"type\":\"unix\",\"data\":{\"path\":\"$run/port$1\"}}"
	qmp chardev-add "{\"id\":\"iv$1\",\"backend\":{\"type\":\"socket\",\"data\":{\"addr\":$address,\"server\":false}}}" &&
		quiet_hmp "device_add $(nic_device "$1")"
}

# serve LINE: carries out one order of the guest and answers it: lines of output, then ok or error: WHY.
serve() {
	local command=${1%% *} rest=''
	[[ $1 != *' '* ]] || rest=${1#* }
	reply=''
	case $command in
	model-kill) stop_model KILL ;;
	model-start) start_model ;;
	unplug) unplug "$rest" ;;
	replug) replug "$rest" ;;
	hmp) hmp "$rest" ;;
	*) reply="no such order: $command"; false ;;
	esac && { [ -z "$reply" ] || [ "$command" != hmp ] || printf '%s\n' "${reply%$'\n'}"; echo ok; } || echo "error: ${reply//$'\n'/ }"
}

line='' part='' late=
qmp qmp_capabilities || die "QEMU did not start: $(tail -n 1 "$out/qemu.log")"
while kill -0 "$qemu_pid" 2>/dev/null; do
	if [ $SECONDS -ge "$timeout" ]; then
		late=y
		break
	fi
	if IFS= read -r -t 0.2 -u "$op_out" part; then
		line+=${part%$'\r'}
		serve "$line" >&"$op_in"
		line=''
	else
		line+=$part # what had come of a line when the wait was over
	fi
done

if [ -n "$late" ]; then
	echo "vm: no end after $timeout s: killed; the guest's kernel said:" >&2
elif [ -e "$out/.vm/status" ]; then
	wait "$qemu_pid" || :
	qemu_pid=''
	status=$(cat "$out/.vm/status")
	rm -rf "$out/.vm"
	exit "$status"
else
	status=0
	wait "$qemu_pid" || status=$?
	qemu_pid=''
	echo "vm: the guest died, and QEMU ended with status $status; they said:" >&2
	tail -n 5 "$out/qemu.log" >&2
	# A triple fault leaves no word in the guest's log
	grep -A 8 'Triple fault' "$out/cpu.log" >&2 2>/dev/null || :
fi
# From the first report on, where there is one: its head says more than its end.
grep -m 1 -A 40 -E 'BUG|Oops|WARNING|KASAN|general protection|panic|INFO: ' "$out/console.log" >&2 || tail -n 40 "$out/console.log" >&2 || :
exit 1
