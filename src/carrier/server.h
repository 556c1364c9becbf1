/* SPDX-License-Identifier: Apache-2.0 */
/**
 * server.h - The gateway's end of carriers: connections in, one UDP socket each to WireGuard
 *
 * A connection proves a user's key before anything of it is forwarded: by a challenge (hello.h)
 * on a TCP carrier, by a bearer key in the request for connect-udp on the others. Until then a
 * TCP carrier is silent to whoever is wrong, and the others are a web site (site.h): a request
 * without the right key gets what anybody gets.
 *
 * Bounds:  SERVER_LISTENERS_MAX listeners, SERVER_CONNECTIONS_MAX connections; when all are taken
 *	    the oldest that has not proved anything gives way. SERVER_PER_KEY of one key; beyond
 *	    that the oldest of this key gives way. Each step up to the proof has
 *	    SERVER_PATIENCE_NS, a web connection that says nothing SERVER_IDLE_NS.
 * Threads: one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "carrier/keys.h"
#include "carrier/site.h"
#include "carrier/url.h"

enum {
	SERVER_LISTENERS_MAX = 8,
	SERVER_CONNECTIONS_MAX = 4096,
	SERVER_PER_KEY = 16,
};

#define SERVER_PATIENCE_NS (UINT64_C(10) * 1000000000)
#define SERVER_IDLE_NS	   (UINT64_C(60) * 1000000000)

struct ssl_ctx_st;
struct carrier_server;

/**
 * struct carrier_server_config - Copied
 * @target:	WireGuard's address; what clients may ask for is this, or "localhost" with its port
 * @path:	Of the template that clients ask with
 */
struct carrier_server_config {
	struct endpoint target;
	struct connect_udp_template path;
};

/* struct carrier_server_counts - @connections, @users: now; the others since the beginning */
struct carrier_server_counts {
	uint64_t connections;
	uint64_t users;
	uint64_t accepted;
	uint64_t proved;
	uint64_t refused; /* showed a wrong key, or a wrong proof */
	uint64_t crowded; /* gave way */
	uint64_t dropped; /* datagrams of connections that have ended */
};

/* @keys and @site are taken over, also by a failure. */
int carrier_server_new(const struct carrier_server_config *config, struct carrier_keys *keys,
		       struct site *site, struct carrier_server **ret);
struct carrier_server *carrier_server_free(struct carrier_server *s); /* takes NULL */

/** carrier_server_listen() - Take over a listening, non-blocking socket. 0, ERR_LIMIT, -errno */
int carrier_server_listen(struct carrier_server *s, enum carrier_kind kind, int fd);

/* New ones in the place of the old, which are freed. Connections of keys that are gone end. */
void carrier_server_set_keys(struct carrier_server *s, struct carrier_keys *keys);
void carrier_server_set_site(struct carrier_server *s, struct site *site);
void carrier_server_set_tls(struct carrier_server *s, struct ssl_ctx_st *context);

int carrier_server_fd(const struct carrier_server *s); /* readable: there is something to do */
void carrier_server_turn(struct carrier_server *s);
/* When something is due although nothing came; UINT64_MAX: never. */
uint64_t carrier_server_deadline_ns(const struct carrier_server *s);

void carrier_server_count(const struct carrier_server *s, struct carrier_server_counts *ret);
