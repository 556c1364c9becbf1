/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/uplink.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "host/messages.h"
#include "sys/clock.h"
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
	bool is_attended;
	bool is_ending;	 /* the host stops: it answers nothing any more */
	uint64_t serial; /* of the last message about access lists */
	bool is_done;	 /* that one was answered, with @access_error */
	int access_error;
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

static void note_done(struct uplink *u, const struct host_message *m)
{
	pthread_mutex_lock(&u->lock);
	if (m->serial == u->serial) {
		u->access_error = m->error ? -(int)m->error : 0;
		u->is_done = true;
	}
	pthread_cond_broadcast(&u->answered);
	pthread_mutex_unlock(&u->lock);
}

/* Whoever waits for an answer would wait until the end. */
static void note_end(struct uplink *u)
{
	pthread_mutex_lock(&u->lock);
	u->is_ending = true;
	pthread_cond_broadcast(&u->answered);
	pthread_mutex_unlock(&u->lock);
	u->events.stop(u->events.context);
}

static bool handle(struct uplink *u, const struct host_message *m, int fd)
{
	if (m->type == HOST_ACCESS_DONE) {
		note_done(u, m);
		return true;
	}
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
		note_end(u);
		return true;
	case HOST_ACTED:
		if (u->events.acted)
			u->events.acted(u->events.context, m->serial, -(int)m->error);
		return true;
	case HOST_HAND_ON:
		u->events.hand_on(u->events.context);
		return true;
	case HOST_READY:
	case HOST_RECONNECT:
	case HOST_PING:
	case HOST_ACT:
	case HOST_DRIFTED:
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

static struct timespec deadline(long wait_ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += wait_ms / MS_PER_S;
	t.tv_nsec += wait_ms % MS_PER_S * NS_PER_MS;
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
	struct timespec until = deadline(UPLINK_WAIT_MS);
	struct waiter w = { .fd = -1 };
	struct uplink *u = uplink;
	int err;

	pthread_mutex_lock(&u->lock);
	enlist(u, &w);
	err = u->is_ending ? -ECANCELED : send_type(u, HOST_RECONNECT);
	while (err == 0 && !w.is_answered && !u->is_ending)
		err = -pthread_cond_timedwait(&u->answered, &u->lock, &until);
	delist(u, &w);
	pthread_mutex_unlock(&u->lock);
	if (w.is_answered)
		err = w.err;
	else if (err == 0)
		err = -ECANCELED;
	if (err == 0)
		*ret_fd = w.fd;
	return err;
}

/* Nobody else reads yet. */
static void read_alone(struct uplink *u)
{
	uint64_t end_ns = clock_boot_ns() + (uint64_t)UPLINK_ACCESS_WAIT_MS * NS_PER_MS;

	while (!u->is_done && !u->is_ending && clock_boot_ns() < end_ns) {
		struct pollfd p = { .fd = u->fd, .events = POLLIN };

		if (poll(&p, 1, UPLINK_ACCESS_WAIT_MS) > 0 && !uplink_read(u))
			return;
	}
}

static int wait_for_access(struct uplink *u)
{
	struct timespec until = deadline(UPLINK_ACCESS_WAIT_MS);
	int err = 0;

	while (err == 0 && !u->is_done && u->is_attended && !u->is_ending)
		err = -pthread_cond_timedwait(&u->answered, &u->lock, &until);
	return err;
}

int uplink_access(void *uplink, struct host_message *m)
{
	struct uplink *u = uplink;
	bool is_alone;
	int err;

	pthread_mutex_lock(&u->lock);
	m->serial = ++u->serial;
	u->is_done = false;
	err = u->is_ending ? -ECANCELED : host_message_send(u->fd, m, -1);
	if (err == 0)
		err = wait_for_access(u);
	is_alone = !u->is_attended;
	pthread_mutex_unlock(&u->lock);
	if (err == 0 && is_alone)
		read_alone(u);
	if (err != 0)
		return err;
	return u->is_done ? u->access_error : -ETIMEDOUT;
}

void uplink_attend(struct uplink *u, bool is_attended)
{
	pthread_mutex_lock(&u->lock);
	u->is_attended = is_attended;
	pthread_cond_broadcast(&u->answered);
	pthread_mutex_unlock(&u->lock);
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

void uplink_drifted(struct uplink *u)
{
	pthread_mutex_lock(&u->lock);
	(void)send_type(u, HOST_DRIFTED); /* it is said again while it lasts */
	pthread_mutex_unlock(&u->lock);
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
