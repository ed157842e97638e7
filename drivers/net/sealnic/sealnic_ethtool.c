// SPDX-License-Identifier: GPL-2.0
/*
 * ethtool: all under RTNL.
 */
#include <linux/ethtool.h>
#include <linux/netdevice.h>

#include "sealnic.h"
#include "sealnic_io.h"
#include "sealnic_tls.h"

/* ---- -i ---- */

static void sealnic_get_drvinfo(struct net_device *netdev,
				struct ethtool_drvinfo *info)
{
	struct sealnic *sn = netdev_priv(netdev);

	strscpy(info->driver, SEALNIC_NAME, sizeof(info->driver));
	strscpy(info->bus_info, pci_name(sn->pdev), sizeof(info->bus_info));
	strscpy(info->fw_version, sn->fw_version, sizeof(info->fw_version));
}

/* ---- -d ---- */

/*
 * Version 1: the init segment's device words [0, 0x120), its driver words
 * [0x800, 0x82c) without the two addresses, then all queue pairs' doorbells.
 */
#define SEALNIC_REGS_VERSION	1
#define SEALNIC_REGS_DEVICE	offsetof(struct sealnic_init_seg, rsvd3)
#define SEALNIC_REGS_DRIVER	offsetof(struct sealnic_init_seg, ctl)
#define SEALNIC_REGS_DRIVER_LEN						\
	(offsetof(struct sealnic_init_seg, rsvd5) - SEALNIC_REGS_DRIVER)

static int sealnic_get_regs_len(struct net_device *netdev)
{
	struct sealnic *sn = netdev_priv(netdev);

	return SEALNIC_REGS_DEVICE + SEALNIC_REGS_DRIVER_LEN +
	       sn->max_qp * sizeof(struct sealnic_qp_db);
}

static void *sealnic_copy_regs(void *dst, const void *src, size_t len)
{
	const __le32 *word = src;
	u32 *out = dst;

	for (; len; len -= sizeof(*word))
		*out++ = sealnic_rd32(word++);
	return out;
}

static void sealnic_get_regs(struct net_device *netdev,
			     struct ethtool_regs *regs, void *data)
{
	const size_t base = offsetof(struct sealnic_init_seg, cmd_base) -
			    SEALNIC_REGS_DRIVER;
	struct sealnic *sn = netdev_priv(netdev);
	void *driver;
	unsigned int i;

	regs->version = SEALNIC_REGS_VERSION;
	driver = sealnic_copy_regs(data, sn->seg, SEALNIC_REGS_DEVICE);
	data = sealnic_copy_regs(driver, &sn->seg->ctl, SEALNIC_REGS_DRIVER_LEN);
	memset(driver + base, 0, 2 * sizeof(u64));
	for (i = 0; i < sn->max_qp; i++)
		data = sealnic_copy_regs(data, sn->qp[i].db,
					 sizeof(struct sealnic_qp_db));
}

/* ---- link and -a, -A ---- */

static int sealnic_get_link_ksettings(struct net_device *netdev,
				      struct ethtool_link_ksettings *cmd)
{
	struct sealnic *sn = netdev_priv(netdev);

	ethtool_link_ksettings_zero_link_mode(cmd, supported);
	ethtool_link_ksettings_zero_link_mode(cmd, advertising);
	if (sn->features & SEALNIC_F_PAUSE)
		ethtool_link_ksettings_add_link_mode(cmd, supported, Pause);
	if (sn->pause)
		ethtool_link_ksettings_add_link_mode(cmd, advertising, Pause);

	cmd->base.port = PORT_OTHER;
	cmd->base.autoneg = AUTONEG_DISABLE;
	cmd->base.speed = sealnic_link_speed(sn);
	cmd->base.duplex = cmd->base.speed == (u32)SPEED_UNKNOWN ?
			   DUPLEX_UNKNOWN : DUPLEX_FULL;
	return 0;
}

static void sealnic_get_pauseparam(struct net_device *netdev,
				   struct ethtool_pauseparam *pause)
{
	struct sealnic *sn = netdev_priv(netdev);

	pause->autoneg = AUTONEG_DISABLE;
	pause->rx_pause = sn->pause;
	pause->tx_pause = sn->pause;
}

/* The port holds the wire and is held by it, or neither */
static int sealnic_set_pauseparam(struct net_device *netdev,
				  struct ethtool_pauseparam *pause)
{
	struct sealnic *sn = netdev_priv(netdev);
	bool old = sn->pause;
	int err;

	if (pause->autoneg || !pause->rx_pause != !pause->tx_pause)
		return -EINVAL;
	if (pause->rx_pause && !(sn->features & SEALNIC_F_PAUSE))
		return -EOPNOTSUPP;

	sn->pause = pause->rx_pause;
	err = sealnic_port_set(sn);
	if (err)
		sn->pause = old;
	return err;
}

/* ---- -g, -G ---- */

static void sealnic_get_ringparam(struct net_device *netdev,
				  struct ethtool_ringparam *ring,
				  struct kernel_ethtool_ringparam *kernel_ring,
				  struct netlink_ext_ack *extack)
{
	struct sealnic *sn = netdev_priv(netdev);

	ring->rx_max_pending = sn->max_ring;
	ring->tx_max_pending = sn->max_ring;
	ring->rx_pending = sn->set.rx_size;
	ring->tx_pending = sn->set.tx_size;
}

static int sealnic_set_ringparam(struct net_device *netdev,
				 struct ethtool_ringparam *ring,
				 struct kernel_ethtool_ringparam *kernel_ring,
				 struct netlink_ext_ack *extack)
{
	struct sealnic *sn = netdev_priv(netdev);
	u32 tx, rx;

	if (ring->rx_mini_pending || ring->rx_jumbo_pending)
		return -EINVAL;
	if (ring->tx_pending < SEALNIC_TX_MIN) {
		NL_SET_ERR_MSG_FMT(extack, "TX needs %u descriptors at least",
				   SEALNIC_TX_MIN);
		return -EINVAL;
	}
	if (ring->rx_pending < SEALNIC_MIN_RING) {
		NL_SET_ERR_MSG_FMT(extack, "RX needs %u descriptors at least",
				   SEALNIC_MIN_RING);
		return -EINVAL;
	}

	tx = roundup_pow_of_two(ring->tx_pending);
	rx = roundup_pow_of_two(ring->rx_pending);
	if (tx == sn->set.tx_size && rx == sn->set.rx_size)
		return 0;
	return sealnic_reconfigure(sn, sn->set.n, tx, rx);
}

/* ---- -l, -L ---- */

static void sealnic_get_channels(struct net_device *netdev,
				 struct ethtool_channels *ch)
{
	struct sealnic *sn = netdev_priv(netdev);

	ch->max_combined = sn->max_qp;
	ch->combined_count = sn->set.n;
	ch->max_other = 1;
	ch->other_count = 1;
}

static int sealnic_set_channels(struct net_device *netdev,
				struct ethtool_channels *ch)
{
	struct sealnic *sn = netdev_priv(netdev);

	if (!ch->combined_count || ch->rx_count || ch->tx_count ||
	    ch->other_count != 1)
		return -EINVAL;
	if (ch->combined_count == sn->set.n)
		return 0;
	return sealnic_reconfigure(sn, ch->combined_count, sn->set.tx_size,
				   sn->set.rx_size);
}

/* ---- -c, -C ---- */

static int sealnic_get_per_queue_coalesce(struct net_device *netdev, u32 queue,
					  struct ethtool_coalesce *ec)
{
	struct sealnic *sn = netdev_priv(netdev);
	const struct sealnic_coal *coal;

	if (queue >= sn->set.n)
		return -EINVAL;

	coal = &sn->qp[queue].coal;
	ec->rx_coalesce_usecs = coal->rx_usecs;
	ec->rx_max_coalesced_frames = coal->rx_frames;
	ec->tx_coalesce_usecs = coal->tx_usecs;
	ec->tx_max_coalesced_frames = coal->tx_frames;
	return 0;
}

static int sealnic_coal_from_user(const struct ethtool_coalesce *ec,
				  struct sealnic_coal *coal)
{
	if (ec->rx_coalesce_usecs > SEALNIC_MAX_USECS ||
	    ec->tx_coalesce_usecs > SEALNIC_MAX_USECS ||
	    ec->rx_max_coalesced_frames > SEALNIC_MAX_FRAMES ||
	    ec->tx_max_coalesced_frames > SEALNIC_MAX_FRAMES)
		return -ERANGE;

	coal->rx_usecs = ec->rx_coalesce_usecs;
	coal->rx_frames = ec->rx_max_coalesced_frames;
	coal->tx_usecs = ec->tx_coalesce_usecs;
	coal->tx_frames = ec->tx_max_coalesced_frames;
	return 0;
}

static int sealnic_coal_apply(struct sealnic_qp *qp,
			      const struct sealnic_coal *coal)
{
	int err;

	/* Otherwise the device is told when the queue pair comes up */
	if (test_bit(SEALNIC_DEV_UP, &qp->sn->state) && qp->id < qp->sn->set.n) {
		err = sealnic_coal_set(qp, coal);
		if (err)
			return err;
	}
	qp->coal = *coal;
	return 0;
}

static int sealnic_set_per_queue_coalesce(struct net_device *netdev, u32 queue,
					  struct ethtool_coalesce *ec)
{
	struct sealnic *sn = netdev_priv(netdev);
	struct sealnic_coal coal;
	int err;

	if (queue >= sn->set.n)
		return -EINVAL;
	err = sealnic_coal_from_user(ec, &coal);
	if (err)
		return err;
	return sealnic_coal_apply(&sn->qp[queue], &coal);
}

static int sealnic_get_coalesce(struct net_device *netdev,
				struct ethtool_coalesce *ec,
				struct kernel_ethtool_coalesce *kernel_coal,
				struct netlink_ext_ack *extack)
{
	return sealnic_get_per_queue_coalesce(netdev, 0, ec);
}

static int sealnic_set_coalesce(struct net_device *netdev,
				struct ethtool_coalesce *ec,
				struct kernel_ethtool_coalesce *kernel_coal,
				struct netlink_ext_ack *extack)
{
	struct sealnic *sn = netdev_priv(netdev);
	struct sealnic_coal coal;
	unsigned int i;
	int err;

	err = sealnic_coal_from_user(ec, &coal);
	if (err) {
		NL_SET_ERR_MSG_FMT(extack, "At most %u us and %u frames",
				   SEALNIC_MAX_USECS, SEALNIC_MAX_FRAMES);
		return err;
	}
	for (i = 0; i < sn->max_qp; i++) {
		err = sealnic_coal_apply(&sn->qp[i], &coal);
		if (err)
			return err;
	}
	return 0;
}

/* ---- -x, -X, -n, -N ---- */

static u32 sealnic_get_rxfh_key_size(struct net_device *netdev)
{
	return SEALNIC_RSS_KEY;
}

static u32 sealnic_get_rxfh_indir_size(struct net_device *netdev)
{
	return SEALNIC_RSS_TABLE;
}

static int sealnic_get_rxfh(struct net_device *netdev,
			    struct ethtool_rxfh_param *rxfh)
{
	struct sealnic *sn = netdev_priv(netdev);
	unsigned int i;

	rxfh->hfunc = ETH_RSS_HASH_TOP;
	if (rxfh->key)
		memcpy(rxfh->key, sn->rss.key, SEALNIC_RSS_KEY);
	if (rxfh->indir)
		for (i = 0; i < SEALNIC_RSS_TABLE; i++)
			rxfh->indir[i] = sn->rss.table[i];
	return 0;
}

static int sealnic_rss_change(struct sealnic *sn, const struct sealnic_rss *rss)
{
	struct sealnic_rss old = sn->rss;
	int err = 0;

	sn->rss = *rss;
	if (test_bit(SEALNIC_DEV_UP, &sn->state))
		err = sealnic_rss_set(sn);
	if (err)
		sn->rss = old;
	return err;
}

static int sealnic_set_rxfh(struct net_device *netdev,
			    struct ethtool_rxfh_param *rxfh,
			    struct netlink_ext_ack *extack)
{
	struct sealnic *sn = netdev_priv(netdev);
	struct sealnic_rss rss = sn->rss;
	unsigned int i;

	if (!(sn->features & SEALNIC_F_RSS))
		return -EOPNOTSUPP;
	if (rxfh->hfunc != ETH_RSS_HASH_NO_CHANGE &&
	    rxfh->hfunc != ETH_RSS_HASH_TOP)
		return -EOPNOTSUPP;

	if (rxfh->key)
		memcpy(rss.key, rxfh->key, SEALNIC_RSS_KEY);
	if (rxfh->indir)
		for (i = 0; i < SEALNIC_RSS_TABLE; i++)
			rss.table[i] = rxfh->indir[i];
	return sealnic_rss_change(sn, &rss);
}

#define SEALNIC_RXH_2TUPLE	(RXH_IP_SRC | RXH_IP_DST)
#define SEALNIC_RXH_4TUPLE						\
	(SEALNIC_RXH_2TUPLE | RXH_L4_B_0_1 | RXH_L4_B_2_3)

/* The hash type that makes a flow type hashed by ports too; 0: there is none */
static u32 sealnic_hash_type_l4(u32 flow_type)
{
	switch (flow_type) {
	case TCP_V4_FLOW:
		return SEALNIC_HASH_IPV4_TCP;
	case UDP_V4_FLOW:
		return SEALNIC_HASH_IPV4_UDP;
	case TCP_V6_FLOW:
		return SEALNIC_HASH_IPV6_TCP;
	case UDP_V6_FLOW:
		return SEALNIC_HASH_IPV6_UDP;
	default:
		return 0;
	}
}

static int sealnic_get_rxfh_type(struct sealnic *sn, struct ethtool_rxnfc *nfc)
{
	switch (nfc->flow_type) {
	case TCP_V4_FLOW:
	case UDP_V4_FLOW:
	case TCP_V6_FLOW:
	case UDP_V6_FLOW:
	case IPV4_FLOW:
	case IPV6_FLOW:
	case SCTP_V4_FLOW:
	case SCTP_V6_FLOW:
	case AH_ESP_V4_FLOW:
	case AH_ESP_V6_FLOW:
		break;
	default:
		return -EINVAL;
	}

	if (le32_to_cpu(sn->rss.hash_types) & sealnic_hash_type_l4(nfc->flow_type))
		nfc->data = SEALNIC_RXH_4TUPLE;
	else
		nfc->data = SEALNIC_RXH_2TUPLE;
	return 0;
}

static int sealnic_set_rxfh_type(struct sealnic *sn,
				 const struct ethtool_rxnfc *nfc)
{
	u32 type = sealnic_hash_type_l4(nfc->flow_type);
	struct sealnic_rss rss = sn->rss;

	if (!(sn->features & SEALNIC_F_RSS))
		return -EOPNOTSUPP;
	if (nfc->data == SEALNIC_RXH_4TUPLE && type)
		rss.hash_types |= cpu_to_le32(type);
	else if (nfc->data == SEALNIC_RXH_2TUPLE)
		rss.hash_types &= ~cpu_to_le32(type);
	else
		return -EINVAL;
	return sealnic_rss_change(sn, &rss);
}

static int sealnic_get_rxnfc(struct net_device *netdev,
			     struct ethtool_rxnfc *nfc, u32 *rule_locs)
{
	struct sealnic *sn = netdev_priv(netdev);

	switch (nfc->cmd) {
	case ETHTOOL_GRXRINGS:
		nfc->data = sn->set.n;
		return 0;
	case ETHTOOL_GRXFH:
		return sealnic_get_rxfh_type(sn, nfc);
	default:
		return -EOPNOTSUPP;
	}
}

static int sealnic_set_rxnfc(struct net_device *netdev,
			     struct ethtool_rxnfc *nfc)
{
	if (nfc->cmd == ETHTOOL_SRXFH)
		return sealnic_set_rxfh_type(netdev_priv(netdev), nfc);
	return -EOPNOTSUPP;
}

/* ---- -S ---- */

struct sealnic_counter {
	const char *name;
	size_t off;
};

#define SEALNIC_HW(field) { #field, offsetof(struct sealnic_stats, field) }

static const struct sealnic_counter sealnic_hw_counters[] = {
	SEALNIC_HW(tx_packets),
	SEALNIC_HW(tx_bytes),
	SEALNIC_HW(tx_tso_packets),
	SEALNIC_HW(rx_packets),
	SEALNIC_HW(rx_bytes),
	SEALNIC_HW(rx_filtered),
	SEALNIC_HW(rx_no_buffer),
	SEALNIC_HW(rx_too_long),
	SEALNIC_HW(rx_disabled),
	SEALNIC_HW(rx_csum_bad),
	SEALNIC_HW(tx_pause),
	SEALNIC_HW(irqs),
	SEALNIC_HW(doorbells),
	SEALNIC_HW(commands),
	SEALNIC_HW(err_addr),
	SEALNIC_HW(err_index),
	SEALNIC_HW(err_desc),
	SEALNIC_HW(err_command),
	SEALNIC_HW(tls_ctx),
	SEALNIC_HW(tls_tx_records),
	SEALNIC_HW(tls_tx_bytes),
	SEALNIC_HW(tls_tx_packets),
	SEALNIC_HW(tls_tx_sync),
	SEALNIC_HW(tls_tx_replay_bytes),
	SEALNIC_HW(tls_tx_unexpected),
	SEALNIC_HW(tls_tx_malformed),
	SEALNIC_HW(tls_tx_no_ctx),
	SEALNIC_HW(tls_rx_ctx),
	SEALNIC_HW(tls_rx_records),
	SEALNIC_HW(tls_rx_bytes),
	SEALNIC_HW(tls_rx_packets),
	SEALNIC_HW(tls_rx_skip),
	SEALNIC_HW(tls_rx_skip_bytes),
	SEALNIC_HW(tls_rx_auth_bad),
	SEALNIC_HW(tls_rx_gap),
	SEALNIC_HW(tls_rx_lost),
	SEALNIC_HW(tls_rx_found),
	SEALNIC_HW(tls_rx_resync_ask),
	SEALNIC_HW(tls_rx_resync_ok),
	SEALNIC_HW(tls_rx_resync_stale),
};

static_assert(ARRAY_SIZE(sealnic_hw_counters) * sizeof(__le64) ==
	      sizeof(struct sealnic_stats));

#define SEALNIC_DRV(field) { #field, offsetof(struct sealnic, field) }

static const struct sealnic_counter sealnic_drv_counters[] = {
	SEALNIC_DRV(cmd_timeouts),
	SEALNIC_DRV(cmd_failed),
	SEALNIC_DRV(events_unknown),
	SEALNIC_DRV(resets),
	SEALNIC_DRV(tx_timeouts),
};

/* Summed up over all queue pairs first, then one by one */
#define SEALNIC_TX(field) { #field, offsetof(struct sealnic_tx_stats, field) }

static const struct sealnic_counter sealnic_tx_counters[] = {
	SEALNIC_TX(packets),
	SEALNIC_TX(bytes),
	SEALNIC_TX(tso),
	SEALNIC_TX(csum),
	SEALNIC_TX(dropped),
	SEALNIC_TX(map_failed),
	SEALNIC_TX(stop),
	SEALNIC_TX(kicks),
};

#define SEALNIC_RX(field) { #field, offsetof(struct sealnic_rx_stats, field) }

static const struct sealnic_counter sealnic_rx_counters[] = {
	SEALNIC_RX(packets),
	SEALNIC_RX(bytes),
	SEALNIC_RX(csum_ok),
	SEALNIC_RX(csum_none),
	SEALNIC_RX(csum_bad),
	SEALNIC_RX(dropped),
	SEALNIC_RX(alloc_failed),
	SEALNIC_RX(kicks),
	SEALNIC_RX(tx_wake),
};

#define SEALNIC_QP_COUNTERS						\
	(ARRAY_SIZE(sealnic_tx_counters) + ARRAY_SIZE(sealnic_rx_counters))

static int sealnic_stat_count(struct sealnic *sn)
{
	return ARRAY_SIZE(sealnic_hw_counters) +
	       ARRAY_SIZE(sealnic_drv_counters) +
	       (1 + sn->max_qp) * SEALNIC_QP_COUNTERS +
	       sealnic_tls_stat_count(sn) + sealnic_tls_rx_stat_count(sn);
}

static void sealnic_stat_strings(struct sealnic *sn, u8 *p)
{
	unsigned int i, q;

	for (i = 0; i < ARRAY_SIZE(sealnic_tx_counters); i++)
		ethtool_sprintf(&p, "tx_%s", sealnic_tx_counters[i].name);
	for (i = 0; i < ARRAY_SIZE(sealnic_rx_counters); i++)
		ethtool_sprintf(&p, "rx_%s", sealnic_rx_counters[i].name);
	for (i = 0; i < ARRAY_SIZE(sealnic_drv_counters); i++)
		ethtool_puts(&p, sealnic_drv_counters[i].name);
	sealnic_tls_stat_strings(sn, &p);
	sealnic_tls_rx_stat_strings(sn, &p);
	for (i = 0; i < ARRAY_SIZE(sealnic_hw_counters); i++)
		ethtool_sprintf(&p, "hw_%s", sealnic_hw_counters[i].name);
	for (q = 0; q < sn->max_qp; q++) {
		for (i = 0; i < ARRAY_SIZE(sealnic_tx_counters); i++)
			ethtool_sprintf(&p, "tx%u_%s", q,
					sealnic_tx_counters[i].name);
		for (i = 0; i < ARRAY_SIZE(sealnic_rx_counters); i++)
			ethtool_sprintf(&p, "rx%u_%s", q,
					sealnic_rx_counters[i].name);
	}
}

/* One queue pair's counters, consistent for each direction */
static void sealnic_qp_stats(const struct sealnic_qp *qp, u64 *data)
{
	const void *tx = &qp->tx_stats, *rx = &qp->rx_stats;
	unsigned int i, start;

	do {
		start = u64_stats_fetch_begin(&qp->tx_stats.sync);
		for (i = 0; i < ARRAY_SIZE(sealnic_tx_counters); i++)
			data[i] = u64_stats_read(tx + sealnic_tx_counters[i].off);
	} while (u64_stats_fetch_retry(&qp->tx_stats.sync, start));
	data += ARRAY_SIZE(sealnic_tx_counters);

	do {
		start = u64_stats_fetch_begin(&qp->rx_stats.sync);
		for (i = 0; i < ARRAY_SIZE(sealnic_rx_counters); i++)
			data[i] = u64_stats_read(rx + sealnic_rx_counters[i].off);
	} while (u64_stats_fetch_retry(&qp->rx_stats.sync, start));
}

/* A device that does not answer shows what it last said */
static void sealnic_hw_stats(struct sealnic *sn, u64 *data)
{
	struct sealnic_cmd cmd = { .opcode = cpu_to_le16(SEALNIC_CMD_STATS) };
	struct sealnic_stats stats = {};
	unsigned int i;

	if (!sealnic_cmd_buf(sn, &cmd, &stats, sizeof(stats), true))
		sn->hw_stats = stats;
	for (i = 0; i < ARRAY_SIZE(sealnic_hw_counters); i++)
		data[i] = le64_to_cpu(*(__le64 *)((void *)&sn->hw_stats +
						  sealnic_hw_counters[i].off));
}

static void sealnic_get_ethtool_stats(struct net_device *netdev,
				      struct ethtool_stats *stats, u64 *data)
{
	struct sealnic *sn = netdev_priv(netdev);
	unsigned int i, q;
	u64 *sum = data;
	u64 *qps;

	memset(sum, 0, SEALNIC_QP_COUNTERS * sizeof(*sum));
	data += SEALNIC_QP_COUNTERS;

	for (i = 0; i < ARRAY_SIZE(sealnic_drv_counters); i++)
		*data++ = atomic64_read((void *)sn + sealnic_drv_counters[i].off);

	sealnic_tls_stats(sn, data);
	data += sealnic_tls_stat_count(sn);
	sealnic_tls_rx_stats(sn, data);
	data += sealnic_tls_rx_stat_count(sn);

	sealnic_hw_stats(sn, data);
	qps = data + ARRAY_SIZE(sealnic_hw_counters);

	for (q = 0; q < sn->max_qp; q++, qps += SEALNIC_QP_COUNTERS) {
		sealnic_qp_stats(&sn->qp[q], qps);
		for (i = 0; i < SEALNIC_QP_COUNTERS; i++)
			sum[i] += qps[i];
	}
}

static int sealnic_get_sset_count(struct net_device *netdev, int sset)
{
	struct sealnic *sn = netdev_priv(netdev);

	switch (sset) {
	case ETH_SS_STATS:
		return sealnic_stat_count(sn);
	case ETH_SS_TEST:
		return sealnic_selftest_count(sn);
	default:
		return -EOPNOTSUPP;
	}
}

static void sealnic_get_strings(struct net_device *netdev, u32 sset, u8 *data)
{
	struct sealnic *sn = netdev_priv(netdev);

	switch (sset) {
	case ETH_SS_STATS:
		sealnic_stat_strings(sn, data);
		break;
	case ETH_SS_TEST:
		sealnic_selftest_strings(sn, data);
		break;
	}
}

const struct ethtool_ops sealnic_ethtool_ops = {
	.supported_coalesce_params = ETHTOOL_COALESCE_USECS |
				     ETHTOOL_COALESCE_MAX_FRAMES,
	.get_drvinfo		= sealnic_get_drvinfo,
	.get_regs_len		= sealnic_get_regs_len,
	.get_regs		= sealnic_get_regs,
	.get_link		= ethtool_op_get_link,
	.get_link_ksettings	= sealnic_get_link_ksettings,
	.get_pauseparam		= sealnic_get_pauseparam,
	.set_pauseparam		= sealnic_set_pauseparam,
	.get_ringparam		= sealnic_get_ringparam,
	.set_ringparam		= sealnic_set_ringparam,
	.get_channels		= sealnic_get_channels,
	.set_channels		= sealnic_set_channels,
	.get_coalesce		= sealnic_get_coalesce,
	.set_coalesce		= sealnic_set_coalesce,
	.get_per_queue_coalesce	= sealnic_get_per_queue_coalesce,
	.set_per_queue_coalesce	= sealnic_set_per_queue_coalesce,
	.get_rxfh_key_size	= sealnic_get_rxfh_key_size,
	.get_rxfh_indir_size	= sealnic_get_rxfh_indir_size,
	.get_rxfh		= sealnic_get_rxfh,
	.set_rxfh		= sealnic_set_rxfh,
	.get_rxnfc		= sealnic_get_rxnfc,
	.set_rxnfc		= sealnic_set_rxnfc,
	.get_sset_count		= sealnic_get_sset_count,
	.get_strings		= sealnic_get_strings,
	.get_ethtool_stats	= sealnic_get_ethtool_stats,
	.self_test		= sealnic_selftest,
	.get_ts_info		= ethtool_op_get_ts_info,
};
