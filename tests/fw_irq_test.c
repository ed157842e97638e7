// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Interrupts and doorbells: when the device tells the driver of completions,
 * when the driver has to tell the device of descriptors, and that neither can
 * miss the other.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <ucontext.h>

#include "fw_harness.h"

/* Something to transmit, received by nobody */
static void send_one(struct host *h, uint32_t q)
{
	struct headers hd = udp_headers(false, 0);
	struct packet p = { .hdr = hd.bytes, .hdr_len = hd.len };

	send_packet(h, q, &p);
	drop_frames(h);
}

static void receive_one(struct host *h)
{
	struct headers hd = udp_headers(false, 4);
	uint8_t frame[64];
	uint32_t len = finish_frame(frame, &hd, false, "data", 4);

	memcpy(frame, mac_a, 6);
	CHECK_EQ(offer(h, frame, len, len, false), FW_RX_TAKEN);
}

static void arm(struct host *h, uint32_t q)
{
	h->db[q].arm++;
}

static void take_all(struct host *h, uint32_t q)
{
	struct sealnic_rxc c;

	while (take_rxc(h, q, &c))
		;
	h->db[q].tx_seen = tx_cons(h, q);
}

static void one_interrupt_for_one_arm(void)
{
	struct host *h = host_up(2);

	post_buffers(h, 0, 64, 2048);
	/* not armed: silence */
	send_one(h, 0);
	receive_one(h);
	CHECK_EQ(h->irqs[1], 0);
	take_all(h, 0);

	arm(h, 0);
	send_one(h, 0);
	CHECK_EQ(h->irqs[1], 1);
	/* served: nothing more until armed again, whatever comes */
	for (int i = 0; i < 5; i++) {
		send_one(h, 0);
		receive_one(h);
	}
	CHECK_EQ(h->irqs[1], 1);
	take_all(h, 0);
	arm(h, 0);
	host_run(h);
	CHECK_EQ(h->irqs[1], 1);
	receive_one(h);
	CHECK_EQ(h->irqs[1], 2);
	take_all(h, 0);

	/* the other queue pair has its own */
	CHECK_EQ(h->irqs[2], 0);
	arm(h, 1);
	send_one(h, 0);
	CHECK_EQ(h->irqs[2], 0);
	send_one(h, 1);
	CHECK_EQ(h->irqs[2], 1);
	CHECK_EQ(get_stats(h).irqs, h->irqs[0] + h->irqs[1] + h->irqs[2]);
	host_free(h);
}

static void taken_means_no_interrupt(void)
{
	struct host *h = host_up(1);

	coalesce(h, 0, 100, 1000, 100, 1000);
	post_buffers(h, 0, 8, 2048);
	arm(h, 0);
	receive_one(h);
	take_all(h, 0);
	h->now += 200000;
	host_run(h);
	CHECK_EQ(h->irqs[1], 0);
	CHECK_EQ(h->due, FW_IDLE);
	host_free(h);
}

static void moderation_by_time(void)
{
	struct host *h = host_up(1);
	uint64_t t0;

	coalesce(h, 0, 50, 1000, 200, 1000);
	post_buffers(h, 0, 64, 2048);

	/* transmit: 200 us after the first completion, however many follow */
	arm(h, 0);
	t0 = h->now;
	send_one(h, 0);
	CHECK_EQ(h->due, t0 + 200000);
	h->now += 100000;
	send_one(h, 0);
	CHECK_EQ(h->due, t0 + 200000);
	h->now = t0 + 199999;
	host_run(h);
	CHECK_EQ(h->irqs[1], 0);
	h->now = t0 + 200000;
	host_run(h);
	CHECK_EQ(h->irqs[1], 1);
	CHECK_EQ(h->due, FW_IDLE);
	take_all(h, 0);

	/* receive: 50 us; the earlier of the two counts */
	arm(h, 0);
	t0 = h->now;
	send_one(h, 0);
	h->now += 10000;
	receive_one(h);
	CHECK_EQ(h->due, t0 + 60000);
	h->now = t0 + 60000;
	host_run(h);
	CHECK_EQ(h->irqs[1], 2);
	take_all(h, 0);

	/* what comes while the driver polls does not hasten the next one */
	receive_one(h);
	take_all(h, 0);
	h->now += 1000000;
	arm(h, 0);
	t0 = h->now;
	receive_one(h);
	CHECK_EQ(h->due, t0 + 50000);
	CHECK_EQ(h->irqs[1], 2);
	h->now = t0 + 50000;
	host_run(h);
	CHECK_EQ(h->irqs[1], 3);
	host_free(h);
}

static void moderation_by_frames(void)
{
	struct host *h = host_up(1);

	post_buffers(h, 0, 64, 2048);
	/* no number: time alone */
	coalesce(h, 0, 1000, 0, 1000, 0);
	arm(h, 0);
	receive_one(h);
	send_one(h, 0);
	CHECK_EQ(h->irqs[1], 0);
	CHECK_EQ(h->due, h->now + 1000000);
	/* no time: at once, whatever the number */
	coalesce(h, 0, 0, 100, 1000, 0);
	receive_one(h);
	CHECK_EQ(h->irqs[1], 1);
	take_all(h, 0);
	h->irqs[1] = 0;

	coalesce(h, 0, 1000, 4, 1000, 3);
	for (uint32_t round = 1; round <= 3; round++) {
		arm(h, 0);
		for (int i = 0; i < 3; i++)
			receive_one(h);
		CHECK_EQ(h->irqs[1], 2 * round - 2);
		receive_one(h);
		CHECK_EQ(h->irqs[1], 2 * round - 1);
		take_all(h, 0);
		arm(h, 0);
		for (int i = 0; i < 2; i++)
			send_one(h, 0);
		CHECK_EQ(h->irqs[1], 2 * round - 1);
		send_one(h, 0);
		CHECK_EQ(h->irqs[1], 2 * round);
		take_all(h, 0);
	}
	host_free(h);
}

/*
 * Two parties: the device, and a driver that makes one step whenever the device
 * calls out (memory, time, frames) or between its runs.  The driver sleeps when
 * it has armed and then found nothing, and rings only where the kick index asks
 * for it.  If either party could miss the other, work would be left over when
 * both have come to rest.
 */
struct party {
	struct rnd r;
	enum { SLEEPING, POLLING, ARMED } state;
	bool in_step;
	uint32_t irqs_seen;
	uint32_t tx_left, rx_left;
	uint64_t buf;
	struct sealnic_txd d;
	uint32_t doorbells;
	uint32_t taken;
};

static bool must_kick(uint32_t kick_index, uint32_t old, uint32_t new)
{
	return (uint32_t)(new - kick_index - 1) < (uint32_t)(new - old);
}

static uint32_t status_word(struct host *h, uint32_t which)
{
	const uint32_t *w = host_at(h, h->qp[0].status, 64);

	return __atomic_load_n(&w[which], __ATOMIC_ACQUIRE);
}

static bool anything(struct host *h)
{
	struct sealnic_rxc c;
	uint32_t slot = h->qp[0].rxc_cons & 63;

	memcpy(&c, host_at(h, h->qp[0].rxc + slot * sizeof(c), sizeof(c)), sizeof(c));
	if ((c.ctl & 1) == !(h->qp[0].rxc_cons >> 6 & 1))
		return true;
	return tx_cons(h, 0) != h->db[0].tx_seen;
}

static void driver_step(struct host *h)
{
	struct party *p = h->hook_arg;
	uint32_t old;

	if (p->in_step)
		return;
	p->in_step = true;
	switch (rnd_below(&p->r, 6)) {
	case 0: /* the stack transmits */
		old = h->qp[0].tx_prod;
		if (!p->tx_left || old - h->db[0].tx_seen >= 64)
			break;
		p->tx_left--;
		post_txd(h, 0, &p->d);
		if (must_kick(status_word(h, 1), old, h->qp[0].tx_prod)) {
			p->doorbells++;
			ring(h, 1);
		}
		break;
	default: /* the poller */
		if (p->state == SLEEPING) {
			if (h->irqs[1] == p->irqs_seen)
				break;
			p->irqs_seen = h->irqs[1];
			p->state = POLLING;
		} else if (p->state == POLLING) {
			struct sealnic_rxc c;

			h->db[0].tx_seen = tx_cons(h, 0);
			if (take_rxc(h, 0, &c)) {
				p->taken++;
				old = h->qp[0].rx_prod;
				post_rx(h, 0, p->buf, 2048);
				if (must_kick(status_word(h, 2), old, h->qp[0].rx_prod)) {
					p->doorbells++;
					ring(h, 1);
				}
			} else if (rnd_below(&p->r, 2)) {
				h->db[0].arm++;
				p->state = ARMED;
			}
		} else {
			p->state = anything(h) ? POLLING : SLEEPING;
		}
	}
	p->in_step = false;
}

static void step_on_dma(struct host *h, uint64_t addr, uint32_t len)
{
	(void)addr;
	(void)len;
	driver_step(h);
}

static void step_on_tx(struct host *h, const struct fw_frame *frame)
{
	(void)frame;
	driver_step(h);
}

static void simulate(uint64_t seed)
{
	struct host_options opt = { .ram_bytes = 1u << 18, .arena_bytes = 1u << 14 };
	struct host *h = host_new(&opt);
	struct headers hd = udp_headers(false, 4);
	struct party p = { .r = { seed }, .state = POLLING };
	uint8_t frame[64];
	uint32_t len = finish_frame(frame, &hd, false, "data", 4), idle = 0;
	uint64_t held_at = 0;
	bool held = false;

	memcpy(frame, mac_a, 6);
	start(h);
	fw_set_link(h->fw, true);
	set_port(h, SEALNIC_PORT_ENABLE | SEALNIC_PORT_PAUSE, 1500);
	create_qp(h, 0, 6, 6);
	if (rnd_below(&p.r, 2))
		coalesce(h, 0, rnd_below(&p.r, 100), rnd_below(&p.r, 5), rnd_below(&p.r, 100),
			 rnd_below(&p.r, 5));
	h->keep_no_frames = true;
	p.tx_left = 300;
	p.rx_left = 300;
	p.buf = host_alloc(h, 1, 2048);
	p.d = (struct sealnic_txd){ .type = SEALNIC_TXD_PKT, .count = 1, .len = len };
	p.d.addr = arena_put(h, frame, len);
	/* often too few of them */
	for (uint32_t i = rnd_below(&p.r, seed & 1 ? 3 : 64); i; i--)
		post_rx(h, 0, p.buf, 2048);
	/* at least one buffer, or the driver would never learn of anything */
	post_rx(h, 0, p.buf, 2048);
	h->hook_arg = &p;
	h->on_dma = step_on_dma;
	h->on_tx = step_on_tx;
	h->on_now = driver_step;

	/* both have rested for long, and the device has no timer running */
	while (idle < 200) {
		uint64_t now = h->now;
		uint64_t progress = p.taken + h->qp[0].tx_prod + get_stats(h).rx_packets;

		driver_step(h);
		/* a held frame is offered again only after a doorbell */
		if (p.rx_left && !rnd_below(&p.r, 3) &&
		    (!held || get_stats(h).doorbells != held_at)) {
			const struct fw_frame f = { .hdr = frame, .hdr_len = len };

			held_at = get_stats(h).doorbells;
			host_enter(h);
			held = fw_rx(h->fw, &f, true) == FW_RX_HOLD;
			host_leave(h);
			p.rx_left -= !held;
		}
		host_enter(h);
		h->due = fw_run(h->fw);
		host_leave(h);
		if (h->due != FW_IDLE && h->due > h->now && !rnd_below(&p.r, 3))
			h->now = h->due;
		if (p.taken + h->qp[0].tx_prod + get_stats(h).rx_packets == progress &&
		    h->now == now && h->due == FW_IDLE &&
		    (!p.rx_left || held))
			idle++;
		else
			idle = 0;
	}
	h->on_dma = NULL;
	h->on_tx = NULL;
	h->on_now = NULL;
	CHECK_EQ(p.tx_left, 0);
	CHECK_EQ(p.rx_left, 0);
	CHECK_EQ(get_stats(h).rx_packets, 300);
	CHECK_EQ(p.taken, 300);
	CHECK_EQ(get_stats(h).tx_packets, 300);
	CHECK_EQ(tx_cons(h, 0), 300);
	CHECK_EQ(h->db[0].tx_seen, 300);
	CHECK_EQ(p.state, SLEEPING);
	CHECK_EQ(h->seg->errors, 0);
	host_free(h);
}

static void nothing_is_missed(void)
{
	for (uint64_t seed = 1; seed <= 150; seed++)
		simulate(seed);
}

/*
 * The same at the finest grain: the device runs in single steps, and the driver
 * acts once, between two of its instructions; in the end, at every seventh.
 */
#ifdef __x86_64__
#define TRAP_FLAG	0x100
#define STRIDE		7	/* fewer than lie between a check and what follows from it */

static uint32_t steps_left;
static void (*at_step)(void);

static void on_trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	if (steps_left && !--steps_left) {
		uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
		at_step();
	}
}

/* From here on every instruction traps; the stack below is somebody's red zone */
static inline void single_step(bool on)
{
	if (on)
		__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\t"
				 "popfq\n\tleaq 128(%%rsp), %%rsp" : : : "memory", "cc");
	else
		__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\t"
				 "popfq\n\tleaq 128(%%rsp), %%rsp" : : : "memory", "cc");
}

static struct host *stepped;
static struct sealnic_txd step_txd;
static bool step_rings, step_sleeps;
static uint32_t step_irqs;

static void post_one(void)
{
	uint32_t old = stepped->qp[0].tx_prod;

	post_txd(stepped, 0, &step_txd);
	step_rings = must_kick(status_word(stepped, 1), old, stepped->qp[0].tx_prod);
}

/* The poller has seen all there is, arms, looks again, sleeps */
static void go_to_sleep(void)
{
	stepped->db[0].tx_seen = status_word(stepped, 0);
	stepped->db[0].arm++;
	step_sleeps = stepped->db[0].tx_seen == status_word(stepped, 0);
	step_irqs = stepped->irqs[1];
}

static void post_buffer(void)
{
	uint32_t old = stepped->qp[0].rx_prod;

	post_rx(stepped, 0, stepped->arena[0], 2048);
	step_rings = must_kick(status_word(stepped, 2), old, stepped->qp[0].rx_prod);
}

/* Traps are slow: the steps begin behind the last frame, where the device goes idle */
static void step_behind_frame(struct host *h, const struct fw_frame *frame)
{
	(void)h;
	(void)frame;
	single_step(true);
}

static void between_instructions(void)
{
	static void (*const acts[])(void) = { post_one, go_to_sleep, post_buffer };
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO }, old_sa;
	struct headers hd = udp_headers(false, 4);
	struct host *h = host_up(1);
	uint8_t frame[64];
	uint32_t len = finish_frame(frame, &hd, false, "data", 4);
	const struct fw_frame f = { .hdr = frame, .hdr_len = len };
	struct sealnic_rxc c;

	memcpy(frame, mac_a, 6);
	memcpy(frame + 12, "\x88\xb5", 2); /* nothing to parse */
	stepped = h;
	h->loose = true;
	h->keep_no_frames = true;
	set_port(h, SEALNIC_PORT_ENABLE | SEALNIC_PORT_PAUSE, 1500);
	step_txd = (struct sealnic_txd){ .type = SEALNIC_TXD_PKT, .count = 1, .len = len };
	step_txd.addr = arena_put(h, frame, len);
	sigaction(SIGTRAP, &sa, &old_sa);
	for (uint32_t act = 0; act < 3; act++) {
		bool good = true;
		uint32_t k;

		for (k = 1; good; k += STRIDE) {
			bool held = false;

			at_step = acts[act];
			step_rings = false;
			step_sleeps = false;
			steps_left = k;
			if (act < 2) {
				post_txd(h, 0, &step_txd);
				ring(h, 1);
				h->on_tx = step_behind_frame;
				fw_run(h->fw);
				single_step(false);
				h->on_tx = NULL;
			} else {
				single_step(true);
				held = fw_rx(h->fw, &f, true) == FW_RX_HOLD;
				single_step(false);
			}
			if (steps_left)
				break; /* it took fewer instructions than that */
			if (step_rings)
				ring(h, 1);
			host_run(h);
			if (act == 0)
				good = CHECK_EQ(status_word(h, 0), h->qp[0].tx_prod);
			if (act == 1 && step_sleeps && h->irqs[1] == step_irqs)
				good = CHECK_EQ(h->db[0].tx_seen, h->qp[0].tx_prod);
			if (act == 2) {
				/* held, with a buffer that nobody tells of */
				good = CHECK(!held || step_rings);
				if (held)
					fw_rx(h->fw, &f, true);
				good &= CHECK(take_rxc(h, 0, &c));
			}
			if (!good)
				printf("# act %u at instruction %u\n", act, k);
		}
		CHECK(k > 50);
		/* what the last round left behind */
		steps_left = 0;
		host_run(h);
		CHECK_EQ(h->seg->errors, 0);
	}
	sigaction(SIGTRAP, &old_sa, NULL);
	host_free(h);
}
#endif

int main(void)
{
	test("one interrupt for one arm, and only for something new", one_interrupt_for_one_arm);
	test("no interrupt for what was taken in time", taken_means_no_interrupt);
	test("moderation by time counts from the oldest completion", moderation_by_time);
	test("moderation by number of completions", moderation_by_frames);
	test("no interrupt and no doorbell is missed: 150 random schedules", nothing_is_missed);
#ifdef __x86_64__
	test("no interrupt and no doorbell is missed at any instruction",
	     between_instructions);
#endif
	return tap_end();
}
