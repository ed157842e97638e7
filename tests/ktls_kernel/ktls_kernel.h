/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a test asks the kernel to do with a socket: one ioctl for one call of the kernel's socket
 * interface.
 */
#ifndef _SEALNIC_KTLS_KERNEL_H
#define _SEALNIC_KTLS_KERNEL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KTLS_KERNEL_DEVICE	"/dev/ktls_kernel"
#define KTLS_KERNEL_MAX		(128 << 10)	/* bytes of a call */
#define KTLS_KERNEL_LENS	16

enum {
	/* Calls of the socket */
	KTLS_KERNEL_READ_SOCK,
	KTLS_KERNEL_RECV,
	KTLS_KERNEL_SEND,
	KTLS_KERNEL_SEND_LOCKED,
	KTLS_KERNEL_PEEK_LEN,
	KTLS_KERNEL_POLL,
	/*
	 * A consumer takes the socket's callbacks over, as storage and RPC over TLS do. One for
	 * each open file of the device.
	 */
	KTLS_KERNEL_TAKE,
	KTLS_KERNEL_CONSUMED,
	KTLS_KERNEL_GIVE_BACK,
	KTLS_KERNEL_CALLBACKS,
};

/* @how: where the bytes are */
enum {
	KTLS_KERNEL_KVEC,
	KTLS_KERNEL_KVECS,	/* cut in three */
	KTLS_KERNEL_VMALLOC,
	KTLS_KERNEL_BVEC,	/* of several pages, and its offset is more than one */
	KTLS_KERNEL_BVECS,	/* of less than a page, not aligned */
	KTLS_KERNEL_SLAB,	/* pages that nobody may take a reference to */
	KTLS_KERNEL_DISCARD,
};

/* @how: what read_sock's actor does when it has @limit bytes */
enum {
	KTLS_KERNEL_GO_ON,
	KTLS_KERNEL_COUNT,	/* says so in the descriptor */
	KTLS_KERNEL_ZERO,	/* takes nothing of what it is offered next */
	KTLS_KERNEL_ERROR,	/* returns -EREMOTEIO then */
};

/* @how: what a consumer's callback does */
enum {
	KTLS_KERNEL_CHAIN = 1,	/* calls the one that was there */
	KTLS_KERNEL_QUIET = 2,	/* only counts */
};

/* KTLS_KERNEL_CALLBACKS: whose they are */
enum {
	KTLS_KERNEL_DATA_READY_OURS = 1,
	KTLS_KERNEL_DATA_READY_OLD = 2,
	KTLS_KERNEL_WRITE_SPACE_OURS = 4,
	KTLS_KERNEL_WRITE_SPACE_OLD = 8,
};

/**
 * struct ktls_kernel_call - a call, and what came of it
 * @op: what
 * @fd: socket
 * @how: see above
 * @flags: MSG_*
 * @buf: the caller's memory
 * @len: its length
 * @piece: READ_SOCK: the actor takes at most that many bytes at once, if it is not 0
 * @limit: READ_SOCK: the actor takes at most that many bytes in all, if @how says so
 * @control: RECV: bytes of control buffer; SEND: the content type, if it is not 0
 * @ret: what the call returned; CONSUMED: what read_sock returned when it failed last
 * @msg_flags: RECV: MSG_*
 * @control_left: RECV: bytes left of @control
 * @type: RECV: content type, 0 if it was not told
 * @alert: RECV: level and description, if the record is an alert
 * @pad: nothing
 * @calls: READ_SOCK: of the actor; CONSUMED: of the callback for data
 * @spaces: CONSUMED: calls of the callback for room in the send buffer
 * @got: CONSUMED: bytes so far; they are in @buf
 * @lens: READ_SOCK: bytes offered to the actor in its first calls
 */
struct ktls_kernel_call {
	__u32 op;
	__s32 fd;
	__u32 how;
	__u32 flags;
	__u64 buf;
	__u32 len;
	__u32 piece;
	__u32 limit;
	__u32 control;
	__s32 ret;
	__u32 msg_flags;
	__u32 control_left;
	__u8 type;
	__u8 alert[2];
	__u8 pad;
	__u32 calls;
	__u32 spaces;
	__u32 got;
	__u32 lens[KTLS_KERNEL_LENS];
};

#define KTLS_KERNEL_CALL	_IOWR('k', 1, struct ktls_kernel_call)

#endif
