/* SPDX-License-Identifier: Apache-2.0 */
/**
 * observer.h - What the interface says of its peers, asked beside the path of changes
 *
 * A reply about 100 000 peers takes long; it has a thread and a connection of its own, so
 * that neither commits nor requests wait for it. One answer serves all who asked while it
 * was on its way, and is good for a moment. When nobody asks it looks by itself now and then,
 * for the sake of the peers' endpoints (gateway/endpoints.h).
 *
 * Threads: all calls from one thread; the callbacks run in observer_collect().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "gateway/endpoints.h"
#include "iface/iface.h"

enum {
	OBSERVER_FRESH_MS = 1000, /* an answer is good for that long … */
	OBSERVER_FRESH_TIMES = 4, /* … or this many times what it cost */
	OBSERVER_WAITING_MAX = 4096,
	OBSERVER_LOOK_S = 15,	  /* unasked, that often … */
	OBSERVER_LOOK_TIMES = 50, /* … or after this many times what the last look cost */
};

/* struct observed - One peer, as the interface has it */
struct observed {
	uint8_t public_key[32];
	uint64_t last_handshake_ns; /* wall clock; 0: never */
	uint64_t rx_bytes;
	uint64_t tx_bytes;
	struct endpoint endpoint;
	/* by which it was framed last; "": the default, or @is_heard_gone */
	char profile_heard[FRAME_NAME_MAX + 1];
	bool is_heard_gone; /* that one is not there any more */
};

/* struct observation - All of them, sorted by key */
struct observation {
	struct observed *peers;
	size_t n;
	size_t n_connected; /* those that ever completed a handshake */
};

/**
 * observer_done - The answer is there
 * @err:	0, or why the interface could not be asked; @seen is then NULL
 * @seen:	Good until the next call of observer_collect()
 */
typedef void (*observer_done)(void *context, int err, const struct observation *seen);

struct observer;

/** observer_new() - Start the thread; @iface is taken over, @endpoints borrowed, or NULL */
int observer_new(struct iface *iface, struct endpoints *endpoints, struct observer **ret);
/** observer_free() - Ends the thread; who still waits is not called */
struct observer *observer_free(struct observer *o);

/**
 * observer_look() - Ask for all peers; @done is called at once when the last answer is fresh
 *
 * Return: 0, or ERR_LIMIT when too many wait already.
 */
int observer_look(struct observer *o, uint64_t now_ns, observer_done done, void *context);

/**
 * observer_last() - The last answer, however old, without asking
 * @ret_at_ns:	When it was collected; may be NULL
 *
 * Return: good until the next call of observer_collect(); NULL: there is none yet.
 */
const struct observation *observer_last(const struct observer *o, uint64_t *ret_at_ns);

/**
 * observer_evict() - Remove a peer that nobody has stored from the interface
 *
 * @done gets 0 when it was there, ERR_UNKNOWN when it was not. Return: as observer_look().
 */
int observer_evict(struct observer *o, const uint8_t public_key[32], observer_done done,
		   void *context);

/** observer_tick() - Now and then: forget an answer that is not fresh any more, unless it is held */
void observer_tick(struct observer *o, uint64_t now_ns);

/* The last answer is read piece by piece: between them it may be replaced, but not forgotten. */
void observer_hold(struct observer *o);
void observer_release(struct observer *o);

int observer_fd(const struct observer *o); /* readable: call observer_collect() */
void observer_collect(struct observer *o, uint64_t now_ns);

/** observation_find() - One peer, or NULL */
const struct observed *observation_find(const struct observation *seen,
					const uint8_t public_key[32]);
