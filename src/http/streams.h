/* SPDX-License-Identifier: Apache-2.0 */
/**
 * streams.h - Inside the server: replies that last
 *
 * The library asks for more when the client has taken what there was. A stream with nothing to send
 * suspends its connection; whoever has something wakes it.
 *
 * Bounds:  HTTP_STREAMS_MAX.
 * Threads: the server's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <microhttpd.h>

#include "http/server.h"

struct streaming;

/**
 * struct streams - All of one server
 * @set_deadline: Gives a connection so many seconds from now; UINT64_MAX: for ever
 * @is_ending:	Each ends when it is asked next
 */
struct streams {
	void (*set_deadline)(struct MHD_Connection *c, uint64_t seconds);
	bool is_ending;
	struct streaming *all[HTTP_STREAMS_MAX];
	unsigned int n;
};

static inline bool streams_have_room(const struct streams *s)
{
	return s->n < HTTP_STREAMS_MAX;
}

/**
 * streams_begin() - A response that reads from @stream, which is taken over
 * @owner:	Where the caller keeps the new one. NULL is written there when the library lets go of it; who
 *		goes first calls streams_disown()
 *
 * Return: NULL without memory or room; @stream is then the caller's still.
 */
struct MHD_Response *streams_begin(struct streams *s, struct MHD_Connection *c,
				   const struct http_stream *stream, struct streaming **owner);
void streams_disown(struct streaming *t);

void streams_wake(struct streaming *t); /* it may have something now */

/** streams_wake_paused() - Those that have let others go first */
void streams_wake_paused(struct streams *s);
bool streams_have_paused(const struct streams *s);

/** streams_end() - Wake all, to their end */
void streams_end(struct streams *s);
