/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What must not be on any wire in the clear: blocks of a file, looked for in
 * frames as their sender put them there.
 */
#ifndef CLEAR_H
#define CLEAR_H

#include <stdbool.h>
#include <stdint.h>

#include "fw.h"

struct clear_count {
	uint64_t frames;	/* looked at */
	uint64_t bytes;
	uint64_t hits;		/* blocks found */
};

extern bool clear_on;

const char *clear_start(const char *path);
void clear_stop(void);
void clear_frame(const struct fw_frame *frame);
struct clear_count clear_read(void);

#endif /* CLEAR_H */
