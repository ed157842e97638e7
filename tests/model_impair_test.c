// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * What goes wrong on the model's wire: what has a seed happens again, one
 * setting does not change what another does, and a forged packet is one that
 * only cryptography can tell from the real one.
 */
#include <stdio.h>
#include <string.h>

#include "impair.h"

static unsigned int tests, failed;

static void ok(bool good, const char *name)
{
	tests++;
	failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", tests, name);
}

static uint32_t sum16(uint32_t sum, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

struct frame {
	uint8_t bytes[2048];
	uint32_t len, l4, data, end;
};

/* @padding bytes behind the IP packet */
static void make(struct frame *f, bool v6, bool vlan, uint8_t proto, uint32_t options,
		 uint32_t payload, uint32_t padding)
{
	uint32_t l3 = 14 + (vlan ? 4 : 0), sum, l4_len = 20 + options + payload;
	uint8_t *p = f->bytes;

	for (uint32_t i = 0; i < sizeof(f->bytes); i++)
		p[i] = (uint8_t)(i * 37 + payload);
	memcpy(p + 12, "\x81\x00\x00\x05", 4);
	memcpy(p + l3 - 2, v6 ? "\x86\xdd" : "\x08\x00", 2);
	f->l4 = l3 + (v6 ? 40 : 20);
	f->data = f->l4 + 20 + options;
	f->end = f->data + payload;
	f->len = f->end + padding;
	if (v6) {
		p[l3] = 0x60;
		p[l3 + 4] = (uint8_t)(l4_len >> 8);
		p[l3 + 5] = (uint8_t)l4_len;
		p[l3 + 6] = proto;
		sum = sum16(0, p + l3 + 8, 32);
	} else {
		p[l3] = 0x45;
		p[l3 + 2] = (uint8_t)((20 + l4_len) >> 8);
		p[l3 + 3] = (uint8_t)(20 + l4_len);
		p[l3 + 6] = 0x40;
		p[l3 + 7] = 0;
		p[l3 + 9] = proto;
		sum = sum16(0, p + l3 + 12, 8);
	}
	p[f->l4 + 12] = (uint8_t)((20 + options) / 4 << 4);
	memset(p + f->l4 + 16, 0, 2);
	sum = ~sum16(sum + 6 + l4_len, p + f->l4, l4_len) & 0xffff;
	p[f->l4 + 16] = (uint8_t)(sum >> 8);
	p[f->l4 + 17] = (uint8_t)sum;
}

static bool checksum_good(const struct frame *f, bool v6)
{
	const uint8_t *ip = f->bytes + f->l4 - (v6 ? 32 : 8);
	uint32_t len = f->end - f->l4;

	return sum16(sum16(0, ip, v6 ? 32 : 8) + 6 + len, f->bytes + f->l4, len) == 0xffff;
}

static bool forged_well(bool v6, bool vlan)
{
	struct frame f, was;

	for (uint32_t pick = 0; pick < 8 * 1000; pick += 7) {
		uint32_t bits = 0, payload = 1 + pick % 300;

		make(&f, v6, vlan, 6, pick % 3 * 4, payload, pick % 2 * 5);
		was = f;
		if (!checksum_good(&f, v6) || !impair_forge(f.bytes, f.len, pick) ||
		    !checksum_good(&f, v6))
			return false;
		for (uint32_t i = 0; i < sizeof(f.bytes); i++) {
			if (i == f.l4 + 16 || i == f.l4 + 17)
				continue;
			if (f.bytes[i] != was.bytes[i] && (i < f.data || i >= f.end))
				return false;
			bits += (uint32_t)__builtin_popcount(f.bytes[i] ^ was.bytes[i]);
		}
		if (bits != 1)
			return false;
	}
	return true;
}

/* Not TCP, nothing to change, a fragment, lengths that lie, cut off */
static bool left_alone(void)
{
	struct frame f, was;
	bool good = true;

	for (int how = 0; how < 8; how++) {
		make(&f, how == 1, false, how == 2 ? 17 : 6, 0, how == 3 ? 0 : 100, 0);
		if (how == 0)
			f.bytes[20] = 0x20;
		if (how == 1)
			f.bytes[20] = 44;
		if (how == 4)
			f.bytes[16] = 0xff;
		if (how == 5)
			f.bytes[f.l4 + 12] = 0x40;
		if (how == 6)
			f.bytes[12] = 0x88;
		if (how == 7)
			f.len = 50;
		was = f;
		good = good && !impair_forge(f.bytes, f.len, 12345) &&
		       !memcmp(f.bytes, was.bytes, sizeof(f.bytes));
	}
	return good;
}

static bool same_fate(const struct impair *a, const struct impair *b, uint32_t *forged)
{
	struct impair_dice x, y;
	struct impair_fate fa, fb;

	*forged = 0;
	impair_seed(&x, a->seed, 1);
	impair_seed(&y, b->seed, 1);
	for (int i = 0; i < 10000; i++) {
		impair_roll(a, &x, 1500, &fa);
		impair_roll(b, &y, 1500, &fb);
		*forged += fb.forge;
		if (fa.lose != fb.lose || fa.dup != fb.dup || fa.hold != fb.hold ||
		    fa.flip != fb.flip)
			return false;
	}
	return true;
}

static bool independent(void)
{
	struct impair a = { .loss = 0.01, .reorder = 0.05, .dup = 0.02, .corrupt = 0.03,
			    .seed = 7 }, b = a;
	uint32_t none, some;

	b.forge = 0.1;
	return same_fate(&a, &a, &none) && !none && same_fate(&a, &b, &some) && some > 800 &&
	       some < 1200;
}

static bool parses(void)
{
	struct impair im = { 0 };
	char text[256];

	return !impair_any(&im) && !impair_set(&im, "forge", "2.5") && impair_any(&im) &&
	       impair_set(&im, "forge", "101") && impair_set(&im, "forged", "1") &&
	       impair_print(&im, text, sizeof(text)) > 0 && strstr(text, "forge=2.5 ");
}

int main(void)
{
	ok(forged_well(false, false), "a forged packet has a good checksum: IPv4");
	ok(forged_well(false, true), "IPv4 with a tag");
	ok(forged_well(true, false), "IPv6");
	ok(forged_well(true, true), "IPv6 with a tag");
	ok(left_alone(), "what is not TCP with payload is left alone");
	ok(independent(), "forging does not change what else a seed does");
	ok(parses(), "the setting");
	printf("1..%u\n", tests);
	return failed ? 1 : 0;
}
