/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/peers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/short_hash.h"
#include "sys/random.h"

enum { FIRST_BUCKETS = 256 }; /* a power of two; doubles with the number of peers */

/* Which of the links of struct peer an index uses. */
enum index_kind {
	BY_KEY,
	BY_ID,
	BY_NAME,
	BY_V4,
	BY_V6,
	INDEXES,
};

struct peers {
	uint8_t hash_key[SHORT_HASH_KEY_LEN];
	size_t n;
	size_t n_active;
	size_t n_level[FRAME_LEVELS];
	size_t buckets; /* in each index */
	struct peer **index[INDEXES];
	struct peer *first; /* by id; those without one are not in the list */
	struct peer *last;
};

/* --- Indexes --- */

static struct peer **link_of(struct peer *peer, enum index_kind kind)
{
	switch (kind) {
	case BY_KEY:
		return &peer->by_key;
	case BY_ID:
		return &peer->by_id;
	case BY_NAME:
		return &peer->by_name;
	case BY_V4:
		return &peer->by_v4;
	case BY_V6:
		return &peer->by_v6;
	case INDEXES:
		break;
	}
	abort();
}

/* What a peer is found by in this index; its length, 0 when it is not in it. */
static size_t value_of(const struct peer *peer, enum index_kind kind, const void **ret)
{
	switch (kind) {
	case BY_KEY:
		*ret = peer->public_key;
		return sizeof(peer->public_key);
	case BY_ID:
		*ret = &peer->id;
		return peer->id ? sizeof(peer->id) : 0;
	case BY_NAME:
		*ret = peer->name;
		return strlen(peer->name);
	case BY_V4:
		*ret = peer->v4.b;
		return peer->v4.family ? 4 : 0;
	case BY_V6:
		*ret = peer->v6.b;
		return peer->v6.family ? 16 : 0;
	case INDEXES:
		break;
	}
	abort();
}

static struct peer **bucket(const struct peers *p, enum index_kind kind, const void *value,
			    size_t len)
{
	return &p->index[kind][short_hash(p->hash_key, value, len) & (p->buckets - 1)];
}

static struct peer *find(const struct peers *p, enum index_kind kind, const void *value,
			 size_t len)
{
	struct peer *peer = *bucket(p, kind, value, len);

	for (; peer; peer = *link_of(peer, kind)) {
		const void *own;

		if (value_of(peer, kind, &own) == len && memcmp(own, value, len) == 0)
			return peer;
	}
	return NULL;
}

static void insert(struct peers *p, struct peer *peer, enum index_kind kind)
{
	const void *value;
	size_t len = value_of(peer, kind, &value);

	if (len == 0)
		return;

	struct peer **head = bucket(p, kind, value, len);

	*link_of(peer, kind) = *head;
	*head = peer;
}

static void withdraw(struct peers *p, struct peer *peer, enum index_kind kind)
{
	const void *value;
	size_t len = value_of(peer, kind, &value);

	if (len == 0)
		return;

	struct peer **link = bucket(p, kind, value, len);

	while (*link != peer)
		link = link_of(*link, kind);
	*link = *link_of(peer, kind);
}

/* Deal one index anew into twice the buckets. */
static int rehash(struct peers *p, enum index_kind kind, size_t old, struct peer **fresh)
{
	struct peer **chains = p->index[kind];

	p->index[kind] = fresh;
	for (size_t i = 0; i < old; i++) {
		for (struct peer *next, *peer = chains[i]; peer; peer = next) {
			next = *link_of(peer, kind);
			insert(p, peer, kind);
		}
	}
	free(chains);
	return 0;
}

static int grow(struct peers *p, size_t buckets)
{
	struct peer **fresh[INDEXES] = { NULL };
	size_t old = p->buckets;

	for (enum index_kind k = 0; k < INDEXES; k++) {
		fresh[k] = calloc(buckets, sizeof(*fresh[k]));
		if (!fresh[k]) {
			while (k-- > 0)
				free(fresh[k]);
			return -ENOMEM;
		}
	}
	p->buckets = buckets;
	for (enum index_kind k = 0; k < INDEXES; k++)
		rehash(p, k, old, fresh[k]);
	return 0;
}

/* --- The list by id --- */

/* Ids rise, so the end is almost always the place. */
static void enlist(struct peers *p, struct peer *peer)
{
	struct peer *before = p->last;

	while (before && before->id > peer->id)
		before = before->prev;
	peer->prev = before;
	peer->next = before ? before->next : p->first;
	if (peer->next)
		peer->next->prev = peer;
	else
		p->last = peer;
	if (before)
		before->next = peer;
	else
		p->first = peer;
}

static void delist(struct peers *p, struct peer *peer)
{
	if (peer->next)
		peer->next->prev = peer->prev;
	else
		p->last = peer->prev;
	if (peer->prev)
		peer->prev->next = peer->next;
	else
		p->first = peer->next;
}

/* --- One peer --- */

static void peer_free(struct peer *peer)
{
	free(peer->routes);
	free(peer->schedule);
	free(peer->note);
	free(peer);
}

static int copy_text(const char *text, char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

/* With texts of its own. */
static int copy(const struct peer *from, struct peer **ret)
{
	struct peer *peer = malloc(sizeof(*peer));
	int err;

	if (!peer)
		return -ENOMEM;
	*peer = *from;
	peer->schedule = peer->note = NULL;
	err = copy_text(from->routes, &peer->routes);
	if (err == 0)
		err = copy_text(from->schedule, &peer->schedule);
	if (err == 0)
		err = copy_text(from->note, &peer->note);
	if (err != 0) {
		peer_free(peer);
		return err;
	}
	*ret = peer;
	return 0;
}

static void count(struct peers *p, const struct peer *peer, int by)
{
	p->n += (size_t)by;
	p->n_level[peer->level] += (size_t)by;
	if (peer->status == STORE_PEER_ACTIVE)
		p->n_active += (size_t)by;
}

/* Is anything that @like is found by another's than @self? */
static bool is_taken(const struct peers *p, const struct peer *like, const struct peer *self)
{
	for (enum index_kind k = 0; k < INDEXES; k++) {
		const void *value;
		size_t len = value_of(like, k, &value);
		const struct peer *found = len > 0 ? find(p, k, value, len) : NULL;

		if (found && found != self)
			return true;
	}
	return false;
}

/* --- Calls --- */

int peers_new(struct peers **ret)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	random_fill(p->hash_key, sizeof(p->hash_key));
	if (grow(p, FIRST_BUCKETS) != 0) {
		free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

struct peers *peers_free(struct peers *p)
{
	if (!p)
		return NULL;
	for (size_t i = 0; i < p->buckets; i++) {
		for (struct peer *next, *peer = p->index[BY_KEY][i]; peer; peer = next) {
			next = peer->by_key;
			peer_free(peer);
		}
	}
	for (enum index_kind k = 0; k < INDEXES; k++)
		free(p->index[k]);
	free(p);
	return NULL;
}

int peers_add(struct peers *p, const struct peer *init, struct peer **ret)
{
	struct peer *peer;
	int err;

	if (is_taken(p, init, NULL))
		return ERR_EXISTS;
	if (p->n >= PEERS_MAX)
		return ERR_LIMIT;
	if (p->n >= p->buckets && grow(p, 2 * p->buckets) != 0)
		return -ENOMEM;
	err = copy(init, &peer);
	if (err != 0)
		return err;
	for (enum index_kind k = 0; k < INDEXES; k++)
		insert(p, peer, k);
	if (peer->id)
		enlist(p, peer);
	count(p, peer, 1);
	*ret = peer;
	return 0;
}

/* What stays @peer's own when it becomes what @to is. */
static void keep_place(const struct peer *peer, struct peer *to)
{
	to->id = peer->id;
	to->next = peer->next;
	to->prev = peer->prev;
}

int peers_replace(struct peers *p, struct peer *peer, const struct peer *to)
{
	struct peer *fresh, old;
	int err;

	if (is_taken(p, to, peer))
		return ERR_EXISTS;
	err = copy(to, &fresh);
	if (err != 0)
		return err;
	for (enum index_kind k = 0; k < INDEXES; k++)
		withdraw(p, peer, k);
	count(p, peer, -1);
	keep_place(peer, fresh);
	old = *peer;
	*peer = *fresh;
	*fresh = old; /* its texts go with it */
	peer_free(fresh);
	for (enum index_kind k = 0; k < INDEXES; k++)
		insert(p, peer, k);
	count(p, peer, 1);
	return 0;
}

void peers_set_id(struct peers *p, struct peer *peer, int64_t id)
{
	assert(peer->id == 0 && id > 0);
	peer->id = id;
	insert(p, peer, BY_ID);
	enlist(p, peer);
}

void peers_set_addresses(struct peers *p, struct peer *peer, const struct ip_addr *v4,
			 const struct ip_addr *v6)
{
	withdraw(p, peer, BY_V4);
	withdraw(p, peer, BY_V6);
	peer->v4 = *v4;
	peer->v6 = *v6;
	insert(p, peer, BY_V4);
	insert(p, peer, BY_V6);
}

void peers_remove(struct peers *p, struct peer *peer)
{
	for (enum index_kind k = 0; k < INDEXES; k++)
		withdraw(p, peer, k);
	if (peer->id)
		delist(p, peer);
	count(p, peer, -1);
	peer_free(peer);
}

struct peer *peers_find_key(const struct peers *p, const uint8_t public_key[32])
{
	return find(p, BY_KEY, public_key, 32);
}

struct peer *peers_find_id(const struct peers *p, int64_t id)
{
	return id ? find(p, BY_ID, &id, sizeof(id)) : NULL;
}

struct peer *peers_find_name(const struct peers *p, const char *name)
{
	return name[0] ? find(p, BY_NAME, name, strlen(name)) : NULL;
}

struct peer *peers_find_address(const struct peers *p, const struct ip_addr *a)
{
	switch ((enum addr_family)a->family) {
	case ADDR_V4:
		return find(p, BY_V4, a->b, 4);
	case ADDR_V6:
		return find(p, BY_V6, a->b, 16);
	case ADDR_NONE:
		break;
	}
	return NULL;
}

struct peer *peers_after(const struct peers *p, int64_t id)
{
	struct peer *peer = peers_find_id(p, id);

	if (peer)
		return peer->next;
	for (peer = p->first; peer && peer->id <= id; peer = peer->next)
		;
	return peer;
}

struct peer *peers_before(const struct peers *p, int64_t id)
{
	struct peer *peer = peers_find_id(p, id);

	if (peer)
		return peer->prev;
	for (peer = p->last; id != 0 && peer && peer->id >= id; peer = peer->prev)
		;
	return peer;
}

size_t peers_count(const struct peers *p)
{
	return p->n;
}

size_t peers_count_active(const struct peers *p)
{
	return p->n_active;
}

size_t peers_count_level(const struct peers *p, enum frame_level level)
{
	return p->n_level[level];
}
