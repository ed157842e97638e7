/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The guest's RAM as the model sees it: one file that QEMU shares, found at
 * two ranges of guest-physical addresses.  Read-only after it was mapped; what
 * is behind a pointer can change at any time, the guest runs meanwhile.
 */
#ifndef HOSTMEM_H
#define HOSTMEM_H

#include <stdbool.h>
#include <stdint.h>

enum machine {
	MACHINE_Q35,
	MACHINE_PC,
};

#define HOSTMEM_HIGH	(1ull << 32) /* where the RAM that is not low goes on */

struct hostmem {
	uint8_t *base;
	uint64_t size;
	uint64_t low;		/* bytes from address 0 on; the rest is at HOSTMEM_HIGH */
	bool mapped;		/* by us */
	unsigned int dev_major;
	unsigned int dev_minor;
	uint64_t inode;
};

void hostmem_wrap(struct hostmem *m, void *base, uint64_t size, enum machine machine);
int hostmem_map(struct hostmem *m, const char *path, uint64_t size, enum machine machine);
void hostmem_unmap(struct hostmem *m);
bool hostmem_private_in(const struct hostmem *m, int pid);

/**
 * hostmem_ptr() - guest-physical address to pointer
 * @m: the RAM
 * @addr: guest-physical, untrusted
 * @len: bytes, untrusted; 0 is answered as 1
 *
 * Return: where the bytes are, or NULL if not all of them are in one of the
 * two ranges.
 */
static inline void *hostmem_ptr(const struct hostmem *m, uint64_t addr, uint32_t len)
{
	uint64_t left;

	if (addr < m->low) {
		left = m->low - addr;
	} else if (addr >= HOSTMEM_HIGH && addr - HOSTMEM_HIGH < m->size - m->low) {
		addr = addr - HOSTMEM_HIGH + m->low;
		left = m->size - addr;
	} else {
		return NULL;
	}
	return len <= left ? m->base + addr : NULL;
}

#endif /* HOSTMEM_H */
