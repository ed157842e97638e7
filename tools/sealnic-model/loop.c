// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The event loop: the model's one epoll descriptor and its clock.  This is the
 * only place where the process sleeps, and it sleeps without a timeout as soon
 * as nobody has a deadline.  All of it runs in the only thread there is.
 */
#define _GNU_SOURCE 1

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "model.h"

#define EVENTS_PER_ROUND	64

static int epfd = -1;

/**
 * now_ns() - the clock
 *
 * Return: CLOCK_MONOTONIC in nanoseconds.
 */
uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/**
 * loop_open() - make the event loop
 *
 * Return: 0 or a negative error.
 */
int loop_open(void)
{
	epfd = epoll_create1(EPOLL_CLOEXEC);
	return epfd < 0 ? -errno : 0;
}

/** loop_close() - end the event loop */
void loop_close(void)
{
	close(epfd);
	epfd = -1;
}

/**
 * loop_add() - watch a descriptor
 * @w: the descriptor and who handles it
 * @events: EPOLLIN and others
 *
 * Return: 0 or a negative error.
 */
int loop_add(struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, w->fd, &ev) ? -errno : 0;
}

/**
 * loop_change() - watch a descriptor for other events
 * @w: a watched one
 * @events: EPOLLIN and others; 0: none but its end
 */
void loop_change(struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	epoll_ctl(epfd, EPOLL_CTL_MOD, w->fd, &ev);
}

/**
 * loop_remove() - watch a descriptor no more, and close it
 * @w: the descriptor; may be none
 */
void loop_remove(struct watch *w)
{
	if (w->fd < 0)
		return;
	/* Explicitly: QEMU may hold a duplicate that would keep the entry alive */
	epoll_ctl(epfd, EPOLL_CTL_DEL, w->fd, NULL);
	close(w->fd);
	w->fd = -1;
}

/* The epoll descriptor is itself pollable, and ppoll() takes nanoseconds everywhere */
static void sleep_until(uint64_t until)
{
	struct pollfd pfd = { .fd = epfd, .events = POLLIN };
	uint64_t now = now_ns();
	struct timespec ts;

	if (until <= now)
		return;
	ts.tv_sec = (time_t)((until - now) / NSEC_PER_SEC);
	ts.tv_nsec = (long)((until - now) % NSEC_PER_SEC);
	if (ppoll(&pfd, 1, &ts, NULL) < 0 && errno != EINTR)
		abort();
}

/**
 * loop_wait() - sleep until something happens, then have it handled
 * @until: deadline; a past one polls, NEVER waits for events only
 */
void loop_wait(uint64_t until)
{
	struct epoll_event ev[EVENTS_PER_ROUND];
	int i, n;

	if (until && until != NEVER)
		sleep_until(until);
	n = epoll_wait(epfd, ev, EVENTS_PER_ROUND, until == NEVER ? -1 : 0);
	if (n < 0 && errno != EINTR)
		abort();
	for (i = 0; i < n; i++) {
		struct watch *w = ev[i].data.ptr;

		/* Removed by an earlier event of this round */
		if (w->fd >= 0)
			w->fn(w, ev[i].events);
	}
}
