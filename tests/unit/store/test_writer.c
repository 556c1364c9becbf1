/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../test.h"
#include "store/writer.h"

/* A store that remembers how it was called; a gate holds it inside a commit. */
struct fake {
	struct store store;
	pthread_mutex_t gate;
	_Atomic int groups;
	_Atomic int largest;
	_Atomic int maintained;
	_Atomic int committed;
	_Atomic int idle;
	_Atomic uint64_t idle_ns;
	_Atomic int outdated;
	_Atomic int maintain_result;
	int fail;
};

static int fake_apply(struct store *s, struct store_change *first)
{
	struct fake *f = (struct fake *)s;
	int n = 0;

	atomic_fetch_add(&f->groups, 1);
	pthread_mutex_lock(&f->gate);
	for (struct store_change *c = first; c; c = c->next, n++)
		c->result = f->fail;
	pthread_mutex_unlock(&f->gate);
	if (n > atomic_load(&f->largest))
		atomic_store(&f->largest, n);
	return f->fail;
}

static int fake_maintain(struct store *s)
{
	atomic_fetch_add(&((struct fake *)s)->maintained, 1);
	return atomic_load(&((struct fake *)s)->maintain_result);
}

static const struct store_ops fake_ops = { .apply = fake_apply, .maintain = fake_maintain };

static void committed(void *context, struct store_change *first)
{
	struct fake *f = context;

	for (; first; first = first->next)
		atomic_fetch_add(&f->committed, 1);
}

static uint64_t idle(void *context)
{
	struct fake *f = context;

	atomic_fetch_add(&f->idle, 1);
	return atomic_load(&f->idle_ns);
}

static void outdated(void *context)
{
	atomic_fetch_add(&((struct fake *)context)->outdated, 1);
}

static void start(struct fake *f, struct writer **ret)
{
	*f = (struct fake){ .store = { &fake_ops }, .idle_ns = 1000000000 };
	pthread_mutex_init(&f->gate, NULL);

	struct writer_callbacks callbacks = {
		.committed = committed, .idle = idle, .outdated = outdated, .context = f
	};

	if (writer_new(&f->store, &callbacks, ret) != 0)
		abort();
}

/* Collect until @n changes came back; in the order they were queued. */
static void collect(struct writer *w, struct store_change *changes, int n)
{
	for (int got = 0; got < n;) {
		struct pollfd p = { .fd = writer_fd(w), .events = POLLIN };

		if (poll(&p, 1, 5000) != 1) {
			FAIL("the writer's event");
			return;
		}
		for (struct store_change *c = writer_collect(w); c; c = c->next)
			CHECK(c == &changes[got++]);
	}
}

static void what_waits_during_a_commit_becomes_one_group(void)
{
	static struct store_change changes[401];
	struct writer *w = NULL;
	struct fake f;

	start(&f, &w);
	pthread_mutex_lock(&f.gate);
	CHECK(writer_submit(w, &changes[0]) == 0);
	while (atomic_load(&f.groups) == 0)
		;
	for (int i = 1; i < 401; i++)
		CHECK(writer_submit(w, &changes[i]) == 0);
	pthread_mutex_unlock(&f.gate);
	collect(w, changes, 401);
	CHECK(atomic_load(&f.groups) == 2);
	CHECK(atomic_load(&f.largest) == 400);
	CHECK(atomic_load(&f.committed) == 401);
	writer_free(w);
}

static void a_group_has_a_bound(void)
{
	static struct store_change changes[WRITER_GROUP_MAX * 2 + 2];
	struct writer *w = NULL;
	struct fake f;

	start(&f, &w);
	pthread_mutex_lock(&f.gate);
	CHECK(writer_submit(w, &changes[0]) == 0);
	while (atomic_load(&f.groups) == 0)
		;
	for (int i = 1; i < WRITER_GROUP_MAX * 2 + 2; i++)
		CHECK(writer_submit(w, &changes[i]) == 0);
	pthread_mutex_unlock(&f.gate);
	collect(w, changes, WRITER_GROUP_MAX * 2 + 2);
	CHECK(atomic_load(&f.largest) == WRITER_GROUP_MAX);
	CHECK(atomic_load(&f.groups) == 4);
	writer_free(w);
}

static void a_run_of_joined_changes_is_not_cut(void)
{
	static struct store_change changes[WRITER_GROUP_MAX + 50];
	enum { N = WRITER_GROUP_MAX + 50, FIRST_JOINED = WRITER_GROUP_MAX - 10 };
	struct writer *w = NULL;
	struct fake f;

	start(&f, &w);
	pthread_mutex_lock(&f.gate);
	CHECK(writer_submit(w, &changes[0]) == 0);
	while (atomic_load(&f.groups) == 0)
		;
	for (int i = 1; i < N; i++) {
		changes[i].is_joined = i > FIRST_JOINED;
		changes[i].next = i + 1 < N ? &changes[i + 1] : NULL;
	}
	CHECK(writer_submit_run(w, &changes[1]) == 0);
	pthread_mutex_unlock(&f.gate);
	collect(w, changes, N);
	CHECK(atomic_load(&f.groups) == 2 && atomic_load(&f.largest) == N - 1);
	writer_free(w);
}

static void a_full_queue_refuses(void)
{
	static struct store_change changes[WRITER_QUEUE_MAX + 2];
	struct writer *w = NULL;
	struct fake f;

	start(&f, &w);
	pthread_mutex_lock(&f.gate);
	CHECK(writer_submit(w, &changes[0]) == 0);
	while (atomic_load(&f.groups) == 0)
		;
	for (int i = 1; i <= WRITER_QUEUE_MAX; i++)
		CHECK(writer_submit(w, &changes[i]) == 0);
	CHECK(writer_submit(w, &changes[WRITER_QUEUE_MAX + 1]) == ERR_LIMIT);
	pthread_mutex_unlock(&f.gate);
	collect(w, changes, WRITER_QUEUE_MAX + 1);
	writer_free(w);
}

static void stopping_commits_what_is_queued(void)
{
	static struct store_change changes[WRITER_GROUP_MAX * 3], late;
	struct writer *w = NULL;
	struct fake f;
	int n = 0;

	start(&f, &w);
	pthread_mutex_lock(&f.gate);
	for (int i = 0; i < WRITER_GROUP_MAX * 3; i++)
		CHECK(writer_submit(w, &changes[i]) == 0);
	pthread_mutex_unlock(&f.gate);
	writer_stop(w);
	CHECK(writer_submit(w, &late) == ERR_LIMIT);
	for (struct store_change *c = writer_collect(w); c; c = c->next)
		n++;
	CHECK(n == WRITER_GROUP_MAX * 3);
	CHECK(atomic_load(&f.maintained) >= 1);
	writer_free(w);
}

static void failures_come_back_in_every_change(void)
{
	static struct store_change changes[2];
	struct writer *w = NULL;
	struct fake f;

	start(&f, &w);
	f.fail = -ENOSPC;
	CHECK(writer_submit(w, &changes[0]) == 0 && writer_submit(w, &changes[1]) == 0);
	collect(w, changes, 2);
	CHECK(changes[0].result == -ENOSPC && changes[1].result == -ENOSPC);
	writer_free(w);
}

static void idle_is_called_when_its_time_has_come_or_on_wake(void)
{
	struct writer *w = NULL;
	struct fake f;

	start(&f, &w);
	while (atomic_load(&f.idle) == 0)
		;
	writer_wake(w);
	for (int i = 0; i < 500 && atomic_load(&f.idle) < 2; i++)
		poll(NULL, 0, 1);
	CHECK(atomic_load(&f.idle) == 2); /* its own second is far from over */
	atomic_store(&f.idle_ns, 1000000);
	writer_wake(w);
	for (int i = 0; i < 2000 && atomic_load(&f.idle) < 10; i++)
		poll(NULL, 0, 1);
	CHECK(atomic_load(&f.idle) >= 10);
	writer_free(w);
}

static void a_store_that_wants_a_new_process_says_so_once(void)
{
	struct pollfd p = { .events = POLLIN };
	struct writer *w;
	struct fake f;

	start(&f, &w);
	atomic_store(&f.maintain_result, -ESTALE);
	p.fd = writer_fd(w);
	CHECK(poll(&p, 1, 5000) == 1 && !writer_collect(w));
	CHECK(atomic_load(&f.outdated) == 1);
	while (atomic_load(&f.maintained) < 2)
		poll(NULL, 0, 50);
	writer_stop(w);
	CHECK(atomic_load(&f.outdated) == 1);
	writer_free(w);
}

int main(void)
{
	RUN(what_waits_during_a_commit_becomes_one_group);
	RUN(a_group_has_a_bound);
	RUN(a_run_of_joined_changes_is_not_cut);
	RUN(a_full_queue_refuses);
	RUN(stopping_commits_what_is_queued);
	RUN(failures_come_back_in_every_change);
	RUN(idle_is_called_when_its_time_has_come_or_on_wake);
	RUN(a_store_that_wants_a_new_process_says_so_once);
	return DONE();
}
