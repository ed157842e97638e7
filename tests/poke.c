// SPDX-License-Identifier: GPL-2.0
/*
 * poke FILE OFFSET: writes standard input, at most a page of it, to that place of a file that can only be mapped, such as
 * a PCI device's memory in sysfs (/sys/bus/pci/devices/.../resource2), where write() is refused.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	uint8_t in[4096], *mem;
	size_t len, page, off;
	int fd;

	if (argc != 3) {
		fputs("usage: poke FILE OFFSET\n", stderr);
		return 2;
	}
	page = (size_t)sysconf(_SC_PAGESIZE);
	off = strtoul(argv[2], NULL, 0);
	len = fread(in, 1, sizeof(in), stdin);
	fd = open(argv[1], O_RDWR);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	mem = mmap(NULL, off % page + len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(off - off % page));
	if (mem == MAP_FAILED) {
		perror(argv[1]);
		return 1;
	}
	memcpy(mem + off % page, in, len);
	return memcmp(mem + off % page, in, len) != 0;
}
