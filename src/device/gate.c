/* SPDX-License-Identifier: Apache-2.0 */
#include "device/gate.h"

int gate_init(struct gate *g)
{
	int err = pthread_mutex_init(&g->mutex, NULL);

	if (err)
		return -err;
	err = pthread_cond_init(&g->changed, NULL);
	if (err)
		pthread_mutex_destroy(&g->mutex);
	atomic_store(&g->is_closed, false);
	g->threads = 0;
	g->waiting = 0;
	return -err;
}

void gate_done(struct gate *g)
{
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->mutex);
}

static void change(struct gate *g, int by)
{
	pthread_mutex_lock(&g->mutex);
	g->threads += (unsigned int)by;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->mutex);
}

void gate_join(struct gate *g)
{
	change(g, 1);
}

void gate_leave(struct gate *g)
{
	change(g, -1);
}

void gate_wait(struct gate *g)
{
	pthread_mutex_lock(&g->mutex);
	g->waiting++;
	pthread_cond_broadcast(&g->changed);
	while (atomic_load(&g->is_closed))
		pthread_cond_wait(&g->changed, &g->mutex);
	g->waiting--;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->mutex);
}

void gate_close(struct gate *g, void (*wake)(void *context), void *context)
{
	atomic_store(&g->is_closed, true);
	wake(context);
	pthread_mutex_lock(&g->mutex);
	while (g->waiting < g->threads)
		pthread_cond_wait(&g->changed, &g->mutex);
	pthread_mutex_unlock(&g->mutex);
}

void gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->mutex);
	atomic_store(&g->is_closed, false);
	pthread_cond_broadcast(&g->changed);
	while (g->waiting) /* so that the next close counts afresh */
		pthread_cond_wait(&g->changed, &g->mutex);
	pthread_mutex_unlock(&g->mutex);
}
