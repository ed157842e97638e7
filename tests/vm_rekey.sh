#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Key updates on offloaded connections: smoke
#
# timeout: 400
. "$(dirname "$0")/guest-lib.sh"
. "$(dirname "$0")/guest-traffic.sh"
. "$(dirname "$0")/guest-ktls.sh"
. "$(dirname "$0")/guest-streams.sh"
offload_start
dump() { counters_read near; counters_read far; diag "$1: near: TxDev $(grown near TlsTxDeviceRecords) TxSw $(grown near TlsTxSwRecords) nic $(grown near hw_tls_tx_records) RxDev $(grown near TlsRxDeviceRecords) RxSw $(grown near TlsRxSwRecords) part $(grown near TlsRxPartialRecords) rekeyok $(grown near TlsTxRekeyOk)/$(grown near TlsRxRekeyOk) ab $(grown near TlsTxRekeyAborted)/$(grown near TlsRxRekeyAborted) fb $(grown near TlsTxRekeyFallback)/$(grown near TlsRxRekeyFallback) fallback $(grown near TlsTxFallback) drop $(grown near TlsTxFallbackDrop) ctx $(grown near tx_tls_ctx)/$(grown near rx_tls_ctx) decerr $(grown near TlsDecryptError)"; diag "$(tail -n 1 /tmp/recv.$stream_port)"; diag "$(ss -ti | tail -1)"; }
capture_start rekey.pcap
for rekey in 16M 1M 100K; do
for dir in tx rx both; do
	name="$dir, each $rekey"
	counters_mark near; counters_mark far
	offload_stream $dir 4 --tls 1.3 --bytes 8M -- --rekey $rekey || give_up "no stream"
	stream_ok "$name"
	dump "$name"
done
done
counters_mark near
offload_stream tx 4 --tls 1.3 --bytes 4M -- --rekey 50K --chunk 300K --random || give_up "no stream"
stream_ok "random"
dump random
nothing_clear "nothing in the clear" /tmp/file rekey.pcap
grep -i rekey /proc/net/tls_stat | sed 's/^/# /'
offload_end
