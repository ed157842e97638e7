// SPDX-License-Identifier: GPL-2.0
/*
 * Receiving: records are found in TCP's receive queue, opened, and given to the reader. Owns struct
 * tls_rx and the queue of opened records, under the socket's lock.
 *
 * A record stays in TCP's queue until all of it is there and somebody reads; then it is opened
 * straight into the reader's memory if it fits, or else into a buffer on the queue of opened
 * records. Only if TCP's buffer is too small for the record does its beginning move out of the
 * queue earlier (the stage).
 */
#include <linux/skbuff.h>
#include <linux/splice.h>
#include <linux/unaligned.h>
#include <net/busy_poll.h>
#include <net/inet_common.h>
#include <net/tcp.h>
#include "tls.h"
#include "trace.h"

/* Entries of a scatterlist; a record in more pieces than that is put together first */
#define ENTRIES	20
/*
 * Payload below this is opened into a buffer of its own: that costs less than pinning the reader's
 * pages
 */
#define PIN_MIN	256
/* Payload up to this is opened into the head of an skb */
#define LINEAR_MAX	2048
/* After padding, so many records are opened into a buffer right away */
#define PAD_HOLDOFF	32

#define KEY_UPDATE	24	/* handshake type: RFC 8446 4 */

/* Of an opened record, in skb->cb */
struct opened {
	u32 off;	/* where what is left of the payload begins */
	u32 len;	/* its length */
	u32 charged;	/* memory that the socket is charged with */
	u8 type;
};

static struct opened *opened(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct opened) > sizeof(skb->cb));
	return (struct opened *)skb->cb;
}

/* --- records in TCP's queue --- */

/*
 * Bytes in TCP's queue. An urgent one is a byte of the stream like any other, and part of a record:
 * tcp_inq() ends in front of it.
 */
static u32 queue_len(const struct sock *sk)
{
	u32 len = tcp_sk(sk)->rcv_nxt - tcp_sk(sk)->copied_seq;

	/* A FIN has a sequence number, too */
	return len - (len && sock_flag(sk, SOCK_DONE));
}

/* The first bytes of TCP's queue; the caller knows that they are there */
static int queue_copy(struct sock *sk, u32 off, void *to, u32 len)
{
	u32 seq = tcp_sk(sk)->copied_seq + off;
	struct sk_buff *skb;

	skb_queue_walk(&sk->sk_receive_queue, skb) {
		u32 o = seq - TCP_SKB_CB(skb)->seq, n;

		if (o >= skb->len)
			continue;
		n = min(len, skb->len - o);
		if (skb_copy_bits(skb, o, to, n))
			return -EFAULT;
		to += n;
		seq += n;
		len -= n;
		if (!len)
			return 0;
	}
	return -EFAULT;
}

/*
 * Lists bytes of an skb from @off on in @sg, up to the entry @end. Lowers *@len by what it lists,
 * and returns the next free entry, or NULL if they are in too many pieces.
 */
static struct scatterlist *skb_map(struct sk_buff *skb, u32 off, u32 *len, struct scatterlist *sg,
				   const struct scatterlist *end)
{
	u32 n, i;

	if (skb_has_frag_list(skb) || !skb_frags_readable(skb))
		return NULL;
	if (off < skb_headlen(skb)) {
		if (sg == end)
			return NULL;
		n = min(*len, skb_headlen(skb) - off);
		sg = tls_sg_buf(sg, skb->data + off, n);
		*len -= n;
		off = 0;
	} else {
		off -= skb_headlen(skb);
	}
	for (i = 0; *len && i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		if (off >= skb_frag_size(frag)) {
			off -= skb_frag_size(frag);
			continue;
		}
		if (sg == end)
			return NULL;
		n = min(*len, skb_frag_size(frag) - off);
		sg = tls_sg(sg, skb_frag_page(frag), n, skb_frag_off(frag) + off);
		*len -= n;
		off = 0;
	}
	return sg;
}

/*
 * Lists bytes of TCP's queue from @off on in @sg, up to the entry @end; -EMSGSIZE if they are in
 * too many pieces
 */
static int queue_map(struct sock *sk, u32 off, u32 len, struct scatterlist *sg,
		     const struct scatterlist *end)
{
	u32 seq = tcp_sk(sk)->copied_seq + off;
	struct sk_buff *skb;

	skb_queue_walk(&sk->sk_receive_queue, skb) {
		u32 o = seq - TCP_SKB_CB(skb)->seq, left = len;

		if (o >= skb->len)
			continue;
		sg = skb_map(skb, o, &left, sg, end);
		if (!sg)
			return -EMSGSIZE;
		seq += len - left;
		len = left;
		if (!len) {
			sg_mark_end(sg - 1);
			return 0;
		}
	}
	return -EFAULT;
}

/* Are there packets in TCP's queue that a device may have opened? */
static bool rx_by_device(const struct tls_conn *conn)
{
	return unlikely(conn->hw && conn->hw->rx);
}

/*
 * How many of the first @len bytes of TCP's queue a device has opened. Each that it has is marked
 * in @map, if there is one, from @bit on.
 */
static u32 queue_plain(struct sock *sk, u32 len, unsigned long *map, u32 bit)
{
	u32 seq = tcp_sk(sk)->copied_seq, plain = 0;
	struct sk_buff *skb;

	skb_queue_walk(&sk->sk_receive_queue, skb) {
		u32 o = seq - TCP_SKB_CB(skb)->seq, n;

		if (o >= skb->len)
			continue;
		n = min(len, skb->len - o);
		if (skb_is_decrypted(skb)) {
			plain += n;
			if (map)
				bitmap_set(map, bit, n);
		}
		bit += n;
		seq += n;
		len -= n;
		if (!len)
			break;
	}
	return plain;
}

enum rx_state {
	RX_CIPHER,	/* it is as it came */
	RX_PLAIN,	/* a device has opened all of it */
	RX_MIXED,	/* some of it */
};

/* What a device has made of the first record, which is all there */
static enum rx_state rx_state(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_rx *rx = &conn->rx;
	u32 plain;

	if (!rx_by_device(conn))
		return RX_CIPHER;
	plain = queue_plain(sk, rx->full - rx->staged, NULL, 0);
	if (rx->plain)
		plain += bitmap_weight(rx->plain, rx->staged);
	if (!plain)
		return RX_CIPHER;
	/* Opened with another key than this record's is not opened */
	return plain == rx->full && !conn->hw->rx->undo.aead ? RX_PLAIN : RX_MIXED;
}

/* The end of receiving: nothing can be opened after what went wrong */
static int rx_abort(struct sock *sk, int err)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;

	WRITE_ONCE(rx->err, err);
	trace_tls_open_error(sk, rx->epoch.record, rx->full, err);
	return err;
}

/* Is the header one that can be? RFC 5246 6.2.1, 6.2.3; RFC 8446 5.1, 5.2 */
static int check_header(const struct tls_epoch *epoch, const u8 *hdr)
{
	u32 len = get_unaligned_be16(hdr + 3);
	u32 over = tls_prepend(epoch) - TLS_HEADER_SIZE + tls_tail(epoch);

	if (len > TLS_MAX_PAYLOAD_SIZE + over)
		return -EMSGSIZE;
	if (len < over)
		return -EBADMSG;
	if (get_unaligned_be16(hdr + 1) != TLS_1_2_VERSION)
		return -EINVAL;
	if (tls_13(epoch) && hdr[0] != TLS_RECORD_TYPE_DATA)
		return -EINVAL;
	return 0;
}

/* Is all of the first record there? Reads its header as soon as possible. */
static bool rx_complete(struct sock *sk)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;
	u32 avail = queue_len(sk);
	int err;

	if (!rx->full) {
		if (rx->staged + avail < TLS_HEADER_SIZE || rx->err)
			return false;
		err = rx->staged ? skb_copy_bits(rx->stage, 0, rx->hdr, rx->staged) : 0;
		if (!err)
			err = queue_copy(sk, 0, rx->hdr + rx->staged, TLS_HEADER_SIZE - rx->staged);
		if (!err)
			err = check_header(&rx->epoch, rx->hdr);
		if (err) {
			rx->framing = true;
			rx_abort(sk, err);
			return false;
		}
		rx->full = TLS_HEADER_SIZE + get_unaligned_be16(rx->hdr + 3);
	}
	return rx->staged + avail >= rx->full;
}

/*
 * Moves what there is of the first record from TCP's queue to the stage, so that TCP has room for
 * the rest of it; or all of it, if it is in too many pieces. 0 or -ENOMEM.
 *
 * Even less than a header may have to go: what a packet is charged with stays charged until all of
 * it is read.
 */
static int rx_stage(struct sock *sk, gfp_t gfp)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;
	u32 left = min(queue_len(sk), (rx->full ?: TLS_HEADER_SIZE) - rx->staged), done = 0, at, i;
	u32 size = rx->full ?: TLS_PREPEND_MAX + TLS_MAX_PAYLOAD_SIZE + TLS_TAIL_MAX;
	int err;

	if (!rx->stage) {
		rx->stage = alloc_skb_with_frags(0, size, PAGE_ALLOC_COSTLY_ORDER, &err, gfp);
		if (!rx->stage)
			return -ENOMEM;
		rx->stage->len = size;
		rx->stage->data_len = size;
	}
	if (rx_by_device(tls_conn(sk))) {
		if (!rx->plain && queue_plain(sk, left, NULL, 0)) {
			rx->plain = bitmap_zalloc(rx->stage->len, gfp);
			if (!rx->plain)
				return -ENOMEM;
		}
		if (rx->plain)
			queue_plain(sk, left, rx->plain, rx->staged);
	}
	for (i = 0, at = rx->staged; left; i++) {
		const skb_frag_t *frag = &skb_shinfo(rx->stage)->frags[i];
		u32 n;

		if (at >= skb_frag_size(frag)) {
			at -= skb_frag_size(frag);
			continue;
		}
		n = min(left, skb_frag_size(frag) - at);
		err = queue_copy(sk, done, skb_frag_address(frag) + at, n);
		if (err)
			return rx_abort(sk, err);
		done += n;
		left -= n;
		at = 0;
	}
	WRITE_ONCE(rx->staged, rx->staged + done);
	if (done)
		tcp_read_done(sk, done);
	return 0;
}

/* What is missing of the first record has no room in TCP's buffer, and gets none by waiting */
static bool rx_squeezed(struct sock *sk)
{
	const struct tls_rx *rx = &tls_conn(sk)->rx;
	u32 avail = queue_len(sk), need = (rx->full ?: TLS_HEADER_SIZE) - rx->staged;

	return avail && avail < need && (need - avail > tcp_receive_window(tcp_sk(sk)) ||
					 tcp_epollin_ready(sk, INT_MAX));
}

/**
 * tls_rx_peek_header() - look at the header of a record that is not the first
 * @sk: the socket, locked
 * @seq: TCP sequence number of the record's first byte
 * @next: set to that of the byte behind it
 *
 * Context: softirq or process; the socket is locked.
 *
 * Return: whether there is one, as far as it has arrived.
 */
bool tls_rx_peek_header(struct sock *sk, u32 seq, u32 *next)
{
	const struct tls_rx *rx = &tls_conn(sk)->rx;
	u32 off = seq - tcp_sk(sk)->copied_seq;
	u8 hdr[TLS_HEADER_SIZE];

	if (rx->full && seq == tcp_sk(sk)->copied_seq - rx->staged) {
		*next = seq + rx->full;
		return true;
	}
	if ((int)off < 0 || off + TLS_HEADER_SIZE > tcp_sk(sk)->rcv_nxt - tcp_sk(sk)->copied_seq ||
	    queue_copy(sk, off, hdr, sizeof(hdr)) || check_header(&rx->epoch, hdr))
		return false;
	*next = seq + TLS_HEADER_SIZE + get_unaligned_be16(hdr + 3);
	return true;
}

static bool rx_error_pending(const struct tls_rx *rx)
{
	return rx->err && !(rx->framing && rx->told);
}

/**
 * tls_rx_update() - find out whether there is anything to read, for poll
 * @sk: the socket, locked
 *
 * Context: softirq or process; the socket is locked.
 */
void tls_rx_update(struct sock *sk)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;
	bool complete = rx_complete(sk);
	bool readable = complete && !rx->key_update && !rx->err;

	WRITE_ONCE(rx->ready, readable || !skb_queue_empty(&rx->opened) || rx_error_pending(rx));
}

/**
 * tls_data_ready() - the socket's callback when TCP has data
 * @sk: the socket
 *
 * Wakes readers for whole records and errors only.
 *
 * Context: softirq or process; the socket is locked.
 */
void tls_data_ready(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_rx *rx = &conn->rx;

	if (rx_by_device(conn))
		tls_rx_resync_request(sk);
	tls_rx_update(sk);
	if (!rx->ready && rx_squeezed(sk) && !rx->err) {
		/* A reader does it if this fails */
		if (rx_stage(sk, GFP_ATOMIC | __GFP_NOWARN))
			WRITE_ONCE(rx->ready, true);
		else
			tls_rx_update(sk);
	}
	if (rx->ready || sk->sk_shutdown & RCV_SHUTDOWN || sk->sk_err)
		rx->saved_data_ready(sk);
}

/* --- opening --- */

/*
 * Looks for KeyUpdate among the handshake messages of a record: RFC 8446 4, 4.6.3. Messages may be
 * cut anywhere between records (5.1), headers included.
 */
static void rx_handshake(struct sock *sk, struct sk_buff *skb)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;
	u32 off = opened(skb)->off, left = opened(skb)->len, n;

	while (left && !rx->key_update) {
		if (rx->hs_left) {
			n = min(left, rx->hs_left);
			rx->hs_left -= n;
		} else {
			n = min_t(u32, left, sizeof(rx->hs) - rx->hs_len);
			if (skb_copy_bits(skb, off, rx->hs + rx->hs_len, n))
				return;
			rx->hs_len += n;
			if (rx->hs_len == sizeof(rx->hs)) {
				rx->hs_left = get_unaligned_be24(rx->hs + 1);
				rx->hs_len = 0;
			}
		}
		off += n;
		left -= n;
		/* The message is complete */
		if (!rx->hs_left && !rx->hs_len && rx->hs[0] == KEY_UPDATE)
			WRITE_ONCE(rx->key_update, true);
	}
	if (!rx->key_update)
		return;
	/* What follows under the next key begins with a new message */
	rx->hs_len = 0;
	rx->hs_left = 0;
	/* What comes is no longer for the key that the device has */
	tls_rekey_rx(sk);
	tls_stat_inc(sk, TLS_STAT_RX_REKEY_RECEIVED);
	trace_tls_rekey(sk, false, rx->epoch.record, 0);
}

/* Cuts TLS 1.3 padding off, and takes the content type from in front of it: RFC 8446 5.4 */
static int rx_unpad(struct sk_buff *skb)
{
	u8 buf[128];

	while (opened(skb)->len) {
		u32 n = min_t(u32, opened(skb)->len, sizeof(buf)), i;

		if (skb_copy_bits(skb, opened(skb)->off + opened(skb)->len - n, buf, n))
			return -EFAULT;
		for (i = n; i; i--) {
			if (buf[i - 1]) {
				opened(skb)->len -= n - i + 1;
				opened(skb)->type = buf[i - 1];
				return 0;
			}
		}
		opened(skb)->len -= n;
	}
	/* Nothing but zeros: there is no content type */
	return -EBADMSG;
}

/* Opens @src to @dst, and deals with what goes wrong */
static int rx_open(struct sock *sk, u32 plain, struct scatterlist *src, struct scatterlist *dst)
{
	struct tls_conn *conn = tls_conn(sk);
	int err = tls_open(&conn->crypt, &conn->rx.epoch, conn->rx.hdr, plain, src, dst);

	if (err == -EBADMSG) {
		tls_stat_inc(sk, TLS_STAT_DECRYPT_ERROR);
		rx_abort(sk, err);
	} else if (err) {
		trace_tls_open_error(sk, conn->rx.epoch.record, conn->rx.full, err);
	}
	return err;
}

/* The first record begins at @seq now: may the device have opened it with an older key? */
static void rx_drained(struct tls_hw_rx *hw, u32 seq)
{
	if (before(seq, hw->undo_end))
		return;
	hw->draining = false;
	tls_epoch_close(&hw->undo);
}

/* The first record is done with, and what it was: for whoever helps the device */
static void rx_consumed(struct sock *sk, u32 end, enum rx_state state)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_hw_rx *hw = conn->hw->rx;

	if (state == RX_PLAIN) {
		conn->rx.n.hw++;
		tls_stat_inc(sk, TLS_STAT_RX_DEVICE_RECORDS);
	} else if (state == RX_MIXED) {
		atomic_inc(&conn->rx.n.fallback);
		tls_stat_inc(sk, TLS_STAT_RX_PARTIAL_RECORDS);
	}
	if (unlikely(hw->draining)) {
		hw->undo.record++;
		rx_drained(hw, end);
	}
	tls_rx_resync_opened(sk, end, state == RX_PLAIN);
}

/* The first record is done with */
static void rx_consume(struct sock *sk, enum rx_state state)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_rx *rx = &conn->rx;
	u32 left = rx->full - rx->staged;

	consume_skb(rx->stage);
	rx->stage = NULL;
	WRITE_ONCE(rx->staged, 0);
	rx->full = 0;
	if (rx->plain) {
		bitmap_free(rx->plain);
		rx->plain = NULL;
	}
	if (rx_by_device(conn))
		rx_consumed(sk, tcp_sk(sk)->copied_seq + left, state);
	if (state != RX_PLAIN) {
		rx->n.sw++;
		tls_stat_inc(sk, TLS_STAT_RX_SW_RECORDS);
	}
	if (left)
		tcp_read_done(sk, left);
}

/* Copies bytes of the first record, which is all there, wherever it is */
static int rx_bytes(struct sock *sk, u32 off, void *to, u32 len)
{
	const struct tls_rx *rx = &tls_conn(sk)->rx;

	return rx->stage ? skb_copy_bits(rx->stage, off, to, len) : queue_copy(sk, off, to, len);
}

/* The explicit nonce, if there is one, completes the header */
static int rx_nonce(struct sock *sk)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;
	u32 prepend = tls_prepend(&rx->epoch);

	if (prepend == TLS_HEADER_SIZE)
		return 0;
	return rx_bytes(sk, 0, rx->hdr, prepend);
}

/*
 * Makes ciphertext again of what a device has opened of the stage, which holds all of the record.
 * Both ciphers are counter modes: sealing the mixture gives ciphertext where there was plaintext,
 * and the other way round. 0 or an error, and nothing has changed.
 */
static noinline_for_stack int rx_undo(struct sock *sk)
{
	struct scatterlist src[ENTRIES] __uninitialized, dst[ENTRIES] __uninitialized, *end;
	struct tls_conn *conn = tls_conn(sk);
	struct tls_rx *rx = &conn->rx;
	const struct tls_epoch *epoch = conn->hw->rx->undo.aead ? &conn->hw->rx->undo : &rx->epoch;
	u32 prepend = tls_prepend(&rx->epoch), inner = rx->full - prepend - TLS_TAG_SIZE;
	u32 left = inner, room = inner + TLS_TAG_SIZE, from, to;
	struct sk_buff *skb;
	u8 buf[256];
	int err;

	if (!inner)
		return 0;
	skb = alloc_skb_with_frags(0, room, PAGE_ALLOC_COSTLY_ORDER, &err, sk->sk_allocation);
	if (!skb)
		return -ENOMEM;
	skb->len = room;
	skb->data_len = room;
	end = skb_map(rx->stage, prepend, &left, src + 1, src + ENTRIES);
	sg_mark_end(end - 1);
	end = skb_map(skb, 0, &room, dst + 1, dst + ENTRIES);
	sg_mark_end(end - 1);
	err = tls_seal_part(&conn->crypt, epoch, rx->hdr, inner, inner, src, dst, true);
	if (err)
		goto out;
	/* Header, nonce and tag are as they came */
	bitmap_clear(rx->plain, 0, prepend);
	bitmap_clear(rx->plain, prepend + inner, TLS_TAG_SIZE);
	for_each_set_bitrange(from, to, rx->plain, rx->full) {
		while (from < to) {
			u32 n = min_t(u32, to - from, sizeof(buf));

			err = skb_copy_bits(skb, from - prepend, buf, n);
			if (!err)
				err = skb_store_bits(rx->stage, from, buf, n);
			if (WARN_ON_ONCE(err))
				goto out;
			from += n;
		}
	}
	bitmap_zero(rx->plain, rx->full);
out:
	kfree_skb(skb);
	return err;
}

/*
 * An skb with room for @len bytes, which are there already, as it were; NULL if there is no memory
 */
static struct sk_buff *rx_alloc(struct sock *sk, u32 len)
{
	struct sk_buff *skb;
	int err;

	if (len <= LINEAR_MAX) {
		skb = alloc_skb(len, sk->sk_allocation);
		if (skb)
			skb_put(skb, len);
		return skb;
	}
	skb = alloc_skb_with_frags(0, len, PAGE_ALLOC_COSTLY_ORDER, &err, sk->sk_allocation);
	if (skb) {
		skb->len = len;
		skb->data_len = len;
	}
	return skb;
}

/*
 * Copies payload of a record that a device has opened, from byte @off of the record on, into an skb
 * of rx_alloc(); and the content type that follows it in TLS 1.3
 */
static int rx_copy(struct sock *sk, u32 off, struct sk_buff *skb, u8 *type)
{
	u32 i, n = skb_headlen(skb);
	int err = 0;

	if (n)
		err = rx_bytes(sk, off, skb->data, n);
	for (i = 0; !err && i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		err = rx_bytes(sk, off + n, skb_frag_address(frag), skb_frag_size(frag));
		n += skb_frag_size(frag);
	}
	if (!err && tls_13(&tls_conn(sk)->rx.epoch))
		err = rx_bytes(sk, off + n, type, 1);
	return err;
}

/*
 * Opens the first record into memory of the kernel, and queues it. It is all there. An error other
 * than those that end receiving leaves it where it is.
 */
static noinline_for_stack int rx_open_skb(struct sock *sk)
{
	struct scatterlist src[ENTRIES] __uninitialized, dst[ENTRIES] __uninitialized;
	struct tls_conn *conn = tls_conn(sk);
	struct tls_rx *rx = &conn->rx;
	enum rx_state state = rx_state(sk);
	bool tls13 = tls_13(&rx->epoch);
	u32 prepend = tls_prepend(&rx->epoch), cipher = rx->full - prepend;
	u32 plain = cipher - TLS_TAG_SIZE, payload = plain - tls13;
	u32 cipher_left = cipher, payload_left = payload;
	struct scatterlist *end;
	struct sk_buff *skb;
	int err = 0;

	if (rx_by_device(conn))
		tls_rx_resync_record(sk, tcp_sk(sk)->copied_seq - rx->staged);
	if (!rx->stage && state == RX_CIPHER) {
		err = queue_map(sk, prepend, cipher, src + 1, src + ENTRIES);
		if (err && err != -EMSGSIZE)
			return rx_abort(sk, err);
	}
	if (rx->stage || err || state == RX_MIXED) {
		if (rx->staged < rx->full) {
			err = rx_stage(sk, sk->sk_allocation);
			if (err)
				return err;
		}
		end = skb_map(rx->stage, prepend, &cipher_left, src + 1, src + ENTRIES);
		sg_mark_end(end - 1);
	}
	/*
	 * Never in place, even if the ciphertext is ours: what the cipher leaves behind if it gets
	 * no memory could not be opened again. The tail that is not payload goes elsewhere.
	 */
	skb = rx_alloc(sk, payload);
	if (!skb)
		return -ENOMEM;
	end = skb_map(skb, 0, &payload_left, dst + 1, dst + ENTRIES);
	/* Not without an entry: the list has to end behind that of the additional data */
	if (tls13 || !payload)
		end = tls_sg_buf(end, &conn->crypt.type, 1);
	sg_mark_end(end - 1);
	err = rx_nonce(sk);
	if (!err && rx->epoch.exhausted)
		err = -EBADMSG;
	if (!err && state == RX_PLAIN)
		err = rx_copy(sk, prepend, skb, &conn->crypt.type);
	if (err) {
		rx_abort(sk, err);
	} else if (state == RX_PLAIN) {
		tls_epoch_next(&rx->epoch);
	} else {
		/* If there is no memory for that, the record is still as it was */
		if (state == RX_MIXED)
			err = rx_undo(sk);
		if (!err)
			err = rx_open(sk, plain, src, dst);
	}
	if (err) {
		kfree_skb(skb);
		return err;
	}

	opened(skb)->type = tls13 ? conn->crypt.type : rx->hdr[0];
	opened(skb)->off = 0;
	opened(skb)->len = payload;
	if (tls13 && !conn->crypt.type) {
		err = rx_unpad(skb);
		rx->holdoff = PAD_HOLDOFF;
	}
	rx_consume(sk, state);
	if (err) {
		kfree_skb(skb);
		return rx_abort(sk, err);
	}
	if (opened(skb)->type == TLS_RECORD_TYPE_HANDSHAKE && tls13)
		rx_handshake(sk, skb);
	/*
	 * Charged to the socket, but not to the receive buffer: TCP would make its window smaller
	 * for it, and nobody would tell the sender when it is read.
	 */
	opened(skb)->charged = sk_rmem_schedule(sk, skb, skb->truesize) ? skb->truesize : 0;
	sk_mem_charge(sk, opened(skb)->charged);
	rx->opened_size += skb->truesize;
	WRITE_ONCE(rx->opened_len, rx->opened_len + opened(skb)->len);
	__skb_queue_tail(&rx->opened, skb);
	return 0;
}

/*
 * A record that a device has opened, straight from TCP's queue to the reader. Returns bytes or an
 * error; -EAGAIN: it is not what the reader can have this way.
 */
static int rx_copy_direct(struct sock *sk, struct msghdr *msg, u32 payload)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;
	u32 off = tls_prepend(&rx->epoch), seq = tcp_sk(sk)->copied_seq + off, left = payload;
	struct sk_buff *skb;
	u8 type;
	int err;

	if (tls_13(&rx->epoch)) {
		err = queue_copy(sk, off + payload, &type, 1);
		if (err || type != TLS_RECORD_TYPE_DATA)
			return -EAGAIN;
	}
	if (rx->epoch.exhausted)
		return rx_abort(sk, -EBADMSG);
	tls_rx_resync_record(sk, tcp_sk(sk)->copied_seq);
	skb_queue_walk(&sk->sk_receive_queue, skb) {
		u32 o = seq - TCP_SKB_CB(skb)->seq, n;

		if (o >= skb->len)
			continue;
		n = min(left, skb->len - o);
		err = skb_copy_datagram_msg(skb, o, msg, n);
		if (err) {
			iov_iter_revert(&msg->msg_iter, payload - left);
			return err;
		}
		seq += n;
		left -= n;
		if (!left)
			break;
	}
	/* A record that a device has opened needs but be counted */
	tls_epoch_next(&rx->epoch);
	rx_consume(sk, RX_PLAIN);
	return payload;
}

/*
 * Opens the first record into the reader's memory. Returns bytes, or -EAGAIN if that cannot be done
 * or turned out to be wrong: the record is where it was then, and so is the reader's iterator.
 *
 * TLS 1.3 has the content type behind the payload, under the seal: it is data without padding, or
 * this was in vain.
 */
static noinline_for_stack int rx_open_direct(struct sock *sk, struct msghdr *msg, size_t room)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_rx *rx = &conn->rx;
	bool tls13 = tls_13(&rx->epoch), pinned = iov_iter_extract_will_pin(&msg->msg_iter);
	u32 prepend = tls_prepend(&rx->epoch), cipher = rx->full - prepend;
	u32 plain = cipher - TLS_TAG_SIZE, payload = plain - tls13;
	struct scatterlist src[ENTRIES] __uninitialized, dst[ENTRIES] __uninitialized,
		*to = dst + 1;
	struct page *pages[ENTRIES] __uninitialized;
	u32 npages = 0, left = payload;
	int err = -EAGAIN;

	if (payload > room || rx->stage || rx->hdr[0] != TLS_RECORD_TYPE_DATA)
		return -EAGAIN;
	switch (rx_state(sk)) {
	case RX_PLAIN:
		return payload ? rx_copy_direct(sk, msg, payload) : -EAGAIN;
	case RX_MIXED:
		return -EAGAIN;
	case RX_CIPHER:
		break;
	}
	if (payload < PIN_MIN)
		return -EAGAIN;
	if (rx->holdoff) {
		rx->holdoff--;
		return -EAGAIN;
	}
	if (queue_map(sk, prepend, cipher, src + 1, src + ENTRIES))
		return -EAGAIN;
	while (left) {
		struct page **p = pages + npages;
		u32 max = ENTRIES - 2 - npages;
		size_t off;
		ssize_t got;

		got = max ? iov_iter_extract_pages(&msg->msg_iter, &p, left, max, 0, &off) : 0;
		if (got <= 0)
			goto undo;
		left -= got;
		while (got) {
			u32 n = min_t(u32, got, PAGE_SIZE - off);

			to = tls_sg(to, pages[npages++], n, off);
			got -= n;
			off = 0;
		}
	}
	if (tls13)
		to = tls_sg_buf(to, &conn->crypt.type, 1);
	sg_mark_end(to - 1);

	if (rx_nonce(sk))
		goto undo;
	if (rx_by_device(conn))
		tls_rx_resync_record(sk, tcp_sk(sk)->copied_seq);
	err = rx_open(sk, plain, src, dst);
	if (!err && tls13 && conn->crypt.type != TLS_RECORD_TYPE_DATA) {
		/*
		 * Once more, from the beginning; the reader's memory is not to be trusted with what
		 * was opened there
		 */
		rx->epoch.record--;
		rx->epoch.count--;
		rx->epoch.exhausted = false;
		tls_stat_inc(sk, TLS_STAT_DECRYPT_RETRY);
		if (conn->ctx.rx_no_pad && !conn->crypt.type)
			tls_stat_inc(sk, TLS_STAT_RX_NO_PAD_VIOLATION);
		err = -EAGAIN;
	}
undo:
	if (pinned)
		unpin_user_pages_dirty_lock(pages, npages, !err);
	if (err) {
		iov_iter_revert(&msg->msg_iter, payload - left);
		return err;
	}
	rx_consume(sk, RX_CIPHER);
	return payload;
}

/* --- readers --- */

/* Is it worth another look? Without lock, and with the sequence number that was seen with it. */
static bool rx_news(struct sock *sk, u32 seen)
{
	return READ_ONCE(tcp_sk(sk)->rcv_nxt) != seen || READ_ONCE(sk->sk_err) ||
	       READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN || READ_ONCE(tls_conn(sk)->rx.ready);
}

enum { RX_OPEN, RX_AGAIN, RX_END };

/*
 * Waits for the first record. RX_OPEN: it is all there, and may be opened. RX_AGAIN: another reader
 * left opened records. RX_END: this is the end of the stream, or the reader has @copied bytes and
 * is to go with them: because they are the
 * @target, or because of an error, which is left for the next call. Or that error.
 */
static int rx_wait(struct sock *sk, size_t copied, size_t target, long *timeo)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	struct tls_rx *rx = &tls_conn(sk)->rx;
	int err;

	if (rx_by_device(tls_conn(sk)))
		tls_rekey_rx_try(sk);
	for (;;) {
		bool complete = !rx->err && rx_complete(sk);
		u32 seen;

		if (complete && !rx->key_update)
			return RX_OPEN;
		if (copied && (rx->err || rx->key_update || sk->sk_err))
			return RX_END;
		if (rx->err) {
			/*
			 * Framing is lost: there will be no data, and who does not wait was told so
			 */
			if (rx->framing && rx->told && !*timeo && !sk->sk_err &&
			    !(sk->sk_shutdown & RCV_SHUTDOWN))
				return -EAGAIN;
			rx->told = true;
			return rx->err;
		}
		if (rx->key_update)
			return -EKEYEXPIRED;
		if (rx_squeezed(sk)) {
			err = rx_stage(sk, sk->sk_allocation);
			if (err)
				return copied ? RX_END : err;
			continue;
		}
		if (copied >= target)
			return RX_END;
		if (sk->sk_err)
			return sock_error(sk);
		if (sk->sk_shutdown & RCV_SHUTDOWN || sock_flag(sk, SOCK_DONE)) {
			/* A record cut short is not the end of a stream */
			if (!copied && rx->staged + queue_len(sk) && sock_flag(sk, SOCK_DONE))
				return rx_abort(sk, -EBADMSG);
			return RX_END;
		}
		if (sk->sk_state == TCP_CLOSE)
			return copied ? RX_END : -ENOTCONN;
		if (!*timeo)
			return copied ? RX_END : -EAGAIN;
		if (signal_pending(current))
			return copied ? RX_END : sock_intr_errno(*timeo);

		tls_rx_update(sk);
		seen = tcp_sk(sk)->rcv_nxt;
		add_wait_queue(sk_sleep(sk), &wait);
		sk_set_bit(SOCKWQ_ASYNC_WAITDATA, sk);
		err = sk_wait_event(sk, timeo, rx_news(sk, seen), &wait);
		sk_clear_bit(SOCKWQ_ASYNC_WAITDATA, sk);
		remove_wait_queue(sk_sleep(sk), &wait);
		if (err < 0)
			return err;
		if (!skb_queue_empty(&rx->opened))
			return RX_AGAIN;
	}
}

/*
 * The opened record that holds byte @pos of what is opened, and that byte's place in it; NULL if it
 * is not opened yet
 */
static struct sk_buff *rx_at(struct tls_rx *rx, u32 pos, u32 *off)
{
	struct sk_buff *skb;

	skb_queue_walk(&rx->opened, skb) {
		if (pos < opened(skb)->len || (!pos && opened(skb)->type != TLS_RECORD_TYPE_DATA)) {
			*off = pos;
			return skb;
		}
		pos -= opened(skb)->len;
	}
	return NULL;
}

static void rx_drop(struct sock *sk, struct sk_buff *skb)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;

	sk_mem_uncharge(sk, opened(skb)->charged);
	rx->opened_size -= skb->truesize;
	WRITE_ONCE(rx->opened_len, rx->opened_len - opened(skb)->len);
	__skb_unlink(skb, &rx->opened);
	consume_skb(skb);
}

/* Bytes of @skb were read */
static void rx_read(struct sock *sk, struct sk_buff *skb, u32 n)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;

	opened(skb)->off += n;
	opened(skb)->len -= n;
	WRITE_ONCE(rx->opened_len, rx->opened_len - n);
	if (!opened(skb)->len)
		rx_drop(sk, skb);
}

/* Data records without content are nobody's business */
static void rx_drop_empty(struct sock *sk)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;
	struct sk_buff *skb, *next;

	skb_queue_walk_safe(&rx->opened, skb, next)
		if (!opened(skb)->len && opened(skb)->type == TLS_RECORD_TYPE_DATA)
			rx_drop(sk, skb);
}

/*
 * Tells the reader the content type: 0, or -EIO if it has to know and left no room for it.
 * Without room there is MSG_CTRUNC, even for data: by that RPC knows that this is TLS, that -EIO is
 * no error but a control record to fetch, and that MSG_EOR is not the end of its message.
 */
static int rx_cmsg(struct msghdr *msg, u8 type)
{
	int err = put_cmsg(msg, SOL_TLS, TLS_GET_RECORD_TYPE, sizeof(type), &type);

	return (err || msg->msg_flags & MSG_CTRUNC) && type != TLS_RECORD_TYPE_DATA ? -EIO : 0;
}

/* A reader goes. It may be long until there is another. */
static void rx_done(struct sock *sk)
{
	if (rx_by_device(tls_conn(sk)))
		tls_rekey_rx_try(sk);
	tls_rx_update(sk);
}

static int recv_locked(struct sock *sk, struct msghdr *msg, size_t len, int flags)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;
	long timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	size_t target = sock_rcvlowat(sk, flags & MSG_WAITALL, len), copied = 0;
	bool peek = flags & MSG_PEEK;
	int type = -1, err = 0;

	while (copied < len || type < 0) {
		struct sk_buff *skb;
		u32 off, n;

		rx_drop_empty(sk);
		skb = rx_at(rx, peek ? copied : 0, &off);
		if (!skb) {
			/* Peeking opens no more than the receive buffer holds */
			if (copied && rx->opened_size > READ_ONCE(sk->sk_rcvbuf))
				break;
			/*
			 * Who peeks does not wait for more: meanwhile another reader may take what
			 * was seen
			 */
			err = rx_wait(sk, copied, peek ? 1 : target, &timeo);
			if (err < 0 || err == RX_END)
				break;
			if (err == RX_AGAIN)
				continue;
			if (!peek && !(flags & MSG_TRUNC)) {
				err = rx_open_direct(sk, msg, len - copied);
				if (err > 0) {
					copied += err;
					err = 0;
					if (type < 0)
						rx_cmsg(msg, TLS_RECORD_TYPE_DATA);
					type = TLS_RECORD_TYPE_DATA;
					msg->msg_flags |= MSG_EOR;
					continue;
				}
				if (err != -EAGAIN)
					break;
			}
			err = rx_open_skb(sk);
			if (err)
				break;
			continue;
		}
		if (type < 0) {
			err = rx_cmsg(msg, opened(skb)->type);
			if (err)
				break;
			type = opened(skb)->type;
		} else if (opened(skb)->type != type) {
			break;
		}
		n = min_t(size_t, len - copied, opened(skb)->len - off);
		if (!(flags & MSG_TRUNC)) {
			err = skb_copy_datagram_msg(skb, opened(skb)->off + off, msg, n);
			if (err)
				break;
		}
		copied += n;
		if (off + n == opened(skb)->len)
			msg->msg_flags |= MSG_EOR;
		else
			msg->msg_flags &= ~MSG_EOR;
		if (!peek)
			rx_read(sk, skb, n);
		/* A message of another kind is read alone */
		if (type != TLS_RECORD_TYPE_DATA)
			break;
	}
	rx_done(sk);
	return copied ?: min(err, 0);
}

/**
 * tls_recvmsg() - recvmsg() of a TLS socket
 * @sk: the socket
 * @msg: where to. A control message TLS_GET_RECORD_TYPE tells the content type.
 * @len: bytes at most
 * @flags: MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_TRUNC (data is dropped rather than copied),
 *	MSG_ERRQUEUE
 * @addr_len: as for TCP
 *
 * RFC 5246 6.2, RFC 8446 5.
 *
 * Context: process, may sleep; takes the socket's lock.
 *
 * Return: bytes of records of one type, at most one record if that is not data; 0 at the end of the
 * stream. -EAGAIN, -EINTR; -EIO: the next record is not data, and there is no room for the control
 * message; -EKEYEXPIRED: a KeyUpdate was received and the next key was not set yet; -EBADMSG,
 * -EMSGSIZE, -EINVAL: a record is not authentic or cut short, too long, malformed.
 */
int tls_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len)
{
	struct tls_conn *conn = tls_conn_acquire(sk);
	int ret;

	if (flags & MSG_ERRQUEUE)
		return inet_recv_error(sk, msg, len, addr_len);
	if (!READ_ONCE(conn->ctx.priv_ctx_rx))
		return tls_base_proto(sk)->recvmsg(sk, msg, len, flags, addr_len);
	if (flags & MSG_OOB)
		return -EINVAL;
	if (sk_can_busy_loop(sk) && !READ_ONCE(conn->rx.ready) && sk->sk_state == TCP_ESTABLISHED)
		sk_busy_loop(sk, flags & MSG_DONTWAIT);
	if (!len)
		return 0;
	lock_sock(sk);
	ret = recv_locked(sk, msg, len, flags);
	release_sock(sk);
	return ret;
}

/*
 * The next opened data record. NULL and 0 in *@err: the end of the stream, or the reader has
 * @copied bytes and is to go with them, see rx_wait().
 */
static struct sk_buff *rx_data(struct sock *sk, size_t copied, long *timeo, int *err)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;

	for (;;) {
		struct sk_buff *skb;

		rx_drop_empty(sk);
		skb = skb_peek(&rx->opened);
		if (skb) {
			*err = opened(skb)->type == TLS_RECORD_TYPE_DATA ? 0 : -EINVAL;
			return *err ? NULL : skb;
		}
		*err = rx_wait(sk, copied, 1, timeo);
		if (*err == RX_OPEN)
			*err = rx_open_skb(sk);
		if (*err == RX_END)
			*err = 0;
		else if (*err >= 0)
			continue;
		return NULL;
	}
}

/**
 * tls_splice_read() - splice() from a TLS socket
 * @sock: the socket
 * @ppos: not used
 * @pipe: where to
 * @len: bytes at most
 * @flags: SPLICE_F_NONBLOCK
 *
 * Context: process, may sleep; takes the socket's lock.
 *
 * Return: bytes of one data record; -EINVAL if the next record is not data; otherwise like
 * tls_recvmsg().
 */
ssize_t tls_splice_read(struct socket *sock, loff_t *ppos, struct pipe_inode_info *pipe, size_t len,
			unsigned int flags)
{
	struct sock *sk = sock->sk;
	struct tls_conn *conn = tls_conn_acquire(sk);
	struct sk_buff *skb;
	bool nonblock;
	ssize_t ret;
	long timeo;
	int err;

	if (!READ_ONCE(conn->ctx.priv_ctx_rx))
		return tls_base_ops(sk)->splice_read(sock, ppos, pipe, len, flags);
	if (!len)
		return 0;
	lock_sock(sk);
	nonblock = flags & SPLICE_F_NONBLOCK || (sock->file && sock->file->f_flags & O_NONBLOCK);
	timeo = sock_rcvtimeo(sk, nonblock);
	skb = rx_data(sk, 0, &timeo, &err);
	ret = err;
	if (skb) {
		ret = skb_splice_bits(skb, sk, opened(skb)->off, pipe,
				      min_t(size_t, len, opened(skb)->len), flags);
		if (ret > 0)
			rx_read(sk, skb, ret);
		else if (!ret)
			ret = -ENOMEM;	/* and not the end of the stream */
	}
	rx_done(sk);
	release_sock(sk);
	return ret;
}

/**
 * tls_read_sock() - give data records to a receiver in the kernel
 * @sk: the socket, locked
 * @desc: the receiver's
 * @actor: takes bytes of an skb, and returns their number or an error
 *
 * Context: process.
 *
 * Return: bytes, or like tls_recvmsg() without waiting; -EINVAL if the next record is not data.
 */
int tls_read_sock(struct sock *sk, read_descriptor_t *desc, sk_read_actor_t actor)
{
	int copied = 0, err = 0;

	if (!tls_conn(sk)->ctx.priv_ctx_rx)
		return tls_base_ops(sk)->read_sock(sk, desc, actor);
	while (desc->count) {
		struct sk_buff *skb;
		long timeo = 0;
		int used;

		skb = rx_data(sk, copied, &timeo, &err);
		if (!skb)
			break;
		used = actor(desc, skb, opened(skb)->off, opened(skb)->len);
		if (used <= 0) {
			err = used;
			break;
		}
		copied += used;
		rx_read(sk, skb, used);
	}
	rx_done(sk);
	/* Nothing there is no error, as in TCP */
	return copied || err == -EAGAIN ? copied : err;
}

/**
 * tls_peek_len() - how much there may be to read
 * @sock: the socket
 *
 * For parsers of messages, which wait for the rest of one if this is less than that.
 *
 * Context: any, no lock.
 *
 * Return: bytes, not less than can be read; what is sealed still counts as it is on the wire.
 */
int tls_peek_len(struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct tls_conn *conn = tls_conn_acquire(sk);

	return tls_base_ops(sk)->peek_len(sock) + READ_ONCE(conn->rx.staged) +
	       READ_ONCE(conn->rx.opened_len);
}

/**
 * tls_poll() - poll() of a TLS socket
 * @file: its file
 * @sock: the socket
 * @wait: as usual
 *
 * Like TCP's, but a socket is readable when a whole record can be read, and no data is urgent. As
 * long as reads want the next key first (EKEYEXPIRED) it is not readable, whatever came.
 *
 * Context: process, no lock.
 *
 * Return: the events.
 */
__poll_t tls_poll(struct file *file, struct socket *sock, struct poll_table_struct *wait)
{
	struct sock *sk = sock->sk;
	struct tls_conn *conn = tls_conn_acquire(sk);
	__poll_t mask = tcp_poll(file, sock, wait);

	if (!READ_ONCE(conn->ctx.priv_ctx_rx))
		return mask;
	/* An urgent byte is ciphertext, and nobody can ask for it */
	mask &= ~EPOLLPRI;
	/*
	 * After a bad record there is no more to come, as after a FIN. RPC asks for this, and would
	 * read again and again otherwise.
	 */
	if (READ_ONCE(conn->rx.err))
		mask |= EPOLLRDHUP;
	if (READ_ONCE(conn->rx.ready))
		mask |= EPOLLIN | EPOLLRDNORM;
	else if (READ_ONCE(conn->rx.key_update) ||
		 !(READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN || READ_ONCE(sk->sk_err)))
		mask &= ~(EPOLLIN | EPOLLRDNORM);
	return mask;
}

/**
 * tls_rx_start() - the socket's first receive epoch begins
 * @sk: the socket, locked
 *
 * Context: process.
 */
void tls_rx_start(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);

	/* Or else TCP takes an urgent byte out of the stream when another one is announced */
	sock_set_flag(sk, SOCK_URGINLINE);
	write_lock_bh(&sk->sk_callback_lock);
	conn->rx.saved_data_ready = sk->sk_data_ready;
	WRITE_ONCE(sk->sk_data_ready, tls_data_ready);
	write_unlock_bh(&sk->sk_callback_lock);
}

/**
 * tls_rx_rekeyed() - the next epoch has begun
 * @sk: the socket, locked
 * @old: the epoch before
 *
 * A device that has the old key may have applied it to records of the new one, which has to be
 * undone: @old is taken over then. If that was so before already, the device never had @old.
 *
 * Context: process, may sleep.
 */
void tls_rx_rekeyed(struct sock *sk, struct tls_epoch *old)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_hw_rx *hw = conn->hw ? conn->hw->rx : NULL;

	if (!hw)
		return;
	tls_rekey_rx(sk);
	if (hw->draining)
		rx_drained(hw, tcp_sk(sk)->copied_seq - conn->rx.staged);
	if (hw->draining && !hw->undo.aead) {
		hw->undo = *old;
		memzero_explicit(old, sizeof(*old));
	}
	tls_rekey_rx_try(sk);
}

/**
 * tls_rx_free() - drop what was not read
 * @sk: the socket, locked
 *
 * Context: process, may sleep.
 */
void tls_rx_free(struct sock *sk)
{
	struct tls_rx *rx = &tls_conn(sk)->rx;
	struct sk_buff *skb;

	/* Unless someone who had it before TLS has put back what was there before that */
	write_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_data_ready == tls_data_ready)
		WRITE_ONCE(sk->sk_data_ready, rx->saved_data_ready);
	write_unlock_bh(&sk->sk_callback_lock);
	while ((skb = skb_peek(&rx->opened)))
		rx_drop(sk, skb);
	kfree_skb(rx->stage);
	rx->stage = NULL;
	bitmap_free(rx->plain);
	rx->plain = NULL;
	tls_epoch_close(&rx->epoch);
}
