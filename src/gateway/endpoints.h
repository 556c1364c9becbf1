/* SPDX-License-Identifier: Apache-2.0 */
/**
 * endpoints.h - Where living peers were lately, for a tunnel that has lost its memory
 *
 * A tunnel that was restarted knows no endpoint of peers that found it by themselves, and
 * they notice only when nothing has come back for 15 s. Given their last endpoints it calls
 * them at once, each framed as it was heard: plain WireGuard to whoever hides that it is one
 * would reach nobody and tell everybody. Only peers that shook hands within ENDPOINTS_LIFE_S
 * are kept: all others have no session that could be missed.
 *
 * Memory:  one entry per living peer.
 * Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "frame/frame.h"

enum { ENDPOINTS_LIFE_S = 180 }; /* a session lives no longer without a handshake */

struct endpoints;
struct observed;

/* struct endpoints_entry - Where a peer was, and by which profile it was heard; "": the default */
struct endpoints_entry {
	struct endpoint endpoint;
	char profile[FRAME_NAME_MAX + 1];
};

struct endpoints *endpoints_new(void); /* NULL: no memory */
struct endpoints *endpoints_free(struct endpoints *e);

/**
 * endpoints_note() - What the interface says now
 * @seen:	Sorted by key, @n of them
 * @now_ns:	Boot clock, for how long a note is good; @wall_ns: what handshakes are told in
 *
 * Who is not seen, or without endpoint, keeps the one noted before, for its time.
 * Without memory everything stays as it was.
 */
void endpoints_note(struct endpoints *e, const struct observed *seen, size_t n, uint64_t now_ns,
		    uint64_t wall_ns);

/** endpoints_find() - false: this peer is not known to live */
bool endpoints_find(struct endpoints *e, const uint8_t public_key[32], uint64_t now_ns,
		    struct endpoints_entry *ret);
