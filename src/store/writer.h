/* SPDX-License-Identifier: Apache-2.0 */
/**
 * writer.h - The thread that commits, and group commit
 *
 * Whoever decides changes hands them to the writer and goes on. The writer takes all
 * that are waiting as one group, commits the group with one fsync, carries it on (to
 * the interface) and puts it on the list of finished changes. While one group is on its
 * way to the disk the next one gathers, so the price of an fsync is shared exactly when
 * there is load to share it, and nobody waits for a timer.
 *
 * A second thread moves the store's log into its file once a second.
 *
 * Bounds:  WRITER_QUEUE_MAX changes wait; WRITER_GROUP_MAX form a group.
 * Threads: writer_submit() and writer_collect() from one thread; the callbacks run in
 *	    the writer's.
 */
#pragma once

#include <stdint.h>

#include "store/store.h"

enum {
	WRITER_QUEUE_MAX = 16384,
	WRITER_GROUP_MAX = 512, /* but a run of joined changes is not cut */
};

/**
 * struct writer_callbacks - What the writer's thread does beside committing
 * @committed:	A group was applied to the store (look at each @result); called before
 *		its changes are finished. It may set @result of a change
 * @idle:	Called after each group and whenever its own time has come. Return: in how
 *		many nanoseconds it wants to be called again, changes or not
 * @outdated:	The store wants to be opened by a new process (store_maintain()); called once
 *		by the second thread, then the main thread is woken. NULL: nobody cares
 */
struct writer_callbacks {
	void (*committed)(void *context, struct store_change *first);
	uint64_t (*idle)(void *context);
	void (*outdated)(void *context);
	void *context;
};

struct writer;

/** writer_new() - Start the threads; @store is borrowed until writer_free() */
int writer_new(struct store *store, const struct writer_callbacks *callbacks,
	       struct writer **ret);

/**
 * writer_submit() - Queue one change; the writer has it until writer_collect() returns it
 *
 * Return: 0, or ERR_LIMIT when the queue is full (the change stays the caller's).
 */
int writer_submit(struct writer *w, struct store_change *c);

/** writer_submit_run() - The same for a list of changes, linked by @next: all or none */
int writer_submit_run(struct writer *w, struct store_change *first);

/** writer_wake() - Call @idle now */
void writer_wake(struct writer *w);

/** writer_fd() - Becomes readable when there is something to collect */
int writer_fd(const struct writer *w);

/** writer_collect() - Finished changes in the order they were queued, linked by @next */
struct store_change *writer_collect(struct writer *w);

/** writer_stop() - Commit what is queued and end the threads; then collect a last time */
void writer_stop(struct writer *w);

/** writer_free() - Also stops; uncollected changes are lost. Takes NULL, returns NULL */
struct writer *writer_free(struct writer *w);
