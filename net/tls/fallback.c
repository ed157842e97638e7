// SPDX-License-Identifier: GPL-2.0
/*
 * The software fallback: packets of a hw epoch that the device at hand cannot seal. Until there is
 * a hw engine there are none, so whatever comes here is dropped rather than sent in the clear.
 */
#include <crypto/scatterwalk.h>	/* modversions, as in device.c */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/skmsg.h>
#include "tls.h"

/**
 * tls_validate_xmit_skb() - last look at a packet that needs sealing
 * @sk: its socket
 * @dev: device it leaves by
 * @skb: the packet
 *
 * Return: NULL: no socket has this as its sk_validate_xmit_skb, so a packet that comes here is
 * nobody's, and dropped rather than sent in the clear.
 */
struct sk_buff *tls_validate_xmit_skb(struct sock *sk, struct net_device *dev, struct sk_buff *skb)
{
	kfree_skb(skb);
	return NULL;
}
EXPORT_SYMBOL_GPL(tls_validate_xmit_skb);

/**
 * tls_encrypt_skb() - seal a packet in software for a driver whose device cannot
 * @skb: the packet
 *
 * Return: NULL, and the packet is dropped rather than sent in the clear: no driver was ever given a
 * connection.
 */
struct sk_buff *tls_encrypt_skb(struct sk_buff *skb)
{
	kfree_skb(skb);
	return NULL;
}
EXPORT_SYMBOL_GPL(tls_encrypt_skb);
