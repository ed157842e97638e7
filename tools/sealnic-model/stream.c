// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * A far side that QEMU's "-netdev stream,server=off" connects to: frames with
 * a 32-bit big-endian length before each.  Owns the listening socket, the one
 * connection, and a frame that could be sent or was received only in part.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loop.h"
#include "usock.h"
#include "wire.h"

#define LENGTH_BYTES	4
#define IN_SIZE		(4 * (LANE_MAX_FRAME + LENGTH_BYTES))

struct stream {
	struct far far;
	struct watch listen;
	struct watch conn;
	char *path;
	bool paused;		/* the port takes no frames: read no more */
	size_t in_len;
	size_t out_len;		/* what is left of the last frame is at its end */
	size_t out_pos;
	uint8_t in[IN_SIZE];
	uint8_t out[LANE_MAX_FRAME + LENGTH_BYTES];
};

static struct stream *to_stream(const struct far *far)
{
	return container_of(far, struct stream, far);
}

static void set_events(struct stream *s)
{
	uint32_t events = s->paused ? 0 : EPOLLIN;

	if (s->out_pos < s->out_len)
		events |= EPOLLOUT;
	loop_change(&s->conn, events);
}

static void hang_up(struct stream *s, const char *why)
{
	say_more("%s: %s", s->path, why);
	loop_remove(&s->conn);
	s->paused = false;
	s->in_len = 0;
	s->out_len = 0;
	s->out_pos = 0;
	loop_change(&s->listen, EPOLLIN);
}

/* Hands over complete frames while the port takes them */
static void parse(struct stream *s)
{
	size_t pos = 0;
	uint32_t len;

	while (s->in_len - pos >= LENGTH_BYTES) {
		memcpy(&len, s->in + pos, LENGTH_BYTES);
		len = ntohl(len);
		if (!len || len > LANE_MAX_FRAME) {
			hang_up(s, "sent a frame of impossible length");
			return;
		}
		if (s->in_len - pos - LENGTH_BYTES < len)
			break;
		if (!lane_ready(s->far.in)) {
			s->paused = true;
			break;
		}
		lane_tx(s->far.in, &(struct fw_frame) {
			.hdr = s->in + pos + LENGTH_BYTES,
			.hdr_len = len,
		});
		pos += LENGTH_BYTES + len;
	}
	memmove(s->in, s->in + pos, s->in_len - pos);
	s->in_len -= pos;
}

/* Return: true if nothing is left to send before the next frame */
static bool flush(struct stream *s)
{
	ssize_t n;

	while (s->out_pos < s->out_len) {
		n = send(s->conn.fd, s->out + s->out_pos, s->out_len - s->out_pos, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			hang_up(s, "is gone");
			return false;
		}
		s->out_pos += (size_t)n;
	}
	return true;
}

static void stream_event(struct watch *w, uint32_t events)
{
	struct stream *s = container_of(w, struct stream, conn);
	ssize_t n;

	if (events & EPOLLOUT) {
		flush(s);
		if (w->fd < 0)
			return;
		set_events(s);
	}
	if (s->paused) {
		if (events & (EPOLLHUP | EPOLLERR))
			hang_up(s, "is gone");
		return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = read(w->fd, s->in + s->in_len, IN_SIZE - s->in_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(s, "is gone");
		return;
	}
	s->in_len += (size_t)n;
	parse(s);
	if (s->paused)
		set_events(s);
}

static void listen_event(struct watch *w, uint32_t events)
{
	struct stream *s = container_of(w, struct stream, listen);
	int fd = usock_accept(w->fd);

	(void)events;
	if (fd < 0)
		return;
	s->conn.fd = fd;
	if (loop_add(&s->conn, EPOLLIN)) {
		close(fd);
		s->conn.fd = -1;
		return;
	}
	/* The next one waits until this one is gone */
	loop_change(w, 0);
	say_more("%s: connected", s->path);
}

static enum fw_rx_result stream_deliver(struct far *far, const struct fw_frame *frame,
					bool may_hold)
{
	struct stream *s = to_stream(far);
	uint32_t len = frame->hdr_len + frame->data_len;
	uint32_t prefix = htonl(len);
	struct iovec iov[3] = {
		{ &prefix, LENGTH_BYTES },
		{ (void *)frame->hdr, frame->hdr_len },
		{ (void *)frame->data, frame->data_len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	ssize_t n;

	if (s->conn.fd < 0)
		return FW_RX_TAKEN;
	if (!flush(s))
		return may_hold && s->conn.fd >= 0 ? FW_RX_HOLD : FW_RX_TAKEN;

	do
		n = sendmsg(s->conn.fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		hang_up(s, "is gone");
		return FW_RX_TAKEN;
	}
	if (n == (ssize_t)(len + LENGTH_BYTES))
		return FW_RX_TAKEN;
	if (n < 0 && !may_hold)
		return FW_RX_TAKEN;

	/* No room: what was not sent goes first when there is some */
	memcpy(s->out, &prefix, LENGTH_BYTES);
	memcpy(s->out + LENGTH_BYTES, frame->hdr, frame->hdr_len);
	if (frame->data_len)
		memcpy(s->out + LENGTH_BYTES + frame->hdr_len, frame->data, frame->data_len);
	s->out_len = len + LENGTH_BYTES;
	s->out_pos = n < 0 ? 0 : (size_t)n;
	set_events(s);
	return FW_RX_TAKEN;
}

static void stream_wake(struct far *far)
{
	struct stream *s = to_stream(far);

	if (!s->paused)
		return;
	s->paused = false;
	parse(s);
	if (s->conn.fd >= 0)
		set_events(s);
}

static bool stream_link(const struct far *far)
{
	return to_stream(far)->conn.fd >= 0;
}

static void stream_close(struct far *far)
{
	struct stream *s = to_stream(far);
	int fd = s->listen.fd;

	loop_remove(&s->conn);
	usock_close(fd, s->path);
	free(s->path);
	free(s);
}

static const struct far_ops stream_ops = {
	.deliver = stream_deliver,
	.wake = stream_wake,
	.link = stream_link,
	.close = stream_close,
};

/**
 * stream_open() - a far side for QEMU's "-netdev stream,server=off"
 * @path: of the socket where it connects
 *
 * Return: the far side, or NULL.
 */
struct far *stream_open(const char *path)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->far.ops = &stream_ops;
	s->listen.fn = listen_event;
	s->conn.fn = stream_event;
	s->conn.fd = -1;
	s->path = strdup(path);
	s->listen.fd = s->path ? usock_bind(path, SOCK_STREAM) : -1;
	if (s->listen.fd < 0 || loop_add(&s->listen, EPOLLIN)) {
		stream_close(&s->far);
		return NULL;
	}
	return &s->far;
}
