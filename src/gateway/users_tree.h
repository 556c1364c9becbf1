/* SPDX-License-Identifier: Apache-2.0 */
/**
 * users_tree.h - Users as they lie in a tree of parameters
 *
 * Below the root: master-api-key; users/ID/ with wg-public-key, wg-private-key, created-at, address,
 * api-key and status. A public key is written first, and only where there is none; status is written last
 * and removed first: a user without it is one that is being made or removed, and is nobody's yet.
 *
 * Of an API key the tree has "sha256:" and 64 hex digits. What others wrote there in clear text counts too.
 *
 * Calls block, over a network for seconds. Threads: that of the tree.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "crypto/secret.h"
#include "gateway/user_text.h"
#include "store/params.h"

enum {
	USERS_DIGEST_LEN = 32,
	USERS_SECRET_LEN = 32,	 /* octets of a key of the API; its text is their hex digits */
	USERS_KEY_TEXT_LEN = 64, /* of one of ours */
	USERS_KEY_TEXT_MIN = 16, /* of somebody else's */
	USERS_KEY_TEXT_MAX = 512,
	USERS_TIME_MAX = 40,
	USERS_MAX = 100000,
};

/**
 * struct user_values - What the tree has of one user. users_tree_done() wipes
 * @has_private_key: false: not kept
 * @address:	ADDR_NONE: not there, or none
 * @created_at:	As it is written there; "" when it is not there
 * @has_digest:	There is an API key, with this SHA-256
 */
struct user_values {
	char id[USER_ID_MAX + 1];
	uint8_t public_key[32];
	struct secret_key private_key;
	bool has_private_key;
	struct ip_addr address;
	char created_at[USERS_TIME_MAX + 1];
	bool has_digest;
	uint8_t digest[USERS_DIGEST_LEN];
	bool is_active;
};

/**
 * struct users_listed - One user in a list
 * @stamp:	Another one whenever a value may be another; 0: nobody knows
 * @is_whole:	It has a status
 */
struct users_listed {
	char id[USER_ID_MAX + 1];
	uint64_t stamp;
	bool is_whole;
};

/** struct users_list - By ascending id; users_list_done() frees */
struct users_list {
	struct users_listed *all;
	size_t n;
	size_t capacity;
};

/**
 * struct users_master - The master key's SHA-256
 * @is_known:	The tree was reached: it is there, or not
 * @is_made:	By this call
 */
struct users_master {
	bool is_known;
	bool is_there;
	bool is_made;
	uint8_t digest[USERS_DIGEST_LEN];
};

/** users_tree_digest() - SHA-256 of a key as callers show it */
void users_tree_digest(const char *key, size_t len, uint8_t out[USERS_DIGEST_LEN]);

/** users_tree_time() - T-utc: 2026-01-14T10:30:00.123456 */
void users_tree_time(uint64_t wall_ns, char out[USERS_TIME_MAX + 1]);

/**
 * users_tree_master() - Read the master key; where there is none and @may_make, make it
 *
 * "api-key" at the root is its other name.
 *
 * Return: 0, also when there is none; ERR_RANGE: it is shorter than USERS_KEY_TEXT_MIN; as params_get().
 */
int users_tree_master(struct params *p, bool may_make, struct users_master *ret,
		      struct diag *d);

/**
 * users_tree_open() - A first look at the tree @store: is it that of this gateway?
 * @public_key:	The gateway's; a tree that has another one is refused
 * @may_make:	As in users_tree_master()
 *
 * Call it before the sandbox is closed: what name resolution needs is loaded then.
 *
 * Return: 0, also when the tree cannot be reached (@ret->is_known is false then, and it is asked again); ERR_KEY:
 *	   another key; ERR_RANGE, ERR_AUTH, -EACCES and whatever else will not go away by itself.
 */
int users_tree_open(const char *store, const uint8_t public_key[32], bool may_make,
		    struct users_master *ret, struct diag *d);

/** users_tree_check_server() - Is it the tree of who has @public_key? Return: 0; ERR_KEY; as params_get() */
int users_tree_check_server(struct params *p, const uint8_t public_key[32], struct diag *d);

/**
 * users_tree_write() - Write a new user, all of it or nothing
 * @ret_is_clean: On failure: nothing of it is left there
 *
 * Return: 0; ERR_EXISTS: the tree has somebody of that name, who stays as he is (@ret_is_clean); as
 *	   params_put().
 */
int users_tree_write(struct params *p, const struct user_values *v, bool *ret_is_clean,
		     struct diag *d);

/**
 * users_tree_remove() - Nothing is left of that user
 * @public_key:	Only if it is the one with this key; NULL: in any case
 *
 * What is missing already is no failure, and no reason to stop. Return: 0; as params_remove().
 */
int users_tree_remove(struct params *p, const char *id, const uint8_t *public_key,
		      struct diag *d);

/**
 * users_tree_read() - All that the tree has of one user
 *
 * Return: 0; ERR_UNKNOWN: not there, or not whole; ERR_FORMAT: no public key that can be read; as
 *	   params_get(). @ret is wiped then.
 */
int users_tree_read(struct params *p, const char *id, struct user_values *ret, struct diag *d);
void users_tree_done(struct user_values *v);

/** users_tree_private_key() - Return: 0; ERR_UNKNOWN: none is kept; ERR_FORMAT; as params_get() */
int users_tree_private_key(struct params *p, const char *id, struct secret_key *ret,
			   struct diag *d);

int users_tree_put_status(struct params *p, const char *id, bool is_active, struct diag *d);
int users_tree_put_address(struct params *p, const char *id, const struct ip_addr *a,
			   struct diag *d);

/** users_tree_list() - Everybody of whom there is anything. Return: 0; ERR_LIMIT; as params_list() */
int users_tree_list(struct params *p, struct users_list *ret, struct diag *d);
void users_list_done(struct users_list *l);
/** users_list_find() - NULL: not there */
const struct users_listed *users_list_find(const struct users_list *l, const char *id);
