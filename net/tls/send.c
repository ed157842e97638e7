// SPDX-License-Identifier: GPL-2.0
/*
 * Sending: plaintext becomes records, records are sealed and handed to TCP. Owns struct tls_tx and
 * the record being assembled, under the socket's lock.
 *
 * A record is handed over whole: room in the send buffer is waited for before its plaintext is
 * taken, and then TCP takes all of it, as it would one large segment. So there is no half-sent
 * record to remember, to finish from softirq, or to lose at shutdown. Only a failed allocation
 * within TCP can leave one behind; a worker tries again.
 */
#include <linux/skbuff.h>
#include <linux/splice.h>
#include <net/tcp.h>
#include "tls.h"
#include "trace.h"

/* One entry of a scatterlist for the additional data and one for the content type come on top */
#define FRAGS	MAX_SKB_FRAGS
/* Below this, copying costs less than pinning the user's pages */
#define PIN_MIN	4096
/*
 * A record that grows piece by piece gets its memory in pieces not smaller than this, so that FRAGS
 * are enough
 */
#define GROW	2048
/*
 * No cipher works in larger blocks. A block that lies in two pages the crypto API puts together
 * elsewhere, for which it may get no memory; so none does: where a page ends, or an entry, is a
 * multiple of it in the plaintext.
 */
#define BLOCK	64
/* For bytes that no cipher of ours will see */
#define ANYWHERE	U32_MAX

/**
 * struct tls_tx_rec - a record being assembled, or sealed and waiting
 * @type: content type
 * @foreign: the plaintext, or some of it, is in pages that others may read or write, or the cipher
 *	does not seal in place safely: it is sealed from @src into @out.
 *	Otherwise it is in @out already, in its place behind the header, and is sealed there.
 * @ended: it gets no more plaintext: it is to be sealed and handed to TCP, now or when there is
 *	memory
 * @sealed: it is sealed, or framed for the device; @sent bytes of @total are TCP's
 * @hw: it is the device's to seal
 * @info: memory for the record that the device may ask for; NULL in software
 * @len: bytes of plaintext
 * @room: bytes in @out: enough at any time for header, plaintext and tail
 * @charged: bytes of @room that the socket is charged with
 * @total: bytes on the wire
 * @sent: bytes that TCP took
 * @spare: bytes in the last entry of @src behind the plaintext
 * @nsrc: entries of @src
 * @nout: entries of @out
 * @src: plaintext
 * @out: what goes to TCP
 */
struct tls_tx_rec {
	u8 type;
	bool foreign;
	bool ended;
	bool sealed;
	bool hw;
	struct tls_record_info *info;
	u32 len;
	u32 room;
	u32 charged;
	u32 total;
	u32 sent;
	u32 spare;
	u8 nsrc, nout;
	struct bio_vec src[FRAGS];
	struct bio_vec out[FRAGS];
};

static struct kmem_cache *rec_cache;

/* --- memory of a record --- */

static struct tls_tx_rec *rec_alloc(struct sock *sk, u8 type, bool hw)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_tx_rec *rec = conn->tx.spare;
	struct tls_record_info *info = NULL;

	/* Storage sends to free memory, and must not wait for memory to be freed */
	if (rec)
		conn->tx.spare = NULL;
	else
		rec = kmem_cache_alloc(rec_cache, sk->sk_allocation);
	if (rec && hw) {
		info = tls_hw_record_alloc(conn->hw->tx, sk->sk_allocation);
		if (!info) {
			kmem_cache_free(rec_cache, rec);
			return NULL;
		}
	}
	if (!rec)
		return NULL;
	rec->type = type;
	rec->foreign = false;
	rec->ended = false;
	rec->sealed = false;
	rec->hw = hw;
	rec->info = info;
	rec->len = 0;
	rec->room = 0;
	rec->spare = 0;
	rec->charged = 0;
	rec->total = 0;
	rec->sent = 0;
	rec->nsrc = 0;
	rec->nout = 0;
	return rec;
}

static void put_pages(struct bio_vec *bv, u32 n)
{
	while (n--)
		put_page(bv++->bv_page);
}

static void rec_free(struct sock *sk, struct tls_tx_rec *rec)
{
	if (rec->charged)
		sk_mem_uncharge(sk, rec->charged);
	put_pages(rec->src, rec->nsrc);
	put_pages(rec->out, rec->nout);
	if (rec->hw && !tls_conn(sk)->tx.spare) {
		tls_hw_record_free(rec->info);
		tls_conn(sk)->tx.spare = rec;
		return;
	}
	tls_hw_record_free(rec->info);
	kmem_cache_free(rec_cache, rec);
}

/*
 * Takes up to @len bytes of the task's page fragment, for byte @pos of the plaintext and what
 * follows it: appended to the last of the @n entries of @bv if they follow it in memory. Returns
 * their number, 0 if there is no memory, -EMSGSIZE if there is no entry.
 */
static int frag_take(struct sock *sk, struct bio_vec *bv, u8 *n, u32 len, u32 pos)
{
	struct page_frag *frag = sk_page_frag(sk);
	struct bio_vec *last = *n ? bv + *n - 1 : NULL;
	u32 skip;

	for (;;) {
		if (!sk_page_frag_refill(sk, frag))
			return 0;
		if (last && last->bv_page == frag->page &&
		    last->bv_offset + last->bv_len == frag->offset) {
			len = min(len, frag->size - frag->offset);
			last->bv_len += len;
			break;
		}
		/* What is small and in one page needs no care, and leaves no gaps */
		skip = pos == ANYWHERE ||
		       (len < GROW && offset_in_page(frag->offset) + len <= PAGE_SIZE) ? 0 :
			(pos - frag->offset) % BLOCK;
		if (frag->offset + skip >= frag->size) {
			frag->offset = frag->size;
			continue;
		}
		if (*n == FRAGS)
			return -EMSGSIZE;
		frag->offset += skip;
		len = min(len, frag->size - frag->offset);
		bvec_set_page(&bv[(*n)++], frag->page, len, frag->offset);
		get_page(frag->page);
		break;
	}
	frag->offset += len;
	return len;
}

/*
 * Makes room for a record of @len bytes of plaintext: 0, -ENOMEM, or -EMSGSIZE if it has to end
 * before that
 */
static int rec_reserve(struct sock *sk, struct tls_tx_rec *rec, const struct tls_epoch *epoch,
		       u32 len, bool grows)
{
	u32 need = tls_prepend(epoch) + len + tls_tail(epoch);
	int n;

	/* The device seals them where they are */
	if (rec->hw && rec->foreign)
		need -= len;

	if (need > rec->charged) {
		if (!sk_wmem_schedule(sk, need - rec->charged))
			return -ENOMEM;
		sk_mem_charge(sk, need - rec->charged);
		rec->charged = need;
	}
	while (rec->room < need) {
		u32 pos = rec->hw ? ANYWHERE : rec->room - tls_prepend(epoch);

		n = need - rec->room;
		if (grows)
			n = max(n, GROW) + (rec->hw ? 0 : -(pos + max(n, GROW)) % BLOCK);
		n = frag_take(sk, rec->out, &rec->nout, n, pos);
		if (n <= 0)
			return n ?: -ENOMEM;
		rec->room += n;
	}
	return 0;
}

/*
 * What is plaintext in its place becomes plaintext in pages of its own, as the record gets foreign
 * pages besides
 */
static int rec_make_foreign(struct sock *sk, struct tls_tx_rec *rec, const struct tls_epoch *epoch,
			    u32 len)
{
	u32 skip = tls_prepend(epoch), n, i;
	struct tls_tx_rec *fresh;
	int err;

	if (rec->foreign)
		return 0;
	if (!rec->len) {
		rec->foreign = true;
		return 0;
	}
	/* All or nothing: the other half of the promise that held data stays */
	fresh = rec_alloc(sk, rec->type, false);
	if (!fresh)
		return -ENOMEM;
	err = rec_reserve(sk, fresh, epoch, rec->len + len, true);
	if (err) {
		rec_free(sk, fresh);
		return err;
	}
	for (i = 0, n = rec->len; i < rec->nout; i++) {
		struct bio_vec *bv = &rec->out[i];
		u32 from = min(skip, bv->bv_len), take = min(n, bv->bv_len - from);

		skip -= from;
		n -= take;
		if (!take)
			put_page(bv->bv_page);
		else
			bvec_set_page(&rec->src[rec->nsrc++], bv->bv_page, take,
				      bv->bv_offset + from);
	}
	memcpy(rec->out, fresh->out, fresh->nout * sizeof(fresh->out[0]));
	rec->nout = fresh->nout;
	rec->room = fresh->room;
	sk_mem_uncharge(sk, rec->charged);
	rec->charged = fresh->charged;
	fresh->nout = 0;
	fresh->charged = 0;
	rec_free(sk, fresh);
	rec->foreign = true;
	return 0;
}

/* Gives back what the record did not need, if nobody took a piece of the page since */
static void rec_trim(struct sock *sk, struct tls_tx_rec *rec)
{
	struct page_frag *frag = sk_page_frag(sk);
	struct bio_vec *last = &rec->out[rec->nout - 1];
	u32 spare = rec->room - rec->total;

	if (spare && spare < last->bv_len && last->bv_page == frag->page &&
	    last->bv_offset + last->bv_len == frag->offset) {
		frag->offset -= spare;
		last->bv_len -= spare;
		rec->room -= spare;
	}
}

/* --- sealing --- */

/* Appends bytes [off, off + len) of @bv to @sg, and returns the next free entry */
static struct scatterlist *sg_add(struct scatterlist *sg, const struct bio_vec *bv, u32 off,
				  u32 len)
{
	for (; len; bv++) {
		u32 n;

		if (off >= bv->bv_len) {
			off -= bv->bv_len;
			continue;
		}
		n = min(len, bv->bv_len - off);
		sg = tls_sg(sg, bv->bv_page, n, bv->bv_offset + off);
		len -= n;
		off = 0;
	}
	return sg;
}

/*
 * Copies between @buf and byte @off on of the record's output. The pages come from a page fragment:
 * never high memory.
 */
static void out_copy(struct tls_tx_rec *rec, u32 off, const u8 *buf, u32 len)
{
	struct bio_vec *bv;

	for (bv = rec->out; len; bv++) {
		u32 n;

		if (off >= bv->bv_len) {
			off -= bv->bv_len;
			continue;
		}
		n = min(len, bv->bv_len - off);
		memcpy(bvec_virt(bv) + off, buf, n);
		buf += n;
		len -= n;
		off = 0;
	}
}

static noinline_for_stack int rec_seal(struct sock *sk, struct tls_tx_rec *rec)
{
	struct scatterlist src[FRAGS + 2] __uninitialized, dst[FRAGS + 1] __uninitialized, *end;
	struct tls_conn *conn = tls_conn(sk);
	struct tls_epoch *epoch = &conn->tx.epoch;
	u32 prepend = tls_prepend(epoch), tail = tls_tail(epoch);
	u8 hdr[TLS_PREPEND_MAX];
	int err;

	end = sg_add(dst + 1, rec->out, prepend, rec->len + tail);
	sg_mark_end(end - 1);
	if (rec->foreign) {
		end = sg_add(src + 1, rec->src, 0, rec->len);
		if (tls_13(epoch)) {
			conn->crypt.type = rec->type;
			end = tls_sg_buf(end, &conn->crypt.type, 1);
		}
		sg_mark_end(end - 1);
	} else if (tls_13(epoch)) {
		out_copy(rec, prepend + rec->len, &rec->type, 1);
	}
	err = tls_seal(&conn->crypt, epoch, hdr, rec->type, rec->len, rec->foreign ? src : dst,
		       dst);
	if (err) {
		trace_tls_seal_error(sk, epoch->record, rec->len, err);
		return err;
	}
	out_copy(rec, 0, hdr, prepend);
	rec->ended = true;
	rec->sealed = true;
	rec->total = prepend + rec->len + tail;
	conn->tx.n.sw++;
	tls_stat_inc(sk, TLS_STAT_TX_SW_RECORDS);
	rec_trim(sk, rec);
	/*
	 * The plaintext is not needed any more. The user's own pages went before, with
	 * rec_pinned().
	 */
	put_pages(rec->src, rec->nsrc);
	rec->nsrc = 0;
	return 0;
}

/* Puts the sender's own pages between header and tail, which are in @out together */
static void rec_interleave(struct tls_tx_rec *rec, u32 prepend)
{
	struct bio_vec tail[FRAGS];
	u32 ntail = 0, nhead = 0, i;

	/* Room behind what was copied is nobody's plaintext */
	if (rec->spare) {
		rec->src[rec->nsrc - 1].bv_len -= rec->spare;
		rec->spare = 0;
	}
	for (i = 0; i < rec->nout; i++) {
		struct bio_vec *bv = &rec->out[i];
		u32 n = min(prepend, bv->bv_len);

		prepend -= n;
		if (n < bv->bv_len) {
			tail[ntail++] = *bv;
			bvec_set_page(&tail[ntail - 1], bv->bv_page, bv->bv_len - n,
				      bv->bv_offset + n);
			if (n)
				get_page(bv->bv_page);
		}
		if (n) {
			bv->bv_len = n;
			nhead = i + 1;
		}
	}
	memcpy(rec->out + nhead, rec->src, rec->nsrc * sizeof(rec->src[0]));
	memcpy(rec->out + nhead + rec->nsrc, tail, ntail * sizeof(tail[0]));
	rec->nout = nhead + rec->nsrc + ntail;
	rec->nsrc = 0;
}

/* Makes a record of the plaintext that the device will seal. TCP's next byte is its first. */
static noinline_for_stack int rec_frame(struct sock *sk, struct tls_tx_rec *rec)
{
	struct tls_conn *conn = tls_conn(sk);
	struct tls_epoch *epoch = &conn->tx.epoch;
	u32 prepend = tls_prepend(epoch), tail = tls_tail(epoch);
	u8 hdr[TLS_PREPEND_MAX], end[TLS_TAIL_MAX] = {};

	if (epoch->exhausted) {
		trace_tls_seal_error(sk, epoch->record, rec->len, -EBADMSG);
		return -EBADMSG;
	}
	tls_hw_resync_tx(sk);
	tls_put_header(epoch, hdr, rec->type, rec->len);
	if (tls_13(epoch))
		end[0] = rec->type;
	/* The tag's place is overwritten before it is on a wire, but may be seen on its way */
	out_copy(rec, 0, hdr, prepend);
	out_copy(rec, prepend + (rec->foreign ? 0 : rec->len), end, tail);
	rec->ended = true;
	rec->sealed = true;
	rec->total = prepend + rec->len + tail;
	if (rec->foreign)
		rec_interleave(rec, prepend);
	else
		rec_trim(sk, rec);
	tls_hw_record_add(sk, rec->info, rec->out, rec->nout, rec->total);
	rec->info = NULL;
	tls_epoch_next(epoch);
	epoch->explicit++;
	conn->tx.n.hw++;
	tls_stat_inc(sk, TLS_STAT_TX_DEVICE_RECORDS);
	return 0;
}

/* --- to TCP --- */

static void retry_later(struct sock *sk, unsigned long delay)
{
	if (schedule_delayed_work(&tls_conn(sk)->tx.retry, delay))
		sock_hold(sk);
}

/*
 * Seals the record that has ended and hands it to TCP, all of it: for that time neither the size of
 * the send buffer nor the limit of unsent data counts. 0, or -EAGAIN if there was no memory and the
 * worker goes on; or the socket's error, and the record is gone; or the cipher's: plaintext that
 * was taken and cannot be sealed ends sending.
 */
static int rec_push(struct sock *sk, int flags)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;
	struct tls_tx_rec *rec = tx->rec;
	int sndbuf = READ_ONCE(sk->sk_sndbuf);
	struct msghdr msg = {
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | (flags & MSG_MORE),
	};
	int n;

	if (!rec->sealed) {
		/* Where the device is gone meanwhile, the fallback has it */
		n = rec->hw ? rec_frame(sk, rec) : rec_seal(sk, rec);
		/* Nothing is lost yet: only what is sealed in place is gone half-way */
		if (n == -ENOMEM && rec->foreign) {
			retry_later(sk, HZ / 50);
			return -EAGAIN;
		}
		if (n) {
			tx->err = n;
			return n;
		}
	}
	if (rec->hw) {
		msg.msg_flags |= MSG_SENDPAGE_DECRYPTED;
		tls_pages_msg(&msg, tls_conn(sk)->hw->tx->ubuf);
	} else {
		/* The pages are ours alone, and nobody writes to them: they are not shared */
		msg.msg_flags |= MSG_SPLICE_PAGES | MSG_NO_SHARED_FRAGS;
	}
	/*
	 * TCP charges for the same bytes: let it have them without going through the protocol's
	 * account
	 */
	if (rec->charged) {
		sk_forward_alloc_add(sk, rec->charged);
		rec->charged = 0;
	}
	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, rec->out, rec->nout, rec->total);
	iov_iter_advance(&msg.msg_iter, rec->sent);

	tx->pushing = true;
	WRITE_ONCE(sk->sk_sndbuf, INT_MAX);
	n = tcp_sendmsg_locked(sk, &msg, rec->total - rec->sent);
	/* TCP's own tuning only ever raises it, and had no reason to */
	WRITE_ONCE(sk->sk_sndbuf, sndbuf);
	tx->pushing = false;

	if (n > 0)
		rec->sent += n;
	if (n >= 0 && rec->sent < rec->total)
		n = -EAGAIN;
	if (n == -ENOMEM || n == -EAGAIN) {
		retry_later(sk, HZ / 50);
		return -EAGAIN;
	}
	tx->rec = NULL;
	rec_free(sk, rec);
	/* Of what is lost there is no second chance */
	if (n < 0)
		tx->err = -EPIPE;
	return min(n, 0);
}

/* Ends the record; whether it goes now or later is of no concern */
static int rec_finish(struct sock *sk, int flags)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;
	int err;

	tx->rec->ended = true;
	err = rec_push(sk, flags);
	return err == -EAGAIN ? 0 : err;
}

/**
 * tls_tx_retry() - go on with a record for which there was no memory, and the FIN behind it
 * @work: the connection's
 *
 * Context: process.
 */
void tls_tx_retry(struct work_struct *work)
{
	struct tls_conn *conn = container_of(to_delayed_work(work), struct tls_conn, tx.retry);
	struct sock *sk = conn->ctx.sk;
	struct tls_tx *tx = &conn->tx;

	lock_sock(sk);
	/* An error is for those who ask for it */
	if (tx->rec && tx->rec->ended && !sk->sk_err && !(sk->sk_shutdown & SEND_SHUTDOWN) &&
	    !rec_push(sk, 0))
		sk->sk_write_space(sk);
	if (tx->shut && !tx->rec && !tx->err) {
		tx->shut = false;
		WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown | SEND_SHUTDOWN);
		tls_base_proto(sk)->shutdown(sk, SEND_SHUTDOWN);
		sk->sk_state_change(sk);
	}
	release_sock(sk);
	sock_put(sk);
}

/**
 * tls_write_space() - the socket's callback when its send buffer has room
 * @sk: the socket
 *
 * Context: softirq or process; the socket is locked, maybe by a sender in the middle of a record.
 */
void tls_write_space(struct sock *sk)
{
	struct tls_conn *conn = tls_conn(sk);

	if (!conn->tx.pushing && conn->tx.rec && conn->tx.rec->ended)
		retry_later(sk, 0);
	conn->ctx.sk_write_space(sk);
}

/**
 * tls_stream_memory_free() - may more be queued?
 * @sk: the socket
 * @wake: passed on to TCP
 *
 * Context: any; without lock if the question comes from poll.
 *
 * Return: whether.
 */
bool tls_stream_memory_free(const struct sock *sk, int wake)
{
	const struct tls_context *ctx = tls_get_ctx(sk);

	if (ctx && READ_ONCE(container_of(ctx, struct tls_conn, ctx)->tx.pushing))
		return true;
	return tcp_stream_memory_free(sk, wake);
}

/* --- from the sender --- */

/*
 * Entries that a record may have for foreign plaintext; the device's need some for header and tail
 */
static u8 src_max(const struct tls_tx_rec *rec)
{
	return rec->hw ? FRAGS - 4 : FRAGS;
}

/*
 * Makes room for @n bytes behind the foreign plaintext, in pages of its own. What is there is
 * filled before an entry is added, so that only the last one has room.
 */
static int src_reserve(struct sock *sk, struct tls_tx_rec *rec, u32 n, bool grows)
{
	while (rec->spare < n) {
		u32 want = n - rec->spare;
		int got;

		if (rec->nsrc >= src_max(rec))
			return -EMSGSIZE;
		got = frag_take(sk, rec->src, &rec->nsrc, grows ? max(want, GROW) : want,
				rec->len + rec->spare);
		if (got <= 0)
			return got ?: -ENOMEM;
		rec->spare += got;
	}
	return 0;
}

/*
 * Copies @n bytes of the message to byte @off on of the entries: 0 or -EFAULT, and nothing was
 * taken
 */
static int copy_to_bvec(struct bio_vec *bv, u32 off, struct msghdr *msg, u32 n)
{
	u32 left = n;

	for (; left; bv++) {
		u32 m;

		if (off >= bv->bv_len) {
			off -= bv->bv_len;
			continue;
		}
		m = min(left, bv->bv_len - off);
		if (!copy_from_iter_full(bvec_virt(bv) + off, m, &msg->msg_iter)) {
			iov_iter_revert(&msg->msg_iter, n - left);
			return -EFAULT;
		}
		left -= m;
		off = 0;
	}
	return 0;
}

static int rec_copy(struct sock *sk, struct tls_tx_rec *rec, struct msghdr *msg, u32 n, bool grows)
{
	struct tls_epoch *epoch = &tls_conn(sk)->tx.epoch;
	u8 nsrc = rec->nsrc;
	int err;

	err = rec_reserve(sk, rec, epoch, rec->len + n, grows);
	if (err)
		return err;
	if (rec->foreign) {
		struct bio_vec old = {};
		u32 spare = rec->spare;

		/* The pages become the record's only when all is there */
		if (nsrc)
			old = rec->src[nsrc - 1];
		err = src_reserve(sk, rec, n, grows);
		if (!err)
			err = copy_to_bvec(rec->src, rec->len, msg, n);
		if (err) {
			put_pages(rec->src + nsrc, rec->nsrc - nsrc);
			rec->nsrc = nsrc;
			if (nsrc)
				rec->src[nsrc - 1] = old;
			rec->spare = spare;
			return err;
		}
		rec->spare -= n;
	} else {
		err = copy_to_bvec(rec->out, tls_prepend(epoch) + rec->len, msg, n);
		if (err)
			return err;
	}
	rec->len += n;
	return 0;
}

/*
 * Takes pages by reference: bytes taken, at most @n, or an error. -EIO: these pages do not allow
 * it.
 */
static int rec_splice(struct sock *sk, struct tls_tx_rec *rec, struct msghdr *msg, u32 n)
{
	struct tls_epoch *epoch = &tls_conn(sk)->tx.epoch;
	u32 left = n;
	int err;

	if (rec->hw) {
		/*
		 * A page that changes before a retransmission would be sealed once more, with the
		 * same nonce: only if the program says that none does
		 */
		if (!tls_conn(sk)->ctx.zerocopy_sendfile)
			return -EIO;
		if (rec->len && !rec->foreign)
			return -EMSGSIZE;
	}
	err = rec_make_foreign(sk, rec, epoch, n);
	if (!err)
		err = rec_reserve(sk, rec, epoch, rec->len + n, true);
	/* Room behind what was copied before stays unused */
	if (!err && rec->spare) {
		rec->src[rec->nsrc - 1].bv_len -= rec->spare;
		rec->spare = 0;
	}
	while (!err && left) {
		struct bio_vec *last = rec->nsrc ? &rec->src[rec->nsrc - 1] : NULL;
		struct page *page, **pages = &page;
		size_t off;
		ssize_t got;

		got = iov_iter_extract_pages(&msg->msg_iter, &pages, left, 1, 0, &off);
		if (got <= 0) {
			err = -EIO;
			break;
		}
		if (last && last->bv_page == page && last->bv_offset + last->bv_len == off) {
			last->bv_len += got;
		} else {
			if (!sendpage_ok(page))
				err = -EIO;
			else if (rec->nsrc >= src_max(rec))
				err = -EMSGSIZE;
			if (err) {
				iov_iter_revert(&msg->msg_iter, got);
				break;
			}
			bvec_set_page(&rec->src[rec->nsrc++], page, got, off);
			get_page(page);
		}
		rec->len += got;
		left -= got;
	}
	return n - left ?: err;
}

/*
 * A whole record out of the sender's own memory, sealed before the call returns: 0 or an error, and
 * nothing was taken
 */
static noinline_for_stack int rec_pinned(struct sock *sk, struct tls_tx_rec *rec,
					 struct msghdr *msg, u32 n)
{
	struct page *pages[FRAGS] __uninitialized, **p;
	bool pinned = iov_iter_extract_will_pin(&msg->msg_iter);
	u32 left = n, npages = 0, i;
	int err;

	err = rec_reserve(sk, rec, &tls_conn(sk)->tx.epoch, n, false);
	if (err)
		return err;
	while (left) {
		u32 got_pages;
		size_t off;
		ssize_t got;

		p = pages + npages;
		err = -EMSGSIZE;
		if (npages == FRAGS)
			goto undo;
		got = iov_iter_extract_pages(&msg->msg_iter, &p, left, FRAGS - npages, 0, &off);
		if (got <= 0) {
			err = -EFAULT;
			goto undo;
		}
		left -= got;
		got_pages = DIV_ROUND_UP(off + got, PAGE_SIZE);
		for (i = 0; i < got_pages; i++) {
			u32 m = min_t(u32, got, PAGE_SIZE - off);

			bvec_set_page(&rec->src[npages++], p[i], m, off);
			got -= m;
			off = 0;
		}
	}
	rec->nsrc = 0;		/* no references of ours */
	rec->foreign = true;
	rec->len = n;
	err = rec_seal(sk, rec);
	if (err)
		rec->len = 0;
undo:
	if (err) {
		rec->foreign = !tls_conn(sk)->tx.epoch.in_place;
		iov_iter_revert(&msg->msg_iter, n - left);
	}
	if (pinned)
		unpin_user_pages(pages, npages);
	return err;
}

static int send_cmsg(struct sock *sk, struct msghdr *msg, u8 *type)
{
	struct cmsghdr *cmsg;
	int err = -EINVAL;

	for_each_cmsghdr(cmsg, msg) {
		if (!CMSG_OK(msg, cmsg))
			return -EINVAL;
		if (cmsg->cmsg_level != SOL_TLS)
			continue;
		if (cmsg->cmsg_type != TLS_SET_RECORD_TYPE ||
		    cmsg->cmsg_len < CMSG_LEN(sizeof(*type)))
			return -EINVAL;
		/* A control record is a message: there is no more of it to come */
		if (msg->msg_flags & MSG_MORE)
			return -EINVAL;
		*type = *(u8 *)CMSG_DATA(cmsg);
		err = 0;
	}
	return err;
}

/* Waits until the send buffer has room and no record is left behind that has ended */
static int tx_wait(struct sock *sk, int flags, long *timeo)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;
	int err;

	for (;;) {
		if (tx->err)
			return tx->err;
		if (sk->sk_err || sk->sk_shutdown & SEND_SHUTDOWN || tx->shut)
			return -EPIPE;
		if (tx->rec && tx->rec->ended) {
			err = rec_push(sk, flags);
			if (err && err != -EAGAIN)
				return err;
		}
		if (!(tx->rec && tx->rec->ended) && sk_stream_memory_free(sk))
			return 0;
		err = sk_stream_wait_memory(sk, timeo);
		if (err)
			return err;
	}
}

/* Adds up to @n bytes to the record; sealed already if it was zero-copy. Bytes or an error. */
static int rec_add(struct sock *sk, struct tls_tx_rec *rec, struct msghdr *msg, u32 n, bool grows)
{
	int err;

	if (msg->msg_flags & MSG_SPLICE_PAGES) {
		err = rec_splice(sk, rec, msg, n);
		if (err != -EIO)
			return err;
	} else if (!rec->hw && !rec->len && !grows && n >= PIN_MIN) {
		err = rec_pinned(sk, rec, msg, n);
		if (!err)
			return n;
		if (err != -EFAULT && err != -EMSGSIZE)
			return err;
	}
	return rec_copy(sk, rec, msg, n, grows) ?: n;
}

/**
 * tls_sendmsg_locked() - send, the socket being locked
 * @sk: the socket
 * @msg: message. Flags: MSG_MORE, MSG_EOR, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_SPLICE_PAGES; MSG_BATCH,
 *	by which sendmmsg() says that another message follows, changes nothing. A control message
 *	TLS_SET_RECORD_TYPE gives the content type.
 * @size: bytes
 *
 * All memory that a record needs is allocated before its plaintext is taken: the call fails with
 * -ENOMEM and has taken nothing of it, or sealing succeeds. Plaintext held by MSG_MORE stays held
 * in either case.
 *
 * RFC 5246 6.2, RFC 8446 5.1, 5.2.
 *
 * Context: process, may sleep and release the lock while it waits for the send buffer.
 *
 * Return: bytes taken, or -EAGAIN, -EINTR, -ENOMEM, -EPIPE and the socket's errors; -EOPNOTSUPP for
 * other flags, -EINVAL for flags that contradict each other; -EBADMSG if no record number is left.
 */
int tls_sendmsg_locked(struct sock *sk, struct msghdr *msg, size_t size)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;
	int flags = msg->msg_flags, err = 0;
	u8 type = TLS_RECORD_TYPE_DATA;
	size_t copied = 0;
	long timeo;

	if (!tx->epoch.aead)
		return tls_base_ops(sk)->sendmsg_locked(sk, msg, size);
	if (flags & ~(MSG_MORE | MSG_EOR | MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CMSG_COMPAT |
		      MSG_BATCH | MSG_SPLICE_PAGES | MSG_SENDPAGE_NOPOLICY))
		return -EOPNOTSUPP;
	if ((flags & (MSG_MORE | MSG_EOR)) == (MSG_MORE | MSG_EOR))
		return -EINVAL;
	if (msg->msg_controllen) {
		err = send_cmsg(sk, msg, &type);
		if (err)
			return err;
	}
	timeo = sock_sndtimeo(sk, flags & MSG_DONTWAIT);

	do {
		bool more = flags & MSG_MORE;
		struct tls_tx_rec *rec;
		u32 n;

		err = tx_wait(sk, flags, &timeo);
		if (err)
			break;
		rec = tx->rec;
		if (rec && (rec->type != type || rec->len >= tx->limit)) {
			err = rec_finish(sk, MSG_MORE);
			if (err)
				break;
			continue;
		}
		/* An empty call without MSG_MORE ends what was held, but makes no empty record */
		n = min_t(size_t, tx->limit - (rec ? rec->len : 0), msg_data_left(msg));
		if (n) {
			if (!rec) {
				if (tx->hw && READ_ONCE(tls_conn(sk)->hw->down))
					tls_hw_leave_tx(sk, TLS_WHY_DOWN);
				rec = rec_alloc(sk, type, tx->hw);
				if (rec)
					rec->foreign = !tx->hw && !tx->epoch.in_place;
				tx->rec = rec;
			}
			err = rec ? rec_add(sk, rec, msg, n, more && n < tx->limit) : -ENOMEM;
			if (err == -EMSGSIZE && rec->len) {
				/* No entry left for it: this record ends here */
				err = rec_finish(sk, MSG_MORE);
				if (err)
					break;
				continue;
			}
			if (err < 0) {
				if (rec && !rec->len) {
					tx->rec = NULL;
					rec_free(sk, rec);
				}
				if (err == -ENOMEM && timeo) {
					/*
					 * Memory may come; the wait is short and may be interrupted
					 */
					err = sk_stream_wait_memory(sk, &timeo);
					if (!err)
						continue;
				}
				break;
			}
			copied += err;
			err = 0;
			more |= msg_data_left(msg) != 0;
		}
		if (!rec)
			break;
		if (rec->sealed) {
			err = rec_push(sk, more ? MSG_MORE : 0);
			if (err == -EAGAIN)
				err = 0;
		} else if (rec->len == tx->limit || !more) {
			err = rec_finish(sk, more ? MSG_MORE : 0);
		}
		if (err) {
			/*
			 * Of what was taken some is lost, so the call must not look like a success
			 */
			copied = 0;
			break;
		}
	} while (msg_data_left(msg));

	if (copied)
		return copied;
	return err ? sk_stream_error(sk, flags, err) : 0;
}

/**
 * tls_sendmsg() - sendmsg() of a TLS socket
 * @sk: the socket
 * @msg: see tls_sendmsg_locked()
 * @size: bytes
 *
 * Context: process, may sleep; takes the socket's lock.
 *
 * Return: see tls_sendmsg_locked().
 */
int tls_sendmsg(struct sock *sk, struct msghdr *msg, size_t size)
{
	int ret;

	lock_sock(sk);
	ret = tls_sendmsg_locked(sk, msg, size);
	release_sock(sk);
	return ret;
}

/**
 * tls_splice_eof() - the file that sendfile() reads is at its end before the count is
 * @sock: the socket
 *
 * What MSG_MORE held for the rest goes out now.
 *
 * Context: process; takes the socket's lock.
 */
void tls_splice_eof(struct socket *sock)
{
	struct sock *sk = sock->sk;
	long timeo;

	lock_sock(sk);
	timeo = sock_sndtimeo(sk, false);
	if (tls_conn(sk)->tx.epoch.aead)
		tls_tx_finish(sk, MSG_NOSIGNAL, &timeo);
	else
		tls_base_proto(sk)->splice_eof(sock);
	release_sock(sk);
}

/**
 * tls_tx_finish() - bring all that was taken from senders into TCP's queue
 * @sk: the socket, locked
 * @flags: MSG_MORE: TCP need not send it at once
 * @timeo: how long to wait for memory, in jiffies
 *
 * Needs no room in the send buffer, so it waits only if an allocation failed. For shutdown, close,
 * and the end of an epoch.
 *
 * Context: process; may release the lock while it waits.
 *
 * Return: 0; -EAGAIN, -EINTR; or what ended sending.
 */
int tls_tx_finish(struct sock *sk, int flags, long *timeo)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;
	int err;

	while (tx->rec) {
		if (tx->err)
			return tx->err;
		if (sk->sk_err || sk->sk_shutdown & SEND_SHUTDOWN)
			return -EPIPE;
		tx->rec->ended = true;
		err = rec_push(sk, flags);
		if (err == -EAGAIN)
			err = sk_stream_wait_memory(sk, timeo);
		if (err)
			return err;
	}
	return tx->err;
}

/**
 * tls_tx_free() - drop what was not sent
 * @sk: the socket, locked
 *
 * Context: process, may sleep.
 */
void tls_tx_free(struct sock *sk)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;

	if (tx->rec)
		rec_free(sk, tx->rec);
	tx->rec = NULL;
	if (tx->spare)
		kmem_cache_free(rec_cache, tx->spare);
	tx->spare = NULL;
	tls_epoch_close(&tx->epoch);
}

/**
 * tls_send_init() - prepare for sending
 *
 * Return: 0 or -ENOMEM.
 */
int tls_send_init(void)
{
	rec_cache = KMEM_CACHE(tls_tx_rec, 0);
	return rec_cache ? 0 : -ENOMEM;
}

/** tls_send_exit() - undo it */
void tls_send_exit(void)
{
	kmem_cache_destroy(rec_cache);
}
