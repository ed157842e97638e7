// SPDX-License-Identifier: GPL-2.0
/*
 * The command ring and the event ring.
 *
 * Any number of tasks send commands at the same time.  A command's place in
 * the ring is also its tag; as the device answers in order, the next place is
 * free exactly when nobody waits for its tag.  Events are taken in softirq by
 * one taker at a time, under event_lock.  Who cannot sleep does not wait:
 * sealnic_cmd_post().
 *
 * Commands carry keys: a ring entry is wiped as soon as it was obeyed.
 */
#include <linux/dma-mapping.h>
#include <linux/string.h>

#include "sealnic.h"
#include "sealnic_io.h"
#include "sealnic_tls.h"

#define SEALNIC_CMD_TIMEOUT	(5 * HZ)

#define SEALNIC_CMD_MASK	(SEALNIC_CMD_RING - 1)
#define SEALNIC_EVENT_MASK	(SEALNIC_EVENT_RING - 1)

/* Asynchronous events come on top of one a command */
static_assert(SEALNIC_EVENT_RING >= 2 * SEALNIC_CMD_RING);
static_assert(SEALNIC_CMD_LOG2 >= SEALNIC_MIN_CTL_LOG2);
static_assert(SEALNIC_EVENT_LOG2 <= SEALNIC_MAX_CTL_LOG2);

/**
 * struct sealnic_cmd_wait - somebody waiting for a command's event
 * @done: completed when @event or @err is valid
 * @event: the answer
 * @err: why there is none
 */
struct sealnic_cmd_wait {
	struct completion done;
	struct sealnic_event event;
	int err;
};

static int sealnic_cmd_errno(u32 status)
{
	switch (status) {
	case SEALNIC_OK:
		return 0;
	case SEALNIC_NO_RESOURCE:
		return -ENOSPC;
	case SEALNIC_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	case SEALNIC_STALE:
		return -ESTALE;
	case SEALNIC_BAD_OPCODE:
	case SEALNIC_BAD_PARAM:
	case SEALNIC_BAD_ADDR:
	case SEALNIC_BAD_STATE:
		return -EINVAL;
	default:
		return -EPROTO;
	}
}

/* In cmdq.wait, for a command of sealnic_cmd_post() */
static struct sealnic_cmd_wait sealnic_cmd_nobody;

/* Under cmdq.lock */
static void sealnic_cmdq_fail_locked(struct sealnic *sn)
{
	struct sealnic_cmdq *q = &sn->cmdq;
	unsigned int i;

	lockdep_assert_held(&q->lock);

	q->up = false;
	for (i = 0; i < SEALNIC_CMD_RING; i++) {
		struct sealnic_cmd_wait *wait = q->wait[i];

		q->wait[i] = NULL;
		if (wait == &sealnic_cmd_nobody) {
			sealnic_tls_rx_answer(sn, -EIO);
		} else if (wait) {
			wait->err = -EIO;
			complete(&wait->done);
		}
	}
	memzero_explicit(q->cmd, SEALNIC_CMD_RING * sizeof(*q->cmd));
	wake_up_all(&q->room);
}

/**
 * sealnic_cmdq_fail() - take no more commands, end those under way with -EIO
 * @sn: device
 *
 * Context: process or softirq
 */
void sealnic_cmdq_fail(struct sealnic *sn)
{
	spin_lock_bh(&sn->cmdq.lock);
	sealnic_cmdq_fail_locked(sn);
	spin_unlock_bh(&sn->cmdq.lock);
}

/* Under cmdq.lock, with the next place free.  Returns the tag. */
static u32 sealnic_cmd_enter(struct sealnic *sn, struct sealnic_cmd *cmd,
			     struct sealnic_cmd_wait *wait)
{
	struct sealnic_cmdq *q = &sn->cmdq;
	u32 tag = q->prod++ & SEALNIC_CMD_MASK;

	lockdep_assert_held(&q->lock);

	q->wait[tag] = wait;
	cmd->tag = cpu_to_le16(tag);
	memcpy(&q->cmd[tag], cmd, sizeof(*cmd));
	/* The entry before the index that gives it away */
	dma_wmb();
	sealnic_wr32(&sn->seg->cmd_prod, q->prod);
	return tag;
}

/**
 * sealnic_cmd() - send a command and wait for its end
 * @sn: device
 * @cmd: command; the tag is filled in here
 * @out: the answer, or NULL
 *
 * Context: process; sleeps until the device answers, up to 5 s
 * Return: 0, the device's refusal as a negative errno, or -EIO if the device
 *	does not run or did not answer
 */
int sealnic_cmd(struct sealnic *sn, struct sealnic_cmd *cmd,
		struct sealnic_event *out)
{
	struct sealnic_cmdq *q = &sn->cmdq;
	struct sealnic_cmd_wait wait = {};
	u32 tag;
	int err;

	init_completion(&wait.done);

	spin_lock_bh(&q->lock);
	wait_event_cmd(q->room, !q->up || !q->wait[q->prod & SEALNIC_CMD_MASK],
		       spin_unlock_bh(&q->lock), spin_lock_bh(&q->lock));
	if (!q->up) {
		spin_unlock_bh(&q->lock);
		return -EIO;
	}
	tag = sealnic_cmd_enter(sn, cmd, &wait);
	spin_unlock_bh(&q->lock);

	sealnic_doorbell(sn, SEALNIC_VEC_CONTROL);

	if (!wait_for_completion_timeout(&wait.done, SEALNIC_CMD_TIMEOUT)) {
		/* It may be the interrupt that got lost */
		sealnic_event_poll(sn);
		spin_lock_bh(&q->lock);
		if (q->wait[tag] == &wait) {
			/* Out of step from here on: nothing but a reset helps */
			sealnic_cmdq_fail_locked(sn);
			spin_unlock_bh(&q->lock);
			atomic64_inc(&sn->cmd_timeouts);
			sealnic_health_report(sn, SEALNIC_HEALTH_CMD,
					      le16_to_cpu(cmd->opcode));
			return -EIO;
		}
		spin_unlock_bh(&q->lock);
		/* Whoever took it off the ring completes it */
		wait_for_completion(&wait.done);
	}
	if (wait.err)
		return wait.err;

	err = sealnic_cmd_errno(le32_to_cpu(wait.event.status));
	/* A full table is no failure */
	if (err && err != -ENOSPC)
		atomic64_inc(&sn->cmd_failed);
	else if (!err && out)
		*out = wait.event;
	return err;
}

/**
 * sealnic_cmd_post() - send a command without waiting for its end
 * @sn: device
 * @cmd: command; the tag is filled in here
 *
 * How it ended is told to sealnic_tls_rx_answer(), for TLS_SYNC is the only
 * command that is sent in this way.  Half of the ring is left to those who wait.
 *
 * Context: process or softirq
 * Return: 0, -EBUSY if there is no room, or -EIO if the device does not run;
 *	nobody is told then
 */
int sealnic_cmd_post(struct sealnic *sn, struct sealnic_cmd *cmd)
{
	struct sealnic_cmdq *q = &sn->cmdq;
	int err = 0;

	spin_lock_bh(&q->lock);
	/* Places are taken and given back in order */
	if (!q->up)
		err = -EIO;
	else if (q->wait[(q->prod + SEALNIC_CMD_RING / 2) & SEALNIC_CMD_MASK])
		err = -EBUSY;
	else
		sealnic_cmd_enter(sn, cmd, &sealnic_cmd_nobody);
	spin_unlock_bh(&q->lock);

	if (!err)
		sealnic_doorbell(sn, SEALNIC_VEC_CONTROL);
	return err;
}

/**
 * sealnic_cmd_buf() - send a command that has a buffer
 * @sn: device
 * @cmd: command; the buffer's address and length are filled in here
 * @buf: what the buffer holds
 * @len: its length in bytes, up to SEALNIC_MBOX_SIZE
 * @output: copy back to @buf what the device made of it
 *
 * The buffer that the device sees lives as long as the device does, so that a
 * late answer to a command that nobody waits for any more hurts nobody.  The
 * second half of it is what SEALNIC_CMD_DMA_TEST may write: this command
 * copies it back instead.
 *
 * Context: process; sleeps
 * Return: as sealnic_cmd()
 */
int sealnic_cmd_buf(struct sealnic *sn, struct sealnic_cmd *cmd, void *buf,
		    size_t len, bool output)
{
	bool dma_test = cmd->opcode == cpu_to_le16(SEALNIC_CMD_DMA_TEST);
	struct sealnic_cmdq *q = &sn->cmdq;
	void *dst = q->mbox;
	int err;

	if (WARN_ON_ONCE(len > SEALNIC_MBOX_SIZE))
		return -EINVAL;

	mutex_lock(&q->mbox_lock);
	memcpy(q->mbox, buf, len);
	cmd->data_addr = cpu_to_le64(q->mbox_dma);
	cmd->data_len = cpu_to_le32(len);
	if (dma_test) {
		dst += SEALNIC_MBOX_SIZE;
		memset(dst, 0, len);
		cmd->dma_test.dst = cpu_to_le64(q->mbox_dma + SEALNIC_MBOX_SIZE);
	}
	err = sealnic_cmd(sn, cmd, NULL);
	if (!err && output)
		memcpy(buf, dst, len);
	mutex_unlock(&q->mbox_lock);
	return err;
}

static void sealnic_event_cmd(struct sealnic *sn,
			      const struct sealnic_event *event)
{
	u32 tag = le16_to_cpu(event->tag);
	struct sealnic_cmdq *q = &sn->cmdq;
	struct sealnic_cmd_wait *wait;

	spin_lock(&q->lock);
	wait = tag < SEALNIC_CMD_RING ? q->wait[tag] : NULL;
	if (wait) {
		memzero_explicit(&q->cmd[tag], sizeof(q->cmd[tag]));
		q->wait[tag] = NULL;
		if (wait == &sealnic_cmd_nobody) {
			u32 status = le32_to_cpu(event->status);

			sealnic_tls_rx_answer(sn, sealnic_cmd_errno(status));
		} else {
			wait->event = *event;
			complete(&wait->done);
		}
		wake_up(&q->room);
	} else {
		atomic64_inc(&sn->events_unknown);
	}
	spin_unlock(&q->lock);
}

static void sealnic_event(struct sealnic *sn, const struct sealnic_event *event)
{
	switch (event->type) {
	case SEALNIC_EV_CMD:
		sealnic_event_cmd(sn, event);
		break;
	case SEALNIC_EV_LINK:
		sealnic_link_update(sn);
		break;
	case SEALNIC_EV_QP_ERROR:
		sealnic_health_report(sn, SEALNIC_HEALTH_QP,
				      le16_to_cpu(event->qp_error.qp) << 16 |
				      (le32_to_cpu(event->qp_error.syndrome) &
				       0xffff));
		break;
	case SEALNIC_EV_TLS_LOST:
		sealnic_tls_lost(sn, le32_to_cpu(event->tls_ctx.id));
		break;
	case SEALNIC_EV_FAULT:
		sealnic_fault(sn);
		break;
	default:
		atomic64_inc(&sn->events_unknown);
	}
}

/**
 * sealnic_event_poll() - take all events that there are
 * @sn: device
 *
 * Context: process or softirq
 */
void sealnic_event_poll(struct sealnic *sn)
{
	struct sealnic_cmdq *q = &sn->cmdq;
	unsigned int taken;
	u32 cons;

	spin_lock_bh(&q->event_lock);
	cons = q->event_cons;
	for (taken = 0; taken < SEALNIC_EVENT_RING; taken++, cons++) {
		struct sealnic_event *entry = &q->event[cons & SEALNIC_EVENT_MASK];
		u8 phase = cons & SEALNIC_EVENT_RING ? 0 : SEALNIC_EV_PHASE;
		struct sealnic_event event;

		if ((READ_ONCE(entry->ctl) & SEALNIC_EV_PHASE) != phase)
			break;
		/* The phase before the rest, which was written before it */
		dma_rmb();
		/* One copy: what is looked at twice must not change between */
		memcpy(&event, entry, sizeof(event));
		sealnic_event(sn, &event);
	}
	if (taken) {
		q->event_cons = cons;
		/* Read before the device may overwrite */
		mb();
		sealnic_wr32(&sn->seg->event_cons, cons);
		/* It may have waited for room */
		if (taken >= SEALNIC_EVENT_RING / 2)
			sealnic_doorbell(sn, SEALNIC_VEC_CONTROL);
	}
	spin_unlock_bh(&q->event_lock);
}

static void sealnic_event_work(struct work_struct *work)
{
	sealnic_event_poll(container_of(work, struct sealnic, cmdq.event_work));
}

/**
 * sealnic_event_irq() - MSI-X vector 0 has fired
 * @sn: device
 *
 * Context: hardirq
 */
void sealnic_event_irq(struct sealnic *sn)
{
	queue_work(system_bh_wq, &sn->cmdq.event_work);
}

/**
 * sealnic_cmdq_start() - begin with empty rings
 * @sn: device, after a reset
 *
 * Context: process; RTNL, or probe
 * Return: 0 or negative errno of sealnic_ctl_start()
 */
int sealnic_cmdq_start(struct sealnic *sn)
{
	struct sealnic_cmdq *q = &sn->cmdq;
	int err;

	spin_lock_bh(&q->event_lock);
	memset(q->event, 0, SEALNIC_EVENT_RING * sizeof(*q->event));
	q->event_cons = 0;
	spin_unlock_bh(&q->event_lock);

	spin_lock_bh(&q->lock);
	memset(q->cmd, 0, SEALNIC_CMD_RING * sizeof(*q->cmd));
	q->prod = 0;
	spin_unlock_bh(&q->lock);

	err = sealnic_ctl_start(sn);
	if (err)
		return err;

	spin_lock_bh(&q->lock);
	q->up = true;
	spin_unlock_bh(&q->lock);
	return 0;
}

/**
 * sealnic_cmdq_alloc() - memory for commands and events
 * @sn: device
 *
 * Return: 0 or -ENOMEM
 */
int sealnic_cmdq_alloc(struct sealnic *sn)
{
	struct device *dev = &sn->pdev->dev;
	struct sealnic_cmdq *q = &sn->cmdq;

	spin_lock_init(&q->lock);
	spin_lock_init(&q->event_lock);
	mutex_init(&q->mbox_lock);
	init_waitqueue_head(&q->room);
	INIT_WORK(&q->event_work, sealnic_event_work);

	q->cmd = dma_alloc_coherent(dev, SEALNIC_CMD_RING * sizeof(*q->cmd),
				    &q->cmd_dma, GFP_KERNEL);
	q->event = dma_alloc_coherent(dev, SEALNIC_EVENT_RING * sizeof(*q->event),
				      &q->event_dma, GFP_KERNEL);
	q->mbox = dma_alloc_coherent(dev, 2 * SEALNIC_MBOX_SIZE, &q->mbox_dma,
				     GFP_KERNEL);
	if (q->cmd && q->event && q->mbox)
		return 0;

	sealnic_cmdq_free(sn);
	return -ENOMEM;
}

/**
 * sealnic_cmdq_free() - the opposite
 * @sn: device, isolated, its interrupts freed
 */
void sealnic_cmdq_free(struct sealnic *sn)
{
	struct device *dev = &sn->pdev->dev;
	struct sealnic_cmdq *q = &sn->cmdq;

	cancel_work_sync(&q->event_work);

	if (q->cmd)
		dma_free_coherent(dev, SEALNIC_CMD_RING * sizeof(*q->cmd),
				  q->cmd, q->cmd_dma);
	if (q->event)
		dma_free_coherent(dev, SEALNIC_EVENT_RING * sizeof(*q->event),
				  q->event, q->event_dma);
	if (q->mbox)
		dma_free_coherent(dev, 2 * SEALNIC_MBOX_SIZE, q->mbox,
				  q->mbox_dma);
}
