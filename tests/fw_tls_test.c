// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Inline sealing: records walked across any segmentation, opened again with
 * another AES-GCM than the device's; what is not expected is dropped; replays
 * bring a context back to any byte; contexts and keys come and go.  What depends
 * on the record's form runs for TLS 1.2 and for TLS 1.3.
 */
#include <openssl/evp.h>
#include <sys/resource.h>

#include "fw_harness.h"

#define HDR	5
#define NONCE	(tls13 ? 0u : 8u) /* the explicit one */
#define TYPE	(tls13 ? 1u : 0u) /* the content type behind the payload */
#define TAG	16
#define PREFIX	(HDR + NONCE)
#define OVERHEAD (PREFIX + TYPE + TAG)

static bool tls13;		/* the version that a test runs with */

/* ---- streams of records, and opening them ---- */

struct stream {
	uint8_t *plain;		/* as the host sends it: tags are still garbage */
	uint32_t len;
	uint32_t start[64];	/* of each record */
	uint32_t records;
};

static void add_record(struct stream *s, struct rnd *r, uint8_t type, uint32_t payload)
{
	uint32_t body = NONCE + payload + TYPE + TAG;
	uint8_t *p;

	s->plain = realloc(s->plain, s->len + HDR + body);
	p = s->plain + s->len;
	p[0] = tls13 ? 23 : type;
	p[1] = 3;
	p[2] = 3;
	p[3] = (uint8_t)(body >> 8);
	p[4] = (uint8_t)body;
	rnd_fill(r, p + HDR, body); /* the nonce is the host's choice */
	if (tls13)
		p[PREFIX + payload] = type;
	s->start[s->records++] = s->len;
	s->len += HDR + body;
}

/* A context's secrets, and where in TCP's and TLS's numbers it began */
struct session {
	struct host *h;
	uint32_t q;
	uint32_t ctx;
	uint8_t cipher;
	uint8_t key[32];
	uint8_t iv[12];
	uint32_t seq;
	uint64_t rec_no;
	bool v6;
	bool vlan;
};

static enum sealnic_status tls_add(struct session *s)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_ADD };
	struct sealnic_event ev = { 0 };
	enum sealnic_status status;

	cmd.tls_add.direction = SEALNIC_TLS_TX;
	cmd.tls_add.cipher = s->cipher;
	cmd.tls_add.version = tls13 ? 0x0304 : 0x0303;
	cmd.tls_add.tcp_seq = s->seq;
	cmd.tls_add.rec_no = s->rec_no;
	memcpy(cmd.tls_add.iv, s->iv, 12);
	memcpy(cmd.tls_add.key, s->key, 32);
	status = command(s->h, &cmd, &ev);
	s->ctx = ev.tls_ctx.id;
	/* the test's own copies of the key must not be found in memory */
	memset(host_at(s->h, s->h->cmd_ring, 16 * sizeof(cmd)), 0, 16 * sizeof(cmd));
	return status;
}

static enum sealnic_status tls_del(struct host *h, uint32_t id)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_DEL };

	cmd.tls_ctx.id = id;
	return command(h, &cmd, NULL);
}

static struct sealnic_event tls_query(struct host *h, uint32_t id)
{
	struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_TLS_QUERY };
	struct sealnic_event ev = { 0 };

	cmd.tls_ctx.id = id;
	if (command(h, &cmd, &ev) != SEALNIC_OK)
		ev.tls_query.state = 0;
	return ev;
}

static void session_init(struct session *s, struct host *h, uint8_t cipher, struct rnd *r)
{
	*s = (struct session){ .h = h, .cipher = cipher, .seq = rnd(r), .rec_no = rnd(r) };
	rnd_fill(r, s->key, 32);
	rnd_fill(r, s->iv, 12);
	CHECK_EQ(tls_add(s), SEALNIC_OK);
}

/* RFC 5288, or RFC 8446 5.2, with OpenSSL; @out gets the payload, and its type in TLS 1.3 */
static bool open_record(const struct session *s, uint64_t rec_no, const uint8_t *rec,
			uint32_t payload, uint8_t *out)
{
	uint32_t sealed = payload + TYPE;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[12], aad[13], tag[TAG];
	int n = 0, m = 0;
	bool good;

	memcpy(nonce, s->iv, 12);
	for (int i = 0; i < 8; i++) {
		aad[i] = (uint8_t)(rec_no >> (56 - 8 * i));
		nonce[4 + i] = tls13 ? nonce[4 + i] ^ aad[i] : rec[HDR + i];
	}
	if (tls13) {
		memcpy(aad, rec, HDR);
	} else {
		memcpy(aad + 8, rec, 3);
		aad[11] = (uint8_t)(payload >> 8);
		aad[12] = (uint8_t)payload;
	}
	memcpy(tag, rec + PREFIX + sealed, TAG);
	good = EVP_DecryptInit_ex(ctx, s->cipher == SEALNIC_AES128_GCM ? EVP_aes_128_gcm() :
								       EVP_aes_256_gcm(),
				  NULL, s->key, nonce) == 1 &&
	       EVP_DecryptUpdate(ctx, NULL, &n, aad, tls13 ? HDR : sizeof(aad)) == 1 &&
	       (!sealed ||
		EVP_DecryptUpdate(ctx, out, &n, rec + PREFIX, (int)sealed) == 1) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
	       EVP_DecryptFinal_ex(ctx, out + sealed, &m) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return good;
}

/* Do all records of @wire open to what @st has in plain? */
static bool opens(const struct session *s, uint64_t rec_no, const struct stream *st,
		  const uint8_t *wire)
{
	static uint8_t out[16384 + 64];

	for (uint32_t i = 0; i < st->records; i++) {
		const uint8_t *rec = wire + st->start[i], *plain = st->plain + st->start[i];
		uint32_t payload = ((uint32_t)plain[3] << 8 | plain[4]) - NONCE - TYPE - TAG;

		if (memcmp(rec, plain, PREFIX) ||
		    !open_record(s, rec_no + i, rec, payload, out) ||
		    memcmp(out, plain + PREFIX, payload + TYPE))
			return false;
	}
	return true;
}

/* ---- sending a stream, and taking it from the wire ---- */

/* Bytes @from to @to of a stream as one packet; more than @mss are cut */
static void post_bytes(const struct session *s, const struct stream *st, uint32_t from,
		       uint32_t to, uint32_t mss, struct rnd *r)
{
	struct headers hd = tcp_headers(s->v6, s->seq + from, 0x18, r ? rnd_below(r, 4) * 4 : 12);
	struct packet p = { .hdr = hd.bytes, .hdr_len = hd.len, .data = st->plain + from,
			    .len = to - from, .flags = SEALNIC_TX_TLS, .l3 = hd.l3, .l4 = hd.l4,
			    .tls_ctx = s->ctx, .tci = 0x0123 };

	if (to - from > mss) {
		p.flags |= SEALNIC_TX_TSO;
		p.mss = (uint16_t)mss;
	}
	if (s->vlan)
		p.flags |= SEALNIC_TX_VLAN;
	if (r) {
		p.together = rnd_below(r, 2);
		if (rnd_below(r, 2))
			p.flags |= SEALNIC_TX_CSUM;
		if (rnd_below(r, 3)) {
			p.n_cuts = 1 + rnd_below(r, 12);
			for (uint32_t i = 0; i < p.n_cuts; i++)
				p.cuts[i] = 1 + rnd_below(r, 2 * (hd.len + p.len) / p.n_cuts);
		}
	}
	post_packet(s->h, s->q, &p);
}

static void send_bytes(const struct session *s, const struct stream *st, uint32_t from,
		       uint32_t to)
{
	post_bytes(s, st, from, to, 1448, NULL);
	kick(s->h, s->q);
}

/* The payload of the frames on the wire, which start at byte @from; its length */
static uint32_t collect(const struct session *s, uint32_t from, uint8_t *out)
{
	uint32_t len = 0;
	struct view v;

	for (uint32_t i = 0; i < s->h->n_frames; i++) {
		const struct frame *f = &s->h->frames[i];

		if (!CHECK(read_frame(&v, f->bytes, f->len)) || !CHECK(v.ip_good) ||
		    !CHECK(v.l4_good) || !CHECK_EQ(v.seq, s->seq + from + len))
			break;
		CHECK_EQ(v.vlan, s->vlan);
		memcpy(out + len, v.payload, v.len);
		len += v.len;
	}
	drop_frames(s->h);
	return len;
}

static void post_sync(const struct session *s, uint32_t seq, uint64_t rec_no)
{
	struct sealnic_txd d = { .type = SEALNIC_TXD_TLS_SYNC };

	d.sync.tls_ctx = s->ctx;
	d.sync.tcp_seq = seq;
	d.sync.rec_no = rec_no;
	post_txd(s->h, s->q, &d);
}

static void post_replay(const struct session *s, const uint8_t *bytes, uint32_t len)
{
	struct sealnic_txd d = { .type = SEALNIC_TXD_TLS_REPLAY, .len = len };

	d.replay.tls_ctx = s->ctx;
	d.addr = arena_put(s->h, bytes, len);
	post_txd(s->h, s->q, &d);
}

static void small_stream(struct stream *st, struct rnd *r)
{
	static const uint32_t sizes[] = { 0, 1, 15, 16, 17, 100 };

	*st = (struct stream){ 0 };
	for (uint32_t i = 0; i < 6; i++)
		add_record(st, r, i & 1 ? 21 : 23, sizes[i]);
}

/* ---- sealing ---- */

static uint32_t from_hex(const char *hex, uint8_t *out)
{
	uint32_t n = 0;
	unsigned int byte;

	for (; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		out[n] = (uint8_t)byte;
	return n;
}

/* RFC 8448 3: records of the simple 1-RTT handshake's application data */
static void rfc8448(void)
{
	static const struct {
		const char *key, *iv;
		uint64_t rec_no;
		uint8_t type;
		const char *plain, *sealed;
	} known[] = {
#define CLIENT	"17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9"
#define SERVER	"9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984"
#define COUNT50	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627" \
		"28292a2b2c2d2e2f3031"
		{ CLIENT, 0, 23, COUNT50,
		  "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b"
		  "395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4" },
		{ CLIENT, 1, 21, "0100", "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3" },
		{ SERVER, 1, 23, COUNT50,
		  "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6"
		  "dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d" },
		{ SERVER, 2, 21, "0100", "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9" },
	};
	struct host *h = host_up(1);

	tls13 = true;
	for (uint32_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
		struct session s = { .h = h, .cipher = SEALNIC_AES128_GCM, .seq = 77,
				     .rec_no = known[k].rec_no };
		uint8_t plain[64], want[128], wire[128];
		struct stream st = { 0 };
		struct rnd r = { 30 };
		uint32_t n;

		from_hex(known[k].key, s.key);
		from_hex(known[k].iv, s.iv);
		CHECK_EQ(tls_add(&s), SEALNIC_OK);
		n = from_hex(known[k].plain, plain);
		add_record(&st, &r, known[k].type, n);
		memcpy(st.plain + PREFIX, plain, n);
		CHECK_EQ(from_hex(known[k].sealed, want), st.len);
		send_bytes(&s, &st, 0, st.len);
		CHECK_EQ(collect(&s, 0, wire), st.len);
		CHECK(!memcmp(wire, want, st.len));
		free(st.plain);
	}
	host_free(h);
}

/* The record layer of TLS 1.3 allows one outer type only: RFC 8446 5.2 */
static void outer_type(void)
{
	static const uint8_t types[] = { 20, 21, 22, 24, 0, 255 };
	struct host *h = host_up(1);
	struct rnd r = { 31 };

	tls13 = true;
	for (uint32_t i = 0; i < sizeof(types); i++) {
		struct stream st = { 0 };
		struct session s;

		add_record(&st, &r, 23, 40);
		st.plain[0] = types[i];
		session_init(&s, h, SEALNIC_AES128_GCM, &r);
		send_bytes(&s, &st, 0, st.len);
		CHECK_EQ(h->n_frames, 0);
		CHECK_EQ(get_stats(h).tls_tx_malformed, i + 1);
		tls_del(h, s.ctx);
		free(st.plain);
	}
	host_free(h);
}

/*
 * A whole record as TLS 1.2 makes it (RFC 5288), written down once with another
 * implementation: key 00 01 02 .., salt cafebabe, record number 1.
 */
struct known {
	uint8_t cipher;
	const char *sealed;
};

static void known_record(void)
{
	static const struct known known[] = {
		{ SEALNIC_AES128_GCM,
		  "170303003da00102030405060752c4e275aae3e5b1f37199f3d6bea2eec1f6e1"
		  "84c776dd584483615def1b40430c6521ac460d76592f74e91c33dd1377960e9c"
		  "c807" },
		{ SEALNIC_AES256_GCM,
		  "170303003da001020304050607f7379ef86b47d6bfa9a1ad6bcbe057db0f69d8"
		  "b25ebdaeaf1043c5fff8847c8a35bede9f665499b559e69ade70b05364d6f5c4"
		  "fae2" },
	};
	struct host *h = host_up(1);

	tls13 = false;
	for (int k = 0; k < 2; k++) {
		static const uint8_t nonce[8] = { 0xa0, 1, 2, 3, 4, 5, 6, 7 };
		struct session s = { .h = h, .cipher = known[k].cipher, .seq = 1000, .rec_no = 1 };
		struct stream st = { 0 };
		uint8_t wire[256], want[256];
		struct rnd r = { 0 };

		for (int i = 0; i < 32; i++)
			s.key[i] = (uint8_t)i;
		memcpy(s.iv, "\xca\xfe\xba\xbe", 4);
		CHECK_EQ(tls_add(&s), SEALNIC_OK);
		add_record(&st, &r, 23, 37);
		memcpy(st.plain + HDR, nonce, 8);
		memcpy(st.plain + PREFIX, "the quick brown fox jumps over a dog\n", 37);
		send_bytes(&s, &st, 0, st.len);
		CHECK_EQ(collect(&s, 0, wire), st.len);
		CHECK_EQ(from_hex(known[k].sealed, want), st.len);
		CHECK(!memcmp(wire, want, st.len));
		CHECK(opens(&s, 1, &st, wire));
		free(st.plain);
	}
	host_free(h);
}

static void two_packets(void)
{
	struct host *h = host_up(1);
	struct rnd r = { 11 };
	static uint8_t wire[4096];

	for (uint32_t k = 0; k < 8; k++) {
		struct stream st;
		struct session s;

		small_stream(&st, &r);
		for (uint32_t cut = 1; cut < st.len; cut++) {
			session_init(&s, h, k & 1 ? SEALNIC_AES256_GCM : SEALNIC_AES128_GCM, &r);
			s.v6 = k & 2;
			s.vlan = k & 4;
			post_bytes(&s, &st, 0, cut, 1448, cut % 3 ? &r : NULL);
			post_bytes(&s, &st, cut, st.len, 1448, cut % 3 ? &r : NULL);
			kick(h, 0);
			if (!CHECK_EQ(h->n_frames, 2) || !CHECK_EQ(h->frames[0].len -
								   h->frames[0].first, cut))
				goto out;
			if (!CHECK_EQ(collect(&s, 0, wire), st.len) ||
			    !CHECK(opens(&s, s.rec_no, &st, wire))) {
				printf("# cut at %u\n", cut);
				goto out;
			}
			CHECK_EQ(tls_del(h, s.ctx), SEALNIC_OK);
		}
		free(st.plain);
	}
	CHECK_EQ(h->seg->errors, 0);
out:
	host_free(h);
}

/* Many records of all sizes, packets of all sizes, on several queue pairs at once */
static void random_packets(void)
{
	static const uint32_t sizes[] = { 0, 1, 15, 16, 17, 100, 1000, 16383, 16384 };
	static uint8_t wire[2][1u << 19];
	struct host *h = host_up(3);
	struct rnd r = { 12 };

	for (uint32_t round = 0; round < 40; round++) {
		struct sealnic_stats before = get_stats(h), after;
		uint32_t pos[2] = { 0, 0 }, got[2] = { 0, 0 };
		struct stream st[2] = { { 0 }, { 0 } };
		struct session s[2];

		for (int k = 0; k < 2; k++) {
			uint32_t n = 1 + rnd_below(&r, 20);

			session_init(&s[k], h, 1 + (round + k) % 2, &r);
			s[k].q = rnd_below(&r, 3);
			s[k].v6 = rnd_below(&r, 2);
			s[k].vlan = rnd_below(&r, 2);
			while (n--)
				add_record(&st[k], &r, rnd_below(&r, 5) ? 23 : 21,
					   rnd_below(&r, 2) ? sizes[rnd_below(&r, 9)] :
							      rnd_below(&r, 3000));
		}
		/* two connections by turns: contexts do not mix */
		while (pos[0] < st[0].len || pos[1] < st[1].len) {
			uint32_t k = rnd_below(&r, 2), left = st[k].len - pos[k], n;
			uint32_t mss = rnd_below(&r, 4) ? 64 + rnd_below(&r, 2000) : 1448;

			if (!left)
				continue;
			n = 1 + rnd_below(&r, rnd_below(&r, 2) ? 40 : 65536);
			if (n > left)
				n = left;
			post_bytes(&s[k], &st[k], pos[k], pos[k] + n, mss, &r);
			kick(h, s[k].q);
			got[k] += collect(&s[k], pos[k], wire[k] + got[k]);
			pos[k] += n;
		}
		after = get_stats(h);
		for (int k = 0; k < 2; k++) {
			struct sealnic_event q = tls_query(h, s[k].ctx);

			CHECK_EQ(got[k], st[k].len);
			CHECK(opens(&s[k], s[k].rec_no, &st[k], wire[k]));
			CHECK_EQ(q.tls_query.state, SEALNIC_TLS_IN_SYNC);
			CHECK_EQ(q.tls_query.tcp_seq, s[k].seq + st[k].len);
			CHECK_EQ(q.tls_query.rec_no, s[k].rec_no + st[k].records);
			CHECK_EQ(q.tls_query.rec_pos, 0);
			CHECK_EQ(tls_del(h, s[k].ctx), SEALNIC_OK);
			free(st[k].plain);
		}
		CHECK_EQ(after.tls_tx_records - before.tls_tx_records,
			 st[0].records + st[1].records);
		CHECK_EQ(after.tls_tx_bytes - before.tls_tx_bytes, st[0].len + st[1].len);
		CHECK_EQ(after.tls_tx_packets - before.tls_tx_packets,
			 after.tx_packets - before.tx_packets);
	}
	CHECK_EQ(h->seg->errors, 0);
	CHECK_EQ(get_stats(h).tls_ctx, 0);
	host_free(h);
}

static void numbers_wrap(void)
{
	struct host *h = host_up(1);
	struct rnd r = { 13 };
	static uint8_t wire[4096];
	struct stream st;
	struct session s;

	small_stream(&st, &r);
	/* TCP's in the middle of the stream, the record number's upper half after it */
	session_init(&s, h, SEALNIC_AES128_GCM, &r);
	tls_del(h, s.ctx);
	s.seq = -100u;
	s.rec_no = 0xfffffffe;
	CHECK_EQ(tls_add(&s), SEALNIC_OK);
	send_bytes(&s, &st, 0, 110);
	send_bytes(&s, &st, 110, st.len);
	CHECK_EQ(collect(&s, 0, wire), st.len);
	CHECK(opens(&s, s.rec_no, &st, wire));

	/* but the last record number is not used: RFC 5246 6.1 */
	s.rec_no = UINT64_MAX - 1;
	tls_del(h, s.ctx);
	CHECK_EQ(tls_add(&s), SEALNIC_OK);
	send_bytes(&s, &st, 0, st.start[1]);
	CHECK_EQ(h->n_frames, 1);
	drop_frames(h);
	send_bytes(&s, &st, st.start[1], st.start[2]);
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(get_stats(h).tls_tx_malformed, 1);
	free(st.plain);
	host_free(h);
}

/* ---- what is not expected ---- */

static void wrong_sequence(void)
{
	static const int32_t off[] = { 1, -1, 29, 0x7fffffff, -0x7fffffff };
	struct host *h = host_up(1);
	static uint8_t wire[4096];
	struct rnd r = { 14 };
	struct stream st;

	small_stream(&st, &r);
	for (uint32_t i = 0; i < 5; i++) {
		struct session s;

		session_init(&s, h, SEALNIC_AES128_GCM, &r);
		h->n_events = 0;
		s.seq += (uint32_t)off[i];
		send_bytes(&s, &st, 0, 50);
		s.seq -= (uint32_t)off[i];
		/* now the right one, but the context is lost: still nothing, told once */
		send_bytes(&s, &st, 0, 50);
		send_bytes(&s, &st, 50, 60);
		CHECK_EQ(h->n_frames, 0);
		CHECK_EQ(get_stats(h).tls_tx_unexpected, 4 * i + 3);
		drain_events(h);
		CHECK_EQ(count_events(h, SEALNIC_EV_TLS_LOST), 1);
		CHECK_EQ(find_event(h, SEALNIC_EV_TLS_LOST)->tls_ctx.id, s.ctx);
		CHECK_EQ(tls_query(h, s.ctx).tls_query.state, SEALNIC_TLS_LOST);
		/* completed like any other: the host gets its buffers back */
		CHECK_EQ(tx_cons(h, 0), h->qp[0].tx_prod);

		post_sync(&s, s.seq, s.rec_no);
		send_bytes(&s, &st, 0, st.len);
		CHECK_EQ(collect(&s, 0, wire), st.len);
		CHECK(opens(&s, s.rec_no, &st, wire));
		/* and a second loss is told again */
		send_bytes(&s, &st, 0, 10);
		drain_events(h);
		CHECK_EQ(count_events(h, SEALNIC_EV_TLS_LOST), 2);
		tls_del(h, s.ctx);
	}
	CHECK_EQ(get_stats(h).tls_tx_sync, 5);
	CHECK_EQ(h->seg->errors, 0);
	free(st.plain);
	host_free(h);
}

static void malformed_headers(void)
{
	const struct {
		const char *what;
		uint8_t at, value[2];
	} bad[] = {
		{ "version 3.1", 2, { 1, 0 } }, { "version 2.3", 1, { 2, 3 } },
		{ "one byte too short", 3, { 0, tls13 ? 16 : 23 } }, { "length 0", 3, { 0, 0 } },
		{ "one byte too long", 3, { 0x40, tls13 ? 18 : 25 } },
		{ "length 65535", 3, { 255, 255 } },
	};
	struct host *h = host_up(1);
	static uint8_t wire[4096];
	struct rnd r = { 15 };

	for (uint32_t i = 0; i < 6; i++) {
		/* whole, cut into packets inside the header, and nothing but the header */
		for (uint32_t cut = 0; cut <= 6; cut++) {
			uint64_t n = get_stats(h).tls_tx_malformed;
			struct stream st = { 0 };
			struct session s;
			uint32_t at;

			add_record(&st, &r, 23, 40);
			add_record(&st, &r, 23, 60);
			at = st.start[1];
			st.plain[at + bad[i].at] = bad[i].value[0];
			if (bad[i].at != 2)
				st.plain[at + bad[i].at + 1] = bad[i].value[1];
			session_init(&s, h, SEALNIC_AES256_GCM, &r);
			h->n_events = 0;
			if (cut == 6) {
				send_bytes(&s, &st, 0, at + HDR);
			} else if (cut) {
				/* these bytes are sent: nobody can know yet */
				send_bytes(&s, &st, 0, at + cut - 1);
				CHECK_EQ(collect(&s, 0, wire), at + cut - 1);
				send_bytes(&s, &st, at + cut - 1, st.len);
			} else {
				send_bytes(&s, &st, 0, st.len);
			}
			if (!CHECK_EQ(h->n_frames, 0))
				printf("# %s\n", bad[i].what);
			drop_frames(h);
			CHECK_EQ(get_stats(h).tls_tx_malformed, n + 1);
			drain_events(h);
			CHECK_EQ(count_events(h, SEALNIC_EV_TLS_LOST), 1);
			CHECK_EQ(count_events(h, SEALNIC_EV_QP_ERROR), 0);
			tls_del(h, s.ctx);
			free(st.plain);
		}
	}
	host_free(h);
}

static void largest_and_smallest(void)
{
	static uint8_t wire[20000];
	struct host *h = host_up(1);
	struct rnd r = { 16 };
	struct stream st = { 0 };
	struct session s;

	add_record(&st, &r, 22, 0);
	add_record(&st, &r, 255, 16384);
	session_init(&s, h, SEALNIC_AES128_GCM, &r);
	send_bytes(&s, &st, 0, st.len);
	CHECK_EQ(collect(&s, 0, wire), st.len);
	CHECK(opens(&s, s.rec_no, &st, wire));
	free(st.plain);
	host_free(h);
}

/* An address that goes bad in the middle: nothing is sent, the queue pair dies */
static void bad_address_in_payload(void)
{
	struct host *h = host_up(2);
	struct sealnic_event q;
	struct rnd r = { 17 };
	struct stream st;
	struct session s;

	small_stream(&st, &r);
	session_init(&s, h, SEALNIC_AES128_GCM, &r);
	h->n_events = 0;
	post_bytes(&s, &st, 0, 200, 64, NULL);
	txd(h, 0, 1)->addr = HIGH_BASE + (4u << 20) - 199;
	kick(h, 0);
	drain_events(h);
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(count_events(h, SEALNIC_EV_QP_ERROR), 1);
	CHECK_EQ(count_events(h, SEALNIC_EV_TLS_LOST), 1);
	q = tls_query(h, s.ctx);
	CHECK_EQ(q.tls_query.state, SEALNIC_TLS_LOST);
	/* the context can be used on another queue pair after a sync */
	s.q = 1;
	post_sync(&s, s.seq, s.rec_no);
	send_bytes(&s, &st, 0, st.len);
	CHECK_EQ(h->n_frames, 1);
	free(st.plain);
	host_free(h);
}

static void lost_with_full_event_ring(void)
{
	struct sealnic_cmd echo = { .opcode = SEALNIC_CMD_ECHO };
	struct host *h = host_up(1);
	struct rnd r = { 18 };
	struct stream st;
	struct session s;

	small_stream(&st, &r);
	session_init(&s, h, SEALNIC_AES128_GCM, &r);
	h->n_events = 0;
	for (int i = 0; i < 32; i++) {
		post_command(h, &echo);
		ring(h, 0);
		host_run(h);
	}
	send_bytes(&s, &st, 10, 20);
	drain_events(h);
	CHECK_EQ(count_events(h, SEALNIC_EV_TLS_LOST), 0);
	/* told with the next packet that is dropped */
	send_bytes(&s, &st, 20, 30);
	send_bytes(&s, &st, 30, 40);
	drain_events(h);
	CHECK_EQ(count_events(h, SEALNIC_EV_TLS_LOST), 1);
	CHECK_EQ(get_stats(h).tls_tx_unexpected, 3);
	free(st.plain);
	host_free(h);
}

/* Before the header goes out, not after: a TLS packet that is not TCP */
static void tls_of_something_else(void)
{
	struct host *h = host_up(1);
	struct rnd r = { 19 };
	struct stream st;
	struct session s;

	small_stream(&st, &r);
	session_init(&s, h, SEALNIC_AES128_GCM, &r);
	post_bytes(&s, &st, 0, 100, 1448, NULL);
	((uint8_t *)host_at(h, txd(h, 0, 0)->addr, 54))[23] = 17;
	kick(h, 0);
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(get_stats(h).err_desc, 1);
	/* nor one without payload */
	post_bytes(&s, &st, 0, 0, 1448, NULL);
	kick(h, 0);
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(get_stats(h).err_desc, 2);
	/* the context has not moved */
	CHECK_EQ(tls_query(h, s.ctx).tls_query.tcp_seq, s.seq);
	free(st.plain);
	host_free(h);
}

static void rewrite_payload(struct host *h)
{
	/* after the device has read it: headers in both arenas too */
	for (int i = 0; i < 2; i++)
		memset(host_at(h, h->arena[i], 4096), 0x55, 4096);
	memset(host_at(h, h->qp[0].tx, 256 * 32), 0xff, 256 * 32);
}

/*
 * The host rewrites everything as soon as the first part is sealed.  What
 * follows is garbage, but sealed garbage: in the place of a header it ends the
 * context, in the place of payload it is encrypted.
 */
static void payload_rewritten_meanwhile(void)
{
	struct host *h = host_up(1);
	static uint8_t wire[4096], out[2048];
	struct rnd r = { 20 };
	struct stream st = { 0 };
	struct session s;

	add_record(&st, &r, 23, 1000);
	session_init(&s, h, SEALNIC_AES128_GCM, &r);
	{
		struct headers hd = tcp_headers(false, s.seq, 0x18, 0);
		struct packet p = { .hdr = hd.bytes, .hdr_len = hd.len, .data = st.plain,
				    .len = st.len, .flags = SEALNIC_TX_TLS, .l3 = hd.l3,
				    .l4 = hd.l4, .tls_ctx = s.ctx,
				    .cuts = { 54, 113, 200 }, .n_cuts = 3 };

		post_packet(h, 0, &p);
	}
	h->on_seal = rewrite_payload;
	kick(h, 0);
	h->on_seal = NULL;
	CHECK_EQ(collect(&s, 0, wire), st.len);
	if (CHECK(open_record(&s, s.rec_no, wire, 1000, out))) {
		CHECK(!memcmp(out, st.plain + PREFIX, 113 - PREFIX));
		for (uint32_t i = 113 - PREFIX; i < 1000; i++) {
			if (!CHECK_EQ(out[i], 0x55))
				break;
		}
	}
	free(st.plain);

	/* two records: the second header is gone when the walk comes there */
	st = (struct stream){ 0 };
	add_record(&st, &r, 23, 100);
	add_record(&st, &r, 23, 100);
	h->arena_pos[0] = 0;
	h->arena_pos[1] = 0;
	tls_del(h, s.ctx);
	destroy_qp(h, 0);
	create_qp(h, 0, 8, 7);
	session_init(&s, h, SEALNIC_AES128_GCM, &r);
	h->on_seal = rewrite_payload;
	send_bytes(&s, &st, 0, st.len);
	h->on_seal = NULL;
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(get_stats(h).tls_tx_malformed, 1);
	free(st.plain);
	host_free(h);
}

/* ---- replay ---- */

/* A retransmission that starts at any byte of any record, whatever was sent before */
static void replay_everywhere(void)
{
	struct host *h = host_up(2);
	static uint8_t first[4096], again[4096];
	struct rnd r = { 21 };

	for (int k = 0; k < 2; k++) {
		uint64_t replayed = get_stats(h).tls_tx_replay_bytes;
		struct stream st;
		struct session s;

		small_stream(&st, &r);
		session_init(&s, h, 1 + (uint8_t)k, &r);
		s.q = (uint32_t)k;
		send_bytes(&s, &st, 0, st.len);
		CHECK_EQ(collect(&s, 0, first), st.len);
		CHECK(opens(&s, s.rec_no, &st, first));
		for (uint32_t from = 0; from < st.len; from++) {
			uint64_t records = get_stats(h).tls_tx_records;
			uint32_t rec = 0, pos, to;

			while (rec + 1 < st.records && st.start[rec + 1] <= from)
				rec++;
			pos = from - st.start[rec];
			to = from + 1 + rnd_below(&r, st.len - from);
			replayed += pos;
			post_sync(&s, s.seq + st.start[rec], s.rec_no + rec);
			/* the record's earlier bytes, in one piece or several */
			for (uint32_t done = 0, n; done < pos; done += n) {
				n = from & 1 ? pos - done : 1 + rnd_below(&r, pos - done);
				post_replay(&s, st.plain + st.start[rec] + done, n);
			}
			CHECK_EQ(h->n_frames, 0);
			post_bytes(&s, &st, from, to, 100, &r);
			/*
			 * and on from there, without another sync; every third time
			 * the next sync finds the context in the middle of a record
			 */
			if (from % 3 && to < st.len) {
				post_bytes(&s, &st, to, st.len, 100, &r);
				to = st.len;
			}
			kick(h, s.q);
			if (!CHECK_EQ(collect(&s, from, again), to - from) ||
			    !CHECK(!memcmp(again, first + from, to - from))) {
				printf("# replay to byte %u of record %u\n", pos, rec);
				goto out;
			}
			if (to == st.len)
				CHECK_EQ(get_stats(h).tls_tx_records - records, st.records - rec);
		}
		CHECK_EQ(get_stats(h).tls_tx_replay_bytes, replayed);
		CHECK_EQ(get_stats(h).tls_tx_unexpected, 0);
		free(st.plain);
	}
	drain_events(h);
	CHECK_EQ(count_events(h, SEALNIC_EV_TLS_LOST), 0);
	CHECK_EQ(h->seg->errors, 0);
out:
	host_free(h);
}

/* In a record of 16 KB: positions around blocks and at the ends */
static void replay_large(void)
{
	const uint32_t at[] = { 0, 1, 4, 5, 6, 12, 13, 14, 20, 21, 22, 28, 29, 30, 1448, 8192,
				16384 + OVERHEAD - 18, 16384 + OVERHEAD - 17, 16384 + OVERHEAD - 16,
				16384 + OVERHEAD - 15, 16384 + OVERHEAD - 1 };
	static uint8_t first[20000], again[20000];
	struct host *h = host_up(1);
	struct stream st = { 0 };
	struct rnd r = { 22 };
	struct session s;

	add_record(&st, &r, 23, 16384);
	session_init(&s, h, SEALNIC_AES256_GCM, &r);
	send_bytes(&s, &st, 0, st.len);
	CHECK_EQ(collect(&s, 0, first), st.len);
	for (uint32_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		post_sync(&s, s.seq, s.rec_no);
		if (at[i])
			post_replay(&s, st.plain, at[i]);
		send_bytes(&s, &st, at[i], st.len);
		CHECK_EQ(collect(&s, at[i], again), st.len - at[i]);
		CHECK(!memcmp(again, first + at[i], st.len - at[i]));
	}
	/* over several records, to the very end: the next packet is a new record */
	post_sync(&s, s.seq, s.rec_no);
	post_replay(&s, st.plain, st.len);
	add_record(&st, &r, 23, 20);
	send_bytes(&s, &st, st.start[1], st.len);
	CHECK_EQ(collect(&s, st.start[1], first + st.start[1]), 20 + OVERHEAD);
	CHECK(opens(&s, s.rec_no, &st, first));
	free(st.plain);
	host_free(h);
}

static void bad_replay(void)
{
	struct host *h = host_up(1);
	uint8_t junk[100];
	struct rnd r = { 23 };
	struct stream st;
	struct session s;

	small_stream(&st, &r);
	session_init(&s, h, SEALNIC_AES128_GCM, &r);
	h->n_events = 0;
	/* no records: lost, the packet behind is dropped */
	memset(junk, 0x17, sizeof(junk));
	post_sync(&s, s.seq, s.rec_no);
	post_replay(&s, junk, 100);
	post_replay(&s, junk, 100);
	send_bytes(&s, &st, 200, 210);
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(get_stats(h).tls_tx_unexpected, 1);
	CHECK_EQ(get_stats(h).tls_tx_replay_bytes, 100);
	drain_events(h);
	CHECK_EQ(count_events(h, SEALNIC_EV_TLS_LOST), 1);
	/* too few: the packet is not the one that comes next */
	post_sync(&s, s.seq, s.rec_no);
	post_replay(&s, st.plain, 20);
	send_bytes(&s, &st, 21, 30);
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(get_stats(h).tls_tx_unexpected, 2);
	drain_events(h);
	CHECK_EQ(count_events(h, SEALNIC_EV_TLS_LOST), 2);
	CHECK_EQ(h->seg->errors, 0);
	free(st.plain);
	host_free(h);
}

/* ---- contexts ---- */

static void stale_ids(void)
{
	struct host *h = host_up(1);
	struct rnd r = { 24 };
	struct stream st;
	struct session a, b;

	small_stream(&st, &r);
	session_init(&a, h, SEALNIC_AES128_GCM, &r);
	CHECK(a.ctx != 0);
	CHECK_EQ(tls_del(h, a.ctx), SEALNIC_OK);
	CHECK_EQ(tls_del(h, a.ctx), SEALNIC_BAD_STATE);
	CHECK_EQ(tls_query(h, a.ctx).tls_query.state, 0);
	/* the same place, another id */
	session_init(&b, h, SEALNIC_AES128_GCM, &r);
	CHECK(a.ctx != b.ctx);
	CHECK_EQ(a.ctx & 0xfffff, b.ctx & 0xfffff);
	a.seq = b.seq;
	post_sync(&a, 5, 6);
	post_replay(&a, st.plain, 10);
	send_bytes(&a, &st, 0, 50);
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(get_stats(h).tls_tx_no_ctx, 3);
	CHECK_EQ(tls_del(h, a.ctx), SEALNIC_BAD_STATE);
	/* and the new one has noticed nothing */
	CHECK_EQ(tls_query(h, b.ctx).tls_query.tcp_seq, b.seq);
	send_bytes(&b, &st, 0, 50);
	CHECK_EQ(h->n_frames, 1);
	drop_frames(h);
	/* ids that never were */
	a.ctx = 0;
	send_bytes(&a, &st, 0, 50);
	a.ctx = b.ctx + 1;
	send_bytes(&a, &st, 0, 50);
	a.ctx = UINT32_MAX;
	send_bytes(&a, &st, 0, 50);
	CHECK_EQ(get_stats(h).tls_tx_no_ctx, 6);
	CHECK_EQ(h->n_frames, 0);
	free(st.plain);
	host_free(h);
}

/* Generations wrap after 4095, and no id is 0 on the way */
static void generations(void)
{
	struct host *h = host_up(0);
	struct rnd r = { 25 };
	struct session s;
	uint32_t before;

	session_init(&s, h, SEALNIC_AES128_GCM, &r);
	for (uint32_t i = 0; i < 9000; i++) {
		before = s.ctx;
		if (!CHECK_EQ(tls_del(h, s.ctx), SEALNIC_OK) ||
		    !CHECK_EQ(tls_add(&s), SEALNIC_OK) ||
		    !CHECK(s.ctx >> 20 != before >> 20) || !CHECK(s.ctx >> 20))
			break;
	}
	CHECK_EQ(get_stats(h).tls_ctx, 1);
	host_free(h);
}

static void table_full(void)
{
	struct host *h = host_up(1);
	struct session s[65];
	static uint8_t wire[4096];
	struct rnd r = { 26 };
	struct stream st;

	small_stream(&st, &r);
	for (int i = 0; i < 64; i++)
		session_init(&s[i], h, 1 + i % 2, &r);
	s[64] = s[0];
	CHECK_EQ(tls_add(&s[64]), SEALNIC_NO_RESOURCE);
	CHECK_EQ(get_stats(h).tls_ctx, 64);
	CHECK_EQ(h->seg->errors, 0);
	/* those that are there work, the refused one has no id that does */
	send_bytes(&s[64], &st, 0, 10);
	CHECK_EQ(h->n_frames, 0);
	CHECK_EQ(tls_del(h, s[17].ctx), SEALNIC_OK);
	CHECK_EQ(tls_del(h, s[40].ctx), SEALNIC_OK);
	session_init(&s[17], h, SEALNIC_AES256_GCM, &r);
	session_init(&s[40], h, SEALNIC_AES128_GCM, &r);
	CHECK_EQ(tls_add(&s[64]), SEALNIC_NO_RESOURCE);
	for (int i = 0; i < 64; i++) {
		send_bytes(&s[i], &st, 0, st.len);
		CHECK_EQ(collect(&s[i], 0, wire), st.len);
		CHECK(opens(&s[i], s[i].rec_no, &st, wire));
	}
	free(st.plain);
	host_free(h);
}

static long resident_kb(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static void million_contexts(void)
{
	const struct host_options opt = { .max_tls_ctx = 1u << 20 };
	static uint8_t wire[4096];
	struct host *h = host_new(&opt);
	struct rnd r = { 27 };
	struct stream st;
	struct session s;
	long before;

	start(h);
	set_port(h, SEALNIC_PORT_ENABLE, 1500);
	create_qp(h, 0, 8, 7);
	small_stream(&st, &r);
	CHECK_EQ(h->seg->max_tls_ctx, 1u << 20);
	CHECK(h->fw_mem_size >= (1ull << 20) * h->seg->tls_ctx_bytes);
	/* memory for those in use, not for all */
	before = resident_kb();
	for (int i = 0; i < 1000; i++) {
		session_init(&s, h, SEALNIC_AES128_GCM, &r);
		s.seq = tls_query(h, s.ctx).tls_query.tcp_seq;
	}
	CHECK(resident_kb() - before < 8192);
	send_bytes(&s, &st, 0, st.len);
	CHECK_EQ(collect(&s, 0, wire), st.len);
	CHECK(opens(&s, s.rec_no, &st, wire));
	/* RESET goes through those in use only */
	reset(h);
	CHECK_EQ(get_stats(h).tls_ctx, 0);
	CHECK(resident_kb() - before < 8192);
	free(st.plain);
	host_free(h);
}

/* ---- keys ---- */

static void keys_are_wiped(void)
{
	static uint8_t wire[4096];
	struct host *h = host_up(1);
	struct rnd r = { 28 };
	struct stream st;
	struct session s;

	small_stream(&st, &r);
	for (int way = 0; way < 3; way++) {
		session_init(&s, h, SEALNIC_AES256_GCM, &r);
		/* in the middle of a record: partial state is there too */
		send_bytes(&s, &st, 0, st.len - 30);
		CHECK_EQ(collect(&s, 0, wire), st.len - 30);
		CHECK(in_device_memory(h, s.key, 8));
		CHECK(in_device_memory(h, s.key + 24, 8));
		CHECK(in_device_memory(h, s.iv, 12));
		if (way == 0) {
			CHECK_EQ(tls_del(h, s.ctx), SEALNIC_OK);
		} else if (way == 1) {
			reset(h);
		} else {
			fw_fault(h->fw, SEALNIC_SYN_INJECTED);
			reset(h);
		}
		for (int i = 0; i < 32; i += 8)
			CHECK(!in_device_memory(h, s.key + i, 8));
		CHECK(!in_device_memory(h, s.iv, 12));
		if (way) {
			start(h);
			set_port(h, SEALNIC_PORT_ENABLE, 1500);
			create_qp(h, 0, 8, 7);
			/* gone in every respect */
			CHECK_EQ(tls_del(h, s.ctx), SEALNIC_BAD_STATE);
			CHECK_EQ(get_stats(h).tls_ctx, 0);
		}
	}
	/* the self-test's key is not kept either */
	{
		struct sealnic_cmd cmd = { .opcode = SEALNIC_CMD_GCM_TEST };
		struct sealnic_gcm_test *t = host_at(h, h->scratch, sizeof(*t));

		t->cipher = SEALNIC_AES256_GCM;
		t->data_len = 100;
		rnd_fill(&r, t->key, 32);
		cmd.data_addr = h->scratch;
		cmd.data_len = sizeof(*t);
		CHECK_EQ(command(h, &cmd, NULL), SEALNIC_OK);
		CHECK(!in_device_memory(h, t->key, 8));
	}
	free(st.plain);
	host_free(h);
}

/* A context deleted and another in its place: the crypto block forgets the old key */
static void reused_slot(void)
{
	static uint8_t wire[4096];
	struct host *h = host_up(1);
	struct rnd r = { 29 };
	struct stream st;
	struct session s;

	small_stream(&st, &r);
	for (int i = 0; i < 6; i++) {
		session_init(&s, h, 1 + (i >> 1) % 2, &r);
		send_bytes(&s, &st, 0, st.len);
		CHECK_EQ(collect(&s, 0, wire), st.len);
		CHECK(opens(&s, s.rec_no, &st, wire));
		if (i & 1) {
			tls_del(h, s.ctx);
		} else {
			reset(h);
			start(h);
			create_qp(h, 0, 8, 7);
		}
	}
	free(st.plain);
	host_free(h);
}

int main(void)
{
	test("a TLS 1.2 record becomes the known answer", known_record);
	test("TLS 1.3: the records of RFC 8448", rfc8448);
	test("TLS 1.3: another outer type is no record", outer_type);
	for (int v = 0; v < 2; v++) {
		tls13 = v;
#define BOTH(name, fn) test(tls13 ? "TLS 1.3: " name : "TLS 1.2: " name, fn)
		BOTH("records cut into two packets at every byte", two_packets);
		BOTH("records over random packets, segments, descriptors; two connections by turns",
		     random_packets);
		BOTH("TCP and record numbers wrap, but for the last", numbers_wrap);
		BOTH("the largest and the smallest record", largest_and_smallest);
		BOTH("an unexpected packet is dropped, counted, told once, until TLS_SYNC",
		     wrong_sequence);
		BOTH("bytes that are no record are dropped, counted, told once",
		     malformed_headers);
		BOTH("a bad address in the payload sends nothing and loses the context",
		     bad_address_in_payload);
		BOTH("payload rewritten while it is sealed never leaves in the clear",
		     payload_rewritten_meanwhile);
		BOTH("TLS_SYNC and TLS_REPLAY to every byte: the same bytes again",
		     replay_everywhere);
		BOTH("TLS_REPLAY in a record of 16 KB", replay_large);
		BOTH("a replay that does not fit sends nothing", bad_replay);
		BOTH("keys are gone after TLS_DEL, RESET, fault and RESET", keys_are_wiped);
#undef BOTH
	}
	test("TLS_LOST that found no room is told later", lost_with_full_event_ring);
	test("a packet to be sealed that is not TCP or empty is not sent", tls_of_something_else);
	test("ids of deleted contexts are dead", stale_ids);
	test("generations wrap", generations);
	test("a full table refuses, deleting makes room", table_full);
	test("1,048,576 contexts take memory only when used", million_contexts);
	test("a context's place is used again with another key", reused_slot);
	return tap_end();
}
