/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/resolver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <netdb.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "proxy/address.h"

struct resolver {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct resolver_job *first;
	struct resolver_job **last;
	size_t n_waiting;
	struct resolver_job *running[RESOLVER_THREADS];
	bool is_over;
	pthread_t threads[RESOLVER_THREADS];
	size_t n_threads;
};

static void keep(const struct addrinfo *list, struct resolver_job *job)
{
	for (; list && job->n < RESOLVER_FOUND_MAX; list = list->ai_next) {
		struct endpoint e = address_read(list->ai_addr);

		e.port = job->port;
		if (e.ip.family != ADDR_NONE)
			job->found[job->n++] = e;
	}
}

static void resolve(struct resolver_job *job)
{
	const struct addrinfo wanted = { .ai_family = AF_UNSPEC,
					 .ai_socktype = SOCK_STREAM,
					 .ai_protocol = IPPROTO_TCP };
	struct addrinfo *list = NULL;
	int err = getaddrinfo(job->host, NULL, &wanted, &list);

	if (err == 0)
		keep(list, job);
	if (list)
		freeaddrinfo(list);
	if (err == EAI_AGAIN || err == EAI_SYSTEM || err == EAI_MEMORY)
		job->err = -EAGAIN;
	else if (job->n == 0)
		job->err = ERR_UNKNOWN;
}

static void deliver(struct resolver_job *job)
{
	struct resolver_inbox *inbox = job->inbox;
	const uint64_t one = 1;

	pthread_mutex_lock(&inbox->lock);
	job->next = inbox->first;
	inbox->first = job;
	pthread_mutex_unlock(&inbox->lock);
	(void)!write(inbox->event, &one, sizeof(one)); /* full: it is readable already */
}

static bool is_same_party(const struct resolver_job *a, const struct resolver_job *b)
{
	return memcmp(a->party, b->party, sizeof(a->party)) == 0;
}

/* How many threads the party of @job has. Called with the lock, as are those below. */
static unsigned int count_running(const struct resolver *r, const struct resolver_job *job)
{
	unsigned int n = 0;

	for (size_t i = 0; i < RESOLVER_THREADS; i++)
		n += r->running[i] && is_same_party(r->running[i], job);
	return n;
}

static unsigned int count_waiting(const struct resolver *r, const struct resolver_job *job)
{
	unsigned int n = 0;

	for (const struct resolver_job *at = r->first; at; at = at->next)
		n += is_same_party(at, job);
	return n;
}

/* Another one than @from takes its place, or nobody. */
static void replace_running(struct resolver *r, const struct resolver_job *from,
			    struct resolver_job *to)
{
	for (size_t i = 0; i < RESOLVER_THREADS; i++) {
		if (r->running[i] == from) {
			r->running[i] = to;
			return;
		}
	}
}

/* The oldest question of a party that has not all the threads it may have; NULL: there is none. */
static struct resolver_job *take_job(struct resolver *r)
{
	for (struct resolver_job **at = &r->first; *at; at = &(*at)->next) {
		struct resolver_job *job = *at;

		if (count_running(r, job) >= RESOLVER_PARTY_THREADS)
			continue;
		*at = job->next;
		if (r->last == &job->next)
			r->last = at;
		r->n_waiting--;
		replace_running(r, NULL, job);
		return job;
	}
	return NULL;
}

/* NULL: the end. A party whose thread becomes free is looked at by that thread. */
static struct resolver_job *next_job(struct resolver *r)
{
	struct resolver_job *job = NULL;

	while (!r->is_over && !(job = take_job(r)))
		pthread_cond_wait(&r->wake, &r->lock);
	return job;
}

static void *work(void *context)
{
	struct resolver *r = context;
	struct resolver_job *job;

	for (;;) {
		pthread_mutex_lock(&r->lock);
		job = next_job(r);
		pthread_mutex_unlock(&r->lock);
		if (!job)
			return NULL;
		if (!atomic_load(&job->is_dropped))
			resolve(job);
		pthread_mutex_lock(&r->lock);
		replace_running(r, job, NULL);
		pthread_mutex_unlock(&r->lock);
		deliver(job);
	}
}

int resolver_new(struct resolver **ret)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, NULL);
	r->last = &r->first;
	for (; r->n_threads < RESOLVER_THREADS; r->n_threads++) {
		int err = pthread_create(&r->threads[r->n_threads], NULL, work, r);

		if (err != 0) {
			resolver_free(r);
			return -err;
		}
	}
	*ret = r;
	return 0;
}

/* Return: whether all threads ended. */
static bool join(struct resolver *r)
{
	struct timespec until;
	bool all = true;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	for (size_t i = 0; i < r->n_threads; i++)
		all = pthread_timedjoin_np(r->threads[i], NULL, &until) == 0 && all;
	return all;
}

bool resolver_free(struct resolver *r)
{
	struct resolver_job *job;

	if (!r)
		return true;
	pthread_mutex_lock(&r->lock);
	r->is_over = true;
	pthread_cond_broadcast(&r->wake);
	pthread_mutex_unlock(&r->lock);
	if (!join(r))
		return false; /* it is looked at by whoever did not end */
	while ((job = r->first)) {
		r->first = job->next;
		free(job);
	}
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return true;
}

int resolver_ask(struct resolver *r, struct resolver_job *job)
{
	int err = 0;

	pthread_mutex_lock(&r->lock);
	if (r->n_waiting == RESOLVER_WAITING_MAX) {
		err = ERR_LIMIT;
	} else if (count_running(r, job) + count_waiting(r, job) >= RESOLVER_PARTY_MAX) {
		err = -EBUSY;
	} else {
		job->next = NULL;
		*r->last = job;
		r->last = &job->next;
		r->n_waiting++;
		pthread_cond_signal(&r->wake);
	}
	pthread_mutex_unlock(&r->lock);
	return err;
}

int resolver_inbox_init(struct resolver_inbox *inbox)
{
	inbox->first = NULL;
	inbox->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (inbox->event < 0)
		return -errno;
	pthread_mutex_init(&inbox->lock, NULL);
	return 0;
}

void resolver_inbox_done(struct resolver_inbox *inbox)
{
	struct resolver_job *job = resolver_collect(inbox), *next;

	for (; job; job = next) {
		next = job->next;
		free(job);
	}
	close(inbox->event);
	pthread_mutex_destroy(&inbox->lock);
}

struct resolver_job *resolver_collect(struct resolver_inbox *inbox)
{
	struct resolver_job *all;

	pthread_mutex_lock(&inbox->lock);
	all = inbox->first;
	inbox->first = NULL;
	pthread_mutex_unlock(&inbox->lock);
	return all;
}
