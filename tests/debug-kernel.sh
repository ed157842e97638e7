#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the kernel of `make check-debug` from Debian's source package, once: build/debug-kernel gets vmlinuz and
# lib/modules for vm.sh, and obj, the KDIR that modules for it are built against. tests/debug.config is its
# configuration and says what is in it.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

dir=$PWD/build/debug-kernel
source=$dir/linux-source-6.12
tarball=/usr/src/linux-source-6.12.tar.xz
log=$dir/build.log

die() { echo "debug-kernel: $*" >&2; exit 1; }
say() { echo "debug-kernel: $*"; }

[ -r $tarball ] || die "there is no $tarball: run 'tests/setup.sh debug' as root"
mkdir -p "$dir"
# Two runs at once would build the same tree.
exec 9>"$dir/lock"
flock 9

version=$(dpkg-query -W -f '${Version}' linux-source-6.12 2>/dev/null || stat -c %Y $tarball)
stamp="$version $(sha256sum <tests/debug.config)"
[ "$(cat "$dir/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
rm -f "$dir/stamp"

if [ "$(cat "$dir/source-version" 2>/dev/null)" != "$version" ]; then
	say "unpacking linux-source-6.12 $version"
	rm -rf "$source" "$dir/obj"
	tar -C "$dir" -xf $tarball
	echo "$version" >"$dir/source-version"
fi

run_make() { nice -n 10 make -s -C "$source" O="$dir/obj" ARCH=x86_64 "$@" >>"$log" 2>&1 </dev/null; }

say "configuring"
: >"$log"
mkdir -p "$dir/obj"
run_make KCONFIG_ALLCONFIG="$PWD/tests/debug.config" allnoconfig || die "the configuration fails (see $log)"
# An option that Kconfig dropped without a word would be a checker that is not there.
lost=$(grep -E '^(# )?CONFIG_' tests/debug.config | grep -vxFf "$dir/obj/.config" || :)
[ -z "$lost" ] || die "tests/debug.config asks for what this kernel does not offer: ${lost//$'\n'/, }"

say "building (about 10 minutes on 2 cores)"
run_make -j"$(nproc)" bzImage modules || die "the build fails (see $log): $(grep -m 1 -i error "$log")"
rm -rf "${dir:?}/lib"
run_make INSTALL_MOD_PATH="$dir" INSTALL_MOD_STRIP=1 modules_install || die "modules_install fails (see $log)"
cp "$dir/obj/arch/x86/boot/bzImage" "$dir/vmlinuz"
echo "$stamp" >"$dir/stamp"
