/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/pipes.h"

#include <stdlib.h>

#include <fcntl.h>
#include <unistd.h>

static struct pipe *make(struct pipes *p, bool large)
{
	struct pipe *one;
	int fds[2], size;

	if (p->n_open == PIPES_OPEN_MAX)
		return NULL;
	one = calloc(1, sizeof(*one));
	if (!one)
		return NULL;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(one);
		return NULL;
	}
	/* Refused where the user has much in pipes already: then it is as large as it is. */
	size = large ? fcntl(fds[1], F_SETPIPE_SZ, PIPE_LARGE) : 0;
	if (size <= 0)
		size = fcntl(fds[1], F_GETPIPE_SZ);
	*one = (struct pipe){ .in = fds[1],
			      .out = fds[0],
			      .size = size > 0 ? (size_t)size : PIPE_SMALL,
			      .is_large = large };
	p->n_open++;
	p->n_large += large;
	return one;
}

static struct pipe *pop(struct pipe **list)
{
	struct pipe *one = *list;

	if (one)
		*list = one->next;
	return one;
}

static void drop(struct pipes *p, struct pipe *one)
{
	close(one->in);
	close(one->out);
	p->n_open--;
	p->n_large -= one->is_large;
	free(one);
}

struct pipe *pipes_take(struct pipes *p, bool large)
{
	struct pipe *one = large ? pop(&p->large) : NULL;

	if (!one && large && p->n_large < PIPES_LARGE_MAX)
		one = make(p, true);
	if (!one)
		one = pop(&p->small);
	return one ? one : make(p, false);
}

void pipes_give(struct pipes *p, struct pipe *one)
{
	struct pipe **list;

	if (!one)
		return;
	if (one->held > 0) {
		drop(p, one);
		return;
	}
	list = one->is_large ? &p->large : &p->small;
	one->next = *list;
	*list = one;
}

void pipes_done(struct pipes *p)
{
	while (p->small)
		drop(p, pop(&p->small));
	while (p->large)
		drop(p, pop(&p->large));
}
