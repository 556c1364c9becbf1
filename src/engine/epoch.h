/* SPDX-License-Identifier: Apache-2.0 */
/**
 * epoch.h - When may replaced memory be freed?
 *
 * Theory of operation. Data threads follow pointers without locks. Whoever replaces
 * an object publishes the new one (release), then retires the old one. The old one is
 * freed once every reader has passed a quiet point: a moment when it holds no pointer
 * into shared structures. A reader that sleeps is offline and counts as quiet.
 *
 * Retiring takes the next number of a clock that only counts; each reader publishes
 * the number it saw when it last was quiet. An object is free to go once every reader
 * published a greater number than the object's. Retiring and coming online change the
 * clock with a read-modify-write: all of those have one order, so either the reader sees
 * that the object was unlinked, or the reclaimer sees that the reader is there. No bare
 * fences: everything is acquire and release on the variables themselves, so thread
 * sanitizers see it.
 *
 * What one thread retires is released in the order in which it was retired. A release
 * function may retire more; that goes in a later round.
 *
 * Source:  quiescent-state-based reclamation, T. Hart et al., "Performance of memory
 *          reclamation for lockless synchronization", 2007.
 * Threads: each reader object belongs to one thread; retire from any thread;
 *          reclaim from one thread at a time, which need not be a reader. Release
 *          functions run in the reclaiming thread.
 * Memory:  none of its own; a reader that stays online without passing a quiet point
 *          holds back everything retired since.
 *
 * How a reader lives:
 *
 *	epoch_online(e, r);
 *	while (has work) {
 *		... read pointers, use them ...
 *		epoch_quiet(e, r);	once per batch: two plain memory accesses
 *	}
 *	epoch_offline(e, r);		and now it may sleep
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
	_Alignas(64) _Atomic uint64_t
		quiet; /* clock at the last quiet point; UINT64_MAX: offline */
};

struct epoch {
	_Atomic uint64_t now;
	_Atomic(struct epoch_node *) retired; /* pushed by any thread, newest first */
	struct epoch_node *waiting;	      /* the reclaiming thread's own, oldest first */
	struct epoch_node *waiting_last;
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

/**
 * epoch_retire() - Nobody finds @node any more; release it when nobody holds it either
 * @node:	Unlinked before the call, from everything readers start at
 */
void epoch_retire(struct epoch *e, struct epoch_node *node,
		  void (*release)(struct epoch_node *));

/**
 * epoch_reclaim() - Release what no reader can still see
 *
 * Costs the number released and of readers, not of those that wait.
 *
 * Return: objects released.
 */
size_t epoch_reclaim(struct epoch *e);
