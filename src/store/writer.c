/* SPDX-License-Identifier: Apache-2.0 */
#include "store/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sys/log.h"

static const uint64_t SECOND_NS = 1000000000;

/* A queue linked by @next; all zeroes is empty. */
struct queue {
	struct store_change *first;
	struct store_change *last;
	unsigned int n;
};

struct writer {
	struct store *store;
	struct writer_callbacks callbacks;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;  /* for the writer's thread */
	pthread_cond_t end;   /* for the maintenance thread */
	struct queue waiting;
	struct queue finished;
	bool wake;
	bool stop;
	/* --- not guarded --- */
	int fd;
	bool is_running;
	pthread_t writer;
	pthread_t maintenance;
};

static void push(struct queue *q, struct store_change *c)
{
	c->next = NULL;
	if (q->last)
		q->last->next = c;
	else
		q->first = c;
	q->last = c;
	q->n++;
}

/* Cut the first @n off @q, and those that are joined to the last of them. */
static struct store_change *cut(struct queue *q, unsigned int n)
{
	struct store_change *first = q->first, *last = first;

	unsigned int i = 1;

	if (!first)
		return NULL;
	for (; last->next && (i < n || last->next->is_joined); i++)
		last = last->next;
	q->first = last->next;
	if (!q->first)
		q->last = NULL;
	last->next = NULL;
	q->n -= i;
	return first;
}

static void wake_main(struct writer *w)
{
	static const uint64_t one = 1;

	/* Fails only when the counter is about to overflow: then it is readable anyway. */
	if (write(w->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("waking the main thread failed: %s", err_text(-errno));
}

static void finish(struct writer *w, struct store_change *first)
{
	pthread_mutex_lock(&w->lock);
	for (struct store_change *next; first; first = next) {
		next = first->next;
		push(&w->finished, first);
	}
	pthread_mutex_unlock(&w->lock);
	wake_main(w);
}

static struct timespec deadline_in(uint64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	ns += (uint64_t)t.tv_nsec;
	t.tv_sec += (time_t)(ns / SECOND_NS);
	t.tv_nsec = (long)(ns % SECOND_NS);
	return t;
}

/* Wait until there is a group, a wake, the end, or @ns passed; may return early. */
static struct store_change *next_group(struct writer *w, uint64_t ns, bool *ret_stop)
{
	struct timespec deadline = deadline_in(ns);
	struct store_change *first;
	int err = 0;

	pthread_mutex_lock(&w->lock);
	while (!w->waiting.first && !w->wake && !w->stop && err == 0)
		err = pthread_cond_timedwait(&w->work, &w->lock, &deadline);
	first = cut(&w->waiting, WRITER_GROUP_MAX);
	w->wake = false;
	*ret_stop = w->stop && !first;
	pthread_mutex_unlock(&w->lock);
	return first;
}

static void *write_groups(void *argument)
{
	struct writer *w = argument;
	bool stop = false;

	while (!stop) {
		uint64_t idle_ns = w->callbacks.idle(w->callbacks.context);
		struct store_change *first = next_group(w, idle_ns, &stop);

		if (!first)
			continue;
		store_apply(w->store, first);
		w->callbacks.committed(w->callbacks.context, first);
		finish(w, first);
	}
	return NULL;
}

static void *maintain(void *argument)
{
	struct writer *w = argument;
	bool stop = false;
	int said = 0;

	while (!stop) {
		struct timespec deadline = deadline_in(SECOND_NS);
		int err = 0;

		pthread_mutex_lock(&w->lock);
		while (!w->stop && err == 0)
			err = pthread_cond_timedwait(&w->end, &w->lock, &deadline);
		stop = w->stop;
		pthread_mutex_unlock(&w->lock);
		err = store_maintain(w->store);
		if (err == -ESTALE && said != err && w->callbacks.outdated) {
			w->callbacks.outdated(w->callbacks.context);
			wake_main(w);
		}
		if (err != 0 && err != -ESTALE && err != said)
			log_error("the store's log cannot be moved into its file: %s",
				  err_text(err));
		said = err;
	}
	return NULL;
}

/* Condition variables that count on the monotonic clock. */
static int init_conditions(struct writer *w)
{
	pthread_condattr_t attr;
	int err = pthread_condattr_init(&attr);

	if (err != 0)
		return -err;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, &attr);
	pthread_cond_init(&w->end, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

static int start_threads(struct writer *w)
{
	int err = pthread_create(&w->writer, NULL, write_groups, w);

	if (err != 0)
		return -err;
	err = pthread_create(&w->maintenance, NULL, maintain, w);
	if (err != 0) {
		pthread_mutex_lock(&w->lock);
		w->stop = true;
		pthread_cond_signal(&w->work);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->writer, NULL);
		return -err;
	}
	w->is_running = true;
	return 0;
}

int writer_new(struct store *store, const struct writer_callbacks *callbacks,
	       struct writer **ret)
{
	struct writer *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->store = store;
	w->callbacks = *callbacks;
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0) {
		err = -errno;
		free(w);
		return err;
	}
	err = init_conditions(w);
	if (err == 0)
		err = start_threads(w);
	if (err != 0) {
		close(w->fd);
		free(w);
		return err;
	}
	*ret = w;
	return 0;
}

int writer_submit_run(struct writer *w, struct store_change *first)
{
	unsigned int n = 0;
	int err = 0;

	for (const struct store_change *c = first; c; c = c->next)
		n++;
	pthread_mutex_lock(&w->lock);
	if (w->waiting.n + n > WRITER_QUEUE_MAX || w->stop)
		err = ERR_LIMIT;
	for (struct store_change *next, *c = first; c && err == 0; c = next) {
		next = c->next;
		push(&w->waiting, c);
	}
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	return err;
}

int writer_submit(struct writer *w, struct store_change *c)
{
	c->next = NULL;
	return writer_submit_run(w, c);
}

void writer_wake(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->wake = true;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
}

int writer_fd(const struct writer *w)
{
	return w->fd;
}

struct store_change *writer_collect(struct writer *w)
{
	struct store_change *first;
	uint64_t count;

	if (read(w->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("reading the writer's event failed: %s", err_text(-errno));
	pthread_mutex_lock(&w->lock);
	first = w->finished.first;
	w->finished = (struct queue){ .first = NULL };
	pthread_mutex_unlock(&w->lock);
	return first;
}

void writer_stop(struct writer *w)
{
	if (!w->is_running)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->work);
	pthread_cond_signal(&w->end);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->writer, NULL);
	pthread_join(w->maintenance, NULL);
	w->is_running = false;
}

struct writer *writer_free(struct writer *w)
{
	if (!w)
		return NULL;
	writer_stop(w);
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->end);
	pthread_mutex_destroy(&w->lock);
	close(w->fd);
	free(w);
	return NULL;
}
