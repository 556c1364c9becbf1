/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/replay_cache.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum {
	SECONDS = 2048, /* lists of entries by timestamp; more than both halves of a window */
	NONE = 0,	/* entry 0 is not used */
	FIRST_CAPACITY = 1024,
};
static_assert(SECONDS > 2 * REPLAY_CACHE_WINDOW_MAX_S + 1, "one list per second of the window");

struct entry {
	uint8_t digest[REPLAY_CACHE_DIGEST_LEN];
	uint64_t signed_s;
	uint32_t next_in_bucket;
	uint32_t next_in_second; /* also links free entries */
};

struct replay_cache {
	uint64_t window_s;
	uint64_t floor_s;
	uint64_t swept_s; /* timestamps before have been swept */
	uint32_t max;
	uint32_t count;
	uint32_t capacity; /* of @entries and @buckets, a power of two */
	uint32_t used;	   /* entries handed out at least once, with entry 0 */
	uint32_t free_list;
	struct entry *entries;
	uint32_t *buckets;
	uint32_t seconds[SECONDS];
};

static uint32_t *bucket_of(struct replay_cache *c,
			   const uint8_t digest[REPLAY_CACHE_DIGEST_LEN])
{
	uint32_t hash;

	memcpy(&hash, digest, sizeof(hash));
	return &c->buckets[hash & (c->capacity - 1)];
}

static uint32_t find(struct replay_cache *c, const uint8_t digest[REPLAY_CACHE_DIGEST_LEN])
{
	uint32_t at = *bucket_of(c, digest);

	while (at != NONE &&
	       memcmp(c->entries[at].digest, digest, REPLAY_CACHE_DIGEST_LEN) != 0)
		at = c->entries[at].next_in_bucket;
	return at;
}

static void unlink_from_bucket(struct replay_cache *c, uint32_t at)
{
	uint32_t *link = bucket_of(c, c->entries[at].digest);

	while (*link != at)
		link = &c->entries[*link].next_in_bucket;
	*link = c->entries[at].next_in_bucket;
}

static void release(struct replay_cache *c, uint32_t at)
{
	unlink_from_bucket(c, at);
	c->entries[at].next_in_second = c->free_list;
	c->free_list = at;
	c->count--;
}

static bool too_old(const struct replay_cache *c, uint64_t now_s, uint64_t signed_s)
{
	return signed_s + c->window_s < now_s;
}

static void sweep_second(struct replay_cache *c, uint64_t now_s, uint64_t second)
{
	uint32_t *link = &c->seconds[second % SECONDS];

	while (*link != NONE) {
		uint32_t at = *link;
		struct entry *e = &c->entries[at];

		/* After the clock was set back a list may hold a later second as well. */
		if (!too_old(c, now_s, e->signed_s)) {
			link = &e->next_in_second;
			continue;
		}
		if (e->signed_s > c->floor_s)
			c->floor_s = e->signed_s;
		*link = e->next_in_second;
		release(c, at);
	}
}

static void sweep(struct replay_cache *c, uint64_t now_s)
{
	uint64_t end = now_s > c->window_s ? now_s - c->window_s : 0;
	uint64_t from = c->swept_s;

	if (end <= from)
		return;
	if (end - from > SECONDS)
		from = end - SECONDS;
	for (; from < end; from++)
		sweep_second(c, now_s, from);
	c->swept_s = end;
}

/* Twice the room. The entries keep their numbers, the buckets are dealt anew. */
static int grow(struct replay_cache *c)
{
	uint32_t capacity = c->capacity ? 2 * c->capacity : FIRST_CAPACITY;
	struct entry *entries = realloc(c->entries, capacity * sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	c->entries = entries;

	uint32_t *buckets = calloc(capacity, sizeof(*buckets));

	if (!buckets)
		return -ENOMEM;
	free(c->buckets);
	c->buckets = buckets;
	c->capacity = capacity;
	/* Called only when no entry is free: all handed out are in use. */
	for (uint32_t at = 1; at < c->used; at++) {
		uint32_t *bucket = bucket_of(c, entries[at].digest);

		entries[at].next_in_bucket = *bucket;
		*bucket = at;
	}
	return 0;
}

static int claim(struct replay_cache *c, uint32_t *ret)
{
	if (c->count >= c->max)
		return ERR_LIMIT;
	if (c->free_list != NONE) {
		*ret = c->free_list;
		c->free_list = c->entries[*ret].next_in_second;
		return 0;
	}
	assert(c->used == c->count + 1); /* none was lost */
	if (c->used >= c->capacity) {
		int err = grow(c);

		if (err != 0)
			return err;
	}
	*ret = c->used++;
	return 0;
}

int replay_cache_new(uint64_t window_s, uint32_t max, struct replay_cache **ret)
{
	struct replay_cache *c = calloc(1, sizeof(*c));

	assert(window_s >= 1 && window_s <= REPLAY_CACHE_WINDOW_MAX_S);
	if (!c)
		return -ENOMEM;
	c->window_s = window_s;
	c->max = max;
	c->used = NONE + 1;
	if (grow(c) != 0) {
		replay_cache_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

struct replay_cache *replay_cache_free(struct replay_cache *c)
{
	if (!c)
		return NULL;
	free(c->entries);
	free(c->buckets);
	free(c);
	return NULL;
}

int replay_cache_judge(struct replay_cache *c, uint64_t now_s,
		       const uint8_t digest[REPLAY_CACHE_DIGEST_LEN], uint64_t signed_s)
{
	sweep(c, now_s);
	if (too_old(c, now_s, signed_s) || signed_s > now_s + c->window_s)
		return ERR_EXPIRED;
	if (signed_s <= c->floor_s)
		return ERR_EXPIRED;
	return find(c, digest) != NONE ? ERR_REPLAY : 0;
}

int replay_cache_add(struct replay_cache *c, uint64_t now_s,
		     const uint8_t digest[REPLAY_CACHE_DIGEST_LEN], uint64_t signed_s)
{
	uint32_t at;
	int err = replay_cache_judge(c, now_s, digest, signed_s);

	if (err == 0)
		err = claim(c, &at);
	if (err != 0)
		return err;

	struct entry *e = &c->entries[at];
	uint32_t *bucket = bucket_of(c, digest);
	uint32_t *second = &c->seconds[signed_s % SECONDS];

	memcpy(e->digest, digest, sizeof(e->digest));
	e->signed_s = signed_s;
	e->next_in_bucket = *bucket;
	*bucket = at;
	e->next_in_second = *second;
	*second = at;
	c->count++;
	return 0;
}

void replay_cache_remove(struct replay_cache *c, const uint8_t digest[REPLAY_CACHE_DIGEST_LEN],
			 uint64_t signed_s)
{
	uint32_t *link = &c->seconds[signed_s % SECONDS];
	uint32_t at = find(c, digest);

	if (at == NONE)
		return;
	while (*link != at)
		link = &c->entries[*link].next_in_second;
	*link = c->entries[at].next_in_second;
	release(c, at);
}

void replay_cache_raise_floor(struct replay_cache *c, uint64_t floor_s)
{
	if (floor_s > c->floor_s)
		c->floor_s = floor_s;
}

uint32_t replay_cache_count(const struct replay_cache *c)
{
	return c->count;
}
