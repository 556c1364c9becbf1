/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "gateway/internal.h"
#include "sys/log.h"

/* --- A change on its way --- */

static void wanted_free(struct peer *wanted)
{
	if (!wanted)
		return;
	free(wanted->routes);
	free(wanted->schedule);
	free(wanted->note);
	free(wanted);
}

void pending_free(struct pending *p)
{
	if (p && p->rotation) {
		profiles_done(&p->rotation->after);
		profile_rows_done(&p->rotation->rows);
		free(p->rotation);
	}
	if (p) {
		secret_key_done(&p->change.peer.preshared_key);
		wanted_free(p->wanted);
		pending_leave_room(p);
		if (p->body)
			secret_wipe(p->body, strlen(p->body));
		free(p->body);
		free(p->detail);
	}
	free(p);
}

int pending_set_grant(struct pending *p, const struct gateway_grant *grant)
{
	p->change.now_ns = grant->now_ns;
	p->change.has_signature = grant->has_signature;
	p->change.signed_s = grant->signed_s;
	p->change.forget_before_s = grant->forget_before_s;
	p->change.has_answered = grant->has_answered;
	memcpy(p->change.digest, grant->digest, sizeof(p->change.digest));
	memcpy(p->change.who, grant->who, sizeof(p->change.who));
	memcpy(p->change.answered_digest, grant->answered_digest, STORE_DIGEST_LEN);
	memcpy(p->change.answered_fingerprint, grant->answered_fingerprint, STORE_DIGEST_LEN);
	if (!grant->detail)
		return 0;
	p->detail = strndup(grant->detail, STORE_DETAIL_MAX);
	p->change.detail = p->detail;
	return p->detail ? 0 : -ENOMEM;
}

struct pending *pending_new(enum store_change_kind kind, const char *action,
			    const struct gateway_grant *grant, gateway_done done, void *context)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->done = done;
	p->context = context;
	p->change.kind = kind;
	snprintf(p->change.action, sizeof(p->change.action), "%s", action);
	if (grant && pending_set_grant(p, grant) != 0) {
		pending_free(p);
		return NULL;
	}
	return p;
}

static void set_busy(struct pending *p, bool is_busy)
{
	if (p->peer)
		p->peer->is_busy = is_busy;
	if (p->record)
		p->record->is_busy = is_busy;
}

static void add_to_batch(struct gateway *g, struct store_change *c)
{
	c->next = NULL;
	c->is_joined = g->batch_first != NULL;
	if (g->batch_last)
		g->batch_last->next = c;
	else
		g->batch_first = c;
	g->batch_last = c;
}

/* The events that are written with it. */
static int announce(struct gateway *g, struct pending *p, struct store_change **ret)
{
	const struct store_change *c = &p->change;

	*ret = NULL;
	if (!g->announcer || !c->who[0] || !c->action[0])
		return 0;
	return g->announcer(g->announcer_context, c, p->peer, ret);
}

int pending_submit(struct gateway *g, struct pending *p)
{
	struct store_change *events;
	int err = announce(g, p, &events);

	if (err != 0)
		return err;
	if (g->is_batch) {
		add_to_batch(g, &p->change);
		for (struct store_change *next, *c = events; c; c = next) {
			next = c->next;
			add_to_batch(g, c);
		}
	} else {
		p->change.next = events;
		for (struct store_change *c = events; c; c = c->next)
			c->is_joined = true;
		err = writer_submit_run(g->writer, &p->change);
	}
	if (err == 0)
		set_busy(p, true);
	else
		gateway_events_free(events);
	return err;
}

/* --- Addresses --- */

static struct pool *pool_of(const struct gateway *g, const struct ip_addr *a)
{
	return a->family == ADDR_V4 ? g->v4 : g->v6;
}

void gateway_give_back(struct gateway *g, const struct ip_addr *a, uint64_t until_ns)
{
	if (a->family != ADDR_NONE)
		pool_release(pool_of(g, a), a, until_ns);
}

/* --- Loading --- */

struct loading {
	struct gateway *g;
	uint64_t now_ns;
	size_t strangers;	 /* addresses outside today's prefixes */
	struct ip_addr stranger; /* one of them */
};

static int load_address(struct loading *l, const struct ip_addr *a)
{
	int err;

	if (a->family == ADDR_NONE)
		return 0;
	err = pool_take(pool_of(l->g, a), l->now_ns, a);
	if (err != ERR_RANGE)
		return err == ERR_EXISTS ? ERR_CORRUPT : err;
	if (l->strangers == 0 || a->family == ADDR_V4)
		l->stranger = *a;
	l->strangers++; /* the prefixes were changed; the peer keeps what its client has */
	return 0;
}

/* A start with other networks than before: without --listen-users the default is another, for one. */
static void warn_of_strangers(const struct gateway_config *c, const struct loading *l)
{
	bool is_v4 = l->stranger.family == ADDR_V4;
	const struct ip_prefix *now = is_v4 ? &c->subnet4 : &c->subnet6;
	struct ip_prefix before = { .bits = now->bits };
	char text[ADDR_TEXT_MAX], one[ADDR_TEXT_MAX], guess[ADDR_TEXT_MAX];

	snprintf(guess, sizeof(guess), "%s/%u", ip_addr_format(&l->stranger, one), now->bits);
	if (ip_prefix_parse(guess, true, &before) == 0)
		ip_prefix_format(&before, guess);
	log_warning(
		"%zu addresses of peers lie outside %s, %s for one: the peers keep them, and "
		"get no packets there; start with what they were made with, it seems "
		"--subnet%d %s",
		l->strangers, ip_prefix_format(now, text), one, is_v4 ? 4 : 6, guess);
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
		.keepalive_s = p->keepalive_s,
		.has_preshared_key = !secret_is_zero(p->preshared_key.b, SECRET_KEY_LEN),
		.quota_period = (uint8_t)p->quota_period,
		.blocked = p->blocked,
		.account_id = p->account_id,
		.access_id = p->access_id,
		.expires_ns = p->expires_ns,
		.quota_bytes = p->quota_bytes,
		.rate_bps = p->rate_bps,
		/* Copied, not kept. */
		.routes = (char *)(uintptr_t)p->routes,
		.schedule = (char *)(uintptr_t)p->schedule,
		.note = (char *)(uintptr_t)p->note,
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
	if (err == 0)
		decide_refer(l->g, peer, 1);
	return err;
}

static int load_record(void *context, const struct store_record *one)
{
	struct loading *l = context;
	struct record *record;

	if (one->kind <= 0 || one->kind >= STORE_RECORD_KINDS)
		return ERR_CORRUPT;
	return records_add(l->g->records, one, &record);
}

/* Lists may have been made after the accounts that name them. */
static int refer_accounts(struct gateway *g)
{
	const struct record *one = records_after(g->records, STORE_ACCOUNT, 0);

	for (; one; one = one->next)
		decide_access_refer(g, one->body, 1);
	return 0;
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

static int load_answered(void *context, const struct store_answered *one)
{
	return answered_add(((struct loading *)context)->g->answered, one);
}

static int load(struct gateway *g, uint64_t now_ns, struct diag *d)
{
	struct loading l = { .g = g, .now_ns = now_ns };
	int err = store_load_records(g->store, load_record, &l);

	if (err == 0)
		err = refer_accounts(g);
	if (err == 0)
		err = store_load_peers(g->store, load_peer, &l);
	if (err == 0)
		err = store_load_resting(g->store, load_resting, &l);
	if (err == 0)
		err = store_load_answered(g->store, load_answered, &l);
	if (err == 0)
		err = profiles_load(g->store, &g->profiles, d);
	if (err != 0)
		return d && d->text[0]
			       ? err
			       : diag_set(d, err, 0, "what is stored cannot be loaded: %s",
					  err_text(err));
	if (l.strangers > 0)
		warn_of_strangers(&g->config, &l);
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
		err = records_new(&g->records);
	if (err == 0)
		err = networks_new(&g->networks);
	if (err == 0)
		err = answered_new(&g->answered);
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
	while (g->orphans) {
		struct pending *p = g->orphans;

		g->orphans = (struct pending *)p->change.next;
		pending_free(p);
	}
	pool_free(g->v4);
	pool_free(g->v6);
	peers_free(g->peers);
	records_free(g->records);
	networks_free(g->networks);
	answered_free(g->answered);
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

const struct records *gateway_records(const struct gateway *g)
{
	return g->records;
}

const struct answered *gateway_answered(const struct gateway *g)
{
	return g->answered;
}

struct store *gateway_store(const struct gateway *g)
{
	return g->store;
}

void gateway_listen(struct gateway *g, gateway_listener listener, void *context)
{
	assert(g->n_listeners < GATEWAY_LISTENERS_MAX);
	g->listeners[g->n_listeners].call = listener;
	g->listeners[g->n_listeners++].context = context;
}

void gateway_set_announcer(struct gateway *g, gateway_announcer announcer, void *context)
{
	g->announcer = announcer;
	g->announcer_context = context;
}

void gateway_set_budget(struct gateway *g, gateway_budget budget, void *context)
{
	g->budget = budget;
	g->budget_context = context;
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

static void settle(struct gateway *g, struct pending *p)
{
	set_busy(p, false);
	switch (p->change.kind) {
	case STORE_ADD_PEER:
	case STORE_CHANGE_PEER:
	case STORE_REMOVE_PEER:
		decide_ended(g, p);
		break;
	case STORE_SET_PROFILES:
		rotation_ended(g, p);
		break;
	case STORE_PUT_RECORD:
	case STORE_DROP_RECORD:
		records_ended(g, p);
		break;
	case STORE_SET_USAGE:
	case STORE_NO_CHANGE:
		break;
	}
}

/* Out of memory, the store remembers: a second try is refused there. */
static void note_answered(struct gateway *g, const struct store_change *c)
{
	struct store_answered one = { .time_ns = c->now_ns };

	if (!c->has_answered || c->result != 0)
		return;
	one.subject = c->kind == STORE_PUT_RECORD ? c->record.id : c->peer.id;
	memcpy(one.digest, c->answered_digest, sizeof(one.digest));
	memcpy(one.fingerprint, c->answered_fingerprint, sizeof(one.fingerprint));
	(void)answered_add(g->answered, &one);
}

static void end(struct gateway *g, struct pending *p)
{
	struct store_change *c = &p->change;

	settle(g, p);
	note_answered(g, c);
	p->done(p->context, c->result, c->carried, p->peer);
	for (size_t i = 0; c->result == 0 && i < g->n_listeners; i++)
		g->listeners[i].call(g->listeners[i].context, c, p->peer);
	pending_end(g, p);
}

void gateway_collect(struct gateway *g)
{
	struct store_change *c = writer_collect(g->writer);

	for (struct store_change *next; c; c = next) {
		next = c->next;
		end(g, (struct pending *)c);
	}
	decide_take_in_orphans(g);
}

/* --- Batches --- */

void gateway_batch_begin(struct gateway *g)
{
	assert(!g->is_batch);
	g->is_batch = true;
}

/* Newest first: what was taken last is given back first. */
static void take_back(struct gateway *g, struct store_change *first)
{
	struct store_change *reversed = NULL;

	for (struct store_change *next, *c = first; c; c = next) {
		next = c->next;
		c->next = reversed;
		reversed = c;
	}
	for (struct store_change *next, *c = reversed; c; c = next) {
		next = c->next;
		c->result = -ECANCELED;
		settle(g, (struct pending *)c);
		pending_end(g, (struct pending *)c);
	}
	decide_take_in_orphans(g);
}

int gateway_batch_end(struct gateway *g, bool keep)
{
	struct store_change *first = g->batch_first;
	int err = 0;

	g->is_batch = false;
	g->batch_first = g->batch_last = NULL;
	if (!first)
		return 0;
	if (keep)
		err = writer_submit_run(g->writer, first);
	if (!keep || err != 0)
		take_back(g, first);
	return err;
}

/* --- What changes nothing --- */

static int submit_or_free(struct gateway *g, struct pending *p)
{
	int err = p ? pending_submit(g, p) : -ENOMEM;

	if (err != 0)
		pending_free(p);
	return err;
}

int gateway_set_usage(struct gateway *g, const struct store_usage *usage, size_t n,
		      gateway_done done, void *context)
{
	struct pending *p = pending_new(STORE_SET_USAGE, "", NULL, done, context);

	if (p) {
		p->change.usage = usage;
		p->change.n_usage = n;
	}
	return submit_or_free(g, p);
}

int gateway_note(struct gateway *g, const char *action, const char *subject,
		 const struct gateway_grant *grant, gateway_done done, void *context)
{
	struct pending *p = pending_new(STORE_NO_CHANGE, action, grant, done, context);

	if (p)
		snprintf(p->change.subject, sizeof(p->change.subject), "%s", subject);
	return submit_or_free(g, p);
}

int gateway_record(struct gateway *g, const struct gateway_grant *grant, gateway_done done,
		   void *context)
{
	return submit_or_free(g, pending_new(STORE_NO_CHANGE, "", grant, done, context));
}

int gateway_wait(struct gateway *g, gateway_done done, void *context)
{
	return gateway_record(g, NULL, done, context);
}
