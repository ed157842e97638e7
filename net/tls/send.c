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

/**
 * struct tls_tx_rec - a record being assembled, or sealed and waiting
 * @type: content type
 * @foreign: the plaintext, or some of it, is in pages that others may read or write: it is sealed
 *	from @src into @out.
 *	Otherwise it is in @out already, in its place behind the header, and is sealed there.
 * @sealed: it is sealed; @sent bytes of @total are TCP's
 * @len: bytes of plaintext
 * @room: bytes in @out: enough at any time for header, plaintext and tail
 * @charged: bytes of @room that the socket is charged with
 * @total: bytes on the wire
 * @sent: bytes that TCP took
 * @nsrc: entries of @src
 * @nout: entries of @out
 * @src: plaintext
 * @out: what goes to TCP
 */
struct tls_tx_rec {
	u8 type;
	bool foreign;
	bool sealed;
	u32 len;
	u32 room;
	u32 charged;
	u32 total;
	u32 sent;
	u8 nsrc, nout;
	struct bio_vec src[FRAGS];
	struct bio_vec out[FRAGS];
};

static struct kmem_cache *rec_cache;

/* --- memory of a record --- */

static struct tls_tx_rec *rec_alloc(u8 type)
{
	struct tls_tx_rec *rec = kmem_cache_alloc(rec_cache, GFP_KERNEL);

	if (rec) {
		memset(rec, 0, offsetof(struct tls_tx_rec, src));
		rec->type = type;
	}
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
	kmem_cache_free(rec_cache, rec);
}

/*
 * Takes up to @len bytes of the task's page fragment: appended to the last of the @n entries of @bv
 * if they follow it in memory. Returns their number, 0 if there is no memory, -EMSGSIZE if there is
 * no entry.
 */
static int frag_take(struct sock *sk, struct bio_vec *bv, u8 *n, u32 len)
{
	struct page_frag *frag = sk_page_frag(sk);
	struct bio_vec *last = *n ? bv + *n - 1 : NULL;

	if (!sk_page_frag_refill(sk, frag))
		return 0;
	len = min(len, frag->size - frag->offset);
	if (last && last->bv_page == frag->page && last->bv_offset + last->bv_len == frag->offset) {
		last->bv_len += len;
	} else {
		if (*n == FRAGS)
			return -EMSGSIZE;
		bvec_set_page(&bv[(*n)++], frag->page, len, frag->offset);
		get_page(frag->page);
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

	if (need > rec->charged) {
		if (!sk_wmem_schedule(sk, need - rec->charged))
			return -ENOMEM;
		sk_mem_charge(sk, need - rec->charged);
		rec->charged = need;
	}
	while (rec->room < need) {
		n = need - rec->room;
		n = frag_take(sk, rec->out, &rec->nout, grows ? max(n, GROW) : n);
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
	fresh = rec_alloc(rec->type);
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
	rec->sealed = true;
	rec->total = prepend + rec->len + tail;
	rec_trim(sk, rec);
	/*
	 * The plaintext is not needed any more. The user's own pages went before, with
	 * rec_pinned().
	 */
	put_pages(rec->src, rec->nsrc);
	rec->nsrc = 0;
	return 0;
}

/* --- to TCP --- */

static void retry_later(struct sock *sk, unsigned long delay)
{
	if (schedule_delayed_work(&tls_conn(sk)->tx.retry, delay))
		sock_hold(sk);
}

/*
 * Hands the sealed record to TCP, all of it: for that time neither the size of the send buffer nor
 * the limit of unsent data counts. 0, or -EAGAIN if TCP got no memory and the worker goes on; or
 * the socket's error, and the record is gone.
 */
static int rec_push(struct sock *sk, int flags)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;
	struct tls_tx_rec *rec = tx->rec;
	int sndbuf = READ_ONCE(sk->sk_sndbuf);
	struct msghdr msg = {
		/*
		 * The pages are ours alone, and nobody writes to them: no need to mark them as
		 * shared
		 */
		.msg_flags = MSG_DONTWAIT | MSG_SPLICE_PAGES | MSG_NO_SHARED_FRAGS | MSG_NOSIGNAL |
			     (flags & MSG_MORE),
	};
	int n;

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

/*
 * Seals the open record and hands it over. Plaintext that was taken and cannot be sealed ends
 * sending.
 */
static int rec_finish(struct sock *sk, int flags)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;
	int err;

	err = rec_seal(sk, tx->rec);
	if (err) {
		tx->err = err;
		return err;
	}
	err = rec_push(sk, flags);
	return err == -EAGAIN ? 0 : err;
}

/**
 * tls_tx_retry() - hand a sealed record to TCP that had no memory for it
 * @work: the connection's
 *
 * Context: process.
 */
void tls_tx_retry(struct work_struct *work)
{
	struct tls_conn *conn = container_of(to_delayed_work(work), struct tls_conn, tx.retry);
	struct sock *sk = conn->ctx.sk;

	lock_sock(sk);
	/* An error is for those who ask for it */
	if (conn->tx.rec && conn->tx.rec->sealed && !sk->sk_err &&
	    !(sk->sk_shutdown & SEND_SHUTDOWN) && !rec_push(sk, 0))
		sk->sk_write_space(sk);
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

	if (!conn->tx.pushing && conn->tx.rec && conn->tx.rec->sealed)
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

static int rec_copy(struct sock *sk, struct tls_tx_rec *rec, struct msghdr *msg, u32 n, bool grows)
{
	struct tls_epoch *epoch = &tls_conn(sk)->tx.epoch;
	u32 off = tls_prepend(epoch) + rec->len, left = n;
	struct bio_vec *bv = rec->out;
	u8 nsrc = rec->nsrc;
	int err;

	err = rec_reserve(sk, rec, epoch, rec->len + n, grows);
	if (err)
		return err;
	if (rec->foreign) {
		struct bio_vec old = {};

		/* Into pages of its own, that become ours only when all is there */
		if (nsrc)
			old = rec->src[nsrc - 1];
		while (left) {
			int got = frag_take(sk, rec->src, &rec->nsrc, left);
			bool copied = false;

			if (got > 0) {
				struct bio_vec *last = &rec->src[rec->nsrc - 1];

				copied = copy_from_iter_full(bvec_virt(last) + last->bv_len - got, got,
							     &msg->msg_iter);
			}
			if (!copied) {
				iov_iter_revert(&msg->msg_iter, n - left);
				put_pages(rec->src + nsrc, rec->nsrc - nsrc);
				rec->nsrc = nsrc;
				if (nsrc)
					rec->src[nsrc - 1] = old;
				return got > 0 ? -EFAULT : got ?: -ENOMEM;
			}
			left -= got;
		}
		rec->len += n;
		return 0;
	}
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

	err = rec_make_foreign(sk, rec, epoch, n);
	if (!err)
		err = rec_reserve(sk, rec, epoch, rec->len + n, true);
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
			else if (rec->nsrc == FRAGS)
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
		rec->foreign = false;
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

/* Waits until the send buffer has room and no sealed record is left behind */
static int tx_wait(struct sock *sk, int flags, long *timeo)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;
	int err;

	for (;;) {
		if (tx->err)
			return tx->err;
		if (sk->sk_err || sk->sk_shutdown & SEND_SHUTDOWN)
			return -EPIPE;
		if (tx->rec && tx->rec->sealed) {
			err = rec_push(sk, flags);
			if (err && err != -EAGAIN)
				return err;
		}
		if (!(tx->rec && tx->rec->sealed) && sk_stream_memory_free(sk))
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
	} else if (!rec->len && !grows && n >= PIN_MIN) {
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
 * @msg: message. Flags: MSG_MORE, MSG_EOR, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_SPLICE_PAGES; a control
 *	message
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
		      MSG_SPLICE_PAGES | MSG_SENDPAGE_NOPOLICY))
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
				rec = rec_alloc(type);
				if (!rec) {
					err = -ENOMEM;
					break;
				}
				tx->rec = rec;
			}
			err = rec_add(sk, rec, msg, n, more && n < tx->limit);
			if (err == -EMSGSIZE && rec->len) {
				/* No entry left for it: this record ends here */
				err = rec_finish(sk, MSG_MORE);
				if (err)
					break;
				continue;
			}
			if (err < 0) {
				if (!rec->len) {
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
		err = tx->rec->sealed ? 0 : rec_finish(sk, flags);
		if (!err && tx->rec)
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
 */
void tls_tx_free(struct sock *sk)
{
	struct tls_tx *tx = &tls_conn(sk)->tx;

	if (tx->rec)
		rec_free(sk, tx->rec);
	tx->rec = NULL;
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
