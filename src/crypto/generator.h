/* SPDX-License-Identifier: Apache-2.0 */
/**
 * generator.h - Random octets for every packet, without a system call
 *
 * Padding, header words, junk and lengths need random octets that nobody can predict, a few
 * for each packet. A generator is seeded once from the system's and makes a pool of them at a
 * time. Octets are wiped as they are taken, and the key of each pool comes from the pool
 * before: who reads the memory later learns nothing about what was handed out.
 *
 * Source:  D. J. Bernstein, "Fast-key-erasure random-number generators" (2017); RFC 8439.
 * Threads: one per thread. Never share one across fork().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/chacha.h"

enum {
	GENERATOR_SEED_LEN = CHACHA_KEY_LEN,
	GENERATOR_POOL = CHACHA_LANES * CHACHA_BLOCK_LEN,
};

/**
 * struct generator - The initial state is that of generator_init()
 * @at:		Octets of @pool that were taken; the first ones are the next key
 */
struct generator {
	uint32_t at;
	_Alignas(64) uint8_t pool[GENERATOR_POOL];
};

void generator_init(struct generator *g, const uint8_t seed[GENERATOR_SEED_LEN]);
void generator_done(struct generator *g);

void generator_fill(struct generator *g, void *out, size_t len);
uint32_t generator_u32(struct generator *g);

/** generator_between() - Uniform in @lo..@hi, both included; @lo <= @hi */
uint32_t generator_between(struct generator *g, uint32_t lo, uint32_t hi);
