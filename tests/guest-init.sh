#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The first process of a test VM, in two stages: in the initramfs, under busybox, it puts the root file system together
# (the host's root over 9p, read-only, below a tmpfs); then, on that root, it runs the script that vm.sh was given and
# powers off. Its ports: ttyS0 is the script's output, ttyS1 the model's control socket, ttyS2 vm.sh, ttyS3 the
# kernel's console.

share() { # share TAG DIR OPTIONS: one of vm.sh's 9p shares
	mkdir -p "$2"
	mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2"
}

if [ "${1:-}" != stage2 ]; then
	set -e
	/bin/busybox mkdir -p /proc /sys /dev /sbin /usr/bin /usr/sbin
	/bin/busybox --install -s
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t devtmpfs dev /dev
	# In the order of their dependencies; empty where the kernel has them built in.
	while read -r module; do insmod "/modules/$module"; done </modules/order

	mount -t tmpfs -o mode=755 tmpfs /mnt
	mkdir /mnt/upper /mnt/work /mnt/root
	# The host does not change under a test, so its files may be cached; /out is shared for real.
	share host /mnt/host ro,cache=loose
	share guest /mnt/guest ro,cache=loose
	mount -t overlay -o lowerdir=/mnt/guest:/mnt/host,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
	cd /mnt/root
	for fs in proc sys dev; do
		mkdir -p $fs
		mount -o move /$fs $fs
	done
	mkdir -p run tmp
	mount -t tmpfs -o mode=755 tmpfs run
	share kernel run/kernel ro,cache=loose
	share out out cache=none
	cp /bin/busybox run/busybox
	exec switch_root /mnt/root /bin/sh /out/.vm/init stage2
fi

# Last, busybox has what a small machine lacks: ping, for one.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/applets HOME=/root TERM=dumb LC_ALL=C
mkdir -p /dev/pts /dev/shm /run/lock /run/applets
for fd in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -s "/proc/self/${fd#*:}" "/dev/${fd%%:*}"; done
/run/busybox --install -s /run/applets
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
# Each time that a program starts, each of its files is opened over 9p, if it is not in the overlay's own memory. For the
# same reason LC_ALL is C, which needs no files.
xargs touch -c </out/.vm/programs
# The kernel's modules, unless it is the one that the host has installed too.
modules=/lib/modules/$(uname -r)
# shellcheck disable=SC3013 # dash and busybox know -ef
if [ ! "/run/kernel$modules" -ef "$modules" ]; then
	mkdir -p "$modules"
	mount --bind "/run/kernel$modules" "$modules"
fi

# Without udev nothing loads by CPU feature, and AES would be the generic C code at a thirteenth of the speed.
for module in aesni-intel ghash-clmulni-intel chacha-x86_64 poly1305-x86_64; do modprobe -q $module; done
ip link set lo up
hostname sealnic-vm 2>/dev/null
# Raw, and no echo: an echoed reply would be the other side's next command. Held open, so that it stays so.
for tty in /dev/ttyS0 /dev/ttyS1 /dev/ttyS2; do stty -F $tty 115200 raw -echo clocal; done
exec 7<>/dev/ttyS1 8<>/dev/ttyS2

# Its own session, so that what it leaves behind can be told apart; fds 7 and 8 are not its business.
setsid -w /bin/bash /out/.vm/run </dev/null >/dev/ttyS0 2>&1 7>&- 8>&-
status=$?
dmesg >/out/dmesg
# Written whole or not at all: vm.sh takes its absence for a guest that died.
echo $status >/out/.vm/status.new && mv /out/.vm/status.new /out/.vm/status
/run/busybox poweroff -f
