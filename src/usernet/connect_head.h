/* SPDX-License-Identifier: Apache-2.0 */
/**
 * connect_head.h - What is said to an HTTP proxy before octets pass, and what it answers
 *
 * The request asks for a tunnel to an address, for octets (CONNECT) or for datagrams (connect-udp). Of the response only the head is HTTP: what stands
 * behind its empty line belongs to whoever is at the other end, so the reader says how many octets
 * were the head's and never looks at one more.
 *
 * Source:  RFC 9298 sections 3.2 and 3.3 (connect-udp); RFC 9110 sections 9.3.6 (CONNECT), 15.2 (interim responses), 11.7 (credentials);
 *          RFC 9112 sections 2.2, 4, 5; RFC 9209 (Proxy-Status).
 * Bounds:  a head of CONNECT_HEAD_MAX octets, interim ones included; of a longer line than
 *          CONNECT_LINE_MAX only the beginning is read.
 * Threads: none here; all functions are pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	CONNECT_HEAD_MAX = 16384,
	CONNECT_LINE_MAX = 256,
	CONNECT_CREDENTIAL_MAX = 512, /* with its NUL */
	CONNECT_REQUEST_MAX = 3 * ADDR_TEXT_MAX + CONNECT_CREDENTIAL_MAX + 192,
};

/**
 * connect_request_write() - Ask for a tunnel to @to
 * @credential:	The value of Proxy-Authorization, without control characters; NULL or "": none
 *
 * @out holds a secret then, if @credential does.
 *
 * Return: octets at @out, which has no NUL; ERR_FORMAT: @credential has a control character;
 *	   ERR_LIMIT: it is too long.
 */
int connect_request_write(const struct ip_addr *to, uint16_t port, const char *credential,
			  char out[CONNECT_REQUEST_MAX]);

/** connect_request_write_udp() - Ask for datagrams to @to, at the proxy's own well-known place
 * @proxy:	Goes into the field Host. Else as above */
int connect_request_write_udp(const struct endpoint *proxy, const struct ip_addr *to,
			      uint16_t port, const char *credential,
			      char out[CONNECT_REQUEST_MAX]);

/* Why the proxy could not connect, as its Proxy-Status tells. */
enum connect_error {
	CONNECT_ERROR_UNTOLD,
	CONNECT_ERROR_REFUSED,	   /* by the destination */
	CONNECT_ERROR_UNREACHABLE, /* no way there */
	CONNECT_ERROR_TIMEOUT,
	CONNECT_ERROR_PROHIBITED, /* by the proxy's rules */
};

enum connect_progress {
	CONNECT_WANTS_MORE,
	CONNECT_ANSWERED,
	CONNECT_MALFORMED, /* this is no HTTP, or too much of it */
};

/**
 * struct connect_head - A response's head as far as it was read. All zeroes: nothing yet
 * @status:	100 to 999 once there was a status line
 * @is_udp:	It says that datagrams follow
 * @octets:	Read, of all heads
 */
struct connect_head {
	uint16_t status;
	bool is_udp;
	enum connect_error error;
	enum connect_progress progress;
	uint32_t octets;
	uint32_t line_len;
	char line[CONNECT_LINE_MAX];
};

/**
 * connect_head_read() - Read on
 *
 * Interim responses (1xx, but for 101) are skipped. After CONNECT_ANSWERED or CONNECT_MALFORMED
 * nothing is read any more.
 *
 * Return: how many of @len octets belong to the head.
 */
size_t connect_head_read(struct connect_head *h, const uint8_t *data, size_t len);

/**
 * connect_head_errno() - What the answer means for who wants to connect
 * Return: 0 for 2xx; else a negative errno: -EACCES (refused by the proxy, the key too),
 *	   -ECONNREFUSED, -EHOSTUNREACH, -ETIMEDOUT, -EPROTO (malformed, or a status that makes no
 *	   sense here).
 */
int connect_head_errno(const struct connect_head *h);

/**
 * connect_head_errno_udp() - The same for who asked for datagrams
 * Return: 0 for 101 with the upgrade; -EOPNOTSUPP: the proxy offers none, to anybody; else as above.
 */
int connect_head_errno_udp(const struct connect_head *h);
