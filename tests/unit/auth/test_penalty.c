/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "auth/penalty.h"

static const uint64_t SECOND = 1000000000;
static const uint64_t START = 5000000000000;

static struct ip_addr v4(uint8_t last)
{
	return (struct ip_addr){ ADDR_V4, { 192, 0, 2, last } };
}

static void a_source_may_fail_a_while_and_then_waits(void)
{
	struct ip_addr bad = v4(1), good = v4(2);
	struct pace *p = NULL;
	int n = 0;

	CHECK(pace_new(&p) == 0);
	for (; n < 100 && penalty_wait_s(p, &bad, START) == 0; n++)
		penalty_failed(p, &bad, START);
	CHECK(n == PENALTY_BURST);
	CHECK(penalty_wait_s(p, &good, START) == 0);
	CHECK(penalty_wait_s(p, &bad, START + 2 * SECOND) == 0); /* it has waited */
	pace_free(p);
}

static void nobody_waits_longer_than_the_bound(void)
{
	struct ip_addr bad = v4(1);
	struct pace *p = NULL;

	CHECK(pace_new(&p) == 0);
	for (int i = 0; i < 100000; i++)
		penalty_failed(p, &bad, START);
	CHECK(penalty_wait_s(p, &bad, START) == PENALTY_WAIT_S);
	CHECK(penalty_wait_s(p, &bad, START + PENALTY_WAIT_S * SECOND) == 0);
	pace_free(p);
}

static void a_network_of_ipv6_is_one_source(void)
{
	struct ip_addr a = { ADDR_V6, { 0x20, 1, [15] = 1 } }, b = a, other = a;
	struct pace *p = NULL;

	CHECK(pace_new(&p) == 0);
	b.b[8] = 0xff;
	other.b[7] = 1;
	for (int i = 0; i < 50; i++)
		penalty_failed(p, &a, START);
	CHECK(penalty_wait_s(p, &b, START) > 0 && penalty_wait_s(p, &other, START) == 0);
	pace_free(p);
}

static void loopback_is_exempt(void)
{
	struct ip_addr addresses[] = { { ADDR_V4, { 127, 0, 0, 9 } },
				       { ADDR_V6, { [15] = 1 } },
				       { .family = ADDR_NONE } };
	struct pace *p = NULL;

	CHECK(pace_new(&p) == 0);
	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 50; j++)
			penalty_failed(p, &addresses[i], START);
		CHECK(penalty_wait_s(p, &addresses[i], START) == 0);
	}
	pace_free(p);
}

int main(void)
{
	RUN(a_source_may_fail_a_while_and_then_waits);
	RUN(nobody_waits_longer_than_the_bound);
	RUN(a_network_of_ipv6_is_one_source);
	RUN(loopback_is_exempt);
	return DONE();
}
