/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/observer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/array.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	NS_PER_MS = 1000000,
	NICE = 10,
};

#define SECOND_NS UINT64_C(1000000000)

/* struct question - One who waits. A look has no key */
struct question {
	struct question *next;
	observer_done done;
	void *context;
	bool is_eviction;
	uint8_t public_key[32];
	int err;
};

struct observer {
	struct iface *iface; /* of the thread, as the next two */
	struct endpoints *endpoints;
	uint64_t next_look_ns; /* boot clock */
	pthread_t thread;
	int fd;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;
	struct question *asked; /* the oldest first */
	struct question *answered;
	unsigned int n_waiting;
	bool stop;
	struct observation fresh; /* made by the thread, not yet collected */
	bool has_fresh;
	uint64_t cost_ns; /* how long the last look took */
	/* --- of the calling thread --- */
	struct observation last;
	uint64_t last_ns; /* when it was collected; 0: never */
	uint64_t life_ns; /* and how long it is good from then */
	unsigned int n_holding;
};

/* --- The thread --- */

struct gathering {
	struct observation seen;
	size_t capacity;
	int err;
};

static void gather(void *context, const struct uapi_get_peer *peer)
{
	struct gathering *g = context;
	struct observed *one;

	if (g->err == 0)
		g->err = array_room(&g->seen.peers, g->seen.n, sizeof(*one), &g->capacity);
	if (g->err != 0)
		return;
	one = &g->seen.peers[g->seen.n++];
	*one = (struct observed){
		.last_handshake_ns = peer->last_handshake_ns,
		.rx_bytes = peer->rx_bytes,
		.tx_bytes = peer->tx_bytes,
		.endpoint = peer->endpoint,
		.is_heard_gone = peer->is_heard_gone,
	};
	memcpy(one->public_key, peer->public_key, 32);
	memcpy(one->profile_heard, peer->profile_heard, sizeof(one->profile_heard));
	g->seen.n_connected += peer->last_handshake_ns != 0;
}

static int by_key(const void *a, const void *b)
{
	return memcmp(((const struct observed *)a)->public_key,
		      ((const struct observed *)b)->public_key, 32);
}

static int look(struct observer *o, struct observation *ret)
{
	struct gathering g = { .err = 0 };
	struct diag d = { .text = "" };
	int err = iface_get(o->iface, gather, &g, &d);

	if (err == 0)
		err = g.err;
	if (err != 0) {
		log_warning("the interface cannot be observed: %s", d.text);
		free(g.seen.peers);
		return err;
	}
	if (g.seen.n > 0)
		qsort(g.seen.peers, g.seen.n, sizeof(*g.seen.peers), by_key);
	if (o->endpoints)
		endpoints_note(o->endpoints, g.seen.peers, g.seen.n, clock_boot_ns(),
			       clock_wall_ns());
	*ret = g.seen;
	return 0;
}

static int evict(struct observer *o, const struct observation *seen, const uint8_t key[32])
{
	struct uapi_set_peer block = { .remove = true };
	struct uapi_set set = { .peers = &block, .n_peers = 1 };
	struct diag d = { .text = "" };
	int err;

	if (!observation_find(seen, key))
		return ERR_UNKNOWN;
	memcpy(block.public_key, key, 32);
	err = iface_set(o->iface, &set, &d);
	if (err != 0)
		log_warning("a peer cannot be removed from the interface: %s", d.text);
	return err;
}

/* Put a chain of questions behind those of a list. */
static void append(struct question **list, struct question *chain)
{
	while (*list)
		list = &(*list)->next;
	*list = chain;
}

static void answer_all(struct observer *o, struct question *asked)
{
	struct observation seen = { .n = 0 };
	uint64_t began_ns = clock_boot_ns(), one = 1;
	int err = look(o, &seen);

	for (struct question *q = asked; q; q = q->next) {
		q->err = err;
		if (err == 0 && q->is_eviction)
			q->err = evict(o, &seen, q->public_key);
	}
	pthread_mutex_lock(&o->lock);
	if (err == 0) {
		free(o->fresh.peers);
		o->fresh = seen;
		o->has_fresh = true;
		o->cost_ns = clock_boot_ns() - began_ns;
	}
	append(&o->answered, asked);
	pthread_mutex_unlock(&o->lock);
	if (write(o->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("waking the main thread failed: %s", err_text(-errno));
}

/* Nobody has asked for a while. */
static void look_unasked(struct observer *o)
{
	struct observation seen = { .n = 0 };

	if (look(o, &seen) == 0)
		free(seen.peers);
}

static void plan_look(struct observer *o, uint64_t began_ns)
{
	uint64_t now_ns = clock_boot_ns(), pause_ns = (now_ns - began_ns) * OBSERVER_LOOK_TIMES;

	if (pause_ns < OBSERVER_LOOK_S * SECOND_NS)
		pause_ns = OBSERVER_LOOK_S * SECOND_NS;
	o->next_look_ns = now_ns + pause_ns;
}

/* Wait for a question, the end, or the time to look unasked. Return: the questions. */
static struct question *wait_for_work(struct observer *o, bool *ret_stop)
{
	struct timespec until;
	struct question *asked;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += o->next_look_ns > clock_boot_ns()
				? (time_t)((o->next_look_ns - clock_boot_ns()) / SECOND_NS) + 1
				: 0;
	pthread_mutex_lock(&o->lock);
	while (!o->asked && !o->stop && err == 0)
		err = pthread_cond_timedwait(&o->work, &o->lock, &until);
	asked = o->asked;
	o->asked = NULL;
	*ret_stop = o->stop;
	pthread_mutex_unlock(&o->lock);
	return asked;
}

static void *observe(void *argument)
{
	struct observer *o = argument;
	bool stop = false;

	/* Requests and commits go first: what is seen may be seen a moment later. */
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	plan_look(o, clock_boot_ns());
	while (!stop) {
		struct question *asked = wait_for_work(o, &stop);
		uint64_t began_ns = clock_boot_ns();

		if (asked)
			answer_all(o, asked);
		else if (!stop && o->endpoints && began_ns >= o->next_look_ns)
			look_unasked(o);
		plan_look(o, began_ns);
	}
	return NULL;
}

/* --- Calls --- */

int observer_new(struct iface *iface, struct endpoints *endpoints, struct observer **ret)
{
	struct observer *o = calloc(1, sizeof(*o));
	pthread_condattr_t attr;
	int err;

	if (!o)
		return -ENOMEM;
	o->iface = iface;
	o->endpoints = endpoints;
	o->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (o->fd < 0) {
		err = -errno;
		free(o);
		return err;
	}
	pthread_mutex_init(&o->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->work, &attr);
	pthread_condattr_destroy(&attr);
	err = -pthread_create(&o->thread, NULL, observe, o);
	if (err != 0) {
		close(o->fd);
		free(o);
		return err;
	}
	*ret = o;
	return 0;
}

static void free_questions(struct question *q)
{
	for (struct question *next; q; q = next) {
		next = q->next;
		free(q);
	}
}

struct observer *observer_free(struct observer *o)
{
	if (!o)
		return NULL;
	pthread_mutex_lock(&o->lock);
	o->stop = true;
	pthread_cond_signal(&o->work);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	free_questions(o->asked);
	free_questions(o->answered);
	pthread_cond_destroy(&o->work);
	pthread_mutex_destroy(&o->lock);
	close(o->fd);
	iface_free(o->iface);
	free(o->fresh.peers);
	free(o->last.peers);
	free(o);
	return NULL;
}

static int ask(struct observer *o, const struct question *init)
{
	struct question *q = NULL;

	if (o->n_waiting < OBSERVER_WAITING_MAX)
		q = malloc(sizeof(*q));
	if (!q)
		return ERR_LIMIT;
	*q = *init;
	o->n_waiting++;
	pthread_mutex_lock(&o->lock);
	append(&o->asked, q);
	pthread_cond_signal(&o->work);
	pthread_mutex_unlock(&o->lock);
	return 0;
}

static bool is_fresh(const struct observer *o, uint64_t now_ns)
{
	return o->last_ns != 0 && now_ns - o->last_ns < o->life_ns;
}

int observer_look(struct observer *o, uint64_t now_ns, observer_done done, void *context)
{
	if (is_fresh(o, now_ns)) {
		done(context, 0, &o->last);
		return 0;
	}
	return ask(o, &(struct question){ .done = done, .context = context });
}

const struct observation *observer_last(const struct observer *o, uint64_t *ret_at_ns)
{
	if (ret_at_ns)
		*ret_at_ns = o->last_ns;
	return o->last_ns != 0 ? &o->last : NULL;
}

int observer_evict(struct observer *o, const uint8_t public_key[32], observer_done done,
		   void *context)
{
	struct question q = { .done = done, .context = context, .is_eviction = true };

	memcpy(q.public_key, public_key, 32);
	return ask(o, &q);
}

int observer_fd(const struct observer *o)
{
	return o->fd;
}

void observer_collect(struct observer *o, uint64_t now_ns)
{
	struct question *answered;
	uint64_t count;

	if (read(o->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("reading the observer's event failed: %s", err_text(-errno));
	pthread_mutex_lock(&o->lock);
	answered = o->answered;
	o->answered = NULL;
	if (o->has_fresh) {
		free(o->last.peers);
		o->last = o->fresh;
		o->last_ns = now_ns;
		o->life_ns = o->cost_ns * OBSERVER_FRESH_TIMES;
		if (o->life_ns < (uint64_t)OBSERVER_FRESH_MS * NS_PER_MS)
			o->life_ns = (uint64_t)OBSERVER_FRESH_MS * NS_PER_MS;
		o->fresh = (struct observation){ .n = 0 };
		o->has_fresh = false;
	}
	pthread_mutex_unlock(&o->lock);
	for (struct question *next; answered; answered = next) {
		next = answered->next;
		o->n_waiting--;
		answered->done(answered->context, answered->err,
			       answered->err == 0 ? &o->last : NULL);
		free(answered);
	}
}

void observer_hold(struct observer *o)
{
	o->n_holding++;
}

void observer_release(struct observer *o)
{
	o->n_holding--;
}

void observer_tick(struct observer *o, uint64_t now_ns)
{
	if (!o->last.peers || o->n_holding > 0 || now_ns - o->last_ns <= o->life_ns)
		return;
	free(o->last.peers);
	o->last = (struct observation){ .n = 0 };
	o->last_ns = 0;
}

const struct observed *observation_find(const struct observation *seen,
					const uint8_t public_key[32])
{
	struct observed wanted = { 0 };

	if (seen->n == 0)
		return NULL;
	memcpy(wanted.public_key, public_key, 32);
	return bsearch(&wanted, seen->peers, seen->n, sizeof(wanted), by_key);
}
