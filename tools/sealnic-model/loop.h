/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The event loop's interface: file descriptors and who handles them.
 * A watch belongs to its owner, who embeds it; it has to stay in place until
 * the round of events in which it was removed is over.
 */
#ifndef LOOP_H
#define LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

struct watch {
	int fd;		/* -1: none */
	void (*fn)(struct watch *w, uint32_t events);
};

int loop_open(void);
void loop_close(void);
int loop_add(struct watch *w, uint32_t events);
void loop_change(struct watch *w, uint32_t events);
void loop_remove(struct watch *w);	/* closes the descriptor too */
void loop_wait(uint64_t until);

#endif /* LOOP_H */
