// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU TCG plugin: counts the guest's instructions between two markers, by
 * virtual CPU.  A marker is a long NOP that the guest executes; see
 * tests/tcp_tool.c.  Each pair of markers adds a line to the output file:
 * "CPU-of-the-marker CPU0 CPU1 ...", instructions executed in between.
 *
 * With pc=N it also counts by code address, for profiles: the N most costly
 * blocks of the marker's CPU follow as lines "pc ADDRESS INSTRUCTIONS".
 *
 * QEMU's header is not packaged, so the few functions used are declared here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1 /* of QEMU up to 8.1; later ones want 2 */
#endif

#define EXPORT __attribute__((visibility("default")))
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*vcpu_cb)(unsigned int vcpu, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*cb)(qemu_plugin_id_t id,
						      struct qemu_plugin_tb *tb));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
/*
 * Takes one argument and returns a pointer up to QEMU 9.0; takes three, copies
 * and returns a length from then on.
 */
uintptr_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *dst, size_t len);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, vcpu_cb cb, int flags,
					  void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, vcpu_cb cb,
					    int flags, void *data);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

#define MAX_CPUS	16
#define MARKER_LEN	7
static const uint8_t marker[2][MARKER_LEN] = {
	{ 0x0f, 0x1f, 0x80, 'S', 'E', 'A', 'L' }, /* begin */
	{ 0x0f, 0x1f, 0x80, 'S', 'E', 'A', 'M' }, /* end */
};

/* A CPU counts only for itself: no atomics needed */
static struct {
	uint64_t count;
	char pad[56];
} cpu[MAX_CPUS];
static uint64_t begin[MAX_CPUS];
static unsigned int marked = MAX_CPUS; /* whose blocks are counted */
static FILE *out;
static unsigned int top;

/* A translated block; never freed, since QEMU may run it at any time */
struct block {
	uint64_t pc;
	uint64_t insns;
	uint64_t count;
	struct block *next;
};
static struct block *blocks;

static void run_block(unsigned int vcpu, void *data)
{
	struct block *b = data;

	cpu[vcpu % MAX_CPUS].count += b->insns;
	if (top && vcpu == marked)
		b->count += b->insns;
}

static int by_count(const void *a, const void *b)
{
	const struct block *x = *(struct block *const *)a, *y = *(struct block *const *)b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

static void print_top(void)
{
	struct block *first = __atomic_load_n(&blocks, __ATOMIC_ACQUIRE), *b, **v;
	size_t n = 0, i;

	for (b = first; b; b = b->next)
		n++;
	v = malloc(n * sizeof(*v));
	if (!v)
		return;
	for (b = first, i = 0; i < n; b = b->next)
		v[i++] = b;
	qsort(v, n, sizeof(*v), by_count);
	for (i = 0; i < n && i < top && v[i]->count; i++)
		fprintf(out, "pc %016" PRIx64 " %" PRIu64 "\n", v[i]->pc, v[i]->count);
	free(v);
}

static void run_begin(unsigned int vcpu, void *data)
{
	struct block *b;

	(void)data;
	for (unsigned int i = 0; i < MAX_CPUS; i++)
		begin[i] = cpu[i].count;
	for (b = __atomic_load_n(&blocks, __ATOMIC_ACQUIRE); top && b; b = b->next)
		b->count = 0;
	marked = vcpu;
}

static void run_end(unsigned int vcpu, void *data)
{
	(void)data;
	marked = MAX_CPUS;
	fprintf(out, "%u", vcpu);
	for (unsigned int i = 0; i < MAX_CPUS && (cpu[i].count || !i); i++)
		fprintf(out, " %" PRIu64, cpu[i].count - begin[i]);
	fputc('\n', out);
	if (top)
		print_top();
	fflush(out);
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb);
	struct block *b = calloc(1, sizeof(*b));

	(void)id;
	if (!b)
		abort();
	b->pc = qemu_plugin_tb_vaddr(tb);
	b->insns = n;
	b->next = __atomic_load_n(&blocks, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&blocks, &b->next, b, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, run_block, 0, b);
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint8_t bytes[MARKER_LEN] = { 0 };
		uintptr_t r;

		if (qemu_plugin_insn_size(insn) != MARKER_LEN)
			continue;
		r = qemu_plugin_insn_data(insn, bytes, sizeof(bytes));
		if (r > 4096)
			memcpy(bytes, (const void *)r, sizeof(bytes));
		if (!memcmp(bytes, marker[0], sizeof(bytes)))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, run_begin, 0, NULL);
		else if (!memcmp(bytes, marker[1], sizeof(bytes)))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, run_end, 0, NULL);
	}
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
		else if (!strncmp(argv[i], "pc=", 3))
			top = (unsigned int)strtoul(argv[i] + 3, NULL, 0);
	}
	if (!out) {
		fputs("insn_count: out=FILE is missing or cannot be written\n", stderr);
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	return 0;
}
