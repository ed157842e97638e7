// SPDX-License-Identifier: GPL-2.0
/*
 * wiretls PCAP PORT [HEADER]: what TLS servers on PORT sent, as seen on the wire.
 *
 * Puts the TCP streams from that port together (whatever the order and
 * repetition of their segments) and walks their records.  Prints JSON:
 * connections, complete records behind the ChangeCipherSpec (protected ones)
 * and their bytes with headers and tags, bytes in front of it, bytes that are
 * no records or are missing from the capture, bytes that were sent again.  Frames
 * that begin with bytes sent before are counted by where they begin, too: inside
 * the HEADER bytes that are in front of a record's ciphertext (5), or inside its
 * tag.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAG	16

struct flow {
	struct flow *next;
	uint8_t key[36];	/* addresses, ports */
	uint32_t isn;		/* sequence number of stream byte 0 */
	uint64_t end;		/* stream bytes up to the last one seen */
	uint64_t cap;
	uint8_t *data;
	uint8_t *seen;		/* one byte a stream byte: slow and simple */
	uint8_t *repeats;	/* frames that began there with a byte seen before, up to 255 */
};

static struct flow *flows;
static uint64_t repeated, repeats;

static void *need(void *p)
{
	if (!p) {
		fputs("wiretls: out of memory\n", stderr);
		exit(2);
	}
	return p;
}

static struct flow *find(const uint8_t *key, bool syn, uint32_t seq)
{
	struct flow *f;

	for (f = flows; f; f = f->next) {
		if (!memcmp(f->key, key, sizeof(f->key)) && (!syn || f->isn == seq))
			return f;
	}
	if (!syn)
		return NULL;
	f = need(calloc(1, sizeof(*f)));
	memcpy(f->key, key, sizeof(f->key));
	f->isn = seq;
	f->next = flows;
	flows = f;
	return f;
}

static void add(struct flow *f, uint32_t seq, const uint8_t *p, uint32_t len)
{
	/* streams stay below 4 GiB here: an offset is a difference */
	uint64_t off = (uint32_t)(seq - f->isn), cap;

	if (off > UINT32_MAX / 2)
		return; /* keep-alive in front of the stream */
	if (off + len > f->cap) {
		for (cap = f->cap ? f->cap : 65536; cap < off + len; cap *= 2)
			;
		f->data = need(realloc(f->data, cap));
		f->seen = need(realloc(f->seen, cap));
		f->repeats = need(realloc(f->repeats, cap));
		memset(f->seen + f->cap, 0, cap - f->cap);
		memset(f->repeats + f->cap, 0, cap - f->cap);
		f->cap = cap;
	}
	if (f->seen[off]) {
		repeats++;
		f->repeats[off] += f->repeats[off] < UINT8_MAX;
	}
	for (uint32_t i = 0; i < len; i++)
		repeated += f->seen[off + i];
	memcpy(f->data + off, p, len);
	memset(f->seen + off, 1, len);
	if (off + len > f->end)
		f->end = off + len;
}

static void frame(const uint8_t *p, uint32_t len, uint16_t port)
{
	uint32_t off = 14, l3, ip_len, hdr;
	uint8_t key[36] = { 0 };
	struct flow *f;
	uint16_t type;
	bool syn;

	if (len < off + 20)
		return;
	type = (uint16_t)(p[12] << 8 | p[13]);
	if (type == 0x8100) {
		type = (uint16_t)(p[16] << 8 | p[17]);
		off += 4;
	}
	l3 = off;
	if (type == 0x0800 && len >= l3 + 20 && p[l3 + 9] == 6) {
		off += (p[l3] & 15) * 4u;
		ip_len = (uint32_t)(p[l3 + 2] << 8 | p[l3 + 3]);
		memcpy(key, p + l3 + 12, 8);
	} else if (type == 0x86dd && len >= l3 + 40 && p[l3 + 6] == 6) {
		off += 40;
		ip_len = 40u + (uint32_t)(p[l3 + 4] << 8 | p[l3 + 5]);
		memcpy(key, p + l3 + 8, 32);
	} else {
		return;
	}
	if (len < off + 20 || len < l3 + ip_len || (p[off] << 8 | p[off + 1]) != port)
		return;
	memcpy(key + 32, p + off, 4);
	hdr = (p[off + 12] >> 4) * 4u;
	if (hdr < 20 || off + hdr > l3 + ip_len)
		return;
	syn = p[off + 13] & 2;
	uint32_t seq = (uint32_t)p[off + 4] << 24 | (uint32_t)p[off + 5] << 16 |
		       (uint32_t)p[off + 6] << 8 | p[off + 7];
	f = find(key, syn, seq + syn);
	if (f && l3 + ip_len > off + hdr)
		add(f, seq + syn, p + off + hdr, l3 + ip_len - off - hdr);
}

static uint64_t sum(const uint8_t *p, uint64_t n)
{
	uint64_t total = 0;

	while (n--)
		total += *p++;
	return total;
}

int main(int argc, char **argv)
{
	uint64_t header = argc > 3 ? strtoul(argv[3], NULL, 10) : 5, in_header = 0, in_tag = 0;
	uint64_t conns = 0, records = 0, bytes = 0, before = 0, bad = 0, missing = 0;
	struct stat st;
	uint32_t magic, len;
	uint8_t *p, *end;
	int fd;

	if (argc < 3 || argc > 4 || !header) {
		fputs("usage: wiretls PCAP PORT [HEADER]\n", stderr);
		return 2;
	}
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || fstat(fd, &st) || st.st_size < 24) {
		fprintf(stderr, "wiretls: %s is not a capture\n", argv[1]);
		return 2;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		perror("wiretls: mmap");
		return 2;
	}
	end = p + st.st_size;
	memcpy(&magic, p, 4);
	if (magic != 0xa1b2c3d4 && magic != 0xa1b23c4d) {
		fprintf(stderr, "wiretls: %s is not a capture of this machine's byte order\n",
			argv[1]);
		return 2;
	}
	for (p += 24; end - p >= 16; p += 16 + len) {
		memcpy(&len, p + 8, 4);
		if (len > end - p - 16)
			break;
		frame(p + 16, len, (uint16_t)atoi(argv[2]));
	}
	for (struct flow *f = flows; f; f = f->next) {
		bool ccs = false;
		uint64_t at = 0;

		conns++;
		for (uint64_t i = 0; i < f->end; i++)
			missing += !f->seen[i];
		while (at + 5 <= f->end) {
			uint64_t rec = 5u + (uint64_t)(f->data[at + 3] << 8 | f->data[at + 4]);

			if (f->data[at] < 20 || f->data[at] > 23 || f->data[at + 1] != 3 ||
			    at + rec > f->end)
				break;
			if (rec >= header + TAG) {
				in_header += sum(f->repeats + at + 1, header - 1);
				in_tag += sum(f->repeats + at + rec - TAG, TAG);
			}
			if (ccs) {
				records++;
				bytes += rec;
			} else {
				before += rec;
				ccs = f->data[at] == 20;
			}
			at += rec;
		}
		bad += f->end - at;
	}
	printf("{\"connections\":%" PRIu64 ",\"protected_records\":%" PRIu64
	       ",\"protected_bytes\":%" PRIu64 ",\"handshake_bytes\":%" PRIu64
	       ",\"bad_bytes\":%" PRIu64 ",\"missing_bytes\":%" PRIu64
	       ",\"repeated_bytes\":%" PRIu64 ",\"repeats\":%" PRIu64
	       ",\"repeats_in_header\":%" PRIu64 ",\"repeats_in_tag\":%" PRIu64 "}\n",
	       conns, records, bytes, before, bad, missing, repeated, repeats, in_header, in_tag);
	return 0;
}
