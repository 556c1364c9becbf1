/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "crypto/short_hash.h"
#include "gateway/gateway.h"
#include "gateway/ifstate.h"
#include "gateway/profiles.h"
#include "gateway/routes.h"
#include "gateway/usage.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/random.h"

enum {
	BLOCKS_PER_SET = 16384, /* the interface takes no more than some at once from us */
	/* A kernel multiplies points for each, and answers at the end. */
	BLOCKS_PER_PLAIN_SET = 256,
};

static const uint64_t SECOND_NS = 1000000000;

/* --- Building a request --- */

/* Everything that a peer may send from: its addresses, and the networks behind it. */
static int each_prefix(const struct store_peer *p, routes_visitor visit, void *context)
{
	const struct ip_addr *addresses[] = { &p->v4, &p->v6 };
	int err = 0;

	for (size_t i = 0; i < 2 && err == 0; i++) {
		struct ip_prefix host = { .ip = *addresses[i],
					  .bits = (uint8_t)ip_addr_bits(addresses[i]) };

		if (host.ip.family != ADDR_NONE)
			err = visit(context, &host);
	}
	return err == 0 ? routes_each(p->routes, visit, context) : err;
}

static int add_prefix(void *context, const struct ip_prefix *prefix)
{
	struct uapi_set *set = context;
	int err = array_room(&set->allowed_ips, set->n_allowed_ips, sizeof(*set->allowed_ips),
			     &set->allowed_ips_capacity);
	if (err != 0)
		return err;
	set->allowed_ips[set->n_allowed_ips++] = (struct uapi_allowed_ip){ .prefix = *prefix };
	set->peers[set->n_peers - 1].n_allowed_ips++;
	return 0;
}

static int new_block(struct uapi_set *set, const uint8_t key[32], struct uapi_set_peer **ret)
{
	int err = array_room(&set->peers, set->n_peers, sizeof(*set->peers),
			     &set->peers_capacity);

	if (err != 0)
		return err;
	*ret = &set->peers[set->n_peers++];
	**ret = (struct uapi_set_peer){ .first_allowed_ip = (uint32_t)set->n_allowed_ips };
	memcpy((*ret)->public_key, key, 32);
	return 0;
}

/* Is it to be on the interface? */
static bool is_served(const struct store_peer *p)
{
	return p->status == STORE_PEER_ACTIVE && p->blocked == 0;
}

static struct frame_range keepalive_of(const struct store_peer *p, bool is_plain)
{
	uint32_t hi = p->keepalive_s;
	uint32_t lo = p->level == FRAME_EXTREME && !is_plain
			      ? hi * RECONCILE_KEEPALIVE_MIN_S / GATEWAY_KEEPALIVE_S
			      : hi;

	return (struct frame_range){ .lo = lo, .hi = hi };
}

/* What a block is made of beside the peer. @sets_limits: rate and budget are said even if there are
 * none; an interface of another make does not know them and is not asked for nothing. */
struct block_kind {
	bool is_plain;
	bool sets_limits;
};

static int add_block(struct uapi_set *set, const struct store_peer *p, struct block_kind kind)
{
	struct uapi_set_peer *block;
	int err = new_block(set, p->public_key, &block);

	if (err != 0)
		return err;
	block->replace_allowed_ips = true;
	block->has_preshared_key = true; /* zero: none */
	block->preshared_key = p->preshared_key;
	block->has_keepalive = true;
	block->keepalive = keepalive_of(p, kind.is_plain);
	block->has_rate = !kind.is_plain && (kind.sets_limits || p->rate_bps != 0);
	block->rate_bps = p->rate_bps;
	block->has_budget =
		!kind.is_plain && (kind.sets_limits || p->budget_bytes != UINT64_MAX);
	block->budget_bytes = p->budget_bytes;
	return each_prefix(p, add_prefix, set);
}

/* Where the peer was lately, if it lives: a tunnel that has no session with it calls it there at once,
 * while the peer itself would miss the session after 15 s only. */
static void say_where(struct endpoints *endpoints, uint64_t now_ns, bool is_plain,
		      struct uapi_set_peer *block)
{
	struct endpoints_entry known;

	if (!endpoints || !endpoints_find(endpoints, block->public_key, now_ns, &known))
		return;
	block->endpoint = known.endpoint;
	block->has_endpoint = true;
	/* An interface of another make, which does not know the key, hears nobody so. */
	if (is_plain)
		return;
	memcpy(block->profile_heard, known.profile, sizeof(block->profile_heard));
	block->has_profile_heard = known.profile[0] != '\0';
}

/* --- Profiles --- */

struct profile_gathering {
	struct uapi_set *set;
	struct diag *d;
};

static int add_profile(void *context, const struct store_profile *row)
{
	struct profile_gathering *g = context;
	struct uapi_set *set = g->set;
	int err = array_room(&set->profiles, set->n_profiles, sizeof(*set->profiles),
			     &set->profiles_capacity);

	if (err == 0)
		err = profile_row_read(row, &set->profiles[set->n_profiles], g->d);
	if (err == 0)
		set->n_profiles++;
	return err;
}

/* The interface refused the profiles as a whole. If it knows none at all it is one of another
 * make: level off works, and its peers are served all the same. Otherwise one must not keep
 * all others from it. */
static int set_profiles_one_by_one(struct reconcile *r, const struct uapi_set *all,
				   struct diag *d)
{
	struct uapi_set one = { .replace_profiles = true };
	int err = iface_set(r->iface, &one, d);

	if (err == -EINVAL)
		log_warning("the interface takes no profiles, only level off works: %s",
			    d->text);
	for (size_t i = 0; i < all->n_profiles && err == 0; i++) {
		one = (struct uapi_set){ .profiles = &all->profiles[i], .n_profiles = 1 };
		err = iface_set(r->iface, &one, d);
		if (err != -EINVAL)
			continue;
		log_error("the interface refuses the stored profile %s: %s",
			  all->profiles[i].name, d->text);
		err = 0;
	}
	d->text[0] = err == -EINVAL ? '\0' : d->text[0];
	return err == -EINVAL ? 0 : err;
}

static int set_profiles(struct reconcile *r, struct diag *d)
{
	struct uapi_set set = { .replace_profiles = true };
	struct profile_gathering g = { .set = &set, .d = d };
	int err = r->is_plain ? 0 : store_load_profiles(r->store, add_profile, &g);

	if (err == 0 && set.n_profiles > 0)
		err = iface_set(r->iface, &set, d);
	if (err == -EINVAL)
		err = set_profiles_one_by_one(r, &set, d);
	uapi_set_done(&set);
	return err;
}

static int add_removal(struct uapi_set *set, const uint8_t key[32])
{
	struct uapi_set_peer *block;
	int err = new_block(set, key, &block);

	if (err == 0)
		block->remove = true;
	return err;
}

/* --- Comparing everything --- */

/* A peer as the interface has it, reduced to what the store decides. */
struct present {
	uint8_t public_key[32];
	uint64_t print; /* of its prefixes and preshared key */
	struct frame_range keepalive;
	bool is_wanted;
};

/* What a peer has used, for what is left of its quota. */
struct used {
	int64_t peer_id;
	struct usage usage;
};

struct comparison {
	struct present *present; /* sorted by key once complete */
	size_t n;
	size_t capacity;
	struct uapi_set set;
	struct endpoints *endpoints;
	struct access_sync *access;
	struct used *used; /* by ascending id */
	size_t n_used;
	size_t used_capacity;
	uint64_t wall_ns;
	uint8_t hash_key[SHORT_HASH_KEY_LEN]; /* secret: nobody can make two prints equal */
	uint64_t now_ns;
	bool is_down;
	bool is_plain;
	bool is_look; /* for what somebody else did */
	struct drift_found found;
	int err;
};

/* The print is a sum: prefixes come in any order. */
struct printing {
	const uint8_t *hash_key;
	uint64_t print;
};

static int print_prefix(void *context, const struct ip_prefix *p)
{
	struct printing *printing = context;
	uint8_t text[2 + sizeof(p->ip.b)] = { p->ip.family, p->bits };

	memcpy(text + 2, p->ip.b, sizeof(p->ip.b));
	printing->print += short_hash(printing->hash_key, text, sizeof(text));
	return 0;
}

static void print_key(struct printing *printing, const struct secret_key *key)
{
	printing->print += short_hash(printing->hash_key, key->b, sizeof(key->b));
}

static void print_rate(struct printing *printing, uint64_t rate_bps)
{
	if (rate_bps != 0)
		printing->print += short_hash(printing->hash_key, &rate_bps, sizeof(rate_bps));
}

static void note_present(void *context, const struct uapi_get_peer *peer)
{
	struct comparison *c = context;
	struct printing printing = { .hash_key = c->hash_key };
	struct present one = { .keepalive = peer->keepalive };

	if (c->err == 0)
		c->err = array_room(&c->present, c->n, sizeof(one), &c->capacity);
	if (c->err != 0)
		return;
	memcpy(one.public_key, peer->public_key, 32);
	for (size_t i = 0; i < peer->n_allowed_ips; i++)
		print_prefix(&printing, &peer->allowed_ips[i]);
	print_key(&printing, &peer->preshared_key);
	print_rate(&printing, peer->rate_bps);
	one.print = printing.print;
	c->present[c->n++] = one;
}

static int by_key(const void *a, const void *b)
{
	return memcmp(((const struct present *)a)->public_key,
		      ((const struct present *)b)->public_key, 32);
}

/* One that the interface does not have: it may have forgotten it. */
static int add_absent(struct comparison *c, const struct store_peer *p)
{
	int err = add_block(&c->set, p, (struct block_kind){ .is_plain = c->is_plain });

	c->found.missing++;
	if (err == 0)
		say_where(c->endpoints, c->now_ns, c->is_plain,
			  &c->set.peers[c->set.n_peers - 1]);
	return err;
}

/* Is the interface's peer what the store says? */
static bool is_right(const struct comparison *c, const struct present *is,
		     const struct store_peer *p)
{
	struct frame_range keepalive = keepalive_of(p, c->is_plain);
	struct printing printing = { .hash_key = c->hash_key };

	each_prefix(p, print_prefix, &printing);
	print_key(&printing, &p->preshared_key);
	print_rate(&printing, c->is_plain ? 0 : p->rate_bps);
	return is->print == printing.print && is->keepalive.lo == keepalive.lo &&
	       is->keepalive.hi == keepalive.hi;
}

static int note_used(void *context, const struct store_usage *row)
{
	struct comparison *c = context;
	struct used one = { .peer_id = row->peer_id };
	int err = array_room(&c->used, c->n_used, sizeof(one), &c->used_capacity);

	if (err == 0)
		err = usage_read(row->data, row->len, &one.usage);
	if (err == 0)
		c->used[c->n_used++] = one;
	return err;
}

static int by_peer(const void *a, const void *b)
{
	int64_t x = ((const struct used *)a)->peer_id, y = ((const struct used *)b)->peer_id;

	return x < y ? -1 : x > y;
}

static uint64_t budget_of(const struct comparison *c, const struct store_peer *p)
{
	struct used wanted = { .peer_id = p->id };
	struct used *found =
		p->quota_bytes == 0 || c->n_used == 0
			? NULL
			: bsearch(&wanted, c->used, c->n_used, sizeof(wanted), by_peer);

	if (p->quota_bytes == 0)
		return UINT64_MAX;
	return found ? usage_left(&found->usage, p->quota_period, p->quota_bytes, c->wall_ns)
		     : p->quota_bytes;
}

static struct present *find_present(const struct comparison *c, const uint8_t key[32])
{
	struct present wanted = { 0 };

	memcpy(wanted.public_key, key, 32);
	return c->n == 0 ? NULL : bsearch(&wanted, c->present, c->n, sizeof(wanted), by_key);
}

static int bring_to(struct comparison *c, struct present *found, const struct store_peer *p)
{
	const struct block_kind kind = { .is_plain = c->is_plain, .sets_limits = true };

	if (!found)
		return add_absent(c, p);
	found->is_wanted = true;
	if (is_right(c, found, p))
		return 0;
	c->found.different++;
	return add_block(&c->set, p, kind);
}

static int note_wanted(void *context, const struct store_peer *p)
{
	struct comparison *c = context;
	struct store_peer with_budget = *p;
	struct present *found = find_present(c, p->public_key);
	int err = 0;

	if (c->access)
		access_sync_take(c->access, p);
	if (c->is_down || !is_served(p))
		return 0;
	if (p->expires_ns != 0 && p->expires_ns <= c->wall_ns) {
		/* Whoever blocks it is about to: nobody else has done that. */
		if (found && c->is_look)
			found->is_wanted = true;
		return 0;
	}
	with_budget.budget_bytes = budget_of(c, p);
	if (!c->access || access_sync_permits(c->access, p))
		err = bring_to(c, found, &with_budget);
	else if (found) /* what is there may stay only while the host has its list */
		found->is_wanted = access_sync_may_stay(c->access);
	secret_key_done(&with_budget.preshared_key);
	return err;
}

/* In any order with the rest: an address that was given to a peer has left all others. */
static int add_removals(struct comparison *c)
{
	int err = 0;

	for (size_t i = 0; i < c->n && err == 0; i++)
		if (!c->present[i].is_wanted) {
			c->found.foreign++;
			err = add_removal(&c->set, c->present[i].public_key);
		}
	return err;
}

static int note_state(void *context, const struct store_record *record)
{
	struct comparison *c = context;

	if (ifstate_is_record(record->kind, record->name))
		c->is_down = ifstate_read(record->body) != IFSTATE_UP;
	return 0;
}

static int compare(struct reconcile *r, struct comparison *c, struct diag *d)
{
	int err = iface_get(r->iface, note_present, c, d);

	if (err == 0)
		err = c->err;
	if (err != 0)
		return err;
	if (c->n > 0)
		qsort(c->present, c->n, sizeof(*c->present), by_key);
	err = store_load_records(r->store, note_state, c);
	r->is_down = c->is_down;
	if (err == 0)
		err = store_load_usage(r->store, note_used, c);
	if (err == 0)
		err = store_load_peers(r->store, note_wanted, c);
	if (err == 0)
		err = add_removals(c);
	return err == 0
		       ? 0
		       : diag_set(d, err, 0, "the peers cannot be compared: %s", err_text(err));
}

/* One block the device refuses must not keep all others from it. */
static int set_one_by_one(struct reconcile *r, const struct uapi_set *all, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < all->n_peers && (err == 0 || err == -EINVAL); i++) {
		struct uapi_set one = *all;

		one.peers = &all->peers[i];
		one.n_peers = 1;
		err = iface_set(r->iface, &one, d);
		if (err == -EINVAL)
			log_error("the interface refuses a stored peer: %s", d->text);
	}
	return err == -EINVAL ? 0 : err;
}

/* All blocks, in as many requests as it takes. */
static int set_all(struct reconcile *r, const struct uapi_set *all, struct diag *d)
{
	size_t step = r->is_plain ? BLOCKS_PER_PLAIN_SET : BLOCKS_PER_SET;
	int err = 0;

	for (size_t at = 0; at < all->n_peers && err == 0; at += step) {
		struct uapi_set some = *all;

		some.peers = &all->peers[at];
		some.n_peers = all->n_peers - at;
		if (some.n_peers > step)
			some.n_peers = step;
		err = iface_set(r->iface, &some, d);
		if (err == -EINVAL)
			err = set_one_by_one(r, &some, d);
	}
	return err;
}

/* --- For whoever adopts differences --- */

static int by_drift_key(const void *a, const void *b)
{
	return memcmp(((const struct drift_peer *)a)->public_key,
		      ((const struct drift_peer *)b)->public_key, 32);
}

/* struct details - What the interface has of those that differ, sorted by key */
struct details {
	struct drift_peer *peers;
	size_t n;
};

static void fill_details(void *context, const struct uapi_get_peer *peer)
{
	const struct details *details = context;
	struct drift_peer wanted = { .kind = DRIFT_FOREIGN }, *found;

	memcpy(wanted.public_key, peer->public_key, 32);
	found = bsearch(&wanted, details->peers, details->n, sizeof(wanted), by_drift_key);
	if (!found)
		return;
	found->preshared_key = peer->preshared_key;
	found->keepalive_s = (uint16_t)peer->keepalive.hi;
	found->n_prefixes = DRIFT_PREFIXES_MAX + 1;
	if (peer->n_allowed_ips > DRIFT_PREFIXES_MAX)
		return;
	found->n_prefixes = peer->n_allowed_ips;
	for (size_t i = 0; i < found->n_prefixes; i++)
		found->prefixes[i] = peer->allowed_ips[i];
}

static enum drift_kind kind_of(const struct comparison *c, const struct uapi_set_peer *block)
{
	if (block->remove)
		return DRIFT_FOREIGN;
	return find_present(c, block->public_key) ? DRIFT_DIFFERENT : DRIFT_MISSING;
}

/* What a request would set right is what somebody else did. */
static void hand_over(struct reconcile *r, const struct comparison *c)
{
	struct details details = { .n = c->set.n_peers };
	struct diag d = { .text = "" };

	details.peers = calloc(details.n, sizeof(*details.peers));
	for (size_t i = 0; details.peers && i < details.n; i++) {
		details.peers[i].kind = kind_of(c, &c->set.peers[i]);
		memcpy(details.peers[i].public_key, c->set.peers[i].public_key, 32);
	}
	if (details.peers)
		qsort(details.peers, details.n, sizeof(*details.peers), by_drift_key);
	if (!details.peers || iface_get(r->iface, fill_details, &details, &d) != 0)
		log_error("what others changed cannot be taken over: %s", d.text);
	else
		r->drift.take(r->drift.take_context, details.peers, details.n);
	if (details.peers)
		secret_wipe(details.peers, details.n * sizeof(*details.peers));
	free(details.peers);
}

/* Return: is what the comparison found to be set? */
static bool must_set(struct reconcile *r, const struct comparison *c)
{
	bool is_repaired = c->is_look && drift_note(&r->drift, &c->found);

	if (c->is_look && !is_repaired && c->set.n_peers > 0 && r->drift.take)
		hand_over(r, c);
	if (c->is_look)
		return is_repaired;
	if (c->set.n_peers > 0)
		log_info("setting %zu peers that differ between store and interface",
			 c->set.n_peers);
	return c->set.n_peers > 0;
}

static void comparison_done(struct comparison *c)
{
	uapi_set_done(&c->set);
	free(c->present);
	free(c->used);
}

/* @ret_closed: 0, or why access lists did not take force; then nothing was set. */
static int compare_once(struct reconcile *r, bool is_look, int *ret_closed, struct diag *why,
			struct diag *d)
{
	struct comparison c = { .endpoints = r->endpoints,
				.access = r->access,
				.is_plain = r->is_plain,
				.is_look = is_look,
				.now_ns = clock_boot_ns(),
				.wall_ns = clock_wall_ns() };
	int err;

	random_fill(c.hash_key, sizeof(c.hash_key));
	err = set_profiles(r, d);
	if (err == 0)
		err = compare(r, &c, d);
	*ret_closed = r->access ? access_sync_end(r->access, err, why) : 0;
	if (err == 0 && *ret_closed == 0 && must_set(r, &c))
		err = set_all(r, &c.set, d);
	comparison_done(&c);
	return err;
}

/* Access lists take force before a peer is set. Where they do not, the peers that have none are
 * served all the same. */
static int compare_and_set(struct reconcile *r, bool is_look, struct diag *d)
{
	struct diag why = { .text = "" };
	bool was_well = !r->access || access_sync_is_well(r->access);
	int closed = was_well ? 0 : access_sync_begin(r->access, &why);
	int late = 0, err = compare_once(r, is_look, &late, &why, d);

	if (err == 0 && late != 0) {
		closed = late;
		err = compare_once(r, is_look, &late, &why, d);
	}
	if (err == 0 && closed != 0) {
		err = closed;
		*d = why;
	}
	atomic_store(&r->in_sync, err == 0);
	r->next_try_ns = err == 0 ? 0 : clock_boot_ns() + SECOND_NS;
	return err;
}

int reconcile_now(struct reconcile *r, struct diag *d)
{
	if (atomic_exchange(&r->is_stale, false))
		iface_close(r->iface);
	drift_begin(&r->drift, r->iface);
	return compare_and_set(r, false, d);
}

/* Did somebody else change the interface? What fails here is tried again by catch_up(). */
static void look_for_drift(struct reconcile *r)
{
	struct diag d = { .text = "" };

	if (!drift_look(&r->drift, r->iface))
		return;
	if (compare_and_set(r, true, &d) != 0)
		log_warning("the interface cannot be compared: %s", d.text);
}

/* --- One group --- */

static int add_profiles(struct uapi_set *set, const struct store_change *c, struct diag *d)
{
	struct profile_gathering g = { .set = set, .d = d };
	int err = 0;

	set->replace_profiles = true;
	for (size_t i = 0; i < c->n_profiles && err == 0; i++)
		err = add_profile(&g, &c->profiles[i]);
	return err;
}

static int add_peer(struct uapi_set *set, const struct reconcile *r,
		    const struct store_change *c)
{
	const struct block_kind kind = { .is_plain = r->is_plain,
					 .sets_limits = c->sets_limits };
	int err = c->has_former_key ? add_removal(set, c->former_key) : 0;

	if (err != 0)
		return err;
	if (r->access && !access_sync_permits(r->access, &c->peer))
		return add_removal(set, c->peer.public_key);
	if (!is_served(&c->peer) || r->is_down)
		return add_removal(set, c->peer.public_key);
	err = add_block(set, &c->peer, kind);
	if (err == 0 && c->resumes)
		say_where(r->endpoints, clock_boot_ns(), r->is_plain,
			  &set->peers[set->n_peers - 1]);
	return err;
}

/* Was the interface switched on or off? Then everybody on it is compared. */
static bool is_switch(const struct store_change *c)
{
	return c->kind == STORE_PUT_RECORD && c->result == 0 &&
	       ifstate_is_record(c->record.kind, c->record.name);
}

static int add_change(struct uapi_set *set, const struct reconcile *r,
		      const struct store_change *c, struct diag *d)
{
	if (c->result != 0)
		return 0;
	switch (c->kind) {
	case STORE_ADD_PEER:
	case STORE_CHANGE_PEER:
		return add_peer(set, r, c);
	case STORE_REMOVE_PEER:
		return add_removal(set, c->peer.public_key);
	case STORE_SET_PROFILES:
		return r->is_plain ? 0 : add_profiles(set, c, d);
	case STORE_PUT_RECORD:
	case STORE_DROP_RECORD:
	case STORE_SET_USAGE:
	case STORE_NO_CHANGE:
		break;
	}
	return 0;
}

static int carry(struct reconcile *r, struct store_change *first, struct diag *d)
{
	struct uapi_set set = { .n_peers = 0 };
	int err = r->access ? access_sync_before(r->access, first, d) : 0;

	for (struct store_change *c = first; c && err == 0; c = c->next)
		err = add_change(&set, r, c, d);
	if (err == 0 && (set.n_peers > 0 || set.replace_profiles))
		err = iface_set(r->iface, &set, d);
	if (err == 0 && r->access)
		err = access_sync_after(r->access, first, d);
	uapi_set_done(&set);
	return err;
}

bool reconcile_is_well(struct reconcile *r)
{
	return atomic_load(&r->in_sync) && !atomic_load(&r->is_stale);
}

/* Catch up, unless that failed less than a second ago; complain once. */
static int catch_up(struct reconcile *r)
{
	struct diag d = { .text = "" };
	int err;

	if (clock_boot_ns() < r->next_try_ns && !atomic_load(&r->is_stale))
		return -ENOTCONN;
	err = reconcile_now(r, &d);
	if (err != 0 && !r->has_complained)
		log_error("the interface is not in sync, trying again: %s", d.text);
	if (err == 0 && r->has_complained)
		log_info("the interface is in sync again");
	r->has_complained = err != 0;
	return err;
}

void reconcile_group(struct reconcile *r, struct store_change *first)
{
	struct diag d = { .text = "" };
	bool switches = false;
	int err = -ENOTCONN;

	for (struct store_change *c = first; c && !switches; c = c->next)
		switches = is_switch(c);
	if (reconcile_is_well(r) && !switches) {
		err = carry(r, first, &d);
		if (err != 0)
			log_warning("setting peers failed, comparing all: %s", d.text);
	}
	if (err != 0) { /* the truth is in the store already */
		atomic_store(&r->in_sync, false);
		err = catch_up(r);
	}
	for (struct store_change *c = first; c; c = c->next)
		c->carried = err;
}

uint64_t reconcile_idle(struct reconcile *r)
{
	if (r->access && reconcile_is_well(r)) {
		access_sync_check(r->access);
		if (!access_sync_is_well(r->access))
			atomic_store(&r->in_sync, false);
	}
	if (!reconcile_is_well(r) || !iface_is_open(r->iface))
		catch_up(r);
	else
		look_for_drift(r);
	return SECOND_NS;
}

void reconcile_mark_stale(struct reconcile *r)
{
	atomic_store(&r->is_stale, true);
}
