#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What goes into a kernel is in the kernel's style: checkpatch --strict and kernel-doc have nothing to say of it.
# checkpatch comes from the distribution's kernel source, kernel-doc with the kernel headers.
set -euo pipefail
cd "$(dirname "$0")/.."
die() { echo "kernel_style: $*" >&2; exit 1; }

tar=/usr/src/linux-source-6.12.tar.xz
dir=$PWD/build/checkpatch
files=(checkpatch.pl spelling.txt const_structs.checkpatch)
[ -r $tar ] || die "there is no $tar: run 'tests/setup.sh check' as root"
if [ ! "$dir/checkpatch.pl" -nt $tar ]; then
	mkdir -p "$dir"
	{ xz -dcT0 $tar || :; } 2>/dev/null | tar -xm -C "$dir" --strip-components=2 --occurrence=1 "${files[@]/#/linux-source-6.12/scripts/}" ||
		die "$tar does not have what a kernel source has"
fi
doc=$(tests/setup.sh kdir)/scripts/kernel-doc
[ -e "$doc" ] || doc=$(ls -d /usr/lib/linux-kbuild-6.12*/scripts/kernel-doc | tail -n 1)

mapfile -t sources < <(find net drivers include tests/ktls_kernel -name '*.[ch]' ! -name '*.mod.c' | sort)
status=0 plain=()
checkpatch() { # checkpatch IGNORE FILE...
	perl "$dir/checkpatch.pl" --no-tree --strict --terse --quiet --no-summary --ignore "$1" --file "${@:2}" || status=1
}
# ethtool's names of link modes; operations that are copied from another family's; initialisers by macro
usual=CAMELCASE,CONST_STRUCT,MACRO_ARG_REUSE
for file in "${sources[@]}"; do
	case $file in
	# Firmware has it, too, and no BIT()
	*/hw.h) checkpatch $usual,BIT_MACRO "$file" ;;
	# As all the kernel's tracepoints
	*/trace.h) checkpatch $usual,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT "$file" ;;
	*) plain+=("$file") ;;
	esac
done
checkpatch $usual "${plain[@]}"
said=$(perl "$doc" -none -Wall "${sources[@]}" 2>&1 | grep -v '^$') || :
[ -z "$said" ] || { echo "$said"; status=1; }
exit $status
