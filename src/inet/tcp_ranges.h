/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tcp_ranges.h - What has arrived beyond the first gap
 *
 * The octets themselves are in a ring (inet/tcp_ring.h); here stands which. Ranges are
 * kept in order, apart from each other, and know how recently they grew: that is the order in
 * which RFC 2018 section 4 wants them told.
 *
 * Source:  RFC 2018; RFC 2883 (a duplicate is told first).
 * Memory:  24 octets per range, allocated with the first and freed with the last. A range that finds no
 *          room is not accepted, and so not acknowledged: the other end sends it again. The bound is
 *          high because a queue that overflows in slow start may drop every second packet of a window.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { TCP_RANGES_MAX = 2048 };

struct tcp_range {
	uint64_t start;
	uint64_t end;
	uint32_t grew; /* the larger the more recent */
};

/* All zeroes is empty. */
struct tcp_ranges {
	struct tcp_range *at; /* in order */
	uint32_t n;
	uint32_t capacity;
	uint32_t clock;
};

/**
 * tcp_ranges_add() - [@start, @end) has arrived; joins what it touches
 * Return: false when there is no room for one more range; nothing changed.
 */
bool tcp_ranges_add(struct tcp_ranges *r, uint64_t start, uint64_t end);

/* Forget all. */
void tcp_ranges_done(struct tcp_ranges *r);

/**
 * tcp_ranges_take() - The stream is complete up to @next: forget what lies below
 * Return: how far it is complete now: the end of a range that @next reaches, or @next.
 */
uint64_t tcp_ranges_take(struct tcp_ranges *r, uint64_t next);

/* Is all of [@start, @end) here? */
bool tcp_ranges_contain(const struct tcp_ranges *r, uint64_t start, uint64_t end);

/** tcp_ranges_recent() - At most @max ranges, the most recently grown first. Return: n */
uint32_t tcp_ranges_recent(const struct tcp_ranges *r, struct tcp_range *out, uint32_t max);
