/* SPDX-License-Identifier: Apache-2.0 */
/* The three keypairs of a peer: spec of the keypairs, row by row; and when one may be used. */
#include "ends.h"

static struct session *ready(struct end *e, bool is_initiator)
{
	struct session *s = session_begin(e->worker, e->peer, is_initiator);

	s->born_ns = 100 * ENGINE_SECOND;
	s->reject_ns = 180 * ENGINE_SECOND;
	atomic_store(&s->state, SESSION_READY);
	return s;
}

static bool is_alive(struct end *e, const struct session *s)
{
	return atomic_load(&s->state) == SESSION_READY &&
	       index_find(e->engine->sessions, s->index.index) == &s->index;
}

/* Dead, and no datagram can find it. Its memory is there while the worker is online. */
static bool is_dead(struct end *e, const struct session *s)
{
	return atomic_load(&s->state) == SESSION_DEAD &&
	       index_find(e->engine->sessions, s->index.index) != &s->index;
}

static bool has(const struct peer *p, const struct session *previous,
		const struct session *current, const struct session *next)
{
	return atomic_load(&p->previous) == previous && atomic_load(&p->current) == current &&
	       atomic_load(&p->next) == next;
}

static void set(struct peer *p, struct session *previous, struct session *current,
		struct session *next)
{
	atomic_store(&p->previous, previous);
	atomic_store(&p->current, current);
	atomic_store(&p->next, next);
}

/* "Initiator accepts a response, next exists": previous = next, the old current is dropped. */
static void an_initiator_with_a_next_key_keeps_that_one(void)
{
	struct ends *t = ends_new();
	struct end *e = &t->a;
	struct session *p = ready(e, true), *c = ready(e, true), *n = ready(e, false);
	struct session *fresh = ready(e, true);

	fresh->asked_ns = 101 * ENGINE_SECOND; /* theirs was there before: they did not cross */
	set(e->peer, p, c, n);
	session_initiator_done(e->peer, fresh);
	CHECK(has(e->peer, n, fresh, NULL));
	CHECK(is_alive(e, n) && is_alive(e, fresh) && is_dead(e, c) && is_dead(e, p));
	ends_done(t);
}

/* "No next": previous = current, the old previous is dropped. */
static void an_initiator_without_a_next_key_keeps_the_current(void)
{
	struct ends *t = ends_new();
	struct end *e = &t->a;
	struct session *p = ready(e, true), *c = ready(e, true), *fresh = ready(e, true);

	set(e->peer, p, c, NULL);
	session_initiator_done(e->peer, fresh);
	CHECK(has(e->peer, c, fresh, NULL));
	CHECK(is_alive(e, c) && is_alive(e, fresh) && is_dead(e, p));
	ends_done(t);
}

/* "Responder sends a response": old next and old previous are dropped, next = new. */
static void a_responder_keeps_the_current_key_and_waits_with_the_new(void)
{
	struct ends *t = ends_new();
	struct end *e = &t->a;
	struct session *p = ready(e, true), *c = ready(e, true), *n = ready(e, false);
	struct session *fresh = ready(e, false);

	set(e->peer, p, c, n);
	session_responder_done(e->peer, fresh);
	CHECK(has(e->peer, NULL, c, fresh));
	CHECK(is_alive(e, c) && is_alive(e, fresh) && is_dead(e, p) && is_dead(e, n));
	CHECK(session_for_sending(e->peer, 101 * ENGINE_SECOND) == c); /* W6 */
	ends_done(t);
}

/* "First authentic packet under next": previous = current, current = next. */
static void the_first_packet_under_the_next_key_confirms_it_once(void)
{
	struct ends *t = ends_new();
	struct end *e = &t->a;
	struct session *p = ready(e, true), *c = ready(e, true), *n = ready(e, false);

	set(e->peer, p, c, n);
	CHECK(!session_confirm(e->peer, c) && !session_confirm(e->peer, p));
	CHECK(has(e->peer, p, c, n));
	CHECK(session_confirm(e->peer, n));
	CHECK(has(e->peer, c, n, NULL));
	CHECK(is_alive(e, c) && is_alive(e, n) && is_dead(e, p));
	CHECK(!session_confirm(e->peer, n));
	CHECK(has(e->peer, c, n, NULL));
	ends_done(t);
}

/* The first key of all, in each role. */
static void transitions_work_with_no_key_to_begin_with(void)
{
	struct ends *t = ends_new();
	struct session *first = ready(&t->a, true), *answer = ready(&t->b, false);

	session_initiator_done(t->a.peer, first);
	CHECK(has(t->a.peer, NULL, first, NULL));
	session_responder_done(t->b.peer, answer);
	CHECK(has(t->b.peer, NULL, NULL, answer));
	CHECK(!session_for_sending(t->b.peer, 101 * ENGINE_SECOND));
	CHECK(session_confirm(t->b.peer, answer));
	CHECK(has(t->b.peer, NULL, answer, NULL));
	CHECK(session_for_sending(t->b.peer, 101 * ENGINE_SECOND) == answer);
	ends_done(t);
}

static void clearing_leaves_no_key_and_no_handshake(void)
{
	struct ends *t = ends_up();
	struct end *e = &t->a;
	struct session *p = ready(e, true), *n = ready(e, false);

	/* and a handshake under way */
	t->now_ns += 130 * ENGINE_SECOND;
	end_send_one(t, e, false, 2, 0, 100);
	end_keep(e, t->now_ns);
	CHECK(e->peer->pending && e->peer->handshake);
	atomic_store(&e->peer->previous, p);
	atomic_store(&e->peer->next, n);
	struct session *c = atomic_load(&e->peer->current), *pending = e->peer->pending;

	session_clear_all(e->peer);
	CHECK(has(e->peer, NULL, NULL, NULL) && !e->peer->pending && !e->peer->handshake);
	CHECK(is_dead(e, p) && is_dead(e, c) && is_dead(e, n) && is_dead(e, pending));
	session_clear_all(e->peer);
	ends_done(t);
}

static void a_session_begins_pending_under_an_index_of_its_own(void)
{
	struct ends *t = ends_new();
	struct session *a = session_begin(t->a.worker, t->a.peer, true);
	struct session *b = session_begin(t->a.worker, t->a.peer, false);

	CHECK(a && b && a->index.index != b->index.index);
	CHECK(atomic_load(&a->state) == SESSION_PENDING && a->is_initiator && !b->is_initiator);
	CHECK(index_find(t->a.engine->sessions, a->index.index) == &a->index);
	CHECK(atomic_load(&a->send_counter) == 0 && a->replay.next == 0);
	session_kill(t->a.engine, a);
	session_kill(t->a.engine, b);
	session_kill(t->a.engine, NULL);
	CHECK(is_dead(&t->a, a) && is_dead(&t->a, b));
	ends_done(t);
}

/* ---- when may it be used for sending? ---- */

static void a_key_serves_from_birth_until_it_is_180_s_old(void)
{
	struct ends *t = ends_new();
	struct end *e = &t->a;
	struct session *s = ready(e, true);
	uint64_t born = s->born_ns;

	set(e->peer, NULL, s, NULL);
	CHECK(session_for_sending(e->peer, born) == s);
	CHECK(session_for_sending(e->peer, born - ENGINE_SECOND) == s); /* a clock behind */
	CHECK(session_for_sending(e->peer, born + 180 * ENGINE_SECOND - 1) == s);
	CHECK(!session_for_sending(e->peer, born + 180 * ENGINE_SECOND));
	ends_done(t);
}

static void a_key_serves_until_its_counters_are_used_up(void)
{
	struct ends *t = ends_new();
	struct end *e = &t->a;
	struct session *s = ready(e, true);

	set(e->peer, NULL, s, NULL);
	atomic_store(&s->send_counter, UINT64_MAX - 8192 - 1); /* 2^64 - 2^13 - 2 */
	CHECK(session_for_sending(e->peer, t->now_ns) == s);
	atomic_store(&s->send_counter, UINT64_MAX - 8192);
	CHECK(!session_for_sending(e->peer, t->now_ns));
	atomic_store(&s->send_counter, UINT64_MAX);
	CHECK(!session_for_sending(e->peer, t->now_ns));
	ends_done(t);
}

static void a_key_does_not_serve_before_it_is_ready_nor_after_ours_changed(void)
{
	struct ends *t = ends_new();
	struct end *e = &t->a;
	struct session *s = ready(e, true);

	CHECK(!session_for_sending(e->peer, t->now_ns));
	set(e->peer, NULL, s, NULL);
	atomic_store(&s->state, SESSION_PENDING);
	CHECK(!session_for_sending(e->peer, t->now_ns));
	atomic_store(&s->state, SESSION_READY);
	atomic_store(&s->can_send, false);
	CHECK(!session_for_sending(e->peer, t->now_ns));
	atomic_store(&s->can_send, true);
	CHECK(session_for_sending(e->peer, t->now_ns) == s);
	ends_done(t);
}

int main(void)
{
	RUN(a_session_begins_pending_under_an_index_of_its_own);
	RUN(transitions_work_with_no_key_to_begin_with);
	RUN(an_initiator_with_a_next_key_keeps_that_one);
	RUN(an_initiator_without_a_next_key_keeps_the_current);
	RUN(a_responder_keeps_the_current_key_and_waits_with_the_new);
	RUN(the_first_packet_under_the_next_key_confirms_it_once);
	RUN(clearing_leaves_no_key_and_no_handshake);
	RUN(a_key_serves_from_birth_until_it_is_180_s_old);
	RUN(a_key_serves_until_its_counters_are_used_up);
	RUN(a_key_does_not_serve_before_it_is_ready_nor_after_ours_changed);
	return DONE();
}
