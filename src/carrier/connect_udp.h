/* SPDX-License-Identifier: Apache-2.0 */
/**
 * connect_udp.h - Asking an HTTP/1.1 server for UDP: templates, request, answer
 *
 * A client knows a proxy by a URI template; putting the target in gives the path that it asks
 * for, with an upgrade to "connect-udp". A server has the path of such a template and gets the
 * target back out of what was asked for. After the 101 the connection carries capsules
 * (capsule.h) both ways.
 *
 * Source:  RFC 9298 sections 2 and 3, RFC 9297 section 3.2, RFC 6570 up to level 3.
 * Memory:  held by the caller. Threads: none here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "carrier/http_head.h"

enum {
	CONNECT_UDP_HOST_MAX = 256,	 /* NUL included */
	CONNECT_UDP_TEMPLATE_MAX = 1024, /* NUL included */
	CONNECT_UDP_PARTS_MAX = 16,
	CONNECT_UDP_PATH_MAX = 2048, /* of what a template expands to, NUL included */
};

/* RFC 9298 section 2: where to look when nothing else was agreed. */
#define CONNECT_UDP_DEFAULT_PATH "/.well-known/masque/udp/{target_host}/{target_port}/"

/* struct connect_udp_target - @host is a name or an address, an IPv6 one without brackets */
struct connect_udp_target {
	char host[CONNECT_UDP_HOST_MAX];
	uint16_t port; /* 1..65535 */
};

enum connect_udp_part_kind {
	CONNECT_UDP_LITERAL,
	CONNECT_UDP_TARGET_HOST,
	CONNECT_UDP_TARGET_PORT,
};

/* struct connect_udp_part - Literal text is @len octets at @at of the template's @literals */
struct connect_udp_part {
	enum connect_udp_part_kind kind;
	uint16_t at;
	uint16_t len;
};

/**
 * struct connect_udp_template - A template as it was understood
 * @scheme:	"http", "https", or empty for one that is a path only
 * @authority:	Host and port as written, an IPv6 address in brackets; empty likewise
 */
struct connect_udp_template {
	char scheme[8];
	char authority[CONNECT_UDP_HOST_MAX + 8];
	char literals[CONNECT_UDP_TEMPLATE_MAX];
	struct connect_udp_part parts[CONNECT_UDP_PARTS_MAX];
	size_t n;
};

/**
 * connect_udp_template_read() - An absolute http or https URI, or a path that begins with '/'
 *
 * Taken are {var}, {?var,…} and {&var,…}; variables of other names expand to nothing. Each of
 * the two targets must be there once, with something behind it that tells where it ends.
 *
 * Return: 0; ERR_FORMAT or ERR_LIMIT with the rule in @d.
 */
int connect_udp_template_read(const char *text, struct connect_udp_template *ret,
			      struct diag *d);

/** connect_udp_expand() - The path and query for a target. Return: its length, or ERR_LIMIT */
long connect_udp_expand(const struct connect_udp_template *t,
			const struct connect_udp_target *target,
			char out[CONNECT_UDP_PATH_MAX]);

/**
 * connect_udp_match() - The target in what was asked for
 * @asked:	As in the request line: path and query, or an absolute URI whose host is not looked at
 *
 * Return: 0; ERR_UNKNOWN: the path is another one; ERR_FORMAT with the rule in @d: the host or
 *	   the port is none.
 */
int connect_udp_match(const struct connect_udp_template *t, struct http_span asked,
		      struct connect_udp_target *ret, struct diag *d);

/**
 * connect_udp_put_request() - The head a client sends
 * @host:	Value of the Host field
 * @path:	As connect_udp_expand() made it
 * @authorization: Value of a field Authorization; NULL: none
 */
void connect_udp_put_request(struct text *out, const char *host, const char *path,
			     const char *authorization);

/** connect_udp_is_asked() - Does a request want an upgrade to connect-udp, right or wrong? */
bool connect_udp_is_asked(const struct http_head *h);

/* Return: 0; ERR_FORMAT with the rule in @d. The target is not looked at. */
int connect_udp_check_request(const struct http_head *h, struct diag *d);
/* Return: 0; ERR_AUTH for 401 and 407; -ECONNREFUSED for another code; ERR_FORMAT; with the
 * reason in @d. */
int connect_udp_check_answer(const struct http_head *h, struct diag *d);

/* What a server sends when it agrees: the whole head. */
extern const char connect_udp_accepted[];
