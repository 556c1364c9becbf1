/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dress.h - The framing once more, too simple to be wrong
 *
 * Octet by octet as the protocol says, with OpenSSL's ChaCha20. No batches, no guesses: one
 * datagram of a known kind under known parameters.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "../test.h"
#include "frame/frame.h"

/* The test's dice: the same throws in every run. */
static struct generator dice;

static inline uint32_t throw(void)
{
	return generator_u32(&dice);
}

static inline void dice_begin(uint8_t seed)
{
	uint8_t from[GENERATOR_SEED_LEN] = { seed };

	generator_init(&dice, from);
}

/* Parameters from "key=value key=value"; a value has no blanks outside of <...>. */
static inline struct frame_parameters parameters_of(const char *text)
{
	struct frame_parameters p;

	frame_parameters_init(&p);
	while (*text) {
		const char *equals = strchr(text, '='), *end = equals + 1;
		bool in_tag = false;
		struct diag d = { .text = "" };

		for (; *end && (in_tag || *end != ' '); end++)
			in_tag = *end == '<' || (in_tag && *end != '>');
		if (frame_parameters_set(
			    &p, FRAME_UAPI,
			    frame_key_find(FRAME_UAPI, text, (size_t)(equals - text)),
			    equals + 1, (size_t)(end - equals - 1), &d) != 0)
			FAIL(d.text);
		text = end + (*end == ' ');
	}
	CHECK(frame_parameters_check(&p, NULL) == FRAME_RULE_NONE);
	return p;
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
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t iv[16] = { 0 }; /* counter, then nonce */
	int done = 0;

	if (naive_is_protected(p)) {
		memcpy(iv + 4, datagram, 12);
		CHECK(EVP_EncryptInit_ex(c, EVP_chacha20(), NULL, p->protection_key.b, iv) ==
		      1);
		CHECK(EVP_EncryptUpdate(c, at, &done, at, len) == 1 && done == len);
	}
	EVP_CIPHER_CTX_free(c);
}

/* How much of a message of kind @type is masked. */
static inline int naive_masked(uint32_t type)
{
	static const int len[] = { 0, 148, 92, 64, 16 };

	return len[type];
}

/**
 * naive_dress() - @message of kind @type as a datagram; its type word is there already
 * @out:	pad + @len + @trailer octets
 */
static inline uint32_t naive_dress(const struct frame_parameters *p, uint32_t type,
				   const uint8_t *message, uint32_t len, uint32_t trailer,
				   uint8_t *out)
{
	uint32_t pad = p->pad[type - 1];

	for (uint32_t i = 0; i < pad + len + trailer; i++)
		out[i] = (uint8_t) throw();
	memcpy(out + pad, message, len);
	naive_mask(p, out, out + pad, naive_masked(type));
	return pad + len + trailer;
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

#define KEY_A "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define KEY_B "f102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"

/* One set of each generation. */
static const char *const generations[] = {
	"",
	"jc=4 jmin=8 jmax=80 s1=30 s2=25 h1=7 h2=8 h3=9 h4=10",
	"jc=4 jmin=8 jmax=80 s1=30 s2=60 s3=9 s4=5 h1=100000000-200000000 h2=300000000-400000000"
	" h3=500000000-600000000 h4=700000000-800000000 i1=<b 0xc0ff><r 8><t>",
	"s1=42 s2=108 s3=13 s4=12 header_protection_key=" KEY_A,
	"jc=5 jmin=10 jmax=50 s1=16 s2=16 s3=16 s4=16 h1=1000 h2=2000 h3=3000 h4=4000"
	" content_padding_addition=10-100 random_trailers=1 header_protection_key=" KEY_B,
};

enum { GENERATIONS = sizeof(generations) / sizeof(generations[0]) };
