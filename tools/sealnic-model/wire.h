/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Wires: what joins a port to another port, or to the world outside (a "far
 * side": QEMU's sockets, a tap, nothing).  A wire has two lanes and one link
 * state; wire.c alone decides when there is a link.
 */
#ifndef WIRE_H
#define WIRE_H

#include "lane.h"

struct port;
struct far;

/**
 * struct far_ops - a kind of far side
 * @deliver: send a frame out; FW_RX_HOLD only if @may_hold
 * @wake: the lane towards the port takes frames again
 * @link: is there somebody?
 * @close: free everything
 * @retry: ns after which to call deliver() again if it said hold, 0 if an event
 *	tells
 */
struct far_ops {
	enum fw_rx_result (*deliver)(struct far *far, const struct fw_frame *frame, bool may_hold);
	void (*wake)(struct far *far);
	bool (*link)(const struct far *far);
	void (*close)(struct far *far);
	uint64_t retry;
};

/* Embedded in what each kind has to remember */
struct far {
	const struct far_ops *ops;
	struct lane *in;	/* towards the port */
};

struct far *stream_open(const char *path);
struct far *dgram_open(const char *local, const char *remote);
struct far *tap_open(const char *name);
struct far *null_open(void);

extern struct impair wire_impair;

const char *wire_pair(struct port *a, struct port *b);
const char *wire_far(struct port *port, const char *kind, struct far *far);
uint64_t wires_run(uint64_t now);
void wires_impair_changed(bool reseed);
struct lane *wires_lane(unsigned int index);
void wires_close(void);

#endif /* WIRE_H */
