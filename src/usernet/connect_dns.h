/* SPDX-License-Identifier: Apache-2.0 */
/**
 * connect_dns.h - Queries that came as datagrams, by TCP through a proxy
 *
 * Theory of operation. One connection to the resolver in use carries the queries of everybody, each
 * under a number of ours; whatever order the answers come in, each goes to who asked, under the
 * number it asked with. The connection is made when there is something to ask. When it ends, which
 * resolvers do after some seconds of silence, or when no answer comes over it, what was not answered
 * is asked once more over a new one. An answer that is longer than the asker takes as a datagram is cut, and the asker comes back
 * by TCP. When the proxy or the resolver refuses, the askers are told at once, and the next
 * resolver has its turn.
 *
 * Source:  RFC 7766 (pipelining, order, reuse of connections); RFC 5452 (numbers not to be guessed).
 * Bounds:  CONNECT_DNS_WAITING queries at a time, of CONNECT_DNS_QUERY_MAX octets; what is more is
 *          dropped and counted, and asked again by the asker.
 * Threads: as usernet.h.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "inet/packet.h"

struct connect_dns;
struct flow;
struct usernet;

enum { CONNECT_DNS_WAITING = 1024, CONNECT_DNS_QUERY_MAX = 4096 };

int connect_dns_new(struct connect_dns **ret);		     /* 0 or -ENOMEM */
struct connect_dns *connect_dns_free(struct connect_dns *c); /* takes NULL, returns NULL */

/**
 * connect_dns_ask() - Pass on a query
 * @asker:	remote is who asks, local is who was asked
 *
 * What is no query is dropped and counted.
 */
void connect_dns_ask(struct usernet *u, const struct inet_pair *asker, const uint8_t *query,
		     size_t len);

/* Its socket has something, or its time has come. */
void connect_dns_work(struct usernet *u, struct flow *flow);
