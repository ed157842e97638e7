// SPDX-License-Identifier: GPL-2.0
/*
 * A device gets the next key. Owns the wait for that, in struct tls_hw; Documentation/rekey.rst
 * draws it.
 *
 * Sending: from the socket option on software seals, and what older keys have to seal, the device
 * seals still. When all of that is acknowledged nobody needs an older key, and the newest one is
 * the device's from the next record on. It is so even if nobody sends anything: the wait ends in
 * the acknowledgment, and a worker takes it from there.
 *
 * Receiving: the device loses its key as soon as a KeyUpdate is read, but has opened what came
 * behind it by then, with the wrong key. It gets the next one when all that it may have opened so
 * is read.
 *
 * All of it is under the socket's lock. What a device's going down looks at is changed under
 * tls_device_lock besides.
 */
#include <net/tcp.h>
#include "tls.h"
#include "trace.h"

/* When to go on with a record that found no memory */
#define RETRY	(HZ / 50)

static struct workqueue_struct *tls_rekey_wq;

static void queue(struct sock *sk, unsigned long delay)
{
	if (queue_delayed_work(tls_rekey_wq, &tls_conn(sk)->hw->rekey, delay))
		sock_hold(sk);
}

static void tx_wait_ends(struct sock *sk)
{
	WRITE_ONCE(tls_conn(sk)->hw->tx_rekey, false);
	tls_stat_add(sk, TLS_STAT_CURR_TX_REKEY, -1);
}

static void tx_abort(struct sock *sk, int err)
{
	tx_wait_ends(sk);
	tls_stat_inc(sk, TLS_STAT_TX_REKEY_ABORTED);
	trace_tls_rekey(sk, true, tls_conn(sk)->tx.epoch.record, err);
}

/*
 * Gives the device the newest key for sending, if the time has come. False: it does not take it,
 * but may do so when it has lost the one before.
 */
static bool tx_try(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_hw *hw = conn->hw;
	enum tls_why why;
	long timeo = 0;
	int err;

	/* Not before the one of the last time is freed: whoever sees it queues the worker */
	if (!hw->tx_rekey || hw->retiring || READ_ONCE(hw->old) ||
	    before(tcp_sk(sk)->snd_una, hw->tx_rekey_seq))
		return true;
	/* A record that software has begun goes first */
	err = tls_tx_finish(sk, 0, &timeo);
	if (err == -EAGAIN) {
		queue(sk, RETRY);
		return true;
	}
	if (err || sk->sk_shutdown & SEND_SHUTDOWN) {
		tx_abort(sk, err ?: -EPIPE);
		return true;
	}
	why = tls_hw_reopen_tx(sk);
	if (!why) {
		tx_wait_ends(sk);
		return true;
	}
	if (why == TLS_WHY_DOWN) {
		WRITE_ONCE(conn->tx.why, why);
		tx_abort(sk, -ENODEV);
		return true;
	}
	if (hw->tx->added)
		return false;
	tx_wait_ends(sk);
	tls_stat_inc(sk, TLS_STAT_TX_REKEY_FALLBACK);
	WRITE_ONCE(conn->tx.why, why);
	tls_hw_note(sk, true, why);
	return true;
}

/**
 * tls_rekey_work() - give the device the newest key for sending, and take the older one from it
 * @work: the connection's
 *
 * Context: process.
 */
void tls_rekey_work(struct work_struct *work)
{
	struct tls_hw *hw = container_of(to_delayed_work(work), struct tls_hw, rekey);
	struct sock *sk = hw->conn->ctx.sk;

	tls_hw_retire_tx(hw);
	lock_sock(sk);
	if (!tx_try(sk)) {
		/* Without the socket's lock; a key that comes meanwhile leaves it to us */
		hw->retiring = true;
		release_sock(sk);
		tls_hw_retire_last_tx(hw);
		lock_sock(sk);
		hw->retiring = false;
		tx_try(sk);
	}
	release_sock(sk);
	tls_hw_retire_tx(hw);
	sock_put(sk);
}

/**
 * tls_rekey_tx() - there is a new key for sending
 * @sk: the socket, locked; its new epoch is open in software, and no record is under way
 *
 * RFC 8446 4.6.3, 7.2.
 *
 * Context: process, may sleep.
 */
void tls_rekey_tx(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_hw *hw = conn->hw;
	bool old;

	if (!hw || !hw->tx)
		return;
	down_read(&tls_device_lock);
	if (hw->down) {
		if (conn->tx.hw)
			tls_hw_leave_tx(sk, TLS_WHY_DOWN);
	} else {
		bool software = tls_get_conf(conn, true) != TLS_HW;

		tls_hw_leave_tx(sk, TLS_WHY_REKEY);
		if (!hw->tx_rekey) {
			tls_stat_inc(sk, TLS_STAT_CURR_TX_REKEY);
			/* The device refused the key before */
			if (software)
				trace_tls_engine(sk, true, TLS_WHY_REKEY);
		}
		hw->tx_rekey_seq = tcp_sk(sk)->write_seq;
		WRITE_ONCE(hw->tx_rekey, true);
	}
	up_read(&tls_device_lock);
	/* The worker may be about to free the context before, and does not come back by itself */
	old = READ_ONCE(hw->old);
	if (!tx_try(sk) || old || READ_ONCE(hw->old))
		queue(sk, 0);
}

/**
 * tls_rekey_tx_acked() - bytes were acknowledged
 * @sk: the socket, which has a context for sending
 * @acked_seq: TCP sequence number of the first that was not
 *
 * Context: softirq or process, under the socket's spinlock.
 */
void tls_rekey_tx_acked(struct sock *sk, u32 acked_seq)
{
	struct tls_hw *hw = tls_conn(sk)->hw;

	if (unlikely(READ_ONCE(hw->tx_rekey)) && !before(acked_seq, hw->tx_rekey_seq))
		queue(sk, 0);
}

static void rx_wait_ends(struct sock *sk)
{
	WRITE_ONCE(tls_conn(sk)->hw->rx_rekey, false);
	tls_stat_add(sk, TLS_STAT_CURR_RX_REKEY, -1);
}

static void rx_abort(struct sock *sk, int err)
{
	rx_wait_ends(sk);
	tls_stat_inc(sk, TLS_STAT_RX_REKEY_ABORTED);
	trace_tls_rekey(sk, false, tls_conn(sk)->rx.epoch.record, err);
}

/**
 * tls_rekey_rx() - the key for receiving that the device may have is an older one from here on
 * @sk: the socket, locked
 *
 * Context: process, may sleep.
 */
void tls_rekey_rx(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_hw *hw = conn->hw;

	if (!hw || !hw->rx)
		return;
	if (!conn->rx.why)
		tls_hw_leave_rx(sk, hw->down ? TLS_WHY_DOWN : TLS_WHY_REKEY);
	if (hw->down || hw->rx_rekey)
		return;
	/* The device refused the key before */
	if (conn->rx.why != TLS_WHY_REKEY)
		trace_tls_engine(sk, false, TLS_WHY_REKEY);
	WRITE_ONCE(conn->rx.why, TLS_WHY_REKEY);
	WRITE_ONCE(hw->rx_rekey, true);
	tls_stat_inc(sk, TLS_STAT_CURR_RX_REKEY);
}

/**
 * tls_rekey_rx_try() - give the device the newest key for receiving, if the time has come
 * @sk: the socket, locked, which had a context for receiving
 *
 * RFC 8446 4.6.3.
 *
 * Context: process, may sleep.
 */
void tls_rekey_rx_try(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);
	enum tls_why why;

	/* Without a device there is nothing to wait for */
	if (!conn->hw->rx_rekey ||
	    ((conn->hw->rx->draining || conn->rx.key_update) && !READ_ONCE(conn->hw->down)))
		return;
	why = tls_hw_reopen_rx(sk);
	if (!why) {
		rx_wait_ends(sk);
		return;
	}
	WRITE_ONCE(conn->rx.why, why);
	if (why == TLS_WHY_DOWN) {
		rx_abort(sk, -ENODEV);
		return;
	}
	rx_wait_ends(sk);
	tls_stat_inc(sk, TLS_STAT_RX_REKEY_FALLBACK);
	tls_hw_note(sk, false, why);
}

/**
 * tls_rekey_detach() - the program closes the socket
 * @sk: the socket, locked, which has a device
 *
 * What older keys have to seal goes its way; nothing comes behind it.
 *
 * Context: process; tls_device_lock is held.
 */
void tls_rekey_detach(struct sock *sk)
{
	struct tls_hw *hw = tls_conn(sk)->hw;

	if (hw->tx_rekey)
		tx_abort(sk, -ECONNABORTED);
	if (hw->rx_rekey)
		rx_abort(sk, -ECONNABORTED);
}

/**
 * tls_rekey_init() - prepare for rekeys
 *
 * Return: 0 or -ENOMEM.
 */
int tls_rekey_init(void)
{
	tls_rekey_wq = alloc_workqueue("ktls_rekey", 0, 0);
	return tls_rekey_wq ? 0 : -ENOMEM;
}

/** tls_rekey_exit() - undo it */
void tls_rekey_exit(void)
{
	destroy_workqueue(tls_rekey_wq);
}
