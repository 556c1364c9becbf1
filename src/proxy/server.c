/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "proxy/internal.h"

enum {
	READING_SHARE =
		4, /* of all connections that may be open, those whose request is waited for */
	READING_LEAST = 16,
};

/* The others run already, or have not begun. */
static int start_loops(struct server *s)
{
	for (; s->n_loops < s->config.workers; s->n_loops++) {
		struct loop *w = &s->loops[s->n_loops];
		int err = loop_init(w, s);

		if (err == 0)
			err = -pthread_create(&w->thread, NULL, loop_run, w);
		if (err < 0) {
			loop_done(w, true);
			return err;
		}
	}
	return 0;
}

int server_new(const struct server_config *config, const int *listeners, size_t n,
	       struct proxy_keys *keys, struct policy *policy, struct server **ret,
	       struct diag *d)
{
	struct server *s = calloc(1, sizeof(*s));
	int err = s ? 0 : -ENOMEM;

	if (s) {
		s->config = *config;
		s->keys = keys;
		s->policy = policy;
		s->listeners = listeners;
		s->n_listeners = n;
		s->reading_max =
			READING_LEAST + config->tunnels / READING_SHARE / config->workers;
		err = resolver_new(&s->resolver);
	}
	if (err == 0)
		err = start_loops(s);
	if (err < 0) {
		server_free(s);
		return diag_set(d, err, 0, "the proxy cannot start: %s", err_text(err));
	}
	*ret = s;
	return 0;
}

static void wake(struct loop *w)
{
	const uint64_t one = 1;

	(void)!write(w->inbox.event, &one, sizeof(one));
}

void server_keys_changed(struct server *s)
{
	for (unsigned int i = 0; i < s->n_loops; i++)
		wake(&s->loops[i]);
}

void server_counts(const struct server *s, uint64_t ret[PROXY_COUNTS])
{
	memset(ret, 0, PROXY_COUNTS * sizeof(ret[0]));
	for (unsigned int i = 0; i < s->n_loops; i++)
		counters_sum(&s->loops[i].counters, ret);
}

struct server *server_free(struct server *s)
{
	bool all_ended;

	if (!s)
		return NULL;
	atomic_store(&s->is_over, true);
	for (unsigned int i = 0; i < s->n_loops; i++) {
		wake(&s->loops[i]);
		pthread_join(s->loops[i].thread, NULL);
	}
	all_ended = resolver_free(s->resolver);
	for (unsigned int i = 0; i < s->n_loops; i++)
		loop_done(&s->loops[i], all_ended);
	if (all_ended)
		free(s);
	return NULL;
}
