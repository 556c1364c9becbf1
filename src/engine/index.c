/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/index.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

/*
 * Theory of operation. Linear probing. A slot's pointer is NULL (a search ends here), TOMB
 * (an entry was here; go on) or an entry. Its number is written before its pointer is
 * released, so whoever acquires the pointer sees that number or, if the slot was used anew
 * meanwhile, a later one; the entry's own number settles it.
 *
 * At most half of the slots are not NULL, or the table is replaced by one that is at most
 * three eighths full. It may be smaller than the old one.
 */
enum {
	SLOTS_MIN = 64,
	ENTRIES_MAX = 1 << 24,
};

struct slot {
	_Atomic(struct index_entry *) entry;
	_Atomic uint32_t index;
};

struct slots {
	struct epoch_node retired;
	uint32_t mask;
	unsigned int shift; /* 32 - log2(slots): the high bits of a product are its best */
	struct slot slot[];
};

struct index_table {
	_Atomic(struct slots *) slots;
	struct epoch *epoch;
	atomic_flag lock;
	size_t used; /* slots that are not NULL; with the lock held */
	_Atomic size_t count;
};

static struct index_entry tomb;

static void lock(struct index_table *t)
{
	while (atomic_flag_test_and_set_explicit(&t->lock, memory_order_acquire)) {
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#endif
	}
}

static void unlock(struct index_table *t)
{
	atomic_flag_clear_explicit(&t->lock, memory_order_release);
}

/* Where the search for @index begins. Numbers are random, but a test's need not be. */
static uint32_t home(const struct slots *s, uint32_t index)
{
	return (index * UINT32_C(0x9e3779b1)) >> s->shift;
}

static struct slots *slots_new(size_t entries)
{
	size_t n = SLOTS_MIN;
	unsigned int shift = 26;
	struct slots *s;

	for (; entries > n / 8 * 3; n *= 2)
		shift--;
	s = calloc(1, sizeof(*s) + n * sizeof(s->slot[0]));
	if (!s)
		return NULL;
	s->mask = (uint32_t)(n - 1);
	s->shift = shift;
	return s;
}

static void release_slots(struct epoch_node *n)
{
	free(n); /* the first member */
}

static struct index_entry *entry_at(const struct slots *s, uint32_t i)
{
	return atomic_load_explicit(&s->slot[i].entry, memory_order_acquire);
}

static void fill(struct slot *slot, struct index_entry *e)
{
	atomic_store_explicit(&slot->index, e->index, memory_order_relaxed);
	atomic_store_explicit(&slot->entry, e, memory_order_release);
}

/* The first slot on the way of @index that can take an entry. There is one. */
static struct slot *vacancy(struct slots *s, uint32_t index)
{
	uint32_t i = home(s, index);

	for (;; i = (i + 1) & s->mask) {
		struct index_entry *e = entry_at(s, i);

		if (!e || e == &tomb)
			return &s->slot[i];
	}
}

/* The slot that holds @e itself, or NULL. */
static struct slot *slot_of(struct slots *s, const struct index_entry *e)
{
	uint32_t i = home(s, e->index);
	struct index_entry *at;

	for (; (at = entry_at(s, i)) != NULL; i = (i + 1) & s->mask) {
		if (at == e)
			return &s->slot[i];
	}
	return NULL;
}

static struct index_entry *find_in(const struct slots *s, uint32_t index)
{
	uint32_t i = home(s, index);
	struct index_entry *e;

	for (; (e = entry_at(s, i)) != NULL; i = (i + 1) & s->mask) {
		if (atomic_load_explicit(&s->slot[i].index, memory_order_relaxed) == index &&
		    e != &tomb && e->index == index)
			return e;
	}
	return NULL;
}

/* Make room for one more by moving all to a new table. 0 or -ENOMEM. */
static int rebuild(struct index_table *t, struct slots *old)
{
	size_t live = atomic_load_explicit(&t->count, memory_order_relaxed);
	struct slots *s = slots_new(live + 1);

	if (!s)
		return -ENOMEM;
	for (uint32_t i = 0; i <= old->mask; i++) {
		struct index_entry *e = entry_at(old, i);

		if (e && e != &tomb)
			fill(vacancy(s, e->index), e);
	}
	t->used = live;
	atomic_store_explicit(&t->slots, s, memory_order_release);
	epoch_retire(t->epoch, &old->retired, release_slots);
	return 0;
}

static struct slots *current_slots(const struct index_table *t)
{
	return atomic_load_explicit(&t->slots, memory_order_acquire);
}

static int insert(struct index_table *t, struct index_entry *e)
{
	struct slots *s = current_slots(t);
	size_t live = atomic_load_explicit(&t->count, memory_order_relaxed);
	struct slot *slot;

	if (find_in(s, e->index))
		return ERR_EXISTS;
	if (live == ENTRIES_MAX)
		return ERR_LIMIT;
	if (t->used >= ((size_t)s->mask + 1) / 2) {
		int err = rebuild(t, s);

		if (err)
			return err;
		s = current_slots(t);
	}
	slot = vacancy(s, e->index);
	if (!atomic_load_explicit(&slot->entry, memory_order_relaxed))
		t->used++;
	fill(slot, e);
	atomic_store_explicit(&t->count, live + 1, memory_order_relaxed);
	return 0;
}

/* A tomb before an empty slot leads nowhere: such a run of tombs is emptied from its end. */
static void bury(struct index_table *t, struct slots *s, struct slot *slot)
{
	uint32_t i = (uint32_t)(slot - s->slot);
	bool ends_here = !entry_at(s, (i + 1) & s->mask);

	atomic_store_explicit(&slot->entry, ends_here ? NULL : &tomb, memory_order_release);
	if (!ends_here)
		return;
	t->used--;
	for (i = (i - 1) & s->mask; entry_at(s, i) == &tomb; i = (i - 1) & s->mask) {
		atomic_store_explicit(&s->slot[i].entry, NULL, memory_order_release);
		t->used--;
	}
}

int index_table_new(struct epoch *epoch, struct index_table **ret)
{
	struct index_table *t = calloc(1, sizeof(*t));
	struct slots *s = slots_new(0);

	if (!t || !s) {
		free(t);
		free(s);
		return -ENOMEM;
	}
	t->epoch = epoch;
	atomic_init(&t->slots, s);
	atomic_init(&t->count, 0);
	atomic_flag_clear(&t->lock);
	*ret = t;
	return 0;
}

struct index_table *index_table_free(struct index_table *t)
{
	if (t)
		free(current_slots(t));
	free(t);
	return NULL;
}

int index_insert(struct index_table *t, struct index_entry *e)
{
	int err;

	lock(t);
	err = insert(t, e);
	unlock(t);
	return err;
}

void index_remove(struct index_table *t, struct index_entry *e)
{
	struct slots *s;
	struct slot *slot;

	lock(t);
	s = current_slots(t);
	slot = slot_of(s, e);
	if (slot) {
		bury(t, s, slot);
		atomic_fetch_sub_explicit(&t->count, 1, memory_order_relaxed);
	}
	unlock(t);
}

bool index_replace(struct index_table *t, struct index_entry *old, struct index_entry *e)
{
	struct slot *slot;

	e->index = old->index;
	lock(t);
	slot = slot_of(current_slots(t), old);
	if (slot)
		atomic_store_explicit(&slot->entry, e, memory_order_release);
	unlock(t);
	return slot != NULL;
}

struct index_entry *index_find(const struct index_table *t, uint32_t index)
{
	return find_in(current_slots(t), index);
}

size_t index_count(const struct index_table *t)
{
	return atomic_load_explicit(&t->count, memory_order_relaxed);
}
