// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Inline opening: protected records made with another AES-GCM than the device's
 * come in packets cut anywhere, in order and not.  Every packet delivered is
 * compared: as it came, or with exactly the plaintext in the place of the
 * ciphertext.  Gaps, the search for the place, TLS_SYNC, forged records, and
 * packets that only look like the connection's.
 */
#include <openssl/evp.h>

#include "fw_harness.h"

#define HDR	5
#define TAG	16

static bool tls13;		/* the version that a test runs with */

/* ---- a connection: what its peer sends, and what is in it ---- */

struct conn {
	struct host *h;
	bool v6;
	bool vlan;
	bool mine;		/* addressed to this port */
	uint16_t port;		/* the peer's */
	uint32_t options;	/* bytes of TCP options */
	uint8_t cipher;
	uint8_t key[32];
	uint8_t iv[12];
	uint32_t seq;		/* of byte 0 */
	uint64_t rec_no;	/* of record 0 */
	uint32_t ctx;
	EVP_CIPHER_CTX *evp;

	uint8_t *wire;		/* protected records */
	uint8_t *plain;		/* the same with plaintext instead of ciphertext */
	uint32_t len, room;
	uint32_t *start;	/* of each record, and where the next one will be */
	uint32_t records, rec_room;
};

/* One queue pair, packets of 9000 bytes */
static struct host *rx_up(void)
{
	struct host *h = host_up(1);

	set_port(h, SEALNIC_PORT_ENABLE | SEALNIC_PORT_RX_CSUM, 9000);
	return h;
}

static uint32_t prefix(void)
{
	return HDR + (tls13 ? 0 : 8);
}

static uint32_t overhead(void)
{
	return prefix() + (tls13 ? 1 : 0) + TAG;
}

static enum sealnic_status tls_add_at(struct conn *c, uint32_t pos, uint32_t rec)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_ADD };
	struct headers hd = tcp_headers(c->v6, 0, 0, 0);
	const uint8_t *ip = hd.bytes + hd.l3;
	struct sealnic_event ev = { 0 };
	enum sealnic_status status;

	cmd.tls_add.direction = SEALNIC_TLS_RX;
	cmd.tls_add.cipher = c->cipher;
	cmd.tls_add.version = tls13 ? 0x0304 : 0x0303;
	cmd.tls_add.tcp_seq = c->seq + pos;
	cmd.tls_add.rec_no = c->rec_no + rec;
	memcpy(cmd.tls_add.iv, c->iv, 12);
	memcpy(cmd.tls_add.key, c->key, 32);
	cmd.tls_add.ip_version = c->v6 ? 6 : 4;
	/* bytes behind an IPv4 address are not looked at */
	memset(cmd.tls_add.saddr, 0x5a, 32);
	memcpy(cmd.tls_add.saddr, ip + (c->v6 ? 8 : 12), c->v6 ? 16 : 4);
	memcpy(cmd.tls_add.daddr, ip + (c->v6 ? 24 : 16), c->v6 ? 16 : 4);
	cmd.tls_add.sport[0] = (uint8_t)(c->port >> 8);
	cmd.tls_add.sport[1] = (uint8_t)c->port;
	memcpy(cmd.tls_add.dport, hd.bytes + hd.l4 + 2, 2);
	status = command(c->h, &cmd, &ev);
	c->ctx = ev.tls_ctx.id;
	/* the test's own copies of the key must not be found in memory */
	memset(host_at(c->h, c->h->cmd_ring, 16 * sizeof(cmd)), 0, 16 * sizeof(cmd));
	return status;
}

static enum sealnic_status tls_del(struct conn *c)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_DEL };

	cmd.tls_ctx.id = c->ctx;
	return command(c->h, &cmd, NULL);
}

static enum sealnic_status tls_sync(struct conn *c, uint32_t seq, uint64_t rec_no)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_SYNC };

	cmd.tls_sync.id = c->ctx;
	cmd.tls_sync.tcp_seq = seq;
	cmd.tls_sync.rec_no = rec_no;
	return command(c->h, &cmd, NULL);
}

/* What the host's software knows as soon as it has read so far */
static enum sealnic_status sync_record(struct conn *c, uint32_t rec)
{
	return tls_sync(c, c->seq + c->start[rec], c->rec_no + rec);
}

static struct sealnic_event tls_query(struct conn *c)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_QUERY };
	struct sealnic_event ev = { 0 };

	cmd.tls_ctx.id = c->ctx;
	if (command(c->h, &cmd, &ev) != SEALNIC_OK)
		ev.tls_query.state = 0;
	return ev;
}

static bool lost(struct conn *c)
{
	return tls_query(c).tls_query.state == SEALNIC_TLS_LOST;
}

/* RFC 5288 or RFC 8446 5.2, with OpenSSL: @n bytes of @plain become a record at @out */
static void seal(struct conn *c, uint64_t rec_no, uint8_t type, const uint8_t *plain, uint32_t n,
		 uint8_t *out)
{
	uint32_t body = overhead() - HDR + n, sealed = n + tls13;
	uint8_t nonce[12], aad[13], *text = out + prefix();
	int len, aad_len = tls13 ? HDR : 13;

	out[0] = tls13 ? 23 : type;
	out[1] = 3;
	out[2] = 3;
	out[3] = (uint8_t)(body >> 8);
	out[4] = (uint8_t)body;
	memcpy(text, plain, n);
	if (tls13)
		text[n] = type;
	memcpy(nonce, c->iv, 12);
	for (int i = 0; i < 8; i++) {
		aad[i] = (uint8_t)(rec_no >> (56 - 8 * i));
		nonce[4 + i] = tls13 ? nonce[4 + i] ^ aad[i] : out[HDR + i];
	}
	if (tls13) {
		memcpy(aad, out, HDR);
	} else {
		memcpy(aad + 8, out, 3);
		aad[11] = (uint8_t)(n >> 8);
		aad[12] = (uint8_t)n;
	}
	if (EVP_EncryptInit_ex(c->evp, c->cipher == SEALNIC_AES128_GCM ? EVP_aes_128_gcm() :
									 EVP_aes_256_gcm(),
			       NULL, c->key, nonce) != 1 ||
	    EVP_EncryptUpdate(c->evp, NULL, &len, aad, aad_len) != 1 ||
	    (sealed && EVP_EncryptUpdate(c->evp, text, &len, text, (int)sealed) != 1) ||
	    EVP_EncryptFinal_ex(c->evp, text + sealed, &len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c->evp, EVP_CTRL_GCM_GET_TAG, TAG, text + sealed) != 1) {
		printf("Bail out! libcrypto\n");
		abort();
	}
}

/* The next record */
static void add_bytes(struct conn *c, uint8_t type, const uint8_t *plain, uint32_t n,
		      const uint8_t nonce[8])
{
	uint32_t size = overhead() + n;
	uint8_t *wire;

	if (c->len + size > c->room) {
		c->room = 2 * (c->len + size);
		c->wire = realloc(c->wire, c->room);
		c->plain = realloc(c->plain, c->room);
	}
	if (c->records + 2 > c->rec_room) {
		c->rec_room = 2 * (c->records + 2);
		c->start = realloc(c->start, c->rec_room * sizeof(*c->start));
	}
	wire = c->wire + c->len;
	if (!tls13)
		memcpy(wire + HDR, nonce, 8);
	seal(c, c->rec_no + c->records, type, plain, n, wire);
	memcpy(c->plain + c->len, wire, size);
	memcpy(c->plain + c->len + prefix(), plain, n);
	if (tls13)
		c->plain[c->len + prefix() + n] = type;
	c->start[c->records++] = c->len;
	c->len += size;
	c->start[c->records] = c->len;
}

static void add_record(struct conn *c, struct rnd *r, uint8_t type, uint32_t n)
{
	static uint8_t plain[16384];
	uint8_t nonce[8];

	rnd_fill(r, nonce, 8);
	rnd_fill(r, plain, n);
	add_bytes(c, type, plain, n, nonce);
}

static void add_records(struct conn *c, struct rnd *r, uint32_t count, uint32_t n)
{
	while (count--)
		add_record(c, r, 23, n);
}

static void conn_init(struct conn *c, struct host *h, uint8_t cipher, struct rnd *r)
{
	*c = (struct conn){ .h = h, .cipher = cipher, .seq = rnd(r), .mine = true,
			    .rec_no = (uint64_t)rnd(r) << 20, .port = 443 };
	rnd_fill(r, c->key, 32);
	rnd_fill(r, c->iv, 12);
	c->evp = EVP_CIPHER_CTX_new();
}

static void conn_free(struct conn *c)
{
	EVP_CIPHER_CTX_free(c->evp);
	free(c->wire);
	free(c->plain);
	free(c->start);
	*c = (struct conn){ 0 };
}

/* ---- packets ---- */

struct got {
	bool taken;		/* delivered, and with what it should have */
	bool opened;
	bool resync;
	uint32_t ctx;
	uint32_t seq;		/* with resync: place in the stream */
	uint32_t flags;
};

/* A frame to this port around these bytes; @flags of TCP */
static uint32_t frame_of(const struct conn *c, uint32_t seq, uint8_t flags, const uint8_t *data,
			 uint32_t len, uint8_t *frame)
{
	struct headers hd = tcp_headers(c->v6, seq, flags, c->options);
	uint32_t n;

	memcpy(hd.bytes, c->mine ? mac_a : mac_b, 6);
	hd.bytes[hd.l4] = (uint8_t)(c->port >> 8);
	hd.bytes[hd.l4 + 1] = (uint8_t)c->port;
	n = finish_frame(frame, &hd, c->v6, data, len);
	if (c->vlan) {
		memmove(frame + 16, frame + 12, n - 12);
		memcpy(frame + 12, "\x81\x00\x01\x23", 4);
		n += 4;
	}
	return n;
}

/*
 * Bytes @from to @to arrive in one packet, changed by @delta if there is one.
 * What is delivered is the frame, with the payload as it came or, if the
 * completion says so, opened.
 */
static struct got arrive(struct conn *c, uint32_t from, uint32_t to, const uint8_t *delta)
{
	static uint8_t frame[16384], out[16384], data[16384];
	static uint32_t pieces;
	uint32_t len, hdr_len, first;
	struct sealnic_rxc rxc;
	struct got got = { 0 };

	for (uint32_t i = from; i < to; i++)
		data[i - from] = c->wire[i] ^ (delta ? delta[i - from] : 0);
	len = frame_of(c, c->seq + from, 0x18, data, to - from, frame);
	hdr_len = len - (to - from);
	/* what the firmware has for the first piece: headers, all, or anything else */
	first = ++pieces % 3 ? (pieces % 3 == 1 ? hdr_len : len) : 18 + pieces % (len - 17);
	/* one buffer, or small ones */
	post_buffers(c->h, 0, pieces % 5 ? 1 : 1 + len / 256, pieces % 5 ? 10000 : 256);
	if (!CHECK_EQ(offer(c->h, frame, len, first, false), FW_RX_TAKEN))
		return got;
	if (!CHECK_EQ(take_frame(c->h, 0, out, &rxc), len))
		return got;
	/* buffers that were not needed are for the next one */
	c->h->qp[0].rx_prod = c->h->qp[0].rxc_cons;
	c->h->db[0].rx_prod = c->h->qp[0].rx_prod;
	got.flags = rxc.flags;
	got.opened = rxc.flags & SEALNIC_RX_TLS_OPENED;
	got.resync = rxc.flags & SEALNIC_RX_TLS_RESYNC;
	got.ctx = rxc.tls_ctx;
	got.seq = rxc.tls_seq - c->seq;
	if (got.opened) {
		for (uint32_t i = from; i < to; i++)
			data[i - from] = c->plain[i] ^ (delta ? delta[i - from] : 0);
	}
	got.taken = CHECK(!memcmp(out, frame, hdr_len)) &&
		    CHECK(!memcmp(out + hdr_len, data, to - from)) &&
		    CHECK(rxc.flags & SEALNIC_RX_L4_OK);
	if (!got.taken)
		printf("# bytes %u to %u, %s\n", from, to, got.opened ? "opened" : "as they came");
	return got;
}

/* The same, and whether it should be opened */
static bool expect(struct conn *c, uint32_t from, uint32_t to, bool opened)
{
	struct got got = arrive(c, from, to, NULL);

	if (!got.taken || !CHECK_EQ(got.opened, opened) || !CHECK_EQ(got.ctx, c->ctx)) {
		printf("# bytes %u to %u\n", from, to);
		return false;
	}
	return true;
}

/* Everything from @from to @to in packets of @step bytes, all to be opened or none */
static bool expect_all(struct conn *c, uint32_t from, uint32_t to, uint32_t step, bool opened)
{
	for (; from < to; from += step) {
		if (!expect(c, from, to - from < step ? to : from + step, opened))
			return false;
	}
	return true;
}

/* A packet that TCP drops, as it is from far ahead, with bytes from @from on */
static void stray(struct conn *c, uint32_t seq, uint32_t from)
{
	static uint8_t frame[2048], out[2048];
	struct sealnic_rxc rxc;
	uint32_t len = frame_of(c, seq, 0x18, c->wire + from, 100, frame);

	post_buffers(c->h, 0, 1, 2000);
	offer(c->h, frame, len, len, false);
	CHECK_EQ(take_frame(c->h, 0, out, &rxc), len);
	CHECK(!(rxc.flags & SEALNIC_RX_TLS_OPENED));
}

/* Which record is byte @pos in? */
static uint32_t record_at(const struct conn *c, uint32_t pos)
{
	uint32_t a = 0, b = c->records;

	while (b - a > 1) {
		uint32_t m = (a + b) / 2;

		if (c->start[m] <= pos)
			a = m;
		else
			b = m;
	}
	return a;
}

static void small_stream(struct conn *c, struct rnd *r)
{
	static const uint32_t sizes[] = { 1, 0, 15, 16, 17, 100 };

	for (uint32_t i = 0; i < 6; i++)
		add_record(c, r, 23, sizes[i]);
}

/* ---- in order ---- */

/* RFC 8448 3: records of the simple 1-RTT handshake's application data */
static void rfc8448(void)
{
	static const uint8_t wire[] = {
		0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf,
		0xfa, 0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa,
		0x66, 0xbc, 0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5,
		0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92, 0xa2,
		0x97, 0x70, 0x14, 0xbd, 0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49,
		0x15, 0xe4,
	};
	static const uint8_t key[] = {
		0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9, 0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f,
		0x50, 0x51,
	};
	static const uint8_t iv[] = {
		0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9,
	};
	struct host *h = rx_up();
	struct rnd r = { 40 };
	uint8_t plain[50];
	struct conn c;

	tls13 = true;
	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	memcpy(c.key, key, sizeof(key));
	memcpy(c.iv, iv, sizeof(iv));
	c.rec_no = 0;
	for (uint32_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)i;
	add_bytes(&c, 23, plain, sizeof(plain), NULL);
	CHECK_EQ(c.len, sizeof(wire));
	CHECK(!memcmp(c.wire, wire, sizeof(wire)));
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, c.len, true);
	CHECK_EQ(get_stats(h).tls_rx_records, 1);
	conn_free(&c);
	host_free(h);
}

/* What TLS_DEL says: bytes of the stream behind the last one opened */
static uint32_t opened_end(struct conn *c)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_DEL };
	struct sealnic_event ev = { 0 };

	cmd.tls_ctx.id = c->ctx;
	CHECK_EQ(command(c->h, &cmd, &ev), SEALNIC_OK);
	return ev.tls_del.opened_end - c->seq;
}

/* Whatever comes later, and whatever the device has looked at besides */
static void how_far(void)
{
	struct host *h = rx_up();
	struct rnd r = { 42 };
	struct conn c;

	CHECK(h->seg->features & SEALNIC_F_TLS_RX_END);
	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 6, 1000);
	CHECK_EQ(tls_add_at(&c, c.start[1], 1), SEALNIC_OK);
	CHECK_EQ(opened_end(&c), c.start[1]);

	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, 700, true);
	CHECK_EQ(opened_end(&c), 700);

	/* a gap, whose record stays closed; what comes again; what is opened behind it */
	for (uint32_t more = 0; more < 2; more++) {
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		expect(&c, 0, c.start[1] + 100, true);
		expect(&c, c.start[1] + 300, c.start[2], false);
		if (more)
			expect(&c, c.start[2], c.start[3], true);
		expect(&c, c.start[1], c.start[1] + 300, false);
		CHECK_EQ(opened_end(&c), more ? c.start[3] : c.start[1] + 100);
	}
	conn_free(&c);
	host_free(h);
}

static void two_packets(void)
{
	struct host *h = rx_up();
	struct rnd r = { 41 };

	for (uint32_t k = 0; k < 8; k++) {
		struct conn c;

		conn_init(&c, h, k & 1 ? SEALNIC_AES256_GCM : SEALNIC_AES128_GCM, &r);
		c.v6 = k & 2;
		c.vlan = k & 4;
		small_stream(&c, &r);
		for (uint32_t cut = 1; cut < c.len; cut++) {
			struct sealnic_event q;

			CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
			if (!expect(&c, 0, cut, true) || !expect(&c, cut, c.len, true))
				goto out;
			q = tls_query(&c);
			CHECK_EQ(q.tls_query.state, SEALNIC_TLS_IN_SYNC);
			CHECK_EQ(q.tls_query.tcp_seq, c.seq + c.len);
			CHECK_EQ(q.tls_query.rec_no, c.rec_no + c.records);
			CHECK_EQ(q.tls_query.rec_pos, 0);
			CHECK_EQ(tls_del(&c), SEALNIC_OK);
		}
		/* one byte at a time, and everything at once */
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		expect_all(&c, 0, c.len, 1, true);
		tls_del(&c);
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		expect(&c, 0, c.len, true);
		tls_del(&c);
		conn_free(&c);
	}
	CHECK_EQ(h->seg->errors, 0);
	CHECK_EQ(get_stats(h).tls_rx_skip, 0);
out:
	host_free(h);
}

/* Many records of all sizes, packets of all sizes, two connections by turns */
static void random_packets(void)
{
	static const uint32_t sizes[] = { 0, 1, 15, 16, 17, 100, 1000, 16383, 16384 };
	struct host *h = rx_up();
	struct rnd r = { 42 };

	for (uint32_t round = 0; round < 20; round++) {
		struct sealnic_stats before = get_stats(h), after;
		uint32_t pos[2] = { 0, 0 }, packets = 0;
		struct conn c[2];

		for (int k = 0; k < 2; k++) {
			uint32_t n = 1 + rnd_below(&r, 20);

			conn_init(&c[k], h, 1 + (round + k) % 2, &r);
			c[k].v6 = rnd_below(&r, 2);
			c[k].vlan = rnd_below(&r, 2);
			c[k].options = 4 * rnd_below(&r, 11);
			c[k].port = (uint16_t)(1000 + k);
			while (n--)
				add_record(&c[k], &r, 23,
					   rnd_below(&r, 2) ? sizes[rnd_below(&r, 9)] :
							      rnd_below(&r, 3000));
			CHECK_EQ(tls_add_at(&c[k], 0, 0), SEALNIC_OK);
		}
		while (pos[0] < c[0].len || pos[1] < c[1].len) {
			uint32_t k = rnd_below(&r, 2), left = c[k].len - pos[k], n;

			if (!left)
				continue;
			n = 1 + rnd_below(&r, rnd_below(&r, 2) ? 40 : 8900);
			if (n > left)
				n = left;
			if (!expect(&c[k], pos[k], pos[k] + n, true))
				goto out;
			pos[k] += n;
			packets++;
		}
		after = get_stats(h);
		CHECK_EQ(after.tls_rx_ctx, 2);
		CHECK_EQ(after.tls_rx_records - before.tls_rx_records,
			 c[0].records + c[1].records);
		CHECK_EQ(after.tls_rx_bytes - before.tls_rx_bytes, c[0].len + c[1].len);
		CHECK_EQ(after.tls_rx_packets - before.tls_rx_packets, packets);
		for (int k = 0; k < 2; k++) {
			CHECK_EQ(tls_del(&c[k]), SEALNIC_OK);
			conn_free(&c[k]);
		}
	}
	CHECK_EQ(h->seg->errors, 0);
	CHECK_EQ(get_stats(h).tls_rx_ctx, 0);
	CHECK_EQ(get_stats(h).tls_ctx, 0);
out:
	host_free(h);
}

static void numbers_wrap(void)
{
	struct host *h = rx_up();
	struct rnd r = { 43 };
	struct conn c;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	c.seq = -100u;
	c.rec_no = 0xfffffffe;
	small_stream(&c, &r);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, 50, true);
	expect(&c, 50, 150, true);
	/* over the wrap: what was there, and a gap */
	expect(&c, 60, 140, false);
	expect(&c, 150, c.len, true);
	tls_del(&c);
	conn_free(&c);

	/* the last record number is not used */
	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	c.rec_no = UINT64_MAX - 1;
	small_stream(&c, &r);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, c.start[1], true);
	expect(&c, c.start[1], c.start[2], false);
	CHECK(lost(&c));
	conn_free(&c);
	host_free(h);
}

/* ---- before the first record, and again ---- */

static void before_the_start(void)
{
	struct host *h = rx_up();
	struct rnd r = { 44 };
	struct conn c;

	for (uint32_t cut = 0; cut < 300; cut++) {
		conn_init(&c, h, SEALNIC_AES256_GCM, &r);
		add_records(&c, &r, 4, 300);
		/* record 0 is somebody else's: an earlier key's */
		CHECK_EQ(tls_add_at(&c, c.start[1], 1), SEALNIC_OK);
		expect(&c, 0, 100, false);
		expect(&c, 50, c.start[1], false);
		CHECK_EQ(tls_query(&c).tls_query.tcp_seq, c.seq + c.start[1]);
		if (!cut) {
			expect(&c, c.start[1], c.len, true);
		} else {
			/* our first record begins in a packet that is not ours as a whole */
			expect(&c, c.start[1] - 1, c.start[1] + cut, false);
			/* it stays closed until it ends; its end is worth a packet with others */
			expect(&c, c.start[1] + cut, c.start[2] - 1, false);
			expect(&c, c.start[2] - 1, c.start[2] + 20, true);
			expect(&c, c.start[2] + 20, c.len, true);
		}
		CHECK_EQ(get_stats(h).tls_rx_lost, 0);
		CHECK_EQ(get_stats(h).tls_rx_auth_bad, 0);
		tls_del(&c);
		conn_free(&c);
		/* 2 + 0 or 2 + 2 packets as they came */
	}
	CHECK_EQ(get_stats(h).tls_rx_skip, 2 + 299 * 4);
	host_free(h);
}

/* Only the end of a record in a packet: closed like its other parts, then all is open */
static void end_of_a_closed_record(void)
{
	struct host *h = rx_up();
	struct rnd r = { 45 };
	struct conn c;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 4, 300);
	CHECK_EQ(tls_add_at(&c, c.start[1], 1), SEALNIC_OK);
	expect(&c, c.start[1] - 1, c.start[1] + 10, false);
	expect(&c, c.start[1] + 10, c.start[2], false);
	expect(&c, c.start[2], c.len, true);
	conn_free(&c);
	host_free(h);
}

static void retransmissions(void)
{
	struct host *h = rx_up();
	struct rnd r = { 46 };
	struct conn c;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 6, 1000);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, 1500, true);
	/* again, in other pieces: as they came, and nothing has happened */
	expect(&c, 0, 1500, false);
	expect(&c, 700, 1499, false);
	expect(&c, 1499, 1500, false);
	expect(&c, 1500, 1600, true);
	/* again with something new behind it: record 1 is closed from there to its end */
	expect(&c, 1400, 1700, false);
	expect(&c, 1700, 1800, false);
	expect(&c, 1800, c.start[2] + 50, true);
	expect(&c, c.start[2] + 50, c.start[3] - 3, true);
	/* over the end of a record */
	expect(&c, c.start[3] - 10, c.start[3] + 10, false);
	expect(&c, c.start[3] + 10, c.start[4] + 10, true);
	expect(&c, c.start[4] + 10, c.len, true);
	CHECK_EQ(get_stats(h).tls_rx_lost, 0);
	CHECK_EQ(get_stats(h).tls_rx_gap, 0);
	conn_free(&c);
	host_free(h);
}

/* ---- gaps ---- */

/* A record is cut short by a gap; the packet behind it ends here or there */
static void gap_in_a_record(void)
{
	struct host *h = rx_up();
	struct rnd r = { 47 };

	for (int32_t end = -2; end <= 60; end++) {
		struct conn c;
		uint32_t next, to;

		conn_init(&c, h, SEALNIC_AES256_GCM, &r);
		add_records(&c, &r, 6, 1000);
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		expect(&c, 0, 300, true);
		/* 300 to 400 are missing; then up to near the next record's start */
		next = c.start[1];
		to = next + (uint32_t)end;
		expect(&c, 400, 500, false);
		/* the packet with the end of the one and the beginning of the other is opened */
		expect(&c, 500, to, end > 0);
		CHECK(!lost(&c));
		CHECK_EQ(tls_query(&c).tls_query.rec_no, c.rec_no + (end >= 0));
		/* what was missing, late: no use any more */
		expect(&c, 300, 400, false);
		expect(&c, to, c.start[2] - 100, true);
		if (!expect(&c, c.start[2] - 100, c.start[2] + 1, true)) {
			printf("# the packet behind the gap ends at %d\n", end);
			break;
		}
		expect(&c, c.start[2] + 1, c.start[3] + 100, true);
		expect(&c, c.start[3] + 100, c.len - 100, true);
		CHECK_EQ(get_stats(h).tls_rx_lost, 0);
		tls_del(&c);
		conn_free(&c);
	}
	host_free(h);
}

/* The gap ends exactly where a record begins: of TLS 1.3, the content type was in it */
static void gap_to_a_record(void)
{
	struct host *h = rx_up();
	struct rnd r = { 48 };
	struct conn c;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 6, 500);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, 100, true);
	expect(&c, c.start[1], c.start[1] + 50, !tls13);
	expect(&c, c.start[1] + 50, c.start[2], !tls13);
	expect(&c, c.start[2], c.len - 5, true);
	CHECK_EQ(get_stats(h).tls_rx_gap, 1);
	CHECK_EQ(get_stats(h).tls_rx_lost, 0);
	tls_del(&c);
	/* or all packets are records */
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, 100, true);
	expect(&c, 200, c.start[1], false);
	for (uint32_t i = 1; i < 6; i++)
		expect(&c, c.start[i], c.start[i + 1], true);
	conn_free(&c);
	host_free(h);
}

/* From a gap anywhere in a record to its end, or from one gap to the next */
static void gaps_everywhere(void)
{
	struct host *h = rx_up();
	struct rnd r = { 72 };
	struct conn c;
	uint32_t type;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 4, 90);
	type = c.start[1] - TAG - 1;
	for (uint32_t from = prefix(); from < c.start[1]; from++) {
		for (uint32_t to = from + 1; to <= c.start[1]; to++) {
			bool two = to - from > 20 && to % 2;
			/* is it known what was in the record? */
			bool open = !tls13 || from > type || to <= type ||
				    (two && from + 10 <= type && type < from + 15);

			CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
			expect(&c, 0, from, true);
			if (two)
				expect(&c, from + 10, from + 15, false);
			expect(&c, to, c.start[1] + 30, open);
			/* what was missing is never opened, nor what holds it */
			expect(&c, from, to, false);
			expect(&c, from, c.start[1] + 40, false);
			expect(&c, c.start[1] + 40, c.start[2] + 1, true);
			CHECK(!lost(&c));
			if (!expect(&c, c.start[2] + 1, c.len, true)) {
				printf("# a gap from %u to %u\n", from, to);
				goto out;
			}
			tls_del(&c);
		}
	}
	/* a gap that is larger than any packet */
	add_records(&c, &r, 3, 16384);
	CHECK_EQ(tls_add_at(&c, c.start[4], 4), SEALNIC_OK);
	expect(&c, c.start[4], c.start[4] + 100, true);
	expect(&c, c.start[5] - 100, c.start[5] + 100, true);
	expect_all(&c, c.start[5] + 100, c.len, 8000, true);
out:
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, 0);
	conn_free(&c);
	host_free(h);
}

/*
 * What is left of a record behind a gap was changed: software will find out, and the
 * next one is judged as ever
 */
static void forged_behind_a_gap(void)
{
	struct host *h = rx_up();
	struct rnd r = { 73 };
	uint8_t delta[3000] = { 0 };
	struct conn c;
	struct got got;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 6, 500);
	delta[c.start[1] - TAG - 10] = 1;
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, 100, true);
	got = arrive(&c, 200, c.start[1] + 100, delta + 200);
	CHECK(got.taken && got.opened);
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, 0);
	/* it takes all of the record to be trusted, and this is never opened */
	expect(&c, 100, 200, false);
	expect(&c, c.start[1] + 100, c.start[2] + 100, true);
	tls_del(&c);
	/* the next one, in the same packet */
	delta[c.start[1] + 100] = 1;
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, 100, true);
	got = arrive(&c, 200, c.start[2] + 10, delta + 200);
	CHECK(got.taken && !got.opened);
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, 1);
	CHECK(!lost(&c));
	expect(&c, c.start[2] + 10, c.start[3] + 10, true);
	tls_del(&c);
	/* or found bad by the model's switch, which a record without a tag does not use up */
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	fw_tls_spoil(h->fw, 1);
	expect(&c, 0, 100, true);
	expect(&c, 200, c.start[1] + 100, true);
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, 1);
	expect(&c, c.start[1] + 100, c.start[2] + 10, false);
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, 2);
	conn_free(&c);
	host_free(h);
}

/* A record that was in doubt before the gap proves nothing about the next one */
static void gap_in_doubt(void)
{
	struct host *h = rx_up();
	struct rnd r = { 74 };
	struct conn c;
	struct got got;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 10, 500);
	for (uint32_t wrong = 0; wrong < 2; wrong++) {
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		expect(&c, 0, 500, true);
		got = arrive(&c, c.start[1] + 1, c.start[2] + 10, NULL);
		CHECK(got.resync);
		CHECK_EQ(tls_sync(&c, c.seq + c.start[2], c.rec_no + 2 + wrong), SEALNIC_OK);
		expect(&c, c.start[2] + 10, c.start[3] + 100, false);
		expect(&c, c.start[3] + 200, c.start[4] + 100, false);
		CHECK(!lost(&c));
		expect(&c, c.start[4] + 100, c.start[5] + 100, !wrong);
		CHECK_EQ(lost(&c), wrong);
		expect(&c, c.start[5] + 100, c.start[6], !wrong);
		tls_del(&c);
		/* the tag that proves it may be in the packet behind the gap */
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		expect(&c, 0, 500, true);
		arrive(&c, c.start[1] + 1, c.start[2] + 10, NULL);
		CHECK_EQ(tls_sync(&c, c.seq + c.start[2], c.rec_no + 2 + wrong), SEALNIC_OK);
		expect(&c, c.start[2] + 10, c.start[3] + 100, false);
		expect(&c, c.start[3] + 200, c.start[5] + 100, !wrong);
		CHECK_EQ(lost(&c), wrong);
		tls_del(&c);
	}
	conn_free(&c);
	host_free(h);
}

/* Where the length was not yet seen, or where the next record begins in the gap */
static void gap_that_loses(void)
{
	struct host *h = rx_up();
	struct rnd r = { 49 };
	struct conn c;
	struct got got;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 12, 500);
	for (uint32_t cut = 0; cut <= prefix(); cut++) {
		uint64_t n = get_stats(h).tls_rx_lost, found = get_stats(h).tls_rx_found;

		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		expect(&c, 0, c.start[1] + cut, true);
		/* 100 bytes are missing */
		got = arrive(&c, c.start[1] + cut + 100, c.start[2] + 100, NULL);
		CHECK_EQ(got.opened, cut == prefix());
		CHECK_EQ(get_stats(h).tls_rx_lost, n + (cut < prefix()));
		/* with the length, but without the nonce, it does not go on with this record */
		CHECK_EQ(get_stats(h).tls_rx_found, found + (cut >= HDR && cut < prefix()));
		CHECK_EQ(lost(&c), cut < HDR);
		CHECK_EQ(got.resync, cut < HDR);
		if (cut < HDR) {
			CHECK_EQ(got.seq, c.start[2]);
			CHECK_EQ(sync_record(&c, 2), SEALNIC_OK);
			CHECK(!lost(&c));
		}
		if (cut < prefix()) {
			CHECK_EQ(tls_query(&c).tls_query.rec_no, c.rec_no + 3);
			CHECK_EQ(tls_query(&c).tls_query.tcp_seq, c.seq + c.start[3]);
		}
		expect(&c, c.start[2] + 100, c.start[3] + 100, cut == prefix());
		expect(&c, c.start[3] + 100, c.start[4] + 100, true);
		expect(&c, c.start[4] + 100, c.len, true);
		tls_del(&c);
	}
	CHECK_EQ(get_stats(h).tls_rx_resync_ask, 5);
	CHECK_EQ(get_stats(h).tls_rx_resync_ok, 5);
	conn_free(&c);
	host_free(h);
}

/* The context comes when bytes of its first record have already gone by */
static void added_late(void)
{
	struct host *h = rx_up();
	struct rnd r = { 50 };
	struct conn c;
	struct got got;

	conn_init(&c, h, SEALNIC_AES256_GCM, &r);
	add_records(&c, &r, 10, 700);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	got = arrive(&c, 100, 600, NULL);
	CHECK(!got.opened && !got.resync);
	CHECK(lost(&c));
	got = arrive(&c, 600, c.start[2] + 10, NULL);
	CHECK(!got.opened && got.resync);
	CHECK_EQ(got.seq, c.start[1]);
	/* the host has read to there */
	CHECK_EQ(sync_record(&c, 1), SEALNIC_OK);
	expect(&c, c.start[2] + 10, c.start[3] + 10, false);
	expect(&c, c.start[3] + 10, c.start[4] + 10, true);
	expect(&c, c.start[4] + 10, c.len, true);
	conn_free(&c);
	host_free(h);
}

/* ---- the search ---- */

/* An answer for any header of the chain that is first, last or next; packets cut anywhere */
static void sync_everywhere(void)
{
	struct host *h = rx_up();
	struct rnd r = { 51 };
	struct conn c;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	small_stream(&c, &r);
	small_stream(&c, &r);
	small_stream(&c, &r);
	add_records(&c, &r, 3, 100);
	for (uint32_t cut = c.start[1] + 1; cut < c.start[12] - 1; cut++) {
		for (uint32_t which = 0; which < 3; which++) {
			uint32_t first = 0, last, rec;
			struct got got;

			/* lost at once, as everything up to start[1] + 1 is missing */
			CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
			got = arrive(&c, c.start[1] + 1, cut, NULL);
			CHECK(!got.opened);
			/* the first header that this packet has as a whole, the last one */
			while (c.start[first] < c.start[1] + 1)
				first++;
			if (c.start[first] + HDR > cut) {
				CHECK(!got.resync);
				tls_del(&c);
				continue;
			}
			last = first;
			while (c.start[last + 1] + HDR <= cut)
				last++;
			if (!CHECK(got.resync) || !CHECK_EQ(got.seq, c.start[first]))
				goto out;
			rec = which == 0 ? first : last + which - 1;
			CHECK_EQ(sync_record(&c, rec), SEALNIC_OK);
			CHECK_EQ(tls_query(&c).tls_query.rec_no, c.rec_no + last + 1);
			/* the next record proves it, in a packet that is nothing before */
			expect(&c, cut, c.start[13] + 1, cut >= c.start[last + 1]);
			if (!expect(&c, c.start[13] + 1, c.len, true)) {
				printf("# cut at %u, answer for record %u\n", cut, rec);
				goto out;
			}
			tls_del(&c);
		}
	}
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, 0);
	CHECK_EQ(get_stats(h).tls_rx_resync_stale, 0);
out:
	conn_free(&c);
	host_free(h);
}

static void stale_syncs(void)
{
	struct host *h = rx_up();
	struct rnd r = { 52 };
	struct conn c;
	struct got got;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 40, 100);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	/* nothing is lost: not needed */
	CHECK_EQ(sync_record(&c, 0), SEALNIC_STALE);
	CHECK_EQ(sync_record(&c, 3), SEALNIC_STALE);
	expect(&c, 0, 50, true);
	got = arrive(&c, c.start[2] + 1, c.start[6] + 1, NULL);
	CHECK(got.resync);
	CHECK_EQ(got.seq, c.start[3]);
	/* not the first, last or next header, and seen already */
	CHECK_EQ(sync_record(&c, 0), SEALNIC_STALE);
	CHECK_EQ(sync_record(&c, 2), SEALNIC_STALE);
	CHECK_EQ(sync_record(&c, 4), SEALNIC_STALE);
	CHECK_EQ(tls_sync(&c, c.seq + c.start[6] + 1 - 0x7fffffff, 7), SEALNIC_STALE);
	CHECK(lost(&c));
	CHECK_EQ(get_stats(h).tls_rx_resync_stale, 6);
	CHECK_EQ(h->seg->errors, 0);
	/* not yet seen: good, whatever was found */
	CHECK_EQ(sync_record(&c, 20), SEALNIC_OK);
	expect_all(&c, c.start[6] + 1, c.start[20] - 10, 100, false);
	expect(&c, c.start[20] - 10, c.start[20] + 10, false);
	expect(&c, c.start[20] + 10, c.start[21] + 10, true);
	expect(&c, c.start[21] + 10, c.start[22], true);
	/* no such context, or not one to receive */
	c.ctx ^= 1u << 20;
	CHECK_EQ(sync_record(&c, 0), SEALNIC_BAD_STATE);
	CHECK_EQ(h->seg->errors, 1);
	conn_free(&c);
	host_free(h);
}

/* The search goes on, and asks again; at last for a later one */
static void asks_again(void)
{
	struct host *h = rx_up();
	uint32_t asks = 0, pos, later = 0;
	struct rnd r = { 53 };
	struct conn c;
	struct got got;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 1100, 16384);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	for (pos = 100; pos + 8900 < c.len && !later; pos += 8900) {
		got = arrive(&c, pos, pos + 8900, NULL);
		CHECK(!got.opened);
		if (!got.resync)
			continue;
		if (got.seq == c.start[1])
			asks++;
		else
			later = got.seq;
	}
	/* 16 MB are 1024 records and a bit */
	CHECK(asks >= 60 && asks <= 64);
	CHECK(later > 16u << 20);
	for (uint32_t i = 0; i < c.records; i++) {
		if (c.start[i] == later)
			CHECK_EQ(sync_record(&c, i), SEALNIC_OK);
	}
	CHECK(!lost(&c));
	expect_all(&c, pos, pos + 17000, 1000, false);
	conn_free(&c);
	host_free(h);
}

/* Ciphertext that looks like headers: of one record, and of two that follow each other */
static void false_headers(void)
{
	struct host *h = rx_up();
	struct rnd r = { 54 };
	struct conn c;
	struct got got;

	for (uint32_t chain = 1; chain <= 2; chain++) {
		uint8_t plain[5000] = { 0 }, nonce[8] = { 0 };
		uint32_t at = 700;

		conn_init(&c, h, SEALNIC_AES128_GCM, &r);
		/* the plaintext that becomes what we want */
		for (uint32_t i = 0; i < 8; i++)
			add_bytes(&c, 23, plain, 1000, nonce);
		{
			uint8_t *p = plain + at, *key = c.wire + prefix() + at;
			uint64_t no = c.rec_no;

			for (uint32_t i = 0; i < chain; i++) {
				memcpy(p + 100 * i, "\x17\x03\x03\x00\x5f", 5);
				for (uint32_t k = 0; k < 5; k++)
					p[100 * i + k] ^= key[100 * i + k];
			}
			c.len = 0;
			c.records = 0;
			c.rec_no = no;
			add_bytes(&c, 23, plain, 1000, nonce);
			memset(plain, 0, sizeof(plain));
			for (uint32_t i = 0; i < 8; i++)
				add_bytes(&c, 23, plain, 1000, nonce);
		}
		at += prefix();
		CHECK(!memcmp(c.wire + at, "\x17\x03\x03\x00\x5f", 5));
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		/* in one packet with what shows that it was none */
		got = arrive(&c, 600, c.start[1] + 10, NULL);
		CHECK(got.resync);
		CHECK_EQ(got.seq, c.start[1]);
		tls_del(&c);
		/* and in several: asked for in vain, then for the right one */
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		got = arrive(&c, 600, 750, NULL);
		CHECK(got.resync);
		CHECK_EQ(got.seq, at);
		got = arrive(&c, 750, at + 102, NULL);
		CHECK(!got.resync);
		got = arrive(&c, at + 102, at + 300, NULL);
		CHECK(!got.resync);
		got = arrive(&c, at + 300, c.start[2] + 20, NULL);
		CHECK(got.resync);
		CHECK_EQ(got.seq, c.start[1]);
		CHECK_EQ(sync_record(&c, 1), SEALNIC_OK);
		expect(&c, c.start[2] + 20, c.start[3] + 20, false);
		expect(&c, c.start[3] + 20, c.start[4] + 20, true);
		tls_del(&c);
		/* a false one whose successor is missing */
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		got = arrive(&c, 600, 750, NULL);
		CHECK_EQ(got.seq, at);
		got = arrive(&c, at + 150, c.start[1] + 5, NULL);
		if (chain == 1)
			CHECK_EQ(got.seq, c.start[1]);
		/* the host never says so, but if it did: the tag tells */
		tls_del(&c);
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		got = arrive(&c, 600, 750, NULL);
		CHECK_EQ(tls_sync(&c, c.seq + got.seq, c.rec_no), SEALNIC_OK);
		expect_all(&c, 750, c.start[8], 50, false);
		CHECK(lost(&c));
		tls_del(&c);
		conn_free(&c);
	}
	host_free(h);
}

/* A packet from far ahead, which TCP drops, must not make all that comes look old */
static void stray_packets(void)
{
	static const uint32_t ahead[] = { 100000, 1u << 20, 1u << 29, 1u << 30, (3u << 30) - 600,
					3u << 29, -100000u };
	struct host *h = rx_up();
	struct rnd r = { 71 };
	struct conn c;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 60, 1000);
	for (uint32_t i = 0; i < 3 * sizeof(ahead) / sizeof(ahead[0]); i++) {
		uint32_t by = ahead[i / 3], way = i % 3, pos;

		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		expect(&c, 0, 500, true);
		/* without a header, with one, and when no place is known from before */
		if (way == 2)
			fw_tls_lose(h->fw);
		stray(&c, c.seq + 500 + by, way ? 0 : 500);
		/* the one from before is nothing; after the others the device finds its way back */
		CHECK_EQ(lost(&c), by != -100000u || way == 2);
		for (pos = 500; lost(&c) && pos + 1000 < c.len; pos += 1000) {
			struct got got = arrive(&c, pos, pos + 1000, NULL);

			CHECK(!got.opened);
			if (got.resync && CHECK_EQ(c.start[record_at(&c, got.seq)], got.seq))
				sync_record(&c, record_at(&c, got.seq));
		}
		if (!CHECK(pos < 20000))
			printf("# ahead by %u, way %u\n", by, way);
		arrive(&c, pos, pos + 3000, NULL);
		expect_all(&c, pos + 3000, c.len, 1000, true);
		tls_del(&c);
	}
	conn_free(&c);
	host_free(h);
}

/*
 * Bytes that were delivered opened were changed.  Nobody can have the rest of their
 * record opened with its tag, which is for other bytes: not even who makes the
 * device lose its place, and TCP send again what came before.
 */
static void no_second_copy(void)
{
	struct host *h = rx_up();
	struct rnd r = { 76 };
	struct conn c;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 80, 1000);
	for (uint32_t way = 0; way < 4; way++) {
		uint32_t from = c.start[30] + 500, to = from + 200, pos = 0;
		uint8_t delta[2000] = { 0 };
		struct got got;
		bool opened = false;

		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		/* the beginning of record 30, or its end, behind a gap */
		if (way & 1)
			to = c.start[31] + 50;
		expect_all(&c, 0, way & 1 ? from - 100 : from, 500, true);
		delta[20] = 1;
		got = arrive(&c, from, to, delta);
		CHECK(got.taken && got.opened);
		/* then from far ahead, or by two packets around to where it was before */
		if (way & 2) {
			stray(&c, c.seq + c.start[10] + (2u << 30), 500);
			stray(&c, c.seq + c.start[10] - 100, 500);
		} else {
			stray(&c, c.seq + c.start[10] + (1u << 20), 500);
		}
		CHECK(lost(&c));
		for (pos = c.start[10]; pos < c.len; pos += 500) {
			got = arrive(&c, pos, c.len - pos < 500 ? c.len : pos + 500, NULL);
			opened = got.taken && got.opened;
			if (!CHECK(!opened || pos >= to)) {
				printf("# way %u: bytes from %u on\n", way, pos);
				break;
			}
			if (got.resync)
				sync_record(&c, record_at(&c, got.seq));
		}
		CHECK(opened);
		tls_del(&c);
	}
	conn_free(&c);
	host_free(h);
}

/* What a false header says lies behind a true one: the true one is found */
static void false_header_over_a_true_one(void)
{
	static const uint8_t fake[] = { 0x17, 3, 3, 1, 0x90 };
	uint8_t plain[1000] = { 0 }, nonce[8] = { 0 };
	struct host *h = rx_up();
	struct rnd r = { 70 };
	struct conn c;
	struct got got;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_bytes(&c, 23, plain, 1000, nonce);
	for (uint32_t i = 0; i < sizeof(fake); i++)
		plain[700 + i] = c.wire[prefix() + 700 + i] ^ fake[i];
	c.len = 0;
	c.records = 0;
	add_bytes(&c, 23, plain, 1000, nonce);
	add_records(&c, &r, 5, 1000);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	got = arrive(&c, 600, 750, NULL);
	CHECK_EQ(got.seq, prefix() + 700);
	got = arrive(&c, 750, 1500, NULL);
	CHECK(got.resync);
	CHECK_EQ(got.seq, c.start[1]);
	conn_free(&c);
	host_free(h);
}

/* A packet that was only late, or is sent again, tells what the gap has hidden */
static void found_without_the_host(void)
{
	struct host *h = rx_up();
	struct rnd r = { 55 };
	struct conn c;
	struct got got;

	conn_init(&c, h, SEALNIC_AES256_GCM, &r);
	add_records(&c, &r, 12, 1000);
	/* two packets change places */
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, 900, true);
	got = arrive(&c, 1100, 1300, NULL);
	CHECK(!got.opened && !got.resync);
	CHECK(lost(&c));
	expect(&c, 900, 1100, false);
	CHECK(!lost(&c));
	CHECK_EQ(get_stats(h).tls_rx_found, 1);
	expect(&c, 1300, c.start[2] + 10, false);
	expect(&c, c.start[2] + 10, c.start[3] + 10, true);
	expect(&c, c.start[3] + 10, c.start[4], true);
	tls_del(&c);

	/* a packet with a header is lost, and comes again when others were seen */
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, 900, true);
	expect(&c, 1100, 1300, false);
	got = arrive(&c, 1300, c.start[3] + 10, NULL);
	CHECK(got.resync);
	CHECK_EQ(got.seq, c.start[2]);
	expect(&c, c.start[3] + 10, c.start[4] + 10, false);
	expect(&c, 900, 1100, false);
	CHECK(!lost(&c));
	CHECK_EQ(get_stats(h).tls_rx_found, 2);
	/* an answer that comes now is too late */
	CHECK_EQ(sync_record(&c, 2), SEALNIC_STALE);
	expect(&c, c.start[4] + 10, c.start[5] + 10, false);
	expect(&c, c.start[5] + 10, c.start[6] + 10, true);
	expect(&c, c.start[6] + 10, c.len, true);
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, 0);
	conn_free(&c);
	host_free(h);
}

/* ---- what is not authentic ---- */

static void forged(void)
{
	struct host *h = rx_up();
	struct rnd r = { 56 };
	struct conn c;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 5, 200);
	/* each byte of record 1 but for its version and length */
	for (uint32_t i = 0; i < c.start[2] - c.start[1]; i++) {
		uint64_t bad = get_stats(h).tls_rx_auth_bad;
		uint8_t delta[2000] = { 0 };
		struct got got;

		if ((tls13 && !i) || (i >= 1 && i < HDR))
			continue;
		delta[c.start[1] + i] = 1;
		if (!i)
			delta[c.start[1]] = 2; /* alert */
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		/* whole: nothing of it is opened, and what begins in it stays closed */
		got = arrive(&c, 0, c.start[2] + 20, delta);
		CHECK(got.taken && !got.opened);
		CHECK_EQ(get_stats(h).tls_rx_auth_bad, bad + 1);
		expect(&c, c.start[2] + 20, c.start[3] - 1, false);
		expect(&c, c.start[3] - 1, c.start[4], true);
		CHECK(!lost(&c));
		tls_del(&c);
		/* another explicit nonce: another plaintext */
		if (i < prefix() && i >= HDR)
			continue;
		/* in packets: those before the end are opened, the one with the end is not */
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		got = arrive(&c, 0, c.start[2] - 1, delta);
		CHECK(got.taken && got.opened);
		got = arrive(&c, c.start[2] - 1, c.start[2] + 10, delta + c.start[2] - 1);
		CHECK(got.taken && !got.opened);
		expect(&c, c.start[2] + 10, c.start[3] - 1, false);
		expect(&c, c.start[3] - 1, c.start[4], true);
		CHECK_EQ(get_stats(h).tls_rx_auth_bad, bad + 2);
		if (!CHECK(!lost(&c)))
			break;
		tls_del(&c);
	}
	conn_free(&c);
	host_free(h);
}

/* Two in a row: the place or the key is wrong */
static void forged_twice(void)
{
	struct host *h = rx_up();
	struct rnd r = { 57 };
	struct conn c;
	struct got got;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 8, 200);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, c.start[1], true);
	fw_tls_spoil(h->fw, 2);
	expect(&c, c.start[1], c.start[2], false);
	CHECK(!lost(&c));
	got = arrive(&c, c.start[2], c.start[3], NULL);
	CHECK(!got.opened && got.resync);
	CHECK_EQ(got.seq, c.start[2]);
	CHECK(lost(&c));
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, 2);
	CHECK_EQ(sync_record(&c, 2), SEALNIC_OK);
	expect(&c, c.start[3], c.start[4] + 2, true);
	expect(&c, c.start[4] + 2, c.len, true);
	conn_free(&c);
	host_free(h);
}

/* A TLS_SYNC with a wrong number: one record to find out, nothing is opened by it */
static void wrong_number(void)
{
	struct host *h = rx_up();
	struct rnd r = { 69 };
	struct conn c;
	struct got got;

	conn_init(&c, h, SEALNIC_AES256_GCM, &r);
	add_records(&c, &r, 10, 400);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, c.start[1], true);
	got = arrive(&c, c.start[1] + 1, c.start[3], NULL);
	CHECK(got.resync);
	CHECK_EQ(tls_sync(&c, c.seq + c.start[2], c.rec_no + 3), SEALNIC_OK);
	expect_all(&c, c.start[3], c.start[4] - 50, 100, false);
	CHECK(!lost(&c));
	got = arrive(&c, c.start[4] - 50, c.start[5] + 50, NULL);
	CHECK(!got.opened && got.resync);
	CHECK(lost(&c));
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, 1);
	CHECK_EQ(sync_record(&c, 4), SEALNIC_OK);
	expect(&c, c.start[5] + 50, c.start[6] + 50, false);
	expect(&c, c.start[6] + 50, c.len, true);
	conn_free(&c);
	host_free(h);
}

static void impossible_header(void)
{
	static const struct {
		uint32_t at;
		uint8_t v12, v13;
	} bad[] = {
		{ 0, 19, 22 }, { 0, 24, 24 }, { 1, 2, 2 }, { 2, 4, 4 }, { 4, 23, 16 },
	};
	struct host *h = rx_up();
	struct rnd r = { 58 };
	struct conn c;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 6, 200);
	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (uint32_t cut = 0; cut <= 5; cut++) {
			uint32_t at = c.start[1] + bad[i].at;
			uint8_t delta[2000] = { 0 };
			struct got got;

			delta[at] = c.wire[at] ^ (tls13 ? bad[i].v13 : bad[i].v12);
			if (bad[i].at == 4)
				delta[at - 1] = c.wire[at - 1];
			CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
			if (cut)
				CHECK(arrive(&c, 0, c.start[1] + cut - 1, delta).opened);
			at = cut ? c.start[1] + cut - 1 : 0;
			got = arrive(&c, at, c.start[2] + 50, delta + at);
			CHECK(got.taken && !got.opened);
			CHECK(lost(&c));
			/* the next one is found */
			if (cut)
				CHECK_EQ(got.seq, c.start[2]);
			got = arrive(&c, c.start[2] + 50, c.start[3] + 50, NULL);
			CHECK_EQ(sync_record(&c, 2), SEALNIC_OK);
			expect(&c, c.start[3] + 50, c.start[4] + 50, false);
			expect(&c, c.start[4] + 50, c.len, true);
			tls_del(&c);
			/* the header is enough */
			CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
			CHECK(!arrive(&c, 0, c.start[1] + HDR, delta).opened);
			CHECK(lost(&c));
			tls_del(&c);
		}
	}
	conn_free(&c);
	host_free(h);
}

/* A length that is possible and wrong: the end is where it says, and no record behind it */
static void wrong_length(void)
{
	static const int32_t by[] = { 1, -1, 16, -16, 50 };
	struct host *h = rx_up();
	struct rnd r = { 68 };
	struct conn c;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 8, 128);
	for (uint32_t i = 0; i < sizeof(by) / sizeof(by[0]); i++) {
		uint32_t at = c.start[1] + 4;
		uint8_t delta[2000] = { 0 };
		struct got got;

		delta[at] = c.wire[at] ^ (uint8_t)(c.wire[at] + by[i]);
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		got = arrive(&c, 0, c.start[2] + 80, delta);
		CHECK(got.taken && !got.opened);
		CHECK(lost(&c));
		got = arrive(&c, c.start[2] + 80, c.start[4] + 10, NULL);
		CHECK(got.taken && !got.opened);
		CHECK_EQ(sync_record(&c, 4), SEALNIC_OK);
		expect(&c, c.start[4] + 10, c.start[5] + 10, false);
		expect(&c, c.start[5] + 10, c.start[6] + 10, true);
		tls_del(&c);
	}
	conn_free(&c);
	host_free(h);
}

/* A handshake message may be KeyUpdate: the next record may have another key */
static void key_update(void)
{
	struct host *h = rx_up();
	struct rnd r = { 59 };
	uint8_t key[32], zeros[900] = { 0 };
	uint64_t n;
	uint32_t at;
	struct conn c;

	/* it was none: one record is closed until its tag has proved it */
	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 1, 500);
	add_record(&c, &r, 22, 5);
	add_records(&c, &r, 3, 500);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, c.start[2], true);
	expect(&c, c.start[2], c.start[2] + 100, false);
	expect(&c, c.start[2] + 100, c.start[3] + 1, true);
	expect(&c, c.start[3] + 1, c.len, true);
	tls_del(&c);
	/* a packet that ends behind it: the new record's part in it is closed */
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, c.start[2] + 10, false);
	expect(&c, c.start[2] + 10, c.start[3] + 10, true);
	tls_del(&c);
	conn_free(&c);

	/* it was: nothing with the new key is ever opened */
	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 1, 500);
	add_record(&c, &r, 22, 5);
	memcpy(key, c.key, 32);
	rnd_fill(&r, c.key, 32);
	add_records(&c, &r, 8, 500);
	memcpy(c.key, key, 32);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, c.start[2], true);
	expect_all(&c, c.start[2], c.start[7], 100, false);
	CHECK(lost(&c));
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, 1);
	/* not even if the host says where it is */
	CHECK_EQ(sync_record(&c, 9), SEALNIC_OK);
	expect_all(&c, c.start[7], c.len, 100, false);
	CHECK(lost(&c));
	tls_del(&c);
	/* nor if the message itself was in a gap: one wrong tag is enough */
	n = get_stats(h).tls_rx_auth_bad;
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, c.start[1] + 10, true);
	expect_all(&c, c.start[2], c.start[4], 100, false);
	CHECK(lost(&c));
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, n + 1);
	tls_del(&c);
	conn_free(&c);

	if (!tls13) {
		host_free(h);
		return;
	}
	/* RFC 8446 5.4: padding behind the content type, over packets */
	conn_init(&c, h, SEALNIC_AES256_GCM, &r);
	memset(zeros, 0, sizeof(zeros));
	zeros[10] = 22;
	add_bytes(&c, 0, zeros, 900, NULL);
	at = c.len;
	zeros[10] = 23;
	add_bytes(&c, 0, zeros, 900, NULL);
	add_records(&c, &r, 2, 300);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect_all(&c, 0, at, 300, true);
	expect_all(&c, at, at + 900, 100, false);
	expect_all(&c, at + 900, c.len, 100, true);
	conn_free(&c);
	host_free(h);
}

/* A record with a gap in it may have been KeyUpdate: is its content type known? */
static void key_update_with_a_gap(void)
{
	struct host *h = rx_up();
	struct rnd r = { 75 };
	uint8_t key[32], plain[600], nonce[8] = { 0 };
	struct conn c;

	for (uint32_t where = 0; where < 3; where++) {
		conn_init(&c, h, SEALNIC_AES128_GCM, &r);
		add_records(&c, &r, 1, 500);
		/*
		 * Of TLS 1.3 it is before the gap, in it, or behind it; before it is what
		 * seems one
		 */
		memset(plain, 23, 100);
		memset(plain + 100, 0, 500);
		plain[150 + 100 * where] = 22;
		add_bytes(&c, tls13 ? 0 : 22, plain, 600, nonce);
		memcpy(key, c.key, 32);
		rnd_fill(&r, c.key, 32);
		add_records(&c, &r, 4, 500);
		memcpy(c.key, key, 32);
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		expect(&c, 0, c.start[1] + prefix() + 200, true);
		expect(&c, c.start[1] + prefix() + 300, c.start[2] + 100, false);
		CHECK(!lost(&c));
		expect_all(&c, c.start[2] + 100, c.start[4], 100, false);
		CHECK(lost(&c));
		expect(&c, c.start[4], c.len, false);
		tls_del(&c);
		conn_free(&c);
	}
	host_free(h);
}

/* ---- packets that are not the connection's stream ---- */

static bool untouched(struct conn *c, const uint8_t *frame, uint32_t len, uint32_t ctx)
{
	struct sealnic_event before = tls_query(c), after;
	static uint8_t out[16384];
	struct sealnic_rxc rxc;

	post_buffers(c->h, 0, 1, 10000);
	offer(c->h, frame, len, len, false);
	after = tls_query(c);
	return CHECK_EQ(take_frame(c->h, 0, out, &rxc), len) && CHECK(!memcmp(out, frame, len)) &&
	       CHECK_EQ(rxc.tls_ctx, ctx) && CHECK_EQ(rxc.tls_seq, 0) &&
	       CHECK(!(rxc.flags & (SEALNIC_RX_TLS_OPENED | SEALNIC_RX_TLS_RESYNC))) &&
	       CHECK(!memcmp(&before.tls_query, &after.tls_query, sizeof(after.tls_query)));
}

static void not_the_stream(void)
{
	struct host *h = rx_up();
	uint8_t frame[2048];
	struct rnd r = { 60 };
	uint32_t len;
	struct conn c, other;

	for (int v6 = 0; v6 < 2; v6++) {
		conn_init(&c, h, SEALNIC_AES128_GCM, &r);
		c.v6 = v6;
		add_records(&c, &r, 4, 200);
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		expect(&c, 0, 50, true);

		/* SYN and RST, with payload; no payload */
		for (uint8_t flag = 2; flag <= 4; flag += 2) {
			len = frame_of(&c, c.seq + 50, 0x10 | flag, c.wire + 50, 100, frame);
			untouched(&c, frame, len, 0);
		}
		len = frame_of(&c, c.seq + 50, 0x10, NULL, 0, frame);
		untouched(&c, frame, len, 0);
		len = frame_of(&c, c.seq + 90, 0x11, NULL, 0, frame);
		untouched(&c, frame, len, 0);
		/* wrong checksum: of TCP, of IP */
		len = frame_of(&c, c.seq + 50, 0x18, c.wire + 50, 100, frame);
		frame[len - 1] ^= 1;
		untouched(&c, frame, len, 0);
		CHECK_EQ(get_stats(h).rx_csum_bad, v6 ? 3 : 1);
		if (!v6) {
			frame[len - 1] ^= 1;
			frame[22] ^= 1;
			untouched(&c, frame, len, 0);
			/* a fragment */
			len = frame_of(&c, c.seq + 50, 0x18, c.wire + 50, 100, frame);
			frame[20] = 0x20;
			frame[24] = 0;
			frame[25] = 0;
			{
				uint32_t sum = 0;

				for (int i = 14; i < 34; i += 2)
					sum += (uint32_t)frame[i] << 8 | frame[i + 1];
				sum = ~((sum & 0xffff) + (sum >> 16));
				frame[24] = (uint8_t)(sum >> 8);
				frame[25] = (uint8_t)sum;
			}
			untouched(&c, frame, len, 0);
		} else {
			/* behind an extension header: nobody looks */
			len = frame_of(&c, c.seq + 50, 0x18, c.wire + 50, 100, frame);
			frame[20] = 0;
			untouched(&c, frame, len, 0);
		}
		/* a data offset that makes no sense */
		len = frame_of(&c, c.seq + 50, 0x18, c.wire + 50, 100, frame);
		{
			uint32_t at = v6 ? 54 : 34;
			uint32_t sum = ((uint32_t)frame[at + 16] << 8 | frame[at + 17]) + 0x1000;

			frame[at + 12] -= 0x10;
			sum = (sum & 0xffff) + (sum >> 16);
			frame[at + 16] = (uint8_t)(sum >> 8);
			frame[at + 17] = (uint8_t)sum;
		}
		untouched(&c, frame, len, 0);
		/* another port, another version of IP, UDP */
		other = c;
		other.port++;
		len = frame_of(&other, c.seq + 50, 0x18, c.wire + 50, 100, frame);
		untouched(&c, frame, len, 0);
		other = c;
		other.v6 = !v6;
		len = frame_of(&other, c.seq + 50, 0x18, c.wire + 50, 100, frame);
		untouched(&c, frame, len, 0);
		/* somebody else's, seen because the port listens to everything */
		set_rx_mode(h, SEALNIC_RX_PROMISC);
		other = c;
		other.mine = false;
		len = frame_of(&other, c.seq + 50, 0x18, c.wire + 50, 100, frame);
		untouched(&c, frame, len, 0);
		memset(frame, 0xff, 6);
		untouched(&c, frame, len, 0);
		/* our own still are */
		expect(&c, 50, 60, true);
		set_rx_mode(h, SEALNIC_RX_BROADCAST);
		/* not checked: not opened */
		set_port(h, SEALNIC_PORT_ENABLE, 1500);
		len = frame_of(&c, c.seq + 60, 0x18, c.wire + 60, 100, frame);
		untouched(&c, frame, len, 0);
		set_port(h, SEALNIC_PORT_ENABLE | SEALNIC_PORT_RX_CSUM, 9000);
		/* FIN, PSH, URG with payload, and all of the stream to the end */
		expect(&c, 60, c.len - 1, true);
		{
			static uint8_t out[2048];
			struct sealnic_rxc rxc;

			len = frame_of(&c, c.seq + c.len - 1, 0x39, c.wire + c.len - 1, 1, frame);
			post_buffers(h, 0, 1, 2000);
			offer(h, frame, len, len, false);
			CHECK_EQ(take_frame(h, 0, out, &rxc), len);
			CHECK(rxc.flags & SEALNIC_RX_TLS_OPENED);
		}
		CHECK_EQ(get_stats(h).tls_rx_lost, 0);
		tls_del(&c);
		/* without a context: as they came, and no id */
		len = frame_of(&c, c.seq, 0x18, c.wire, 100, frame);
		post_buffers(h, 0, 1, 2000);
		offer(h, frame, len, len, false);
		{
			static uint8_t out[2048];
			struct sealnic_rxc rxc;

			CHECK_EQ(take_frame(h, 0, out, &rxc), len);
			CHECK_EQ(rxc.tls_ctx, 0);
			CHECK(!memcmp(out, frame, len));
		}
		conn_free(&c);
	}
	host_free(h);
}

/* Short frames are padded behind the IP packet: not the stream's bytes */
static void padded_frames(void)
{
	static uint8_t frame[128], out[128];
	struct host *h = rx_up();
	struct rnd r = { 61 };
	struct sealnic_rxc rxc;
	struct conn c;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 4, 1);
	for (int strip = 0; strip < 2; strip++) {
		set_port(h, SEALNIC_PORT_ENABLE | SEALNIC_PORT_RX_CSUM |
			 (strip ? SEALNIC_PORT_VLAN_STRIP : 0), 9000);
		c.vlan = strip;
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		for (uint32_t pos = 0; pos < c.len; pos += 3) {
			uint32_t n = c.len - pos < 3 ? c.len - pos : 3;
			uint32_t tag = strip ? 4 : 0, hdr;
			uint32_t len = frame_of(&c, c.seq + pos, 0x18, c.wire + pos, n, frame);

			hdr = len - n;
			memset(frame + len, 0x77, 70 - len);
			post_buffers(h, 0, 1, 256);
			offer(h, frame, 70, pos % 2 ? hdr : 18 + pos % 53, false);
			CHECK_EQ(take_frame(h, 0, out, &rxc), 70 - tag);
			CHECK(rxc.flags & SEALNIC_RX_TLS_OPENED);
			CHECK(!memcmp(out, frame, 12));
			CHECK(!memcmp(out + 12, frame + 12 + tag, hdr - tag - 12));
			CHECK(!memcmp(out + hdr - tag, c.plain + pos, n));
			CHECK(!memcmp(out + len - tag, frame + len, 70 - len));
			CHECK_EQ(!!(rxc.flags & SEALNIC_RX_VLAN), strip);
		}
		tls_del(&c);
	}
	conn_free(&c);
	host_free(h);
}

/* A packet that is dropped for want of buffers has not moved the context; nor twice */
static void no_buffers(void)
{
	static uint8_t frame[2048], out[2048];
	struct host *h = rx_up();
	struct rnd r = { 62 };
	struct sealnic_rxc rxc;
	struct conn c;
	uint32_t len;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 4, 1000);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	len = frame_of(&c, c.seq, 0x18, c.wire, 1400, frame);
	offer(h, frame, len, len, false);
	CHECK_EQ(get_stats(h).rx_no_buffer, 1);
	CHECK_EQ(tls_query(&c).tls_query.tcp_seq, c.seq);
	set_port(h, SEALNIC_PORT_ENABLE | SEALNIC_PORT_RX_CSUM | SEALNIC_PORT_PAUSE, 9000);
	CHECK_EQ(offer(h, frame, len, len, true), FW_RX_HOLD);
	CHECK_EQ(offer(h, frame, len, len, true), FW_RX_HOLD);
	CHECK_EQ(tls_query(&c).tls_query.tcp_seq, c.seq);
	post_buffers(h, 0, 1, 2000);
	CHECK_EQ(offer(h, frame, len, len, true), FW_RX_TAKEN);
	CHECK_EQ(take_frame(h, 0, out, &rxc), len);
	CHECK(rxc.flags & SEALNIC_RX_TLS_OPENED);
	expect(&c, 1400, c.len, true);
	conn_free(&c);
	host_free(h);
}

/* ---- the table ---- */

static void table(void)
{
	struct host *h = rx_up();
	struct rnd r = { 63 };
	struct conn c[64], again;

	for (uint32_t i = 0; i < 64; i++) {
		conn_init(&c[i], h, 1 + i % 2, &r);
		c[i].port = (uint16_t)(i / 2 * 256 + 7);
		c[i].v6 = i % 2;
		add_records(&c[i], &r, 2, 50);
		CHECK_EQ(tls_add_at(&c[i], 0, 0), SEALNIC_OK);
	}
	conn_init(&again, h, 1, &r);
	again.port = 1;
	CHECK_EQ(tls_add_at(&again, 0, 0), SEALNIC_NO_RESOURCE);
	conn_free(&again);
	/* in every order, now and then another one in its place; the others stay */
	for (uint32_t n = 0; n < 2000; n++) {
		uint32_t i = rnd_below(&r, 64);

		if (c[i].ctx) {
			expect(&c[i], 0, 70, true);
			if (rnd_below(&r, 3)) {
				/* one tuple, one context */
				again = c[i];
				CHECK_EQ(tls_add_at(&again, 0, 0), SEALNIC_BAD_STATE);
			}
			CHECK_EQ(tls_del(&c[i]), SEALNIC_OK);
			c[i].ctx = 0;
			if (!expect(&c[i], 0, 70, false))
				break;
		} else if (rnd_below(&r, 3)) {
			CHECK_EQ(tls_add_at(&c[i], 0, 0), SEALNIC_OK);
		}
	}
	reset(h);
	CHECK_EQ(get_stats(h).tls_rx_ctx, 0);
	for (uint32_t i = 0; i < 64; i++)
		conn_free(&c[i]);
	host_free(h);
}

static void wrong_use(void)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_ADD };
	struct sealnic_event ev = { 0 };
	struct host *h = rx_up();
	struct sealnic_txd d = { .type = SEALNIC_TXD_TLS_SYNC };
	struct rnd r = { 64 };
	struct conn c;

	cmd.tls_add.direction = SEALNIC_TLS_RX;
	cmd.tls_add.cipher = 1;
	cmd.tls_add.version = 0x0303;
	for (uint32_t v = 0; v < 256; v++) {
		cmd.tls_add.ip_version = (uint8_t)v;
		if (v != 4 && v != 6)
			CHECK_EQ(command(h, &cmd, NULL), SEALNIC_BAD_PARAM);
	}
	CHECK_EQ(get_stats(h).tls_ctx, 0);

	conn_init(&c, h, 1, &r);
	add_records(&c, &r, 2, 100);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	CHECK_EQ(get_stats(h).tls_ctx, 1);
	CHECK_EQ(get_stats(h).tls_rx_ctx, 1);
	/* to send with it: there is no such context */
	{
		struct headers hd = tcp_headers(false, c.seq, 0x18, 0);
		struct packet p = { .hdr = hd.bytes, .hdr_len = hd.len, .data = c.plain,
				    .len = c.len, .flags = SEALNIC_TX_TLS, .l3 = hd.l3,
				    .l4 = hd.l4, .tls_ctx = c.ctx };

		send_packet(h, 0, &p);
	}
	d.sync.tls_ctx = c.ctx;
	d.sync.tcp_seq = 1;
	post_txd(h, 0, &d);
	d.type = SEALNIC_TXD_TLS_REPLAY;
	d.addr = arena_put(h, c.wire, 10);
	d.len = 10;
	post_txd(h, 0, &d);
	kick(h, 0);
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(get_stats(h).tls_tx_no_ctx, 3);
	expect(&c, 0, c.len, true);
	/* to synchronise one that sends */
	cmd.tls_add.direction = SEALNIC_TLS_TX;
	CHECK_EQ(command(h, &cmd, &ev), SEALNIC_OK);
	CHECK_EQ(get_stats(h).tls_rx_ctx, 1);
	tls_del(&c);
	c.ctx = ev.tls_ctx.id;
	CHECK_EQ(sync_record(&c, 0), SEALNIC_BAD_STATE);
	/* with the connection's addresses in it by chance: not found by them */
	c.ctx = 0;
	expect(&c, 0, c.len, false);
	conn_free(&c);
	host_free(h);
}

static void secrets_are_wiped(void)
{
	struct host *h = rx_up();
	struct rnd r = { 65 };
	struct conn c;

	for (int way = 0; way < 2; way++) {
		conn_init(&c, h, SEALNIC_AES256_GCM, &r);
		add_records(&c, &r, 2, 1000);
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		expect(&c, 0, 1400, true);
		CHECK(in_device_memory(h, c.key, 8));
		CHECK(in_device_memory(h, c.plain + prefix(), 16));
		if (way) {
			reset(h);
			CHECK(!in_device_memory(h, c.plain + prefix(), 16));
		} else {
			tls_del(&c);
		}
		CHECK(!in_device_memory(h, c.key, 8));
		CHECK(!in_device_memory(h, c.key + 24, 8));
		CHECK(!in_device_memory(h, c.iv, 12));
		conn_free(&c);
	}
	host_free(h);
}

static void context_size(void)
{
	struct host *h = host_up(0);

	printf("# a context has %u bytes\n", h->seg->tls_ctx_bytes);
	CHECK(h->seg->tls_ctx_bytes <= 1024);
	/* and 4 to 8 bytes of the table */
	CHECK(h->fw_mem_size < 64 * (h->seg->tls_ctx_bytes + 8u) + 200000);
	CHECK(h->seg->features & SEALNIC_F_TLS_RX);
	CHECK(h->seg->features & SEALNIC_F_TLS_13);
	CHECK_EQ(h->seg->if_minor, 1);
	host_free(h);
}

/* The model's switches for tests */
static void lose_and_spoil(void)
{
	struct host *h = rx_up();
	struct rnd r = { 66 };
	struct conn c;
	struct got got;

	conn_init(&c, h, SEALNIC_AES128_GCM, &r);
	add_records(&c, &r, 10, 500);
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	expect(&c, 0, c.start[2], true);
	fw_tls_lose(h->fw);
	CHECK(lost(&c));
	got = arrive(&c, c.start[2], c.start[3], NULL);
	CHECK(!got.opened && got.resync);
	CHECK_EQ(sync_record(&c, 2), SEALNIC_OK);
	expect(&c, c.start[3], c.start[4], true);
	fw_tls_spoil(h->fw, 1);
	expect(&c, c.start[4], c.start[5], false);
	expect(&c, c.start[5], c.start[6], true);
	CHECK_EQ(get_stats(h).tls_rx_auth_bad, 1);
	conn_free(&c);
	host_free(h);
}

/* ---- everything at once ---- */

/* What has happened to the connection's bytes, seen from outside */
struct ledger {
	uint8_t *first;		/* of each byte: 0 not yet come, 1 it was good, 2 changed */
	bool *opened;		/* of each byte */
	struct {
		uint32_t opened;	/* bytes */
		bool changed;		/* one of them is not as it was made */
		bool gap;		/* bytes of it came before others */
	} *rec;
	uint32_t newest;
	bool once;		/* what was there is not sent again by the dozen */
};

static void ledger_init(struct ledger *l, const struct conn *c)
{
	*l = (struct ledger){
		.first = calloc(c->len, 1),
		.opened = calloc(c->len, sizeof(bool)),
		.rec = calloc(c->records, sizeof(*l->rec)),
		.once = true,
	};
}

static void ledger_free(struct ledger *l)
{
	free(l->first);
	free(l->opened);
	free(l->rec);
}

/* A packet has come: what does the ledger say to its being opened? */
static bool ledger_enter(struct ledger *l, const struct conn *c, uint32_t from, uint32_t to,
			 const uint8_t *delta, struct got got)
{
	uint32_t rec = record_at(c, from);
	bool good = true;

	if (from > l->newest)
		l->rec[rec].gap = true;
	for (uint32_t i = from; i < to; i++) {
		bool changed = delta && delta[i - from];

		/* an opened packet has nothing but new bytes, or at least none that were opened */
		if (got.opened && l->once && !CHECK(!l->first[i] && i >= l->newest))
			good = false;
		if (got.opened && !CHECK(!l->opened[i]))
			good = false;
		if (!l->first[i])
			l->first[i] = changed ? 2 : 1;
		while (i >= c->start[rec + 1])
			rec++;
		if (got.opened) {
			l->opened[i] = true;
			l->rec[rec].opened++;
			l->rec[rec].changed |= changed;
		}
	}
	if (to > l->newest)
		l->newest = to;
	if (!got.opened)
		return good;
	for (rec = record_at(c, from); rec < c->records && c->start[rec] < to; rec++) {
		/* the host believes in what is opened as a whole: its tag was seen, and right */
		if (l->rec[rec].opened == c->start[rec + 1] - c->start[rec]) {
			if (l->rec[rec].changed)
				good = CHECK(!"a record that is not authentic was opened");
			if (l->rec[rec].gap && l->once)
				good = CHECK(!"a record with a gap was opened");
		}
		/* whether or not as a whole: what ends here is authentic, if it had no gap */
		if (c->start[rec + 1] > to || l->rec[rec].gap || !l->once)
			continue;
		for (uint32_t i = c->start[rec]; i < c->start[rec + 1]; i++) {
			if (l->first[i] != 1)
				good = CHECK(!"a record with a missing or changed byte was opened");
		}
	}
	return good;
}

struct weather {
	uint32_t loss, late, dup, corrupt;	/* per 1000 packets */
	uint32_t stray, again;			/* the same: not the connection's; all over again */
	uint32_t answer;			/* packets until an answer comes, at most */
	uint32_t window;			/* packets until a lost one is sent again, at most */
	uint32_t fixed;				/* bytes of a packet; 0: any */
	bool facts;				/* true but unasked TLS_SYNCs */
};

struct segment {
	uint32_t from, to;
	uint64_t due;				/* packet number */
};

#define MAX_LATER 4096

struct trip {
	struct conn *c;
	struct rnd *r;
	struct ledger l;
	uint32_t key_update;			/* the record, if there is one */
	uint64_t bytes, opened;			/* of packets that came */
	uint32_t answers[64];			/* records to tell of */
	uint64_t answer_due[64];
	uint32_t n_answers;
	struct segment later[MAX_LATER];
	uint32_t n_later;
	uint64_t now;
};

/* One packet; its RESYNC is noted as a good host would */
static bool trip_packet(struct trip *t, const struct weather *w, uint32_t from, uint32_t to,
			bool corrupt)
{
	static uint8_t delta[16384];
	uint8_t *d = NULL;
	struct got got;
	uint32_t rec;

	if (corrupt) {
		memset(delta, 0, to - from);
		d = delta;
		rec = rnd_below(t->r, to - from);
		/*
		 * Ciphertext or tag: what a changed header does is seen elsewhere.  And no
		 * content type that makes others of the next records: the host does not get
		 * to them.
		 */
		if (from + rec - t->c->start[record_at(t->c, from + rec)] >= prefix() &&
		    record_at(t->c, from + rec) != t->key_update)
			d[rec] = (uint8_t)(1 + rnd_below(t->r, 255));
	}
	got = arrive(t->c, from, to, d);
	t->now++;
	t->bytes += to - from;
	if (got.opened)
		t->opened += to - from;
	if (!got.taken || !ledger_enter(&t->l, t->c, from, to, d, got))
		return false;
	if (got.resync) {
		rec = record_at(t->c, got.seq);
		/* what is no record's start is never reached, and never answered */
		if (got.seq < t->c->len && t->c->start[rec] == got.seq && t->n_answers < 64) {
			t->answers[t->n_answers] = rec;
			t->answer_due[t->n_answers++] = t->now + rnd_below(t->r, w->answer + 1);
		}
	}
	if (w->facts && !rnd_below(t->r, 20))
		sync_record(t->c, rnd_below(t->r, record_at(t->c, t->l.newest - 1) + 2));
	for (uint32_t i = 0; i < t->n_answers;) {
		if (t->answer_due[i] > t->now) {
			i++;
			continue;
		}
		sync_record(t->c, t->answers[i]);
		t->answers[i] = t->answers[--t->n_answers];
		t->answer_due[i] = t->answer_due[t->n_answers];
	}
	return true;
}

static bool trip_later(struct trip *t, const struct weather *w, bool all)
{
	for (uint32_t i = 0; i < t->n_later;) {
		struct segment s = t->later[i];

		if (s.due > t->now && !all) {
			i++;
			continue;
		}
		t->later[i] = t->later[--t->n_later];
		/* cut otherwise than the first time, now and then */
		if (!w->fixed && s.to - s.from > 1 && rnd_below(t->r, 2)) {
			uint32_t m = s.from + 1 + rnd_below(t->r, s.to - s.from - 1);

			if (!trip_packet(t, w, s.from, m, false))
				return false;
			s.from = m;
		} else if (!w->fixed && rnd_below(t->r, 2) && s.from > 100) {
			s.from -= rnd_below(t->r, 100);
		}
		if (!trip_packet(t, w, s.from, s.to, false))
			return false;
	}
	return true;
}

/* TCP has heard of nothing that came lately, and sends it again */
static bool trip_again(struct trip *t, const struct weather *w)
{
	uint32_t to = t->l.newest, n = rnd_below(t->r, 40000), from = n < to ? to - n : 0;

	while (from < to) {
		n = 1 + rnd_below(t->r, 1448);
		if (n > to - from)
			n = to - from;
		if (!trip_packet(t, w, from, from + n, rnd_below(t->r, 1000) < w->corrupt))
			return false;
		from += n;
	}
	return true;
}

/* Send bytes @from to @to of the stream through this weather */
static bool trip_run(struct trip *t, const struct weather *w, uint32_t from, uint32_t to)
{
	while (from < to) {
		uint32_t n = w->fixed ? w->fixed : 1 + rnd_below(t->r, rnd_below(t->r, 2) ? 60 : 1448);
		uint32_t roll = rnd_below(t->r, 1000);
		struct segment s = { .from = from };
		bool corrupt;

		if (n > to - from)
			n = to - from;
		s.to = from + n;
		corrupt = rnd_below(t->r, 1000) < w->corrupt;
		if (roll < w->loss) {
			t->now++;
			s.due = t->now + 1 + rnd_below(t->r, w->window);
			if (w->fixed)
				s.due = t->now + w->window;
			if (t->n_later < MAX_LATER)
				t->later[t->n_later++] = s;
		} else if (roll < w->loss + w->late) {
			s.due = t->now + 1 + rnd_below(t->r, 8);
			if (t->n_later < MAX_LATER)
				t->later[t->n_later++] = s;
		} else {
			if (!trip_packet(t, w, s.from, s.to, corrupt))
				return false;
			/* what was changed is found by nobody but TLS: TCP keeps it */
			if (rnd_below(t->r, 1000) < w->dup &&
			    !trip_packet(t, w, s.from, s.to, false))
				return false;
		}
		from = s.to;
		if (!trip_later(t, w, false))
			return false;
		if (rnd_below(t->r, 1000) < w->stray) {
			stray(t->c, t->c->seq + t->l.newest + (1u << 26) +
				    rnd_below(t->r, 2u << 30),
			      rnd_below(t->r, 500));
			t->bytes += 100;
		}
		if (rnd_below(t->r, 1000) < w->again && !trip_again(t, w))
			return false;
	}
	return trip_later(t, w, true);
}

static bool one_trip(uint32_t seed, bool print)
{
	static const uint32_t sizes[] = { 0, 1, 10, 100, 1000, 5000, 16384 };
	struct host *h = rx_up();
	struct rnd r = { seed };
	struct weather w = {
		.loss = rnd_below(&r, 3) ? rnd_below(&r, 100) : 0,
		.late = rnd_below(&r, 2) ? rnd_below(&r, 100) : 0,
		.dup = rnd_below(&r, 2) ? rnd_below(&r, 50) : 0,
		.corrupt = rnd_below(&r, 3) ? 0 : rnd_below(&r, 20),
		.answer = rnd_below(&r, 2) ? 0 : rnd_below(&r, 100),
		.window = 1 + rnd_below(&r, 60),
		.facts = rnd_below(&r, 2),
		.again = rnd_below(&r, 3) ? 0 : rnd_below(&r, 20),
	}, clear = { .window = 1 };
	static struct trip t;
	struct conn c;
	uint32_t n = 20 + rnd_below(&r, 200), largest = 1 + rnd_below(&r, 7), from, rec, opened = 0;
	bool update = rnd_below(&r, 8) == 0, good;
	uint8_t key[32];

	w.stray = w.again ? rnd_below(&r, 20) : 0;
	t = (struct trip){ .c = &c, .r = &r, .key_update = UINT32_MAX };
	conn_init(&c, h, 1 + seed % 2, &r);
	c.v6 = rnd_below(&r, 2);
	if (rnd_below(&r, 4) == 0)
		c.seq = -rnd_below(&r, 100000);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t size = sizes[rnd_below(&r, largest)];

		add_record(&c, &r, rnd_below(&r, 50) ? 23 : 22,
			   rnd_below(&r, 2) ? size : rnd_below(&r, size + 1));
	}
	n = c.records;
	memcpy(key, c.key, 32);
	if (update) {
		t.key_update = n;
		add_record(&c, &r, 22, 1 + rnd_below(&r, 3000));
		rnd_fill(&r, c.key, 32);
		add_records(&c, &r, 20, 1000);
		n = c.records;
	}
	/* a stretch of good weather at the end: records that are longer than packets */
	add_records(&c, &r, w.again ? 30 : 10, 3000);
	memcpy(c.key, key, 32);
	ledger_init(&t.l, &c);
	t.l.once = !w.again;
	CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
	good = trip_run(&t, &w, 0, c.start[n]);
	/* answers that are still on their way are those of a host that reads on */
	w.answer = 0;
	for (uint32_t i = 0; i < t.n_answers; i++)
		t.answer_due[i] = 0;
	from = c.start[n];
	while (good && from < c.len) {
		uint64_t before = t.opened;
		uint32_t to = from + 1 + rnd_below(&r, 1448);

		to = to < c.len ? to : c.len;
		good = trip_packet(&t, &clear, from, to, false);
		rec = record_at(&c, from);
		if (t.opened > before)
			opened++;
		/* every packet behind 3 of them is opened: 1 to find, 1 to prove */
		if (rec >= n + 3 && t.opened == before && !update && !w.again)
			good = CHECK(!"in sync after three records");
		from = to;
	}
	/* with another key, none */
	good = good && CHECK_EQ(opened != 0, !update);
	if (!good || print)
		printf("# seed %u: %s, %u records%s, loss %u late %u dup %u corrupt %u stray %u again %u answer %u window %u: %u %% opened, lost %llu\n",
		       seed, tls13 ? "TLS 1.3" : "TLS 1.2", n, update ? ", two keys" : "",
		       w.loss, w.late, w.dup, w.corrupt, w.stray, w.again, w.answer, w.window, (uint32_t)(100 * t.opened / t.bytes),
		       (unsigned long long)get_stats(h).tls_rx_lost);
	CHECK_EQ(h->seg->errors, 0);
	CHECK_EQ(get_stats(h).tls_rx_bytes, t.opened);
	CHECK_EQ(get_stats(h).tls_rx_bytes + get_stats(h).tls_rx_skip_bytes, t.bytes);
	ledger_free(&t.l);
	conn_free(&c);
	host_free(h);
	return good;
}

static uint32_t first_seed, seeds = 150;

static void any_weather(void)
{
	for (uint32_t seed = first_seed; seed < first_seed + seeds; seed++) {
		if (!one_trip(seed, seeds == 1))
			return;
	}
}

/* What is opened with 1 % of packets lost: 16 KB records, 1448 bytes a packet */
static void share_opened(void)
{
	static const struct {
		const char *what;
		uint32_t loss, late, answer, window;
	} runs[] = {
		{ "1 % loss, an answer at once", 10, 0, 0, 40 },
		{ "1 % loss, an answer after 40 packets", 10, 0, 40, 40 },
		{ "5 % loss, an answer at once", 50, 0, 0, 40 },
		{ "1 % of packets late", 0, 10, 0, 40 },
	};

	for (uint32_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		struct weather w = { .loss = runs[i].loss, .late = runs[i].late,
				     .answer = runs[i].answer, .window = runs[i].window,
				     .fixed = 1448 };
		struct host *h = rx_up();
		static struct trip t;
		struct rnd r = { 67 };
		uint32_t share;
		struct conn c;

		t = (struct trip){ .c = &c, .r = &r, .key_update = UINT32_MAX };
		conn_init(&c, h, SEALNIC_AES128_GCM, &r);
		add_records(&c, &r, 1000, 16384);
		ledger_init(&t.l, &c);
		CHECK_EQ(tls_add_at(&c, 0, 0), SEALNIC_OK);
		CHECK(trip_run(&t, &w, 0, c.len));
		share = (uint32_t)(1000 * t.opened / t.bytes);
		printf("# %s, %s: %u.%u %% opened; lost %llu times, %llu found, %llu told, %llu gaps passed\n",
		       tls13 ? "TLS 1.3" : "TLS 1.2", runs[i].what, share / 10, share % 10,
		       (unsigned long long)get_stats(h).tls_rx_lost,
		       (unsigned long long)get_stats(h).tls_rx_found,
		       (unsigned long long)get_stats(h).tls_rx_resync_ok,
		       (unsigned long long)get_stats(h).tls_rx_gap);
		CHECK(share >= (runs[i].loss > 10 ? 500 : 880));
		ledger_free(&t.l);
		conn_free(&c);
		host_free(h);
	}
}

/* [SEED [SEEDS]]: only the random test, for these */
int main(int argc, char **argv)
{
	if (argc > 1) {
		first_seed = (uint32_t)strtoul(argv[1], NULL, 0);
		seeds = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 1;
	} else {
		test("TLS 1.3: a record of RFC 8448", rfc8448);
		test("a context takes at most 1 KB", context_size);
	}
	for (int v = 0; v < 2; v++) {
		tls13 = v;
#define BOTH(name, fn) test(tls13 ? "TLS 1.3: " name : "TLS 1.2: " name, fn)
		BOTH("loss, reordering, duplicates, forgeries, by seed", any_weather);
		if (argc > 1)
			continue;
		BOTH("records cut into two packets at every byte", two_packets);
		BOTH("records over random packets; two connections by turns", random_packets);
		BOTH("TCP and record numbers wrap, but for the last", numbers_wrap);
		BOTH("packets from before the first record, and one with both", before_the_start);
		BOTH("the mere end of a record that is closed is closed", end_of_a_closed_record);
		BOTH("retransmissions, also with new bytes behind the old", retransmissions);
		BOTH("a gap in a record: on with the next one", gap_in_a_record);
		BOTH("a gap up to a record's first byte", gap_to_a_record);
		BOTH("gaps from everywhere to everywhere in a record", gaps_everywhere);
		BOTH("what is left of a record behind a gap is opened unproved, the next is not",
		     forged_behind_a_gap);
		BOTH("a gap in a record that is in doubt", gap_in_doubt);
		BOTH("a gap over a header loses the place; TLS_SYNC brings it back",
		     gap_that_loses);
		BOTH("a context that is added too late", added_late);
		BOTH("TLS_SYNC for the first, last and next header found, at every cut",
		     sync_everywhere);
		BOTH("a TLS_SYNC that is of no use is stale, one ahead is good", stale_syncs);
		BOTH("the device asks again", asks_again);
		BOTH("ciphertext that looks like a header", false_headers);
		BOTH("a packet from far ahead", stray_packets);
		BOTH("no record is opened in parts of two copies", no_second_copy);
		BOTH("a false header whose successor would be behind a true one",
		     false_header_over_a_true_one);
		BOTH("a late packet brings the place back without the host",
		     found_without_the_host);
		BOTH("a forged record is delivered as it came", forged);
		BOTH("two bad records in a row: lost", forged_twice);
		BOTH("a TLS_SYNC with a wrong number opens nothing", wrong_number);
		BOTH("an impossible header: lost", impossible_header);
		BOTH("a wrong length: lost", wrong_length);
		BOTH("behind a handshake message nothing is opened unproved", key_update);
		BOTH("nor behind a record with a gap that may have been one",
		     key_update_with_a_gap);
		BOTH("packets that are not the stream do not touch it", not_the_stream);
		BOTH("TLS_DEL says how far it got", how_far);
		BOTH("short frames keep their padding", padded_frames);
		BOTH("dropped and held packets", no_buffers);
		BOTH("contexts are found by their tuple only", table);
		BOTH("wrong tuples, wrong directions", wrong_use);
		BOTH("keys and plaintext are wiped", secrets_are_wiped);
		BOTH("switches for tests", lose_and_spoil);
		BOTH("the share opened", share_opened);
#undef BOTH
	}
	return tap_end();
}
