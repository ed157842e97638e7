/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kTLS tests share: tests that are processes, checks, and a connection with kTLS at one end (k) and a plain
 * TCP socket (r) at the other, whose records are sealed and opened in user space.
 */
#ifndef _SEALNIC_KTLS_FRAME_H
#define _SEALNIC_KTLS_FRAME_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include "ktls_ref.h"

/* --- frame --- */

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* What the process of a test leaves for the one that reports */
extern struct report {
	int line;		/* of the last check */
	int caller;		/* of the last call of what checks for others */
	unsigned int nth;	/* the allocation that fails */
	long long ret;		/* what a process of the test's did */
	int err;
	bool hit;
	bool failed;
	char skipped[128];
	char note[128];
	char why[1024];
} *report;

extern int slowness, ntests, nfailed;

/* What this machine has to get back, whatever becomes of the test */
extern void (*undo)(void);

__attribute__((format(printf, 2, 3), noreturn)) void fail(int line, const char *fmt, ...);

#define CHECK(cond) do {									\
	report->line = __LINE__;								\
	if (!(cond))										\
		fail(__LINE__, "%s (errno %d, %s)", #cond, errno, strerror(errno));		\
} while (0)

#define EQ(got, want) do {									\
	long long got__, want__;								\
	report->line = __LINE__;								\
	got__ = (long long)(got);								\
	want__ = (long long)(want);								\
	if (got__ != want__)									\
		fail(__LINE__, "%s is %lld (errno %d, %s), want %lld", #got, got__, errno,	\
		     strerror(errno), want__);							\
} while (0)

/* The call fails, and for this reason */
#define ERR(call, reason) do {									\
	long long got__;									\
	report->line = __LINE__;								\
	errno = 0;										\
	got__ = (long long)(call);								\
	if (got__ != -1 || errno != (reason))							\
		fail(__LINE__, "%s is %lld, errno %d (%s), want -1 and %s", #call, got__, errno, \
		     strerror(errno), #reason);							\
} while (0)

__attribute__((format(printf, 1, 2), noreturn)) void skip(const char *fmt, ...);
/* Before all else */
void frame_init(void);
/* The test is a process, and has so many seconds (times $slowness) */
void run(const char *name, void (*fn)(void), int seconds);
/* The plan; what main() returns */
int frame_end(void);
double now(void);
void sleep_ms(int ms);

/* --- the connection --- */

extern const struct ref_cipher *cipher;
extern uint16_t version;
extern int k, r;
extern struct ref_epoch tx;	/* k seals, r opens */
extern struct ref_epoch rx;	/* r seals, k opens */
extern uint8_t rec[REF_RECORD], buf[1 << 20], text[1 << 20];

enum { SEED_TX = 1, SEED_RX = 2, SEED_TX2 = 4, SEED_RX2 = 5 };

bool is13(void);
void setup_family(int family);
/* Where ::1 is not up yet, or ports are looked up */
void setup_v4(void);
/* Both families, by turns */
void setup_tcp(void);
void setup(void);
/* kTLS at both ends */
void setup_both(void);
void nonblock(int fd, bool on);
void set_int(int fd, int level, int name, int value);
bool ready(int fd, int events, int ms);

#define READABLE(fd)	CHECK(ready(fd, POLLIN, 5000 * slowness))
#define SILENT(fd)	CHECK(!ready(fd, POLLIN, 20))

/* Bytes of the content with this seed */
void put_flags(int fd, uint64_t seed, uint64_t off, size_t len, int flags);
void put(uint64_t seed, uint64_t off, size_t len);
void same(const uint8_t *got, uint64_t seed, uint64_t off, size_t len, int line);

#define SAME(got, seed, off, len)	same(got, seed, off, len, __LINE__)

void get(int fd, uint64_t seed, uint64_t off, size_t len);
/* r seals a record and sends it; pad bytes of padding in TLS 1.3 */
size_t seal(uint8_t type, uint64_t seed, uint64_t off, size_t len, size_t pad);
void rec_out_pad(uint8_t type, uint64_t seed, uint64_t off, size_t len, size_t pad);
void rec_out(uint8_t type, uint64_t seed, uint64_t off, size_t len);
/* r sends a record with these bytes */
void rec_bytes(uint8_t type, const void *bytes, size_t len);
/* r takes a record */
size_t rec_in(uint8_t *type);
void expect_type(uint8_t type, uint64_t seed, uint64_t off, size_t len);
void expect(uint64_t seed, uint64_t off, size_t len);
/* Data in records of any size up to max */
void expect_stream(uint64_t seed, uint64_t off, size_t len, size_t max);
void expect_end(void);
/* A sender of its own, where the send buffer may be too small */
struct job {
	pthread_t thread;
	int fd, flags;
	uint64_t seed, off;
	size_t len;
};

void job_start(struct job *j, int fd, uint64_t seed, uint64_t off, size_t len);
void job_end(struct job *j);

#ifndef KTLS_FRAME_C
/* These report the line that they were called from */
#define expect(...)		(report->caller = __LINE__, expect(__VA_ARGS__))
#define expect_type(...)	(report->caller = __LINE__, expect_type(__VA_ARGS__))
#define expect_stream(...)	(report->caller = __LINE__, expect_stream(__VA_ARGS__))
#define expect_end()		(report->caller = __LINE__, expect_end())
#define rec_in(...)		(report->caller = __LINE__, rec_in(__VA_ARGS__))
#define put(...)		(report->caller = __LINE__, put(__VA_ARGS__))
#define put_flags(...)		(report->caller = __LINE__, put_flags(__VA_ARGS__))
#define get(...)		(report->caller = __LINE__, get(__VA_ARGS__))
#endif

#endif
