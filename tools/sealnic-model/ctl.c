// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The control socket.  Owns its clients: each sends a line, of at most 256
 * bytes, and is answered by lines of which the last is "ok" or "error: ...".
 * Who does not read the answers is not listened to meanwhile; nobody waits for
 * a client.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl.h"
#include "clear.h"
#include "pcap.h"
#include "usock.h"
#include "wire.h"

#define MAX_CLIENTS	16
#define MAX_LINE	256
#define MAX_WORDS	16
#define OUT_SIZE	65536
#define OUT_BUSY	(OUT_SIZE / 2) /* an answer finds at least as much room */

struct client {
	struct watch conn;
	size_t in_len;
	bool too_long;		/* the rest of an overlong line is ignored */
	size_t out_len;
	bool overflow;
	char in[MAX_LINE + 2];
	char out[OUT_SIZE];
};

struct command {
	const char *name;
	const char *usage;
	const char *(*run)(struct client *c, int argc, char **argv);
};

static struct watch ctl_listen = { .fd = -1 };
static const char *ctl_path;
static struct client *clients;
static struct port *ctl_ports;
static unsigned int ctl_port_count;

static void __attribute__((format(printf, 2, 3)))
reply(struct client *c, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(c->out + c->out_len, OUT_SIZE - c->out_len, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= OUT_SIZE - c->out_len)
		c->overflow = true;
	else
		c->out_len += (size_t)n;
}

/*
 * The commands: each returns NULL, or a sentence that says what is wrong
 */

static const char bad_usage[] = "";

static const char *get_port(const char *word, struct port **port)
{
	unsigned long n;
	char *end;

	n = strtoul(word, &end, 10);
	if (*word < '0' || *word > '9' || *end || n >= ctl_port_count)
		return "there is no such port";
	*port = &ctl_ports[n];
	return NULL;
}

static const char *get_attached(const char *word, struct port **port)
{
	const char *err = get_port(word, port);

	if (err)
		return err;
	return (*port)->fw ? NULL : "no VM is attached to that port";
}

static const char *get_switch(const char *word, const char *on, const char *off, bool *value)
{
	*value = !strcmp(word, on);
	return *value || !strcmp(word, off) ? NULL : bad_usage;
}

static const char *run_pcap(struct client *c, int argc, char **argv)
{
	(void)c;
	if (argc == 3 && !strcmp(argv[1], "start"))
		return pcap_start(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "stop"))
		return pcap_stop();
	return bad_usage;
}

static const char *run_clear(struct client *c, int argc, char **argv)
{
	struct clear_count n;

	if (argc > 2)
		return bad_usage;
	if (argc == 2 && strcmp(argv[1], "off"))
		return clear_start(argv[1]);
	if (argc == 2) {
		clear_stop();
		return NULL;
	}
	if (!clear_on)
		return "nothing is looked for";
	n = clear_read();
	reply(c, "frames=%" PRIu64 " bytes=%" PRIu64 " hits=%" PRIu64 "\n", n.frames, n.bytes, n.hits);
	return NULL;
}

static void print_wires(struct client *c)
{
	struct lane *lane;
	char buf[256];
	unsigned int i;

	impair_print(&wire_impair, buf, sizeof(buf));
	reply(c, "%s", buf);
	for (i = 0; (lane = wires_lane(i)); i++) {
		reply(c, "lane=%s link=%s", lane->name, lane->up ? "up" : "down");
#define PRINT_COUNTER(field) reply(c, " " #field "=%" PRIu64, lane->count.field);
		LANE_COUNTERS(PRINT_COUNTER)
#undef PRINT_COUNTER
		reply(c, " queued=%u\n", lane->late.frames + lane->delayed.frames +
		      lane->fifo.frames);
	}
}

static const char *run_wire(struct client *c, int argc, char **argv)
{
	struct impair im = wire_impair;
	bool reseed = false;
	const char *err;
	char *value;
	int i;

	if (argc == 1) {
		print_wires(c);
		return NULL;
	}
	if (argc == 2 && !strcmp(argv[1], "clear")) {
		im = (struct impair) { .seed = im.seed };
	} else {
		for (i = 1; i < argc; i++) {
			value = strchr(argv[i], '=');
			if (!value)
				return bad_usage;
			*value++ = 0;
			err = impair_set(&im, argv[i], value);
			if (err)
				return err;
			reseed |= !strcmp(argv[i], "seed");
		}
	}
	wire_impair = im;
	wires_impair_changed(reseed);
	return NULL;
}

static const struct {
	const char *name;
	size_t offset;
} stat_fields[] = {
#define STAT(field) { #field, offsetof(struct sealnic_stats, field) }
	STAT(tx_packets), STAT(tx_bytes), STAT(tx_tso_packets), STAT(rx_packets),
	STAT(rx_bytes), STAT(rx_filtered), STAT(rx_no_buffer), STAT(rx_too_long),
	STAT(rx_disabled), STAT(rx_csum_bad), STAT(tx_pause), STAT(irqs), STAT(doorbells),
	STAT(commands), STAT(err_addr), STAT(err_index), STAT(err_desc), STAT(err_command),
	STAT(tls_ctx), STAT(tls_tx_records), STAT(tls_tx_bytes), STAT(tls_tx_packets),
	STAT(tls_tx_sync), STAT(tls_tx_replay_bytes), STAT(tls_tx_unexpected),
	STAT(tls_tx_malformed), STAT(tls_tx_no_ctx), STAT(tls_rx_ctx), STAT(tls_rx_records),
	STAT(tls_rx_bytes), STAT(tls_rx_packets), STAT(tls_rx_skip), STAT(tls_rx_skip_bytes),
	STAT(tls_rx_auth_bad), STAT(tls_rx_gap), STAT(tls_rx_lost), STAT(tls_rx_found),
	STAT(tls_rx_resync_ask), STAT(tls_rx_resync_ok), STAT(tls_rx_resync_stale),
#undef STAT
};

static_assert(sizeof(stat_fields) / sizeof(stat_fields[0]) ==
	      sizeof(struct sealnic_stats) / sizeof(uint64_t), "a counter is missing");

static void print_stats(struct client *c, const struct port *port, const char *prefix)
{
	struct sealnic_stats stats;
	uint64_t value;
	size_t i;

	reply(c, "%sattached=%d\n", prefix, !!port->fw);
	if (!port->fw)
		return;
	reply(c, "%senabled=%d\n", prefix, fw_enabled(port->fw));
	reply(c, "%slink=%d\n", prefix, port->link);
	fw_get_stats(port->fw, &stats);
	for (i = 0; i < ARRAY_SIZE(stat_fields); i++) {
		memcpy(&value, (char *)&stats + stat_fields[i].offset, sizeof(value));
		reply(c, "%s%s=%" PRIu64 "\n", prefix, stat_fields[i].name, le64toh(value));
	}
}

static const char *run_stats(struct client *c, int argc, char **argv)
{
	struct port *port;
	const char *err;
	char prefix[16];
	unsigned int i;

	if (argc > 2)
		return bad_usage;
	if (argc == 2) {
		err = get_port(argv[1], &port);
		if (!err)
			print_stats(c, port, "");
		return err;
	}
	for (i = 0; i < ctl_port_count; i++) {
		snprintf(prefix, sizeof(prefix), "port%u.", i);
		print_stats(c, &ctl_ports[i], prefix);
	}
	return NULL;
}

static const char *run_link(struct client *c, int argc, char **argv)
{
	struct port *port;
	const char *err;
	bool up;

	(void)c;
	if (argc != 3)
		return bad_usage;
	err = get_port(argv[1], &port);
	if (!err)
		err = get_switch(argv[2], "up", "down", &up);
	if (!err)
		port->cable_out = !up;
	return err;
}

static const char *run_stall(struct client *c, int argc, char **argv)
{
	struct port *port;
	const char *err;
	bool on;

	(void)c;
	if (argc != 3)
		return bad_usage;
	err = get_attached(argv[1], &port);
	if (!err)
		err = get_switch(argv[2], "on", "off", &on);
	if (err)
		return err;
	fw_set_stall(port->fw, on);
	port->run_at = 0;
	return NULL;
}

static const char *run_fault(struct client *c, int argc, char **argv)
{
	struct port *port;
	const char *err;

	(void)c;
	if (argc != 2)
		return bad_usage;
	err = get_attached(argv[1], &port);
	if (err)
		return err;
	fw_fault(port->fw, SEALNIC_SYN_INJECTED);
	port->run_at = 0;
	return NULL;
}

static const char *run_babble(struct client *c, int argc, char **argv)
{
	struct port *port;
	const char *err;

	(void)c;
	if (argc != 2)
		return bad_usage;
	err = get_attached(argv[1], &port);
	if (err)
		return err;
	fw_babble(port->fw);
	port->run_at = 0;
	return NULL;
}

static const char *run_tls_lose(struct client *c, int argc, char **argv)
{
	struct port *port;
	const char *err;

	(void)c;
	if (argc != 2)
		return bad_usage;
	err = get_attached(argv[1], &port);
	if (!err)
		fw_tls_lose(port->fw);
	return err;
}

/* A number for the port's contexts */
static const char *set_tls(int argc, char **argv, void (*set)(struct fw *fw, uint32_t n),
			   const char *bad_number)
{
	struct port *port;
	const char *err;
	unsigned long n;
	char *end;

	if (argc != 3)
		return bad_usage;
	err = get_attached(argv[1], &port);
	if (err)
		return err;
	n = strtoul(argv[2], &end, 10);
	if (*argv[2] < '0' || *argv[2] > '9' || *end || n > UINT32_MAX)
		return bad_number;
	set(port->fw, (uint32_t)n);
	return NULL;
}

static const char *run_tls_spoil(struct client *c, int argc, char **argv)
{
	(void)c;
	return set_tls(argc, argv, fw_tls_spoil, "not a number of records");
}

static const char *run_tls_refuse(struct client *c, int argc, char **argv)
{
	(void)c;
	return set_tls(argc, argv, fw_tls_refuse, "not a number of contexts");
}

/* As if somebody had killed it: nothing is closed, removed or wiped */
static const char *run_die(struct client *c, int argc, char **argv)
{
	(void)c;
	(void)argv;
	if (argc != 1)
		return bad_usage;
	kill(getpid(), SIGKILL);
	return NULL;
}

static const char *run_version(struct client *c, int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		return bad_usage;
	reply(c, "sealnic-model %s\n", MODEL_VERSION);
	reply(c, "interface %d.%d\n", SEALNIC_IF_MAJOR, SEALNIC_IF_MINOR);
	reply(c, "firmware %d.%d.%d\n", FW_VERSION_MAJOR, FW_VERSION_MINOR, FW_VERSION_PATCH);
	reply(c, "crypto intel-ipsec-mb %s\n", gcm_implementation());
	return NULL;
}

/* In microseconds: who sleeps when there is nothing to do spends none */
static const char *run_cpu(struct client *c, int argc, char **argv)
{
	struct rusage ru;

	(void)argv;
	if (argc != 1)
		return bad_usage;
	if (getrusage(RUSAGE_SELF, &ru))
		return "the kernel does not say";
	reply(c, "%lld\n", (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000LL +
	      ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
	return NULL;
}

static const char *run_help(struct client *c, int argc, char **argv);

static const struct command commands[] = {
	{ "help", "help", run_help },
	{ "version", "version", run_version },
	{ "stats", "stats [PORT]", run_stats },
	{ "cpu", "cpu", run_cpu },
	{ "wire", "wire [clear | loss=% reorder=% dup=% corrupt=% forge=% delay=US seed=N]",
	  run_wire },
	{ "pcap", "pcap start FILE | pcap stop", run_pcap },
	{ "clear", "clear [FILE | off]", run_clear },
	{ "link", "link PORT up|down", run_link },
	{ "stall", "stall PORT on|off", run_stall },
	{ "fault", "fault PORT", run_fault },
	{ "babble", "babble PORT", run_babble },
	{ "tls-lose", "tls-lose PORT", run_tls_lose },
	{ "tls-spoil", "tls-spoil PORT RECORDS", run_tls_spoil },
	{ "tls-refuse", "tls-refuse PORT CONTEXTS", run_tls_refuse },
	{ "die", "die", run_die },
};

static const char *run_help(struct client *c, int argc, char **argv)
{
	size_t i;

	(void)argc;
	(void)argv;
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		reply(c, "%s\n", commands[i].usage);
	return NULL;
}

static void run_line(struct client *c, char *line)
{
	char *argv[MAX_WORDS], *save = NULL, *word;
	const char *err = "there is no such command; try help";
	int argc = 0;
	size_t i;

	for (word = strtok_r(line, " \t\r", &save); word; word = strtok_r(NULL, " \t\r", &save)) {
		if (argc == MAX_WORDS) {
			reply(c, "error: too many words\n");
			return;
		}
		argv[argc++] = word;
	}
	if (!argc)
		return;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[0], commands[i].name))
			continue;
		err = commands[i].run(c, argc, argv);
		if (err == bad_usage) {
			reply(c, "error: usage: %s\n", commands[i].usage);
			return;
		}
		break;
	}
	if (err)
		reply(c, "error: %s\n", err);
	else
		reply(c, "ok\n");
}

/*
 * Clients
 */

/* Obeys the complete lines of what was received, as long as answers are taken */
static void take_lines(struct client *c)
{
	size_t used = 0;
	char *end;

	while ((end = memchr(c->in + used, '\n', c->in_len - used))) {
		size_t len = (size_t)(end - c->in) - used;

		if (c->out_len > OUT_BUSY)
			break;
		*end = 0;
		if (c->too_long || len > MAX_LINE)
			reply(c, "error: a line has at most %d bytes\n", MAX_LINE);
		else if (memchr(c->in + used, 0, len))
			reply(c, "error: a line is text\n");
		else
			run_line(c, c->in + used);
		c->too_long = false;
		used += len + 1;
	}
	memmove(c->in, c->in + used, c->in_len - used);
	c->in_len -= used;
	if (c->in_len == sizeof(c->in)) {
		c->too_long = true;
		c->in_len = 0;
	}
}

/* What somebody who is gone will not read is forgotten: lines of his may be left */
static void flush(struct client *c)
{
	ssize_t n;

	while (c->out_len) {
		n = send(c->conn.fd, c->out, c->out_len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			n = (ssize_t)c->out_len;
		memmove(c->out, c->out + n, c->out_len - (size_t)n);
		c->out_len -= (size_t)n;
	}
}

/* Return: false if the client has to go */
static bool read_client(struct client *c)
{
	ssize_t n = read(c->conn.fd, c->in + c->in_len, sizeof(c->in) - c->in_len);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->in_len += (size_t)n;
	return n > 0;
}

/*
 * Reads only while no answers wait, so that what a client can pile up here has
 * a bound.  No complete line is left in c->in then, and it has room.
 */
static void client_event(struct watch *w, uint32_t events)
{
	struct client *c = container_of(w, struct client, conn);

	(void)events;
	if (!c->out_len && !read_client(c)) {
		loop_remove(w);
		return;
	}
	do {
		take_lines(c);
		flush(c);
	} while (!c->out_len && memchr(c->in, '\n', c->in_len));
	if (c->overflow)
		loop_remove(w);
	else
		loop_change(w, c->out_len ? EPOLLOUT : EPOLLIN);
}

static void listen_event(struct watch *w, uint32_t events)
{
	static const char full[] = "error: there are too many clients\n";
	int fd = usock_accept(w->fd);
	struct client *c;

	(void)events;
	if (fd < 0)
		return;
	for (c = clients; c < clients + MAX_CLIENTS; c++) {
		if (c->conn.fd >= 0)
			continue;
		c->conn.fd = fd;
		c->in_len = 0;
		c->out_len = 0;
		c->too_long = false;
		c->overflow = false;
		if (loop_add(&c->conn, EPOLLIN))
			loop_remove(&c->conn);
		return;
	}
	send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL);
	close(fd);
}

/**
 * ctl_open() - listen at the control socket
 * @path: of the socket; has to stay
 * @ports: that commands can name
 * @port_count: how many
 *
 * Return: 0, or -1 after it was reported.
 */
int ctl_open(const char *path, struct port *ports, unsigned int port_count)
{
	unsigned int i;

	clients = calloc(MAX_CLIENTS, sizeof(*clients));
	if (!clients)
		return -1;
	for (i = 0; i < MAX_CLIENTS; i++)
		clients[i].conn = (struct watch) { .fd = -1, .fn = client_event };
	ctl_ports = ports;
	ctl_port_count = port_count;
	ctl_path = path;
	ctl_listen.fn = listen_event;
	ctl_listen.fd = usock_bind(path, SOCK_STREAM);
	return ctl_listen.fd < 0 || loop_add(&ctl_listen, EPOLLIN) ? -1 : 0;
}

/** ctl_close() - hang up on all clients and remove the socket */
void ctl_close(void)
{
	unsigned int i;

	if (!clients)
		return;
	for (i = 0; i < MAX_CLIENTS; i++)
		loop_remove(&clients[i].conn);
	usock_close(ctl_listen.fd, ctl_path);
	ctl_listen.fd = -1;
	free(clients);
	clients = NULL;
}
