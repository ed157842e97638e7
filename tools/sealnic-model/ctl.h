/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The control socket: lines in, lines out, for people, tests and a guest's
 * serial port.  Nothing else in the model depends on it.
 */
#ifndef CTL_H
#define CTL_H

#include "port.h"

int ctl_open(const char *path, struct port *ports, unsigned int port_count);
void ctl_close(void);

#endif /* CTL_H */
