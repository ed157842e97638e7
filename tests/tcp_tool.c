// SPDX-License-Identifier: GPL-2.0
/*
 * Traffic for the tests and the bench: sends known bytes over TCP, plain,
 * through kTLS or through records sealed right here, and takes them in at the
 * other end, where every record is opened in user space, or by kTLS, and every
 * byte compared.
 *
 * Both ends derive keys and bytes from a seed and the number of the connection;
 * there is no handshake.  A receiver finds out which connection it has before it
 * by trying: by the key that opens the first record, by the bytes it starts with.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <linux/tls.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS			282
#endif
#ifndef TCP_ULP
#define TCP_ULP			31
#endif
#ifndef TLS_SET_RECORD_TYPE
#define TLS_SET_RECORD_TYPE	1
#define TLS_GET_RECORD_TYPE	2
#endif
#ifndef TLS_TX_ZEROCOPY_RO
#define TLS_TX_ZEROCOPY_RO	3
#endif

#define REC_HDR			5
#define REC_NONCE		8
#define REC_TAG			16
#define REC_MAX_PLAIN		16384
#define REC_MAX			(REC_HDR + REC_NONCE + REC_MAX_PLAIN + REC_TAG) /* TLS 1.3: 7 less */
#define REC_DATA		23
#define REC_ALERT		21
#define REC_HANDSHAKE		22

/* Whole pages, and an odd number of them: no chunk of 2^n bytes comes twice in a row */
#define PATTERN_PERIOD		(257 * 4096)
#define MAX_CHUNK		(2u << 20)
#define READ_BUF		(2 * REC_MAX)
#define DISCARD_BUF		(1u << 20)
#define PLAIN_ID_BYTES		32 /* enough to tell one connection's bytes from another's */
#define CONNECT_SECONDS		10
#define BEFORE_BYTE		0x16 /* what is sent in front of TLS_TX: not the first byte of a record here */
#define READY_BYTE		0x21 /* what a receiver says when it is ready */
#define ZEROCOPY_REAP		64 /* sends between two looks at the error queue */

static const uint8_t close_notify[2] = { 1, 0 };
static const uint8_t key_update[5] = { 24, 0, 0, 1, 0 };	/* RFC 8446 4.6.3: update_not_requested */

enum cipher { PLAIN, AES128_GCM, AES256_GCM, CHACHA20_POLY1305 };

struct options {
	const char *host;
	const char *port;
	enum cipher cipher;
	uint16_t version;	/* of TLS */
	bool tls_user;
	bool ktls;		/* recv: by kTLS */
	bool blind;		/* recv: compare nothing */
	bool ready;		/* the receiver says when to begin */
	bool alert;		/* a close_notify ends the records */
	bool discard;
	bool sendfile;
	bool zerocopy;
	bool markers;
	bool mixed;
	bool ip_options;
	bool have_bytes;
	uint64_t bytes;		/* of each connection */
	uint32_t chunk;
	bool random;		/* send: chunk is the most, and each is another */
	uint64_t rekey;		/* send: bytes between two keys; 0: never */
	uint32_t rekeys_per_s;	/* send: keys in a second instead */
	uint32_t read;		/* recv: at once */
	uint32_t before;	/* bytes in the clear in front of the records */
	uint32_t queued;	/* recv: bytes that come before the keys, at least */
	uint32_t connections;	/* 0: no end (sink) */
	uint32_t port_base;	/* 0: any port */
	uint64_t stop_every;	/* bytes; 0: never */
	uint64_t seed;
	const char *file;
};

/* What goes over the wire: 'size' bytes, again and again */
struct content {
	const uint8_t *data;
	uint64_t size;
	uint64_t valid;		/* bytes that can be read from data + any position */
	int fd;			/* -1 for the pattern */
};

/* One direction's keys and its place in the sequence of records */
struct tls {
	EVP_CIPHER_CTX *aead;
	enum cipher cipher;
	uint16_t version;
	uint8_t key[32];
	uint8_t salt[4];
	uint64_t nonce;		/* explicit part, of the next record; or the IV's rest */
	uint64_t rec_no;	/* of the next record */
	uint32_t generation;	/* of keys */
};

__attribute__((format(printf, 2, 3), noreturn))
static void die(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("tcp_tool: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

static void *xalloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		die(1, "out of memory");
	return p;
}

static void put_be(uint8_t *p, uint64_t v, int bytes)
{
	while (bytes--) {
		p[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

static uint64_t get_be(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | *p++;
	return v;
}

static double now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/*
 * Contents
 */

static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void content_pattern(struct content *ct, uint64_t seed)
{
	uint8_t *data;

	data = mmap(NULL, PATTERN_PERIOD + MAX_CHUNK, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		die(1, "out of memory");
	for (uint32_t i = 0; i < PATTERN_PERIOD; i += 8)
		put_be(data + i, splitmix64(&seed), 8);
	for (uint32_t i = 0; i < MAX_CHUNK; i += 8)
		memcpy(data + PATTERN_PERIOD + i, data + i, 8);
	*ct = (struct content){ data, PATTERN_PERIOD, PATTERN_PERIOD + MAX_CHUNK, -1 };
}

static int cmd_pattern(uint64_t seed)
{
	struct content ct;

	content_pattern(&ct, seed);
	if (fwrite(ct.data, 1, ct.size, stdout) != ct.size || fflush(stdout))
		die(1, "pattern: %s", strerror(errno));
	return 0;
}

static void content_file(struct content *ct, const char *name)
{
	struct stat st;
	void *data;
	int fd;

	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		die(2, "%s: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode) || !st.st_size)
		die(2, "%s: not a file with bytes in it", name);
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		die(2, "%s: %s", name, strerror(errno));
	*ct = (struct content){ data, (uint64_t)st.st_size, (uint64_t)st.st_size, fd };
}

/* Where byte @off of connection @index is found; @len is cut to what is there in one piece */
static uint64_t content_at(const struct content *ct, uint32_t index, uint64_t off, uint64_t *len)
{
	uint64_t pos;

	/* every connection starts elsewhere in the pattern; a file is a file */
	if (ct->fd < 0)
		off += (uint64_t)index * 61 * 64;
	pos = off % ct->size;
	if (*len > ct->valid - pos)
		*len = ct->valid - pos;
	return pos;
}

/* The first of @len bytes that is not what it should be, or @len */
static uint64_t content_differs(const struct content *ct, uint32_t index, uint64_t off,
				const uint8_t *p, uint64_t len)
{
	uint64_t done = 0, n;

	while (done < len) {
		const uint8_t *want;

		n = len - done;
		want = ct->data + content_at(ct, index, off + done, &n);
		if (memcmp(p + done, want, n)) {
			while (p[done] == *want++)
				done++;
			return done;
		}
		done += n;
	}
	return len;
}

/*
 * Records of TLS 1.2 (RFC 5246 6.2.3.3, RFC 5288, RFC 7905) and 1.3 (RFC 8446 5.2)
 */

/* What is between header and ciphertext, and what is behind the payload */
static uint32_t tls_nonce_len(uint16_t version, enum cipher cipher)
{
	return version == TLS_1_2_VERSION && cipher != CHACHA20_POLY1305 ? REC_NONCE : 0;
}

static uint32_t tls_tail_len(uint16_t version)
{
	return version == TLS_1_2_VERSION ? REC_TAG : 1 + REC_TAG;
}

static void hash_label(const char *label, uint64_t seed, uint32_t index, uint32_t generation,
		       uint8_t out[32])
{
	uint8_t in[64] = { 0 };
	size_t n = strlen(label);

	memcpy(in, label, n);
	put_be(in + n, seed, 8);
	put_be(in + n + 8, index, 4);
	put_be(in + n + 12, generation, 4);
	if (!EVP_Digest(in, n + 16, out, NULL, EVP_sha256(), NULL))
		die(1, "SHA-256 failed");
}

static void tls_keys(struct tls *tls, const struct options *opt, uint32_t index)
{
	uint8_t h[32];

	hash_label("sealnic tcp_tool key", opt->seed, index, tls->generation, tls->key);
	hash_label("sealnic tcp_tool iv", opt->seed, index, tls->generation, h);
	memcpy(tls->salt, h, 4);
	/* both carry into their upper half after a few records, and neither wraps */
	tls->nonce = (get_be(h + 4, 8) & 0x7fffffff0000000f) | 0xfffffff0;
	tls->rec_no = (get_be(h + 12, 8) & 0x7fffffff0000000f) | 0xfffffff0;
}

static void tls_derive(struct tls *tls, const struct options *opt, uint32_t index)
{
	tls->version = opt->version;
	tls->cipher = opt->cipher;
	tls->generation = 0;
	tls_keys(tls, opt, index);
}

/* The keys behind a KeyUpdate, here; @tls->aead has them if it is in use */
static void tls_update(struct tls *tls, const struct options *opt, uint32_t index)
{
	tls->generation++;
	tls_keys(tls, opt, index);
	tls->rec_no = 0;
	if (tls->aead && !EVP_CipherInit_ex(tls->aead, NULL, NULL, tls->key, NULL, -1))
		die(1, "the cipher does not take a key");
}

static void tls_start(struct tls *tls, bool seal)
{
	const EVP_CIPHER *type = tls->cipher == AES128_GCM ? EVP_aes_128_gcm() :
				 tls->cipher == AES256_GCM ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();

	tls->aead = EVP_CIPHER_CTX_new();
	if (!tls->aead || !EVP_CipherInit_ex(tls->aead, type, NULL, tls->key, NULL, seal))
		die(1, "the cipher is not available");
}

static void tls_end(struct tls *tls)
{
	EVP_CIPHER_CTX_free(tls->aead);
	tls->aead = NULL;
}

/* Nonce and additional data of the record whose header is at @hdr */
static bool tls_record_start(struct tls *tls, const uint8_t *hdr, uint32_t plain)
{
	uint8_t nonce[12], aad[13];
	int n;

	memcpy(nonce, tls->salt, 4);
	if (tls_nonce_len(tls->version, tls->cipher))
		memcpy(nonce + 4, hdr + REC_HDR, REC_NONCE);
	else
		put_be(nonce + 4, tls->nonce ^ tls->rec_no, 8);
	if (tls->version == TLS_1_2_VERSION) {
		put_be(aad, tls->rec_no, 8);
		memcpy(aad + 8, hdr, 3);
		put_be(aad + 11, plain, 2);
		n = 13;
	} else {
		memcpy(aad, hdr, REC_HDR);
		n = REC_HDR;
	}
	return EVP_CipherInit_ex(tls->aead, NULL, NULL, NULL, nonce, -1) &&
	       EVP_CipherUpdate(tls->aead, NULL, &n, aad, n);
}

/* On to the next record, after one with the explicit nonce @nonce */
static void tls_next(struct tls *tls, uint64_t nonce)
{
	if (tls_nonce_len(tls->version, tls->cipher))
		tls->nonce = nonce + 1;
	tls->rec_no++;
}

static uint32_t tls_seal(struct tls *tls, uint8_t *rec, uint8_t type, const uint8_t *plain,
			 uint32_t len)
{
	uint32_t before = tls_nonce_len(tls->version, tls->cipher), tail = tls_tail_len(tls->version);
	uint8_t *text = rec + REC_HDR + before, *tag = text + len + tail - REC_TAG;
	int n;

	rec[0] = tls->version == TLS_1_2_VERSION ? type : REC_DATA;
	put_be(rec + 1, TLS_1_2_VERSION, 2);
	put_be(rec + 3, before + len + tail, 2);
	if (before)
		put_be(rec + REC_HDR, tls->nonce, REC_NONCE);
	if (!tls_record_start(tls, rec, len) ||
	    !EVP_CipherUpdate(tls->aead, text, &n, plain, (int)len) ||
	    !EVP_CipherUpdate(tls->aead, text + len, &n, &type, (int)(tail - REC_TAG)) ||
	    !EVP_CipherFinal_ex(tls->aead, tag, &n) ||
	    !EVP_CIPHER_CTX_ctrl(tls->aead, EVP_CTRL_AEAD_GET_TAG, REC_TAG, tag))
		die(1, "sealing a record failed");
	tls_next(tls, tls->nonce);
	return REC_HDR + before + len + tail;
}

/*
 * Does the record at @rec authenticate?  If so, its plaintext is at @plain, with
 * the content type behind it in TLS 1.3.
 */
static bool tls_open(struct tls *tls, const uint8_t *rec, uint8_t *plain, uint32_t len)
{
	const uint8_t *text = rec + REC_HDR + tls_nonce_len(tls->version, tls->cipher);
	uint32_t sealed = len + tls_tail_len(tls->version) - REC_TAG;
	uint8_t tag[REC_TAG];
	int n;

	memcpy(tag, text + sealed, REC_TAG);
	return tls_record_start(tls, rec, len) &&
	       EVP_CipherUpdate(tls->aead, plain, &n, text, (int)sealed) &&
	       EVP_CIPHER_CTX_ctrl(tls->aead, EVP_CTRL_AEAD_SET_TAG, REC_TAG, tag) &&
	       EVP_CipherFinal_ex(tls->aead, plain + n, &n);
}

/* Give the kernel the keys of direction @optname: TLS_TX, TLS_RX */
static bool tls_to_kernel(const struct tls *tls, int fd, int optname)
{
	union {
		struct tls_crypto_info info;
		struct tls12_crypto_info_aes_gcm_128 aes128;
		struct tls12_crypto_info_aes_gcm_256 aes256;
		struct tls12_crypto_info_chacha20_poly1305 chacha20;
	} u = { .info.version = tls->version };
	socklen_t len;

	if (tls->cipher == AES128_GCM) {
		u.info.cipher_type = TLS_CIPHER_AES_GCM_128;
		memcpy(u.aes128.key, tls->key, sizeof(u.aes128.key));
		memcpy(u.aes128.salt, tls->salt, sizeof(u.aes128.salt));
		put_be(u.aes128.iv, tls->nonce, sizeof(u.aes128.iv));
		put_be(u.aes128.rec_seq, tls->rec_no, sizeof(u.aes128.rec_seq));
		len = sizeof(u.aes128);
	} else if (tls->cipher == CHACHA20_POLY1305) {
		u.info.cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
		memcpy(u.chacha20.key, tls->key, sizeof(u.chacha20.key));
		memcpy(u.chacha20.iv, tls->salt, sizeof(tls->salt));
		put_be(u.chacha20.iv + sizeof(tls->salt), tls->nonce, 8);
		put_be(u.chacha20.rec_seq, tls->rec_no, sizeof(u.chacha20.rec_seq));
		len = sizeof(u.chacha20);
	} else {
		u.info.cipher_type = TLS_CIPHER_AES_GCM_256;
		memcpy(u.aes256.key, tls->key, sizeof(u.aes256.key));
		memcpy(u.aes256.salt, tls->salt, sizeof(u.aes256.salt));
		put_be(u.aes256.iv, tls->nonce, sizeof(u.aes256.iv));
		put_be(u.aes256.rec_seq, tls->rec_no, sizeof(u.aes256.rec_seq));
		len = sizeof(u.aes256);
	}
	if (!tls->generation && setsockopt(fd, SOL_TCP, TCP_ULP, "tls", sizeof("tls")))
		return false;
	return !setsockopt(fd, SOL_TLS, optname, &u, len);
}

/* For a counter of instructions outside: nopl with a displacement of its own */
static void marker(bool begin)
{
#ifdef __x86_64__
	if (begin)
		__asm__ volatile(".byte 0x0f, 0x1f, 0x80, 0x53, 0x45, 0x41, 0x4c" : : : "memory");
	else
		__asm__ volatile(".byte 0x0f, 0x1f, 0x80, 0x53, 0x45, 0x41, 0x4d" : : : "memory");
#else
	(void)begin;
#endif
}

/*
 * Both ends' servers: sink and recv
 */

struct server;

struct conn {
	int fd;
	uint32_t order;		/* of being accepted */
	bool begun;		/* what comes now is records, or content */
	bool known;		/* index is */
	uint32_t index;
	uint16_t peer_port;
	uint64_t bytes;		/* of content */
	uint64_t records;
	uint32_t before;	/* bytes of options.before that came */
	bool alert;		/* the alert came */
	double begin;
	struct tls tls;
	EVP_MD_CTX *sha;
	uint8_t *buf;
	uint32_t fill;
	char error[160];
};

struct server {
	const struct options *opt;
	bool sink;
	struct content content;
	bool *claimed;		/* connections that were found */
	uint8_t scratch[DISCARD_BUF];
};

__attribute__((format(printf, 2, 3)))
static bool conn_fail(struct conn *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, ap);
	va_end(ap);
	return false;
}

/* Could this be connection @index, going by what it begins with? */
static bool conn_is(struct server *s, struct conn *c, uint32_t index, uint32_t plain)
{
	if (!s->opt->cipher)
		return content_differs(&s->content, index, 0, c->buf, c->fill) == c->fill;

	tls_derive(&c->tls, s->opt, index);
	tls_start(&c->tls, false);
	if (tls_open(&c->tls, c->buf, s->scratch, plain))
		return true;
	tls_end(&c->tls);
	return false;
}

/* Find out which connection this is; most come in the order of their numbers */
static bool conn_identify(struct server *s, struct conn *c, uint32_t plain)
{
	uint32_t n = s->opt->connections;
	uint32_t index;

	if (s->opt->port_base) {
		index = c->peer_port - s->opt->port_base;
		if (index >= n)
			return conn_fail(c, "comes from port %u", c->peer_port);
		if (s->claimed[index] || !conn_is(s, c, index, plain))
			return conn_fail(c, "does not begin like connection %u", index);
		goto found;
	}
	for (uint32_t i = 0; i < 2 * n; i++) {
		/* order, order - 1, order + 1, order - 2, ...; out of range if negative */
		index = i & 1 ? c->order - (i + 1) / 2 : c->order + i / 2;
		if (index < n && !s->claimed[index] && conn_is(s, c, index, plain))
			goto found;
	}
	return conn_fail(c, s->opt->cipher ? "the first record does not authenticate" :
					     "the first bytes are wrong");
found:
	s->claimed[index] = true;
	c->index = index;
	c->known = true;
	return true;
}

static bool conn_check(struct server *s, struct conn *c, const uint8_t *p, uint32_t len)
{
	uint64_t n = content_differs(&s->content, c->index, c->bytes, p, len);

	c->bytes += n;
	if (n < len)
		return conn_fail(c, "byte %llu is wrong", (unsigned long long)c->bytes);
	return true;
}

static bool conn_alert(struct conn *c, const uint8_t *p, uint32_t len)
{
	if (c->alert || len != sizeof(close_notify) || memcmp(p, close_notify, len))
		return conn_fail(c, "the alert after %llu bytes is wrong", (unsigned long long)c->bytes);
	c->alert = true;
	return true;
}

/* The key changes behind this record */
static bool conn_update(struct server *s, struct conn *c, const uint8_t *p, uint32_t len)
{
	if (s->opt->version != TLS_1_3_VERSION || len != sizeof(key_update) || memcmp(p, key_update, len))
		return conn_fail(c, "the handshake record after %llu bytes is no KeyUpdate",
				 (unsigned long long)c->bytes);
	tls_update(&c->tls, s->opt, c->index);
	if (s->opt->ktls && !tls_to_kernel(&c->tls, c->fd, TLS_RX))
		return conn_fail(c, "TLS_RX, key %u: %s", c->tls.generation, strerror(errno));
	return true;
}

static bool conn_record(struct server *s, struct conn *c, const uint8_t *rec, uint32_t plain)
{
	unsigned long long no = c->records;
	uint64_t nonce = get_be(rec + REC_HDR, REC_NONCE);
	bool tls13 = s->opt->version == TLS_1_3_VERSION;

	if (!c->known) {
		if (!conn_identify(s, c, plain))
			return false;
	} else {
		/* never twice under one key: here they count up */
		if (tls_nonce_len(s->opt->version, s->opt->cipher) && nonce != c->tls.nonce)
			return conn_fail(c, "record %llu: explicit nonce %016llx does not follow",
					 no, (unsigned long long)nonce);
		if (!tls_open(&c->tls, rec, s->scratch, plain))
			return conn_fail(c, "record %llu does not authenticate", no);
	}
	tls_next(&c->tls, nonce);
	c->records++;
	if (s->opt->alert && (tls13 ? s->scratch[plain] : rec[0]) == REC_ALERT)
		return conn_alert(c, s->scratch, plain);
	if (tls13 && s->scratch[plain] == REC_HANDSHAKE)
		return conn_update(s, c, s->scratch, plain);
	if (c->alert || (tls13 && s->scratch[plain] != REC_DATA))
		return conn_fail(c, "record %llu is padded, or of type %u", no, s->scratch[plain]);
	return conn_check(s, c, s->scratch, plain);
}

/* Take all whole records from the buffer */
static bool conn_records(struct server *s, struct conn *c)
{
	uint32_t overhead = tls_nonce_len(s->opt->version, s->opt->cipher) + tls_tail_len(s->opt->version);
	uint32_t pos = 0, len;

	while (c->fill - pos >= REC_HDR) {
		const uint8_t *rec = c->buf + pos;

		len = (uint32_t)get_be(rec + 3, 2);
		if ((rec[0] != REC_DATA && !(s->opt->alert && rec[0] == REC_ALERT)) || get_be(rec + 1, 2) != TLS_1_2_VERSION ||
		    len < overhead || len > overhead + REC_MAX_PLAIN)
			return conn_fail(c, "record %llu: no header: %02x %02x%02x %02x%02x",
					 (unsigned long long)c->records, rec[0], rec[1], rec[2],
					 rec[3], rec[4]);
		if (c->fill - pos < REC_HDR + len)
			break;
		/* the record to identify by must be the buffer's first: nothing was taken yet */
		if (!conn_record(s, c, rec, len - overhead))
			return false;
		pos += REC_HDR + len;
	}
	memmove(c->buf, c->buf + pos, c->fill - pos);
	c->fill -= pos;
	return true;
}

/* Take what comes in the clear in front of the first record */
static bool conn_before(struct server *s, struct conn *c)
{
	uint32_t n = 0;

	while (n < c->fill && c->before < s->opt->before) {
		if (c->buf[n++] != BEFORE_BYTE)
			return conn_fail(c, "byte %u in front of the records is wrong", c->before);
		c->before++;
	}
	memmove(c->buf, c->buf + n, c->fill - n);
	c->fill -= n;
	return true;
}

/* More bytes, or the last of them */
static bool conn_take(struct server *s, struct conn *c, bool end)
{
	if (s->opt->cipher && !s->opt->ktls) {
		if (!conn_before(s, c) || !conn_records(s, c))
			return false;
	} else if (c->fill >= PLAIN_ID_BYTES || (end && c->fill) || c->known) {
		if (!c->known && !conn_identify(s, c, 0))
			return false;
		if (!conn_check(s, c, c->buf, c->fill))
			return false;
		c->fill = 0;
	}
	if (!end)
		return true;
	if (c->fill)
		return conn_fail(c, "ends inside record %llu", (unsigned long long)c->records);
	if (s->opt->alert && !c->alert)
		return conn_fail(c, "ends without the alert");
	if (s->opt->have_bytes && c->bytes != s->opt->bytes)
		return conn_fail(c, "ends after %llu bytes, not %llu",
				 (unsigned long long)c->bytes, (unsigned long long)s->opt->bytes);
	return true;
}

/* All that comes from here on is the kernel's to open */
static bool conn_ktls(struct server *s, struct conn *c)
{
	c->index = s->opt->port_base ? c->peer_port - s->opt->port_base : 0;
	if (c->index >= s->opt->connections || s->claimed[c->index])
		return conn_fail(c, "comes from port %u", c->peer_port);
	s->claimed[c->index] = true;
	c->known = true;
	tls_derive(&c->tls, s->opt, c->index);
	if (!tls_to_kernel(&c->tls, c->fd, TLS_RX))
		return conn_fail(c, "TLS_RX: %s", strerror(errno));
	return true;
}

/* Take what comes in front of the keys; then the keys, and tell the sender */
static bool conn_begin(struct server *s, struct conn *c)
{
	uint8_t byte = READY_BYTE;
	int queued = 0;
	ssize_t n;

	while (s->opt->ktls && c->before < s->opt->before) {
		uint32_t left = s->opt->before - c->before;

		n = recv(c->fd, c->buf, left < READ_BUF ? left : READ_BUF, 0);
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR) ? true :
			       conn_fail(c, "ends in front of the records");
		c->fill = (uint32_t)n;
		if (!conn_before(s, c))
			return false;
	}
	while ((uint32_t)queued < s->opt->queued) {
		if (ioctl(c->fd, FIONREAD, &queued))
			return conn_fail(c, "FIONREAD: %s", strerror(errno));
		usleep(1000);
	}
	c->begun = true;
	if (s->opt->ktls && !conn_ktls(s, c))
		return false;
	if (s->opt->ready && send(c->fd, &byte, 1, 0) != 1)
		return conn_fail(c, "the sender cannot be told to begin: %s", strerror(errno));
	return true;
}

/* recv() from kTLS, which says what kind of record it is from */
static ssize_t conn_recv(struct conn *c, void *buf, size_t len, uint8_t *type)
{
	char control[CMSG_SPACE(1)];
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(c->fd, &msg, 0);
	struct cmsghdr *cmsg = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	*type = cmsg && cmsg->cmsg_level == SOL_TLS && cmsg->cmsg_type == TLS_GET_RECORD_TYPE ?
			*CMSG_DATA(cmsg) : REC_DATA;
	return n;
}

/* What recv does for those who only count instructions; to the end of the connection */
static bool conn_blind(struct server *s, struct conn *c)
{
	int flags = fcntl(c->fd, F_GETFL);
	ssize_t n;

	if (flags < 0 || fcntl(c->fd, F_SETFL, flags & ~O_NONBLOCK))
		return conn_fail(c, "%s", strerror(errno));
	if (s->opt->markers)
		marker(true);
	while ((n = recv(c->fd, s->scratch, DISCARD_BUF, 0)) > 0)
		c->bytes += (uint64_t)n;
	if (s->opt->markers)
		marker(false);
	return n ? conn_fail(c, "%s", strerror(errno)) : false;
}

/* Read once.  False when the connection is through, for better or for worse. */
static bool conn_read(struct server *s, struct conn *c)
{
	uint8_t type = REC_DATA;
	uint32_t len;
	bool final;
	ssize_t n;
	int err;

	if (!c->begun)
		return conn_begin(s, c);
	if (s->opt->blind)
		return conn_blind(s, c);
	len = s->opt->read < READ_BUF - c->fill ? s->opt->read : READ_BUF - c->fill;
	if (s->sink)
		n = recv(c->fd, s->scratch, DISCARD_BUF, s->opt->discard ? MSG_TRUNC : 0);
	else if (s->opt->ktls)
		n = conn_recv(c, c->buf + c->fill, len, &type);
	else
		n = recv(c->fd, c->buf + c->fill, len, 0);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return true;
		err = errno;
		/* what is behind a bad record is no better, whatever it is */
		final = err == EBADMSG && recv(c->fd, s->scratch, DISCARD_BUF, 0) < 0 &&
			errno == err;
		return conn_fail(c, "after %llu bytes: %s%s", (unsigned long long)c->bytes,
				 strerror(err), final ? ", for good" : "");
	}
	if (s->sink) {
		c->bytes += (uint64_t)n;
		if (c->sha && !EVP_DigestUpdate(c->sha, s->scratch, (size_t)n))
			die(1, "SHA-256 failed");
		return n;
	}
	if (type == REC_HANDSHAKE)
		return conn_update(s, c, c->buf, (uint32_t)n);
	if (type != REC_DATA)
		return type == REC_ALERT && s->opt->alert ? conn_alert(c, c->buf, (uint32_t)n) :
		       conn_fail(c, "a record is of type %u", type);
	c->fill += (uint32_t)n;
	return conn_take(s, c, !n) && n;
}

static void conn_report(struct server *s, struct conn *c)
{
	unsigned int len = 0;
	uint8_t sha[32];

	if (s->sink) {
		printf("{\"bytes\":%llu", (unsigned long long)c->bytes);
		if (c->sha && EVP_DigestFinal_ex(c->sha, sha, &len)) {
			printf(",\"sha256\":\"");
			for (unsigned int i = 0; i < len; i++)
				printf("%02x", sha[i]);
			putchar('"');
		}
	} else {
		printf("{\"connection\":%d,\"bytes\":%llu,\"records\":%llu,\"ok\":%s",
		       c->known ? (int)c->index : -1, (unsigned long long)c->bytes,
		       (unsigned long long)c->records, *c->error ? "false" : "true");
		if (c->tls.generation)
			printf(",\"rekeys\":%u", c->tls.generation);
	}
	printf(",\"seconds\":%.3f", now(CLOCK_MONOTONIC) - c->begin);
	if (*c->error)
		printf(",\"error\":\"%s\"", c->error);
	puts("}");
}

static void conn_free(struct conn *c)
{
	close(c->fd);
	tls_end(&c->tls);
	EVP_MD_CTX_free(c->sha);
	free(c->buf);
	free(c);
}

static struct conn *conn_accept(struct server *s, int listener, uint32_t order)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct conn *c;
	int fd;

	fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return NULL;
		die(1, "accept: %s", strerror(errno));
	}
	c = xalloc(sizeof(*c));
	c->fd = fd;
	c->order = order;
	c->begin = now(CLOCK_MONOTONIC);
	c->peer_port = ntohs(peer.ss_family == AF_INET6 ?
				     ((struct sockaddr_in6 *)&peer)->sin6_port :
				     ((struct sockaddr_in *)&peer)->sin_port);
	if (!s->sink) {
		c->buf = xalloc(READ_BUF);
	} else if (!s->opt->discard) {
		c->sha = EVP_MD_CTX_new();
		if (!c->sha || !EVP_DigestInit_ex(c->sha, EVP_sha256(), NULL))
			die(1, "SHA-256 failed");
	}
	return c;
}

/* One socket for IPv6 and IPv4; for IPv4 alone where there is no IPv6 */
static int listen_on(const char *port)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *list, *ai;
	int err, fd = -1;

	err = getaddrinfo(NULL, port, &hints, &list);
	if (err)
		die(2, "port %s: %s", port, gai_strerror(err));
	for (int family = AF_INET6; fd < 0; family = AF_INET) {
		for (ai = list; ai && ai->ai_family != family; ai = ai->ai_next)
			;
		if (ai)
			fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd >= 0 || family == AF_INET)
			break;
	}
	if (fd < 0)
		die(1, "no socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, 4096))
		die(1, "port %s: %s", port, strerror(errno));
	freeaddrinfo(list);
	return fd;
}

static void watch(int epoll, int fd, uint32_t events, void *ptr)
{
	struct epoll_event ev = { .events = events, .data.ptr = ptr };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev))
		die(1, "epoll: %s", strerror(errno));
}

static int serve(struct server *s)
{
	uint32_t accepted = 0, done = 0, want = s->opt->connections;
	struct epoll_event ev[64];
	struct conn *c;
	int status = 0, epoll, listener, n;

	epoll = epoll_create1(EPOLL_CLOEXEC);
	listener = listen_on(s->opt->port);
	watch(epoll, listener, EPOLLIN, NULL);
	while (!want || done < want) {
		n = epoll_wait(epoll, ev, 64, -1);
		if (n < 0 && errno != EINTR)
			die(1, "epoll: %s", strerror(errno));
		for (int i = 0; i < n; i++) {
			c = ev[i].data.ptr;
			if (!c) {
				c = conn_accept(s, listener, accepted);
				if (!c)
					continue;
				watch(epoll, c->fd, EPOLLIN, c);
				if (++accepted == want)
					close(listener);
				if (conn_begin(s, c))
					continue;
			} else if (conn_read(s, c)) {
				continue;
			}
			conn_report(s, c);
			if (*c->error)
				status = 1;
			conn_free(c);
			done++;
		}
	}
	close(epoll);
	return status;
}

/*
 * send
 */

struct out {
	int fd;
	uint32_t index;
	bool blocked;
	bool sent;		/* all of it; waits for the peer to close */
	bool done;
	uint64_t off;		/* of the content */
	uint64_t rekey_at;	/* when off is there */
	double rekey_time;	/* with options.rekeys_per_s: when it is that late */
	uint64_t sizes;		/* of chunks: random state */
	uint32_t zc_sends;
	uint32_t zc_done;
	struct tls tls;
	uint8_t *rec;		/* a sealed record on its way */
	uint32_t rec_len;
	uint32_t rec_pos;
	uint32_t rec_plain;
};

struct sender {
	const struct options *opt;
	struct content content;
	struct out *out;
	int epoll;
	uint64_t zc_copied;	/* zero-copy sends that were none */
	uint64_t records;	/* that were sealed here */
	uint64_t rekeys;
	uint64_t rekey_queued;	/* bytes that were not acknowledged at each of them, in all */
};

static void bind_port(int fd, int family, uint32_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int err;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (family == AF_INET6)
		err = bind(fd, (struct sockaddr *)&in6, sizeof(in6));
	else
		err = bind(fd, (struct sockaddr *)&in, sizeof(in));
	if (err)
		die(1, "local port %u: %s", port, strerror(errno));
}

/* Options that say nothing: IPv4 ones, or an IPv6 header of destination options */
static void set_ip_options(int fd, int family)
{
	static const uint8_t nops[4] = { 1, 1, 1, 0 };
	static const uint8_t padding[8] = { 0, 0, 1, 4 };
	int err;

	if (family == AF_INET6)
		err = setsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, padding, sizeof(padding));
	else
		err = setsockopt(fd, IPPROTO_IP, IP_OPTIONS, nops, sizeof(nops));
	if (err)
		die(1, "IP options: %s", strerror(errno));
}

/* The server may still be on its way up: a refusal is not final at first */
static int connect_to(const struct options *opt, const struct addrinfo *list, uint32_t index)
{
	double deadline = now(CLOCK_MONOTONIC) + CONNECT_SECONDS;
	int fd, err = 0;

	for (;;) {
		for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
			fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
			if (fd < 0) {
				err = errno;
				continue;
			}
			if (opt->port_base)
				bind_port(fd, ai->ai_family, opt->port_base + index);
			if (opt->ip_options)
				set_ip_options(fd, ai->ai_family);
			if (!connect(fd, ai->ai_addr, ai->ai_addrlen))
				return fd;
			err = errno;
			close(fd);
		}
		if (err != ECONNREFUSED || now(CLOCK_MONOTONIC) > deadline)
			die(1, "connection %u to %s port %s: %s", index, opt->host, opt->port,
			    strerror(err));
		usleep(50000);
	}
}

static void ktls_setup(const struct options *opt, struct out *o)
{
	if (!tls_to_kernel(&o->tls, o->fd, TLS_TX))
		die(1, "TLS_TX: %s%s", strerror(errno),
		    errno == ENOENT ? " (is the tls module loaded?)" : "");
	if (opt->zerocopy &&
	    setsockopt(o->fd, SOL_TLS, TLS_TX_ZEROCOPY_RO, &(int){ 1 }, sizeof(int)))
		die(1, "TLS_TX_ZEROCOPY_RO: %s", strerror(errno));
}

static void send_before(const struct options *opt, int fd)
{
	uint8_t buf[4096];

	memset(buf, BEFORE_BYTE, sizeof(buf));
	for (uint32_t n = 0; n < opt->before; ) {
		uint32_t left = opt->before - n;
		ssize_t len = send(fd, buf, left < sizeof(buf) ? left : sizeof(buf), 0);

		if (len < 0)
			die(1, "in front of the records: %s", strerror(errno));
		n += (uint32_t)len;
	}
}

static void out_open(struct sender *s, const struct addrinfo *list, uint32_t index)
{
	const struct options *opt = s->opt;
	struct out *o = &s->out[index];
	uint8_t byte = 0;

	o->index = index;
	o->rekey_at = opt->rekey;
	o->sizes = opt->seed + index;
	o->fd = connect_to(opt, list, index);
	if (opt->cipher) {
		tls_derive(&o->tls, opt, index);
		send_before(opt, o->fd);
		if (opt->tls_user) {
			tls_start(&o->tls, true);
			o->rec = xalloc(REC_MAX);
		} else {
			ktls_setup(opt, o);
		}
	} else if (opt->zerocopy &&
		   setsockopt(o->fd, SOL_SOCKET, SO_ZEROCOPY, &(int){ 1 }, sizeof(int))) {
		die(1, "SO_ZEROCOPY: %s", strerror(errno));
	}
	if (opt->ready && (recv(o->fd, &byte, 1, 0) != 1 || byte != READY_BYTE))
		die(1, "connection %u: the receiver is not ready: %s", index, strerror(errno));
	/* one connection simply blocks */
	if (opt->connections == 1)
		return;
	if (fcntl(o->fd, F_SETFL, O_NONBLOCK))
		die(1, "O_NONBLOCK: %s", strerror(errno));
	watch(s->epoll, o->fd, EPOLLIN | EPOLLOUT | EPOLLET, o);
}

/* Take in which zero-copy sends are through; waits for one if @wait */
static void zerocopy_reap(struct sender *s, struct out *o, bool wait)
{
	struct pollfd pfd = { .fd = o->fd };
	struct sock_extended_err *ee;
	struct cmsghdr *cmsg;
	struct msghdr msg;
	char buf[128];

	if (wait && poll(&pfd, 1, -1) < 0 && errno != EINTR)
		die(1, "poll: %s", strerror(errno));
	for (;;) {
		msg = (struct msghdr){ .msg_control = buf, .msg_controllen = sizeof(buf) };
		if (recvmsg(o->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
			if (errno == EAGAIN || errno == EINTR)
				return;
			die(1, "connection %u: %s", o->index, strerror(errno));
		}
		for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {
			ee = (struct sock_extended_err *)CMSG_DATA(cmsg);
			if (ee->ee_errno || ee->ee_origin != SO_EE_ORIGIN_ZEROCOPY)
				continue;
			o->zc_done += ee->ee_data - ee->ee_info + 1;
			if (ee->ee_code & SO_EE_CODE_ZEROCOPY_COPIED)
				s->zc_copied += ee->ee_data - ee->ee_info + 1;
		}
	}
}

/* A record that was sealed here: what is left of it; a new one when there is nothing */
static ssize_t send_record(struct sender *s, struct out *o, uint8_t type, const uint8_t *plain,
			   uint64_t len)
{
	ssize_t n;

	if (!o->rec_len) {
		o->rec_plain = len < REC_MAX_PLAIN ? (uint32_t)len : REC_MAX_PLAIN;
		o->rec_len = tls_seal(&o->tls, o->rec, type, plain, o->rec_plain);
		o->rec_pos = 0;
		s->records++;
	}
	n = send(o->fd, o->rec + o->rec_pos, o->rec_len - o->rec_pos, 0);
	if (n < 0)
		return n;
	o->rec_pos += (uint32_t)n;
	if (o->rec_pos < o->rec_len)
		return 0;
	o->rec_len = 0;
	return o->rec_plain;
}

/* The bytes of the next chunk: small ones are as frequent as large ones */
static uint64_t chunk_size(const struct options *opt, struct out *o)
{
	uint64_t n = splitmix64(&o->sizes), max = opt->chunk;

	if (!opt->random)
		return max;
	max >>= (n >> 56) % (64 - (uint32_t)__builtin_clzll(max));
	return n % max + 1;
}

/*
 * A chunk of which no piece but the last ends the record: pages of the file and copies in turn, so
 * that copies have pages in front of them and behind them
 */
static ssize_t send_mixed(struct sender *s, struct out *o, const uint8_t *data, off_t at,
			  uint64_t len)
{
	static int pipes[2];
	uint64_t off = 0;

	if (!pipes[1] && pipe(pipes))
		die(1, "pipe: %s", strerror(errno));
	for (int i = 0; i < 5; i++) {
		uint64_t n = i < 4 ? len / 5 : len - off;
		ssize_t sent;

		if (i == 0 || i == 2) {
			sent = splice(s->content.fd, &at, pipes[1], NULL, n, 0);
			if (sent == (ssize_t)n)
				sent = splice(pipes[0], NULL, o->fd, NULL, n, SPLICE_F_MORE);
		} else {
			sent = send(o->fd, data + off, n, i < 4 ? MSG_MORE : 0);
			at += (off_t)n;
		}
		if (sent != (ssize_t)n)
			die(1, "piece %d of %llu bytes: %zd, %s", i, (unsigned long long)n, sent,
			    strerror(errno));
		off += n;
	}
	return (ssize_t)len;
}

/* Send once; how much of the content went */
static ssize_t send_chunk(struct sender *s, struct out *o)
{
	const struct options *opt = s->opt;
	uint64_t want = chunk_size(opt, o), len = opt->bytes - o->off < want ? opt->bytes - o->off : want;
	uint64_t pos = content_at(&s->content, o->index, o->off, &len);
	const uint8_t *data = s->content.data + pos;
	off_t at = (off_t)pos;
	ssize_t n;

	if (opt->tls_user)
		return send_record(s, o, REC_DATA, data, len);
	if (opt->mixed && len >= 5)
		return send_mixed(s, o, data, at, len);
	if (opt->sendfile)
		return sendfile(o->fd, s->content.fd, &at, len);
	if (!opt->zerocopy)
		return send(o->fd, data, len, 0);

	n = send(o->fd, data, len, MSG_ZEROCOPY);
	if (n < 0 && errno == ENOBUFS) {
		/* too many on their way */
		zerocopy_reap(s, o, true);
		return 0;
	}
	if (n > 0 && !(++o->zc_sends % ZEROCOPY_REAP))
		zerocopy_reap(s, o, false);
	return n;
}

/* A record that is not content; 0 when it is gone */
static ssize_t send_control(struct sender *s, struct out *o, uint8_t type, const uint8_t *text, size_t len)
{
	char control[CMSG_SPACE(1)] = { 0 };
	struct iovec iov = { (void *)text, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	ssize_t n;

	/* A few bytes always find room, sooner or later */
	do {
		if (s->opt->tls_user) {
			n = send_record(s, o, type, text, len);
			continue;
		}
		cmsg->cmsg_level = SOL_TLS;
		cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
		cmsg->cmsg_len = CMSG_LEN(1);
		*CMSG_DATA(cmsg) = type;
		n = sendmsg(o->fd, &msg, 0);
	} while (!n || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	return n < 0 ? n : 0;
}

/* A KeyUpdate, and the next key */
static void send_update(struct sender *s, struct out *o)
{
	const struct options *opt = s->opt;
	int queued = 0;

	if (send_control(s, o, REC_HANDSHAKE, key_update, sizeof(key_update)))
		die(1, "connection %u: KeyUpdate: %s", o->index, strerror(errno));
	tls_update(&o->tls, opt, o->index);
	while (!opt->tls_user && !tls_to_kernel(&o->tls, o->fd, TLS_TX)) {
		if (errno != EAGAIN && errno != EINTR)
			die(1, "connection %u: TLS_TX, key %u: %s", o->index, o->tls.generation,
			    strerror(errno));
		usleep(1000);
	}
	s->rekeys++;
	if (!ioctl(o->fd, SIOCOUTQ, &queued))
		s->rekey_queued += (uint64_t)queued;
}

/* Is it time for the next key? */
static bool update_due(const struct options *opt, struct out *o)
{
	double t;

	if (opt->rekey && o->off >= o->rekey_at) {
		o->rekey_at = o->off + opt->rekey;
		return true;
	}
	if (!opt->rekeys_per_s)
		return false;
	t = now(CLOCK_MONOTONIC);
	if (t < o->rekey_time)
		return false;
	o->rekey_time = t + 1.0 / opt->rekeys_per_s;
	return true;
}

/* Get a connection on by one step: a chunk, or the peer's word that it has it all */
static void out_step(struct sender *s, struct out *o)
{
	ssize_t n;
	char byte;

	if (!o->sent) {
		bool last = s->opt->bytes - o->off <= s->opt->chunk;

		/*
		 * What a send() that may not block could not queue of a record,
		 * the distribution's tls.ko forgets when the sending ends.
		 */
		if (last && s->opt->cipher && s->opt->connections > 1)
			fcntl(o->fd, F_SETFL, 0);
		n = o->off < s->opt->bytes ? send_chunk(s, o) : 0;
		if (last && s->opt->cipher && s->opt->connections > 1)
			fcntl(o->fd, F_SETFL, O_NONBLOCK);
		if (n > 0) {
			o->off += (uint64_t)n;
			if (o->off < s->opt->bytes && update_due(s->opt, o))
				send_update(s, o);
			/* one connection and whole chunks: it comes to each of these places */
			if (s->opt->stop_every && !(o->off % s->opt->stop_every))
				raise(SIGSTOP);
		} else if (!n && s->opt->sendfile && o->off < s->opt->bytes) {
			die(1, "%s became shorter", s->opt->file);
		}
		if (n >= 0 && o->off == s->opt->bytes) {
			o->sent = true;
			if (s->opt->alert)
				n = send_control(s, o, REC_ALERT, close_notify, sizeof(close_notify));
			if (n >= 0 && shutdown(o->fd, SHUT_WR))
				n = -1;
		}
	} else {
		n = recv(o->fd, &byte, 1, 0);
		if (n > 0)
			die(1, "connection %u: the peer talks", o->index);
		while (!n && o->zc_done < o->zc_sends)
			zerocopy_reap(s, o, true);
		o->done = !n;
	}
	if (n < 0 && errno == EAGAIN)
		o->blocked = true;
	else if (n < 0 && errno != EINTR)
		die(1, "connection %u, byte %llu of %llu: %s", o->index,
		    (unsigned long long)o->off, (unsigned long long)s->opt->bytes,
		    strerror(errno));
}

/* All connections in turn, until the last is through */
static void send_all(struct sender *s)
{
	uint32_t left = s->opt->connections;
	struct epoll_event ev[64];
	bool busy;
	int n;

	while (left) {
		busy = false;
		for (uint32_t i = 0; i < s->opt->connections; i++) {
			struct out *o = &s->out[i];

			if (o->done || o->blocked)
				continue;
			out_step(s, o);
			left -= o->done;
			busy = true;
		}
		if (busy)
			continue;
		n = epoll_wait(s->epoll, ev, 64, -1);
		for (int i = 0; i < n; i++) {
			struct out *o = ev[i].data.ptr;

			o->blocked = false;
			if (s->opt->zerocopy && !s->opt->cipher && (ev[i].events & EPOLLERR))
				zerocopy_reap(s, o, false);
		}
	}
}

static int cmd_send(const struct options *opt)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct sender s = { .opt = opt };
	struct options o = *opt;
	struct addrinfo *list;
	double begin, seconds, cpu, total;
	int err;

	if (opt->file)
		content_file(&s.content, opt->file);
	else
		content_pattern(&s.content, opt->seed);
	if (!o.have_bytes)
		o.bytes = opt->file ? s.content.size : 16 << 20;
	s.opt = &o;

	err = getaddrinfo(opt->host, opt->port, &hints, &list);
	if (err)
		die(2, "%s port %s: %s", opt->host, opt->port, gai_strerror(err));
	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	s.out = xalloc(opt->connections * sizeof(*s.out));
	for (uint32_t i = 0; i < opt->connections; i++)
		out_open(&s, list, i);
	freeaddrinfo(list);

	begin = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	if (opt->markers)
		marker(true);
	send_all(&s);
	if (opt->markers)
		marker(false);
	seconds = now(CLOCK_MONOTONIC) - begin;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;

	total = (double)o.bytes * opt->connections;
	printf("{\"connections\":%u,\"bytes\":%.0f,\"seconds\":%.3f", opt->connections, total,
	       seconds);
	printf(",\"mb_per_s\":%.1f,\"cpu_s\":%.3f", seconds > 0 ? total / 1e6 / seconds : 0, cpu);
	if (opt->zerocopy && !opt->cipher)
		printf(",\"zerocopy_copied\":%llu", (unsigned long long)s.zc_copied);
	if (opt->tls_user)
		printf(",\"records\":%llu", (unsigned long long)s.records);
	if (s.rekeys)
		printf(",\"rekeys\":%llu,\"rekey_queued\":%llu", (unsigned long long)s.rekeys,
		       (unsigned long long)s.rekey_queued);
	puts("}");
	for (uint32_t i = 0; i < opt->connections; i++) {
		close(s.out[i].fd);
		tls_end(&s.out[i].tls);
		free(s.out[i].rec);
	}
	free(s.out);
	return 0;
}

static int cmd_serve(const struct options *opt, bool sink)
{
	struct server *s = xalloc(sizeof(*s));
	struct options o = *opt;
	int status;

	s->opt = &o;
	s->sink = sink;
	if (!sink) {
		if (opt->file) {
			content_file(&s->content, opt->file);
			if (!o.have_bytes)
				o.bytes = s->content.size;
			o.have_bytes = true;
		} else {
			content_pattern(&s->content, opt->seed);
		}
		s->claimed = xalloc(opt->connections * sizeof(*s->claimed));
	}
	status = serve(s);
	free(s->claimed);
	free(s);
	return status;
}

/*
 * Command line
 */

static const char usage[] =
	"usage: tcp_tool sink PORT [--discard] [--connections N]\n"
	"       tcp_tool send HOST PORT [TLS] [CONTENT] [--bytes N] [--chunk N] [--zerocopy]\n"
	"                     [--connections N] [--port-base P] [--stop-every N] [--markers]\n"
	"       tcp_tool recv PORT [TLS] [CONTENT] [--bytes N] [--connections N] [--port-base P]\n"
	"                     [--ktls [--queued N]] [--read N] [--blind [--markers]]\n"
	"       tcp_tool pattern [--seed N]\n"
	"\n"
	"sink   counts bytes and prints their SHA-256, one line a connection, without end unless\n"
	"       --connections says so; --discard: the kernel drops the bytes, nothing is copied\n"
	"send   sends, closes, waits for the peer to close, prints one line\n"
	"pattern   prints the pattern that connections carry, once: for who looks for it on a wire\n"
	"recv   checks every record and byte, prints one line a connection; 1 if any was wrong\n"
	"\n"
	"TLS: --tls 1.2|1.3   send: by kTLS, or with --tls-user right here; recv: right here, or\n"
	"                     with --ktls by kTLS\n"
	"     --cipher C        aes128, aes256 or chacha20, which no sealnic knows: aes128\n"
	"     --alert           for both: a close_notify behind the content\n"
	"     --before N        bytes in the clear in front of the records, as a handshake's\n"
	"CONTENT: [--seed N] of a pattern (and of the keys); or --file FILE, for send also\n"
	"         --sendfile FILE, which is repeated where --bytes asks for more\n"
	"--bytes N         of each connection; send: 16M or the file's size; recv: whatever comes,\n"
	"                  or the file's size\n"
	"--blind           recv: whatever comes is read and counted, not compared\n"
	"--chunk N         bytes of one send() or sendfile(), at most 2M: 16K; with --tls-user of\n"
	"                  one record, at most 16K\n"
	"--connections N   at once: 1\n"
	"--port-base P     connection i comes from port P + i; needed for --ktls with many\n"
	"--queued N        the kernel gets the keys when so many bytes wait to be opened\n"
	"--read N          bytes of one recv()\n"
	"--ready           for both: the sender waits until the receiver has its keys\n"
	"--zerocopy        MSG_ZEROCOPY; with --tls and --sendfile TLS_TX_ZEROCOPY_RO\n"
	"--ip-options      with IP options, or an IPv6 extension header, in each packet\n"
	"--random          --chunk is the most, and each chunk of another size, which --seed chooses\n"
	"--rekey N         send, TLS 1.3: a KeyUpdate and the next key after so many bytes, again and\n"
	"                  again; recv follows by itself\n"
	"--mixed           with --sendfile: of each chunk, at most 64K, some by splice() and some by\n"
	"                  send(), all but the last held by MSG_MORE\n"
	"--rekeys-per-s N  send: the same so often in a second, as far as there is something to send\n"
	"--stop-every N    after so many bytes, a multiple of --chunk, SIGSTOP, until a SIGCONT comes\n"
	"--markers         marker instructions from the first send to the peer's close\n"
	"Numbers may end in K, M or G.\n"
	"Exit status: 0: all went well; 1: it did not; 2: it could not be tried.\n";

static uint64_t parse_number(const char *name, const char *s, uint64_t min, uint64_t max)
{
	static const char units[] = "KMG";
	unsigned long long v;
	const char *unit;
	int shift = 0;
	char *end;

	errno = 0;
	v = strtoull(s, &end, 0);
	unit = end != s && *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (int)(unit - units + 1);
		end++;
	}
	if (end == s || *end || *s == '-' || errno || v > UINT64_MAX >> shift ||
	    v << shift < min || v << shift > max)
		die(2, "%s %s: not a number from %llu to %llu", name, s, (unsigned long long)min,
		    (unsigned long long)max);
	return v << shift;
}

enum {
	OPT_ALERT = 256, OPT_BYTES, OPT_BEFORE, OPT_BLIND, OPT_CHUNK, OPT_CIPHER, OPT_CONNECTIONS, OPT_DISCARD, OPT_FILE,
	OPT_HELP, OPT_IP_OPTIONS, OPT_KTLS, OPT_MARKERS, OPT_MIXED, OPT_PORT_BASE, OPT_QUEUED, OPT_RANDOM, OPT_READ, OPT_READY, OPT_REKEY, OPT_REKEYS_PER_S, OPT_SEED, OPT_SENDFILE,
	OPT_STOP_EVERY, OPT_TLS, OPT_TLS_USER, OPT_ZEROCOPY,
};

static const struct option long_options[] = {
	{ "alert", no_argument, NULL, OPT_ALERT },
	{ "bytes", required_argument, NULL, OPT_BYTES },
	{ "before", required_argument, NULL, OPT_BEFORE },
	{ "blind", no_argument, NULL, OPT_BLIND },
	{ "chunk", required_argument, NULL, OPT_CHUNK },
	{ "cipher", required_argument, NULL, OPT_CIPHER },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "discard", no_argument, NULL, OPT_DISCARD },
	{ "file", required_argument, NULL, OPT_FILE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "ip-options", no_argument, NULL, OPT_IP_OPTIONS },
	{ "ktls", no_argument, NULL, OPT_KTLS },
	{ "markers", no_argument, NULL, OPT_MARKERS },
	{ "mixed", no_argument, NULL, OPT_MIXED },
	{ "port-base", required_argument, NULL, OPT_PORT_BASE },
	{ "queued", required_argument, NULL, OPT_QUEUED },
	{ "random", no_argument, NULL, OPT_RANDOM },
	{ "read", required_argument, NULL, OPT_READ },
	{ "ready", no_argument, NULL, OPT_READY },
	{ "rekey", required_argument, NULL, OPT_REKEY },
	{ "rekeys-per-s", required_argument, NULL, OPT_REKEYS_PER_S },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "sendfile", required_argument, NULL, OPT_SENDFILE },
	{ "stop-every", required_argument, NULL, OPT_STOP_EVERY },
	{ "tls", required_argument, NULL, OPT_TLS },
	{ "tls-user", no_argument, NULL, OPT_TLS_USER },
	{ "zerocopy", no_argument, NULL, OPT_ZEROCOPY },
	{ 0 }
};

/* Sets of options: what was given, and what a subcommand knows */
#define BIT(opt)	(1u << ((opt) - OPT_ALERT))
#define SINK_OPTIONS	(BIT(OPT_DISCARD) | BIT(OPT_CONNECTIONS))
#define PATTERN_OPTIONS	BIT(OPT_SEED)
#define BOTH_OPTIONS	(BIT(OPT_ALERT) | BIT(OPT_BYTES) | BIT(OPT_BEFORE) | BIT(OPT_CIPHER) | BIT(OPT_CONNECTIONS) | \
			 BIT(OPT_FILE) | BIT(OPT_PORT_BASE) | BIT(OPT_READY) | BIT(OPT_SEED) | BIT(OPT_TLS))
#define RECV_OPTIONS	(BOTH_OPTIONS | BIT(OPT_BLIND) | BIT(OPT_KTLS) | BIT(OPT_MARKERS) | BIT(OPT_QUEUED) | \
			 BIT(OPT_READ))
#define SEND_OPTIONS	(BOTH_OPTIONS | BIT(OPT_CHUNK) | BIT(OPT_IP_OPTIONS) | BIT(OPT_MARKERS) | BIT(OPT_MIXED) | BIT(OPT_RANDOM) | BIT(OPT_REKEY) | \
			 BIT(OPT_REKEYS_PER_S) | BIT(OPT_SENDFILE) | BIT(OPT_STOP_EVERY) | BIT(OPT_TLS_USER) | BIT(OPT_ZEROCOPY))

static void set_option(struct options *opt, int c, enum cipher *cipher)
{
	const char *name = long_options[c - OPT_ALERT].name;

	switch (c) {
	case OPT_ALERT:
		opt->alert = true;
		break;
	case OPT_BYTES:
		opt->bytes = parse_number(name, optarg, 0, 1ull << 50);
		opt->have_bytes = true;
		break;
	case OPT_BEFORE:
		opt->before = (uint32_t)parse_number(name, optarg, 0, MAX_CHUNK);
		break;
	case OPT_CHUNK:
		opt->chunk = (uint32_t)parse_number(name, optarg, 1, MAX_CHUNK);
		break;
	case OPT_CIPHER:
		if (!strcmp(optarg, "aes128"))
			*cipher = AES128_GCM;
		else if (!strcmp(optarg, "aes256"))
			*cipher = AES256_GCM;
		else if (!strcmp(optarg, "chacha20"))
			*cipher = CHACHA20_POLY1305;
		else
			die(2, "--cipher %s: aes128, aes256 or chacha20", optarg);
		break;
	case OPT_CONNECTIONS:
		opt->connections = (uint32_t)parse_number(name, optarg, 1, 60000);
		break;
	case OPT_DISCARD:
		opt->discard = true;
		break;
	case OPT_SENDFILE:
		opt->sendfile = true;
		__attribute__((fallthrough));
	case OPT_FILE:
		opt->file = optarg;
		break;
	case OPT_IP_OPTIONS:
		opt->ip_options = true;
		break;
	case OPT_MARKERS:
		opt->markers = true;
		break;
	case OPT_MIXED:
		opt->mixed = true;
		break;
	case OPT_PORT_BASE:
		opt->port_base = (uint32_t)parse_number(name, optarg, 1, 65535);
		break;
	case OPT_SEED:
		opt->seed = parse_number(name, optarg, 0, UINT64_MAX);
		break;
	case OPT_BLIND:
		opt->blind = true;
		break;
	case OPT_KTLS:
		opt->ktls = true;
		break;
	case OPT_READ:
		opt->read = (uint32_t)parse_number(name, optarg, 1, READ_BUF);
		break;
	case OPT_QUEUED:
		opt->queued = (uint32_t)parse_number(name, optarg, 1, MAX_CHUNK);
		break;
	case OPT_RANDOM:
		opt->random = true;
		break;
	case OPT_REKEY:
		opt->rekey = parse_number(name, optarg, 1, 1ull << 50);
		break;
	case OPT_REKEYS_PER_S:
		opt->rekeys_per_s = (uint32_t)parse_number(name, optarg, 1, 1000000);
		break;
	case OPT_READY:
		opt->ready = true;
		break;
	case OPT_STOP_EVERY:
		opt->stop_every = parse_number(name, optarg, 1, 1ull << 50);
		break;
	case OPT_TLS:
		if (!strcmp(optarg, "1.3"))
			opt->version = TLS_1_3_VERSION;
		else if (strcmp(optarg, "1.2"))
			die(2, "--tls %s: 1.2 or 1.3", optarg);
		opt->cipher = AES128_GCM;
		break;
	case OPT_TLS_USER:
		opt->tls_user = true;
		break;
	case OPT_ZEROCOPY:
		opt->zerocopy = true;
		break;
	}
}

static unsigned int parse(struct options *opt, int argc, char **argv)
{
	enum cipher cipher = PLAIN;
	unsigned int given = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (c == OPT_HELP) {
			fputs(usage, stdout);
			exit(0);
		}
		if (c == '?')
			exit(2);
		given |= BIT(c);
		set_option(opt, c, &cipher);
	}
	if (opt->tls_user && !opt->cipher)
		opt->cipher = AES128_GCM;
	if (cipher && !opt->cipher)
		die(2, "--cipher needs --tls");
	if (cipher)
		opt->cipher = cipher;
	if (opt->ktls && !opt->cipher)
		die(2, "--ktls needs --tls");
	if (opt->tls_user && (opt->zerocopy || opt->sendfile))
		die(2, "--tls-user sends by send(): use --file, and no --zerocopy");
	if ((opt->rekey || opt->rekeys_per_s) && (!opt->cipher || opt->version != TLS_1_3_VERSION))
		die(2, "--rekey needs --tls 1.3");
	if (opt->mixed && (!opt->sendfile || opt->connections > 1 || opt->chunk > 65536))
		die(2, "--mixed: with --sendfile and one connection, and a --chunk of at most 64K");
	if (opt->stop_every && (opt->connections > 1 || opt->stop_every % opt->chunk))
		die(2, "--stop-every: with one connection, and a multiple of --chunk");
	if (opt->zerocopy && !opt->cipher == opt->sendfile)
		die(2, "--zerocopy: of send() without TLS, of sendfile() with it");
	return given;
}

int main(int argc, char **argv)
{
	struct options opt = { .version = TLS_1_2_VERSION, .chunk = 16384, .read = READ_BUF, .seed = 1 };
	unsigned int given, known;
	struct rlimit fds;
	bool sink, sender, pattern;
	char **arg;

	/* getopt_long() moves what is no option behind the options */
	given = parse(&opt, argc, argv);
	arg = argv + optind;
	if (argc == optind) {
		fputs(usage, stderr);
		return 2;
	}
	sink = !strcmp(arg[0], "sink");
	sender = !strcmp(arg[0], "send");
	pattern = !strcmp(arg[0], "pattern");
	if (!sink && !sender && !pattern && strcmp(arg[0], "recv"))
		die(2, "%s: sink, send, recv or pattern", arg[0]);
	if (argc - optind != (pattern ? 1 : sender ? 3 : 2)) {
		fputs(usage, stderr);
		return 2;
	}
	known = sink ? SINK_OPTIONS : sender ? SEND_OPTIONS : pattern ? PATTERN_OPTIONS : RECV_OPTIONS;
	for (int i = 0; long_options[i].name; i++) {
		if (given & ~known & BIT(long_options[i].val))
			die(2, "%s: no such option: --%s", arg[0], long_options[i].name);
	}
	if (pattern)
		return cmd_pattern(opt.seed);
	if (!sink && !opt.connections)
		opt.connections = 1;
	if (opt.ktls && opt.connections > 1 && !opt.port_base)
		die(2, "--ktls: which connection is which? say --port-base");
	if (opt.port_base && opt.port_base + opt.connections > 65536)
		die(2, "--port-base %u: not enough ports from there on", opt.port_base);
	opt.host = sender ? arg[1] : NULL;
	opt.port = arg[sender ? 2 : 1];
	parse_number("port", opt.port, 1, 65535);
#ifndef __x86_64__
	if (opt.markers)
		die(2, "--markers: only on x86-64");
#endif

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (!getrlimit(RLIMIT_NOFILE, &fds)) {
		fds.rlim_cur = fds.rlim_max;
		setrlimit(RLIMIT_NOFILE, &fds);
	}
	return sender ? cmd_send(&opt) : cmd_serve(&opt, sink);
}
