/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: every change of epoch, and every record that could not be sealed or opened. No key
 * is in any of them.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ktls

#if !defined(_SEALNIC_TLS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _SEALNIC_TLS_TRACE_H

#include <linux/tracepoint.h>
#include <net/inet_sock.h>
#include "tls.h"

#define show_direction(tx)	((tx) ? "tx" : "rx")

/* A new epoch begins; @old_records were sealed or opened under the key before, if there was one */
TRACE_EVENT(tls_epoch,
	TP_PROTO(const struct sock *sk, bool tx, const struct tls_epoch *epoch, u16 cipher,
		 bool rekey, u64 old_records),
	TP_ARGS(sk, tx, epoch, cipher, rekey, old_records),
	TP_STRUCT__entry(
		__field(const void *, sk)
		__field(u64, record)
		__field(u64, old_records)
		__field(u16, sport)
		__field(u16, dport)
		__field(u16, version)
		__field(u16, cipher)
		__field(bool, tx)
		__field(bool, rekey)
	),
	TP_fast_assign(
		__entry->sk = sk;
		__entry->record = epoch->record;
		__entry->old_records = old_records;
		__entry->sport = ntohs(inet_sk(sk)->inet_sport);
		__entry->dport = ntohs(inet_sk(sk)->inet_dport);
		__entry->version = epoch->version;
		__entry->cipher = cipher;
		__entry->tx = tx;
		__entry->rekey = rekey;
	),
	TP_printk("sk=%p sport=%u dport=%u %s version=%#x cipher=%u record=%llu rekey=%d old_records=%llu",
		  __entry->sk, __entry->sport, __entry->dport, show_direction(__entry->tx),
		  __entry->version, __entry->cipher, __entry->record, __entry->rekey,
		  __entry->old_records)
);

DECLARE_EVENT_CLASS(tls_record_error,
	TP_PROTO(const struct sock *sk, u64 record, u32 len, int err),
	TP_ARGS(sk, record, len, err),
	TP_STRUCT__entry(
		__field(const void *, sk)
		__field(u64, record)
		__field(u16, sport)
		__field(u16, dport)
		__field(u32, len)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->sk = sk;
		__entry->record = record;
		__entry->sport = ntohs(inet_sk(sk)->inet_sport);
		__entry->dport = ntohs(inet_sk(sk)->inet_dport);
		__entry->len = len;
		__entry->err = err;
	),
	TP_printk("sk=%p sport=%u dport=%u record=%llu len=%u err=%d", __entry->sk,
		  __entry->sport, __entry->dport, __entry->record, __entry->len, __entry->err)
);

/* A record could not be sealed */
DEFINE_EVENT(tls_record_error, tls_seal_error,
	TP_PROTO(const struct sock *sk, u64 record, u32 len, int err),
	TP_ARGS(sk, record, len, err)
);

/* A record could not be opened, or its header makes no sense */
DEFINE_EVENT(tls_record_error, tls_open_error,
	TP_PROTO(const struct sock *sk, u64 record, u32 len, int err),
	TP_ARGS(sk, record, len, err)
);

/*
 * A KeyUpdate arrived (err 0): @record is the number behind that of its record. Or a new key was
 * refused (@record 0), or the wait for a device to get one was given up.
 */
TRACE_EVENT(tls_rekey,
	TP_PROTO(const struct sock *sk, bool tx, u64 record, int err),
	TP_ARGS(sk, tx, record, err),
	TP_STRUCT__entry(
		__field(const void *, sk)
		__field(u64, record)
		__field(u16, sport)
		__field(u16, dport)
		__field(int, err)
		__field(bool, tx)
	),
	TP_fast_assign(
		__entry->sk = sk;
		__entry->record = record;
		__entry->sport = ntohs(inet_sk(sk)->inet_sport);
		__entry->dport = ntohs(inet_sk(sk)->inet_dport);
		__entry->err = err;
		__entry->tx = tx;
	),
	TP_printk("sk=%p sport=%u dport=%u %s record=%llu err=%d", __entry->sk, __entry->sport,
		  __entry->dport, show_direction(__entry->tx), __entry->record, __entry->err)
);

#define show_why(why)						\
	__print_symbolic(why,					\
			 { TLS_WHY_NOT, "device" },		\
			 { TLS_WHY_NO_DEVICE, "no device" },	\
			 { TLS_WHY_FEATURE, "feature off" },	\
			 { TLS_WHY_VERSION, "version" },	\
			 { TLS_WHY_CIPHER, "cipher" },		\
			 { TLS_WHY_TABLE_FULL, "table full" },	\
			 { TLS_WHY_REFUSED, "refused" },	\
			 { TLS_WHY_DOWN, "device down" },	\
			 { TLS_WHY_REKEY, "rekey" },		\
			 { TLS_WHY_ROUTE, "other device" })

/* Who seals or opens from here on: the device, or software, and why */
TRACE_EVENT(tls_engine,
	TP_PROTO(const struct sock *sk, bool tx, u8 why),
	TP_ARGS(sk, tx, why),
	TP_STRUCT__entry(
		__field(const void *, sk)
		__field(u16, sport)
		__field(u16, dport)
		__field(bool, tx)
		__field(u8, why)
	),
	TP_fast_assign(
		__entry->sk = sk;
		__entry->sport = ntohs(inet_sk(sk)->inet_sport);
		__entry->dport = ntohs(inet_sk(sk)->inet_dport);
		__entry->tx = tx;
		__entry->why = why;
	),
	TP_printk("sk=%p sport=%u dport=%u %s engine: %s", __entry->sk, __entry->sport,
		  __entry->dport, show_direction(__entry->tx), show_why(__entry->why))
);

/* The program closes the socket: who has sealed or opened how much of it, and why software does */
TRACE_EVENT(tls_records,
	TP_PROTO(const struct sock *sk, bool tx, u8 why, const struct tls_counts *n),
	TP_ARGS(sk, tx, why, n),
	TP_STRUCT__entry(
		__field(const void *, sk)
		__field(u64, hw)
		__field(u64, sw)
		__field(u32, fallback)
		__field(u32, resyncs)
		__field(u16, sport)
		__field(u16, dport)
		__field(bool, tx)
		__field(u8, why)
	),
	TP_fast_assign(
		__entry->sk = sk;
		__entry->hw = n->hw;
		__entry->sw = n->sw;
		__entry->fallback = atomic_read(&n->fallback);
		__entry->resyncs = n->resyncs;
		__entry->sport = ntohs(inet_sk(sk)->inet_sport);
		__entry->dport = ntohs(inet_sk(sk)->inet_dport);
		__entry->tx = tx;
		__entry->why = why;
	),
	TP_printk("sk=%p sport=%u dport=%u %s engine: %s device=%llu software=%llu fallback=%u resyncs=%u",
		  __entry->sk, __entry->sport, __entry->dport, show_direction(__entry->tx),
		  show_why(__entry->why), __entry->hw, __entry->sw, __entry->fallback,
		  __entry->resyncs)
);

/* A driver lost its place in what is sent */
TRACE_EVENT(tls_tx_resync_request,
	TP_PROTO(const struct sock *sk, u32 got_seq, u32 exp_seq),
	TP_ARGS(sk, got_seq, exp_seq),
	TP_STRUCT__entry(
		__field(const void *, sk)
		__field(u32, got_seq)
		__field(u32, exp_seq)
	),
	TP_fast_assign(
		__entry->sk = sk;
		__entry->got_seq = got_seq;
		__entry->exp_seq = exp_seq;
	),
	TP_printk("sk=%p got_seq=%u exp_seq=%u", __entry->sk, __entry->got_seq,
		  __entry->exp_seq)
);

DECLARE_EVENT_CLASS(tls_resync,
	TP_PROTO(const struct sock *sk, u32 seq, u64 record, int err),
	TP_ARGS(sk, seq, record, err),
	TP_STRUCT__entry(
		__field(const void *, sk)
		__field(u64, record)
		__field(u32, seq)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->sk = sk;
		__entry->record = record;
		__entry->seq = seq;
		__entry->err = err;
	),
	TP_printk("sk=%p record=%llu seq=%u err=%d", __entry->sk, __entry->record, __entry->seq,
		  __entry->err)
);

/* A driver was told where the next record to send begins, and has answered */
DEFINE_EVENT(tls_resync, tls_tx_resync,
	TP_PROTO(const struct sock *sk, u32 seq, u64 record, int err),
	TP_ARGS(sk, seq, record, err)
);

/* The same for a record that comes, or has come */
DEFINE_EVENT(tls_resync, tls_rx_resync,
	TP_PROTO(const struct sock *sk, u32 seq, u64 record, int err),
	TP_ARGS(sk, seq, record, err)
);

/* Software sealed a packet that was the device's, or dropped it */
TRACE_EVENT(tls_fallback,
	TP_PROTO(const struct sock *sk, u32 seq, u32 len, int err),
	TP_ARGS(sk, seq, len, err),
	TP_STRUCT__entry(
		__field(const void *, sk)
		__field(u32, seq)
		__field(u32, len)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->sk = sk;
		__entry->seq = seq;
		__entry->len = len;
		__entry->err = err;
	),
	TP_printk("sk=%p seq=%u len=%u err=%d", __entry->sk, __entry->seq, __entry->len,
		  __entry->err)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
