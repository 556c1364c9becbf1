/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of octets, and a ring of entries that say where in it each datagram lies. A datagram
 * lies in one piece: where the end of the memory is too near, the octets up to it are left out.
 */
#include "carrier/backlog.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	uint64_t since_ns;
	size_t at;
	size_t len;
};

struct backlog {
	struct entry entries[BACKLOG_ENTRIES];
	size_t first; /* of the entries */
	size_t n;
	size_t octets; /* of all entries */
	size_t size;
	uint64_t age_ns;
	struct backlog_counts counts;
	uint8_t memory[];
};

struct backlog *backlog_new(size_t octets, uint64_t age_ns)
{
	struct backlog *b = malloc(sizeof(*b) + octets);

	if (!b)
		return NULL;
	memset(b, 0, sizeof(*b)); /* the memory itself is touched when it is needed */
	b->size = octets;
	b->age_ns = age_ns;
	return b;
}

struct backlog *backlog_free(struct backlog *b)
{
	free(b);
	return NULL;
}

size_t backlog_octets(const struct backlog *b)
{
	return b->octets;
}

const struct backlog_counts *backlog_counts(const struct backlog *b)
{
	return &b->counts;
}

static void drop_first(struct backlog *b)
{
	b->octets -= b->entries[b->first].len;
	b->first = (b->first + 1) % BACKLOG_ENTRIES;
	b->n--;
}

/* Where @len octets fit without touching another entry. false: nowhere yet. */
static bool find_room(const struct backlog *b, size_t len, size_t *ret_at)
{
	const struct entry *oldest = &b->entries[b->first];
	const struct entry *newest =
		&b->entries[(b->first + b->n + BACKLOG_ENTRIES - 1) % BACKLOG_ENTRIES];
	size_t end;

	if (b->n == 0) {
		*ret_at = 0;
		return true;
	}
	end = newest->at + newest->len;
	if (newest->at >= oldest->at) { /* used: oldest..end */
		*ret_at = b->size - end >= len ? end : 0;
		return b->size - end >= len || oldest->at >= len;
	}
	*ret_at = end; /* used: oldest..wrap, 0..end */
	return oldest->at - end >= len;
}

void backlog_put(struct backlog *b, uint64_t now_ns, const void *header, size_t header_len,
		 const void *payload, size_t payload_len)
{
	size_t len = header_len + payload_len, at = 0;
	struct entry *e;

	b->counts.taken++;
	if (len > b->size) {
		b->counts.crowded++;
		return;
	}
	while (b->n == BACKLOG_ENTRIES || !find_room(b, len, &at)) {
		drop_first(b);
		b->counts.crowded++;
	}
	memcpy(b->memory + at, header, header_len);
	memcpy(b->memory + at + header_len, payload, payload_len);
	e = &b->entries[(b->first + b->n++) % BACKLOG_ENTRIES];
	*e = (struct entry){ .since_ns = now_ns, .at = at, .len = len };
	b->octets += len;
}

size_t backlog_take(struct backlog *b, uint64_t now_ns, void *out, size_t size)
{
	uint8_t *to = out;
	size_t used = 0;

	while (b->n > 0) {
		const struct entry *e = &b->entries[b->first];

		if (now_ns - e->since_ns > b->age_ns) {
			b->counts.stale++;
			drop_first(b);
			continue;
		}
		if (e->len > size - used)
			break;
		memcpy(to + used, b->memory + e->at, e->len);
		used += e->len;
		drop_first(b);
	}
	return used;
}
