// SPDX-License-Identifier: GPL-2.0
/*
 * Record protection of TLS 1.2 (RFC 5246 6.2.3.3, 5288, 6655, 7905, 6209) and 1.3 (RFC 8446 5.2, 8998) over libcrypto,
 * and what the kTLS tests need of sockets. Written from the RFCs, for clarity: every record is put together in one buffer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "ktls_ref.h"

#ifndef TLS_CIPHER_ARIA_GCM_128
#define TLS_CIPHER_ARIA_GCM_128	57
#define TLS_CIPHER_ARIA_GCM_256	58
#endif

const struct ref_cipher ref_ciphers[] = {
	{ "aes-gcm-128", "AES-128-GCM", NULL, TLS_CIPHER_AES_GCM_128, 16, 8, 4, false, true, true },
	{ "aes-gcm-256", "AES-256-GCM", NULL, TLS_CIPHER_AES_GCM_256, 32, 8, 4, false, true, true },
	{ "aes-ccm-128", "AES-128-CCM", NULL, TLS_CIPHER_AES_CCM_128, 16, 8, 4, true, true, true },
	{ "chacha20-poly1305", "ChaCha20-Poly1305", NULL, TLS_CIPHER_CHACHA20_POLY1305, 32, 12, 0, false, true, true },
	{ "sm4-gcm", NULL, "SM4", TLS_CIPHER_SM4_GCM, 16, 8, 4, false, false, true },
	{ "sm4-ccm", NULL, "SM4", TLS_CIPHER_SM4_CCM, 16, 8, 4, true, false, true },
	{ "aria-gcm-128", "ARIA-128-GCM", NULL, TLS_CIPHER_ARIA_GCM_128, 16, 8, 4, false, true, false },
	{ "aria-gcm-256", "ARIA-256-GCM", NULL, TLS_CIPHER_ARIA_GCM_256, 32, 8, 4, false, true, false },
};

const unsigned int ref_nciphers = sizeof(ref_ciphers) / sizeof(ref_ciphers[0]);

static void die(const char *what)
{
	fprintf(stderr, "ktls_ref: %s\n", what);
	abort();
}

/*
 * By its own name, or by its block cipher's and the mode's. Fetched once: a fetch for each record would cost more than
 * the record.
 */
static EVP_CIPHER *evp(const struct ref_cipher *cipher, const char *mode)
{
	static EVP_CIPHER *fetched[sizeof(ref_ciphers) / sizeof(ref_ciphers[0])][2];
	EVP_CIPHER **e = &fetched[cipher - ref_ciphers][!strcmp(mode, "CBC")];
	char name[32];

	if (!*e) {
		snprintf(name, sizeof(name), "%s-%s", cipher->block ? cipher->block : "", mode);
		*e = EVP_CIPHER_fetch(NULL, cipher->block ? name : cipher->evp, NULL);
	}
	return *e;
}

bool ref_have(const struct ref_cipher *cipher)
{
	return evp(cipher, "CTR") && (!cipher->block || evp(cipher, "CBC"));
}

static void put64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static bool tls13(const struct ref_epoch *e)
{
	return e->version == TLS_1_3_VERSION;
}

void ref_init(struct ref_epoch *e, const struct ref_cipher *cipher, uint16_t version, const void *key, const void *iv,
	      const void *salt, uint64_t seq)
{
	memset(e, 0, sizeof(*e));
	e->cipher = cipher;
	e->version = version;
	e->seq = seq;
	memcpy(e->key, key, cipher->key);
	memcpy(e->iv, iv, cipher->iv);
	memcpy(e->salt, salt, cipher->salt);
	e->explicit = get64(e->iv);
}

void ref_derive(struct ref_epoch *e, const struct ref_cipher *cipher, uint16_t version, uint64_t seed)
{
	uint8_t key[32], iv[12], salt[4];

	ref_fill(key, sizeof(key), seed, 0);
	ref_fill(iv, sizeof(iv), seed, 100);
	ref_fill(salt, sizeof(salt), seed, 200);
	/* Record numbers near a carry, as that is where they go wrong */
	ref_init(e, cipher, version, key, iv, salt, seed % 3 ? (ref_mix(seed) >> 8 | 0xfffe) : 0);
}

void ref_free(struct ref_epoch *e)
{
	EVP_CIPHER_CTX_free(e->ctx);
	e->ctx = NULL;
}

socklen_t ref_info(const struct ref_epoch *e, union ref_info *info)
{
	uint8_t *p = info->bytes + sizeof(info->info);

	memset(info, 0, sizeof(*info));
	info->info.version = e->version;
	info->info.cipher_type = e->cipher->type;
	memcpy(p, e->iv, e->cipher->iv);
	if (!tls13(e) && e->cipher->salt)
		put64(p, e->explicit);
	p += e->cipher->iv;
	memcpy(p, e->key, e->cipher->key);
	p += e->cipher->key;
	memcpy(p, e->salt, e->cipher->salt);
	p += e->cipher->salt;
	put64(p, e->seq);
	return (socklen_t)(p + 8 - info->bytes);
}

/* The ciphers with a salt of 4 bytes send the other 8 of the nonce along in TLS 1.2 */
static bool explicit_nonce(const struct ref_epoch *e)
{
	return !tls13(e) && e->cipher->salt;
}

size_t ref_prepend(const struct ref_epoch *e)
{
	return REF_HDR + (explicit_nonce(e) ? 8 : 0);
}

size_t ref_overhead(const struct ref_epoch *e)
{
	return ref_prepend(e) + tls13(e) + REF_TAG;
}

static void nonce(const struct ref_epoch *e, const uint8_t *rec, uint8_t n[12])
{
	memcpy(n, e->salt, e->cipher->salt);
	memcpy(n + e->cipher->salt, e->iv, e->cipher->iv);
	if (explicit_nonce(e)) {
		memcpy(n + 4, rec + REF_HDR, 8);
		return;
	}
	for (int i = 0; i < 8; i++)
		n[4 + i] ^= (uint8_t)(e->seq >> (56 - 8 * i));
}

static size_t aad(const struct ref_epoch *e, const uint8_t *rec, size_t plain, uint8_t a[13])
{
	if (tls13(e)) {
		memcpy(a, rec, REF_HDR);
		return REF_HDR;
	}
	put64(a, e->seq);
	memcpy(a + 8, rec, 3);
	a[11] = (uint8_t)(plain >> 8);
	a[12] = (uint8_t)plain;
	return 13;
}

/* --- GCM and CCM of a block cipher --- */

static void crypt_mode(struct ref_epoch *e, const char *mode, const uint8_t iv[16], uint8_t *text, size_t len)
{
	int out;

	if (!e->ctx)
		e->ctx = EVP_CIPHER_CTX_new();
	if (!e->ctx || EVP_EncryptInit_ex(e->ctx, evp(e->cipher, mode), NULL, e->key, iv) != 1 ||
	    EVP_CIPHER_CTX_set_padding(e->ctx, 0) != 1 || EVP_EncryptUpdate(e->ctx, text, &out, text, (int)len) != 1 ||
	    out != (int)len)
		die(mode);
}

/* Zeros up to a whole number of blocks; returns that */
static size_t fill_block(uint8_t *p, size_t len)
{
	size_t full = (len + 15) / 16 * 16;

	memset(p + len, 0, full - len);
	return full;
}

/* SP 800-38D 6.3: product of the field's elements @y and @h, bit by bit from the left */
static void gf_mul(uint64_t y[2], const uint64_t h[2])
{
	uint64_t z[2] = { 0, 0 }, v[2] = { h[0], h[1] };

	for (int i = 0; i < 128; i++) {
		uint64_t carry = v[1] & 1;

		if (y[i / 64] >> (63 - i % 64) & 1) {
			z[0] ^= v[0];
			z[1] ^= v[1];
		}
		v[1] = v[1] >> 1 | v[0] << 63;
		v[0] = v[0] >> 1 ^ carry * 0xe100000000000000;
	}
	y[0] = z[0];
	y[1] = z[1];
}

/* SP 800-38D 7.1: over additional data and ciphertext */
static void gcm_tag(struct ref_epoch *e, const uint8_t counter[16], const uint8_t *aad, size_t alen, const uint8_t *text,
		    size_t len, uint8_t tag[16])
{
	static _Thread_local uint8_t in[REF_RECORD + 64];
	uint8_t zero[16] = { 0 }, hash[16] = { 0 };
	uint64_t h[2], y[2] = { 0, 0 };
	size_t n;

	crypt_mode(e, "CBC", zero, hash, 16);
	h[0] = get64(hash);
	h[1] = get64(hash + 8);
	memcpy(in, aad, alen);
	n = fill_block(in, alen);
	memcpy(in + n, text, len);
	n += fill_block(in + n, len);
	put64(in + n, alen * 8);
	put64(in + n + 8, len * 8);
	for (size_t i = 0; i < n + 16; i += 16) {
		y[0] ^= get64(in + i);
		y[1] ^= get64(in + i + 8);
		gf_mul(y, h);
	}
	put64(tag, y[0]);
	put64(tag + 8, y[1]);
	crypt_mode(e, "CTR", counter, tag, 16);
}

/* RFC 3610 2.2, 2.3, with a length of 3 bytes and a tag of 16: over additional data and plaintext */
static void ccm_tag(struct ref_epoch *e, const uint8_t counter[16], const uint8_t *aad, size_t alen, const uint8_t *text,
		    size_t len, uint8_t tag[16])
{
	static _Thread_local uint8_t in[REF_RECORD + 64];
	uint8_t zero[16] = { 0 };
	size_t n;

	memcpy(in, counter, 16);
	in[0] = 0x40 | (16 - 2) / 2 << 3 | (3 - 1);
	in[13] = (uint8_t)(len >> 16);
	in[14] = (uint8_t)(len >> 8);
	in[15] = (uint8_t)len;
	in[16] = (uint8_t)(alen >> 8);
	in[17] = (uint8_t)alen;
	memcpy(in + 18, aad, alen);
	n = 16 + fill_block(in + 16, 2 + alen);
	memcpy(in + n, text, len);
	n += fill_block(in + n, len);
	crypt_mode(e, "CBC", zero, in, n);
	memcpy(tag, in + n - 16, 16);
	crypt_mode(e, "CTR", counter, tag, 16);
}

bool ref_block_aead(struct ref_epoch *e, bool seal, const uint8_t nonce[12], const uint8_t *aad, size_t alen,
		    uint8_t *text, size_t len)
{
	bool ccm = e->cipher->ccm;
	uint8_t counter[16] = { 0 }, first[16], tag[16];

	/* The first counter is for the tag, those that follow are for the text */
	counter[0] = 3 - 1;
	memcpy(counter + ccm, nonce, 12);
	counter[15] = !ccm;
	memcpy(first, counter, 16);
	first[15]++;
	if (!ccm && !seal)
		gcm_tag(e, counter, aad, alen, text, len, tag);
	if (ccm && seal)
		ccm_tag(e, counter, aad, alen, text, len, tag);
	crypt_mode(e, "CTR", first, text, len);
	if (!ccm && seal)
		gcm_tag(e, counter, aad, alen, text, len, tag);
	if (ccm && !seal)
		ccm_tag(e, counter, aad, alen, text, len, tag);
	if (!seal)
		return !memcmp(text + len, tag, 16);
	memcpy(text + len, tag, 16);
	return true;
}

/* --- records --- */

/* In place at @text, with the tag behind it */
static bool aead(struct ref_epoch *e, bool seal, const uint8_t *rec, uint8_t *text, size_t len)
{
	uint8_t n[12], a[13];
	size_t alen = aad(e, rec, len, a);
	EVP_CIPHER_CTX *ctx = e->ctx;
	int out, ccm = e->cipher->ccm;

	nonce(e, rec, n);
	if (!ref_have(e->cipher))
		die("no such cipher in libcrypto");
	if (e->cipher->block)
		return ref_block_aead(e, seal, n, a, alen, text, len);
	if (!ctx)
		ctx = e->ctx = EVP_CIPHER_CTX_new();
	if (!ctx)
		die("no memory");
	if (EVP_CipherInit_ex(ctx, evp(e->cipher, ""), NULL, NULL, NULL, seal) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL) != 1)
		die("init");
	if ((ccm || !seal) && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, REF_TAG, seal ? NULL : text + len) != 1)
		die("tag");
	if (EVP_CipherInit_ex(ctx, NULL, NULL, e->key, n, seal) != 1)
		die("key");
	if (ccm && EVP_CipherUpdate(ctx, NULL, &out, NULL, (int)len) != 1)
		die("length");
	if (EVP_CipherUpdate(ctx, NULL, &out, a, (int)alen) != 1)
		die("additional data");
	/* CCM authenticates here, and an empty text has to get here too */
	if (ccm || len) {
		if (EVP_CipherUpdate(ctx, text, &out, text, (int)len) != 1)
			return false;
	}
	if (!ccm && EVP_CipherFinal_ex(ctx, text + len, &out) != 1)
		return false;
	if (seal && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, REF_TAG, text + len) != 1)
		die("get tag");
	return true;
}

size_t ref_seal_inner(struct ref_epoch *e, uint8_t outer, const void *inner, size_t len, uint8_t *out)
{
	size_t prepend = ref_prepend(e), rest = prepend - REF_HDR + len + REF_TAG;

	out[0] = outer;
	out[1] = 3;
	out[2] = 3;
	out[3] = (uint8_t)(rest >> 8);
	out[4] = (uint8_t)rest;
	if (explicit_nonce(e))
		put64(out + REF_HDR, e->explicit++);
	memcpy(out + prepend, inner, len);
	if (!aead(e, true, out, out + prepend, len))
		die("seal");
	e->seq++;
	return REF_HDR + rest;
}

size_t ref_seal(struct ref_epoch *e, uint8_t type, const void *data, size_t len, size_t pad, uint8_t *out)
{
	static _Thread_local uint8_t inner[REF_RECORD];

	if (!tls13(e))
		return ref_seal_inner(e, type, data, len, out);
	memcpy(inner, data, len);
	inner[len] = type;
	memset(inner + len + 1, 0, pad);
	return ref_seal_inner(e, REF_DATA, inner, len + 1 + pad, out);
}

ssize_t ref_open(struct ref_epoch *e, const uint8_t *rec, size_t len, uint8_t *type, uint8_t *out, size_t *pad)
{
	static _Thread_local uint8_t text[REF_RECORD];
	size_t prepend = ref_prepend(e), plain;

	if (len < prepend + REF_TAG || len != REF_HDR + (size_t)(rec[3] << 8 | rec[4]) || rec[1] != 3 || rec[2] != 3)
		return -1;
	plain = len - prepend - REF_TAG;
	memcpy(text, rec + prepend, plain + REF_TAG);
	if (!aead(e, false, rec, text, plain))
		return -1;
	e->seq++;
	*type = rec[0];
	if (pad)
		*pad = 0;
	if (tls13(e)) {
		size_t n = plain;

		if (rec[0] != REF_DATA)
			return -1;
		while (n && !text[n - 1])
			n--;
		if (!n)
			return -1;
		if (pad)
			*pad = plain - n;
		plain = n - 1;
		*type = text[plain];
	}
	if (plain > REF_MAX)
		return -1;
	memcpy(out, text, plain);
	return (ssize_t)plain;
}

/* --- content --- */

uint64_t ref_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

uint8_t ref_byte(uint64_t seed, uint64_t i)
{
	return (uint8_t)(ref_mix(seed * 0x10001 + i / 8) >> i % 8 * 8);
}

void ref_fill(void *buf, size_t len, uint64_t seed, uint64_t off)
{
	uint8_t *p = buf;
	size_t i = 0;

	for (; i < len && (off + i) % 8; i++)
		p[i] = ref_byte(seed, off + i);
	for (; i + 8 <= len; i += 8) {
		uint64_t v = ref_mix(seed * 0x10001 + (off + i) / 8);

		memcpy(p + i, &v, 8);
	}
	for (; i < len; i++)
		p[i] = ref_byte(seed, off + i);
}

/* --- sockets --- */

int tcp_pair(int family, int fd[2])
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *sa = family == AF_INET6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
	socklen_t len = family == AF_INET6 ? sizeof(in6) : sizeof(in);
	int l = socket(family, SOCK_STREAM, 0), one = 1;

	fd[0] = socket(family, SOCK_STREAM, 0);
	fd[1] = -1;
	if (l >= 0 && fd[0] >= 0 && !bind(l, sa, len) && !listen(l, 1) && !getsockname(l, sa, &len) &&
	    !connect(fd[0], sa, len))
		fd[1] = accept(l, NULL, NULL);
	close(l);
	if (fd[1] < 0) {
		close(fd[0]);
		return -1;
	}
	for (int i = 0; i < 2; i++)
		setsockopt(fd[i], SOL_TCP, TCP_NODELAY, &one, sizeof(one));
	return 0;
}

int tls_ulp(int fd)
{
	return setsockopt(fd, SOL_TCP, TCP_ULP, "tls", sizeof("tls"));
}

int tls_key(int fd, int name, const struct ref_epoch *e)
{
	union ref_info info;
	socklen_t len = ref_info(e, &info);

	return setsockopt(fd, SOL_TLS, name, &info, len);
}

ssize_t tls_send_type(int fd, uint8_t type, const void *buf, size_t len, int flags)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(1)];
	} control = { 0 };
	struct iovec iov = { (void *)buf, len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = CMSG_LEN(1),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(cmsg) = type;
	return sendmsg(fd, &msg, flags | MSG_NOSIGNAL);
}

ssize_t tls_recv_type(int fd, uint8_t *type, void *buf, size_t len, int flags)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(1)];
	} control = { 0 };
	struct iovec iov = { buf, len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &msg, flags);
	struct cmsghdr *cmsg;

	*type = 0;
	if (n < 0)
		return n;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_level == SOL_TLS && cmsg->cmsg_type == TLS_GET_RECORD_TYPE)
		*type = *CMSG_DATA(cmsg);
	return n;
}

bool write_all(int fd, const void *buf, size_t len)
{
	while (len) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		buf = (const char *)buf + n;
		len -= (size_t)n;
	}
	return true;
}

bool read_all(int fd, void *buf, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, buf, len, 0);

		if (n <= 0)
			return false;
		buf = (char *)buf + n;
		len -= (size_t)n;
	}
	return true;
}

ssize_t read_record(int fd, uint8_t *rec)
{
	size_t len, have = 0;

	while (have < REF_HDR) {
		ssize_t n = recv(fd, rec + have, REF_HDR - have, 0);

		if (n <= 0)
			return have ? -1 : n;
		have += (size_t)n;
	}
	len = (size_t)(rec[3] << 8 | rec[4]);
	return read_all(fd, rec + REF_HDR, len) ? (ssize_t)(REF_HDR + len) : -1;
}

long tls_counter(const char *name)
{
	FILE *f = fopen("/proc/net/tls_stat", "r");
	char line[128], key[64];
	long v, found = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld", key, &v) == 2 && !strcmp(key, name))
			found = v;
	if (f)
		fclose(f);
	return found;
}
