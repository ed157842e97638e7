// SPDX-License-Identifier: GPL-2.0
/*
 * devlink: what the device is, how it feels, and making it well again.
 *
 * Reporter operations run under the devlink instance lock and take RTNL, which
 * keeps the rings in place, inside of it.
 */
#include <linux/rtnetlink.h>
#include <net/devlink.h>

#include "sealnic.h"
#include "sealnic_io.h"

struct sealnic_devlink {
	struct sealnic *sn;
};

static int sealnic_devlink_info_get(struct devlink *devlink,
				    struct devlink_info_req *req,
				    struct netlink_ext_ack *extack)
{
	struct sealnic_devlink *priv = devlink_priv(devlink);
	struct sealnic *sn = priv->sn;
	char api[16];
	int err;

	if (sn->serial[0]) {
		err = devlink_info_serial_number_put(req, sn->serial);
		if (err)
			return err;
	}
	err = devlink_info_version_running_put(req,
					       DEVLINK_INFO_VERSION_GENERIC_FW,
					       sn->fw_version);
	if (err)
		return err;

	snprintf(api, sizeof(api), "%u.%u", sealnic_rd16(&sn->seg->if_major),
		 sealnic_rd16(&sn->seg->if_minor));
	err = devlink_info_version_running_put(req,
					       DEVLINK_INFO_VERSION_GENERIC_FW_MGMT_API,
					       api);
	if (err || !sn->fw_build[0])
		return err;

	return devlink_info_version_running_put(req, "fw.build", sn->fw_build);
}

static const struct devlink_ops sealnic_devlink_ops = {
	.info_get	= sealnic_devlink_info_get,
};

/* @priv_ctx: why, or NULL if a person asks */
static int sealnic_reporter_recover(struct devlink_health_reporter *reporter,
				    void *priv_ctx,
				    struct netlink_ext_ack *extack)
{
	struct sealnic *sn = devlink_health_reporter_priv(reporter);
	enum sealnic_health_reason *reason = priv_ctx;
	int err;

	if (reason && *reason == SEALNIC_HEALTH_DEAD)
		return -EIO;

	rtnl_lock();
	err = sealnic_reset(sn);
	rtnl_unlock();
	if (err)
		NL_SET_ERR_MSG(extack, "The device could not be reset");
	return err;
}

static void sealnic_fmsg_device(struct sealnic *sn, struct devlink_fmsg *fmsg)
{
	struct sealnic_init_seg *seg = sn->seg;

	devlink_fmsg_obj_nest_start(fmsg);
	devlink_fmsg_bool_pair_put(fmsg, "dead", sealnic_is_dead(sn));
	devlink_fmsg_bool_pair_put(fmsg, "queues_up",
				   test_bit(SEALNIC_DEV_UP, &sn->state));
	devlink_fmsg_u32_pair_put(fmsg, "state", sealnic_rd32(&seg->state));
	devlink_fmsg_u32_pair_put(fmsg, "syndrome",
				  sealnic_rd32(&seg->syndrome));
	devlink_fmsg_u64_pair_put(fmsg, "errors", sealnic_rd64(&seg->errors));
	devlink_fmsg_u32_pair_put(fmsg, "link", sealnic_rd32(&seg->link));
	devlink_fmsg_u32_pair_put(fmsg, "ctl", sealnic_rd32(&seg->ctl));
	devlink_fmsg_u32_pair_put(fmsg, "ctl_ack", sealnic_rd32(&seg->ctl_ack));
	devlink_fmsg_u32_pair_put(fmsg, "ping", sealnic_rd32(&seg->ping));
	devlink_fmsg_u32_pair_put(fmsg, "pong", sealnic_rd32(&seg->pong));
	devlink_fmsg_u32_pair_put(fmsg, "cmd_prod",
				  sealnic_rd32(&seg->cmd_prod));
	devlink_fmsg_u32_pair_put(fmsg, "event_cons",
				  sealnic_rd32(&seg->event_cons));
	devlink_fmsg_u64_pair_put(fmsg, "cmd_timeouts",
				  atomic64_read(&sn->cmd_timeouts));
	devlink_fmsg_u64_pair_put(fmsg, "resets", atomic64_read(&sn->resets));
	devlink_fmsg_obj_nest_end(fmsg);
}

static void sealnic_fmsg_queue(struct sealnic_qp *qp,
			       const struct sealnic_rings *rings,
			       struct devlink_fmsg *fmsg)
{
	const struct sealnic_tx_ring *tx = &rings->tx;
	const struct sealnic_rx_ring *rx = &rings->rx;

	devlink_fmsg_obj_nest_start(fmsg);
	devlink_fmsg_u32_pair_put(fmsg, "queue", qp->id);
	devlink_fmsg_u32_pair_put(fmsg, "tx_size", tx->size);
	devlink_fmsg_u32_pair_put(fmsg, "tx_prod", READ_ONCE(tx->prod));
	devlink_fmsg_u32_pair_put(fmsg, "tx_posted", READ_ONCE(tx->posted));
	devlink_fmsg_u32_pair_put(fmsg, "tx_cons", READ_ONCE(tx->cons));
	devlink_fmsg_u32_pair_put(fmsg, "device_tx_cons",
				  sealnic_rd32(&rings->status->tx_cons));
	devlink_fmsg_u32_pair_put(fmsg, "device_tx_kick",
				  sealnic_rd32(&rings->status->tx_kick));
	devlink_fmsg_bool_pair_put(fmsg, "tx_stopped",
				   netif_xmit_stopped(netdev_get_tx_queue(qp->sn->netdev,
									  qp->id)));
	devlink_fmsg_u32_pair_put(fmsg, "rx_size", rx->size);
	devlink_fmsg_u32_pair_put(fmsg, "rx_prod", READ_ONCE(rx->prod));
	devlink_fmsg_u32_pair_put(fmsg, "rx_posted", READ_ONCE(rx->posted));
	devlink_fmsg_u32_pair_put(fmsg, "rx_cons", READ_ONCE(rx->cons));
	devlink_fmsg_u32_pair_put(fmsg, "device_rx_kick",
				  sealnic_rd32(&rings->status->rx_kick));
	devlink_fmsg_bool_pair_put(fmsg, "rx_broken", READ_ONCE(rx->broken));
	devlink_fmsg_u32_pair_put(fmsg, "arm", READ_ONCE(qp->arm));
	devlink_fmsg_obj_nest_end(fmsg);
}

/**
 * sealnic_devlink_healthy() - a reset has cured whatever was reported
 * @sn: device
 *
 * devlink would not recover a reporter again whose last error it takes for
 * not recovered.
 *
 * Context: process, devlink instance lock
 */
void sealnic_devlink_healthy(struct sealnic *sn)
{
	devlink_health_reporter_state_update(sn->reporter_fw,
					     DEVLINK_HEALTH_REPORTER_STATE_HEALTHY);
	devlink_health_reporter_state_update(sn->reporter_tx,
					     DEVLINK_HEALTH_REPORTER_STATE_HEALTHY);
}

static int sealnic_reporter_diagnose(struct devlink_health_reporter *reporter,
				     struct devlink_fmsg *fmsg,
				     struct netlink_ext_ack *extack)
{
	struct sealnic *sn = devlink_health_reporter_priv(reporter);
	unsigned int i;

	rtnl_lock();
	devlink_fmsg_pair_nest_start(fmsg, "device");
	sealnic_fmsg_device(sn, fmsg);
	devlink_fmsg_pair_nest_end(fmsg);

	devlink_fmsg_arr_pair_nest_start(fmsg, "queues");
	/* An interface that is down has no rings, whatever its qp[] remembers */
	for (i = 0; i < sn->set.n; i++)
		if (sn->set.rings[i])
			sealnic_fmsg_queue(&sn->qp[i], sn->set.rings[i], fmsg);
	devlink_fmsg_arr_pair_nest_end(fmsg);
	rtnl_unlock();
	return 0;
}

static int sealnic_reporter_dump(struct devlink_health_reporter *reporter,
				 struct devlink_fmsg *fmsg, void *priv_ctx,
				 struct netlink_ext_ack *extack)
{
	return sealnic_reporter_diagnose(reporter, fmsg, extack);
}

static const struct devlink_health_reporter_ops sealnic_reporter_fw_ops = {
	.name		= "fw",
	.recover	= sealnic_reporter_recover,
	.diagnose	= sealnic_reporter_diagnose,
	.dump		= sealnic_reporter_dump,
};

static const struct devlink_health_reporter_ops sealnic_reporter_tx_ops = {
	.name		= "tx",
	.recover	= sealnic_reporter_recover,
	.diagnose	= sealnic_reporter_diagnose,
	.dump		= sealnic_reporter_dump,
};

/**
 * sealnic_devlink_alloc() - the devlink instance and its health reporters
 * @sn: device
 *
 * Return: 0 or negative errno
 */
int sealnic_devlink_alloc(struct sealnic *sn)
{
	struct sealnic_devlink *priv;
	int err;

	sn->devlink = devlink_alloc(&sealnic_devlink_ops, sizeof(*priv),
				    &sn->pdev->dev);
	if (!sn->devlink)
		return -ENOMEM;
	priv = devlink_priv(sn->devlink);
	priv->sn = sn;

	/* No grace: what fails again right after a reset is reset again */
	sn->reporter_fw =
		devlink_health_reporter_create(sn->devlink,
					       &sealnic_reporter_fw_ops, 0, sn);
	if (IS_ERR(sn->reporter_fw)) {
		err = PTR_ERR(sn->reporter_fw);
		goto err_free;
	}
	sn->reporter_tx =
		devlink_health_reporter_create(sn->devlink,
					       &sealnic_reporter_tx_ops, 0, sn);
	if (IS_ERR(sn->reporter_tx)) {
		err = PTR_ERR(sn->reporter_tx);
		goto err_reporter_fw;
	}
	return 0;

err_reporter_fw:
	devlink_health_reporter_destroy(sn->reporter_fw);
err_free:
	devlink_free(sn->devlink);
	return err;
}

/**
 * sealnic_devlink_free() - the opposite
 * @sn: device; devlink is not registered
 */
void sealnic_devlink_free(struct sealnic *sn)
{
	devlink_health_reporter_destroy(sn->reporter_tx);
	devlink_health_reporter_destroy(sn->reporter_fw);
	devlink_free(sn->devlink);
}

/**
 * sealnic_devlink_register() - show it to the world
 * @sn: device
 */
void sealnic_devlink_register(struct sealnic *sn)
{
	devlink_register(sn->devlink);
}

/**
 * sealnic_devlink_unregister() - hide it
 * @sn: device; nothing is reported any more
 */
void sealnic_devlink_unregister(struct sealnic *sn)
{
	devlink_unregister(sn->devlink);
}
