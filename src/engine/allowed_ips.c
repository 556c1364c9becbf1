/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/allowed_ips.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "engine/slab.h"

/*
 * Theory of operation. A branch is a word: nothing, a node, or (lowest bit set) a single
 * prefix. A node stands for the first @bits bits of its key and has one branch per value of
 * the next four. A prefix of n bits lives
 *
 *	in a node whose bits are n-3..n, as one of its covers: @cover[v] is the longest that
 *	covers branch v, @covers lists all, so that the next longest can step in;
 *	or alone in a branch of a node whose bits are n-4 or fewer.
 *
 * Every node holds at least two things (branches and covers together); one that is left with
 * a single thing is replaced by it. So a reader that follows branches compares the key at
 * each node, because path compression may have skipped bits, and remembers the last cover.
 *
 * An IPv4 address is the top of the same 128-bit key.
 */
enum { STRIDE = 4, FAN = 1 << STRIDE };

typedef _Atomic(uintptr_t) branch;

struct key {
	uint64_t hi, lo;
};

/* One prefix. What readers touch comes first. @home: where a retired one returns to. */
struct allowed_ips_node {
	_Alignas(SLAB_ALIGN) struct key key;
	_Atomic(struct allowed_ips_owner *) owner;
	uint8_t bits;
	uint8_t family;
	struct slab *home;
	union {
		struct {
			struct allowed_ips_node *prev, *next; /* of the owner */
			struct allowed_ips_node *next_cover;  /* of the node it covers */
		};
		struct epoch_node retired;
	};
};
static_assert(sizeof(struct allowed_ips_node) == 64, "one cache line per prefix");

/* @covered: bit v is set when cover[v] is worth a look. */
struct node {
	_Alignas(SLAB_ALIGN) struct key key;
	uint8_t bits; /* multiple of STRIDE */
	_Atomic uint16_t covered;
	branch branch[FAN];
	_Atomic(struct allowed_ips_node *) cover[FAN];
	struct slab *home;
	union {
		struct allowed_ips_node *covers;
		struct epoch_node retired;
	};
};
static_assert(sizeof(struct node) == 320, "stated in the header");

struct allowed_ips {
	branch root4, root6;
	struct epoch *epoch;
	struct slab prefixes, nodes;
	struct epoch_node retired;
};

/* ---- keys ---- */

static struct key key4(const uint8_t b[4])
{
	return (struct key){ .hi = (uint64_t)get_be32(b) << 32 };
}

static struct key key6(const uint8_t b[16])
{
	return (struct key){ .hi = get_be64(b), .lo = get_be64(b + 8) };
}

/* Do the first @bits bits agree? */
static inline bool agree(struct key a, struct key b, unsigned int bits)
{
	if (bits <= 64)
		return bits == 0 || (a.hi ^ b.hi) >> (64 - bits) == 0;
	return a.hi == b.hi && (a.lo ^ b.lo) >> (128 - bits) == 0;
}

/* How many leading bits agree, at most @limit? */
static unsigned int common_bits(struct key a, struct key b, unsigned int limit)
{
	unsigned int n = 128;

	if (a.hi != b.hi)
		n = (unsigned int)__builtin_clzll(a.hi ^ b.hi);
	else if (a.lo != b.lo)
		n = 64 + (unsigned int)__builtin_clzll(a.lo ^ b.lo);
	return n < limit ? n : limit;
}

static struct key first_bits(struct key k, unsigned int bits)
{
	if (bits <= 64)
		return (struct key){ .hi = bits == 0 ? 0 : k.hi & UINT64_MAX << (64 - bits) };
	return (struct key){ .hi = k.hi, .lo = k.lo & UINT64_MAX << (128 - bits) };
}

/* The four bits after the first @bits, which is a multiple of four below 128. */
static inline unsigned int nibble(struct key k, unsigned int bits)
{
	uint64_t half = bits < 64 ? k.hi : k.lo;

	return (unsigned int)(half >> (60 - bits % 64)) % FAN;
}

/* ---- branches ---- */

static inline uintptr_t load(const branch *at)
{
	return atomic_load_explicit(at, memory_order_acquire);
}

static void store(branch *at, uintptr_t v)
{
	atomic_store_explicit(at, v, memory_order_release);
}

static inline bool is_prefix(uintptr_t v)
{
	return v & 1;
}

static inline struct allowed_ips_node *prefix_of(uintptr_t v)
{
	return (struct allowed_ips_node *)(v - 1);
}

static inline struct node *node_of(uintptr_t v)
{
	return (struct node *)v;
}

/* ---- lookup ---- */

static struct allowed_ips_owner *find(const branch *root, struct key k)
{
	const struct allowed_ips_node *best = NULL;
	uintptr_t v = load(root);

	while (v && !is_prefix(v)) {
		struct node *n = node_of(v);
		unsigned int i = nibble(k, n->bits);

		if (!agree(n->key, k, n->bits))
			break;
		if (atomic_load_explicit(&n->covered, memory_order_acquire) >> i & 1) {
			struct allowed_ips_node *p =
				atomic_load_explicit(&n->cover[i], memory_order_acquire);

			best = p ? p : best;
		}
		v = load(&n->branch[i]);
	}
	if (is_prefix(v) && agree(prefix_of(v)->key, k, prefix_of(v)->bits))
		best = prefix_of(v);
	return best ? atomic_load_explicit(&best->owner, memory_order_acquire) : NULL;
}

struct allowed_ips_owner *allowed_ips_find4(const struct allowed_ips *t,
					    const uint8_t address[4])
{
	return find(&t->root4, key4(address));
}

struct allowed_ips_owner *allowed_ips_find6(const struct allowed_ips *t,
					    const uint8_t address[16])
{
	return find(&t->root6, key6(address));
}

struct allowed_ips_owner *allowed_ips_find(const struct allowed_ips *t, const struct ip_addr *a)
{
	switch (a->family) {
	case ADDR_V4:
		return find(&t->root4, key4(a->b));
	case ADDR_V6:
		return find(&t->root6, key6(a->b));
	}
	return NULL;
}

/* ---- covers ---- */

static bool covers_branch(const struct allowed_ips_node *p, const struct node *n,
			  unsigned int i)
{
	return (nibble(p->key, n->bits) ^ i) >> (STRIDE - (p->bits - n->bits)) == 0;
}

/* Spread the list over the branches. Each branch changes with one store. */
static void refresh_covers(struct node *n)
{
	unsigned int covered = 0;

	for (unsigned int i = 0; i < FAN; i++) {
		struct allowed_ips_node *best = NULL;

		for (struct allowed_ips_node *p = n->covers; p; p = p->next_cover) {
			if (covers_branch(p, n, i) && (!best || p->bits > best->bits))
				best = p;
		}
		atomic_store_explicit(&n->cover[i], best, memory_order_release);
		covered |= (best ? 1u : 0u) << i;
	}
	atomic_store_explicit(&n->covered, (uint16_t)covered, memory_order_release);
}

static void add_cover(struct node *n, struct allowed_ips_node *p)
{
	p->next_cover = n->covers;
	n->covers = p;
	refresh_covers(n);
}

static void remove_cover(struct node *n, const struct allowed_ips_node *p)
{
	struct allowed_ips_node **link = &n->covers;

	while (*link != p)
		link = &(*link)->next_cover;
	*link = p->next_cover;
	refresh_covers(n);
}

static bool ends_inside(const struct allowed_ips_node *p, const struct node *n)
{
	return p->bits < n->bits + STRIDE;
}

/* ---- changing the trie ---- */

/* Put a branch where it belongs below the new node @n. */
static void hang(struct node *n, uintptr_t v)
{
	if (is_prefix(v) && ends_inside(prefix_of(v), n))
		add_cover(n, prefix_of(v));
	else
		store(&n->branch[nibble(is_prefix(v) ? prefix_of(v)->key : node_of(v)->key,
					n->bits)],
		      v);
}

/* A node where the paths of @v and @p part, in the place of @v. */
static void fork_branch(struct allowed_ips *t, branch *at, uintptr_t v,
			struct allowed_ips_node *p, unsigned int shared)
{
	struct node *n = slab_take(&t->nodes); /* reserved by allowed_ips_insert() */

	n->bits = (uint8_t)(shared - shared % STRIDE);
	n->key = first_bits(p->key, n->bits);
	n->home = &t->nodes;
	hang(n, v);
	hang(n, (uintptr_t)p + 1);
	store(at, (uintptr_t)n);
}

static void add(struct allowed_ips *t, branch *at, struct allowed_ips_node *p)
{
	uintptr_t v;

	while ((v = load(at)) != 0) {
		struct key key = is_prefix(v) ? prefix_of(v)->key : node_of(v)->key;
		unsigned int bits = is_prefix(v) ? prefix_of(v)->bits : node_of(v)->bits;
		unsigned int shared = common_bits(key, p->key, bits < p->bits ? bits : p->bits);

		if (is_prefix(v) || shared < bits) {
			fork_branch(t, at, v, p, shared);
			return;
		}
		if (ends_inside(p, node_of(v))) {
			add_cover(node_of(v), p);
			return;
		}
		at = &node_of(v)->branch[nibble(p->key, bits)];
	}
	store(at, (uintptr_t)p + 1);
}

static bool is_same(const struct allowed_ips_node *p, struct key key, unsigned int bits)
{
	return p->bits == bits && agree(p->key, key, bits);
}

static struct allowed_ips_node *find_exact(const branch *at, struct key key, unsigned int bits)
{
	struct allowed_ips_node *p = NULL; /* the first of those it may be */
	uintptr_t v = load(at);

	while (v && !is_prefix(v)) {
		struct node *n = node_of(v);

		if (bits < n->bits || !agree(n->key, key, n->bits))
			return NULL;
		if (bits < (unsigned int)n->bits + STRIDE) {
			p = n->covers;
			break;
		}
		v = load(&n->branch[nibble(key, n->bits)]);
	}
	if (is_prefix(v))
		return is_same(prefix_of(v), key, bits) ? prefix_of(v) : NULL;
	while (p && !is_same(p, key, bits))
		p = p->next_cover;
	return p;
}

static void release_node(struct epoch_node *r)
{
	struct node *n = (struct node *)((char *)r - offsetof(struct node, retired));

	slab_give(n->home, n);
}

static void release_prefix(struct epoch_node *r)
{
	struct allowed_ips_node *p =
		(struct allowed_ips_node *)((char *)r -
					    offsetof(struct allowed_ips_node, retired));

	slab_give(p->home, p);
}

/* The only thing that @n holds, or 0 if it holds several. */
static uintptr_t sole_content(const struct node *n)
{
	uintptr_t found = n->covers ? (uintptr_t)n->covers + 1 : 0;

	if (n->covers && n->covers->next_cover)
		return 0;
	for (unsigned int i = 0; i < FAN; i++) {
		uintptr_t v = load(&n->branch[i]);

		if (v && found)
			return 0;
		if (v)
			found = v;
	}
	return found;
}

/* Take @p, which is there, out of the trie. */
static void cut(struct allowed_ips *t, branch *at, struct allowed_ips_node *p)
{
	struct node *n = NULL;
	branch *above = NULL; /* leads to @n */
	uintptr_t v, rest;

	while (!is_prefix(v = load(at))) {
		n = node_of(v);
		above = at;
		if (ends_inside(p, n))
			break;
		at = &n->branch[nibble(p->key, n->bits)];
	}
	if (is_prefix(v))
		store(at, 0);
	else
		remove_cover(n, p);

	rest = n ? sole_content(n) : 0;
	if (!rest)
		return;
	store(above, rest);
	epoch_retire(t->epoch, &n->retired, release_node);
}

/* ---- owners ---- */

static void append(struct allowed_ips_owner *o, struct allowed_ips_node *p)
{
	p->prev = o->last;
	p->next = NULL;
	*(o->last ? &o->last->next : &o->first) = p;
	o->last = p;
}

static void unlink_from(struct allowed_ips_owner *o, struct allowed_ips_node *p)
{
	*(p->prev ? &p->prev->next : &o->first) = p->next;
	*(p->next ? &p->next->prev : &o->last) = p->prev;
}

static struct allowed_ips_owner *owner_of(const struct allowed_ips_node *p)
{
	return atomic_load_explicit(&p->owner, memory_order_relaxed);
}

static void move(struct allowed_ips_node *p, struct allowed_ips_owner *to)
{
	if (owner_of(p) == to)
		return;
	unlink_from(owner_of(p), p);
	append(to, p);
	atomic_store_explicit(&p->owner, to, memory_order_release);
}

static void drop(struct allowed_ips *t, struct allowed_ips_node *p)
{
	cut(t, p->family == ADDR_V4 ? &t->root4 : &t->root6, p);
	unlink_from(owner_of(p), p);
	epoch_retire(t->epoch, &p->retired, release_prefix);
}

/* The root for the family, and the key with host bits cleared. NULL: neither family. */
static branch *root_for(struct allowed_ips *t, const struct ip_prefix *prefix, struct key *ret)
{
	const struct ip_addr *a = &prefix->ip;

	if (a->family != ADDR_V4 && a->family != ADDR_V6)
		return NULL;
	if (prefix->bits > ip_addr_bits(a))
		return NULL;
	*ret = first_bits(a->family == ADDR_V4 ? key4(a->b) : key6(a->b), prefix->bits);
	return a->family == ADDR_V4 ? &t->root4 : &t->root6;
}

int allowed_ips_insert(struct allowed_ips *t, const struct ip_prefix *prefix,
		       struct allowed_ips_owner *owner)
{
	struct allowed_ips_node *p;
	struct key key;
	branch *root = root_for(t, prefix, &key);

	if (!root)
		return -EINVAL;
	p = find_exact(root, key, prefix->bits);
	if (p) {
		move(p, owner);
		return 0;
	}
	if (allowed_ips_reserve(t, 1) != 0)
		return -ENOMEM;
	p = slab_take(&t->prefixes);
	p->key = key;
	p->bits = prefix->bits;
	p->family = prefix->ip.family;
	p->home = &t->prefixes;
	atomic_init(&p->owner, owner);
	append(owner, p);
	add(t, root, p);
	return 0;
}

void allowed_ips_remove(struct allowed_ips *t, const struct ip_prefix *prefix,
			struct allowed_ips_owner *owner)
{
	struct allowed_ips_node *p;
	struct key key;
	branch *root = root_for(t, prefix, &key);

	if (!root)
		return;
	p = find_exact(root, key, prefix->bits);
	if (p && owner_of(p) == owner)
		drop(t, p);
}

void allowed_ips_remove_all(struct allowed_ips *t, struct allowed_ips_owner *owner)
{
	while (owner->first)
		drop(t, owner->first);
}

const struct allowed_ips_node *allowed_ips_next(const struct allowed_ips_owner *owner,
						const struct allowed_ips_node *node)
{
	return node ? node->next : owner->first;
}

void allowed_ips_prefix(const struct allowed_ips_node *node, struct ip_prefix *ret)
{
	*ret = (struct ip_prefix){ .ip.family = node->family, .bits = node->bits };
	put_be64(ret->ip.b, node->key.hi);
	put_be64(ret->ip.b + 8, node->key.lo);
}

size_t allowed_ips_count(const struct allowed_ips_owner *owner)
{
	size_t n = 0;

	for (const struct allowed_ips_node *p = owner->first; p; p = p->next)
		n++;
	return n;
}

/* ---- the table ---- */

int allowed_ips_new(struct epoch *epoch, struct allowed_ips **ret)
{
	struct allowed_ips *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->epoch = epoch;
	slab_init(&t->prefixes, sizeof(struct allowed_ips_node));
	slab_init(&t->nodes, sizeof(struct node));
	*ret = t;
	return 0;
}

static void release_table(struct epoch_node *r)
{
	struct allowed_ips *t =
		(struct allowed_ips *)((char *)r - offsetof(struct allowed_ips, retired));

	slab_done(&t->prefixes);
	slab_done(&t->nodes);
	free(t);
}

struct allowed_ips *allowed_ips_free(struct allowed_ips *t)
{
	/* Nodes retired earlier are released earlier: their slabs are still there then. */
	if (t)
		epoch_retire(t->epoch, &t->retired, release_table);
	return NULL;
}

int allowed_ips_reserve(struct allowed_ips *t, size_t n)
{
	if (slab_reserve(&t->prefixes, n) != 0)
		return -ENOMEM;
	return slab_reserve(&t->nodes, n); /* an insert forks at most once */
}

size_t allowed_ips_size_bytes(const struct allowed_ips *t)
{
	return t->prefixes.size_bytes + t->nodes.size_bytes;
}
