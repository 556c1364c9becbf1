/* SPDX-License-Identifier: Apache-2.0 */
/**
 * flow.h - One direction of a tunnel: from one socket to the other
 *
 * Theory of operation. Sockets do not block and are watched edge by edge: what an edge said stays noted in
 * @readable and @writable until a call says otherwise. Little is copied through a buffer that all share,
 * which costs two calls and no descriptor. Once a read fills that buffer the flow is taken for a bulk one and
 * goes through a pipe without being copied, until reads become small again. When the receiver does not
 * keep up, what was taken already waits in the pipe, or in a piece of memory of its own; nothing further is
 * read meanwhile, so the sender is slowed down by its own connection.
 *
 * Bounds:  FLOW_COPY octets of memory, or one pipe.
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/allowance.h"
#include "proxy/pipes.h"

enum { FLOW_COPY = 64 << 10 };

/**
 * struct flow - All zeroes, but for @writable, is one whose sockets were just made
 * @rest:	Owned; @rest_len octets from @rest_at on still go out first
 * @hangs_up:	The sender's end was seen; it is behind what is to be read
 * @is_bulk:	Lately there was much
 * @wants_large: A small pipe was filled at once
 * @is_over:	The sender ended
 * @is_shut:	And the receiver knows
 */
struct flow {
	struct pipe *pipe;
	uint8_t *rest;
	uint32_t rest_at;
	uint32_t rest_len;
	bool readable;
	bool writable;
	bool hangs_up;
	bool is_bulk;
	bool wants_large;
	bool is_over;
	bool is_shut;
};

/**
 * struct flow_means - What many flows share
 * @scratch:	FLOW_COPY octets
 * @allowance:	Of the key; @rate 0: no bound, and it may be NULL
 * @moved:	Octets read are added
 */
struct flow_means {
	struct pipes *pipes;
	uint8_t *scratch;
	struct allowance *allowance;
	uint64_t rate;
	uint64_t now_ns;
	uint64_t moved;
};

enum flow_state {
	FLOW_WAITS,	/* for an edge */
	FLOW_AGAIN,	/* there is more, let others have a turn */
	FLOW_THROTTLED, /* its key has used up what it may move: again in a moment */
	FLOW_ENDED,	/* and the receiver was told */
	FLOW_BROKEN,	/* an end was reset: neither may look as if all had come */
};

/** flow_pump() - Move what can be moved */
enum flow_state flow_pump(struct flow *f, int from, int to, struct flow_means *means);

/** flow_carry() - @data goes out before anything that is read. Once, at the beginning. 0 or -ENOMEM */
int flow_carry(struct flow *f, const void *data, size_t len);

/**
 * flow_put() - Send @data, or keep what does not go now
 *
 * Only while nothing is kept. Return: FLOW_WAITS; FLOW_BROKEN.
 */
enum flow_state flow_put(struct flow *f, int to, const void *data, size_t len);

/** flow_flush() - Send what is kept. Return: FLOW_AGAIN: nothing is left; FLOW_WAITS; FLOW_BROKEN */
enum flow_state flow_flush(struct flow *f, int to);

void flow_done(struct flow *f, struct pipes *pipes);
