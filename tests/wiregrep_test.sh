#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# wiregrep finds what is in the clear, at any offset; it does not find what is not, and says so when a capture is broken.
set -u
# shellcheck source=tests/guest-lib.sh
. "$(dirname "$0")/guest-lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/wiregrep-test.XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

wiregrep=${WIREGREP:-$dir/wiregrep}
[ -n "${WIREGREP:-}" ] ||
	gcc -g -O1 -Wall -Wextra -fsanitize=address,undefined -fno-sanitize-recover=all -I"$here/../tools/sealnic-model" -o wiregrep "$here/wiregrep.c" \
		"$here/../tools/sealnic-model/blocks.c" ||
	give_up "wiregrep.c does not build"

# number BYTES VALUE: little-endian, or big-endian where $big is set
big=
number() {
	local i
	for ((i = 0; i < $1; i++)); do
		# shellcheck disable=SC2059
		printf "\\x$(printf %02x $(($2 >> 8 * (${big:+$1 - 1 - }i) & 255)))"
	done
}

pcap_header() { number 4 $((${1:-0xa1b2c3d4})); number 2 2; number 2 4; number 4 0; number 4 0; number 4 65535; number 4 1; }

# frame FILE [CAPTURED]: the file as a frame
frame() {
	local n
	n=$(stat -c %s "$1")
	number 4 1; number 4 2; number 4 "${2:-$n}"; number 4 "$n"
	cat "$1"
}

# piece FROM BYTES: of the file that is looked for
piece() { tail -c +$(($1 + 1)) file | head -c "$2"; }

# refuses WHAT FILE PCAP [...]: status 2, a sentence that holds WHAT, and no result
refuses() {
	local want=$1 said status=0
	shift
	said=$("$wiregrep" "$@" 2>&1) || status=$?
	echo "status $status: $said"
	[ $status = 2 ] && [[ $said == *"$want"* && $said != *hits* ]]
}

# 4096 blocks of 32 bytes, each of four lines that come once
seq 1000000 1016383 >file
tac file >backwards
head -c 1400 backwards >noise

# odd offsets, in the file as on the wire: a piece of n bytes holds (n - 31) / 32 whole blocks at least
{ printf abc; piece 64 320; printf x; } >f1		# 10 blocks
{ head -c 77 noise; piece 1001 200; } >f2		# from block 32 on: 5 blocks
{ pcap_header; frame noise; frame f1; frame noise; frame f2; } >planted
is "$("$wiregrep" file planted)" '{"file_blocks":4096,"frames":4,"bytes":3401,"hits":15,"distinct_blocks":15}' \
	"finds planted blocks at odd offsets"

{ pcap_header; frame f1; frame f1; } >twice
is "$("$wiregrep" file twice)" '{"file_blocks":4096,"frames":2,"bytes":648,"hits":20,"distinct_blocks":10}' \
	"a block that comes twice is two hits"

piece 131040 32 >last
{ pcap_header; frame last; } >at_the_end
is "$("$wiregrep" file at_the_end)" '{"file_blocks":4096,"frames":1,"bytes":32,"hits":1,"distinct_blocks":1}' \
	"finds the file's last block in a frame that holds nothing else"

{ piece 0 31; printf x; } >almost
{ pcap_header; frame almost; frame noise; } >none
is "$("$wiregrep" file none)" '{"file_blocks":4096,"frames":2,"bytes":1432,"hits":0,"distinct_blocks":0}' \
	"does not find 31 of 32 bytes"

split -b 8000 backwards part.
{ pcap_header; for f in part.*; do frame "$f"; done; } >shuffled
is "$("$wiregrep" file shuffled)" '{"file_blocks":4096,"frames":17,"bytes":131072,"hits":0,"distinct_blocks":0}' \
	"does not find the same lines in another order"

{ piece 64 16; } >f3
{ piece 80 16; } >f4
{ pcap_header; frame f3; frame f4; } >apart
is "$("$wiregrep" file apart)" '{"file_blocks":4096,"frames":2,"bytes":32,"hits":0,"distinct_blocks":0}' \
	"does not find a block across two frames"
is "$("$wiregrep" file apart --block 16)" '{"file_blocks":8192,"frames":2,"bytes":32,"hits":2,"distinct_blocks":2}' \
	"finds it there in smaller blocks"

for magic in 0xa1b2c3d4 0xa1b23c4d; do
	for big in '' y; do
		{ pcap_header $magic; frame f1; } >other
		is "$("$wiregrep" file other)" '{"file_blocks":4096,"frames":1,"bytes":324,"hits":10,"distinct_blocks":10}' \
			"reads magic $magic, $([ -n "$big" ] && echo big || echo little)-endian"
	done
done
big=

pcap_header >empty
is "$("$wiregrep" file empty)" '{"file_blocks":4096,"frames":0,"bytes":0,"hits":0,"distinct_blocks":0}' \
	"reads a capture without frames"

{ head -c 3200 /dev/zero; head -c 3200 /dev/zero | tr '\0' '\377'; piece 0 64; } >sparse
head -c 1000 /dev/zero >zeros
{ pcap_header; frame zeros; } >padding
is "$("$wiregrep" sparse padding)" '{"file_blocks":2,"frames":1,"bytes":1000,"hits":0,"distinct_blocks":0}' \
	"leaves out blocks of one repeated byte"

size=$(stat -c %s planted)
bad=
for ((cut = 1; cut < size; cut++)); do
	head -c $((size - cut)) planted >short
	case $((size - cut)) in
	24 | 1440 | 1780 | 3196) continue ;; # between two frames
	esac
	"$wiregrep" file short >out 2>&1
	[ $? = 2 ] || bad+=" $((size - cut))"
	[ $cut -lt 40 ] || cut=$((cut + 37))
done
is "$bad" "" "a capture that is cut off is an error, wherever the cut"

{ pcap_header; frame noise 4000000000; } >huge
check "a frame longer than it can be is an error" refuses "more bytes captured" file huge
{ pcap_header; number 4 1; number 4 2; number 4 4294967295; number 4 4294967295; cat noise; } >huge
check "a frame longer than the capture is an error" refuses "cut off" file huge
{ number 4 0x0a0d0d0a; cat planted; } >ng
check "another format is an error" refuses "not a classic pcap" file ng
: >nothing
check "an empty capture file is an error" refuses "too short" file nothing
check "an empty file is an error" refuses "no blocks" nothing planted
check "a file of zeros is an error" refuses "no blocks" zeros planted
check "a capture that does not exist is an error" refuses "No such file" file nowhere
check "a directory is an error" refuses "not a regular file" . planted
check "a bad block size is an error" refuses "multiple of 8" file planted --block 20
check "a missing argument is an error" refuses usage file
finish
