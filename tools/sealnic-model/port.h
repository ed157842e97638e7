/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A port of the NIC: one firmware, the guest RAM it reaches, its crypto block
 * and its way into a VM.  While no VM is connected there is no firmware.
 * The firmware is run from port_run() only; everything else just asks for it.
 */
#ifndef PORT_H
#define PORT_H

#include "fw.h"
#include "gcm.h"
#include "hostmem.h"
#include "ivshmem.h"
#include "lane.h"

#define MAX_PORTS	16

struct port_config {
	const char *sock;
	const char *ram;
	uint64_t size;
	enum machine machine;
	uint32_t vectors;
	uint32_t speed;
	uint32_t contexts;
	uint64_t without;	/* features not to offer */
	uint8_t mac[6];
};

struct port {
	unsigned int index;
	struct port_config cfg;
	struct ivshmem iv;
	struct lane *out;	/* the wire's, away from this port; NULL: no wire */

	/* While a VM is connected */
	int pid;		/* of its QEMU, 0 if unknown */
	uint64_t give_up;	/* waiting for the RAM file until then; 0: not waiting */
	struct hostmem mem;
	bool mem_checked;	/* that QEMU shares it */
	struct gcm *gcm;
	int bar2_fd;
	void *bar2;
	void *fw_mem;
	size_t fw_size;
	struct fw *fw;
	uint64_t run_at;	/* when the firmware wants fw_run() */
	bool link;

	/* By request of the control socket; outlives the VM */
	bool cable_out;
};

int port_open(struct port *port, unsigned int index, const struct port_config *cfg);
void port_close(struct port *port);
uint64_t port_run(struct port *port, uint64_t now);
void port_set_link(struct port *port, bool up);
bool port_had_vm(void);		/* one was connected, and none is any more */

/* The ends of a lane; the argument is the port */
enum fw_rx_result port_deliver(void *receiver, const struct fw_frame *frame, bool may_hold);
void port_wake(void *sender);

#endif /* PORT_H */
