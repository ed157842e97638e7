// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
/* The macros that report a caller's line are for callers */
#define KTLS_FRAME_C
#include "ktls_frame.h"

/* --- frame --- */

struct report *report;
int slowness = 1, ntests, nfailed;

void (*undo)(void);

void fail(int line, const char *fmt, ...)
{
	va_list ap;

	if (!__atomic_exchange_n(&report->failed, true, __ATOMIC_SEQ_CST)) {
		int err = errno, n;

		if (undo)
			undo();
		errno = err;
		n = snprintf(report->why, sizeof(report->why), "line %d, last helper called in line %d: ", line,
			     report->caller);
		if (report->nth)
			n += snprintf(report->why + n, sizeof(report->why) - (size_t)n, "allocation %u fails: ",
				      report->nth);
		va_start(ap, fmt);
		vsnprintf(report->why + n, sizeof(report->why) - (size_t)n, fmt, ap);
		va_end(ap);
	}
	_exit(1);
}

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(report->skipped, sizeof(report->skipped), fmt, ap);
	va_end(ap);
	_exit(0);
}

void run(const char *name, void (*fn)(void), int seconds)
{
	struct pollfd p = { .events = POLLIN };
	int status = 0;
	pid_t pid;

	memset(report, 0, sizeof(*report));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		fn();
		_exit(0);
	}
	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	ntests++;
	if (poll(&p, 1, seconds * slowness * 1000) == 1) {
		waitpid(pid, &status, 0);
	} else {
		snprintf(report->why, sizeof(report->why),
			 "no end after %d s; the last check was in line %d, helper in %d, allocation %u",
			 seconds * slowness, report->line, report->caller, report->nth);
		report->failed = true;
		kill(pid, SIGKILL);
		if (poll(&p, 1, 5000) != 1)
			strcat(report->why, "; and it cannot be killed");
		else
			waitpid(pid, &status, 0);
	}
	close(p.fd);
	if (!report->failed && status) {
		snprintf(report->why, sizeof(report->why), "ended with wait status %#x after line %d", status,
			 report->line);
		report->failed = true;
	}
	if (report->failed) {
		nfailed++;
		printf("not ok %d - %s\n# %s\n", ntests, name, report->why);
	} else if (report->skipped[0]) {
		printf("ok %d - %s # SKIP %s\n", ntests, name, report->skipped);
	} else {
		printf("ok %d - %s\n", ntests, name);
	}
	if (report->note[0])
		printf("# %s\n", report->note);
}

void frame_init(void)
{
	if (getenv("slowness"))
		slowness = atoi(getenv("slowness"));
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signal(SIGPIPE, SIG_IGN);
	/* Looked up here, and inherited by the test processes */
	for (unsigned int i = 0; i < ref_nciphers; i++)
		ref_have(&ref_ciphers[i]);
}

int frame_end(void)
{
	printf("1..%d\n", ntests);
	return nfailed != 0;
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void sleep_ms(int ms)
{
	usleep((useconds_t)ms * 1000);
}

/* --- the connection --- */

const struct ref_cipher *cipher;
uint16_t version;
int k = -1, r = -1;
struct ref_epoch tx;	/* k seals, r opens */
struct ref_epoch rx;	/* r seals, k opens */
uint8_t rec[REF_RECORD], buf[1 << 20], text[1 << 20];

bool is13(void)
{
	return version == TLS_1_3_VERSION;
}

void setup_family(int family)
{
	int fd[2];

	EQ(tcp_pair(family, fd), 0);
	k = fd[0];
	r = fd[1];
	ref_free(&tx);
	ref_free(&rx);
	ref_derive(&tx, cipher, version, SEED_TX);
	ref_derive(&rx, cipher, version, SEED_RX);
}

void setup_v4(void)
{
	setup_family(AF_INET);
}

void setup_tcp(void)
{
	setup_family((version ^ cipher->type) & 1 ? AF_INET6 : AF_INET);
}

void setup(void)
{
	setup_tcp();
	EQ(tls_ulp(k), 0);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	EQ(tls_key(k, TLS_RX, &rx), 0);
}

void setup_both(void)
{
	setup();
	EQ(tls_ulp(r), 0);
	EQ(tls_key(r, TLS_RX, &tx), 0);
	EQ(tls_key(r, TLS_TX, &rx), 0);
}

void nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	CHECK(!fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

void set_int(int fd, int level, int name, int value)
{
	EQ(setsockopt(fd, level, name, &value, sizeof(value)), 0);
}

bool ready(int fd, int events, int ms)
{
	struct pollfd p = { .fd = fd, .events = (short)events };

	return poll(&p, 1, ms) == 1 && p.revents & events;
}

void put_flags(int fd, uint64_t seed, uint64_t off, size_t len, int flags)
{
	ref_fill(buf, len, seed, off);
	EQ(send(fd, buf, len, flags | MSG_NOSIGNAL), len);
}

void put(uint64_t seed, uint64_t off, size_t len)
{
	put_flags(k, seed, off, len, 0);
}

void same(const uint8_t *got, uint64_t seed, uint64_t off, size_t len, int line)
{
	for (size_t i = 0; i < len; i++)
		if (got[i] != ref_byte(seed, off + i))
			fail(line, "byte %zu of %zu is %#x, want %#x", i, len, got[i], ref_byte(seed, off + i));
}

void get(int fd, uint64_t seed, uint64_t off, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, buf, len < sizeof(buf) ? len : sizeof(buf), 0);

		CHECK(n > 0);
		SAME(buf, seed, off, (size_t)n);
		off += (uint64_t)n;
		len -= (size_t)n;
	}
}

size_t seal(uint8_t type, uint64_t seed, uint64_t off, size_t len, size_t pad)
{
	ref_fill(text, len, seed, off);
	return ref_seal(&rx, type, text, len, pad, rec);
}

void rec_out_pad(uint8_t type, uint64_t seed, uint64_t off, size_t len, size_t pad)
{
	size_t n = seal(type, seed, off, len, pad);

	CHECK(write_all(r, rec, n));
}

void rec_out(uint8_t type, uint64_t seed, uint64_t off, size_t len)
{
	rec_out_pad(type, seed, off, len, 0);
}

void rec_bytes(uint8_t type, const void *bytes, size_t len)
{
	size_t n = ref_seal(&rx, type, bytes, len, 0, rec);

	CHECK(write_all(r, rec, n));
}

size_t rec_in(uint8_t *type)
{
	ssize_t n = read_record(r, rec);
	size_t pad;

	CHECK(n > 0);
	n = ref_open(&tx, rec, (size_t)n, type, text, &pad);
	CHECK(n >= 0);
	EQ(pad, 0);
	return (size_t)n;
}

void expect_type(uint8_t type, uint64_t seed, uint64_t off, size_t len)
{
	uint8_t got;

	EQ(rec_in(&got), len);
	EQ(got, type);
	SAME(text, seed, off, len);
}

void expect(uint64_t seed, uint64_t off, size_t len)
{
	expect_type(REF_DATA, seed, off, len);
}

void expect_stream(uint64_t seed, uint64_t off, size_t len, size_t max)
{
	while (len) {
		uint8_t type;
		size_t n = rec_in(&type);

		EQ(type, REF_DATA);
		CHECK(n && n <= len && n <= max);
		SAME(text, seed, off, n);
		off += n;
		len -= n;
	}
}

void expect_end(void)
{
	EQ(read_record(r, rec), 0);
}

static void *job_send(void *arg)
{
	struct job *j = arg;
	size_t len = j->len, off = 0, n;
	uint8_t *data = malloc(len);

	ref_fill(data, len, j->seed, j->off);
	while (off < len) {
		n = (size_t)send(j->fd, data + off, len - off, j->flags | MSG_NOSIGNAL);
		CHECK((ssize_t)n > 0);
		off += n;
	}
	free(data);
	return NULL;
}

void job_start(struct job *j, int fd, uint64_t seed, uint64_t off, size_t len)
{
	*j = (struct job){ .fd = fd, .seed = seed, .off = off, .len = len };
	CHECK(!pthread_create(&j->thread, NULL, job_send, j));
}

void job_end(struct job *j)
{
	CHECK(!pthread_join(j->thread, NULL));
}
