/* SPDX-License-Identifier: Apache-2.0 */
/* Octets from a fixed seed: every run is the same run. Not for secrets. */
#pragma once

#include <stddef.h>
#include <stdint.h>

static uint64_t seeded_state = 1;

static inline uint64_t seeded_next(void)
{
	seeded_state =
		seeded_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return seeded_state >> 32;
}

static inline void seeded_fill(void *out, size_t len)
{
	uint8_t *b = out;

	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)(seeded_next() >> 24);
}
