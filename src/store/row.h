/* SPDX-License-Identifier: Apache-2.0 */
/**
 * row.h - Our types in a row of SQLite: bound to a statement, read from a column
 *
 * What is bound is borrowed until the statement is reset.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/addr.h"

static inline void row_bind_u64(sqlite3_stmt *st, int at, uint64_t v)
{
	sqlite3_bind_int64(st, at, (sqlite3_int64)v);
}

static inline void row_bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

static inline void row_bind_text_or_null(sqlite3_stmt *st, int at, const char *text)
{
	if (text[0])
		row_bind_text(st, at, text);
}

static inline void row_bind_ip(sqlite3_stmt *st, int at, const struct ip_addr *ip)
{
	sqlite3_bind_blob(st, at, ip->b, ip->family == ADDR_V4 ? 4 : 16, SQLITE_STATIC);
}

static inline uint64_t row_u64(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}

/* family ADDR_NONE where it is none. */
static inline struct ip_addr row_ip(sqlite3_stmt *st, int at)
{
	const uint8_t *b = sqlite3_column_blob(st, at);
	int len = sqlite3_column_bytes(st, at);

	if (b && len == 4)
		return ip_addr_v4(b);
	if (b && len == 16)
		return ip_addr_v6(b);
	return (struct ip_addr){ .family = ADDR_NONE };
}

/* "" where it is null. */
static inline void row_text(sqlite3_stmt *st, int at, char *out, size_t size)
{
	const unsigned char *text = sqlite3_column_text(st, at);

	snprintf(out, size, "%s", text ? (const char *)text : "");
}

static inline bool row_digest(sqlite3_stmt *st, int at, uint8_t out[32])
{
	const void *blob = sqlite3_column_blob(st, at);

	if (!blob || sqlite3_column_bytes(st, at) != 32)
		return false;
	memcpy(out, blob, 32);
	return true;
}
