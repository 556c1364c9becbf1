/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "gateway/leak.h"

#define MINUTE (UINT64_C(60) * 1000000000)

static struct ip_addr address(const char *text)
{
	struct ip_addr a = { .family = ADDR_NONE };

	if (ip_addr_parse(text, &a) < 0)
		abort();
	return a;
}

/* Goes through @places, one each @step_ns. Return: which move was told, from 1; 0: none. */
static int walk(struct leak *l, const char *const *places, size_t n, uint64_t step_ns)
{
	int told = 0;

	for (size_t i = 1; i < n; i++) {
		struct ip_addr from = address(places[i - 1]), to = address(places[i]);

		if (leak_moved(l, &from, &to, MINUTE + i * step_ns) && told == 0)
			told = (int)i;
	}
	return told;
}

#define WALK(l, step, ...)                            \
	walk(l, (const char *const[]){ __VA_ARGS__ }, \
	     sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *), step)

static void two_devices_with_one_key_are_told_at_the_second_return(void)
{
	struct leak l = { .told_ns = 0 }, other = { .told_ns = 0 };

	CHECK(WALK(&l, MINUTE, "192.0.2.1", "198.51.100.1", "192.0.2.1", "198.51.100.1") == 3);
	CHECK(WALK(&other, MINUTE, "2001:db8::1", "192.0.2.1", "2001:db8::1", "192.0.2.1") ==
	      3);
}

static void three_devices_are_told_too(void)
{
	struct leak l = { .told_ns = 0 };

	CHECK(WALK(&l, MINUTE, "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1",
		   "192.0.2.2") == 4);
}

static void who_travels_and_comes_home_is_not_told(void)
{
	struct leak l = { .told_ns = 0 }, home = { .told_ns = 0 };

	CHECK(WALK(&l, MINUTE / 10, "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4",
		   "192.0.2.5", "192.0.2.6", "192.0.2.7", "192.0.2.8") == 0);
	CHECK(WALK(&home, MINUTE, "192.0.2.1", "198.51.100.1", "192.0.2.1") == 0);
}

static void going_to_work_and_home_every_day_is_not_told(void)
{
	struct leak l = { .told_ns = 0 };

	CHECK(WALK(&l, 11 * MINUTE, "192.0.2.1", "198.51.100.1", "192.0.2.1", "198.51.100.1",
		   "192.0.2.1", "198.51.100.1", "192.0.2.1", "198.51.100.1") == 0);
}

static void addresses_of_one_network_are_one_place_in_ipv6_only(void)
{
	struct leak l = { .told_ns = 0 }, v4 = { .told_ns = 0 };

	CHECK(WALK(&l, MINUTE, "2001:db8::1", "2001:db8::2", "2001:db8::1", "2001:db8::2",
		   "2001:db8::1") == 0);
	CHECK(WALK(&v4, MINUTE, "192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2") == 3);
}

static void it_is_said_again_only_after_a_while(void)
{
	struct ip_addr a = address("192.0.2.1"), b = address("192.0.2.2");
	struct leak l = { .told_ns = 0 };
	int told = 0;

	for (uint64_t i = 1; i <= 120; i++)
		told += leak_moved(&l, i % 2 ? &a : &b, i % 2 ? &b : &a, i * MINUTE);
	CHECK(told == 2); /* in minutes 3 and 64 */
}

static void no_address_is_no_place(void)
{
	struct ip_addr none = { .family = ADDR_NONE }, a = address("192.0.2.1");
	struct leak l = { .told_ns = 0 };
	bool told = false;

	for (uint64_t i = 1; i < 9; i++)
		told |= leak_moved(&l, i % 2 ? &a : &none, i % 2 ? &none : &a, i * MINUTE);
	CHECK(!told);
}

/* The model keeps every move for ever. */
static void random_walks_agree_with_a_list_of_everything(void)
{
	enum { N = 4000, SITES = LEAK_PLACES };
	static uint64_t left_ns[N];
	static int left[N];
	uint64_t state = 2718281, now = MINUTE, told_ns = 0, returns[N];
	struct leak l = { .told_ns = 0 };
	int at = 0, n_returns = 0, n_told = 0;
	bool agrees = true;

	printf("# seed %llu\n", (unsigned long long)state);
	for (int i = 0; i < N; i++) {
		struct ip_addr from = { .family = ADDR_V4 }, to = { .family = ADDR_V4 };
		bool expected = false, is_return = false;
		int next;

		state = state * 6364136223846793005U + 1442695040888963407U;
		now += (state >> 33) % 720 * (MINUTE / 60);
		next = (at + 1 + (int)((state >> 20) % (SITES - 1))) % SITES;
		for (int j = 0; j < i; j++)
			is_return |= left[j] == next && now - left_ns[j] <= 10 * MINUTE;
		if (is_return)
			returns[n_returns++] = now;
		if (is_return && n_returns >= 2 && now - returns[n_returns - 2] <= 10 * MINUTE)
			expected = told_ns == 0 || now - told_ns > 60 * MINUTE;
		told_ns = expected ? now : told_ns;
		from.b[3] = (uint8_t)at;
		to.b[3] = (uint8_t)next;
		agrees &= leak_moved(&l, &from, &to, now) == expected;
		left[i] = at;
		left_ns[i] = now;
		at = next;
		n_told += expected;
	}
	CHECK(agrees);
	printf("# %d returns, told %d times\n", n_returns, n_told);
	CHECK(n_told > 10 && n_returns > 100);
}

int main(void)
{
	RUN(two_devices_with_one_key_are_told_at_the_second_return);
	RUN(three_devices_are_told_too);
	RUN(who_travels_and_comes_home_is_not_told);
	RUN(going_to_work_and_home_every_day_is_not_told);
	RUN(addresses_of_one_network_are_one_place_in_ipv6_only);
	RUN(it_is_said_again_only_after_a_while);
	RUN(no_address_is_no_place);
	RUN(random_walks_agree_with_a_list_of_everything);
	return DONE();
}
