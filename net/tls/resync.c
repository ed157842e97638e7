// SPDX-License-Identifier: GPL-2.0
/*
 * A device that lost its place in what it receives is told where a record begins, and the record's
 * number. Owns the requests in struct tls_offload_context_rx, which drivers make without a lock,
 * and the walk over headers in struct tls_hw_rx; under the socket's lock.
 *
 * There are three ways, and the driver chooses (enum tls_offload_sync_type):
 *
 * - It asks about a byte. Headers are in TCP's queue as soon as they have arrived, whether or not
 *   anybody reads, so the answer is given in softirq, with the packet that has the byte or the one
 *   that fills the gap in front of it.
 * - It only takes hints, once records come unopened: where the next record will begin, told when
 *   nothing is behind the one just read, so that it is news for the device.
 * - It asks later than the bytes come: the places of records are kept for it from the time that it
 *   says it will ask.
 */
#include <linux/netdevice.h>
#include <net/tcp.h>
#include "tls.h"
#include "trace.h"

/*
 * What drivers and core call a record's place where the driver asks: the last byte of its header.
 * In a hint it is the first.
 */
#define ASKED	(TLS_HEADER_SIZE - 1)

/* Tells the device that record @record is at @seq */
static void answer(struct sock *sk, u32 seq, u64 record)
{
	__be64 number = cpu_to_be64(record);
	struct net_device *netdev;
	int err = -ENODEV;

	/* Not a context that it lost under the socket's lock, nor one of a device that goes down */
	if (!READ_ONCE(tls_conn(sk)->hw->rx_added))
		return;
	rcu_read_lock();
	netdev = rcu_dereference(tls_get_ctx(sk)->netdev);
	if (netdev)
		err = netdev->tlsdev_ops->tls_dev_resync(netdev, sk, seq, (u8 *)&number,
							 TLS_OFFLOAD_CTX_DIR_RX);
	rcu_read_unlock();
	trace_tls_rx_resync(sk, seq, record, err);
	tls_conn(sk)->rx.n.resyncs++;
	tls_stat_inc(sk, TLS_STAT_RX_DEVICE_RESYNC);
}

/* Walks from the first record on to that which holds byte @seq, as far as headers are there */
static void walk(struct sock *sk, struct tls_hw_rx *hw, u32 seq)
{
	const struct tls_rx *rx = &tls_conn(sk)->rx;
	u32 first = tcp_sk(sk)->copied_seq - rx->staged, next;

	if (!hw->walking || before(hw->seq, first)) {
		hw->walking = true;
		hw->seq = first;
		hw->record = rx->epoch.record;
	}
	while (before(hw->seq, seq) && tls_rx_peek_header(sk, hw->seq, &next)) {
		hw->seq = next;
		hw->record++;
	}
}

/**
 * tls_rx_resync_request() - answer the driver if it asked about a byte
 * @sk: the socket, which the device has a context for receiving of
 *
 * Context: softirq or process; the socket is locked.
 */
void tls_rx_resync_request(struct sock *sk)
{
	struct tls_hw_rx *hw = tls_conn(sk)->hw->rx;
	u64 req;
	u32 seq;

	if (hw->off.resync_type != TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ)
		return;
	req = atomic64_read(&hw->off.resync_req);
	if (likely(!(req & RESYNC_REQ)))
		return;
	seq = (u32)(req >> 32) - ASKED;
	/* Again from the first record on, if the walk went past it */
	if (hw->walking && before(seq, hw->seq))
		hw->walking = false;
	walk(sk, hw, seq);
	if (before(hw->seq, seq))
		return;
	/* If the driver asks anew meanwhile, that stays */
	atomic64_cmpxchg(&hw->off.resync_req, req, 0);
	/*
	 * A byte from before the first record is answered with that: the device may know how they
	 * lie to each other. One within a record is not: it was no header.
	 */
	if (hw->seq == seq || hw->seq == tcp_sk(sk)->copied_seq - tls_conn(sk)->rx.staged)
		answer(sk, hw->seq + ASKED, hw->record);
}

/* Nothing comes behind the record that ends at @end: what the device sees next begins a record */
static void hint(struct sock *sk, struct tls_offload_context_rx *off, u32 end)
{
	off->resync_nh_do_now = 0;
	answer(sk, end, tls_conn(sk)->rx.epoch.record);
}

static void next_hint(struct sock *sk, struct tls_offload_context_rx *off, u32 end, bool opened)
{
	bool drained = tcp_sk(sk)->rcv_nxt == end;

	if (opened || off->resync_nh_reset) {
		off->resync_nh_reset = 0;
		off->resync_nh_do_now = 0;
		off->resync_nh.decrypted_failed = 0;
		off->resync_nh.decrypted_tgt = TLS_DEVICE_RESYNC_NH_START_IVAL;
		if (opened)
			return;
	}
	if (off->resync_nh_do_now) {
		if (drained)
			hint(sk, off, end);
		return;
	}
	if (++off->resync_nh.decrypted_failed < off->resync_nh.decrypted_tgt)
		return;
	/* After 2, then after 4 more, 8, and so on */
	off->resync_nh.decrypted_failed = 0;
	off->resync_nh.decrypted_tgt = min_t(u32, 2 * off->resync_nh.decrypted_tgt,
					     TLS_DEVICE_RESYNC_NH_MAX_IVAL);
	if (drained)
		hint(sk, off, end);
	else
		off->resync_nh_do_now = 1;
}

/*
 * A record begins at @seq, and its number is that of the epoch. The driver empties the log in its
 * own memory whenever it likes, in the middle of this, too: hence it is ours that counts, and what
 * is in there is true in any case.
 */
static void async_log(struct sock *sk, struct tls_hw_rx *hw, u32 seq)
{
	struct tls_offload_resync_async *async = hw->off.resync_async;
	u64 req = atomic64_read(&async->req), record = tls_conn(sk)->rx.epoch.record;
	u32 start = req >> 32, i;

	if (!(req & RESYNC_REQ))
		return;
	seq += ASKED;
	if (req & RESYNC_REQ_ASYNC) {
		/* The question is still to come: its byte is within these */
		if (hw->log_req != req) {
			hw->log_req = req;
			hw->logged = 0;
		}
		if (before(seq, start) || after(seq, start + (u16)(req >> 16)) ||
		    hw->logged == ARRAY_SIZE(hw->log))
			return;
		if (!hw->logged)
			hw->record = record;
		/* A record may take a second attempt */
		if (record == hw->record + hw->logged)
			hw->log[hw->logged++] = seq;
		return;
	}
	for (i = 0; i < hw->logged && hw->log[i] != start; i++)
		;
	if (i < hw->logged)
		record = hw->record + i;
	else if (before(seq, start))
		/* The byte is still to come */
		return;
	/* If the driver asks anew meanwhile, that stays */
	atomic64_cmpxchg(&async->req, req, 0);
	if (i < hw->logged || seq == start)
		answer(sk, start, record);
	hw->logged = 0;
}

/**
 * tls_rx_resync_record() - a record is about to be opened
 * @sk: the socket, for which a device has, or had, a context for receiving; locked
 * @seq: TCP sequence number of the record's first byte
 *
 * Context: process.
 */
void tls_rx_resync_record(struct sock *sk, u32 seq)
{
	struct tls_hw *hw = tls_conn(sk)->hw;

	if (hw->rx->off.resync_type != TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ_ASYNC)
		return;
	/* The requests are in the driver's memory, until it lets go of the context: see answer() */
	rcu_read_lock();
	if (READ_ONCE(hw->rx_added) && rcu_access_pointer(tls_get_ctx(sk)->netdev) &&
	    hw->rx->off.resync_async)
		async_log(sk, hw->rx, seq);
	rcu_read_unlock();
}

/**
 * tls_rx_resync_opened() - a record was opened, and the epoch is at the next
 * @sk: the socket, which the device has a context for receiving of; locked
 * @end: TCP sequence number of the byte behind the record
 * @device: the device opened all of it
 *
 * Context: process.
 */
void tls_rx_resync_opened(struct sock *sk, u32 end, bool device)
{
	struct tls_offload_context_rx *off = &tls_conn(sk)->hw->rx->off;

	if (off->resync_type == TLS_OFFLOAD_SYNC_TYPE_CORE_NEXT_HINT)
		next_hint(sk, off, end, device);
}
