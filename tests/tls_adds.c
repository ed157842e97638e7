// SPDX-License-Identifier: GPL-2.0
/*
 * tls_adds HOST PORT N: connects N times, then gives each connection a TLS 1.2
 * key for transmission, then one for receiving, then closes them; prints how
 * many keys for transmission went in and how many connections out per second,
 * and what memory of the kernel a connection took for its keys, as JSON.  The
 * listener may be anything that accepts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(const char *what)
{
	fprintf(stderr, "tls_adds: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Of the kernel: slabs and pages that are no program's, in bytes */
static long long kernel_memory(void)
{
	long long sum = 0, kb;
	char line[128];
	FILE *f;

	sync();
	f = fopen("/proc/meminfo", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Slab: %lld", &kb) == 1 || sscanf(line, "VmallocUsed: %lld", &kb) == 1)
			sum += kb << 10;
	}
	if (f)
		fclose(f);
	return sum;
}

int main(int argc, char **argv)
{
	struct tls12_crypto_info_aes_gcm_128 info = {
		.info = { .version = TLS_1_2_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128 },
		.key = "0123456789abcde",
	};
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct rlimit lim = { 65536, 65536 };
	int n = argc == 4 ? atoi(argv[3]) : 0, *fd;
	double start, seconds, closing;
	long long before, after;

	if (n < 1 || n > 60000 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		fputs("usage: tls_adds IPV4 PORT N\n", stderr);
		return 2;
	}
	to.sin_port = htons((unsigned short)atoi(argv[2]));
	setrlimit(RLIMIT_NOFILE, &lim);
	fd = calloc((size_t)n, sizeof(*fd));
	if (!fd)
		return fail("calloc");
	for (int i = 0; i < n; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		if (fd[i] < 0 || connect(fd[i], (struct sockaddr *)&to, sizeof(to)))
			return fail("connect");
		if (setsockopt(fd[i], IPPROTO_TCP, TCP_ULP, "tls", 3))
			return fail("TCP_ULP");
	}
	before = kernel_memory();
	start = now();
	for (int i = 0; i < n; i++) {
		if (setsockopt(fd[i], SOL_TLS, TLS_TX, &info, sizeof(info)))
			return fail("TLS_TX");
	}
	seconds = now() - start;
	for (int i = 0; i < n; i++)
		setsockopt(fd[i], SOL_TLS, TLS_RX, &info, sizeof(info));
	after = kernel_memory();
	start = now();
	for (int i = 0; i < n; i++)
		close(fd[i]);
	closing = now() - start;
	printf("{\"connections\": %d, \"adds_per_s\": %.0f, \"dels_per_s\": %.0f, \"bytes_per_connection\": %lld}\n",
	       n, n / seconds, n / closing, (after - before) / n);
	return 0;
}
