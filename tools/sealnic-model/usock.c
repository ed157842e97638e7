// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Binds and removes Unix sockets.  A path that is left from a process that was
 * killed is reused; one that somebody still serves, or that is not a socket,
 * is an error.  Every function reports its own errors.
 */
#define _GNU_SOURCE 1

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "model.h"
#include "usock.h"

/*
 * Frees the path if a dead process left its socket there.  Nobody here serves
 * SOCK_SEQPACKET: asking for it finds out who is alive and disturbs nobody.
 */
static int clear_path(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, dead;

	if (lstat(addr->sun_path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		say("%s exists and is not a socket", addr->sun_path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		say("no socket for %s: %s", addr->sun_path, strerror(errno));
		return -1;
	}
	dead = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) && errno == ECONNREFUSED;
	close(fd);
	if (!dead) {
		say("%s is in use by another process", addr->sun_path);
		return -1;
	}
	unlink(addr->sun_path);
	return 0;
}

/**
 * usock_bind() - make a Unix socket with a path
 * @path: the path
 * @type: SOCK_STREAM, which listens, or SOCK_DGRAM
 *
 * Return: the socket, non-blocking, or -1 after it was reported.
 */
int usock_bind(const char *path, int type)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		say("%s is too long for a socket's path", path);
		return -1;
	}
	strcpy(addr.sun_path, path);
	if (clear_path(&addr))
		return -1;

	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		say("no socket for %s: %s", path, strerror(errno));
		return -1;
	}
	mask = umask(0077);
	err = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	umask(mask);
	if (!err && type == SOCK_STREAM)
		err = listen(fd, 4);
	if (err) {
		say("cannot listen on %s: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

/**
 * usock_accept() - take a connection
 * @fd: a socket that listens
 *
 * Return: the connection, non-blocking, or -1.
 */
int usock_accept(int fd)
{
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/**
 * usock_close() - close a socket and remove its path
 * @fd: the socket, or -1
 * @path: the path
 */
void usock_close(int fd, const char *path)
{
	if (fd < 0)
		return;
	close(fd);
	unlink(path);
}
