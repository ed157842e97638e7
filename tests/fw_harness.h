/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the firmware's tests stand on: TAP, a host with memory below and above
 * 4 GiB around one port of the firmware, the steps of a driver, and a reader of
 * frames that shares no code with the firmware.
 *
 * While the firmware runs, AddressSanitizer lets it touch only those bytes of
 * host memory that it has asked for with dma().
 */
#ifndef FW_HARNESS_H
#define FW_HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fw.h"
#include "gcm.h"

/* TAP: one line for each test(), whose CHECK()s explain a failure */
#define CHECK(cond) tap_check((cond), __FILE__, __LINE__, #cond)
#define CHECK_EQ(a, b) tap_check_eq((uint64_t)(a), (uint64_t)(b), __FILE__, __LINE__, #a, #b)
bool tap_check(bool good, const char *file, int line, const char *what);
bool tap_check_eq(uint64_t a, uint64_t b, const char *file, int line, const char *what_a,
		  const char *what_b);
void test(const char *name, void (*fn)(void));
int tap_end(void);

/* Seeded, the same everywhere */
struct rnd {
	uint64_t state;
};

uint32_t rnd(struct rnd *r);
uint32_t rnd_below(struct rnd *r, uint32_t n);
void rnd_fill(struct rnd *r, void *p, uint32_t len);

#define LOW_BASE	0x1000ull
#define HIGH_BASE	0x100000000ull
#define HOLE_ADDR	0xc0000000ull
#define MAX_FRAMES	2048
#define MAX_EVENTS	512

struct region {
	uint64_t base;
	uint64_t size;
	uint64_t used;
	uint8_t *mem;
};

struct frame {
	uint8_t *bytes;
	uint32_t len;
	uint32_t first;		/* bytes in the first of the two pieces */
};

/* A queue pair as its driver knows it */
struct host_qp {
	uint32_t tx_log2, rx_log2;
	uint64_t tx, rx, rxc, status;
	uint16_t vector;
	uint32_t tx_prod;
	uint32_t rx_prod;
	uint32_t rxc_cons;
};

struct host {
	struct region ram[2];
	struct sealnic_init_seg *seg;
	struct sealnic_qp_db *db;
	uint8_t *bar2;

	struct fw_config cfg;
	struct fw *fw;
	void *fw_mem;
	size_t fw_mem_size;
	struct gcm *gcm;

	uint64_t now;
	uint64_t due;		/* what the last fw_run() returned */
	int64_t wire_credit;	/* frames the wire takes; < 0: any number */
	struct frame frames[MAX_FRAMES];
	uint32_t n_frames;
	uint32_t irqs[SEALNIC_MAX_QP + 1];

	uint64_t cmd_ring, event_ring;
	uint32_t cmd_log2, event_log2;
	uint32_t cmd_prod, event_cons;
	uint64_t scratch;	/* for the buffers of commands */
	struct sealnic_event events[MAX_EVENTS];
	uint32_t n_events;

	struct host_qp qp[SEALNIC_MAX_QP];
	uint64_t arena[2];
	uint32_t arena_pos[2];
	uint32_t arena_bytes;
	uint32_t piece;

	bool inside;		/* the firmware runs */
	bool loose;		/* the test touches memory meanwhile: no strict checks */
	uint64_t rung[2];	/* doorbells since then: it hears them later */
	void *hook_arg;
	void (*on_dma)(struct host *h, uint64_t addr, uint32_t len);
	void (*on_seal)(struct host *h);
	void (*on_tx)(struct host *h, const struct fw_frame *frame);
	void (*on_now)(struct host *h);
	bool keep_no_frames;
};

struct host_options {
	uint32_t vectors;
	uint32_t max_tls_ctx;
	uint32_t ram_bytes;	/* of each region */
	uint32_t arena_bytes;	/* in each region, for packets */
	struct gcm *gcm;	/* borrowed, or NULL for an own one */
};

/* The host */
struct host *host_new(const struct host_options *opt);
void host_free(struct host *h);
uint64_t host_alloc(struct host *h, int region, uint64_t size);
void *host_at(struct host *h, uint64_t addr, uint64_t len);
void *host_memory(struct host *h, uint64_t addr, uint64_t len);
void host_enter(struct host *h);
void host_leave(struct host *h);
void host_run(struct host *h);
void ring(struct host *h, uint32_t vector);

/* The driver: control, commands, events */
void write_ctl(struct host *h, uint32_t op);
void set_rings(struct host *h, uint32_t cmd_log2, uint32_t event_log2);
void start(struct host *h);
void reset(struct host *h);
void post_command(struct host *h, struct sealnic_cmd *cmd);
void drain_events(struct host *h);
const struct sealnic_event *find_event(const struct host *h, uint8_t type);
uint32_t count_events(const struct host *h, uint8_t type);
enum sealnic_status command(struct host *h, struct sealnic_cmd *cmd, struct sealnic_event *ev);
enum sealnic_status set_port(struct host *h, uint32_t flags, uint32_t mtu);
enum sealnic_status set_rx_mode(struct host *h, uint32_t flags);
enum sealnic_status create_qp(struct host *h, uint32_t n, uint32_t tx_log2, uint32_t rx_log2);
enum sealnic_status destroy_qp(struct host *h, uint32_t n);
enum sealnic_status coalesce(struct host *h, uint32_t n, uint32_t rx_usecs, uint32_t rx_frames,
			     uint32_t tx_usecs, uint32_t tx_frames);
struct sealnic_stats get_stats(struct host *h);
struct host *host_up(uint32_t n_qp);

/* The driver: transmit */
struct packet {
	const void *hdr;
	uint32_t hdr_len;
	const void *data;
	uint32_t len;
	uint32_t cuts[SEALNIC_MAX_PKT_DESC];	/* lengths of descriptors; the last one has the rest */
	uint32_t n_cuts;			/* 0: one for headers and one for data */
	bool together;				/* one descriptor for both */
	uint16_t flags;
	uint16_t mss;
	uint16_t tci;
	uint8_t l3, l4, csum_off;
	uint32_t tls_ctx;
};

struct sealnic_txd *txd(struct host *h, uint32_t q, uint32_t index);
uint64_t arena_put(struct host *h, const void *p, uint32_t len);
void post_txd(struct host *h, uint32_t q, const struct sealnic_txd *d);
void post_packet(struct host *h, uint32_t q, const struct packet *p);
void kick(struct host *h, uint32_t q);
void send_packet(struct host *h, uint32_t q, const struct packet *p);
uint32_t tx_cons(struct host *h, uint32_t q);

/* The driver: receive */
void post_rx(struct host *h, uint32_t q, uint64_t addr, uint32_t len);
void post_buffers(struct host *h, uint32_t q, uint32_t count, uint32_t len);
bool take_rxc(struct host *h, uint32_t q, struct sealnic_rxc *c);
uint32_t take_frame(struct host *h, uint32_t q, uint8_t *out, struct sealnic_rxc *last);
enum fw_rx_result offer(struct host *h, const void *frame, uint32_t len, uint32_t first,
			bool may_hold);

/* What the device holds of the host's, secrets perhaps */
bool in_device_memory(const struct host *h, const void *needle, uint32_t len);

/* The wire */
void drop_frames(struct host *h);

/* Headers to send */
struct headers {
	uint8_t bytes[SEALNIC_MAX_HDR + 1];
	uint32_t len;
	uint8_t l3, l4, csum_off;
};

extern const uint8_t mac_a[6], mac_b[6];
struct headers tcp_headers(bool v6, uint32_t seq, uint8_t flags, uint32_t options);
struct headers udp_headers(bool v6, uint32_t payload);
void put_pseudo(struct headers *hd, bool v6, uint32_t payload);
uint32_t finish_frame(uint8_t *out, const struct headers *hd, bool v6, const void *data,
		      uint32_t len);

/* A frame as read by somebody who has never heard of the firmware */
struct view {
	bool vlan;
	uint16_t tci;
	bool v6;
	uint8_t proto;
	uint16_t ip_id;
	bool ip_good;		/* lengths, IPv4 header checksum */
	bool l4_good;		/* checksum */
	uint16_t l4_sum;	/* as on the wire */
	uint32_t seq;
	uint8_t tcp_flags;
	uint32_t hdr_len;
	const uint8_t *payload;
	uint32_t len;
};

bool read_frame(struct view *v, const uint8_t *p, uint32_t len);

#endif /* FW_HARNESS_H */
