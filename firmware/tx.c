// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Transmit: from descriptors to frames.  Gathers a packet, seals it if its
 * descriptor says so, cuts it into segments, fills in checksums.  A packet
 * that asks to be sealed and cannot be is dropped, never sent as it is.
 */
#include "port.h"

/* A queue pair gives way to the others after so many bytes or descriptors */
#define TX_BUDGET_BYTES		(256 * 1024)
#define TX_BUDGET_DESC		256

#define ETH_HLEN		14
#define TCP_FIN			0x01
#define TCP_PSH			0x08
#define TCP_CWR			0x80

/* A packet on its way through: descriptors copied from the ring, and sizes */
struct packet {
	struct sealnic_txd d[SEALNIC_MAX_PKT_DESC];
	uint32_t count;
	uint32_t len;		/* of all descriptors */
	uint32_t flags;
};

static void send(struct fw *fw, const uint8_t *hdr, uint32_t hdr_len,
		 const uint8_t *data, uint32_t data_len)
{
	const struct fw_frame frame = {
		.hdr = hdr,
		.hdr_len = hdr_len,
		.data = data,
		.data_len = data_len,
	};

	fw->n.tx_packets++;
	fw->n.tx_bytes += hdr_len + data_len;
	fw->plat->wire_tx(fw->priv, &frame);
}

/* Make room for a tag between the addresses and the type; the new start */
static uint8_t *insert_vlan(uint8_t *frame, uint16_t tci)
{
	memmove(frame - FW_VLAN_TAG, frame, 12);
	frame -= FW_VLAN_TAG;
	fw_put_be16(frame + 12, 0x8100);
	fw_put_be16(frame + 14, tci);
	return frame;
}

/* Copy @len bytes of the packet from byte @off on; false: bad address */
static bool gather(struct fw *fw, const struct packet *p, uint32_t off, uint8_t *dst,
		   uint32_t len)
{
	for (uint32_t i = 0; i < p->count && len; i++) {
		uint32_t seg = fw_le32(p->d[i].len), n;
		const uint8_t *src;

		if (off >= seg) {
			off -= seg;
			continue;
		}
		n = seg - off < len ? seg - off : len;
		src = fw->plat->dma(fw->priv, fw_le64(p->d[i].addr) + off, n);
		if (!src)
			return false;
		memcpy(dst, src, n);
		dst += n;
		len -= n;
		off = 0;
	}
	return true;
}

/* Seal the packet's bytes behind its headers into the stage */
static enum sealnic_syndrome seal(struct fw *fw, const struct packet *p, struct fw_tls *tls,
				  uint32_t off, uint8_t *dst)
{
	for (uint32_t i = 0; i < p->count; i++) {
		uint32_t seg = fw_le32(p->d[i].len);
		const uint8_t *src;

		if (off >= seg) {
			off -= seg;
			continue;
		}
		src = fw->plat->dma(fw->priv, fw_le64(p->d[i].addr) + off, seg - off);
		if (!src)
			return SEALNIC_SYN_BAD_ADDR;
		if (!fw_tls_walk(fw, tls, dst, src, seg - off))
			return SEALNIC_SYN_BAD_DESC;
		dst += seg - off;
		off = 0;
	}
	return SEALNIC_SYN_NONE;
}

/* A packet that is one frame, with at most a checksum to fill in */
static enum sealnic_syndrome send_plain(struct fw *fw, const struct packet *p)
{
	uint8_t *frame = fw->stage + FW_VLAN_TAG;
	uint32_t start = p->d[0].pkt.l4_off, field = start + p->d[0].pkt.csum_off;
	uint32_t len = p->len;
	uint16_t sum;

	if (len < ETH_HLEN || len > SEALNIC_MAX_MTU + ETH_HLEN + FW_VLAN_TAG)
		return SEALNIC_SYN_BAD_DESC;
	if ((p->flags & SEALNIC_TX_CSUM) && (start < ETH_HLEN || field + 2 > len))
		return SEALNIC_SYN_BAD_DESC;
	if (!gather(fw, p, 0, frame, len))
		return SEALNIC_SYN_BAD_ADDR;
	if (p->flags & SEALNIC_TX_CSUM) {
		/* the field holds the pseudo header's sum already */
		sum = (uint16_t)~fw_csum_fold(fw_csum_add(0, frame + start, len - start));
		if (!sum)
			sum = 0xffff; /* RFC 768: zero would mean 'no checksum' */
		memcpy(frame + field, &sum, 2);
	}
	if (p->flags & SEALNIC_TX_VLAN) {
		frame = insert_vlan(frame, fw_le16(p->d[0].pkt.vlan_tci));
		len += FW_VLAN_TAG;
	}
	send(fw, frame, len, NULL, 0);
	return SEALNIC_SYN_NONE;
}

/* Do the headers say TCP, where the descriptor says it is? */
static bool is_tcp(const uint8_t *hdr, uint32_t l3, uint32_t l4, uint32_t hdr_len)
{
	uint16_t type = fw_get_be16(hdr + l3 - 2);

	if (hdr[l4 + 12] >> 4 != (hdr_len - l4) / 4 || (hdr_len - l4) % 4)
		return false;
	if (type == 0x0800)
		return l4 - l3 >= 20 && l4 - l3 <= 60 && hdr[l3] == (0x40 | (l4 - l3) / 4) &&
		       (l4 - l3) % 4 == 0 && hdr[l3 + 9] == 6;
	/* extension headers may stand between; the last one is the host's word */
	return type == 0x86dd && l4 - l3 >= 40 && hdr[l3] >> 4 == 6;
}

/* Cut @len bytes of TCP payload at @data into frames behind copies of @hdr */
static void send_segments(struct fw *fw, uint8_t *hdr, uint32_t hdr_len, uint32_t l3,
			  uint32_t l4, uint32_t mss, const uint8_t *data, uint32_t len)
{
	uint32_t seq = fw_get_be32(hdr + l4 + 4), n;
	uint8_t version = hdr[l3] >> 4, flags = hdr[l4 + 13];
	uint16_t ip_id = fw_get_be16(hdr + l3 + 4), sum;
	uint64_t acc;

	for (uint32_t off = 0; off < len; off += n) {
		uint8_t *h = fw->seg_hdr, f = flags;

		n = len - off < mss ? len - off : mss;
		memcpy(h, hdr, hdr_len);
		if (version == 4) {
			fw_put_be16(h + l3 + 2, (uint16_t)(hdr_len - l3 + n));
			fw_put_be16(h + l3 + 4, ip_id++);
			memset(h + l3 + 10, 0, 2);
			sum = (uint16_t)~fw_csum_fold(fw_csum_add(0, h + l3, l4 - l3));
			memcpy(h + l3 + 10, &sum, 2);
		} else {
			fw_put_be16(h + l3 + 4, (uint16_t)(hdr_len - l3 - 40 + n));
		}
		fw_put_be32(h + l4 + 4, seq + off);
		if (off + n < len)
			f &= (uint8_t)~(TCP_FIN | TCP_PSH);
		if (off)
			f &= (uint8_t)~TCP_CWR; /* RFC 3168 6.1.2: once */
		h[l4 + 13] = f;
		memset(h + l4 + 16, 0, 2);
		acc = fw_pseudo_sum(h + l3, version, 6, hdr_len - l4 + n);
		acc = fw_csum_add(acc, h + l4, hdr_len - l4);
		acc = fw_csum_add(acc, data + off, n);
		sum = (uint16_t)~fw_csum_fold(acc);
		memcpy(h + l4 + 16, &sum, 2);
		send(fw, h, hdr_len, data + off, n);
	}
}

/* A TCP packet to be cut, sealed, or both */
static enum sealnic_syndrome send_tcp(struct fw *fw, const struct packet *p)
{
	uint32_t l3 = p->d[0].pkt.l3_off, l4 = p->d[0].pkt.l4_off;
	uint32_t hdr_len = p->d[0].pkt.hdr_len, len = p->len - hdr_len;
	uint32_t mss = fw_le16(p->d[0].pkt.mss), id = fw_le32(p->d[0].pkt.tls_ctx);
	uint8_t *hdr = fw->hdr + FW_VLAN_TAG, *data = fw->stage;
	struct fw_tls *tls = NULL;
	enum sealnic_syndrome syn;
	uint64_t rec_no;

	if (l3 < ETH_HLEN || l4 < l3 + 20 || hdr_len < l4 + 20 || p->len < hdr_len ||
	    len > SEALNIC_MAX_TSO)
		return SEALNIC_SYN_BAD_DESC;
	if (!len) {
		/* nothing to cut or seal, but not worth a dead queue */
		fw_count_error(fw, &fw->n.err_desc);
		return SEALNIC_SYN_NONE;
	}
	if (!(p->flags & SEALNIC_TX_TSO))
		mss = len;
	else if (mss < SEALNIC_MIN_MSS)
		return SEALNIC_SYN_BAD_DESC;
	if (hdr_len - ETH_HLEN + (mss < len ? mss : len) > SEALNIC_MAX_MTU + FW_VLAN_TAG)
		return SEALNIC_SYN_BAD_DESC;
	if (!gather(fw, p, 0, hdr, hdr_len))
		return SEALNIC_SYN_BAD_ADDR;
	if (!is_tcp(hdr, l3, l4, hdr_len)) {
		/* what a raw socket may ask for: not worth a dead queue */
		fw_count_error(fw, &fw->n.err_desc);
		return SEALNIC_SYN_NONE;
	}

	if (p->flags & SEALNIC_TX_TLS) {
		tls = fw_tls_get_tx(fw, id);
		if (!tls) {
			fw->n.tls_tx_no_ctx++;
			return SEALNIC_SYN_NONE;
		}
		if (tls->state != SEALNIC_TLS_IN_SYNC ||
		    tls->tcp_seq != fw_get_be32(hdr + l4 + 4)) {
			fw->n.tls_tx_unexpected++;
			fw_tls_lost(fw, tls);
			return SEALNIC_SYN_NONE;
		}
		rec_no = tls->rec_no;
		syn = seal(fw, p, tls, hdr_len, data);
		if (syn != SEALNIC_SYN_NONE) {
			fw_tls_lost(fw, tls);
			if (syn == SEALNIC_SYN_BAD_ADDR)
				return syn;
			fw->n.tls_tx_malformed++;
			return SEALNIC_SYN_NONE;
		}
		fw->n.tls_tx_records += tls->rec_no - rec_no;
		fw->n.tls_tx_bytes += len;
		fw->n.tls_tx_packets += (len + mss - 1) / mss;
	} else if (!gather(fw, p, hdr_len, data, len)) {
		return SEALNIC_SYN_BAD_ADDR;
	}

	if (mss < len)
		fw->n.tx_tso_packets++;
	if (p->flags & SEALNIC_TX_VLAN) {
		hdr = insert_vlan(hdr, fw_le16(p->d[0].pkt.vlan_tci));
		hdr_len += FW_VLAN_TAG;
		l3 += FW_VLAN_TAG;
		l4 += FW_VLAN_TAG;
	}
	send_segments(fw, hdr, hdr_len, l3, l4, mss, data, len);
	return SEALNIC_SYN_NONE;
}

/* The record's bytes in front of a retransmission: the context has to pass them */
static enum sealnic_syndrome replay(struct fw *fw, const struct sealnic_txd *d)
{
	struct fw_tls *tls = fw_tls_get_tx(fw, fw_le32(d->replay.tls_ctx));
	uint32_t len = fw_le32(d->len);
	const uint8_t *src;

	if (!len || len > SEALNIC_MAX_TSO)
		return SEALNIC_SYN_BAD_DESC;
	src = fw->plat->dma(fw->priv, fw_le64(d->addr), len);
	if (!src)
		return SEALNIC_SYN_BAD_ADDR;
	if (!tls) {
		fw->n.tls_tx_no_ctx++;
		return SEALNIC_SYN_NONE;
	}
	/* lost: the packet behind it will be dropped and counted */
	if (tls->state != SEALNIC_TLS_IN_SYNC)
		return SEALNIC_SYN_NONE;
	fw->n.tls_tx_replay_bytes += len;
	if (!fw_tls_walk(fw, tls, fw->stage, src, len))
		fw_tls_lost(fw, tls);
	return SEALNIC_SYN_NONE;
}

/* Fetch the @n-th descriptor that is not yet completed */
static bool fetch(struct fw *fw, struct fw_qp *qp, uint32_t n, struct sealnic_txd *d)
{
	uint32_t i = (qp->tx_cons + n) & qp->tx_mask;
	const void *src = fw->plat->dma(fw->priv, qp->tx_base + (uint64_t)i * sizeof(*d),
					sizeof(*d));

	if (src)
		fw_fetch(d, src, sizeof(*d));
	return src;
}

/* Take the packet whose first descriptor is p->d[0] */
static enum sealnic_syndrome packet(struct fw *fw, struct fw_qp *qp, struct packet *p,
				    uint32_t avail)
{
	p->count = p->d[0].count;
	p->flags = fw_le16(p->d[0].flags);
	p->len = 0;
	/* a packet is posted whole */
	if (!p->count || p->count > SEALNIC_MAX_PKT_DESC || p->count > avail ||
	    p->flags >= SEALNIC_TX_TLS << 1)
		return SEALNIC_SYN_BAD_DESC;
	for (uint32_t i = 0; i < p->count; i++) {
		uint32_t len;

		if (i && !fetch(fw, qp, i, &p->d[i]))
			return SEALNIC_SYN_BAD_ADDR;
		len = fw_le32(p->d[i].len);
		if ((i && p->d[i].type != SEALNIC_TXD_SEG) || !len ||
		    len > SEALNIC_MAX_TSO + SEALNIC_MAX_HDR)
			return SEALNIC_SYN_BAD_DESC;
		p->len += len;
	}
	if (p->flags & (SEALNIC_TX_TSO | SEALNIC_TX_TLS))
		return send_tcp(fw, p);
	return send_plain(fw, p);
}

/**
 * fw_tx_run() - work through a queue pair's transmit ring, up to a budget
 * @fw: the port
 * @qp: the queue pair; it exists and is not dead
 *
 * hardware.rst, "Transmit" and "Kick index".
 *
 * Return: true if it has to be called again: there may be more, or the wire takes
 * nothing now.  False if the ring is empty and the host knows that it has to ring,
 * or if the queue pair or the port has stopped.
 */
bool fw_tx_run(struct fw *fw, struct fw_qp *qp)
{
	struct sealnic_qp_db *db = &fw->db[qp - fw->qp];
	struct sealnic_qp_status *status = fw_qp_status(fw, qp);
	uint32_t first = qp->tx_cons, avail, used = 0;
	uint64_t bytes = fw->n.tx_bytes;
	enum sealnic_syndrome syn = SEALNIC_SYN_NONE;
	struct fw_tls *tls;
	struct packet p;
	bool idle = false;

	if (!status) {
		fw_qp_error(fw, qp, SEALNIC_SYN_BAD_ADDR);
		return false;
	}
again:
	while (fw->plat->wire_ready(fw->priv)) {
		avail = fw_load32(&db->tx_prod) - qp->tx_cons;
		if (avail > qp->tx_mask + 1) {
			syn = SEALNIC_SYN_BAD_INDEX;
			break;
		}
		if (!avail)
			goto idle;
		if (used >= TX_BUDGET_DESC || fw->n.tx_bytes - bytes >= TX_BUDGET_BYTES)
			break;
		if (!fetch(fw, qp, 0, &p.d[0])) {
			syn = SEALNIC_SYN_BAD_ADDR;
			break;
		}
		p.count = 1;
		switch (p.d[0].type) {
		case SEALNIC_TXD_PKT:
			syn = packet(fw, qp, &p, avail);
			break;
		case SEALNIC_TXD_TLS_SYNC:
			tls = fw_tls_get_tx(fw, fw_le32(p.d[0].sync.tls_ctx));
			if (tls)
				fw_tls_sync(fw, tls, fw_le32(p.d[0].sync.tcp_seq),
					    fw_le64(p.d[0].sync.rec_no));
			else
				fw->n.tls_tx_no_ctx++;
			break;
		case SEALNIC_TXD_TLS_REPLAY:
			syn = replay(fw, &p.d[0]);
			break;
		default:
			syn = SEALNIC_SYN_BAD_DESC;
		}
		if (syn != SEALNIC_SYN_NONE)
			break;
		qp->tx_cons += p.count;
		used += p.count;
		/* the wire may have brought the port down under us */
		if (fw->state != SEALNIC_STATE_RUN || !qp->active)
			return false;
	}
	goto done;
idle:
	/* the host looks at tx_kick after its store of tx_prod: see both or neither */
	fw_store32(&status->tx_kick, qp->tx_cons);
	fw_mb();
	if (fw_load32(&db->tx_prod) != qp->tx_cons)
		goto again;
	idle = true;
done:
	if (qp->tx_cons != first) {
		fw_store32(&status->tx_cons, qp->tx_cons);
		fw_qp_posted(fw, qp, &qp->tx_mod);
	}
	if (syn != SEALNIC_SYN_NONE) {
		fw_qp_error(fw, qp, syn);
		return false;
	}
	return !idle;
}
