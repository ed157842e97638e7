#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Installs or fetches what a build or a test run needs, and says nothing when nothing is missing.
#
#   tests/setup.sh build|demo|check|debug...   install these groups with apt, fetch the guest's kernel and programs
#   tests/setup.sh need build|check|...   install nothing; one sentence and exit 1 when something is missing
#   tests/setup.sh kdir                   print the kernel headers to build against (KDIR, or the newest 6.12)
#
# The kernel that a VM boots and the programs that only guests run (nginx, busybox, a newer OpenSSL) are unpacked under
# build/ and never installed: no service starts on this machine, and its own kernel stays what it is.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

BUILD=$PWD/build
LOG=$BUILD/setup.log

die() { echo "setup: $*" >&2; exit 1; }
say() { echo "setup: $*"; }

packages() {
	case $1 in
	build) echo build-essential qemu-system-x86 libipsec-mb-dev libssl-dev ethtool iproute2 curl openssl ca-certificates \
		kmod xz-utils zstd cpio procps util-linux ;;
	check) echo gcc-riscv64-unknown-elf sparse clang libclang-rt-dev linux-source-6.12 ;;
	debug) echo linux-source-6.12 flex bison bc libelf-dev ;;
	demo) ;;
	*) die "no such group: $1 (there are build, demo, check and debug)" ;;
	esac
}

# Debian 12 has 6.12 beside its own 6.1, Debian 13 has it as the default.
headers_package() {
	local id=''
	[ ! -r /etc/os-release ] || id=$(. /etc/os-release && echo "${ID:-}${VERSION_ID:-}")
	if [ "$id" = debian12 ]; then echo linux-headers-6.12-amd64; else echo linux-headers-amd64; fi
}

kdir() {
	local dir
	if [ -n "${KDIR:-}" ]; then
		[ -r "$KDIR/Makefile" ] || die "KDIR=$KDIR has no Makefile: point it at kernel headers or a configured kernel tree"
		(cd "$KDIR" && pwd)
		return
	fi
	# The plain amd64 flavour: the cloud kernel has no 9p, which the test bed mounts its root with.
	# shellcheck disable=SC2010 # the names are Debian's
	dir=$(ls -d /usr/src/linux-headers-6.12.*-amd64 2>/dev/null | grep -vE -- '-(cloud|rt)-amd64$' | sort -V | tail -n 1) || :
	[ -n "$dir" ] || return 1
	echo "$dir"
}

missing_packages() {
	local want=() have p g
	for g in "$@"; do
		# shellcheck disable=SC2207
		want+=($(packages "$g"))
	done
	have=" $(dpkg-query -W -f '${Package}:${db:Status-Status} ' "${want[@]}" 2>/dev/null || :) "
	for p in "${want[@]}"; do
		[[ $have == *" $p:installed "* ]] || echo "$p"
	done
	kdir >/dev/null || headers_package
}

apt_updated=
apt_update() {
	command -v apt-get >/dev/null || die "there is no apt-get here: this needs Debian 12 or 13, or everything installed by hand"
	[ -z "$apt_updated" ] || return 0
	apt_updated=y
	mkdir -p "$BUILD"
	# Only root can refresh the lists; a download by somebody else works with the lists there are.
	[ "$(id -u)" != 0 ] || apt-get -q -o DPkg::Lock::Timeout=600 update >>"$LOG" 2>&1 ||
		die "apt-get update failed (see $LOG): check this machine's network and /etc/apt/sources.list"
}

apt() { apt-get -q -y -o DPkg::Lock::Timeout=600 "$@" </dev/null >>"$LOG" 2>&1; }

install_packages() {
	local missing
	missing=$(missing_packages "$@" | tr '\n' ' ')
	missing=${missing% }
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || die "as root, run: apt-get install --no-install-recommends $missing"
	say "installing $missing"
	apt_update
	# shellcheck disable=SC2086
	apt install --no-install-recommends $missing ||
		die "apt could not install these ($(grep '^E:' "$LOG" | tail -n 1)); 6.12 in Debian 12 needs bookworm-security in its sources"
	kdir >/dev/null || die "$(headers_package) is not a 6.12 kernel here: install 6.12 headers and set KDIR= to them"
}

# unpack DIR PACKAGE...: into a new DIR, all or nothing; directories that Debian merged into /usr are merged here too, so
# that DIR can be laid over a root file system.
unpack() {
	local dir=$1 tmp p d
	shift
	apt_update
	tmp=$(mktemp -d "$BUILD/unpack.XXXXXX")
	chmod 755 "$tmp"
	for p in "$@"; do
		(cd "$tmp" && apt download "$p") || { rm -rf "$tmp"; return 1; }
	done
	for p in "$tmp"/*.deb; do
		dpkg -x "$p" "$tmp/tree" || { rm -rf "$tmp"; return 1; }
	done
	for d in bin sbin lib lib64; do
		[ -d "$tmp/tree/$d" ] || continue
		mkdir -p "$tmp/tree/usr/$d"
		cp -a "$tmp/tree/$d/." "$tmp/tree/usr/$d/"
		rm -rf "${tmp:?}/tree/$d"
	done
	rm -rf "$dir"
	mv "$tmp/tree" "$dir"
	rm -rf "$tmp"
}

# fetch_kernel: build/kernel/vmlinuz and build/kernel/lib/modules/VERSION, of the version of the headers.
fetch_kernel() {
	local ver tree=$BUILD/kernel-tree
	ver=$(kernel_version)
	[ "$(cat "$BUILD/kernel/version" 2>/dev/null)" != "$ver" ] || return 0
	rm -rf "$BUILD/kernel" "$tree"
	mkdir -p "$BUILD/kernel/lib/modules"
	if [ -r "/boot/vmlinuz-$ver" ] && [ -d "/lib/modules/$ver/kernel" ]; then
		ln -s "/boot/vmlinuz-$ver" "$BUILD/kernel/vmlinuz"
		ln -s "/lib/modules/$ver" "$BUILD/kernel/lib/modules/$ver"
	elif [ -r "$(kdir)/arch/x86/boot/bzImage" ]; then
		# A kernel tree that somebody built.
		ln -s "$(kdir)/arch/x86/boot/bzImage" "$BUILD/kernel/vmlinuz"
		make -s -C "$(kdir)" INSTALL_MOD_PATH="$BUILD/kernel" modules_install >>"$LOG" 2>&1 ||
			die "the modules of KDIR=$KDIR do not install (see $LOG): build them first with 'make modules' there"
	else
		say "fetching kernel $ver"
		# The signed image and the unsigned one hold the same kernel; not every archive has both at all times.
		unpack "$tree" "linux-image-$ver" || unpack "$tree" "linux-image-$ver-unsigned" || return 1
		mv "$tree/boot/vmlinuz-$ver" "$BUILD/kernel/vmlinuz"
		mv "$tree/usr/lib/modules/$ver" "$BUILD/kernel/lib/modules/$ver"
		rm -rf "$tree"
		depmod -b "$BUILD/kernel" "$ver"
	fi
	echo "$ver" >"$BUILD/kernel/version"
}

kernel_version() {
	local dir
	dir=$(kdir) || exit 1
	cat "$dir/include/config/kernel.release" 2>/dev/null ||
		die "$dir has no include/config/kernel.release: it is not a prepared kernel tree (run 'make modules_prepare' there)"
}

fetch_guest() {
	local list
	if [ ! -x "$BUILD/busybox" ]; then
		say "fetching busybox for the initramfs"
		unpack "$BUILD/busybox-tree" busybox-static || die "apt has no busybox-static for download (see $LOG): check its sources"
		cp "$BUILD/busybox-tree/usr/bin/busybox" "$BUILD/busybox"
		rm -rf "$BUILD/busybox-tree"
	fi
	if [ ! -e "$BUILD/guest" ]; then
		# What this machine lacks of nginx, libraries included; nothing at all where it is installed.
		apt_update
		list=$(apt-get -s -o Debug::NoLocking=1 --no-install-recommends install nginx 2>>"$LOG" | sed -n 's/^Inst \([^ ]*\) .*/\1/p')
		if command -v nginx >/dev/null || [ -x /usr/sbin/nginx ]; then
			mkdir -p "$BUILD/guest"
		else
			[ -n "$list" ] || die "apt has no nginx for download (see $LOG): check its sources"
			say "fetching nginx for the guest"
			# shellcheck disable=SC2086
			unpack "$BUILD/guest" $list || die "nginx does not download (see $LOG): check this machine's network"
		fi
	fi
}

# fetch_openssl: build/guest-trixie, the OpenSSL of Debian 13 with its libraries and their loader, for the guest. Empty
# where the installed one is new enough. With an apt of its own: sources, lists and cache are under build/, and what is
# installed here does not count.
fetch_openssl() {
	local apt=$BUILD/apt-trixie mirror
	[ ! -e "$BUILD/guest-trixie" ] || return 0
	if dpkg --compare-versions "$(dpkg-query -W -f '${Version}' openssl 2>/dev/null || echo 0)" ge 3.5; then
		mkdir -p "$BUILD/guest-trixie"
		return
	fi
	# The mirror that this machine takes Debian from
	mirror=$(apt-get indextargets --format '$(LABEL) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		sed -n 's/^Debian main //p' | head -n 1)
	say "fetching Debian 13's OpenSSL for the guest"
	rm -rf "$apt"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/sources.d"
	: >"$apt/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian/} trixie main" \
		>"$apt/sources.list"
	cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/sources.d";
Dir::Etc::preferences "$apt/preferences";
Dir::Etc::preferencesparts "$apt/sources.d";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
	# apt is told of that file in a subshell: the rest of this script goes on with this machine's
	(
		export APT_CONFIG=$apt/apt.conf
		apt update && apt_updated=y && unpack "$BUILD/guest-trixie" openssl libssl3t64 libc6 libzstd1 zlib1g
	) || die "Debian 13's openssl does not download (see $LOG): check this machine's network and its mirror"
	rm -rf "$apt"
}

ready() {
	[ "$(cat "$BUILD/kernel/version" 2>/dev/null)" = "$(kernel_version)" ] && [ -x "$BUILD/busybox" ] && [ -e "$BUILD/guest" ]
}

command -v dpkg-query >/dev/null || die "this needs Debian 12 or 13: there is no dpkg here"
[ "$(uname -m)" = x86_64 ] || die "this needs an x86_64 machine: the NIC's VM boots Debian's amd64 kernel"

case ${1:-} in
'') die "say which group: build, check or debug" ;;
kdir)
	kdir || die "there are no 6.12 kernel headers here: run 'make setup' as root, or set KDIR="
	;;
need)
	shift
	missing=$(missing_packages "$@" | tr '\n' ' ')
	[ -z "$missing" ] || die "missing: ${missing% } (run 'make setup' as root)"
	;;
*)
	install_packages "$@"
	if ! ready; then
		fetch_guest
		if ! fetch_kernel; then
			# An archive keeps the newest images only: headers that were left behind have to catch up.
			old=$(kernel_version)
			if [ -n "${KDIR:-}" ] || [ "$(id -u)" != 0 ] || ! apt install --no-install-recommends "$(headers_package)" ||
				[ "$(kernel_version)" = "$old" ] || ! fetch_kernel; then
				die "apt has no linux-image-$old (see $LOG): install headers of a kernel that it has, or set KDIR="
			fi
		fi
	fi
	[[ " $* " != *' check '* && " $* " != *' demo '* ]] || fetch_openssl
	;;
esac
