// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * A far side for QEMU's "-netdev dgram" with Unix sockets: one frame a
 * datagram.  Owns the local socket.  It is not connected, so that the other
 * side may come, go and come again; a full one is asked again after a while.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"
#include "usock.h"
#include "wire.h"

#define FRAMES_PER_EVENT	64

struct dgram {
	struct far far;
	struct watch sock;
	char *path;
	struct sockaddr_un remote;
	bool paused;
	uint8_t in[LANE_MAX_FRAME];
};

static struct dgram *to_dgram(const struct far *far)
{
	return container_of(far, struct dgram, far);
}

static void dgram_event(struct watch *w, uint32_t events)
{
	struct dgram *d = container_of(w, struct dgram, sock);
	ssize_t n;
	int i;

	(void)events;
	for (i = 0; i < FRAMES_PER_EVENT; i++) {
		if (!lane_ready(d->far.in)) {
			d->paused = true;
			loop_change(w, 0);
			return;
		}
		n = recv(w->fd, d->in, sizeof(d->in), MSG_TRUNC);
		if (n < 0)
			return;
		/* One that was cut counts as too long: lane_tx() drops it */
		lane_tx(d->far.in, &(struct fw_frame) { .hdr = d->in, .hdr_len = (uint32_t)n });
	}
}

static enum fw_rx_result dgram_deliver(struct far *far, const struct fw_frame *frame,
				       bool may_hold)
{
	struct dgram *d = to_dgram(far);
	struct iovec iov[2] = {
		{ (void *)frame->hdr, frame->hdr_len },
		{ (void *)frame->data, frame->data_len },
	};
	struct msghdr msg = {
		.msg_name = &d->remote,
		.msg_namelen = sizeof(d->remote),
		.msg_iov = iov,
		.msg_iovlen = 2,
	};

	if (sendmsg(d->sock.fd, &msg, MSG_NOSIGNAL) < 0 && may_hold &&
	    (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
		return FW_RX_HOLD;
	return FW_RX_TAKEN;	/* with nobody there it is lost, as on a cable */
}

static void dgram_wake(struct far *far)
{
	struct dgram *d = to_dgram(far);

	if (!d->paused)
		return;
	d->paused = false;
	loop_change(&d->sock, EPOLLIN);
}

static bool dgram_link(const struct far *far)
{
	(void)far;
	return true;
}

static void dgram_close(struct far *far)
{
	struct dgram *d = to_dgram(far);

	usock_close(d->sock.fd, d->path);
	free(d->path);
	free(d);
}

static const struct far_ops dgram_ops = {
	.deliver = dgram_deliver,
	.wake = dgram_wake,
	.link = dgram_link,
	.close = dgram_close,
	.retry = NSEC_PER_MSEC,
};

/**
 * dgram_open() - a far side for QEMU's "-netdev dgram"
 * @local: path of our socket
 * @remote: path of QEMU's, which need not be there yet
 *
 * Return: the far side, or NULL.
 */
struct far *dgram_open(const char *local, const char *remote)
{
	struct dgram *d;

	if (strlen(remote) >= sizeof(d->remote.sun_path)) {
		say("%s is too long for a socket's path", remote);
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->far.ops = &dgram_ops;
	d->remote.sun_family = AF_UNIX;
	strcpy(d->remote.sun_path, remote);
	d->sock.fn = dgram_event;
	d->path = strdup(local);
	d->sock.fd = d->path ? usock_bind(local, SOCK_DGRAM) : -1;
	if (d->sock.fd < 0 || loop_add(&d->sock, EPOLLIN)) {
		dgram_close(&d->far);
		return NULL;
	}
	return &d->far;
}
