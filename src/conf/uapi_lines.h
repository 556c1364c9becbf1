/* SPDX-License-Identifier: Apache-2.0 */
/**
 * uapi_lines.h - The lines of one client's requests, out of what was read from its socket
 *
 * Read into @input, say how much, and take lines until there is none. A line that is longer than
 * UAPI_LINE_MAX is told once and skipped to its end.
 *
 * Memory:  UAPI_READ_BYTES and a line, wiped at the end: keys pass through.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { UAPI_READ_BYTES = 65536 };

enum uapi_line {
	UAPI_LINE_NONE, /* read more */
	UAPI_LINE_WHOLE,
	UAPI_LINE_TOO_LONG,
};

/**
 * struct uapi_lines - All zeroes holds nothing
 * @input:	Where to read to, UAPI_READ_BYTES
 * @line, @line_len: The line that was taken, without its newline; a NUL follows
 * @number:	Of the last whole line; set it to 0 when a request has ended
 */
struct uapi_lines {
	char *input;
	char *line;
	size_t line_len;
	unsigned int number;
	/* --- inside --- */
	size_t at;
	size_t len;
	size_t kept; /* octets of a line that goes on */
	bool skips;
};

int uapi_lines_open(struct uapi_lines *l); /* 0 or -ENOMEM */
void uapi_lines_done(struct uapi_lines *l);

/** uapi_lines_are_used_up() - Nothing is left of what was read; only then read again */
static inline bool uapi_lines_are_used_up(const struct uapi_lines *l)
{
	return l->at == l->len;
}

/** uapi_lines_filled() - @len octets were read into @input */
static inline void uapi_lines_filled(struct uapi_lines *l, size_t len)
{
	l->at = 0;
	l->len = len;
}

/** uapi_lines_next() - Take one line */
enum uapi_line uapi_lines_next(struct uapi_lines *l);
