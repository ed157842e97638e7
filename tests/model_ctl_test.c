// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The control socket, with clients of every kind: each line is answered once,
 * in order, whatever it says and however it comes in pieces; who is slow, silent
 * or gone harms nobody, and what it said before is not lost.
 *
 * Clients and model take turns in one process: nothing here depends on time.
 */
#define _GNU_SOURCE 1

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl.h"
#include "loop.h"
#include "wire.h"

#define PORTS		2
#define CLIENTS		16
#define MAX_LINE	256
#define RAM		(16u << 20)

static unsigned int tests, failed;

static void ok(bool good, const char *name)
{
	tests++;
	failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", tests, name);
}

/* The model's messages are not looked at here: log.c stays away */
bool verbose;

void say(const char *fmt, ...)
{
	(void)fmt;
}

static struct port ports[PORTS];
static char dir[] = "/tmp/ctl-XXXXXX";
static char ctl_path[64], ram_path[64], port_path[PORTS][64];

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* Some rounds of main.c's loop: more than anything here needs to settle */
static void model_runs(void)
{
	uint64_t now;

	for (int round = 0; round < 6; round++) {
		now = now_ns();
		for (int i = 0; i < PORTS; i++)
			port_run(&ports[i], now);
		wires_run(now);
		loop_wait(0);
	}
}

static void start(void)
{
	int fd;

	if (!mkdtemp(dir) || loop_open())
		exit(1);
	snprintf(ctl_path, sizeof(ctl_path), "%s/ctl", dir);
	snprintf(ram_path, sizeof(ram_path), "%s/ram", dir);
	fd = open(ram_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, RAM))
		exit(1);
	close(fd);
	wire_impair.seed = 1;
	for (unsigned int i = 0; i < PORTS; i++) {
		struct port_config cfg = {
			.sock = port_path[i], .ram = ram_path, .size = RAM, .vectors = 2,
			.speed = 1000, .contexts = 4, .mac = { 2, 0, 0, 0, 0, (uint8_t)i },
		};

		snprintf(port_path[i], sizeof(port_path[i]), "%s/port%u", dir, i);
		if (port_open(&ports[i], i, &cfg))
			exit(1);
	}
	if (wire_pair(&ports[0], &ports[1]) || ctl_open(ctl_path, ports, PORTS))
		exit(1);
}

static void end(void)
{
	ctl_close();
	for (int i = 0; i < PORTS; i++)
		port_close(&ports[i]);
	wires_close();
	loop_close();
	unlink(ram_path);
	rmdir(dir);
}

/*
 * A client, which waits for nothing
 */

static int dial(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		printf("# %s: %s\n", path, strerror(errno));
		exit(1);
	}
	return fd;
}

static int join(void)
{
	int fd = dial(ctl_path);

	model_runs();
	return fd;
}

static void leave(int fd)
{
	close(fd);
	model_runs();
}

/* Everything that was answered until now; the client's end is noted in @ended */
struct answer {
	size_t len;
	bool ended;
	char text[1 << 22];
};

static struct answer got, want;

static void hear(int fd, struct answer *a)
{
	ssize_t n;

	while ((n = read(fd, a->text + a->len, sizeof(a->text) - 1 - a->len)) > 0)
		a->len += (size_t)n;
	if (!n || errno == ECONNRESET)
		a->ended = true;
	a->text[a->len] = 0;
}

/* Until nothing more comes: the longest line here that has no answer yet takes 22 rounds */
static void listen_to(int fd, struct answer *a)
{
	size_t before;

	for (int idle = 0; idle < 5; idle++) {
		before = a->len;
		model_runs();
		hear(fd, a);
		if (a->len != before)
			idle = -1;
	}
}

static bool tell(int fd, const char *data, size_t len)
{
	return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* @len bytes in pieces of @piece, with the model at work in between; 0: at once */
static bool ask(int fd, const char *data, size_t len, size_t piece, struct answer *a)
{
	size_t n;

	a->len = 0;
	a->ended = false;
	for (; len; data += n, len -= n) {
		n = piece && piece < len ? piece : len;
		if (!tell(fd, data, n))
			return false;
		if (n < len) {
			model_runs();
			hear(fd, a);
		}
	}
	listen_to(fd, a);
	return true;
}

static bool says(int fd, const char *line, const char *answer)
{
	bool good = ask(fd, line, strlen(line), 0, &got) && !got.ended &&
		    !strcmp(got.text, answer);

	if (!good)
		printf("# %.60s: %.100s\n", line, got.text);
	return good;
}

/* The lines that end an answer */
static unsigned int answers(const struct answer *a)
{
	unsigned int n = 0;

	for (const char *p = a->text; *p; p = strchr(p, '\n') + 1) {
		n += !strncmp(p, "ok\n", 3) || !strncmp(p, "error: ", 7);
		if (!strchr(p, '\n'))
			return 0;
	}
	return n;
}

/*
 * What clients may say
 */

static bool bad_commands(void)
{
	static const struct {
		const char *line;
		const char *error;
	} bad[] = {
		{ "nonsense", "there is no such command; try help" },
		{ "VERSION", "there is no such command; try help" },
		{ "versio", "there is no such command; try help" },
		{ "version x", "usage: version" },
		{ "die x", "usage: die" },
		{ "stats 0 1", "usage: stats [PORT]" },
		{ "stats 2", "there is no such port" },
		{ "stats -1", "there is no such port" },
		{ "stats +0", "there is no such port" },
		{ "stats 0x", "there is no such port" },
		{ "stats x", "there is no such port" },
		{ "stats 18446744073709551616", "there is no such port" },
		{ "stats 4294967296", "there is no such port" },
		{ "link", "usage: link PORT up|down" },
		{ "link 0", "usage: link PORT up|down" },
		{ "link 0 sideways", "usage: link PORT up|down" },
		{ "link 0 up down", "usage: link PORT up|down" },
		{ "link 7 up", "there is no such port" },
		{ "stall 0 on", "no VM is attached to that port" },
		{ "stall 0", "usage: stall PORT on|off" },
		{ "fault 0", "no VM is attached to that port" },
		{ "fault", "usage: fault PORT" },
		{ "babble 1", "no VM is attached to that port" },
		{ "babble 2", "there is no such port" },
		{ "tls-lose 0", "no VM is attached to that port" },
		{ "tls-spoil 0", "usage: tls-spoil PORT RECORDS" },
		{ "tls-spoil 0 1", "no VM is attached to that port" },
		{ "tls-refuse 0", "usage: tls-refuse PORT CONTEXTS" },
		{ "clear", "nothing is looked for" },
		{ "clear off on", "usage: clear [FILE | off]" },
		{ "clear /no/such/file", "No such file or directory" },
		{ "clear /tmp", "not a regular file" },
		{ "clear /dev/null", "not a regular file" },
		{ "tls-refuse 0 1", "no VM is attached to that port" },
		{ "wire loss", "usage: wire [clear | loss=% reorder=% dup=% corrupt=% forge=% delay=US seed=N]" },
		{ "wire loss=1 clear", "usage: wire [clear | loss=% reorder=% dup=% corrupt=% forge=% delay=US seed=N]" },
		{ "wire loss=101", "a percentage is a number from 0 to 100" },
		{ "wire loss=-1", "a percentage is a number from 0 to 100" },
		{ "wire loss=", "a percentage is a number from 0 to 100" },
		{ "wire loss=nan", "a percentage is a number from 0 to 100" },
		{ "wire loss=1e999", "a percentage is a number from 0 to 100" },
		{ "wire loss=1%", "a percentage is a number from 0 to 100" },
		{ "wire delay=-1", "not a number, or too large" },
		{ "wire delay=10000001", "not a number, or too large" },
		{ "wire seed=18446744073709551616", "not a number, or too large" },
		{ "wire =1", "a wire has loss, reorder, dup, corrupt, forge, delay and seed" },
		{ "wire loss=5 dup=5 speed=1", "a wire has loss, reorder, dup, corrupt, forge, delay and seed" },
		{ "pcap", "usage: pcap start FILE | pcap stop" },
		{ "pcap start", "usage: pcap start FILE | pcap stop" },
		{ "pcap stop", "no recording is running" },
		{ "pcap start /", "cannot create the file: Is a directory" },
		{ "pcap start /dev/null", "the file exists and is not a recording" },
		{ "pcap start /nowhere/at/all", "cannot create the file: No such file or directory" },
		{ "help 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "too many words" },
		{ "nonsense 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
		  "there is no such command; try help" },
	};
	char line[300], error[300];
	int fd = join();
	bool good = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "%s\n", bad[i].line);
		snprintf(error, sizeof(error), "error: %s\n", bad[i].error);
		good = says(fd, line, error) && good;
	}
	/* none of it was obeyed by half */
	good = good && ask(fd, "wire\n", 5, 0, &got) &&
	       !strncmp(got.text, "loss=0 reorder=0 dup=0 corrupt=0 forge=0 delay=0 seed=1\n", 56);
	leave(fd);
	return good && !ports[0].cable_out;
}

static bool good_commands(void)
{
	int fd = join();
	bool good = ask(fd, "help\n", 5, 0, &got) && answers(&got) == 1 &&
		    strstr(got.text, "\ndie\nok\n") &&
		    ask(fd, "version\n", 8, 0, &got) && answers(&got) == 1 &&
		    !strncmp(got.text, "sealnic-model " MODEL_VERSION "\n", 15) &&
		    says(fd, "stats 1\n", "attached=0\nok\n") &&
		    says(fd, "stats\n", "port0.attached=0\nport1.attached=0\nok\n");

	good = good && says(fd, "link 0 down\n", "ok\n") && ports[0].cable_out &&
	       !ports[1].cable_out && says(fd, "link 0 up\n", "ok\n") && !ports[0].cable_out;
	good = good && says(fd, "wire loss=2.5 delay=0x10 seed=7\n", "ok\n") &&
	       ask(fd, "wire\n", 5, 0, &got) &&
	       !strncmp(got.text, "loss=2.5 reorder=0 dup=0 corrupt=0 forge=0 delay=16 seed=7\n", 59) &&
	       strstr(got.text, "\nlane=port0>port1 link=down frames=0 ") &&
	       strstr(got.text, "\nlane=port1>port0 link=down ") &&
	       says(fd, "wire clear seed\n",
		    "error: usage: wire [clear | loss=% reorder=% dup=% corrupt=% forge=% delay=US seed=N]\n") &&
	       says(fd, "wire clear\n", "ok\n") && !impair_any(&wire_impair) &&
	       wire_impair.seed == 7;
	leave(fd);
	return good;
}

/* A guest is at the other end of this socket: it must not destroy anybody's file */
static bool recordings(void)
{
	char line[300];
	bool good;
	int fd = join(), file;

	snprintf(line, sizeof(line), "pcap start %s\n", in_dir("new"));
	good = says(fd, line, "ok\n") && says(fd, line, "error: a recording is running\n") &&
	       says(fd, "pcap stop\n", "ok\n") && says(fd, line, "ok\n") &&
	       says(fd, "pcap stop\n", "ok\n");

	file = open(in_dir("old"), O_WRONLY | O_CREAT, 0600);
	good = good && write(file, "precious\n", 9) == 9 && !symlink("new", in_dir("link"));
	snprintf(line, sizeof(line), "pcap start %s\n", in_dir("old"));
	good = good && says(fd, line, "error: the file exists and is not a recording\n") &&
	       lseek(file, 0, SEEK_END) == 9;
	snprintf(line, sizeof(line), "pcap start %s\n", in_dir("link"));
	good = good && says(fd, line,
			    "error: cannot create the file: Too many levels of symbolic links\n");
	close(file);
	unlink(in_dir("new"));
	unlink(in_dir("old"));
	unlink(in_dir("link"));
	leave(fd);
	return good;
}

static bool ends_of_lines(void)
{
	int fd = join();
	bool good = says(fd, "stats 1\r\n", "attached=0\nok\n") &&
		    says(fd, " \t stats \t 1 \r\n", "attached=0\nok\n") &&
		    says(fd, "\n", "") && says(fd, "\r\n \n\t\n\n", "") &&
		    says(fd, "\n\nstats 1\n\n", "attached=0\nok\n");

	/* a NUL would hide what is behind it */
	good = good && ask(fd, "stats\0 1\n", 9, 0, &got) &&
	       !strcmp(got.text, "error: a line is text\n") &&
	       ask(fd, "\0\n\0\0\nstats 1\n", 13, 0, &got) &&
	       !strcmp(got.text, "error: a line is text\nerror: a line is text\nattached=0\nok\n");
	leave(fd);
	return good;
}

/*
 * A line of @len bytes and two short ones around it, in pieces of @piece: the long
 * one is obeyed or refused as a whole, and takes none of the others with it.
 */
static bool long_line(int fd, size_t len, size_t piece, bool text)
{
	static char lines[6000];
	size_t n = 0;

	memcpy(lines, "stats 1\n", 8);
	n = 8;
	memset(lines + n, text ? 'x' : ' ', len);
	if (!text)
		memcpy(lines + n, "stats 1", 7);
	n += len;
	memcpy(lines + n, "\nstats 0\n", 9);
	n += 9;
	snprintf(want.text, sizeof(want.text), "attached=0\nok\n%sattached=0\nok\n",
		 len > MAX_LINE ? "error: a line has at most 256 bytes\n" :
		 text ? "error: there is no such command; try help\n" : "attached=0\nok\n");
	if (!ask(fd, lines, n, piece, &got) || got.ended || strcmp(got.text, want.text)) {
		printf("# %zu bytes by %zu: %.100s\n", len, piece, got.text);
		return false;
	}
	return true;
}

static bool long_lines(void)
{
	static const size_t pieces[] = { 0, 1, 2, 7, 249, 250, 255, 256, 257, 258, 259, 300 };
	static const size_t lens[] = { 1000, 4000, 5555 };
	bool good = true;
	int fd = join();
	size_t len;

	for (unsigned int p = 0; p < ARRAY_SIZE(pieces) && good; p++) {
		for (len = 249; len < 265 && good; len++)
			good = long_line(fd, len, pieces[p], true) &&
			       long_line(fd, len, pieces[p], false);
		/* by 258, what the model reads at a time */
		for (len = 506; len < 526 && good; len++)
			good = long_line(fd, len, pieces[p], false);
		for (len = 765; len < 785 && good; len++)
			good = long_line(fd, len, pieces[p], false);
		for (unsigned int i = 0; i < ARRAY_SIZE(lens) && good; i++)
			good = long_line(fd, lens[i], pieces[p], true);
	}
	leave(fd);
	return good;
}

static bool partial_lines(void)
{
	static const char text[] = "link 0 down\nstats 1\nlink 0 up\n";
	bool good = true;
	int fd = join();

	for (size_t cut = 1; cut < strlen(text) && good; cut++)
		good = ask(fd, text, strlen(text), cut, &got) &&
		       !strcmp(got.text, "ok\nattached=0\nok\nok\n");
	good = good && says(fd, "sta", "") && says(fd, "ts", "") && says(fd, " 1", "") &&
	       says(fd, "\nst", "attached=0\nok\n") && says(fd, "ats 1\n", "attached=0\nok\n");
	/* not a line yet, and never will be */
	good = good && says(fd, "link 0 down", "");
	leave(fd);
	return good && !ports[0].cable_out;
}

/* xorshift64: the same in every run */
static uint32_t random_below(uint32_t n)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 32) % n;
}

/*
 * Any lines: as many answers as lines that say something, and the same ones
 * however they are cut.  "die" alone is obeyed, "pcap start" makes files.
 */
static bool any_lines(void)
{
	static const char *const words[] = {
		"help", "version", "stats", "wire", "pcap", "link", "stall", "fault", "babble",
		"tls-lose", "tls-spoil", "die 1", "stop", "0", "1", "2", "up", "down", "on", "off",
		"clear", "loss=5", "dup=x", "delay=3", "seed=1", "=", "\r", "\t", " ", "\x80\xff",
		"%s%n%d", "''", "-1", "18446744073709551616", "\x1b[2J",
	};
	static const char begin[] = "wire clear\nwire seed=1\n";
	static char script[20000];
	bool good = true;
	int fd = join();

	for (int round = 0; round < 60 && good; round++) {
		size_t len = strlen(begin);
		unsigned int lines = 2;

		memcpy(script, begin, len);
		for (int line = 0; line < 40; line++) {
			size_t from = len, n = random_below(20) ? random_below(6) : random_below(60);

			for (size_t i = 0; i < n; i++) {
				const char *word = words[random_below(ARRAY_SIZE(words))];

				len += (size_t)sprintf(script + len, "%s%s", i ? " " : "", word);
			}
			if (!random_below(10))
				script[len++] = 0;
			lines += memchr(script + from, 0, len - from) ||
				 strspn(script + from, " \t\r") < len - from;
			script[len++] = '\n';
			script[len] = '\n';
		}
		good = ask(fd, script, len, 0, &want) && answers(&want) == lines &&
		       ask(fd, script, len, 1 + random_below(300), &got) &&
		       got.len == want.len && !memcmp(got.text, want.text, got.len);
		if (!good)
			printf("# round %d: %u lines, %u answers, then %u\n", round, lines,
			       answers(&want), answers(&got));
	}
	good = good && says(fd, "wire clear\n", "ok\n") && says(fd, "link 0 up\n", "ok\n") &&
	       says(fd, "link 1 up\n", "ok\n");
	leave(fd);
	return good;
}

/*
 * How clients may behave
 */

static bool many_clients(void)
{
	int fd[CLIENTS], more;
	bool good = true;

	for (int i = 0; i < CLIENTS; i++)
		fd[i] = join();
	/* each in the middle of a line, that of the others in between */
	for (int i = 0; i < CLIENTS; i++)
		good = good && says(fd[i], i % 2 ? "stats" : "lin", "");
	for (int i = 0; i < CLIENTS; i++)
		good = good && says(fd[i], i % 2 ? " 1\n" : "k\n", i % 2 ? "attached=0\nok\n" :
				    "error: usage: link PORT up|down\n");

	/* one too many is told so */
	more = join();
	got.len = 0;
	got.ended = false;
	listen_to(more, &got);
	good = good && got.ended && !strcmp(got.text, "error: there are too many clients\n");
	close(more);

	/* whoever takes another's place begins anew: with no half of a line, long or short */
	good = good && says(fd[3], "sta", "") && says(fd[3], "ts ", "");
	leave(fd[3]);
	fd[3] = join();
	good = good && says(fd[3], "stats 1\n", "attached=0\nok\n");
	memset(want.text, 'x', 1000);
	good = good && ask(fd[5], want.text, 1000, 0, &got) && !got.len;
	leave(fd[5]);
	fd[5] = join();
	good = good && says(fd[5], "stats 1\n", "attached=0\nok\n");
	for (int i = 0; i < CLIENTS; i++)
		good = good && says(fd[i], "stats 0\n", "attached=0\nok\n");

	/* all go at once, and others come before the model has seen that */
	for (int i = 0; i < CLIENTS; i++)
		close(fd[i]);
	for (int i = 0; i < 3; i++)
		fd[i] = dial(ctl_path);
	model_runs();
	for (int i = 0; i < 3; i++) {
		good = good && says(fd[i], "stats 0\n", "attached=0\nok\n");
		leave(fd[i]);
	}
	return good;
}

/* What a client said is done, also if it does not wait for the answers */
static bool gone_clients(void)
{
	static char lines[4000];
	bool good = true;
	int fd;

	for (int n = 0; n < 100 && good; n++) {
		size_t len = 0;

		for (int i = 0; i < n; i++)
			len += (size_t)sprintf(lines + len, "%s\n", i % 3 ? "help" : "wire");
		len += (size_t)sprintf(lines + len, "link 1 %s\nlink 0 down", n % 2 ? "down" : "up");
		fd = dial(ctl_path);
		/* before the model has seen it at all, or in the middle */
		if (n % 3)
			model_runs();
		good = tell(fd, lines, len);
		if (n % 5 == 1)
			loop_wait(0);
		leave(fd);
		for (int i = 0; i < 20; i++)
			model_runs();
		good = good && ports[1].cable_out == n % 2 && !ports[0].cable_out;
	}
	ports[1].cable_out = false;
	if (!good)
		return false;
	/* nobody holds a place any more */
	return many_clients();
}

/* A client that only writes: @lines of them, until neither side takes any more */
static unsigned int babble(int fd, const char *line, unsigned int lines)
{
	unsigned int sent = 0;
	int idle = 0;

	while (sent < lines && idle < 5) {
		ssize_t n = send(fd, line, strlen(line), MSG_NOSIGNAL);

		if (n == (ssize_t)strlen(line)) {
			sent++;
			idle = 0;
			continue;
		}
		/* a Unix socket takes a few bytes as a whole or not at all */
		if (n >= 0 || errno != EAGAIN)
			return 0;
		idle++;
		model_runs();
	}
	return sent;
}

static bool deaf_client(void)
{
	int deaf = join(), other = join(), gone = join();
	unsigned int sent, heard;
	bool good;

	/* it is not read from any more, instead of piling up answers or being cut off */
	sent = babble(deaf, "help\n", 1000000);
	good = sent > 100 && sent < 1000000 && babble(gone, "help\n", 1000000) > 100;
	good = good && says(other, "stats 1\n", "attached=0\nok\n");
	got.len = 0;
	got.ended = false;
	listen_to(deaf, &got);
	heard = answers(&got);
	if (heard != sent)
		printf("# %u lines, %u answers\n", sent, heard);
	good = good && !got.ended && heard == sent && says(deaf, "stats 1\n", "attached=0\nok\n");
	leave(deaf);
	/* and this one never reads */
	leave(gone);
	good = good && says(other, "stats 1\n", "attached=0\nok\n");
	leave(other);
	return good && many_clients();
}

/* As of `printf ... | nc -N`: it has nothing more to say, but wants the answers */
static bool half_closed(void)
{
	unsigned int sent;
	int fd = join();
	bool good;

	sent = babble(fd, "help\n", 20000);
	good = sent && !shutdown(fd, SHUT_WR);
	got.len = 0;
	got.ended = false;
	listen_to(fd, &got);
	good = good && got.ended && answers(&got) == sent;
	leave(fd);
	return good;
}

/*
 * More answers to the lines of one read than the model has room for; and answers
 * that wait, one time or another, when there is no line left to read.
 */
static bool long_answers(void)
{
	static char lines[6 * 1000];
	int vm[PORTS], fd = join();
	bool good = true;

	for (int i = 0; i < PORTS; i++)
		vm[i] = dial(port_path[i]);
	model_runs();
	for (size_t len = 0; len < sizeof(lines); len += 6)
		memcpy(lines + len, "stats\n", 6);
	for (unsigned int count = 1; count <= 1000 && good; count += count < 100 ? 33 : count < 200 ? 4 : 400) {
		good = ports[0].fw && ports[1].fw && tell(fd, lines, 6 * count);
		for (int i = 0; i < 10; i++)
			model_runs();
		got.len = 0;
		got.ended = false;
		listen_to(fd, &got);
		good = good && !got.ended && answers(&got) == count;
		if (!good)
			printf("# %u lines, %u answers%s\n", count, answers(&got),
			       got.ended ? ", then hung up" : "");
	}
	leave(fd);
	for (int i = 0; i < PORTS; i++)
		leave(vm[i]);
	return good && !ports[0].fw && !ports[1].fw;
}

static bool attached(void)
{
	int fd = join(), vm = dial(port_path[0]);
	struct sealnic_init_seg *seg;
	bool good;

	model_runs();
	seg = ports[0].bar2;
	good = seg && ask(fd, "stats 0\n", 8, 0, &got) && answers(&got) == 1 &&
	       !strncmp(got.text, "attached=1\nenabled=0\nlink=0\ntx_packets=0\n", 41) &&
	       says(fd, "stall 0 on\n", "ok\n") &&
	       says(fd, "stall 0 maybe\n", "error: usage: stall PORT on|off\n") &&
	       says(fd, "stall 0 off\n", "ok\n") && says(fd, "babble 0\n", "ok\n") &&
	       says(fd, "tls-lose 0\n", "ok\n") && says(fd, "tls-spoil 0 4294967295\n", "ok\n") &&
	       says(fd, "tls-spoil 0 4294967296\n", "error: not a number of records\n") &&
	       says(fd, "tls-spoil 0 -1\n", "error: not a number of records\n") &&
	       says(fd, "tls-refuse 0 -1\n", "error: not a number of contexts\n") &&
	       says(fd, "tls-refuse 0 2\n", "ok\n") &&
	       says(fd, "tls-spoil 0 +1\n", "error: not a number of records\n") &&
	       says(fd, "tls-spoil 0 1x\n", "error: not a number of records\n") &&
	       says(fd, "fault 1\n", "error: no VM is attached to that port\n");
	if (good) {
		/* a driver starts it: only what runs can fail */
		seg->cmd_base = htole64(0x1000);
		seg->event_base = htole64(0x2000);
		seg->cmd_log2 = SEALNIC_MIN_CTL_LOG2;
		seg->event_log2 = SEALNIC_MIN_CTL_LOG2;
		seg->ctl = htole32(SEALNIC_CTL(SEALNIC_CTL_START, 1));
		fw_doorbell(ports[0].fw, SEALNIC_VEC_CONTROL);
		ports[0].run_at = 0;
		model_runs();
	}
	good = good && le32toh(seg->state) == SEALNIC_STATE_RUN && says(fd, "fault 0\n", "ok\n") &&
	       le32toh(seg->state) == SEALNIC_STATE_FAULT &&
	       le32toh(seg->syndrome) == SEALNIC_SYN_INJECTED;
	leave(vm);
	good = good && says(fd, "fault 0\n", "error: no VM is attached to that port\n");
	leave(fd);
	return good;
}

/* The path is freed by whoever serves it, and by nobody else */
static bool paths(void)
{
	struct stat st;
	int fd = join();
	bool good;

	good = !stat(ctl_path, &st) && S_ISSOCK(st.st_mode) && !(st.st_mode & 077);
	ctl_close();
	got.len = 0;
	got.ended = false;
	hear(fd, &got);
	close(fd);
	good = good && got.ended && stat(ctl_path, &st) && errno == ENOENT;
	ctl_close();
	good = good && ctl_open(ram_path, ports, PORTS);
	ctl_close();
	good = good && !stat(ram_path, &st) && ctl_open(port_path[0], ports, PORTS);
	ctl_close();
	good = good && !stat(port_path[0], &st) && !ctl_open(ctl_path, ports, PORTS);
	fd = join();
	good = good && says(fd, "stats 1\n", "attached=0\nok\n");
	leave(fd);
	return good;
}

int main(void)
{
	start();
	ok(bad_commands(), "a bad command changes nothing and is told what is wrong with it");
	ok(good_commands(), "good commands");
	ok(recordings(), "a recording overwrites nothing but a recording");
	ok(ends_of_lines(), "what ends a line, and what is none");
	ok(long_lines(), "a line that is too long is refused, and the next one obeyed");
	ok(partial_lines(), "lines in pieces");
	ok(any_lines(), "any lines, cut anywhere: an answer for each");
	ok(many_clients(), "as many clients as can be, and one more");
	ok(gone_clients(), "clients that do not wait for the answer");
	ok(deaf_client(), "a client that does not read");
	ok(half_closed(), "a client that has nothing more to say gets its answers");
	ok(long_answers(), "many long answers at once");
	ok(attached(), "commands for a port with a VM");
	ok(paths(), "the socket's path");
	end();
	printf("1..%u\n", tests);
	return failed ? 1 : 0;
}
