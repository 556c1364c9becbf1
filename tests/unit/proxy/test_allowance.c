/* SPDX-License-Identifier: Apache-2.0 */
/* Against the only rule there is: never more than the rate brings, and one bucket. */
#include <pthread.h>

#include "../test.h"
#include "proxy/allowance.h"

#define SECOND UINT64_C(1000000000)

static void has_no_bound_without_a_rate(void)
{
	CHECK(allowance_take(NULL, 0, 5, 1000) == 1000);
	allowance_return(NULL, 0, 5);
}

static void brings_what_the_rate_says(void)
{
	static const uint64_t rates[] = { 1000, 65536, 12345678, UINT64_C(1) << 40 };

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct allowance a = { 0 };
		uint64_t moved = 0, rate = rates[i], bucket = rate / 4 + 1;

		for (uint64_t t = 1; t <= 1000; t++) { /* ten seconds in steps of 10 ms */
			uint64_t now_ns = SECOND + t * SECOND / 100;

			for (size_t n = 1; n > 0;) {
				n = allowance_take(&a, rate, now_ns, (size_t)bucket);
				moved += n;
			}
		}
		CHECK(moved <= 10 * rate + bucket);
		CHECK(moved >= 10 * rate - 1000); /* less for the fractions of an octet */
	}
}

static void gives_again_what_was_not_needed(void)
{
	struct allowance a = { 0 };
	size_t all = allowance_take(&a, 4000, SECOND, 100000);

	CHECK(all == 1001);
	CHECK(allowance_take(&a, 4000, SECOND, 1) == 0);
	allowance_return(&a, 4000, 1);
	CHECK(allowance_take(&a, 4000, SECOND, 100) == 1);
}

static struct allowance shared;

static void *take_much(void *context)
{
	uint64_t *moved = context;

	for (int i = 0; i < 100000; i++) {
		size_t n = allowance_take(&shared, 400000, SECOND, 7);

		allowance_return(&shared, 400000, n / 2);
		*moved += n - n / 2;
	}
	return NULL;
}

static void many_threads_share_one_bucket(void)
{
	pthread_t threads[4];
	uint64_t moved[4] = { 0 }, sum = 0;

	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, take_much, &moved[i]) == 0);
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		sum += moved[i];
	}
	CHECK(sum == 100001);
}

int main(void)
{
	RUN(has_no_bound_without_a_rate);
	RUN(brings_what_the_rate_says);
	RUN(gives_again_what_was_not_needed);
	RUN(many_threads_share_one_bucket);
	return DONE();
}
