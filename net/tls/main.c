// SPDX-License-Identifier: GPL-2.0
/*
 * The upper layer protocol: life and death of a connection, its socket options, and the operations
 * of its socket. Owns struct tls_conn; changes to it are made under the socket's lock.
 *
 * There is one set of operations for each IP version. They look at the connection to see what to
 * do, so nothing has to be swapped when a direction gets a key, a new key or another engine.
 */
#include <linux/errno.h>
#include <linux/inet_diag.h>
#include <linux/module.h>
#include <linux/skmsg.h>
#include <net/inet_common.h>
#include <net/tcp.h>
#include "tls.h"
#include "trace.h"

MODULE_AUTHOR("sealnic developers");
MODULE_DESCRIPTION("kernel TLS with key updates");
MODULE_LICENSE("GPL");
MODULE_ALIAS_TCP_ULP("tls");

enum { TLS_V4, TLS_V6, TLS_FAMILIES };

/*
 * For each family: what sockets of it have, and what those with TLS get. Filled once, under the
 * mutex.
 */
static struct {
	const struct proto *base;
	const struct proto_ops *base_ops;
	struct proto proto;
	struct proto_ops ops;
} families[TLS_FAMILIES];
static DEFINE_MUTEX(families_lock);

static struct kmem_cache *conn_cache;

static int family(const struct sock *sk)
{
	return sk->sk_family == AF_INET6 ? TLS_V6 : TLS_V4;
}

/**
 * tls_base_proto() - TCP's own operations
 * @sk: a socket with TLS
 *
 * Return: the operations that the socket had before.
 */
const struct proto *tls_base_proto(const struct sock *sk)
{
	return tls_get_ctx(sk)->sk_proto;
}

/**
 * tls_base_ops() - TCP's own operations on struct socket
 * @sk: a socket with TLS
 *
 * Return: the operations that the socket had before.
 */
const struct proto_ops *tls_base_ops(const struct sock *sk)
{
	return families[family(sk)].base_ops;
}

/* --- socket options --- */

static struct tls_epoch *conn_epoch(struct tls_conn *conn, bool tx)
{
	return tx ? &conn->tx.epoch : &conn->rx.epoch;
}

static union tls_crypto_context *conn_info(struct tls_conn *conn, bool tx)
{
	return tx ? &conn->ctx.crypto_send : &conn->ctx.crypto_recv;
}

/* Is this a key that the connection can have in this direction? Its first, or the next. */
static int check_key(struct tls_conn *conn, bool tx, const struct tls_crypto_info *info)
{
	struct tls_epoch *epoch = conn_epoch(conn, tx);
	const struct tls_epoch *other = conn_epoch(conn, !tx);

	if (epoch->aead && !tls_13(epoch))
		return -EBUSY;	/* RFC 5246 has no key update */
	if ((epoch->aead || other->aead) && (conn->ctx.prot_info.version != info->version ||
					     conn->ctx.prot_info.cipher_type != info->cipher_type))
		return -EINVAL;
	return 0;
}

static void set_prot_info(struct tls_context *ctx, const struct tls_epoch *epoch, u16 cipher_type)
{
	ctx->prot_info = (struct tls_prot_info) {
		.version = epoch->version,
		.cipher_type = cipher_type,
		.prepend_size = tls_prepend(epoch),
		.tag_size = TLS_TAG_SIZE,
		.overhead_size = tls_prepend(epoch) + tls_tail(epoch),
		.iv_size = epoch->cipher->iv,
		.salt_size = epoch->cipher->salt,
		.rec_seq_size = TLS_MAX_REC_SEQ_SIZE,
		.aad_size = tls_13(epoch) ? TLS_HEADER_SIZE : TLS_AAD_SPACE_SIZE,
		.tail_size = tls_13(epoch),
	};
}

/* Opens an epoch; @epoch is the old one afterwards, or still the new one if that failed */
static int set_epoch(struct sock *sk, bool tx, struct tls_epoch *epoch,
		     const union tls_crypto_context *info)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_epoch *now = conn_epoch(conn, tx);
	bool rekey = now->aead;
	long timeo;
	int err;

	err = check_key(conn, tx, &info->info);
	/* A sender that waits within TCP would go on in the clear behind the first records */
	if (!err && tx && !rekey && sk->sk_write_pending)
		err = -EBUSY;
	if (!err)
		err = tls_crypt_reserve(&conn->crypt, epoch);
	if (!err && rekey && tx) {
		const struct file *file = sk->sk_socket->file;

		/* What was taken under the old key is sealed with it */
		timeo = sock_sndtimeo(sk, file && file->f_flags & O_NONBLOCK);
		err = tls_tx_finish(sk, MSG_MORE, &timeo);
		/* That may have waited, and another thread may have been faster */
		if (!err)
			err = check_key(conn, tx, &info->info);
	}
	if (err)
		return err;

	set_prot_info(&conn->ctx, epoch, info->info.cipher_type);
	trace_tls_epoch(sk, tx, epoch, info->info.cipher_type, rekey, now->count);
	swap(*now, *epoch);
	*conn_info(conn, tx) = *info;
	if (tx) {
		if (!rekey) {
			tls_hw_open_tx(sk, &info->info);
			if (!conn->tx.hw) {
				conn->ctx.tx_conf = TLS_SW;
				WRITE_ONCE(conn->ctx.priv_ctx_tx, &conn->tx);
				tls_stat_inc(sk, TLS_STAT_CURR_TX_SW);
			}
			tls_stat_inc(sk, conn->tx.hw ? TLS_STAT_TX_DEVICE : TLS_STAT_TX_SW);
		} else {
			tls_rekey_tx(sk);
			tls_stat_inc(sk, TLS_STAT_TX_REKEY_OK);
		}
		return 0;
	}
	if (!rekey) {
		tls_rx_start(sk);
		tls_hw_open_rx(sk, &info->info);
		if (conn->rx.why) {
			conn->ctx.rx_conf = TLS_SW;
			WRITE_ONCE(conn->ctx.priv_ctx_rx, &conn->rx);
			tls_stat_inc(sk, TLS_STAT_CURR_RX_SW);
		}
		tls_stat_inc(sk, conn->rx.why ? TLS_STAT_RX_SW : TLS_STAT_RX_DEVICE);
	} else {
		WRITE_ONCE(conn->rx.key_update, false);
		tls_rx_rekeyed(sk, epoch);
		tls_stat_inc(sk, TLS_STAT_RX_REKEY_OK);
	}
	/*
	 * Records may be waiting for this, and the callback may be that of someone who took it over
	 * since
	 */
	tls_rx_update(sk);
	sk->sk_data_ready(sk);
	return 0;
}

static int set_key(struct sock *sk, bool tx, sockptr_t optval, unsigned int optlen)
{
	const struct tls_cipher *cipher;
	union tls_crypto_context info = {};
	struct tls_epoch epoch = {};
	bool rekey;
	int err;

	BUILD_BUG_ON(sizeof(info) < sizeof(struct tls12_crypto_info_aria_gcm_256));
	if (sockptr_is_null(optval) || optlen < sizeof(info.info))
		return -EINVAL;
	rekey = READ_ONCE(conn_epoch(tls_conn_acquire(sk), tx)->aead);
	err = -EINVAL;
	if (optlen > sizeof(info))
		goto out;
	err = -EFAULT;
	if (copy_from_sockptr(&info, optval, optlen))
		goto out;

	err = -EINVAL;
	if (info.info.version != TLS_1_2_VERSION && info.info.version != TLS_1_3_VERSION)
		goto out;
	cipher = tls_cipher(info.info.cipher_type);
	if (!cipher || !(info.info.version == TLS_1_3_VERSION ? cipher->tls13 : cipher->tls12))
		goto out;
	if (optlen != tls_info_size(cipher))
		goto out;

	/*
	 * The new key is ready before the old one is touched; and without the lock, as this may
	 * load modules
	 */
	err = tls_epoch_open(&epoch, &info.info, false);
	if (err)
		goto out;
	lock_sock(sk);
	err = set_epoch(sk, tx, &epoch, &info);
	release_sock(sk);
	tls_epoch_close(&epoch);
out:
	memzero_explicit(&info, sizeof(info));
	if (err && rekey) {
		tls_stat_inc(sk, tx ? TLS_STAT_TX_REKEY_ERROR : TLS_STAT_RX_REKEY_ERROR);
		trace_tls_rekey(sk, tx, 0, err);
	}
	return err;
}

static int get_key(struct sock *sk, bool tx, char __user *optval, int __user *optlen)
{
	struct tls_conn *conn = tls_conn_acquire(sk);
	union tls_crypto_context info;
	struct tls_epoch *epoch = conn_epoch(conn, tx);
	int len, err = 0;

	if (get_user(len, optlen))
		return -EFAULT;
	if (!optval || len < (int)sizeof(info.info))
		return -EINVAL;
	lock_sock(sk);
	if (!epoch->aead) {
		err = -EBUSY;
	} else if (len != sizeof(info.info) && len != tls_info_size(epoch->cipher)) {
		err = -EINVAL;
	} else {
		info = *conn_info(conn, tx);
		tls_epoch_state(epoch, &info.info);
	}
	release_sock(sk);
	if (!err && copy_to_user(optval, &info, len))
		err = -EFAULT;
	memzero_explicit(&info, sizeof(info));
	return err;
}

static int set_flag(struct sock *sk, int name, sockptr_t optval, unsigned int optlen)
{
	struct tls_conn *conn = tls_conn_acquire(sk);
	unsigned int value;
	int err = 0;

	if (sockptr_is_null(optval) || optlen < sizeof(value))
		return -EINVAL;
	if (copy_from_sockptr(&value, optval, sizeof(value)))
		return -EFAULT;
	if (optlen > sizeof(value)) {
		err = check_zeroed_sockptr(optval, sizeof(value), optlen - sizeof(value));
		if (err < 1)
			return err ?: -EINVAL;
		err = 0;
	}
	if (value > 1)
		return -EINVAL;
	lock_sock(sk);
	if (name == TLS_TX_ZEROCOPY_RO)
		conn->ctx.zerocopy_sendfile = value;
	else if (conn->rx.epoch.aead && tls_13(&conn->rx.epoch))
		conn->ctx.rx_no_pad = value;
	else
		err = -EINVAL;
	release_sock(sk);
	return err;
}

/* An option of @size bytes */
static int get_value(const void *value, int size, char __user *optval, int __user *optlen)
{
	int len;

	if (get_user(len, optlen))
		return -EFAULT;
	if (len < size)
		return -EINVAL;
	if (put_user(size, optlen) || copy_to_user(optval, value, size))
		return -EFAULT;
	return 0;
}

static int get_int(unsigned int value, char __user *optval, int __user *optlen)
{
	return get_value(&value, sizeof(value), optval, optlen);
}

/*
 * The limit that the peer asked for with record_size_limit (RFC 8449), less the content type that
 * TLS 1.3 adds
 */
static int set_max_payload(struct sock *sk, sockptr_t optval, unsigned int optlen)
{
	struct tls_conn *conn = tls_conn_acquire(sk);
	u16 value;
	int err = 0;

	if (sockptr_is_null(optval) || optlen != sizeof(value))
		return -EINVAL;
	if (copy_from_sockptr(&value, optval, sizeof(value)))
		return -EFAULT;
	lock_sock(sk);
	if (value > TLS_MAX_PAYLOAD_SIZE ||
	    value < TLS_PAYLOAD_MIN - (conn->tx.epoch.aead && tls_13(&conn->tx.epoch)))
		err = -EINVAL;
	else
		conn->tx.limit = value;
	release_sock(sk);
	return err;
}

static int get_max_payload(struct sock *sk, char __user *optval, int __user *optlen)
{
	u16 value = READ_ONCE(tls_conn_acquire(sk)->tx.limit);

	return get_value(&value, sizeof(value), optval, optlen);
}

static int tls_setsockopt(struct sock *sk, int level, int name, sockptr_t optval,
			  unsigned int optlen)
{
	if (level != SOL_TLS)
		return tls_base_proto(sk)->setsockopt(sk, level, name, optval, optlen);
	switch (name) {
	case TLS_TX:
	case TLS_RX:
		return set_key(sk, name == TLS_TX, optval, optlen);
	case TLS_TX_ZEROCOPY_RO:
	case TLS_RX_EXPECT_NO_PAD:
		return set_flag(sk, name, optval, optlen);
	case TLS_TX_MAX_PAYLOAD_LEN:
		return set_max_payload(sk, optval, optlen);
	default:
		return -ENOPROTOOPT;
	}
}

static int tls_getsockopt(struct sock *sk, int level, int name, char __user *optval,
			  int __user *optlen)
{
	struct tls_conn *conn = tls_conn_acquire(sk);

	/* It would take ciphertext from under the records */
	if (level == SOL_TCP && name == TCP_ZEROCOPY_RECEIVE && READ_ONCE(conn->ctx.priv_ctx_rx))
		return -EOPNOTSUPP;
	if (level != SOL_TLS)
		return tls_base_proto(sk)->getsockopt(sk, level, name, optval, optlen);
	switch (name) {
	case TLS_TX:
	case TLS_RX:
		return get_key(sk, name == TLS_TX, optval, optlen);
	case TLS_TX_ZEROCOPY_RO:
		return get_int(conn->ctx.zerocopy_sendfile, optval, optlen);
	case TLS_RX_EXPECT_NO_PAD:
		if (conn->ctx.prot_info.version != TLS_1_3_VERSION)
			return -EINVAL;
		return get_int(conn->ctx.rx_no_pad, optval, optlen);
	case TLS_TX_MAX_PAYLOAD_LEN:
		return get_max_payload(sk, optval, optlen);
	default:
		return -ENOPROTOOPT;
	}
}

/* --- the end --- */

/* TCP would make a new, unprotected connection of the socket, or of what is left of the old one */
static int tls_disconnect(struct sock *sk, int flags)
{
	return -EOPNOTSUPP;
}

/*
 * The socket says already that nothing can be sent any more, TCP included: not before all is in
 * TCP's queue that was taken from senders. The FIN tells the peer that it has everything: if there
 * is no memory for a record now, the worker that sends it later sends the FIN too. If something is
 * lost for good there is none, but a reset: without either, both ends might wait for ever.
 */
static void tls_shutdown(struct sock *sk, int how)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;
	long timeo = 0;
	int err;

	if (how & SEND_SHUTDOWN && (tx->rec || tx->err)) {
		WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown & ~SEND_SHUTDOWN);
		err = tls_tx_finish(sk, MSG_NOSIGNAL, &timeo);
		tx->shut = err == -EAGAIN;
		if (tx->shut)
			return;
		WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown | SEND_SHUTDOWN);
		if (err) {
			/* It takes the lock itself */
			release_sock(sk);
			tcp_abort(sk, ECONNABORTED);
			lock_sock(sk);
			return;
		}
	}
	tls_base_proto(sk)->shutdown(sk, how);
}

/**
 * tls_conn_free() - free a connection that nobody uses any more
 * @conn: the connection
 *
 * Context: process, may sleep.
 */
void tls_conn_free(struct tls_conn *conn)
{
	tls_hw_free(conn->hw);
	kfree_sensitive(conn->crypt.req);
	memzero_explicit(&conn->ctx.crypto_send, sizeof(conn->ctx.crypto_send));
	memzero_explicit(&conn->ctx.crypto_recv, sizeof(conn->ctx.crypto_recv));
	kfree_rcu(conn, ctx.rcu);	/* sock_diag reads it */
}

/* Back to what the socket was before */
static void conn_detach(struct sock *sk, struct tls_conn *conn)
{
	struct tls_context *ctx = &conn->ctx;
	bool stays;

	if (conn->tx.epoch.aead)
		trace_tls_records(sk, true, tls_why(conn, true), &conn->tx.n);
	if (conn->rx.epoch.aead)
		trace_tls_records(sk, false, tls_why(conn, false), &conn->rx.n);
	stays = tls_hw_detach(sk);
	tls_rx_free(sk);
	tls_tx_free(sk);
	write_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_write_space == tls_write_space)
		WRITE_ONCE(sk->sk_write_space, ctx->sk_write_space);
	WRITE_ONCE(sk->sk_prot, ctx->sk_proto);
	if (!stays)
		rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, NULL);
	write_unlock_bh(&sk->sk_callback_lock);
	if (!stays)
		tls_conn_free(conn);
}

static void tls_close(struct sock *sk, long timeout)
{
	struct tls_conn *conn = tls_conn(sk);
	const struct proto *base = conn->ctx.sk_proto;
	bool abort = sock_flag(sk, SOCK_LINGER) && !sk->sk_lingertime;

	/* From here on the worker does not run, and cannot be scheduled any more */
	if (disable_delayed_work_sync(&conn->tx.retry))
		sock_put(sk);
	lock_sock(sk);
	if (conn->tx.epoch.aead && !abort && tls_tx_finish(sk, MSG_NOSIGNAL, &timeout)) {
		/*
		 * Data is lost, and the peer must not take what it got for all: reset rather than
		 * FIN
		 */
		sock_set_flag(sk, SOCK_LINGER);
		WRITE_ONCE(sk->sk_lingertime, 0);
	}
	conn_detach(sk, conn);
	release_sock(sk);
	base->close(sk, timeout);
}

/* --- the beginning --- */

static int build_family(struct sock *sk)
{
	int f = family(sk), err = 0;
	struct proto *proto = &families[f].proto;
	struct proto_ops *ops = &families[f].ops;

	mutex_lock(&families_lock);
	if (!families[f].base) {
		const struct proto *base = READ_ONCE(sk->sk_prot);

		*proto = *base;
		proto->setsockopt = tls_setsockopt;
		proto->getsockopt = tls_getsockopt;
		proto->disconnect = tls_disconnect;
		proto->shutdown = tls_shutdown;
		proto->close = tls_close;
		proto->sendmsg = tls_sendmsg;
		proto->recvmsg = tls_recvmsg;
		proto->splice_eof = tls_splice_eof;
		proto->stream_memory_free = tls_stream_memory_free;

		families[f].base_ops = READ_ONCE(sk->sk_socket->ops);
		*ops = *families[f].base_ops;
		ops->poll = tls_poll;
		ops->splice_read = tls_splice_read;
		ops->read_sock = tls_read_sock;
		ops->sendmsg_locked = tls_sendmsg_locked;
		ops->peek_len = tls_peek_len;
		/* These take the stream as it is on the wire */
		ops->read_skb = NULL;
		ops->mmap = sock_no_mmap;
		families[f].base = base;
	} else if (families[f].base != READ_ONCE(sk->sk_prot)) {
		/* Somebody else's operations, which would be lost */
		err = -EOPNOTSUPP;
	}
	mutex_unlock(&families_lock);
	return err;
}

static int tls_init(struct sock *sk)
{
	struct tls_conn *conn;
	int f = family(sk), err;
	bool mapped;

	if (sk->sk_state != TCP_ESTABLISHED)
		return -ENOTCONN;
	/*
	 * A sockmap's programs would see ciphertext, and take it away; the other way round, sockmap
	 * refuses TLS
	 */
	rcu_read_lock();
	mapped = sk_psock(sk);
	rcu_read_unlock();
	if (mapped)
		return -EINVAL;
	err = build_family(sk);
	if (err)
		return err;
	conn = kmem_cache_zalloc(conn_cache, GFP_KERNEL);
	if (!conn)
		return -ENOMEM;
	conn->ctx.sk = sk;
	conn->stats = tls_stats(sock_net(sk));
	conn->ctx.tx_conf = TLS_BASE;
	conn->ctx.rx_conf = TLS_BASE;
	conn->tx.limit = TLS_MAX_PAYLOAD_SIZE;
	mutex_init(&conn->ctx.tx_lock);
	INIT_LIST_HEAD(&conn->ctx.list);
	refcount_set(&conn->ctx.refcount, 1);
	INIT_DELAYED_WORK(&conn->tx.retry, tls_tx_retry);
	__skb_queue_head_init(&conn->rx.opened);

	write_lock_bh(&sk->sk_callback_lock);
	conn->ctx.sk_proto = sk->sk_prot;
	conn->ctx.sk_write_space = sk->sk_write_space;
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, &conn->ctx);
	/* Who sees the operations sees the connection: pairs with tls_conn_acquire() */
	smp_wmb();
	WRITE_ONCE(sk->sk_write_space, tls_write_space);
	WRITE_ONCE(sk->sk_prot, &families[f].proto);
	WRITE_ONCE(sk->sk_socket->ops, &families[f].ops);
	write_unlock_bh(&sk->sk_callback_lock);
	return 0;
}

/* Sockmap lets go of a socket that it had before TLS: it cannot, see tls_init() */
static void tls_update(struct sock *sk, struct proto *proto, void (*write_space)(struct sock *sk))
{
	WARN_ON_ONCE(1);
}

static int conf(u8 conf)
{
	switch (conf) {
	case TLS_BASE:
		return TLS_CONF_BASE;
	case TLS_SW:
		return TLS_CONF_SW;
	case TLS_HW:
		return TLS_CONF_HW;
	case TLS_HW_RECORD:
		return TLS_CONF_HW_RECORD;
	}
	return 0;
}

static int put_info(struct sk_buff *skb, const struct tls_context *ctx)
{
	const struct tls_conn *conn = container_of(ctx, struct tls_conn, ctx);
	int tx_conf = tls_get_conf(conn, true), rx_conf = tls_get_conf(conn, false);
	u16 version = READ_ONCE(ctx->prot_info.version);
	struct nlattr *start = nla_nest_start_noflag(skb, INET_ULP_INFO_TLS);

	if (!start)
		return -EMSGSIZE;
	if (version && (nla_put_u16(skb, TLS_INFO_VERSION, version) ||
			nla_put_u16(skb, TLS_INFO_CIPHER, READ_ONCE(ctx->prot_info.cipher_type))))
		goto full;
	if (nla_put_u16(skb, TLS_INFO_TXCONF, conf(tx_conf)) ||
	    nla_put_u16(skb, TLS_INFO_RXCONF, conf(rx_conf)))
		goto full;
	if (tx_conf == TLS_HW && ctx->zerocopy_sendfile &&
	    nla_put_flag(skb, TLS_INFO_ZC_RO_TX))
		goto full;
	if (ctx->rx_no_pad && nla_put_flag(skb, TLS_INFO_RX_NO_PAD))
		goto full;
	nla_nest_end(skb, start);
	return 0;
full:
	nla_nest_cancel(skb, start);
	return -EMSGSIZE;
}

/* For sock_diag, which holds no lock of the socket */
static int tls_get_info(struct sock *sk, struct sk_buff *skb)
{
	const struct tls_context *ctx;
	int err = 0;

	rcu_read_lock();
	ctx = rcu_dereference(inet_csk(sk)->icsk_ulp_data);
	if (ctx)
		err = put_info(skb, ctx);
	rcu_read_unlock();
	return err;
}

static size_t tls_get_info_size(const struct sock *sk)
{
	return nla_total_size(0) +		/* INET_ULP_INFO_TLS */
	       4 * nla_total_size(sizeof(u16)) +	/* version, cipher, txconf, rxconf */
	       2 * nla_total_size(0);		/* the flags */
}

static struct tcp_ulp_ops tls_ulp_ops __read_mostly = {
	.name = "tls",
	.owner = THIS_MODULE,
	.init = tls_init,
	.update = tls_update,
	.get_info = tls_get_info,
	.get_info_size = tls_get_info_size,
};

static int __init tls_module_init(void)
{
	int err;

	conn_cache = KMEM_CACHE(tls_conn, 0);
	if (!conn_cache)
		return -ENOMEM;
	err = tls_send_init();
	if (err)
		goto no_send;
	err = tls_stats_init();
	if (err)
		goto no_stats;
	err = tls_device_init();
	if (err)
		goto no_device;
	err = tcp_register_ulp(&tls_ulp_ops);
	if (err)
		goto no_ulp;
	return 0;
no_ulp:
	tls_device_exit();
no_device:
	tls_stats_exit();
no_stats:
	tls_send_exit();
no_send:
	kmem_cache_destroy(conn_cache);
	return err;
}

static void __exit tls_module_exit(void)
{
	tcp_unregister_ulp(&tls_ulp_ops);
	tls_device_exit();
	tls_stats_exit();
	tls_send_exit();
	/* Waits for those that kfree_rcu() holds */
	kmem_cache_destroy(conn_cache);
}

module_init(tls_module_init);
module_exit(tls_module_exit);
