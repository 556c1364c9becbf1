/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sessions.h - What two looks at the interface say of a peer's session
 *
 * A look (gateway/observer.h) is reduced to what is compared with the next one: a list by key of those
 * that were ever heard.
 *
 * Threads: none here; time comes in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/observer.h"

enum { SESSION_SILENT_S = 185 }; /* without a handshake: no session lives that long */

/* struct session - Of one peer, what a look said */
struct session {
	uint8_t public_key[32];
	uint64_t rx;
	uint64_t tx;
	struct endpoint endpoint;
	bool is_connected;
};

/**
 * sessions_of() - Those of a look, by key
 * @wall_ns:	When it was
 *
 * Return: a list that the caller frees, with its length in @ret_n; NULL without memory.
 */
struct session *sessions_of(const struct observation *seen, uint64_t wall_ns, size_t *ret_n);

/** session_has_moved() - To another address; another port of one is none */
bool session_has_moved(const struct session *was, const struct session *is);

/** session_is_news() - Is there anything to count, or to tell? @was: NULL: it was not there */
bool session_is_news(const struct session *was, const struct session *is);
