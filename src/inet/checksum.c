/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/checksum.h"

#include <assert.h>

#if defined(__x86_64__)
#	include <immintrin.h>
#endif

/* Few octets, or the last ones. */
static inline __attribute__((always_inline)) uint64_t sum_tail(const uint8_t *data, size_t len)
{
	uint64_t sum = inet_sum_words(data, len);
	size_t at = len & ~(size_t)3;
	uint16_t word;

	if (len & 2) {
		memcpy(&word, data + at, 2);
		sum += word;
		at += 2;
	}
	if (len & 1)
		sum += inet_sum_number((uint16_t)(data[at] << 8));
	return sum;
}

/* --- Any processor --- */

enum { LANES_BYTES = 32 };

typedef uint64_t lanes __attribute__((vector_size(LANES_BYTES)));

/* Both halves of each 64-bit lane are added apart, so no carry is lost. */
uint64_t inet_sum_portable(const uint8_t *data, size_t len)
{
	lanes low[2] = { { 0 } }, high[2] = { { 0 } };
	size_t at = 0;

	for (; at + 2 * LANES_BYTES <= len; at += 2 * LANES_BYTES) {
		lanes v[2];

		memcpy(&v[0], data + at, LANES_BYTES);
		memcpy(&v[1], data + at + LANES_BYTES, LANES_BYTES);
		low[0] += v[0] & 0xffffffff;
		high[0] += v[0] >> 32;
		low[1] += v[1] & 0xffffffff;
		high[1] += v[1] >> 32;
	}
	low[0] += low[1] + high[0] + high[1];
	return low[0][0] + low[0][1] + low[0][2] + low[0][3] + sum_tail(data + at, len - at);
}

/* --- AVX2 --- */

#if defined(__x86_64__)

enum {
	BLOCK = 64,
	AHEAD = 768, /* how far before its use a line is fetched; measured */
};

#	define AVX2 static inline __attribute__((always_inline, target("avx2")))

/*
 * Add 16 words to eight 32-bit sums. The one instruction that adds words in pairs takes
 * them for signed, so each is lowered by 32768 first (the top bit is flipped) and the caller
 * puts that back. 2^31 / 65536 blocks are the most a sum can take.
 */
AVX2 __m256i add_words(__m256i sums, const uint8_t *data)
{
	__m256i words = _mm256_loadu_si256((const void *)data);

	words = _mm256_xor_si256(words, _mm256_set1_epi16(INT16_MIN));
	return _mm256_add_epi32(sums, _mm256_madd_epi16(words, _mm256_set1_epi16(1)));
}

AVX2 int64_t across(__m256i sums)
{
	__m256i wide =
		_mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(sums)),
				 _mm256_cvtepi32_epi64(_mm256_extracti128_si256(sums, 1)));

	return _mm256_extract_epi64(wide, 0) + _mm256_extract_epi64(wide, 1) +
	       _mm256_extract_epi64(wide, 2) + _mm256_extract_epi64(wide, 3);
}

__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *data, size_t len)
{
	__m256i even = _mm256_setzero_si256(), odd = even;
	size_t at = 0;

	for (; at + BLOCK <= len; at += BLOCK) {
		_mm_prefetch((const char *)data + at + AHEAD, _MM_HINT_T0);
		even = add_words(even, data + at);
		odd = add_words(odd, data + at + BLOCK / 2);
	}
	if (at + BLOCK / 2 <= len) {
		even = add_words(even, data + at);
		at += BLOCK / 2;
	}
	return (uint64_t)(across(even) + across(odd) + (int64_t)(at / 2) * 32768) +
	       sum_tail(data + at, len - at);
}

#endif

uint64_t inet_sum(const uint8_t *data, size_t len)
{
	assert(len <= INET_SUM_MAX);
	if (len < 64)
		return sum_tail(data, len);
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return sum_avx2(data, len);
#endif
	return inet_sum_portable(data, len);
}
