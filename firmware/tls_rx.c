// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Inline opening: finds a received packet's context, decides whether the packet
 * can be opened, and finds the way back when packets are missing.  Owns the
 * table of receive contexts.
 *
 * A packet is opened as a whole or delivered as it came.  A context goes over
 * records in scratch memory while their packets are delivered as they came, so
 * that it can open the packet in which such a record ends.
 */
#include "port.h"

#define TCP_SYN			0x02
#define TCP_RST			0x04

/* RFC 7323 2.3: bytes farther back are no retransmission */
#define TCP_MAX_WINDOW		(1u << 30)

/* Ask again for the same record after so many; for a later one after so many bytes */
#define ASK_AGAIN_RECORDS	16
#define ASK_LATER_BYTES		(16u << 20)

/* So many old packets in a row are the stream, and what seemed newer was not */
#define AGAIN_PACKETS		16

/* ---- the table ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t *bucket(struct fw *fw, const struct fw_tuple *tuple)
{
	const uint64_t *key = fw->tls_hash_key;
	uint64_t w[5], hash;

	static_assert(sizeof(w) == sizeof(*tuple), "fw_tuple");
	memcpy(w, tuple, sizeof(w));
	hash = mix(w[0] ^ key[0], w[1] ^ key[1]);
	hash = mix(hash ^ w[2], w[3] ^ key[0]);
	hash = mix(hash ^ w[4], key[1]);
	return &fw->tls_bucket[(hash ^ hash >> 32) & fw->tls_bucket_mask];
}

static struct fw_tls *find(struct fw *fw, const struct fw_tuple *tuple)
{
	uint32_t i = *bucket(fw, tuple);

	while (i) {
		struct fw_tls *tls = &fw->tls[i - 1];

		if (!memcmp(&tls->tuple, tuple, sizeof(*tuple)))
			return tls;
		i = tls->next_bucket;
	}
	return NULL;
}

/* False if there is no such version of IP */
static bool command_tuple(const struct sealnic_cmd *cmd, struct fw_tuple *tuple)
{
	uint32_t len = cmd->tls_add.ip_version == 4 ? 4 : 16;

	memset(tuple, 0, sizeof(*tuple));
	tuple->ip_version = cmd->tls_add.ip_version;
	memcpy(tuple->saddr, cmd->tls_add.saddr, len);
	memcpy(tuple->daddr, cmd->tls_add.daddr, len);
	memcpy(tuple->ports, cmd->tls_add.sport, 2);
	memcpy(tuple->ports + 2, cmd->tls_add.dport, 2);
	return tuple->ip_version == 4 || tuple->ip_version == 6;
}

static void packet_tuple(const struct fw_headers *h, const uint8_t *p, struct fw_tuple *tuple)
{
	memset(tuple, 0, sizeof(*tuple));
	tuple->ip_version = h->ip_version;
	if (h->ip_version == 4) {
		memcpy(tuple->saddr, p + h->l3_off + 12, 4);
		memcpy(tuple->daddr, p + h->l3_off + 16, 4);
	} else {
		memcpy(tuple->saddr, p + h->l3_off + 8, 16);
		memcpy(tuple->daddr, p + h->l3_off + 24, 16);
	}
	memcpy(tuple->ports, p + h->l4_off, 4);
}

/**
 * fw_tls_rx_check() - could the receive context that a TLS_ADD asks for be added?
 * @fw: the port
 * @cmd: the command
 *
 * hardware.rst, "TLS_ADD (16)".
 *
 * Return: OK, or the status of the answer.
 */
enum sealnic_status fw_tls_rx_check(struct fw *fw, const struct sealnic_cmd *cmd)
{
	struct fw_tuple tuple;

	if (!command_tuple(cmd, &tuple))
		return SEALNIC_BAD_PARAM;
	return find(fw, &tuple) ? SEALNIC_BAD_STATE : SEALNIC_OK;
}

/**
 * fw_tls_rx_add() - make a context one to receive
 * @fw: the port
 * @tls: the context, which has everything else
 * @cmd: the command that it is made by; fw_tls_rx_check() has found nothing wrong
 *
 * hardware.rst, "TLS receive", "Contexts".
 */
void fw_tls_rx_add(struct fw *fw, struct fw_tls *tls, const struct sealnic_cmd *cmd)
{
	uint32_t *head;

	command_tuple(cmd, &tls->tuple);
	tls->rx = true;
	tls->opened_seq = tls->tcp_seq;
	head = bucket(fw, &tls->tuple);
	tls->next_bucket = *head;
	*head = FW_TLS_INDEX(tls->id) + 1;
	fw->n.tls_rx_ctx++;
}

/**
 * fw_tls_rx_del() - a receive context goes: no packet finds it any more
 * @fw: the port
 * @tls: the context, to be wiped by the caller
 *
 * hardware.rst, "TLS_DEL (17)".
 */
void fw_tls_rx_del(struct fw *fw, struct fw_tls *tls)
{
	uint32_t *link = bucket(fw, &tls->tuple);

	while (*link != FW_TLS_INDEX(tls->id) + 1)
		link = &fw->tls[*link - 1].next_bucket;
	*link = tls->next_bucket;
	fw->n.tls_rx_ctx--;
}

/* ---- looking for the place ---- */

/*
 * The place is unknown: nothing from @seq on was looked at.  There may be a
 * record of which we know where it begins, but not its header.
 */
static void lost(struct fw *fw, struct fw_tls *tls, uint32_t seq)
{
	tls->state = SEALNIC_TLS_LOST;
	tls->tcp_seq = seq;
	tls->rec_pos = 0;
	memset(&tls->search, 0, sizeof(tls->search));
	fw->n.tls_rx_lost++;
}

static void lost_at(struct fw *fw, struct fw_tls *tls, uint32_t seq)
{
	uint32_t from = tls->tcp_seq;

	lost(fw, tls, seq);
	tls->search.from_known = true;
	tls->search.from_seq = from;
	tls->search.from_no = tls->rec_no;
}

/*
 * Record @rec_no begins at @seq: if that is among the headers that we follow, or
 * still to come, go on with the next record whose header was not passed.
 */
static bool place(struct fw_tls *tls, uint32_t seq, uint64_t rec_no)
{
	const struct fw_tls_search *s = &tls->search;
	uint32_t hdr_seen = 0;

	if (s->count && (seq == s->first || seq == s->last || seq == s->next)) {
		if (seq == s->first)
			rec_no += s->count;
		else if (seq == s->last)
			rec_no++;
		seq = s->next;
		hdr_seen = tls->rec_pos;
	} else if (seq - tls->tcp_seq > TCP_MAX_WINDOW) {
		return false;
	}
	/*
	 * What was delivered opened of a record is what its tag has to be for: no part
	 * of it comes with another copy of the rest.
	 */
	if (tls->opened_seq - seq - 1 < TCP_MAX_WINDOW)
		return false;
	tls->tcp_seq = seq + hdr_seen;
	tls->rec_pos = hdr_seen;
	tls->rec_no = rec_no;
	tls->pass = true;
	tls->doubt = true;
	tls->state = SEALNIC_TLS_IN_SYNC;
	return true;
}

/**
 * fw_tls_rx_sync() - the command TLS_SYNC: the host knows which record begins at a byte
 * @fw: the port
 * @cmd: the command
 *
 * hardware.rst, "TLS_SYNC (19)" and "Resynchronisation".
 *
 * Return: the status of the answer.
 */
enum sealnic_status fw_tls_rx_sync(struct fw *fw, const struct sealnic_cmd *cmd)
{
	struct fw_tls *tls = fw_tls_get(fw, fw_le32(cmd->tls_sync.id));

	if (!tls || !tls->rx)
		return SEALNIC_BAD_STATE;
	if (tls->state != SEALNIC_TLS_LOST ||
	    !place(tls, fw_le32(cmd->tls_sync.tcp_seq), fw_le64(cmd->tls_sync.rec_no))) {
		fw->n.tls_rx_resync_stale++;
		return SEALNIC_STALE;
	}
	fw->n.tls_rx_resync_ok++;
	return SEALNIC_OK;
}

/* Does this packet lead on from the place that is known from before the loss? */
static bool follow_known(struct fw_tls *tls, uint32_t seq, const uint8_t *data, uint32_t len)
{
	struct fw_tls_search *s = &tls->search;
	bool moved = false;
	uint32_t rec_len;

	while (s->from_known && len >= FW_TLS_HDR && s->from_seq - seq <= len - FW_TLS_HDR) {
		if (!fw_tls_header(tls, data + (s->from_seq - seq), &rec_len)) {
			s->from_known = false;
			return false;
		}
		s->from_seq += rec_len;
		s->from_no++;
		moved = true;
	}
	return moved && place(tls, s->from_seq, s->from_no);
}

/* The first header in @data from byte @pos on; @len if there is none */
static uint32_t scan(const struct fw_tls *tls, const uint8_t *data, uint32_t pos, uint32_t len,
		     uint32_t *rec_len)
{
	/* one that is cut by the packet's end is left out: a later one will do */
	for (; pos + FW_TLS_HDR <= len; pos++) {
		if (data[pos + 1] == 3 && fw_tls_header(tls, data + pos, rec_len))
			return pos;
	}
	return len;
}

/*
 * Where in this packet begins what is new?  @len if it has nothing new.  Somebody
 * who knows no more than the connection's addresses may send a packet from far
 * ahead: TCP drops it, but we cannot tell.
 */
static uint32_t fresh(struct fw_tls *tls, uint32_t seq, uint32_t len)
{
	uint32_t seen = tls->tcp_seq - seq;
	struct fw_tls_search *s = &tls->search;

	if (seen > TCP_MAX_WINDOW || seen < len) {
		s->again = 0;
		return seen > TCP_MAX_WINDOW ? 0 : seen;
	}
	s->again = s->again && seq == s->again_next ? s->again + 1 : 1;
	s->again_next = seq + len;
	if (s->again < AGAIN_PACKETS)
		return len;
	s->again = 0;
	s->count = 0;
	return 0;
}

/*
 * Go through what is new in this packet: find a header, and follow it to the
 * next ones, which must be where it says.  True if it is time to ask for the
 * first one's number.
 */
static bool follow(struct fw_tls *tls, uint32_t seq, const uint8_t *data, uint32_t len)
{
	struct fw_tls_search *s = &tls->search;
	uint32_t pos, at, n, rec_len;
	bool ask = false;

	pos = fresh(tls, seq, len);
	if (pos == len)
		return false;
	tls->tcp_seq = seq + len;

	for (;;) {
		if (!s->count) {
			pos = scan(tls, data, pos, len, &rec_len);
			if (pos == len)
				return false;
			s->count = 1;
			s->first = seq + pos;
			s->last = s->first;
			s->next = s->first + rec_len;
			tls->rec_pos = 0;
			pos += FW_TLS_HDR;
			ask = true;
		}
		/* the header there, as far as it is missing */
		at = s->next + tls->rec_pos - seq;
		if (at > len + FW_TLS_MAX_RECORD) {
			/* it was in a packet that did not come, or another stream's */
			s->count = 0;
			continue;
		}
		if (at >= len)
			break;
		n = FW_TLS_HDR - tls->rec_pos;
		if (n > len - at)
			n = len - at;
		memcpy(tls->hdr + tls->rec_pos, data + at, n);
		tls->rec_pos += n;
		if (tls->rec_pos < FW_TLS_HDR)
			break;
		tls->rec_pos = 0;
		if (!fw_tls_header(tls, tls->hdr, &rec_len)) {
			/* what looked like a header was none */
			s->count = 0;
			if (ask)
				pos = at;
			ask = false;
			continue;
		}
		s->last = s->next;
		s->next += rec_len;
		s->count++;
		/* the host has never answered, and cannot be so far behind */
		if (s->last - s->first > ASK_LATER_BYTES) {
			s->first = s->last;
			s->count = 1;
			ask = true;
		}
	}
	if (ask || s->count - s->asked >= ASK_AGAIN_RECORDS) {
		s->asked = s->count;
		return true;
	}
	return false;
}

static void search(struct fw *fw, struct fw_tls *tls, uint32_t seq, const uint8_t *data,
		   uint32_t len, struct sealnic_rxc *c)
{
	bool ask = follow(tls, seq, data, len);

	if (follow_known(tls, seq, data, len)) {
		fw->n.tls_rx_found++;
	} else if (ask) {
		c->flags |= fw_le32(SEALNIC_RX_TLS_RESYNC);
		c->tls_seq = fw_le32(tls->search.first);
		fw->n.tls_rx_resync_ask++;
	}
}

/* ---- packets ---- */

/*
 * Walk over bytes that begin where the context is.  True if they are to be
 * delivered as they are in the stage now: @whole, they are the packet.
 */
static bool walk(struct fw *fw, struct fw_tls *tls, const uint8_t *data, uint32_t len, bool whole,
		 struct sealnic_rxc *c)
{
	bool passed = tls->pass && tls->rec_pos;
	uint32_t seq = tls->tcp_seq;
	uint64_t rec_no = tls->rec_no;

	tls->bad = false;
	if (!fw_tls_walk(fw, tls, fw->rx_stage, data, len)) {
		lost(fw, tls, seq);
		search(fw, tls, seq, data, len, c);
		return false;
	}
	/* nobody gains by the last part of a record whose other parts are closed */
	if (passed && !tls->rec_pos && tls->rec_no == rec_no + 1)
		return false;
	if (whole && !tls->bad && !(tls->pass && tls->rec_pos)) {
		fw->n.tls_rx_records += tls->rec_no - rec_no;
		tls->opened_seq = tls->tcp_seq;
		return true;
	}
	if (tls->rec_pos)
		tls->pass = true;
	return false;
}

/* A packet is missing, or more.  True if this one is opened all the same, in the stage */
static bool gap(struct fw *fw, struct fw_tls *tls, uint32_t seq, const uint8_t *data,
		uint32_t len, struct sealnic_rxc *c)
{
	if (tls->rec_pos && tls->rec_pos < FW_TLS_HDR) {
		/* not even the length is known */
		lost(fw, tls, seq);
	} else if (!fw_tls_skip(fw, tls, seq - tls->tcp_seq)) {
		lost_at(fw, tls, seq);
	} else {
		fw->n.tls_rx_gap++;
		return walk(fw, tls, data, len, true, c);
	}
	search(fw, tls, seq, data, len, c);
	return false;
}

/* The payload of a packet of the connection.  True if it is opened, in the stage */
static bool payload(struct fw *fw, struct fw_tls *tls, uint32_t seq, const uint8_t *data,
		    uint32_t len, struct sealnic_rxc *c)
{
	uint32_t off = tls->tcp_seq - seq;

	if (tls->state != SEALNIC_TLS_IN_SYNC)
		search(fw, tls, seq, data, len, c);
	else if (!off)
		return walk(fw, tls, data, len, true, c);
	else if (off > TCP_MAX_WINDOW)
		return gap(fw, tls, seq, data, len, c);
	else if (off < len)
		/* begins with what was there before, or is not ours: as it came */
		walk(fw, tls, data + off, len - off, false, c);
	return false;
}

/* @len bytes of the frame from @off on, in one piece */
static const uint8_t *flat(struct fw *fw, const struct fw_frame *frame, uint32_t off,
			   uint32_t len)
{
	uint32_t n;

	if (off >= frame->hdr_len)
		return frame->data + (off - frame->hdr_len);
	if (off + len <= frame->hdr_len)
		return frame->hdr + off;
	n = frame->hdr_len - off;
	memcpy(fw->rx_flat, frame->hdr + off, n);
	memcpy(fw->rx_flat + n, frame->data, len - n);
	return fw->rx_flat;
}

/**
 * fw_tls_rx() - a TCP packet with a good checksum, on its way to the host
 * @fw: the port
 * @h: its headers
 * @p: its first bytes, headers and all
 * @frame: the frame; not longer than the MTU allows
 * @opened: the frame to deliver instead, if it was opened; valid until the next call
 * @c: what its completion says of TLS is filled in
 *
 * hardware.rst, "TLS receive".
 *
 * Return: true if it was opened.
 */
bool fw_tls_rx(struct fw *fw, const struct fw_headers *h, const uint8_t *p,
	       const struct fw_frame *frame, struct fw_frame *opened, struct sealnic_rxc *c)
{
	const uint8_t *tcp = p + h->l4_off, *data;
	uint32_t hdr_len = (tcp[12] >> 4) * 4u, off, len, total;
	struct fw_tuple tuple;
	struct fw_tls *tls;

	if (hdr_len < 20 || hdr_len >= h->l4_len || (tcp[13] & (TCP_SYN | TCP_RST)))
		return false;
	packet_tuple(h, p, &tuple);
	tls = find(fw, &tuple);
	if (!tls)
		return false;
	c->tls_ctx = fw_le32(tls->id);

	off = h->l4_off + hdr_len;
	len = h->l4_len - hdr_len;
	data = flat(fw, frame, off, len);
	if (!payload(fw, tls, fw_get_be32(tcp + 4), data, len, c)) {
		fw->n.tls_rx_skip++;
		fw->n.tls_rx_skip_bytes += len;
		return false;
	}
	c->flags |= fw_le32(SEALNIC_RX_TLS_OPENED);
	fw->n.tls_rx_packets++;
	fw->n.tls_rx_bytes += len;

	/* a short frame is padded behind the IP packet */
	total = frame->hdr_len + frame->data_len;
	if (off + len < total)
		memcpy(fw->rx_stage + len, flat(fw, frame, off + len, total - off - len),
		       total - off - len);
	*opened = (struct fw_frame){
		.hdr = p,
		.hdr_len = off,
		.data = fw->rx_stage,
		.data_len = total - off,
	};
	return true;
}

/* ---- for tests of the host ---- */

/**
 * fw_tls_lose() - forget the place of every receive context
 * @fw: the port
 */
void fw_tls_lose(struct fw *fw)
{
	for (uint32_t i = 0; i < fw->tls_used; i++) {
		struct fw_tls *tls = &fw->tls[i];

		if (tls->id && tls->rx && tls->state == SEALNIC_TLS_IN_SYNC)
			lost(fw, tls, tls->tcp_seq);
	}
}

/**
 * fw_tls_spoil() - find records bad that are good
 * @fw: the port
 * @records: how many of those that end from now on
 */
void fw_tls_spoil(struct fw *fw, uint32_t records)
{
	fw->tls_spoil = records;
}
