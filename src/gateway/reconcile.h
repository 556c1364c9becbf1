/* SPDX-License-Identifier: Apache-2.0 */
/**
 * reconcile.h - The interface follows what is stored
 *
 * The store is the truth; the interface is brought to it. In the ordinary case a
 * committed group of changes becomes one request to the interface. Whenever that is not
 * enough (at the start, after the device restarted, after a failed request) the whole of
 * both is compared and the difference set in one request (or a few, where it is large), so
 * that tunnels which are right already do not notice. The profiles are then set as well,
 * without being asked for: those that stay the same are not touched by it.
 *
 * What somebody else does to the interface is noticed and dealt with as gateway/drift.h says.
 *
 * A plain interface is one of the kernel's: it has no profiles, rates, budgets and ranges, and is
 * asked for none. Peers that were stored with them are served without.
 *
 * Threads: everything but reconcile_mark_stale() and reconcile_is_well() in the writer's
 *	    thread, or before it starts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <stdatomic.h>

#include "gateway/access_sync.h"
#include "gateway/drift.h"
#include "gateway/endpoints.h"
#include "iface/iface.h"
#include "store/store.h"

enum {
	/* A constant interval is a tell: at level extreme it is drawn from here on, where it
	 * would be 25; in proportion otherwise. */
	RECONCILE_KEEPALIVE_MIN_S = 16,
};

/**
 * struct reconcile - All zeroes but @store and @iface is ready; both borrowed
 * @endpoints:	Where the peers were, for an interface that does not know it; or NULL
 * @access:	Borrowed: is told of everything first; NULL: there are no access lists
 * @is_plain:	It is one of the kernel's
 * @drift:	Its settings may be given before the first call
 * @in_sync:	The interface has everything that was committed. May be read from any thread
 * @is_stale:	Set from outside: what we believed of the interface is void
 * @is_down:	It serves nobody (gateway/ifstate.h); as of the last comparison
 */
struct reconcile {
	struct store *store;
	struct iface *iface;
	struct endpoints *endpoints;
	struct access_sync *access;
	bool is_plain;
	struct drift drift;
	atomic_bool in_sync;
	bool has_complained;
	atomic_bool is_stale;
	bool is_down;
	uint64_t next_try_ns; /* boot clock */
};

/**
 * reconcile_now() - Compare and set the difference
 *
 * Return: 0, or why the interface is not in sync (in words in @d).
 */
int reconcile_now(struct reconcile *r, struct diag *d);

/** reconcile_group() - Carry a committed group to the interface; sets each @carried */
void reconcile_group(struct reconcile *r, struct store_change *first);

/** reconcile_idle() - Try again what failed. Return: in how many ns to be called again */
uint64_t reconcile_idle(struct reconcile *r);

/** reconcile_is_well() - Can the interface take a change right now? Any thread */
bool reconcile_is_well(struct reconcile *r);

/** reconcile_mark_stale() - The device restarted. Any thread */
void reconcile_mark_stale(struct reconcile *r);
