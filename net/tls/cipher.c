// SPDX-License-Identifier: GPL-2.0
/*
 * Ciphers, and the epochs that use them: from the parameters of a socket option to a keyed
 * transform, and from a record number to nonce and additional data. Owns struct tls_epoch and the
 * layout of the socket options' structs; knows neither sockets nor buffers. Callers hold what
 * protects the epoch.
 */
#include <crypto/aead.h>
#include <linux/scatterlist.h>
#include <linux/unaligned.h>
#include "tls.h"

/*
 * All structs of the socket option are: info, iv, key, salt, rec_seq. That a cipher has no suite in
 * a version comes from RFC 6209 (ARIA: only 1.2) and RFC 8998 (SM4: only 1.3).
 */
static const struct tls_cipher ciphers[] = {
	[TLS_CIPHER_AES_GCM_128] = {
		.name = "gcm(aes)", .key = 16, .iv = 8, .salt = 4, .tls12 = true, .tls13 = true,
	},
	[TLS_CIPHER_AES_GCM_256] = {
		.name = "gcm(aes)", .key = 32, .iv = 8, .salt = 4, .tls12 = true, .tls13 = true,
	},
	[TLS_CIPHER_AES_CCM_128] = {
		.name = "ccm(aes)", .key = 16, .iv = 8, .salt = 4, .tls12 = true, .tls13 = true,
		.ccm = true,
	},
	[TLS_CIPHER_CHACHA20_POLY1305] = {
		.name = "rfc7539(chacha20,poly1305)", .key = 32, .iv = 12,
		.tls12 = true, .tls13 = true,
	},
	[TLS_CIPHER_SM4_GCM] = {
		.name = "gcm(sm4)", .key = 16, .iv = 8, .salt = 4, .tls13 = true,
	},
	[TLS_CIPHER_SM4_CCM] = {
		.name = "ccm(sm4)", .key = 16, .iv = 8, .salt = 4, .tls13 = true, .ccm = true,
	},
	[TLS_CIPHER_ARIA_GCM_128] = {
		.name = "gcm(aria)", .key = 16, .iv = 8, .salt = 4, .tls12 = true,
	},
	[TLS_CIPHER_ARIA_GCM_256] = {
		.name = "gcm(aria)", .key = 32, .iv = 8, .salt = 4, .tls12 = true,
	},
};

#define CHECK_INFO(type, sz)									\
	static_assert(sizeof(struct type) == sizeof(struct tls_crypto_info) + (sz) &&		\
		      offsetof(struct type, iv) == sizeof(struct tls_crypto_info) &&		\
		      offsetof(struct type, rec_seq) == sizeof(struct type) - 8)
CHECK_INFO(tls12_crypto_info_aes_gcm_128, 8 + 16 + 4 + 8);
CHECK_INFO(tls12_crypto_info_aes_gcm_256, 8 + 32 + 4 + 8);
CHECK_INFO(tls12_crypto_info_aes_ccm_128, 8 + 16 + 4 + 8);
CHECK_INFO(tls12_crypto_info_chacha20_poly1305, 12 + 32 + 0 + 8);
CHECK_INFO(tls12_crypto_info_sm4_gcm, 8 + 16 + 4 + 8);
CHECK_INFO(tls12_crypto_info_sm4_ccm, 8 + 16 + 4 + 8);
CHECK_INFO(tls12_crypto_info_aria_gcm_128, 8 + 16 + 4 + 8);
CHECK_INFO(tls12_crypto_info_aria_gcm_256, 8 + 32 + 4 + 8);

/**
 * tls_cipher() - look up a cipher
 * @type: TLS_CIPHER_*
 *
 * Return: the cipher, or NULL if there is none of that number.
 */
const struct tls_cipher *tls_cipher(u16 type)
{
	return type < ARRAY_SIZE(ciphers) && ciphers[type].name ? &ciphers[type] : NULL;
}

/**
 * tls_info_size() - size of a cipher's struct in the socket option
 * @cipher: the cipher
 *
 * Return: bytes.
 */
size_t tls_info_size(const struct tls_cipher *cipher)
{
	return sizeof(struct tls_crypto_info) + cipher->iv + cipher->key + cipher->salt +
	       TLS_MAX_REC_SEQ_SIZE;
}

/*
 * GCM as a template, by itself or in another, allocates memory for the hash when all is encrypted
 * already
 */
static bool seals_in_place(struct crypto_aead *aead)
{
	const struct crypto_alg *alg = crypto_aead_tfm(aead)->__crt_alg;

	return !(alg->cra_flags & CRYPTO_ALG_INSTANCE) ||
	       !strstr(alg->cra_driver_name, "gcm_base(");
}

/**
 * tls_epoch_open() - begin an epoch
 * @epoch: filled in; untouched on failure
 * @info: parameters from a socket option, as many bytes as tls_info_size() says, version and cipher
 *	checked
 * @sync: with a transform that never needs to wait, for use in softirq
 *
 * Context: process, may sleep and load modules; takes no lock of a socket.
 *
 * Return: 0, or the crypto layer's error: -ENOENT for an algorithm that the kernel does not have.
 */
int tls_epoch_open(struct tls_epoch *epoch, const struct tls_crypto_info *info, bool sync)
{
	const struct tls_cipher *cipher = tls_cipher(info->cipher_type);
	const u8 *iv = (const u8 *)(info + 1), *key = iv + cipher->iv, *salt = key + cipher->key;
	struct crypto_aead *aead;
	int err;

	aead = crypto_alloc_aead(cipher->name, 0, sync ? CRYPTO_ALG_ASYNC : 0);
	if (IS_ERR(aead))
		return PTR_ERR(aead);
	err = crypto_aead_setkey(aead, key, cipher->key);
	if (!err)
		err = crypto_aead_setauthsize(aead, TLS_TAG_SIZE);
	if (err) {
		crypto_free_aead(aead);
		return err;
	}

	*epoch = (struct tls_epoch) {
		.cipher = cipher,
		.aead = aead,
		.version = info->version,
		.in_place = seals_in_place(aead),
		.record = get_unaligned_be64(salt + cipher->salt),
		.explicit = get_unaligned_be64(iv),
	};
	memcpy(epoch->nonce, salt, cipher->salt);
	memcpy(epoch->nonce + cipher->salt, iv, cipher->iv);
	return 0;
}

/**
 * tls_epoch_close() - end an epoch and wipe its key
 * @epoch: the epoch; may be none
 *
 * Context: process, may sleep.
 */
void tls_epoch_close(struct tls_epoch *epoch)
{
	if (epoch->aead)
		crypto_free_aead(epoch->aead);
	memzero_explicit(epoch, sizeof(*epoch));
}

/**
 * tls_epoch_state() - bring parameters of a socket option up to the state of the epoch
 * @epoch: the epoch
 * @info: the parameters that it was opened with
 */
void tls_epoch_state(const struct tls_epoch *epoch, struct tls_crypto_info *info)
{
	u8 *iv = (u8 *)(info + 1);

	if (tls_prepend(epoch) > TLS_HEADER_SIZE)
		put_unaligned_be64(epoch->explicit, iv);
	put_unaligned_be64(epoch->record,
			   iv + epoch->cipher->iv + epoch->cipher->key + epoch->cipher->salt);
}

/**
 * tls_crypt_reserve() - make the workplace large enough for an epoch
 * @crypt: the workplace, not in use
 * @epoch: the epoch
 *
 * Context: process; the socket is locked.
 *
 * Return: 0 or -ENOMEM.
 */
int tls_crypt_reserve(struct tls_crypt *crypt, const struct tls_epoch *epoch)
{
	size_t size = sizeof(struct aead_request) + crypto_aead_reqsize(epoch->aead);
	struct aead_request *req;

	if (crypt->size >= size)
		return 0;
	req = kmalloc(size, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	kfree_sensitive(crypt->req);
	crypt->req = req;
	crypt->size = size;
	return 0;
}

/*
 * The nonce of the current record, as the crypto API wants it: RFC 5288 3, RFC 6655 3, RFC 7905 2,
 * RFC 8446 5.3
 */
static void set_iv(struct tls_crypt *crypt, const struct tls_epoch *epoch, const u8 *hdr)
{
	u8 *nonce = crypt->iv;

	if (epoch->cipher->ccm)
		*nonce++ = 2;	/* three bytes for the length: RFC 3610 2.2 */
	memcpy(nonce, epoch->nonce, TLS_NONCE_SIZE);
	if (tls_prepend(epoch) > TLS_HEADER_SIZE)
		memcpy(nonce + 4, hdr + TLS_HEADER_SIZE, TLS_EXPLICIT_NONCE_SIZE);
	else
		put_unaligned_be64(get_unaligned_be64(nonce + 4) ^ epoch->record, nonce + 4);
	if (epoch->cipher->ccm)
		memset(nonce + TLS_NONCE_SIZE, 0, 3);
}

/* Additional data: RFC 5246 6.2.3.3, RFC 8446 5.2. Returns its length. */
static u32 set_aad(struct tls_crypt *crypt, const struct tls_epoch *epoch, const u8 *hdr, u32 len)
{
	if (tls_13(epoch)) {
		memcpy(crypt->aad, hdr, TLS_HEADER_SIZE);
		return TLS_HEADER_SIZE;
	}
	put_unaligned_be64(epoch->record, crypt->aad);
	memcpy(crypt->aad + 8, hdr, 3);
	put_unaligned_be16(len, crypt->aad + 11);
	return TLS_AAD_SPACE_SIZE;
}

/* Runs the request to its end, however the implementation does it */
static int run(struct tls_crypt *crypt, const struct tls_epoch *epoch,
	       int (*op)(struct aead_request *req), u32 flags, u32 aad, u32 len,
	       struct scatterlist *src, struct scatterlist *dst)
{
	struct aead_request *req = crypt->req;

	tls_sg_buf(src, crypt->aad, aad);
	if (dst != src)
		tls_sg_buf(dst, crypt->aad, aad);
	crypto_init_wait(&crypt->wait);
	aead_request_set_tfm(req, epoch->aead);
	aead_request_set_callback(req, flags, crypto_req_done, &crypt->wait);
	aead_request_set_ad(req, aad);
	aead_request_set_crypt(req, src, dst, len, crypt->iv);
	return crypto_wait_req(op(req), &crypt->wait);
}

#define MAY_WAIT	(CRYPTO_TFM_REQ_MAY_BACKLOG | CRYPTO_TFM_REQ_MAY_SLEEP)

/**
 * tls_epoch_next() - a record was sealed or opened, by whatever engine
 * @epoch: its epoch
 */
void tls_epoch_next(struct tls_epoch *epoch)
{
	if (likely(epoch->count != U32_MAX))
		epoch->count++;
	epoch->exhausted = ++epoch->record == 0;
}

/**
 * tls_put_header() - header and explicit nonce of the next record
 * @epoch: key
 * @hdr: where they go, tls_prepend() bytes
 * @type: content type
 * @len: bytes of payload
 *
 * RFC 5246 6.2.3.3, RFC 5288 3, RFC 8446 5.2.
 */
void tls_put_header(const struct tls_epoch *epoch, u8 *hdr, u8 type, u32 len)
{
	u32 prepend = tls_prepend(epoch);

	hdr[0] = tls_13(epoch) ? TLS_RECORD_TYPE_DATA : type;
	put_unaligned_be16(TLS_1_2_VERSION, hdr + 1);
	put_unaligned_be16(prepend - TLS_HEADER_SIZE + len + tls_tail(epoch), hdr + 3);
	if (prepend > TLS_HEADER_SIZE)
		put_unaligned_be64(epoch->explicit, hdr + TLS_HEADER_SIZE);
}

/**
 * tls_seal() - seal a record
 * @crypt: the connection's workplace
 * @epoch: key
 * @hdr: where header and explicit nonce go, tls_prepend() bytes
 * @type: content type
 * @len: bytes of payload
 * @src: an entry for the additional data, not initialised; then the payload and, in TLS 1.3, the
 *	content type
 * @dst: the same; then room for all of @src and the tag. May be @src.
 *
 * RFC 5246 6.2.3.3, RFC 8446 5.2.
 *
 * Context: process, may sleep; the socket is locked.
 *
 * Return: 0, -EBADMSG if there is no record number left, or the crypto layer's error.
 */
int tls_seal(struct tls_crypt *crypt, struct tls_epoch *epoch, u8 *hdr, u8 type, u32 len,
	     struct scatterlist *src, struct scatterlist *dst)
{
	u32 inner = len + tls_13(epoch);
	int err;

	if (epoch->exhausted)
		return -EBADMSG;
	tls_put_header(epoch, hdr, type, len);
	set_iv(crypt, epoch, hdr);
	err = run(crypt, epoch, crypto_aead_encrypt, MAY_WAIT, set_aad(crypt, epoch, hdr, inner),
		  inner, src, dst);
	if (!err) {
		tls_epoch_next(epoch);
		epoch->explicit++;
	}
	return err;
}

/**
 * tls_seal_part() - seal the beginning of a record that has a header and a number already
 * @crypt: a workplace
 * @epoch: key, at the record; it stays there
 * @hdr: header and explicit nonce
 * @inner: bytes of the record between these and the tag
 * @len: how many of them to seal, from the first on. The tag is the record's if it is all of them.
 * @src: an entry for the additional data, not initialised; then the plaintext
 * @dst: the same; then room for @len bytes and a tag
 * @may_wait: may sleep. Without it the transform has to be a synchronous one.
 *
 * RFC 5246 6.2.3.3, RFC 8446 5.2.
 *
 * Context: any; nobody else uses @crypt.
 *
 * Return: 0 or the crypto layer's error.
 */
int tls_seal_part(struct tls_crypt *crypt, const struct tls_epoch *epoch, const u8 *hdr, u32 inner,
		  u32 len, struct scatterlist *src, struct scatterlist *dst, bool may_wait)
{
	set_iv(crypt, epoch, hdr);
	return run(crypt, epoch, crypto_aead_encrypt, may_wait ? MAY_WAIT : 0,
		   set_aad(crypt, epoch, hdr, inner), len, src, dst);
}

/**
 * tls_open() - open a record
 * @crypt: the connection's workplace
 * @epoch: key
 * @hdr: header and explicit nonce
 * @len: bytes of plaintext, the content type and padding of TLS 1.3 included
 * @src: an entry for the additional data, not initialised; then ciphertext and tag
 * @dst: the same; then room for the plaintext. May be @src.
 *
 * RFC 5246 6.2.3.3, RFC 8446 5.2.
 *
 * Context: process, may sleep; the socket is locked.
 *
 * Return: 0; -EBADMSG if the record is not authentic or there is no record number left; the crypto
 * layer's error.
 */
int tls_open(struct tls_crypt *crypt, struct tls_epoch *epoch, const u8 *hdr, u32 len,
	     struct scatterlist *src, struct scatterlist *dst)
{
	int err;

	if (epoch->exhausted)
		return -EBADMSG;
	set_iv(crypt, epoch, hdr);
	err = run(crypt, epoch, crypto_aead_decrypt, MAY_WAIT, set_aad(crypt, epoch, hdr, len),
		  len + TLS_TAG_SIZE, src, dst);
	if (!err)
		tls_epoch_next(epoch);
	return err;
}
