// SPDX-License-Identifier: GPL-2.0
/*
 * TLS offload: what the core calls, and the transmit direction, which owns the
 * contexts that seal and the repair of packets that are not the one that the
 * device expects.  The receive direction is in sealnic_tls_rx.c.
 *
 * A context belongs to one transmit queue (sealnic_tls_queue()), so that the
 * queue's lock keeps its packets in order and guards tls->next_seq.
 */
#include <linux/ethtool.h>
#include <linux/hash.h>
#include <linux/property.h>
#include <linux/tcp.h>
#include <linux/unaligned.h>
#include <linux/xarray.h>
#include <net/tcp.h>
#include <net/tls.h>

#include "sealnic.h"
#include "sealnic_tls.h"
#include "sealnic_tx.h"

/* Counted in ndo_start_xmit, by queue; named as in tls-offload.rst where it has a name */
enum sealnic_tls_count {
	SEALNIC_TLS_PACKETS,
	SEALNIC_TLS_BYTES,
	SEALNIC_TLS_OOO,
	SEALNIC_TLS_REPLAY_BYTES,
	SEALNIC_TLS_SKIP_NO_SYNC,
	SEALNIC_TLS_DROP_NO_SYNC,
	SEALNIC_TLS_DROP_BYPASS,
	SEALNIC_TLS_RESYNC_FAILED,
	SEALNIC_TLS_FALLBACK_PACKETS,
	SEALNIC_TLS_FALLBACK_BYTES,
	SEALNIC_TLS_COUNTS,
};

static const char sealnic_tls_count_name[SEALNIC_TLS_COUNTS][ETH_GSTRING_LEN] = {
	[SEALNIC_TLS_PACKETS] = "tx_tls_encrypted_packets",
	[SEALNIC_TLS_BYTES] = "tx_tls_encrypted_bytes",
	[SEALNIC_TLS_OOO] = "tx_tls_ooo",
	[SEALNIC_TLS_REPLAY_BYTES] = "tx_tls_replay_bytes",
	[SEALNIC_TLS_SKIP_NO_SYNC] = "tx_tls_skip_no_sync_data",
	[SEALNIC_TLS_DROP_NO_SYNC] = "tx_tls_drop_no_sync_data",
	[SEALNIC_TLS_DROP_BYPASS] = "tx_tls_drop_bypass_req",
	[SEALNIC_TLS_RESYNC_FAILED] = "tx_tls_resync_failed",
	[SEALNIC_TLS_FALLBACK_PACKETS] = "tx_tls_sw_fallback_packets",
	[SEALNIC_TLS_FALLBACK_BYTES] = "tx_tls_sw_fallback_bytes",
};

struct sealnic_tls_queue {
	struct u64_stats_sync sync;
	u64_stats_t n[SEALNIC_TLS_COUNTS];
};

/* Counted in process context and in event handlers */
enum sealnic_tls_event {
	SEALNIC_TLS_ADD,
	SEALNIC_TLS_DEL,
	SEALNIC_TLS_ADD_FAILED,
	SEALNIC_TLS_READD,
	SEALNIC_TLS_LOST_EVENTS,
	SEALNIC_TLS_EVENTS,
};

static const char sealnic_tls_event_name[SEALNIC_TLS_EVENTS][ETH_GSTRING_LEN] = {
	[SEALNIC_TLS_ADD] = "tx_tls_ctx",
	[SEALNIC_TLS_DEL] = "tx_tls_del",
	[SEALNIC_TLS_ADD_FAILED] = "tx_tls_add_failed",
	[SEALNIC_TLS_READD] = "tx_tls_readd",
	[SEALNIC_TLS_LOST_EVENTS] = "tx_tls_lost",
};

/* A context that is refused after a reset: when to try again */
#define SEALNIC_TLS_RETRY_MIN	((unsigned int)HZ / 10)
#define SEALNIC_TLS_RETRY_MAX	(30U * HZ)

/**
 * struct sealnic_tls_dev - a port's TLS state; sealnic.tls
 * @ids: struct sealnic_tls by the device's id
 * @lock: protects @list and @gen; taken with the contexts' ids settled under it
 * @list: all contexts
 * @gen: resets of the device so far: ids of an older generation are void
 * @events: counters
 * @queue: counters of each queue
 */
struct sealnic_tls_dev {
	struct xarray ids;
	spinlock_t lock;	/* see above */
	struct list_head list;
	u32 gen;
	atomic64_t events[SEALNIC_TLS_EVENTS];
	struct sealnic_tls_queue queue[SEALNIC_DRV_MAX_QP];
};

/**
 * struct sealnic_tls - the driver's side of a connection context
 * @id: the device's name for it; 0: the device has none, software seals.
 *	Set with release after @next_seq, cleared with the queues stopped.
 * @next_seq: TCP sequence number that the device expects; under the queue's lock
 * @queue: transmit queue; changes only when ethtool -L takes it away
 * @retry: jiffies before which a refused context is not asked for again
 * @backoff: jiffies to wait after the next refusal
 * @lost: the device dropped a packet, or the driver one that it had announced
 * @cmd: the command that adds it, again after a reset; holds the key
 * @list: in sealnic_tls_dev.list
 * @rcu: sealnic_tls_lost() may be looking when it goes
 */
struct sealnic_tls {
	u32 id;
	u32 next_seq;
	unsigned long retry;
	unsigned int backoff;
	u16 queue;
	bool lost;
	struct sealnic_cmd cmd;
	struct list_head list;
	struct rcu_head rcu;
};

/* What the core keeps for us beside its own state of the connection */
struct sealnic_tls_priv {
	struct sealnic_tls *tls;
};

static_assert(sizeof(struct sealnic_tls_priv) <= TLS_DRIVER_STATE_SIZE_TX);

static struct sealnic_tls_priv *sealnic_tls_priv(struct tls_context *ctx)
{
	return (void *)tls_offload_ctx_tx(ctx)->driver_state;
}

static void sealnic_tls_event(struct sealnic *sn, enum sealnic_tls_event event)
{
	struct sealnic_tls_dev *dev = sn->tls;

	atomic64_inc(&dev->events[event]);
}

/* Under the queue's lock */
static void sealnic_tls_count(struct sealnic_tx_ring *ring, enum sealnic_tls_count what,
			      u32 add)
{
	struct sealnic_tls_dev *dev = ring->qp->sn->tls;
	struct sealnic_tls_queue *queue = &dev->queue[ring->qp->id];

	u64_stats_update_begin(&queue->sync);
	u64_stats_add(&queue->n[what], add);
	u64_stats_update_end(&queue->sync);
}

/**
 * sealnic_tls_remove() - make the device forget a context
 * @sn: device
 * @id: of the context
 * @ev: its answer
 *
 * Context: process
 * Return: 0 or negative errno: a device that does not answer has no keys any
 * more, or will be reset
 */
int sealnic_tls_remove(struct sealnic *sn, u32 id, struct sealnic_event *ev)
{
	struct sealnic_cmd cmd = {
		.opcode = cpu_to_le16(SEALNIC_CMD_TLS_DEL),
		.tls_ctx.id = cpu_to_le32(id),
	};

	return sealnic_cmd(sn, &cmd, ev);
}

/*
 * Give the context to the device: record @rec_no starts at @seq.  Process
 * context.
 */
static int sealnic_tls_install(struct sealnic *sn, struct sealnic_tls *tls, u32 seq,
			       u64 rec_no)
{
	struct sealnic_tls_dev *dev = sn->tls;
	struct sealnic_cmd cmd = tls->cmd;
	u32 id, gen = READ_ONCE(dev->gen);
	struct sealnic_event ev;
	int err;

	cmd.tls_add.tcp_seq = cpu_to_le32(seq);
	cmd.tls_add.rec_no = cpu_to_le64(rec_no);
	err = sealnic_cmd(sn, &cmd, &ev);
	memzero_explicit(&cmd, sizeof(cmd));
	if (err)
		goto failed;

	id = le32_to_cpu(ev.tls_ctx.id);
	err = xa_err(xa_store(&dev->ids, id, tls, GFP_KERNEL));
	if (err)
		goto remove;
	spin_lock_bh(&dev->lock);
	if (gen == dev->gen) {
		tls->next_seq = seq;
		WRITE_ONCE(tls->lost, false);
		smp_store_release(&tls->id, id); /* pairs with sealnic_tls_xmit() */
	} else {
		/* a reset came between: this id may be of before or after it */
		err = -EAGAIN;
	}
	spin_unlock_bh(&dev->lock);
	if (!err)
		return 0;
	xa_erase(&dev->ids, id);
remove:
	sealnic_tls_remove(sn, id, &ev);
failed:
	sealnic_tls_event(sn, SEALNIC_TLS_ADD_FAILED);
	return err;
}

/**
 * sealnic_tls_cmd_init() - the command that adds a context
 * @sn: device
 * @cmd: command, zeroed
 * @direction: of the context
 * @info: key, nonce and first record number
 *
 * The core's structures for TLS 1.2 and 1.3 are the same, and so are the
 * device's: four bytes of salt, then the eight that a TLS 1.2 record carries
 * and that are the rest of the nonce in TLS 1.3.
 *
 * Context: any
 * Return: 0, or -EOPNOTSUPP if the device cannot do it
 */
int sealnic_tls_cmd_init(struct sealnic *sn, struct sealnic_cmd *cmd,
			 enum sealnic_tls_dir direction,
			 struct tls_crypto_info *info)
{
	if (info->version != TLS_1_2_VERSION &&
	    !(info->version == TLS_1_3_VERSION && (sn->features & SEALNIC_F_TLS_13)))
		return -EOPNOTSUPP;
	cmd->opcode = cpu_to_le16(SEALNIC_CMD_TLS_ADD);
	cmd->tls_add.direction = direction;
	cmd->tls_add.version = cpu_to_le16(info->version);

	switch (info->cipher_type) {
	case TLS_CIPHER_AES_GCM_128: {
		struct tls12_crypto_info_aes_gcm_128 *gcm = (void *)info;

		cmd->tls_add.cipher = SEALNIC_AES128_GCM;
		memcpy(cmd->tls_add.key, gcm->key, sizeof(gcm->key));
		memcpy(cmd->tls_add.iv, gcm->salt, sizeof(gcm->salt));
		memcpy(cmd->tls_add.iv + sizeof(gcm->salt), gcm->iv, sizeof(gcm->iv));
		cmd->tls_add.rec_no = cpu_to_le64(get_unaligned_be64(gcm->rec_seq));
		return 0;
	}
	case TLS_CIPHER_AES_GCM_256: {
		struct tls12_crypto_info_aes_gcm_256 *gcm = (void *)info;

		cmd->tls_add.cipher = SEALNIC_AES256_GCM;
		memcpy(cmd->tls_add.key, gcm->key, sizeof(gcm->key));
		memcpy(cmd->tls_add.iv, gcm->salt, sizeof(gcm->salt));
		memcpy(cmd->tls_add.iv + sizeof(gcm->salt), gcm->iv, sizeof(gcm->iv));
		cmd->tls_add.rec_no = cpu_to_le64(get_unaligned_be64(gcm->rec_seq));
		return 0;
	}
	default:
		return -EOPNOTSUPP;
	}
}

/*
 * The core asks to offload a connection.  Any error leaves it in software.
 */
static int sealnic_tls_dev_add(struct net_device *netdev, struct sock *sk,
			       enum tls_offload_ctx_dir direction,
			       struct tls_crypto_info *info, u32 start_seq)
{
	struct sealnic *sn = netdev_priv(netdev);
	struct sealnic_tls_dev *dev = sn->tls;
	struct sealnic_tls *tls;
	int err;

	if (direction == TLS_OFFLOAD_CTX_DIR_RX)
		return sealnic_tls_rx_add(sn, sk, info, start_seq);
	tls = kzalloc(sizeof(*tls), GFP_KERNEL);
	if (!tls) {
		sealnic_tls_event(sn, SEALNIC_TLS_ADD_FAILED);
		return -ENOMEM;
	}
	INIT_LIST_HEAD(&tls->list);
	tls->queue = reciprocal_scale(hash_ptr(sk, 32), netdev->real_num_tx_queues);
	err = sealnic_tls_cmd_init(sn, &tls->cmd, SEALNIC_TLS_TX, info);
	if (err)
		goto free;

	/* on the list first: a reset finds it there, or sealnic_tls_install() fails */
	spin_lock_bh(&dev->lock);
	list_add(&tls->list, &dev->list);
	spin_unlock_bh(&dev->lock);
	err = sealnic_tls_install(sn, tls, start_seq, le64_to_cpu(tls->cmd.tls_add.rec_no));
	if (err) {
		spin_lock_bh(&dev->lock);
		list_del(&tls->list);
		spin_unlock_bh(&dev->lock);
		goto free;
	}
	/* after a rekey, packets of the context before may be looking for theirs */
	smp_store_release(&sealnic_tls_priv(tls_get_ctx(sk))->tls, tls);
	sealnic_tls_event(sn, SEALNIC_TLS_ADD);
	return 0;

free:
	memzero_explicit(&tls->cmd, sizeof(tls->cmd));
	kfree_rcu(tls, rcu); /* it was among the ids for a moment */
	return err;
}

/*
 * The core lets go of a connection's direction.  If that is transmit, nobody
 * waits for a packet in plaintext that may still come: see sealnic_tls_xmit().
 */
static void sealnic_tls_dev_del(struct net_device *netdev, struct tls_context *ctx,
				enum tls_offload_ctx_dir direction)
{
	struct sealnic *sn = netdev_priv(netdev);
	struct sealnic_tls_dev *dev = sn->tls;
	struct sealnic_tls_priv *priv;
	struct sealnic_tls *tls;
	struct sealnic_event ev;

	if (direction == TLS_OFFLOAD_CTX_DIR_RX) {
		sealnic_tls_rx_del(sn, ctx);
		return;
	}
	priv = sealnic_tls_priv(ctx);
	tls = priv->tls;
	WRITE_ONCE(priv->tls, NULL);

	spin_lock_bh(&dev->lock);
	list_del(&tls->list);
	spin_unlock_bh(&dev->lock);
	if (tls->id) {
		xa_erase(&dev->ids, tls->id);
		sealnic_tls_remove(sn, tls->id, &ev);
	}
	sealnic_tls_event(sn, SEALNIC_TLS_DEL);
	memzero_explicit(&tls->cmd, sizeof(tls->cmd));
	kfree_rcu(tls, rcu);
}

/*
 * Transmit: the core is about to send record @rcd_sn at @seq and was asked, by
 * sealnic_tls_xmit(), to tell: the moment to give the device a context that
 * a reset took from it.  Receive: it answers sealnic_tls_rx().
 */
static int sealnic_tls_dev_resync(struct net_device *netdev, struct sock *sk, u32 seq,
				  u8 *rcd_sn, enum tls_offload_ctx_dir direction)
{
	struct sealnic *sn = netdev_priv(netdev);
	struct sealnic_tls *tls;
	int err;

	if (direction == TLS_OFFLOAD_CTX_DIR_RX)
		return sealnic_tls_rx_resync(sn, sk, seq, get_unaligned_be64(rcd_sn));
	tls = sealnic_tls_priv(tls_get_ctx(sk))->tls;
	if (READ_ONCE(tls->id))
		return 0;
	/* after a refusal the core asks again with each record */
	if (tls->backoff && time_before(jiffies, tls->retry))
		return -EBUSY;
	err = sealnic_tls_install(sn, tls, seq, get_unaligned_be64(rcd_sn));
	if (err) {
		tls->backoff = clamp(2 * tls->backoff, SEALNIC_TLS_RETRY_MIN,
				     SEALNIC_TLS_RETRY_MAX);
		tls->retry = jiffies + tls->backoff;
		return err;
	}
	tls->backoff = 0;
	sealnic_tls_event(sn, SEALNIC_TLS_READD);
	return 0;
}

static const struct tlsdev_ops sealnic_tlsdev_ops = {
	.tls_dev_add = sealnic_tls_dev_add,
	.tls_dev_del = sealnic_tls_dev_del,
	.tls_dev_resync = sealnic_tls_dev_resync,
};

/* The core's record that holds @seq, and the pages of it that come before */
struct sealnic_tls_replay {
	u64 rec_no;
	u32 start;
	u32 count;
	skb_frag_t frags[MAX_SKB_FRAGS];
};

enum sealnic_tls_found {
	SEALNIC_TLS_FOUND,
	SEALNIC_TLS_BYPASS,	/* from before the offload began, or some of it is */
	SEALNIC_TLS_GONE,	/* acknowledged: nobody waits for it */
};

/* Is byte @seq from before the offload began? */
static bool sealnic_tls_is_before(struct tls_offload_context_tx *octx, u32 seq)
{
	struct tls_record_info *record;
	unsigned long flags;
	bool is_before;
	u64 rec_no;

	spin_lock_irqsave(&octx->lock, flags);
	record = tls_get_record(octx, seq, &rec_no);
	is_before = record && tls_record_is_start_marker(record);
	spin_unlock_irqrestore(&octx->lock, flags);
	return is_before;
}

static enum sealnic_tls_found sealnic_tls_find(struct tls_offload_context_tx *octx,
					       u32 seq, struct sealnic_tls_replay *replay)
{
	enum sealnic_tls_found found = SEALNIC_TLS_FOUND;
	struct tls_record_info *record;
	unsigned long flags;
	u32 left;

	spin_lock_irqsave(&octx->lock, flags);
	record = tls_get_record(octx, seq, &replay->rec_no);
	if (!record) {
		found = SEALNIC_TLS_GONE;
	} else if (tls_record_is_start_marker(record)) {
		found = SEALNIC_TLS_BYPASS;
	} else {
		replay->start = tls_record_start_seq(record);
		left = seq - replay->start;
		for (replay->count = 0; left; replay->count++) {
			skb_frag_t *frag = &replay->frags[replay->count];

			*frag = record->frags[replay->count];
			if (skb_frag_size(frag) > left)
				skb_frag_size_set(frag, left);
			left -= skb_frag_size(frag);
			/* the record may go with the next ACK */
			get_page(skb_frag_page(frag));
		}
	}
	spin_unlock_irqrestore(&octx->lock, flags);
	return found;
}

/*
 * Post what lets the device take a packet that starts at @seq: the start of
 * its record, then the record's bytes in front of it.
 */
static int sealnic_tls_resync(struct sealnic_tx_ring *ring, u32 id,
			      struct sealnic_tls_replay *replay)
{
	u32 start = ring->prod, i;
	struct sealnic_tx_buf *buf;
	struct sealnic_txd *txd;
	int err = 0;

	txd = sealnic_tx_claim(ring, &buf);
	txd->type = SEALNIC_TXD_TLS_SYNC;
	txd->sync.tls_ctx = cpu_to_le32(id);
	txd->sync.tcp_seq = cpu_to_le32(replay->start);
	txd->sync.rec_no = cpu_to_le64(replay->rec_no);
	for (i = 0; i < replay->count && !err; i++) {
		const skb_frag_t *frag = &replay->frags[i];

		txd = sealnic_tx_claim(ring, &buf);
		txd->type = SEALNIC_TXD_TLS_REPLAY;
		txd->replay.tls_ctx = cpu_to_le32(id);
		buf->page = skb_frag_page(frag);
		err = sealnic_tx_map_frag(ring, txd, buf, frag, 0, skb_frag_size(frag));
	}
	if (!err)
		return 0;
	/* what was claimed gives its page back there */
	sealnic_tx_unwind(ring, start);
	for (; i < replay->count; i++)
		put_page(skb_frag_page(&replay->frags[i]));
	return err;
}

/* Software has to seal what the device cannot */
static struct sk_buff *sealnic_tls_fallback(struct sealnic_tx_ring *ring, struct sk_buff *skb)
{
	sealnic_tls_count(ring, SEALNIC_TLS_FALLBACK_PACKETS, 1);
	sealnic_tls_count(ring, SEALNIC_TLS_FALLBACK_BYTES, skb->len - skb_tcp_all_headers(skb));
	return tls_encrypt_skb(skb);
}

/**
 * sealnic_tls_xmit() - prepare a packet of an offloaded connection
 * @sn: the device
 * @ring: the queue that sealnic_tls_queue() chose, locked
 * @skb: the packet
 * @tx: what its descriptor has to say
 *
 * Repairs the device's view of the stream if this is not the packet that it
 * expects.  A packet that must not leave in the clear and cannot be sealed is
 * freed here.
 *
 * Context: the netdev_queue's lock, softirqs off
 * Return: the packet to send, perhaps sealed already, or NULL.
 */
struct sk_buff *sealnic_tls_xmit(struct sealnic *sn, struct sealnic_tx_ring *ring,
				 struct sk_buff *skb, struct sealnic_tls_tx *tx)
{
	u32 seq = ntohl(tcp_hdr(skb)->seq), len = skb->len - skb_tcp_all_headers(skb);
	struct tls_context *ctx = tls_get_ctx(skb->sk);
	struct sealnic_tls_replay replay;
	struct net_device *holder;
	struct sealnic_tls *tls;
	u32 id;

	if (!len)
		return skb;
	/*
	 * The context is another device's: the core saw where the packet goes
	 * and has sealed it.  No device at all means that we are being taken
	 * down; the context is ours until the grace period is over.
	 */
	holder = rcu_dereference_bh(ctx->netdev);
	if (unlikely(holder && holder != sn->netdev))
		return skb;

	tls = smp_load_acquire(&sealnic_tls_priv(ctx)->tls); /* pairs with sealnic_tls_dev_add() */
	if (unlikely(!skb_is_decrypted(skb))) {
		/* user space sealed it before the offload, or the core since */
		if (tls && sealnic_tls_is_before(tls_offload_ctx_tx(ctx), seq))
			sealnic_tls_count(ring, SEALNIC_TLS_SKIP_NO_SYNC, 1);
		return skb;
	}
	/* all that was to seal is acknowledged: a copy that some queue has held up */
	if (unlikely(!tls))
		goto drop_no_sync;
	if (unlikely(!sealnic_plain_ip(skb) || skb_tcp_all_headers(skb) > SEALNIC_MAX_HDR))
		return sealnic_tls_fallback(ring, skb);
	id = smp_load_acquire(&tls->id); /* pairs with sealnic_tls_install() */
	if (unlikely(!id)) {
		/* sealnic_tls_dev_resync() will get it one */
		if (!tls_offload_tx_resync_pending(skb->sk))
			tls_offload_tx_resync_request(skb->sk, seq, tls->next_seq);
		return sealnic_tls_fallback(ring, skb);
	}

	if (unlikely(seq != tls->next_seq || READ_ONCE(tls->lost))) {
		switch (sealnic_tls_find(tls_offload_ctx_tx(ctx), seq, &replay)) {
		case SEALNIC_TLS_FOUND:
			break;
		case SEALNIC_TLS_BYPASS:
			goto drop_bypass;
		case SEALNIC_TLS_GONE:
			goto drop_no_sync;
		}
		/* cleared first: the device may say so again at any time */
		WRITE_ONCE(tls->lost, false);
		if (sealnic_tls_resync(ring, id, &replay)) {
			WRITE_ONCE(tls->lost, true);
			sealnic_tls_count(ring, SEALNIC_TLS_RESYNC_FAILED, 1);
			return sealnic_tls_fallback(ring, skb);
		}
		sealnic_tls_count(ring, SEALNIC_TLS_OOO, 1);
		sealnic_tls_count(ring, SEALNIC_TLS_REPLAY_BYTES, seq - replay.start);
	}
	tls->next_seq = seq + len;
	tx->ctx_id = id;
	tx->tls = tls;
	sealnic_tls_count(ring, SEALNIC_TLS_PACKETS, skb_shinfo(skb)->gso_segs ?: 1);
	sealnic_tls_count(ring, SEALNIC_TLS_BYTES, len);
	return skb;

drop_no_sync:
	sealnic_tls_count(ring, SEALNIC_TLS_DROP_NO_SYNC, 1);
	goto drop;
drop_bypass:
	sealnic_tls_count(ring, SEALNIC_TLS_DROP_BYPASS, 1);
drop:
	dev_kfree_skb_any(skb);
	return NULL;
}

/**
 * sealnic_tls_xmit_failed() - a packet that was to be sealed is dropped
 * @tx: what sealnic_tls_xmit() said of it
 *
 * The device waits for a packet that will not come.
 *
 * Context: the netdev_queue's lock
 */
void sealnic_tls_xmit_failed(const struct sealnic_tls_tx *tx)
{
	WRITE_ONCE(tx->tls->lost, true);
}

/**
 * sealnic_tls_queue() - the transmit queue of an offloaded connection
 * @sn: the device
 * @skb: a packet of the connection
 *
 * Context: softirq, or process with softirqs off
 * Return: always the same queue for one connection, so that the device sees
 * its packets in order.
 */
u16 sealnic_tls_queue(struct sealnic *sn, struct sk_buff *skb)
{
	struct tls_context *ctx = tls_get_ctx(skb->sk);
	unsigned int n = sn->netdev->real_num_tx_queues;
	struct net_device *holder = rcu_dereference_bh(ctx->netdev);
	struct sealnic_tls *tls;

	if (holder && holder != sn->netdev)
		return netdev_pick_tx(sn->netdev, skb, NULL);
	tls = smp_load_acquire(&sealnic_tls_priv(ctx)->tls); /* pairs with sealnic_tls_dev_add() */
	if (unlikely(!tls))
		return netdev_pick_tx(sn->netdev, skb, NULL);
	if (unlikely(READ_ONCE(tls->queue) >= n))
		WRITE_ONCE(tls->queue, tls->queue % n);
	return READ_ONCE(tls->queue);
}

/**
 * sealnic_tls_lost() - the device cannot follow a connection any more
 * @sn: the device
 * @id: of the context
 *
 * The next packet brings it back.
 *
 * Context: process or softirq
 */
void sealnic_tls_lost(struct sealnic *sn, u32 id)
{
	struct sealnic_tls_dev *dev = sn->tls;
	struct sealnic_tls *tls;

	/* a device that speaks of contexts before there are any */
	if (!dev)
		return;
	rcu_read_lock();
	tls = xa_load(&dev->ids, id);
	if (tls)
		WRITE_ONCE(tls->lost, true);
	rcu_read_unlock();
	sealnic_tls_event(sn, SEALNIC_TLS_LOST_EVENTS);
}

/**
 * sealnic_tls_reset_done() - the device has lost all contexts
 * @sn: the device; its transmit queues are stopped
 *
 * Each connection goes on in software until its next record, which asks for a
 * context anew.
 *
 * Context: process, RTNL
 */
void sealnic_tls_reset_done(struct sealnic *sn)
{
	struct sealnic_tls_dev *dev = sn->tls;
	struct sealnic_tls *tls;

	spin_lock_bh(&dev->lock);
	dev->gen++;
	list_for_each_entry(tls, &dev->list, list) {
		if (tls->id)
			xa_erase(&dev->ids, tls->id);
		WRITE_ONCE(tls->id, 0);
	}
	spin_unlock_bh(&dev->lock);
}

/*
 * How a driver says that it may be given keys of TLS 1.3, which the kernel's
 * own tls.ko never does: by a property of the device that the core looks for.
 * Where somebody else has already given the device a software node there is no
 * place for ours, and TLS 1.3 stays in software.
 */
static const struct property_entry sealnic_tls_properties[] = {
	PROPERTY_ENTRY_BOOL("tls-offload-1.3"),
	{ }
};

static int sealnic_tls_node_add(struct sealnic *sn)
{
	struct device *dev = &sn->pdev->dev;
	struct fwnode_handle *node;
	int err;

	if (!(sn->features & SEALNIC_F_TLS_13))
		return 0;
	node = fwnode_create_software_node(sealnic_tls_properties, NULL);
	if (IS_ERR(node))
		return PTR_ERR(node);
	err = device_add_software_node(dev, to_software_node(node));
	if (err) {
		fwnode_remove_software_node(node);
		if (err != -EBUSY)
			return err;
		dev_notice(dev, "has a software node of somebody else's: no offload of TLS 1.3\n");
		return 0;
	}
	sn->tls_node = node;
	return 0;
}

static void sealnic_tls_node_remove(struct sealnic *sn)
{
	if (!sn->tls_node)
		return;
	device_remove_software_node(&sn->pdev->dev);
	fwnode_remove_software_node(sn->tls_node);
	sn->tls_node = NULL;
}

/**
 * sealnic_tls_init() - offer TLS offload, if the device does
 * @sn: the device, before its netdev is registered
 *
 * Return: 0 or negative errno; sealnic_tls_fini() cleans up in any case
 */
int sealnic_tls_init(struct sealnic *sn)
{
	const u64 need = SEALNIC_F_TLS_12 | SEALNIC_F_AES128_GCM | SEALNIC_F_AES256_GCM;
	netdev_features_t features = 0;
	struct sealnic_tls_dev *dev;
	unsigned int i;
	int err;

	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return -ENOMEM;
	xa_init(&dev->ids);
	spin_lock_init(&dev->lock);
	INIT_LIST_HEAD(&dev->list);
	for (i = 0; i < ARRAY_SIZE(dev->queue); i++)
		u64_stats_init(&dev->queue[i].sync);
	sn->tls = dev;
	err = sealnic_tls_rx_init(sn);
	if (err)
		return err;

	if ((sn->features & need) != need)
		return 0;
	if (sn->features & SEALNIC_F_TLS_TX)
		features |= NETIF_F_HW_TLS_TX;
	if (sn->features & SEALNIC_F_TLS_RX)
		features |= NETIF_F_HW_TLS_RX;
	if (!features)
		return 0;
	sn->netdev->tlsdev_ops = &sealnic_tlsdev_ops;
	sn->netdev->hw_features |= features;
	sn->netdev->features |= features;
	return sealnic_tls_node_add(sn);
}

/**
 * sealnic_tls_fini() - undo sealnic_tls_init()
 * @sn: the device; its netdev is gone, and so are all contexts
 */
void sealnic_tls_fini(struct sealnic *sn)
{
	struct sealnic_tls_dev *dev = sn->tls;

	sealnic_tls_node_remove(sn);
	sealnic_tls_rx_fini(sn);
	if (!dev)
		return;
	xa_destroy(&dev->ids);
	kfree(dev);
	sn->tls = NULL;
}

/**
 * sealnic_tls_stat_count() - counters for ethtool -S
 * @sn: the device
 *
 * Return: how many.
 */
int sealnic_tls_stat_count(struct sealnic *sn)
{
	return SEALNIC_TLS_COUNTS + SEALNIC_TLS_EVENTS;
}

/**
 * sealnic_tls_stat_strings() - their names
 * @sn: the device
 * @p: where to put them; moved on
 */
void sealnic_tls_stat_strings(struct sealnic *sn, u8 **p)
{
	unsigned int i;

	for (i = 0; i < SEALNIC_TLS_COUNTS; i++)
		ethtool_puts(p, sealnic_tls_count_name[i]);
	for (i = 0; i < SEALNIC_TLS_EVENTS; i++)
		ethtool_puts(p, sealnic_tls_event_name[i]);
}

/**
 * sealnic_tls_stats() - their values
 * @sn: the device
 * @data: where to put them
 */
void sealnic_tls_stats(struct sealnic *sn, u64 *data)
{
	struct sealnic_tls_dev *dev = sn->tls;
	unsigned int i, q, start;
	u64 n;

	for (i = 0; i < SEALNIC_TLS_COUNTS; i++, data++) {
		*data = 0;
		for (q = 0; q < ARRAY_SIZE(dev->queue); q++) {
			do {
				start = u64_stats_fetch_begin(&dev->queue[q].sync);
				n = u64_stats_read(&dev->queue[q].n[i]);
			} while (u64_stats_fetch_retry(&dev->queue[q].sync, start));
			*data += n;
		}
	}
	for (i = 0; i < SEALNIC_TLS_EVENTS; i++)
		*data++ = atomic64_read(&dev->events[i]);
}
