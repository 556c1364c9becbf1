/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/wire.h"

enum {
	FANOUT = 64,
	HOST_BITS_MAX = 24,
	HOST_NETWORK = 0,
	HOST_GATEWAY = 1,
};
static_assert(1 << HOST_BITS_MAX == POOL_HOSTS_MAX, "depth of the tree");
static_assert((uint64_t)FANOUT * FANOUT * FANOUT * FANOUT == POOL_HOSTS_MAX,
	      "four levels of 64");

/* 4096 hosts. Bit n of @full: word n of @taken has no zero left. */
struct leaf {
	uint64_t full;
	uint64_t taken[FANOUT];	  /* held or resting */
	uint64_t resting[FANOUT]; /* a subset of @taken */
};

/* An absent child is wholly free. */
struct middle {
	uint64_t full;
	struct leaf *child[FANOUT];
};

struct rest {
	uint64_t until_ns;
	uint32_t host;
};

struct pool {
	struct ip_prefix prefix;
	uint32_t hosts;	   /* host numbers lie below this */
	uint32_t reserved; /* of them never given */
	uint32_t used;
	uint64_t full;
	struct middle *child[FANOUT];
	struct rest *heap; /* smallest @until_ns first; room for every held and resting host */
	uint32_t n_resting;
	uint32_t heap_capacity;
};

static unsigned int digit(uint32_t host, unsigned int level)
{
	return (host >> (6 * level)) % FANOUT;
}

static uint64_t bit(uint32_t host, unsigned int level)
{
	return UINT64_C(1) << digit(host, level);
}

/* --- Addresses and host numbers --- */

static struct ip_addr address_of(const struct pool *p, uint32_t host)
{
	struct ip_addr a = p->prefix.ip;
	uint8_t *low = a.b + ip_addr_bits(&a) / 8 - 4;

	put_be32(low, get_be32(low) | host);
	return a;
}

static int host_of(const struct pool *p, const struct ip_addr *a, uint32_t *ret)
{
	if (!ip_prefix_contains(&p->prefix, a))
		return ERR_RANGE;

	unsigned int octets = ip_addr_bits(a) / 8;
	unsigned int host_bits = ip_addr_bits(a) - p->prefix.bits;
	uint32_t low = get_be32(a->b + octets - 4);

	for (unsigned int i = p->prefix.bits / 8; i + 4 < octets; i++)
		if (a->b[i] != p->prefix.ip.b[i])
			return ERR_RANGE; /* beyond the hosts of the tree */
	if (host_bits < 32)
		low &= (UINT32_C(1) << host_bits) - 1;
	if (low >= p->hosts)
		return ERR_RANGE;
	*ret = low;
	return 0;
}

static bool never_given(const struct pool *p, uint32_t host)
{
	if (host == HOST_NETWORK || host == HOST_GATEWAY)
		return true;
	return p->reserved == 3 && host == p->hosts - 1;
}

/* --- The tree --- */

static struct leaf *find_leaf(const struct pool *p, uint32_t host)
{
	const struct middle *m = p->child[digit(host, 3)];

	return m ? m->child[digit(host, 2)] : NULL;
}

static struct leaf *make_leaf(struct pool *p, uint32_t host)
{
	struct middle **m = &p->child[digit(host, 3)];

	if (!*m)
		*m = calloc(1, sizeof(**m));
	if (!*m)
		return NULL;

	struct leaf **l = &(*m)->child[digit(host, 2)];

	if (!*l)
		*l = calloc(1, sizeof(**l));
	return *l;
}

/* The lowest host whose bit is clear; POOL_HOSTS_MAX when there is none. */
static uint32_t lowest_clear(const struct pool *p)
{
	if (p->full == UINT64_MAX)
		return POOL_HOSTS_MAX;

	uint32_t top = (uint32_t)__builtin_ctzll(~p->full);
	const struct middle *m = p->child[top];

	if (!m)
		return top << 18;

	uint32_t mid = (uint32_t)__builtin_ctzll(~m->full);
	const struct leaf *l = m->child[mid];

	if (!l)
		return top << 18 | mid << 12;

	uint32_t word = (uint32_t)__builtin_ctzll(~l->full);

	return top << 18 | mid << 12 | word << 6 | (uint32_t)__builtin_ctzll(~l->taken[word]);
}

static bool is_taken(const struct pool *p, uint32_t host)
{
	const struct leaf *l = find_leaf(p, host);

	return l && (l->taken[digit(host, 1)] & bit(host, 0));
}

static bool is_resting(const struct pool *p, uint32_t host)
{
	const struct leaf *l = find_leaf(p, host);

	return l && (l->resting[digit(host, 1)] & bit(host, 0));
}

static int set_taken(struct pool *p, uint32_t host)
{
	struct leaf *l = make_leaf(p, host);

	if (!l)
		return -ENOMEM;

	struct middle *m = p->child[digit(host, 3)];
	uint64_t *word = &l->taken[digit(host, 1)];

	*word |= bit(host, 0);
	if (*word == UINT64_MAX)
		l->full |= bit(host, 1);
	if (l->full == UINT64_MAX)
		m->full |= bit(host, 2);
	if (m->full == UINT64_MAX)
		p->full |= bit(host, 3);
	return 0;
}

static void clear_taken(struct pool *p, uint32_t host)
{
	struct middle *m = p->child[digit(host, 3)];
	struct leaf *l = m->child[digit(host, 2)];

	l->taken[digit(host, 1)] &= ~bit(host, 0);
	l->resting[digit(host, 1)] &= ~bit(host, 0);
	l->full &= ~bit(host, 1);
	m->full &= ~bit(host, 2);
	p->full &= ~bit(host, 3);
}

/* --- Quarantine: a binary heap on @until_ns --- */

static void swap(struct rest *a, struct rest *b)
{
	struct rest t = *a;

	*a = *b;
	*b = t;
}

static void heap_push(struct pool *p, struct rest r)
{
	uint32_t i = p->n_resting++;

	assert(i < p->heap_capacity); /* reserve_rest() made room when the host was taken */
	p->heap[i] = r;
	for (; i > 0 && p->heap[i].until_ns < p->heap[(i - 1) / 2].until_ns; i = (i - 1) / 2)
		swap(&p->heap[i], &p->heap[(i - 1) / 2]);
}

static struct rest heap_pop(struct pool *p)
{
	struct rest first = p->heap[0];
	uint32_t n = --p->n_resting;

	p->heap[0] = p->heap[n];
	for (uint32_t i = 0;;) {
		uint32_t least = i;

		for (uint32_t c = 2 * i + 1; c <= 2 * i + 2 && c < n; c++)
			if (p->heap[c].until_ns < p->heap[least].until_ns)
				least = c;
		if (least == i)
			return first;
		swap(&p->heap[i], &p->heap[least]);
		i = least;
	}
}

/* Releasing must not fail for want of memory, so its room is made when taking. */
static int reserve_rest(struct pool *p)
{
	uint32_t need = p->used + p->n_resting + 1;

	if (need <= p->heap_capacity)
		return 0;

	uint32_t capacity = p->heap_capacity ? 2 * p->heap_capacity : 64;
	struct rest *heap = realloc(p->heap, capacity * sizeof(*heap));

	if (!heap)
		return -ENOMEM;
	p->heap = heap;
	p->heap_capacity = capacity;
	return 0;
}

static void wake(struct pool *p, uint64_t now_ns)
{
	while (p->n_resting > 0 && p->heap[0].until_ns <= now_ns)
		clear_taken(p, heap_pop(p).host);
}

/* --- Calls --- */

int pool_new(const struct ip_prefix *prefix, struct pool **ret)
{
	bool v4 = prefix->ip.family == ADDR_V4;

	if (prefix->ip.family == ADDR_NONE ||
	    prefix->bits > (v4 ? POOL_V4_BITS_MAX : POOL_V6_BITS_MAX))
		return ERR_RANGE;

	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;

	unsigned int host_bits = ip_addr_bits(&prefix->ip) - prefix->bits;
	bool whole = host_bits <= HOST_BITS_MAX;

	p->prefix = *prefix;
	ip_prefix_mask(&p->prefix);
	p->hosts = whole ? UINT32_C(1) << host_bits : POOL_HOSTS_MAX;
	p->reserved = v4 && whole ? 3 : 2;
	if (set_taken(p, HOST_NETWORK) != 0 || set_taken(p, HOST_GATEWAY) != 0 ||
	    (p->reserved == 3 && set_taken(p, p->hosts - 1) != 0)) {
		pool_free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

struct pool *pool_free(struct pool *p)
{
	if (!p)
		return NULL;
	for (unsigned int i = 0; i < FANOUT; i++) {
		for (unsigned int j = 0; p->child[i] && j < FANOUT; j++)
			free(p->child[i]->child[j]);
		free(p->child[i]);
	}
	free(p->heap);
	free(p);
	return NULL;
}

static int take(struct pool *p, uint32_t host)
{
	int err = reserve_rest(p);

	if (err == 0)
		err = set_taken(p, host);
	if (err == 0)
		p->used++;
	return err;
}

int pool_take_lowest(struct pool *p, uint64_t now_ns, struct ip_addr *ret)
{
	wake(p, now_ns);

	uint32_t host = lowest_clear(p);

	if (host >= p->hosts)
		return ERR_EXHAUSTED;

	int err = take(p, host);

	if (err != 0)
		return err;
	*ret = address_of(p, host);
	return 0;
}

int pool_take(struct pool *p, uint64_t now_ns, const struct ip_addr *a)
{
	uint32_t host;
	int err = host_of(p, a, &host);

	if (err != 0)
		return err;
	if (never_given(p, host))
		return ERR_RANGE;
	wake(p, now_ns);
	if (is_resting(p, host))
		return ERR_EXPIRED;
	if (is_taken(p, host))
		return ERR_EXISTS;
	return take(p, host);
}

int pool_release(struct pool *p, const struct ip_addr *a, uint64_t until_ns)
{
	uint32_t host;

	if (!pool_held(p, a) || host_of(p, a, &host) != 0)
		return ERR_UNKNOWN;
	p->used--;
	if (until_ns == 0) {
		clear_taken(p, host);
		return 0;
	}
	find_leaf(p, host)->resting[digit(host, 1)] |= bit(host, 0);
	heap_push(p, (struct rest){ .until_ns = until_ns, .host = host });
	return 0;
}

bool pool_held(const struct pool *p, const struct ip_addr *a)
{
	uint32_t host;

	if (host_of(p, a, &host) != 0 || never_given(p, host))
		return false;
	return is_taken(p, host) && !is_resting(p, host);
}

struct ip_addr pool_gateway(const struct pool *p)
{
	return address_of(p, HOST_GATEWAY);
}

const struct ip_prefix *pool_prefix(const struct pool *p)
{
	return &p->prefix;
}

uint64_t pool_total(const struct pool *p)
{
	return p->hosts - p->reserved;
}

uint64_t pool_used(const struct pool *p)
{
	return p->used;
}

uint64_t pool_resting(const struct pool *p)
{
	return p->n_resting;
}
