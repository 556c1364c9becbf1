/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "sys/log.h"

struct gateway {
	struct gateway_config config;
	struct store *store;
	struct writer *writer;
	struct peers *peers;
	struct profiles profiles;
	bool is_rotating; /* a change of them is on the way to the disk */
	struct pool *v4;
	struct pool *v6;
};

/* struct rotation - The profiles as they are to be, and the same for the store */
struct rotation {
	struct profiles after;
	struct profile_rows rows;
};

/* struct pending - A change on its way. @change is first: the writer gives that back */
struct pending {
	struct store_change change;
	struct peer *peer;	   /* NULL when it is about none */
	struct rotation *rotation; /* likewise */
	gateway_done done;
	void *context;
};

static void pending_free(struct pending *p)
{
	if (p && p->rotation) {
		profiles_done(&p->rotation->after);
		profile_rows_done(&p->rotation->rows);
		free(p->rotation);
	}
	free(p);
}

/* --- Addresses --- */

static struct pool *pool_of(const struct gateway *g, const struct ip_addr *a)
{
	return a->family == ADDR_V4 ? g->v4 : g->v6;
}

static void give_back(struct gateway *g, const struct ip_addr *a, uint64_t until_ns)
{
	if (a->family != ADDR_NONE)
		pool_release(pool_of(g, a), a, until_ns);
}

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
		give_back(g, &peer->v4, 0);
		peer->v4.family = ADDR_NONE;
	}
	return err;
}

/* --- Loading --- */

struct loading {
	struct gateway *g;
	uint64_t now_ns;
	size_t strangers; /* addresses outside today's prefixes */
};

static int load_address(struct loading *l, const struct ip_addr *a)
{
	int err;

	if (a->family == ADDR_NONE)
		return 0;
	err = pool_take(pool_of(l->g, a), l->now_ns, a);
	if (err != ERR_RANGE)
		return err == ERR_EXISTS ? ERR_CORRUPT : err;
	l->strangers++; /* the prefixes were changed; the peer keeps what its client has */
	return 0;
}

static int load_peer(void *context, const struct store_peer *p)
{
	struct loading *l = context;
	struct peer init = {
		.id = p->id,
		.v4 = p->v4,
		.v6 = p->v6,
		.status = p->status,
		.families = p->families,
		.level = p->level,
		.port = p->port,
		.created_ns = p->created_ns,
		.changed_ns = p->changed_ns,
	};
	struct peer *peer;
	int err;

	memcpy(init.public_key, p->public_key, 32);
	memcpy(init.name, p->name, sizeof(init.name));
	memcpy(init.dns, p->dns, sizeof(init.dns));
	err = peers_add(l->g->peers, &init, &peer);
	if (err == 0)
		err = load_address(l, &p->v4);
	if (err == 0)
		err = load_address(l, &p->v6);
	return err;
}

static int load_resting(void *context, const struct store_resting *r)
{
	struct loading *l = context;

	if (r->ip.family == ADDR_NONE)
		return 0;
	/* Outside the prefixes nothing can be given either. */
	if (pool_take(pool_of(l->g, &r->ip), l->now_ns, &r->ip) == 0)
		pool_release(pool_of(l->g, &r->ip), &r->ip, r->until_ns);
	return 0;
}

static int load(struct gateway *g, uint64_t now_ns, struct diag *d)
{
	struct loading l = { .g = g, .now_ns = now_ns };
	int err = store_load_peers(g->store, load_peer, &l);

	if (err == 0)
		err = store_load_resting(g->store, load_resting, &l);
	if (err == 0)
		err = profiles_load(g->store, &g->profiles, d);
	if (err != 0)
		return d && d->text[0]
			       ? err
			       : diag_set(d, err, 0, "what is stored cannot be loaded: %s",
					  err_text(err));
	if (l.strangers > 0)
		log_warning(
			"%zu stored addresses lie outside the configured prefixes; their peers"
			" keep them",
			l.strangers);
	return 0;
}

static int make_pool(const struct ip_prefix *prefix, struct pool **ret, struct diag *d)
{
	char text[ADDR_TEXT_MAX];
	int err = pool_new(prefix, ret);

	if (err == 0)
		return 0;
	return diag_set(d, err, 0, "%s has no room for a gateway and peers (at most /30, /126)",
			ip_prefix_format(prefix, text));
}

int gateway_new(const struct gateway_config *config, struct store *store,
		const struct writer_callbacks *callbacks, uint64_t now_ns, struct gateway **ret,
		struct diag *d)
{
	struct gateway *g = calloc(1, sizeof(*g));
	int err;

	if (!g)
		return -ENOMEM;
	g->config = *config;
	g->store = store;
	err = peers_new(&g->peers);
	if (err == 0)
		err = make_pool(&config->subnet4, &g->v4, d);
	if (err == 0)
		err = make_pool(&config->subnet6, &g->v6, d);
	if (err == 0)
		err = load(g, now_ns, d);
	if (err == 0) {
		err = writer_new(store, callbacks, &g->writer);
		if (err != 0)
			diag_set(d, err, 0, "no threads for the store: %s", err_text(err));
	}
	if (err != 0) {
		gateway_free(g);
		return err;
	}
	*ret = g;
	return 0;
}

void gateway_stop(struct gateway *g)
{
	writer_stop(g->writer);
	gateway_collect(g);
}

struct gateway *gateway_free(struct gateway *g)
{
	if (!g)
		return NULL;
	writer_free(g->writer);
	pool_free(g->v4);
	pool_free(g->v6);
	peers_free(g->peers);
	profiles_done(&g->profiles);
	free(g);
	return NULL;
}

const struct gateway_config *gateway_config(const struct gateway *g)
{
	return &g->config;
}

const struct peers *gateway_peers(const struct gateway *g)
{
	return g->peers;
}

const struct profiles *gateway_profiles(const struct gateway *g)
{
	return &g->profiles;
}

const struct pool *gateway_pool(const struct gateway *g, enum addr_family family)
{
	return family == ADDR_V4 ? g->v4 : g->v6;
}

int gateway_fd(const struct gateway *g)
{
	return writer_fd(g->writer);
}

void gateway_wake(struct gateway *g)
{
	writer_wake(g->writer);
}

/* --- What came back --- */

static void end_addition(struct gateway *g, struct pending *p)
{
	struct store_change *c = &p->change;

	if (c->result == 0) {
		p->peer->is_busy = false;
		p->peer->created_ns = p->peer->changed_ns = c->now_ns;
		peers_set_id(g->peers, p->peer, c->peer.id);
		return;
	}
	give_back(g, &p->peer->v4, 0);
	give_back(g, &p->peer->v6, 0);
	peers_remove(g->peers, p->peer);
	p->peer = NULL;
}

static void end_status(struct gateway *g, struct pending *p)
{
	p->peer->is_busy = false;
	if (p->change.result != 0)
		return;
	peers_set_status(g->peers, p->peer, p->change.peer.status);
	p->peer->changed_ns = p->change.now_ns;
}

static void end_level(struct gateway *g, struct pending *p)
{
	p->peer->is_busy = false;
	if (p->change.result != 0)
		return;
	peers_set_level(g->peers, p->peer, p->change.peer.level);
	p->peer->changed_ns = p->change.now_ns;
}

static void end_removal(struct gateway *g, struct pending *p)
{
	p->peer->is_busy = false;
	if (p->change.result != 0)
		return;
	give_back(g, &p->peer->v4, p->change.rest_until_ns);
	give_back(g, &p->peer->v6, p->change.rest_until_ns);
	peers_remove(g->peers, p->peer);
	p->peer = NULL;
}

static void end_rotation(struct gateway *g, struct pending *p)
{
	struct profiles former = g->profiles;

	g->is_rotating = false;
	if (p->change.result != 0)
		return;
	g->profiles = p->rotation->after;
	p->rotation->after = former;
}

static void end(struct gateway *g, struct pending *p)
{
	switch (p->change.kind) {
	case STORE_ADD_PEER:
		end_addition(g, p);
		break;
	case STORE_SET_STATUS:
		end_status(g, p);
		break;
	case STORE_REMOVE_PEER:
		end_removal(g, p);
		break;
	case STORE_SET_LEVEL:
		end_level(g, p);
		break;
	case STORE_SET_PROFILES:
		end_rotation(g, p);
		break;
	case STORE_NO_CHANGE:
		break;
	}
	p->done(p->context, p->change.result, p->change.carried, p->peer);
	pending_free(p);
}

void gateway_collect(struct gateway *g)
{
	struct store_change *c = writer_collect(g->writer);

	for (struct store_change *next; c; c = next) {
		next = c->next;
		end(g, (struct pending *)c);
	}
}

/* --- Deciding --- */

static struct pending *pending_new(enum store_change_kind kind,
				   const struct gateway_grant *grant, gateway_done done,
				   void *context)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->done = done;
	p->context = context;
	p->change.kind = kind;
	if (!grant)
		return p;
	p->change.now_ns = grant->now_ns;
	p->change.has_signature = grant->has_signature;
	p->change.signed_s = grant->signed_s;
	p->change.forget_before_s = grant->forget_before_s;
	memcpy(p->change.digest, grant->digest, sizeof(p->change.digest));
	memcpy(p->change.who, grant->who, sizeof(p->change.who));
	return p;
}

/* The store needs all of a new peer; the interface needs key and addresses of any. */
static void describe(struct store_peer *s, const struct peer *peer)
{
	s->id = peer->id;
	s->v4 = peer->v4;
	s->v6 = peer->v6;
	s->status = peer->status;
	s->families = peer->families;
	s->level = peer->level;
	s->port = peer->port;
	memcpy(s->public_key, peer->public_key, 32);
	memcpy(s->name, peer->name, sizeof(s->name));
	memcpy(s->dns, peer->dns, sizeof(s->dns));
}

static int submit(struct gateway *g, struct pending *p)
{
	int err = writer_submit(g->writer, &p->change);

	if (err == 0 && p->peer)
		p->peer->is_busy = true;
	return err;
}

static int may_add(const struct gateway *g, const struct gateway_add *add)
{
	const struct peer *same_key = peers_find_key(g->peers, add->public_key);
	const struct peer *same_name = peers_find_name(g->peers, add->name);

	if (secret_is_zero(add->public_key, 32) ||
	    memcmp(add->public_key, g->config.public_key, 32) == 0)
		return ERR_KEY;
	if ((same_key && same_key->is_busy) || (same_name && same_name->is_busy))
		return -EBUSY;
	return same_key || same_name ? ERR_EXISTS : 0;
}

static int insert(struct gateway *g, const struct gateway_add *add, uint64_t now_ns,
		  struct peer **ret)
{
	struct peer init = {
		.status = STORE_PEER_ACTIVE,
		.families = add->families,
		.level = add->level,
		.port = add->port,
		.is_busy = true,
	};
	int err;

	memcpy(init.public_key, add->public_key, 32);
	snprintf(init.name, sizeof(init.name), "%s", add->name);
	snprintf(init.dns, sizeof(init.dns), "%s", add->dns);
	err = take_both(g, add, now_ns, &init);
	if (err != 0)
		return err;
	err = peers_add(g->peers, &init, ret);
	if (err != 0) {
		give_back(g, &init.v4, 0);
		give_back(g, &init.v6, 0);
	}
	return err;
}

int gateway_add_peer(struct gateway *g, const struct gateway_add *add,
		     const struct gateway_grant *grant, gateway_done done, void *context)
{
	struct pending *p;
	int err = may_add(g, add);

	if (err != 0)
		return err;
	p = pending_new(STORE_ADD_PEER, grant, done, context);
	if (!p)
		return -ENOMEM;
	err = insert(g, add, grant->now_ns, &p->peer);
	if (err != 0) {
		free(p);
		return err;
	}
	describe(&p->change.peer, p->peer);
	snprintf(p->change.peer.obfuscation, sizeof(p->change.peer.obfuscation), "%s",
		 add->obfuscation);
	err = submit(g, p);
	if (err != 0) {
		p->change.result = err;
		end_addition(g, p);
		free(p);
	}
	return err;
}

/* A change of a peer that exists. */
static int change(struct gateway *g, int64_t id, struct pending *p)
{
	int err = p ? 0 : -ENOMEM;

	if (err == 0) {
		p->peer = peers_find_id(g->peers, id);
		if (!p->peer)
			err = ERR_UNKNOWN;
		else if (p->peer->is_busy)
			err = -EBUSY;
	}
	if (err == 0) {
		struct store_peer wanted = p->change.peer;

		describe(&p->change.peer, p->peer);
		if (p->change.kind == STORE_SET_STATUS)
			p->change.peer.status = wanted.status;
		if (p->change.kind == STORE_SET_LEVEL)
			p->change.peer.level = wanted.level;
		err = submit(g, p);
	}
	if (err != 0)
		free(p);
	return err;
}

int gateway_set_status(struct gateway *g, int64_t id, enum store_status status,
		       const struct gateway_grant *grant, gateway_done done, void *context)
{
	struct pending *p = pending_new(STORE_SET_STATUS, grant, done, context);

	if (p)
		p->change.peer.status = status;
	return change(g, id, p);
}

int gateway_set_level(struct gateway *g, int64_t id, enum frame_level level,
		      const struct gateway_grant *grant, gateway_done done, void *context)
{
	struct pending *p = pending_new(STORE_SET_LEVEL, grant, done, context);

	if (p)
		p->change.peer.level = level;
	return change(g, id, p);
}

int gateway_remove_peer(struct gateway *g, int64_t id, const struct gateway_grant *grant,
			gateway_done done, void *context)
{
	struct pending *p = pending_new(STORE_REMOVE_PEER, grant, done, context);

	if (p && g->config.rest_ns)
		p->change.rest_until_ns = grant->now_ns + g->config.rest_ns;
	return change(g, id, p);
}

static int plan_rotation(struct gateway *g, enum frame_level level, uint64_t keep_ns,
			 struct pending *p)
{
	uint64_t now_ns = p->change.now_ns;
	struct rotation *r = p->rotation = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	p->change.peer.level = level;
	return profiles_rotate(&g->profiles, level, now_ns + keep_ns, g->config.generator,
			       now_ns, &r->after);
}

static int plan_drop(struct gateway *g, const char *name, struct pending *p)
{
	const struct profile *gone = profiles_named(&g->profiles, name);
	struct rotation *r = p->rotation = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	if (!gone)
		return ERR_UNKNOWN;
	p->change.peer.level = gone->level;
	memcpy(p->change.dropped, gone->name, sizeof(p->change.dropped));
	return profiles_drop(&g->profiles, name, p->change.now_ns, &r->after);
}

/* @err: of planning @p. What it holds is freed unless it is on its way. */
static int submit_profiles(struct gateway *g, struct pending *p, int err)
{
	struct rotation *r = p->rotation;

	if (err == 0)
		err = profile_rows_make(&r->after, &r->rows);
	if (err == 0) {
		p->change.profiles = r->rows.rows;
		p->change.n_profiles = r->rows.n;
		err = submit(g, p);
	}
	if (err == 0)
		g->is_rotating = true;
	else
		pending_free(p);
	return err;
}

int gateway_rotate(struct gateway *g, enum frame_level level, uint64_t keep_ns,
		   const struct gateway_grant *grant, gateway_done done, void *context)
{
	struct pending *p;

	if (g->is_rotating)
		return -EBUSY;
	p = pending_new(STORE_SET_PROFILES, grant, done, context);
	return p ? submit_profiles(g, p, plan_rotation(g, level, keep_ns, p)) : -ENOMEM;
}

int gateway_drop_profile(struct gateway *g, const char *name, const struct gateway_grant *grant,
			 gateway_done done, void *context)
{
	struct pending *p;

	if (g->is_rotating)
		return -EBUSY;
	p = pending_new(STORE_SET_PROFILES, grant, done, context);
	return p ? submit_profiles(g, p, plan_drop(g, name, p)) : -ENOMEM;
}

int gateway_record(struct gateway *g, const struct gateway_grant *grant, gateway_done done,
		   void *context)
{
	struct pending *p = pending_new(STORE_NO_CHANGE, grant, done, context);
	int err = p ? submit(g, p) : -ENOMEM;

	if (err != 0)
		free(p);
	return err;
}

int gateway_wait(struct gateway *g, gateway_done done, void *context)
{
	return gateway_record(g, NULL, done, context);
}
