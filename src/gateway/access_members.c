/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/access_members.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

/* Ids are counted up by the store: nobody chooses them. The factor spreads runs of them. */
static size_t place_of(const struct access_members *m, int64_t id)
{
	return (size_t)(((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) &
	       (m->capacity - 1);
}

static size_t next_place(const struct access_members *m, size_t at)
{
	return (at + 1) & (m->capacity - 1);
}

/* Where it is, or the free place where it would be. */
static struct access_member *probe(const struct access_members *m, int64_t id)
{
	size_t at = place_of(m, id);

	while (m->table[at].id != 0 && m->table[at].id != id)
		at = next_place(m, at);
	return &m->table[at];
}

static int grow(struct access_members *m)
{
	struct access_members larger = { .n = m->n,
					 .capacity = m->capacity ? 2 * m->capacity
								 : FIRST_CAPACITY };

	larger.table = calloc(larger.capacity, sizeof(*larger.table));
	if (!larger.table)
		return -1;
	for (size_t i = 0; i < m->capacity; i++)
		if (m->table[i].id != 0)
			*probe(&larger, m->table[i].id) = m->table[i];
	free(m->table);
	*m = larger;
	return 0;
}

void access_members_done(struct access_members *m)
{
	free(m->table);
	*m = (struct access_members){ .table = NULL };
}

struct access_member *access_members_find(const struct access_members *m, int64_t id)
{
	struct access_member *found = m->n > 0 && id != 0 ? probe(m, id) : NULL;

	return found && found->id != 0 ? found : NULL;
}

struct access_member *access_members_put(struct access_members *m, int64_t id)
{
	struct access_member *found = access_members_find(m, id);

	assert(id != 0);
	if (found)
		return found;
	if (2 * (m->n + 1) > m->capacity && grow(m) != 0)
		return NULL;
	found = probe(m, id);
	*found = (struct access_member){ .id = id };
	m->n++;
	return found;
}

/* Whoever stands behind it and belongs before the gap moves into it. */
void access_members_remove(struct access_members *m, int64_t id)
{
	struct access_member *gone = access_members_find(m, id);
	size_t gap, at;

	if (!gone)
		return;
	gap = (size_t)(gone - m->table);
	for (at = next_place(m, gap); m->table[at].id != 0; at = next_place(m, at)) {
		size_t home = place_of(m, m->table[at].id);

		if (((at - home) & (m->capacity - 1)) < ((at - gap) & (m->capacity - 1)))
			continue;
		m->table[gap] = m->table[at];
		gap = at;
	}
	m->table[gap] = (struct access_member){ .id = 0 };
	m->n--;
}
