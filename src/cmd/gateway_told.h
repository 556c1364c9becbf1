/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway_told.h - What the gateway process was told, and all that it holds
 *
 * The options come from `culvert gateway`, which has checked what people wrote; the environment is what
 * the contracts name.
 *
 * Threads: before the others start.
 */
#pragma once

#include <stdbool.h>

#include <stdatomic.h>

#include "api/call.h"
#include "cmd/gateway_users.h"
#include "cmd/options.h"
#include "cmd/places.h"
#include "cmd/store_option.h"
#include "gateway/adopt.h"
#include "gateway/uplink.h"

enum { GATEWAY_PATH_MAX = 512 };

/* Everything there is while it serves. All zeroes and -1 descriptors is nothing yet. */
struct serve {
	const char *state;
	const char *database; /* its path, of SQLite */
	struct store_option store_option;
	struct gateway_config config;
	struct generator generator; /* of the main thread */
	struct api api;
	struct store *store;
	struct uplink *uplink;
	struct iface *iface;
	struct reconcile reconcile;
	struct adopt *adopt; /* NULL: --drift says otherwise */
	struct replay_cache *cache;
	struct http_server *server;
	char socket_path[GATEWAY_PATH_MAX];
	char database_path[GATEWAY_PATH_MAX];
	struct places places;
	struct gateway_users users;
	struct machine machine;
	int signal_fd;
	bool is_over;
	bool hands_on; /* its sockets are the next one's */
	bool host_is_gone;
	atomic_bool is_outdated; /* the store wants a new process */
};

/** gateway_told_complain() - Say what is wrong. Return: @code */
int gateway_told_complain(int code, const char *what);

/**
 * gateway_told_read() - Options and environment, into @s
 * @ret_uapi, @ret_host: Descriptors that were passed on; close-on-exec from now on
 *
 * Return: EXIT_DONE, or an exit code after the complaint.
 */
int gateway_told_read(const struct options *o, struct serve *s, int *ret_uapi, int *ret_host);
