/* SPDX-License-Identifier: Apache-2.0 */
/**
 * connect_udp_flow.h - Datagrams of peers through a proxy that offers connect-udp
 *
 * Theory of operation. Each pair of a peer's port and a destination is one connection to the proxy, which
 * sends and receives from one port for it. Until it stands, a few datagrams wait; if it never does, the
 * first of them is answered with the error. What comes in is looked at, whole capsules are taken, and a
 * part of one stays in the socket: a flow has no buffer but for what the socket did not take. A
 * datagram that would have to wait behind that is dropped, as a full queue drops it.
 *
 * Most proxies offer none of this. The first that says so is believed for a while, and senders are
 * told at once.
 *
 * Source:  RFC 9298, RFC 9297 (carrier/capsule.h).
 * Bounds:  CONNECT_UDP_WAITING octets per flow until it stands; flows as usernet.h.
 * Threads: as usernet.h.
 */
#pragma once

#include "inet/udp.h"
#include "usernet/internal.h"

enum { CONNECT_UDP_WAITING = 16384 };

/* @in is a datagram, or a run of them, that may go where it wants to; @udp its header. */
void connect_udp_receive(struct usernet *u, const struct inner *in, const struct inet_udp *udp);

void connect_udp_work(struct usernet *u, struct flow *flow);
void connect_udp_end(struct usernet *u, struct flow *flow);
