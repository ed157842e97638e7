// SPDX-License-Identifier: GPL-2.0
/*
 * What NIC drivers link to. Until there is a hw engine, every epoch is software's: no packet ever
 * needs a device, and what a driver asks here has one answer.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
/* For modversions: drivers know struct sock with all that this declares */
#include <linux/skmsg.h>
#include "tls.h"
#include "trace.h"

/**
 * tls_device_sk_destruct() - destructor of sockets that have device state
 * @sk: the socket
 *
 * Drivers compare sk->sk_destruct with it to find out whether a socket is offloaded.
 */
void tls_device_sk_destruct(struct sock *sk)
{
}
EXPORT_SYMBOL_GPL(tls_device_sk_destruct);

/**
 * tls_offload_tx_resync_request() - a driver lost its place in the stream
 * @sk: the socket
 * @got_seq: TCP sequence number of the packet it got
 * @exp_seq: the one it expected
 */
void tls_offload_tx_resync_request(struct sock *sk, u32 got_seq, u32 exp_seq)
{
}
EXPORT_SYMBOL_GPL(tls_offload_tx_resync_request);

/**
 * tls_get_record() - find the record that a byte of the stream belongs to
 * @context: the connection's device state
 * @seq: TCP sequence number of the byte
 * @p_record_sn: set to the record's number
 *
 * Return: NULL: there is none.
 */
struct tls_record_info *tls_get_record(struct tls_offload_context_tx *context, u32 seq,
				       u64 *p_record_sn)
{
	return NULL;
}
EXPORT_SYMBOL(tls_get_record);
