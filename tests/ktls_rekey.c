// SPDX-License-Identifier: GPL-2.0
/*
 * Next keys of connections that a NIC seals and opens for our tls.ko. Each test is a line of the list of what went wrong
 * elsewhere, by its number, and fails without the guard against it. For tests/vm_rekey.sh and tests/vm_rekey_route.sh:
 *
 *   ktls_rekey tests [SEED]     all but the one that needs two ways; ONLY=WORD, those whose name has it; WINDOW=1: the
 *                               driver's rx_resync is such that the core does not learn how far the device opened
 *   ktls_rekey route            tx 11: sn0 and sn2 lead to 10.9.0.2 in the network namespace far
 *   ktls_rekey reset, rmmod, unplug  what happens to the NIC while keys wait; for the last two it has to be brought back
 *   ktls_rekey content          what connections carry, so that somebody can look for it on the wire
 *
 * The end with kTLS, k, is here, on sn0; the other one, r, is in far. No wire has to be spoiled: a socket that is deaf drops
 * what comes for it before TCP sees it. If k is deaf nothing is acknowledged, though all arrives; if r is, all is lost.
 * While nothing is acknowledged TCP may hold back what is new at any time, so r is asked for nothing but the first of it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>
#include "ktls_frame.h"

#define CONTENT	(1 << 20)	/* bytes, again and again */
#define SEED	7
#define PERIOD	(16 * slowness)	/* seconds within which everything has happened that will */

#define UNTIL(cond) do {									\
	double end__ = now() + PERIOD;								\
	while (!(cond)) {									\
		report->line = __LINE__;							\
		if (now() > end__)								\
			fail(__LINE__, "never: %s", #cond);					\
		usleep(2000);									\
	}											\
} while (0)

static uint64_t seed = 1;
static int near_ns, far_ns;
static const char *far_address = "10.0.0.2";

/* --- surroundings --- */

__attribute__((format(printf, 1, 2)))
static int sh(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return system(line);
}

/* A counter of ethtool -S */
static long nic_counter(const char *dev, const char *name)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t n;
	} sset = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1 << ETH_SS_STATS } };
	struct ifreq ifr = { .ifr_data = (void *)&sset };
	struct ethtool_gstrings *names;
	struct ethtool_stats *values;
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	long found = -1;

	strcpy(ifr.ifr_name, dev);
	EQ(ioctl(s, SIOCETHTOOL, &ifr), 0);
	names = calloc(1, sizeof(*names) + sset.n * ETH_GSTRING_LEN);
	values = calloc(1, sizeof(*values) + sset.n * sizeof(uint64_t));
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_STATS;
	names->len = sset.n;
	ifr.ifr_data = (void *)names;
	EQ(ioctl(s, SIOCETHTOOL, &ifr), 0);
	values->cmd = ETHTOOL_GSTATS;
	values->n_stats = sset.n;
	ifr.ifr_data = (void *)values;
	EQ(ioctl(s, SIOCETHTOOL, &ifr), 0);
	for (uint32_t i = 0; i < sset.n; i++)
		if (!strcmp((char *)names->data + i * ETH_GSTRING_LEN, name))
			found = (long)values->data[i];
	free(names);
	free(values);
	close(s);
	return found;
}

/* Of the kTLS core or of the NIC */
static long count(const char *name)
{
	long n = strncmp(name, "Tls", 3) ? nic_counter("sn0", name) : tls_counter(name);

	if (n < 0)
		fail(__LINE__, "%s is %ld", name, n);
	return n;
}

/* What tests look at, and what it was at mark() */
static struct {
	const char *name;
	long was;
} counters[] = {
	{ "TlsTxRekeyOk", 0 }, { "TlsTxRekeyError", 0 }, { "TlsTxRekeyAborted", 0 }, { "TlsTxRekeyFallback", 0 },
	{ "TlsRxRekeyOk", 0 }, { "TlsRxRekeyError", 0 }, { "TlsRxRekeyAborted", 0 }, { "TlsRxRekeyFallback", 0 },
	{ "TlsTxDeviceRecords", 0 }, { "TlsTxSwRecords", 0 }, { "TlsRxDeviceRecords", 0 }, { "TlsRxPartialRecords", 0 },
	{ "TlsDecryptError", 0 }, { "TlsTxFallback", 0 }, { "TlsTxFallbackDrop", 0 }, { "TlsTxSwDown", 0 },
	{ "TlsTxSwFeature", 0 }, { "TlsTxSwTableFull", 0 }, { "TlsRxSwFeature", 0 }, { "TlsRxSwTableFull", 0 },
	{ "TlsTxSwRoute", 0 }, { "tx_tls_ctx", 0 }, { "tx_tls_del", 0 }, { "rx_tls_ctx", 0 }, { "tx_tls_ooo", 0 },
	{ "tx_tls_drop_no_sync_data", 0 }, { "tx_tls_drop_bypass_req", 0 }, { "tx_tls_encrypted_bytes", 0 },
	{ "rx_tls_decrypted_packets", 0 },
};

static void mark(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		counters[i].was = count(counters[i].name);
}

static long grown(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		if (!strcmp(name, counters[i].name))
			return count(name) - counters[i].was;
	fail(__LINE__, "%s is not looked at", name);
}

static bool carrier(const char *dev)
{
	char name[64], c = 0;
	int fd;

	snprintf(name, sizeof(name), "/sys/class/net/%s/carrier", dev);
	fd = open(name, O_RDONLY);
	if (read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c == '1';
}

static void link_up(void)
{
	undo = NULL;
	sh("ip link set sn0 up");
}

static void link_down(void)
{
	undo = link_up;
	EQ(sh("ip link set sn0 down"), 0);
}

/* By the model's serial line, as in guest-lib.sh, but at once */
static bool model(const char *command)
{
	int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY);
	char said[256] = "";
	size_t n = 0;

	CHECK(fd >= 0);
	CHECK(dprintf(fd, "%s\n", command) > 0);
	while (n < sizeof(said) - 1 && !strstr(said, "ok") && ready(fd, POLLIN, 5000)) {
		ssize_t got = read(fd, said + n, 1);

		if (got <= 0)
			break;
		n += (size_t)got;
		said[n] = 0;
	}
	close(fd);
	return strstr(said, "ok");
}

static void features_on(void)
{
	undo = NULL;
	sh("ethtool -K sn0 tls-hw-tx-offload on tls-hw-rx-offload on >/dev/null");
}

static void features_off(void)
{
	undo = features_on;
	EQ(sh("ethtool -K sn0 tls-hw-tx-offload off tls-hw-rx-offload off >/dev/null"), 0);
}

static void gro_on(void)
{
	undo = NULL;
	sh("ethtool -K sn0 gro on >/dev/null");
}

/* A packet is what came in one frame */
static void gro_off(void)
{
	undo = gro_on;
	EQ(sh("ethtool -K sn0 gro off >/dev/null"), 0);
}

/* --- the connection --- */

static void wire_pair(int fd[2], int rcvbuf)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int l;

	inet_pton(AF_INET, far_address, &in.sin_addr);
	EQ(setns(far_ns, CLONE_NEWNET), 0);
	l = socket(AF_INET, SOCK_STREAM, 0);
	EQ(setns(near_ns, CLONE_NEWNET), 0);
	if (rcvbuf)
		set_int(l, SOL_SOCKET, SO_RCVBUF, rcvbuf);
	EQ(bind(l, (void *)&in, len), 0);
	EQ(listen(l, 1), 0);
	EQ(getsockname(l, (void *)&in, &len), 0);
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	EQ(connect(fd[0], (void *)&in, len), 0);
	fd[1] = accept(l, NULL, NULL);
	CHECK(fd[1] >= 0);
	close(l);
	set_int(fd[0], SOL_TCP, TCP_NODELAY, 1);
	set_int(fd[1], SOL_TCP, TCP_NODELAY, 1);
}

static uint64_t tx_key, tx_opened, rx_sealed, rx_key;

static void derive(struct ref_epoch *e, uint64_t number)
{
	ref_free(e);
	ref_derive(e, cipher, version, number);
}

static void start_with(int rcvbuf)
{
	int fd[2];

	/* Of the test before */
	UNTIL(!count("TlsCurrTxDevice") && !count("TlsCurrRxDevice") && !count("TlsCurrTxSw") && !count("TlsCurrRxSw"));
	UNTIL(carrier("sn0"));
	wire_pair(fd, rcvbuf);
	k = fd[0];
	r = fd[1];
	tx_key = tx_opened = 1000;
	rx_sealed = rx_key = 2000;
	derive(&tx, tx_key);
	derive(&rx, rx_key);
	EQ(tls_ulp(k), 0);
	EQ(tls_key(k, TLS_TX, &tx), 0);
	EQ(tls_key(k, TLS_RX, &rx), 0);
	EQ(count("TlsCurrTxDevice"), 1);
	EQ(count("TlsCurrRxDevice"), 1);
	mark();
}

static void start(void)
{
	start_with(0);
}

static void finish(void)
{
	close(k);
	close(r);
	k = r = -1;
	UNTIL(!count("TlsCurrTxRekey") && !count("TlsCurrRxRekey"));
}

/* A socket drops packets that have so many bytes of payload; -1: any */
static void deaf_to(int fd, int len)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)len, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, (uint32_t)-1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(code), .filter = code };

	if (len < 0) {
		prog.filter = &code[8];
		prog.len = 1;
	}
	EQ(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), 0);
}

static void deaf(int fd)
{
	deaf_to(fd, -1);
}

static void hears(int fd)
{
	int none = 0;

	EQ(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)), 0);
}

static int queued(int fd, unsigned long what)
{
	int n = -1;

	EQ(ioctl(fd, what, &n), 0);
	return n;
}

/* Content, wherever in the stream that is */
static uint64_t k_off, r_off;

static void say_flags(size_t len, int flags)
{
	k_off = k_off + len > CONTENT ? 0 : k_off;
	put_flags(k, SEED, k_off, len, flags);
	k_off += len;
}

static void say(size_t len)
{
	say_flags(len, 0);
}

static void hear(size_t len)
{
	r_off = r_off + len > CONTENT ? 0 : r_off;
	expect_stream(SEED, r_off, len, REF_MAX);
	r_off += len;
}

/* r says something that carries the acknowledgment of all that it has */
static void acknowledge(void)
{
	rec_out(REF_DATA, SEED, 0, 1);
	get(k, SEED, 0, 1);
}

/* k has all acknowledged but what r will not say */
static void acknowledged(void)
{
	UNTIL(!queued(k, SIOCOUTQ));
}

static const uint8_t key_update[] = { 24, 0, 0, 1, 0 };

/* k's next key for sending, without the message that says so */
static int tx_next(void)
{
	struct ref_epoch e = { 0 };
	int ret, err;

	derive(&e, tx_key + 1);
	ret = tls_key(k, TLS_TX, &e);
	err = errno;
	ref_free(&e);
	tx_key += !ret;
	errno = err;
	return ret;
}

static void tx_rekey(void)
{
	EQ(tls_send_type(k, REF_HANDSHAKE, key_update, sizeof(key_update), 0), sizeof(key_update));
	EQ(tx_next(), 0);
}

/* r's, for opening */
static void tx_follow(void)
{
	derive(&tx, ++tx_opened);
}

static void hear_update(void)
{
	uint8_t type;

	EQ(rec_in(&type), sizeof(key_update));
	EQ(type, REF_HANDSHAKE);
	CHECK(!memcmp(text, key_update, sizeof(key_update)));
}

static void hear_rekey(void)
{
	hear_update();
	tx_follow();
}

static bool tx_waits(void)
{
	return count("TlsCurrTxRekey");
}

/* The last key has come as far as it will, and the one before is gone */
static void tx_settles(void)
{
	UNTIL(!tx_waits() && count("tx_tls_ctx") - count("tx_tls_del") <= 1);
}

/* The device has the newest key, and no other */
static void tx_is_device(void)
{
	UNTIL(!tx_waits());
	EQ(count("TlsCurrTxDevice"), 1);
	EQ(count("TlsCurrTxSw"), 0);
	UNTIL(count("tx_tls_ctx") - count("tx_tls_del") == 1);
}

static void tx_is_software(void)
{
	EQ(count("TlsCurrTxDevice"), 0);
	EQ(count("TlsCurrTxSw"), 1);
}

/* The device seals the next record, and r opens it */
static void sealed_by_device(size_t len)
{
	long n = count("TlsTxDeviceRecords"), nic = count("tx_tls_encrypted_bytes");

	say(len);
	hear(len);
	EQ(count("TlsTxDeviceRecords"), n + 1);
	CHECK(count("tx_tls_encrypted_bytes") >= nic + (long)len);
}

/* Nothing was dropped but what had to be */
static void none_dropped(void)
{
	EQ(grown("TlsTxFallbackDrop"), 0);
	EQ(grown("tx_tls_drop_no_sync_data"), 0);
	EQ(grown("tx_tls_drop_bypass_req"), 0);
}

/* --- sending --- */

/*
 * 1. TCP joins what is behind each other in its queue, in the packet at its end (both switches are tested so), and when it
 * sends again. For the latter it has another guard: it does not join what is plaintext with what is not.
 */
static void tx1_to_software(void)
{
	start();
	deaf(k);
	say(100);
	EQ(tls_send_type(k, REF_HANDSHAKE, key_update, sizeof(key_update), 0), sizeof(key_update));
	/* Ends with the key, and TCP has it as what more will follow */
	say_flags(200, MSG_MORE);
	EQ(tx_next(), 0);
	say(300);
	hear(100);
	hears(k);
	acknowledge();
	hear_update();
	hear(200);
	tx_follow();
	hear(300);
	tx_is_device();
	sealed_by_device(100);
	none_dropped();
	finish();
}

static void tx1_to_device(void)
{
	start_with(20000);
	set_int(k, SOL_SOCKET, SO_SNDBUF, 200000);
	deaf(k);
	say(100);
	tx_rekey();
	/* More than r has room for, so that the end stays where it is */
	say(90000);
	hears(k);
	acknowledge();
	tx_is_device();
	CHECK(queued(k, SIOCOUTQNSD) > 20000);
	EQ(grown("TlsTxDeviceRecords"), 2);
	say(50);
	EQ(grown("TlsTxDeviceRecords"), 3);
	hear(100);
	hear_rekey();
	hear(90000);
	hear(50);
	none_dropped();
	finish();
}

/* Old and new in TCP's queue, all lost, and sent again in whatever pieces TCP likes */
static void tx1_again(void)
{
	long tries;

	start();
	for (int i = 0; i < 4; i++) {
		tries = grown("tx_tls_ooo");
		deaf(r);
		for (int j = 0; j < 5; j++)
			say(40 + (size_t)(ref_mix(seed + (uint64_t)(i * 10 + j)) % 200));
		tx_rekey();
		for (int j = 5; j < 9; j++)
			say(40 + (size_t)(ref_mix(seed + (uint64_t)(i * 10 + j)) % 200));
		/* It has tried once, at least, and found nobody */
		UNTIL(grown("tx_tls_ooo") > tries);
		hears(r);
		for (int j = 0; j < 5; j++)
			hear(40 + (size_t)(ref_mix(seed + (uint64_t)(i * 10 + j)) % 200));
		hear_rekey();
		for (int j = 5; j < 9; j++)
			hear(40 + (size_t)(ref_mix(seed + (uint64_t)(i * 10 + j)) % 200));
		acknowledged();
		tx_is_device();
		sealed_by_device(500);
	}
	none_dropped();
	finish();
}

/* 2. */
static void tx2(void)
{
	long sealed;

	start();
	deaf(k);
	say(1000);
	hear(1000);
	sealed = grown("tx_tls_encrypted_bytes");
	tx_rekey();
	tx_is_software();
	CHECK(tx_waits());
	for (int i = 0; i < 5; i++)
		say(2000);
	EQ(grown("TlsTxDeviceRecords"), 2);
	EQ(grown("TlsTxSwRecords"), 5);
	/* The old ones go by it meanwhile, whenever TCP sends them again */
	UNTIL(grown("tx_tls_ooo") > 0);
	CHECK(grown("tx_tls_encrypted_bytes") > sealed);
	CHECK(tx_waits());
	EQ(grown("tx_tls_ctx"), 0);
	hears(k);
	acknowledge();
	hear_rekey();
	for (int i = 0; i < 5; i++)
		hear(2000);
	tx_is_device();
	EQ(grown("tx_tls_ctx"), 1);
	sealed_by_device(1000);
	none_dropped();
	finish();
}

/* Keys in between never reach it */
static void tx2_newest(void)
{
	start();
	deaf(k);
	say(1000);
	for (int i = 0; i < 5; i++) {
		tx_rekey();
		say(100);
	}
	EQ(count("TlsCurrTxRekey"), 1);
	hear(1000);
	hears(k);
	acknowledge();
	for (int i = 0; i < 5; i++) {
		hear_rekey();
		hear(100);
	}
	tx_is_device();
	EQ(grown("tx_tls_ctx"), 1);
	EQ(grown("TlsTxRekeyOk"), 5);
	sealed_by_device(1000);
	none_dropped();
	finish();
}

/* All under the device's key is acknowledged, not all under one in between */
static void tx2_between(void)
{
	start();
	deaf(k);
	say(1000);
	tx_rekey();
	hear(1000);
	hear_rekey();
	deaf(r);
	say(100);
	tx_rekey();
	hears(k);
	acknowledge();
	usleep(300000 * slowness);
	CHECK(tx_waits());
	EQ(grown("tx_tls_ctx"), 0);
	hears(r);
	hear(100);
	hear_rekey();
	acknowledged();
	tx_is_device();
	EQ(grown("tx_tls_ctx"), 1);
	sealed_by_device(1000);
	none_dropped();
	finish();
}

/* 3. */
static void tx3(void)
{
	long tries;

	start();
	for (int i = 0; i < 3; i++) {
		deaf(k);
		say(500);
		hear(500);
		tx_rekey();
		for (int j = 0; j <= i; j++)
			say(300);
		hears(k);
		acknowledge();
		hear_rekey();
		for (int j = 0; j <= i; j++)
			hear(300);
		acknowledged();
		tx_is_device();
		tries = grown("tx_tls_ooo");
		/* Records of the new context that are found by their place, as all of them are lost */
		deaf(r);
		for (int j = 0; j < 4; j++)
			say(700);
		UNTIL(grown("tx_tls_ooo") > tries);
		hears(r);
		for (int j = 0; j < 4; j++)
			hear(700);
		acknowledged();
	}
	EQ(grown("tx_tls_ctx"), 3);
	none_dropped();
	finish();
}

/* 4. */
static void unplug(void)
{
	undo = NULL;
	sh("tc qdisc del dev sn0 root");
}

/* A figure of sn0's root: how many bytes wait, or how many packets had to wait behind it */
static long qdisc(const char *figure)
{
	FILE *f = popen("tc -s qdisc show dev sn0 root", "r");
	char line[256], *at;
	long n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, figure);
		if (at)
			n = atol(at + strlen(figure));
	}
	pclose(f);
	return n;
}

static const uint8_t nops[4] = { 1, 1, 1, 0 };

static void tx4_by(const char *drops)
{
	deaf(k);
	say(1000);
	hear(1000);
	undo = unplug;
	EQ(sh("tc qdisc replace dev sn0 root plug limit 1000000"), 0);
	/* What TCP sends again waits */
	UNTIL(qdisc("backlog") >= 1000);
	hears(k);
	acknowledge();
	acknowledged();
	EQ(tx_next(), 0);
	tx_follow();
	tx_is_device();
	say(500);
	none_dropped();
	EQ(sh("tc qdisc change dev sn0 root plug release_indefinite"), 0);
	UNTIL(grown(drops) > 0);
	unplug();
	hear(500);
	EQ(grown("tx_tls_drop_bypass_req"), 0);
	finish();
}

static void tx4_driver(void)
{
	start();
	tx4_by("tx_tls_drop_no_sync_data");
}

static void tx4_fallback(void)
{
	start();
	/* Which is not for the device */
	EQ(setsockopt(k, IPPROTO_IP, IP_OPTIONS, nops, sizeof(nops)), 0);
	tx4_by("TlsTxFallbackDrop");
}

/* What a queue's stop holds up was looked at before: nobody but the driver does so again */
static int inflight_max;

static int queue_of(const char *name, int value)
{
	char path[128];
	int n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/sn0/queues/tx-0/byte_queue_limits/%s", name);
	f = fopen(path, value < 0 ? "r" : "w");
	CHECK(f);
	if (value < 0)
		EQ(fscanf(f, "%d", &n), 1);
	else
		EQ(fprintf(f, "%d", value) < 0, 0);
	fclose(f);
	return n;
}

static void unstall(void)
{
	undo = NULL;
	model("stall 0 off");
	if (inflight_max > 0)
		queue_of("limit_max", inflight_max);
	sh("ethtool -L sn0 combined 2");
	sh("ip route change 10.0.0.0/24 dev sn0 src 10.0.0.1");
	features_on();
}

static void tx4_requeued(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(9) };
	static const char nothing[1000];
	long requeued;
	int s;

	undo = unstall;
	EQ(sh("ethtool -L sn0 combined 1"), 0);
	/* TCP is not to send again before that */
	EQ(sh("ip route change 10.0.0.0/24 dev sn0 src 10.0.0.1 rto_min 1s"), 0);
	start();
	deaf(k);
	say(1000);
	hear(1000);
	/* For the next key. This one stays. */
	features_off();
	undo = unstall;
	requeued = qdisc("requeues");
	inet_pton(AF_INET, far_address, &in.sin_addr);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(model("stall 0 on"));
	inflight_max = queue_of("limit_max", -1);
	queue_of("limit_max", 3000);
	/* The last one stops the queue, and none waits: so the next one is looked at before it has to */
	while (queue_of("inflight", -1) <= queue_of("limit", -1))
		EQ(sendto(s, nothing, sizeof(nothing), 0, (void *)&in, sizeof(in)), sizeof(nothing));
	UNTIL(qdisc("requeues") > requeued);
	hears(k);
	acknowledge();
	acknowledged();
	EQ(tx_next(), 0);
	tx_follow();
	UNTIL(grown("TlsTxRekeyFallback") == 1 && grown("tx_tls_del") == 1);
	EQ(grown("tx_tls_drop_no_sync_data"), 0);
	CHECK(model("stall 0 off"));
	UNTIL(grown("tx_tls_drop_no_sync_data") == 1);
	say(500);
	hear(500);
	unstall();
	close(s);
	finish();
}

/* 5. */
static void tx5_down_waits(void)
{
	start();
	deaf(k);
	say(1000);
	hear(1000);
	tx_rekey();
	say(100);
	CHECK(tx_waits());
	link_down();
	EQ(count("TlsCurrTxRekey"), 1);
	tx_is_software();
	/* It was software's before */
	EQ(grown("TlsTxSwDown"), 0);
	/* Nobody waits who comes now */
	EQ(tx_next(), 0);
	EQ(count("TlsCurrTxRekey"), 1);
	link_up();
	hears(k);
	acknowledge();
	hear_rekey();
	hear(100);
	UNTIL(!tx_waits());
	EQ(grown("TlsTxRekeyAborted"), 1);
	EQ(grown("tx_tls_ctx"), 0);
	tx_is_software();
	say(500);
	tx_follow();
	hear(500);
	/* The fallback may: what waited for the carrier may have been acknowledged meanwhile */
	EQ(grown("tx_tls_drop_no_sync_data"), 0);
	EQ(grown("tx_tls_drop_bypass_req"), 0);
	finish();
}

static void tx5_down_before(void)
{
	start();
	say(1000);
	hear(1000);
	acknowledged();
	link_down();
	EQ(grown("TlsTxSwDown"), 1);
	tx_rekey();
	tx_rekey();
	EQ(tx_waits(), 0);
	tx_is_software();
	link_up();
	say(500);
	hear_rekey();
	hear_rekey();
	hear(500);
	EQ(grown("TlsTxRekeyOk"), 2);
	EQ(grown("TlsTxRekeyAborted"), 0);
	EQ(grown("tx_tls_ctx"), 0);
	EQ(grown("TlsTxSwDown"), 1);
	none_dropped();
	finish();
}

static bool stop, patient;

static void *rekeyer(void *arg)
{
	uint64_t i = 0;

	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST) || i < 10) {
		struct ref_epoch e = { 0 };
		uint8_t data[1500];

		ref_fill(data, sizeof(data), SEED, 0);
		EQ(tls_send_type(k, REF_DATA, data, 100 + ref_mix(seed + i) % 1400, 0), 100 + ref_mix(seed + i) % 1400);
		EQ(tls_send_type(k, REF_HANDSHAKE, key_update, sizeof(key_update), 0), sizeof(key_update));
		derive(&e, tx_key + 1 + i);
		EQ(tls_key(k, TLS_TX, &e), 0);
		ref_free(&e);
		if (patient && i % 2)
			UNTIL(!tx_waits());
		usleep(ref_mix(seed + i) % 3000);
		i++;
	}
	shutdown(k, SHUT_WR);
	return NULL;
}

/* All that comes is right, until the end */
static void *follower(void *arg)
{
	ssize_t n;

	(void)arg;
	while ((n = read_record(r, rec)) > 0) {
		size_t pad;
		uint8_t type;

		n = ref_open(&tx, rec, (size_t)n, &type, text, &pad);
		CHECK(n > 0);
		if (type == REF_HANDSHAKE)
			tx_follow();
		else
			SAME(text, SEED, 0, (size_t)n);
	}
	EQ(n, 0);
	return NULL;
}

static void tx5_race(void)
{
	pthread_t t[2];

	for (uint64_t i = 0; i < 4; i++) {
		start();
		stop = false;
		CHECK(!pthread_create(&t[0], NULL, rekeyer, NULL));
		CHECK(!pthread_create(&t[1], NULL, follower, NULL));
		UNTIL(grown("TlsTxRekeyOk") > 5);
		usleep(ref_mix(seed * 100 + i) % 20000);
		link_down();
		link_up();
		UNTIL(carrier("sn0"));
		__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
		pthread_join(t[0], NULL);
		pthread_join(t[1], NULL);
		UNTIL(!tx_waits());
		tx_is_software();
		seed++;
		finish();
	}
}

/* 6. A wire on which nothing is acknowledged, a sender who waits for room, and a key: RTNL waits for none of them */
static void tx6(void)
{
	size_t left = 400000;
	struct job j;

	start();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 20000);
	deaf(k);
	say(1000);
	hear(1000);
	job_start(&j, k, SEED, 0, left);
	UNTIL(!ready(k, POLLOUT, 0));
	EQ(tx_next(), 0);
	CHECK(tx_waits());
	link_down();
	EQ(count("TlsCurrTxRekey"), 1);
	link_up();
	hears(k);
	/* The key is somewhere between two records */
	for (uint64_t off = 0; left;) {
		ssize_t n = read_record(r, rec), len;
		size_t pad;
		uint8_t type;

		CHECK(n > 0);
		len = ref_open(&tx, rec, (size_t)n, &type, text, &pad);
		if (len < 0 && tx_opened < tx_key) {
			tx_follow();
			len = ref_open(&tx, rec, (size_t)n, &type, text, &pad);
		}
		CHECK(len > 0);
		SAME(text, SEED, off, (size_t)len);
		off += (uint64_t)len;
		left -= (size_t)len;
	}
	EQ(tx_opened, tx_key);
	job_end(&j);
	acknowledged();
	UNTIL(!tx_waits());
	tx_is_software();
	none_dropped();
	finish();
}

/*
 * 7. Packets of a connection that software seals for the device while its keys go: what is freed too early shows in the
 * kernel with checkers, and the script looks whether somebody waited
 */
static void tx7(void)
{
	pthread_t t[2];

	start();
	EQ(setsockopt(k, IPPROTO_IP, IP_OPTIONS, nops, sizeof(nops)), 0);
	patient = true;
	CHECK(!pthread_create(&t[0], NULL, rekeyer, NULL));
	CHECK(!pthread_create(&t[1], NULL, follower, NULL));
	UNTIL(grown("tx_tls_del") >= 10);
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	CHECK(grown("TlsTxFallback") > 10);
	EQ(grown("tx_tls_drop_bypass_req"), 0);
	finish();
}

/* One key after another, and nothing is on its way: whatever the device was given it loses */
static void tx7_fast(void)
{
	start();
	for (int i = 0; i < 500; i++)
		EQ(tx_next(), 0);
	tx_opened = tx_key - 1;
	tx_follow();
	tx_is_device();
	CHECK(grown("tx_tls_ctx") > 1);
	sealed_by_device(500);
	none_dropped();
	finish();
}

/* 8. */
static void tx8_refused(void)
{
	const struct ref_cipher *other = &ref_ciphers[cipher == &ref_ciphers[0]];
	struct ref_epoch e = { 0 };
	union ref_info info;
	socklen_t len;

	start();
	for (int i = 0; i < 3; i++) {
		say_flags(100, MSG_MORE);
		ref_derive(&e, i ? cipher : other, version, 9);
		len = ref_info(&e, &info);
		if (i == 2)
			info.info.version = TLS_1_2_VERSION;
		ERR(setsockopt(k, SOL_TLS, TLS_TX, i == 1 ? (void *)8 : &info, len), i == 1 ? EFAULT : EINVAL);
		say(100);
		hear(200);
		EQ(count("TlsCurrTxDevice"), 1);
		sealed_by_device(1000);
	}
	EQ(tx_waits(), 0);
	EQ(grown("tx_tls_ctx"), 0);
	acknowledged();
	tx_rekey();
	hear_rekey();
	acknowledged();
	tx_is_device();
	sealed_by_device(1000);
	finish();
}

/* Sets a key, and the n-th allocation of it fails. False: it was refused for that. *@enough: there are not so many. */
static bool key_without_memory(int (*set)(void), unsigned int n, bool *enough)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR), err;
	char left[16] = "";
	bool ok;

	if (fd < 0 || access("/sys/kernel/debug/failslab", F_OK))
		skip("no fault injection in this kernel");
	report->nth = n;
	CHECK(dprintf(fd, "%u", n) > 0);
	ok = !set();
	err = errno;
	CHECK(pread(fd, left, sizeof(left) - 1, 0) > 0);
	EQ(pwrite(fd, "0", 1, 0), 1);
	close(fd);
	CHECK(ok || err == ENOMEM || err == EAGAIN || err == ENOBUFS);
	*enough = atoi(left);
	return ok;
}

/* The n-th allocation of the key's fails, for every n */
static void tx8_memory(void)
{
	int failed = 0, device = 0;
	bool enough = false;

	start();
	for (unsigned int n = 1; n < 200 && !enough; n++) {
		bool ok;

		say(100);
		hear(100);
		acknowledged();
		tx_settles();
		ok = key_without_memory(tx_next, n, &enough);
		if (ok)
			tx_follow();
		failed += !ok;
		say(100);
		hear(100);
		device += count("TlsCurrTxDevice") == 1;
	}
	report->nth = 0;
	/* Of the key's own there are few; the rest is for the device's context, without which it goes on */
	CHECK(failed > 1);
	CHECK(device > 3);
	acknowledged();
	tx_rekey();
	hear_rekey();
	acknowledged();
	tx_is_device();
	sealed_by_device(1000);
	snprintf(report->note, sizeof(report->note), "%d keys were refused", failed);
	finish();
}

/* 9. */
static void tx9(void)
{
	start();
	for (int i = 0; i < 4; i++) {
		deaf(k);
		say(500);
		hear(500);
		tx_rekey();
		/* The key is this old by the time that it reaches the device */
		for (int j = 0; j < 2 * i; j++)
			say(100);
		hears(k);
		acknowledge();
		hear_rekey();
		for (int j = 0; j < 2 * i; j++)
			hear(100);
		tx_is_device();
		sealed_by_device(500);
		sealed_by_device(500);
	}
	EQ(grown("tx_tls_ctx"), 4);
	none_dropped();
	finish();
}

/* 10. */
static int mem_fd = -1;
static char mem_old[100];

static void mem_restore(void)
{
	undo = NULL;
	CHECK(pwrite(mem_fd, mem_old, strlen(mem_old), 0) > 0);
}

static void mem_limit(void)
{
	undo = mem_restore;
	EQ(pwrite(mem_fd, "1 1 1", 5, 0), 5);
}

/* More memory than CPUs have in advance, which the limit does not see: bytes that nobody takes */
static void mem_hog(void)
{
	int fd[2], size = 16 << 20;
	struct linger l = { 1, 0 };

	wire_pair(fd, 0);
	deaf(fd[1]);
	for (int i = 0; i < 2; i++)
		EQ(setsockopt(fd[i], SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	EQ(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)), 0);
	memset(buf, 0, sizeof(buf));
	for (int i = 0; i < 8; i++)
		EQ(send(fd[0], buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL), sizeof(buf));
}

static void alarmed(int sig)
{
	(void)sig;
}

static void mem_open(void)
{
	if (mem_fd >= 0)
		return;
	mem_fd = open("/proc/sys/net/ipv4/tcp_mem", O_RDWR);
	CHECK(mem_fd >= 0 && read(mem_fd, mem_old, sizeof(mem_old) - 1) > 0);
	mem_hog();
}

/* Bytes that the socket has left over of the memory it was granted */
static uint32_t left_over(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);

	EQ(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len), 0);
	return info[SK_MEMINFO_FWD_ALLOC];
}

static size_t front[9];
static int fronts;

/*
 * A record has to wait for memory only if TCP has none for it, not even for the packet's head: behind some others, as the
 * first ones are never refused, and when little is left over, which is not under anybody's control. So @try it with others.
 */
static void say_front(uint64_t try)
{
	fronts = 0;
	do {
		front[fronts] = 300 + ref_mix(seed + 10 * try + (uint64_t)fronts) % 700;
		say(front[fronts++]);
	} while (fronts < (int)ARRAY_SIZE(front) && (fronts < 4 || left_over(k) < 100 || left_over(k) > 500));
	say_flags(50, MSG_MORE);
}

static void hear_front(void)
{
	for (int i = 0; i < fronts; i++)
		hear(front[i]);
}

/* A key for which the record that it ends has to wait; false: it need not, and is set */
static bool key_waits(uint64_t try)
{
	mem_open();
	start();
	set_int(k, SOL_SOCKET, SO_SNDBUF, 100000);
	deaf(r);
	say_front(try);
	mem_limit();
	nonblock(k, true);
	if (!tx_next()) {
		mem_restore();
		nonblock(k, false);
		return false;
	}
	EQ(errno, EAGAIN);
	EQ(grown("TlsTxRekeyError"), 1);
	nonblock(k, false);
	return true;
}

/* There is memory, and the key came through */
static void key_through(void)
{
	say(300);
	hears(r);
	hear_front();
	hear(50);
	EQ(grown("TlsTxDeviceRecords"), fronts + 1);
	tx_follow();
	hear(300);
	acknowledged();
}

static void tx10_wait(void)
{
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } }, never = { { 0, 0 }, { 0, 0 } };
	int waited = 0;

	CHECK(!sigaction(SIGALRM, &(struct sigaction){ .sa_handler = alarmed }, NULL));
	for (uint64_t i = 0; i < 50 && waited < 2; i++) {
		if (key_waits(i)) {
			EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
			ERR(tx_next(), EINTR);
			EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
			EQ(grown("TlsTxRekeyError"), 2);
			/* As if nothing had been */
			EQ(tx_waits(), 0);
			EQ(count("TlsCurrTxDevice"), 1);
			mem_restore();
			EQ(tx_next(), 0);
			waited++;
		}
		key_through();
		tx_is_device();
		sealed_by_device(500);
		finish();
	}
	CHECK(waited);
}

static bool set_done;

static void *setter(void *arg)
{
	(void)arg;
	EQ(tx_next(), 0);
	__atomic_store_n(&set_done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static void mem_and_link(void)
{
	mem_restore();
	link_up();
}

/* 6. The same, and the device goes down */
static void tx6_memory(void)
{
	bool waited = false;

	for (uint64_t i = 0; i < 50 && !waited; i++) {
		waited = key_waits(i);
		if (waited) {
			pthread_t t;

			set_done = false;
			CHECK(!pthread_create(&t, NULL, setter, NULL));
			usleep(100000 * slowness);
			undo = mem_and_link;
			EQ(sh("ip link set sn0 down"), 0);
			CHECK(!__atomic_load_n(&set_done, __ATOMIC_SEQ_CST));
			mem_and_link();
			pthread_join(t, NULL);
		}
		key_through();
		if (waited)
			tx_is_software();
		finish();
	}
	CHECK(waited);
}

/* 6. The worker, who finds no memory for a record that goes first */
static void tx6_worker(void)
{
	bool waited = false;

	mem_open();
	for (uint64_t i = 0; i < 50 && !waited; i++) {
		size_t left = 0;
		bool down;

		start();
		set_int(k, SOL_SOCKET, SO_SNDBUF, 100000);
		deaf(k);
		say(1000);
		tx_rekey();
		hear(1000);
		hear_rekey();
		deaf(r);
		say_front(i);
		mem_limit();
		hears(k);
		/* For the data there may be no memory, but they acknowledge all under the device's key */
		rec_out(REF_DATA, SEED, 0, 1);
		for (int j = 0; j < fronts; j++)
			left += front[j] + REF_HDR + 1 + REF_TAG;
		/* And the record that is held, if it has gone */
		UNTIL((size_t)queued(k, SIOCOUTQ) <= left + 100);
		usleep(100000 * slowness);
		down = tx_waits();
		if (down) {
			undo = mem_and_link;
			EQ(sh("ip link set sn0 down"), 0);
			waited = tx_waits();
			link_up();
		}
		mem_restore();
		hears(r);
		get(k, SEED, 0, 1);
		say(100);
		hear_front();
		hear(150);
		UNTIL(!tx_waits());
		CHECK(!waited || grown("TlsTxRekeyAborted") == 1);
		if (down)
			tx_is_software();
		else
			tx_is_device();
		finish();
	}
	CHECK(waited);
}

static void refuses_none(void)
{
	undo = NULL;
	model("tls-refuse 0 0");
}

static void refuses(void)
{
	undo = refuses_none;
	CHECK(model("tls-refuse 0 1000"));
}

static void tx10_refused_by(void (*off)(void), void (*on)(void), const char *why)
{
	start();
	deaf(k);
	say(500);
	hear(500);
	tx_rekey();
	CHECK(tx_waits());
	off();
	hears(k);
	acknowledge();
	hear_rekey();
	UNTIL(!tx_waits());
	EQ(grown("TlsTxRekeyFallback"), 1);
	EQ(grown(why), 1);
	tx_is_software();
	/* Neither has it the old one */
	UNTIL(count("tx_tls_ctx") == count("tx_tls_del"));
	on();
	for (int i = 0; i < 5; i++) {
		say(500);
		hear(500);
		acknowledged();
	}
	tx_is_software();
	EQ(grown("tx_tls_ctx"), 0);
	tx_rekey();
	hear_rekey();
	acknowledged();
	tx_is_device();
	EQ(grown("tx_tls_ctx"), 1);
	EQ(grown("TlsTxRekeyFallback"), 1);
	sealed_by_device(500);
	none_dropped();
	finish();
}

static void tx10_feature(void)
{
	tx10_refused_by(features_off, features_on, "TlsTxSwFeature");
}

static void tx10_nic(void)
{
	tx10_refused_by(refuses, refuses_none, "TlsTxSwTableFull");
}

/* The table of the device has no room for both: it loses the old key first */
/* A connection that has a context of the device's; false: it has no room */
static bool filler(int fd[2])
{
	struct ref_epoch e = { 0 };

	wire_pair(fd, 0);
	for (int i = 0; i < 2; i++)
		EQ(setsockopt(fd[i], SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
	EQ(tls_ulp(fd[0]), 0);
	derive(&e, 500);
	EQ(tls_key(fd[0], TLS_TX, &e), 0);
	ref_free(&e);
	return !count("TlsCurrTxSw");
}

static void tx10_full(void)
{
	int fd[2], n = 0;
	long ctx;

	start();
	while (filler(fd))
		CHECK(++n < 64);
	ctx = count("TlsCurrTxDevice");
	for (int i = 0; i < 3; i++) {
		say(500);
		hear(500);
		acknowledged();
		tx_rekey();
		hear_rekey();
		acknowledged();
		UNTIL(!tx_waits());
		EQ(count("TlsCurrTxDevice"), ctx);
		sealed_by_device(500);
	}
	EQ(grown("TlsTxRekeyFallback"), 0);
	none_dropped();
	finish();
}

/* While the worker takes the context, to make room, there is room, and another key */
static void tx10_room(void)
{
	int fd[64][2], n = 0;

	start();
	while (filler(fd[n]))
		CHECK(++n < 64);
	close(fd[n][0]);
	close(fd[n][1]);
	for (int i = 0; i < 15; i++) {
		say(500);
		hear(500);
		acknowledged();
		UNTIL(count("TlsCurrTxDevice") == n + 1);
		EQ(tx_next(), 0);
		usleep(ref_mix(seed + (uint64_t)i) % 3000);
		close(fd[0][0]);
		close(fd[0][1]);
		for (int j = 0; j < 20; j++) {
			EQ(tx_next(), 0);
			usleep(500);
		}
		tx_opened = tx_key - 1;
		tx_follow();
		UNTIL(!tx_waits() && count("tx_tls_ctx") - count("tx_tls_del") == n);
		EQ(count("TlsCurrTxDevice"), n);
		sealed_by_device(500);
		CHECK(filler(fd[0]));
	}
	none_dropped();
	finish();
}

/* 12. */
static void tx12_idle(void)
{
	start();
	deaf(k);
	say(500);
	hear(500);
	tx_rekey();
	CHECK(tx_waits());
	hears(k);
	/* TCP sends again, and is told; nobody else does anything */
	tx_is_device();
	hear_rekey();
	EQ(grown("TlsTxDeviceRecords"), 2);
	EQ(grown("tx_tls_ctx"), 1);
	sealed_by_device(500);
	acknowledged();
	/* At once, with nothing on its way */
	EQ(tx_next(), 0);
	tx_follow();
	UNTIL(count("TlsCurrTxDevice") == 1 && !tx_waits());
	sealed_by_device(500);
	none_dropped();
	finish();
}

static void tx12_close(void)
{
	for (int i = 0; i < 3; i++) {
		start();
		deaf(r);
		say(500);
		tx_rekey();
		say(700);
		CHECK(tx_waits());
		if (i == 1)
			EQ(shutdown(k, SHUT_WR), 0);
		if (i == 2)
			EQ(setsockopt(k, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
		close(k);
		EQ(tx_waits(), 0);
		EQ(grown("TlsTxRekeyAborted"), 1);
		EQ(count("TlsCurrTxSw"), 0);
		EQ(count("TlsCurrTxDevice"), 0);
		hears(r);
		if (i < 2) {
			hear(500);
			hear_rekey();
			hear(700);
			expect_end();
		}
		close(r);
		UNTIL(grown("tx_tls_del") == 1);
		EQ(grown("tx_tls_ctx"), 0);
		EQ(grown("TlsTxRekeyAborted"), 1);
		none_dropped();
	}
}

/* 11. */
static void tx11(void)
{
	long other;

	far_address = "10.9.0.2";
	start();
	other = nic_counter("sn2", "tx_tls_ctx");
	deaf(k);
	say(1000);
	hear(1000);
	tx_rekey();
	say(100);
	CHECK(tx_waits());
	EQ(sh("ip route replace 10.9.0.2 via 10.0.2.2 dev sn2 src 10.9.0.1"), 0);
	hears(k);
	acknowledge();
	hear_rekey();
	hear(100);
	tx_is_device();
	EQ(grown("tx_tls_ctx"), 1);
	EQ(nic_counter("sn2", "tx_tls_ctx"), other);
	/* By the other one, and the fallback seals */
	mark();
	for (int i = 0; i < 3; i++) {
		say(1000);
		hear(1000);
	}
	CHECK(grown("TlsTxFallback") >= 3);
	EQ(grown("TlsTxSwRoute"), 1);
	EQ(grown("tx_tls_encrypted_bytes"), 0);
	EQ(grown("TlsTxDeviceRecords"), 3);
	acknowledged();
	/* Once more, on that way */
	tx_rekey();
	hear_rekey();
	acknowledged();
	tx_is_device();
	EQ(grown("tx_tls_ctx"), 1);
	EQ(nic_counter("sn2", "tx_tls_ctx"), other);
	say(1000);
	hear(1000);
	EQ(grown("TlsTxSwRoute"), 2);
	EQ(sh("ip route replace 10.9.0.2 via 10.0.0.2 dev sn0 src 10.9.0.1"), 0);
	sealed_by_device(1000);
	none_dropped();
	finish();
}

/* --- receiving --- */

/* The core does not know how far the device opened with an older key, but that it is within TCP's window */
static bool window;

/*
 * This NIC takes the record behind a KeyUpdate for one that may have another key, and passes it on as it came. Others do
 * not, and a key may change without KeyUpdate as far as the kernel is concerned: then this one opens it, too.
 */
static uint8_t burst[200000];
static size_t burst_len;

static void burst_rec(uint8_t type, const void *data, size_t len)
{
	burst_len += ref_seal(&rx, type, data, len, 0, burst + burst_len);
}

static void burst_data(uint64_t off, size_t len)
{
	ref_fill(text, len, SEED, off);
	burst_rec(REF_DATA, text, len);
}

static void rx_seal_next(void)
{
	derive(&rx, ++rx_sealed);
}

static void burst_update(void)
{
	burst_rec(REF_HANDSHAKE, key_update, sizeof(key_update));
	rx_seal_next();
}

/* All at once; and none of it is read before all is there */
static void burst_out(void)
{
	CHECK(write_all(r, burst, burst_len));
	UNTIL((size_t)queued(k, SIOCINQ) == burst_len);
	burst_len = 0;
}

static void take_update(void)
{
	uint8_t type, got[100];

	EQ(tls_recv_type(k, &type, got, sizeof(got), 0), sizeof(key_update));
	EQ(type, REF_HANDSHAKE);
	CHECK(!memcmp(got, key_update, sizeof(key_update)));
}

/* k's next key for receiving */
static int rx_try(void)
{
	struct ref_epoch e = { 0 };
	int ret, err;

	derive(&e, rx_key + 1);
	ret = tls_key(k, TLS_RX, &e);
	err = errno;
	ref_free(&e);
	rx_key += !ret;
	errno = err;
	return ret;
}

static void rx_next(void)
{
	EQ(rx_try(), 0);
}

static bool rx_waits(void)
{
	return count("TlsCurrRxRekey");
}

/* r sends until the device has the newest key, and opens. Bytes until then. */
static size_t rx_drain(void)
{
	size_t sent = 0;

	while (rx_waits()) {
		CHECK(sent < 16000000);
		rec_out(REF_DATA, SEED, 0, 16000);
		get(k, SEED, 0, 16000);
		sent += 16000;
	}
	EQ(count("TlsCurrRxDevice"), 1);
	EQ(count("TlsCurrRxSw"), 0);
	mark();
	/* Not all of them, if TCP at the other end is impatient */
	for (int i = 0; grown("TlsRxDeviceRecords") < 3; i++) {
		CHECK(i < 50);
		rec_out(REF_DATA, SEED, 0, 16000);
		get(k, SEED, 0, 16000);
	}
	return sent;
}

/* 1. */
static void rx1_update(void)
{
	for (uint64_t i = 0; i < 4; i++) {
		size_t a = 100 + ref_mix(seed + i) % 3000, b = 2000 + ref_mix(seed + 10 + i) % 14000;

		start();
		burst_data(0, a);
		burst_update();
		burst_data(a, b);
		burst_data(a + b, b);
		burst_out();
		get(k, SEED, 0, a);
		take_update();
		CHECK(rx_waits());
		EQ(count("TlsCurrRxDevice"), 0);
		rx_next();
		get(k, SEED, a, 2 * b);
		EQ(grown("TlsDecryptError"), 0);
		rx_drain();
		EQ(grown("TlsDecryptError"), 0);
		finish();
	}
}

static void rx1_opened(void)
{
	for (uint64_t i = 0; i < 4; i++) {
		size_t a = 100 + ref_mix(seed + i) % 3000, b = 4000 + ref_mix(seed + 10 + i) % 12000;

		start();
		burst_data(0, a);
		rx_seal_next();
		burst_data(a, b);
		burst_data(a + b, b);
		burst_out();
		get(k, SEED, 0, a);
		rx_next();
		get(k, SEED, a, 2 * b);
		/* Some of the first was opened, with the old key */
		EQ(grown("TlsRxPartialRecords"), 1);
		EQ(grown("TlsDecryptError"), 0);
		rx_drain();
		finish();
	}
}

static void hurry(void)
{
	gro_on();
	sh("sysctl -qw net.ipv4.tcp_sack=1");
	sh("ip -n far route change 10.0.0.0/24 dev sn1 src 10.0.0.2");
}

/* 2. What the device has opened waits in TCP's queue for packets that came out of order */
static void rx2(void)
{
	static const size_t pieces[] = { 777, 1400, 1400, 1440 };
	size_t at = 0, n;
	long seen;

	/* Once TCP takes the first one for lost, it sends nothing else: neither after a while, nor by one SACK */
	EQ(sh("ip -n far route change 10.0.0.0/24 dev sn1 src 10.0.0.2 rto_min 2s"), 0);
	EQ(sh("sysctl -qw net.ipv4.tcp_sack=0"), 0);
	undo = hurry;
	start();
	rec_out(REF_DATA, SEED, 0, 500);
	get(k, SEED, 0, 500);
	rx_seal_next();
	burst_data(500, 777 + 1400 + 1400 + 1440 - REF_HDR - REF_TAG - 1);
	EQ(burst_len, 777 + 1400 + 1400 + 1440);
	seen = count("rx_tls_decrypted_packets");
	gro_off();
	undo = hurry;
	deaf_to(k, 777);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		n = pieces[i];
		CHECK(write_all(r, burst + at, n));
		at += n;
	}
	burst_len = 0;
	/* But for the last, which tells that it is not authentic */
	UNTIL(count("rx_tls_decrypted_packets") >= seen + 3);
	EQ(queued(k, SIOCINQ), 0);
	rx_next();
	CHECK(rx_waits());
	hears(k);
	get(k, SEED, 500, 777 + 1400 + 1400 + 1440 - REF_HDR - REF_TAG - 1);
	EQ(grown("TlsRxPartialRecords"), 1);
	EQ(grown("TlsDecryptError"), 0);
	CHECK(window || !rx_waits());
	hurry();
	finish();
}

/* In GRO, which waits for more */
static void gro_waits(long ns)
{
	EQ(sh("echo %d >/sys/class/net/sn0/napi_defer_hard_irqs; echo %ld >/sys/class/net/sn0/gro_flush_timeout", ns ? 1 : 0, ns), 0);
}

static void gro_does_not_wait(void)
{
	sh("ip netns exec far sysctl -qw net.ipv4.tcp_autocorking=1");
	gro_waits(0);
	hurry();
	undo = NULL;
}

static void rx2_gro(void)
{
	bool waits = false;

	/* If a tick of the clock comes between, GRO does not wait */
	for (int i = 0; i < 30 && !waits; i++) {
		struct tcp_info ti;
		socklen_t len = sizeof(ti);
		size_t part;
		long seen;

		start();
		rec_out(REF_DATA, SEED, 0, 500);
		get(k, SEED, 0, 500);
		EQ(getsockopt(r, IPPROTO_TCP, TCP_INFO, &ti, &len), 0);
		/* Whole segments, and none of them the last; one by one, as what TCP sends together says that it is to be pushed */
		part = 4 * ti.tcpi_snd_mss;
		rx_seal_next();
		burst_data(500, 9000);
		undo = gro_does_not_wait;
		gro_waits(200000000);
		/* And the other end neither, as it is told nothing */
		EQ(sh("ip -n far route change 10.0.0.0/24 dev sn1 src 10.0.0.2 rto_min 2s"), 0);
		EQ(sh("ip netns exec far sysctl -qw net.ipv4.tcp_autocorking=0"), 0);
		seen = count("rx_tls_decrypted_packets");
		for (size_t at = 0; at < part; at += ti.tcpi_snd_mss)
			EQ(send(r, burst + at, ti.tcpi_snd_mss, MSG_MORE), ti.tcpi_snd_mss);
		UNTIL(count("rx_tls_decrypted_packets") >= seen + 4);
		rx_next();
		waits = (size_t)queued(k, SIOCINQ) < part;
		CHECK(rx_waits());
		gro_does_not_wait();
		CHECK(write_all(r, burst + part, burst_len - part));
		burst_len = 0;
		get(k, SEED, 500, 9000);
		EQ(grown("TlsRxPartialRecords"), 1);
		EQ(grown("TlsDecryptError"), 0);
		rx_drain();
		EQ(grown("TlsDecryptError"), 0);
		finish();
	}
	CHECK(waits);
}

/* Anywhere between ring and queue, the backlog among them, as more comes all the time */
static void *burst_writer(void *arg)
{
	(void)arg;
	CHECK(write_all(r, burst, burst_len));
	return NULL;
}

static void rx2_race(void)
{
	for (uint64_t i = 0; i < 30; i++) {
		size_t a = 1 + ref_mix(seed + i) % 30000, b = 1 + ref_mix(seed + 100 + i) % 16000, at = a;
		pthread_t t;

		start();
		for (size_t n = 0; n < a; n += 16000)
			burst_data(n, a - n < 16000 ? a - n : 16000);
		rx_seal_next();
		for (; at < a + 90000; at += b)
			burst_data(at, b);
		CHECK(!pthread_create(&t, NULL, burst_writer, NULL));
		get(k, SEED, 0, a);
		rx_next();
		get(k, SEED, a, at - a);
		pthread_join(t, NULL);
		burst_len = 0;
		EQ(grown("TlsDecryptError"), 0);
		finish();
	}
}

/* 3. */
static void rx3_drained(void)
{
	long ctx;

	/* It has opened something with the old key that is still to be read */
	start();
	ctx = count("rx_tls_ctx");
	burst_data(0, 500);
	rx_seal_next();
	burst_data(500, 9000);
	burst_out();
	get(k, SEED, 0, 500);
	rx_next();
	CHECK(rx_waits());
	EQ(count("rx_tls_ctx"), ctx);
	get(k, SEED, 500, 9000);
	if (window) {
		EQ(count("rx_tls_ctx"), ctx);
		rx_drain();
		EQ(count("rx_tls_ctx"), ctx + 1);
		finish();
		return;
	}
	/* Who has read it may not come back soon */
	CHECK(!rx_waits());
	EQ(count("rx_tls_ctx"), ctx + 1);
	finish();
	/* It has opened nothing, as there was a KeyUpdate: it need not wait for what software will open */
	start();
	ctx = count("rx_tls_ctx");
	burst_data(0, 500);
	burst_update();
	burst_data(500, 9000);
	burst_out();
	get(k, SEED, 0, 500);
	take_update();
	CHECK(rx_waits());
	EQ(count("rx_tls_ctx"), ctx);
	rx_next();
	EQ(count("rx_tls_ctx"), ctx + 1);
	CHECK(!rx_waits());
	get(k, SEED, 500, 9000);
	rx_drain();
	EQ(count("rx_tls_ctx"), ctx + 1);
	finish();
}

static void rx3_middle(void)
{
	long ctx;

	start();
	ctx = count("rx_tls_ctx");
	burst_data(0, 500);
	burst_update();
	burst_data(500, 3000);
	burst_update();
	burst_data(3500, 9000);
	burst_out();
	get(k, SEED, 0, 500);
	take_update();
	rx_next();
	get(k, SEED, 500, 3000);
	take_update();
	ERR(recv(k, buf, 100, MSG_DONTWAIT), EKEYEXPIRED);
	EQ(count("TlsCurrRxRekey"), 1);
	rx_next();
	get(k, SEED, 3500, 9000);
	EQ(grown("TlsRxRekeyOk"), 2);
	EQ(grown("TlsDecryptError"), 0);
	rx_drain();
	/* It had nothing to wait for, and may have had the one between for a moment */
	CHECK(count("rx_tls_ctx") <= ctx + 2);
	EQ(grown("TlsDecryptError"), 0);
	finish();
	/* What the device has opened, it has with the first of the three, and has to be read */
	start();
	ctx = count("rx_tls_ctx");
	burst_data(0, 500);
	rx_seal_next();
	rx_seal_next();
	burst_data(500, 9000);
	burst_out();
	get(k, SEED, 0, 500);
	rx_next();
	rx_next();
	get(k, SEED, 500, 9000);
	EQ(grown("TlsRxPartialRecords"), 1);
	EQ(grown("TlsDecryptError"), 0);
	rx_drain();
	EQ(count("rx_tls_ctx"), ctx + 1);
	finish();
}

/* 4. */
static void rx4_wrong(void)
{
	for (int update = 0; update < 2; update++) {
		struct ref_epoch e = { 0 };
		struct pollfd p;

		start();
		burst_data(0, 500);
		if (update)
			burst_update();
		else
			rx_seal_next();
		burst_data(500, 9000);
		burst_out();
		get(k, SEED, 0, 500);
		if (update)
			take_update();
		derive(&e, 12345);
		EQ(tls_key(k, TLS_RX, &e), 0);
		memset(buf, 0x55, 20000);
		for (int i = 0; i < 3; i++)
			ERR(recv(k, buf, 20000, i ? 0 : MSG_DONTWAIT), EBADMSG);
		rec_out(REF_DATA, SEED, 0, 500);
		ERR(recv(k, buf, 20000, 0), EBADMSG);
		p = (struct pollfd) { .fd = k, .events = POLLIN | POLLRDHUP };
		EQ(poll(&p, 1, 0), 1);
		EQ(p.revents, POLLIN | POLLRDHUP);
		EQ(grown("TlsDecryptError"), 1);
		/* Where the device waits, it never gets it, and when it is over that is no wait any more */
		EQ(grown("rx_tls_ctx"), update && !window);
		finish();
		EQ(grown("TlsRxRekeyAborted"), !update || window);
		ref_free(&e);
	}
}

static void rx4_refused_by(void (*off)(void), void (*on)(void), const char *why)
{
	start();
	off();
	burst_data(0, 500);
	burst_update();
	burst_data(500, 9000);
	burst_out();
	get(k, SEED, 0, 500);
	take_update();
	rx_next();
	get(k, SEED, 500, 9000);
	for (int i = 0; i < 100 && rx_waits(); i++) {
		rec_out(REF_DATA, SEED, 0, 16000);
		get(k, SEED, 0, 16000);
	}
	EQ(rx_waits(), 0);
	EQ(grown("TlsRxRekeyFallback"), 1);
	EQ(grown(why), 1);
	EQ(count("TlsCurrRxSw"), 1);
	on();
	rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
	rx_seal_next();
	take_update();
	rx_next();
	rx_drain();
	EQ(grown("TlsDecryptError"), 0);
	finish();
}

/* The n-th allocation of the key's fails, for every n, those for the device's context among them: it has that at once */
static void rx4_memory(void)
{
	int failed = 0, fallback = 0;
	bool enough = false;

	start();
	for (unsigned int n = 1; n < 200 && !enough; n++) {
		bool ok;

		rec_out(REF_DATA, SEED, 0, 100);
		rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
		rx_seal_next();
		get(k, SEED, 0, 100);
		take_update();
		ok = key_without_memory(rx_try, n, &enough);
		if (!ok) {
			ERR(recv(k, buf, 100, MSG_DONTWAIT), EKEYEXPIRED);
			rx_next();
		}
		failed += !ok;
		fallback += count("TlsCurrRxSw") && !rx_waits();
		rec_out(REF_DATA, SEED, 100, 1000);
		get(k, SEED, 100, 1000);
	}
	report->nth = 0;
	CHECK(enough);
	CHECK(failed > 1);
	/* In the driver */
	CHECK(window || fallback > 0);
	EQ(grown("TlsRxRekeyFallback"), fallback);
	rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
	rx_seal_next();
	take_update();
	rx_next();
	rx_drain();
	EQ(grown("TlsDecryptError"), 0);
	snprintf(report->note, sizeof(report->note), "%d keys were refused, %d for the device", failed, fallback);
	finish();
}

/* Keys and records without end, in no time that is the same */
static void *rx_sayer(void *arg)
{
	uint64_t off = 0;

	(void)arg;
	for (uint64_t i = 0; !__atomic_load_n(&stop, __ATOMIC_SEQ_CST); i++) {
		for (uint64_t j = 0; j < ref_mix(seed + i) % 4; j++) {
			size_t len = 100 + ref_mix(seed + i + j) % 15000;

			rec_out(REF_DATA, SEED, off, len);
			off += len;
		}
		rec_bytes(REF_HANDSHAKE, key_update, sizeof(key_update));
		rx_seal_next();
		usleep(ref_mix(seed + i) % 3000);
	}
	shutdown(r, SHUT_WR);
	return NULL;
}

static void *rx_reader(void *arg)
{
	static uint8_t got[REF_MAX];
	uint64_t off = 0;
	uint8_t type;
	ssize_t n;

	(void)arg;
	while ((n = tls_recv_type(k, &type, got, sizeof(got), 0)) > 0) {
		if (type == REF_HANDSHAKE) {
			rx_next();
			continue;
		}
		SAME(got, SEED, off, (size_t)n);
		off += (uint64_t)n;
	}
	EQ(n, 0);
	return NULL;
}

/* The device goes down, or is reset, somewhere between KeyUpdate, key, and the device's having it */
static void rx4_race(void)
{
	pthread_t t[2];

	for (uint64_t i = 0; i < 6; i++) {
		long bad = tls_counter("TlsDecryptError");

		start();
		stop = false;
		CHECK(!pthread_create(&t[0], NULL, rx_sayer, NULL));
		CHECK(!pthread_create(&t[1], NULL, rx_reader, NULL));
		UNTIL(grown("TlsRxRekeyOk") > 5);
		usleep(ref_mix(seed * 100 + i) % 20000);
		if (i % 2) {
			EQ(sh("ethtool -t sn0 offline >/dev/null"), 0);
		} else {
			link_down();
			link_up();
		}
		UNTIL(carrier("sn0"));
		mark();
		UNTIL(i % 2 ? grown("rx_tls_ctx") > 0 : grown("TlsRxRekeyOk") > 5);
		__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
		pthread_join(t[0], NULL);
		pthread_join(t[1], NULL);
		EQ(tls_counter("TlsDecryptError"), bad);
		if (i % 2 == 0) {
			EQ(rx_waits(), 0);
			EQ(count("TlsCurrRxSw"), 1);
		}
		seed++;
		finish();
	}
}

static void rx4_feature(void)
{
	rx4_refused_by(features_off, features_on, "TlsRxSwFeature");
}

static void rx4_nic(void)
{
	rx4_refused_by(refuses, refuses_none, "TlsRxSwTableFull");
}

static void rx4_down(void)
{
	start();
	burst_data(0, 500);
	burst_update();
	burst_data(500, 9000);
	burst_out();
	get(k, SEED, 0, 500);
	take_update();
	link_down();
	rx_next();
	/* Nothing to wait for, whatever is still to be read */
	EQ(rx_waits(), 0);
	link_up();
	get(k, SEED, 500, 9000);
	EQ(grown("TlsRxRekeyAborted"), 1);
	EQ(count("TlsCurrRxSw"), 1);
	EQ(grown("rx_tls_ctx"), 0);
	EQ(grown("TlsDecryptError"), 0);
	finish();
}

/* 5. */
static void rx5(void)
{
	uint8_t type;

	start();
	burst_data(0, 500);
	burst_update();
	burst_data(500, 3000);
	burst_out();
	get(k, SEED, 0, 500);
	READABLE(k);
	take_update();
	for (int i = 0; i < 2; i++) {
		SILENT(k);
		ERR(recv(k, buf, 100, MSG_DONTWAIT), EKEYEXPIRED);
		ERR(recv(k, buf, 100, 0), EKEYEXPIRED);
		ERR(recv(k, buf, 100, MSG_PEEK), EKEYEXPIRED);
		ERR(tls_recv_type(k, &type, buf, 100, MSG_WAITALL), EKEYEXPIRED);
		/* More of it changes nothing */
		rec_out(REF_DATA, SEED, 3500, 3000);
		UNTIL(!queued(r, SIOCOUTQ));
	}
	/* The other direction has its own key */
	say(100);
	hear(100);
	rx_next();
	CHECK(ready(k, POLLIN, 0));
	get(k, SEED, 500, 3000);
	get(k, SEED, 3500, 3000);
	get(k, SEED, 3500, 3000);
	rx_drain();
	finish();
}

/* --- both, and what is more than a link that goes down --- */

static void both_wait(void)
{
	start();
	burst_data(0, 500);
	rx_seal_next();
	burst_data(500, 9000);
	burst_out();
	get(k, SEED, 0, 500);
	rx_next();
	CHECK(rx_waits());
	deaf(k);
	say(1000);
	hear(1000);
	tx_rekey();
	CHECK(tx_waits());
	say(100);
}

/* The driver gives the device back what it had: the key that retransmissions need, and the next one when its time comes */
static void broken_reset(void)
{
	long bad = tls_counter("TlsDecryptError");

	both_wait();
	EQ(sh("ethtool -t sn0 offline >/dev/null"), 0);
	UNTIL(carrier("sn0"));
	CHECK(tx_waits() && rx_waits());
	hears(k);
	get(k, SEED, 500, 9000);
	acknowledge();
	hear_rekey();
	hear(100);
	acknowledged();
	tx_is_device();
	rx_drain();
	sealed_by_device(1000);
	EQ(tls_counter("TlsDecryptError"), bad);
	finish();
}

/* There is no way to the other end any more, and no NIC whose counters could be asked */
static void broken_gone(const char *by)
{
	long tx_aborted = tls_counter("TlsTxRekeyAborted"), rx_aborted = tls_counter("TlsRxRekeyAborted");

	both_wait();
	EQ(sh("%s", by), 0);
	EQ(tls_counter("TlsCurrTxDevice") + tls_counter("TlsCurrRxDevice"), 0);
	/* What had come is there */
	get(k, SEED, 500, 9000);
	ERR(recv(k, buf, 100, MSG_DONTWAIT), EAGAIN);
	/* The next key for receiving ends that wait, too, and that for sending waits for nothing */
	derive(&rx, ++rx_sealed);
	rx_next();
	EQ(tls_counter("TlsCurrRxRekey"), 0);
	EQ(tls_counter("TlsRxRekeyAborted"), rx_aborted + 1);
	EQ(tx_next(), 0);
	put_flags(k, SEED, 0, 100, MSG_DONTWAIT);
	/* Nobody will acknowledge its FIN */
	EQ(setsockopt(k, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
	finish();
	EQ(tls_counter("TlsTxRekeyAborted"), tx_aborted + 1);
}

static void broken_driver(void)
{
	broken_gone("rmmod sealnic");
}

static void broken_unplugged(void)
{
	broken_gone("bash -c '. $SEALNIC_REPO/tests/guest-lib.sh && operator unplug 0'");
}

/* --- the list --- */

static const struct {
	const char *name;
	void (*fn)(void);
} tests[] = {
	{ "tx 1: no packet has two engines, when software takes over", tx1_to_software },
	{ "tx 1: no packet has two engines, when the device takes over", tx1_to_device },
	{ "tx 1: no packet has two keys when all is sent again", tx1_again },
	{ "tx 2: while the key waits, only old records are the NIC's", tx2 },
	{ "tx 2: keys in between never reach the NIC", tx2_newest },
	{ "tx 2: the NIC waits for what keys in between have sealed", tx2_between },
	{ "tx 3: the new context counts from its own first record", tx3 },
	{ "tx 4: a packet whose record is gone is dropped, by the driver", tx4_driver },
	{ "tx 4: a packet whose record is gone is dropped, by the fallback", tx4_fallback },
	{ "tx 4: a packet that a stopped queue held up is dropped, by the driver", tx4_requeued },
	{ "tx 5: the device goes down while the key waits", tx5_down_waits },
	{ "tx 5: the device is down when the key comes", tx5_down_before },
	{ "tx 5: keys race the device's going down", tx5_race },
	{ "tx 6: a key that waits, and a sender, do not stall RTNL", tx6 },
	{ "tx 7: the fallback looks at keys that go", tx7 },
	{ "tx 7: keys that come faster than the last one goes", tx7_fast },
	{ "tx 8: a key that is refused leaves the old one", tx8_refused },
	{ "tx 8: a key that gets no memory leaves the old one", tx8_memory },
	{ "tx 9: the NIC gets the live record number", tx9 },
	{ "tx 10: a key that has to wait may be interrupted, or does not wait", tx10_wait },
	{ "tx 6: a key that has to wait does not stall RTNL", tx6_memory },
	{ "tx 6: a worker that has to wait does not stall RTNL", tx6_worker },
	{ "tx 10: a refusal lasts until the next key, with the feature off", tx10_feature },
	{ "tx 10: a refusal lasts until the next key, by the NIC", tx10_nic },
	{ "tx 10: a full table takes the next key", tx10_full },
	{ "tx 10: room in a full table, and another key, while it makes room", tx10_room },
	{ "tx 12: an idle sender gets the NIC back", tx12_idle },
	{ "tx 12: close while the key waits", tx12_close },
	{ "rx 1: records of the new key right behind the KeyUpdate", rx1_update },
	{ "rx 1: what was opened with the old key is undone", rx1_opened },
	{ "rx 2: the boundary counts what came out of order", rx2 },
	{ "rx 2: the boundary counts what waits in GRO", rx2_gro },
	{ "rx 2: the boundary counts what comes meanwhile", rx2_race },
	{ "rx 3: the new key waits until all of the old is read", rx3_drained },
	{ "rx 3: a key in the middle is skipped", rx3_middle },
	{ "rx 4: a wrong key ends it, and no wrong byte is read", rx4_wrong },
	{ "rx 4: a refusal costs nothing, with the feature off", rx4_feature },
	{ "rx 4: a refusal costs nothing, by the NIC", rx4_nic },
	{ "rx 4: no memory costs nothing", rx4_memory },
	{ "rx 4: a device that is gone costs nothing", rx4_down },
	{ "rx 4: keys race the device's going down, and its reset", rx4_race },
	{ "rx 5: nothing is read or readable before the key", rx5 },
};

int main(int argc, char **argv)
{
	const char *only = getenv("ONLY");

	setvbuf(stdout, NULL, _IOLBF, 0);
	frame_init();
	version = TLS_1_3_VERSION;
	window = getenv("WINDOW");
	if (argc > 1 && !strcmp(argv[1], "content")) {
		ref_fill(buf, CONTENT, SEED, 0);
		return fwrite(buf, 1, CONTENT, stdout) != CONTENT || fflush(stdout);
	}
	near_ns = open("/proc/self/ns/net", O_RDONLY);
	far_ns = open("/run/netns/far", O_RDONLY);
	if (argc < 2 || near_ns < 0 || far_ns < 0)
		return 2;
	if (argc > 2)
		seed = (uint64_t)atoll(argv[2]) * 1000;
	if (!strcmp(argv[1], "route")) {
		cipher = &ref_ciphers[0];
		run("tx 11: the key goes where the context is, not where the route leads", tx11, 60);
		return frame_end();
	}
	if (!strcmp(argv[1], "reset") || !strcmp(argv[1], "rmmod") || !strcmp(argv[1], "unplug")) {
		cipher = &ref_ciphers[1];
		if (argv[1][1] == 'e')
			run("tx 5, rx 4: the device is reset while keys wait", broken_reset, 60);
		else if (argv[1][0] == 'r')
			run("tx 5, rx 4: the driver is removed while keys wait", broken_driver, 60);
		else
			run("tx 5, rx 4: the device is unplugged while keys wait", broken_unplugged, 60);
		return frame_end();
	}
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		cipher = &ref_ciphers[i % 2];
		if (!only || strstr(tests[i].name, only))
			run(tests[i].name, tests[i].fn, 60);
	}
	return frame_end();
}
