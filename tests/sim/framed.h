/* SPDX-License-Identifier: Apache-2.0 */
/**
 * framed.h - Pairs that speak AmneziaWG, and what their tests look at
 */
#pragma once

#include "../unit/frame/dress.h"
#include "forge.h"
#include "frame/level.h"
#include "pair.h"

/* Both ends frame so; nothing was said yet. */
static inline struct pair pair_framed(const char *text)
{
	struct pair p = pair_new();

	sim_frame_text(p.a, text);
	sim_frame_text(p.b, text);
	return p;
}

/* @a has made a key with @b, and both have fallen silent. */
static inline struct pair pair_framed_up(const char *text)
{
	struct pair p = pair_framed(text);

	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 30 * SIM_S);
	CHECK(p.b->delivered == 1);
	pair_mark(&p);
	return p;
}

static inline void frame_alone(struct sim_node *n, const struct frame_parameters *p)
{
	struct frame_profile_source source = { "", p, 0 };

	sim_frame(n, &source, 1);
}

/* @b serves a deployment of @level, @a is its client. */
static inline struct pair pair_level(enum frame_level level)
{
	struct frame_parameters server, client;
	struct pair p = pair_new();

	frame_parameters_init(&server);
	frame_parameters_init(&client);
	CHECK(frame_level_draw(level, &dice, &server) == 0);
	CHECK(frame_level_draw_client(level, &server, &dice, &client) == 0);
	frame_alone(p.b, &server);
	frame_alone(p.a, &client);
	frame_parameters_done(&server);
	frame_parameters_done(&client);
	return p;
}

/* One of each generation, and of each level. */
enum { WAYS = GENERATIONS + FRAME_LEVELS };

static inline struct pair pair_way(int way)
{
	return way < GENERATIONS ? pair_framed(generations[way])
				 : pair_level((enum frame_level)(way - GENERATIONS));
}

static inline struct sim_node *other(const struct pair *p, const struct sim_node *n)
{
	return n == p->a ? p->b : p->a;
}

/* One packet each way arrives within @ns, whatever must happen before. */
static inline void both_ways(struct pair *p, uint64_t ns)
{
	uint64_t a = p->a->delivered, b = p->b->delivered;

	sim_send(p->a, p->b, 100);
	sim_run_for(p->s, ns);
	sim_send(p->b, p->a, 100);
	sim_run_for(p->s, ns);
	CHECK(p->b->delivered == b + 1 && p->a->delivered == a + 1);
}

/* More initiations than it can serve wait at @to, of strangers who frame as its default. The last
 * ones get cookies, and so does everybody in the next second. */
static inline void put_under_load(struct sim_node *to)
{
	const struct frame_range *h = &to->profiles[0].parameters.header[0];
	struct msg_initiation stranger;
	struct forger f;

	to->keeper_delay_ns = SIM_MS;
	forger_init(&f, to, NULL);
	f.type = h->lo;
	forge_initiation(&f, 1, SIM_WALL, &stranger);
	for (uint32_t i = 0; i < ENGINE_HANDSHAKES_MAX / 8 + 2; i++) {
		struct endpoint from = { .ip = { .family = ADDR_V4,
						 .b = { 203, 0, (uint8_t)(i >> 8),
							(uint8_t)i } },
					 .port = 7 };

		sim_inject_dressed(to, &from, 0, MESSAGE_INITIATION, &stranger,
				   sizeof(stranger), 0);
	}
	forger_done(&f);
}

/* For on_wire: whenever the first node asks, the second is so busy that only a proved address gets
 * in. */
static inline bool second_is_busy(struct sim *s, const struct sim_datagram *d)
{
	if (d->type == MESSAGE_INITIATION && d->from == s->nodes[0])
		put_under_load(s->nodes[1]);
	return true;
}

/* Packets of no message that @from sent since the mark: junk and signature packets. */
static inline size_t noise_of(const struct pair *p, const struct sim_node *from)
{
	return said(p, from, 0);
}
