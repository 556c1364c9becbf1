/* SPDX-License-Identifier: Apache-2.0 */
/**
 * chacha.h - ChaCha20 blocks for many nonces at once
 *
 * One key, a nonce per block: what header protection needs for a batch of packets, and what a
 * random generator is made of. Libraries compute many blocks under one nonce; the lanes here
 * go across packets instead, in the widest vectors that the processor has. No set-up, no
 * allocation, constant time.
 *
 * Source:  RFC 8439, section 2.3.
 * Threads: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	CHACHA_KEY_LEN = 32,
	CHACHA_NONCE_LEN = 12,
	CHACHA_BLOCK_LEN = 64,
	CHACHA_LANES = 16, /* blocks that cost little more than one */
};

/* Which block: under which nonce, at which counter. */
struct chacha_at {
	uint8_t nonce[CHACHA_NONCE_LEN];
	uint32_t counter;
};

enum { CHACHA_HEAD_LEN = 16 };

/** chacha_heads() - Of @n blocks under @key only the first CHACHA_HEAD_LEN octets each */
void chacha_heads(const uint8_t key[CHACHA_KEY_LEN], const struct chacha_at *at, size_t n,
		  uint8_t (*out)[CHACHA_HEAD_LEN]);

/**
 * chacha_blocks() - @n blocks of keystream under @key
 * @out:	@n blocks of CHACHA_BLOCK_LEN octets, in the order of @at
 */
void chacha_blocks(const uint8_t key[CHACHA_KEY_LEN], const struct chacha_at *at, size_t n,
		   uint8_t (*out)[CHACHA_BLOCK_LEN]);
