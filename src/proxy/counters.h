/* SPDX-License-Identifier: Apache-2.0 */
/**
 * counters.h - What a proxy has done, thread by thread
 *
 * Each thread has a set of its own; the sum is what is reported.
 *
 * Threads: any; counters_add() that of the set.
 */
#pragma once

#include <stdint.h>

#include <stdatomic.h>

#include "base/text.h"

enum proxy_count {
	PROXY_CONNECTIONS, /* accepted */
	PROXY_TUNNELS,	   /* opened */
	PROXY_CLOSED,	   /* tunnels that ended */
	PROXY_BAD_REQUEST,
	PROXY_BAD_METHOD,
	PROXY_NO_KEY,
	PROXY_DENIED,	  /* by the address */
	PROXY_BUSY,	  /* a bound was reached */
	PROXY_UNREACHED,  /* no such name, refused, no route */
	PROXY_TIMED_OUT,  /* while connecting */
	PROXY_SLOW,	  /* the head of a request took too long, or was in the way of others */
	PROXY_IDLE,	  /* tunnels that nobody used */
	PROXY_REVOKED,	  /* tunnels whose key went */
	PROXY_BYTES_UP,	  /* from clients */
	PROXY_BYTES_DOWN, /* to clients */
	PROXY_COUNTS,
};

struct counters {
	_Atomic uint64_t n[PROXY_COUNTS];
};

static inline void counters_add(struct counters *c, enum proxy_count which, uint64_t n)
{
	/* One writer: no need for a locked instruction. */
	atomic_store_explicit(&c->n[which],
			      atomic_load_explicit(&c->n[which], memory_order_relaxed) + n,
			      memory_order_relaxed);
}

void counters_sum(const struct counters *c, uint64_t into[PROXY_COUNTS]);

/** counters_write() - As the text format of Prometheus, names beginning with culvert_proxy_ */
void counters_write(const uint64_t n[PROXY_COUNTS], uint64_t keys, struct text *out);
