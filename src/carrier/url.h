/* SPDX-License-Identifier: Apache-2.0 */
/**
 * url.h - Where a carrier is, in one word
 *
 *	tcp://HOST:PORT			datagrams with two octets of length each
 *	https://HOST[:PORT][/TEMPLATE]	connect-udp inside TLS, port 443
 *	http://HOST[:PORT][/TEMPLATE]	connect-udp in the clear, port 80
 *
 * TEMPLATE is one of RFC 9298 (connect_udp.h). Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "carrier/connect_udp.h"

enum carrier_kind {
	CARRIER_TCP,
	CARRIER_HTTPS,
	CARRIER_HTTP,
};

enum {
	CARRIER_SECRET_MAX = 256, /* a user's key as text, NUL included */
	CARRIER_AUTHORITY_MAX = CONNECT_UDP_HOST_MAX + 8,
};

/**
 * struct carrier_url - @host has no brackets; @template is empty for CARRIER_TCP
 * @authority:	Host and port as they stand in a Host field
 */
struct carrier_url {
	enum carrier_kind kind;
	char host[CONNECT_UDP_HOST_MAX];
	uint16_t port;
	char authority[CARRIER_AUTHORITY_MAX];
	struct connect_udp_template path;
};

/** carrier_url_read() - Return: 0; ERR_FORMAT or ERR_LIMIT with the reason in @d */
int carrier_url_read(const char *text, struct carrier_url *ret, struct diag *d);

/**
 * struct carrier_via - An HTTP proxy in the way; @host empty: none
 * @key:	Password of @user, or a bearer key where @user is empty; wiped by the caller
 */
struct carrier_via {
	char host[CONNECT_UDP_HOST_MAX];
	uint16_t port;
	char user[CARRIER_SECRET_MAX];
	char key[CARRIER_SECRET_MAX];
};

/** carrier_via_read() - http://[USER:KEY@]HOST:PORT; the reason of a refusal never shows the key */
int carrier_via_read(const char *text, struct carrier_via *ret, struct diag *d);

/** carrier_host_port() - "name:51820", "1.2.3.4:51820", "[::1]:51820" */
int carrier_host_port(const char *text, struct connect_udp_target *ret, struct diag *d);

/** carrier_kind_name() - "tcp", "https", "http" */
const char *carrier_kind_name(enum carrier_kind kind);
