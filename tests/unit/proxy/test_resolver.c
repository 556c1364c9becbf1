/* SPDX-License-Identifier: Apache-2.0 */
/* The system's resolver is played by this file: names that begin with "slow" are answered when the test says so. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netdb.h>
#include <poll.h>
#include <semaphore.h>
#include <unistd.h>

#include "../test.h"
#include "base/err.h"
#include "proxy/resolver.h"

enum { ENOUGH_MS = 5000, QUIET_MS = 100 };

static sem_t asked;
static sem_t answer;

/* In the place of the C library's. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		struct addrinfo **ret)
{
	(void)service;
	(void)hints;
	*ret = NULL;
	if (strncmp(host, "slow", 4) == 0) {
		sem_post(&asked);
		while (sem_wait(&answer) < 0)
			continue;
	}
	return EAI_NONAME;
}

static struct resolver *r;
static struct resolver_inbox inbox;

static int ask(const char *host, uint8_t party)
{
	struct resolver_job *job = calloc(1, sizeof(*job));
	int err;

	snprintf(job->host, sizeof(job->host), "%s", host);
	job->inbox = &inbox;
	job->party[0] = party;
	err = resolver_ask(r, job);
	if (err != 0)
		free(job);
	return err;
}

/* How many answers come until there are @want, or it is quiet for @ms. */
static int collect(int want, int ms)
{
	int n = 0;

	while (n < want) {
		struct pollfd p = { .fd = inbox.event, .events = POLLIN };
		struct resolver_job *job, *next;
		uint64_t count;

		if (poll(&p, 1, ms) <= 0)
			break;
		(void)!read(inbox.event, &count, sizeof(count));
		for (job = resolver_collect(&inbox); job; job = next, n++) {
			next = job->next;
			CHECK(job->err == ERR_UNKNOWN);
			free(job);
		}
	}
	return n;
}

static void one_party_does_not_keep_others_from_their_answers(void)
{
	for (int i = 0; i < RESOLVER_PARTY_MAX; i++)
		CHECK(ask("slow.test", 1) == 0);
	for (int i = 0; i < RESOLVER_PARTY_THREADS; i++)
		sem_wait(&asked);
	CHECK(ask("quick.test", 1) == -EBUSY);
	for (int i = 0; i < RESOLVER_PARTY_MAX; i++)
		CHECK(ask("quick.test", 2) == 0);
	CHECK(collect(RESOLVER_PARTY_MAX, ENOUGH_MS) == RESOLVER_PARTY_MAX);
	CHECK(sem_trywait(&asked) < 0); /* it has as many threads as it may have */
	for (int i = 0; i < RESOLVER_PARTY_MAX; i++)
		sem_post(&answer);
	CHECK(collect(RESOLVER_PARTY_MAX, ENOUGH_MS) == RESOLVER_PARTY_MAX);
	while (sem_trywait(&asked) == 0)
		continue;
}

static void a_question_counts_until_its_thread_is_free(void)
{
	struct resolver_job *job = calloc(1, sizeof(*job));

	snprintf(job->host, sizeof(job->host), "%s", "slow.test");
	job->inbox = &inbox;
	job->party[0] = 1;
	CHECK(resolver_ask(r, job) == 0);
	sem_wait(&asked);
	atomic_store(&job->is_dropped, true); /* whoever asked has left */
	for (int i = 1; i < RESOLVER_PARTY_MAX; i++)
		CHECK(ask("slow.test", 1) == 0);
	CHECK(ask("slow.test", 1) == -EBUSY);
	CHECK(collect(1, QUIET_MS) == 0);
	for (int i = 0; i < RESOLVER_PARTY_MAX; i++)
		sem_post(&answer);
	CHECK(collect(RESOLVER_PARTY_MAX, ENOUGH_MS) == RESOLVER_PARTY_MAX);
	CHECK(ask("quick.test", 1) == 0);
	CHECK(collect(1, ENOUGH_MS) == 1);
}

int main(void)
{
	sem_init(&asked, 0, 0);
	sem_init(&answer, 0, 0);
	CHECK(resolver_inbox_init(&inbox) == 0);
	CHECK(resolver_new(&r) == 0);
	RUN(one_party_does_not_keep_others_from_their_answers);
	RUN(a_question_counts_until_its_thread_is_free);
	CHECK(resolver_free(r));
	resolver_inbox_done(&inbox);
	return DONE();
}
