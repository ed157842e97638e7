// SPDX-License-Identifier: GPL-2.0
/*
 * Counters of each network namespace: /proc/net/tls_stat. The names are an interface, shared with
 * the kernel's own module; this file owns them and the counters. No locks: counters belong to a
 * CPU.
 */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include "tls.h"

struct tls_net {
	struct tls_stats __percpu *stats;
};

static unsigned int tls_net_id __read_mostly;

static const char * const names[TLS_STAT_NUM] = {
	[TLS_STAT_CURR_TX_SW] = "TlsCurrTxSw",
	[TLS_STAT_CURR_RX_SW] = "TlsCurrRxSw",
	[TLS_STAT_CURR_TX_DEVICE] = "TlsCurrTxDevice",
	[TLS_STAT_CURR_RX_DEVICE] = "TlsCurrRxDevice",
	[TLS_STAT_TX_SW] = "TlsTxSw",
	[TLS_STAT_RX_SW] = "TlsRxSw",
	[TLS_STAT_TX_DEVICE] = "TlsTxDevice",
	[TLS_STAT_RX_DEVICE] = "TlsRxDevice",
	[TLS_STAT_DECRYPT_ERROR] = "TlsDecryptError",
	[TLS_STAT_RX_DEVICE_RESYNC] = "TlsRxDeviceResync",
	[TLS_STAT_DECRYPT_RETRY] = "TlsDecryptRetry",
	[TLS_STAT_RX_NO_PAD_VIOLATION] = "TlsRxNoPadViolation",
	[TLS_STAT_RX_REKEY_OK] = "TlsRxRekeyOk",
	[TLS_STAT_RX_REKEY_ERROR] = "TlsRxRekeyError",
	[TLS_STAT_TX_REKEY_OK] = "TlsTxRekeyOk",
	[TLS_STAT_TX_REKEY_ERROR] = "TlsTxRekeyError",
	[TLS_STAT_RX_REKEY_RECEIVED] = "TlsRxRekeyReceived",
	[TLS_STAT_CURR_TX_REKEY] = "TlsCurrTxRekey",
	[TLS_STAT_CURR_RX_REKEY] = "TlsCurrRxRekey",
	[TLS_STAT_TX_REKEY_ABORTED] = "TlsTxRekeyAborted",
	[TLS_STAT_RX_REKEY_ABORTED] = "TlsRxRekeyAborted",
	[TLS_STAT_TX_REKEY_FALLBACK] = "TlsTxRekeyFallback",
	[TLS_STAT_RX_REKEY_FALLBACK] = "TlsRxRekeyFallback",
	[TLS_STAT_TX_SW_RECORDS] = "TlsTxSwRecords",
	[TLS_STAT_RX_SW_RECORDS] = "TlsRxSwRecords",
	[TLS_STAT_TX_DEVICE_RECORDS] = "TlsTxDeviceRecords",
	[TLS_STAT_RX_DEVICE_RECORDS] = "TlsRxDeviceRecords",
	[TLS_STAT_RX_PARTIAL_RECORDS] = "TlsRxPartialRecords",
	[TLS_STAT_TX_FALLBACK] = "TlsTxFallback",
	[TLS_STAT_TX_FALLBACK_DROP] = "TlsTxFallbackDrop",
	[TLS_STAT_TX_DEVICE_RESYNC] = "TlsTxDeviceResync",
#define WHY(why, name)								\
	[TLS_STAT_TX_WHY + (why) - 1] = "TlsTxSw" name,				\
	[TLS_STAT_RX_WHY + (why) - 1] = "TlsRxSw" name
	WHY(TLS_WHY_NO_DEVICE, "NoDevice"),
	WHY(TLS_WHY_FEATURE, "Feature"),
	WHY(TLS_WHY_VERSION, "Version"),
	WHY(TLS_WHY_CIPHER, "Cipher"),
	WHY(TLS_WHY_TABLE_FULL, "TableFull"),
	WHY(TLS_WHY_REFUSED, "Refused"),
	WHY(TLS_WHY_DOWN, "Down"),
	WHY(TLS_WHY_REKEY, "Rekey"),
	[TLS_STAT_TX_WHY + TLS_WHY_ROUTE - 1] = "TlsTxSwRoute",
};

/**
 * tls_stats() - find the counters of a namespace
 * @net: the namespace
 *
 * Return: they live as long as it does.
 */
struct tls_stats __percpu *tls_stats(const struct net *net)
{
	struct tls_net *tn = net_generic(net, tls_net_id);

	return tn->stats;
}

static int tls_stat_show(struct seq_file *seq, void *v)
{
	struct tls_net *net = net_generic(seq->private, tls_net_id);
	int i, cpu;

	for (i = 0; i < TLS_STAT_NUM; i++) {
		unsigned long sum = 0;

		if (!names[i])
			continue;
		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu_ptr(net->stats, cpu)->count[i]);
		seq_printf(seq, "%-32s\t%lu\n", names[i], sum);
	}
	return 0;
}

static int __net_init tls_net_init(struct net *net)
{
	struct tls_net *tn = net_generic(net, tls_net_id);

	tn->stats = alloc_percpu(struct tls_stats);
	if (!tn->stats)
		return -ENOMEM;
	if (!proc_create_net_single("tls_stat", 0444, net->proc_net, tls_stat_show, NULL)) {
		free_percpu(tn->stats);
		return -ENOMEM;
	}
	return 0;
}

static void __net_exit tls_net_exit(struct net *net)
{
	struct tls_net *tn = net_generic(net, tls_net_id);

	remove_proc_entry("tls_stat", net->proc_net);
	free_percpu(tn->stats);
}

static struct pernet_operations tls_net_ops = {
	.init = tls_net_init,
	.exit = tls_net_exit,
	.id = &tls_net_id,
	.size = sizeof(struct tls_net),
};

/**
 * tls_stats_init() - begin to count, in all namespaces
 *
 * Return: 0 or -ENOMEM.
 */
int tls_stats_init(void)
{
	return register_pernet_subsys(&tls_net_ops);
}

/** tls_stats_exit() - stop counting */
void tls_stats_exit(void)
{
	unregister_pernet_subsys(&tls_net_ops);
}
