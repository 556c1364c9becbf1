/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/background.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "sys/log.h"

struct background {
	pthread_t thread;
	int fd;
	unsigned int n_waiting; /* of the calling thread */
	pthread_mutex_t lock;	/* guards what follows */
	pthread_cond_t work;
	struct background_job *waiting; /* the oldest first */
	struct background_job *finished;
	bool stop;
};

static void append(struct background_job **list, struct background_job *job)
{
	job->next = NULL;
	while (*list)
		list = &(*list)->next;
	*list = job;
}

/* Return: the oldest job, taken off the list; NULL at the end. */
static struct background_job *next_job(struct background *b)
{
	struct background_job *job = NULL;

	pthread_mutex_lock(&b->lock);
	while (!b->waiting && !b->stop)
		pthread_cond_wait(&b->work, &b->lock);
	if (!b->stop) {
		job = b->waiting;
		b->waiting = job->next;
	}
	pthread_mutex_unlock(&b->lock);
	return job;
}

static void *work(void *argument)
{
	static const uint64_t one = 1;
	struct background *b = argument;
	struct background_job *job;

	while ((job = next_job(b)) != NULL) {
		job->run(job);
		pthread_mutex_lock(&b->lock);
		append(&b->finished, job);
		pthread_mutex_unlock(&b->lock);
		if (write(b->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
			log_error("waking the main thread failed: %s", err_text(-errno));
	}
	return NULL;
}

int background_new(struct background **ret)
{
	struct background *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->fd < 0) {
		err = -errno;
		free(b);
		return err;
	}
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->work, NULL);
	err = -pthread_create(&b->thread, NULL, work, b);
	if (err != 0) {
		close(b->fd);
		free(b);
		return err;
	}
	*ret = b;
	return 0;
}

struct background *background_free(struct background *b)
{
	if (!b)
		return NULL;
	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_signal(&b->work);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	pthread_cond_destroy(&b->work);
	pthread_mutex_destroy(&b->lock);
	close(b->fd);
	free(b);
	return NULL;
}

int background_submit(struct background *b, struct background_job *job)
{
	if (b->n_waiting >= BACKGROUND_JOBS_MAX)
		return ERR_LIMIT;
	b->n_waiting++;
	pthread_mutex_lock(&b->lock);
	append(&b->waiting, job);
	pthread_cond_signal(&b->work);
	pthread_mutex_unlock(&b->lock);
	return 0;
}

int background_fd(const struct background *b)
{
	return b->fd;
}

void background_collect(struct background *b)
{
	struct background_job *finished;
	uint64_t count;

	if (read(b->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("reading the background's event failed: %s", err_text(-errno));
	pthread_mutex_lock(&b->lock);
	finished = b->finished;
	b->finished = NULL;
	pthread_mutex_unlock(&b->lock);
	for (struct background_job *next; finished; finished = next) {
		next = finished->next;
		b->n_waiting--;
		finished->done(finished);
	}
}
