/* SPDX-License-Identifier: Apache-2.0 */
/**
 * transparent.h - TCP of peers by the kernel, in a namespace of our own
 *
 * Theory of operation. A peer's SYN is held back, as always, until the host's connection stands
 * (tcp_flow.c). Then the SYN is written to a TUN in a namespace where a listener answers for any
 * address (transparent_net.h): the handshake, retransmissions, windows, congestion and goodbyes are
 * the kernel's, with whatever it is configured to use. What the listener accepts is joined to the
 * host's connection by splice (transparent_conduit.h). Only packets of connections that stand
 * outside are ever seen by the namespace.
 *
 * On the way to the TUN the ports of a packet, and nothing else, are exchanged for a *place*: the
 * listener's, and the one the connection seems to come from. They are ours to give and differ for all
 * connections; on the way back the real ones are found by them. So no rule of a packet filter is
 * needed to catch every port, and accept() tells which connection it is.
 *
 * After both sockets were closed the kernel still has to deliver what it took, and to say
 * goodbye. A flow stays for as long as packets come and a minute more.
 *
 * Calls from outside to a peer, UDP and ICMP are not for here.
 *
 * Bounds:  places for all flows there may be; PIPES_MAX pipes. Octets buffered are the kernel's, by
 *          its tcp_rmem and tcp_wmem.
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "usernet/internal.h"

struct transparent;
struct transparent_flow;

/**
 * transparent_open() - Make the namespace and watch it
 * @u:		Its options, flows and epoll are ready. Fewer flows are allowed afterwards where
 *		descriptors are few: each needs two
 *
 * Return: 0, or an error with its sentence in @d; everything else goes on without.
 */
int transparent_open(struct usernet *u, struct diag *d);
/* After the last flow has ended. Takes NULL, returns NULL. */
struct transparent *transparent_close(struct transparent *t);

/**
 * transparent_begin() - The host's connection stands: let the kernel answer @syn
 * @outer:	Its flow, marked whenever there is something to do
 * Return: 0 or -errno
 */
int transparent_begin(struct usernet *u, struct flow *outer, const struct tcp_segment *syn,
		      struct transparent_flow **ret);

/* A packet of the peer. */
void transparent_receive(struct usernet *u, struct transparent_flow *f, const struct inner *in,
			 bool is_reset);

/** transparent_work() - Move octets. Return: true when it is over for good: then call
 * transparent_end(). */
bool transparent_work(struct usernet *u, struct transparent_flow *f);

/* Nothing but goodbyes is left of it: a new SYN may begin anew. */
bool transparent_is_closed(const struct usernet *u, const struct transparent_flow *f);

/* Both sockets are reset if they are still open. Frees @f; returns NULL. */
struct transparent_flow *transparent_end(struct usernet *u, struct transparent_flow *f);

/** transparent_too_big() - A peer's ICMP says that a path is narrower: tell the namespace
 * @in:	The ICMP packet, which quotes one of ours from @quoted_at on */
void transparent_too_big(struct usernet *u, struct transparent_flow *f, const struct inner *in,
			 uint32_t quoted_at);

/* What epoll says of the TUN, a listener, an accepted socket: flows of kind FLOW_TUN, FLOW_ACCEPT
 * and FLOW_ACCEPTED. */
void transparent_tun_work(struct usernet *u, struct flow *flow);
void transparent_accept_work(struct usernet *u, struct flow *flow);
void transparent_accepted_work(struct usernet *u, struct flow *flow);
