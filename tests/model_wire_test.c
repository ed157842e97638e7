// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The far sides of the model's wires: QEMU's sockets, a tap, nothing.  Each is
 * joined to a port that is played here, and driven by the model's own loop:
 * frames both ways, what a peer can do wrong, a side that takes nothing, one
 * that goes and comes.  What is lost is counted, and who waits sleeps.
 */
#define _GNU_SOURCE 1

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"
#include "../tools/sealnic-model/port.h"	/* the firmware has one, too */
#include "tun.h"
#include "usock.h"
#include "wire.h"

#define ETH_P_TEST	0x88b5		/* for local experiments */
#define STREAM_PREFIX	4
#define STUCK_MS	200		/* after which a lane gives up: lane.c */
#define PATIENCE	(20 * NSEC_PER_SEC)

static unsigned int tests, failed;
static char why[256];	/* the first THAT() that was not so */

static void ok(bool good, const char *name)
{
	tests++;
	failed += !good;
	printf("%sok %u - %s\n%s", good ? "" : "not ", tests, name, good ? "" : why);
	fflush(stdout);
	why[0] = 0;
}

/* In a row of conditions, says which it was */
static bool that(bool good, const char *what, int line)
{
	if (!good && !why[0])
		snprintf(why, sizeof(why), "# line %d: not so: %s\n", line, what);
	return good;
}
#define THAT(x) that(x, #x, __LINE__)

/*
 * Frames: each has its number and its length in it
 */

static void fill(uint8_t *p, uint32_t nr, uint32_t len)
{
	uint32_t head[2] = { htonl(nr), htonl(len) };

	for (uint32_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 37 + nr * 11 + i / 256);
	p[0] = 2;	/* a station's address, that nobody has */
	p[12] = ETH_P_TEST >> 8;
	p[13] = ETH_P_TEST & 255;
	memcpy(p + 1, head, sizeof(head));
}

static bool right(const uint8_t *p, uint32_t len, uint32_t *nr)
{
	static uint8_t want[LANE_MAX_FRAME];

	if (len < LANE_MIN_FRAME || len > LANE_MAX_FRAME)
		return false;
	memcpy(nr, p + 1, sizeof(*nr));
	*nr = ntohl(*nr);
	fill(want, *nr, len);
	return !memcmp(p, want, len);
}

/* What arrived at one end */
struct seen {
	uint32_t frames;
	uint32_t next;		/* the number that should come */
	uint32_t missing;
	uint32_t bad;		/* wrong content, twice, or out of order */
};

static void see(struct seen *s, const uint8_t *p, uint32_t len)
{
	uint32_t nr;

	if (!right(p, len, &nr) || nr < s->next) {
		s->bad++;
		return;
	}
	s->missing += nr - s->next;
	s->next = nr + 1;
	s->frames++;
}

static bool saw_all(const struct seen *s, uint32_t frames)
{
	return s->frames == frames && !s->missing && !s->bad;
}

static const uint32_t lengths[] = { 14, 15, 60, 61, 1514, 9014, 65550, LANE_MAX_FRAME };

/*
 * The port, and the model's loop
 */

static struct port port;
static struct seen port_saw;
static bool port_full;
static unsigned int port_wakes;

enum fw_rx_result port_deliver(void *receiver, const struct fw_frame *frame, bool may_hold)
{
	uint32_t len = frame->hdr_len + frame->data_len;
	uint8_t *p;

	if (receiver != &port)
		abort();
	if (port_full)
		return may_hold ? FW_RX_HOLD : FW_RX_TAKEN;
	p = malloc(len);
	memcpy(p, frame->hdr, frame->hdr_len);
	if (frame->data_len)
		memcpy(p + frame->hdr_len, frame->data, frame->data_len);
	/* A tap's kernel has something to say of its own */
	if (len < LANE_MIN_FRAME || (p[12] << 8 | p[13]) == ETH_P_TEST)
		see(&port_saw, p, len);
	free(p);
	return FW_RX_TAKEN;
}

void port_wake(void *sender)
{
	if (sender != &port)
		abort();
	port_wakes++;
}

void port_set_link(struct port *p, bool up)
{
	p->link = up;
}

/* As the device has it: headers, and data behind them; both end where they end */
static void port_send(uint32_t nr, uint32_t len)
{
	uint32_t hdr_len = len < 54 ? len : 54;
	uint8_t *flat = malloc(len), *hdr = malloc(hdr_len), *data = malloc(len - hdr_len + 1);

	fill(flat, nr, len);
	memcpy(hdr, flat, hdr_len);
	memcpy(data, flat + hdr_len, len - hdr_len);
	lane_tx(port.out, &(struct fw_frame) {
		.hdr = hdr,
		.hdr_len = hdr_len,
		.data = len > hdr_len ? data : NULL,
		.data_len = len - hdr_len,
	});
	free(flat);
	free(hdr);
	free(data);
}

/* One round of the model's main loop that ends at @until, whatever happens */
static void turn(uint64_t until)
{
	loop_wait(min_u64(wires_run(now_ns()), until));
}

/* Return: how many rounds the model makes in that time, two at least */
static unsigned int turns(unsigned int ms)
{
	uint64_t end = now_ns() + ms * NSEC_PER_MSEC;
	unsigned int n;

	for (n = 0; n < 2 || now_ns() < end; n++)
		turn(end);
	return n;
}

/*
 * A turn of 1 ms, for loops that count how many of them brought nothing: this
 * machine may have been elsewhere for any time, and then so was the model.
 */
#define QUIET_TURNS	50

static uint64_t last_turn, longest_turn;

static void short_turn(void)
{
	uint64_t now = now_ns();

	if (last_turn && now - last_turn > longest_turn)
		longest_turn = now - last_turn;
	last_turn = now;
	turn(now + NSEC_PER_MSEC);
}

static void settle(void)
{
	for (int i = 0; i < QUIET_TURNS; i++)
		short_turn();
}

/* Until the model would sleep, with nothing left to do but to wait for somebody */
static void until_asleep(void)
{
	uint64_t start, end, next;

	do {
		start = now_ns();
		end = start + 30 * NSEC_PER_MSEC;
		next = wires_run(start);
		loop_wait(min_u64(next, end));
	} while (next < end || now_ns() < end);
}

static bool wait_for(bool (*what)(const void *), const void *arg)
{
	uint64_t end = now_ns() + PATIENCE;

	while (!what(arg)) {
		if (now_ns() >= end)
			return false;
		turn(now_ns() + NSEC_PER_MSEC);
	}
	return true;
}

static bool link_up(const void *arg)
{
	(void)arg;
	return port.link;
}

static bool link_down(const void *arg)
{
	(void)arg;
	return !port.link;
}

static bool port_saw_frames(const void *frames)
{
	return port_saw.frames + port_saw.bad >= *(const uint32_t *)frames;
}

static bool arrives(uint32_t frames)
{
	return THAT(wait_for(port_saw_frames, &frames)) && THAT(saw_all(&port_saw, frames));
}

static struct lane_counters *sent(void)		/* by the port */
{
	return &wires_lane(0)->count;
}

static struct lane_counters *received(void)	/* for it */
{
	return &wires_lane(1)->count;
}

static bool join(const char *kind, struct far *far)
{
	if (!far)
		return false;
	port = (struct port) { .fw = (struct fw *)&port };
	port_saw = (struct seen) { 0 };
	port_full = false;
	if (wire_far(&port, kind, far))
		return false;
	turns(1);
	return true;
}

/*
 * Paths
 */

static char dir[] = "/tmp/model-wire.XXXXXX";
static char path_a[64], path_b[64];

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	strcpy(addr.sun_path, path);
	return addr;
}

static int bound(const char *path, int type)
{
	struct sockaddr_un addr = address(path);
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);

	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -1 : fd;
}

static bool paths(int type)
{
	static char too_long[200];
	struct stat st;
	int fd, other;
	bool good;

	memset(too_long, 'x', sizeof(too_long) - 1);
	good = THAT(usock_bind(too_long, type) < 0) && THAT(usock_bind("/no/such/place", type) < 0);

	/* Not a socket */
	close(open(path_a, O_CREAT | O_WRONLY, 0600));
	good = good && THAT(usock_bind(path_a, type) < 0) && THAT(!stat(path_a, &st)) &&
	       THAT(S_ISREG(st.st_mode));
	unlink(path_a);

	/* Of a living process, of either type; then of a dead one */
	for (int t = 0; t < 2; t++) {
		other = bound(path_a, t ? SOCK_STREAM : SOCK_DGRAM);
		if (t)
			listen(other, 1);
		good = good && THAT(usock_bind(path_a, type) < 0) && THAT(!access(path_a, F_OK));
		close(other);
		fd = usock_bind(path_a, type);
		good = good && THAT(fd >= 0) && THAT(!stat(path_a, &st)) &&
		       THAT(!(st.st_mode & 077));
		usock_close(fd, path_a);
		good = good && THAT(access(path_a, F_OK));
	}
	return good;
}

/*
 * The stream
 */

struct peer {
	int fd;
	struct seen saw;
	size_t len;
	uint8_t buf[1 << 20];
};

static struct peer peer;

/* Return: a connection, taken by the model or waiting for it */
static int stream_connect(void)
{
	struct sockaddr_un addr = address(path_a);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool peer_comes(void)
{
	peer.fd = stream_connect();
	peer.saw = (struct seen) { 0 };
	peer.len = 0;
	port_saw = (struct seen) { 0 };
	return THAT(peer.fd >= 0) && THAT(wait_for(link_up, NULL));
}

static bool peer_goes(void)
{
	close(peer.fd);
	return THAT(wait_for(link_down, NULL));
}

/* Writes it all, while the model runs */
static bool peer_writes(const uint8_t *p, size_t len)
{
	uint64_t end = now_ns() + PATIENCE;
	ssize_t n;

	while (len && now_ns() < end) {
		n = send(peer.fd, p, len, MSG_NOSIGNAL);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN) {
			return false;
		}
		if (len)
			turn(now_ns() + NSEC_PER_MSEC);
	}
	return !len;
}

/* A frame behind its length, at @p. Return: the bytes of both */
static size_t put(uint8_t *p, uint32_t nr, uint32_t len)
{
	uint32_t prefix = htonl(len);

	memcpy(p, &prefix, STREAM_PREFIX);
	fill(p + STREAM_PREFIX, nr, len);
	return STREAM_PREFIX + len;
}

/* Takes what is there; false when the model has hung up */
static bool peer_reads(void)
{
	size_t pos = 0;
	uint32_t len;
	ssize_t n;

	n = recv(peer.fd, peer.buf + peer.len, sizeof(peer.buf) - peer.len, 0);
	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	peer.len += (size_t)n;
	while (peer.len - pos >= STREAM_PREFIX) {
		memcpy(&len, peer.buf + pos, STREAM_PREFIX);
		len = ntohl(len);
		if (len > LANE_MAX_FRAME) {
			peer.saw.bad++;
			peer.len = 0;
			return true;
		}
		if (peer.len - pos - STREAM_PREFIX < len)
			break;
		see(&peer.saw, peer.buf + pos + STREAM_PREFIX, len);
		pos += STREAM_PREFIX + len;
	}
	memmove(peer.buf, peer.buf + pos, peer.len - pos);
	peer.len -= pos;
	return true;
}

static bool peer_saw_frames(const void *frames)
{
	peer_reads();
	return peer.saw.frames + peer.saw.bad >= *(const uint32_t *)frames;
}

static bool peer_gets(uint32_t frames)
{
	return THAT(wait_for(peer_saw_frames, &frames)) && THAT(saw_all(&peer.saw, frames));
}

static bool peer_hung_up(const void *arg)
{
	(void)arg;
	return !peer_reads();
}

static bool stream_link(void)
{
	bool good = THAT(!port.link);

	port_send(0, 100);
	good = good && THAT(sent()->dropped_link == 1) && peer_comes() && peer_goes() &&
	       peer_comes();
	return good && peer_goes();
}

static bool stream_out(void)
{
	uint32_t nr = 0;
	bool good = peer_comes();

	for (; nr < 4 * ARRAY_SIZE(lengths); nr++) {
		port_send(nr, lengths[nr % ARRAY_SIZE(lengths)]);
		good = good && peer_gets(nr + 1);
	}
	for (; nr < 300; nr++)
		port_send(nr, 60 + nr);
	return good && peer_gets(nr) && THAT(!peer.len) && peer_goes();
}

static uint8_t big[1 << 20];

static bool stream_in(void)
{
	bool good = peer_comes();
	size_t n = 0;

	for (uint32_t nr = 0; nr < ARRAY_SIZE(lengths); nr++)
		good = good && THAT(peer_writes(big, put(big, nr, lengths[nr]))) && arrives(nr + 1);
	/* In one write, which is more than one read of the model can take */
	port_saw = (struct seen) { 0 };
	for (uint32_t nr = 0; nr < 4 * ARRAY_SIZE(lengths); nr++)
		n += put(big + n, nr, lengths[nr % ARRAY_SIZE(lengths)]);
	return good && THAT(peer_writes(big, n)) && arrives(4 * ARRAY_SIZE(lengths)) &&
	       peer_goes();
}

/* Wherever it is cut: in the length, in the frame, between the two */
static bool stream_in_pieces(void)
{
	bool good = peer_comes();
	uint32_t frames = 0;
	size_t n;

	for (size_t cut = 1; cut < 2 * (STREAM_PREFIX + 20) && good; cut++) {
		n = put(big, frames, 20);
		n += put(big + n, frames + 1, 20);
		good = THAT(peer_writes(big, cut));
		turns(1);
		good = good && THAT(port_saw.frames == frames + cut / (STREAM_PREFIX + 20)) &&
		       THAT(peer_writes(big + cut, n - cut)) && arrives(frames + 2);
		frames += 2;
	}
	n = put(big, frames++, 100);
	for (size_t i = 0; i < n && good; i++) {
		good = THAT(peer_writes(big + i, 1));
		turn(now_ns());
	}
	good = good && arrives(frames);
	n = put(big, frames++, LANE_MAX_FRAME);
	for (size_t i = 0; i < n && good; i += 1000) {
		good = THAT(peer_writes(big + i, n - i < 1000 ? n - i : 1000));
		turn(now_ns());
	}
	return good && arrives(frames) && peer_goes();
}

/* The frames before it arrive, nothing after it does, and the next peer begins anew */
static bool stream_bad_length(uint32_t bad_length)
{
	uint32_t prefix = htonl(bad_length);
	bool good = peer_comes();
	size_t n;

	n = put(big, 0, 60);
	n += put(big + n, 1, 1514);
	memcpy(big + n, &prefix, STREAM_PREFIX);
	n += STREAM_PREFIX;
	n += put(big + n, 2, 60);
	good = good && THAT(peer_writes(big, n)) && THAT(wait_for(link_down, NULL)) &&
	       THAT(wait_for(peer_hung_up, NULL)) && THAT(saw_all(&port_saw, 2));
	close(peer.fd);
	good = good && peer_comes() && THAT(peer_writes(big, put(big, 0, 60))) && arrives(1);
	return good && peer_goes();
}

/* No Ethernet frame, but no reason to hang up */
static bool stream_short(void)
{
	uint64_t dropped = received()->dropped_link;
	bool good = peer_comes();
	size_t n = 0;

	for (uint32_t len = 1; len < LANE_MIN_FRAME; len++) {
		uint32_t prefix = htonl(len);

		memcpy(big + n, &prefix, STREAM_PREFIX);
		memset(big + n + STREAM_PREFIX, 0x55, len);
		n += STREAM_PREFIX + len;
	}
	n += put(big + n, 0, 60);
	return good && THAT(peer_writes(big, n)) && arrives(1) &&
	       THAT(received()->dropped_link - dropped == LANE_MIN_FRAME - 1) && peer_goes();
}

/* A peer that leaves in mid-frame leaves nothing behind for the next one */
static bool stream_half(void)
{
	bool good = peer_comes();

	put(big, 0, 1514);
	good = good && THAT(peer_writes(big, 700));
	turns(1);
	good = good && peer_goes() && peer_comes();
	for (uint32_t nr = 0; nr < 5; nr++)
		good = good && THAT(peer_writes(big, put(big, nr, 1514)));
	return good && arrives(5) && peer_goes();
}

/* What was sent before the end arrives */
static bool stream_last_words(void)
{
	bool good = peer_comes();
	size_t n = 0;

	for (uint32_t nr = 0; nr < 100; nr++)
		n += put(big + n, nr, 1000);
	good = good && THAT(peer_writes(big, n));
	close(peer.fd);
	return good && arrives(100) && THAT(wait_for(link_down, NULL));
}

/* The port takes nothing: the peer has to wait, and the model sleeps meanwhile */
static bool stream_port_full(void)
{
	uint64_t stuck = received()->dropped_stuck, start;
	bool good = peer_comes();
	unsigned int n;
	uint32_t nr = 0;
	ssize_t len;

	port_full = true;
	start = now_ns();
	for (;; nr++) {
		size_t all = put(big, nr, 1514);

		len = send(peer.fd, big, all, MSG_NOSIGNAL);
		if (len != (ssize_t)all)
			break;
		turn(now_ns());
	}
	/* What did not fit */
	if (len < 0)
		len = 0;
	n = turns(20);
	good = good && THAT(nr > 100) && THAT(nr < 5000) && THAT(n < 10);
	port_full = false;
	if (now_ns() - start >= STUCK_MS * NSEC_PER_MSEC)
		return good && THAT(received()->dropped_stuck > stuck) && peer_goes();
	return good && THAT(peer_writes(big + len, STREAM_PREFIX + 1514 - (size_t)len)) &&
	       arrives(nr + 1) && THAT(received()->dropped_stuck == stuck) && peer_goes();
}

/* The peer goes while the model does not read what it sends */
static bool stream_gone_while_full(void)
{
	bool good = peer_comes();
	size_t n = 0;

	port_full = true;
	for (uint32_t nr = 0; nr < 1000; nr++)
		n += put(big + n, nr, 100);
	good = good && THAT(peer_writes(big, n));
	turns(1);
	close(peer.fd);
	good = good && THAT(turns(50) < 20) && THAT(wait_for(link_down, NULL));
	port_full = false;
	return good && peer_comes() && THAT(peer_writes(big, put(big, 0, 60))) && arrives(1) &&
	       peer_goes();
}

/* A cable that is pulled while the model waits for the port; it must not wait for ever */
static bool stream_pulled_while_full(void)
{
	uint64_t dropped = received()->dropped_link;
	bool good = peer_comes();
	size_t n = 0;

	port_full = true;
	for (uint32_t nr = 0; nr < 1000; nr++)
		n += put(big + n, nr, 100);
	good = good && THAT(peer_writes(big, n));
	turns(1);
	port.cable_out = true;
	turns(1);
	good = good && THAT(!port.link) && THAT(received()->dropped_link - dropped == 1000);
	port.cable_out = false;
	port_full = false;
	good = good && THAT(wait_for(link_up, NULL)) && THAT(peer_writes(big, put(big, 0, 60)));
	return good && arrives(1) && peer_goes();
}

/* Reads until nothing has come for a while */
static void peer_drains(void)
{
	for (int quiet = 0; quiet < QUIET_TURNS; quiet++) {
		size_t len = peer.len;
		uint32_t frames = peer.saw.frames;

		short_turn();
		if (!peer_reads())
			return;
		if (peer.len != len || peer.saw.frames != frames)
			quiet = 0;
	}
}

/* The model's end of the connection, for what only its owner can set */
static int model_end(void)
{
	struct sockaddr_un name, other;
	socklen_t len, other_len;

	for (int fd = 3; fd < 256; fd++) {
		len = sizeof(name);
		other_len = sizeof(other);
		memset(&name, 0, sizeof(name));
		if (!getsockname(fd, (struct sockaddr *)&name, &len) &&
		    !strcmp(name.sun_path, path_a) &&
		    !getpeername(fd, (struct sockaddr *)&other, &other_len))
			return fd;
	}
	return -1;
}

/*
 * The peer takes nothing.  What the lane can hold comes when it reads again;
 * after STUCK_MS all else is dropped, and counted.  @sndbuf: for sends that end
 * in mid-frame; the usual size, which has room for a frame or has not, has none.
 */
static bool stream_peer_full(uint32_t len, int sndbuf, bool stuck)
{
	bool good = peer_comes();
	struct lane_counters was = *sent();
	uint64_t start = now_ns();
	uint32_t frames = 0, lost;

	last_turn = 0;
	longest_turn = 0;
	if (sndbuf)
		good = good && THAT(!setsockopt(model_end(), SOL_SOCKET, SO_SNDBUF, &sndbuf,
						sizeof(sndbuf)));
	while (lane_ready(port.out) && frames < 5000) {
		port_send(frames++, len);
		turn(now_ns());
	}
	good = good && THAT(frames > 10) && THAT(frames < 5000) && THAT(sent()->held > was.held) &&
	       THAT(turns(20) < 10);
	if (stuck) {
		turns(STUCK_MS + 50);
		for (int i = 0; i < 10; i++)
			port_send(frames++, len);
		good = good && THAT(turns(20) < 10) &&
		       THAT(sent()->dropped_stuck - was.dropped_stuck > 10);
	} else {
		stuck = now_ns() - start >= STUCK_MS * NSEC_PER_MSEC;
	}
	port_wakes = 0;
	peer_drains();
	/* This machine was elsewhere for too long, and the lane gave up */
	if (longest_turn > STUCK_MS / 10 * NSEC_PER_MSEC)
		stuck = true;
	lost = (uint32_t)(sent()->dropped_stuck - was.dropped_stuck);
	good = good && THAT(!peer.saw.bad) && THAT(!peer.len) &&
	       THAT(peer.saw.frames + lost == frames) && THAT(stuck || !lost) &&
	       THAT(stuck || port_wakes) && THAT(turns(20) < 10) &&
	       THAT(sent()->dropped_full == was.dropped_full);
	/* And on it goes */
	port_send(frames, len);
	peer_drains();
	return good && THAT(!peer.saw.bad) && THAT(peer.saw.next == frames + 1) && peer_goes();
}

/* A peer that leaves with half a frame before it: the next one gets whole ones */
static bool stream_gone_in_mid_frame(void)
{
	bool good = peer_comes();
	int sndbuf = 1;

	good = good && THAT(!setsockopt(model_end(), SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf)));
	port_send(0, LANE_MAX_FRAME);
	port_send(1, LANE_MAX_FRAME);
	good = good && THAT(sent()->held) && peer_goes() && peer_comes();
	port_send(0, 60);
	return good && peer_gets(1) && peer_goes();
}

/* There is one at a time; the second one's turn comes */
static bool stream_second(void)
{
	bool good = peer_comes();
	int first = peer.fd, second = stream_connect();

	good = good && THAT(second >= 0) && THAT(turns(20) < 10);
	port_send(0, 60);
	good = good && peer_gets(1);
	close(first);
	peer.fd = second;
	good = good && THAT(wait_for(link_down, NULL)) && THAT(wait_for(link_up, NULL));
	peer.saw = (struct seen) { 0 };
	port_saw = (struct seen) { 0 };
	port_send(0, 1514);
	good = good && peer_gets(1) && THAT(peer_writes(big, put(big, 0, 1514))) && arrives(1);
	return good && peer_goes();
}

/*
 * The lanes, not an event, find out that the peer is gone, and no other event
 * follows: the port has to be told before the model falls asleep.
 */
static bool stream_gone_seen_by_lane(void)
{
	bool good = peer_comes();

	wire_impair.delay_us = 5000;
	wires_impair_changed(false);
	port_send(0, 60);
	/* As in main(): a timer, then the wires, then the events; it is gone between the two */
	while (wires_lane(0)->delayed.head->due > now_ns())
		;
	close(peer.fd);
	until_asleep();
	wire_impair.delay_us = 0;
	wires_impair_changed(false);
	return good && THAT(!port.link) && THAT(wait_for(link_down, NULL));
}

static bool stream_bad_seen_by_lane(void)
{
	bool good = peer_comes();
	size_t n = 0;

	port_full = true;
	for (uint32_t nr = 0; nr < 600; nr++)
		n += put(big + n, nr, 60);
	memset(big + n, 0, STREAM_PREFIX);
	good = good && THAT(peer_writes(big, n + STREAM_PREFIX));
	turns(1);
	port_full = false;
	until_asleep();
	good = good && THAT(!port.link) && THAT(saw_all(&port_saw, 600));
	close(peer.fd);
	return good && THAT(wait_for(link_down, NULL));
}

/* Frames of all sizes cut anywhere, and a port that takes them now and then */
static bool stream_mixed(void)
{
	uint64_t stuck = received()->dropped_stuck;
	bool good = peer_comes();
	uint32_t frames = 0;

	srand(1);
	while (frames < 3000 && good) {
		size_t n = 0, pos = 0;

		while (n < 100000) {
			n += put(big + n, frames++, 14 + (uint32_t)rand() % (rand() % 20 ? 200 : 9000));
			if (rand() % 3000 == 0)
				n += put(big + n, frames++, LANE_MAX_FRAME);
		}
		while (pos < n && good) {
			size_t some = 1 + (size_t)rand() % (rand() % 2 ? 10 : 30000);

			port_full = rand() % 3 == 0;
			some = some < n - pos ? some : n - pos;
			good = THAT(peer_writes(big + pos, some));
			turn(now_ns());
			pos += some;
		}
	}
	port_full = false;
	peer_drains();
	return good && THAT(!port_saw.bad) &&
	       THAT(port_saw.frames + received()->dropped_stuck - stuck == frames) && peer_goes();
}

static void test_stream(void)
{
	ok(paths(SOCK_STREAM), "stream: a path is taken from the dead only");
	ok(join("stream", stream_open(path_a)), "stream: opens");
	ok(!stream_open(path_a), "stream: a second one at the same path does not");
	ok(stream_link(), "stream: there is a link while somebody is connected");
	ok(stream_out(), "stream: frames of all lengths to the peer");
	ok(stream_in(), "stream: frames of all lengths to the port, one by one and in one write");
	ok(stream_in_pieces(), "stream: frames in pieces");
	ok(stream_bad_length(0), "stream: length 0 ends the connection");
	ok(stream_bad_length(LANE_MAX_FRAME + 1), "stream: so does one beyond the greatest");
	ok(stream_bad_length(0x80000000), "stream: a negative one");
	ok(stream_bad_length(UINT32_MAX), "stream: one that wraps around");
	ok(stream_short(), "stream: what is shorter than a header is dropped and counted");
	ok(stream_half(), "stream: half a frame is forgotten with its sender");
	ok(stream_last_words(), "stream: what was sent before the end arrives");
	ok(stream_port_full(), "stream: a port that takes nothing makes the peer wait");
	ok(stream_gone_while_full(), "stream: a peer that goes meanwhile is noticed");
	ok(stream_pulled_while_full(), "stream: a cable that is pulled meanwhile");
	ok(stream_peer_full(1514, 0, false), "stream: a peer that does not read makes the port wait");
	ok(stream_peer_full(1514, 0, true), "stream: for so long; what is dropped then is counted");
	ok(stream_peer_full(9014, 1, false), "stream: the same with frames sent in pieces");
	ok(stream_peer_full(9014, 1, true), "stream: and for longer");
	ok(stream_peer_full(LANE_MAX_FRAME, 1, true), "stream: the greatest in pieces");
	ok(stream_gone_in_mid_frame(), "stream: the next peer does not get half of a frame");
	ok(stream_second(), "stream: a second peer waits for the first one to go");
	ok(stream_gone_seen_by_lane(), "stream: a delayed frame finds nobody: the link is down at once");
	ok(stream_bad_seen_by_lane(), "stream: a bad length that was read before the port had room: too");
	ok(stream_mixed(), "stream: all sizes, all pieces, a port that takes them now and then");
	wires_close();
	ok(access(path_a, F_OK), "stream: the path is gone at the end");
}

/*
 * Datagrams
 */

static void dgram_send(const void *p, size_t len)
{
	struct sockaddr_un addr = address(path_a);
	uint64_t end = now_ns() + PATIENCE;

	while (sendto(peer.fd, p, len, 0, (struct sockaddr *)&addr, sizeof(addr)) < 0 &&
	       now_ns() < end)
		turn(now_ns() + NSEC_PER_MSEC);
}

static bool dgram_saw_frames(const void *frames)
{
	ssize_t n;

	while ((n = recv(peer.fd, peer.buf, sizeof(peer.buf), 0)) >= 0)
		see(&peer.saw, peer.buf, (uint32_t)n);
	return peer.saw.frames + peer.saw.bad >= *(const uint32_t *)frames;
}

static bool dgram_gets(uint32_t frames)
{
	return THAT(wait_for(dgram_saw_frames, &frames)) && THAT(saw_all(&peer.saw, frames));
}

static bool dgram_comes(void)
{
	peer.fd = bound(path_b, SOCK_DGRAM);
	peer.saw = (struct seen) { 0 };
	port_saw = (struct seen) { 0 };
	return THAT(peer.fd >= 0);
}

static void dgram_goes(void)
{
	close(peer.fd);
	unlink(path_b);
}

static bool dgram_frames(void)
{
	bool good = dgram_comes() && THAT(port.link);

	for (uint32_t nr = 0; nr < 4 * ARRAY_SIZE(lengths); nr++) {
		uint32_t len = lengths[nr % ARRAY_SIZE(lengths)];

		port_send(nr, len);
		fill(big, nr, len);
		dgram_send(big, len);
		good = good && dgram_gets(nr + 1) && arrives(nr + 1);
	}
	dgram_goes();
	return good;
}

static bool dgram_lengths(void)
{
	static const uint32_t bad[] = { 0, 1, 13, LANE_MAX_FRAME + 1, 100000 };
	uint64_t dropped = received()->dropped_link;
	bool good = dgram_comes();

	for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(big, 0x55, bad[i]);
		dgram_send(big, bad[i]);
		fill(big, i, 60);
		dgram_send(big, 60);
		good = good && arrives(i + 1);
	}
	dgram_goes();
	return good && THAT(received()->dropped_link - dropped == ARRAY_SIZE(bad));
}

/* Nobody there, not any more, somebody else's kind of socket: lost, and nobody waits */
static bool dgram_nobody(void)
{
	struct lane_counters was = *sent();
	bool good = true;
	int fd = -1;

	for (int how = 0; how < 3; how++) {
		if (how == 1)
			close(bound(path_b, SOCK_DGRAM));
		if (how == 2) {
			unlink(path_b);
			fd = bound(path_b, SOCK_STREAM);
		}
		for (uint32_t nr = 0; nr < 100; nr++)
			port_send(nr, 60);
		good = good && THAT(turns(20) < 10) && THAT(port.link);
	}
	close(fd);
	unlink(path_b);
	good = good && THAT(sent()->frames - was.frames == 300) && THAT(sent()->held == was.held) &&
	       dgram_comes();
	port_send(0, 60);
	good = good && dgram_gets(1);
	dgram_goes();
	good = good && dgram_comes();
	port_send(0, 60);
	fill(big, 0, 60);
	dgram_send(big, 60);
	good = good && dgram_gets(1) && arrives(1);
	dgram_goes();
	return good;
}

static bool dgram_port_full(void)
{
	uint64_t stuck = received()->dropped_stuck;
	bool good = dgram_comes();
	uint32_t frames = 0;

	port_full = true;
	for (; frames < 5000; frames++) {
		struct sockaddr_un addr = address(path_a);

		fill(big, frames, 1000);
		if (sendto(peer.fd, big, 1000, 0, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			break;
		turn(now_ns());
	}
	good = good && THAT(frames > 500) && THAT(frames < 5000) && THAT(turns(20) < 10);
	port_full = false;
	settle();
	good = good && THAT(!port_saw.bad) &&
	       THAT(port_saw.frames + received()->dropped_stuck - stuck == frames);
	fill(big, frames, 1000);
	dgram_send(big, 1000);
	settle();
	dgram_goes();
	return good && THAT(port_saw.next == frames + 1) && THAT(!port_saw.bad);
}

static bool dgram_peer_full(bool stuck)
{
	struct lane_counters was = *sent();
	uint64_t start = now_ns();
	bool good = dgram_comes();
	uint32_t frames = 0, lost, all;

	while (lane_ready(port.out) && frames < 5000) {
		port_send(frames++, 1514);
		turn(now_ns());
	}
	/* It asks every ms, as nobody tells */
	good = good && THAT(frames < 5000) && THAT(sent()->held > was.held) &&
	       THAT(wires_run(start + NSEC_PER_MSEC) <= start + 2 * NSEC_PER_MSEC) &&
	       THAT(turns(20) < 60);
	if (stuck) {
		turns(STUCK_MS + 50);
		for (int i = 0; i < 10; i++)
			port_send(frames++, 1514);
		good = good && THAT(turns(20) < 10) &&
		       THAT(sent()->dropped_stuck - was.dropped_stuck > 10);
	} else {
		stuck = now_ns() - start >= STUCK_MS * NSEC_PER_MSEC;
	}
	start = now_ns();
	last_turn = 0;
	longest_turn = 0;
	do {
		short_turn();
		lost = (uint32_t)(sent()->dropped_stuck - was.dropped_stuck);
		all = frames - lost;
	} while (!dgram_saw_frames(&all) && now_ns() - start < PATIENCE);
	if (longest_turn > STUCK_MS / 10 * NSEC_PER_MSEC)
		stuck = true;
	good = good && THAT(!peer.saw.bad) && THAT(peer.saw.frames + lost == frames) &&
	       THAT(stuck || !lost) && THAT(sent()->dropped_full == was.dropped_full);
	port_send(frames, 1514);
	all++;
	good = good && THAT(wait_for(dgram_saw_frames, &all)) && THAT(peer.saw.next == frames + 1);
	dgram_goes();
	return good;
}

/* The receiver dies with a full queue */
static bool dgram_gone_while_full(void)
{
	bool good = dgram_comes();

	for (uint32_t nr = 0; nr < 1000 && lane_ready(port.out); nr++)
		port_send(nr, 1514);
	turns(5);
	dgram_goes();
	turns(5);
	good = good && THAT(!wires_lane(0)->fifo.frames) && THAT(turns(20) < 10) && dgram_comes();
	port_send(0, 60);
	good = good && dgram_gets(1);
	dgram_goes();
	return good;
}

static void test_dgram(void)
{
	static char too_long[200];

	memset(too_long, 'x', sizeof(too_long) - 1);
	ok(paths(SOCK_DGRAM), "dgram: a path is taken from the dead only");
	ok(!dgram_open(path_a, too_long) && !dgram_open(too_long, path_b) && access(path_a, F_OK),
	   "dgram: paths that are too long");
	ok(join("dgram", dgram_open(path_a, path_b)), "dgram: opens");
	ok(!dgram_open(path_a, path_b), "dgram: a second one at the same path does not");
	ok(dgram_frames(), "dgram: frames of all lengths, both ways");
	ok(dgram_lengths(), "dgram: lengths that cannot be are dropped and counted");
	ok(dgram_nobody(), "dgram: what finds nobody is lost; who comes gets the next");
	ok(dgram_port_full(), "dgram: a port that takes nothing makes the peer wait");
	ok(dgram_peer_full(false), "dgram: a peer that does not read makes the port wait");
	ok(dgram_peer_full(true), "dgram: for so long; what is dropped then is counted");
	ok(dgram_gone_while_full(), "dgram: a peer that goes meanwhile holds nobody up");
	wires_close();
	ok(access(path_a, F_OK), "dgram: the path is gone at the end");
}

/*
 * Nothing
 */

static void test_null(void)
{
	bool good = join("null", null_open()) && THAT(port.link);

	for (uint32_t nr = 0; nr < 1000; nr++)
		port_send(nr, 1514);
	good = good && THAT(sent()->frames == 1000) && THAT(!sent()->held) && THAT(turns(20) < 10);
	wires_close();
	ok(good, "null: takes it all");
}

/*
 * The tap, in a network namespace of its own
 */

static bool interface_up(bool up)
{
	struct ifreq ifr = { .ifr_flags = up ? IFF_UP : 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), err;

	strcpy(ifr.ifr_name, "seal0");
	err = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return !err;
}

/* The kernel's end of it; non-blocking */
static int packet_socket(void)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_TEST) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_TEST));

	addr.sll_ifindex = (int)if_nametoindex("seal0");
	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -1 : fd;
}

static bool tap_frames(void)
{
	static const uint32_t some[] = { 14, 60, 1514 };
	bool good = THAT(interface_up(true)) && THAT(port.link);
	uint32_t nr;

	peer.fd = packet_socket();
	peer.saw = (struct seen) { 0 };
	for (nr = 0; nr < 30 && good; nr++) {
		/* A packet socket takes no packet without a payload */
		uint32_t len = some[nr % 3] + (nr % 3 == 0);

		port_send(nr, len);
		fill(big, nr, len);
		good = THAT(send(peer.fd, big, len, 0) == (ssize_t)len) && dgram_gets(nr + 1) &&
		       arrives(nr + 1);
	}
	/* The greatest that the model has is no reason for anything either */
	port_send(nr, LANE_MAX_FRAME);
	good = good && THAT(turns(20) < 20) && THAT(port.link);
	close(peer.fd);
	return good;
}

static bool tap_down(void)
{
	bool good = THAT(interface_up(false));

	for (uint32_t nr = 0; nr < 10; nr++)
		port_send(nr, 60);
	port_saw = (struct seen) { 0 };
	return good && THAT(turns(50) < 20) && THAT(port.link) && tap_frames();
}

static bool tap_port_full(void)
{
	uint64_t stuck = received()->dropped_stuck;
	uint32_t frames = 0;
	bool good = true;

	peer.fd = packet_socket();
	port_saw = (struct seen) { 0 };
	port_full = true;
	for (; frames < 800; frames++) {
		fill(big, frames, 1000);
		good = good && THAT(send(peer.fd, big, 1000, 0) == 1000);
	}
	good = good && THAT(turns(20) < 20) && THAT(wires_lane(1)->refused);
	port_full = false;
	settle();
	good = good && THAT(port_saw.frames + received()->dropped_stuck - stuck == frames) &&
	       THAT(!port_saw.bad);
	close(peer.fd);
	return good;
}

/* The interface goes while the port takes nothing, so that nobody reads */
static bool tap_gone(void)
{
	bool good = true;

	peer.fd = packet_socket();
	port_full = true;
	for (uint32_t nr = 0; nr < 2000 && !wires_lane(1)->refused; nr++) {
		fill(big, nr, 1000);
		send(peer.fd, big, 1000, 0);
		turn(now_ns());
	}
	close(peer.fd);
	good = good && THAT(wires_lane(1)->refused) && THAT(!system("ip link del seal0")) &&
	       THAT(turns(50) < 20) && THAT(wait_for(link_down, NULL));
	port_full = false;
	port_send(0, 60);
	return good && THAT(turns(20) < 10);
}

static void test_tap(void)
{
	static const char *const names[] = {
		"opens", "frames both ways", "an interface that is down, and up again",
		"a port that takes nothing", "the interface goes while nobody reads",
		"what cannot be opened",
	};
	struct far *far = NULL;
	int fd = -1;

	if (unshare(CLONE_NEWNET)) {
		snprintf(why, sizeof(why), "no network namespace: %s", strerror(errno));
	} else {
		fd = tun_open("seal0");
		if (fd < 0)
			snprintf(why, sizeof(why), "no tap: %s", strerror(-fd));
	}
	if (fd < 0) {
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			printf("ok %u - tap: %s # SKIP %s\n", ++tests, names[i], why);
		return;
	}
	/* It is taken; then the name is free again */
	far = tap_open("seal0");
	close(fd);
	ok(THAT(!far) && join("tap", tap_open("seal0")), "tap: opens");
	ok(tap_frames(), "tap: frames both ways");
	ok(tap_down(), "tap: an interface that is down, and up again");
	ok(tap_port_full(), "tap: a port that takes nothing");
	ok(tap_gone(), "tap: the interface goes while nobody reads");
	wires_close();
	ok(!tap_open("a-name-that-is-too-long") && !tap_open("a/b"), "tap: what cannot be opened");
}

int main(void)
{
	if (!mkdtemp(dir) || loop_open())
		return 2;
	snprintf(path_a, sizeof(path_a), "%s/a", dir);
	snprintf(path_b, sizeof(path_b), "%s/b", dir);
	test_stream();
	test_dgram();
	test_null();
	test_tap();
	loop_close();
	rmdir(dir);
	printf("1..%u\n", tests);
	return failed ? 1 : 0;
}
