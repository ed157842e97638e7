/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A port's state, shared by the firmware's own files and by nobody else.
 * device.c runs the port; command.c, tx.c, rx.c, tls.c and tls_rx.c are its
 * parts, and packet.c knows headers and checksums.
 */
#ifndef SEALNIC_FW_PORT_H
#define SEALNIC_FW_PORT_H

#include "fw.h"

/* All that a freestanding compiler may call anyway */
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* A freestanding compiler takes these for calls, whatever their size, unless told */
#define memcpy(dst, src, n)	__builtin_memcpy(dst, src, n)
#define memmove(dst, src, n)	__builtin_memmove(dst, src, n)
#define memset(dst, c, n)	__builtin_memset(dst, c, n)
#define memcmp(a, b, n)		__builtin_memcmp(a, b, n)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static inline uint16_t fw_le16(uint16_t v) { return v; }
static inline uint32_t fw_le32(uint32_t v) { return v; }
static inline uint64_t fw_le64(uint64_t v) { return v; }
#else
static inline uint16_t fw_le16(uint16_t v) { return __builtin_bswap16(v); }
static inline uint32_t fw_le32(uint32_t v) { return __builtin_bswap32(v); }
static inline uint64_t fw_le64(uint64_t v) { return __builtin_bswap64(v); }
#endif

static inline uint16_t fw_get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t fw_get_be32(const uint8_t *p)
{
	return (uint32_t)fw_get_be16(p) << 16 | fw_get_be16(p + 2);
}

static inline void fw_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void fw_put_be32(uint8_t *p, uint32_t v)
{
	fw_put_be16(p, (uint16_t)(v >> 16));
	fw_put_be16(p + 2, (uint16_t)v);
}

/* Words shared with the host, one access each */
static inline uint32_t fw_load32(const __le32 *p)
{
	return fw_le32(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static inline void fw_store32(__le32 *p, uint32_t v)
{
	__atomic_store_n(p, fw_le32(v), __ATOMIC_RELEASE);
}

/* Orders our store before our load; pairs with the driver's mb() */
static inline void fw_mb(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/*
 * Copy what the host may be changing.  The barrier keeps the compiler from
 * fetching from the source again: what was checked is what is used.
 */
static inline void fw_fetch(void *dst, const void *src, uint32_t len)
{
	memcpy(dst, src, len);
	__asm__ volatile("" : : : "memory");
}

/* memset() that stays although nobody reads the memory again: for keys */
static inline void fw_wipe(void *p, size_t n)
{
	memset(p, 0, n);
	__asm__ volatile("" : : "r"(p) : "memory");
}

#define FW_TLS_HDR		5 /* type, version, length */
#define FW_TLS12_NONCE		8 /* explicit part, in the record */
#define FW_TLS13_TYPE		1 /* content type, sealed behind the payload */
#define FW_TLS_TAG		16
#define FW_TLS_MAX_PLAIN	16384
#define FW_TLS_MAX_RECORD	(FW_TLS_HDR + FW_TLS12_NONCE + FW_TLS_MAX_PLAIN + FW_TLS_TAG)
#define FW_TLS_MIN_TYPE		20 /* content types */
#define FW_TLS_APP_DATA		23

/* A connection as in the packets that it receives, in network byte order */
struct fw_tuple {
	uint8_t saddr[16];
	uint8_t daddr[16];
	uint8_t ports[4];	/* source, destination */
	uint8_t ip_version;
	uint8_t rsvd[3];
};

/**
 * struct fw_tls_search - a receive context that is LOST looks for its place
 * @from_known: a place from before the loss is known:
 * @from_seq: here begins a record ...
 * @from_no: ... with this number
 * @count: headers found that follow each other, 0: none yet
 * @first: where the first of them is
 * @last: where the last one is
 * @next: where the next one must be
 * @asked: @count when the host was asked last
 * @again: packets in a row whose bytes, as far as we know, were all seen before
 * @again_next: behind the last one of them
 */
struct fw_tls_search {
	uint64_t from_no;
	uint32_t from_seq;
	bool from_known;
	uint32_t count;
	uint32_t first;
	uint32_t last;
	uint32_t next;
	uint32_t asked;
	uint32_t again;
	uint32_t again_next;
};

/**
 * struct fw_tls - a connection context: one direction of one connection
 * @key: AES key
 * @iv: salt, then the rest of the implicit IV
 * @id: what the host calls it; 0 while free
 * @gen: the generation in @id; stays while the context is free
 * @next_free: index of the next free context, plus one
 * @key_len: 16 or 32
 * @tls13: TLS 1.3, not 1.2
 * @state: enum sealnic_tls_state
 * @told: transmit: the host was told that the context is lost
 * @rx: receive, not transmit
 * @type: receive: content type of the record, as far as seen
 * @pass: receive: bytes of this record were or will be delivered as they came:
 *	open no packet before the one in which it ends
 * @doubt: receive: perhaps the record is not what we take it for: a wrong tag
 *	means that the place or the key is wrong
 * @torn: receive: bytes of the record are missing: it has no tag
 * @bad: receive: the walk has met a record with a wrong tag
 * @diff: receive: differences in the record's tag so far
 * @hdr: the record's header, and explicit nonce where there is one, as far as
 *	seen; LOST: bytes of the header at search.next, @rec_pos of them
 * @tag: the record's tag, once all of its payload has passed
 * @tcp_seq: of the byte expected next; receive, LOST: behind the newest byte seen
 * @opened_seq: receive: behind the newest byte that was delivered opened
 * @rec_no: number of the record that this byte belongs to
 * @rec_pos: that byte's place in the record
 * @rec_len: bytes of the record from header to tag, once the header is seen
 * @gcm: the record's partial AES-GCM state
 * @tuple: receive: the connection
 * @next_bucket: receive: index of the next context in its bucket, plus one
 * @search: receive, LOST
 */
struct fw_tls {
	uint8_t key[32];
	uint8_t iv[12];
	uint32_t id;
	uint32_t gen;
	uint32_t next_free;
	uint8_t key_len;
	bool tls13;
	uint8_t state;
	uint8_t told;
	bool rx;
	uint8_t type;
	bool pass;
	bool doubt;
	bool torn;
	bool bad;
	uint8_t diff;
	uint8_t hdr[FW_TLS_HDR + FW_TLS12_NONCE];
	uint8_t tag[FW_TLS_TAG];
	uint32_t tcp_seq;
	uint32_t opened_seq;
	uint64_t rec_no;
	uint32_t rec_pos;
	uint32_t rec_len;
	struct fw_gcm gcm;
	struct fw_tuple tuple;
	uint32_t next_bucket;
	struct fw_tls_search search;
};

static_assert(sizeof(struct fw_tls) <= 1024, "context too large");

/* An id is an index and a generation, so that stale ids are found out */
#define FW_TLS_INDEX(id)	((id) & (SEALNIC_MAX_TLS_CTX - 1))

/* Interrupt moderation of one direction of a queue pair */
struct fw_moderation {
	uint32_t usecs;
	uint32_t frames;
	uint64_t since;	/* ns, of the oldest completion not yet announced; 0 none */
};

struct fw_qp {
	bool active;
	bool dead;		/* stopped by an error until destroyed */
	bool told;		/* the host knows that it is dead */
	uint16_t vector;
	enum sealnic_syndrome syndrome; /* why it is dead */
	uint32_t tx_mask;
	uint32_t rx_mask;
	uint64_t tx_base;
	uint64_t rx_base;
	uint64_t rxc_base;
	uint64_t status_base;
	uint32_t tx_cons;
	uint32_t rx_cons;	/* = completions written */
	uint32_t arm_served;
	struct fw_moderation tx_mod;
	struct fw_moderation rx_mod;
};

struct fw_counters {
	uint64_t tx_packets, tx_bytes, tx_tso_packets;
	uint64_t rx_packets, rx_bytes, rx_filtered, rx_no_buffer, rx_too_long;
	uint64_t rx_disabled, rx_csum_bad, tx_pause, irqs, doorbells, commands;
	uint64_t err_addr, err_index, err_desc, err_command;
	uint64_t tls_ctx, tls_tx_records, tls_tx_bytes, tls_tx_packets;
	uint64_t tls_tx_sync, tls_tx_replay_bytes, tls_tx_unexpected;
	uint64_t tls_tx_malformed, tls_tx_no_ctx;
	uint64_t tls_rx_ctx, tls_rx_records, tls_rx_bytes, tls_rx_packets;
	uint64_t tls_rx_skip, tls_rx_skip_bytes, tls_rx_auth_bad, tls_rx_gap;
	uint64_t tls_rx_lost, tls_rx_found, tls_rx_resync_ask, tls_rx_resync_ok;
	uint64_t tls_rx_resync_stale;
};

static_assert(sizeof(struct fw_counters) == sizeof(struct sealnic_stats),
	      "same counters, same order");

#define FW_VLAN_TAG		4
#define FW_STAGE		(FW_VLAN_TAG + SEALNIC_MAX_HDR + SEALNIC_MAX_TSO)

struct fw {
	const struct fw_plat *plat;
	void *priv;
	struct sealnic_init_seg *seg;
	struct sealnic_qp_db *db;
	uint32_t n_qp;
	uint32_t speed;
	uint64_t features;

	/* control */
	enum sealnic_state state;
	uint32_t ctl_done;
	bool stalled;
	bool held;		/* the wire takes no frames now */
	bool wire_up;
	bool event_irq;		/* events were posted since the last interrupt */
	bool link_changed;	/* not yet told */
	uint64_t kicked;	/* bit a queue pair: may have descriptors */
	uint64_t posted;	/* bit a queue pair: may owe the host an interrupt */

	/* commands and events */
	uint64_t cmd_base;
	uint64_t event_base;
	uint32_t cmd_mask;
	uint32_t event_mask;
	uint32_t cmd_cons;
	uint32_t event_prod;
	bool commands;		/* doorbell 0 has rung */

	/* port */
	uint32_t port_flags;
	uint32_t mtu;
	uint8_t mac[6];
	uint32_t rx_flags;
	uint32_t uc_count;
	uint32_t mc_count;
	struct sealnic_mac filter[SEALNIC_MAX_UC + SEALNIC_MAX_MC];
	struct sealnic_rss rss;
	struct fw_qp qp[SEALNIC_MAX_QP];

	/* TLS */
	uint32_t max_tls;
	uint32_t tls_used;	/* contexts ever used: those beyond are untouched */
	uint32_t tls_free;	/* index of the first free one, plus one */
	struct fw_tls *tls;
	uint32_t *tls_bucket;	/* receive contexts by tuple: index of the first, plus one */
	uint32_t tls_bucket_mask;
	uint64_t tls_hash_key[2];
	uint32_t tls_spoil;	/* records to find bad, for tests */
	uint32_t tls_refuse;	/* contexts to refuse, for tests */

	struct fw_counters n;
	uint8_t hdr[FW_VLAN_TAG + SEALNIC_MAX_HDR];
	uint8_t seg_hdr[FW_VLAN_TAG + SEALNIC_MAX_HDR];
	uint8_t stage[FW_STAGE] __attribute__((aligned(64)));
	/* receive: the packet's payload opened, or in one piece */
	uint8_t rx_stage[SEALNIC_MAX_MTU] __attribute__((aligned(64)));
	uint8_t rx_flat[SEALNIC_MAX_MTU] __attribute__((aligned(64)));
};

/* device.c */
void fw_qp_error(struct fw *fw, struct fw_qp *qp, enum sealnic_syndrome syndrome);
void fw_count_error(struct fw *fw, uint64_t *counter);
void fw_update_link(struct fw *fw);
struct sealnic_qp_status *fw_qp_status(struct fw *fw, struct fw_qp *qp);
void fw_qp_posted(struct fw *fw, struct fw_qp *qp, struct fw_moderation *mod);

/* command.c */
bool fw_command_run(struct fw *fw);
bool fw_event(struct fw *fw, struct sealnic_event *ev);

/* tx.c */
bool fw_tx_run(struct fw *fw, struct fw_qp *qp);

/* tls.c */
enum sealnic_status fw_tls_add(struct fw *fw, const struct sealnic_cmd *cmd, uint32_t *id);
enum sealnic_status fw_tls_del(struct fw *fw, uint32_t id, struct sealnic_event *ev);
enum sealnic_status fw_tls_query(struct fw *fw, uint32_t id, struct sealnic_event *ev);
struct fw_tls *fw_tls_get(struct fw *fw, uint32_t id);
struct fw_tls *fw_tls_get_tx(struct fw *fw, uint32_t id);
void fw_tls_sync(struct fw *fw, struct fw_tls *tls, uint32_t tcp_seq, uint64_t rec_no);
void fw_tls_lost(struct fw *fw, struct fw_tls *tls);
bool fw_tls_walk(struct fw *fw, struct fw_tls *tls, uint8_t *dst, const uint8_t *src,
		 uint32_t len);
bool fw_tls_skip(struct fw *fw, struct fw_tls *tls, uint32_t len);
bool fw_tls_header(const struct fw_tls *tls, const uint8_t hdr[FW_TLS_HDR], uint32_t *rec_len);
void fw_tls_wipe_all(struct fw *fw);

/* packet.c */
uint64_t fw_csum_add(uint64_t sum, const uint8_t *p, uint32_t len);
uint16_t fw_csum_fold(uint64_t sum);
uint16_t fw_csum_swap(uint16_t sum);
uint32_t fw_toeplitz(const uint8_t key[SEALNIC_RSS_KEY], const uint8_t *data, uint32_t len);

/* What a frame's headers say; offsets from its first byte, 0 for 'not there' */
struct fw_headers {
	uint8_t l3_off;
	uint8_t l4_off;
	uint8_t ip_version;	/* 4, 6, 0 */
	uint8_t proto;		/* IP protocol if not a fragment, else 0 */
	uint16_t vlan_tci;
	bool vlan;
	uint32_t l4_len;	/* bytes of the L4 packet, by the IP header */
};

/* The headers in front of a TCP payload fit: VLAN tag and all options included */
#define FW_PARSE_BYTES		192
void fw_parse(struct fw_headers *h, const uint8_t *p, uint32_t linear, uint32_t total);
uint64_t fw_pseudo_sum(const uint8_t *l3, uint8_t ip_version, uint8_t proto, uint32_t l4_len);

/* tls_rx.c */
enum sealnic_status fw_tls_rx_check(struct fw *fw, const struct sealnic_cmd *cmd);
void fw_tls_rx_add(struct fw *fw, struct fw_tls *tls, const struct sealnic_cmd *cmd);
void fw_tls_rx_del(struct fw *fw, struct fw_tls *tls);
enum sealnic_status fw_tls_rx_sync(struct fw *fw, const struct sealnic_cmd *cmd);
bool fw_tls_rx(struct fw *fw, const struct fw_headers *h, const uint8_t *p,
	       const struct fw_frame *frame, struct fw_frame *opened, struct sealnic_rxc *c);

#endif /* SEALNIC_FW_PORT_H */
