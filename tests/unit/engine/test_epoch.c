/* SPDX-License-Identifier: Apache-2.0 */
/* Quiet points by hand, then real threads that would be caught by a sanitizer. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <pthread.h>
#include <sched.h>

#include "../test.h"
#include "base/err.h"
#include "engine/epoch.h"

struct thing {
	struct epoch_node node;
	uint64_t value;
};

static uint64_t released[64];
static size_t n_released;

static void note(struct epoch_node *n)
{
	released[n_released++ % 64] = ((struct thing *)n)->value;
}

static void frees_at_once_when_every_reader_sleeps(void)
{
	struct epoch e;
	struct epoch_reader r;
	struct thing t = { .value = 7 };

	epoch_init(&e);
	CHECK(epoch_register(&e, &r) == 0);
	n_released = 0;
	epoch_retire(&e, &t.node, note);
	CHECK(epoch_reclaim(&e) == 1);
	CHECK(n_released == 1 && released[0] == 7);
	CHECK(epoch_reclaim(&e) == 0);
	epoch_done(&e);
}

static void waits_for_a_reader_until_it_is_quiet(void)
{
	struct epoch e;
	struct epoch_reader r;
	struct thing t = { 0 };

	epoch_init(&e);
	epoch_register(&e, &r);
	epoch_online(&e, &r);
	epoch_retire(&e, &t.node, note);
	CHECK(epoch_reclaim(&e) == 0);
	CHECK(epoch_reclaim(&e) == 0);
	epoch_quiet(&e, &r);
	CHECK(epoch_reclaim(&e) == 1);
	epoch_offline(&e, &r);
	epoch_done(&e);
}

static void waits_for_the_slowest_of_several_readers(void)
{
	struct epoch e;
	struct epoch_reader a, b, c;
	struct thing t = { 0 };

	epoch_init(&e);
	epoch_register(&e, &a);
	epoch_register(&e, &b);
	epoch_register(&e, &c);
	epoch_online(&e, &a);
	epoch_online(&e, &b);
	epoch_retire(&e, &t.node, note);
	epoch_quiet(&e, &a);
	CHECK(epoch_reclaim(&e) == 0);
	epoch_offline(&e, &b);
	CHECK(epoch_reclaim(&e) == 1);
	epoch_done(&e);
}

static void a_reader_that_came_later_holds_nothing_back(void)
{
	struct epoch e;
	struct epoch_reader r;
	struct thing t = { 0 };

	epoch_init(&e);
	epoch_register(&e, &r);
	epoch_retire(&e, &t.node, note);
	epoch_online(&e, &r); /* it cannot have found the thing any more ... */
	epoch_quiet(&e, &r);  /* ... which its first quiet point shows */
	CHECK(epoch_reclaim(&e) == 1);
	epoch_done(&e);
}

static void a_quiet_point_frees_only_what_was_retired_before_it(void)
{
	struct epoch e;
	struct epoch_reader r;
	struct thing early = { .value = 1 }, late = { .value = 2 };

	epoch_init(&e);
	epoch_register(&e, &r);
	epoch_online(&e, &r);
	n_released = 0;
	epoch_retire(&e, &early.node, note);
	epoch_quiet(&e, &r);
	epoch_retire(&e, &late.node, note);
	CHECK(epoch_reclaim(&e) == 1);
	CHECK(released[0] == 1);
	epoch_quiet(&e, &r);
	CHECK(epoch_reclaim(&e) == 1);
	CHECK(released[1] == 2);
	epoch_done(&e);
}

static void releases_in_the_order_of_retirement(void)
{
	struct epoch e;
	struct thing t[40];

	epoch_init(&e);
	n_released = 0;
	for (uint64_t i = 0; i < 40; i++) {
		t[i].value = i;
		epoch_retire(&e, &t[i].node, note);
		if (i == 20)
			CHECK(epoch_reclaim(&e) == 21);
	}
	epoch_done(&e);
	CHECK(n_released == 40);
	for (uint64_t i = 0; i < 40; i++)
		CHECK(released[i] == i);
}

static struct epoch *chain_epoch;
static struct thing chained;

static void retire_another(struct epoch_node *n)
{
	note(n);
	epoch_retire(chain_epoch, &chained.node, note);
}

static void a_release_function_may_retire_more(void)
{
	struct epoch e;
	struct thing t = { .value = 1 };

	epoch_init(&e);
	chain_epoch = &e;
	chained.value = 2;
	n_released = 0;
	epoch_retire(&e, &t.node, retire_another);
	CHECK(epoch_reclaim(&e) == 1);
	CHECK(epoch_reclaim(&e) == 1);
	epoch_retire(&e, &t.node, retire_another);
	epoch_done(&e);
	CHECK(n_released == 4);
}

static void refuses_more_readers_than_its_bound(void)
{
	static struct epoch_reader r[EPOCH_READERS_MAX + 1];
	struct epoch e;

	epoch_init(&e);
	for (int i = 0; i < EPOCH_READERS_MAX; i++)
		CHECK(epoch_register(&e, &r[i]) == 0);
	CHECK(epoch_register(&e, &r[EPOCH_READERS_MAX]) == ERR_LIMIT);
	epoch_done(&e);
}

/*
 * Threads. Two writers replace the objects in a few shared cells; three readers follow the
 * pointers and sleep now and then; one thread reclaims. A dead object has value DEAD and
 * goes back to malloc, so ASan, TSan and the readers themselves each notice an early free.
 */
enum { CELLS = 8, READERS = 3, WRITERS = 2, DEAD = 0xdead };

static struct {
	struct epoch epoch;
	_Atomic(struct thing *) cell[CELLS];
	struct epoch_reader reader[READERS];
	_Atomic unsigned int readers_left, writers_left;
	_Atomic uint64_t made, freed, bad, reads;
	uint64_t rounds;
} churn;

static void free_thing(struct epoch_node *n)
{
	struct thing *t = (struct thing *)n;

	t->value = DEAD;
	free(t);
	atomic_fetch_add(&churn.freed, 1);
}

static void *read_cells(void *arg)
{
	struct epoch_reader *r = arg;
	uint64_t reads = 0, bad = 0;

	epoch_online(&churn.epoch, r);
	while (atomic_load_explicit(&churn.writers_left, memory_order_relaxed)) {
		for (int i = 0; i < CELLS; i++, reads++) {
			struct thing *t =
				atomic_load_explicit(&churn.cell[i], memory_order_acquire);

			bad += t->value == DEAD;
		}
		epoch_quiet(&churn.epoch, r);
		if (reads % (CELLS * 16) == 0) { /* on one core this lets the others run */
			epoch_offline(&churn.epoch, r);
			sched_yield();
			epoch_online(&churn.epoch, r);
		}
	}
	epoch_offline(&churn.epoch, r);
	atomic_fetch_add(&churn.reads, reads);
	atomic_fetch_add(&churn.bad, bad);
	atomic_fetch_sub(&churn.readers_left, 1);
	return NULL;
}

static void *replace_cells(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	for (uint64_t i = 0; i < churn.rounds; i++) {
		struct thing *t = malloc(sizeof(*t));

		t->value = 1 + i;
		seed = seed * UINT64_C(6364136223846793005) + 1;
		t = atomic_exchange_explicit(&churn.cell[(seed >> 40) % CELLS], t,
					     memory_order_acq_rel);
		atomic_fetch_add(&churn.made, 1);
		epoch_retire(&churn.epoch, &t->node, free_thing);
		if (i % 64 == 0)
			sched_yield();
	}
	atomic_fetch_sub(&churn.writers_left, 1);
	return NULL;
}

static void *reclaim(void *arg)
{
	while (atomic_load(&churn.readers_left)) {
		epoch_reclaim(&churn.epoch);
		sched_yield();
	}
	return arg;
}

static void nothing_is_freed_under_a_reader_and_everything_in_the_end(void)
{
	pthread_t threads[READERS + WRITERS + 1];
	uint64_t during;
	int n = 0;

	churn.rounds = getenv("CULVERT_SOAK") ? 5000000 : 50000;
	epoch_init(&churn.epoch);
	for (int i = 0; i < CELLS; i++) {
		struct thing *t = calloc(1, sizeof(*t));

		atomic_init(&churn.cell[i], t);
	}
	atomic_init(&churn.readers_left, READERS);
	atomic_init(&churn.writers_left, WRITERS);
	for (int i = 0; i < READERS; i++)
		CHECK(epoch_register(&churn.epoch, &churn.reader[i]) == 0);

	for (int i = 0; i < READERS; i++)
		pthread_create(&threads[n++], NULL, read_cells, &churn.reader[i]);
	for (uintptr_t i = 0; i < WRITERS; i++)
		pthread_create(&threads[n++], NULL, replace_cells, (void *)(i + 1));
	pthread_create(&threads[n++], NULL, reclaim, NULL);
	while (n > 0)
		pthread_join(threads[--n], NULL);

	during = atomic_load(&churn.freed);
	printf("# %llu replaced, %llu freed while readers ran, %llu reads\n",
	       (unsigned long long)churn.made, (unsigned long long)during,
	       (unsigned long long)churn.reads);
	CHECK(atomic_load(&churn.bad) == 0);
	CHECK(during > churn.made / 2); /* reclaiming keeps up */
	epoch_done(&churn.epoch);
	CHECK(churn.freed == churn.made);
	CHECK(churn.epoch.n_waiting == 0);
	for (int i = 0; i < CELLS; i++)
		free(churn.cell[i]);
}

int main(void)
{
	RUN(frees_at_once_when_every_reader_sleeps);
	RUN(waits_for_a_reader_until_it_is_quiet);
	RUN(waits_for_the_slowest_of_several_readers);
	RUN(a_reader_that_came_later_holds_nothing_back);
	RUN(a_quiet_point_frees_only_what_was_retired_before_it);
	RUN(releases_in_the_order_of_retirement);
	RUN(a_release_function_may_retire_more);
	RUN(refuses_more_readers_than_its_bound);
	RUN(nothing_is_freed_under_a_reader_and_everything_in_the_end);
	return DONE();
}
