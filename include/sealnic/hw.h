/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The sealnic's programming interface: everything that a driver, the firmware
 * and a model of the device have to agree on.  Documentation/hardware.rst
 * explains it; this file is the normative list of offsets, sizes and values.
 *
 * All integers are little-endian unless a comment says otherwise.  Reserved
 * fields are written as zero and ignored when read.
 */
#ifndef SEALNIC_HW_H
#define SEALNIC_HW_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>
#else
#include <stddef.h>
/* The same types as in <linux/types.h>, which may be included too */
typedef unsigned char __u8;
typedef unsigned short __le16;
typedef unsigned int __le32;
typedef unsigned long long __le64;
#ifndef static_assert
#define static_assert _Static_assert
#endif
#endif

#define SEALNIC_MAGIC		"SEALNIC" /* 8 bytes with the NUL */

/*
 * The interface version.  A driver works with a device of its own major
 * version only; minor versions add features behind bits of 'features'.
 */
#define SEALNIC_IF_MAJOR	1
#define SEALNIC_IF_MINOR	1

/* BAR2: device memory */
#define SEALNIC_INIT_OFFSET	0x0000 /* struct sealnic_init_seg */
#define SEALNIC_DB_OFFSET	0x1000 /* struct sealnic_qp_db, one a queue pair */
#define SEALNIC_BAR2_SIZE	0x10000

/* BAR0: a 32-bit write here of init_seg.db_base | vector rings that doorbell */
#define SEALNIC_BAR0_DOORBELL	12

/* Doorbell vectors: 0 control words and commands, 1 + n queue pair n */
#define SEALNIC_VEC_CONTROL	0
#define SEALNIC_VEC_QP(n)	(1 + (n))

#define SEALNIC_MAX_QP		64
#define SEALNIC_MIN_RING	64
#define SEALNIC_MAX_RING	4096
#define SEALNIC_MIN_MTU		68
#define SEALNIC_MAX_MTU		9000
#define SEALNIC_MAX_PKT_DESC	32 /* descriptors of one packet */
#define SEALNIC_MAX_TSO		65536 /* bytes of one packet behind its headers */
#define SEALNIC_MIN_MSS		64
#define SEALNIC_MAX_HDR		255 /* bytes of headers in front of a TCP payload */
#define SEALNIC_MIN_RX_BUF	256
#define SEALNIC_MAX_RX_BUF	16384
#define SEALNIC_RSS_KEY		40
#define SEALNIC_RSS_TABLE	128
#define SEALNIC_MAX_UC		32 /* unicast addresses besides the port's own */
#define SEALNIC_MAX_MC		64
#define SEALNIC_MAX_TLS_CTX	(1u << 20)

/* init_seg.features: offered by the device */
#define SEALNIC_F_CSUM		(1ull << 0) /* checksums, both directions */
#define SEALNIC_F_TSO		(1ull << 1) /* IPv4 and IPv6 */
#define SEALNIC_F_VLAN		(1ull << 2) /* tag insertion and stripping */
#define SEALNIC_F_RSS		(1ull << 3)
#define SEALNIC_F_PAUSE		(1ull << 4) /* link-level flow control */
#define SEALNIC_F_KICK_IDX	(1ull << 5) /* qp_status.{tx,rx}_kick are kept */
#define SEALNIC_F_TLS_TX	(1ull << 16) /* inline sealing */
#define SEALNIC_F_TLS_RX	(1ull << 17) /* inline opening */
#define SEALNIC_F_TLS_12	(1ull << 18)
#define SEALNIC_F_TLS_13	(1ull << 19)
#define SEALNIC_F_TLS_RX_END	(1ull << 20) /* TLS_DEL answers with opened_end */
#define SEALNIC_F_AES128_GCM	(1ull << 24)
#define SEALNIC_F_AES256_GCM	(1ull << 25)

/* init_seg.state */
enum sealnic_state {
	SEALNIC_STATE_RESET	= 0, /* waits for START */
	SEALNIC_STATE_RUN	= 1,
	SEALNIC_STATE_FAULT	= 2, /* stopped by an error; only RESET is obeyed */
};

/* Why the device or a queue pair stopped: init_seg.syndrome, events */
enum sealnic_syndrome {
	SEALNIC_SYN_NONE	= 0,
	SEALNIC_SYN_BAD_ADDR	= 1, /* an address outside host memory */
	SEALNIC_SYN_BAD_INDEX	= 2, /* a producer index more than a ring ahead */
	SEALNIC_SYN_BAD_DESC	= 3, /* a descriptor's type, length or flags */
	SEALNIC_SYN_BAD_CONFIG	= 4, /* START: bases, sizes or features */
	SEALNIC_SYN_INJECTED	= 5, /* somebody asked the device to fail */
	SEALNIC_SYN_INTERNAL	= 6,
};

/* init_seg.ctl: an operation and a sequence number chosen by the driver */
#define SEALNIC_CTL_OP(ctl)	((ctl) & 0xff)
#define SEALNIC_CTL(op, seq)	((op) | (seq) << 8)
enum sealnic_ctl_op {
	SEALNIC_CTL_RESET	= 1, /* to STATE_RESET: all rings, contexts and keys go */
	SEALNIC_CTL_START	= 2, /* to STATE_RUN, with the bases below */
};

/* init_seg.link */
#define SEALNIC_LINK_UP		(1u << 31)
#define SEALNIC_LINK_SPEED(l)	((l) & 0xffffff) /* Mb/s */

/*
 * struct sealnic_init_seg - what is found at offset 0 of BAR2
 *
 * The device fills the first half before the device can be seen on the bus.
 * The driver writes the second half, from @ctl on.
 */
struct sealnic_init_seg {
	__u8 magic[8];
	__le16 if_major;
	__le16 if_minor;
	__le16 fw_version[3];	/* major, minor, patch */
	__le16 max_qp;
	__le32 db_base;		/* to OR with the vector in a doorbell write */
	__le64 features;
	__le32 bar2_size;
	__le32 max_tls_ctx;
	__le32 tls_ctx_bytes;	/* device memory of one context */
	__le16 max_ring;	/* entries, of each ring */
	__le16 max_mtu;
	__u8 mac[6];
	__u8 rsvd0[2];
	__u8 serial[32];	/* printable, NUL-padded */
	__u8 fw_build[32];	/* printable, NUL-padded */
	__u8 rsvd1[0x100 - 0x78];
	/* 0x100: written by the device while it runs */
	__le32 state;
	__le32 syndrome;
	__le32 ctl_ack;		/* the last ctl word that was obeyed */
	__le32 pong;		/* the last ping word that was seen */
	__le32 link;
	__le32 rsvd2;
	__le64 errors;		/* bad accesses, descriptors and commands, total */
	__u8 rsvd3[0x800 - 0x120];
	/* 0x800: written by the driver */
	__le32 ctl;
	__le32 ping;
	__le64 drv_features;	/* subset of features that the driver uses */
	__le64 cmd_base;	/* struct sealnic_cmd[1 << cmd_log2] */
	__le64 event_base;	/* struct sealnic_event[1 << event_log2] */
	__u8 cmd_log2;
	__u8 event_log2;
	__u8 rsvd4[2];
	__le32 cmd_prod;	/* free-running */
	__le32 event_cons;	/* free-running */
	__u8 rsvd5[0x1000 - 0x82c];
};

#define SEALNIC_MIN_CTL_LOG2	2 /* command and event ring */
#define SEALNIC_MAX_CTL_LOG2	10

/*
 * struct sealnic_qp_db - a queue pair's words in BAR2, written by the driver
 * @tx_prod: transmit descriptors ever posted
 * @rx_prod: receive descriptors ever posted
 * @rxc_cons: receive completions ever taken
 * @tx_seen: the last qp_status.tx_cons that the driver acted on
 * @arm: changed by the driver to ask for one interrupt as soon as there is
 *	more than @rxc_cons and @tx_seen tell of
 */
struct sealnic_qp_db {
	__le32 tx_prod;
	__le32 rx_prod;
	__le32 rxc_cons;
	__le32 tx_seen;
	__le32 arm;
	__u8 rsvd[44];
};

/*
 * struct sealnic_qp_status - a queue pair's words in host memory, written by
 *	the device
 * @tx_cons: transmit descriptors ever completed
 * @tx_kick: with SEALNIC_F_KICK_IDX: a doorbell is needed only for the post
 *	that moves tx_prod past this index
 * @rx_kick: the same for rx_prod
 */
struct sealnic_qp_status {
	__le32 tx_cons;
	__le32 tx_kick;
	__le32 rx_kick;
	__u8 rsvd[52];
};

/* sealnic_txd.type */
enum sealnic_txd_type {
	SEALNIC_TXD_PKT		= 1, /* first descriptor of a packet */
	SEALNIC_TXD_SEG		= 2, /* more bytes of that packet */
	SEALNIC_TXD_TLS_SYNC	= 3, /* context: next comes this record, here */
	SEALNIC_TXD_TLS_REPLAY	= 4, /* context: pass over these bytes, send nothing */
};

/* sealnic_txd.flags of a PKT */
#define SEALNIC_TX_CSUM		(1u << 0) /* l4_off, csum_off */
#define SEALNIC_TX_TSO		(1u << 1) /* mss, l3_off, l4_off, hdr_len */
#define SEALNIC_TX_VLAN		(1u << 2) /* insert vlan_tci behind the addresses */
#define SEALNIC_TX_TLS		(1u << 3) /* seal with tls_ctx; l3_off, l4_off, hdr_len */

/*
 * struct sealnic_txd - transmit descriptor
 *
 * A packet is one PKT and @count - 1 SEG descriptors.
 */
struct sealnic_txd {
	__u8 type;
	__u8 count;		/* PKT: descriptors of this packet */
	__le16 flags;
	__le32 len;		/* bytes at addr */
	__le64 addr;
	union {
		struct {
			__le16 mss;
			__le16 vlan_tci;
			__u8 l3_off;	/* from the frame's first byte */
			__u8 l4_off;	/* also where the checksum starts */
			__u8 csum_off;	/* from l4_off */
			__u8 hdr_len;	/* from the frame's first byte */
			__le32 tls_ctx;
			__u8 rsvd[4];
		} pkt;
		struct {
			__le32 tls_ctx;
			__le32 tcp_seq;	/* of the record's first byte */
			__le64 rec_no;	/* the record's number */
		} sync;
		struct {
			__le32 tls_ctx;
			__u8 rsvd[12];
		} replay;
	};
};

/* A receive descriptor: a buffer */
struct sealnic_rxd {
	__le64 addr;
	__le32 len;
	__u8 rsvd[4];
};

/* sealnic_rxc.ctl */
#define SEALNIC_RXC_PHASE	(1u << 0) /* 1 in the ring's first round, then alternating */
#define SEALNIC_RXC_MORE	(1u << 1) /* the packet goes on in the next buffer */

/* sealnic_rxc.flags: valid in a packet's last completion */
#define SEALNIC_RX_L3_OK	(1u << 0) /* IPv4 header checksum checked, good (or IPv6) */
#define SEALNIC_RX_L4_OK	(1u << 1) /* TCP or UDP checksum checked, good */
#define SEALNIC_RX_L4_BAD	(1u << 2) /* checked, bad */
#define SEALNIC_RX_VLAN		(1u << 3) /* a tag was stripped into vlan_tci */
/*
 * With tls_ctx: OPENED: all ciphertext in the packet's TCP payload has become
 * plaintext; headers, explicit nonces and tags are as they came.  A record all of
 * whose bytes come so is authentic; of any other nothing is known.  Without it the
 * payload is as it came.
 */
#define SEALNIC_RX_TLS_OPENED	(1u << 4)
#define SEALNIC_RX_TLS_RESYNC	(1u << 5) /* does a record begin at tls_seq? Its number? */

/* Hash types: sealnic_rss.hash_types (a set), sealnic_rxc.hash_type (one) */
#define SEALNIC_HASH_IPV4	(1u << 0)
#define SEALNIC_HASH_IPV4_TCP	(1u << 1)
#define SEALNIC_HASH_IPV4_UDP	(1u << 2)
#define SEALNIC_HASH_IPV6	(1u << 3)
#define SEALNIC_HASH_IPV6_TCP	(1u << 4)
#define SEALNIC_HASH_IPV6_UDP	(1u << 5)

/*
 * struct sealnic_rxc - receive completion: one for each buffer used
 *
 * The device writes the first eight bytes last, in one access.
 */
struct sealnic_rxc {
	__u8 ctl;
	__u8 hash_type;
	__le16 len;		/* bytes in this buffer */
	__le16 index;		/* low bits of the receive descriptor's index */
	__le16 vlan_tci;
	__le32 flags;
	__le32 hash;
	__le32 tls_ctx;		/* context of the packet's connection; 0: none */
	__le32 tls_seq;		/* with SEALNIC_RX_TLS_RESYNC: TCP sequence number */
	__u8 rsvd[8];
};

/* sealnic_cmd.opcode */
enum sealnic_cmd_op {
	SEALNIC_CMD_ECHO	= 1, /* in, out: echo */
	SEALNIC_CMD_SET_PORT	= 2, /* in: port */
	SEALNIC_CMD_SET_RX_MODE	= 3, /* in: rx_mode, buffer: struct sealnic_mac[] */
	SEALNIC_CMD_SET_RSS	= 4, /* buffer: struct sealnic_rss */
	SEALNIC_CMD_CREATE_QP	= 5, /* in: create_qp */
	SEALNIC_CMD_DESTROY_QP	= 6, /* in: qp */
	SEALNIC_CMD_COALESCE	= 7, /* in: coalesce */
	SEALNIC_CMD_STATS	= 8, /* buffer: struct sealnic_stats, written */
	SEALNIC_CMD_DMA_TEST	= 9, /* in: dma_test; buffer: read, then written to dst */
	SEALNIC_CMD_GCM_TEST	= 10, /* buffer: struct sealnic_gcm_test, in place */
	SEALNIC_CMD_TLS_ADD	= 16, /* in: tls_add; out: tls_ctx */
	SEALNIC_CMD_TLS_DEL	= 17, /* in: tls_ctx; out: tls_del */
	SEALNIC_CMD_TLS_QUERY	= 18, /* in: tls_ctx; out: tls_query */
	SEALNIC_CMD_TLS_SYNC	= 19, /* in: tls_sync; receive contexts only */
};

/* sealnic_event.status of a command */
enum sealnic_status {
	SEALNIC_OK		= 0,
	SEALNIC_BAD_OPCODE	= 1,
	SEALNIC_BAD_PARAM	= 2,
	SEALNIC_BAD_ADDR	= 3,
	SEALNIC_BAD_STATE	= 4, /* exists already, does not exist */
	SEALNIC_NO_RESOURCE	= 5, /* the table is full */
	SEALNIC_NOT_SUPPORTED	= 6,
	SEALNIC_STALE		= 7, /* TLS_SYNC: of no use, or not any more; no error */
};

/* sealnic_cmd.port.flags */
#define SEALNIC_PORT_ENABLE	(1u << 0) /* receive; the link may come up */
#define SEALNIC_PORT_VLAN_STRIP	(1u << 1)
#define SEALNIC_PORT_RX_CSUM	(1u << 2)
#define SEALNIC_PORT_RX_HASH	(1u << 3) /* report hash; steering does not depend on it */
#define SEALNIC_PORT_PAUSE	(1u << 4) /* hold the wire when out of buffers */

/* sealnic_cmd.rx_mode.flags */
#define SEALNIC_RX_PROMISC	(1u << 0)
#define SEALNIC_RX_ALLMULTI	(1u << 1)
#define SEALNIC_RX_BROADCAST	(1u << 2)

/* tls_add.cipher */
enum sealnic_cipher {
	SEALNIC_AES128_GCM	= 1,
	SEALNIC_AES256_GCM	= 2,
};

/* tls_add.direction */
enum sealnic_tls_dir {
	SEALNIC_TLS_TX		= 0,
	SEALNIC_TLS_RX		= 1,
};

/* tls_query.state */
enum sealnic_tls_state {
	SEALNIC_TLS_IN_SYNC	= 1,
	SEALNIC_TLS_LOST	= 2, /* place in the stream unknown; waits for TLS_SYNC */
};

struct sealnic_mac {
	__u8 addr[6];
	__u8 rsvd[2];
};

/*
 * struct sealnic_cmd - entry of the command ring
 *
 * Commands are obeyed in order.  Each is answered by one event with its @tag.
 * @data_addr and @data_len name a buffer in host memory where the opcode has
 * one.
 */
struct sealnic_cmd {
	__le16 opcode;
	__le16 tag;
	__le32 data_len;
	__le64 data_addr;
	union {
		__u8 raw[112];
		__u8 echo[48];
		struct {
			__le32 flags;
			__le16 mtu;
			__u8 mac[6];
		} port;
		struct {
			__le32 flags;
			__le16 uc_count; /* unicast first in the buffer, */
			__le16 mc_count; /* then multicast */
		} rx_mode;
		struct {
			__le16 qp;
			__le16 vector;	/* MSI-X */
			__u8 tx_log2;
			__u8 rx_log2;	/* of the receive and its completion ring */
			__u8 rsvd[2];
			__le64 tx_base;
			__le64 rx_base;
			__le64 rxc_base;
			__le64 status_base;
		} create_qp;
		struct {
			__le16 qp;
		} qp;
		struct {
			__le16 qp;
			__u8 rsvd[2];
			__le32 rx_usecs;
			__le32 rx_frames;
			__le32 tx_usecs;
			__le32 tx_frames;
		} coalesce;
		struct {
			__le64 dst;
		} dma_test;
		struct {
			__u8 direction;
			__u8 cipher;
			__le16 version;	/* 0x0303, 0x0304 */
			__le32 tcp_seq;	/* of the first record's first byte */
			__le64 rec_no;	/* number of that record */
			__u8 iv[12];	/* salt, then the rest of the implicit IV */
			__u8 rsvd[4];
			__u8 key[32];	/* AES-128: the first 16 bytes */
			/*
			 * Receive: the connection as in packets that arrive,
			 * in network byte order
			 */
			__u8 ip_version; /* 4, 6 */
			__u8 rsvd1[3];
			__u8 saddr[16];	/* the peer's; IPv4: the first 4 bytes */
			__u8 daddr[16];	/* the host's */
			__u8 sport[2];
			__u8 dport[2];
		} tls_add;
		struct {
			__le32 id;
			__le32 tcp_seq;	/* here begins a record ... */
			__le64 rec_no;	/* ... with this number */
		} tls_sync;
		struct {
			__le32 id;
		} tls_ctx;
	};
};

/* sealnic_event.type */
enum sealnic_event_type {
	SEALNIC_EV_CMD		= 1,
	SEALNIC_EV_LINK		= 2, /* init_seg.link has changed */
	SEALNIC_EV_QP_ERROR	= 3, /* a queue pair stopped: qp_error */
	SEALNIC_EV_TLS_LOST	= 4, /* transmit: tls_ctx needs a TLS_SYNC */
	SEALNIC_EV_FAULT	= 5, /* init_seg.state is FAULT */
};

#define SEALNIC_EV_PHASE	(1u << 0) /* sealnic_event.ctl; as in struct sealnic_rxc */

/*
 * struct sealnic_event - entry of the event ring, announced on MSI-X vector 0
 *
 * The device writes the first eight bytes last, in one access.
 */
struct sealnic_event {
	__u8 ctl;
	__u8 type;
	__le16 tag;
	__le32 status;
	union {
		__u8 raw[56];
		__u8 echo[48];
		struct {
			__le32 id;
		} tls_ctx;
		struct {
			__le16 qp;
			__u8 rsvd[2];
			__le32 syndrome;
		} qp_error;
		struct {
			__le32 state;
			__le32 tcp_seq;	/* expected next */
			__le64 rec_no;	/* of the record that byte belongs to */
			__le32 rec_pos;	/* that byte's place in it */
		} tls_query;
		struct {
			__le32 opened_end; /* receive: behind the last byte opened */
		} tls_del;
	};
};

/* Indirection table entries are queue pair numbers */
struct sealnic_rss {
	__u8 key[SEALNIC_RSS_KEY];
	__le32 hash_types;
	__u8 rsvd[4];
	__u8 table[SEALNIC_RSS_TABLE];
};

#define SEALNIC_GCM_TEST_AAD	32
#define SEALNIC_GCM_TEST_DATA	256

/* Input: all but tag.  Output: data sealed, tag. */
struct sealnic_gcm_test {
	__u8 cipher;
	__u8 aad_len;
	__le16 data_len;
	__u8 iv[12];
	__u8 key[32];
	__u8 aad[SEALNIC_GCM_TEST_AAD];
	__u8 data[SEALNIC_GCM_TEST_DATA];
	__u8 tag[16];
};

#define SEALNIC_MAX_STATS	4096 /* bytes of the STATS command's buffer */

/*
 * Counters since the device was made; RESET does not clear them.  The STATS
 * command fills a buffer of any multiple of 8 bytes: new counters come at the
 * end, and those that the device does not know read as zero.
 */
struct sealnic_stats {
	__le64 tx_packets;
	__le64 tx_bytes;
	__le64 tx_tso_packets;	/* descriptors' packets that were cut */
	__le64 rx_packets;
	__le64 rx_bytes;
	__le64 rx_filtered;	/* not addressed to this port */
	__le64 rx_no_buffer;
	__le64 rx_too_long;	/* over the MTU */
	__le64 rx_disabled;	/* port or queue pair not running */
	__le64 rx_csum_bad;
	__le64 tx_pause;	/* times the wire held this port */
	__le64 irqs;
	__le64 doorbells;
	__le64 commands;
	__le64 err_addr;
	__le64 err_index;
	__le64 err_desc;
	__le64 err_command;
	__le64 tls_ctx;		/* contexts now, both directions */
	__le64 tls_tx_records;	/* completed */
	__le64 tls_tx_bytes;	/* of payload sealed and sent */
	__le64 tls_tx_packets;	/* frames on the wire with sealed bytes */
	__le64 tls_tx_sync;	/* TLS_SYNC descriptors */
	__le64 tls_tx_replay_bytes;
	__le64 tls_tx_unexpected; /* packets dropped: not the one expected */
	__le64 tls_tx_malformed; /* packets dropped: no record where one must be */
	__le64 tls_tx_no_ctx;	/* packets dropped, descriptors skipped: no such context */
	/* minor version 1 */
	__le64 tls_rx_ctx;	/* receive contexts now */
	__le64 tls_rx_records;	/* ends of records in packets delivered opened */
	__le64 tls_rx_bytes;	/* of payload in packets delivered opened */
	__le64 tls_rx_packets;	/* delivered opened */
	__le64 tls_rx_skip;	/* packets of known connections delivered as they came */
	__le64 tls_rx_skip_bytes; /* of payload in these */
	__le64 tls_rx_auth_bad;	/* records that were not authentic */
	__le64 tls_rx_gap;	/* gaps passed over without losing the place */
	__le64 tls_rx_lost;	/* times that a context became LOST */
	__le64 tls_rx_found;	/* times that it found its place by itself */
	__le64 tls_rx_resync_ask; /* packets delivered with SEALNIC_RX_TLS_RESYNC */
	__le64 tls_rx_resync_ok; /* TLS_SYNC commands that ended LOST */
	__le64 tls_rx_resync_stale;
};

/*
 * Every field's place, as Documentation/hardware.rst has it: a field that moves
 * is another interface, also if the sizes stay.
 */
#define SEALNIC_ASSERT_SIZE(type, size) \
	static_assert(sizeof(struct type) == (size), #type)
#define SEALNIC_ASSERT_OFF(type, field, off) \
	static_assert(offsetof(struct type, field) == (off), #type "." #field)

SEALNIC_ASSERT_SIZE(sealnic_init_seg, 0x1000);
SEALNIC_ASSERT_OFF(sealnic_init_seg, magic, 0x00);
SEALNIC_ASSERT_OFF(sealnic_init_seg, if_major, 0x08);
SEALNIC_ASSERT_OFF(sealnic_init_seg, if_minor, 0x0a);
SEALNIC_ASSERT_OFF(sealnic_init_seg, fw_version, 0x0c);
SEALNIC_ASSERT_OFF(sealnic_init_seg, max_qp, 0x12);
SEALNIC_ASSERT_OFF(sealnic_init_seg, db_base, 0x14);
SEALNIC_ASSERT_OFF(sealnic_init_seg, features, 0x18);
SEALNIC_ASSERT_OFF(sealnic_init_seg, bar2_size, 0x20);
SEALNIC_ASSERT_OFF(sealnic_init_seg, max_tls_ctx, 0x24);
SEALNIC_ASSERT_OFF(sealnic_init_seg, tls_ctx_bytes, 0x28);
SEALNIC_ASSERT_OFF(sealnic_init_seg, max_ring, 0x2c);
SEALNIC_ASSERT_OFF(sealnic_init_seg, max_mtu, 0x2e);
SEALNIC_ASSERT_OFF(sealnic_init_seg, mac, 0x30);
SEALNIC_ASSERT_OFF(sealnic_init_seg, serial, 0x38);
SEALNIC_ASSERT_OFF(sealnic_init_seg, fw_build, 0x58);
SEALNIC_ASSERT_OFF(sealnic_init_seg, state, 0x100);
SEALNIC_ASSERT_OFF(sealnic_init_seg, syndrome, 0x104);
SEALNIC_ASSERT_OFF(sealnic_init_seg, ctl_ack, 0x108);
SEALNIC_ASSERT_OFF(sealnic_init_seg, pong, 0x10c);
SEALNIC_ASSERT_OFF(sealnic_init_seg, link, 0x110);
SEALNIC_ASSERT_OFF(sealnic_init_seg, errors, 0x118);
SEALNIC_ASSERT_OFF(sealnic_init_seg, ctl, 0x800);
SEALNIC_ASSERT_OFF(sealnic_init_seg, ping, 0x804);
SEALNIC_ASSERT_OFF(sealnic_init_seg, drv_features, 0x808);
SEALNIC_ASSERT_OFF(sealnic_init_seg, cmd_base, 0x810);
SEALNIC_ASSERT_OFF(sealnic_init_seg, event_base, 0x818);
SEALNIC_ASSERT_OFF(sealnic_init_seg, cmd_log2, 0x820);
SEALNIC_ASSERT_OFF(sealnic_init_seg, event_log2, 0x821);
SEALNIC_ASSERT_OFF(sealnic_init_seg, cmd_prod, 0x824);
SEALNIC_ASSERT_OFF(sealnic_init_seg, event_cons, 0x828);
SEALNIC_ASSERT_SIZE(sealnic_qp_db, 64);
SEALNIC_ASSERT_OFF(sealnic_qp_db, tx_prod, 0);
SEALNIC_ASSERT_OFF(sealnic_qp_db, rx_prod, 4);
SEALNIC_ASSERT_OFF(sealnic_qp_db, rxc_cons, 8);
SEALNIC_ASSERT_OFF(sealnic_qp_db, tx_seen, 12);
SEALNIC_ASSERT_OFF(sealnic_qp_db, arm, 16);
SEALNIC_ASSERT_SIZE(sealnic_qp_status, 64);
SEALNIC_ASSERT_OFF(sealnic_qp_status, tx_cons, 0);
SEALNIC_ASSERT_OFF(sealnic_qp_status, tx_kick, 4);
SEALNIC_ASSERT_OFF(sealnic_qp_status, rx_kick, 8);
SEALNIC_ASSERT_SIZE(sealnic_txd, 32);
SEALNIC_ASSERT_OFF(sealnic_txd, type, 0);
SEALNIC_ASSERT_OFF(sealnic_txd, count, 1);
SEALNIC_ASSERT_OFF(sealnic_txd, flags, 2);
SEALNIC_ASSERT_OFF(sealnic_txd, len, 4);
SEALNIC_ASSERT_OFF(sealnic_txd, addr, 8);
SEALNIC_ASSERT_OFF(sealnic_txd, pkt.mss, 16);
SEALNIC_ASSERT_OFF(sealnic_txd, pkt.vlan_tci, 18);
SEALNIC_ASSERT_OFF(sealnic_txd, pkt.l3_off, 20);
SEALNIC_ASSERT_OFF(sealnic_txd, pkt.l4_off, 21);
SEALNIC_ASSERT_OFF(sealnic_txd, pkt.csum_off, 22);
SEALNIC_ASSERT_OFF(sealnic_txd, pkt.hdr_len, 23);
SEALNIC_ASSERT_OFF(sealnic_txd, pkt.tls_ctx, 24);
SEALNIC_ASSERT_OFF(sealnic_txd, sync.tls_ctx, 16);
SEALNIC_ASSERT_OFF(sealnic_txd, sync.tcp_seq, 20);
SEALNIC_ASSERT_OFF(sealnic_txd, sync.rec_no, 24);
SEALNIC_ASSERT_OFF(sealnic_txd, replay.tls_ctx, 16);
SEALNIC_ASSERT_SIZE(sealnic_rxd, 16);
SEALNIC_ASSERT_OFF(sealnic_rxd, addr, 0);
SEALNIC_ASSERT_OFF(sealnic_rxd, len, 8);
SEALNIC_ASSERT_SIZE(sealnic_rxc, 32);
SEALNIC_ASSERT_OFF(sealnic_rxc, ctl, 0);
SEALNIC_ASSERT_OFF(sealnic_rxc, hash_type, 1);
SEALNIC_ASSERT_OFF(sealnic_rxc, len, 2);
SEALNIC_ASSERT_OFF(sealnic_rxc, index, 4);
SEALNIC_ASSERT_OFF(sealnic_rxc, vlan_tci, 6);
SEALNIC_ASSERT_OFF(sealnic_rxc, flags, 8);
SEALNIC_ASSERT_OFF(sealnic_rxc, hash, 12);
SEALNIC_ASSERT_OFF(sealnic_rxc, tls_ctx, 16);
SEALNIC_ASSERT_OFF(sealnic_rxc, tls_seq, 20);
SEALNIC_ASSERT_SIZE(sealnic_mac, 8);
SEALNIC_ASSERT_OFF(sealnic_mac, addr, 0);
SEALNIC_ASSERT_SIZE(sealnic_cmd, 128);
SEALNIC_ASSERT_OFF(sealnic_cmd, opcode, 0);
SEALNIC_ASSERT_OFF(sealnic_cmd, tag, 2);
SEALNIC_ASSERT_OFF(sealnic_cmd, data_len, 4);
SEALNIC_ASSERT_OFF(sealnic_cmd, data_addr, 8);
SEALNIC_ASSERT_OFF(sealnic_cmd, raw, 16);
SEALNIC_ASSERT_OFF(sealnic_cmd, echo, 16);
SEALNIC_ASSERT_OFF(sealnic_cmd, port.flags, 16);
SEALNIC_ASSERT_OFF(sealnic_cmd, port.mtu, 20);
SEALNIC_ASSERT_OFF(sealnic_cmd, port.mac, 22);
SEALNIC_ASSERT_OFF(sealnic_cmd, rx_mode.flags, 16);
SEALNIC_ASSERT_OFF(sealnic_cmd, rx_mode.uc_count, 20);
SEALNIC_ASSERT_OFF(sealnic_cmd, rx_mode.mc_count, 22);
SEALNIC_ASSERT_OFF(sealnic_cmd, create_qp.qp, 16);
SEALNIC_ASSERT_OFF(sealnic_cmd, create_qp.vector, 18);
SEALNIC_ASSERT_OFF(sealnic_cmd, create_qp.tx_log2, 20);
SEALNIC_ASSERT_OFF(sealnic_cmd, create_qp.rx_log2, 21);
SEALNIC_ASSERT_OFF(sealnic_cmd, create_qp.tx_base, 24);
SEALNIC_ASSERT_OFF(sealnic_cmd, create_qp.rx_base, 32);
SEALNIC_ASSERT_OFF(sealnic_cmd, create_qp.rxc_base, 40);
SEALNIC_ASSERT_OFF(sealnic_cmd, create_qp.status_base, 48);
SEALNIC_ASSERT_OFF(sealnic_cmd, qp.qp, 16);
SEALNIC_ASSERT_OFF(sealnic_cmd, coalesce.qp, 16);
SEALNIC_ASSERT_OFF(sealnic_cmd, coalesce.rx_usecs, 20);
SEALNIC_ASSERT_OFF(sealnic_cmd, coalesce.rx_frames, 24);
SEALNIC_ASSERT_OFF(sealnic_cmd, coalesce.tx_usecs, 28);
SEALNIC_ASSERT_OFF(sealnic_cmd, coalesce.tx_frames, 32);
SEALNIC_ASSERT_OFF(sealnic_cmd, dma_test.dst, 16);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.direction, 16);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.cipher, 17);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.version, 18);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.tcp_seq, 20);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.rec_no, 24);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.iv, 32);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.key, 48);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.ip_version, 80);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.saddr, 84);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.daddr, 100);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.sport, 116);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_add.dport, 118);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_sync.id, 16);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_sync.tcp_seq, 20);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_sync.rec_no, 24);
SEALNIC_ASSERT_OFF(sealnic_cmd, tls_ctx.id, 16);
SEALNIC_ASSERT_SIZE(sealnic_event, 64);
SEALNIC_ASSERT_OFF(sealnic_event, ctl, 0);
SEALNIC_ASSERT_OFF(sealnic_event, type, 1);
SEALNIC_ASSERT_OFF(sealnic_event, tag, 2);
SEALNIC_ASSERT_OFF(sealnic_event, status, 4);
SEALNIC_ASSERT_OFF(sealnic_event, raw, 8);
SEALNIC_ASSERT_OFF(sealnic_event, echo, 8);
SEALNIC_ASSERT_OFF(sealnic_event, tls_ctx.id, 8);
SEALNIC_ASSERT_OFF(sealnic_event, qp_error.qp, 8);
SEALNIC_ASSERT_OFF(sealnic_event, qp_error.syndrome, 12);
SEALNIC_ASSERT_OFF(sealnic_event, tls_query.state, 8);
SEALNIC_ASSERT_OFF(sealnic_event, tls_query.tcp_seq, 12);
SEALNIC_ASSERT_OFF(sealnic_event, tls_query.rec_no, 16);
SEALNIC_ASSERT_OFF(sealnic_event, tls_query.rec_pos, 24);
SEALNIC_ASSERT_OFF(sealnic_event, tls_del.opened_end, 8);
SEALNIC_ASSERT_SIZE(sealnic_rss, 176);
SEALNIC_ASSERT_OFF(sealnic_rss, key, 0);
SEALNIC_ASSERT_OFF(sealnic_rss, hash_types, 40);
SEALNIC_ASSERT_OFF(sealnic_rss, table, 48);
SEALNIC_ASSERT_SIZE(sealnic_gcm_test, 352);
SEALNIC_ASSERT_OFF(sealnic_gcm_test, cipher, 0);
SEALNIC_ASSERT_OFF(sealnic_gcm_test, aad_len, 1);
SEALNIC_ASSERT_OFF(sealnic_gcm_test, data_len, 2);
SEALNIC_ASSERT_OFF(sealnic_gcm_test, iv, 4);
SEALNIC_ASSERT_OFF(sealnic_gcm_test, key, 16);
SEALNIC_ASSERT_OFF(sealnic_gcm_test, aad, 48);
SEALNIC_ASSERT_OFF(sealnic_gcm_test, data, 80);
SEALNIC_ASSERT_OFF(sealnic_gcm_test, tag, 336);
SEALNIC_ASSERT_SIZE(sealnic_stats, 40 * 8);
SEALNIC_ASSERT_OFF(sealnic_stats, tx_packets, 0);
SEALNIC_ASSERT_OFF(sealnic_stats, tx_bytes, 8);
SEALNIC_ASSERT_OFF(sealnic_stats, tx_tso_packets, 16);
SEALNIC_ASSERT_OFF(sealnic_stats, rx_packets, 24);
SEALNIC_ASSERT_OFF(sealnic_stats, rx_bytes, 32);
SEALNIC_ASSERT_OFF(sealnic_stats, rx_filtered, 40);
SEALNIC_ASSERT_OFF(sealnic_stats, rx_no_buffer, 48);
SEALNIC_ASSERT_OFF(sealnic_stats, rx_too_long, 56);
SEALNIC_ASSERT_OFF(sealnic_stats, rx_disabled, 64);
SEALNIC_ASSERT_OFF(sealnic_stats, rx_csum_bad, 72);
SEALNIC_ASSERT_OFF(sealnic_stats, tx_pause, 80);
SEALNIC_ASSERT_OFF(sealnic_stats, irqs, 88);
SEALNIC_ASSERT_OFF(sealnic_stats, doorbells, 96);
SEALNIC_ASSERT_OFF(sealnic_stats, commands, 104);
SEALNIC_ASSERT_OFF(sealnic_stats, err_addr, 112);
SEALNIC_ASSERT_OFF(sealnic_stats, err_index, 120);
SEALNIC_ASSERT_OFF(sealnic_stats, err_desc, 128);
SEALNIC_ASSERT_OFF(sealnic_stats, err_command, 136);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_ctx, 144);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_tx_records, 152);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_tx_bytes, 160);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_tx_packets, 168);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_tx_sync, 176);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_tx_replay_bytes, 184);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_tx_unexpected, 192);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_tx_malformed, 200);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_tx_no_ctx, 208);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_ctx, 216);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_records, 224);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_bytes, 232);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_packets, 240);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_skip, 248);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_skip_bytes, 256);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_auth_bad, 264);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_gap, 272);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_lost, 280);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_found, 288);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_resync_ask, 296);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_resync_ok, 304);
SEALNIC_ASSERT_OFF(sealnic_stats, tls_rx_resync_stale, 312);

#endif /* SEALNIC_HW_H */
