/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 * A token bucket needs one number: the time at which it will be full again. A
 * token taken moves that time one token's worth further; a source may pass while
 * the time lies less than burst - 1 tokens ahead. Once it has passed, the bucket
 * is full, says nothing any more, and its place is free. Nothing is ever swept.
 *
 * A source is known by a keyed hash of 64 bits. Its low bits choose a row of
 * eight entries (two cache lines); the whole value tells sources apart.
 */
#include "noise/ratelimit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/short_hash.h"

enum { ROW_LEN = 8 };

/* All zeroes is a free entry: it was full at the beginning of time. */
struct entry {
	uint64_t source;
	uint64_t full_at_ns;
};

struct row {
	_Alignas(64) struct entry entries[ROW_LEN];
};

struct ratelimit {
	uint64_t token_ns; /* time in which one token is gained */
	uint64_t ahead_ns; /* how far full_at_ns may lie ahead for a source to pass */
	size_t row_mask;
	bool is_spread;
	uint8_t key[SHORT_HASH_KEY_LEN];
	struct row *rows;
};

int ratelimit_new(size_t sources, uint32_t per_second, uint32_t burst, const uint8_t key[16],
		  struct ratelimit **ret)
{
	struct ratelimit *r;
	size_t rows = 1;

	while (rows * ROW_LEN < sources && rows < SIZE_MAX / sizeof(struct row) / 2)
		rows *= 2;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->rows = aligned_alloc(_Alignof(struct row), rows * sizeof(*r->rows));
	if (!r->rows) {
		free(r);
		return -ENOMEM;
	}
	memset(r->rows, 0, rows * sizeof(*r->rows));
	r->row_mask = rows - 1;
	r->token_ns = UINT64_C(1000000000) / (per_second ? per_second : 1);
	r->ahead_ns = (burst ? burst - 1 : 0) * r->token_ns;
	memcpy(r->key, key, sizeof(r->key));
	*ret = r;
	return 0;
}

struct ratelimit *ratelimit_free(struct ratelimit *r)
{
	if (!r)
		return NULL;
	free(r->rows);
	free(r);
	return NULL;
}

/* Whoever has an IPv6 address commonly has its whole /64. */
static uint64_t identify(const struct ratelimit *r, const struct ip_addr *source)
{
	uint8_t text[1 + 8] = { source->family };

	memcpy(text + 1, source->b, source->family == ADDR_V4 ? 4 : 8);
	return short_hash(r->key, text, sizeof(text));
}

/* The entry of @source, else a free one, else NULL. */
static struct entry *find(struct row *row, uint64_t source, uint64_t now_ns)
{
	struct entry *unused = NULL;

	for (size_t i = 0; i < ROW_LEN; i++) {
		struct entry *e = &row->entries[i];

		if (e->source == source)
			return e;
		if (e->full_at_ns <= now_ns)
			unused = e;
	}
	return unused;
}

void ratelimit_spread(struct ratelimit *r)
{
	r->is_spread = true;
}

/* @e->source is a keyed hash already: multiplying it with the odd number @now_ns | 1 and
 * taking the upper half gives another share each time. */
static uint64_t next_token_ns(const struct ratelimit *r, const struct entry *e, uint64_t now_ns)
{
	uint64_t share = (e->source * (now_ns | 1)) >> 32; /* of 2^32 */

	return r->is_spread ? r->token_ns / 2 + (r->token_ns * share >> 32) : r->token_ns;
}

bool ratelimit_take(struct ratelimit *r, uint64_t now_ns, const struct ip_addr *source)
{
	uint64_t id = identify(r, source);
	struct entry *e = find(&r->rows[id & r->row_mask], id, now_ns);

	if (!e)
		return false;
	if (e->full_at_ns < now_ns || e->source != id)
		e->full_at_ns = now_ns;
	if (e->full_at_ns - now_ns > r->ahead_ns)
		return false;
	e->source = id;
	e->full_at_ns += next_token_ns(r, e, now_ns);
	return true;
}
