/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum {
	FIRST_CAPACITY = 256, /* octets of the first allocation */
	U64_DIGITS_MAX = 20,
};

/*
 * Move to a larger block. realloc() would leave a copy of what may be secret in
 * the old block, so the move is by hand and the old block is wiped.
 */
static int grow(struct text *t, size_t need)
{
	size_t capacity = t->capacity ? t->capacity : FIRST_CAPACITY;
	char *data;

	while (capacity < need) {
		if (capacity > SIZE_MAX / 2)
			return -ENOMEM;
		capacity *= 2;
	}
	data = malloc(capacity);
	if (!data)
		return -ENOMEM;
	if (t->data) {
		memcpy(data, t->data, t->len);
		explicit_bzero(t->data, t->capacity);
		free(t->data);
	}
	t->data = data;
	t->capacity = capacity;
	return 0;
}

/* Room for @len more octets and the NUL, or NULL with @err set. */
static char *reserve(struct text *t, size_t len)
{
	size_t max = t->max ? t->max : SIZE_MAX - 1;

	if (t->err)
		return NULL;
	if (len > max || t->len > max - len) {
		t->err = ERR_LIMIT;
		return NULL;
	}
	if (t->capacity - t->len <= len) {
		t->err = grow(t, t->len + len + 1);
		if (t->err)
			return NULL;
	}
	return t->data + t->len;
}

static void commit(struct text *t, size_t len)
{
	t->len += len;
	t->data[t->len] = '\0';
}

void text_add(struct text *t, const void *data, size_t len)
{
	char *to = reserve(t, len);

	if (!to)
		return;
	if (len)
		memcpy(to, data, len);
	commit(t, len);
}

void text_puts(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_put_u64(struct text *t, uint64_t v)
{
	char digits[U64_DIGITS_MAX];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	text_add(t, digits + at, sizeof(digits) - at);
}

void text_put_hex(struct text *t, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = data;
	char *to = reserve(t, len > SIZE_MAX / 2 ? SIZE_MAX : 2 * len);

	if (!to)
		return;
	for (size_t i = 0; i < len; i++) {
		to[2 * i] = digits[from[i] >> 4];
		to[2 * i + 1] = digits[from[i] & 15];
	}
	commit(t, 2 * len);
}

void text_printf(struct text *t, const char *format, ...)
{
	va_list args;
	int len;
	char *to;

	if (t->err)
		return;
	va_start(args, format);
	len = __builtin_vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0) {
		t->err = ERR_FORMAT;
		return;
	}
	to = reserve(t, (size_t)len);
	if (!to)
		return;
	va_start(args, format);
	__builtin_vsnprintf(to, (size_t)len + 1, format, args);
	va_end(args);
	t->len += (size_t)len;
}

void text_clear(struct text *t)
{
	t->len = 0;
	t->err = 0;
	if (t->data)
		t->data[0] = '\0';
}

void text_done(struct text *t)
{
	if (t->data) {
		explicit_bzero(t->data, t->capacity);
		free(t->data);
	}
	*t = (struct text){ .max = t->max };
}
