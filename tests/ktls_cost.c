// SPDX-License-Identifier: GPL-2.0
/*
 * What operations on a TLS socket cost, in guest instructions: run in a VM whose TSC counts instructions (QEMU's
 * -icount shift=0, one CPU). Loopback; what the other end does is outside of what is counted, but for the TCP that runs
 * within a send().
 *
 *   ktls_cost                prints lines "NAME COUNT": medians
 *   ktls_cost loop NAME N    N times the operation, between two marks for the plugin insn_count
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>
#include <x86intrin.h>

#ifndef SOL_TLS
#define SOL_TLS	282
#endif
#ifndef TCP_ULP
#define TCP_ULP	31
#endif

#define ROUNDS	300
#define SOCKETS	500

/* insn_count knows these NOPs, which differ in their displacement only */
static bool marks;

static uint64_t begin(void)
{
	if (marks)
		asm volatile(".byte 0x0f, 0x1f, 0x80, 0x53, 0x45, 0x41, 0x4c" ::: "memory");
	return __rdtsc();
}

static uint64_t end(void)
{
	uint64_t t = __rdtsc();

	if (marks)
		asm volatile(".byte 0x0f, 0x1f, 0x80, 0x53, 0x45, 0x41, 0x4d" ::: "memory");
	return t;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static char buf[65536] __attribute__((aligned(4096)));
static int file = -1;

static void pair(int fd[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (l < 0 || bind(l, (void *)&a, len) || listen(l, 1) || getsockname(l, (void *)&a, &len))
		die("listen");
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd[0], (void *)&a, len))
		die("connect");
	fd[1] = accept(l, NULL, NULL);
	setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(l);
}

static void ulp(int fd)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4))
		die("TCP_ULP");
}

static void key(int fd, int dir, int version)
{
	struct tls12_crypto_info_aes_gcm_128 info = {
		.info = { .version = version, .cipher_type = TLS_CIPHER_AES_GCM_128 },
	};

	if (setsockopt(fd, SOL_TLS, dir, &info, sizeof(info)))
		die(dir == TLS_TX ? "TLS_TX" : "TLS_RX");
}

static int cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *v, int n)
{
	qsort(v, n, sizeof(*v), cmp);
	return v[n / 2];
}

static void drain(int fd, ssize_t n)
{
	while (n > 0) {
		ssize_t got = recv(fd, buf + 32768, n < 32768 ? n : 32768, 0);

		if (got <= 0)
			die("recv");
		n -= got;
	}
}

static ssize_t wire(ssize_t n, int version)
{
	return n + (version == TLS_1_2_VERSION ? 29 : version ? 22 : 0);
}

enum { SEND, SENDFILE, RECV };

static uint64_t one(int op, int fd[2], ssize_t size, int version)
{
	uint64_t t0, t1;
	ssize_t n;
	off_t off = 0;

	switch (op) {
	case SEND:
		t0 = begin();
		n = send(fd[0], buf, size, 0);
		t1 = end();
		if (n != size)
			die("send");
		drain(fd[1], wire(size, version));
		return t1 - t0;
	case SENDFILE:
		t0 = begin();
		n = sendfile(fd[0], file, &off, size);
		t1 = end();
		if (n != size)
			die("sendfile");
		drain(fd[1], wire(size, version));
		return t1 - t0;
	default:
		if (send(fd[0], buf, size, 0) != size)
			die("send");
		t0 = begin();
		n = recv(fd[1], buf + 32768, size, 0);
		t1 = end();
		if (n != size)
			die("recv");
		return t1 - t0;
	}
}

static uint64_t run(int op, ssize_t size, int version, int rounds)
{
	static uint64_t v[1 << 20];
	int fd[2], i;

	pair(fd);
	if (version) {
		ulp(fd[0]);
		key(fd[0], TLS_TX, version);
		if (op == RECV) {
			ulp(fd[1]);
			key(fd[1], TLS_RX, version);
		}
	}
	for (i = 0; i < rounds; i++)
		v[i] = one(op, fd, size, version);
	close(fd[0]);
	close(fd[1]);
	return median(v, rounds);
}

/* Bytes in use in each slab cache; the second call prints what was added for each socket, and returns it */
static long slab(bool after)
{
	static struct { char name[64]; long used; } was[512];
	static int caches;
	char line[512], name[64];
	long total = 0, active, all, size, more;
	FILE *f = fopen("/proc/slabinfo", "r");
	int i;

	if (!f)
		die("/proc/slabinfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %ld %ld %ld", name, &active, &all, &size) != 4)
			continue;
		for (i = 0; i < caches && strcmp(was[i].name, name); i++)
			;
		if (!after && caches < 512) {
			strcpy(was[caches].name, name);
			was[caches++].used = active * size;
		} else if (after) {
			more = (active * size - (i < caches ? was[i].used : 0)) / SOCKETS;
			total += more;
			if (more > 32)
				printf("slab_%s %ld\n", name, more);
		}
	}
	fclose(f);
	return total;
}

static void setup(int version)
{
	static int fd[SOCKETS][2];
	static uint64_t u[SOCKETS], t[SOCKETS], r[SOCKETS];
	uint64_t t0;
	int i;

	for (i = 0; i < SOCKETS; i++)
		pair(fd[i]);
	/* One first, so that what is made once is not counted */
	ulp(fd[0][1]);
	key(fd[0][1], TLS_TX, version);
	key(fd[0][1], TLS_RX, version);
	sleep(1);
	slab(false);
	for (i = 0; i < SOCKETS; i++) {
		t0 = __rdtsc();
		ulp(fd[i][0]);
		u[i] = __rdtsc() - t0;
		t0 = __rdtsc();
		key(fd[i][0], TLS_TX, version);
		t[i] = __rdtsc() - t0;
		t0 = __rdtsc();
		key(fd[i][0], TLS_RX, version);
		r[i] = __rdtsc() - t0;
	}
	printf("slab_bytes_per_socket %ld\n", slab(true));
	printf("setup_ulp %lu\nsetup_tx %lu\nsetup_rx %lu\n", median(u, SOCKETS), median(t, SOCKETS),
	       median(r, SOCKETS));
	for (i = 0; i < SOCKETS; i++) {
		close(fd[i][0]);
		close(fd[i][1]);
	}
}

static const struct {
	const char *name;
	int op;
	int size;
	int version;
} jobs[] = {
	{ "send16k_tcp", SEND, 16384, 0 },
	{ "send16k_tls12", SEND, 16384, TLS_1_2_VERSION },
	{ "send16k_tls13", SEND, 16384, TLS_1_3_VERSION },
	{ "sendfile16k_tcp", SENDFILE, 16384, 0 },
	{ "sendfile16k_tls12", SENDFILE, 16384, TLS_1_2_VERSION },
	{ "sendfile16k_tls13", SENDFILE, 16384, TLS_1_3_VERSION },
	{ "recv16k_tcp", RECV, 16384, 0 },
	{ "recv16k_tls12", RECV, 16384, TLS_1_2_VERSION },
	{ "recv16k_tls13", RECV, 16384, TLS_1_3_VERSION },
	{ "send1k_tcp", SEND, 1024, 0 },
	{ "send1k_tls12", SEND, 1024, TLS_1_2_VERSION },
	{ "send1k_tls13", SEND, 1024, TLS_1_3_VERSION },
	{ "recv1k_tcp", RECV, 1024, 0 },
	{ "recv1k_tls12", RECV, 1024, TLS_1_2_VERSION },
	{ "recv1k_tls13", RECV, 1024, TLS_1_3_VERSION },
};

int main(int argc, char **argv)
{
	unsigned int i;

	file = memfd_create("file", 0);
	if (file < 0 || ftruncate(file, 65536) || write(file, buf, sizeof(buf)) != sizeof(buf))
		die("memfd");
	if (argc == 4 && !strcmp(argv[1], "loop")) {
		marks = true;
		for (i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
			if (!strcmp(jobs[i].name, argv[2]))
				return !run(jobs[i].op, jobs[i].size, jobs[i].version, atoi(argv[3]));
		return 1;
	}
	for (i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
		printf("%s %lu\n", jobs[i].name, run(jobs[i].op, jobs[i].size, jobs[i].version, ROUNDS));
	setup(TLS_1_3_VERSION);
	return 0;
}
