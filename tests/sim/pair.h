/* SPDX-License-Identifier: Apache-2.0 */
/**
 * pair.h - Two nodes that talk, and a log of what they say: where most rules show
 */
#pragma once

#include "../unit/test.h"
#include "engine/peer.h"
#include "net.h"

/* struct pair - @a initiated; @mark is the log's length when the test began to look */
struct pair {
	struct sim *s;
	struct sim_node *a, *b;
	size_t mark;
};

static inline struct pair pair_seeded(uint64_t seed)
{
	struct pair p = { .s = sim_new(seed) };

	p.s->is_logging = true;
	p.a = sim_node_new(p.s);
	p.b = sim_node_new(p.s);
	sim_introduce(p.a, p.b);
	return p;
}

static inline struct pair pair_new(void)
{
	return pair_seeded(1);
}

/* From here on. */
static inline void pair_mark(struct pair *p)
{
	p->mark = p->s->n_log;
}

/* @a has made a key with @b, and both have fallen silent. */
static inline struct pair pair_up(void)
{
	struct pair p = pair_new();

	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 30 * SIM_S);
	CHECK(p.b->delivered == 1);
	pair_mark(&p);
	return p;
}

static inline void pair_done(struct pair *p)
{
	CHECK(sim_check(p->s));
	p->s = sim_free(p->s);
}

/* Datagrams of @type that @from sent since the mark. */
static inline size_t said(const struct pair *p, const struct sim_node *from, uint32_t type)
{
	return sim_logged(p->s, from, type, p->mark);
}

/* Time of the @n-th of them after @since_ns; 0 if there is none. */
static inline uint64_t said_at(const struct pair *p, const struct sim_node *from, uint32_t type,
			       size_t n, uint64_t since_ns)
{
	const struct sim_datagram *d = sim_nth(p->s, from, type, p->mark, n);

	return d ? d->sent_ns - since_ns : 0;
}

static inline size_t keepalives(const struct pair *p, const struct sim_node *from)
{
	size_t n = 0;

	for (size_t i = p->mark; i < p->s->n_log; i++)
		n += p->s->log[i].from == from && sim_is_keepalive(&p->s->log[i]);
	return n;
}

static inline bool is_about(uint64_t value_ns, uint64_t from_ns, uint64_t to_ns)
{
	return value_ns >= from_ns && value_ns <= to_ns;
}

static inline uint32_t receiver_of(const struct sim_datagram *d)
{
	return le32_value(((const struct msg_data *)(const void *)d->plain)->receiver);
}

static inline uint64_t counter_of(const struct sim_datagram *d)
{
	return le64_value(((const struct msg_data *)(const void *)d->plain)->counter);
}

/* Filters for on_wire: what does not arrive. */
static inline bool nothing_arrives(struct sim *s, const struct sim_datagram *d)
{
	(void)s;
	(void)d;
	return false;
}
