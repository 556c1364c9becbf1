/* SPDX-License-Identifier: Apache-2.0 */
/**
 * backlog.h - Datagrams that a stream did not take yet
 *
 * A datagram that comes late is worse than none: what is carried retransmits by itself, and
 * judges the path by what gets lost. So when the stream stalls, the oldest give way to new ones,
 * and what has waited too long is not sent at all.
 *
 * Bounds:  octets and age, as said at the beginning; BACKLOG_ENTRIES datagrams.
 * Threads: none here; time comes in.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { BACKLOG_ENTRIES = 2048 };

struct backlog;

/* struct backlog_counts - Datagrams since the beginning */
struct backlog_counts {
	uint64_t taken;	  /* given to backlog_put() */
	uint64_t crowded; /* dropped for a newer one */
	uint64_t stale;	  /* dropped by their age */
};

/** backlog_new() - @octets of memory, of which headers count too. Return: NULL: no memory */
struct backlog *backlog_new(size_t octets, uint64_t age_ns);
struct backlog *backlog_free(struct backlog *b); /* takes NULL, returns NULL */

/**
 * backlog_put() - Keep a datagram, at the cost of the oldest ones
 *
 * One that is larger than the whole backlog counts as crowded out.
 */
void backlog_put(struct backlog *b, uint64_t now_ns, const void *header, size_t header_len,
		 const void *payload, size_t payload_len);

/**
 * backlog_take() - Move whole datagrams, with their headers, to @out; the oldest first
 *
 * Return: octets at @out. 0: none is left, or @size is too small for the first.
 */
size_t backlog_take(struct backlog *b, uint64_t now_ns, void *out, size_t size);

size_t backlog_octets(const struct backlog *b);
const struct backlog_counts *backlog_counts(const struct backlog *b);
