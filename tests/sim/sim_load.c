/* SPDX-License-Identifier: Apache-2.0 */
/* Floods of handshakes, cookies, and many peers that lose their gateway at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forge.h"
#include "pair.h"

static struct endpoint source4(uint32_t n, uint16_t port)
{
	return (struct endpoint){ .ip = { .family = ADDR_V4,
					  .b = { 203, (uint8_t)(n >> 16), (uint8_t)(n >> 8),
						 (uint8_t)n } },
				  .port = port };
}

/* @net is a /64, @host an address in it. */
static struct endpoint source6(uint8_t net, uint8_t host)
{
	return (struct endpoint){ .ip = { .family = ADDR_V6,
					  .b = { 0x20, 1, 0xd, 0xb8, [7] = net, [15] = host } },
				  .port = 1000 };
}

/* Put @to under load: as much waits to be computed as it takes. */
static void fill_queue(struct sim_node *to)
{
	struct msg_initiation stranger;
	struct forger f;

	to->keeper_delay_ns = SIM_MS;
	forger_init(&f, to, NULL);
	forge_initiation(&f, 1, SIM_WALL, &stranger);
	for (uint32_t i = 0; i < ENGINE_HANDSHAKES_MAX / 8; i++) {
		struct endpoint from = source4(i, 7);

		sim_inject(to, &from, &stranger, sizeof(stranger));
	}
	forger_done(&f);
}

static void inject(struct sim_node *to, const struct endpoint *from,
		   const struct msg_initiation *m)
{
	sim_inject(to, from, m, sizeof(*m));
}

/* Under load, from @from: a cookie for @f. */
static bool obtain_cookie(struct pair *p, struct forger *f, const struct endpoint *from)
{
	struct msg_initiation m;
	size_t before = said(p, p->b, MESSAGE_COOKIE);

	forge_initiation(f, 77, SIM_WALL + p->s->now_ns, &m);
	fill_queue(p->b);
	inject(p->b, from, &m);
	sim_run_for(p->s, 2 * SIM_MS);
	return said(p, p->b, MESSAGE_COOKIE) == before + 1 &&
	       endpoint_same_remote(&sim_last(p->s, p->b, MESSAGE_COOKIE)->destination, from) &&
	       forger_take_cookie(f, sim_last(p->s, p->b, MESSAGE_COOKIE)->data);
}

/* ---- W31: cookies ---- */

static void without_load_a_second_mac_is_not_looked_at(void)
{
	struct pair p = pair_up();
	struct msg_initiation m;
	struct forger f;

	forger_init(&f, p.b, &p.a->private_key);
	forge_initiation(&f, 1, SIM_WALL + p.s->now_ns, &m);
	memset(m.mac2, 0x77, sizeof(m.mac2));
	inject(p.b, &p.a->address, &m);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 1);
	CHECK(said(&p, p.b, MESSAGE_COOKIE) == 0);
	forger_done(&f);
	pair_done(&p);
}

static void under_load_one_who_proves_no_address_gets_a_cookie_and_no_key(void)
{
	struct pair p = pair_up();
	struct endpoint from = source4(1000, 5);
	struct sim_datagram reply;
	struct msg_initiation m;
	struct forger f;

	forger_init(&f, p.b, &p.a->private_key);
	forge_initiation(&f, 0x1234, SIM_WALL + p.s->now_ns, &m);
	fill_queue(p.b);
	inject(p.b, &from, &m);
	sim_run_for(p.s, 2 * SIM_MS);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 0);
	CHECK(said(&p, p.b, MESSAGE_COOKIE) == 1);
	reply = *sim_last(p.s, p.b, MESSAGE_COOKIE);
	CHECK(reply.len == sizeof(struct msg_cookie));
	CHECK(reply.len < sizeof(m)); /* no amplification */
	CHECK(reply.tos == 0);
	CHECK(receiver_of(&reply) == 0x1234);
	sim_run_for(p.s, 2 * SIM_S); /* the load is over */
	inject(p.b, &from, &m);
	sim_run_for(p.s, 2 * SIM_MS);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 1);
	forger_done(&f);
	pair_done(&p);
}

/* W31: the cookie is worth nothing at another port or address. */
static void a_cookie_is_bound_to_address_and_port(void)
{
	struct pair p = pair_up();
	struct endpoint home = source4(1000, 5), port = source4(1000, 6),
			address = source4(1001, 5);
	struct msg_initiation m;
	struct forger f;

	forger_init(&f, p.b, &p.a->private_key);
	CHECK(obtain_cookie(&p, &f, &home));
	forge_initiation(&f, 1, SIM_WALL + p.s->now_ns + SIM_S, &m);
	fill_queue(p.b);
	inject(p.b, &port, &m);
	inject(p.b, &address, &m);
	sim_run_for(p.s, 2 * SIM_MS);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 0);
	inject(p.b, &home, &m);
	sim_run_for(p.s, 2 * SIM_MS);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 1);
	forger_done(&f);
	pair_done(&p);
}

/* So many addresses at once that every row of the table of sources is taken: whoever has not yet
 * proved its address waits until the flood's tokens are old, and nobody else notices. */
static void a_flood_from_more_sources_than_are_remembered_costs_only_strangers(void)
{
	enum { SPOOFED = 400000 }; /* six times what the table holds */
	struct pair p = pair_up();
	struct endpoint home = source4(1 << 23, 5), newcomer = source4((1 << 23) + 1, 5),
			early = source4((1 << 23) + 2, 5);
	struct msg_initiation proved, unproved;
	struct forger f, g;
	size_t cookies = 0;

	forger_init(&f, p.b, &p.a->private_key);
	forger_init(&g, p.b, NULL);
	CHECK(obtain_cookie(&p, &f, &home));
	sim_run_for(p.s, 3 * SIM_S); /* its place in the table is anybody's again */
	forge_initiation(&f, 1, SIM_WALL + p.s->now_ns + SIM_S, &proved);
	forge_initiation(&g, 2, SIM_WALL, &unproved);
	fill_queue(p.b);
	inject(p.b, &early, &unproved); /* the one that finds it full */
	cookies = said(&p, p.b, MESSAGE_COOKIE);
	sim_run_for(p.s, 2 * SIM_MS);
	CHECK(said(&p, p.b, MESSAGE_COOKIE) == cookies + 1);
	p.b->keeper_delay_ns = 0;
	for (uint32_t i = 0; i < SPOOFED; i++) {
		struct endpoint from = source4(i, 9);

		inject(p.b, &from, &unproved);
	}
	cookies = said(&p, p.b, MESSAGE_COOKIE);
	inject(p.b, &newcomer, &unproved);
	CHECK(said(&p, p.b, MESSAGE_COOKIE) == cookies); /* what is lost */
	inject(p.b, &home, &proved);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 1); /* what is not */
	sim_run_for(p.s, SIM_S * 3 / 4); /* no token takes longer; b is still under load */
	inject(p.b, &newcomer, &unproved);
	CHECK(said(&p, p.b, MESSAGE_COOKIE) == cookies + 1);
	forger_done(&f);
	forger_done(&g);
	pair_done(&p);
}

static void a_cookie_dies_with_the_secret_it_was_made_with(void)
{
	struct pair p = pair_up();
	struct endpoint home = source4(1000, 5);
	struct msg_initiation m;
	struct forger f;

	forger_init(&f, p.b, &p.a->private_key);
	CHECK(obtain_cookie(&p, &f, &home));
	forge_initiation(&f, 1, SIM_WALL + p.s->now_ns + 300 * SIM_S, &m);
	sim_run_for(p.s, 241 * SIM_S);
	fill_queue(p.b);
	inject(p.b, &home, &m);
	sim_run_for(p.s, 2 * SIM_MS);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 0);
	forger_done(&f);
	pair_done(&p);
}

/* How many of @n messages with good cookies, all at once, are over the limit? */
static uint64_t limited(struct pair *p, size_t n, struct endpoint (*source)(size_t i))
{
	struct forger *f = calloc(n, sizeof(*f));
	struct msg_initiation m;
	uint64_t before = 0;

	for (size_t i = 0; i < n; i++) {
		struct endpoint from = source(i);

		forger_init(&f[i], p->b, NULL);
		CHECK(obtain_cookie(p, &f[i], &from));
		sim_run_for(p->s, SIM_S);
	}
	struct endpoint stranger = source4(6000, 1);
	struct forger g;

	forger_init(&g, p->b, NULL);
	CHECK(obtain_cookie(p, &g, &stranger)); /* and the load lasts a second */
	forger_done(&g);
	before = sim_counters(p->b).rate_limited;
	for (size_t i = 0; i < n; i++) {
		struct endpoint from = source(i);

		forge_initiation(&f[i], 1, SIM_WALL, &m);
		inject(p->b, &from, &m);
		forger_done(&f[i]);
	}
	sim_run_for(p->s, 2 * SIM_S);
	free(f);
	return sim_counters(p->b).rate_limited - before;
}

static struct endpoint one_64(size_t i)
{
	return source6(1, (uint8_t)i);
}

static struct endpoint many_64(size_t i)
{
	return source6((uint8_t)i, 1);
}

static struct endpoint one_address(size_t i)
{
	return source4(5000, (uint16_t)(100 + i));
}

static struct endpoint many_addresses(size_t i)
{
	return source4((uint32_t)(5000 + i), 100);
}

/* W31: 5 at once, then 20 per second; a source is an IPv4 address or an IPv6 /64. */
static void the_limit_is_per_ipv4_address_and_per_ipv6_64(void)
{
	struct pair p = pair_up();

	CHECK(limited(&p, 20, one_64) == 15);
	CHECK(limited(&p, 20, many_64) == 0);
	CHECK(limited(&p, 20, one_address) == 15);
	CHECK(limited(&p, 20, many_addresses) == 0);
	pair_done(&p);
}

/* ---- a cookie at the receiving end ---- */

static void a_cookie_reply_is_taken_once_and_only_for_what_was_sent(void)
{
	struct pair p = pair_new();
	struct endpoint from = source4(9, 9);
	struct peer *b = sim_peer(p.a, p.b);
	uint8_t changed[sizeof(struct msg_cookie)];
	struct sim_datagram reply;

	p.s->on_wire = nothing_arrives;
	sim_send(p.a, p.b, 100);
	fill_queue(p.b);
	sim_inject(p.b, &p.a->address, p.s->log[0].data, p.s->log[0].len);
	sim_run_for(p.s, 2 * SIM_MS);
	reply = *sim_last(p.s, p.b, MESSAGE_COOKIE);
	for (size_t i = 4; i < sizeof(changed); i++) {
		memcpy(changed, reply.data, sizeof(changed));
		changed[i] ^= 1;
		sim_inject(p.a, &from, changed, sizeof(changed));
		CHECK(!b->cookie.has_cookie);
	}
	sim_replay(p.a, &reply);
	CHECK(b->cookie.has_cookie);
	b->cookie.has_cookie = false;
	sim_replay(p.a, &reply); /* the same again */
	CHECK(!b->cookie.has_cookie);
	pair_done(&p);
}

/* ---- a flood ---- */

struct flood {
	struct sim_node *target;
	struct msg_initiation good_mac1;
	uint32_t n;
	uint64_t until_ns;
	uint64_t gap_ns;
};

static void flood_on(struct sim *s, void *arg)
{
	struct flood *f = arg;
	struct endpoint from = source4(f->n % 10000, (uint16_t)(1024 + f->n % 50000));

	f->n++;
	sim_inject(f->target, &from, &f->good_mac1, sizeof(f->good_mac1));
	if (s->now_ns < f->until_ns)
		sim_call(s, s->now_ns + f->gap_ns, flood_on, f);
}

/* Initiations with a good MAC1 from 10 000 addresses: an old peer notices nothing, a new one
 * connects within 10 s, and afterwards all is as before. */
static void a_flood_costs_an_old_peer_nothing_and_a_new_one_ten_seconds(void)
{
	struct sim *s = sim_new(sim_seed(5));
	struct sim_node *gate = sim_node_new(s), *old = sim_node_new(s), *fresh;
	struct flood flood = { .target = gate, .gap_ns = 300 * SIM_US };
	struct forger f;
	uint64_t t0, connected_ns = 0;
	int rounds = sim_is_soak() ? 3000 : 300; /* of 100 ms */

	printf("# scale: %d s of flood\n", rounds / 10);
	sim_introduce(old, gate);
	sim_send(old, gate, 100);
	sim_run_for(s, SIM_S);
	forger_init(&f, gate, NULL);
	forge_initiation(&f, 1, SIM_WALL, &flood.good_mac1);
	gate->keeper_delay_ns = 60 * SIM_MS; /* far behind: 200 messages per round */
	flood.until_ns = s->now_ns + (uint64_t)rounds * 100 * SIM_MS;
	sim_call(s, s->now_ns, flood_on, &flood);
	sim_run_for(s, 3 * SIM_S);

	fresh = sim_node_new(s);
	fresh->link.delay_min_ns = fresh->link.delay_max_ns = 30 * SIM_MS;
	sim_introduce(fresh, gate);
	t0 = s->now_ns;
	for (int i = 30; i < rounds; i++) {
		uint64_t before = gate->delivered;

		sim_send(old, gate, 1000);
		sim_run_for(s, 20 * SIM_MS);
		CHECK(gate->delivered > before);
		before = gate->delivered;
		sim_send(fresh, gate, 1000);
		sim_run_for(s, 80 * SIM_MS);
		if (!connected_ns && gate->delivered > before)
			connected_ns = s->now_ns - t0;
	}
	printf("# the new peer connected after %.1f s\n", (double)connected_ns / 1e9);
	CHECK(connected_ns && connected_ns <= 10 * SIM_S);
	CHECK(sim_counters(gate).cookies_sent > 0);
	forger_done(&f);
	CHECK(sim_check(s));
	sim_free(s);
}

/* ---- W3: many peers, one gateway ---- */

enum { HERD = 100, BIN_MS = 10 };

static struct sim_node *gateway;
static uint64_t return_ns;
static uint32_t bins[1000], bins_now;

static bool count_initiations(struct sim *s, const struct sim_datagram *d)
{
	uint64_t bin = (s->now_ns - return_ns) / (BIN_MS * SIM_MS);

	if (d->type == MESSAGE_INITIATION && d->to == gateway && bin < 1000) {
		bins[bin]++;
		bins_now++;
	}
	return true;
}

static uint32_t fullest_bin(void)
{
	uint32_t most = 0;

	for (size_t i = 0; i < 1000; i++)
		most = bins[i] > most ? bins[i] : most;
	return most;
}

/* Initiations of the herd from @from_s on, for 10 s; the fullest 10 ms of them. */
static uint32_t busiest(struct sim *s, uint64_t from_ns)
{
	sim_run_until(s, from_ns);
	memset(bins, 0, sizeof(bins));
	bins_now = 0;
	return_ns = from_ns;
	sim_run_for(s, 5 * SIM_S);
	return fullest_bin();
}

/* W3 */
static void peers_that_lose_their_gateway_do_not_return_in_step(void)
{
	struct sim *s = sim_new(sim_seed(3));
	struct sim_node *node[HERD];
	uint64_t t0;

	gateway = sim_node_new(s);
	for (int i = 0; i < HERD; i++) {
		node[i] = sim_node_new(s);
		sim_introduce(node[i], gateway);
		sim_send(node[i], gateway, 100);
	}
	sim_run_for(s, 20 * SIM_S);
	CHECK(gateway->delivered == HERD);
	s->on_wire = count_initiations;
	gateway->is_cut = true;
	t0 = s->now_ns;
	for (int i = 0; i < HERD; i++)
		sim_send(node[i], gateway, 100); /* all at the same nanosecond */

	uint32_t first = busiest(s, t0 + 14 * SIM_S);

	CHECK(bins_now == HERD);
	CHECK(first <= HERD / 7);		      /* evenly spread it would be 3 */
	uint32_t tenth = busiest(s, t0 + 62 * SIM_S); /* jitter adds up */

	CHECK(bins_now >= HERD / 2);
	CHECK(tenth <= HERD / 10);
	printf("# of %d peers, at most %u in the first 10 ms and %u later\n", HERD, first,
	       tenth);
	gateway->is_cut = false;
	for (int i = 0; i < HERD; i++)
		sim_send(node[i], gateway, 100);
	sim_run_for(s, 6 * SIM_S);
	CHECK(gateway->delivered >= 2 * HERD); /* and all are back */
	CHECK(sim_check(s));
	sim_free(s);
}

int main(void)
{
	RUN(without_load_a_second_mac_is_not_looked_at);
	RUN(under_load_one_who_proves_no_address_gets_a_cookie_and_no_key);
	RUN(a_cookie_is_bound_to_address_and_port);
	RUN(a_flood_from_more_sources_than_are_remembered_costs_only_strangers);
	RUN(a_cookie_dies_with_the_secret_it_was_made_with);
	RUN(the_limit_is_per_ipv4_address_and_per_ipv6_64);
	RUN(a_cookie_reply_is_taken_once_and_only_for_what_was_sent);
	RUN(a_flood_costs_an_old_peer_nothing_and_a_new_one_ten_seconds);
	RUN(peers_that_lose_their_gateway_do_not_return_in_step);
	return DONE();
}
