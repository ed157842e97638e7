/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What every file of the model may use: messages to whoever started it, the
 * clock, and a few macros.  Nothing here knows what a port or a wire is; the
 * functions are in log.c and loop.c.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_VERSION		"1.0.0"

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define NSEC_PER_SEC		1000000000ull
#define NSEC_PER_MSEC		1000000ull
#define NSEC_PER_USEC		1000ull

/* Times are CLOCK_MONOTONIC in nanoseconds; this one never comes (as FW_IDLE) */
#define NEVER			UINT64_MAX

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t now_ns(void);

extern bool verbose;
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A message that only --verbose shows */
#define say_more(...)				\
	do {					\
		if (verbose)			\
			say(__VA_ARGS__);	\
	} while (0)

#endif /* MODEL_H */
