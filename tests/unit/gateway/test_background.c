/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "../test.h"
#include "base/err.h"
#include "gateway/background.h"

struct job {
	struct background_job job;
	pthread_t ran_in;
	int done_as; /* in which place, from 1 */
};

static struct background *b;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static int n_done;
static int n_ran; /* guarded by the gate */

static void run(struct background_job *j)
{
	pthread_mutex_lock(&gate);
	((struct job *)j)->ran_in = pthread_self();
	n_ran++;
	pthread_mutex_unlock(&gate);
}

static void done(struct background_job *j)
{
	((struct job *)j)->done_as = ++n_done;
}

static void start(struct job *jobs, int n)
{
	n_done = n_ran = 0;
	if (background_new(&b) != 0)
		abort();
	for (int i = 0; i < n; i++)
		jobs[i] = (struct job){ .job = { .run = run, .done = done } };
}

static void wait_for(int n)
{
	struct pollfd p = { .fd = background_fd(b), .events = POLLIN };

	while (n_done < n) {
		if (poll(&p, 1, 5000) != 1) {
			FAIL("a finished job");
			return;
		}
		background_collect(b);
	}
}

static void jobs_run_elsewhere_and_are_done_here_in_order(void)
{
	struct job jobs[10];

	start(jobs, 10);
	for (int i = 0; i < 10; i++)
		CHECK(background_submit(b, &jobs[i].job) == 0);
	wait_for(10);
	for (int i = 0; i < 10; i++) {
		CHECK(jobs[i].done_as == i + 1);
		CHECK(!pthread_equal(jobs[i].ran_in, pthread_self()));
	}
	background_free(b);
}

static void the_number_that_waits_has_a_bound(void)
{
	static struct job jobs[BACKGROUND_JOBS_MAX + 1];

	start(jobs, BACKGROUND_JOBS_MAX + 1);
	pthread_mutex_lock(&gate);
	for (int i = 0; i < BACKGROUND_JOBS_MAX; i++)
		CHECK(background_submit(b, &jobs[i].job) == 0);
	CHECK(background_submit(b, &jobs[BACKGROUND_JOBS_MAX].job) == ERR_LIMIT);
	pthread_mutex_unlock(&gate);
	wait_for(BACKGROUND_JOBS_MAX);
	CHECK(background_submit(b, &jobs[BACKGROUND_JOBS_MAX].job) == 0);
	wait_for(BACKGROUND_JOBS_MAX + 1);
	background_free(b);
}

static void run_slowly(struct background_job *j)
{
	run(j);
	usleep(20000);
}

/* All of them would take longer than it takes to call for the end. */
static void the_end_does_not_wait_for_the_queue(void)
{
	static struct job jobs[BACKGROUND_JOBS_MAX];

	start(jobs, BACKGROUND_JOBS_MAX);
	for (int i = 0; i < BACKGROUND_JOBS_MAX; i++) {
		jobs[i].job.run = run_slowly;
		CHECK(background_submit(b, &jobs[i].job) == 0);
	}
	background_free(b);
	printf("# %d of %d jobs ran\n", n_ran, (int)BACKGROUND_JOBS_MAX);
	CHECK(n_ran < BACKGROUND_JOBS_MAX);
	CHECK(!background_free(NULL));
}

int main(void)
{
	RUN(jobs_run_elsewhere_and_are_done_here_in_order);
	RUN(the_number_that_waits_has_a_bound);
	RUN(the_end_does_not_wait_for_the_queue);
	return DONE();
}
