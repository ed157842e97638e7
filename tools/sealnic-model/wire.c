// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The wires.  Owns the list of them, their lanes and their far sides, and
 * decides the link state: a frame passes only while both sides of the wire are
 * there and nobody has pulled the cable.
 */
#include <stdio.h>
#include <stdlib.h>

#include "port.h"
#include "wire.h"

struct wire {
	struct wire *next;
	struct port *port[2];	/* the second is NULL where there is a far side */
	struct far *far;
	struct lane lane[2];	/* 0: from port[0], 1: towards it */
};

struct impair wire_impair;

static struct wire *wires;
static struct wire **wires_tail = &wires;
static unsigned int lanes;

static enum fw_rx_result far_deliver(void *receiver, const struct fw_frame *frame, bool may_hold)
{
	struct far *far = receiver;

	return far->ops->deliver(far, frame, may_hold);
}

static void far_wake(void *sender)
{
	struct far *far = sender;

	far->ops->wake(far);
}

static void lane_from_port(struct lane *lane, struct port *port)
{
	lane->wake = port_wake;
	lane->sender = port;
	port->out = lane;
}

static void lane_to_port(struct lane *lane, struct port *port)
{
	lane->deliver = port_deliver;
	lane->receiver = port;
}

static void wire_add(struct wire *wire)
{
	lane_init(&wire->lane[0], &wire_impair, lanes++);
	lane_init(&wire->lane[1], &wire_impair, lanes++);
	*wires_tail = wire;
	wires_tail = &wire->next;
}

/**
 * wire_pair() - join two ports
 * @a: one
 * @b: the other
 *
 * Return: what is wrong, or NULL.
 */
const char *wire_pair(struct port *a, struct port *b)
{
	struct wire *wire;

	if (a == b)
		return "a port cannot be wired to itself";
	if (a->out || b->out)
		return "the port has a wire already";
	wire = calloc(1, sizeof(*wire));
	if (!wire)
		return "out of memory";

	wire->port[0] = a;
	wire->port[1] = b;
	lane_from_port(&wire->lane[0], a);
	lane_to_port(&wire->lane[0], b);
	lane_from_port(&wire->lane[1], b);
	lane_to_port(&wire->lane[1], a);
	snprintf(wire->lane[0].name, sizeof(wire->lane[0].name), "port%u>port%u",
		 a->index, b->index);
	snprintf(wire->lane[1].name, sizeof(wire->lane[1].name), "port%u>port%u",
		 b->index, a->index);
	wire_add(wire);
	return NULL;
}

/**
 * wire_far() - join a port and a far side
 * @port: the port
 * @kind: a name for the far side
 * @far: the far side; the wire's if this succeeds
 *
 * Return: what is wrong, or NULL.
 */
const char *wire_far(struct port *port, const char *kind, struct far *far)
{
	struct wire *wire;

	if (port->out)
		return "the port has a wire already";
	wire = calloc(1, sizeof(*wire));
	if (!wire)
		return "out of memory";

	wire->port[0] = port;
	wire->far = far;
	lane_from_port(&wire->lane[0], port);
	wire->lane[0].deliver = far_deliver;
	wire->lane[0].receiver = far;
	wire->lane[0].retry = far->ops->retry;
	lane_to_port(&wire->lane[1], port);
	wire->lane[1].wake = far_wake;
	wire->lane[1].sender = far;
	far->in = &wire->lane[1];
	snprintf(wire->lane[0].name, sizeof(wire->lane[0].name), "port%u>%s", port->index, kind);
	snprintf(wire->lane[1].name, sizeof(wire->lane[1].name), "%s>port%u", kind, port->index);
	wire_add(wire);
	return NULL;
}

/*
 * A pair waits for the drivers of both ports; a far side is there or not.
 * A pulled cable is seen at both of its ends.
 */
static bool link_of(const struct wire *wire)
{
	const struct port *a = wire->port[0], *b = wire->port[1];

	if (!a->fw || a->cable_out)
		return false;
	if (!b)
		return wire->far->ops->link(wire->far);
	return b->fw && !b->cable_out && fw_enabled(a->fw) && fw_enabled(b->fw);
}

static void update_link(struct wire *wire)
{
	bool up = link_of(wire);

	lane_set_up(&wire->lane[0], up);
	lane_set_up(&wire->lane[1], up);
	port_set_link(wire->port[0], up);
	if (wire->port[1])
		port_set_link(wire->port[1], up);
}

/**
 * wires_run() - find out where there is a link, and move what is due
 * @now: the time
 *
 * Return: when to be called again if nothing else happens.
 */
uint64_t wires_run(uint64_t now)
{
	uint64_t next = NEVER;
	struct wire *wire;

	for (wire = wires; wire; wire = wire->next) {
		update_link(wire);
		next = min_u64(next, lane_run(&wire->lane[0], now));
		next = min_u64(next, lane_run(&wire->lane[1], now));
		/* The far side has hung up meanwhile: no event will tell the port */
		if (link_of(wire) != wire->lane[0].up)
			next = 0;
	}
	return next;
}

/**
 * wires_lane() - one of all directions of all wires
 * @index: its number, from 0 on
 *
 * Return: the direction; NULL behind the last one.
 */
struct lane *wires_lane(unsigned int index)
{
	struct wire *wire = wires;

	for (; wire && index >= 2; index -= 2)
		wire = wire->next;
	return wire ? &wire->lane[index] : NULL;
}

/**
 * wires_impair_changed() - wire_impair has new values
 * @reseed: the seed is one of them
 */
void wires_impair_changed(bool reseed)
{
	struct lane *lane;
	unsigned int i;

	for (i = 0; (lane = wires_lane(i)); i++) {
		if (reseed)
			impair_seed(&lane->dice, wire_impair.seed, i);
		lane_impair_changed(lane);
	}
}

/** wires_close() - the end of all wires and far sides */
void wires_close(void)
{
	struct wire *wire;

	while ((wire = wires)) {
		wires = wire->next;
		lane_set_up(&wire->lane[0], false);
		lane_set_up(&wire->lane[1], false);
		if (wire->far)
			wire->far->ops->close(wire->far);
		free(wire);
	}
	wires_tail = &wires;
}
