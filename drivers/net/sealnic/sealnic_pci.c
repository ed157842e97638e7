// SPDX-License-Identifier: GPL-2.0
/*
 * Probe and remove: finds out whether a PCI function is a sealnic, maps it,
 * and takes the driver's parts up and down in order.
 */
#include <linux/ctype.h>
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>

#include "sealnic.h"
#include "sealnic_io.h"
#include "sealnic_tls.h"

#define SEALNIC_BAR_DOORBELL	0
#define SEALNIC_BAR_MEMORY	2

#define SEALNIC_PCI_IVSHMEM	0x1110

/* How long a device has to show that it lives before it is taken leave of */
#define SEALNIC_ALIVE_MSECS	2000

static const struct pci_device_id sealnic_pci_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, SEALNIC_PCI_IVSHMEM) },
	{ }
};
MODULE_DEVICE_TABLE(pci, sealnic_pci_ids);

/*
 * The id says "shared memory", and others share memory too.  Look for the
 * magic in a way that leaves no trace: with nothing enabled, nothing claimed,
 * and memory decoding switched on for the moment of looking only.
 */
static bool sealnic_pci_has_magic(struct pci_dev *pdev)
{
	static const u8 magic[8] = SEALNIC_MAGIC;
	bool found = false;
	void *mem;
	u16 cmd;
	int bar;

	if (!(pci_resource_flags(pdev, SEALNIC_BAR_DOORBELL) & IORESOURCE_MEM) ||
	    !(pci_resource_flags(pdev, SEALNIC_BAR_MEMORY) & IORESOURCE_MEM) ||
	    pci_resource_len(pdev, SEALNIC_BAR_MEMORY) <
	    sizeof(struct sealnic_init_seg))
		return false;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
		if (pci_resource_flags(pdev, bar) & IORESOURCE_UNSET)
			return false;

	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	if (!(cmd & PCI_COMMAND_MEMORY))
		pci_write_config_word(pdev, PCI_COMMAND,
				      cmd | PCI_COMMAND_MEMORY);

	mem = memremap(pci_resource_start(pdev, SEALNIC_BAR_MEMORY),
		       sizeof(magic), MEMREMAP_WB);
	if (mem) {
		found = !memcmp(mem, magic, sizeof(magic));
		memunmap(mem);
	}

	if (!(cmd & PCI_COMMAND_MEMORY))
		pci_write_config_word(pdev, PCI_COMMAND, cmd);
	return found;
}

static void sealnic_copy_text(char *dst, const u8 *src, size_t len)
{
	size_t i;

	for (i = 0; i < len && src[i]; i++)
		dst[i] = isprint(src[i]) ? src[i] : '?';
	dst[i] = '\0';
}

/* Check what the device says of itself, once: it is not asked again */
static int sealnic_pci_read_seg(struct sealnic *sn)
{
	const struct sealnic_init_seg *seg = sn->seg;
	struct device *dev = &sn->pdev->dev;
	u32 max_qp, bar2_size;
	u8 mac[ETH_ALEN];

	max_qp = sealnic_rd16(&seg->max_qp);
	bar2_size = sealnic_rd32(&seg->bar2_size);
	sn->max_ring = sealnic_rd16(&seg->max_ring);
	sn->max_mtu = sealnic_rd16(&seg->max_mtu);
	sn->db_base = sealnic_rd32(&seg->db_base);
	sn->features = sealnic_rd64(&seg->features) & SEALNIC_DRV_FEATURES;
	sn->ctl_seq = sealnic_rd32(&seg->ctl) >> 8;

	if (!max_qp || max_qp > SEALNIC_MAX_QP || bar2_size < SEALNIC_DB_OFFSET ||
	    bar2_size > pci_resource_len(sn->pdev, SEALNIC_BAR_MEMORY) ||
	    (bar2_size - SEALNIC_DB_OFFSET) / sizeof(struct sealnic_qp_db) < max_qp) {
		dev_err(dev, "device has %u queue pairs in %u bytes of memory\n",
			max_qp, bar2_size);
		return -EIO;
	}
	if (sn->max_ring < SEALNIC_TX_MIN || sn->max_ring > SEALNIC_MAX_RING) {
		dev_err(dev, "device has rings of %u entries, the driver wants %u to %u\n",
			sn->max_ring, SEALNIC_TX_MIN, SEALNIC_MAX_RING);
		return -EIO;
	}
	sn->max_ring = rounddown_pow_of_two(sn->max_ring);
	if (sn->max_mtu < ETH_DATA_LEN) {
		dev_err(dev, "device has an MTU of %u\n", sn->max_mtu);
		return -EIO;
	}
	sn->max_mtu = min_t(u32, sn->max_mtu, SEALNIC_MAX_MTU);
	sn->max_qp = min_t(u32, max_qp, SEALNIC_DRV_MAX_QP);

	snprintf(sn->fw_version, sizeof(sn->fw_version), "%u.%u.%u",
		 sealnic_rd16(&seg->fw_version[0]),
		 sealnic_rd16(&seg->fw_version[1]),
		 sealnic_rd16(&seg->fw_version[2]));
	sealnic_copy_text(sn->fw_build, seg->fw_build, sizeof(seg->fw_build));
	sealnic_copy_text(sn->serial, seg->serial, sizeof(seg->serial));

	memcpy(mac, seg->mac, sizeof(mac));
	if (is_valid_ether_addr(mac)) {
		eth_hw_addr_set(sn->netdev, mac);
	} else {
		eth_hw_addr_random(sn->netdev);
		dev_warn(dev, "device has no station address, made up %pM\n",
			 sn->netdev->dev_addr);
	}
	return 0;
}

static int sealnic_pci_check_version(struct pci_dev *pdev,
				     const struct sealnic_init_seg *seg)
{
	u16 major = sealnic_rd16(&seg->if_major);
	u16 minor = sealnic_rd16(&seg->if_minor);

	if (major == SEALNIC_IF_MAJOR)
		return 0;

	dev_err(&pdev->dev,
		"device speaks interface version %u.%u, this driver %u.%u\n",
		major, minor, SEALNIC_IF_MAJOR, SEALNIC_IF_MINOR);
	return -EPROTONOSUPPORT;
}

static int sealnic_pci_probe(struct pci_dev *pdev,
			     const struct pci_device_id *id)
{
	struct sealnic_init_seg *seg;
	struct net_device *netdev;
	struct sealnic *sn;
	int err;

	if (!sealnic_pci_has_magic(pdev))
		return -ENODEV;

	err = pci_enable_device_mem(pdev);
	if (err)
		return err;

	err = pci_request_mem_regions(pdev, SEALNIC_NAME);
	if (err)
		goto err_disable;

	seg = memremap(pci_resource_start(pdev, SEALNIC_BAR_MEMORY),
		       pci_resource_len(pdev, SEALNIC_BAR_MEMORY), MEMREMAP_WB);
	if (!seg) {
		err = -ENOMEM;
		goto err_regions;
	}

	err = sealnic_pci_check_version(pdev, seg);
	if (err)
		goto err_unmap_seg;

	/* Interrupts are dropped without a trace before this */
	pci_set_master(pdev);

	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		goto err_master;

	netdev = sealnic_netdev_alloc(pdev);
	if (!netdev) {
		err = -ENOMEM;
		goto err_master;
	}
	sn = netdev_priv(netdev);
	sn->seg = seg;
	pci_set_drvdata(pdev, sn);

	sn->bar0 = pci_iomap(pdev, SEALNIC_BAR_DOORBELL, 0);
	if (!sn->bar0) {
		err = -ENOMEM;
		goto err_netdev;
	}

	err = sealnic_pci_read_seg(sn);
	if (err)
		goto err_unmap_bar0;

	sealnic_health_init(sn);

	err = sealnic_devlink_alloc(sn);
	if (err)
		goto err_unmap_bar0;

	err = sealnic_cmdq_alloc(sn);
	if (err)
		goto err_devlink;

	err = sealnic_irqs_alloc(sn);
	if (err)
		goto err_cmdq;

	/* Whatever a former driver left running ends here */
	err = sealnic_ctl_reset(sn);
	if (err)
		goto err_irqs;

	err = sealnic_cmdq_start(sn);
	if (err)
		goto err_reset;

	sealnic_netdev_init(sn);

	err = sealnic_tls_init(sn);
	if (err)
		goto err_cmdq_stop;

	err = register_netdev(netdev);
	if (err)
		goto err_cmdq_stop;

	sealnic_devlink_register(sn);
	sealnic_health_start(sn);

	netdev_info(netdev, "firmware %s, %u queue pairs, %pM\n",
		    sn->fw_version, sn->max_qp, netdev->dev_addr);
	return 0;

err_cmdq_stop:
	sealnic_cmdq_fail(sn);
err_reset:
	sealnic_ctl_isolate(sn);
err_irqs:
	sealnic_irqs_free(sn);
err_cmdq:
	sealnic_cmdq_free(sn);
	sealnic_tls_fini(sn);
err_devlink:
	sealnic_devlink_free(sn);
err_unmap_bar0:
	pci_iounmap(pdev, sn->bar0);
err_netdev:
	pci_set_drvdata(pdev, NULL);
	free_netdev(netdev);
err_master:
	pci_clear_master(pdev);
err_unmap_seg:
	memunmap(seg);
err_regions:
	pci_release_mem_regions(pdev);
err_disable:
	pci_disable_device(pdev);
	return err;
}

static void sealnic_pci_remove(struct pci_dev *pdev)
{
	struct sealnic *sn = pci_get_drvdata(pdev);
	struct sealnic_init_seg *seg = sn->seg;
	struct net_device *netdev = sn->netdev;

	sealnic_health_quiet(sn);
	sealnic_devlink_unregister(sn);

	/* Taking leave of a corpse politely costs a timeout for every word */
	if (!sealnic_ctl_alive(sn, SEALNIC_ALIVE_MSECS))
		sealnic_dead(sn);

	/* Ends TLS offload of open sockets, then closes the interface */
	unregister_netdev(netdev);
	sealnic_health_stop(sn);
	cancel_work_sync(&sn->rx_mode_work);

	sealnic_cmdq_fail(sn);
	sealnic_ctl_isolate(sn);
	sealnic_irqs_free(sn);
	sealnic_cmdq_free(sn);
	/* Events spoke to it until now */
	sealnic_tls_fini(sn);
	sealnic_devlink_free(sn);
	pci_iounmap(pdev, sn->bar0);
	pci_set_drvdata(pdev, NULL);
	free_netdev(netdev);
	memunmap(seg);
	pci_clear_master(pdev);
	pci_release_mem_regions(pdev);
	pci_disable_device(pdev);
}

/* The next kernel must not find the device writing into its memory */
static void sealnic_pci_shutdown(struct pci_dev *pdev)
{
	struct sealnic *sn = pci_get_drvdata(pdev);

	sealnic_health_quiet(sn);
	sealnic_health_stop(sn);

	rtnl_lock();
	if (!sealnic_ctl_alive(sn, SEALNIC_ALIVE_MSECS))
		sealnic_dead(sn);
	netif_device_detach(sn->netdev);
	dev_close(sn->netdev);
	sealnic_cmdq_fail(sn);
	sealnic_ctl_isolate(sn);
	rtnl_unlock();

	pci_disable_device(pdev);
}

static struct pci_driver sealnic_pci_driver = {
	.name		= SEALNIC_NAME,
	.id_table	= sealnic_pci_ids,
	.probe		= sealnic_pci_probe,
	.remove		= sealnic_pci_remove,
	.shutdown	= sealnic_pci_shutdown,
};
module_pci_driver(sealnic_pci_driver);

MODULE_DESCRIPTION("sealnic: a NIC that seals TLS records");
MODULE_LICENSE("GPL");
