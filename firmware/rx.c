// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Receive: from a frame on the wire to buffers and completions of a queue
 * pair.  Filters by address, checks checksums, strips VLAN tags, spreads by
 * Toeplitz hash.
 */
#include "port.h"

#define ETH_HLEN	14

static bool filter_has(const struct fw *fw, uint32_t first, uint32_t count, const uint8_t *mac)
{
	for (uint32_t i = first; i < first + count; i++) {
		if (!memcmp(fw->filter[i].addr, mac, 6))
			return true;
	}
	return false;
}

/* Is this one of the host's own addresses? */
static bool own(const struct fw *fw, const uint8_t *mac)
{
	return !memcmp(mac, fw->mac, 6) || filter_has(fw, 0, fw->uc_count, mac);
}

static bool accepts(const struct fw *fw, const uint8_t *mac)
{
	static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

	if (fw->rx_flags & SEALNIC_RX_PROMISC)
		return true;
	if (!(mac[0] & 1))
		return own(fw, mac);
	if (!memcmp(mac, broadcast, 6))
		return fw->rx_flags & SEALNIC_RX_BROADCAST;
	return (fw->rx_flags & SEALNIC_RX_ALLMULTI) ||
	       filter_has(fw, fw->uc_count, fw->mc_count, mac);
}

/* Sum of the frame's bytes from @off on, over both of its pieces */
static uint64_t frame_sum(const struct fw_frame *frame, uint32_t off, uint32_t len)
{
	uint64_t sum = 0;
	uint32_t n = 0;

	if (off < frame->hdr_len) {
		n = frame->hdr_len - off < len ? frame->hdr_len - off : len;
		sum = fw_csum_add(0, frame->hdr + off, n);
		off = 0;
	} else {
		off -= frame->hdr_len;
	}
	if (n < len) {
		uint16_t rest = fw_csum_fold(fw_csum_add(0, frame->data + off, len - n));

		sum += n & 1 ? fw_csum_swap(rest) : rest;
	}
	return sum;
}

/* Judge the checksums: the flags of the frame's completion */
static uint32_t check(struct fw *fw, const struct fw_headers *h, const uint8_t *p,
		      const struct fw_frame *frame)
{
	const uint8_t *l3 = p + h->l3_off;
	uint32_t flags = 0, total = frame->hdr_len + frame->data_len;
	uint64_t sum;

	if (!(fw->port_flags & SEALNIC_PORT_RX_CSUM) || !h->ip_version)
		return 0;
	if (h->ip_version == 4 &&
	    fw_csum_fold(fw_csum_add(0, l3, (uint32_t)h->l4_off - h->l3_off)) != 0xffff) {
		fw->n.rx_csum_bad++;
		return 0;
	}
	flags = SEALNIC_RX_L3_OK;
	if (h->proto != 6 && h->proto != 17)
		return flags;
	if (h->l4_len < (h->proto == 6 ? 20u : 8u) || h->l4_off + h->l4_len > total ||
	    h->l4_off + 8u > FW_PARSE_BYTES)
		return flags;
	if (h->proto == 17 && !p[h->l4_off + 6] && !p[h->l4_off + 7])
		return flags; /* sent without checksum */
	sum = fw_pseudo_sum(l3, h->ip_version, h->proto, h->l4_len);
	sum += frame_sum(frame, h->l4_off, h->l4_len);
	if (fw_csum_fold(sum) == 0xffff)
		return flags | SEALNIC_RX_L4_OK;
	fw->n.rx_csum_bad++;
	return flags | SEALNIC_RX_L4_BAD;
}

/* RSS: the hash over addresses, and ports where asked for; its type, 0 for none */
static uint8_t hash_frame(const struct fw *fw, const struct fw_headers *h, const uint8_t *p,
			  uint32_t linear, uint32_t *hash)
{
	uint32_t types = fw_le32(fw->rss.hash_types), type = 0, base, len;
	uint8_t in[36];

	*hash = 0;
	if (!h->ip_version)
		return 0;
	if (h->ip_version == 4) {
		base = SEALNIC_HASH_IPV4;
		len = 8;
		memcpy(in, p + h->l3_off + 12, len);
	} else {
		base = SEALNIC_HASH_IPV6;
		len = 32;
		memcpy(in, p + h->l3_off + 8, len);
	}
	if (h->proto == 6)
		type = base << 1;
	else if (h->proto == 17)
		type = base << 2;
	if ((types & type) && h->l4_off + 4u <= linear) {
		memcpy(in + len, p + h->l4_off, 4);
		len += 4;
	} else if (types & base) {
		type = base;
	} else {
		return 0;
	}
	*hash = fw_toeplitz(fw->rss.key, in, len);
	return (uint8_t)type;
}

/* Are there buffers for @len bytes?  @count: how many it takes */
static bool have_buffers(struct fw *fw, struct fw_qp *qp, uint32_t len, uint32_t *count,
			 enum sealnic_syndrome *syn)
{
	uint32_t avail = fw_load32(&fw->db[qp - fw->qp].rx_prod) - qp->rx_cons;
	struct sealnic_rxd d;

	if (avail > qp->rx_mask + 1) {
		*syn = SEALNIC_SYN_BAD_INDEX;
		return false;
	}
	for (uint32_t i = 0; i < avail; i++) {
		uint64_t at = qp->rx_base + (uint64_t)((qp->rx_cons + i) & qp->rx_mask) * sizeof(d);
		const void *src = fw->plat->dma(fw->priv, at, sizeof(d));

		if (!src) {
			*syn = SEALNIC_SYN_BAD_ADDR;
			return false;
		}
		fw_fetch(&d, src, sizeof(d));
		if (fw_le32(d.len) < SEALNIC_MIN_RX_BUF || fw_le32(d.len) > SEALNIC_MAX_RX_BUF) {
			*syn = SEALNIC_SYN_BAD_DESC;
			return false;
		}
		if (len <= fw_le32(d.len)) {
			*count = i + 1;
			return true;
		}
		len -= fw_le32(d.len);
	}
	return false;
}

/* Copy the frame, without @skip bytes behind its addresses, from byte @off on */
static void copy_out(uint8_t *dst, const struct fw_frame *frame, uint32_t skip, uint32_t off,
		     uint32_t len)
{
	uint32_t n;

	if (skip && off < 12) {
		n = 12 - off < len ? 12 - off : len;
		memcpy(dst, frame->hdr + off, n);
		dst += n;
		off += n;
		len -= n;
	}
	off += skip;
	if (len && off < frame->hdr_len) {
		n = frame->hdr_len - off < len ? frame->hdr_len - off : len;
		memcpy(dst, frame->hdr + off, n);
		dst += n;
		off += n;
		len -= n;
	}
	if (len)
		memcpy(dst, frame->data + off - frame->hdr_len, len);
}

/*
 * Write the frame into @count buffers.  The descriptors are read again: if the
 * host has changed them since, the frame may come out short, not too long.
 */
static enum sealnic_syndrome deliver(struct fw *fw, struct fw_qp *qp, uint32_t count,
				     const struct fw_frame *frame, uint32_t skip,
				     const struct sealnic_rxc *last)
{
	uint32_t total = frame->hdr_len + frame->data_len - skip, off = 0;

	for (uint32_t i = 0; i < count; i++, qp->rx_cons++) {
		uint32_t slot = qp->rx_cons & qp->rx_mask, len;
		struct sealnic_rxc c = { 0 }, *out;
		struct sealnic_rxd d;
		const void *src;
		uint64_t word;
		void *dst;

		src = fw->plat->dma(fw->priv, qp->rx_base + (uint64_t)slot * sizeof(d), sizeof(d));
		if (!src)
			return SEALNIC_SYN_BAD_ADDR;
		fw_fetch(&d, src, sizeof(d));
		len = fw_le32(d.len);
		if (len > total - off)
			len = total - off;
		dst = fw->plat->dma(fw->priv, fw_le64(d.addr), len);
		out = fw->plat->dma(fw->priv, qp->rxc_base + (uint64_t)slot * sizeof(c), sizeof(c));
		if (!dst || !out)
			return SEALNIC_SYN_BAD_ADDR;
		copy_out(dst, frame, skip, off, len);
		off += len;

		if (i + 1 == count)
			c = *last;
		else
			c.ctl = SEALNIC_RXC_MORE;
		if (!(qp->rx_cons & (qp->rx_mask + 1)))
			c.ctl |= SEALNIC_RXC_PHASE;
		c.len = fw_le16((uint16_t)len);
		c.index = fw_le16((uint16_t)qp->rx_cons);
		memcpy((uint8_t *)out + 8, (uint8_t *)&c + 8, sizeof(c) - 8);
		memcpy(&word, &c, 8);
		__atomic_store_n((uint64_t *)out, word, __ATOMIC_RELEASE);
	}
	return SEALNIC_SYN_NONE;
}

/*
 * Ask the host to ring with the next buffers that it posts behind @seen.  False
 * if it has posted some that it did not know it had to ring for.
 */
static bool rx_wait(struct fw *fw, struct fw_qp *qp, struct sealnic_qp_status *status,
		    uint32_t seen)
{
	fw_store32(&status->rx_kick, seen);
	fw_mb(); /* pairs with the driver's mb() behind rx_prod */
	return fw_load32(&fw->db[qp - fw->qp].rx_prod) == seen;
}

/**
 * fw_rx() - a frame has arrived from the wire
 * @fw: the port
 * @frame: without FCS; its first piece holds the Ethernet header and tag
 * @may_hold: the wire can keep the frame until there are buffers
 *
 * Return: FW_RX_HOLD if the wire shall keep it.
 */
enum fw_rx_result fw_rx(struct fw *fw, const struct fw_frame *frame, bool may_hold)
{
	uint32_t total = frame->hdr_len + frame->data_len, linear, skip = 0, count, hash, prod;
	enum sealnic_syndrome syn = SEALNIC_SYN_NONE;
	struct sealnic_qp_status *status;
	struct sealnic_rxc c = { 0 };
	uint8_t p[FW_PARSE_BYTES];
	struct fw_frame opened;
	struct fw_headers h;
	struct fw_qp *qp;

	/* a RESET that was not yet obeyed: the buffers may be no buffers any more */
	if (!fw_enabled(fw) || fw_load32(&fw->seg->ctl) != fw->ctl_done) {
		fw->n.rx_disabled++;
		return FW_RX_TAKEN;
	}
	if (frame->hdr_len < ETH_HLEN + FW_VLAN_TAG || !accepts(fw, frame->hdr)) {
		fw->n.rx_filtered++;
		return FW_RX_TAKEN;
	}
	linear = total < sizeof(p) ? total : sizeof(p);
	copy_out(p, frame, 0, 0, linear);
	fw_parse(&h, p, linear, total);
	if (total > fw->mtu + ETH_HLEN + (h.vlan ? FW_VLAN_TAG : 0)) {
		fw->n.rx_too_long++;
		return FW_RX_TAKEN;
	}

	c.hash_type = hash_frame(fw, &h, p, linear, &hash);
	qp = &fw->qp[fw->rss.table[hash % SEALNIC_RSS_TABLE] % SEALNIC_MAX_QP];
	if (!(fw->port_flags & SEALNIC_PORT_RX_HASH))
		c.hash_type = 0;
	if (c.hash_type)
		c.hash = fw_le32(hash);
	if (!qp->active || qp->dead) {
		fw->n.rx_disabled++;
		return FW_RX_TAKEN;
	}
	if (h.vlan && (fw->port_flags & SEALNIC_PORT_VLAN_STRIP))
		skip = FW_VLAN_TAG;

	for (;;) {
		/* the index first: what comes behind it is found, or rung for */
		prod = fw_load32(&fw->db[qp - fw->qp].rx_prod);
		if (have_buffers(fw, qp, total - skip, &count, &syn))
			break;
		if (syn != SEALNIC_SYN_NONE)
			goto error;
		if (!may_hold || !(fw->port_flags & SEALNIC_PORT_PAUSE)) {
			fw->n.rx_no_buffer++;
			return FW_RX_TAKEN;
		}
		status = fw_qp_status(fw, qp);
		if (!status) {
			syn = SEALNIC_SYN_BAD_ADDR;
			goto error;
		}
		if (rx_wait(fw, qp, status, prod))
			return FW_RX_HOLD;
	}

	c.flags = fw_le32(check(fw, &h, p, frame) | (skip ? SEALNIC_RX_VLAN : 0));
	if (skip)
		c.vlan_tci = fw_le16(h.vlan_tci);
	/* what the host's TCP will not see must not move a context */
	if (fw->n.tls_rx_ctx && h.proto == 6 && (fw_le32(c.flags) & SEALNIC_RX_L4_OK) &&
	    own(fw, p) && fw_tls_rx(fw, &h, p, frame, &opened, &c))
		frame = &opened;
	syn = deliver(fw, qp, count, frame, skip, &c);
	if (syn != SEALNIC_SYN_NONE)
		goto error;
	fw->n.rx_packets++;
	fw->n.rx_bytes += total;
	fw_qp_posted(fw, qp, &qp->rx_mod);
	return FW_RX_TAKEN;

error:
	fw_qp_error(fw, qp, syn);
	return FW_RX_TAKEN;
}
