/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "gateway/internal.h"
#include "gateway/routes.h"

/* --- Addresses --- */

static int take(struct pool *pool, uint64_t now_ns, const struct ip_addr *wanted,
		bool wants_any, struct ip_addr *ret)
{
	int err = 0;

	*ret = *wanted;
	if (wanted->family != ADDR_NONE)
		err = pool_take(pool, now_ns, wanted);
	else if (wants_any)
		err = pool_take_lowest(pool, now_ns, ret);
	if (err != 0)
		ret->family = ADDR_NONE;
	return err;
}

/* Both or none. */
static int take_both(struct gateway *g, const struct gateway_add *add, uint64_t now_ns,
		     struct peer *peer)
{
	int err = take(g->v4, now_ns, &add->v4, add->wants_v4, &peer->v4);

	if (err != 0)
		return err;
	err = take(g->v6, now_ns, &add->v6, add->wants_v6, &peer->v6);
	if (err != 0) {
		gateway_give_back(g, &peer->v4, 0);
		peer->v4.family = ADDR_NONE;
	}
	return err;
}

/* Those of @b that @a has not. */
static void give_back_difference(struct gateway *g, const struct peer *a, const struct peer *b,
				 uint64_t until_ns)
{
	if (!ip_addr_equal(&a->v4, &b->v4))
		gateway_give_back(g, &b->v4, until_ns);
	if (!ip_addr_equal(&a->v6, &b->v6))
		gateway_give_back(g, &b->v6, until_ns);
}

/* 0: they are free at once. */
static uint64_t rest_until(const struct gateway *g, const struct gateway_grant *grant)
{
	return g->config.rest_ns && !grant->frees_at_once ? grant->now_ns + g->config.rest_ns
							  : 0;
}

/* --- What it refers to --- */

static void refer(struct gateway *g, enum store_record_kind kind, int64_t id, int by)
{
	struct record *record = records_find_id(g->records, kind, id);

	if (record)
		record->n_peers += (size_t)by;
}

/* Without memory one is not counted: then another peer may get it as well. */
static int claim(void *context, const struct ip_prefix *p)
{
	(void)networks_claim(context, p);
	return 0;
}

static int release(void *context, const struct ip_prefix *p)
{
	networks_release(context, p);
	return 0;
}

void decide_refer(struct gateway *g, const struct peer *peer, int by)
{
	refer(g, STORE_ACCOUNT, peer->account_id, by);
	refer(g, STORE_ACCESS, peer->access_id, by);
	(void)routes_each(peer->routes, by > 0 ? claim : release, g->networks);
}

/* Do the records that it names exist, and is nobody dropping them? */
static int check_refers(const struct gateway *g, const struct gateway_limits *l)
{
	const struct {
		enum store_record_kind kind;
		int64_t id;
	} refs[] = { { STORE_ACCOUNT, l->account_id }, { STORE_ACCESS, l->access_id } };

	for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
		const struct record *r = records_find_id(g->records, refs[i].kind, refs[i].id);

		if (refs[i].id != 0 && !r)
			return ERR_UNKNOWN;
		if (r && r->is_busy)
			return -EBUSY;
	}
	return 0;
}

/* --- What came back --- */

static void end_addition(struct gateway *g, struct pending *p)
{
	struct store_change *c = &p->change;

	if (c->result == 0) {
		p->peer->created_ns = p->peer->changed_ns = c->now_ns;
		peers_set_id(g->peers, p->peer, c->peer.id);
		return;
	}
	gateway_give_back(g, &p->peer->v4, 0);
	gateway_give_back(g, &p->peer->v6, 0);
	decide_refer(g, p->peer, -1);
	peers_remove(g->peers, p->peer);
	p->peer = NULL;
}

static void end_change(struct gateway *g, struct pending *p)
{
	struct peer before = *p->peer; /* its texts are not looked at */

	decide_refer(g, p->change.result == 0 ? p->peer : p->wanted, -1);
	p->wanted->is_busy = false;
	/* What the store has committed and memory cannot follow is for the next start. */
	if (p->change.result == 0 && peers_replace(g->peers, p->peer, p->wanted) != 0)
		p->change.result = -ENOMEM;
	if (p->change.result == 0)
		give_back_difference(g, p->wanted, &before, p->change.rest_until_ns);
	else
		give_back_difference(g, &before, p->wanted, 0);
}

/* --- Giving up before the end ---
 *
 * Who asks for a whole state at once may give what one peer had to another. So in a batch a removal
 * gives up addresses and networks when it is decided. Was it refused, it gets them back when everybody
 * who may have them has come to his end. */

static void give_up(struct gateway *g, struct pending *p)
{
	static const struct ip_addr none;

	(void)routes_each(p->peer->routes, release, g->networks);
	gateway_give_back(g, &p->peer->v4, 0);
	gateway_give_back(g, &p->peer->v6, 0);
	peers_set_addresses(g->peers, p->peer, &none, &none);
	p->gives_up = true;
}

static int take_again(struct gateway *g, const struct ip_addr *a, uint64_t now_ns)
{
	struct pool *pool = a->family == ADDR_V4 ? g->v4 : g->v6;
	int err = a->family == ADDR_NONE ? 0 : pool_take(pool, now_ns, a);

	return err == ERR_RANGE ? 0 : err; /* of another prefix, from before */
}

static bool take_in(struct gateway *g, const struct pending *p)
{
	const struct store_peer *was = &p->change.peer;

	if (take_again(g, &was->v4, p->change.now_ns) != 0)
		return false;
	if (take_again(g, &was->v6, p->change.now_ns) != 0) {
		gateway_give_back(g, &was->v4, 0);
		return false;
	}
	peers_set_addresses(g->peers, p->peer, &was->v4, &was->v6);
	(void)routes_each(p->peer->routes, claim, g->networks);
	p->peer->is_busy = false;
	return true;
}

void decide_take_in_orphans(struct gateway *g)
{
	struct pending *p = g->orphans, *next;

	g->orphans = NULL;
	for (; p; p = next) {
		next = (struct pending *)p->change.next;
		if (take_in(g, p)) {
			pending_free(p);
			continue;
		}
		p->change.next = g->orphans ? &g->orphans->change : NULL;
		g->orphans = p;
	}
}

void pending_end(struct gateway *g, struct pending *p)
{
	if (!p->gives_up || p->change.result == 0) {
		pending_free(p);
		return;
	}
	p->peer->is_busy = true; /* nothing is decided about it meanwhile */
	p->change.next = g->orphans ? &g->orphans->change : NULL;
	g->orphans = p;
}

static void end_removal(struct gateway *g, struct pending *p)
{
	if (p->change.result != 0)
		return;
	if (p->gives_up) /* counted once more below */
		(void)routes_each(p->peer->routes, claim, g->networks);
	gateway_give_back(g, &p->peer->v4, p->change.rest_until_ns);
	gateway_give_back(g, &p->peer->v6, p->change.rest_until_ns);
	decide_refer(g, p->peer, -1);
	peers_remove(g->peers, p->peer);
	p->peer = NULL;
}

void decide_ended(struct gateway *g, struct pending *p)
{
	if (p->change.kind == STORE_ADD_PEER)
		end_addition(g, p);
	else if (p->change.kind == STORE_CHANGE_PEER)
		end_change(g, p);
	else
		end_removal(g, p);
}

/* --- Describing --- */

static uint64_t budget_of(const struct gateway *g, const struct peer *peer)
{
	if (peer->quota_bytes == 0)
		return UINT64_MAX;
	return g->budget ? g->budget(g->budget_context, peer) : peer->quota_bytes;
}

/* The store and the interface need all of a peer; its preshared key is not known here. */
static void describe(const struct gateway *g, struct store_peer *s, const struct peer *peer)
{
	s->budget_bytes = budget_of(g, peer);
	s->id = peer->id;
	s->v4 = peer->v4;
	s->v6 = peer->v6;
	s->status = peer->status;
	s->families = peer->families;
	s->level = peer->level;
	s->port = peer->port;
	s->account_id = peer->account_id;
	s->access_id = peer->access_id;
	s->expires_ns = peer->expires_ns;
	s->quota_bytes = peer->quota_bytes;
	s->quota_period = (enum store_period)peer->quota_period;
	s->rate_bps = peer->rate_bps;
	s->keepalive_s = peer->keepalive_s;
	s->blocked = peer->blocked;
	s->routes = peer->routes;
	s->schedule = peer->schedule;
	s->note = peer->note;
	s->created_ns = peer->created_ns;
	s->changed_ns = peer->changed_ns;
	memcpy(s->public_key, peer->public_key, 32);
	memcpy(s->name, peer->name, sizeof(s->name));
	memcpy(s->dns, peer->dns, sizeof(s->dns));
}

/* @from is borrowed text; "" is none. */
static int set_text(char **to, const char *from)
{
	char *copy = from && from[0] ? strdup(from) : NULL;

	if (from && from[0] && !copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

/* A copy of a peer that is not in the table, with texts of its own; pending_free() frees it. */
static struct peer *draft(const struct peer *of)
{
	struct peer *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *of;
	copy->routes = copy->schedule = copy->note = NULL;
	if (set_text(&copy->routes, of->routes) == 0 &&
	    set_text(&copy->schedule, of->schedule) == 0 &&
	    set_text(&copy->note, of->note) == 0)
		return copy;
	free(copy->routes);
	free(copy->schedule);
	free(copy->note);
	free(copy);
	return NULL;
}

static int submit_or_free(struct gateway *g, struct pending *p, int err)
{
	if (err == 0)
		err = pending_submit(g, p);
	if (err != 0)
		pending_free(p);
	return err;
}

/* --- Adding --- */

static bool is_nobodys_key(const struct gateway *g, const uint8_t key[32])
{
	return secret_is_zero(key, 32) || memcmp(key, g->config.public_key, 32) == 0;
}

/* Is @peer changed by the batch that is open? Waiting for that one to end would be for ever. */
static bool is_of_batch(const struct gateway *g, const struct peer *peer)
{
	const struct store_change *c = g->is_batch ? g->batch_first : NULL;

	while (c && ((const struct pending *)c)->peer != peer)
		c = c->next;
	return c != NULL;
}

/* What to say of a peer that another change is about. */
static int busy(const struct gateway *g, const struct peer *peer)
{
	return is_of_batch(g, peer) ? ERR_EXISTS : -EBUSY;
}

/* Is key or name another peer's? @self may have them. */
static int check_names(const struct gateway *g, const uint8_t key[32], const char *name,
		       const struct peer *self)
{
	const struct peer *same_key = peers_find_key(g->peers, key);
	const struct peer *same_name = peers_find_name(g->peers, name);

	if (is_nobodys_key(g, key))
		return ERR_KEY;
	if (same_key && same_key != self && same_key->is_busy)
		return busy(g, same_key);
	if (same_name && same_name != self && same_name->is_busy)
		return busy(g, same_name);
	return (same_key && same_key != self) || (same_name && same_name != self) ? ERR_EXISTS
										  : 0;
}

/* struct judging - Networks that somebody wants; @own: how often @self (NULL: a new one) has @wanted */
struct judging {
	const struct gateway *g;
	const struct peer *self;
	const struct ip_prefix *wanted;
	size_t own;
};

static int count_own(void *context, const struct ip_prefix *p)
{
	struct judging *j = context;

	j->own += p->bits == j->wanted->bits && ip_addr_equal(&p->ip, &j->wanted->ip);
	return 0;
}

/* A network behind a peer that lies among the addresses of peers would take somebody's away, and so
 * would one that another peer has. A wider one is no matter: the longer prefix decides. */
static int judge_route(void *context, const struct ip_prefix *p)
{
	struct judging *j = context;
	const struct ip_prefix *subnets[] = { &j->g->config.subnet4, &j->g->config.subnet6 };

	for (size_t i = 0; i < 2; i++)
		if (p->bits >= subnets[i]->bits && ip_prefix_contains(subnets[i], &p->ip))
			return ERR_EXISTS;
	j->wanted = p;
	j->own = 0;
	(void)routes_each(j->self ? j->self->routes : NULL, count_own, j);
	return networks_count(j->g->networks, p) > j->own ? ERR_EXISTS : 0;
}

static int judge_routes(const struct gateway *g, const char *routes, const struct peer *self)
{
	struct judging j = { .g = g, .self = self };

	return routes_each(routes, judge_route, &j);
}

/* Can this kind of interface do it? */
static int check_able(const struct gateway *g, enum frame_level level, uint64_t rate_bps)
{
	return g->config.is_plain && (level != FRAME_OFF || rate_bps != 0) ? ERR_UNABLE : 0;
}

static struct peer first_draft(const struct gateway_add *add)
{
	const struct gateway_limits *l = &add->limits;
	struct peer init = {
		.status = add->status ? add->status : STORE_PEER_ACTIVE,
		.families = add->families,
		.level = add->level,
		.port = add->port,
		.is_busy = true,
		.has_preshared_key = !secret_is_zero(add->preshared_key.b, SECRET_KEY_LEN),
		.keepalive_s = l->keepalive_s,
		.quota_period = (uint8_t)l->quota_period,
		.account_id = l->account_id,
		.access_id = l->access_id,
		.expires_ns = l->expires_ns,
		.quota_bytes = l->quota_bytes,
		.rate_bps = l->rate_bps,
	};

	memcpy(init.public_key, add->public_key, 32);
	snprintf(init.name, sizeof(init.name), "%s", add->name);
	snprintf(init.dns, sizeof(init.dns), "%s", add->dns);
	return init;
}

/* Copied by peers_add(): "" is none there as well. */
static char *or_none(const char *text)
{
	return text && text[0] ? (char *)(uintptr_t)text : NULL;
}

static int insert(struct gateway *g, const struct gateway_add *add, uint64_t now_ns,
		  struct peer **ret)
{
	struct peer init = first_draft(add);
	int err;

	init.routes = or_none(add->limits.routes);
	init.schedule = or_none(add->limits.schedule);
	init.note = or_none(add->limits.note);
	err = decide_access_judge_peer(g, &init);
	if (err == 0)
		err = take_both(g, add, now_ns, &init);
	if (err != 0)
		return err;
	err = peers_add(g->peers, &init, ret);
	if (err != 0) {
		gateway_give_back(g, &init.v4, 0);
		gateway_give_back(g, &init.v6, 0);
		return err;
	}
	decide_refer(g, *ret, 1);
	return 0;
}

int gateway_add_peer(struct gateway *g, const struct gateway_add *add,
		     const struct gateway_grant *grant, gateway_done done, void *context)
{
	struct store_peer *s;
	struct pending *p;
	int err = check_names(g, add->public_key, add->name, NULL);

	if (err == 0)
		err = judge_routes(g, add->limits.routes, NULL);
	if (err == 0)
		err = check_refers(g, &add->limits);
	if (err == 0)
		err = check_able(g, add->level, add->limits.rate_bps);
	if (err != 0)
		return err;
	p = pending_new(STORE_ADD_PEER, "peer.create", grant, done, context);
	if (!p)
		return -ENOMEM;
	err = insert(g, add, grant->now_ns, &p->peer);
	if (err != 0)
		return submit_or_free(g, p, err);
	s = &p->change.peer;
	describe(g, s, p->peer);
	s->preshared_key = add->preshared_key;
	snprintf(s->obfuscation, sizeof(s->obfuscation), "%s", add->obfuscation);
	err = pending_submit(g, p);
	if (err != 0) {
		p->change.result = err;
		end_addition(g, p);
		pending_free(p);
	}
	return err;
}

/* --- Changing --- */

static int move(struct gateway *g, const struct gateway_edit *e, uint64_t now_ns,
		const struct peer *is, struct peer *to)
{
	struct gateway_add add = { .v4 = e->v4, .v6 = e->v6 };
	int err;

	if (ip_addr_equal(&e->v4, &is->v4))
		add.v4.family = ADDR_NONE;
	if (ip_addr_equal(&e->v6, &is->v6))
		add.v6.family = ADDR_NONE;
	err = take_both(g, &add, now_ns, to);
	if (err != 0) {
		to->v4 = is->v4;
		to->v6 = is->v6;
		return err;
	}
	to->v4 = e->v4;
	to->v6 = e->v6;
	return 0;
}

static void edit_limits(const struct gateway_edit *e, struct peer *to)
{
	const struct gateway_limits *l = &e->limits;

	if (e->fields & GATEWAY_ACCOUNT)
		to->account_id = l->account_id;
	if (e->fields & GATEWAY_ACCESS)
		to->access_id = l->access_id;
	if (e->fields & GATEWAY_EXPIRES)
		to->expires_ns = l->expires_ns;
	if (e->fields & GATEWAY_QUOTA) {
		to->quota_bytes = l->quota_bytes;
		to->quota_period = (uint8_t)l->quota_period;
	}
	if (e->fields & GATEWAY_RATE)
		to->rate_bps = l->rate_bps;
	if (e->fields & GATEWAY_KEEPALIVE)
		to->keepalive_s = l->keepalive_s;
}

static int edit_texts(const struct gateway_edit *e, struct peer *to)
{
	int err = 0;

	if (e->fields & GATEWAY_ROUTES)
		err = set_text(&to->routes, e->limits.routes);
	if (err == 0 && e->fields & GATEWAY_SCHEDULE)
		err = set_text(&to->schedule, e->limits.schedule);
	if (err == 0 && e->fields & GATEWAY_NOTE)
		err = set_text(&to->note, e->limits.note);
	return err;
}

static void edit(const struct gateway_edit *e, struct peer *to)
{
	if (e->fields & GATEWAY_STATUS)
		to->status = e->status;
	if (e->fields & GATEWAY_LEVEL)
		to->level = e->level;
	if (e->fields & GATEWAY_NAME)
		snprintf(to->name, sizeof(to->name), "%s", e->name);
	if (e->fields & GATEWAY_DNS)
		snprintf(to->dns, sizeof(to->dns), "%s", e->dns);
	if (e->fields & GATEWAY_KEY)
		memcpy(to->public_key, e->public_key, 32);
	if (e->fields & GATEWAY_PRESHARED_KEY)
		to->has_preshared_key =
			!secret_is_zero(e->preshared_key.b, sizeof(e->preshared_key.b));
	if (e->fields & GATEWAY_BLOCKED)
		to->blocked = e->blocked;
	if (e->fields & GATEWAY_FAMILIES)
		to->families = e->families;
	if (e->fields & GATEWAY_PORT)
		to->port = e->port;
	edit_limits(e, to);
}

/* Only what is edited is checked: what is there already may stay. */
static int check_edit(struct gateway *g, const struct gateway_edit *e, const struct peer *is)
{
	struct gateway_limits refs = { .account_id = 0 };
	int err = check_names(g, e->fields & GATEWAY_KEY ? e->public_key : is->public_key,
			      e->fields & GATEWAY_NAME ? e->name : is->name, is);

	if (err == 0 && e->fields & GATEWAY_ROUTES)
		err = judge_routes(g, e->limits.routes, is);
	if (err == 0)
		err = check_able(g, e->fields & GATEWAY_LEVEL ? e->level : FRAME_OFF,
				 e->fields & GATEWAY_RATE ? e->limits.rate_bps : 0);
	if (err != 0)
		return err;
	if (e->fields & GATEWAY_ACCOUNT)
		refs.account_id = e->limits.account_id;
	if (e->fields & GATEWAY_ACCESS)
		refs.access_id = e->limits.access_id;
	return check_refers(g, &refs);
}

static bool is_served(const struct peer *peer)
{
	return peer->status == STORE_PEER_ACTIVE && peer->blocked == 0;
}

/* All of the peer as it is to be; with addresses taken if it moves. */
static int plan(struct gateway *g, const struct gateway_edit *e, struct pending *p)
{
	struct store_change *c = &p->change;
	struct peer *to = p->wanted = draft(p->peer);
	int err = to ? edit_texts(e, to) : -ENOMEM;

	if (err != 0)
		return err;
	edit(e, to);
	/* What the hour or a quota does to a peer is no new version of what somebody has set: else
	 * If-Match would fail for one who was the last to change it. */
	if (e->fields != GATEWAY_BLOCKED)
		to->changed_ns = c->now_ns;
	if (e->fields & (GATEWAY_ACCESS | GATEWAY_ACCOUNT | GATEWAY_ROUTES))
		err = decide_access_judge_peer(g, to);
	if (err == 0 && e->fields & GATEWAY_ADDRESSES) {
		err = move(g, e, c->now_ns, p->peer, to);
		c->is_moved = true;
		c->rest_until_ns = p->rest_until_ns;
	}
	if (err != 0)
		return err;
	describe(g, &c->peer, to);
	c->has_former_key = memcmp(to->public_key, p->peer->public_key, 32) != 0;
	memcpy(c->former_key, p->peer->public_key, 32);
	c->sets_limits = e->fields & (GATEWAY_RATE | GATEWAY_QUOTA);
	c->resumes = !is_served(p->peer) && is_served(to);
	c->sets_preshared_key = e->fields & GATEWAY_PRESHARED_KEY;
	if (c->sets_preshared_key)
		c->peer.preshared_key = e->preshared_key;
	return 0;
}

/* No two versions of a peer have the same time, whatever the clock does. */
static void advance(struct store_change *c, const struct peer *peer)
{
	if (c->now_ns <= peer->changed_ns)
		c->now_ns = peer->changed_ns + 1;
}

int gateway_change_peer(struct gateway *g, int64_t id, const struct gateway_edit *e,
			const struct gateway_grant *grant, gateway_done done, void *context)
{
	struct peer *peer = peers_find_id(g->peers, id);
	struct pending *p;
	int err;

	if (!peer || peer->is_busy)
		return peer ? busy(g, peer) : ERR_UNKNOWN;
	err = check_edit(g, e, peer);
	if (err != 0)
		return err;
	p = pending_new(STORE_CHANGE_PEER, e->action ? e->action : "peer.update", grant, done,
			context);
	if (!p)
		return -ENOMEM;
	p->peer = peer;
	p->rest_until_ns = rest_until(g, grant);
	advance(&p->change, peer);
	err = plan(g, e, p);
	if (err != 0)
		return submit_or_free(g, p, err);
	decide_refer(g, p->wanted, 1);
	err = pending_submit(g, p);
	if (err != 0) {
		p->change.result = err;
		end_change(g, p);
		pending_free(p);
	}
	return err;
}

int gateway_set_status(struct gateway *g, int64_t id, enum store_status status,
		       const struct gateway_grant *grant, gateway_done done, void *context)
{
	const struct gateway_edit e = {
		.fields = GATEWAY_STATUS,
		.action = status == STORE_PEER_ACTIVE ? "peer.resume" : "peer.suspend",
		.status = status,
	};

	return gateway_change_peer(g, id, &e, grant, done, context);
}

int gateway_set_level(struct gateway *g, int64_t id, enum frame_level level,
		      const struct gateway_grant *grant, gateway_done done, void *context)
{
	const struct gateway_edit e = {
		.fields = GATEWAY_LEVEL,
		.action = "peer.level",
		.level = level,
	};

	return gateway_change_peer(g, id, &e, grant, done, context);
}

int gateway_remove_peer(struct gateway *g, int64_t id, const struct gateway_grant *grant,
			gateway_done done, void *context)
{
	struct peer *peer = peers_find_id(g->peers, id);
	struct pending *p;
	int err;

	if (!peer || peer->is_busy)
		return peer ? -EBUSY : ERR_UNKNOWN;
	p = pending_new(STORE_REMOVE_PEER, "peer.delete", grant, done, context);
	if (!p)
		return -ENOMEM;
	p->peer = peer;
	describe(g, &p->change.peer, peer);
	p->change.rest_until_ns = rest_until(g, grant);
	err = submit_or_free(g, p, 0);
	if (err == 0 && g->is_batch && grant->frees_at_once)
		give_up(g, p);
	return err;
}
