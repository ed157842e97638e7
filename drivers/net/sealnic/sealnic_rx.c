// SPDX-License-Identifier: GPL-2.0
/*
 * The receive ring: NAPI's alone.  A buffer is a page of the page pool with
 * room in front for headers to come and behind for the skb's own bookkeeping,
 * so that the first buffer of a packet becomes its skb as it is.
 *
 * What a completion says of lengths and places is checked before it is used:
 * a device that is out of step is reset, not believed.
 */
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <net/page_pool/helpers.h>

#include "sealnic.h"
#include "sealnic_io.h"
#include "sealnic_tls.h"

#define SEALNIC_RX_HEADROOM	(NET_SKB_PAD + NET_IP_ALIGN)
#define SEALNIC_RX_LEN							\
	((u32)(PAGE_SIZE - SEALNIC_RX_HEADROOM -			\
	       SKB_DATA_ALIGN(sizeof(struct skb_shared_info))))
static_assert(PAGE_SIZE <= SEALNIC_MAX_RX_BUF);

/* Buffers are posted in batches: an index write and maybe a doorbell each */
#define SEALNIC_RX_BATCH	16
#define SEALNIC_RX_REFILL	(HZ / 10)

/**
 * sealnic_rx_pool() - a page pool for a receive ring
 * @qp: queue pair
 * @size: of the ring
 *
 * Return: page pool or ERR_PTR()
 */
struct page_pool *sealnic_rx_pool(struct sealnic_qp *qp, u32 size)
{
	struct page_pool_params pp = {
		.flags = PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV,
		.pool_size = size,
		.nid = dev_to_node(&qp->sn->pdev->dev),
		.dev = &qp->sn->pdev->dev,
		.napi = &qp->napi,
		.netdev = qp->sn->netdev,
		.queue_idx = qp->id,
		.dma_dir = DMA_FROM_DEVICE,
		.offset = SEALNIC_RX_HEADROOM,
		.max_len = SEALNIC_RX_LEN,
	};

	return page_pool_create(&pp);
}

static void sealnic_rx_flush(struct sealnic_rx_ring *ring)
{
	struct sealnic_qp *qp = ring->qp;
	u32 old = ring->posted;

	ring->posted = ring->prod;
	/* The descriptors before the index that gives them away */
	dma_wmb();
	sealnic_wr32(&qp->db->rx_prod, ring->prod);
	if (sealnic_kick(qp, &qp->status->rx_kick, old, ring->prod)) {
		u64_stats_update_begin(&qp->rx_stats.sync);
		u64_stats_inc(&qp->rx_stats.kicks);
		u64_stats_update_end(&qp->rx_stats.sync);
	}
}

/**
 * sealnic_rx_fill() - give the device all the buffers that fit
 * @ring: receive ring
 *
 * Without memory the next poll tries again; if there may be no next poll
 * because the device has no buffer to fill, a timer sees to it.
 *
 * Context: NAPI, or process with NAPI disabled
 */
void sealnic_rx_fill(struct sealnic_rx_ring *ring)
{
	u32 room = ring->size - (ring->prod - ring->cons);

	if (room < SEALNIC_RX_BATCH)
		return;

	for (; room; room--) {
		u32 i = ring->prod & (ring->size - 1);
		struct page *page = page_pool_dev_alloc_pages(ring->pool);

		if (unlikely(!page)) {
			struct sealnic_rx_stats *stats = &ring->qp->rx_stats;

			u64_stats_update_begin(&stats->sync);
			u64_stats_inc(&stats->alloc_failed);
			u64_stats_update_end(&stats->sync);
			break;
		}
		ring->page[i] = page;
		ring->desc[i].addr = cpu_to_le64(page_pool_get_dma_addr(page) +
						 SEALNIC_RX_HEADROOM);
		ring->desc[i].len = cpu_to_le32(SEALNIC_RX_LEN);
		ring->prod++;
		if (ring->prod - ring->posted == SEALNIC_RX_BATCH)
			sealnic_rx_flush(ring);
	}
	if (ring->prod != ring->posted)
		sealnic_rx_flush(ring);

	if (unlikely(ring->prod - ring->cons < SEALNIC_RX_BATCH))
		mod_timer(&ring->refill, jiffies + SEALNIC_RX_REFILL);
}

/**
 * sealnic_rx_refill_timer() - memory was short; perhaps it is not any more
 * @t: timer of the receive ring
 *
 * Context: softirq
 */
void sealnic_rx_refill_timer(struct timer_list *t)
{
	struct sealnic_rx_ring *ring = container_of(t, struct sealnic_rx_ring,
						    refill);

	napi_schedule(&ring->qp->napi);
}

static struct sealnic_rxc *sealnic_rx_next(const struct sealnic_rx_ring *ring)
{
	return &ring->rxc[ring->cons & (ring->size - 1)];
}

/**
 * sealnic_rx_pending() - is there something to receive?
 * @ring: receive ring
 *
 * Context: NAPI
 * Return: true if so
 */
bool sealnic_rx_pending(const struct sealnic_rx_ring *ring)
{
	u8 phase = ring->cons & ring->size ? 0 : SEALNIC_RXC_PHASE;

	return !ring->broken &&
	       (READ_ONCE(sealnic_rx_next(ring)->ctl) & SEALNIC_RXC_PHASE) == phase;
}

static void sealnic_rx_drop(struct sealnic_rx_ring *ring)
{
	struct sealnic_rx_stats *stats = &ring->qp->rx_stats;

	u64_stats_update_begin(&stats->sync);
	u64_stats_inc(&stats->dropped);
	u64_stats_update_end(&stats->sync);
}

/* Add a buffer to the packet at hand, which may begin with it */
static bool sealnic_rx_add(struct sealnic_rx_ring *ring, struct page *page,
			   u32 len)
{
	struct sk_buff *skb = ring->skb;

	page_pool_dma_sync_for_cpu(ring->pool, page, 0, len);

	if (!skb) {
		if (len < ETH_HLEN)
			return false;
		skb = napi_build_skb(page_address(page), PAGE_SIZE);
		if (unlikely(!skb)) {
			struct sealnic_rx_stats *stats = &ring->qp->rx_stats;

			u64_stats_update_begin(&stats->sync);
			u64_stats_inc(&stats->alloc_failed);
			u64_stats_update_end(&stats->sync);
			return false;
		}
		skb_reserve(skb, SEALNIC_RX_HEADROOM);
		__skb_put(skb, len);
		skb_mark_for_recycle(skb);
		ring->skb = skb;
		return true;
	}

	if (skb_shinfo(skb)->nr_frags == MAX_SKB_FRAGS)
		return false;
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page,
			SEALNIC_RX_HEADROOM, len, PAGE_SIZE);
	return true;
}

static void sealnic_rx_hash(struct sk_buff *skb, const struct sealnic_rxc *rxc)
{
	const u8 l4 = SEALNIC_HASH_IPV4_TCP | SEALNIC_HASH_IPV4_UDP |
		      SEALNIC_HASH_IPV6_TCP | SEALNIC_HASH_IPV6_UDP;

	if (rxc->hash_type)
		skb_set_hash(skb, le32_to_cpu(rxc->hash),
			     rxc->hash_type & l4 ? PKT_HASH_TYPE_L4 :
						   PKT_HASH_TYPE_L3);
}

/* The packet at hand is complete: fill in what its last completion says */
static void sealnic_rx_deliver(struct sealnic_rx_ring *ring,
			       const struct sealnic_rxc *rxc)
{
	struct sealnic_qp *qp = ring->qp;
	struct net_device *netdev = qp->sn->netdev;
	struct sealnic_rx_stats *stats = &qp->rx_stats;
	u32 flags = le32_to_cpu(rxc->flags);
	struct sk_buff *skb = ring->skb;

	ring->skb = NULL;

	u64_stats_update_begin(&stats->sync);
	u64_stats_inc(&stats->packets);
	u64_stats_add(&stats->bytes, skb->len);
	if (flags & SEALNIC_RX_L4_BAD)
		u64_stats_inc(&stats->csum_bad);
	else if (flags & SEALNIC_RX_L4_OK)
		u64_stats_inc(&stats->csum_ok);
	else
		u64_stats_inc(&stats->csum_none);
	u64_stats_update_end(&stats->sync);

	/* A bad one is left to the stack, which counts it where it belongs */
	if ((flags & SEALNIC_RX_L4_OK) && (netdev->features & NETIF_F_RXCSUM))
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	if (netdev->features & NETIF_F_RXHASH)
		sealnic_rx_hash(skb, rxc);
	if (flags & SEALNIC_RX_VLAN)
		__vlan_hwaccel_put_tag(skb, htons(ETH_P_8021Q),
				       le16_to_cpu(rxc->vlan_tci));
	skb_record_rx_queue(skb, qp->id);
	skb->protocol = eth_type_trans(skb, netdev);
	if (rxc->tls_ctx)
		sealnic_tls_rx(ring, skb, rxc);
	napi_gro_receive(&qp->napi, skb);
}

/* Returns whether a packet ended */
static bool sealnic_rx_one(struct sealnic_rx_ring *ring,
			   const struct sealnic_rxc *rxc)
{
	u32 i = ring->cons & (ring->size - 1);
	struct page *page = ring->page[i];
	u32 len = le16_to_cpu(rxc->len);

	if (unlikely(le16_to_cpu(rxc->index) != (u16)ring->cons ||
		     len > SEALNIC_RX_LEN || !page)) {
		ring->broken = true;
		sealnic_health_report(ring->qp->sn, SEALNIC_HEALTH_RING,
				      ring->qp->id);
		return false;
	}
	ring->page[i] = NULL;
	ring->cons++;

	if (unlikely(ring->drop || !sealnic_rx_add(ring, page, len))) {
		page_pool_put_full_page(ring->pool, page, true);
		if (!ring->drop) {
			sealnic_rx_drop(ring);
			dev_kfree_skb_any(ring->skb);
			ring->skb = NULL;
		}
		ring->drop = rxc->ctl & SEALNIC_RXC_MORE;
		return !ring->drop;
	}

	if (rxc->ctl & SEALNIC_RXC_MORE)
		return false;
	sealnic_rx_deliver(ring, rxc);
	return true;
}

/**
 * sealnic_rx_poll() - receive
 * @ring: receive ring
 * @budget: packets at most
 *
 * Context: NAPI
 * Return: packets received
 */
int sealnic_rx_poll(struct sealnic_rx_ring *ring, int budget)
{
	int work = 0;

	while (work < budget && sealnic_rx_pending(ring)) {
		struct sealnic_rxc rxc;

		/* The phase before the rest, which was written before it */
		dma_rmb();
		rxc = *sealnic_rx_next(ring);
		if (sealnic_rx_one(ring, &rxc))
			work++;
	}
	sealnic_rx_fill(ring);
	return work;
}

/**
 * sealnic_rx_purge() - take all buffers back
 * @ring: receive ring; neither NAPI nor device use it
 *
 * Context: process
 */
void sealnic_rx_purge(struct sealnic_rx_ring *ring)
{
	u32 i;

	for (i = 0; i < ring->size; i++) {
		if (ring->page[i])
			page_pool_put_full_page(ring->pool, ring->page[i],
						false);
		ring->page[i] = NULL;
	}
	dev_kfree_skb_any(ring->skb);
	ring->skb = NULL;
	ring->prod = 0;
	ring->posted = 0;
	ring->cons = 0;
	ring->drop = false;
	ring->broken = false;
}
