/* SPDX-License-Identifier: Apache-2.0 */
/**
 * forward_udp.h - UDP ports of the host that lead to peers
 *
 * Whoever sends to such a port, a caller, gets a port of our own address inside the tunnel for as long
 * as the two speak: the peer sees datagrams from there, and what it sends there goes back to the caller,
 * from the port and the address of the host that the caller chose. Which port that is follows from the
 * caller under a key that nobody outside has, so one table finds a caller from either side.
 *
 * Bounds:  an eighth of all flows are callers' at most; then who is new is not heard.
 * Threads: as usernet.h.
 */
#pragma once

#include "usernet/flow.h"
#include "usernet/internal.h"

/**
 * forward_udp_open() - Bind the port of @rule, on every address of the host
 * @ret:	A flow of kind FLOW_FORWARD_UDP that is in no table; forward_close() frees it
 *
 * Return: 0 or an error with its sentence in @d.
 */
int forward_udp_open(struct usernet *u, const struct usernet_forward *rule, struct flow **ret,
		     struct diag *d);

/* Take what callers sent. */
void forward_udp_work(struct usernet *u, struct flow *flow);

/** forward_udp_answer() - Is a datagram of a peer for a caller? Then it is sent there. Return: so it was */
bool forward_udp_answer(struct usernet *u, const struct inner *in, const struct inet_udp *udp);

/* A caller's flow (FLOW_CALLER): its time may be over; end it. */
void forward_udp_caller_work(struct usernet *u, struct flow *flow);
void forward_udp_caller_end(struct usernet *u, struct flow *flow);
