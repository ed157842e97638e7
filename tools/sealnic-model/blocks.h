/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Blocks of a file, to be found in frames: at offsets of the file that are
 * multiples of their size, and at every offset of a frame.  A block that two
 * frames share is not found: its neighbours are.  Blocks of one repeated byte
 * prove nothing and are left out.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_SIZE	32	/* as good as any, for random content */

/**
 * struct blocks - what is looked for
 * @data: the file
 * @size: bytes of a block
 * @count: blocks, without repetitions
 * @filter: a bitmap by the first eight bytes, small enough to ask at every offset
 * @filter_shift: from a hash to a bit of it
 * @table: a hash table by all bytes: a block's number + 1; 0: free
 * @table_shift: from a hash to a slot of it
 * @found: a bit by the block's number
 */
struct blocks {
	const uint8_t *data;
	size_t size;
	uint64_t count;
	uint64_t *filter;
	unsigned int filter_shift;
	uint32_t *table;
	unsigned int table_shift;
	uint64_t *found;
};

bool blocks_index(struct blocks *b, const uint8_t *data, size_t len, size_t size);
uint64_t blocks_search(struct blocks *b, const uint8_t *p, size_t len, uint64_t *distinct);
void blocks_free(struct blocks *b);

#endif /* BLOCKS_H */
