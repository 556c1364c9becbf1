/* SPDX-License-Identifier: Apache-2.0 */
/**
 * check.h - Which requests are refused for their shape alone
 *
 * Two readers of one request must not see two requests: what frames a message, names
 * its host or proves who sent it stands in it once (RFC 9112 sections 3.2 and 6.1,
 * RFC 9110 section 5.3).
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct http_check - The header fields of one request so far. All zeroes: none
 * @status:	0, or with which status to refuse, and @why
 */
struct http_check {
	unsigned int n_fields;
	unsigned int seen; /* bit per field that may stand once */
	size_t octets;
	uint64_t length; /* of the body, where it was said */
	unsigned int status;
	const char *why;
};

/** http_check_field() - One more field, with lengths: a NUL inside is a refusal */
void http_check_field(struct http_check *c, const char *name, size_t name_len,
		      const char *value, size_t value_len);

/** http_check_end() - All fields were seen: judge them together */
void http_check_end(struct http_check *c);

/** http_check_target() - "/" and visible ASCII, no fragment, no %00, no malformed escape */
bool http_check_target(const char *target);
