/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kTLS core: what its files share.
 *
 * A record is a TLS record. An epoch is one traffic key of one direction. An engine, software or a
 * device (hw), seals or opens the records of an epoch. One set of socket operations serves every
 * configuration: which epoch and which engine has a record is decided record by record, never by
 * swapping operations.
 *
 * All of a connection is protected by the socket's lock (lock_sock() or, in softirq, the spinlock
 * while nobody owns the socket). Cryptography runs to its end under that lock, asynchronous
 * implementations included: nothing is in flight when a call returns, so close, rekey and error
 * paths have nothing to wait for.
 *
 *   main.c     the ULP: protocol operations, socket options, life and death of a connection
 *   cipher.c   ciphers, epochs, nonces and additional data
 *   send.c     plaintext to records to TCP
 *   pages.c    pages to TCP, for records of a device
 *   receive.c  TCP to records to plaintext
 *   device.c   the hw engine: contexts of devices, and the records that they may ask for
 *   rekey.c    a device gets the next key
 *   resync.c   a device that lost its place in what it receives
 *   fallback.c packets that a device cannot seal
 *   stats.c    /proc/net/tls_stat
 *   trace.c    tracepoints
 */
#ifndef _SEALNIC_TLS_H
#define _SEALNIC_TLS_H

#include <linux/bvec.h>
#include <linux/workqueue.h>
#include <net/tls.h>
#include <net/tls_prot.h>

/* Newer kernels' number for it; this kernel's linux/tls.h ends at 4. */
#ifndef TLS_TX_MAX_PAYLOAD_LEN
#define TLS_TX_MAX_PAYLOAD_LEN	5
#endif

#define TLS_NONCE_SIZE		12	/* RFC 8446 5.3, RFC 5288 3, RFC 7905 2 */
#define TLS_EXPLICIT_NONCE_SIZE	8	/* RFC 5288 3 */
#define TLS_PREPEND_MAX		(TLS_HEADER_SIZE + TLS_EXPLICIT_NONCE_SIZE)
#define TLS_TAIL_MAX		(1 + TLS_TAG_SIZE)
#define TLS_PAYLOAD_MIN		64	/* RFC 8449 4 */

/**
 * struct tls_cipher - what tells one cipher suite's record protection from another's
 * @name: the AEAD in the crypto API
 * @key: bytes of key
 * @iv: bytes of IV in the socket option
 * @salt: bytes of salt in the socket option
 * @tls12: has a TLS 1.2 cipher suite
 * @tls13: has a TLS 1.3 cipher suite
 * @ccm: the crypto API wants the block B0 of CCM as IV
 */
struct tls_cipher {
	const char *name;
	u8 key, iv, salt;
	bool tls12, tls13, ccm;
};

/**
 * struct tls_epoch - one traffic key of one direction
 * @cipher: its cipher
 * @aead: the keyed transform; NULL if there is no epoch
 * @version: TLS_1_2_VERSION or TLS_1_3_VERSION
 * @exhausted: the last record number was used (RFC 8446 5.3)
 * @in_place: sealing in place cannot fail half-way for want of memory
 * @record: number of the next record
 * @explicit: TLS 1.2, sending: explicit nonce of the next record
 * @nonce: salt and IV from the socket option
 * @count: records sealed or opened under this key, for the limits of RFC 8446 5.5; it stops at
 *	U32_MAX, far beyond any of them
 */
struct tls_epoch {
	const struct tls_cipher *cipher;
	struct crypto_aead *aead;
	u16 version;
	bool exhausted;
	bool in_place;
	u64 record;
	u64 explicit;
	u8 nonce[TLS_NONCE_SIZE];
	u32 count;
};

/**
 * struct tls_crypt - the workplace of one AEAD operation; a connection needs but one, as its lock
 * is held meanwhile
 * @req: request, large enough for the transforms of both directions
 * @size: its size
 * @wait: where an asynchronous implementation reports
 * @iv: as the crypto API wants it
 * @aad: additional data
 * @type: TLS 1.3: the content type behind the payload. Maybe written by DMA, hence with @aad on
 *	lines of its own.
 */
struct tls_crypt {
	struct aead_request *req;
	size_t size;
	struct crypto_wait wait;
	u8 iv[16];
	u8 aad[16] __aligned(ARCH_DMA_MINALIGN);
	u8 type;
};

/* Why the records of a connection are software's, in one direction */
enum tls_why {
	TLS_WHY_NOT,		/* they are the device's, or there is no key yet */
	TLS_WHY_NO_DEVICE,	/* the route has none, or the other direction has another */
	TLS_WHY_FEATURE,	/* the device's feature is off */
	TLS_WHY_VERSION,	/* the driver does not know this version of TLS */
	TLS_WHY_CIPHER,		/* no device is asked for this cipher */
	TLS_WHY_TABLE_FULL,	/* the device has no room for another connection */
	TLS_WHY_REFUSED,	/* the driver refused for another reason, or there was no memory */
	TLS_WHY_DOWN,		/* the device went down */
	TLS_WHY_REKEY,		/* the device does not have the newest key yet */
	TLS_WHY_ROUTE,		/* they are the device's to seal, but packets leave by another */
	TLS_WHY_NUM
};

/**
 * struct tls_counts - one direction of a connection, over all its epochs
 * @hw: records that were the device's: given to it to seal, or opened whole by it
 * @sw: records that software sealed or opened
 * @resyncs: times that the device was told where a record begins
 * @fallback: packets of @hw that software sealed in the device's place; or records of @sw that the
 *	device had opened in part. Without lock.
 */
struct tls_counts {
	u64 hw;
	u64 sw;
	u32 resyncs;
	atomic_t fallback;
};

struct tls_tx_rec;

/**
 * struct tls_hw_tx - a device's context for sending
 * @off: what the driver knows of it
 * @added: the device holds it; under tls_device_lock
 * @epoch: what seals in software what the device cannot, with a transform of its own
 * @ubuf: for tls_pages_msg()
 * @free: some records for the next; under @off.lock
 * @nfree: their number
 */
struct tls_hw_tx {
	struct tls_offload_context_tx off;
	bool added;
	struct tls_epoch epoch;
	struct ubuf_info *ubuf;
	struct list_head free;
	u32 nfree;
};

/**
 * struct tls_hw_rx - a device's context for receiving
 * @off: what the driver knows of it
 * @seq: resync: where a record begins, as TCP sequence number
 * @record: its number; or that of the first one in @log
 * @walking: @seq and @record are valid
 * @log: asynchronous resync: where records begin that follow each other, as drivers are told it
 * @logged: entries of @log
 * @log_req: the announcement that they are for
 * @undo: the key that the device opens with although the connection has another already, with the
 *	device's number of the first record; none otherwise
 * @undo_end: TCP sequence number from which on nothing can be opened with an older key
 * @draining: the first record begins before that
 */
struct tls_hw_rx {
	struct tls_offload_context_rx off;
	u32 seq;
	u64 record;
	bool walking;
	u8 logged;
	u32 log[TLS_DEVICE_RESYNC_ASYNC_LOGMAX];
	u64 log_req;
	struct tls_epoch undo;
	u32 undo_end;
	bool draining;
};

/**
 * struct tls_hw - what a connection has with devices; lives until the socket's last packet is gone
 * @conn: the connection
 * @tx: context for sending, or NULL
 * @old: the one before, for who may still look at it; under tls_device_lock
 * @rx: context for receiving, or NULL
 * @rx_added: the device holds @rx; under tls_device_lock
 * @detached: the program has closed the socket; under tls_device_lock, read without
 * @down: the device went down. Written under tls_device_lock, read without.
 * @leaving: nothing may go to the device for sealing any more. Read without lock.
 * @away: the last packet in plaintext was for another device; not kept up while @leaving. Read
 *	without lock.
 * @tx_rekey: the device does not have the newest key for sending, and will get it. Set under
 *	tls_device_lock and the socket's lock, cleared under the latter, read without.
 * @tx_rekey_seq: TCP sequence number of the first byte that no older key has sealed
 * @rx_rekey: the same as @tx_rekey for receiving; under the socket's lock, read without
 * @retiring: the worker takes @tx from the device; under the socket's lock
 * @rekey: gives it the key. Holds a reference to the socket while it is queued.
 * @destroy: frees the connection
 */
struct tls_hw {
	struct tls_conn *conn;
	struct tls_hw_tx *tx;
	struct tls_hw_tx *old;
	struct tls_hw_rx *rx;
	bool rx_added;
	bool detached;
	bool down;
	bool leaving;
	bool away;
	bool tx_rekey;
	bool retiring;
	bool rx_rekey;
	u32 tx_rekey_seq;
	struct delayed_work rekey;
	struct work_struct destroy;
};

/**
 * struct tls_tx - sending half of a connection
 * @epoch: key in use
 * @rec: record being assembled or, if it has ended, not yet taken by TCP
 * @spare: memory for the next record; the device's records come and go fast
 * @limit: most payload of a record, in bytes (TLS_TX_MAX_PAYLOAD_LEN)
 * @pushing: TCP is taking a record now, and takes it whole whatever the limits of the send buffer
 * @hw: the engine of @epoch is the device
 * @why: why it is not
 * @n: who sealed how much
 * @shut: the socket was shut down for sending, and the FIN comes behind @rec
 * @err: what ended sending, as a negative number
 * @retry: goes on with @rec after an allocation failed. Holds a reference to the socket while it is
 *	scheduled.
 */
struct tls_tx {
	struct tls_epoch epoch;
	struct tls_tx_rec *rec;
	struct tls_tx_rec *spare;
	u16 limit;
	bool pushing;
	bool hw;
	u8 why;
	bool shut;
	int err;
	struct tls_counts n;
	struct delayed_work retry;
};

/**
 * struct tls_rx - receiving half of a connection
 * @epoch: key in use
 * @opened: records opened into memory of the kernel and not yet read to their end
 * @opened_size: memory of these, in bytes
 * @plain: bit for bit what of the stage a device has opened; NULL: nothing
 * @opened_len: what is left of their payload. Read without lock.
 * @stage: the first record, as far as it had to be taken out of TCP's queue; NULL if it all is
 *	there
 * @staged: bytes in @stage. Read without lock.
 * @full: length of the first record with header and tag; 0 until the header has arrived
 * @hdr: its header and explicit nonce
 * @err: what ended receiving, as a negative number
 * @framing: @err came from a header, and is reported to non-blocking readers once
 * @told: it was
 * @key_update: a KeyUpdate was received: nothing is opened until the next key (RFC 8446 4.6.3).
 *	Read without lock.
 * @ready: poll says readable. Read without lock.
 * @holdoff: so many records are not opened into the reader's memory, because padding was seen
 * @hs: header of a handshake message, as far as it has arrived
 * @hs_len: bytes of it
 * @why: why records are not the device's
 * @hs_left: bytes of the message's body to come
 * @n: who opened how much
 * @saved_data_ready: the socket's callback before ours
 */
struct tls_rx {
	struct tls_epoch epoch;
	struct sk_buff_head opened;
	u32 opened_size;
	u32 opened_len;
	struct sk_buff *stage;
	unsigned long *plain;
	u32 staged;
	u32 full;
	u8 hdr[TLS_PREPEND_MAX];
	bool framing, told;
	bool key_update;
	bool ready;
	u8 holdoff;
	u8 hs_len;
	u8 hs[4];
	u8 why;
	u32 hs_left;
	int err;
	struct tls_counts n;
	void (*saved_data_ready)(struct sock *sk);
};

/* What is counted, of each network namespace */
enum tls_stat {
	TLS_STAT_CURR_TX_SW,
	TLS_STAT_CURR_RX_SW,
	TLS_STAT_CURR_TX_DEVICE,
	TLS_STAT_CURR_RX_DEVICE,
	TLS_STAT_TX_SW,
	TLS_STAT_RX_SW,
	TLS_STAT_TX_DEVICE,
	TLS_STAT_RX_DEVICE,
	TLS_STAT_DECRYPT_ERROR,
	TLS_STAT_RX_DEVICE_RESYNC,
	TLS_STAT_DECRYPT_RETRY,
	TLS_STAT_RX_NO_PAD_VIOLATION,
	TLS_STAT_RX_REKEY_OK,
	TLS_STAT_RX_REKEY_ERROR,
	TLS_STAT_TX_REKEY_OK,
	TLS_STAT_TX_REKEY_ERROR,
	TLS_STAT_RX_REKEY_RECEIVED,
	TLS_STAT_CURR_TX_REKEY,
	TLS_STAT_CURR_RX_REKEY,
	TLS_STAT_TX_REKEY_ABORTED,
	TLS_STAT_RX_REKEY_ABORTED,
	TLS_STAT_TX_REKEY_FALLBACK,
	TLS_STAT_RX_REKEY_FALLBACK,
	TLS_STAT_TX_SW_RECORDS,
	TLS_STAT_RX_SW_RECORDS,
	TLS_STAT_TX_DEVICE_RECORDS,
	TLS_STAT_RX_DEVICE_RECORDS,
	TLS_STAT_RX_PARTIAL_RECORDS,
	TLS_STAT_TX_FALLBACK,
	TLS_STAT_TX_FALLBACK_DROP,
	TLS_STAT_TX_DEVICE_RESYNC,
	TLS_STAT_TX_WHY,	/* one for each enum tls_why but the first; some have no name */
	TLS_STAT_RX_WHY = TLS_STAT_TX_WHY + TLS_WHY_NUM - 1,
	TLS_STAT_NUM = TLS_STAT_RX_WHY + TLS_WHY_NUM - 1
};

struct tls_stats {
	unsigned long count[TLS_STAT_NUM];
};

/**
 * struct tls_conn - a connection
 * @ctx: what the rest of the kernel and NIC drivers know of it; its first member, as icsk_ulp_data
 *	points to it
 * @tx: sending half
 * @rx: receiving half
 * @crypt: workplace
 * @hw: what it has with devices; NULL if it never had anything
 * @stats: counters of its network namespace
 */
struct tls_conn {
	struct tls_context ctx;
	struct tls_hw *hw;
	struct tls_stats __percpu *stats;
	struct tls_tx tx;
	struct tls_rx rx;
	struct tls_crypt crypt;
};

static inline struct tls_conn *tls_conn(const struct sock *sk)
{
	return container_of(tls_get_ctx(sk), struct tls_conn, ctx);
}

/* For those that came by the socket's operations and hold no lock */
static inline struct tls_conn *tls_conn_acquire(const struct sock *sk)
{
	/* The operations were read before; pairs with the barrier in tls_init() */
	smp_rmb();
	return tls_conn(sk);
}

static inline bool tls_13(const struct tls_epoch *epoch)
{
	return epoch->version == TLS_1_3_VERSION;
}

/*
 * Bytes in front of the payload: header, and in TLS 1.2 the explicit nonce of the ciphers that have
 * one
 */
static inline u32 tls_prepend(const struct tls_epoch *epoch)
{
	if (tls_13(epoch) || !epoch->cipher->salt)
		return TLS_HEADER_SIZE;
	return TLS_HEADER_SIZE + TLS_EXPLICIT_NONCE_SIZE;
}

/* Bytes behind it: in TLS 1.3 the content type, and the tag */
static inline u32 tls_tail(const struct tls_epoch *epoch)
{
	return tls_13(epoch) + TLS_TAG_SIZE;
}

/*
 * Fills an entry of a scatterlist that nobody initialised, and returns the next: lists are short,
 * their arrays are not
 */
static inline struct scatterlist *tls_sg(struct scatterlist *sg, struct page *page, u32 len,
					 u32 off)
{
	*sg = (struct scatterlist) {};
	sg_set_page(sg, page, len, off);
	return sg + 1;
}

static inline struct scatterlist *tls_sg_buf(struct scatterlist *sg, const void *buf, u32 len)
{
	return tls_sg(sg, virt_to_page(buf), len, offset_in_page(buf));
}

/* cipher.c */
const struct tls_cipher *tls_cipher(u16 type);
size_t tls_info_size(const struct tls_cipher *cipher);
int tls_epoch_open(struct tls_epoch *epoch, const struct tls_crypto_info *info, bool sync);
void tls_epoch_next(struct tls_epoch *epoch);
void tls_put_header(const struct tls_epoch *epoch, u8 *hdr, u8 type, u32 len);
int tls_seal_part(struct tls_crypt *crypt, const struct tls_epoch *epoch, const u8 *hdr, u32 inner,
		  u32 len, struct scatterlist *src, struct scatterlist *dst, bool may_wait);
void tls_epoch_close(struct tls_epoch *epoch);
void tls_epoch_state(const struct tls_epoch *epoch, struct tls_crypto_info *info);
int tls_crypt_reserve(struct tls_crypt *crypt, const struct tls_epoch *epoch);
int tls_seal(struct tls_crypt *crypt, struct tls_epoch *epoch, u8 *hdr, u8 type, u32 len,
	     struct scatterlist *src, struct scatterlist *dst);
int tls_open(struct tls_crypt *crypt, struct tls_epoch *epoch, const u8 *hdr, u32 len,
	     struct scatterlist *src, struct scatterlist *dst);

/* main.c */
const struct proto *tls_base_proto(const struct sock *sk);
const struct proto_ops *tls_base_ops(const struct sock *sk);
void tls_conn_free(struct tls_conn *conn);

/* send.c */
int tls_send_init(void);
void tls_send_exit(void);
void tls_tx_retry(struct work_struct *work);
int tls_sendmsg(struct sock *sk, struct msghdr *msg, size_t size);
int tls_sendmsg_locked(struct sock *sk, struct msghdr *msg, size_t size);
int tls_tx_finish(struct sock *sk, int flags, long *timeo);
void tls_tx_free(struct sock *sk);
void tls_splice_eof(struct socket *sock);
void tls_write_space(struct sock *sk);
bool tls_stream_memory_free(const struct sock *sk, int wake);

/* pages.c */
struct ubuf_info *tls_pages_alloc(void);
void tls_pages_free(struct ubuf_info *ubuf);
void tls_pages_msg(struct msghdr *msg, struct ubuf_info *ubuf);

/* receive.c */
void tls_rx_start(struct sock *sk);
void tls_rx_update(struct sock *sk);
void tls_rx_rekeyed(struct sock *sk, struct tls_epoch *old);
void tls_rx_free(struct sock *sk);
void tls_data_ready(struct sock *sk);
bool tls_rx_peek_header(struct sock *sk, u32 seq, u32 *next);
int tls_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len);
ssize_t tls_splice_read(struct socket *sock, loff_t *ppos, struct pipe_inode_info *pipe, size_t len,
			unsigned int flags);
int tls_read_sock(struct sock *sk, read_descriptor_t *desc, sk_read_actor_t actor);
int tls_peek_len(struct socket *sock);
__poll_t tls_poll(struct file *file, struct socket *sock, struct poll_table_struct *wait);

/* device.c */
extern struct rw_semaphore tls_device_lock;
int tls_device_init(void);
void tls_device_exit(void);
void tls_hw_open_tx(struct sock *sk, const struct tls_crypto_info *info);
void tls_hw_open_rx(struct sock *sk, const struct tls_crypto_info *info);
void tls_hw_leave_tx(struct sock *sk, enum tls_why why);
void tls_hw_leave_rx(struct sock *sk, enum tls_why why);
enum tls_why tls_hw_reopen_tx(struct sock *sk);
enum tls_why tls_hw_reopen_rx(struct sock *sk);
void tls_hw_retire_tx(struct tls_hw *hw);
void tls_hw_retire_last_tx(struct tls_hw *hw);
bool tls_hw_detach(struct sock *sk);
void tls_hw_free(struct tls_hw *hw);
struct tls_record_info *tls_hw_record_alloc(struct tls_hw_tx *tx, gfp_t gfp);
void tls_hw_record_free(struct tls_record_info *rec);
void tls_hw_record_add(struct sock *sk, struct tls_record_info *rec, const struct bio_vec *bv,
		       u32 n, u32 len);
void tls_hw_resync_tx(struct sock *sk);
void tls_hw_note(struct sock *sk, bool tx, enum tls_why why);
void tls_hw_away(struct sock *sk, bool away);
void tls_hw_fallback(struct sock *sk, u32 seq, u32 len, int err);
enum tls_why tls_why(const struct tls_conn *conn, bool tx);
int tls_get_conf(const struct tls_conn *conn, bool tx);

/* rekey.c */
int tls_rekey_init(void);
void tls_rekey_exit(void);
void tls_rekey_work(struct work_struct *work);
void tls_rekey_tx(struct sock *sk);
void tls_rekey_tx_acked(struct sock *sk, u32 acked_seq);
void tls_rekey_rx(struct sock *sk);
void tls_rekey_rx_try(struct sock *sk);
void tls_rekey_detach(struct sock *sk);

/* resync.c */
void tls_rx_resync_request(struct sock *sk);
void tls_rx_resync_record(struct sock *sk, u32 seq);
void tls_rx_resync_opened(struct sock *sk, u32 end, bool device);

/* fallback.c */
struct sk_buff *tls_validate_xmit_skb_sw(struct sock *sk, struct net_device *dev,
					 struct sk_buff *skb);

/* stats.c */
int tls_stats_init(void);
void tls_stats_exit(void);
struct tls_stats __percpu *tls_stats(const struct net *net);

/* Counts @n more of @stat, in the namespace of @sk; in any context */
static inline void tls_stat_add(const struct sock *sk, enum tls_stat stat, long n)
{
	this_cpu_add(tls_conn(sk)->stats->count[stat], n);
}

static inline void tls_stat_inc(const struct sock *sk, enum tls_stat stat)
{
	tls_stat_add(sk, stat, 1);
}

#endif
