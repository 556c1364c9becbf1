/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. The keeper alone makes and reads handshake messages. What it
 * needs of a peer that control may change (the preshared key) it copies under the
 * lock, computes without any lock, and commits under the lock again, unless the peer
 * was removed meanwhile.
 *
 * What arrives is judged at once, by cheap means, as fast as it can be read; only what may
 * cost a Diffie-Hellman waits, in a second queue, a few of which are served before the
 * next look at the first. So nothing waits behind a flood, neither here nor in the socket.
 *
 * Under load, a message without a good MAC2 is only worth a cookie reply, and a source gets
 * few of those per second: a flood is turned away for the price of a hash, while somebody new
 * gets an answer at once. What does not know our public key is not even counted.
 *
 * Source: WireGuard whitepaper, sections 5.3 and 5.4.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

/* It begins when admitted messages pile up. It lasts a second more each time, as long as what
 * is turned away in that second would have made them pile up again. */
static bool is_under_load(struct engine *e, uint64_t now_ns)
{
	bool fills_up = atomic_load(&e->admitted.count) >= UNDER_LOAD_FILL;
	bool is_over = now_ns >= e->under_load_until_ns;
	bool goes_on = is_over && now_ns - e->under_load_until_ns < ENGINE_SECOND / 10 &&
		       e->turned_away >= FLOOD_PER_SECOND;

	if (is_over)
		e->turned_away = 0;
	if (fills_up || goes_on)
		e->under_load_until_ns = now_ns + ENGINE_SECOND;
	return now_ns < e->under_load_until_ns;
}

/* Is @id still who we are? Control may have given us another key meanwhile; it publishes
 * the new identity before it touches any peer. */
static bool is_current(const struct engine *e, const struct identity *id)
{
	const struct identity *now = atomic_load_explicit(&e->identity, memory_order_acquire);

	return memcmp(now->noise.public_key, id->noise.public_key, NOISE_KEY_LEN) == 0;
}

/* A copy to compute with; the static-static secret is made at first use. */
static bool copy_remote(struct engine_worker *w, struct peer *p, const struct identity *id,
			struct noise_remote *ret)
{
	if (atomic_exchange(&p->needs_new_static, false))
		p->remote.is_prepared = false;
	spin_lock(&p->lock);
	*ret = p->remote;
	spin_unlock(&p->lock);
	if (ret->is_prepared)
		return !ret->is_unusable;

	bool usable = noise_remote_prepare(ret, w->suite, &id->noise);

	spin_lock(&p->lock);
	p->remote.static_shared = ret->static_shared;
	p->remote.is_unusable = ret->is_unusable;
	p->remote.is_prepared = true;
	spin_unlock(&p->lock);
	if (!is_current(w->engine, id)) /* that was the old key's secret */
		atomic_store(&p->needs_new_static, true);
	return usable;
}

static bool has_key(const struct identity *id)
{
	return !secret_is_zero(&id->noise.private_key, sizeof(id->noise.private_key));
}

/* @hs and @s become the peer's pending handshake; false if it was removed. */
static bool commit_pending(struct peer *p, struct session *s, struct noise_handshake *hs)
{
	struct session *old = NULL;
	struct noise_handshake *old_hs = NULL;
	bool committed = false;

	spin_lock(&p->lock);
	if (!atomic_load(&p->is_removed)) {
		old = p->pending;
		old_hs = p->handshake;
		p->pending = s;
		p->handshake = hs;
		committed = true;
	}
	spin_unlock(&p->lock);

	session_kill(p->engine, old);
	if (old_hs)
		noise_handshake_done(old_hs);
	free(old_hs);
	return committed;
}

/* The peer takes only labels greater than the last, whatever our wall clock does: it may have
 * been set back since. Labels closer than this are equal (noise_time()). */
static uint64_t next_label_ns(struct peer *p, uint64_t wall_ns)
{
	uint64_t least = p->label_ns + (UINT64_C(1) << 24);

	p->label_ns = wall_ns > least ? wall_ns : least;
	return p->label_ns;
}

static int write_initiation(struct engine_worker *w, struct peer *p, const struct identity *id,
			    const struct frame_profile *profile, uint64_t now_ns,
			    uint64_t wall_ns, struct msg_initiation *msg)
{
	struct noise_handshake *hs = NULL;
	struct session *s = NULL;
	struct noise_remote remote;
	uint8_t random[32], label[NOISE_TIME_LEN];
	int err = ERR_KEY;

	if (!copy_remote(w, p, id, &remote))
		goto out;
	hs = calloc(1, sizeof(*hs));
	s = session_begin(w, p, true);
	if (!hs || !s) {
		err = -ENOMEM;
		goto out;
	}
	s->asked_ns = now_ns;
	s->profile = profile->number;
	random_bytes(w->engine, random, sizeof(random));
	noise_time(label, next_label_ns(p, wall_ns));
	err = noise_initiation_create(w->suite, &id->noise, &remote,
				      frame_type(profile, MESSAGE_INITIATION, &w->random),
				      s->index.index, random, label, hs, msg);
	if (err == 0 && !commit_pending(p, s, hs))
		err = ERR_UNKNOWN;
	if (err == 0) {
		s = NULL; /* the peer's now */
		hs = NULL;
	}
out:
	session_kill(w->engine, s);
	if (hs)
		noise_handshake_done(hs);
	free(hs);
	noise_remote_done(&remote);
	secret_wipe(random, sizeof(random));
	return err;
}

/* A mark on handshakes is a tell where they shall not be told apart. */
static uint8_t handshake_tos(const struct frame_profile *profile)
{
	return profile->is_plain && !profile->prelude_packets ? TOS_HANDSHAKE : 0;
}

/* Room in the arena for @type in @profile's dress, its trailer at most so long that the datagram
 * has @cap octets. Return: the dressed length, 0: there is none. */
static uint32_t make_room(struct engine_worker *w, const struct frame_profile *profile,
			  enum message_type type, uint32_t len, uint32_t window, uint32_t cap)
{
	uint32_t framed = profile->pad[type] + len;

	if (window > TRAILER_WINDOW)
		window = TRAILER_WINDOW;
	framed += frame_trailer(profile, type, window, cap, &w->random);
	return outputs_have_room(w, framed) ? framed : 0;
}

/* Sign, dress and queue a handshake message of @len octets. */
static void put_message(struct engine_worker *w, struct peer *p,
			const struct frame_profile *profile, enum message_type type,
			const void *message, uint32_t len, uint32_t cap, uint64_t now_ns)
{
	struct route *route = atomic_load_explicit(&p->route, memory_order_acquire);
	uint32_t window = atomic_load_explicit(&p->window, memory_order_relaxed);
	struct frame_message m = { .data = arena_end(w) };
	uint8_t *at = m.data + profile->pad[type];

	m.len = make_room(w, profile, type, len, window, cap);
	if (!route || !m.len)
		return;
	memcpy(at, message, len);
	cookie_sign(&p->cookie, w->suite, p->remote.public_key, now_ns, at, len);
	frame_wrap(profile, type, &m, 1, &w->random);
	outputs_add(w, m.len, m.len, handshake_tos(profile), &route->to, p);
	atomic_fetch_add_explicit(&p->tx_bytes, m.len, memory_order_relaxed);
}

/* Signature packets and junk, each a datagram of its own. */
static void put_prelude(struct engine_worker *w, struct peer *p,
			const struct frame_profile *profile, uint64_t wall_ns)
{
	struct frame_prelude_packet packets[FRAME_SIGNATURES + FRAME_JUNK_MAX];
	struct route *route = atomic_load_explicit(&p->route, memory_order_acquire);
	uint32_t counter = generator_u32(&w->random), n = 0;

	if (!route || !profile->prelude_packets ||
	    atomic_load_explicit(&p->sends_no_prelude, memory_order_relaxed) ||
	    w->arena_used + profile->prelude_max > ARENA_BYTES ||
	    w->n_outputs + profile->prelude_packets >= OUTPUTS_MAX)
		return;
	n = frame_prelude(profile, &w->random, (uint32_t)(wall_ns / ENGINE_SECOND), &counter,
			  arena_end(w), packets);
	for (uint32_t i = 0; i < n; i++) {
		outputs_add(w, packets[i].len, packets[i].len, 0, &route->to, p);
		atomic_fetch_add_explicit(&p->tx_bytes, packets[i].len, memory_order_relaxed);
	}
}

void handshake_initiate(struct engine_worker *w, struct peer *p, uint64_t now_ns,
			uint64_t wall_ns, bool is_retry)
{
	struct identity *id = atomic_load_explicit(&w->engine->identity, memory_order_acquire);
	const struct frame_profile *profile = profile_of(w->engine, p);
	uint64_t sent = atomic_load(&p->handshake_sent_ns);
	struct msg_initiation msg;

	if (!is_retry)
		timers_series_begun(w, p);
	if (sent && elapsed(now_ns, sent) < handshake_spacing(w->engine, p)) {
		timers_handshake_under_way(w, p, sent);
		return;
	}
	if (!atomic_load(&w->engine->is_up) || !has_key(id) || atomic_load(&p->is_removed) ||
	    is_lost(w->engine, p))
		return;
	if (!atomic_load(&p->route)) {
		count(w, COUNT_NO_ENDPOINT, 1);
		return;
	}
	if (write_initiation(w, p, id, profile, now_ns, wall_ns, &msg) < 0) {
		atomic_fetch_add_explicit(&p->handshake_failures, 1, memory_order_relaxed);
		return;
	}
	atomic_store(&p->handshake_sent_ns, now_ns ? now_ns : 1);
	put_prelude(w, p, profile, wall_ns);
	put_message(w, p, profile, MESSAGE_INITIATION, &msg, sizeof(msg), FRAME_DATAGRAM_MAX,
		    now_ns);
	timers_any_sent(w, p, now_ns);
	timers_handshake_initiated(w, p, now_ns);
}

/* --- Answering --- */

/* Newer than every label before, and not in a rush. Remembers it if so. */
static bool accept_label(struct peer *p, const uint8_t label[NOISE_TIME_LEN], uint64_t now_ns)
{
	bool is_fresh = false;

	spin_lock(&p->lock);
	is_fresh = memcmp(label, p->greatest_time, NOISE_TIME_LEN) > 0 &&
		   (!p->initiation_consumed_ns ||
		    elapsed(now_ns, p->initiation_consumed_ns) >= INITIATION_SPACING);
	if (is_fresh) {
		memcpy(p->greatest_time, label, NOISE_TIME_LEN);
		p->initiation_consumed_ns = now_ns ? now_ns : 1;
	}
	spin_unlock(&p->lock);
	return is_fresh;
}

/* Not below zero: a range may reach further down than what is taken off. */
static uint64_t less(uint64_t from_ns, uint64_t ns)
{
	return from_ns > ns ? from_ns - ns : 0;
}

/* How long this key may serve. Drawn here, once: a draw at each look would come out low. */
static void draw_life(struct engine_worker *w, struct session *s, const struct frame_timers *t)
{
	s->reject_ns = seconds_ns(t->reject_after.hi);
	s->rekey_send_ns = draw_ns(w, t->rekey_after);
	s->rekey_receive_ns =
		less(draw_ns(w, t->reject_after),
		     seconds_ns(t->keepalive_timeout.lo) + seconds_ns(t->rekey_timeout.lo));
}

static void take_keys(struct engine_worker *w, struct session *s, uint32_t remote_index,
		      struct noise_keys *keys, uint64_t now_ns)
{
	draw_life(w, s, &profile_of(w->engine, s->peer)->timers);
	s->remote_index = remote_index;
	s->send = keys->send;
	s->receive = keys->receive;
	s->born_ns = now_ns;
	noise_keys_done(keys);
	atomic_store_explicit(&s->state, SESSION_READY, memory_order_release);
}

static void answer(struct engine_worker *w, const struct identity *id, struct peer *p,
		   struct noise_handshake *hs, const struct noise_remote *remote,
		   const struct queued_message *q, uint64_t now_ns)
{
	uint32_t receiver =
		le32_value(((const struct msg_initiation *)(const void *)q->data)->sender);
	const struct frame_profile *profile = profile_of(w->engine, p);
	struct session *s = session_begin(w, p, false);
	struct msg_response msg;
	struct noise_keys keys;
	uint8_t random[32];
	bool committed = false;

	if (!s)
		return;
	random_bytes(w->engine, random, sizeof(random));
	if (noise_response_create(w->suite, hs, remote,
				  frame_type(profile, MESSAGE_RESPONSE, &w->random),
				  s->index.index, receiver, random, &msg, &keys) == 0) {
		take_keys(w, s, receiver, &keys, now_ns);
		spin_lock(&p->lock);
		if (!atomic_load(&p->is_removed) && is_current(w->engine, id)) {
			session_responder_done(p, s);
			committed = true;
		}
		spin_unlock(&p->lock);
	}
	secret_wipe(random, sizeof(random));
	if (!committed) {
		session_kill(w->engine, s);
		return;
	}
	atomic_store(&p->handshake_sent_ns, now_ns ? now_ns : 1);
	put_message(w, p, profile, MESSAGE_RESPONSE, &msg, sizeof(msg), q->datagram_len,
		    now_ns);
	timers_session_derived(w, p, now_ns);
	timers_any_sent(w, p, now_ns);
	count(w, COUNT_HANDSHAKES_ANSWERED, 1);
}

/* A peer that is pinned to a profile is not heard under another. */
static bool may_speak(struct peer *p, uint32_t profile)
{
	uint32_t pinned = atomic_load_explicit(&p->pinned, memory_order_relaxed);

	return !pinned || pinned == profile;
}

/* An authentic handshake message: this is where @p is, and that it understands @profile. */
static void hear(struct engine_worker *w, struct peer *p, const struct queued_message *q,
		 uint32_t profile, uint64_t now_ns)
{
	engine_peer_set_profile(p, profile);
	peer_set_source(w, p, &q->source);
	peer_widen_window(p, q->datagram_len);
	atomic_fetch_add_explicit(&p->rx_bytes, q->len, memory_order_relaxed);
	timers_any_received(w, p, now_ns);
}

static bool serve_initiation(struct engine_worker *w, const struct identity *id,
			     const struct queued_message *q, uint64_t now_ns)
{
	const struct msg_initiation *msg = (const void *)q->data;
	uint8_t label[NOISE_TIME_LEN];
	struct noise_handshake hs = { 0 };
	struct noise_remote remote = { 0 };
	struct peer *p = NULL;
	bool served = false;

	if (noise_initiation_open(w->suite, &id->noise, msg, &hs) < 0)
		goto out;
	p = peer_by_key(w, hs.remote_static);
	if (!p)
		goto out;
	if (!copy_remote(w, p, id, &remote) ||
	    noise_initiation_finish(w->suite, &id->noise, &remote, msg, &hs, label) < 0 ||
	    !may_speak(p, q->profile) || !accept_label(p, label, now_ns)) {
		atomic_fetch_add_explicit(&p->handshake_failures, 1, memory_order_relaxed);
		goto out;
	}
	hear(w, p, q, q->profile, now_ns);
	answer(w, id, p, &hs, &remote, q, now_ns);
	served = true;
out:
	noise_handshake_done(&hs);
	noise_remote_done(&remote);
	return served;
}

/* --- Reading the answer --- */

/* A copy of the pending handshake @s stands for, or false. */
static bool copy_pending(struct peer *p, struct session *s, struct noise_handshake *ret)
{
	bool is_pending = false;

	spin_lock(&p->lock);
	if (p->pending == s && p->handshake) {
		*ret = *p->handshake;
		is_pending = true;
	}
	spin_unlock(&p->lock);
	return is_pending;
}

static bool commit_initiator(struct peer *p, struct session *s)
{
	struct noise_handshake *hs = NULL;
	bool committed = false;

	spin_lock(&p->lock);
	if (p->pending == s) {
		hs = p->handshake;
		p->pending = NULL;
		p->handshake = NULL;
		session_initiator_done(p, s);
		committed = true;
	}
	spin_unlock(&p->lock);
	if (hs)
		noise_handshake_done(hs);
	free(hs);
	return committed;
}

static void begin_talking(struct engine_worker *w, struct peer *p, uint32_t profile,
			  const struct queued_message *q, uint64_t now_ns, uint64_t wall_ns)
{
	hear(w, p, q, profile, now_ns);
	timers_session_derived(w, p, now_ns);
	timers_handshake_complete(p, wall_ns);
	count(w, COUNT_HANDSHAKES_COMPLETED, 1);
	send_keepalive(w, p, now_ns); /* confirms the key, unless data waits to do it */
}

/* Responses of two profiles may look the same; it is the one of the initiation, for that was
 * understood. */
static bool serve_response(struct engine_worker *w, const struct identity *id,
			   const struct queued_message *q, uint64_t now_ns, uint64_t wall_ns)
{
	const struct msg_response *msg = (const void *)q->data;
	struct index_entry *entry = index_find(w->engine->sessions, le32_value(msg->receiver));
	struct session *s = entry ? session_of_index(entry) : NULL;
	struct noise_handshake hs = { 0 };
	struct noise_remote remote = { 0 };
	struct noise_keys keys;
	bool served = false;

	if (!s || !copy_pending(s->peer, s, &hs))
		return false;
	if (may_speak(s->peer, s->profile) && copy_remote(w, s->peer, id, &remote) &&
	    noise_response_accept(w->suite, &id->noise, &remote, &hs, msg, &keys) == 0) {
		take_keys(w, s, le32_value(msg->sender), &keys, now_ns);
		served = commit_initiator(s->peer, s);
	}
	if (served)
		begin_talking(w, s->peer, s->profile, q, now_ns, wall_ns);
	else
		atomic_fetch_add_explicit(&s->peer->handshake_failures, 1,
					  memory_order_relaxed);
	noise_handshake_done(&hs);
	noise_remote_done(&remote);
	return served;
}

static void serve_cookie(struct engine_worker *w, const struct queued_message *q,
			 uint64_t now_ns)
{
	const struct msg_cookie *msg = (const void *)q->data;
	struct index_entry *entry = index_find(w->engine->sessions, le32_value(msg->receiver));

	if (entry) {
		struct peer *p = session_of_index(entry)->peer;

		cookie_consume(&p->cookie, w->suite, p->remote.public_key, now_ns, msg);
	}
}

/* --- The queues --- */

/* Return: false when the queue is full. */
static bool put(struct handshake_queue *queue, const struct queued_message *q)
{
	bool fits = false;

	spin_lock(&queue->lock);
	uint32_t n = atomic_load_explicit(&queue->count, memory_order_relaxed);

	if (n < ENGINE_HANDSHAKES_MAX) {
		queue->messages[(queue->first + n) % ENGINE_HANDSHAKES_MAX] = *q;
		atomic_store(&queue->count, n + 1);
		fits = true;
	}
	spin_unlock(&queue->lock);
	return fits;
}

/* Return: false when the queue is empty. */
static bool take(struct handshake_queue *queue, struct queued_message *ret)
{
	bool found = false;

	spin_lock(&queue->lock);
	uint32_t n = atomic_load_explicit(&queue->count, memory_order_relaxed);

	if (n) {
		*ret = queue->messages[queue->first];
		queue->first = (queue->first + 1) % ENGINE_HANDSHAKES_MAX;
		atomic_store(&queue->count, n - 1);
		found = true;
	}
	spin_unlock(&queue->lock);
	return found;
}

/* --- Who may make us work --- */

static void send_cookie(struct engine_worker *w, const struct identity *id,
			const struct queued_message *q)
{
	const struct frame_profile *profile =
		frame_set_find(&framing_now(w->engine)->set, q->profile);
	struct frame_message m = { .data = arena_end(w) };
	uint8_t nonce[24];

	m.len = make_room(w, profile, MESSAGE_COOKIE, sizeof(struct msg_cookie), FRAME_WINDOW,
			  q->datagram_len);
	if (!m.len)
		return;
	random_bytes(w->engine, nonce, sizeof(nonce));
	cookie_reply_create(
		&id->checker, w->suite, frame_type(profile, MESSAGE_COOKIE, &w->random),
		q->data, q->len, &q->source, nonce,
		(struct msg_cookie *)(void *)(m.data + profile->pad[MESSAGE_COOKIE]));
	frame_wrap(profile, MESSAGE_COOKIE, &m, 1, &w->random);
	outputs_add(w, m.len, m.len, 0, &q->source, NULL);
	count(w, COUNT_COOKIES_SENT, 1);
}

static bool has_mac2(const struct queued_message *q)
{
	return !secret_is_zero(q->data + q->len - NOISE_MAC_LEN, NOISE_MAC_LEN);
}

/* What did not prove its address. */
static void turn_away(struct engine_worker *w, const struct identity *id,
		      const struct queued_message *q, uint64_t now_ns)
{
	struct engine *e = w->engine;

	e->turned_away++;
	if (frame_set_find(&framing_now(e)->set, q->profile)->parameters.disable_cookies)
		return;
	if (!id->checker.has_secret) /* our key was replaced this very moment */
		return;
	if (ratelimit_take(e->cookie_requests, now_ns, &q->source.ip))
		send_cookie(w, id, q);
	else
		count(w, COUNT_RATE_LIMITED, 1);
}

/* May this initiation or response cost us a Diffie-Hellman? */
static bool is_admitted(struct engine_worker *w, const struct identity *id,
			const struct queued_message *q, uint64_t now_ns)
{
	if (!is_under_load(w->engine, now_ns))
		return true;
	if (!has_mac2(q) ||
	    !cookie_mac2_is_valid(&id->checker, w->suite, q->data, q->len, &q->source)) {
		turn_away(w, id, q, now_ns);
		return false;
	}
	if (!ratelimit_take(w->engine->handshakes, now_ns, &q->source.ip)) {
		count(w, COUNT_RATE_LIMITED, 1);
		return false;
	}
	return true;
}

static void judge(struct engine_worker *w, const struct queued_message *q, uint64_t now_ns)
{
	const struct identity *id =
		atomic_load_explicit(&w->engine->identity, memory_order_acquire);

	if (!has_key(id))
		return;
	if (q->type == MESSAGE_COOKIE) {
		serve_cookie(w, q, now_ns);
		return;
	}
	if (!is_admitted(w, id, q, now_ns))
		count(w, COUNT_HANDSHAKES_REFUSED, 1);
	else if (!put(&w->engine->admitted, q))
		count(w, COUNT_HANDSHAKE_QUEUE_FULL, 1);
}

/* An initiation or a response, the only kinds that are admitted. */
static void serve(struct engine_worker *w, const struct queued_message *q, uint64_t now_ns,
		  uint64_t wall_ns)
{
	const struct identity *id =
		atomic_load_explicit(&w->engine->identity, memory_order_acquire);

	if (has_key(id) &&
	    !(q->type == MESSAGE_INITIATION ? serve_initiation(w, id, q, now_ns)
					    : serve_response(w, id, q, now_ns, wall_ns)))
		count(w, COUNT_HANDSHAKES_REFUSED, 1);
}

/* --- Turns --- */

void handshake_enqueue(struct engine_worker *w, const struct endpoint *source,
		       const struct frame_view *view, uint32_t datagram_len)
{
	struct queued_message q = { .source = *source,
				    .type = view->type,
				    .len = view->len,
				    .datagram_len = datagram_len,
				    .profile = view->profile->number };

	memcpy(q.data, view->message, view->len);
	if (!put(&w->engine->queue, &q))
		count(w, COUNT_HANDSHAKE_QUEUE_FULL, 1);
	w->wants_keeper = true;
}

bool handshake_judge_arrived(struct engine_worker *w, uint64_t now_ns)
{
	struct queued_message q;

	/* Other threads may fill the queue as fast as this empties it. */
	for (int i = 0; i < ENGINE_HANDSHAKES_MAX; i++) {
		if (w->n_outputs >= COOKIES_PER_TURN || !keeper_has_room(w) ||
		    !take(&w->engine->queue, &q))
			break;
		judge(w, &q, now_ns);
	}
	return atomic_load(&w->engine->queue.count) || atomic_load(&w->engine->admitted.count);
}

bool handshake_serve_admitted(struct engine_worker *w, uint64_t now_ns, uint64_t wall_ns)
{
	struct queued_message q;

	for (int i = 0; i < SERVED_PER_TURN; i++) {
		if (!keeper_has_room(w) || !take(&w->engine->admitted, &q))
			break;
		serve(w, &q, now_ns, wall_ns);
	}
	return atomic_load(&w->engine->admitted.count) > 0;
}
