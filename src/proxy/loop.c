/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/internal.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	EVENTS = 256,
	ACCEPTS = 64,	/* at a time, before others have a turn */
	PAUSE_MS = 100, /* when there is no descriptor for another connection */
	LOOK_MS = 1000, /* at deadlines, at least */
};

static const uint64_t SECOND_NS = 1000000000, MS_NS = 1000000;

int loop_watch(struct loop *w, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, watch->fd, &event) < 0 ? -errno : 0;
}

/* --- Accepting --- */

static int listen_to_all(struct loop *w)
{
	int err = 0;

	for (size_t i = 0; i < w->server->n_listeners && err == 0; i++)
		err = loop_watch(w, &w->listeners[i], EPOLLIN | EPOLLEXCLUSIVE);
	return err;
}

static void pause_accepting(struct loop *w, int err)
{
	log_warning("no further connection for a moment: %s", err_text(err));
	for (size_t i = 0; i < w->server->n_listeners; i++)
		(void)epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->listeners[i].fd, NULL);
	w->is_paused = true;
	w->paused_until_ns = w->now_ns + PAUSE_MS * MS_NS;
}

static void end_pause(struct loop *w)
{
	if (!w->is_paused || w->now_ns < w->paused_until_ns)
		return;
	w->is_paused = false;
	if (listen_to_all(w) < 0)
		pause_accepting(w, -ENOMEM);
}

static void accept_some(struct loop *w, int listener)
{
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			client_accept(w, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(w, -errno);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* --- What is due --- */

static uint64_t span_ns(const struct loop *w, enum timer which)
{
	switch (which) {
	case TIMER_HEAD:
		return SERVER_HEAD_S * SECOND_NS;
	case TIMER_CONNECT:
		return SERVER_CONNECT_S * SECOND_NS;
	case TIMER_IDLE:
		return w->server->config.idle_s * SECOND_NS;
	case TIMER_HALF:
		return SERVER_HALF_CLOSED_S * SECOND_NS;
	case TIMER_PART:
	case TIMERS:
		return CLIENT_PART_S * SECOND_NS;
	}
	return 0;
}

static void expire(struct loop *w, enum timer which)
{
	struct link *list = &w->timers[which];

	while (!link_is_alone(list)) {
		struct client *c = HOLDER(struct client, list->next, timer);

		if (w->now_ns < c->since_ns + span_ns(w, which))
			return;
		client_expire(c);
	}
}

static void end_old_tunnels(struct loop *w)
{
	uint64_t most_ns = w->server->config.lifetime_s * SECOND_NS;

	while (most_ns > 0 && !link_is_alone(&w->tunnels)) {
		struct client *c = HOLDER(struct client, w->tunnels.next, born);

		if (w->now_ns < c->born_ns + most_ns)
			return;
		counters_add(&w->counters, PROXY_IDLE, 1);
		client_end(c, true);
	}
}

static void try_further(struct loop *w)
{
	while (!link_is_alone(&w->dials)) {
		struct dial *d = HOLDER(struct dial, w->dials.next, waits);

		if (w->now_ns < d->next_ns)
			return;
		dial_next(d);
	}
}

/* Tunnels of keys that are in force no longer, and what is on its way to become one. */
static void end_revoked(struct loop *w)
{
	unsigned int removals = proxy_keys_removals(w->server->keys);

	if (removals == w->removals)
		return;
	w->removals = removals;
	for (int i = 0; i < TIMERS; i++) {
		struct link *next, *at = w->timers[i].next;

		for (; at != &w->timers[i]; at = next) {
			struct client *c = HOLDER(struct client, at, timer);

			next = at->next;
			if (!c->key || !atomic_load(&c->key->is_gone))
				continue;
			counters_add(&w->counters, PROXY_REVOKED, 1);
			client_end(c, true);
		}
	}
}

/* Each once: those that are not through come back to the end of the list. */
static void pump_all(struct link *list)
{
	struct link now;

	link_init(&now);
	if (link_is_alone(list))
		return;
	now = *list;
	now.next->prev = now.prev->next = &now;
	link_init(list);
	while (!link_is_alone(&now)) {
		struct client *c = HOLDER(struct client, now.next, ready);

		link_remove(&c->ready);
		client_pump(c);
	}
}

static void collect_answers(struct loop *w)
{
	struct resolver_job *job, *next;
	uint64_t count;

	(void)!read(w->inbox.event, &count, sizeof(count));
	for (job = resolver_collect(&w->inbox); job; job = next) {
		next = job->next;
		if (job->asker)
			client_answered(job->asker, job);
		else
			free(job);
	}
}

static void free_gone(struct loop *w)
{
	struct link *next, *at = w->gone.next;

	for (; at != &w->gone; at = next) {
		next = at->next;
		free(HOLDER(struct client, at, ready));
	}
	link_init(&w->gone);
	for (at = w->gone_dials.next; at != &w->gone_dials; at = next) {
		next = at->next;
		free(HOLDER(struct dial, at, waits));
	}
	link_init(&w->gone_dials);
}

/* --- The loop --- */

static int wait_ms(const struct loop *w)
{
	if (!link_is_alone(&w->ready))
		return 0;
	if (!link_is_alone(&w->throttled) || !link_is_alone(&w->dials))
		return LOOP_THROTTLE_MS;
	return w->is_paused ? PAUSE_MS : LOOK_MS;
}

static void handle(struct loop *w, const struct epoll_event *event)
{
	struct watch *watch = event->data.ptr;

	switch (watch->kind) {
	case WATCH_LISTENER:
		accept_some(w, watch->fd);
		return;
	case WATCH_INBOX:
		collect_answers(w);
		return;
	case WATCH_NEAR:
	case WATCH_FAR:
	case WATCH_TRY:
		client_event(watch->of, watch, event->events);
		return;
	}
}

static void look_after(struct loop *w)
{
	end_revoked(w);
	end_pause(w);
	for (int i = 0; i < TIMERS; i++)
		expire(w, (enum timer)i);
	end_old_tunnels(w);
	try_further(w);
	pump_all(&w->ready);
	if (w->now_ns >= w->throttled_ns) {
		pump_all(&w->throttled);
		w->throttled_ns = w->now_ns + LOOP_THROTTLE_MS * MS_NS;
	}
	free_gone(w);
}

void *loop_run(void *context)
{
	struct loop *w = context;
	struct epoll_event events[EVENTS];

	while (!atomic_load(&w->server->is_over)) {
		int n = epoll_wait(w->epoll, events, EVENTS, wait_ms(w));

		w->now_ns = clock_boot_ns();
		for (int i = 0; i < n; i++)
			handle(w, &events[i]);
		look_after(w);
	}
	return NULL;
}

static void init_lists(struct loop *w)
{
	for (int i = 0; i < TIMERS; i++)
		link_init(&w->timers[i]);
	link_init(&w->dials);
	link_init(&w->tunnels);
	link_init(&w->ready);
	link_init(&w->throttled);
	link_init(&w->gone);
	link_init(&w->gone_dials);
}

int loop_init(struct loop *w, struct server *s)
{
	int err;

	w->server = s;
	w->epoll = -1;
	w->now_ns = clock_boot_ns();
	init_lists(w);
	err = resolver_inbox_init(&w->inbox);
	if (err < 0)
		return err;
	w->scratch = malloc(FLOW_COPY);
	if (!w->scratch)
		return -ENOMEM;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return -errno;
	for (size_t i = 0; i < s->n_listeners; i++)
		w->listeners[i] = (struct watch){ .kind = WATCH_LISTENER,
						  .fd = s->listeners[i],
						  .of = w };
	w->inbox_watch = (struct watch){ .kind = WATCH_INBOX, .fd = w->inbox.event, .of = w };
	err = loop_watch(w, &w->inbox_watch, EPOLLIN);
	return err < 0 ? err : listen_to_all(w);
}

void loop_done(struct loop *w, bool with_inbox)
{
	for (int i = 0; i < TIMERS; i++)
		while (!link_is_alone(&w->timers[i]))
			client_end(HOLDER(struct client, w->timers[i].next, timer), true);
	free_gone(w);
	pipes_done(&w->pipes);
	free(w->scratch);
	if (w->epoll >= 0)
		close(w->epoll);
	if (with_inbox && w->inbox.event >= 0)
		resolver_inbox_done(&w->inbox);
}
