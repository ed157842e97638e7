// SPDX-License-Identifier: GPL-2.0
/*
 * The words of the init segment that are no ring: control operations, pings
 * and the link.  Callers hold RTNL, or are probe or remove, for the control
 * operations; the rest may be called from anywhere.
 */
#include <linux/delay.h>
#include <linux/ethtool.h>
#include <linux/iopoll.h>

#include "sealnic.h"
#include "sealnic_io.h"

#define SEALNIC_CTL_MSECS	2000

/* A device that is known to be dead gets a moment to prove the opposite */
#define SEALNIC_CTL_DEAD_MSECS	50

static int sealnic_ctl(struct sealnic *sn, enum sealnic_ctl_op op,
		       unsigned int msecs)
{
	struct sealnic_init_seg *seg = sn->seg;
	u32 word, ack;

	sn->ctl_seq = (sn->ctl_seq + 1) & 0xffffff;
	word = SEALNIC_CTL(op, sn->ctl_seq);

	/* What the operation is about was written before */
	dma_wmb();
	sealnic_wr32(&seg->ctl, word);
	sealnic_doorbell(sn, SEALNIC_VEC_CONTROL);

	if (read_poll_timeout(sealnic_rd32, ack, ack == word, 1000,
			      msecs * USEC_PER_MSEC, false, &seg->ctl_ack))
		return -ETIMEDOUT;

	/* The state belongs to this acknowledgment */
	dma_rmb();
	return 0;
}

/**
 * sealnic_ctl_reset() - take the device back to where it waits for START
 * @sn: device
 *
 * When this succeeds the device has forgotten every address and key.
 *
 * Context: process; RTNL, or probe or remove
 * Return: 0, or -EIO if the device does not obey
 */
int sealnic_ctl_reset(struct sealnic *sn)
{
	int err = sealnic_ctl(sn, SEALNIC_CTL_RESET, SEALNIC_CTL_MSECS);
	u32 state = sealnic_rd32(&sn->seg->state);

	if (!err && state == SEALNIC_STATE_RESET)
		return 0;

	dev_err(&sn->pdev->dev, "device does not obey a reset, state %u\n",
		state);
	return -EIO;
}

/**
 * sealnic_ctl_start() - let the device use the command and event rings
 * @sn: device; the rings are zeroed
 *
 * Context: process; RTNL, or probe
 * Return: 0, or -EIO if the device does not obey or refuses
 */
int sealnic_ctl_start(struct sealnic *sn)
{
	struct sealnic_init_seg *seg = sn->seg;
	u32 state, syndrome;
	int err;

	sealnic_wr64(&seg->drv_features, sn->features);
	sealnic_wr64(&seg->cmd_base, sn->cmdq.cmd_dma);
	sealnic_wr64(&seg->event_base, sn->cmdq.event_dma);
	WRITE_ONCE(seg->cmd_log2, SEALNIC_CMD_LOG2);
	WRITE_ONCE(seg->event_log2, SEALNIC_EVENT_LOG2);
	sealnic_wr32(&seg->cmd_prod, 0);
	sealnic_wr32(&seg->event_cons, 0);

	err = sealnic_ctl(sn, SEALNIC_CTL_START, SEALNIC_CTL_MSECS);
	state = sealnic_rd32(&seg->state);
	/* The syndrome was written before the state */
	dma_rmb();
	syndrome = sealnic_rd32(&seg->syndrome);
	if (!err && state == SEALNIC_STATE_RUN)
		return 0;
	/* One that has stopped again did start: it is sick, but not dead */
	if (!err && state == SEALNIC_STATE_FAULT &&
	    syndrome != SEALNIC_SYN_BAD_CONFIG)
		return 0;

	dev_err(&sn->pdev->dev, "device does not start, state %u, syndrome %u\n",
		state, syndrome);
	return -EIO;
}

/**
 * sealnic_ctl_isolate() - make sure that the device leaves our memory alone
 * @sn: device
 *
 * The last thing before memory is freed that the device was told of.  If it
 * does not acknowledge a reset it loses the bus.
 *
 * Context: process; RTNL, or probe or remove
 */
void sealnic_ctl_isolate(struct sealnic *sn)
{
	unsigned int msecs = sealnic_is_dead(sn) ? SEALNIC_CTL_DEAD_MSECS :
						   SEALNIC_CTL_MSECS;

	if (!sealnic_ctl(sn, SEALNIC_CTL_RESET, msecs))
		return;

	pci_clear_master(sn->pdev);
	sealnic_dead(sn);
}

/**
 * sealnic_ctl_alive() - ask once, wait for the answer
 * @sn: device
 * @msecs: how long
 *
 * Context: process
 * Return: true if the device answers, false also if it was given up before
 */
bool sealnic_ctl_alive(struct sealnic *sn, unsigned int msecs)
{
	struct sealnic_init_seg *seg = sn->seg;
	unsigned int waited;
	u32 pong;

	if (sealnic_is_dead(sn))
		return false;

	/*
	 * The service work may have an answer outstanding in the same word.
	 * Any change of pong is a sign of life.
	 */
	pong = sealnic_rd32(&seg->pong);
	sealnic_wr32(&seg->ping, atomic_inc_return(&sn->ping));
	sealnic_doorbell(sn, SEALNIC_VEC_CONTROL);

	for (waited = 0; waited < msecs; waited++) {
		if (sealnic_rd32(&seg->pong) != pong)
			return true;
		usleep_range(500, 1000);
	}
	return false;
}

/**
 * sealnic_link_update() - tell the stack what init_seg.link says
 * @sn: device
 *
 * Context: any
 */
void sealnic_link_update(struct sealnic *sn)
{
	u32 link = sealnic_rd32(&sn->seg->link);

	if ((link & SEALNIC_LINK_UP) && test_bit(SEALNIC_DEV_UP, &sn->state) &&
	    !sealnic_is_dead(sn))
		netif_carrier_on(sn->netdev);
	else
		netif_carrier_off(sn->netdev);
}

/**
 * sealnic_link_speed() - the link's speed
 * @sn: device
 *
 * Return: Mb/s, or SPEED_UNKNOWN while the link is down
 */
u32 sealnic_link_speed(struct sealnic *sn)
{
	u32 link = sealnic_rd32(&sn->seg->link);

	return link & SEALNIC_LINK_UP ? SEALNIC_LINK_SPEED(link) : SPEED_UNKNOWN;
}
