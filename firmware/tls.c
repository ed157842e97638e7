// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Connection contexts and the record walk: owns every key on the device.
 *
 * The host sends plaintext records with headers and room for tags, cut into
 * packets anywhere.  The walk passes over these bytes once, in stream order,
 * and turns them into protected records (RFC 5246 6.2.3.3, RFC 5288).
 */
#include "port.h"

struct fw_tls *fw_tls_get(struct fw *fw, uint32_t id)
{
	uint32_t i = FW_TLS_INDEX(id);

	if (!id || i >= fw->tls_used || fw->tls[i].id != id)
		return NULL;
	return &fw->tls[i];
}

static struct fw_key tls_key(const struct fw_tls *tls)
{
	return (struct fw_key){
		.bytes = tls->key,
		.len = tls->key_len,
		.slot = FW_TLS_INDEX(tls->id),
	};
}

enum sealnic_status fw_tls_add(struct fw *fw, const struct sealnic_cmd *cmd, uint32_t *id)
{
	struct fw_tls *tls;
	uint32_t i, gen;

	if (cmd->tls_add.direction != SEALNIC_TLS_TX || fw_le16(cmd->tls_add.version) != 0x0303)
		return SEALNIC_NOT_SUPPORTED;
	if (cmd->tls_add.cipher != SEALNIC_AES128_GCM &&
	    cmd->tls_add.cipher != SEALNIC_AES256_GCM)
		return SEALNIC_NOT_SUPPORTED;

	if (fw->tls_free) {
		i = fw->tls_free - 1;
		fw->tls_free = fw->tls[i].next_free;
		gen = fw->tls[i].gen + 1;
	} else if (fw->tls_used < fw->max_tls) {
		i = fw->tls_used++;
		gen = 1;
	} else {
		return SEALNIC_NO_RESOURCE;
	}

	/* generations wrap in the id's upper bits and skip 0: no id is 0 */
	gen &= UINT32_MAX / SEALNIC_MAX_TLS_CTX;
	if (!gen)
		gen = 1;

	tls = &fw->tls[i];
	memset(tls, 0, sizeof(*tls));
	tls->gen = gen;
	tls->id = gen * SEALNIC_MAX_TLS_CTX + i;
	tls->key_len = cmd->tls_add.cipher == SEALNIC_AES128_GCM ? 16 : 32;
	memcpy(tls->key, cmd->tls_add.key, tls->key_len);
	memcpy(tls->iv, cmd->tls_add.iv, sizeof(tls->iv));
	tls->tcp_seq = fw_le32(cmd->tls_add.tcp_seq);
	tls->rec_no = fw_le64(cmd->tls_add.rec_no);
	tls->state = SEALNIC_TLS_IN_SYNC;
	fw->n.tls_ctx++;
	*id = tls->id;
	return SEALNIC_OK;
}

enum sealnic_status fw_tls_del(struct fw *fw, uint32_t id)
{
	struct fw_tls *tls = fw_tls_get(fw, id);
	uint32_t i = FW_TLS_INDEX(id);

	if (!tls)
		return SEALNIC_BAD_STATE;
	fw->plat->key_drop(fw->priv, i);
	fw_wipe(tls, sizeof(*tls));
	tls->gen = id / SEALNIC_MAX_TLS_CTX;
	tls->next_free = fw->tls_free;
	fw->tls_free = i + 1;
	fw->n.tls_ctx--;
	return SEALNIC_OK;
}

void fw_tls_wipe_all(struct fw *fw)
{
	for (uint32_t i = 0; i < fw->tls_used; i++) {
		if (fw->tls[i].id)
			fw_tls_del(fw, fw->tls[i].id);
	}
}

enum sealnic_status fw_tls_query(struct fw *fw, uint32_t id, struct sealnic_event *ev)
{
	const struct fw_tls *tls = fw_tls_get(fw, id);

	if (!tls)
		return SEALNIC_BAD_STATE;
	ev->tls_query.state = fw_le32(tls->state);
	ev->tls_query.tcp_seq = fw_le32(tls->tcp_seq);
	ev->tls_query.rec_no = fw_le64(tls->rec_no);
	ev->tls_query.rec_pos = fw_le32(tls->rec_pos);
	return SEALNIC_OK;
}

/* The byte at @tcp_seq is the first of record @rec_no */
void fw_tls_sync(struct fw *fw, struct fw_tls *tls, uint32_t tcp_seq, uint64_t rec_no)
{
	tls->tcp_seq = tcp_seq;
	tls->rec_no = rec_no;
	tls->rec_pos = 0;
	tls->state = SEALNIC_TLS_IN_SYNC;
	tls->told = 0;
	fw->n.tls_tx_sync++;
}

/* Seal nothing more with this context until the host has synchronised it */
void fw_tls_lost(struct fw *fw, struct fw_tls *tls)
{
	struct sealnic_event ev = { .type = SEALNIC_EV_TLS_LOST };

	tls->state = SEALNIC_TLS_LOST;
	if (tls->told)
		return;
	ev.tls_ctx.id = fw_le32(tls->id);
	/* a full ring: told with the next packet that is dropped */
	tls->told = fw_event(fw, &ev);
}

/*
 * The header is complete: is this a record that we can seal?  The length
 * covers explicit nonce, payload and tag (RFC 5288 3).
 */
static bool tls_header(struct fw_tls *tls)
{
	uint32_t len = fw_get_be16(tls->hdr + 3);

	if (fw_get_be16(tls->hdr + 1) != 0x0303 || len < FW_TLS12_NONCE + FW_TLS_TAG ||
	    len > FW_TLS12_NONCE + FW_TLS_MAX_PLAIN + FW_TLS_TAG)
		return false;
	/* RFC 5246 6.1: sequence numbers do not wrap */
	if (tls->rec_no == UINT64_MAX)
		return false;
	tls->rec_len = FW_TLS_HDR + len;
	return true;
}

/* Header and explicit nonce are complete: the record's nonce and AAD */
static void tls_start(struct fw *fw, struct fw_tls *tls, const struct fw_key *key)
{
	uint32_t plain = tls->rec_len - sizeof(tls->hdr) - FW_TLS_TAG;
	uint8_t nonce[12], aad[13];

	memcpy(nonce, tls->iv, 4);
	memcpy(nonce + 4, tls->hdr + FW_TLS_HDR, FW_TLS12_NONCE);
	fw_put_be32(aad, (uint32_t)(tls->rec_no >> 32));
	fw_put_be32(aad + 4, (uint32_t)tls->rec_no);
	memcpy(aad + 8, tls->hdr, 3);
	fw_put_be16(aad + 11, (uint16_t)plain);
	fw->plat->gcm_start(fw->priv, &tls->gcm, key, nonce, aad, sizeof(aad));
}

/*
 * Pass over the next @len bytes of the stream: plaintext at @src becomes
 * ciphertext at @dst.  On a replay @dst is a scratch area of @len bytes.
 * False if the bytes are not records; the context is useless then.
 */
bool fw_tls_walk(struct fw *fw, struct fw_tls *tls, uint8_t *dst, const uint8_t *src,
		 uint32_t len)
{
	const struct fw_key key = tls_key(tls);
	uint32_t n, tag_pos;

	tls->tcp_seq += len;
	while (len) {
		if (tls->rec_pos < sizeof(tls->hdr)) {
			/* stop behind the length: it decides about the rest */
			n = (tls->rec_pos < FW_TLS_HDR ? FW_TLS_HDR : sizeof(tls->hdr)) -
			    tls->rec_pos;
			if (n > len)
				n = len;
			fw_fetch(tls->hdr + tls->rec_pos, src, n);
			memcpy(dst, tls->hdr + tls->rec_pos, n);
			tls->rec_pos += n;
			if (tls->rec_pos == FW_TLS_HDR && !tls_header(tls))
				return false;
			if (tls->rec_pos == sizeof(tls->hdr))
				tls_start(fw, tls, &key);
		} else if (tls->rec_pos < tls->rec_len - FW_TLS_TAG) {
			n = tls->rec_len - FW_TLS_TAG - tls->rec_pos;
			if (n > len)
				n = len;
			fw->plat->gcm_seal(fw->priv, &tls->gcm, &key, dst, src, n);
			tls->rec_pos += n;
		} else {
			tag_pos = tls->rec_pos - (tls->rec_len - FW_TLS_TAG);
			if (!tag_pos)
				fw->plat->gcm_tag(fw->priv, &tls->gcm, &key, tls->tag);
			n = FW_TLS_TAG - tag_pos;
			if (n > len)
				n = len;
			memcpy(dst, tls->tag + tag_pos, n);
			tls->rec_pos += n;
			if (tls->rec_pos == tls->rec_len) {
				tls->rec_pos = 0;
				tls->rec_no++;
			}
		}
		dst += n;
		src += n;
		len -= n;
	}
	return true;
}
