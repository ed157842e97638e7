// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs: their interrupts and NAPIs, which last from probe to remove,
 * their rings, which ethtool -G and -L swap, and how they come to run and to
 * stop.  All under RTNL but for the interrupt handlers and the NAPI poll.
 *
 *	sealnic_up()	= sealnic_prepare(), sealnic_go()
 *	sealnic_down()	= sealnic_quiesce(), the device forgets them, sealnic_purge()
 *	sealnic_reset()	= sealnic_quiesce(), the device forgets everything,
 *			  sealnic_purge(), sealnic_prepare(), sealnic_go()
 */
#include <linux/dma-mapping.h>
#include <linux/rtnetlink.h>
#include <net/page_pool/helpers.h>

#include "sealnic.h"
#include "sealnic_io.h"

/* ---- interrupts and NAPI ---- */

static irqreturn_t sealnic_irq_event(int irq, void *data)
{
	sealnic_event_irq(data);
	return IRQ_HANDLED;
}

static irqreturn_t sealnic_irq_qp(int irq, void *data)
{
	struct sealnic_qp *qp = data;

	napi_schedule_irqoff(&qp->napi);
	return IRQ_HANDLED;
}

static bool sealnic_qp_pending(struct sealnic_qp *qp)
{
	return sealnic_tx_pending(&qp->rings->tx) ||
	       sealnic_rx_pending(&qp->rings->rx);
}

static int sealnic_poll(struct napi_struct *napi, int budget)
{
	struct sealnic_qp *qp = container_of(napi, struct sealnic_qp, napi);
	struct sealnic_rings *rings = qp->rings;
	int work;

	sealnic_tx_clean(&rings->tx, budget);
	if (unlikely(!budget))
		return 0;
	work = sealnic_rx_poll(&rings->rx, budget);
	if (work == budget)
		return budget;
	if (!napi_complete_done(napi, work))
		return work;

	sealnic_wr32(&qp->db->rxc_cons, rings->rx.cons);
	sealnic_wr32(&qp->db->tx_seen, rings->tx.cons);
	dma_wmb();
	qp->arm++;
	sealnic_wr32(&qp->db->arm, qp->arm);
	/*
	 * Ask for the interrupt, then look once more; the device writes a
	 * completion, then looks whether it was asked.  Pairs with its barrier.
	 */
	mb();
	if (sealnic_qp_pending(qp))
		napi_schedule(napi);
	return work;
}

/**
 * sealnic_irqs_alloc() - vectors, handlers and NAPIs
 * @sn: device; max_qp is cut to the vectors that there are
 *
 * Context: probe
 * Return: 0 or negative errno
 */
int sealnic_irqs_alloc(struct sealnic *sn)
{
	struct pci_dev *pdev = sn->pdev;
	unsigned int i, cpu;
	int err;

	sn->nvec = pci_alloc_irq_vectors(pdev, 2, 1 + sn->max_qp, PCI_IRQ_MSIX);
	if (sn->nvec < 0) {
		/* It may be memory that was short, or the kernel's vectors */
		if (pci_msix_vec_count(pdev) < 2)
			dev_err(&pdev->dev, "needs two MSI-X vectors at least, has %d\n",
				max(pci_msix_vec_count(pdev), 0));
		return sn->nvec;
	}
	sn->max_qp = min_t(unsigned int, sn->max_qp, sn->nvec - 1);

	snprintf(sn->irq_name, sizeof(sn->irq_name), "sealnic-%s-event",
		 pci_name(pdev));
	err = request_irq(pci_irq_vector(pdev, 0), sealnic_irq_event, 0,
			  sn->irq_name, sn);
	if (err)
		goto err_vectors;

	for (i = 0; i < sn->max_qp; i++) {
		struct sealnic_qp *qp = &sn->qp[i];

		qp->sn = sn;
		qp->id = i;
		qp->db = sealnic_qp_db(sn->seg, i);
		qp->irq = pci_irq_vector(pdev, SEALNIC_VEC_QP(i));
		u64_stats_init(&qp->tx_stats.sync);
		u64_stats_init(&qp->rx_stats.sync);
		snprintf(qp->irq_name, sizeof(qp->irq_name), "sealnic-%s-%u",
			 pci_name(pdev), i);
		netif_napi_add(sn->netdev, &qp->napi, sealnic_poll);

		err = request_irq(qp->irq, sealnic_irq_qp, 0, qp->irq_name, qp);
		if (err) {
			netif_napi_del(&qp->napi);
			goto err_qps;
		}
		netif_napi_set_irq(&qp->napi, qp->irq);
		cpu = cpumask_local_spread(i, dev_to_node(&pdev->dev));
		irq_set_affinity_and_hint(qp->irq, cpumask_of(cpu));
	}
	return 0;

err_qps:
	while (i--) {
		irq_update_affinity_hint(sn->qp[i].irq, NULL);
		free_irq(sn->qp[i].irq, &sn->qp[i]);
		netif_napi_del(&sn->qp[i].napi);
	}
	free_irq(pci_irq_vector(pdev, 0), sn);
err_vectors:
	pci_free_irq_vectors(pdev);
	return err;
}

/**
 * sealnic_irqs_free() - the opposite
 * @sn: device, isolated; no event is coming any more
 *
 * Context: process
 */
void sealnic_irqs_free(struct sealnic *sn)
{
	unsigned int i;

	for (i = 0; i < sn->max_qp; i++) {
		irq_update_affinity_hint(sn->qp[i].irq, NULL);
		free_irq(sn->qp[i].irq, &sn->qp[i]);
		netif_napi_del(&sn->qp[i].napi);
	}
	free_irq(pci_irq_vector(sn->pdev, 0), sn);
	pci_free_irq_vectors(sn->pdev);
}

/* ---- memory ---- */

static void sealnic_rings_free(struct sealnic *sn, struct sealnic_rings *rings)
{
	struct device *dev = &sn->pdev->dev;
	struct sealnic_tx_ring *tx = &rings->tx;
	struct sealnic_rx_ring *rx = &rings->rx;

	if (rx->pool)
		page_pool_destroy(rx->pool);
	if (rings->status)
		dma_free_coherent(dev, sizeof(*rings->status), rings->status,
				  rings->status_dma);
	if (tx->desc)
		dma_free_coherent(dev, tx->size * sizeof(*tx->desc), tx->desc,
				  tx->desc_dma);
	if (rx->desc)
		dma_free_coherent(dev, rx->size * sizeof(*rx->desc), rx->desc,
				  rx->desc_dma);
	if (rx->rxc)
		dma_free_coherent(dev, rx->size * sizeof(*rx->rxc), rx->rxc,
				  rx->rxc_dma);
	kvfree(tx->buf);
	kvfree(rx->page);
	kfree(rings);
}

static struct sealnic_rings *sealnic_rings_alloc(struct sealnic_qp *qp,
						 u32 tx_size, u32 rx_size)
{
	struct device *dev = &qp->sn->pdev->dev;
	struct sealnic_rings *rings;
	struct sealnic_tx_ring *tx;
	struct sealnic_rx_ring *rx;

	rings = kzalloc(sizeof(*rings), GFP_KERNEL);
	if (!rings)
		return NULL;
	tx = &rings->tx;
	rx = &rings->rx;
	tx->qp = qp;
	tx->size = tx_size;
	rx->qp = qp;
	rx->size = rx_size;
	timer_setup(&rx->refill, sealnic_rx_refill_timer, 0);

	rings->status = dma_alloc_coherent(dev, sizeof(*rings->status),
					   &rings->status_dma, GFP_KERNEL);
	tx->desc = dma_alloc_coherent(dev, tx_size * sizeof(*tx->desc),
				      &tx->desc_dma, GFP_KERNEL);
	rx->desc = dma_alloc_coherent(dev, rx_size * sizeof(*rx->desc),
				      &rx->desc_dma, GFP_KERNEL);
	rx->rxc = dma_alloc_coherent(dev, rx_size * sizeof(*rx->rxc),
				     &rx->rxc_dma, GFP_KERNEL);
	tx->buf = kvcalloc(tx_size, sizeof(*tx->buf), GFP_KERNEL);
	rx->page = kvcalloc(rx_size, sizeof(*rx->page), GFP_KERNEL);
	if (!rings->status || !tx->desc || !rx->desc || !rx->rxc || !tx->buf ||
	    !rx->page)
		goto err;

	rx->pool = sealnic_rx_pool(qp, rx_size);
	if (IS_ERR(rx->pool)) {
		rx->pool = NULL;
		goto err;
	}
	return rings;

err:
	sealnic_rings_free(qp->sn, rings);
	return NULL;
}

/**
 * sealnic_ring_set_free() - free a set's rings
 * @sn: device; it does not know them
 * @set: set; keeps its sizes
 *
 * Context: process, RTNL
 */
void sealnic_ring_set_free(struct sealnic *sn, struct sealnic_ring_set *set)
{
	unsigned int i;

	for (i = 0; i < SEALNIC_DRV_MAX_QP; i++) {
		if (set->rings[i])
			sealnic_rings_free(sn, set->rings[i]);
		set->rings[i] = NULL;
	}
}

/**
 * sealnic_ring_set_alloc() - rings of the set's number and sizes
 * @sn: device
 * @set: set
 *
 * Context: process, RTNL
 * Return: 0 or -ENOMEM
 */
int sealnic_ring_set_alloc(struct sealnic *sn, struct sealnic_ring_set *set)
{
	unsigned int i;

	for (i = 0; i < set->n; i++) {
		set->rings[i] = sealnic_rings_alloc(&sn->qp[i], set->tx_size,
						    set->rx_size);
		if (!set->rings[i]) {
			sealnic_ring_set_free(sn, set);
			return -ENOMEM;
		}
	}
	return 0;
}

/* ---- up and down ---- */

static int sealnic_qp_create(struct sealnic_qp *qp, struct sealnic_rings *rings)
{
	struct sealnic_cmd cmd = {
		.opcode = cpu_to_le16(SEALNIC_CMD_CREATE_QP),
		.create_qp = {
			.qp = cpu_to_le16(qp->id),
			.vector = cpu_to_le16(SEALNIC_VEC_QP(qp->id)),
			.tx_log2 = ilog2(rings->tx.size),
			.rx_log2 = ilog2(rings->rx.size),
			.tx_base = cpu_to_le64(rings->tx.desc_dma),
			.rx_base = cpu_to_le64(rings->rx.desc_dma),
			.rxc_base = cpu_to_le64(rings->rx.rxc_dma),
			.status_base = cpu_to_le64(rings->status_dma),
		},
	};

	/* All indices and phases begin again */
	memset(rings->status, 0, sizeof(*rings->status));
	memset(rings->rx.rxc, 0, rings->rx.size * sizeof(*rings->rx.rxc));
	sealnic_wr32(&qp->db->tx_prod, 0);
	sealnic_wr32(&qp->db->rx_prod, 0);
	sealnic_wr32(&qp->db->rxc_cons, 0);
	sealnic_wr32(&qp->db->tx_seen, 0);
	sealnic_wr32(&qp->db->arm, 0);
	qp->arm = 0;
	WRITE_ONCE(qp->tx_done, 0);
	qp->rings = rings;
	qp->status = rings->status;

	return sealnic_cmd(qp->sn, &cmd, NULL);
}

static int sealnic_qp_destroy(struct sealnic_qp *qp)
{
	struct sealnic_cmd cmd = {
		.opcode = cpu_to_le16(SEALNIC_CMD_DESTROY_QP),
		.qp.qp = cpu_to_le16(qp->id),
	};

	return sealnic_cmd(qp->sn, &cmd, NULL);
}

/**
 * sealnic_coal_set() - tell the device about interrupt moderation
 * @qp: queue pair, which the device knows
 * @coal: how
 *
 * Context: process, RTNL
 * Return: as sealnic_cmd()
 */
int sealnic_coal_set(struct sealnic_qp *qp, const struct sealnic_coal *coal)
{
	struct sealnic_cmd cmd = {
		.opcode = cpu_to_le16(SEALNIC_CMD_COALESCE),
		.coalesce = {
			.qp = cpu_to_le16(qp->id),
			.rx_usecs = cpu_to_le32(coal->rx_usecs),
			.rx_frames = cpu_to_le32(coal->rx_frames),
			.tx_usecs = cpu_to_le32(coal->tx_usecs),
			.tx_frames = cpu_to_le32(coal->tx_frames),
		},
	};

	return sealnic_cmd(qp->sn, &cmd, NULL);
}

/*
 * Make the device forget the first @n queue pairs.  If it does not answer it
 * is cut off, so that their memory can be freed in any case.
 */
static void sealnic_qps_destroy(struct sealnic *sn, unsigned int n)
{
	bool failed = false;

	while (n--)
		if (sealnic_qp_destroy(&sn->qp[n]))
			failed = true;
	if (!failed)
		return;

	sealnic_cmdq_fail(sn);
	sealnic_ctl_isolate(sn);
	/* Has no command queue until somebody resets it properly */
	if (!sealnic_is_dead(sn))
		sealnic_health_report(sn, SEALNIC_HEALTH_CMD,
				      SEALNIC_CMD_DESTROY_QP);
}

/**
 * sealnic_prepare() - make the device know the current set of queue pairs
 * @sn: device, which knows none
 *
 * Context: process, RTNL
 * Return: 0 or negative errno; the device knows no queue pair then
 */
int sealnic_prepare(struct sealnic *sn)
{
	unsigned int i;
	int err;

	for (i = 0; i < sn->set.n; i++) {
		err = sealnic_qp_create(&sn->qp[i], sn->set.rings[i]);
		if (err)
			goto err_destroy;
	}
	for (i = 0; i < sn->set.n; i++) {
		err = sealnic_coal_set(&sn->qp[i], &sn->qp[i].coal);
		if (err)
			goto err_destroy_all;
	}
	err = sealnic_rss_set(sn);
	if (err)
		goto err_destroy_all;
	sealnic_rx_mode_set(sn);
	return 0;

err_destroy_all:
	i = sn->set.n;
err_destroy:
	sealnic_qps_destroy(sn, i);
	return err;
}

/**
 * sealnic_go() - let traffic flow over prepared queue pairs
 * @sn: device
 *
 * Context: process, RTNL
 */
void sealnic_go(struct sealnic *sn)
{
	struct net_device *netdev = sn->netdev;
	unsigned int i;
	int err;

	for (i = 0; i < sn->set.n; i++) {
		struct sealnic_qp *qp = &sn->qp[i];

		sealnic_rx_fill(&qp->rings->rx);
		netif_queue_set_napi(netdev, i, NETDEV_QUEUE_TYPE_RX, &qp->napi);
		netif_queue_set_napi(netdev, i, NETDEV_QUEUE_TYPE_TX, &qp->napi);
		napi_enable(&qp->napi);
	}
	set_bit(SEALNIC_DEV_UP, &sn->state);
	netif_tx_wake_all_queues(netdev);

	err = sealnic_port_set(sn);
	if (err)
		netdev_err(netdev, "port does not start: %pe\n", ERR_PTR(err));
	sealnic_link_update(sn);

	/* The first poll asks for the first interrupt */
	local_bh_disable();
	for (i = 0; i < sn->set.n; i++)
		napi_schedule(&sn->qp[i].napi);
	local_bh_enable();
}

/**
 * sealnic_up() - bring the current set of queue pairs to life
 * @sn: device
 *
 * Context: process, RTNL
 * Return: 0 or negative errno
 */
int sealnic_up(struct sealnic *sn)
{
	int err = sealnic_prepare(sn);

	if (!err)
		sealnic_go(sn);
	return err;
}

/**
 * sealnic_quiesce() - stop the stack and NAPI; the device is not involved
 * @sn: device, with queue pairs up or not
 *
 * Context: process, RTNL
 */
void sealnic_quiesce(struct sealnic *sn)
{
	struct net_device *netdev = sn->netdev;
	unsigned int i;

	if (!test_and_clear_bit(SEALNIC_DEV_UP, &sn->state))
		return;

	/* An idle queue that stops is not one that hangs */
	for (i = 0; i < netdev->num_tx_queues; i++)
		txq_trans_cond_update(netdev_get_tx_queue(netdev, i));
	netif_tx_disable(netdev);

	for (i = 0; i < sn->set.n; i++) {
		struct sealnic_qp *qp = &sn->qp[i];

		napi_disable(&qp->napi);
		timer_delete_sync(&qp->rings->rx.refill);
		netif_queue_set_napi(netdev, i, NETDEV_QUEUE_TYPE_RX, NULL);
		netif_queue_set_napi(netdev, i, NETDEV_QUEUE_TYPE_TX, NULL);
	}

	/* NAPI may have woken a queue on its last turn */
	netif_tx_disable(netdev);
}

/**
 * sealnic_purge() - empty the rings
 * @sn: device; it does not know them any more
 *
 * Context: process, RTNL, after sealnic_quiesce()
 */
void sealnic_purge(struct sealnic *sn)
{
	unsigned int i;

	for (i = 0; i < sn->set.n; i++) {
		sealnic_tx_purge(&sn->set.rings[i]->tx);
		sealnic_rx_purge(&sn->set.rings[i]->rx);
	}
}

/**
 * sealnic_down() - the opposite of sealnic_up()
 * @sn: device, with queue pairs up or not
 *
 * Context: process, RTNL
 */
void sealnic_down(struct sealnic *sn)
{
	bool up = test_bit(SEALNIC_DEV_UP, &sn->state);

	sealnic_quiesce(sn);
	if (up) {
		sealnic_port_set(sn);
		sealnic_qps_destroy(sn, sn->set.n);
	} else if (sealnic_is_dead(sn)) {
		/* A reset that failed took them down half way */
		sealnic_ctl_isolate(sn);
	}
	sealnic_purge(sn);
}

/**
 * sealnic_reconfigure() - another number or another size of rings
 * @sn: device
 * @n: queue pairs
 * @tx_size: descriptors, a power of two
 * @rx_size: descriptors, a power of two
 *
 * With the interface up this is a short interruption.  If the new set cannot
 * be had, the old one runs on: everything that can fail is done before the old
 * rings are freed.  Page pools come and go only while NAPI is disabled, so the
 * new rings are allocated after the old ones were stopped.
 *
 * Context: process, RTNL
 * Return: 0 or negative errno
 */
int sealnic_reconfigure(struct sealnic *sn, unsigned int n, u32 tx_size,
			u32 rx_size)
{
	struct sealnic_ring_set set = {
		.n = n, .tx_size = tx_size, .rx_size = rx_size,
	};
	bool running = netif_running(sn->netdev);
	struct sealnic_ring_set old = sn->set;
	struct sealnic_rss old_rss = sn->rss;
	int err;

	if (running) {
		if (sealnic_is_dead(sn))
			return -EIO;
		sealnic_down(sn);
		err = sealnic_ring_set_alloc(sn, &set);
		if (err)
			goto err_up;
	}
	if (n != old.n) {
		err = netif_set_real_num_queues(sn->netdev, n, n);
		if (err)
			goto err_free;
		if (!netif_is_rxfh_configured(sn->netdev))
			sealnic_rss_default(sn, n);
	}

	sn->set = set;
	if (running) {
		err = sealnic_prepare(sn);
		if (err)
			goto err_restore;
		sealnic_ring_set_free(sn, &old);
		sealnic_go(sn);
	}
	return 0;

err_restore:
	sn->set = old;
	sn->rss = old_rss;
	if (n != old.n)
		netif_set_real_num_queues(sn->netdev, old.n, old.n);
err_free:
	sealnic_ring_set_free(sn, &set);
err_up:
	if (running && sealnic_up(sn))
		netdev_err(sn->netdev, "old queues could not be restored\n");
	return err;
}
