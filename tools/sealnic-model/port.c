// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * A port of the NIC.  Owns its firmware, BAR2, RAM mapping and key cache: all
 * are made when a VM connects, before it can see any of them, and wiped when it
 * is gone.  Also the platform operations that the firmware runs on.
 */
#define _GNU_SOURCE 1

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "port.h"

#ifndef SEALNIC_BUILD
#define SEALNIC_BUILD	"sealnic-model " MODEL_VERSION
#endif

/* QEMU connects before it makes the RAM file, and waits for us to go on */
#define RAM_PATIENCE	(10 * NSEC_PER_SEC)
#define RAM_RETRY	(20 * NSEC_PER_MSEC)

static unsigned int connected;
static bool ever_connected;

/*
 * What the firmware runs on
 */

static void *plat_dma(void *priv, uint64_t addr, uint32_t len)
{
	struct port *port = priv;

	return hostmem_ptr(&port->mem, addr, len);
}

static bool plat_wire_ready(void *priv)
{
	struct port *port = priv;

	return !port->out || lane_ready(port->out);
}

static void plat_wire_tx(void *priv, const struct fw_frame *frame)
{
	struct port *port = priv;

	if (port->out)
		lane_tx(port->out, frame);
}

static void plat_irq(void *priv, uint32_t vector)
{
	struct port *port = priv;

	ivshmem_irq(&port->iv, vector);
}

static uint64_t plat_now(void *priv)
{
	(void)priv;
	return now_ns();
}

static void plat_gcm_start(void *priv, struct fw_gcm *state, const struct fw_key *key,
			   const uint8_t iv[12], const uint8_t *aad, uint32_t aad_len)
{
	struct port *port = priv;

	gcm_start(port->gcm, state, key, iv, aad, aad_len);
}

static void plat_gcm_seal(void *priv, struct fw_gcm *state, const struct fw_key *key,
			  uint8_t *dst, const uint8_t *src, uint32_t len)
{
	struct port *port = priv;

	gcm_seal(port->gcm, state, key, dst, src, len);
}

static void plat_gcm_open(void *priv, struct fw_gcm *state, const struct fw_key *key,
			  uint8_t *dst, const uint8_t *src, uint32_t len)
{
	struct port *port = priv;

	gcm_open(port->gcm, state, key, dst, src, len);
}

static void plat_gcm_tag(void *priv, struct fw_gcm *state, const struct fw_key *key,
			 uint8_t tag[16])
{
	struct port *port = priv;

	gcm_tag(port->gcm, state, key, tag);
}

static void plat_key_drop(void *priv, uint32_t slot)
{
	struct port *port = priv;

	gcm_key_drop(port->gcm, slot);
}

static const struct fw_plat plat = {
	.dma = plat_dma,
	.wire_ready = plat_wire_ready,
	.wire_tx = plat_wire_tx,
	.irq = plat_irq,
	.now = plat_now,
	.gcm_start = plat_gcm_start,
	.gcm_seal = plat_gcm_seal,
	.gcm_open = plat_gcm_open,
	.gcm_tag = plat_gcm_tag,
	.key_drop = plat_key_drop,
};

/*
 * From a VM's arrival to its end
 */

/* Sealed, so that nobody who gets the descriptor can pull it from under us */
static int make_bar2(struct port *port)
{
	int fd = memfd_create("sealnic-bar2", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	port->bar2_fd = fd;
	if (ftruncate(fd, SEALNIC_BAR2_SIZE) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	port->bar2 = mmap(NULL, SEALNIC_BAR2_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (port->bar2 == MAP_FAILED) {
		port->bar2 = NULL;
		return -errno;
	}
	return 0;
}

/* Of a million contexts most are never used: a page exists once it was written */
static void wipe_firmware(struct port *port)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *mem = port->fw_mem;
	unsigned char there;
	size_t pos, len;

	for (pos = 0; pos < port->fw_size; pos += page) {
		len = port->fw_size - pos < page ? port->fw_size - pos : page;
		if (mincore(mem + pos, len, &there) || there & 1)
			explicit_bzero(mem + pos, len);
	}
}

static int make_firmware(struct port *port)
{
	char serial[sizeof(((struct sealnic_init_seg *)0)->serial)];
	const uint8_t *mac = port->cfg.mac;
	struct fw_config config = {
		.bar2 = port->bar2,
		.db_base = IVSHMEM_DB_BASE,
		.vectors = port->cfg.vectors,
		.max_tls_ctx = port->cfg.contexts,
		.without = port->cfg.without,
		.speed = port->cfg.speed,
		.serial = serial,
		.build = SEALNIC_BUILD,
	};

	memcpy(config.mac, mac, sizeof(config.mac));
	snprintf(serial, sizeof(serial), "SN%02X%02X%02X%02X%02X%02X",
		 mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);

	port->fw_size = fw_mem_size(&config);
	port->fw_mem = mmap(NULL, port->fw_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (port->fw_mem == MAP_FAILED) {
		port->fw_mem = NULL;
		return -errno;
	}
	madvise(port->fw_mem, port->fw_size, MADV_DONTDUMP);
	port->fw = fw_init(port->fw_mem, &config, &plat, port);
	return port->fw ? 0 : -EINVAL;
}

static void detach(struct port *port)
{
	port->fw = NULL;
	port->link = false;
	port->give_up = 0;
	port->run_at = FW_IDLE;
	if (port->fw_mem) {
		wipe_firmware(port);
		munmap(port->fw_mem, port->fw_size);
		port->fw_mem = NULL;
	}
	gcm_free(port->gcm);
	port->gcm = NULL;
	if (port->bar2)
		munmap(port->bar2, SEALNIC_BAR2_SIZE);
	port->bar2 = NULL;
	if (port->bar2_fd >= 0)
		close(port->bar2_fd);
	port->bar2_fd = -1;
	hostmem_unmap(&port->mem);
}

static void refuse(struct port *port, const char *why)
{
	say("port %u: %s: the VM is refused", port->index, why);
	detach(port);
	ivshmem_hang_up(&port->iv);
	connected--;
}

/* The RAM is there: make a device and let the VM see it */
static void attach(struct port *port)
{
	const char *why = "no memory for BAR2";
	int err = make_bar2(port);

	if (!err) {
		why = "no AES-GCM";
		port->gcm = gcm_new();
		if (!port->gcm)
			err = -ENOMEM;
	}
	if (!err) {
		why = "the firmware does not start";
		err = make_firmware(port);
	}
	if (!err) {
		why = "the connection failed";
		err = ivshmem_serve(&port->iv, port->bar2_fd);
	}
	if (err) {
		refuse(port, why);
		return;
	}
	port->run_at = 0;
	say_more("port %u: a VM is attached", port->index);
}

static void explain_ram(struct port *port, int err)
{
	const char *path = port->cfg.ram;
	unsigned long long mib = port->cfg.size >> 20;

	switch (err) {
	case -ENOENT:
		say("port %u: there is no RAM file %s; start QEMU with -object memory-backend-file,mem-path=%s,share=on,size=%lluM,id=...",
		    port->index, path, path, mib);
		break;
	case -ENODATA:
		say("port %u: the RAM file %s has less than %llu MiB; give --port the size of the VM's RAM",
		    port->index, path, mib);
		break;
	case -EINVAL:
		say("port %u: the RAM file %s is not a regular file", port->index, path);
		break;
	default:
		say("port %u: the RAM file %s: %s", port->index, path, strerror(-err));
	}
}

static void try_attach(struct port *port, uint64_t now)
{
	int err = hostmem_map(&port->mem, port->cfg.ram, port->cfg.size, port->cfg.machine);

	if (!err) {
		port->give_up = 0;
		attach(port);
		return;
	}
	if ((err == -ENOENT || err == -ENODATA) && now < port->give_up) {
		port->run_at = now + RAM_RETRY;
		return;
	}
	explain_ram(port, err);
	refuse(port, "no guest RAM");
}

static void vm_connected(void *device, int pid)
{
	struct port *port = device;
	uint64_t now = now_ns();

	connected++;
	ever_connected = true;
	port->pid = pid;
	port->mem_checked = false;
	port->give_up = now + RAM_PATIENCE;
	try_attach(port, now);
}

static void vm_gone(void *device)
{
	struct port *port = device;

	say_more("port %u: the VM is gone", port->index);
	detach(port);
	connected--;
}

static void vm_doorbell(void *device, uint32_t vector)
{
	struct port *port = device;

	if (!port->fw)
		return;
	if (!port->mem_checked) {
		port->mem_checked = true;
		if (port->pid && hostmem_private_in(&port->mem, port->pid)) {
			refuse(port, "QEMU maps its RAM without share=on");
			return;
		}
	}
	fw_doorbell(port->fw, vector);
	port->run_at = 0;
}

static const struct ivshmem_ops vm_ops = {
	.connected = vm_connected,
	.doorbell = vm_doorbell,
	.gone = vm_gone,
};

/**
 * port_had_vm() - is it all over?
 *
 * Return: true if a VM was connected, and none is any more.
 */
bool port_had_vm(void)
{
	return ever_connected && !connected;
}

/*
 * The wire's side
 */

/**
 * port_deliver() - a frame arrives at a port
 * @receiver: the port
 * @frame: the wire's again on return
 * @may_hold: the wire can keep it
 *
 * Return: FW_RX_HOLD if it has to.
 */
enum fw_rx_result port_deliver(void *receiver, const struct fw_frame *frame, bool may_hold)
{
	struct port *port = receiver;
	enum fw_rx_result result;

	if (!port->fw)
		return FW_RX_TAKEN;
	result = fw_rx(port->fw, frame, may_hold);
	/* Interrupts to raise, or a retry that comes after fw_run() */
	if (result == FW_RX_TAKEN)
		port->run_at = 0;
	return result;
}

/**
 * port_wake() - a port's wire takes frames again
 * @sender: the port
 */
void port_wake(void *sender)
{
	struct port *port = sender;

	if (port->fw)
		port->run_at = 0;
}

/**
 * port_set_link() - there is somebody at the other end of a port's wire, or not
 * @port: the port
 * @up: there is
 */
void port_set_link(struct port *port, bool up)
{
	if (!port->fw || port->link == up)
		return;
	port->link = up;
	port->run_at = 0;
	fw_set_link(port->fw, up);
	say_more("port %u: link %s", port->index, up ? "up" : "down");
}

/*
 * The main loop's side
 */

/**
 * port_run() - do what is due
 * @port: the port
 * @now: the time
 *
 * Return: when to be called again if nothing else happens.
 */
uint64_t port_run(struct port *port, uint64_t now)
{
	if (port->run_at > now)
		return port->run_at;
	port->run_at = FW_IDLE;
	if (port->give_up) {
		try_attach(port, now);
	} else if (port->fw) {
		uint64_t next = fw_run(port->fw);

		/* the wire may have asked for another turn meanwhile */
		if (next < port->run_at)
			port->run_at = next;
	}
	return port->run_at;
}

/**
 * port_open() - make a port that waits for a VM
 * @port: filled in
 * @index: its number
 * @cfg: copied; what it points to has to stay
 *
 * Return: 0, or -1 after it was reported.
 */
int port_open(struct port *port, unsigned int index, const struct port_config *cfg)
{
	*port = (struct port) {
		.index = index,
		.cfg = *cfg,
		.bar2_fd = -1,
		.run_at = FW_IDLE,
	};
	return ivshmem_open(&port->iv, cfg->sock, cfg->vectors, &vm_ops, port);
}

/**
 * port_close() - the end of a port, and of its VM's connection
 * @port: the port
 */
void port_close(struct port *port)
{
	detach(port);
	ivshmem_close(&port->iv);
}
