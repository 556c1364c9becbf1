/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads at one peer. Where the moment matters that lies between two steps of a function,
 * the function is compiled here with that step hooked, and the other thread's work is done in it.
 */
#include <stdlib.h>

#include <pthread.h>
#include <sched.h>

#include "ends.h"

static void (*in_between)(void *context);
static void *in_between_context;

static void strike(void)
{
	void (*now)(void *context) = in_between;

	in_between = NULL; /* once */
	if (now)
		now(in_between_context);
}

static void *allocate(size_t len)
{
	strike();
	return malloc(len);
}

static int open_initiation(struct suite *s, const struct noise_identity *id,
			   const struct msg_initiation *msg, struct noise_handshake *hs)
{
	int err = noise_initiation_open(s, id, msg, hs);

	strike();
	return err;
}

#define malloc(len)		   allocate(len)
#define noise_initiation_open(...) open_initiation(__VA_ARGS__)
#include "engine/handshake.c"
#include "engine/peer.c"
#undef malloc
#undef noise_initiation_open

/* ---- where a peer is ---- */

static const struct endpoint elsewhere = {
	.ip = { .family = ADDR_V4, .b = { 198, 51, 100, 1 } },
	.port = 4500,
	.local = { .family = ADDR_V4, .b = { 192, 0, 2, 1 } },
	.local_if = 1,
};

static void peer_roams(void *context)
{
	struct ends *t = context;

	peer_set_source(t->a.worker, t->a.peer, &elsewhere);
}

static void forgetting_a_source_does_not_move_a_peer_back(void)
{
	struct ends *t = ends_new();
	struct endpoint before = elsewhere, now;

	before.port = 4400;
	peer_set_source(t->a.worker, t->a.peer, &before);
	in_between_context = t;
	in_between = peer_roams;
	engine_source_failed(t->a.worker, t->a.peer);
	CHECK(!in_between);
	now = atomic_load(&t->a.peer->route)->to;
	CHECK(endpoint_same_remote(&now, &elsewhere));
	CHECK(now.local_if == elsewhere.local_if); /* and the newest packet's source counts */
	engine_source_failed(t->a.worker, t->a.peer);
	now = atomic_load(&t->a.peer->route)->to;
	CHECK(endpoint_same_remote(&now, &elsewhere) && now.local_if == 0);
	ends_done(t);
}

/* ---- who we are ---- */

struct change {
	struct ends *ends;
	struct secret_key key;
};

static void key_changes(void *context)
{
	struct change *c = context;

	engine_set_private_key(c->ends->a.worker, c->ends->now_ns, &c->key);
}

/* End b learns of the new key and asks for a session with it. */
static bool connects_to(struct ends *t, const struct secret_key *key)
{
	uint8_t public_key[32];

	engine_peer_remove_all(t->b.worker);
	dh_public(t->a.worker->suite, public_key, key);
	t->b.peer = end_know(&t->b, public_key, &t->a.address, 1);
	t->now_ns += 10 * ENGINE_SECOND;
	engine_peer_greet(t->b.worker, t->b.peer);
	ends_talk(t);
	return session_for_sending(t->b.peer, t->now_ns) != NULL;
}

static void a_key_change_amid_a_handshake_leaves_no_secret_of_the_old_key(void)
{
	struct ends *t = ends_new();
	struct change c = { .ends = t };

	seeded_fill(&c.key, sizeof(c.key));
	dh_clamp(&c.key);
	engine_peer_greet(t->b.worker, t->b.peer);
	while (end_keep(&t->b, t->now_ns) && t->b.n_out == 0)
		;
	CHECK(t->b.n_out == 1);
	end_hear(t, &t->a, &t->b.address, t->b.out[0].data, t->b.out[0].len);
	in_between_context = &c;
	in_between = key_changes;
	while (end_keep(&t->a, t->now_ns)) /* the initiation was to the old key */
		;
	CHECK(!in_between);
	CHECK(!session_for_sending(t->a.peer, t->now_ns) && !atomic_load(&t->a.peer->next));
	CHECK(connects_to(t, &c.key));
	ends_done(t);
}

/* ---- what it may use ---- */

enum { TURNS = 300000 };

struct spender {
	struct ends *ends;
	struct engine_worker *worker;
	_Atomic uint64_t turns;
	_Atomic bool is_stopping;
};

static void *spend(void *context)
{
	struct spender *s = context;

	engine_enter(s->worker);
	while (!atomic_load(&s->is_stopping))
		s->turns += peer_may_pass(s->worker, s->ends->a.peer, s->ends->now_ns, 100);
	engine_leave(s->worker);
	return NULL;
}

static void a_lifted_budget_stays_lifted_whoever_is_spending(void)
{
	struct spender s = { .ends = ends_new() };
	struct peer *p = s.ends->a.peer;
	uint64_t wrong = 0;
	pthread_t thread;

	if (engine_worker_new(s.ends->a.engine, &s.worker) != 0 ||
	    pthread_create(&thread, NULL, spend, &s) != 0)
		abort();
	for (int i = 0; i < TURNS || atomic_load(&s.turns) < TURNS; i++) {
		engine_peer_set_budget(p, UINT64_C(1) << 40);
		for (uint64_t k = seeded_next() % 32; k > 0; k--)
			(void)atomic_load(&p->budget);
		engine_peer_set_budget(p, UINT64_MAX);
		for (int k = 0; k < 20; k++)
			wrong += atomic_load(&p->budget) != INT64_MAX;
	}
	atomic_store(&s.is_stopping, true);
	pthread_join(thread, NULL);
	CHECK(wrong == 0);
	engine_worker_free(s.worker);
	s.ends->a.engine->n_workers--; /* its counters are gone */
	ends_done(s.ends);
}

int main(void)
{
	RUN(forgetting_a_source_does_not_move_a_peer_back);
	RUN(a_key_change_amid_a_handshake_leaves_no_secret_of_the_old_key);
	RUN(a_lifted_budget_stays_lifted_whoever_is_spending);
	return DONE();
}
