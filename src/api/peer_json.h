/* SPDX-License-Identifier: Apache-2.0 */
/**
 * peer_json.h - A peer in our own routes: which one a path means, and what is said of it
 *
 * Threads: the main loop's.
 */
#pragma once

#include <jansson.h>

#include "api/call.h"
#include "base/text.h"

/** peer_json_may_see() - A key of an account sees that account's peers only */
bool peer_json_may_see(const struct call *call, const struct peer *peer);

/** peer_json_find() - By name or key, as the path has it; NULL: there is none that the caller may
 *  see */
const struct peer *peer_json_find(const struct call *call);

/** peer_json() - What is stored. NULL: out of memory */
json_t *peer_json(const struct peer *peer);

/** peer_json_put() - All of it, as text: a list of a thousand is written, never built. What
 *  failed is in @out */
void peer_json_put(struct text *out, const struct call *call, const struct peer *peer,
		   const struct observation *seen);

/** peer_json_observed() - And what the interface knows; @seen NULL: nothing */
json_t *peer_json_observed(const struct call *call, const struct peer *peer,
			   const struct observation *seen);
