// SPDX-License-Identifier: GPL-2.0
/*
 * UDP traffic for the tests: datagrams that come back, every byte compared.
 *
 * Nothing is sent twice: a wire that loses nothing loses no datagram either.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_SIZE	65507
#define MAX_FLOWS	1024
#define ANSWER_MSECS	10000

static const char usage[] =
	"usage: udp_tool echo PORT\n"
	"       udp_tool ask HOST PORT [--flows N] [--count N] [--size N] [--df]\n"
	"\n"
	"echo   sends back what it receives, for ever\n"
	"ask    sends and compares what comes back, one datagram of a flow at a time\n"
	"\n"
	"--flows N   sockets, and so source ports: 1\n"
	"--count N   datagrams of each: 1\n"
	"--size N    bytes of each, headers not counted: 64\n"
	"--df        fragments are not allowed\n"
	"Exit status: 0: all came back; 1: not; 2: it could not be tried; 3: too long for --df.\n";

__attribute__((format(printf, 2, 3), noreturn))
static void die(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("udp_tool: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

static unsigned long number(const char *s, unsigned long max)
{
	unsigned long v;
	char *end;

	v = strtoul(s, &end, 10);
	if (end == s || *end || *s == '-' || !v || v > max)
		die(2, "%s: not a number from 1 to %lu", s, max);
	return v;
}

static struct addrinfo *lookup(const char *host, const char *port)
{
	const struct addrinfo hints = {
		.ai_flags = host ? 0 : AI_PASSIVE,
		.ai_family = host ? AF_UNSPEC : AF_INET6,
		.ai_socktype = SOCK_DGRAM,
	};
	struct addrinfo *ai;
	int err = getaddrinfo(host, port, &hints, &ai);

	if (err)
		die(2, "%s port %s: %s", host ? host : "any", port, gai_strerror(err));
	return ai;
}

/* One socket for IPv6 and IPv4, which the kernel answers from the address that was asked */
static void echo(const char *port)
{
	struct addrinfo *ai = lookup(NULL, port);
	static uint8_t buf[MAX_SIZE];
	struct sockaddr_in6 peer;
	socklen_t peer_len;
	ssize_t n;
	int fd;

	fd = socket(ai->ai_family, ai->ai_socktype, 0);
	if (fd < 0)
		die(2, "no socket: %s", strerror(errno));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ 4 << 20 }, sizeof(int));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen))
		die(2, "port %s: %s", port, strerror(errno));
	for (;;) {
		peer_len = sizeof(peer);
		n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&peer, &peer_len);
		if (n >= 0)
			sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&peer, peer_len);
	}
}

/* Datagram @i of flow @flow: neither two datagrams nor two places in one are alike */
static void fill(uint8_t *buf, size_t size, uint32_t flow, uint32_t i)
{
	uint64_t x = ((uint64_t)flow << 32 | i) + 1;

	for (size_t at = 0; at < size; at++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[at] = (uint8_t)(x >> 32);
	}
}

static int flow_open(const struct addrinfo *ai, bool df)
{
	int fd = socket(ai->ai_family, ai->ai_socktype, 0);
	int err;

	if (fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen))
		die(2, "no socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 1 << 20 }, sizeof(int));
	if (!df)
		return fd;
	if (ai->ai_family == AF_INET6)
		err = setsockopt(fd, IPPROTO_IPV6, IPV6_DONTFRAG, &(int){ 1 }, sizeof(int)) ||
		      setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
				 &(int){ IPV6_PMTUDISC_PROBE }, sizeof(int));
	else
		err = setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER,
				 &(int){ IP_PMTUDISC_PROBE }, sizeof(int));
	if (err)
		die(2, "--df: %s", strerror(errno));
	return fd;
}

static void ask(const struct addrinfo *ai, uint32_t flows, uint32_t count, size_t size, bool df)
{
	static uint8_t want[MAX_SIZE], got[MAX_SIZE + 1];
	int fd[MAX_FLOWS];
	ssize_t n;

	for (uint32_t flow = 0; flow < flows; flow++)
		fd[flow] = flow_open(ai, df);
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t flow = 0; flow < flows; flow++) {
			fill(want, size, flow, i);
			if (send(fd[flow], want, size, 0) != (ssize_t)size)
				die(errno == EMSGSIZE ? 3 : 1, "flow %u, datagram %u: %s", flow, i,
				    strerror(errno));
		}
		for (uint32_t flow = 0; flow < flows; flow++) {
			struct pollfd pfd = { .fd = fd[flow], .events = POLLIN };

			if (poll(&pfd, 1, ANSWER_MSECS) != 1)
				die(1, "flow %u, datagram %u: no answer", flow, i);
			n = recv(fd[flow], got, sizeof(got), 0);
			if (n < 0)
				die(1, "flow %u, datagram %u: %s", flow, i, strerror(errno));
			fill(want, size, flow, i);
			if ((size_t)n != size || memcmp(want, got, size))
				die(1, "flow %u, datagram %u came back changed", flow, i);
		}
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "flows", required_argument, NULL, 'f' },
		{ "count", required_argument, NULL, 'c' },
		{ "size", required_argument, NULL, 's' },
		{ "df", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	uint32_t flows = 1, count = 1;
	size_t size = 64;
	bool df = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			flows = (uint32_t)number(optarg, MAX_FLOWS);
			break;
		case 'c':
			count = (uint32_t)number(optarg, 1000000);
			break;
		case 's':
			size = number(optarg, MAX_SIZE);
			break;
		case 'd':
			df = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (argc - optind == 2 && !strcmp(argv[optind], "echo")) {
		echo(argv[optind + 1]);
	} else if (argc - optind == 3 && !strcmp(argv[optind], "ask")) {
		ask(lookup(argv[optind + 1], argv[optind + 2]), flows, count, size, df);
		return 0;
	}
	fputs(usage, stderr);
	return 2;
}
