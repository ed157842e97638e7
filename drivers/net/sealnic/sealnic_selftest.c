// SPDX-License-Identifier: GPL-2.0
/*
 * ethtool -t: does the device do what it is told?  Everything but the last
 * test goes by commands and disturbs no traffic; the last one is offline only,
 * because it resets the device.
 */
#include <linux/ethtool.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "sealnic.h"
#include "sealnic_io.h"

/* Why a test failed, as its result shows; 0 is passed */
enum sealnic_selftest_result {
	SEALNIC_TEST_PASSED,
	SEALNIC_TEST_NO_ANSWER,
	SEALNIC_TEST_WRONG_ANSWER,
	SEALNIC_TEST_NO_MEMORY,
};

static u64 sealnic_test_link(struct sealnic *sn)
{
	return netif_carrier_ok(sn->netdev) ? SEALNIC_TEST_PASSED :
					      SEALNIC_TEST_NO_ANSWER;
}

static u64 sealnic_test_echo(struct sealnic *sn)
{
	struct sealnic_cmd cmd = { .opcode = cpu_to_le16(SEALNIC_CMD_ECHO) };
	struct sealnic_event event;

	get_random_bytes(cmd.echo, sizeof(cmd.echo));
	if (sealnic_cmd(sn, &cmd, &event))
		return SEALNIC_TEST_NO_ANSWER;
	return memcmp(cmd.echo, event.echo, sizeof(cmd.echo)) ?
	       SEALNIC_TEST_WRONG_ANSWER : SEALNIC_TEST_PASSED;
}

static u64 sealnic_test_dma(struct sealnic *sn)
{
	struct sealnic_cmd cmd = { .opcode = cpu_to_le16(SEALNIC_CMD_DMA_TEST) };
	u64 result = SEALNIC_TEST_PASSED;
	u8 *want, *got;

	want = kmalloc(2 * SEALNIC_MBOX_SIZE, GFP_KERNEL);
	if (!want)
		return SEALNIC_TEST_NO_MEMORY;
	got = want + SEALNIC_MBOX_SIZE;
	get_random_bytes(want, SEALNIC_MBOX_SIZE);
	memcpy(got, want, SEALNIC_MBOX_SIZE);

	if (sealnic_cmd_buf(sn, &cmd, got, SEALNIC_MBOX_SIZE, true))
		result = SEALNIC_TEST_NO_ANSWER;
	else if (memcmp(want, got, SEALNIC_MBOX_SIZE))
		result = SEALNIC_TEST_WRONG_ANSWER;
	kfree(want);
	return result;
}

/*
 * Test cases 4 (AES-128) and 16 (AES-256) of McGrew and Viega, "The
 * Galois/Counter Mode of Operation (GCM)", appendix B.  The longer key is the
 * shorter one twice; all other input is the same.
 */
#define SEALNIC_GCM_KEY		16
#define SEALNIC_GCM_AAD		20
#define SEALNIC_GCM_DATA	60
static_assert(SEALNIC_GCM_AAD <= SEALNIC_GCM_TEST_AAD);
static_assert(SEALNIC_GCM_DATA <= SEALNIC_GCM_TEST_DATA);

static const u8 sealnic_gcm_key[SEALNIC_GCM_KEY] = {
	0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c,
	0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08,
};

static const u8 sealnic_gcm_iv[12] = {
	0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88,
};

static const u8 sealnic_gcm_aad[SEALNIC_GCM_AAD] = {
	0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef,
	0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef,
	0xab, 0xad, 0xda, 0xd2,
};

static const u8 sealnic_gcm_plain[SEALNIC_GCM_DATA] = {
	0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5,
	0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26, 0x9a,
	0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda,
	0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31, 0x8a, 0x72,
	0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53,
	0x2f, 0xcf, 0x0e, 0x24, 0x49, 0xa6, 0xb5, 0x25,
	0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57,
	0xba, 0x63, 0x7b, 0x39,
};

struct sealnic_gcm_answer {
	u8 data[SEALNIC_GCM_DATA];
	u8 tag[16];
};

static const struct sealnic_gcm_answer sealnic_gcm128 = {
	.data = {
		0x42, 0x83, 0x1e, 0xc2, 0x21, 0x77, 0x74, 0x24,
		0x4b, 0x72, 0x21, 0xb7, 0x84, 0xd0, 0xd4, 0x9c,
		0xe3, 0xaa, 0x21, 0x2f, 0x2c, 0x02, 0xa4, 0xe0,
		0x35, 0xc1, 0x7e, 0x23, 0x29, 0xac, 0xa1, 0x2e,
		0x21, 0xd5, 0x14, 0xb2, 0x54, 0x66, 0x93, 0x1c,
		0x7d, 0x8f, 0x6a, 0x5a, 0xac, 0x84, 0xaa, 0x05,
		0x1b, 0xa3, 0x0b, 0x39, 0x6a, 0x0a, 0xac, 0x97,
		0x3d, 0x58, 0xe0, 0x91,
	},
	.tag = {
		0x5b, 0xc9, 0x4f, 0xbc, 0x32, 0x21, 0xa5, 0xdb,
		0x94, 0xfa, 0xe9, 0x5a, 0xe7, 0x12, 0x1a, 0x47,
	},
};

static const struct sealnic_gcm_answer sealnic_gcm256 = {
	.data = {
		0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07,
		0xf4, 0x7f, 0x37, 0xa3, 0x2a, 0x84, 0x42, 0x7d,
		0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9,
		0x75, 0x98, 0xa2, 0xbd, 0x25, 0x55, 0xd1, 0xaa,
		0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb, 0x3d,
		0xa7, 0xb0, 0x8b, 0x10, 0x56, 0x82, 0x88, 0x38,
		0xc5, 0xf6, 0x1e, 0x63, 0x93, 0xba, 0x7a, 0x0a,
		0xbc, 0xc9, 0xf6, 0x62,
	},
	.tag = {
		0x76, 0xfc, 0x6e, 0xce, 0x0f, 0x4e, 0x17, 0x68,
		0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b,
	},
};

static u64 sealnic_test_gcm(struct sealnic *sn, enum sealnic_cipher cipher,
			    const struct sealnic_gcm_answer *want)
{
	struct sealnic_cmd cmd = { .opcode = cpu_to_le16(SEALNIC_CMD_GCM_TEST) };
	struct sealnic_gcm_test test = {
		.cipher = cipher,
		.aad_len = SEALNIC_GCM_AAD,
		.data_len = cpu_to_le16(SEALNIC_GCM_DATA),
	};

	memcpy(test.iv, sealnic_gcm_iv, sizeof(test.iv));
	memcpy(test.key, sealnic_gcm_key, SEALNIC_GCM_KEY);
	if (cipher == SEALNIC_AES256_GCM)
		memcpy(test.key + SEALNIC_GCM_KEY, sealnic_gcm_key,
		       SEALNIC_GCM_KEY);
	memcpy(test.aad, sealnic_gcm_aad, SEALNIC_GCM_AAD);
	memcpy(test.data, sealnic_gcm_plain, SEALNIC_GCM_DATA);

	if (sealnic_cmd_buf(sn, &cmd, &test, sizeof(test), true))
		return SEALNIC_TEST_NO_ANSWER;
	return memcmp(test.data, want->data, sizeof(want->data)) ||
	       memcmp(test.tag, want->tag, sizeof(want->tag)) ?
	       SEALNIC_TEST_WRONG_ANSWER : SEALNIC_TEST_PASSED;
}

static u64 sealnic_test_gcm128(struct sealnic *sn)
{
	return sealnic_test_gcm(sn, SEALNIC_AES128_GCM, &sealnic_gcm128);
}

static u64 sealnic_test_gcm256(struct sealnic *sn)
{
	return sealnic_test_gcm(sn, SEALNIC_AES256_GCM, &sealnic_gcm256);
}

static u64 sealnic_test_reset(struct sealnic *sn)
{
	/* Taking a dead device back is up to devlink health recover */
	if (sealnic_is_dead(sn) || sealnic_reset(sn))
		return SEALNIC_TEST_NO_ANSWER;
	return SEALNIC_TEST_PASSED;
}

static const struct sealnic_selftest {
	const char *name;
	u64 (*run)(struct sealnic *sn);
	u64 features;	/* the test is passed over without all of these */
	bool offline;
} sealnic_selftests[] = {
	{ "Link", sealnic_test_link },
	{ "Mailbox echo", sealnic_test_echo },
	{ "DMA loopback", sealnic_test_dma },
	{ "AES-128-GCM", sealnic_test_gcm128, SEALNIC_F_AES128_GCM },
	{ "AES-256-GCM", sealnic_test_gcm256, SEALNIC_F_AES256_GCM },
	{ "Reset (offline)", sealnic_test_reset, 0, true },
};

/**
 * sealnic_selftest_count() - number of tests
 * @sn: device
 *
 * Return: number
 */
int sealnic_selftest_count(struct sealnic *sn)
{
	return ARRAY_SIZE(sealnic_selftests);
}

/**
 * sealnic_selftest_strings() - their names
 * @sn: device
 * @data: ETH_GSTRING_LEN bytes for each
 */
void sealnic_selftest_strings(struct sealnic *sn, u8 *data)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sealnic_selftests); i++)
		ethtool_puts(&data, sealnic_selftests[i].name);
}

/**
 * sealnic_selftest() - run them
 * @netdev: network interface
 * @test: which sort; failures are flagged here
 * @data: enum sealnic_selftest_result of each
 *
 * Context: process, RTNL
 */
void sealnic_selftest(struct net_device *netdev, struct ethtool_test *test,
		      u64 *data)
{
	struct sealnic *sn = netdev_priv(netdev);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sealnic_selftests); i++) {
		const struct sealnic_selftest *t = &sealnic_selftests[i];

		data[i] = SEALNIC_TEST_PASSED;
		if ((t->offline && !(test->flags & ETH_TEST_FL_OFFLINE)) ||
		    (sn->features & t->features) != t->features)
			continue;
		data[i] = t->run(sn);
		if (data[i])
			test->flags |= ETH_TEST_FL_FAILED;
	}
}
