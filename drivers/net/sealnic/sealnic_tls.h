/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TLS transmit offload, as the rest of the driver sees it.
 */
#ifndef SEALNIC_TLS_H
#define SEALNIC_TLS_H

#include <linux/skbuff.h>

#include "sealnic.h"

/**
 * struct sealnic_tls_tx - what sealnic_tls_xmit() wants of a packet's descriptor
 * @ctx_id: the device's context
 * @seal: seal with it; otherwise the packet goes out as it is
 */
struct sealnic_tls_tx {
	u32 ctx_id;
	bool seal;
};

int sealnic_tls_init(struct sealnic *sn);
void sealnic_tls_fini(struct sealnic *sn);
void sealnic_tls_lost(struct sealnic *sn, u32 id);
void sealnic_tls_reset_done(struct sealnic *sn);
struct sk_buff *sealnic_tls_xmit(struct sealnic *sn,
				 struct sealnic_tx_ring *ring,
				 struct sk_buff *skb,
				 struct sealnic_tls_tx *tx);
void sealnic_tls_xmit_failed(struct sealnic *sn, struct sk_buff *skb,
			     const struct sealnic_tls_tx *tx);
u16 sealnic_tls_queue(struct sealnic *sn, struct sk_buff *skb);
int sealnic_tls_stat_count(struct sealnic *sn);
void sealnic_tls_stat_strings(struct sealnic *sn, u8 **p);
void sealnic_tls_stats(struct sealnic *sn, u64 *data);

#endif /* SEALNIC_TLS_H */
