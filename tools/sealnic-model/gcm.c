// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The NIC's AES-GCM block, on intel-ipsec-mb.  Owns expanded keys: they live in
 * a direct-mapped cache that is kept out of core dumps and wiped entry by entry
 * or with the cache, and on the stack of one call for keys without a slot.
 */
#include <intel-ipsec-mb.h>
#include <string.h>
#include <sys/mman.h>

#include "gcm.h"

#define CACHED_KEYS	256

/* The firmware stores the library's state of a record for us */
static_assert(sizeof(struct gcm_context_data) <= sizeof(struct fw_gcm), "fw_gcm");
static_assert(_Alignof(struct gcm_context_data) <= _Alignof(struct fw_gcm), "fw_gcm");

/* The library's header aligns the type only where LINUX is defined */
struct expanded_key {
	_Alignas(64) struct gcm_key_data data;
	uint32_t slot;
	uint32_t len;		/* 0: nothing here */
};

struct gcm {
	struct expanded_key cache[CACHED_KEYS];
};

static IMB_MGR *mgr;		/* has no state in the direct interface used here */
static unsigned int mgr_users;

/**
 * gcm_new() - make a crypto block for a port
 *
 * Return: the block, or NULL.
 */
struct gcm *gcm_new(void)
{
	struct gcm *gcm;

	if (!mgr) {
		mgr = alloc_mb_mgr(0);
		if (!mgr)
			return NULL;
		init_mb_mgr_auto(mgr, NULL);
		if (imb_get_errno(mgr)) {
			free_mb_mgr(mgr);
			mgr = NULL;
			return NULL;
		}
	}

	gcm = mmap(NULL, sizeof(*gcm), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (gcm == MAP_FAILED)
		return NULL;
	madvise(gcm, sizeof(*gcm), MADV_DONTDUMP);
	mgr_users++;
	return gcm;
}

/**
 * gcm_free() - wipe a crypto block and free it
 * @gcm: the block, or NULL
 */
void gcm_free(struct gcm *gcm)
{
	if (!gcm)
		return;
	explicit_bzero(gcm, sizeof(*gcm));
	munmap(gcm, sizeof(*gcm));
	if (!--mgr_users) {
		free_mb_mgr(mgr);
		mgr = NULL;
	}
}

/**
 * gcm_implementation() - who computes AES-GCM here
 *
 * Return: the library's version.
 */
const char *gcm_implementation(void)
{
	return imb_get_version_str();
}

static void expand(struct expanded_key *exp, const struct fw_key *key)
{
	if (key->len == 32)
		IMB_AES256_GCM_PRE(mgr, key->bytes, &exp->data);
	else
		IMB_AES128_GCM_PRE(mgr, key->bytes, &exp->data);
	exp->slot = key->slot;
	exp->len = key->len;
}

/* The expanded form of @key: from the cache, or in @local if it has no slot */
static const struct expanded_key *key_get(struct gcm *gcm, const struct fw_key *key,
					  struct expanded_key *local)
{
	struct expanded_key *exp;

	if (key->slot == FW_KEY_NO_SLOT) {
		expand(local, key);
		return local;
	}
	exp = &gcm->cache[key->slot % CACHED_KEYS];
	if (exp->slot != key->slot || exp->len != key->len)
		expand(exp, key);
	return exp;
}

static void key_put(const struct expanded_key *exp, struct expanded_key *local)
{
	if (exp == local)
		explicit_bzero(local, sizeof(*local));
}

/**
 * gcm_start() - begin a record
 * @gcm: the crypto block
 * @state: the record's, filled in
 * @key: the key
 * @iv: the nonce
 * @aad: additional data
 * @aad_len: its bytes
 */
void gcm_start(struct gcm *gcm, struct fw_gcm *state, const struct fw_key *key,
	       const uint8_t iv[12], const uint8_t *aad, uint32_t aad_len)
{
	struct gcm_context_data *ctx = (struct gcm_context_data *)state->opaque;
	struct expanded_key local;
	const struct expanded_key *exp = key_get(gcm, key, &local);

	if (key->len == 32)
		IMB_AES256_GCM_INIT(mgr, &exp->data, ctx, iv, aad, aad_len);
	else
		IMB_AES128_GCM_INIT(mgr, &exp->data, ctx, iv, aad, aad_len);
	key_put(exp, &local);
}

static void update(struct gcm *gcm, struct fw_gcm *state, const struct fw_key *key, uint8_t *dst,
		   const uint8_t *src, uint32_t len, aes_gcm_enc_dec_update_t aes128,
		   aes_gcm_enc_dec_update_t aes256)
{
	struct gcm_context_data *ctx = (struct gcm_context_data *)state->opaque;
	struct expanded_key local;
	const struct expanded_key *exp;

	if (!len)
		return;
	exp = key_get(gcm, key, &local);
	(key->len == 32 ? aes256 : aes128)(&exp->data, ctx, dst, src, len);
	key_put(exp, &local);
}

/**
 * gcm_seal() - encrypt more bytes of a record
 * @gcm: the crypto block
 * @state: the record's
 * @key: the key
 * @dst: where the ciphertext goes; may be @src
 * @src: plaintext
 * @len: bytes
 */
void gcm_seal(struct gcm *gcm, struct fw_gcm *state, const struct fw_key *key,
	      uint8_t *dst, const uint8_t *src, uint32_t len)
{
	update(gcm, state, key, dst, src, len, mgr->gcm128_enc_update, mgr->gcm256_enc_update);
}

/**
 * gcm_open() - decrypt more bytes of a record
 * @gcm: the crypto block
 * @state: the record's
 * @key: the key
 * @dst: where the plaintext goes; may be @src
 * @src: ciphertext
 * @len: bytes
 */
void gcm_open(struct gcm *gcm, struct fw_gcm *state, const struct fw_key *key,
	      uint8_t *dst, const uint8_t *src, uint32_t len)
{
	update(gcm, state, key, dst, src, len, mgr->gcm128_dec_update, mgr->gcm256_dec_update);
}

/**
 * gcm_tag() - finish a record
 * @gcm: the crypto block
 * @state: the record's
 * @key: the key
 * @tag: the tag that it has, or has to have
 *
 * The library has two names for this, one for each direction, but the tag is one
 * function of the same state.
 */
void gcm_tag(struct gcm *gcm, struct fw_gcm *state, const struct fw_key *key, uint8_t tag[16])
{
	struct gcm_context_data *ctx = (struct gcm_context_data *)state->opaque;
	struct expanded_key local;
	const struct expanded_key *exp = key_get(gcm, key, &local);

	if (key->len == 32)
		IMB_AES256_GCM_ENC_FINALIZE(mgr, &exp->data, ctx, tag, 16);
	else
		IMB_AES128_GCM_ENC_FINALIZE(mgr, &exp->data, ctx, tag, 16);
	key_put(exp, &local);
}

/**
 * gcm_key_drop() - forget what is known of a key, and wipe it
 * @gcm: the crypto block
 * @slot: the key's, or FW_KEY_NO_SLOT
 */
void gcm_key_drop(struct gcm *gcm, uint32_t slot)
{
	struct expanded_key *exp = &gcm->cache[slot % CACHED_KEYS];

	if (slot != FW_KEY_NO_SLOT && exp->len && exp->slot == slot)
		explicit_bzero(exp, sizeof(*exp));
}
