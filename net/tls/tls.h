/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kTLS core: what its files share.
 *
 * A record is a TLS record. An epoch is one traffic key of one direction. One set of socket
 * operations serves every configuration: which epoch seals or opens a record is decided record by
 * record, never by swapping operations.
 *
 * All of a connection is protected by the socket's lock (lock_sock() or, in softirq, the spinlock
 * while nobody owns the socket). Cryptography runs to its end under that lock, asynchronous
 * implementations included: nothing is in flight when a call returns, so close, rekey and error
 * paths have nothing to wait for.
 *
 *   main.c     the ULP: protocol operations, socket options, life and death of a connection
 *   cipher.c   ciphers, epochs, nonces and additional data
 *   send.c     plaintext to records to TCP
 *   receive.c  TCP to records to plaintext
 *   stats.c    /proc/net/tls_stat
 *   device.c   what NIC drivers link to
 *   fallback.c packets that a device cannot seal
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
 * @record: number of the next record
 * @count: records sealed or opened under this key, for the limits of RFC 8446 5.5
 * @explicit: TLS 1.2, sending: explicit nonce of the next record
 * @nonce: salt and IV from the socket option
 */
struct tls_epoch {
	const struct tls_cipher *cipher;
	struct crypto_aead *aead;
	u16 version;
	bool exhausted;
	u64 record;
	u64 count;
	u64 explicit;
	u8 nonce[TLS_NONCE_SIZE];
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

struct tls_tx_rec;

/**
 * struct tls_tx - sending half of a connection
 * @epoch: key in use
 * @rec: record being assembled or, if it is sealed, not yet taken by TCP
 * @limit: most payload of a record, in bytes (TLS_TX_MAX_PAYLOAD_LEN)
 * @pushing: TCP is taking a record now, and takes it whole whatever the limits of the send buffer
 * @err: what ended sending, as a negative number
 * @retry: hands @rec to TCP after an allocation failed. Holds a reference to the socket while it is
 *	scheduled.
 */
struct tls_tx {
	struct tls_epoch epoch;
	struct tls_tx_rec *rec;
	u16 limit;
	bool pushing;
	int err;
	struct delayed_work retry;
};

/**
 * struct tls_rx - receiving half of a connection
 * @epoch: key in use
 * @opened: records opened into memory of the kernel and not yet read to their end
 * @opened_size: memory of these, in bytes
 * @stage: the first record, as far as it had to be taken out of TCP's queue; NULL if it all is
 *	there
 * @staged: bytes in @stage
 * @full: length of the first record with header and tag; 0 until the header has arrived
 * @hdr: its header and explicit nonce
 * @err: what ended receiving, as a negative number
 * @framing: @err came from a header, and is reported to non-blocking readers once
 * @told: it was
 * @key_update: a KeyUpdate was received: nothing is opened until the next key (RFC 8446 4.6.3)
 * @ready: poll says readable. Read without lock.
 * @holdoff: so many records are not opened into the reader's memory, because padding was seen
 * @hs: header of a handshake message, as far as it has arrived
 * @hs_len: bytes of it
 * @hs_left: bytes of the message's body to come
 * @saved_data_ready: the socket's callback before ours
 */
struct tls_rx {
	struct tls_epoch epoch;
	struct sk_buff_head opened;
	u32 opened_size;
	struct sk_buff *stage;
	u32 staged;
	u32 full;
	u8 hdr[TLS_PREPEND_MAX];
	bool framing, told;
	bool key_update;
	bool ready;
	u8 holdoff;
	u8 hs_len;
	u8 hs[4];
	u32 hs_left;
	int err;
	void (*saved_data_ready)(struct sock *sk);
};

/**
 * struct tls_conn - a connection
 * @ctx: what the rest of the kernel and NIC drivers know of it; its first member, as icsk_ulp_data
 *	points to it
 * @tx: sending half
 * @rx: receiving half
 * @crypt: workplace
 */
struct tls_conn {
	struct tls_context ctx;
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
int tls_epoch_open(struct tls_epoch *epoch, const struct tls_crypto_info *info);
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

/* receive.c */
void tls_rx_start(struct sock *sk);
void tls_rx_update(struct sock *sk);
void tls_rx_free(struct sock *sk);
void tls_data_ready(struct sock *sk);
int tls_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len);
ssize_t tls_splice_read(struct socket *sock, loff_t *ppos, struct pipe_inode_info *pipe, size_t len,
			unsigned int flags);
int tls_read_sock(struct sock *sk, read_descriptor_t *desc, sk_read_actor_t actor);
__poll_t tls_poll(struct file *file, struct socket *sock, struct poll_table_struct *wait);

/* stats.c */
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
	TLS_STAT_NUM
};

int tls_stats_init(void);
void tls_stats_exit(void);
void tls_stat_add(const struct sock *sk, enum tls_stat stat, long n);

static inline void tls_stat_inc(const struct sock *sk, enum tls_stat stat)
{
	tls_stat_add(sk, stat, 1);
}

#endif
