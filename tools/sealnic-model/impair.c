// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Decides what goes wrong with a frame, from a seed, and parses the settings.
 * It knows nothing about queues: lane.c does to the frame what is decided here.
 * It does know what a TCP packet is, to forge one.
 * The same seed and the same sequence of frames give the same fates.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impair.h"

#define ETH_HEADER	14
#define MAX_DELAY_US	10000000ull

/* splitmix64 */
static uint64_t roll(struct impair_dice *dice)
{
	uint64_t z = dice->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static bool happens(struct impair_dice *dice, double probability)
{
	return (double)(roll(dice) >> 11) * 0x1p-53 < probability;
}

/**
 * impair_any() - does anything go wrong on the wires?
 * @im: the settings
 *
 * Return: true if it can.
 */
bool impair_any(const struct impair *im)
{
	return im->loss > 0 || im->reorder > 0 || im->dup > 0 || im->corrupt > 0 ||
	       im->forge > 0 || im->delay_us;
}

/**
 * impair_seed() - begin anew with the dice of a direction
 * @dice: the direction's
 * @seed: what all of them have in common
 * @direction: its number
 */
void impair_seed(struct impair_dice *dice, uint64_t seed, uint32_t direction)
{
	struct impair_dice mix = { .state = seed ^ (uint64_t)direction << 32 };

	dice->state = roll(&mix);
}

/**
 * impair_roll() - decide what happens to a frame
 * @im: the settings
 * @dice: the direction's
 * @len: bytes of the frame
 * @fate: filled in
 *
 * The number of rolls for a frame does not depend on the settings, so that
 * changing one of them leaves the others' outcome alone.
 */
void impair_roll(const struct impair *im, struct impair_dice *dice, uint32_t len,
		 struct impair_fate *fate)
{
	struct impair_dice side;
	bool reorder, corrupt;
	uint64_t bits, pick;

	fate->lose = happens(dice, im->loss);
	reorder = happens(dice, im->reorder);
	fate->dup = happens(dice, im->dup);
	corrupt = happens(dice, im->corrupt);
	pick = roll(dice);

	fate->hold = reorder ? 1 + (uint32_t)(pick & (IMPAIR_MAX_HOLD - 1)) : 0;
	fate->flip = 0;
	if (corrupt && len > ETH_HEADER) {
		bits = 8ull * (len - ETH_HEADER);
		fate->flip = 8 * ETH_HEADER + (pick >> 8) % bits;
	}
	/* without a roll of its own: seeds from before it mean what they meant */
	side.state = pick;
	fate->forge = happens(&side, im->forge);
	fate->forge_pick = (uint32_t)roll(&side);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/**
 * impair_forge() - change one bit of a TCP packet's payload, and the checksum with it
 * @frame: from its first byte
 * @len: bytes
 * @pick: chooses the bit
 *
 * Return: false if this is not TCP, or has no payload; nothing is changed then.
 */
bool impair_forge(uint8_t *frame, uint32_t len, uint32_t pick)
{
	uint32_t l3 = ETH_HEADER, l4, end, data, at, sum;
	uint8_t proto;

	if (len > l3 + 4 && get16(frame + l3 - 2) == 0x8100)
		l3 += 4;
	if (len < l3 + 40)
		return false;
	if (get16(frame + l3 - 2) == 0x0800 && frame[l3] >> 4 == 4) {
		l4 = l3 + (frame[l3] & 15) * 4u;
		end = l3 + get16(frame + l3 + 2);
		proto = get16(frame + l3 + 6) & 0x3fff ? 0 : frame[l3 + 9];
	} else if (get16(frame + l3 - 2) == 0x86dd && frame[l3] >> 4 == 6) {
		l4 = l3 + 40;
		end = l4 + get16(frame + l3 + 4);
		proto = frame[l3 + 6];
	} else {
		return false;
	}
	if (proto != 6 || end > len || l4 + 20 > end)
		return false;
	data = l4 + (frame[l4 + 12] >> 4) * 4u;
	if (data < l4 + 20 || data >= end)
		return false;

	at = data + pick / 8 % (end - data);
	/* RFC 1624: what leaves the sum and what enters it, in its own byte of a word */
	sum = ~get16(frame + l4 + 16) & 0xffff;
	sum += ~((uint32_t)frame[at] << ((at - l4) % 2 ? 0 : 8)) & 0xffff;
	frame[at] ^= (uint8_t)(1u << pick % 8);
	sum += (uint32_t)frame[at] << ((at - l4) % 2 ? 0 : 8);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	frame[l4 + 16] = (uint8_t)(sum >> 8);
	frame[l4 + 17] = (uint8_t)sum;
	return true;
}

static const char *set_percent(double *fraction, const char *value)
{
	char *end;
	double p;

	errno = 0;
	p = strtod(value, &end);
	if (end == value || *end || errno || !isfinite(p) || p < 0 || p > 100)
		return "a percentage is a number from 0 to 100";
	*fraction = p / 100;
	return NULL;
}

static const char *set_number(uint64_t *number, const char *value, uint64_t max)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(value, &end, 0);
	if (*value < '0' || *value > '9' || *end || errno || n > max)
		return "not a number, or too large";
	*number = n;
	return NULL;
}

/**
 * impair_set() - change a setting
 * @im: the settings
 * @name: which
 * @value: as somebody typed it
 *
 * Return: what is wrong with it, or NULL.
 */
const char *impair_set(struct impair *im, const char *name, const char *value)
{
	if (!strcmp(name, "loss"))
		return set_percent(&im->loss, value);
	if (!strcmp(name, "reorder"))
		return set_percent(&im->reorder, value);
	if (!strcmp(name, "dup"))
		return set_percent(&im->dup, value);
	if (!strcmp(name, "corrupt"))
		return set_percent(&im->corrupt, value);
	if (!strcmp(name, "forge"))
		return set_percent(&im->forge, value);
	if (!strcmp(name, "delay"))
		return set_number(&im->delay_us, value, MAX_DELAY_US);
	if (!strcmp(name, "seed"))
		return set_number(&im->seed, value, UINT64_MAX);
	return "a wire has loss, reorder, dup, corrupt, forge, delay and seed";
}

/**
 * impair_print() - the settings as a line of text
 * @im: the settings
 * @buf: for the line
 * @size: bytes of @buf
 *
 * Return: as snprintf().
 */
int impair_print(const struct impair *im, char *buf, int size)
{
	return snprintf(buf, (size_t)size,
			"loss=%g reorder=%g dup=%g corrupt=%g forge=%g delay=%" PRIu64
			" seed=%" PRIu64 "\n",
			im->loss * 100, im->reorder * 100, im->dup * 100, im->corrupt * 100,
			im->forge * 100, im->delay_us, im->seed);
}
