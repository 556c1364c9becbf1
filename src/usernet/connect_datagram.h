/* SPDX-License-Identifier: Apache-2.0 */
/**
 * connect_datagram.h - Datagrams of peers where the way out is a proxy
 *
 * Queries to port 53 are passed on by TCP (usernet/connect_dns.h). CONNECT carries nothing else: the
 * sender is told so at once, and a browser that tried QUIC goes on with TCP.
 *
 * Threads: as usernet.h.
 */
#pragma once

#include "inet/udp.h"
#include "usernet/internal.h"

/* @in is a datagram, or a run of them; @udp its header. */
void connect_datagram_receive(struct usernet *u, const struct inner *in,
			      const struct inet_udp *udp);
