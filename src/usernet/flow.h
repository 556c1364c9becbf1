/* SPDX-License-Identifier: Apache-2.0 */
/**
 * flow.h - Conversations of peers, found by their addresses
 *
 * A flow is the common beginning of what TCP, UDP and echo keep. The table owns none of the
 * memory; it knows where each is, which was used last, and which wants attention.
 *
 * Bounds:  @max flows; per peer three quarters of them, told by a hash of its address, so that
 *          two peers may share a count.
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/schedule.h"
#include "inet/packet.h"

enum flow_kind {
	FLOW_TCP,
	FLOW_UDP,
	FLOW_ECHO,
	FLOW_CALLER,	  /* somebody outside, at a UDP port that leads to a peer */
	FLOW_CONNECT_UDP, /* datagrams by a proxy */
	/* Never in the table: */
	FLOW_FORWARD,	  /* a listening socket */
	FLOW_FORWARD_UDP, /* one of datagrams */
	FLOW_TUN,	  /* of a namespace of our own (transparent.h) */
	FLOW_ACCEPT,	  /* a listening socket there */
	FLOW_ACCEPTED,	  /* the part of a connection that lies there */
	FLOW_CONNECT_DNS, /* to a resolver, by a proxy */
};

enum { FLOW_SOURCES = 4096 };

/**
 * struct flow - Embedded first in what it belongs to
 * @timer:	When it wants to be looked at; may be earlier than needed
 * @pair:	remote is the peer. UDP: no local address unless it is a resolver's flow
 * @fd:		The host's socket, or -1
 * @events:	What epoll said and was not used up (EPOLLIN and so on)
 */
struct flow {
	struct schedule_node timer;
	struct flow *chain;
	struct flow *newer, *older;
	struct flow *next_dirty;
	enum flow_kind kind;
	int fd;
	uint32_t events;
	uint32_t source;
	bool is_dirty;
	bool is_half_open;
	struct inet_pair pair;
};

struct flows {
	struct flow **buckets;
	uint32_t mask;
	uint32_t n;
	uint32_t max;
	uint32_t half_open;
	struct flow *newest, *oldest;
	struct flow *first_dirty, *last_dirty;
	struct schedule schedule;
	uint8_t key[16];
	uint32_t per_source[FLOW_SOURCES];
	uint32_t half_open_per_source[FLOW_SOURCES];
};

/** flows_init() - Return: 0 or -ENOMEM. @key: random */
int flows_init(struct flows *f, uint32_t max, const uint8_t key[16]);
void flows_done(struct flows *f);

struct flow *flow_find(const struct flows *f, enum flow_kind kind,
		       const struct inet_pair *pair);

/**
 * flow_add() - Enter a flow whose kind and pair are set
 * The caller made room: see flow_victim().
 */
void flow_add(struct flows *f, struct flow *flow);
void flow_remove(struct flows *f, struct flow *flow);

/**
 * flow_victim() - What must end before a flow of @pair can begin
 * @ret:	The flow to end, NULL when there is room already
 * Return: false when this peer has too many, none of which could end.
 */
bool flow_victim(struct flows *f, const struct inet_pair *pair, struct flow **ret);

/* Flows of this peer that are half open. */
uint32_t flow_half_open(const struct flows *f, const struct inet_pair *pair);
/* It is not half open any more. */
void flow_opened(struct flows *f, struct flow *flow);

/* It is in use: the last one to be ended for want of room. */
void flow_touch(struct flows *f, struct flow *flow);

/* It is over but for a memory of it: the first one to be ended for want of room. */
void flow_retire(struct flows *f, struct flow *flow);

/* It wants to be looked at before we sleep. */
void flow_mark(struct flows *f, struct flow *flow);
/* It is about to be freed. */
void flow_unmark(struct flows *f, struct flow *flow);
/* The first that was marked; it is not marked any more. NULL: none. */
struct flow *flow_take_marked(struct flows *f);

/** flow_wake_at() - Look at it at @at_ns or earlier */
void flow_wake_at(struct flows *f, struct flow *flow, uint64_t at_ns);
