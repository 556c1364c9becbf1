/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/transparent_conduit.h"

#include <errno.h>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURN_BYTES = 1 << 20 };

#define READABLE (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)

static void close_pipe(struct conduit_pipes *p, struct pipe_ends ends)
{
	close(ends.in);
	close(ends.out);
	p->made--;
}

void conduit_pipes_done(struct conduit_pipes *p)
{
	while (p->n_spare)
		close_pipe(p, p->spare[--p->n_spare]);
}

static bool borrow(struct conduit *c, struct conduit_pipes *p)
{
	int ends[2];

	if (c->has_pipe)
		return true;
	if (p->n_spare) {
		c->pipe = p->spare[--p->n_spare];
	} else if (p->made < PIPES_MAX && pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0) {
		p->made++;
		c->pipe = (struct pipe_ends){ .in = ends[1], .out = ends[0] };
		/* A user who has many pipes gets small ones: more calls then, nothing else. */
		(void)fcntl(c->pipe.in, F_SETPIPE_SZ, (int)PIPE_BYTES);
	} else {
		return false;
	}
	c->has_pipe = true;
	return true;
}

static void give_back(struct conduit *c, struct conduit_pipes *p)
{
	if (!c->has_pipe || c->held)
		return;
	p->spare[p->n_spare++] = c->pipe;
	c->has_pipe = false;
}

void conduit_done(struct conduit *c, struct conduit_pipes *pipes)
{
	if (c->has_pipe)
		close_pipe(pipes, c->pipe); /* with what lies in it */
	*c = (struct conduit){ .has_ended = true, .is_shut = true };
}

/* Return: false when a socket broke. */
static bool fill(struct conduit *c, int from, uint32_t *from_events)
{
	ssize_t n = splice(from, NULL, c->pipe.in, NULL, PIPE_BYTES,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

	if (n > 0)
		c->held = (uint32_t)n;
	else if (n == 0)
		c->has_ended = true;
	else if (errno == EAGAIN) /* the pipe is empty, so it is the socket that is */
		*from_events &= ~(uint32_t)EPOLLIN;
	else if (errno != EINTR)
		return false;
	return true;
}

static bool empty(struct conduit *c, int to, uint32_t *to_events)
{
	ssize_t n =
		splice(c->pipe.out, NULL, to, NULL, c->held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

	if (n > 0)
		c->held -= (uint32_t)n;
	else if (n < 0 && errno == EAGAIN)
		*to_events &= ~(uint32_t)EPOLLOUT;
	else if (n == 0 || errno != EINTR)
		return false;
	return true;
}

enum conduit_turn conduit_move(struct conduit *c, struct conduit_pipes *pipes, int from,
			       uint32_t *from_events, int to, uint32_t *to_events)
{
	uint32_t moved = 0;
	bool is_whole = true;

	while (is_whole && moved < TURN_BYTES && *to_events & EPOLLOUT) {
		if (c->held == 0 && (c->has_ended || !(*from_events & READABLE)))
			break;
		if (c->held == 0) {
			if (!borrow(c, pipes))
				return CONDUIT_NO_PIPE;
			is_whole = fill(c, from, from_events);
			moved += c->held;
			if (!(*from_events & EPOLLIN) && c->held == 0)
				break;
		}
		if (is_whole && c->held)
			is_whole = empty(c, to, to_events);
	}
	give_back(c, pipes);
	if (!is_whole)
		return CONDUIT_FAILED;
	if (c->has_ended && c->held == 0 && !c->is_shut) {
		shutdown(to, SHUT_WR);
		c->is_shut = true;
	}
	return moved >= TURN_BYTES ? CONDUIT_HAS_MORE : CONDUIT_WAITS;
}
