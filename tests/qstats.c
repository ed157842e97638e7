// SPDX-License-Identifier: GPL-2.0
/*
 * qstats DEV: what the kernel's netdev family (qstats-get) counts of a network interface.  Prints a line for each counter:
 * of each queue, "rx 0 packets 17", and of the whole interface, "rx all packets 20".
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* From linux/netdev.h of Linux 6.12, which Debian 12 has no such header of */
#define NETDEV_CMD_QSTATS_GET		12
#define NETDEV_A_QSTATS_IFINDEX		1
#define NETDEV_A_QSTATS_QUEUE_TYPE	2
#define NETDEV_A_QSTATS_QUEUE_ID	3
#define NETDEV_A_QSTATS_SCOPE		4
#define NETDEV_QSTATS_SCOPE_QUEUE	1
#define NETDEV_QUEUE_TYPE_TX		1

static const struct {
	bool tx;
	const char *name;
} counters[] = {
	[8] = { false, "packets" },
	[9] = { false, "bytes" },
	[10] = { true, "packets" },
	[11] = { true, "bytes" },
	[12] = { false, "alloc_fail" },
	[16] = { false, "csum_unnecessary" },
	[17] = { false, "csum_none" },
	[18] = { false, "csum_bad" },
	[27] = { true, "needs_csum" },
	[28] = { true, "hw_gso_packets" },
	[33] = { true, "stop" },
	[34] = { true, "wake" },
};

#define COUNTERS	(sizeof(counters) / sizeof(counters[0]))

struct request {
	struct nlmsghdr nlh;
	struct genlmsghdr genl;
	char attrs[64];
};

static void die(const char *what)
{
	fprintf(stderr, "qstats: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void add(struct request *req, uint16_t type, const void *data, size_t len)
{
	struct nlattr *attr = (void *)((char *)req + req->nlh.nlmsg_len);

	attr->nla_type = type;
	attr->nla_len = (uint16_t)(NLA_HDRLEN + len);
	memcpy((char *)attr + NLA_HDRLEN, data, len);
	req->nlh.nlmsg_len += (uint32_t)NLA_ALIGN(attr->nla_len);
}

static void ask(int fd, struct request *req, uint16_t family, uint8_t cmd, uint16_t flags)
{
	req->nlh.nlmsg_type = family;
	req->nlh.nlmsg_flags = NLM_F_REQUEST | flags;
	req->genl.cmd = cmd;
	req->genl.version = 1;
	if (send(fd, req, req->nlh.nlmsg_len, 0) < 0)
		die("send");
}

/* The attributes of a message by their type, up to @max; those without a type here are left out */
static void parse(const struct nlmsghdr *nlh, const struct nlattr **attrs, size_t max)
{
	const char *p = (const char *)nlh + NLMSG_HDRLEN + GENL_HDRLEN, *end = (const char *)nlh + nlh->nlmsg_len;

	memset(attrs, 0, max * sizeof(attrs[0]));
	while (end - p >= NLA_HDRLEN) {
		const struct nlattr *attr = (const void *)p;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > end - p)
			break;
		if ((attr->nla_type & NLA_TYPE_MASK) < max)
			attrs[attr->nla_type & NLA_TYPE_MASK] = attr;
		p += NLA_ALIGN(attr->nla_len);
	}
}

/* Counters are of 32 bits where these are enough */
static uint64_t number(const struct nlattr *attr)
{
	size_t len = attr->nla_len - NLA_HDRLEN;
	uint64_t value = 0;

	memcpy(&value, (const char *)attr + NLA_HDRLEN, len < sizeof(value) ? len : sizeof(value));
	return value;
}

static void print(const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[COUNTERS];
	char queue[16] = "all";

	parse(nlh, attrs, COUNTERS);
	if (attrs[NETDEV_A_QSTATS_QUEUE_ID])
		snprintf(queue, sizeof(queue), "%u", (unsigned int)number(attrs[NETDEV_A_QSTATS_QUEUE_ID]));
	for (size_t i = 0; i < COUNTERS; i++) {
		if (!counters[i].name || !attrs[i])
			continue;
		/* A queue has counters of its own direction only */
		if (attrs[NETDEV_A_QSTATS_QUEUE_TYPE] &&
		    counters[i].tx != (number(attrs[NETDEV_A_QSTATS_QUEUE_TYPE]) == NETDEV_QUEUE_TYPE_TX)) {
			fprintf(stderr, "qstats: a counter of the other direction\n");
			exit(1);
		}
		printf("%s %s %s %llu\n", counters[i].tx ? "tx" : "rx", queue, counters[i].name,
		       (unsigned long long)number(attrs[i]));
	}
}

/* All that is answered, to the end of a dump or to the acknowledgment; the id of a family that was asked for */
static uint16_t answers(int fd)
{
	const struct nlattr *attrs[CTRL_ATTR_FAMILY_ID + 1];
	static char buf[65536];
	uint16_t family = 0;
	ssize_t len;

	for (;;) {
		len = recv(fd, buf, sizeof(buf), 0);
		if (len < 0)
			die("recv");
		for (struct nlmsghdr *nlh = (void *)buf; NLMSG_OK(nlh, len); nlh = NLMSG_NEXT(nlh, len)) {
			if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
				errno = -*(int *)NLMSG_DATA(nlh);
				if (errno)
					die("the kernel");
				return family;
			}
			if (nlh->nlmsg_type != GENL_ID_CTRL) {
				print(nlh);
				continue;
			}
			parse(nlh, attrs, CTRL_ATTR_FAMILY_ID + 1);
			if (attrs[CTRL_ATTR_FAMILY_ID])
				family = (uint16_t)number(attrs[CTRL_ATTR_FAMILY_ID]);
		}
	}
}

static struct request request(void)
{
	return (struct request){ .nlh.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN) };
}

int main(int argc, char **argv)
{
	uint64_t scope = NETDEV_QSTATS_SCOPE_QUEUE;
	struct request req = request();
	uint32_t ifindex;
	uint16_t family;
	int fd;

	if (argc != 2) {
		fputs("usage: qstats DEV\n", stderr);
		return 2;
	}
	ifindex = if_nametoindex(argv[1]);
	if (!ifindex)
		die(argv[1]);
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	if (fd < 0)
		die("NETLINK_GENERIC");

	add(&req, CTRL_ATTR_FAMILY_NAME, "netdev", sizeof("netdev"));
	ask(fd, &req, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	family = answers(fd);

	req = request();
	add(&req, NETDEV_A_QSTATS_IFINDEX, &ifindex, sizeof(ifindex));
	ask(fd, &req, family, NETDEV_CMD_QSTATS_GET, NLM_F_DUMP);
	answers(fd);

	req = request();
	add(&req, NETDEV_A_QSTATS_IFINDEX, &ifindex, sizeof(ifindex));
	add(&req, NETDEV_A_QSTATS_SCOPE, &scope, sizeof(scope));
	ask(fd, &req, family, NETDEV_CMD_QSTATS_GET, NLM_F_DUMP);
	answers(fd);
	return 0;
}
