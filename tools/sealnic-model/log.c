// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Messages of the model: one line each, on standard error.
 * Nothing that a guest can repeat at will is reported here, it is counted;
 * and nothing that was derived from a key is ever passed in.
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "model.h"

bool verbose;

/**
 * say() - a message to whoever started the model
 * @fmt: as printf()
 */
void say(const char *fmt, ...)
{
	static const char name[] = "sealnic-model: ";
	char line[512];
	size_t len = sizeof(name) - 1;
	va_list args;
	int n;

	__builtin_memcpy(line, name, len);
	va_start(args, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	len += (size_t)n < sizeof(line) - len - 1 ? (size_t)n : sizeof(line) - len - 2;
	line[len++] = '\n';
	/* One write, so that lines of several processes do not mix */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}
