// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The memory functions that a compiler may call, for bare metal.  Where there
 * is a C library its own are faster, and these are left out.
 */
#include "port.h"

#undef memcpy
#undef memmove
#undef memset
#undef memcmp

#ifndef __unix__

/* Or the compiler finds a memset() in memset(), and calls it */
#pragma GCC optimize("no-tree-loop-distribute-patterns")

void *memcpy(void *dst, const void *src, size_t n)
{
	const uint8_t *s = src;
	uint8_t *d = dst;

	while (n--)
		*d++ = *s++;
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	const uint8_t *s = src;
	uint8_t *d = dst;

	if ((uintptr_t)d < (uintptr_t)s)
		return memcpy(dst, src, n);
	while (n--)
		d[n] = s[n];
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	uint8_t *d = dst;

	while (n--)
		*d++ = (uint8_t)c;
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

#endif
