/* SPDX-License-Identifier: Apache-2.0 */
/**
 * text.h - A growing piece of text or octets, with a bound
 *
 * Appends never fail one by one: the first failure (no memory, over the bound) is
 * remembered in @err, later appends do nothing, and the caller looks once, at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct text - All zeroes is empty and ready, without a bound
 * @data:	NUL-terminated once anything was appended; owned
 * @max:	Most octets to hold; 0 means SIZE_MAX
 * @err:	0, -ENOMEM or ERR_LIMIT
 */
struct text {
	char *data;
	size_t len;
	size_t capacity;
	size_t max;
	int err;
};

void text_add(struct text *t, const void *data, size_t len);
void text_puts(struct text *t, const char *s);
void text_put_u64(struct text *t, uint64_t v);
void text_put_hex(struct text *t, const void *data, size_t len); /* lower case */
__attribute__((format(printf, 2, 3))) void text_printf(struct text *t, const char *format, ...);
void text_clear(struct text *t); /* keeps the memory, forgets content and @err */
void text_done(struct text *t);	 /* wipes and frees: it may have held secrets */
