/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens over time, then the table: who is the same source, and what when it is full. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../crypto/seeded.h"
#include "../test.h"
#include "noise/ratelimit.h"

static const uint64_t ms = 1000000;
static const uint64_t start = UINT64_C(5000000000000); /* nobody boots at zero */
static const uint8_t key[16] = { 1, 2, 3 };

static struct ratelimit *make(size_t sources, uint32_t per_second, uint32_t burst)
{
	struct ratelimit *r = NULL;

	CHECK(ratelimit_new(sources, per_second, burst, key, &r) == 0);
	return r;
}

static struct ip_addr v4(uint32_t n)
{
	return (struct ip_addr){ ADDR_V4,
				 { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
				   (uint8_t)n } };
}

/* @network in the upper 64 bits, @host in the lower */
static struct ip_addr v6(uint64_t network, uint64_t host)
{
	struct ip_addr a = { .family = ADDR_V6 };

	for (int i = 0; i < 8; i++) {
		a.b[i] = (uint8_t)(network >> (56 - 8 * i));
		a.b[8 + i] = (uint8_t)(host >> (56 - 8 * i));
	}
	return a;
}

/* How many of @tries at one moment pass. */
static int passing(struct ratelimit *r, uint64_t now_ns, struct ip_addr source, int tries)
{
	int n = 0;

	for (int i = 0; i < tries; i++)
		n += ratelimit_take(r, now_ns, &source);
	return n;
}

/* The steps of the kernel's self-test: 5 at once, then one per 50 ms, and a full burst
 * again after 250 ms of silence. */
static void five_pass_at_once_and_then_one_each_50_ms(void)
{
	struct ratelimit *r = make(1024, 20, 5);
	struct ip_addr a = v4(0x1ca80008);

	CHECK(passing(r, start, a, 20) == 5);
	CHECK(passing(r, start + 49 * ms, a, 1) == 0);
	CHECK(passing(r, start + 50 * ms, a, 3) == 1);
	CHECK(passing(r, start + 100 * ms, a, 3) == 1);
	CHECK(passing(r, start + 300 * ms, a, 3) == 3);
	CHECK(passing(r, start + 300 * ms, a, 3) == 1);
	CHECK(passing(r, start + 350 * ms, a, 9) == 1);
	CHECK(passing(r, start + 600 * ms, a, 9) == 5);
	CHECK(passing(r, start + 3600000 * ms, a, 9) == 5); /* no more than a burst is saved */
	ratelimit_free(r);
}

static void the_second_table_gives_two_a_second_after_four(void)
{
	struct ratelimit *r = make(1024, 2, 4);
	struct ip_addr a = v6(1, 1);

	CHECK(passing(r, start, a, 20) == 4);
	CHECK(passing(r, start + 499 * ms, a, 20) == 0);
	CHECK(passing(r, start + 500 * ms, a, 20) == 1);
	CHECK(passing(r, start + 2500 * ms, a, 20) == 4);
	ratelimit_free(r);
}

/* Against counting tokens one by one, which cannot be wrong. */
static void agrees_with_a_bucket_of_counted_tokens(void)
{
	struct ratelimit *r = make(1024, 20, 5);
	struct ip_addr a = v4(1);
	uint64_t now = start, tokens = 250 * ms; /* in time: 50 ms each, 250 at most */

	for (int i = 0; i < 100000; i++) {
		uint64_t step = seeded_next() % (seeded_next() % 8 ? 60 * ms : 400 * ms);
		bool passes;

		now += step;
		tokens = tokens + step > 250 * ms ? 250 * ms : tokens + step;
		passes = tokens >= 50 * ms;
		CHECK(ratelimit_take(r, now, &a) == passes);
		tokens -= passes ? 50 * ms : 0;
	}
	ratelimit_free(r);
}

static void one_source_cannot_starve_another(void)
{
	struct ratelimit *r = make(65536, 20, 5);
	struct ip_addr loud = v4(1), quiet = v4(2);
	int quiet_passed = 0;

	for (uint64_t t = 0; t < 100; t++) {
		passing(r, start + t * 100 * ms, loud, 1000);
		quiet_passed += passing(r, start + t * 100 * ms, quiet, 1);
	}
	CHECK(quiet_passed == 100);
	ratelimit_free(r);
}

static void ipv6_sources_are_networks_of_64_bits(void)
{
	struct ratelimit *r = make(1024, 20, 5);
	uint64_t network = UINT64_C(0x20010db800000001);
	int n = 0;

	for (uint64_t host = 0; host < 100; host++)
		n += passing(r, start, v6(network, host << 40 | host), 1);
	CHECK(n == 5);
	for (int bit = 0; bit < 64; bit++)
		CHECK(passing(r, start, v6(network ^ UINT64_C(1) << bit, 0), 9) == 5);
	ratelimit_free(r);
}

static void ipv4_sources_are_single_addresses(void)
{
	struct ratelimit *r = make(1024, 20, 5);

	for (uint32_t n = 0; n < 32; n++)
		CHECK(passing(r, start, v4(0x0a000000 ^ 1u << n), 9) == 5);
	CHECK(passing(r, start, v4(0x0a000000), 9) == 5);
	/* 10.0.0.0 and a00::/64 begin with the same octets, and are not the same source */
	CHECK(passing(r, start, v6(UINT64_C(0x0a00000000000000), 0), 9) == 5);
	ratelimit_free(r);
}

static void a_full_table_refuses_new_sources_and_keeps_serving_known_ones(void)
{
	struct ratelimit *r = make(64, 20, 5);
	struct ip_addr known = v4(1);
	int accepted = 0;

	CHECK(passing(r, start, known, 1) == 1);
	for (uint32_t n = 2; n < 10000; n++)
		accepted += passing(r, start, v4(n), 1);
	CHECK(accepted == 63); /* every place was found, and there were no more */
	CHECK(passing(r, start, v4(10001), 1) == 0);
	CHECK(passing(r, start, known, 9) == 4);

	/* One token each: full again, and free again, after 50 ms. */
	CHECK(passing(r, start + 49 * ms, v4(10001), 1) == 0);
	CHECK(passing(r, start + 50 * ms, v4(10001), 1) == 1);
	ratelimit_free(r);
}

static void ten_thousand_flooding_sources_leave_room_for_newcomers(void)
{
	struct ratelimit *r = make(65536, 20, 5);
	int passed = 0;

	for (uint64_t t = 0; t < 20; t++) {
		for (uint32_t n = 0; n < 10000; n++)
			passing(r, start + t * 50 * ms, v4(n), 6);
		for (uint32_t n = 0; n < 500; n++)
			passed += passing(r, start + t * 50 * ms, v4(0xc0000000 + n), 1);
	}
	CHECK(passed >= 9990); /* of 10 000: a row of eight is full once in 20 000 */
	ratelimit_free(r);
}

static void another_key_fills_other_rows(void)
{
	struct ratelimit *a = make(64, 20, 5), *b = NULL;
	uint8_t other[16] = { 9 };
	int differ = 0;

	CHECK(ratelimit_new(64, 20, 5, other, &b) == 0);
	for (uint32_t n = 0; n < 60; n++) {
		struct ip_addr source = v4(n);

		differ +=
			ratelimit_take(a, start, &source) != ratelimit_take(b, start, &source);
	}
	CHECK(differ > 0); /* which sources lost their row cannot be told from outside */
	ratelimit_free(a);
	ratelimit_free(b);
}

static void readings_of_the_clock_may_repeat_or_fall_back_a_little(void)
{
	struct ratelimit *r = make(1024, 20, 5);
	struct ip_addr a = v4(1);

	CHECK(passing(r, start, a, 2) == 2);
	CHECK(passing(r, start - 1, a, 9) == 2); /* the one it is short of comes at start */
	CHECK(passing(r, start, a, 9) == 1);
	CHECK(passing(r, start + 50 * ms, a, 9) == 1);
	ratelimit_free(r);
}

/* Greatest number of 1000 sources, all asking each millisecond since one moment, that pass
 * within one of the milliseconds of the sixth second; *@ret_all: in the whole of it. */
static int greatest_wave(struct ratelimit *r, int *ret_all)
{
	int greatest = 0, all = 0;

	for (uint64_t t = 0; t < 6000; t++) {
		int passed = 0;

		for (uint32_t n = 0; n < 1000; n++)
			passed += passing(r, start + t * ms, v4(n), 1);
		if (t >= 5000) {
			all += passed;
			greatest = passed > greatest ? passed : greatest;
		}
	}
	*ret_all = all;
	ratelimit_free(r);
	return greatest;
}

static void spread_sources_that_began_together_do_not_come_back_together(void)
{
	struct ratelimit *spread = make(65536, 2, 4);
	int all = 0;

	CHECK(greatest_wave(make(65536, 2, 4), &all) == 1000);
	ratelimit_spread(spread);
	CHECK(greatest_wave(spread, &all) < 30); /* 2 at a constant pace */
	CHECK(all > 1900 && all < 2100);
}

static void free_takes_null(void)
{
	CHECK(ratelimit_free(NULL) == NULL);
}

int main(void)
{
	RUN(five_pass_at_once_and_then_one_each_50_ms);
	RUN(the_second_table_gives_two_a_second_after_four);
	RUN(agrees_with_a_bucket_of_counted_tokens);
	RUN(one_source_cannot_starve_another);
	RUN(ipv6_sources_are_networks_of_64_bits);
	RUN(ipv4_sources_are_single_addresses);
	RUN(a_full_table_refuses_new_sources_and_keeps_serving_known_ones);
	RUN(ten_thousand_flooding_sources_leave_room_for_newcomers);
	RUN(another_key_fills_other_rows);
	RUN(readings_of_the_clock_may_repeat_or_fall_back_a_little);
	RUN(spread_sources_that_began_together_do_not_come_back_together);
	RUN(free_takes_null);
	return DONE();
}
