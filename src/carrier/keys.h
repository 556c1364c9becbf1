/* SPDX-License-Identifier: Apache-2.0 */
/**
 * keys.h - Who may use a carrier: digests of users' keys
 *
 * A text of lines "ID HASH": HASH is the SHA-256 of a key, 64 hex digits, with or without
 * "sha256:" before them. Empty lines and lines that begin with '#' say nothing. A text with one
 * wrong line is refused whole. A table is not changed afterwards: a new text makes a new one.
 *
 * What is found for a shown key is found by its digest, which nobody can choose.
 *
 * Bounds:  CARRIER_KEYS_MAX keys. Threads: any may read.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "carrier/hello.h"

enum {
	CARRIER_KEYS_MAX = 100001, /* as many as there are users, and the master key */
	CARRIER_KEYS_TEXT_MAX = 16 << 20,
	CARRIER_KEY_ID_MAX = 64,
};

/* struct carrier_key - @tag is how a TCP carrier asks for it; @next_… belong to the table */
struct carrier_key {
	char id[CARRIER_KEY_ID_MAX + 1];
	uint8_t digest[HELLO_KEY_LEN];
	uint8_t tag[HELLO_TAG_LEN];
	struct carrier_key *next_digest;
	struct carrier_key *next_tag;
};

struct carrier_keys;

/** carrier_keys_read() - Return: 0; ERR_FORMAT, ERR_LIMIT with the line in @d; -ENOMEM */
int carrier_keys_read(const char *text, size_t len, struct carrier_keys **ret, struct diag *d);
/** carrier_keys_read_file() - The same of a file; one that others may write is refused */
int carrier_keys_read_file(const char *path, struct carrier_keys **ret, struct diag *d);
struct carrier_keys *carrier_keys_free(struct carrier_keys *k); /* takes NULL, returns NULL */

size_t carrier_keys_count(const struct carrier_keys *k);
/* Return: NULL: nobody's. Valid as long as the table. */
const struct carrier_key *carrier_keys_find(const struct carrier_keys *k,
					    const uint8_t digest[HELLO_KEY_LEN]);
const struct carrier_key *carrier_keys_find_tag(const struct carrier_keys *k,
						const uint8_t tag[HELLO_TAG_LEN]);
