/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What goes wrong on a wire: the settings, and the dice of one direction.
 * Settings are shared by all wires; every direction has dice of its own, so
 * that traffic of one direction does not change what happens to the other.
 */
#ifndef IMPAIR_H
#define IMPAIR_H

#include <stdbool.h>
#include <stdint.h>

#define IMPAIR_MAX_HOLD		8 /* frames that may overtake a reordered one */

/* Percentages are kept as fractions of 1 */
struct impair {
	double loss;
	double reorder;
	double dup;
	double corrupt;
	double forge;
	uint64_t delay_us;
	uint64_t seed;
};

struct impair_dice {
	uint64_t state;
};

/* What happens to one frame */
struct impair_fate {
	bool lose;
	bool dup;
	uint32_t hold;		/* frames that overtake it, 0: none */
	uint64_t flip;		/* bit to flip, from the frame's first on; 0: none */
	bool forge;		/* change TCP's payload and its checksum */
	uint32_t forge_pick;	/* where */
};

bool impair_any(const struct impair *im);
const char *impair_set(struct impair *im, const char *name, const char *value);
int impair_print(const struct impair *im, char *buf, int size);
void impair_seed(struct impair_dice *dice, uint64_t seed, uint32_t direction);
void impair_roll(const struct impair *im, struct impair_dice *dice, uint32_t len,
		 struct impair_fate *fate);
bool impair_forge(uint8_t *frame, uint32_t len, uint32_t pick);

#endif /* IMPAIR_H */
