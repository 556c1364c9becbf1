/* SPDX-License-Identifier: Apache-2.0 */
#include "api/postgres_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <pthread.h>

#include "sys/log.h"

struct postgres_watch {
	struct pg_status_source *source; /* of the thread, once it runs */
	bool is_running;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t end;
	bool stop;
	bool is_known;
	struct pg_status status;
};

int postgres_watch_new(const char *where, struct postgres_watch **ret, struct diag *d)
{
	struct postgres_watch *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	int err;

	if (!w || pthread_condattr_init(&attr) != 0) {
		free(w);
		return diag_set(d, -ENOMEM, 0, "out of memory");
	}
	err = pg_status_new(where, &w->source, d);
	if (err != 0) {
		pthread_condattr_destroy(&attr);
		free(w);
		return err;
	}
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->end, &attr);
	pthread_condattr_destroy(&attr);
	*ret = w;
	return 0;
}

size_t postgres_watch_files(const struct postgres_watch *w,
			    const char *paths[PG_STATUS_FILES_MAX])
{
	return pg_status_files(w->source, paths);
}

/* Return: false at the end. */
static bool wait_a_while(struct postgres_watch *w)
{
	struct timespec until;
	int err = 0;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += POSTGRES_WATCH_EVERY_S;
	pthread_mutex_lock(&w->lock);
	while (!w->stop && err == 0)
		err = pthread_cond_timedwait(&w->end, &w->lock, &until);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return !stop;
}

static void *watch(void *argument)
{
	struct postgres_watch *w = argument;
	int said = 0;

	do {
		struct pg_status status = { .is_replica = false };
		struct diag d = { .text = "" };
		int err = pg_status_read(w->source, &status, &d);

		pthread_mutex_lock(&w->lock);
		w->is_known = err == 0;
		w->status = status;
		pthread_mutex_unlock(&w->lock);
		if (err != 0 && err != said)
			log_warning("the status page: %s", d.text);
		said = err;
	} while (wait_a_while(w));
	return NULL;
}

int postgres_watch_start(struct postgres_watch *w)
{
	int err = pthread_create(&w->thread, NULL, watch, w);

	w->is_running = err == 0;
	return -err;
}

bool postgres_watch_get(struct postgres_watch *w, struct pg_status *ret)
{
	bool is_known;

	pthread_mutex_lock(&w->lock);
	is_known = w->is_known;
	*ret = w->status;
	pthread_mutex_unlock(&w->lock);
	return is_known;
}

struct postgres_watch *postgres_watch_free(struct postgres_watch *w)
{
	if (!w)
		return NULL;
	if (w->is_running) {
		pthread_mutex_lock(&w->lock);
		w->stop = true;
		pthread_cond_signal(&w->end);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
	}
	pthread_cond_destroy(&w->end);
	pthread_mutex_destroy(&w->lock);
	pg_status_free(w->source);
	free(w);
	return NULL;
}
