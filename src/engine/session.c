/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A session is born with its index: as a pending handshake when
 * we initiate, ready when we answer. The peer's three pointers say what it is for.
 * They change under the peer's lock and are read without it; a session that leaves
 * them is killed: out of the index table at once, wiped and freed when no thread can see it.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

static struct session *session_of_node(struct epoch_node *node)
{
	return (struct session *)(void *)((char *)node - offsetof(struct session, epoch_node));
}

static void release(struct epoch_node *node)
{
	struct session *s = session_of_node(node);

	secret_wipe(s, sizeof(*s));
	free(s);
}

static int enter(struct engine_worker *w, struct session *s)
{
	int err = ERR_EXISTS;

	for (int tries = 0; err == ERR_EXISTS && tries < 16; tries++) {
		random_bytes(w->engine, &s->index.index, sizeof(s->index.index));
		err = index_insert(w->engine->sessions, &s->index);
	}
	return err;
}

struct session *session_begin(struct engine_worker *w, struct peer *p, bool is_initiator)
{
	struct session *s = aligned_alloc(_Alignof(struct session), sizeof(*s));

	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->peer = p;
	s->is_initiator = is_initiator;
	atomic_init(&s->state, SESSION_PENDING);
	atomic_init(&s->can_send, true);
	if (enter(w, s) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

void session_kill(struct engine *e, struct session *s)
{
	if (!s)
		return;
	atomic_store_explicit(&s->state, SESSION_DEAD, memory_order_release);
	index_remove(e->sessions, &s->index);
	epoch_retire(&e->epoch, &s->epoch_node, release);
}

/* Of two handshakes that crossed, the one that the smaller public key began counts. */
static bool yields(const struct peer *p)
{
	const struct identity *id =
		atomic_load_explicit(&p->engine->identity, memory_order_acquire);

	return memcmp(id->noise.public_key, p->remote.public_key, NOISE_KEY_LEN) > 0;
}

/* Did we make @s for an initiation of theirs while our own was on its way? */
static bool crossed(const struct session *theirs, const struct session *ours)
{
	return theirs && !theirs->is_initiator && theirs->born_ns >= ours->asked_ns;
}

/*
 * Both ends initiated at once, and both handshakes complete. Were each end to send with its
 * own, each would see itself as the initiator for good: two handshakes every 120 s, and at
 * each the other end's packets in flight lost. So the end that yields waits for the other's
 * key to be confirmed, sends with its own until then, and afterwards hears both.
 */
static bool yield_to_theirs(struct peer *p, struct session *ours)
{
	struct session *current = atomic_load(&p->current);

	if (crossed(current, ours)) { /* confirmed before our answer came */
		session_kill(p->engine, ours);
		return true;
	}
	if (!crossed(atomic_load(&p->next), ours))
		return false;
	atomic_store(&p->current, ours);
	session_kill(p->engine, atomic_exchange(&p->previous, current));
	return true;
}

void session_initiator_done(struct peer *p, struct session *s)
{
	if (yields(p) && yield_to_theirs(p, s))
		return;

	struct session *next = atomic_exchange(&p->next, NULL);
	struct session *current = atomic_exchange(&p->current, s);

	if (next) { /* theirs was newer than current: it may still be in flight */
		session_kill(p->engine, current);
		current = next;
	}
	session_kill(p->engine, atomic_exchange(&p->previous, current));
}

void session_responder_done(struct peer *p, struct session *s)
{
	session_kill(p->engine, atomic_exchange(&p->next, s));
	session_kill(p->engine, atomic_exchange(&p->previous, NULL));
}

bool session_confirm(struct peer *p, struct session *s)
{
	bool was_next = false;

	if (atomic_load_explicit(&p->next, memory_order_relaxed) != s)
		return false;
	spin_lock(&p->lock);
	if (atomic_load(&p->next) == s) {
		struct session *current = atomic_exchange(&p->current, s);

		session_kill(p->engine, atomic_exchange(&p->previous, current));
		atomic_store(&p->next, NULL);
		was_next = true;
	}
	spin_unlock(&p->lock);
	return was_next;
}

void session_clear_all(struct peer *p)
{
	struct noise_handshake *hs = NULL;
	struct session *pending = NULL;

	spin_lock(&p->lock);
	session_kill(p->engine, atomic_exchange(&p->current, NULL));
	session_kill(p->engine, atomic_exchange(&p->next, NULL));
	session_kill(p->engine, atomic_exchange(&p->previous, NULL));
	pending = p->pending;
	hs = p->handshake;
	p->pending = NULL;
	p->handshake = NULL;
	spin_unlock(&p->lock);

	session_kill(p->engine, pending);
	if (hs)
		noise_handshake_done(hs);
	free(hs);
}

struct session *session_for_sending(struct peer *p, uint64_t now_ns)
{
	struct session *s = atomic_load_explicit(&p->current, memory_order_acquire);

	if (!s || atomic_load_explicit(&s->state, memory_order_acquire) != SESSION_READY)
		return NULL;
	if (!atomic_load_explicit(&s->can_send, memory_order_relaxed) || is_lost(p->engine, p))
		return NULL;
	if (elapsed(now_ns, s->born_ns) >= s->reject_ns)
		return NULL;
	if (atomic_load_explicit(&s->send_counter, memory_order_relaxed) >=
	    REJECT_AFTER_MESSAGES)
		return NULL;
	return s;
}
