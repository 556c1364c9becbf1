/* SPDX-License-Identifier: Apache-2.0 */
/**
 * connect_datagram.h - Datagrams of peers where the way out is a proxy
 *
 * Queries to port 53 are passed on by TCP (usernet/connect_dns.h), others by connect-udp where the proxy offers
 * it (usernet/connect_udp_flow.h). Where it does not, the sender is told so at once, and a browser that tried QUIC
 * goes on with TCP.
 *
 * Threads: as usernet.h.
 */
#pragma once

#include "inet/udp.h"
#include "usernet/internal.h"

/* @in is a datagram, or a run of them; @udp its header. */
void connect_datagram_receive(struct usernet *u, const struct inner *in,
			      const struct inet_udp *udp);

/* "Administratively prohibited." Counted. */
void connect_datagram_refuse(struct usernet *u, const struct inner *in);

/** connect_datagram_gather() - The payload in one piece, or as much of it as there is @room for
 * Return: octets. */
size_t connect_datagram_gather(const struct inner *in, const struct inet_udp *udp, uint8_t *out,
			       size_t room);
