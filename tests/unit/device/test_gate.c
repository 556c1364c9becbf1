/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that work on something only while the gate is open. Runs under TSan as well. */
#include <stdint.h>
#include <time.h>

#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../test.h"
#include "device/gate.h"

enum { THREADS = 4, ROUNDS = 100 };

static struct gate gate;
static int wake_fds[THREADS];
static _Atomic bool is_over;
static _Atomic unsigned int inside; /* threads between two passes */

/* Deliberately not atomic: written by the closer while all others must wait, read by them. */
static uint64_t guarded;

struct worker {
	pthread_t thread;
	int wake;
	bool sleeps; /* blocked in a descriptor between passes, as those of a device are */
	uint64_t passes;
	uint64_t seen;
};

static void *work(void *context)
{
	struct worker *w = context;

	while (!atomic_load(&is_over)) {
		eventfd_t value;

		if (w->sleeps)
			eventfd_read(w->wake, &value);
		else
			sched_yield();
		gate_pass(&gate);
		atomic_fetch_add(&inside, 1);
		w->seen = guarded;
		w->passes++;
		atomic_fetch_sub(&inside, 1);
	}
	gate_leave(&gate);
	return NULL;
}

static void wake_all(void *context)
{
	(void)context;
	for (int i = 0; i < THREADS; i++)
		eventfd_write(wake_fds[i], 1);
}

static void start(struct worker *w)
{
	CHECK(gate_init(&gate) == 0);
	atomic_store(&is_over, false);
	guarded = 0;
	for (int i = 0; i < THREADS; i++) {
		wake_fds[i] = eventfd(0, EFD_CLOEXEC);
		w[i] = (struct worker){ .wake = wake_fds[i], .sleeps = i % 2 == 1 };
		gate_join(&gate);
		CHECK(pthread_create(&w[i].thread, NULL, work, &w[i]) == 0);
	}
}

static void stop(struct worker *w)
{
	atomic_store(&is_over, true);
	wake_all(NULL);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		close(wake_fds[i]);
	}
}

static void while_it_is_closed_nobody_passes(void)
{
	struct worker w[THREADS];

	start(w);
	for (int round = 0; round < ROUNDS; round++) {
		gate_close(&gate, wake_all, NULL);
		CHECK(atomic_load(&inside) == 0);
		guarded++; /* TSan reports a reader that did not wait */
		CHECK(atomic_load(&inside) == 0);
		gate_open(&gate);
		wake_all(NULL);
	}
	stop(w);
	for (int i = 0; i < THREADS; i++)
		CHECK(w[i].passes > 0 && w[i].seen <= ROUNDS);
	CHECK(guarded == ROUNDS);
	gate_done(&gate);
}

static uint64_t passes_of(const struct worker *w)
{
	uint64_t sum = 0;

	for (int i = 0; i < THREADS; i++)
		sum += w[i].passes; /* only while it is closed: nobody writes then */
	return sum;
}

static void closed_means_closed_until_it_is_opened(void)
{
	struct timespec moment = { .tv_nsec = 20000000 };
	struct worker w[THREADS];
	uint64_t before;

	start(w);
	gate_close(&gate, wake_all, NULL);
	before = passes_of(w);
	nanosleep(&moment, NULL);
	CHECK(passes_of(w) == before);
	gate_open(&gate);
	nanosleep(&moment, NULL);
	gate_close(&gate, wake_all, NULL);
	CHECK(passes_of(w) > before);
	gate_open(&gate);
	stop(w);
	gate_done(&gate);
}

/* Two closings in a row: those still on their way out of the first do not count for the second. */
static void closing_right_after_opening_waits_for_everybody_again(void)
{
	struct worker w[THREADS];

	start(w);
	for (int round = 0; round < ROUNDS; round++) {
		gate_close(&gate, wake_all, NULL);
		gate_open(&gate);
		gate_close(&gate, wake_all, NULL);
		CHECK(atomic_load(&inside) == 0);
		guarded++;
		gate_open(&gate);
	}
	stop(w);
	gate_done(&gate);
}

static void with_nobody_behind_it_nothing_waits(void)
{
	CHECK(gate_init(&gate) == 0);
	for (int i = 0; i < THREADS; i++)
		wake_fds[i] = -1;
	gate_close(&gate, wake_all, NULL);
	gate_open(&gate);
	gate_pass(&gate);
	gate_done(&gate);
}

static _Atomic int arrived;

static void *come_at(void *context)
{
	struct timespec pause = { .tv_nsec = *(int *)context };

	nanosleep(&pause, NULL);
	atomic_fetch_add(&arrived, 1);
	gate_wait(&gate);
	gate_leave(&gate);
	return NULL;
}

static void closing_waits_for_the_slowest(void)
{
	static int pauses[THREADS] = { 0, 0, 1000000, 50000000 };
	pthread_t threads[THREADS];

	CHECK(gate_init(&gate) == 0);
	atomic_store(&gate.is_closed, true); /* they wait from the first pass */
	atomic_store(&arrived, 0);
	for (int i = 0; i < THREADS; i++) {
		gate_join(&gate);
		CHECK(pthread_create(&threads[i], NULL, come_at, &pauses[i]) == 0);
	}
	gate_close(&gate, wake_all, NULL);
	CHECK(atomic_load(&arrived) == THREADS);
	gate_open(&gate);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	gate_done(&gate);
}

static void *leave_late(void *context)
{
	struct timespec moment = { .tv_nsec = 20000000 };

	(void)context;
	nanosleep(&moment, NULL);
	gate_leave(&gate);
	return NULL;
}

/* A thread that ends is not waited for. */
static void who_leaves_while_it_closes_is_not_waited_for(void)
{
	pthread_t thread;

	CHECK(gate_init(&gate) == 0);
	gate_join(&gate);
	CHECK(pthread_create(&thread, NULL, leave_late, NULL) == 0);
	gate_close(&gate, wake_all, NULL);
	gate_open(&gate);
	pthread_join(thread, NULL);
	gate_done(&gate);
}

int main(void)
{
	RUN(with_nobody_behind_it_nothing_waits);
	RUN(while_it_is_closed_nobody_passes);
	RUN(closed_means_closed_until_it_is_opened);
	RUN(closing_right_after_opening_waits_for_everybody_again);
	RUN(closing_waits_for_the_slowest);
	RUN(who_leaves_while_it_closes_is_not_waited_for);
	return DONE();
}
