/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "gateway/networks.h"

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p;

	if (ip_prefix_parse(text, true, &p) != 0)
		abort();
	return p;
}

static void each_prefix_is_counted_by_itself(void)
{
	static const char *const alike[] = { "10.0.0.0/8",  "10.0.0.0/9", "a00::/8",
					     "10.0.0.0/32", "::/0",	  "0.0.0.0/0",
					     "10.128.0.0/9" };
	struct networks *n = NULL;

	CHECK(networks_new(&n) == 0);
	for (size_t i = 0; i < sizeof(alike) / sizeof(alike[0]); i++) {
		struct ip_prefix p = prefix(alike[i]);

		CHECK(networks_count(n, &p) == 0);
		CHECK(networks_claim(n, &p) == 0 && networks_count(n, &p) == 1);
	}
	networks_free(n);
}

/* Against an array, over a small world, so that the same ones come and go often. */
static void counts_agree_with_an_array(void)
{
	enum { WORLD = 700, STEPS = 200000 };
	static size_t naive[WORLD];
	uint64_t state = 20261127;
	struct networks *n = NULL;
	bool agrees = true;

	printf("# seed %llu\n", (unsigned long long)state);
	CHECK(networks_new(&n) == 0);
	for (int i = 0; i < STEPS; i++) {
		struct ip_prefix p = { .ip = { .family = ADDR_V4 }, .bits = 24 };
		size_t which;

		state = state * 6364136223846793005U + 1442695040888963407U;
		which = (state >> 33) % WORLD;
		p.ip.b[0] = (uint8_t)(which >> 8);
		p.ip.b[1] = (uint8_t)which;
		if ((state >> 20) % 5 < 2) {
			agrees &= networks_claim(n, &p) == 0;
			naive[which]++;
		} else {
			networks_release(n, &p);
			naive[which] -= naive[which] > 0;
		}
		agrees &= networks_count(n, &p) == naive[which];
	}
	CHECK(agrees);
	networks_free(n);
}

int main(void)
{
	RUN(each_prefix_is_counted_by_itself);
	RUN(counts_agree_with_an_array);
	return DONE();
}
