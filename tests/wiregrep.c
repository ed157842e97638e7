// SPDX-License-Identifier: GPL-2.0
/*
 * Finds blocks of a file in the clear in a capture of the wire.
 *
 * The file's blocks, at offsets that are multiples of their size, are looked for
 * at every offset of every frame.  A block that two frames share is not found:
 * its neighbours are.  Blocks of one repeated byte prove nothing and are left out.
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

#define DEFAULT_BLOCK	32
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

/*
 * The blocks: a bitmap by their first eight bytes, small enough to ask at every
 * offset, and behind it a hash table by all of their bytes.
 */
struct blocks {
	const uint8_t *data;
	size_t size;		/* of one */
	uint64_t count;		/* without repetitions */
	uint64_t *filter;
	unsigned int filter_shift;
	uint32_t *table;	/* block number + 1; 0: free */
	unsigned int table_shift;
	uint64_t *found;	/* bit by block number */
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

static void *zeroed(uint64_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		die("out of memory");
	return p;
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

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* The upper bits are the good ones */
static inline uint64_t mix(uint64_t v)
{
	v *= 0x9e3779b97f4a7c15;
	v ^= v >> 32;
	return v * 0xd6e8feb86659fd93;
}

static uint64_t hash_block(const uint8_t *p, size_t size)
{
	uint64_t h = size;

	for (size_t i = 0; i < size; i += 8)
		h = mix(h ^ load64(p + i));
	return h;
}

static bool one_byte_repeated(const uint8_t *p, size_t size)
{
	return !memcmp(p, p + 1, size - 1);
}

/* The table's slot that holds the block at @p, or the free one where it would be */
static uint64_t lookup(const struct blocks *b, const uint8_t *p)
{
	uint64_t mask = (1ull << (64 - b->table_shift)) - 1;
	uint64_t i = hash_block(p, b->size) >> b->table_shift;

	while (b->table[i] && memcmp(b->data + (b->table[i] - 1) * b->size, p, b->size))
		i = (i + 1) & mask;
	return i;
}

static unsigned int shift_for(uint64_t entries)
{
	unsigned int shift = 64 - 10;

	while (1ull << (64 - shift) < entries)
		shift--;
	return shift;
}

static void index_file(struct blocks *b, const struct bytes *file, size_t size)
{
	uint64_t n = file->size / size, bit, slot;

	if (n >= UINT32_MAX)
		die("%s: too large", file->name);
	b->data = file->data;
	b->size = size;
	b->filter_shift = shift_for(n * 64);
	b->filter = zeroed(1ull << (64 - b->filter_shift - 6), 8);
	b->table_shift = shift_for(n * 2);
	b->table = zeroed(1ull << (64 - b->table_shift), sizeof(*b->table));
	b->found = zeroed(n / 64 + 1, 8);

	for (uint64_t i = 0; i < n; i++) {
		const uint8_t *p = file->data + i * size;

		if (one_byte_repeated(p, size))
			continue;
		slot = lookup(b, p);
		if (b->table[slot])
			continue;
		b->table[slot] = (uint32_t)i + 1;
		bit = mix(load64(p)) >> b->filter_shift;
		b->filter[bit / 64] |= 1ull << bit % 64;
		b->count++;
	}
	/* what cannot find anything must not look like a clean wire */
	if (!b->count)
		die("%s: no blocks of %zu bytes to look for", file->name, size);
}

static void search_frame(struct blocks *b, const uint8_t *p, size_t len, struct result *r)
{
	uint64_t bit;
	uint32_t no;

	r->frames++;
	r->bytes += len;
	for (size_t off = 0; off + b->size <= len;) {
		bit = mix(load64(p + off)) >> b->filter_shift;
		if (!(b->filter[bit / 64] >> bit % 64 & 1)) {
			off++;
			continue;
		}
		no = b->table[lookup(b, p + off)];
		if (!no) {
			off++;
			continue;
		}
		no--;
		r->hits++;
		r->distinct += !(b->found[no / 64] >> no % 64 & 1);
		b->found[no / 64] |= 1ull << no % 64;
		off += b->size;
	}
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
	size_t size = DEFAULT_BLOCK;
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
	index_file(&blocks, &file, size);
	search_pcap(&blocks, &cap, &r);
	printf("{\"file_blocks\":%llu,\"frames\":%llu,\"bytes\":%llu",
	       (unsigned long long)blocks.count, (unsigned long long)r.frames,
	       (unsigned long long)r.bytes);
	printf(",\"hits\":%llu,\"distinct_blocks\":%llu}\n",
	       (unsigned long long)r.hits, (unsigned long long)r.distinct);
	free(blocks.filter);
	free(blocks.table);
	free(blocks.found);
	return 0;
}
