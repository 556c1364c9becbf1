/* SPDX-License-Identifier: Apache-2.0 */
/**
 * keyvalue.h - One "key=value" line of the UAPI and the types of its values
 *
 * A line is borrowed, never copied. Readers refuse with ERR_FORMAT and a reason that
 * begins with the name of the key; outputs are written on success only. A reason
 * shows a value only where the value cannot be a secret, and then printable and short.
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/text.h"
#include "frame/range.h"

struct keyvalue {
	const char *key;
	const char *value;
	size_t key_len;
	size_t value_len;
};

/** keyvalue_split() - At the first '='. ERR_FORMAT: there is none, or a NUL in the line */
int keyvalue_split(const char *line, size_t len, struct keyvalue *ret, struct diag *d);

/** keyvalue_is() - Is @name the key? */
bool keyvalue_is(const struct keyvalue *kv, const char *name);

/** keyvalue_refuse() - The reason "KEY: @expected", with "KEY" only if it is one of ours
 *
 * What stands before '=' may be half of a pasted secret, so it is shown only when it
 * has the shape of a key name. Return: ERR_FORMAT.
 */
int keyvalue_refuse(const struct keyvalue *kv, const char *expected, struct diag *d);

int keyvalue_number(const struct keyvalue *kv, uint64_t max, uint64_t *ret, struct diag *d);
int keyvalue_true(const struct keyvalue *kv, bool *ret, struct diag *d); /* "true" only */
int keyvalue_key(const struct keyvalue *kv, uint8_t ret[32], struct diag *d);
int keyvalue_timestamp(const struct keyvalue *kv, uint8_t ret[12], struct diag *d); /* hex */
int keyvalue_prefix(const struct keyvalue *kv, struct ip_prefix *ret, struct diag *d);

/**
 * keyvalue_endpoint() - "1.2.3.4:port" or "[v6%zone]:port"
 * @zone_index:	Gives the number of a zone that is a name, 0 when there is none;
 *		NULL refuses names
 */
int keyvalue_endpoint(const struct keyvalue *kv, uint32_t (*zone_index)(const char *name),
		      struct endpoint *ret, struct diag *d);

/* --- Writing. @key ends with '='. No printf: a reply may have a million lines. --- */

void keyvalue_write_text(struct text *out, const char *key, const char *value);
void keyvalue_write_number(struct text *out, const char *key, uint64_t value);
void keyvalue_write_range(struct text *out, const char *key, struct frame_range value);
void keyvalue_write_hex(struct text *out, const char *key, const void *data, size_t len);
