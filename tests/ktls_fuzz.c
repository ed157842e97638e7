// SPDX-License-Identifier: GPL-2.0
/*
 * Random sequences of operations on a kTLS connection, and a model of what has to be seen of them.
 *
 *   ktls_fuzz SEED COUNT [SECONDS]    sequences SEED, SEED + 1, ... SEED + COUNT - 1, as far as the time goes
 *
 * Prints TAP, a line for each sequence. One that fails prints all it did; "ktls_fuzz SEED 1" does it again.
 *
 * One end is kTLS; the other is kTLS too or, in two sequences of three, the reference record layer. The model of a
 * direction is a list of messages: a run of data, however it was cut into records, or one control record. What senders
 * say they took is added to it, and receivers have to see just that. All sockets are non-blocking, so one thread plays
 * both ends; what it does in step i depends on the seed and i alone, and not on what happened before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "ktls_ref.h"

#define MAX_MESSAGES	4096
/* Of content in one direction; then its senders rest. Less where TCP has to wait for its timers. */
#define MAX_BYTES	400000
#define MAX_BYTES_TINY	30000
#define LOG_LINES	1200
#define PATIENCE_MS	3000

static struct shared {
	bool failed;
	unsigned int lines;
	uint64_t bytes;
	unsigned int steps;
	char kind[64];
	char why[512];
	char log[LOG_LINES][120];
} *shared;

static int slowness = 1;

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
	va_list ap;

	if (shared->lines == LOG_LINES)
		return;
	va_start(ap, fmt);
	vsnprintf(shared->log[shared->lines++], sizeof(shared->log[0]), fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(shared->why, sizeof(shared->why), fmt, ap);
	va_end(ap);
	shared->failed = true;
	_exit(1);
}

/* --- chance --- */

static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
	rng = ref_mix(rng);
	return rng % n;
}

/* Small, about a record, or large; often at an edge */
static size_t some_size(size_t max)
{
	static const size_t edges[] = { 1, 2, 16, 63, 64, 2047, 2048, 4095, 4096, 8192, 16383, 16384, 16385, 32768 };
	size_t n;

	switch (rnd(6)) {
	case 0:
		n = edges[rnd(sizeof(edges) / sizeof(edges[0]))];
		break;
	case 1:
		n = 1 + rnd(40000);
		break;
	case 2:
		n = 1 + rnd(17000);
		break;
	default:
		n = 1 + rnd(1500);
	}
	return n < max ? n : max;
}

/* --- the model --- */

struct message {
	uint8_t type;
	bool key_update;	/* after it the sender has its next key */
	uint64_t start;		/* place of its content */
	size_t len;
};

/* One direction */
struct flow {
	const char *name;
	int from, to;
	bool from_ktls, to_ktls;
	uint64_t content;
	struct message messages[MAX_MESSAGES];
	unsigned int nmessages;
	uint64_t sent;		/* bytes that senders took */
	uint64_t arrived;	/* of those, what certainly needs no more of the sender to arrive */
	unsigned int msgs_arrived;	/* likewise messages, before those that are data still held */
	unsigned int next;	/* message that the receiver is at */
	size_t off;		/* and how far into it */
	uint64_t seen;
	bool shut, ended, expired;
	uint16_t limit;
	uint64_t max_bytes;
	uint64_t tx_keys, rx_keys;	/* numbers of the keys in use */
	struct ref_epoch seal, open;
	uint8_t *pending;	/* records of the reference that its socket had no room for */
	size_t npending;
	uint8_t *in;		/* what the reference has received of the next record */
	size_t nin;
};

static const struct ref_cipher *cipher;
static uint16_t version;
static uint64_t seed;
static struct flow flows[2];
static uint8_t data[100000], got[100000];

static bool is13(void)
{
	return version == TLS_1_3_VERSION;
}

static void key(const struct flow *f, struct ref_epoch *e, uint64_t number)
{
	ref_free(e);
	ref_derive(e, cipher, version, seed * 1000 + number * 2 + (f == &flows[1]));
}

static void add_message(struct flow *f, uint8_t type, size_t len, bool key_update)
{
	struct message *last = &f->messages[f->nmessages - 1];

	if (type == REF_DATA && !len)
		return;
	if (type == REF_DATA && f->nmessages && last->type == REF_DATA) {
		last->len += len;
	} else {
		if (f->nmessages == MAX_MESSAGES)
			fail("too many messages: make sequences shorter");
		f->messages[f->nmessages++] = (struct message){ type, key_update, f->sent, len };
	}
	f->sent += len;
}

/* All that was taken is on its way */
static void all_arrives(struct flow *f)
{
	f->arrived = f->sent;
	f->msgs_arrived = f->nmessages;
}

static bool room(const struct flow *f)
{
	return !f->shut && f->sent < f->max_bytes && f->nmessages < MAX_MESSAGES - 4;
}

static const uint8_t *content_of(const struct flow *f, const struct message *m, size_t off, size_t len)
{
	static uint8_t want[sizeof(got)];
	static const uint8_t key_update[] = { 24, 0, 0, 1, 0 };

	if (m->key_update)
		return key_update + off;
	ref_fill(want, len, f->content, m->start + off);
	return want;
}

/* The receiver was given bytes of the message that it is at */
static void compare(struct flow *f, uint8_t type, const uint8_t *bytes, size_t len, bool consume)
{
	const struct message *m = &f->messages[f->next];
	const uint8_t *want;

	if (f->next == f->nmessages)
		fail("%s: %zu bytes of type %u arrive, and nothing was sent", f->name, len, type);
	if (type != m->type)
		fail("%s: %zu bytes arrive as type %u, want %u", f->name, len, type, m->type);
	if (f->off + len > m->len)
		fail("%s: %zu bytes of type %u arrive, want %zu at most", f->name, len, type, m->len - f->off);
	want = content_of(f, m, f->off, len);
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != want[i])
			fail("%s: byte %zu of %zu at %llu is %#x, want %#x", f->name, i, len,
			     (unsigned long long)(m->start + f->off), bytes[i], want[i]);
	if (!consume)
		return;
	f->off += len;
	f->seen += len;
	if (f->off == m->len && (m->type != REF_DATA || f->next + 1 < f->nmessages || f->shut)) {
		if (m->key_update)
			f->expired = true;
		f->next++;
		f->off = 0;
	}
}

/* A run of data that was read to its end stays current, as it may grow; unless something followed */
static void step_over_read(struct flow *f)
{
	while (f->next < f->nmessages && f->messages[f->next].type == REF_DATA &&
	       f->off == f->messages[f->next].len && f->next + 1 < f->nmessages) {
		f->next++;
		f->off = 0;
	}
}

static bool all_seen(const struct flow *f)
{
	return f->next == f->nmessages ||
	       (f->next + 1 == f->nmessages && f->messages[f->next].type == REF_DATA &&
		f->off == f->messages[f->next].len);
}

/* Bytes of the run of data that the receiver is at, of those that have certainly arrived */
static size_t run_arrived(const struct flow *f)
{
	const struct message *m = &f->messages[f->next];
	uint64_t end;

	if (f->expired || all_seen(f) || m->type != REF_DATA)
		return 0;
	end = m->start + m->len < f->arrived ? m->start + m->len : f->arrived;
	return end > m->start + f->off ? (size_t)(end - m->start - f->off) : 0;
}

/* --- senders --- */

static bool again(void)
{
	return errno == EAGAIN;
}

static void sent_data(struct flow *f, ssize_t n, size_t want, bool held)
{
	if (n < 0 && !again())
		fail("%s: errno %d (%s)", f->name, errno, strerror(errno));
	if (n > 0)
		add_message(f, REF_DATA, (size_t)n, false);
	/* What was cut short may be held, if it came with MSG_MORE inside */
	if (n == (ssize_t)want && !held)
		all_arrives(f);
}

static void ktls_send(struct flow *f)
{
	size_t len = some_size(50000);
	bool more = rnd(4) == 0;
	ssize_t n;

	ref_fill(data, len, f->content, f->sent);
	n = send(f->from, data, len, MSG_NOSIGNAL | (more ? MSG_MORE : rnd(8) ? 0 : MSG_EOR));
	say("%s: send %zu%s: %zd", f->name, len, more ? " more" : "", n);
	sent_data(f, n, len, more);
}

static void ktls_sendmsg(struct flow *f)
{
	size_t len = some_size(50000), off = 0, niov = 1 + rnd(30);
	bool more = rnd(4) == 0;
	struct iovec iov[30];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = niov };
	ssize_t n;

	ref_fill(data, len, f->content, f->sent);
	for (size_t i = 0; i < niov; i++) {
		size_t piece = i + 1 == niov ? len - off : rnd(2 * len / niov + 1);

		if (piece > len - off)
			piece = len - off;
		iov[i] = (struct iovec){ data + off, piece };
		off += piece;
	}
	n = sendmsg(f->from, &msg, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	say("%s: sendmsg %zu in %zu%s: %zd", f->name, len, niov, more ? " more" : "", n);
	sent_data(f, n, len, more);
}

static void ktls_sendfile(struct flow *f)
{
	size_t len = some_size(50000), count = len + (rnd(3) ? 0 : rnd(10000));
	int fd = memfd_create("f", 0);
	off_t off = 0;
	ssize_t n;

	ref_fill(data, len, f->content, f->sent);
	if (write(fd, data, len) != (ssize_t)len)
		fail("memfd");
	n = sendfile(f->from, fd, &off, count);
	close(fd);
	say("%s: sendfile %zu of %zu: %zd", f->name, count, len, n);
	sent_data(f, n, len, false);
}

static void ktls_splice(struct flow *f)
{
	size_t len = some_size(60000), piece = 1 + rnd(rnd(2) ? 5000 : 300), done = 0;
	bool more = rnd(3) == 0, cut = false;
	int p[2];

	/* Packets: each piece has a page of its own */
	if (pipe2(p, (rnd(2) ? O_DIRECT : 0) | O_NONBLOCK))
		fail("pipe");
	ref_fill(data, len, f->content, f->sent);
	while (done < len) {
		size_t want = len - done < piece ? len - done : piece;
		ssize_t n = write(p[1], data + done, want);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	len = done;
	for (done = 0; done < len;) {
		ssize_t n = splice(p[0], NULL, f->from, NULL, len - done, more ? SPLICE_F_MORE : 0);

		if (n < 0 && !again())
			fail("%s: splice: errno %d (%s)", f->name, errno, strerror(errno));
		cut = n <= 0;
		if (cut)
			break;
		done += (size_t)n;
		add_message(f, REF_DATA, (size_t)n, false);
	}
	close(p[0]);
	close(p[1]);
	say("%s: splice %zu in pieces of %zu%s: %zu", f->name, len, piece, more ? " more" : "", done);
	if (!more && !cut)
		all_arrives(f);
}

static void ktls_flush(struct flow *f)
{
	ssize_t n = send(f->from, data, 0, MSG_NOSIGNAL);

	say("%s: flush: %zd", f->name, n);
	if (n < 0 && !again())
		fail("%s: flush: errno %d (%s)", f->name, errno, strerror(errno));
	if (!n)
		all_arrives(f);
}

static uint8_t some_type(void)
{
	static const uint8_t types[] = { REF_ALERT, REF_HANDSHAKE, 24, 99 };

	return types[rnd(4)];
}

static void ktls_control(struct flow *f)
{
	size_t len = 1 + rnd(f->limit < 3000 ? f->limit : 3000);
	uint8_t type = some_type();
	ssize_t n;

	/* Handshake messages have a form, and one of them a meaning */
	if (type == REF_HANDSHAKE)
		type = 25;
	ref_fill(data, len, f->content, f->sent);
	n = tls_send_type(f->from, type, data, len, 0);
	say("%s: control %u of %zu: %zd", f->name, type, len, n);
	if (n < 0 && !again())
		fail("%s: control: errno %d (%s)", f->name, errno, strerror(errno));
	if (n < 0)
		return;
	if (n != (ssize_t)len)
		fail("%s: a control record of %zu was cut to %zd", f->name, len, n);
	add_message(f, type, len, false);
	all_arrives(f);
}

static const uint8_t key_update[] = { 24, 0, 0, 1, 0 };

static void ktls_rekey(struct flow *f)
{
	ssize_t n;

	if (!is13()) {
		struct ref_epoch e = { 0 };

		key(f, &e, 50);
		if (tls_key(f->from, TLS_TX, &e) != -1 || errno != EBUSY)
			fail("%s: a second key in TLS 1.2: errno %d", f->name, errno);
		return;
	}
	n = tls_send_type(f->from, REF_HANDSHAKE, key_update, sizeof(key_update), 0);
	say("%s: KeyUpdate: %zd", f->name, n);
	if (n < 0 && again())
		return;
	if (n != sizeof(key_update))
		fail("%s: KeyUpdate: %zd, errno %d (%s)", f->name, n, errno, strerror(errno));
	add_message(f, REF_HANDSHAKE, sizeof(key_update), true);
	/* Not content, so it takes no place in it */
	f->sent -= sizeof(key_update);
	all_arrives(f);
	key(f, &f->seal, ++f->tx_keys);
	if (tls_key(f->from, TLS_TX, &f->seal))
		fail("%s: TLS_TX: errno %d (%s)", f->name, errno, strerror(errno));
}

/* Refused, and everything goes on as before */
static void bad_rekey(struct flow *f, int fd, int name)
{
	union ref_info info;
	struct ref_epoch e = { 0 };
	socklen_t len;

	key(f, &e, 60);
	len = ref_info(&e, &info);
	switch (rnd(4)) {
	case 0:
		info.info.version ^= 7;
		break;
	case 1:
		info.info.cipher_type = 58;
		break;
	case 2:
		len -= 1 + (socklen_t)rnd(len);
		break;
	default:
		info.info.cipher_type = info.info.cipher_type == TLS_CIPHER_AES_GCM_128 ?
					TLS_CIPHER_AES_CCM_128 : TLS_CIPHER_AES_GCM_128;
	}
	say("%s: bad key, %u bytes", f->name, len);
	if (!setsockopt(fd, SOL_TLS, name, &info, len))
		fail("%s: a key was taken that cannot be", f->name);
	/* ENOENT: the kernel may lack the cipher */
	if (errno != EINVAL && errno != EBUSY && errno != ENOENT)
		fail("%s: bad key: errno %d (%s)", f->name, errno, strerror(errno));
}

static void ktls_limit(struct flow *f)
{
	uint16_t limit = (uint16_t)(rnd(3) ? REF_MAX : 64 + rnd(4000));

	say("%s: limit %u", f->name, limit);
	if (setsockopt(f->from, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &limit, sizeof(limit)))
		fail("%s: limit: errno %d", f->name, errno);
	f->limit = limit;
}

static void ktls_look(int fd)
{
	union ref_info info;
	socklen_t len = sizeof(info.info);

	if (getsockopt(fd, SOL_TLS, TLS_TX, &info, &len) || info.info.version != version)
		fail("getsockopt: errno %d", errno);
}

/* The reference's records, in segments of any size */
static void ref_push(struct flow *f, size_t most)
{
	size_t n = f->npending < most ? f->npending : most;
	ssize_t m = n ? send(f->from, f->pending, n, MSG_NOSIGNAL) : 0;

	if (m < 0 && !again())
		fail("%s: the reference cannot send: errno %d (%s)", f->name, errno, strerror(errno));
	if (m > 0) {
		f->npending -= (size_t)m;
		memmove(f->pending, f->pending + m, f->npending);
	}
	if (!f->npending)
		all_arrives(f);
}

static void ref_queue(struct flow *f, uint8_t type, const void *bytes, size_t len, size_t pad)
{
	f->pending = realloc(f->pending, f->npending + len + pad + 100);
	f->npending += ref_seal(&f->seal, type, bytes, len, pad, f->pending + f->npending);
}

static void ref_send(struct flow *f)
{
	size_t len = rnd(10) ? some_size(REF_MAX) : 0, pad = 0;
	uint8_t type = REF_DATA;

	if (f->npending > 200000)
		return;
	if (is13() && rnd(4) == 0) {
		pad = rnd(2) ? rnd(300) : rnd(REF_MAX);
		if (pad > REF_MAX - len)
			pad = REF_MAX - len;
	}
	if (rnd(8) == 0) {
		type = some_type();
		if (type == REF_HANDSHAKE)
			type = 25;
		if (len > 3000 && rnd(4))
			len = 1 + rnd(3000);
	}
	ref_fill(data, len, f->content, f->sent);
	ref_queue(f, type, data, len, pad);
	say("%s: record %u of %zu and %zu padding", f->name, type, len, pad);
	add_message(f, type, len, false);
	if (rnd(4))
		ref_push(f, rnd(3) ? SIZE_MAX : 1 + rnd(f->npending));
}

static void ref_rekey(struct flow *f)
{
	if (!is13())
		return;
	say("%s: KeyUpdate", f->name);
	ref_queue(f, REF_HANDSHAKE, key_update, sizeof(key_update), rnd(2) ? 0 : rnd(100));
	add_message(f, REF_HANDSHAKE, sizeof(key_update), true);
	f->sent -= sizeof(key_update);
	key(f, &f->seal, ++f->tx_keys);
	ref_push(f, SIZE_MAX);
}

static void send_something(struct flow *f)
{
	if (!f->from_ktls) {
		if (!room(f) || rnd(5) == 0)
			ref_push(f, 1 + rnd(20000));
		else if (rnd(15) == 0)
			ref_rekey(f);
		else
			ref_send(f);
		return;
	}
	if (f->shut)
		return;
	if (!room(f)) {
		ktls_flush(f);
		return;
	}
	switch (rnd(16)) {
	case 0 ... 5:
		return ktls_send(f);
	case 6:
	case 7:
		return ktls_sendmsg(f);
	case 8:
		return ktls_sendfile(f);
	case 9:
	case 10:
		return ktls_splice(f);
	case 11:
		return ktls_flush(f);
	case 12:
		return ktls_control(f);
	case 13:
		return ktls_rekey(f);
	case 14:
		return rnd(2) ? ktls_limit(f) : ktls_look(f->from);
	default:
		return bad_rekey(f, f->from, TLS_TX);
	}
}

/* --- receivers --- */

/* Whatever the reason that there is nothing now: something has to come */
static bool must_come(const struct flow *f)
{
	const struct message *m = &f->messages[f->next];

	if (f->expired)
		return false;
	if (all_seen(f))
		return f->shut;
	if (m->type == REF_DATA)
		return run_arrived(f) != 0;
	return f->next < f->msgs_arrived;
}

static bool comes(const struct flow *f)
{
	struct pollfd p = { .fd = f->to, .events = POLLIN };

	return poll(&p, 1, PATIENCE_MS * slowness) == 1 && p.revents & POLLIN;
}

static void ktls_next_key(struct flow *f)
{
	key(f, &f->open, ++f->rx_keys);
	say("%s: next key", f->name);
	if (tls_key(f->to, TLS_RX, &f->open))
		fail("%s: TLS_RX: errno %d (%s)", f->name, errno, strerror(errno));
	f->expired = false;
}

static void want_error(const struct flow *f, ssize_t n, int want)
{
	if (n != -1 || errno != want)
		fail("%s: %zd, errno %d (%s), want %s", f->name, n, errno, strerror(errno), strerror(want));
}

static void ktls_recv(struct flow *f)
{
	size_t len = some_size(sizeof(got)), n_want;
	bool peek = rnd(6) == 0, cmsg = rnd(4) != 0, all = rnd(6) == 0;
	int flags = peek ? MSG_PEEK : 0;
	const struct message *m;
	uint8_t type = REF_DATA;
	ssize_t n;

	step_over_read(f);
	m = &f->messages[f->next];
	/* To wait is safe for what has certainly arrived */
	if (all && !peek && run_arrived(f)) {
		if (len > run_arrived(f))
			len = run_arrived(f);
		fcntl(f->to, F_SETFL, 0);
		n = recv(f->to, got, len, MSG_WAITALL);
		fcntl(f->to, F_SETFL, O_NONBLOCK);
		say("%s: recv %zu all: %zd", f->name, len, n);
		if (n != (ssize_t)len)
			fail("%s: MSG_WAITALL gives %zd of %zu, errno %d (%s)", f->name, n, len, errno, strerror(errno));
		compare(f, REF_DATA, got, len, true);
		return;
	}
retry:
	errno = 0;
	n = cmsg ? tls_recv_type(f->to, &type, got, len, flags) : recv(f->to, got, len, flags);
	say("%s: recv %zu%s%s: %zd", f->name, len, peek ? " peek" : "", cmsg ? "" : ", no cmsg", n < 0 ? -errno : n);
	if (f->expired)
		return want_error(f, n, EKEYEXPIRED);
	if (n < 0 && again()) {
		if (!must_come(f))
			return;
		if (!comes(f))
			fail("%s: nothing comes, but %zu bytes of type %u should", f->name, m->len - f->off, m->type);
		/* poll says readable of an empty record, too: so more than once */
		goto retry;
	}
	if (!all_seen(f) && m->type != REF_DATA && !cmsg)
		return want_error(f, n, EIO);
	if (n < 0)
		fail("%s: recv: errno %d (%s)", f->name, errno, strerror(errno));
	if (!n && f->shut && all_seen(f)) {
		if (f->npending)
			fail("%s: the end comes too early", f->name);
		f->ended = true;
		return;
	}
	if (!n && !(cmsg && type && type != REF_DATA))
		fail("%s: the end comes too early", f->name);
	if (cmsg && !type)
		fail("%s: %zd bytes without their type", f->name, n);
	n_want = m->type == REF_DATA ? (size_t)n : m->len - f->off < len ? m->len - f->off : len;
	if ((size_t)n != n_want)
		fail("%s: %zd bytes of a control record, want %zu", f->name, n, n_want);
	compare(f, type, got, (size_t)n, !peek);
}

static void ktls_splice_out(struct flow *f)
{
	size_t len = some_size(60000);
	int p[2];
	ssize_t n;

	step_over_read(f);
	if (pipe(p))
		fail("pipe");
	if (rnd(2))
		fcntl(p[1], F_SETPIPE_SZ, 4096);
	n = splice(f->to, NULL, p[1], NULL, len, SPLICE_F_NONBLOCK);
	say("%s: splice out %zu: %zd", f->name, len, n < 0 ? -errno : n);
	if (f->expired) {
		want_error(f, n, EKEYEXPIRED);
	} else if (n < 0 && !again()) {
		if (all_seen(f) || f->messages[f->next].type == REF_DATA)
			fail("%s: splice: errno %d (%s)", f->name, errno, strerror(errno));
		want_error(f, n, EINVAL);
	} else if (!n && !(f->shut && all_seen(f))) {
		fail("%s: the end comes too early", f->name);
	} else if (n > 0) {
		if (read(p[0], got, sizeof(got)) != n)
			fail("%s: the pipe has not what splice said", f->name);
		compare(f, REF_DATA, got, (size_t)n, true);
	}
	close(p[0]);
	close(p[1]);
}

/* poll must not say readable of what cannot be read */
static void ktls_poll(struct flow *f)
{
	struct pollfd p = { .fd = f->to, .events = POLLIN };
	uint8_t type;

	step_over_read(f);
	if (poll(&p, 1, 0) < 0)
		fail("poll");
	say("%s: poll: %#x", f->name, p.revents);
	if (!(p.revents & POLLIN)) {
		if (must_come(f) && !comes(f))
			fail("%s: poll never says readable", f->name);
		return;
	}
	if (f->expired)
		fail("%s: readable, and the key is not there", f->name);
	/* But it may be an empty record, which only the reference sends, or the end */
	if (f->from_ktls && !f->shut && tls_recv_type(f->to, &type, got, 1, MSG_PEEK) < 0)
		fail("%s: readable, and then errno %d (%s)", f->name, errno, strerror(errno));
}

static void ref_recv(struct flow *f, size_t most)
{
	while (most) {
		size_t want = f->nin < REF_HDR ? REF_HDR - f->nin : REF_HDR + (size_t)(f->in[3] << 8 | f->in[4]) - f->nin;
		uint8_t type;
		ssize_t n;

		n = recv(f->to, f->in + f->nin, want < most ? want : most, 0);
		if (n < 0 && again()) {
			if (!must_come(f))
				return;
			if (!comes(f))
				fail("%s: nothing comes; %llu bytes of %llu were seen", f->name,
				     (unsigned long long)f->seen, (unsigned long long)f->sent);
			continue;
		}
		if (n < 0)
			fail("%s: the reference cannot receive: errno %d (%s)", f->name, errno, strerror(errno));
		if (!n) {
			step_over_read(f);
			if (!f->shut || f->nin || !all_seen(f))
				fail("%s: the end comes too early: %llu bytes of %llu were seen", f->name,
				     (unsigned long long)f->seen, (unsigned long long)f->sent);
			f->ended = true;
			return;
		}
		f->nin += (size_t)n;
		most -= (size_t)n;
		if (f->nin < REF_HDR || f->nin < REF_HDR + (size_t)(f->in[3] << 8 | f->in[4]))
			continue;
		n = ref_open(&f->open, f->in, f->nin, &type, got, NULL);
		f->nin = 0;
		if (n < 0)
			fail("%s: a record cannot be opened", f->name);
		if (!n)
			fail("%s: an empty record", f->name);
		step_over_read(f);
		if (f->next < f->nmessages && f->messages[f->next].type != REF_DATA &&
		    (size_t)n != f->messages[f->next].len)
			fail("%s: a control record of %zd, want %zu", f->name, n, f->messages[f->next].len);
		compare(f, type, got, (size_t)n, true);
		if (f->expired) {
			f->expired = false;
			key(f, &f->open, ++f->rx_keys);
		}
	}
}

static void receive_something(struct flow *f)
{
	if (f->ended)
		return;
	if (!f->to_ktls) {
		size_t most = some_size(60000);

		say("%s: the reference receives up to %zu", f->name, most);
		ref_recv(f, most);
		return;
	}
	switch (rnd(12)) {
	case 0 ... 6:
		return ktls_recv(f);
	case 7:
	case 8:
		return ktls_splice_out(f);
	case 9:
		return ktls_poll(f);
	case 10:
		return bad_rekey(f, f->to, TLS_RX);
	default:
		if (f->expired)
			ktls_next_key(f);
	}
}

/* --- a sequence --- */

static void shut(struct flow *f)
{
	if (f->shut || f->npending)
		return;
	say("%s: shutdown", f->name);
	if (shutdown(f->from, SHUT_WR))
		fail("%s: shutdown: errno %d (%s)", f->name, errno, strerror(errno));
	f->shut = true;
	all_arrives(f);
}

static void begin(void)
{
	bool both, tiny = false;
	int fd[2], size;

	rng = ref_mix(seed);
	version = rnd(3) ? TLS_1_3_VERSION : TLS_1_2_VERSION;
	cipher = &ref_ciphers[rnd(4)];
	both = rnd(3) == 0;
	snprintf(shared->kind, sizeof(shared->kind), "TLS %s %s%s", is13() ? "1.3" : "1.2", cipher->name,
		 both ? ", both ends" : "");
	if (tcp_pair(rnd(2) ? AF_INET : AF_INET6, fd))
		fail("no connection");
	for (int i = 0; i < 2; i++) {
		if (rnd(3) == 0) {
			size = (int)(rnd(2) ? 4096 : 1 + rnd(60000));
			tiny |= size < 20000;
			setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
			say("%s: SO_SNDBUF %d", i ? "back" : "there", size);
		}
		if (rnd(3) == 0) {
			size = (int)(rnd(2) ? 2048 : 1 + rnd(60000));
			tiny |= size < 20000;
			setsockopt(fd[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
			say("%s: SO_RCVBUF %d", i ? "there" : "back", size);
		}
	}
	for (int i = 0; i < 2; i++) {
		struct flow *f = &flows[i];

		f->name = i ? "back" : "there";
		f->from = fd[i];
		f->to = fd[!i];
		f->from_ktls = both || !i;
		f->to_ktls = both || i;
		f->content = seed * 2 + (uint64_t)i;
		f->limit = REF_MAX;
		f->max_bytes = tiny ? MAX_BYTES_TINY : MAX_BYTES;
		f->in = malloc(REF_RECORD);
		key(f, &f->seal, 0);
		key(f, &f->open, 0);
		fcntl(fd[i], F_SETFL, O_NONBLOCK);
	}
	for (int i = 0; i < 2; i++)
		if ((both || !i) && (tls_ulp(fd[i]) || tls_key(fd[i], TLS_TX, &flows[i].seal) ||
				     tls_key(fd[i], TLS_RX, &flows[!i].open)))
			fail("no TLS: errno %d (%s)", errno, strerror(errno));
	if (is13() && rnd(4) == 0)
		setsockopt(fd[0], SOL_TLS, TLS_RX_EXPECT_NO_PAD, &(int){ 1 }, sizeof(int));
}

static void sequence(void)
{
	unsigned int steps;
	struct timespec t;
	time_t end;

	begin();
	steps = 40 + (unsigned int)rnd(200);
	for (unsigned int i = 0; i < steps; i++) {
		struct flow *f;

		rng = ref_mix(seed ^ (uint64_t)i << 40);
		f = &flows[rnd(2)];
		if (rnd(2))
			send_something(f);
		else
			receive_something(f);
		if (rnd(300) == 0)
			shut(f);
	}
	shared->steps = steps;
	say("the end: all is received");
	clock_gettime(CLOCK_MONOTONIC, &t);
	end = t.tv_sec + 10 * slowness;
	while (!flows[0].ended || !flows[1].ended) {
		for (int i = 0; i < 2; i++) {
			struct flow *f = &flows[i];

			if (!f->from_ktls)
				ref_push(f, SIZE_MAX);
			shut(f);
			if (f->expired && f->to_ktls)
				ktls_next_key(f);
			if (f->ended)
				continue;
			if (f->to_ktls)
				ktls_recv(f);
			else
				ref_recv(f, 100000);
		}
		clock_gettime(CLOCK_MONOTONIC, &t);
		if (t.tv_sec > end)
			fail("no end: %llu of %llu bytes there, %llu of %llu back", (unsigned long long)flows[0].seen,
			     (unsigned long long)flows[0].sent, (unsigned long long)flows[1].seen,
			     (unsigned long long)flows[1].sent);
	}
	shared->bytes = flows[0].sent + flows[1].sent;
}

int main(int argc, char **argv)
{
	double seconds = argc == 4 ? atof(argv[3]) : 1e9;
	unsigned int n = 0, failed = 0, count;
	struct timespec t;
	double start, begun;
	uint64_t first;

	if (argc < 3 || argc > 4) {
		fputs("usage: ktls_fuzz SEED COUNT [SECONDS]\n", stderr);
		return 2;
	}
	first = strtoull(argv[1], NULL, 0);
	count = (unsigned int)atoi(argv[2]);
	if (getenv("slowness"))
		slowness = atoi(getenv("slowness"));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signal(SIGPIPE, SIG_IGN);
	for (unsigned int i = 0; i < ref_nciphers; i++)
		ref_have(&ref_ciphers[i]);
	clock_gettime(CLOCK_MONOTONIC, &t);
	start = (double)t.tv_sec;

	for (; n < count; n++) {
		struct pollfd p = { .events = POLLIN };
		int status = 0;
		pid_t pid;

		clock_gettime(CLOCK_MONOTONIC, &t);
		begun = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
		if (n && (double)t.tv_sec - start > seconds)
			break;
		memset(shared, 0, offsetof(struct shared, log));
		fflush(stdout);
		seed = first + n;
		pid = fork();
		if (!pid) {
			sequence();
			_exit(0);
		}
		p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (poll(&p, 1, 30000 * slowness) != 1) {
			strcpy(shared->why, "it hangs");
			shared->failed = true;
			kill(pid, SIGKILL);
			poll(&p, 1, 5000);
		}
		close(p.fd);
		waitpid(pid, &status, WNOHANG);
		if (status && !shared->failed) {
			snprintf(shared->why, sizeof(shared->why), "ended with wait status %#x", status);
			shared->failed = true;
		}
		clock_gettime(CLOCK_MONOTONIC, &t);
		printf("%sok %u - seed %llu: %s, %u steps, %llu bytes, %.1f s\n", shared->failed ? "not " : "", n + 1,
		       (unsigned long long)seed, shared->kind, shared->steps, (unsigned long long)shared->bytes,
		       (double)t.tv_sec + (double)t.tv_nsec / 1e9 - begun);
		if (!shared->failed)
			continue;
		failed++;
		for (unsigned int i = 0; i < shared->lines; i++)
			printf("#   %s\n", shared->log[i]);
		printf("# %s\n", shared->why);
	}
	printf("1..%u\n", n);
	return failed != 0;
}
