/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../test.h"
#include "crypto/generator.h"
#include "seeded.h"

static void seed(struct generator *g, uint8_t number)
{
	uint8_t octets[GENERATOR_SEED_LEN] = { number };

	generator_init(g, octets);
}

/* --- The stream --- */

/* Fast key erasure by hand: each pool is ChaCha20 under the first octets of the one before. */
static void the_stream_is_chacha_under_keys_that_follow_each_other(void)
{
	enum { TAKEN = GENERATOR_POOL - CHACHA_KEY_LEN };
	uint8_t key[CHACHA_KEY_LEN] = { 9 };
	struct generator g;

	generator_init(&g, key);
	for (int pool = 0; pool < 3; pool++) {
		uint8_t expected[CHACHA_LANES][CHACHA_BLOCK_LEN], out[TAKEN];

		for (uint32_t i = 0; i < CHACHA_LANES; i++)
			chacha_blocks(key, &(struct chacha_at){ .counter = i }, 1,
				      &expected[i]);
		generator_fill(&g, out, sizeof(out));
		CHECK(memcmp(out, &expected[0][0] + CHACHA_KEY_LEN, sizeof(out)) == 0);
		memcpy(key, expected, sizeof(key));
	}
}

static void the_size_of_the_pieces_does_not_change_the_stream(void)
{
	static uint8_t whole[5000], pieces[5000];
	struct generator a, b;
	size_t at = 0;

	seed(&a, 1);
	seed(&b, 1);
	generator_fill(&a, whole, sizeof(whole));
	while (at < sizeof(pieces)) {
		size_t len = seeded_next() % 90;

		len = len < sizeof(pieces) - at ? len : sizeof(pieces) - at;
		generator_fill(&b, pieces + at, len);
		at += len;
	}
	CHECK(memcmp(whole, pieces, sizeof(whole)) == 0);
}

static void another_seed_makes_another_stream(void)
{
	uint8_t one[32], other[32];
	struct generator a, b;

	seed(&a, 1);
	seed(&b, 2);
	generator_fill(&a, one, sizeof(one));
	generator_fill(&b, other, sizeof(other));
	CHECK(memcmp(one, other, sizeof(one)) != 0);
}

/* --- Forgetting --- */

static bool holds(const struct generator *g, const uint8_t *octets, size_t len)
{
	return memmem(g, sizeof(*g), octets, len) != NULL;
}

static void what_was_taken_is_not_in_memory_any_more(void)
{
	struct generator g;
	uint8_t out[40];

	seed(&g, 3);
	for (int i = 0; i < 200; i++) {
		generator_fill(&g, out, sizeof(out));
		for (size_t at = 0; at + 8 <= sizeof(out); at++)
			CHECK(!holds(&g, out + at, 8));
	}
}

static void the_seed_and_the_pools_before_are_not_in_memory_any_more(void)
{
	uint8_t octets[GENERATOR_SEED_LEN], out[GENERATOR_POOL];
	struct generator g, before;

	seeded_fill(octets, sizeof(octets));
	generator_init(&g, octets);
	CHECK(!holds(&g, octets, 8));
	before = g;
	generator_fill(&g, out, sizeof(out));
	for (size_t at = 0; at + 8 <= sizeof(before.pool); at += 8)
		CHECK(!holds(&g, before.pool + at, 8));
}

static void done_leaves_nothing(void)
{
	static const struct generator zeros;
	struct generator g;

	seed(&g, 4);
	generator_done(&g);
	CHECK(memcmp(&g, &zeros, sizeof(g)) == 0);
}

/* --- Numbers --- */

enum { BUCKETS_MAX = 256 };

/* Is @seen as even as @n draws into @buckets may be? Chi-square is about normal around its
 * degrees of freedom with twice that as variance; five deviations are never seen by chance. */
static bool is_even(const uint32_t *seen, uint32_t buckets, uint32_t n)
{
	double expected = (double)n / buckets, sum = 0, freedom = buckets - 1;
	double above;

	for (uint32_t i = 0; i < buckets; i++)
		sum += (seen[i] - expected) * (seen[i] - expected) / expected;
	above = sum - freedom;
	return above <= 0 || above * above <= 25 * 2 * freedom;
}

static void small_ranges_are_drawn_evenly_with_both_ends(void)
{
	static const uint32_t widths[] = { 2, 3, 5, 6, 7, 10, 16, 52, 100, 251, 256 };
	struct generator g;

	seed(&g, 5);
	for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
		uint32_t seen[BUCKETS_MAX] = { 0 }, width = widths[w], n = 400 * width;
		uint32_t lo = w % 2 ? UINT32_MAX - width + 1 : 5 * width;

		for (uint32_t i = 0; i < n; i++) {
			uint32_t v = generator_between(&g, lo, lo + width - 1) - lo;

			if (v >= width)
				FAIL("outside of the range");
			else
				seen[v]++;
		}
		CHECK(seen[0] && seen[width - 1]);
		CHECK(is_even(seen, width, n));
	}
}

/* Of 2^32 words, 3 * 2^30 results cannot all get the same share: without drawing again, every
 * third would come twice as often. */
static void ranges_that_do_not_divide_the_words_are_drawn_evenly(void)
{
	uint32_t seen[3] = { 0 };
	struct generator g;

	seed(&g, 6);
	for (uint32_t i = 0; i < 30000; i++)
		seen[generator_between(&g, 0, 3 * (UINT32_C(1) << 30) - 1) % 3]++;
	CHECK(is_even(seen, 3, 30000));
}

static void the_full_range_is_spread_over(void)
{
	uint32_t high[256] = { 0 }, low[256] = { 0 };
	struct generator g;

	seed(&g, 7);
	for (uint32_t i = 0; i < 50000; i++) {
		uint32_t v = generator_between(&g, 0, UINT32_MAX);

		high[v >> 24]++;
		low[v & 255]++;
	}
	CHECK(is_even(high, 256, 50000) && is_even(low, 256, 50000));
}

static void one_value_is_always_that_value(void)
{
	struct generator g, untouched;

	seed(&g, 8);
	untouched = g;
	CHECK(generator_between(&g, 0, 0) == 0 && generator_between(&g, 42, 42) == 42);
	CHECK(generator_between(&g, UINT32_MAX, UINT32_MAX) == UINT32_MAX);
	CHECK(memcmp(&g, &untouched, sizeof(g)) == 0);
}

int main(void)
{
	RUN(the_stream_is_chacha_under_keys_that_follow_each_other);
	RUN(the_size_of_the_pieces_does_not_change_the_stream);
	RUN(another_seed_makes_another_stream);
	RUN(what_was_taken_is_not_in_memory_any_more);
	RUN(the_seed_and_the_pools_before_are_not_in_memory_any_more);
	RUN(done_leaves_nothing);
	RUN(small_ranges_are_drawn_evenly_with_both_ends);
	RUN(ranges_that_do_not_divide_the_words_are_drawn_evenly);
	RUN(the_full_range_is_spread_over);
	RUN(one_value_is_always_that_value);
	return DONE();
}
