// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The command and event rings: takes commands in order, answers each by an
 * event.  A bad command is answered with its status and changes nothing.
 */
#include "port.h"

/* Commands of one turn: a host that never stops must not hold up the others */
#define COMMAND_BUDGET	64

static bool event_room(const struct fw *fw)
{
	return fw->event_prod - fw_load32(&fw->seg->event_cons) <= fw->event_mask;
}

/**
 * fw_event() - post an event
 * @fw: the port
 * @ev: the event; its phase is filled in
 *
 * A ring that is no longer host memory stops the port.
 *
 * hardware.rst, "Taking events" and "A full event ring".
 *
 * Return: false if the ring is full or there is none.
 */
bool fw_event(struct fw *fw, struct sealnic_event *ev)
{
	struct sealnic_event *out;
	uint64_t word;

	if (fw->state == SEALNIC_STATE_RESET || !event_room(fw))
		return false;
	out = fw->plat->dma(fw->priv, fw->event_base +
			    (uint64_t)(fw->event_prod & fw->event_mask) * sizeof(*out),
			    sizeof(*out));
	if (!out) {
		/* nobody can be answered any more */
		if (fw->state == SEALNIC_STATE_RUN)
			fw_count_error(fw, &fw->n.err_addr);
		fw_fault(fw, SEALNIC_SYN_BAD_ADDR);
		return false;
	}
	ev->ctl = fw->event_prod & (fw->event_mask + 1) ? 0 : SEALNIC_EV_PHASE;
	memcpy((uint8_t *)out + 8, (uint8_t *)ev + 8, sizeof(*ev) - 8);
	memcpy(&word, ev, 8);
	__atomic_store_n((uint64_t *)out, word, __ATOMIC_RELEASE);
	fw->event_prod++;
	fw->event_irq = true;
	return true;
}

/* The command's buffer, if it is of the right length and in host memory */
static void *buffer(struct fw *fw, const struct sealnic_cmd *cmd, uint32_t len,
		    enum sealnic_status *status)
{
	void *p;

	if (fw_le32(cmd->data_len) != len) {
		*status = SEALNIC_BAD_PARAM;
		return NULL;
	}
	p = fw->plat->dma(fw->priv, fw_le64(cmd->data_addr), len);
	*status = p ? SEALNIC_OK : SEALNIC_BAD_ADDR;
	return p;
}

static enum sealnic_status set_port(struct fw *fw, const struct sealnic_cmd *cmd)
{
	uint32_t mtu = fw_le16(cmd->port.mtu), flags = fw_le32(cmd->port.flags);

	if (mtu < SEALNIC_MIN_MTU || mtu > SEALNIC_MAX_MTU || (cmd->port.mac[0] & 1) ||
	    flags >= SEALNIC_PORT_PAUSE << 1)
		return SEALNIC_BAD_PARAM;
	fw->mtu = mtu;
	fw->port_flags = flags;
	memcpy(fw->mac, cmd->port.mac, 6);
	/* fw_run() tells of the link: the room that is left is for the answer */
	return SEALNIC_OK;
}

static enum sealnic_status set_rx_mode(struct fw *fw, const struct sealnic_cmd *cmd)
{
	uint32_t uc = fw_le16(cmd->rx_mode.uc_count), mc = fw_le16(cmd->rx_mode.mc_count);
	uint32_t flags = fw_le32(cmd->rx_mode.flags);
	enum sealnic_status status;
	const void *list;

	if (uc > SEALNIC_MAX_UC || mc > SEALNIC_MAX_MC || flags >= SEALNIC_RX_BROADCAST << 1)
		return SEALNIC_BAD_PARAM;
	if (uc + mc) {
		list = buffer(fw, cmd, (uc + mc) * (uint32_t)sizeof(fw->filter[0]), &status);
		if (!list)
			return status;
		fw_fetch(fw->filter, list, (uc + mc) * (uint32_t)sizeof(fw->filter[0]));
	}
	fw->uc_count = uc;
	fw->mc_count = mc;
	fw->rx_flags = flags;
	return SEALNIC_OK;
}

static enum sealnic_status set_rss(struct fw *fw, const struct sealnic_cmd *cmd)
{
	enum sealnic_status status;
	struct sealnic_rss rss;
	const void *src = buffer(fw, cmd, sizeof(rss), &status);

	if (!src)
		return status;
	fw_fetch(&rss, src, sizeof(rss));
	for (uint32_t i = 0; i < SEALNIC_RSS_TABLE; i++) {
		if (rss.table[i] >= fw->n_qp)
			return SEALNIC_BAD_PARAM;
	}
	if (fw_le32(rss.hash_types) >= SEALNIC_HASH_IPV6_UDP << 1)
		return SEALNIC_BAD_PARAM;
	fw->rss = rss;
	return SEALNIC_OK;
}

static bool good_log2(uint32_t log2)
{
	return log2 < 16 && 1u << log2 >= SEALNIC_MIN_RING && 1u << log2 <= SEALNIC_MAX_RING;
}

static enum sealnic_status create_qp(struct fw *fw, const struct sealnic_cmd *cmd)
{
	uint32_t n = fw_le16(cmd->create_qp.qp), vector = fw_le16(cmd->create_qp.vector);
	struct fw_qp qp = { .active = true }, *slot;

	if (n >= fw->n_qp || vector > fw->n_qp || !good_log2(cmd->create_qp.tx_log2) ||
	    !good_log2(cmd->create_qp.rx_log2))
		return SEALNIC_BAD_PARAM;
	slot = &fw->qp[n];
	if (slot->active)
		return SEALNIC_BAD_STATE;

	qp.vector = (uint16_t)vector;
	qp.tx_mask = (1u << cmd->create_qp.tx_log2) - 1;
	qp.rx_mask = (1u << cmd->create_qp.rx_log2) - 1;
	qp.tx_base = fw_le64(cmd->create_qp.tx_base);
	qp.rx_base = fw_le64(cmd->create_qp.rx_base);
	qp.rxc_base = fw_le64(cmd->create_qp.rxc_base);
	qp.status_base = fw_le64(cmd->create_qp.status_base);
	if ((qp.tx_base | qp.rx_base | qp.rxc_base | qp.status_base) % 64)
		return SEALNIC_BAD_PARAM;
	if (!fw->plat->dma(fw->priv, qp.tx_base, (qp.tx_mask + 1) * (uint32_t)sizeof(struct sealnic_txd)) ||
	    !fw->plat->dma(fw->priv, qp.rx_base, (qp.rx_mask + 1) * (uint32_t)sizeof(struct sealnic_rxd)) ||
	    !fw->plat->dma(fw->priv, qp.rxc_base, (qp.rx_mask + 1) * (uint32_t)sizeof(struct sealnic_rxc)) ||
	    !fw->plat->dma(fw->priv, qp.status_base, sizeof(struct sealnic_qp_status)))
		return SEALNIC_BAD_ADDR;
	qp.arm_served = fw_load32(&fw->db[n].arm);
	*slot = qp;
	fw->kicked |= 1ull << n;
	return SEALNIC_OK;
}

static enum sealnic_status destroy_qp(struct fw *fw, const struct sealnic_cmd *cmd)
{
	uint32_t n = fw_le16(cmd->qp.qp);

	if (n >= fw->n_qp || !fw->qp[n].active)
		return SEALNIC_BAD_STATE;
	fw->qp[n] = (struct fw_qp){ 0 };
	fw->kicked &= ~(1ull << n);
	fw->posted &= ~(1ull << n);
	return SEALNIC_OK;
}

static enum sealnic_status coalesce(struct fw *fw, const struct sealnic_cmd *cmd)
{
	uint32_t n = fw_le16(cmd->coalesce.qp);
	struct fw_qp *qp;

	if (n >= fw->n_qp || !fw->qp[n].active)
		return SEALNIC_BAD_STATE;
	if (fw_le32(cmd->coalesce.rx_usecs) > 1000000 || fw_le32(cmd->coalesce.tx_usecs) > 1000000)
		return SEALNIC_BAD_PARAM;
	qp = &fw->qp[n];
	qp->rx_mod.usecs = fw_le32(cmd->coalesce.rx_usecs);
	qp->rx_mod.frames = fw_le32(cmd->coalesce.rx_frames);
	qp->tx_mod.usecs = fw_le32(cmd->coalesce.tx_usecs);
	qp->tx_mod.frames = fw_le32(cmd->coalesce.tx_frames);
	return SEALNIC_OK;
}

static enum sealnic_status stats(struct fw *fw, const struct sealnic_cmd *cmd)
{
	uint32_t len = fw_le32(cmd->data_len);
	enum sealnic_status status;
	struct sealnic_stats s;
	void *dst;

	/* an older or newer driver knows fewer or more counters */
	if (len % 8 || len > SEALNIC_MAX_STATS)
		return SEALNIC_BAD_PARAM;
	dst = buffer(fw, cmd, len, &status);
	if (!dst)
		return status;
	fw_get_stats(fw, &s);
	if (len > sizeof(s)) {
		memset((uint8_t *)dst + sizeof(s), 0, len - sizeof(s));
		len = sizeof(s);
	}
	memcpy(dst, &s, len);
	return SEALNIC_OK;
}

static enum sealnic_status dma_test(struct fw *fw, const struct sealnic_cmd *cmd)
{
	uint32_t len = fw_le32(cmd->data_len);
	enum sealnic_status status;
	const void *src;
	void *dst;

	if (!len || len > SEALNIC_MAX_TSO)
		return SEALNIC_BAD_PARAM;
	src = buffer(fw, cmd, len, &status);
	dst = fw->plat->dma(fw->priv, fw_le64(cmd->dma_test.dst), len);
	if (!src || !dst)
		return SEALNIC_BAD_ADDR;
	/* through device memory: the two may overlap */
	memcpy(fw->stage, src, len);
	memcpy(dst, fw->stage, len);
	return SEALNIC_OK;
}

static enum sealnic_status gcm_test(struct fw *fw, const struct sealnic_cmd *cmd)
{
	enum sealnic_status status = SEALNIC_OK;
	struct sealnic_gcm_test t;
	void *mem = buffer(fw, cmd, sizeof(t), &status);
	struct fw_key key = { .slot = FW_KEY_NO_SLOT };
	struct fw_gcm gcm;

	if (!mem)
		return status;
	fw_fetch(&t, mem, sizeof(t));
	if ((t.cipher != SEALNIC_AES128_GCM && t.cipher != SEALNIC_AES256_GCM) ||
	    t.aad_len > sizeof(t.aad) || fw_le16(t.data_len) > sizeof(t.data)) {
		status = SEALNIC_BAD_PARAM;
		goto out;
	}
	key.bytes = t.key;
	key.len = t.cipher == SEALNIC_AES128_GCM ? 16 : 32;
	fw->plat->gcm_start(fw->priv, &gcm, &key, t.iv, t.aad, t.aad_len);
	if (fw_le16(t.data_len))
		fw->plat->gcm_seal(fw->priv, &gcm, &key, t.data, t.data, fw_le16(t.data_len));
	fw->plat->gcm_tag(fw->priv, &gcm, &key, t.tag);
	memcpy(mem, &t, sizeof(t));
	fw_wipe(&gcm, sizeof(gcm));
out:
	fw_wipe(&t, sizeof(t));
	return status;
}

static enum sealnic_status obey(struct fw *fw, const struct sealnic_cmd *cmd,
				struct sealnic_event *ev)
{
	enum sealnic_status status;
	uint32_t id = 0;

	switch (fw_le16(cmd->opcode)) {
	case SEALNIC_CMD_ECHO:
		memcpy(ev->echo, cmd->echo, sizeof(ev->echo));
		return SEALNIC_OK;
	case SEALNIC_CMD_SET_PORT:
		return set_port(fw, cmd);
	case SEALNIC_CMD_SET_RX_MODE:
		return set_rx_mode(fw, cmd);
	case SEALNIC_CMD_SET_RSS:
		return set_rss(fw, cmd);
	case SEALNIC_CMD_CREATE_QP:
		return create_qp(fw, cmd);
	case SEALNIC_CMD_DESTROY_QP:
		return destroy_qp(fw, cmd);
	case SEALNIC_CMD_COALESCE:
		return coalesce(fw, cmd);
	case SEALNIC_CMD_STATS:
		return stats(fw, cmd);
	case SEALNIC_CMD_DMA_TEST:
		return dma_test(fw, cmd);
	case SEALNIC_CMD_GCM_TEST:
		return gcm_test(fw, cmd);
	case SEALNIC_CMD_TLS_ADD:
		status = fw_tls_add(fw, cmd, &id);
		ev->tls_ctx.id = fw_le32(id);
		return status;
	case SEALNIC_CMD_TLS_DEL:
		return fw_tls_del(fw, fw_le32(cmd->tls_ctx.id), ev);
	case SEALNIC_CMD_TLS_QUERY:
		return fw_tls_query(fw, fw_le32(cmd->tls_ctx.id), ev);
	case SEALNIC_CMD_TLS_SYNC:
		return fw_tls_rx_sync(fw, cmd);
	default:
		return SEALNIC_BAD_OPCODE;
	}
}

/**
 * fw_command_run() - take the commands that are there and that there is room to answer
 * @fw: the port
 *
 * hardware.rst, "Posting a command".
 *
 * Return: true if there are more than one turn is for.
 */
bool fw_command_run(struct fw *fw)
{
	uint32_t budget = COMMAND_BUDGET;
	enum sealnic_status status;
	struct sealnic_cmd cmd;
	const void *src;
	uint32_t avail;

	while (fw->state == SEALNIC_STATE_RUN && event_room(fw) && budget--) {
		struct sealnic_event ev = { .type = SEALNIC_EV_CMD };

		avail = fw_load32(&fw->seg->cmd_prod) - fw->cmd_cons;
		if (!avail)
			break;
		if (avail > fw->cmd_mask + 1) {
			fw_count_error(fw, &fw->n.err_index);
			fw_fault(fw, SEALNIC_SYN_BAD_INDEX);
			break;
		}
		src = fw->plat->dma(fw->priv, fw->cmd_base +
				    (uint64_t)(fw->cmd_cons & fw->cmd_mask) * sizeof(cmd),
				    sizeof(cmd));
		if (!src) {
			fw_count_error(fw, &fw->n.err_addr);
			fw_fault(fw, SEALNIC_SYN_BAD_ADDR);
			break;
		}
		fw_fetch(&cmd, src, sizeof(cmd));
		fw->cmd_cons++;
		fw->n.commands++;
		status = obey(fw, &cmd, &ev);
		if (status != SEALNIC_OK && status != SEALNIC_NO_RESOURCE &&
		    status != SEALNIC_NOT_SUPPORTED && status != SEALNIC_STALE)
			fw_count_error(fw, &fw->n.err_command);
		ev.tag = cmd.tag;
		ev.status = fw_le32(status);
		fw_event(fw, &ev);
	}
	fw_wipe(&cmd, sizeof(cmd));
	return fw->state == SEALNIC_STATE_RUN && event_room(fw) &&
	       fw_load32(&fw->seg->cmd_prod) != fw->cmd_cons;
}
