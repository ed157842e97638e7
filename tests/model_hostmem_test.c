// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * What stands between a guest's addresses and the model's memory: every range
 * that is RAM as a whole is found at its byte of the file, and nothing else is
 * found at all.  What is RAM is told here byte by byte, in 128 bits, so that
 * nothing can wrap.
 */
#define _GNU_SOURCE 1

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hostmem.h"
#include "model.h"

#define MIB	(1ull << 20)
#define GIB	(1ull << 30)
#define PAGE	4096

static unsigned int tests, failed;

static void ok(bool good, const char *name)
{
	tests++;
	failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", tests, name);
}

/* As QEMU lays it out: @low bytes are below the hole */
static const struct layout {
	enum machine machine;
	uint64_t size;
	uint64_t low;
} layouts[] = {
	{ MACHINE_Q35, 16 * MIB, 16 * MIB },
	{ MACHINE_Q35, 2 * GIB - PAGE, 2 * GIB - PAGE },
	{ MACHINE_Q35, 2 * GIB, 2 * GIB },
	{ MACHINE_Q35, 2 * GIB + PAGE, 2 * GIB + PAGE },
	{ MACHINE_Q35, 0xb0000000 - PAGE, 0xb0000000 - PAGE },
	{ MACHINE_Q35, 0xb0000000, 2 * GIB },
	{ MACHINE_Q35, 4 * GIB, 2 * GIB },
	{ MACHINE_Q35, 4 * GIB + PAGE, 2 * GIB },
	{ MACHINE_Q35, 16 * GIB, 2 * GIB },
	{ MACHINE_Q35, 1ull << 44, 2 * GIB },
	{ MACHINE_PC, 16 * MIB, 16 * MIB },
	{ MACHINE_PC, 2 * GIB, 2 * GIB },
	{ MACHINE_PC, 3 * GIB, 3 * GIB },
	{ MACHINE_PC, 3 * GIB + PAGE, 3 * GIB + PAGE },
	{ MACHINE_PC, 0xe0000000 - PAGE, 0xe0000000 - PAGE },
	{ MACHINE_PC, 0xe0000000, 3 * GIB },
	{ MACHINE_PC, 4 * GIB, 3 * GIB },
	{ MACHINE_PC, 16 * GIB, 3 * GIB },
	{ MACHINE_PC, 1ull << 44, 3 * GIB },
};

static bool split(void)
{
	struct hostmem m;

	for (unsigned int i = 0; i < ARRAY_SIZE(layouts); i++) {
		hostmem_wrap(&m, NULL, layouts[i].size, layouts[i].machine);
		if (m.low != layouts[i].low || m.size != layouts[i].size)
			return false;
	}
	return true;
}

/* The byte's place in the file, or -1.  @addr may be behind 2^64 */
static __int128 place(const struct layout *l, unsigned __int128 addr)
{
	if (addr < l->low)
		return (__int128)addr;
	if (addr >= 4 * GIB && addr < (unsigned __int128)4 * GIB + l->size - l->low)
		return (__int128)(addr - 4 * GIB + l->low);
	return -1;
}

/*
 * What hostmem_ptr() says of a range must be what its first and its last byte
 * say: both RAM, and as far from each other in the file as in the guest.  No
 * byte is touched, so that a machine may have more RAM than this one.
 */
static bool answers(const struct layout *l, uint64_t addr, uint32_t len)
{
	/* in the middle of all addresses: neither end of the RAM can wrap */
	uint8_t *base = (uint8_t *)(1ull << 46);
	__int128 first, last;
	struct hostmem m;
	uint8_t *p;

	hostmem_wrap(&m, base, l->size, l->machine);
	p = hostmem_ptr(&m, addr, len);
	first = place(l, addr);
	last = len ? place(l, (unsigned __int128)addr + len - 1) : first;
	if (first < 0 || last < 0 || (len && last - first != len - 1))
		return !p;
	return p == base + (uint64_t)first;
}

static const uint32_t lengths[] = {
	0, 1, 2, 3, 63, 64, PAGE - 1, PAGE, PAGE + 1, 65536, 1u << 30, 0x7fffffff, 0x80000000,
	0x80000001, 0xc0000000, 0xfffff000, 0xfffffffe, 0xffffffff,
};

/* Around each edge: every length, and those that end at an edge or one byte beside it */
static bool edges(const struct layout *l)
{
	const uint64_t edge[] = {
		0, l->low, 2 * GIB, 3 * GIB, 0xb0000000, 0xe0000000, 4 * GIB, l->size,
		4 * GIB + l->size - l->low, 4 * GIB + l->size, 1ull << 63, 0 /* 2^64 */,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(edge); i++) {
		for (int64_t off = -66; off <= 66; off++) {
			uint64_t addr = edge[i] + (uint64_t)off;

			for (unsigned int n = 0; n < ARRAY_SIZE(lengths); n++)
				if (!answers(l, addr, lengths[n]) ||
				    !answers(l, addr - lengths[n], lengths[n]))
					return false;
			for (unsigned int j = 0; j < ARRAY_SIZE(edge); j++)
				for (int64_t d = -2; d <= 2; d++)
					if (!answers(l, addr, (uint32_t)(edge[j] + (uint64_t)d - addr)))
						return false;
		}
	}
	return true;
}

static bool all_edges(enum machine machine)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(layouts); i++)
		if (layouts[i].machine == machine && !edges(&layouts[i]))
			return false;
	return true;
}

/* xorshift64: the same addresses in every run */
static uint64_t random64(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static bool anywhere(void)
{
	for (int i = 0; i < 2000000; i++) {
		const struct layout *l = &layouts[random64() % ARRAY_SIZE(layouts)];
		uint64_t addr = random64() >> random64() % 64;
		uint32_t len = (uint32_t)random64() >> random64() % 32;

		if (!answers(l, addr, len) || !answers(l, ~addr, len))
			return false;
	}
	return true;
}

static bool nothing_anywhere(const struct hostmem *m)
{
	static const uint64_t addr[] = {
		0, 1, PAGE, 2 * GIB - 1, 2 * GIB, 4 * GIB - 1, 4 * GIB, 4 * GIB + 1, 1ull << 63,
		UINT64_MAX,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(addr); i++)
		for (unsigned int n = 0; n < ARRAY_SIZE(lengths); n++)
			if (hostmem_ptr(m, addr[i], lengths[n]))
				return false;
	return true;
}

/*
 * The file.  A memfd is reached by a path, too; it is sparse, so that 5 GiB of
 * it are a few pages.
 */

static const char *fd_path(int fd)
{
	static char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static int make_ram(uint64_t size)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size)) {
		perror("# memfd");
		exit(1);
	}
	return fd;
}

/* The guest's byte at @addr is the file's at @off, both ways; there is room for @len */
static bool same_byte(const struct hostmem *m, int fd, uint64_t addr, uint64_t off, uint32_t len)
{
	uint8_t mark = (uint8_t)(off / PAGE + off + 1), other = mark ^ 0xff, seen = 0;
	uint8_t *p = hostmem_ptr(m, addr, len);

	if (!p || pwrite(fd, &mark, 1, (off_t)off) != 1 || *p != mark)
		return false;
	*p = other;
	return pread(fd, &seen, 1, (off_t)off) == 1 && seen == other;
}

static bool bytes(enum machine machine, uint64_t low)
{
	const uint64_t size = 5 * GIB, high = size - low;
	int fd = make_ram(size);
	struct hostmem m;
	bool good;

	if (hostmem_map(&m, fd_path(fd), size, machine)) {
		close(fd);
		return false;
	}
	good = same_byte(&m, fd, 0, 0, 1) &&
	       same_byte(&m, fd, 0, 0, (uint32_t)low) &&
	       same_byte(&m, fd, PAGE + 5, PAGE + 5, 65536) &&
	       same_byte(&m, fd, low - 1, low - 1, 1) &&
	       same_byte(&m, fd, low - PAGE, low - PAGE, PAGE) &&
	       !hostmem_ptr(&m, low - 1, 2) && !hostmem_ptr(&m, low, 1) &&
	       !hostmem_ptr(&m, 4 * GIB - 1, 1) && !hostmem_ptr(&m, 4 * GIB - 1, 2) &&
	       same_byte(&m, fd, 4 * GIB, low, 1) &&
	       same_byte(&m, fd, 4 * GIB, low, (uint32_t)high) &&
	       same_byte(&m, fd, 4 * GIB + 7, low + 7, 65536) &&
	       same_byte(&m, fd, 4 * GIB + high - 1, size - 1, 1) &&
	       same_byte(&m, fd, 4 * GIB + high - PAGE, size - PAGE, PAGE) &&
	       !hostmem_ptr(&m, 4 * GIB + high - 1, 2) && !hostmem_ptr(&m, 4 * GIB + high, 1);
	hostmem_unmap(&m);
	good = good && nothing_anywhere(&m) && !m.mapped;
	close(fd);
	return good;
}

static bool small_ram(void)
{
	const uint64_t size = 16 * MIB;
	int fd = make_ram(size);
	struct hostmem m;
	bool good;

	if (hostmem_map(&m, fd_path(fd), size, MACHINE_Q35)) {
		close(fd);
		return false;
	}
	good = same_byte(&m, fd, 0, 0, (uint32_t)size) &&
	       same_byte(&m, fd, size - 1, size - 1, 1) && same_byte(&m, fd, size - 1, size - 1, 0) &&
	       !hostmem_ptr(&m, size - 1, 2) && !hostmem_ptr(&m, size, 0) &&
	       !hostmem_ptr(&m, 0, (uint32_t)size + 1) && !hostmem_ptr(&m, 4 * GIB, 1);
	hostmem_unmap(&m);
	close(fd);
	return good;
}

/* Refused with @err, and what was there before is as it was: no RAM */
static bool refused(const char *path, uint64_t size, int err)
{
	struct hostmem m = { 0 };
	int said = hostmem_map(&m, path, size, MACHINE_Q35);

	if (said != err)
		printf("# %s: %d instead of %d\n", path, said, err);
	if (!said)
		hostmem_unmap(&m);
	return said == err && nothing_anywhere(&m) && !m.base && !m.mapped;
}

static bool accepted(int fd, uint64_t size)
{
	struct hostmem m = { 0 };
	bool good;

	if (hostmem_map(&m, fd_path(fd), size, MACHINE_Q35))
		return false;
	good = hostmem_ptr(&m, 0, (uint32_t)size) && !hostmem_ptr(&m, 0, (uint32_t)size + 1);
	hostmem_unmap(&m);
	return good;
}

static bool short_file(void)
{
	int fd = make_ram(16 * MIB - 1);
	bool good = refused(fd_path(fd), 16 * MIB, -ENODATA) &&
		    refused(fd_path(fd), 1ull << 44, -ENODATA) &&
		    refused(fd_path(fd), UINT64_MAX, -ENODATA) &&
		    accepted(fd, 16 * MIB - PAGE);

	/* as long as it has to be, then longer; as QEMU makes it: empty at first */
	good = good && !ftruncate(fd, 16 * MIB) && accepted(fd, 16 * MIB) &&
	       !ftruncate(fd, 32 * MIB) && accepted(fd, 16 * MIB) &&
	       !ftruncate(fd, 0) && refused(fd_path(fd), 16 * MIB, -ENODATA);
	close(fd);
	return good;
}

static bool other_files(void)
{
	char dir[] = "/tmp/hostmem-XXXXXX", path[64];
	bool good;

	if (!mkdtemp(dir))
		return false;
	snprintf(path, sizeof(path), "%s/fifo", dir);
	good = refused(path, 16 * MIB, -ENOENT) && refused(dir, 16 * MIB, -EISDIR) &&
	       !mkfifo(path, 0600);
	/* that nobody writes to: it must not be waited for */
	alarm(10);
	good = good && refused(path, 16 * MIB, -EINVAL) &&
	       refused("/dev/zero", 16 * MIB, -EINVAL);
	alarm(0);
	unlink(path);
	rmdir(dir);
	return good;
}

/* A process that has the file as @flags say, or not at all if they are 0 */
static bool seen_as_private(const struct hostmem *m, int fd, int flags)
{
	int ready[2];
	bool result;
	char byte;
	pid_t pid;

	if (pipe(ready))
		exit(1);
	pid = fork();
	if (pid < 0)
		exit(1);
	if (!pid) {
		munmap(m->base, m->size);
		if (flags && mmap(NULL, m->size, PROT_READ, flags, fd, 0) == MAP_FAILED)
			_exit(1);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	close(ready[0]);
	result = hostmem_private_in(m, pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* gone, and nobody else has its number yet */
	return result && !hostmem_private_in(m, pid);
}

static bool sharing(void)
{
	int fd = make_ram(16 * MIB);
	struct hostmem m;
	bool good;

	if (hostmem_map(&m, fd_path(fd), 16 * MIB, MACHINE_PC)) {
		close(fd);
		return false;
	}
	good = seen_as_private(&m, fd, MAP_PRIVATE) && !seen_as_private(&m, fd, MAP_SHARED) &&
	       !seen_as_private(&m, fd, 0) && !hostmem_private_in(&m, getpid());
	hostmem_unmap(&m);
	close(fd);
	return good;
}

int main(void)
{
	struct hostmem none = { 0 };

	/* forked processes must not print what waits here once more */
	setvbuf(stdout, NULL, _IOLBF, 0);
	ok(split(), "how much RAM is below the hole");
	ok(all_edges(MACHINE_Q35), "q35: at each edge, any length");
	ok(all_edges(MACHINE_PC), "pc: at each edge, any length");
	ok(anywhere(), "anywhere");
	ok(nothing_anywhere(&none), "no RAM, no pointer");
	ok(bytes(MACHINE_Q35, 2 * GIB), "q35: the right byte");
	ok(bytes(MACHINE_PC, 3 * GIB), "pc: the right byte");
	ok(small_ram(), "RAM that ends below the hole");
	ok(short_file(), "a RAM file that is too short is refused");
	ok(other_files(), "what is no RAM file is refused");
	ok(sharing(), "a process that keeps its RAM to itself is found out");
	printf("1..%u\n", tests);
	return failed ? 1 : 0;
}
