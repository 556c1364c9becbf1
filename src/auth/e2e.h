/* SPDX-License-Identifier: Apache-2.0 */
/**
 * e2e.h - Payloads that the backend in between cannot read
 *
 * The client agrees on a secret with the gateway's X25519 key; HKDF-SHA256 (no salt) makes a key for
 * the request (info "e2e-req") and one for the reply ("e2e-resp"); either is AES-256-GCM with a random
 * nonce in front and the tag behind.
 *
 * Threads: none here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/secret.h"
#include "crypto/suite.h"

enum {
	E2E_NONCE_LEN = 12,
	E2E_TAG_LEN = 16,
	E2E_OVERHEAD = E2E_NONCE_LEN + E2E_TAG_LEN,
};

/* struct e2e - Keys of one request; wiped with e2e_done() */
struct e2e {
	struct secret_key request;
	struct secret_key reply;
};

/** e2e_init() - Return: 0; ERR_KEY: a shared secret of zero */
int e2e_init(struct suite *s, const struct secret_key *own, const uint8_t eph_pub[32],
	     struct e2e *ret);
void e2e_done(struct e2e *e);

/** e2e_open() - @out has room for @len - E2E_OVERHEAD. Return: 0; ERR_AUTH */
int e2e_open(const struct secret_key *key, const uint8_t *in, size_t len, uint8_t *out);

/** e2e_close() - @out has room for @len + E2E_OVERHEAD. @nonce is used once */
void e2e_close(const struct secret_key *key, const uint8_t nonce[E2E_NONCE_LEN],
	       const uint8_t *in, size_t len, uint8_t *out);
