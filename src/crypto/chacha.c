/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. The sixteen words of the state are sixteen vectors; lane i of each
 * belongs to block i. The compiler cuts the vectors into what the target has, so one body
 * serves every processor; on amd64 it is compiled three times and chosen by what the processor
 * can do.
 */
#include "crypto/chacha.h"

#include <string.h>

#include "crypto/secret.h"

typedef uint32_t lanes __attribute__((vector_size(CHACHA_LANES * sizeof(uint32_t))));

static inline uint32_t word_at(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* By pointer: as arguments, vectors this wide would depend on the caller's target. */
static inline __attribute__((always_inline)) void mix(lanes *a, const lanes *b, lanes *d,
						      int by)
{
	*a += *b;
	*d ^= *a;
	*d = *d << by | *d >> (32 - by);
}

static inline __attribute__((always_inline)) void quarter(lanes *a, lanes *b, lanes *c,
							  lanes *d)
{
	mix(a, b, d, 16);
	mix(c, d, b, 12);
	mix(a, b, d, 8);
	mix(c, d, b, 7);
}

/* Sixteen blocks from @start: word w of block i goes to out[i][w], little-endian. */
static inline __attribute__((always_inline)) void run_lanes(uint32_t start[16][CHACHA_LANES],
							    uint32_t out[16][CHACHA_LANES])
{
	lanes x[16], s[16];

	memcpy(s, start, sizeof(s));
	memcpy(x, start, sizeof(x));
	for (int round = 0; round < 10; round++) {
		quarter(&x[0], &x[4], &x[8], &x[12]);
		quarter(&x[1], &x[5], &x[9], &x[13]);
		quarter(&x[2], &x[6], &x[10], &x[14]);
		quarter(&x[3], &x[7], &x[11], &x[15]);
		quarter(&x[0], &x[5], &x[10], &x[15]);
		quarter(&x[1], &x[6], &x[11], &x[12]);
		quarter(&x[2], &x[7], &x[8], &x[13]);
		quarter(&x[3], &x[4], &x[9], &x[14]);
	}
	for (int w = 0; w < 16; w++)
		x[w] += s[w];
	memcpy(out, x, sizeof(x));
}

typedef void run_function(uint32_t start[16][CHACHA_LANES], uint32_t out[16][CHACHA_LANES]);

static void run_portable(uint32_t start[16][CHACHA_LANES], uint32_t out[16][CHACHA_LANES])
{
	run_lanes(start, out);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void run_avx2(uint32_t start[16][CHACHA_LANES],
						     uint32_t out[16][CHACHA_LANES])
{
	run_lanes(start, out);
}

__attribute__((target("avx512f"))) static void run_avx512(uint32_t start[16][CHACHA_LANES],
							  uint32_t out[16][CHACHA_LANES])
{
	run_lanes(start, out);
}
#endif

static run_function *choose(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512f"))
		return run_avx512;
	if (__builtin_cpu_supports("avx2"))
		return run_avx2;
#endif
	return run_portable;
}

static void fill_start(const uint8_t key[CHACHA_KEY_LEN], const struct chacha_at *at, size_t n,
		       uint32_t start[16][CHACHA_LANES])
{
	static const uint32_t constants[4] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };

	for (size_t w = 0; w < 12; w++) {
		uint32_t v = w < 4 ? constants[w] : word_at(key + 4 * (w - 4));

		for (size_t i = 0; i < CHACHA_LANES; i++)
			start[w][i] = v;
	}
	for (size_t i = 0; i < CHACHA_LANES; i++) {
		const struct chacha_at *a = &at[i < n ? i : 0];

		start[12][i] = a->counter;
		start[13][i] = word_at(a->nonce);
		start[14][i] = word_at(a->nonce + 4);
		start[15][i] = word_at(a->nonce + 8);
	}
}

/* The first @words words of the block in @lane. */
static inline void put_words(uint32_t in[16][CHACHA_LANES], size_t lane, size_t words,
			     uint8_t *out)
{
	for (size_t w = 0; w < words; w++) {
		uint32_t v = in[w][lane];

		out[4 * w] = (uint8_t)v;
		out[4 * w + 1] = (uint8_t)(v >> 8);
		out[4 * w + 2] = (uint8_t)(v >> 16);
		out[4 * w + 3] = (uint8_t)(v >> 24);
	}
}

/* @words of each block, one behind the other. */
static inline void run_all(const uint8_t key[CHACHA_KEY_LEN], const struct chacha_at *at,
			   size_t n, size_t words, uint8_t *out)
{
	_Alignas(64) uint32_t start[16][CHACHA_LANES], done[16][CHACHA_LANES];
	run_function *run = choose();

	for (size_t first = 0; first < n; first += CHACHA_LANES) {
		size_t now = n - first < CHACHA_LANES ? n - first : CHACHA_LANES;

		fill_start(key, at + first, now, start);
		run(start, done);
		for (size_t i = 0; i < now; i++)
			put_words(done, i, words, out + 4 * words * (first + i));
	}
	secret_wipe(start, sizeof(start));
	secret_wipe(done, sizeof(done));
}

void chacha_blocks(const uint8_t key[CHACHA_KEY_LEN], const struct chacha_at *at, size_t n,
		   uint8_t (*out)[CHACHA_BLOCK_LEN])
{
	run_all(key, at, n, CHACHA_BLOCK_LEN / 4, (uint8_t *)out);
}

void chacha_heads(const uint8_t key[CHACHA_KEY_LEN], const struct chacha_at *at, size_t n,
		  uint8_t (*out)[CHACHA_HEAD_LEN])
{
	run_all(key, at, n, CHACHA_HEAD_LEN / 4, (uint8_t *)out);
}
