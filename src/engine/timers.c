/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A timer is a deadline in the peer; 0 is off. Data threads arm and
 * cancel by storing to it and do nothing else, unless the new deadline is earlier
 * than the time the keeper will look at this peer anyway: then they kick it. The
 * keeper looks at a peer when its earliest deadline has come, fires what is due,
 * and schedules it for the next one. Cancelled timers cost the keeper one look.
 *
 * A deadline stored here and wake_at are sequentially consistent: either the data
 * thread sees that the keeper would come too late, or the keeper sees the deadline.
 *
 * Source: WireGuard whitepaper, section 6; Linux timers.c for what it leaves open.
 */
#include "engine/internal.h"

uint64_t jitter(struct engine_worker *w)
{
	w->jitter_state =
		w->jitter_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (w->jitter_state >> 32) * JITTER_MAX >> 32;
}

void peer_kick(struct engine_worker *w, struct peer *p)
{
	struct engine *e = w->engine;
	struct peer *head = NULL;

	if (atomic_exchange(&p->is_kicked, true)) {
		w->wants_keeper = true;
		return;
	}
	head = atomic_load_explicit(&e->kicked, memory_order_relaxed);
	do {
		atomic_store_explicit(&p->kick_next, head, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(
		&e->kicked, &head, p, memory_order_release, memory_order_relaxed));
	w->wants_keeper = true;
}

static void arm(struct engine_worker *w, struct peer *p, _Atomic uint64_t *timer,
		uint64_t at_ns)
{
	atomic_store(timer, at_ns);
	if (atomic_load(&p->wake_at) > at_ns)
		peer_kick(w, p);
}

static bool is_armed(_Atomic uint64_t *timer)
{
	return atomic_load_explicit(timer, memory_order_relaxed) != 0;
}

static void cancel(_Atomic uint64_t *timer)
{
	if (is_armed(timer))
		atomic_store_explicit(timer, 0, memory_order_relaxed);
}

static void rearm_persistent(struct engine_worker *w, struct peer *p, uint64_t now_ns)
{
	uint32_t packed = atomic_load_explicit(&p->keepalive_s, memory_order_relaxed);
	struct frame_range seconds = { packed & UINT16_MAX, packed >> 16 };

	if (!packed)
		return;
	if (seconds.lo == 0) /* of a range: at once would be for ever */
		seconds.lo = 1;
	arm(w, p, &p->persistent_at, now_ns + draw_ns(w, seconds));
}

void timers_any_sent(struct engine_worker *w, struct peer *p, uint64_t now_ns)
{
	cancel(&p->keepalive_at);
	rearm_persistent(w, p, now_ns);
}

void timers_data_sent(struct engine_worker *w, struct peer *p, uint64_t now_ns)
{
	if (is_armed(&p->new_handshake_at))
		return;
	const struct frame_timers *t = &profile_of(w->engine, p)->timers;

	arm(w, p, &p->new_handshake_at,
	    now_ns + seconds_ns(t->keepalive_timeout.hi) + draw_ns(w, t->rekey_timeout) +
		    jitter(w));
}

void timers_any_received(struct engine_worker *w, struct peer *p, uint64_t now_ns)
{
	cancel(&p->new_handshake_at);
	rearm_persistent(w, p, now_ns);
}

static uint64_t keepalive_timeout(struct engine_worker *w, struct peer *p)
{
	return draw_ns(w, profile_of(w->engine, p)->timers.keepalive_timeout);
}

void timers_data_received(struct engine_worker *w, struct peer *p, uint64_t now_ns)
{
	if (!is_armed(&p->keepalive_at))
		arm(w, p, &p->keepalive_at, now_ns + keepalive_timeout(w, p));
	else
		atomic_store_explicit(&p->needs_another_keepalive, true, memory_order_relaxed);
}

void timers_handshake_initiated(struct engine_worker *w, struct peer *p, uint64_t now_ns)
{
	arm(w, p, &p->retransmit_at,
	    now_ns + draw_ns(w, profile_of(w->engine, p)->timers.rekey_timeout) + jitter(w));
}

/* Ours, whose timer runs; or one that we answered: if it comes to nothing, ours follows. */
void timers_handshake_under_way(struct engine_worker *w, struct peer *p, uint64_t sent_ns)
{
	if (!is_armed(&p->retransmit_at))
		timers_handshake_initiated(w, p, sent_ns);
}

void timers_handshake_complete(struct peer *p, uint64_t wall_ns)
{
	cancel(&p->retransmit_at);
	atomic_store_explicit(&p->attempts, 0, memory_order_relaxed);
	atomic_store_explicit(&p->last_handshake_wall_ns, wall_ns, memory_order_relaxed);
}

/* No key outlives this. */
static uint64_t zero_after(struct engine_worker *w, struct peer *p)
{
	return 3 * seconds_ns(profile_of(w->engine, p)->timers.reject_after.hi);
}

void timers_session_derived(struct engine_worker *w, struct peer *p, uint64_t now_ns)
{
	arm(w, p, &p->zero_at, now_ns + zero_after(w, p));
}

void timers_stop(struct peer *p)
{
	cancel(&p->new_handshake_at);
	cancel(&p->keepalive_at);
	cancel(&p->persistent_at);
	cancel(&p->retransmit_at);
	cancel(&p->zero_at);
	atomic_store(&p->needs_another_keepalive, false);
	atomic_store(&p->attempts, 0);
	atomic_store(&p->handshake_sent_ns, 0);
}

void ask_handshake(struct engine_worker *w, struct peer *p, uint64_t now_ns)
{
	uint64_t sent = atomic_load_explicit(&p->handshake_sent_ns, memory_order_relaxed);

	if (sent && elapsed(now_ns, sent) < handshake_spacing(w->engine, p)) {
		timers_handshake_under_way(w, p, sent);
		return;
	}
	if (!atomic_exchange(&p->wants_handshake, true))
		peer_kick(w, p);
}

/* --- The keeper's side --- */

static uint64_t earliest(struct peer *p)
{
	_Atomic uint64_t *const timers[] = { &p->new_handshake_at, &p->keepalive_at,
					     &p->persistent_at, &p->retransmit_at,
					     &p->zero_at };
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
		uint64_t t = atomic_load(timers[i]);

		if (t && t < at)
			at = t;
	}
	return at;
}

static void reschedule(struct engine *e, struct peer *p)
{
	uint64_t at = 0;

	do {
		at = earliest(p);
		atomic_store(&p->wake_at, at);
	} while (earliest(p) < at); /* armed in between, by someone who saw the old wake_at */

	if (at == UINT64_MAX)
		schedule_remove(&e->schedule, &p->schedule);
	else
		schedule_put(&e->schedule, &p->schedule, at);
}

/* Due now? Then it is off. A timer that was re-armed meanwhile stays. */
static bool take_due(_Atomic uint64_t *timer, uint64_t now_ns)
{
	uint64_t at = atomic_load(timer);

	return at && at <= now_ns && atomic_compare_exchange_strong(timer, &at, 0);
}

void timers_series_begun(struct engine_worker *w, struct peer *p)
{
	const struct frame_range max = profile_of(w->engine, p)->timers.max_attempts;

	atomic_store(&p->attempts, 0);
	p->attempts_max = generator_between(&w->random, max.lo, max.hi);
}

static void give_up(struct engine_worker *w, struct peer *p, uint64_t now_ns)
{
	cancel(&p->keepalive_at);
	staged_drop_all(p);
	if (!is_armed(&p->zero_at))
		atomic_store(&p->zero_at, now_ns + zero_after(w, p));
	atomic_fetch_add_explicit(&p->handshake_failures, 1, memory_order_relaxed);
}

static void retransmit(struct engine_worker *w, struct peer *p, uint64_t now_ns,
		       uint64_t wall_ns)
{
	if (atomic_load(&p->attempts) > p->attempts_max) {
		give_up(w, p, now_ns);
		return;
	}
	atomic_fetch_add(&p->attempts, 1);
	peer_forget_source(w->engine, p);
	handshake_initiate(w, p, now_ns, wall_ns, true);
}

static void fire(struct engine_worker *w, struct peer *p, uint64_t now_ns, uint64_t wall_ns)
{
	if (take_due(&p->zero_at, now_ns)) /* a series that is under way goes on */
		session_clear_all(p);
	if (take_due(&p->retransmit_at, now_ns))
		retransmit(w, p, now_ns, wall_ns);
	if (take_due(&p->new_handshake_at, now_ns)) {
		peer_forget_source(w->engine, p);
		handshake_initiate(w, p, now_ns, wall_ns, false);
	}
	if (take_due(&p->keepalive_at, now_ns)) {
		send_keepalive(w, p, now_ns);
		if (atomic_exchange(&p->needs_another_keepalive, false))
			atomic_store(&p->keepalive_at, now_ns + keepalive_timeout(w, p));
	}
	if (take_due(&p->persistent_at, now_ns)) {
		send_keepalive(w, p, now_ns);
		if (!is_armed(&p->persistent_at)) /* nothing went out: no key, no endpoint */
			rearm_persistent(w, p, now_ns);
	}
}

static void retire(struct engine *e, struct peer *p)
{
	schedule_remove(&e->schedule, &p->schedule);
	session_clear_all(p);
	epoch_retire(&e->epoch, &p->epoch_node, peer_release);
}

/* true: the outputs are full and @p wants to be looked at again. */
static bool serve_kick(struct engine_worker *w, struct peer *p, uint64_t now_ns,
		       uint64_t wall_ns)
{
	bool more = false;

	if (atomic_load(&p->is_removed)) {
		if (!p->is_retired) {
			p->is_retired = true;
			retire(w->engine, p);
		}
		return false;
	}
	if (atomic_exchange(&p->wants_handshake, false))
		handshake_initiate(w, p, now_ns, wall_ns, false);
	if (atomic_exchange(&p->wants_keepalive, false))
		send_keepalive(w, p, now_ns);
	if (atomic_exchange(&p->wants_flush, false) && send_staged(w, p, now_ns)) {
		atomic_store(&p->wants_flush, true);
		more = true;
	}
	reschedule(w->engine, p);
	return more;
}

/* Everybody who kicked before now, oldest first. */
static void take_kicked(struct engine *e)
{
	struct peer *p = atomic_exchange_explicit(&e->kicked, NULL, memory_order_acquire);
	struct peer *in_order = NULL;

	while (p) {
		struct peer *next = atomic_load_explicit(&p->kick_next, memory_order_relaxed);

		atomic_store_explicit(&p->kick_next, in_order, memory_order_relaxed);
		in_order = p;
		p = next;
	}
	if (e->backlog_last)
		atomic_store_explicit(&e->backlog_last->kick_next, in_order,
				      memory_order_relaxed);
	else
		e->backlog = in_order;
	for (p = in_order; p; p = atomic_load_explicit(&p->kick_next, memory_order_relaxed))
		e->backlog_last = p;
}

static bool serve_kicks(struct engine_worker *w, uint64_t now_ns, uint64_t wall_ns)
{
	struct engine *e = w->engine;
	bool more = false;

	take_kicked(e);
	while (e->backlog) {
		struct peer *p = e->backlog;

		if (!keeper_has_room(w))
			return true;
		e->backlog = atomic_load_explicit(&p->kick_next, memory_order_relaxed);
		if (!e->backlog)
			e->backlog_last = NULL;
		atomic_store(&p->is_kicked, false); /* before reading what it wants */
		if (serve_kick(w, p, now_ns, wall_ns)) {
			peer_kick(w, p);
			more = true;
		}
	}
	return more;
}

bool timers_run(struct engine_worker *w, uint64_t now_ns, uint64_t wall_ns)
{
	struct engine *e = w->engine;
	struct schedule_node *n = NULL;

	if (serve_kicks(w, now_ns, wall_ns))
		return true;
	while ((n = schedule_first(&e->schedule)) && n->at_ns <= now_ns) {
		struct peer *p =
			(struct peer *)(void *)((char *)n - offsetof(struct peer, schedule));

		if (!keeper_has_room(w))
			return true;
		fire(w, p, now_ns, wall_ns);
		reschedule(e, p);
	}
	return false;
}

uint64_t engine_deadline_ns(const struct engine_worker *w)
{
	const struct schedule_node *n = schedule_first(&w->engine->schedule);

	return n ? n->at_ns : UINT64_MAX;
}
