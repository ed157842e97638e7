// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Headers and checksums of Ethernet, IP, TCP and UDP.  Owns no state; reads
 * only bytes that were copied from the host or the wire before.
 */
#include "port.h"

static inline uint64_t add_carry(uint64_t sum, const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, 8);
	sum += w;
	return sum + (sum < w);
}

static inline uint64_t halves(uint64_t sum)
{
	return (sum & UINT32_MAX) + (sum >> 32);
}

/**
 * fw_csum_add() - Internet checksum (RFC 1071), not yet folded
 * @sum: of what comes before, which is an even number of bytes
 * @p: bytes
 * @len: how many
 *
 * In native byte order: one's complement sums do not care, as long as the result
 * is stored the way that it was loaded.
 *
 * hardware.rst, "Transmit" (CSUM) and "Receive" (L3_OK, L4_OK).
 *
 * Return: the sum of both.
 */
uint64_t fw_csum_add(uint64_t sum, const uint8_t *p, uint32_t len)
{
	uint64_t a = 0, b = 0, c = 0, d = 0;
	uint32_t half;
	uint16_t last;

	/* four chains, so that no addition waits for the one before */
	while (len >= 32) {
		a = add_carry(a, p);
		b = add_carry(b, p + 8);
		c = add_carry(c, p + 16);
		d = add_carry(d, p + 24);
		p += 32;
		len -= 32;
	}
	sum = halves(sum) + halves(a) + halves(b) + halves(c) + halves(d);
	while (len >= 4) {
		memcpy(&half, p, 4);
		sum += half;
		p += 4;
		len -= 4;
	}
	while (len) {
		uint32_t n = len < 2 ? 1 : 2;

		last = 0;
		memcpy(&last, p, n);
		sum += last;
		p += n;
		len -= n;
	}
	return sum;
}

/**
 * fw_csum_fold() - a sum in 16 bits
 * @sum: from fw_csum_add()
 *
 * hardware.rst, "Transmit" and "Receive".
 *
 * Return: the sum, not yet complemented.
 */
uint16_t fw_csum_fold(uint64_t sum)
{
	sum = halves(halves(sum));
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/**
 * fw_csum_swap() - a sum of bytes that begin at an odd offset
 * @sum: the same bytes' from fw_csum_fold(), as if the offset were even
 *
 * hardware.rst, "Receive".
 *
 * Return: what they add to the whole sum.
 */
uint16_t fw_csum_swap(uint16_t sum)
{
	return __builtin_bswap16(sum);
}

/**
 * fw_pseudo_sum() - sum of the pseudo header, RFC 9293 3.1 and RFC 8200 8.1
 * @l3: the IP header
 * @ip_version: 4 or 6
 * @proto: of the packet behind it
 * @l4_len: bytes of that packet
 *
 * hardware.rst, "TSO and TLS packets" and "Receive".
 *
 * Return: the sum, to go on with in fw_csum_add().
 */
uint64_t fw_pseudo_sum(const uint8_t *l3, uint8_t ip_version, uint8_t proto, uint32_t l4_len)
{
	uint8_t tail[8] = { 0 };
	uint64_t sum;

	sum = ip_version == 4 ? fw_csum_add(0, l3 + 12, 8) : fw_csum_add(0, l3 + 8, 32);
	fw_put_be32(tail, l4_len);
	tail[7] = proto;
	return fw_csum_add(sum, tail, sizeof(tail));
}

/**
 * fw_toeplitz() - the hash that received packets are spread by
 * @key: the host's
 * @data: addresses, and ports where they count
 * @len: bytes of @data, at most SEALNIC_RSS_KEY - 4
 *
 * hardware.rst, "RSS".
 *
 * Return: the hash.
 */
uint32_t fw_toeplitz(const uint8_t key[SEALNIC_RSS_KEY], const uint8_t *data, uint32_t len)
{
	uint32_t hash = 0, window = fw_get_be32(key);

	for (uint32_t i = 0; i < len; i++) {
		for (int bit = 7; bit >= 0; bit--) {
			if (data[i] >> bit & 1)
				hash ^= window;
			window = window << 1 | (key[i + 4] >> bit & 1);
		}
	}
	return hash;
}

/**
 * fw_parse() - find a received frame's headers
 * @h: filled in; what does not fit or makes no sense is left out
 * @p: the frame's first bytes
 * @linear: how many
 * @total: bytes of the frame
 *
 * hardware.rst, "Receive" and "RSS".
 */
void fw_parse(struct fw_headers *h, const uint8_t *p, uint32_t linear, uint32_t total)
{
	uint32_t off = 14, l3_len, ip_len;
	uint16_t type;

	memset(h, 0, sizeof(*h));
	if (linear < off)
		return;
	type = fw_get_be16(p + 12);
	if (type == 0x8100) {
		if (linear < off + FW_VLAN_TAG)
			return;
		h->vlan = true;
		h->vlan_tci = fw_get_be16(p + 14);
		type = fw_get_be16(p + 16);
		off += FW_VLAN_TAG;
	}

	if (type == 0x0800 && linear >= off + 20 && p[off] >> 4 == 4) {
		l3_len = (p[off] & 15) * 4u;
		ip_len = fw_get_be16(p + off + 2);
		if (l3_len < 20 || ip_len < l3_len || linear < off + l3_len ||
		    ip_len > total - off)
			return;
		h->l3_off = (uint8_t)off;
		h->ip_version = 4;
		h->l4_off = (uint8_t)(off + l3_len);
		h->l4_len = ip_len - l3_len;
		if (!(fw_get_be16(p + off + 6) & 0x3fff))
			h->proto = p[off + 9];
	} else if (type == 0x86dd && linear >= off + 40 && p[off] >> 4 == 6) {
		ip_len = fw_get_be16(p + off + 4);
		if (ip_len > total - off - 40)
			return;
		h->l3_off = (uint8_t)off;
		h->ip_version = 6;
		h->l4_off = (uint8_t)(off + 40);
		h->l4_len = ip_len;
		h->proto = p[off + 6];
	}
}
