/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The other end of kTLS in user space: a TLS record layer over libcrypto that has no code and no table in common with
 * the kernel's, and sockets to put between the two.
 */
#ifndef _SEALNIC_KTLS_REF_H
#define _SEALNIC_KTLS_REF_H

#include <linux/tls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifndef SOL_TLS
#define SOL_TLS			282
#endif
#ifndef TCP_ULP
#define TCP_ULP			31
#endif
#ifndef TLS_TX_MAX_PAYLOAD_LEN
#define TLS_TX_MAX_PAYLOAD_LEN	5
#endif

#define REF_HDR			5
#define REF_TAG			16
#define REF_MAX			16384
/* Room for any record, oversized ones included */
#define REF_RECORD		(REF_HDR + 65535)

enum { REF_CCS = 20, REF_ALERT = 21, REF_HANDSHAKE = 22, REF_DATA = 23 };

struct ref_cipher {
	const char *name;
	const char *evp;	/* libcrypto's name */
	const char *block;	/* or that of the block cipher, of which the mode is made here */
	uint16_t type;
	uint8_t key, iv, salt;	/* bytes in the socket option */
	bool ccm, tls12, tls13;
};

extern const struct ref_cipher ref_ciphers[];
extern const unsigned int ref_nciphers;

/* One traffic key of one direction */
struct ref_epoch {
	const struct ref_cipher *cipher;
	uint16_t version;
	uint64_t seq;		/* of the next record */
	uint64_t explicit;	/* TLS 1.2, sealing: explicit nonce of the next record */
	uint8_t key[32], iv[12], salt[4];
	void *ctx;
};

union ref_info {
	struct tls_crypto_info info;
	uint8_t bytes[128];
};

/* Not every libcrypto has every one */
bool ref_have(const struct ref_cipher *cipher);
void ref_init(struct ref_epoch *e, const struct ref_cipher *cipher, uint16_t version, const void *key, const void *iv,
	      const void *salt, uint64_t seq);
/* Key, IV, salt and first record number follow from the seed */
void ref_derive(struct ref_epoch *e, const struct ref_cipher *cipher, uint16_t version, uint64_t seed);
void ref_free(struct ref_epoch *e);
socklen_t ref_info(const struct ref_epoch *e, union ref_info *info);
/* The AEAD by itself, for ciphers with @block: in place at @text, with the tag behind it */
bool ref_block_aead(struct ref_epoch *e, bool seal, const uint8_t nonce[12], const uint8_t *aad, size_t alen,
		    uint8_t *text, size_t len);
size_t ref_prepend(const struct ref_epoch *e);
size_t ref_overhead(const struct ref_epoch *e);
/* Bytes on the wire. @inner is all that is sealed, in TLS 1.3 with content type and padding. */
size_t ref_seal_inner(struct ref_epoch *e, uint8_t outer, const void *inner, size_t len, uint8_t *out);
size_t ref_seal(struct ref_epoch *e, uint8_t type, const void *data, size_t len, size_t pad, uint8_t *out);
/* Bytes of payload, or -1 */
ssize_t ref_open(struct ref_epoch *e, const uint8_t *rec, size_t len, uint8_t *type, uint8_t *out, size_t *pad);

/* Bytes that say where they belong: byte i of content @seed */
uint8_t ref_byte(uint64_t seed, uint64_t i);
void ref_fill(void *buf, size_t len, uint64_t seed, uint64_t off);
uint64_t ref_mix(uint64_t x);

/* Two ends of a TCP connection over loopback, without Nagle. 0 or -1. */
int tcp_pair(int family, int fd[2]);
int tls_ulp(int fd);
int tls_key(int fd, int name, const struct ref_epoch *e);
ssize_t tls_send_type(int fd, uint8_t type, const void *buf, size_t len, int flags);
/* *@type is 0 when there was no control message */
ssize_t tls_recv_type(int fd, uint8_t *type, void *buf, size_t len, int flags);
/* All of it or false */
bool write_all(int fd, const void *buf, size_t len);
bool read_all(int fd, void *buf, size_t len);
/* One record as it is on the wire: its length, 0 at the end of the stream, -1 */
ssize_t read_record(int fd, uint8_t *rec);
/* A counter of /proc/net/tls_stat, -1 if there is none of the name */
long tls_counter(const char *name);

#endif
