/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * One direction of a wire: what its sender calls, and what its receiver and
 * the main loop have to know.  A lane is used by the loop's thread only; it
 * calls its receiver's deliver() and its sender's wake(), neither of which may
 * call into the same lane's receiving side.
 */
#ifndef LANE_H
#define LANE_H

#include "fw.h"
#include "impair.h"
#include "model.h"

#define LANE_MAX_FRAME	(65536 + 4096)
#define LANE_MIN_FRAME	14

/* A frame that had to be kept */
struct lane_frame {
	struct lane_frame *next;
	uint64_t due;		/* in late and delayed: when it goes on at the latest */
	uint32_t overtakers;	/* in late: frames that are still to pass */
	uint32_t len;
	uint8_t data[];
};

struct lane_queue {
	struct lane_frame *head;
	struct lane_frame **tail;
	uint32_t frames;
	uint64_t bytes;
};

/* LANE_COUNTERS(X) calls X(name) for all of them */
#define LANE_COUNTERS(X)						\
	X(frames)	/* sent into the lane */			\
	X(bytes)							\
	X(lost)								\
	X(reordered)							\
	X(duplicated)							\
	X(corrupted)							\
	X(forged)							\
	X(delayed)							\
	X(held)		/* times the receiver asked for a pause */	\
	X(dropped_link)	/* sent while there was no link */		\
	X(dropped_stuck) /* the receiver made no progress */		\
	X(dropped_full)	/* more than the lane can keep */

struct lane_counters {
#define LANE_FIELD(name) uint64_t name;
	LANE_COUNTERS(LANE_FIELD)
#undef LANE_FIELD
};

struct lane {
	char name[48];
	const struct impair *impair;
	struct impair_dice dice;

	/* The receiver; @retry: ask again after so many ns, as no event will tell */
	enum fw_rx_result (*deliver)(void *receiver, const struct fw_frame *frame, bool may_hold);
	void *receiver;
	uint64_t retry;

	/* The sender, called when lane_ready() has become true again */
	void (*wake)(void *sender);
	void *sender;

	bool up;
	bool slow;		/* impaired, or frames of an impaired time are left */
	bool refused;		/* lane_ready() said no: the sender wants wake() */
	bool stuck;		/* the receiver's time to make progress has passed */
	uint64_t progress;	/* when the receiver last made some, or had nothing to take */

	struct lane_queue late;		/* reordered frames, waiting to be overtaken */
	struct lane_queue delayed;	/* in order */
	struct lane_queue fifo;		/* held back by the receiver */
	struct lane_counters count;
};

void lane_init(struct lane *lane, const struct impair *impair, uint32_t number);
void lane_tx(struct lane *lane, const struct fw_frame *frame);
bool lane_ready(struct lane *lane);
void lane_impair_changed(struct lane *lane);
void lane_set_up(struct lane *lane, bool up);
uint64_t lane_run(struct lane *lane, uint64_t now);

#endif /* LANE_H */
