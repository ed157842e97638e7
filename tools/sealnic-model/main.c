// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * sealnic-model: the process that is the NIC.  Here are the command line, the
 * main loop and the end of the process; every other file is one of the things
 * that the loop runs: ports, wires, the recording and the control socket.
 */
#define _GNU_SOURCE 1

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl.h"
#include "loop.h"
#include "clear.h"
#include "pcap.h"
#include "port.h"
#include "wire.h"

#define EXIT_USAGE	2

#define DEFAULT_VECTORS		9
#define DEFAULT_SPEED		100000
#define DEFAULT_CONTEXTS	16384
#define MIN_RAM			(16ull << 20)
#define MAX_SPEED		0xffffff

static struct port ports[MAX_PORTS];
static struct port_config port_config[MAX_PORTS];
static unsigned int port_count;		/* on the command line */
static unsigned int ports_open;
static const char *wire_option[2 * MAX_PORTS];
static unsigned int wire_count;
static const char *ctl_option;
static uint32_t contexts = DEFAULT_CONTEXTS;
static uint64_t without;
static bool exit_with_vm;
static bool stop;

static const char help_text[] =
"Usage: sealnic-model --port ... [--port ...] [--wire ...] [OPTIONS]\n"
"\n"
"A NIC with inline TLS for QEMU VMs: every port is an ivshmem-doorbell device.\n"
"\n"
"  --port sock=PATH,ram=FILE,size=BYTES,machine=q35|pc[,vectors=N][,mac=MAC][,speed=MBPS]\n"
"        sock     where QEMU's -chardev socket,path=PATH connects\n"
"        ram      the guest's RAM: -object memory-backend-file,mem-path=FILE,share=on\n"
"        size     of the RAM, with K, M or G\n"
"        machine  QEMU's machine type\n"
"        vectors  of the device, one more than its queue pairs (9)\n"
"        mac      station address (made from the socket's path)\n"
"        speed    of the link in Mb/s (100000)\n"
"  --wire pair=A:B                      join two ports\n"
"  --wire port=N,stream=PATH            listen for -netdev stream,server=off,addr.type=unix\n"
"  --wire port=N,dgram=LOCAL:REMOTE     -netdev dgram with unix sockets\n"
"  --wire port=N,tap=NAME               a tap interface of this machine\n"
"  --wire port=N,null                   swallows everything\n"
"  --ctl PATH                           control socket; send it \"help\"\n"
"  --seed N                             of what goes wrong on the wires (1)\n"
"  --contexts N                         TLS contexts of a port (16384)\n"
"  --without BITS                       features (SEALNIC_F_ in hw.h) not to offer\n"
"  --exit-with-vm                       end when the last VM is gone\n"
"  --verbose                            tell who comes and goes\n"
"  --version\n"
"  --help\n"
"\n"
"QEMU: -device ivshmem-doorbell,chardev=ID,vectors=N\n";

static void __attribute__((noreturn, format(printf, 1, 2)))
usage(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("sealnic-model: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(EXIT_USAGE);
}

/*
 * Command line
 */

static uint64_t get_number(const char *what, const char *value, uint64_t min, uint64_t max)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(value, &end, 0);
	if (!isdigit((unsigned char)*value) || *end || errno || n < min || n > max)
		usage("%s has to be a number from %llu to %llu, not \"%s\"", what,
		      (unsigned long long)min, (unsigned long long)max, value);
	return n;
}

static uint64_t get_size(const char *value)
{
	unsigned int shift = 0;
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(value, &end, 0);
	switch (toupper((unsigned char)*end)) {
	case 'G':
		shift += 10;
		/* fall through */
	case 'M':
		shift += 10;
		/* fall through */
	case 'K':
		shift += 10;
		end++;
	}
	if (!isdigit((unsigned char)*value) || *end || errno || n > (1ull << 44 >> shift))
		usage("size has to be bytes, or a number with K, M or G, not \"%s\"", value);
	n <<= shift;
	if (n < MIN_RAM || n & 4095)
		usage("size has to be at least 16M and whole pages, not \"%s\"", value);
	return n;
}

static void get_mac(const char *value, uint8_t mac[6])
{
	unsigned int m[6], i;
	int end = 0;

	if (sscanf(value, "%2x:%2x:%2x:%2x:%2x:%2x%n",
		   &m[0], &m[1], &m[2], &m[3], &m[4], &m[5], &end) != 6 ||
	    end != (int)strlen(value) || end != 17)
		usage("mac has to look like 02:00:00:00:00:01, not \"%s\"", value);
	if (m[0] & 1 || !(m[0] | m[1] | m[2] | m[3] | m[4] | m[5]))
		usage("%s is not the address of a station", value);
	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)m[i];
}

/*
 * Locally administered; the same for the same command line, different for the
 * ports of a process and, by the path, for processes that share a network.
 */
static void make_mac(const char *path, unsigned int index, uint8_t mac[6])
{
	uint32_t hash = 2166136261u;

	for (; *path; path++)
		hash = (hash ^ (uint8_t)*path) * 16777619u;
	mac[0] = 0x02;
	mac[1] = 0x5e;
	mac[2] = 0xa1;
	mac[3] = (uint8_t)(hash >> 24);
	mac[4] = (uint8_t)(hash >> 16);
	mac[5] = (uint8_t)index;
}

/* Cuts the next "key=value" or "key" off *@rest */
static bool next_pair(char **rest, char **key, char **value)
{
	*key = strsep(rest, ",");
	if (!*key)
		return false;
	*value = strchr(*key, '=');
	if (*value)
		*(*value)++ = 0;
	return true;
}

static void port_option(const char *option)
{
	char *arg = strdup(option), *key, *value; /* kept: the paths point into it */
	struct port_config *cfg;
	bool have_mac = false, have_machine = false;

	if (port_count == MAX_PORTS)
		usage("there can be at most %d ports", MAX_PORTS);
	cfg = &port_config[port_count];
	*cfg = (struct port_config) { .vectors = DEFAULT_VECTORS, .speed = DEFAULT_SPEED };

	while (next_pair(&arg, &key, &value)) {
		if (!value || !*value)
			usage("--port needs a value for \"%s\"", key);
		if (!strcmp(key, "sock")) {
			cfg->sock = value;
		} else if (!strcmp(key, "ram")) {
			cfg->ram = value;
		} else if (!strcmp(key, "size")) {
			cfg->size = get_size(value);
		} else if (!strcmp(key, "machine")) {
			if (strcmp(value, "q35") && strcmp(value, "pc"))
				usage("machine has to be q35 or pc, not \"%s\"", value);
			cfg->machine = strcmp(value, "pc") ? MACHINE_Q35 : MACHINE_PC;
			have_machine = true;
		} else if (!strcmp(key, "vectors")) {
			cfg->vectors = (uint32_t)get_number("vectors", value, IVSHMEM_MIN_VECTORS,
							    IVSHMEM_MAX_VECTORS);
		} else if (!strcmp(key, "mac")) {
			get_mac(value, cfg->mac);
			have_mac = true;
		} else if (!strcmp(key, "speed")) {
			cfg->speed = (uint32_t)get_number("speed", value, 1, MAX_SPEED);
		} else {
			usage("--port does not know \"%s\"", key);
		}
	}
	if (!cfg->sock || !cfg->ram || !cfg->size || !have_machine)
		usage("--port needs %s", !cfg->sock ? "sock=PATH" : !cfg->ram ? "ram=FILE" :
		      !cfg->size ? "size=BYTES" : "machine=q35 or machine=pc");
	if (!have_mac)
		make_mac(cfg->sock, port_count, cfg->mac);
	port_count++;
}

static struct port *get_port(const char *value)
{
	if (!port_count)
		usage("--wire needs a --port");
	return &ports[get_number("the port of a --wire", value, 0, port_count - 1)];
}

static const char *open_pair(char *value)
{
	struct port *a, *b;
	char *second;

	second = strchr(value, ':');
	if (!second)
		usage("--wire pair= takes two ports, as in 0:1");
	*second++ = 0;
	a = get_port(value);
	b = get_port(second);
	return wire_pair(a, b);
}

static struct far *open_far(const char *kind, char *value)
{
	char *remote;

	if (!strcmp(kind, "null") && !value)
		return null_open();
	if (!value || !*value)
		usage("--wire needs a value for \"%s\"", kind);
	if (!strcmp(kind, "stream"))
		return stream_open(value);
	if (!strcmp(kind, "tap"))
		return tap_open(value);
	if (strcmp(kind, "dgram"))
		usage("--wire does not know \"%s\"", kind);
	remote = strchr(value, ':');
	if (!remote || !remote[1] || remote == value)
		usage("--wire dgram= takes two paths, as in LOCAL:REMOTE");
	*remote++ = 0;
	return dgram_open(value, remote);
}

/* The ports exist by now. Return: 0, or -1 after it was reported */
static int open_wire(const char *option)
{
	char *copy = strdup(option), *rest = copy, *key, *value = NULL;
	struct port *port = NULL;
	const char *err;
	struct far *far;

	if (!copy)
		return -1;
	if (next_pair(&rest, &key, &value) && !strcmp(key, "pair") && value && !rest) {
		err = open_pair(value);
		goto done;
	}
	if (key && !strcmp(key, "port") && value) {
		port = get_port(value);
		if (!next_pair(&rest, &key, &value) || rest)
			port = NULL;
	}
	if (!port)
		usage("--wire takes pair=A:B, or port=N and one of stream, dgram, tap, null; not \"%s\"",
		      option);
	if (port->out)
		usage("--wire %s: the port has a wire already", option);
	far = open_far(key, value);
	if (!far) {
		free(copy);
		return -1;
	}
	err = wire_far(port, key, far);
	if (err)
		far->ops->close(far);
done:
	free(copy);
	if (err)
		usage("--wire %s: %s", option, err);
	return 0;
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "wire", required_argument, NULL, 'w' },
		{ "ctl", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' },
		{ "contexts", required_argument, NULL, 'n' },
		{ "without", required_argument, NULL, 'o' },
		{ "exit-with-vm", no_argument, NULL, 'x' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	unsigned int i;
	int opt;

	opterr = 0;
	wire_impair.seed = 1;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (opt) {
		case 'p':
			port_option(optarg);
			break;
		case 'w':
			if (wire_count == ARRAY_SIZE(wire_option))
				usage("there are too many wires");
			wire_option[wire_count++] = optarg;
			break;
		case 'c':
			ctl_option = optarg;
			break;
		case 's':
			wire_impair.seed = get_number("--seed", optarg, 0, UINT64_MAX);
			break;
		case 'n':
			contexts = (uint32_t)get_number("--contexts", optarg, 1,
							SEALNIC_MAX_TLS_CTX);
			break;
		case 'o':
			without = get_number("--without", optarg, 0, UINT64_MAX);
			break;
		case 'x':
			exit_with_vm = true;
			break;
		case 'v':
			verbose = true;
			break;
		case 'V':
			printf("sealnic-model %s\n", MODEL_VERSION);
			exit(0);
		case 'h':
			fputs(help_text, stdout);
			exit(0);
		case ':':
			usage("%s needs a value", argv[optind - 1]);
		default:
			usage("there is no option %s; try --help", argv[optind - 1]);
		}
	}
	if (optind < argc)
		usage("\"%s\" is not an option; try --help", argv[optind]);
	if (!port_count)
		usage("at least one --port is needed; try --help");
	for (i = 0; i < port_count; i++) {
		port_config[i].contexts = contexts;
		port_config[i].without = without;
	}
}

/*
 * From start to end
 */

static void stop_event(struct watch *w, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	if (read(w->fd, &info, sizeof(info)) > 0)
		stop = true;
}

/* The only way to get here is a RAM file that somebody has cut short */
static void bus_error(int sig)
{
	static const char text[] = "sealnic-model: a guest's RAM file was truncated\n";

	(void)sig;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(3);
	_exit(3);
}

static int open_signals(struct watch *w)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGBUS, bus_error);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	w->fn = stop_event;
	w->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return w->fd < 0 ? -1 : loop_add(w, EPOLLIN);
}

/* Ports of many vectors need many descriptors */
static void raise_limits(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int open_all(void)
{
	unsigned int i;

	for (; ports_open < port_count; ports_open++)
		if (port_open(&ports[ports_open], ports_open, &port_config[ports_open]))
			return -1;
	for (i = 0; i < wire_count; i++)
		if (open_wire(wire_option[i]))
			return -1;
	return ctl_option ? ctl_open(ctl_option, ports, port_count) : 0;
}

static void close_all(void)
{
	static bool closed;

	if (closed)
		return;
	closed = true;
	ctl_close();
	if (pcap_on)
		pcap_stop();
	clear_stop();
	while (ports_open)
		port_close(&ports[--ports_open]);
	wires_close();
	loop_close();
}

static void run(void)
{
	uint64_t now, next;
	unsigned int i;

	while (!stop && !(exit_with_vm && port_had_vm())) {
		now = now_ns();
		for (i = 0; i < port_count; i++)
			port_run(&ports[i], now);
		next = wires_run(now);
		/* After the wires, as they give the ports work */
		for (i = 0; i < port_count; i++)
			next = min_u64(next, ports[i].run_at);
		next = min_u64(next, pcap_run(now));
		loop_wait(next);
	}
}

int main(int argc, char **argv)
{
	struct watch signals;

	parse_options(argc, argv);
	raise_limits();
	if (loop_open() || open_signals(&signals)) {
		say("cannot start: %s", strerror(errno));
		return 1;
	}
	/* A wrong --wire is found when the sockets of the ports are there already */
	atexit(close_all);
	if (open_all())
		return 1;
	run();
	close_all();
	loop_remove(&signals);
	return 0;
}
