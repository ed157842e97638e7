// SPDX-License-Identifier: GPL-2.0
/*
 * A user of TLS sockets in the kernel, for tests: does with a socket what storage and RPC over TLS
 * do with theirs, one call at a time, on behalf of a program. See ktls_kernel.h.
 */
#include <linux/bvec.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <net/handshake.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/tls.h>
#include <net/tls_prot.h>
#include "ktls_kernel.h"

MODULE_AUTHOR("sealnic developers");
MODULE_DESCRIPTION("calls of the kernel's socket interface, for tests");
MODULE_LICENSE("GPL");

/**
 * struct consumer - who takes a socket's callbacks over
 * @lock: its calls are one at a time
 * @sock: the socket; NULL if there is none
 * @sk: the same, and stays until the next one, or the end
 * @how: what the callback does
 * @data_ready: the callback that was there
 * @write_space: likewise
 * @calls: of the callback for data
 * @spaces: of the callback for room
 * @work: takes the data
 * @got: bytes in @buf, under the socket's lock
 * @err: what read_sock returned when it failed, under the socket's lock
 * @buf: data
 */
struct consumer {
	struct mutex lock;	/* calls of this consumer */
	struct socket *sock;
	struct sock *sk;
	u32 how;
	void (*data_ready)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	atomic_t calls, spaces;
	struct work_struct work;
	u32 got;
	int err;
	u8 *buf;
};

/* --- memory, and iterators over it --- */

#define MAX_VECS	(KTLS_KERNEL_MAX / 1000 + 2)
/* Bytes in front of what is used of a buffer: pages, and some */
#define SKIP		(PAGE_SIZE + 100)

/**
 * struct memory - bytes of a call
 * @kind: KTLS_KERNEL_KVEC...
 * @page: pages, if they are
 * @base: memory of another kind
 * @p: the bytes
 * @kvecs: pieces
 * @bvecs: pieces
 */
struct memory {
	u32 kind;
	struct page *page;
	void *base, *p;
	union {
		struct kvec kvecs[3];
		struct bio_vec bvecs[MAX_VECS];
	};
};

static struct memory *memory_get(u32 kind, u32 len)
{
	struct memory *m = kzalloc(sizeof(*m), GFP_KERNEL);

	if (!m)
		return NULL;
	m->kind = kind;
	switch (kind) {
	case KTLS_KERNEL_VMALLOC:
		m->base = vzalloc(len + SKIP);
		break;
	case KTLS_KERNEL_SLAB:
		m->base = kzalloc(len + SKIP, GFP_KERNEL);
		break;
	default:
		m->page = alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_ZERO, get_order(len + SKIP));
		if (m->page)
			m->base = page_address(m->page);
	}
	if (!m->base) {
		kfree(m);
		return NULL;
	}
	m->p = m->base + (kind == KTLS_KERNEL_SLAB ? 0 : SKIP);
	return m;
}

static void memory_put(struct memory *m)
{
	if (m->page)
		put_page(m->page);
	else
		kvfree(m->base);
	kfree(m);
}

static void memory_iter(struct memory *m, unsigned int direction, struct iov_iter *iter, u32 len)
{
	u32 n = 0, off = 0;

	switch (m->kind) {
	case KTLS_KERNEL_DISCARD:
		iov_iter_discard(iter, direction, len);
		return;
	case KTLS_KERNEL_KVECS:
		for (; n < 3; n++) {
			u32 take = n == 2 ? len - off : len / 3;

			m->kvecs[n] = (struct kvec){ m->p + off, take };
			off += take;
		}
		iov_iter_kvec(iter, direction, m->kvecs, n, len);
		return;
	case KTLS_KERNEL_BVEC:
		bvec_set_page(&m->bvecs[n++], m->page, len, SKIP);
		break;
	case KTLS_KERNEL_SLAB:
		bvec_set_virt(&m->bvecs[n++], m->p, len);
		break;
	case KTLS_KERNEL_BVECS:
		for (; off < len; off += m->bvecs[n - 1].bv_len)
			bvec_set_page(&m->bvecs[n++], m->page, min_t(u32, len - off, 1000),
				      SKIP + off);
		break;
	default:
		m->kvecs[0] = (struct kvec){ m->p, len };
		iov_iter_kvec(iter, direction, m->kvecs, 1, len);
		return;
	}
	iov_iter_bvec(iter, direction, m->bvecs, n, len);
}

/* --- read_sock --- */

struct actor {
	struct ktls_kernel_call *call;
	u8 *buf;
	u32 got;
};

static int actor_take(read_descriptor_t *desc, struct sk_buff *skb, unsigned int off, size_t len)
{
	struct actor *a = desc->arg.data;
	struct ktls_kernel_call *call = a->call;
	u32 left = call->len - a->got;

	if (call->calls < KTLS_KERNEL_LENS)
		call->lens[call->calls] = len;
	call->calls++;
	if (call->how != KTLS_KERNEL_GO_ON)
		left = min(left, call->limit - a->got);
	if (!left)
		return call->how == KTLS_KERNEL_ERROR ? -EREMOTEIO : 0;
	len = min_t(size_t, len, left);
	if (call->piece)
		len = min_t(size_t, len, call->piece);
	if (skb_copy_bits(skb, off, a->buf + a->got, len))
		return -EFAULT;
	a->got += len;
	if (call->how == KTLS_KERNEL_COUNT && a->got == call->limit)
		desc->count = 0;
	return len;
}

static int do_read_sock(struct socket *sock, struct ktls_kernel_call *call, u8 *buf)
{
	struct actor a = { .call = call, .buf = buf };
	read_descriptor_t desc = { .arg.data = &a, .count = 1 };
	int ret;

	lock_sock(sock->sk);
	ret = READ_ONCE(sock->ops)->read_sock(sock->sk, &desc, actor_take);
	release_sock(sock->sk);
	call->got = a.got;
	return ret;
}

/* --- recvmsg, sendmsg --- */

/* Without the users of TLS, the kernel is without these */
static u8 record_type(struct sock *sk, struct cmsghdr *cmsg)
{
	if (IS_ENABLED(CONFIG_NET_HANDSHAKE))
		return tls_get_record_type(sk, cmsg);
	if (cmsg->cmsg_level != SOL_TLS || cmsg->cmsg_type != TLS_GET_RECORD_TYPE)
		return 0;
	return *(u8 *)CMSG_DATA(cmsg);
}

static int do_recv(struct socket *sock, struct ktls_kernel_call *call, struct memory *m)
{
	union {
		struct cmsghdr cmsg;
		u8 buf[CMSG_SPACE(sizeof(u8))];
	} u = {};
	struct msghdr msg = {
		.msg_control = call->control ? &u : NULL,
		.msg_controllen = min_t(u32, call->control, sizeof(u)),
	};
	int ret;

	if (m->kind == KTLS_KERNEL_KVEC) {
		struct kvec kvec = { m->p, call->len };

		ret = kernel_recvmsg(sock, &msg, &kvec, 1, call->len, call->flags);
	} else {
		memory_iter(m, ITER_DEST, &msg.msg_iter, call->len);
		ret = sock_recvmsg(sock, &msg, call->flags);
	}
	call->msg_flags = msg.msg_flags;
	call->control_left = msg.msg_controllen;
	call->type = record_type(sock->sk, &u.cmsg);
	if (ret == 2 && call->type == TLS_RECORD_TYPE_ALERT) {
		/* It looks for the alert where the iterator is, so there has to be room left */
		if (IS_ENABLED(CONFIG_NET_HANDSHAKE) && iov_iter_is_kvec(&msg.msg_iter) &&
		    m->kind != KTLS_KERNEL_KVECS && call->len > 2)
			tls_alert_recv(sock->sk, &msg, &call->alert[0], &call->alert[1]);
		else
			memcpy(call->alert, m->p, 2);
	}
	return ret;
}

static int do_send(struct socket *sock, struct ktls_kernel_call *call, struct memory *m)
{
	union {
		struct cmsghdr cmsg;
		u8 buf[CMSG_SPACE(sizeof(u8))];
	} u = {};
	struct msghdr msg = { .msg_flags = call->flags };
	int ret;

	if (call->control) {
		msg.msg_control = &u;
		msg.msg_controllen = sizeof(u);
		u.cmsg.cmsg_level = SOL_TLS;
		u.cmsg.cmsg_type = TLS_SET_RECORD_TYPE;
		u.cmsg.cmsg_len = CMSG_LEN(sizeof(u8));
		*(u8 *)CMSG_DATA(&u.cmsg) = call->control;
	}
	if (call->op == KTLS_KERNEL_SEND && m->kind == KTLS_KERNEL_KVEC) {
		struct kvec kvec = { m->p, call->len };

		return kernel_sendmsg(sock, &msg, &kvec, 1, call->len);
	}
	memory_iter(m, ITER_SOURCE, &msg.msg_iter, call->len);
	if (call->op == KTLS_KERNEL_SEND)
		return sock_sendmsg(sock, &msg);
	lock_sock(sock->sk);
	ret = READ_ONCE(sock->ops)->sendmsg_locked(sock->sk, &msg, call->len);
	release_sock(sock->sk);
	return ret;
}

/* --- a consumer with callbacks of its own --- */

static int consumer_take(read_descriptor_t *desc, struct sk_buff *skb, unsigned int off, size_t len)
{
	struct consumer *c = desc->arg.data;

	len = min_t(size_t, len, KTLS_KERNEL_MAX - c->got);
	if (len && skb_copy_bits(skb, off, c->buf + c->got, len))
		return -EFAULT;
	c->got += len;
	return len;
}

static void consumer_work(struct work_struct *work)
{
	struct consumer *c = container_of(work, struct consumer, work);
	read_descriptor_t desc = { .arg.data = c, .count = 1 };
	int ret;

	lock_sock(c->sk);
	/* It stops in front of a record that is not data, and of that one nobody will tell again */
	do {
		ret = READ_ONCE(c->sock->ops)->read_sock(c->sk, &desc, consumer_take);
	} while (ret > 0 && c->got < KTLS_KERNEL_MAX);
	if (ret < 0 && ret != -EAGAIN)
		c->err = ret;
	release_sock(c->sk);
}

static void consumer_data_ready(struct sock *sk)
{
	struct consumer *c;

	read_lock_bh(&sk->sk_callback_lock);
	c = sk->sk_user_data;
	if (c) {
		atomic_inc(&c->calls);
		if (c->how & KTLS_KERNEL_CHAIN)
			c->data_ready(sk);
		if (!(c->how & KTLS_KERNEL_QUIET))
			queue_work(system_wq, &c->work);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

static void consumer_write_space(struct sock *sk)
{
	struct consumer *c;

	read_lock_bh(&sk->sk_callback_lock);
	c = sk->sk_user_data;
	if (c) {
		atomic_inc(&c->spaces);
		if (c->how & KTLS_KERNEL_CHAIN)
			c->write_space(sk);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

static int consumer_attach(struct consumer *c, struct socket *sock, u32 how)
{
	struct sock *sk = sock->sk;
	int err = 0;

	if (c->sock)
		return -EBUSY;
	if (c->sk)
		sock_put(c->sk);
	c->sk = sk;
	sock_hold(sk);
	c->how = how;
	c->got = 0;
	c->err = 0;
	atomic_set(&c->calls, 0);
	atomic_set(&c->spaces, 0);
	write_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_user_data) {
		err = -EBUSY;
	} else {
		get_file(sock->file);
		c->sock = sock;
		c->data_ready = sk->sk_data_ready;
		c->write_space = sk->sk_write_space;
		sk->sk_user_data = c;
		sk->sk_data_ready = consumer_data_ready;
		sk->sk_write_space = consumer_write_space;
	}
	write_unlock_bh(&sk->sk_callback_lock);
	/* What was there before */
	if (!err && !(how & KTLS_KERNEL_QUIET))
		queue_work(system_wq, &c->work);
	return err;
}

static int consumer_detach(struct consumer *c)
{
	struct sock *sk = c->sk;

	if (!c->sock)
		return -ENOTCONN;
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_user_data = NULL;
	sk->sk_data_ready = c->data_ready;
	sk->sk_write_space = c->write_space;
	write_unlock_bh(&sk->sk_callback_lock);
	cancel_work_sync(&c->work);
	fput(c->sock->file);
	c->sock = NULL;
	return 0;
}

static int consumer_state(struct consumer *c, struct ktls_kernel_call *call, u8 *buf)
{
	if (!c->sk)
		return -ENOTCONN;
	lock_sock(c->sk);
	call->got = min(c->got, call->len);
	memcpy(buf, c->buf, call->got);
	call->calls = atomic_read(&c->calls);
	call->spaces = atomic_read(&c->spaces);
	release_sock(c->sk);
	return c->err;
}

static int consumer_callbacks(struct consumer *c)
{
	void (*data_ready)(struct sock *sk), (*write_space)(struct sock *sk);

	if (!c->sk)
		return -ENOTCONN;
	read_lock_bh(&c->sk->sk_callback_lock);
	data_ready = c->sk->sk_data_ready;
	write_space = c->sk->sk_write_space;
	read_unlock_bh(&c->sk->sk_callback_lock);
	return (data_ready == consumer_data_ready) * KTLS_KERNEL_DATA_READY_OURS +
	       (data_ready == c->data_ready) * KTLS_KERNEL_DATA_READY_OLD +
	       (write_space == consumer_write_space) * KTLS_KERNEL_WRITE_SPACE_OURS +
	       (write_space == c->write_space) * KTLS_KERNEL_WRITE_SPACE_OLD;
}

/* --- the device --- */

static int do_socket_call(struct consumer *c, struct ktls_kernel_call *call, struct memory *m)
{
	struct socket *sock;
	int err, ret;

	sock = sockfd_lookup(call->fd, &err);
	if (!sock)
		return err;
	switch (call->op) {
	case KTLS_KERNEL_READ_SOCK:
		ret = do_read_sock(sock, call, m->p);
		break;
	case KTLS_KERNEL_RECV:
		ret = do_recv(sock, call, m);
		break;
	case KTLS_KERNEL_SEND:
	case KTLS_KERNEL_SEND_LOCKED:
		ret = do_send(sock, call, m);
		break;
	case KTLS_KERNEL_PEEK_LEN:
		ret = READ_ONCE(sock->ops)->peek_len(sock);
		break;
	case KTLS_KERNEL_POLL:
		ret = (__force int)READ_ONCE(sock->ops)->poll(sock->file, sock, NULL);
		break;
	case KTLS_KERNEL_TAKE:
		ret = consumer_attach(c, sock, call->how);
		break;
	default:
		ret = -EINVAL;
	}
	sockfd_put(sock);
	return ret;
}

static int do_call(struct consumer *c, struct ktls_kernel_call *call, struct memory *m)
{
	switch (call->op) {
	case KTLS_KERNEL_CONSUMED:
		return consumer_state(c, call, m->p);
	case KTLS_KERNEL_GIVE_BACK:
		return consumer_detach(c);
	case KTLS_KERNEL_CALLBACKS:
		return consumer_callbacks(c);
	default:
		return do_socket_call(c, call, m);
	}
}

static long ktls_kernel_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct ktls_kernel_call call, __user *user = (void __user *)arg;
	struct consumer *c = file->private_data;
	bool callers, sends;
	struct memory *m;
	long err = 0;
	u32 len;

	if (cmd != KTLS_KERNEL_CALL)
		return -ENOTTY;
	if (copy_from_user(&call, user, sizeof(call)))
		return -EFAULT;
	len = call.len;
	if (len > KTLS_KERNEL_MAX)
		return -EINVAL;
	sends = call.op == KTLS_KERNEL_SEND || call.op == KTLS_KERNEL_SEND_LOCKED;
	callers = sends || call.op == KTLS_KERNEL_RECV;
	m = memory_get(callers ? call.how : KTLS_KERNEL_KVEC, len);
	if (!m)
		return -ENOMEM;
	if (sends && copy_from_user(m->p, u64_to_user_ptr(call.buf), len)) {
		err = -EFAULT;
	} else if (call.op >= KTLS_KERNEL_TAKE) {
		mutex_lock(&c->lock);
		call.ret = do_call(c, &call, m);
		mutex_unlock(&c->lock);
	} else {
		call.ret = do_call(c, &call, m);
	}
	if (!err && !sends && call.buf && copy_to_user(u64_to_user_ptr(call.buf), m->p, len))
		err = -EFAULT;
	memory_put(m);
	if (!err && copy_to_user(user, &call, sizeof(call)))
		err = -EFAULT;
	return err;
}

static int ktls_kernel_open(struct inode *inode, struct file *file)
{
	struct consumer *c = kzalloc(sizeof(*c), GFP_KERNEL);

	if (!c)
		return -ENOMEM;
	c->buf = vzalloc(KTLS_KERNEL_MAX);
	if (!c->buf) {
		kfree(c);
		return -ENOMEM;
	}
	mutex_init(&c->lock);
	INIT_WORK(&c->work, consumer_work);
	file->private_data = c;
	return 0;
}

static int ktls_kernel_release(struct inode *inode, struct file *file)
{
	struct consumer *c = file->private_data;

	consumer_detach(c);
	if (c->sk)
		sock_put(c->sk);
	vfree(c->buf);
	kfree(c);
	return 0;
}

static const struct file_operations ktls_kernel_fops = {
	.owner = THIS_MODULE,
	.open = ktls_kernel_open,
	.release = ktls_kernel_release,
	.unlocked_ioctl = ktls_kernel_ioctl,
};

static struct miscdevice ktls_kernel_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ktls_kernel",
	.fops = &ktls_kernel_fops,
};

module_misc_device(ktls_kernel_device);
