/* SPDX-License-Identifier: Apache-2.0 */
/* The table against an array indexed by number, then with readers beside writers. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <pthread.h>
#include <sched.h>

#include "../test.h"
#include "base/err.h"
#include "engine/index.h"

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void finds_what_was_entered_and_nothing_else(void)
{
	struct epoch e;
	struct index_table *t;
	struct index_entry zero = { 0 }, most = { UINT32_MAX };

	epoch_init(&e);
	CHECK(index_table_new(&e, &t) == 0);
	CHECK(!index_find(t, 0));
	CHECK(index_insert(t, &zero) == 0);
	CHECK(index_insert(t, &most) == 0);
	CHECK(index_find(t, 0) == &zero);
	CHECK(index_find(t, UINT32_MAX) == &most);
	CHECK(!index_find(t, 1));
	CHECK(index_count(t) == 2);
	index_table_free(t);
	epoch_done(&e);
}

static void refuses_a_number_that_is_taken(void)
{
	struct epoch e;
	struct index_table *t;
	struct index_entry a = { 5 }, b = { 5 };

	epoch_init(&e);
	index_table_new(&e, &t);
	CHECK(index_insert(t, &a) == 0);
	CHECK(index_insert(t, &b) == ERR_EXISTS);
	CHECK(index_insert(t, &a) == ERR_EXISTS);
	index_remove(t, &b); /* has the number, is not the entry */
	CHECK(index_find(t, 5) == &a);
	CHECK(index_count(t) == 1);
	index_table_free(t);
	epoch_done(&e);
}

static void replaces_an_entry_under_its_number(void)
{
	struct epoch e;
	struct index_table *t;
	struct index_entry a = { 5 }, b = { 0 }, c = { 0 };

	epoch_init(&e);
	index_table_new(&e, &t);
	index_insert(t, &a);
	CHECK(index_replace(t, &a, &b));
	CHECK(b.index == 5);
	CHECK(index_find(t, 5) == &b);
	CHECK(!index_replace(t, &a, &c)); /* it is not there any more */
	CHECK(index_find(t, 5) == &b);
	CHECK(index_count(t) == 1);
	index_table_free(t);
	epoch_done(&e);
}

/* The model: an array with one cell for each of a few numbers. */
enum { NUMBERS = 1 << 13 };

static struct {
	struct index_entry entry[2][NUMBERS]; /* two candidates for each number */
	struct index_entry *at[NUMBERS];
	size_t count;
} model;

/* Spread over 32 bits, or in a row: neither may matter. */
static uint32_t number(uint32_t i, bool in_a_row)
{
	return in_a_row ? i : i * UINT32_C(2654435761) ^ (i << 20);
}

static void step(struct index_table *t, uint64_t *seed, uint32_t i, bool in_a_row)
{
	struct index_entry *e = &model.entry[next_random(seed) % 2][i];
	bool free_now = model.at[i] == NULL;

	switch (next_random(seed) % 4) {
	case 0:
	case 1:
		e->index = number(i, in_a_row);
		CHECK(index_insert(t, e) == (free_now ? 0 : ERR_EXISTS));
		if (free_now) {
			model.at[i] = e;
			model.count++;
		}
		break;
	case 2:
		index_remove(t, e);
		if (!free_now && model.at[i] == e) {
			model.at[i] = NULL;
			model.count--;
		}
		break;
	case 3:
		if (free_now || model.at[i] == e)
			break;
		CHECK(index_replace(t, model.at[i], e));
		model.at[i] = e;
		break;
	}
}

/* @numbers swells and shrinks, so that the table grows, fills with tombs, and is rebuilt. */
static void compare_with_model(bool in_a_row)
{
	struct epoch e;
	struct index_table *t;
	uint64_t seed = 1;
	uint32_t width = 16;
	long rounds = getenv("CULVERT_SOAK") ? 100000000 : 1000000;

	model.count = 0;
	for (uint32_t i = 0; i < NUMBERS; i++) {
		model.at[i] = NULL;
		model.entry[0][i].index = number(i, in_a_row);
		model.entry[1][i].index = number(i, in_a_row);
	}
	epoch_init(&e);
	index_table_new(&e, &t);
	for (long n = 0; n < rounds; n++) {
		uint32_t look = (uint32_t)next_random(&seed) % NUMBERS;

		if (n % 65536 == 0)
			width = 16u << (next_random(&seed) % 10);
		step(t, &seed, (uint32_t)next_random(&seed) % width, in_a_row);
		CHECK(index_find(t, number(look, in_a_row)) == model.at[look]);
		CHECK(index_count(t) == model.count);
		if (n % 1024 == 0)
			epoch_reclaim(&e);
	}
	for (uint32_t i = 0; i < NUMBERS; i++)
		CHECK(index_find(t, number(i, in_a_row)) == model.at[i]);
	index_table_free(t);
	epoch_done(&e);
}

static void agrees_with_an_array_for_scattered_numbers(void)
{
	compare_with_model(false);
}

static void agrees_with_an_array_for_numbers_in_a_row(void)
{
	compare_with_model(true);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void holds_many_sessions_and_finds_each(void)
{
	size_t n = 200000;
	struct index_entry *entries = calloc(n, sizeof(*entries));
	struct epoch e;
	struct index_table *t;
	uint64_t seed = 9;
	double t0, t1;
	size_t wrong = 0;

	epoch_init(&e);
	index_table_new(&e, &t);
	t0 = seconds();
	for (size_t i = 0; i < n; i++) {
		do
			entries[i].index = (uint32_t)(next_random(&seed) << 1);
		while (index_insert(t, &entries[i]) == ERR_EXISTS);
	}
	t1 = seconds();
	for (size_t i = 0; i < n; i++) {
		size_t k = next_random(&seed) % n;

		wrong += index_find(t, entries[k].index) != &entries[k];
	}
	printf("# %zu sessions: insert %.0f ns, find %.0f ns each\n", n,
	       (t1 - t0) * 1e9 / (double)n, (seconds() - t1) * 1e9 / (double)n);
	CHECK(wrong == 0);
	CHECK(index_count(t) == n);
	for (size_t i = 0; i < n; i++)
		index_remove(t, &entries[i]);
	CHECK(index_count(t) == 0);
	CHECK(!index_find(t, entries[0].index));
	index_table_free(t);
	epoch_done(&e);
	free(entries);
}

/*
 * Threads. Some sessions stay and must be found at every moment, whatever two writers enter
 * and remove around them; a session that goes is given back to malloc through the epoch.
 */
enum { STAYING = 64, READERS = 2, WRITERS = 2, GOING = 3000 };

struct session {
	struct index_entry entry;
	struct epoch_node node;
};

static struct {
	struct epoch epoch;
	struct index_table *table;
	struct index_entry staying[STAYING];
	struct epoch_reader reader[READERS];
	_Atomic unsigned int writers_left;
	_Atomic uint64_t missed, wrong, hits;
	uint32_t rounds;
} churn;

static void free_session(struct epoch_node *n)
{
	struct session *s = (struct session *)((char *)n - offsetof(struct session, node));

	s->entry.index = 0;
	free(s);
}

static void *look_up(void *arg)
{
	struct epoch_reader *r = arg;
	uint64_t seed = 77, missed = 0, wrong = 0;

	epoch_online(&churn.epoch, r);
	while (atomic_load_explicit(&churn.writers_left, memory_order_relaxed)) {
		uint64_t hits = 0;

		for (uint32_t i = 0; i < STAYING; i++) {
			uint32_t going = (uint32_t)(next_random(&seed) % (GOING * WRITERS));
			struct index_entry *e = index_find(churn.table, going * 64 + 1);

			missed += index_find(churn.table, i * 4096) != &churn.staying[i];
			wrong += e && e->index != going * 64 + 1;
			hits += e != NULL;
		}
		atomic_fetch_add(&churn.hits, hits);
		epoch_quiet(&churn.epoch, r);
	}
	epoch_offline(&churn.epoch, r);
	atomic_fetch_add(&churn.missed, missed);
	atomic_fetch_add(&churn.wrong, wrong);
	return NULL;
}

static void *come_and_go(void *arg)
{
	uint32_t base = *(uint32_t *)arg * GOING;
	struct session **mine = calloc(GOING, sizeof(struct session *));

	/* On a busy machine the readers may come late. */
	for (uint32_t n = 0; n < churn.rounds || !atomic_load(&churn.hits); n++) {
		for (uint32_t i = 0; i < GOING; i++) {
			mine[i] = calloc(1, sizeof(*mine[i]));
			mine[i]->entry.index = (base + i) * 64 + 1;
			if (index_insert(churn.table, &mine[i]->entry) != 0)
				atomic_fetch_add(&churn.wrong, 1);
		}
		for (uint32_t i = 0; i < GOING; i++) {
			index_remove(churn.table, &mine[i]->entry);
			epoch_retire(&churn.epoch, &mine[i]->node, free_session);
		}
		sched_yield();
	}
	atomic_fetch_sub(&churn.writers_left, 1);
	free(mine);
	return NULL;
}

static void readers_find_what_stays_while_writers_change_the_rest(void)
{
	pthread_t threads[READERS + WRITERS];
	uint32_t which[WRITERS];
	int n = 0;

	churn.rounds = getenv("CULVERT_SOAK") ? 2000 : 20;
	epoch_init(&churn.epoch);
	index_table_new(&churn.epoch, &churn.table);
	for (uint32_t i = 0; i < STAYING; i++) {
		churn.staying[i].index = i * 4096;
		CHECK(index_insert(churn.table, &churn.staying[i]) == 0);
	}
	atomic_init(&churn.writers_left, WRITERS);
	for (int i = 0; i < READERS; i++)
		epoch_register(&churn.epoch, &churn.reader[i]);
	for (int i = 0; i < READERS; i++)
		pthread_create(&threads[n++], NULL, look_up, &churn.reader[i]);
	for (uint32_t i = 0; i < WRITERS; i++) {
		which[i] = i;
		pthread_create(&threads[n++], NULL, come_and_go, &which[i]);
	}
	while (atomic_load(&churn.writers_left)) {
		epoch_reclaim(&churn.epoch);
		sched_yield();
	}
	while (n > 0)
		pthread_join(threads[--n], NULL);
	CHECK(churn.missed == 0);
	CHECK(churn.wrong == 0);
	CHECK(index_count(churn.table) == STAYING);
	index_table_free(churn.table);
	epoch_done(&churn.epoch);
}

int main(void)
{
	RUN(finds_what_was_entered_and_nothing_else);
	RUN(refuses_a_number_that_is_taken);
	RUN(replaces_an_entry_under_its_number);
	RUN(agrees_with_an_array_for_scattered_numbers);
	RUN(agrees_with_an_array_for_numbers_in_a_row);
	RUN(holds_many_sessions_and_finds_each);
	RUN(readers_find_what_stays_while_writers_change_the_rest);
	return DONE();
}
