/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/checksum.h"

enum { LANES_BYTES = 32 };

typedef uint64_t lanes __attribute__((vector_size(LANES_BYTES)));

/* Both halves of each 64-bit lane, added apart: no carry is ever lost. */
static inline __attribute__((always_inline)) uint64_t sum_lanes(const uint8_t *data, size_t len)
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
	if (at + LANES_BYTES <= len) {
		lanes v;

		memcpy(&v, data + at, LANES_BYTES);
		low[0] += v & 0xffffffff;
		high[0] += v >> 32;
	}

	low[0] += low[1] + high[0] + high[1];
	return low[0][0] + low[0][1] + low[0][2] + low[0][3];
}

/* Fewer octets than one block. */
static uint64_t sum_tail(const uint8_t *data, size_t len)
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

static inline __attribute__((always_inline)) uint64_t sum_all(const uint8_t *data, size_t len)
{
	size_t body = len & ~(size_t)(LANES_BYTES - 1);

	return sum_lanes(data, body) + sum_tail(data + body, len - body);
}

uint64_t inet_sum_portable(const uint8_t *data, size_t len)
{
	return sum_all(data, len);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *data, size_t len)
{
	return sum_all(data, len);
}
#endif

uint64_t inet_sum(const uint8_t *data, size_t len)
{
#if defined(__x86_64__)
	if (len >= LANES_BYTES && __builtin_cpu_supports("avx2"))
		return sum_avx2(data, len);
#endif
	return sum_all(data, len);
}
