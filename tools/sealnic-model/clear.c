// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Looks for blocks of a file in all frames of all wires, and counts.  Owns the
 * file's copy and its index.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blocks.h"
#include "clear.h"
#include "lane.h"

#define MAX_FILE	(64u << 20)

bool clear_on;

static struct blocks blocks;
static uint8_t *content;
static struct clear_count count;
static uint8_t linear[LANE_MAX_FRAME];

static bool read_all(int fd, uint8_t *to, size_t len)
{
	while (len) {
		ssize_t n = read(fd, to, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		len -= (size_t)n;
	}
	return true;
}

/**
 * clear_start() - look for a file from now on, instead of what was looked for
 * @path: of the file, a regular one of at most 64 MiB; it may go afterwards
 *
 * Return: what is wrong, and all is as it was; or NULL.
 */
const char *clear_start(const char *path)
{
	struct blocks fresh = { 0 };
	const char *err = NULL;
	uint8_t *copy = NULL;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return strerror(errno);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		err = "not a regular file";
	else if (st.st_size > MAX_FILE)
		err = "the file is too large";
	else if (!(copy = malloc((size_t)st.st_size + 1)))
		err = "there is no memory";
	else if (!read_all(fd, copy, (size_t)st.st_size))
		err = "the file cannot be read";
	else if (!blocks_index(&fresh, copy, (size_t)st.st_size, BLOCK_SIZE))
		err = "there is no memory";
	else if (!fresh.count)	/* what can find nothing must not look like a clean wire */
		err = "the file has no blocks to look for";
	close(fd);
	if (err) {
		blocks_free(&fresh);
		free(copy);
		return err;
	}
	clear_stop();
	blocks = fresh;
	content = copy;
	count = (struct clear_count) { 0 };
	clear_on = true;
	return NULL;
}

/** clear_stop() - look for nothing any more */
void clear_stop(void)
{
	clear_on = false;
	blocks_free(&blocks);
	free(content);
	content = NULL;
}

/**
 * clear_frame() - look at a frame; clear_on is true
 * @frame: the sender's again on return, of at most LANE_MAX_FRAME bytes
 */
void clear_frame(const struct fw_frame *frame)
{
	uint32_t len = frame->hdr_len + frame->data_len;

	/* A block may be in both pieces */
	memcpy(linear, frame->hdr, frame->hdr_len);
	if (frame->data_len)
		memcpy(linear + frame->hdr_len, frame->data, frame->data_len);
	count.frames++;
	count.bytes += len;
	count.hits += blocks_search(&blocks, linear, len, NULL);
}

/**
 * clear_read() - what was found
 *
 * Return: the counts since the last time, which begin anew.
 */
struct clear_count clear_read(void)
{
	struct clear_count was = count;

	count = (struct clear_count) { 0 };
	return was;
}
