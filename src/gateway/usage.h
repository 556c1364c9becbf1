/* SPDX-License-Identifier: Apache-2.0 */
/**
 * usage.h - What a peer has used: altogether, and of its quota
 *
 * The interface counts octets since it knows the peer, and starts again from zero when it was
 * restarted or the peer was away; what is kept here only grows. Quotas are counted over calendar
 * periods (UTC; a week begins on Monday), over the last 24 hours or 30 days (in steps of an hour, a
 * day: an octet counts until its step has left), or for ever.
 *
 * Memory:  fixed, the caller's; all zeroes is a peer that has used nothing.
 * Threads: none here; time comes in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

enum {
	USAGE_STEPS = 30,
	USAGE_BLOB_MIN = 8 * 7, /* where nothing rolls; the steps follow it */
	USAGE_BLOB_MAX = USAGE_BLOB_MIN + 8 * USAGE_STEPS,
};

/**
 * struct usage - Of one peer
 * @rx, @tx:	Altogether, from the peer and to it
 * @seen_rx, @seen_tx: What the interface said last
 * @period:	enum store_period that @used is counted over
 * @step:	The step that @steps[0] is, or the beginning of the period, as a number of days
 *		or hours since 1970
 * @used:	Within the period, or its sum over @steps
 */
struct usage {
	uint64_t rx;
	uint64_t tx;
	uint64_t seen_rx;
	uint64_t seen_tx;
	uint64_t period;
	uint64_t step;
	uint64_t used;
	uint64_t steps[USAGE_STEPS];
};

/** usage_count() - The interface says @rx and @tx now */
void usage_count(struct usage *u, enum store_period period, uint64_t now_ns, uint64_t rx,
		 uint64_t tx);

/** usage_more() - What has come since; less than before means that it counts from zero again */
uint64_t usage_more(uint64_t now, uint64_t seen);

/** usage_forget_interface() - The interface counts from zero again */
void usage_forget_interface(struct usage *u);

/** usage_left() - Of a quota; 0: it is used up. Moves on to the period of @now_ns */
uint64_t usage_left(struct usage *u, enum store_period period, uint64_t quota_bytes,
		    uint64_t now_ns);

/** usage_is_over() - Has the period, or step, that it was counted in ended by @now_ns? */
bool usage_is_over(const struct usage *u, uint64_t now_ns);

/** usage_next_ns() - When the period, or its oldest step, ends; UINT64_MAX: never */
uint64_t usage_next_ns(enum store_period period, uint64_t now_ns);

/** usage_write() - For the store. Return: octets written to @out, USAGE_BLOB_MIN or _MAX */
size_t usage_write(const struct usage *u, uint8_t out[USAGE_BLOB_MAX]);
/** usage_read() - Return: 0 or ERR_CORRUPT */
int usage_read(const void *data, size_t len, struct usage *ret);
