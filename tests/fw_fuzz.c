// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * A hostile host, for libFuzzer.  Input bytes are operations: most are what a
 * driver does, so that deep states are reached, some write where they like:
 * rings, BAR2, memory that the firmware is reading.
 *
 * What must hold whatever the host does: no report from a sanitizer, host
 * memory touched only where dma() has granted it (see fw_harness.h), counters
 * that add up, and no plaintext on the wire of a packet that asked to be sealed.
 */
#include "fw_harness.h"

#define RAM		(160u << 10)
#define STREAM		12288	/* bytes of plaintext records, which repeat */
#define ARRIVING	24576	/* bytes of protected records */
#define ARRIVING_SEQ	0xfffff000u
#define N_QP		3
#define N_CTX		6	/* two more than the device has */
#define MAX_RINGS	256

/* Payload is made of these 16 bytes, which are no version and no TCP header */
#define is_marker(byte)	(((byte) & 0xf0) == 0x30)
/* A record's header and nonce may be anything: at most 8 of them in a row */
#define LEAK		14

struct input {
	const uint8_t *p;
	size_t len;
};

static uint32_t take(struct input *in, uint32_t bytes)
{
	uint32_t v = 0;

	while (bytes--) {
		v <<= 8;
		if (in->len) {
			v |= *in->p++;
			in->len--;
		}
	}
	return v;
}

struct ctx {
	bool rx;
	uint8_t kind;		/* rx: which stream arrives */
	uint8_t tuple;		/* rx: by which connection */
	uint32_t id;
	uint32_t seq;
	uint32_t pos;		/* in the stream of records; rx: in the one that arrives */
	uint32_t rec;		/* first byte of the record that pos is in */
	uint64_t rec_no;
};

static struct world {
	struct host *h;
	uint64_t stream;
	uint64_t headers;
	uint64_t rx_buf;
	struct ctx ctx[N_CTX];
	uint64_t frames;
	/* transmit rings that the device was told of */
	struct {
		uint64_t base, size;
	} rings[MAX_RINGS];
	uint32_t n_rings;
	bool blind;		/* there are more: do not judge packets */
	/* the packet that is being sent, as its first descriptor was when fetched */
	bool sealing;
	uint32_t hdr_len;
	/* what the host writes in a while: after so many accesses to memory */
	uint32_t later;
	uint64_t later_addr;
	uint32_t later_value;
} w;

#define MUST(cond) do { \
	if (!(cond)) { \
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
		abort(); \
	} \
} while (0)

/* ---- what is watched ---- */

static void write_host(uint64_t addr, uint32_t value, uint32_t len)
{
	void *p = host_memory(w.h, addr, len);

	if (p)
		memcpy(p, &value, len);
}

static void remember_ring(uint64_t base, uint64_t size)
{
	for (uint32_t i = 0; i < w.n_rings; i++) {
		if (w.rings[i].base == base && w.rings[i].size == size)
			return;
	}
	/* only a very long input gets here */
	w.blind |= w.n_rings == MAX_RINGS;
	if (w.blind)
		return;
	w.rings[w.n_rings].base = base;
	w.rings[w.n_rings++].size = size;
}

static void on_dma(struct host *h, uint64_t addr, uint32_t len)
{
	const struct sealnic_txd *d;
	const struct sealnic_cmd *cmd;

	if (w.later && !--w.later)
		write_host(w.later_addr, w.later_value, 1 + w.later_value % 4);

	/* a command: does it make a ring? */
	if (len == sizeof(*cmd) && addr % 64 == 0) {
		cmd = host_memory(h, addr, len);
		if (cmd && cmd->opcode == SEALNIC_CMD_CREATE_QP)
			remember_ring(cmd->create_qp.tx_base, 32ull << (cmd->create_qp.tx_log2 & 15));
	}
	/* a descriptor: does it ask for sealing? */
	if (len != sizeof(*d) || addr % sizeof(*d))
		return;
	for (uint32_t i = 0; i < w.n_rings; i++) {
		if (addr - w.rings[i].base >= w.rings[i].size)
			continue;
		d = host_memory(h, addr, len);
		if (d && d->type == SEALNIC_TXD_PKT) {
			w.sealing = d->flags & SEALNIC_TX_TLS;
			w.hdr_len = d->pkt.hdr_len + (d->flags & SEALNIC_TX_VLAN ? 4u : 0);
		}
		return;
	}
}

static void on_seal(struct host *h)
{
	(void)h;
	if (w.later && !--w.later)
		write_host(w.later_addr, w.later_value, 1 + w.later_value % 4);
}

static void on_tx(struct host *h, const struct fw_frame *frame)
{
	uint32_t run = 0;

	(void)h;
	w.frames++;
	MUST(frame->hdr_len + frame->data_len <= SEALNIC_MAX_MTU + 14 + 3 * 4);
	if (w.later && !--w.later)
		write_host(w.later_addr, w.later_value, 1 + w.later_value % 4);
	if (!w.sealing || w.blind)
		return;
	MUST(frame->hdr_len == w.hdr_len);
	for (uint32_t i = 0; i < frame->data_len; i++) {
		run = is_marker(frame->data[i]) ? run + 1 : 0;
		MUST(run < LEAK);
	}
}

static void check_counters(void)
{
	struct sealnic_stats s = get_stats(w.h);

	MUST(s.tx_packets == w.frames);
	MUST(s.err_addr + s.err_index + s.err_desc + s.err_command == w.h->seg->errors ||
	     !w.h->seg->magic[0]);
	MUST(s.tls_ctx <= 4);
	MUST(s.tls_rx_ctx <= s.tls_ctx);
	MUST(s.tls_rx_resync_ask <= s.tls_rx_skip);
	MUST(s.tls_rx_found + s.tls_rx_resync_ok <= s.tls_rx_lost);
	MUST(s.tls_tx_packets <= s.tx_packets);
}

/* ---- the host ---- */

static void run(void)
{
	for (int i = 0; i < 8; i++) {
		host_enter(w.h);
		w.h->due = fw_run(w.h->fw);
		host_leave(w.h);
		if (w.h->due > w.h->now)
			break;
	}
}

/* The next record behind the one at @rec; the stream begins again at its end */
static uint32_t next_record(uint32_t rec)
{
	const uint8_t *p = host_at(w.h, w.stream + rec, 5);
	uint32_t next = rec + 5 + ((uint32_t)p[3] << 8 | p[4]);

	/* the fuzzer may have written there */
	return next + 29 > STREAM || next <= rec ? 0 : next;
}

static void make_stream(void)
{
	static const uint16_t sizes[] = { 0, 1, 15, 16, 17, 100, 1000, 4000 };
	uint8_t *p = host_at(w.h, w.stream, STREAM);
	uint32_t at = 0, i = 0;

	while (at + 29 <= STREAM) {
		uint32_t payload = sizes[i++ % 8], body;

		if (at + 29 + payload + 29 > STREAM)
			payload = STREAM - at - 29; /* ends exactly at the end */
		body = 8 + payload + 16;
		p[at] = i % 3 ? 23 : 21;
		p[at + 1] = 3;
		p[at + 2] = 3;
		p[at + 3] = (uint8_t)(body >> 8);
		p[at + 4] = (uint8_t)body;
		memset(p + at + 5, 0x80 + (int)(i % 64), 8);
		for (uint32_t k = 0; k < payload; k++)
			p[at + 13 + k] = (uint8_t)(0x30 + (k * 7 + i) % 16);
		memset(p + at + 13 + payload, 0xee, 16);
		at += 5 + body;
	}
}

/*
 * Protected records of every kind (TLS 1.2 or 1.3, AES-128 or AES-256), made by
 * the device's own AES-GCM: enough to have them opened.
 */
static struct arriving {
	uint8_t bytes[ARRIVING];
	uint32_t start[256];
	uint32_t records;
	uint32_t len;
} arriving[4];

static void kind_key(uint32_t kind, uint8_t key[32], uint8_t iv[12])
{
	memset(key, 0x11 + (int)kind, 32);
	memset(iv, 0x77 + (int)kind, 12);
}

static void make_arriving(struct arriving *a, uint32_t kind)
{
	static const uint16_t sizes[] = { 0, 1, 15, 16, 17, 100, 1000, 4000, 3, 2, 0, 0 };
	bool tls13 = kind & 1;
	uint32_t prefix = tls13 ? 5 : 13, overhead = prefix + (tls13 ? 17 : 16);
	uint8_t key_bytes[32], iv[12], nonce[12], aad[13];
	struct fw_key key = { .bytes = key_bytes, .len = kind & 2 ? 32 : 16,
			      .slot = FW_KEY_NO_SLOT };
	struct fw_gcm gcm;

	kind_key(kind, key_bytes, iv);
	for (;;) {
		uint32_t n = sizes[a->records % 12], no = a->records;
		uint8_t *p = a->bytes + a->len, type = no % 13 == 12 ? 22 : 23;

		if (a->len + overhead + n > ARRIVING || no + 1 == 256)
			break;
		memcpy(p, tls13 ? "\x17\x03\x03" : type == 22 ? "\x16\x03\x03" : "\x17\x03\x03", 3);
		p[3] = (uint8_t)((overhead - 5 + n) >> 8);
		p[4] = (uint8_t)(overhead - 5 + n);
		memcpy(nonce, iv, 12);
		memset(aad, 0, sizeof(aad));
		if (tls13) {
			nonce[11] ^= (uint8_t)no;
			memcpy(aad, p, 5);
		} else {
			memset(p + 5, (int)no, 8);
			memcpy(nonce + 4, p + 5, 8);
			aad[7] = (uint8_t)no;
			memcpy(aad + 8, p, 3);
			aad[11] = (uint8_t)(n >> 8);
			aad[12] = (uint8_t)n;
		}
		memset(p + prefix, (int)no, n);
		if (tls13)
			p[prefix + n] = type;
		gcm_start(w.h->gcm, &gcm, &key, nonce, aad, tls13 ? 5 : 13);
		gcm_seal(w.h->gcm, &gcm, &key, p + prefix, p + prefix, n + tls13);
		gcm_tag(w.h->gcm, &gcm, &key, p + prefix + n + tls13);
		a->start[a->records++] = a->len;
		a->len += overhead + n;
		a->start[a->records] = a->len;
	}
}

static void good_start(void)
{
	struct host *h = w.h;

	h->seg->cmd_base = h->cmd_ring;
	h->seg->event_base = h->event_ring;
	h->seg->cmd_log2 = (uint8_t)h->cmd_log2;
	h->seg->event_log2 = (uint8_t)h->event_log2;
	h->seg->drv_features = h->seg->features;
	h->seg->cmd_prod = h->cmd_prod = 0;
	h->seg->event_cons = h->event_cons = 0;
	memset(host_at(h, h->event_ring, 32 * 64), 0, 32 * 64);
}

static void post(struct sealnic_cmd *cmd)
{
	post_command(w.h, cmd);
	ring(w.h, 0);
	run();
	w.h->n_events = 0;
	drain_events(w.h);
}

static void create(uint32_t q)
{
	create_qp(w.h, q, 6, 6);
}

static void do_command(struct input *in)
{
	static const uint8_t ops[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 18, 19 };
	struct sealnic_cmd cmd = { 0 };
	uint32_t how = take(in, 1), a = take(in, 1);
	struct host *h = w.h;

	cmd.opcode = ops[how % sizeof(ops)];
	cmd.data_addr = a & 1 ? h->scratch : w.rx_buf;
	switch (cmd.opcode) {
	case SEALNIC_CMD_SET_PORT:
		cmd.port.flags = a & 31;
		cmd.port.mtu = (uint16_t)(a & 32 ? 9000 : take(in, 2));
		memcpy(cmd.port.mac, mac_a, 6);
		break;
	case SEALNIC_CMD_SET_RX_MODE:
		cmd.rx_mode.flags = a & 7;
		cmd.rx_mode.uc_count = a >> 3 & 3;
		cmd.rx_mode.mc_count = a >> 5;
		cmd.data_len = 8u * (cmd.rx_mode.uc_count + cmd.rx_mode.mc_count);
		break;
	case SEALNIC_CMD_SET_RSS: {
		struct sealnic_rss *rss = host_at(h, h->scratch, sizeof(*rss));

		cmd.data_addr = h->scratch;
		cmd.data_len = sizeof(*rss);
		rss->hash_types = a & 63;
		for (uint32_t i = 0; i < SEALNIC_RSS_TABLE; i++)
			rss->table[i] = (uint8_t)(i % N_QP);
		for (uint32_t i = 0; i < SEALNIC_RSS_KEY; i++)
			rss->key[i] = (uint8_t)(i * 77 + a);
		break;
	}
	case SEALNIC_CMD_CREATE_QP:
		create(a % N_QP);
		return;
	case SEALNIC_CMD_DESTROY_QP:
		cmd.qp.qp = a % (N_QP + 1);
		break;
	case SEALNIC_CMD_COALESCE:
		cmd.coalesce.qp = a % (N_QP + 1);
		cmd.coalesce.rx_usecs = take(in, 1);
		cmd.coalesce.rx_frames = take(in, 1) & 7;
		cmd.coalesce.tx_usecs = take(in, 1);
		cmd.coalesce.tx_frames = take(in, 1) & 7;
		break;
	case SEALNIC_CMD_STATS:
		cmd.data_len = sizeof(struct sealnic_stats);
		break;
	case SEALNIC_CMD_DMA_TEST:
		cmd.data_len = take(in, 2);
		cmd.dma_test.dst = a & 2 ? w.rx_buf : h->ram[a & 1].base + take(in, 3);
		break;
	case SEALNIC_CMD_GCM_TEST: {
		struct sealnic_gcm_test *t = host_at(h, h->scratch, sizeof(*t));

		cmd.data_addr = h->scratch;
		cmd.data_len = sizeof(*t);
		t->cipher = 1 + (a & 1);
		t->aad_len = a >> 1 & 63;
		t->data_len = (uint16_t)(take(in, 2) & 511);
		break;
	}
	case SEALNIC_CMD_TLS_SYNC: {
		struct ctx *c = &w.ctx[a % N_CTX];
		const struct arriving *s = &arriving[c->kind];
		uint32_t rec = take(in, 1) % (s->records + 1);

		/* true, or nearly */
		cmd.tls_sync.id = c->id;
		cmd.tls_sync.tcp_seq = ARRIVING_SEQ + s->start[rec] + (a & 128 ? take(in, 1) : 0);
		cmd.tls_sync.rec_no = rec + (a & 64);
		break;
	}
	case SEALNIC_CMD_TLS_QUERY:
	case SEALNIC_CMD_TLS_DEL:
		cmd.tls_ctx.id = w.ctx[a % N_CTX].id;
		break;
	default:
		break;
	}
	post(&cmd);
}

/* A command of any content */
static void raw_command(struct input *in)
{
	struct sealnic_cmd cmd = { 0 };
	uint8_t *p = (uint8_t *)&cmd;

	for (uint32_t n = take(in, 1) & 63; n; n--)
		p[take(in, 1) & 127] = (uint8_t)take(in, 1);
	post(&cmd);
}

static void tls_add(struct input *in)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_ADD };
	struct ctx *c = &w.ctx[take(in, 1) % N_CTX];
	const struct sealnic_event *ev;
	uint32_t how = take(in, 1);

	*c = (struct ctx){ .seq = how * 0x01010101u };
	cmd.tls_add.cipher = 1 + (how & 1);
	cmd.tls_add.version = how & 2 ? 0x0304 : 0x0303;
	cmd.tls_add.tcp_seq = c->seq;
	cmd.tls_add.rec_no = c->rec_no = how == 255 ? UINT64_MAX - 1 : how;
	for (uint32_t i = 0; i < 32; i++)
		cmd.tls_add.key[i] = (uint8_t)(how * 31 + i);
	post(&cmd);
	ev = find_event(w.h, SEALNIC_EV_CMD);
	if (ev && ev->status == SEALNIC_OK)
		c->id = ev->tls_ctx.id;
}

static struct headers arriving_headers(const struct ctx *c, uint32_t seq, uint8_t flags,
				       uint32_t options)
{
	struct headers hd = tcp_headers(c->tuple & 1, seq, flags, options);

	memcpy(hd.bytes, mac_a, 6);
	hd.bytes[hd.l4] = c->tuple >> 1;
	return hd;
}

static void tls_add_rx(struct input *in)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_ADD };
	struct ctx *c = &w.ctx[take(in, 1) % N_CTX];
	uint32_t how = take(in, 1), rec = take(in, 1);
	const struct sealnic_event *ev;
	const struct arriving *s;
	struct headers hd;
	uint32_t len;

	*c = (struct ctx){ .rx = true, .kind = how & 3, .tuple = how >> 2 & 7 };
	s = &arriving[c->kind];
	rec = how & 128 ? rec % s->records : 0;
	c->pos = s->start[rec];
	cmd.tls_add.direction = SEALNIC_TLS_RX;
	cmd.tls_add.cipher = how & 2 ? SEALNIC_AES256_GCM : SEALNIC_AES128_GCM;
	cmd.tls_add.version = how & 1 ? 0x0304 : 0x0303;
	cmd.tls_add.tcp_seq = ARRIVING_SEQ + c->pos;
	cmd.tls_add.rec_no = rec;
	kind_key(c->kind, cmd.tls_add.key, cmd.tls_add.iv);
	hd = arriving_headers(c, 0, 0, 0);
	len = c->tuple & 1 ? 16 : 4;
	cmd.tls_add.ip_version = (uint8_t)(c->tuple & 1 ? 6 : 4);
	memcpy(cmd.tls_add.saddr, hd.bytes + hd.l4 - 2 * len, len);
	memcpy(cmd.tls_add.daddr, hd.bytes + hd.l4 - len, len);
	memcpy(cmd.tls_add.sport, hd.bytes + hd.l4, 2);
	memcpy(cmd.tls_add.dport, hd.bytes + hd.l4 + 2, 2);
	post(&cmd);
	ev = find_event(w.h, SEALNIC_EV_CMD);
	if (ev && ev->status == SEALNIC_OK)
		c->id = ev->tls_ctx.id;
}

static uint32_t make_headers(uint32_t how, uint32_t seq, struct headers *hd)
{
	bool v6 = how & 1;

	*hd = how & 2 ? tcp_headers(v6, seq, (uint8_t)(how >> 3), how >> 4 & 12) :
			tcp_headers(v6, seq, 0x18, 0);
	return hd->len;
}

/* A TCP packet of the stream's bytes, to be sealed or not */
static void send_stream(struct input *in)
{
	uint32_t q = take(in, 1), how = take(in, 1), len = take(in, 2) % 20000 + 1, left, count = 1;
	struct ctx *c = &w.ctx[q / N_QP % N_CTX];
	struct sealnic_txd d = { .type = SEALNIC_TXD_PKT }, *first;
	struct headers hd;

	q %= N_QP;
	if (!w.h->qp[q].tx_log2)
		return;
	make_headers(how, c->seq, &hd);
	/* different packets have different headers */
	d.addr = w.headers + (w.h->qp[q].tx_prod & 31) * 256;
	memcpy(host_at(w.h, d.addr, hd.len), hd.bytes, hd.len);
	d.len = hd.len;
	d.flags = (uint16_t)(SEALNIC_TX_TLS | (how & 4 ? SEALNIC_TX_VLAN : 0));
	if (how == 0x77)
		d.flags = SEALNIC_TX_TSO;
	if (len > 1400 || how & 8) {
		d.flags |= SEALNIC_TX_TSO;
		d.pkt.mss = how & 16 ? 64 + how : 1448;
	}
	d.pkt.l3_off = hd.l3;
	d.pkt.l4_off = hd.l4;
	d.pkt.csum_off = hd.csum_off;
	d.pkt.hdr_len = (uint8_t)hd.len;
	d.pkt.tls_ctx = c->id;
	first = txd(w.h, q, w.h->qp[q].tx_prod);
	post_txd(w.h, q, &d);
	for (left = len; left; count++) {
		uint32_t n = STREAM - c->pos;

		if (n > left)
			n = left;
		if (n > 1 && how & 32)
			n = 1 + take(in, 2) % n;
		if (count == 31 && n < left)
			break;
		d = (struct sealnic_txd){ .type = SEALNIC_TXD_SEG, .len = n,
					  .addr = w.stream + c->pos };
		if (how == 0x55 && n == left)
			d.addr = HOLE_ADDR - 1;
		post_txd(w.h, q, &d);
		left -= n;
		c->seq += n;
		for (c->pos += n; ;) {
			uint32_t next = next_record(c->rec);

			if (c->pos == STREAM) {
				c->pos = 0;
				c->rec = 0;
				c->rec_no++;
				break;
			}
			if (!next || next > c->pos)
				break;
			c->rec = next;
			c->rec_no++;
		}
	}
	first->count = (uint8_t)(how == 0x99 ? take(in, 1) : count);
	if (!(how & 64)) {
		ring(w.h, 1 + q);
		run();
	}
}

/* Where the context was, or at another record; replay up to its position */
static void resync(struct input *in)
{
	uint32_t q = take(in, 1), how = take(in, 1);
	struct ctx *c = &w.ctx[q / N_QP % N_CTX];
	struct sealnic_txd d = { .type = SEALNIC_TXD_TLS_SYNC };
	uint32_t into;

	q %= N_QP;
	if (!w.h->qp[q].tx_log2)
		return;
	if (how & 1) {
		/* retransmit from anywhere in a record */
		c->rec = next_record(c->rec);
		into = take(in, 2);
		c->pos = c->rec + into % (STREAM - c->rec);
		c->seq = how * 7919u;
	}
	into = c->pos - c->rec;
	d.sync.tls_ctx = c->id;
	d.sync.tcp_seq = c->seq - into;
	d.sync.rec_no = c->rec_no;
	post_txd(w.h, q, &d);
	if (into && !(how & 2)) {
		d = (struct sealnic_txd){ .type = SEALNIC_TXD_TLS_REPLAY, .len = into,
					  .addr = w.stream + c->rec };
		d.replay.tls_ctx = c->id;
		post_txd(w.h, q, &d);
	}
	ring(w.h, 1 + q);
	run();
}

/* A frame without TLS: checksum offload, or any flags */
static void send_plain(struct input *in)
{
	uint32_t q = take(in, 1) % N_QP, how = take(in, 1), len = take(in, 2) % 9100;
	struct sealnic_txd d = { .type = SEALNIC_TXD_PKT, .count = 1, .len = len };

	if (!w.h->qp[q].tx_log2)
		return;
	d.flags = how & 3 ? SEALNIC_TX_CSUM : 0;
	if (how & 4)
		d.flags |= SEALNIC_TX_VLAN;
	d.pkt.l4_off = (uint8_t)(how >> 2);
	d.pkt.csum_off = how & 8 ? 16 : 6;
	d.addr = w.headers + (how & 15);
	post_txd(w.h, q, &d);
	ring(w.h, 1 + q);
	run();
}

/* A descriptor of any content */
static void raw_descriptor(struct input *in)
{
	struct sealnic_txd d = { .type = SEALNIC_TXD_PKT, .count = 1, .len = 100,
				 .addr = w.stream };
	uint32_t q = take(in, 1) % N_QP;
	uint8_t *p = (uint8_t *)&d;

	if (!w.h->qp[q].tx_log2)
		return;
	for (uint32_t n = take(in, 1) & 15; n; n--)
		p[take(in, 1) & 31] = (uint8_t)take(in, 1);
	post_txd(w.h, q, &d);
	ring(w.h, 1 + q);
	run();
}

static void post_rx_buffers(struct input *in)
{
	uint32_t q = take(in, 1) % N_QP, how = take(in, 1);

	if (!w.h->qp[q].rx_log2)
		return;
	for (uint32_t n = 1 + (how & 15); n; n--) {
		uint32_t len = how & 16 ? 2048 : 256 + take(in, 2) % 16200;
		uint64_t addr = w.rx_buf;

		if (how & 32)
			addr = w.h->ram[how & 1].base + w.h->ram[how & 1].size - len;
		if (how == 0xff)
			addr = take(in, 4);
		post_rx(w.h, q, addr, len);
	}
	ring(w.h, 1 + q);
	run();
}

/* A frame from the wire, in memory of exactly its size */
static void arrive(const uint8_t *frame, uint32_t len, uint32_t first, bool may_hold)
{
	uint8_t *a, *b;
	struct fw_frame f;

	if (first > len)
		first = len;
	a = malloc(first);
	b = malloc(len - first + 1);
	f = (struct fw_frame){ .hdr = a, .hdr_len = first, .data = b, .data_len = len - first };
	memcpy(a, frame, first);
	memcpy(b, frame + first, len - first);
	host_enter(w.h);
	fw_rx(w.h->fw, &f, may_hold);
	host_leave(w.h);
	free(a);
	free(b);
	run();
}

/* As a driver does: take what has come, and let the device have a few buffers */
static void refill(uint32_t q)
{
	struct host_qp *qp = &w.h->qp[q];
	struct sealnic_rxc c;

	for (int i = 0; qp->rx_log2 && i < 64 && take_rxc(w.h, q, &c); i++)
		;
	for (int i = 0; qp->rx_log2 && i < 64 && qp->rx_prod - qp->rxc_cons < 4; i++)
		post_rx(w.h, q, w.rx_buf, 9100);
}

/* The next bytes of a connection's stream, or others of it, or changed ones */
static void receive_stream(struct input *in)
{
	static uint8_t frame[10000], payload[10000];
	struct ctx *c = &w.ctx[take(in, 1) % N_CTX];
	uint32_t how = take(in, 1), len = take(in, 2) % 8900 + 1, at = c->pos, split = 255;
	const struct arriving *s = &arriving[c->kind];
	struct headers hd;

	if (how & 1)
		len = 1 + len % 300;
	switch (how >> 1 & 3) {
	case 0:
	case 1:
		break;
	case 2:
		at += take(in, 1); /* a gap */
		break;
	default:
		at = take(in, 2); /* anything */
	}
	at %= s->len;
	if (len > s->len - at)
		len = s->len - at;
	memcpy(payload, s->bytes + at, len);
	if (how & 8)
		payload[take(in, 2) % len] ^= (uint8_t)take(in, 1);
	if (how != 0x80) {
		refill(0);
		refill(1);
	}
	hd = arriving_headers(c, ARRIVING_SEQ + at, (uint8_t)(how & 16 ? take(in, 1) : 0x18),
			      how & 32 ? 12 : 0);
	c->pos = at + len;
	len = finish_frame(frame, &hd, c->tuple & 1, payload, len);
	if (how & 64)
		split = take(in, 1);
	arrive(frame, len, split == 255 ? hd.len : 18 + split, how & 128);
}

static void receive(struct input *in)
{
	static uint8_t frame[10000], payload[10000];
	uint32_t how = take(in, 1), len = take(in, 2) % 9100, split = take(in, 1);
	bool v6 = how & 1;
	struct headers hd = how & 2 ? udp_headers(v6, len) : tcp_headers(v6, how, 0x10, how & 12);

	memcpy(hd.bytes, mac_a, 6);
	if (how & 16)
		memset(hd.bytes, 0xff, 6);
	len = finish_frame(frame, &hd, v6, payload, len);
	if (how & 32) {
		memmove(frame + 16, frame + 12, len - 12);
		memcpy(frame + 12, "\x81\x00\x01\x23", 4);
		len += 4;
	}
	if (how == 0x42) {
		memset(frame + hd.l4 + 6, 0, 2); /* UDP without checksum */
	} else if (how & 64) {
		for (uint32_t n = take(in, 1) & 7; n; n--)
			frame[take(in, 1) % 80] = (uint8_t)take(in, 1);
	}
	if (split == 255)
		len = 18 + take(in, 1) % 100; /* cut off */
	arrive(frame, len, 18 + split, how & 128);
}

/* Anywhere in the pages where rings, headers, and records are */
static void scribble(struct input *in, bool later)
{
	uint32_t where = take(in, 1), off = take(in, 2), value = take(in, 4);
	struct host_qp *qp = &w.h->qp[where % N_QP];
	const uint64_t bases[] = { w.h->cmd_ring, qp->tx, qp->rx, qp->status, w.headers, w.stream,
				   w.h->scratch, w.h->ram[where & 1].base };
	static const uint32_t masks[] = { 2047, 2047, 1023, 63, 8191, 16383, 511, 0xffff };
	uint32_t i = where / N_QP % 8;

	if (later) {
		w.later = 1 + take(in, 1) % 64;
		w.later_addr = bases[i] + (off & masks[i]);
		w.later_value = value;
	} else {
		write_host(bases[i] + (off & masks[i]), value, 1 + (where >> 6));
	}
}

static void scribble_bar2(struct input *in)
{
	uint32_t off = take(in, 2), value = take(in, 1);

	/* doorbell words of the first queue pairs, the driver's half, anything */
	if (off < 0x8000)
		off = SEALNIC_DB_OFFSET + (off & 0xff);
	else if (off < 0xc000)
		off = 0x800 + (off & 0x3f);
	else
		off = (off & 0x3fff) * 4;
	off &= ~3u;
	if (value & 0x80)
		value = take(in, 4);
	else if (value & 0x40)
		value += *(uint32_t *)(w.h->bar2 + off) - 96;
	/* the host may write the device's half, but then the counters are its own */
	if (off >= 0x800)
		memcpy(w.h->bar2 + off, &value, 4);
	ring(w.h, off / 64 & 3);
	run();
}

static void control(struct input *in)
{
	uint32_t how = take(in, 1);
	struct host *h = w.h;

	switch (how % 8) {
	case 0:
		h->seg->ctl = SEALNIC_CTL(SEALNIC_CTL_RESET, h->seg->ctl_ack >> 8 ^ 1);
		ring(h, 0);
		run();
		/* fall through */
	case 1:
		/* or with what was written there in the meantime */
		if (!(how & 0x80))
			good_start();
		h->seg->ctl = SEALNIC_CTL(SEALNIC_CTL_START, h->seg->ctl_ack >> 8 ^ 1);
		ring(h, 0);
		break;
	case 2:
		fw_set_link(h->fw, how & 8);
		break;
	case 3:
		fw_set_stall(h->fw, how & 8);
		break;
	case 4:
		if (how > 200)
			fw_fault(h->fw, SEALNIC_SYN_INJECTED);
		else if (how > 150)
			fw_tls_lose(h->fw);
		else
			fw_tls_spoil(h->fw, how & 3);
		break;
	case 5:
		h->wire_credit = how & 8 ? -1 : how >> 4;
		break;
	case 6:
		h->now += (uint64_t)how * 1000;
		break;
	default: {
		uint32_t q = how / 8 % N_QP;
		struct sealnic_rxc c;

		/* the driver polls and arms */
		for (int i = 0; h->qp[q].rx_log2 && i < 64 && take_rxc(h, q, &c); i++)
			;
		if (h->qp[q].tx_log2)
			h->db[q].tx_seen = tx_cons(h, q);
		h->db[q].arm++;
	}
	}
	run();
}

/* Each run makes a new port: do not keep a quarter of a gigabyte of old ones */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "quarantine_size_mb=2";
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct host_options opt = { .vectors = 5, .max_tls_ctx = 4, .ram_bytes = RAM,
					  .arena_bytes = 64 };
	struct input in = { bytes, len };
	uint32_t how;
	struct sealnic_cmd mode = { .opcode = SEALNIC_CMD_SET_RX_MODE };
	struct host *h;

	memset(&w, 0, sizeof(w));
	h = w.h = host_new(&opt);
	h->keep_no_frames = true;
	h->on_dma = on_dma;
	h->on_seal = on_seal;
	h->on_tx = on_tx;
	w.stream = host_alloc(h, 1, STREAM);
	w.headers = host_alloc(h, 0, 16384);
	w.rx_buf = host_alloc(h, 1, 16384);
	make_stream();
	for (uint32_t i = 0; i < 4 && !arriving[i].records; i++)
		make_arriving(&arriving[i], i);
	set_rings(h, 4, 5);
	how = take(&in, 1);
	if (how != 0xff) {
		good_start();
		h->seg->ctl = SEALNIC_CTL(SEALNIC_CTL_START, 1);
		ring(h, 0);
		run();
		fw_set_link(h->fw, true);
		set_port(h, SEALNIC_PORT_ENABLE | SEALNIC_PORT_RX_CSUM | SEALNIC_PORT_RX_HASH |
			 SEALNIC_PORT_PAUSE | (how & 1 ? SEALNIC_PORT_VLAN_STRIP : 0), 9000);
		mode.rx_mode.flags = SEALNIC_RX_BROADCAST;
		post(&mode);
		create(0);
		create(1);
	}

	while (in.len) {
		switch (take(&in, 1) % 26) {
		case 0:
			do_command(&in);
			break;
		case 1:
			raw_command(&in);
			break;
		case 2:
		case 3:
			tls_add(&in);
			break;
		case 4:
		case 5:
		case 6:
		case 7:
			send_stream(&in);
			break;
		case 8:
		case 9:
			resync(&in);
			break;
		case 10:
			send_plain(&in);
			break;
		case 11:
			raw_descriptor(&in);
			break;
		case 12:
			post_rx_buffers(&in);
			break;
		case 13:
		case 14:
			receive(&in);
			break;
		case 15:
			scribble(&in, false);
			break;
		case 16:
			scribble(&in, true);
			break;
		case 17:
			scribble_bar2(&in);
			break;
		case 18:
			tls_add_rx(&in);
			break;
		case 19:
		case 20:
		case 21:
		case 22:
			receive_stream(&in);
			break;
		default:
			control(&in);
		}
		check_counters();
	}
	host_free(h);
	return 0;
}
