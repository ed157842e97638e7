// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Connection contexts and the record walk: owns every key on the device.
 *
 * Records come cut into packets anywhere: plaintext ones with room for tags from
 * the host, protected ones from the wire.  The walk passes over these bytes
 * once, in stream order, and turns the one into the other (RFC 5246 6.2.3.3, RFC
 * 5288; RFC 8446 5.2).
 */
#include "port.h"

/**
 * fw_tls_get() - find a context
 * @fw: the port
 * @id: what the host calls it; untrusted
 *
 * hardware.rst, "Context ids".
 *
 * Return: the context, or NULL if there is none with this index and generation.
 */
struct fw_tls *fw_tls_get(struct fw *fw, uint32_t id)
{
	uint32_t i = FW_TLS_INDEX(id);

	if (!id || i >= fw->tls_used || fw->tls[i].id != id)
		return NULL;
	return &fw->tls[i];
}

/**
 * fw_tls_get_tx() - find a context to send with
 * @fw: the port
 * @id: what the host calls it; untrusted
 *
 * hardware.rst, "Context ids".
 *
 * Return: the context; NULL if there is none, or one to receive.
 */
struct fw_tls *fw_tls_get_tx(struct fw *fw, uint32_t id)
{
	struct fw_tls *tls = fw_tls_get(fw, id);

	return tls && !tls->rx ? tls : NULL;
}

static struct fw_key tls_key(const struct fw_tls *tls)
{
	return (struct fw_key){
		.bytes = tls->key,
		.len = tls->key_len,
		.slot = FW_TLS_INDEX(tls->id),
	};
}

/**
 * fw_tls_add() - the command TLS_ADD: make a context
 * @fw: the port
 * @cmd: the command, a copy of the host's
 * @id: set to what the host shall call it
 *
 * hardware.rst, "TLS_ADD (16)" and "Context ids".
 *
 * Return: the status of the answer.
 */
enum sealnic_status fw_tls_add(struct fw *fw, const struct sealnic_cmd *cmd, uint32_t *id)
{
	uint16_t version = fw_le16(cmd->tls_add.version);
	enum sealnic_status status;
	struct fw_tls *tls;
	uint32_t i, gen;

	if (cmd->tls_add.direction > SEALNIC_TLS_RX)
		return SEALNIC_NOT_SUPPORTED;
	if (!(version == 0x0303 && (fw->features & SEALNIC_F_TLS_12)) &&
	    !(version == 0x0304 && (fw->features & SEALNIC_F_TLS_13)))
		return SEALNIC_NOT_SUPPORTED;
	if (cmd->tls_add.cipher != SEALNIC_AES128_GCM &&
	    cmd->tls_add.cipher != SEALNIC_AES256_GCM)
		return SEALNIC_NOT_SUPPORTED;
	if (cmd->tls_add.direction == SEALNIC_TLS_RX) {
		status = fw_tls_rx_check(fw, cmd);
		if (status != SEALNIC_OK)
			return status;
	}

	if (fw->tls_refuse) {
		fw->tls_refuse--;
		return SEALNIC_NO_RESOURCE;
	}
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
	tls->tls13 = version == 0x0304;
	tls->key_len = cmd->tls_add.cipher == SEALNIC_AES128_GCM ? 16 : 32;
	memcpy(tls->key, cmd->tls_add.key, tls->key_len);
	memcpy(tls->iv, cmd->tls_add.iv, sizeof(tls->iv));
	tls->tcp_seq = fw_le32(cmd->tls_add.tcp_seq);
	tls->rec_no = fw_le64(cmd->tls_add.rec_no);
	tls->state = SEALNIC_TLS_IN_SYNC;
	if (cmd->tls_add.direction == SEALNIC_TLS_RX)
		fw_tls_rx_add(fw, tls, cmd);
	fw->n.tls_ctx++;
	*id = tls->id;
	return SEALNIC_OK;
}

/**
 * fw_tls_refuse() - make no context though there is room
 * @fw: the port
 * @contexts: how many of those that are asked for from now on
 */
void fw_tls_refuse(struct fw *fw, uint32_t contexts)
{
	fw->tls_refuse = contexts;
}

/**
 * fw_tls_del() - the command TLS_DEL: wipe a context
 * @fw: the port
 * @id: what the host calls it; untrusted
 * @ev: the answer, in which it is told how far a receive context has opened; or
 *	NULL
 *
 * hardware.rst, "TLS_DEL (17)".
 *
 * Return: the status of the answer.
 */
enum sealnic_status fw_tls_del(struct fw *fw, uint32_t id, struct sealnic_event *ev)
{
	struct fw_tls *tls = fw_tls_get(fw, id);
	uint32_t i = FW_TLS_INDEX(id);

	if (!tls)
		return SEALNIC_BAD_STATE;
	if (ev)
		ev->tls_del.opened_end = fw_le32(tls->opened_seq);
	if (tls->rx)
		fw_tls_rx_del(fw, tls);
	fw->plat->key_drop(fw->priv, i);
	fw_wipe(tls, sizeof(*tls));
	tls->gen = id / SEALNIC_MAX_TLS_CTX;
	tls->next_free = fw->tls_free;
	fw->tls_free = i + 1;
	fw->n.tls_ctx--;
	return SEALNIC_OK;
}

/**
 * fw_tls_wipe_all() - wipe all contexts
 * @fw: the port
 *
 * hardware.rst, "RESET".
 */
void fw_tls_wipe_all(struct fw *fw)
{
	for (uint32_t i = 0; i < fw->tls_used; i++) {
		if (fw->tls[i].id)
			fw_tls_del(fw, fw->tls[i].id, NULL);
	}
}

/**
 * fw_tls_query() - the command TLS_QUERY: where is a context in its stream?
 * @fw: the port
 * @id: what the host calls it; untrusted
 * @ev: the answer
 *
 * hardware.rst, "TLS_QUERY (18)".
 *
 * Return: the status of the answer.
 */
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

/**
 * fw_tls_sync() - the descriptor TLS_SYNC: a record begins here
 * @fw: the port
 * @tls: a context to send with
 * @tcp_seq: TCP sequence number of the record's first byte
 * @rec_no: the record's number
 *
 * hardware.rst, "TLS_SYNC and TLS_REPLAY".
 */
void fw_tls_sync(struct fw *fw, struct fw_tls *tls, uint32_t tcp_seq, uint64_t rec_no)
{
	tls->tcp_seq = tcp_seq;
	tls->rec_no = rec_no;
	tls->rec_pos = 0;
	tls->state = SEALNIC_TLS_IN_SYNC;
	tls->told = 0;
	fw->n.tls_tx_sync++;
}

/**
 * fw_tls_lost() - seal nothing more with a context until the host has synchronised it
 * @fw: the port
 * @tls: a context to send with
 *
 * hardware.rst, "Loss of synchronisation".
 */
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

/* Bytes in front of a record's ciphertext: only TLS 1.2 has an explicit nonce */
static uint32_t tls_prefix(const struct fw_tls *tls)
{
	return FW_TLS_HDR + (tls->tls13 ? 0 : FW_TLS12_NONCE);
}

/**
 * fw_tls_header() - could this be the header of a record of a context's?
 * @tls: the context
 * @hdr: the five bytes
 * @rec_len: set to the record's bytes, header included, if it is
 *
 * Its length covers all that follows: explicit nonce, payload, tag (RFC 5288 3),
 * or payload, content type, tag (RFC 8446 5.2).
 *
 * hardware.rst, "Order, and what is checked" and "Events of a context".
 *
 * Return: true if it could be one.
 */
bool fw_tls_header(const struct fw_tls *tls, const uint8_t hdr[FW_TLS_HDR], uint32_t *rec_len)
{
	uint32_t len = fw_get_be16(hdr + 3);
	uint32_t overhead = FW_TLS_TAG + (tls->tls13 ? FW_TLS13_TYPE : FW_TLS12_NONCE);

	if (fw_get_be16(hdr + 1) != 0x0303 || len < overhead || len > overhead + FW_TLS_MAX_PLAIN)
		return false;
	if (tls->tls13 && hdr[0] != FW_TLS_APP_DATA)
		return false;
	/* what the host sends as TLS 1.2 is its own business */
	if (tls->rx && (hdr[0] < FW_TLS_MIN_TYPE || hdr[0] > FW_TLS_APP_DATA))
		return false;
	*rec_len = FW_TLS_HDR + len;
	return true;
}

/* Header and explicit nonce are complete: the record's nonce and AAD */
static void tls_start(struct fw *fw, struct fw_tls *tls, const struct fw_key *key)
{
	uint8_t number[8], nonce[12], aad[13];

	fw_put_be32(number, (uint32_t)(tls->rec_no >> 32));
	fw_put_be32(number + 4, (uint32_t)tls->rec_no);
	tls->torn = false;
	tls->type = tls->tls13 ? 0 : tls->hdr[0];
	memcpy(nonce, tls->iv, sizeof(nonce));
	if (tls->tls13) {
		for (int i = 0; i < 8; i++)
			nonce[4 + i] ^= number[i];
		fw->plat->gcm_start(fw->priv, &tls->gcm, key, nonce, tls->hdr, FW_TLS_HDR);
		return;
	}
	memcpy(nonce + 4, tls->hdr + FW_TLS_HDR, FW_TLS12_NONCE);
	memcpy(aad, number, 8);
	memcpy(aad + 8, tls->hdr, 3);
	fw_put_be16(aad + 11, (uint16_t)(tls->rec_len - tls_prefix(tls) - FW_TLS_TAG));
	fw->plat->gcm_start(fw->priv, &tls->gcm, key, nonce, aad, sizeof(aad));
}

/* Ciphertext of the record, or plaintext to become it */
static void tls_payload(struct fw *fw, struct fw_tls *tls, const struct fw_key *key,
			uint8_t *dst, const uint8_t *src, uint32_t len)
{
	if (!tls->rx) {
		fw->plat->gcm_seal(fw->priv, &tls->gcm, key, dst, src, len);
		return;
	}
	fw->plat->gcm_open(fw->priv, &tls->gcm, key, dst, src, len);
	if (!tls->tls13)
		return;
	/* RFC 8446 5.4: the last byte that is not zero */
	while (len && !dst[len - 1])
		len--;
	if (len)
		tls->type = dst[len - 1];
}

/* All payload has passed: the tag that the record gets, or has to have */
static void tls_expect_tag(struct fw *fw, struct fw_tls *tls, const struct fw_key *key)
{
	fw->plat->gcm_tag(fw->priv, &tls->gcm, key, tls->tag);
	tls->diff = 0;
	if (tls->rx && fw->tls_spoil) {
		fw->tls_spoil--;
		tls->diff = 1;
	}
}

/* @len bytes of the record's tag, from its byte @pos on */
static void tls_tag(struct fw_tls *tls, uint8_t *dst, const uint8_t *src, uint32_t pos,
		    uint32_t len)
{
	if (!tls->rx) {
		memcpy(dst, tls->tag + pos, len);
		return;
	}
	/* no early end: how far a forged tag is right is nobody's business */
	for (uint32_t i = 0; i < len; i++) {
		dst[i] = src[i];
		tls->diff |= src[i] ^ tls->tag[pos + i];
	}
}

/*
 * The record's last byte has passed.  False if a received record shows that we
 * are not where we thought, or have not the key.
 */
static bool tls_end(struct fw *fw, struct fw_tls *tls)
{
	bool doubted = tls->doubt;

	tls->rec_pos = 0;
	tls->rec_no++;
	if (!tls->rx)
		return true;
	if (tls->torn) {
		/*
		 * Software will judge it.  If its type is not what we have seen, it is
		 * forged, and nobody reads what is behind it.
		 */
		tls->diff = 0;
		tls->doubt |= tls->type != FW_TLS_APP_DATA;
	} else if (tls->diff) {
		fw->n.tls_rx_auth_bad++;
		tls->bad = true;
		tls->doubt = true;
	} else {
		/*
		 * What is not application data may have been the last record with
		 * this key.
		 */
		tls->doubt = tls->type != FW_TLS_APP_DATA;
	}
	tls->pass = tls->doubt;
	return !(doubted && tls->diff);
}

/**
 * fw_tls_walk() - pass over the next bytes of a stream, and seal or open them
 * @fw: the port
 * @tls: the stream's context, IN_SYNC
 * @dst: where they go; on a replay a scratch area
 * @src: the bytes; the host may be changing what it sends
 * @len: how many, in @src and in @dst
 *
 * hardware.rst, "Nonce and additional data"; "In order".
 *
 * Return: false if they are not the records that they should be: the caller makes
 * the context LOST then.
 */
bool fw_tls_walk(struct fw *fw, struct fw_tls *tls, uint8_t *dst, const uint8_t *src,
		 uint32_t len)
{
	const struct fw_key key = tls_key(tls);
	uint32_t prefix = tls_prefix(tls), n, tag_pos;

	tls->tcp_seq += len;
	while (len) {
		if (tls->rec_pos < prefix) {
			/* stop behind the length: it decides about the rest */
			n = (tls->rec_pos < FW_TLS_HDR ? FW_TLS_HDR : prefix) - tls->rec_pos;
			if (n > len)
				n = len;
			fw_fetch(tls->hdr + tls->rec_pos, src, n);
			memcpy(dst, tls->hdr + tls->rec_pos, n);
			tls->rec_pos += n;
			/* RFC 5246 6.1, RFC 8446 5.3: sequence numbers do not wrap */
			if (tls->rec_pos == FW_TLS_HDR &&
			    (tls->rec_no == UINT64_MAX ||
			     !fw_tls_header(tls, tls->hdr, &tls->rec_len)))
				return false;
			if (tls->rec_pos == prefix)
				tls_start(fw, tls, &key);
		} else if (tls->rec_pos < tls->rec_len - FW_TLS_TAG) {
			n = tls->rec_len - FW_TLS_TAG - tls->rec_pos;
			if (n > len)
				n = len;
			tls_payload(fw, tls, &key, dst, src, n);
			tls->rec_pos += n;
		} else {
			tag_pos = tls->rec_pos - (tls->rec_len - FW_TLS_TAG);
			if (!tag_pos && !tls->torn)
				tls_expect_tag(fw, tls, &key);
			n = FW_TLS_TAG - tag_pos;
			if (n > len)
				n = len;
			tls_tag(tls, dst, src, tag_pos, n);
			tls->rec_pos += n;
			if (tls->rec_pos == tls->rec_len && !tls_end(fw, tls))
				return false;
		}
		dst += n;
		src += n;
		len -= n;
	}
	return true;
}

/**
 * fw_tls_skip() - bytes of a received stream are missing: go on behind them
 * @fw: the port
 * @tls: a receive context, IN_SYNC, and not within a record's header
 * @len: how many bytes, from the one that is expected next
 *
 * That is possible if all of them are the present record's, and its nonce is known:
 * it will have no tag, but the keystream for what is left of it depends on the
 * place only.
 *
 * hardware.rst, "Events of a context".
 *
 * Return: false if it is not possible; the context is where the next record begins
 * then.
 */
bool fw_tls_skip(struct fw *fw, struct fw_tls *tls, uint32_t len)
{
	const struct fw_key key = tls_key(tls);
	uint32_t left = tls->rec_pos ? tls->rec_len - tls->rec_pos : 0, payload, n;

	if (len > left || tls->rec_pos < tls_prefix(tls)) {
		tls->tcp_seq += left;
		tls->rec_no += !!left;
		tls->rec_pos = 0;
		return false;
	}
	payload = left > FW_TLS_TAG ? left - FW_TLS_TAG : 0;
	if (payload > len)
		payload = len;
	/* of TLS 1.3 it may have had the content type */
	if (payload && tls->tls13)
		tls->type = 0;
	/* the crypto block cannot seek: it gets anything in their place */
	for (; payload; payload -= n) {
		n = payload < sizeof(fw->rx_stage) ? payload : sizeof(fw->rx_stage);
		fw->plat->gcm_open(fw->priv, &tls->gcm, &key, fw->rx_stage, fw->rx_stage, n);
	}
	tls->torn = true;
	tls->pass = true;
	tls->tcp_seq += len;
	tls->rec_pos += len;
	if (tls->rec_pos == tls->rec_len)
		tls_end(fw, tls);
	return true;
}
