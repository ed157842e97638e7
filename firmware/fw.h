/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The firmware of one sealnic port, as its platform sees it.
 *
 * The firmware is freestanding: it calls nothing but the operations below and
 * the four memory functions that every C compiler may emit calls to.  It never
 * blocks and never calls back into itself; the platform serialises all calls
 * for one port.
 */
#ifndef SEALNIC_FW_H
#define SEALNIC_FW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sealnic/hw.h"

#define FW_VERSION_MAJOR	1
#define FW_VERSION_MINOR	1
#define FW_VERSION_PATCH	0

/* Partial AES-GCM state of one record: the crypto block's, opaque to us */
#define FW_GCM_BYTES		96
struct fw_gcm {
	uint64_t opaque[FW_GCM_BYTES / 8];
};

/* A key as the crypto block takes it */
#define FW_KEY_NO_SLOT		UINT32_MAX
struct fw_key {
	const uint8_t *bytes;
	uint32_t len;		/* 16 or 32 */
	uint32_t slot;		/* may be used to cache the expanded key, unless NO_SLOT */
};

/* A frame on the wire: two pieces, so that cutting segments copies nothing */
struct fw_frame {
	const uint8_t *hdr;
	uint32_t hdr_len;
	const uint8_t *data;
	uint32_t data_len;
};

/**
 * struct fw_plat - what the firmware needs from the thing it runs on
 * @dma: host memory at @addr as the firmware may touch it; NULL if any of the
 *	@len bytes is not host memory.  The host may change what is behind it at
 *	any time.
 * @wire_ready: false while the wire wants no more frames; the platform calls
 *	fw_run() when that changes
 * @wire_tx: put a frame on the wire; the pieces are the firmware's again on return
 * @irq: raise an MSI-X vector
 * @now: monotonic time in nanoseconds
 * @gcm_start: begin a record: nonce and additional data
 * @gcm_seal: encrypt @len more bytes from @src to @dst
 * @gcm_open: decrypt @len more bytes from @src to @dst
 * @gcm_tag: finish the record: the tag that it has, or has to have
 * @key_drop: forget what was cached for this slot, and wipe it
 */
struct fw_plat {
	void *(*dma)(void *priv, uint64_t addr, uint32_t len);
	bool (*wire_ready)(void *priv);
	void (*wire_tx)(void *priv, const struct fw_frame *frame);
	void (*irq)(void *priv, uint32_t vector);
	uint64_t (*now)(void *priv);
	void (*gcm_start)(void *priv, struct fw_gcm *gcm, const struct fw_key *key,
			  const uint8_t iv[12], const uint8_t *aad, uint32_t aad_len);
	void (*gcm_seal)(void *priv, struct fw_gcm *gcm, const struct fw_key *key,
			 uint8_t *dst, const uint8_t *src, uint32_t len);
	void (*gcm_open)(void *priv, struct fw_gcm *gcm, const struct fw_key *key,
			 uint8_t *dst, const uint8_t *src, uint32_t len);
	void (*gcm_tag)(void *priv, struct fw_gcm *gcm, const struct fw_key *key,
			uint8_t tag[16]);
	void (*key_drop)(void *priv, uint32_t slot);
};

/**
 * struct fw_config - what makes this port this port
 * @bar2: SEALNIC_BAR2_SIZE bytes of zeroed memory, 4096-aligned, shared with the host
 * @db_base: see struct sealnic_init_seg
 * @vectors: doorbell and MSI-X vectors of the transport: queue pairs plus one
 * @max_tls_ctx: at most SEALNIC_MAX_TLS_CTX
 * @without: features not to offer
 * @speed: of the link, in Mb/s
 * @mac: station address
 * @serial: printable, NUL-terminated
 * @build: printable, NUL-terminated
 */
struct fw_config {
	void *bar2;
	uint32_t db_base;
	uint32_t vectors;
	uint32_t max_tls_ctx;
	uint64_t without;
	uint32_t speed;
	uint8_t mac[6];
	const char *serial;
	const char *build;
};

struct fw;

/* fw_run(): nothing to do before a doorbell, a frame or a platform event */
#define FW_IDLE			UINT64_MAX

/* fw_rx() */
enum fw_rx_result {
	FW_RX_TAKEN,		/* delivered, or dropped and counted */
	FW_RX_HOLD,		/* flow control: offer it again after fw_run() */
};

size_t fw_mem_size(const struct fw_config *cfg);
struct fw *fw_init(void *mem, const struct fw_config *cfg,
		   const struct fw_plat *plat, void *priv);
void fw_doorbell(struct fw *fw, uint32_t vector);
uint64_t fw_run(struct fw *fw);
enum fw_rx_result fw_rx(struct fw *fw, const struct fw_frame *frame, bool may_hold);
bool fw_enabled(const struct fw *fw);
void fw_set_link(struct fw *fw, bool up);
void fw_set_stall(struct fw *fw, bool stalled);
void fw_fault(struct fw *fw, enum sealnic_syndrome syndrome);
void fw_babble(struct fw *fw);
void fw_tls_lose(struct fw *fw);
void fw_tls_spoil(struct fw *fw, uint32_t records);
void fw_tls_refuse(struct fw *fw, uint32_t contexts);
void fw_get_stats(const struct fw *fw, struct sealnic_stats *stats);

#endif /* SEALNIC_FW_H */
