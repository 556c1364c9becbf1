/* SPDX-License-Identifier: Apache-2.0 */
/* The backlog against a plain list, from which the oldest are taken by hand. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "carrier/backlog.h"
#include "sys/random.h"

enum { SIZE = 10000 };

#define AGE_NS UINT64_C(1000)

static void gives_back_in_order_with_headers(void)
{
	struct backlog *b = backlog_new(SIZE, AGE_NS);
	char out[16];

	backlog_put(b, 0, "1", 1, "abc", 3);
	backlog_put(b, 0, "2", 1, "de", 2);
	CHECK(backlog_octets(b) == 7);
	CHECK(backlog_take(b, 0, out, 6) == 4 && memcmp(out, "1abc", 4) == 0);
	CHECK(backlog_take(b, 0, out, 2) == 0); /* too small for the next */
	CHECK(backlog_take(b, 0, out, 3) == 3 && memcmp(out, "2de", 3) == 0);
	CHECK(backlog_take(b, 0, out, sizeof(out)) == 0);
	CHECK(backlog_octets(b) == 0);
	backlog_free(b);
}

static void drops_the_oldest_for_the_newest(void)
{
	struct backlog *b = backlog_new(SIZE, AGE_NS);
	static uint8_t payload[1000], out[SIZE];
	const struct backlog_counts *counts = backlog_counts(b);

	for (int i = 0; i < 25; i++) {
		memset(payload, i, sizeof(payload));
		backlog_put(b, 0, "", 0, payload, sizeof(payload));
		CHECK(backlog_octets(b) <= SIZE);
	}
	CHECK(backlog_take(b, 0, out, sizeof(out)) == SIZE);
	CHECK(out[0] == 15 && out[SIZE - 1] == 24);
	CHECK(counts->taken == 25 && counts->crowded == 15 && counts->stale == 0);
	backlog_put(b, 0, "", 0, out, sizeof(out)); /* just fits */
	CHECK(backlog_octets(b) == SIZE);
	backlog_put(b, 0, "x", 1, out, sizeof(out)); /* never does, and costs nothing else */
	CHECK(backlog_octets(b) == SIZE && counts->crowded == 16);
	backlog_free(b);
}

static void does_not_send_what_has_waited_too_long(void)
{
	struct backlog *b = backlog_new(SIZE, AGE_NS);
	char out[16];

	backlog_put(b, 100, "", 0, "old", 3);
	backlog_put(b, 101, "", 0, "new", 3);
	CHECK(backlog_take(b, 101 + AGE_NS, out, sizeof(out)) == 3);
	CHECK(memcmp(out, "new", 3) == 0);
	CHECK(backlog_counts(b)->stale == 1);
	backlog_free(b);
}

static void bounds_the_number_of_small_ones(void)
{
	struct backlog *b = backlog_new(1 << 20, AGE_NS);

	for (int i = 0; i < BACKLOG_ENTRIES + 5; i++)
		backlog_put(b, 0, "", 0, "x", 1);
	CHECK(backlog_octets(b) == BACKLOG_ENTRIES);
	CHECK(backlog_counts(b)->crowded == 5);
	backlog_free(b);
}

/* The model: everything that was put and not taken, oldest first. What is taken must be a run of
 * it without a gap, and begin no later than the memory forces it to. */
static void behaves_as_a_list_whatever_the_order(void)
{
	enum { ROUNDS = 20000, LONGEST = 3000 };
	struct backlog *b = backlog_new(SIZE, UINT64_MAX);
	static uint8_t payload[LONGEST], out[SIZE];
	uint32_t lens[ROUNDS], seed;
	size_t put = 0, next = 0; /* numbers of datagrams: made, to be taken next */
	uint64_t took = 0;

	random_fill(&seed, sizeof(seed));
	printf("# seed %u\n", seed);
	for (int round = 0; round < ROUNDS; round++) {
		size_t n, at = 0;

		seed = seed * 1103515245 + 12345;
		if (seed >> 30) { /* three of four */
			uint32_t number = (uint32_t)put;

			lens[put] = 4 + (seed >> 8) % (LONGEST - 4);
			memset(payload, (int)(number & 255), lens[put]);
			backlog_put(b, 0, &number, 4, payload, lens[put] - 4);
			put++;
			continue;
		}
		n = backlog_take(b, 0, out, (seed >> 8) % SIZE);
		while (at < n) {
			uint32_t number;

			memcpy(&number, out + at, 4);
			CHECK(number < put && number >= next);
			CHECK(at == 0 || number == next); /* gaps only in front */
			CHECK(lens[number] == 4 || out[at + 4] == (number & 255));
			CHECK(out[at + lens[number] - 1] == (number & 255) ||
			      lens[number] == 4);
			at += lens[number];
			next = number + 1;
			took++;
		}
		CHECK(at == n);
	}
	while (next < put && backlog_take(b, 0, out, SIZE) > 0) {
	}
	CHECK(backlog_octets(b) == 0);
	CHECK(took > ROUNDS / 10);
	CHECK(backlog_counts(b)->taken == put);
	backlog_free(b);
}

int main(void)
{
	RUN(gives_back_in_order_with_headers);
	RUN(drops_the_oldest_for_the_newest);
	RUN(does_not_send_what_has_waited_too_long);
	RUN(bounds_the_number_of_small_ones);
	RUN(behaves_as_a_list_whatever_the_order);
	return DONE();
}
