/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sealnic - a NIC that seals TLS records: what the driver's files share.
 *
 * Locks, outermost first:
 *
 *  devlink instance lock    the health reporters' operations
 *  RTNL                     configuration, bringing queues up and down, reset
 *  sealnic_tls_rx_dev.sem   receive contexts come and go, or a reset takes all
 *  rx_mode_lock             order of SET_RX_MODE commands
 *  cmdq.mbox_lock           the command buffer
 *  sealnic_tls_rx_dev.lock  the list of receive contexts, where sem is shared
 *  cmdq.event_lock          the event ring's consumer
 *  sealnic_tls_rx.lock      one receive context's id and socket
 *  cmdq.lock                the command ring and its waiters
 *
 * Rings need none: a transmit ring is filled under its netdev_queue's lock and
 * emptied by its NAPI, a receive ring belongs to its NAPI altogether.  Whoever
 * takes rings away first stops both (sealnic_quiesce()).
 */
#ifndef SEALNIC_H
#define SEALNIC_H

#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/pci.h>
#include <linux/timer.h>
#include <linux/u64_stats_sync.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <sealnic/hw.h>

#define SEALNIC_NAME		"sealnic"

/* What this driver makes use of where the device offers it */
#define SEALNIC_DRV_FEATURES						\
	(SEALNIC_F_CSUM | SEALNIC_F_TSO | SEALNIC_F_VLAN | SEALNIC_F_RSS | \
	 SEALNIC_F_PAUSE | SEALNIC_F_KICK_IDX | SEALNIC_F_TLS_TX |	\
	 SEALNIC_F_TLS_RX | SEALNIC_F_TLS_12 | SEALNIC_F_TLS_13 |	\
	 SEALNIC_F_TLS_RX_END | SEALNIC_F_AES128_GCM | SEALNIC_F_AES256_GCM)

#define SEALNIC_DRV_MAX_QP	8
#define SEALNIC_TX_DEFAULT	1024
#define SEALNIC_RX_DEFAULT	1024
#define SEALNIC_TX_MIN		256

/*
 * A packet may be preceded by the repair of its TLS context: one TLS_SYNC and
 * the replay of a whole record.  A queue stops while less than this is free.
 */
#define SEALNIC_TX_STOP		(3 * SEALNIC_MAX_PKT_DESC)
#define SEALNIC_TX_WAKE		(2 * SEALNIC_TX_STOP)
static_assert(SEALNIC_TX_WAKE < SEALNIC_TX_MIN);

#define SEALNIC_CMD_LOG2	6
#define SEALNIC_CMD_RING	BIT(SEALNIC_CMD_LOG2)
#define SEALNIC_EVENT_LOG2	8
#define SEALNIC_EVENT_RING	BIT(SEALNIC_EVENT_LOG2)

/* Two buffers for commands that take one; see sealnic_cmd_buf() */
#define SEALNIC_MBOX_SIZE	4096

#define SEALNIC_MAX_USECS	10000
#define SEALNIC_MAX_FRAMES	1024

struct ethtool_test;
struct page_pool;
struct sealnic;
struct sealnic_qp;

/* Bits of sealnic.state */
enum sealnic_dev_state {
	SEALNIC_DEV_UP,		/* queue pairs run; changed under RTNL */
	SEALNIC_DEV_DEAD,	/* does not answer: sealnic_dead() */
	SEALNIC_DEV_FAULT,	/* the fault it is in was reported */
	SEALNIC_DEV_REMOVING,	/* no reset any more */
};

/* Bits of sealnic.health_pending: why a reset is asked for */
enum sealnic_health_reason {
	SEALNIC_HEALTH_DEAD,	/* ping unanswered; not recovered from */
	SEALNIC_HEALTH_FAULT,	/* init_seg.state is FAULT */
	SEALNIC_HEALTH_CMD,	/* a command was not answered */
	SEALNIC_HEALTH_QP,	/* the device stopped a queue pair */
	SEALNIC_HEALTH_RING,	/* the device wrote nonsense into a ring */
	SEALNIC_HEALTH_TX,	/* the stack's transmit watchdog */
	SEALNIC_HEALTH_REASONS,
};

struct sealnic_cmd_wait;

/**
 * struct sealnic_cmdq - the command ring, the event ring and who waits
 * @cmd: command ring
 * @cmd_dma: its address for the device
 * @event: event ring
 * @event_dma: its address for the device
 * @lock: protects @up, @prod, @wait and what @wait points to
 * @up: between START and RESET, and nothing timed out
 * @prod: commands ever posted
 * @wait: who waits for the command of this tag, which is its place in the ring
 * @room: to wait on for a free place
 * @event_lock: protects @event_cons
 * @event_cons: events ever taken
 * @event_work: takes events, in softirq
 * @mbox_lock: protects @mbox
 * @mbox: SEALNIC_MBOX_SIZE bytes for input and output, and as many behind
 * @mbox_dma: its address for the device
 */
struct sealnic_cmdq {
	struct sealnic_cmd *cmd;
	dma_addr_t cmd_dma;
	struct sealnic_event *event;
	dma_addr_t event_dma;

	spinlock_t lock; /* up, prod, wait */
	bool up;
	u32 prod;
	struct sealnic_cmd_wait *wait[SEALNIC_CMD_RING];
	wait_queue_head_t room;

	spinlock_t event_lock; /* event_cons */
	u32 event_cons;
	struct work_struct event_work;

	struct mutex mbox_lock; /* mbox */
	void *mbox;
	dma_addr_t mbox_dma;
};

/**
 * enum sealnic_tx_kind - how a transmit descriptor's bytes are mapped
 * @SEALNIC_TX_NONE: not at all
 * @SEALNIC_TX_SINGLE: dma_map_single()
 * @SEALNIC_TX_PAGE: dma_map_page()
 */
enum sealnic_tx_kind {
	SEALNIC_TX_NONE,
	SEALNIC_TX_SINGLE,
	SEALNIC_TX_PAGE,
};

/**
 * struct sealnic_tx_buf - what has to be undone when a descriptor is done
 * @skb: to free; set for the last descriptor of a packet only
 * @page: to put_page(); for replayed bytes
 * @dma: to unmap, as @kind says
 * @len: length of that mapping
 * @kind: of the mapping
 */
struct sealnic_tx_buf {
	struct sk_buff *skb;
	struct page *page;
	dma_addr_t dma;
	u32 len;
	enum sealnic_tx_kind kind;
};

/**
 * struct sealnic_tx_ring - a transmit ring
 * @qp: whose
 * @desc: descriptors
 * @desc_dma: their address for the device
 * @buf: one an entry
 * @size: entries, a power of two
 * @prod: descriptors ever written; under the netdev_queue's lock
 * @posted: @prod as the device was last told; the same
 * @broken: the device wrote nonsense; nothing is completed before a reset
 * @cons: descriptors ever completed; NAPI
 */
struct sealnic_tx_ring {
	struct sealnic_qp *qp;
	struct sealnic_txd *desc;
	dma_addr_t desc_dma;
	struct sealnic_tx_buf *buf;
	u32 size;
	u32 prod;
	u32 posted;
	bool broken;

	u32 cons ____cacheline_aligned_in_smp;
};

/**
 * struct sealnic_rx_ring - a receive ring and its completion ring
 * @qp: whose
 * @desc: descriptors
 * @desc_dma: their address for the device
 * @rxc: completions, as many as descriptors
 * @rxc_dma: their address for the device
 * @page: one an entry
 * @pool: where pages come from
 * @size: entries, a power of two
 * @prod: descriptors ever written
 * @posted: @prod as the device was last told
 * @cons: completions ever taken, which is descriptors ever used up
 * @skb: packet of which more buffers are to come
 * @drop: the rest of the packet at hand is to be dropped
 * @broken: the device wrote nonsense; nothing is taken before a reset
 * @refill: wakes NAPI when the ring ran dry for lack of memory
 */
struct sealnic_rx_ring {
	struct sealnic_qp *qp;
	struct sealnic_rxd *desc;
	dma_addr_t desc_dma;
	struct sealnic_rxc *rxc;
	dma_addr_t rxc_dma;
	struct page **page;
	struct page_pool *pool;
	u32 size;
	u32 prod;
	u32 posted;
	u32 cons;
	struct sk_buff *skb;
	bool drop;
	bool broken;
	struct timer_list refill;
};

/**
 * struct sealnic_rings - the memory of one queue pair
 * @tx: transmit ring
 * @rx: receive ring
 * @status: the words that the device writes
 * @status_dma: their address for the device
 */
struct sealnic_rings {
	struct sealnic_tx_ring tx;
	struct sealnic_rx_ring rx;
	struct sealnic_qp_status *status;
	dma_addr_t status_dma;
};

/* The rings of all queue pairs: swapped as a whole by ethtool -G and -L */
struct sealnic_ring_set {
	unsigned int n;
	u32 tx_size;
	u32 rx_size;
	struct sealnic_rings *rings[SEALNIC_DRV_MAX_QP];
};

/* Counted by ndo_start_xmit */
struct sealnic_tx_stats {
	struct u64_stats_sync sync;
	u64_stats_t packets;	/* on the wire */
	u64_stats_t bytes;
	u64_stats_t tso;	/* packets that the device cuts */
	u64_stats_t csum;
	u64_stats_t dropped;
	u64_stats_t map_failed;
	u64_stats_t stop;
	u64_stats_t kicks;	/* doorbells rung */
};

/* Counted by NAPI */
struct sealnic_rx_stats {
	struct u64_stats_sync sync;
	u64_stats_t packets;
	u64_stats_t bytes;
	u64_stats_t csum_ok;
	u64_stats_t csum_none;
	u64_stats_t csum_bad;
	u64_stats_t dropped;
	u64_stats_t alloc_failed;
	u64_stats_t kicks;
	u64_stats_t tx_wake;
};

/* Interrupt moderation of one queue pair */
struct sealnic_coal {
	u32 rx_usecs;
	u32 rx_frames;
	u32 tx_usecs;
	u32 tx_frames;
};

/**
 * struct sealnic_qp - a queue pair, from probe to remove
 * @sn: whose
 * @napi: its NAPI; enabled while SEALNIC_DEV_UP
 * @rings: its memory, while it has any
 * @status: @rings->status
 * @db: its words in BAR2
 * @arm: what was last written to db.arm
 * @tx_done: transmit descriptors completed; written by NAPI
 * @tx_last: @tx_done as last seen by the service work
 * @tx_since: jiffies when that was new, or when nothing was to be done
 * @id: its number
 * @irq: Linux interrupt number of its MSI-X vector
 * @irq_name: as in /proc/interrupts
 * @coal: interrupt moderation; RTNL
 * @tx_stats: transmit counters; see u64_stats_sync.h
 * @rx_stats: receive counters
 */
struct sealnic_qp {
	struct sealnic *sn;
	struct napi_struct napi;
	struct sealnic_rings *rings;
	struct sealnic_qp_status *status;
	struct sealnic_qp_db *db;
	u32 arm;
	u32 tx_done;
	u32 tx_last;
	unsigned long tx_since;
	u16 id;
	int irq;
	char irq_name[32];
	struct sealnic_coal coal;
	struct sealnic_tx_stats tx_stats;
	struct sealnic_rx_stats rx_stats;
};

/**
 * struct sealnic - one port; netdev_priv()
 * @pdev: its PCI function
 * @netdev: its network interface
 * @devlink: its devlink instance
 * @reporter_fw: health reporter for the device as a whole
 * @reporter_tx: health reporter for transmit timeouts
 * @bar0: doorbell
 * @seg: BAR2; touched by the accessors of sealnic_io.h only
 * @db_base: init_seg.db_base
 * @features: SEALNIC_F_ bits that both sides know
 * @state: enum sealnic_dev_state
 * @ctl_seq: sequence number of the last control word; RTNL or probe, remove
 * @max_qp: queue pairs that there are vectors for
 * @max_ring: of the device
 * @max_mtu: of the device
 * @nvec: MSI-X vectors
 * @irq_name: of the one for events, as in /proc/interrupts
 * @fw_version: of the device, for people
 * @fw_build: of the device, for people
 * @serial: of the device, for people
 * @cmdq: commands and events
 * @qp: queue pairs
 * @set: the rings now in use; RTNL
 * @rss: as last asked for; RTNL
 * @pause: link-level flow control; RTNL
 * @rx_mode_lock: keeps SET_RX_MODE commands in the order of their contents
 * @rx_mode_work: sends one
 * @service: once a second: is the device alive?
 * @ping: last ping word written
 * @ping_since: jiffies when it was written
 * @dead_ticks: seconds since death; @service
 * @health_work: tells devlink about @health_pending
 * @health_pending: enum sealnic_health_reason
 * @health_info: what goes with each: syndrome, queue number
 * @hw_stats: as last read; RTNL
 * @cmd_timeouts: commands not answered
 * @cmd_failed: commands refused
 * @events_unknown: events that nobody knows or waits for
 * @resets: resets done
 * @tx_timeouts: times the transmit watchdog fired
 * @tls: of sealnic_tls.c
 * @tls_rx: of sealnic_tls_rx.c
 * @tls_node: the device's property of knowing TLS 1.3, or NULL
 */
struct sealnic {
	struct pci_dev *pdev;
	struct net_device *netdev;
	struct devlink *devlink;
	struct devlink_health_reporter *reporter_fw;
	struct devlink_health_reporter *reporter_tx;

	void __iomem *bar0;
	struct sealnic_init_seg *seg;
	u32 db_base;
	u64 features;
	unsigned long state;
	u32 ctl_seq;

	unsigned int max_qp;
	u32 max_ring;
	u32 max_mtu;
	int nvec;
	char irq_name[32];
	char fw_version[24];
	char fw_build[33];
	char serial[33];

	struct sealnic_cmdq cmdq;
	struct sealnic_qp qp[SEALNIC_DRV_MAX_QP];
	struct sealnic_ring_set set;

	struct sealnic_rss rss;
	bool pause;
	struct mutex rx_mode_lock; /* order of SET_RX_MODE */
	struct work_struct rx_mode_work;

	struct delayed_work service;
	atomic_t ping;
	unsigned long ping_since;
	unsigned int dead_ticks;

	struct work_struct health_work;
	unsigned long health_pending;
	u32 health_info[SEALNIC_HEALTH_REASONS];

	struct sealnic_stats hw_stats;
	atomic64_t cmd_timeouts;
	atomic64_t cmd_failed;
	atomic64_t events_unknown;
	atomic64_t resets;
	atomic64_t tx_timeouts;

	void *tls;
	void *tls_rx;
	struct fwnode_handle *tls_node;
};

static inline bool sealnic_is_dead(const struct sealnic *sn)
{
	return test_bit(SEALNIC_DEV_DEAD, &sn->state);
}

/* sealnic_ctl.c: RESET and START, pings, link state */
int sealnic_ctl_reset(struct sealnic *sn);
int sealnic_ctl_start(struct sealnic *sn);
bool sealnic_ctl_alive(struct sealnic *sn, unsigned int msecs);
void sealnic_ctl_isolate(struct sealnic *sn);
void sealnic_link_update(struct sealnic *sn);
u32 sealnic_link_speed(struct sealnic *sn);

/* sealnic_cmd.c: commands and events */
int sealnic_cmdq_alloc(struct sealnic *sn);
void sealnic_cmdq_free(struct sealnic *sn);
int sealnic_cmdq_start(struct sealnic *sn);
void sealnic_cmdq_fail(struct sealnic *sn);
void sealnic_event_irq(struct sealnic *sn);
void sealnic_event_poll(struct sealnic *sn);
int sealnic_cmd(struct sealnic *sn, struct sealnic_cmd *cmd,
		struct sealnic_event *out);
int sealnic_cmd_post(struct sealnic *sn, struct sealnic_cmd *cmd);
int sealnic_cmd_buf(struct sealnic *sn, struct sealnic_cmd *cmd, void *buf,
		    size_t len, bool output);

/* sealnic_health.c: notices a sick device, resets it, gives it up */
void sealnic_health_init(struct sealnic *sn);
void sealnic_health_start(struct sealnic *sn);
void sealnic_health_quiet(struct sealnic *sn);
void sealnic_health_stop(struct sealnic *sn);
void sealnic_health_report(struct sealnic *sn,
			   enum sealnic_health_reason reason, u32 info);
void sealnic_fault(struct sealnic *sn);
void sealnic_dead(struct sealnic *sn);
int sealnic_reset(struct sealnic *sn);

/* sealnic_devlink.c: info, health reporters */
int sealnic_devlink_alloc(struct sealnic *sn);
void sealnic_devlink_free(struct sealnic *sn);
void sealnic_devlink_register(struct sealnic *sn);
void sealnic_devlink_unregister(struct sealnic *sn);
void sealnic_devlink_healthy(struct sealnic *sn);

/* sealnic_netdev.c: the network interface, configuration of the port */
struct net_device *sealnic_netdev_alloc(struct pci_dev *pdev);
void sealnic_netdev_init(struct sealnic *sn);
int sealnic_port_set(struct sealnic *sn);
int sealnic_rss_set(struct sealnic *sn);
void sealnic_rss_default(struct sealnic *sn, unsigned int n);
void sealnic_rx_mode_set(struct sealnic *sn);

/* sealnic_queue.c: memory, interrupts, NAPI, life and death of queue pairs */
int sealnic_irqs_alloc(struct sealnic *sn);
void sealnic_irqs_free(struct sealnic *sn);
int sealnic_ring_set_alloc(struct sealnic *sn, struct sealnic_ring_set *set);
void sealnic_ring_set_free(struct sealnic *sn, struct sealnic_ring_set *set);
int sealnic_prepare(struct sealnic *sn);
void sealnic_go(struct sealnic *sn);
int sealnic_up(struct sealnic *sn);
void sealnic_quiesce(struct sealnic *sn);
void sealnic_purge(struct sealnic *sn);
void sealnic_down(struct sealnic *sn);
int sealnic_reconfigure(struct sealnic *sn, unsigned int n, u32 tx_size,
			u32 rx_size);
int sealnic_coal_set(struct sealnic_qp *qp, const struct sealnic_coal *coal);

/* sealnic_tx.c: transmit ring; what sealnic_tls.c needs of it is in sealnic_tx.h */
netdev_tx_t sealnic_start_xmit(struct sk_buff *skb, struct net_device *netdev);
netdev_features_t sealnic_features_check(struct sk_buff *skb,
					 struct net_device *netdev,
					 netdev_features_t features);
bool sealnic_tx_pending(const struct sealnic_tx_ring *ring);
void sealnic_tx_clean(struct sealnic_tx_ring *ring, int budget);
void sealnic_tx_purge(struct sealnic_tx_ring *ring);

/* sealnic_rx.c: receive ring */
struct page_pool *sealnic_rx_pool(struct sealnic_qp *qp, u32 size);
bool sealnic_rx_pending(const struct sealnic_rx_ring *ring);
int sealnic_rx_poll(struct sealnic_rx_ring *ring, int budget);
void sealnic_rx_fill(struct sealnic_rx_ring *ring);
void sealnic_rx_purge(struct sealnic_rx_ring *ring);
void sealnic_rx_refill_timer(struct timer_list *t);

/* sealnic_ethtool.c */
extern const struct ethtool_ops sealnic_ethtool_ops;

/* sealnic_selftest.c: ethtool -t */
int sealnic_selftest_count(struct sealnic *sn);
void sealnic_selftest_strings(struct sealnic *sn, u8 *data);
void sealnic_selftest(struct net_device *netdev, struct ethtool_test *test,
		      u64 *data);

#endif /* SEALNIC_H */
