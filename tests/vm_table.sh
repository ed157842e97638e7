#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A device with room for 16 TLS contexts and 32 connections: software takes the rest, and nobody notices.
#
# vm: --smp 2 --model-arg --contexts --model-arg 16
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"

load_driver || give_up "sealnic.ko does not load"
two_ns || give_up "no two ports"

watch_pattern

# table ROUND: 32 connections at once; their setsockopt()s must all succeed, or the sender fails
table() {
	local device sw failed add
	device=$(tls_stat TlsTxDevice) sw=$(tls_stat TlsTxSw) failed=$(stat tx_tls_add_failed) add=$(stat tx_tls_ctx)
	transfer "$1: 32 connections, all content is right" near 10.0.0.2 --tls 1.2 --connections 32 --port-base 7000 \
		--bytes 200K
	is $(($(tls_stat TlsTxDevice) - device)) 16 "$1: the core counts 16 of them as offloaded"
	is $(($(tls_stat TlsTxSw) - sw)) 16 "$1: the core counts 16 of them as software"
	is $(($(stat tx_tls_add_failed) - failed)) 16 "$1: 16 found the table full"
	is $(($(stat tx_tls_ctx) - add)) 16 "$1: 16 were added"
	check "$1: afterwards the table is empty" wait_for 10 contexts_gone
	is "$(stat tx_tls_ctx)" "$(stat tx_tls_del)" "$1: the driver thinks so too"
}

sealed=$(stat hw_tls_tx_bytes)
table "first round"
# Records are 16 KB and carry 29 bytes more each
between $(($(stat hw_tls_tx_bytes) - sealed)) $((16 * 200 * 1024)) $((17 * 201 * 1024)) "the device sealed its half"

# The table fills up behind connections that stay
stream_start near 10.0.0.2 --tls 1.2 --connections 16 --port-base 8000 --bytes 8M || give_up "no stream"
full() { [ "$(stat hw_tls_ctx)" = 16 ]; }
check "16 connections fill the table" wait_for 20 full
first_rx=$stream_rx first_tx=$stream_tx
before=$(tls_stat TlsTxSw)
transfer "one more is served by software" near 10.0.0.2 --tls 1.2 --bytes 300K
is $(($(tls_stat TlsTxSw) - before)) 1 "and counted so"
kill "$first_rx" "$first_tx" 2>/dev/null
wait "$first_rx" "$first_tx" 2>/dev/null
check "killed connections leave the table" wait_for 10 contexts_gone

# Both directions share the table
open_full() { [ "$(stat hw_tls_rx_ctx)" = 12 ]; }
failed=$(stat rx_tls_add_failed) opened=$(stat hw_tls_rx_bytes)
opening_start 10.0.0.1 --tls 1.2 --connections 12 --port-base 9000 --bytes 4M -- --tls-user || give_up "no stream"
check "12 connections that receive are in the table" wait_for 20 open_full
rx=$stream_rx tx=$stream_tx
device=$(tls_stat TlsTxDevice) sw=$(tls_stat TlsTxSw)
transfer "8 connections that send" near 10.0.0.2 --tls 1.2 --connections 8 --port-base 7000 --bytes 200K
is $(($(tls_stat TlsTxDevice) - device)) 4 "there is room for 4 of them"
is $(($(tls_stat TlsTxSw) - sw)) 4 "4 are software's"
is $(($(stat rx_tls_add_failed) - failed)) 0 "that was the sending side's business"
stream_rx=$rx stream_tx=$tx
stream_kill
check "both directions leave the table" wait_for 10 contexts_gone
between $(($(stat hw_tls_rx_bytes) - opened)) 1 100000000 "the device opened some"
device=$(tls_stat TlsRxDevice) sw=$(tls_stat TlsRxSw)
opening_start 10.0.0.1 --tls 1.2 --connections 32 --port-base 9100 --bytes 200K -- --tls-user || give_up "no stream"
stream_ok "32 connections that receive, all content is right"
is $(($(tls_stat TlsRxDevice) - device)) 16 "the core counts 16 of them as offloaded"
is $(($(tls_stat TlsRxSw) - sw)) 16 "the core counts 16 of them as software"
is $(($(stat rx_tls_add_failed) - failed)) 16 "16 found the table full"
check "afterwards the table is empty" wait_for 10 contexts_gone
is "$(stat rx_tls_ctx)" "$(stat rx_tls_del)" "the driver thinks so too"

table "second round"
nothing_clear "nothing in the clear"
is "$(stat cmd_failed)" 0 "a full table is no failed command"
is "$(stat hw_tls_tx_unexpected)$(stat hw_tls_tx_malformed)$(stat hw_tls_tx_no_ctx)" 000 "the device had to drop nothing"
finish
