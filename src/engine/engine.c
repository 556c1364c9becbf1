/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

enum {
	DEFAULT_MTU = 1420,
	SOURCES_MAX = 65536, /* remembered by each rate limiter */
	HANDSHAKES_PER_SECOND = 20,
	HANDSHAKES_BURST = 5,
	COOKIES_PER_SECOND = 2, /* to one source, under load */
	COOKIES_BURST = 4,
};

/* --- Identity --- */

static void release_identity(struct epoch_node *node)
{
	struct identity *id =
		(struct identity *)(void *)((char *)node -
					    offsetof(struct identity, epoch_node));

	noise_identity_done(&id->noise);
	cookie_checker_done(&id->checker);
	free(id);
}

/* Under the identity lock: @id is the one from now on. */
static void publish_identity(struct engine *e, struct identity *id)
{
	struct identity *old = atomic_exchange_explicit(&e->identity, id, memory_order_acq_rel);

	if (old)
		epoch_retire(&e->epoch, &old->epoch_node, release_identity);
}

/* The keeper: a new cookie secret every 120 s. */
static void turn_cookie_secret(struct engine_worker *w, uint64_t now_ns)
{
	struct engine *e = w->engine;
	struct identity *current = atomic_load_explicit(&e->identity, memory_order_acquire);
	uint8_t random[32];

	if (current->checker.has_secret && elapsed(now_ns, current->checker.secret_born_ns) <
						   COOKIE_SECRET_LIFE_S * ENGINE_SECOND)
		return;

	struct identity *id = malloc(sizeof(*id));

	if (!id)
		return; /* the old secret serves until there is memory */
	random_bytes(e, random, sizeof(random));
	spin_lock(&e->identity_lock);
	*id = *atomic_load_explicit(&e->identity, memory_order_acquire);
	cookie_checker_turn(&id->checker, now_ns, random);
	publish_identity(e, id);
	spin_unlock(&e->identity_lock);
	secret_wipe(random, sizeof(random));
}

static void forget_handshakes(struct peer *p)
{
	struct session *s = NULL;

	spin_lock(&p->lock);
	if ((s = atomic_load(&p->current)))
		atomic_store(&s->can_send, false);
	if ((s = atomic_load(&p->next)))
		atomic_store(&s->can_send, false);
	spin_unlock(&p->lock);
	atomic_store(&p->handshake_sent_ns, 0);
	atomic_store(&p->needs_new_static, true);
}

static bool is_our_key(struct engine *e, const struct secret_key *key)
{
	const struct identity *id = atomic_load_explicit(&e->identity, memory_order_acquire);

	return secret_equal(&id->noise.private_key, key, sizeof(*key));
}

int engine_set_private_key(struct engine_worker *w, uint64_t now_ns,
			   const struct secret_key *key)
{
	struct engine *e = w->engine;
	struct identity *id = calloc(1, sizeof(*id));
	struct peer *self = NULL;

	(void)now_ns;
	if (!id)
		return -ENOMEM;
	noise_identity_init(&id->noise, w->suite, key);
	if (is_our_key(e, &id->noise.private_key)) {
		noise_identity_done(&id->noise);
		free(id);
		return 0;
	}
	cookie_checker_init(&id->checker, w->suite, id->noise.public_key);
	self = peer_by_key(w, id->noise.public_key);
	if (self)
		engine_peer_remove(w, self);
	spin_lock(&e->identity_lock);
	publish_identity(e, id);
	spin_unlock(&e->identity_lock);
	for (struct peer *p = e->peers_first; p; p = p->list_next)
		forget_handshakes(p);
	return 0;
}

void engine_get_private_key(struct engine *e, struct secret_key *ret)
{
	*ret = atomic_load_explicit(&e->identity, memory_order_acquire)->noise.private_key;
}

void engine_get_public_key(struct engine *e, uint8_t ret[32])
{
	struct identity *id = atomic_load_explicit(&e->identity, memory_order_acquire);

	memset(ret, 0, 32);
	if (!secret_is_zero(id->noise.private_key.b, sizeof(id->noise.private_key.b)))
		memcpy(ret, id->noise.public_key, 32);
}

/* --- Making and unmaking --- */

static int make_tables(struct engine *e)
{
	uint8_t key[16];
	int err = index_table_new(&e->epoch, &e->sessions);

	if (err == 0)
		err = index_table_new(&e->epoch, &e->by_key);
	if (err == 0)
		err = allowed_ips_new(&e->epoch, &e->allowed_ips);
	random_bytes(e, key, sizeof(key));
	if (err == 0)
		err = ratelimit_new(SOURCES_MAX, HANDSHAKES_PER_SECOND, HANDSHAKES_BURST, key,
				    &e->handshakes);
	random_bytes(e, key, sizeof(key));
	if (err == 0)
		err = ratelimit_new(SOURCES_MAX, COOKIES_PER_SECOND, COOKIES_BURST, key,
				    &e->cookie_requests);
	if (err == 0) /* waves of cookie replies would keep the keeper from its socket */
		ratelimit_spread(e->cookie_requests);
	return err;
}

int engine_new(const struct engine_options *options, struct engine **ret)
{
	struct engine *e = calloc(1, sizeof(*e));
	struct identity *id = calloc(1, sizeof(*id));
	int err = -ENOMEM;

	if (!e || !id)
		goto out;
	e->options = *options;
	epoch_init(&e->epoch);
	atomic_store(&e->framing, framing_plain());
	if (!atomic_load(&e->framing))
		goto out;
	atomic_store(&e->mtu, DEFAULT_MTU);
	atomic_store(&e->identity, id);
	id = NULL;
	random_bytes(e, e->key_hash_key, sizeof(e->key_hash_key));
	err = make_tables(e);
	if (err == 0) {
		*ret = e;
		e = NULL;
	}
out:
	engine_free(e);
	free(id);
	return err;
}

/* Peers that were removed and not yet seen off by the keeper. */
static void finish_removed(struct engine *e)
{
	struct peer *lists[2] = { e->backlog, atomic_exchange(&e->kicked, NULL) };

	e->backlog = NULL;
	for (int i = 0; i < 2; i++)
		while (lists[i]) {
			struct peer *p = lists[i];

			lists[i] = atomic_load(&p->kick_next);
			atomic_store(&p->is_kicked, false);
			if (atomic_load(&p->is_removed) && !p->is_retired) {
				session_clear_all(p);
				epoch_retire(&e->epoch, &p->epoch_node, peer_release);
			}
		}
}

static void free_peers(struct engine *e)
{
	struct peer *p = e->peers_first;

	finish_removed(e);
	while (p) {
		struct peer *next = p->list_next;

		if (e->allowed_ips)
			allowed_ips_remove_all(e->allowed_ips, &p->allowed_ips);
		session_clear_all(p);
		peer_release(&p->epoch_node);
		p = next;
	}
	while (e->spare) {
		p = e->spare;
		e->spare = p->list_next;
		free(p);
	}
}

struct engine *engine_free(struct engine *e)
{
	if (!e)
		return NULL;
	free_peers(e);
	if (e->allowed_ips)
		allowed_ips_free(e->allowed_ips);
	epoch_done(&e->epoch);
	if (e->sessions)
		index_table_free(e->sessions);
	if (e->by_key)
		index_table_free(e->by_key);
	ratelimit_free(e->handshakes);
	ratelimit_free(e->cookie_requests);
	if (atomic_load(&e->identity))
		release_identity(&atomic_load(&e->identity)->epoch_node);
	engine_framing_free(atomic_load(&e->framing));
	secret_wipe(e, sizeof(*e));
	free(e);
	return NULL;
}

static void seed(struct engine_worker *w)
{
	uint8_t random[GENERATOR_SEED_LEN];

	random_bytes(w->engine, &w->jitter_state, sizeof(w->jitter_state));
	random_bytes(w->engine, &w->source_key, sizeof(w->source_key));
	random_bytes(w->engine, random, sizeof(random));
	generator_init(&w->random, random);
	secret_wipe(random, sizeof(random));
}

int engine_worker_new(struct engine *e, struct engine_worker **ret)
{
	struct engine_worker *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);
	int err = -ENOMEM;

	if (!w)
		return err;
	memset(w, 0, sizeof(*w));
	w->engine = e;
	w->can_merge = true;
	w->arena = aligned_alloc(64, ARENA_BYTES);
	if (!w->arena)
		goto out;
	err = suite_new(e->options.backend, &w->suite);
	if (err == 0)
		err = inet_merge_new(e->options.packets_max + ICMP_PER_BATCH, &w->merge);
	if (err == 0)
		err = epoch_register(&e->epoch, &w->reader);
	if (err == 0) {
		seed(w);
		e->workers[e->n_workers++] = w;
		*ret = w;
		w = NULL;
	}
out:
	engine_worker_free(w);
	return err;
}

struct engine_worker *engine_worker_free(struct engine_worker *w)
{
	if (!w)
		return NULL;
	suite_free(w->suite);
	inet_merge_free(w->merge);
	if (w->arena)
		secret_wipe(w->arena, ARENA_BYTES);
	free(w->arena);
	generator_done(&w->random);
	free(w);
	return NULL;
}

void engine_worker_set_merge(struct engine_worker *w, bool can_merge)
{
	w->can_merge = can_merge;
}

void engine_worker_set_merge_udp(struct engine_worker *w, bool can_merge)
{
	inet_merge_allow(w->merge, true, can_merge);
}

void engine_enter(struct engine_worker *w)
{
	epoch_online(&w->engine->epoch, &w->reader);
}

void engine_quiet(struct engine_worker *w)
{
	epoch_quiet(&w->engine->epoch, &w->reader);
}

void engine_leave(struct engine_worker *w)
{
	epoch_offline(&w->engine->epoch, &w->reader);
}

/* --- Outputs --- */

void outputs_reset(struct engine_worker *w)
{
	w->arena_used = 0;
	w->n_outputs = 0;
	w->n_icmp = 0;
	inet_merge_reset(w->merge);
}

bool outputs_have_room(const struct engine_worker *w, uint32_t len)
{
	return w->n_outputs < OUTPUTS_MAX && w->arena_used + len <= ARENA_BYTES;
}

bool keeper_has_room(const struct engine_worker *w)
{
	const struct engine_framing *f = framing_now(w->engine);

	return w->n_outputs == 0 || (w->n_outputs + f->keeper_outputs <= OUTPUTS_MAX &&
				     w->arena_used + f->keeper_room <= ARENA_BYTES);
}

void outputs_add(struct engine_worker *w, uint32_t len, uint32_t segment, uint8_t tos,
		 const struct endpoint *to, struct peer *p)
{
	w->outputs[w->n_outputs++] = (struct engine_output){
		.data = arena_end(w),
		.len = len,
		.segment = segment,
		.tos = tos,
		.to = *to,
		.peer = p,
	};
	w->arena_used += len;
}

size_t engine_outputs(struct engine_worker *w, const struct engine_output **ret)
{
	*ret = w->outputs;
	return w->n_outputs;
}

size_t engine_writes(struct engine_worker *w, const struct inet_write **ret_writes,
		     struct iovec **ret_slices)
{
	return inet_merge_finish(w->merge, ret_writes, ret_slices);
}

size_t engine_handshakes_waiting(const struct engine *e)
{
	return atomic_load(&e->queue.count);
}

bool engine_wants_keeper(struct engine_worker *w)
{
	bool wants = w->wants_keeper;

	w->wants_keeper = false;
	return wants;
}

/* --- The keeper --- */

/* In an order in which none takes all the room for outputs from the next; where preludes are
 * long that is not enough, so timers that found no room are first the next time. */
static bool take_turn(struct engine_worker *w, uint64_t now_ns, uint64_t wall_ns)
{
	struct engine *e = w->engine;
	bool were_first = e->timers_wait;
	bool timers_more = were_first && timers_run(w, now_ns, wall_ns);
	bool more = handshake_serve_admitted(w, now_ns, wall_ns);

	more |= handshake_judge_arrived(w, now_ns);
	if (!were_first)
		timers_more = timers_run(w, now_ns, wall_ns);
	e->timers_wait = timers_more && !were_first;
	return more || timers_more;
}

bool engine_keep(struct engine_worker *w, uint64_t now_ns, uint64_t wall_ns)
{
	struct engine *e = w->engine;
	bool more = false;

	outputs_reset(w);
	w->wants_keeper = false;
	atomic_store(&e->wall_offset_ns, wall_ns - now_ns);
	framing_note_ends(e, wall_ns);
	turn_cookie_secret(w, now_ns);
	more = take_turn(w, now_ns, wall_ns);
	engine_quiet(w);
	epoch_reclaim(&e->epoch);
	return more || w->wants_keeper;
}

/* --- The whole interface --- */

static void stop_peer(struct peer *p)
{
	session_clear_all(p);
	timers_stop(p);
}

void engine_set_up(struct engine_worker *w, uint64_t now_ns, bool up)
{
	struct engine *e = w->engine;

	if (atomic_exchange(&e->is_up, up) == up)
		return;
	for (struct peer *p = e->peers_first; p; p = p->list_next) {
		if (!up) {
			stop_peer(p);
			staged_drop_all(p);
			continue;
		}
		if (atomic_load(&p->keepalive_s))
			engine_peer_greet(w, p);
		engine_peer_flush(w, now_ns, p);
	}
}

void engine_set_mtu(struct engine *e, uint32_t mtu)
{
	atomic_store(&e->mtu, mtu);
}

uint32_t engine_mtu(const struct engine *e)
{
	return atomic_load(&e->mtu);
}

void engine_forget_keys(struct engine_worker *w, uint64_t now_ns)
{
	(void)now_ns;
	for (struct peer *p = w->engine->peers_first; p; p = p->list_next) {
		stop_peer(p);
		if (atomic_load(&p->keepalive_s))
			atomic_store(&p->wants_keepalive, true);
		if (atomic_load(&p->n_staged)) /* nobody else will ask for a key */
			atomic_store(&p->wants_flush, true);
		if (atomic_load(&p->keepalive_s) || atomic_load(&p->n_staged))
			peer_kick(w, p);
	}
}

static uint64_t total(const struct engine *e, enum counter c)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < e->n_workers; i++)
		sum += atomic_load_explicit(&e->workers[i]->counts[c], memory_order_relaxed);
	return sum;
}

void engine_counters(const struct engine *e, struct engine_counters *ret)
{
	*ret = (struct engine_counters){
		.malformed = total(e, COUNT_MALFORMED),
		.unknown_index = total(e, COUNT_UNKNOWN_INDEX),
		.bad_tag = total(e, COUNT_BAD_TAG),
		.replayed = total(e, COUNT_REPLAYED),
		.bad_source = total(e, COUNT_BAD_SOURCE),
		.bad_packet = total(e, COUNT_BAD_PACKET),
		.no_route = total(e, COUNT_NO_ROUTE),
		.no_endpoint = total(e, COUNT_NO_ENDPOINT),
		.staged_dropped = total(e, COUNT_STAGED_DROPPED),
		.over_budget = total(e, COUNT_OVER_BUDGET),
		.handshake_queue_full = total(e, COUNT_HANDSHAKE_QUEUE_FULL),
		.bad_mac1 = total(e, COUNT_BAD_MAC1),
		.cookies_sent = total(e, COUNT_COOKIES_SENT),
		.rate_limited = total(e, COUNT_RATE_LIMITED),
		.handshakes_refused = total(e, COUNT_HANDSHAKES_REFUSED),
		.handshakes_answered = total(e, COUNT_HANDSHAKES_ANSWERED),
		.handshakes_completed = total(e, COUNT_HANDSHAKES_COMPLETED),
	};
}
