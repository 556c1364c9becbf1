/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tcp_ring.h - Octets of a stream, found by their place in it
 *
 * Theory of operation. The octet at stream position p lies at p modulo the capacity, a
 * power of two. So what arrives out of order is stored where it will be read, and nothing is
 * moved when the beginning is used up. Capacity grows by doubling, only as far as octets
 * are really there, and is given back when the ring is empty: an idle connection holds none.
 * All rings of an endpoint share one budget. The first TCP_RING_MIN octets
 * of a ring are beyond it, so that no connection waits for another for ever.
 *
 * Threads: none here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

enum { TCP_RING_MIN = 4096, TCP_RING_MAX = 1 << 26 };

/**
 * struct tcp_budget - Memory that many rings share
 * @used, @limit: Octets of capacity
 * @refused:	Times a ring could not grow
 */
struct tcp_budget {
	size_t used;
	size_t limit;
	uint64_t refused;
};

/* All zeroes is empty. */
struct tcp_ring {
	uint8_t *data;
	uint32_t capacity;
};

/**
 * tcp_ring_reserve() - Have room for positions [@from, @from + @len)
 * @from:	First position whose octet is still needed
 *
 * What is stored from @from on stays. Return: 0; -ENOMEM, also when the budget is used up
 * and more than TCP_RING_MIN is asked for;
 * the ring is then as it was.
 */
int tcp_ring_reserve(struct tcp_ring *r, struct tcp_budget *budget, uint64_t from,
		     uint32_t len);

/* Give everything back. */
void tcp_ring_done(struct tcp_ring *r, struct tcp_budget *budget);

/**
 * tcp_ring_slices() - Where positions [@from, @from + @len) are; within what was reserved
 * Return: how many slices, 0 for no octets.
 */
int tcp_ring_slices(const struct tcp_ring *r, uint64_t from, uint32_t len, struct iovec out[2]);

void tcp_ring_write(struct tcp_ring *r, uint64_t at, const uint8_t *data, uint32_t len);
void tcp_ring_read(const struct tcp_ring *r, uint64_t at, uint8_t *out, uint32_t len);
