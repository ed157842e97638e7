// SPDX-License-Identifier: GPL-2.0
/*
 * kTLS sockets in the hands of the kernel: what storage and RPC over TLS call on them, by way of tests/ktls_kernel.
 * Prints TAP.
 *
 *   ktls_kernel_test all           every test, with some versions and ciphers
 *   ktls_kernel_test sockmap       kTLS and sockmap, in both orders
 *   ktls_kernel_test nbd DEVICE    a block device that is at the other end of a TLS connection
 *
 * $slowness multiplies the time limits; $ONLY restricts it to the tests with that in their name.
 *
 * A test has a connection with kTLS at one end (k), which the kernel uses on our behalf, and a plain TCP socket (r) at
 * the other, whose records are sealed and opened here.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/nbd.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "ktls_frame.h"
#include "ktls_kernel/ktls_kernel.h"

/* Within the kernel only */
#define MSG_SPLICE_PAGES	0x8000000

/* --- calls in the kernel --- */

static int device = -1;
/* The last call, and what came of it; the bytes are in buf */
static struct ktls_kernel_call call;

static int do_call(uint32_t op, int fd)
{
	/* Each test's own: what a consumer has taken, it gives back when this is closed */
	if (device < 0)
		CHECK((device = open(KTLS_KERNEL_DEVICE, O_RDWR)) >= 0);
	call.op = op;
	call.fd = fd;
	call.buf = (uintptr_t)buf;
	if (ioctl(device, KTLS_KERNEL_CALL, &call))
		fail(report->line, "ioctl: %s", strerror(errno));
	if (call.ret >= 0)
		return call.ret;
	errno = -call.ret;
	return -1;
}

static int read_sock(uint32_t how, uint32_t limit, uint32_t piece)
{
	call = (struct ktls_kernel_call){ .how = how, .limit = limit, .piece = piece, .len = KTLS_KERNEL_MAX };
	return do_call(KTLS_KERNEL_READ_SOCK, k);
}

static int read_all_of_it(void)
{
	return read_sock(KTLS_KERNEL_GO_ON, 0, 0);
}

static int recv_kernel(uint32_t how, uint32_t len, uint32_t flags, uint32_t control)
{
	call = (struct ktls_kernel_call){ .how = how, .len = len, .flags = flags, .control = control };
	return do_call(KTLS_KERNEL_RECV, k);
}

static int send_op(uint32_t op, uint32_t how, uint64_t seed, uint64_t off, uint32_t len, uint32_t flags)
{
	call = (struct ktls_kernel_call){ .how = how, .len = len, .flags = flags };
	ref_fill(buf, len, seed, off);
	return do_call(op, k);
}

static int send_kernel(uint32_t how, uint64_t seed, uint64_t off, uint32_t len, uint32_t flags)
{
	return send_op(KTLS_KERNEL_SEND, how, seed, off, len, flags);
}

static int take(uint32_t how)
{
	call = (struct ktls_kernel_call){ .how = how };
	return do_call(KTLS_KERNEL_TAKE, k);
}

static int give_back(void)
{
	call = (struct ktls_kernel_call){};
	return do_call(KTLS_KERNEL_GIVE_BACK, -1);
}

static int consumed(void)
{
	call = (struct ktls_kernel_call){ .len = KTLS_KERNEL_MAX };
	return do_call(KTLS_KERNEL_CONSUMED, -1);
}

static int callbacks(void)
{
	call = (struct ktls_kernel_call){};
	return do_call(KTLS_KERNEL_CALLBACKS, -1);
}

static int peek_len(void)
{
	call = (struct ktls_kernel_call){};
	return do_call(KTLS_KERNEL_PEEK_LEN, k);
}

static int poll_kernel(void)
{
	call = (struct ktls_kernel_call){};
	return do_call(KTLS_KERNEL_POLL, k);
}

/* Until a condition holds; the time is for a machine that stands still */
#define UNTIL(cond) do {									\
	int tries__ = 0;									\
	report->line = __LINE__;								\
	while (!(cond)) {									\
		if (tries__++ == 5000 * slowness)						\
			fail(__LINE__, "this never is: %s", #cond);				\
		sleep_ms(1);									\
	}											\
} while (0)

static bool info(int fd, struct tcp_info *i)
{
	socklen_t len = sizeof(*i);

	return !getsockopt(fd, IPPROTO_TCP, TCP_INFO, i, &len);
}

static bool is_there(void)
{
	struct tcp_info ki, ri;

	return info(k, &ki) && info(r, &ri) && !ri.tcpi_notsent_bytes &&
	       ki.tcpi_bytes_received >= ri.tcpi_bytes_sent - ri.tcpi_bytes_retrans;
}

/* What r sent is in k's queue */
#define DELIVERED()	UNTIL(is_there())

/* --- read_sock --- */

static void read_actors(void)
{
	uint64_t off = 0;

	setup();
	/* Nothing there: not an error, as in TCP */
	EQ(read_all_of_it(), 0);
	EQ(call.calls, 0);
	/* A record is what it is offered at once */
	rec_out(REF_DATA, 7, 0, 1000);
	rec_out(REF_DATA, 7, 1000, REF_MAX);
	rec_out(REF_DATA, 7, 1000 + REF_MAX, 50);
	DELIVERED();
	EQ(read_all_of_it(), 1050 + REF_MAX);
	SAME(buf, 7, 0, 1050 + REF_MAX);
	EQ(call.calls, 3);
	EQ(call.lens[0], 1000);
	EQ(call.lens[1], REF_MAX);
	EQ(call.lens[2], 50);
	EQ(read_all_of_it(), 0);

	/* It takes a part: the rest is offered again */
	rec_out(REF_DATA, 8, 0, 1000);
	rec_out(REF_DATA, 8, 1000, 300);
	DELIVERED();
	EQ(read_sock(KTLS_KERNEL_GO_ON, 0, 400), 1300);
	SAME(buf, 8, 0, 1300);
	EQ(call.calls, 4);
	EQ(call.lens[0], 1000);
	EQ(call.lens[1], 600);
	EQ(call.lens[2], 200);
	EQ(call.lens[3], 300);

	/* It wants no more: at the end of a record, and within one */
	for (int i = 0; i < 2; i++) {
		uint32_t limit = i ? 1400 : 1000;

		rec_out(REF_DATA, 9, off, 1000);
		rec_out(REF_DATA, 9, off + 1000, 5000);
		DELIVERED();
		EQ(read_sock(KTLS_KERNEL_COUNT, limit, 0), limit);
		SAME(buf, 9, off, limit);
		EQ(call.calls, i ? 2 : 1);
		get(k, 9, off + limit, 100);
		EQ(read_all_of_it(), 6000 - limit - 100);
		SAME(buf, 9, off + limit + 100, 6000 - limit - 100);
		off += 6000;
	}

	/* It takes nothing, or fails: at once, and after some */
	for (int i = 0; i < 4; i++) {
		uint32_t limit = i & 2 ? 1400 : 0;

		rec_out(REF_DATA, 9, off, 1000);
		rec_out(REF_DATA, 9, off + 1000, 5000);
		DELIVERED();
		if (i & 1 && !limit)
			ERR(read_sock(KTLS_KERNEL_ERROR, limit, 0), EREMOTEIO);
		else
			EQ(read_sock(i & 1 ? KTLS_KERNEL_ERROR : KTLS_KERNEL_ZERO, limit, 0), limit);
		EQ(call.got, limit);
		SAME(buf, 9, off, limit);
		EQ(call.calls, limit ? 3 : 1);
		EQ(read_all_of_it(), 6000 - limit);
		SAME(buf, 9, off + limit, 6000 - limit);
		off += 6000;
	}
}

static void read_empty(void)
{
	setup();
	for (int i = 0; i < 3; i++)
		rec_out(REF_DATA, 7, 0, 0);
	DELIVERED();
	EQ(read_all_of_it(), 0);
	EQ(call.calls, 0);
	rec_out(REF_DATA, 7, 0, 0);
	rec_out(REF_DATA, 7, 0, 100);
	rec_out(REF_DATA, 7, 0, 0);
	rec_out(REF_DATA, 7, 100, 100);
	rec_out(REF_DATA, 7, 0, 0);
	DELIVERED();
	EQ(read_all_of_it(), 200);
	SAME(buf, 7, 0, 200);
	EQ(call.calls, 2);
	EQ(shutdown(r, SHUT_WR), 0);
	READABLE(k);
	EQ(read_all_of_it(), 0);
}

static void read_padding(void)
{
	static const size_t pads[] = { 0, 1, 127, 255, 4000 };
	uint64_t off = 0;

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(pads); i++) {
		rec_out_pad(REF_DATA, 7, off, 3000, pads[i]);
		rec_out_pad(REF_DATA, 7, 0, 0, pads[i]);
		DELIVERED();
		EQ(read_all_of_it(), 3000);
		EQ(call.calls, 1);
		EQ(call.lens[0], 3000);
		SAME(buf, 7, off, 3000);
		off += 3000;
	}
}

static void read_mixed(void)
{
	static const size_t sizes[] = { 0, 2, 1000, 16000 };
	uint8_t type;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = sizes[i];

		setup();
		rec_out(REF_DATA, 7, 0, 100);
		rec_out(REF_HANDSHAKE, 9, 0, n);
		rec_out(REF_DATA, 7, 100, 3000);
		DELIVERED();
		EQ(read_all_of_it(), 100);
		SAME(buf, 7, 0, 100);
		/* It stays, for someone who can tell its type */
		ERR(read_all_of_it(), EINVAL);
		ERR(read_all_of_it(), EINVAL);
		EQ(call.calls, 0);
		ERR(recv_kernel(KTLS_KERNEL_KVEC, 100, 0, 0), EIO);
		EQ(tls_recv_type(k, &type, text, sizeof(text), 0), n);
		EQ(type, REF_HANDSHAKE);
		SAME(text, 9, 0, n);
		EQ(read_all_of_it(), 3000);
		SAME(buf, 7, 100, 3000);
		close(k);
		close(r);
	}
}

static const uint8_t key_update[] = { 24, 0, 0, 1, 0 };

static void read_key_update(void)
{
	uint8_t type;

	setup();
	rec_out(REF_DATA, 7, 0, 1000);
	rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
	ref_free(&rx);
	ref_derive(&rx, cipher, version, SEED_RX2);
	rec_out(REF_DATA, 7, 1000, 1000);
	DELIVERED();
	EQ(read_all_of_it(), 1000);
	SAME(buf, 7, 0, 1000);
	ERR(read_all_of_it(), EINVAL);
	EQ(tls_recv_type(k, &type, text, 100, 0), 5);
	EQ(type, REF_HANDSHAKE);
	ERR(read_all_of_it(), EKEYEXPIRED);
	ERR(read_all_of_it(), EKEYEXPIRED);
	EQ(call.calls, 0);
	CHECK(!(poll_kernel() & POLLIN));
	rx.seq--;
	EQ(tls_key(k, TLS_RX, &rx), 0);
	rx.seq++;
	CHECK(poll_kernel() & POLLIN);
	EQ(read_all_of_it(), 1000);
	SAME(buf, 7, 1000, 1000);
}

static void reset(int fd)
{
	struct linger l = { .l_onoff = 1 };

	EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	close(fd);
}

static void read_end(void)
{
	size_t n;

	setup();
	rec_out(REF_DATA, 7, 0, 1000);
	EQ(shutdown(r, SHUT_WR), 0);
	UNTIL(poll_kernel() & POLLRDHUP);
	EQ(read_all_of_it(), 1000);
	SAME(buf, 7, 0, 1000);
	EQ(read_all_of_it(), 0);
	EQ(read_all_of_it(), 0);
	close(k);
	close(r);
	/* Within a record */
	setup();
	rec_out(REF_DATA, 7, 0, 1000);
	n = seal(REF_DATA, 7, 1000, 1000, 0);
	CHECK(write_all(r, rec, n - 1));
	EQ(shutdown(r, SHUT_WR), 0);
	UNTIL(poll_kernel() & POLLRDHUP);
	EQ(read_all_of_it(), 1000);
	ERR(read_all_of_it(), EBADMSG);
	ERR(read_all_of_it(), EBADMSG);
	close(k);
	close(r);
	/* The connection's own error is there after the data, and not lost with it */
	setup();
	rec_out(REF_DATA, 7, 0, 1000);
	DELIVERED();
	reset(r);
	UNTIL(poll_kernel() & POLLERR);
	EQ(read_all_of_it(), 1000);
	SAME(buf, 7, 0, 1000);
	ERR(read_all_of_it(), ECONNRESET);
	EQ(read_all_of_it(), 0);
}

static void read_bad(void)
{
	for (int header = 0; header < 2; header++) {
		size_t n;

		setup();
		rec_out(REF_DATA, 7, 0, 1000);
		n = seal(REF_DATA, 7, 1000, 1000, 0);
		rec[header ? 1 : n - 1] ^= 1;
		CHECK(write_all(r, rec, n));
		rec_out(REF_DATA, 7, 2000, 1000);
		DELIVERED();
		/* What is good before it, then the error, whoever asks */
		EQ(read_all_of_it(), 1000);
		SAME(buf, 7, 0, 1000);
		ERR(read_all_of_it(), header ? EINVAL : EBADMSG);
		EQ(call.calls, 0);
		if (!header)
			ERR(read_all_of_it(), EBADMSG);
		ERR(recv_kernel(KTLS_KERNEL_KVEC, 100, 0, 0), header ? EINVAL : EBADMSG);
		ERR(recv(k, buf, 100, 0), header ? EINVAL : EBADMSG);
		/* Nothing will come any more: RPC asks this, and would come back for more otherwise */
		CHECK(poll_kernel() & POLLRDHUP);
		close(k);
		close(r);
	}
}

/* Without a key for receiving, TLS or not */
static void read_plain(void)
{
	for (int i = 0; i < 3; i++) {
		setup_tcp();
		if (i)
			EQ(tls_ulp(k), 0);
		if (i == 2)
			EQ(tls_key(k, TLS_TX, &tx), 0);
		EQ(read_all_of_it(), 0);
		put_flags(r, 7, 0, 3000, 0);
		DELIVERED();
		EQ(peek_len(), 3000);
		EQ(read_sock(KTLS_KERNEL_ZERO, 100, 0), 100);
		SAME(buf, 7, 0, 100);
		EQ(recv_kernel(KTLS_KERNEL_KVEC, 100, 0, 0), 100);
		SAME(buf, 7, 100, 100);
		EQ(read_all_of_it(), 2800);
		SAME(buf, 7, 200, 2800);
		EQ(shutdown(r, SHUT_WR), 0);
		READABLE(k);
		EQ(read_all_of_it(), 0);
		close(k);
		close(r);
	}
}

/* --- recvmsg --- */

static const uint32_t kinds[] = {
	KTLS_KERNEL_KVEC, KTLS_KERNEL_KVECS, KTLS_KERNEL_VMALLOC, KTLS_KERNEL_BVEC, KTLS_KERNEL_BVECS, KTLS_KERNEL_SLAB,
};

static void recv_kinds(void)
{
	static const uint32_t lens[] = { 1, 100, 3000, REF_MAX, 40000, 100000 };
	uint64_t off = 0;
	struct job j;

	setup_both();
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (size_t l = 0; l < ARRAY_SIZE(lens); l++) {
			job_start(&j, r, 7, off, lens[l]);
			report->line = __LINE__;
			EQ(recv_kernel(kinds[i], lens[l], MSG_WAITALL, 0), lens[l]);
			SAME(buf, 7, off, lens[l]);
			job_end(&j);
			off += lens[l];
		}
	}
	/* To nowhere, and what is behind it is right */
	for (size_t l = 0; l < ARRAY_SIZE(lens); l++) {
		job_start(&j, r, 7, off, lens[l] + 10);
		EQ(recv_kernel(KTLS_KERNEL_DISCARD, lens[l], MSG_WAITALL, 0), lens[l]);
		get(k, 7, off + lens[l], 10);
		job_end(&j);
		off += lens[l] + 10;
	}
	ERR(recv_kernel(KTLS_KERNEL_KVEC, 100, MSG_DONTWAIT, 0), EAGAIN);
	/* A target over TLS looks at the first bytes before it knows what they are */
	put_flags(r, 7, off, 5000, 0);
	EQ(recv_kernel(KTLS_KERNEL_KVEC, 8, MSG_PEEK, CMSG_LEN(1)), 8);
	SAME(buf, 7, off, 8);
	EQ(call.type, REF_DATA);
	EQ(recv_kernel(KTLS_KERNEL_BVEC, 5000, MSG_WAITALL, 0), 5000);
	SAME(buf, 7, off, 5000);
}

/*
 * RPC gives no control buffer first, and takes MSG_CTRUNC for "this is TLS": then MSG_EOR is not the end of a message,
 * and -EIO means that there is a control record to fetch
 */
static void recv_control(void)
{
	setup();
	rec_out(REF_DATA, 7, 0, 1000);
	DELIVERED();
	EQ(recv_kernel(KTLS_KERNEL_KVEC, 400, MSG_DONTWAIT, 0), 400);
	EQ(call.msg_flags & (MSG_CTRUNC | MSG_EOR), MSG_CTRUNC);
	EQ(recv_kernel(KTLS_KERNEL_BVEC, 600, MSG_DONTWAIT, 0), 600);
	EQ(call.msg_flags & (MSG_CTRUNC | MSG_EOR), MSG_CTRUNC | MSG_EOR);
	/* Into the reader's memory, likewise */
	rec_out(REF_DATA, 7, 1000, 16000);
	DELIVERED();
	EQ(recv_kernel(KTLS_KERNEL_BVECS, 16000, MSG_DONTWAIT, 0), 16000);
	EQ(call.msg_flags & (MSG_CTRUNC | MSG_EOR), MSG_CTRUNC | MSG_EOR);
	SAME(buf, 7, 1000, 16000);
	/* Nothing there says nothing */
	ERR(recv_kernel(KTLS_KERNEL_KVEC, 400, MSG_DONTWAIT, 0), EAGAIN);
	EQ(call.msg_flags & (MSG_CTRUNC | MSG_EOR), 0);

	rec_bytes(REF_ALERT, "\1\132", 2);
	rec_bytes(REF_HANDSHAKE, "\4\0\0\0", 4);
	rec_bytes(REF_ALERT, "\2\50", 2);
	rec_out(REF_DATA, 7, 17000, 100);
	DELIVERED();
	for (int i = 0; i < 2; i++) {
		ERR(recv_kernel(KTLS_KERNEL_KVEC, 400, MSG_DONTWAIT, 0), EIO);
		EQ(call.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
		CHECK(poll_kernel() & POLLIN);
	}
	EQ(recv_kernel(KTLS_KERNEL_KVEC, 2, MSG_DONTWAIT, CMSG_SPACE(1)), 2);
	EQ(call.type, REF_ALERT);
	EQ(call.alert[0], 1);
	EQ(call.alert[1], 90);
	EQ(call.msg_flags & (MSG_CTRUNC | MSG_EOR), MSG_EOR);
	CHECK(call.control_left < CMSG_SPACE(1));
	/* In pieces, the last of which says so */
	EQ(recv_kernel(KTLS_KERNEL_KVEC, 2, MSG_DONTWAIT, CMSG_SPACE(1)), 2);
	EQ(call.type, REF_HANDSHAKE);
	EQ(call.msg_flags & MSG_EOR, 0);
	EQ(recv_kernel(KTLS_KERNEL_KVEC, 64, MSG_DONTWAIT, CMSG_SPACE(1)), 2);
	EQ(call.type, REF_HANDSHAKE);
	EQ(call.msg_flags & MSG_EOR, MSG_EOR);
	/* Storage has just CMSG_LEN, and more room than the alert needs */
	EQ(recv_kernel(KTLS_KERNEL_KVEC, 24, MSG_DONTWAIT, CMSG_LEN(1)), 2);
	EQ(call.type, REF_ALERT);
	EQ(call.alert[0], 2);
	EQ(call.alert[1], 40);
	EQ(recv_kernel(KTLS_KERNEL_KVEC, 100, MSG_WAITALL, CMSG_LEN(1)), 100);
	EQ(call.type, REF_DATA);
	SAME(buf, 7, 17000, 100);
	EQ(shutdown(r, SHUT_WR), 0);
	READABLE(k);
	EQ(recv_kernel(KTLS_KERNEL_KVEC, 100, MSG_DONTWAIT, 0), 0);
	EQ(call.msg_flags & (MSG_CTRUNC | MSG_EOR), 0);
}

/* For parsers of messages: never less than what can be read */
static void peeked(void)
{
	size_t over;
	int n;

	setup();
	over = ref_overhead(&rx);
	EQ(peek_len(), 0);
	rec_out(REF_DATA, 7, 0, 1000);
	DELIVERED();
	EQ(peek_len(), 1000 + over);
	/* Opened by a reader, and not yet read */
	EQ(recv(k, buf, 400, 0), 400);
	EQ(peek_len(), 600);
	rec_out(REF_DATA, 7, 1000, 100);
	DELIVERED();
	EQ(peek_len(), 700 + over);
	EQ(read_all_of_it(), 700);
	SAME(buf, 7, 400, 700);
	EQ(peek_len(), 0);
	close(k);
	close(r);

	/* In part out of TCP's queue, as that is too small for the record */
	setup_tcp();
	set_int(k, SOL_SOCKET, SO_RCVBUF, 1);
	EQ(tls_ulp(k), 0);
	EQ(tls_key(k, TLS_RX, &rx), 0);
	n = (int)seal(REF_DATA, 7, 0, REF_MAX, 0);
	CHECK(write_all(r, rec, (size_t)n - 1));
	UNTIL(peek_len() == n - 1);
	EQ(read_all_of_it(), 0);
	EQ(peek_len(), n - 1);
	CHECK(write_all(r, rec + n - 1, 1));
	UNTIL(peek_len() == n);
	EQ(read_all_of_it(), REF_MAX);
	SAME(buf, 7, 0, REF_MAX);
}

/* --- sendmsg --- */

static void send_kinds(void)
{
	static const uint32_t lens[] = { 1, 100, 3000, REF_MAX, 40000, 100000 };
	uint64_t off = 0;

	/* A large buffer, as it is one thread */
	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (size_t l = 0; l < ARRAY_SIZE(lens); l++) {
			for (int splice = 0; splice < 2; splice++) {
				uint32_t flags = splice ? MSG_SPLICE_PAGES : 0;

				EQ(send_kernel(kinds[i], 7, off, lens[l], flags | MSG_EOR), lens[l]);
				expect_stream(7, off, lens[l], REF_MAX);
				off += lens[l];
			}
		}
	}
}

/* A command, its data by reference, its digest: as storage sends them */
static void send_more(void)
{
	uint64_t off = 0;

	setup();
	for (int i = 0; i < 20; i++) {
		uint32_t data = i & 1 ? 8192 : 5000;

		EQ(send_kernel(KTLS_KERNEL_BVEC, 7, off, 72, MSG_DONTWAIT | MSG_SPLICE_PAGES | MSG_MORE), 72);
		/* Its pages are free, and used again, before the record is sealed */
		EQ(send_kernel(KTLS_KERNEL_BVEC, 7, off + 72, data, MSG_DONTWAIT | MSG_SPLICE_PAGES | MSG_MORE), data);
		EQ(send_kernel(KTLS_KERNEL_BVECS, 7, off + 72 + data, 3000,
			       MSG_DONTWAIT | MSG_SPLICE_PAGES | MSG_MORE), 3000);
		EQ(send_kernel(KTLS_KERNEL_KVEC, 7, off + data + 3072, 4, MSG_DONTWAIT | MSG_EOR), 4);
		expect(7, off, data + 3076);
		off += data + 3076;
	}
	/* More than a record; the rest is held until it is wanted */
	EQ(send_kernel(KTLS_KERNEL_BVECS, 7, off, 40000, MSG_DONTWAIT | MSG_SPLICE_PAGES | MSG_MORE), 40000);
	expect(7, off, REF_MAX);
	expect(7, off + REF_MAX, REF_MAX);
	CHECK(!ready(r, POLLIN, 20));
	EQ(send_kernel(KTLS_KERNEL_KVEC, 7, off + 40000, 10, MSG_DONTWAIT), 10);
	expect(7, off + 2 * REF_MAX, 40010 - 2 * REF_MAX);
	ERR(send_kernel(KTLS_KERNEL_KVEC, 7, 0, 10, MSG_MORE | MSG_EOR), EINVAL);
}

static void send_control(void)
{
	setup();
	EQ(send_kernel(KTLS_KERNEL_KVEC, 7, 0, 100, MSG_MORE), 100);
	/* As the handshake code sends its alert: what is held goes first */
	call = (struct ktls_kernel_call){
		.how = KTLS_KERNEL_KVEC, .len = 2, .flags = MSG_DONTWAIT, .control = REF_ALERT,
	};
	ref_fill(buf, 2, 9, 0);
	EQ(do_call(KTLS_KERNEL_SEND, k), 2);
	expect(7, 0, 100);
	expect_type(REF_ALERT, 9, 0, 2);
	call.ret = 0;
	EQ(do_call(KTLS_KERNEL_SEND_LOCKED, k), 2);
	expect_type(REF_ALERT, 9, 0, 2);
}

/* How much goes into the send buffer, until it is full */
static uint64_t fill_up(uint32_t op, uint32_t how, uint64_t seed, uint32_t flags)
{
	uint64_t off = 0;

	/* What is on its way still may find room at the other end */
	for (int full = 0; full < 3;) {
		int n;

		if (full)
			sleep_ms(10);
		n = send_op(op, how, seed, off, 30000, flags | MSG_DONTWAIT);
		if (n > 0) {
			off += (uint64_t)n;
			full = 0;
			continue;
		}
		EQ(n, -1);
		EQ(errno, EAGAIN);
		full++;
	}
	CHECK(!(poll_kernel() & POLLOUT));
	return off;
}

static void send_full(void)
{
	static const struct {
		uint32_t op, how, flags;
	} ways[] = {
		{ KTLS_KERNEL_SEND, KTLS_KERNEL_KVEC, 0 },
		{ KTLS_KERNEL_SEND, KTLS_KERNEL_BVEC, MSG_SPLICE_PAGES | MSG_MORE },
		{ KTLS_KERNEL_SEND_LOCKED, KTLS_KERNEL_KVEC, MSG_NOSIGNAL },
		{ KTLS_KERNEL_SEND_LOCKED, KTLS_KERNEL_BVECS, MSG_SPLICE_PAGES },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		uint64_t off;

		setup_tcp();
		set_int(k, SOL_SOCKET, SO_SNDBUF, 100000);
		set_int(r, SOL_SOCKET, SO_RCVBUF, 100000);
		EQ(tls_ulp(k), 0);
		EQ(tls_key(k, TLS_TX, &tx), 0);
		off = fill_up(ways[i].op, ways[i].how, 7, ways[i].flags);
		CHECK(off > 50000);
		/* All that was taken is sent, and the rest can be sent then */
		if (ways[i].flags & MSG_MORE) {
			expect_stream(7, 0, off - off % REF_MAX, REF_MAX);
			EQ(send_op(ways[i].op, ways[i].how, 7, off, 10, 0), 10);
			expect_stream(7, off - off % REF_MAX, off % REF_MAX + 10, REF_MAX);
		} else {
			expect_stream(7, 0, off, REF_MAX);
			EQ(send_op(ways[i].op, ways[i].how, 7, off, 10, 0), 10);
			expect_stream(7, off, 10, REF_MAX);
		}
		close(k);
		close(r);
	}
}

static void send_locked(void)
{
	uint64_t off = 0;

	setup();
	set_int(k, SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		EQ(send_op(KTLS_KERNEL_SEND_LOCKED, kinds[i], 7, off, 5000, MSG_MORE), 5000);
		EQ(send_op(KTLS_KERNEL_SEND_LOCKED, kinds[i], 7, off + 5000, 5000, MSG_MORE | MSG_SPLICE_PAGES), 5000);
		EQ(send_op(KTLS_KERNEL_SEND_LOCKED, kinds[i], 7, off + 10000, 5000, 0), 5000);
		expect(7, off, 15000);
		EQ(send_op(KTLS_KERNEL_SEND_LOCKED, kinds[i], 7, off + 15000, 50000, 0), 50000);
		expect_stream(7, off + 15000, 50000, REF_MAX);
		off += 65000;
	}
	ERR(send_op(KTLS_KERNEL_SEND_LOCKED, KTLS_KERNEL_KVEC, 7, 0, 10, MSG_MORE | MSG_EOR), EINVAL);
	ERR(send_op(KTLS_KERNEL_SEND_LOCKED, KTLS_KERNEL_KVEC, 7, 0, 10, MSG_OOB), EOPNOTSUPP);
	EQ(shutdown(k, SHUT_WR), 0);
	ERR(send_op(KTLS_KERNEL_SEND_LOCKED, KTLS_KERNEL_KVEC, 7, 0, 10, MSG_NOSIGNAL), EPIPE);
	close(k);
	close(r);
	/* Without a key for sending, TLS or not */
	for (int i = 0; i < 3; i++) {
		setup_tcp();
		if (i)
			EQ(tls_ulp(k), 0);
		if (i == 2)
			EQ(tls_key(k, TLS_RX, &rx), 0);
		EQ(send_op(KTLS_KERNEL_SEND_LOCKED, KTLS_KERNEL_KVEC, 7, 0, 1000, MSG_MORE), 1000);
		EQ(send_op(KTLS_KERNEL_SEND_LOCKED, KTLS_KERNEL_BVEC, 7, 1000, 1000, MSG_SPLICE_PAGES), 1000);
		EQ(send_kernel(KTLS_KERNEL_KVEC, 7, 2000, 1000, 0), 1000);
		get(r, 7, 0, 3000);
		close(k);
		close(r);
	}
}

/* --- callbacks taken over --- */

static bool consumed_bytes(uint32_t want)
{
	consumed();
	return call.got >= want;
}

static bool consumer_failed(int want)
{
	return consumed() == -1 && errno == want;
}

/* After TLS has begun, as storage over TLS does it: the callback that was there is not called any more, or it is */
static void taken_after(void)
{
	uint8_t type;

	for (uint32_t chain = 0; chain <= KTLS_KERNEL_CHAIN; chain++) {
		uint32_t before;
		size_t n;

		setup();
		rec_out(REF_DATA, 7, 0, 1000);
		EQ(take(chain), 0);
		UNTIL(consumed_bytes(1000));
		rec_out(REF_DATA, 7, 1000, REF_MAX);
		rec_out(REF_DATA, 7, 1000 + REF_MAX, 10);
		UNTIL(consumed_bytes(1010 + REF_MAX));
		CHECK(call.calls);
		/* In two pieces */
		n = seal(REF_DATA, 7, 1010 + REF_MAX, 3000, 0);
		CHECK(write_all(r, rec, 100));
		DELIVERED();
		sleep_ms(10);
		CHECK(write_all(r, rec + 100, n - 100));
		UNTIL(consumed_bytes(4010 + REF_MAX));
		SAME(buf, 7, 0, 4010 + REF_MAX);
		EQ(call.ret, 0);
		/* The other direction has nothing to do with it */
		EQ(send_kernel(KTLS_KERNEL_BVEC, 8, 0, 5000, MSG_SPLICE_PAGES), 5000);
		expect(8, 0, 5000);
		/* A control record is reported and stays; who takes it lets the consumer go on */
		rec_out(REF_HANDSHAKE, 9, 0, 30);
		rec_out(REF_DATA, 7, 4010 + REF_MAX, 100);
		UNTIL(consumer_failed(EINVAL));
		EQ(call.got, 4010 + REF_MAX);
		EQ(tls_recv_type(k, &type, text, 100, 0), 30);
		EQ(type, REF_HANDSHAKE);
		before = call.calls;
		rec_out(REF_DATA, 7, 4110 + REF_MAX, 100);
		UNTIL(consumed_bytes(4210 + REF_MAX));
		CHECK(call.calls > before);
		SAME(buf, 7, 0, 4210 + REF_MAX);
		/* And back */
		EQ(give_back(), 0);
		rec_out(REF_DATA, 7, 0, 500);
		READABLE(k);
		get(k, 7, 0, 500);
		EQ(consumed(), -1);
		EQ(call.got, 4210 + REF_MAX);
		close(k);
		close(r);
	}
}

/* Before TLS begins, as RPC over TLS does it: then it hears of whole records only */
static void taken_before(void)
{
	uint32_t before;
	size_t n;

	setup_tcp();
	EQ(take(KTLS_KERNEL_CHAIN | KTLS_KERNEL_QUIET), 0);
	EQ(callbacks(), KTLS_KERNEL_DATA_READY_OURS | KTLS_KERNEL_WRITE_SPACE_OURS);
	rec_out(REF_DATA, 7, 0, 1000);
	DELIVERED();
	EQ(tls_ulp(k), 0);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	consumed();
	before = call.calls;
	/* What came before the key */
	rx.seq--;
	EQ(tls_key(k, TLS_RX, &rx), 0);
	rx.seq++;
	consumed();
	CHECK(call.calls > before);
	EQ(read_all_of_it(), 1000);
	SAME(buf, 7, 0, 1000);
	consumed();
	before = call.calls;
	n = seal(REF_DATA, 7, 1000, 3000, 0);
	CHECK(write_all(r, rec, n - 1));
	DELIVERED();
	consumed();
	EQ(call.calls, before);
	CHECK(write_all(r, rec + n - 1, 1));
	DELIVERED();
	consumed();
	CHECK(call.calls > before);
	EQ(read_all_of_it(), 3000);
	SAME(buf, 7, 1000, 3000);
	EQ(send_kernel(KTLS_KERNEL_BVEC, 8, 0, 5000, MSG_SPLICE_PAGES), 5000);
	expect(8, 0, 5000);
	EQ(shutdown(r, SHUT_WR), 0);
	UNTIL(poll_kernel() & POLLRDHUP);
	/*
	 * It puts back what it found, over the head of TLS. When that ends, it must not bring back what is gone, maybe
	 * with its module.
	 */
	EQ(give_back(), 0);
	EQ(callbacks(), KTLS_KERNEL_DATA_READY_OLD | KTLS_KERNEL_WRITE_SPACE_OLD);
	close(k);
	EQ(read_record(r, rec), 0);
	EQ(callbacks(), KTLS_KERNEL_DATA_READY_OLD | KTLS_KERNEL_WRITE_SPACE_OLD);
}

static void taken_key_update(void)
{
	uint8_t type;

	setup();
	EQ(take(0), 0);
	rec_out(REF_DATA, 7, 0, 1000);
	rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
	ref_free(&rx);
	ref_derive(&rx, cipher, version, SEED_RX2);
	UNTIL(consumer_failed(EINVAL));
	EQ(tls_recv_type(k, &type, text, 100, 0), 5);
	rec_out(REF_DATA, 7, 1000, 1000);
	UNTIL(consumer_failed(EKEYEXPIRED));
	EQ(call.got, 1000);
	rx.seq--;
	/* The record is there already: only the new key can tell the consumer */
	EQ(tls_key(k, TLS_RX, &rx), 0);
	rx.seq++;
	UNTIL(consumed_bytes(2000));
	SAME(buf, 7, 0, 2000);
}

/* The program that made the connection is gone */
static void taken_alone(void)
{
	setup();
	EQ(take(0), 0);
	close(k);
	rec_out(REF_DATA, 7, 0, 5000);
	UNTIL(consumed_bytes(5000));
	SAME(buf, 7, 0, 5000);
	EQ(give_back(), 0);
	expect_end();
	EQ(consumed(), 0);
}

static uint32_t spaces_seen;

static bool more_spaces(void)
{
	consumed();
	return call.spaces > spaces_seen;
}

/* Taken over before TLS, and after, with and without a call of the one that was there */
static void taken_space(void)
{
	for (int way = 0; way < 3; way++) {
		uint32_t how = KTLS_KERNEL_QUIET | (way ? KTLS_KERNEL_CHAIN : 0);
		uint64_t off;

		setup_tcp();
		set_int(k, SOL_SOCKET, SO_SNDBUF, 100000);
		set_int(r, SOL_SOCKET, SO_RCVBUF, 100000);
		if (way == 2)
			EQ(take(how), 0);
		EQ(tls_ulp(k), 0);
		EQ(tls_key(k, TLS_TX, &tx), 0);
		if (way != 2)
			EQ(take(how), 0);
		off = fill_up(KTLS_KERNEL_SEND, KTLS_KERNEL_BVEC, 7, MSG_SPLICE_PAGES);
		/* There may have been some while it was filled */
		consumed();
		spaces_seen = call.spaces;
		expect_stream(7, 0, off, REF_MAX);
		UNTIL(more_spaces());
		UNTIL(poll_kernel() & POLLOUT);
		EQ(send_kernel(KTLS_KERNEL_BVEC, 7, off, 3000, MSG_DONTWAIT | MSG_SPLICE_PAGES), 3000);
		expect(7, off, 3000);
		EQ(give_back(), 0);
		close(k);
		close(r);
	}
}

/* A program and the kernel read by turns: each word is there once */
#define WORDS	60000

static uint8_t seen[WORDS];
static bool reading = true;

static void count_words(const uint64_t *words, int n)
{
	EQ(n % 8, 0);
	for (int i = 0; i < n / 8; i++) {
		CHECK(words[i] < WORDS);
		EQ(__atomic_fetch_add(&seen[words[i]], 1, __ATOMIC_RELAXED), 0);
	}
}

static void *kernel_reader(void *arg)
{
	static uint64_t words[KTLS_KERNEL_MAX / 8];

	while (__atomic_load_n(&reading, __ATOMIC_RELAXED)) {
		struct ktls_kernel_call c = {
			.op = KTLS_KERNEL_READ_SOCK, .fd = k, .buf = (uintptr_t)words, .len = sizeof(words),
			.how = KTLS_KERNEL_COUNT, .limit = 24000, .piece = 800,
		};

		EQ(ioctl(device, KTLS_KERNEL_CALL, &c), 0);
		CHECK(c.ret >= 0);
		count_words(words, c.ret);
		*(int *)arg += c.ret;
		usleep(50);
	}
	return NULL;
}

static void *user_reader(void *arg)
{
	static uint64_t words[4096];
	int n;

	while ((n = (int)recv(k, words, sizeof(words), 0)) > 0) {
		count_words(words, n);
		*(int *)arg += n;
		usleep(50);
	}
	EQ(n, 0);
	return NULL;
}

static void race_readers(void)
{
	static uint64_t words[WORDS];
	pthread_t a, b;
	int by_kernel = 0, by_user = 0;

	setup();
	EQ(read_all_of_it(), 0);
	for (uint64_t i = 0; i < WORDS; i++)
		words[i] = i;
	CHECK(!pthread_create(&a, NULL, kernel_reader, &by_kernel));
	CHECK(!pthread_create(&b, NULL, user_reader, &by_user));
	for (size_t i = 0, n; i < WORDS; i += n) {
		n = 1 + ref_mix(i) % 2000;
		if (n > WORDS - i)
			n = WORDS - i;
		rec_bytes(REF_DATA, words + i, 8 * n);
		if (i % 3 == 0)
			rec_bytes(REF_DATA, words, 0);
	}
	EQ(shutdown(r, SHUT_WR), 0);
	pthread_join(b, NULL);
	__atomic_store_n(&reading, false, __ATOMIC_RELAXED);
	pthread_join(a, NULL);
	EQ(by_kernel + by_user, sizeof(words));
	for (size_t i = 0; i < WORDS; i++)
		EQ(seen[i], 1);
}

/* --- sockmap --- */

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int map_create(uint32_t type)
{
	union bpf_attr attr = { .map_type = type, .key_size = 4, .value_size = 4, .max_entries = 4 };

	return bpf(BPF_MAP_CREATE, &attr);
}

static int map_update(int map, uint32_t key, int fd)
{
	union bpf_attr attr = {
		.map_fd = (uint32_t)map, .key = (uintptr_t)&key, .value = (uintptr_t)&fd, .flags = BPF_ANY,
	};

	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

static int map_delete(int map, uint32_t key)
{
	union bpf_attr attr = { .map_fd = (uint32_t)map, .key = (uintptr_t)&key };

	return bpf(BPF_MAP_DELETE_ELEM, &attr);
}

static const uint32_t map_types[] = { BPF_MAP_TYPE_SOCKMAP, BPF_MAP_TYPE_SOCKHASH };

#define EACH_MAP(type, family)									\
	for (size_t i__ = 0; i__ < 4; i__++)							\
		for (uint32_t type = map_types[i__ & 1], family = i__ & 2 ? AF_INET6 : AF_INET, once__ = 1; \
		     once__; once__ = 0)

static void has_tls(bool want)
{
	char name[16] = "";
	socklen_t len = sizeof(name);

	EQ(getsockopt(k, IPPROTO_TCP, TCP_ULP, name, &len), 0);
	EQ(!strncmp(name, "tls", 4), want);
}

/* The data goes both ways, as records or in the clear */
static void works(bool tls)
{
	if (tls) {
		put(7, 0, 3000);
		expect(7, 0, 3000);
		rec_out(REF_DATA, 7, 0, 3000);
	} else {
		put(7, 0, 3000);
		get(r, 7, 0, 3000);
		put_flags(r, 7, 0, 3000, 0);
	}
	get(k, 7, 0, 3000);
}

static void map_after_tls(void)
{
	EACH_MAP(type, family) {
		int map = map_create(type);

		CHECK(map >= 0);
		setup_family((int)family);
		EQ(tls_ulp(k), 0);
		ERR(map_update(map, 0, k), EINVAL);
		EQ(tls_key(k, TLS_TX, &tx), 0);
		ERR(map_update(map, 0, k), EINVAL);
		EQ(tls_key(k, TLS_RX, &rx), 0);
		ERR(map_update(map, 0, k), EINVAL);
		ERR(map_delete(map, 0), type == BPF_MAP_TYPE_SOCKMAP ? EINVAL : ENOENT);
		works(true);
		/* The other end is another matter */
		EQ(map_update(map, 1, r), 0);
		works(true);
		close(k);
		close(r);
		close(map);
	}
}

static void map_before_tls(void)
{
	EACH_MAP(type, family) {
		int map = map_create(type), other = map_create(type);

		CHECK(map >= 0 && other >= 0);
		setup_family((int)family);
		EQ(map_update(map, 0, k), 0);
		EQ(map_update(other, 2, k), 0);
		ERR(tls_ulp(k), EINVAL);
		has_tls(false);
		ERR(tls_key(k, TLS_TX, &tx), ENOPROTOOPT);
		works(false);
		EQ(map_delete(map, 0), 0);
		/* It is in another one still */
		ERR(tls_ulp(k), EINVAL);
		works(false);
		EQ(map_delete(other, 2), 0);
		EQ(tls_ulp(k), 0);
		has_tls(true);
		EQ(tls_key(k, TLS_TX, &tx), 0);
		EQ(tls_key(k, TLS_RX, &rx), 0);
		works(true);
		ERR(map_update(map, 0, k), EINVAL);
		works(true);
		close(k);
		close(r);
		/* Or the map goes */
		setup_family((int)family);
		EQ(map_update(map, 0, k), 0);
		ERR(tls_ulp(k), EINVAL);
		close(map);
		UNTIL(!tls_ulp(k));
		EQ(tls_key(k, TLS_TX, &tx), 0);
		EQ(tls_key(k, TLS_RX, &rx), 0);
		works(true);
		close(k);
		close(r);
		close(other);
	}
}

/* --- a block device at the other end --- */

#define DISK	(4 << 20)

static const char *nbd_path;
static uint8_t disk[DISK];
static int requests;

static void *nbd_server(void *arg)
{
	struct nbd_request req;

	(void)arg;
	while (read_all(r, &req, sizeof(req))) {
		struct nbd_reply reply = { .magic = htonl(NBD_REPLY_MAGIC) };
		uint32_t type = ntohl(req.type) & 0xffff, len = ntohl(req.len);
		uint64_t from = be64toh(req.from);

		EQ(ntohl(req.magic), NBD_REQUEST_MAGIC);
		if (type == NBD_CMD_DISC)
			return NULL;
		memcpy(reply.handle, req.handle, sizeof(reply.handle));
		CHECK(from + len <= DISK);
		requests++;
		if (type == NBD_CMD_WRITE)
			CHECK(read_all(r, disk + from, len));
		CHECK(write_all(r, &reply, sizeof(reply)));
		if (type == NBD_CMD_READ)
			CHECK(write_all(r, disk + from, len));
	}
	fail(__LINE__, "the connection ends");
}

static void *nbd_device(void *arg)
{
	EQ(ioctl(*(int *)arg, NBD_DO_IT), 0);
	return NULL;
}

static bool has_size(int fd)
{
	uint64_t size = 0;

	return !ioctl(fd, BLKGETSIZE64, &size) && size == DISK;
}

static void nbd(void)
{
	pthread_t server, device_thread;
	uint8_t *data = aligned_alloc(4096, DISK);
	int fd, io;

	setup_both();
	fd = open(nbd_path, O_RDWR);
	CHECK(fd >= 0);
	EQ(ioctl(fd, NBD_SET_BLKSIZE, 4096UL), 0);
	EQ(ioctl(fd, NBD_SET_SIZE_BLOCKS, (unsigned long)DISK / 4096), 0);
	EQ(ioctl(fd, NBD_SET_FLAGS, (unsigned long)NBD_FLAG_HAS_FLAGS), 0);
	EQ(ioctl(fd, NBD_SET_SOCK, (unsigned long)k), 0);
	CHECK(!pthread_create(&server, NULL, nbd_server, NULL));
	CHECK(!pthread_create(&device_thread, NULL, nbd_device, &fd));
	UNTIL(has_size(fd));

	io = open(nbd_path, O_RDWR | O_DIRECT);
	CHECK(io >= 0);
	ref_fill(data, DISK, 7, 0);
	/* Large and small, aligned to blocks only */
	for (size_t off = 0, i = 0, n; off < DISK; off += n, i++) {
		n = 4096 * (1 + ref_mix(i) % 32);
		if (n > DISK - off)
			n = DISK - off;
		EQ(pwrite(io, data + off, n, (off_t)off), n);
	}
	SAME(disk, 7, 0, DISK);
	memset(data, 0, DISK);
	for (size_t off = 0, i = 0, n; off < DISK; off += n, i++) {
		n = 4096 * (1 + ref_mix(i + 1000) % 64);
		if (n > DISK - off)
			n = DISK - off;
		EQ(pread(io, data + off, n, (off_t)off), n);
	}
	SAME(data, 7, 0, DISK);
	close(io);
	/* By way of the page cache, which reads ahead and writes back as it likes */
	io = open(nbd_path, O_RDWR);
	ref_fill(data, DISK, 8, 0);
	EQ(pwrite(io, data, DISK, 0), DISK);
	EQ(fsync(io), 0);
	SAME(disk, 8, 0, DISK);
	EQ(ioctl(io, BLKFLSBUF), 0);
	memset(data, 0, DISK);
	EQ(pread(io, data, DISK, 0), DISK);
	SAME(data, 8, 0, DISK);
	close(io);
	CHECK(requests > 100);

	EQ(ioctl(fd, NBD_DISCONNECT), 0);
	pthread_join(server, NULL);
	close(r);
	pthread_join(device_thread, NULL);
	EQ(ioctl(fd, NBD_CLEAR_SOCK), 0);
	close(fd);
	close(k);
	free(data);
}

/* --- the list --- */

enum { ALL, ONLY13, SOCKMAP, NBD };

static const struct test {
	const char *name;
	void (*fn)(void);
	int when;
} tests[] = {
	{ "read_sock: what the actor takes", read_actors, ALL },
	{ "read_sock: empty records", read_empty, ALL },
	{ "read_sock: padding", read_padding, ONLY13 },
	{ "read_sock: records of several types", read_mixed, ALL },
	{ "read_sock: KeyUpdate", read_key_update, ONLY13 },
	{ "read_sock: the end of the stream", read_end, ALL },
	{ "read_sock: bad records", read_bad, ALL },
	{ "read_sock: not TLS", read_plain, ALL },
	{ "peek_len", peeked, ALL },
	{ "recvmsg: every kind of memory", recv_kinds, ALL },
	{ "recvmsg: control records", recv_control, ALL },
	{ "sendmsg: every kind of memory", send_kinds, ALL },
	{ "sendmsg: MSG_MORE and pages", send_more, ALL },
	{ "sendmsg: control records", send_control, ALL },
	{ "sendmsg: the buffer is full", send_full, ALL },
	{ "sendmsg_locked", send_locked, ALL },
	{ "callbacks taken over after TLS began", taken_after, ALL },
	{ "callbacks taken over before TLS began", taken_before, ALL },
	{ "callbacks taken over, and a KeyUpdate", taken_key_update, ONLY13 },
	{ "callbacks taken over, and the program goes", taken_alone, ALL },
	{ "callbacks taken over: room in the send buffer", taken_space, ALL },
	{ "race: read_sock against recv", race_readers, ALL },
	{ "sockmap: the socket has TLS", map_after_tls, SOCKMAP },
	{ "sockmap: the socket is to get TLS", map_before_tls, SOCKMAP },
	{ "nbd", nbd, NBD },
};

static void run_list(int when, const char *prefix)
{
	const char *only = getenv("ONLY");
	char name[128];

	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		const struct test *t = &tests[i];

		if (t->when != when && !(when == ALL && t->when == ONLY13 && is13()))
			continue;
		snprintf(name, sizeof(name), "%s%s", prefix, t->name);
		if (!only || strstr(name, only))
			run(name, t->fn, 30);
	}
}

static void run_suites(int when)
{
	static const char *const names[] = { "aes-gcm-128", "chacha20-poly1305" };
	char prefix[64];

	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		for (cipher = ref_ciphers; strcmp(cipher->name, names[n]); cipher++)
			;
		for (version = TLS_1_2_VERSION; version <= TLS_1_3_VERSION; version++) {
			snprintf(prefix, sizeof(prefix), "TLS %s %s: ", is13() ? "1.3" : "1.2", cipher->name);
			run_list(when, prefix);
		}
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	frame_init();
	if (!strcmp(what, "all")) {
		if (access(KTLS_KERNEL_DEVICE, R_OK | W_OK)) {
			printf("Bail out! %s: %s\n", KTLS_KERNEL_DEVICE, strerror(errno));
			return 1;
		}
		run_suites(ALL);
	} else if (!strcmp(what, "sockmap")) {
		cipher = ref_ciphers;
		version = TLS_1_3_VERSION;
		run_list(SOCKMAP, "");
	} else if (!strcmp(what, "nbd") && argc == 3) {
		nbd_path = argv[2];
		run_suites(NBD);
	} else {
		fputs("usage: ktls_kernel_test all | sockmap | nbd DEVICE\n", stderr);
		return 2;
	}
	return frame_end();
}
