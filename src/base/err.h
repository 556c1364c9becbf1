/* SPDX-License-Identifier: Apache-2.0 */
/**
 * err.h - Error codes, and what to tell a person
 *
 * A function that can fail returns 0 or a negative code: -errno when the system
 * refused, ERR_... (below -1000) when a protocol or a format did. err_text()
 * takes both. Where a person needs to know more than the kind of failure (which
 * line, which key, what would be right), the text travels in a struct diag, the
 * last argument.
 */
#pragma once

#include <stdbool.h>

enum {
	ERR_FORMAT = -1001,    /* bytes or text that do not parse */
	ERR_AUTH = -1002,      /* a tag, MAC or signature that does not verify */
	ERR_REPLAY = -1003,    /* seen before, or older than what was seen */
	ERR_KEY = -1004,       /* a key nobody may use: zero, low order, our own */
	ERR_LIMIT = -1005,     /* more than the stated bound */
	ERR_UNKNOWN = -1006,   /* no such peer, index, route, name */
	ERR_EXISTS = -1007,    /* already there */
	ERR_EXHAUSTED = -1008, /* nothing free: a pool, a table */
	ERR_EXPIRED = -1009,   /* a key or a timestamp past its life */
	ERR_RANGE = -1010,     /* parses, but lies outside what is allowed */
	ERR_CORRUPT = -1011,   /* stored state that contradicts itself */
	ERR_VERSION = -1012,   /* written by a version we do not know */
	ERR_UNABLE = -1013,    /* right in itself, but this kind of interface cannot do it */
};

enum { DIAG_TEXT_MAX = 256 };

/**
 * struct diag - Why something was refused, for a person
 * @line:	Line of the input, from 1; 0 when it has no lines
 * @text:	One sentence without a trailing full stop or newline; never a secret
 */
struct diag {
	unsigned int line;
	char text[DIAG_TEXT_MAX];
};

/**
 * err_text() - A short English text for 0, -errno or ERR_...
 *
 * Return: a static string, never NULL. Threads: any.
 */
const char *err_text(int err);

/**
 * diag_set() - Format the reason and return @err, so a refusal is one statement
 * @d:		May be NULL: then only @err counts
 */
__attribute__((format(printf, 4, 5))) int diag_set(struct diag *d, int err, unsigned int line,
						   const char *format, ...);
