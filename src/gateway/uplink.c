/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/uplink.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <pthread.h>
#include <unistd.h>

#include "host/messages.h"
#include "sys/log.h"

enum {
	MS_PER_S = 1000,
	NS_PER_MS = 1000000,
	NS_PER_S = 1000000000,
};

/* struct waiter - On the stack of a thread in uplink_connect() */
struct waiter {
	struct waiter *next;
	int fd;
	int err;
	bool is_answered;
};

struct uplink {
	int fd;
	struct uplink_events events;
	pthread_mutex_t lock; /* of what follows, and of sending */
	pthread_cond_t answered;
	struct waiter *waiters; /* the oldest first */
	uint64_t acts;		/* asked for so far */
};

static int send_type(struct uplink *u, uint32_t type)
{
	const struct host_message m = { .type = type };

	return host_message_send(u->fd, &m, -1);
}

static void answer(struct uplink *u, const struct host_message *m, int fd)
{
	struct waiter *w;

	pthread_mutex_lock(&u->lock);
	w = u->waiters;
	while (w && w->is_answered)
		w = w->next;
	if (w) {
		w->fd = fd;
		w->err = m->error ? -(int)m->error : fd < 0 ? -EPROTO : 0;
		w->is_answered = true;
		fd = -1;
	}
	pthread_cond_broadcast(&u->answered);
	pthread_mutex_unlock(&u->lock);
	if (fd >= 0)
		close(fd);
}

static bool handle(struct uplink *u, const struct host_message *m, int fd)
{
	switch ((enum host_message_type)m->type) {
	case HOST_UAPI:
		answer(u, m, fd);
		return true;
	case HOST_PONG:
		return true;
	case HOST_DEVICE_RESTARTED:
		u->events.device_restarted(u->events.context);
		return true;
	case HOST_STOP:
		u->events.stop(u->events.context);
		return true;
	case HOST_ACTED:
		if (u->events.acted)
			u->events.acted(u->events.context, m->serial, -(int)m->error);
		return true;
	case HOST_READY:
	case HOST_RECONNECT:
	case HOST_PING:
	case HOST_ACT:
		break;
	}
	log_error("the host process says something unknown (%u)", m->type);
	return false;
}

bool uplink_read(struct uplink *u)
{
	for (;;) {
		struct host_message m;
		int fd = -1;
		int n = host_message_receive(u->fd, &m, &fd);

		if (n == -EAGAIN || n == -EINTR)
			return true;
		if (n <= 0)
			return false;
		if (fd >= 0 && m.type != HOST_UAPI) {
			close(fd);
			return false;
		}
		if (!handle(u, &m, fd))
			return false;
	}
}

static struct timespec deadline(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += UPLINK_WAIT_MS / MS_PER_S;
	t.tv_nsec += (long)(UPLINK_WAIT_MS % MS_PER_S) * NS_PER_MS;
	if (t.tv_nsec >= NS_PER_S) {
		t.tv_sec++;
		t.tv_nsec -= NS_PER_S;
	}
	return t;
}

static void enlist(struct uplink *u, struct waiter *w)
{
	struct waiter **end = &u->waiters;

	while (*end)
		end = &(*end)->next;
	*end = w;
}

static void delist(struct uplink *u, struct waiter *w)
{
	struct waiter **link = &u->waiters;

	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
}

int uplink_connect(void *uplink, int *ret_fd)
{
	struct timespec until = deadline();
	struct waiter w = { .fd = -1 };
	struct uplink *u = uplink;
	int err;

	pthread_mutex_lock(&u->lock);
	enlist(u, &w);
	err = send_type(u, HOST_RECONNECT);
	while (err == 0 && !w.is_answered)
		err = -pthread_cond_timedwait(&u->answered, &u->lock, &until);
	delist(u, &w);
	pthread_mutex_unlock(&u->lock);
	if (w.is_answered)
		err = w.err;
	if (err == 0)
		*ret_fd = w.fd;
	return err;
}

int uplink_ready(struct uplink *u)
{
	int err;

	pthread_mutex_lock(&u->lock);
	err = send_type(u, HOST_READY);
	pthread_mutex_unlock(&u->lock);
	return err;
}

int uplink_act(struct uplink *u, unsigned int action, uint64_t *ret_serial)
{
	struct host_message m = { .type = HOST_ACT };
	int err;

	pthread_mutex_lock(&u->lock);
	m.serial = ++u->acts << HOST_ACTION_BITS | action;
	err = host_message_send(u->fd, &m, -1);
	pthread_mutex_unlock(&u->lock);
	*ret_serial = m.serial;
	return err;
}

int uplink_fd(const struct uplink *u)
{
	return u->fd;
}

int uplink_new(int fd, const struct uplink_events *events, struct uplink **ret)
{
	struct uplink *u = calloc(1, sizeof(*u));
	pthread_condattr_t attr;

	if (!u)
		return -ENOMEM;
	if (pthread_condattr_init(&attr) != 0) {
		free(u);
		return -ENOMEM;
	}
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->answered, &attr);
	pthread_condattr_destroy(&attr);
	u->fd = fd;
	u->events = *events;
	*ret = u;
	return 0;
}

struct uplink *uplink_free(struct uplink *u)
{
	if (!u)
		return NULL;
	pthread_cond_destroy(&u->answered);
	pthread_mutex_destroy(&u->lock);
	close(u->fd);
	free(u);
	return NULL;
}
