/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_slice.h - A few members out of a JSON text, without building anything
 *
 * A slice is a piece of the caller's text that holds one value. The text is judged once, as a
 * whole; slices of a text that passed can be opened further without another look.
 *
 * Source:  RFC 8259. Text is UTF-8; nothing may stand behind the value.
 * Bounds:  JSON_SLICE_DEPTH levels; each call reads its slice once.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

enum { JSON_SLICE_DEPTH = 16 };

/* struct json_slice - One value, without white space around it */
struct json_slice {
	const char *at;
	size_t len;
};

/**
 * json_slice_open() - Judge a text that comes from elsewhere
 *
 * Return: 0; ERR_FORMAT; ERR_LIMIT (too deep).
 */
int json_slice_open(const char *text, size_t len, struct json_slice *ret);

/** json_slice_member() - false: not an object, no such member, or more than one. @name has no
 * quote and no backslash in it; a name that is written with escapes is not found */
bool json_slice_member(struct json_slice object, const char *name, struct json_slice *ret);

/** json_slice_next() - Walk an array
 * @at:		NULL before the first; moved
 *
 * Return: false at the end, or when @array is none.
 */
bool json_slice_next(struct json_slice array, const char **at, struct json_slice *ret);

/** json_slice_string() - Append what a string says. false: not a string; NULs are refused */
bool json_slice_string(struct json_slice value, struct text *out);

/** json_slice_is() - Is it this string? Escapes are not undone: for words */
bool json_slice_is(struct json_slice value, const char *word);
