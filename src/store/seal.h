/* SPDX-License-Identifier: Apache-2.0 */
/**
 * seal.h - Secrets as they are stored, and the chain of the audit trail
 *
 * One master key, kept apart from the database, gives two: one seals secrets
 * (XChaCha20-Poly1305, a random nonce each; the place that a secret belongs to is bound, so that
 * a row cannot be moved to another), one makes the hashes that chain audit rows. Whoever has the
 * database alone can neither read the secrets nor make up a chain.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/secret.h"

enum {
	SEAL_NONCE_LEN = 24,
	SEAL_OVERHEAD = SEAL_NONCE_LEN + 16,
	SEAL_CHAIN_LEN = 32,
};

struct seal;

/** seal_new() - From the master key, which is not kept. Return: 0; -ENOMEM; as suite_new() */
int seal_new(const struct secret_key *master, struct seal **ret);
struct seal *seal_free(struct seal *s); /* wipes; takes NULL, returns NULL */

/**
 * seal_close() - Seal @len octets
 * @place:	What the secret belongs to, such as "peer" and a public key
 * @nonce:	Random, never used before
 * @out:	Room for @len + SEAL_OVERHEAD
 */
void seal_close(struct seal *s, const char *what, const void *place, size_t place_len,
		const uint8_t nonce[SEAL_NONCE_LEN], const void *in, size_t len, uint8_t *out);

/**
 * seal_open() - The reverse
 * @out:	Room for @len - SEAL_OVERHEAD; zeroed on failure
 *
 * Return: 0; ERR_AUTH: another key, another place, or touched.
 */
int seal_open(struct seal *s, const char *what, const void *place, size_t place_len,
	      const uint8_t *in, size_t len, uint8_t *out);

/** struct seal_row - What one row of the audit trail says; borrowed */
struct seal_row {
	int64_t id;
	uint64_t time_ns;
	const char *who;
	const char *action;
	const char *subject;
	const char *detail;
};

/** seal_chain() - The hash of a row behind the hash @prev (zeroes: the first of all) */
void seal_chain(struct seal *s, const uint8_t prev[SEAL_CHAIN_LEN], const struct seal_row *row,
		uint8_t out[SEAL_CHAIN_LEN]);
