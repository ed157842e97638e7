// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The ivshmem server of one port (QEMU's docs/specs/ivshmem-spec).  Owns the
 * listening socket, the one VM's connection and the eventfds of both sides,
 * which are made anew for every connection.
 */
#define _GNU_SOURCE 1

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ivshmem.h"
#include "model.h"
#include "usock.h"

#define PROTOCOL_VERSION	0
#define SHARED_MEMORY		(-1)

/*
 * The greeting, message by message: version, the VM's number, the memory, the
 * device's doorbells, the VM's interrupts.
 */
static int64_t greeting(const struct ivshmem *iv, unsigned int n, int *fd)
{
	*fd = -1;
	switch (n) {
	case 0:
		return PROTOCOL_VERSION;
	case 1:
		return IVSHMEM_PEER_VM;
	case 2:
		*fd = iv->memory;
		return SHARED_MEMORY;
	}
	n -= 3;
	if (n < iv->vectors) {
		*fd = iv->bell[n].watch.fd;
		return IVSHMEM_PEER_DEVICE;
	}
	*fd = iv->irq[n - iv->vectors];
	return IVSHMEM_PEER_VM;
}

static int send_message(int sock, int64_t value, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	int64_t wire = (int64_t)htole64((uint64_t)value);
	struct iovec iov = { &wire, sizeof(wire) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	while (sendmsg(sock, &msg, MSG_NOSIGNAL) != sizeof(wire))
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Sends as much of the greeting as the socket takes */
static int greet(struct ivshmem *iv)
{
	const unsigned int messages = 3 + 2 * iv->vectors;
	int64_t value;
	int fd, err;

	for (; iv->sent < messages; iv->sent++) {
		value = greeting(iv, iv->sent, &fd);
		err = send_message(iv->conn.fd, value, fd);
		if (err == -EAGAIN) {
			loop_change(&iv->conn, EPOLLIN | EPOLLOUT);
			return 0;
		}
		if (err)
			return err;
	}
	loop_change(&iv->conn, EPOLLIN);
	return 0;
}

/* Edge-triggered: every ring is an edge, so the counter is never read */
static void bell_event(struct watch *w, uint32_t events)
{
	struct ivshmem_bell *bell = container_of(w, struct ivshmem_bell, watch);
	struct ivshmem *iv = bell->iv;

	(void)events;
	iv->ops->doorbell(iv->device, (uint32_t)(bell - iv->bell));
}

/**
 * ivshmem_hang_up() - end the connection; the device is not told
 * @iv: the server, which waits for the next one
 */
void ivshmem_hang_up(struct ivshmem *iv)
{
	uint32_t i;

	for (i = 0; i < iv->vectors; i++) {
		loop_remove(&iv->bell[i].watch);
		if (iv->irq[i] >= 0)
			close(iv->irq[i]);
		iv->irq[i] = -1;
	}
	loop_remove(&iv->conn);
	iv->memory = -1;
	if (iv->listen.fd >= 0)
		loop_change(&iv->listen, EPOLLIN);
}

static void conn_event(struct watch *w, uint32_t events)
{
	struct ivshmem *iv = container_of(w, struct ivshmem, conn);
	char ignored[256];
	ssize_t n;

	if (events & EPOLLIN) {
		/* A client has nothing to say; only the end is of interest */
		n = read(w->fd, ignored, sizeof(ignored));
		if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
			goto gone;
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		goto gone;
	}
	if (events & EPOLLOUT && greet(iv))
		goto gone;
	return;
gone:
	iv->ops->gone(iv->device);
	ivshmem_hang_up(iv);
}

static int peer_pid(int sock)
{
	socklen_t len = sizeof(struct ucred);
	struct ucred cred;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return 0;
	return cred.pid;
}

static void listen_event(struct watch *w, uint32_t events)
{
	struct ivshmem *iv = container_of(w, struct ivshmem, listen);
	int fd = usock_accept(w->fd);

	(void)events;
	if (fd < 0)
		return;
	iv->conn.fd = fd;
	if (loop_add(&iv->conn, EPOLLIN)) {
		close(fd);
		iv->conn.fd = -1;
		return;
	}
	/* One VM at a time: the next one waits in the queue */
	loop_change(w, 0);
	iv->ops->connected(iv->device, peer_pid(fd));
}

/**
 * ivshmem_serve() - let the VM have the device
 * @iv: a connected server
 * @memory: BAR2, ready to be seen; stays the caller's
 *
 * Return: 0 or an error, after which the caller hangs up.
 */
int ivshmem_serve(struct ivshmem *iv, int memory)
{
	uint32_t i;
	int err;

	for (i = 0; i < iv->vectors; i++) {
		iv->irq[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		iv->bell[i].watch.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (iv->irq[i] < 0 || iv->bell[i].watch.fd < 0)
			return -errno;
		err = loop_add(&iv->bell[i].watch, EPOLLIN | EPOLLET);
		if (err)
			return err;
	}
	iv->memory = memory;
	iv->sent = 0;
	return greet(iv);
}

/**
 * ivshmem_irq() - raise an interrupt in the VM
 * @iv: the server; nothing happens if it is not connected
 * @vector: which
 *
 * A full counter means that QEMU has not looked for a long time: it will see this.
 */
void ivshmem_irq(struct ivshmem *iv, uint32_t vector)
{
	static const uint64_t one = 1;

	if (vector < iv->vectors && iv->irq[vector] >= 0 &&
	    write(iv->irq[vector], &one, sizeof(one)) < 0)
		return;
}

/**
 * ivshmem_open() - start to listen
 * @iv: filled in
 * @path: of the socket; has to stay
 * @vectors: doorbells, and as many interrupts
 * @ops: called from the loop
 * @device: their first argument
 *
 * Return: 0, or -1 after it was reported.
 */
int ivshmem_open(struct ivshmem *iv, const char *path, uint32_t vectors,
		 const struct ivshmem_ops *ops, void *device)
{
	uint32_t i;

	*iv = (struct ivshmem) {
		.ops = ops,
		.device = device,
		.path = path,
		.vectors = vectors,
		.memory = -1,
		.listen = { .fn = listen_event },
		.conn = { .fd = -1, .fn = conn_event },
	};
	for (i = 0; i < IVSHMEM_MAX_VECTORS; i++) {
		iv->irq[i] = -1;
		iv->bell[i].iv = iv;
		iv->bell[i].watch = (struct watch) { .fd = -1, .fn = bell_event };
	}
	iv->listen.fd = usock_bind(path, SOCK_STREAM);
	if (iv->listen.fd < 0)
		return -1;
	if (loop_add(&iv->listen, EPOLLIN)) {
		say("cannot wait for %s: %s", path, strerror(errno));
		usock_close(iv->listen.fd, path);
		iv->listen.fd = -1;
		return -1;
	}
	return 0;
}

/**
 * ivshmem_close() - end the connection, and stop to listen
 * @iv: the server
 */
void ivshmem_close(struct ivshmem *iv)
{
	ivshmem_hang_up(iv);
	usock_close(iv->listen.fd, iv->path);
	iv->listen.fd = -1;
}
