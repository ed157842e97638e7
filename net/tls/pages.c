// SPDX-License-Identifier: GPL-2.0
/*
 * Records of the hw engine go to TCP as they lie in memory, some in one piece: TCP's own way to
 * take pages (MSG_SPLICE_PAGES) takes them one by one, and a device then maps them one by one. So
 * they come as a zero-copy send with pages that are filled in here.
 *
 * TCP wants a struct ubuf_info with that, whose reference count says when the sender may have its
 * memory back. Nobody waits for it, as each page has references of its own; it lives as long as any
 * packet that points to it, which may be longer than the socket.
 */
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include "tls.h"

static void pages_done(struct sk_buff *skb, struct ubuf_info *ubuf, bool success)
{
	if (refcount_dec_and_test(&ubuf->refcnt))
		kfree(ubuf);
}

static const struct ubuf_info_ops pages_ops = {
	.complete = pages_done,
};

/**
 * tls_pages_alloc() - make what a connection needs
 *
 * Context: process.
 *
 * Return: what tls_pages_msg() wants, or NULL.
 */
struct ubuf_info *tls_pages_alloc(void)
{
	struct ubuf_info *ubuf = kzalloc(sizeof(*ubuf), GFP_KERNEL);

	if (!ubuf)
		return NULL;
	ubuf->ops = &pages_ops;
	refcount_set(&ubuf->refcnt, 1);
	/* The pages are nobody's who could want them back */
	ubuf->flags = SKBFL_ZEROCOPY_ENABLE | SKBFL_DONT_ORPHAN;
	return ubuf;
}

/**
 * tls_pages_free() - the connection needs it no more
 * @ubuf: from tls_pages_alloc(), or NULL
 */
void tls_pages_free(struct ubuf_info *ubuf)
{
	if (ubuf)
		pages_done(NULL, ubuf, true);
}

/* Appends up to @len bytes of a list of pages to TCP's packet. See struct msghdr. */
static int fill(struct sk_buff *skb, struct iov_iter *from, size_t len)
{
	struct skb_shared_info *sh = skb_shinfo(skb);
	u32 left = min(len, iov_iter_count(from)), done = 0, skip = from->iov_offset;
	skb_frag_t *frag = sh->frags + sh->nr_frags, *end = sh->frags + MAX_SKB_FRAGS;
	const struct bio_vec *bv = from->bvec;
	int err = 0;

	/* The socket is charged for the pages, as for any */
	sh->flags &= ~SKBFL_PURE_ZEROCOPY;
	while (done < left) {
		u32 off = bv->bv_offset + skip, n = min(left - done, bv->bv_len - skip);

		if (frag != sh->frags && skb_frag_page(frag - 1) == bv->bv_page &&
		    skb_frag_off(frag - 1) + skb_frag_size(frag - 1) == off) {
			skb_frag_size_add(frag - 1, n);
		} else {
			if (frag == end) {
				err = -EMSGSIZE;
				break;
			}
			get_page(bv->bv_page);
			skb_frag_fill_page_desc(frag++, bv->bv_page, off, n);
		}
		done += n;
		skip += n;
		if (skip == bv->bv_len) {
			bv++;
			skip = 0;
		}
	}
	sh->nr_frags = frag - sh->frags;
	from->nr_segs -= bv - from->bvec;
	from->bvec = bv;
	from->iov_offset = skip;
	from->count -= done;
	skb->len += done;
	skb->data_len += done;
	skb->truesize += done;
	return err;
}

/**
 * tls_pages_msg() - make a message of pages one that TCP takes as they are
 * @msg: the message, with an iterator over pages; without MSG_SPLICE_PAGES
 * @ubuf: the connection's
 */
void tls_pages_msg(struct msghdr *msg, struct ubuf_info *ubuf)
{
	msg->msg_flags |= MSG_ZEROCOPY;
	msg->msg_ubuf = ubuf;
	msg->sg_from_iter = fill;
}
