// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * TAP, the host around the firmware, a driver's steps, and a frame reader: see
 * fw_harness.h.
 */
#include "fw_harness.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define HAVE_ASAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(HAVE_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p))
#define __asan_region_is_poisoned(p, n) NULL
#endif

/* ---- TAP ---- */

static uint32_t tests_run, tests_failed, complaints;

static bool complain(const char *file, int line)
{
	const char *base = strrchr(file, '/');

	if (++complaints > 10)
		return false;
	printf("# %s:%d: ", base ? base + 1 : file, line);
	return true;
}

bool tap_check(bool good, const char *file, int line, const char *what)
{
	if (!good && complain(file, line))
		printf("%s\n", what);
	return good;
}

bool tap_check_eq(uint64_t a, uint64_t b, const char *file, int line, const char *what_a,
		  const char *what_b)
{
	if (a != b && complain(file, line))
		printf("%s is %llu, %s is %llu\n", what_a, (unsigned long long)a, what_b,
		       (unsigned long long)b);
	return a == b;
}

void test(const char *name, void (*fn)(void))
{
	complaints = 0;
	fn();
	tests_run++;
	if (complaints)
		tests_failed++;
	printf("%sok %u - %s\n", complaints ? "not " : "", tests_run, name);
	fflush(stdout);
}

int tap_end(void)
{
	printf("1..%u\n", tests_run);
	return tests_failed ? 1 : 0;
}

/* ---- random numbers: splitmix64 ---- */

uint32_t rnd(struct rnd *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (uint32_t)(z >> 32 ^ z);
}

uint32_t rnd_below(struct rnd *r, uint32_t n)
{
	return rnd(r) % n;
}

void rnd_fill(struct rnd *r, void *p, uint32_t len)
{
	uint8_t *b = p;

	while (len--)
		*b++ = (uint8_t)rnd(r);
}

/* ---- the platform under the firmware ---- */

/* Host memory, as a test sees it; NULL outside of it */
void *host_memory(struct host *h, uint64_t addr, uint64_t len)
{
	for (int i = 0; i < 2; i++) {
		struct region *r = &h->ram[i];

		if (addr >= r->base && addr - r->base <= r->size &&
		    len <= r->size - (addr - r->base)) {
			ASAN_UNPOISON_MEMORY_REGION(r->mem + (addr - r->base), len);
			return r->mem + (addr - r->base);
		}
	}
	return NULL;
}

/* The same for addresses that a test knows to be good */
void *host_at(struct host *h, uint64_t addr, uint64_t len)
{
	void *p = host_memory(h, addr, len);

	if (!p) {
		printf("Bail out! test uses host address 0x%llx\n", (unsigned long long)addr);
		abort();
	}
	return p;
}

static void *plat_dma(void *priv, uint64_t addr, uint32_t len)
{
	struct host *h = priv;

	if (h->on_dma)
		h->on_dma(h, addr, len);
	return host_memory(h, addr, len);
}

static bool plat_wire_ready(void *priv)
{
	struct host *h = priv;

	return h->wire_credit;
}

static void plat_wire_tx(void *priv, const struct fw_frame *frame)
{
	struct host *h = priv;
	struct frame *f = &h->frames[h->n_frames];

	if (h->on_tx)
		h->on_tx(h, frame);
	if (h->wire_credit > 0)
		h->wire_credit--;
	if (h->keep_no_frames || h->n_frames == MAX_FRAMES)
		return;
	f->len = frame->hdr_len + frame->data_len;
	f->first = frame->hdr_len;
	f->bytes = malloc(f->len);
	memcpy(f->bytes, frame->hdr, frame->hdr_len);
	if (frame->data_len)
		memcpy(f->bytes + frame->hdr_len, frame->data, frame->data_len);
	h->n_frames++;
}

static void plat_irq(void *priv, uint32_t vector)
{
	struct host *h = priv;

	if (vector >= h->cfg.vectors || vector > SEALNIC_MAX_QP)
		abort();
	h->irqs[vector]++;
}

static uint64_t plat_now(void *priv)
{
	struct host *h = priv;

	if (h->on_now)
		h->on_now(h);
	return h->now;
}

static void plat_gcm_start(void *priv, struct fw_gcm *gcm, const struct fw_key *key,
			   const uint8_t iv[12], const uint8_t *aad, uint32_t aad_len)
{
	struct host *h = priv;

	gcm_start(h->gcm, gcm, key, iv, aad, aad_len);
}

static void plat_gcm_seal(void *priv, struct fw_gcm *gcm, const struct fw_key *key, uint8_t *dst,
			  const uint8_t *src, uint32_t len)
{
	struct host *h = priv;

	/* the library is not instrumented */
	if (__asan_region_is_poisoned((void *)src, len) || __asan_region_is_poisoned(dst, len))
		abort();
	gcm_seal(h->gcm, gcm, key, dst, src, len);
	if (h->on_seal)
		h->on_seal(h);
}

static void plat_gcm_open(void *priv, struct fw_gcm *gcm, const struct fw_key *key, uint8_t *dst,
			  const uint8_t *src, uint32_t len)
{
	struct host *h = priv;

	if (__asan_region_is_poisoned((void *)src, len) || __asan_region_is_poisoned(dst, len))
		abort();
	gcm_open(h->gcm, gcm, key, dst, src, len);
}

static void plat_gcm_tag(void *priv, struct fw_gcm *gcm, const struct fw_key *key, uint8_t tag[16])
{
	struct host *h = priv;

	gcm_tag(h->gcm, gcm, key, tag);
}

static void plat_key_drop(void *priv, uint32_t slot)
{
	struct host *h = priv;

	gcm_key_drop(h->gcm, slot);
}

static const struct fw_plat platform = {
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

/* ---- the host ---- */

const uint8_t mac_a[6] = { 0x02, 0x5e, 0xa1, 0x00, 0x00, 0x0a };
const uint8_t mac_b[6] = { 0x02, 0x5e, 0xa1, 0x00, 0x00, 0x0b };

static struct gcm *own_gcm;	/* one for all hosts that bring none */

static void *zeroed(size_t size)
{
	void *p = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);

	if (!p)
		abort();
	memset(p, 0, size);
	/* the rounding up does not belong to it */
	ASAN_POISON_MEMORY_REGION((uint8_t *)p + size, ((size + 4095) & ~(size_t)4095) - size);
	return p;
}

struct host *host_new(const struct host_options *opt)
{
	struct host_options o = opt ? *opt : (struct host_options){ 0 };
	uint32_t ram = o.ram_bytes ? o.ram_bytes : 4u << 20;
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		abort();
	for (int i = 0; i < 2; i++) {
		h->ram[i].base = i ? HIGH_BASE : LOW_BASE;
		h->ram[i].size = ram;
		h->ram[i].mem = zeroed(ram);
	}
	h->bar2 = zeroed(SEALNIC_BAR2_SIZE);
	h->seg = (struct sealnic_init_seg *)h->bar2;
	h->db = (struct sealnic_qp_db *)(h->bar2 + SEALNIC_DB_OFFSET);
	if (!o.gcm && !own_gcm)
		own_gcm = gcm_new();
	h->gcm = o.gcm ? o.gcm : own_gcm;
	h->now = 1000000000;
	h->wire_credit = -1;

	h->cfg = (struct fw_config){
		.bar2 = h->bar2,
		.db_base = 7u << 16,
		.vectors = o.vectors ? o.vectors : 9,
		.max_tls_ctx = o.max_tls_ctx ? o.max_tls_ctx : 64,
		.speed = 10000,
		.serial = "test-0001",
		.build = "host tests",
	};
	memcpy(h->cfg.mac, mac_a, 6);
	h->fw_mem_size = fw_mem_size(&h->cfg);
	/* lazily, for the test of a million contexts */
	if (h->fw_mem_size > 64u << 20)
		h->fw_mem = calloc(1, h->fw_mem_size + 64);
	else
		h->fw_mem = zeroed(h->fw_mem_size);
	h->fw = fw_init((void *)(((uintptr_t)h->fw_mem + 63) & ~(uintptr_t)63), &h->cfg, &platform,
			h);

	h->scratch = host_alloc(h, 1, 4096);
	h->arena_bytes = o.arena_bytes ? o.arena_bytes : 1u << 20;
	for (int i = 0; i < 2; i++)
		h->arena[i] = host_alloc(h, i, h->arena_bytes);
	return h;
}

void host_free(struct host *h)
{
	drop_frames(h);
	for (uint32_t i = 0; h->gcm && i < 256; i++)
		gcm_key_drop(h->gcm, i);
	for (int i = 0; i < 2; i++)
		free(h->ram[i].mem);
	free(h->bar2);
	free(h->fw_mem);
	free(h);
}

/* Zeroed, aligned to 64, never given back */
uint64_t host_alloc(struct host *h, int region, uint64_t size)
{
	struct region *r = &h->ram[region];
	uint64_t addr = r->base + r->used;

	r->used += (size + 63) & ~63ull;
	memset(host_at(h, addr, size), 0, size);
	return addr;
}

void host_enter(struct host *h)
{
	h->inside = true;
	for (int i = 0; i < 2 && !h->loose; i++)
		ASAN_POISON_MEMORY_REGION(h->ram[i].mem, h->ram[i].size);
}

void host_leave(struct host *h)
{
	for (int i = 0; i < 2; i++)
		ASAN_UNPOISON_MEMORY_REGION(h->ram[i].mem, h->ram[i].size);
	h->inside = false;
	for (uint32_t v = 0; h->rung[0] | h->rung[1]; v++) {
		if (h->rung[v / 64] >> v % 64 & 1)
			fw_doorbell(h->fw, v);
		h->rung[v / 64] &= ~(1ull << v % 64);
	}
}

/* Let the firmware work until it has nothing left to do now */
void host_run(struct host *h)
{
	uint32_t rounds = 0;
	bool rung;

	do {
		host_enter(h);
		h->due = fw_run(h->fw);
		rung = h->rung[0] | h->rung[1];
		host_leave(h);
		if (++rounds > 100000) {
			printf("Bail out! fw_run() has always something to do\n");
			abort();
		}
	} while (h->due <= h->now || rung);
}

/* A doorbell from within the firmware's callbacks waits until it is done */
void ring(struct host *h, uint32_t vector)
{
	if (h->inside && vector < 128)
		h->rung[vector / 64] |= 1ull << vector % 64;
	else
		fw_doorbell(h->fw, vector);
}

/* ---- the driver: control, commands, events ---- */

void write_ctl(struct host *h, uint32_t op)
{
	static uint32_t seq;

	h->seg->ctl = SEALNIC_CTL(op, ++seq);
	ring(h, SEALNIC_VEC_CONTROL);
	host_run(h);
}

/* Fresh rings, one in each part of memory, and their place in the init segment */
void set_rings(struct host *h, uint32_t cmd_log2, uint32_t event_log2)
{
	h->cmd_log2 = cmd_log2;
	h->event_log2 = event_log2;
	h->cmd_ring = host_alloc(h, 0, sizeof(struct sealnic_cmd) << cmd_log2);
	h->event_ring = host_alloc(h, 1, sizeof(struct sealnic_event) << event_log2);
	h->seg->cmd_base = h->cmd_ring;
	h->seg->event_base = h->event_ring;
	h->seg->cmd_log2 = (uint8_t)cmd_log2;
	h->seg->event_log2 = (uint8_t)event_log2;
	h->seg->drv_features = h->seg->features;
	h->seg->cmd_prod = 0;
	h->seg->event_cons = 0;
	h->cmd_prod = 0;
	h->event_cons = 0;
	h->n_events = 0;
}

void start(struct host *h)
{
	set_rings(h, 4, 5);
	write_ctl(h, SEALNIC_CTL_START);
}

void reset(struct host *h)
{
	write_ctl(h, SEALNIC_CTL_RESET);
	memset(h->db, 0, sizeof(*h->db) * SEALNIC_MAX_QP);
}

void post_command(struct host *h, struct sealnic_cmd *cmd)
{
	uint32_t slot = h->cmd_prod & ((1u << h->cmd_log2) - 1);

	cmd->tag = (uint16_t)(h->cmd_prod ^ 0x5a00);
	memcpy(host_at(h, h->cmd_ring + slot * sizeof(*cmd), sizeof(*cmd)), cmd, sizeof(*cmd));
	h->seg->cmd_prod = ++h->cmd_prod;
}

/* Move what is in the event ring to h->events; checks phases on the way */
void drain_events(struct host *h)
{
	for (;;) {
		uint32_t slot = h->event_cons & ((1u << h->event_log2) - 1);
		bool phase = !(h->event_cons >> h->event_log2 & 1);
		struct sealnic_event *ev;

		ev = host_at(h, h->event_ring + slot * sizeof(*ev), sizeof(*ev));
		if ((ev->ctl & SEALNIC_EV_PHASE) != phase)
			break;
		if (h->n_events < MAX_EVENTS)
			h->events[h->n_events++] = *ev;
		h->seg->event_cons = ++h->event_cons;
	}
}

/* The last event of a type */
const struct sealnic_event *find_event(const struct host *h, uint8_t type)
{
	for (uint32_t i = h->n_events; i--;) {
		if (h->events[i].type == type)
			return &h->events[i];
	}
	return NULL;
}

uint32_t count_events(const struct host *h, uint8_t type)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->n_events; i++)
		n += h->events[i].type == type;
	return n;
}

/* Have a command obeyed; UINT32_MAX if it was not answered */
enum sealnic_status command(struct host *h, struct sealnic_cmd *cmd, struct sealnic_event *ev)
{
	uint32_t n;

	if (h->n_events > MAX_EVENTS / 2)
		h->n_events = 0;
	n = h->n_events;
	post_command(h, cmd);
	ring(h, SEALNIC_VEC_CONTROL);
	host_run(h);
	drain_events(h);
	for (; n < h->n_events; n++) {
		if (h->events[n].type == SEALNIC_EV_CMD && h->events[n].tag == cmd->tag) {
			if (ev)
				*ev = h->events[n];
			return h->events[n].status;
		}
	}
	return UINT32_MAX;
}

enum sealnic_status set_port(struct host *h, uint32_t flags, uint32_t mtu)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_SET_PORT };

	cmd.port.flags = flags;
	cmd.port.mtu = (uint16_t)mtu;
	memcpy(cmd.port.mac, mac_a, 6);
	return command(h, &cmd, NULL);
}

enum sealnic_status set_rx_mode(struct host *h, uint32_t flags)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_SET_RX_MODE };

	cmd.rx_mode.flags = flags;
	return command(h, &cmd, NULL);
}

/* With rings on alternating sides of 4 GiB; a ring is reused if it fits */
enum sealnic_status create_qp(struct host *h, uint32_t n, uint32_t tx_log2, uint32_t rx_log2)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_CREATE_QP };
	struct host_qp *qp = &h->qp[n];

	if (qp->tx_log2 != tx_log2 || qp->rx_log2 != rx_log2) {
		qp->tx = host_alloc(h, n & 1, sizeof(struct sealnic_txd) << tx_log2);
		qp->rx = host_alloc(h, ~n & 1, sizeof(struct sealnic_rxd) << rx_log2);
		qp->rxc = host_alloc(h, n & 1, sizeof(struct sealnic_rxc) << rx_log2);
		qp->status = host_alloc(h, ~n & 1, sizeof(struct sealnic_qp_status));
	} else {
		memset(host_at(h, qp->rxc, sizeof(struct sealnic_rxc) << rx_log2), 0,
		       sizeof(struct sealnic_rxc) << rx_log2);
		memset(host_at(h, qp->status, 64), 0, 64);
	}
	qp->tx_log2 = tx_log2;
	qp->rx_log2 = rx_log2;
	qp->vector = (uint16_t)(n + 1);
	qp->tx_prod = 0;
	qp->rx_prod = 0;
	qp->rxc_cons = 0;
	memset(&h->db[n], 0, sizeof(h->db[n]));

	cmd.create_qp.qp = (uint16_t)n;
	cmd.create_qp.vector = qp->vector;
	cmd.create_qp.tx_log2 = (uint8_t)tx_log2;
	cmd.create_qp.rx_log2 = (uint8_t)rx_log2;
	cmd.create_qp.tx_base = qp->tx;
	cmd.create_qp.rx_base = qp->rx;
	cmd.create_qp.rxc_base = qp->rxc;
	cmd.create_qp.status_base = qp->status;
	return command(h, &cmd, NULL);
}

enum sealnic_status destroy_qp(struct host *h, uint32_t n)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_DESTROY_QP };

	cmd.qp.qp = (uint16_t)n;
	return command(h, &cmd, NULL);
}

enum sealnic_status coalesce(struct host *h, uint32_t n, uint32_t rx_usecs, uint32_t rx_frames,
			     uint32_t tx_usecs, uint32_t tx_frames)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_COALESCE };

	cmd.coalesce.qp = (uint16_t)n;
	cmd.coalesce.rx_usecs = rx_usecs;
	cmd.coalesce.rx_frames = rx_frames;
	cmd.coalesce.tx_usecs = tx_usecs;
	cmd.coalesce.tx_frames = tx_frames;
	return command(h, &cmd, NULL);
}

struct sealnic_stats get_stats(struct host *h)
{
	struct sealnic_stats s;

	fw_get_stats(h->fw, &s);
	return s;
}

/* A started port, enabled, with queue pairs of 256 and 128 entries */
struct host *host_up(uint32_t n_qp)
{
	struct host *h = host_new(NULL);

	start(h);
	fw_set_link(h->fw, true);
	set_port(h, SEALNIC_PORT_ENABLE | SEALNIC_PORT_RX_CSUM | SEALNIC_PORT_RX_HASH, 1500);
	set_rx_mode(h, SEALNIC_RX_BROADCAST);
	for (uint32_t i = 0; i < n_qp; i++) {
		if (create_qp(h, i, 8, 7) != SEALNIC_OK) {
			printf("Bail out! no queue pair\n");
			abort();
		}
	}
	return h;
}

/* ---- the driver: transmit ---- */

struct sealnic_txd *txd(struct host *h, uint32_t q, uint32_t index)
{
	uint32_t slot = index & ((1u << h->qp[q].tx_log2) - 1);

	return host_at(h, h->qp[q].tx + slot * sizeof(struct sealnic_txd),
		       sizeof(struct sealnic_txd));
}

/* Put bytes where a packet may have them: one time below, one time above 4 GiB */
uint64_t arena_put(struct host *h, const void *p, uint32_t len)
{
	int side = h->piece++ & 1;
	uint64_t addr;

	if (h->arena_pos[side] + len + 8 > h->arena_bytes)
		h->arena_pos[side] = 0;
	/* any alignment */
	h->arena_pos[side] += h->piece % 7;
	addr = h->arena[side] + h->arena_pos[side];
	h->arena_pos[side] += len;
	if (len)
		memcpy(host_at(h, addr, len), p, len);
	return addr;
}

void post_txd(struct host *h, uint32_t q, const struct sealnic_txd *d)
{
	*txd(h, q, h->qp[q].tx_prod++) = *d;
	h->db[q].tx_prod = h->qp[q].tx_prod;
}

void post_packet(struct host *h, uint32_t q, const struct packet *p)
{
	static uint8_t whole[1u << 18];
	uint32_t total = p->hdr_len + p->len, first = h->qp[q].tx_prod, off = 0, count = 0;
	struct sealnic_txd d = { .type = SEALNIC_TXD_PKT };

	if (p->hdr_len)
		memcpy(whole, p->hdr, p->hdr_len);
	if (p->len)
		memcpy(whole + p->hdr_len, p->data, p->len);
	d.flags = p->flags;
	d.pkt.mss = p->mss;
	d.pkt.vlan_tci = p->tci;
	d.pkt.l3_off = p->l3;
	d.pkt.l4_off = p->l4;
	d.pkt.csum_off = p->csum_off;
	d.pkt.hdr_len = (uint8_t)p->hdr_len;
	d.pkt.tls_ctx = p->tls_ctx;
	do {
		if (count < p->n_cuts)
			d.len = p->cuts[count];
		else if (!p->n_cuts && !count && !p->together && p->hdr_len)
			d.len = p->hdr_len;
		else
			d.len = total - off;
		if (d.len > total - off || count + 1 == SEALNIC_MAX_PKT_DESC)
			d.len = total - off;
		d.addr = arena_put(h, whole + off, d.len);
		off += d.len;
		count++;
		*txd(h, q, h->qp[q].tx_prod++) = d;
		d = (struct sealnic_txd){ .type = SEALNIC_TXD_SEG };
	} while (off < total);
	txd(h, q, first)->count = (uint8_t)count;
	h->db[q].tx_prod = h->qp[q].tx_prod;
}

void kick(struct host *h, uint32_t q)
{
	ring(h, SEALNIC_VEC_QP(q));
	host_run(h);
}

void send_packet(struct host *h, uint32_t q, const struct packet *p)
{
	post_packet(h, q, p);
	kick(h, q);
}

uint32_t tx_cons(struct host *h, uint32_t q)
{
	return ((struct sealnic_qp_status *)host_at(h, h->qp[q].status, 64))->tx_cons;
}

/* ---- the driver: receive ---- */

void post_rx(struct host *h, uint32_t q, uint64_t addr, uint32_t len)
{
	uint32_t slot = h->qp[q].rx_prod & ((1u << h->qp[q].rx_log2) - 1);
	struct sealnic_rxd *d = host_at(h, h->qp[q].rx + slot * sizeof(*d), sizeof(*d));

	d->addr = addr;
	d->len = len;
	h->db[q].rx_prod = ++h->qp[q].rx_prod;
}

/* Buffers of their own in the arenas */
void post_buffers(struct host *h, uint32_t q, uint32_t count, uint32_t len)
{
	static const uint8_t none[SEALNIC_MAX_RX_BUF];

	while (count--)
		post_rx(h, q, arena_put(h, none, len), len);
}

bool take_rxc(struct host *h, uint32_t q, struct sealnic_rxc *c)
{
	struct host_qp *qp = &h->qp[q];
	uint32_t slot = qp->rxc_cons & ((1u << qp->rx_log2) - 1);
	bool phase = !(qp->rxc_cons >> qp->rx_log2 & 1);

	memcpy(c, host_at(h, qp->rxc + slot * sizeof(*c), sizeof(*c)), sizeof(*c));
	if ((c->ctl & SEALNIC_RXC_PHASE) != phase)
		return false;
	h->db[q].rxc_cons = ++qp->rxc_cons;
	return true;
}

/* The next frame, put together; its length, or 0 */
uint32_t take_frame(struct host *h, uint32_t q, uint8_t *out, struct sealnic_rxc *last)
{
	struct host_qp *qp = &h->qp[q];
	uint32_t off = 0;

	do {
		struct sealnic_rxd *d;
		uint32_t slot;

		if (!take_rxc(h, q, last))
			return 0;
		slot = last->index & ((1u << qp->rx_log2) - 1);
		CHECK_EQ((uint16_t)(qp->rxc_cons - 1), last->index);
		d = host_at(h, qp->rx + slot * sizeof(*d), sizeof(*d));
		memcpy(out + off, host_at(h, d->addr, last->len), last->len);
		off += last->len;
	} while (last->ctl & SEALNIC_RXC_MORE);
	return off;
}

/* A frame from the wire, in two pieces of which the first has @first bytes */
enum fw_rx_result offer(struct host *h, const void *frame, uint32_t len, uint32_t first,
			bool may_hold)
{
	uint8_t *a, *b;
	enum fw_rx_result res;
	struct fw_frame f;

	if (first > len)
		first = len;
	/* copies of the exact size */
	a = malloc(first ? first : 1);
	b = malloc(len - first ? len - first : 1);
	memcpy(a, frame, first);
	memcpy(b, (const uint8_t *)frame + first, len - first);
	f = (struct fw_frame){ .hdr = a, .hdr_len = first, .data = b, .data_len = len - first };
	host_enter(h);
	res = fw_rx(h->fw, &f, may_hold);
	host_leave(h);
	free(a);
	free(b);
	host_run(h);
	return res;
}

bool in_device_memory(const struct host *h, const void *needle, uint32_t len)
{
	const uint8_t *p = h->fw_mem, *end = p + h->fw_mem_size - len;

	for (; p <= end; p++) {
		if (!memcmp(p, needle, len))
			return true;
	}
	return false;
}

void drop_frames(struct host *h)
{
	while (h->n_frames)
		free(h->frames[--h->n_frames].bytes);
}

/* ---- headers, and the frame reader ---- */

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* RFC 1071, the slow way: 16-bit words, high byte first */
static uint32_t sum16(uint32_t sum, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static uint32_t pseudo(const uint8_t *l3, bool v6, uint8_t proto, uint32_t l4_len)
{
	uint32_t sum = v6 ? sum16(0, l3 + 8, 32) : sum16(0, l3 + 12, 8);

	sum += proto + (l4_len >> 16) + (l4_len & 0xffff);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static struct headers ip_headers(bool v6, uint8_t proto)
{
	struct headers hd = { .l3 = 14, .l4 = v6 ? 54 : 34 };
	uint8_t *ip = hd.bytes + 14;

	memcpy(hd.bytes, mac_b, 6);
	memcpy(hd.bytes + 6, mac_a, 6);
	put16(hd.bytes + 12, v6 ? 0x86dd : 0x0800);
	if (v6) {
		ip[0] = 0x60;
		ip[6] = proto;
		ip[7] = 64;
		for (int i = 0; i < 32; i++)
			ip[8 + i] = (uint8_t)(0xfd - i * 7);
	} else {
		ip[0] = 0x45;
		put16(ip + 4, 0xfffe); /* the identification wraps soon */
		ip[6] = 0x40;
		ip[8] = 64;
		ip[9] = proto;
		memcpy(ip + 12, "\x0a\x01\x02\x03\x0a\x01\x02\x04", 8);
	}
	return hd;
}

/* Addresses, ports, flags; what offload has to fill in stays zero */
struct headers tcp_headers(bool v6, uint32_t seq, uint8_t flags, uint32_t options)
{
	struct headers hd = ip_headers(v6, 6);
	uint8_t *tcp = hd.bytes + hd.l4;

	put16(tcp, 443);
	put16(tcp + 2, 50001);
	put16(tcp + 4, seq >> 16);
	put16(tcp + 6, seq);
	put16(tcp + 8, 0x1234);
	put16(tcp + 10, 0x5678);
	tcp[12] = (uint8_t)((20 + options) / 4 << 4);
	tcp[13] = flags;
	put16(tcp + 14, 502);
	memset(tcp + 20, 1, options);
	hd.len = hd.l4 + 20 + options;
	hd.csum_off = 16;
	return hd;
}

struct headers udp_headers(bool v6, uint32_t payload)
{
	struct headers hd = ip_headers(v6, 17);
	uint8_t *udp = hd.bytes + hd.l4;

	put16(udp, 4433);
	put16(udp + 2, 50002);
	put16(udp + 4, 8 + payload);
	hd.len = hd.l4 + 8u;
	hd.csum_off = 6;
	return hd;
}

/* Lengths, IPv4 header checksum, and the pseudo header's sum: ready for TX_CSUM */
void put_pseudo(struct headers *hd, bool v6, uint32_t payload)
{
	uint32_t l4_len = hd->len - hd->l4 + payload;
	uint8_t *ip = hd->bytes + hd->l3, proto = v6 ? ip[6] : ip[9];

	if (v6) {
		put16(ip + 4, l4_len);
	} else {
		put16(ip + 2, hd->l4 - hd->l3 + l4_len);
		put16(ip + 10, 0);
		put16(ip + 10, ~sum16(0, ip, hd->l4 - hd->l3));
	}
	put16(hd->bytes + hd->l4 + hd->csum_off, pseudo(ip, v6, proto, l4_len));
}

/* A whole frame with good checksums, made in software; its length */
uint32_t finish_frame(uint8_t *out, const struct headers *hd, bool v6, const void *data,
		      uint32_t len)
{
	struct headers h = *hd;
	uint32_t sum;

	put_pseudo(&h, v6, len);
	memcpy(out, h.bytes, h.len);
	if (len)
		memcpy(out + h.len, data, len);
	sum = ~sum16(0, out + h.l4, h.len - h.l4 + len) & 0xffff;
	put16(out + h.l4 + h.csum_off, sum ? sum : 0xffff);
	return h.len + len;
}

/* False for a frame that is not TCP or UDP over IP */
bool read_frame(struct view *v, const uint8_t *p, uint32_t len)
{
	uint32_t l3 = 14, l4, l4_len, type, ip_len;

	memset(v, 0, sizeof(*v));
	if (len < 34)
		return false;
	type = get16(p + 12);
	if (type == 0x8100) {
		v->vlan = true;
		v->tci = (uint16_t)get16(p + 14);
		type = get16(p + 16);
		l3 = 18;
	}
	if (type == 0x0800) {
		l4 = l3 + (p[l3] & 15) * 4u;
		ip_len = get16(p + l3 + 2);
		v->proto = p[l3 + 9];
		v->ip_id = (uint16_t)get16(p + l3 + 4);
		v->ip_good = p[l3] >> 4 == 4 && ip_len == len - l3 &&
			     sum16(0, p + l3, l4 - l3) == 0xffff;
	} else if (type == 0x86dd) {
		v->v6 = true;
		l4 = l3 + 40;
		ip_len = get16(p + l3 + 4) + 40;
		v->proto = p[l3 + 6];
		v->ip_good = p[l3] >> 4 == 6 && ip_len == len - l3;
	} else {
		return false;
	}
	if (l4 + 8 > len)
		return false;
	l4_len = len - l4;
	v->l4_good = sum16(pseudo(p + l3, v->v6, v->proto, l4_len), p + l4, l4_len) == 0xffff;
	if (v->proto == 17) {
		v->hdr_len = l4 + 8;
		v->l4_sum = (uint16_t)get16(p + l4 + 6);
	} else if (v->proto == 6 && l4 + 20 <= len) {
		v->hdr_len = l4 + (p[l4 + 12] >> 4) * 4u;
		v->l4_sum = (uint16_t)get16(p + l4 + 16);
		v->seq = get16(p + l4 + 4) << 16 | get16(p + l4 + 6);
		v->tcp_flags = p[l4 + 13];
	} else {
		return false;
	}
	if (v->hdr_len > len)
		return false;
	v->payload = p + v->hdr_len;
	v->len = len - v->hdr_len;
	return true;
}
