/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How a port gets into a VM: the server's side of QEMU's ivshmem-doorbell.
 * Knows about sockets, the shared memory's descriptor and doorbells, nothing
 * about the device behind them; that one is told through struct ivshmem_ops.
 */
#ifndef IVSHMEM_H
#define IVSHMEM_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "sealnic/hw.h"

#define IVSHMEM_MIN_VECTORS	2
#define IVSHMEM_MAX_VECTORS	(SEALNIC_MAX_QP + 1)

/* What is ORed with the vector in a doorbell write: our peer number */
#define IVSHMEM_PEER_VM		0
#define IVSHMEM_PEER_DEVICE	1
#define IVSHMEM_DB_BASE		(IVSHMEM_PEER_DEVICE << 16)

/**
 * struct ivshmem_ops - the device's side
 * @connected: QEMU is here and waits for ivshmem_serve(); @pid is 0 if unknown
 * @doorbell: the VM rang
 * @gone: the VM is gone, or the device was unplugged
 */
struct ivshmem_ops {
	void (*connected)(void *device, int pid);
	void (*doorbell)(void *device, uint32_t vector);
	void (*gone)(void *device);
};

struct ivshmem_bell {
	struct watch watch;
	struct ivshmem *iv;
};

struct ivshmem {
	const struct ivshmem_ops *ops;
	void *device;
	const char *path;
	uint32_t vectors;
	struct watch listen;
	struct watch conn;
	int memory;			/* the device's own descriptor of BAR2 */
	unsigned int sent;		/* messages of the greeting */
	struct ivshmem_bell bell[IVSHMEM_MAX_VECTORS];
	int irq[IVSHMEM_MAX_VECTORS];
};

int ivshmem_open(struct ivshmem *iv, const char *path, uint32_t vectors,
		 const struct ivshmem_ops *ops, void *device);
void ivshmem_close(struct ivshmem *iv);
int ivshmem_serve(struct ivshmem *iv, int memory);
void ivshmem_hang_up(struct ivshmem *iv);
void ivshmem_irq(struct ivshmem *iv, uint32_t vector);

/**
 * ivshmem_is_connected() - is there a VM?
 * @iv: the server
 *
 * Return: true if so.
 */
static inline bool ivshmem_is_connected(const struct ivshmem *iv)
{
	return iv->conn.fd >= 0;
}

#endif /* IVSHMEM_H */
