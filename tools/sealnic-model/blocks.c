// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Finds blocks of a file; see blocks.h.  Owns nothing but what is in a struct
 * blocks; the file's bytes stay where they are.
 */
#include <stdlib.h>
#include <string.h>

#include "blocks.h"

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* The upper bits are the good ones */
static inline uint64_t mix(uint64_t v)
{
	v *= 0x9e3779b97f4a7c15;
	v ^= v >> 32;
	return v * 0xd6e8feb86659fd93;
}

static uint64_t hash_block(const uint8_t *p, size_t size)
{
	uint64_t h = size;

	for (size_t i = 0; i < size; i += 8)
		h = mix(h ^ load64(p + i));
	return h;
}

static bool one_byte_repeated(const uint8_t *p, size_t size)
{
	return !memcmp(p, p + 1, size - 1);
}

/* The table's slot that holds the block at @p, or the free one where it would be */
static uint64_t lookup(const struct blocks *b, const uint8_t *p)
{
	uint64_t mask = (1ull << (64 - b->table_shift)) - 1;
	uint64_t i = hash_block(p, b->size) >> b->table_shift;

	while (b->table[i] && memcmp(b->data + (b->table[i] - 1) * b->size, p, b->size))
		i = (i + 1) & mask;
	return i;
}

static unsigned int shift_for(uint64_t entries)
{
	unsigned int shift = 64 - 10;

	while (1ull << (64 - shift) < entries)
		shift--;
	return shift;
}

/**
 * blocks_index() - prepare for finding them
 * @b: is filled
 * @data: the file, which has to stay until blocks_free()
 * @len: bytes of it; less than 2^32 blocks
 * @size: bytes of a block, a multiple of 8; what is less at the end is left out
 *
 * Return: false if there is no memory; @b->count may be 0.
 */
bool blocks_index(struct blocks *b, const uint8_t *data, size_t len, size_t size)
{
	uint64_t n = len / size, bit, slot;

	memset(b, 0, sizeof(*b));
	b->data = data;
	b->size = size;
	b->filter_shift = shift_for(n * 64);
	b->filter = calloc(1ull << (64 - b->filter_shift - 6), 8);
	b->table_shift = shift_for(n * 2);
	b->table = calloc(1ull << (64 - b->table_shift), sizeof(*b->table));
	b->found = calloc(n / 64 + 1, 8);
	if (!b->filter || !b->table || !b->found) {
		blocks_free(b);
		return false;
	}
	for (uint64_t i = 0; i < n; i++) {
		const uint8_t *p = data + i * size;

		if (one_byte_repeated(p, size))
			continue;
		slot = lookup(b, p);
		if (b->table[slot])
			continue;
		b->table[slot] = (uint32_t)i + 1;
		bit = mix(load64(p)) >> b->filter_shift;
		b->filter[bit / 64] |= 1ull << bit % 64;
		b->count++;
	}
	return true;
}

/**
 * blocks_search() - find them in a frame
 * @b: what is looked for
 * @p: the frame
 * @len: bytes of it
 * @distinct: grows with each block that was never found before; or NULL
 *
 * Return: how often there is one.
 */
uint64_t blocks_search(struct blocks *b, const uint8_t *p, size_t len, uint64_t *distinct)
{
	uint64_t hits = 0, bit;
	uint32_t no;

	for (size_t off = 0; off + b->size <= len;) {
		bit = mix(load64(p + off)) >> b->filter_shift;
		if (!(b->filter[bit / 64] >> bit % 64 & 1)) {
			off++;
			continue;
		}
		no = b->table[lookup(b, p + off)];
		if (!no) {
			off++;
			continue;
		}
		no--;
		hits++;
		if (distinct)
			*distinct += !(b->found[no / 64] >> no % 64 & 1);
		b->found[no / 64] |= 1ull << no % 64;
		off += b->size;
	}
	return hits;
}

/**
 * blocks_free() - let go of it, but not of the file
 * @b: may be all zero
 */
void blocks_free(struct blocks *b)
{
	free(b->filter);
	free(b->table);
	free(b->found);
	memset(b, 0, sizeof(*b));
}
