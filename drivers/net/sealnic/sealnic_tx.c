// SPDX-License-Identifier: GPL-2.0
/*
 * The transmit ring: filled by ndo_start_xmit under the netdev_queue's lock,
 * emptied by NAPI.
 */
#include <linux/dma-mapping.h>
#include <linux/if_vlan.h>
#include <linux/tcp.h>
#include <net/gso.h>
#include <net/netdev_queues.h>
#include <net/tls.h>

#include "sealnic_io.h"
#include "sealnic_tls.h"
#include "sealnic_tx.h"

static_assert(MAX_SKB_FRAGS + 1 <= SEALNIC_MAX_PKT_DESC);

static struct netdev_queue *sealnic_txq(const struct sealnic_tx_ring *ring)
{
	return netdev_get_tx_queue(ring->qp->sn->netdev, ring->qp->id);
}

/**
 * sealnic_tx_claim() - take the next descriptor
 * @ring: transmit ring; sealnic_tx_avail() is not zero
 * @bufp: where to note what has to be undone when it is done
 *
 * Context: the netdev_queue's lock
 * Return: descriptor, zeroed like its note
 */
struct sealnic_txd *sealnic_tx_claim(struct sealnic_tx_ring *ring,
				     struct sealnic_tx_buf **bufp)
{
	u32 i = ring->prod++ & (ring->size - 1);

	ring->buf[i] = (struct sealnic_tx_buf){};
	ring->desc[i] = (struct sealnic_txd){};
	*bufp = &ring->buf[i];
	return &ring->desc[i];
}

static int sealnic_tx_mapped(struct sealnic_tx_ring *ring,
			     struct sealnic_txd *txd,
			     struct sealnic_tx_buf *buf,
			     enum sealnic_tx_kind kind, dma_addr_t dma, u32 len)
{
	if (dma_mapping_error(&ring->qp->sn->pdev->dev, dma))
		return -ENOMEM;

	txd->addr = cpu_to_le64(dma);
	txd->len = cpu_to_le32(len);
	buf->dma = dma;
	buf->len = len;
	buf->kind = kind;
	return 0;
}

/**
 * sealnic_tx_map_single() - a descriptor's bytes are in the kernel's memory
 * @ring: transmit ring
 * @txd: descriptor
 * @buf: its note
 * @data: bytes
 * @len: how many
 *
 * Context: the netdev_queue's lock
 * Return: 0 or -ENOMEM
 */
int sealnic_tx_map_single(struct sealnic_tx_ring *ring,
			  struct sealnic_txd *txd, struct sealnic_tx_buf *buf,
			  void *data, u32 len)
{
	dma_addr_t dma = dma_map_single(&ring->qp->sn->pdev->dev, data, len,
					DMA_TO_DEVICE);

	return sealnic_tx_mapped(ring, txd, buf, SEALNIC_TX_SINGLE, dma, len);
}

/**
 * sealnic_tx_map_frag() - a descriptor's bytes are in a page fragment
 * @ring: transmit ring
 * @txd: descriptor
 * @buf: its note
 * @frag: fragment; its page stays referenced by somebody until the descriptor
 *	is done, for instance by @buf->page
 * @off: where in the fragment to begin
 * @len: how many bytes
 *
 * Context: the netdev_queue's lock
 * Return: 0 or -ENOMEM
 */
int sealnic_tx_map_frag(struct sealnic_tx_ring *ring, struct sealnic_txd *txd,
			struct sealnic_tx_buf *buf, const skb_frag_t *frag,
			u32 off, u32 len)
{
	dma_addr_t dma = skb_frag_dma_map(&ring->qp->sn->pdev->dev, frag, off,
					  len, DMA_TO_DEVICE);

	return sealnic_tx_mapped(ring, txd, buf, SEALNIC_TX_PAGE, dma, len);
}

/* Everything but the skb */
static void sealnic_tx_release(struct sealnic_tx_ring *ring,
			       struct sealnic_tx_buf *buf)
{
	struct device *dev = &ring->qp->sn->pdev->dev;

	switch (buf->kind) {
	case SEALNIC_TX_NONE:
		break;
	case SEALNIC_TX_SINGLE:
		dma_unmap_single(dev, buf->dma, buf->len, DMA_TO_DEVICE);
		break;
	case SEALNIC_TX_PAGE:
		dma_unmap_page(dev, buf->dma, buf->len, DMA_TO_DEVICE);
		break;
	}
	buf->kind = SEALNIC_TX_NONE;

	if (buf->page)
		put_page(buf->page);
	buf->page = NULL;
}

/**
 * sealnic_tx_unwind() - take back descriptors that the device was not told of
 * @ring: transmit ring
 * @start: value of @ring->prod to return to
 *
 * Notes of skbs are forgotten; the skbs remain the caller's.
 *
 * Context: the netdev_queue's lock
 */
void sealnic_tx_unwind(struct sealnic_tx_ring *ring, u32 start)
{
	while (ring->prod != start) {
		struct sealnic_tx_buf *buf;

		buf = &ring->buf[--ring->prod & (ring->size - 1)];
		sealnic_tx_release(ring, buf);
		buf->skb = NULL;
	}
}

/* Tell the device of everything that was claimed */
static void sealnic_tx_flush(struct sealnic_tx_ring *ring)
{
	struct sealnic_qp *qp = ring->qp;
	u32 old = ring->posted;

	if (ring->prod == old)
		return;

	WRITE_ONCE(ring->posted, ring->prod);
	/*
	 * The descriptors, and what NAPI checks against, before the index that
	 * gives them away.  Pairs with sealnic_tx_clean().
	 */
	dma_wmb();
	sealnic_wr32(&qp->db->tx_prod, ring->prod);
	if (sealnic_kick(qp, &qp->status->tx_kick, old, ring->prod)) {
		u64_stats_update_begin(&qp->tx_stats.sync);
		u64_stats_inc(&qp->tx_stats.kicks);
		u64_stats_update_end(&qp->tx_stats.sync);
	}
}

/* What the device has to do to the packet */
static void sealnic_tx_offloads(struct sk_buff *skb, struct sealnic_txd *txd,
				const struct sealnic_tls_tx *tls)
{
	u16 flags = 0;

	if (skb_is_gso(skb)) {
		flags |= SEALNIC_TX_TSO;
		txd->pkt.mss = cpu_to_le16(skb_shinfo(skb)->gso_size);
	} else if (skb->ip_summed == CHECKSUM_PARTIAL) {
		flags |= SEALNIC_TX_CSUM;
		txd->pkt.l4_off = skb_checksum_start_offset(skb);
		txd->pkt.csum_off = skb->csum_offset;
	}
	if (tls->tls) {
		flags |= SEALNIC_TX_TLS;
		txd->pkt.tls_ctx = cpu_to_le32(tls->ctx_id);
	}
	if (flags & (SEALNIC_TX_TSO | SEALNIC_TX_TLS)) {
		txd->pkt.l3_off = skb_network_offset(skb);
		txd->pkt.l4_off = skb_transport_offset(skb);
		txd->pkt.hdr_len = skb_tcp_all_headers(skb);
	}
	if (skb_vlan_tag_present(skb)) {
		flags |= SEALNIC_TX_VLAN;
		txd->pkt.vlan_tci = cpu_to_le16(skb_vlan_tag_get(skb));
	}
	txd->flags = cpu_to_le16(flags);
}

/* One PKT, then a SEG for each fragment.  All or nothing. */
static int sealnic_tx_packet(struct sealnic_tx_ring *ring, struct sk_buff *skb,
			     const struct sealnic_tls_tx *tls)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);
	struct sealnic_txd *txd, *first;
	struct sealnic_tx_buf *buf;
	u32 start = ring->prod;
	unsigned int i;

	first = sealnic_tx_claim(ring, &buf);
	if (sealnic_tx_map_single(ring, first, buf, skb->data, skb_headlen(skb)))
		goto err;
	first->type = SEALNIC_TXD_PKT;
	sealnic_tx_offloads(skb, first, tls);

	for (i = 0; i < shinfo->nr_frags; i++) {
		const skb_frag_t *frag = &shinfo->frags[i];

		/* The device takes no empty descriptor */
		if (unlikely(!skb_frag_size(frag)))
			continue;
		txd = sealnic_tx_claim(ring, &buf);
		if (sealnic_tx_map_frag(ring, txd, buf, frag, 0,
					skb_frag_size(frag)))
			goto err;
		txd->type = SEALNIC_TXD_SEG;
	}
	first->count = ring->prod - start;
	/* The packet is done when its last descriptor is */
	buf->skb = skb;
	return 0;

err:
	sealnic_tx_unwind(ring, start);
	return -ENOMEM;
}

/*
 * A descriptor that makes no sense costs the queue pair.  Raw sockets and
 * virtual machines behind a bridge can make packets that no NIC can send.
 */
static bool sealnic_tx_sane(const struct sk_buff *skb)
{
	if (skb_headlen(skb) < ETH_HLEN)
		return false;
	if (!skb_is_gso(skb))
		return skb->len <= SEALNIC_MAX_MTU + VLAN_ETH_HLEN;
	return skb->len - skb_tcp_all_headers(skb) <= SEALNIC_MAX_TSO &&
	       skb->len > skb_tcp_all_headers(skb);
}

static void sealnic_tx_count(struct sealnic_tx_stats *stats,
			     struct sk_buff *skb)
{
	unsigned int segs = skb_shinfo(skb)->gso_segs ?: 1;
	unsigned int bytes = skb->len;

	if (skb_is_gso(skb))
		bytes += (segs - 1) * skb_tcp_all_headers(skb);

	u64_stats_update_begin(&stats->sync);
	u64_stats_add(&stats->packets, segs);
	u64_stats_add(&stats->bytes, bytes);
	if (skb_is_gso(skb))
		u64_stats_inc(&stats->tso);
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		u64_stats_inc(&stats->csum);
	u64_stats_update_end(&stats->sync);
}

/**
 * sealnic_start_xmit() - ndo_start_xmit
 * @skb: packet
 * @netdev: network interface
 *
 * Context: the netdev_queue's lock, softirqs off
 * Return: NETDEV_TX_OK, or NETDEV_TX_BUSY if the stack overlooked a stop
 */
netdev_tx_t sealnic_start_xmit(struct sk_buff *skb, struct net_device *netdev)
{
	struct sealnic *sn = netdev_priv(netdev);
	struct sealnic_qp *qp = &sn->qp[skb_get_queue_mapping(skb)];
	struct sealnic_tx_stats *stats = &qp->tx_stats;
	struct sealnic_tx_ring *ring = &qp->rings->tx;
	struct netdev_queue *txq = sealnic_txq(ring);
	struct sealnic_tls_tx tls = {};
	bool map_failed = false;
	bool flush = !netdev_xmit_more();

	if (unlikely(sealnic_is_dead(sn)))
		goto drop;

	if (!netif_txq_maybe_stop(txq, sealnic_tx_avail(ring), SEALNIC_TX_STOP,
				  SEALNIC_TX_WAKE))
		return NETDEV_TX_BUSY;

	if (unlikely(!sealnic_tx_sane(skb)))
		goto drop;

	if (tls_is_skb_tx_device_offloaded(skb)) {
		skb = sealnic_tls_xmit(sn, ring, skb, &tls);
		if (!skb) {
			u64_stats_update_begin(&stats->sync);
			u64_stats_inc(&stats->dropped);
			u64_stats_update_end(&stats->sync);
			goto out;
		}
	}

	if (unlikely(sealnic_tx_packet(ring, skb, &tls))) {
		if (tls.tls)
			sealnic_tls_xmit_failed(&tls);
		map_failed = true;
		goto drop;
	}
	skb_tx_timestamp(skb);
	sealnic_tx_count(stats, skb);

	/* Before the device, and so NAPI, can know of the packet */
	flush = __netdev_tx_sent_queue(txq, skb->len, netdev_xmit_more());
	goto out;

drop:
	u64_stats_update_begin(&stats->sync);
	u64_stats_inc(&stats->dropped);
	if (map_failed)
		u64_stats_inc(&stats->map_failed);
	u64_stats_update_end(&stats->sync);
	dev_kfree_skb_any(skb);
out:
	if (!netif_txq_maybe_stop(txq, sealnic_tx_avail(ring), SEALNIC_TX_STOP,
				  SEALNIC_TX_WAKE)) {
		u64_stats_update_begin(&stats->sync);
		u64_stats_inc(&stats->stop);
		u64_stats_update_end(&stats->sync);
		flush = true;
	}
	/* Those that came before may have left it to this one, sent or not */
	if (flush)
		sealnic_tx_flush(ring);
	return NETDEV_TX_OK;
}

/**
 * sealnic_features_check() - ndo_features_check
 * @skb: packet
 * @netdev: network interface
 * @features: what the interface could do for packets in general
 *
 * Context: any
 * Return: what it can do for this one
 */
netdev_features_t sealnic_features_check(struct sk_buff *skb,
					 struct net_device *netdev,
					 netdev_features_t features)
{
	const netdev_features_t l4 = NETIF_F_CSUM_MASK | NETIF_F_GSO_MASK;

	features = vlan_features_check(skb, features);

	if (skb->ip_summed == CHECKSUM_PARTIAL &&
	    (skb_checksum_start_offset(skb) > U8_MAX ||
	     skb->csum_offset > U8_MAX || skb->encapsulation))
		return features & ~l4;

	if (skb_is_gso(skb) &&
	    (!sealnic_plain_ip(skb) ||
	     skb_tcp_all_headers(skb) > SEALNIC_MAX_HDR ||
	     skb_shinfo(skb)->gso_size < SEALNIC_MIN_MSS ||
	     !skb_gso_validate_network_len(skb, SEALNIC_MAX_MTU)))
		features &= ~NETIF_F_GSO_MASK;

	return features;
}

/**
 * sealnic_tx_pending() - is there something to complete?
 * @ring: transmit ring
 *
 * Context: NAPI
 * Return: true if so
 */
bool sealnic_tx_pending(const struct sealnic_tx_ring *ring)
{
	return !ring->broken &&
	       sealnic_rd32(&ring->qp->status->tx_cons) != ring->cons;
}

/**
 * sealnic_tx_clean() - complete what the device is done with
 * @ring: transmit ring
 * @budget: of the NAPI poll
 *
 * Context: NAPI
 */
void sealnic_tx_clean(struct sealnic_tx_ring *ring, int budget)
{
	struct sealnic_qp *qp = ring->qp;
	struct netdev_queue *txq = sealnic_txq(ring);
	unsigned int pkts = 0, bytes = 0;
	u32 cons = ring->cons;
	u32 done;

	done = sealnic_rd32(&qp->status->tx_cons);
	if (done == cons || ring->broken)
		return;
	/* Completed, so posted before: pairs with sealnic_tx_flush() */
	dma_rmb();
	if (unlikely(done - cons > READ_ONCE(ring->posted) - cons)) {
		ring->broken = true;
		sealnic_health_report(qp->sn, SEALNIC_HEALTH_RING, qp->id);
		return;
	}

	for (; cons != done; cons++) {
		struct sealnic_tx_buf *buf = &ring->buf[cons & (ring->size - 1)];

		sealnic_tx_release(ring, buf);
		if (!buf->skb)
			continue;
		pkts++;
		bytes += buf->skb->len;
		napi_consume_skb(buf->skb, budget);
		buf->skb = NULL;
	}
	/* The notes are read before they are anybody's to overwrite */
	smp_store_release(&ring->cons, cons);
	WRITE_ONCE(qp->tx_done, cons);

	netdev_tx_completed_queue(txq, pkts, bytes);
	/* The index before the queue's state; pairs with netif_txq_try_stop() */
	smp_mb();
	if (unlikely(netif_tx_queue_stopped(txq)) &&
	    sealnic_tx_avail(ring) >= SEALNIC_TX_WAKE &&
	    test_bit(SEALNIC_DEV_UP, &qp->sn->state)) {
		netif_tx_wake_queue(txq);
		u64_stats_update_begin(&qp->rx_stats.sync);
		u64_stats_inc(&qp->rx_stats.tx_wake);
		u64_stats_update_end(&qp->rx_stats.sync);
	}
}

/**
 * sealnic_tx_purge() - forget what the device will never send
 * @ring: transmit ring; neither stack nor NAPI nor device use it
 *
 * Context: process
 */
void sealnic_tx_purge(struct sealnic_tx_ring *ring)
{
	u32 cons;

	for (cons = ring->cons; cons != ring->prod; cons++) {
		struct sealnic_tx_buf *buf = &ring->buf[cons & (ring->size - 1)];

		sealnic_tx_release(ring, buf);
		dev_kfree_skb_any(buf->skb);
		buf->skb = NULL;
	}
	ring->prod = 0;
	ring->posted = 0;
	ring->cons = 0;
	ring->broken = false;
	netdev_tx_reset_queue(sealnic_txq(ring));
}
