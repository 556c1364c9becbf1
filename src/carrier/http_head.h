/* SPDX-License-Identifier: Apache-2.0 */
/**
 * http_head.h - The head of an HTTP/1.1 message, read strictly
 *
 * Lines end with CR LF, nothing is folded, no control octet is taken, no white space stands in
 * front of a colon: what two readers could read differently is refused. The parts are spans of
 * the input, which must outlive them.
 *
 * Source:  RFC 9112 sections 2 to 5, RFC 9110 sections 5.5 and 5.6.
 * Memory:  held by the caller. Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	HTTP_HEAD_MAX = 8192, /* octets, the empty line included */
	HTTP_HEAD_FIELDS_MAX = 64,
};

struct http_span {
	const char *data;
	size_t len;
};

struct http_field {
	struct http_span name;
	struct http_span value; /* without white space around it */
};

/**
 * struct http_head - A request has @method and @target, an answer has @status
 * @minor:	Of version 1.x; 0 or 1
 */
struct http_head {
	struct http_span method;
	struct http_span target;
	unsigned int status;
	unsigned int minor;
	size_t n;
	struct http_field fields[HTTP_HEAD_FIELDS_MAX];
};

/**
 * http_head_end() - Where the head ends, of what has come in so far
 * @seen:	In and out: octets that were looked at by calls before, 0 at first
 *
 * Return: its length with the empty line; 0: not all of it is there; ERR_FORMAT: a line that
 *	   does not end with CR LF, or NUL; ERR_LIMIT: longer than HTTP_HEAD_MAX.
 */
long http_head_end(const void *data, size_t len, size_t *seen);

/* @len as http_head_end() said. Return: 0; ERR_FORMAT or ERR_LIMIT with the rule in @d. */
int http_head_read_request(const char *data, size_t len, struct http_head *ret, struct diag *d);
int http_head_read_answer(const char *data, size_t len, struct http_head *ret, struct diag *d);

/** http_head_find() - The first field of a name, in any case; NULL: none. @ret_count may be NULL */
const struct http_field *http_head_find(const struct http_head *h, const char *name,
					unsigned int *ret_count);

/** http_head_lists() - Is @token, in any case, in a comma list of the fields called @name? */
bool http_head_lists(const struct http_head *h, const char *name, const char *token);

bool http_span_is(struct http_span s, const char *text);     /* octet for octet */
bool http_span_is_any(struct http_span s, const char *text); /* letters of either case */
