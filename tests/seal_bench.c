// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * How fast the device seals and opens, beside OpenSSL on the same core: the
 * model's firmware and crypto block without VM and wire, driven through BAR2,
 * rings and descriptors as a driver does it.  --json prints one flat object.
 */
#define _GNU_SOURCE 1

#include <openssl/evp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "fw.h"
#include "gcm.h"
#include "hostmem.h"

#define RAM_SIZE	(32u << 20)
#define PAGE		4096u
#define CONTEXTS	16384u
#define CTL_LOG2	8
#define TX_LOG2		10
#define RX_LOG2		6

#define RECORD_PLAIN	16384u
#define RECORD_HEAD	13u	/* header and explicit nonce */
#define RECORD_TAG	16u
#define RECORD		(RECORD_HEAD + RECORD_PLAIN + RECORD_TAG)
#define STREAM_RECORDS	16u
#define STREAM		(STREAM_RECORDS * RECORD)

/* 45 segments of an MTU of 1500 with timestamps: what TCP makes of 64 KB */
#define MSS		1448u
#define PACKET		(45 * MSS)
#define HEADERS		66u
#define HEADER_SLOTS	64u
#define BATCH		8u	/* packets for each ring of the doorbell */

/* Short slices in turn, and medians, so that neither drift nor a noisy moment counts */
#define SLICE_NS	20000000ull
#define SLICES		100
#define VERIFY		(4 * RECORD)

/* What one port has sealed and another one opens again and again */
#define ARRIVE_FRAMES	(16 * 45u)
#define RX_BUF		2048u
#define RX_BATCH	32u

static const uint8_t key[16] = "sixteen byte key";
static const uint8_t salt[4] = { 1, 2, 3, 4 };

struct bench {
	struct hostmem mem;
	struct gcm *gcm;
	struct fw *fw;
	struct sealnic_init_seg *seg;
	struct sealnic_qp_db *db;
	uint64_t used;		/* of the fake RAM */

	uint64_t cmd_ring, event_ring, tx_ring, status, headers, stream;
	uint32_t cmd_prod, event_cons, tx_prod, ctl_seq;
	uint32_t tls_ctx, tcp_seq, stream_pos, header_slot;

	uint8_t *capture;	/* TCP payload of the first frames */
	uint32_t captured;
	uint64_t touched;
	uint8_t *frames;	/* whole, HEADERS + MSS bytes each */
	uint32_t n_frames;	/* of ARRIVE_FRAMES; more are not kept */

	uint64_t rx_ring, rxc_ring, rx_bufs;
	uint32_t rx_prod;
};

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "seal_bench: %s\n", what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* As "openssl speed" does: what other processes take is nobody's fault here */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/*
 * The platform
 */

static void *plat_dma(void *priv, uint64_t addr, uint32_t len)
{
	struct bench *b = priv;

	return hostmem_ptr(&b->mem, addr, len);
}

static bool plat_wire_ready(void *priv)
{
	(void)priv;
	return true;
}

/* A wire that looks at every cache line of a frame */
static void plat_wire_tx(void *priv, const struct fw_frame *frame)
{
	struct bench *b = priv;
	uint32_t i, n;

	for (i = 0; i < frame->hdr_len; i += 64)
		b->touched += frame->hdr[i];
	for (i = 0; i < frame->data_len; i += 64)
		b->touched += frame->data[i];
	if (b->captured < VERIFY) {
		if (frame->hdr_len != HEADERS)
			fail("a frame's headers are not in its first piece");
		n = frame->data_len < VERIFY - b->captured ? frame->data_len : VERIFY - b->captured;
		memcpy(b->capture + b->captured, frame->data, n);
		b->captured += n;
	}
	if (b->frames && b->n_frames < ARRIVE_FRAMES) {
		uint8_t *p = b->frames + b->n_frames++ * (HEADERS + MSS);

		if (frame->hdr_len + frame->data_len != HEADERS + MSS)
			fail("a frame is not as long as it should be");
		memcpy(p, frame->hdr, frame->hdr_len);
		memcpy(p + frame->hdr_len, frame->data, frame->data_len);
	}
}

static void plat_irq(void *priv, uint32_t vector)
{
	(void)priv;
	(void)vector;
}

static uint64_t plat_now(void *priv)
{
	(void)priv;
	return now_ns();
}

static void plat_gcm_start(void *priv, struct fw_gcm *state, const struct fw_key *k,
			   const uint8_t iv[12], const uint8_t *aad, uint32_t aad_len)
{
	gcm_start(((struct bench *)priv)->gcm, state, k, iv, aad, aad_len);
}

static void plat_gcm_seal(void *priv, struct fw_gcm *state, const struct fw_key *k,
			  uint8_t *dst, const uint8_t *src, uint32_t len)
{
	gcm_seal(((struct bench *)priv)->gcm, state, k, dst, src, len);
}

static void plat_gcm_open(void *priv, struct fw_gcm *state, const struct fw_key *k,
			  uint8_t *dst, const uint8_t *src, uint32_t len)
{
	gcm_open(((struct bench *)priv)->gcm, state, k, dst, src, len);
}

static void plat_gcm_tag(void *priv, struct fw_gcm *state, const struct fw_key *k,
			 uint8_t tag[16])
{
	gcm_tag(((struct bench *)priv)->gcm, state, k, tag);
}

static void plat_key_drop(void *priv, uint32_t slot)
{
	gcm_key_drop(((struct bench *)priv)->gcm, slot);
}

static const struct fw_plat plat = {
	.dma = plat_dma,
	.wire_ready = plat_wire_ready,
	.wire_tx = plat_wire_tx,
	.irq = plat_irq,
	.now = plat_now,
	.gcm_start = plat_gcm_start,
	.gcm_seal = plat_gcm_seal,
	.gcm_open = plat_gcm_open,
	.gcm_tag = plat_gcm_tag,
	.key_drop = plat_key_drop,
};

/*
 * The driver
 */

static void *at(struct bench *b, uint64_t addr)
{
	return b->mem.base + addr;
}

static uint64_t take_pages(struct bench *b, uint64_t size)
{
	uint64_t addr = b->used;

	b->used += (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	if (b->used > RAM_SIZE)
		fail("the RAM is too small");
	return addr;
}

static void run(struct bench *b, uint32_t vector)
{
	fw_doorbell(b->fw, vector);
	while (fw_run(b->fw) <= now_ns())
		;
}

static void control(struct bench *b, uint32_t op)
{
	uint32_t ctl = SEALNIC_CTL(op, ++b->ctl_seq);

	__atomic_store_n(&b->seg->ctl, ctl, __ATOMIC_RELEASE);
	run(b, SEALNIC_VEC_CONTROL);
	if (b->seg->ctl_ack != ctl)
		fail("the device does not obey");
}

static void post_command(struct bench *b, const struct sealnic_cmd *cmd)
{
	struct sealnic_cmd *ring = at(b, b->cmd_ring);

	ring[b->cmd_prod++ & ((1u << CTL_LOG2) - 1)] = *cmd;
}

static void ring_commands(struct bench *b)
{
	__atomic_store_n(&b->seg->cmd_prod, b->cmd_prod, __ATOMIC_RELEASE);
	run(b, SEALNIC_VEC_CONTROL);
}

/* The next event that answers a command; any other is passed over */
static struct sealnic_event *next_answer(struct bench *b)
{
	struct sealnic_event *ring = at(b, b->event_ring), *ev;
	uint8_t phase;

	for (;;) {
		ev = &ring[b->event_cons & ((1u << CTL_LOG2) - 1)];
		phase = b->event_cons & (1u << CTL_LOG2) ? 0 : SEALNIC_EV_PHASE;
		if ((ev->ctl & SEALNIC_EV_PHASE) != phase)
			fail("a command is not answered");
		__atomic_store_n(&b->seg->event_cons, ++b->event_cons, __ATOMIC_RELEASE);
		if (ev->type == SEALNIC_EV_CMD)
			return ev;
	}
}

static struct sealnic_event *command(struct bench *b, const struct sealnic_cmd *cmd)
{
	struct sealnic_event *ev;

	post_command(b, cmd);
	ring_commands(b);
	ev = next_answer(b);
	if (ev->status != SEALNIC_OK)
		fail("a command fails");
	return ev;
}

static struct sealnic_cmd tls_add(uint32_t tcp_seq)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_ADD };

	cmd.tls_add.direction = SEALNIC_TLS_TX;
	cmd.tls_add.cipher = SEALNIC_AES128_GCM;
	cmd.tls_add.version = 0x0303;
	cmd.tls_add.tcp_seq = tcp_seq;
	memcpy(cmd.tls_add.key, key, sizeof(key));
	memcpy(cmd.tls_add.iv, salt, sizeof(salt));
	return cmd;
}

/* A port with an address that ends in @number */
static void bring_up(struct bench *b, uint8_t number)
{
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, number };
	struct fw_config cfg = {
		.db_base = 1 << 16,
		.vectors = 2,
		.max_tls_ctx = CONTEXTS,
		.speed = 100000,
		.serial = "bench",
		.build = "bench",
	};
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_SET_PORT };
	void *ram, *fw_mem;

	memcpy(cfg.mac, mac, sizeof(mac));
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	cfg.bar2 = mmap(NULL, SEALNIC_BAR2_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fw_mem = mmap(NULL, fw_mem_size(&cfg), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	b->gcm = gcm_new();
	if (ram == MAP_FAILED || cfg.bar2 == MAP_FAILED || fw_mem == MAP_FAILED || !b->gcm)
		fail("out of memory");
	hostmem_wrap(&b->mem, ram, RAM_SIZE, MACHINE_Q35);
	b->seg = cfg.bar2;
	b->db = (struct sealnic_qp_db *)((char *)cfg.bar2 + SEALNIC_DB_OFFSET);
	b->fw = fw_init(fw_mem, &cfg, &plat, b);
	if (!b->fw || memcmp(b->seg->magic, SEALNIC_MAGIC, sizeof(b->seg->magic)))
		fail("there is no device");

	b->cmd_ring = take_pages(b, sizeof(struct sealnic_cmd) << CTL_LOG2);
	b->event_ring = take_pages(b, sizeof(struct sealnic_event) << CTL_LOG2);
	b->seg->drv_features = b->seg->features;
	b->seg->cmd_base = b->cmd_ring;
	b->seg->event_base = b->event_ring;
	b->seg->cmd_log2 = CTL_LOG2;
	b->seg->event_log2 = CTL_LOG2;
	control(b, SEALNIC_CTL_RESET);
	control(b, SEALNIC_CTL_START);
	if (b->seg->state != SEALNIC_STATE_RUN)
		fail("the device does not start");

	cmd.port.flags = SEALNIC_PORT_ENABLE | SEALNIC_PORT_RX_CSUM;
	cmd.port.mtu = 1500;
	memcpy(cmd.port.mac, mac, sizeof(mac));
	command(b, &cmd);
	fw_set_link(b->fw, true);

	b->tx_ring = take_pages(b, sizeof(struct sealnic_txd) << TX_LOG2);
	b->rx_ring = take_pages(b, sizeof(struct sealnic_rxd) << RX_LOG2);
	b->rxc_ring = take_pages(b, sizeof(struct sealnic_rxc) << RX_LOG2);
	b->rx_bufs = take_pages(b, RX_BUF << RX_LOG2);
	b->status = take_pages(b, sizeof(struct sealnic_qp_status));
	cmd = (struct sealnic_cmd) { .opcode = SEALNIC_CMD_CREATE_QP };
	cmd.create_qp.qp = 0;
	cmd.create_qp.vector = 1;
	cmd.create_qp.tx_log2 = TX_LOG2;
	cmd.create_qp.rx_log2 = RX_LOG2;
	cmd.create_qp.tx_base = b->tx_ring;
	cmd.create_qp.rx_base = b->rx_ring;
	cmd.create_qp.rxc_base = b->rxc_ring;
	cmd.create_qp.status_base = b->status;
	command(b, &cmd);
}

/* Plaintext records, with nonces in place and room for tags */
static void make_stream(struct bench *b)
{
	static const uint8_t frame[HEADERS] = {
		2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00,
		0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
		0x30, 0x39, 0x01, 0xbb, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0x18, 0xff, 0xff, 0, 0, 0, 0,
		1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1,
	};
	uint32_t r, i;
	uint8_t *p;

	b->stream = take_pages(b, STREAM);
	for (r = 0; r < STREAM_RECORDS; r++) {
		p = (uint8_t *)at(b, b->stream) + r * RECORD;
		p[0] = 23;
		p[1] = 3;
		p[2] = 3;
		p[3] = (RECORD - 5) >> 8;
		p[4] = (RECORD - 5) & 0xff;
		memset(p + 5, 0, 8);
		p[12] = (uint8_t)r;
		for (i = 0; i < RECORD_PLAIN; i++)
			p[RECORD_HEAD + i] = (uint8_t)(i * 7 + r);
	}
	b->headers = take_pages(b, HEADER_SLOTS * 128);
	for (i = 0; i < HEADER_SLOTS; i++)
		memcpy((uint8_t *)at(b, b->headers) + i * 128, frame, HEADERS);
}

static void put_txd(struct bench *b, const struct sealnic_txd *d)
{
	struct sealnic_txd *ring = at(b, b->tx_ring);

	ring[b->tx_prod++ & ((1u << TX_LOG2) - 1)] = *d;
}

/* A packet of the stream: headers, then one descriptor a page */
static void post_packet(struct bench *b)
{
	uint32_t first = b->tx_prod, left = PACKET, seq = __builtin_bswap32(b->tcp_seq), n;
	struct sealnic_txd *ring = at(b, b->tx_ring);
	uint64_t hdr = b->headers + (b->header_slot++ & (HEADER_SLOTS - 1)) * 128;
	struct sealnic_txd d = {
		.type = SEALNIC_TXD_PKT,
		.flags = SEALNIC_TX_TSO | SEALNIC_TX_TLS,
		.len = HEADERS,
		.addr = hdr,
		.pkt = {
			.mss = MSS,
			.l3_off = 14,
			.l4_off = 34,
			.csum_off = 16,
			.hdr_len = HEADERS,
			.tls_ctx = b->tls_ctx,
		},
	};

	memcpy((uint8_t *)at(b, hdr) + 38, &seq, 4);
	put_txd(b, &d);
	while (left) {
		n = PAGE - b->stream_pos % PAGE;
		if (n > left)
			n = left;
		if (n > STREAM - b->stream_pos)
			n = STREAM - b->stream_pos;
		d = (struct sealnic_txd) {
			.type = SEALNIC_TXD_SEG,
			.len = n,
			.addr = b->stream + b->stream_pos,
		};
		put_txd(b, &d);
		left -= n;
		b->stream_pos = (b->stream_pos + n) % STREAM;
	}
	ring[first & ((1u << TX_LOG2) - 1)].count = (uint8_t)(b->tx_prod - first);
	b->tcp_seq += PACKET;
}

static void send_batch(struct bench *b)
{
	const struct sealnic_qp_status *status = at(b, b->status);
	uint32_t i;

	for (i = 0; i < BATCH; i++)
		post_packet(b);
	__atomic_store_n(&b->db[0].arm, b->db[0].arm + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&b->db[0].tx_prod, b->tx_prod, __ATOMIC_RELEASE);
	run(b, SEALNIC_VEC_QP(0));
	if (__atomic_load_n(&status->tx_cons, __ATOMIC_ACQUIRE) != b->tx_prod)
		fail("the device does not transmit");
	__atomic_store_n(&b->db[0].tx_seen, b->tx_prod, __ATOMIC_RELEASE);
}

static uint64_t sealed_bytes(struct bench *b)
{
	struct sealnic_stats s;

	fw_get_stats(b->fw, &s);
	if (s.tls_tx_unexpected || s.tls_tx_malformed || s.tls_tx_no_ctx || s.err_desc || s.err_addr)
		fail("the device refuses packets");
	return s.tls_tx_records * RECORD_PLAIN;
}

/* What came out has to be what any TLS peer can read */
static void verify(struct bench *b)
{
	uint8_t nonce[12], aad[13] = { 0 }, *plain = malloc(RECORD_PLAIN), *p;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint32_t r;
	int len;

	while (b->captured < VERIFY)
		send_batch(b);
	for (r = 0; r < VERIFY / RECORD; r++) {
		p = b->capture + r * RECORD;
		memcpy(nonce, salt, 4);
		memcpy(nonce + 4, p + 5, 8);
		aad[7] = (uint8_t)r;
		memcpy(aad + 8, p, 3);
		aad[11] = RECORD_PLAIN >> 8;
		aad[12] = RECORD_PLAIN & 0xff;
		if (!plain || !ctx ||
		    !EVP_DecryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, nonce) ||
		    !EVP_DecryptUpdate(ctx, NULL, &len, aad, sizeof(aad)) ||
		    !EVP_DecryptUpdate(ctx, plain, &len, p + RECORD_HEAD, RECORD_PLAIN) ||
		    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, RECORD_TAG,
					 p + RECORD_HEAD + RECORD_PLAIN) ||
		    EVP_DecryptFinal_ex(ctx, plain + len, &len) != 1 ||
		    memcmp(plain, (uint8_t *)at(b, b->stream) + r * RECORD + RECORD_HEAD,
			   RECORD_PLAIN))
			fail("what the device sealed cannot be opened");
	}
	EVP_CIPHER_CTX_free(ctx);
	free(plain);
}

/* Return: MB/s of payload sealed */
static double device_slice(struct bench *b)
{
	uint64_t bytes = sealed_bytes(b), start = cpu_ns(), ns;

	do
		send_batch(b);
	while ((ns = cpu_ns() - start) < SLICE_NS);
	return (double)(sealed_bytes(b) - bytes) * 1e3 / (double)ns;
}

/* What the other port sealed, from its record 0 on */
static void record_frames(struct bench *b)
{
	struct sealnic_cmd cmd;

	b->tcp_seq = 5000;
	b->stream_pos = 0;
	cmd = tls_add(b->tcp_seq);
	b->tls_ctx = command(b, &cmd)->tls_ctx.id;
	b->frames = malloc((size_t)ARRIVE_FRAMES * (HEADERS + MSS));
	if (!b->frames)
		fail("out of memory");
	while (b->n_frames < ARRIVE_FRAMES)
		send_batch(b);
}

/*
 * All of them arrive on @b, in order, for a new context.  @plain: the stream that
 * they must be opened to
 */
static void receive_frames(struct bench *b, const uint8_t *frames, const uint8_t *plain)
{
	struct sealnic_cmd cmd = tls_add(5000), del = { .opcode = SEALNIC_CMD_TLS_DEL };
	struct sealnic_rxd *ring = at(b, b->rx_ring);
	struct sealnic_stats stats;
	const struct sealnic_rxc *done = at(b, b->rxc_ring);
	uint32_t mask = (1u << RX_LOG2) - 1, i, k;

	cmd.tls_add.direction = SEALNIC_TLS_RX;
	cmd.tls_add.ip_version = 4;
	memcpy(cmd.tls_add.saddr, frames + 26, 4);
	memcpy(cmd.tls_add.daddr, frames + 30, 4);
	memcpy(cmd.tls_add.sport, frames + 34, 2);
	memcpy(cmd.tls_add.dport, frames + 36, 2);
	del.tls_ctx.id = command(b, &cmd)->tls_ctx.id;
	for (i = 0; i < ARRIVE_FRAMES; i++) {
		struct fw_frame frame = { .hdr = frames + i * (HEADERS + MSS), .hdr_len = HEADERS,
					  .data = frames + i * (HEADERS + MSS) + HEADERS,
					  .data_len = MSS };
		uint8_t *buf;

		if (i % RX_BATCH == 0) {
			for (k = 0; k < RX_BATCH; k++, b->rx_prod++)
				ring[b->rx_prod & mask] = (struct sealnic_rxd) {
					.addr = b->rx_bufs + (b->rx_prod & mask) * RX_BUF,
					.len = RX_BUF,
				};
			__atomic_store_n(&b->db[0].rxc_cons, b->rx_prod - RX_BATCH, __ATOMIC_RELEASE);
			__atomic_store_n(&b->db[0].rx_prod, b->rx_prod, __ATOMIC_RELEASE);
			__atomic_store_n(&b->db[0].arm, b->db[0].arm + 1, __ATOMIC_RELEASE);
		}
		fw_rx(b->fw, &frame, false);
		k = (b->rx_prod - RX_BATCH + i % RX_BATCH) & mask;
		if (!(done[k].flags & SEALNIC_RX_TLS_OPENED))
			fail("a packet is not opened");
		buf = (uint8_t *)at(b, b->rx_bufs) + k * RX_BUF + HEADERS;
		/* what is header, nonce or tag there is seen by the tests */
		for (k = 0; plain && k < MSS; k++) {
			uint32_t pos = (i * MSS + k) % STREAM, in = pos % RECORD;

			if (in >= RECORD_HEAD && in < RECORD_HEAD + RECORD_PLAIN && buf[k] != plain[pos])
				fail("what the device opened is not what was sealed");
		}
		if (i % RX_BATCH == RX_BATCH - 1 || i + 1 == ARRIVE_FRAMES)
			while (fw_run(b->fw) <= now_ns())
				;
	}
	/* the last batch was not filled: its buffers are taken back */
	if (ARRIVE_FRAMES % RX_BATCH)
		b->rx_prod -= RX_BATCH - ARRIVE_FRAMES % RX_BATCH;
	command(b, &del);
	fw_get_stats(b->fw, &stats);
	if (stats.tls_rx_skip || stats.rx_packets != stats.tls_rx_packets)
		fail("packets are not opened");
}

/* Return: MB/s of payload opened */
static double open_slice(struct bench *b, const uint8_t *frames)
{
	uint64_t records = 0, start = cpu_ns(), ns;

	do {
		receive_frames(b, frames, NULL);
		records += ARRIVE_FRAMES * MSS / RECORD;
	} while ((ns = cpu_ns() - start) < SLICE_NS);
	return (double)records * RECORD_PLAIN * 1e3 / (double)ns;
}

/* As "openssl speed -evp aes-128-gcm -bytes 16384": one message, in place */
static double openssl_slice(EVP_CIPHER_CTX *ctx, uint8_t *buf)
{
	static const uint8_t iv[12];
	uint64_t bytes = 0, start, ns;
	int i, len;

	if (!EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, iv))
		fail("OpenSSL has no AES-128-GCM");
	start = cpu_ns();
	do {
		for (i = 0; i < 32; i++) {
			if (EVP_EncryptUpdate(ctx, buf, &len, buf, RECORD_PLAIN) != 1)
				fail("OpenSSL does not encrypt");
			bytes += RECORD_PLAIN;
		}
	} while ((ns = cpu_ns() - start) < SLICE_NS);
	return (double)bytes * 1e3 / (double)ns;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, SLICES, sizeof(*v), compare);
	return v[SLICES / 2];
}

/* Contexts a second: the table filled through the command ring, emptied off the clock */
static double context_adds(struct bench *b)
{
	static uint32_t ids[CONTEXTS];
	const uint32_t per_ring = 1u << (CTL_LOG2 - 1), count = CONTEXTS - per_ring;
	struct sealnic_cmd cmd = tls_add(1), del = { .opcode = SEALNIC_CMD_TLS_DEL };
	uint64_t ns = 0, start, added = 0;
	uint32_t round, i, j;

	for (round = 0; round < 20; round++) {
		start = cpu_ns();
		for (i = 0; i < count; i += per_ring) {
			for (j = 0; j < per_ring; j++)
				post_command(b, &cmd);
			ring_commands(b);
			for (j = 0; j < per_ring; j++) {
				struct sealnic_event *ev = next_answer(b);

				if (ev->status != SEALNIC_OK)
					fail("a context is refused");
				ids[i + j] = ev->tls_ctx.id;
			}
		}
		ns += cpu_ns() - start;
		added += count;
		for (i = 0; i < count; i += per_ring) {
			for (j = 0; j < per_ring; j++) {
				del.tls_ctx.id = ids[i + j];
				post_command(b, &del);
			}
			ring_commands(b);
			for (j = 0; j < per_ring; j++)
				next_answer(b);
		}
	}
	return (double)added * 1e9 / (double)ns;
}

int main(int argc, char **argv)
{
	static double device_mb_s[SLICES], openssl_mb_s[SLICES], open_mb_s[SLICES];
	bool json = argc == 2 && !strcmp(argv[1], "--json");
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	static struct bench bench, receiver;
	struct sealnic_cmd cmd;
	double device, openssl, opened, adds;
	uint8_t *buf;
	cpu_set_t cpu;
	int i;

	if (argc > 1 && !json) {
		fprintf(stderr, "usage: seal_bench [--json]\n");
		return 2;
	}
	CPU_ZERO(&cpu);
	CPU_SET((size_t)sched_getcpu(), &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);

	buf = aligned_alloc(64, RECORD_PLAIN + 64);
	bench.capture = malloc(VERIFY);
	if (!ctx || !buf || !bench.capture)
		fail("out of memory");
	memset(buf, 1, RECORD_PLAIN + 64);
	bring_up(&bench, 1);
	bring_up(&receiver, 2);
	make_stream(&bench);
	bench.tcp_seq = 1000;
	cmd = tls_add(bench.tcp_seq);
	bench.tls_ctx = command(&bench, &cmd)->tls_ctx.id;
	verify(&bench);

	record_frames(&bench);
	receive_frames(&receiver, bench.frames, at(&bench, bench.stream));

	device_slice(&bench);
	openssl_slice(ctx, buf);
	for (i = 0; i < SLICES; i++) {
		device_mb_s[i] = device_slice(&bench);
		openssl_mb_s[i] = openssl_slice(ctx, buf);
		open_mb_s[i] = open_slice(&receiver, bench.frames);
	}
	adds = context_adds(&bench);

	device = median(device_mb_s);
	openssl = median(openssl_mb_s);
	opened = median(open_mb_s);
	if (json) {
		printf("{\"model_seal_mb_s\":%.0f,\"openssl_mb_s\":%.0f,"
		       "\"model_seal_over_openssl\":%.3f,\"model_open_mb_s\":%.0f,"
		       "\"model_open_over_openssl\":%.3f,\"model_context_adds_per_s\":%.0f,"
		       "\"context_bytes\":%u}\n",
		       device, openssl, device / openssl, opened, opened / openssl, adds,
		       le32toh(bench.seg->tls_ctx_bytes));
	} else {
		printf("device seals           %8.0f MB/s of 16 KB records\n", device);
		printf("device opens           %8.0f MB/s\n", opened);
		printf("openssl, 16 KB blocks  %8.0f MB/s\n", openssl);
		printf("sealing over openssl   %8.3f\n", device / openssl);
		printf("opening over openssl   %8.3f\n", opened / openssl);
		printf("contexts added         %8.0f /s\n", adds);
		printf("bytes per context      %8u\n", le32toh(bench.seg->tls_ctx_bytes));
	}
	EVP_CIPHER_CTX_free(ctx);
	free(buf);
	free(bench.capture);
	free(bench.frames);
	gcm_free(bench.gcm);
	gcm_free(receiver.gcm);
	return 0;
}
