// SPDX-License-Identifier: GPL-2.0
/*
 * The device's health: once a second somebody asks how it is.  What is found
 * here or reported by others goes to the devlink health reporters, whose
 * recovery is a reset.  A device that does not answer at all is given up.
 *
 * Reports come from any context and are collected in health_pending;
 * health_work passes them on, because the reporters sleep.
 */
#include <linux/delay.h>
#include <linux/rtnetlink.h>
#include <net/devlink.h>

#include "sealnic.h"
#include "sealnic_io.h"
#include "sealnic_tls.h"

#define SEALNIC_SERVICE_PERIOD	HZ

/*
 * A device is given up when it left a ping unanswered for this long: two
 * periods and a generous share of a busy machine.
 */
#define SEALNIC_PING_TIMEOUT	(3 * HZ)

/* As the stack's watchdog */
#define SEALNIC_TX_TIMEOUT	(5 * HZ)

/* The stack needs a moment to see the carrier go before the device does */
#define SEALNIC_DETACH_TICKS	2

/* Between a reset that failed and the next */
#define SEALNIC_RETRY_MSECS	1000

static void sealnic_health_text(enum sealnic_health_reason reason, u32 info,
				char *text, size_t len)
{
	switch (reason) {
	case SEALNIC_HEALTH_DEAD:
		snprintf(text, len, "device does not answer");
		break;
	case SEALNIC_HEALTH_FAULT:
		snprintf(text, len, "device stopped, syndrome %u", info);
		break;
	case SEALNIC_HEALTH_CMD:
		snprintf(text, len, "device did not obey command %u", info);
		break;
	case SEALNIC_HEALTH_QP:
		snprintf(text, len, "device stopped queue pair %u, syndrome %u",
			 info >> 16, info & 0xffff);
		break;
	case SEALNIC_HEALTH_RING:
		snprintf(text, len, "device broke the rings of queue pair %u",
			 info);
		break;
	case SEALNIC_HEALTH_TX:
		snprintf(text, len, "transmit timeout on queue pair %u", info);
		break;
	default:
		snprintf(text, len, "unknown");
	}
}

/**
 * sealnic_health_report() - something is wrong with the device
 * @sn: device
 * @reason: what
 * @info: what exactly: queue pair (in the upper half if a syndrome is in the
 *	lower one), syndrome, opcode
 *
 * Context: any
 */
void sealnic_health_report(struct sealnic *sn,
			   enum sealnic_health_reason reason, u32 info)
{
	WRITE_ONCE(sn->health_info[reason], info);
	/* The work sees the info when it sees the bit */
	smp_mb__before_atomic();
	set_bit(reason, &sn->health_pending);
	queue_work(system_long_wq, &sn->health_work);
}

static void sealnic_health_work(struct work_struct *work)
{
	struct sealnic *sn = container_of(work, struct sealnic, health_work);
	struct devlink_health_reporter *reporter = sn->reporter_fw;
	enum sealnic_health_reason reason;
	char text[80];

	/* One failure shows in many ways; the first in the list is the cause */
	reason = find_first_bit(&sn->health_pending, SEALNIC_HEALTH_REASONS);
	if (reason == SEALNIC_HEALTH_REASONS ||
	    test_bit(SEALNIC_DEV_REMOVING, &sn->state))
		return;
	/* Pairs with sealnic_health_report() */
	smp_mb();
	sealnic_health_text(reason, READ_ONCE(sn->health_info[reason]), text,
			    sizeof(text));
	WRITE_ONCE(sn->health_pending, 0);

	if (reason == SEALNIC_HEALTH_TX)
		reporter = sn->reporter_tx;
	if (reason != SEALNIC_HEALTH_DEAD)
		dev_warn_ratelimited(&sn->pdev->dev, "%s\n", text);
	if (devlink_health_report(reporter, text, &reason) != -ECANCELED ||
	    reason == SEALNIC_HEALTH_DEAD)
		return;

	/*
	 * The recovery before this one failed, and devlink tries only once.
	 * Not so fast, but again.
	 */
	msleep(SEALNIC_RETRY_MSECS);
	devl_lock(sn->devlink);
	rtnl_lock();
	sealnic_reset(sn);
	rtnl_unlock();
	devl_unlock(sn->devlink);
}

/**
 * sealnic_fault() - the device has stopped and waits for a reset
 * @sn: device
 *
 * It answers no command either: whoever waits for one may hold the lock that
 * the reset needs.
 *
 * Context: process or softirq
 */
void sealnic_fault(struct sealnic *sn)
{
	sealnic_cmdq_fail(sn);
	if (!test_and_set_bit(SEALNIC_DEV_FAULT, &sn->state))
		sealnic_health_report(sn, SEALNIC_HEALTH_FAULT,
				      sealnic_rd32(&sn->seg->syndrome));
}

/**
 * sealnic_dead() - give the device up
 * @sn: device
 *
 * Whoever waits for it stops waiting, and nothing waits again.  Memory that
 * the device knows stays where it is until the interface is closed.
 *
 * Context: process
 */
void sealnic_dead(struct sealnic *sn)
{
	if (test_and_set_bit(SEALNIC_DEV_DEAD, &sn->state))
		return;

	dev_err(&sn->pdev->dev, "device does not answer any more, giving it up\n");
	sealnic_cmdq_fail(sn);
	netif_carrier_off(sn->netdev);
	sealnic_health_report(sn, SEALNIC_HEALTH_DEAD, 0);
}

/*
 * The stack's watchdog looks at queues that are full.  A few packets that are
 * stuck fill none, and their sockets wait for ever.
 *
 * A queue pair that is not in use has nothing to complete, whatever is left in
 * its words: nobody clears them, not even when the driver goes.
 */
static void sealnic_check_tx(struct sealnic *sn)
{
	bool up = test_bit(SEALNIC_DEV_UP, &sn->state) &&
		  netif_carrier_ok(sn->netdev);
	unsigned int i, n = up ? READ_ONCE(sn->set.n) : 0;

	for (i = 0; i < sn->max_qp; i++) {
		struct sealnic_qp *qp = &sn->qp[i];
		u32 done = READ_ONCE(qp->tx_done);

		if (i >= n || done != qp->tx_last ||
		    done == sealnic_rd32(&qp->db->tx_prod)) {
			qp->tx_last = done;
			qp->tx_since = jiffies;
		} else if (time_after(jiffies, qp->tx_since + SEALNIC_TX_TIMEOUT)) {
			qp->tx_since = jiffies;
			atomic64_inc(&sn->tx_timeouts);
			sealnic_health_report(sn, SEALNIC_HEALTH_TX, i);
		}
	}
}

static void sealnic_service(struct work_struct *work)
{
	struct sealnic *sn = container_of(to_delayed_work(work), struct sealnic,
					  service);
	struct sealnic_init_seg *seg = sn->seg;
	u32 ping = atomic_read(&sn->ping);

	if (sealnic_is_dead(sn)) {
		/* Under RTNL, or a recovery's attach could come before */
		if (++sn->dead_ticks >= SEALNIC_DETACH_TICKS && rtnl_trylock()) {
			if (sealnic_is_dead(sn))
				netif_device_detach(sn->netdev);
			rtnl_unlock();
		}
		goto again;
	}
	sn->dead_ticks = 0;

	if (sealnic_rd32(&seg->pong) == ping) {
		ping = atomic_inc_return(&sn->ping);
		sn->ping_since = jiffies;
	} else if (time_after(jiffies, sn->ping_since + SEALNIC_PING_TIMEOUT)) {
		sealnic_dead(sn);
		goto again;
	}
	sealnic_wr32(&seg->ping, ping);
	sealnic_doorbell(sn, SEALNIC_VEC_CONTROL);

	/* What interrupts should have told */
	sealnic_event_poll(sn);
	sealnic_link_update(sn);
	sealnic_check_tx(sn);
	if (sealnic_rd32(&seg->state) == SEALNIC_STATE_FAULT)
		sealnic_fault(sn);
again:
	queue_delayed_work(system_long_wq, &sn->service, SEALNIC_SERVICE_PERIOD);
}

/**
 * sealnic_reset() - begin again
 * @sn: device
 *
 * All of the device's state is lost and made again from the driver's.  The
 * interface stays up and nobody is told, for taking it down would end the TLS
 * offload of every socket; packets on their way are lost.
 *
 * A device that was given up and obeys nevertheless is taken back.
 *
 * Context: process, devlink instance lock and RTNL
 * Return: 0 or negative errno; the device is dead or its queues are down then
 */
int sealnic_reset(struct sealnic *sn)
{
	bool running = netif_running(sn->netdev);
	int err;

	ASSERT_RTNL();
	if (test_bit(SEALNIC_DEV_REMOVING, &sn->state))
		return -ENODEV;

	sealnic_quiesce(sn);
	sealnic_cmdq_fail(sn);

	pci_set_master(sn->pdev);
	err = sealnic_ctl_reset(sn);
	if (err)
		goto err_dead;
	if (running)
		sealnic_purge(sn);

	/*
	 * What went wrong before went wrong before.  A fault that is noticed
	 * too late fails the new command queue, but is then reported again.
	 */
	WRITE_ONCE(sn->health_pending, 0);
	clear_bit(SEALNIC_DEV_FAULT, &sn->state);
	/* Before there can be new contexts, which are to stay */
	sealnic_tls_reset_done(sn);
	sealnic_tls_rx_reset_done(sn);
	err = sealnic_cmdq_start(sn);
	if (err)
		goto err_dead;
	if (test_and_clear_bit(SEALNIC_DEV_DEAD, &sn->state))
		dev_info(&sn->pdev->dev, "device answers again\n");

	if (running)
		err = sealnic_prepare(sn);
	if (err)
		goto err_again;
	sealnic_tls_rx_readd(sn);
	if (running)
		sealnic_go(sn);
	netif_device_attach(sn->netdev);

	atomic64_inc(&sn->resets);
	sealnic_devlink_healthy(sn);
	dev_info_ratelimited(&sn->pdev->dev, "device was reset\n");
	return 0;

err_again:
	/* A fault that was noticed late, or a new one */
	sealnic_health_report(sn, SEALNIC_HEALTH_CMD, SEALNIC_CMD_CREATE_QP);
	sealnic_link_update(sn);
	return err;

err_dead:
	sealnic_dead(sn);
	sealnic_link_update(sn);
	return err;
}

/**
 * sealnic_health_init() - before anything can be reported
 * @sn: device
 */
void sealnic_health_init(struct sealnic *sn)
{
	INIT_DELAYED_WORK(&sn->service, sealnic_service);
	INIT_WORK(&sn->health_work, sealnic_health_work);

	/* Reports are kept until there is somebody to tell */
	disable_work(&sn->health_work);

	atomic_set(&sn->ping, sealnic_rd32(&sn->seg->ping));
}

/**
 * sealnic_health_start() - begin to look after the device
 * @sn: device; devlink is registered
 */
void sealnic_health_start(struct sealnic *sn)
{
	enable_and_queue_work(system_long_wq, &sn->health_work);
	sn->ping_since = jiffies;
	queue_delayed_work(system_long_wq, &sn->service, 0);
}

/**
 * sealnic_health_quiet() - no reports, and so no resets, from here on
 * @sn: device
 *
 * Context: process; neither RTNL nor the devlink instance lock
 */
void sealnic_health_quiet(struct sealnic *sn)
{
	set_bit(SEALNIC_DEV_REMOVING, &sn->state);
	disable_work_sync(&sn->health_work);
}

/**
 * sealnic_health_stop() - nobody looks after the device any more
 * @sn: device
 *
 * Context: process
 */
void sealnic_health_stop(struct sealnic *sn)
{
	cancel_delayed_work_sync(&sn->service);
}
