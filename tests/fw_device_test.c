// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The port as its driver controls it: init segment, control words, commands,
 * events, queue pairs.
 */
#include "fw_harness.h"

/* ---- init segment and control words ---- */

static void init_segment(void)
{
	struct host *h = host_new(NULL);
	const struct sealnic_init_seg *s = h->seg;

	CHECK(!memcmp(s->magic, "SEALNIC", 8));
	CHECK_EQ(s->if_major, SEALNIC_IF_MAJOR);
	CHECK_EQ(s->if_minor, SEALNIC_IF_MINOR);
	CHECK_EQ(s->max_qp, 8);
	CHECK_EQ(s->db_base, 7u << 16);
	CHECK_EQ(s->bar2_size, SEALNIC_BAR2_SIZE);
	CHECK_EQ(s->max_tls_ctx, 64);
	CHECK(s->tls_ctx_bytes && s->tls_ctx_bytes <= 1024);
	CHECK_EQ(s->max_ring, SEALNIC_MAX_RING);
	CHECK_EQ(s->max_mtu, 9000);
	CHECK(!memcmp(s->mac, mac_a, 6));
	CHECK(!strcmp((const char *)s->serial, "test-0001"));
	CHECK(!strcmp((const char *)s->fw_build, "host tests"));
	CHECK_EQ(s->state, SEALNIC_STATE_RESET);
	CHECK(s->features & SEALNIC_F_TLS_TX);
	CHECK(s->features & SEALNIC_F_TLS_RX);
	host_free(h);
}

static void reset_and_start(void)
{
	struct host *h = host_new(NULL);

	start(h);
	CHECK_EQ(h->seg->state, SEALNIC_STATE_RUN);
	CHECK_EQ(h->seg->ctl_ack, h->seg->ctl);
	CHECK_EQ(set_port(h, 0, 1500), SEALNIC_OK);

	/* START while it runs is an error and changes nothing: the rings stay */
	h->seg->cmd_base = HOLE_ADDR;
	write_ctl(h, SEALNIC_CTL_START);
	CHECK_EQ(h->seg->state, SEALNIC_STATE_RUN);
	CHECK_EQ(h->seg->ctl_ack, h->seg->ctl);
	CHECK_EQ(h->seg->errors, 1);
	CHECK_EQ(set_port(h, 0, 1500), SEALNIC_OK);

	/* the same word a second time is not a new order */
	create_qp(h, 0, 6, 6);
	ring(h, 0);
	host_run(h);
	CHECK_EQ(destroy_qp(h, 0), SEALNIC_OK);

	create_qp(h, 0, 6, 6);
	reset(h);
	CHECK_EQ(h->seg->state, SEALNIC_STATE_RESET);
	CHECK_EQ(h->seg->ctl_ack, h->seg->ctl);
	CHECK_EQ(h->seg->link, 0);
	/* nothing is obeyed now */
	CHECK_EQ(set_port(h, 0, 1500), UINT32_MAX);
	start(h);
	CHECK_EQ(h->seg->state, SEALNIC_STATE_RUN);
	CHECK_EQ(destroy_qp(h, 0), SEALNIC_BAD_STATE);
	CHECK_EQ(h->seg->errors, 2);
	host_free(h);
}

static void bad_start(void)
{
	static const struct {
		const char *what;
		uint64_t cmd, event, features;
		uint8_t cmd_log2, event_log2;
	} bad[] = {
		{ "cmd ring too small", 0, 0, 0, 1, 5 },
		{ "cmd ring too large", 0, 0, 0, 11, 5 },
		{ "cmd ring 2^36", 0, 0, 0, 36, 5 },
		{ "event ring too small", 0, 0, 0, 4, 1 },
		{ "event ring too large", 0, 0, 0, 4, 11 },
		{ "event ring 2^255", 0, 0, 0, 4, 255 },
		{ "cmd ring not aligned", LOW_BASE + 32, 0, 0, 4, 5 },
		{ "event ring not aligned", 0, HIGH_BASE + 1, 0, 4, 5 },
		{ "cmd ring in the hole", HOLE_ADDR, 0, 0, 4, 5 },
		{ "event ring in the hole", 0, HOLE_ADDR, 0, 4, 5 },
		{ "cmd ring over the end", LOW_BASE + (4u << 20) - 1024, 0, 0, 4, 5 },
		{ "event ring over the end", 0, HIGH_BASE + (4u << 20) - 1024, 0, 4, 5 },
		{ "event ring at the end of the world", 0, -64ull, 0, 4, 5 },
		{ "a feature not offered", 0, 0, 1ull << 40, 4, 5 },
	};
	struct host *h = host_new(NULL);

	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set_rings(h, 4, 5);
		if (bad[i].cmd)
			h->seg->cmd_base = bad[i].cmd;
		if (bad[i].event)
			h->seg->event_base = bad[i].event;
		h->seg->drv_features = bad[i].features;
		h->seg->cmd_log2 = bad[i].cmd_log2;
		h->seg->event_log2 = bad[i].event_log2;
		write_ctl(h, SEALNIC_CTL_START);
		if (!CHECK_EQ(h->seg->state, SEALNIC_STATE_FAULT))
			printf("# %s\n", bad[i].what);
		CHECK_EQ(h->seg->syndrome, SEALNIC_SYN_BAD_CONFIG);
		CHECK_EQ(h->seg->ctl_ack, h->seg->ctl);
		CHECK_EQ(h->seg->errors, 2 * i + 1);
		/* START does not lead out of FAULT, RESET does */
		set_rings(h, 4, 5);
		write_ctl(h, SEALNIC_CTL_START);
		CHECK_EQ(h->seg->state, SEALNIC_STATE_FAULT);
		reset(h);
		CHECK_EQ(h->seg->state, SEALNIC_STATE_RESET);
		CHECK_EQ(h->seg->syndrome, SEALNIC_SYN_NONE);
	}
	start(h);
	CHECK_EQ(h->seg->state, SEALNIC_STATE_RUN);
	CHECK_EQ(set_port(h, 0, 1500), SEALNIC_OK);
	host_free(h);
}

static void ping(void)
{
	struct host *h = host_new(NULL);

	for (uint32_t i = 0; i < 3; i++) {
		if (i == 1)
			start(h);
		if (i == 2)
			fw_fault(h->fw, SEALNIC_SYN_INJECTED);
		h->seg->ping = 0x1000 + i;
		ring(h, 0);
		host_run(h);
		CHECK_EQ(h->seg->pong, 0x1000 + i);
	}
	host_free(h);
}

static void unknown_ctl(void)
{
	struct host *h = host_new(NULL);

	start(h);
	write_ctl(h, 77);
	CHECK_EQ(h->seg->ctl_ack, h->seg->ctl);
	CHECK_EQ(h->seg->state, SEALNIC_STATE_RUN);
	CHECK_EQ(h->seg->errors, 1);
	CHECK_EQ(get_stats(h).err_command, 1);
	host_free(h);
}

static void fault(void)
{
	struct headers hd = tcp_headers(false, 1, 0x10, 0);
	struct packet p = { .hdr = hd.bytes, .hdr_len = hd.len };
	struct host *h = host_up(1);
	uint32_t irqs = h->irqs[0];

	post_buffers(h, 0, 4, 2048);
	fw_fault(h->fw, SEALNIC_SYN_INJECTED);
	host_run(h);
	drain_events(h);
	CHECK_EQ(h->seg->state, SEALNIC_STATE_FAULT);
	CHECK_EQ(h->seg->syndrome, SEALNIC_SYN_INJECTED);
	CHECK_EQ(h->seg->link, 0);
	CHECK_EQ(count_events(h, SEALNIC_EV_FAULT), 1);
	CHECK_EQ(find_event(h, SEALNIC_EV_FAULT)->status, SEALNIC_SYN_INJECTED);
	CHECK_EQ(h->irqs[0], irqs + 1);
	CHECK(!fw_enabled(h->fw));

	/* nothing is obeyed, sent or received */
	CHECK_EQ(set_port(h, SEALNIC_PORT_ENABLE, 1500), UINT32_MAX);
	send_packet(h, 0, &p);
	CHECK_EQ(h->n_frames, 0);
	memset(hd.bytes, 0xff, 6);
	CHECK_EQ(offer(h, hd.bytes, hd.len, hd.len, true), FW_RX_TAKEN);
	CHECK_EQ(get_stats(h).rx_disabled, 1);
	/* a second fault is not told */
	fw_fault(h->fw, SEALNIC_SYN_INTERNAL);
	CHECK_EQ(h->seg->syndrome, SEALNIC_SYN_INJECTED);

	reset(h);
	start(h);
	CHECK_EQ(h->seg->state, SEALNIC_STATE_RUN);
	CHECK_EQ(set_port(h, SEALNIC_PORT_ENABLE, 1500), SEALNIC_OK);
	CHECK_EQ(create_qp(h, 0, 8, 7), SEALNIC_OK);
	send_packet(h, 0, &p);
	CHECK_EQ(h->n_frames, 1);
	host_free(h);
}

static void link_state(void)
{
	struct host *h = host_new(NULL);

	start(h);
	CHECK_EQ(h->seg->link, 0);
	fw_set_link(h->fw, true);
	host_run(h);
	CHECK_EQ(h->seg->link, 0);
	set_port(h, SEALNIC_PORT_ENABLE, 1500);
	CHECK_EQ(h->seg->link, SEALNIC_LINK_UP | 10000);
	CHECK_EQ(count_events(h, SEALNIC_EV_LINK), 1);
	set_port(h, SEALNIC_PORT_ENABLE, 1400);
	fw_set_link(h->fw, true);
	host_run(h);
	drain_events(h);
	CHECK_EQ(count_events(h, SEALNIC_EV_LINK), 1);
	fw_set_link(h->fw, false);
	host_run(h);
	drain_events(h);
	CHECK_EQ(h->seg->link, 0);
	CHECK_EQ(count_events(h, SEALNIC_EV_LINK), 2);
	fw_set_link(h->fw, true);
	host_run(h);
	set_port(h, 0, 1400);
	CHECK_EQ(h->seg->link, 0);
	CHECK_EQ(count_events(h, SEALNIC_EV_LINK), 4);
	host_free(h);
}

/* ---- commands and events ---- */

static void echo(void)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_ECHO };
	struct host *h = host_new(NULL);
	struct rnd r = { 1 };
	struct sealnic_event ev;
	uint32_t irqs;

	start(h);
	/* many times around both rings */
	for (uint32_t i = 0; i < 200; i++) {
		rnd_fill(&r, cmd.echo, sizeof(cmd.echo));
		irqs = h->irqs[0];
		if (!CHECK_EQ(command(h, &cmd, &ev), SEALNIC_OK))
			break;
		CHECK(!memcmp(ev.echo, cmd.echo, sizeof(cmd.echo)));
		CHECK_EQ(h->irqs[0], irqs + 1);
	}
	CHECK_EQ(get_stats(h).commands, 200);
	CHECK_EQ(h->seg->errors, 0);

	/* a batch is answered in order, with one interrupt */
	h->n_events = 0;
	irqs = h->irqs[0];
	for (uint32_t i = 0; i < 16; i++) {
		cmd.echo[0] = (uint8_t)i;
		post_command(h, &cmd);
	}
	ring(h, 0);
	host_run(h);
	drain_events(h);
	CHECK_EQ(h->n_events, 16);
	for (uint32_t i = 0; i < h->n_events; i++)
		CHECK_EQ(h->events[i].echo[0], i);
	CHECK_EQ(h->irqs[0], irqs + 1);
	host_free(h);
}

static void bad_commands(void)
{
	struct host *h = host_up(1);
	struct sealnic_stats before = get_stats(h);
	uint64_t at = h->scratch;
	struct sealnic_rss *rss;
	struct sealnic_cmd c;
	uint32_t n = 0;

#define REFUSED(status, ...) do { \
	c = (struct sealnic_cmd){ __VA_ARGS__ }; \
	CHECK_EQ(command(h, &c, NULL), status); \
	n++; \
} while (0)

	REFUSED(SEALNIC_BAD_OPCODE, .opcode = 0);
	REFUSED(SEALNIC_BAD_OPCODE, .opcode = 11);
	REFUSED(SEALNIC_BAD_OPCODE, .opcode = 0xffff);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_PORT, .port.mtu = 67);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_PORT, .port.mtu = 9001);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_PORT, .port.mtu = 1500,
		.port.mac = { 1 });
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_PORT, .port.mtu = 1500,
		.port.flags = 32);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_RX_MODE, .rx_mode.flags = 8);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_RX_MODE, .rx_mode.uc_count = 33,
		.data_addr = at, .data_len = 33 * 8);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_RX_MODE, .rx_mode.mc_count = 65,
		.data_addr = at, .data_len = 65 * 8);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_RX_MODE, .rx_mode.uc_count = 0xffff,
		.rx_mode.mc_count = 0xffff);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_RX_MODE, .rx_mode.mc_count = 2,
		.data_addr = at, .data_len = 8);
	REFUSED(SEALNIC_BAD_ADDR, .opcode = SEALNIC_CMD_SET_RX_MODE, .rx_mode.mc_count = 2,
		.data_addr = HOLE_ADDR, .data_len = 16);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_RSS, .data_addr = at, .data_len = 175);
	REFUSED(SEALNIC_BAD_ADDR, .opcode = SEALNIC_CMD_SET_RSS, .data_addr = -8ull,
		.data_len = 176);
	rss = host_at(h, at, sizeof(*rss));
	rss->table[127] = 8;
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_RSS, .data_addr = at, .data_len = 176);
	rss->table[127] = 0;
	rss->hash_types = SEALNIC_HASH_IPV6_UDP << 1;
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_SET_RSS, .data_addr = at, .data_len = 176);
	REFUSED(SEALNIC_BAD_STATE, .opcode = SEALNIC_CMD_DESTROY_QP, .qp.qp = 1);
	REFUSED(SEALNIC_BAD_STATE, .opcode = SEALNIC_CMD_DESTROY_QP, .qp.qp = 8);
	REFUSED(SEALNIC_BAD_STATE, .opcode = SEALNIC_CMD_DESTROY_QP, .qp.qp = 0xffff);
	REFUSED(SEALNIC_BAD_STATE, .opcode = SEALNIC_CMD_COALESCE, .coalesce.qp = 1);
	REFUSED(SEALNIC_BAD_STATE, .opcode = SEALNIC_CMD_COALESCE, .coalesce.qp = 0xffff);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_COALESCE, .coalesce.rx_usecs = 1000001);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_COALESCE, .coalesce.tx_usecs = 1000001);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_STATS, .data_addr = at, .data_len = 12);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_STATS, .data_addr = at,
		.data_len = SEALNIC_MAX_STATS + 8);
	REFUSED(SEALNIC_BAD_ADDR, .opcode = SEALNIC_CMD_STATS, .data_addr = HOLE_ADDR,
		.data_len = sizeof(struct sealnic_stats));
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_DMA_TEST, .data_addr = at);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_DMA_TEST, .data_addr = at,
		.data_len = SEALNIC_MAX_TSO + 1, .dma_test.dst = at);
	REFUSED(SEALNIC_BAD_ADDR, .opcode = SEALNIC_CMD_DMA_TEST, .data_addr = HOLE_ADDR,
		.data_len = 64, .dma_test.dst = at);
	REFUSED(SEALNIC_BAD_ADDR, .opcode = SEALNIC_CMD_DMA_TEST, .data_addr = at,
		.data_len = 64, .dma_test.dst = HIGH_BASE - 32);
	memset(host_at(h, at, 352), 0, 352);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_GCM_TEST, .data_addr = at,
		.data_len = 352); /* cipher 0 */
	((struct sealnic_gcm_test *)host_at(h, at, 352))->cipher = 1;
	((struct sealnic_gcm_test *)host_at(h, at, 352))->aad_len = 33;
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_GCM_TEST, .data_addr = at,
		.data_len = 352);
	((struct sealnic_gcm_test *)host_at(h, at, 352))->aad_len = 32;
	((struct sealnic_gcm_test *)host_at(h, at, 352))->data_len = 257;
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_GCM_TEST, .data_addr = at,
		.data_len = 352);
	REFUSED(SEALNIC_BAD_PARAM, .opcode = SEALNIC_CMD_GCM_TEST, .data_addr = at,
		.data_len = 351);
	REFUSED(SEALNIC_BAD_STATE, .opcode = SEALNIC_CMD_TLS_DEL, .tls_ctx.id = 0);
	REFUSED(SEALNIC_BAD_STATE, .opcode = SEALNIC_CMD_TLS_DEL, .tls_ctx.id = 1u << 20);
	REFUSED(SEALNIC_BAD_STATE, .opcode = SEALNIC_CMD_TLS_QUERY, .tls_ctx.id = UINT32_MAX);
#undef REFUSED
	/* each was counted, none did any harm */
	CHECK_EQ(get_stats(h).err_command, before.err_command + n);
	CHECK_EQ(h->seg->errors, n);
	CHECK_EQ(h->seg->state, SEALNIC_STATE_RUN);
	CHECK_EQ(set_port(h, SEALNIC_PORT_ENABLE, 1500), SEALNIC_OK);
	host_free(h);
}

static void not_supported(void)
{
	static const struct {
		uint8_t direction, cipher;
		uint16_t version;
	} bad[] = {
		{ SEALNIC_TLS_RX, 1, 0x0302 }, { 2, 1, 0x0303 }, { 0, 0, 0x0303 },
		{ 0, 3, 0x0303 }, { 0, 1, 0x0305 }, { 0, 1, 0x0302 }, { 0, 1, 0x0303 },
	};
	struct host *h = host_up(0);

	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_ADD };
		bool good = i == sizeof(bad) / sizeof(bad[0]) - 1;

		cmd.tls_add.direction = bad[i].direction;
		cmd.tls_add.cipher = bad[i].cipher;
		cmd.tls_add.version = bad[i].version;
		CHECK_EQ(command(h, &cmd, NULL), good ? SEALNIC_OK : SEALNIC_NOT_SUPPORTED);
	}
	CHECK_EQ(get_stats(h).tls_ctx, 1);
	CHECK_EQ(h->seg->errors, 0);
	host_free(h);
}

static void bad_qp_params(void)
{
	struct host *h = host_up(0);
	uint64_t ring_lo = host_alloc(h, 0, 4096 * 32), status = host_alloc(h, 1, 64);
	const struct sealnic_cmd good = {
		.opcode = SEALNIC_CMD_CREATE_QP,
		.create_qp = { .qp = 3, .vector = 8, .tx_log2 = 6, .rx_log2 = 12,
			       .tx_base = ring_lo, .rx_base = ring_lo, .rxc_base = ring_lo,
			       .status_base = status },
	};
	struct sealnic_cmd c;

#define REFUSED(code, field, value) do { \
	c = good; \
	c.create_qp.field = value; \
	CHECK_EQ(command(h, &c, NULL), code); \
} while (0)

	REFUSED(SEALNIC_BAD_PARAM, qp, 8);
	REFUSED(SEALNIC_BAD_PARAM, qp, 0xffff);
	REFUSED(SEALNIC_BAD_PARAM, vector, 9);
	REFUSED(SEALNIC_BAD_PARAM, vector, 0xffff);
	REFUSED(SEALNIC_BAD_PARAM, tx_log2, 5);
	REFUSED(SEALNIC_BAD_PARAM, tx_log2, 13);
	REFUSED(SEALNIC_BAD_PARAM, tx_log2, 38);
	REFUSED(SEALNIC_BAD_PARAM, rx_log2, 5);
	REFUSED(SEALNIC_BAD_PARAM, rx_log2, 13);
	REFUSED(SEALNIC_BAD_PARAM, rx_log2, 255);
	REFUSED(SEALNIC_BAD_PARAM, tx_base, ring_lo + 32);
	REFUSED(SEALNIC_BAD_PARAM, rx_base, ring_lo + 16);
	REFUSED(SEALNIC_BAD_PARAM, rxc_base, ring_lo + 8);
	REFUSED(SEALNIC_BAD_PARAM, status_base, status + 4);
	REFUSED(SEALNIC_BAD_ADDR, tx_base, HIGH_BASE - 64);
	REFUSED(SEALNIC_BAD_ADDR, rx_base, HIGH_BASE + (4u << 20) - 65536 + 64);
	REFUSED(SEALNIC_BAD_ADDR, rxc_base, HIGH_BASE + (4u << 20) - 131072 + 64);
	REFUSED(SEALNIC_BAD_ADDR, status_base, -64ull);
#undef REFUSED
	c = good;
	CHECK_EQ(command(h, &c, NULL), SEALNIC_OK);
	c = good;
	CHECK_EQ(command(h, &c, NULL), SEALNIC_BAD_STATE);
	CHECK_EQ(destroy_qp(h, 3), SEALNIC_OK);
	CHECK_EQ(destroy_qp(h, 3), SEALNIC_BAD_STATE);
	CHECK_EQ(command(h, &c, NULL), SEALNIC_OK);
	host_free(h);
}

static void vectors_bound_queues(void)
{
	const struct host_options three = { .vectors = 3 }, many = { .vectors = 100 };
	struct host *h = host_new(&three);

	start(h);
	CHECK_EQ(h->seg->max_qp, 2);
	CHECK_EQ(create_qp(h, 1, 6, 6), SEALNIC_OK);
	CHECK_EQ(create_qp(h, 2, 6, 6), SEALNIC_BAD_PARAM);
	/* doorbells that do not exist */
	ring(h, 3);
	ring(h, 64);
	ring(h, UINT32_MAX);
	host_run(h);
	host_free(h);

	h = host_new(&many);
	start(h);
	CHECK_EQ(h->seg->max_qp, 64);
	CHECK_EQ(create_qp(h, 63, 6, 6), SEALNIC_OK);
	ring(h, 64);
	ring(h, 65);
	host_run(h);
	host_free(h);
}

static void dma_test(void)
{
	struct host *h = host_up(0);
	uint64_t at[2] = { host_alloc(h, 0, 1u << 17), host_alloc(h, 1, 1u << 17) };
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_DMA_TEST };
	static uint8_t want[SEALNIC_MAX_TSO];
	struct rnd r = { 2 };

	rnd_fill(&r, want, sizeof(want));
	for (int i = 0; i < 4; i++) {
		memcpy(host_at(h, at[i & 1], sizeof(want)), want, sizeof(want));
		cmd.data_addr = at[i & 1];
		cmd.data_len = sizeof(want);
		cmd.dma_test.dst = at[i >> 1] + 13; /* for two of four over itself */
		CHECK_EQ(command(h, &cmd, NULL), SEALNIC_OK);
		CHECK(!memcmp(host_at(h, cmd.dma_test.dst, sizeof(want)), want, sizeof(want)));
	}
	host_free(h);
}

static void stats(void)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_STATS,
				   .data_len = sizeof(struct sealnic_stats) };
	struct host *h = host_up(2);
	struct sealnic_stats now;

	cmd.data_addr = h->scratch;
	CHECK_EQ(command(h, &cmd, NULL), SEALNIC_OK);
	now = get_stats(h);
	now.irqs--; /* the one for the answer */
	CHECK(!memcmp(host_at(h, h->scratch, sizeof(now)), &now, sizeof(now)));
	CHECK_EQ(now.commands, 5);
	CHECK_EQ(now.doorbells, 6);

	/* a driver that knows fewer counters, and one that knows more */
	memset(host_at(h, h->scratch, 4096), 0xff, 4096);
	cmd.data_len = 16;
	CHECK_EQ(command(h, &cmd, NULL), SEALNIC_OK);
	CHECK(!memcmp(host_at(h, h->scratch, 16), &now, 16));
	CHECK_EQ(*(uint8_t *)host_at(h, h->scratch + 16, 1), 0xff);
	cmd.data_len = sizeof(now) + 16;
	CHECK_EQ(command(h, &cmd, NULL), SEALNIC_OK);
	for (uint32_t i = 0; i < 32; i++)
		CHECK_EQ(*(uint8_t *)host_at(h, h->scratch + sizeof(now) + i, 1),
			 i < 16 ? 0 : 0xff);

	/* RESET keeps them */
	reset(h);
	CHECK_EQ(get_stats(h).commands, 7);
	host_free(h);
}

static void full_event_ring(void)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_ECHO };
	struct host *h = host_new(NULL);

	/* more commands than events fit */
	set_rings(h, 5, 3);
	write_ctl(h, SEALNIC_CTL_START);
	for (uint32_t i = 0; i < 20; i++) {
		cmd.echo[0] = (uint8_t)i;
		post_command(h, &cmd);
	}
	ring(h, 0);
	host_run(h);
	CHECK_EQ(get_stats(h).commands, 8);
	/* nothing moves while nobody reads */
	ring(h, 0);
	host_run(h);
	CHECK_EQ(get_stats(h).commands, 8);
	for (uint32_t i = 0; i < 2; i++) {
		drain_events(h);
		ring(h, 0);
		host_run(h);
	}
	drain_events(h);
	CHECK_EQ(h->n_events, 20);
	for (uint32_t i = 0; i < h->n_events; i++)
		CHECK_EQ(h->events[i].echo[0], i);
	CHECK_EQ(h->seg->errors, 0);
	host_free(h);
}

/* SET_PORT may bring the link up, which is an event too */
static void answer_in_last_slot(void)
{
	struct sealnic_cmd echo = { .opcode = SEALNIC_CMD_ECHO };
	struct sealnic_cmd port = { .opcode = SEALNIC_CMD_SET_PORT };
	struct host *h = host_new(NULL);

	set_rings(h, 5, 3);
	write_ctl(h, SEALNIC_CTL_START);
	fw_set_link(h->fw, true);
	for (uint32_t i = 0; i < 7; i++)
		post_command(h, &echo);
	port.port.flags = SEALNIC_PORT_ENABLE;
	port.port.mtu = 1500;
	memcpy(port.port.mac, mac_a, 6);
	post_command(h, &port);
	ring(h, 0);
	host_run(h);
	drain_events(h);
	CHECK_EQ(count_events(h, SEALNIC_EV_CMD), 8);
	ring(h, 0);
	host_run(h);
	drain_events(h);
	CHECK_EQ(count_events(h, SEALNIC_EV_CMD), 8);
	CHECK_EQ(count_events(h, SEALNIC_EV_LINK), 1);
	CHECK_EQ(h->seg->link, SEALNIC_LINK_UP | 10000);
	host_free(h);
}

/* What could not be told is told when there is room */
static void dead_queue_with_full_ring(void)
{
	struct sealnic_cmd echo = { .opcode = SEALNIC_CMD_ECHO };
	struct sealnic_txd bad = { .type = 99 };
	struct host *h = host_up(3);

	h->n_events = 0;
	for (int i = 0; i < 32; i++) {
		post_command(h, &echo);
		ring(h, 0);
		host_run(h);
	}
	post_txd(h, 0, &bad);
	kick(h, 0);
	h->db[2].tx_prod = 1000;
	kick(h, 2);
	drain_events(h);
	CHECK_EQ(count_events(h, SEALNIC_EV_CMD), 32);
	CHECK_EQ(count_events(h, SEALNIC_EV_QP_ERROR), 0);
	for (int i = 0; i < 2; i++) {
		ring(h, 0);
		host_run(h);
		drain_events(h);
		CHECK_EQ(count_events(h, SEALNIC_EV_QP_ERROR), 2);
	}
	CHECK_EQ(h->events[32].qp_error.qp, 0);
	CHECK_EQ(h->events[32].qp_error.syndrome, SEALNIC_SYN_BAD_DESC);
	CHECK_EQ(h->events[33].qp_error.qp, 2);
	CHECK_EQ(h->events[33].qp_error.syndrome, SEALNIC_SYN_BAD_INDEX);
	host_free(h);
}

static void commands_too_far_ahead(void)
{
	struct host *h = host_up(0);

	h->seg->cmd_prod = h->cmd_prod + 17;
	ring(h, 0);
	host_run(h);
	drain_events(h);
	CHECK_EQ(h->seg->state, SEALNIC_STATE_FAULT);
	CHECK_EQ(h->seg->syndrome, SEALNIC_SYN_BAD_INDEX);
	CHECK_EQ(count_events(h, SEALNIC_EV_FAULT), 1);
	CHECK_EQ(get_stats(h).err_index, 1);
	CHECK_EQ(h->seg->errors, 1);
	CHECK_EQ(h->seg->link, 0);
	host_free(h);
}

/* An event_cons out of all reason means a full ring, nothing worse */
static void event_cons_nonsense(void)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_ECHO };
	struct host *h = host_up(0);
	uint64_t commands = get_stats(h).commands;

	h->seg->event_cons = h->event_cons + 1000;
	post_command(h, &cmd);
	ring(h, 0);
	host_run(h);
	CHECK_EQ(get_stats(h).commands, commands);
	h->seg->event_cons = h->event_cons;
	ring(h, 0);
	host_run(h);
	CHECK_EQ(get_stats(h).commands, commands + 1);
	host_free(h);
}

/* ---- AES-GCM, published vectors ---- */

static uint32_t unhex(uint8_t *out, const char *hex)
{
	uint32_t n = 0;
	unsigned int byte;

	while (sscanf(hex + 2 * n, "%2x", &byte) == 1)
		out[n++] = (uint8_t)byte;
	return n;
}

#define P4_TEXT "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" \
		"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define P4_AAD	"feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define ZERO16	"00000000000000000000000000000000"

/* McGrew and Viega, The Galois/Counter Mode of Operation, appendix B */
static const struct {
	int number;
	const char *key, *iv, *aad, *plain, *sealed, *tag;
} vectors[] = {
	{ 1, ZERO16, "000000000000000000000000", "", "", "",
	  "58e2fccefa7e3061367f1d57a4e7455a" },
	{ 2, ZERO16, "000000000000000000000000", "", ZERO16,
	  "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf" },
	{ 3, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
	  P4_TEXT "1aafd255",
	  "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	  "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
	  "4d5c2af327cd64a62cf35abd2ba6fab4" },
	{ 4, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", P4_AAD, P4_TEXT,
	  "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	  "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
	  "5bc94fbc3221a5db94fae95ae7121a47" },
	{ 13, ZERO16 ZERO16, "000000000000000000000000", "", "", "",
	  "530f8afbc74536b9a963b4f1c4cb738b" },
	{ 14, ZERO16 ZERO16, "000000000000000000000000", "", ZERO16,
	  "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919" },
	{ 15, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	  "cafebabefacedbaddecaf888", "", P4_TEXT "1aafd255",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
	  "b094dac5d93471bdec1a502270e3cc6c" },
	{ 16, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	  "cafebabefacedbaddecaf888", P4_AAD, P4_TEXT,
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
	  "76fc6ece0f4e1768cddf8853bb2d551b" },
};

static void gcm_vectors(void)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_GCM_TEST };
	struct host *h = host_up(0);
	struct sealnic_gcm_test *t;

	cmd.data_addr = h->scratch;
	cmd.data_len = sizeof(*t);
	t = host_at(h, h->scratch, sizeof(*t));
	for (uint32_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		uint8_t sealed[SEALNIC_GCM_TEST_DATA], tag[16];
		uint32_t len = unhex(sealed, vectors[i].sealed);
		bool good;

		memset(t, 0, sizeof(*t));
		t->cipher = unhex(t->key, vectors[i].key) == 16 ? SEALNIC_AES128_GCM :
								 SEALNIC_AES256_GCM;
		t->aad_len = (uint8_t)unhex(t->aad, vectors[i].aad);
		t->data_len = (uint16_t)unhex(t->data, vectors[i].plain);
		unhex(t->iv, vectors[i].iv);
		unhex(tag, vectors[i].tag);
		good = CHECK_EQ(command(h, &cmd, NULL), SEALNIC_OK);
		good &= CHECK_EQ(t->data_len, len);
		good &= CHECK(!memcmp(t->data, sealed, len));
		good &= CHECK(!memcmp(t->tag, tag, 16));
		if (!good)
			printf("# test case %d\n", vectors[i].number);
	}
	host_free(h);
}

int main(void)
{
	test("init segment says what the device is", init_segment);
	test("RESET and START are obeyed once and acknowledged", reset_and_start);
	test("START with bad rings or features ends in FAULT, RESET leads out", bad_start);
	test("ping is answered in every state", ping);
	test("unknown control word is counted and acknowledged", unknown_ctl);
	test("a fault stops everything, is told once, and RESET recovers", fault);
	test("link is up while wire and port are, each change is told once", link_state);
	test("commands are answered in order, around both rings", echo);
	test("bad commands are refused, counted, and change nothing", bad_commands);
	test("TLS directions, versions, ciphers not offered are refused", not_supported);
	test("bad queue pairs are refused", bad_qp_params);
	test("queue pairs end where the transport's vectors do", vectors_bound_queues);
	test("DMA test copies across 4 GiB and over itself", dma_test);
	test("STATS writes as many counters as asked for, RESET keeps them", stats);
	test("a full event ring delays commands and loses none", full_event_ring);
	test("a command is answered although the link event takes the last slot",
	     answer_in_last_slot);
	test("queue pairs that died while the event ring was full are told later",
	     dead_queue_with_full_ring);
	test("a command index too far ahead ends in FAULT", commands_too_far_ahead);
	test("a nonsensical event index stops commands only", event_cons_nonsense);
	test("AES-GCM: published test cases 1-4 and 13-16", gcm_vectors);
	return tap_end();
}
