/* SPDX-License-Identifier: Apache-2.0 */
/**
 * schedule.h - Which peer needs attention next
 *
 * A pairing heap through the peers themselves: nothing is allocated, so arming a
 * timer cannot fail. Put and remove cost O(log n) on average.
 *
 * Source:  M. Fredman et al., "The pairing heap", 1986.
 * Threads: the keeper alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Embedded in a peer. All zeroes: not scheduled. */
struct schedule_node {
	struct schedule_node *child;
	struct schedule_node *next;
	struct schedule_node *prev; /* parent, for a first child */
	uint64_t at_ns;
	bool is_in;
};

/* All zeroes is empty. */
struct schedule {
	struct schedule_node *root;
};

/** schedule_put() - Look at @n at @at_ns, whether or not it was scheduled before */
void schedule_put(struct schedule *s, struct schedule_node *n, uint64_t at_ns);
/** schedule_remove() - Nothing happens if it is not there */
void schedule_remove(struct schedule *s, struct schedule_node *n);
/** schedule_first() - The earliest, or NULL */
struct schedule_node *schedule_first(const struct schedule *s);
