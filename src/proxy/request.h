/* SPDX-License-Identifier: Apache-2.0 */
/**
 * request.h - The one request a proxy's client makes: CONNECT, or connect-udp, and who asks
 *
 * Strict on purpose. What a lenient reader would guess at (a bare line feed, a folded line, a name with
 * user information or a percent sign in it) is where two programs understand one request differently, so it
 * is refused, with the rule that it breaks.
 *
 * HTTP/1.0 is taken as well: widely used clients of CONNECT say that. Host may be missing; it says nothing
 * that the target does not.
 *
 * UDP is asked for as RFC 9298 has it, at its default path.
 *
 * Source:  RFC 9112 sections 2.2, 3, 5; RFC 9110 sections 7.2, 9.3.6, 11.7; RFC 6750 section 2.1; RFC 7617;
 *	    RFC 9298 section 3.2.
 * Memory:  the caller's.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

enum {
	REQUEST_HEAD_MAX = 8192, /* octets, the empty line included */
	REQUEST_FIELDS_MAX = 64,
	REQUEST_HOST_MAX = 253, /* RFC 1035: octets of a name in text */
	REQUEST_KEY_MAX = 512,
};

/* What request_parse() returns besides status codes of HTTP. */
enum {
	REQUEST_IS_WHOLE = 0,
	REQUEST_IS_PARTIAL = 1,
};

/**
 * struct request - What it asks for
 * @head_len:	Octets up to and with the empty line; what is behind belongs to the tunnel
 * @host:	A name or an address as it was written, without brackets
 * @ip:		ADDR_NONE when @host is a name, or an address in a form only a resolver reads
 * @key:	Of Proxy-Authorization; @key_len 0: none that can be used
 */
struct request {
	size_t head_len;
	bool is_udp;
	char host[REQUEST_HOST_MAX + 1];
	struct ip_addr ip;
	uint16_t port;
	size_t key_len;
	char key[REQUEST_KEY_MAX];
};

/**
 * request_parse() - Read the head of a request
 * @head:	What came so far
 * @d:		Why it is refused; for the client as well
 *
 * Call it again from the start when more came.
 *
 * Return: REQUEST_IS_WHOLE with @ret set, of which request_done() wipes the key; REQUEST_IS_PARTIAL; or the
 *	   status of a refusal: 400, 405 (neither CONNECT nor connect-udp), 431 (longer than REQUEST_HEAD_MAX, too many
 *	   fields), 505.
 */
int request_parse(const char *head, size_t len, struct request *ret, struct diag *d);

void request_done(struct request *r);
