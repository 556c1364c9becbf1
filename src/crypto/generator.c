/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/generator.h"

#include <string.h>

#include "crypto/secret.h"

/* A new pool under the key that the old one begins with. */
static void refill(struct generator *g)
{
	struct chacha_at at[CHACHA_LANES] = { 0 };
	uint8_t key[CHACHA_KEY_LEN];

	memcpy(key, g->pool, sizeof(key));
	for (uint32_t i = 0; i < CHACHA_LANES; i++)
		at[i].counter = i;
	chacha_blocks(key, at, CHACHA_LANES, (uint8_t(*)[CHACHA_BLOCK_LEN])(void *)g->pool);
	secret_wipe(key, sizeof(key));
	g->at = CHACHA_KEY_LEN;
}

void generator_init(struct generator *g, const uint8_t seed[GENERATOR_SEED_LEN])
{
	memset(g, 0, sizeof(*g));
	memcpy(g->pool, seed, GENERATOR_SEED_LEN);
	refill(g);
}

void generator_done(struct generator *g)
{
	secret_wipe(g, sizeof(*g));
}

void generator_fill(struct generator *g, void *out, size_t len)
{
	uint8_t *to = out;

	while (len) {
		size_t left = GENERATOR_POOL - g->at, now = len < left ? len : left;

		memcpy(to, g->pool + g->at, now);
		memset(g->pool + g->at, 0, now);
		g->at += (uint32_t)now;
		to += now;
		len -= now;
		if (g->at == GENERATOR_POOL)
			refill(g);
	}
}

uint32_t generator_u32(struct generator *g)
{
	uint32_t v;

	generator_fill(g, &v, sizeof(v));
	return v;
}

uint32_t generator_between(struct generator *g, uint32_t lo, uint32_t hi)
{
	uint64_t width = (uint64_t)hi - lo + 1;
	uint64_t product = 0;

	if (width == 1)
		return lo;
	/* Lemire, "Fast random integer generation in an interval" (2019): the few values that
	 * would make some results likelier than others are drawn again. */
	do {
		product = generator_u32(g) * width;
	} while ((uint32_t)product < width &&
		 (uint32_t)product < (uint32_t)((UINT64_C(1) << 32) % width));
	return lo + (uint32_t)(product >> 32);
}
