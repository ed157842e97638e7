// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * One direction of a wire, with a clock of its own: order, flow control, a
 * receiver that is stuck, delay and disorder; and every frame is accounted for,
 * whatever happens to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lane.h"

static unsigned int tests, failed;

static void ok(bool good, const char *name)
{
	tests++;
	failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", tests, name);
}

/* The model's clock and messages: loop.c and log.c stay away */
static uint64_t now;
bool verbose;

uint64_t now_ns(void)
{
	return now;
}

void say(const char *fmt, ...)
{
	(void)fmt;
}

#define MAX_SEEN	200000

static struct impair impair;
static struct lane lane;
static uint32_t seen[MAX_SEEN];	/* the numbers of the frames that arrived, in order */
static unsigned int arrived, forced, wakes;
static bool hold, damaged;
static unsigned int room;	/* taken although it holds */
static uint32_t hold_chance;	/* of 100 */
static const uint8_t *last_hdr, *last_data;

/* xorshift64: the same in every run */
static uint32_t random_below(uint32_t n)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 32) % n;
}

static enum fw_rx_result deliver(void *receiver, const struct fw_frame *frame, bool may_hold)
{
	uint32_t number;

	(void)receiver;
	if (may_hold && hold && !room)
		return FW_RX_HOLD;
	if (may_hold && random_below(100) < hold_chance)
		return FW_RX_HOLD;
	room -= may_hold && hold;
	forced += !may_hold;
	last_hdr = frame->hdr;
	last_data = frame->data;
	/* the number is in the addresses, which nothing touches, and again at the end */
	memcpy(&number, frame->hdr, 4);
	if (!impair_any(&impair) &&
	    memcmp(frame->data_len ? frame->data + frame->data_len - 4 :
		   frame->hdr + frame->hdr_len - 4, &number, 4))
		damaged = true;
	if (arrived < MAX_SEEN)
		seen[arrived] = number;
	arrived++;
	return FW_RX_TAKEN;
}

static void wake(void *sender)
{
	(void)sender;
	wakes++;
}

static void begin(const struct impair *settings)
{
	impair = *settings;
	lane = (struct lane) { .deliver = deliver, .wake = wake };
	lane_init(&lane, &impair, 0);
	lane_set_up(&lane, true);
	arrived = forced = wakes = hold_chance = room = 0;
	hold = damaged = false;
	now = 1000 * NSEC_PER_SEC;
}

/* Nothing is left for the leak checker to find */
static bool end(void)
{
	lane_set_up(&lane, false);
	return !lane.fifo.frames && !lane.fifo.bytes && !lane.late.frames && !lane.late.bytes &&
	       !lane.delayed.frames && !lane.delayed.bytes && !damaged;
}

static uint8_t hdr[LANE_MAX_FRAME + 1], data[1500];

static void send_frame(uint32_t number, uint32_t hdr_len, uint32_t data_len)
{
	memset(hdr, 0x55, 64);
	memcpy(hdr + hdr_len - 4, &number, 4);
	memcpy(hdr, &number, 4);
	if (data_len)
		memcpy(data + data_len - 4, &number, 4);
	lane_tx(&lane, &(struct fw_frame) { .hdr = hdr, .hdr_len = hdr_len,
					    .data = data_len ? data : NULL, .data_len = data_len });
}

static void send_frames(uint32_t from, uint32_t to)
{
	for (; from < to; from++)
		send_frame(from, 54, 100);
}

static bool in_order(uint32_t count)
{
	if (arrived != count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (seen[i] != i)
			return false;
	return true;
}

static bool straight(void)
{
	begin(&(struct impair) { 0 });
	send_frames(0, 1000);
	if (!in_order(1000) || last_hdr != hdr || last_data != data || lane.count.frames != 1000 ||
	    lane.count.bytes != 154000 || lane_run(&lane, now) != NEVER)
		return false;

	/* no frame at all */
	send_frame(1000, LANE_MIN_FRAME - 1, 0);
	send_frame(1000, LANE_MAX_FRAME + 1, 0);
	send_frame(1000, LANE_MAX_FRAME, 4);
	if (arrived != 1000 || lane.count.dropped_link != 3)
		return false;
	send_frame(1000, LANE_MIN_FRAME, 0);
	send_frame(1001, LANE_MAX_FRAME, 0);
	if (!in_order(1002))
		return false;
	lane_set_up(&lane, false);
	send_frames(0, 10);
	return arrived == 1002 && lane.count.dropped_link == 13 && lane.count.frames == 1002 &&
	       end();
}

static bool held_back(void)
{
	unsigned int n = 0;

	begin(&(struct impair) { 0 });
	hold = true;
	/* a sender that keeps to it loses nothing */
	for (; lane_ready(&lane); n++)
		send_frames(n, n + 1);
	if (arrived || n < 100 || lane.fifo.frames != n)
		return false;
	/* also not the packet that it was cutting: 64 KiB at the least MSS */
	for (int i = 0; i < 1024; i++, n++)
		send_frames(n, n + 1);
	if (lane.count.dropped_full || lane_run(&lane, now) == NEVER || wakes)
		return false;
	hold = false;
	lane_run(&lane, now);
	if (!in_order(n) || wakes != 1)
		return false;
	/* woken once, not at each turn */
	lane_run(&lane, now);
	return wakes == 1 && lane_ready(&lane) && end();
}

static bool too_much(void)
{
	uint64_t kept;

	begin(&(struct impair) { 0 });
	hold = true;
	send_frames(0, 5000);
	kept = lane.fifo.frames;
	if (!kept || kept + lane.count.dropped_full != 5000)
		return false;
	hold = false;
	lane_run(&lane, now);
	if (!in_order((uint32_t)kept))
		return false;

	/* as many bytes, in frames as long as can be */
	hold = true;
	for (int i = 0; i < 500; i++)
		send_frame(0, LANE_MAX_FRAME, 0);
	return lane.fifo.frames && lane.fifo.bytes <= 4u << 20 && end();
}

static bool stuck(void)
{
	uint64_t next;

	begin(&(struct impair) { 0 });
	hold = true;
	send_frames(0, 100);
	next = lane_run(&lane, now);
	if (next != now + 200 * NSEC_PER_MSEC)
		return false;
	now = next - 1;
	if (lane_run(&lane, now) != next || arrived)
		return false;
	/* its time is over: it gets them for what they are worth, and holds nobody up */
	now = next;
	if (lane_run(&lane, now) != NEVER || forced != 100 || lane.count.dropped_stuck != 100)
		return false;
	send_frames(100, 110);
	if (forced != 110 || lane.fifo.frames || lane.count.dropped_stuck != 110 || !in_order(110))
		return false;
	/* it takes one: it has its time again */
	hold = false;
	send_frames(110, 111);
	hold = true;
	send_frames(111, 120);
	if (forced != 110 || lane.fifo.frames != 9 || lane_run(&lane, now) == NEVER)
		return false;
	/* a little at a time is progress */
	for (int i = 0; i < 5; i++) {
		now += 150 * NSEC_PER_MSEC;
		room = 1;
		lane_run(&lane, now);
	}
	return forced == 110 && in_order(116) && lane.fifo.frames == 4 && end();
}

static bool delayed(void)
{
	uint64_t start, next;

	begin(&(struct impair) { .delay_us = 1000 });
	start = now;
	for (uint32_t i = 0; i < 100; i++, now += 10 * NSEC_PER_USEC)
		send_frames(i, i + 1);
	for (uint32_t i = 0; i < 50; i++) {
		now = start + NSEC_PER_MSEC + i * 10 * NSEC_PER_USEC;
		next = lane_run(&lane, now - 1);
		if (arrived != i || next != now)
			return false;
		lane_run(&lane, now);
		if (!in_order(i + 1))
			return false;
	}
	/* without delay from now on: what is under way comes first */
	impair.delay_us = 0;
	lane_impair_changed(&lane);
	send_frames(100, 110);
	lane_run(&lane, now);
	if (!in_order(110) || lane.slow)
		return false;
	send_frames(110, 111);
	return in_order(111) && end();
}

static bool reordered(void)
{
	static uint8_t times[1000];
	unsigned int moved = 0;

	begin(&(struct impair) { .reorder = 0.1, .seed = 5 });
	send_frames(0, 1000);
	/* nobody comes to overtake the last ones */
	now += 5 * NSEC_PER_MSEC;
	if (lane_run(&lane, now) != NEVER || arrived != 1000)
		return false;
	memset(times, 0, sizeof(times));
	for (unsigned int i = 0; i < 1000; i++) {
		if (seen[i] >= 1000 || times[seen[i]]++)
			return false;
		moved += seen[i] != i;
		/* late by as many frames as may overtake, and by those that are late, too */
		if (seen[i] + 2 * IMPAIR_MAX_HOLD < i || seen[i] > i + 2 * IMPAIR_MAX_HOLD)
			return false;
	}
	return moved > 100 && lane.count.reordered > 50 && end();
}

/* Where all frames are, or have gone */
static bool accounted(uint64_t refused)
{
	const struct lane_counters *c = &lane.count;

	return c->frames + c->duplicated == arrived + c->lost + c->dropped_full +
	       (c->dropped_link - refused) + lane.late.frames + lane.delayed.frames +
	       lane.fifo.frames && forced == c->dropped_stuck;
}

static bool anything(void)
{
	static const struct impair worst = {
		.loss = 0.05, .reorder = 0.2, .dup = 0.1, .corrupt = 0.1, .forge = 0.1,
		.delay_us = 300, .seed = 9,
	};
	uint64_t refused = 0;

	begin(&worst);
	for (uint32_t i = 0; i < 100000; i++) {
		refused += !lane.up;
		send_frame(i, 14 + random_below(100), random_below(2) ? 4 + random_below(1400) : 0);
		now += random_below(100) * NSEC_PER_USEC;
		if (!random_below(4))
			lane_run(&lane, now);
		if (!random_below(100))
			lane_ready(&lane);
		if (!random_below(200))
			hold_chance = random_below(3) * 50;
		if (!random_below(3000))
			now += 250 * NSEC_PER_MSEC;
		if (!random_below(2000))
			lane_set_up(&lane, !lane.up);
		if (!random_below(500)) {
			impair = random_below(2) ? worst : (struct impair) { .delay_us = random_below(2) };
			lane_impair_changed(&lane);
		}
		if (!accounted(refused)) {
			printf("# frame %u\n", i);
			return false;
		}
	}
	lane_set_up(&lane, false);
	damaged = false;	/* as it was asked for */
	/* pulled or not, nobody waits for ever */
	return accounted(refused) && !lane.refused && arrived > 10000 && lane.count.dropped_stuck &&
	       wakes && end();
}

int main(void)
{
	ok(straight(), "straight to the receiver");
	ok(held_back(), "a receiver that holds: nothing is lost, the sender pauses and is woken");
	ok(too_much(), "more than can be kept");
	ok(stuck(), "a receiver that is stuck");
	ok(delayed(), "delay");
	ok(reordered(), "disorder");
	ok(anything(), "every frame is accounted for");
	printf("1..%u\n", tests);
	return failed ? 1 : 0;
}
