// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Frames without TLS: transmit with scatter-gather, checksums, segmentation,
 * VLAN tags; receive with filters, checksums, hashes, buffers; queue pairs that
 * die of bad descriptors and others that live on.
 */
#include "fw_harness.h"

#define MAX_L2	(9000 + 18)

static uint8_t data[1u << 17];

static void fill_data(uint64_t seed)
{
	struct rnd r = { seed };

	rnd_fill(&r, data, sizeof(data));
}

/* ---- transmit ---- */

static void plain_frames(void)
{
	static const uint32_t lens[] = { 14, 15, 60, 61, 1514, 9018 };
	struct host *h = host_up(1);
	struct rnd r = { 3 };

	fill_data(1);
	for (uint32_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		for (uint32_t k = 1; k <= SEALNIC_MAX_PKT_DESC; k += k < 4 ? 1 : 7) {
			struct packet p = { .data = data + i, .len = lens[i] };

			if (k > lens[i])
				continue;
			for (uint32_t n = k, left = lens[i]; n > 1; n--) {
				uint32_t cut = 1 + rnd_below(&r, left - n + 1);

				p.cuts[p.n_cuts++] = cut;
				left -= cut;
			}
			if (k == 1)
				p.together = true;
			send_packet(h, 0, &p);
			if (!CHECK_EQ(h->n_frames, 1))
				continue;
			CHECK_EQ(h->frames[0].len, lens[i]);
			CHECK(!memcmp(h->frames[0].bytes, data + i, lens[i]));
			drop_frames(h);
		}
	}
	CHECK_EQ(tx_cons(h, 0), h->qp[0].tx_prod);
	CHECK_EQ(h->seg->errors, 0);
	host_free(h);
}

static void tx_counts(void)
{
	struct host *h = host_up(1);
	struct packet p = { .data = data, .len = 100 };

	for (int i = 0; i < 5; i++)
		send_packet(h, 0, &p);
	CHECK_EQ(get_stats(h).tx_packets, 5);
	CHECK_EQ(get_stats(h).tx_bytes, 500);
	CHECK_EQ(get_stats(h).tx_tso_packets, 0);
	host_free(h);
}

/* v4 and v6, TCP and UDP, odd and even lengths, with and without a tag to insert */
static void checksum_offload(void)
{
	struct host *h = host_up(1);

	fill_data(2);
	for (uint32_t i = 0; i < 16 * 40; i++) {
		bool v6 = i & 1, udp = i & 2, tag = i & 4, one = i & 8;
		uint32_t len = i / 16 < 20 ? i / 16 : i / 16 * 37 % 1440;
		struct headers hd = udp ? udp_headers(v6, len) :
					  tcp_headers(v6, 0x01020304, 0x18, i / 16 % 11 * 4);
		struct packet p = { .hdr = hd.bytes, .hdr_len = hd.len, .data = data, .len = len,
				    .flags = SEALNIC_TX_CSUM, .l4 = hd.l4, .tci = 0xa123,
				    .csum_off = hd.csum_off, .together = one };
		struct view v;

		put_pseudo(&hd, v6, len);
		if (tag)
			p.flags |= SEALNIC_TX_VLAN;
		send_packet(h, 0, &p);
		if (!CHECK_EQ(h->n_frames, 1))
			continue;
		CHECK(read_frame(&v, h->frames[0].bytes, h->frames[0].len));
		CHECK(v.ip_good);
		CHECK(v.l4_good);
		CHECK_EQ(v.len, len);
		CHECK(!memcmp(v.payload, data, len));
		CHECK_EQ(v.vlan, tag);
		CHECK(!tag || v.tci == 0xa123);
		CHECK(!memcmp(h->frames[0].bytes, hd.bytes, 12));
		drop_frames(h);
	}
	CHECK_EQ(h->seg->errors, 0);
	host_free(h);
}

/* A datagram made to sum up to 0xffff: its checksum of 0 must go out as 0xffff */
static void checksum_zero(void)
{
	struct host *h = host_up(1);

	fill_data(3);
	for (int v6 = 0; v6 < 2; v6++) {
		uint8_t payload[20] = { 9, 8, 7 }, frame[128];
		struct headers hd = udp_headers(v6, sizeof(payload));
		struct packet p = { .hdr = hd.bytes, .hdr_len = hd.len, .data = payload,
				    .len = sizeof(payload), .flags = SEALNIC_TX_CSUM,
				    .l4 = hd.l4, .csum_off = 6 };
		struct view v;

		/* what the checksum is now, put into the payload, takes the sum to -0 */
		finish_frame(frame, &hd, v6, payload, sizeof(payload));
		memcpy(payload + 18, frame + hd.l4 + 6, 2);
		put_pseudo(&hd, v6, sizeof(payload));
		send_packet(h, 0, &p);
		if (!CHECK_EQ(h->n_frames, 1))
			continue;
		CHECK(read_frame(&v, h->frames[0].bytes, h->frames[0].len));
		CHECK_EQ(v.l4_sum, 0xffff);
		CHECK(v.l4_good);
		drop_frames(h);
	}
	host_free(h);
}

static void vlan_insert(void)
{
	struct host *h = host_up(1);
	static const uint32_t lens[] = { 14, 60, 9014 };

	fill_data(4);
	for (int i = 0; i < 3; i++) {
		struct packet p = { .data = data, .len = lens[i], .flags = SEALNIC_TX_VLAN,
				    .tci = 0xefff };
		const uint8_t *f;

		send_packet(h, 0, &p);
		if (!CHECK_EQ(h->n_frames, 1))
			continue;
		f = h->frames[0].bytes;
		CHECK_EQ(h->frames[0].len, lens[i] + 4);
		CHECK(!memcmp(f, data, 12));
		CHECK(!memcmp(f + 12, "\x81\x00\xef\xff", 4));
		CHECK(!memcmp(f + 16, data + 12, lens[i] - 12));
		drop_frames(h);
	}
	host_free(h);
}

/* One packet through TSO, every frame checked */
static void check_tso(struct host *h, const struct packet *p, const struct headers *hd, bool v6,
		      uint32_t seq, uint8_t flags, bool inner_tag)
{
	uint32_t off = 0;

	for (uint32_t i = 0; i < h->n_frames; i++) {
		bool first = !i, last = i + 1 == h->n_frames;
		uint8_t want = flags;
		struct view v;

		if (!CHECK(read_frame(&v, h->frames[i].bytes, h->frames[i].len)))
			return;
		CHECK_EQ(v.v6, v6);
		CHECK(v.ip_good);
		CHECK(v.l4_good);
		CHECK_EQ(v.seq, seq + off);
		CHECK_EQ(v.len, last ? p->len - off : p->mss);
		if (off + v.len > p->len)
			break;
		CHECK(!memcmp(v.payload, (const uint8_t *)p->data + off, v.len));
		if (!v6)
			CHECK_EQ(v.ip_id, (uint16_t)(0xfffe + i));
		if (!last)
			want &= (uint8_t)~0x09; /* FIN, PSH */
		if (!first)
			want &= 0x7f; /* CWR */
		CHECK_EQ(v.tcp_flags, want);
		CHECK_EQ(v.vlan, inner_tag || (p->flags & SEALNIC_TX_VLAN));
		if (p->flags & SEALNIC_TX_VLAN)
			CHECK_EQ(v.tci, p->tci);
		/* options and addresses are copied */
		CHECK(!memcmp(v.payload - (hd->len - hd->l4 - 20), hd->bytes + hd->l4 + 20,
			      hd->len - hd->l4 - 20));
		CHECK(!memcmp(h->frames[i].bytes, hd->bytes, 12));
		off += v.len;
	}
	CHECK_EQ(off, p->len);
}

/* A tag that the host has put into the headers itself */
static void put_tag(struct headers *hd)
{
	memmove(hd->bytes + 16, hd->bytes + 12, hd->len - 12);
	memcpy(hd->bytes + 12, "\x81\x00\x00\x07", 4);
	hd->len += 4;
	hd->l3 += 4;
	hd->l4 += 4;
}

static void segmentation(void)
{
	static const uint32_t lens[] = { 1, 2, 63, 64, 65, 127, 1447, 1448, 1449, 2896, 2897,
					 30001, 65535, 65536 };
	static const uint16_t mss[] = { 64, 65, 536, 1447, 1448, 8900 };
	struct host *h = host_up(1);
	struct rnd r = { 6 };
	uint64_t cut = 0;

	fill_data(5);
	for (uint32_t i = 0; i < 4 * 14 * 6; i++) {
		bool v6 = i & 1, tag = i & 2;
		uint32_t len = lens[i / 4 % 14], m = mss[i / 56], seq = UINT32_MAX - 20000;
		uint8_t flags = (uint8_t)(rnd(&r) | 0x10);
		bool inner = !tag && rnd_below(&r, 4) == 0;
		struct headers hd = tcp_headers(v6, seq, flags, rnd_below(&r, 11) * 4);
		struct packet p = { .data = data, .len = len, .mss = (uint16_t)m,
				    .flags = SEALNIC_TX_TSO, .tci = 0x0fff };

		if (tag)
			p.flags |= SEALNIC_TX_VLAN;
		if (rnd_below(&r, 2))
			p.flags |= SEALNIC_TX_CSUM;
		if (inner)
			put_tag(&hd);
		p.hdr = hd.bytes;
		p.hdr_len = hd.len;
		p.l3 = hd.l3;
		p.l4 = hd.l4;
		p.together = rnd_below(&r, 2);
		if (rnd_below(&r, 2)) {
			p.n_cuts = 1 + rnd_below(&r, 30);
			for (uint32_t c = 0; c < p.n_cuts; c++)
				p.cuts[c] = 1 + rnd_below(&r, 1 + (hd.len + len) / p.n_cuts);
		}
		if (len == 65536)
			p.n_cuts = 0;
		send_packet(h, 0, &p);
		cut += len > m;
		CHECK_EQ(h->n_frames, (len + m - 1) / m);
		check_tso(h, &p, &hd, v6, seq, flags, inner);
		drop_frames(h);
	}
	CHECK_EQ(get_stats(h).tx_tso_packets, cut);
	CHECK_EQ(h->seg->errors, 0);
	host_free(h);
}

/* What a raw socket may send: dropped and counted, the queue pair lives */
static void tso_of_something_else(void)
{
	struct host *h = host_up(1);
	struct packet p;
	struct headers hd;

	for (int i = 0; i < 6; i++) {
		hd = tcp_headers(i == 5, 1, 0x10, 0);
		if (i == 0)
			hd.bytes[12] = 0x88;		/* not IP */
		else if (i == 1)
			hd.bytes[hd.l3 + 9] = 17;	/* not TCP */
		else if (i == 2)
			hd.bytes[hd.l3] = 0x46;		/* another header length */
		else if (i == 3)
			hd.bytes[hd.l4 + 12] = 0x60;	/* another header length */
		else if (i == 4)
			hd.bytes[hd.l3] = 0x65;		/* not version 4 */
		else
			hd.bytes[hd.l3] = 0x45;		/* not version 6 */
		p = (struct packet){ .hdr = hd.bytes, .hdr_len = hd.len, .data = data, .len = 3000,
				     .mss = 1000, .flags = SEALNIC_TX_TSO, .l3 = hd.l3,
				     .l4 = hd.l4 };
		send_packet(h, 0, &p);
		CHECK_EQ(h->n_frames, 0);
		CHECK_EQ(get_stats(h).err_desc, i + 1);
		CHECK_EQ(tx_cons(h, 0), h->qp[0].tx_prod);
	}
	/* no payload at all */
	hd = tcp_headers(false, 1, 0x10, 0);
	p.hdr = hd.bytes;
	p.l4 = hd.l4;
	p.len = 0;
	send_packet(h, 0, &p);
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(get_stats(h).err_desc, 7);
	p.len = 3000;
	/* IPv4 options to a length that no IPv4 header has */
	hd = tcp_headers(false, 1, 0x10, 0);
	memmove(hd.bytes + hd.l4 + 108, hd.bytes + hd.l4, 20);
	hd.l4 += 108; /* 128 bytes: 0x40 | 32 looks like version 6 */
	hd.len += 108;
	hd.bytes[hd.l3] = 0x60;
	p.hdr = hd.bytes;
	p.hdr_len = hd.len;
	p.l4 = hd.l4;
	send_packet(h, 0, &p);
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(get_stats(h).err_desc, 8);
	drain_events(h);
	CHECK_EQ(count_events(h, SEALNIC_EV_QP_ERROR), 0);
	host_free(h);
}

static void wire_not_ready(void)
{
	struct packet p = { .data = data, .len = 100 };
	struct host *h = host_up(1);

	h->wire_credit = 3;
	for (int i = 0; i < 5; i++)
		post_packet(h, 0, &p);
	kick(h, 0);
	CHECK_EQ(h->n_frames, 3);
	CHECK_EQ(tx_cons(h, 0), 3);
	CHECK(get_stats(h).tx_pause > 0);
	/* without a doorbell: the platform knows that the wire is ready */
	h->wire_credit = 10;
	host_run(h);
	CHECK_EQ(h->n_frames, 5);
	CHECK_EQ(tx_cons(h, 0), 5);
	host_free(h);
}

static void stalled_port(void)
{
	struct packet p = { .data = data, .len = 100 };
	struct host *h = host_up(1);

	fw_set_stall(h->fw, true);
	send_packet(h, 0, &p);
	CHECK_EQ(h->n_frames, 0);
	fw_set_stall(h->fw, false);
	host_run(h);
	CHECK_EQ(h->n_frames, 1);
	host_free(h);
}

static void tx_ring_wraps(void)
{
	struct packet p = { .data = data, .len = 60, .cuts = { 20, 20 }, .n_cuts = 2 };
	struct host *h = host_up(1);
	struct sealnic_qp_status *st = host_at(h, h->qp[0].status, 64);

	for (uint32_t i = 0; i < 400; i++) {
		p.data = data + i;
		send_packet(h, 0, &p);
		if (!CHECK_EQ(h->n_frames, 1) || !CHECK_EQ(tx_cons(h, 0), 3 * i + 3))
			break;
		CHECK(!memcmp(h->frames[0].bytes, data + i, 60));
		CHECK_EQ(st->tx_kick, h->qp[0].tx_prod);
		drop_frames(h);
	}
	/* full to the brim */
	p.n_cuts = 0;
	for (uint32_t i = 0; i < 256; i++)
		post_packet(h, 0, &p);
	kick(h, 0);
	CHECK_EQ(h->n_frames, 256);
	CHECK_EQ(h->seg->errors, 0);
	host_free(h);
}

static void queues_take_turns(void)
{
	struct headers hd = tcp_headers(false, 1, 0x10, 0);
	struct packet p = { .hdr = hd.bytes, .hdr_len = hd.len, .data = data, .len = 65536,
			    .mss = 1448, .flags = SEALNIC_TX_TSO, .l3 = hd.l3, .l4 = hd.l4 };
	struct packet other = { .data = data, .len = 60 };
	struct host *h = host_up(2);
	uint32_t i;

	for (i = 0; i < 32; i++)
		post_packet(h, 0, &p);
	post_packet(h, 1, &other);
	ring(h, 1);
	ring(h, 2);
	host_run(h);
	for (i = 0; i < h->n_frames && h->frames[i].len != 60; i++)
		;
	/* 32 packets are 1472 frames */
	CHECK_EQ(h->n_frames, 1473);
	CHECK(i < 400);
	host_free(h);
}

/* ---- what kills a queue pair, and what stays alive ---- */

static void expect_dead(struct host *h, uint32_t q, enum sealnic_syndrome syn, const char *what)
{
	const struct sealnic_event *ev;
	struct packet p = { .data = data, .len = 77 };
	bool good = true;

	drain_events(h);
	good &= CHECK_EQ(count_events(h, SEALNIC_EV_QP_ERROR), 1);
	ev = find_event(h, SEALNIC_EV_QP_ERROR);
	if (ev) {
		good &= CHECK_EQ(ev->qp_error.qp, q);
		good &= CHECK_EQ(ev->qp_error.syndrome, syn);
	}
	h->n_events = 0;
	good &= CHECK_EQ(h->n_frames, 0);
	good &= CHECK_EQ(h->seg->state, SEALNIC_STATE_RUN);
	/* dead: even a good packet stays where it is */
	send_packet(h, q, &p);
	good &= CHECK_EQ(h->n_frames, 0);
	/* the other queue pair does not notice */
	send_packet(h, !q, &p);
	good &= CHECK_EQ(h->n_frames, 1);
	drop_frames(h);
	good &= CHECK_EQ(destroy_qp(h, q), SEALNIC_OK);
	good &= CHECK_EQ(create_qp(h, q, 8, 7), SEALNIC_OK);
	send_packet(h, q, &p);
	good &= CHECK_EQ(h->n_frames, 1);
	drop_frames(h);
	if (!good)
		printf("# after: %s\n", what);
}

static void bad_descriptors(void)
{
	const uint64_t ok = LOW_BASE + 8192, end = HIGH_BASE + (4u << 20);
	const uint8_t l4 = 34, hdr = 54;
	const struct {
		const char *what;
		enum sealnic_syndrome syn;
		struct sealnic_txd d[2];
	} bad[] = {
		{ "type 0", SEALNIC_SYN_BAD_DESC, { { .count = 1, .len = 60, .addr = ok } } },
		{ "type 5", SEALNIC_SYN_BAD_DESC, { { 5, 1, 0, 60, ok, { { 0 } } } } },
		{ "type 255", SEALNIC_SYN_BAD_DESC, { { 255, 1, 0, 60, ok, { { 0 } } } } },
		{ "SEG first", SEALNIC_SYN_BAD_DESC, { { 2, 1, 0, 60, ok, { { 0 } } } } },
		{ "count 0", SEALNIC_SYN_BAD_DESC, { { 1, 0, 0, 60, ok, { { 0 } } } } },
		{ "count more than posted", SEALNIC_SYN_BAD_DESC,
		  { { 1, 3, 0, 60, ok, { { 0 } } }, { 2, 0, 0, 60, ok, { { 0 } } } } },
		{ "count 33", SEALNIC_SYN_BAD_DESC, { { 1, 33, 0, 60, ok, { { 0 } } } } },
		{ "PKT in a packet", SEALNIC_SYN_BAD_DESC,
		  { { 1, 2, 0, 60, ok, { { 0 } } }, { 1, 1, 0, 60, ok, { { 0 } } } } },
		{ "length 0", SEALNIC_SYN_BAD_DESC, { { 1, 1, 0, 0, ok, { { 0 } } } } },
		{ "SEG of length 0", SEALNIC_SYN_BAD_DESC,
		  { { 1, 2, 0, 60, ok, { { 0 } } }, { 2, 0, 0, 0, ok, { { 0 } } } } },
		{ "13 bytes", SEALNIC_SYN_BAD_DESC, { { 1, 1, 0, 13, ok, { { 0 } } } } },
		{ "over the MTU", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, 0, MAX_L2 + 1, ok, { { 0 } } } } },
		{ "length 2^32 - 1", SEALNIC_SYN_BAD_DESC, { { 1, 1, 0, ~0u, ok, { { 0 } } } } },
		{ "lengths that sum up to 2^32", SEALNIC_SYN_BAD_DESC,
		  { { 1, 2, 0, 60, ok, { { 0 } } }, { 2, 0, 0, -60u + 20, ok, { { 0 } } } } },
		{ "address in the hole", SEALNIC_SYN_BAD_ADDR,
		  { { 1, 1, 0, 60, HOLE_ADDR, { { 0 } } } } },
		{ "address 0", SEALNIC_SYN_BAD_ADDR, { { 1, 1, 0, 60, 0, { { 0 } } } } },
		{ "over the end of memory", SEALNIC_SYN_BAD_ADDR,
		  { { 1, 1, 0, 60, end - 59, { { 0 } } } } },
		{ "over the end of the world", SEALNIC_SYN_BAD_ADDR,
		  { { 1, 1, 0, 60, -30ull, { { 0 } } } } },
		{ "SEG in the hole", SEALNIC_SYN_BAD_ADDR,
		  { { 1, 2, 0, 60, ok, { { 0 } } }, { 2, 0, 0, 60, HOLE_ADDR, { { 0 } } } } },
		{ "checksum starts in the Ethernet header", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, SEALNIC_TX_CSUM, 60, ok, { { .l4_off = 13, .csum_off = 6 } } } } },
		{ "checksum field over the end", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, SEALNIC_TX_CSUM, 60, ok, { { .l4_off = 34, .csum_off = 25 } } } } },
		{ "checksum far away", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, SEALNIC_TX_CSUM, 60, ok, { { .l4_off = 255, .csum_off = 255 } } } } },
		{ "TSO: mss 0", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, SEALNIC_TX_TSO, 600, ok, { { 0, 0, 14, l4, 0, hdr, 0, { 0 } } } } } },
		{ "TSO: mss 63", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, SEALNIC_TX_TSO, 600, ok, { { 63, 0, 14, l4, 0, hdr, 0, { 0 } } } } } },
		{ "TSO: segments over the MTU", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, SEALNIC_TX_TSO, 9100, ok,
		      { { 9000, 0, 14, l4, 0, hdr, 0, { 0 } } } } } },
		{ "TSO: l3 in the Ethernet header", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, SEALNIC_TX_TSO, 600, ok, { { 100, 0, 13, l4, 0, hdr, 0, { 0 } } } } } },
		{ "TSO: l4 before l3 ends", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, SEALNIC_TX_TSO, 600, ok, { { 100, 0, 14, 33, 0, hdr, 0, { 0 } } } } } },
		{ "TSO: headers end in TCP's", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, SEALNIC_TX_TSO, 600, ok, { { 100, 0, 14, l4, 0, 53, 0, { 0 } } } } } },
		{ "an unknown flag", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, SEALNIC_TX_TLS << 1, 60, ok, { { 0 } } } } },
		{ "TSO: shorter than its headers", SEALNIC_SYN_BAD_DESC,
		  { { 1, 1, SEALNIC_TX_TSO, 40, ok, { { 100, 0, 14, l4, 0, hdr, 0, { 0 } } } } } },
		{ "TSO: over 64 KB", SEALNIC_SYN_BAD_DESC,
		  { { 1, 2, SEALNIC_TX_TSO, 65536, ok, { { 100, 0, 14, l4, 0, hdr, 0, { 0 } } } },
		    { 2, 0, 0, 55, ok, { { 0 } } } } },
		{ "replay of nothing", SEALNIC_SYN_BAD_DESC, { { 4, 1, 0, 0, ok, { { 0 } } } } },
		{ "replay of too much", SEALNIC_SYN_BAD_DESC,
		  { { 4, 1, 0, 65537, ok, { { 0 } } } } },
		{ "replay from the hole", SEALNIC_SYN_BAD_ADDR,
		  { { 4, 1, 0, 16, HOLE_ADDR, { { 0 } } } } },
	};
	struct host *h = host_up(2);

	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t errors = h->seg->errors;

		post_txd(h, 0, &bad[i].d[0]);
		if (bad[i].d[1].type)
			post_txd(h, 0, &bad[i].d[1]);
		kick(h, 0);
		CHECK_EQ(h->seg->errors, errors + 1);
		expect_dead(h, 0, bad[i].syn, bad[i].what);
	}
	host_free(h);
}

/* The rest of the packet stands in the ring, but was not posted */
static void packet_posted_in_part(void)
{
	struct packet p = { .data = data, .len = 300, .cuts = { 100, 100 }, .n_cuts = 2 };
	struct host *h = host_up(2);

	post_packet(h, 0, &p);
	h->db[0].tx_prod = 2;
	kick(h, 0);
	expect_dead(h, 0, SEALNIC_SYN_BAD_DESC, "two of three");
	host_free(h);
}

static void good_ones_before_the_bad(void)
{
	struct packet p = { .data = data, .len = 100 };
	struct sealnic_txd d = { .type = 9 };
	struct host *h = host_up(1);

	post_packet(h, 0, &p);
	post_packet(h, 0, &p);
	post_txd(h, 0, &d);
	h->db[0].arm++;
	kick(h, 0);
	/* they are sent, completed, announced */
	CHECK_EQ(h->n_frames, 2);
	CHECK_EQ(tx_cons(h, 0), 2);
	CHECK_EQ(h->irqs[1], 1);
	CHECK_EQ(get_stats(h).err_desc, 1);
	host_free(h);
}

static void indices_too_far_ahead(void)
{
	struct host *h = host_up(2);
	struct headers hd = udp_headers(false, 0);

	h->db[0].tx_prod = 257;
	kick(h, 0);
	CHECK_EQ(get_stats(h).err_index, 1);
	expect_dead(h, 0, SEALNIC_SYN_BAD_INDEX, "tx_prod");
	h->db[0].tx_prod = h->qp[0].tx_prod - 1;
	kick(h, 0);
	CHECK_EQ(get_stats(h).err_index, 2);
	expect_dead(h, 0, SEALNIC_SYN_BAD_INDEX, "tx_prod moved back");
	h->db[0].rx_prod = 129;
	memcpy(hd.bytes, mac_a, 6);
	CHECK_EQ(offer(h, hd.bytes, hd.len, hd.len, true), FW_RX_TAKEN);
	CHECK_EQ(get_stats(h).err_index, 3);
	expect_dead(h, 0, SEALNIC_SYN_BAD_INDEX, "rx_prod");
	host_free(h);
}

static void rewrite_ring(struct host *h, const struct fw_frame *frame)
{
	(void)frame;
	/* a guest that turns its descriptors into nonsense while they are at work */
	memset(host_at(h, h->qp[0].tx, 256 * 32), 0xff, 256 * 32);
}

static void descriptors_rewritten_meanwhile(void)
{
	struct headers hd = tcp_headers(false, 1, 0x10, 0);
	struct packet p = { .hdr = hd.bytes, .hdr_len = hd.len, .data = data, .len = 10000,
			    .mss = 1000, .flags = SEALNIC_TX_TSO, .l3 = hd.l3, .l4 = hd.l4,
			    .cuts = { 20, 50, 3000 }, .n_cuts = 3 };
	struct host *h = host_up(2);

	fill_data(7);
	h->on_tx = rewrite_ring;
	send_packet(h, 0, &p);
	h->on_tx = NULL;
	/* the packet is what it was when it was fetched */
	CHECK_EQ(h->n_frames, 10);
	check_tso(h, &p, &hd, false, 1, 0x10, false);
	drop_frames(h);
	CHECK_EQ(h->seg->errors, 0);
	send_packet(h, 1, &p);
	CHECK_EQ(h->n_frames, 10);
	host_free(h);
}

static uint64_t watched;
static uint32_t watched_hits;

/* The second look at a watched descriptor finds another one */
static void rewrite_on_second_look(struct host *h, uint64_t addr, uint32_t len)
{
	(void)len;
	if (addr == watched && ++watched_hits == 2) {
		struct sealnic_rxd *d = host_at(h, addr, sizeof(*d));

		d->len = *(uint32_t *)h->hook_arg;
	}
}

static void rx_buffer_rewritten_meanwhile(void)
{
	static const uint32_t lens[] = { 0, 1, 100, 255, 256, 600, 16384, UINT32_MAX };
	static uint8_t frame[1514];
	struct host *h = host_up(2);

	memcpy(frame, mac_a, 6);
	for (uint32_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct sealnic_rxc c;
		uint32_t len = lens[i];

		/* two buffers of 1024 at the very end of memory: one byte over is too much */
		post_rx(h, 0, h->arena[0], 1024);
		post_rx(h, 0, HIGH_BASE + (4u << 20) - 1024, 1024);
		watched = h->qp[0].rx + ((h->qp[0].rx_prod - 1) & 127) * 16ull;
		watched_hits = 0;
		h->hook_arg = &len;
		h->on_dma = rewrite_on_second_look;
		offer(h, frame, sizeof(frame), sizeof(frame), false);
		h->on_dma = NULL;
		CHECK(watched_hits >= 2);
		CHECK_EQ(h->seg->errors, 0);
		if (CHECK(take_rxc(h, 0, &c)))
			CHECK_EQ(c.len, 1024);
		if (CHECK(take_rxc(h, 0, &c)))
			CHECK_EQ(c.len, len < 490 ? len : 490);
		CHECK(!(c.ctl & SEALNIC_RXC_MORE));
	}
	host_free(h);
}

/* ---- receive ---- */

struct filter_case {
	const char *what;
	uint32_t flags;
	uint8_t mac[6];
	bool taken;
};

static void address_filters(void)
{
	static const struct filter_case cases[] = {
		{ "own", 0, { 0x02, 0x5e, 0xa1, 0, 0, 0x0a }, true },
		{ "other", 0, { 0x02, 0x5e, 0xa1, 0, 0, 0x0b }, false },
		{ "other, promiscuous", SEALNIC_RX_PROMISC, { 2, 0x5e, 0xa1, 0, 0, 0x0b }, true },
		{ "unicast list", 0, { 0x02, 1, 1, 1, 1, 31 }, true },
		{ "not in unicast list", 0, { 0x02, 1, 1, 1, 1, 32 }, false },
		{ "multicast list", 0, { 0x01, 0, 0x5e, 0, 0, 63 }, true },
		{ "not in multicast list", 0, { 0x01, 0, 0x5e, 0, 0, 64 }, false },
		{ "all multicast", SEALNIC_RX_ALLMULTI, { 0x33, 0x33, 1, 2, 3, 4 }, true },
		{ "all multicast is not unicast", SEALNIC_RX_ALLMULTI, { 4, 3, 2, 1, 0, 0 }, false },
		{ "broadcast", SEALNIC_RX_BROADCAST, { 255, 255, 255, 255, 255, 255 }, true },
		{ "no broadcast", SEALNIC_RX_ALLMULTI, { 255, 255, 255, 255, 255, 255 }, false },
	};
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_SET_RX_MODE };
	struct host *h = host_up(1);
	struct sealnic_mac *list = host_at(h, h->scratch, 96 * 8);
	uint8_t frame[60] = { 0 };

	post_buffers(h, 0, 100, 2048);
	for (uint32_t i = 0; i < 32; i++)
		memcpy(list[i].addr, (uint8_t[]){ 2, 1, 1, 1, 1, (uint8_t)i }, 6);
	for (uint32_t i = 0; i < 64; i++)
		memcpy(list[32 + i].addr, (uint8_t[]){ 1, 0, 0x5e, 0, 0, (uint8_t)i }, 6);
	cmd.rx_mode.uc_count = 32;
	cmd.rx_mode.mc_count = 64;
	cmd.data_addr = h->scratch;
	cmd.data_len = 96 * 8;
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t rx = get_stats(h).rx_packets, out = get_stats(h).rx_filtered;

		cmd.rx_mode.flags = cases[i].flags;
		CHECK_EQ(command(h, &cmd, NULL), SEALNIC_OK);
		memcpy(frame, cases[i].mac, 6);
		offer(h, frame, sizeof(frame), sizeof(frame), false);
		if (!CHECK_EQ(get_stats(h).rx_packets - rx, cases[i].taken) ||
		    !CHECK_EQ(get_stats(h).rx_filtered - out, !cases[i].taken))
			printf("# %s\n", cases[i].what);
	}
	/* a runt */
	memcpy(frame, mac_a, 6);
	offer(h, frame, 17, 17, false);
	offer(h, frame, 5, 5, false);
	offer(h, frame, 0, 0, false);
	CHECK_EQ(get_stats(h).rx_filtered, 8);
	host_free(h);
}

/* Verifying the RSS hash calculation, Windows driver documentation */
static const uint8_t rss_key[SEALNIC_RSS_KEY] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const struct {
	uint8_t dst[4], src[4];
	uint16_t dport, sport;
	uint32_t ip, tcp;
} rss4[] = {
	{ { 161, 142, 100, 80 }, { 66, 9, 149, 187 }, 1766, 2794, 0x323e8fc2, 0x51ccc178 },
	{ { 65, 69, 140, 83 }, { 199, 92, 111, 2 }, 4739, 14230, 0xd718262a, 0xc626b0ea },
	{ { 12, 22, 207, 184 }, { 24, 19, 198, 95 }, 38024, 12898, 0xd2d0a5de, 0x5c2b394a },
	{ { 209, 142, 163, 6 }, { 38, 27, 205, 30 }, 2217, 48228, 0x82989176, 0xafc7327f },
	{ { 202, 188, 127, 2 }, { 153, 39, 163, 191 }, 1303, 44251, 0x5d1809c5, 0x10e828a2 },
};

static const struct {
	uint16_t dst[8], src[8];
	uint16_t dport, sport;
	uint32_t ip, tcp;
} rss6[] = {
	{ { 0x3ffe, 0x2501, 0x200, 3, 0, 0, 0, 1 },
	  { 0x3ffe, 0x2501, 0x200, 0x1fff, 0, 0, 0, 7 }, 1766, 2794, 0x2cc18cd5, 0x40207d3d },
	{ { 0xff02, 0, 0, 0, 0, 0, 0, 1 },
	  { 0x3ffe, 0x501, 8, 0, 0x260, 0x97ff, 0xfe40, 0xefab }, 4739, 14230, 0x0f0c461c,
	  0xdde51bbf },
	{ { 0xfe80, 0, 0, 0, 0x200, 0xf8ff, 0xfe21, 0x67cf },
	  { 0x3ffe, 0x1900, 0x4545, 3, 0x200, 0xf8ff, 0xfe21, 0x67cf }, 38024, 44251, 0x4b61e985,
	  0x02d1feef },
};

static void rss(struct host *h, uint32_t types, const uint8_t table[128])
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_SET_RSS };
	struct sealnic_rss *r = host_at(h, h->scratch, sizeof(*r));

	memcpy(r->key, rss_key, sizeof(rss_key));
	r->hash_types = types;
	memcpy(r->table, table, 128);
	cmd.data_addr = h->scratch;
	cmd.data_len = sizeof(*r);
	CHECK_EQ(command(h, &cmd, NULL), SEALNIC_OK);
}

/* A frame of vector @i: 0-4 of IPv4, 5-7 of IPv6 */
static uint32_t rss_frame(uint8_t *frame, uint32_t i, uint8_t proto, uint32_t hashes[2])
{
	bool v6 = i >= 5;
	struct headers hd = proto == 17 ? udp_headers(v6, 4) : tcp_headers(v6, 1, 0x10, 0);
	uint8_t *ip = hd.bytes + 14, *l4 = hd.bytes + hd.l4;
	uint16_t sport, dport;

	if (!v6) {
		memcpy(ip + 12, rss4[i].src, 4);
		memcpy(ip + 16, rss4[i].dst, 4);
		sport = rss4[i].sport;
		dport = rss4[i].dport;
		hashes[0] = rss4[i].ip;
		hashes[1] = rss4[i].tcp;
	} else {
		for (int w = 0; w < 8; w++) {
			ip[8 + 2 * w] = (uint8_t)(rss6[i - 5].src[w] >> 8);
			ip[9 + 2 * w] = (uint8_t)rss6[i - 5].src[w];
			ip[24 + 2 * w] = (uint8_t)(rss6[i - 5].dst[w] >> 8);
			ip[25 + 2 * w] = (uint8_t)rss6[i - 5].dst[w];
		}
		sport = rss6[i - 5].sport;
		dport = rss6[i - 5].dport;
		hashes[0] = rss6[i - 5].ip;
		hashes[1] = rss6[i - 5].tcp;
	}
	l4[0] = (uint8_t)(sport >> 8);
	l4[1] = (uint8_t)sport;
	l4[2] = (uint8_t)(dport >> 8);
	l4[3] = (uint8_t)dport;
	if (proto != 6 && proto != 17)
		ip[v6 ? 6 : 9] = proto;
	memcpy(hd.bytes, mac_a, 6);
	return finish_frame(frame, &hd, v6, "abcd", 4);
}

static void rss_vectors(void)
{
	struct host *h = host_up(8);
	uint8_t table[128], frame[128], out[2048];
	struct rnd r = { 8 };

	for (int i = 0; i < 128; i++)
		table[i] = (uint8_t)rnd_below(&r, 8);
	for (uint32_t q = 0; q < 8; q++)
		post_buffers(h, q, 120, 2048);
	for (uint32_t k = 0; k < 8 * 3 * 4; k++) {
		uint32_t i = k % 8, hashes[2], types = 0, want_type, want, len, q;
		uint8_t proto = (const uint8_t[]){ 6, 17, 132 }[k / 8 % 3];
		uint32_t base = i < 5 ? SEALNIC_HASH_IPV4 : SEALNIC_HASH_IPV6;
		uint32_t l4 = proto == 6 ? base << 1 : proto == 17 ? base << 2 : 0;
		struct sealnic_rxc c;

		if (k / 24 & 1)
			types |= SEALNIC_HASH_IPV4 | SEALNIC_HASH_IPV6;
		if (k / 24 & 2)
			types |= 0x36;
		len = rss_frame(frame, i, proto, hashes);
		want_type = types & l4 ? l4 : types & base;
		want = !want_type ? 0 : want_type == l4 ? hashes[1] : hashes[0];
		rss(h, types, table);
		q = table[want & 127];
		/* anywhere between the two pieces of the frame */
		offer(h, frame, len, 18 + rnd_below(&r, len - 18), false);
		if (!CHECK_EQ(take_frame(h, q, out, &c), len))
			continue;
		CHECK_EQ(c.hash_type, want_type);
		CHECK_EQ(c.hash, want);
		CHECK(!memcmp(out, frame, len));
	}

	/* a fragment has no ports */
	rss(h, 0x3f, table);
	{
		uint32_t hashes[2], len = rss_frame(frame, 0, 6, hashes);
		struct sealnic_rxc c;

		frame[14 + 6] = 0x20;
		frame[14 + 7] = 0x10;
		offer(h, frame, len, len, false);
		CHECK_EQ(take_frame(h, table[hashes[0] & 127], out, &c), len);
		CHECK_EQ(c.hash_type, SEALNIC_HASH_IPV4);
		CHECK_EQ(c.hash, hashes[0]);
		/* reporting may be off, steering stays */
		set_port(h, SEALNIC_PORT_ENABLE, 1500);
		offer(h, frame, len, len, false);
		CHECK_EQ(take_frame(h, table[hashes[0] & 127], out, &c), len);
		CHECK_EQ(c.hash_type, 0);
		CHECK_EQ(c.hash, 0);
	}
	host_free(h);
}

/* Whatever the sizes of buffers and the place where the frame is split */
static void many_buffers(void)
{
	struct host *h = host_up(1);
	static uint8_t out[16384];
	struct rnd r = { 9 };

	fill_data(8);
	set_port(h, SEALNIC_PORT_ENABLE, 9000);
	for (uint32_t i = 0; i < 600; i++) {
		uint32_t len = i % 3 ? 60 + rnd_below(&r, 8955) : 9014, posted = 0, n = 0, got;
		uint32_t sizes[64];
		struct sealnic_rxc c;

		do {
			sizes[n] = 256 + rnd_below(&r, i % 2 ? 300 : 4000);
			posted += sizes[n++];
		} while (posted < len);
		for (uint32_t k = 0; k < n; k++)
			post_buffers(h, 0, 1, sizes[k]);
		memcpy(data, mac_a, 6);
		memcpy(data + 12, "\x88\xb5", 2);
		CHECK_EQ(offer(h, data, len, 18 + rnd_below(&r, len - 17), false), FW_RX_TAKEN);
		got = take_frame(h, 0, out, &c);
		if (!CHECK_EQ(got, len))
			break;
		CHECK(!memcmp(out, data, len));
		CHECK_EQ(h->qp[0].rxc_cons, h->qp[0].rx_prod);
	}
	CHECK_EQ(h->seg->errors, 0);
	CHECK_EQ(get_stats(h).rx_packets, 600);
	host_free(h);
}

static void rx_phase_and_index(void)
{
	struct host *h = host_up(1);
	uint8_t out[2048];
	struct sealnic_rxc c;

	/* take_frame() believes the phase, and checks the index */
	for (uint32_t i = 0; i < 1000; i++) {
		post_buffers(h, 0, 1, 256);
		memcpy(data, mac_a, 6);
		data[20] = (uint8_t)i;
		offer(h, data, 60 + i % 100, 60, false);
		if (!CHECK_EQ(take_frame(h, 0, out, &c), 60 + i % 100))
			break;
		CHECK_EQ(out[20], (uint8_t)i);
		CHECK_EQ(take_frame(h, 0, out, &c), 0);
	}
	host_free(h);
}

/* Good and bad sums, in frames split between any two bytes */
static void rx_checksums(void)
{
	struct host *h = host_up(1);
	uint8_t frame[256], out[2048];

	fill_data(9);
	for (uint32_t k = 0; k < 16; k++) {
		bool v6 = k & 1, udp = k & 2, tag = k & 4, odd = k & 8;
		struct headers hd = udp ? udp_headers(v6, 30 + odd) : tcp_headers(v6, 1, 0x10, 0);
		uint32_t len;

		memcpy(hd.bytes, mac_a, 6);
		len = finish_frame(frame, &hd, v6, data, 30 + odd);
		if (tag) {
			memmove(frame + 16, frame + 12, len - 12);
			memcpy(frame + 12, "\x81\x00\x20\x03", 4);
			len += 4;
		}
		for (uint32_t split = 18; split <= len; split++) {
			for (int bad = 0; bad < 3; bad++) {
				uint64_t n = get_stats(h).rx_csum_bad;
				uint32_t want = SEALNIC_RX_L3_OK | SEALNIC_RX_L4_OK;
				uint32_t at = bad == 1 ? len - 1 : bad == 2 ? 22u + tag * 4 : 0;
				struct sealnic_rxc c;

				if (bad == 2 && v6)
					continue; /* no header checksum */
				if (bad)
					frame[at] ^= 0x10;
				if (bad == 1)
					want = SEALNIC_RX_L3_OK | SEALNIC_RX_L4_BAD;
				if (bad == 2)
					want = 0; /* the TTL: IPv4 header */
				post_buffers(h, 0, 1, 2048);
				offer(h, frame, len, split, false);
				if (!CHECK_EQ(take_frame(h, 0, out, &c), len))
					goto out;
				CHECK_EQ(c.flags, want);
				CHECK_EQ(get_stats(h).rx_csum_bad, n + !!bad);
				if (bad)
					frame[at] ^= 0x10;
			}
		}
	}
out:
	host_free(h);
}

/* Frames whose checksums cannot be judged are neither good nor bad */
static void rx_checksums_not_judged(void)
{
	struct host *h = host_up(1);
	struct sealnic_rxc c;
	uint8_t frame[256], out[2048];
	struct headers hd;
	uint32_t len;

#define FLAGS(want) do { \
	post_buffers(h, 0, 1, 2048); \
	offer(h, frame, len, len, false); \
	CHECK_EQ(take_frame(h, 0, out, &c), len); \
	CHECK_EQ(c.flags, want); \
} while (0)

	fill_data(10);
	/* UDP without checksum */
	hd = udp_headers(false, 20);
	memcpy(hd.bytes, mac_a, 6);
	len = finish_frame(frame, &hd, false, data, 20);
	frame[hd.l4 + 6] = 0;
	frame[hd.l4 + 7] = 0;
	FLAGS(SEALNIC_RX_L3_OK);
	/* padded to the Ethernet minimum: still good */
	hd = udp_headers(false, 1);
	memcpy(hd.bytes, mac_a, 6);
	memset(frame, 0xaa, sizeof(frame));
	finish_frame(frame, &hd, false, data, 1);
	len = 60;
	FLAGS(SEALNIC_RX_L3_OK | SEALNIC_RX_L4_OK);
	/* a fragment */
	hd = tcp_headers(false, 1, 0x10, 0);
	memcpy(hd.bytes, mac_a, 6);
	hd.bytes[20] = 0x20;
	len = finish_frame(frame, &hd, false, data, 20);
	FLAGS(SEALNIC_RX_L3_OK);
	/* cut short on its way: the IP header promises more than there is */
	hd = tcp_headers(false, 1, 0x10, 0);
	memcpy(hd.bytes, mac_a, 6);
	len = finish_frame(frame, &hd, false, data, 100) - 1;
	FLAGS(0);
	/* IPv4 header length beyond the frame, and below its minimum */
	frame[14] = 0x4f;
	len = 40;
	FLAGS(0);
	frame[14] = 0x44;
	FLAGS(0);
	/* TCP header cut off */
	hd = tcp_headers(false, 1, 0x10, 0);
	memcpy(hd.bytes, mac_a, 6);
	hd.len -= 4;
	len = finish_frame(frame, &hd, false, data, 0);
	FLAGS(SEALNIC_RX_L3_OK);
	/* not IP */
	memcpy(frame + 12, "\x08\x06", 2);
	FLAGS(0);
	/* switched off */
	set_port(h, SEALNIC_PORT_ENABLE, 1500);
	hd = tcp_headers(false, 1, 0x10, 0);
	memcpy(hd.bytes, mac_a, 6);
	len = finish_frame(frame, &hd, false, data, 20);
	FLAGS(0);
#undef FLAGS
	CHECK_EQ(get_stats(h).rx_csum_bad, 0);
	host_free(h);
}

static void vlan_strip(void)
{
	struct host *h = host_up(1);
	uint8_t frame[1518], out[2048];
	struct sealnic_rxc c;

	fill_data(11);
	memcpy(frame, data, sizeof(frame));
	memcpy(frame, mac_a, 6);
	memcpy(frame + 12, "\x81\x00\xb1\x23\x88\xb5", 6);
	for (int strip = 0; strip < 2; strip++) {
		set_port(h, SEALNIC_PORT_ENABLE | (strip ? SEALNIC_PORT_VLAN_STRIP : 0), 1500);
		/* of a full-sized frame too, and in buffers that end anywhere */
		for (uint32_t k = 0; k < 80; k++) {
			uint32_t len = k & 1 ? sizeof(frame) : 60 + k, cut = strip ? 4 : 0;

			post_buffers(h, 0, 6, 256 + k);
			offer(h, frame, len, 18 + k, false);
			if (!CHECK_EQ(take_frame(h, 0, out, &c), len - cut))
				break;
			CHECK_EQ(c.flags & SEALNIC_RX_VLAN, strip ? SEALNIC_RX_VLAN : 0);
			CHECK_EQ(c.vlan_tci, strip ? 0xb123 : 0);
			CHECK(!memcmp(out, frame, 12));
			CHECK(!memcmp(out + 12, frame + 12 + cut, len - 12 - cut));
			/* leave no buffers behind */
			destroy_qp(h, 0);
			create_qp(h, 0, 8, 7);
		}
	}
	/* one byte more is too long, tagged or not */
	post_buffers(h, 0, 8, 2048);
	memcpy(data, frame, 18);
	offer(h, data, 1519, 1519, false);
	CHECK_EQ(get_stats(h).rx_too_long, 1);
	memcpy(data + 12, "\x88\xb5", 2);
	offer(h, data, 1515, 1515, false);
	CHECK_EQ(get_stats(h).rx_too_long, 2);
	offer(h, data, 1514, 1514, false);
	CHECK_EQ(get_stats(h).rx_too_long, 2);
	host_free(h);
}

static void out_of_buffers(void)
{
	struct host *h = host_up(1);
	struct sealnic_qp_status *st = host_at(h, h->qp[0].status, 64);
	uint8_t frame[600] = { 0 }, out[2048];
	struct sealnic_rxc c;

	memcpy(frame, mac_a, 6);
	/* without flow control: dropped and counted */
	CHECK_EQ(offer(h, frame, 600, 600, true), FW_RX_TAKEN);
	CHECK_EQ(get_stats(h).rx_no_buffer, 1);
	/* enough for a part is not enough */
	post_buffers(h, 0, 2, 256);
	CHECK_EQ(offer(h, frame, 600, 600, true), FW_RX_TAKEN);
	CHECK_EQ(get_stats(h).rx_no_buffer, 2);
	CHECK(!take_rxc(h, 0, &c));
	/* and those are used by the next frame that fits */
	CHECK_EQ(offer(h, frame, 512, 512, true), FW_RX_TAKEN);
	CHECK_EQ(take_frame(h, 0, out, &c), 512);

	set_port(h, SEALNIC_PORT_ENABLE | SEALNIC_PORT_PAUSE, 1500);
	/* the wire cannot hold it */
	CHECK_EQ(offer(h, frame, 600, 600, false), FW_RX_TAKEN);
	CHECK_EQ(get_stats(h).rx_no_buffer, 3);
	/* it can: and the host is asked to ring with its next buffer */
	post_buffers(h, 0, 1, 256);
	CHECK_EQ(offer(h, frame, 600, 600, true), FW_RX_HOLD);
	CHECK_EQ(st->rx_kick, 3);
	CHECK_EQ(offer(h, frame, 600, 600, true), FW_RX_HOLD);
	CHECK_EQ(get_stats(h).rx_no_buffer, 3);
	CHECK_EQ(get_stats(h).rx_packets, 1);
	post_buffers(h, 0, 2, 256);
	kick(h, 0);
	CHECK_EQ(offer(h, frame, 600, 600, true), FW_RX_TAKEN);
	CHECK_EQ(take_frame(h, 0, out, &c), 600);
	/* a held frame does not survive its queue pair or the port */
	CHECK_EQ(offer(h, frame, 600, 600, true), FW_RX_HOLD);
	destroy_qp(h, 0);
	CHECK_EQ(offer(h, frame, 600, 600, true), FW_RX_TAKEN);
	CHECK_EQ(get_stats(h).rx_disabled, 1);
	create_qp(h, 0, 8, 7);
	set_port(h, 0, 1500);
	CHECK_EQ(offer(h, frame, 600, 600, true), FW_RX_TAKEN);
	CHECK_EQ(get_stats(h).rx_disabled, 2);
	CHECK_EQ(h->seg->errors, 0);
	host_free(h);
}

static void buffer_at_the_last_moment(struct host *h, uint64_t addr, uint32_t len)
{
	(void)len;
	/* the device is about to write rx_kick */
	if (addr == h->qp[0].status) {
		h->on_dma = NULL;
		post_rx(h, 0, h->arena[0], 2048);
	}
}

static void buffer_between_looks(void)
{
	struct host *h = host_up(1);
	uint8_t frame[100] = { 0 };

	memcpy(frame, mac_a, 6);
	set_port(h, SEALNIC_PORT_ENABLE | SEALNIC_PORT_PAUSE, 1500);
	h->on_dma = buffer_at_the_last_moment;
	CHECK_EQ(offer(h, frame, 100, 100, true), FW_RX_TAKEN);
	CHECK_EQ(get_stats(h).rx_packets, 1);
	host_free(h);
}

static void bad_rx_descriptors(void)
{
	static const struct {
		const char *what;
		enum sealnic_syndrome syn;
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{ "length 0", SEALNIC_SYN_BAD_DESC, LOW_BASE, 0 },
		{ "length 255", SEALNIC_SYN_BAD_DESC, LOW_BASE, 255 },
		{ "length 16385", SEALNIC_SYN_BAD_DESC, LOW_BASE, 16385 },
		{ "length 2^32 - 1", SEALNIC_SYN_BAD_DESC, LOW_BASE, UINT32_MAX },
		{ "in the hole", SEALNIC_SYN_BAD_ADDR, HOLE_ADDR, 2048 },
		{ "over the end", SEALNIC_SYN_BAD_ADDR, HIGH_BASE + (4u << 20) - 99, 2048 },
		{ "end of the world", SEALNIC_SYN_BAD_ADDR, -1ull, 2048 },
	};
	struct host *h = host_up(2);
	uint8_t frame[100] = { 0 };

	memcpy(frame, mac_a, 6);
	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		post_rx(h, 0, bad[i].addr, bad[i].len);
		CHECK_EQ(offer(h, frame, 100, 100, false), FW_RX_TAKEN);
		CHECK_EQ(h->seg->errors, i + 1);
		expect_dead(h, 0, bad[i].syn, bad[i].what);
	}
	CHECK_EQ(get_stats(h).rx_packets, 0);
	host_free(h);
}

int main(void)
{
	test("frames come out as gathered, from any number of descriptors", plain_frames);
	test("transmitted frames and bytes are counted", tx_counts);
	test("checksums of TCP and UDP over IPv4 and IPv6 are filled in", checksum_offload);
	test("a UDP checksum of zero is sent as ffff", checksum_zero);
	test("VLAN tag goes behind the addresses", vlan_insert);
	test("segmentation: lengths, sequence, flags, identification, checksums", segmentation);
	test("segmentation of what is not TCP or has no payload: dropped, the queue pair lives",
	     tso_of_something_else);
	test("transmit waits for the wire and goes on", wire_not_ready);
	test("a stalled port sends nothing until it is released", stalled_port);
	test("the transmit ring wraps and may be full", tx_ring_wraps);
	test("a busy queue pair gives way to another", queues_take_turns);
	test("a bad transmit descriptor kills its queue pair and nothing else", bad_descriptors);
	test("a packet posted in part kills its queue pair", packet_posted_in_part);
	test("what was posted before a bad descriptor is sent and completed",
	     good_ones_before_the_bad);
	test("an index too far ahead kills its queue pair", indices_too_far_ahead);
	test("descriptors rewritten while a packet is sent do not matter",
	     descriptors_rewritten_meanwhile);
	test("a receive buffer rewritten between two looks is never overrun",
	     rx_buffer_rewritten_meanwhile);
	test("frames are filtered by address", address_filters);
	test("RSS: published hashes, hash types, and the indirection table", rss_vectors);
	test("frames of up to 9014 bytes over buffers of any size", many_buffers);
	test("completion phase and index over ten rounds of the ring", rx_phase_and_index);
	test("checksums are judged wherever the frame is split", rx_checksums);
	test("what cannot be judged is neither good nor bad", rx_checksums_not_judged);
	test("VLAN tag is stripped, the MTU allows for it", vlan_strip);
	test("out of buffers: drop and count, or hold the wire and ask for a doorbell",
	     out_of_buffers);
	test("a buffer posted while the device asks for it is found", buffer_between_looks);
	test("a bad receive descriptor kills its queue pair and nothing else",
	     bad_rx_descriptors);
	return tap_end();
}
