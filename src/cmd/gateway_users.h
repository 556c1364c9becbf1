/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway_users.h - The users' API of a gateway process: which tree, and opening it
 *
 * Threads: one, before there is another, but for gateway_users_start().
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "cmd/serving.h"
#include "gateway/key_list.h"
#include "gateway/users.h"

struct api;

enum {
	GATEWAY_USERS_STORE_MAX = 1100,
	GATEWAY_USERS_PATHS_MAX = 6,
};

/**
 * struct gateway_users - All zeroes: not served
 * @store:	"dir:PATH" or "ssm:PREFIX"
 * @directory:	PATH; "": none
 * @keys:	For a proxy; NULL: there is none. Owned by whoever closes the gateway
 */
struct gateway_users {
	bool is_served;
	char store[GATEWAY_USERS_STORE_MAX];
	char directory[GATEWAY_USERS_STORE_MAX];
	struct users_config config;
	struct users_master master;
	struct key_list *keys;
};

/**
 * gateway_users_store() - What --params says; else ssm: and SSM_PREFIX; else a directory in @state
 *
 * What --params says was checked by serving_read(). Return: 0; ERR_RANGE with a sentence in @d.
 */
int gateway_users_store(const struct options *o, const char *state,
			char out[GATEWAY_USERS_STORE_MAX], struct diag *d);

/**
 * gateway_users_open() - Look at the tree for the first time, if users are served
 *
 * Before the sandbox is closed. DNS_NAME or VPN_PUBLIC_IP become @api's endpoint where it has none.
 *
 * Return: 0; as users_tree_open(), with a sentence in @d.
 */
int gateway_users_open(struct gateway_users *gu, const struct options *o,
		       const struct serving *serving, const char *state,
		       const uint8_t public_key[32], struct store *store, struct api *api,
		       struct diag *d);

/** gateway_users_list_keys() - Keep a list for a proxy in @state/proxy. Return: 0; as key_list_new() */
int gateway_users_list_keys(struct gateway_users *gu, const char *state, struct diag *d);

/**
 * gateway_users_paths() - What the sandbox has to leave open: to read and write, and to read
 *
 * Arrays have room for GATEWAY_USERS_PATHS_MAX; the texts live as long as @gu.
 */
void gateway_users_paths(const struct gateway_users *gu, const char *rw[], size_t *n_rw,
			 const char *ro[], size_t *n_ro);

/** gateway_users_start() - Serve them. Return: 0; as users_new() */
int gateway_users_start(struct gateway_users *gu, struct api *api, struct diag *d);
