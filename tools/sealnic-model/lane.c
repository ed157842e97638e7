// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * One direction of a wire.  Owns the frames under way: recording, impairment,
 * then flow control.  A frame goes late -> delayed -> fifo -> receiver, and with
 * nothing impaired and nothing queued straight to the receiver, uncopied.
 */
#include <stdlib.h>
#include <string.h>

#include "lane.h"
#include "clear.h"
#include "pcap.h"

/*
 * Above these the sender is asked to pause.  It may finish the packet it is
 * cutting, so there is room for one at the least MSS behind them.
 */
#define FIFO_HIGH_FRAMES	512
#define FIFO_HIGH_BYTES		(2u << 20)
#define FIFO_LOW_FRAMES		128
#define FIFO_LOW_BYTES		(1u << 19)
#define FIFO_MAX_FRAMES		2048
#define FIFO_MAX_BYTES		(4u << 20)

#define DELAYED_HIGH_FRAMES	8192
#define DELAYED_HIGH_BYTES	(16u << 20)
#define DELAYED_MAX_FRAMES	(DELAYED_HIGH_FRAMES + FIFO_MAX_FRAMES)

#define LATE_MAX		(5 * NSEC_PER_MSEC)
/* A receiver that takes nothing for so long must not block its sender any more */
#define STUCK_AFTER		(200 * NSEC_PER_MSEC)

static void queue_init(struct lane_queue *q)
{
	*q = (struct lane_queue) { .tail = &q->head };
}

static void queue_add(struct lane_queue *q, struct lane_frame *f)
{
	f->next = NULL;
	*q->tail = f;
	q->tail = &f->next;
	q->frames++;
	q->bytes += f->len;
}

/* Takes the frame out that @link points to */
static struct lane_frame *queue_take(struct lane_queue *q, struct lane_frame **link)
{
	struct lane_frame *f = *link;

	*link = f->next;
	if (q->tail == &f->next)
		q->tail = link;
	q->frames--;
	q->bytes -= f->len;
	return f;
}

static void queue_purge(struct lane_queue *q)
{
	while (q->head)
		free(queue_take(q, &q->head));
}

static struct lane_frame *frame_copy(const struct fw_frame *frame)
{
	uint32_t len = frame->hdr_len + frame->data_len;
	struct lane_frame *f = malloc(sizeof(*f) + len);

	if (!f)
		return NULL;
	f->len = len;
	memcpy(f->data, frame->hdr, frame->hdr_len);
	if (frame->data_len)
		memcpy(f->data + frame->hdr_len, frame->data, frame->data_len);
	return f;
}

static enum fw_rx_result deliver_kept(struct lane *lane, const struct lane_frame *f,
				      bool may_hold)
{
	struct fw_frame frame = { .hdr = f->data, .hdr_len = f->len };

	return lane->deliver(lane->receiver, &frame, may_hold);
}

/**
 * lane_init() - make a direction of a wire, without link
 * @lane: the direction, zeroed but for its receiver and sender
 * @impair: the settings, which may change later
 * @number: its own, for its dice
 */
void lane_init(struct lane *lane, const struct impair *impair, uint32_t number)
{
	lane->impair = impair;
	impair_seed(&lane->dice, impair->seed, number);
	queue_init(&lane->late);
	queue_init(&lane->delayed);
	queue_init(&lane->fifo);
	lane_impair_changed(lane);
}

static void update_slow(struct lane *lane)
{
	lane->slow = impair_any(lane->impair) || lane->late.frames || lane->delayed.frames;
}

/* Queued behind others, or not wanted by the receiver just now */
static bool fifo_add(struct lane *lane, struct lane_frame *f)
{
	if (!f || lane->fifo.frames >= FIFO_MAX_FRAMES ||
	    lane->fifo.bytes + f->len > FIFO_MAX_BYTES) {
		lane->count.dropped_full++;
		free(f);
		return false;
	}
	queue_add(&lane->fifo, f);
	return true;
}

/* True if the frame is the receiver's; a stuck receiver gets no second chance */
static bool taken(struct lane *lane, enum fw_rx_result result)
{
	if (result == FW_RX_TAKEN) {
		lane->stuck = false;
		return true;
	}
	lane->count.held++;
	return false;
}

/* The fast path: @frame is not copied unless the receiver holds it back */
static void pass(struct lane *lane, const struct fw_frame *frame)
{
	if (lane->fifo.head) {
		fifo_add(lane, frame_copy(frame));
		return;
	}
	if (taken(lane, lane->deliver(lane->receiver, frame, true)))
		return;
	if (lane->stuck) {
		lane->count.dropped_stuck++;
		lane->deliver(lane->receiver, frame, false);
		return;
	}
	lane->progress = now_ns();
	fifo_add(lane, frame_copy(frame));
}

static void pass_kept(struct lane *lane, struct lane_frame *f)
{
	struct fw_frame frame = { .hdr = f->data, .hdr_len = f->len };

	if (lane->fifo.head) {
		fifo_add(lane, f);
		return;
	}
	pass(lane, &frame);
	free(f);
}

/* Also with a delay of 0 while frames are still delayed: they stay in order */
static void delay(struct lane *lane, struct lane_frame *f, uint64_t now)
{
	if (!lane->impair->delay_us && !lane->delayed.head) {
		pass_kept(lane, f);
		return;
	}
	if (lane->delayed.frames >= DELAYED_MAX_FRAMES) {
		lane->count.dropped_full++;
		free(f);
		return;
	}
	f->due = now + lane->impair->delay_us * NSEC_PER_USEC;
	lane->count.delayed++;
	queue_add(&lane->delayed, f);
}

static void release_late(struct lane *lane, uint64_t now, bool overtaken)
{
	struct lane_frame **link = &lane->late.head;

	while (*link) {
		struct lane_frame *f = *link;

		if (overtaken && f->overtakers)
			f->overtakers--;
		if (!f->overtakers || f->due <= now)
			delay(lane, queue_take(&lane->late, link), now);
		else
			link = &f->next;
	}
}

static void tx_impaired(struct lane *lane, const struct fw_frame *frame)
{
	struct lane_frame *f = NULL, *copy = NULL;
	struct impair_fate fate;
	uint64_t now = now_ns();

	impair_roll(lane->impair, &lane->dice, frame->hdr_len + frame->data_len, &fate);

	if (fate.lose) {
		lane->count.lost++;
	} else {
		f = frame_copy(frame);
		if (!f) {
			lane->count.dropped_full++;
			return;
		}
		if (fate.flip) {
			f->data[fate.flip / 8] ^= (uint8_t)(1u << fate.flip % 8);
			lane->count.corrupted++;
		}
		if (fate.forge && impair_forge(f->data, f->len, fate.forge_pick))
			lane->count.forged++;
		if (fate.dup) {
			copy = frame_copy(&(struct fw_frame) { .hdr = f->data, .hdr_len = f->len });
			if (copy)
				lane->count.duplicated++;
		}
		if (!fate.hold)
			delay(lane, f, now);
	}
	/* A duplicate of a late frame is not late */
	if (copy)
		delay(lane, copy, now);
	release_late(lane, now, true);
	if (f && fate.hold) {
		f->overtakers = fate.hold;
		f->due = now + LATE_MAX;
		lane->count.reordered++;
		queue_add(&lane->late, f);
	}
	update_slow(lane);
}

/**
 * lane_tx() - put a frame on the wire
 * @lane: the direction
 * @frame: the sender's again on return
 */
void lane_tx(struct lane *lane, const struct fw_frame *frame)
{
	uint64_t len = (uint64_t)frame->hdr_len + frame->data_len;

	if (!lane->up || len < LANE_MIN_FRAME || len > LANE_MAX_FRAME) {
		lane->count.dropped_link++;
		return;
	}
	lane->count.frames++;
	lane->count.bytes += len;
	if (pcap_on)
		pcap_frame(frame);
	if (clear_on)
		clear_frame(frame);
	if (lane->slow)
		tx_impaired(lane, frame);
	else
		pass(lane, frame);
}

/**
 * lane_ready() - flow control
 * @lane: the direction
 *
 * Return: false if the sender should pause; its wake() is called after that.
 */
bool lane_ready(struct lane *lane)
{
	if (lane->fifo.frames < FIFO_HIGH_FRAMES && lane->fifo.bytes < FIFO_HIGH_BYTES &&
	    lane->delayed.frames < DELAYED_HIGH_FRAMES &&
	    lane->delayed.bytes < DELAYED_HIGH_BYTES)
		return true;
	lane->refused = true;
	return false;
}

static void wake_sender(struct lane *lane)
{
	if (!lane->refused || lane->fifo.frames > FIFO_LOW_FRAMES ||
	    lane->fifo.bytes > FIFO_LOW_BYTES ||
	    lane->delayed.frames >= DELAYED_HIGH_FRAMES ||
	    lane->delayed.bytes >= DELAYED_HIGH_BYTES)
		return;
	lane->refused = false;
	lane->wake(lane->sender);
}

/**
 * lane_impair_changed() - the settings were changed
 * @lane: the direction
 *
 * What is still on its way arrives by the new ones.
 */
void lane_impair_changed(struct lane *lane)
{
	uint64_t now = now_ns();
	struct lane_frame *f;

	if (!impair_any(lane->impair))
		for (f = lane->late.head; f; f = f->next)
			f->overtakers = 0;
	for (f = lane->delayed.head; f; f = f->next)
		f->due = min_u64(f->due, now + lane->impair->delay_us * NSEC_PER_USEC);
	update_slow(lane);
}

/**
 * lane_set_up() - the cable was plugged or pulled: what was in it is lost
 * @lane: the direction
 * @up: there is a link
 */
void lane_set_up(struct lane *lane, bool up)
{
	if (lane->up == up)
		return;
	lane->up = up;
	lane->stuck = false;
	lane->count.dropped_link += lane->late.frames + lane->delayed.frames + lane->fifo.frames;
	queue_purge(&lane->late);
	queue_purge(&lane->delayed);
	queue_purge(&lane->fifo);
	update_slow(lane);
	wake_sender(lane);
}

/* Offers what was held back. Return: when to try again without an event */
static uint64_t run_fifo(struct lane *lane, uint64_t now)
{
	struct lane_queue *q = &lane->fifo;

	if (!q->head)
		return NEVER;
	while (q->head && taken(lane, deliver_kept(lane, q->head, true))) {
		lane->progress = now;
		free(queue_take(q, &q->head));
	}
	if (!q->head)
		return NEVER;

	/* progress may be a little later than the round's now */
	if (now < lane->progress + STUCK_AFTER)
		return min_u64(lane->progress + STUCK_AFTER,
			       lane->retry ? now + lane->retry : NEVER);
	lane->stuck = true;
	while (q->head) {
		lane->count.dropped_stuck++;
		deliver_kept(lane, q->head, false);
		free(queue_take(q, &q->head));
	}
	return NEVER;
}

/**
 * lane_run() - do what is due; called after every round of events
 * @lane: the direction
 * @now: the time
 *
 * Return: when to be called again if nothing else happens.
 */
uint64_t lane_run(struct lane *lane, uint64_t now)
{
	uint64_t next = NEVER;
	struct lane_frame *f;

	if (lane->slow) {
		release_late(lane, now, false);
		while (lane->delayed.head && lane->delayed.head->due <= now)
			pass_kept(lane, queue_take(&lane->delayed, &lane->delayed.head));
		for (f = lane->late.head; f; f = f->next)
			next = min_u64(next, f->due);
		if (lane->delayed.head)
			next = min_u64(next, lane->delayed.head->due);
		update_slow(lane);
	}
	next = min_u64(next, run_fifo(lane, now));
	wake_sender(lane);
	return next;
}
