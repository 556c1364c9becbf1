/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

/* --- Finding a peer by its public key --- */

/* A keyed hash, so that nobody can aim keys at one place. Those that collide take the
 * numbers behind it. */
static uint32_t key_hash(struct engine_worker *w, const uint8_t public_key[32])
{
	const struct hash_part part = { public_key, NOISE_KEY_LEN };
	uint8_t mac[MAC_LEN];

	mac_parts(w->suite, mac, w->engine->key_hash_key, sizeof(w->engine->key_hash_key),
		  &part, 1);
	return get_be32(mac);
}

struct peer *peer_by_key(struct engine_worker *w, const uint8_t public_key[32])
{
	uint32_t hash = key_hash(w, public_key);

	for (uint32_t i = 0; i < PEER_PROBES; i++) {
		struct peer *p = (struct peer *)(void *)index_find(w->engine->by_key, hash + i);

		if (p && memcmp(p->remote.public_key, public_key, NOISE_KEY_LEN) == 0)
			return p;
	}
	return NULL;
}

static int enter_key(struct engine_worker *w, struct peer *p)
{
	uint32_t hash = key_hash(w, p->remote.public_key);
	int err = ERR_LIMIT;

	for (uint32_t i = 0; i < PEER_PROBES; i++) {
		p->by_key.index = hash + i;
		err = index_insert(w->engine->by_key, &p->by_key);
		if (err != ERR_EXISTS)
			return err;
	}
	return err;
}

struct peer *engine_peer_find(struct engine_worker *w, const uint8_t public_key[32])
{
	return peer_by_key(w, public_key);
}

/* --- Adding and removing --- */

static struct peer *take_spare(struct engine *e)
{
	struct peer *p = e->spare;

	if (!p)
		return calloc(1, sizeof(*p));
	e->spare = p->list_next;
	e->n_spare--;
	p->list_next = NULL;
	return p;
}

int engine_reserve(struct engine *e, size_t peers, size_t prefixes)
{
	while (e->n_spare < peers) {
		struct peer *p = calloc(1, sizeof(*p));

		if (!p)
			return -ENOMEM;
		p->list_next = e->spare;
		e->spare = p;
		e->n_spare++;
	}
	return allowed_ips_reserve(e->allowed_ips, prefixes);
}

int engine_peer_add(struct engine_worker *w, const uint8_t public_key[32], struct peer **ret)
{
	struct engine *e = w->engine;
	struct identity *id = atomic_load(&e->identity);
	struct peer *p = NULL;
	int err = 0;

	if (memcmp(id->noise.public_key, public_key, NOISE_KEY_LEN) == 0)
		return ERR_KEY;
	if (e->n_peers >= ENGINE_PEERS_MAX)
		return ERR_LIMIT;
	p = take_spare(e);
	if (!p)
		return -ENOMEM;
	p->engine = e;
	memcpy(p->remote.public_key, public_key, NOISE_KEY_LEN);
	atomic_store(&p->wake_at, UINT64_MAX);
	atomic_store(&p->budget, INT64_MAX);
	atomic_store(&p->window, FRAME_WINDOW);
	p->attempts_max = frame_timers_plain.max_attempts.hi;
	err = enter_key(w, p);
	if (err < 0) {
		free(p);
		return err;
	}
	p->list_prev = e->peers_last;
	if (e->peers_last)
		e->peers_last->list_next = p;
	else
		e->peers_first = p;
	e->peers_last = p;
	e->n_peers++;
	*ret = p;
	return 0;
}

void engine_peer_remove(struct engine_worker *w, struct peer *p)
{
	struct engine *e = w->engine;

	allowed_ips_remove_all(e->allowed_ips, &p->allowed_ips);
	index_remove(e->by_key, &p->by_key);
	if (p->list_prev)
		p->list_prev->list_next = p->list_next;
	else
		e->peers_first = p->list_next;
	if (p->list_next)
		p->list_next->list_prev = p->list_prev;
	else
		e->peers_last = p->list_prev;
	e->n_peers--;

	spin_lock(&p->lock);
	atomic_store(&p->is_removed, true);
	spin_unlock(&p->lock);
	session_clear_all(p);
	peer_kick(w, p); /* the keeper lets go of it, then the epoch */
}

void engine_peer_remove_all(struct engine_worker *w)
{
	while (w->engine->peers_first)
		engine_peer_remove(w, w->engine->peers_first);
}

static struct peer *peer_of_node(struct epoch_node *node)
{
	return (struct peer *)(void *)((char *)node - offsetof(struct peer, epoch_node));
}

static void release_route(struct epoch_node *node)
{
	free((char *)node - offsetof(struct route, epoch_node));
}

void peer_release(struct epoch_node *node)
{
	struct peer *p = peer_of_node(node);

	/* A data thread kicked it after the keeper let go: the keeper will see it once more. */
	if (atomic_load(&p->is_kicked)) {
		epoch_retire(&p->engine->epoch, node, peer_release);
		return;
	}
	staged_drop_all(p);
	free(atomic_load(&p->route));
	if (p->handshake)
		noise_handshake_done(p->handshake);
	free(p->handshake);
	noise_remote_done(&p->remote);
	secret_wipe(p, sizeof(*p));
	free(p);
}

size_t engine_peer_count(const struct engine *e)
{
	return e->n_peers;
}

struct peer *engine_peer_next(const struct engine *e, const struct peer *p)
{
	return p ? p->list_next : e->peers_first;
}

/* --- Where it is --- */

static struct route *route_new(struct engine *e, const struct endpoint *to)
{
	struct route *route = malloc(sizeof(*route));

	if (!route)
		return NULL;
	route->to = *to;
	route->number = atomic_fetch_add_explicit(&e->n_routes, 1, memory_order_relaxed) + 1;
	return route;
}

static void retire_route(struct engine *e, struct route *old)
{
	if (old)
		epoch_retire(&e->epoch, &old->epoch_node, release_route);
}

static int publish_route(struct engine *e, struct peer *p, const struct endpoint *to)
{
	struct route *route = route_new(e, to);

	if (!route)
		return -ENOMEM;
	retire_route(e, atomic_exchange_explicit(&p->route, route, memory_order_acq_rel));
	return 0;
}

/* Another path may carry less: what was seen on the old one says nothing. */
static void reset_window(struct peer *p, const struct route *before, const struct endpoint *to)
{
	if (!before || !endpoint_same_remote(&before->to, to))
		atomic_store_explicit(&p->window, FRAME_WINDOW, memory_order_relaxed);
}

int engine_peer_set_endpoint(struct engine_worker *w, struct peer *p, const struct endpoint *to)
{
	reset_window(p, atomic_load_explicit(&p->route, memory_order_acquire), to);
	return publish_route(w->engine, p, to);
}

void peer_set_source(struct engine_worker *w, struct peer *p, const struct endpoint *source)
{
	struct route *route = atomic_load_explicit(&p->route, memory_order_acquire);

	if (route && endpoint_same_remote(&route->to, source) &&
	    ip_addr_equal(&route->to.local, &source->local) &&
	    route->to.local_if == source->local_if)
		return;
	reset_window(p, route, source);
	/* Without memory it stays where it was: the next packet tries again. */
	(void)publish_route(w->engine, p, source);
}

void peer_forget_source(struct engine *e, struct peer *p)
{
	struct route *old = atomic_load_explicit(&p->route, memory_order_acquire);
	struct route *route = NULL;

	if (!old || (old->to.local.family == ADDR_NONE && old->to.local_if == 0))
		return;
	route = route_new(e, &old->to);
	if (!route)
		return;
	route->to.local = (struct ip_addr){ 0 };
	route->to.local_if = 0;
	/* Another thread may know a newer place by now: then that one stays. */
	if (atomic_compare_exchange_strong_explicit(&p->route, &old, route,
						    memory_order_acq_rel, memory_order_relaxed))
		retire_route(e, old);
	else
		free(route);
}

void engine_source_failed(struct engine_worker *w, struct peer *p)
{
	if (p)
		peer_forget_source(w->engine, p);
}

void engine_forget_sources(struct engine_worker *w)
{
	for (struct peer *p = w->engine->peers_first; p; p = p->list_next)
		peer_forget_source(w->engine, p);
}

/* --- Settings --- */

void engine_peer_set_preshared_key(struct peer *p, const struct secret_key *key)
{
	spin_lock(&p->lock);
	p->remote.preshared_key = *key;
	spin_unlock(&p->lock);
}

void engine_peer_set_keepalive(struct engine_worker *w, uint64_t now_ns, struct peer *p,
			       struct frame_range seconds)
{
	uint32_t range = (seconds.lo & UINT16_MAX) | seconds.hi << 16;
	uint32_t before = atomic_exchange(&p->keepalive_s, range);

	if (range == before)
		return;
	atomic_store(&p->persistent_at, range ? now_ns + draw_ns(w, seconds) : 0);
	if (!range)
		return;
	if (!before)
		atomic_store(&p->wants_keepalive, true);
	peer_kick(w, p);
}

void engine_peer_set_budget(struct peer *p, uint64_t bytes)
{
	atomic_store(&p->budget, bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes);
}

void engine_peer_set_rate(struct peer *p, uint64_t bits_per_second)
{
	atomic_store(&p->rate_bps, bits_per_second);
}

void engine_peer_set_greatest_time(struct peer *p, const uint8_t time[12])
{
	spin_lock(&p->lock);
	memcpy(p->greatest_time, time, NOISE_TIME_LEN);
	spin_unlock(&p->lock);
}

uint64_t engine_peer_label_ns(const struct peer *p)
{
	return p->label_ns;
}

void engine_peer_set_label_ns(struct peer *p, uint64_t label_ns)
{
	p->label_ns = label_ns;
}

void engine_peer_flush(struct engine_worker *w, uint64_t now_ns, struct peer *p)
{
	(void)now_ns;
	if (!atomic_load(&p->n_staged))
		return;
	atomic_store(&p->wants_flush, true);
	peer_kick(w, p);
}

void engine_peer_greet(struct engine_worker *w, struct peer *p)
{
	atomic_store(&p->wants_keepalive, true);
	peer_kick(w, p);
}

int engine_allowed_ip_add(struct engine *e, struct peer *p, const struct ip_prefix *prefix)
{
	return allowed_ips_insert(e->allowed_ips, prefix, &p->allowed_ips);
}

void engine_allowed_ip_remove(struct engine *e, struct peer *p, const struct ip_prefix *prefix)
{
	allowed_ips_remove(e->allowed_ips, prefix, &p->allowed_ips);
}

void engine_allowed_ip_remove_all(struct engine *e, struct peer *p)
{
	allowed_ips_remove_all(e->allowed_ips, &p->allowed_ips);
}

/* --- How it frames --- */

void peer_widen_window(struct peer *p, uint32_t len)
{
	uint32_t before = atomic_load_explicit(&p->window, memory_order_relaxed);

	while (before < len && !atomic_compare_exchange_weak_explicit(&p->window, &before, len,
								      memory_order_relaxed,
								      memory_order_relaxed))
		;
}

void engine_peer_pin_profile(struct peer *p, uint32_t number)
{
	atomic_store_explicit(&p->pinned, number, memory_order_relaxed);
}

void engine_peer_set_profile(struct peer *p, uint32_t number)
{
	atomic_store_explicit(&p->profile, number, memory_order_relaxed);
}

void engine_peer_set_prelude(struct peer *p, bool sends)
{
	atomic_store_explicit(&p->sends_no_prelude, !sends, memory_order_relaxed);
}

/* --- Budget and rate --- */

static bool within_budget(struct peer *p, uint64_t bytes)
{
	int64_t left = atomic_load_explicit(&p->budget, memory_order_relaxed);

	do {
		if (left == INT64_MAX) /* none; perhaps lifted since we looked */
			return true;
		if (left < (int64_t)bytes)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&p->budget, &left, left - (int64_t)bytes, memory_order_relaxed,
		memory_order_relaxed));
	return true;
}

/* A token bucket told as time: each octet moves the moment from which the peer owes us
 * nothing; it may run ahead of now by a tenth of a second. */
static bool within_rate(struct peer *p, uint64_t now_ns, uint64_t bytes)
{
	uint64_t bps = atomic_load_explicit(&p->rate_bps, memory_order_relaxed);
	uint64_t paid = 0, base = 0;

	if (!bps)
		return true;
	uint64_t cost = bytes * 8 > UINT64_MAX / ENGINE_SECOND
				? UINT64_MAX / 4
				: bytes * 8 * ENGINE_SECOND / bps;

	paid = atomic_load_explicit(&p->rate_next_ns, memory_order_relaxed);
	do {
		base = paid > now_ns ? paid : now_ns;
		if (base - now_ns > ENGINE_SECOND / 10)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&p->rate_next_ns, &paid, base + cost,
							memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

bool peer_may_pass(struct engine_worker *w, struct peer *p, uint64_t now_ns, uint64_t bytes)
{
	/* The rate first: what it refuses must not cost budget. */
	if (within_rate(p, now_ns, bytes) && within_budget(p, bytes))
		return true;
	atomic_fetch_add_explicit(&p->drops, 1, memory_order_relaxed);
	count(w, COUNT_OVER_BUDGET, 1);
	return false;
}

/* --- Looking --- */

void engine_peer_info(struct peer *p, struct engine_peer_info *ret)
{
	struct route *route = atomic_load_explicit(&p->route, memory_order_acquire);
	int64_t budget = atomic_load_explicit(&p->budget, memory_order_relaxed);
	uint32_t keepalive = atomic_load_explicit(&p->keepalive_s, memory_order_relaxed);

	memset(ret, 0, sizeof(*ret));
	memcpy(ret->public_key, p->remote.public_key, sizeof(ret->public_key));
	spin_lock(&p->lock);
	ret->preshared_key = p->remote.preshared_key;
	memcpy(ret->greatest_time, p->greatest_time, sizeof(ret->greatest_time));
	spin_unlock(&p->lock);
	if (route)
		ret->endpoint = route->to;
	ret->last_handshake_wall_ns =
		atomic_load_explicit(&p->last_handshake_wall_ns, memory_order_relaxed);
	ret->tx_bytes = atomic_load_explicit(&p->tx_bytes, memory_order_relaxed);
	ret->rx_bytes = atomic_load_explicit(&p->rx_bytes, memory_order_relaxed);
	ret->drops = atomic_load_explicit(&p->drops, memory_order_relaxed);
	ret->handshake_failures =
		atomic_load_explicit(&p->handshake_failures, memory_order_relaxed);
	ret->rate_bps = atomic_load_explicit(&p->rate_bps, memory_order_relaxed);
	ret->keepalive = (struct frame_range){ keepalive & UINT16_MAX, keepalive >> 16 };
	ret->profile = atomic_load_explicit(&p->profile, memory_order_relaxed);
	ret->pinned = atomic_load_explicit(&p->pinned, memory_order_relaxed);
	ret->sends_prelude = !atomic_load_explicit(&p->sends_no_prelude, memory_order_relaxed);
	ret->budget_bytes = budget == INT64_MAX ? UINT64_MAX : (uint64_t)budget;
}

unsigned int engine_peer_changes(struct peer *p)
{
	uint64_t bytes = atomic_load_explicit(&p->tx_bytes, memory_order_relaxed) +
			 atomic_load_explicit(&p->rx_bytes, memory_order_relaxed);
	uint64_t handshake =
		atomic_load_explicit(&p->last_handshake_wall_ns, memory_order_relaxed);
	const struct route *route = atomic_load_explicit(&p->route, memory_order_acquire);
	uint64_t route_number = route ? route->number : 0;
	unsigned int changes = 0;

	if (bytes != p->seen_bytes)
		changes |= ENGINE_CHANGED_TRAFFIC;
	if (handshake != p->seen_handshake_ns)
		changes |= ENGINE_CHANGED_HANDSHAKE;
	if (route_number != p->seen_route)
		changes |= ENGINE_CHANGED_ENDPOINT;
	p->seen_bytes = bytes;
	p->seen_handshake_ns = handshake;
	p->seen_route = route_number;
	return changes;
}

size_t engine_peer_allowed_ips(const struct peer *p, struct ip_prefix *out, size_t max)
{
	const struct allowed_ips_node *node = NULL;
	size_t n = 0;

	while ((node = allowed_ips_next(&p->allowed_ips, node))) {
		if (n < max)
			allowed_ips_prefix(node, &out[n]);
		n++;
	}
	return n;
}
