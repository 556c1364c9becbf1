/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/epoch.h"

#include "base/err.h"

static const uint64_t OFFLINE = UINT64_MAX;

void epoch_init(struct epoch *e)
{
	*e = (struct epoch){ 0 };
	atomic_init(&e->now, 1);
	atomic_init(&e->retired, NULL);
}

int epoch_register(struct epoch *e, struct epoch_reader *r)
{
	if (e->n_readers == EPOCH_READERS_MAX)
		return ERR_LIMIT;
	atomic_init(&r->quiet, OFFLINE);
	e->readers[e->n_readers++] = r;
	return 0;
}

void epoch_online(struct epoch *e, struct epoch_reader *r)
{
	uint64_t now = atomic_load_explicit(&e->now, memory_order_relaxed);

	atomic_store_explicit(&r->quiet, now, memory_order_relaxed);
	/*
	 * Orders us against epoch_reclaim(), which does the same to the clock. If it came
	 * first, we see everything unlinked before it; if we came first, it sees @quiet.
	 */
	atomic_fetch_add_explicit(&e->now, 1, memory_order_acq_rel);
}

void epoch_quiet(struct epoch *e, struct epoch_reader *r)
{
	/* Acquire: what was unlinked before the clock reached @now is gone for us too. */
	uint64_t now = atomic_load_explicit(&e->now, memory_order_acquire);

	/* Release: our reads of what is about to be freed are over. */
	atomic_store_explicit(&r->quiet, now, memory_order_release);
}

void epoch_offline(struct epoch *e, struct epoch_reader *r)
{
	(void)e;
	atomic_store_explicit(&r->quiet, OFFLINE, memory_order_release);
}

void epoch_retire(struct epoch *e, struct epoch_node *node,
		  void (*release)(struct epoch_node *))
{
	struct epoch_node *head = atomic_load_explicit(&e->retired, memory_order_relaxed);

	node->release = release;
	/* A reader that sees a greater clock has, through this, seen the unlinking as well. */
	node->epoch = atomic_fetch_add_explicit(&e->now, 1, memory_order_acq_rel);
	do {
		node->next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&e->retired, &head, node, memory_order_release, memory_order_relaxed));
}

/* Take over what others retired, turned round so that the oldest is first. */
static void collect(struct epoch *e)
{
	struct epoch_node *n =
		atomic_exchange_explicit(&e->retired, NULL, memory_order_acquire);
	struct epoch_node *first = NULL;
	struct epoch_node *last = n;

	if (!n)
		return;
	while (n) {
		struct epoch_node *older = n->next;

		n->next = first;
		first = n;
		n = older;
		e->n_waiting++;
	}
	if (e->waiting)
		e->waiting_last->next = first;
	else
		e->waiting = first;
	e->waiting_last = last;
}

/* The clock of the reader that has been busy longest. */
static uint64_t oldest_reader(struct epoch *e)
{
	uint64_t oldest = OFFLINE;

	for (size_t i = 0; i < e->n_readers; i++) {
		uint64_t q = atomic_load_explicit(&e->readers[i]->quiet, memory_order_acquire);

		if (q < oldest)
			oldest = q;
	}
	return oldest;
}

/* Release from the front up to the first that @limit does not cover. Two threads may
 * have retired in another order than their numbers: such an object waits a little longer. */
static size_t release_before(struct epoch *e, uint64_t limit)
{
	size_t released = 0;

	while (e->waiting && e->waiting->epoch < limit) {
		struct epoch_node *n = e->waiting;

		e->waiting = n->next;
		e->n_waiting--;
		released++;
		n->release(n); /* @n is gone now; it may have retired others */
	}
	return released;
}

size_t epoch_reclaim(struct epoch *e)
{
	collect(e);
	if (!e->waiting)
		return 0;
	atomic_fetch_add_explicit(&e->now, 1, memory_order_acq_rel); /* see epoch_online() */
	return release_before(e, oldest_reader(e));
}

void epoch_done(struct epoch *e)
{
	do {
		release_before(e, OFFLINE);
		collect(e);
	} while (e->waiting);
}
