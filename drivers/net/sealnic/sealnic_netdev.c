// SPDX-License-Identifier: GPL-2.0
/*
 * The network interface's operations other than transmit, and the port
 * settings behind them.  Everything here is under RTNL, except for the receive
 * filter, which the stack changes under a spinlock and rx_mode_work sends, and
 * for counters.
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/if_vlan.h>
#include <net/netdev_queues.h>
#include <net/tls.h>

#include "sealnic.h"
#include "sealnic_io.h"
#include "sealnic_tls.h"

#define SEALNIC_WATCHDOG	(5 * HZ)

/**
 * sealnic_port_set() - tell the device how the port is to be
 * @sn: device
 *
 * Context: process, RTNL
 * Return: as sealnic_cmd()
 */
int sealnic_port_set(struct sealnic *sn)
{
	struct sealnic_cmd cmd = { .opcode = cpu_to_le16(SEALNIC_CMD_SET_PORT) };
	struct net_device *netdev = sn->netdev;
	u32 flags = 0;

	if (test_bit(SEALNIC_DEV_UP, &sn->state))
		flags |= SEALNIC_PORT_ENABLE;
	if (netdev->features & NETIF_F_HW_VLAN_CTAG_RX)
		flags |= SEALNIC_PORT_VLAN_STRIP;
	if (netdev->features & NETIF_F_RXCSUM)
		flags |= SEALNIC_PORT_RX_CSUM;
	if (netdev->features & NETIF_F_RXHASH)
		flags |= SEALNIC_PORT_RX_HASH;
	if (sn->pause)
		flags |= SEALNIC_PORT_PAUSE;

	cmd.port.flags = cpu_to_le32(flags);
	cmd.port.mtu = cpu_to_le16(netdev->mtu);
	ether_addr_copy(cmd.port.mac, netdev->dev_addr);
	return sealnic_cmd(sn, &cmd, NULL);
}

/**
 * sealnic_rss_default() - spread evenly
 * @sn: device
 * @n: over this many queue pairs
 *
 * Context: RTNL
 */
void sealnic_rss_default(struct sealnic *sn, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < SEALNIC_RSS_TABLE; i++)
		sn->rss.table[i] = ethtool_rxfh_indir_default(i, n);
}

/**
 * sealnic_rss_set() - tell the device how to spread
 * @sn: device
 *
 * Context: process, RTNL
 * Return: as sealnic_cmd()
 */
int sealnic_rss_set(struct sealnic *sn)
{
	struct sealnic_cmd cmd = { .opcode = cpu_to_le16(SEALNIC_CMD_SET_RSS) };

	if (!(sn->features & SEALNIC_F_RSS))
		return 0;
	return sealnic_cmd_buf(sn, &cmd, &sn->rss, sizeof(sn->rss), false);
}

/* Under the address list's lock.  Returns how many were put into @mac. */
static unsigned int sealnic_rx_mode_list(struct netdev_hw_addr_list *list,
					 struct sealnic_mac *mac)
{
	struct netdev_hw_addr *ha;
	unsigned int n = 0;

	netdev_hw_addr_list_for_each(ha, list)
		ether_addr_copy(mac[n++].addr, ha->addr);
	return n;
}

/**
 * sealnic_rx_mode_set() - tell the device what to receive
 * @sn: device
 *
 * Lists that are longer than the device's make it receive everything of that
 * sort.  A device that does not run is told when it does.
 *
 * Context: process
 */
void sealnic_rx_mode_set(struct sealnic *sn)
{
	struct sealnic_mac mac[SEALNIC_MAX_UC + SEALNIC_MAX_MC] = {};
	struct sealnic_cmd cmd = {
		.opcode = cpu_to_le16(SEALNIC_CMD_SET_RX_MODE),
	};
	struct net_device *netdev = sn->netdev;
	u32 flags = SEALNIC_RX_BROADCAST;
	unsigned int uc = 0, mc = 0;

	mutex_lock(&sn->rx_mode_lock);
	netif_addr_lock_bh(netdev);
	if (netdev->flags & IFF_PROMISC ||
	    netdev_uc_count(netdev) > SEALNIC_MAX_UC)
		flags |= SEALNIC_RX_PROMISC;
	else
		uc = sealnic_rx_mode_list(&netdev->uc, mac);
	if (netdev->flags & IFF_ALLMULTI ||
	    netdev_mc_count(netdev) > SEALNIC_MAX_MC)
		flags |= SEALNIC_RX_ALLMULTI;
	else
		mc = sealnic_rx_mode_list(&netdev->mc, mac + uc);
	netif_addr_unlock_bh(netdev);

	cmd.rx_mode.flags = cpu_to_le32(flags);
	cmd.rx_mode.uc_count = cpu_to_le16(uc);
	cmd.rx_mode.mc_count = cpu_to_le16(mc);
	sealnic_cmd_buf(sn, &cmd, mac, (uc + mc) * sizeof(mac[0]), false);
	mutex_unlock(&sn->rx_mode_lock);
}

static void sealnic_rx_mode_work(struct work_struct *work)
{
	sealnic_rx_mode_set(container_of(work, struct sealnic, rx_mode_work));
}

static void sealnic_set_rx_mode(struct net_device *netdev)
{
	struct sealnic *sn = netdev_priv(netdev);

	schedule_work(&sn->rx_mode_work);
}

static int sealnic_open(struct net_device *netdev)
{
	struct sealnic *sn = netdev_priv(netdev);
	int err;

	if (sealnic_is_dead(sn))
		return -EIO;

	err = sealnic_ring_set_alloc(sn, &sn->set);
	if (err)
		return err;

	err = sealnic_up(sn);
	if (err)
		sealnic_ring_set_free(sn, &sn->set);
	return err;
}

static int sealnic_stop(struct net_device *netdev)
{
	struct sealnic *sn = netdev_priv(netdev);

	sealnic_down(sn);
	sealnic_link_update(sn);
	sealnic_ring_set_free(sn, &sn->set);
	return 0;
}

/* Receive buffers are pages, and a frame takes as many as it needs */
static int sealnic_change_mtu(struct net_device *netdev, int mtu)
{
	struct sealnic *sn = netdev_priv(netdev);
	int err, old = netdev->mtu;

	WRITE_ONCE(netdev->mtu, mtu);
	err = sealnic_port_set(sn);
	if (err)
		WRITE_ONCE(netdev->mtu, old);
	return err;
}

static int sealnic_set_mac_address(struct net_device *netdev, void *p)
{
	struct sealnic *sn = netdev_priv(netdev);
	struct sockaddr *addr = p;
	u8 old[ETH_ALEN];
	int err;

	if (!is_valid_ether_addr(addr->sa_data))
		return -EADDRNOTAVAIL;

	ether_addr_copy(old, netdev->dev_addr);
	eth_hw_addr_set(netdev, addr->sa_data);
	err = sealnic_port_set(sn);
	if (err)
		eth_hw_addr_set(netdev, old);
	return err;
}

static int sealnic_set_features(struct net_device *netdev,
				netdev_features_t features)
{
	const netdev_features_t port = NETIF_F_RXCSUM | NETIF_F_RXHASH |
				       NETIF_F_HW_VLAN_CTAG_RX;
	netdev_features_t old = netdev->features;
	struct sealnic *sn = netdev_priv(netdev);
	int err;

	if (!((features ^ old) & port))
		return 0;

	netdev->features = features;
	err = sealnic_port_set(sn);
	if (err)
		netdev->features = old;
	return err;
}

static void sealnic_tx_timeout(struct net_device *netdev, unsigned int txqueue)
{
	struct sealnic *sn = netdev_priv(netdev);

	atomic64_inc(&sn->tx_timeouts);
	sealnic_health_report(sn, SEALNIC_HEALTH_TX, txqueue);
}

static u16 sealnic_select_queue(struct net_device *netdev, struct sk_buff *skb,
				struct net_device *sb_dev)
{
	if (tls_is_skb_tx_device_offloaded(skb))
		return sealnic_tls_queue(netdev_priv(netdev), skb);
	return netdev_pick_tx(netdev, skb, sb_dev);
}

static void sealnic_get_stats64(struct net_device *netdev,
				struct rtnl_link_stats64 *stats)
{
	struct sealnic *sn = netdev_priv(netdev);
	unsigned int i, start;

	for (i = 0; i < sn->max_qp; i++) {
		const struct sealnic_tx_stats *tx = &sn->qp[i].tx_stats;
		const struct sealnic_rx_stats *rx = &sn->qp[i].rx_stats;
		u64 packets, bytes, dropped;

		do {
			start = u64_stats_fetch_begin(&tx->sync);
			packets = u64_stats_read(&tx->packets);
			bytes = u64_stats_read(&tx->bytes);
			dropped = u64_stats_read(&tx->dropped);
		} while (u64_stats_fetch_retry(&tx->sync, start));
		stats->tx_packets += packets;
		stats->tx_bytes += bytes;
		stats->tx_dropped += dropped;

		do {
			start = u64_stats_fetch_begin(&rx->sync);
			packets = u64_stats_read(&rx->packets);
			bytes = u64_stats_read(&rx->bytes);
			dropped = u64_stats_read(&rx->dropped);
		} while (u64_stats_fetch_retry(&rx->sync, start));
		stats->rx_packets += packets;
		stats->rx_bytes += bytes;
		stats->rx_dropped += dropped;
	}
}

static const struct net_device_ops sealnic_netdev_ops = {
	.ndo_open		= sealnic_open,
	.ndo_stop		= sealnic_stop,
	.ndo_start_xmit		= sealnic_start_xmit,
	.ndo_features_check	= sealnic_features_check,
	.ndo_select_queue	= sealnic_select_queue,
	.ndo_set_rx_mode	= sealnic_set_rx_mode,
	.ndo_set_mac_address	= sealnic_set_mac_address,
	.ndo_validate_addr	= eth_validate_addr,
	.ndo_change_mtu		= sealnic_change_mtu,
	.ndo_set_features	= sealnic_set_features,
	.ndo_tx_timeout		= sealnic_tx_timeout,
	.ndo_get_stats64	= sealnic_get_stats64,
};

static void sealnic_queue_stats_rx(struct net_device *netdev, int idx,
				   struct netdev_queue_stats_rx *stats)
{
	struct sealnic *sn = netdev_priv(netdev);
	const struct sealnic_rx_stats *rx = &sn->qp[idx].rx_stats;
	unsigned int start;

	do {
		start = u64_stats_fetch_begin(&rx->sync);
		stats->packets = u64_stats_read(&rx->packets);
		stats->bytes = u64_stats_read(&rx->bytes);
		stats->alloc_fail = u64_stats_read(&rx->alloc_failed);
		stats->csum_unnecessary = u64_stats_read(&rx->csum_ok);
		stats->csum_none = u64_stats_read(&rx->csum_none);
		stats->csum_bad = u64_stats_read(&rx->csum_bad);
	} while (u64_stats_fetch_retry(&rx->sync, start));
}

static void sealnic_queue_stats_tx(struct net_device *netdev, int idx,
				   struct netdev_queue_stats_tx *stats)
{
	struct sealnic *sn = netdev_priv(netdev);
	const struct sealnic_tx_stats *tx = &sn->qp[idx].tx_stats;
	const struct sealnic_rx_stats *rx = &sn->qp[idx].rx_stats;
	unsigned int start;

	do {
		start = u64_stats_fetch_begin(&tx->sync);
		stats->packets = u64_stats_read(&tx->packets);
		stats->bytes = u64_stats_read(&tx->bytes);
		stats->needs_csum = u64_stats_read(&tx->csum);
		stats->hw_gso_packets = u64_stats_read(&tx->tso);
		stats->stop = u64_stats_read(&tx->stop);
	} while (u64_stats_fetch_retry(&tx->sync, start));

	do {
		start = u64_stats_fetch_begin(&rx->sync);
		stats->wake = u64_stats_read(&rx->tx_wake);
	} while (u64_stats_fetch_retry(&rx->sync, start));
}

/* What queue pairs counted that are not in use now */
static void sealnic_base_stats(struct net_device *netdev,
			       struct netdev_queue_stats_rx *rx,
			       struct netdev_queue_stats_tx *tx)
{
	struct sealnic *sn = netdev_priv(netdev);

	rx->packets = 0;
	rx->bytes = 0;
	rx->alloc_fail = 0;
	rx->csum_unnecessary = 0;
	rx->csum_none = 0;
	rx->csum_bad = 0;
	tx->packets = 0;
	tx->bytes = 0;
	tx->needs_csum = 0;
	tx->hw_gso_packets = 0;
	tx->stop = 0;
	tx->wake = 0;

	netdev_stat_queue_sum(netdev, netdev->real_num_rx_queues, sn->max_qp, rx,
			      netdev->real_num_tx_queues, sn->max_qp, tx);
}

static const struct netdev_stat_ops sealnic_stat_ops = {
	.get_queue_stats_rx	= sealnic_queue_stats_rx,
	.get_queue_stats_tx	= sealnic_queue_stats_tx,
	.get_base_stats		= sealnic_base_stats,
};

/**
 * sealnic_netdev_alloc() - a network interface with an empty struct sealnic
 * @pdev: PCI function
 *
 * Return: the interface or NULL
 */
struct net_device *sealnic_netdev_alloc(struct pci_dev *pdev)
{
	struct net_device *netdev;
	struct sealnic *sn;

	netdev = alloc_etherdev_mqs(sizeof(*sn), SEALNIC_DRV_MAX_QP,
				    SEALNIC_DRV_MAX_QP);
	if (!netdev)
		return NULL;
	SET_NETDEV_DEV(netdev, &pdev->dev);

	sn = netdev_priv(netdev);
	sn->pdev = pdev;
	sn->netdev = netdev;
	mutex_init(&sn->rx_mode_lock);
	INIT_WORK(&sn->rx_mode_work, sealnic_rx_mode_work);
	return netdev;
}

/**
 * sealnic_netdev_init() - what the interface can do, and how it begins
 * @sn: device; max_qp is final
 *
 * Context: probe
 */
void sealnic_netdev_init(struct sealnic *sn)
{
	struct net_device *netdev = sn->netdev;
	unsigned int i;

	netdev->netdev_ops = &sealnic_netdev_ops;
	netdev->ethtool_ops = &sealnic_ethtool_ops;
	netdev->stat_ops = &sealnic_stat_ops;
	netdev->watchdog_timeo = SEALNIC_WATCHDOG;
	netdev->priv_flags |= IFF_UNICAST_FLT;
	netdev->min_mtu = SEALNIC_MIN_MTU;
	netdev->max_mtu = sn->max_mtu;

	netdev->hw_features = NETIF_F_SG | NETIF_F_HIGHDMA;
	if (sn->features & SEALNIC_F_CSUM)
		netdev->hw_features |= NETIF_F_HW_CSUM | NETIF_F_RXCSUM;
	if (sn->features & SEALNIC_F_TSO)
		netdev->hw_features |= NETIF_F_TSO | NETIF_F_TSO6 |
				       NETIF_F_TSO_ECN;
	netdev->vlan_features = netdev->hw_features;
	if (sn->features & SEALNIC_F_RSS)
		netdev->hw_features |= NETIF_F_RXHASH;
	if (sn->features & SEALNIC_F_VLAN)
		netdev->hw_features |= NETIF_F_HW_VLAN_CTAG_TX |
				       NETIF_F_HW_VLAN_CTAG_RX;
	netdev->features = netdev->hw_features;

	netif_set_tso_max_size(netdev, SEALNIC_MAX_TSO);
	netif_set_tso_max_segs(netdev, SEALNIC_MAX_TSO / SEALNIC_MIN_MSS);

	sn->pause = sn->features & SEALNIC_F_PAUSE;

	for (i = 0; i < sn->max_qp; i++)
		sn->qp[i].coal = (struct sealnic_coal) {
			.rx_usecs = 20, .rx_frames = 32,
			.tx_usecs = 50, .tx_frames = 64,
		};

	sn->set.n = min(sn->max_qp, num_online_cpus());
	sn->set.tx_size = min_t(u32, SEALNIC_TX_DEFAULT, sn->max_ring);
	sn->set.rx_size = min_t(u32, SEALNIC_RX_DEFAULT, sn->max_ring);
	netif_set_real_num_tx_queues(netdev, sn->set.n);
	netif_set_real_num_rx_queues(netdev, sn->set.n);

	netdev_rss_key_fill(sn->rss.key, sizeof(sn->rss.key));
	sn->rss.hash_types = cpu_to_le32(SEALNIC_HASH_IPV4 |
					 SEALNIC_HASH_IPV4_TCP |
					 SEALNIC_HASH_IPV4_UDP |
					 SEALNIC_HASH_IPV6 |
					 SEALNIC_HASH_IPV6_TCP |
					 SEALNIC_HASH_IPV6_UDP);
	sealnic_rss_default(sn, sn->set.n);

	netif_carrier_off(netdev);
}
