/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TLS offload, as the rest of the driver sees it, and what its two directions
 * share.
 */
#ifndef SEALNIC_TLS_H
#define SEALNIC_TLS_H

#include <linux/skbuff.h>

#include "sealnic.h"

struct sealnic_tls;
struct sock;
struct tls_context;
struct tls_crypto_info;

/**
 * struct sealnic_tls_tx - what sealnic_tls_xmit() wants of a packet's descriptor
 * @ctx_id: the device's context
 * @tls: ours of it; NULL if the packet goes out as it is
 */
struct sealnic_tls_tx {
	u32 ctx_id;
	struct sealnic_tls *tls;
};

/* sealnic_tls.c: transmit direction, and what the core calls */
int sealnic_tls_init(struct sealnic *sn);
void sealnic_tls_fini(struct sealnic *sn);
void sealnic_tls_lost(struct sealnic *sn, u32 id);
void sealnic_tls_reset_done(struct sealnic *sn);
struct sk_buff *sealnic_tls_xmit(struct sealnic *sn,
				 struct sealnic_tx_ring *ring,
				 struct sk_buff *skb,
				 struct sealnic_tls_tx *tx);
void sealnic_tls_xmit_failed(const struct sealnic_tls_tx *tx);
u16 sealnic_tls_queue(struct sealnic *sn, struct sk_buff *skb);
int sealnic_tls_stat_count(struct sealnic *sn);
void sealnic_tls_stat_strings(struct sealnic *sn, u8 **p);
void sealnic_tls_stats(struct sealnic *sn, u64 *data);
int sealnic_tls_cmd_init(struct sealnic *sn, struct sealnic_cmd *cmd,
			 enum sealnic_tls_dir direction,
			 struct tls_crypto_info *info);
int sealnic_tls_remove(struct sealnic *sn, u32 id, struct sealnic_event *ev);

/* sealnic_tls_rx.c: receive direction */
int sealnic_tls_rx_init(struct sealnic *sn);
void sealnic_tls_rx_fini(struct sealnic *sn);
int sealnic_tls_rx_add(struct sealnic *sn, struct sock *sk,
		       struct tls_crypto_info *info, u32 start_seq);
void sealnic_tls_rx_del(struct sealnic *sn, struct tls_context *ctx);
int sealnic_tls_rx_resync(struct sealnic *sn, struct sock *sk, u32 seq,
			  u64 rec_no);
void sealnic_tls_rx_answer(struct sealnic *sn, int err);
void sealnic_tls_rx(struct sealnic_rx_ring *ring, struct sk_buff *skb,
		    const struct sealnic_rxc *rxc);
void sealnic_tls_rx_reset_done(struct sealnic *sn);
void sealnic_tls_rx_readd(struct sealnic *sn);
int sealnic_tls_rx_stat_count(struct sealnic *sn);
void sealnic_tls_rx_stat_strings(struct sealnic *sn, u8 **p);
void sealnic_tls_rx_stats(struct sealnic *sn, u64 *data);

#endif /* SEALNIC_TLS_H */
