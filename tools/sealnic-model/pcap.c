// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Writes the recording: classic pcap with nanoseconds, link type Ethernet.
 * Owns the file and its buffer, which goes out when it is full, a second after
 * the last frame, and at the end.  A full disk ends the recording, not the model.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "model.h"
#include "pcap.h"

#define PCAP_MAGIC_NSEC		0xa1b23c4d
#define PCAP_MAGIC_USEC		0xa1b2c3d4
#define PCAP_SNAPLEN		65535
#define PCAP_ETHERNET		1
#define BUFFER_SIZE		(1u << 20)
#define FLUSH_AFTER		NSEC_PER_SEC

struct pcap_header {
	uint32_t magic;
	uint16_t major;
	uint16_t minor;
	int32_t zone;
	uint32_t sigfigs;
	uint32_t snaplen;
	uint32_t linktype;
};

struct pcap_record {
	uint32_t sec;
	uint32_t nsec;
	uint32_t caplen;
	uint32_t len;
};

bool pcap_on;

static int pcap_fd = -1;
static uint8_t *buffer;
static size_t buffered;
static uint64_t flush_at;
static char failure[128];	/* why the last recording ended early, or empty */

static void close_file(void)
{
	close(pcap_fd);
	pcap_fd = -1;
	pcap_on = false;
	free(buffer);
	buffer = NULL;
	buffered = 0;
}

static void flush(void)
{
	size_t done = 0;

	while (done < buffered) {
		ssize_t n = write(pcap_fd, buffer + done, buffered - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			snprintf(failure, sizeof(failure), "the recording ended early: %s",
				 n ? strerror(errno) : "nothing written");
			say("%s", failure);
			close_file();
			return;
		}
		done += (size_t)n;
	}
	buffered = 0;
	flush_at = NEVER;
}

static void append(const void *data, size_t len)
{
	if (!len)
		return;
	memcpy(buffer + buffered, data, len);
	buffered += len;
}

/*
 * Whoever talks to the control socket may be a guest: nothing is overwritten
 * but an earlier recording or an empty file.
 */
static bool may_overwrite(int fd)
{
	uint32_t magic;
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return false;
	if (!st.st_size)
		return true;
	return pread(fd, &magic, sizeof(magic), 0) == sizeof(magic) &&
	       (magic == PCAP_MAGIC_NSEC || magic == PCAP_MAGIC_USEC);
}

/**
 * pcap_start() - begin a recording
 * @path: of the file
 *
 * Return: what is wrong, or NULL.
 */
const char *pcap_start(const char *path)
{
	static const struct pcap_header header = {
		.magic = PCAP_MAGIC_NSEC,
		.major = 2,
		.minor = 4,
		.snaplen = PCAP_SNAPLEN,
		.linktype = PCAP_ETHERNET,
	};
	static char reason[128];
	int fd;

	if (pcap_on)
		return "a recording is running";
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0644);
	if (fd < 0) {
		snprintf(reason, sizeof(reason), "cannot create the file: %s", strerror(errno));
		return reason;
	}
	if (!may_overwrite(fd)) {
		close(fd);
		return "the file exists and is not a recording";
	}
	buffer = malloc(BUFFER_SIZE);
	if (!buffer || ftruncate(fd, 0)) {
		free(buffer);
		buffer = NULL;
		close(fd);
		return "cannot empty the file";
	}
	pcap_fd = fd;
	pcap_on = true;
	failure[0] = 0;
	append(&header, sizeof(header));
	flush();
	return pcap_on ? NULL : failure;
}

/**
 * pcap_stop() - end the recording
 *
 * Return: what is wrong, or was since it began; or NULL.
 */
const char *pcap_stop(void)
{
	if (pcap_on)
		flush();
	if (pcap_on)
		close_file();
	else if (!failure[0])
		return "no recording is running";
	return failure[0] ? failure : NULL;
}

/**
 * pcap_frame() - record a frame; pcap_on is true
 * @frame: the sender's again on return
 */
void pcap_frame(const struct fw_frame *frame)
{
	uint32_t len = frame->hdr_len + frame->data_len;
	uint32_t caplen = len < PCAP_SNAPLEN ? len : PCAP_SNAPLEN;
	uint32_t hdr = frame->hdr_len < caplen ? frame->hdr_len : caplen;
	struct pcap_record record;
	struct timespec ts;

	if (buffered + sizeof(record) + caplen > BUFFER_SIZE)
		flush();
	if (!pcap_on)
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	record = (struct pcap_record) {
		.sec = (uint32_t)ts.tv_sec,
		.nsec = (uint32_t)ts.tv_nsec,
		.caplen = caplen,
		.len = len,
	};
	append(&record, sizeof(record));
	append(frame->hdr, hdr);
	append(frame->data, caplen - hdr);
	if (flush_at == NEVER)
		flush_at = now_ns() + FLUSH_AFTER;
}

/**
 * pcap_run() - write out what has waited: somebody may be watching the file grow
 * @now: the time
 *
 * Return: when to be called again.
 */
uint64_t pcap_run(uint64_t now)
{
	if (!pcap_on)
		return NEVER;
	if (flush_at <= now)
		flush();
	return pcap_on ? flush_at : NEVER;
}
