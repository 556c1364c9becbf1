/* SPDX-License-Identifier: Apache-2.0 */
/* The table of flows against an array that is searched from one end to the other. */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "crypto/generator.h"
#include "usernet/flow.h"

enum { MAX = 64, ROUNDS = 20000 };

static const uint8_t key[16] = { 1, 2, 3 };

static struct inet_pair pair_of(uint32_t peer, uint32_t port)
{
	return (struct inet_pair){ .local = { ADDR_V4, { 1, 1, 1, 1 } },
				   .remote = { ADDR_V4, { 10, 0, 0, (uint8_t)peer } },
				   .local_port = 80,
				   .remote_port = (uint16_t)port };
}

static struct flow *new_flow(struct flows *f, uint32_t peer, uint32_t port)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	flow->kind = FLOW_TCP;
	flow->pair = pair_of(peer, port);
	flow_add(f, flow);
	return flow;
}

static void drop(struct flows *f, struct flow *flow)
{
	flow_remove(f, flow);
	free(flow);
}

static void finds_what_was_entered_and_nothing_else(void)
{
	const uint8_t seed[GENERATOR_SEED_LEN] = { 3 };
	struct flow *model[4][32] = { 0 };
	struct generator g;
	struct flows f;

	generator_init(&g, seed);
	CHECK(flows_init(&f, 4 * 32, key) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t peer = generator_between(&g, 0, 3),
			 port = generator_between(&g, 0, 31);
		struct flow **at = &model[peer][port];
		struct inet_pair pair = pair_of(peer, port);

		CHECK(flow_find(&f, FLOW_TCP, &pair) == *at);
		CHECK(flow_find(&f, FLOW_UDP, &pair) == NULL);
		if (*at && generator_between(&g, 0, 1)) {
			drop(&f, *at);
			*at = NULL;
		} else if (!*at) {
			*at = new_flow(&f, peer, port);
		} else {
			flow_touch(&f, *at);
		}
	}
	for (int i = 0; i < 4 * 32; i++)
		if (model[i / 32][i % 32])
			drop(&f, model[i / 32][i % 32]);
	CHECK(f.n == 0 && f.newest == NULL && f.oldest == NULL);
	flows_done(&f);
	generator_done(&g);
}

static void the_one_that_was_idle_for_longest_makes_room(void)
{
	struct inet_pair next = pair_of(200, 1);
	struct flow *flows[MAX], *victim = NULL;
	struct flows f;

	CHECK(flows_init(&f, MAX, key) == 0);
	for (uint32_t i = 0; i < MAX; i++) {
		CHECK(flow_victim(&f, &next, &victim) && victim == NULL);
		flows[i] = new_flow(&f, i, 1);
	}
	flow_touch(&f, flows[0]);
	flow_touch(&f, flows[2]);
	CHECK(flow_victim(&f, &next, &victim) && victim == flows[1]);
	drop(&f, flows[1]);
	flows[1] = NULL;
	CHECK(flow_victim(&f, &next, &victim) && victim == NULL);
	for (uint32_t i = 0; i < MAX; i++)
		if (flows[i])
			drop(&f, flows[i]);
	flows_done(&f);
}

static void what_is_over_goes_before_what_is_idle(void)
{
	struct inet_pair next = pair_of(200, 1);
	struct flow *flows[MAX], *victim = NULL;
	struct flows f;

	CHECK(flows_init(&f, MAX, key) == 0);
	for (uint32_t i = 0; i < MAX; i++)
		flows[i] = new_flow(&f, i, 1);
	flow_retire(&f, flows[0]);
	flow_retire(&f, flows[MAX - 1]);
	flow_retire(&f, flows[7]);
	CHECK(flow_victim(&f, &next, &victim) && victim == flows[7]);
	drop(&f, victim);
	CHECK(f.oldest == flows[MAX - 1] && f.newest == flows[MAX - 2]);
	flow_touch(&f, flows[MAX - 1]);
	CHECK(f.oldest == flows[0] && f.newest == flows[MAX - 1]);
	while (f.oldest)
		drop(&f, f.oldest);
	CHECK(f.newest == NULL);
	flows_done(&f);
}

static void a_peer_with_too_many_ends_one_of_its_own(void)
{
	struct flow *other = NULL, *first = NULL, *victim = NULL;
	struct inet_pair next = pair_of(1, 999), others = pair_of(2, 999);
	struct flows f;

	CHECK(flows_init(&f, MAX, key) == 0);
	other = new_flow(&f, 2, 1); /* older than all of them */
	first = new_flow(&f, 1, 0);
	for (uint32_t i = 1; i < MAX * 3 / 4; i++)
		new_flow(&f, 1, i);
	CHECK(flow_victim(&f, &next, &victim) && victim == first);
	CHECK(flow_victim(&f, &others, &victim) && victim == NULL);
	CHECK(f.oldest == other);
	while (f.oldest)
		drop(&f, f.oldest);
	flows_done(&f);
}

static void half_open_flows_are_counted_by_peer(void)
{
	struct inet_pair one = pair_of(1, 1), two = pair_of(2, 1);
	struct flow *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	struct flows f;

	CHECK(flows_init(&f, MAX, key) == 0);
	*a = (struct flow){ .kind = FLOW_TCP, .pair = one, .is_half_open = true };
	*b = (struct flow){ .kind = FLOW_TCP, .pair = pair_of(1, 2), .is_half_open = true };
	flow_add(&f, a);
	flow_add(&f, b);
	CHECK(flow_half_open(&f, &one) == 2 && flow_half_open(&f, &two) == 0 &&
	      f.half_open == 2);
	flow_opened(&f, a);
	CHECK(flow_half_open(&f, &one) == 1 && f.half_open == 1);
	drop(&f, a);
	drop(&f, b);
	CHECK(flow_half_open(&f, &one) == 0 && f.half_open == 0);
	flows_done(&f);
}

static void what_is_marked_is_taken_once_and_in_order(void)
{
	struct flow *a = NULL, *b = NULL, *c = NULL;
	struct flows f;

	CHECK(flows_init(&f, MAX, key) == 0);
	a = new_flow(&f, 1, 1);
	b = new_flow(&f, 1, 2);
	c = new_flow(&f, 1, 3);
	flow_mark(&f, b);
	flow_mark(&f, a);
	flow_mark(&f, b);
	flow_mark(&f, c);
	drop(&f, c); /* the last of them */
	CHECK(flow_take_marked(&f) == b);
	flow_mark(&f, b);
	CHECK(flow_take_marked(&f) == a && flow_take_marked(&f) == b);
	CHECK(flow_take_marked(&f) == NULL);
	drop(&f, a);
	drop(&f, b);
	flows_done(&f);
}

static void wakes_at_the_earliest_time_that_was_asked_for(void)
{
	struct flow *a = NULL;
	struct flows f;

	CHECK(flows_init(&f, MAX, key) == 0);
	a = new_flow(&f, 1, 1);
	flow_wake_at(&f, a, UINT64_MAX);
	CHECK(schedule_first(&f.schedule) == NULL);
	flow_wake_at(&f, a, 100);
	flow_wake_at(&f, a, 200);
	CHECK(schedule_first(&f.schedule)->at_ns == 100);
	flow_wake_at(&f, a, 50);
	CHECK(schedule_first(&f.schedule)->at_ns == 50);
	drop(&f, a);
	CHECK(schedule_first(&f.schedule) == NULL);
	flows_done(&f);
}

int main(void)
{
	RUN(finds_what_was_entered_and_nothing_else);
	RUN(the_one_that_was_idle_for_longest_makes_room);
	RUN(what_is_over_goes_before_what_is_idle);
	RUN(a_peer_with_too_many_ends_one_of_its_own);
	RUN(half_open_flows_are_counted_by_peer);
	RUN(what_is_marked_is_taken_once_and_in_order);
	RUN(wakes_at_the_earliest_time_that_was_asked_for);
	return DONE();
}
