/* SPDX-License-Identifier: Apache-2.0 */
/**
 * server_keys.h - The server's key pair in a tree of parameters, made anew when its configuration changed
 *
 * Below the root: wg/server-private-key, wg/server-public-key, the same two with "-b64" behind (here the
 * same text), wg/server-key-metadata "TIME|ALGORITHM|PURPOSE", and wg/keygen-config-sha256, written last:
 * whoever finds it equal finds all of the others.
 *
 * Threads: that of the tree.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/secret.h"
#include "store/params.h"

enum { SERVER_KEYS_PURPOSE_MAX = 64 };

enum server_keys_done {
	SERVER_KEYS_UNCHANGED, /* this configuration was done before */
	SERVER_KEYS_RECORDED,  /* its digest was written, the keys stand */
	SERVER_KEYS_MADE,
};

/**
 * struct server_keys_config - What keygen-config.json and the environment say
 * @has_digest:	@digest is the SHA-256 of that file; without one the keys are made in any case
 * @regenerates: Keys that are there are replaced
 */
struct server_keys_config {
	char prefix[PARAMS_NAME_MAX + 1];
	char purpose[SERVER_KEYS_PURPOSE_MAX + 1];
	bool has_digest;
	bool regenerates;
	uint8_t digest[32];
};

/** server_keys_config_init() - /ephem-vpn, wireguard-server, replacing, no digest */
void server_keys_config_init(struct server_keys_config *c);

/**
 * server_keys_config_read() - Take the text of a keygen-config.json over @c
 *
 * Return: 0; ERR_FORMAT, ERR_RANGE (an algorithm that is not curve25519, a purpose or a prefix that is
 *	   none), with the reason in @d.
 */
int server_keys_config_read(struct server_keys_config *c, const char *text, size_t len,
			    struct diag *d);

/** server_keys_set_purpose(), server_keys_check_algorithm() - Return: 0 or ERR_RANGE */
int server_keys_set_purpose(struct server_keys_config *c, const char *purpose, struct diag *d);
int server_keys_check_algorithm(const char *algorithm, struct diag *d);

/**
 * server_keys_agree() - One key for a gateway and its tree
 * @own:	The gateway's; NULL: it has none yet
 * @ret:	The tree's, which is @own when that is said
 *
 * What of the five values is missing is filled in.
 *
 * Return: 0, with *@ret_is_there false when neither has one; ERR_KEY: they differ; ERR_CORRUPT: the tree's are
 *	   no pair, or none; as params_get() and params_put().
 */
int server_keys_agree(struct params *p, const struct secret_key *own, uint64_t now_s,
		      struct secret_key *ret, bool *ret_is_there, struct diag *d);

/**
 * server_keys_apply() - Do what @c says, if that was not done before
 * @ret_public:	The public key that is there now, in base64; needs 45 octets
 *
 * All or nothing: when a value cannot be written, those before it get what they had. Where that fails too,
 * @d says so, and the digest is not that of @c: the next run repairs it.
 *
 * Return: 0; as params_get() and params_put(); ERR_CORRUPT (the keys that are there are no pair).
 */
int server_keys_apply(struct params *p, const struct server_keys_config *c, uint64_t now_s,
		      enum server_keys_done *ret, char *ret_public, struct diag *d);
