// SPDX-License-Identifier: GPL-2.0
/*
 * TLS receive offload: owns the contexts that open, and carries questions and
 * answers between a device that has lost its place in a stream and the core.
 *
 * Whether a packet was opened is known from its completion alone: it has to be
 * said even of a connection whose context has just gone.
 */
#include <linux/ethtool.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/moduleparam.h>
#include <linux/rwsem.h>
#include <linux/tcp.h>
#include <linux/xarray.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>
#include <net/tcp.h>
#include <net/tls.h>

#include "sealnic.h"
#include "sealnic_tls.h"

/* Counted in NAPI, by queue; named as in tls-offload.rst where it has a name */
enum sealnic_tls_rx_count {
	SEALNIC_TLS_RX_PACKETS,
	SEALNIC_TLS_RX_BYTES,
	SEALNIC_TLS_RX_REQ_PKT,
	SEALNIC_TLS_RX_REQ_SKIP,
	SEALNIC_TLS_RX_ERR,
	SEALNIC_TLS_RX_COUNTS,
};

static const char sealnic_tls_rx_count_name[SEALNIC_TLS_RX_COUNTS][ETH_GSTRING_LEN] = {
	[SEALNIC_TLS_RX_PACKETS] = "rx_tls_decrypted_packets",
	[SEALNIC_TLS_RX_BYTES] = "rx_tls_decrypted_bytes",
	[SEALNIC_TLS_RX_REQ_PKT] = "rx_tls_resync_req_pkt",
	[SEALNIC_TLS_RX_REQ_SKIP] = "rx_tls_resync_req_skip",
	[SEALNIC_TLS_RX_ERR] = "rx_tls_err",
};

/**
 * struct sealnic_tls_rx_later - a question that was announced: "async"
 * @id: of the context; 0: there is none
 * @seq: TCP sequence number of what may be a record's first byte
 * @packets: with so many packets of offloaded connections from now it is put
 */
struct sealnic_tls_rx_later {
	u32 id;
	u32 seq;
	u32 packets;
};

/* @later is NAPI's alone */
struct sealnic_tls_rx_queue {
	struct u64_stats_sync sync;
	u64_stats_t n[SEALNIC_TLS_RX_COUNTS];
	struct sealnic_tls_rx_later later;
};

/* Counted anywhere else */
enum sealnic_tls_rx_event {
	SEALNIC_TLS_RX_ADD,
	SEALNIC_TLS_RX_DEL,
	SEALNIC_TLS_RX_ADD_FAILED,
	SEALNIC_TLS_RX_READD,
	SEALNIC_TLS_RX_RES_OK,
	SEALNIC_TLS_RX_RES_SKIP,
	SEALNIC_TLS_RX_EVENTS,
};

static const char sealnic_tls_rx_event_name[SEALNIC_TLS_RX_EVENTS][ETH_GSTRING_LEN] = {
	[SEALNIC_TLS_RX_ADD] = "rx_tls_ctx",
	[SEALNIC_TLS_RX_DEL] = "rx_tls_del",
	[SEALNIC_TLS_RX_ADD_FAILED] = "rx_tls_add_failed",
	[SEALNIC_TLS_RX_READD] = "rx_tls_readd",
	[SEALNIC_TLS_RX_RES_OK] = "rx_tls_resync_res_ok",
	[SEALNIC_TLS_RX_RES_SKIP] = "rx_tls_resync_res_skip",
};

/*
 * How far behind the stream a context begins that a reset took from the device:
 * further than any window, so that the device sees a gap and looks for its place.
 */
#define SEALNIC_TLS_RX_BEHIND	BIT(30)

/*
 * Between drivers and the core, question and answer name the last byte of the
 * record's header: as soon as it is there, the header is.
 */
#define SEALNIC_TLS_RX_ASKED	(TLS_HEADER_SIZE - 1)

/*
 * "async": a question is announced for so many bytes on either side of the one
 * that it will name, and put so many packets later, as by a driver that has to
 * ask its device first: in between the core has something to note down.
 */
#define SEALNIC_TLS_RX_AROUND	2048
#define SEALNIC_TLS_RX_LATER	4

/* For tests of cores: how contexts to come find their place again */
static const char * const sealnic_tls_rx_form_name[] = {
	[TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ] = "request",
	[TLS_OFFLOAD_SYNC_TYPE_CORE_NEXT_HINT] = "hint",
	[TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ_ASYNC] = "async",
};

static int sealnic_tls_rx_form_set(const char *val, const struct kernel_param *kp)
{
	int form = sysfs_match_string(sealnic_tls_rx_form_name, val);

	if (form < 0)
		return form;
	WRITE_ONCE(*(int *)kp->arg, form);
	return 0;
}

static int sealnic_tls_rx_form_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", sealnic_tls_rx_form_name[*(int *)kp->arg]);
}

static const struct kernel_param_ops sealnic_tls_rx_form_ops = {
	.set = sealnic_tls_rx_form_set,
	.get = sealnic_tls_rx_form_get,
};

static int sealnic_tls_rx_form = TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ;
module_param_cb(rx_resync, &sealnic_tls_rx_form_ops, &sealnic_tls_rx_form, 0644);
MODULE_PARM_DESC(rx_resync,
		 "how new TLS receive contexts are resynchronised: request, or, to test a TLS core, hint or async");

/**
 * struct sealnic_tls_rx_dev - a port's receive contexts; sealnic.tls_rx
 * @sem: shared by who adds or deletes a context, exclusive for a reset, which
 *	concerns all of them: a command's answer and what the driver makes of it
 *	are on the same side of the reset
 * @ids: struct sealnic_tls_rx by the device's id
 * @lock: protects @list among those who share @sem
 * @list: all contexts
 * @events: counters
 * @queue: counters of each queue
 */
struct sealnic_tls_rx_dev {
	struct rw_semaphore sem;
	struct xarray ids;
	spinlock_t lock;	/* list */
	struct list_head list;
	atomic64_t events[SEALNIC_TLS_RX_EVENTS];
	struct sealnic_tls_rx_queue queue[SEALNIC_DRV_MAX_QP];
};

/**
 * struct sealnic_tls_rx - the driver's side of a receive context
 * @lock: protects @id and @sk, and keeps the device's id what it is, and the
 *	socket, as long as somebody uses them
 * @id: the device's name for it; 0: the device has none, software opens
 * @reset: the device had it before a reset; what it opened then it does not know
 * @sk: the socket; NULL once the core has let go of it
 * @form: how it finds its place again
 * @async: with "async", what the core notes down
 * @cmd: the command that adds it, again after a reset; holds the key
 * @list: in sealnic_tls_rx_dev.list
 * @rcu: NAPI may be looking when it goes
 */
struct sealnic_tls_rx {
	spinlock_t lock;	/* id, sk */
	u32 id;
	bool reset;
	struct sock *sk;
	enum tls_offload_sync_type form;
	struct tls_offload_resync_async async;
	struct sealnic_cmd cmd;
	struct list_head list;
	struct rcu_head rcu;
};

/* What the core keeps for us beside its own state of the connection */
struct sealnic_tls_rx_priv {
	struct sealnic_tls_rx *rx;
};

static_assert(sizeof(struct sealnic_tls_rx_priv) <= TLS_DRIVER_STATE_SIZE_RX);

static struct sealnic_tls_rx_priv *sealnic_tls_rx_priv(struct tls_context *ctx)
{
	return __tls_driver_ctx(ctx, TLS_OFFLOAD_CTX_DIR_RX);
}

static void sealnic_tls_rx_event(struct sealnic *sn, enum sealnic_tls_rx_event event)
{
	struct sealnic_tls_rx_dev *dev = sn->tls_rx;

	atomic64_inc(&dev->events[event]);
}

/* The connection as in packets that the device receives */
static void sealnic_tls_rx_tuple(struct sealnic_cmd *cmd, const struct sock *sk)
{
	const struct inet_sock *inet = inet_sk(sk);

	memcpy(cmd->tls_add.sport, &inet->inet_dport, sizeof(inet->inet_dport));
	memcpy(cmd->tls_add.dport, &inet->inet_sport, sizeof(inet->inet_sport));
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6 && !ipv6_addr_v4mapped(&sk->sk_v6_daddr)) {
		cmd->tls_add.ip_version = 6;
		memcpy(cmd->tls_add.saddr, &sk->sk_v6_daddr, sizeof(sk->sk_v6_daddr));
		memcpy(cmd->tls_add.daddr, &sk->sk_v6_rcv_saddr, sizeof(sk->sk_v6_rcv_saddr));
		return;
	}
#endif
	cmd->tls_add.ip_version = 4;
	memcpy(cmd->tls_add.saddr, &inet->inet_daddr, sizeof(inet->inet_daddr));
	memcpy(cmd->tls_add.daddr, &inet->inet_rcv_saddr, sizeof(inet->inet_rcv_saddr));
}

/* Give the context to the device: record @rec_no begins at @seq */
static int sealnic_tls_rx_install(struct sealnic *sn, struct sealnic_tls_rx *rx, u32 seq,
				  u64 rec_no)
{
	struct sealnic_tls_rx_dev *dev = sn->tls_rx;
	struct sealnic_cmd cmd = rx->cmd;
	struct sealnic_event ev;
	int err;
	u32 id;

	lockdep_assert_held(&dev->sem);

	cmd.tls_add.tcp_seq = cpu_to_le32(seq);
	cmd.tls_add.rec_no = cpu_to_le64(rec_no);
	err = sealnic_cmd(sn, &cmd, &ev);
	memzero_explicit(&cmd, sizeof(cmd));
	if (err)
		return err;

	id = le32_to_cpu(ev.tls_ctx.id);
	err = xa_err(xa_store(&dev->ids, id, rx, GFP_KERNEL));
	if (err) {
		sealnic_tls_remove(sn, id, &ev);
		return err;
	}
	spin_lock_bh(&rx->lock);
	rx->id = id;
	spin_unlock_bh(&rx->lock);
	return 0;
}

static void sealnic_tls_rx_free(struct sealnic_tls_rx *rx)
{
	memzero_explicit(&rx->cmd, sizeof(rx->cmd));
	kfree_rcu(rx, rcu);
}

/**
 * sealnic_tls_rx_add() - the core asks to offload a connection's receive side
 * @sn: device
 * @sk: socket, which lasts until sealnic_tls_rx_del() returns
 * @info: key, nonce, and number of the next record
 * @start_seq: TCP sequence number of that record's first byte
 *
 * Context: process
 * Return: 0, or a negative errno: software opens
 */
int sealnic_tls_rx_add(struct sealnic *sn, struct sock *sk, struct tls_crypto_info *info,
		       u32 start_seq)
{
	struct sealnic_tls_rx_dev *dev = sn->tls_rx;
	struct sealnic_tls_rx *rx;
	int err;

	rx = kzalloc(sizeof(*rx), GFP_KERNEL);
	if (!rx) {
		sealnic_tls_rx_event(sn, SEALNIC_TLS_RX_ADD_FAILED);
		return -ENOMEM;
	}
	spin_lock_init(&rx->lock);
	rx->sk = sk;
	err = sealnic_tls_cmd_init(sn, &rx->cmd, SEALNIC_TLS_RX, info);
	if (err)
		goto free;
	sealnic_tls_rx_tuple(&rx->cmd, sk);
	rx->form = READ_ONCE(sealnic_tls_rx_form);
	tls_offload_rx_resync_set_type(sk, rx->form);
	if (rx->form == TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ_ASYNC)
		tls_offload_ctx_rx(tls_get_ctx(sk))->resync_async = &rx->async;

	/* NAPI may meet it as soon as it is installed */
	sealnic_tls_rx_priv(tls_get_ctx(sk))->rx = rx;
	down_read(&dev->sem);
	err = sealnic_tls_rx_install(sn, rx, start_seq, le64_to_cpu(rx->cmd.tls_add.rec_no));
	if (!err) {
		spin_lock(&dev->lock);
		list_add(&rx->list, &dev->list);
		spin_unlock(&dev->lock);
	}
	up_read(&dev->sem);
	if (err) {
		sealnic_tls_rx_priv(tls_get_ctx(sk))->rx = NULL;
		sealnic_tls_rx_event(sn, SEALNIC_TLS_RX_ADD_FAILED);
		goto free;
	}
	sealnic_tls_rx_event(sn, SEALNIC_TLS_RX_ADD);
	return 0;

free:
	sealnic_tls_rx_free(rx);
	return err;
}

/**
 * sealnic_tls_rx_del() - the core lets go of a connection's receive side
 * @sn: device
 * @ctx: of the connection
 *
 * Packets that the device has opened may still be on their way to the stack.
 *
 * Context: process; when it returns nobody looks at the socket any more
 */
void sealnic_tls_rx_del(struct sealnic *sn, struct tls_context *ctx)
{
	struct sealnic_tls_rx_dev *dev = sn->tls_rx;
	struct sealnic_tls_rx *rx;
	struct sealnic_event ev;
	struct sock *sk;
	u32 id, end;

	rx = sealnic_tls_rx_priv(ctx)->rx;
	WRITE_ONCE(sealnic_tls_rx_priv(ctx)->rx, NULL);

	/* Not known: further than any window */
	end = tcp_sk(rx->sk)->rcv_nxt + SEALNIC_TLS_RX_BEHIND;
	down_read(&dev->sem);
	spin_lock_bh(&rx->lock);
	id = rx->id;
	sk = rx->sk;
	rx->id = 0;
	rx->sk = NULL;
	spin_unlock_bh(&rx->lock);
	spin_lock(&dev->lock);
	list_del(&rx->list);
	spin_unlock(&dev->lock);
	if (id) {
		/* In this order: the device may give the id to another at once */
		xa_erase(&dev->ids, id);
		if (!sealnic_tls_remove(sn, id, &ev) && !rx->reset &&
		    (sn->features & SEALNIC_F_TLS_RX_END))
			end = le32_to_cpu(ev.tls_del.opened_end);
	}
	/* Nobody asks for a place any more: this is the last word, see offload.rst */
	if (tls_offload_ctx_rx(ctx)->resync_type == TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ)
		tls_offload_rx_resync_request(sk, htonl(end));
	up_read(&dev->sem);
	sealnic_tls_rx_event(sn, SEALNIC_TLS_RX_DEL);
	sealnic_tls_rx_free(rx);
}

/**
 * sealnic_tls_rx_resync() - the core answers, or hints: a record begins there
 * @sn: device
 * @sk: socket
 * @seq: TCP sequence number of the last byte of the record's header; of a hint,
 *	of the record's first byte
 * @rec_no: the record's number
 *
 * The device is told without waiting.  If that cannot be, or if it comes too
 * late to be of use, the device asks again.
 *
 * Context: process or softirq, perhaps with the socket's spinlock held
 * Return: 0 or negative errno
 */
int sealnic_tls_rx_resync(struct sealnic *sn, struct sock *sk, u32 seq, u64 rec_no)
{
	struct sealnic_cmd cmd = {
		.opcode = cpu_to_le16(SEALNIC_CMD_TLS_SYNC),
		.tls_sync.rec_no = cpu_to_le64(rec_no),
	};
	struct sealnic_tls_rx *rx;
	int err = -ENOENT;

	rcu_read_lock();
	rx = READ_ONCE(sealnic_tls_rx_priv(tls_get_ctx(sk))->rx);
	if (rx) {
		/* Until it is posted no reset makes the id another context's */
		spin_lock_bh(&rx->lock);
		if (rx->id) {
			if (rx->form != TLS_OFFLOAD_SYNC_TYPE_CORE_NEXT_HINT)
				seq -= SEALNIC_TLS_RX_ASKED;
			cmd.tls_sync.tcp_seq = cpu_to_le32(seq);
			cmd.tls_sync.id = cpu_to_le32(rx->id);
			err = sealnic_cmd_post(sn, &cmd);
		}
		spin_unlock_bh(&rx->lock);
	}
	rcu_read_unlock();
	if (err)
		sealnic_tls_rx_event(sn, SEALNIC_TLS_RX_RES_SKIP);
	return err;
}

/**
 * sealnic_tls_rx_answer() - what became of a TLS_SYNC
 * @sn: device
 * @err: 0: the device has found its place
 *
 * Context: process or softirq
 */
void sealnic_tls_rx_answer(struct sealnic *sn, int err)
{
	sealnic_tls_rx_event(sn, err ? SEALNIC_TLS_RX_RES_SKIP : SEALNIC_TLS_RX_RES_OK);
}

/* Puts a question that was announced */
static void sealnic_tls_rx_ask_now(struct sealnic_tls_rx_dev *dev,
				   struct sealnic_tls_rx_later *later)
{
	struct sealnic_tls_rx *rx;

	rcu_read_lock();
	rx = xa_load(&dev->ids, later->id);
	if (rx) {
		spin_lock(&rx->lock);
		if (rx->sk && rx->form == TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ_ASYNC)
			tls_offload_rx_resync_async_request_end(&rx->async,
								htonl(later->seq +
								      SEALNIC_TLS_RX_ASKED));
		spin_unlock(&rx->lock);
	}
	rcu_read_unlock();
	later->id = 0;
}

/*
 * Announces a question.  The device may repeat one that was announced or that
 * the core thinks about: what the core has noted down for it is to stay.
 */
static void sealnic_tls_rx_ask_later(struct sealnic_tls_rx *rx, u32 seq,
				     struct sealnic_tls_rx_later *later)
{
	u64 req = atomic64_read(&rx->async.req);

	if (later->id == rx->id && later->seq == seq)
		return;
	if ((req & (RESYNC_REQ | RESYNC_REQ_ASYNC)) == RESYNC_REQ &&
	    (u32)(req >> 32) == seq + SEALNIC_TLS_RX_ASKED)
		return;
	later->id = rx->id;
	later->seq = seq;
	later->packets = SEALNIC_TLS_RX_LATER;
	tls_offload_rx_resync_async_request_start(&rx->async, htonl(seq - SEALNIC_TLS_RX_AROUND),
						  2 * SEALNIC_TLS_RX_AROUND);
}

/* The device has lost its place and asks whether a record begins at @seq */
static bool sealnic_tls_rx_ask(struct sealnic_tls_rx_dev *dev, u32 id, u32 seq,
			       struct sealnic_tls_rx_later *later)
{
	struct sealnic_tls_rx *rx;
	bool asked = false;

	/* Another context's, which is told early */
	if (later->id && later->id != id)
		sealnic_tls_rx_ask_now(dev, later);
	rcu_read_lock();
	rx = xa_load(&dev->ids, id);
	if (rx) {
		spin_lock(&rx->lock);
		if (rx->sk && rx->form == TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ) {
			tls_offload_rx_resync_request(rx->sk, htonl(seq + SEALNIC_TLS_RX_ASKED));
			asked = true;
		} else if (rx->sk && rx->form == TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ_ASYNC) {
			sealnic_tls_rx_ask_later(rx, seq, later);
			asked = true;
		}
		spin_unlock(&rx->lock);
	}
	rcu_read_unlock();
	return asked;
}

/* TCP payload of a packet that the device has found to be plain TCP over IP */
static u32 sealnic_tls_rx_payload(const struct sk_buff *skb)
{
	const struct ipv6hdr *ip6 = (const void *)skb->data;
	const struct iphdr *ip = (const void *)skb->data;
	const struct tcphdr *th;
	u32 off, len;

	if (skb->protocol == htons(ETH_P_IP)) {
		off = ip->ihl * 4;
		len = ntohs(ip->tot_len);
	} else if (skb->protocol == htons(ETH_P_IPV6)) {
		off = sizeof(*ip6);
		len = off + ntohs(ip6->payload_len);
	} else {
		return 0;
	}
	if (skb_headlen(skb) < off + sizeof(*th))
		return 0;
	th = (const void *)skb->data + off;
	off += th->doff * 4;
	return len > off ? len - off : 0;
}

/**
 * sealnic_tls_rx() - a packet of a connection that the device has a context for
 * @ring: receive ring
 * @skb: the packet, its protocol known, about to be given to the stack
 * @rxc: its last completion
 *
 * Context: NAPI
 */
void sealnic_tls_rx(struct sealnic_rx_ring *ring, struct sk_buff *skb,
		    const struct sealnic_rxc *rxc)
{
	struct sealnic_tls_rx_dev *dev = ring->qp->sn->tls_rx;
	struct sealnic_tls_rx_queue *queue = &dev->queue[ring->qp->id];
	bool opened, resync, asked = false, err = false;
	u32 flags = le32_to_cpu(rxc->flags);
	u32 len = 0;

	opened = flags & SEALNIC_RX_TLS_OPENED;
	resync = flags & SEALNIC_RX_TLS_RESYNC;
	if (opened) {
		skb->decrypted = 1;
		/*
		 * What the sum was of is not there any more.  It was right, or
		 * the device would not have opened it.
		 */
		skb->ip_summed = CHECKSUM_UNNECESSARY;
		err = !(flags & SEALNIC_RX_L4_OK) || resync;
		len = sealnic_tls_rx_payload(skb);
	}
	if (unlikely(queue->later.id) && !--queue->later.packets)
		sealnic_tls_rx_ask_now(dev, &queue->later);
	if (resync)
		asked = sealnic_tls_rx_ask(dev, le32_to_cpu(rxc->tls_ctx),
					   le32_to_cpu(rxc->tls_seq), &queue->later);

	u64_stats_update_begin(&queue->sync);
	if (opened) {
		u64_stats_inc(&queue->n[SEALNIC_TLS_RX_PACKETS]);
		u64_stats_add(&queue->n[SEALNIC_TLS_RX_BYTES], len);
	}
	if (resync)
		u64_stats_inc(&queue->n[SEALNIC_TLS_RX_REQ_PKT]);
	if (resync && !asked)
		u64_stats_inc(&queue->n[SEALNIC_TLS_RX_REQ_SKIP]);
	if (err)
		u64_stats_inc(&queue->n[SEALNIC_TLS_RX_ERR]);
	u64_stats_update_end(&queue->sync);
}

/**
 * sealnic_tls_rx_reset_done() - the device has lost all contexts
 * @sn: device; it takes no commands at the moment
 *
 * Context: process, RTNL
 */
void sealnic_tls_rx_reset_done(struct sealnic *sn)
{
	struct sealnic_tls_rx_dev *dev = sn->tls_rx;
	struct sealnic_tls_rx *rx;

	down_write(&dev->sem);
	list_for_each_entry(rx, &dev->list, list) {
		if (!rx->id)
			continue;
		xa_erase(&dev->ids, rx->id);
		spin_lock_bh(&rx->lock);
		rx->id = 0;
		rx->reset = true;
		spin_unlock_bh(&rx->lock);
	}
	up_write(&dev->sem);
}

/**
 * sealnic_tls_rx_readd() - give the device its contexts back
 * @sn: device, after a reset
 *
 * Nobody knows where in its record each stream is.  Each context begins far
 * behind it: the device will see a gap and ask.
 *
 * Context: process, RTNL
 */
void sealnic_tls_rx_readd(struct sealnic *sn)
{
	struct sealnic_tls_rx_dev *dev = sn->tls_rx;
	struct sealnic_tls_rx *rx;
	u32 seq;

	down_write(&dev->sem);
	list_for_each_entry(rx, &dev->list, list) {
		/* It was added since */
		if (rx->id)
			continue;
		seq = READ_ONCE(tcp_sk(rx->sk)->rcv_nxt) - SEALNIC_TLS_RX_BEHIND;
		sealnic_tls_rx_event(sn, sealnic_tls_rx_install(sn, rx, seq, 0) ?
					 SEALNIC_TLS_RX_ADD_FAILED : SEALNIC_TLS_RX_READD);
	}
	up_write(&dev->sem);
}

/**
 * sealnic_tls_rx_init() - no contexts
 * @sn: device, before its netdev is registered
 *
 * Return: 0 or -ENOMEM
 */
int sealnic_tls_rx_init(struct sealnic *sn)
{
	struct sealnic_tls_rx_dev *dev;
	unsigned int i;

	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return -ENOMEM;
	init_rwsem(&dev->sem);
	xa_init(&dev->ids);
	spin_lock_init(&dev->lock);
	INIT_LIST_HEAD(&dev->list);
	for (i = 0; i < ARRAY_SIZE(dev->queue); i++)
		u64_stats_init(&dev->queue[i].sync);
	sn->tls_rx = dev;
	return 0;
}

/**
 * sealnic_tls_rx_fini() - undo sealnic_tls_rx_init()
 * @sn: device; its netdev is gone, and so are all contexts
 */
void sealnic_tls_rx_fini(struct sealnic *sn)
{
	struct sealnic_tls_rx_dev *dev = sn->tls_rx;

	if (!dev)
		return;
	xa_destroy(&dev->ids);
	kfree(dev);
	sn->tls_rx = NULL;
}

/**
 * sealnic_tls_rx_stat_count() - counters for ethtool -S
 * @sn: device
 *
 * Return: how many
 */
int sealnic_tls_rx_stat_count(struct sealnic *sn)
{
	return SEALNIC_TLS_RX_COUNTS + SEALNIC_TLS_RX_EVENTS;
}

/**
 * sealnic_tls_rx_stat_strings() - their names
 * @sn: device
 * @p: where to put them; moved on
 */
void sealnic_tls_rx_stat_strings(struct sealnic *sn, u8 **p)
{
	unsigned int i;

	for (i = 0; i < SEALNIC_TLS_RX_COUNTS; i++)
		ethtool_puts(p, sealnic_tls_rx_count_name[i]);
	for (i = 0; i < SEALNIC_TLS_RX_EVENTS; i++)
		ethtool_puts(p, sealnic_tls_rx_event_name[i]);
}

/**
 * sealnic_tls_rx_stats() - their values
 * @sn: device
 * @data: where to put them
 */
void sealnic_tls_rx_stats(struct sealnic *sn, u64 *data)
{
	struct sealnic_tls_rx_dev *dev = sn->tls_rx;
	unsigned int i, q, start;
	u64 n;

	for (i = 0; i < SEALNIC_TLS_RX_COUNTS; i++, data++) {
		*data = 0;
		for (q = 0; q < ARRAY_SIZE(dev->queue); q++) {
			do {
				start = u64_stats_fetch_begin(&dev->queue[q].sync);
				n = u64_stats_read(&dev->queue[q].n[i]);
			} while (u64_stats_fetch_retry(&dev->queue[q].sync, start));
			*data += n;
		}
	}
	for (i = 0; i < SEALNIC_TLS_RX_EVENTS; i++)
		*data++ = atomic64_read(&dev->events[i]);
}
