/* SPDX-License-Identifier: Apache-2.0 */
/**
 * naive.h - The framing once more, too simple to be wrong
 *
 * Octet by octet as the protocol says, with OpenSSL's ChaCha20 and BLAKE2s. No batches, no
 * guesses: one datagram of a known kind under known parameters. Unit tests and the simulation
 * judge by it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "frame/parameters.h"

/* OpenSSL does as it is told, or there is nothing to test with. */
static inline void naive_must(int is_well)
{
	if (is_well != 1)
		abort();
}

static inline uint32_t naive_word(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline bool naive_is_protected(const struct frame_parameters *p)
{
	static const uint8_t zero[32];

	return memcmp(p->protection_key.b, zero, sizeof(zero)) != 0;
}

/* XOR with the keystream of block 0 on; the nonce is the datagram's first 12 octets. */
static inline void naive_mask(const struct frame_parameters *p, const uint8_t *datagram,
			      uint8_t *at, int len)
{
	EVP_CIPHER_CTX *c = NULL;
	uint8_t iv[16] = { 0 }; /* counter, then nonce */
	int done = 0;

	if (!naive_is_protected(p))
		return;
	c = EVP_CIPHER_CTX_new();
	memcpy(iv + 4, datagram, 12);
	naive_must(EVP_EncryptInit_ex(c, EVP_chacha20(), NULL, p->protection_key.b, iv));
	naive_must(EVP_EncryptUpdate(c, at, &done, at, len));
	EVP_CIPHER_CTX_free(c);
}

/* How much of a message of kind @type is masked. */
static inline int naive_masked(uint32_t type)
{
	static const int len[] = { 0, 148, 92, 64, 16 };

	return len[type];
}

/**
 * naive_frame() - Lay @message of kind @type into a datagram; its type word is there already
 * @out:	Random octets: pad, @len and a trailer of them
 */
static inline void naive_frame(const struct frame_parameters *p, uint32_t type,
			       const uint8_t *message, uint32_t len, uint8_t *out)
{
	uint32_t pad = p->pad[type - 1];

	memcpy(out + pad, message, len);
	naive_mask(p, out, out + pad, naive_masked(type));
}

/* Undo it; @datagram is left alone. false: the type word is not of kind @type. */
static inline bool naive_undress(const struct frame_parameters *p, uint32_t type,
				 const uint8_t *datagram, uint32_t len, uint8_t *message)
{
	uint32_t pad = p->pad[type - 1], word;

	memcpy(message, datagram + pad, len - pad);
	naive_mask(p, datagram, message, naive_masked(type));
	word = naive_word(message);
	return word >= p->header[type - 1].lo && word <= p->header[type - 1].hi;
}

/* BLAKE2s of 16 octets under @key over the first @len octets of @message. */
static inline void naive_mac(const uint8_t *key, size_t key_len, const void *message,
			     size_t len, uint8_t out[16])
{
	static EVP_MAC *blake2s;
	EVP_MAC_CTX *c = NULL;
	size_t size = 16;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
				OSSL_PARAM_construct_end() };

	if (!blake2s)
		blake2s = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
	c = EVP_MAC_CTX_new(blake2s);
	naive_must(EVP_MAC_init(c, key, key_len, params));
	naive_must(EVP_MAC_update(c, message, len));
	naive_must(EVP_MAC_final(c, out, &size, 16));
	EVP_MAC_CTX_free(c);
}

/* Whitepaper, section 5.4.4: HASH(@label || @public_key). */
static inline void naive_label_key(const char label[9], const uint8_t public_key[32],
				   uint8_t out[32])
{
	uint8_t in[40];

	memcpy(in, label, 8);
	memcpy(in + 8, public_key, 32);
	naive_must(EVP_Digest(in, sizeof(in), out, NULL, EVP_blake2s256(), NULL));
}

/* Does an initiation or response of @len octets carry a MAC1 for @public_key? */
static inline bool naive_has_mac1(const uint8_t *message, uint32_t len,
				  const uint8_t public_key[32])
{
	uint8_t key[32], mac[16];

	naive_label_key("mac1----", public_key, key);
	naive_mac(key, sizeof(key), message, len - 32, mac);
	return memcmp(mac, message + len - 32, sizeof(mac)) == 0;
}
