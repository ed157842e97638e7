// SPDX-License-Identifier: GPL-2.0
/*
 * The software fallback: packets of records that are the device's to seal, and that the device at
 * hand cannot seal. They leave sealed, or not at all. Owns nothing: it reads the connection's
 * records under their lock, and seals from them rather than from the packet, whose neighbours in
 * the record it needs besides.
 *
 * The records hold the plaintext until it is acknowledged. A packet whose record is gone was
 * acknowledged, so nobody misses it.
 */
/* For modversions: drivers know struct sock with all that these two declare */
#include <crypto/scatterwalk.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/skmsg.h>
#include "tls.h"

/**
 * struct fallback - a place to seal one record's beginning
 * @crypt: workplace
 * @total: bytes of the record on the wire
 * @record: its number
 * @nfrags: entries of @frags
 * @frags: its plaintext; each with a reference of ours
 * @src: for the AEAD
 * @dst: for the AEAD
 * @wire: what the record's beginning is on the wire, and room for a tag
 */
struct fallback {
	struct tls_crypt crypt;
	u32 total;
	u64 record;
	u32 nfrags;
	skb_frag_t frags[MAX_SKB_FRAGS];
	struct scatterlist src[MAX_SKB_FRAGS + 1];
	struct scatterlist dst[2];
	u8 wire[];
};

static void frags_put(struct fallback *f)
{
	while (f->nfrags)
		put_page(skb_frag_page(&f->frags[--f->nfrags]));
}

/*
 * Finds the record that holds byte @seq and takes its pages; returns that byte's place in it, or a
 * negative error
 */
static int find_record(struct tls_hw_tx *tx, u32 seq, struct fallback *f)
{
	struct tls_record_info *info;
	unsigned long flags;
	int off = -ENOENT;
	u32 i;

	spin_lock_irqsave(&tx->off.lock, flags);
	info = tls_get_record(&tx->off, seq, &f->record);
	if (info && !tls_record_is_start_marker(info)) {
		off = seq - tls_record_start_seq(info);
		f->total = info->len;
		f->nfrags = info->num_frags;
		for (i = 0; i < f->nfrags; i++) {
			f->frags[i] = info->frags[i];
			get_page(skb_frag_page(&f->frags[i]));
		}
	}
	spin_unlock_irqrestore(&tx->off.lock, flags);
	return off;
}

/* Lists bytes [off, off + len) of the record in @sg, and returns the entry behind */
static struct scatterlist *map_record(const struct fallback *f, u32 off, u32 len,
				      struct scatterlist *sg)
{
	const skb_frag_t *frag;

	for (frag = f->frags; len; frag++) {
		u32 n;

		if (off >= skb_frag_size(frag)) {
			off -= skb_frag_size(frag);
			continue;
		}
		n = min(len, skb_frag_size(frag) - off);
		sg = tls_sg(sg, skb_frag_page(frag), n, skb_frag_off(frag) + off);
		len -= n;
		off = 0;
	}
	return sg;
}

static void copy_record(const struct fallback *f, u32 off, u32 len, u8 *to)
{
	struct scatterlist sg[MAX_SKB_FRAGS] __uninitialized, *end;

	end = map_record(f, off, len, sg);
	sg_mark_end(end - 1);
	sg_copy_to_buffer(sg, end - sg, to, len);
}

/* Makes of the record's first @len bytes what they are on the wire, in f->wire */
static int seal_record(const struct tls_hw_tx *tx, struct fallback *f, u32 len)
{
	struct tls_epoch epoch = tx->epoch;
	u32 prepend = tls_prepend(&epoch), inner = f->total - prepend - TLS_TAG_SIZE, n;
	struct scatterlist *end;

	/* As in tls_seal(), but the record has its header, and where the device has its number */
	copy_record(f, 0, prepend, f->wire);
	if (len <= prepend)
		return 0;
	n = min(len - prepend, inner);
	epoch.record = f->record;
	end = map_record(f, prepend, n, f->src + 1);
	sg_mark_end(end - 1);
	end = tls_sg_buf(f->dst + 1, f->wire + prepend, n + TLS_TAG_SIZE);
	sg_mark_end(end - 1);
	return tls_seal_part(&f->crypt, &epoch, f->wire, inner, n, f->src, f->dst, false);
}

/* Seals bytes [seq, seq + len) of the stream into @skb, from its byte @at on */
static int seal_bytes(struct tls_hw_tx *tx, u32 seq, u32 len, struct sk_buff *skb, u32 at)
{
	const u32 wire = TLS_PREPEND_MAX + TLS_MAX_PAYLOAD_SIZE + 1 + 2 * TLS_TAG_SIZE;
	struct fallback *f;
	int err = -ENOMEM;

	f = kmalloc(struct_size(f, wire, wire), GFP_ATOMIC | __GFP_NOWARN);
	if (!f)
		return err;
	f->crypt.req = kmalloc(sizeof(*f->crypt.req) + crypto_aead_reqsize(tx->epoch.aead),
			       GFP_ATOMIC | __GFP_NOWARN);
	if (!f->crypt.req)
		goto out;
	while (len) {
		int off = find_record(tx, seq, f);
		u32 n;

		err = off;
		if (off < 0)
			break;
		n = min(len, f->total - off);
		err = seal_record(tx, f, off + n);
		frags_put(f);
		if (!err)
			err = skb_store_bits(skb, at, f->wire + off, n);
		if (err)
			break;
		at += n;
		seq += n;
		len -= n;
	}
	kfree_sensitive(f->crypt.req);
out:
	/* The plaintext was never in it, the key neither */
	kfree(f);
	return err;
}

/* @fresh takes the packet's place: headers, and the socket with what it is charged */
static void replace_skb(struct sk_buff *fresh, struct sk_buff *skb)
{
	int more = fresh->truesize - skb->truesize;

	skb_copy_header(fresh, skb);
	fresh->decrypted = 0;
	/* Of a list of packets the last segment of each: validate_xmit_skb_list() */
	fresh->prev = fresh;
	skb_shinfo(fresh)->tx_flags = skb_shinfo(skb)->tx_flags;
	skb_shinfo(fresh)->tskey = skb_shinfo(skb)->tskey;
	skb_shinfo(fresh)->hwtstamps = skb_shinfo(skb)->hwtstamps;
	if (skb->destructor) {
		/* It is not the last reference, as the packet has one */
		if (more < 0)
			WARN_ON_ONCE(refcount_sub_and_test(-more, &skb->sk->sk_wmem_alloc));
		else if (more)
			refcount_add(more, &skb->sk->sk_wmem_alloc);
		swap(fresh->sk, skb->sk);
		swap(fresh->destructor, skb->destructor);
	}
}

/* A packet in the place of @skb, sealed, with the same owner; NULL if it cannot be, or need not */
static struct sk_buff *seal_skb(struct sock *sk, struct sk_buff *skb)
{
	u32 hdr = skb_tcp_all_headers(skb), len = skb->len - hdr;
	struct tls_hw_tx *tx = READ_ONCE(tls_conn(sk)->hw->tx);
	struct sk_buff *fresh;
	int err = 0;

	/* Pure acknowledgments; what was sealed before; what is from before the offload */
	if (!len || !skb_is_decrypted(skb))
		return skb;
	/* The headers were made for a device that adds the checksum, or for software behind us */
	if (WARN_ON_ONCE(skb->ip_summed != CHECKSUM_PARTIAL)) {
		err = -EINVAL;
		goto drop;
	}
	fresh = alloc_skb_with_frags(skb_headroom(skb) + hdr, len, PAGE_ALLOC_COSTLY_ORDER, &err,
				     GFP_ATOMIC | __GFP_NOWARN);
	if (!fresh)
		goto drop;
	skb_reserve(fresh, skb_headroom(skb));
	skb_put_data(fresh, skb->data, hdr);
	fresh->len += len;
	fresh->data_len = len;
	err = seal_bytes(tx, ntohl(tcp_hdr(skb)->seq), len, fresh, hdr);
	if (err) {
		kfree_skb(fresh);
		goto drop;
	}
	replace_skb(fresh, skb);
	tls_hw_fallback(sk, ntohl(tcp_hdr(fresh)->seq), len, 0);
	consume_skb(skb);
	return fresh;
drop:
	tls_hw_fallback(sk, ntohl(tcp_hdr(skb)->seq), len, err);
	kfree_skb(skb);
	return NULL;
}

/*
 * Does a packet that goes to @dev in plaintext get to @holder, which has the context? Bonding gives
 * it to that device if it is one of its own, and drops it if not; it does not look for a carrier.
 */
static bool reaches(const struct net_device *dev, struct net_device *holder)
{
	if (likely(holder == dev))
		return true;
	return holder && netif_is_bond_master(dev) &&
	       netdev_master_upper_dev_get_rcu(holder) == dev && netif_carrier_ok(holder);
}

/**
 * tls_validate_xmit_skb() - last look at a packet of an offloaded connection
 * @sk: its socket
 * @dev: device it leaves by
 * @skb: the packet
 *
 * RFC 5246 6.2.3.3, RFC 8446 5.2.
 *
 * Context: softirq, or process with softirqs off.
 *
 * Return: the packet for the device that has the connection's context, and for the bond above it;
 * a sealed packet in its place for any other; NULL if it was dropped.
 */
struct sk_buff *tls_validate_xmit_skb(struct sock *sk, struct net_device *dev, struct sk_buff *skb)
{
	const struct tls_conn *conn = tls_conn(sk);
	struct net_device *holder = rcu_dereference_bh(conn->ctx.netdev);

	if (likely(!READ_ONCE(conn->hw->leaving))) {
		bool away = !reaches(dev, holder);

		if (unlikely(away != READ_ONCE(conn->hw->away)) && skb_is_decrypted(skb))
			tls_hw_away(sk, away);
		if (likely(!away))
			return skb;
	} else if (holder == dev && !skb_is_decrypted(skb)) {
		/*
		 * What is not plaintext a driver passes on as it is: from before the offload, or
		 * sealed while the device waited for a key
		 */
		return skb;
	}
	skb = seal_skb(sk, skb);
	/*
	 * Another driver, bonding, and the device's own driver below a VLAN or the like, would take
	 * it for a packet to seal, by its socket, and even if the feature is off now. That the
	 * socket is not told when it has left costs little, and lasts as long as the route is
	 * another one, or until the device has lost its context.
	 */
	if (skb && (dev->tlsdev_ops || !list_empty(&dev->adj_list.lower)))
		skb_orphan(skb);
	return skb;
}
EXPORT_SYMBOL_GPL(tls_validate_xmit_skb);

/**
 * tls_validate_xmit_skb_sw() - last look at a packet of a connection that was offloaded
 * @sk: its socket
 * @dev: device it leaves by
 * @skb: the packet
 *
 * Context: softirq, or process with softirqs off.
 *
 * Return: the packet, sealed; NULL if it was dropped.
 */
struct sk_buff *tls_validate_xmit_skb_sw(struct sock *sk, struct net_device *dev,
					 struct sk_buff *skb)
{
	return seal_skb(sk, skb);
}

/**
 * tls_encrypt_skb() - seal a packet in software for a driver whose device cannot
 * @skb: the packet, of an offloaded connection
 *
 * Context: softirq, or process with softirqs off.
 *
 * Return: the packet, sealed; NULL if it was dropped.
 */
struct sk_buff *tls_encrypt_skb(struct sk_buff *skb)
{
	return seal_skb(skb->sk, skb);
}
EXPORT_SYMBOL_GPL(tls_encrypt_skb);
