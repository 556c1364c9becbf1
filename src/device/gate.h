/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gate.h - Stop the other threads for a moment
 *
 * Threads that pass the gate in their loop wait there while it is closed. gate_close()
 * returns when all of them wait. They must be woken first if they sleep elsewhere: each
 * has a descriptor for that.
 */
#pragma once

#include <stdbool.h>

#include <pthread.h>
#include <stdatomic.h>

struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	_Atomic bool is_closed;
	unsigned int threads; /* that pass here */
	unsigned int waiting;
};

int gate_init(struct gate *g);
void gate_done(struct gate *g);

/* A thread joins before its first pass, and leaves before it ends. */
void gate_join(struct gate *g);
void gate_leave(struct gate *g);

/* In each thread's loop: costs one relaxed load while the gate is open. */
void gate_wait(struct gate *g);
static inline void gate_pass(struct gate *g)
{
	if (atomic_load_explicit(&g->is_closed, memory_order_acquire))
		gate_wait(g);
}

/* One thread at a time: close, wake the others by @wake, wait for all; open again. */
void gate_close(struct gate *g, void (*wake)(void *context), void *context);
void gate_open(struct gate *g);
