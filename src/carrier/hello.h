/* SPDX-License-Identifier: Apache-2.0 */
/**
 * hello.h - How the two ends of a TCP carrier prove that they know the same key
 *
 *	client	HELLO	"CULVERT1", tag (8), client nonce (32)
 *	server	ANSWER	server nonce (32), proof of the server (32)
 *	client	PROOF	proof of the client (32)
 *	server		a frame of no octets: welcome; frames follow both ways
 *
 * A proof is HMAC-SHA-256 over a label, both nonces and the tag, keyed by the SHA-256 of the
 * user's key, which is what the server keeps: the key itself never crosses the wire, and what
 * was recorded is worth nothing against a fresh nonce. The tag tells which key is meant; it is
 * the same in each connection of a user. For a tag that nobody has, the server answers as long
 * and as random as for any other.
 *
 * The datagrams themselves are not protected here: WireGuard does that.
 *
 * Source:  RFC 2104. Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HELLO_KEY_LEN = 32,
	HELLO_TAG_LEN = 8,
	HELLO_NONCE_LEN = 32,
	HELLO_PROOF_LEN = 32,
	HELLO_LEN = 8 + HELLO_TAG_LEN + HELLO_NONCE_LEN,
	HELLO_ANSWER_LEN = HELLO_NONCE_LEN + HELLO_PROOF_LEN,
};

/* struct hello - What both sides know once HELLO and ANSWER have crossed */
struct hello {
	uint8_t tag[HELLO_TAG_LEN];
	uint8_t client_nonce[HELLO_NONCE_LEN];
	uint8_t server_nonce[HELLO_NONCE_LEN];
};

/** hello_digest() - What a server keeps of a key: SHA-256 of its text */
void hello_digest(const char *key, size_t len, uint8_t out[HELLO_KEY_LEN]);
void hello_tag(const uint8_t digest[HELLO_KEY_LEN], uint8_t out[HELLO_TAG_LEN]);

/** hello_put() - Write HELLO from @h */
void hello_put(const struct hello *h, uint8_t out[HELLO_LEN]);
/** hello_read() - Take tag and nonce of HELLO. false: it is none */
bool hello_read(struct hello *h, const uint8_t in[HELLO_LEN]);

enum hello_side { HELLO_CLIENT, HELLO_SERVER };

void hello_prove(const struct hello *h, enum hello_side side,
		 const uint8_t digest[HELLO_KEY_LEN], uint8_t out[HELLO_PROOF_LEN]);
/** hello_is_proof() - In constant time */
bool hello_is_proof(const struct hello *h, enum hello_side side,
		    const uint8_t digest[HELLO_KEY_LEN], const uint8_t proof[HELLO_PROOF_LEN]);
