// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Opens a tap interface of the host, made or taken over by name.
 * Owns nothing: the descriptor is the caller's.  Bringing the interface up is
 * its user's business.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tun.h"

/**
 * tun_open() - open a tap interface; it is made if there is none
 * @name: of the interface
 *
 * Return: a non-blocking descriptor that carries a frame a read or write, or a
 * negative error.
 */
int tun_open(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd, err;

	if (strlen(name) >= sizeof(ifr.ifr_name))
		return -ENAMETOOLONG;
	strcpy(ifr.ifr_name, name);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, TUNSETIFF, &ifr)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}
