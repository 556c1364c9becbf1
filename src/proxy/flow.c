/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/types.h>

enum {
	ROUNDS = 16,	       /* before others have a turn */
	BULK_LEAST = 16 << 10, /* octets in a read of a bulk flow */
	GOES_ON = -1,	       /* besides enum flow_state */
};

int flow_carry(struct flow *f, const void *data, size_t len)
{
	uint8_t *copy;

	if (len == 0)
		return 0;
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	f->rest = copy;
	f->rest_at = 0;
	f->rest_len = (uint32_t)len;
	return 0;
}

void flow_done(struct flow *f, struct pipes *pipes)
{
	pipes_give(pipes, f->pipe);
	f->pipe = NULL;
	free(f->rest);
	f->rest = NULL;
	f->rest_len = 0;
}

/* What a call that moved nothing means for the side that @ready is about. */
static int judge(bool *ready)
{
	if (errno == EINTR)
		return GOES_ON;
	if (errno != EAGAIN)
		return FLOW_BROKEN;
	*ready = false;
	return FLOW_WAITS;
}

static int flush_rest(struct flow *f, int to)
{
	int state;

	while (f->rest_len > 0) {
		ssize_t n = send(to, f->rest + f->rest_at, f->rest_len, MSG_NOSIGNAL);

		if (n > 0) {
			f->rest_at += (uint32_t)n;
			f->rest_len -= (uint32_t)n;
			continue;
		}
		state = judge(&f->writable);
		if (state != GOES_ON)
			return state;
	}
	free(f->rest);
	f->rest = NULL;
	return GOES_ON;
}

static int flush_pipe(struct flow *f, int to)
{
	int state;

	while (f->pipe->held > 0) {
		ssize_t n = splice(f->pipe->out, NULL, to, NULL, f->pipe->held,
				   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (n > 0) {
			f->pipe->held -= (size_t)n;
			continue;
		}
		if (n == 0)
			return FLOW_BROKEN;
		state = judge(&f->writable);
		if (state != GOES_ON)
			return state;
	}
	return GOES_ON;
}

static int flush(struct flow *f, int to)
{
	int state = GOES_ON;

	if (f->rest_len > 0)
		state = f->writable ? flush_rest(f, to) : FLOW_WAITS;
	if (state == GOES_ON && f->pipe && f->pipe->held > 0)
		state = f->writable ? flush_pipe(f, to) : FLOW_WAITS;
	return state;
}

/* The sender ended, and the receiver has everything. */
static int end(struct flow *f, int to)
{
	if (!f->is_shut)
		shutdown(to, SHUT_WR);
	f->is_shut = true;
	return FLOW_ENDED;
}

static bool has_pipe(struct flow *f, struct flow_means *means)
{
	if (!f->is_bulk)
		return false;
	if (f->pipe && f->wants_large && !f->pipe->is_large) {
		pipes_give(means->pipes, f->pipe);
		f->pipe = NULL;
	}
	if (!f->pipe)
		f->pipe = pipes_take(means->pipes, f->wants_large);
	return f->pipe != NULL;
}

static ssize_t read_some(struct flow *f, int from, bool by_pipe, struct flow_means *means)
{
	size_t wanted = by_pipe ? f->pipe->size : FLOW_COPY;
	size_t may = allowance_take(means->allowance, means->rate, means->now_ns, wanted);
	ssize_t n;

	if (may == 0) {
		errno = EDQUOT;
		return -1;
	}
	if (by_pipe)
		n = splice(from, NULL, f->pipe->in, NULL, may,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	else
		n = recv(from, means->scratch, may, 0);
	allowance_return(means->allowance, means->rate, may - (n > 0 ? (size_t)n : 0));
	return n;
}

enum flow_state flow_flush(struct flow *f, int to)
{
	int state = flush(f, to);

	return state == GOES_ON ? FLOW_AGAIN : (enum flow_state)state;
}

enum flow_state flow_put(struct flow *f, int to, const void *data, size_t len)
{
	ssize_t n = f->writable ? send(to, data, len, MSG_NOSIGNAL) : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return FLOW_BROKEN;
	if (n < 0)
		n = 0;
	if ((size_t)n < len && flow_carry(f, (const char *)data + n, len - (size_t)n) < 0)
		return FLOW_BROKEN;
	return FLOW_WAITS; /* the next round tries again, and is told when to wait */
}

static int fill(struct flow *f, int from, int to, struct flow_means *means)
{
	bool by_pipe = has_pipe(f, means);
	ssize_t n = read_some(f, from, by_pipe, means);

	if (n == 0) {
		f->is_over = true;
		return GOES_ON;
	}
	if (n < 0)
		return errno == EDQUOT ? FLOW_THROTTLED : judge(&f->readable);
	means->moved += (uint64_t)n;
	if (by_pipe) {
		f->pipe->held = (size_t)n;
		f->is_bulk = n >= BULK_LEAST;
		f->wants_large = f->wants_large || (size_t)n >= PIPE_SMALL;
		return GOES_ON;
	}
	f->is_bulk = n == FLOW_COPY;
	/* Fewer than asked for: that was all, and a new edge comes with more. */
	if (n < FLOW_COPY && means->rate == 0 && !f->hangs_up)
		f->readable = false;
	return flow_put(f, to, means->scratch, (size_t)n) == FLOW_BROKEN ? FLOW_BROKEN
									 : GOES_ON;
}

static void rest_pipe(struct flow *f, struct flow_means *means)
{
	if (f->pipe && f->pipe->held == 0) {
		pipes_give(means->pipes, f->pipe);
		f->pipe = NULL;
	}
}

enum flow_state flow_pump(struct flow *f, int from, int to, struct flow_means *means)
{
	int state = GOES_ON;

	for (int i = 0; i < ROUNDS && state == GOES_ON; i++) {
		state = flush(f, to);
		if (state != GOES_ON)
			break;
		if (f->is_over)
			state = end(f, to);
		else if (!f->readable)
			state = FLOW_WAITS;
		else
			state = fill(f, from, to, means);
	}
	if (state == GOES_ON)
		state = FLOW_AGAIN;
	rest_pipe(f, means);
	return (enum flow_state)state;
}
