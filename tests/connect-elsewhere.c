// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into a program whose IPv4 sockets connect to this machine itself: they connect to the same port of the
 * address in CONNECT_ELSEWHERE instead. Where that is an address of this machine to which the route leads over a NIC,
 * connections within one program go over the wire.
 *
 * The program may rely on what is true of loopback: when send() returns, what was sent has arrived; and likewise the end
 * when shutdown() returns. So here a send that may wait returns when the peer has acknowledged all of it, or for a tenth
 * of a second nothing any more.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name)	((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static ssize_t arrived(int fd, ssize_t sent)
{
	int left, before = -1, tries = 0;

	if (fcntl(fd, F_GETFL) & O_NONBLOCK)
		return sent;
	/* What is no TCP socket has no such number */
	while (sent > 0 && tries < 100 && !ioctl(fd, SIOCOUTQ, &left) && left > 0) {
		tries = left == before ? tries + 1 : 0;
		before = left;
		usleep(1000);
	}
	return sent;
}

static bool end_arrived(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) || info.tcpi_state == TCP_FIN_WAIT2 ||
	       info.tcpi_state == TCP_TIME_WAIT || info.tcpi_state == TCP_CLOSE;
}

int shutdown(int fd, int how)
{
	int err = REAL(shutdown)(fd, how), tries = 0;

	while (!err && how != SHUT_RD && tries++ < 100 && !end_arrived(fd))
		usleep(1000);
	return err;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	const char *where = getenv("CONNECT_ELSEWHERE");
	struct sockaddr_in in;

	if (!where || len < sizeof(in) || addr->sa_family != AF_INET)
		return REAL(connect)(fd, addr, len);
	memcpy(&in, addr, sizeof(in));
	if (in.sin_addr.s_addr == htonl(INADDR_ANY) || in.sin_addr.s_addr == htonl(INADDR_LOOPBACK))
		in.sin_addr.s_addr = inet_addr(where);
	return REAL(connect)(fd, (struct sockaddr *)&in, sizeof(in));
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	return arrived(fd, REAL(send)(fd, buf, len, flags));
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return arrived(fd, REAL(sendmsg)(fd, msg, flags));
}

ssize_t write(int fd, const void *buf, size_t len)
{
	return arrived(fd, REAL(write)(fd, buf, len));
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return arrived(fd, REAL(writev)(fd, iov, n));
}

ssize_t sendfile(int fd, int in, off_t *off, size_t len)
{
	return arrived(fd, REAL(sendfile)(fd, in, off, len));
}

ssize_t splice(int in, off64_t *off_in, int fd, off64_t *off_out, size_t len, unsigned int flags)
{
	return arrived(fd, REAL(splice)(in, off_in, fd, off_out, len, flags));
}
