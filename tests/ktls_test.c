// SPDX-License-Identifier: GPL-2.0
/*
 * kTLS against a record layer in user space, over loopback, and against itself. Prints TAP.
 *
 *   ktls_test all               every test, every version and cipher
 *   ktls_test data              those that move data: for another implementation of the ciphers
 *   ktls_test races SEED        two threads on one socket
 *   ktls_test many N            N connections at once
 *   ktls_test alloc nth         each operation with its n-th allocation failing, for every n (/proc/self/fail-nth)
 *   ktls_test alloc all         each operation without memory, as far as /proc/self/make-it-fail reaches
 *   ktls_test alloc none        the same without failures
 *   ktls_test starved SEED      traffic while allocations fail, which the caller sees to
 *   ktls_test add DRIVER PRIO   have the kernel make an algorithm, such as cryptd(...), and prefer it
 *   ktls_test del DRIVER        undo it
 *
 * $slowness multiplies the time limits; $ONLY restricts all and data to the tests with that in their name.
 *
 * Each test is a process: what goes wrong in one ends it, and its sockets with it. A test has a connection with kTLS at
 * one end (k) and a plain TCP socket (r) at the other, whose records are sealed and opened here.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "ktls_frame.h"

/* --- sending --- */

static const size_t sizes[] = { 0, 1, 63, 64, 1000, 16383, 16384, 16385, 100000 };

static void tx_sizes(void)
{
	uint64_t off = 0;
	struct job j;

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t left = sizes[i];

		if (!left)
			EQ(send(k, buf, 0, 0), 0);
		job_start(&j, k, 7, off, left);
		for (; left; left -= left < REF_MAX ? left : REF_MAX) {
			size_t n = left < REF_MAX ? left : REF_MAX;

			expect(7, off, n);
			off += n;
		}
		job_end(&j);
	}
	SILENT(r);
}

static void tx_iovec(void)
{
	struct iovec iov[300];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = ARRAY_SIZE(iov) };
	size_t total = 0;

	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	/* Small and odd; then more pages than a record has room for, when it would take them as they are */
	for (int round = 0; round < 2; round++) {
		size_t at = 0, n = round ? 40 : ARRAY_SIZE(iov);

		for (size_t i = 0; i < n; i++) {
			size_t len = round ? 1100 : 1 + i * 7 % 131;

			iov[i] = (struct iovec){ buf + at, len };
			ref_fill(buf + at, len, 7, total);
			total += len;
			at += round ? 5000 : len + 3;
		}
		msg.msg_iovlen = n;
		at = 0;
		for (size_t i = 0; i < n; i++)
			at += iov[i].iov_len;
		EQ(sendmsg(k, &msg, 0), at);
		expect_stream(7, total - at, at, REF_MAX);
	}
	/* Memory that is not there, behind some that is */
	iov[0] = (struct iovec){ buf, 100 };
	iov[1] = (struct iovec){ (void *)8, 100 };
	msg.msg_iovlen = 2;
	ERR(sendmsg(k, &msg, 0), EFAULT);
	put(9, 0, 10);
	expect(9, 0, 10);
	/* Behind bytes that are held, and with more room made for it than they need */
	for (int i = 0; i < 3; i++) {
		put_flags(k, 9, 0, 10, MSG_MORE);
		iov[1].iov_len = 6000;
		ERR(sendmsg(k, &msg, MSG_MORE), EFAULT);
		put(9, 10, (size_t)i);
		expect(9, 0, 10 + (size_t)i);
	}
	for (int i = 0; i < 20; i++) {
		put(9, 0, 3000);
		expect(9, 0, 3000);
	}
}

static void tx_more(void)
{
	int other[2];

	setup();
	for (int i = 0; i < 5; i++)
		put_flags(k, 7, (uint64_t)i * 100, 100, MSG_MORE);
	SILENT(r);
	put(7, 500, 1);
	expect(7, 0, 501);
	/* A record that is full goes */
	put_flags(k, 7, 0, 20000, MSG_MORE);
	expect(7, 0, REF_MAX);
	SILENT(r);
	EQ(send(k, buf, 0, 0), 0);
	expect(7, REF_MAX, 20000 - REF_MAX);
	put_flags(k, 7, 0, 100, MSG_EOR);
	expect(7, 0, 100);
	put_flags(k, 7, 0, REF_MAX - 1, MSG_MORE);
	put_flags(k, 7, REF_MAX - 1, 2, MSG_EOR);
	expect(7, 0, REF_MAX);
	expect(7, REF_MAX, 1);
	for (int i = 0; i < 3000; i++)
		put_flags(k, 7, (uint64_t)i, 1, MSG_MORE);
	SILENT(r);
	put(7, 3000, 5000);
	expect(7, 0, 8000);
	/* Others take memory in between */
	EQ(tcp_pair(AF_INET, other), 0);
	for (int i = 0; i < 1000; i++) {
		put_flags(k, 7, (uint64_t)i, 1, MSG_MORE);
		put_flags(other[0], 8, (uint64_t)i, 1, 0);
	}
	SILENT(r);
	put(7, 1000, 1);
	expect(7, 0, 1001);
	get(other[1], 8, 0, 1000);
	ERR(send(k, buf, 10, MSG_MORE | MSG_EOR), EINVAL);
	ERR(send(k, buf, 10, MSG_OOB), EOPNOTSUPP);
	/* What failed was not held */
	put(7, 0, 3);
	expect(7, 0, 3);
}

static void tx_nonblock(void)
{
	const size_t total = 600000, chunk = 30000;
	size_t taken = 0, seen = 0;
	bool full = false;
	uint8_t type;

	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 40000);
	set_int(r, SOL_SOCKET, SO_RCVBUF, 40000);
	nonblock(k, true);
	while (taken < total) {
		size_t want = total - taken < chunk ? total - taken : chunk;
		ssize_t n;

		ref_fill(buf, want, 7, taken);
		n = send(k, buf, want, 0);
		if (n > 0) {
			taken += (size_t)n;
			continue;
		}
		EQ(errno, EAGAIN);
		full = true;
		CHECK(!ready(k, POLLOUT, 0));
		/* Room comes by reading, and poll says so */
		while (!ready(k, POLLOUT, 0)) {
			size_t m;

			CHECK(seen < taken);
			m = rec_in(&type);
			SAME(text, 7, seen, m);
			seen += m;
		}
	}
	CHECK(full);
	while (seen < total) {
		size_t m = rec_in(&type);

		SAME(text, 7, seen, m);
		seen += m;
	}
	SILENT(r);
}

static int content_file(size_t len, uint64_t seed)
{
	int fd = memfd_create("content", 0);

	CHECK(fd >= 0 && len <= sizeof(buf));
	ref_fill(buf, len, seed, 0);
	EQ(write(fd, buf, len), len);
	return fd;
}

static void tx_sendfile(void)
{
	int fd;
	off_t off = 0;

	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	fd = content_file(50000, 8);
	EQ(sendfile(k, fd, &off, 50000), 50000);
	/* In records as long as can be */
	for (size_t at = 0; at < 3 * REF_MAX; at += REF_MAX)
		expect(8, at, REF_MAX);
	expect(8, 3 * REF_MAX, 50000 - 3 * REF_MAX);
	/* The file ends before the count: what it had goes out all the same */
	off = 20000;
	EQ(sendfile(k, fd, &off, 60000), 30000);
	expect_stream(8, 20000, 30000, REF_MAX);
	off = 50000;
	EQ(sendfile(k, fd, &off, 1000), 0);
	/* Behind bytes that are held, and before others */
	put_flags(k, 8, 0, 1001, MSG_MORE);
	off = 1001;
	EQ(sendfile(k, fd, &off, 4000), 4000);
	put(8, 5001, 3);
	expect_stream(8, 0, 5004, REF_MAX);
	off = 3;
	EQ(sendfile(k, fd, &off, 1), 1);
	expect(8, 3, 1);
	put_flags(k, 8, 0, 10, MSG_MORE);
	off = 50000;
	EQ(sendfile(k, fd, &off, 1000), 0);
	put(8, 10, 1);
	expect_stream(8, 0, 11, REF_MAX);
	/* The record must not change with the file once sendfile() has returned */
	off = 0;
	EQ(sendfile(k, fd, &off, 16384), 16384);
	EQ(pwrite(fd, rec, 16384, 0), 16384);
	expect_stream(8, 0, 16384, REF_MAX);
}

static void tx_splice(void)
{
	struct iovec iov, bad[2];
	int p[2], dgram[2];
	size_t total = 0;
	uint8_t *pages;

	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	CHECK(!pipe(p) && !pipe2(dgram, O_DIRECT));
	ref_fill(buf, 30000, 8, 0);
	EQ(write(p[1], buf, 30000), 30000);
	EQ(splice(p[0], NULL, k, NULL, 30000, 0), 30000);
	expect_stream(8, 0, 30000, REF_MAX);
	/* Held, and flushed by a plain send */
	EQ(write(p[1], buf, 300), 300);
	EQ(splice(p[0], NULL, k, NULL, 300, SPLICE_F_MORE), 300);
	SILENT(r);
	put(8, 300, 10);
	expect_stream(8, 0, 310, REF_MAX);
	/* Many pieces, each in a page of its own: more than a record can list */
	fcntl(dgram[1], F_SETPIPE_SZ, 64 * 4096);
	for (int i = 0; i < 60; i++) {
		ref_fill(buf, 77, 8, total);
		EQ(write(dgram[1], buf, 77), 77);
		total += 77;
	}
	for (size_t done = 0; done < total;) {
		ssize_t n = splice(dgram[0], NULL, k, NULL, total - done, done + 77 < total ? SPLICE_F_MORE : 0);

		CHECK(n > 0);
		done += (size_t)n;
	}
	/* The last piece may have been taken with the flag */
	EQ(send(k, buf, 0, 0), 0);
	expect_stream(8, 0, total, REF_MAX);
	/* Pages of ours */
	pages = mmap(NULL, 40960, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(pages != MAP_FAILED);
	ref_fill(pages, 40960, 8, 0);
	iov = (struct iovec){ pages + 100, 40000 };
	for (size_t done = 0; done < 40000;) {
		ssize_t n = vmsplice(p[1], &iov, 1, SPLICE_F_NONBLOCK);

		CHECK(n > 0);
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		EQ(splice(p[0], NULL, k, NULL, (size_t)n, 0), n);
		done += (size_t)n;
	}
	expect_stream(8, 100, 40000, REF_MAX);
	/* Half in place, half by reference, by turns */
	for (int i = 0; i < 8; i++) {
		put_flags(k, 8, (uint64_t)i * 200, 100, MSG_MORE);
		ref_fill(buf, 100, 8, (uint64_t)i * 200 + 100);
		EQ(write(p[1], buf, 100), 100);
		EQ(splice(p[0], NULL, k, NULL, 100, SPLICE_F_MORE), 100);
	}
	put(8, 1600, 1);
	expect_stream(8, 0, 1601, REF_MAX);
	/* Bytes that are not there come in between */
	EQ(write(p[1], (ref_fill(buf, 100, 8, 0), buf), 100), 100);
	EQ(splice(p[0], NULL, k, NULL, 100, SPLICE_F_MORE), 100);
	put_flags(k, 8, 100, 100, MSG_MORE);
	memset(buf, 0xee, 100);
	bad[0] = (struct iovec){ buf, 100 };
	bad[1] = (struct iovec){ (void *)8, 100 };
	ERR(writev(k, bad, 2), EFAULT);
	put_flags(k, 8, 200, 100, MSG_MORE);
	put(8, 300, 100);
	expect_stream(8, 0, 400, REF_MAX);
}

static void tx_control(void)
{
	static const uint8_t types[] = { REF_ALERT, REF_HANDSHAKE, REF_CCS, 24, 100, REF_DATA };
	union {
		struct cmsghdr align;
		char bytes[2 * CMSG_SPACE(1)];
	} control = { 0 };
	struct iovec iov = { buf, 10 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = CMSG_LEN(1),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	setup();
	for (size_t i = 0; i < sizeof(types); i++) {
		ref_fill(buf, 50, 9, i);
		EQ(tls_send_type(k, types[i], buf, 50, 0), 50);
		expect_type(types[i], 9, i, 50);
		EQ(rec[0], is13() ? REF_DATA : types[i]);
	}
	/* What was held goes first, in a record of its own */
	put_flags(k, 7, 0, 100, MSG_MORE);
	ref_fill(buf, 2, 9, 0);
	EQ(tls_send_type(k, REF_ALERT, buf, 2, 0), 2);
	expect(7, 0, 100);
	expect_type(REF_ALERT, 9, 0, 2);
	ref_fill(buf, 20000, 9, 0);
	EQ(tls_send_type(k, REF_HANDSHAKE, buf, 20000, 0), 20000);
	expect_type(REF_HANDSHAKE, 9, 0, REF_MAX);
	expect_type(REF_HANDSHAKE, 9, REF_MAX, 20000 - REF_MAX);
	/* Refused, and without a trace */
	put_flags(k, 7, 0, 10, MSG_MORE);
	ERR(tls_send_type(k, REF_ALERT, buf, 2, MSG_MORE), EINVAL);
	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_GET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	ERR(sendmsg(k, &msg, 0), EINVAL);
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(0);
	ERR(sendmsg(k, &msg, 0), EINVAL);
	put(7, 10, 1);
	expect(7, 0, 11);
	ERR(tls_send_type(k, REF_ALERT, (void *)8, 2, 0), EFAULT);
	put(7, 0, 10);
	expect(7, 0, 10);
}

/* sendmmsg() announces with each message but the last that another follows: each is a record all the same */
static void tx_batch(void)
{
	static const size_t lens[] = { 10, 5000, 1, 20000, 300 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(1)];
	} control = { 0 };
	struct mmsghdr m[ARRAY_SIZE(lens)] = { 0 };
	struct iovec iov[ARRAY_SIZE(lens)];
	struct cmsghdr *cmsg;
	size_t off = 0;

	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		ref_fill(buf + off, lens[i], 7, off);
		iov[i] = (struct iovec){ buf + off, lens[i] };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
		off += lens[i];
	}
	/* A control record in the middle */
	m[2].msg_hdr.msg_control = &control;
	m[2].msg_hdr.msg_controllen = sizeof(control);
	cmsg = CMSG_FIRSTHDR(&m[2].msg_hdr);
	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(cmsg) = REF_ALERT;
	EQ(sendmmsg(k, m, ARRAY_SIZE(lens), MSG_NOSIGNAL), ARRAY_SIZE(lens));
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++)
		EQ(m[i].msg_len, lens[i]);
	expect(7, 0, 10);
	expect(7, 10, 5000);
	expect_type(REF_ALERT, 7, 5010, 1);
	expect(7, 5011, REF_MAX);
	expect(7, 5011 + REF_MAX, 20000 - REF_MAX);
	expect(7, 25011, 300);
	/* With MSG_MORE all of them are held */
	EQ(sendmmsg(k, m, 2, MSG_MORE | MSG_NOSIGNAL), 2);
	SILENT(r);
	EQ(send(k, buf, 0, 0), 0);
	expect(7, 0, 5010);
	SILENT(r);
}

static void tx_limit(void)
{
	static const uint16_t limits[] = { 64, 65, 1000, 4096, 16383, 16384 };
	uint16_t v = 1, least = is13() ? 63 : 64;
	socklen_t len = sizeof(v);
	struct job j;
	int fd;

	setup_tcp();
	EQ(tls_ulp(k), 0);
	EQ(getsockopt(k, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &v, &len), 0);
	EQ(v, REF_MAX);
	EQ(len, 2);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		size_t total = limits[i] < 1000 ? 3000 : 50000, left = total;

		EQ(setsockopt(k, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &limits[i], 2), 0);
		EQ(getsockopt(k, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &v, &len), 0);
		EQ(v, limits[i]);
		job_start(&j, k, 7, 0, total);
		while (left) {
			size_t n = left < limits[i] ? left : limits[i];

			expect(7, total - left, n);
			left -= n;
		}
		job_end(&j);
	}
	EQ(setsockopt(k, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &least, 2), 0);
	fd = content_file(1000, 8);
	EQ(sendfile(k, fd, NULL, 1000), 0);
	EQ(lseek(fd, 0, SEEK_SET), 0);
	EQ(sendfile(k, fd, NULL, 1000), 1000);
	expect_stream(8, 0, 1000, least);
	/* Lowered while more than that is held */
	v = 1000;
	EQ(setsockopt(k, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &v, 2), 0);
	put_flags(k, 7, 0, 900, MSG_MORE);
	v = 500;
	EQ(setsockopt(k, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &v, 2), 0);
	put(7, 900, 501);
	expect_stream(7, 0, 1401, 1000);
	v = (uint16_t)(least - 1);
	ERR(setsockopt(k, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &v, 2), EINVAL);
	v = REF_MAX + 1;
	ERR(setsockopt(k, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &v, 2), EINVAL);
	v = 1000;
	ERR(setsockopt(k, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &v, 1), EINVAL);
	ERR(setsockopt(k, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, buf, 4), EINVAL);
	len = 1;
	ERR(getsockopt(k, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &v, &len), EINVAL);
}

/* --- receiving --- */

static void rx_pieces(void)
{
	static const size_t lens[] = { 1, 2, 100, 2047, 2048, 5000, 16383, 16384 };
	uint64_t off = 0;
	size_t step = 1;

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		rec_out(REF_DATA, 7, off, lens[i]);
		for (size_t left = lens[i]; left;) {
			size_t n = step < left ? step : left;

			get(k, 7, off, n);
			off += n;
			left -= n;
			step = step % 997 + 13;
		}
	}
	/* Exactly a record, and more than that */
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		rec_out(REF_DATA, 7, off, lens[i]);
		READABLE(k);
		EQ(recv(k, buf, i % 2 ? sizeof(buf) : lens[i], 0), lens[i]);
		SAME(buf, 7, off, lens[i]);
		off += lens[i];
	}
	EQ(recv(k, buf, 0, 0), 0);
}

static void rx_several(void)
{
	setup();
	for (uint64_t i = 0; i < 5; i++)
		rec_out(REF_DATA, 7, i * 3000, 3000);
	READABLE(k);
	EQ(recv(k, buf, 7500, 0), 7500);
	SAME(buf, 7, 0, 7500);
	EQ(recv(k, buf, sizeof(buf), 0), 7500);
	SAME(buf, 7, 7500, 7500);
	ERR(recv(k, buf, 10, MSG_DONTWAIT), EAGAIN);
}

static void rx_iovec(void)
{
	struct iovec iov[100];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = ARRAY_SIZE(iov) };

	setup();
	memset(buf, 0xee, 40000);
	for (size_t i = 0; i < ARRAY_SIZE(iov); i++)
		iov[i] = (struct iovec){ buf + i * 300, 200 };
	rec_out(REF_DATA, 7, 0, 16000);
	READABLE(k);
	EQ(recvmsg(k, &msg, 0), 16000);
	for (size_t i = 0; i < 80; i++) {
		SAME(buf + i * 300, 7, i * 200, 200);
		EQ(buf[i * 300 + 200], 0xee);
	}
	EQ(buf[80 * 300], 0xee);
	/* Memory that is not there: the record stays */
	rec_out(REF_DATA, 7, 0, 5000);
	READABLE(k);
	ERR(recv(k, (void *)8, 5000, 0), EFAULT);
	get(k, 7, 0, 5000);
}

static void rx_peek(void)
{
	setup();
	for (uint64_t i = 0; i < 3; i++)
		rec_out(REF_DATA, 7, i * 3000, 3000);
	READABLE(k);
	for (int i = 0; i < 2; i++) {
		EQ(recv(k, buf, 100, MSG_PEEK), 100);
		SAME(buf, 7, 0, 100);
	}
	EQ(recv(k, buf, 8000, MSG_PEEK), 8000);
	SAME(buf, 7, 0, 8000);
	EQ(recv(k, buf, 8000, MSG_PEEK | MSG_WAITALL), 8000);
	get(k, 7, 0, 1000);
	EQ(recv(k, buf, sizeof(buf), MSG_PEEK), 8000);
	SAME(buf, 7, 1000, 8000);
	/* Peeking does not join what is new to what it is not */
	rec_out(REF_ALERT, 9, 0, 2);
	READABLE(k);
	EQ(recv(k, buf, sizeof(buf), MSG_PEEK), 8000);
	get(k, 7, 1000, 8000);
	ERR(recv(k, buf, 10, MSG_PEEK), EIO);
}

static void *late_record(void *arg)
{
	(void)arg;
	sleep_ms(30);
	rec_out(REF_DATA, 7, 0, 100);
	return NULL;
}

/* A peek waits for the first record, and an empty one is none */
static void rx_peek_waits(void)
{
	pthread_t t;

	setup();
	CHECK(!pthread_create(&t, NULL, late_record, NULL));
	EQ(recv(k, buf, 1000, MSG_PEEK), 100);
	pthread_join(t, NULL);
	get(k, 7, 0, 100);
	ERR(recv(k, buf, 10, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
	rec_out(REF_DATA, 7, 0, 0);
	sleep_ms(5);
	ERR(recv(k, buf, 10, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
}

static void *late_records(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i < 4; i++) {
		sleep_ms(20);
		rec_out(REF_DATA, 7, i * 2500, 2500);
	}
	return NULL;
}

static void rx_waitall(void)
{
	pthread_t t;

	setup();
	CHECK(!pthread_create(&t, NULL, late_records, NULL));
	EQ(recv(k, buf, 9000, MSG_WAITALL), 9000);
	SAME(buf, 7, 0, 9000);
	pthread_join(t, NULL);
	get(k, 7, 9000, 1000);
	/* A record of another kind, and the end, come in between */
	rec_out(REF_DATA, 7, 0, 100);
	rec_out(REF_ALERT, 9, 0, 2);
	EQ(recv(k, text, 1000, MSG_WAITALL), 100);
	CHECK(tls_recv_type(k, buf, text, 10, MSG_WAITALL) == 2 && buf[0] == REF_ALERT);
	rec_out(REF_DATA, 7, 0, 100);
	EQ(shutdown(r, SHUT_WR), 0);
	EQ(recv(k, text, 1000, MSG_WAITALL), 100);
	EQ(recv(k, text, 1000, MSG_WAITALL), 0);
	/* SO_RCVLOWAT is what recv() waits for at least */
	setup();
	set_int(k, SOL_SOCKET, SO_RCVLOWAT, 6000);
	CHECK(!pthread_create(&t, NULL, late_records, NULL));
	CHECK(recv(k, buf, 9000, 0) >= 6000);
	SAME(buf, 7, 0, 6000);
	pthread_join(t, NULL);
}

static void rx_trunc(void)
{
	setup();
	rec_out(REF_DATA, 7, 0, 5000);
	rec_out(REF_DATA, 7, 5000, 5000);
	READABLE(k);
	memset(buf, 0xee, 8000);
	EQ(recv(k, buf, 3000, MSG_TRUNC), 3000);
	EQ(buf[0], 0xee);
	EQ(recv(k, NULL, 4000, MSG_TRUNC), 4000);
	get(k, 7, 7000, 3000);
}

static void rx_dontwait(void)
{
	size_t n;

	setup();
	ERR(recv(k, buf, 10, MSG_DONTWAIT), EAGAIN);
	n = seal(REF_DATA, 7, 0, 1000, 0);
	CHECK(write_all(r, rec, n - 1));
	sleep_ms(5);
	ERR(recv(k, buf, 10, MSG_DONTWAIT), EAGAIN);
	nonblock(k, true);
	ERR(recv(k, buf, 10, 0), EAGAIN);
	nonblock(k, false);
	CHECK(write_all(r, rec + n - 1, 1));
	get(k, 7, 0, 1000);
	EQ(setsockopt(k, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_usec = 30000 }, sizeof(struct timeval)), 0);
	ERR(recv(k, buf, 10, 0), EAGAIN);
}

static void rx_splice(void)
{
	size_t seen = 0;
	int p[2];

	setup();
	CHECK(!pipe(p));
	for (uint64_t i = 0; i < 3; i++)
		rec_out(REF_DATA, 7, i * 10000, 10000);
	READABLE(k);
	/* A pipe of one page is full before the record is through */
	CHECK(fcntl(p[1], F_SETPIPE_SZ, 4096) > 0);
	while (seen < 30000) {
		ssize_t n = splice(k, NULL, p[1], NULL, 30000 - seen, SPLICE_F_NONBLOCK);

		CHECK(n > 0);
		ERR(splice(k, NULL, p[1], NULL, 30000, SPLICE_F_NONBLOCK), EAGAIN);
		EQ(read(p[0], buf, sizeof(buf)), n);
		SAME(buf, 7, seen, (size_t)n);
		seen += (size_t)n;
	}
	ERR(splice(k, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
	nonblock(k, true);
	ERR(splice(k, NULL, p[1], NULL, 100, 0), EAGAIN);
	nonblock(k, false);
	CHECK(fcntl(p[1], F_SETPIPE_SZ, 65536) > 0);
	/* Records of other kinds do not go through a pipe, and are not lost */
	rec_out(REF_DATA, 7, 0, 100);
	rec_out(REF_ALERT, 9, 0, 2);
	READABLE(k);
	EQ(splice(k, NULL, p[1], NULL, 50, 0), 50);
	EQ(splice(k, NULL, p[1], NULL, 500, 0), 50);
	ERR(splice(k, NULL, p[1], NULL, 500, 0), EINVAL);
	EQ(tls_recv_type(k, buf, text, 10, 0), 2);
	EQ(buf[0], REF_ALERT);
	EQ(read(p[0], buf, sizeof(buf)), 100);
	SAME(buf, 7, 0, 100);
	/* A control record first, not opened before */
	rec_out(REF_HANDSHAKE, 9, 0, 20);
	READABLE(k);
	ERR(splice(k, NULL, p[1], NULL, 500, 0), EINVAL);
	EQ(tls_recv_type(k, buf, text, 100, 0), 20);
	EQ(buf[0], REF_HANDSHAKE);
	SAME(text, 9, 0, 20);
	EQ(shutdown(r, SHUT_WR), 0);
	EQ(splice(k, NULL, p[1], NULL, 500, 0), 0);
}

static void rx_poll(void)
{
	static const size_t at[] = { 1, 5, 6, 20, 500 };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	size_t n, done = 0;
	int ep;

	setup();
	ep = epoll_create1(0);
	EQ(epoll_ctl(ep, EPOLL_CTL_ADD, k, &ev), 0);
	SILENT(k);
	n = seal(REF_DATA, 7, 0, 1000, 0);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		CHECK(write_all(r, rec + done, at[i] - done));
		done = at[i];
		CHECK(!ready(k, POLLIN, 5));
		EQ(epoll_wait(ep, &ev, 1, 0), 0);
	}
	CHECK(write_all(r, rec + done, n - done));
	READABLE(k);
	EQ(epoll_wait(ep, &ev, 1, 1000), 1);
	get(k, 7, 0, 400);
	CHECK(ready(k, POLLIN, 0));
	get(k, 7, 400, 600);
	CHECK(!ready(k, POLLIN, 0));
	EQ(epoll_wait(ep, &ev, 1, 0), 0);
	/* Two records at once, read one by one */
	rec_out(REF_DATA, 7, 0, 100);
	rec_out(REF_DATA, 7, 100, 100);
	EQ(epoll_wait(ep, &ev, 1, 1000), 1);
	get(k, 7, 0, 100);
	CHECK(ready(k, POLLIN, 0));
	get(k, 7, 100, 100);
	/* A whole record and the beginning of one */
	rec_out(REF_DATA, 7, 0, 100);
	n = seal(REF_DATA, 7, 100, 100, 0);
	CHECK(write_all(r, rec, 10));
	READABLE(k);
	get(k, 7, 0, 100);
	CHECK(!ready(k, POLLIN, 0));
	CHECK(write_all(r, rec + 10, n - 10));
	READABLE(k);
	get(k, 7, 100, 100);
	EQ(shutdown(r, SHUT_WR), 0);
	READABLE(k);
	CHECK(ready(k, POLLRDHUP, 1000));
	EQ(recv(k, buf, 10, 0), 0);
}

static void rx_empty(void)
{
	int p[2];

	setup();
	CHECK(!pipe(p));
	for (int i = 0; i < 3; i++)
		rec_out(REF_DATA, 7, 0, 0);
	rec_out(REF_DATA, 7, 0, 100);
	rec_out(REF_DATA, 7, 0, 0);
	rec_out(REF_DATA, 7, 100, 100);
	sleep_ms(5);
	EQ(recv(k, buf, 1000, MSG_PEEK), 200);
	EQ(recv(k, buf, 1000, 0), 200);
	SAME(buf, 7, 0, 200);
	rec_out(REF_DATA, 7, 0, 0);
	sleep_ms(5);
	ERR(recv(k, buf, 1000, MSG_DONTWAIT), EAGAIN);
	CHECK(!ready(k, POLLIN, 0));
	rec_out(REF_DATA, 7, 0, 0);
	sleep_ms(5);
	ERR(splice(k, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
	rec_out(REF_DATA, 7, 0, 0);
	rec_out(REF_DATA, 7, 0, 10);
	EQ(splice(k, NULL, p[1], NULL, 100, 0), 10);
	/* Of another kind it is a message, if an empty one */
	rec_out(REF_DATA, 7, 0, 10);
	rec_out(REF_ALERT, 7, 0, 0);
	rec_out(REF_DATA, 7, 10, 10);
	EQ(recv(k, buf, 100, MSG_WAITALL), 10);
	ERR(recv(k, buf, 100, 0), EIO);
	EQ(tls_recv_type(k, buf, text, 100, 0), 0);
	EQ(buf[0], REF_ALERT);
	EQ(tls_recv_type(k, buf, text, 100, 0), 10);
	EQ(buf[0], REF_DATA);
	/* Empty records as the last there is */
	rec_out(REF_DATA, 7, 0, 0);
	EQ(shutdown(r, SHUT_WR), 0);
	EQ(recv(k, buf, 100, 0), 0);
	EQ(recv(k, buf, 100, 0), 0);
}

static void rx_padding(void)
{
	static const size_t pads[] = { 0, 1, 15, 127, 128, 129, 255, 1000, 4096 };
	static const size_t lens[] = { 0, 1, 100, 3000, 12000 };
	uint64_t off = 0;
	unsigned int flag;

	for (flag = 0; flag < 2; flag++) {
		long violations = tls_counter("TlsRxNoPadViolation"), retries = tls_counter("TlsDecryptRetry");

		setup();
		EQ(setsockopt(k, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &flag, sizeof(flag)), 0);
		/* Opened where the reader wants it, and then once more: this is what is counted */
		rec_out_pad(REF_DATA, 7, 0, 6000, 3);
		READABLE(k);
		EQ(recv(k, buf, 10000, 0), 6000);
		SAME(buf, 7, 0, 6000);
		EQ(tls_counter("TlsDecryptRetry"), retries + 1);
		EQ(tls_counter("TlsRxNoPadViolation"), violations + (int)flag);
		for (size_t i = 0; i < ARRAY_SIZE(pads); i++) {
			for (size_t j = 0; j < ARRAY_SIZE(lens); j++) {
				rec_out_pad(REF_DATA, 7, off, lens[j], pads[i]);
				EQ(recv(k, buf, REF_MAX, lens[j] ? 0 : MSG_DONTWAIT),
				   lens[j] ? (ssize_t)lens[j] : -1);
				SAME(buf, 7, off, lens[j]);
				off += lens[j];
			}
			rec_out_pad(REF_ALERT, 9, 0, 2, pads[i]);
			EQ(tls_recv_type(k, buf, text, 100, 0), 2);
			EQ(buf[0], REF_ALERT);
		}
		/* As long as a record can be */
		rec_out_pad(REF_DATA, 7, 0, 1, REF_MAX - 1);
		get(k, 7, 0, 1);
		rec_out_pad(REF_DATA, 7, 0, REF_MAX - 10, 10);
		get(k, 7, 0, REF_MAX - 10);
		/* Data that ends with zeros is not padding */
		memset(text, 0, 3000);
		rec_bytes(REF_DATA, text, 3000);
		EQ(recv(k, buf, 5000, 0), 3000);
		CHECK(!memcmp(buf, text, 3000));
		close(k);
		close(r);
	}
	/* Nothing but zeros */
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		size_t n;

		setup();
		rec_out(REF_DATA, 7, 0, 10);
		memset(text, 0, sizeof(text));
		n = ref_seal_inner(&rx, REF_DATA, text, lens[i] + 1, rec);
		CHECK(write_all(r, rec, n));
		get(k, 7, 0, 10);
		READABLE(k);
		ERR(recv(k, buf, sizeof(buf), 0), EBADMSG);
		ERR(recv(k, buf, sizeof(buf), 0), EBADMSG);
		close(k);
		close(r);
	}
}

static void rx_mixed(void)
{
	uint8_t type;

	setup();
	rec_out(REF_DATA, 7, 0, 100);
	rec_out(REF_DATA, 7, 100, 100);
	rec_out(REF_HANDSHAKE, 9, 0, 30);
	rec_out(REF_HANDSHAKE, 9, 30, 30);
	rec_out(REF_ALERT, 10, 0, 2);
	rec_out(REF_DATA, 7, 200, 100);
	sleep_ms(5);
	EQ(recv(k, buf, 1000, 0), 200);
	SAME(buf, 7, 0, 200);
	/* One at a time, in pieces if need be */
	EQ(tls_recv_type(k, &type, buf, 20, 0), 20);
	EQ(type, REF_HANDSHAKE);
	SAME(buf, 9, 0, 20);
	EQ(tls_recv_type(k, &type, buf, 1000, 0), 10);
	EQ(type, REF_HANDSHAKE);
	SAME(buf, 9, 20, 10);
	EQ(tls_recv_type(k, &type, buf, 1000, 0), 30);
	EQ(type, REF_HANDSHAKE);
	SAME(buf, 9, 30, 30);
	EQ(tls_recv_type(k, &type, buf, 1000, MSG_PEEK), 2);
	EQ(type, REF_ALERT);
	EQ(tls_recv_type(k, &type, buf, 1000, MSG_WAITALL), 2);
	EQ(type, REF_ALERT);
	SAME(buf, 10, 0, 2);
	EQ(tls_recv_type(k, &type, buf, 1000, 0), 100);
	EQ(type, REF_DATA);
	SAME(buf, 7, 200, 100);
	/* Large ones, which might have been opened where the reader wants data */
	rec_out(REF_DATA, 7, 0, 16000);
	rec_out(REF_HANDSHAKE, 9, 0, 16000);
	rec_out(REF_DATA, 7, 16000, 16000);
	EQ(recv(k, buf, sizeof(buf), MSG_WAITALL), 16000);
	SAME(buf, 7, 0, 16000);
	ERR(recv(k, buf, sizeof(buf), 0), EIO);
	EQ(tls_recv_type(k, &type, buf, sizeof(buf), 0), 16000);
	EQ(type, REF_HANDSHAKE);
	SAME(buf, 9, 0, 16000);
	get(k, 7, 16000, 16000);
}

/* recvmsg(), and the flags that came back */
static ssize_t recv_flags(size_t len, int flags, int *got)
{
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(k, &msg, flags);

	*got = msg.msg_flags;
	return n;
}

/* Where a record ends, the reader is told */
static void rx_eor(void)
{
	static const size_t lens[] = { 100, 5000 };
	int flags;

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		size_t len = lens[i];

		setup();
		for (uint64_t j = 0; j < 6; j++)
			rec_out(REF_DATA, 7, j * len, len);
		sleep_ms(5);
		/* As a whole; in two pieces; one, and a piece of the next */
		EQ(recv_flags(len, 0, &flags), len);
		CHECK(flags & MSG_EOR);
		EQ(recv_flags(len - 1, MSG_PEEK, &flags), len - 1);
		CHECK(!(flags & MSG_EOR));
		EQ(recv_flags(len, MSG_PEEK, &flags), len);
		CHECK(flags & MSG_EOR);
		EQ(recv_flags(len - 1, 0, &flags), len - 1);
		CHECK(!(flags & MSG_EOR));
		EQ(recv_flags(1, 0, &flags), 1);
		CHECK(flags & MSG_EOR);
		EQ(recv_flags(len + 10, 0, &flags), len + 10);
		CHECK(!(flags & MSG_EOR));
		EQ(recv_flags(len - 10, 0, &flags), len - 10);
		CHECK(flags & MSG_EOR);
		EQ(recv_flags(3 * len, 0, &flags), 2 * len);
		CHECK(flags & MSG_EOR);
	}
}

static void rx_no_cmsg(void)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(1)];
	} control = { 0 };
	struct iovec iov = { buf, 100 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
	uint8_t type;

	setup();
	rec_out(REF_DATA, 7, 0, 10);
	rec_out(REF_ALERT, 9, 0, 2);
	rec_out(REF_DATA, 7, 10, 10);
	get(k, 7, 0, 10);
	READABLE(k);
	for (int i = 0; i < 3; i++)
		ERR(recv(k, buf, 100, i == 1 ? MSG_PEEK : 0), EIO);
	CHECK(ready(k, POLLIN, 0));
	/* Room for a header only, and not even for that */
	msg.msg_controllen = CMSG_LEN(0);
	ERR(recvmsg(k, &msg, 0), EIO);
	msg.msg_controllen = 4;
	ERR(recvmsg(k, &msg, 0), EIO);
	EQ(tls_recv_type(k, &type, buf, 100, 0), 2);
	EQ(type, REF_ALERT);
	SAME(buf, 9, 0, 2);
	/* For data none is needed */
	msg.msg_controllen = 4;
	EQ(recvmsg(k, &msg, 0), 10);
	SAME(buf, 7, 10, 10);
}

/* r writes a record after damage at a byte of it, counted from the end if negative */
static void bad_record(int at)
{
	long errors = tls_counter("TlsDecryptError");
	size_t n;
	int p[2];

	setup();
	rec_out(REF_DATA, 7, 0, 3000);
	n = seal(REF_DATA, 7, 3000, 3000, 0);
	rec[at < 0 ? (long)n + at : at] ^= 1;
	CHECK(write_all(r, rec, n));
	/* Good ones behind it do not make it better */
	rec_out(REF_DATA, 7, 6000, 3000);
	CHECK(!pipe(p));
	READABLE(k);
	EQ(recv(k, buf, 9000, MSG_WAITALL), 3000);
	SAME(buf, 7, 0, 3000);
	READABLE(k);
	ERR(recv(k, buf, 9000, 0), EBADMSG);
	ERR(recv(k, buf, 9000, MSG_DONTWAIT), EBADMSG);
	ERR(recv(k, buf, 10, MSG_PEEK), EBADMSG);
	ERR(splice(k, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), EBADMSG);
	CHECK(ready(k, POLLIN, 0));
	EQ(tls_counter("TlsDecryptError"), errors + 1);
	/* The other direction goes on: there is an alert to send */
	put(7, 0, 2);
	expect(7, 0, 2);
	close(k);
	close(r);
}

static void rx_forged(void)
{
	bad_record(-1);
	bad_record(-16);
	bad_record(-17);
	bad_record(REF_HDR + 8);
	if (!is13())
		bad_record(REF_HDR);		/* the explicit nonce or ciphertext */
	/* Not even whole: too short for a tag, as no forgery may be */
	setup();
	rec[0] = REF_DATA;
	rec[1] = rec[2] = 3;
	rec[3] = 0;
	rec[4] = (uint8_t)(ref_overhead(&rx) - REF_HDR - 1);
	CHECK(write_all(r, rec, 100));
	READABLE(k);
	ERR(recv(k, buf, 100, 0), EBADMSG);
}

static void bad_header(int at, uint8_t value, int want)
{
	size_t n;

	setup();
	rec_out(REF_DATA, 7, 0, 100);
	n = seal(REF_DATA, 7, 100, 1000, 0);
	rec[at] = value;
	if (at == 3)
		rec[4] = 0xff;
	CHECK(write_all(r, rec, n));
	READABLE(k);
	get(k, 7, 0, 100);
	READABLE(k);
	for (int i = 0; i < 3; i++)
		ERR(recv(k, buf, 100, 0), want);
	rec_out(REF_DATA, 7, 0, 100);
	ERR(recv(k, buf, 100, 0), want);
	close(k);
	close(r);
}

static void rx_malformed(void)
{
	size_t n;

	bad_header(1, 2, EINVAL);
	bad_header(2, 4, EINVAL);
	if (is13())
		bad_header(0, REF_ALERT, EINVAL);
	bad_header(3, 0xff, EMSGSIZE);
	bad_header(3, 0x41, EMSGSIZE);
	/* One byte of payload too much, and the most that is allowed */
	for (int over = 0; over < 2; over++) {
		setup();
		n = seal(REF_DATA, 7, 0, REF_MAX + (size_t)over, 0);
		CHECK(write_all(r, rec, n));
		if (over) {
			READABLE(k);
			ERR(recv(k, buf, 20000, 0), EMSGSIZE);
		} else {
			get(k, 7, 0, REF_MAX);
		}
		close(k);
		close(r);
	}
}

static void rx_cut(void)
{
	size_t n;

	setup();
	n = seal(REF_DATA, 7, 0, 1000, 0);
	for (size_t at = 1; at < n; at = at < 10 ? at + 2 : at * 3) {
		setup();
		rec_out(REF_DATA, 7, 0, 10);
		n = seal(REF_DATA, 7, 0, 1000, 0);
		CHECK(write_all(r, rec, at));
		EQ(shutdown(r, SHUT_WR), 0);
		get(k, 7, 0, 10);
		ERR(recv(k, buf, 1000, 0), EBADMSG);
		ERR(recv(k, buf, 1000, 0), EBADMSG);
		close(k);
		close(r);
	}
	/* While somebody waits */
	setup();
	n = seal(REF_DATA, 7, 0, 1000, 0);
	CHECK(write_all(r, rec, n - 1));
	if (!fork()) {
		sleep_ms(30);
		shutdown(r, SHUT_WR);
		_exit(0);
	}
	ERR(recv(k, buf, 1000, 0), EBADMSG);
	/* A reset is not that */
	setup();
	CHECK(write_all(r, rec, 100));
	EQ(setsockopt(r, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
	close(r);
	CHECK(ready(k, POLLHUP | POLLERR, 2000));
	ERR(recv(k, buf, 1000, 0), ECONNRESET);
	/* A read that has data leaves the error to the next one */
	setup();
	rec_out(REF_DATA, 7, 0, 1000);
	READABLE(k);
	EQ(recv(k, buf, 100, 0), 100);
	EQ(setsockopt(r, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
	close(r);
	CHECK(ready(k, POLLHUP | POLLERR, 2000));
	get(k, 7, 100, 400);
	EQ(recv(k, buf, 1000, MSG_WAITALL), 500);
	SAME(buf, 7, 500, 500);
	ERR(recv(k, buf, 1000, 0), ECONNRESET);
}

static void rx_tiny_buffer(void)
{
	size_t total = 0, n;

	setup();
	set_int(k, SOL_SOCKET, SO_RCVBUF, 1);
	for (int i = 0; i < 4; i++) {
		n = ref_seal(&rx, REF_DATA, (ref_fill(text, REF_MAX, 7, (uint64_t)i * REF_MAX), text), REF_MAX, 0,
			     buf + total);
		total += n;
	}
	if (!fork())
		_exit(!write_all(r, buf, total));
	READABLE(k);
	memset(text, 0, sizeof(text));
	EQ(recv(k, text, 4 * REF_MAX, MSG_WAITALL), 4 * REF_MAX);
	SAME(text, 7, 0, 4 * REF_MAX);
	CHECK(wait(&(int){ 0 }) > 0);
}

static void rx_dribble(void)
{
	size_t n;

	setup();
	/* Byte by byte; 20 and more pieces of a record are put together first */
	n = seal(REF_DATA, 7, 0, 150, 0);
	for (size_t i = 0; i < n; i++)
		CHECK(write_all(r, rec + i, 1));
	get(k, 7, 0, 150);
	n = seal(REF_DATA, 7, 0, 16000, 0);
	for (size_t i = 0; i < n; i += 211) {
		CHECK(write_all(r, rec + i, n - i < 211 ? n - i : 211));
		if (i % 1000 == 0)
			sleep_ms(1);
	}
	get(k, 7, 0, 16000);
	/* The header in every possible place */
	for (size_t at = 1; at < 14; at++) {
		n = seal(REF_DATA, 7, 0, 100, 0);
		n += ref_seal(&rx, REF_DATA, text, 100, 0, rec + n);
		CHECK(write_all(r, rec, n / 2 + at));
		get(k, 7, 0, 100);
		CHECK(write_all(r, rec + n / 2 + at, n / 2 - at));
		get(k, 7, 0, 100);
	}
	/* With a reader that waits */
	if (!fork()) {
		n = seal(REF_DATA, 7, 0, 50, 0);
		for (size_t i = 0; i < n; i++) {
			write_all(r, rec + i, 1);
			if (i < 20)
				sleep_ms(1);
		}
		_exit(0);
	}
	EQ(recv(k, buf, 50, 0), 50);
	SAME(buf, 7, 0, 50);
}

/* An urgent byte is one of a record like any other, wherever it is */
static void rx_urgent(void)
{
	for (int inlined = 0; inlined < 2; inlined++) {
		size_t n, at[] = { 0, 1, 4, 5, 100, 0, 0 };

		for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
			setup();
			/* How TCP would treat it, if anybody asked TCP */
			if (!inlined)
				set_int(k, SOL_SOCKET, SO_OOBINLINE, 0);
			n = seal(REF_DATA, 7, 0, 3000, 0);
			at[5] = n - 2;
			at[6] = n - 1;
			CHECK(write_all(r, rec, at[i]));
			EQ(send(r, rec + at[i], 1, MSG_OOB), 1);
			sleep_ms(2);
			if (at[i] < n - 1)
				CHECK(!ready(k, POLLIN | POLLPRI, 0));
			ERR(recv(k, buf, 1, MSG_OOB), EINVAL);
			CHECK(write_all(r, rec + at[i] + 1, n - at[i] - 1));
			READABLE(k);
			CHECK(!ready(k, POLLPRI, 0));
			if (i % 2)
				get(k, 7, 0, 1000);
			else
				EQ(recv(k, buf, 5000, 0), 3000);
			if (i % 2)
				get(k, 7, 1000, 2000);
			CHECK(!ready(k, POLLIN | POLLPRI, 0));
			rec_out(REF_DATA, 7, 0, 3000);
			READABLE(k);
			get(k, 7, 0, 3000);
			EQ(shutdown(r, SHUT_WR), 0);
			EQ(recv(k, buf, 10, 0), 0);
			close(k);
			close(r);
		}
	}
	/* One that waits as the first byte of a record when another is announced: TCP would drop the first */
	setup();
	size_t n = seal(REF_DATA, 7, 0, 3000, 0);

	EQ(send(r, rec, 1, MSG_OOB), 1);
	sleep_ms(2);
	CHECK(write_all(r, rec + 1, 49));
	EQ(send(r, rec + 50, 1, MSG_OOB), 1);
	CHECK(write_all(r, rec + 51, n - 51));
	READABLE(k);
	get(k, 7, 0, 3000);
	/* A record too large for the receive buffer */
	setup();
	set_int(k, SOL_SOCKET, SO_RCVBUF, 1);
	n = seal(REF_DATA, 7, 0, REF_MAX, 0);
	if (!fork())
		_exit(!write_all(r, rec, 1000) || send(r, rec + 1000, 1, MSG_OOB) != 1 ||
		      !write_all(r, rec + 1001, n - 1001));
	READABLE(k);
	get(k, 7, 0, REF_MAX);
	/* Cut short behind it */
	setup();
	n = seal(REF_DATA, 7, 0, 1000, 0);
	CHECK(write_all(r, rec, 99));
	EQ(send(r, rec + 99, 1, MSG_OOB), 1);
	EQ(shutdown(r, SHUT_WR), 0);
	ERR(recv(k, buf, 1000, 0), EBADMSG);
}

/* Nothing can be found behind a header that cannot be; and then the stream ends */
static void rx_lost_end(void)
{
	for (int how = 0; how < 3; how++) {
		setup();
		memset(rec, 0x55, 100);
		CHECK(write_all(r, rec, 100));
		READABLE(k);
		ERR(recv(k, buf, 100, MSG_DONTWAIT), EMSGSIZE);
		/* Told once; but who waits is told again */
		ERR(recv(k, buf, 100, MSG_DONTWAIT), EAGAIN);
		CHECK(!ready(k, POLLIN, 0));
		ERR(recv(k, buf, 100, 0), EMSGSIZE);
		if (how == 0) {
			EQ(shutdown(r, SHUT_WR), 0);
		} else if (how == 1) {
			EQ(shutdown(k, SHUT_RD), 0);
		} else {
			EQ(setsockopt(r, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
			close(r);
		}
		/* What poll reports as readable can be read: nobody may turn in circles between the two */
		READABLE(k);
		for (int i = 0; i < 3; i++)
			ERR(recv(k, buf, 100, MSG_DONTWAIT), EMSGSIZE);
		close(k);
		close(r);
	}
}

/* A reader that wants no more was not cut off by the peer */
static void rx_shut(void)
{
	size_t n;

	setup();
	rec_out(REF_DATA, 7, 0, 100);
	n = seal(REF_DATA, 7, 100, 1000, 0);
	CHECK(write_all(r, rec, 500));
	sleep_ms(2);
	EQ(shutdown(k, SHUT_RD), 0);
	get(k, 7, 0, 100);
	for (int i = 0; i < 3; i++)
		EQ(recv(k, buf, 1000, 0), 0);
	/* What comes all the same can be read, as in TCP */
	CHECK(write_all(r, rec + 500, n - 500));
	READABLE(k);
	get(k, 7, 100, 1000);
	EQ(recv(k, buf, 1000, 0), 0);
	put(7, 0, 100);
	expect(7, 0, 100);
}

/* Pages that TCP has for sockets, all of them; less those that a CPU has in advance */
static long tcp_pages(void)
{
	char line[200];
	long pages = -1;
	FILE *f = fopen("/proc/net/sockstat", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		char *mem = strstr(line, " mem ");

		if (!strncmp(line, "TCP:", 4) && mem)
			pages = atol(mem + 5);
	}
	fclose(f);
	return pages;
}

/* Opened records cost memory like any others; but TCP's window is not theirs */
static void rx_charged(void)
{
	enum { RECORDS = 400, ADVANCE = 2 * 256 };
	const size_t total = (size_t)RECORDS * REF_MAX;
	uint8_t *got = malloc(total);
	uint32_t info[9] = { 0 };
	socklen_t len = sizeof(info);
	long before, with;
	int force = 64 << 20, queued = 0;
	pid_t pid;

	setup();
	EQ(setsockopt(k, SOL_SOCKET, SO_RCVBUFFORCE, &force, sizeof(force)), 0);
	before = tcp_pages();
	pid = fork();
	if (!pid) {
		for (uint64_t i = 0; i < RECORDS; i++)
			rec_out(REF_DATA, 7, i * REF_MAX, REF_MAX);
		_exit(0);
	}
	/* Seen before they are read, so that they are opened to the side, and stay there */
	for (size_t seen = 0; seen < total;) {
		ssize_t n = recv(k, got, total, MSG_PEEK);

		CHECK(n > 0 && (size_t)n >= seen);
		seen = (size_t)n;
		if (seen < total)
			sleep_ms(5);
	}
	CHECK(waitpid(pid, NULL, 0) == pid);
	SAME(got, 7, 0, total);
	EQ(ioctl(k, FIONREAD, &queued), 0);
	EQ(queued, 0);
	with = tcp_pages();
	if (with - before < (long)(total / 4096) - ADVANCE)
		fail(__LINE__, "%ld pages before, %ld with %zu bytes opened", before, with, total);
	EQ(getsockopt(k, SOL_SOCKET, SO_MEMINFO, info, &len), 0);
	EQ(info[SK_MEMINFO_RMEM_ALLOC], 0);
	for (uint64_t off = 0; off < total; off += sizeof(buf))
		get(k, 7, off, total - off < sizeof(buf) ? total - off : sizeof(buf));
	with = tcp_pages();
	if (with - before > ADVANCE)
		fail(__LINE__, "%ld pages before, %ld with nothing left", before, with);
	free(got);
}

/* --- both ends --- */

static void both_ways(void)
{
	const size_t total = 400000;
	struct job there, back;
	size_t seen[2] = { 0 };

	setup_both();
	job_start(&there, k, 7, 0, total);
	job_start(&back, r, 8, 0, total);
	while (seen[0] < total || seen[1] < total) {
		struct pollfd p[2] = { { .fd = k, .events = POLLIN }, { .fd = r, .events = POLLIN } };

		CHECK(poll(p, 2, 10000 * slowness) > 0);
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (!p[i].revents)
				continue;
			n = recv(p[i].fd, buf, 1 + seen[i] % 40000, 0);
			CHECK(n > 0);
			SAME(buf, i ? 7 : 8, seen[i], (size_t)n);
			seen[i] += (size_t)n;
		}
	}
	job_end(&there);
	job_end(&back);
	EQ(shutdown(k, SHUT_WR), 0);
	EQ(recv(r, buf, 10, 0), 0);
	put_flags(r, 8, 0, 100, 0);
	get(k, 8, 0, 100);
}

/* A pair of kTLS sockets with a pipe between two others: all by reference */
static void both_splice(void)
{
	size_t seen = 0;
	int fd, p[2];

	setup_both();
	CHECK(!pipe(p));
	fd = content_file(100000, 8);
	if (!fork()) {
		off_t off = 0;

		while (off < 100000)
			if (sendfile(k, fd, &off, 100000 - (size_t)off) <= 0)
				_exit(1);
		shutdown(k, SHUT_WR);
		_exit(0);
	}
	for (;;) {
		ssize_t n = splice(r, NULL, p[1], NULL, 50000, 0);

		CHECK(n >= 0);
		if (!n)
			break;
		EQ(read(p[0], buf, sizeof(buf)), n);
		SAME(buf, 8, seen, (size_t)n);
		seen += (size_t)n;
	}
	EQ(seen, 100000);
}

static long vmstat(const char *name)
{
	size_t len = strlen(name);
	char line[200];
	long n = -1;
	FILE *f;

	/* What each CPU keeps for itself is added up about once a second, or when this is read */
	f = fopen("/proc/sys/vm/stat_refresh", "r");
	CHECK(f);
	fgetc(f);
	fclose(f);
	f = fopen("/proc/vmstat", "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ' ')
			n = atol(line + len);
	fclose(f);
	return n;
}

/* The caller's pages are let go of, whether they were pinned or taken by reference */
static void pages_let_go(void)
{
	long pinned = vmstat("nr_foll_pin_acquired") - vmstat("nr_foll_pin_released");
	uint8_t *pages = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("content", MFD_ALLOW_SEALING), p[2];
	size_t n;

	CHECK(pages != MAP_FAILED && fd >= 0 && !pipe(p));
	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	/* Sent, and read where they lie; forged; padded */
	ref_fill(pages, 60000, 8, 0);
	EQ(send(k, pages, 60000, 0), 60000);
	expect_stream(8, 0, 60000, REF_MAX);
	rec_out(REF_DATA, 7, 0, 10000);
	READABLE(k);
	EQ(recv(k, pages, 1 << 16, 0), 10000);
	SAME(pages, 7, 0, 10000);
	if (is13()) {
		rec_out_pad(REF_DATA, 7, 0, 10000, 100);
		READABLE(k);
		EQ(recv(k, pages, 1 << 16, 0), 10000);
	}
	/* Only some of it is there */
	EQ(munmap(pages + (1 << 15), 1 << 15), 0);
	ERR(send(k, pages + (1 << 15) - 6000, 10000, 0), EFAULT);
	/* From a file: no reference to its pages is left, or else it could not be sealed */
	ref_fill(buf, 50000, 8, 0);
	EQ(write(fd, buf, 50000), 50000);
	EQ(sendfile(k, fd, &(off_t){ 0 }, 50000), 50000);
	expect_stream(8, 0, 50000, REF_MAX);
	put_flags(k, 8, 0, 100, MSG_MORE);
	EQ(splice(fd, &(off64_t){ 100 }, p[1], NULL, 5000, 0), 5000);
	EQ(splice(p[0], NULL, k, NULL, 5000, SPLICE_F_MORE), 5000);
	put(8, 5100, 100);
	expect_stream(8, 0, 5200, REF_MAX);
	EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	n = seal(REF_DATA, 7, 0, 10000, 0);
	rec[n - 1] ^= 1;
	CHECK(write_all(r, rec, n));
	READABLE(k);
	ERR(recv(k, pages, 1 << 15, 0), EBADMSG);
	/* Others may be at it, but not for long */
	for (int i = 0; vmstat("nr_foll_pin_acquired") - vmstat("nr_foll_pin_released") != pinned; i++) {
		if (i == 100)
			fail(__LINE__, "%ld pages are still pinned", vmstat("nr_foll_pin_acquired") -
			     vmstat("nr_foll_pin_released") - pinned);
		sleep_ms(10);
	}
}

/* --- keys --- */

static const uint8_t key_update[] = { 24, 0, 0, 1, 0 };

static void next_rx(void)
{
	ref_free(&rx);
	ref_derive(&rx, cipher, version, SEED_RX2);
}

static void next_tx(void)
{
	ref_free(&tx);
	ref_derive(&tx, cipher, version, SEED_TX2);
}

static void ku_rx(void)
{
	long received = tls_counter("TlsRxRekeyReceived"), done = tls_counter("TlsRxRekeyOk");
	struct ref_epoch fresh;
	uint8_t type;
	int p[2];

	setup();
	CHECK(!pipe(p));
	rec_out(REF_DATA, 7, 0, 3000);
	rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
	next_rx();
	rec_out(REF_DATA, 7, 3000, 3000);
	sleep_ms(5);
	/* Neither steps over it */
	EQ(recv(k, buf, 10000, MSG_PEEK), 3000);
	EQ(recv(k, buf, 1000, MSG_WAITALL), 1000);
	EQ(splice(k, NULL, p[1], NULL, 10000, 0), 2000);
	ERR(splice(k, NULL, p[1], NULL, 10000, 0), EINVAL);
	ERR(recv(k, buf, 100, 0), EIO);
	EQ(tls_recv_type(k, &type, buf, 100, MSG_PEEK), 5);
	EQ(tls_recv_type(k, &type, buf, 100, 0), 5);
	EQ(type, REF_HANDSHAKE);
	CHECK(!memcmp(buf, key_update, 5));
	EQ(tls_counter("TlsRxRekeyReceived"), received + 1);
	SILENT(k);
	ERR(recv(k, buf, 100, 0), EKEYEXPIRED);
	ERR(recv(k, buf, 100, MSG_DONTWAIT), EKEYEXPIRED);
	ERR(recv(k, buf, 100, MSG_PEEK), EKEYEXPIRED);
	ERR(tls_recv_type(k, &type, buf, 100, MSG_WAITALL), EKEYEXPIRED);
	ERR(splice(k, NULL, p[1], NULL, 100, 0), EKEYEXPIRED);
	rec_out(REF_DATA, 7, 6000, 3000);
	SILENT(k);
	/* The other direction has its own key */
	put(7, 0, 10);
	expect(7, 0, 10);
	ref_derive(&fresh, cipher, version, SEED_RX2);
	EQ(tls_key(k, TLS_RX, &fresh), 0);
	EQ(tls_counter("TlsRxRekeyOk"), done + 1);
	CHECK(ready(k, POLLIN, 0));
	get(k, 7, 3000, 6000);
	rec_out(REF_DATA, 7, 0, 100);
	get(k, 7, 0, 100);
}

static void *expired_reader(void *arg)
{
	(void)arg;
	ERR(recv(k, text + 900000, 100, 0), EIO);
	EQ(tls_recv_type(k, text + 800000, text + 900000, 100, 0), 5);
	ERR(recv(k, text + 900000, 100, 0), EKEYEXPIRED);
	return NULL;
}

/* While a reader waits; and a poller */
static void ku_rx_blocked(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	pthread_t t;
	int ep;

	setup();
	CHECK(!pthread_create(&t, NULL, expired_reader, NULL));
	sleep_ms(10);
	rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
	next_rx();
	rec_out(REF_DATA, 7, 0, 500);
	pthread_join(t, NULL);
	ep = epoll_create1(0);
	EQ(epoll_ctl(ep, EPOLL_CTL_ADD, k, &ev), 0);
	EQ(epoll_wait(ep, &ev, 1, 20), 0);
	rx.seq--;
	EQ(tls_key(k, TLS_RX, &rx), 0);
	rx.seq++;
	EQ(epoll_wait(ep, &ev, 1, 1000), 1);
	get(k, 7, 0, 500);
	/* Again: a key update is no single event */
	rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
	READABLE(k);
	EQ(tls_recv_type(k, text, buf, 100, 0), 5);
	ERR(recv(k, buf, 100, 0), EKEYEXPIRED);
	ref_derive(&rx, cipher, version, 77);
	EQ(tls_key(k, TLS_RX, &rx), 0);
	rec_out(REF_DATA, 7, 0, 500);
	get(k, 7, 0, 500);
	/* The end is behind the next key, too */
	rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
	READABLE(k);
	EQ(tls_recv_type(k, text, buf, 100, 0), 5);
	ref_derive(&rx, cipher, version, 78);
	rec_out(REF_DATA, 7, 0, 500);
	EQ(shutdown(r, SHUT_WR), 0);
	CHECK(ready(k, POLLRDHUP, 1000));
	SILENT(k);
	ERR(recv(k, buf, 100, 0), EKEYEXPIRED);
	rx.seq--;
	EQ(tls_key(k, TLS_RX, &rx), 0);
	rx.seq++;
	CHECK(ready(k, POLLIN, 0));
	get(k, 7, 0, 500);
	CHECK(ready(k, POLLIN, 0));
	EQ(recv(k, buf, 100, 0), 0);
}

/* Messages of a handshake may share a record, and be cut anywhere */
static void ku_framing(void)
{
	static const uint8_t two[] = { 4, 0, 0, 3, 24, 24, 24, 24, 0, 0, 1, 1 };
	static const uint8_t none[] = { 4, 0, 0, 9, 24, 0, 0, 1, 0, 24, 0, 0, 1, 24, 0, 0, 0 };

	setup();
	rec_bytes(REF_HANDSHAKE, none, sizeof(none));
	rec_bytes(REF_HANDSHAKE, two, sizeof(two));
	READABLE(k);
	EQ(tls_recv_type(k, text, buf, 100, 0), sizeof(none));
	setup();
	rec_bytes(REF_HANDSHAKE, two, sizeof(two));
	READABLE(k);
	EQ(tls_recv_type(k, text, buf, 100, 0), sizeof(two));
	next_rx();
	rec_out(REF_DATA, 7, 0, 100);
	ERR(recv(k, buf, 100, 0), EKEYEXPIRED);
	next_rx();
	EQ(tls_key(k, TLS_RX, &rx), 0);
	get(k, 7, 0, 100);
	/* Not a KeyUpdate: a body that looks like one, and other kinds of records */
	setup();
	rec_bytes(REF_HANDSHAKE, none, 13);
	rec_bytes(REF_ALERT, key_update, 5);
	rec_bytes(REF_DATA, key_update, 5);
	READABLE(k);
	EQ(tls_recv_type(k, text, buf, 100, 0), 13);
	EQ(tls_recv_type(k, text, buf, 100, 0), 5);
	EQ(tls_recv_type(k, text, buf, 100, 0), 5);
	EQ(text[0], REF_DATA);
	ERR(recv(k, buf, 100, MSG_DONTWAIT), EAGAIN);
}

static void ku_split(void)
{
	static const uint8_t two[] = { 4, 0, 0, 3, 24, 24, 24, 24, 0, 0, 1, 1 };

	for (size_t at = 1; at < sizeof(two); at++) {
		setup();
		rec_bytes(REF_HANDSHAKE, two, at);
		rec_bytes(REF_HANDSHAKE, two + at, sizeof(two) - at);
		next_rx();
		rec_out(REF_DATA, 7, 0, 100);
		EQ(tls_recv_type(k, text, buf, 100, 0), at);
		if (!ready(k, POLLIN, 1000) || tls_recv_type(k, text, buf, 100, 0) != (ssize_t)(sizeof(two) - at))
			fail(__LINE__, "cut at byte %zu: the second part does not come (errno %d, %s)", at, errno,
			     strerror(errno));
		ERR(recv(k, buf, 100, 0), EKEYEXPIRED);
		next_rx();
		EQ(tls_key(k, TLS_RX, &rx), 0);
		get(k, 7, 0, 100);
		close(k);
		close(r);
	}
}

static void ku_tx(void)
{
	long done = tls_counter("TlsTxRekeyOk");
	int fd;

	setup();
	put_flags(k, 7, 0, 100, MSG_MORE);
	EQ(tls_send_type(k, REF_HANDSHAKE, key_update, 5, 0), 5);
	expect(7, 0, 100);
	EQ(rec_in(text + 500000), 5);
	CHECK(!memcmp(text, key_update, 5));
	EQ(text[500000], REF_HANDSHAKE);
	/* What is held was sent before the key */
	put_flags(k, 7, 0, 200, MSG_MORE);
	fd = content_file(3000, 8);
	{
		struct ref_epoch old = tx;

		tx.ctx = NULL;
		next_tx();
		EQ(tls_key(k, TLS_TX, &tx), 0);
		EQ(tls_counter("TlsTxRekeyOk"), done + 1);
		put(7, 500, 5000);
		EQ(sendfile(k, fd, NULL, 3000), 0);
		EQ(lseek(fd, 0, SEEK_SET), 0);
		EQ(sendfile(k, fd, NULL, 3000), 3000);
		tx = old;
		expect(7, 0, 200);
		tx.ctx = NULL;
		next_tx();
	}
	expect(7, 500, 5000);
	expect_stream(8, 0, 3000, REF_MAX);
	/* Many keys, each for a few records */
	for (uint64_t i = 0; i < 20; i++) {
		ref_free(&tx);
		ref_derive(&tx, cipher, version, 100 + i);
		EQ(tls_key(k, TLS_TX, &tx), 0);
		put(7, i * 10, 10);
		expect(7, i * 10, 10);
	}
}

static void ku_both(void)
{
	uint8_t type;

	setup_both();
	for (uint64_t i = 0; i < 10; i++) {
		put(7, 0, 3000);
		EQ(tls_send_type(k, REF_HANDSHAKE, key_update, 5, 0), 5);
		ref_derive(&tx, cipher, version, 100 + i);
		EQ(tls_key(k, TLS_TX, &tx), 0);
		put(7, 3000, 3000);
		EQ(recv(r, buf, 10000, MSG_WAITALL), 3000);
		EQ(tls_recv_type(r, &type, buf, 100, 0), 5);
		ERR(recv(r, buf, 100, 0), EKEYEXPIRED);
		EQ(tls_key(r, TLS_RX, &tx), 0);
		get(r, 7, 3000, 3000);
	}
}

/* Both directions refuse this, for this reason, and keep their keys */
static void refused(const void *info, socklen_t len, int want)
{
	static uint64_t off;

	for (int dir = 0; dir < 2; dir++) {
		const char *counter = dir ? "TlsRxRekeyError" : "TlsTxRekeyError";
		long errors = tls_counter(counter);

		ERR(setsockopt(k, SOL_TLS, dir ? TLS_RX : TLS_TX, info, len), want);
		/* What is too short to be looked at is no attempt */
		if (len >= sizeof(struct tls_crypto_info) && info != (void *)8)
			EQ(tls_counter(counter), errors + 1);
	}
	put(7, off, 100);
	expect(7, off, 100);
	rec_out(REF_DATA, 7, off, 100);
	get(k, 7, off, 100);
	off += 100;
}

static void rekey_refused(void)
{
	struct ref_epoch e;
	union ref_info info;
	socklen_t len;

	setup();
	/* With data held, which must be neither lost nor sent */
	put_flags(k, 7, 0, 10, MSG_MORE);
	ref_derive(&e, cipher, version, 9);
	len = ref_info(&e, &info);
	if (!is13()) {
		ERR(setsockopt(k, SOL_TLS, TLS_TX, &info, len), EBUSY);
		SILENT(r);
		put(7, 10, 10);
		expect(7, 0, 20);
		refused(&info, len, EBUSY);
		return;
	}
	ERR(setsockopt(k, SOL_TLS, TLS_TX, &info, len - 1), EINVAL);
	SILENT(r);
	put(7, 10, 10);
	expect(7, 0, 20);
	refused(&info, len - 1, EINVAL);
	refused(&info, len + 1, EINVAL);
	refused(&info, 3, EINVAL);
	refused(&info, sizeof(info.info), EINVAL);
	info.info.version = TLS_1_2_VERSION;
	refused(&info, len, EINVAL);
	info.info.version = 0x305;
	refused(&info, len, EINVAL);
	ref_derive(&e, &ref_ciphers[cipher == &ref_ciphers[0]], version, 9);
	len = ref_info(&e, &info);
	refused(&info, len, EINVAL);
	info.info.cipher_type = 999;
	refused(&info, len, EINVAL);
	refused((void *)8, len, EFAULT);
}

/* A first key that is refused leaves the socket as it was */
static void key_refused(void)
{
	union ref_info info;
	socklen_t len;

	setup_tcp();
	EQ(tls_ulp(k), 0);
	len = ref_info(&tx, &info);
	for (int dir = TLS_TX; dir <= TLS_RX; dir++) {
		ERR(setsockopt(k, SOL_TLS, dir, &info, len - 1), EINVAL);
		ERR(setsockopt(k, SOL_TLS, dir, &info, len + 1), EINVAL);
		ERR(setsockopt(k, SOL_TLS, dir, &info, 0), EINVAL);
		ERR(setsockopt(k, SOL_TLS, dir, NULL, 0), EINVAL);
		ERR(setsockopt(k, SOL_TLS, dir, (void *)8, len), EFAULT);
		info.info.version = 0x302;
		ERR(setsockopt(k, SOL_TLS, dir, &info, len), EINVAL);
		info.info.version = version;
		info.info.cipher_type = 0;
		ERR(setsockopt(k, SOL_TLS, dir, &info, len), EINVAL);
		info.info.cipher_type = cipher->type;
	}
	put(7, 0, 100);
	get(r, 7, 0, 100);
	put_flags(r, 7, 0, 100, 0);
	get(k, 7, 0, 100);
	/* And it can still have one; the other direction has to be of the same kind */
	EQ(tls_key(k, TLS_TX, &tx), 0);
	info.info.version = is13() ? TLS_1_2_VERSION : TLS_1_3_VERSION;
	ERR(setsockopt(k, SOL_TLS, TLS_RX, &info, len), EINVAL);
	put(7, 0, 100);
	expect(7, 0, 100);
	put_flags(r, 7, 0, 100, 0);
	get(k, 7, 0, 100);
	EQ(tls_key(k, TLS_RX, &rx), 0);
	rec_out(REF_DATA, 7, 0, 100);
	get(k, 7, 0, 100);
}

/* A sender that waits within TCP: what it goes on with would be in the clear, between records */
static void key_blocked(void)
{
	const size_t total = 300000;
	struct job j;

	setup_tcp();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 10000);
	EQ(tls_ulp(k), 0);
	job_start(&j, k, 7, 0, total);
	for (int quiet = 0; quiet < 5;) {
		quiet = ready(k, POLLOUT, 0) ? 0 : quiet + 1;
		sleep_ms(10);
	}
	ERR(tls_key(k, TLS_TX, &tx), EBUSY);
	/* The other direction is not concerned */
	EQ(tls_key(k, TLS_RX, &rx), 0);
	rec_out(REF_DATA, 7, 0, 100);
	get(k, 7, 0, 100);
	ERR(tls_key(k, TLS_TX, &tx), EBUSY);
	get(r, 7, 0, total);
	job_end(&j);
	/* Nobody waits any more */
	EQ(tls_key(k, TLS_TX, &tx), 0);
	put(7, 0, 100);
	expect(7, 0, 100);
}

/* Records that were there before the key */
static void key_late(void)
{
	struct ref_epoch first;

	setup_tcp();
	first = rx;
	EQ(tls_ulp(k), 0);
	rec_out(REF_DATA, 7, 0, 100);
	rec_out(REF_DATA, 7, 100, 16384);
	sleep_ms(5);
	EQ(tls_key(k, TLS_RX, &first), 0);
	CHECK(ready(k, POLLIN, 0));
	get(k, 7, 0, 16484);
	/* Plain data sent before the key stays plain */
	put(9, 0, 50);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	put(7, 0, 100);
	get(r, 9, 0, 50);
	expect(7, 0, 100);
}

static void wrap(void)
{
	uint8_t key[32], iv[12], salt[4], type;

	setup_tcp();
	ref_fill(key, sizeof(key), 1, 0);
	ref_fill(iv, sizeof(iv), 2, 0);
	ref_fill(salt, sizeof(salt), 3, 0);
	ref_init(&tx, cipher, version, key, iv, salt, UINT64_MAX - 1);
	ref_init(&rx, cipher, version, key, iv, salt, UINT64_MAX - 1);
	EQ(tls_ulp(k), 0);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	EQ(tls_key(k, TLS_RX, &rx), 0);
	for (int i = 0; i < 2; i++) {
		put(7, 0, 100);
		expect(7, 0, 100);
		rec_out(REF_DATA, 7, 0, 100);
		get(k, 7, 0, 100);
	}
	ERR(send(k, buf, 100, MSG_NOSIGNAL), EBADMSG);
	ERR(send(k, buf, 5000, MSG_NOSIGNAL), EBADMSG);
	ERR(send(k, buf, 100, MSG_NOSIGNAL), EBADMSG);
	rec_out(REF_DATA, 7, 0, 100);
	ERR(recv(k, buf, 100, 0), EBADMSG);
	ERR(recv(k, buf, 100, MSG_DONTWAIT), EBADMSG);
	/* Nothing was sealed with a number that was used before */
	SILENT(r);
	/* The first of several records is the last: of the others nothing was taken */
	setup_tcp();
	tx.seq = UINT64_MAX;
	EQ(tls_ulp(k), 0);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	EQ(send(k, buf, 40000, MSG_NOSIGNAL), REF_MAX);
	ERR(send(k, buf, 40000, MSG_NOSIGNAL), EBADMSG);
	EQ(rec_in(&type), REF_MAX);
}

static void options(void)
{
	struct tcp_zerocopy_receive zc = { 0 };
	union ref_info want, got;
	unsigned int flag = 1;
	socklen_t full, len;

	setup_tcp();
	EQ(tls_ulp(k), 0);
	full = ref_info(&tx, &want);
	len = full;
	ERR(getsockopt(k, SOL_TLS, TLS_TX, &got, &len), EBUSY);
	ERR(getsockopt(k, SOL_TLS, TLS_RX, &got, &len), EBUSY);
	ERR(setsockopt(k, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &flag, sizeof(flag)), EINVAL);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	EQ(tls_key(k, TLS_RX, &rx), 0);
	for (int dir = TLS_TX; dir <= TLS_RX; dir++) {
		struct ref_epoch *e = dir == TLS_TX ? &tx : &rx;

		for (int i = 0; i < 3; i++) {
			ref_info(e, &want);
			memset(&got, 0xee, sizeof(got));
			len = full;
			EQ(getsockopt(k, SOL_TLS, dir, &got, &len), 0);
			EQ(len, full);
			/* What a receiver calls the explicit nonce is no more than the one it was told */
			if (dir == TLS_RX)
				memcpy(got.bytes + 4, want.bytes + 4, cipher->iv);
			CHECK(!memcmp(&got, &want, full));
			EQ(got.bytes[full], 0xee);
			if (dir == TLS_TX) {
				put(7, 0, 10);
				expect(7, 0, 10);
				if (!is13() && cipher->salt)
					tx.explicit++;
			} else {
				rec_out(REF_DATA, 7, 0, 10);
				get(k, 7, 0, 10);
			}
		}
		memset(&got, 0xee, sizeof(got));
		len = sizeof(got.info);
		EQ(getsockopt(k, SOL_TLS, dir, &got, &len), 0);
		EQ(got.info.version, version);
		EQ(got.info.cipher_type, cipher->type);
		EQ(got.bytes[sizeof(got.info)], 0xee);
		for (int i = 0; i < 4; i++) {
			len = (socklen_t[]){ 0, sizeof(got.info) - 1, full - 1, full + 1 }[i];
			ERR(getsockopt(k, SOL_TLS, dir, &got, &len), EINVAL);
		}
		len = full;
		ERR(getsockopt(k, SOL_TLS, dir, NULL, &len), EINVAL);
		ERR(getsockopt(k, SOL_TLS, dir, (void *)8, &len), EFAULT);
	}
	/* The flags */
	for (int name = TLS_TX_ZEROCOPY_RO; name <= TLS_RX_EXPECT_NO_PAD; name++) {
		unsigned int v = 7;

		len = sizeof(v);
		if (name == TLS_RX_EXPECT_NO_PAD && !is13()) {
			ERR(getsockopt(k, SOL_TLS, name, &v, &len), EINVAL);
			ERR(setsockopt(k, SOL_TLS, name, &flag, sizeof(flag)), EINVAL);
			continue;
		}
		EQ(getsockopt(k, SOL_TLS, name, &v, &len), 0);
		EQ(v, 0);
		EQ(len, 4);
		EQ(setsockopt(k, SOL_TLS, name, &flag, sizeof(flag)), 0);
		EQ(getsockopt(k, SOL_TLS, name, &v, &len), 0);
		EQ(v, 1);
		v = 2;
		ERR(setsockopt(k, SOL_TLS, name, &v, sizeof(v)), EINVAL);
		ERR(setsockopt(k, SOL_TLS, name, &v, 3), EINVAL);
		len = 3;
		ERR(getsockopt(k, SOL_TLS, name, &v, &len), EINVAL);
		put(7, 0, 5000);
		expect(7, 0, 5000);
		rec_out(REF_DATA, 7, 0, 5000);
		get(k, 7, 0, 5000);
	}
	len = sizeof(got);
	ERR(getsockopt(k, SOL_TLS, 99, &got, &len), ENOPROTOOPT);
	ERR(setsockopt(k, SOL_TLS, 99, &flag, sizeof(flag)), ENOPROTOOPT);
	/* What takes the stream as it is on the wire */
	len = sizeof(zc);
	ERR(getsockopt(k, SOL_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len), EOPNOTSUPP);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, k, 0) == MAP_FAILED && errno == ENODEV);
	memset(&got, 0, sizeof(got));
	len = sizeof(got);
	EQ(getsockopt(k, SOL_TCP, TCP_ULP, &got, &len), 0);
	CHECK(!strcmp((char *)&got, "tls"));
	/* TCP's own options are still there */
	set_int(k, SOL_TCP, TCP_NODELAY, 1);
	len = sizeof(flag);
	EQ(getsockopt(k, SOL_TCP, TCP_NODELAY, &flag, &len), 0);
	EQ(flag, 1);
}

/* --- known answers --- */

static size_t hex(const char *s, uint8_t *out)
{
	size_t n = 0;
	unsigned int v;

	for (; *s; s++) {
		if (*s == ' ')
			continue;
		sscanf(s, "%2x", &v);
		out[n++] = (uint8_t)v;
		s++;
	}
	return n;
}

struct answer {
	uint16_t version, cipher;
	uint64_t seq;
	uint8_t type;
	const char *key, *nonce, *text, *record;
};

/* 'text' as hex; the record whole */
static void known(const struct answer *a, size_t n)
{
	uint8_t key[32], nonce[12], plain[512], want[600], got[600];
	const struct ref_cipher *c = ref_ciphers;
	size_t len = 0, wlen, i;

	while (c->type != a->cipher)
		c++;
	cipher = c;
	version = a->version;
	setup_tcp();
	hex(a->key, key);
	hex(a->nonce, nonce);
	ref_init(&tx, c, version, key, nonce + c->salt, nonce, a->seq);
	EQ(tls_ulp(k), 0);
	EQ(tls_ulp(r), 0);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	EQ(tls_key(r, TLS_RX, &tx), 0);
	for (i = 0; i < n; i++, a++) {
		uint8_t type;
		int wire[2];

		len = hex(a->text, plain);
		wlen = hex(a->record, want);
		/* Sealed: seen on the wire of a second connection in the same state */
		EQ(tcp_pair(AF_INET, wire), 0);
		ref_free(&tx);
		ref_init(&tx, c, version, key, nonce + c->salt, nonce, a->seq);
		EQ(tls_ulp(wire[0]), 0);
		EQ(tls_key(wire[0], TLS_TX, &tx), 0);
		EQ(tls_send_type(wire[0], a->type, plain, len, 0), len);
		CHECK(read_all(wire[1], got, wlen));
		CHECK(!memcmp(got, want, wlen));
		/* And by the reference, which all other tests stand on */
		EQ(ref_seal(&tx, a->type, plain, len, 0, got), wlen);
		CHECK(!memcmp(got, want, wlen));
		close(wire[0]);
		close(wire[1]);
		/* Opened */
		EQ(tcp_pair(AF_INET, wire), 0);
		ref_free(&tx);
		ref_init(&tx, c, version, key, nonce + c->salt, nonce, a->seq);
		EQ(tls_ulp(wire[0]), 0);
		EQ(tls_key(wire[0], TLS_RX, &tx), 0);
		CHECK(write_all(wire[1], want, wlen));
		EQ(tls_recv_type(wire[0], &type, got, sizeof(got), 0), len);
		EQ(type, a->type);
		CHECK(!memcmp(got, plain, len));
		close(wire[0]);
		close(wire[1]);
	}
}

#define COUNT50 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031"

/* RFC 8998 A, for the modes that the reference makes itself */
static void known_8998(void)
{
	static const char key[] = "0123456789abcdeffedcba9876543210", nonce[] = "00001234567800000000abcd",
		aad[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2",
		plain[] = "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"
			  "eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa";
	static const char * const sealed[] = {
		"17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
		"d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d83de3541e4c2b58177e065a9bf7b62ec",
		"48af93501fa62adbcd414cce6034d895dda1bf8f132f042098661572e7483094"
		"fd12e518ce062c98acee28d95df4416bed31a2f04476c18bb40c84a74b97dc5b16842d4fa186f56ab33256971fa110f4",
	};
	uint8_t secret[16], n[12], a[20], p[64], want[80];

	hex(key, secret);
	hex(nonce, n);
	hex(aad, a);
	hex(plain, p);
	for (int ccm = 0; ccm < 2; ccm++) {
		cipher = ref_ciphers;
		while (cipher->type != (ccm ? TLS_CIPHER_SM4_CCM : TLS_CIPHER_SM4_GCM))
			cipher++;
		if (!ref_have(cipher))
			skip("libcrypto has no SM4");
		ref_init(&tx, cipher, TLS_1_3_VERSION, secret, n, n, 0);
		EQ(hex(sealed[ccm], want), sizeof(want));
		memcpy(text, p, sizeof(p));
		CHECK(ref_block_aead(&tx, true, n, a, sizeof(a), text, sizeof(p)));
		CHECK(!memcmp(text, want, sizeof(want)));
		CHECK(ref_block_aead(&tx, false, n, a, sizeof(a), text, sizeof(p)));
		CHECK(!memcmp(text, p, sizeof(p)));
		memcpy(text, want, sizeof(want));
		text[3] ^= 1;
		CHECK(!ref_block_aead(&tx, false, n, a, sizeof(a), text, sizeof(p)));
		ref_free(&tx);
	}
}

/* RFC 8448 3, the application data and alerts of the simple 1-RTT handshake. Server's record 0 is its ticket. */
static void known_8448(void)
{
#define CLIENT	"17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9"
#define SERVER	"9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984"
	static const struct answer client[] = {
		{ TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, 0, REF_DATA, CLIENT, COUNT50,
		  "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62"
		  "974e1f5a6292a2977014bd1e3deae63aeebb21694915e4" },
		{ TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, 1, REF_ALERT, CLIENT, "0100",
		  "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3" },
	};
	static const struct answer server[] = {
		{ TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, 1, REF_DATA, SERVER, COUNT50,
		  "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fc"
		  "c49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d" },
		{ TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, 2, REF_ALERT, SERVER, "0100",
		  "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9" },
	};

	known(client, ARRAY_SIZE(client));
	known(server, ARRAY_SIZE(server));
}

/*
 * There are no published records of TLS 1.2 with these ciphers; but there are published ciphertexts for a key and a
 * nonce that a record can have, and the additional data, the only thing that a record adds, changes only the tag.
 * So all but the last 16 bytes of each record is published, and the tag was computed with libcrypto.
 */
static void known_12(void)
{
#define P_GCM	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"	\
		"b16aedf5aa0de657ba637b391aafd255"
#define P_8439	"4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a20496620"	\
		"4920636f756c64206f66666572"	\
		"20796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c64206265"	\
		"2069742e"
	static const struct answer answers[] = {
		/* The GCM specification, test case 3 */
		{ TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128, 0, REF_DATA,
		  "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", P_GCM,
		  "1703030058 facedbaddecaf888"
		  "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05"
		  "1ba30b396a0aac973d58e091473f5985 58d4b55f952abb8662c4e05d718e5737" },
		/* Test case 15 */
		{ TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_256, 0, REF_DATA,
		  "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", P_GCM,
		  "1703030058 facedbaddecaf888"
		  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
		  "c5f61e6393ba7a0abcc9f662898015ad d77cf7abc850b80da6e9b968de31317a" },
		/* NIST SP 800-38C, example 3 */
		{ TLS_1_2_VERSION, TLS_CIPHER_AES_CCM_128, 0, REF_DATA,
		  "404142434445464748494a4b4c4d4e4f", "101112131415161718191a1b",
		  "202122232425262728292a2b2c2d2e2f3031323334353637",
		  "1703030030 1415161718191a1b e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5 8dc7087bc8ac1e3b5060e2bf2ce6dde9" },
		/* RFC 8439 2.8.2 */
		{ TLS_1_2_VERSION, TLS_CIPHER_CHACHA20_POLY1305, 0, REF_DATA,
		  "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647", P_8439,
		  "1703030082"
		  "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
		  "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
		  "3ff4def08e4b7a9de576d26586cec64b6116 d04c3809c91986bb347e9032c2604761" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		known(&answers[i], 1);
}

/* --- life and death --- */

static void ulp_states(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int l = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	ERR(tls_ulp(fd), ENOTCONN);
	ERR(setsockopt(fd, SOL_TLS, TLS_TX, buf, 40), ENOPROTOOPT);
	EQ(bind(l, (struct sockaddr *)&in, sizeof(in)), 0);
	EQ(listen(l, 1), 0);
	CHECK(tls_ulp(l) == -1);
	setup_tcp();
	EQ(tls_ulp(k), 0);
	ERR(tls_ulp(k), EEXIST);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	ERR(tls_ulp(k), EEXIST);
	put(7, 0, 10);
	expect(7, 0, 10);
	/* With ULP but without keys it is a TCP socket */
	EQ(tls_ulp(r), 0);
	put(7, 10, 10);
	expect(7, 10, 10);
	EQ(recv(r, buf, 10, MSG_DONTWAIT), -1);
	/* Not after the peer has gone */
	setup_tcp();
	close(r);
	sleep_ms(5);
	shutdown(k, SHUT_WR);
	ERR(tls_ulp(k), ENOTCONN);
}

static void disconnect(void)
{
	struct sockaddr sa = { .sa_family = AF_UNSPEC };

	setup();
	put_flags(k, 7, 0, 10, MSG_MORE);
	ERR(connect(k, &sa, sizeof(sa)), EOPNOTSUPP);
	ERR(listen(k, 1), EINVAL);
	put(7, 10, 10);
	expect(7, 0, 20);
	rec_out(REF_DATA, 7, 0, 100);
	get(k, 7, 0, 100);
	/* Nor when the connection is over, one way or the other */
	EQ(setsockopt(r, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
	close(r);
	CHECK(ready(k, POLLHUP, 2000));
	ERR(recv(k, buf, 10, 0), ECONNRESET);
	ERR(connect(k, &sa, sizeof(sa)), EOPNOTSUPP);
	CHECK(listen(k, 1) == -1);
	ERR(send(k, buf, 10, MSG_NOSIGNAL), EPIPE);
	setup();
	close(r);
	EQ(recv(k, buf, 10, 0), 0);
	EQ(shutdown(k, SHUT_RDWR), 0);
	ERR(connect(k, &sa, sizeof(sa)), EOPNOTSUPP);
	CHECK(listen(k, 1) == -1);
}

static void fork_dup(void)
{
	int status, other;

	setup();
	put(7, 0, 100);
	if (!fork()) {
		close(r);
		put(7, 100, 100);
		get(k, 7, 0, 50);
		exit(0);
	}
	rec_out(REF_DATA, 7, 0, 50);
	CHECK(wait(&status) > 0 && !status);
	put(7, 200, 100);
	expect_stream(7, 0, 300, 100);
	other = dup(k);
	CHECK(other >= 0);
	put_flags(other, 7, 0, 100, MSG_MORE);
	EQ(close(other), 0);
	SILENT(r);
	put(7, 100, 10);
	expect(7, 0, 110);
	rec_out(REF_DATA, 7, 0, 50);
	get(k, 7, 0, 50);
}

static void linger(void)
{
	struct linger l = { 1, 0 };

	/* At once, and without a word */
	setup();
	put_flags(k, 7, 0, 100, MSG_MORE);
	EQ(setsockopt(k, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	EQ(close(k), 0);
	READABLE(r);
	ERR(recv(r, buf, 100, 0), ECONNRESET);
	/* With patience */
	setup();
	l.l_linger = 5;
	EQ(setsockopt(k, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	put(7, 0, 20000);
	put_flags(k, 7, 20000, 100, MSG_MORE);
	EQ(close(k), 0);
	expect_stream(7, 0, 20100, REF_MAX);
	expect_end();
}

static void shutdown_held(void)
{
	int err = 1;
	socklen_t len = sizeof(err);

	setup();
	put_flags(k, 7, 0, 100, MSG_MORE);
	EQ(shutdown(k, SHUT_WR), 0);
	expect(7, 0, 100);
	expect_end();
	ERR(send(k, buf, 10, MSG_NOSIGNAL), EPIPE);
	rec_out(REF_DATA, 7, 0, 100);
	get(k, 7, 0, 100);
	/* What was refused is not lost: this is no reason for a reset */
	EQ(close(k), 0);
	sleep_ms(5);
	EQ(getsockopt(r, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	EQ(err, 0);
	setup();
	put_flags(k, 7, 0, 100, MSG_MORE);
	EQ(shutdown(k, SHUT_RDWR), 0);
	expect(7, 0, 100);
	expect_end();
}

static void close_held(void)
{
	setup();
	put_flags(k, 7, 0, 100, MSG_MORE);
	EQ(close(k), 0);
	expect(7, 0, 100);
	expect_end();
	/* The reader comes later */
	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	put(7, 0, 60000);
	EQ(close(k), 0);
	sleep_ms(10);
	expect_stream(7, 0, 60000, REF_MAX);
	expect_end();
	/* Both held and not read: what was not read makes it a reset, as in TCP */
	setup();
	rec_out(REF_DATA, 7, 0, 100);
	sleep_ms(5);
	EQ(close(k), 0);
	READABLE(r);
	ERR(recv(r, buf, 100, 0), ECONNRESET);
	setup();
	rec_out(REF_DATA, 7, 0, 10000);
	get(k, 7, 0, 1000);
	EQ(close(k), 0);
	READABLE(r);
}

static void shutdown_full(void)
{
	size_t taken = 0, held = 0;

	for (int i = 0; i < 3; i++) {
		setup();
		set_int(k, SOL_SOCKET, SO_SNDBUF, 30000);
		set_int(r, SOL_SOCKET, SO_RCVBUF, 30000);
		nonblock(k, true);
		taken = held = 0;
		for (;;) {
			ssize_t n;

			ref_fill(buf, 20000, 7, taken);
			n = send(k, buf, 20000, MSG_NOSIGNAL);
			if (n < 0)
				break;
			taken += (size_t)n;
		}
		EQ(errno, EAGAIN);
		if (i == 1) {
			/* Room for a little, which is held */
			size_t first = rec_in(text + 900000);

			SAME(text, 7, 0, first);
			held = first;
			while (!ready(k, POLLOUT, 0)) {
				first = rec_in(text + 900000);
				SAME(text, 7, held, first);
				held += first;
			}
			put_flags(k, 7, taken, 100, MSG_MORE);
			taken += 100;
		}
		if (i == 2)
			EQ(close(k), 0);
		else
			EQ(shutdown(k, SHUT_WR), 0);
		expect_stream(7, held, taken - held, REF_MAX);
		expect_end();
		if (i < 2)
			close(k);
		close(r);
	}
}

static void ss(void)
{
	struct sockaddr_in in;
	char cmd[128], line[4096], want[200];
	socklen_t len = sizeof(in);
	size_t n;
	FILE *f;

	for (int dir = 0; dir < 4; dir++) {
		/* iproute2 knows few ciphers by name */
		cipher = &ref_ciphers[dir & 1];
		version = dir & 1 ? TLS_1_2_VERSION : TLS_1_3_VERSION;
		setup_v4();
		EQ(tls_ulp(k), 0);
		if (dir)
			EQ(tls_key(k, TLS_TX, &tx), 0);
		if (dir > 1)
			EQ(tls_key(k, TLS_RX, &rx), 0);
		EQ(getsockname(k, (struct sockaddr *)&in, &len), 0);
		snprintf(cmd, sizeof(cmd), "ss -tieHn sport = :%d", ntohs(in.sin_port));
		f = popen(cmd, "r");
		CHECK(f);
		n = fread(line, 1, sizeof(line) - 1, f);
		line[n] = 0;
		if (pclose(f))
			skip("there is no ss");
		if (dir)
			snprintf(want, sizeof(want), "tcp-ulp-tls version: 1.%c cipher: %s rxconf: %s txconf: sw",
				 is13() ? '3' : '2', cipher->name, dir > 1 ? "sw" : "none");
		else
			strcpy(want, "tcp-ulp-tls rxconf: none txconf: none");
		if (!strstr(line, want))
			fail(__LINE__, "no '%s' in '%s'", want, line);
	}
}

/* An attribute of that type among those in @attr, @len bytes, or NULL */
static struct nlattr *diag_attr(struct nlattr *attr, size_t len, int type)
{
	while (len >= NLA_HDRLEN && attr->nla_len >= NLA_HDRLEN && attr->nla_len <= len) {
		size_t n = NLA_ALIGN(attr->nla_len);

		if ((attr->nla_type & NLA_TYPE_MASK) == type)
			return attr;
		if (n > len)
			break;
		len -= n;
		attr = (void *)((char *)attr + n);
	}
	return NULL;
}

static struct nlattr *diag_nested(struct nlattr *attr, int type)
{
	return diag_attr((void *)((char *)attr + NLA_HDRLEN), attr->nla_len - NLA_HDRLEN, type);
}

/* What sock_diag says of TLS on that socket, which ss has words for in part: an attribute of it, or NULL */
static struct nlattr *diag_tls(int fd, int type)
{
	static uint8_t answer[8192] __attribute__((aligned(8)));
	struct {
		struct nlmsghdr nlh;
		struct inet_diag_req_v2 diag;
	} req = {
		.nlh = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.diag = { .sdiag_protocol = IPPROTO_TCP, .idiag_ext = 1 << (INET_DIAG_INFO - 1), .idiag_states = ~0u,
			  .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
	};
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
	struct sockaddr_in6 own, peer;
	socklen_t len = sizeof(own);
	struct nlmsghdr *nlh = (void *)answer;
	struct nlattr *attr;
	ssize_t n;

	EQ(getsockname(fd, (struct sockaddr *)&own, &len), 0);
	len = sizeof(peer);
	EQ(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
	req.diag.sdiag_family = (uint8_t)own.sin6_family;
	req.diag.id.idiag_sport = own.sin6_port;
	req.diag.id.idiag_dport = peer.sin6_port;
	if (own.sin6_family == AF_INET6) {
		memcpy(req.diag.id.idiag_src, &own.sin6_addr, 16);
		memcpy(req.diag.id.idiag_dst, &peer.sin6_addr, 16);
	} else {
		memcpy(req.diag.id.idiag_src, &((struct sockaddr_in *)&own)->sin_addr, 4);
		memcpy(req.diag.id.idiag_dst, &((struct sockaddr_in *)&peer)->sin_addr, 4);
	}
	CHECK(s >= 0);
	EQ(send(s, &req, sizeof(req), 0), sizeof(req));
	n = recv(s, answer, sizeof(answer), 0);
	close(s);
	CHECK(n > 0 && NLMSG_OK(nlh, (size_t)n) && nlh->nlmsg_type == SOCK_DIAG_BY_FAMILY);
	attr = diag_attr((void *)(answer + NLMSG_SPACE(sizeof(struct inet_diag_msg))),
			 nlh->nlmsg_len - NLMSG_SPACE(sizeof(struct inet_diag_msg)), INET_DIAG_ULP_INFO);
	CHECK(attr);
	attr = diag_nested(attr, INET_ULP_INFO_TLS);
	CHECK(attr);
	return diag_nested(attr, type);
}

static void diag_flags(void)
{
	struct nlattr *attr;

	setup();
	attr = diag_tls(k, TLS_INFO_VERSION);
	CHECK(attr && !memcmp(attr + 1, &version, 2));
	attr = diag_tls(k, TLS_INFO_CIPHER);
	CHECK(attr && !memcmp(attr + 1, &cipher->type, 2));
	CHECK(!diag_tls(k, TLS_INFO_ZC_RO_TX) && !diag_tls(k, TLS_INFO_RX_NO_PAD));
	for (int on = 1; on >= 0; on--) {
		set_int(k, SOL_TLS, TLS_TX_ZEROCOPY_RO, on);
		/* Software copies all the same: vm_offload.sh has connections of which this is true */
		CHECK(!diag_tls(k, TLS_INFO_ZC_RO_TX));
		if (!is13())
			continue;
		set_int(k, SOL_TLS, TLS_RX_EXPECT_NO_PAD, on);
		attr = diag_tls(k, TLS_INFO_RX_NO_PAD);
		EQ(!!attr, on);
		/* A flag has no value */
		CHECK(!attr || attr->nla_len == NLA_HDRLEN);
	}
}

static long outer_counter(pid_t pid, const char *name)
{
	char cmd[128], out[32] = "-1";
	FILE *f;

	snprintf(cmd, sizeof(cmd), "sed -n 's/^%s[ \\t]*//p' /proc/%d/net/tls_stat", name, pid);
	f = popen(cmd, "r");
	if (f) {
		if (!fgets(out, sizeof(out), f))
			out[0] = 0;
		pclose(f);
	}
	return atol(out);
}

static void counters(void)
{
	static const char * const zero[] = {
		"TlsCurrTxSw", "TlsCurrRxSw", "TlsCurrTxDevice", "TlsCurrRxDevice", "TlsTxSw", "TlsRxSw", "TlsTxDevice",
		"TlsRxDevice", "TlsDecryptError", "TlsRxDeviceResync", "TlsDecryptRetry", "TlsRxNoPadViolation",
		"TlsRxRekeyOk", "TlsRxRekeyError", "TlsTxRekeyOk", "TlsTxRekeyError", "TlsRxRekeyReceived",
	};
	long outer = tls_counter("TlsTxSw"), curr = tls_counter("TlsCurrTxSw");
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	pid_t parent = getppid();
	int s;

	CHECK(!unshare(CLONE_NEWNET));
	s = socket(AF_INET, SOCK_DGRAM, 0);
	EQ(ioctl(s, SIOCSIFFLAGS, &up), 0);
	for (size_t i = 0; i < ARRAY_SIZE(zero); i++)
		if (tls_counter(zero[i]))
			fail(__LINE__, "%s begins with %ld in a new namespace", zero[i], tls_counter(zero[i]));
	cipher = &ref_ciphers[0];
	version = TLS_1_3_VERSION;
	for (int i = 0; i < 3; i++) {
		setup_v4();
		EQ(tls_ulp(k), 0);
		EQ(tls_counter("TlsCurrTxSw"), i);
		EQ(tls_key(k, TLS_TX, &tx), 0);
		EQ(tls_counter("TlsCurrTxSw"), i + 1);
		EQ(tls_counter("TlsCurrRxSw"), i);
		EQ(tls_key(k, TLS_RX, &rx), 0);
		EQ(tls_counter("TlsCurrRxSw"), i + 1);
		/* Sessions, not records: Documentation/networking/tls.rst */
		EQ(tls_counter("TlsTxSw"), i + 1);
		EQ(tls_counter("TlsRxSw"), i + 1);
		for (int j = 0; j < 5; j++) {
			put(7, 0, 100);
			rec_out(REF_DATA, 7, 0, 100);
			get(k, 7, 0, 100);
		}
		EQ(tls_counter("TlsTxSw"), i + 1);
		EQ(tls_counter("TlsRxSw"), i + 1);
	}
	/* A record that was opened where the reader wants data, and is not that */
	EQ(tls_counter("TlsDecryptRetry"), 0);
	rec_out(REF_ALERT, 7, 0, 5000);
	EQ(tls_recv_type(k, text + 900000, buf, 10000, 0), 5000);
	EQ(tls_counter("TlsDecryptRetry"), 1);
	EQ(tls_counter("TlsDecryptError"), 0);
	/* A second key is no second session */
	next_tx();
	EQ(tls_key(k, TLS_TX, &tx), 0);
	EQ(tls_counter("TlsTxRekeyOk"), 1);
	EQ(tls_counter("TlsCurrTxSw"), 3);
	EQ(tls_counter("TlsTxSw"), 3);
	close(k);
	sleep_ms(20);
	EQ(tls_counter("TlsCurrTxSw"), 2);
	EQ(tls_counter("TlsCurrRxSw"), 2);
	EQ(tls_counter("TlsTxSw"), 3);
	EQ(outer_counter(parent, "TlsTxSw"), outer);
	EQ(outer_counter(parent, "TlsCurrTxSw"), curr);
	/* The namespace goes with two connections in it */
}

static void one_kind(void)
{
	cipher = &ref_ciphers[0];
	version = TLS_1_3_VERSION;
}

/* With the last record number used, and bytes held that there is none for */
static void setup_exhausted(void)
{
	setup_tcp();
	tx.seq = UINT64_MAX;
	EQ(tls_ulp(k), 0);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	EQ(tls_key(k, TLS_RX, &rx), 0);
	put(7, 0, 50);
	put_flags(k, 7, 50, 100, MSG_MORE);
	expect(7, 0, 50);
}

static void trace(bool on)
{
	static const char dir[] = "/sys/kernel/tracing";
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "%s/events/ktls/enable", dir);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		skip("there are no tracepoints");
	CHECK(write(fd, on ? "1" : "0", 1) == 1);
	close(fd);
	snprintf(path, sizeof(path), "%s/trace", dir);
	if (on)
		close(open(path, O_WRONLY | O_TRUNC));
	undo = NULL;
}

static void trace_off(void)
{
	trace(false);
}

/* The trace has this line */
__attribute__((format(printf, 1, 2))) static void traced(const char *fmt, ...)
{
	static char got[1 << 16];
	int fd = open("/sys/kernel/tracing/trace", O_RDONLY);
	char want[300];
	size_t len = 0;
	ssize_t n;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	CHECK(fd >= 0);
	while ((n = read(fd, got + len, sizeof(got) - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	got[len] = 0;
	if (!strstr(got, want))
		fail(__LINE__, "no '%s' in '%.600s'", want, len > 600 ? got + len - 600 : got);
}

static void tracepoints(void)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	unsigned long long first;
	char ports[60];
	size_t n;
	int port;

	one_kind();
	trace(true);
	undo = trace_off;
	setup_v4();
	EQ(getsockname(k, (struct sockaddr *)&in, &len), 0);
	port = ntohs(in.sin_port);
	EQ(getpeername(k, (struct sockaddr *)&in, &len), 0);
	snprintf(ports, sizeof(ports), " sport=%d dport=%d", port, ntohs(in.sin_port));
	EQ(tls_ulp(k), 0);
	first = tx.seq;
	EQ(tls_key(k, TLS_TX, &tx), 0);
	traced("%s tx version=0x304 cipher=51 record=%llu rekey=0 old_records=0", ports, first);
	first = rx.seq;
	EQ(tls_key(k, TLS_RX, &rx), 0);
	traced("%s rx version=0x304 cipher=51 record=%llu rekey=0 old_records=0", ports, first);
	/* Of the records that are opened, one is opened twice, and none is counted twice */
	for (int i = 0; i < 3; i++) {
		put(7, 0, 100);
		expect(7, 0, 100);
		rec_out_pad(REF_DATA, 7, 0, 5000, i == 1);
		READABLE(k);
		EQ(recv(k, buf, 10000, 0), 5000);
	}
	next_tx();
	first = tx.seq;
	EQ(tls_key(k, TLS_TX, &tx), 0);
	traced("%s tx version=0x304 cipher=51 record=%llu rekey=1 old_records=3", ports, first);
	rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
	READABLE(k);
	EQ(tls_recv_type(k, text, buf, 100, 0), 5);
	traced("tls_rekey:");
	traced("%s rx record=%llu err=0", ports, (unsigned long long)rx.seq);
	next_rx();
	rx.version = TLS_1_2_VERSION;
	ERR(tls_key(k, TLS_RX, &rx), EINVAL);
	traced("%s rx record=0 err=-22", ports);
	rx.version = TLS_1_3_VERSION;
	first = rx.seq;
	EQ(tls_key(k, TLS_RX, &rx), 0);
	traced("%s rx version=0x304 cipher=51 record=%llu rekey=1 old_records=4", ports, first);
	n = seal(REF_DATA, 7, 0, 1000, 0);
	rec[n - 1] ^= 1;
	CHECK(write_all(r, rec, n));
	READABLE(k);
	ERR(recv(k, buf, 100, 0), EBADMSG);
	traced("tls_open_error:");
	traced("%s record=%llu len=%zu err=-74", ports, first, n);
	setup_exhausted();
	ERR(send(k, buf, 10, MSG_NOSIGNAL), EBADMSG);
	traced("tls_seal_error:");
	traced(" record=0 len=110 err=-74");
	trace_off();
}

/* A socket outlives the namespace's last process, and ends in softirq */
static void orphan(void)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s;

	cipher = &ref_ciphers[0];
	version = TLS_1_3_VERSION;
	for (int i = 0; i < 5; i++) {
		if (!fork()) {
			CHECK(!unshare(CLONE_NEWNET));
			s = socket(AF_INET, SOCK_DGRAM, 0);
			EQ(ioctl(s, SIOCSIFFLAGS, &up), 0);
			setup_v4();
			EQ(tls_ulp(k), 0);
			EQ(tls_key(k, TLS_TX, &tx), 0);
			EQ(tls_key(k, TLS_RX, &tx), 0);
			set_int(r, SOL_SOCKET, SO_RCVBUF, 1);
			nonblock(k, true);
			while (send(k, buf, 20000, MSG_NOSIGNAL) > 0)
				;
			exit(0);
		}
	}
	while (wait(&s) > 0)
		EQ(s, 0);
}

/* A cipher that the kernel does not have */
static void no_cipher(void)
{
	union ref_info info;
	socklen_t len;

	setup_tcp();
	EQ(tls_ulp(k), 0);
	len = ref_info(&tx, &info);
	ERR(setsockopt(k, SOL_TLS, TLS_TX, &info, len), ENOENT);
	ERR(setsockopt(k, SOL_TLS, TLS_RX, &info, len), ENOENT);
	put(7, 0, 100);
	get(r, 7, 0, 100);
	put_flags(r, 7, 0, 100, 0);
	get(k, 7, 0, 100);
	/* And with another cipher it is a TLS socket */
	cipher = &ref_ciphers[0];
	ref_derive(&tx, cipher, version, SEED_TX);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	put(7, 0, 100);
	expect(7, 0, 100);
}

/* A cipher that has no suite in this version */
static void no_suite(void)
{
	setup_tcp();
	EQ(tls_ulp(k), 0);
	ERR(tls_key(k, TLS_TX, &tx), EINVAL);
	ERR(tls_key(k, TLS_RX, &rx), EINVAL);
	put(7, 0, 100);
	get(r, 7, 0, 100);
}

/* --- signals, timeouts, memory --- */

static void on_signal(int sig)
{
	(void)sig;
}

static volatile bool interrupting;

static void *interrupt(void *arg)
{
	while (interrupting) {
		sleep_ms(3);
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
	}
	return NULL;
}

/* A signal ends a blocking call early, and what it says it has done is what it did */
static void signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	pthread_t self = pthread_self(), t;
	size_t taken = 0;
	bool cut = false;

	setup();
	sigaction(SIGUSR1, &sa, NULL);
	set_int(k, SOL_SOCKET, SO_SNDBUF, 30000);
	set_int(r, SOL_SOCKET, SO_RCVBUF, 30000);
	interrupting = true;
	CHECK(!pthread_create(&t, NULL, interrupt, &self));
	for (int i = 0; i < 30; i++) {
		ssize_t n;

		ref_fill(buf, 100000, 7, taken);
		n = send(k, buf, 100000, MSG_NOSIGNAL);
		if (n < 0) {
			EQ(errno, EINTR);
			cut = true;
			continue;
		}
		cut |= n < 100000;
		taken += (size_t)n;
	}
	/* Receiving */
	ERR(recv(k, buf, 100, 0), EINTR);
	interrupting = false;
	pthread_join(t, NULL);
	CHECK(cut && taken);
	EQ(shutdown(k, SHUT_WR), 0);
	expect_stream(7, 0, taken, REF_MAX);
	expect_end();
	rec_out(REF_DATA, 7, 0, 100);
	get(k, 7, 0, 100);
}

static void send_timeout(void)
{
	size_t taken = 0;
	ssize_t n;

	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 30000);
	set_int(r, SOL_SOCKET, SO_RCVBUF, 30000);
	EQ(setsockopt(k, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){ .tv_usec = 20000 }, sizeof(struct timeval)), 0);
	for (;;) {
		ref_fill(buf, 50000, 7, taken);
		n = send(k, buf, 50000, MSG_NOSIGNAL);
		if (n < 0)
			break;
		taken += (size_t)n;
	}
	EQ(errno, EAGAIN);
	EQ(shutdown(k, SHUT_WR), 0);
	expect_stream(7, 0, taken, REF_MAX);
	expect_end();
}

static int mem_fd = -1;
static char mem_old[100];

static void mem_restore(void)
{
	undo = NULL;
	CHECK(pwrite(mem_fd, mem_old, strlen(mem_old), 0) > 0);
}

/* TCP may use hardly any memory, until mem_restore() */
static void mem_limit(void)
{
	static const char hardly[] = "1 1 1";

	undo = mem_restore;
	CHECK(pwrite(mem_fd, hardly, strlen(hardly), 0) > 0);
}

static void mem_open(void)
{
	mem_fd = open("/proc/sys/net/ipv4/tcp_mem", O_RDWR);
	CHECK(mem_fd >= 0 && read(mem_fd, mem_old, sizeof(mem_old) - 1) > 0);
}

/* --- records that are lost, or late --- */

static void reset_arrives(int fd)
{
	ssize_t n;

	READABLE(fd);
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		;
	if (n != -1 || errno != ECONNRESET)
		fail(__LINE__, "the end is %zd, errno %d (%s), want -1 and ECONNRESET", n, errno, strerror(errno));
}

#define reset_arrives(fd)	(report->caller = __LINE__, reset_arrives(fd))

/* What was taken cannot be sealed: there is no FIN, by which the peer would believe that it has everything */
static void lost_unsealed(void)
{
	int how[] = { SHUT_WR, SHUT_RDWR, -1, -2 };

	for (size_t i = 0; i < ARRAY_SIZE(how); i++) {
		int err = 0;
		socklen_t len = sizeof(err);

		setup_exhausted();
		if (how[i] == -1) {
			/* The sender was told already */
			ERR(send(k, buf, 10, MSG_NOSIGNAL), EBADMSG);
			EQ(shutdown(k, SHUT_WR), 0);
		} else if (how[i] == -2) {
			EQ(close(k), 0);
			reset_arrives(r);
			close(r);
			continue;
		} else {
			rec_out(REF_DATA, 7, 0, 100);
			sleep_ms(2);
			EQ(shutdown(k, how[i]), 0);
		}
		reset_arrives(r);
		/* The program sees why it can no longer send, what came before, and that the connection was ended here */
		ERR(send(k, buf, 10, MSG_NOSIGNAL), EBADMSG);
		CHECK(ready(k, POLLHUP | POLLERR, 1000));
		if (how[i] >= 0)
			get(k, 7, 0, 100);
		EQ(getsockopt(k, SOL_SOCKET, SO_ERROR, &err, &len), 0);
		EQ(err, ECONNABORTED);
		EQ(recv(k, buf, 10, 0), 0);
		ERR(shutdown(k, SHUT_WR), ENOTCONN);
		close(k);
		close(r);
	}
}

/* TCP refuses a sealed record; in TCP's repair mode it does */
static void lost_refused(void)
{
	for (int how = 0; how < 3; how++) {
		one_kind();
		setup();
		put(7, 0, 100);
		expect(7, 0, 100);
		set_int(k, SOL_TCP, TCP_REPAIR, 1);
		ERR(send(k, buf, 100, MSG_NOSIGNAL), EINVAL);
		set_int(k, SOL_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
		/* The peer waits for the number of the lost one: nothing more can be sent, by no key */
		ERR(send(k, buf, 100, MSG_NOSIGNAL), EPIPE);
		ERR(send(k, buf, 100, MSG_NOSIGNAL | MSG_MORE), EPIPE);
		next_tx();
		ERR(tls_key(k, TLS_TX, &tx), EPIPE);
		SILENT(r);
		if (how == 0)
			EQ(shutdown(k, SHUT_WR), 0);
		else if (how == 1)
			EQ(shutdown(k, SHUT_RDWR), 0);
		else
			EQ(close(k), 0);
		reset_arrives(r);
		if (how < 2)
			close(k);
		close(r);
	}
	/* A shutdown of the other direction is none of this */
	setup();
	set_int(k, SOL_TCP, TCP_REPAIR, 1);
	ERR(send(k, buf, 100, MSG_NOSIGNAL), EINVAL);
	set_int(k, SOL_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
	EQ(shutdown(k, SHUT_RD), 0);
	SILENT(r);
}

static void net_up(bool up)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = up ? IFF_UP : 0 };
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	EQ(ioctl(s, SIOCSIFFLAGS, &ifr), 0);
	close(s);
}

/* A record whose beginning had room goes to TCP whole, whatever the send buffer's limits say in its middle */
static void whole(void)
{
	int queued = 0, lowat = 60000;

	one_kind();
	CHECK(!unshare(CLONE_NEWNET));
	for (int i = 0; i < 2; i++) {
		net_up(true);
		setup_v4();
		EQ(tls_ulp(k), 0);
		EQ(tls_key(k, TLS_TX, &tx), 0);
		if (i)
			set_int(k, SOL_SOCKET, SO_SNDBUF, 35000);
		else
			set_int(k, SOL_TCP, TCP_NOTSENT_LOWAT, lowat);
		/* Nothing leaves */
		net_up(false);
		nonblock(k, true);
		for (int n = 1; ; n++) {
			ref_fill(buf, REF_MAX, 7, 0);
			if (send(k, buf, REF_MAX, MSG_NOSIGNAL) < 0) {
				EQ(errno, EAGAIN);
				CHECK(n > 4);
				break;
			}
			EQ(ioctl(k, TIOCOUTQ, &queued), 0);
			EQ(queued, (size_t)n * (REF_MAX + ref_overhead(&tx)));
		}
		CHECK(!ready(k, POLLOUT, 0));
		close(k);
		close(r);
	}
}

/*
 * More memory than CPUs have in advance, which the limit does not see: bytes that do not leave the sender. With whatever
 * end of this process they go.
 */
static void mem_hog(void)
{
	int fd[2], size = 16 << 20;
	struct linger l = { 1, 0 };

	net_up(true);
	EQ(tcp_pair(AF_INET, fd), 0);
	net_up(false);
	for (int i = 0; i < 2; i++)
		EQ(setsockopt(fd[i], SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	EQ(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)), 0);
	for (int i = 0; i < 8; i++)
		EQ(send(fd[0], buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL), sizeof(buf));
	net_up(true);
}

static void stuck_undo(void)
{
	mem_restore();
	/* Connections must be able to end */
	net_up(true);
}

/*
 * A sealed record that TCP has no memory for, for as long as the limit is not put back: in a namespace of its own, where
 * nothing arrives until net_up(true), so that no acknowledgment sets memory free
 */
static void setup_stuck(size_t len)
{
	int queued = 0;

	one_kind();
	if (mem_fd < 0) {
		mem_open();
		CHECK(!unshare(CLONE_NEWNET));
	}
	net_up(true);
	setup_v4();
	EQ(tls_ulp(k), 0);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	EQ(tls_key(k, TLS_RX, &rx), 0);
	/* Or else TCP, under pressure, would make it smaller, and then go beyond it */
	set_int(k, SOL_SOCKET, SO_SNDBUF, 100000);
	put_flags(k, 7, 0, len, MSG_MORE);
	mem_hog();
	net_up(false);
	mem_limit();
	undo = stuck_undo;
	nonblock(k, true);
	EQ(send(k, buf, 0, MSG_NOSIGNAL), 0);
	sleep_ms(50);
	EQ(ioctl(k, TIOCOUTQ, &queued), 0);
	if ((size_t)queued >= len + ref_overhead(&tx))
		fail(__LINE__, "TCP has memory for all of the record");
}

/* What was taken is not lost, whatever else cannot be had */
static void memory(void)
{
	size_t taken = 1000, held = 1000, refused = 0;
	uint64_t seen = 0;

	one_kind();
	mem_open();
	CHECK(!unshare(CLONE_NEWNET));
	mem_hog();
	setup_v4();
	EQ(tls_ulp(k), 0);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	nonblock(k, true);
	put_flags(k, 7, 0, held, MSG_MORE);
	mem_limit();
	for (int i = 0; i < 300; i++) {
		size_t want = (size_t)1 << i % 15;
		ssize_t n;

		ref_fill(buf, want, 7, taken);
		n = send(k, buf, want, MSG_NOSIGNAL | (i % 3 ? MSG_MORE : 0));
		if (n > 0) {
			taken += (size_t)n;
		} else {
			CHECK(errno == EAGAIN || errno == ENOMEM);
			refused++;
		}
	}
	mem_restore();
	nonblock(k, false);
	EQ(shutdown(k, SHUT_WR), 0);
	while (seen < taken) {
		uint8_t type;
		size_t n = rec_in(&type);

		SAME(text, 7, seen, n);
		seen += n;
	}
	expect_end();
	EQ(seen, taken);
	CHECK(refused);
}

/* Neither is the record lost, nor the FIN, and the one is behind the other */
static void late_shutdown(void)
{
	setup_stuck(16000);
	/* Three times, as nothing says that it may be called only once */
	for (int i = 0; i < 3; i++) {
		EQ(shutdown(k, SHUT_WR), 0);
		ERR(send(k, buf, 10, MSG_NOSIGNAL), EPIPE);
	}
	mem_restore();
	net_up(true);
	expect(7, 0, 16000);
	READABLE(r);
	expect_end();
	ERR(send(k, buf, 10, MSG_NOSIGNAL), EPIPE);
	rec_out(REF_DATA, 7, 0, 100);
	nonblock(k, false);
	get(k, 7, 0, 100);
}

/* close() does not wait without SO_LINGER, and does not pretend that all was sent */
static void late_close(void)
{
	setup_stuck(16000);
	net_up(true);
	close(k);
	mem_restore();
	reset_arrives(r);
}

/* The socket's error is for who asks, and not for the worker that tries again */
static void late_error(void)
{
	int err = 0;
	socklen_t len = sizeof(err);

	setup_stuck(16000);
	EQ(setsockopt(r, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
	net_up(true);
	close(r);
	sleep_ms(200);
	mem_restore();
	EQ(getsockopt(k, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	EQ(err, ECONNRESET);
	ERR(send(k, buf, 10, MSG_NOSIGNAL), EPIPE);
}

/* A sender behind it waits, and both records arrive, in order */
static void late_send(void)
{
	struct job j;

	setup_stuck(16000);
	ERR(send(k, buf, 10, MSG_NOSIGNAL), EAGAIN);
	nonblock(k, false);
	job_start(&j, k, 7, 16000, 5000);
	sleep_ms(50);
	mem_restore();
	net_up(true);
	expect(7, 0, 16000);
	expect_stream(7, 16000, 5000, REF_MAX);
	job_end(&j);
}

/* A new key comes when the record of the old one has gone */
static void late_key(void)
{
	struct ref_epoch old, fresh;

	setup_stuck(16000);
	old = tx;
	tx.ctx = NULL;
	next_tx();
	ERR(tls_key(k, TLS_TX, &tx), EAGAIN);
	mem_restore();
	net_up(true);
	nonblock(k, false);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	put(7, 16000, 100);
	fresh = tx;
	tx = old;
	expect(7, 0, 16000);
	tx = fresh;
	expect(7, 16000, 100);
}

/* --- races: two threads and one socket --- */

static volatile bool stop;
static uint64_t race_seed = 1;
static double race_seconds = 1;
static int lag;		/* what threads wait a little by, so that not every run is the same */

static void jitter(void)
{
	uint64_t x = ref_mix(race_seed + (uint64_t)__atomic_fetch_add(&lag, 1, __ATOMIC_RELAXED));

	if (x % 7 == 0)
		usleep((useconds_t)(x >> 8) % 300);
	else if (x % 3 == 0)
		sched_yield();
}

static void *drain(void *arg)
{
	static _Thread_local uint8_t sink[65536];

	while (recv(*(int *)arg, sink, sizeof(sink), 0) > 0)
		;
	return NULL;
}

static void race_kind(void)
{
	cipher = &ref_ciphers[0];
	version = TLS_1_3_VERSION;
}

/* The i-th key */
static void race_key(struct ref_epoch *e, uint64_t i)
{
	ref_free(e);
	ref_derive(e, cipher, version, 1000 + i);
}

static void *race_sender(void *arg)
{
	static _Thread_local uint8_t data[40000];
	uint64_t i = 0;

	while (!stop) {
		ssize_t n = send(*(int *)arg, data, ref_mix(race_seed + i) % sizeof(data),
				 MSG_NOSIGNAL | (i % 5 ? 0 : MSG_MORE));

		if (n < 0 && errno != EAGAIN)
			break;
		i++;
		jitter();
	}
	return NULL;
}

static uint64_t race_keys;

static void *race_tx_keys(void *arg)
{
	struct ref_epoch e = { 0 };

	(void)arg;
	while (!stop) {
		race_key(&e, ++race_keys);
		EQ(tls_key(k, TLS_TX, &e), 0);
		jitter();
	}
	ref_free(&e);
	return NULL;
}

/* Every record opens with the key of then or with the next */
static void race_rekey_send(void)
{
	uint64_t now_key = 0, records = 0;
	pthread_t t[2];
	double end;
	ssize_t n;
	uint8_t type;

	race_kind();
	setup();
	race_key(&tx, 0);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	CHECK(!pthread_create(&t[0], NULL, race_sender, &k));
	CHECK(!pthread_create(&t[1], NULL, race_tx_keys, NULL));
	end = now() + race_seconds;
	while (now() < end || records < 20) {
		n = read_record(r, rec);
		CHECK(n > 0);
		while (ref_open(&tx, rec, (size_t)n, &type, text, NULL) < 0) {
			if (now_key >= __atomic_load_n(&race_keys, __ATOMIC_SEQ_CST))
				fail(__LINE__, "record %llu opens with none of %llu keys", (unsigned long long)records,
				     (unsigned long long)race_keys);
			race_key(&tx, ++now_key);
		}
		records++;
	}
	stop = true;
	CHECK(!pthread_create(&(pthread_t){ 0 }, NULL, drain, &r));
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	CHECK(now_key > 1);
}

static void *race_reader(void *arg)
{
	static _Thread_local uint8_t sink[40000];
	uint8_t type;

	while (!stop) {
		ssize_t n = tls_recv_type(*(int *)arg, &type, sink, sizeof(sink), MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN && errno != EKEYEXPIRED)
			fail(__LINE__, "recv: errno %d (%s)", errno, strerror(errno));
		if (n > 0 && type == REF_DATA)
			for (ssize_t i = 0; i < n; i += 101)
				if (sink[i] != 0x5a)
					fail(__LINE__, "content is not what was sent");
		jitter();
	}
	return NULL;
}

/* Keys come while others read; r goes on once the new key is there */
static void race_rekey_recv(void)
{
	pthread_t t[2];
	double end;

	race_kind();
	setup();
	CHECK(!pthread_create(&t[0], NULL, race_reader, &k));
	CHECK(!pthread_create(&t[1], NULL, race_reader, &k));
	end = now() + race_seconds;
	for (uint64_t i = 0; now() < end; i++) {
		long received = tls_counter("TlsRxRekeyReceived");

		memset(text, 0x5a, 20000);
		for (uint64_t j = 0; j < i % 3; j++)
			rec_bytes(REF_DATA, text, ref_mix(i + j) % REF_MAX);
		rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
		race_key(&rx, i);
		/* Sealed with the new key before the other side has it; not opened before it */
		rec_bytes(REF_DATA, text, 3000);
		for (double late = now() + 5 * slowness; tls_counter("TlsRxRekeyReceived") == received;) {
			CHECK(now() < late);
			usleep(200);
		}
		rx.seq--;
		EQ(tls_key(k, TLS_RX, &rx), 0);
		rx.seq++;
	}
	stop = true;
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
}

static void *blocked_recv(void *arg)
{
	static _Thread_local uint8_t sink[40000];

	while (recv(*(int *)arg, sink, sizeof(sink), 0) > 0)
		;
	return NULL;
}

static void *blocked_send(void *arg)
{
	static _Thread_local uint8_t data[100000];

	while (send(*(int *)arg, data, sizeof(data), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

/* The socket goes while others are in it: by close, by shutdown, by a reset */
static void race_close(void)
{
	double end = now() + race_seconds;

	race_kind();
	for (uint64_t i = 0; now() < end; i++) {
		struct linger l = { 1, 0 };
		pthread_t t[2];

		setup();
		CHECK(!pthread_create(&t[0], NULL, blocked_recv, &k));
		CHECK(!pthread_create(&t[1], NULL, blocked_send, &k));
		usleep((useconds_t)(ref_mix(race_seed + i) % 3000));
		if (i % 2)
			rec_out(REF_DATA, 7, 0, 5000);
		if (i % 3 == 0) {
			setsockopt(r, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
			close(r);
		} else {
			/* What close() alone does to those in the socket is nothing: they hold it */
			if (i % 3 == 1)
				shutdown(k, SHUT_RDWR);
			else
				close(r);
		}
		pthread_join(t[0], NULL);
		pthread_join(t[1], NULL);
		close(k);
		if (i % 3 == 1)
			close(r);
	}
}

/* close() itself, with a process that is inside and is killed there */
static void race_kill(void)
{
	double end = now() + race_seconds;

	race_kind();
	for (uint64_t i = 0; now() < end; i++) {
		pid_t pid[2];

		setup();
		for (int j = 0; j < 2; j++) {
			pid[j] = fork();
			if (!pid[j]) {
				close(r);
				(j ? blocked_recv : blocked_send)(&k);
				_exit(0);
			}
		}
		close(k);
		usleep((useconds_t)(ref_mix(race_seed + i) % 5000));
		if (i % 2)
			rec_out(REF_DATA, 7, 0, 5000);
		for (int j = 0; j < 2; j++)
			kill(pid[j], SIGKILL);
		while (wait(NULL) > 0)
			;
		close(r);
	}
}

static void *race_getsockopt(void *arg)
{
	struct sockaddr_in6 name;

	(void)arg;
	while (!stop) {
		union ref_info info = { 0 };
		socklen_t len = sizeof(struct tls12_crypto_info_aes_gcm_128), l = sizeof(name);
		int fd = *(volatile int *)&k;
		uint16_t limit;

		for (int dir = TLS_TX; dir <= TLS_RX; dir++) {
			if (!getsockopt(fd, SOL_TLS, dir, &info, &len))
				CHECK(info.info.version == TLS_1_3_VERSION && info.bytes[sizeof(info.info)]);
			else
				CHECK(errno == EBUSY || errno == EBADF || errno == ENOPROTOOPT || errno == EOPNOTSUPP);
		}
		l = sizeof(limit);
		getsockopt(fd, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &limit, &l);
	}
	return NULL;
}

/* From nothing to a connection, again and again, while others look */
static void race_setup(void)
{
	double end = now() + race_seconds;
	pthread_t t[2];

	race_kind();
	setup();
	CHECK(!pthread_create(&t[0], NULL, race_getsockopt, NULL));
	CHECK(!pthread_create(&t[1], NULL, race_getsockopt, NULL));
	for (uint64_t i = 0; now() < end; i++) {
		close(k);
		close(r);
		setup_tcp();
		/* Their IVs must not begin with zero, by which a reader knows a key from none */
		tx.iv[0] |= 1;
		rx.iv[0] |= 1;
		EQ(tls_ulp(k), 0);
		jitter();
		EQ(tls_key(k, TLS_TX, &tx), 0);
		EQ(tls_key(k, TLS_RX, &rx), 0);
		for (int j = 0; j < 5; j++) {
			race_key(&tx, i + (uint64_t)j);
			tx.iv[0] |= 1;
			EQ(tls_key(k, TLS_TX, &tx), 0);
		}
		put(7, 0, 100);
		expect(7, 0, 100);
	}
	stop = true;
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
}

/* The ULP arrives while others send, receive and poll */
static void *race_user(void *arg)
{
	uint8_t sink[1000];

	(void)arg;
	while (!stop) {
		int fd = *(volatile int *)&k;

		send(fd, sink, sizeof(sink), MSG_DONTWAIT | MSG_NOSIGNAL);
		recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
		ready(fd, POLLIN | POLLOUT, 0);
	}
	return NULL;
}

static void race_ulp(void)
{
	double end = now() + race_seconds;
	pthread_t t[2];

	race_kind();
	setup();
	CHECK(!pthread_create(&t[0], NULL, race_user, NULL));
	CHECK(!pthread_create(&t[1], NULL, race_user, NULL));
	while (now() < end) {
		close(k);
		close(r);
		setup_tcp();
		rec_out(REF_DATA, 7, 0, 3000);
		jitter();
		EQ(tls_ulp(k), 0);
		EQ(tls_key(k, TLS_RX, &rx), 0);
		EQ(tls_key(k, TLS_TX, &tx), 0);
		jitter();
	}
	stop = true;
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
}

struct writer {
	uint8_t letter;
	uint32_t count;
};

/* Chunks of one letter with its number in front, each a record */
static void *race_writer(void *arg)
{
	struct writer *w = arg;
	static _Thread_local uint8_t chunk[9000];

	while (!stop) {
		size_t len = 10 + ref_mix(race_seed + w->letter + w->count) % (sizeof(chunk) - 10);

		memset(chunk, w->letter, len);
		memcpy(chunk, &w->count, 4);
		EQ(send(k, chunk, len, MSG_NOSIGNAL), len);
		w->count++;
		jitter();
	}
	return NULL;
}

/* Two senders: each send is a record of its own, none is lost, and each sender's are in order */
static void race_senders(void)
{
	struct writer w[2] = { { 'a', 0 }, { 'b', 0 } };
	uint32_t seen[2] = { 0 };
	double end;
	pthread_t t[2];
	uint8_t type;

	race_kind();
	setup();
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&t[i], NULL, race_writer, &w[i]));
	end = now() + race_seconds;
	for (;;) {
		uint32_t number;
		size_t n;
		int i;

		if (now() > end && !stop) {
			stop = true;
			/* They may be waiting for room */
			set_int(k, SOL_SOCKET, SO_SNDBUF, 1 << 20);
		}
		/* A writer counts after it has sent */
		if (!ready(r, POLLIN, 50)) {
			if (stop && seen[0] + seen[1] == w[0].count + w[1].count)
				break;
			continue;
		}
		n = rec_in(&type);
		i = text[n - 1] - 'a';
		CHECK(i == 0 || i == 1);
		memcpy(&number, text, 4);
		EQ(number, seen[i]);
		EQ(n, 10 + ref_mix(race_seed + w[i].letter + number) % 8990);
		for (size_t j = 4; j < n; j++)
			CHECK(text[j] == w[i].letter);
		seen[i]++;
	}
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	CHECK(seen[0] && seen[1]);
}

static uint64_t race_sum;

/* Takes whole records: each is 3000 bytes that begin with its number */
static void *race_taker(void *arg)
{
	uint8_t got[3000];
	uint32_t number;

	(void)arg;
	for (;;) {
		ssize_t n = recv(k, got, sizeof(got), MSG_WAITALL);

		if (!n)
			return NULL;
		EQ(n, sizeof(got));
		memcpy(&number, got, 4);
		SAME(got + 4, 7, number, sizeof(got) - 4);
		__atomic_fetch_add(&race_sum, number + 1, __ATOMIC_SEQ_CST);
	}
}

static void race_receivers(void)
{
	uint64_t want = 0;
	pthread_t t[2];
	double end;

	race_kind();
	setup();
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&t[i], NULL, race_taker, NULL));
	end = now() + race_seconds;
	for (uint32_t i = 0; now() < end; i++) {
		memcpy(text, &i, 4);
		ref_fill(text + 4, 2996, 7, i);
		rec_bytes(REF_DATA, text, 3000);
		want += i + 1;
	}
	EQ(shutdown(r, SHUT_WR), 0);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	EQ(race_sum, want);
}

/* What is sent before a shutdown arrives, to the last byte of what send() said */
static void *race_counted(void *arg)
{
	static _Thread_local uint8_t data[30000];
	size_t *sent = arg;

	for (;;) {
		size_t want = 1 + ref_mix(race_seed + *sent) % (sizeof(data) - 1);
		ssize_t n;

		ref_fill(data, want, 7, *sent);
		n = send(k, data, want, MSG_NOSIGNAL | (want % 3 ? 0 : MSG_MORE));
		if (n < 0) {
			EQ(errno, EPIPE);
			return NULL;
		}
		*sent += (size_t)n;
	}
}

static void *race_shutdown_later(void *arg)
{
	usleep((useconds_t)(ref_mix(race_seed + *(uint64_t *)arg) % 20000));
	shutdown(k, SHUT_WR);
	return NULL;
}

static void race_shutdown(void)
{
	double end = now() + race_seconds;

	race_kind();
	for (uint64_t i = 0; now() < end; i++) {
		size_t sent = 0, seen = 0;
		pthread_t t[2];

		setup();
		CHECK(!pthread_create(&t[0], NULL, race_counted, &sent));
		CHECK(!pthread_create(&t[1], NULL, race_shutdown_later, &i));
		for (;;) {
			ssize_t n = read_record(r, rec);
			uint8_t type;

			if (!n)
				break;
			CHECK(n > 0);
			n = ref_open(&tx, rec, (size_t)n, &type, text, NULL);
			CHECK(n >= 0);
			SAME(text, 7, seen, (size_t)n);
			seen += (size_t)n;
		}
		pthread_join(t[0], NULL);
		pthread_join(t[1], NULL);
		/* A send that was cut by the shutdown may have failed although something of it went */
		if (seen < sent || seen > sent + 30000)
			fail(__LINE__, "round %llu: %zu bytes arrived of %zu", (unsigned long long)i, seen, sent);
		close(k);
		close(r);
	}
}

/* --- many --- */

static int many_count = 32;

static void *many_send(void *arg)
{
	static _Thread_local uint8_t data[20000];
	int fd = *(int *)arg;

	for (uint64_t i = 0; i < 10; i++) {
		size_t len = 1 + ref_mix(i) % (sizeof(data) - 1);

		ref_fill(data, len, (uint64_t)fd, i);
		EQ(send(fd, data, len, MSG_NOSIGNAL), len);
	}
	return NULL;
}

static void *many_recv(void *arg)
{
	static _Thread_local uint8_t data[20000];
	int *fd = arg;

	for (uint64_t i = 0; i < 10; i++) {
		size_t len = 1 + ref_mix(i) % (sizeof(data) - 1);

		EQ(recv(fd[1], data, len, MSG_WAITALL), len);
		SAME(data, (uint64_t)fd[0], i, len);
	}
	return NULL;
}

static void many(void)
{
	static int fd[256][2];
	static pthread_t t[256][2];

	for (int i = 0; i < many_count; i++) {
		cipher = &ref_ciphers[i % 4];
		version = i / 4 % 2 ? TLS_1_2_VERSION : TLS_1_3_VERSION;
		setup_both();
		fd[i][0] = k;
		fd[i][1] = r;
	}
	for (int i = 0; i < many_count; i++) {
		CHECK(!pthread_create(&t[i][0], NULL, many_recv, fd[i]));
		CHECK(!pthread_create(&t[i][1], NULL, many_send, fd[i]));
	}
	for (int i = 0; i < many_count; i++) {
		pthread_join(t[i][0], NULL);
		pthread_join(t[i][1], NULL);
	}
}

/* Processes that end in the middle of it, with the cipher at work */
static void many_killed(void)
{
	for (int round = 0; round < 3; round++) {
		pid_t pid = fork();

		if (!pid) {
			many();
			_exit(0);
		}
		sleep_ms(30 + 60 * round);
		kill(pid, SIGKILL);
		wait(NULL);
	}
	many();
}

/* --- allocation failures --- */

static enum { FAIL_NONE, FAIL_NTH, FAIL_ALL } alloc_mode;
static int alloc_fd = -1;
static bool alloc_hit;		/* an allocation failed */
static int alloc_refused;	/* so often was an operation refused */

static void alloc_set(unsigned int n)
{
	char s[16];
	int len = snprintf(s, sizeof(s), "%u", n);

	if (alloc_mode != FAIL_NONE)
		EQ(pwrite(alloc_fd, s, (size_t)len, 0), len);
}

static void alloc_open(void)
{
	const char *file = alloc_mode == FAIL_NTH ? "/proc/thread-self/fail-nth" : "/proc/thread-self/make-it-fail";

	if (alloc_mode == FAIL_NONE)
		return;
	alloc_fd = open(file, O_RDWR);
	CHECK(alloc_fd >= 0);
}

static void alloc_arm(void)
{
	/* The pages to receive into are there, and ours alone: the failures are not for page faults */
	for (size_t i = 0; i < sizeof(buf); i += 4096)
		*(volatile uint8_t *)&buf[i] = buf[i];
	alloc_set(alloc_mode == FAIL_NTH ? report->nth : 1);
}

static void alloc_disarm(void)
{
	char left[16] = "";

	if (alloc_mode == FAIL_NTH)
		CHECK(pread(alloc_fd, left, sizeof(left) - 1, 0) > 0);
	alloc_hit = alloc_mode == FAIL_NTH && !atoi(left);
	alloc_set(0);
}

/* One call of the kernel with failures. What it returns may depend on them, what is lost may not. */
#define ARMED(call) ({										\
	long long armed_got__;									\
	int armed_errno__;									\
	report->line = __LINE__;								\
	alloc_arm();										\
	errno = 0;										\
	armed_got__ = (long long)(call);							\
	armed_errno__ = errno;									\
	alloc_disarm();										\
	errno = armed_errno__;									\
	armed_got__;										\
})

/* In a new process, which has not yet a page to take memory of its sockets' from */
#define ARMED_AFRESH(call) ({									\
	pid_t afresh__ = fork();								\
												\
	if (!afresh__) {									\
		alloc_open();									\
		report->ret = ARMED(call);							\
		report->err = errno;								\
		report->hit = alloc_hit;							\
		_exit(0);									\
	}											\
	CHECK(waitpid(afresh__, NULL, 0) == afresh__);						\
	alloc_hit = report->hit;								\
	errno = report->err;									\
	report->ret;										\
})

/* The call said no, which it may do for one reason only, and only if there is one */
static void refusal(int line)
{
	if (errno != ENOMEM && errno != EAGAIN && errno != ENOBUFS)
		fail(line, "refused for another reason: errno %d (%s)", errno, strerror(errno));
	if (alloc_mode == FAIL_NONE || (alloc_mode == FAIL_NTH && !alloc_hit))
		fail(line, "refused for no reason: errno %d (%s)", errno, strerror(errno));
	alloc_refused++;
}

#define REFUSAL()	refusal(__LINE__)

/* Both directions work, and this is the end of the connection */
static void alloc_alive(void)
{
	put(9, 0, 5000);
	expect(9, 0, 5000);
	rec_out(REF_DATA, 9, 0, 5000);
	get(k, 9, 0, 5000);
	EQ(close(k), 0);
	expect_end();
	close(r);
}

static void alloc_ulp(void)
{
	setup_tcp();
	if (ARMED(tls_ulp(k))) {
		REFUSAL();
		put(7, 0, 100);
		get(r, 7, 0, 100);
		EQ(tls_ulp(k), 0);
	}
	EQ(tls_key(k, TLS_TX, &tx), 0);
	EQ(tls_key(k, TLS_RX, &rx), 0);
	alloc_alive();
}

/* A first key that cannot be had leaves the socket as it was */
static void alloc_first_tx(void)
{
	setup_tcp();
	EQ(tls_ulp(k), 0);
	if (ARMED(tls_key(k, TLS_TX, &tx))) {
		REFUSAL();
		put(7, 0, 100);
		get(r, 7, 0, 100);
		EQ(tls_key(k, TLS_TX, &tx), 0);
	}
	EQ(tls_key(k, TLS_RX, &rx), 0);
	alloc_alive();
}

static void alloc_first_rx(void)
{
	setup_tcp();
	EQ(tls_ulp(k), 0);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	rec_out(REF_DATA, 7, 0, 3000);
	ref_free(&rx);
	ref_derive(&rx, cipher, version, SEED_RX);
	if (ARMED(tls_key(k, TLS_RX, &rx))) {
		REFUSAL();
		EQ(tls_key(k, TLS_RX, &rx), 0);
	}
	rx.seq++;
	rx.explicit++;
	get(k, 7, 0, 3000);
	alloc_alive();
}

/* With data held, which belongs to the old key whatever happens */
static void alloc_rekey_tx(void)
{
	long done = tls_counter("TlsTxRekeyOk"), errors = tls_counter("TlsTxRekeyError");
	struct ref_epoch fresh;

	setup();
	put_flags(k, 7, 0, 3000, MSG_MORE);
	ref_derive(&fresh, cipher, version, SEED_TX2);
	if (ARMED_AFRESH(tls_key(k, TLS_TX, &fresh))) {
		REFUSAL();
		EQ(tls_counter("TlsTxRekeyError"), errors + 1);
		put(7, 3000, 100);
		expect_stream(7, 0, 3100, 3100);
		EQ(tls_key(k, TLS_TX, &fresh), 0);
	} else {
		expect(7, 0, 3000);
	}
	EQ(tls_counter("TlsTxRekeyOk"), done + 1);
	next_tx();
	alloc_alive();
}

static void alloc_rekey_rx(void)
{
	long errors = tls_counter("TlsRxRekeyError");
	struct ref_epoch fresh;
	uint8_t type;

	setup();
	rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
	next_rx();
	rec_out(REF_DATA, 7, 0, 3000);
	READABLE(k);
	EQ(tls_recv_type(k, &type, buf, 100, 0), 5);
	ref_derive(&fresh, cipher, version, SEED_RX2);
	if (ARMED(tls_key(k, TLS_RX, &fresh))) {
		REFUSAL();
		EQ(tls_counter("TlsRxRekeyError"), errors + 1);
		ERR(recv(k, buf, 100, 0), EKEYEXPIRED);
		EQ(tls_key(k, TLS_RX, &fresh), 0);
	}
	get(k, 7, 0, 3000);
	alloc_alive();
}

/* Without a KeyUpdate; a key that is refused leaves the old one */
static void alloc_early_rx(void)
{
	struct ref_epoch fresh;

	setup();
	ref_derive(&fresh, cipher, version, SEED_RX2);
	if (ARMED(tls_key(k, TLS_RX, &fresh))) {
		REFUSAL();
		rec_out(REF_DATA, 7, 0, 3000);
		get(k, 7, 0, 3000);
		EQ(tls_key(k, TLS_RX, &fresh), 0);
	}
	next_rx();
	alloc_alive();
}

/* The first send with failures, and whatever is left without */
static void send_armed(uint64_t seed, uint64_t off, size_t len, int flags)
{
	size_t done = 0;

	ref_fill(buf, len, seed, off);
	for (bool first = true; done < len; first = false) {
		ssize_t n;

		if (first)
			n = (ssize_t)ARMED_AFRESH(send(k, buf, len, flags | MSG_NOSIGNAL));
		else
			n = send(k, buf + done, len - done, (flags & ~MSG_DONTWAIT) | MSG_NOSIGNAL);
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		/* Who waits for memory gets it */
		CHECK(first && n == -1 && flags & MSG_DONTWAIT);
		REFUSAL();
	}
}

static size_t alloc_size;

static void alloc_send_flags(int flags)
{
	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	/* Not at the beginning of a page of the allocator's */
	put(7, 0, 3001);
	expect(7, 0, 3001);
	send_armed(7, 0, alloc_size, flags);
	expect_stream(7, 0, alloc_size, REF_MAX);
	alloc_alive();
}

static void alloc_send(void)
{
	alloc_send_flags(MSG_DONTWAIT);
}

/* Not if there is none ever */
static void alloc_send_wait(void)
{
	if (alloc_mode == FAIL_ALL)
		skip("it would wait for as long");
	alloc_send_flags(0);
}

/* What is held stays held: neither lost nor sent early */
static void alloc_held(void)
{
	ssize_t n;

	setup();
	put_flags(k, 7, 0, 1000, MSG_MORE);
	ref_fill(buf, alloc_size, 7, 1000);
	n = (ssize_t)ARMED_AFRESH(send(k, buf, alloc_size, MSG_DONTWAIT | MSG_NOSIGNAL));
	if (n < 0) {
		REFUSAL();
		SILENT(r);
		put(7, 1000, alloc_size);
	} else {
		EQ(n, alloc_size);
	}
	expect(7, 0, 1000 + alloc_size);
	alloc_alive();
}

/* More to hold */
static void alloc_hold(void)
{
	ssize_t n;

	setup();
	put_flags(k, 7, 0, 1000, MSG_MORE);
	ref_fill(buf, alloc_size, 7, 1000);
	n = (ssize_t)ARMED_AFRESH(send(k, buf, alloc_size, MSG_DONTWAIT | MSG_MORE | MSG_NOSIGNAL));
	if (n < 0) {
		REFUSAL();
		n = 0;
	}
	SILENT(r);
	put(7, 1000 + (uint64_t)n, 100);
	expect(7, 0, 1000 + (size_t)n + 100);
	alloc_alive();
}

static void alloc_sendfile(void)
{
	int fd = content_file(alloc_size, 8);
	off_t off = 0;

	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	nonblock(k, true);
	if (ARMED(sendfile(k, fd, &off, alloc_size)) < 0)
		REFUSAL();
	CHECK(off >= 0 && off <= (off_t)alloc_size);
	nonblock(k, false);
	while (off < (off_t)alloc_size)
		CHECK(sendfile(k, fd, &off, alloc_size - (size_t)off) > 0);
	expect_stream(8, 0, alloc_size, REF_MAX);
	close(fd);
	alloc_alive();
}

/* Pages by reference behind bytes that are held */
static void alloc_splice_to(void)
{
	ssize_t n;
	int p[2];

	setup();
	CHECK(!pipe(p));
	put_flags(k, 7, 0, 1000, MSG_MORE);
	ref_fill(buf, 9000, 7, 1000);
	EQ(write(p[1], buf, 9000), 9000);
	nonblock(k, true);
	n = (ssize_t)ARMED_AFRESH(splice(p[0], NULL, k, NULL, 9000, SPLICE_F_NONBLOCK));
	if (n < 0) {
		REFUSAL();
		SILENT(r);
		n = 0;
	}
	nonblock(k, false);
	for (; n < 9000; n += splice(p[0], NULL, k, NULL, 9000 - (size_t)n, 0))
		CHECK(n >= 0);
	expect_stream(7, 0, 10000, REF_MAX);
	close(p[0]);
	close(p[1]);
	alloc_alive();
}

/* Held data goes before it, in a record of its own */
static void alloc_control(void)
{
	ssize_t n;

	setup();
	put_flags(k, 7, 0, 1000, MSG_MORE);
	ref_fill(buf, 2, 9, 0);
	n = (ssize_t)ARMED_AFRESH(tls_send_type(k, REF_ALERT, buf, 2, MSG_DONTWAIT));
	if (n < 0) {
		REFUSAL();
		n = tls_send_type(k, REF_ALERT, buf, 2, 0);
	}
	EQ(n, 2);
	expect(7, 0, 1000);
	expect_type(REF_ALERT, 9, 0, 2);
	alloc_alive();
}

/* The first recv with failures, and whatever is left without */
static void recv_armed(uint64_t seed, size_t len, size_t at_once, int flags)
{
	size_t done = 0;

	for (bool first = true; done < len; first = false) {
		size_t want = len - done < at_once ? len - done : at_once;
		ssize_t n;

		n = first ? (ssize_t)ARMED(recv(k, buf, want, flags)) : recv(k, buf, want, 0);
		if (n > 0) {
			SAME(buf, seed, done, (size_t)n);
			done += (size_t)n;
			continue;
		}
		CHECK(first && n == -1);
		REFUSAL();
		/* It is still there, and poll says so */
		READABLE(k);
	}
}

static void alloc_recv(void)
{
	setup();
	rec_out(REF_DATA, 7, 0, alloc_size);
	READABLE(k);
	recv_armed(7, alloc_size, sizeof(buf), 0);
	alloc_alive();
}

/* Opened into the kernel's memory first */
static void alloc_recv_part(void)
{
	setup();
	rec_out(REF_DATA, 7, 0, alloc_size);
	READABLE(k);
	recv_armed(7, alloc_size, alloc_size / 3, 0);
	alloc_alive();
}

static void alloc_recv_all(void)
{
	setup();
	for (uint64_t i = 0; i < 5; i++)
		rec_out(REF_DATA, 7, i * 5000, 5000);
	READABLE(k);
	sleep_ms(5);
	recv_armed(7, 25000, sizeof(buf), MSG_DONTWAIT);
	alloc_alive();
}

static void alloc_peek(void)
{
	ssize_t n;

	setup();
	for (uint64_t i = 0; i < 3; i++)
		rec_out(REF_DATA, 7, i * 5000, 5000);
	READABLE(k);
	n = (ssize_t)ARMED(recv(k, buf, 15000, MSG_PEEK));
	if (n < 0)
		REFUSAL();
	else
		SAME(buf, 7, 0, (size_t)n);
	get(k, 7, 0, 15000);
	alloc_alive();
}

static void alloc_trunc(void)
{
	ssize_t n;

	setup();
	rec_out(REF_DATA, 7, 0, 5000);
	READABLE(k);
	n = (ssize_t)ARMED(recv(k, NULL, 3000, MSG_TRUNC));
	if (n < 0) {
		REFUSAL();
		n = 0;
	}
	get(k, 7, (uint64_t)n, 5000 - (size_t)n);
	alloc_alive();
}

static void alloc_padded(void)
{
	setup();
	rec_out_pad(REF_DATA, 7, 0, 6000, 300);
	READABLE(k);
	recv_armed(7, 6000, sizeof(buf), 0);
	alloc_alive();
}

static void alloc_recv_control(void)
{
	uint8_t type;
	ssize_t n;

	setup();
	rec_out(REF_HANDSHAKE, 9, 0, alloc_size);
	READABLE(k);
	n = (ssize_t)ARMED(tls_recv_type(k, &type, buf, sizeof(buf), 0));
	if (n < 0) {
		REFUSAL();
		READABLE(k);
		n = tls_recv_type(k, &type, buf, sizeof(buf), 0);
	}
	EQ(n, alloc_size);
	EQ(type, REF_HANDSHAKE);
	SAME(buf, 9, 0, alloc_size);
	alloc_alive();
}

/* In more pieces than can be listed */
static void alloc_pieces(void)
{
	size_t n;

	setup();
	n = seal(REF_DATA, 7, 0, 16000, 0);
	for (size_t i = 0; i < n; i += 211)
		CHECK(write_all(r, rec + i, n - i < 211 ? n - i : 211));
	READABLE(k);
	recv_armed(7, 16000, sizeof(buf), 0);
	alloc_alive();
}

/* Larger than the receive buffer */
static void alloc_staged(void)
{
	size_t total = 0;
	pid_t pid;

	setup();
	set_int(k, SOL_SOCKET, SO_RCVBUF, 1);
	for (uint64_t i = 0; i < 3; i++) {
		ref_fill(text, REF_MAX, 7, i * REF_MAX);
		total += ref_seal(&rx, REF_DATA, text, REF_MAX, 0, buf + total);
	}
	pid = fork();
	if (!pid)
		_exit(!write_all(r, buf, total));
	READABLE(k);
	recv_armed(7, 3 * REF_MAX, sizeof(buf), MSG_WAITALL);
	EQ(waitpid(pid, NULL, 0), pid);
	alloc_alive();
}

/* Nothing is never the answer: it would be the end of the stream */
static void alloc_splice_from(void)
{
	size_t done = 0;
	int p[2];

	setup();
	CHECK(!pipe(p));
	rec_out(REF_DATA, 7, 0, alloc_size);
	READABLE(k);
	for (bool first = true; done < alloc_size; first = false) {
		ssize_t n;

		if (first)
			n = (ssize_t)ARMED_AFRESH(splice(k, NULL, p[1], NULL, alloc_size, 0));
		else
			n = splice(k, NULL, p[1], NULL, alloc_size - done, 0);
		if (n > 0) {
			EQ(read(p[0], buf, sizeof(buf)), n);
			SAME(buf, 7, done, (size_t)n);
			done += (size_t)n;
			continue;
		}
		EQ(n, -1);
		CHECK(first);
		REFUSAL();
		READABLE(k);
	}
	close(p[0]);
	close(p[1]);
	alloc_alive();
}

/* TCP sends FIN or reset once; if it found no memory for that, nobody tells the peer, and that is its end of the test */
static bool told(void)
{
	bool failed = alloc_mode == FAIL_ALL || (alloc_mode == FAIL_NTH && alloc_hit);

	if (!failed || ready(r, POLLIN, 1000))
		return true;
	alloc_refused++;
	close(r);
	return false;
}

/* All of it or a reset: the peer must not take a part for all */
static void alloc_close(void)
{
	ssize_t n;
	uint8_t type;

	setup();
	if (alloc_size)
		put_flags(k, 7, 0, alloc_size, MSG_MORE);
	EQ(ARMED(close(k)), 0);
	if (!told())
		return;
	while (alloc_size) {
		n = read_record(r, rec);
		if (n < 0) {
			EQ(errno, ECONNRESET);
			alloc_refused++;
			close(r);
			return;
		}
		n = ref_open(&tx, rec, (size_t)n, &type, text, NULL);
		EQ(n, alloc_size);
		SAME(text, 7, 0, (size_t)n);
		if (!told())
			return;
		break;
	}
	expect_end();
	close(r);
}

static void alloc_shutdown(void)
{
	setup();
	put_flags(k, 7, 0, 1000, MSG_MORE);
	EQ(ARMED_AFRESH(shutdown(k, SHUT_WR)), 0);
	expect(7, 0, 1000);
	/* It gives up if there is no memory for long, and then nobody says that this was all */
	if (!told()) {
		EQ(close(k), 0);
		return;
	}
	expect_end();
	rec_out(REF_DATA, 9, 0, 5000);
	get(k, 9, 0, 5000);
	close(k);
	close(r);
}

static void alloc_namespace(void)
{
	if (ARMED(unshare(CLONE_NEWNET))) {
		REFUSAL();
		return;
	}
	EQ(tls_counter("TlsTxSw"), 0);
}

/* It asks a socket without its lock. Its processes have what we have, which is not so with fail-nth. */
static void alloc_ss(void)
{
	char line[4096];
	FILE *f;

	setup();
	alloc_arm();
	f = popen("ss -tieHn state established 2>/dev/null", "r");
	alloc_disarm();
	CHECK(f);
	line[fread(line, 1, sizeof(line) - 1, f)] = 0;
	CHECK(!pclose(f));
	CHECK(strstr(line, "tcp-ulp-tls"));
	alloc_alive();
}

enum { EACH = 1, NONE_TO_FAIL = 2, ALLOC13 = 4 };

static const struct {
	const char *name;
	void (*fn)(void);
	size_t size;
	int when;
} alloc_tests[] = {
	{ "TCP_ULP", alloc_ulp, 0, 0 },
	{ "TLS_TX", alloc_first_tx, 0, EACH },
	{ "TLS_RX with a record there", alloc_first_rx, 0, EACH },
	{ "the next TLS_TX with data held", alloc_rekey_tx, 0, EACH | ALLOC13 },
	{ "the next TLS_RX", alloc_rekey_rx, 0, EACH | ALLOC13 },
	{ "the next TLS_RX without a KeyUpdate", alloc_early_rx, 0, ALLOC13 },
	{ "send 1 byte", alloc_send, 1, 0 },
	{ "send 1000 bytes", alloc_send, 1000, EACH },
	{ "send 16 KB", alloc_send, 16384, EACH },
	{ "send 100 KB", alloc_send, 100000, 0 },
	{ "send 1000 bytes, and wait", alloc_send_wait, 1000, 0 },
	{ "send 16 KB, and wait", alloc_send_wait, 16384, 0 },
	{ "send 100 KB, and wait", alloc_send_wait, 100000, EACH },
	{ "send behind data held", alloc_held, 3000, EACH },
	{ "send much behind data held", alloc_held, 15000, EACH },
	{ "hold more", alloc_hold, 3000, 0 },
	{ "hold much more", alloc_hold, 10000, 0 },
	{ "sendfile 10 KB", alloc_sendfile, 10000, EACH },
	{ "sendfile 60 KB", alloc_sendfile, 60000, 0 },
	{ "splice to the socket behind data held", alloc_splice_to, 0, EACH },
	{ "control record behind data held", alloc_control, 0, EACH },
	{ "recv 100 bytes", alloc_recv, 100, EACH },
	{ "recv 16 KB, direct", alloc_recv, 16384, EACH },
	{ "recv a third of 300 bytes", alloc_recv_part, 300, 0 },
	{ "recv a third of 16 KB", alloc_recv_part, 16384, EACH },
	{ "recv several", alloc_recv_all, 0, EACH },
	{ "peek", alloc_peek, 0, 0 },
	{ "recv with MSG_TRUNC", alloc_trunc, 0, 0 },
	{ "recv, padded", alloc_padded, 0, ALLOC13 },
	{ "recv a control record", alloc_recv_control, 20, 0 },
	{ "recv a large control record", alloc_recv_control, 16000, 0 },
	{ "recv a record in many pieces", alloc_pieces, 0, EACH },
	{ "recv records larger than the buffer", alloc_staged, 0, EACH },
	{ "splice 100 bytes from the socket", alloc_splice_from, 100, 0 },
	{ "splice 16 KB from the socket", alloc_splice_from, 16384, EACH },
	{ "close", alloc_close, 0, 0 },
	{ "close with data held", alloc_close, 1000, EACH },
	{ "shutdown with data held", alloc_shutdown, 0, EACH },
	{ "a new namespace", alloc_namespace, 0, 0 },
	{ "ss", alloc_ss, 0, NONE_TO_FAIL },
};

static size_t alloc_test;

/* Those behind the hundredth at growing distances */
static void alloc_run(void)
{
	unsigned int n, failed = 0, last = 0;

	alloc_open();
	alloc_size = alloc_tests[alloc_test].size;
	if (alloc_mode != FAIL_NTH) {
		/* The allocator's pages are elsewhere each time */
		for (n = 0; n < 4; n++)
			alloc_tests[alloc_test].fn();
		return;
	}
	for (n = 1; ; n += 1 + (n > 100) * n / 8) {
		report->nth = n;
		alloc_tests[alloc_test].fn();
		if (!alloc_hit)
			break;
		failed++;
		last = n;
	}
	report->nth = 0;
	snprintf(report->note, sizeof(report->note), "%u failed, the last was number %u; %d times it was refused", failed,
		 last, alloc_refused);
	if (!failed != !!(alloc_tests[alloc_test].when & NONE_TO_FAIL))
		fail(__LINE__, "%u allocations failed", failed);
}

/* Whether the kernel has this cipher */
static bool have_cipher(void)
{
	int fd[2];
	bool have;

	if (tcp_pair(AF_INET, fd) || tls_ulp(fd[0])) {
		printf("Bail out! no TLS on this machine: %s\n", strerror(errno));
		exit(1);
	}
	ref_derive(&tx, cipher, version, 1);
	have = !tls_key(fd[0], TLS_TX, &tx);
	close(fd[0]);
	close(fd[1]);
	return have;
}

/*
 * Whether a cipher allocates in a way of its own. That depends on its mode, on whether the kernel has the mode for all
 * ciphers or for this one, and on the nonce, which in TLS 1.3 is the same for all of them; not on the size of its key.
 */
static bool alloc_apart(void)
{
	static const char *const apart[] = { "aes-gcm-128", "aes-ccm-128", "chacha20-poly1305", "sm4-gcm" };

	if (!is13())
		return !strcmp(cipher->name, "aes-gcm-128") || !strcmp(cipher->name, "chacha20-poly1305") ||
		       !strcmp(cipher->name, "aria-gcm-128");
	for (unsigned int i = 0; i < ARRAY_SIZE(apart); i++) {
		if (!strcmp(cipher->name, apart[i]))
			return true;
	}
	return false;
}

/* All with the first cipher and version, most with the others */
static void run_alloc(void)
{
	const char *only = getenv("ONLY");
	char name[128];

	for (unsigned int c = 0; c < ref_nciphers; c++) {
		for (version = TLS_1_3_VERSION; version >= TLS_1_2_VERSION; version--) {
			cipher = &ref_ciphers[c];
			if (!(is13() ? cipher->tls13 : cipher->tls12) || !alloc_apart() || !have_cipher())
				continue;
			for (alloc_test = 0; alloc_test < ARRAY_SIZE(alloc_tests); alloc_test++) {
				int when = alloc_tests[alloc_test].when;

				snprintf(name, sizeof(name), "TLS %s %s: %s", is13() ? "1.3" : "1.2", cipher->name,
					 alloc_tests[alloc_test].name);
				if ((only && !strstr(name, only)) || (when & ALLOC13 && !is13()) ||
				    ((c || !is13()) && !(when & EACH)))
					continue;
				run(name, alloc_run, 120);
			}
		}
	}
}

/* --- traffic while allocations fail --- */

#define STARVED	12	/* connections */

static struct starved {
	pthread_t sender, receiver;
	int fd[2];
	uint64_t seed;
	struct ref_epoch tx;
} starved[STARVED];

/* For want of memory only, and then once more */
static bool starved_again(long ret)
{
	if (ret >= 0)
		return false;
	CHECK(errno == ENOMEM || errno == EAGAIN || errno == ENOBUFS);
	__atomic_fetch_add(&alloc_refused, 1, __ATOMIC_RELAXED);
	return true;
}

#define STARVED_ROUNDS	30

static size_t starved_len(const struct starved *s, uint64_t i)
{
	return 1 + ref_mix(s->seed + i) % 20000;
}

static void starved_key(struct starved *s, int fd, int name, uint64_t i)
{
	struct ref_epoch e;

	ref_derive(&e, s->tx.cipher, s->tx.version, s->seed + i);
	while (starved_again(tls_key(fd, name, &e)))
		;
}

/* A key update in every fifth round of TLS 1.3 */
static bool starved_update(const struct starved *s, uint64_t i)
{
	return s->tx.version == TLS_1_3_VERSION && i % 5 == 4;
}

static void *starved_sender(void *arg)
{
	static _Thread_local uint8_t data[20000];
	struct starved *s = arg;

	for (uint64_t i = 0; i < STARVED_ROUNDS; i++) {
		size_t len = starved_len(s, i), done = 0;
		int flags = MSG_NOSIGNAL | (i % 3 || i == STARVED_ROUNDS - 1 ? 0 : MSG_MORE);
		ssize_t n;

		ref_fill(data, len, s->seed, i * 20000);
		while (done < len) {
			n = send(s->fd[0], data + done, len - done, flags);
			if (!starved_again(n))
				done += (size_t)n;
		}
		if (!starved_update(s, i))
			continue;
		do
			n = tls_send_type(s->fd[0], REF_HANDSHAKE, key_update, sizeof(key_update), 0);
		while (starved_again(n));
		EQ(n, sizeof(key_update));
		starved_key(s, s->fd[0], TLS_TX, i);
	}
	return NULL;
}

static void *starved_receiver(void *arg)
{
	static _Thread_local uint8_t data[20000];
	struct starved *s = arg;
	uint8_t type;

	for (uint64_t i = 0; i < STARVED_ROUNDS; i++) {
		size_t len = starved_len(s, i), done = 0;
		ssize_t n;

		while (done < len) {
			n = tls_recv_type(s->fd[1], &type, data, len - done, i % 2 ? MSG_WAITALL : 0);
			if (starved_again(n))
				continue;
			CHECK(n && type == REF_DATA);
			SAME(data, s->seed, i * 20000 + done, (size_t)n);
			done += (size_t)n;
		}
		if (!starved_update(s, i))
			continue;
		do
			n = tls_recv_type(s->fd[1], &type, data, sizeof(data), 0);
		while (starved_again(n));
		EQ(n, sizeof(key_update));
		EQ(type, REF_HANDSHAKE);
		starved_key(s, s->fd[1], TLS_RX, i);
	}
	return NULL;
}

static void starved_traffic(void)
{
	for (unsigned int i = 0; i < STARVED; i++) {
		struct starved *s = &starved[i];

		cipher = &ref_ciphers[i % 4];
		version = i % 3 ? TLS_1_3_VERSION : TLS_1_2_VERSION;
		s->seed = race_seed * 1000 + i * 100;
		while (starved_again(tcp_pair(i % 2 ? AF_INET : AF_INET6, s->fd)))
			;
		ref_derive(&s->tx, cipher, version, s->seed);
		for (int j = 0; j < 2; j++) {
			while (starved_again(tls_ulp(s->fd[j])))
				;
			while (starved_again(tls_key(s->fd[j], j ? TLS_RX : TLS_TX, &s->tx)))
				;
		}
	}
	for (unsigned int i = 0; i < STARVED; i++) {
		CHECK(!pthread_create(&starved[i].receiver, NULL, starved_receiver, &starved[i]));
		CHECK(!pthread_create(&starved[i].sender, NULL, starved_sender, &starved[i]));
	}
	for (unsigned int i = 0; i < STARVED; i++) {
		pthread_join(starved[i].sender, NULL);
		pthread_join(starved[i].receiver, NULL);
	}
	snprintf(report->note, sizeof(report->note), "%d calls were refused", alloc_refused);
}

/* --- ciphers by another implementation --- */

/* From linux/cryptouser.h, which not every system has */
struct crypto_user_alg {
	char name[64], driver[64], module[64];
	uint32_t type, mask, refcnt, flags;
};

#define CRYPTO_MSG_NEWALG	0x10
#define CRYPTO_MSG_DELALG	0x11
#define CRYPTOCFGA_PRIORITY	1
#define CRYPTO_TYPE_AEAD	3
#define CRYPTO_TYPE_MASK	0xf

static int crypto_user(int what, const char *driver, uint32_t priority)
{
	struct {
		struct nlmsghdr nlh;
		struct crypto_user_alg alg;
		struct nlattr attr;
		uint32_t priority;
	} req = {
		.nlh = { .nlmsg_type = (uint16_t)what, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL },
		.alg = { .type = CRYPTO_TYPE_AEAD, .mask = CRYPTO_TYPE_MASK },
		.attr = { .nla_len = sizeof(struct nlattr) + 4, .nla_type = CRYPTOCFGA_PRIORITY },
		.priority = priority,
	};
	struct {
		struct nlmsghdr nlh;
		struct nlmsgerr err;
		char rest[1024];
	} reply;
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_CRYPTO);

	req.nlh.nlmsg_len = what == CRYPTO_MSG_NEWALG ? sizeof(req) : NLMSG_LENGTH(sizeof(req.alg));
	strncpy(req.alg.driver, driver, sizeof(req.alg.driver) - 1);
	if (s < 0 || send(s, &req, req.nlh.nlmsg_len, 0) < 0 || recv(s, &reply, sizeof(reply), 0) < 0) {
		perror("ktls_test: NETLINK_CRYPTO");
		return 1;
	}
	if (reply.nlh.nlmsg_type != NLMSG_ERROR || reply.err.error) {
		fprintf(stderr, "ktls_test: %s: %s\n", driver, strerror(-reply.err.error));
		return 1;
	}
	close(s);
	return 0;
}

/* --- the list --- */

enum {
	DATA = 1,	/* moves data: for every implementation of the ciphers */
	ONLY13 = 2,
	ONCE = 4,	/* chooses version and cipher itself */
	RACE = 8,
	MANY = 16,
};

static const struct test {
	const char *name;
	void (*fn)(void);
	int when;
} tests[] = {
	{ "the reference's SM4 against RFC 8998, A", known_8998, ONCE },
	{ "the records of RFC 8448, 3", known_8448, ONCE | DATA },
	{ "published ciphertexts as records of TLS 1.2", known_12, ONCE | DATA },
	{ "send: sizes", tx_sizes, DATA },
	{ "send: iovecs", tx_iovec, 0 },
	{ "send: MSG_MORE, MSG_EOR", tx_more, DATA },
	{ "send: non-blocking", tx_nonblock, DATA },
	{ "sendfile", tx_sendfile, DATA },
	{ "splice to the socket", tx_splice, DATA },
	{ "send: control records", tx_control, DATA },
	{ "send: sendmmsg", tx_batch, DATA },
	{ "send: TLS_TX_MAX_PAYLOAD_LEN", tx_limit, 0 },
	{ "recv: pieces of records", rx_pieces, DATA },
	{ "recv: several records", rx_several, DATA },
	{ "recv: iovecs", rx_iovec, DATA },
	{ "recv: MSG_PEEK", rx_peek, DATA },
	{ "recv: MSG_PEEK waits", rx_peek_waits, 0 },
	{ "recv: MSG_WAITALL, SO_RCVLOWAT", rx_waitall, DATA },
	{ "recv: MSG_TRUNC", rx_trunc, 0 },
	{ "recv: non-blocking", rx_dontwait, 0 },
	{ "splice from the socket", rx_splice, DATA },
	{ "poll, epoll: whole records only", rx_poll, DATA },
	{ "recv: empty records", rx_empty, DATA },
	{ "recv: padding", rx_padding, ONLY13 | DATA },
	{ "recv: records of several types", rx_mixed, DATA },
	{ "recv: control record without room for its type", rx_no_cmsg, 0 },
	{ "recv: MSG_EOR", rx_eor, 0 },
	{ "recv: forged records", rx_forged, DATA },
	{ "recv: malformed and oversized records", rx_malformed, 0 },
	{ "recv: the stream ends within a record", rx_cut, 0 },
	{ "recv: records larger than the receive buffer", rx_tiny_buffer, DATA },
	{ "recv: records byte by byte", rx_dribble, DATA },
	{ "recv: urgent bytes", rx_urgent, 0 },
	{ "recv: the stream ends behind a bad header", rx_lost_end, 0 },
	{ "recv: shut down within a record", rx_shut, 0 },
	{ "recv: memory of opened records", rx_charged, ONCE },
	{ "both ends", both_ways, DATA },
	{ "both ends: sendfile and splice", both_splice, DATA },
	{ "the caller's pages", pages_let_go, 0 },
	{ "KeyUpdate received", ku_rx, ONLY13 | DATA },
	{ "KeyUpdate received by who waits", ku_rx_blocked, ONLY13 },
	{ "KeyUpdate among other messages", ku_framing, ONLY13 },
	{ "KeyUpdate cut over two records", ku_split, ONLY13 },
	{ "KeyUpdate sent", ku_tx, ONLY13 | DATA },
	{ "KeyUpdate, both ends", ku_both, ONLY13 | DATA },
	{ "keys refused: a second one", rekey_refused, 0 },
	{ "keys refused: the first one", key_refused, 0 },
	{ "keys refused: a sender waits within TCP", key_blocked, 0 },
	{ "keys that come after the records", key_late, 0 },
	{ "the last record number", wrap, DATA },
	{ "socket options", options, 0 },
	{ "the states in which TLS can begin", ulp_states, ONCE },
	{ "disconnect and listen", disconnect, 0 },
	{ "fork and dup", fork_dup, 0 },
	{ "SO_LINGER", linger, 0 },
	{ "close with data held", close_held, DATA },
	{ "shutdown with data held", shutdown_held, DATA },
	{ "close and shutdown with a full send buffer", shutdown_full, DATA },
	{ "ss", ss, ONCE },
	{ "sock_diag: flags", diag_flags, 0 },
	{ "counters of a namespace", counters, ONCE },
	{ "a namespace ends with connections in it", orphan, ONCE },
	{ "tracepoints", tracepoints, ONCE },
	{ "signals", signals, ONCE },
	{ "SO_SNDTIMEO", send_timeout, ONCE },
	{ "no memory for TCP", memory, ONCE },
	{ "a record goes whole", whole, ONCE },
	{ "a record that cannot be sealed: no FIN", lost_unsealed, 0 },
	{ "a record that TCP refuses: no FIN", lost_refused, ONCE },
	{ "a record waits for memory: shutdown", late_shutdown, ONCE },
	{ "a record waits for memory: close", late_close, ONCE },
	{ "a record waits for memory: the connection's error", late_error, ONCE },
	{ "a record waits for memory: send", late_send, ONCE },
	{ "a record waits for memory: a new key", late_key, ONCE },
	{ "race: new keys against send", race_rekey_send, RACE },
	{ "race: new keys against recv", race_rekey_recv, RACE },
	{ "race: the end against blocked send and recv", race_close, RACE },
	{ "race: death in send and recv", race_kill, RACE },
	{ "race: getsockopt against setsockopt", race_setup, RACE },
	{ "race: TLS begins on a busy socket", race_ulp, RACE },
	{ "race: two senders", race_senders, RACE },
	{ "race: two receivers", race_receivers, RACE },
	{ "race: shutdown against send", race_shutdown, RACE },
	{ "many connections at once", many, MANY },
	{ "many connections, killed", many_killed, MANY },
};

static bool wanted(const struct test *t)
{
	const char *only = getenv("ONLY");

	return !only || strstr(t->name, only);
}

static void run_matrix(bool data)
{
	char name[128];

	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		const struct test *t = &tests[i];

		if (t->when & ONCE && (!data || t->when & DATA) && wanted(t)) {
			cipher = ref_ciphers;
			version = TLS_1_3_VERSION;
			run(t->name, t->fn, 20);
		}
	}
	for (unsigned int c = 0; c < ref_nciphers; c++) {
		for (version = TLS_1_2_VERSION; version <= TLS_1_3_VERSION; version++) {
			const char *v = is13() ? "1.3" : "1.2";
			bool suite;

			cipher = &ref_ciphers[c];
			suite = is13() ? cipher->tls13 : cipher->tls12;
			snprintf(name, sizeof(name), "TLS %s %s: no suite, EINVAL", v, cipher->name);
			if (!suite) {
				if (!data)
					run(name, no_suite, 10);
				continue;
			}
			if (c > 3 && !have_cipher()) {
				snprintf(name, sizeof(name), "TLS %s %s: not in this kernel, ENOENT", v, cipher->name);
				if (!data)
					run(name, no_cipher, 60);
				continue;
			}
			for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
				const struct test *t = &tests[i];

				if (t->when & (ONCE | RACE | MANY) || (data && !(t->when & DATA)) || !wanted(t) ||
				    (t->when & ONLY13 && !is13()))
					continue;
				if (!ref_have(cipher) && t->fn != both_ways && t->fn != both_splice)
					continue;
				snprintf(name, sizeof(name), "TLS %s %s: %s", v, cipher->name, t->name);
				run(name, t->fn, 20);
			}
		}
	}
}

static void run_kind(int when, int seconds)
{
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		if (tests[i].when & when && wanted(&tests[i]))
			run(tests[i].name, tests[i].fn, seconds);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	frame_init();
	if (!strcmp(what, "all")) {
		run_matrix(false);
	} else if (!strcmp(what, "data")) {
		run_matrix(true);
	} else if (!strcmp(what, "races") && argc == 3) {
		race_seed = strtoull(argv[2], NULL, 0);
		run_kind(RACE, 30);
	} else if (!strcmp(what, "many") && argc == 3) {
		many_count = atoi(argv[2]) < 256 ? atoi(argv[2]) : 256;
		run_kind(MANY, 60);
	} else if (!strcmp(what, "alloc") && argc == 3) {
		alloc_mode = argv[2][0] == 'a' ? FAIL_ALL : argv[2][1] == 't' ? FAIL_NTH : FAIL_NONE;
		run_alloc();
	} else if (!strcmp(what, "starved") && argc == 3) {
		race_seed = strtoull(argv[2], NULL, 0);
		run("traffic while allocations fail", starved_traffic, 120);
	} else if (!strcmp(what, "add") && argc == 4) {
		return crypto_user(CRYPTO_MSG_NEWALG, argv[2], (uint32_t)atoi(argv[3]));
	} else if (!strcmp(what, "del") && argc == 3) {
		return crypto_user(CRYPTO_MSG_DELALG, argv[2], 0);
	} else {
		fputs("usage: ktls_test all | data | races SEED | many N | alloc nth|all|none | starved SEED |\n"
		      "       add DRIVER PRIORITY | del DRIVER\n", stderr);
		return 2;
	}
	return frame_end();
}
