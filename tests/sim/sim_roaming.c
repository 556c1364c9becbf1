/* SPDX-License-Identifier: Apache-2.0 */
/* Where a peer is, which of our addresses it is answered from, and how both change. */
#include <string.h>

#include "pair.h"

static bool is_at(const struct sim_node *at, const struct sim_node *of,
		  const struct endpoint *where)
{
	struct endpoint now = sim_info(at, of).endpoint;

	return endpoint_same_remote(&now, where);
}

static bool has_source(const struct sim_node *at, const struct sim_node *of)
{
	return sim_info(at, of).endpoint.local.family != ADDR_NONE;
}

/* ---- roaming ---- */

static void a_rebound_nat_moves_the_endpoint_with_the_next_packet(void)
{
	struct pair p = pair_up();

	for (uint16_t i = 1; i <= 20; i++) {
		uint64_t a = p.a->delivered, b = p.b->delivered;

		p.a->address.port = (uint16_t)(2000 + i * 7);
		sim_send(p.b, p.a, 100); /* goes where a was: lost */
		sim_run_for(p.s, 100 * SIM_MS);
		CHECK(p.a->delivered == a);
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, 100 * SIM_MS);
		CHECK(p.b->delivered == b + 1);
		CHECK(is_at(p.b, p.a, &p.a->address));
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, 5 * SIM_S);
		CHECK(p.a->delivered == a + 1);
	}
	pair_done(&p);
}

static void a_change_of_network_and_family_loses_one_direction_only_until_it_speaks(void)
{
	struct pair p = pair_up();
	struct endpoint v6 = {
		.ip = { .family = ADDR_V6, .b = { 0x20, 1, 0xd, 0xb8, [15] = 1 } }, .port = 4500
	};

	p.a->address = v6;
	p.a->address.ip.b[14] = (uint8_t)(p.a->id >> 8);
	p.a->address.ip.b[15] = (uint8_t)p.a->id;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 100 * SIM_MS);
	CHECK(p.b->delivered == 2);
	sim_send(p.b, p.a, 100);
	sim_run_for(p.s, 100 * SIM_MS);
	CHECK(p.a->delivered == 1);
	CHECK(sim_last(p.s, p.b, MESSAGE_DATA)->destination.ip.family == ADDR_V6);
	pair_done(&p);
}

/* Only one of them knew the other's endpoint, and that one moves too: never both at once. */
static void both_ends_may_move_in_turn(void)
{
	struct pair p = pair_up();

	for (uint8_t i = 0; i < 10; i++) {
		struct sim_node *mover = i % 2 ? p.a : p.b, *other = i % 2 ? p.b : p.a;
		uint64_t before = mover->delivered;

		mover->address.ip.b[1] = (uint8_t)(20 + i);
		sim_send(mover, other, 100);
		sim_run_for(p.s, SIM_S);
		sim_send(other, mover, 100);
		sim_run_for(p.s, SIM_S);
		CHECK(mover->delivered == before + 1);
	}
	pair_done(&p);
}

/* A peer that nobody has an endpoint for is reached once it has spoken. */
static void a_peer_without_endpoint_is_answered_where_it_comes_from(void)
{
	struct sim *s = sim_new(1);
	struct sim_node *a = sim_node_new(s), *b = sim_node_new(s);

	s->is_logging = true;
	sim_know(a, b, true);
	sim_know(b, a, false);
	sim_send(b, a, 100);
	sim_run_for(s, 10 * SIM_S);
	CHECK(s->n_log == 0);
	CHECK(b->delivered == 1); /* ICMP: host unreachable */
	CHECK(sim_counters(b).no_endpoint == 1);
	sim_send(a, b, 100);
	sim_run_for(s, SIM_S);
	sim_send(b, a, 100);
	sim_run_for(s, SIM_S);
	CHECK(a->delivered == 1);
	CHECK(sim_check(s));
	sim_free(s);
}

/* ---- the sticky source ---- */

static void answers_leave_from_the_address_that_was_asked(void)
{
	struct pair p = pair_up();
	struct endpoint e = sim_info(p.b, p.a).endpoint;

	CHECK(ip_addr_equal(&e.local, &p.b->address.ip));
	pair_done(&p);
}

/* W34: the device says that the address is gone, the route has changed, the send failed. */
static void a_source_that_the_system_refuses_is_forgotten(void)
{
	struct pair p = pair_up();
	struct endpoint before = sim_info(p.a, p.b).endpoint;

	CHECK(has_source(p.a, p.b));
	engine_source_failed(p.a->worker, sim_peer(p.a, p.b));
	CHECK(!has_source(p.a, p.b));
	CHECK(is_at(p.a, p.b, &before));
	sim_send(p.b, p.a, 100); /* the next packet that comes in names one again */
	sim_run_for(p.s, SIM_S);
	CHECK(has_source(p.a, p.b));
	pair_done(&p);
}

/* W34: mark, port or routes changed. */
static void all_sources_are_forgotten_at_once(void)
{
	struct sim *s = sim_new(1);
	struct sim_node *hub = sim_node_new(s), *node[5];

	for (int i = 0; i < 5; i++) {
		node[i] = sim_node_new(s);
		sim_introduce(node[i], hub);
		sim_send(node[i], hub, 100);
	}
	sim_run_for(s, SIM_S);
	for (int i = 0; i < 5; i++)
		CHECK(has_source(hub, node[i]));
	engine_forget_sources(hub->worker);
	for (int i = 0; i < 5; i++)
		CHECK(!has_source(hub, node[i]));
	CHECK(sim_check(s));
	sim_free(s);
}

/* W34: from Ethernet to Wi-Fi: the old address is no longer local, sending from it fails, and
 * the very packet that noticed arrives. */
static void a_default_route_that_moves_costs_no_packet(void)
{
	struct pair p = pair_up();

	for (uint8_t i = 0; i < 4; i++) {
		p.a->address.ip.b[1] = (uint8_t)(30 + i);
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, SIM_S);
		CHECK(p.b->delivered == 2u + i);
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, SIM_S);
		CHECK(p.a->delivered == 1u + i);
		struct endpoint e = sim_info(p.a, p.b).endpoint;

		CHECK(ip_addr_equal(&e.local, &p.a->address.ip));
	}
	pair_done(&p);
}

/* A new endpoint set by the user has no source yet. */
static void setting_an_endpoint_takes_effect_at_once(void)
{
	struct pair p = pair_up();

	p.b->address.port = 4000;
	CHECK(engine_peer_set_endpoint(p.a->worker, sim_peer(p.a, p.b), &p.b->address) == 0);
	CHECK(!has_source(p.a, p.b));
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 2);
	pair_done(&p);
}

int main(void)
{
	RUN(a_rebound_nat_moves_the_endpoint_with_the_next_packet);
	RUN(a_change_of_network_and_family_loses_one_direction_only_until_it_speaks);
	RUN(both_ends_may_move_in_turn);
	RUN(a_peer_without_endpoint_is_answered_where_it_comes_from);
	RUN(answers_leave_from_the_address_that_was_asked);
	RUN(a_source_that_the_system_refuses_is_forgotten);
	RUN(all_sources_are_forgotten_at_once);
	RUN(a_default_route_that_moves_costs_no_packet);
	RUN(setting_an_endpoint_takes_effect_at_once);
	return DONE();
}
