/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Building transmit descriptors: between sealnic_tx.c and sealnic_tls.c.
 *
 * All of it runs under the netdev_queue's lock, in ndo_start_xmit.  Nothing
 * is seen by the device before ndo_start_xmit returns.
 */
#ifndef SEALNIC_TX_H
#define SEALNIC_TX_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>

#include "sealnic.h"

/**
 * sealnic_tx_avail() - free descriptors
 * @ring: transmit ring
 *
 * When ndo_start_xmit begins with a packet there are SEALNIC_TX_STOP at least,
 * of which the packet itself needs up to SEALNIC_MAX_PKT_DESC.
 *
 * Return: number of descriptors that may still be claimed
 */
static inline u32 sealnic_tx_avail(const struct sealnic_tx_ring *ring)
{
	return ring->size - (ring->prod - READ_ONCE(ring->cons));
}

/**
 * sealnic_plain_ip() - may the device make a TCP checksum?
 * @skb: TCP packet
 *
 * It takes the addresses for it from the IP header.  With IP options or
 * extension headers the one that counts may be another (RFC 8200 8.1).
 *
 * Return: true if there are neither
 */
static inline bool sealnic_plain_ip(const struct sk_buff *skb)
{
	u32 plain = ip_hdr(skb)->version == 6 ? sizeof(struct ipv6hdr) :
						sizeof(struct iphdr);

	return skb_network_header_len(skb) == plain;
}

struct sealnic_txd *sealnic_tx_claim(struct sealnic_tx_ring *ring,
				     struct sealnic_tx_buf **bufp);
int sealnic_tx_map_single(struct sealnic_tx_ring *ring,
			  struct sealnic_txd *txd, struct sealnic_tx_buf *buf,
			  void *data, u32 len);
int sealnic_tx_map_frag(struct sealnic_tx_ring *ring, struct sealnic_txd *txd,
			struct sealnic_tx_buf *buf, const skb_frag_t *frag,
			u32 off, u32 len);
void sealnic_tx_unwind(struct sealnic_tx_ring *ring, u32 start);

#endif /* SEALNIC_TX_H */
