/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Opening a tap interface of the host.  Apart from tap.c, because the kernel's
 * header for it and hw.h define the same little-endian types, not quite alike.
 * The caller owns the descriptor.
 */
#ifndef TUN_H
#define TUN_H

int tun_open(const char *name);

#endif /* TUN_H */
