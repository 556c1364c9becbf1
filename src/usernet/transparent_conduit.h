/* SPDX-License-Identifier: Apache-2.0 */
/**
 * transparent_conduit.h - Octets from one socket to another, without passing through this process
 *
 * Theory of operation. splice() moves what a socket has into a pipe and from there to the other
 * socket; the kernel passes pages on instead of copying them. A pipe is lent to a conduit for as
 * long as something lies in it, which is only when the other socket took less than there was;
 * otherwise it goes back to the others at the end of a turn. So a few pipes serve all connections.
 *
 * Source:  splice(2).
 * Bounds:  PIPES_MAX pipes of PIPE_BYTES. A conduit that gets none waits: the caller asks again later.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PIPES_MAX = 256,
	PIPE_BYTES = 1 << 18,
};

struct pipe_ends {
	int in, out;
};

/**
 * struct conduit_pipes - Those that are empty and lent to nobody
 * @made:	How many there are in all
 */
struct conduit_pipes {
	struct pipe_ends spare[PIPES_MAX];
	uint32_t n_spare;
	uint32_t made;
};

/* Close the spare ones; those that are lent must have been given back. */
void conduit_pipes_done(struct conduit_pipes *p);

/**
 * struct conduit - One direction of a connection; all zeroes is the beginning
 * @held:	Octets in @pipe
 * @has_ended:	The source will send no more
 * @is_shut:	The other side was told so
 */
struct conduit {
	struct pipe_ends pipe;
	uint32_t held;
	bool has_pipe;
	bool has_ended;
	bool is_shut;
};

enum conduit_turn {
	CONDUIT_WAITS,	  /* for one of the sockets */
	CONDUIT_HAS_MORE, /* its turn is over but not its data */
	CONDUIT_NO_PIPE,  /* all are lent: again a little later */
	CONDUIT_FAILED,	  /* one of the sockets broke */
};

/**
 * conduit_move() - As much as both sockets will, within a turn
 * @from, @to:	Sockets that do not block
 * @from_events, @to_events: What epoll said of them (EPOLLIN and so on) and is not used up
 */
enum conduit_turn conduit_move(struct conduit *c, struct conduit_pipes *pipes, int from,
			       uint32_t *from_events, int to, uint32_t *to_events);

/* What it holds is lost. */
void conduit_done(struct conduit *c, struct conduit_pipes *pipes);
