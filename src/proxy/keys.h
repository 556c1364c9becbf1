/* SPDX-License-Identifier: Apache-2.0 */
/**
 * keys.h - Who may use the proxy: digests of keys, and what each key has open
 *
 * Of a key only its SHA-256 is known here. A key that is taken out of the table is marked as gone, and
 * whoever holds it lets go of what it opened with it; the table's count of such changes tells when to look.
 *
 * What is found for a presented key is found by that key's digest, which nobody can choose, and compared in
 * constant time.
 *
 * Bounds:  KEYS_MAX keys.
 * Threads: any; a key that was found stays valid until proxy_key_release().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stdatomic.h>

#include "proxy/allowance.h"

enum {
	KEYS_MAX = 100001, /* as many as there are users, and the master key */
	KEYS_DIGEST_LEN = 32,
	KEYS_ID_MAX = 64,
};

/**
 * struct proxy_key - One key and what is open with it
 * @is_gone:	No longer in the table
 * @tunnels:	How many connections hold it
 */
struct proxy_key {
	char id[KEYS_ID_MAX + 1];
	uint8_t digest[KEYS_DIGEST_LEN];
	atomic_uint references;
	atomic_bool is_gone;
	atomic_uint tunnels;
	struct allowance allowance;
	/* of the table */
	struct proxy_key *next;
	uint64_t generation;
};

struct proxy_keys;

int proxy_keys_new(struct proxy_keys **ret);
struct proxy_keys *proxy_keys_free(struct proxy_keys *k); /* takes NULL, returns NULL */

/**
 * proxy_keys_find() - Whose key is that?
 *
 * Return: a reference; NULL: nobody's.
 */
struct proxy_key *proxy_keys_find(struct proxy_keys *k, const void *key, size_t len);
void proxy_key_release(struct proxy_key *key); /* takes NULL */

size_t proxy_keys_count(struct proxy_keys *k);
/** proxy_keys_removals() - Another number whenever keys have gone */
unsigned int proxy_keys_removals(const struct proxy_keys *k);

/* --- Changing: one thread --- */

/** proxy_keys_is_id() - 1 to KEYS_ID_MAX of A-Z a-z 0-9 . _ -, as users' names are */
bool proxy_keys_is_id(const char *id, size_t len);

/**
 * proxy_keys_put() - Add a key, or keep the one that is there
 * @id:		For people; of a key that is there it stays as it was
 *
 * Return: 0; ERR_LIMIT; -ENOMEM.
 */
int proxy_keys_put(struct proxy_keys *k, const char *id, const uint8_t digest[KEYS_DIGEST_LEN]);
void proxy_keys_remove(struct proxy_keys *k, const uint8_t digest[KEYS_DIGEST_LEN]);

/** proxy_keys_begin() - A whole table follows; nobody is locked out before it is complete */
void proxy_keys_begin(struct proxy_keys *k);
/** proxy_keys_commit() - Those that were not put since proxy_keys_begin() go */
void proxy_keys_commit(struct proxy_keys *k);
