// SPDX-License-Identifier: GPL-2.0
/*
 * The hw engine: a device's contexts, from the socket option to the socket's last packet, and the
 * records that were handed to it, until they are acknowledged. Owns struct tls_hw and all that
 * NIC drivers link to.
 *
 * tls_device_lock: for reading while a device is given a context or loses one, for writing while a
 * device goes down. It nests in the socket's lock. Nothing waits for memory, crypto or TCP under
 * it, as the one who waits for it holds RTNL.
 *
 * A socket that has a context has tls_device_sk_destruct() as its destructor, and the connection
 * lives as long as the socket: packets on their way look at it.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/property.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
/* For modversions: drivers know struct sock with all that this declares */
#include <linux/skmsg.h>
#include <net/dst.h>
#include <net/tcp.h>
#include "tls.h"
#include "trace.h"

DECLARE_RWSEM(tls_device_lock);
/* Connections with a device, and their ctx->sk; taken in softirq */
static DEFINE_SPINLOCK(conns_lock);
static LIST_HEAD(conns);
static struct workqueue_struct *tls_device_wq;
static struct kmem_cache *record_cache;

/* --- records --- */

/* So many records of a connection that are done with are kept for the next */
#define RECORDS_FREE	16

/**
 * tls_hw_record_alloc() - memory for a record
 * @tx: the connection's context
 * @gfp: how
 *
 * Context: as @gfp says.
 *
 * Return: the record, or NULL.
 */
struct tls_record_info *tls_hw_record_alloc(struct tls_hw_tx *tx, gfp_t gfp)
{
	struct tls_record_info *info = NULL;

	if (READ_ONCE(tx->nfree)) {
		spin_lock_bh(&tx->off.lock);
		info = list_first_entry_or_null(&tx->free, struct tls_record_info, list);
		if (info) {
			list_del(&info->list);
			tx->nfree--;
		}
		spin_unlock_bh(&tx->off.lock);
	}
	return info ?: kmem_cache_alloc(record_cache, gfp);
}

/**
 * tls_hw_record_free() - free a record that was never added
 * @rec: the record; may be NULL
 *
 * Context: any.
 */
void tls_hw_record_free(struct tls_record_info *rec)
{
	if (rec)
		kmem_cache_free(record_cache, rec);
}

static void record_put_pages(struct tls_record_info *info)
{
	int i;

	for (i = 0; i < info->num_frags; i++)
		put_page(skb_frag_page(&info->frags[i]));
}

static void record_put(struct tls_record_info *info)
{
	record_put_pages(info);
	kmem_cache_free(record_cache, info);
}

/**
 * tls_hw_record_add() - the next bytes for TCP are a record, and the device's to seal
 * @sk: the socket, locked
 * @rec: the record, from tls_hw_record_alloc()
 * @bv: its bytes in plaintext, header and room for the tag included. A reference is taken to each
 *	page.
 * @n: entries of @bv, at most MAX_SKB_FRAGS
 * @len: bytes
 *
 * The record stays until it is acknowledged.
 *
 * Context: process.
 */
void tls_hw_record_add(struct sock *sk, struct tls_record_info *rec, const struct bio_vec *bv,
		       u32 n, u32 len)
{
	struct tls_offload_context_tx *off = &tls_conn(sk)->hw->tx->off;
	u32 i;

	rec->end_seq = tcp_sk(sk)->write_seq + len;
	rec->len = len;
	rec->num_frags = n;
	for (i = 0; i < n; i++) {
		get_page(bv[i].bv_page);
		skb_frag_fill_page_desc(&rec->frags[i], bv[i].bv_page, bv[i].bv_offset,
					bv[i].bv_len);
	}
	spin_lock_bh(&off->lock);
	list_add_tail(&rec->list, &off->records_list);
	spin_unlock_bh(&off->lock);
}

/* icsk_clean_acked: softirq or process, under the socket's spinlock */
static void records_acked(struct sock *sk, u32 acked_seq)
{
	struct tls_hw_tx *tx = tls_conn(sk)->hw->tx;
	struct tls_offload_context_tx *off = &tx->off;
	struct tls_record_info *info, *next;
	unsigned long flags;

	spin_lock_irqsave(&off->lock, flags);
	list_for_each_entry_safe(info, next, &off->records_list, list) {
		if (before(acked_seq, info->end_seq))
			break;
		if (!tls_record_is_start_marker(info))
			off->unacked_record_sn++;
		if (off->retransmit_hint == info)
			off->retransmit_hint = NULL;
		list_del(&info->list);
		record_put_pages(info);
		if (tx->nfree < RECORDS_FREE) {
			tx->nfree++;
			list_add(&info->list, &tx->free);
		} else {
			kmem_cache_free(record_cache, info);
		}
	}
	spin_unlock_irqrestore(&off->lock, flags);
	tls_rekey_tx_acked(sk, acked_seq);
}

/**
 * tls_get_record() - find the record that a byte of the stream belongs to
 * @context: the connection's device state
 * @seq: TCP sequence number of the byte
 * @p_record_sn: set to the record's number
 *
 * Context: any; @context->lock is held.
 *
 * Return: the record; the start marker, which tls_record_is_start_marker() knows, for a byte from
 * before the offload; NULL if the record was acknowledged, or never was.
 */
struct tls_record_info *tls_get_record(struct tls_offload_context_tx *context, u32 seq,
				       u64 *p_record_sn)
{
	struct tls_record_info *info = context->retransmit_hint;
	u64 sn = context->hint_record_sn;

	if (!info || before(seq, tls_record_start_seq(info))) {
		info = list_first_entry_or_null(&context->records_list, struct tls_record_info,
						list);
		sn = context->unacked_record_sn;
		if (!info)
			return NULL;
		if (tls_record_is_start_marker(info)) {
			if (before(seq, info->end_seq))
				goto found;
		} else if (before(seq, tls_record_start_seq(info))) {
			return NULL;
		}
	}
	list_for_each_entry_from(info, &context->records_list, list) {
		if (tls_record_is_start_marker(info))
			continue;
		if (before(seq, info->end_seq)) {
			context->retransmit_hint = info;
			context->hint_record_sn = sn;
			goto found;
		}
		sn++;
	}
	return NULL;
found:
	*p_record_sn = sn;
	return info;
}
EXPORT_SYMBOL(tls_get_record);

/* --- the end --- */

/* Takes a context for sending from the device. tls_device_lock is held, for writing or reading. */
static void tx_del(struct tls_hw *hw, struct tls_hw_tx *tx, struct net_device *netdev)
{
	/* A driver finds what it knows of a context by the connection, which has another now */
	struct tls_context before = { .priv_ctx_tx = &tx->off };

	netdev->tlsdev_ops->tls_dev_del(netdev, tx == hw->tx ? &hw->conn->ctx : &before,
					TLS_OFFLOAD_CTX_DIR_TX);
	tx->added = false;
}

/* The same for receiving, if it has one and is not gone */
static void rx_del(struct tls_hw *hw, struct net_device *netdev)
{
	if (netdev && hw->rx_added) {
		netdev->tlsdev_ops->tls_dev_del(netdev, &hw->conn->ctx, TLS_OFFLOAD_CTX_DIR_RX);
		hw->rx_added = false;
	}
}

/* Takes what the device has of the connection. tls_device_lock is held, for writing or reading. */
static void contexts_del(struct tls_hw *hw, struct net_device *netdev)
{
	rx_del(hw, netdev);
	if (hw->tx && hw->tx->added)
		tx_del(hw, hw->tx, netdev);
	if (hw->old && hw->old->added)
		tx_del(hw, hw->old, netdev);
}

static void hw_tx_free(struct tls_hw_tx *tx)
{
	struct tls_record_info *info, *next;

	if (!tx)
		return;
	list_for_each_entry_safe(info, next, &tx->off.records_list, list)
		record_put(info);
	list_for_each_entry_safe(info, next, &tx->free, list)
		kmem_cache_free(record_cache, info);
	tls_epoch_close(&tx->epoch);
	tls_pages_free(tx->ubuf);
	kfree_sensitive(tx);
}

/**
 * tls_hw_free() - free what a connection had with devices
 * @hw: may be NULL; no device has a context of it
 *
 * Context: process, may sleep.
 */
void tls_hw_free(struct tls_hw *hw)
{
	if (!hw)
		return;
	hw_tx_free(hw->tx);
	hw_tx_free(hw->old);
	if (hw->rx) {
		tls_epoch_close(&hw->rx->undo);
		kfree(hw->rx);
	}
	kfree(hw);
}

static void hw_destroy(struct work_struct *work)
{
	struct tls_hw *hw = container_of(work, struct tls_hw, destroy);
	struct tls_context *ctx = &hw->conn->ctx;
	struct net_device *netdev;

	down_read(&tls_device_lock);
	netdev = rcu_dereference_protected(ctx->netdev, lockdep_is_held(&tls_device_lock));
	if (netdev) {
		contexts_del(hw, netdev);
		dev_put(netdev);
	}
	up_read(&tls_device_lock);
	tls_conn_free(hw->conn);
	module_put(THIS_MODULE);
}

/* The device's going down and the socket's end each hold the connection */
static void hw_put(struct tls_hw *hw)
{
	unsigned long flags;

	if (!refcount_dec_and_test(&hw->conn->ctx.refcount))
		return;
	spin_lock_irqsave(&conns_lock, flags);
	list_del_init(&hw->conn->ctx.list);
	spin_unlock_irqrestore(&conns_lock, flags);
	queue_work(tls_device_wq, &hw->destroy);
}

/**
 * tls_device_sk_destruct() - destructor of sockets that have device state
 * @sk: the socket
 *
 * Drivers compare sk->sk_destruct with it to find out whether a socket is offloaded.
 *
 * Context: any, softirq included: hence the rest is done by a worker.
 */
void tls_device_sk_destruct(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_hw *hw = conn->hw;
	unsigned long flags;

	if (hw->tx)
		clean_acked_data_disable(inet_csk(sk));
	spin_lock_irqsave(&conns_lock, flags);
	conn->ctx.sk = NULL;
	spin_unlock_irqrestore(&conns_lock, flags);
	conn->ctx.sk_destruct(sk);
	hw_put(hw);
}
EXPORT_SYMBOL_GPL(tls_device_sk_destruct);

/* From here on the driver does not see the socket as offloaded. Under conns_lock. */
static void set_validate_sw(struct tls_hw *hw)
{
	struct sock *sk = hw->conn->ctx.sk;

	lockdep_assert_held(&conns_lock);
	if (sk && hw->tx)
		/* Pairs with tls_is_skb_tx_device_offloaded() */
		smp_store_release(&sk->sk_validate_xmit_skb, tls_validate_xmit_skb_sw);
}

/**
 * tls_hw_retire_tx() - free the context for sending that a rekey has replaced
 * @hw: the connection's; may have none
 *
 * Packets on their way may look at it: its key, its records, what the driver knows of it.
 *
 * Context: process, may sleep; not the socket's lock. Nobody else does the same.
 */
void tls_hw_retire_tx(struct tls_hw *hw)
{
	struct tls_hw_tx *old = READ_ONCE(hw->old);
	struct net_device *netdev;

	if (!old)
		return;
	synchronize_net();
	down_read(&tls_device_lock);
	netdev = rcu_dereference_protected(hw->conn->ctx.netdev,
					   lockdep_is_held(&tls_device_lock));
	if (netdev && old->added)
		tx_del(hw, old, netdev);
	WRITE_ONCE(hw->old, NULL);
	up_read(&tls_device_lock);
	hw_tx_free(old);
}

/**
 * tls_hw_retire_last_tx() - take the context for sending from the device, and have no other
 * @hw: the connection's
 *
 * Nothing is left for the device to seal. The socket looks offloaded to the driver for ever: a copy
 * in plaintext of what was acknowledged may wait in a stopped queue for as long as that is stopped,
 * and nobody but the driver looks at it again, and drops it.
 *
 * Context: process, may sleep; not the socket's lock. Nobody gives it another meanwhile.
 */
void tls_hw_retire_last_tx(struct tls_hw *hw)
{
	struct net_device *netdev;

	WRITE_ONCE(hw->leaving, true);
	synchronize_net();
	down_read(&tls_device_lock);
	netdev = rcu_dereference_protected(hw->conn->ctx.netdev,
					   lockdep_is_held(&tls_device_lock));
	if (netdev && hw->tx->added)
		tx_del(hw, hw->tx, netdev);
	up_read(&tls_device_lock);
}

/**
 * tls_hw_note() - tell who seals or opens from now on
 * @sk: the socket
 * @tx: sending
 * @why: why it is not the device
 *
 * Context: any.
 */
void tls_hw_note(struct sock *sk, bool tx, enum tls_why why)
{
	trace_tls_engine(sk, tx, why);
	if (why != TLS_WHY_NOT)
		tls_stat_inc(sk, (tx ? TLS_STAT_TX_WHY : TLS_STAT_RX_WHY) + why - 1);
}

/*
 * A direction that was the device's is software's now. tls_device_lock is held, so that only one
 * reason counts; the caller sees to it that tls_get_conf() says so from now on.
 */
static void degrade(struct sock *sk, bool tx, enum tls_why why)
{
	if (tls_get_conf(tls_conn(sk), tx) != TLS_HW)
		return;
	tls_stat_add(sk, tx ? TLS_STAT_CURR_TX_DEVICE : TLS_STAT_CURR_RX_DEVICE, -1);
	tls_stat_inc(sk, tx ? TLS_STAT_CURR_TX_SW : TLS_STAT_CURR_RX_SW);
	tls_hw_note(sk, tx, why);
}

/**
 * tls_hw_leave_tx() - from the next record on, software seals
 * @sk: the socket, locked; its engine for sending is the device
 * @why: why
 *
 * What TCP has in plaintext stays the device's.
 *
 * Context: process; tls_device_lock is held, or the device went down.
 */
void tls_hw_leave_tx(struct sock *sk, enum tls_why why)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;

	/* TCP must not put bytes of two engines into one packet */
	tcp_write_collapse_fence(sk);
	tx->hw = false;
	degrade(sk, true, why);
	WRITE_ONCE(tx->why, why);
}

/*
 * What the device has opened may be in TCP's queues, in the backlog, in GRO, or in a ring. What the
 * peer sends beyond its window has not come yet; the driver may know better, if its last word was
 * not a question.
 */
static u32 opened_end(struct sock *sk)
{
	struct tls_offload_context_rx *off = &tls_conn(sk)->hw->rx->off;
	u32 end = tcp_sk(sk)->rcv_nxt + tcp_receive_window(tcp_sk(sk));

	if (off->resync_type == TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ) {
		u64 req = atomic64_read(&off->resync_req);

		if (req & RESYNC_REQ && before(req >> 32, end))
			end = req >> 32;
	}
	return end;
}

/**
 * tls_hw_leave_rx() - the device loses its context for receiving
 * @sk: the socket, locked; its engine for receiving is the device
 * @why: why
 *
 * What it has opened already is in TCP's queue, and stays what it is.
 *
 * Context: process, may sleep.
 */
void tls_hw_leave_rx(struct sock *sk, enum tls_why why)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_hw *hw = conn->hw;
	struct net_device *netdev;

	down_read(&tls_device_lock);
	netdev = rcu_dereference_protected(conn->ctx.netdev, lockdep_is_held(&tls_device_lock));
	rx_del(hw, netdev);
	degrade(sk, false, why);
	WRITE_ONCE(conn->rx.why, why);
	up_read(&tls_device_lock);
	hw->rx->undo_end = opened_end(sk);
	hw->rx->draining = true;
}

/* Takes the device's contexts from all its connections */
static void device_down(struct net_device *netdev)
{
	struct tls_context *ctx, *next;
	unsigned long flags;
	LIST_HEAD(gone);

	down_write(&tls_device_lock);
	spin_lock_irqsave(&conns_lock, flags);
	list_for_each_entry_safe(ctx, next, &conns, list) {
		struct tls_hw *hw = container_of(ctx, struct tls_conn, ctx)->hw;

		if (rcu_access_pointer(ctx->netdev) != netdev ||
		    !refcount_inc_not_zero(&ctx->refcount))
			continue;
		/* Nobody counts a connection that the program has closed */
		if (ctx->sk && !hw->detached) {
			degrade(ctx->sk, true, TLS_WHY_DOWN);
			degrade(ctx->sk, false, TLS_WHY_DOWN);
			/* It was software's, but not for good */
			if (READ_ONCE(hw->tx_rekey))
				trace_tls_engine(ctx->sk, true, TLS_WHY_DOWN);
			if (READ_ONCE(hw->rx_rekey))
				trace_tls_engine(ctx->sk, false, TLS_WHY_DOWN);
		}
		WRITE_ONCE(hw->leaving, true);
		WRITE_ONCE(hw->down, true);
		list_move(&ctx->list, &gone);
	}
	spin_unlock_irqrestore(&conns_lock, flags);
	if (list_empty(&gone))
		goto out;

	/*
	 * In two steps, as a packet that tls_validate_xmit_skb() let pass in plaintext must still
	 * look offloaded to the driver
	 */
	synchronize_net();
	spin_lock_irqsave(&conns_lock, flags);
	list_for_each_entry(ctx, &gone, list) {
		set_validate_sw(container_of(ctx, struct tls_conn, ctx)->hw);
		RCU_INIT_POINTER(ctx->netdev, NULL);
	}
	spin_unlock_irqrestore(&conns_lock, flags);
	synchronize_net();
	list_for_each_entry_safe(ctx, next, &gone, list) {
		struct tls_hw *hw = container_of(ctx, struct tls_conn, ctx)->hw;

		contexts_del(hw, netdev);
		dev_put(netdev);
		spin_lock_irqsave(&conns_lock, flags);
		list_del_init(&ctx->list);
		spin_unlock_irqrestore(&conns_lock, flags);
		hw_put(hw);
	}
out:
	up_write(&tls_device_lock);
	/* The ends of connections that came before */
	flush_workqueue(tls_device_wq);
}

static int device_event(struct notifier_block *nb, unsigned long event, void *ptr)
{
	struct net_device *netdev = netdev_notifier_info_to_dev(ptr);

	if (event == NETDEV_DOWN && netdev->tlsdev_ops)
		device_down(netdev);
	return NOTIFY_DONE;
}

static struct notifier_block device_notifier = {
	.notifier_call = device_event,
};

/**
 * tls_hw_detach() - the program closes the socket
 * @sk: the socket, locked
 *
 * The device loses its context for receiving at once, that for sending with the last packet.
 *
 * Context: process, may sleep.
 *
 * Return: whether the connection lives on until the socket's end.
 */
bool tls_hw_detach(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_hw *hw = conn->hw;
	bool attached = sk->sk_destruct == tls_device_sk_destruct;
	struct net_device *netdev;
	bool tx_hw, rx_hw;

	if (attached)
		down_read(&tls_device_lock);
	tx_hw = tls_get_conf(conn, true) == TLS_HW;
	rx_hw = tls_get_conf(conn, false) == TLS_HW;
	if (conn->tx.epoch.aead)
		tls_stat_add(sk, tx_hw ? TLS_STAT_CURR_TX_DEVICE : TLS_STAT_CURR_TX_SW, -1);
	if (conn->rx.epoch.aead)
		tls_stat_add(sk, rx_hw ? TLS_STAT_CURR_RX_DEVICE : TLS_STAT_CURR_RX_SW, -1);
	if (!attached)
		return false;
	WRITE_ONCE(hw->detached, true);
	tls_rekey_detach(sk);
	netdev = rcu_dereference_protected(conn->ctx.netdev, lockdep_is_held(&tls_device_lock));
	rx_del(hw, netdev);
	up_read(&tls_device_lock);
	return true;
}

/* --- the beginning --- */

/* The device that the socket's packets leave by, held; NULL if there is none that does TLS */
static struct net_device *sk_netdev(struct sock *sk)
{
	struct net_device *netdev = NULL;
	struct dst_entry *dst;

	rcu_read_lock();
	dst = __sk_dst_get(sk);
	if (dst)
		netdev = netdev_sk_get_lowest_dev(dst_dev_rcu(dst), sk);
	if (netdev && netdev->tlsdev_ops)
		dev_hold(netdev);
	else
		netdev = NULL;
	rcu_read_unlock();
	return netdev;
}

/*
 * Drivers say that they know TLS 1.3 by a property of the device, so that those that were written
 * for TLS 1.2 never get a key of 1.3
 */
#define PROPERTY_TLS13	"tls-offload-1.3"

static enum tls_why can_offload(const struct net_device *netdev,
				const struct tls_crypto_info *info, bool tx)
{
	if (info->cipher_type != TLS_CIPHER_AES_GCM_128 &&
	    info->cipher_type != TLS_CIPHER_AES_GCM_256)
		return TLS_WHY_CIPHER;
	if (!netdev)
		return TLS_WHY_NO_DEVICE;
	if (!(netdev->features & (tx ? NETIF_F_HW_TLS_TX : NETIF_F_HW_TLS_RX)))
		return TLS_WHY_FEATURE;
	if (info->version == TLS_1_3_VERSION &&
	    !(netdev->dev.parent && device_property_present(netdev->dev.parent, PROPERTY_TLS13)))
		return TLS_WHY_VERSION;
	return TLS_WHY_NOT;
}

static enum tls_why why_refused(int err)
{
	return err == -ENOSPC ? TLS_WHY_TABLE_FULL : TLS_WHY_REFUSED;
}

static struct tls_hw *hw_get(struct tls_conn *conn)
{
	struct tls_hw *hw = conn->hw;

	if (hw)
		return hw;
	hw = kzalloc(sizeof(*hw), GFP_KERNEL);
	if (!hw)
		return NULL;
	hw->conn = conn;
	INIT_DELAYED_WORK(&hw->rekey, tls_rekey_work);
	INIT_WORK(&hw->destroy, hw_destroy);
	conn->hw = hw;
	return hw;
}

/* The connection has a device now, if it had none before */
static void attach(struct sock *sk, struct net_device *netdev)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	unsigned long flags;

	if (sk->sk_destruct == tls_device_sk_destruct)
		return;
	dev_hold(netdev);
	__module_get(THIS_MODULE);
	rcu_assign_pointer(ctx->netdev, netdev);
	spin_lock_irqsave(&conns_lock, flags);
	list_add_tail(&ctx->list, &conns);
	spin_unlock_irqrestore(&conns_lock, flags);
	ctx->sk_destruct = sk->sk_destruct;
	/* Who sees the destructor sees the rest: pairs with tls_is_sk_rx_device_offloaded() */
	smp_store_release(&sk->sk_destruct, tls_device_sk_destruct);
}

/* May the connection get a context of the device? tls_device_lock is held. */
static enum tls_why can_attach(struct sock *sk, const struct net_device *netdev)
{
	const struct tls_conn *conn = tls_conn(sk);

	if (sk->sk_destruct == tls_device_sk_destruct) {
		if (conn->hw->down)
			return TLS_WHY_DOWN;
		if (rcu_access_pointer(conn->ctx.netdev) != netdev)
			return TLS_WHY_NO_DEVICE;
	}
	return netdev->flags & IFF_UP ? TLS_WHY_NOT : TLS_WHY_DOWN;
}

static struct tls_hw_tx *hw_tx_alloc(struct tls_context *ctx, const struct tls_crypto_info *info)
{
	struct tls_hw_tx *tx = kzalloc(sizeof(*tx), GFP_KERNEL);

	if (!tx)
		return NULL;
	spin_lock_init(&tx->off.lock);
	INIT_LIST_HEAD(&tx->off.records_list);
	INIT_LIST_HEAD(&tx->free);
	tx->off.ctx = ctx;
	tx->ubuf = tls_pages_alloc();
	if (tx->ubuf && !tls_epoch_open(&tx->epoch, info, true)) {
		tx->off.unacked_record_sn = tx->epoch.record;
		return tx;
	}
	hw_tx_free(tx);
	return NULL;
}

/* What comes before is not the device's to seal */
static bool start_marker(struct tls_hw_tx *tx, u32 seq)
{
	struct tls_record_info *marker = tls_hw_record_alloc(tx, GFP_KERNEL);

	if (!marker)
		return false;
	marker->end_seq = seq;
	marker->len = 0;
	marker->num_frags = 0;
	list_add(&marker->list, &tx->off.records_list);
	return true;
}

/*
 * Gives the device a context for sending, @tx, of which TCP's next byte is the first. If the
 * connection has one already, all of that one's bytes are acknowledged, and it becomes hw->old.
 */
static enum tls_why add_tx(struct sock *sk, struct net_device *netdev, struct tls_hw_tx *tx,
			   union tls_crypto_context *info)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_hw *hw = conn->hw;
	struct tls_hw_tx *old = hw->tx;
	/* Storage may wait for the lock, and memory for storage */
	unsigned int noio = memalloc_noio_save();
	enum tls_why why;
	int err;

	/* TCP must not put bytes of two engines into one packet */
	tcp_write_collapse_fence(sk);
	down_read(&tls_device_lock);
	why = can_attach(sk, netdev);
	if (!why) {
		/* Packets on their way may see it: pairs with their dependent loads */
		smp_store_release(&hw->tx, tx);
		/* The same, for drivers */
		smp_store_release(&conn->ctx.priv_ctx_tx, &tx->off);
		err = netdev->tlsdev_ops->tls_dev_add(netdev, sk, TLS_OFFLOAD_CTX_DIR_TX,
						      &info->info, tcp_sk(sk)->write_seq);
		if (err) {
			why = why_refused(err);
			WRITE_ONCE(hw->tx, old);
			WRITE_ONCE(conn->ctx.priv_ctx_tx, old ? &old->off : NULL);
		}
	}
	if (!why) {
		tx->added = true;
		conn->tx.hw = true;
		conn->ctx.tx_conf = TLS_HW;
		WRITE_ONCE(conn->tx.why, TLS_WHY_NOT);
		tls_stat_inc(sk, TLS_STAT_CURR_TX_DEVICE);
		WRITE_ONCE(hw->leaving, false);
		WRITE_ONCE(hw->away, false);
		attach(sk, netdev);
		if (old) {
			WRITE_ONCE(hw->old, old);
			tls_stat_add(sk, TLS_STAT_CURR_TX_SW, -1);
			clear_bit(TLS_TX_SYNC_SCHED, &conn->ctx.flags);
		} else {
			clean_acked_data_enable(inet_csk(sk), records_acked);
		}
		/* Drivers look at the connection if they see this */
		smp_store_release(&sk->sk_validate_xmit_skb, tls_validate_xmit_skb);
	}
	up_read(&tls_device_lock);
	memalloc_noio_restore(noio);
	return why;
}

/**
 * tls_hw_open_tx() - give the first epoch for sending to the device, if it takes it
 * @sk: the socket, locked; the epoch is open in software
 * @info: its parameters
 *
 * Context: process, may sleep.
 */
void tls_hw_open_tx(struct sock *sk, const struct tls_crypto_info *info)
{
	struct tls_conn *conn = tls_conn(sk);
	struct net_device *netdev = sk_netdev(sk);
	enum tls_why why = can_offload(netdev, info, true);
	struct tls_hw_tx *tx;

	if (!why) {
		union tls_crypto_context copy;

		memcpy(&copy, info, tls_info_size(conn->tx.epoch.cipher));
		tx = hw_get(conn) ? hw_tx_alloc(&conn->ctx, info) : NULL;
		if (tx && start_marker(tx, tcp_sk(sk)->write_seq))
			why = add_tx(sk, netdev, tx, &copy);
		else
			why = TLS_WHY_REFUSED;
		if (why)
			hw_tx_free(tx);
		memzero_explicit(&copy, sizeof(copy));
	}
	dev_put(netdev);
	conn->tx.why = why;
	tls_hw_note(sk, true, why);
}

/* The device that has the connection's contexts, held; NULL if it went down */
static struct net_device *hw_netdev(const struct tls_conn *conn)
{
	struct net_device *netdev;

	down_read(&tls_device_lock);
	netdev = rcu_dereference_protected(conn->ctx.netdev, lockdep_is_held(&tls_device_lock));
	dev_hold(netdev);
	up_read(&tls_device_lock);
	return netdev;
}

/**
 * tls_hw_reopen_tx() - give the present epoch for sending to the device that had an earlier one
 * @sk: the socket, locked; no record is under way, and hw->old is empty
 *
 * It begins with the next record, whatever their number is by now. What TCP has before that is no
 * plaintext of an older epoch any more, for that is acknowledged, so there is no start marker: of a
 * packet that was delayed the record is gone.
 *
 * Context: process, may sleep.
 *
 * Return: TLS_WHY_NOT; or why not, and it is as it was.
 */
enum tls_why tls_hw_reopen_tx(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);
	struct net_device *netdev = hw_netdev(conn);
	union tls_crypto_context info = conn->ctx.crypto_send;
	enum tls_why why = TLS_WHY_DOWN;
	struct tls_hw_tx *tx;
	unsigned int noio;

	if (!netdev)
		goto out;
	why = can_offload(netdev, &info.info, true);
	if (why)
		goto out;
	tls_epoch_state(&conn->tx.epoch, &info.info);
	/* Storage may wait for this very socket, and memory for storage */
	noio = memalloc_noio_save();
	tx = hw_tx_alloc(&conn->ctx, &info.info);
	memalloc_noio_restore(noio);
	why = tx ? add_tx(sk, netdev, tx, &info) : TLS_WHY_REFUSED;
	if (why && tx) {
		/* A packet on its way may have seen it */
		synchronize_net();
		hw_tx_free(tx);
	}
	if (!why)
		tls_hw_note(sk, true, why);
out:
	memzero_explicit(&info, sizeof(info));
	dev_put(netdev);
	return why;
}

/*
 * Behind what is in TCP's queue already, as the device will not see it again: where the first
 * record begins of which all is still to come, as far as headers tell; with its number in @info
 */
static u32 rx_begin(struct sock *sk, struct tls_crypto_info *info)
{
	const struct tls_rx *rx = &tls_conn(sk)->rx;
	u32 seq = tcp_sk(sk)->copied_seq - rx->staged;
	struct tls_epoch at = rx->epoch;

	while (before(seq, tcp_sk(sk)->rcv_nxt) && tls_rx_peek_header(sk, seq, &seq))
		at.record++;
	tls_epoch_state(&at, info);
	memzero_explicit(&at, sizeof(at));
	return seq;
}

static enum tls_why add_rx(struct sock *sk, struct net_device *netdev,
			   const struct tls_crypto_info *info)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_hw_rx *rx = conn->hw->rx;
	unsigned int noio = memalloc_noio_save();	/* see add_tx() */
	union tls_crypto_context copy;
	enum tls_why why;
	u32 seq;
	int err;

	memset(&rx->off, 0, sizeof(rx->off));
	rx->off.resync_nh_reset = 1;
	rx->walking = false;
	rx->logged = 0;
	memcpy(&copy, info, tls_info_size(conn->rx.epoch.cipher));
	seq = rx_begin(sk, &copy.info);
	down_read(&tls_device_lock);
	why = can_attach(sk, netdev);
	if (!why) {
		WRITE_ONCE(conn->ctx.priv_ctx_rx, &rx->off);
		err = netdev->tlsdev_ops->tls_dev_add(netdev, sk, TLS_OFFLOAD_CTX_DIR_RX,
						      &copy.info, seq);
		if (err)
			why = why_refused(err);
	}
	if (!why) {
		conn->hw->rx_added = true;
		conn->ctx.rx_conf = TLS_HW;
		WRITE_ONCE(conn->rx.why, TLS_WHY_NOT);
		tls_stat_inc(sk, TLS_STAT_CURR_RX_DEVICE);
		attach(sk, netdev);
	}
	up_read(&tls_device_lock);
	memalloc_noio_restore(noio);
	memzero_explicit(&copy, sizeof(copy));
	return why;
}

/**
 * tls_hw_open_rx() - give the first epoch for receiving to the device, if it takes it
 * @sk: the socket, locked; the epoch is open in software
 * @info: its parameters
 *
 * Context: process, may sleep.
 */
void tls_hw_open_rx(struct sock *sk, const struct tls_crypto_info *info)
{
	struct tls_conn *conn = tls_conn(sk);
	struct net_device *netdev = sk_netdev(sk);
	enum tls_why why = can_offload(netdev, info, false);

	if (!why) {
		struct tls_hw *hw = hw_get(conn);

		if (hw)
			hw->rx = kzalloc(sizeof(*hw->rx), GFP_KERNEL);
		why = hw && hw->rx ? add_rx(sk, netdev, info) : TLS_WHY_REFUSED;
		if (why && hw) {
			kfree(hw->rx);
			hw->rx = NULL;
		}
	}
	dev_put(netdev);
	conn->rx.why = why;
	tls_hw_note(sk, false, why);
}

/**
 * tls_hw_reopen_rx() - give the present epoch for receiving to the device that had an earlier one
 * @sk: the socket, locked; what the device opened with that one is read
 *
 * Context: process, may sleep.
 *
 * Return: TLS_WHY_NOT; or why not, and it is as it was.
 */
enum tls_why tls_hw_reopen_rx(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);
	struct net_device *netdev = hw_netdev(conn);
	enum tls_why why = TLS_WHY_DOWN;

	if (netdev)
		why = can_offload(netdev, &conn->ctx.crypto_recv.info, false);
	if (!why)
		why = add_rx(sk, netdev, &conn->ctx.crypto_recv.info);
	if (!why) {
		tls_stat_add(sk, TLS_STAT_CURR_RX_SW, -1);
		tls_hw_note(sk, false, why);
	}
	dev_put(netdev);
	return why;
}

/* --- while it works --- */

/**
 * tls_why() - why software has a direction
 * @conn: the connection
 * @tx: sending
 *
 * Context: any.
 *
 * Return: the reason; TLS_WHY_NOT if the device has it, or there is no key; TLS_WHY_ROUTE if the
 * device has it, and packets are sealed by software, as they leave by another.
 */
enum tls_why tls_why(const struct tls_conn *conn, bool tx)
{
	u8 why = tx ? READ_ONCE(conn->tx.why) : READ_ONCE(conn->rx.why);
	u8 conf = tx ? conn->ctx.tx_conf : conn->ctx.rx_conf;

	/* The one who takes a device down does not have the socket's lock */
	if (conf == TLS_HW && (why == TLS_WHY_NOT || why == TLS_WHY_REKEY) &&
	    READ_ONCE(conn->hw->down))
		return TLS_WHY_DOWN;
	if (conf == TLS_HW && why == TLS_WHY_NOT && tx && READ_ONCE(conn->hw->away))
		return TLS_WHY_ROUTE;
	return why;
}

/**
 * tls_get_conf() - which engine has a direction
 * @conn: the connection
 * @tx: sending
 *
 * Context: any.
 *
 * Return: TLS_BASE, TLS_SW or TLS_HW.
 */
int tls_get_conf(const struct tls_conn *conn, bool tx)
{
	u8 conf = tx ? conn->ctx.tx_conf : conn->ctx.rx_conf;
	enum tls_why why;

	if (conf != TLS_HW)
		return conf;
	why = tls_why(conn, tx);
	return why == TLS_WHY_NOT || why == TLS_WHY_ROUTE ? TLS_HW : TLS_SW;
}

/**
 * tls_offload_tx_resync_request() - a driver lost its place in the stream
 * @sk: the socket
 * @got_seq: TCP sequence number of the packet it got
 * @exp_seq: the one it expected
 *
 * Before the next record goes to TCP, the driver is told its number.
 *
 * Context: any.
 */
void tls_offload_tx_resync_request(struct sock *sk, u32 got_seq, u32 exp_seq)
{
	struct tls_context *ctx = tls_get_ctx(sk);

	trace_tls_tx_resync_request(sk, got_seq, exp_seq);
	set_bit(TLS_TX_SYNC_SCHED, &ctx->flags);
}
EXPORT_SYMBOL_GPL(tls_offload_tx_resync_request);

/**
 * tls_hw_resync_tx() - tell the driver where the next record begins, if it has asked
 * @sk: the socket, locked; nothing of the record is TCP's yet
 *
 * Context: process, may sleep.
 */
void tls_hw_resync_tx(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);
	u32 seq = tcp_sk(sk)->write_seq;
	struct net_device *netdev;
	__be64 record;
	int err = -ENODEV;

	if (likely(!test_bit(TLS_TX_SYNC_SCHED, &conn->ctx.flags)))
		return;
	/* The record has to begin a packet */
	tcp_write_collapse_fence(sk);
	record = cpu_to_be64(conn->tx.epoch.record);
	down_read(&tls_device_lock);
	netdev = rcu_dereference_protected(conn->ctx.netdev, lockdep_is_held(&tls_device_lock));
	if (netdev && conn->hw->tx->added)
		err = netdev->tlsdev_ops->tls_dev_resync(netdev, sk, seq, (u8 *)&record,
							 TLS_OFFLOAD_CTX_DIR_TX);
	up_read(&tls_device_lock);
	trace_tls_tx_resync(sk, seq, conn->tx.epoch.record, err);
	/* It asks again with each packet that it cannot seal */
	if (err)
		return;
	conn->tx.n.resyncs++;
	tls_stat_inc(sk, TLS_STAT_TX_DEVICE_RESYNC);
	clear_bit_unlock(TLS_TX_SYNC_SCHED, &conn->ctx.flags);
}

/**
 * tls_hw_away() - what is the device's to seal leaves by another, or does so no more
 * @sk: the socket
 * @away: by another
 *
 * It is told as long as the device seals the next record, too.
 *
 * Context: softirq, or process with softirqs off.
 */
void tls_hw_away(struct sock *sk, bool away)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_hw *hw = conn->hw;
	unsigned long flags;

	/* Packets of more than one queue may meet, and the device's going down */
	spin_lock_irqsave(&conns_lock, flags);
	if (hw->away != away && !READ_ONCE(hw->leaving)) {
		WRITE_ONCE(hw->away, away);
		/* Nobody counts a connection that the program has closed */
		if (READ_ONCE(conn->tx.why) == TLS_WHY_NOT && !READ_ONCE(hw->detached))
			tls_hw_note(sk, true, away ? TLS_WHY_ROUTE : TLS_WHY_NOT);
	}
	spin_unlock_irqrestore(&conns_lock, flags);
}

/**
 * tls_hw_fallback() - count a packet that software sealed, or could not
 * @sk: its socket
 * @seq: TCP sequence number of its first byte
 * @len: bytes
 * @err: 0 or why it was dropped
 *
 * Here, as fallback.c must not know more types than it does: the checksums of its exports depend on
 * them.
 *
 * Context: any.
 */
void tls_hw_fallback(struct sock *sk, u32 seq, u32 len, int err)
{
	tls_stat_inc(sk, err ? TLS_STAT_TX_FALLBACK_DROP : TLS_STAT_TX_FALLBACK);
	if (!err)
		atomic_inc(&tls_conn(sk)->tx.n.fallback);
	trace_tls_fallback(sk, seq, len, err);
}

/**
 * tls_device_init() - prepare for devices
 *
 * Return: 0 or a negative error.
 */
int tls_device_init(void)
{
	int err = -ENOMEM;

	record_cache = KMEM_CACHE(tls_record_info, 0);
	if (!record_cache)
		return -ENOMEM;
	tls_device_wq = alloc_workqueue("ktls_device", 0, 0);
	if (!tls_device_wq)
		goto no_wq;
	err = tls_rekey_init();
	if (err)
		goto no_rekey;
	err = register_netdevice_notifier(&device_notifier);
	if (err)
		goto no_notifier;
	return 0;
no_notifier:
	tls_rekey_exit();
no_rekey:
	destroy_workqueue(tls_device_wq);
no_wq:
	kmem_cache_destroy(record_cache);
	return err;
}

/** tls_device_exit() - undo it */
void tls_device_exit(void)
{
	unregister_netdevice_notifier(&device_notifier);
	/* Whoever is still in tls_device_sk_destruct() */
	synchronize_net();
	tls_rekey_exit();
	destroy_workqueue(tls_device_wq);
	clean_acked_data_flush();
	kmem_cache_destroy(record_cache);
}
