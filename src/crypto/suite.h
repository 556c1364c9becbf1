/* SPDX-License-Identifier: Apache-2.0 */
/**
 * suite.h - The primitives of WireGuard, held ready for one thread
 *
 * A suite owns every context that is costly to make: hash and MAC contexts,
 * fetched algorithms, the bulk cipher's manager. No call below allocates or
 * fetches an algorithm, with one exception: OpenSSL makes small objects for a
 * private X25519 key it has not seen (see dh()).
 *
 * Secrets: private keys stay in the suite until dh_forget(), until two others
 * have come, or until suite_free(); the OpenSSL back-end keeps the last packet
 * key until the next one. A primitive that fails where it cannot (the library
 * is broken or out of memory) aborts the process rather than send plaintext.
 *
 * Threads: one suite per thread; nothing is shared between suites.
 * Source:  RFC 7693 (BLAKE2s), RFC 7748 (X25519), RFC 8439 (ChaCha20-Poly1305),
 *          draft-irtf-cfrg-xchacha-03, RFC 2104 and RFC 5869 (HMAC, HKDF).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/secret.h"

enum {
	HASH_LEN = 32, /* BLAKE2s-256 */
	MAC_LEN = 16,  /* keyed BLAKE2s with a 128-bit output */
	AEAD_TAG_LEN = 16,
	XAEAD_NONCE_LEN = 24,
};

enum suite_backend {
	SUITE_BEST, /* ipsec-mb where the processor and the build have it */
	SUITE_IPSECMB,
	SUITE_OPENSSL,
};

struct suite;

/**
 * suite_new() - Make the contexts and check each cipher against RFC 8439
 *
 * Return: 0; -ENOMEM; -ENOTSUP when @backend is not in this build or processor;
 *	   ERR_AUTH when a self-test fails (the library is broken: do not go on).
 */
int suite_new(enum suite_backend backend, struct suite **ret);
struct suite *suite_free(struct suite *s); /* takes NULL, wipes, returns NULL */
enum suite_backend suite_backend(const struct suite *s);

/* --- Bulk AEAD: ChaCha20-Poly1305 with the nonce 0^4 ‖ LE64(counter), no AD --- */

/**
 * struct aead_job - One packet to seal or open
 * @key:	32 octets, borrowed for the call
 * @counter:	Host order
 * @src, @dst:	Equal (in place), or disjoint. Any alignment. Sealing: @src has
 *		@len octets and @dst room for @len + AEAD_TAG_LEN; the tag follows
 *		the text. Opening: @src has @len + AEAD_TAG_LEN, @dst gets @len.
 * @len:	Octets of plaintext
 * @ok:		Set by aead_open(): the tag verified (compared in constant time).
 *		Where it is false, the content of @dst must not be used.
 */
struct aead_job {
	const uint8_t *key;
	uint64_t counter;
	const uint8_t *src;
	uint8_t *dst;
	uint32_t len;
	bool ok;
};

/* Jobs are finished, in order, when the call returns: a later job's @src may be
 * the memory just before an earlier job's @src (the fused split relies on it). */
void aead_seal(struct suite *s, struct aead_job *jobs, size_t n);
void aead_open(struct suite *s, struct aead_job *jobs, size_t n);

/* --- AEAD with additional data, one message at a time (handshake) --- */

/* @dst gets @len + AEAD_TAG_LEN octets. @src and @dst may be equal. */
void aead_seal_ad(struct suite *s, const uint8_t key[32], uint64_t counter, const uint8_t *ad,
		  size_t ad_len, const uint8_t *src, size_t len, uint8_t *dst);
/* @len counts the plaintext; @src has the tag behind it. false: forged, @dst is zeroed. */
bool aead_open_ad(struct suite *s, const uint8_t key[32], uint64_t counter, const uint8_t *ad,
		  size_t ad_len, const uint8_t *src, size_t len, uint8_t *dst);

/* XChaCha20-Poly1305 (cookies). Same shapes. */
void xaead_seal(struct suite *s, const uint8_t key[32], const uint8_t nonce[XAEAD_NONCE_LEN],
		const uint8_t *ad, size_t ad_len, const uint8_t *src, size_t len, uint8_t *dst);
bool xaead_open(struct suite *s, const uint8_t key[32], const uint8_t nonce[XAEAD_NONCE_LEN],
		const uint8_t *ad, size_t ad_len, const uint8_t *src, size_t len, uint8_t *dst);

/* --- BLAKE2s --- */

struct hash_part {
	const void *data;
	size_t len;
};

/** hash_parts() - BLAKE2s-256 of the concatenation; @out may be one of the parts */
void hash_parts(struct suite *s, uint8_t out[HASH_LEN], const struct hash_part *parts,
		size_t n);
/** mac_parts() - Keyed BLAKE2s-128 of the concatenation; @key_len 1..32 */
void mac_parts(struct suite *s, uint8_t out[MAC_LEN], const void *key, size_t key_len,
	       const struct hash_part *parts, size_t n);
/** hmac_blake2s() - HMAC-BLAKE2s-256 */
void hmac_blake2s(struct suite *s, uint8_t out[HASH_LEN], const uint8_t *key, size_t key_len,
		  const struct hash_part *parts, size_t n);

/**
 * kdf() - HKDF with HMAC-BLAKE2s: KDFn of the whitepaper, section 5.4
 * @chain:	The 32-octet salt. An output may be the same memory as @chain
 * @input:	@input_len octets, may be 0
 * @out:	@n (1..3) outputs of 32 octets, in order
 */
void kdf(struct suite *s, uint8_t *const out[], size_t n, const uint8_t chain[HASH_LEN],
	 const void *input, size_t input_len);

/* --- X25519 --- */

/** dh_clamp() - RFC 7748 section 5: make 32 random octets a private key */
void dh_clamp(struct secret_key *k);
/** dh_public() - Public key of @k; all zero if @k is all zero */
void dh_public(struct suite *s, uint8_t out[32], const struct secret_key *k);
/**
 * dh() - Shared secret. false, and @out all zero, when it is all zero (low-order @pub)
 *
 * The suite keeps the last two private keys ready for the next call.
 */
bool dh(struct suite *s, uint8_t out[32], const struct secret_key *k, const uint8_t pub[32]);
/** dh_forget() - Drop and wipe what dh() keeps of @k: an ephemeral key has done its work */
void dh_forget(struct suite *s, const struct secret_key *k);
