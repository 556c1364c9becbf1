/* SPDX-License-Identifier: Apache-2.0 */
/**
 * epoch.h - When may replaced memory be freed?
 *
 * Theory of operation. Data threads follow pointers without locks. Whoever replaces
 * an object publishes the new one (release), then retires the old one. The old one is
 * freed once every reader has passed a quiet point: a moment when it holds no pointer
 * into shared structures. A reader that sleeps is offline and counts as quiet.
 *
 * Retired objects carry the number of the epoch in which they were retired; each
 * reader publishes the epoch it last was quiet in. No bare fences: everything is
 * acquire and release (or seq_cst) on the variables themselves, so thread sanitizers see it.
 *
 * Source:  quiescent-state-based reclamation, T. Hart et al., "Performance of memory
 *          reclamation for lockless synchronization", 2007.
 * Threads: each reader object belongs to one thread; retire from any thread;
 *          reclaim from one thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <stdatomic.h>

enum { EPOCH_READERS_MAX = 128 };

/* Embedded in an object that will be retired. */
struct epoch_node {
	struct epoch_node *next;
	uint64_t epoch;
	void (*release)(struct epoch_node *node);
};

struct epoch_reader {
	_Alignas(64) _Atomic uint64_t quiet; /* epoch last seen; UINT64_MAX: offline */
};

struct epoch {
	_Atomic uint64_t now;
	_Atomic(struct epoch_node *) retired; /* pushed by any thread */
	struct epoch_node *waiting;	      /* the reclaiming thread's own list */
	size_t n_waiting;
	struct epoch_reader *readers[EPOCH_READERS_MAX]; /* fixed before threads start */
	size_t n_readers;
};

void epoch_init(struct epoch *e);
/* Free everything, readers or not: all threads have ended. */
void epoch_done(struct epoch *e);

/* Before threads start. Return: 0 or ERR_LIMIT. The reader starts offline. */
int epoch_register(struct epoch *e, struct epoch_reader *r);

void epoch_online(struct epoch *e,
		  struct epoch_reader *r); /* before the first pointer is read */
void epoch_quiet(struct epoch *e,
		 struct epoch_reader *r); /* no pointer is held at this moment */
void epoch_offline(struct epoch *e, struct epoch_reader *r); /* before sleeping */

void epoch_retire(struct epoch *e, struct epoch_node *node,
		  void (*release)(struct epoch_node *));

/** epoch_reclaim() - Free what no reader can still see. Return: objects freed. */
size_t epoch_reclaim(struct epoch *e);
