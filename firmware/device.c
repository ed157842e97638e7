// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The port as a whole: init segment, control words, errors, interrupts, and
 * the loop that gives each part its turn.
 */
#include "port.h"

static uint32_t capped_ctx(const struct fw_config *cfg)
{
	return cfg->max_tls_ctx < SEALNIC_MAX_TLS_CTX ? cfg->max_tls_ctx : SEALNIC_MAX_TLS_CTX;
}

/* A power of two: a context finds its bucket with a mask */
static uint32_t buckets(const struct fw_config *cfg)
{
	uint32_t n = 1;

	while (n < capped_ctx(cfg))
		n *= 2;
	return n;
}

/**
 * fw_mem_size() - memory that a port needs
 * @cfg: the port's configuration
 *
 * Return: bytes; they must be zero and aligned to 64 when given to fw_init().
 */
size_t fw_mem_size(const struct fw_config *cfg)
{
	return sizeof(struct fw) + (size_t)capped_ctx(cfg) * sizeof(struct fw_tls) +
	       (size_t)buckets(cfg) * sizeof(uint32_t);
}

static void copy_string(__u8 *dst, size_t size, const char *src)
{
	for (size_t i = 0; i + 1 < size && src[i]; i++)
		dst[i] = (__u8)src[i];
}

/**
 * fw_init() - make a port and fill in its init segment
 * @mem: fw_mem_size() bytes, zeroed
 * @cfg: the port's configuration
 * @plat: the platform's operations
 * @priv: given to them
 *
 * Return: the port; its memory is @mem.
 */
struct fw *fw_init(void *mem, const struct fw_config *cfg, const struct fw_plat *plat,
		   void *priv)
{
	static const uint16_t version[3] = {
		FW_VERSION_MAJOR, FW_VERSION_MINOR, FW_VERSION_PATCH
	};
	struct sealnic_init_seg *seg = cfg->bar2;
	struct fw *fw = mem;

	fw->plat = plat;
	fw->priv = priv;
	fw->seg = seg;
	fw->db = (struct sealnic_qp_db *)((uint8_t *)cfg->bar2 + SEALNIC_DB_OFFSET);
	fw->n_qp = cfg->vectors - 1 < SEALNIC_MAX_QP ? cfg->vectors - 1 : SEALNIC_MAX_QP;
	fw->speed = cfg->speed;
	fw->features = (SEALNIC_F_CSUM | SEALNIC_F_TSO | SEALNIC_F_VLAN | SEALNIC_F_RSS |
			SEALNIC_F_PAUSE | SEALNIC_F_KICK_IDX | SEALNIC_F_TLS_TX |
			SEALNIC_F_TLS_RX | SEALNIC_F_TLS_12 | SEALNIC_F_TLS_13 |
			SEALNIC_F_TLS_RX_END | SEALNIC_F_AES128_GCM | SEALNIC_F_AES256_GCM) & ~cfg->without;
	fw->max_tls = capped_ctx(cfg);
	fw->tls = (struct fw_tls *)(fw + 1);
	fw->tls_bucket = (uint32_t *)(fw->tls + fw->max_tls);
	fw->tls_bucket_mask = buckets(cfg) - 1;

	memcpy(seg->magic, SEALNIC_MAGIC, sizeof(seg->magic));
	seg->if_major = fw_le16(SEALNIC_IF_MAJOR);
	seg->if_minor = fw_le16(SEALNIC_IF_MINOR);
	for (int i = 0; i < 3; i++)
		seg->fw_version[i] = fw_le16(version[i]);
	seg->max_qp = fw_le16((uint16_t)fw->n_qp);
	seg->db_base = fw_le32(cfg->db_base);
	seg->features = fw_le64(fw->features);
	seg->bar2_size = fw_le32(SEALNIC_BAR2_SIZE);
	seg->max_tls_ctx = fw_le32(fw->max_tls);
	seg->tls_ctx_bytes = fw_le32(sizeof(struct fw_tls));
	seg->max_ring = fw_le16(SEALNIC_MAX_RING);
	seg->max_mtu = fw_le16(SEALNIC_MAX_MTU);
	memcpy(seg->mac, cfg->mac, sizeof(seg->mac));
	copy_string(seg->serial, sizeof(seg->serial), cfg->serial);
	copy_string(seg->fw_build, sizeof(seg->fw_build), cfg->build);
	return fw;
}

/**
 * fw_count_error() - count an error, in its own counter and in the sum of all
 * @fw: the port
 * @counter: one of the four err_ counters in @fw
 *
 * hardware.rst, "Statistics".
 */
void fw_count_error(struct fw *fw, uint64_t *counter)
{
	uint64_t total;

	(*counter)++;
	total = fw->n.err_addr + fw->n.err_index + fw->n.err_desc + fw->n.err_command;
	__atomic_store_n(&fw->seg->errors, fw_le64(total), __ATOMIC_RELEASE);
}

/* A full event ring: told with the next doorbell of vector 0 */
static void tell_qp_error(struct fw *fw, struct fw_qp *qp)
{
	struct sealnic_event ev = { .type = SEALNIC_EV_QP_ERROR };

	ev.qp_error.qp = fw_le16((uint16_t)(qp - fw->qp));
	ev.qp_error.syndrome = fw_le32(qp->syndrome);
	qp->told = fw_event(fw, &ev);
}

/**
 * fw_qp_error() - an error of the host's: this queue pair stops until it is destroyed
 * @fw: the port
 * @qp: the queue pair
 * @syndrome: BAD_ADDR, BAD_INDEX or BAD_DESC
 *
 * hardware.rst, "Errors".
 */
void fw_qp_error(struct fw *fw, struct fw_qp *qp, enum sealnic_syndrome syndrome)
{
	fw_count_error(fw, syndrome == SEALNIC_SYN_BAD_ADDR ? &fw->n.err_addr :
			   syndrome == SEALNIC_SYN_BAD_INDEX ? &fw->n.err_index :
							       &fw->n.err_desc);
	qp->dead = true;
	qp->syndrome = syndrome;
	tell_qp_error(fw, qp);
}

/**
 * fw_qp_status() - the words of a queue pair that we write for the host
 * @fw: the port
 * @qp: the queue pair
 *
 * hardware.rst, "Queue pairs".
 *
 * Return: the status block; NULL if the host's memory there has gone.
 */
struct sealnic_qp_status *fw_qp_status(struct fw *fw, struct fw_qp *qp)
{
	return fw->plat->dma(fw->priv, qp->status_base, sizeof(struct sealnic_qp_status));
}

static void set_state(struct fw *fw, enum sealnic_state state, enum sealnic_syndrome syndrome)
{
	fw->state = state;
	fw_store32(&fw->seg->syndrome, syndrome);
	fw_store32(&fw->seg->state, state);
}

/**
 * fw_fault() - stop the port
 * @fw: the port
 * @syndrome: why
 *
 * Nothing is sent, received or obeyed until the driver resets the port.
 */
void fw_fault(struct fw *fw, enum sealnic_syndrome syndrome)
{
	struct sealnic_event ev = { .type = SEALNIC_EV_FAULT };

	if (fw->state != SEALNIC_STATE_RUN)
		return;
	set_state(fw, SEALNIC_STATE_FAULT, syndrome);
	ev.status = fw_le32(syndrome);
	fw_event(fw, &ev);
	fw_update_link(fw);
}

/**
 * fw_enabled() - would this port take frames?
 * @fw: the port
 *
 * Return: true while it runs and the driver has enabled it.
 */
bool fw_enabled(const struct fw *fw)
{
	return fw->state == SEALNIC_STATE_RUN && (fw->port_flags & SEALNIC_PORT_ENABLE);
}

/**
 * fw_update_link() - the link is up if the wire is and somebody listens on this side
 * @fw: the port
 *
 * The host is told of a change, or with a later call if there is no room for the
 * event.
 *
 * hardware.rst, "Link and pause".
 */
void fw_update_link(struct fw *fw)
{
	uint32_t link = fw->wire_up && fw_enabled(fw) ?
			SEALNIC_LINK_UP | (fw->speed & SEALNIC_LINK_SPEED(UINT32_MAX)) : 0;
	struct sealnic_event ev = { .type = SEALNIC_EV_LINK };

	if (link != fw_load32(&fw->seg->link)) {
		fw_store32(&fw->seg->link, link);
		fw->link_changed = true;
	}
	if (fw->link_changed && fw->state == SEALNIC_STATE_RUN)
		fw->link_changed = !fw_event(fw, &ev);
}

/**
 * fw_set_link() - the wire was plugged or pulled
 * @fw: the port
 * @up: there is somebody at the other end
 */
void fw_set_link(struct fw *fw, bool up)
{
	if (fw->wire_up == up)
		return;
	fw->wire_up = up;
	fw_update_link(fw);
}

/**
 * fw_set_stall() - stop or go on transmitting, for tests of the host's watchdog
 * @fw: the port
 * @stalled: leave all transmit rings alone, until a RESET at the latest
 */
void fw_set_stall(struct fw *fw, bool stalled)
{
	fw->stalled = stalled;
	fw->kicked = UINT64_MAX;
}

/**
 * fw_babble() - complete what was never posted, for tests of the host's checks
 * @fw: the port
 *
 * Each transmit ring's index is wrong until the ring's next completion, and by more than a ring holds: what the host posts
 * before it looks does not make it right.
 */
void fw_babble(struct fw *fw)
{
	for (uint32_t i = 0; i < fw->n_qp; i++) {
		struct fw_qp *qp = &fw->qp[i];
		struct sealnic_qp_status *status = qp->active ? fw_qp_status(fw, qp) : NULL;

		if (!status)
			continue;
		fw_store32(&status->tx_cons, fw_load32(&fw->db[i].tx_prod) + (1u << 31));
		fw_qp_posted(fw, qp, &qp->tx_mod);
	}
}

/**
 * fw_get_stats() - counters of the port
 * @fw: the port
 * @stats: filled in, little-endian
 */
void fw_get_stats(const struct fw *fw, struct sealnic_stats *stats)
{
	uint64_t n[sizeof(*stats) / 8];

	memcpy(n, &fw->n, sizeof(n));
	for (uint32_t i = 0; i < sizeof(n) / 8; i++)
		n[i] = fw_le64(n[i]);
	memcpy(stats, n, sizeof(n));
}

static void reset(struct fw *fw)
{
	fw_tls_wipe_all(fw);
	fw_wipe(fw->rx_stage, sizeof(fw->rx_stage));
	fw->tls_spoil = 0;
	fw->tls_refuse = 0;
	memset(fw->qp, 0, sizeof(fw->qp));
	memset(&fw->rss, 0, sizeof(fw->rss));
	fw->stalled = false;
	fw->port_flags = 0;
	fw->rx_flags = 0;
	fw->uc_count = 0;
	fw->mc_count = 0;
	fw->kicked = 0;
	fw->posted = 0;
	fw->cmd_cons = 0;
	fw->event_prod = 0;
	fw->commands = false;
	fw->event_irq = false;
	fw->link_changed = false;
	set_state(fw, SEALNIC_STATE_RESET, SEALNIC_SYN_NONE);
	fw_store32(&fw->seg->link, 0);
}

static void start(struct fw *fw)
{
	const struct sealnic_init_seg *seg = fw->seg;
	uint32_t cmd_log2 = __atomic_load_n(&seg->cmd_log2, __ATOMIC_RELAXED);
	uint32_t event_log2 = __atomic_load_n(&seg->event_log2, __ATOMIC_RELAXED);
	uint64_t features = fw_le64(__atomic_load_n(&seg->drv_features, __ATOMIC_RELAXED));

	if (fw->state != SEALNIC_STATE_RESET) {
		fw_count_error(fw, &fw->n.err_command);
		return;
	}
	fw->cmd_base = fw_le64(__atomic_load_n(&seg->cmd_base, __ATOMIC_RELAXED));
	fw->event_base = fw_le64(__atomic_load_n(&seg->event_base, __ATOMIC_RELAXED));
	fw->cmd_mask = (1u << (cmd_log2 & 31)) - 1;
	fw->event_mask = (1u << (event_log2 & 31)) - 1;
	if (cmd_log2 < SEALNIC_MIN_CTL_LOG2 || cmd_log2 > SEALNIC_MAX_CTL_LOG2 ||
	    event_log2 < SEALNIC_MIN_CTL_LOG2 || event_log2 > SEALNIC_MAX_CTL_LOG2 ||
	    (fw->cmd_base | fw->event_base) % 64 || (features & ~fw_le64(seg->features)) ||
	    !fw->plat->dma(fw->priv, fw->cmd_base,
			   (fw->cmd_mask + 1) * (uint32_t)sizeof(struct sealnic_cmd)) ||
	    !fw->plat->dma(fw->priv, fw->event_base,
			   (fw->event_mask + 1) * (uint32_t)sizeof(struct sealnic_event))) {
		fw_count_error(fw, &fw->n.err_command);
		set_state(fw, SEALNIC_STATE_FAULT, SEALNIC_SYN_BAD_CONFIG);
		return;
	}
	/* peers that want their connections in one bucket would have to know our clock */
	fw->tls_hash_key[0] = fw->plat->now(fw->priv) * 0x9e3779b97f4a7c15ull;
	fw->tls_hash_key[1] = ~fw->tls_hash_key[0] * 0xbf58476d1ce4e5b9ull;
	set_state(fw, SEALNIC_STATE_RUN, SEALNIC_SYN_NONE);
}

/* The driver's control words: each new value is obeyed once */
static void control(struct fw *fw)
{
	uint32_t ctl = fw_load32(&fw->seg->ctl), ping = fw_load32(&fw->seg->ping);

	if (ctl != fw->ctl_done) {
		fw->ctl_done = ctl;
		if (SEALNIC_CTL_OP(ctl) == SEALNIC_CTL_RESET)
			reset(fw);
		else if (SEALNIC_CTL_OP(ctl) == SEALNIC_CTL_START)
			start(fw);
		else
			fw_count_error(fw, &fw->n.err_command);
		fw_store32(&fw->seg->ctl_ack, ctl);
	}
	fw_store32(&fw->seg->pong, ping);
}

/**
 * fw_doorbell() - the host has rung
 * @fw: the port
 * @vector: which doorbell
 *
 * Only takes note; fw_run() does the work.
 */
void fw_doorbell(struct fw *fw, uint32_t vector)
{
	fw->n.doorbells++;
	if (vector == SEALNIC_VEC_CONTROL)
		fw->commands = true;
	else if (vector <= fw->n_qp)
		fw->kicked |= 1ull << (vector - 1);
}

/**
 * fw_qp_posted() - completions were written: the host may be waiting for an interrupt
 * @fw: the port
 * @qp: the queue pair
 * @mod: moderation of the direction that they are of
 *
 * hardware.rst, "Interrupts of a queue pair".
 */
void fw_qp_posted(struct fw *fw, struct fw_qp *qp, struct fw_moderation *mod)
{
	if (!mod->since)
		mod->since = fw->plat->now(fw->priv);
	fw->posted |= 1ull << (qp - fw->qp);
}

/* When is an interrupt for @count completions due? */
static uint64_t due(const struct fw_moderation *mod, uint32_t count, uint64_t now)
{
	if (!count)
		return FW_IDLE;
	if (!mod->usecs || (mod->frames && count >= mod->frames))
		return now;
	return mod->since + (uint64_t)mod->usecs * 1000;
}

/* Interrupt the host if it has asked and the time has come; else when to look again */
static uint64_t moderate(struct fw *fw, uint32_t i, uint64_t now)
{
	struct fw_qp *qp = &fw->qp[i];
	struct sealnic_qp_db *db = &fw->db[i];
	uint32_t arm, rx, tx;
	uint64_t at, tx_at;

	fw_mb(); /* completions before arm: pairs with the driver's mb() behind arm */
	arm = fw_load32(&db->arm);
	rx = qp->rx_cons - fw_load32(&db->rxc_cons);
	tx = qp->tx_cons - fw_load32(&db->tx_seen);
	if (!rx)
		qp->rx_mod.since = 0;
	if (!tx)
		qp->tx_mod.since = 0;
	if (arm == qp->arm_served || (!rx && !tx)) {
		/* not armed: the driver looks by itself after it arms */
		qp->rx_mod.since = 0;
		qp->tx_mod.since = 0;
		fw->posted &= ~(1ull << i);
		return FW_IDLE;
	}
	at = due(&qp->rx_mod, rx, now);
	tx_at = due(&qp->tx_mod, tx, now);
	if (tx_at < at)
		at = tx_at;
	if (at > now)
		return at;
	qp->arm_served = arm;
	qp->rx_mod.since = 0;
	qp->tx_mod.since = 0;
	fw->posted &= ~(1ull << i);
	fw->n.irqs++;
	fw->plat->irq(fw->priv, qp->vector);
	return FW_IDLE;
}

/**
 * fw_run() - do what there is to do, up to a budget
 * @fw: the port
 *
 * To be called after doorbells, after frames were taken, when the wire is
 * ready again, and at the time that the last call returned.
 *
 * Return: the time at which to call again (0: at once), or FW_IDLE.
 */
uint64_t fw_run(struct fw *fw)
{
	uint64_t next = FW_IDLE, at, now, todo;
	bool more = false, held = false;

	/* the word before the doorbell: after a RESET nothing may be touched */
	if (fw->commands || fw_load32(&fw->seg->ctl) != fw->ctl_done) {
		fw->commands = false;
		control(fw);
		fw->commands = fw_command_run(fw);
		fw_update_link(fw);
		for (uint32_t i = 0; i < fw->n_qp; i++) {
			if (fw->qp[i].dead && !fw->qp[i].told)
				tell_qp_error(fw, &fw->qp[i]);
		}
	}
	if (fw->state == SEALNIC_STATE_RUN && !fw->stalled) {
		for (todo = fw->kicked; todo; todo &= todo - 1) {
			uint32_t i = (uint32_t)__builtin_ctzll(todo);
			struct fw_qp *qp = &fw->qp[i];

			if (i >= fw->n_qp || !qp->active || qp->dead ||
			    !fw_tx_run(fw, qp))
				fw->kicked &= ~(1ull << i);
			else if (fw->plat->wire_ready(fw->priv))
				more = true;
			else
				held = true;
		}
		/* counted when it begins, not at each look */
		if (held && !fw->held)
			fw->n.tx_pause++;
		fw->held = held;
	}
	now = fw->plat->now(fw->priv);
	for (todo = fw->posted; todo; todo &= todo - 1) {
		at = moderate(fw, (uint32_t)__builtin_ctzll(todo), now);
		if (at < next)
			next = at;
	}
	if (fw->event_irq) {
		fw->event_irq = false;
		fw->n.irqs++;
		fw->plat->irq(fw->priv, 0);
	}
	return more || fw->commands ? 0 : next;
}
