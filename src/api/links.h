/* SPDX-License-Identifier: Apache-2.0 */
/**
 * links.h - Links that give somebody a client's file, a limited time and number of times
 *
 * POST /api/v1/peers/PEER/link makes one; /api/v1/links lists and removes them. Nobody but its maker is
 * told a link. What there is behind it, /l/TOKEN, is in api/link_page.c.
 *
 * Bounds:  LINKS_MAX, of which one account's peers have LINKS_PER_ACCOUNT and one peer LINKS_PER_PEER: another one
 *	    takes the place of one that leads nowhere, or else of the oldest. A list looks at LINKS_LOOKED_AT.
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"
#include "api/link_record.h"

enum {
	LINKS_MAX = 10000,
	LINKS_PER_ACCOUNT = LINKS_MAX / 4,
	LINKS_PER_PEER = 4,
	LINKS_LOOKED_AT = 200,
	LINK_TTL_S = 86400,
	LINK_TTL_MIN_S = 60,
	LINK_TTL_MAX_S = 30 * 86400,
	LINK_USES_MAX = 100,
};

void links_create(struct call *call);
void links_list(struct call *call);
void links_delete(struct call *call);

/**
 * links_tick() - About once a minute, a few at each call: those that lead nowhere go
 *
 * Their time is over, or their peer is gone or has another key.
 */
void links_tick(struct api *api, uint64_t now_ns, uint64_t wall_ns);
