// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The way of a port into a VM, seen from QEMU: what the ivshmem server sends
 * and in which order, that it waits for a slow client and for nobody else, and
 * that a client may vanish at any moment: the next one finds everything new.
 *
 * Clients and model take turns in one process: nothing here depends on time.
 */
#define _GNU_SOURCE 1

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl.h" /* has the model's port.h; the firmware has one, too */
#include "ivshmem.h"
#include "loop.h"

#define RAM		(16u << 20)
#define MAX_MESSAGES	(3 + 2 * IVSHMEM_MAX_VECTORS)
#define NO_FD		(-1)

static unsigned int tests, failed;

static void ok(bool good, const char *name)
{
	tests++;
	failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", tests, name);
}

/* The model's messages: log.c stays away */
bool verbose;
static char said[512];

void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(said, sizeof(said), fmt, args);
	va_end(args);
}

static char dir[] = "/tmp/ivshmem-XXXXXX";
static char sock_path[64], ram_path[64];

static unsigned int open_fds(void)
{
	DIR *fds = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(fds))
		n++;
	closedir(fds);
	return n;
}

static void rounds(void)
{
	for (int i = 0; i < 6; i++)
		loop_wait(0);
}

/*
 * QEMU
 */

struct vm {
	int sock;
	bool ended;
	unsigned int messages;
	int64_t value[MAX_MESSAGES + 8];
	int fd[MAX_MESSAGES + 8];
};

static void dial(struct vm *vm)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memset(vm, 0, sizeof(*vm));
	strcpy(addr.sun_path, sock_path);
	vm->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (vm->sock < 0 || connect(vm->sock, (struct sockaddr *)&addr, sizeof(addr))) {
		printf("# %s: %s\n", sock_path, strerror(errno));
		exit(1);
	}
}

/* One message, as QEMU reads it: eight bytes and at most one descriptor */
static bool hear_one(struct vm *vm)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	int64_t wire;
	struct iovec iov = { &wire, sizeof(wire) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(vm->sock, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *cmsg;
	int fd = NO_FD;

	if (!n || (n < 0 && errno != EAGAIN))
		vm->ended = true;
	if (n <= 0)
		return false;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS && cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	if (n != sizeof(wire) || msg.msg_flags & MSG_CTRUNC || (cmsg && fd == NO_FD) ||
	    vm->messages == ARRAY_SIZE(vm->value)) {
		printf("# message %u: %zd bytes\n", vm->messages, n);
		exit(1);
	}
	vm->value[vm->messages] = (int64_t)le64toh((uint64_t)wire);
	vm->fd[vm->messages++] = fd;
	return true;
}

/* Until nothing more comes */
static void hear_all(struct vm *vm)
{
	bool heard;

	do {
		rounds();
		for (heard = false; hear_one(vm); )
			heard = true;
	} while (heard);
}

static void drop_fds(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->messages; i++)
		if (vm->fd[i] >= 0)
			close(vm->fd[i]);
	vm->messages = 0;
}

static void hang_up(struct vm *vm)
{
	drop_fds(vm);
	close(vm->sock);
	rounds();
}

static bool greeted(const struct vm *vm, unsigned int vectors)
{
	if (vm->messages != 3 + 2 * vectors || vm->ended ||
	    vm->value[0] != 0 || vm->fd[0] != NO_FD ||	/* the protocol's version */
	    vm->value[1] != IVSHMEM_PEER_VM || vm->fd[1] != NO_FD ||
	    vm->value[2] != -1 || vm->fd[2] == NO_FD)
		return false;
	for (unsigned int i = 0; i < 2 * vectors; i++)
		if (vm->value[3 + i] != (i < vectors ? IVSHMEM_PEER_DEVICE : IVSHMEM_PEER_VM) ||
		    vm->fd[3 + i] == NO_FD)
			return false;
	return true;
}

static void ring(const struct vm *vm, unsigned int vector)
{
	uint64_t one = 1;

	if (write(vm->fd[3 + vector], &one, sizeof(one)) != sizeof(one))
		exit(1);
}

/* The interrupts of @vector since the last look */
static uint64_t interrupts(const struct vm *vm, unsigned int vectors, unsigned int vector)
{
	uint64_t n;

	return read(vm->fd[3 + vectors + vector], &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/*
 * A device that does nothing but count
 */

struct device {
	struct ivshmem iv;
	int memory;
	bool serve;		/* at once */
	bool refuse;		/* in doorbell() */
	int sndbuf;		/* of the connection; 0: as it is */
	unsigned int connected;
	unsigned int gone;
	int pid;
	unsigned int bells[IVSHMEM_MAX_VECTORS];
};

static void on_connected(void *device, int pid)
{
	struct device *d = device;

	d->connected++;
	d->pid = pid;
	if (d->sndbuf)
		setsockopt(d->iv.conn.fd, SOL_SOCKET, SO_SNDBUF, &d->sndbuf, sizeof(d->sndbuf));
	if (d->serve && ivshmem_serve(&d->iv, d->memory))
		ivshmem_hang_up(&d->iv);
}

static void on_doorbell(void *device, uint32_t vector)
{
	struct device *d = device;

	d->bells[vector]++;
	if (d->refuse)
		ivshmem_hang_up(&d->iv);
}

static void on_gone(void *device)
{
	struct device *d = device;

	d->gone++;
}

static const struct ivshmem_ops ops = {
	.connected = on_connected,
	.doorbell = on_doorbell,
	.gone = on_gone,
};

static struct device dev;

static void device_open(unsigned int vectors)
{
	memset(&dev, 0, sizeof(dev));
	dev.memory = memfd_create("bar2", MFD_CLOEXEC);
	dev.serve = true;
	if (dev.memory < 0 || ftruncate(dev.memory, SEALNIC_BAR2_SIZE) ||
	    ivshmem_open(&dev.iv, sock_path, vectors, &ops, &dev))
		exit(1);
}

/* Nothing of it is left */
static bool device_close(unsigned int fds)
{
	struct stat st;

	ivshmem_close(&dev.iv);
	close(dev.memory);
	return open_fds() == fds && stat(sock_path, &st) && errno == ENOENT;
}

/* Every doorbell rings its own vector, every interrupt comes out at its own */
static bool wired_up(const struct vm *vm, unsigned int vectors)
{
	unsigned int i, j;

	memset(dev.bells, 0, sizeof(dev.bells));
	for (i = 0; i < vectors; i++) {
		ring(vm, i);
		rounds();
		for (j = 0; j < vectors; j++)
			if (dev.bells[j] != (j <= i))
				return false;
		ivshmem_irq(&dev.iv, i);
		for (j = 0; j < vectors; j++)
			if (interrupts(vm, vectors, j) != (i == j))
				return false;
	}
	/* again: nobody has to read a counter for the next ring to be heard */
	ring(vm, vectors - 1);
	rounds();
	/* there are no such vectors */
	ivshmem_irq(&dev.iv, vectors);
	ivshmem_irq(&dev.iv, UINT32_MAX);
	for (j = 0; j < vectors; j++)
		if (interrupts(vm, vectors, j))
			return false;
	return dev.bells[vectors - 1] == 2;
}

static bool same_memory(const struct vm *vm)
{
	struct stat a, b;

	return !fstat(vm->fd[2], &a) && !fstat(dev.memory, &b) && a.st_ino == b.st_ino;
}

static bool greeting(void)
{
	static const unsigned int vectors[] = { 2, 3, 9, IVSHMEM_MAX_VECTORS };
	unsigned int fds = open_fds();
	bool good = true;
	struct vm vm;

	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		device_open(vectors[i]);
		good = good && !ivshmem_is_connected(&dev.iv);
		ivshmem_irq(&dev.iv, 0);
		dial(&vm);
		hear_all(&vm);
		good = good && greeted(&vm, vectors[i]) && same_memory(&vm) &&
		       wired_up(&vm, vectors[i]) && ivshmem_is_connected(&dev.iv) &&
		       dev.connected == 1 && dev.pid == getpid() && !dev.gone;
		hang_up(&vm);
		good = good && dev.gone == 1 && !ivshmem_is_connected(&dev.iv);
		good = device_close(fds) && good;
	}
	return good;
}

/* What the socket does not take at once comes later, nothing twice and nothing left out */
static bool slow_reader(void)
{
	unsigned int fds = open_fds(), at_once;
	struct vm vm;
	bool good;

	device_open(IVSHMEM_MAX_VECTORS);
	dev.sndbuf = 1;
	dial(&vm);
	rounds();
	at_once = dev.iv.sent;
	/* a doorbell of one whose number has come may ring before the rest is sent */
	while (vm.messages < 4 && hear_one(&vm))
		;
	ring(&vm, 0);
	rounds();
	good = at_once >= 4 && at_once < MAX_MESSAGES && dev.bells[0] == 1;
	/* one at a time, the model gets its turn after each */
	while (hear_one(&vm))
		rounds();
	hear_all(&vm);
	good = good && greeted(&vm, IVSHMEM_MAX_VECTORS) && wired_up(&vm, IVSHMEM_MAX_VECTORS);
	hang_up(&vm);
	good = good && dev.gone == 1;
	return device_close(fds) && good;
}

/* Served later, as when the RAM file is not there yet */
static bool late_device(void)
{
	unsigned int fds = open_fds();
	struct vm vm;
	bool good;

	device_open(3);
	dev.serve = false;
	dial(&vm);
	hear_all(&vm);
	good = !vm.messages && !vm.ended && dev.connected == 1;
	good = good && !ivshmem_serve(&dev.iv, dev.memory);
	hear_all(&vm);
	good = good && greeted(&vm, 3) && wired_up(&vm, 3);
	hang_up(&vm);

	/* this one does not wait for it */
	dial(&vm);
	hear_all(&vm);
	hang_up(&vm);
	good = good && dev.connected == 2 && dev.gone == 2 && !ivshmem_is_connected(&dev.iv);
	dev.serve = true;
	dial(&vm);
	hear_all(&vm);
	good = good && greeted(&vm, 3);
	hang_up(&vm);
	return device_close(fds) && good;
}

/* Gone after any number of messages; @sndbuf: with the rest of them sent already or not */
static bool vanish(int sndbuf)
{
	unsigned int fds = open_fds(), in_use;
	struct vm vm, next;
	bool good = true;

	device_open(IVSHMEM_MAX_VECTORS);
	in_use = open_fds();
	for (unsigned int n = 0; n <= MAX_MESSAGES && good; n++) {
		dev.connected = dev.gone = 0;
		dev.sndbuf = sndbuf;
		dial(&vm);
		for (int idle = 0; vm.messages < n && idle < 10; idle++) {
			rounds();
			while (vm.messages < n && hear_one(&vm))
				idle = 0;
		}
		good = vm.messages == n || (!n && !dev.connected);
		hang_up(&vm);
		/* told of once, whoever has seen it first */
		good = good && dev.connected == 1 && dev.gone <= 1 &&
		       !ivshmem_is_connected(&dev.iv) && open_fds() == in_use;
		if (n % 10)
			continue;
		dev.sndbuf = 0;
		dial(&next);
		hear_all(&next);
		good = good && greeted(&next, IVSHMEM_MAX_VECTORS) &&
		       wired_up(&next, IVSHMEM_MAX_VECTORS);
		hang_up(&next);
	}
	return device_close(fds) && good;
}

/* While one VM is there, others wait; what the first one held is of no use afterwards */
static bool second_client(void)
{
	unsigned int fds = open_fds();
	struct vm first, second, third;
	bool good;

	device_open(2);
	dial(&first);
	hear_all(&first);
	dial(&second);
	dial(&third);
	hear_all(&second);
	hear_all(&third);
	good = greeted(&first, 2) && !second.messages && !second.ended && !third.messages &&
	       dev.connected == 1 && wired_up(&first, 2);

	/* it keeps its eventfds, but not the connection */
	close(first.sock);
	hear_all(&second);
	hear_all(&third);
	good = good && dev.gone == 1 && dev.connected == 2 && greeted(&second, 2) &&
	       !third.messages && wired_up(&second, 2);
	memset(dev.bells, 0, sizeof(dev.bells));
	ring(&first, 0);
	ring(&first, 1);
	rounds();
	ivshmem_irq(&dev.iv, 0);
	good = good && !dev.bells[0] && !dev.bells[1] && !interrupts(&first, 2, 0) &&
	       interrupts(&second, 2, 0) == 1;
	drop_fds(&first);

	/* who gave up waiting is passed over */
	close(third.sock);
	hang_up(&second);
	rounds();
	good = good && !ivshmem_is_connected(&dev.iv) && dev.connected == 3;
	dial(&first);
	hear_all(&first);
	good = good && greeted(&first, 2);
	hang_up(&first);
	return device_close(fds) && good;
}

/* A client has nothing to say, so whatever it says is nothing */
static bool talking_client(void)
{
	static const char nonsense[5000];
	unsigned int fds = open_fds();
	struct vm vm;
	bool good = true;

	device_open(2);
	dial(&vm);
	/* more than a socket holds: it is read */
	for (int i = 0; i < 200; i++)
		for (int tries = 0; send(vm.sock, nonsense, sizeof(nonsense), MSG_NOSIGNAL) < 0; tries++) {
			if (errno != EAGAIN || tries == 100)
				return false;
			rounds();
		}
	hear_all(&vm);
	good = good && greeted(&vm, 2) && wired_up(&vm, 2);
	/* the end of it is seen behind all of that */
	send(vm.sock, nonsense, sizeof(nonsense), MSG_NOSIGNAL);
	hang_up(&vm);
	for (int i = 0; i < 1000 && !dev.gone; i++)
		rounds();
	good = good && dev.gone == 1 && !ivshmem_is_connected(&dev.iv);
	return device_close(fds) && good;
}

/* The device hangs up while the doorbells of one round of events are still handled */
static bool refused(void)
{
	unsigned int fds = open_fds(), bells = 0;
	struct vm vm, next;
	bool good;

	device_open(5);
	dial(&vm);
	hear_all(&vm);
	dial(&next);
	good = greeted(&vm, 5);
	dev.refuse = true;
	for (int i = 0; i < 5; i++)
		ring(&vm, (unsigned int)i);
	close(vm.sock);
	loop_wait(0);
	for (int i = 0; i < 5; i++)
		bells += dev.bells[i];
	/* the bell and the end of the connection, in whichever order they were seen */
	good = good && bells <= 1 && bells + dev.gone == 1 && !ivshmem_is_connected(&dev.iv);
	dev.refuse = false;
	hear_all(&next);
	good = good && greeted(&next, 5) && wired_up(&next, 5);
	ivshmem_hang_up(&dev.iv);
	hear_all(&next);
	good = good && next.ended;
	drop_fds(&vm);
	hang_up(&next);
	return device_close(fds) && good;
}

/* Enough of them for the connection, and then for @left of the eventfds */
static bool no_descriptors(unsigned int left)
{
	unsigned int fds = open_fds(), n = 0;
	struct rlimit limit, few;
	struct vm vm;
	int spare[64];
	bool good;

	device_open(9);
	dial(&vm);
	getrlimit(RLIMIT_NOFILE, &limit);
	few = limit;
	few.rlim_cur = ARRAY_SIZE(spare);
	setrlimit(RLIMIT_NOFILE, &few);
	while (n < ARRAY_SIZE(spare) && (spare[n] = dup(0)) >= 0)
		n++;
	for (unsigned int i = 0; i < 1 + left && n; i++)
		close(spare[--n]);
	rounds();
	good = dev.connected == 1 && !ivshmem_is_connected(&dev.iv);
	hear_all(&vm);
	good = good && vm.ended && !vm.messages;
	while (n)
		close(spare[--n]);
	setrlimit(RLIMIT_NOFILE, &limit);
	close(vm.sock);
	dial(&vm);
	hear_all(&vm);
	good = good && greeted(&vm, 9) && wired_up(&vm, 9);
	hang_up(&vm);
	return device_close(fds) && good;
}

static bool few_descriptors(void)
{
	for (unsigned int left = 0; left < 2 * 9; left++)
		if (!no_descriptors(left))
			return false;
	return true;
}

/* What the model had open before is somebody else's now */
static bool nothing_left(void)
{
	unsigned int fds = open_fds();
	int others[40];
	bool good = true;
	uint64_t n;
	struct vm vm;

	device_open(9);
	dial(&vm);
	hear_all(&vm);
	hang_up(&vm);
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = eventfd(0, EFD_NONBLOCK);
	for (unsigned int i = 0; i < 9; i++)
		ivshmem_irq(&dev.iv, i);
	ivshmem_hang_up(&dev.iv);
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		good = good && read(others[i], &n, sizeof(n)) < 0 && errno == EAGAIN;
		good = !close(others[i]) && good;
	}
	return device_close(fds) && good;
}

/*
 * The same with a port, which is a whole device
 */

static struct port port;

static uint64_t passed;	/* on the port's clock, since a VM came */

/* Some rounds of main.c's loop, @later than before: the port waits for its RAM file */
static void port_rounds(uint64_t later)
{
	passed += later;
	for (int i = 0; i < 6; i++) {
		port_run(&port, now_ns() + passed);
		loop_wait(0);
	}
}

static void make_ram(uint64_t size)
{
	int fd = open(ram_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)size))
		exit(1);
	close(fd);
}

static void dial_port(struct vm *vm)
{
	passed = 0;
	dial(vm);
}

static void hear_port(struct vm *vm)
{
	do {
		port_rounds(100 * NSEC_PER_MSEC);
	} while (hear_one(vm));
}

/* A device as the driver will find it, and nothing that QEMU could take from it again */
static bool new_device(const struct vm *vm)
{
	struct sealnic_init_seg *seg;
	struct stat st;
	bool good;

	if (!greeted(vm, 9) || fstat(vm->fd[2], &st) || st.st_size != SEALNIC_BAR2_SIZE ||
	    !ftruncate(vm->fd[2], 0))
		return false;
	seg = mmap(NULL, SEALNIC_BAR2_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vm->fd[2], 0);
	if (seg == MAP_FAILED)
		return false;
	good = !memcmp(seg->magic, SEALNIC_MAGIC, 8) && seg->max_qp == htole16(8) &&
	       seg->db_base == htole32(IVSHMEM_DB_BASE) && !seg->ping && !seg->pong;
	/* it lives, and the next one will not have seen this */
	seg->ping = htole32(0x5ea1);
	ring(vm, SEALNIC_VEC_CONTROL);
	port_rounds(0);
	good = good && seg->pong == htole32(0x5ea1);
	munmap(seg, SEALNIC_BAR2_SIZE);
	return good;
}

static bool port_vms(void)
{
	const struct port_config cfg = {
		.sock = sock_path, .ram = ram_path, .size = RAM, .machine = MACHINE_PC,
		.vectors = 9, .speed = 1000, .contexts = 4, .mac = { 2, 0, 0, 0, 0, 1 },
	};
	unsigned int fds = open_fds();
	struct vm vm, next;
	bool good;

	if (port_open(&port, 0, &cfg))
		return false;
	good = !port_had_vm();

	/* there is no RAM file yet, then one that is too short, then it is there */
	dial_port(&vm);
	hear_port(&vm);
	good = good && !vm.messages && !vm.ended && !port.fw;
	make_ram(RAM - 1);
	hear_port(&vm);
	good = good && !vm.messages && !vm.ended;
	make_ram(RAM);
	hear_port(&vm);
	good = good && new_device(&vm) && !port_had_vm();
	hang_up(&vm);
	good = good && !port.fw && port_had_vm();

	/* the next one, and one that waits for it */
	dial_port(&vm);
	hear_port(&vm);
	dial_port(&next);
	hear_port(&next);
	good = good && new_device(&vm) && !next.messages;
	hang_up(&vm);
	hear_port(&next);
	good = good && new_device(&next);
	hang_up(&next);

	/* gone before the RAM was there */
	unlink(ram_path);
	dial_port(&vm);
	hear_port(&vm);
	good = good && port.give_up && !port_had_vm();
	hang_up(&vm);
	port_rounds(60 * NSEC_PER_SEC);
	good = good && !port.give_up && port_had_vm() && !ivshmem_is_connected(&port.iv);

	/* it never comes: the VM is refused in the end, and told so */
	dial_port(&vm);
	hear_port(&vm);
	good = good && !vm.ended;
	said[0] = 0;
	port_rounds(11 * NSEC_PER_SEC);
	hear_port(&vm);
	good = good && vm.ended && !vm.messages && strstr(said, "no guest RAM: the VM is refused");
	close(vm.sock);

	/* what can never be RAM is refused at once */
	if (mkdir(ram_path, 0700))
		good = false;
	said[0] = 0;
	dial_port(&vm);
	hear_port(&vm);
	good = good && vm.ended && !vm.messages && strstr(said, "no guest RAM: the VM is refused");
	close(vm.sock);
	rmdir(ram_path);

	/* gone before the model has seen it at all */
	make_ram(RAM);
	dial_port(&vm);
	close(vm.sock);
	port_rounds(0);
	good = good && !port.fw && !ivshmem_is_connected(&port.iv) && port_had_vm();
	dial_port(&vm);
	hear_port(&vm);
	good = good && new_device(&vm);

	/* the model ends first */
	port_close(&port);
	hear_one(&vm);
	good = good && vm.ended;
	hang_up(&vm);
	unlink(ram_path);
	return good && open_fds() == fds;
}

int main(void)
{
	if (!mkdtemp(dir) || loop_open())
		return 1;
	snprintf(sock_path, sizeof(sock_path), "%s/port", dir);
	snprintf(ram_path, sizeof(ram_path), "%s/ram", dir);
	ok(greeting(), "the greeting, doorbells and interrupts");
	ok(slow_reader(), "a client that reads slowly");
	ok(late_device(), "a device that is served later");
	ok(vanish(0), "a client that vanishes after any message");
	ok(vanish(1), "the same, with the rest not sent yet");
	ok(second_client(), "the next client waits, and gets everything new");
	ok(talking_client(), "a client that talks");
	ok(refused(), "the device hangs up");
	ok(few_descriptors(), "too few descriptors");
	ok(nothing_left(), "nothing is touched of what was closed");
	ok(port_vms(), "a port and its VMs");
	loop_close();
	rmdir(dir);
	printf("1..%u\n", tests);
	return failed ? 1 : 0;
}
