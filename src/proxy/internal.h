/* SPDX-License-Identifier: Apache-2.0 */
/**
 * internal.h - Inside the proxy: a worker, and a client as its worker knows it
 *
 * loop.c waits and wakes, client.c has the life of a client, dial.c makes its connection.
 *
 * Threads: everything here belongs to one worker's thread, but for what says otherwise.
 */
#pragma once

#include <pthread.h>

#include "proxy/flow.h"
#include "proxy/keys.h"
#include "proxy/policy.h"
#include "proxy/request.h"
#include "proxy/resolver.h"
#include "proxy/server.h"

enum {
	DIAL_ATTEMPTS_MAX = 8, /* addresses of a name that are tried */
	DIAL_NEXT_MS = 250,    /* RFC 8305: the next one, beside those before */
	CLIENT_PART_S = 2,     /* to read a refusal */
	LOOP_THROTTLE_MS = 20, /* until a key that used up its rate is looked at again */
};

/* What an event is about. */
enum watch_kind {
	WATCH_LISTENER,
	WATCH_INBOX,
	WATCH_NEAR, /* a client */
	WATCH_FAR,  /* what it is connected to */
	WATCH_TRY,  /* an attempt to connect */
};

/* struct watch - A descriptor in a worker's epoll; @of says whose, by @kind */
struct watch {
	enum watch_kind kind;
	int fd;
	void *of;
};

struct link {
	struct link *next;
	struct link *prev;
};

/**
 * struct dial - Making a connection
 * @waits:	In the list of those that may try a further address at @next_ns
 * @further:	What is watched of attempts but the first
 * @next:	The next address to try
 * @err:	Of the last that failed
 */
struct dial {
	struct link waits;
	struct client *client;
	struct endpoint to[DIAL_ATTEMPTS_MAX];
	struct watch further[DIAL_ATTEMPTS_MAX];
	uint8_t n;
	uint8_t next;
	uint8_t n_tried;
	int err;
	uint64_t next_ns;
};

/**
 * enum client_state - Where one is
 *
 *	READING    its request comes
 *	RESOLVING  the name it wants is asked for
 *	DIALING    connections are tried
 *	RELAYING   octets are moved
 *	PARTING    it was refused, and reads why
 *	GONE       freed when the events at hand are through
 */
enum client_state {
	CLIENT_READING,
	CLIENT_RESOLVING,
	CLIENT_DIALING,
	CLIENT_RELAYING,
	CLIENT_PARTING,
	CLIENT_GONE,
};

/* Deadlines that are all equally far away form a list in which the next one is first. */
enum timer {
	TIMER_HEAD,
	TIMER_CONNECT,
	TIMER_IDLE,
	TIMER_HALF,
	TIMER_PART,
	TIMERS,
};

/**
 * struct client - One client, from its first octet to its last
 * @timer:	In the list of @timer_of
 * @born:	In the list of tunnels, the oldest first
 * @ready:	In the list of those that have something to do without an event
 * @up, @down:	What it sends, what it gets
 * @capsules:	Of a client that wants UDP; NULL: it has a TCP tunnel. Owned
 * @head:	What came of a request that did not come at once; owned
 */
struct client {
	struct link timer;
	struct link born;
	struct link ready;
	struct loop *loop;
	struct watch near;
	struct watch far;
	struct flow up;
	struct flow down;
	struct proxy_key *key;
	struct resolver_job *job;
	struct dial *dial;
	struct capsules *capsules;
	char *head;
	uint64_t since_ns; /* when the timer's span began */
	uint64_t born_ns;
	uint16_t head_len;
	uint8_t state; /* enum client_state */
	uint8_t timer_of;
	bool is_throttled;
};

/**
 * struct loop - One thread
 * @timers:	Lists, by deadline
 * @dials:	Of struct dial, likewise
 * @ready:	Clients to look at before waiting again; @throttled: after a moment
 * @gone, @gone_dials: To free when the events at hand are through
 */
struct loop {
	struct server *server;
	pthread_t thread;
	int epoll;
	struct watch listeners[SERVER_LISTENERS_MAX];
	struct watch inbox_watch;
	struct resolver_inbox inbox;
	struct link timers[TIMERS];
	struct link dials;
	struct link tunnels;
	struct link ready;
	struct link throttled;
	struct link gone;
	struct link gone_dials;
	struct pipes pipes;
	uint8_t *scratch;
	uint64_t now_ns;
	uint64_t throttled_ns;	  /* when they are looked at again */
	uint64_t paused_until_ns; /* no descriptor is left: nobody is accepted */
	uint32_t n_reading;
	unsigned int removals; /* of keys, that were seen to */
	bool is_paused;
	struct counters counters;
};

struct server {
	struct server_config config;
	struct proxy_keys *keys;
	struct policy *policy;
	struct resolver *resolver;
	struct loop loops[SERVER_WORKERS_MAX];
	unsigned int n_loops;
	const int *listeners;
	size_t n_listeners;
	uint32_t reading_max; /* requests that are waited for, of one worker */
	atomic_uint n_clients;
	atomic_bool is_over;
};

/* --- Lists --- */

static inline void link_init(struct link *l)
{
	l->next = l->prev = l;
}

static inline bool link_is_alone(const struct link *l)
{
	return l->next == l;
}

static inline void link_remove(struct link *l)
{
	l->next->prev = l->prev;
	l->prev->next = l->next;
	link_init(l);
}

static inline void link_append(struct link *list, struct link *l)
{
	link_remove(l);
	l->prev = list->prev;
	l->next = list;
	list->prev->next = l;
	list->prev = l;
}

/* What @link is the @member of. */
#define HOLDER(type, link, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* --- loop.c --- */

int loop_init(struct loop *w, struct server *s); /* 0 or -errno; loop_done() in any case */
void loop_done(struct loop *w, bool with_inbox);
void *loop_run(void *context); /* a struct loop */
int loop_watch(struct loop *w, struct watch *watch, uint32_t events);

/* --- client.c --- */

/** client_accept() - Begin with a connection, which is closed in any case some time */
void client_accept(struct loop *w, int fd);
void client_event(struct client *c, struct watch *w, uint32_t events);
void client_answered(struct client *c, struct resolver_job *job); /* frees @job */
/* @c->far is a connection; @events of it are at hand. */
void client_dialled(struct client *c, uint32_t events);
void client_refuse(struct client *c, int status, const char *why);
void client_pump(struct client *c);
void client_expire(struct client *c);
/* Without a word; @reset: the ends are told that it did not end well. */
void client_end(struct client *c, bool reset);
void client_set_timer(struct client *c, enum timer which);

/* --- udp.c --- */

struct capsules;

/** udp_begin() - @early: what came behind the head. Return: 0 or -ENOMEM */
int udp_begin(struct client *c, const char *early, size_t len);
void udp_end(struct client *c); /* frees; for TCP it does nothing */
/** udp_dial() - Connect a socket to the first of @to that there is a way to: @c->far. Return: 0 or -errno */
int udp_dial(struct client *c, const struct endpoint *to, size_t n);
/* Both directions, as flow_pump(); @ret_moved: octets. FLOW_ENDED: the client has ended it. */
enum flow_state udp_pump_up(struct client *c, uint64_t *ret_moved);
enum flow_state udp_pump_down(struct client *c, uint64_t *ret_moved);

/* --- dial.c --- */

/** dial_begin() - Connect to one of @to, of which all were judged; client_dialled() or a refusal follows */
void dial_begin(struct client *c, const struct endpoint *to, size_t n);
void dial_event(struct client *c, struct watch *w, uint32_t events);
void dial_next(struct dial *d);	 /* its time has come */
void dial_end(struct client *c); /* close what is still tried */
