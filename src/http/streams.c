/* SPDX-License-Identifier: Apache-2.0 */
#include "http/streams.h"

#include <stdlib.h>

enum { BLOCK = 16384 };

/* struct streaming - The library lets go of it before or after its owner does: whoever goes first
 * tells the other */
struct streaming {
	struct streams *list;
	struct streaming **owner; /* NULL: gone */
	struct MHD_Connection *connection;
	struct http_stream stream;
	bool waits;	/* suspended: there was nothing to send */
	bool is_paused; /* until the next turn */
};

static ssize_t read_on(void *context, uint64_t at, char *out, size_t max)
{
	struct streaming *t = context;
	ssize_t n = t->list->is_ending ? -1 : t->stream.read(t->stream.context, out, max);

	(void)at;
	if (n > 0) {
		t->list->set_deadline(t->connection, HTTP_REPLY_DEADLINE_S);
		return n;
	}
	if (n < 0 && n != HTTP_STREAM_PAUSE)
		return MHD_CONTENT_READER_END_OF_STREAM;
	t->is_paused = n == HTTP_STREAM_PAUSE;
	/* It is we who have nothing to say. */
	t->list->set_deadline(t->connection, UINT64_MAX);
	t->waits = true;
	MHD_suspend_connection(t->connection);
	return 0;
}

static void let_go(void *context)
{
	struct streaming *t = context;
	struct streams *s = t->list;
	unsigned int i = 0;

	while (s->all[i] != t)
		i++;
	s->all[i] = s->all[--s->n];
	if (t->owner)
		*t->owner = NULL;
	if (t->stream.close)
		t->stream.close(t->stream.context);
	free(t);
}

struct MHD_Response *streams_begin(struct streams *s, struct MHD_Connection *c,
				   const struct http_stream *stream, struct streaming **owner)
{
	struct streaming *t = streams_have_room(s) ? malloc(sizeof(*t)) : NULL;
	struct MHD_Response *r = NULL;

	if (!t)
		return NULL;
	*t = (struct streaming){
		.list = s, .owner = owner, .connection = c, .stream = *stream
	};
	r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_on, t, let_go);
	if (!r) {
		free(t);
		return NULL;
	}
	s->all[s->n++] = t;
	*owner = t;
	return r;
}

void streams_disown(struct streaming *t)
{
	t->owner = NULL;
}

void streams_wake(struct streaming *t)
{
	if (!t->waits)
		return;
	t->waits = t->is_paused = false;
	t->list->set_deadline(t->connection, HTTP_REPLY_DEADLINE_S);
	MHD_resume_connection(t->connection);
}

void streams_wake_paused(struct streams *s)
{
	for (unsigned int i = 0; i < s->n; i++)
		if (s->all[i]->is_paused)
			streams_wake(s->all[i]);
}

bool streams_have_paused(const struct streams *s)
{
	unsigned int i = 0;

	while (i < s->n && !s->all[i]->is_paused)
		i++;
	return i < s->n;
}

void streams_end(struct streams *s)
{
	s->is_ending = true;
	for (unsigned int i = 0; i < s->n; i++)
		streams_wake(s->all[i]);
}
