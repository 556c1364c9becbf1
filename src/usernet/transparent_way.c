/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/transparent_way.h"

#include <errno.h>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURN_BYTES = 1 << 20 };

#define READABLE (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)

static void close_pipe(struct pipes *p, struct pipe_ends ends)
{
	close(ends.in);
	close(ends.out);
	p->made--;
}

void pipes_done(struct pipes *p)
{
	while (p->n_spare)
		close_pipe(p, p->spare[--p->n_spare]);
}

static bool borrow(struct way *w, struct pipes *p)
{
	int ends[2];

	if (w->has_pipe)
		return true;
	if (p->n_spare) {
		w->pipe = p->spare[--p->n_spare];
	} else if (p->made < PIPES_MAX && pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0) {
		p->made++;
		w->pipe = (struct pipe_ends){ .in = ends[1], .out = ends[0] };
		/* A user who has many pipes gets small ones: more calls then, nothing else. */
		(void)fcntl(w->pipe.in, F_SETPIPE_SZ, (int)PIPE_BYTES);
	} else {
		return false;
	}
	w->has_pipe = true;
	return true;
}

static void give_back(struct way *w, struct pipes *p)
{
	if (!w->has_pipe || w->held)
		return;
	p->spare[p->n_spare++] = w->pipe;
	w->has_pipe = false;
}

void way_done(struct way *w, struct pipes *pipes)
{
	if (w->has_pipe)
		close_pipe(pipes, w->pipe); /* with what lies in it */
	*w = (struct way){ .has_ended = true, .is_shut = true };
}

/* Return: false when a socket broke. */
static bool fill(struct way *w, int from, uint32_t *from_events)
{
	ssize_t n = splice(from, NULL, w->pipe.in, NULL, PIPE_BYTES,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

	if (n > 0)
		w->held = (uint32_t)n;
	else if (n == 0)
		w->has_ended = true;
	else if (errno == EAGAIN) /* the pipe is empty, so it is the socket that is */
		*from_events &= ~(uint32_t)EPOLLIN;
	else if (errno != EINTR)
		return false;
	return true;
}

static bool empty(struct way *w, int to, uint32_t *to_events)
{
	ssize_t n =
		splice(w->pipe.out, NULL, to, NULL, w->held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

	if (n > 0)
		w->held -= (uint32_t)n;
	else if (n < 0 && errno == EAGAIN)
		*to_events &= ~(uint32_t)EPOLLOUT;
	else if (n == 0 || errno != EINTR)
		return false;
	return true;
}

enum way_turn way_move(struct way *w, struct pipes *pipes, int from, uint32_t *from_events,
		       int to, uint32_t *to_events)
{
	uint32_t moved = 0;
	bool is_whole = true;

	while (is_whole && moved < TURN_BYTES && *to_events & EPOLLOUT) {
		if (w->held == 0 && (w->has_ended || !(*from_events & READABLE)))
			break;
		if (w->held == 0) {
			if (!borrow(w, pipes))
				return WAY_NO_PIPE;
			is_whole = fill(w, from, from_events);
			moved += w->held;
			if (!(*from_events & EPOLLIN) && w->held == 0)
				break;
		}
		if (is_whole && w->held)
			is_whole = empty(w, to, to_events);
	}
	give_back(w, pipes);
	if (!is_whole)
		return WAY_FAILED;
	if (w->has_ended && w->held == 0 && !w->is_shut) {
		shutdown(to, SHUT_WR);
		w->is_shut = true;
	}
	return moved >= TURN_BYTES ? WAY_HAS_MORE : WAY_WAITS;
}
