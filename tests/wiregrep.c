// SPDX-License-Identifier: GPL-2.0
/*
 * Finds blocks of a file in the clear in a capture of the wire; blocks.h says
 * which.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blocks.h"

#define MIN_BLOCK	16
#define MAX_BLOCK	1024

#define PCAP_HDR	24
#define PCAP_REC	16
#define PCAP_USEC	0xa1b2c3d4
#define PCAP_NSEC	0xa1b23c4d

struct bytes {
	const char *name;
	const uint8_t *data;
	size_t size;
};

struct result {
	uint64_t frames;
	uint64_t bytes;
	uint64_t hits;
	uint64_t distinct;
};

__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *fmt, ...)
{
	va_list ap;

	fputs("wiregrep: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static struct bytes map(const char *name)
{
	struct bytes b = { .name = name };
	struct stat st;
	void *p;
	int fd;

	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		die("%s: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		die("%s: not a regular file", name);
	b.size = (size_t)st.st_size;
	if (b.size) {
		p = mmap(NULL, b.size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p == MAP_FAILED)
			die("%s: %s", name, strerror(errno));
		madvise(p, b.size, MADV_SEQUENTIAL);
		b.data = p;
	}
	close(fd);
	return b;
}

static void search_frame(struct blocks *b, const uint8_t *p, size_t len, struct result *r)
{
	r->frames++;
	r->bytes += len;
	r->hits += blocks_search(b, p, len, &r->distinct);
}

static uint32_t get32(const uint8_t *p, bool swap)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return swap ? __builtin_bswap32(v) : v;
}

static void search_pcap(struct blocks *b, const struct bytes *cap, struct result *r)
{
	uint32_t magic, captured, original;
	size_t pos = PCAP_HDR;
	bool swap;

	if (cap->size < PCAP_HDR)
		die("%s: too short for a pcap", cap->name);
	magic = get32(cap->data, false);
	swap = magic == __builtin_bswap32(PCAP_USEC) || magic == __builtin_bswap32(PCAP_NSEC);
	if (!swap && magic != PCAP_USEC && magic != PCAP_NSEC)
		die("%s: not a classic pcap", cap->name);

	while (pos < cap->size) {
		if (cap->size - pos < PCAP_REC)
			die("%s: frame %llu: cut off in its header", cap->name,
			    (unsigned long long)r->frames);
		captured = get32(cap->data + pos + 8, swap);
		original = get32(cap->data + pos + 12, swap);
		pos += PCAP_REC;
		if (captured > original)
			die("%s: frame %llu: more bytes captured than there were", cap->name,
			    (unsigned long long)r->frames);
		if (captured > cap->size - pos)
			die("%s: frame %llu: cut off", cap->name, (unsigned long long)r->frames);
		search_frame(b, cap->data + pos, captured, r);
		pos += captured;
	}
}

static size_t block_size(const char *s)
{
	unsigned long v;
	char *end;

	v = strtoul(s, &end, 10);
	if (end == s || *end || *s == '-' || v < MIN_BLOCK || v > MAX_BLOCK || v % 8)
		die("--block %s: not a multiple of 8 from %d to %d", s, MIN_BLOCK, MAX_BLOCK);
	return v;
}

int main(int argc, char **argv)
{
	const char *names[2] = { NULL };
	size_t size = BLOCK_SIZE;
	struct blocks blocks = { 0 };
	struct result r = { 0 };
	struct bytes file, cap;
	int n = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--block") && i + 1 < argc)
			size = block_size(argv[++i]);
		else if (argv[i][0] == '-' || n == 2)
			n = 3;
		else
			names[n++] = argv[i];
	}
	if (n != 2)
		die("usage: wiregrep FILE PCAP [--block BYTES]");

	file = map(names[0]);
	cap = map(names[1]);
	if (file.size / size >= UINT32_MAX)
		die("%s: too large", file.name);
	if (!blocks_index(&blocks, file.data, file.size, size))
		die("out of memory");
	/* what cannot find anything must not look like a clean wire */
	if (!blocks.count)
		die("%s: no blocks of %zu bytes to look for", file.name, size);
	search_pcap(&blocks, &cap, &r);
	printf("{\"file_blocks\":%llu,\"frames\":%llu,\"bytes\":%llu",
	       (unsigned long long)blocks.count, (unsigned long long)r.frames,
	       (unsigned long long)r.bytes);
	printf(",\"hits\":%llu,\"distinct_blocks\":%llu}\n",
	       (unsigned long long)r.hits, (unsigned long long)r.distinct);
	blocks_free(&blocks);
	return 0;
}
