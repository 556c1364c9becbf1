/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/adopt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include "base/codec.h"
#include "gateway/allowed.h"
#include "sys/log.h"

enum {
	DECIDED_PER_TICK = 256
}; /* then others get their turn, and the writer's queue is not full */

struct adopt {
	struct gateway *gateway;
	pthread_mutex_t lock;	    /* of what follows */
	struct drift_peer *waiting; /* by kind */
	size_t n;
	size_t at; /* the first that is not decided */
	/* --- of the main loop */
	size_t n_changing; /* peers that may be giving up an address that a new one has */
};

/* struct decision - On its way */
struct decision {
	struct adopt *adopt;
	struct drift_peer peer;
};

/* --- Deciding --- */

/* In the words of whoever reads the log. */
static void say(const struct drift_peer *p, int err)
{
	static const char *const did[] = { [DRIFT_MISSING] = "removed",
					   [DRIFT_FOREIGN] = "added",
					   [DRIFT_DIFFERENT] = "changed" };
	char key[KEY_BASE64_LEN + 1];

	key_to_base64(p->public_key, key);
	if (err == 0)
		log_info("taken over: the peer %s was %s", key, did[p->kind]);
	else
		log_error("not taken over, that the peer %s was %s: %s", key, did[p->kind],
			  err_text(err));
}

static void decision_free(struct decision *n)
{
	n->adopt->n_changing -= n->peer.kind != DRIFT_FOREIGN;
	secret_wipe(n, sizeof(*n));
	free(n);
}

static void done(void *context, int err, int carried, const struct peer *peer)
{
	struct decision *n = context;

	(void)carried, (void)peer;
	say(&n->peer, err);
	decision_free(n);
}

static int add(struct decision *n, const struct allowed *a, const struct gateway_grant *grant)
{
	struct gateway *g = n->adopt->gateway;
	const struct drift_peer *p = &n->peer;
	struct gateway_add new = {
		.name = "",
		.dns = "d1",
		.obfuscation = "",
		.v4 = a->v4,
		.v6 = a->v6,
		.families = STORE_IPV4 | STORE_IPV6,
		.port = gateway_config(g)->port,
		.preshared_key = p->preshared_key,
		.limits = { .keepalive_s = p->keepalive_s, .routes = a->routes },
	};
	int err;

	memcpy(new.public_key, p->public_key, sizeof(new.public_key));
	err = gateway_add_peer(g, &new, grant, done, n);
	secret_key_done(&new.preshared_key);
	return err;
}

static int change(struct decision *n, const struct allowed *a, const struct peer *peer,
		  const struct gateway_grant *grant)
{
	struct gateway *g = n->adopt->gateway;
	const struct drift_peer *p = &n->peer;
	struct gateway_edit e = {
		.fields = GATEWAY_ADDRESSES | GATEWAY_ROUTES | GATEWAY_PRESHARED_KEY |
			  GATEWAY_KEEPALIVE,
		.v4 = a->v4,
		.v6 = a->v6,
		.preshared_key = p->preshared_key,
		.limits = { .keepalive_s = p->keepalive_s, .routes = a->routes },
	};
	int err;

	if (p->kind == DRIFT_MISSING)
		return gateway_set_status(g, peer->id, STORE_PEER_SUSPENDED, grant, done, n);
	err = gateway_change_peer(g, peer->id, &e, grant, done, n);
	secret_key_done(&e.preshared_key);
	return err;
}

/* Who was looked at as one thing and is another by now is left: the next comparison sees. */
static int decide(struct decision *n, uint64_t wall_ns)
{
	const struct gateway_grant grant = { .now_ns = wall_ns,
					     .who = "drift",
					     .frees_at_once = true };
	const struct gateway *g = n->adopt->gateway;
	const struct gateway_config *c = gateway_config(g);
	const struct drift_peer *p = &n->peer;
	const struct peer *peer = peers_find_key(gateway_peers(g), p->public_key);
	struct allowed a;
	int err = p->n_prefixes > DRIFT_PREFIXES_MAX
			  ? ERR_LIMIT
			  : allowed_sort_out(&c->subnet4, &c->subnet6, p->prefixes,
					     p->n_prefixes, &a);

	if (err != 0)
		return err;
	if (peer)
		return change(n, &a, peer, &grant);
	return p->kind == DRIFT_FOREIGN ? add(n, &a, &grant) : ERR_UNKNOWN;
}

/* Return: false when it has to wait. */
static bool decide_one(struct adopt *a, const struct drift_peer *one, uint64_t wall_ns)
{
	struct decision *n;
	int err;

	if (one->kind == DRIFT_FOREIGN && a->n_changing > 0)
		return false;
	n = malloc(sizeof(*n));
	if (!n)
		return false;
	*n = (struct decision){ .adopt = a, .peer = *one };
	a->n_changing += one->kind != DRIFT_FOREIGN;
	err = decide(n, wall_ns);
	if (err == 0)
		return true; /* done() has it */
	if (err != -EBUSY && err != -ENOMEM)
		say(one, err);
	decision_free(n);
	return err != -EBUSY && err != -ENOMEM;
}

/* --- Waiting --- */

static void forget(struct adopt *a)
{
	if (a->waiting)
		secret_wipe(a->waiting, a->n * sizeof(*a->waiting));
	free(a->waiting);
	a->waiting = NULL;
	a->n = a->at = 0;
}

static int by_kind(const void *a, const void *b)
{
	return (int)((const struct drift_peer *)a)->kind -
	       (int)((const struct drift_peer *)b)->kind;
}

/* What came before and is not decided yet is in the newer list as well, if it is still so. */
void adopt_take(void *adopt, const struct drift_peer *peers, size_t n)
{
	struct adopt *a = adopt;

	if (n > ADOPT_PEERS_MAX) {
		log_warning("of %zu changes by somebody else %d are taken over, then the rest",
			    n, ADOPT_PEERS_MAX);
		n = ADOPT_PEERS_MAX;
	}
	pthread_mutex_lock(&a->lock);
	forget(a);
	a->waiting = calloc(n, sizeof(*a->waiting));
	if (a->waiting) {
		memcpy(a->waiting, peers, n * sizeof(*peers));
		qsort(a->waiting, n, sizeof(*a->waiting), by_kind);
		a->n = n;
	}
	pthread_mutex_unlock(&a->lock);
}

void adopt_tick(struct adopt *a, uint64_t wall_ns)
{
	pthread_mutex_lock(&a->lock);
	for (int i = 0; i < DECIDED_PER_TICK && a->at < a->n; i++) {
		if (!decide_one(a, &a->waiting[a->at], wall_ns))
			break;
		a->at++;
	}
	if (a->at == a->n)
		forget(a);
	pthread_mutex_unlock(&a->lock);
}

void adopt_serve(struct adopt *a, struct gateway *g)
{
	a->gateway = g;
}

int adopt_new(struct adopt **ret)
{
	struct adopt *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	pthread_mutex_init(&a->lock, NULL);
	*ret = a;
	return 0;
}

struct adopt *adopt_free(struct adopt *a)
{
	if (!a)
		return NULL;
	forget(a);
	pthread_mutex_destroy(&a->lock);
	free(a);
	return NULL;
}
