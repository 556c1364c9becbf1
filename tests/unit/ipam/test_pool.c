/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "ipam/pool.h"

static struct pool *pool_for(const char *text)
{
	struct ip_prefix prefix;
	struct pool *p = NULL;

	if (ip_prefix_parse(text, true, &prefix) != 0 || pool_new(&prefix, &p) != 0)
		abort();
	return p;
}

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	if (ip_addr_parse(text, &a) != 0)
		abort();
	return a;
}

/* The lowest free host as text, "full" when there is none. */
static const char *lowest(struct pool *p, uint64_t now_ns)
{
	static char text[ADDR_TEXT_MAX];
	struct ip_addr a;

	return pool_take_lowest(p, now_ns, &a) == 0 ? ip_addr_format(&a, text) : "full";
}

static void the_first_peer_gets_the_host_after_the_gateway(void)
{
	struct pool *v4 = pool_for("10.0.1.0/24");
	struct pool *v6 = pool_for("fd42:4242:1::/64");
	struct ip_addr gateway = pool_gateway(v4);

	CHECK(ip_addr_equal(&gateway, &(struct ip_addr){ ADDR_V4, { 10, 0, 1, 1 } }));
	CHECK(strcmp(lowest(v4, 0), "10.0.1.2") == 0);
	CHECK(strcmp(lowest(v4, 0), "10.0.1.3") == 0);
	CHECK(strcmp(lowest(v6, 0), "fd42:4242:1::2") == 0);
	CHECK(strcmp(lowest(v6, 0), "fd42:4242:1::3") == 0);
	pool_free(v4);
	pool_free(v6);
}

static void network_gateway_and_broadcast_are_never_given(void)
{
	struct pool *p = pool_for("192.0.2.0/30");
	struct ip_addr refused[] = { addr("192.0.2.0"), addr("192.0.2.1"),   addr("192.0.2.3"),
				     addr("192.0.2.4"), addr("192.0.1.255"), addr("::2") };

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		CHECK(pool_take(p, 0, &refused[i]) == ERR_RANGE);
	CHECK(pool_total(p) == 1);
	CHECK(strcmp(lowest(p, 0), "192.0.2.2") == 0);
	CHECK(strcmp(lowest(p, 0), "full") == 0);
	pool_free(p);
}

static void every_prefix_size_gives_exactly_its_hosts(void)
{
	for (unsigned int bits = 16; bits <= POOL_V4_BITS_MAX; bits++) {
		struct ip_prefix prefix = { { ADDR_V4, { 10, 64 } }, (uint8_t)bits };
		struct pool *p = NULL;
		uint64_t given = 0;
		struct ip_addr a;

		CHECK(pool_new(&prefix, &p) == 0);
		CHECK(pool_total(p) == (UINT64_C(1) << (32 - bits)) - 3);
		while (pool_take_lowest(p, 0, &a) == 0)
			given++;
		CHECK(given == pool_total(p) && given == pool_used(p));
		pool_free(p);
	}
}

static void refuses_prefixes_without_room_for_a_peer(void)
{
	const char *texts[] = { "10.0.0.0/31", "10.0.0.0/32", "fd00::/127", "fd00::1/128" };
	struct pool *p = NULL;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ip_prefix prefix;

		CHECK(ip_prefix_parse(texts[i], true, &prefix) == 0);
		CHECK(pool_new(&prefix, &p) == ERR_RANGE);
	}
	CHECK(!p);
}

static void a_slash_8_reaches_its_last_host(void)
{
	struct pool *p = pool_for("10.0.0.0/8");
	struct ip_addr last = addr("10.255.255.254"), broadcast = addr("10.255.255.255");
	struct ip_addr middle = addr("10.64.0.0"); /* ordinary hosts inside a /8 */

	CHECK(pool_total(p) == (1 << 24) - 3);
	CHECK(pool_take(p, 0, &last) == 0);
	CHECK(pool_take(p, 0, &last) == ERR_EXISTS);
	CHECK(pool_take(p, 0, &broadcast) == ERR_RANGE);
	CHECK(pool_take(p, 0, &middle) == 0);
	CHECK(strcmp(lowest(p, 0), "10.0.0.2") == 0);
	pool_free(p);
}

static void a_slash_64_is_bounded_to_the_hosts_of_the_tree(void)
{
	struct pool *p = pool_for("fd42:4242:1::/64");
	struct ip_addr last = addr("fd42:4242:1::ff:ffff"), beyond = addr("fd42:4242:1::100:0");
	struct ip_addr far = addr("fd42:4242:1:0:1::2"), other = addr("fd42:4242:2::2");

	CHECK(pool_take(p, 0, &last) == 0);
	CHECK(pool_held(p, &last));
	CHECK(pool_take(p, 0, &beyond) == ERR_RANGE);
	CHECK(pool_take(p, 0, &far) == ERR_RANGE);
	CHECK(pool_take(p, 0, &other) == ERR_RANGE);
	CHECK(!pool_held(p, &far));
	pool_free(p);
}

static void a_released_host_rests_until_its_time(void)
{
	struct pool *p = pool_for("10.0.1.0/24");
	struct ip_addr two = addr("10.0.1.2");

	CHECK(strcmp(lowest(p, 0), "10.0.1.2") == 0);
	CHECK(pool_release(p, &two, 100) == 0);
	CHECK(pool_used(p) == 0 && pool_resting(p) == 1);
	CHECK(!pool_held(p, &two));
	CHECK(pool_take(p, 99, &two) == ERR_EXPIRED);
	CHECK(strcmp(lowest(p, 99), "10.0.1.3") == 0);
	CHECK(strcmp(lowest(p, 100), "10.0.1.2") == 0);
	pool_free(p);
}

static void refuses_to_release_what_is_not_held(void)
{
	struct pool *p = pool_for("10.0.1.0/24");
	struct ip_addr two = addr("10.0.1.2"), gateway = addr("10.0.1.1");

	CHECK(pool_release(p, &two, 0) == ERR_UNKNOWN);
	CHECK(pool_release(p, &gateway, 0) == ERR_UNKNOWN);
	CHECK(pool_take(p, 0, &two) == 0);
	CHECK(pool_release(p, &two, 50) == 0);
	CHECK(pool_release(p, &two, 50) == ERR_UNKNOWN); /* it rests already */
	CHECK(pool_resting(p) == 1);
	pool_free(p);
}

static void one_hole_in_a_full_pool_is_found_again(void)
{
	struct pool *p = pool_for("10.0.0.0/14"); /* fills whole nodes at every level */
	const char *holes[] = { "10.0.0.2", "10.1.2.3", "10.3.255.254" };
	struct ip_addr a;

	while (pool_take_lowest(p, 0, &a) == 0)
		;
	CHECK(pool_used(p) == (1 << 18) - 3);
	for (size_t i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
		a = addr(holes[i]);
		CHECK(pool_release(p, &a, 0) == 0);
		CHECK(strcmp(lowest(p, 0), holes[i]) == 0);
		CHECK(strcmp(lowest(p, 0), "full") == 0);
	}
	pool_free(p);
}

/* --- Against a model too simple to be wrong: one array, searched from the bottom --- */

static uint64_t random_state = 20240611;

static unsigned int draw(unsigned int below)
{
	random_state = random_state * 6364136223846793005U + 1442695040888963407U;
	return (unsigned int)(random_state >> 33) % below;
}

enum { MODEL_HOSTS = 1 << 13 };

struct model {
	uint64_t until[MODEL_HOSTS]; /* 0 free, UINT64_MAX held, else resting until then */
	unsigned int hosts;
};

static unsigned int model_lowest(struct model *m, uint64_t now)
{
	for (unsigned int h = 2; h < m->hosts - 1; h++)
		if (m->until[h] <= now)
			return h;
	return 0;
}

static struct ip_addr host(unsigned int h)
{
	return (struct ip_addr){ ADDR_V4, { 10, 9, (uint8_t)(h >> 8), (uint8_t)h } };
}

static void step(struct pool *p, struct model *m, uint64_t now)
{
	unsigned int h = draw(m->hosts);
	bool given = h >= 2 && h < m->hosts - 1;
	struct ip_addr a = host(h), got;

	switch (draw(3)) {
	case 0: {
		unsigned int expected = model_lowest(m, now);
		int err = pool_take_lowest(p, now, &got);

		CHECK(err == (expected ? 0 : ERR_EXHAUSTED));
		a = host(expected);
		CHECK(err != 0 || ip_addr_equal(&got, &a));
		if (expected)
			m->until[expected] = UINT64_MAX;
		break;
	}
	case 1: {
		bool free_now = given && m->until[h] <= now;
		int busy = m->until[h] == UINT64_MAX ? ERR_EXISTS : ERR_EXPIRED;

		CHECK(pool_take(p, now, &a) == (free_now ? 0 : given ? busy : ERR_RANGE));
		if (free_now)
			m->until[h] = UINT64_MAX;
		break;
	}
	default: {
		bool held = given && m->until[h] == UINT64_MAX;
		uint64_t until = draw(4) ? now + 1 + draw(500) : 0;

		CHECK(pool_held(p, &a) == held);
		CHECK(pool_release(p, &a, until) == (held ? 0 : ERR_UNKNOWN));
		if (held)
			m->until[h] = until;
		break;
	}
	}
}

static void random_operations_agree_with_a_naive_model(void)
{
	static struct model m;

	for (unsigned int bits = 19; bits <= POOL_V4_BITS_MAX; bits++) {
		struct ip_prefix prefix = { { ADDR_V4, { 10, 9 } }, (uint8_t)bits };
		struct pool *p = NULL;

		memset(&m, 0, sizeof(m));
		m.hosts = 1U << (32 - bits);
		CHECK(pool_new(&prefix, &p) == 0);
		for (uint64_t now = 1; now < 20000; now += draw(2))
			step(p, &m, now);

		unsigned int held = 0;

		for (unsigned int h = 0; h < m.hosts; h++)
			held += m.until[h] == UINT64_MAX;
		CHECK(pool_used(p) == held);
		pool_free(p);
	}
}

int main(void)
{
	printf("# seed %llu\n", (unsigned long long)random_state);
	RUN(the_first_peer_gets_the_host_after_the_gateway);
	RUN(network_gateway_and_broadcast_are_never_given);
	RUN(every_prefix_size_gives_exactly_its_hosts);
	RUN(refuses_prefixes_without_room_for_a_peer);
	RUN(a_slash_8_reaches_its_last_host);
	RUN(a_slash_64_is_bounded_to_the_hosts_of_the_tree);
	RUN(a_released_host_rests_until_its_time);
	RUN(refuses_to_release_what_is_not_held);
	RUN(one_hole_in_a_full_pool_is_found_again);
	RUN(random_operations_agree_with_a_naive_model);
	return DONE();
}
