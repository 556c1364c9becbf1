/* SPDX-License-Identifier: Apache-2.0 */
/**
 * resolver.h - Addresses of names, without waiting for them
 *
 * The system's resolver blocks, so it is asked by threads of its own. Answers come back to the inbox that the
 * question names, whose event descriptor becomes readable.
 *
 * An answer may take as long as whoever owns the name likes. So that nobody takes all threads, each party has
 * RESOLVER_PARTY_THREADS of them at most, and other parties' questions overtake those that it has behind them.
 * A question counts until its thread is free again, also when nobody waits for the answer any more.
 *
 * Bounds:  RESOLVER_THREADS questions at a time, RESOLVER_WAITING_MAX behind them, RESOLVER_PARTY_MAX of one
 *	    party; RESOLVER_FOUND_MAX addresses of an answer are kept.
 * Threads: resolver_ask() any; an inbox belongs to one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>
#include <stdatomic.h>

#include "proxy/request.h"

enum {
	RESOLVER_THREADS = 16,
	RESOLVER_WAITING_MAX = 1024,
	RESOLVER_PARTY_THREADS = 4,
	RESOLVER_PARTY_MAX = 64,
	RESOLVER_PARTY_LEN = 32,
	RESOLVER_FOUND_MAX = 16,
};

/* struct resolver_inbox - Answers, until they are collected */
struct resolver_inbox {
	pthread_mutex_t lock;
	struct resolver_job *first;
	int event;
};

/**
 * struct resolver_job - A question and its answer; from malloc(), freed by whoever collects it
 * @asker:	Of whoever asked; nobody else looks at it
 * @party:	For whom: the digest of a key, or an address
 * @is_dropped:	The answer does not matter any more
 * @err:	0, or as resolve of the system: -EAGAIN (no answer), ERR_UNKNOWN (no such name)
 */
struct resolver_job {
	struct resolver_job *next;
	struct resolver_inbox *inbox;
	void *asker;
	uint8_t party[RESOLVER_PARTY_LEN];
	atomic_bool is_dropped;
	char host[REQUEST_HOST_MAX + 1];
	uint16_t port;
	int err;
	size_t n;
	struct endpoint found[RESOLVER_FOUND_MAX];
};

struct resolver;

int resolver_new(struct resolver **ret);
/**
 * resolver_free() - Before the end of the process only; takes NULL
 *
 * Return: false: threads wait for an answer longer than a second. They are left behind, and their inboxes
 *	   must stay.
 */
bool resolver_free(struct resolver *r);

/**
 * resolver_ask() - Begin to look for an answer
 *
 * Return: 0, and the job is ours until it is in its inbox; ERR_LIMIT: too many are waiting; -EBUSY: too many
 *	   of this party.
 */
int resolver_ask(struct resolver *r, struct resolver_job *job);

int resolver_inbox_init(struct resolver_inbox *inbox); /* 0 or -errno */
/** resolver_inbox_done() - After resolver_free() */
void resolver_inbox_done(struct resolver_inbox *inbox);
/** resolver_collect() - All that came, linked by @next; NULL: nothing */
struct resolver_job *resolver_collect(struct resolver_inbox *inbox);
