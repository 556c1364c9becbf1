/* SPDX-License-Identifier: Apache-2.0 */
/**
 * server.h - The CONNECT proxy: TCP connections to the world for whoever has a key
 *
 * Theory of operation. Each worker is a thread with an epoll of its own, and all accept from the same
 * sockets, so whoever has time takes the next connection and keeps it until its end; nothing is shared but
 * the table of keys, the policy and the resolver. A client sends one request (proxy/request.h), of which the
 * key is judged before anything else is done for it. A name is resolved once; each address is judged
 * (proxy/policy.h), and what is connected to is the very address that was judged. Then octets are moved
 * (proxy/flow.h) until both sides have ended.
 *
 * Bounds:  struct server_config; a request has SERVER_HEAD_S to come, a connection SERVER_CONNECT_S to be made.
 * Threads: one calls these; workers and resolvers are inside.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "proxy/counters.h"
#include "proxy/keys.h"
#include "proxy/policy.h"

enum {
	SERVER_LISTENERS_MAX = 8,
	SERVER_WORKERS_MAX = 16,
	SERVER_HEAD_S = 10,
	SERVER_CONNECT_S = 10,
	SERVER_HALF_CLOSED_S =
		300, /* an end that was told of the other's end, and says nothing */
};

/**
 * struct server_config - How much of what
 * @tunnels:	Connections of clients at a time
 * @per_key:	Of one key
 * @rate:	Octets in a second that one key may move; 0: no bound
 * @idle_s:	A tunnel that nobody uses ends after so long
 * @lifetime_s:	And any tunnel after so long; 0: no bound
 * @is_open:	Nobody is asked for a key
 */
struct server_config {
	unsigned int workers;
	uint32_t tunnels;
	uint32_t per_key;
	uint64_t rate;
	uint32_t idle_s;
	uint32_t lifetime_s;
	bool is_open;
};

struct server;

/**
 * server_new() - Start the workers
 * @listeners:	Sockets that listen and do not block; they stay the caller's, who closes them after
 *		server_free()
 * @keys, @policy: Borrowed until server_free()
 */
int server_new(const struct server_config *config, const int *listeners, size_t n,
	       struct proxy_keys *keys, struct policy *policy, struct server **ret,
	       struct diag *d);

/** server_keys_changed() - Tunnels of keys that went are ended soon after */
void server_keys_changed(struct server *s);

void server_counts(const struct server *s, uint64_t ret[PROXY_COUNTS]);

/** server_free() - End every tunnel. Takes NULL, returns NULL. To be followed by the end of the process */
struct server *server_free(struct server *s);
