/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../test.h"
#include "auth/allowance.h"

static const uint64_t SECOND = 1000000000;
static const uint64_t START = 5000000000000;

static struct allowance make(uint32_t per_s)
{
	struct allowance a = { .per_s = per_s };

	CHECK(pace_new(&a.sources) == 0 && pace_new(&a.keys) == 0);
	return a;
}

static void done(struct allowance *a)
{
	pace_free(a->sources);
	pace_free(a->keys);
}

static struct ip_addr v4(uint8_t last)
{
	return (struct ip_addr){ ADDR_V4, { 192, 0, 2, last } };
}

/* How many of @n, evenly from @now_ns over a second, go through. */
static unsigned int in_a_second(const struct allowance *a, const struct ip_addr *from,
				uint64_t now_ns, unsigned int n)
{
	unsigned int through = 0;

	for (unsigned int i = 0; i < n; i++)
		through += allowance_source(a, from, now_ns + i * SECOND / n) == 0;
	return through;
}

static void a_source_may_send_so_many_and_twice_as_many_at_once(void)
{
	struct allowance a = make(100);
	struct ip_addr eager = v4(1), other = v4(2);
	unsigned int n = 0;

	while (n < 1000 && allowance_source(&a, &eager, START) == 0)
		n++;
	CHECK(n == 200);
	CHECK(allowance_source(&a, &eager, START) == 1);
	CHECK(allowance_source(&a, &other, START) == 0);
	CHECK(in_a_second(&a, &eager, START, 5000) >= 99);
	CHECK(in_a_second(&a, &eager, START + SECOND, 5000) <= 101);
	CHECK(in_a_second(&a, &eager, START + 10 * SECOND, 100) == 100);
	done(&a);
}

static void a_key_has_its_own_wherever_it_is_used_from(void)
{
	struct allowance a = make(10);
	struct principal one = { .kind = PRINCIPAL_KEY, .key_id = 7, .name = "key a" };
	struct principal other = { .kind = PRINCIPAL_KEY, .key_id = 8, .name = "key a" };
	unsigned int n = 0;

	for (; n < 100; n++) {
		struct ip_addr from = v4((uint8_t)n);

		if (allowance_key(&a, &one, &from, START) != 0)
			break;
	}
	CHECK(n == 20);
	CHECK(allowance_key(&a, &other, &(struct ip_addr){ ADDR_V4, { 192, 0, 2, 1 } },
			    START) == 0);
	done(&a);
}

static void loopback_and_no_limit_never_wait(void)
{
	struct allowance none = make(0), some = make(1);
	struct ip_addr far = v4(1), near = { ADDR_V4, { 127, 0, 0, 9 } },
		       socket = { .family = ADDR_NONE };

	for (int i = 0; i < 100; i++) {
		CHECK(allowance_source(&none, &far, START) == 0);
		CHECK(allowance_source(&some, &near, START) == 0);
		CHECK(allowance_source(&some, &socket, START) == 0);
	}
	done(&none);
	done(&some);
}

int main(void)
{
	RUN(a_source_may_send_so_many_and_twice_as_many_at_once);
	RUN(a_key_has_its_own_wherever_it_is_used_from);
	RUN(loopback_and_no_limit_never_wait);
	return DONE();
}
