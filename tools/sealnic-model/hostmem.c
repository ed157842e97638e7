// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The guest's RAM: maps the file behind QEMU's memory backend and knows where
 * the machines of QEMU split it around the hole below 4 GiB.  Also finds out
 * whether QEMU shares it, as the device would see nothing of the guest otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hostmem.h"
#include "model.h"

/* QEMU's hw/i386/pc_q35.c and pc_piix.c, without max-ram-below-4g */
static uint64_t low_bytes(uint64_t size, enum machine machine)
{
	const uint64_t split_from = machine == MACHINE_Q35 ? 0xb0000000 : 0xe0000000;
	const uint64_t low = machine == MACHINE_Q35 ? 0x80000000 : 0xc0000000;

	return size >= split_from ? low : size;
}

/**
 * hostmem_wrap() - take memory of this process for the guest's RAM: tests and benches
 * @m: filled in
 * @base: the memory; stays the caller's
 * @size: its bytes
 * @machine: QEMU's machine type
 */
void hostmem_wrap(struct hostmem *m, void *base, uint64_t size, enum machine machine)
{
	*m = (struct hostmem) {
		.base = base,
		.size = size,
		.low = low_bytes(size, machine),
	};
}

/**
 * hostmem_map() - map the file that is the guest's RAM
 * @m: filled in
 * @path: QEMU's mem-path
 * @size: bytes of RAM that the guest has
 * @machine: QEMU's machine type
 *
 * Return: 0, -ENOENT, -ENODATA if the file is smaller than @size, -EINVAL if it
 * is not a regular file, or what open() and mmap() said.
 */
int hostmem_map(struct hostmem *m, const char *path, uint64_t size, enum machine machine)
{
	struct stat st;
	void *base;
	int fd, err = 0;

	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st)) {
		err = -errno;
	} else if (!S_ISREG(st.st_mode)) {
		err = -EINVAL;
	} else if ((uint64_t)st.st_size < size) {
		err = -ENODATA;
	} else {
		base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (base == MAP_FAILED)
			err = -errno;
	}
	close(fd);
	if (err)
		return err;

	madvise(base, size, MADV_DONTDUMP);
	hostmem_wrap(m, base, size, machine);
	m->mapped = true;
	m->dev_major = major(st.st_dev);
	m->dev_minor = minor(st.st_dev);
	m->inode = st.st_ino;
	return 0;
}

/**
 * hostmem_unmap() - let go of the guest's RAM
 * @m: the RAM; may be none
 */
void hostmem_unmap(struct hostmem *m)
{
	if (m->mapped)
		munmap(m->base, m->size);
	*m = (struct hostmem) { 0 };
}

/**
 * hostmem_private_in() - does a process map our RAM file, but only for itself?
 * @m: a mapped file
 * @pid: of the process
 *
 * Return: true if that is certain; false also where /proc does not tell.
 */
bool hostmem_private_in(const struct hostmem *m, int pid)
{
	bool is_private = false, is_shared = false;
	char path[32], line[512], perm[5];
	unsigned int maj, min;
	unsigned long inode;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		return false;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%*x-%*x %4s %*x %x:%x %lu", perm, &maj, &min, &inode) != 4)
			continue;
		if (maj != m->dev_major || min != m->dev_minor || inode != m->inode)
			continue;
		if (perm[3] == 's')
			is_shared = true;
		else
			is_private = true;
	}
	fclose(maps);
	return is_private && !is_shared;
}
