// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Two far sides that need no partner process: a tap interface of the host, and
 * "null", which swallows everything.  Owns the tap's descriptor; there is a link
 * for as long as the interface exists.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loop.h"
#include "tun.h"
#include "wire.h"

#define FRAMES_PER_EVENT	64

struct tap {
	struct far far;
	struct watch dev;
	bool paused;
	uint8_t in[LANE_MAX_FRAME];
};

static struct tap *to_tap(const struct far *far)
{
	return container_of(far, struct tap, far);
}

static void gone(struct watch *w)
{
	say("the tap interface is gone");
	loop_remove(w);
}

static void tap_event(struct watch *w, uint32_t events)
{
	struct tap *tap = container_of(w, struct tap, dev);
	ssize_t n;
	int i;

	/* Also while paused, when nothing is read that would tell */
	if (events & (EPOLLERR | EPOLLHUP)) {
		gone(w);
		return;
	}
	for (i = 0; i < FRAMES_PER_EVENT; i++) {
		if (!lane_ready(tap->far.in)) {
			tap->paused = true;
			loop_change(w, 0);
			return;
		}
		n = read(w->fd, tap->in, sizeof(tap->in));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			gone(w);
			return;
		}
		lane_tx(tap->far.in, &(struct fw_frame) { .hdr = tap->in, .hdr_len = (uint32_t)n });
	}
}

static enum fw_rx_result tap_deliver(struct far *far, const struct fw_frame *frame, bool may_hold)
{
	struct tap *tap = to_tap(far);
	struct iovec iov[2] = {
		{ (void *)frame->hdr, frame->hdr_len },
		{ (void *)frame->data, frame->data_len },
	};

	if (writev(tap->dev.fd, iov, 2) < 0 && may_hold && (errno == EAGAIN || errno == EINTR))
		return FW_RX_HOLD;
	return FW_RX_TAKEN;
}

static void tap_wake(struct far *far)
{
	struct tap *tap = to_tap(far);

	if (!tap->paused)
		return;
	tap->paused = false;
	if (tap->dev.fd >= 0)
		loop_change(&tap->dev, EPOLLIN);
}

static bool tap_link(const struct far *far)
{
	return to_tap(far)->dev.fd >= 0;
}

static void tap_close(struct far *far)
{
	struct tap *tap = to_tap(far);

	loop_remove(&tap->dev);
	free(tap);
}

static const struct far_ops tap_ops = {
	.deliver = tap_deliver,
	.wake = tap_wake,
	.link = tap_link,
	.close = tap_close,
	.retry = NSEC_PER_MSEC,
};

/**
 * tap_open() - a far side that is a tap interface of this machine
 * @name: of the interface
 *
 * Return: the far side, or NULL.
 */
struct far *tap_open(const char *name)
{
	struct tap *tap = calloc(1, sizeof(*tap));
	int err;

	if (!tap)
		return NULL;
	tap->far.ops = &tap_ops;
	tap->dev.fn = tap_event;
	tap->dev.fd = tun_open(name);
	err = tap->dev.fd < 0 ? tap->dev.fd : loop_add(&tap->dev, EPOLLIN);
	if (err) {
		say("cannot open the tap interface %s: %s", name, strerror(-err));
		tap_close(&tap->far);
		return NULL;
	}
	return &tap->far;
}

static enum fw_rx_result null_deliver(struct far *far, const struct fw_frame *frame, bool may_hold)
{
	(void)far;
	(void)frame;
	(void)may_hold;
	return FW_RX_TAKEN;
}

static void null_nothing(struct far *far)
{
	(void)far;
}

static void null_close(struct far *far)
{
	free(far);
}

static bool null_link(const struct far *far)
{
	(void)far;
	return true;
}

static const struct far_ops null_ops = {
	.deliver = null_deliver,
	.wake = null_nothing,
	.link = null_link,
	.close = null_close,
};

/**
 * null_open() - a far side that swallows everything
 *
 * Return: the far side, or NULL.
 */
struct far *null_open(void)
{
	struct far *far = calloc(1, sizeof(*far));

	if (far)
		far->ops = &null_ops;
	return far;
}
