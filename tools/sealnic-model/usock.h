/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Unix sockets that the model listens on or receives at: they never take a
 * path away from a living process, are open to the model's own user only, and
 * are removed from the file system at the end.
 */
#ifndef USOCK_H
#define USOCK_H

int usock_bind(const char *path, int type);
int usock_accept(int fd);
void usock_close(int fd, const char *path);

#endif /* USOCK_H */
